// SPDX-License-Identifier: GPL-2.0
/*
 * An unmap that takes as long as a test wants, and what the device still reaches when it
 * has returned; see `unmap` in mock_iommu.h. The core decides before the unmap whether
 * its flush is put off, and may have to think better of it afterwards.
 */
#include <linux/bottom_half.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "mock_iommu.h"

/* One at a time. */
static DEFINE_MUTEX(mock_unmap_lock);

/* Who unmaps, and is it to wait? Read in unmaps of others as well. */
static struct task_struct *mock_unmapper;
static bool mock_unmap_hold;

static const char *mock_unmap_word = "-";
static DECLARE_WAIT_QUEUE_HEAD(mock_unmap_wait);

void mock_unmap_let_go(void)
{
	WRITE_ONCE(mock_unmap_hold, false);
	wake_up_all(&mock_unmap_wait);
}

/* Called in each unmap, of any domain, before it changes anything. */
void mock_unmap_begins(void)
{
	if (READ_ONCE(mock_unmapper) != current)
		return;
	if (READ_ONCE(mock_unmap_hold))
		WRITE_ONCE(mock_unmap_word, "held");
	/* A test that died must not leave the machine hanging. */
	wait_event_idle_timeout(mock_unmap_wait, !READ_ONCE(mock_unmap_hold), 300 * HZ);
	/*
	 * The timer that flushes later on is armed on this CPU, and is not to do so
	 * before the device has had its try.
	 */
	local_bh_disable();
}

const char *mock_unmap_result(void)
{
	return READ_ONCE(mock_unmap_word);
}

static int unmap_page(struct mock_dev *mdev)
{
	struct device *dev = &mdev->pdev->dev;
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t addr;
	bool reached;
	u8 byte;

	if (!page)
		return -ENOMEM;
	addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, addr) || addr == page_to_phys(page) ||
	    mock_hw_copy(mdev, addr, &byte, 1, false)) {
		/* Not translated, or it does not work. */
		if (!dma_mapping_error(dev, addr))
			dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
		__free_page(page);
		return -ENXIO;
	}
	WRITE_ONCE(mock_unmapper, current);
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
	WRITE_ONCE(mock_unmapper, NULL);
	reached = !mock_hw_copy(mdev, addr, &byte, 1, false);
	local_bh_enable();
	WRITE_ONCE(mock_unmap_word, reached ? "reached" : "gone");
	__free_page(page);
	return 0;
}

/* Returns when the page is unmapped. The device must stay bound until then. */
int mock_unmap(unsigned int id, bool hold)
{
	struct device *dev __free(put_device) = NULL;
	struct mock_dev *mdev;

	guard(mutex)(&mock_unmap_lock);
	scoped_guard(mutex, &mock_lock) {
		mdev = xa_load(&mock_devs, id);
		if (mdev)
			dev = get_device(&mdev->pdev->dev);
	}
	if (!dev || !dev->driver)
		return -ENODEV;
	WRITE_ONCE(mock_unmap_word, "-");
	WRITE_ONCE(mock_unmap_hold, hold);
	/* Let the timer run that the last unmap may have armed on another CPU. */
	msleep(50);
	return unmap_page(mdev);
}
