// SPDX-License-Identifier: GPL-2.0
/*
 * What tests ask about the machine all the time, in one process each, because
 * processes are what costs most in a guest without KVM.
 *
 *	machine group NAME|ADDRESS	the IOMMU group's number
 *	machine devices NAME		addresses in a group that the machine file names
 *	machine dev NAME N		the Nth of them, from 0
 *	machine driver ADDRESS		the bound driver or "-"
 *	machine drivers GROUP		"ADDRESS=DRIVER" of each device, sorted, one line
 *	machine disk ADDRESS		the disk below it (for an NVMe path: its head)
 *	machine nic ADDRESS		the network interface
 *	machine state			all that a test must leave as it found it
 *	machine settle SECONDS		waits until the named groups are as they should be
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMED		"/lab/groups"
#define DISKS		"/lab/disks"
#define SYS_GROUPS	"/sys/kernel/iommu_groups"
#define PCI		"/sys/bus/pci/devices"

static char *fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Leaks by design: the process ends soon. */
static char *fmt(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

/* First line of a file; "" where it cannot be read. */
static char *line_of(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	if (!f || getline(&line, &size, f) < 0)
		line = fmt("%s", "");
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Last part of what a symbolic link points to, or NULL. */
static char *link_of(const char *path)
{
	char buf[PATH_MAX];
	ssize_t n = readlink(path, buf, sizeof(buf) - 1);

	if (n < 0)
		return NULL;
	buf[n] = '\0';
	return strdup(basename(buf));
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Entries of a directory, sorted; 0 where there is none. */
static int list(const char *dir, struct dirent ***entries)
{
	int n = scandir(dir, entries, visible, alphasort);

	return n < 0 ? 0 : n;
}

static const char *driver(const char *dev)
{
	return link_of(fmt(PCI "/%s/driver", dev)) ?: "-";
}

/* The devices of a group named in the machine file, "ADDRESS=DRIVER ...". */
static char *named(const char *name)
{
	FILE *f = fopen(NAMED, "r");
	char *line = NULL;
	size_t size = 0, len = strlen(name);

	while (f && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, name, len) && line[len] == ' ') {
			fclose(f);
			return line + len + 1;
		}
	}
	fprintf(stderr, "machine: no group is named \"%s\"\n", name);
	exit(1);
}

static const char *dev(const char *name, int n)
{
	char *word = strtok(named(name), " ");

	while (n-- && word)
		word = strtok(NULL, " ");
	if (!word) {
		fprintf(stderr, "machine: group \"%s\" has no such device\n", name);
		exit(1);
	}
	word[strcspn(word, "=")] = '\0';
	return word;
}

static const char *group(const char *what)
{
	const char *address = strchr(what, ':') ? what : dev(what, 0);

	return link_of(fmt(PCI "/%s/iommu_group", address));
}

/* The entry of a class directory whose device is below address; NULL if none. */
static const char *below(const char *class, const char *address)
{
	char path[PATH_MAX], *needle = fmt("/%s/", address);
	struct dirent **entries;
	int n = list(class, &entries);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		unsigned int subsystem, controller, namespace;

		if (!realpath(fmt("%s/%s", class, name), path) || !strstr(path, needle))
			continue;
		if (strcmp(line_of(fmt("%s/hidden", path)), "1"))
			return name;
		/* A path to a shared NVMe namespace: its head is what one opens. */
		if (sscanf(name, "nvme%uc%un%u", &subsystem, &controller, &namespace) == 3)
			return fmt("nvme%un%u", subsystem, namespace);
	}
	return NULL;
}

static void print_drivers(const char *id)
{
	struct dirent **entries;
	int n = list(fmt(SYS_GROUPS "/%s/devices", id), &entries);

	for (int i = 0; i < n; i++)
		printf("%s%s=%s", i ? " " : "", entries[i]->d_name, driver(entries[i]->d_name));
	putchar('\n');
}

static void copy_lines(const char *file, const char *prefix, const char *start)
{
	FILE *f = fopen(file, "r");
	char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		if (!strncmp(line, start, strlen(start)))
			printf("%s%s", prefix, line);
	if (f)
		fclose(f);
}

/*
 * Our module stays loaded once a test has loaded it, and load_module() sets whether it
 * pauses drivers. But nothing may use it, it takes no rules, and no test module is there.
 */
static void print_modules(void)
{
	static const char * const ours[] = { "bare_calls", "edu_lab", "inuse_lab", "mock_iommu" };
	const char *refs = line_of("/sys/module/iommu_configfs/refcnt");
	struct dirent **entries;
	struct stat st;
	int n;

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (!access(fmt("/sys/module/%s", ours[i]), F_OK))
			printf("module %s\n", ours[i]);
	if (atoi(refs))
		printf("module iommu_configfs used %s\n", refs);
	if (!strcmp(line_of("/sys/module/iommu_configfs/parameters/standing"), "Y"))
		puts("module iommu_configfs takes rules");
	n = list("/sys/kernel/config/iommu/standing", &entries);
	for (int i = 0; i < n; i++)
		if (!stat(fmt("/sys/kernel/config/iommu/standing/%s", entries[i]->d_name), &st) &&
		    S_ISDIR(st.st_mode))
			printf("rule %s\n", entries[i]->d_name);
}

