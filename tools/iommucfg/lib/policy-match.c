// SPDX-License-Identifier: LGPL-2.1-or-later
/* The `match` of a rule: which keys there are, and what their values may be. */
#include <ctype.h>
#include <errno.h>
#include <libconfig.h>
#include <stdio.h>

#include "match.h"
#include "policy-parse.h"

static const char *const match_keys[] = {
	[IC_KEY_DEVICE] = "device",
	[IC_KEY_BUS] = "bus",
	[IC_KEY_PATH] = "path",
	[IC_KEY_VENDOR] = "vendor",
	[IC_KEY_DEVICE_ID] = "device_id",
	[IC_KEY_SUBVENDOR] = "subsystem_vendor",
	[IC_KEY_SUBDEVICE] = "subsystem_device",
	[IC_KEY_CLASS] = "class",
	[IC_KEY_DRIVER] = "driver",
	[IC_KEY_REMOVABLE] = "removable",
	[IC_NUM_KEYS] = NULL
};

const char *ic_match_key(int key)
{
	return match_keys[key];
}

/*
 * Calls @one for a single value, or for each of an array [ ] or list ( ).
 * Inside of them a setting has no name: @what is the key's.
 */
int ic_parse_values(struct ic_parse *p, const config_setting_t *s,
		    int (*one)(struct ic_parse *p, const char *what,
			       const config_setting_t *s, void *data), void *data)
{
	const char *what = config_setting_name(s);
	int i, ret = 0;

	if (config_setting_is_group(s)) {
		ic_parse_error(p, config_setting_source_line(s),
			       "\"%s\" must be a value, an array [ ] or a list ( ), not a group { }",
			       what);
		return 0;
	}
	if (!config_setting_is_aggregate(s))
		return one(p, what, s, data);
	for (i = 0; i < config_setting_length(s) && !ret; i++)
		ret = one(p, what, config_setting_get_elem(s, i), data);
	return ret;
}

struct target {
	struct iommucfg_rule *rule;
	enum ic_key key;
};

/* A class as a word or as hex digits, "BB", "BBSS" or "BBSSPP". */
static bool parse_class(struct ic_parse *p, const config_setting_t *s, const char *word,
			struct ic_value *value)
{
	const char *const *words = ic_class_words();
	unsigned long number;
	size_t length = strlen(word);
	char buf[256];
	int base;

	base = ic_class_of_word(word);
	if (base >= 0) {
		value->number = base;
		value->digits = 2;
		return true;
	}
	if ((length == 2 || length == 4 || length == 6) &&
	    strspn(word, "0123456789abcdefABCDEF") == length &&
	    !ic_parse_number(word, 16, 0xffffff, &number)) {
		value->number = number;
		value->digits = length;
		return true;
	}
	ic_parse_error(p, config_setting_source_line(s),
		       "unknown class \"%s\"%s", word, ic_meant(buf, sizeof(buf), word, words));
	return false;
}

static bool parse_id(struct ic_parse *p, const char *what, const config_setting_t *s,
		     struct ic_value *value)
{
	const char *word = config_setting_get_string(s);
	unsigned long n;
	long long number;

	if (word) {
		/* As lspci prints it. */
		if (ic_parse_number(word, 16, 0xffff, &n)) {
			ic_parse_error(p, config_setting_source_line(s),
				       "\"%s\": \"%s\" is not a number of up to four hex digits",
				       what, word);
			return false;
		}
		value->number = n;
		return true;
	}
	number = config_setting_get_int64(s);
	if (number < 0 || number > 0xffff) {
		ic_parse_error(p, config_setting_source_line(s),
			       "\"%s\": %lld is not from 0 to 0xffff", what, number);
		return false;
	}
	value->number = number;
	return true;
}

static bool takes_number(enum ic_key key)
{
	return key == IC_KEY_VENDOR || key == IC_KEY_DEVICE_ID || key == IC_KEY_SUBVENDOR ||
	       key == IC_KEY_SUBDEVICE;
}

/* A word; PCI addresses may lack their domain, as in the kernel's pci=. */
static bool parse_word(struct ic_parse *p, enum ic_key key, const config_setting_t *s,
		       struct ic_value *value)
{
	const char *word = config_setting_get_string(s);
	int ret;

	if (!*word) {
		ic_parse_error(p, config_setting_source_line(s), "\"%s\" has an empty word",
			       match_keys[key]);
		return false;
	}
	if ((key == IC_KEY_DEVICE && ic_is_short_pci(word)) ||
	    (key == IC_KEY_PATH && ic_is_short_pci(word)))
		ret = asprintf(&value->word, "0000:%s", word) < 0 ? -ENOMEM : 0;
	else
		ret = ic_strdup(&value->word, word);
	if (ret) {
		value->word = NULL;
		p->nomem = true;
		return false;
	}
	return true;
}

static int parse_value(struct ic_parse *p, const char *what, const config_setting_t *s,
		       void *data)
{
	struct target *target = data;
	struct ic_values *values = &target->rule->match[target->key];
	enum ic_key key = target->key;
	struct ic_value value = { 0 };
	int type = config_setting_type(s);
	bool number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
	bool word = type == CONFIG_TYPE_STRING, good;

	if (key == IC_KEY_REMOVABLE) {
		good = type == CONFIG_TYPE_BOOL;
		if (!good)
			ic_parse_error(p, config_setting_source_line(s),
				       "\"%s\" must be true or false, not %s", what,
				       ic_setting_kind(s));
		value.number = config_setting_get_bool(s);
	} else if (takes_number(key) && (number || word)) {
		good = parse_id(p, what, s, &value);
	} else if (key == IC_KEY_CLASS && word) {
		good = parse_class(p, s, config_setting_get_string(s), &value);
	} else if (!takes_number(key) && word) {
		good = parse_word(p, key, s, &value);
	} else {
		good = false;
		ic_parse_error(p, config_setting_source_line(s), "\"%s\" must be %s, not %s", what,
			       takes_number(key) ? "a number" :
			       key == IC_KEY_CLASS ? "a word or hex digits, in quotes" :
						     "a word in quotes",
			       ic_setting_kind(s));
	}
	if (good && IC_GROW(values->v, values->n, values->cap)) {
		p->nomem = true;
		good = false;
	}
	if (good)
		values->v[values->n++] = value;
	else
		free(value.word);
	return 0;
}

void ic_parse_match(struct ic_parse *p, struct iommucfg_rule *rule, const config_setting_t *match)
{
	struct target target = { .rule = rule };
	const config_setting_t *s;
	const char *name;
	char buf[256];
	int i, key;

	for (i = 0; i < config_setting_length(match); i++) {
		s = config_setting_get_elem(match, i);
		name = config_setting_name(s);
		for (key = 0; key < IC_NUM_KEYS && strcmp(name, match_keys[key]); key++)
			;
		if (key == IC_NUM_KEYS) {
			ic_parse_error(p, config_setting_source_line(s),
				       "unknown key \"%s\" in \"match\"%s", name,
				       ic_meant(buf, sizeof(buf), name, match_keys));
			continue;
		}
		target.key = key;
		ic_parse_values(p, s, parse_value, &target);
		if (config_setting_is_aggregate(s) && !config_setting_is_group(s) &&
		    !config_setting_length(s))
			ic_parse_error(p, config_setting_source_line(s),
				       "\"%s\" is empty, so nothing can meet it", name);
	}
	if (!config_setting_length(match))
		ic_parse_error(p, config_setting_source_line(match),
			       "\"match\" is empty; \"default\" is for groups that no rule matches");
}
