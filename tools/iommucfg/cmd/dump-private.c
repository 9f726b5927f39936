// SPDX-License-Identifier: GPL-2.0
/*
 * What "iommucfg dump" leaves out: serial numbers, MAC addresses, UUIDs, labels, names of
 * hosts. Those that the machine has are looked up, others are known by their form. They are
 * replaced wherever they are part of a text, as MAC addresses are of names of interfaces and
 * WWIDs of names of volumes. Each is replaced by the same word everywhere, so that what
 * belongs together still does.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "dump.h"

struct secret {
	char *text;
	size_t length;
	bool is_word;		/* part of a longer word it is none */
	unsigned int number;
};

/* A text whose form or place tells what it is. */
struct word {
	char *text;
	unsigned int number;
};

struct dump_secrets {
	int rootfd;
	struct secret *v;
	size_t n, cap;
	uint32_t first[1 << 16];	/* by two letters: one more than where in @v, or 0 */
	void *words;			/* of tsearch() */
	unsigned int count;
};

/* Shorter ones would be found where they are not meant. */
#define MIN_HOST	2
#define MIN_SERIAL	8

static int add(struct dump_secrets *s, const char *text, size_t length, bool is_word)
{
	struct secret *p;

	if (length < (is_word ? MIN_HOST : MIN_SERIAL))
		return 0;
	if (s->n == s->cap) {
		p = reallocarray(s->v, s->cap ? 2 * s->cap : 16, sizeof(*p));
		if (!p)
			return -ENOMEM;
		s->v = p;
		s->cap = s->cap ? 2 * s->cap : 16;
	}
	p = &s->v[s->n];
	*p = (struct secret){ strndup(text, length), length, is_word, s->count };
	if (!p->text)
		return -ENOMEM;
	s->n++;
	return 0;
}

/* The first line, without blanks around it; its length. */
static size_t read_line(int dirfd, const char *path, char *buf, size_t size)
{
	int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	char *end;

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	memmove(buf, buf + strspn(buf, " "), strlen(buf + strspn(buf, " ")) + 1);
	for (end = buf + strlen(buf); end > buf && end[-1] == ' '; )
		*--end = '\0';
	return strlen(buf);
}

/* "52:54:00:12:34:56", and as systemd has it in names. */
static int add_mac(struct dump_secrets *s, const char *text)
{
	char squashed[64] = "";
	size_t n = 0;
	const char *p;
	int ret;

	if (strspn(text, "0:") == strlen(text))
		return 0;
	for (p = text; *p && n < sizeof(squashed) - 1; p++)
		if (*p != ':')
			squashed[n++] = *p;
	s->count++;
	ret = add(s, text, strlen(text), false);
	return ret ? ret : add(s, squashed, n, false);
}

/* "naa.5000c500a1b2c3d4" is "35000c500a1b2c3d4" as the name of a volume. */
static int add_serial(struct dump_secrets *s, const char *text)
{
	const char *dot = strchr(text, '.');
	int ret;

	s->count++;
	ret = add(s, text, strlen(text), false);
	return ret || !dot ? ret : add(s, dot + 1, strlen(dot + 1), false);
}

static int add_of_class(struct dump_secrets *s, int rootfd, const char *class,
			const char *const *files, int (*what)(struct dump_secrets *s,
							      const char *text))
{
	char path[512], buf[512];
	struct dirent *e;
	int ret = 0;
	size_t i;
	DIR *dir;

	snprintf(path, sizeof(path), "sys/class/%s", class);
	dir = dump_opendir(rootfd, path);
	while (dir && !ret && (e = readdir(dir))) {
		for (i = 0; files[i] && !ret && *e->d_name != '.'; i++) {
			snprintf(path, sizeof(path), "%s/%s", e->d_name, files[i]);
			if (read_line(dirfd(dir), path, buf, sizeof(buf)))
				ret = what(s, buf);
		}
	}
	if (dir)
		closedir(dir);
	return ret;
}

/*
 * Names that the tree is made of stay, or the tree could not be read: a host may be called
 * "block" or "sda". Numbers like those of a PCI device stay too.
 */
static bool is_of_tree(int rootfd, const char *name, size_t length)
{
	static const char *const directories[] = {
		".", "proc", "proc/net", "run", "run/udev", "sys", "sys/bus", "sys/bus/pci",
		"sys/bus/pci/drivers", "sys/class", "sys/class/block", "sys/class/net",
		"sys/devices", "sys/devices/virtual", "sys/fs", "sys/kernel", "sys/kernel/config",
		NULL
	};
	static const char *const words[] = {
		"address", "bonding", "device", "disk", "driver", "fd", "holders", "iommu_group",
		"mapper", "resume", "root", "slaves", "subsystem", NULL
	};
	char path[PATH_MAX];
	size_t i;

	if (strspn(name, "0123456789") >= length ||
	    (length == 2 && strspn(name, "0123456789abcdefABCDEF") >= length))
		return true;
	for (i = 0; words[i]; i++)
		if (strlen(words[i]) == length && !strncmp(name, words[i], length))
			return true;
	for (i = 0; directories[i]; i++) {
		snprintf(path, sizeof(path), "%s/%.*s", directories[i], (int)length, name);
		if (!faccessat(rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW))
			return true;
	}
	return false;
}

