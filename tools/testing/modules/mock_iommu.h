/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An IOMMU that exists in memory only, devices behind it on the platform bus, and
 * a driver for them. It does what real hardware cannot be made to do: any number of
 * groups of any size, refusals and failures on request, counters of everything.
 *
 * The IOMMU translates: a device reads and writes memory through what is attached to
 * it, whatever the kernel believes, and its translation cache keeps an unmapped page
 * until it is flushed. So a probe finds out by itself under which type it runs.
 *
 * /sys/kernel/debug/mock_iommu/
 *
 *   create	w  "GROUPS DEVICES [WORD...]": so many groups of so many devices each.
 *		   Words: one of "full" (the default), "noidentity" (an IOMMU that has no
 *		   identity domain), "dynamic" (one that allocates identity domains each
 *		   time, so it may fail); one of "plain" (the default), "managed" (the
 *		   driver minds its own DMA), "fixed" (it forbids unbinding), "nodriver";
 *		   and KNOB=VALUE. Devices are mock.0, mock.1, ... in order of creation
 *		   (mock_managed.N and so on for other drivers); both numbers start anew
 *		   when nothing is left. Where one fails, those made before it by the same
 *		   write go again.
 *   join	w  "GROUP [WORD...]": one more device for that group of ours
 *   destroy	w  "all", "group:GROUP", or a device; like unplugging, at any time. A group
 *		   goes with its last device.
 *   set	w  "TARGET KNOB VALUE", the target being "all", "group:GROUP" or a device
 *		   (mock.3, or just 3)
 *   devices	r  "mock.3 group=0 iommu=17 unit=full driver=mock type=DMA found=DMA ..." a
 *		   line each: type is what is attached now, found is what the last probe
 *		   found out by using it; then counters, the order of events (see below),
 *		   and all knobs. iommu is -1 while a device comes or goes.
 *   groups	r  "0 iommu=17 devices=4 bound=4 type=DMA" a line each; type is that of
 *		   all devices, or "mixed"
 *   hang	rw a number N: of all removes, attaches and probes from now on the Nth waits
 *		   until the next write (0: none does), five minutes at most. Reads as
 *		   "DEVICE remove", "DEVICE attach" or "DEVICE probe" while one waits, else "-".
 *   unmap	rw "DEVICE [hold]": a page is mapped for that device and unmapped again; with
 *		   "hold" the unmap waits in the IOMMU driver until the next write ("-"
 *		   does no more than that), five minutes at most. Reads as "held" while
 *		   it waits; then as "reached" where the device still got at the page when
 *		   the unmap had returned, else as "gone".
 *		   "DEVICE burst": 600 pages, all but the first of them unmapped by one
 *		   CPU while another is in the middle of the flush for that first one; from
 *		   2047 pages of addresses (ENOSPC where there are not 600 left).
 *   stats	rw "WORD NUMBER" a line each, see mock_stat_names; a write sets all but
 *		   those of the present to 0
 *
 * Knobs of a device. What is counted down ("so many times") is for ever with -1.
 *
 *   probe_delay_ms, remove_delay_ms	probe or remove takes so much longer
 *   probe_hold, remove_hold		it waits while this is not 0 (five minutes at most)
 *   probe_errors, probe_errno		so many probes to come fail with that (5, EIO)
 *   probe_defers			so many probes to come end in EPROBE_DEFER; they go
 *					before those that fail
 *   dma				0: the driver does no DMA; else probe checks it, and
 *					remove checks that all is still there
 *   supplier				number of a device of ours that probes to come link
 *					to (they defer until it is bound); -1: none
 *   link_flags				with these DL_FLAG_* (2, AUTOREMOVE_CONSUMER)
 *   child				1: probe makes a child in the same group, and remove deletes
 *					it, as a PCI controller does with what is behind it:
 *					mock.10003 for mock.3; 2: with another name each time
 *   child_skips			so many probes to come make none all the same
 *   attach_delay_ms, attach_hold	attaching a domain takes longer, or waits
 *   attach_errors_identity,		so many times attaching a domain of that type fails;
 *   attach_errors_dma,			the device stays where it is then
 *   attach_errors_blocked
 *   attach_errno			with that (5, EIO)
 *   force				none, identity, DMA: all that the device takes; unmanaged:
 *					for a group whose type cannot be put back
 *   no_fq				1: no IOMMU_CAP_DEFERRED_FLUSH
 *   fq_breaks				1: the capability is gone as soon as it is needed, so
 *					that DMA-FQ comes out as DMA
 *   leave_hold				being unplugged waits while this is not 0 (five minutes
 *					at most): the bus has the device no more, but its group
 *					has. iommu-configfs, if loaded before, was told of it
 *					already
 *   direct				1: has a reserved region that must be mapped 1:1 all the
 *					time (for new devices, or from the next domain on; the core
 *					never forgets it)
 *
 * Knobs of a group; to set one for a device (not `owned`) sets it for its group.
 *
 *   alloc_errors			so many allocations of a paging domain fail
 *   identity_errors			so many allocations of an identity domain fail
 *					("dynamic" only; one knob for all groups, since
 *					not every kernel says for which group it is)
 *   alloc_errno			with that (12, ENOMEM)
 *   owned				1: owned as by user space (VFIO), with DMA blocked
 *
 * probe_at, probed_at, remove_at, removed_at, attach_at: when the device last began or
 * ended that, in numbers that each event anywhere raises by one.
 */
