// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz-tree SEED SECONDS DESCRIPTION
 *
 * Four processes make calls from a description of the interface in syzkaller's language,
 * samples/syzkaller/iommu_configfs.txt, in any order and with any of its strings; now and
 * then with one that was damaged. Of the language it knows what that file uses: lists of
 * strings, and mkdirat, unlinkat, openat, write and read with a string, a list, a resource.
 *
 * Prints how often each call ended how. What came of it the kernel log tells, and a file
 * whose text does not end in a newline, or that cannot be read, makes this fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES	4
#define NAME		48
#define ERRNOS		140

struct list {
	char name[NAME];
	char *strings[64];
	int n;
};

struct call {
	char name[NAME];	/* mkdirat$icfg_txn */
	char resource[NAME];	/* what it opens, writes to, or reads from */
	struct list *strings;
	int flags;
};

static struct list lists[64];
static struct call calls[64];
static int nlists, ncalls;

static struct {
	int counts[64][ERRNOS];
	int bad;
} *shared;

static void die(const char *what, const char *line)
{
	fprintf(stderr, "fuzz-tree: %s: %s\n", what, line);
	exit(2);
}

/* A string in quotes at @p, with its \n. Returns what follows. */
static const char *parse_string(const char *p, struct list *list)
{
	char text[256];
	size_t n = 0;

	for (p++; *p && *p != '"' && n < sizeof(text) - 1; p++) {
		text[n] = *p;
		if (*p == '\\' && p[1] == 'n') {
			text[n] = '\n';
			p++;
		}
		n++;
	}
	text[n] = '\0';
	if (*p != '"' || list->n == 64)
		die("too long", text);
	list->strings[list->n++] = strdup(text);
	return p + 1;
}

static struct list *new_list(const char *name)
{
	if (nlists == 64)
		die("too many lists", name);
	snprintf(lists[nlists].name, NAME, "%s", name);
	return &lists[nlists++];
}

/* What is in string[...] or stringnoz[...]: the name of a list, or a string. */
static struct list *parse_strings(const char *line)
{
	const char *p = strstr(line, "string");
	char name[NAME];
	struct list *list;

	p = p ? strchr(p, '[') : NULL;
	if (!p)
		return NULL;
	if (p[1] == '"') {
		list = new_list("");
		parse_string(p + 1, list);
		return list;
	}
	if (sscanf(p + 1, "%47[a-z0-9_]", name) == 1)
		for (int i = 0; i < nlists; i++)
			if (!strcmp(lists[i].name, name))
				return &lists[i];
	die("no such list", line);
	return NULL;
}

static void parse_call(const char *line)
{
	struct call *call = &calls[ncalls];
	const char *p;

	if (ncalls == 64 || sscanf(line, "%47[a-z0-9_$]", call->name) != 1)
		die("what is this", line);
	call->strings = parse_strings(line);
	call->flags = strstr(line, "O_RDWR") ? O_RDWR :
		      strstr(line, "O_WRONLY") ? O_WRONLY : O_RDONLY;
	/* openat's is behind, that of the others is the first argument. */
	p = !strncmp(line, "openat", 6) ? strrchr(line, ')') : strstr(line, "(fd ");
	p = !p ? NULL : *p == ')' ? p + 1 : p + 4;
	if (p)
		sscanf(p, " %47[a-z0-9_]", call->resource);
	ncalls++;
}

static void parse(const char *file)
{
	static char line[8192];
	char name[NAME];
	FILE *f = fopen(file, "r");
	const char *p;

	if (!f)
		die("cannot be read", file);
	/* The lists may stand behind the calls. */
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%47[a-z0-9_] = \"", name) != 1 || !strstr(line, " = \""))
			continue;
		struct list *list = new_list(name);

		for (p = strchr(line, '"'); p; p = strchr(p, '"'))
			p = parse_string(p, list);
	}
	rewind(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "at$") || !strncmp(line, "write$", 6) || !strncmp(line, "read$", 5))
			parse_call(line);
	fclose(f);
	if (!ncalls)
		die("has no calls", file);
}

