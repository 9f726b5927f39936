#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What a person can do without the module: release all drivers of a group, write
# its sysfs type, bind them again. Proves the lab itself: groups of several
# devices switch, and the disk's data stays what it was.
#
# machines: vtd vtd-many virtio-iommu smmuv3 amd
# timeout: 90

. /lab/lib.sh

group=$(group_of disk)
disk_dev=$(disk_dev disk) || bail "no disk in the group"
before=$(drivers_of "$group")
boot_type=$(group_type "$group")

disk=$(disk_of "$disk_dev")
wrote=$(fill "$disk" 16 1)

check_eq "a bound group refuses" "$(write_errno "$SYS_GROUPS/$group/type" identity)" EPERM

for type in identity DMA DMA-FQ auto; do
	for pair in $before; do
		unbind "${pair%=*}"
	done
	check_eq "$type: the group takes it" "$(write_errno "$SYS_GROUPS/$group/type" "$type")" 0
	[ "$type" = auto ] || check_eq "$type: reads back" "$(group_type "$group")" "$type"
	for pair in $before; do
		bind "${pair%=*}" "${pair#*=}"
	done
	check_eq "$type: all drivers are back" "$(drivers_of "$group")" "$before"
	disk=$(wait_disk "$disk_dev") || bail "the disk did not come back"
	check_eq "$type: the disk holds what was written before" "$(sum "$disk" 16)" "$wrote"
	wrote=$(fill "$disk" 16 "$TAP_N")
	check_eq "$type: the disk takes new data" "$(sum "$disk" 16)" "$wrote"
done
check_eq "auto is what it was at boot" "$(group_type "$group")" "$boot_type"

finish
