// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kernel's log as /dev/kmsg gives it, from its oldest record on:
 *
 *	3,1217,5140900,-;text, with \x5c and control characters written so
 *	 KEY=value
 *
 * Only the kernel's own records: what processes write has another facility.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "faults.h"
#include "internal.h"

/* A record of the kernel's has 1024 bytes of text, each of which may be escaped. */
#define LOG_SIZE	16384

int ic_log_open(struct ic_log *log, struct iommucfg *ctx)
{
	*log = (struct ic_log){ .fd = openat(ctx->rootfd, "dev/kmsg",
					     O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) };
	if (log->fd < 0)
		return -errno;
	log->buf = malloc(LOG_SIZE + 1);
	if (log->buf)
		return 0;
	ic_log_close(log);
	return -ENOMEM;
}

void ic_log_close(struct ic_log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	free(log->buf);
	*log = (struct ic_log){ .fd = -1 };
}

/* One line more, without its end; NULL where there is none now. */
static char *next_line(struct ic_log *log)
{
	char *line, *end;
	ssize_t n;

	for (;;) {
		line = log->buf + log->begin;
		end = memchr(line, '\n', log->end - log->begin);
		if (end) {
			*end = '\0';
			log->begin = end + 1 - log->buf;
			return line;
		}
		memmove(log->buf, line, log->end - log->begin);
		log->end -= log->begin;
		log->begin = 0;
		/* What is that long is none of the kernel's. */
		if (log->end == LOG_SIZE)
			log->end = 0;
		n = read(log->fd, log->buf + log->end, LOG_SIZE - log->end);
		if (n < 0 && errno == EPIPE)
			log->lost = true;
		else if (n < 0 && errno != EINTR)
			return NULL;
		if (!n)
			return NULL;
		if (n > 0)
			log->end += n;
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && text[1] == 'x' && hex(text[2]) >= 0 && hex(text[3]) >= 0) {
			*to++ = hex(text[2]) << 4 | hex(text[3]);
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* 1, or 0 where there is no other one now. */
int ic_log_next(struct ic_log *log, struct ic_record *record)
{
	unsigned int priority;
	char *line, *text;

	while (log->fd >= 0 && (line = next_line(log))) {
		text = strchr(line, ';');
		if (!text || sscanf(line, "%u,%" SCNu64 ",%" SCNu64 ",", &priority, &record->seq,
				    &record->time) != 3)
			continue;
		if (!log->any)
			log->oldest = record->seq;
		log->any = true;
		if (priority >> 3)
			continue;
		unescape(text + 1);
		record->text = text + 1;
		return 1;
	}
	return 0;
}
