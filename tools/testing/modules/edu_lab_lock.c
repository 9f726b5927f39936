// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread that takes the lock of a device and keeps it, as a probe, a remove or
 * an error recovery that hangs would; see edu_lab.h. One at a time.
 */
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "edu_lab.h"

/* Protects edu_locker. */
static DEFINE_MUTEX(edu_lock_mutex);
static struct task_struct *edu_locker;
static DECLARE_COMPLETION(edu_locked);

static int edu_lock_thread(void *data)
{
	struct device *dev = data;

	device_lock(dev);
	complete(&edu_locked);
	/* A test that died must not leave the machine hanging. */
	for (int i = 0; !kthread_should_stop() && i < 3000; i++)
		schedule_timeout_idle(HZ / 10);
	device_unlock(dev);
	put_device(dev);

	while (!kthread_should_stop())
		schedule_timeout_idle(HZ / 10);
	return 0;
}

static void edu_lock_drop(void)
{
	lockdep_assert_held(&edu_lock_mutex);

	if (edu_locker)
		kthread_stop(edu_locker);
	edu_locker = NULL;
}

/* Returns when the lock is taken. */
static int edu_lock_take(const char *name)
{
	struct device *dev = edu_find(name);
	struct task_struct *task;

	lockdep_assert_held(&edu_lock_mutex);

	if (!dev)
		return -ENODEV;
	reinit_completion(&edu_locked);
	task = kthread_run(edu_lock_thread, dev, "edu_lab_lock");
	if (IS_ERR(task)) {
		put_device(dev);
		return PTR_ERR(task);
	}
	edu_locker = task;
	wait_for_completion(&edu_locked);
	return 0;
}

static ssize_t edu_lock_write(struct file *file, const char __user *ubuf, size_t count,
			      loff_t *ppos)
{
	char *name __free(kfree) = memdup_user_nul(ubuf, min_t(size_t, count, 255));
	char *word;
	int ret = 0;

	if (IS_ERR(name))
		return PTR_ERR(name);
	word = strim(name);
	guard(mutex)(&edu_lock_mutex);
	edu_lock_drop();
	if (strcmp(word, "-"))
		ret = edu_lock_take(word);
	return ret ?: count;
}

static const struct file_operations edu_lock_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = edu_lock_write,
};

void edu_lock_init(void)
{
	debugfs_create_file("lock", 0200, edu_debugfs, NULL, &edu_lock_fops);
}

void edu_lock_exit(void)
{
	guard(mutex)(&edu_lock_mutex);
	edu_lock_drop();
}
