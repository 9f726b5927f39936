// SPDX-License-Identifier: GPL-2.0-only
/*
 * A row of the table in inuse.c: a watchdog that its driver has registered without a
 * parent, as i6300esb does. Such a one is below no device, and is found by the
 * module that it shares with the driver.
 *
 * The class "watchdog" is not exported. Its devices are found through sysfs: the
 * parent of any class is the kset of all. What a watchdog of another driver points
 * to may be freed at any moment, and is read as memory that may not be there: the
 * worst that comes of it is a wrong answer. Takes no lock.
 */
#include <linux/device.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>
#include <linux/watchdog.h>
#include <net/net_namespace.h>

#include "inuse.h"

/* As many as there can be. */
#define WATCHDOGS	32

/* Follow a link in sysfs. The kobject may be gone by the time that it is used. */
static struct kobject *follow(struct kobject *from, const char *name)
{
	struct kernfs_node *link;
	struct kobject *to = NULL;

	link = from->sd ? kernfs_find_and_get(from->sd, name) : NULL;
	if (!link)
		return NULL;
	if (kernfs_type(link) == KERNFS_LINK)
		to = link->symlink.target_kn->priv;
	kernfs_put(link);
	return to;
}

static const struct class *watchdog_class(void)
{
	/* The class "net" is not removed, and lo is there from the start. */
	struct kobject *net = follow(&init_net.loopback_dev->dev.kobj, "subsystem");
	const struct class *class = NULL;
	struct kobject *watchdogs, *kobj;
	char name[16];
	int i;

	if (!net || !net->parent)
		return NULL;
	watchdogs = kset_find_obj(container_of(net->parent, struct kset, kobj),
				  "watchdog");
	for (i = 0; watchdogs && !class && i < WATCHDOGS; i++) {
		snprintf(name, sizeof(name), "watchdog%d", i);
		kobj = follow(watchdogs, name);
		if (kobj && get_kernel_nofault(class, &kobj_to_dev(kobj)->class))
			class = NULL;
	}
	kobject_put(watchdogs);
	return class;
}

static int is_active_of(struct device *dev, const void *module)
{
	struct watchdog_device *wdd = dev_get_drvdata(dev);
	const struct watchdog_ops *ops;
	unsigned long status;
	struct module *owner;

	return !dev->parent && !get_kernel_nofault(ops, &wdd->ops) &&
	       !get_kernel_nofault(owner, &ops->owner) && owner == module &&
	       !get_kernel_nofault(status, &wdd->status) &&
	       status & BIT(WDOG_ACTIVE);
}

int icfg_inuse_lone_watchdog(struct device *dev, char *why)
{
	const struct device_driver *drv;
	struct module *module = NULL;
	const struct class *class;
	struct device *watchdog;

	scoped_guard(rcu) {
		drv = READ_ONCE(dev->driver);
		if (drv)
			module = drv->owner;
	}
	/* Without a module there is nothing to find it by. */
	class = module ? watchdog_class() : NULL;
	if (!class)
		return 0;
	watchdog = class_find_device(class, NULL, module, is_active_of);
	if (!watchdog)
		return 0;
	snprintf(why, ICFG_WHY, "watchdog %s is active: stop it first",
		 dev_name(watchdog));
	put_device(watchdog);
	return -EBUSY;
}
