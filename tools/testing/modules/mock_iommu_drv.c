// SPDX-License-Identifier: GPL-2.0
/*
 * The drivers of the mock IOMMU's devices; see mock_iommu.h for what they can be asked
 * to do. What a probe finds out about DMA it finds out by doing it: data goes from memory
 * through the device's translation and back; and once a page is unmapped, the device must
 * not get at it any more unless the flush was put off.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mock_iommu.h"

#define MOCK_LEN	256
#define MOCK_OFFSET	(PAGE_SIZE - MOCK_LEN)

const char * const mock_driver_names[MOCK_DRIVERS] = {
	[MOCK_PLAIN] = "mock",
	[MOCK_MANAGED] = "mock_managed",
	[MOCK_FIXED] = "mock_fixed",
	[MOCK_NO_DRIVER] = "mock_nodriver",
};

/* Both directions through what the driver got for its memory. */
static int round_trip(struct mock_dev *mdev, dma_addr_t addr, u8 *memory)
{
	u8 *buf __free(kfree) = kmalloc(MOCK_LEN, GFP_KERNEL);
	int ret;

	if (!buf)
		return -ENOMEM;
	get_random_bytes(memory, MOCK_LEN);
	ret = mock_hw_copy(mdev, addr, buf, MOCK_LEN, false);
	if (ret)
		return ret;
	if (memcmp(buf, memory, MOCK_LEN))
		return -EIO;
	for (int i = 0; i < MOCK_LEN; i++)
		buf[i] = ~buf[i];
	ret = mock_hw_copy(mdev, addr, buf, MOCK_LEN, true);
	if (ret)
		return ret;
	return memcmp(buf, memory, MOCK_LEN) ? -EIO : 0;
}

/* Was the flush of what we just unmapped put off? If not, it must be done by now. */
static bool is_lazy(struct mock_dev *mdev, dma_addr_t addr, unsigned int queued)
{
	u8 byte;

	/* Others of the group unmap as well, but all in the same way. */
	if (mock_hw_queued(mdev) != queued)
		return true;
	if (!mock_hw_copy(mdev, addr, &byte, 1, false))
		mock_count(MOCK_FAULTS);
	return false;
}

/* A page mapped for as long as one transfer takes. */
static int check_streaming(struct mock_dev *mdev)
{
	struct device *dev = &mdev->pdev->dev;
	struct page *page = alloc_page(GFP_KERNEL);
	unsigned int queued;
	dma_addr_t addr;
	int ret;

	if (!page)
		return -ENOMEM;
	addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, addr)) {
		__free_page(page);
		return -ENOMEM;
	}
	ret = round_trip(mdev, addr + MOCK_OFFSET, page_address(page) + MOCK_OFFSET);
	queued = mock_hw_queued(mdev);
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);

	if (addr == page_to_phys(page))
		WRITE_ONCE(mdev->dma, "identity");
	else if (is_lazy(mdev, addr + MOCK_OFFSET, queued))
		WRITE_ONCE(mdev->dma, "DMA-FQ");
	else
		WRITE_ONCE(mdev->dma, "DMA");
	__free_page(page);
	return ret;
}

/* What firmware gave the device, at the address at which firmware has it. */
static int check_direct(struct mock_dev *mdev)
{
	static DEFINE_MUTEX(lock);

	if (!mock_read(mdev, MOCK_DIRECT))
		return 0;
	guard(mutex)(&lock);
	return round_trip(mdev, page_to_phys(mock_direct_page), page_address(mock_direct_page));
}

/* Memory that the device keeps for as long as it is bound. */
static int start_ring(struct mock_dev *mdev)
{
	struct device *dev = &mdev->pdev->dev;
	int ret;

	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	mdev->ring = dma_alloc_coherent(dev, PAGE_SIZE, &mdev->ring_dma, GFP_KERNEL);
	if (!mdev->ring)
		return -ENOMEM;
	ret = round_trip(mdev, mdev->ring_dma, mdev->ring);
	if (!ret)
		ret = check_streaming(mdev);
	if (!ret)
		ret = check_direct(mdev);
	if (ret) {
		dev_err(dev, "DMA does not work: %d\n", ret);
		mock_count(MOCK_FAULTS);
		dma_free_coherent(dev, PAGE_SIZE, mdev->ring, mdev->ring_dma);
		mdev->ring = NULL;
	}
	return ret;
}

