// SPDX-License-Identifier: GPL-2.0
/*
 * Paths and tables of mounts for "iommucfg dump". Directories that every system has keep
 * their names; below those that people and services name, each name is replaced by the same
 * word everywhere. Of the options of a mount those stay that the library reads.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

/* How many names below a directory are kept. */
static const struct {
	const char *path;
	unsigned int below;
} kept[] = {
	{ "/bin", UINT_MAX }, { "/boot", UINT_MAX }, { "/dev/hugepages", 0 }, { "/dev/mqueue", 0 },
	{ "/dev/shm", 0 }, { "/dev", UINT_MAX }, { "/efi", UINT_MAX }, { "/etc", UINT_MAX },
	{ "/home", 0 }, { "/lib", UINT_MAX }, { "/lib32", UINT_MAX }, { "/lib64", UINT_MAX },
	{ "/media", 0 }, { "/mnt", 0 }, { "/nix", 1 }, { "/opt", 0 }, { "/proc", UINT_MAX },
	{ "/root", 0 }, { "/run", 1 }, { "/sbin", UINT_MAX }, { "/snap", 0 }, { "/srv", 0 },
	{ "/sys", UINT_MAX }, { "/sysroot", 0 }, { "/tmp", 0 }, { "/usr", UINT_MAX },
	{ "/var", 1 },
};

static bool is(const char *p, size_t length, const char *word)
{
	return length == strlen(word) && !strncmp(p, word, length);
}

/* How many names in front are kept. */
static unsigned int count_kept(const char *path, size_t length)
{
	unsigned int names;
	const char *p;
	size_t i, n;

	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		n = strlen(kept[i].path);
		if (length < n || strncmp(path, kept[i].path, n) ||
		    (length > n && path[n] != '/'))
			continue;
		if (kept[i].below == UINT_MAX)
			return UINT_MAX;
		for (names = kept[i].below, p = kept[i].path; *p; p++)
			names += *p == '/';
		return names;
	}
	return 0;
}

/* In a table of mounts "\040" is a blank, elsewhere it is itself. */
static void hide_name(struct dump_secrets *s, FILE *f, const char *p, size_t length)
{
	char name[NAME_MAX + 1];
	size_t n = 0, i;

	for (i = 0; i < length && n < sizeof(name); i++, n++) {
		name[n] = p[i];
		if (p[i] == '\\' && length - i > 3 && strspn(p + i + 1, "01234567") >= 3) {
			name[n] = (p[i + 1] - '0') << 6 | (p[i + 2] - '0') << 3 | (p[i + 3] - '0');
			i += 3;
		}
	}
	dump_hide(s, f, name, n);
}

void dump_put_path(struct dump_secrets *s, FILE *f, const char *path, size_t length)
{
	unsigned int keep = count_kept(path, length);
	const char *p = path, *end = path + length;
	size_t n;

	while (p < end) {
		for (n = 0; p + n < end && p[n] != '/'; n++)
			;
		if (!n) {
			fputc(*p++, f);
			continue;
		}
		if (keep)
			fwrite(p, 1, n, f);
		else
			hide_name(s, f, p, n);
		keep -= keep > 0;
		p += n;
	}
}

