// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One policy file: libconfig reads the syntax, this checks every key and
 * value, and goes on after an error, so that one run shows them all.
 */
#include <errno.h>
#include <libconfig.h>
#include <locale.h>
#include <search.h>
#include <stdio.h>

#include "policy-parse.h"

void ic_parse_error(struct ic_parse *p, unsigned int line, const char *format, ...)
{
	struct ic_where where = {
		.file = p->file, .line = line ? line : 1, .rule = p->rule, .group = -1,
		.error = EINVAL,
	};
	va_list args;
	char *text;

	p->bad = true;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		p->nomem = true;
		text = NULL;
	}
	va_end(args);
	if (!text)
		return;
	if (ic_problem(p->problems, IOMMUCFG_ERROR, "policy", &where, "%s%s%s%s",
		       p->rule ? "rule \"" : "", p->rule ? p->rule : "", p->rule ? "\": " : "",
		       text))
		p->nomem = true;
	free(text);
}

/* "; did you mean \"x\"?", or the words to choose from. */
const char *ic_meant(char *buf, size_t size, const char *word, const char *const *words)
{
	const char *near = iommucfg_suggest(word, words);
	size_t used;

	if (near) {
		snprintf(buf, size, "; did you mean \"%s\"?", near);
		return buf;
	}
	used = snprintf(buf, size, "; known are");
	for (; *words && used < size; words++)
		used += snprintf(buf + used, size - used, " %s%s", *words, words[1] ? "," : "");
	return buf;
}

const char *ic_setting_kind(const struct config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_STRING:
		return "a word";
	default:
		return "nothing";
	}
}

static bool wrong_kind(struct ic_parse *p, const config_setting_t *s, bool right,
		       const char *wanted)
{
	if (!right)
		ic_parse_error(p, config_setting_source_line(s), "\"%s\" must be %s, not %s",
			       config_setting_name(s), wanted, ic_setting_kind(s));
	return !right;
}

static const char *const policy_types[] = { "identity", "DMA", "DMA-FQ", "keep", NULL };

/* NONE for "keep", and where the word is no type. */
static enum iommucfg_type parse_type(struct ic_parse *p, const config_setting_t *s)
{
	enum iommucfg_type type;
	const char *word;
	char buf[128];

	if (wrong_kind(p, s, config_setting_type(s) == CONFIG_TYPE_STRING, "a word in quotes"))
		return IOMMUCFG_TYPE_NONE;
	word = config_setting_get_string(s);
	if (!strcmp(word, "keep"))
		return IOMMUCFG_TYPE_NONE;
	type = iommucfg_type_parse(word);
	if (type == IOMMUCFG_TYPE_AUTO) {
		ic_parse_error(p, config_setting_source_line(s),
			       "type \"auto\" cannot be in a policy, as it does not read back; \"iommucfg set\" takes it");
		return IOMMUCFG_TYPE_NONE;
	}
	if (type != IOMMUCFG_TYPE_OTHER)
		return type;
	ic_parse_error(p, config_setting_source_line(s), "unknown type \"%s\"%s", word,
		       ic_meant(buf, sizeof(buf), word, policy_types));
	return IOMMUCFG_TYPE_NONE;
}

