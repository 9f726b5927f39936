/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A driver for QEMU's edu device (1234:11e8) that does on request what real
 * drivers do at the worst moment: takes its time, fails, defers, forbids
 * unbinding, depends on another device, has children.
 *
 * What it is asked to do is kept by device name, apart from the device, so that it can be
 * set while nothing is bound, and survives unbinding and unplugging:
 *
 * /sys/kernel/debug/edu_lab/
 *   events			what happened, in order; a write empties it
 *   link			write "CONSUMER SUPPLIER [WORD...]", see edu_lab_links.c
 *   lock			write a device's name, as in `link`: a kernel thread takes its
 *				device_lock(), and keeps it until the next write ("-" takes
 *				none), five minutes at most
 *   reach			write a device's address, see edu_lab_reach.c
 *   <device>/
 *     probe_delay_ms		probe takes so much longer
 *     remove_delay_ms		remove likewise
 *     probe_hold		probe waits while this is not 0 (five minutes at most); no
 *				signal ends it
 *     remove_hold		remove likewise
 *     probe_defers		so many probes to come end in EPROBE_DEFER; -1: all
 *     probe_errors		so many probes to come fail; -1: all
 *     probe_errno		what they fail with (5, EIO)
 *     dma			0: do not try DMA in probe
 *     stray			1: after that probe has the device write to a page that was
 *				never mapped for it: an IOMMU fault, but not under identity
 *     child			1: probe makes a child device, which has a driver, too
 *     disk			1: probe makes a RAM disk, eduSLOT; a remove that is held has
 *				it still
 *     supplier			the probes to come link to this device
 *     doing			"probe", "remove" or "-": what the driver is in right now
 *     dma_bits			the DMA mask of edu_lab_pause (0: 64)
 *     pause_hold		the pause of edu_lab_pause waits while this is not 0
 *     resume_hold		its resume likewise
 *     pause_errors		so many pauses to come fail; -1: all
 *     resume_errors		so many resumes
 *     pause_keeps		1: a pause leaves the driver's page mapped
 *     pauses			how many pauses ended well
 *     probes, removes		how many of them ended well
 *     probe_noio, remove_noio	1: the last one ran under memalloc_noio_save()
 */
#ifndef EDU_LAB_H
#define EDU_LAB_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/types.h>

struct auxiliary_device;
struct dentry;
struct device;
struct gendisk;
struct pci_dev;
struct pci_device_id;

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

struct edu_knobs {
	struct list_head node;		/* edu_knobs_lock; never leaves before exit */
	struct dentry *dir;
	char name[32];
	char supplier[64];		/* edu_knobs_lock */
	const char *doing;		/* written by the one that probes or removes */
	u32 probe_delay_ms;
	u32 remove_delay_ms;
	u32 probe_hold;
	u32 remove_hold;
	u32 probe_errno;
	u32 dma;
	u32 stray;
	u32 child;
	u32 disk;
	struct gendisk *gendisk;	/* of the probe that made it */
	u32 dma_bits;
	u32 pause_hold;
	u32 resume_hold;
	u32 pause_keeps;
	atomic_t pause_errors;
	atomic_t resume_errors;
	atomic_t pauses;
	void *page;			/* of edu_lab_pause, for the device to see */
	dma_addr_t page_dma;
	u32 probe_noio;
	u32 remove_noio;
	atomic_t probe_defers;
	atomic_t probe_errors;
	atomic_t probes;
	atomic_t removes;
};

extern struct dentry *edu_debugfs;

/* edu_lab_knobs.c */
struct edu_knobs *edu_knobs_get(const char *name);
void edu_knobs_supplier(struct edu_knobs *knobs, char *buf, size_t size);
void edu_pause(u32 delay_ms, const u32 *hold);
bool edu_use_up(atomic_t *count);
void edu_event(const struct device *dev, const char *what, int err);
int edu_knobs_init(void);
void edu_knobs_exit(void);

/* edu_lab_dma.c */
/* Half of the device's buffer: QEMU up to 7.2 takes the last byte for out of bounds. */
#define EDU_LEN		2048

int edu_dma_check(struct pci_dev *pdev, bool stray);
int edu_dma_to_memory(void __iomem *regs, dma_addr_t addr);

/* edu_lab_main.c */
int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id);
void edu_remove(struct pci_dev *pdev);

/* edu_lab_pause.c */
#ifdef EDU_HAVE_PAUSE
extern struct pci_driver edu_pause_driver;

int edu_pause_start(struct pci_dev *pdev, struct edu_knobs *knobs);
void edu_page_free(struct device *dev, struct edu_knobs *knobs);
#else
static inline void edu_page_free(struct device *dev, struct edu_knobs *knobs) {}
#endif

/* edu_lab_disk.c */
struct gendisk *edu_disk_add(struct pci_dev *pdev);
void edu_disk_del(struct gendisk *disk);

/* edu_lab_links.c */
struct device *edu_find(const char *name);
int edu_link_supplier(struct device *consumer, const char *supplier);
void edu_links_init(void);

/* edu_lab_lock.c */
void edu_lock_init(void);
void edu_lock_exit(void);

/* edu_lab_reach.c */
void edu_reach_init(void);
void edu_reach_exit(void);

#endif
