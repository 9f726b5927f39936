// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a rule asks of a device's name, and of the way down to it, as patterns
 * of names. The kernel knows of no paths there: one stands for the name that a
 * device at its end would have while the bridges above it are numbered as now.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <strings.h>
#include <unistd.h>

#include "standing.h"

static bool is_glob(const char *text)
{
	return strpbrk(text, "*?[\\");
}

/*
 * Does it begin as a path from a root bus of PCI's does? "fe000000:codec" is a name
 * on another bus; of patterns that is not known but for two colons or a slash.
 */
static bool is_pci(const char *path)
{
	size_t length = strspn(path, "0123456789abcdefABCDEF*?[]!^-");
	const char *devfn;

	if (!is_glob(path))
		return ic_pci_address(path, strcspn(path, "/"), &devfn);
	return length && path[length] == ':';
}

static bool is_only_pci(const char *path)
{
	return is_pci(path) && (!is_glob(path) || strchr(path, '/') ||
				strchr(path, ':') != strrchr(path, ':'));
}

#define PCI_DEVICES	"bus/pci/devices"

/* Its path where there is a PCI device of that name; to be released with free(). */
static char *path_of(struct iommucfg *ctx, const char *name)
{
	char link[sizeof(PCI_DEVICES) + NAME_MAX + 1], *syspath, *path;

	snprintf(link, sizeof(link), PCI_DEVICES "/%s", name);
	syspath = ic_sys_link(ctx->sysfd, link, PCI_DEVICES);
	path = syspath ? ic_pci_path(syspath) : NULL;
	free(syspath);
	return path;
}