/* A name, and as part of the name of an LVM volume, where hyphens are doubled. */
static int add_name(struct dump_secrets *s, const char *name, size_t length)
{
	char doubled[512];
	size_t n = 0, i;
	int ret;

	if (is_of_tree(s->rootfd, name, length))
		return 0;
	for (i = 0; i < length && n < sizeof(doubled) - 2; i++) {
		if (name[i] == '-')
			doubled[n++] = '-';
		doubled[n++] = name[i];
	}
	ret = add(s, name, length, true);
	return ret || n == length ? ret : add(s, doubled, n, true);
}

/* "web1.example.com": that, and "web1". */
static int add_host(struct dump_secrets *s, int rootfd)
{
	char buf[256];
	size_t n = read_line(rootfd, "proc/sys/kernel/hostname", buf, sizeof(buf));
	size_t label = strcspn(buf, ".");
	int ret;

	if (!n || !strcmp(buf, "localhost"))
		return 0;
	s->count++;
	ret = add_name(s, buf, n);
	return ret || label == n ? ret : add_name(s, buf, label);
}

static unsigned int two_letters(const char *p)
{
	return tolower((unsigned char)p[0]) << 8 | tolower((unsigned char)p[1]);
}

/* The longest first of those that begin with the same letters. */
static int by_letters(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;
	unsigned int of_x = two_letters(x->text), of_y = two_letters(y->text);

	if (of_x != of_y)
		return of_x < of_y ? -1 : 1;
	return (x->length < y->length) - (x->length > y->length);
}

int dump_secrets_new(int rootfd, struct dump_secrets **secrets)
{
	/* A bond gives its own address to its legs. */
	static const char *const net[] = { "address", "bonding_slave/perm_hwaddr", NULL };
	static const char *const block[] = {
		"wwid", "device/wwid", "serial", "device/serial", "nguid", "eui", "uuid", NULL
	};
	static const char *const nvme[] = { "serial", NULL };
	struct dump_secrets *s = calloc(1, sizeof(*s));
	size_t i;
	int ret;

	*secrets = s;
	if (!s)
		return -ENOMEM;
	s->rootfd = rootfd;
	ret = add_host(s, rootfd);
	if (!ret)
		ret = add_of_class(s, rootfd, "net", net, add_mac);
	if (!ret)
		ret = add_of_class(s, rootfd, "block", block, add_serial);
	if (!ret)
		ret = add_of_class(s, rootfd, "nvme", nvme, add_serial);
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_letters);
	for (i = s->n; i > 0; i--)
		s->first[two_letters(s->v[i - 1].text)] = i;
	return ret;
}

static void free_word(void *data)
{
	struct word *word = data;

	free(word->text);
	free(word);
}

void dump_secrets_free(struct dump_secrets *s)
{
	size_t i;

	for (i = 0; s && i < s->n; i++)
		free(s->v[i].text);
	if (s) {
		free(s->v);
		tdestroy(s->words, free_word);
	}
	free(s);
}

