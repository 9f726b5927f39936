// SPDX-License-Identifier: GPL-2.0
/*
 * Holds something from the background until it is killed:
 *
 *	hold open FILE [ro|rw|excl]
 *	hold vfio GROUP			the group in a container with an IOMMU set
 *
 * Prints the holder's process number once it holds; else the errno's name, and
 * what failed on standard error, with exit status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Returns 0 or the errno, and says what failed. */
static int failed(const char *what)
{
	int err = errno;

	fprintf(stderr, "hold: %s: %s\n", what, strerror(err));
	return err;
}

static int hold_open(const char *path, const char *how)
{
	int flags = O_RDONLY;

	if (!strcmp(how, "rw"))
		flags = O_RDWR;
	else if (!strcmp(how, "excl"))
		flags = O_RDWR | O_EXCL;
	return open(path, flags) < 0 ? failed(path) : 0;
}

static int hold_vfio(const char *id)
{
	char path[64];
	int container, group;

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		return failed("/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%s", id);
	group = open(path, O_RDWR);
	if (group < 0)
		return failed(path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return failed("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return failed("VFIO_SET_IOMMU");
	return 0;
}

int main(int argc, char **argv)
{
	int ready[2], err = EINVAL;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "hold: open FILE [ro|rw|excl] | vfio GROUP\n");
		return 2;
	}
	if (pipe2(ready, O_CLOEXEC))
		return failed("pipe");
	child = fork();
	if (child < 0)
		return failed("fork");
	if (!child) {
		if (!strcmp(argv[1], "open"))
			err = hold_open(argv[2], argc > 3 ? argv[3] : "ro");
		else if (!strcmp(argv[1], "vfio"))
			err = hold_vfio(argv[2]);
		/* The parent's standard output may be a pipe that someone reads to its end. */
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		if (write(ready[1], &err, sizeof(err)) != sizeof(err) || err)
			return 1;
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &err, sizeof(err)) != sizeof(err))
		err = EIO;
	if (err) {
		puts(strerrorname_np(err));
		return 1;
	}
	printf("%d\n", (int)child);
	return 0;
}
