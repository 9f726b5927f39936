// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: commits and rollbacks pass it, suspend and reboot shut it.
 *
 * gate_lock protects all of its state, for moments only. The sleep lock is not
 * held across a commit: drivers' probes take it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/wait.h>

#include "gate.h"
#include "kunit.h"

/* How long a reboot waits for what is under way. */
#define REBOOT_WAIT	(30 * HZ)

static DEFINE_MUTEX(gate_lock);
static DECLARE_WAIT_QUEUE_HEAD(gate_empty);
static enum icfg_gate gate;
static unsigned int inside;
/* Jiffies: when a suspend shut the gate, and how long all of them kept it shut. */
static u64 shut_at;
static u64 shut_for;

/**
 * icfg_gate_enter - begin a commit or a rollback
 *
 * Returns ICFG_GATE_OPEN, and then icfg_gate_leave() has to follow, or why
 * none can begin now.
 */
enum icfg_gate icfg_gate_enter(void)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_gate_enter);

	guard(mutex)(&gate_lock);

	if (gate == ICFG_GATE_OPEN)
		inside++;
	return gate;
}

void icfg_gate_leave(void)
{
	scoped_guard(mutex, &gate_lock)
		inside--;
	wake_up_all(&gate_empty);
}

/**
 * icfg_gate_clock - the time that has passed but for suspends
 *
 * In jiffies, from some beginning. These stand still in most suspends, but not in
 * one to idle on a machine whose CPUs have no idle state for that.
 */
u64 icfg_gate_clock(void)
{
	guard(mutex)(&gate_lock);

	return (gate == ICFG_GATE_SUSPEND ? shut_at : get_jiffies_64()) -
	       shut_for;
}

static int gate_pm(struct notifier_block *nb, unsigned long event, void *data)
{
	guard(mutex)(&gate_lock);

	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		if (inside)
			return notifier_from_errno(-EBUSY);
		if (gate == ICFG_GATE_OPEN) {
			gate = ICFG_GATE_SUSPEND;
			shut_at = get_jiffies_64();
		}
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		if (gate == ICFG_GATE_SUSPEND) {
			gate = ICFG_GATE_OPEN;
			shut_for += get_jiffies_64() - shut_at;
		}
		break;
	}
	return NOTIFY_DONE;
}

static int gate_reboot(struct notifier_block *nb, unsigned long event,
		       void *data)
{
	scoped_guard(mutex, &gate_lock)
		gate = ICFG_GATE_REBOOT;

	if (!wait_event_timeout(gate_empty, !READ_ONCE(inside), REBOOT_WAIT))
		pr_warn("a commit is still under way, going down without it\n");
	return NOTIFY_DONE;
}

static struct notifier_block pm_block = { .notifier_call = gate_pm };
static struct notifier_block reboot_block = { .notifier_call = gate_reboot };

int icfg_gate_init(void)
{
	int ret;

	ret = register_pm_notifier(&pm_block);
	if (ret)
		return ret;

	ret = register_reboot_notifier(&reboot_block);
	if (ret)
		unregister_pm_notifier(&pm_block);
	return ret;
}

void icfg_gate_exit(void)
{
	unregister_reboot_notifier(&reboot_block);
	unregister_pm_notifier(&pm_block);
}
