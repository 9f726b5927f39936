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
	[IC_KEY_BOUND] = "bound",
	[IC_KEY_SLOT] = "slot",
	[IC_KEY_UNTRUSTED] = "untrusted",
	[IC_NUM_KEYS] = "not",
	[IC_NUM_KEYS + 1] = NULL
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
	struct ic_values *keys;
	enum ic_key key;
};

/* A class as a word or as hex digits, "BB", "BBSS" or "BBSSPP". */
static bool parse_class(struct ic_parse *p, const config_setting_t *s, const char *word,
			struct ic_value *value)
{
	static const char hex[] = "0123456789abcdefABCDEF";
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
	    strspn(word, hex) == length &&
	    !ic_parse_number(word, 16, 0xffffff, &number)) {
		value->number = number;
		value->digits = length;
		return true;
	}
	if (isdigit((unsigned char)*word) || strspn(word, hex) == length) {
		ic_parse_error(p, config_setting_source_line(s),
			       "class \"%s\" is not two, four or six hex digits, as \"03\", \"0300\" or \"030000\"",
			       word);
		return false;
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

static bool takes_bool(enum ic_key key)
{
	return key == IC_KEY_REMOVABLE || key == IC_KEY_BOUND || key == IC_KEY_UNTRUSTED;
}

static bool takes_number(enum ic_key key)
{
	return key == IC_KEY_VENDOR || key == IC_KEY_DEVICE_ID || key == IC_KEY_SUBVENDOR ||
	       key == IC_KEY_SUBDEVICE;
}

/*
 * A word; PCI addresses may lack their domain, as in the kernel's pci=. Most labels of
 * slots are numbers.
 */
static bool parse_word(struct ic_parse *p, enum ic_key key, const config_setting_t *s,
		       struct ic_value *value)
{
	const char *word = config_setting_get_string(s);
	int ret;

	if (!word) {
		ret = asprintf(&value->word, "%lld", config_setting_get_int64(s)) < 0;
	} else if (!*word) {
		ic_parse_error(p, config_setting_source_line(s), "\"%s\" has an empty word",
			       match_keys[key]);
		return false;
	} else if ((key == IC_KEY_DEVICE || key == IC_KEY_PATH) && ic_is_short_pci(word)) {
		ret = asprintf(&value->word, "0000:%s", word) < 0;
	} else {
		ret = ic_strdup(&value->word, word);
	}
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
	struct ic_values *values = &target->keys[target->key];
	enum ic_key key = target->key;
	struct ic_value value = { 0 };
	int type = config_setting_type(s);
	bool number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
	bool word = type == CONFIG_TYPE_STRING, good;

	if (takes_bool(key)) {
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
	} else if (!takes_number(key) && key != IC_KEY_CLASS && (word || (key == IC_KEY_SLOT && number))) {
		good = parse_word(p, key, s, &value);
	} else {
		good = false;
		ic_parse_error(p, config_setting_source_line(s), "\"%s\" must be %s, not %s", what,
			       takes_number(key) ? "a number" :
			       key == IC_KEY_CLASS ? "a word or hex digits, in quotes" :
			       key == IC_KEY_SLOT ? "a word in quotes or a number" :
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

static void parse_key(struct ic_parse *p, struct target *target, const config_setting_t *s)
{
	const char *name = config_setting_name(s), *parent;
	char buf[256];

	for (target->key = 0; target->key < IC_NUM_KEYS && strcmp(name, match_keys[target->key]);
	     target->key++)
		;
	if (target->key == IC_NUM_KEYS) {
		parent = config_setting_name(config_setting_parent(s));
		ic_parse_error(p, config_setting_source_line(s), "unknown key \"%s\" in \"%s\"%s",
			       name, parent, ic_meant(buf, sizeof(buf), name, match_keys));
		return;
	}
	ic_parse_values(p, s, parse_value, target);
	if (config_setting_is_aggregate(s) && !config_setting_is_group(s) &&
	    !config_setting_length(s))
		ic_parse_error(p, config_setting_source_line(s),
			       "\"%s\" is empty, so nothing can meet it", name);
}

static void parse_not(struct ic_parse *p, struct iommucfg_rule *rule, const config_setting_t *not)
{
	struct target target = { .keys = rule->not };
	unsigned int line = config_setting_source_line(not);
	const config_setting_t *s;
	int i;

	rule->has_not = true;
	if (!config_setting_is_group(not)) {
		ic_parse_error(p, line, "\"not\" must be a group { }, not %s",
			       ic_setting_kind(not));
		return;
	}
	if (!config_setting_length(not))
		ic_parse_error(p, line, "\"not\" is empty, so nothing can meet it");
	for (i = 0; i < config_setting_length(not); i++) {
		s = config_setting_get_elem(not, i);
		if (!strcmp(config_setting_name(s), "not"))
			ic_parse_error(p, config_setting_source_line(s),
				       "\"not\" cannot be in \"not\"");
		else
			parse_key(p, &target, s);
	}
}

void ic_parse_match(struct ic_parse *p, struct iommucfg_rule *rule, const config_setting_t *match)
{
	struct target target = { .keys = rule->match };
	const config_setting_t *s;
	int i;

	for (i = 0; i < config_setting_length(match); i++) {
		s = config_setting_get_elem(match, i);
		if (!strcmp(config_setting_name(s), "not"))
			parse_not(p, rule, s);
		else
			parse_key(p, &target, s);
	}
	if (!config_setting_length(match))
		ic_parse_error(p, config_setting_source_line(match),
			       "\"match\" is empty; \"default\" is for groups that no rule matches");
}
