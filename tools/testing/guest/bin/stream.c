// SPDX-License-Identifier: GPL-2.0
/*
 * stream PORT: takes one TCP connection, reads from it until its end, and compares each
 * byte with what the other side sends. Then prints how much that was, how much of it was
 * wrong, whether the connection broke, and for how long nothing came at most:
 *
 *	bytes=N wrong=N errors=N longest_us=N
 *
 * stream ADDRESS PORT: connects to it, and sends until SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE	8192

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = sig;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* What the byte at a place in the stream is: neighbours and pages differ. */
static uint8_t byte_at(uint64_t at)
{
	return at ^ at >> 8 ^ at >> 16;
}

static int failed(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	return 1;
}

static int send_to(const struct sockaddr_in *addr)
{
	struct sigaction action = { .sa_handler = on_term };
	uint8_t buf[SIZE];
	uint64_t at = 0;
	size_t i;
	ssize_t n;
	int fd;

	sigaction(SIGTERM, &action, NULL);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return failed("connect");
	while (!stop) {
		for (i = 0; i < SIZE; i++)
			buf[i] = byte_at(at + i);
		n = send(fd, buf, SIZE, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return failed("send");
		at += n < 0 ? 0 : n;
	}
	return shutdown(fd, SHUT_WR) ? failed("shutdown") : 0;
}

static int receive(const struct sockaddr_in *addr)
{
	uint64_t at = 0, wrong = 0, longest = 0, errors = 0, last, now;
	uint8_t buf[SIZE];
	int listener, fd, on = 1;
	ssize_t n;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (const struct sockaddr *)addr, sizeof(*addr)) || listen(listener, 1))
		return failed("listen");
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return failed("accept");
	for (last = now_us(); (n = read(fd, buf, SIZE)); last = now) {
		now = now_us();
		if (now - last > longest)
			longest = now - last;
		if (n < 0) {
			errors++;
			break;
		}
		for (ssize_t i = 0; i < n; i++)
			wrong += buf[i] != byte_at(at + i);
		at += n;
	}
	printf("bytes=%llu wrong=%llu errors=%llu longest_us=%llu\n", (unsigned long long)at,
	       (unsigned long long)wrong, (unsigned long long)errors, (unsigned long long)longest);
	return wrong || errors || !at;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	if (argc < 2 || argc > 3)
		return 2;
	addr.sin_port = htons(atoi(argv[argc - 1]));
	if (argc == 2)
		return receive(&addr);
	if (inet_pton(AF_INET, argv[1], &addr.sin_addr) != 1)
		return 2;
	return send_to(&addr);
}
