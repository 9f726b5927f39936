/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IOMMU faults in the kernel's log, and the devices that they are of. */
#ifndef IOMMUCFG_FAULTS_H
#define IOMMUCFG_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iommucfg;
struct iommucfg_device;
struct iommucfg_problems;
struct iommucfg_topology;
struct json_object;

/* faults.c: what the lines say */
enum ic_fault_by {
	IC_FAULT_BY_NAME,	/* of the device */
	IC_FAULT_BY_PCI,	/* requester id */
	IC_FAULT_BY_ID,		/* stream id, or endpoint id */
};

#define IC_FAULT_ANY_SEGMENT	0xffffffff	/* the line does not say */

struct ic_fault {
	enum ic_fault_by by;
	char name[64];
	uint32_t segment;
	uint16_t requester;	/* bus << 8 | devfn */
	uint32_t id;
	char iommu[64];		/* the device of the SMMU that the id is one of, or "" */
};

/* What the lines before say about the next one; zero-initialise. */
struct ic_fault_parser {
	bool raw_event;		/* the next line is the first of an SMMUv3 event's */
};

bool ic_fault_parse(struct ic_fault_parser *parser, const char *line, struct ic_fault *fault);

/* fault-source.c: whose it is */
#define IC_SOURCE_ALIASES	8

struct ic_source {
	char *name;
	bool pci, unique;	/* unique: no other segment has a device of this address */
	uint32_t segment;
	uint16_t requesters[1 + IC_SOURCE_ALIASES];	/* its own first */
	size_t num_requesters;
	uint8_t lone;		/* a bit for each function of its slot that there is not */
	char *iommu;		/* the device of its IOMMU, or NULL where that is not known */
	uint32_t *ids;		/* stream ids that the device tree gives */
	size_t num_ids;
};

int ic_source_init(struct ic_source *source, const struct iommucfg_device *device);
void ic_source_clear(struct ic_source *source);
bool ic_source_is(const struct ic_source *source, const struct ic_fault *fault);

/* kernel-log.c: /dev/kmsg */
struct ic_log {
	int fd;
	char *buf;
	size_t begin, end;
	bool lost;		/* records were overwritten before they were read */
	bool any;		/* has had a record, of which the first one has the number */
	uint64_t oldest;
};

struct ic_record {
	uint64_t seq, time;	/* time: microseconds since boot */
	char *text;		/* good until the next call */
};

int ic_log_open(struct ic_log *log, struct iommucfg *ctx);
void ic_log_close(struct ic_log *log);
int ic_log_next(struct ic_log *log, struct ic_record *record);

/* fault-watch.c: the faults of some devices */
struct ic_watched {
	struct ic_source source;
	long group;
	uint64_t from;		/* number of the first record that counts */
	unsigned long from_round;	/* of reading */
	bool before;		/* has had faults in the ten minutes before the change */
	bool told;
};

#define IC_WATCH_NOT_YET	UINT64_MAX

struct ic_hit {
	size_t watched;
	uint64_t seq;
	unsigned long round;
	char *line;
};

/* fault-trace.c: the trace event io_page_fault */
struct ic_fault_trace {
	struct iommucfg *ctx;
	int fd;
	char name[48];		/* of the instance */
	char buf[1024];
	size_t length;
};

void ic_fault_trace_open(struct ic_fault_trace *trace, struct iommucfg *ctx);
void ic_fault_trace_close(struct ic_fault_trace *trace);
char *ic_fault_trace_next(struct ic_fault_trace *trace);

struct ic_watch {
	struct ic_log log;
	struct ic_fault_trace trace;
	struct ic_fault_parser parser;
	unsigned long round;	/* of reading */
	struct ic_watched *v;
	size_t n, cap;
	struct ic_hit *hits;
	size_t num_hits, cap_hits;
	/* numbers of records: the first one after the change began, and the next to read */
	uint64_t began, next;
	uint64_t time;		/* when it began, in microseconds since boot */
	bool rollback;		/* is a fault more than a warning? */
	bool lost_told;
	int error;		/* why some are not seen, a negative errno, or 0 */
};

struct ic_watch *ic_watch_new(struct iommucfg *ctx, bool rollback,
			      struct iommucfg_problems *problems);
void ic_watch_free(struct ic_watch *watch);
int ic_watch_add(struct ic_watch *watch, const struct iommucfg_device *device);
void ic_watch_begin(struct ic_watch *watch, struct iommucfg *ctx,
		    struct iommucfg_problems *problems);
void ic_watch_read(struct ic_watch *watch);
bool ic_watch_judge(struct ic_watch *watch, struct iommucfg_problems *problems);

#endif
