// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device has arrived: its group gets the type that the standing rules have for
 * it, while no driver is bound yet.
 *
 * The buses tell of a new device when the IOMMU core has it in its group, and
 * before the driver core looks for its driver. That is the time: with no driver in
 * the group its domain can be exchanged, and nothing has to be put back. A group
 * that has a driver, or an owner, is never touched.
 *
 * The group is claimed meanwhile, as a transaction does it. No lock of the rules is
 * held while it is switched, as a switch may hang.
 *
 * Owns the report of groups that did not get their type, with a lock inside.
 */
#include <linux/cleanup.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/iommu-dma.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "../core.h"
#include "../icfg.h"
#include "rules.h"

/*
 * Rules reach devices that are not named anywhere, so they have to be asked for
 * when the module is loaded.
 */
static bool standing;
module_param(standing, bool, 0444);
MODULE_PARM_DESC(standing, "Take standing rules for devices to come");

/* As many lines as the report keeps, if they fit a page. */
#define KEPT_LINES	32

/* A PCI reset elsewhere in the group takes a moment, and the bus waits for us. */
#define SWITCH_TRIES	5
#define RETRY_MS	20

/**
 * struct verdict - what the rules have for a group
 * @env: room for a device's modalias
 * @allowed: what the devices let the group be
 * @rule: the rule that counts, or NULL; a reference is held
 * @type: its type
 * @dev: the device that it is for; a reference is held
 * @rival: a rule of the same priority that wants another type, or NULL; a reference is
 *	held
 * @rival_type: its type
 * @rival_dev: the device that @rival is for; a reference is held
 * @claim: 0, or why the group could not be claimed
 * @owner: the transaction that has it, where @claim is -EBUSY
 * @bound: a device whose driver uses the default domain, or NULL; a reference is
 *	held
 * @port: a device whose driver does not, or NULL; a reference is held
 */
struct verdict {
	struct kobj_uevent_env *env;
	struct icfg_types allowed;
	struct icfg_rule *rule;
	enum icfg_type type;
	struct device *dev;
	struct icfg_rule *rival;
	enum icfg_type rival_type;
	struct device *rival_dev;
	int claim;
	char owner[ICFG_OWNER_NAME];
	struct device *bound;
	struct device *port;
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
	dev_warn_ratelimited(dev, "iommu group %d: %pV\n", id, &vaf);
	va_end(args);
}

/* Keep a reference to the first device that has a driver, of each kind. */
static void note_driver(struct verdict *v, struct device *dev)
{
	const struct device_driver *drv;
	struct device **which;

	/* A driver's module is freed only a grace period after its unbinding. */
	guard(rcu)();

	drv = READ_ONCE(dev->driver);
	if (!drv)
		return;
	which = icfg_driver_manages_dma(drv) ? &v->port : &v->bound;
	if (!*which)
		*which = get_device(dev);
}

/* Note a rule and its device in place of those that were noted before, which may be NULL. */
static void note_rule(struct icfg_rule **rule, enum icfg_type *type,
		      struct device **dev, struct icfg_rule *new_rule,
		      struct device *new_dev)
{
	if (*rule)
		config_item_put(&(*rule)->item);
	put_device(*dev);
	*rule = new_rule;
	*type = new_rule ? new_rule->type : ICFG_NONE;
	*dev = get_device(new_dev);
	if (new_rule)
		config_item_get(&new_rule->item);
}

/* Called with the group's mutex held, for each of its devices. */
static int consider(struct device *dev, void *data)
{
	struct verdict *v = data;
	struct icfg_rule *rule;

	icfg_types_add(&v->allowed, dev);
	note_driver(v, dev);

	guard(mutex)(&icfg_rules_lock);

	rule = icfg_rules_match(dev, v->env);
	if (!rule || (v->rule && rule->priority < v->rule->priority))
		return 0;
	if (!v->rule || rule->priority > v->rule->priority) {
		note_rule(&v->rule, &v->type, &v->dev, rule, dev);
		note_rule(&v->rival, &v->rival_type, &v->rival_dev, NULL, NULL);
	} else if (!v->rival && rule->type != v->type) {
		note_rule(&v->rival, &v->rival_type, &v->rival_dev, rule, dev);
	}
	return 0;
}

