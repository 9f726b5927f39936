/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_FAKE_TEST_H
#define _ICFG_FAKE_TEST_H

#include <kunit/test.h>
#include <linux/device.h>
#include <linux/iommu.h>

#include "../icfg.h"

/*
 * A machine for KUnit tests: devices on a bus of their own, their drivers, and
 * IOMMU groups without an IOMMU. The driver core is the real one, and so is
 * everything of the module but its static stubs, each call of which can be made
 * to fail.
 */

#define FAKE_GROUPS	8
#define FAKE_DEVS	40

/* What can be made to fail. */
enum fake_call {
	FAKE_DEPEND,	/* configfs says that rmdir was first */
	FAKE_PM,	/* the system is being suspended */
	FAKE_PLAN,	/* no memory for a plan */
	FAKE_DEV,	/* no memory for a device of it */
	FAKE_PIN,	/* no memory for the name of a driver */
	FAKE_LEAVING,	/* the module of a driver is being removed */
	FAKE_ORDER,	/* no memory for an edge between two steps */
	FAKE_LINKS,	/* no memory for the list of device links */
	FAKE_OWNER,	/* VFIO has the group */
	FAKE_DRIVER,	/* a driver forbids its release */
	FAKE_NET,	/* an interface is up */
	FAKE_BLOCK,	/* a disk is mounted */
	FAKE_READ,	/* the type reads as something odd */
	FAKE_SET,	/* the core refuses the type */
	FAKE_SET_UP,	/* the core leaves a device out, and says nothing */
	FAKE_PROBE,	/* a driver refuses its device */
	FAKE_PAUSE,	/* a driver cannot be paused */
	FAKE_MAPPED,	/* a paused driver has something mapped */
	FAKE_RESUME,	/* a driver cannot go on, and has to be unbound */
	FAKE_HANG,	/* a step does not return before fake_let_go() */
	FAKE_CALLS
};

/**
 * struct fake_group - an IOMMU group
 * @fake: the machine
 * @group: the group of the core, which has no domain
 * @type: of the default domain that it would have
 * @system: what "auto" comes to
 * @gives: what it gets whatever is set, or ICFG_NONE
 */
struct fake_group {
	struct fake *fake;
	struct iommu_group *group;
		enum icfg_type type;
	enum icfg_type system;
	enum icfg_type gives;
};

/**
 * struct fake_dev - a device
 * @dev: the device; removed when it is not registered any more
 * @fake: the machine
 * @group: its group, or NULL
 * @drv: the driver that matches, or NULL
 * @iommu: what the core would know of its IOMMU
 * @iommu_dev: its IOMMU
 * @ops: the driver of that
 * @forced: the IOMMU_DOMAIN_* that this insists on, or 0
 * @deferring: can it defer invalidation?
 * @broken: its probe fails, whatever the count says
 * @solid: its probe never fails
 * @leaving: the module of its driver is being removed, whatever the count says
 * @paused: its driver is paused, or could not go on
 * @pauses: how often it was
 * @probes: how often it was probed
 * @probed: when it last was, as a number of fake->modified
 * @removes: how often its driver was released
 */
struct fake_dev {
	struct device dev;
	struct fake *fake;
	struct fake_group *group;
	struct device_driver *drv;
	struct dev_iommu iommu;
	struct iommu_device iommu_dev;
	struct iommu_ops ops;
	int forced;
	bool deferring;
	bool broken;
	bool solid;
	bool leaving;
	bool paused;
	int pauses;
	int probes;
	int probed;
	int removes;
};

/**
 * struct fake - a machine
 * @test: the test that it is for
 * @wq: where steps run beside each other; NULL: in turn, where they are started
 * @groups: its groups
 * @devs: its devices, parents before children
 * @nr_groups: how many of @groups are there
 * @nr_devs: how many of @devs are there
 * @txns: how many transactions there were
 * @alive: groups and devices that were not freed yet
 * @depends: how often configfs was told to keep a directory
 * @modified: how often a driver was released or bound, or a type set
 * @during: called whenever a type is set, or NULL; what follows is for it
 * @begins: called whenever a step is about to begin, or NULL
 * @looks: called whenever it is asked what memory a device reaches, or NULL
 * @stuck: a resume does not return while this is set, for longer than its step may take
 * @data: of the test
 * @txn: the transaction
 * @word: its state
 * @seen: how often it was called
 * @calls: calls of stubs since fake_fail()
 * @fail: which of them fail, or 0; the first and the second one
 * @leaving: the device whose driver's module is being removed since then
 * @used: the device below which something is in use, until that is reported
 * @used_as: what that is
 * @failed: how many did
 * @failed_as: what these were
 * @gives_once: fake_group.gives holds for one call
 * @no_way_back: the core cannot go from DMA-FQ to DMA in place, as on stock kernels
 * @hung: the steps that hang
 * @hangs: how many do
 * @take_backs: a take-back is queued
 * @starve: what reverts gets no memory from its first touch on
 * @busy: stubs that fail each time, as bits of enum fake_call
 * @never: stubs that do not fail, and do not count
 * @held: how many more calls find that another process works on the group
 */
