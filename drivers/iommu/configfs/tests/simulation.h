/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_SIMULATION_H
#define _ICFG_SIMULATION_H

#include <linux/prandom.h>

#include "../icfg.h"
#include "fake.h"

#define TXNS		3
#define LOG_SIZE	32768

/* What the contract says of groups and devices at one moment. */
struct shot {
	enum icfg_type type[FAKE_GROUPS];
	enum icfg_status status[FAKE_GROUPS];
	struct device_driver *drv[FAKE_DEVS];
	bool set_up[FAKE_DEVS];
	u64 generation;
};

/**
 * struct sim_txn - a transaction, as the ABI page describes it
 * @txn: the transaction, or NULL
 * @state: its state
 * @before: what its last commit found
 * @cur: the types that its commit left
 * @modified: the groups that its commit changed, as bits; not those that a commit
 *	which failed has put back, nor those that it had not come to
 */
struct sim_txn {
	struct icfg_txn *txn;
	enum icfg_state state;
	struct shot before;
	enum icfg_type cur[FAKE_GROUPS];
	unsigned long modified;
};

/**
 * struct sim - a run
 * @fake: the machine
 * @waits: what takes ten seconds is a part of it
 * @seed: what it came from
 * @rnd: the state of the random numbers
 * @txns: the transactions
 * @now: the transaction that acts
 * @shot: the machine before the action
 * @hanger: the transaction of which a step may hang, or NULL
 * @lost: devices that stay paused, which the report has said, as bits
 * @suppliers: devices with consumers, as bits
 * @unbound: devices that were unbound by another process, with a supplier that was
 *	unplugged, or by a transaction that is gone, as bits: no rollback binds them
 * @deferred: the driver core may bind a device by itself
 * @surprise: what happens when a type is set the next time
 * @acts: the surprise is under way
 * @quiet: nothing fails in this action, and nothing else happens meanwhile
 * @failed: the contract was broken
 * @page: the report after the action
 * @log: what was done
 * @len: its length
 */
struct sim {
	struct fake *fake;
	bool waits;
	unsigned long seed;
	struct rnd_state rnd;
	struct sim_txn txns[TXNS];
	struct sim_txn *now;
	struct shot shot;
	struct sim_txn *hanger;
	unsigned long lost;
	unsigned long suppliers;
	unsigned long unbound;
	bool deferred;
	void (*surprise)(struct sim *sim);
	bool acts;
	bool quiet;
	bool failed;
	char page[ICFG_TEXT_MAX + 1];
	char log[LOG_SIZE];
	size_t len;
};

unsigned int sim_pick(struct sim *sim, unsigned int count);
bool sim_chance(struct sim *sim, unsigned int percent);
__printf(2, 3)
void sim_note(struct sim *sim, const char *fmt, ...);
void sim_expect_fact(struct sim *sim, int ret, bool holds, const char *fact);
int sim_index_of(struct sim *sim, const struct icfg_staged *group);
bool sim_is_there(struct sim *sim, unsigned int i);
bool sim_has_members(struct sim *sim, struct fake_group *group);
void sim_shoot_dev(struct sim *sim, struct shot *shot, unsigned int i);
void sim_shoot(struct sim *sim, struct shot *shot);
unsigned long sim_begin_quiet(struct fake *fake);
void sim_add_dev(struct sim *sim, struct fake_group *group, bool parent);
void sim_make_machine(struct sim *sim);
struct icfg_staged *sim_find_group(struct sim *sim, struct sim_txn *t,
				   unsigned int i);
bool sim_any_owned(struct sim *sim, struct sim_txn *t, bool perhaps);
int sim_due_refusal(struct sim *sim, struct sim_txn *t);
bool sim_is_refusal(int ret);
void sim_expect_quiet(struct sim *sim, int ret, int due);
void sim_expect_untouched(struct sim *sim, int ret);
void sim_expect_others_untouched(struct sim *sim, int ret);
void sim_expect_owned_untouched(struct sim *sim, int ret);
void sim_expect_all(struct sim *sim, int ret, bool new);
void sim_expect_named(struct sim *sim, int ret, const struct shot *before);
void sim_expect_restored(struct sim *sim, int ret);
bool sim_is_left_alone(struct sim *sim, const struct icfg_staged *group);
unsigned int sim_count_waiting(struct sim_txn *t);
void sim_expect_always(struct sim *sim, int ret);
void sim_read_report(struct sim *sim);

/* The first fact that does not hold ends the run. */
#define sim_expect(sim, ret, fact)	sim_expect_fact(sim, ret, fact, #fact)

#endif /* _ICFG_SIMULATION_H */
