// SPDX-License-Identifier: GPL-2.0
/*
 * uevents FILE: writes the kernel's uevents to FILE, a line each, from the background.
 * Prints the process number once it listens; on SIGTERM it writes what is still
 * queued and ends, so that nothing sent before the signal is missing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int die(const char *what)
{
	fprintf(stderr, "uevents: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Writes what is queued; says so where the queue was too short. */
static void drain(int sock, FILE *out)
{
	char buf[16384];
	ssize_t n;

	for (;;) {
		n = recv(sock, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS) {
			fputs("LOST\n", out);
			continue;
		}
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			putc(buf[i] ? buf[i] : i + 1 < n ? ' ' : '\n', out);
		if (buf[n - 1])
			putc('\n', out);
	}
	fflush(out);
}

int main(int argc, char **argv)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int sock, size = 16 << 20;
	sigset_t set;
	pid_t child;
	FILE *out;

	if (argc != 2)
		return fprintf(stderr, "uevents: FILE\n"), 2;
	out = fopen(argv[1], "w");
	if (!out)
		return die(argv[1]);
	sock = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (sock < 0)
		return die("socket");
	if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		return die("buffer");
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return die("bind");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);

	child = fork();
	if (child < 0)
		return die("fork");
	if (child) {
		printf("%d\n", (int)child);
		return 0;
	}
	close(STDOUT_FILENO);
	fds[0].fd = sock;
	fds[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			return die("poll");
		drain(sock, out);
		if (fds[1].revents)
			return 0;
	}
}
