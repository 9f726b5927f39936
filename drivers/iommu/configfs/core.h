/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_CORE_H
#define _ICFG_CORE_H

#include <linux/iommu.h>
#include <linux/rcupdate_wait.h>

#include "icfg.h"

/*
 * What the module asks of the IOMMU core: find a group, read the type of its
 * default domain, and set it. core-sysfs.c does that on a stock kernel,
 * core-tree.c in a kernel tree; nothing else knows which one it is.
 */

/* The longest word that a group's type reads as, with its newline and NUL. */
#define ICFG_TYPE_WORD	16

int icfg_core_init(void);
void icfg_core_exit(void);

/**
 * icfg_core_group_by_id - the group with a number
 * @id: its number in /sys/kernel/iommu_groups
 *
 * Returns the group with a reference, or NULL where there is none or it has no
 * device.
 */
struct iommu_group *icfg_core_group_by_id(unsigned int id);

/**
 * icfg_core_read_type - read the type as the core words it
 * @group: the group; the caller has a reference
 * @buf: ICFG_TYPE_WORD bytes for the word, its newline and a NUL
 *
 * May sleep (on the group's mutex, never on a device lock). Returns 0, -ENOENT
 * where the core shows no type for this group, or another negative errno, with
 * "unknown" in @buf.
 */
int icfg_core_read_type(struct iommu_group *group, char *buf);

/* The same as a type; ICFG_OTHER for what cannot be asked for. */
enum icfg_type icfg_core_type(struct iommu_group *group);

/**
 * icfg_core_in_place - can the core change the type with drivers bound?
 * @from: the type that a group has
 * @to: the type that it is to get
 */
bool icfg_core_in_place(enum icfg_type from, enum icfg_type to);

/**
 * icfg_core_set_type - give the group a default domain of another type
 * @group: the group; the caller has a reference
 * @type: ICFG_AUTO, ICFG_IDENTITY, ICFG_DMA or ICFG_DMA_FQ
 *
 * Needs every driver of the group released, but for what icfg_core_in_place()
 * names. The caller has the capabilities that the core asks for, as kernel threads
 * do.
 *
 * Return: 0 when the core took it, which does not mean that it was achieved:
 * read the type back. -EPERM: a driver or an owner has the group. -EINVAL: it
 * has no device, a driver wants another type, or the device is not trusted.
 * -EBUSY: a PCI reset is under way, try again. Any other errno comes from the
 * attach, and the core has restored the whole group.
 */
int icfg_core_set_type(struct iommu_group *group, enum icfg_type type);

/* Has a driver the callbacks that pause and resume its DMA? */
bool icfg_core_can_pause(const struct device_driver *drv);

/**
 * icfg_core_pause - pause the driver of a device
 * @dev: the device, awake, with its lock held
 *
 * Returns 0, or a negative errno with the driver as it was before.
 */
int icfg_core_pause(struct device *dev);

/* The way back; a driver that fails here has to be unbound. */
int icfg_core_resume(struct device *dev);

/**
 * icfg_core_mappings - how much is mapped in the group's default domain
 * @group: the group, its drivers paused
 *
 * Returns the number of mappings, -ENODATA where nothing is translated, or -EBUSY
 * while another process works on the group.
 */
long icfg_core_mappings(struct iommu_group *group);

/**
 * icfg_core_set_paused_type - icfg_core_set_type() below paused drivers
 * @group: the group; the caller has a reference
 * @type: as there
 * @drivers: how many drivers of the group are paused
 * @now: where it returns 0, the type that the group has now
 *
 * Waits for no other process. Also returns -EBUSY while one works on the group,
 * -ENOTEMPTY where something is mapped, and -EPERM where another driver than those
 * uses the group.
 */
int icfg_core_set_paused_type(struct iommu_group *group, enum icfg_type type,
			      unsigned int drivers, enum icfg_type *now);

/* Does the DMA mask of a device, which is bound, cover all memory? */
bool icfg_core_reaches_memory(struct device *dev);

/* core-sysfs.c alone. Tests look for it, in a stack and in kallsyms. */
void icfg_core_wait_set_type(struct device *dev);

#ifndef ICFG_HAVE_RCU_EXPEDITE
/* Stock kernels export them, and declare them in kernel/rcu/rcu.h. */
#ifdef CONFIG_TINY_RCU
static inline void rcu_expedite_gp(void) { }
static inline void rcu_unexpedite_gp(void) { }
#else
void rcu_expedite_gp(void);
void rcu_unexpedite_gp(void);
#endif
#endif

#endif /* _ICFG_CORE_H */
