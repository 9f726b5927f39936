// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine of the KUnit tests: the bus, its devices and drivers, the groups,
 * and the stubs. The transactions of a test go through the same item types as
 * those of user space, without a directory in configfs.
 *
 * Owns struct fake, one for each test, which takes all of it apart again and
 * sees that nothing is left.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/scatterlist.h>
#include <linux/iommu-dma.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "../core.h"
#include "../deps.h"
#include "../icfg.h"
#include "../inuse.h"
#include "../pause.h"
#include "fake.h"

/* How long the last references may take to go. */
#define GONE_LOOKS	100
#define GONE_LOOK_MS	10

/*
 * How long a step that hangs is waited for, in jiffies. Steps in turn have returned
 * before anything looks how long they took, so that a busy host does not matter.
 */
#define STEP_LIMIT	(HZ / 5)

static const char * const call_words[FAKE_CALLS] = {
	[FAKE_DEPEND]	= "depend",
	[FAKE_PM]	= "pm",
	[FAKE_PLAN]	= "plan",
	[FAKE_DEV]	= "device",
	[FAKE_PIN]	= "pin",
	[FAKE_LEAVING]	= "leaving module",
	[FAKE_ORDER]	= "order",
	[FAKE_LINKS]	= "links",
	[FAKE_OWNER]	= "owner",
	[FAKE_DRIVER]	= "driver",
	[FAKE_NET]	= "net",
	[FAKE_BLOCK]	= "block",
	[FAKE_READ]	= "read",
	[FAKE_SET]	= "set",
	[FAKE_SET_UP]	= "set up",
	[FAKE_PROBE]	= "probe",
	[FAKE_PAUSE]	= "pause",
	[FAKE_MAPPED]	= "mapped",
	[FAKE_RESUME]	= "resume",
	[FAKE_HANG]	= "hang",
};

const char *fake_call_word(enum fake_call call)
{
	return call_words[call];
}

static struct fake *this_fake(void)
{
	return kunit_get_current_test()->priv;
}

/* Does this call fail? */
static bool fails(struct fake *fake, enum fake_call call)
{
	int i, n;

	if (fake->never & BIT(call))
		return false;
	n = atomic_inc_return(&fake->calls);
	for (i = 0; i < ARRAY_SIZE(fake->fail); i++) {
		if (n != fake->fail[i])
			continue;
		WRITE_ONCE(fake->failed_as[i], call);
		atomic_inc(&fake->failed);
		return true;
	}
	return fake->busy & BIT(call);
}

/* Does this allocation fail? In a revert all of them fail, or none. */
static bool starves(bool reverting, enum fake_call call)
{
	struct fake *fake = this_fake();

	if (!reverting)
		return fails(fake, call);
	return fake->starve && atomic_read(&fake->modified);
}

/* The real function, from within its own stub. */
#define real(call) ({							\
	struct kunit *test = current->kunit_test;			\
	typeof(call) ret;						\
	current->kunit_test = NULL;					\
	ret = call;							\
	current->kunit_test = test;					\
	ret;								\
})

/* The bus. */

static struct fake_dev *to_fake_dev(struct device *dev)
{
	return container_of(dev, struct fake_dev, dev);
}

static int bus_match(struct device *dev, const struct device_driver *drv)
{
	return to_fake_dev(dev)->drv == drv;
}

static int bus_probe(struct device *dev)
{
	struct fake_dev *d = to_fake_dev(dev);

	d->probes++;
	d->probed = atomic_inc_return(&d->fake->modified);
	if (d->solid)
		return 0;
	return fails(d->fake, FAKE_PROBE) || d->broken ? -EIO : 0;
}

static void bus_remove(struct device *dev)
{
	struct fake_dev *d = to_fake_dev(dev);

	d->removes++;
	d->paused = false;
	atomic_inc(&d->fake->modified);
}

static const struct bus_type fake_bus = {
	.name	= "icfg-fake",
	.match	= bus_match,
	.probe	= bus_probe,
	.remove	= bus_remove,
};

struct device_driver fake_driver = {
	.name	= "icfg-fake",
	.bus	= &fake_bus,
	.owner	= THIS_MODULE,
};

struct device_driver fake_other_driver = {
	.name	= "icfg-fake-other",
	.bus	= &fake_bus,
	.owner	= THIS_MODULE,
};

struct device_driver fake_pause_driver = {
	.name	= "icfg-fake-pause",
	.bus	= &fake_bus,
	.owner	= THIS_MODULE,
};

