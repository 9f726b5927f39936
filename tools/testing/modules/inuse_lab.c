// SPDX-License-Identifier: GPL-2.0
/*
 * Something below a PCI device that may be in use: made when the module is loaded,
 * gone when it is unloaded.
 *
 *	dev=ADDRESS	the PCI device, which must be bound
 *	kind=class:NAME	a device of a class of that name
 *	kind=bus:NAME	a device on a bus of that name
 *	kind=dma	a private DMA channel
 *	kind=mtd	an MTD device with a partition
 *	name=NAME	what the device of a class or bus is called
 *	client=1	take the DMA channel
 */
#include <linux/device.h>
#include <linux/dmaengine.h>
#include <linux/module.h>
#include <linux/mtd/mtd.h>
#include <linux/mtd/partitions.h>
#include <linux/pci.h>

static char *dev;
module_param(dev, charp, 0);
static char *kind;
module_param(kind, charp, 0);
static char *name = "lab0";
module_param(name, charp, 0);
static bool client;
module_param(client, bool, 0);

static struct device *parent;

/* A class, or a bus. */
static struct class *class;
static char bus_name[32];
static const struct bus_type bus = { .name = bus_name };
static struct device *below;

static int class_add(void)
{
	class = class_create(kind + strlen("class:"));
	if (IS_ERR(class))
		return PTR_ERR(class);
	below = device_create(class, parent, 0, NULL, "%s", name);
	if (IS_ERR(below)) {
		class_destroy(class);
		return PTR_ERR(below);
	}
	return 0;
}

static void class_del(void)
{
	device_unregister(below);
	class_destroy(class);
}

static void below_release(struct device *device)
{
	kfree(device);
}

static int bus_add(void)
{
	int ret;

	strscpy(bus_name, kind + strlen("bus:"));
	ret = bus_register(&bus);
	if (ret)
		return ret;
	below = kzalloc(sizeof(*below), GFP_KERNEL);
	if (!below) {
		bus_unregister(&bus);
		return -ENOMEM;
	}
	below->parent = parent;
	below->bus = &bus;
	below->release = below_release;
	ret = dev_set_name(below, "%s", name) ?: device_register(below);
	if (ret) {
		put_device(below);
		bus_unregister(&bus);
	}
	return ret;
}

static void bus_del(void)
{
	device_unregister(below);
	bus_unregister(&bus);
}

/* One private channel, which does nothing. */
static struct dma_device dma;
static struct dma_chan chan, *taken;

static int dma_alloc_chan(struct dma_chan *unused)
{
	return 1;
}

static enum dma_status dma_status(struct dma_chan *unused, dma_cookie_t cookie,
				  struct dma_tx_state *state)
{
	return DMA_COMPLETE;
}

static void dma_issue(struct dma_chan *unused)
{
}

static bool is_ours(struct dma_chan *candidate, void *unused)
{
	return candidate == &chan;
}

static int dma_add(void)
{
	int ret;

	dma.dev = parent;
	INIT_LIST_HEAD(&dma.channels);
	dma_cap_set(DMA_SLAVE, dma.cap_mask);
	dma_cap_set(DMA_PRIVATE, dma.cap_mask);
	dma.device_alloc_chan_resources = dma_alloc_chan;
	dma.device_tx_status = dma_status;
	dma.device_issue_pending = dma_issue;
	chan.device = &dma;
	list_add_tail(&chan.device_node, &dma.channels);
	ret = dma_async_device_register(&dma);
	if (ret || !client)
		return ret;
	taken = __dma_request_channel(&dma.cap_mask, is_ours, NULL, NULL);
	if (taken)
		return 0;
	dma_async_device_unregister(&dma);
	return -EBUSY;
}

static void dma_del(void)
{
	if (taken)
		dma_release_channel(taken);
	dma_async_device_unregister(&dma);
}

/* The MTD core counts the users of partitions only. */
static struct mtd_info mtd;
static const struct mtd_partition mtd_part = {
	.name = "inuse_lab", .size = MTDPART_SIZ_FULL,
};

static int mtd_add(void)
{
	mtd.name = "inuse_lab";
	mtd.type = MTD_RAM;
	mtd.flags = MTD_CAP_RAM;
	mtd.size = PAGE_SIZE;
	mtd.erasesize = PAGE_SIZE;
	mtd.writesize = 1;
	mtd.owner = THIS_MODULE;
	mtd.dev.parent = parent;
	return mtd_device_register(&mtd, &mtd_part, 1);
}

static void mtd_del(void)
{
	WARN_ON(mtd_device_unregister(&mtd));
}

static const struct {
	const char *name;
	int (*add)(void);
	void (*del)(void);
} kinds[] = {
	{ "class:", class_add, class_del },
	{ "bus:", bus_add, bus_del },
	{ "dma", dma_add, dma_del },
	{ "mtd", mtd_add, mtd_del },
};

static int kind_found;

static int __init inuse_init(void)
{
	int ret = -EINVAL;
	int i;

	parent = dev ? bus_find_device_by_name(&pci_bus_type, NULL, dev) : NULL;
	if (!parent)
		return -ENODEV;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kind && parent->driver && str_has_prefix(kind, kinds[i].name)) {
			kind_found = i;
			ret = kinds[i].add();
		}
	if (ret)
		put_device(parent);
	return ret;
}
module_init(inuse_init);

static void __exit inuse_exit(void)
{
	kinds[kind_found].del();
	put_device(parent);
}
module_exit(inuse_exit);

MODULE_DESCRIPTION("Test devices that may be in use");
MODULE_LICENSE("GPL");