static bool is_int(const config_setting_t *s)
{
	int type = config_setting_type(s);

	return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

static long parse_int(struct ic_parse *p, const config_setting_t *s, long min, long max)
{
	long long n;

	if (wrong_kind(p, s, is_int(s), "a number"))
		return 0;
	n = config_setting_get_int64(s);
	if (n < min || n > max) {
		ic_parse_error(p, config_setting_source_line(s),
			       "\"%s\" must be from %ld to %ld, not %lld",
			       config_setting_name(s), min, max, n);
		return 0;
	}
	return n;
}

static void unknown_key(struct ic_parse *p, const config_setting_t *s, const char *in,
			const char *const *known)
{
	char buf[256];

	ic_parse_error(p, config_setting_source_line(s), "unknown key \"%s\" in %s%s",
		       config_setting_name(s), in,
		       ic_meant(buf, sizeof(buf), config_setting_name(s), known));
}

static int by_name(const void *a, const void *b)
{
	const struct iommucfg_rule *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void check_duplicate(struct ic_parse *p, const struct iommucfg_rule *rule)
{
	const struct iommucfg_rule *const *found = tsearch(rule, &p->policy->names, by_name);

	if (!found)
		p->nomem = true;
	else if (*found != rule)
		ic_parse_error(p, rule->line, "there is a rule of this name already (%s:%d)",
			       (*found)->file, (*found)->line);
}

static const char *const rule_keys[] = {
	"name", "match", "type", "priority", "required", "apart", NULL
};

static void parse_apart(struct ic_parse *p, struct iommucfg_rule *rule,
			const config_setting_t *s)
{
	const char *name;

	if (wrong_kind(p, s, config_setting_type(s) == CONFIG_TYPE_STRING, "a word in quotes"))
		return;
	name = config_setting_get_string(s);
	if (!*name)
		ic_parse_error(p, config_setting_source_line(s), "the name in \"apart\" is empty");
	else if (ic_strdup(&rule->apart, name))
		p->nomem = true;
}

static void parse_rule_key(struct ic_parse *p, struct iommucfg_rule *rule,
			   const config_setting_t *s)
{
	const char *key = config_setting_name(s);

	if (!strcmp(key, "name"))
		return;		/* read before, for the messages of the others */
	if (!strcmp(key, "match")) {
		if (!wrong_kind(p, s, config_setting_type(s) == CONFIG_TYPE_GROUP,
				"a group { }"))
			ic_parse_match(p, rule, s);
	} else if (!strcmp(key, "type")) {
		rule->type = parse_type(p, s);
	} else if (!strcmp(key, "priority")) {
		rule->priority = parse_int(p, s, -1000000, 1000000);
	} else if (!strcmp(key, "apart")) {
		parse_apart(p, rule, s);
	} else if (!strcmp(key, "required")) {
		if (!wrong_kind(p, s, config_setting_type(s) == CONFIG_TYPE_BOOL,
				"true or false")) {
			rule->required = config_setting_get_bool(s);
			rule->optional = !rule->required;
		}
	} else {
		unknown_key(p, s, "a rule", rule_keys);
	}
}

/* The rule's name, or NULL after a message. */
static const char *rule_name(struct ic_parse *p, const config_setting_t *s)
{
	config_setting_t *name = config_setting_get_member(s, "name");
	unsigned int line = config_setting_source_line(s);

	if (!name) {
		ic_parse_error(p, line, "a rule without a name");
		return NULL;
	}
	if (wrong_kind(p, name, config_setting_type(name) == CONFIG_TYPE_STRING,
		       "a word in quotes"))
		return NULL;
	if (!*config_setting_get_string(name)) {
		ic_parse_error(p, config_setting_source_line(name), "the name of a rule is empty");
		return NULL;
	}
	return config_setting_get_string(name);
}

static void parse_rule(struct ic_parse *p, const config_setting_t *s)
{
	struct iommucfg_policy *policy = p->policy;
	unsigned int line = config_setting_source_line(s);
	struct iommucfg_rule *rule;
	int i, n;

	if (config_setting_type(s) != CONFIG_TYPE_GROUP) {
		ic_parse_error(p, line, "a rule must be a group { }, not %s", ic_setting_kind(s));
		return;
	}
	rule = calloc(1, sizeof(*rule));
	if (!rule || IC_GROW(policy->rules, policy->num_rules, policy->cap_rules)) {
		p->nomem = true;
		free(rule);
		return;
	}
	p->rule = rule_name(p, s);
	rule->line = line;
	rule->order = policy->num_rules;
	if (ic_strdup(&rule->name, p->rule ? p->rule : "?") || ic_strdup(&rule->file, p->file)) {
		p->nomem = true;
		ic_rule_free(rule);
		return;
	}
	if (p->rule)
		check_duplicate(p, rule);
	n = config_setting_length(s);
	for (i = 0; i < n; i++)
		parse_rule_key(p, rule, config_setting_get_elem(s, i));
	if (!config_setting_get_member(s, "type"))
		ic_parse_error(p, line, "no \"type\"");
	if (!config_setting_get_member(s, "match"))
		ic_parse_error(p, line, "no \"match\"; \"default\" is for groups that no rule matches");
	p->rule = NULL;
	policy->rules[policy->num_rules++] = rule;
}

static int parse_guard(struct ic_parse *p, const char *what, const config_setting_t *s,
		       void *data)
{
	const char *word = config_setting_get_string(s);
	enum iommucfg_word parsed;
	int *mask = data;
	char buf[128];

	if (!word) {
		ic_parse_error(p, config_setting_source_line(s),
			       "\"%s\" must have words in quotes, not %s", what,
			       ic_setting_kind(s));
		return 0;
	}
	parsed = iommucfg_word_parse(word);
	if (parsed == IOMMUCFG_WORD_NEVER)
		ic_parse_error(p, config_setting_source_line(s), "unknown word \"%s\" in \"%s\"%s",
			       word, what,
			       ic_meant(buf, sizeof(buf), word, iommucfg_word_names()));
	*mask |= parsed;
	return 0;
}

static int parse_disruption(struct ic_parse *p, const config_setting_t *s)
{
	const char *word = config_setting_get_string(s);
	char buf[128];
	int parsed;

	if (wrong_kind(p, s, word != NULL, "a word in quotes"))
		return -1;
	parsed = iommucfg_disruption_parse(word);
	if (parsed < 0)
		ic_parse_error(p, config_setting_source_line(s),
			       "unknown word \"%s\" in \"disruption\"%s",
			       word, ic_meant(buf, sizeof(buf), word, iommucfg_disruption_names()));
	return parsed;
}

static int parse_check_word(struct ic_parse *p, const char *what, const config_setting_t *s,
			    void *data)
{
	const char *word = config_setting_get_string(s);
	char **words = data;

	if (!word) {
		ic_parse_error(p, config_setting_source_line(s),
			       "\"%s\" must have words in quotes, not %s", what,
			       ic_setting_kind(s));
		return 0;
	}
	while (*words)
		words++;
	return ic_strdup(words, word);
}

static void parse_check_command(struct ic_parse *p, const config_setting_t *s)
{
	unsigned int line = config_setting_source_line(s);
	int type = config_setting_type(s);
	char **words;

	/* One word could be taken for a line for a shell. */
	if (wrong_kind(p, s, type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST,
		       "an array [ ] of a path and arguments"))
		return;
	words = calloc(config_setting_length(s) + 1, sizeof(*words));
	if (!words || (config_setting_length(s) && ic_parse_values(p, s, parse_check_word, words))) {
		p->nomem = true;
		ic_free_names(words);
		return;
	}
	if (*words && **words != '/')
		ic_parse_error(p, line, "\"check_command\" must begin with an absolute path, not \"%s\"",
			       *words);
	ic_free_names(p->policy->check_command);
	p->policy->check_command = words;
	p->policy->check_line = line;
	free(p->policy->check_file);
	if (ic_strdup(&p->policy->check_file, p->file))
		p->nomem = true;
}

static int parse_faults(struct ic_parse *p, const config_setting_t *s)
{
	static const char *const words[] = { "warn", "rollback", NULL };
	char buf[128];
	int i;

	if (wrong_kind(p, s, config_setting_type(s) == CONFIG_TYPE_STRING, "a word in quotes"))
		return -1;
	for (i = 0; words[i]; i++)
		if (!strcmp(config_setting_get_string(s), words[i]))
			return i;
	ic_parse_error(p, config_setting_source_line(s), "unknown word \"%s\" in \"faults\"%s",
		       config_setting_get_string(s),
		       ic_meant(buf, sizeof(buf), config_setting_get_string(s), words));
	return -1;
}

static const char *const option_keys[] = {
	"confirm_timeout", "allow_in_use", "settle", "disruption", "strict", "check_command",
	"check_timeout", "faults", NULL
};

static void parse_options(struct ic_parse *p, const config_setting_t *options)
{
	const config_setting_t *s;
	const char *key;
	int i, mask;

	if (wrong_kind(p, options, config_setting_type(options) == CONFIG_TYPE_GROUP,
		       "a group { }"))
		return;
	for (i = 0; i < config_setting_length(options); i++) {
		s = config_setting_get_elem(options, i);
		key = config_setting_name(s);
		if (!strcmp(key, "confirm_timeout")) {
			p->policy->confirm_timeout =
				parse_int(p, s, 0, IOMMUCFG_CONFIRM_TIMEOUT_MAX);
		} else if (!strcmp(key, "settle")) {
			p->policy->settle = parse_int(p, s, 0, 3600);
		} else if (!strcmp(key, "allow_in_use")) {
			mask = 0;
			ic_parse_values(p, s, parse_guard, &mask);
			p->policy->allow = mask;
		} else if (!strcmp(key, "disruption")) {
			p->policy->disruption = parse_disruption(p, s);
		} else if (!strcmp(key, "strict")) {
			if (!wrong_kind(p, s, config_setting_type(s) == CONFIG_TYPE_BOOL,
					"true or false"))
				p->policy->strict = config_setting_get_bool(s);
		} else if (!strcmp(key, "check_command")) {
			parse_check_command(p, s);
		} else if (!strcmp(key, "check_timeout")) {
			p->policy->check_timeout = parse_int(p, s, 1, 3600);
		} else if (!strcmp(key, "faults")) {
			p->policy->faults = parse_faults(p, s);
		} else {
			unknown_key(p, s, "\"options\"", option_keys);
		}
	}
}

static const char *const top_keys[] = { "rules", "default", "options", NULL };

static void parse_top(struct ic_parse *p, const config_setting_t *s)
{
	const char *key = config_setting_name(s);
	int i, type = config_setting_type(s);

	if (!strcmp(key, "rules")) {
		/* An array [ ] cannot hold groups, unless it is empty. */
		if (wrong_kind(p, s, type == CONFIG_TYPE_LIST ||
			       (type == CONFIG_TYPE_ARRAY && !config_setting_length(s)),
			       "a list ( ) of groups { }"))
			return;
		for (i = 0; i < config_setting_length(s); i++)
			parse_rule(p, config_setting_get_elem(s, i));
	} else if (!strcmp(key, "default")) {
		p->policy->def = parse_type(p, s);
		p->policy->def_line = config_setting_source_line(s);
		free(p->policy->def_file);
		if (ic_strdup(&p->policy->def_file, p->file))
			p->nomem = true;
	} else if (!strcmp(key, "options")) {
		parse_options(p, s);
	} else {
		unknown_key(p, s, "a policy", top_keys);
	}
}

/* Writes zeros over numbers that do not fit. */
int ic_policy_parse(struct iommucfg_policy *policy, const char *name, char *text,
		    struct iommucfg_problems *problems)
{
	struct ic_parse p = { .policy = policy, .problems = problems, .file = name };
	locale_t locale = uselocale((locale_t)0);
	const config_setting_t *root;
	config_t config;
	int i;

	if (ic_policy_numbers(&p, text))
		return p.nomem ? -ENOMEM : -EINVAL;
	config_init(&config);
	if (!config_read_string(&config, text)) {
		const char *why = config_error_text(&config);

		ic_parse_error(&p, config_error_line(&config), "%s", why ? why : "not a policy");
	} else {
		root = config_root_setting(&config);
		for (i = 0; i < config_setting_length(root); i++)
			parse_top(&p, config_setting_get_elem(root, i));
	}
	config_destroy(&config);
	/* libconfig leaves the thread with the global locale, whichever it had. */
	uselocale(locale);
	if (p.nomem)
		return -ENOMEM;
	return p.bad ? -EINVAL : 0;
}