int fake_bus_init(struct kunit_suite *suite)
{
	int ret;

	ret = bus_register(&fake_bus);
	if (ret)
		return ret;
	ret = driver_register(&fake_driver);
	if (ret)
		goto err_bus;
	ret = driver_register(&fake_other_driver);
	if (ret)
		goto err_driver;
	ret = driver_register(&fake_pause_driver);
	if (ret)
		goto err_other;
	return 0;

err_other:
	driver_unregister(&fake_other_driver);
err_driver:
	driver_unregister(&fake_driver);
err_bus:
	bus_unregister(&fake_bus);
	return ret;
}

void fake_bus_exit(struct kunit_suite *suite)
{
	driver_unregister(&fake_pause_driver);
	driver_unregister(&fake_other_driver);
	driver_unregister(&fake_driver);
	bus_unregister(&fake_bus);
}

/* How often the module is pinned. */
int fake_pins(void)
{
#if defined(MODULE) && defined(CONFIG_MODULE_UNLOAD)
	return module_refcount(THIS_MODULE);
#else
	return 0;
#endif
}

/* Groups and devices. */

static void group_gone(void *data)
{
	struct fake_group *group = data;

	atomic_dec(&group->fake->alive);
}

struct fake_group *fake_group_add(struct fake *fake, enum icfg_type type)
{
	struct fake_group *group = &fake->groups[fake->nr_groups];

	KUNIT_ASSERT_LT(fake->test, fake->nr_groups, FAKE_GROUPS);
	group->fake = fake;
	group->type = type;
	group->system = ICFG_DMA;
	group->group = iommu_group_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(fake->test, group->group);
	atomic_inc(&fake->alive);
	iommu_group_set_iommudata(group->group, group, group_gone);
	fake->nr_groups++;
	return group;
}

static int def_domain_type(struct device *dev)
{
	return to_fake_dev(dev)->forced;
}

static bool capable_of(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_DEFERRED_FLUSH && to_fake_dev(dev)->deferring;
}

static struct iommu_domain identity_domain = { .type = IOMMU_DOMAIN_IDENTITY };

static void dev_release(struct device *dev)
{
	struct fake_dev *d = to_fake_dev(dev);

	atomic_dec(&d->fake->alive);
	kfree(d);
}

static bool translates(const struct fake_group *group)
{
	return group->type == ICFG_DMA || group->type == ICFG_DMA_FQ;
}

/* @drv: what it is bound to, or NULL; @group, @parent: or NULL */
struct fake_dev *fake_dev_add(struct fake *fake, struct fake_group *group,
			      struct device_driver *drv,
			      struct fake_dev *parent)
{
	struct fake_dev *d;
	int ret;

	KUNIT_ASSERT_LT(fake->test, fake->nr_devs, FAKE_DEVS);
	d = kzalloc(sizeof(*d), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(fake->test, d);

	d->fake = fake;
	d->group = group;
	d->drv = drv;
	d->deferring = true;
	d->ops.identity_domain = &identity_domain;
	d->ops.def_domain_type = def_domain_type;
	d->ops.capable = capable_of;
	d->iommu_dev.ops = &d->ops;
	d->iommu.iommu_dev = &d->iommu_dev;
	d->dev.bus = &fake_bus;
	d->dev.release = dev_release;
	d->dev.parent = parent ? &parent->dev : NULL;
	atomic_inc(&fake->alive);
	device_initialize(&d->dev);

	ret = dev_set_name(&d->dev, "icfg-fake-%u", fake->nr_devs) ?:
	      device_add(&d->dev);
	if (ret)
		put_device(&d->dev);
	KUNIT_ASSERT_EQ(fake->test, ret, 0);
	fake->devs[fake->nr_devs++] = d;
	KUNIT_ASSERT_PTR_EQ(fake->test, d->dev.driver, drv);

	if (group) {
		ret = iommu_group_add_device(group->group, &d->dev);
		KUNIT_ASSERT_EQ(fake->test, ret, 0);
		d->dev.iommu = &d->iommu;
		if (translates(group))
			dev_set_dma_iommu(&d->dev);
	}
	return d;
}

/* Not with a lock of the device held; the machine keeps a reference. */
void fake_dev_unplug(struct fake_dev *d)
{
	if (!device_is_registered(&d->dev))
		return;
	/* The core would free it. */
	d->dev.iommu = NULL;
	iommu_group_remove_device(&d->dev);
	device_del(&d->dev);
}

/* A managed link: who unbinds @supplier unbinds @consumer. */
void fake_link(struct fake_dev *supplier, struct fake_dev *consumer)
{
	KUNIT_ASSERT_NOT_NULL(supplier->fake->test,
			      device_link_add(&consumer->dev, &supplier->dev, 0));
}

/* Has every device the driver that it came with, and is none of them paused? */
bool fake_all_bound(struct fake *fake)
{
	unsigned int i;

	for (i = 0; i < fake->nr_devs; i++) {
		struct device *dev = &fake->devs[i]->dev;

		if (device_is_registered(dev) &&
		    (dev->driver != fake->devs[i]->drv ||
		     fake->devs[i]->paused))
			return false;
	}
	return true;
}

/* Is every device set up for the domain that its group has? */
bool fake_all_set_up(struct fake *fake)
{
	struct fake_group *group;
	unsigned int i;

	for (i = 0; i < fake->nr_devs; i++) {
		struct device *dev = &fake->devs[i]->dev;

		if (!dev->iommu_group || !device_is_registered(dev))
			continue;
		group = iommu_group_get_iommudata(dev->iommu_group);
		if (use_dma_iommu(dev) != translates(group))
			return false;
	}
	return true;
}

/* The stubs. */

/* From now on, let the @first and the @second call fail; 0: none. */
void fake_fail(struct fake *fake, int first, int second)
{
	fake->fail[0] = first;
	fake->fail[1] = second;
	fake->leaving = NULL;
	fake->used = NULL;
	/* No driver was caught. */
	icfg_pause_exit();
	atomic_set(&fake->calls, 0);
	atomic_set(&fake->failed, 0);
	atomic_set(&fake->modified, 0);
}

static struct iommu_group *group_by_id(unsigned int id)
{
	struct fake *fake = this_fake();
	unsigned int i;