/* Is the path of what is on the bus of @name, "0000:00:", its name? */
static bool has_device_at_root(struct iommucfg *ctx, const char *name, size_t bus)
{
	DIR *dir = ic_opendirat(ctx->sysfd, PCI_DEVICES);
	struct dirent *e;
	bool ret = false;
	char *path;

	while (dir && !ret && (e = readdir(dir))) {
		if (strncmp(e->d_name, name, bus))
			continue;
		path = path_of(ctx, e->d_name);
		ret = path && !strcmp(path, e->d_name);
		free(path);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/*
 * Would a device of that name be on a root bus? It is not enough that none is
 * there, nor that the bus is not: the number may be that of a bus behind a bridge.
 */
static bool is_at_root(struct iommucfg *ctx, const char *name)
{
	size_t bus = strrchr(name, ':') - name;
	char root[sizeof("devices/pci") + 32];
	char *path = path_of(ctx, name);
	bool ret;

	if (path) {
		ret = !strcmp(path, name);
		free(path);
		return ret;
	}
	snprintf(root, sizeof(root), "devices/pci%.*s", (int)bus, name);
	/* One behind a device, such as VMD's, or of a device tree is further down. */
	return !faccessat(ctx->sysfd, root, F_OK, 0) || has_device_at_root(ctx, name, bus + 1);
}

/* The bus behind a bridge; 0 where there is none. */
static unsigned long bus_behind(struct iommucfg *ctx, const char *name)
{
	char attr[sizeof(PCI_DEVICES) + 64], buf[16];
	unsigned long bus;

	snprintf(attr, sizeof(attr), PCI_DEVICES "/%s/secondary_bus_number", name);
	if (ic_read_attr(ctx->sysfd, attr, buf, sizeof(buf)) <= 0 ||
	    ic_parse_number(buf, 10, 0xff, &bus))
		return 0;
	return bus;
}

/* The root bus that a controller such as VMD makes, "10000:e0"; false where there is none. */
static bool root_behind(struct iommucfg *ctx, const char *name, char *bus, size_t size)
{
	char path[sizeof(PCI_DEVICES) + 64];
	unsigned int domain, number;
	bool found = false;
	struct dirent *e;
	DIR *dir;
	int n;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s", name);
	dir = ic_opendirat(ctx->sysfd, path);
	while (dir && !found && (e = readdir(dir))) {
		n = 0;
		found = sscanf(e->d_name, "pci%8x:%2x%n", &domain, &number, &n) == 2 &&
			!e->d_name[n] && strlen(e->d_name) < size;
		if (found)
			strcpy(bus, e->d_name + 3);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The name that a device at the end of @path would have; lower case. */
static int name_at(struct iommucfg *ctx, const char *path, char *name, size_t size,
		   struct ic_gap *gap)
{
	const char *devfn, *bad = "is no path from a root bus";
	const char *slash = strchr(path, '/'), *next;
	size_t length = slash ? (size_t)(slash - path) : strlen(path);
	unsigned long bus;
	char below[48], root[32];

	if (!ic_pci_address(path, length, &devfn) || length >= size) {
		ic_gap_set(gap, "\"%s\" %s", path, bad);
		return -EINVAL;
	}
	snprintf(name, size, "%.*s", (int)length, path);
	if (!is_at_root(ctx, name)) {
		ic_gap_set(gap, "\"%s\" %s that is there", path, bad);
		return -EINVAL;
	}
	for (; slash; slash = next) {
		bus = bus_behind(ctx, name);
		/* The domain is that of the bridge. */
		snprintf(root, sizeof(root), "%.*s:%02lx", (int)strcspn(name, ":"), name, bus);
		if (!bus && !root_behind(ctx, name, root, sizeof(root))) {
			ic_gap_set(gap, "\"%s\": no bridge of that path is there that has a bus behind it",
				   path);
			return -ENOENT;
		}
		next = strchr(slash + 1, '/');
		length = next ? (size_t)(next - slash - 1) : strlen(slash + 1);
		if ((size_t)snprintf(below, sizeof(below), "%s:%.*s", root, (int)length,
				     slash + 1) >= size || length != 4 ||
		    !ic_pci_address(below, strlen(below), &devfn)) {
			ic_gap_set(gap, "\"%s\" %s", path, bad);
			return -EINVAL;
		}
		strcpy(name, below);
	}
	return 0;
}

/* Adds the pattern for a word, unless the kernel cannot have it. */
static int add_glob(struct ic_words *words, const char *word, enum ic_bus bus,
		    struct ic_gap *gap)
{
	char *glob;

	errno = ENOMEM;
	glob = ic_kernel_glob(word, bus == IC_BUS_PCI, false);
	if (!glob && errno == EINVAL) {
		ic_gap_set(gap, "the kernel knows no pattern such as \"%.128s\"", word);
		return 0;
	}
	return ic_words_add(words, glob);
}

static int add_path(struct iommucfg *ctx, const char *value, enum ic_bus bus,
		    struct ic_words *words, struct ic_gap *gap)
{
	char name[32], *path, *p;
	int ret;

	if (!strcmp(value, "*"))
		return ic_words_add(words, strdup(value));
	if (bus == IC_BUS_PLATFORM)
		return is_only_pci(value) ? 0 : add_glob(words, value, bus, gap);
	if (is_glob(value)) {
		/* One that begins with a letter of no address means other buses. */
		if (is_pci(value) || strchr("*?[\\", *value))
			ic_gap_set(gap, "the kernel knows no patterns of paths, such as \"%.128s\"",
				   value);
		return 0;
	}
	if (!is_pci(value))
		return 0;
	path = strdup(value);
	if (!path)
		return -ENOMEM;
	for (p = path; *p; p++)
		*p = tolower((unsigned char)*p);
	ret = name_at(ctx, path, name, sizeof(name), gap);
	free(path);
	return ret ? 0 : ic_words_add(words, strdup(name));
}

/* What meets both patterns, where that can be told; NULL and no gap: nothing. */
static const char *meet(const char *a, const char *b, struct ic_gap *gap)
{
	if (!strcmp(a, "*") || !strcmp(a, b))
		return b;
	if (!strcmp(b, "*"))
		return a;
	if (!is_glob(a))
		return fnmatch(b, a, 0) ? NULL : a;
	if (!is_glob(b))
		return fnmatch(a, b, 0) ? NULL : b;
	ic_gap_set(gap, "\"%.64s\" and \"%.64s\" cannot be asked for at once", a, b);
	return NULL;
}

static int intersect(struct ic_words *words, const struct ic_words *a, const struct ic_words *b,
		     struct ic_gap *gap)
{
	const char *both;
	size_t i, j;

	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n; j++) {
			both = meet(a->v[i], b->v[j], gap);
			if (both && ic_words_add(words, strdup(both)))
				return -ENOMEM;
		}
	return 0;
}

/* All that one key asks for, or "*" where not all of it can be said. */
static int widen(struct ic_words *wide, const struct ic_words *words, bool part)
{
	int ret = part ? ic_words_add(wide, strdup("*")) : 0;
	size_t i;

	for (i = 0; i < words->n && !part && !ret; i++)
		ret = ic_words_add(wide, strdup(words->v[i]));
	return ret;
}

/* What is missing in @words meets these, of names and of paths what could be said. */
static int say_wide(struct ic_said *said, const struct ic_words *names, bool names_part,
		    const struct ic_words *paths, bool paths_part)
{
	struct ic_words a = { 0 }, b = { 0 };
	struct ic_gap gap = { "" };
	int ret;

	ret = widen(&a, names, names_part);
	if (!ret)
		ret = widen(&b, paths, paths_part);
	if (!ret)
		ret = intersect(&said->wide, &a, &b, &gap);
	if (!ret && *gap.why) {
		ic_words_clear(&said->wide);
		ret = widen(&said->wide, &a, false);
	}
	ic_words_clear(&a);
	ic_words_clear(&b);
	ic_words_sort(&said->wide);
	return ret;
}

/* The patterns for a rule on a bus; none where it cannot be met there. */
int ic_standing_devices(struct iommucfg *ctx, const struct iommucfg_rule *rule,
			enum ic_bus bus, struct ic_said *said, struct ic_gap *gap)
{
	const struct ic_values *names = &rule->match[IC_KEY_DEVICE];
	const struct ic_values *paths = &rule->match[IC_KEY_PATH];
	struct ic_gap no_name = { "" }, no_path = { "" }, not_both = { "" };
	struct ic_words a = { 0 }, b = { 0 };
	int ret = 0;
	size_t i;

	if (!names->n)
		ret = ic_words_add(&a, strdup("*"));
	for (i = 0; i < names->n && !ret; i++)
		ret = add_glob(&a, names->v[i].word, bus, &no_name);
	if (!ret && !paths->n)
		ret = ic_words_add(&b, strdup("*"));
	for (i = 0; i < paths->n && !ret; i++)
		ret = add_path(ctx, paths->v[i].word, bus, &b, &no_path);
	if (!ret)
		ret = intersect(&said->words, &a, &b, &not_both);
	said->part = *no_name.why || *no_path.why || *not_both.why;
	if (!ret && said->part) {
		ic_gap_set(gap, "%s", *no_name.why ? no_name.why :
			   *no_path.why ? no_path.why : not_both.why);
		ret = say_wide(said, &a, *no_name.why, &b, *no_path.why);
	}
	ic_words_clear(&a);
	ic_words_clear(&b);
	ic_words_sort(&said->words);
	return ret;
}