#define ROLL(n) ((int)(rand_r(seed) / 7 % (n)))

/* Four descriptors of each resource are kept open for later calls. */
struct open_file {
	char resource[NAME];
	int fd;
};

static struct open_file files[64];

static struct open_file *pick_file(const char *resource, unsigned int *seed)
{
	struct open_file *found = NULL;
	int n = 0;

	for (int i = 0; i < 64; i++)
		if (!strcmp(files[i].resource, resource) && ROLL(++n) == 0)
			found = &files[i];
	return found;
}

static void keep_file(const char *resource, int fd, unsigned int *seed)
{
	struct open_file *file = &files[ROLL(64)];

	if (*file->resource)
		close(file->fd);
	snprintf(file->resource, NAME, "%s", resource);
	file->fd = fd;
}

static int do_write(int fd, const char *text, unsigned int *seed)
{
	static char data[5000];
	size_t n = strlen(text);

	memcpy(data, text, n);
	switch (ROLL(12)) {
	case 0:
		n = n ? ROLL(n) : 0;
		break;
	case 1:
		if (n)
			data[ROLL(n)] ^= 1 << ROLL(8);
		break;
	case 2:
		while (n < sizeof(data) - strlen(text) && ROLL(40)) {
			memcpy(data + n, text, strlen(text));
			n += strlen(text);
		}
		break;
	}
	lseek(fd, 0, SEEK_SET);
	return write(fd, data, n) < 0 ? errno : 0;
}

static int do_read(int fd)
{
	static char data[8192];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	n = read(fd, data, sizeof(data));
	if (n > 0 && data[n - 1] != '\n')
		shared->bad = 1;
	return n < 0 ? errno : 0;
}

static int do_call(const struct call *call, unsigned int *seed)
{
	const char *text = call->strings ? call->strings->strings[ROLL(call->strings->n)] : NULL;
	struct open_file *file;
	int fd;

	if (!strncmp(call->name, "mkdirat$", 8))
		return mkdirat(AT_FDCWD, text, 0755) ? errno : 0;
	if (!strncmp(call->name, "unlinkat$", 9))
		return unlinkat(AT_FDCWD, text, AT_REMOVEDIR) ? errno : 0;
	if (!strncmp(call->name, "openat$", 7)) {
		fd = openat(AT_FDCWD, text, call->flags);
		if (fd < 0)
			return errno;
		keep_file(call->resource, fd, seed);
		return 0;
	}
	file = pick_file(call->resource, seed);
	if (!file)
		return EBADF;
	return text ? do_write(file->fd, text, seed) : do_read(file->fd);
}

static void process(unsigned int start)
{
	unsigned int value = start, *seed = &value;

	for (;;) {
		int n = ROLL(ncalls), err = do_call(&calls[n], seed);

		__atomic_add_fetch(&shared->counts[n][err < ERRNOS ? err : 0], 1, __ATOMIC_RELAXED);
	}
}

int main(int argc, char **argv)
{
	pid_t pids[PROCESSES];
	unsigned int seed;

	if (argc != 4) {
		fprintf(stderr, "fuzz-tree: SEED SECONDS DESCRIPTION\n");
		return 2;
	}
	parse(argv[3]);
	seed = strtoul(argv[1], NULL, 10);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (!pids[i])
			process(seed * 2654435761u + i);
	}
	sleep(atoi(argv[2]));
	for (int i = 0; i < PROCESSES; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	for (int n = 0; n < ncalls; n++) {
		printf("%s:", calls[n].name);
		for (int err = 0; err < ERRNOS; err++)
			if (shared->counts[n][err])
				printf(" %s %d", err ? strerrorname_np(err) : "0",
				       shared->counts[n][err]);
		putchar('\n');
	}
	if (shared->bad)
		puts("a text did not end in a newline");
	return shared->bad;
}
