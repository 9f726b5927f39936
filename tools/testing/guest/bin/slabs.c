// SPDX-License-Identifier: GPL-2.0
/*
 * slabs: the kernel's slab memory in use, to the byte. Caches of file names and inodes
 * are dropped first, and what CPUs keep for themselves is given back, else objects that
 * nobody has count as used. All files are open by then: to open one more would have a CPU
 * take a slab of procfs's inodes, all of which would count.
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

/* A file of procfs that is read after all else. */
static int open_proc(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static char *read_all(int fd)
{
	static char text[1 << 18];
	size_t n = 0;
	ssize_t got;

	while ((got = pread(fd, text + n, sizeof(text) - 1 - n, n)) > 0)
		n += got;
	text[n] = '\0';
	return text;
}

static long long slab_bytes(int fd)
{
	const char *line = strstr(read_all(fd), "\nSlab:");
	long long kib = 0;

	if (!line || sscanf(line, "\nSlab: %lld kB", &kib) != 1) {
		fprintf(stderr, "slabs: no Slab: in /proc/meminfo\n");
		exit(1);
	}
	return kib * 1024;
}

static void print(int slabinfo, long long all)
{
	long long active, objects, size, per_slab, pages, slabs_active, slabs, in_caches = 0;
	char *line, *save, name[64];

	for (line = strtok_r(read_all(slabinfo), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%63s %lld %lld %lld %lld %lld : tunables %*d %*d %*d : slabdata %lld %lld",
			   name, &active, &objects, &size, &per_slab, &pages, &slabs_active,
			   &slabs) != 8)
			continue;
		in_caches += slabs * pages * sysconf(_SC_PAGESIZE);
		if (active)
			printf("%s %lld %lld\n", name, active, size);
	}
	printf("large %lld 1\n", all - in_caches);
}

int main(void)
{
	int meminfo = open_proc("/proc/meminfo", O_RDONLY);
	int slabinfo = open_proc("/proc/slabinfo", O_RDONLY);
	int refresh = open_proc("/proc/sys/vm/stat_refresh", O_WRONLY);

	setvbuf(stdout, NULL, _IOFBF, 65536);
	/* The buffers of what is read are there from now on. */
	slab_bytes(meminfo);
	read_all(slabinfo);
	/* What was used lately survives a first pass, and much goes after a grace period. */
	for (int i = 0; i < 4; i++) {
		drop_names();
		usleep(100000);
	}
	shrink();
	usleep(100000);
	shrink();
	/* CPUs keep what they have not added to the counters of pages yet. */
	if (write(refresh, "1", 1) != 1)
		perror("slabs: stat_refresh");
	print(slabinfo, slab_bytes(meminfo));
	return 0;
}
