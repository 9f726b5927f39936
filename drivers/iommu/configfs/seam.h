/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_SEAM_H
#define _ICFG_SEAM_H

#include <linux/iommu.h>

#include "words.h"

/*
 * The seam between the transactions and the IOMMU core: find a group, read the
 * type of its default domain, and set it. Nothing on this side of the seam knows
 * how that is done on the other.
 */
struct icfg_seat;

/* The longest word that a group's type reads as, with its newline and NUL. */
#define ICFG_SEAT_WORD	16

int icfg_seam_init(void);
void icfg_seam_exit(void);

/**
 * icfg_group_by_id - the group with a number
 * @id: its number in /sys/kernel/iommu_groups
 *
 * Returns the group with a reference, or NULL where there is none or it has no
 * device.
 */
struct iommu_group *icfg_group_by_id(unsigned int id);

/**
 * icfg_seat_get - reach the type of a group
 * @group: the group; a reference is taken
 *
 * Returns the seat, to be given back with icfg_seat_put(), or an ERR_PTR:
 * -ENOENT where the core shows no type for this group, -ENOMEM.
 */
struct icfg_seat *icfg_seat_get(struct iommu_group *group);
void icfg_seat_put(struct icfg_seat *seat);

/**
 * icfg_seat_read - read the type as the core words it
 * @seat: the group's seat
 * @buf: ICFG_SEAT_WORD bytes for the word, its newline and a NUL
 *
 * May sleep (on the group's mutex, never on a device lock). Returns 0, or a
 * negative errno with "unknown" in @buf.
 */
int icfg_seat_read(struct icfg_seat *seat, char *buf);

/* The same as a type; ICFG_OTHER for what cannot be asked for. */
enum icfg_type icfg_seat_type(struct icfg_seat *seat);

/**
 * icfg_seat_set - give the group a default domain of another type
 * @seat: the group's seat
 * @type: ICFG_AUTO, ICFG_IDENTITY, ICFG_DMA or ICFG_DMA_FQ
 *
 * Needs every driver of the group released, but for DMA to DMA-FQ. The
 * caller has the capabilities that the core asks for, as kernel threads do.
 *
 * Return: 0 when the core took it, which does not mean that it was achieved:
 * read the type back. -EPERM: a driver or an owner has the group. -EINVAL: it
 * has no device, a driver wants another type, or the device is not trusted.
 * -EBUSY: a PCI reset is under way, try again. Any other errno comes from the
 * attach, and the core has restored the whole group.
 */
int icfg_seat_set(struct icfg_seat *seat, enum icfg_type type);

#endif /* _ICFG_SEAM_H */
