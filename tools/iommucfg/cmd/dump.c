// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg dump: what the other commands read of a machine, as a tar archive for --root.
 *
 * Directories, links, and of the files those that are named here; what of them is private
 * dump-private.c knows.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "dump.h"

#define MAX_DEPTH	48
#define MAX_FILE	(16 << 20)

struct dump {
	struct cli *cli;
	int rootfd;
	FILE *tar;
	struct dump_secrets *secrets;	/* NULL: all is told */
	const char *const *files;	/* whose contents are taken; NULL: all */
	unsigned int hidden;
	size_t count;
};

/* Below /sys. What is an address or a serial number is not among them. */
static const char *const attributes[] = {
	"active", "ana_state", "backing_dev", "backing_file", "bind", "block_size_bytes",
	"carrier", "class",
	"consistent_dma_mask_bits", "degraded", "dev", "dev_port", "device", "device_path",
	"dma_mask_bits", "driver_override", "enable", "external-facing", "flags", "hidden",
	"ifindex", "iflink", "info", "level", "location", "metadata_version", "mii_status", "modalias",
	"mtd_num", "name", "nowayout", "operstate", "partition", "proc_name", "raid_disks", "region", "removable",
	"reserved_regions", "size", "slaves", "slot", "sriov_numvfs", "state", "status",
	"subsystem_device", "subsystem_vendor", "sync_action", "timeout", "transport", "type",
	"udev_path", "uevent", "uuid", "vendor", NULL
};

/* The same where "address" is that of a slot. */
static const char *const slots[] = { "address", NULL };

DIR *dump_opendir(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static bool is_one(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

/* Of no use, and there are many of them. */
static bool is_left_out(const char *path, const char *name)
{
	static const char *const paths[] = {
		"sys/devices/system/cpu", "sys/devices/system/node", NULL
	};
	/* Those of batteries have MAC addresses, hosts that are allowed are named by theirs. */
	static const char *const names[] = {
		"allowed_hosts", "msi_irqs", "power", "power_supply", "queues", "statistics",
		"trace", NULL
	};

	return is_one(paths, path) || is_one(names, name);
}

/*
 * The whole of a file, which need not be as large as it seems. Returns 0 or a negative errno,
 * 1 where the file is larger than what is taken of one.
 */
static int read_all(int fd, char **data)
{
	char *text = NULL, *p;
	size_t n = 0, cap = 0;
	ssize_t got;
	int error;

	do {
		if (n + 1 >= cap) {
			cap = cap ? cap * 2 : 4096;
			p = realloc(text, cap);
			if (!p) {
				free(text);
				return -ENOMEM;
			}
			text = p;
		}
		got = read(fd, text + n, cap - n - 1);
		if (got < 0 && !n) {
			error = -errno;
			free(text);
			return error;
		}
		n += got > 0 ? got : 0;
	} while (got > 0 && n < MAX_FILE);
	text[n] = '\0';
	*data = text;
	return got > 0;
}

static int put_file(struct dump *d, int dirfd, const char *name, const char *path)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char *text = NULL, *some = NULL, *shown = NULL;
	int ret;

	/* What cannot be read now is not there: some attributes are like that. */
	if (fd < 0)
		return 0;
	ret = read_all(fd, &text);
	close(fd);
	/* Of an interface that is down the library takes this for an answer. */
	if (ret == -EINVAL && !strcmp(name, "carrier")) {
		text = strdup("0\n");
		ret = text ? 0 : -ENOMEM;
	}
	if (ret < 0)
		return ret == -ENOMEM ? ret : 0;
	if (ret > 0)
		iommucfg_problems_add(d->cli->problems, IOMMUCFG_WARNING, "system", EFBIG,
				      "%s is in it up to %d MiB only", path, MAX_FILE >> 20);
	shown = dump_without(d->secrets, path);
	some = dump_file_without(d->secrets, path, text);
	ret = shown && some ? tar_file(d->tar, shown, some, strlen(some)) : -ENOMEM;
	d->count++;
	free(shown);
	free(some);
	free(text);
	return ret;
}

static int put_link(struct dump *d, int dirfd, const char *name, const char *path)
{
	char target[PATH_MAX], *shown, *to;
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	int ret;

	if (n <= 0)
		return 0;
	target[n] = '\0';
	shown = dump_without(d->secrets, path);
	/* The program of PID 1 is on one of the mounts: named like they are. */
	to = !strcmp(path, "proc/1/exe") ? dump_path_without(d->secrets, target) :
					   dump_without(d->secrets, target);
	ret = shown && to ? tar_link(d->tar, shown, to) : -ENOMEM;
	d->count++;
	free(shown);
	free(to);
	return ret;
}

static int put_directory(struct dump *d, const char *path)
{
	char *shown = dump_without(d->secrets, path);
	int ret = shown ? tar_directory(d->tar, shown) : -ENOMEM;

	free(shown);
	return ret;
}

/* Of udev's records those of disks. */
static bool is_taken(const struct dump *d, const char *directory, const char *name)
{
	if (!strcmp(directory, "run/udev/data"))
		return *name == 'b';
	return !d->files || is_one(d->files, name);
}

/* @from: where it is; @to: what it is called in the archive. */
static int walk(struct dump *d, const char *from, const char *to, int depth)
{
	DIR *dir = dump_opendir(d->rootfd, from);
	char *below, *shown;
	struct dirent *e;
	struct stat st;
	int fd, ret;

	if (!dir)
		return 0;
	fd = dirfd(dir);
	ret = put_directory(d, to);
	while (!ret && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (asprintf(&below, "%s/%s", from, e->d_name) < 0) {
			ret = -ENOMEM;
			break;
		}
		if (asprintf(&shown, "%s/%s", to, e->d_name) < 0) {
			free(below);
			ret = -ENOMEM;
			break;
		}
		if (S_ISLNK(st.st_mode))
			ret = put_link(d, fd, e->d_name, shown);
		else if (S_ISREG(st.st_mode) && is_taken(d, from, e->d_name))
			ret = put_file(d, fd, e->d_name, shown);
		else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH &&
			 !is_left_out(below, e->d_name))
			ret = walk(d, below, shown, depth + 1);
		free(below);
		free(shown);
	}
	closedir(dir);
	return ret;
}