static void stop_ring(struct mock_dev *mdev)
{
	struct device *dev = &mdev->pdev->dev;

	if (!mdev->ring)
		return;
	if (round_trip(mdev, mdev->ring_dma, mdev->ring) || check_direct(mdev)) {
		dev_err(dev, "DMA works no more\n");
		mock_count(MOCK_FAULTS);
	}
	dma_free_coherent(dev, PAGE_SIZE, mdev->ring, mdev->ring_dma);
	mdev->ring = NULL;
}

/* As a driver that needs a clock of another device. */
static int link_supplier(struct mock_dev *mdev)
{
	struct device *supplier __free(put_device) = NULL;
	int id = mock_read(mdev, MOCK_SUPPLIER);
	struct mock_dev *other;

	if (id < 0)
		return 0;
	scoped_guard(mutex, &mock_lock) {
		other = xa_load(&mock_devs, id);
		if (other)
			supplier = get_device(&other->pdev->dev);
	}
	if (!supplier || READ_ONCE(supplier->links.status) != DL_DEV_DRIVER_BOUND)
		return -EPROBE_DEFER;
	return device_link_add(&mdev->pdev->dev, supplier, mock_read(mdev, MOCK_LINK_FLAGS)) ?
	       0 : -EINVAL;
}

static int start(struct platform_device *pdev, struct mock_dev *mdev)
{
	int ret;

	mock_pause(mdev, MOCK_PROBE_DELAY, MOCK_PROBE_HOLD);
	if (mock_use_up(mdev, MOCK_PROBE_DEFERS))
		return -EPROBE_DEFER;
	if (mock_use_up(mdev, MOCK_PROBE_ERRORS))
		return -mock_read(mdev, MOCK_PROBE_ERRNO);
	ret = link_supplier(mdev);
	if (ret)
		return ret;
	if (mock_read(mdev, MOCK_DMA) && !to_platform_driver(pdev->dev.driver)->driver_managed_dma)
		ret = start_ring(mdev);
	if (ret)
		return ret;
	ret = mock_child_add(mdev);
	if (ret)
		stop_ring(mdev);
	return ret;
}

static int mock_probe(struct platform_device *pdev)
{
	struct mock_dev *mdev = to_mock_dev(&pdev->dev);
	int ret;

	WRITE_ONCE(mdev->dma, "-");
	mock_enter(MOCK_PROBING, MOCK_PROBING_MAX);
	mock_note(mdev, MOCK_PROBE_AT);
	ret = start(pdev, mdev);
	mock_note(mdev, MOCK_PROBED_AT);
	mock_add(MOCK_PROBING, -1);
	mock_count(ret ? MOCK_PROBES_FAILED : MOCK_PROBES);
	if (!ret)
		atomic_inc(&mdev->probes);
	return ret;
}

static void mock_remove(struct platform_device *pdev)
{
	struct mock_dev *mdev = to_mock_dev(&pdev->dev);

	mock_enter(MOCK_REMOVING, MOCK_REMOVING_MAX);
	mock_note(mdev, MOCK_REMOVE_AT);
	mock_pause(mdev, MOCK_REMOVE_DELAY, MOCK_REMOVE_HOLD);
	mock_child_del(mdev);
	stop_ring(mdev);
	mock_note(mdev, MOCK_REMOVED_AT);
	mock_add(MOCK_REMOVING, -1);
	mock_count(MOCK_REMOVES);
	atomic_inc(&mdev->removes);
}

static struct platform_driver mock_plain_driver = {
	.driver.name = "mock",
	.probe = mock_probe,
	.remove = mock_remove,
};

static struct platform_driver mock_managed_driver = {
	.driver.name = "mock_managed",
	.probe = mock_probe,
	.remove = mock_remove,
	.driver_managed_dma = true,
};

static struct platform_driver mock_fixed_driver = {
	.driver.name = "mock_fixed",
	.driver.suppress_bind_attrs = true,
	.probe = mock_probe,
	.remove = mock_remove,
};

static struct platform_driver * const mock_drivers[] = {
	&mock_plain_driver, &mock_managed_driver, &mock_fixed_driver,
};

int mock_drivers_init(void)
{
	return platform_register_drivers(mock_drivers, ARRAY_SIZE(mock_drivers));
}

void mock_drivers_exit(void)
{
	platform_unregister_drivers(mock_drivers, ARRAY_SIZE(mock_drivers));
}