	for (i = 0; i < fake->nr_groups; i++)
		if (iommu_group_id(fake->groups[i].group) == id)
			return iommu_group_ref_get(fake->groups[i].group);
	return NULL;
}

static enum icfg_type core_type(struct iommu_group *group)
{
	struct fake_group *found = iommu_group_get_iommudata(group);

	if (fails(this_fake(), FAKE_READ))
		return ICFG_OTHER;
	return READ_ONCE(found->type);
}

/* What the core answers, as far as it depends on members and drivers. */
static int may_set(struct fake_group *group, bool in_place)
{
	struct fake *fake = group->fake;
	unsigned int i, members = 0;

	for (i = 0; i < fake->nr_devs; i++) {
		struct device *dev = &fake->devs[i]->dev;

		if (dev->iommu_group != group->group)
			continue;
		members++;
		if (READ_ONCE(dev->driver) && !in_place)
			return -EPERM;
	}
	return members ? 0 : -EINVAL;
}

/* The core sets each device up for translated DMA, and hides where it cannot. */
static void set_up(struct fake_group *group)
{
	struct fake *fake = group->fake;
	unsigned int i;

	for (i = 0; i < fake->nr_devs; i++) {
		struct device *dev = &fake->devs[i]->dev;

		if (dev->iommu_group != group->group)
			continue;
		if (translates(group) && !fails(fake, FAKE_SET_UP))
			dev_set_dma_iommu(dev);
		else
			dev_clear_dma_iommu(dev);
	}
}

/* Change the type without the module. */
void fake_set_type(struct fake_group *group, enum icfg_type type)
{
	WRITE_ONCE(group->type, type);
	set_up(group);
}

static bool core_in_place(enum icfg_type from, enum icfg_type to)
{
	if (this_fake()->no_way_back && from == ICFG_DMA_FQ)
		return false;
	return real(icfg_core_in_place(from, to));
}

static int core_set_type(struct iommu_group *iommu_group, enum icfg_type type)
{
	struct fake *fake = this_fake();
	struct fake_group *group = iommu_group_get_iommudata(iommu_group);
	bool in_place = core_in_place(group->type, type);
	int ret;

	atomic_inc(&fake->modified);
	if (fake->during)
		fake->during(fake);
	ret = fails(fake, FAKE_SET) ? -EIO : may_set(group, in_place);
	if (ret)
		return ret;
	if (group->gives != ICFG_NONE) {
		type = group->gives;
		if (fake->gives_once)
			group->gives = ICFG_NONE;
	} else if (type == ICFG_AUTO) {
		type = group->system;
	}
	WRITE_ONCE(group->type, type);
	if (!in_place)
		set_up(group);
	return 0;
}

static bool core_can_pause(const struct device_driver *drv)
{
	return drv == &fake_pause_driver;
}

static int core_pause(struct device *dev)
{
	struct fake_dev *d = to_fake_dev(dev);

	atomic_inc(&d->fake->modified);
	KUNIT_EXPECT_FALSE(d->fake->test, d->paused);
	if (fails(d->fake, FAKE_PAUSE))
		return -EIO;
	d->paused = true;
	d->pauses++;
	return 0;
}

static int core_resume(struct device *dev)
{
	struct fake_dev *d = to_fake_dev(dev);

	KUNIT_EXPECT_TRUE(d->fake->test, d->paused);
	while (READ_ONCE(d->fake->stuck))
		msleep(GONE_LOOK_MS);
	if (fails(d->fake, FAKE_RESUME))
		return -EIO;
	d->paused = false;
	return 0;
}

static bool is_held(struct fake *fake)
{
	return fake->held && fake->held--;
}

static long core_mappings(struct iommu_group *iommu_group)
{
	struct fake_group *group = iommu_group_get_iommudata(iommu_group);

	if (is_held(group->fake))
		return -EBUSY;
	if (!translates(group))
		return -ENODATA;
	return fails(group->fake, FAKE_MAPPED) ? 3 : 0;
}

/* Never with a driver that is not paused. */
static int core_set_paused_type(struct iommu_group *iommu_group,
				enum icfg_type type, unsigned int drivers,
				enum icfg_type *now)
{
	struct fake_group *group = iommu_group_get_iommudata(iommu_group);
	struct fake *fake = group->fake;
	unsigned int i, paused = 0;

