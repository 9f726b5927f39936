// SPDX-License-Identifier: GPL-2.0
/*
 * Holds something from the background until it is killed:
 *
 *	hold open FILE [ro|rw|excl]
 *	hold vfio GROUP			the group in a container with an IOMMU set
 *	hold iommufd ADDRESS		a device that vfio-pci has, attached to an address space
 *
 * Prints the holder's process number once it holds; else the errno's name, and
 * what failed on standard error, with exit status 1.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the headers of Debian 12 do not have yet: linux/iommufd.h, and more of linux/vfio.h. */
struct ioas_alloc {
	__u32 size, flags, out_ioas_id;
};

struct bind_iommufd {
	__u32 argsz, flags;
	__s32 iommufd;
	__u32 out_devid;
};

struct attach_iommufd_pt {
	__u32 argsz, flags, pt_id;
};

#define IOAS_ALLOC		_IO(';', 0x81)
#define BIND_IOMMUFD		_IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOMMUFD_PT	_IO(VFIO_TYPE, VFIO_BASE + 19)

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

/* The VFIO device of a PCI device, opened. */
static int open_vfio_device(const char *address)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", address);
	dir = opendir(path);
	if (!dir)
		return -1;
	do
		entry = readdir(dir);
	while (entry && strncmp(entry->d_name, "vfio", 4));
	if (!entry) {
		errno = ENODEV;
		return -1;
	}
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
	return open(path, O_RDWR);
}

static int hold_iommufd(const char *address)
{
	struct ioas_alloc ioas = { .size = sizeof(ioas) };
	struct bind_iommufd bind = { .argsz = sizeof(bind) };
	struct attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	int device;

	bind.iommufd = open("/dev/iommu", O_RDWR);
	if (bind.iommufd < 0)
		return failed("/dev/iommu");
	if (ioctl(bind.iommufd, IOAS_ALLOC, &ioas))
		return failed("IOMMU_IOAS_ALLOC");
	attach.pt_id = ioas.out_ioas_id;
	device = open_vfio_device(address);
	if (device < 0)
		return failed("VFIO device");
	if (ioctl(device, BIND_IOMMUFD, &bind))
		return failed("VFIO_DEVICE_BIND_IOMMUFD");
	if (ioctl(device, ATTACH_IOMMUFD_PT, &attach))
		return failed("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	return 0;
}

int main(int argc, char **argv)
{
	int ready[2], err = EINVAL;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "hold: open FILE [ro|rw|excl] | vfio GROUP | iommufd ADDRESS\n");
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
		else if (!strcmp(argv[1], "iommufd"))
			err = hold_iommufd(argv[2]);
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
