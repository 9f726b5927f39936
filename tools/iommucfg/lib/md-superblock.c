// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which md array a disk or partition is a member of, by the superblock on it. */
#include <endian.h>
#include <fcntl.h>
#include <linux/major.h>
#include <linux/raid/md_p.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* Sectors from the end, rounded down, where format 1.0 has its superblock. */
#define END_SECTORS	16
#define END_ALIGN	8

/* Where a member of that size has it; -1 where the format is not known. */
static off_t place_of(const char *version, off_t size)
{
	uint64_t sectors = size / 512;

	if (!strcmp(version, "1.1"))
		return 0;
	if (!strcmp(version, "1.2"))
		return 4096;
	if (!strcmp(version, "1.0") && sectors > END_SECTORS)
		return ((sectors - END_SECTORS) & ~(uint64_t)(END_ALIGN - 1)) * 512;
	if (!strcmp(version, "0.90") && sectors >= 2 * MD_RESERVED_SECTORS)
		return MD_NEW_SIZE_SECTORS(sectors) * 512;
	return -1;
}

static bool parse(const char *version, const void *sb, unsigned char uuid[16])
{
	const struct mdp_superblock_1 *one = sb;
	const mdp_super_t *old = sb;
	const __u32 words[] = { old->set_uuid0, old->set_uuid1, old->set_uuid2, old->set_uuid3 };

	if (*version == '0') {
		/* In the byte order of the machine. */
		memcpy(uuid, words, sizeof(words));
		return old->md_magic == MD_SB_MAGIC;
	}
	memcpy(uuid, one->set_uuid, sizeof(one->set_uuid));
	return le32toh(one->magic) == MD_SB_MAGIC;
}

/* @version: of the format, as the array's metadata_version has it. */
bool ic_md_uuid(struct iommucfg *ctx, const char *disk, const char *version,
		unsigned char uuid[16])
{
	union {
		struct mdp_superblock_1 one;
		mdp_super_t old;
	} sb;
	char path[64];
	bool found;
	off_t place;
	int fd;

	snprintf(path, sizeof(path), "dev/%.50s", disk);
	fd = openat(ctx->rootfd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	place = place_of(version, lseek(fd, 0, SEEK_END));
	found = place >= 0 && pread(fd, &sb, sizeof(sb), place) == sizeof(sb) &&
		parse(version, &sb, uuid);
	close(fd);
	return found;
}
