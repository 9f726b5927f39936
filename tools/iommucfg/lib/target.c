// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The groups that a word on a command line means: a number, a device in the spelling
 * of this or another tool, what is on a device (interface, disk, file in /dev), a
 * driver, or a pattern of names.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"
#include "match.h"

#define MAX_STACK	16	/* of a volume on a volume ..., and of links */

struct search {
	struct iommucfg_topology *topology;
	struct iommucfg_problems *problems;
	const char *word;
	struct ic_devices found;
	char *ungrouped;	/* a device that is there, but in no group */
	bool is_virtual;	/* something is there, but on no device */
};

static int add(struct iommucfg_device *device, void *data)
{
	struct search *search = data;
	size_t i;

	for (i = 0; i < search->found.n; i++)
		if (search->found.v[i] == device)
			return 0;
	if (IC_GROW(search->found.v, search->found.n, search->found.cap))
		return -ENOMEM;
	search->found.v[search->found.n++] = device;
	return 0;
}

static int usage(struct search *search, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int usage(struct search *search, int error, const char *format, ...)
{
	struct ic_where where = IC_NOWHERE;
	char *text = NULL;
	va_list args;

	where.error = error;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		ic_problem(search->problems, IOMMUCFG_ERROR, "usage", &where, "%s", text);
	free(text);
	return -error;
}

static int at_path(struct search *search, const char *syspath, int depth);

/* What an entry of a class stands for. */
static int at_entry(struct search *search, const char *class, const char *name, int depth)
{
	char path[PATH_MAX], *syspath;
	int ret = 0;

	snprintf(path, sizeof(path), "%s/%s", class, name);
	syspath = ic_sys_link(search->topology->ctx->sysfd, path, class);
	if (syspath)
		ret = at_path(search, syspath, depth);
	free(syspath);
	return ret;
}

/* The interfaces below one, by their links to it: a tree may have been saved without the others. */
static int at_ports(struct search *search, const char *name, int depth)
{
	int sysfd = search->topology->ctx->sysfd, ret = 0;
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	dir = ic_opendirat(sysfd, "class/net");
	while (dir && !ret && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "class/net/%s/upper_%.32s", e->d_name, name);
		if (*e->d_name == '.' || faccessat(sysfd, path, F_OK, AT_SYMLINK_NOFOLLOW))
			continue;
		ret = at_entry(search, "class/net", e->d_name, depth + 1);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* What is at @syspath; below a stack of virtual ones whatever they stand on. */
static int at_path(struct search *search, const char *syspath, int depth)
{
	struct iommucfg_topology *topology = search->topology;
	size_t before = search->found.n;
	const char *ungrouped;
	char path[PATH_MAX];
	struct dirent *e;
	int ret;
	DIR *dir;

	ret = ic_device_owners(topology, syspath, add, search);
	if (ret || search->found.n > before || depth > MAX_STACK)
		return ret;
	ic_device_owner(topology, syspath, &ungrouped);
	if (ungrouped) {
		free(search->ungrouped);
		search->ungrouped = strndup(ungrouped, strcspn(ungrouped, "/"));
		return search->ungrouped ? 0 : -ENOMEM;
	}
	search->is_virtual = true;
	/* A volume has its slaves, a bond or bridge its lower interfaces. */
	dir = ic_opendirat(topology->ctx->sysfd, syspath);
	while (dir && !ret && (e = readdir(dir))) {
		if (strncmp(e->d_name, "lower_", 6))
			continue;
		ret = at_entry(search, "class/net", e->d_name + 6, depth + 1);
	}
	if (dir)
		closedir(dir);
	if (!ret && search->found.n == before && strstr(syspath, "/virtual/net/"))
		ret = at_ports(search, ic_basename(syspath), depth);
	snprintf(path, sizeof(path), "%s/slaves", syspath);
	dir = ret ? NULL : ic_opendirat(topology->ctx->sysfd, path);
	while (dir && !ret && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		ret = at_entry(search, "class/block", e->d_name, depth + 1);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* 1 where there is such a link, whatever came of it. */
static int at_link(struct search *search, const char *directory, const char *name)
{
	char path[PATH_MAX], *syspath;
	int ret;

	if (!*name || *name == '.' || strchr(name, '/') ||
	    snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return 0;
	syspath = ic_sys_link(search->topology->ctx->sysfd, path, directory);
	if (!syspath)
		return 0;
	ret = at_path(search, syspath, 0);
	free(syspath);
	return ret ? ret : 1;
}

/* An entry of that name in each directory "@top/X@sub". */
static int in_each(struct search *search, const char *top, const char *sub, const char *name)
{
	char path[PATH_MAX];
	struct dirent *e;
	int ret = 0, any = 0;
	DIR *dir;

	dir = ic_opendirat(search->topology->ctx->sysfd, top);
	while (dir && ret >= 0 && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", top, e->d_name, sub);
		ret = at_link(search, path, name);
		any |= ret > 0;
	}
	if (dir)
		closedir(dir);
	return ret < 0 ? ret : any;
}

/* An interface or a disk; else anything that a class has: "nvme0", "card0". */
static int by_class(struct search *search, const char *name)
{
	int net, block;

	net = at_link(search, "class/net", name);
	block = net < 0 ? net : at_link(search, "class/block", name);
	if (net || block)
		return block < 0 ? block : 1;
	return in_each(search, "class", "", name);
}

/* The target of a link at the end of @path, below the root; false where it is none. */
static bool follow(struct search *search, char *path, size_t size)
{
	char target[PATH_MAX], *slash;
	const char *p = target;
	size_t length;
	ssize_t n;

	n = readlinkat(search->topology->ctx->rootfd, path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	if (*p == '/') {
		snprintf(path, size, "%s", p + strspn(p, "/"));
		return true;
	}
	slash = strrchr(path, '/');
	length = slash ? slash - path : 0;
	for (; !strncmp(p, "../", 3); p += 3) {
		while (length && path[--length] != '/')
			;
	}
	snprintf(path + length, size - length, "%s%s", length ? "/" : "", p);
	return true;
}

static bool is_volume(struct iommucfg *ctx, const char *block, const char *name)
{
	char path[PATH_MAX], buf[256];

	if (strncmp(block, "dm-", 3))
		return false;
	snprintf(path, sizeof(path), "class/block/%s/dm/name", block);
	return ic_read_attr(ctx->sysfd, path, buf, sizeof(buf)) > 0 && !strcmp(buf, name);
}

/* udev's record of a block device lists the links below /dev that it has made. */
static bool has_link(struct iommucfg *ctx, const char *block, const char *link)
{
	size_t length = strlen(link);
	char path[PATH_MAX], buf[32];
	const char *p;
	char *text;

	snprintf(path, sizeof(path), "class/block/%s/dev", block);
	if (*block == '.' || ic_read_attr(ctx->sysfd, path, buf, sizeof(buf)) <= 0)
		return false;
	snprintf(path, sizeof(path), "run/udev/data/b%s", buf);
	text = ic_read_text(ctx->rootfd, path, NULL);
	for (p = text; p && (strncmp(p, "S:", 2) || strncmp(p + 2, link, length) ||
			     (p[2 + length] && p[2 + length] != '\n')); ) {
		p = strchr(p, '\n');
		p += !!p;
	}
	free(text);
	return p;
}

/* The block device that @is() takes for @name; 1 where there is one. */
static int by_block(struct search *search, const char *name,
		    bool (*is)(struct iommucfg *ctx, const char *block, const char *name))
{
	struct iommucfg *ctx = search->topology->ctx;
	struct dirent *e;
	int ret = 0;
	DIR *dir;

	dir = ic_opendirat(ctx->sysfd, "class/block");
	while (dir && !ret && (e = readdir(dir)))
		if (is(ctx, e->d_name, name))
			ret = at_link(search, "class/block", e->d_name);
	if (dir)
		closedir(dir);
	return ret;
}

/* By number where the file is there, as in a running system, else by name. */
static int by_dev(struct search *search, const char *file)
{
	struct iommucfg *ctx = search->topology->ctx;
	char path[PATH_MAX], number[64], volume[2 * NAME_MAX + 2], *p;
	struct iommucfg_group *group;
	unsigned int n;
	struct stat st;
	int ret = 0, depth = 0;
	size_t i;

	snprintf(path, sizeof(path), "%s", file + 1);
	while (depth++ < MAX_STACK && follow(search, path, sizeof(path)))
		;
	if (strncmp(path, "dev/", 4))
		return 0;
	if (!strncmp(path, "dev/vfio/", 9) && ic_canonical_decimal(path + 9, &n)) {
		group = iommucfg_topology_find_group(search->topology, n);
		for (i = 0; group && i < group->num_devices && !ret; i++)
			ret = add(group->devices[i], search);
		return ret ? ret : !!group;
	}
	if (!fstatat(ctx->rootfd, path, &st, 0) && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))) {
		snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
		ret = at_link(search, S_ISBLK(st.st_mode) ? "dev/block" : "dev/char", number);
	}
	if (!ret && strchr(path + 4, '/')) {
		ic_dm_name(path + 4, volume, sizeof(volume));
		ret = by_block(search, volume, is_volume);
		if (!ret)
			ret = by_block(search, path + 4, has_link);
	}
	/* A label may be the name of some other device. */
	if (ret || !strncmp(path, "dev/disk/", 9))
		return ret;
	for (p = path + 4; (p = strchr(p, '/')); )
		*p = '!';
	ret = at_link(search, "class/block", path + 4);
	p = strrchr(path, '!');
	return ret ? ret : by_class(search, p ? p + 1 : path + 4);
}

static int by_sys(struct search *search, const char *file)
{
	struct iommucfg_topology *topology = search->topology;
	char *path = NULL, *real = NULL, *top = NULL;
	struct iommucfg_group *group = NULL;
	unsigned int number;
	size_t length, i;
	int ret = 0;

	/* A saved tree has the one directory of disks that has partitions, too. */
	if (!strncmp(file, "/sys/block/", 11))
		ret = at_link(search, "class/block", file + 11);
	if (ret)
		return ret;
	if (asprintf(&path, "%s%s", topology->ctx->root, file) < 0)
		return -ENOMEM;
	real = realpath(path, NULL);
	top = realpath(*topology->ctx->root ? topology->ctx->root : "/", NULL);
	free(path);
	length = top && strcmp(top, "/") ? strlen(top) : 0;
	if (real && top && !strncmp(real, top, length) && !strncmp(real + length, "/sys/", 5)) {
		ret = 1;
		path = real + length + strlen("/sys/");
		if (!strncmp(path, "kernel/iommu_groups/", 20)) {
			path += 20;
			path[strcspn(path, "/")] = '\0';
			if (ic_canonical_decimal(path, &number))
				group = iommucfg_topology_find_group(topology, number);
			for (i = 0; group && i < group->num_devices && ret == 1; i++)
				ret = add(group->devices[i], search) ? -ENOMEM : 1;
		} else {
			ret = at_path(search, path, 0);
			ret = ret ? ret : 1;
		}
	}
	free(real);
	free(top);
	return ret;
}

static bool is_glob(const char *word)
{
	return strpbrk(word, "*?[");
}

/*
 * Other spellings of a PCI address: "pci_0000_01_00_0" of libvirt, and "1:0.0", which lspci
 * takes. False for what is none.
 */
static bool spell_pci(const char *word, char *name, size_t size)
{
	unsigned int domain = 0, bus, device, function;
	int n = 0;

	if (!strncasecmp(word, "pci_", 4)) {
		word += 4;
		if (sscanf(word, "%8x_%2x_%2x_%1x%n", &domain, &bus, &device, &function, &n) != 4)
			return false;
	} else if (word[strspn(word, "0123456789abcdefABCDEF:.")]) {
		/* sscanf() would take signs and blanks. */
		return false;
	} else if (sscanf(word, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &n) != 4) {
		domain = 0;
		if (sscanf(word, "%2x:%2x.%1x%n", &bus, &device, &function, &n) != 3)
			return false;
	}
	if (word[n])
		return false;
	snprintf(name, size, "%04x:%02x:%02x.%x", domain, bus, device, function);
	return true;
}

/*
 * The name that a word is another spelling of: that of libvirt, lshw, or lspci. The
 * bus before it is devlink's way, and tells devices of one name apart.
 */
static void spell(const char *word, char *name, size_t size, char *bus, size_t bus_size)
{
	const char *slash = strchr(word, '/');

	*bus = '\0';
	if (slash && slash != word && (size_t)(slash - word) < bus_size) {
		snprintf(bus, bus_size, "%.*s", (int)(slash - word), word);
		word = slash + 1;
	} else if (!strncasecmp(word, "pci@", 4) || !strncasecmp(word, "pci:", 4)) {
		word += 4;
	}
	if (!spell_pci(word, name, size))
		snprintf(name, size, "%s%s", ic_is_short_pci(word) ? "0000:" : "", word);
}

/* Devices of that name, or of names that meet a pattern. */
static int by_name(struct search *search, const char *name, const char *bus, bool glob)
{
	struct iommucfg_topology *topology = search->topology;
	struct iommucfg_device *device;
	size_t i, j;
	int flags, ret = 0;
	bool meets;

	for (i = 0; i < topology->num_devices && !ret; i++) {
		device = topology->by_name[i];
		if (*bus && (!device->bus || strcmp(device->bus, bus)))
			continue;
		flags = device->bus && !strcmp(device->bus, "pci") ? FNM_CASEFOLD : 0;
		meets = glob ? !fnmatch(name, device->name, flags) : !strcmp(name, device->name);
		for (j = 0; glob && !*bus && !meets && j < iommucfg_device_num_interfaces(device);
		     j++)
			meets = !fnmatch(name, device->interfaces.v[j], 0);
		for (j = 0; glob && !*bus && !meets && j < iommucfg_device_num_disks(device); j++)
			meets = !fnmatch(name, device->disks.v[j], 0);
		if (meets)
			ret = add(device, search);
	}
	return ret;
}

static int by_driver(struct search *search, const char *driver)
{
	struct iommucfg_topology *topology = search->topology;
	size_t i;
	int ret = 0;

	for (i = 0; i < topology->num_devices && !ret; i++)
		if (topology->by_name[i]->driver &&
		    (ic_same_driver(topology->by_name[i]->driver, driver) ||
		     !fnmatch(driver, topology->by_name[i]->driver, 0)))
			ret = add(topology->by_name[i], search);
	return ret;
}

/* A device that is there, but not itself in a group. What a controller has is the controller's. */
static int by_bus(struct search *search, const char *name)
{
	static const char *const own[] = { "pci", "platform", "amba", "fsl-mc", "cdx", "vmbus" };
	char path[PATH_MAX + 32];
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
		snprintf(path, sizeof(path), "bus/%s/devices/%s", own[i], name);
		if (strchr(name, '/') || faccessat(search->topology->ctx->sysfd, path, F_OK, 0))
			continue;
		free(search->ungrouped);
		search->ungrouped = strdup(name);
		return search->ungrouped ? 1 : -ENOMEM;
	}
	return in_each(search, "bus", "/devices", name);
}

/* Of several groups none is meant: says which there are. */
static int ambiguous(struct search *search, bool same_name)
{
	const struct iommucfg_device *d;
	char *list = NULL;
	size_t length, i, n = 0;
	FILE *f;
	int ret;

	f = open_memstream(&list, &length);
	for (i = 0; f && i < search->found.n; i++, n++) {
		d = search->found.v[i];
		if (same_name)
			fprintf(f, "%s%u (bus %s)", n ? ", " : "", d->group->number,
				d->bus ? d->bus : "unknown");
		else
			fprintf(f, "%s%u (%s)", n ? ", " : "", d->group->number, d->name);
	}
	if (!f || fclose(f))
		return -ENOMEM;
	ret = usage(search, ENOTUNIQ, same_name ?
		    "several groups have a device \"%s\": name one of the groups: %s" :
		    "\"%s\" is on devices of several groups: name one of them: %s",
		    search->word, list);
	free(list);
	return ret;
}

static int suggest(struct search *search)
{
	struct iommucfg_topology *topology = search->topology;
	struct iommucfg_device *device;
	const char **names, *near = NULL;
	char functions[64];
	size_t i, j, n = 0;

	/* The address of a slot, as lspci takes it for all of its functions. */
	snprintf(functions, sizeof(functions), "%s%s.*",
		 strchr(search->word, ':') == strrchr(search->word, ':') ? "0000:" : "",
		 search->word);

	for (i = 0; i < topology->num_devices; i++)
		n += 1 + iommucfg_device_num_interfaces(topology->by_name[i]) +
		     iommucfg_device_num_disks(topology->by_name[i]);
	names = calloc(n + 1, sizeof(*names));
	for (i = 0, n = 0; names && i < topology->num_devices; i++) {
		device = topology->by_name[i];
		if (device->bus && !strcmp(device->bus, "pci") && !is_glob(search->word) &&
		    !fnmatch(functions, device->name, FNM_CASEFOLD))
			near = functions;
		names[n++] = device->name;
		for (j = 0; j < device->interfaces.n; j++)
			names[n++] = device->interfaces.v[j];
		for (j = 0; j < device->disks.n; j++)
			names[n++] = device->disks.v[j];
	}
	if (names && !near)
		near = iommucfg_suggest(search->word, names);
	usage(search, ENOENT, "no group has a device \"%s\", and no device an interface or disk of that name%s%s%s",
	      search->word, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	free(names);
	return -ENOENT;
}

static int nothing(struct search *search, bool there)
{
	if (search->ungrouped)
		return usage(search, ENODEV,
			     strcmp(search->ungrouped, search->word) ?
			     "\"%s\" is on the device \"%s\", which is in no IOMMU group: it has no type" :
			     "the device \"%s\" is there, but in no IOMMU group: it has no type",
			     search->word, search->ungrouped);
	if (there)
		return usage(search, ENODEV, "\"%s\" is there, but on no device of an IOMMU group",
			     search->word);
	if (!strncmp(search->word, "driver:", 7))
		return usage(search, ENOENT, "no device that is in a group has the driver \"%s\"",
			     search->word + 7);
	if (is_glob(search->word))
		return usage(search, ENOENT, "nothing in a group meets \"%s\"", search->word);
	if (*search->word == '/')
		return usage(search, ENOENT, "there is no device \"%s\"", search->word);
	return suggest(search);
}

/* Of @search->found each group once, in the order of their numbers. */
static int take_groups(struct search *search, struct iommucfg_group ***groups, size_t *count)
{
	struct iommucfg_topology *topology = search->topology;
	struct iommucfg_group **v;
	size_t i, j, n = 0;

	v = calloc(topology->num_groups + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (i = 0; i < topology->num_groups; i++) {
		for (j = 0; j < search->found.n; j++)
			if (search->found.v[j]->group == topology->groups[i])
				break;
		if (j < search->found.n)
			v[n++] = topology->groups[i];
	}
	*groups = v;
	*count = n;
	return 0;
}

static int by_number(struct search *search, struct iommucfg_group ***groups, size_t *count)
{
	struct iommucfg_group *group = NULL;

	if (strlen(search->word) < 10)
		group = iommucfg_topology_find_group(search->topology,
						     strtoul(search->word, NULL, 10));
	if (!group)
		return usage(search, ENOENT, "there is no group %s", search->word);
	*groups = calloc(1, sizeof(**groups));
	if (!*groups)
		return -ENOMEM;
	**groups = group;
	*count = 1;
	return 0;
}

static int find(struct search *search, struct iommucfg_group ***groups, size_t *count)
{
	const char *word = search->word;
	bool several = false, same_name = false;
	char name[PATH_MAX], bus[32];
	int ret;

	if (!*word)
		return usage(search, ENOENT, "no group has a device \"\"");
	if (strspn(word, "0123456789") == strlen(word))
		return by_number(search, groups, count);
	if (!strncmp(word, "driver:", 7)) {
		several = true;
		ret = by_driver(search, word + 7);
	} else if (!strncmp(word, "/sys/", 5)) {
		ret = by_sys(search, word);
	} else if (*word == '/') {
		ret = by_dev(search, word);
	} else {
		/* A name may have the characters of patterns in it. */
		spell(word, name, sizeof(name), bus, sizeof(bus));
		ret = by_name(search, name, bus, false);
		same_name = search->found.n;
		if (!ret && !search->found.n && is_glob(word)) {
			several = true;
			ret = by_name(search, name, bus, true);
			/* "00:1f.*" has had its domain before. */
			if (!ret && !search->found.n &&
			    snprintf(name, sizeof(name), "0000:%s", word) < (int)sizeof(name))
				ret = by_name(search, name, bus, true);
		} else if (!ret && !*bus && !search->found.n) {
			ret = by_class(search, word);
			if (!ret)
				ret = by_block(search, word, is_volume);
			if (!ret)
				ret = by_bus(search, name);
		}
	}
	if (ret < 0)
		return ret;
	if (!search->found.n)
		return nothing(search, ret);
	ret = take_groups(search, groups, count);
	if (!ret && *count > 1 && !several) {
		free(*groups);
		ret = ambiguous(search, same_name);
	}
	return ret;
}

int iommucfg_topology_find_target(struct iommucfg_topology *topology, const char *word,
				  struct iommucfg_group ***groups, size_t *count,
				  struct iommucfg_problems *problems)
{
	struct search search = { .topology = topology, .word = word, .problems = problems };
	int ret;

	ret = find(&search, groups, count);
	free(search.found.v);
	free(search.ungrouped);
	return ret;
}
