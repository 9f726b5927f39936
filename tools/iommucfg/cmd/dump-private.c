// SPDX-License-Identifier: GPL-2.0
/*
 * What "iommucfg dump" leaves out: serial numbers, MAC and network addresses, names of hosts.
 * Those that the machine has are looked up, and replaced wherever they are part of a text, as
 * MAC addresses are of names of interfaces and WWIDs of names of volumes. Each is replaced by
 * the same word everywhere, so that what belongs together still does. Of files that have
 * more of the kind only what is needed is kept.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "dump.h"

struct secret {
	char *text;
	bool is_word;		/* part of a longer word it is none */
	unsigned int number;
};

struct dump_secrets {
	int rootfd;
	struct secret *v;
	size_t n, cap;
	unsigned int count;
};

/* Shorter ones would be found where they are not meant. */
#define MIN_HOST	4
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
	*p = (struct secret){ strndup(text, length), is_word, s->count };
	if (!p->text)
		return -ENOMEM;
	s->n++;
	return 0;
}

/* The first line, without blanks around it; its length. */
static size_t read_line(int dirfd, const char *path, char *buf, size_t size)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
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

/* "web1.example.com": that, and "web1". */
static int add_host(struct dump_secrets *s, int rootfd)
{
	char buf[256];
	size_t n = read_line(rootfd, "proc/sys/kernel/hostname", buf, sizeof(buf));
	int ret;

	if (!n || !strcmp(buf, "localhost"))
		return 0;
	s->count++;
	ret = add(s, buf, n, true);
	return ret ? ret : add(s, buf, strcspn(buf, "."), true);
}

static int by_length(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;

	return (int)strlen(y->text) - (int)strlen(x->text);
}

int dump_secrets_new(int rootfd, struct dump_secrets **secrets)
{
	static const char *const net[] = { "address", NULL };
	static const char *const block[] = {
		"wwid", "device/wwid", "serial", "device/serial", "nguid", "eui", "uuid", NULL
	};
	static const char *const nvme[] = { "serial", NULL };
	struct dump_secrets *s = calloc(1, sizeof(*s));
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
		qsort(s->v, s->n, sizeof(*s->v), by_length);
	return ret;
}

void dump_secrets_free(struct dump_secrets *s)
{
	size_t i;

	for (i = 0; s && i < s->n; i++)
		free(s->v[i].text);
	if (s)
		free(s->v);
	free(s);
}

static const struct secret *secret_at(const struct dump_secrets *s, const char *text, const char *p)
{
	size_t i, length;

	for (i = 0; i < s->n; i++) {
		length = strlen(s->v[i].text);
		if (strncasecmp(p, s->v[i].text, length))
			continue;
		if (s->v[i].is_word && (isalnum((unsigned char)p[length]) ||
					(p > text && isalnum((unsigned char)p[-1]))))
			continue;
		return &s->v[i];
	}
	return NULL;
}

/*
 * "/dev/disk/by-id/ata-MODEL_SERIAL": the node that it stands for. Returns the length of the
 * link, 0 where there is none.
 */
static size_t put_node(FILE *f, const struct dump_secrets *s, const char *p)
{
	static const char by_id[] = "/dev/disk/by-id/";
	char path[512], target[512] = "";
	size_t length;

	if (strncmp(p, by_id, strlen(by_id)))
		return 0;
	length = strcspn(p, " \t\n,\"");
	if (length >= sizeof(path))
		return 0;
	snprintf(path, sizeof(path), "%.*s", (int)length - 1, p + 1);
	if (readlinkat(s->rootfd, path, target, sizeof(target) - 1) > 0 &&
	    !strncmp(target, "../../", 6))
		fprintf(f, "/dev/%s", target + 6);
	else
		fprintf(f, "%shidden", by_id);
	return length;
}

