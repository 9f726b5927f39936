// SPDX-License-Identifier: GPL-2.0
/*
 * slabs: the kernel's slab memory in use, to the byte. Caches of file names and inodes
 * are dropped first, and what CPUs keep for themselves is given back, else objects that
 * nobody has count as used.
 *
 * Prints "CACHE OBJECTS SIZE" for each cache, and "large BYTES 1": what was too large
 * for any of them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLAB	"/sys/kernel/slab"

static int put(const char *path)
{
	int fd = open(path, O_WRONLY);
	int ret = fd < 0 || write(fd, "1", 1) != 1;

	if (fd >= 0)
		close(fd);
	return ret;
}

static void drop_names(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "2", 1) != 1)
		perror("slabs: drop_caches");
	if (fd >= 0)
		close(fd);
}

static void shrink(void)
{
	DIR *dir = opendir(SLAB);
	struct dirent *entry;
	char path[512];

	/* Others are links to these: aliases of a merged cache. */
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || *entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), SLAB "/%s/shrink", entry->d_name);
		put(path);
	}
	if (dir)
		closedir(dir);
}

static long long slab_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	long long kib = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %lld kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

static int print(void)
{
	long long active, objects, size, per_slab, pages, slabs_active, slabs, in_caches = 0;
	char line[1024], name[64];
	long long all;
	FILE *f;

	f = fopen("/proc/slabinfo", "r");
	if (!f) {
		perror("slabs: /proc/slabinfo");
		return 1;
	}
	/* CPUs keep what they have not added to the counters of pages yet. */
	if (put("/proc/sys/vm/stat_refresh"))
		perror("slabs: stat_refresh");
	all = slab_bytes();
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %lld %lld %lld %lld %lld : tunables %*d %*d %*d : slabdata %lld %lld",
			   name, &active, &objects, &size, &per_slab, &pages, &slabs_active,
			   &slabs) != 8)
			continue;
		in_caches += slabs * pages * sysconf(_SC_PAGESIZE);
		if (active)
			printf("%s %lld %lld\n", name, active, size);
	}
	fclose(f);
	printf("large %lld 1\n", all - in_caches);
	return 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 65536);
	/* What was used lately survives a first pass, and much goes after a grace period. */
	for (int i = 0; i < 4; i++) {
		drop_names();
		usleep(100000);
	}
	shrink();
	usleep(100000);
	shrink();
	return print();
}
