// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A policy as one text, whatever files it was read from: a snapshot to go back
 * to, and the same text for the same rules, whatever comments stand between
 * them. What is read from it is the same policy but for the places of its rules.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"
#include "policy-parse.h"

/* How many bytes the control character has that begins here; 0 for another one. */
size_t ic_control(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
		return 2;
	return *p && (*p < ' ' || *p == 0x7f);
}

/* A policy's word for a type. */
const char *ic_policy_type_name(enum iommucfg_type type)
{
	return type == IOMMUCFG_TYPE_NONE ? "keep" : iommucfg_type_name(type);
}

/* A word in quotes; globs are escaped for fnmatch, then all for libconfig. */
void ic_put_word(FILE *f, const char *text, bool glob)
{
	size_t n;

	fputc('"', f);
	while (*text) {
		n = ic_control(text);
		if (n) {
			while (n--)
				fprintf(f, "\\x%02x", (unsigned char)*text++);
			continue;
		}
		if (glob && strchr("*?[\\", *text))
			fputs("\\\\", f);
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text++, f);
	}
	fputc('"', f);
}

static void put_value(FILE *f, enum ic_key key, const struct ic_value *value)
{
	if (value->word)
		ic_put_word(f, value->word, false);
	else if (key == IC_KEY_CLASS)
		fprintf(f, "\"%0*lx\"", value->digits, value->number);
	else if (key == IC_KEY_REMOVABLE || key == IC_KEY_BOUND || key == IC_KEY_UNTRUSTED)
		fputs(value->number ? "true" : "false", f);
	else
		fprintf(f, "0x%04lx", value->number);
}

static void put_keys(FILE *f, const struct ic_values *keys)
{
	size_t i;
	int key;

	for (key = 0; key < IC_NUM_KEYS; key++) {
		if (!keys[key].n)
			continue;
		fprintf(f, " %s = [ ", ic_match_key(key));
		for (i = 0; i < keys[key].n; i++) {
			fputs(i ? ", " : "", f);
			put_value(f, key, &keys[key].v[i]);
		}
		fputs(" ];", f);
	}
}

static void put_rule(FILE *f, const struct iommucfg_rule *rule)
{
	fputs("  { name = ", f);
	ic_put_word(f, rule->name, false);
	fputs(";\n    match = {", f);
	put_keys(f, rule->match);
	if (rule->has_not) {
		fputs(" not = {", f);
		put_keys(f, rule->not);
		fputs(" };", f);
	}
	fprintf(f, " };\n    type = \"%s\";", ic_policy_type_name(rule->type));
	if (rule->priority)
		fprintf(f, " priority = %d;", rule->priority);
	if (rule->apart) {
		fputs(" apart = ", f);
		ic_put_word(f, rule->apart, false);
		fputs(";", f);
	}
	if (rule->required)
		fputs(" required = true;", f);
	if (rule->optional)
		fputs(" required = false;", f);
	fputs(" }", f);
}

static void put_check(FILE *f, const struct iommucfg_policy *policy)
{
	char **word = policy->check_command;

	if (word) {
		fputs(" check_command = [", f);
		for (; *word; word++) {
			fputs(word == policy->check_command ? " " : ", ", f);
			ic_put_word(f, *word, false);
		}
		fputs(" ];", f);
	}
	if (policy->check_timeout >= 0)
		fprintf(f, " check_timeout = %ld;", policy->check_timeout);
	if (policy->faults >= 0)
		fprintf(f, " faults = \"%s\";", policy->faults ? "rollback" : "warn");
}

static void put_options(FILE *f, const struct iommucfg_policy *policy)
{
	const char *comma = "", *const *word;

	if (policy->confirm_timeout < 0 && policy->settle < 0 && policy->allow < 0 &&
	    policy->disruption < 0 && policy->strict < 0 &&
	    policy->check_timeout < 0 && policy->faults < 0 && !policy->check_command)
		return;
	fputs("options = {", f);
	if (policy->confirm_timeout >= 0)
		fprintf(f, " confirm_timeout = %ld;", policy->confirm_timeout);
	if (policy->settle >= 0)
		fprintf(f, " settle = %ld;", policy->settle);
	if (policy->allow >= 0) {
		fputs(" allow_in_use = [", f);
		for (word = iommucfg_word_names(); *word; word++) {
			if (!(policy->allow & iommucfg_word_parse(*word)))
				continue;
			fprintf(f, "%s \"%s\"", comma, *word);
			comma = ",";
		}
		fputs(" ];", f);
	}
	if (policy->disruption >= 0)
		fprintf(f, " disruption = \"%s\";", iommucfg_disruption_name(policy->disruption));
	if (policy->strict >= 0)
		fprintf(f, " strict = %s;", policy->strict ? "true" : "false");
	put_check(f, policy);
	fputs(" };\n", f);
}

int iommucfg_policy_text(const struct iommucfg_policy *policy, char **text)
{
	size_t i, length;
	FILE *f;

	f = open_memstream(text, &length);
	if (!f)
		return -ENOMEM;
	fputs("// A policy as iommucfg read it. It will be written anew: change\n"
	      "// /etc/iommucfg.conf and /etc/iommucfg.d instead.\n\nrules = (\n", f);
	for (i = 0; i < policy->num_rules; i++) {
		fputs(i ? ",\n" : "", f);
		put_rule(f, policy->rules[i]);
	}
	fprintf(f, "\n);\ndefault = \"%s\";\n", ic_policy_type_name(policy->def));
	put_options(f, policy);
	if (fclose(f)) {
		free(*text);
		return -ENOMEM;
	}
	return 0;
}
