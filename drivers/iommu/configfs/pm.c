// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commits and rollbacks on the one side, suspend and reboot on the other: they
 * exclude each other.
 *
 * pm_lock protects all of the state, for moments only; a reboot, which waits, looks at
 * the counters without it. The sleep lock is not held across a commit: drivers'
 * probes take it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/wait.h>

#include "icfg.h"

/* How long a reboot waits for what is under way. */
#define REBOOT_WAIT	(30 * HZ)

static DEFINE_MUTEX(pm_lock);
static DECLARE_WAIT_QUEUE_HEAD(pm_idle);
static enum icfg_pm pm;
/* Commits and rollbacks that are running. */
static unsigned int active;
/* Plans with a step that was given up on and has not returned. */
static unsigned int hanging;
/* Jiffies: when a suspend began, and how long all of them took. */
static u64 suspended_at;
static u64 suspended_for;

/**
 * icfg_pm_enter - begin a commit or a rollback
 *
 * Returns ICFG_PM_RUNNING, and then icfg_pm_leave() has to follow, or why
 * none can begin now.
 */
enum icfg_pm icfg_pm_enter(void)
{
	KUNIT_STATIC_STUB_REDIRECT(icfg_pm_enter);

	guard(mutex)(&pm_lock);

	if (pm == ICFG_PM_RUNNING)
		WRITE_ONCE(active, active + 1);
	return pm;
}

void icfg_pm_leave(void)
{
	scoped_guard(mutex, &pm_lock)
		WRITE_ONCE(active, active - 1);
	wake_up_all(&pm_idle);
}

/* Does the system go down? Then no timer turns a commit around. */
bool icfg_pm_is_reboot(void)
{
	guard(mutex)(&pm_lock);

	return pm == ICFG_PM_REBOOT;
}

/**
 * icfg_pm_enter_hanging - a step that was given up on has not returned
 *
 * Suspend is refused until icfg_pm_leave_hanging(), since the PM core would wait
 * for the lock of its device; a reboot does not wait for it.
 */
void icfg_pm_enter_hanging(void)
{
	guard(mutex)(&pm_lock);

	WRITE_ONCE(hanging, hanging + 1);
}

void icfg_pm_leave_hanging(void)
{
	guard(mutex)(&pm_lock);

	WRITE_ONCE(hanging, hanging - 1);
}

/**
 * icfg_pm_clock - the time that has passed but for suspends
 *
 * In jiffies, from some beginning. These stand still in most suspends, but not in
 * one to idle on a machine whose CPUs have no idle state for that.
 */
u64 icfg_pm_clock(void)
{
	guard(mutex)(&pm_lock);

	return (pm == ICFG_PM_SUSPEND ? suspended_at : get_jiffies_64()) -
	       suspended_for;
}

static int pm_event(struct notifier_block *nb, unsigned long event, void *data)
{
	guard(mutex)(&pm_lock);

	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		if (active || hanging)
			return notifier_from_errno(-EBUSY);
		if (pm == ICFG_PM_RUNNING) {
			pm = ICFG_PM_SUSPEND;
			suspended_at = get_jiffies_64();
		}
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		if (pm == ICFG_PM_SUSPEND) {
			pm = ICFG_PM_RUNNING;
			suspended_for += get_jiffies_64() - suspended_at;
		}
		break;
	}
	return NOTIFY_DONE;
}

static int reboot_event(struct notifier_block *nb, unsigned long event,
			void *data)
{
	scoped_guard(mutex, &pm_lock)
		pm = ICFG_PM_REBOOT;

	if (!wait_event_timeout(pm_idle, !READ_ONCE(active), REBOOT_WAIT))
		pr_warn("a commit is still under way, going down without it\n");
	if (READ_ONCE(hanging))
		pr_warn("a driver hangs that was given up on: if the reboot hangs on it, use sysrq-b or a hardware watchdog\n");
	return NOTIFY_DONE;
}

static struct notifier_block pm_block = { .notifier_call = pm_event };
static struct notifier_block reboot_block = { .notifier_call = reboot_event };

int icfg_pm_init(void)
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

void icfg_pm_exit(void)
{
	unregister_reboot_notifier(&reboot_block);
	unregister_pm_notifier(&pm_block);
}
