// SPDX-License-Identifier: GPL-2.0
/* The bar on a terminal while the kernel works. */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

static bool shown;

void progress_show(struct cli *cli, unsigned long done, unsigned long all)
{
	struct winsize size;
	char bar[61];
	int width = 40, filled;

	if (cli->quiet || !isatty(STDERR_FILENO) || !all)
		return;
	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col) {
		width = size.ws_col - 40;
		width = width < 4 ? 4 : width > 60 ? 60 : width;
	}
	filled = done >= all ? width : (int)(done * width / all);
	memset(bar, '#', filled);
	memset(bar + filled, '.', width - filled);
	bar[width] = '\0';
	fprintf(stderr, "\r[%s] %lu of %lu device steps ", bar, done, all);
	fflush(stderr);
	shown = true;
}

void progress_clear(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
