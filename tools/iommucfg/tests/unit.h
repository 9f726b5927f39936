/* SPDX-License-Identifier: GPL-2.0 */
/* What the unit tests share. */
#ifndef IOMMUCFG_UNIT_H
#define IOMMUCFG_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "internal.h"

/* The directory with the trees that mktree.py made. */
static inline const char *tree(const char *name)
{
	static char path[4096];
	const char *trees = getenv("TREES");

	snprintf(path, sizeof(path), "%s/%s", trees ? trees : "trees", name);
	return path;
}

/* Problems as the command prints them. */
static inline char *text_of(const struct iommucfg_problems *problems)
{
	const struct iommucfg_problem *p;
	char *text = NULL;
	size_t i, length;
	FILE *f = open_memstream(&text, &length);

	assert_non_null(f);
	for (i = 0; i < iommucfg_problems_count(problems); i++) {
		p = iommucfg_problems_get(problems, i);
		if (iommucfg_problem_file(p))
			fprintf(f, "%s:", iommucfg_problem_file(p));
		if (iommucfg_problem_line(p) > 0)
			fprintf(f, "%d:", iommucfg_problem_line(p));
		fprintf(f, "%s%s\n", iommucfg_problem_file(p) ? " " : "",
			iommucfg_problem_message(p));
	}
	assert_int_equal(fclose(f), 0);
	return text;
}

#endif
