// SPDX-License-Identifier: LGPL-2.1-or-later
/* How a plan is to be carried out. */
#include "internal.h"

struct iommucfg_plan_options *iommucfg_plan_options_new(void)
{
	struct iommucfg_plan_options *options = calloc(1, sizeof(*options));

	if (options)
		options->refs = 1;
	return options;
}

struct iommucfg_plan_options *iommucfg_plan_options_ref(struct iommucfg_plan_options *options)
{
	options->refs++;
	return options;
}

void iommucfg_plan_options_unref(struct iommucfg_plan_options *options)
{
	if (options && !--options->refs)
		free(options);
}

void iommucfg_plan_options_set_confirm_timeout(struct iommucfg_plan_options *options, long seconds)
{
	options->confirm_timeout = seconds;
}

void iommucfg_plan_options_set_default_timeout(struct iommucfg_plan_options *options, long seconds)
{
	options->default_timeout = seconds;
}

void iommucfg_plan_options_set_allow_in_use(struct iommucfg_plan_options *options, int words)
{
	options->allow_in_use = words;
}

void iommucfg_plan_options_set_skip_in_use(struct iommucfg_plan_options *options, bool skip)
{
	options->skip_in_use = skip;
}

void iommucfg_plan_options_set_only_look(struct iommucfg_plan_options *options, bool look)
{
	options->only_look = look;
}

void iommucfg_plan_options_set_disruption(struct iommucfg_plan_options *options,
					  enum iommucfg_disruption disruption)
{
	options->disruption = disruption;
}

void iommucfg_plan_options_set_strict(struct iommucfg_plan_options *options, bool strict)
{
	options->strict = strict;
}