#ifndef MOCK_IOMMU_H
#define MOCK_IOMMU_H

#include <linux/atomic.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct device;
struct page;
struct platform_device;
struct seq_file;

enum mock_knob {
	MOCK_PROBE_DELAY,
	MOCK_REMOVE_DELAY,
	MOCK_PROBE_HOLD,
	MOCK_REMOVE_HOLD,
	MOCK_PROBE_ERRORS,
	MOCK_PROBE_ERRNO,
	MOCK_PROBE_DEFERS,
	MOCK_DMA,
	MOCK_SUPPLIER,
	MOCK_LINK_FLAGS,
	MOCK_CHILD,
	MOCK_CHILD_SKIPS,
	MOCK_ATTACH_DELAY,
	MOCK_ATTACH_HOLD,
	MOCK_ATTACH_IDENTITY,
	MOCK_ATTACH_DMA,
	MOCK_ATTACH_BLOCKED,
	MOCK_ATTACH_ERRNO,
	MOCK_FORCE,
	MOCK_NO_FQ,
	MOCK_FQ_BREAKS,
	MOCK_DIRECT,
	MOCK_LEAVE_HOLD,
	MOCK_DEV_KNOBS,
	MOCK_ALLOC_ERRORS = MOCK_DEV_KNOBS,
	MOCK_IDENTITY_ERRORS,
	MOCK_ALLOC_ERRNO,
	MOCK_OWNED,
	MOCK_KNOBS,
};

/* What happened, and from MOCK_NOW on how things are at present. */
enum mock_stat {
	MOCK_PROBES,
	MOCK_PROBES_FAILED,
	MOCK_REMOVES,
	MOCK_ATTACHES,
	MOCK_ATTACHES_FAILED,
	MOCK_DETACHES,
	MOCK_FAULTS,
	MOCK_LEAKS,
	MOCK_SYNCS,
	MOCK_FLUSHES,
	MOCK_PROBING_MAX,
	MOCK_REMOVING_MAX,
	MOCK_ATTACHING_MAX,
	MOCK_NOW,
	MOCK_PROBING = MOCK_NOW,
	MOCK_REMOVING,
	MOCK_ATTACHING,
	MOCK_LEAVING,
	MOCK_DEVICES,
	MOCK_GROUPS,
	MOCK_DOMAINS,
	MOCK_PAGES,
	MOCK_STATS,
};

enum mock_when {
	MOCK_PROBE_AT,
	MOCK_PROBED_AT,
	MOCK_REMOVE_AT,
	MOCK_REMOVED_AT,
	MOCK_ATTACH_AT,
	MOCK_WHENS,
};

/* The kinds of IOMMU, and of drivers; numbers of the tables in the .c files. */
enum mock_unit { MOCK_FULL, MOCK_NO_IDENTITY, MOCK_DYNAMIC, MOCK_UNITS };
enum mock_driver { MOCK_PLAIN, MOCK_MANAGED, MOCK_FIXED, MOCK_NO_DRIVER, MOCK_DRIVERS };

struct mock_group {
	struct list_head devs;		/* mock_lock */
	unsigned int index;
	atomic_t knobs[MOCK_KNOBS - MOCK_DEV_KNOBS];
	struct iommu_group *owned;	/* mock_make_lock */
};

struct mock_dev {
	struct list_head in_group;	/* mock_lock */
	struct mock_group *group;
	struct platform_device *pdev;
	struct mock_dev *parent;
	unsigned int id;
	enum mock_unit unit;
	bool live;			/* mock_lock; is in the core's group */

