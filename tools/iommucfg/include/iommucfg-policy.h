/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommucfg - policies, and types saved as one
 *
 * Included by iommucfg.h, which has the conventions.
 */
#ifndef LIBIOMMUCFG_POLICY_H
#define LIBIOMMUCFG_POLICY_H

#include <sys/types.h>

#include "iommucfg.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Policy ----------------------------------------------------------------- */

/**
 * iommucfg_policy_new() - make a policy without rules, default "keep"
 * @ctx: context
 * @policy: where to store it
 */
int iommucfg_policy_new(struct iommucfg *ctx, struct iommucfg_policy **policy);

/** iommucfg_policy_ref() - one more holder of a policy; returns it */
struct iommucfg_policy *iommucfg_policy_ref(struct iommucfg_policy *policy);

/** iommucfg_policy_unref() - one holder of a policy less */
void iommucfg_policy_unref(struct iommucfg_policy *policy);

/**
 * iommucfg_policy_read_buffer() - append the rules of a text
 * @policy: gets the rules; default and options of the text replace its own
 * @name: what messages call it
 * @text: libconfig text; need not end in NUL
 * @length: bytes of @text
 * @problems: gets every error, with file and line
 *
 * Return: 0, or -EINVAL where there was an error; then the policy is good
 * for iommucfg_policy_unref() and for reading more files in search of errors.
 */
int iommucfg_policy_read_buffer(struct iommucfg_policy *policy, const char *name,
				const char *text, size_t length,
				struct iommucfg_problems *problems);

/**
 * iommucfg_policy_read_file() - the same from a file
 * @path: used as it is (the context's root is not put before it); "-" is
 *	standard input
 *
 * Return: as above, or the errno of opening or reading the file; -EINTR where
 * a signal handler interrupted it.
 */
int iommucfg_policy_read_file(struct iommucfg_policy *policy, const char *path,
			      struct iommucfg_problems *problems);

/**
 * iommucfg_policy_read_system() - the same from the system's files
 *
 * These are /etc/iommucfg.conf, then /etc/iommucfg.d/ *.conf in the order of
 * their bytes, all below the context's root.
 *
 * Return: as above, -ENOENT where there is none of them.
 */
int iommucfg_policy_read_system(struct iommucfg_policy *policy,
				struct iommucfg_problems *problems);

/**
 * iommucfg_policy_text() - a policy as one text
 * @policy: policy, whatever files it was read from
 * @text: set to the text, to be released with free()
 *
 * What reads it gets the same rules, default and options. Policies that differ
 * in comments, layout and files alone have the same text.
 */
int iommucfg_policy_text(const struct iommucfg_policy *policy, char **text);

/** iommucfg_policy_num_rules() - rules, in reading order */
size_t iommucfg_policy_num_rules(const struct iommucfg_policy *policy);

/** iommucfg_policy_rule() - the rule at an index below their number */
const struct iommucfg_rule *iommucfg_policy_rule(const struct iommucfg_policy *policy,
						 size_t index);

/** iommucfg_policy_default() - a type, or IOMMUCFG_TYPE_NONE for "keep" */
enum iommucfg_type iommucfg_policy_default(const struct iommucfg_policy *policy);

/** iommucfg_policy_confirm_timeout() - in seconds, or -1 where not set */
long iommucfg_policy_confirm_timeout(const struct iommucfg_policy *policy);

/** iommucfg_policy_settle() - in seconds, or -1 where not set */
long iommucfg_policy_settle(const struct iommucfg_policy *policy);

/** iommucfg_policy_allow_in_use() - mask of enum iommucfg_word, or -1 where not set */
int iommucfg_policy_allow_in_use(const struct iommucfg_policy *policy);

/** iommucfg_policy_disruption() - an enum iommucfg_disruption, or -1 where not set */
int iommucfg_policy_disruption(const struct iommucfg_policy *policy);

/** iommucfg_policy_strict() - is a rule that nothing meets an error? -1 where not set */
int iommucfg_policy_strict(const struct iommucfg_policy *policy);

/**
 * iommucfg_policy_check_command() - what says whether a change is good
 *
 * Return: words ended by NULL, of which the first is a path; no word where none is to be
 * run; NULL where not set.
 */
char *const *iommucfg_policy_check_command(const struct iommucfg_policy *policy);

/** iommucfg_policy_check_origin() - the file that it is in, or NULL, and the line */
const char *iommucfg_policy_check_origin(const struct iommucfg_policy *policy, int *line);

/** iommucfg_policy_check_timeout() - seconds that it may take, or -1 where not set */
long iommucfg_policy_check_timeout(const struct iommucfg_policy *policy);

/** iommucfg_policy_faults() - enum iommucfg_faults, or -1 where not set */
int iommucfg_policy_faults(const struct iommucfg_policy *policy);

/** iommucfg_rule_name() - the rule's name */
const char *iommucfg_rule_name(const struct iommucfg_rule *rule);

/** iommucfg_rule_file() - the file that it is in */
const char *iommucfg_rule_file(const struct iommucfg_rule *rule);

/** iommucfg_rule_line() - the line where it begins, counted from 1 */
int iommucfg_rule_line(const struct iommucfg_rule *rule);

/** iommucfg_rule_type() - the type that it asks for, or IOMMUCFG_TYPE_NONE for "keep" */
enum iommucfg_type iommucfg_rule_type(const struct iommucfg_rule *rule);

/** iommucfg_rule_priority() - 0 where the file does not say */
int iommucfg_rule_priority(const struct iommucfg_rule *rule);

/** iommucfg_rule_required() - must some device meet it? */
bool iommucfg_rule_required(const struct iommucfg_rule *rule);

/**
 * iommucfg_rule_match() - does a device meet a rule?
 *
 * Return: 1 if so, 0 if not, or a negative errno.
 */
int iommucfg_rule_match(const struct iommucfg_rule *rule, struct iommucfg_device *device);

/* Saving ----------------------------------------------------------------- */

/**
 * iommucfg_save() - the current types as a policy text
 * @topology: what to save; matched by path, vendor and device number, or bus
 * @text: set to the text, to be released with free()
 * @num_rules: set to the number of rules in it
 * @problems: gets a warning for each group that has no type to ask for
 */
int iommucfg_save(struct iommucfg_topology *topology, char **text, size_t *num_rules,
		  struct iommucfg_problems *problems);

/**
 * iommucfg_write_atomic() - replace a file as a whole, or leave it as it was
 * @path: used as it is; a symbolic link is followed
 *
 * Writes a temporary file beside it, syncs it, renames it, syncs the directory.
 *
 * Return: 0, or the negative errno of the step that failed.
 */
int iommucfg_write_atomic(const char *path, const char *text, size_t length);

/**
 * iommucfg_write_atomic_mode() - the same with the mode that a new file gets
 * @mode: less what the umask takes away; 0644 is what iommucfg_write_atomic() gives
 */
int iommucfg_write_atomic_mode(const char *path, const char *text, size_t length, mode_t mode);

#ifdef __cplusplus
}
#endif

#endif /* LIBIOMMUCFG_POLICY_H */
