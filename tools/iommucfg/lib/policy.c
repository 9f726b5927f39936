// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Policies: which files make one, in which order, and the list that they
 * form. What is inside of a file is policy-parse.c's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "policy-parse.h"

/* No policy that somebody wrote comes near; /dev/zero does. */
#define POLICY_MAX	(16 << 20)

int iommucfg_policy_new(struct iommucfg *ctx, struct iommucfg_policy **out)
{
	struct iommucfg_policy *policy;

	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return -ENOMEM;
	policy->refs = 1;
	policy->ctx = iommucfg_ref(ctx);
	policy->def_line = -1;
	policy->confirm_timeout = policy->settle = policy->allow = policy->strict = -1;
	policy->disruption = -1;
	policy->check_timeout = policy->faults = policy->check_line = -1;
	*out = policy;
	return 0;
}

static void keys_clear(struct ic_values *keys)
{
	size_t key, i;

	for (key = 0; key < IC_NUM_KEYS; key++) {
		for (i = 0; i < keys[key].n; i++)
			free(keys[key].v[i].word);
		free(keys[key].v);
	}
}

void ic_rule_free(struct iommucfg_rule *rule)
{
	if (!rule)
		return;
	keys_clear(rule->match);
	keys_clear(rule->not);
	free(rule->name);
	free(rule->file);
	free(rule->apart);
	free(rule);
}

/* The rules in the tree of names are in the list as well. */
static void keep_rule(void *rule)
{
	(void)rule;
}

struct iommucfg_policy *iommucfg_policy_ref(struct iommucfg_policy *policy)
{
	policy->refs++;
	return policy;
}

void iommucfg_policy_unref(struct iommucfg_policy *policy)
{
	size_t i;

	if (!policy || --policy->refs)
		return;
	tdestroy(policy->names, keep_rule);
	for (i = 0; i < policy->num_rules; i++)
		ic_rule_free(policy->rules[i]);
	free(policy->rules);
	free(policy->def_file);
	free(policy->check_file);
	ic_free_names(policy->check_command);
	iommucfg_unref(policy->ctx);
	free(policy);
}

int iommucfg_policy_read_buffer(struct iommucfg_policy *policy, const char *name,
				const char *text, size_t length,
				struct iommucfg_problems *problems)
{
	struct ic_where where = { .file = name, .line = 1, .group = -1, .error = EINVAL };
	static const char bom[] = "\xef\xbb\xbf";
	const char *nul;
	char *copy;
	int ret;

	/* Some editors mark UTF-8 so. */
	if (length >= strlen(bom) && !memcmp(text, bom, strlen(bom))) {
		text += strlen(bom);
		length -= strlen(bom);
	}

	nul = memchr(text, '\0', length);
	if (nul) {
		for (; text < nul; text++)
			where.line += *text == '\n';
		ic_problem(problems, IOMMUCFG_ERROR, "policy", &where,
			   "a zero byte: this is no text file");
		return -EINVAL;
	}
	copy = malloc(length + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, length);
	copy[length] = '\0';
	ret = ic_policy_parse(policy, name, copy, problems);
	free(copy);
	return ret;
}

static int read_fd(struct iommucfg_policy *policy, int fd, const char *name,
		   struct iommucfg_problems *problems)
{
	size_t length;
	char *text;
	int ret;

	ret = ic_slurp(fd, POLICY_MAX, &text, &length);
	if (ret)
		return ret;
	ret = iommucfg_policy_read_buffer(policy, name, text, length, problems);
	free(text);
	return ret;
}

static int read_path(struct iommucfg_policy *policy, const char *path,
		     struct iommucfg_problems *problems)
{
	struct ic_where where = { .file = path, .line = -1, .group = -1 };
	size_t before = iommucfg_problems_count(problems);
	int ret, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
	} else {
		ret = read_fd(policy, fd, path, problems);
		close(fd);
	}
	if (ret && ret != -EINTR && iommucfg_problems_count(problems) == before) {
		where.error = -ret;
		ic_problem(problems, IOMMUCFG_ERROR, "policy", &where, "%s", strerror(-ret));
	}
	return ret;
}

int iommucfg_policy_read_file(struct iommucfg_policy *policy, const char *path,
			      struct iommucfg_problems *problems)
{
	struct ic_where where = { .file = "<stdin>", .line = -1, .group = -1 };
	size_t before = iommucfg_problems_count(problems);
	int ret;

	if (strcmp(path, "-"))
		return read_path(policy, path, problems);
	ret = read_fd(policy, STDIN_FILENO, where.file, problems);
	if (ret && ret != -EINTR && iommucfg_problems_count(problems) == before) {
		where.error = -ret;
		ic_problem(problems, IOMMUCFG_ERROR, "policy", &where, "%s", strerror(-ret));
	}
	return ret;
}

