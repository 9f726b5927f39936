// SPDX-License-Identifier: GPL-2.0
/*
 * Does one system call and prints how it ended: 0 or the errno's name.
 *
 *	try [-u UID] [-d CAP]... [-U] write FILE TEXT	one write(2), with a newline
 *	try ... raw FILE TEXT				one write(2), as it is
 *	try ... read FILE				reads to the end, drops the text
 *	try ... open FILE				read-write
 *	try ... mkdir DIR | rmdir DIR
 *	try ... insmod FILE [PARAMETER=VALUE]
 *	try ... run COMMAND ARG...			becomes the command
 *
 * -u UID	as this user; root's capabilities go, unless -k
 * -k		keeps the capabilities across -u
 * -d CAP	without the capability (sys_admin, sys_rawio), else as before
 * -U		in a user namespace of its own, as root there
 * -f N		the Nth allocation of the call fails, of those that failslab is for; what is
 *		printed ends in how many of the N were left: 0 if that one came
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "try: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(file);
	close(fd);
}

static void drop(const char *name)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	int cap;

	if (!strcmp(name, "sys_admin"))
		cap = CAP_SYS_ADMIN;
	else if (!strcmp(name, "sys_rawio"))
		cap = CAP_SYS_RAWIO;
	else
		cap = atoi(name);
	if (syscall(SYS_capget, &head, data))
		die("capget");
	data[cap / 32].effective &= ~(1u << cap % 32);
	data[cap / 32].permitted &= ~(1u << cap % 32);
	data[cap / 32].inheritable &= ~(1u << cap % 32);
	/* Else exec gives it back to root. */
	if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
		die("capability bounding set");
	if (syscall(SYS_capset, &head, data))
		die("capset");
}

static void become(uid_t uid, int keep)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		die("keepcaps");
	if (syscall(SYS_capget, &head, data))
		die("capget");
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		die("setresuid");
	/* The effective ones go in any case; they are set again. */
	if (keep && syscall(SYS_capset, &head, data))
		die("capset");
}

/* Before and after the system call; reading it costs no allocation. */
static int nth_fd = -1;
static int nth;

static void fail_nth(int n)
{
	char text[12];

	if (nth_fd < 0)
		return;
	snprintf(text, sizeof(text), "%d", n);
	if (write(nth_fd, text, strlen(text)) < 0)
		die("fail-nth");
}

static int left_of_nth(void)
{
	char text[12] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		die("fail-nth");
	fail_nth(0);
	return atoi(text);
}

static int insmod(const char *file, const char *parameters)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	fail_nth(nth);
	return syscall(SYS_finit_module, fd, parameters ? parameters : "", 0) ? errno : 0;
}

static int transfer(int fd, const char *text, size_t len)
{
	ssize_t n;

	fail_nth(nth);
	n = write(fd, text, len);
	if (n < 0)
		return errno;
	if ((size_t)n != len) {
		fprintf(stderr, "try: short write: %zd of %zu\n", n, len);
		exit(2);
	}
	return 0;
}

static int act(const char *verb, const char *path, const char *text)
{
	char buf[65536];
	ssize_t n;
	int fd, err;

	if (!strcmp(verb, "insmod"))
		return insmod(path, text);
	if (!strcmp(verb, "mkdir")) {
		fail_nth(nth);
		return mkdir(path, 0755) ? errno : 0;
	}
	if (!strcmp(verb, "rmdir"))
		return rmdir(path) ? errno : 0;
	if (!strcmp(verb, "open"))
		return open(path, O_RDWR) < 0 ? errno : 0;
	if (!strcmp(verb, "read")) {
		fd = open(path, O_RDONLY);
		if (fd < 0)
			return errno;
		do {
			n = read(fd, buf, sizeof(buf));
		} while (n > 0);
		return n < 0 ? errno : 0;
	}
	if ((strcmp(verb, "write") && strcmp(verb, "raw")) || !text) {
		fprintf(stderr, "try: what is \"%s\"?\n", verb);
		exit(2);
	}
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return errno;
	if (!strcmp(verb, "raw"))
		return transfer(fd, text, strlen(text));
	if (asprintf((char **)&text, "%s\n", text) < 0)
		die("out of memory");
	err = transfer(fd, text, strlen(text));
	close(fd);
	return err;
}

int main(int argc, char **argv)
{
	int opt, err, keep = 0, space = 0;
	const char *caps[8];
	int ncaps = 0;
	long uid = -1;

	while ((opt = getopt(argc, argv, "+u:kd:Uf:")) != -1) {
		switch (opt) {
		case 'u':
			uid = atol(optarg);
			break;
		case 'k':
			keep = 1;
			break;
		case 'd':
			if (ncaps < 8)
				caps[ncaps++] = optarg;
			break;
		case 'U':
			space = 1;
			break;
		case 'f':
			nth = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	argc -= optind;
	argv += optind;
	if (argc < 2) {
		fprintf(stderr, "try: write|raw|read|open|mkdir|rmdir|insmod|run PATH [TEXT]\n");
		return 2;
	}

	if (space) {
		if (unshare(CLONE_NEWUSER))
			die("unshare");
		put("/proc/self/setgroups", "deny");
		put("/proc/self/uid_map", "0 0 1");
		put("/proc/self/gid_map", "0 0 1");
	}
	/* Capabilities first: without them all it may still give up its uid. */
	while (ncaps)
		drop(caps[--ncaps]);
	if (uid >= 0)
		become(uid, keep);

	if (!strcmp(argv[0], "run")) {
		execvp(argv[1], argv + 1);
		die(argv[1]);
	}
	if (nth) {
		nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
		if (nth_fd < 0)
			die("fail-nth");
	}
	err = act(argv[0], argv[1], argv[2]);
	printf("%s", err ? strerrorname_np(err) : "0");
	if (nth)
		printf(" %d", left_of_nth());
	putchar('\n');
	return 0;
}