/* The directories in @path, which have names that are those of hosts. */
static int walk_named(struct dump *d, const char *path)
{
	DIR *dir = dump_opendir(d->rootfd, path);
	int ret = 0;
	char *from, *to = NULL;
	struct dirent *e;

	while (dir && !ret && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		if (asprintf(&from, "%s/%s", path, e->d_name) < 0) {
			ret = -ENOMEM;
			break;
		}
		if ((d->secrets ? asprintf(&to, "%s/hidden%u", path, ++d->hidden) :
				  asprintf(&to, "%s", from)) < 0)
			ret = -ENOMEM;
		else
			ret = walk(d, from, to, 0);
		free(from);
		free(to);
		to = NULL;
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* Who exports disks: LIO has a directory for each of its hosts of disks. */
static int put_exports(struct dump *d)
{
	DIR *dir = dump_opendir(d->rootfd, "sys/kernel/config/target/core");
	struct dirent *e;
	char *path;
	int ret;

	ret = walk_named(d, "sys/kernel/config/nvmet/subsystems");
	while (dir && !ret && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		if (asprintf(&path, "sys/kernel/config/target/core/%s", e->d_name) < 0) {
			ret = -ENOMEM;
			break;
		}
		ret = walk_named(d, path);
		free(path);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* Nodes that every process has are of no device. */
static bool is_node(const char *target)
{
	static const char *const others[] = {
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/ptmx",
		"/dev/tty", "/dev/fuse", "/dev/kmsg", NULL
	};

	return !strncmp(target, "/dev/", 5) && strncmp(target, "/dev/pts/", 9) &&
	       strncmp(target, "/dev/shm/", 9) && strncmp(target, "/dev/hugepages/", 15) &&
	       strncmp(target, "/dev/mqueue/", 12) && !is_one(others, target);
}

/* Of a process: its name, what it has open in /dev, and its mounts if no other has them. */
static int put_process(struct dump *d, int procfd, const char *pid, struct json_object *namespaces)
{
	char path[PATH_MAX], name[NAME_MAX + 16], target[PATH_MAX];
	bool any = false;
	struct dirent *e;
	int ret = 0;
	ssize_t n;
	DIR *dir;

	snprintf(name, sizeof(name), "%s/fd", pid);
	dir = dump_opendir(procfd, name);
	while (dir && !ret && (e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!is_node(target))
			continue;
		any = true;
		snprintf(path, sizeof(path), "proc/%s/fd/%s", pid, e->d_name);
		ret = put_link(d, dirfd(dir), e->d_name, path);
	}
	if (dir)
		closedir(dir);
	snprintf(name, sizeof(name), "%s/ns/mnt", pid);
	n = readlinkat(procfd, name, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	if (!ret && (n <= 0 || !json_object_object_get_ex(namespaces, target, NULL))) {
		snprintf(name, sizeof(name), "%s/mountinfo", pid);
		snprintf(path, sizeof(path), "proc/%s/mountinfo", pid);
		any |= !faccessat(procfd, name, F_OK, 0);
		ret = put_file(d, procfd, name, path);
		json_object_object_add(namespaces, target, NULL);
	}
	if (any && n > 0 && !ret) {
		snprintf(name, sizeof(name), "%s/ns/mnt", pid);
		snprintf(path, sizeof(path), "proc/%s/ns/mnt", pid);
		ret = put_link(d, procfd, name, path);
	}
	if (any && !ret) {
		snprintf(name, sizeof(name), "%s/comm", pid);
		snprintf(path, sizeof(path), "proc/%s/comm", pid);
		ret = put_file(d, procfd, name, path);
	}
	return ret;
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

static int is_process(const struct dirent *e)
{
	return isdigit((unsigned char)*e->d_name);
}

static int put_processes(struct dump *d)
{
	int fd = openat(d->rootfd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n, i, ret = 0;
	struct json_object *namespaces = json_object_new_object();
	struct dirent **names = NULL;

	n = fd < 0 ? 0 : scandirat(fd, ".", &names, is_process, by_number);
	for (i = 0; i < n; i++) {
		if (!ret)
			ret = put_process(d, fd, names[i]->d_name, namespaces);
		free(names[i]);
	}
	free(names);
	json_object_put(namespaces);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int put_one(struct dump *d, const char *path)
{
	struct stat st;

	if (fstatat(d->rootfd, path, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return S_ISLNK(st.st_mode) ? put_link(d, d->rootfd, path, path) :
				     put_file(d, d->rootfd, path, path);
}

static int put_all(struct dump *d)
{
	static const char *const trees[] = {
		"sys/devices", "sys/bus", "sys/class", "sys/fs/bcachefs", "sys/fs/btrfs",
		"sys/kernel/iommu_groups", NULL
	};
	static const char *const whole[] = {
		"proc/net/bonding", "proc/driver/nvidia/gpus", "run/udev/data", NULL
	};
	static const char *const files[] = {
		"proc/1/exe", "proc/self/mountinfo", "proc/swaps", "proc/mdstat", "proc/consoles",
		"proc/cmdline", "proc/net/route", "proc/net/ipv6_route", "proc/net/pppoe",
		"proc/sys/kernel/osrelease", NULL
	};
	/* They are made of addresses. */
	static const char *const private[] = {
		"proc/net/fib_trie", "proc/net/if_inet6", "proc/sys/kernel/hostname", NULL
	};
	size_t i;
	int ret = 0;

	d->files = attributes;
	for (i = 0; trees[i] && !ret; i++)
		ret = walk(d, trees[i], trees[i], 0);
	/* Links, whose names have serial numbers in them. */
	if (!ret && !d->secrets)
		ret = walk(d, "dev/disk", "dev/disk", 0);
	if (!ret)
		ret = put_exports(d);
	d->files = slots;
	if (!ret)
		ret = walk(d, "sys/bus/pci/slots", "sys/bus/pci/slots", 0);
	d->files = NULL;
	for (i = 0; whole[i] && !ret; i++)
		ret = walk(d, whole[i], whole[i], 0);
	for (i = 0; files[i] && !ret; i++)
		ret = put_one(d, files[i]);
	for (i = 0; private[i] && !d->secrets && !ret; i++)
		ret = put_one(d, private[i]);
	return ret ? ret : put_processes(d);
}

static int dump(struct cli *cli, const char *file, bool private, size_t *count)
{
	struct dump d = { .cli = cli };
	char *data = NULL;
	size_t size;
	int ret;

	d.rootfd = open(*iommucfg_root(cli->ctx) ? iommucfg_root(cli->ctx) : "/",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d.tar = open_memstream(&data, &size);
	ret = d.rootfd < 0 ? -errno : d.tar ? 0 : -ENOMEM;
	if (!ret && !private)
		ret = dump_secrets_new(d.rootfd, &d.secrets);
	if (!ret)
		ret = put_all(&d);
	if (!ret)
		ret = tar_end(d.tar);
	if (d.tar && fclose(d.tar) && !ret)
		ret = -ENOMEM;
	if (!ret)
		ret = iommucfg_write_atomic_mode(file, data, size, 0600);
	if (ret)
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret,
				      "%s is left as it is: %s", file, strerror(-ret));
	if (!ret && geteuid() && !*iommucfg_root(cli->ctx))
		iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "system", EACCES,
				      "what processes of others have open is not in it: only root can read that");
	*count = d.count;
	dump_secrets_free(d.secrets);
	if (d.rootfd >= 0)
		close(d.rootfd);
	free(data);
	return ret ? EXIT_BAD : EXIT_DONE;
}

struct asked {
	const char *file;
	bool private;
};

static int dump_option(struct cli *cli, int opt, void *data)
{
	struct asked *asked = data;

	if (opt == 'o' && !strcmp(optarg, "-"))
		return cli_usage(cli, "dump -o takes the name of a file: a dump does not go to standard output");
	if (opt != OPT_PRIVATE)
		return cli_file_option(cli, opt, &asked->file);
	asked->private = true;
	return 0;
}

static int print_json(struct cli *cli, const struct asked *asked, size_t count, int code)
{
	struct json_object *o = json_document(cli);

	json_object_object_add(o, "file", json_text(asked->file));
	json_object_object_add(o, "private", json_object_new_boolean(asked->private));
	json_object_object_add(o, "files", json_number(count));
	json_object_object_add(o, "problems", json_problems(cli->problems));
	json_object_object_add(o, "result", json_text(code ? "error" : "saved"));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

int cmd_dump(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, { "output", required_argument, NULL, 'o' },
		{ "private", no_argument, NULL, OPT_PRIVATE }, { NULL, 0, NULL, 0 }
	};
	struct asked asked = { 0 };
	size_t count = 0;
	int code;

	code = cli_options(cli, argc, argv, ":" CLI_SHORT "o:", options, dump_option, &asked);
	if (code >= 0)
		return code;
	if (argv[optind] || !asked.file)
		return cli_usage(cli, "dump takes -o FILE, and no argument");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	code = dump(cli, asked.file, asked.private, &count);
	cli_tell(cli);
	if (cli->json)
		code = cli_worse(code, print_json(cli, &asked, count, code));
	else if (!code)
		cli_note(cli, "%zu file%s saved in %s%s", count, count == 1 ? "" : "s", asked.file,
			 asked.private ? ", with addresses and names of hosts" : "");
	return code;
}
