// SPDX-License-Identifier: GPL-2.0
/*
 * stall FILE: writes 4 KiB at a time past the page cache and through the disk's own
 * (O_DIRECT|O_SYNC), reads each back and compares, until SIGTERM. Then prints how many
 * there were, how many failed, how many were wrong, and the longest, in microseconds:
 *
 *	writes=N errors=N wrong=N longest_us=N
 *
 * At SIGUSR1 it prints the same, and goes on; the longest is from then on.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZE	4096
#define BLOCKS	1024

static volatile sig_atomic_t stop, ask;

static void on_signal(int sig)
{
	if (sig == SIGTERM)
		stop = sig;
	else
		ask = sig;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void tell(uint64_t writes, uint64_t errors, uint64_t wrong, uint64_t longest)
{
	printf("writes=%llu errors=%llu wrong=%llu longest_us=%llu\n", (unsigned long long)writes,
	       (unsigned long long)errors, (unsigned long long)wrong,
	       (unsigned long long)longest);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t n, start, took, longest = 0, errors = 0, wrong = 0;
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	uint64_t *out, *in;
	int fd;

	if (argc != 2)
		return 2;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	fd = open(argv[1], O_RDWR | O_CREAT | O_DIRECT | O_SYNC, 0600);
	if (fd < 0 || posix_memalign((void **)&out, SIZE, SIZE) ||
	    posix_memalign((void **)&in, SIZE, SIZE)) {
		perror("stall");
		return 1;
	}
	for (n = 0; !stop; n++) {
		off_t at = n % BLOCKS * SIZE;

		/* Each block differs from what was there before, and from all others. */
		for (size_t i = 0; i < SIZE / sizeof(*out); i++)
			out[i] = n << 16 | i;
		start = now_us();
		if (pwrite(fd, out, SIZE, at) != SIZE || pread(fd, in, SIZE, at) != SIZE)
			errors++;
		else if (memcmp(out, in, SIZE))
			wrong++;
		took = now_us() - start;
		if (took > longest)
			longest = took;
		if (ask) {
			ask = 0;
			tell(n, errors, wrong, longest);
			longest = 0;
		}
	}
	tell(n, errors, wrong, longest);
	return errors || wrong;
}
