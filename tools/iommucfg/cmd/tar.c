// SPDX-License-Identifier: GPL-2.0
/* Writes tar archives: ustar, with GNU's entries for names that are too long for it. */
#include <errno.h>
#include <string.h>

#include "dump.h"

#define BLOCK	512

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

static int put(FILE *f, const char *data, size_t size)
{
	static const char zeros[BLOCK];
	size_t rest = size % BLOCK ? BLOCK - size % BLOCK : 0;

	return fwrite(data, 1, size, f) != size || fwrite(zeros, 1, rest, f) != rest ? -EIO : 0;
}

static int entry(FILE *f, char type, const char *name, const char *link, const char *data,
		 size_t size);

static int long_name(FILE *f, char type, const char *name)
{
	return entry(f, type, "././@LongLink", "", name, strlen(name) + 1);
}

static int entry(FILE *f, char type, const char *name, const char *link, const char *data,
		 size_t size)
{
	struct header h = { .type = type, .magic = "ustar  " };
	unsigned int sum = 0;
	size_t i;
	int ret = 0;

	if (strlen(link) >= sizeof(h.link))
		ret = long_name(f, 'K', link);
	if (!ret && strlen(name) >= sizeof(h.name))
		ret = long_name(f, 'L', name);
	strncpy(h.name, name, sizeof(h.name) - 1);
	strncpy(h.link, link, sizeof(h.link) - 1);
	snprintf(h.mode, sizeof(h.mode), "%07o", type == '5' ? 0755 : 0644);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0);
	snprintf(h.size, sizeof(h.size), "%011zo", size);
	snprintf(h.mtime, sizeof(h.mtime), "%011o", 0);
	/* It counts as blanks itself. */
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (i = 0; i < sizeof(h); i++)
		sum += ((unsigned char *)&h)[i];
	snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
	if (!ret)
		ret = put(f, (const char *)&h, sizeof(h));
	return ret ? ret : put(f, data, size);
}

int tar_directory(FILE *f, const char *name)
{
	return entry(f, '5', name, "", "", 0);
}

int tar_link(FILE *f, const char *name, const char *target)
{
	return entry(f, '2', name, target, "", 0);
}

int tar_file(FILE *f, const char *name, const char *data, size_t size)
{
	return entry(f, '0', name, "", data, size);
}

int tar_end(FILE *f)
{
	static const char zeros[2 * BLOCK];

	return put(f, zeros, sizeof(zeros));
}
