// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kernel's reports: "<group|-> <device|-> <phase> <ERRNO NAME> <what and
 * why>" a line. A page that is full ends in a line that counts the rest; then
 * the lists of the groups have it.
 */
#include <errno.h>
#include <stdio.h>

#include "txn.h"

static const char *const phases[] = {
	"check", "release", "pause", "switch", "resume", "probe", "verify", "restore", NULL
};

static bool is_phase(const char *word)
{
	size_t i;

	for (i = 0; phases[i]; i++)
		if (!strcmp(word, phases[i]))
			return true;
	return false;
}

static bool is_told(const struct iommucfg_problems *problems, size_t from, const char *message)
{
	size_t i;

	for (i = from; problems && i < problems->n; i++)
		if (!strcmp(problems->v[i].message, message))
			return true;
	return false;
}

/* What a line says, with the place in front, for a person. */
static char *compose(long group, const char *device, const char *phase, const char *why)
{
	char where[64] = "", *message;

	if (group >= 0)
		snprintf(where, sizeof(where), "group %ld%s", group, device ? ", " : ": ");
	if (asprintf(&message, "%s%s%s%s%s%s", where, device ? device : "", device ? ": " : "",
		     strcmp(phase, "check") ? phase : "", strcmp(phase, "check") ? ": " : "",
		     why) < 0)
		return NULL;
	return message;
}

/* 1 for a line of the form, 0 for another one, which is taken over as it is. */
static int add_line(struct iommucfg_problems *problems, enum iommucfg_severity severity,
		    const char *line, size_t from)
{
	char group[32], device[128], phase[32], word[32];
	struct ic_where where = IC_NOWHERE;
	struct iommucfg_problem *last;
	unsigned int number = 0;
	char *message;
	int at = 0, ret;

	if (sscanf(line, "%31s %127s %31s %31s %n", group, device, phase, word, &at) != 4 || !at ||
	    !is_phase(phase) || *word != 'E' ||
	    (strcmp(group, "-") && !ic_canonical_decimal(group, &number))) {
		if (is_told(problems, from, line))
			return 0;
		return ic_problem(problems, severity, "kernel", &where, "%s", line);
	}
	ic_unescape(device);
	if (strcmp(group, "-"))
		where.group = number;
	if (strcmp(device, "-"))
		where.device = device;
	message = compose(where.group, where.device, phase, line + at);
	if (!message)
		return -ENOMEM;
	ret = 0;
	if (problems && !is_told(problems, from, message)) {
		ret = ic_problem(problems, severity, "kernel", &where, "%s", message);
		last = ic_problem_last(problems);
		if (!ret && (ic_strdup(&last->phase, phase) || ic_strdup(&last->error_word, word)))
			ret = -ENOMEM;
	}
	free(message);
	return ret ? ret : 1;
}

/*
 * Adds the lines of a report that are not among the problems from index @from on,
 * and says in *@full whether there is more than it has.
 */
int ic_report_lines(struct iommucfg_problems *problems, enum iommucfg_severity severity,
		    char *text, size_t from, bool *full)
{
	char *line, *save;
	int ret;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		ret = add_line(problems, severity, line, from);
		if (ret < 0)
			return ret;
		if (!ret)
			*full = true;
	}
	return 0;
}

/* The first line of a group's status is its word. */
static int add_status(struct iommucfg_txn *txn, unsigned int group,
		      enum iommucfg_severity severity, struct iommucfg_problems *problems,
		      size_t from)
{
	char path[64], *text, *rest;
	bool full;
	int ret = 0;

	snprintf(path, sizeof(path), "%u/status", group);
	text = ic_read_text(txn->fd, path, NULL);
	rest = text ? strchr(text, '\n') : NULL;
	if (rest)
		ret = ic_report_lines(problems, severity, rest + 1, from, &full);
	free(text);
	return ret;
}

int iommucfg_txn_report(struct iommucfg_txn *txn, enum iommucfg_severity severity,
			struct iommucfg_problems *problems)
{
	size_t from = iommucfg_problems_count(problems);
	unsigned int *groups = NULL;
	bool full = false;
	int ret = 0, n, i;
	char *text;

	text = ic_read_text(txn->fd, "report", &ret);
	if (!text)
		return ret;
	ret = ic_report_lines(problems, severity, text, from, &full);
	free(text);
	if (ret)
		return ret;
	if (full) {
		n = iommucfg_txn_groups(txn, &groups);
		for (i = 0; i < n && !ret; i++)
			ret = add_status(txn, groups[i], severity, problems, from);
		free(groups);
	}
	return ret ? ret : (int)(iommucfg_problems_count(problems) - from);
}
