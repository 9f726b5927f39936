// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lists of things to tell a person, each with the place that it is about. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

struct iommucfg_problems *iommucfg_problems_new(void)
{
	struct iommucfg_problems *problems = calloc(1, sizeof(*problems));

	if (problems)
		problems->refs = 1;
	return problems;
}

static void problem_clear(struct iommucfg_problem *p)
{
	free(p->kind);
	free(p->message);
	free(p->file);
	free(p->rule);
	free(p->device);
	free(p->phase);
	free(p->error_word);
	free(p->code);
	free(p->fix);
}

struct iommucfg_problems *iommucfg_problems_ref(struct iommucfg_problems *problems)
{
	problems->refs++;
	return problems;
}

void iommucfg_problems_unref(struct iommucfg_problems *problems)
{
	size_t i;

	if (!problems || --problems->refs)
		return;
	for (i = 0; i < problems->n; i++)
		problem_clear(&problems->v[i]);
	free(problems->v);
	free(problems);
}

static int vproblem(struct iommucfg_problems *problems, enum iommucfg_severity severity,
		    const char *kind, const struct ic_where *where, const char *format,
		    va_list args)
{
	struct iommucfg_problem p = {
		.severity = severity, .group = where->group, .line = where->line,
		.error = where->error,
	};
	char *raw;

	if (!problems)
		return 0;
	if (IC_GROW(problems->v, problems->n, problems->cap))
		return -ENOMEM;
	if (vasprintf(&raw, format, args) < 0)
		return -ENOMEM;
	/* Names that others gave may be in it: one message is one line, of text alone. */
	p.message = ic_printable(raw);
	free(raw);
	if (!p.message || ic_strdup(&p.kind, kind) || ic_strdup(&p.file, where->file) ||
	    ic_strdup(&p.rule, where->rule) || ic_strdup(&p.device, where->device))
		goto nomem;
	problems->v[problems->n++] = p;
	return 0;
nomem:
	problem_clear(&p);
	return -ENOMEM;
}

int ic_problem(struct iommucfg_problems *problems, enum iommucfg_severity severity,
	       const char *kind, const struct ic_where *where, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = vproblem(problems, severity, kind, where, format, args);
	va_end(args);
	return ret;
}

int iommucfg_problems_add(struct iommucfg_problems *problems, enum iommucfg_severity severity,
			  const char *kind, int error, const char *format, ...)
{
	struct ic_where where = IC_NOWHERE;
	va_list args;
	int ret;

	where.error = error;
	va_start(args, format);
	ret = vproblem(problems, severity, kind, &where, format, args);
	va_end(args);
	return ret;
}

struct iommucfg_problem *ic_problem_last(struct iommucfg_problems *problems)
{
	return problems && problems->n ? &problems->v[problems->n - 1] : NULL;
}

static bool is_one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/*
 * The code (NULL: the kind) and the cure of the problem that was added last; @fix as for
 * printf(), or NULL.
 * They are extras: want of memory leaves them out.
 */
void ic_problem_cure(struct iommucfg_problems *problems, const char *code, const char *fix, ...)
{
	struct iommucfg_problem *p = ic_problem_last(problems);
	va_list args;
	char *line;

	if (!p)
		return;
	if (code) {
		free(p->code);
		p->code = strdup(code);
	}
	if (!fix)
		return;
	va_start(args, fix);
	if (vasprintf(&line, fix, args) < 0)
		line = NULL;
	va_end(args);
	/* It is for a shell. */
	if (line && !is_one_line(line)) {
		free(line);
		line = NULL;
	}
	free(p->fix);
	p->fix = line;
}

void iommucfg_problems_cure(struct iommucfg_problems *problems, const char *code, const char *fix)
{
	if (fix)
		ic_problem_cure(problems, code, "%s", fix);
	else
		ic_problem_cure(problems, code, NULL);
}

int ic_problems_copy(struct iommucfg_problems *to, const struct iommucfg_problem *from)
{
	struct ic_where where = {
		.file = from->file, .line = from->line, .rule = from->rule,
		.group = from->group, .device = from->device, .error = from->error,
	};
	struct iommucfg_problem *last;
	int ret;

	ret = ic_problem(to, from->severity, from->kind, &where, "%s", from->message);
	if (ret || !to)
		return ret;
	last = ic_problem_last(to);
	if (ic_strdup(&last->phase, from->phase) ||
	    ic_strdup(&last->error_word, from->error_word) ||
	    ic_strdup(&last->code, from->code) || ic_strdup(&last->fix, from->fix))
		return -ENOMEM;
	return 0;
}

int iommucfg_problems_append(struct iommucfg_problems *to, const struct iommucfg_problems *from)
{
	size_t i, n = iommucfg_problems_count(from);
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = ic_problems_copy(to, &from->v[i]);
	return ret;
}

/* Takes out whatever is not about one of these groups. */
void ic_problems_keep(struct iommucfg_problems *problems, struct iommucfg_group *const *groups,
		      size_t count)
{
	size_t i, j, n = 0;

	for (i = 0; i < problems->n; i++) {
		for (j = 0; j < count && problems->v[i].group != groups[j]->number; j++)
			;
		if (j < count)
			problems->v[n++] = problems->v[i];
		else
			problem_clear(&problems->v[i]);
	}
	problems->n = n;
}

size_t iommucfg_problems_count(const struct iommucfg_problems *problems)
{
	return problems ? problems->n : 0;
}

size_t iommucfg_problems_at_least(const struct iommucfg_problems *problems,
				  enum iommucfg_severity severity)
{
	size_t i, n = 0;

	for (i = 0; problems && i < problems->n; i++)
		n += problems->v[i].severity >= severity;
	return n;
}

const struct iommucfg_problem *iommucfg_problems_get(const struct iommucfg_problems *problems,
						     size_t index)
{
	return &problems->v[index];
}

enum iommucfg_severity iommucfg_problem_severity(const struct iommucfg_problem *problem)
{
	return problem->severity;
}

const char *iommucfg_problem_kind(const struct iommucfg_problem *problem)
{
	return problem->kind;
}

const char *iommucfg_problem_message(const struct iommucfg_problem *problem)
{
	return problem->message;
}

const char *iommucfg_problem_file(const struct iommucfg_problem *problem)
{
	return problem->file;
}

int iommucfg_problem_line(const struct iommucfg_problem *problem)
{
	return problem->line > 0 ? problem->line : -1;
}

const char *iommucfg_problem_rule(const struct iommucfg_problem *problem)
{
	return problem->rule;
}

long iommucfg_problem_group(const struct iommucfg_problem *problem)
{
	return problem->group;
}

const char *iommucfg_problem_device(const struct iommucfg_problem *problem)
{
	return problem->device;
}

const char *iommucfg_problem_phase(const struct iommucfg_problem *problem)
{
	return problem->phase;
}

const char *iommucfg_problem_errno(const struct iommucfg_problem *problem)
{
	if (problem->error_word)
		return problem->error_word;
	return problem->error ? strerrorname_np(problem->error) : NULL;
}

const char *iommucfg_problem_code(const struct iommucfg_problem *problem)
{
	return problem->code ? problem->code : problem->kind;
}

const char *iommucfg_problem_fix(const struct iommucfg_problem *problem)
{
	return problem->fix;
}
