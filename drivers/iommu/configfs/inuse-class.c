// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of the table in inuse.c: devices of one class or bus each, except block
 * devices and CXL memory.
 *
 * Each test is handed a device of its class or bus, and returns 0, -EBUSY with
 * the reason and what to do next, or -EAGAIN for a use that may end soon. The
 * structs are those of public headers, so that no module which may be absent has
 * to be loaded. Where a struct belongs to the driver and not to the device in
 * sysfs, the row is marked as locked: inuse.c holds the lock of the bound device
 * above, so that the driver stays.
 */
#include <linux/device.h>
#include <linux/dmaengine.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mtd/mtd.h>
#include <linux/netdevice.h>
#include <linux/vfio.h>
#include <linux/watchdog.h>

#include <drm/drm_device.h>
#include <drm/drm_file.h>

#include "inuse.h"

/* Is a module loaded, or going? One that is built in may not be found. */
static bool is_loaded(const char *name)
{
#ifdef MODULE
	struct kset *modules = THIS_MODULE->mkobj.kobj.kset;
#else
	struct kset *modules = module_kset;
#endif
	struct kobject *module = kset_find_obj(modules, name);

	kobject_put(module);
	return module;
}

int icfg_inuse_net(struct device *dev, char *why)
{
	if (!netif_running(to_net_dev(dev)))
		return 0;
	snprintf(why, ICFG_WHY, "network interface %s is up: take it down first",
		 netdev_name(to_net_dev(dev)));
	return -EBUSY;
}

int icfg_inuse_rdma_storage(struct device *dev, char *why)
{
	static const struct {
		const char *name;
		bool builtin;
	} modules[] = {
		{ "nvme_rdma", IS_BUILTIN(CONFIG_NVME_RDMA) },
		{ "rpcrdma", IS_BUILTIN(CONFIG_SUNRPC_XPRT_RDMA) },
		{ "rtrs_client", IS_BUILTIN(CONFIG_INFINIBAND_RTRS_CLIENT) },
		{ "rtrs_server", IS_BUILTIN(CONFIG_INFINIBAND_RTRS_SERVER) },
		{ "nvmet_rdma", IS_BUILTIN(CONFIG_NVME_TARGET_RDMA) },
		{ "ib_isert", IS_BUILTIN(CONFIG_INFINIBAND_ISERT) },
		{ "ib_srpt", IS_BUILTIN(CONFIG_INFINIBAND_SRPT) },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(modules); i++) {
		if (!modules[i].builtin && !is_loaded(modules[i].name))
			continue;
		snprintf(why, ICFG_WHY,
			 "storage may go through InfiniBand device %s: unload module %s first",
			 dev_name(dev), modules[i].name);
		return -EBUSY;
	}
	return 0;
}

/*
 * Any mount of the type counts: which one goes through which device only the
 * file system knows. remove() waits until user space has unmounted all of them,
 * or leaves them dead.
 */
static int is_mounted(struct device *dev, const char *name, bool builtin,
		      char *why)
{
	struct file_system_type *type;
	bool mounted;

	/* Looking a type up loads its module. Without it there is no mount. */
	if (!builtin && !is_loaded(name))
		return 0;
	type = get_fs_type(name);
	if (!type)
		return 0;
	mounted = !hlist_empty(&type->fs_supers);
	module_put(type->owner);
	if (!mounted)
		return 0;

	snprintf(why, ICFG_WHY,
		 "a %s file system is mounted, perhaps through %s: unmount it first",
		 name, dev_name(dev));
	return -EBUSY;
}

int icfg_inuse_9p(struct device *dev, char *why)
{
	return is_mounted(dev, "9p", IS_BUILTIN(CONFIG_9P_FS), why);
}

int icfg_inuse_virtiofs(struct device *dev, char *why)
{
	return is_mounted(dev, "virtiofs", IS_BUILTIN(CONFIG_VIRTIO_FS), why);
}

/*
 * The MTD core counts the users of partitions, and those of a whole device only
 * where it is kept beside its partitions. A partition that is open may be closed
 * soon: udev looks at each.
 */
int icfg_inuse_mtd(struct device *dev, char *why)
{
	/* The read-only twin, mtd0ro, is a device alone. */
	if (!icfg_inuse_is_type(dev, "mtd") ||
	    kref_read(&container_of(dev, struct mtd_info, dev)->refcnt) <= 1)
		return 0;
	snprintf(why, ICFG_WHY, "MTD device %s is open: close it first",
		 dev_name(dev));
	return -EAGAIN;
}

int icfg_inuse_watchdog(struct device *dev, char *why)
{
	struct watchdog_device *wdd = dev_get_drvdata(dev);

	if (!watchdog_active(wdd))
		return 0;
	snprintf(why, ICFG_WHY, "watchdog %s is active: stop it first",
		 dev_name(dev));
	return -EBUSY;
}

int icfg_inuse_vfio(struct device *dev, char *why)
{
	struct vfio_device *vfio = container_of(dev, struct vfio_device, device);

	if (!READ_ONCE(vfio->open_count))
		return 0;
	snprintf(why, ICFG_WHY, "VFIO device %s is open: stop its user first",
		 dev_name(vfio->dev));
	return -EBUSY;
}

/* Drivers make auxiliary devices of other names for themselves. */
int icfg_inuse_subfunction(struct device *dev, char *why)
{
	if (!strstr(dev_name(dev), ".sf."))
		return 0;
	snprintf(why, ICFG_WHY,
		 "subfunction %s would be destroyed: remove it first (devlink port del)",
		 dev_name(dev));
	return -EBUSY;
}

int icfg_inuse_drm(struct device *dev, char *why)
{
	struct drm_minor *minor = dev_get_drvdata(dev);

	/* A connector is of the same class. */
	if (!icfg_inuse_is_type(dev, "drm_minor") && !icfg_inuse_is_type(dev, "accel_minor"))
		return 0;
	if (!atomic_read(&minor->dev->open_count))
		return 0;
	snprintf(why, ICFG_WHY, "DRM device %s is open: stop its users first",
		 dev_name(dev));
	return -EBUSY;
}

/* Clients of channels that are not private give them up when a channel is removed. */
int icfg_inuse_dma(struct device *dev, char *why)
{
	struct dma_chan *chan;

	chan = container_of(dev, struct dma_chan_dev, device)->chan;
	if (!chan || !READ_ONCE(chan->client_count) ||
	    !dma_has_cap(DMA_PRIVATE, chan->device->cap_mask))
		return 0;
	snprintf(why, ICFG_WHY,
		 "DMA channel %s has a client: unbind the client's driver first",
		 dev_name(dev));
	return -EBUSY;
}
