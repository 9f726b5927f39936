// SPDX-License-Identifier: GPL-2.0
/*
 * A small RAM disk below an edu device, for what happens to a disk while its
 * driver is being unbound. See edu_lab.h.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vmalloc.h>

#include "edu_lab.h"

#define EDU_DISK_SIZE	(8 << 20)

static void edu_disk_submit(struct bio *bio)
{
	char *at = bio->bi_bdev->bd_disk->private_data +
		   (bio->bi_iter.bi_sector << SECTOR_SHIFT);
	struct bvec_iter iter;
	struct bio_vec vec;

	/* The block layer lets nothing through that is beyond the end. */
	bio_for_each_segment(vec, bio, iter) {
		if (op_is_write(bio_op(bio)))
			memcpy_from_bvec(at, &vec);
		else
			memcpy_to_bvec(&vec, at);
		at += vec.bv_len;
	}
	bio_endio(bio);
}

static void edu_disk_free(struct gendisk *disk)
{
	vfree(disk->private_data);
}

static const struct block_device_operations edu_disk_ops = {
	.owner = THIS_MODULE,
	.submit_bio = edu_disk_submit,
	.free_disk = edu_disk_free,
};

struct gendisk *edu_disk_add(struct pci_dev *pdev)
{
	struct gendisk *disk = blk_alloc_disk(NULL, NUMA_NO_NODE);
	int ret = -ENOMEM;

	if (IS_ERR(disk))
		return disk;
	snprintf(disk->disk_name, sizeof(disk->disk_name), "edu%x", pci_dev_id(pdev));
	disk->fops = &edu_disk_ops;
	disk->private_data = vzalloc(EDU_DISK_SIZE);
	if (!disk->private_data)
		goto out;
	set_capacity(disk, EDU_DISK_SIZE >> SECTOR_SHIFT);
	ret = device_add_disk(&pdev->dev, disk, NULL);
	if (!ret)
		return disk;
	vfree(disk->private_data);
	disk->private_data = NULL;
out:
	put_disk(disk);
	return ERR_PTR(ret);
}

void edu_disk_del(struct gendisk *disk)
{
	del_gendisk(disk);
	put_disk(disk);
}
