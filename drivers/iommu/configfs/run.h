/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_RUN_H
#define _ICFG_RUN_H

#include <linux/device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "eligible.h"
#include "report.h"
#include "steps.h"
#include "txn.h"
#include "words.h"

/* How a group gets from the type that it has to the one that is wanted. */
enum icfg_way {
	ICFG_WAY_NONE,		/* it has it already */
	ICFG_WAY_IN_PLACE,	/* DMA to DMA-FQ, drivers stay bound */
	ICFG_WAY_RELEASE,	/* drivers released, switched, probed again */
};

/**
 * struct icfg_target - a group in a run
 * @step: the switch of this group
 * @run: the run
 * @group: the group, with a reference
 * @rules: what its devices allow, as of the last look at the members
 * @devs: struct icfg_dev that are or were members; grows under run->lock, and
 *	only by the one who works on this group
 * @members: how many devices it has, as of the last look
 * @wanted: the type to go to
 * @was: the type at the start of the commit, which is the way back
 * @now: the type as last read by us
 * @way: how it goes forwards
 * @taken: another transaction has it: look no further
 * @touched: a driver was released or the type was set
 * @back: this group takes part in the way back
 * @stuck: it may not be touched on the way back; the reason is reported
 * @failed: something of it could not be put back
 * @left_out: it has a new domain, for which the core could not set a member up
 */
struct icfg_target {
	struct icfg_step step;
	struct icfg_run *run;
	struct icfg_group *group;
	struct icfg_rules rules;
	struct list_head devs;
	unsigned int members;
	enum icfg_type wanted;
	enum icfg_type was;
	enum icfg_type now;
	enum icfg_way way;
	bool taken;
	bool touched;
	bool back;
	bool stuck;
	bool failed;
	bool left_out;
};

/**
 * struct icfg_dev - a device in a run
 * @step: its release or its probe
 * @hash: in run->by_dev
 * @in_target: in target->devs, for a member
 * @target: the group for whose sake it is here
 * @dev: the device, with a reference
 * @drv: the driver that it had at the start, its module pinned; or NULL
 * @drv_name: the name of that driver, which outlives @drv; or NULL
 * @member: a member of the group; else a managed consumer of what is released
 * @managed: its driver manages DMA itself, and stays
 * @port: its driver would manage DMA itself, but keeps interrupts in the domain,
 *	and goes for their sake; what hangs below it stays
 * @along: goes along with a supplier, whatever is wanted of its own group
 * @below: hangs below another one that is released, which may delete it: the
 *	probe of that one makes it anew
 * @leaving: the module of its driver is being removed
 * @held: on the way back, what hangs below it or its consumers is in use
 * @released: we took the driver away and have not brought it back
 * @gone: it was unplugged, when last asked
 * @open: a disk below was open at the last look
 * @no_ops: its group was translated at the start, but the core could not set it
 *	up for that, and has only told so in the kernel log
 */
struct icfg_dev {
	struct icfg_step step;
	struct hlist_node hash;
	struct list_head in_target;
	struct icfg_target *target;
	struct device *dev;
	struct device_driver *drv;
	const char *drv_name;
	bool member;
	bool managed;
	bool port;
	bool along;
	bool below;
	bool leaving;
	bool held;
	bool released;
	bool gone;
	bool open;
	bool no_ops;
};

/**
 * struct icfg_run - one way over the hardware: a check, a commit or a rollback,
 *	and afterwards the record of what the commit found
 * @ref: references to the run
 * @txn: the transaction; outlives the run
 * @targets: the groups
 * @nr_targets: how many there are
 * @target_steps: the steps of @targets
 * @lock: protects @devs and @by_dev, which grow while groups are switched side
 *	by side, and the members of each target
 * @devs: the steps of struct icfg_dev
 * @by_dev: the same by device: a hash table
 * @by_dev_bits: the binary logarithm of its size
 * @allow: ICFG_ALLOW_*, as of the start
 * @expected: the generation that it has to be, or 0
 * @confirm: the commit will wait to be confirmed
 * @backwards: this run restores
 * @links_go: device links go with the drivers that are released
 * @abort: something failed, go back; set once, by anybody
 * @refusal: the errno that a refusal returns, 0 while there is none
 */