/* Devices that came into the group later have its type, allowed or not. */
static bool is_ruled_out(struct iommu_group *group, struct verdict *v)
{
	const struct icfg_types *allowed = &v->allowed;
	enum icfg_type type = v->type;

	if (!allowed->contradiction &&
	    (allowed->forced == ICFG_NONE || type == allowed->forced))
		return false;
	complain(group, v->dev, ICFG_CHECK, -EINVAL,
		 "%s of standing rule %s is ruled out: device %s needs %s%s",
		 icfg_type_word(type), rule_name(v->rule),
		 allowed->forced_by ? dev_name(allowed->forced_by) : "-",
		 icfg_type_word(allowed->forced),
		 allowed->contradiction ? ", and one that is not trusted DMA" : "");
	return true;
}

/* Why the group cannot be touched; there is something to change. */
static bool is_refused(struct iommu_group *group, struct verdict *v,
		       enum icfg_type now)
{
	enum icfg_type type = v->type;
	enum icfg_support fq = v->allowed.fq;

	if (v->bound)
		complain(group, v->dev, ICFG_CHECK, -EBUSY,
			 "device %s has its driver already",
			 dev_name(v->bound));
	else if (v->port && icfg_keeps_msi(v->port))
		complain(group, v->dev, ICFG_CHECK, -EBUSY,
			 "the interrupts of device %s go through this group",
			 dev_name(v->port));
	else if (iommu_group_dma_owner_claimed(group))
		complain(group, v->dev, ICFG_CHECK, -EBUSY,
			 "the group is owned by user space (VFIO, iommufd)");
	else if (now == ICFG_OTHER)
		complain(group, v->dev, ICFG_CHECK, -EOPNOTSUPP,
			 "its present type could not be put back");
	else if (type == ICFG_IDENTITY && v->allowed.identity == ICFG_UNSUPPORTED)
		complain(group, v->dev, ICFG_CHECK, -EOPNOTSUPP,
			 "its IOMMU has no identity domain, for standing rule %s",
			 rule_name(v->rule));
	else if (type == ICFG_DMA_FQ && fq == ICFG_UNSUPPORTED)
		complain(group, v->dev, ICFG_CHECK, -EOPNOTSUPP,
			 "its IOMMU cannot defer invalidation, for standing rule %s",
			 rule_name(v->rule));
	/* From DMA the core would start a flush queue in place, without a check. */
	else if (type == ICFG_DMA_FQ && fq == ICFG_SUPPORT_UNKNOWN && now == ICFG_DMA)
		complain(group, v->dev, ICFG_CHECK, -EOPNOTSUPP,
			 "it cannot be told whether its IOMMU can defer invalidation, for standing rule %s",
			 rule_name(v->rule));
	else if (v->claim == -EBUSY)
		complain(group, v->dev, ICFG_CHECK, -EBUSY,
			 "transaction %s has this group", v->owner);
	else if (v->claim == -ETIMEDOUT)
		complain(group, v->dev, ICFG_CHECK, -ETIMEDOUT,
			 "a standing rule is being applied to this group for over 10 s");
	else if (v->claim)
		complain(group, v->dev, ICFG_CHECK, v->claim, "no memory");
	else
		return false;
	return true;
}

/* Called with the group's mutex held: 1 for a device that was not set up. */
static int lacks_dma_ops(struct device *dev, void *data)
{
	return !use_dma_iommu(dev);
}

/*
 * Returns 0 or the errno; @now is the type after it. Where the core cannot set a
 * device up for a translated domain it says so in the kernel log only.
 */
static int set_type(struct iommu_group *group,
		    enum icfg_type type, enum icfg_type *now)
{
	const struct cred *creds;
	int tries = 0;
	int err;

	/* The core checks capabilities, and the task that plugs in may lack them. */
	creds = override_creds(kernel_cred());
	for (;;) {
		err = icfg_core_set_type(group, type);
		if (err != -EBUSY || ++tries == SWITCH_TRIES)
			break;
		msleep(RETRY_MS);
	}
	revert_creds(creds);

	*now = icfg_core_type(group);
	if (!err && *now != type)
		return -EOPNOTSUPP;
	if (!err && (type == ICFG_DMA || type == ICFG_DMA_FQ) &&
	    iommu_group_for_each_dev(group, NULL, lacks_dma_ops))
		return -ENOMEM;
	return err;
}

/* The group has no driver, and no transaction can claim it meanwhile. */
static bool switch_to(struct iommu_group *group, struct verdict *v,
		      enum icfg_type old)
{
	struct icfg_staged frozen = { .group = group, .id = iommu_group_id(group) };
	enum icfg_type type = v->type;
	enum icfg_type now;
	int err;

