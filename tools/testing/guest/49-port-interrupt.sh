#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A root port in its device's group keeps its driver while the group changes, and its
# interrupts keep arriving: what is unplugged and plugged in below it afterwards goes
# and comes. On arm64 an MSI is a write that the IOMMU translates, to an address which
# the port was given under the domain that it had then.
#
# machines: vtd smmuv3
# also: virtio-iommu
# timeout: 180

. /lab/lib.sh
. /lab/tests/faults.sh

load_module
port=0000:00:03.4
nic=$(behind $port)
group=$(group_of $port)
boot=$(group_type "$group")
before=$(groups_now "$group")
check_eq "the port shares a group with its device" "$(group_of "$nic")" "$group"
check_eq "and has a driver that stays" "$(driver_of $port)" pcieport

# replug WHEN: out of the slot and in again; both need an interrupt of the port.
replug()
{
	if ! host device_del nic8 || ! wait_for 30 gone "$nic"; then
		not_ok "$1: what is below goes"
		return 1
	fi
	host wait_deleted nic8
	host device_add e1000e,id=nic8,netdev=nic8,mac=52:54:00:12:34:09,bus=rp12,addr=0.0,romfile= ||
		bail "cannot be plugged in again"
	if ! wait_for 30 bound "$nic"; then
		not_ok "$1: and comes back"
		return 1
	fi
	wait_nic "$nic" > /dev/null
	ok "$1: what is below goes and comes back"
}

replug "at first"
for type in identity DMA DMA-FQ; do
	t=$(txn_new "port-$type")
	stage "$t" "$group" $type
	check_eq "$type: commit" "$(write_errno "$t/commit" 1)" 0
	check_eq "$type: report" "$(report "$t")" ""
	check_eq "$type: it has it" "$(group_type "$group")" $type
	rmdir "$t"/*/ "$t"
	replug "$type"
	check_eq "$type: nothing else changed" "$(groups_now "$group")" \
		"$(echo "$before" | awk -v type=$type '{ $2 = type; print }')"
done

t=$(txn_new back)
stage "$t" "$group" "$boot"
check_eq "back" "$(write_errno "$t/commit" 1)" 0
rmdir "$t"/*/ "$t"
check_as_before "as before" "$before" "$group"
finish