struct icfg_run {
	struct kref ref;
	struct icfg_txn *txn;
	struct icfg_target *targets;
	unsigned int nr_targets;
	struct list_head target_steps;
	struct mutex lock;	/* protects @devs, @by_dev, the members */
	struct list_head devs;
	struct hlist_head *by_dev;
	unsigned int by_dev_bits;
	unsigned int allow;
	u64 expected;
	bool confirm;
	bool backwards;
	bool links_go;
	bool abort;
	int refusal;
};

#define icfg_for_each_target(t, run)				\
	list_for_each_entry(t, &(run)->target_steps, step.node)

#define icfg_for_each_dev(d, run)				\
	list_for_each_entry(d, &(run)->devs, step.node)

static inline struct icfg_dev *to_icfg_dev(struct icfg_step *step)
{
	return container_of(step, struct icfg_dev, step);
}

static inline struct icfg_target *to_icfg_target(struct icfg_step *step)
{
	return container_of(step, struct icfg_target, step);
}

/* Will its driver have to go before the group can be switched? */
static inline bool icfg_dev_is_bound(const struct icfg_dev *d)
{
	return d->drv && !d->managed && !d->released;
}

/* Will its driver go because that of a supplier does? */
static inline bool icfg_dev_goes_along(const struct icfg_dev *d)
{
	return d->along && d->drv && !d->released;
}

/* Will its driver be released on the way there? */
static inline bool icfg_dev_goes_forwards(const struct icfg_dev *d)
{
	return icfg_dev_goes_along(d) ||
	       (icfg_dev_is_bound(d) && d->target->way == ICFG_WAY_RELEASE);
}

/* Does it have the driver that it had at the start? */
static inline bool icfg_dev_is_bound_again(const struct icfg_dev *d)
{
	return READ_ONCE(d->dev->driver) == d->drv;
}

/* As what a step of a run is reported. */
static inline enum icfg_phase icfg_run_phase(const struct icfg_run *run,
					     enum icfg_phase forwards)
{
	return run->backwards ? ICFG_RESTORE : forwards;
}

#define icfg_for_each_member(d, t)				\
	list_for_each_entry(d, &(t)->devs, in_target)

/* May the device of a step not be released on the way back? */
static inline bool icfg_step_is_held(const struct icfg_step *step)
{
	return READ_ONCE(container_of(step, struct icfg_dev, step)->held);
}

/* Does it have a default domain that translates? */
static inline bool icfg_target_is_translated(const struct icfg_target *t)
{
	return t->now == ICFG_DMA || t->now == ICFG_DMA_FQ;
}

/* Has it another type than it had, or a domain that a member is not set up for? */
static inline bool icfg_target_needs_back(const struct icfg_target *t)
{
	return t->now != t->was || t->left_out;
}

struct icfg_run *icfg_run_new(struct icfg_txn *txn);
struct icfg_run *icfg_run_get(struct icfg_run *run);
void icfg_run_put(struct icfg_run *run);
void icfg_run_unpin(struct icfg_run *run);

int icfg_run_members(struct icfg_run *run, struct icfg_target *target);
int icfg_run_pin(struct icfg_run *run, struct icfg_dev *d);
int icfg_run_order(struct icfg_run *run,
		   bool (*due)(const struct icfg_dev *d));
bool icfg_run_has_consumers(struct icfg_dev *d);
struct icfg_dev *icfg_run_find(struct icfg_run *run, struct device *dev);
struct icfg_dev *icfg_run_add_dev(struct icfg_run *run,
				  struct icfg_target *target,
				  struct device *dev);
void icfg_run_join(struct icfg_dev *d, struct icfg_target *target);
void icfg_device_lock(struct icfg_run *run, struct icfg_dev *d);
bool icfg_dev_has_ops(const struct icfg_dev *d);
bool icfg_dev_is_gone(struct icfg_dev *d);

__printf(5, 6)
void icfg_problem(struct icfg_target *t, struct icfg_dev *d,
		  enum icfg_phase phase, int err, const char *fmt, ...);

#endif /* _ICFG_RUN_H */
