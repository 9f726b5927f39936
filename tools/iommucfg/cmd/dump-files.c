// SPDX-License-Identifier: GPL-2.0
/*
 * Files of "iommucfg dump" that have names or addresses in them: what is kept of each is what
 * the library reads.
 */
#include <stdlib.h>
#include <string.h>

#include "dump.h"

static bool begins(const char *line, const char *const *words)
{
	line += strspn(line, " \t");
	for (; *words; words++)
		if (!strncmp(line, *words, strlen(*words)))
			return true;
	return false;
}

static bool put_some(FILE *f, const char *line, const char *const *words)
{
	return begins(line, words) && fputs(line, f) >= 0;
}

/* Default routes, also by halves, whose gateway is any. */
static bool put_route(FILE *f, const char *line, bool is_heading)
{
	unsigned int to, gateway, flags, mask;
	char name[64];
	int n;

	if (is_heading)
		return fputs(line, f) >= 0;
	if (sscanf(line, "%63s %x %x %x%n", name, &to, &gateway, &flags, &n) != 4 ||
	    sscanf(line + n, "%*s %*s %*s %x", &mask) != 1 || __builtin_popcount(mask) >= 8)
		return false;
	fprintf(f, "%s\t%08X\t%08X\t%04X%s", name, to, gateway ? 0x010200c0 : 0, flags, line + n);
	return true;
}

static bool put_route6(FILE *f, const char *line)
{
	unsigned int prefix;
	char to[33], via[33];
	int begin, end;

	if (sscanf(line, "%32s %x %*s %*s %n%32s%n", to, &prefix, &begin, via, &end) != 3 ||
	    prefix >= 8)
		return false;
	fprintf(f, "%.*s%s%s", begin, line,
		strspn(via, "0") == 32 ? via : "20010db8000000000000000000000001", line + end);
	return true;
}

/* Of the kernel's command line where / is, not "root=192.0.2.7:/srv" or "root=ZFS=tank/x". */
static bool put_words(FILE *f, char *line)
{
	static const char *const keep[] = {
		"iommu", "intel_iommu", "amd_iommu", "arm-smmu", "root=", "resume=", NULL
	};
	static const char *const places[] = {
		"/dev/", "UUID=", "PARTUUID=", "LABEL=", "PARTLABEL=", NULL
	};
	char *word;

	while ((word = strsep(&line, " "))) {
		if (!begins(word, keep))
			continue;
		if (begins(word, keep + 4) && !begins(strchr(word, '=') + 1, places))
			continue;
		fprintf(f, "%s ", word);
	}
	return true;
}

/* "/dev/dm-5   partition 8388604 0 -2", or a file */
static bool put_swap(struct dump_secrets *s, FILE *f, const char *line, bool is_heading)
{
	size_t n = is_heading ? 0 : strcspn(line, " \t");

	dump_put_path(s, f, line, n);
	fputs(line + n, f);
	return true;
}

/* Of what LIO tells of a disk: "iBlock device: sda  UDEV PATH: ...", "File: /dev/sda ..." */
static bool put_export(FILE *f, const char *line)
{
	const char *key = "iBlock device: ", *p = strstr(line, key);

	if (!p) {
		key = "File: /dev/";
		p = strstr(line, key);
	}
	if (!p)
		return false;
	fprintf(f, "%.*s", (int)(strlen(key) + strcspn(p + strlen(key), " \t")), p);
	return true;
}

static bool ends_with(const char *path, const char *end)
{
	return strlen(path) >= strlen(end) && !strcmp(path + strlen(path) - strlen(end), end);
}

/* Of a volume of device mapper only the kind, as "mpath-". */
static bool put_uuid(struct dump_secrets *s, FILE *f, const char *path, const char *line)
{
	size_t n = ends_with(path, "/dm/uuid") ? strcspn(line, "-") : 0;

	if (line[n] == '-')
		fprintf(f, "%.*s-", (int)n, line);
	dump_hide(s, f, line, strlen(line));
	return true;
}

/* False for a line that is left out. */
static bool put_line(struct dump_secrets *s, FILE *f, const char *path, char *line, bool is_first)
{
	static const char *const uevent[] = {
		"DEVTYPE=", "DRIVER=", "MODALIAS=", "DEVNAME=", "MAJOR=", "MINOR=", "INTERFACE=",
		"IFINDEX=", "PCI_", "OF_COMPATIBLE", "PARTN=", NULL
	};
	static const char *const bonding[] = {
		"Bonding Mode", "Slave Interface", "MII Status", NULL
	};
	static const char *const links[] = {
		"S:disk/by-uuid/", "S:disk/by-partuuid/", "S:disk/by-label/",
		"S:disk/by-partlabel/", "E:ID_FS_TYPE=", "E:ID_FS_LABEL=", NULL
	};
	static const char *const minor[] = { "Device Minor", NULL };

	if (ends_with(path, "/mountinfo"))
		return dump_put_mount(s, f, line);
	if (ends_with(path, "/uevent"))
		return put_some(f, line, uevent);
	if (strstr(path, "/bonding/") && !strncmp(path, "proc/", 5))
		return put_some(f, line, bonding);
	if (!strncmp(path, "run/udev/", 9))
		return put_some(f, line, links);
	if (ends_with(path, "/information"))
		return put_some(f, line, minor);
	if (!strcmp(path, "proc/net/route"))
		return put_route(f, line, is_first);
	if (!strcmp(path, "proc/net/ipv6_route"))
		return put_route6(f, line);
	if (!strcmp(path, "proc/cmdline"))
		return put_words(f, line);
	if (!strcmp(path, "proc/swaps"))
		return put_swap(s, f, line, is_first);
	if (ends_with(path, "/info"))
		return put_export(f, line);
	if (ends_with(path, "/uuid"))
		return put_uuid(s, f, path, line);
	if (ends_with(path, "/backing_file") || ends_with(path, "/udev_path") ||
	    ends_with(path, "/device_path") ||
	    (ends_with(path, "/backing_dev") && strcmp(line, "none")))
		dump_put_path(s, f, line, strlen(line));
	else
		fputs(line, f);
	return true;
}

char *dump_file_without(struct dump_secrets *s, const char *path, const char *text)
{
	char *some = NULL, *copy, *line, *next, *out;
	size_t size;
	FILE *f;

	if (!s)
		return strdup(text);
	copy = strdup(text);
	f = copy ? open_memstream(&some, &size) : NULL;
	if (!f) {
		free(copy);
		return NULL;
	}
	for (line = copy; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next) {
			*next++ = '\0';
			if (put_line(s, f, path, line, line == copy))
				fputc('\n', f);
		} else {
			put_line(s, f, path, line, line == copy);
		}
	}
	free(copy);
	out = fclose(f) ? NULL : dump_without(s, some);
	free(some);
	return out;
}
