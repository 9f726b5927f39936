// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parses mountinfo of PID 1's mount namespace and of others. A table can have
 * tens of thousands of lines, and each service with a namespace has a copy.
 * From a further namespace only file systems that no earlier one has are kept.
 */
#include <errno.h>
#include <search.h>
#include <stdint.h>
#include <sys/sysmacros.h>

#include "use.h"

static bool parse_number(const char *text, dev_t *number)
{
	unsigned long major, minor;
	char *end;

	major = strtoul(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	text = end + 1;
	minor = strtoul(text, &end, 10);
	*number = makedev(major, minor);
	return end != text;
}

/* "21 1 259:1 /root /target options [tags] - type source options" */
static bool parse_line(char *line, struct ic_mount *mount)
{
	char *field[7] = { NULL }, *p;
	int i;

	for (i = 0; i < 6; i++) {
		field[i] = strsep(&line, " ");
		if (!field[i])
			return false;
	}
	while ((p = strsep(&line, " ")) && strcmp(p, "-"))
		;
	mount->type = strsep(&line, " ");
	p = strsep(&line, " ");
	if (!mount->type || !p || !parse_number(field[2], &mount->number))
		return false;
	ic_unescape(field[4]);
	ic_unescape(p);
	if (line)
		ic_unescape(line);
	mount->target = field[4];
	mount->source = p;
	mount->options = line ? line : "";
	return true;
}

static int compare(const void *a, const void *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* Is the file system of this line in a table that was read before? */
static bool is_known(const struct ic_mounts *mounts, const char *line)
{
	const char *p = strchr(line, ' ');
	dev_t number;

	p = p ? strchr(p + 1, ' ') : NULL;
	return p && parse_number(p + 1, &number) &&
	       tfind((void *)(uintptr_t)number, &mounts->numbers, compare);
}

/* Reads a table. @owner: NULL for PID 1's namespace, else a process of the namespace. */
int ic_mounts_read(struct ic_scan *scan, const char *path, const char *owner)
{
	struct ic_mounts *mounts = &scan->mounts;
	size_t first = mounts->n, i;
	char *text, *copy, *line;
	int ret;

	text = ic_read_text(scan->topology->ctx->rootfd, path, &ret);
	if (!text)
		return ret;
	copy = owner ? strdup(owner) : NULL;
	if ((owner && !copy) || IC_GROW(mounts->texts, mounts->num_texts, mounts->cap_texts)) {
		free(copy);
		free(text);
		return -ENOMEM;
	}
	mounts->texts[mounts->num_texts++] = text;
	if (copy) {
		if (IC_GROW(mounts->texts, mounts->num_texts, mounts->cap_texts)) {
			free(copy);
			return -ENOMEM;
		}
		mounts->texts[mounts->num_texts++] = copy;
	}
	while ((line = strsep(&text, "\n"))) {
		struct ic_mount mount = { .owner = copy, .fs = SIZE_MAX };

		if ((owner && is_known(mounts, line)) || !parse_line(line, &mount))
			continue;
		if (IC_GROW(mounts->v, mounts->n, mounts->cap))
			return -ENOMEM;
		mounts->v[mounts->n++] = mount;
	}
	for (i = first; i < mounts->n; i++)
		if (!tsearch((void *)(uintptr_t)mounts->v[i].number, &mounts->numbers, compare))
			return -ENOMEM;
	return 0;
}

static void keep(void *number)
{
	(void)number;
}

void ic_mounts_free(struct ic_mounts *mounts)
{
	size_t i;

	for (i = 0; i < mounts->num_texts; i++)
		free(mounts->texts[i]);
	free(mounts->texts);
	free(mounts->v);
	tdestroy(mounts->numbers, keep);
}

/* Is a path below the mount point? */
bool ic_mount_has(const struct ic_mount *mount, const char *path)
{
	size_t length = strlen(mount->target);

	if (length == 1)
		return true;
	return !strncmp(path, mount->target, length) && (path[length] == '/' || !path[length]);
}

/* The mount of PID 1's namespace that contains a path, or NULL. @but is passed over. */
struct ic_mount *ic_mount_at(const struct ic_mounts *mounts, const char *path,
			     const struct ic_mount *but)
{
	struct ic_mount *best = NULL, *m;
	size_t length, most = 0, i;

	for (i = 0; i < mounts->n; i++) {
		m = &mounts->v[i];
		if (m->owner || m == but)
			continue;
		length = strlen(m->target);
		/* Of two mounts on one mount point the later one is visible. */
		if (length >= most && ic_mount_has(m, path)) {
			best = m;
			most = length;
		}
	}
	return best;
}

/* Takes the next "key=value" from a list with commas; false at its end. */
bool ic_option_next(const char **options, struct ic_option *option)
{
	size_t length = strcspn(*options, ",");

	if (!**options)
		return false;
	option->key = *options;
	option->key_length = strcspn(*options, ",=");
	option->value = *options + option->key_length + (option->key_length < length);
	option->length = *options + length - option->value;
	*options += length + ((*options)[length] == ',');
	return true;
}

bool ic_option_is(const struct ic_option *option, const char *key)
{
	return strlen(key) == option->key_length && !strncmp(option->key, key, option->key_length);
}