	/* A switch that hangs has the group's mutex, for which a mkdir must not wait. */
	icfg_staged_freeze(&frozen);
	err = set_type(group, type, &now);
	icfg_staged_thaw(&frozen);
	if (!err) {
		dev_info(v->dev, "iommu group %d from %s to %s by standing rule %s\n",
			 iommu_group_id(group), icfg_type_word(old),
			 icfg_type_word(type), rule_name(v->rule));
		return true;
	}

	complain(group, v->dev, now == old ? ICFG_SWITCH : ICFG_VERIFY, err,
		 "%s of standing rule %s comes out as %s", icfg_type_word(type),
		 rule_name(v->rule), icfg_type_word(now));
	if (now != old) {
		err = set_type(group, old, &now);
		if (err)
			complain(group, v->dev, ICFG_RESTORE, err,
				 "the group had %s and has %s",
				 icfg_type_word(old), icfg_type_word(now));
	}
	return false;
}

/* Do what the rules have for the group. Returns true if it has its type. */
static bool fulfil(struct iommu_group *group, struct verdict *v)
{
	enum icfg_type old;

	if (v->rival) {
		complain(group, v->dev, ICFG_CHECK, -EINVAL,
			 "%s of standing rule %s, and %s of standing rule %s for device %s",
			 icfg_type_word(v->type), rule_name(v->rule),
			 icfg_type_word(v->rival_type), rule_name(v->rival),
			 dev_name(v->rival_dev));
		return false;
	}
	if (v->type == ICFG_AUTO)
		return true;
	if (is_ruled_out(group, v))
		return false;

	old = icfg_core_type(group);
	return old == v->type ||
	       (!is_refused(group, v, old) && switch_to(group, v, old));
}

/* Is there a rule for @dev, which gives a reason to look at its group? */
static bool has_rule(struct device *dev, struct verdict *v)
{
	guard(mutex)(&icfg_rules_lock);

	return icfg_rules_match(dev, v->env);
}

static void apply_rules(struct iommu_group *group, struct verdict *v)
{
	v->claim = icfg_own_for_rule(iommu_group_id(group), v->owner);
	iommu_group_for_each_dev(group, v, consider);
	if (v->rule && fulfil(group, v)) {
		scoped_guard(mutex, &icfg_rules_lock)
			v->rule->hits++;
	}
	if (!v->claim)
		icfg_disown_for_rule(iommu_group_id(group));
}

static void device_added(struct device *dev, struct iommu_group *group)
{
	struct verdict v = {};

	icfg_types_init(&v.allowed);
	v.env = kmalloc(sizeof(*v.env), GFP_KERNEL);
	if (!v.env) {
		complain(group, dev, ICFG_CHECK, -ENOMEM, "no memory");
		return;
	}

	/* What is there already gives no reason to change anything. */
	if (has_rule(dev, &v))
		apply_rules(group, &v);

	put_device(v.port);
	put_device(v.bound);
	note_rule(&v.rule, &v.type, &v.dev, NULL, NULL);
	note_rule(&v.rival, &v.rival_type, &v.rival_dev, NULL, NULL);
	icfg_types_free(&v.allowed);
	kfree(v.env);
}

static int on_bus(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;
	struct iommu_group *group;

	if (action != BUS_NOTIFY_ADD_DEVICE || !icfg_rules_any())
		return NOTIFY_DONE;

	group = iommu_group_get(dev);
	if (group) {
		device_added(dev, group);
		iommu_group_put(group);
	}
	return NOTIFY_DONE;
}

static struct notifier_block hotplug_blocks[ICFG_BUSES_MAX];

bool icfg_hotplug_enabled(void)
{
	return standing;
}

int icfg_hotplug_init(void)
{
	icfg_report_init(&problems);
	if (!standing)
		return 0;
	/* After the IOMMU core, which then has the device in its group. */
	return icfg_buses_watch(hotplug_blocks, on_bus, INT_MIN);
}

void icfg_hotplug_exit(void)
{
	if (standing)
		icfg_buses_unwatch(hotplug_blocks);
	icfg_report_clear(&problems);
}

/* The report as text, at most ICFG_TEXT_MAX bytes. */
ssize_t icfg_hotplug_report(char *page)
{
	return icfg_report_show(&problems, ICFG_NO_GROUP, page, 0);
}
