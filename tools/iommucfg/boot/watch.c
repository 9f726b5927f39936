// SPDX-License-Identifier: GPL-2.0
/*
 * watch NAME: what the unit iommucfg-watch@NAME runs, see iommucfg_watch(). Its messages are for
 * the journal.
 */
#include <stdio.h>

#include "iommucfg.h"

static const char *const priorities[] = {
	[IOMMUCFG_WARNING] = "<4>", [IOMMUCFG_REFUSED] = "<3>", [IOMMUCFG_ERROR] = "<3>",
};

int main(int argc, char **argv)
{
	struct iommucfg_problems *problems = iommucfg_problems_new();
	const struct iommucfg_problem *p;
	struct iommucfg *ctx;
	size_t i;
	int code;

	if (argc != 2) {
		fputs("usage: watch TRANSACTION\n", stderr);
		return 1;
	}
	if (!problems || iommucfg_new(&ctx, NULL)) {
		fputs("<3>out of memory\n", stderr);
		return 1;
	}
	code = iommucfg_watch(ctx, argv[1], problems);
	for (i = 0; i < iommucfg_problems_count(problems); i++) {
		p = iommucfg_problems_get(problems, i);
		fprintf(stderr, "%s%s\n", priorities[iommucfg_problem_severity(p)],
			iommucfg_problem_message(p));
	}
	if (code == IOMMUCFG_RUN_RESTORED)
		fprintf(stderr, "<5>transaction \"%s\" went back\n", argv[1]);
	else if (code == IOMMUCFG_RUN_FAILED)
		fprintf(stderr, "<3>transaction \"%s\" could not be undone in full\n", argv[1]);
	iommucfg_problems_unref(problems);
	iommucfg_unref(ctx);
	/* What went back is no failure of the unit's. */
	return code == IOMMUCFG_RUN_RESTORED ? 0 : code;
}
