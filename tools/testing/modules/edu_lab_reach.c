// SPDX-License-Identifier: GPL-2.0
/*
 * Through how many addresses that were unmapped does a device still reach memory?
 *
 * Writing an edu device's address to the file `reach` starts a kernel thread that maps
 * some pages, has the device write to each of them, unmaps them, and has the device write
 * to the same addresses again. Then it waits until "-" is written, and has the device try
 * once more. The file reads "<mapped> <unmapped> <later> of <pages>": how
 * many pages were reached each time, "-" for what has not been tried yet.
 *
 * The pages stay allocated to the end, so the device does no harm. From the first unmap
 * to the end the CPU of the thread takes no softirq: the timer that flushes for an unmap
 * under DMA-FQ, which is armed on the CPU of the unmap, cannot run. The device must stay
 * bound meanwhile, and its group must have no other DMA.
 */
#include <linux/bottom_half.h>
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/processor.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "edu_lab.h"

/* Each takes 100 ms a time. */
#define EDU_PAGES	4

#define EDU_UNTOUCHED	0x55

static struct {
	struct mutex lock;		/* protects what follows, but for the counts */
	struct task_struct *task;
	struct pci_dev *pdev;
	void __iomem *regs;
	u8 *page[EDU_PAGES];
	dma_addr_t addr[EDU_PAGES];
	int mapped, unmapped, later;	/* pages reached; -1: not tried yet */
	bool go_on;
} edu_reach = {
	.lock = __MUTEX_INITIALIZER(edu_reach.lock),
	.mapped = -1,
	.unmapped = -1,
	.later = -1,
};

static int edu_count_reached(void)
{
	int i, count = 0;

	for (i = 0; i < EDU_PAGES; i++) {
		memset(edu_reach.page[i], EDU_UNTOUCHED, EDU_LEN);
		if (edu_dma_to_memory(edu_reach.regs, edu_reach.addr[i]))
			dev_err(&edu_reach.pdev->dev, "DMA does not end\n");
		count += !!memchr_inv(edu_reach.page[i], EDU_UNTOUCHED, EDU_LEN);
	}
	return count;
}

static int edu_reach_thread(void *unused)
{
	struct device *dev = &edu_reach.pdev->dev;
	int i, n;
	u64 end;

	for (n = 0; n < EDU_PAGES; n++) {
		edu_reach.addr[n] = dma_map_single(dev, edu_reach.page[n], EDU_LEN,
						   DMA_FROM_DEVICE);
		if (dma_mapping_error(dev, edu_reach.addr[n]))
			break;
	}
	if (n == EDU_PAGES)
		WRITE_ONCE(edu_reach.mapped, edu_count_reached());

	local_bh_disable();
	for (i = 0; i < n; i++)
		dma_unmap_single(dev, edu_reach.addr[i], EDU_LEN, DMA_FROM_DEVICE);
	if (n == EDU_PAGES) {
		WRITE_ONCE(edu_reach.unmapped, edu_count_reached());
		/* A test that died must not leave the machine hanging. */
		end = ktime_get_ns() + 15ULL * NSEC_PER_SEC;
		while (!READ_ONCE(edu_reach.go_on) && ktime_get_ns() < end)
			cpu_relax();
		WRITE_ONCE(edu_reach.later, edu_count_reached());
	}
	local_bh_enable();

	while (!kthread_should_stop())
		schedule_timeout_idle(HZ / 10);
	return 0;
}

static void edu_reach_end(void)
{
	int i;

	lockdep_assert_held(&edu_reach.lock);

	WRITE_ONCE(edu_reach.go_on, true);
	if (edu_reach.task)
		kthread_stop(edu_reach.task);
	edu_reach.task = NULL;
	if (edu_reach.regs) {
		pci_clear_master(edu_reach.pdev);
		pci_iounmap(edu_reach.pdev, edu_reach.regs);
	}
	edu_reach.regs = NULL;
	for (i = 0; i < EDU_PAGES; i++) {
		kfree(edu_reach.page[i]);
		edu_reach.page[i] = NULL;
	}
	pci_dev_put(edu_reach.pdev);
	edu_reach.pdev = NULL;
}

static int edu_reach_start(const char *name)
{
	struct device *dev = edu_find(name);
	struct task_struct *task;
	int i;

	lockdep_assert_held(&edu_reach.lock);

	if (!dev)
		return -ENODEV;
	edu_reach.pdev = to_pci_dev(dev);
	edu_reach.regs = pci_iomap(edu_reach.pdev, 0, 0);
	if (!edu_reach.regs)
		return -ENOMEM;
	for (i = 0; i < EDU_PAGES; i++) {
		edu_reach.page[i] = kmalloc(PAGE_SIZE, GFP_KERNEL);
		if (!edu_reach.page[i])
			return -ENOMEM;
	}
	WRITE_ONCE(edu_reach.mapped, -1);
	WRITE_ONCE(edu_reach.unmapped, -1);
	WRITE_ONCE(edu_reach.later, -1);
	edu_reach.go_on = false;
	pci_set_master(edu_reach.pdev);

	task = kthread_create(edu_reach_thread, NULL, "edu_lab_reach");
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* It spins: leave the first CPU to the rest. */
	kthread_bind(task, cpumask_last(cpu_online_mask));
	edu_reach.task = task;
	wake_up_process(task);
	return 0;
}

static ssize_t edu_reach_write(struct file *file, const char __user *ubuf, size_t count,
			       loff_t *ppos)
{
	char *name __free(kfree) = memdup_user_nul(ubuf, min_t(size_t, count, 255));
	int ret = 0;

	if (IS_ERR(name))
		return PTR_ERR(name);
	guard(mutex)(&edu_reach.lock);
	edu_reach_end();
	if (strcmp(strim(name), "-"))
		ret = edu_reach_start(strim(name));
	if (ret)
		edu_reach_end();
	return ret ?: count;
}

static int edu_print_count(char *text, size_t size, int count)
{
	return count < 0 ? scnprintf(text, size, "- ") : scnprintf(text, size, "%d ", count);
}

static ssize_t edu_reach_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	char text[64];
	int len = 0;

	len += edu_print_count(text + len, sizeof(text) - len, READ_ONCE(edu_reach.mapped));
	len += edu_print_count(text + len, sizeof(text) - len, READ_ONCE(edu_reach.unmapped));
	len += edu_print_count(text + len, sizeof(text) - len, READ_ONCE(edu_reach.later));
	len += scnprintf(text + len, sizeof(text) - len, "of %d\n", EDU_PAGES);
	return simple_read_from_buffer(buf, count, ppos, text, len);
}

static const struct file_operations edu_reach_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = edu_reach_read,
	.write = edu_reach_write,
};

void edu_reach_init(void)
{
	debugfs_create_file("reach", 0600, edu_debugfs, NULL, &edu_reach_fops);
}

void edu_reach_exit(void)
{
	guard(mutex)(&edu_reach.lock);
	edu_reach_end();
}
