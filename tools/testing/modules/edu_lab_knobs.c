// SPDX-License-Identifier: GPL-2.0
/*
 * The knobs of each device by name, and the list of events; see edu_lab.h.
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "edu_lab.h"

struct dentry *edu_debugfs;

/* The list of knobs, and the text in `supplier`. */
static DEFINE_MUTEX(edu_knobs_lock);
static LIST_HEAD(edu_knobs_list);

struct edu_event {
	struct list_head node;
	ktime_t time;
	int err;
	const char *what;
	char device[32];
	char driver[32];
};

/* Events, oldest first. */
static DEFINE_MUTEX(edu_events_lock);
static LIST_HEAD(edu_events);

void edu_event(const struct device *dev, const char *what, int err)
{
	struct edu_event *event = kzalloc(sizeof(*event), GFP_KERNEL);

	if (!event)
		return;
	event->time = ktime_get();
	event->what = what;
	event->err = err;
	strscpy(event->device, dev_name(dev));
	strscpy(event->driver, dev_driver_string(dev));
	guard(mutex)(&edu_events_lock);
	list_add_tail(&event->node, &edu_events);
}

static void edu_events_clear(void)
{
	struct edu_event *event, *next;

	guard(mutex)(&edu_events_lock);
	list_for_each_entry_safe(event, next, &edu_events, node) {
		list_del(&event->node);
		kfree(event);
	}
}

/* "<ms> <device> <driver> <what> <err>" */
static int edu_events_show(struct seq_file *seq, void *unused)
{
	struct edu_event *event;

	guard(mutex)(&edu_events_lock);
	list_for_each_entry(event, &edu_events, node)
		seq_printf(seq, "%lld %s %s %s %d\n", ktime_to_ms(event->time),
			   event->device, event->driver, event->what, event->err);
	return 0;
}

static int edu_events_open(struct inode *inode, struct file *file)
{
	return single_open(file, edu_events_show, NULL);
}

static ssize_t edu_events_write(struct file *file, const char __user *buf, size_t count,
				loff_t *ppos)
{
	edu_events_clear();
	return count;
}

static const struct file_operations edu_events_fops = {
	.owner = THIS_MODULE,
	.open = edu_events_open,
	.read = seq_read,
	.write = edu_events_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static ssize_t edu_supplier_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	struct edu_knobs *knobs = file->private_data;
	char text[sizeof(knobs->supplier) + 1];
	int len;

	scoped_guard(mutex, &edu_knobs_lock)
		len = scnprintf(text, sizeof(text), "%s\n", knobs->supplier);
	return simple_read_from_buffer(buf, count, ppos, text, len);
}

static ssize_t edu_supplier_write(struct file *file, const char __user *buf, size_t count,
				  loff_t *ppos)
{
	struct edu_knobs *knobs = file->private_data;
	char text[sizeof(knobs->supplier)] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	guard(mutex)(&edu_knobs_lock);
	strscpy(knobs->supplier, strim(text));
	return count;
}

static const struct file_operations edu_supplier_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = edu_supplier_read,
	.write = edu_supplier_write,
};

void edu_knobs_supplier(struct edu_knobs *knobs, char *buf, size_t size)
{
	guard(mutex)(&edu_knobs_lock);
	strscpy(buf, knobs->supplier, size);
}

static ssize_t edu_doing_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	struct edu_knobs *knobs = file->private_data;
	char text[16];
	int len = scnprintf(text, sizeof(text), "%s\n", READ_ONCE(knobs->doing));

	return simple_read_from_buffer(buf, count, ppos, text, len);
}

static const struct file_operations edu_doing_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = edu_doing_read,
};

