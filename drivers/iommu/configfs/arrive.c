// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device has arrived: its group gets the type that the standing rules have for
 * it, while nobody has a driver yet.
 *
 * The buses tell of a new device when the IOMMU core has it in its group, and
 * before the driver core looks for its driver. That is the time: with no driver in
 * the group its domain can be exchanged, and nothing has to be put back. A group
 * that has a driver, or an owner, is never touched.
 *
 * Owns the report of what did not come true, which has a lock of its own.
 */
#include <linux/cleanup.h>
#include <linux/cred.h>
#include <linux/iommu.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "arrive.h"
#include "buses.h"
#include "claim.h"
#include "eligible.h"
#include "lookup.h"
#include "report.h"
#include "seam.h"
#include "standing.h"

/*
 * Rules reach devices that nobody has named: who wants them says so when the
 * module is loaded.
 */
static bool standing;
module_param(standing, bool, 0444);
MODULE_PARM_DESC(standing, "Take standing rules for devices to come");

/* As many lines as the report keeps. */
#define KEPT_LINES	32

/**
 * struct verdict - what the rules have for a group
 * @env: room for a device's modalias
 * @allowed: what the devices let the group be
 * @rule: the rule that counts, or NULL
 * @dev: the device that it is for; a reference is held
 * @rival: a rule of the same priority that wants another type, or NULL
 * @rival_dev: the device that @rival is for; a reference is held
 * @bound: a device whose driver uses the default domain, or NULL; a reference is
 *	held
 */
struct verdict {
	struct kobj_uevent_env *env;
	struct icfg_rules allowed;
	struct icfg_rule *rule;
	struct device *dev;
	struct icfg_rule *rival;
	struct device *rival_dev;
	struct device *bound;
};

static struct icfg_report problems;

static const char *rule_name(struct icfg_rule *rule)
{
	return config_item_name(&rule->item);
}

/* One line of the report, and of the kernel's log. */
static __printf(5, 6) void
complain(struct iommu_group *group, struct device *dev, enum icfg_phase phase,
	 int err, const char *fmt, ...)
{
	int id = iommu_group_id(group);
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	icfg_report_add(&problems, id, dev_name(dev), phase, err, "%pV", &vaf);
	va_end(args);
	icfg_report_keep(&problems, KEPT_LINES);

	va_start(args, fmt);
	vaf.va = &args;
	dev_warn(dev, "iommu group %d keeps its type: %pV\n", id, &vaf);
	va_end(args);
}

/* A driver's module is freed only a grace period after its unbinding. */
static bool is_bound(struct device *dev)
{
	const struct device_driver *drv;

	guard(rcu)();

	drv = READ_ONCE(dev->driver);
	return drv && !icfg_driver_manages_dma(drv);
}

/* Called with the group's mutex held, for each of its devices. */
static int consider(struct device *dev, void *data)
{
	struct verdict *v = data;
	struct icfg_rule *rule;

	icfg_rules_add(&v->allowed, dev);
	if (!v->bound && is_bound(dev))
		v->bound = get_device(dev);

	rule = icfg_standing_rule(dev, v->env);
	if (!rule || (v->rule && rule->priority < v->rule->priority))
		return 0;
	if (!v->rule || rule->priority > v->rule->priority) {
		put_device(v->dev);
		put_device(v->rival_dev);
		v->rule = rule;
		v->dev = get_device(dev);
		v->rival = NULL;
		v->rival_dev = NULL;
	} else if (!v->rival && rule->type != v->rule->type) {
		v->rival = rule;
		v->rival_dev = get_device(dev);
	}
	return 0;
}

/* True if the devices allow the type, as far as that is known beforehand. */
static bool is_allowed(struct iommu_group *group, struct verdict *v,
		       enum icfg_type now)
{
	const struct icfg_rules *allowed = &v->allowed;
	enum icfg_type type = v->rule->type;
	const char *word = icfg_type_word(type);

	if (allowed->contradiction ||
	    (allowed->forced != ICFG_NONE && type != allowed->forced)) {
		complain(group, v->dev, ICFG_CHECK, -EINVAL,
			 "%s of standing rule %s is ruled out: device %s needs %s",
			 word, rule_name(v->rule),
			 allowed->forced_by ? dev_name(allowed->forced_by) : "-",
			 icfg_type_word(allowed->forced));
		return false;
	}
	/* From DMA the core would bring up a queue in place, and ask nobody. */
	if ((type == ICFG_IDENTITY && allowed->identity == ICFG_NO) ||
	    (type == ICFG_DMA_FQ && (allowed->fq == ICFG_NO ||
				     (allowed->fq != ICFG_YES && now == ICFG_DMA)))) {
		complain(group, v->dev, ICFG_CHECK, -EOPNOTSUPP,
			 "its IOMMU does not give %s, which standing rule %s has",
			 word, rule_name(v->rule));
		return false;
	}
	return true;
}

