// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listing the managed device links: whoever unbinds a supplier unbinds its
 * consumers, on any bus and without a word, so a commit has to know them
 * beforehand.
 *
 * The driver core keeps the lists to itself, but each link is also a device of
 * the class "devlink", and a reference on that device keeps both ends. Owns
 * the pointer to the class, set once when the module loads; the class itself
 * lives as long as the kernel.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "kunit.h"
#include "links.h"

static const struct class *link_class;

/**
 * icfg_links_init - learn the class of device links
 *
 * The class is not exported: make a link between two devices of our own and
 * look at it. Returns 0 or a negative errno.
 */
int icfg_links_init(void)
{
	struct device *supplier, *consumer;
	struct device_link *link;
	int ret = 0;

	supplier = root_device_register("iommu-configfs-supplier");
	if (IS_ERR(supplier))
		return PTR_ERR(supplier);

	consumer = root_device_register("iommu-configfs-consumer");
	if (IS_ERR(consumer)) {
		ret = PTR_ERR(consumer);
		goto out_supplier;
	}

	link = device_link_add(consumer, supplier, DL_FLAG_STATELESS);
	if (link) {
		link_class = link->link_dev.class;
		device_link_del(link);
	} else {
		ret = -ENOMEM;
	}

	root_device_unregister(consumer);
out_supplier:
	root_device_unregister(supplier);
	return ret;
}

static int count_link(struct device *dev, void *data)
{
	(*(size_t *)data)++;
	return 0;
}

struct link_list {
	struct icfg_links *links;
	size_t room;
};

static int list_link(struct device *dev, void *data)
{
	struct device_link *link = container_of(dev, struct device_link,
						link_dev);
	u32 flags = READ_ONCE(link->flags);
	struct link_list *list = data;
	struct icfg_link *next;

	/* A stateless link binds nobody, and a sync-state link only waits. */
	if (!(flags & DL_FLAG_MANAGED) || (flags & DL_FLAG_SYNC_STATE_ONLY))
		return 0;
	if (list->links->count == list->room)
		return -EAGAIN;

	next = &list->links->links[list->links->count++];
	next->supplier = get_device(link->supplier);
	next->consumer = get_device(link->consumer);
	next->goes = flags & DL_FLAG_AUTOREMOVE_SUPPLIER;
	return 0;
}

static int by_supplier(const void *a, const void *b)
{
	const struct icfg_link *first = a, *second = b;

	return first->supplier < second->supplier ? -1 :
	       first->supplier > second->supplier;
}

/**
 * icfg_links_list - list the managed device links of the machine
 * @links: filled in; free with icfg_links_free()
 * @gfp: GFP_KERNEL, and whether it may fail
 *
 * Returns 0 or -ENOMEM. A link that comes while the list is made may be in it
 * or not.
 */
int icfg_links_list(struct icfg_links *links, gfp_t gfp)
{
	struct link_list list = { .links = links };
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(icfg_links_list, links, gfp);

	*links = (struct icfg_links){};

	do {
		icfg_links_free(links);
		list.room = 0;
		class_for_each_device(link_class, NULL, &list.room, count_link);
		/* Some room for those that come before the second look. */
		list.room += 16;
		links->links = kvcalloc(list.room, sizeof(*links->links), gfp);
		if (!links->links)
			return -ENOMEM;
		ret = class_for_each_device(link_class, NULL, &list, list_link);
	} while (ret == -EAGAIN);

	sort(links->links, links->count, sizeof(*links->links), by_supplier,
	     NULL);
	return ret;
}

/**
 * icfg_links_of - the links to one supplier
 * @links: the links of the machine
 * @supplier: the supplier
 * @count: how many there are
 *
 * Returns the first of them; the others follow it.
 */
const struct icfg_link *icfg_links_of(const struct icfg_links *links,
				      const struct device *supplier,
				      size_t *count)
{
	size_t first = 0, end = links->count, middle;

	while (first < end) {
		middle = first + (end - first) / 2;
		if (links->links[middle].supplier < supplier)
			first = middle + 1;
		else
			end = middle;
	}
	while (end < links->count && links->links[end].supplier == supplier)
		end++;

	*count = end - first;
	return links->links + first;
}

void icfg_links_free(struct icfg_links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++) {
		put_device(links->links[i].supplier);
		put_device(links->links[i].consumer);
	}
	kvfree(links->links);
	*links = (struct icfg_links){};
}
