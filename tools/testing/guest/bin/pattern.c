// SPDX-License-Identifier: GPL-2.0
/*
 * A disk's content, past the page cache (O_DIRECT both ways):
 *
 *	pattern write DISK MIB SEED	fills it, prints the checksum
 *	pattern sum DISK MIB		reads it, prints the checksum
 *	pattern check DISK MIB SEED	reads it and compares word by word
 *	pattern loop DISK MIB SEED	writes and compares until SIGTERM; then prints the rounds
 *
 * Each block differs from all others, so that misdirected DMA shows, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK	(256 * 1024)
#define WORDS	(CHUNK / sizeof(uint64_t))

static uint64_t *buf;
static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void die(const char *what, off_t at)
{
	fprintf(stderr, "pattern: %s at %jd: %s\n", what, (intmax_t)at, strerror(errno));
	exit(1);
}

/* splitmix64: good enough that no two blocks look alike. */
static uint64_t word(uint64_t seed, uint64_t n)
{
	uint64_t z = (seed << 40) + n * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t mix(uint64_t sum)
{
	for (size_t i = 0; i < WORDS; i++)
		sum = (sum ^ buf[i]) * 0x100000001b3ULL;
	return sum;
}

static void chunk_write(int fd, off_t at, uint64_t seed)
{
	ssize_t n;

	for (size_t i = 0; i < WORDS; i++)
		buf[i] = word(seed, at / sizeof(uint64_t) + i);
	n = pwrite(fd, buf, CHUNK, at);
	if (n != CHUNK)
		die(n < 0 ? "write" : "short write", at);
}

static void chunk_read(int fd, off_t at)
{
	ssize_t n;

	/* What does not arrive must not pass for what an earlier read left. */
	memset(buf, 0xa5, CHUNK);
	n = pread(fd, buf, CHUNK, at);
	if (n != CHUNK)
		die(n < 0 ? "read" : "short read", at);
}

static void chunk_check(off_t at, uint64_t seed)
{
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t want = word(seed, at / sizeof(uint64_t) + i);

		if (buf[i] == want)
			continue;
		fprintf(stderr, "pattern: at byte %jd: %016" PRIx64 " instead of %016" PRIx64 "\n",
			(intmax_t)(at + i * sizeof(uint64_t)), buf[i], want);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const struct sigaction act = { .sa_handler = on_term };
	uint64_t sum = 0xcbf29ce484222325ULL, seed, rounds = 0;
	const char *verb;
	off_t at, size;
	int fd;

	if (argc < 4) {
		fprintf(stderr, "pattern: write|sum|check|loop DISK MIB [SEED]\n");
		return 2;
	}
	verb = argv[1];
	size = (off_t)atoll(argv[3]) << 20;
	seed = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	fd = open(argv[2], O_RDWR | O_DIRECT | O_SYNC);
	if (fd < 0)
		die(argv[2], 0);
	if (posix_memalign((void **)&buf, 4096, CHUNK))
		die("memory", 0);

	if (!strcmp(verb, "loop")) {
		sigaction(SIGTERM, &act, NULL);
		for (; !stop; rounds++) {
			for (at = 0; at < size && !stop; at += CHUNK) {
				chunk_write(fd, at, seed + rounds);
				chunk_read(fd, at);
				chunk_check(at, seed + rounds);
			}
		}
		printf("%" PRIu64 "\n", rounds);
		return 0;
	}
	for (at = 0; at < size; at += CHUNK) {
		if (!strcmp(verb, "write")) {
			chunk_write(fd, at, seed);
			sum = mix(sum);
		} else if (!strcmp(verb, "sum")) {
			chunk_read(fd, at);
			sum = mix(sum);
		} else if (!strcmp(verb, "check")) {
			chunk_read(fd, at);
			chunk_check(at, seed);
		} else {
			fprintf(stderr, "pattern: what is \"%s\"?\n", verb);
			return 2;
		}
	}
	if (strcmp(verb, "check"))
		printf("%016" PRIx64 "\n", sum);
	return 0;
}
