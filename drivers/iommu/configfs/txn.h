/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_TXN_H
#define _ICFG_TXN_H

#include <linux/atomic.h>
#include <linux/configfs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "report.h"
#include "seam.h"
#include "words.h"

struct icfg_run;

/* The longest time in which a commit can be confirmed, in seconds. */
#define ICFG_CONFIRM_MAX	604800

/**
 * struct icfg_txn - a transaction
 * @dir: its directory, whose reference count is that of the transaction
 * @checking: held while a check runs; taken outside of @lock
 * @lock: protects what follows up to @report. Held for moments only: nobody
 *	waits for hardware under it, and configfs takes it under its own locks.
 * @state: where it is in its life
 * @groups: struct icfg_group, each with a reference; changes in ICFG_STAGED only
 * @expected_generation: 0, or what the generation has to be at the commit
 * @allow: ICFG_ALLOW_*
 * @confirm_timeout: seconds, 0 for a commit that is final at once
 * @undo: what the last commit found, kept while there is a way back
 * @deadline: when an unconfirmed commit goes back, in jiffies
 * @timer: takes it back; holds a reference to @dir while armed or running
 * @report: has a lock of its own
 * @done: device steps done by the present or last run
 * @total: device steps that there are
 */
struct icfg_txn {
	struct config_group dir;

	struct mutex checking;	/* held while a check runs */
	struct mutex lock;	/* protects up to @report */
	enum icfg_state state;
	struct list_head groups;
	u64 expected_generation;
	unsigned int allow;
	unsigned int confirm_timeout;
	struct icfg_run *undo;
	u64 deadline;
	struct delayed_work timer;

	struct icfg_report report;
	atomic_t done;
	atomic_t total;
};

/**
 * struct icfg_group - a group staged in a transaction
 * @item: its directory, whose reference count is that of this object
 * @txn: the transaction; valid while the group is in its list
 * @node: in txn->groups; under txn->lock
 * @group: the IOMMU group; the reference keeps its number from being reused
 * @id: its number
 * @seat: the way to its type
 * @wanted: the type to commit; under txn->lock
 * @status: what became of it; under txn->lock
 * @hidden: the directory is gone, the transaction still covers the group;
 *	under txn->lock
 */
struct icfg_group {
	struct config_item item;
	struct icfg_txn *txn;
	struct list_head node;
	struct iommu_group *group;
	unsigned int id;
	struct icfg_seat *seat;
	enum icfg_type wanted;
	enum icfg_status status;
	bool hidden;
};

static inline const char *icfg_txn_name(struct icfg_txn *txn)
{
	return config_item_name(&txn->dir.cg_item);
}

int icfg_txn_init(void);
void icfg_txn_exit(void);

struct icfg_txn *icfg_txn_new(void);
void icfg_txn_free(struct icfg_txn *txn);
void icfg_txn_forget(struct icfg_txn *txn);

struct icfg_group *icfg_group_new(unsigned int id);
void icfg_group_free(struct icfg_group *group);
int icfg_txn_add(struct icfg_txn *txn, struct icfg_group *group);
void icfg_txn_drop(struct icfg_txn *txn, struct icfg_group *group);
int icfg_txn_want(struct icfg_group *group, enum icfg_type type);

void icfg_txn_init_timer(struct icfg_txn *txn);
void icfg_txn_drop_hidden(struct icfg_txn *txn);
void icfg_txn_keep_undo(struct icfg_txn *txn, struct icfg_run *run);

int icfg_txn_check(struct icfg_txn *txn);
int icfg_txn_commit(struct icfg_txn *txn);
int icfg_txn_confirm(struct icfg_txn *txn);
int icfg_txn_rollback(struct icfg_txn *txn);
int icfg_txn_set_confirm_timeout(struct icfg_txn *txn, unsigned int seconds);

bool icfg_capable(void);

#endif /* _ICFG_TXN_H */