	for (i = 0; i < fake->nr_devs; i++) {
		if (fake->devs[i]->group != group)
			continue;
		KUNIT_EXPECT_EQ(fake->test, !!fake->devs[i]->dev.driver,
				fake->devs[i]->paused);
		paused += fake->devs[i]->paused;
	}
	KUNIT_EXPECT_EQ(fake->test, paused, drivers);
	if (is_held(fake))
		return -EBUSY;
	atomic_inc(&fake->modified);
	if (fails(fake, FAKE_SET))
		return -EIO;
	WRITE_ONCE(group->type, type == ICFG_AUTO ? group->system : type);
	*now = group->type;
	set_up(group);
	return 0;
}

static bool core_reaches_memory(struct device *dev)
{
	struct fake *fake = to_fake_dev(dev)->fake;

	if (fake->looks)
		fake->looks(fake);
	return true;
}

/* What a look finds, the one that reports it finds as well. */
static bool is_used(struct icfg_plan_dev *d, enum fake_call call, icfg_inuse_fn *fn)
{
	struct fake *fake = this_fake();

	if (fn && fake->used == d->dev && fake->used_as == call) {
		fake->used = NULL;
		return true;
	}
	if (!fails(fake, call))
		return false;
	if (fn && !(fake->busy & BIT(call))) {
		fake->used = d->dev;
		fake->used_as = call;
	}
	return true;
}

static int inuse_below(struct icfg_plan_dev *d, unsigned int words, char *why,
		       icfg_inuse_fn *fn)
{
	int ret = 0;

	if (words & ICFG_ALLOW_NET && is_used(d, FAKE_NET, fn)) {
		snprintf(why, ICFG_WHY, "network interface fake0 is up");
		ret = -EBUSY;
		if (fn)
			fn(d, ret, why);
	}
	if (words & ICFG_ALLOW_BLOCK && (fn || !ret) && is_used(d, FAKE_BLOCK, fn)) {
		snprintf(why, ICFG_WHY, "block device fake1 is mounted");
		ret = -EBUSY;
		if (fn)
			fn(d, ret, why);
	}
	return ret;
}

static int inuse_driver(const struct icfg_plan_dev *d, char *why)
{
	if (!fails(this_fake(), FAKE_DRIVER))
		return real(icfg_inuse_driver(d, why));
	snprintf(why, ICFG_WHY, "driver %s forbids unbinding", d->drv->name);
	return -EBUSY;
}

static int inuse_owner(struct icfg_plan_group *group, struct icfg_plan_dev **dev,
		       char *why)
{
	if (!fails(this_fake(), FAKE_OWNER))
		return real(icfg_inuse_owner(group, dev, why));
	*dev = NULL;
	snprintf(why, ICFG_WHY, "the group is owned by user space");
	return -EBUSY;
}

static enum icfg_pm pm_enter(void)
{
	return fails(this_fake(), FAKE_PM) ? ICFG_PM_SUSPEND :
					       real(icfg_pm_enter());
}

static struct icfg_plan *plan_new(struct icfg_txn *txn)
{
	struct icfg_plan *plan;