static int is_fragment(const struct dirent *e)
{
	size_t length = strlen(e->d_name);

	return *e->d_name != '.' && length > 5 && !strcmp(e->d_name + length - 5, ".conf");
}

/* By bytes, so that no locale changes who comes last. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* To open a pipe would wait for a writer, at boot as well. */
static int read_system_path(struct iommucfg_policy *policy, const char *path,
			    struct iommucfg_problems *problems)
{
	struct ic_where where = { .file = path, .line = -1, .group = -1, .error = EINVAL };
	struct stat st;

	if (stat(path, &st) || !S_ISFIFO(st.st_mode))
		return read_path(policy, path, problems);
	ic_problem(problems, IOMMUCFG_ERROR, "policy", &where, "a pipe, and no file");
	return -EINVAL;
}

int iommucfg_policy_read_system(struct iommucfg_policy *policy,
				struct iommucfg_problems *problems)
{
	const char *root = policy->ctx->root;
	struct dirent **entries = NULL;
	int ret, err = 0, n, i, found = 0;
	struct stat st;
	char *path, *dir;

	if (asprintf(&path, "%s/etc/iommucfg.conf", root) < 0)
		return -ENOMEM;
	/* A link to nothing is a policy that is missing, not one less. */
	if (!lstat(path, &st) || errno != ENOENT) {
		found++;
		err = read_system_path(policy, path, problems);
	}
	free(path);
	if (asprintf(&dir, "%s/etc/iommucfg.d", root) < 0)
		return -ENOMEM;
	n = scandir(dir, &entries, is_fragment, by_bytes);
	if (n < 0 && errno != ENOENT) {
		struct ic_where where = { .file = dir, .line = -1, .group = -1, .error = errno };

		err = -errno;
		ic_problem(problems, IOMMUCFG_ERROR, "policy", &where, "%s", strerror(-err));
	}
	/* All files are read even after an error: show every error at once. */
	for (i = 0; i < n; i++) {
		if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0) {
			err = -ENOMEM;
		} else {
			found++;
			ret = read_system_path(policy, path, problems);
			if (ret)
				err = ret;
			free(path);
		}
		free(entries[i]);
	}
	free(entries);
	free(dir);
	if (!found && !err) {
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "policy", ENOENT,
				      "no policy: there is neither %s/etc/iommucfg.conf nor a %s/etc/iommucfg.d/*.conf",
				      root, root);
		return -ENOENT;
	}
	return err;
}

size_t iommucfg_policy_num_rules(const struct iommucfg_policy *policy)
{
	return policy->num_rules;
}

const struct iommucfg_rule *iommucfg_policy_rule(const struct iommucfg_policy *policy,
						 size_t index)
{
	return policy->rules[index];
}

enum iommucfg_type iommucfg_policy_default(const struct iommucfg_policy *policy)
{
	return policy->def;
}

long iommucfg_policy_confirm_timeout(const struct iommucfg_policy *policy)
{
	return policy->confirm_timeout;
}

long iommucfg_policy_settle(const struct iommucfg_policy *policy)
{
	return policy->settle;
}

int iommucfg_policy_allow_in_use(const struct iommucfg_policy *policy)
{
	return policy->allow;
}

int iommucfg_policy_disruption(const struct iommucfg_policy *policy)
{
	return policy->disruption;
}

int iommucfg_policy_strict(const struct iommucfg_policy *policy)
{
	return policy->strict;
}

char *const *iommucfg_policy_check_command(const struct iommucfg_policy *policy)
{
	return policy->check_command;
}

const char *iommucfg_policy_check_origin(const struct iommucfg_policy *policy, int *line)
{
	*line = policy->check_line;
	return policy->check_file;
}

long iommucfg_policy_check_timeout(const struct iommucfg_policy *policy)
{
	return policy->check_timeout;
}

int iommucfg_policy_faults(const struct iommucfg_policy *policy)
{
	return policy->faults;
}

const char *iommucfg_rule_name(const struct iommucfg_rule *rule)
{
	return rule->name;
}

const char *iommucfg_rule_file(const struct iommucfg_rule *rule)
{
	return rule->file;
}

int iommucfg_rule_line(const struct iommucfg_rule *rule)
{
	return rule->line;
}

enum iommucfg_type iommucfg_rule_type(const struct iommucfg_rule *rule)
{
	return rule->type;
}

int iommucfg_rule_priority(const struct iommucfg_rule *rule)
{
	return rule->priority;
}

bool iommucfg_rule_required(const struct iommucfg_rule *rule)
{
	return rule->required;
}
