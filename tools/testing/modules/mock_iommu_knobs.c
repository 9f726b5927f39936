// SPDX-License-Identifier: GPL-2.0
/*
 * The knobs of the mock IOMMU's devices and groups, and what is counted; see
 * mock_iommu.h.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/kstrtox.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "mock_iommu.h"

static const char * const mock_knob_names[MOCK_KNOBS] = {
	[MOCK_PROBE_DELAY] = "probe_delay_ms",
	[MOCK_REMOVE_DELAY] = "remove_delay_ms",
	[MOCK_PROBE_HOLD] = "probe_hold",
	[MOCK_REMOVE_HOLD] = "remove_hold",
	[MOCK_PROBE_ERRORS] = "probe_errors",
	[MOCK_PROBE_ERRNO] = "probe_errno",
	[MOCK_PROBE_DEFERS] = "probe_defers",
	[MOCK_DMA] = "dma",
	[MOCK_SUPPLIER] = "supplier",
	[MOCK_LINK_FLAGS] = "link_flags",
	[MOCK_CHILD] = "child",
	[MOCK_CHILD_SKIPS] = "child_skips",
	[MOCK_ATTACH_DELAY] = "attach_delay_ms",
	[MOCK_ATTACH_HOLD] = "attach_hold",
	[MOCK_ATTACH_IDENTITY] = "attach_errors_identity",
	[MOCK_ATTACH_DMA] = "attach_errors_dma",
	[MOCK_ATTACH_BLOCKED] = "attach_errors_blocked",
	[MOCK_ATTACH_ERRNO] = "attach_errno",
	[MOCK_FORCE] = "force",
	[MOCK_NO_FQ] = "no_fq",
	[MOCK_FQ_BREAKS] = "fq_breaks",
	[MOCK_DIRECT] = "direct",
	[MOCK_LEAVE_HOLD] = "leave_hold",
	[MOCK_ALLOC_ERRORS] = "alloc_errors",
	[MOCK_IDENTITY_ERRORS] = "identity_errors",
	[MOCK_ALLOC_ERRNO] = "alloc_errno",
	[MOCK_OWNED] = "owned",
};

static const char * const mock_stat_names[MOCK_STATS] = {
	[MOCK_PROBES] = "probes",
	[MOCK_PROBES_FAILED] = "probes_failed",
	[MOCK_REMOVES] = "removes",
	[MOCK_ATTACHES] = "attaches",
	[MOCK_ATTACHES_FAILED] = "attaches_failed",
	[MOCK_DETACHES] = "detaches",
	[MOCK_FAULTS] = "faults",
	[MOCK_LEAKS] = "leaked_pages",
	[MOCK_SYNCS] = "syncs",
	[MOCK_FLUSHES] = "flushes",
	[MOCK_PROBING_MAX] = "probing_max",
	[MOCK_REMOVING_MAX] = "removing_max",
	[MOCK_ATTACHING_MAX] = "attaching_max",
	[MOCK_PROBING] = "probing",
	[MOCK_REMOVING] = "removing",
	[MOCK_ATTACHING] = "attaching",
	[MOCK_LEAVING] = "leaving",
	[MOCK_DEVICES] = "devices",
	[MOCK_GROUPS] = "groups",
	[MOCK_DOMAINS] = "domains",
	[MOCK_PAGES] = "pages",
};

static const char * const mock_when_names[MOCK_WHENS] = {
	[MOCK_PROBE_AT] = "probe_at",
	[MOCK_PROBED_AT] = "probed_at",
	[MOCK_REMOVE_AT] = "remove_at",
	[MOCK_REMOVED_AT] = "removed_at",
	[MOCK_ATTACH_AT] = "attach_at",
};

/* The words that `force` takes beside numbers. */
static const struct {
	const char *word;
	int type;
} mock_types[] = {
	{ "none", 0 },
	{ "identity", IOMMU_DOMAIN_IDENTITY },
	{ "DMA", IOMMU_DOMAIN_DMA },
	{ "unmanaged", IOMMU_DOMAIN_UNMANAGED },
};

static atomic_t mock_stats[MOCK_STATS];
static atomic_t mock_events;

/* Of all groups: see mock_iommu.h. */
static atomic_t mock_identity_errors;

/* Who is held waits here until a knob is turned. */
static DECLARE_WAIT_QUEUE_HEAD(mock_turned);

static atomic_t *group_knob(struct mock_group *group, enum mock_knob knob)
{
	if (knob == MOCK_IDENTITY_ERRORS)
		return &mock_identity_errors;
	return &group->knobs[knob - MOCK_DEV_KNOBS];
}

static atomic_t *mock_knob(struct mock_dev *mdev, enum mock_knob knob)
{
	return knob < MOCK_DEV_KNOBS ? &mdev->knobs[knob] : group_knob(mdev->group, knob);
}

int mock_read(struct mock_dev *mdev, enum mock_knob knob)
{
	return atomic_read(mock_knob(mdev, knob));
}

