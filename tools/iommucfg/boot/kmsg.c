// SPDX-License-Identifier: GPL-2.0
/* Messages to the kernel's log, where whoever looks after a boot will look. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"

void kmsg(struct cli *cli, int level, const char *format, ...)
{
	char *path, *text = NULL, line[900], *p;
	va_list args;
	int fd, n;

	if (asprintf(&path, "%s/dev/kmsg", iommucfg_root(cli->ctx)) < 0)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return;
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n >= 0) {
		for (p = text; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				*p = '?';
		/* The kernel takes no record that is longer. */
		n = snprintf(line, sizeof(line), "<%d>iommucfg: %s", level, text);
		if ((size_t)n >= sizeof(line) - 1)
			n = sizeof(line) - 2;
		line[n++] = '\n';
		if (write(fd, line, n) < 0)
			cli_debug(cli, "/dev/kmsg cannot be written");
		free(text);
	}
	close(fd);
}
