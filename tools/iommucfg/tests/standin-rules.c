// SPDX-License-Identifier: GPL-2.0
/* The stand-in's standing rules. standin.c calls this, with the lock held, for what is below standing/. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standin.h"

#define MAX_STANDINGS	64

struct standing {
	char name[80], bus[24], device[4096], modalias[4096], removable[16], type[16];
	unsigned long priority, order;
	int used;
};

static struct standing standings[MAX_STANDINGS];

static const char *const standing_files[] = {
	"bus", "device", "modalias", "removable", "priority", "order", "type", "hits", NULL
};

/* The path below standing/, "" for the directory itself; NULL for other paths. */
const char *below_standing(const char *path)
{
	if (!path || strncmp(path, "/standing", 9) || (path[9] && path[9] != '/'))
		return NULL;
	return path[9] ? path + 10 : path + 9;
}

int is_old(void)
{
	char buf[8];

	return slurp(buf, sizeof(buf), "control/%s", "no-standing") >= 0;
}

static struct standing *find_standing(const char *name, size_t length)
{
	int i;

	for (i = 0; i < MAX_STANDINGS; i++)
		if (standings[i].used && strlen(standings[i].name) == length &&
		    !strncmp(standings[i].name, name, length))
			return &standings[i];
	return NULL;
}

/* "rule/file", each part where there is one; or "report" */
int resolve_standing(const char *p, struct standing **s, const char **file)
{
	size_t length = strcspn(p, "/");

	*s = NULL;
	*file = NULL;
	if (is_old())
		return -ENOENT;
	if (!*p)
		return 0;
	*s = find_standing(p, length);
	if (!*s && !strcmp(p, "report"))
		*file = p;
	else if (*s && p[length])
		*file = p + length + 1;
	if (!*s && !*file)
		return -ENOENT;
	return *s && *file && !listed(standing_files, *file) ? -ENOENT : 0;
}

int list_standing(const char *below, void *buf, fuse_fill_dir_t fill)
{
	const char *const *names = standing_files;
	struct standing *s;
	const char *file;
	int ret, i;

	ret = resolve_standing(below, &s, &file);
	if (ret)
		return ret;
	fill(buf, ".", NULL, 0, 0);
	fill(buf, "..", NULL, 0, 0);
	for (; s && *names; names++)
		fill(buf, *names, NULL, 0, 0);
	if (s)
		return 0;
	fill(buf, "report", NULL, 0, 0);
	for (i = 0; i < MAX_STANDINGS; i++)
		if (standings[i].used)
			fill(buf, standings[i].name, NULL, 0, 0);
	return 0;
}

/* What control/standing-error asks for, or else a line in the log. */
static int account(const char *what, const char *below)
{
	char buf[256], op[16], part[128], word[32], path[4096];
	FILE *f;

	if (slurp(buf, sizeof(buf), "control/%s", "standing-error") > 0 &&
	    sscanf(buf, "%15s %127s %31s", op, part, word) == 3 && !strcmp(op, what) &&
	    strstr(below, part))
		return -errno_of(word);
	snprintf(path, sizeof(path), "%s/control/standing-log", tree);
	f = fopen(path, "a");
	if (f) {
		fprintf(f, "%s %s\n", what, below);
		fclose(f);
	}
	return 0;
}

int mkdir_standing(const char *name)
{
	int i, ret;

	if (is_old())
		return -ENOENT;
	if (strchr(name, '/'))
		return -EPERM;
	if (strlen(name) > 64 ||
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
	    strlen(name))
		return -EINVAL;
	if (find_standing(name, strlen(name)) || !strcmp(name, "report"))
		return -EEXIST;
	for (i = 0; i < MAX_STANDINGS && standings[i].used; i++)
		;
	if (i == MAX_STANDINGS)
		return -ENOMEM;
	ret = account("mkdir", name);
	if (ret)
		return ret;
	standings[i] = (struct standing){
		.bus = "pci", .device = "*", .modalias = "*", .removable = "any",
		.type = "none", .used = 1,
	};
	strcpy(standings[i].name, name);
	return 0;
}

int rmdir_standing(const char *below)
{
	struct standing *s;
	const char *file;
	int ret;

	ret = resolve_standing(below, &s, &file);
	if (!ret && (!s || file))
		ret = s ? -ENOTDIR : -EPERM;
	if (!ret)
		ret = account("rmdir", below);
	if (!ret)
		s->used = 0;
	return ret;
}

void read_standing(const struct standing *s, const char *file, char *buf, size_t size)
{
	if (!s)
		slurp(buf, size, "control/%s", "standing-report");
	else if (!strcmp(file, "hits"))
		strcpy(buf, "0\n");
	else if (!strcmp(file, "priority"))
		sprintf(buf, "%lu\n", s->priority);
	else if (!strcmp(file, "order"))
		sprintf(buf, "%lu\n", s->order);
	else
		sprintf(buf, "%s\n", !strcmp(file, "bus") ? s->bus :
			!strcmp(file, "device") ? s->device : !strcmp(file, "modalias") ?
			s->modalias : !strcmp(file, "removable") ? s->removable : s->type);
}

int write_standing(const char *below, const char *data, size_t size)
{
	static const char *const types[] = { "none", "identity", "DMA", "DMA-FQ", "auto", NULL };
	static const char *const buses[] = {
		"pci", "platform", "amba", "fsl-mc", "host1x-context", "cdx", NULL
	};
	char text[4096], *end;
	struct standing *s;
	const char *file;
	unsigned long n = 0;
	int ret;

	ret = resolve_standing(below, &s, &file);
	if (ret)
		return ret;
	if (!s || !file || !strcmp(file, "hits"))
		return -EACCES;
	/* configfs takes no more in one write. */
	if (size > 4095)
		size = 4095;
	snprintf(text, sizeof(text), "%.*s", (int)size, data);
	text[strcspn(text, "\n")] = '\0';
	if (!strcmp(file, "priority") || !strcmp(file, "order")) {
		n = strtoul(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || n > 4294967295UL)
			return -EINVAL;
	} else if ((!strcmp(file, "bus") && !listed(buses, text)) ||
		   (!strcmp(file, "removable") &&
		    !listed((const char *const[]){ "any", "yes", "no", NULL }, text)) ||
		   (!strcmp(file, "type") && !listed(types, text)) ||
		   strspn(text, " ") == strlen(text)) {
		return -EINVAL;
	}
	ret = account("write", below);
	if (ret)
		return ret;
	if (!strcmp(file, "priority"))
		s->priority = n;
	else if (!strcmp(file, "order"))
		s->order = n;
	else if (!strcmp(file, "bus"))
		strcpy(s->bus, text);
	else if (!strcmp(file, "removable"))
		strcpy(s->removable, text);
	else if (!strcmp(file, "type"))
		strcpy(s->type, text);
	else
		strcpy(!strcmp(file, "device") ? s->device : s->modalias, text);
	return size;
}
