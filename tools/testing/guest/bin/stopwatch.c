// SPDX-License-Identifier: GPL-2.0
/*
 * Measures on the guest's own clock, in nanoseconds.
 *
 *	stopwatch run COMMAND...	how long the command takes; what it prints goes
 *					to standard error, and its exit status is ours
 *	stopwatch txn NAME TYPE STEP... < GROUPS
 *		takes the transaction NAME through these steps, one process for all, and
 *		prints "STEP WALL CPU" for each: stage (mkdir and type, for each of the
 *		groups' numbers on standard input), check, commit, rollback, rmdir. CPU is
 *		what all CPUs together spent in any task meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONFIGFS	"/sys/kernel/config/iommu"

static const char *name, *type;
static unsigned int *groups;
static size_t nr_groups;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
	int err = errno;
	va_list args;

	va_start(args, format);
	fputs("stopwatch: ", stderr);
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(err));
	va_end(args);
	exit(1);
}

static uint64_t wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The seventh number of each CPU's line: what tasks have run on it, up to the last switch. */
static uint64_t cpu(void)
{
	FILE *f = fopen("/proc/schedstat", "r");
	uint64_t sum = 0, ran;
	char line[1024];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu%*u %*s %*s %*s %*s %*s %*s %" SCNu64, &ran) == 1)
			sum += ran;
	if (f)
		fclose(f);
	return sum;
}

static int run(char **argv)
{
	uint64_t start = wall();
	int status;
	pid_t pid;

	pid = vfork();
	if (pid < 0)
		die("vfork");
	if (!pid) {
		dup2(2, 1);
		execvp(*argv, argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	printf("%" PRIu64 "\n", wall() - start);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static const char *path_of(unsigned int group, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), CONFIGFS "/%s/%u%s", name, group, file);
	return path;
}

static const char *path_to(const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), CONFIGFS "/%s%s", name, file);
	return path;
}

static void copy_out(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[4096];

	while (f && fgets(line, sizeof(line), f))
		fputs(line, stderr);
	if (f)
		fclose(f);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		die("%s", path);
	if (write(fd, text, strlen(text)) < 0) {
		int err = errno;

		copy_out(path_to("/report"));
		errno = err;
		die("%s", path);
	}
	close(fd);
}

static void stage(void)
{
	if (mkdir(path_to(""), 0755))
		die("%s", path_to(""));
	for (size_t i = 0; i < nr_groups; i++) {
		if (mkdir(path_of(groups[i], ""), 0755))
			die("%s", path_of(groups[i], ""));
		put(path_of(groups[i], "/type"), type);
	}
}

static void remove_all(void)
{
	for (size_t i = 0; i < nr_groups; i++)
		if (rmdir(path_of(groups[i], "")))
			die("%s", path_of(groups[i], ""));
	if (rmdir(path_to("")))
		die("%s", path_to(""));
}

static void do_step(const char *step)
{
	char path[32];

	if (!strcmp(step, "stage")) {
		stage();
	} else if (!strcmp(step, "rmdir")) {
		remove_all();
	} else {
		snprintf(path, sizeof(path), "/%s", step);
		put(path_to(path), "1");
	}
}

static void read_groups(void)
{
	size_t room = 0;
	unsigned int id;

	while (scanf("%u", &id) == 1) {
		if (nr_groups == room) {
			room = room ? 2 * room : 64;
			groups = realloc(groups, room * sizeof(*groups));
			if (!groups)
				die("no memory");
		}
		groups[nr_groups++] = id;
	}
}

static int txn(char **steps)
{
	read_groups();
	for (; *steps; steps++) {
		uint64_t cpu_start = cpu(), start = wall(), took;

		do_step(*steps);
		took = wall() - start;
		printf("%s %" PRIu64 " %" PRIu64 "\n", *steps, took, cpu() - cpu_start);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc > 4 && !strcmp(argv[1], "txn")) {
		name = argv[2];
		type = argv[3];
		return txn(argv + 4);
	}
	fputs("stopwatch: run COMMAND... | txn NAME TYPE STEP... < GROUPS\n", stderr);
	return 2;
}
