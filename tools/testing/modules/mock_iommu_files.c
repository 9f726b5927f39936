// SPDX-License-Identifier: GPL-2.0
/*
 * The files in debugfs by which tests use the mock IOMMU; see mock_iommu.h.
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mock_iommu.h"

/* More than a line in `devices` has. */
#define MOCK_LINE	1024

static struct dentry *mock_dir;

/* The next word of a line; NULL at its end. */
static char *next_word(char **line)
{
	char *word;

	do {
		word = strsep(line, " \t");
	} while (word && !*word);
	return word;
}

static int next_number(char **line, unsigned int *number)
{
	char *word = next_word(line);

	return word ? kstrtouint(word, 10, number) : -EINVAL;
}

static int read_spec(char *line, struct mock_spec *spec)
{
	char *word;
	int ret;

	mock_spec_init(spec);
	while ((word = next_word(&line))) {
		ret = mock_spec_word(spec, word);
		if (ret)
			return ret;
	}
	return 0;
}

static int do_create(char *line)
{
	unsigned int groups, devices;
	struct mock_spec spec;
	int ret;

	ret = next_number(&line, &groups) ?: next_number(&line, &devices) ?:
	      read_spec(line, &spec);
	return ret ?: mock_create(groups, devices, &spec);
}

static int do_join(char *line)
{
	struct mock_spec spec;
	unsigned int index;
	int ret;

	ret = next_number(&line, &index) ?: read_spec(line, &spec);
	return ret ?: mock_join(index, &spec);
}

static int do_destroy(char *line)
{
	char *word = next_word(&line);
	unsigned int id;

	if (!word || next_word(&line))
		return -EINVAL;
	if (!strcmp(word, "all")) {
		mock_destroy_all();
		return 0;
	}
	if (str_has_prefix(word, "group:"))
		return kstrtouint(word + strlen("group:"), 10, &id) ?: mock_destroy_group(id);
	return mock_dev_number(word, &id) ?: mock_destroy(id);
}

static int do_set(char *line)
{
	char *target = next_word(&line);
	char *name = next_word(&line);
	char *text = next_word(&line);
	int knob, value;
	int ret;

	if (!text || next_word(&line))
		return -EINVAL;
	knob = mock_knob_find(name);
	if (knob < 0)
		return -EINVAL;
	ret = mock_knob_value(knob, text, &value);
	return ret ?: mock_set(target, knob, value);
}

static int do_unmap(char *line)
{
	char *word = next_word(&line);
	char *how = next_word(&line);
	bool burst = how && !strcmp(how, "burst");
	unsigned int id;

	if (!word || next_word(&line) || (how && !burst && strcmp(how, "hold")))
		return -EINVAL;
	mock_unmap_let_go();
	if (!strcmp(word, "-"))
		return 0;
	return mock_dev_number(word, &id) ?: mock_unmap(id, how && !burst, burst);
}

static ssize_t mock_write(const char __user *ubuf, size_t count, int (*act)(char *line))
{
	char *line __free(kfree) = NULL;
	int ret;

	if (count >= PAGE_SIZE)
		return -E2BIG;
	line = memdup_user_nul(ubuf, count);
	if (IS_ERR(line))
		return PTR_ERR(no_free_ptr(line));
	ret = act(strim(line));
	return ret ?: count;
}

/* Each file that is written only has a function of its own. */
#define MOCK_ACTION(name)							\
static ssize_t name##_write(struct file *file, const char __user *ubuf,		\
			    size_t count, loff_t *ppos)				\
{										\
	return mock_write(ubuf, count, do_##name);				\
}										\
static const struct file_operations name##_fops = {				\
	.owner = THIS_MODULE,							\
	.open = simple_open,							\
	.write = name##_write,							\
}

MOCK_ACTION(create);
MOCK_ACTION(join);
MOCK_ACTION(destroy);
MOCK_ACTION(set);

static int unmap_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "%s\n", mock_unmap_result());
	return 0;
}

static int unmap_open(struct inode *inode, struct file *file)
{
	return single_open(file, unmap_show, NULL);
}

static ssize_t unmap_write(struct file *file, const char __user *ubuf, size_t count,
			   loff_t *ppos)
{
	return mock_write(ubuf, count, do_unmap);
}

static const struct file_operations unmap_fops = {
	.owner = THIS_MODULE,
	.open = unmap_open,
	.read = seq_read,
	.write = unmap_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int devices_show(struct seq_file *seq, void *unused)
{
	struct mock_dev *mdev;
	unsigned long id;

	guard(mutex)(&mock_lock);
	xa_for_each(&mock_devs, id, mdev)
		mock_dev_show(seq, mdev);
	return 0;
}

/* At once as much room as all lines take: growing to that means to begin again each time. */
static int devices_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, devices_show, NULL,
				(mock_stat(MOCK_DEVICES) + 1) * MOCK_LINE);
}

static const struct file_operations devices_fops = {
	.owner = THIS_MODULE,
	.open = devices_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

static int groups_show(struct seq_file *seq, void *unused)
{
	struct mock_group *group;
	unsigned long index;

	guard(mutex)(&mock_lock);
	xa_for_each(&mock_groups, index, group)
		if (!list_empty(&group->devs))
			mock_group_show(seq, group);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(groups);

static int stats_show(struct seq_file *seq, void *unused)
{
	mock_stats_show(seq);
	return 0;
}

static int stats_open(struct inode *inode, struct file *file)
{
	return single_open(file, stats_show, NULL);
}

static ssize_t stats_write(struct file *file, const char __user *ubuf, size_t count,
			   loff_t *ppos)
{
	mock_stats_reset();
	return count;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.open = stats_open,
	.read = seq_read,
	.write = stats_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int hang_show(struct seq_file *seq, void *unused)
{
	mock_hang_show(seq);
	return 0;
}

static int hang_open(struct inode *inode, struct file *file)
{
	return single_open(file, hang_show, NULL);
}

static ssize_t hang_write(struct file *file, const char __user *ubuf, size_t count,
			  loff_t *ppos)
{
	unsigned int nth;
	int ret = kstrtouint_from_user(ubuf, count, 10, &nth);

	if (ret)
		return ret;
	mock_hang(nth);
	return count;
}

static const struct file_operations hang_fops = {
	.owner = THIS_MODULE,
	.open = hang_open,
	.read = seq_read,
	.write = hang_write,
	.llseek = seq_lseek,
	.release = single_release,
};

int mock_files_init(void)
{
	mock_dir = debugfs_create_dir("mock_iommu", NULL);
	if (IS_ERR(mock_dir))
		return PTR_ERR(mock_dir);
	debugfs_create_file("create", 0200, mock_dir, NULL, &create_fops);
	debugfs_create_file("join", 0200, mock_dir, NULL, &join_fops);
	debugfs_create_file("destroy", 0200, mock_dir, NULL, &destroy_fops);
	debugfs_create_file("set", 0200, mock_dir, NULL, &set_fops);
	debugfs_create_file("devices", 0400, mock_dir, NULL, &devices_fops);
	debugfs_create_file("groups", 0400, mock_dir, NULL, &groups_fops);
	debugfs_create_file("stats", 0600, mock_dir, NULL, &stats_fops);
	debugfs_create_file("hang", 0600, mock_dir, NULL, &hang_fops);
	debugfs_create_file("unmap", 0600, mock_dir, NULL, &unmap_fops);
	return 0;
}

void mock_files_exit(void)
{
	debugfs_remove_recursive(mock_dir);
}
