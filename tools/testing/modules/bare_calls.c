// SPDX-License-Identifier: GPL-2.0
/*
 * What a commit would cost without anybody to plan it: for every device of a
 * platform driver release, switch and attach, one after the other in one thread, as bare
 * calls. The benchmark compares a commit with this.
 *
 * /sys/kernel/debug/bare_calls	w  "DRIVER TYPE"
 *				r  "devices=N groups=N release=NS switch=NS attach=NS": the last
 *				   run
 *
 * Nobody else may touch these devices meanwhile. What fails makes the write fail, and
 * nothing is put back.
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/sysfs.h>

/* All of it is under this. */
static DEFINE_MUTEX(bare_lock);

struct bare_group {
	struct iommu_group *group;
	struct kobject *kobj;		/* pinned by the group */
	struct kernfs_node *type;
};

static struct {
	struct device_driver *drv;
	struct device **devs;
	struct bare_group *groups;
	size_t nr_devs, nr_groups;
	u64 release, set, attach;
} bare;

static struct dentry *bare_file;

static int find_driver(struct device_driver *drv, void *name)
{
	if (strcmp(drv->name, name) || !try_module_get(drv->owner))
		return 0;
	bare.drv = drv;
	return 1;
}

static int count_dev(struct device *dev, void *data)
{
	bare.nr_devs++;
	return 0;
}

static int take_dev(struct device *dev, void *data)
{
	size_t *room = data;

	if (bare.nr_devs == *room)
		return -EAGAIN;
	bare.devs[bare.nr_devs++] = get_device(dev);
	return 0;
}

static int by_group(const void *a, const void *b)
{
	const struct bare_group *first = a, *second = b;

	return first->group < second->group ? -1 : first->group > second->group;
}

static int find_type(struct kernfs_node *dir, struct bare_group *group)
{
	struct kernfs_node *node;
	char name[12];

	snprintf(name, sizeof(name), "%d", iommu_group_id(group->group));
	node = kernfs_find_and_get(dir, name);
	if (!node)
		return -ENOENT;
	group->kobj = node->priv;
	group->type = kernfs_find_and_get(node, "type");
	kernfs_put(node);
	return group->type ? 0 : -ENOENT;
}

/* The groups of all devices, each once. */
static int take_groups(void)
{
	struct kernfs_node *dir;
	size_t i, n = 0;
	int ret = 0;

	bare.groups = kvcalloc(bare.nr_devs, sizeof(*bare.groups), GFP_KERNEL);
	if (!bare.groups)
		return -ENOMEM;
	for (i = 0; i < bare.nr_devs; i++) {
		bare.groups[i].group = iommu_group_get(bare.devs[i]);
		if (!bare.groups[i].group)
			return -ENXIO;
		bare.nr_groups++;
	}
	sort(bare.groups, bare.nr_groups, sizeof(*bare.groups), by_group, NULL);
	for (i = 0; i < bare.nr_groups; i++) {
		if (n && bare.groups[n - 1].group == bare.groups[i].group)
			iommu_group_put(bare.groups[i].group);
		else
			bare.groups[n++].group = bare.groups[i].group;
	}
	bare.nr_groups = n;

	dir = kernfs_find_and_get(kernel_kobj->sd, "iommu_groups");
	if (!dir)
		return -ENOENT;
	for (i = 0; i < n && !ret; i++)
		ret = find_type(dir, &bare.groups[i]);
	kernfs_put(dir);
	return ret;
}

static int take_all(char *name)
{
	size_t room;
	int ret;

	bus_for_each_drv(&platform_bus_type, NULL, name, find_driver);
	if (!bare.drv)
		return -ENODEV;
	ret = driver_for_each_device(bare.drv, NULL, NULL, count_dev);
	room = bare.nr_devs;
	bare.nr_devs = 0;
	if (ret || !room)
		return ret ?: -ENODEV;
	bare.devs = kvcalloc(room, sizeof(*bare.devs), GFP_KERNEL);
	if (!bare.devs)
		return -ENOMEM;
	ret = driver_for_each_device(bare.drv, NULL, &room, take_dev);
	return ret ?: take_groups();
}

static void put_all(void)
{
	size_t i;

	for (i = 0; i < bare.nr_groups; i++) {
		kernfs_put(bare.groups[i].type);
		iommu_group_put(bare.groups[i].group);
	}
	kvfree(bare.groups);
	bare.groups = NULL;
	for (i = 0; i < bare.nr_devs; i++)
		put_device(bare.devs[i]);
	kvfree(bare.devs);
	bare.devs = NULL;
	if (bare.drv)
		module_put(bare.drv->owner);
	bare.drv = NULL;
}

static ssize_t set_type(struct bare_group *group, const char *type)
{
	const struct sysfs_ops *ops = get_ktype(group->kobj)->sysfs_ops;

	return ops->store(group->kobj, group->type->priv, type, strlen(type));
}

static int run_all(const char *type)
{
	u64 start, released, set;
	ssize_t ret;
	size_t i;

	start = ktime_get_ns();
	for (i = 0; i < bare.nr_devs; i++) {
		device_release_driver(bare.devs[i]);
		cond_resched();
	}
	released = ktime_get_ns();
	for (i = 0; i < bare.nr_groups; i++) {
		ret = set_type(&bare.groups[i], type);
		if (ret < 0)
			return ret;
		cond_resched();
	}
	set = ktime_get_ns();
	for (i = 0; i < bare.nr_devs; i++) {
		ret = device_driver_attach(bare.drv, bare.devs[i]);
		if (ret)
			return ret;
		cond_resched();
	}
	bare.attach = ktime_get_ns() - set;
	bare.set = set - released;
	bare.release = released - start;
	return 0;
}

static ssize_t bare_write(struct file *file, const char __user *ubuf, size_t count,
			  loff_t *ppos)
{
	char *line __free(kfree) = NULL;
	char *type, *name;
	int ret;

	if (count >= PAGE_SIZE)
		return -E2BIG;
	line = memdup_user_nul(ubuf, count);
	if (IS_ERR(line))
		return PTR_ERR(no_free_ptr(line));
	type = strim(line);
	name = strsep(&type, " ");
	if (!type)
		return -EINVAL;

	guard(mutex)(&bare_lock);
	memset(&bare, 0, sizeof(bare));
	ret = take_all(name);
	if (!ret)
		ret = run_all(type);
	put_all();
	return ret ?: count;
}

static int bare_show(struct seq_file *seq, void *unused)
{
	guard(mutex)(&bare_lock);
	seq_printf(seq, "devices=%zu groups=%zu release=%llu switch=%llu attach=%llu\n",
		   bare.nr_devs, bare.nr_groups, bare.release, bare.set, bare.attach);
	return 0;
}

static int bare_open(struct inode *inode, struct file *file)
{
	return single_open(file, bare_show, NULL);
}

static const struct file_operations bare_fops = {
	.owner = THIS_MODULE,
	.open = bare_open,
	.read = seq_read,
	.write = bare_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init bare_init(void)
{
	bare_file = debugfs_create_file("bare_calls", 0600, NULL, NULL, &bare_fops);
	return PTR_ERR_OR_ZERO(bare_file);
}
module_init(bare_init);

static void __exit bare_exit(void)
{
	debugfs_remove(bare_file);
}
module_exit(bare_exit);

MODULE_DESCRIPTION("Release, switch and attach, one after the other, timed");
MODULE_LICENSE("GPL");
