// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a rule asks of a device's ids, class and driver, as patterns of
 * modaliases: the kernel has nothing else of a device that has just come. A
 * driver is what depmod and the kernel's build wrote down of its module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "standing.h"

/* Values multiply out; nobody writes a policy that comes near. */
#define MAX_PATTERNS	65536

enum { FIELD_V, FIELD_D, FIELD_SV, FIELD_SD, FIELD_BC, FIELD_SC, FIELD_I, NUM_FIELDS };

static const char *const tags[NUM_FIELDS] = { "v", "d", "sv", "sd", "bc", "sc", "i" };

/* A modalias of a PCI device, or a pattern: upper-case hex digits, or "*". */
struct pci {
	char field[NUM_FIELDS][9];
};

struct pcis {
	struct pci *v;
	size_t n, cap;
};

static void pci_any(struct pci *pci)
{
	int i;

	for (i = 0; i < NUM_FIELDS; i++)
		strcpy(pci->field[i], "*");
}

/* False for a pattern of another form, such as one with a class of digits. */
static bool pci_parse(const char *alias, struct pci *pci)
{
	const char *p = alias + strlen("pci:");
	size_t length;
	int i;

	for (i = 0; i < NUM_FIELDS; i++) {
		length = strlen(tags[i]);
		if (strncmp(p, tags[i], length))
			return false;
		p += length;
		length = strspn(p, "0123456789ABCDEF");
		if (!length && *p == '*')
			length = 1;
		if (length != 1 && length != (i < FIELD_BC ? 8 : 2))
			return false;
		if (length == 1 && *p != '*')
			return false;
		memcpy(pci->field[i], p, length);
		pci->field[i][length] = '\0';
		p += length;
	}
	/* file2alias ends them so, whatever the last field is. */
	return !*p || (*p == '*' && !p[1]);
}

static char *pci_text(const struct pci *pci)
{
	const char (*f)[9] = pci->field;
	char *text;

	if (asprintf(&text, "pci:v%sd%ssv%ssd%sbc%ssc%si%s", f[FIELD_V], f[FIELD_D], f[FIELD_SV],
		     f[FIELD_SD], f[FIELD_BC], f[FIELD_SC], f[FIELD_I]) < 0)
		return NULL;
	return text;
}

/* What meets both, in @a; false where nothing can. */
static bool pci_both(struct pci *a, const struct pci *b)
{
	int i;

	for (i = 0; i < NUM_FIELDS; i++) {
		if (*b->field[i] == '*')
			continue;
		if (*a->field[i] != '*' && strcmp(a->field[i], b->field[i]))
			return false;
		strcpy(a->field[i], b->field[i]);
	}
	return true;
}

static void put_value(struct pci *pci, enum ic_key key, const struct ic_value *value)
{
	static const int fields[IC_NUM_KEYS] = {
		[IC_KEY_VENDOR] = FIELD_V, [IC_KEY_DEVICE_ID] = FIELD_D,
		[IC_KEY_SUBVENDOR] = FIELD_SV, [IC_KEY_SUBDEVICE] = FIELD_SD,
	};
	int i;

	if (key != IC_KEY_CLASS) {
		snprintf(pci->field[fields[key]], sizeof(pci->field[0]), "%08lX",
			 value->number & 0xffff);
		return;
	}
	for (i = 0; 2 * i < value->digits; i++)
		snprintf(pci->field[FIELD_BC + i], sizeof(pci->field[0]), "%02lX",
			 value->number >> 4 * (value->digits - 2 - 2 * i) & 0xff);
}

/* Each of the list with each value of a key. */
static int multiply(struct pcis *list, enum ic_key key, const struct ic_values *values)
{
	struct pcis out = { 0 };
	size_t i, j;

	if (!values->n)
		return 0;
	if (list->n * values->n > MAX_PATTERNS)
		return -E2BIG;
	out.cap = list->n * values->n;
	out.v = calloc(out.cap, sizeof(*out.v));
	if (!out.v)
		return -ENOMEM;
	for (i = 0; i < list->n; i++)
		for (j = 0; j < values->n; j++) {
			out.v[out.n] = list->v[i];
			put_value(&out.v[out.n++], key, &values->v[j]);
		}
	free(list->v);
	*list = out;
	return 0;
}

/* One that is any device where no key is given. */
static int of_keys(const struct iommucfg_rule *rule, struct pcis *list)
{
	static const enum ic_key keys[] = {
		IC_KEY_VENDOR, IC_KEY_DEVICE_ID, IC_KEY_SUBVENDOR, IC_KEY_SUBDEVICE, IC_KEY_CLASS,
	};
	size_t i;
	int ret;

	if (IC_GROW(list->v, list->n, list->cap))
		return -ENOMEM;
	pci_any(&list->v[list->n++]);
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		ret = multiply(list, keys[i], &rule->match[keys[i]]);
		if (ret)
			return ret;
	}
	return 0;
}

