/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agent's configuration, /etc/iommucfg/agent.conf in libconfig's syntax:
 *
 *	store = { kind = "etcd"; endpoints = [ "https://e1:2379" ]; ca = ...; cert = ...; key = ...; };
 *	name = "host-1.example";		// else the host name
 *	pool = "gpu";				// else "default"
 *	labels = { rack = "r12"; };
 *	limits = {
 *		allow_in_use = [ "net" ];	// else nothing in use is given up for the fleet
 *		types = [ "identity", "DMA", "DMA-FQ" ];	// else any
 *		disruption = "rebind";
 *		faults = "rollback";		// "warn": a policy may say so, too
 *		confirm_timeout_min = 90;
 *	};
 *	reach = [ "192.0.2.1:22", "[2001:db8::1]:3260" ];	// have to answer after a change
 *	start_jitter = 60;			// seconds
 *	report_interval = 600;
 *	metrics = "/var/lib/prometheus/node-exporter/iommucfg-agent.prom";
 *
 * limits is what the fleet may ask of this host. A setting that is not known is an error.
 */
#ifndef FLEET_SETTINGS_H
#define FLEET_SETTINGS_H

#include <iommucfg.h>
#include <sys/socket.h>

#include "conf.h"
#include "doc.h"

#define SETTINGS_DEFAULT "/etc/iommucfg/agent.conf"

#define ADDRESSES_MAX 16

struct settings {
	char name[DOC_HOST_MAX + 1];
	char pool[64];
	struct json_object *labels;
	int allow_in_use;		/* mask of enum iommucfg_word */
	unsigned int types;		/* mask of 1 << enum iommucfg_type */
	enum iommucfg_disruption disruption;
	bool faults_warn;
	int confirm_timeout_min;
	int start_jitter, report_interval;
	char *metrics;
	char *reach[ADDRESSES_MAX];
	size_t reach_count;
};

/* Opens the store of @conf as well. False: the reason was written to standard error. */
bool settings_open(struct settings *settings, struct conf *conf, const char *file);
/* "ADDRESS:PORT" or "[ADDRESS]:PORT", numbers only. False: it is none. */
bool settings_address(const char *text, struct sockaddr_storage *to, socklen_t *size);
void settings_clear(struct settings *settings);

#endif
