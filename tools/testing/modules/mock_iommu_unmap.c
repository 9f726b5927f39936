// SPDX-License-Identifier: GPL-2.0
/*
 * An unmap that takes as long as a test wants, and what the device still reaches when it
 * has returned; see `unmap` in mock_iommu.h. The core decides before the unmap whether
 * its flush is put off, and may have to think better of it afterwards. And many of them
 * while another CPU flushes.
 */
#include <linux/bottom_half.h>
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

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

/* More than two rings of a flush queue; and how much room there is for them, so that
 * what is lost is missed soon.
 */
#define MOCK_BURST	600
#define MOCK_BURST_MASK	DMA_BIT_MASK(23)

/* How far is the flush that takes its time? */
enum mock_flush { FLUSH_NONE, FLUSH_DUE, FLUSH_HELD };

static int mock_flush;

struct mock_burst {
	struct work_struct first;
	struct device *dev;
	dma_addr_t addr[MOCK_BURST];
};

/* Called in each flush of a whole domain, in the timer as well. */
void mock_flush_begins(void)
{
	int ms = 60 * MSEC_PER_SEC;

	if (cmpxchg(&mock_flush, FLUSH_DUE, FLUSH_HELD) != FLUSH_DUE)
		return;
	while (READ_ONCE(mock_flush) == FLUSH_HELD && ms--)
		mdelay(1);
}

/* Unmaps one page, and keeps this CPU from leaving the timer for that to another one. */
static void burst_first(struct work_struct *work)
{
	struct mock_burst *burst = container_of(work, struct mock_burst, first);
	int ms = 10 * MSEC_PER_SEC;

	dma_unmap_page(burst->dev, burst->addr[0], PAGE_SIZE, DMA_TO_DEVICE);
	while (READ_ONCE(mock_flush) == FLUSH_DUE && ms--)
		mdelay(1);
}

/* Unmaps the rest while the timer flushes on the other CPU. */
static long burst_rest(void *data)
{
	struct mock_burst *burst = data;
	int ms, i;

	for (ms = 0; READ_ONCE(mock_flush) == FLUSH_DUE && ms < 10 * MSEC_PER_SEC; ms++)
		usleep_range(1000, 2000);
	for (i = 1; i < MOCK_BURST; i++)
		dma_unmap_page(burst->dev, burst->addr[i], PAGE_SIZE, DMA_TO_DEVICE);
	return xchg(&mock_flush, FLUSH_NONE) == FLUSH_HELD ? 0 : -ETIME;
}

static int burst_map(struct mock_burst *burst, struct page *page)
{
	int i;

	for (i = 0; i < MOCK_BURST; i++) {
		burst->addr[i] = dma_map_page(burst->dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
		if (dma_mapping_error(burst->dev, burst->addr[i]))
			break;
	}
	if (i == MOCK_BURST)
		return 0;
	while (i--)
		dma_unmap_page(burst->dev, burst->addr[i], PAGE_SIZE, DMA_TO_DEVICE);
	return -ENOSPC;
}

static int unmap_burst(struct mock_dev *mdev)
{
	struct mock_burst *burst __free(kfree) = kzalloc(sizeof(*burst), GFP_KERNEL);
	unsigned int cpu = cpumask_first(cpu_online_mask);
	unsigned int other = cpumask_next(cpu, cpu_online_mask);
	struct page *page;
	int ret;

	if (other >= nr_cpu_ids)
		return -ENXIO;
	page = alloc_page(GFP_KERNEL);
	if (!burst || !page) {
		ret = -ENOMEM;
		goto out_free;
	}
	burst->dev = &mdev->pdev->dev;
	ret = burst_map(burst, page);
	if (ret)
		goto out_free;
	WRITE_ONCE(mock_flush, FLUSH_DUE);
	INIT_WORK(&burst->first, burst_first);
	schedule_work_on(cpu, &burst->first);
	ret = work_on_cpu(other, burst_rest, burst);
	flush_work(&burst->first);
out_free:
	if (page)
		__free_page(page);
	return ret;
}

/* Returns when the page is unmapped. The device must stay bound until then. */
int mock_unmap(unsigned int id, bool hold, bool burst)
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
	if (burst) {
		u64 mask = dma_get_mask(dev);
		int ret = dma_set_mask(dev, MOCK_BURST_MASK) ?: unmap_burst(mdev);

		dma_set_mask(dev, mask);
		return ret;
	}
	return unmap_page(mdev);
}