struct fake {
	struct kunit *test;
	struct workqueue_struct *wq;
	struct fake_group groups[FAKE_GROUPS];
	struct fake_dev *devs[FAKE_DEVS];
	unsigned int nr_groups;
	unsigned int nr_devs;
	unsigned int txns;
	atomic_t alive;
	atomic_t depends;
	atomic_t modified;
	void (*during)(struct fake *fake);
	void (*begins)(struct fake *fake);
	void (*looks)(struct fake *fake);
	bool stuck;
	void *data;
	struct icfg_txn *txn;
	const char *word;
	int seen;
	atomic_t calls;
	int fail[2];
	struct device *leaving;
	struct device *used;
	enum fake_call used_as;
	atomic_t failed;
	enum fake_call failed_as[2];
	bool gives_once;
	bool no_way_back;
	struct icfg_step *hung[2];
	atomic_t hangs;
	atomic_t take_backs;
	bool starve;
	unsigned long busy;
	unsigned long never;
	unsigned int held;
};

extern struct device_driver fake_driver;
extern struct device_driver fake_other_driver;
extern struct device_driver fake_pause_driver;

int fake_bus_init(struct kunit_suite *suite);
void fake_bus_exit(struct kunit_suite *suite);
int fake_init(struct kunit *test);
void fake_exit(struct kunit *test);
void fake_clear(struct fake *fake);
void fake_side_by_side(struct fake *fake);
void fake_let_go(struct fake *fake);
void fake_let_one_go(struct fake *fake);
bool fake_take_back(struct fake *fake, struct icfg_txn *txn);

struct fake_group *fake_group_add(struct fake *fake, enum icfg_type type);
struct fake_dev *fake_dev_add(struct fake *fake, struct fake_group *group,
			      struct device_driver *drv,
			      struct fake_dev *parent);
void fake_dev_unplug(struct fake_dev *d);
void fake_link(struct fake_dev *supplier, struct fake_dev *consumer);

const char *fake_call_word(enum fake_call call);
void fake_fail(struct fake *fake, int first, int second);
bool fake_all_bound(struct fake *fake);
bool fake_all_set_up(struct fake *fake);
void fake_set_type(struct fake_group *group, enum icfg_type type);
int fake_pins(void);

struct icfg_txn *fake_txn(struct fake *fake);
void fake_txn_end(struct fake *fake, struct icfg_txn *txn);
struct config_item *fake_mkdir(struct icfg_txn *txn, const char *name);
struct icfg_staged *fake_stage(struct fake *fake, struct icfg_txn *txn,
			       struct fake_group *group, const char *type);
void fake_rmdir(struct icfg_staged *group);
int fake_write(struct config_item *item, const char *file, const char *text);
const char *fake_read(struct fake *fake, struct config_item *item,
		      const char *file);
void fake_expect_write(struct fake *fake, struct config_item *item,
		       const char *file, const char *text, int ret);
void fake_expect_read(struct fake *fake, struct config_item *item,
		      const char *file, const char *text);
void fake_expire(struct fake *fake, struct icfg_txn *txn);

static inline struct config_item *fake_dir(struct icfg_txn *txn)
{
	return &txn->dir.cg_item;
}

/* What most tests begin with: two groups to change, and a third one. */
struct icfg_txn *fake_staged(struct fake *fake);
void fake_commit(struct fake *fake, struct icfg_txn *txn);
void fake_commit_unconfirmed(struct fake *fake, struct icfg_txn *txn);
void fake_expect_types(struct fake *fake, enum icfg_type first,
		       enum icfg_type second);
void fake_expect_status(struct fake *fake, struct icfg_txn *txn,
			const char *text);

/* Longer than any test takes. */
#define FAKE_LONG	"6000"

#define fake_expect_state(fake, txn, word)				\
	fake_expect_read(fake, fake_dir(txn), "state", word "\n")

#endif /* _ICFG_FAKE_TEST_H */
