// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a stock kernel's IOMMU core lets a module do: it exports no way to find a
 * group by its number, nor one to set a default domain.
 *
 * The type is set and read by the store and show methods of the group's own sysfs
 * file `type`, called in place. No path is looked up, so mounts and mount
 * namespaces do not matter.
 *
 * A group can only be had from one of its devices, and looking at every device of
 * a large machine for each group that is staged would take long. So a look at all
 * devices leaves a hint for each group: one of its devices. A device that is
 * removed takes its hint with it.
 *
 * index_lock protects the hints. It is taken inside of configfs' locks and
 * around the bus's own, for a look at all devices at most. The removal of a
 * device takes it where no I/O may be begun, so no memory is waited for below it.
 * setting_lock is held for moments.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "core.h"

/*
 * A group for which DMA-FQ is asked. The core looks whether there is a default domain
 * before it takes the group's mutex, and uses it after, for DMA-FQ only: the last
 * device must not leave the group in between.
 */
struct setting {
	struct list_head node;
	struct iommu_group *group;
};

static LIST_HEAD(settings);
static DEFINE_SPINLOCK(setting_lock);
static DECLARE_WAIT_QUEUE_HEAD(setting_done);

/* The sysfs file `type` of a group. */
struct type_file {
	struct kobject *kobj;
	struct kernfs_node *node;
};

/*
 * The group's directory stays while the caller has a reference to the group.
 * Found by name, as the list of all groups can be long.
 */
static int open_type_file(struct iommu_group *group, struct type_file *file)
{
	struct kernfs_node *all, *dir = NULL;
	char name[12];

	snprintf(name, sizeof(name), "%d", iommu_group_id(group));
	all = kernfs_find_and_get(kernel_kobj->sd, "iommu_groups");
	if (all)
		dir = kernfs_find_and_get(all, name);
	kernfs_put(all);
	if (!dir)
		return -ENOENT;

	file->kobj = dir->priv;
	file->node = sysfs_get_dirent(dir, "type");
	kernfs_put(dir);
	return file->node ? 0 : -ENOENT;
}

static void close_type_file(struct type_file *file)
{
	sysfs_put(file->node);
}

static ssize_t show_type(struct iommu_group *group, char *page)
{
	struct type_file file;
	ssize_t len;

	len = open_type_file(group, &file);
	if (len)
		return len;

	len = get_ktype(file.kobj)->sysfs_ops->show(file.kobj, file.node->priv,
						    page);
	close_type_file(&file);
	return len;
}

/*
 * sysfs_emit() insists on a page, and a revert must not fail for lack of one: some are
 * kept from the start. Each is in use for a moment only.
 */
#define TYPE_PAGES	4
static mempool_t *type_pages;

int icfg_core_read_type(struct iommu_group *group, char *buf)
{
	struct page *page = mempool_alloc(type_pages, GFP_KERNEL);
	char *text = page_address(page);
	ssize_t len;

	len = show_type(group, text);
	if (len >= ICFG_TYPE_WORD)
		len = -EOVERFLOW;
	strscpy(buf, len > 0 ? text : "unknown\n", ICFG_TYPE_WORD);
	mempool_free(page, type_pages);
	return len < 0 ? len : 0;
}

enum icfg_type icfg_core_type(struct iommu_group *group)
{
	char word[ICFG_TYPE_WORD];
	enum icfg_type type;

	icfg_core_read_type(group, word);
	type = icfg_type_from_word(word, strlen(word));
	return type == ICFG_AUTO ? ICFG_OTHER : type;
}

static bool is_being_set(struct iommu_group *group)
{
	struct setting *setting;
	bool found = false;

	scoped_guard(spinlock, &setting_lock)
		list_for_each_entry(setting, &settings, node)
			found |= setting->group == group;
	return found;
}

/*
 * Wait while DMA-FQ is asked for the group of a device that begins to leave it. A switch
 * of another group, which may hang, is not waited for.
 */
void icfg_core_wait_set_type(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);

	if (!group)
		return;
	wait_event(setting_done, !is_being_set(group));
	iommu_group_put(group);
}

/*
 * Will @dev be here as long as its group is among the settings? device_del() removes
 * this file before it notifies the bus that the device is removed, and so before
 * icfg_core_wait_set_type(). With the group's mutex held, which keeps a member's
 * directory.
 */
static int stays(struct device *dev, void *data)
{
	struct kernfs_node *node = kernfs_find_and_get(dev->kobj.sd, "uevent");

	kernfs_put(node);
	return !!node;
}