char *dump_path_without(struct dump_secrets *s, const char *path)
{
	char *out = NULL;
	size_t size;
	FILE *f;

	if (!s)
		return strdup(path);
	f = open_memstream(&out, &size);
	if (!f)
		return NULL;
	dump_put_path(s, f, path, strlen(path));
	if (fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}

static bool put_address(FILE *f, const char *word, size_t length)
{
	unsigned char binary[sizeof(struct in6_addr)];
	char text[INET6_ADDRSTRLEN + 1];

	if (length >= sizeof(text))
		return false;
	memcpy(text, word, length);
	text[length] = '\0';
	if (inet_pton(AF_INET, text, binary) == 1)
		fputs("192.0.2.1", f);
	else if (strchr(text, ':') && inet_pton(AF_INET6, text, binary) == 1)
		fputs("2001:db8::1", f);
	else
		return false;
	return true;
}

/* For the first address in a text; false where there is none. */
static bool put_any_address(FILE *f, const char *p, size_t length)
{
	const char *end = p + length;
	size_t n, m;

	for (; p < end; p += n ? n : 1) {
		n = strspn(p, "0123456789abcdefABCDEF.:");
		n = n > (size_t)(end - p) ? (size_t)(end - p) : n;
		/* "192.0.2.7:/srv" and "2001:db8::7:/srv" */
		for (m = n; m; m--)
			if (put_address(f, p, m))
				return true;
	}
	return false;
}

/* "server:/srv", "user@server:dir", "//server/share": with the address, if it has one. */
static void put_source(struct dump_secrets *s, FILE *f, const char *type, const char *source)
{
	size_t length = strlen(source);

	if (!strncmp(source, "/dev/", 5))
		fputs(source, f);
	/* "pool/dataset" */
	else if (!strcmp(type, "zfs"))
		dump_put_path(s, f, source, length);
	else if (*source == '/' && source[1] != '/')
		dump_put_path(s, f, source, length);
	else if (!put_any_address(f, source, length))
		fputs(source[strcspn(source, ":/@")] ? "host:/" : type, f);
}

static bool is_key(const char *option, size_t length, const char *const *keys)
{
	for (; *keys; keys++)
		if (is(option, length, *keys))
			return true;
	return false;
}

static void put_layers(struct dump_secrets *s, FILE *f, const char *paths)
{
	size_t n;

	for (; *paths; paths += n) {
		n = strcspn(paths, ":");
		dump_put_path(s, f, paths, n);
		if (paths[n] == ':')
			fputc(paths[n++], f);
	}
}

static void put_options(struct dump_secrets *s, FILE *f, char *options)
{
	static const char *const words[] = {
		"ro", "rw", "rdma", "journal_dev", "proto", "trans", "transport", NULL
	};
	static const char *const addresses[] = { "addr", "ip", "mon_addr", NULL };
	static const char *const devices[] = {
		"device", "jdev", "journal_path", "logdev", "rtdev", NULL
	};
	static const char *const layers[] = {
		"datadir+", "lowerdir", "lowerdir+", "upperdir", "workdir", NULL
	};
	const char *between = "";
	char *option, *value;
	size_t key;

	while ((option = strsep(&options, ","))) {
		key = strcspn(option, "=");
		value = option + key + (option[key] == '=');
		if (!is_key(option, key, words) && !is_key(option, key, addresses) &&
		    !is_key(option, key, devices) && !is_key(option, key, layers))
			continue;
		fprintf(f, "%s%.*s", between, (int)(value - option), option);
		between = ",";
		if (is_key(option, key, words))
			fputs(value, f);
		else if (is_key(option, key, devices))
			dump_put_path(s, f, value, strlen(value));
		else if (is_key(option, key, layers))
			put_layers(s, f, value);
		else if (!put_any_address(f, value, strlen(value)))
			fputs("host", f);
	}
}

/* "21 1 259:1 /root /target options [tags] - type source options" */
bool dump_put_mount(struct dump_secrets *s, FILE *f, char *line)
{
	char *field[6], *p, *type, *source;
	size_t i;

	for (i = 0; i < 6; i++) {
		field[i] = strsep(&line, " ");
		if (!field[i])
			return false;
	}
	while ((p = strsep(&line, " ")) && strcmp(p, "-"))
		;
	type = strsep(&line, " ");
	source = strsep(&line, " ");
	if (!type || !source)
		return false;
	/* Which directory of the file system it is, is of no use. */
	fprintf(f, "%s %s %s / ", field[0], field[1], field[2]);
	dump_put_path(s, f, field[4], strlen(field[4]));
	fputc(' ', f);
	put_options(s, f, field[5]);
	fprintf(f, " - %s ", type);
	put_source(s, f, type, source);
	if (line) {
		fputc(' ', f);
		put_options(s, f, line);
	}
	return true;
}