static int compare_words(const void *a, const void *b)
{
	const struct word *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static size_t hex_digits(const char *p, size_t most)
{
	size_t n = 0;

	while (n < most && isxdigit((unsigned char)p[n]))
		n++;
	return n;
}

/* "52:54:00:12:34:56", and those with more bytes of InfiniBand; 0 where there is none. */
static size_t mac_length(const char *p)
{
	size_t n = 0;

	if (hex_digits(p, 3) != 2 || !strchr(":-_", p[2]))
		return 0;
	for (n = 2; p[n] && p[n] == p[2] && hex_digits(p + n + 1, 2) == 2; n += 3)
		;
	return n >= 17 && !isalnum((unsigned char)p[n]) ? n : 0;
}

static size_t uuid_length(const char *p)
{
	static const unsigned char parts[] = { 8, 4, 4, 4, 12 };
	size_t i, n = 0;

	for (i = 0; i < sizeof(parts); i++) {
		if (i && p[n++] != '-')
			return 0;
		if (hex_digits(p + n, parts[i]) != parts[i])
			return 0;
		n += parts[i];
	}
	return isalnum((unsigned char)p[n]) ? 0 : n;
}

/* What has one of these forms is the same in capitals, and without what stands between. */
static char *key_of(const char *text, size_t length)
{
	bool by_form = mac_length(text) == length || uuid_length(text) == length;
	char *key = strndup(text, length), *from, *to;

	for (from = to = key; key && by_form && *from; from++)
		if (isxdigit((unsigned char)*from))
			*to++ = tolower((unsigned char)*from);
	if (key && by_form)
		*to = '\0';
	return key;
}

/* The library knows a UUID by its form, so its word has that too. */
#define UUID_WORD	"00000000-0000-0000-0000-"

void dump_hide(struct dump_secrets *s, FILE *f, const char *text, size_t length)
{
	struct word *word = calloc(1, sizeof(*word)), **found = NULL;
	bool is_uuid = uuid_length(text) == length;

	/* One that was written before. */
	if (is_uuid && !strncmp(text, UUID_WORD, strlen(UUID_WORD))) {
		fwrite(text, 1, length, f);
		free(word);
		return;
	}
	if (word)
		word->text = key_of(text, length);
	if (word && word->text)
		found = tsearch(word, &s->words, compare_words);
	/* Without memory what belongs together is lost, but nothing is told. */
	if (!found) {
		fputs("hidden", f);
	} else {
		if (*found == word)
			word->number = ++s->count;
		fprintf(f, is_uuid ? UUID_WORD "%012u" : "hidden%u", (*found)->number);
	}
	if (word && (!found || *found != word))
		free_word(word);
}

static bool is_inside_word(const char *text, const char *p)
{
	return p > text && isalnum((unsigned char)p[-1]);
}

static size_t put_secret(struct dump_secrets *s, FILE *f, const char *text, const char *p)
{
	unsigned int letters = two_letters(p);
	const struct secret *secret;
	size_t i;

	for (i = s->first[letters]; i && i <= s->n; i++) {
		secret = &s->v[i - 1];
		if (two_letters(secret->text) != letters)
			break;
		if (strncasecmp(p, secret->text, secret->length) ||
		    (secret->is_word && (isalnum((unsigned char)p[secret->length]) ||
					 is_inside_word(text, p))))
			continue;
		fprintf(f, "hidden%u", secret->number);
		return secret->length;
	}
	return 0;
}

/*
 * "/dev/disk/by-id/ata-MODEL_SERIAL": the node that it stands for. Returns the length of the
 * link, 0 where there is none.
 */
static size_t put_node(struct dump_secrets *s, FILE *f, const char *p)
{
	static const char *const links[] = { "/dev/disk/by-id/", "/dev/disk/by-path/", NULL };
	char path[512], target[512] = "";
	size_t length, i;

	if (*p != '/')
		return 0;
	for (i = 0; links[i] && strncmp(p, links[i], strlen(links[i])); i++)
		;
	if (!links[i])
		return 0;
	length = strcspn(p, " \t\n,\"");
	if (length >= sizeof(path))
		return 0;
	snprintf(path, sizeof(path), "%.*s", (int)length - 1, p + 1);
	if (readlinkat(s->rootfd, path, target, sizeof(target) - 1) > 0 &&
	    !strncmp(target, "../../", 6))
		fprintf(f, "/dev/%s", target + 6);
	else
		fprintf(f, "%shidden", links[i]);
	return length;
}

/* "UUID=", "by-label/": what stands behind it. */
static size_t put_value(struct dump_secrets *s, FILE *f, const char *p)
{
	static const char *const keys[] = {
		"by-uuid/", "by-partuuid/", "by-label/", "by-partlabel/", "UUID=", "PARTUUID=",
		"LABEL=", "PARTLABEL=", NULL
	};
	size_t i, length, key;

	if (*p != 'b' && *p != 'U' && *p != 'P' && *p != 'L')
		return 0;
	for (i = 0; keys[i]; i++) {
		key = strlen(keys[i]);
		if (strncmp(p, keys[i], key))
			continue;
		length = strcspn(p + key, " \t\n,\"/");
		if (!length)
			return 0;
		fputs(keys[i], f);
		dump_hide(s, f, p + key, length);
		return key + length;
	}
	return 0;
}

/* Is this behind the "enx" of "enx525400123456"? */
static bool is_behind_prefix(const char *text, const char *p)
{
	static const char *const prefixes[] = { "en", "ib", "iw", "roce", "sl", "wl", "ww", NULL };
	size_t i, n;

	if (p == text || p[-1] != 'x')
		return false;
	for (i = 0; prefixes[i]; i++) {
		n = strlen(prefixes[i]) + 1;
		if ((size_t)(p - text) >= n && !strncmp(p - n, prefixes[i], n - 1) &&
		    !is_inside_word(text, p - n))
			return true;
	}
	return false;
}

/* What nothing in /sys has told, as the address of a keyboard, or the UUID of a volume. */
static size_t put_by_form(struct dump_secrets *s, FILE *f, const char *text, const char *p)
{
	size_t length = 0;

	if (!isxdigit((unsigned char)*p))
		return 0;
	if (!is_inside_word(text, p)) {
		length = mac_length(p);
		length = length ? length : uuid_length(p);
	} else if (is_behind_prefix(text, p)) {
		length = hex_digits(p, SIZE_MAX);
		length = length < 12 ? 0 : length;
	}
	if (length)
		dump_hide(s, f, p, length);
	return length;
}

char *dump_without(struct dump_secrets *s, const char *text)
{
	char *out = NULL;
	size_t size, length;
	const char *p;
	FILE *f;

	if (!s)
		return strdup(text);
	f = open_memstream(&out, &size);
	if (!f)
		return NULL;
	for (p = text; *p; p += length) {
		length = put_node(s, f, p);
		length = length ? length : put_value(s, f, p);
		length = length ? length : put_secret(s, f, text, p);
		length = length ? length : put_by_form(s, f, text, p);
		if (!length) {
			fputc(*p, f);
			length = 1;
		}
	}
	if (fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}