static bool is_any(const struct pci *pci)
{
	int i;

	for (i = 0; i < NUM_FIELDS; i++)
		if (*pci->field[i] != '*')
			return false;
	return true;
}

/* What is not there has no drivers to tell of. */
static int read_table(struct iommucfg *ctx, const char *release, const char *name, char **text,
		      size_t *length)
{
	char path[256];
	int fd, ret;

	snprintf(path, sizeof(path), "lib/modules/%s/%s", release, name);
	fd = ic_open_file(ctx->rootfd, path, O_RDONLY);
	if (fd < 0)
		return 0;
	ret = ic_slurp(fd, 64 << 20, text, length);
	close(fd);
	return ret == -ENOMEM ? ret : 0;
}

/* ACPI and the device tree name platform devices, too. */
static bool on_bus(const char *alias, enum ic_bus bus)
{
	if (bus == IC_BUS_PCI)
		return !strncmp(alias, "pci:", 4);
	return !strncmp(alias, "platform:", 9) || !strncmp(alias, "of:", 3) ||
	       (!strncmp(alias, "acpi", 4) && strspn(alias + 4, "*:"));
}

/* Keeps what names devices of our buses, of all that are in the tables. */
static int add_to_index(struct ic_aliases *aliases, char *module, const char *pattern)
{
	char *p;

	if (!on_bus(pattern, IC_BUS_PCI) && !on_bus(pattern, IC_BUS_PLATFORM))
		return 0;
	if (IC_GROW(aliases->v, aliases->n, aliases->cap))
		return -ENOMEM;
	for (p = module; (p = strchr(p, '-'));)
		*p = '_';
	aliases->v[aliases->n++] = (struct ic_alias){ module, pattern };
	return 0;
}

/* "alias PATTERN MODULE", a line each */
static int index_table(struct ic_aliases *aliases, size_t length)
{
	char *p = aliases->table, *end = p + length, *line_end, *save, *word, *pattern, *module;
	int ret = 0;

	for (; p < end && !ret; p = line_end + 1) {
		line_end = memchr(p, '\n', end - p);
		if (!line_end)
			line_end = end;
		*line_end = '\0';
		word = strtok_r(p, " \t", &save);
		if (!word || strcmp(word, "alias"))
			continue;
		pattern = strtok_r(NULL, " \t", &save);
		module = pattern ? strtok_r(NULL, " \t", &save) : NULL;
		if (module)
			ret = add_to_index(aliases, module, pattern);
	}
	return ret;
}

/* "MODULE.alias=PATTERN", each ended by a zero byte; the kernel's own modules */
static int index_builtin(struct ic_aliases *aliases, size_t length)
{
	char *p = aliases->builtin, *end = p + length, *next, *dot;
	int ret = 0;

	for (; p < end && !ret; p = next) {
		next = p + strlen(p) + 1;
		dot = strchr(p, '.');
		if (!dot || strncmp(dot, ".alias=", 7))
			continue;
		*dot = '\0';
		ret = add_to_index(aliases, p, dot + 7);
	}
	return ret;
}

static int compare(const void *a, const void *b)
{
	const struct ic_alias *x = a, *y = b;

	return strcmp(x->module, y->module);
}

static int read_tables(struct ic_aliases *aliases)
{
	char release[128];
	size_t length = 0;
	int ret;

	if (aliases->read)
		return 0;
	aliases->read = true;
	if (ic_release(aliases->ctx, release, sizeof(release)))
		return 0;
	ret = read_table(aliases->ctx, release, "modules.alias", &aliases->table, &length);
	if (!ret && aliases->table)
		ret = index_table(aliases, length);
	if (!ret)
		ret = read_table(aliases->ctx, release, "modules.builtin.modinfo",
				 &aliases->builtin, &length);
	if (!ret && aliases->builtin)
		ret = index_builtin(aliases, length);
	if (aliases->n)
		qsort(aliases->v, aliases->n, sizeof(*aliases->v), compare);
	return ret;
}

void ic_aliases_clear(struct ic_aliases *aliases)
{
	free(aliases->table);
	free(aliases->builtin);
	free(aliases->v);
}

/* Where the patterns of a driver go, and what they have to meet besides. */
struct wanted {
	enum ic_bus bus;
	const struct pcis *keys;
	bool any;		/* of the keys: nothing else to meet */
	struct ic_said *said;
	struct ic_gap *gap;
};

