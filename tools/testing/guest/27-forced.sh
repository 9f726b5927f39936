#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# An IOMMU that cannot pass DMA through: its driver wants DMA for every device,
# which rules identity and DMA-FQ out, and decides "auto" beforehand.
#
# machines: vtd-translate
# timeout: 90

. /lab/lib.sh

load_module
group=$(group_of disk)
dev=$(dev disk 0)
dev2=$(dev disk 1)
was=$(group_type "$group")
before=$(drivers_of "$group")
t=$(txn_new forced)
mkdir "$t/$group"
check_eq "devices tell what they need" "$(cat "$t/$group/devices")" "pci $dev nvme DMA
pci $dev2 e1000e DMA"
for type in identity DMA-FQ; do
	echo $type > "$t/$group/type"
	for action in check commit; do
		check_eq "$type: $action" "$(write_errno "$t/$action" 1)" EINVAL
		check_match "$type: $action names a device and its type" "$(report "$t")" \
			"^$group ($dev|$dev2) check EINVAL .*\<DMA\>"
		check_match "$type: and the group's status does" "$(sed 1d "$t/$group/status")" \
			"^$group ($dev|$dev2) check EINVAL .*\<DMA\>"
	done
	check_eq "$type: nothing touched" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
done

# It goes before a disk in use, and that is reported, too (not of DMA-FQ, which
# would go in place and leave the disk alone).
echo identity > "$t/$group/type"
disk=$(wait_disk "$dev")
pid=$(hold_open "/dev/$disk" excl)
check_eq "in use besides" "$(write_errno "$t/check" 1)" EINVAL
check_match "is reported" "$(report "$t")" "^$group $dev check EBUSY .*$disk"

# What the driver forces decides auto, and DMA is what the group has already.
check_eq "the group has DMA" "$was" DMA
for type in auto DMA; do
	echo $type > "$t/$group/type"
	check_eq "$type: check of a disk in use" "$(write_errno "$t/check" 1) $(report "$t")" "0 "
done
echo auto > "$t/$group/type"
check_eq "auto: commit" "$(write_errno "$t/commit" 1) $(status "$t" "$group")" "0 unchanged"
let_go "$pid"
txn_end "$t"
finish
