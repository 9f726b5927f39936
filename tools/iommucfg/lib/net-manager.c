// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which network manager, if any, has an interface and brings it back by itself:
 * NetworkManager and systemd-networkd are asked over D-Bus, ifupdown by ifquery(8). One
 * that is there and does not answer counts as having it.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "net-snapshot.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-bus.h>
#else
typedef struct sd_bus sd_bus;
#endif

#define NM_NAME		"org.freedesktop.NetworkManager"
#define NETWORKD_NAME	"org.freedesktop.network1"

#define ANSWER_SECONDS	3

struct ic_managers {
	struct iommucfg *ctx;
	sd_bus *bus;
	bool has_nm, has_networkd;	/* is there a process with that name on the bus? */
	bool nm_mute, networkd_mute, ifupdown_mute; /* it did not answer, and is not asked again */
};

static bool exists(const struct ic_managers *m, const char *path)
{
	return !faccessat(m->ctx->rootfd, path, F_OK, 0);
}

#ifdef HAVE_LIBSYSTEMD

/* Without starting it. */
static bool is_on_bus(sd_bus *bus, const char *name)
{
	sd_bus_creds *creds = NULL;
	int ret = sd_bus_get_name_creds(bus, name, 0, &creds);

	sd_bus_creds_unref(creds);
	return ret >= 0;
}

static void open_bus(struct ic_managers *m)
{
	if (sd_bus_open_system(&m->bus) < 0)
		return;
	sd_bus_set_method_call_timeout(m->bus, ANSWER_SECONDS * 1000000ULL);
	m->has_nm = is_on_bus(m->bus, NM_NAME);
	m->has_networkd = is_on_bus(m->bus, NETWORKD_NAME);
}

static void close_bus(struct ic_managers *m)
{
	sd_bus_flush_close_unref(m->bus);
}

/* 1: it has it, 0: not, or a negative errno. */
static int ask_nm(struct ic_managers *m, const char *name)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	int ret, managed = 0;

	ret = sd_bus_call_method(m->bus, NM_NAME, "/org/freedesktop/NetworkManager", NM_NAME,
				 "GetDeviceByIpIface", &error, &reply, "s", name);
	if (ret < 0 && sd_bus_error_has_name(&error, NM_NAME ".UnknownDevice"))
		ret = 0;
	else if (ret >= 0)
		ret = sd_bus_message_read(reply, "o", &path);
	if (ret > 0)
		ret = sd_bus_get_property_trivial(m->bus, NM_NAME, path, NM_NAME ".Device",
						  "Managed", NULL, 'b', &managed);
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	return ret < 0 ? ret : managed;
}

static int ask_networkd(struct ic_managers *m, int index)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *name, *path;
	char *state = NULL;
	int ret, has = 0;

	ret = sd_bus_call_method(m->bus, NETWORKD_NAME, "/org/freedesktop/network1",
				 NETWORKD_NAME ".Manager", "GetLinkByIndex", &error, &reply, "i",
				 index);
	if (ret < 0 && sd_bus_error_has_name(&error, NETWORKD_NAME ".NoSuchLink"))
		ret = 0;
	else if (ret >= 0)
		ret = sd_bus_message_read(reply, "so", &name, &path);
	/* What "networkctl" has as SETUP. */
	if (ret > 0) {
		ret = sd_bus_get_property_string(m->bus, NETWORKD_NAME, path,
						 NETWORKD_NAME ".Link", "AdministrativeState",
						 NULL, &state);
		has = ret >= 0 && strcmp(state, "unmanaged");
	}
	free(state);
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	return ret < 0 ? ret : has;
}

#else

static void open_bus(struct ic_managers *m)
{
	(void)m;
}

static void close_bus(struct ic_managers *m)
{
	(void)m;
}

static int ask_nm(struct ic_managers *m, const char *name)
{
	(void)m, (void)name;
	return -EOPNOTSUPP;
}

static int ask_networkd(struct ic_managers *m, int index)
{
	(void)m, (void)index;
	return -EOPNOTSUPP;
}

#endif

/* Without a bus, files of theirs tell that they run. */
static int ask_daemon(struct ic_managers *m, bool is_there, const char *file,
		      int answer)
{
	if (m->bus)
		return is_there ? answer : 0;
	return exists(m, file) ? -ENOTCONN : 0;
}

/* ifquery(8) ends with 0 where the interface was configured and was not taken down since. */
static int ask_ifupdown(const char *name)
{
	char *argv[] = { (char *)"ifquery", (char *)"--state", (char *)name, NULL };
	struct ic_program program = {
		.argv = argv, .in_path = true, .input = -1, .copy_to = -1, .kill_rest = true,
		.limit = ANSWER_SECONDS,
	};
	struct ic_child child = { 0 };
	int ret;

	if (*name == '-')
		return -EINVAL;
	ret = ic_child_start(&child, &program);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	while (ic_child_runs(&child))
		ic_child_wait(&child);
	if (child.timed_out)
		return -ETIMEDOUT;
	if (child.error || !WIFEXITED(child.status))
		return -EIO;
	return !WEXITSTATUS(child.status);
}

struct ic_managers *ic_managers_open(struct iommucfg *ctx)
{
	struct ic_managers *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->ctx = ctx;
	if (!*ctx->root)
		open_bus(m);
	return m;
}

void ic_managers_close(struct ic_managers *m)
{
	if (m)
		close_bus(m);
	free(m);
}

enum ic_manager ic_managers_ask(struct ic_managers *m, const char *name, int index)
{
	int nm = 0, networkd = 0, ifupdown;

	/* A saved tree has none that could be asked. */
	if (*m->ctx->root)
		return IC_MANAGER_UNKNOWN;
	if (m->has_nm)
		nm = m->nm_mute ? -ETIMEDOUT : ask_nm(m, name);
	m->nm_mute |= nm == -ETIMEDOUT;
	nm = ask_daemon(m, m->has_nm, "run/NetworkManager", nm);
	if (nm > 0)
		return IC_MANAGER_NETWORKMANAGER;
	if (m->has_networkd)
		networkd = m->networkd_mute ? -ETIMEDOUT : ask_networkd(m, index);
	m->networkd_mute |= networkd == -ETIMEDOUT;
	networkd = ask_daemon(m, m->has_networkd, "run/systemd/netif/state", networkd);
	if (networkd > 0)
		return IC_MANAGER_NETWORKD;
	ifupdown = m->ifupdown_mute ? -ETIMEDOUT : ask_ifupdown(name);
	m->ifupdown_mute |= ifupdown == -ETIMEDOUT;
	if (ifupdown > 0)
		return IC_MANAGER_IFUPDOWN;
	return nm < 0 || networkd < 0 || ifupdown < 0 ? IC_MANAGER_UNKNOWN : IC_MANAGER_NONE;
}

/* As a sentence names it; NULL where there is none. */
const char *ic_manager_name(enum ic_manager manager)
{
	switch (manager) {
	case IC_MANAGER_NETWORKMANAGER:
		return "NetworkManager";
	case IC_MANAGER_NETWORKD:
		return "systemd-networkd";
	case IC_MANAGER_IFUPDOWN:
		return "ifupdown";
	case IC_MANAGER_UNKNOWN:
		return "unknown";
	case IC_MANAGER_NONE:
		break;
	}
	return NULL;
}