/* The group is claimed and has no driver. */
static bool switch_to(struct iommu_group *group, struct verdict *v,
		      struct icfg_seat *seat, enum icfg_type was)
{
	enum icfg_type type = v->rule->type;
	const struct cred *creds;
	enum icfg_type now;
	int err;

	/* The core asks who sets a type, and who plugs in need not be allowed to. */
	creds = override_creds(kernel_cred());
	err = icfg_seat_set(seat, type);
	now = icfg_seat_type(seat);
	if (!err && now != type)
		icfg_seat_set(seat, was);
	revert_creds(creds);

	if (err) {
		complain(group, v->dev, ICFG_SWITCH, err,
			 "the IOMMU core refuses %s of standing rule %s",
			 icfg_type_word(type), rule_name(v->rule));
		return false;
	}
	if (now != type) {
		complain(group, v->dev, ICFG_VERIFY, -EIO,
			 "%s of standing rule %s came out as %s",
			 icfg_type_word(type), rule_name(v->rule),
			 icfg_type_word(now));
		return false;
	}
	dev_info(v->dev, "iommu group %d from %s to %s by standing rule %s\n",
		 iommu_group_id(group), icfg_type_word(was),
		 icfg_type_word(type), rule_name(v->rule));
	return true;
}

/* Do what the rules have for the group. Returns true if it has its type. */
static bool fulfil(struct iommu_group *group, struct verdict *v)
{
	char who[ICFG_CLAIM_WHO];
	struct icfg_seat *seat;
	enum icfg_type was;
	bool done = false;

	if (v->rival) {
		complain(group, v->dev, ICFG_CHECK, -EINVAL,
			 "%s of standing rule %s, and %s of standing rule %s for device %s",
			 icfg_type_word(v->rule->type), rule_name(v->rule),
			 icfg_type_word(v->rival->type), rule_name(v->rival),
			 dev_name(v->rival_dev));
		return false;
	}
	if (v->rule->type == ICFG_AUTO)
		return true;

	seat = icfg_seat_get(group);
	if (IS_ERR(seat)) {
		complain(group, v->dev, ICFG_CHECK, PTR_ERR(seat),
			 "the group has no type to set");
		return false;
	}

	was = icfg_seat_type(seat);
	if (was == v->rule->type) {
		done = true;
	} else if (v->bound) {
		complain(group, v->dev, ICFG_CHECK, -EBUSY,
			 "device %s has its driver already", dev_name(v->bound));
	} else if (was == ICFG_OTHER) {
		complain(group, v->dev, ICFG_CHECK, -EOPNOTSUPP,
			 "its present type could not be put back");
	} else if (is_allowed(group, v, was)) {
		if (icfg_claim_moment(iommu_group_id(group), who)) {
			done = switch_to(group, v, seat, was);
			icfg_unclaim_moment(iommu_group_id(group));
		} else {
			complain(group, v->dev, ICFG_CHECK, -EBUSY,
				 "transaction %s has this group", who);
		}
	}
	icfg_seat_put(seat);
	return done;
}

static void arrive(struct device *dev, struct iommu_group *group)
{
	struct verdict v = {};

	icfg_rules_init(&v.allowed);
	v.env = kmalloc(sizeof(*v.env), GFP_KERNEL);
	if (!v.env) {
		complain(group, dev, ICFG_CHECK, -ENOMEM, "no memory");
		return;
	}

	scoped_guard(mutex, &icfg_standing_lock) {
		iommu_group_for_each_dev(group, &v, consider);
		if (v.rule && fulfil(group, &v))
			v.rule->hits++;
	}

	put_device(v.bound);
	put_device(v.rival_dev);
	put_device(v.dev);
	icfg_rules_free(&v.allowed);
	kfree(v.env);
}

static int on_bus(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;
	struct iommu_group *group;

	if (action != BUS_NOTIFY_ADD_DEVICE || !icfg_standing_any())
		return NOTIFY_DONE;

	group = iommu_group_get(dev);
	if (group) {
		arrive(dev, group);
		iommu_group_put(group);
	}
	return NOTIFY_DONE;
}

static struct notifier_block arrive_blocks[ICFG_BUSES_MAX];

bool icfg_arrive_wanted(void)
{
	return standing;
}

int icfg_arrive_init(void)
{
	icfg_report_init(&problems);
	if (!standing)
		return 0;
	/* After the IOMMU core, which then has the device in its group. */
	return icfg_buses_watch(arrive_blocks, on_bus, INT_MIN);
}

void icfg_arrive_exit(void)
{
	if (standing)
		icfg_buses_unwatch(arrive_blocks);
	icfg_report_clear(&problems);
}

/* The report as text, at most ICFG_TEXT_MAX bytes. */
ssize_t icfg_arrive_report(char *page)
{
	return icfg_report_show(&problems, ICFG_NO_GROUP, page, 0);
}
