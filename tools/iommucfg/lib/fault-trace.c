// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The trace event iommu:io_page_fault, where the kernel has it: not every driver writes a line
 * into the log for each fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "faults.h"
#include "trace-instance.h"

#define EVENT	"iommu/io_page_fault"
#define PREFIX	"iommucfg-faults-"

void ic_fault_trace_open(struct ic_fault_trace *trace, struct iommucfg *ctx)
{
	trace->fd = -1;
	trace->ctx = ctx;
	ic_instance_make(ctx, PREFIX, EVENT, trace->name, sizeof(trace->name));
}

static void open_pipe(struct ic_fault_trace *trace)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "/instances/%s/trace_pipe", trace->name);
	trace->fd = openat(trace->ctx->rootfd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

void ic_fault_trace_close(struct ic_fault_trace *trace)
{
	if (trace->fd >= 0)
		close(trace->fd);
	if (*trace->name)
		ic_instance_remove(trace->ctx, trace->name);
	trace->fd = -1;
	*trace->name = '\0';
}

/* One event more, good until the next call; NULL where there is none now. */
char *ic_fault_trace_next(struct ic_fault_trace *trace)
{
	char *newline, *buf = trace->buf;
	ssize_t n;

	/* The line of the call before, which ended in a zero byte. */
	newline = memchr(buf, '\0', trace->length);
	if (newline) {
		trace->length -= newline + 1 - buf;
		memmove(buf, newline + 1, trace->length);
	}
	if (trace->fd < 0 && *trace->name)
		open_pipe(trace);
	while (trace->fd >= 0) {
		newline = memchr(buf, '\n', trace->length);
		if (newline) {
			*newline = '\0';
			return buf;
		}
		if (trace->length == sizeof(trace->buf))
			trace->length = 0;
		n = read(trace->fd, buf + trace->length, sizeof(trace->buf) - trace->length);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return NULL;
		if (n > 0)
			trace->length += n;
	}
	return NULL;
}
