// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what is in use, where no virtual machine has it on every kernel: CXL
 * memory, as far as sysfs tells to which region it belongs.
 */
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "../icfg.h"
#include "../inuse.h"

/* What the attribute "region" of a decoder reads as. */
static const char *region;

static ssize_t region_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", region);
}

static ssize_t uport_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "0\n");
}

static DEVICE_ATTR_RO(region);
static DEVICE_ATTR_RO(uport);

static struct attribute *decoder_attrs[] = {
	&dev_attr_uport.attr,
	&dev_attr_region.attr,
	NULL
};
ATTRIBUTE_GROUPS(decoder);

static struct attribute *no_region_attrs[] = {
	&dev_attr_uport.attr,
	NULL
};
ATTRIBUTE_GROUPS(no_region);

static const struct bus_type cxl_bus = { .name = "cxl" };
static const struct device_type memdev_type = { .name = "cxl_memdev" };
static const struct device_type port_type = { .name = "cxl_port" };

static const struct device_type decoder_type = {
	.name	= "cxl_decoder_endpoint",
	.groups	= decoder_groups,
};

static const struct device_type no_region_type = {
	.name	= "cxl_decoder_endpoint",
	.groups	= no_region_groups,
};

/* CXL memory, and the decoder of its port. */
struct machine {
	struct device *mem;
	struct device *other;
	struct device *port;
	struct device *decoder;
};

static void release(struct device *dev)
{
	kfree(dev);
}

static struct device *add(struct kunit *test, const struct device_type *type,
			  const char *name, struct device *parent)
{
	struct device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dev);
	dev->bus = &cxl_bus;
	dev->type = type;
	dev->parent = parent;
	dev->release = release;
	device_initialize(dev);
	KUNIT_ASSERT_EQ(test, dev_set_name(dev, "%s", name), 0);
	KUNIT_ASSERT_EQ(test, device_add(dev), 0);
	return dev;
}

static int cxl_init(struct kunit *test)
{
	struct machine *m;

	/* There is one bus of that name. */
	if (IS_ENABLED(CONFIG_CXL_BUS))
		kunit_skip(test, "this kernel has CXL");
	m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_EQ(test, bus_register(&cxl_bus), 0);
	m->mem = add(test, &memdev_type, "mem0", NULL);
	m->other = add(test, &memdev_type, "mem1", NULL);
	m->port = add(test, &port_type, "endpoint2", NULL);
	m->decoder = add(test, &decoder_type, "decoder2.0", m->port);
	region = "";
	test->priv = m;
	return 0;
}

static void cxl_exit(struct kunit *test)
{
	struct machine *m = test->priv;

	if (!m)
		return;
	device_unregister(m->decoder);
	device_unregister(m->port);
	device_unregister(m->other);
	device_unregister(m->mem);
	bus_unregister(&cxl_bus);
}

/* The port is that of @mem. */
static void link_port(struct kunit *test, struct device *mem)
{
	struct machine *m = test->priv;

	sysfs_remove_link(&m->port->kobj, "uport");
	KUNIT_ASSERT_EQ(test, sysfs_create_link(&m->port->kobj, &mem->kobj, "uport"), 0);
}

static void belongs_to_a_region(struct kunit *test)
{
	struct machine *m = test->priv;
	char why[ICFG_WHY] = "";

	/* A port without a link, one of other memory, and the right one without a region. */
	region = "region3";
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->mem, why), 0);
	link_port(test, m->other);
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->mem, why), 0);
	link_port(test, m->mem);
	region = "";
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->mem, why), 0);
	KUNIT_EXPECT_STREQ(test, why, "");

	region = "region3";
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->mem, why), -EBUSY);
	KUNIT_EXPECT_STREQ(test, why,
			   "CXL memory mem0 belongs to region3: take its memory offline and destroy the region first");
	/* No memory, no region. */
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->other, why), 0);
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->decoder, why), 0);
}

/* What looks like it, but is not. */
static void looks_like_it(struct kunit *test)
{
	struct machine *m = test->priv;
	char why[ICFG_WHY] = "";
	struct device *odd;

	region = "region3";
	/* A name that is no link. */
	KUNIT_ASSERT_EQ(test, device_create_file(m->port, &dev_attr_uport), 0);
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->mem, why), 0);
	device_remove_file(m->port, &dev_attr_uport);

	/* A decoder that tells of no region, and one that has no port. */
	device_unregister(m->decoder);
	m->decoder = add(test, &no_region_type, "decoder2.1", m->port);
	link_port(test, m->mem);
	odd = add(test, &decoder_type, "decoder4.0", NULL);
	KUNIT_EXPECT_EQ(test, icfg_inuse_cxl(m->mem, why), 0);
	device_unregister(odd);
}

static struct kunit_case cxl_cases[] = {
	KUNIT_CASE(belongs_to_a_region),
	KUNIT_CASE(looks_like_it),
	{}
};

static struct kunit_suite cxl_suite = {
	.name		= "iommu-configfs-cxl",
	.init		= cxl_init,
	.exit		= cxl_exit,
	.test_cases	= cxl_cases,
};

kunit_test_suite(cxl_suite);