char *dump_without(const struct dump_secrets *s, const char *text)
{
	const struct secret *secret;
	char *out = NULL;
	size_t size, length;
	const char *p;
	FILE *f;

	if (!s)
		return strdup(text);
	f = open_memstream(&out, &size);
	if (!f)
		return NULL;
	for (p = text; *p; ) {
		length = put_node(f, s, p);
		p += length;
		if (length)
			continue;
		secret = secret_at(s, text, p);
		if (secret)
			fprintf(f, "hidden%u", secret->number);
		else
			fputc(*p, f);
		p += secret ? strlen(secret->text) : 1;
	}
	if (fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}

/* Network addresses and servers in tables of mounts ------------------------ */

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

static void put_without_addresses(FILE *f, const char *p, size_t length)
{
	const char *end = p + length;
	size_t n, m;

	while (p < end) {
		n = strspn(p, "0123456789abcdefABCDEF.:");
		n = n > (size_t)(end - p) ? (size_t)(end - p) : n;
		/* "192.0.2.7:/srv" and "2001:db8::7:/srv" */
		for (m = n; m && !put_address(f, p, m); m--)
			;
		if (!m) {
			m = n ? n : 1;
			fwrite(p, 1, m, f);
		}
		p += m;
	}
}

/* "server:/srv", "user@server:dir", "//server/share" */
static void put_source(FILE *f, const char *p, size_t length)
{
	const char *slash, *colon = memchr(p, ':', length);

	if (length > 2 && !strncmp(p, "//", 2)) {
		slash = memchr(p + 2, '/', length - 2);
		fputs("//host", f);
		if (slash)
			fwrite(slash, 1, p + length - slash, f);
	} else if (*p != '/' && colon) {
		while (memchr(colon + 1, ':', p + length - colon - 1))
			colon = memchr(colon + 1, ':', p + length - colon - 1);
		fputs("host", f);
		fwrite(colon, 1, p + length - colon, f);
	} else {
		fwrite(p, 1, length, f);
	}
}

static void put_mount(FILE *f, const char *line, size_t length)
{
	const char *p = memmem(line, length, " - ", 3), *source, *end = line + length;
	size_t n;

	if (!p) {
		fwrite(line, 1, length, f);
		return;
	}
	source = memchr(p + 3, ' ', end - p - 3);
	if (!source++) {
		fwrite(line, 1, length, f);
		return;
	}
	fwrite(line, 1, source - line, f);
	n = strcspn(source, " \n");
	put_source(f, source, n);
	put_without_addresses(f, source + n, end - source - n);
}

/* Other files -------------------------------------------------------------- */

static bool begins(const char *line, const char *const *words)
{
	line += strspn(line, " \t");
	for (; *words; words++)
		if (!strncmp(line, *words, strlen(*words)))
			return true;
	return false;
}

static void put_some(FILE *f, const char *line, size_t length, const char *const *words)
{
	if (begins(line, words))
		fwrite(line, 1, length, f);
}

/* Default routes, also by halves, whose gateway is any. */
static void put_route(FILE *f, const char *line, size_t length)
{
	unsigned int to, gateway, flags, mask;
	char name[64];
	int n;

	if (strstr(line, "Destination") && strstr(line, "Destination") < line + length)
		fwrite(line, 1, length, f);
	else if (sscanf(line, "%63s %x %x %x%n", name, &to, &gateway, &flags, &n) == 4 &&
		 sscanf(line + n, "%*s %*s %*s %x", &mask) == 1 &&
		 __builtin_popcount(mask) < 8)
		fprintf(f, "%s\t%08X\t%08X\t%04X%.*s", name, to, gateway ? 0x010200c0 : 0, flags,
			(int)(length - n), line + n);
}

static void put_route6(FILE *f, const char *line, size_t length)
{
	unsigned int prefix;
	char to[33], via[33];
	int begin, end;

	if (sscanf(line, "%32s %x %*s %*s %n%32s%n", to, &prefix, &begin, via, &end) != 3 ||
	    prefix >= 8)
		return;
	fwrite(line, 1, begin, f);
	fputs(strspn(via, "0") == 32 ? via : "20010db8000000000000000000000001", f);
	fwrite(line + end, 1, length - end, f);
}

static void put_words(FILE *f, const char *line, size_t length)
{
	static const char *const keep[] = {
		"root=", "resume=", "iommu", "intel_iommu", "amd_iommu", "arm-smmu", NULL
	};
	const char *end = line + length;
	size_t n;

	for (; line < end; line += n + 1) {
		n = strcspn(line, " \n");
		/* "root=192.0.2.7:/srv" */
		if (begins(line, keep) && !memchr(line, ':', n))
			fprintf(f, "%.*s ", (int)n, line);
	}
	fputc('\n', f);
}

static bool ends_with(const char *path, const char *end)
{
	return strlen(path) >= strlen(end) && !strcmp(path + strlen(path) - strlen(end), end);
}

static void put_line(FILE *f, const char *path, const char *line, size_t length)
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
		"S:disk/by-partlabel/", NULL
	};
	static const char *const minor[] = { "Device Minor", NULL };

	if (ends_with(path, "/mountinfo"))
		put_mount(f, line, length);
	else if (ends_with(path, "/uevent"))
		put_some(f, line, length, uevent);
	else if (strstr(path, "/bonding/") && !strncmp(path, "proc/", 5))
		put_some(f, line, length, bonding);
	else if (!strncmp(path, "run/udev/", 9))
		put_some(f, line, length, links);
	else if (ends_with(path, "/information"))
		put_some(f, line, length, minor);
	else if (!strcmp(path, "proc/net/route"))
		put_route(f, line, length);
	else if (!strcmp(path, "proc/net/ipv6_route"))
		put_route6(f, line, length);
	else if (!strcmp(path, "proc/cmdline"))
		put_words(f, line, length);
	else if (ends_with(path, "/dm/uuid") && !strncmp(line, "mpath-", 6))
		fputs("mpath-hidden\n", f);
	else
		fwrite(line, 1, length, f);
}

char *dump_file_without(const struct dump_secrets *s, const char *path, const char *text)
{
	char *some = NULL, *out;
	size_t size, length;
	FILE *f;

	if (!s)
		return strdup(text);
	f = open_memstream(&some, &size);
	if (!f)
		return NULL;
	for (; *text; text += length) {
		length = strcspn(text, "\n");
		length += text[length] == '\n';
		put_line(f, path, text, length);
	}
	out = fclose(f) ? NULL : dump_without(s, some);
	free(some);
	return out;
}