	plan = fails(this_fake(), FAKE_PLAN) ? NULL : real(icfg_plan_new(txn));
	/* What a test makes hang is given up on soon. */
	if (plan && !(this_fake()->never & BIT(FAKE_HANG)))
		plan->step_limit = STEP_LIMIT;
	return plan;
}

static struct icfg_plan_dev *plan_add_dev(struct icfg_plan *plan,
					  struct icfg_plan_group *group,
				    struct device *dev)
{
	struct icfg_plan_dev *d = icfg_plan_find(plan, dev);

	if (d)
		return d;
	if (starves(plan->reverting, FAKE_DEV))
		return NULL;
	return real(icfg_plan_add_dev(plan, group, dev));
}

static int plan_get_driver(struct icfg_plan *plan, struct icfg_plan_dev *d)
{
	struct fake *fake = this_fake();
	int ret;

	if (d->drv || d->state == ICFG_DEV_UNBOUND)
		return 0;
	if (READ_ONCE(d->dev->driver) &&
	    (fails(fake, FAKE_LEAVING) || to_fake_dev(d->dev)->leaving ||
	     fake->leaving == d->dev)) {
		/* It does not come back. */
		fake->leaving = d->dev;
		d->driver_leaving = true;
		return -EBUSY;
	}
	d->driver_leaving = false;
	ret = real(icfg_plan_get_driver(plan, d));
	d->can_pause = d->member && d->drv == &fake_pause_driver;
	if (!ret && d->drv && starves(plan->reverting, FAKE_PIN)) {
		kfree_const(d->drv_name);
		d->drv_name = NULL;
		ret = -ENOMEM;
	}
	return ret;
}

/* Of a rollback before its first touch, and of what is not one, each may fail. */
static bool is_revert(gfp_t gfp)
{
	return gfp & __GFP_RETRY_MAYFAIL && atomic_read(&this_fake()->modified);
}

static int links_list(struct icfg_links *links, gfp_t gfp)
{
	if (starves(is_revert(gfp), FAKE_LINKS)) {
		*links = (struct icfg_links){};
		return -ENOMEM;
	}
	return real(icfg_links_list(links, gfp));
}

static struct icfg_edge *edge_alloc(gfp_t gfp)
{
	if (starves(is_revert(gfp), FAKE_ORDER))
		return NULL;
	return real(icfg_edge_alloc(gfp));
}

static int txn_depend(struct icfg_txn *txn)
{
	struct fake *fake = this_fake();

	if (fails(fake, FAKE_DEPEND))
		return -ENOENT;
	atomic_inc(&fake->depends);
	return 0;
}

static void txn_undepend(struct icfg_txn *txn)
{
	atomic_dec(&this_fake()->depends);
}

/* A step that runs beside others, on behalf of the test. */
struct job {
	struct work_struct work;
	struct icfg_step *step;
	struct kunit *test;
};

static void job_work(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);

	current->kunit_test = job->test;
	job->step->work.func(&job->step->work);
	current->kunit_test = NULL;
	kfree(job);
}

static void step_queue(struct icfg_step *step)
{
	struct fake *fake = this_fake();
	struct job *job;

	if (fake->begins)
		fake->begins(fake);
	/* One that hangs is run by fake_let_go(). */
	if (fails(fake, FAKE_HANG)) {
		fake->hung[atomic_inc_return(&fake->hangs) - 1] = step;
		return;
	}
	if (!fake->wq) {
		step->work.func(&step->work);
		return;
	}
	job = kmalloc(sizeof(*job), GFP_KERNEL | __GFP_NOFAIL);
	INIT_WORK(&job->work, job_work);
	job->step = step;
	job->test = fake->test;
	queue_work(fake->wq, &job->work);
}

/* What hung goes on, and returns. */
void fake_let_go(struct fake *fake)
{
	int i, count = atomic_xchg(&fake->hangs, 0);

	for (i = 0; i < count; i++)
		fake->hung[i]->work.func(&fake->hung[i]->work);
}

/* The first of what hung goes on, and returns. */
void fake_let_one_go(struct fake *fake)
{
	struct icfg_step *step = fake->hung[0];

	KUNIT_ASSERT_GT(fake->test, atomic_read(&fake->hangs), 0);
	fake->hung[0] = fake->hung[1];
	atomic_dec(&fake->hangs);
	step->work.func(&step->work);
}