static bool use_up(atomic_t *count)
{
	return atomic_read(count) < 0 || atomic_dec_if_positive(count) >= 0;
}

/* One of so many times; negative: each time. */
bool mock_use_up(struct mock_dev *mdev, enum mock_knob knob)
{
	return use_up(mock_knob(mdev, knob));
}

bool mock_identity_fails(void)
{
	return use_up(&mock_identity_errors);
}

/* Protects these three: how many steps there are to the one that waits, and which it is. */
static DEFINE_MUTEX(mock_hang_lock);
static unsigned int mock_hang_in;
static struct mock_dev *mock_hung;
static const char *mock_hung_what;

static const char *pause_name(enum mock_knob hold)
{
	switch (hold) {
	case MOCK_REMOVE_HOLD:
		return "remove";
	case MOCK_ATTACH_HOLD:
		return "attach";
	default:
		return "probe";
	}
}

/* Is this the step that is to wait? Counts down to it. */
static bool is_hung(struct mock_dev *mdev, enum mock_knob hold)
{
	guard(mutex)(&mock_hang_lock);
	if (!mock_hang_in || --mock_hang_in)
		return false;
	WRITE_ONCE(mock_hung, mdev);
	mock_hung_what = pause_name(hold);
	return true;
}

/**
 * mock_hang - have a step wait, and let go what waits
 * @nth: of the steps from now on, 0: none
 */
void mock_hang(unsigned int nth)
{
	scoped_guard(mutex, &mock_hang_lock) {
		mock_hang_in = nth;
		WRITE_ONCE(mock_hung, NULL);
	}
	wake_up_all(&mock_turned);
}

void mock_hang_show(struct seq_file *seq)
{
	guard(mutex)(&mock_hang_lock);
	if (mock_hung)
		seq_printf(seq, "%s %s\n", dev_name(&mock_hung->pdev->dev), mock_hung_what);
	else
		seq_puts(seq, "-\n");
}

/* A test that died must not leave the machine hanging. */
void mock_wait(struct mock_dev *mdev, enum mock_knob hold)
{
	wait_event_idle_timeout(mock_turned, !mock_read(mdev, hold), 300 * HZ);
}

/* Takes the time that the knobs want. */
void mock_pause(struct mock_dev *mdev, enum mock_knob delay, enum mock_knob hold)
{
	int ms = mock_read(mdev, delay);

	if (is_hung(mdev, hold))
		wait_event_idle_timeout(mock_turned, READ_ONCE(mock_hung) != mdev, 300 * HZ);
	if (ms > 0)
		msleep(ms);
	mock_wait(mdev, hold);
}

void mock_add(enum mock_stat stat, int n)
{
	atomic_add(n, &mock_stats[stat]);
}

void mock_count(enum mock_stat stat)
{
	mock_add(stat, 1);
}

int mock_stat(enum mock_stat stat)
{
	return atomic_read(&mock_stats[stat]);
}

/* One more at present, and how many were there at the most? */
void mock_enter(enum mock_stat now, enum mock_stat max)
{
	int n = atomic_inc_return(&mock_stats[now]);
	int old = atomic_read(&mock_stats[max]);

	while (old < n && !atomic_try_cmpxchg(&mock_stats[max], &old, n))
		;
}

void mock_note(struct mock_dev *mdev, enum mock_when when)
{
	WRITE_ONCE(mdev->when[when], atomic_inc_return(&mock_events));
}

int mock_knob_find(const char *name)
{
	return match_string(mock_knob_names, MOCK_KNOBS, name);
}

int mock_knob_value(enum mock_knob knob, const char *text, int *value)
{
	for (int i = 0; knob == MOCK_FORCE && i < ARRAY_SIZE(mock_types); i++) {
		if (!strcmp(text, mock_types[i].word)) {
			*value = mock_types[i].type;
			return 0;
		}
	}
	return kstrtoint(text, 10, value);
}

static bool is_word(const char * const *words, int count, const char *word, int *found)
{
	int i = match_string(words, count, word);

	if (i >= 0)
		*found = i;
	return i >= 0;
}

/* A word of those that say what a new device is like. */
int mock_spec_word(struct mock_spec *spec, char *word)
{
	/* As a device's driver has the name mock_WORD. */
	static const char * const drivers[MOCK_DRIVERS] = {
		[MOCK_PLAIN] = "plain",
		[MOCK_MANAGED] = "managed",
		[MOCK_FIXED] = "fixed",
		[MOCK_NO_DRIVER] = "nodriver",
	};
	int found, knob;
	char *name;

	if (is_word(mock_unit_names, MOCK_UNITS, word, &found)) {
		spec->unit = found;
		return 0;
	}
	if (is_word(drivers, MOCK_DRIVERS, word, &found)) {
		spec->driver = found;
		return 0;
	}
	name = strsep(&word, "=");
	knob = mock_knob_find(name);
	/* A group that is not there yet cannot be owned. */
	if (!word || knob < 0 || knob == MOCK_OWNED || knob == MOCK_IDENTITY_ERRORS)
		return -EINVAL;
	return mock_knob_value(knob, word, &spec->knobs[knob]);
}