static int add_word(struct wanted *wanted, char *word)
{
	if (wanted->said->words.n >= MAX_PATTERNS) {
		free(word);
		return -E2BIG;
	}
	return ic_words_add(&wanted->said->words, word);
}

static int add_alias(struct wanted *wanted, const char *alias)
{
	struct pci pci, both;
	char *glob = NULL;
	size_t i;
	int ret = 0;

	if (!on_bus(alias, wanted->bus))
		return 0;
	if (wanted->bus == IC_BUS_PCI && pci_parse(alias, &pci)) {
		for (i = 0; i < wanted->keys->n && !ret; i++) {
			both = pci;
			if (pci_both(&both, &wanted->keys->v[i]))
				ret = add_word(wanted, pci_text(&both));
		}
		return ret;
	}
	/* A PCI alias of another form cannot be told apart by its fields. */
	if (wanted->bus != IC_BUS_PCI || wanted->any) {
		errno = ENOMEM;
		glob = ic_kernel_glob(alias, false, true);
		if (!glob && errno != EINVAL)
			return -ENOMEM;
	}
	if (glob)
		return add_word(wanted, glob);
	wanted->said->part = true;
	ic_gap_set(wanted->gap, "a driver's alias is of a form that is not known, \"%.128s\"",
		   alias);
	return 0;
}

/* The first alias of a module, or the end of all where there is none. */
static size_t find_module(const struct ic_aliases *aliases, const char *module)
{
	size_t low = 0, high = aliases->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (strcmp(aliases->v[middle].module, module) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int of_driver(const struct ic_aliases *aliases, const char *driver,
		     struct wanted *wanted)
{
	char *module = strdup(driver), *p;
	int ret = 0;
	size_t i;

	if (!module)
		return -ENOMEM;
	for (p = module; (p = strchr(p, '-'));)
		*p = '_';
	i = find_module(aliases, module);
	for (; i < aliases->n && !strcmp(aliases->v[i].module, module) && !ret; i++)
		ret = add_alias(wanted, aliases->v[i].pattern);
	free(module);
	return ret;
}

/* @found, for each driver, is set where it has something to add. */
static int of_drivers(struct ic_aliases *aliases, const struct iommucfg_rule *rule,
		      struct wanted *wanted, bool *found)
{
	const struct ic_values *values = &rule->match[IC_KEY_DRIVER];
	size_t i, before;
	int ret;

	ret = read_tables(aliases);
	for (i = 0; i < values->n && !ret; i++) {
		before = wanted->said->words.n;
		ret = of_driver(aliases, values->v[i].word, wanted);
		found[i] |= wanted->said->words.n > before;
	}
	return ret;
}

static int add_keys(struct ic_words *words, const struct pcis *keys)
{
	int ret = 0;
	size_t i;

	if (is_any(&keys->v[0]))
		return ic_words_add(words, strdup("*"));
	for (i = 0; i < keys->n && !ret; i++)
		ret = ic_words_add(words, pci_text(&keys->v[i]));
	return ret;
}

/* Without any that would say only half of what it asks for. */
static int too_many(struct ic_said *said, bool keys, struct ic_gap *gap)
{
	ic_words_clear(&said->words);
	said->part = true;
	ic_gap_set(gap, "its values make more than %d patterns", MAX_PATTERNS);
	return keys ? ic_words_add(&said->wide, strdup("*")) : 0;
}

/*
 * The patterns for a rule on a bus; none where no device can meet it there. The
 * wide ones are those without the drivers, of which @found says for each whether
 * it added any. The caller has seen to it that there are PCI keys on PCI alone.
 */
int ic_standing_modaliases(struct ic_aliases *aliases, const struct iommucfg_rule *rule,
			   enum ic_bus bus, struct ic_said *said, bool *found,
			   struct ic_gap *gap)
{
	struct wanted wanted = { .bus = bus, .said = said, .gap = gap };
	struct pcis keys = { 0 };
	int ret;

	ret = of_keys(rule, &keys);
	if (ret == -E2BIG) {
		ret = too_many(said, true, gap);
	} else if (!ret && rule->match[IC_KEY_DRIVER].n) {
		wanted.keys = &keys;
		wanted.any = is_any(&keys.v[0]);
		ret = of_drivers(aliases, rule, &wanted, found);
		if (ret == -E2BIG)
			ret = too_many(said, false, gap);
		if (!ret)
			ret = add_keys(&said->wide, &keys);
	} else if (!ret) {
		ret = add_keys(&said->words, &keys);
	}
	free(keys.v);
	ic_words_sort(&said->words);
	ic_words_sort(&said->wide);
	return ret;
}
