// SPDX-License-Identifier: GPL-2.0
/*
 * Device links between devices that a test names. A name is a PCI address, or
 * BUS/NAME with one of the buses below.
 *
 * Writing "CONSUMER SUPPLIER [WORD...]" to the file `link` makes a link; words are
 * autoprobe, autoremove_consumer, autoremove_supplier and stateless. A managed link
 * without autoremove lasts until one of its devices goes (that is the core's rule). A
 * device's knob `supplier` makes the usual kind, which a driver sets up in its probe.
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "edu_lab.h"

static const struct bus_type *const edu_buses[] = {
	&pci_bus_type,
	&platform_bus_type,
};

static const struct {
	const char *word;
	u32 flag;
} edu_link_words[] = {
	{ "autoprobe", DL_FLAG_AUTOPROBE_CONSUMER },
	{ "autoremove_consumer", DL_FLAG_AUTOREMOVE_CONSUMER },
	{ "autoremove_supplier", DL_FLAG_AUTOREMOVE_SUPPLIER },
	{ "stateless", DL_FLAG_STATELESS },
};

/* With a reference; NULL where there is none. */
struct device *edu_find(const char *name)
{
	const char *slash = strchr(name, '/');

	if (!slash)
		return bus_find_device_by_name(&pci_bus_type, NULL, name);
	for (int i = 0; i < ARRAY_SIZE(edu_buses); i++) {
		const struct bus_type *bus = edu_buses[i];

		if (strlen(bus->name) == slash - name &&
		    !strncmp(bus->name, name, slash - name))
			return bus_find_device_by_name(bus, NULL, slash + 1);
	}
	return NULL;
}

/* Links the device that is being probed to a supplier, as its driver would. */
int edu_link_supplier(struct device *consumer, const char *name)
{
	struct device *supplier __free(put_device) = edu_find(name);

	/* As a driver would say whose clock or regulator is not there yet. */
	if (!supplier || READ_ONCE(supplier->links.status) != DL_DEV_DRIVER_BOUND)
		return -EPROBE_DEFER;
	if (!device_link_add(consumer, supplier, DL_FLAG_AUTOREMOVE_CONSUMER))
		return -EINVAL;
	return 0;
}

static int edu_link(char *line)
{
	struct device *consumer __free(put_device) = NULL;
	struct device *supplier __free(put_device) = NULL;
	char *word;
	u32 flags = 0;
	int i;

	line = strim(line);
	word = strsep(&line, " ");
	consumer = edu_find(word);
	word = strsep(&line, " ");
	if (!word)
		return -EINVAL;
	supplier = edu_find(word);
	if (!consumer || !supplier)
		return -ENODEV;

	while ((word = strsep(&line, " "))) {
		for (i = 0; i < ARRAY_SIZE(edu_link_words); i++) {
			if (!strcmp(word, edu_link_words[i].word)) {
				flags |= edu_link_words[i].flag;
				break;
			}
		}
		if (i == ARRAY_SIZE(edu_link_words))
			return -EINVAL;
	}
	return device_link_add(consumer, supplier, flags) ? 0 : -EINVAL;
}

static ssize_t edu_link_write(struct file *file, const char __user *ubuf, size_t count,
			      loff_t *ppos)
{
	char *line __free(kfree) = memdup_user_nul(ubuf, min_t(size_t, count, 255));
	int ret;

	if (IS_ERR(line))
		return PTR_ERR(line);
	ret = edu_link(line);
	return ret ?: count;
}

static const struct file_operations edu_link_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = edu_link_write,
};

void edu_links_init(void)
{
	debugfs_create_file("link", 0200, edu_debugfs, NULL, &edu_link_fops);
}
