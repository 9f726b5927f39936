// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report of a transaction: one line for each problem, kept until the next
 * run replaces it, shown whole in `report` and by group in `status`.
 *
 * Owns struct icfg_report. Its spinlock lets every worker of a plan add lines
 * while user space reads.
 */
#include <linux/cleanup.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/stdarg.h>
#include <linux/string.h>

#include "icfg.h"

/* A machine with thousands of broken devices needs no line for each. */
#define REPORT_LINES_MAX	4096

/* Room kept at the end of a page for the line that counts what is left out. */
#define REPORT_TAIL		64

struct report_line {
	struct list_head node;
	int group;
	char *text;
};

static void free_line(struct report_line *line)
{
	if (line)
		kfree(line->text);
	kfree(line);
}

void icfg_report_init(struct icfg_report *report)
{
	spin_lock_init(&report->lock);
	INIT_LIST_HEAD(&report->lines);
	report->count = 0;
	report->lost = 0;
}

/**
 * icfg_report_keep - forget the oldest lines
 * @report: the report
 * @count: how many to keep at most; fewer if they do not fit a page
 */
void icfg_report_keep(struct icfg_report *report, unsigned int count)
{
	struct report_line *line, *next;
	size_t size = 0;
	LIST_HEAD(old);

	scoped_guard(spinlock, &report->lock) {
		list_for_each_entry(line, &report->lines, node)
			size += strlen(line->text) + 1;
		list_for_each_entry_safe(line, next, &report->lines, node) {
			if (report->count <= count &&
			    size <= ICFG_TEXT_MAX - REPORT_TAIL)
				break;
			size -= strlen(line->text) + 1;
			list_move(&line->node, &old);
			report->count--;
		}
		report->lost = 0;
	}

	list_for_each_entry_safe(line, next, &old, node)
		free_line(line);
}

void icfg_report_clear(struct icfg_report *report)
{
	icfg_report_keep(report, 0);
}

/* "EBUSY" for -EBUSY, as %pe has it, without the minus. */
static const char *errno_name(int err, char *buf, size_t size)
{
	snprintf(buf, size, "%pe", ERR_PTR(err));
	return buf + (buf[0] == '-');
}

/**
 * icfg_report_add - add a line
 * @report: the report
 * @group: the group's number, or ICFG_NO_GROUP
 * @device: the device's name, or NULL
 * @phase: when it happened
 * @err: what happened, a negative errno
 * @fmt: what and why, one line without its newline
 *
 * A line for which there is no memory is counted and the count is shown.
 */
void icfg_report_add(struct icfg_report *report, int group, const char *device,
		     enum icfg_phase phase, int err, const char *fmt, ...)
{
	/* The way back waits for no memory to say what it does. */
	gfp_t gfp = GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct report_line *line = kmalloc(sizeof(*line), gfp);
	struct va_format vaf = { .fmt = fmt };
	char name[24], id[12] = "-";
	va_list args;

	if (group != ICFG_NO_GROUP)
		snprintf(id, sizeof(id), "%d", group);
	if (line) {
		va_start(args, fmt);
		vaf.va = &args;
		line->group = group;
		line->text = kasprintf(gfp, "%s %s %s %s %pV", id, device ?: "-",
				       icfg_phase_word(phase),
				       errno_name(err, name, sizeof(name)), &vaf);
		va_end(args);
	}

	scoped_guard(spinlock, &report->lock) {
		if (line && line->text && report->count < REPORT_LINES_MAX) {
			list_add_tail(&line->node, &report->lines);
			report->count++;
			line = NULL;
		} else {
			report->lost++;
		}
	}
	free_line(line);
}

/**
 * icfg_report_show - print a report to a page
 * @report: the report
 * @group: only this group's lines, or ICFG_NO_GROUP for all
 * @page: a page
 * @at: where in @page to begin
 *
 * Returns the number of bytes used of @page, including the first @at. Lines
 * are never cut: those that do not fit are counted in a last line.
 */
ssize_t icfg_report_show(struct icfg_report *report, int group, char *page,
			 size_t at)
{
	struct report_line *line;
	unsigned int left = 0;

	spin_lock(&report->lock);
	list_for_each_entry(line, &report->lines, node) {
		size_t len = strlen(line->text);

		if (group != ICFG_NO_GROUP && line->group != group)
			continue;
		if (left || at + len + 1 > ICFG_TEXT_MAX - REPORT_TAIL) {
			left++;
			continue;
		}
		memcpy(page + at, line->text, len);
		at += len;
		page[at++] = '\n';
	}

	/* Of which group these were is not known. */
	left += report->lost;
	spin_unlock(&report->lock);

	if (left)
		at += scnprintf(page + at, ICFG_TEXT_MAX - at,
				"... %u more lines left out\n", left);
	return at;
}
