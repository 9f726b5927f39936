// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The faults of the devices of a change. Whether one is because of the change is a question
 * of order, not of clocks: the log is read, then it is looked at which groups have been
 * switched, and what was read before a group was seen to be switched does not count.
 */
#include <errno.h>
#include <time.h>

#include "faults.h"
#include "internal.h"

/* A device that has had faults so shortly before the change has them from something else. */
#define BEFORE_USEC	(10 * 60 * 1000000ULL)

static uint64_t now(void)
{
	struct timespec t;

	/* The log's clock is not disciplined, but by far near enough for ten minutes. */
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static void add_warning(struct iommucfg_problems *problems, const struct ic_watched *watched,
			int error, const char *code, const char *text)
{
	struct ic_where where = {
		.line = -1, .group = watched ? watched->group : -1,
		.device = watched ? watched->source.name : NULL, .error = error,
	};

	ic_problem(problems, IOMMUCFG_WARNING, "fault", &where, "%s", text);
	ic_problem_cure(problems, code, NULL);
}

/* NULL if there is no memory, or the log cannot be read; then there is a warning. */
struct ic_watch *ic_watch_new(struct iommucfg *ctx, bool rollback,
			      struct iommucfg_problems *problems)
{
	struct ic_watch *watch = calloc(1, sizeof(*watch));
	char text[160];
	int ret = -ENOMEM;

	if (watch) {
		watch->rollback = rollback;
		watch->trace.fd = -1;
		watch->time = now();
		ret = ic_log_open(&watch->log, ctx);
	}
	if (!ret)
		return watch;
	snprintf(text, sizeof(text),
		 "IOMMU faults of the changed devices are not seen: the kernel's log cannot be read: /dev/kmsg: %s",
		 strerror(-ret));
	add_warning(problems, NULL, -ret, "faults-unseen", text);
	free(watch);
	return NULL;
}

static void forget_hits(struct ic_watch *watch)
{
	while (watch->num_hits)
		free(watch->hits[--watch->num_hits].line);
}

void ic_watch_free(struct ic_watch *watch)
{
	size_t i;

	if (!watch)
		return;
	forget_hits(watch);
	for (i = 0; i < watch->n; i++)
		ic_source_clear(&watch->v[i].source);
	ic_log_close(&watch->log);
	ic_fault_trace_close(&watch->trace);
	free(watch->hits);
	free(watch->v);
	free(watch);
}

int ic_watch_add(struct ic_watch *watch, const struct iommucfg_device *device)
{
	struct ic_watched *watched;
	int ret;

	if (IC_GROW(watch->v, watch->n, watch->cap)) {
		watch->error = -ENOMEM;
		return -ENOMEM;
	}
	watched = &watch->v[watch->n];
	*watched = (struct ic_watched){
		.group = device->group->number, .from = IC_WATCH_NOT_YET,
	};
	ret = ic_source_init(&watched->source, device);
	if (!ret) {
		watch->n++;
		return 0;
	}
	ic_source_clear(&watched->source);
	watch->error = ret;
	return ret;
}

static void add_hit(struct ic_watch *watch, size_t i, uint64_t seq, const char *line)
{
	struct ic_hit *hit;

	if (IC_GROW(watch->hits, watch->num_hits, watch->cap_hits)) {
		watch->error = -ENOMEM;
		return;
	}
	hit = &watch->hits[watch->num_hits];
	*hit = (struct ic_hit){ .watched = i, .seq = seq, .round = watch->round };
	if (ic_strdup(&hit->line, line))
		watch->error = -ENOMEM;
	else
		watch->num_hits++;
}

static bool is_recent(const struct ic_watch *watch, const struct ic_record *record)
{
	return record->time + BEFORE_USEC >= watch->time;
}

/* There are no events from before it was made. */
static void read_trace(struct ic_watch *watch)
{
	struct ic_fault_parser parser = { 0 };
	struct ic_fault fault;
	char *line;
	size_t i;

	while ((line = ic_fault_trace_next(&watch->trace)))
		for (i = 0; i < watch->n; i++)
			if (ic_fault_parse(&parser, line, &fault) &&
			    ic_source_is(&watch->v[i].source, &fault))
				add_hit(watch, i, watch->next, line);
}

/* What has come since; see ic_watch_judge() for what it means. */
void ic_watch_read(struct ic_watch *watch)
{
	struct ic_record record;
	struct ic_fault fault;
	bool after;
	size_t i;

	watch->round++;
	while (ic_log_next(&watch->log, &record)) {
		watch->next = record.seq + 1;
		after = record.seq >= watch->began;
		if (!ic_fault_parse(&watch->parser, record.text, &fault))
			continue;
		for (i = 0; i < watch->n; i++)
			if (ic_source_is(&watch->v[i].source, &fault) &&
			    (after || (is_recent(watch, &record) && !watch->v[i].before))) {
				watch->v[i].before |= !after;
				add_hit(watch, i, record.seq, record.text);
			}
	}
	read_trace(watch);
}

static void warn(struct ic_watch *watch, const struct ic_hit *hit, const char *code,
		 const char *what, struct iommucfg_problems *problems)
{
	struct ic_watched *watched = &watch->v[hit->watched];
	char *text;

	if (watched->told || asprintf(&text, "%s %s: \"%s\"", watched->source.name, what,
				      hit->line) < 0)
		return;
	watched->told = true;
	add_warning(problems, watched, 0, code, text);
	free(text);
}

/* All that is in the log was before the change. */
void ic_watch_begin(struct ic_watch *watch, struct iommucfg *ctx,
		    struct iommucfg_problems *problems)
{
	watch->began = UINT64_MAX;
	ic_watch_read(watch);
	watch->began = watch->next;
	/* What was overwritten before is no loss. */
	watch->log.lost = false;
	ic_watch_judge(watch, problems);
	ic_fault_trace_open(&watch->trace, ctx);
}

/* Judges what was read. True where a fault says no; then there is a problem that quotes it. */
bool ic_watch_judge(struct ic_watch *watch, struct iommucfg_problems *problems)
{
	const struct ic_watched *watched;
	const struct ic_hit *hit;
	char text[160];
	bool no = false;
	size_t i;

	if (watch->log.lost && !watch->lost_told) {
		watch->lost_told = true;
		add_warning(problems, NULL, EPIPE, "faults-unseen",
			    "the kernel's log has lost messages since the change began: IOMMU faults may be among them");
	}
	if (watch->error) {
		snprintf(text, sizeof(text),
			 "not all IOMMU faults of the changed devices can be seen: %s",
			 strerror(-watch->error));
		add_warning(problems, NULL, -watch->error, "faults-unseen", text);
		watch->error = 0;
	}
	for (i = 0; i < watch->num_hits && !no; i++) {
		hit = &watch->hits[i];
		watched = &watch->v[hit->watched];
		if (watched->before) {
			warn(watch, hit, "faulted-before",
			     "has had IOMMU faults in the ten minutes before the change, so those do not undo it",
			     problems);
		} else if (hit->seq < watched->from || hit->round < watched->from_round) {
			warn(watch, hit, "faulted-before",
			     "had an IOMMU fault before its group was switched", problems);
		} else if (!watch->rollback) {
			warn(watch, hit, NULL, "has IOMMU faults after the change", problems);
		} else {
			no = true;
			ic_problem(problems, IOMMUCFG_REFUSED, "fault",
				   &(struct ic_where){ .line = -1, .group = watched->group,
						       .device = watched->source.name },
				   "group %ld: %s has an IOMMU fault after the change: \"%s\"",
				   watched->group, watched->source.name, hit->line);
		}
	}
	forget_hits(watch);
	return no;
}