static void edu_knobs_files(struct edu_knobs *knobs)
{
	struct dentry *dir = debugfs_create_dir(knobs->name, edu_debugfs);

	knobs->dir = dir;
	debugfs_create_u32("probe_delay_ms", 0600, dir, &knobs->probe_delay_ms);
	debugfs_create_u32("remove_delay_ms", 0600, dir, &knobs->remove_delay_ms);
	debugfs_create_u32("probe_hold", 0600, dir, &knobs->probe_hold);
	debugfs_create_u32("remove_hold", 0600, dir, &knobs->remove_hold);
	debugfs_create_u32("probe_errno", 0600, dir, &knobs->probe_errno);
	debugfs_create_u32("dma", 0600, dir, &knobs->dma);
	debugfs_create_u32("stray", 0600, dir, &knobs->stray);
	debugfs_create_u32("child", 0600, dir, &knobs->child);
	debugfs_create_u32("disk", 0600, dir, &knobs->disk);
	debugfs_create_u32("dma_bits", 0600, dir, &knobs->dma_bits);
	debugfs_create_u32("pause_hold", 0600, dir, &knobs->pause_hold);
	debugfs_create_u32("resume_hold", 0600, dir, &knobs->resume_hold);
	debugfs_create_u32("pause_keeps", 0600, dir, &knobs->pause_keeps);
	debugfs_create_atomic_t("pause_errors", 0600, dir, &knobs->pause_errors);
	debugfs_create_atomic_t("resume_errors", 0600, dir, &knobs->resume_errors);
	debugfs_create_atomic_t("pauses", 0400, dir, &knobs->pauses);
	debugfs_create_u32("probe_noio", 0400, dir, &knobs->probe_noio);
	debugfs_create_u32("remove_noio", 0400, dir, &knobs->remove_noio);
	debugfs_create_atomic_t("probe_defers", 0600, dir, &knobs->probe_defers);
	debugfs_create_atomic_t("probe_errors", 0600, dir, &knobs->probe_errors);
	debugfs_create_atomic_t("probes", 0400, dir, &knobs->probes);
	debugfs_create_atomic_t("removes", 0400, dir, &knobs->removes);
	debugfs_create_file("supplier", 0600, dir, knobs, &edu_supplier_fops);
	debugfs_create_file("doing", 0400, dir, knobs, &edu_doing_fops);
}

/* The knobs of that name, made where there are none yet; NULL without memory. */
struct edu_knobs *edu_knobs_get(const char *name)
{
	struct edu_knobs *knobs;

	guard(mutex)(&edu_knobs_lock);
	list_for_each_entry(knobs, &edu_knobs_list, node)
		if (!strcmp(knobs->name, name))
			return knobs;
	knobs = kzalloc(sizeof(*knobs), GFP_KERNEL);
	if (!knobs)
		return NULL;
	strscpy(knobs->name, name);
	knobs->doing = "-";
	knobs->probe_errno = EIO;
	knobs->dma = 1;
	edu_knobs_files(knobs);
	list_add_tail(&knobs->node, &edu_knobs_list);
	return knobs;
}

/* Takes the time that the knobs want. */
void edu_pause(u32 delay_ms, const u32 *hold)
{
	if (delay_ms)
		msleep(delay_ms);
	/* A test that died must not leave the machine hanging. */
	for (int i = 0; READ_ONCE(*hold) && i < 30000; i++)
		usleep_range(9000, 10000);
}

/* One of so many times; negative: each time. */
bool edu_use_up(atomic_t *count)
{
	return atomic_read(count) < 0 || atomic_dec_if_positive(count) >= 0;
}

int edu_knobs_init(void)
{
	edu_debugfs = debugfs_create_dir("edu_lab", NULL);
	if (IS_ERR(edu_debugfs))
		return PTR_ERR(edu_debugfs);
	debugfs_create_file("events", 0600, edu_debugfs, NULL, &edu_events_fops);
	return 0;
}

void edu_knobs_exit(void)
{
	struct edu_knobs *knobs, *next;

	debugfs_remove_recursive(edu_debugfs);
	list_for_each_entry_safe(knobs, next, &edu_knobs_list, node)
		kfree(knobs);
	edu_events_clear();
}