static void print_state(void)
{
	struct dirent **entries;
	struct stat st;
	int i, n;

	n = list(SYS_GROUPS, &entries);
	for (i = 0; i < n; i++) {
		const char *id = entries[i]->d_name;

		printf("group %s %s: ", id, line_of(fmt(SYS_GROUPS "/%s/type", id)));
		print_drivers(id);
	}
	n = list(PCI, &entries);
	for (i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		char *override = line_of(fmt(PCI "/%s/driver_override", name));

		printf("device %s %s %s %s\n", name, driver(name),
		       strcmp(override, "(null)") ? override : "",
		       line_of(fmt(PCI "/%s/sriov_numvfs", name)));
	}
	printf("autoprobe %s\n", line_of("/sys/bus/pci/drivers_autoprobe"));
	print_modules();
	n = list("/sys/class/net", &entries);
	for (i = 0; i < n; i++) {
		const char *dir = fmt("/sys/class/net/%s", entries[i]->d_name);

		/* By address: names are given out in the order of probing. */
		if (!stat(fmt("%s/address", dir), &st))
			printf("net %s %s\n", line_of(fmt("%s/address", dir)),
			       line_of(fmt("%s/flags", dir)));
	}
	n = list("/sys/block", &entries);
	for (i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (strncmp(name, "loop", 4) || strcmp(line_of(fmt("/sys/block/%s/size", name)), "0"))
			printf("block %s sectors\n", line_of(fmt("/sys/block/%s/size", name)));
	}
	n = list("/sys/kernel/config/iommu", &entries);
	for (i = 0; i < n; i++)
		if (strcmp(entries[i]->d_name, "standing") &&
		    !stat(fmt("/sys/kernel/config/iommu/%s", entries[i]->d_name), &st) &&
		    S_ISDIR(st.st_mode))
			printf("transaction %s\n", entries[i]->d_name);
	copy_lines("/proc/mounts", "mount ", "/dev/");
	copy_lines("/proc/swaps", "swap ", "/dev/");
}

/* Disks that one can open; the guest's own ramdisks and idle loops are none. */
static int disks(void)
{
	struct dirent **entries;
	int n = list("/sys/block", &entries), found = 0;

	for (int i = 0; i < n; i++)
		found += !strcmp(line_of(fmt("/sys/block/%s/hidden", entries[i]->d_name)), "0") &&
			 strcmp(line_of(fmt("/sys/block/%s/size", entries[i]->d_name)), "0");
	return found;
}

static int is_settled(void)
{
	FILE *f = fopen(NAMED, "r");
	char *line = NULL, *word, *want;
	size_t size = 0;
	int good = 1;

	while (good && f && getline(&line, &size, f) > 0) {
		strtok(line, " \n");
		while (good && (word = strtok(NULL, " \n"))) {
			want = strchr(word, '=');
			if (!want)
				continue;
			*want++ = '\0';
			good = !strcmp(driver(word), want);
			if (good && !strcmp(want, "nvme")) {
				struct dirent **entries;
				int n = list(fmt(PCI "/%s/nvme", word), &entries);

				good = n && !strcmp("live", line_of(fmt(PCI "/%s/nvme/%s/state",
									word, entries[0]->d_name)));
			} else if (good && !strncmp(want, "e1000", 5)) {
				good = !!below("/sys/class/net", word);
			}
		}
	}
	if (f)
		fclose(f);
	return good && disks() >= atoi(line_of(DISKS));
}

/* The state as text, a line a thing. */
static char *state(void)
{
	FILE *was = stdout;
	char *text = NULL;
	size_t size;

	stdout = open_memstream(&text, &size);
	print_state();
	fclose(stdout);
	stdout = was;
	return text;
}

static int settle(int seconds)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	char *last = state(), *now;
	struct timespec start, up;
	int same = 0, looks = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	/* Each look takes its time; and some are due, even if time jumps. */
	do {
		nanosleep(&pause, NULL);
		now = state();
		same = is_settled() && !strcmp(last, now) ? same + 1 : 0;
		if (same == 6)
			return 0;
		free(last);
		last = now;
		clock_gettime(CLOCK_MONOTONIC, &up);
	} while (++looks < 4 * seconds || up.tv_sec - start.tv_sec < seconds);
	return 1;
}

static int put(const char *text)
{
	return !text || puts(text) < 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : NULL;

	setvbuf(stdout, NULL, _IOFBF, 65536);
	if (!strcmp(verb, "state"))
		return print_state(), 0;
	if (!arg) {
		fprintf(stderr, "machine: what is \"%s\"?\n", verb);
		return 2;
	}
	if (!strcmp(verb, "group"))
		return put(group(arg));
	if (!strcmp(verb, "dev"))
		return put(dev(arg, argc > 3 ? atoi(argv[3]) : 0));
	if (!strcmp(verb, "devices")) {
		for (char *word = strtok(named(arg), " "); word; word = strtok(NULL, " "))
			printf("%.*s\n", (int)strcspn(word, "="), word);
		return 0;
	}
	if (!strcmp(verb, "driver"))
		return put(driver(arg));
	if (!strcmp(verb, "drivers"))
		return print_drivers(arg), 0;
	if (!strcmp(verb, "disk"))
		return put(below("/sys/block", arg));
	if (!strcmp(verb, "nic"))
		return put(below("/sys/class/net", arg));
	if (!strcmp(verb, "settle"))
		return settle(atoi(arg));
	fprintf(stderr, "machine: what is \"%s\"?\n", verb);
	return 2;
}