static int set_group(struct mock_group *group, enum mock_knob knob, int value)
{
	struct mock_dev *mdev;

	if (knob >= MOCK_DEV_KNOBS) {
		atomic_set(group_knob(group, knob), value);
		return 0;
	}
	list_for_each_entry(mdev, &group->devs, in_group)
		atomic_set(&mdev->knobs[knob], value);
	return 0;
}

/* The number in "mock.3", in "mock_managed.3", or in "3". */
int mock_dev_number(const char *text, unsigned int *id)
{
	const char *dot = strrchr(text, '.');

	return kstrtouint(dot ? dot + 1 : text, 10, id);
}

static int set_owned(const char *target, int value)
{
	unsigned int index;
	int ret;

	if (!str_has_prefix(target, "group:"))
		return -EINVAL;
	ret = kstrtouint(target + strlen("group:"), 10, &index);
	return ret ?: mock_own(index, value);
}

static int turn(const char *target, enum mock_knob knob, int value)
{
	struct mock_group *group;
	struct mock_dev *mdev;
	unsigned long index;
	unsigned int id;
	int ret;

	if (knob == MOCK_OWNED)
		return set_owned(target, value);

	guard(mutex)(&mock_lock);
	if (!strcmp(target, "all")) {
		xa_for_each(&mock_groups, index, group)
			set_group(group, knob, value);
		return 0;
	}
	if (str_has_prefix(target, "group:")) {
		ret = kstrtouint(target + strlen("group:"), 10, &id);
		if (ret)
			return ret;
		group = xa_load(&mock_groups, id);
		return group ? set_group(group, knob, value) : -ENODEV;
	}
	ret = mock_dev_number(target, &id);
	if (ret)
		return ret;
	mdev = xa_load(&mock_devs, id);
	if (!mdev)
		return -ENODEV;
	atomic_set(mock_knob(mdev, knob), value);
	return 0;
}

/**
 * mock_set - turn a knob
 * @target: "all", "group:N" or a device
 * @knob: which
 * @value: to what
 */
int mock_set(const char *target, enum mock_knob knob, int value)
{
	int ret = turn(target, knob, value);

	wake_up_all(&mock_turned);
	return ret;
}

/* The number of its group in the core; -1 while it comes or goes. mock_lock is held. */
static int core_group_id(struct mock_dev *mdev)
{
	struct iommu_group *group;
	int id;

	/* What is going may lose its group under our eyes. */
	if (!mdev->live)
		return -1;
	group = iommu_group_get(&mdev->pdev->dev);
	id = iommu_group_id(group);
	iommu_group_put(group);
	return id;
}

/* mock_lock is held. */
void mock_dev_show(struct seq_file *seq, struct mock_dev *mdev)
{
	const struct device_driver *drv;
	int i;

	seq_printf(seq, "%s group=%u iommu=%d unit=%s", dev_name(&mdev->pdev->dev),
		   mdev->group->index, core_group_id(mdev), mock_unit_names[mdev->unit]);
	scoped_guard(rcu) {
		drv = READ_ONCE(mdev->pdev->dev.driver);
		seq_printf(seq, " driver=%s", drv ? drv->name : "-");
	}
	seq_printf(seq, " type=%s found=%s probes=%d removes=%d attaches=%d", mock_hw_type(mdev),
		   READ_ONCE(mdev->dma), atomic_read(&mdev->probes),
		   atomic_read(&mdev->removes), atomic_read(&mdev->attaches));
	for (i = 0; i < MOCK_WHENS; i++)
		seq_printf(seq, " %s=%u", mock_when_names[i], READ_ONCE(mdev->when[i]));
	for (i = 0; i < MOCK_OWNED; i++)
		seq_printf(seq, " %s=%d", mock_knob_names[i], mock_read(mdev, i));
	seq_putc(seq, '\n');
}

/* mock_lock is held. */
void mock_group_show(struct seq_file *seq, struct mock_group *group)
{
	struct mock_dev *first = list_first_entry(&group->devs, struct mock_dev, in_group);
	const char *type = mock_hw_type(first);
	int devices = 0, bound = 0;
	struct mock_dev *mdev;

	list_for_each_entry(mdev, &group->devs, in_group) {
		devices++;
		bound += !!READ_ONCE(mdev->pdev->dev.driver);
		if (strcmp(type, mock_hw_type(mdev)))
			type = "mixed";
	}
	seq_printf(seq, "%u iommu=%d devices=%d bound=%d type=%s\n", group->index,
		   core_group_id(first), devices, bound, type);
}

void mock_stats_show(struct seq_file *seq)
{
	for (int i = 0; i < MOCK_STATS; i++)
		seq_printf(seq, "%s %d\n", mock_stat_names[i], atomic_read(&mock_stats[i]));
}

/* Forgets what was; what is at present stays. */
void mock_stats_reset(void)
{
	for (int i = 0; i < MOCK_NOW; i++)
		atomic_set(&mock_stats[i], 0);
}