static int store_type(struct iommu_group *group, enum icfg_type type)
{
	const char *word = icfg_type_word(type);
	struct type_file file;
	ssize_t ret;

	ret = open_type_file(group, &file);
	if (ret)
		return ret;

	ret = get_ktype(file.kobj)->sysfs_ops->store(file.kobj, file.node->priv,
						     word, strlen(word));
	close_type_file(&file);
	return ret < 0 ? ret : 0;
}

/* The way back needs another domain. */
bool icfg_core_in_place(enum icfg_type from, enum icfg_type to)
{
	return from == ICFG_DMA && to == ICFG_DMA_FQ;
}

int icfg_core_set_type(struct iommu_group *group, enum icfg_type type)
{
	struct setting setting = { .group = group };
	int ret;

	if (type != ICFG_DMA_FQ)
		return store_type(group, type);

	scoped_guard(spinlock, &setting_lock)
		list_add(&setting.node, &settings);

	/* What the core answers for a group that is left without device. */
	if (iommu_group_for_each_dev(group, NULL, stays))
		ret = store_type(group, type);
	else
		ret = -EINVAL;

	scoped_guard(spinlock, &setting_lock)
		list_del(&setting.node);
	wake_up_all(&setting_done);
	return ret;
}

/* A stock kernel changes no domain below a driver, and none asks for that. */
bool icfg_core_can_pause(const struct device_driver *drv)
{
	return false;
}

int icfg_core_pause(struct device *dev)
{
	return -EOPNOTSUPP;
}

int icfg_core_resume(struct device *dev)
{
	return -EOPNOTSUPP;
}

long icfg_core_mappings(struct iommu_group *group)
{
	return -EOPNOTSUPP;
}

int icfg_core_set_paused_type(struct iommu_group *group, enum icfg_type type,
			      unsigned int drivers, enum icfg_type *now)
{
	return -EOPNOTSUPP;
}

bool icfg_core_reaches_memory(struct device *dev)
{
	return false;
}

static DEFINE_MUTEX(index_lock);
/* A device of a group, with a reference, by the group's number. */
static DEFINE_XARRAY(hints);

static void drop_hint(unsigned int id)
{
	lockdep_assert_held(&index_lock);

	put_device(xa_erase(&hints, id));
}

/* The group that the hint leads to, if it has not changed since. */
static struct iommu_group *follow_hint(unsigned int id)
{
	struct device *dev = xa_load(&hints, id);
	struct iommu_group *group;

	lockdep_assert_held(&index_lock);

	if (!dev)
		return NULL;
	group = iommu_group_get(dev);
	if (group && (unsigned int)iommu_group_id(group) == id)
		return group;
	iommu_group_put(group);
	drop_hint(id);
	return NULL;
}

struct search {
	unsigned int id;
	struct iommu_group *found;
};

static int leave_hint(struct device *dev, void *data)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct search *search = data;
	unsigned int id;

	if (!group)
		return 0;
	id = iommu_group_id(group);

	/* Without memory for the hint, the next call looks at all devices again. */
	if (!xa_load(&hints, id) &&
	    !xa_err(xa_store(&hints, id, dev, GFP_NOIO)))
		get_device(dev);

	if (id == search->id && !search->found)
		search->found = group;
	else
		iommu_group_put(group);
	return 0;
}

struct iommu_group *icfg_core_group_by_id(unsigned int id)
{
	struct search search = { .id = id };

	guard(mutex)(&index_lock);

	search.found = follow_hint(id);
	if (!search.found)
		icfg_buses_visit(leave_hint, &search);
	return search.found;
}

/*
 * Ahead of the IOMMU core, which takes the device out of its group then, unless
 * it has done so before, with the IOMMU itself. The bus has the device no more: a
 * look at all devices will not find it again.
 */
static int forget_device(struct notifier_block *nb, unsigned long action,
			 void *data)
{
	struct device *hint;
	unsigned long id;

	if (action != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;

	icfg_core_wait_set_type(data);

	guard(mutex)(&index_lock);
	xa_for_each(&hints, id, hint)
		if (hint == data)
			drop_hint(id);
	return NOTIFY_DONE;
}

static struct notifier_block forget_blocks[ICFG_BUSES_MAX];

int icfg_core_init(void)
{
	int ret;

	type_pages = mempool_create_page_pool(TYPE_PAGES, 0);
	if (!type_pages)
		return -ENOMEM;
	ret = icfg_buses_watch(forget_blocks, forget_device, 1);
	if (ret)
		mempool_destroy(type_pages);
	return ret;
}

void icfg_core_exit(void)
{
	struct device *dev;
	unsigned long id;

	icfg_buses_unwatch(forget_blocks);
	xa_for_each(&hints, id, dev)
		put_device(dev);
	xa_destroy(&hints);
	mempool_destroy(type_pages);
}
