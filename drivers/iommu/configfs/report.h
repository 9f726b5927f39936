/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_REPORT_H
#define _ICFG_REPORT_H

#include <linux/compiler_attributes.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "words.h"

/* What configfs lets a text attribute hold, whatever the size of a page. */
#define ICFG_TEXT_MAX	SZ_4K

/* Names no group in a line of a report. */
#define ICFG_NO_GROUP	-1

/**
 * struct icfg_report - the problems of the last run of a transaction
 * @lock: protects the rest; taken inside of every other lock
 * @lines: struct report_line, in the order in which they came up
 * @count: lines kept
 * @lost: lines that were not kept, for want of memory or because there were
 *	too many
 */
struct icfg_report {
	spinlock_t lock;	/* protects all of it */
	struct list_head lines;
	unsigned int count;
	unsigned int lost;
};

void icfg_report_init(struct icfg_report *report);
void icfg_report_clear(struct icfg_report *report);
void icfg_report_keep(struct icfg_report *report, unsigned int count);
__printf(6, 7)
void icfg_report_add(struct icfg_report *report, int group, const char *device,
		     enum icfg_phase phase, int err, const char *fmt, ...);
ssize_t icfg_report_show(struct icfg_report *report, int group, char *page,
			 size_t at);

#endif /* _ICFG_REPORT_H */
