/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_STEPS_H
#define _ICFG_STEPS_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/list.h>
#include <linux/workqueue.h>

struct icfg_steps;

/**
 * struct icfg_step - one piece of work that runs beside others
 * @node: in the list that is given to icfg_steps_run()
 * @befores: struct icfg_edge, to the steps that go before this one
 * @afters: struct icfg_edge, to the steps that go after this one
 * @due: set by the caller: this step is part of the next run
 */
struct icfg_step {
	struct list_head node;
	struct list_head befores;
	struct list_head afters;
	bool due;

	/* private: of steps.c */
	bool told;
	atomic_t started;
	atomic_t pending;
	unsigned long since;
	struct icfg_steps *steps;
	struct work_struct work;
};

/**
 * struct icfg_steps - one run over a list of steps
 * @fn: does the work of a step; may sleep
 * @slow: told once of each step that has been under way for over ten seconds
 * @done: counts steps as they finish, or NULL
 * @backwards: follow the edges the other way around
 */
struct icfg_steps {
	void (*fn)(struct icfg_step *step);
	void (*slow)(struct icfg_step *step);
	atomic_t *done;
	bool backwards;

	/* private: */
	atomic_t running;
	atomic_t remaining;
	struct completion idle;
};

int icfg_steps_init(void);
void icfg_steps_exit(void);

void icfg_step_init(struct icfg_step *step);
int icfg_step_order(struct icfg_step *first, struct icfg_step *second,
		    gfp_t gfp);
bool icfg_step_has_before(const struct icfg_step *step,
			  bool (*test)(const struct icfg_step *before));
void icfg_step_free_order(struct list_head *list);
void icfg_steps_run(struct icfg_steps *steps, struct list_head *list);

#endif /* _ICFG_STEPS_H */
