/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IOMMUCFG_POLICY_PARSE_H
#define IOMMUCFG_POLICY_PARSE_H

#include "internal.h"

/* A file being read. */
struct ic_parse {
	struct iommucfg_policy *policy;
	struct iommucfg_problems *problems;
	const char *file;
	const char *rule;	/* name of the rule being read, or NULL */
	bool bad, nomem;
};

struct config_setting_t;

int ic_policy_parse(struct iommucfg_policy *policy, const char *name, char *text,
		    struct iommucfg_problems *problems);
void ic_rule_free(struct iommucfg_rule *rule);
void ic_parse_error(struct ic_parse *p, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
const char *ic_meant(char *buf, size_t size, const char *word, const char *const *words);
const char *ic_setting_kind(const struct config_setting_t *s);

/* policy-numbers.c */
int ic_policy_numbers(struct ic_parse *p, char *text);

/* policy-match.c */
const char *ic_match_key(int key);
void ic_parse_match(struct ic_parse *p, struct iommucfg_rule *rule,
		    const struct config_setting_t *s);
int ic_parse_values(struct ic_parse *p, const struct config_setting_t *s,
		    int (*one)(struct ic_parse *p, const char *what,
			       const struct config_setting_t *s, void *data), void *data);

#endif