/* The work that takes back what has returned: run by fake_take_back(). */
static void queue_take_back(struct icfg_txn *txn, unsigned long delay)
{
	struct fake *fake = this_fake();

	if (!atomic_xchg(&fake->take_backs, 1))
		config_item_get(&txn->dir.cg_item);
}

/* Returns false where no take-back was queued. */
bool fake_take_back(struct fake *fake, struct icfg_txn *txn)
{
	if (!atomic_xchg(&fake->take_backs, 0))
		return false;
	txn->take_back.work.func(&txn->take_back.work);
	return true;
}

/* From now on, steps run beside each other. */
void fake_side_by_side(struct fake *fake)
{
	fake->wq = alloc_workqueue("icfg-fake", WQ_UNBOUND, 0);
	KUNIT_ASSERT_NOT_NULL(fake->test, fake->wq);
}

int fake_init(struct kunit *test)
{
	struct fake *fake;

	/* Not KUnit's: it may have to outlive the test that lost something. */
	fake = kzalloc(sizeof(*fake), GFP_KERNEL);
	if (!fake)
		return -ENOMEM;
	fake->test = test;
	/* Only where a test says so. */
	fake->never = BIT(FAKE_HANG);
	test->priv = fake;

	kunit_activate_static_stub(test, icfg_core_group_by_id, group_by_id);
	kunit_activate_static_stub(test, icfg_core_type, core_type);
	kunit_activate_static_stub(test, icfg_core_in_place, core_in_place);
	kunit_activate_static_stub(test, icfg_core_set_type, core_set_type);
	kunit_activate_static_stub(test, icfg_core_can_pause, core_can_pause);
	kunit_activate_static_stub(test, icfg_core_pause, core_pause);
	kunit_activate_static_stub(test, icfg_core_resume, core_resume);
	kunit_activate_static_stub(test, icfg_core_mappings, core_mappings);
	kunit_activate_static_stub(test, icfg_core_set_paused_type,
				   core_set_paused_type);
	kunit_activate_static_stub(test, icfg_core_reaches_memory,
				   core_reaches_memory);
	kunit_activate_static_stub(test, icfg_inuse_below, inuse_below);
	kunit_activate_static_stub(test, icfg_inuse_driver, inuse_driver);
	kunit_activate_static_stub(test, icfg_inuse_owner, inuse_owner);
	kunit_activate_static_stub(test, icfg_pm_enter, pm_enter);
	kunit_activate_static_stub(test, icfg_plan_new, plan_new);
	kunit_activate_static_stub(test, icfg_plan_add_dev, plan_add_dev);
	kunit_activate_static_stub(test, icfg_plan_get_driver, plan_get_driver);
	kunit_activate_static_stub(test, icfg_links_list, links_list);
	kunit_activate_static_stub(test, icfg_edge_alloc, edge_alloc);
	kunit_activate_static_stub(test, icfg_step_queue, step_queue);
	kunit_activate_static_stub(test, icfg_txn_depend, txn_depend);
	kunit_activate_static_stub(test, icfg_txn_undepend, txn_undepend);
	kunit_activate_static_stub(test, icfg_txn_queue_take_back,
				   queue_take_back);
	return 0;
}

/* Take the machine apart, and see that nothing of it is left. */
void fake_clear(struct fake *fake)
{
	int i;

	fake_fail(fake, 0, 0);
	for (i = fake->nr_devs; i--; ) {
		fake_dev_unplug(fake->devs[i]);
		put_device(&fake->devs[i]->dev);
	}
	for (i = fake->nr_groups; i--; )
		iommu_group_put(fake->groups[i].group);
	fake->nr_devs = 0;
	fake->nr_groups = 0;

	device_link_wait_removal();
	for (i = 0; atomic_read(&fake->alive) && i < GONE_LOOKS; i++)
		msleep(GONE_LOOK_MS);
	KUNIT_EXPECT_EQ_MSG(fake->test, atomic_read(&fake->alive), 0,
			    "somebody kept a device or a group");
	KUNIT_EXPECT_EQ(fake->test, atomic_read(&fake->depends), 0);
	if (!atomic_read(&fake->alive))
		memset(fake->groups, 0, sizeof(fake->groups));
}

void fake_exit(struct kunit *test)
{
	struct fake *fake = test->priv;

	if (fake->wq)
		destroy_workqueue(fake->wq);
	fake_clear(fake);
	if (!atomic_read(&fake->alive))
		kfree(fake);
}
