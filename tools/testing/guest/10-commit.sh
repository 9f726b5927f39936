#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The main job: groups of several devices change in one commit, every driver is
# back, the data is what it was, in each type and back again.
#
# machines: vtd vtd-many virtio-iommu smmuv3 amd
# timeout: 120

. /lab/lib.sh

load_module
group=$(group_of disk)
disk_dev=$(disk_dev disk) || bail "no disk in the group"
drivers=$(drivers_of "$group")
boot=$(group_type "$group")
disk=$(disk_of "$disk_dev")
wrote=$(fill "$disk" 16 1)

check_eq "abi" "$(cat $CONFIGFS/abi)" 1
n=0
for type in identity DMA DMA-FQ auto; do
	generation=$(cat $CONFIGFS/generation)
	was=$(group_type "$group")
	n=$((n + 1))
	t=$(txn_new "t$n")
	check "$type: staged" stage "$t" "$group" "$type"
	check_eq "$type: current_type" "$(cat "$t/$group/current_type")" "$was"
	check_eq "$type: status" "$(status "$t" "$group")" staged
	check_eq "$type: state" "$(cat "$t/state")" staged
	check_eq "$type: progress" "$(cat "$t/progress")" "0 0"
	# Nobody opens the disk for two seconds on end, and the NICs are down.
	check_eq "$type: check" "$(write_errno "$t/check" 1)" 0
	check_eq "$type: check touches nothing" "$(cat $CONFIGFS/generation)" "$generation"
	check_eq "$type: commit" "$(write_errno "$t/commit" 1)" 0
	check_eq "$type: report" "$(report "$t")" ""
	check_eq "$type: committed" "$(cat "$t/state")" committed
	[ "$type" = auto ] || check_eq "$type: reads back" "$(group_type "$group")" "$type"
	check_eq "$type: all drivers are back" "$(drivers_of "$group")" "$drivers"
	disk=$(wait_disk "$disk_dev") || bail "the disk did not come back"
	check_eq "$type: the data is what it was" "$(sum "$disk" 16)" "$wrote"
	wrote=$(fill "$disk" 16 "$TAP_N")
	check_eq "$type: the disk takes new data" "$(sum "$disk" 16)" "$wrote"
	rmdir "$t/$group" "$t"
done

# auto above may have left any type.
t=$(txn_new back)
stage "$t" "$group" "$boot"
check_eq "back to the boot type" "$(write_errno "$t/commit" 1)" 0
rmdir "$t/$group" "$t"
check_eq "the type is that of the boot" "$(group_type "$group")" "$boot"

finish