	/* The hardware: what DMA of this device goes through; mock_hw_lock. */
	struct iommu_domain *domain;
	struct list_head in_domain;
	bool lazy;			/* DMA-FQ was tried last, though it may be blocked by now */

	/* The driver's; one probe or remove at a time. */
	struct mock_dev *child;
	void *ring;
	dma_addr_t ring_dma;

	const char *dma;		/* what the last probe found; a constant */
	atomic_t knobs[MOCK_DEV_KNOBS];
	atomic_t probes;
	atomic_t removes;
	atomic_t attaches;
	u32 when[MOCK_WHENS];
};

/* What a new device is to be like. */
struct mock_spec {
	enum mock_unit unit;
	enum mock_driver driver;
	int knobs[MOCK_KNOBS];
};

/* mock_iommu_dev.c */
extern struct mutex mock_lock;
extern struct xarray mock_devs;
extern struct xarray mock_groups;
void mock_spec_init(struct mock_spec *spec);
struct mock_dev *to_mock_dev(struct device *dev);
int mock_create(unsigned int groups, unsigned int devices, const struct mock_spec *spec);
int mock_join(unsigned int index, const struct mock_spec *spec);
int mock_child_add(struct mock_dev *parent);
void mock_child_del(struct mock_dev *parent);
int mock_destroy(unsigned int id);
int mock_destroy_group(unsigned int index);
void mock_destroy_all(void);
int mock_own(unsigned int index, bool own);

/* mock_iommu_drv.c */
extern const char * const mock_driver_names[MOCK_DRIVERS];
int mock_drivers_init(void);
void mock_drivers_exit(void);

/* mock_iommu_hw.c */
extern const char * const mock_unit_names[MOCK_UNITS];
int mock_fwspec_init(struct device *dev, enum mock_unit unit);
int mock_hw_copy(struct mock_dev *mdev, dma_addr_t addr, void *buf, size_t len, bool write);
unsigned int mock_hw_queued(struct mock_dev *mdev);
const char *mock_hw_type(struct mock_dev *mdev);
int mock_hw_init(void);
void mock_hw_exit(void);

/* mock_iommu_domain.c */
extern const struct iommu_domain_ops mock_paging_ops;
extern struct iommu_domain mock_identity_domain;
extern struct iommu_domain mock_blocked_domain;
struct iommu_domain *mock_paging_alloc(struct device *dev);
struct iommu_domain *mock_identity_alloc(struct device *dev);
phys_addr_t mock_paging_translate(struct iommu_domain *domain, dma_addr_t iova);
unsigned int mock_paging_queued(struct iommu_domain *domain);
void mock_hw_detach(struct mock_dev *mdev);
extern spinlock_t mock_hw_lock;
extern struct page *mock_direct_page;

/* mock_iommu_knobs.c */
int mock_read(struct mock_dev *mdev, enum mock_knob knob);
bool mock_use_up(struct mock_dev *mdev, enum mock_knob knob);
bool mock_identity_fails(void);
void mock_wait(struct mock_dev *mdev, enum mock_knob hold);
void mock_pause(struct mock_dev *mdev, enum mock_knob delay, enum mock_knob hold);
void mock_count(enum mock_stat stat);
void mock_add(enum mock_stat stat, int n);
int mock_stat(enum mock_stat stat);
void mock_enter(enum mock_stat now, enum mock_stat max);
void mock_note(struct mock_dev *mdev, enum mock_when when);
int mock_knob_find(const char *name);
int mock_knob_value(enum mock_knob knob, const char *text, int *value);
int mock_spec_word(struct mock_spec *spec, char *word);
int mock_dev_number(const char *text, unsigned int *id);
int mock_set(const char *target, enum mock_knob knob, int value);
void mock_hang(unsigned int nth);
void mock_hang_show(struct seq_file *seq);
void mock_dev_show(struct seq_file *seq, struct mock_dev *mdev);
void mock_group_show(struct seq_file *seq, struct mock_group *group);
void mock_stats_show(struct seq_file *seq);
void mock_stats_reset(void);

/* mock_iommu_unmap.c */
int mock_unmap(unsigned int id, bool hold, bool burst);
void mock_unmap_let_go(void);
void mock_unmap_begins(void);
void mock_flush_begins(void);
const char *mock_unmap_result(void);

/* mock_iommu_files.c */
int mock_files_init(void);
void mock_files_exit(void);

#endif
