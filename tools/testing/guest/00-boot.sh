#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The machine is what its file says: the IOMMU translates, and each named group
# holds these devices with these drivers and no other.
#
# machines: vtd vtd-many virtio-iommu smmuv3 amd noiommu
# timeout: 60

. /lab/lib.sh

# It reports to the kernel log, which must have nothing of it in any test.
check "the runtime monitor of transactions is on" \
	grep -qs '^iommu_txn\>' /sys/kernel/tracing/rv/enabled_monitors /proc/modules

machine=$(tr ' ' '\n' < /proc/cmdline | sed -n 's/^lab.machine=//p')

if [ "$machine" = noiommu ]; then
	check_eq "there is no IOMMU" "$(ls /sys/class/iommu | wc -l)" 0
	check_eq "there is no group" "$(ls "$SYS_GROUPS" 2>/dev/null | wc -l)" 0
	finish
fi

check "an IOMMU is there" sh -c "ls /sys/class/iommu | grep -q ."

machine_groups > /tmp/groups
while read -r name pairs; do
	group=$(group_of "$name")
	check_eq "group $name ($group) has its devices and drivers" \
		"$(drivers_of "$group")" "$pairs"
	check_match "group $name ($group) is translated" "$(group_type "$group")" '^DMA(-FQ)?$'
done < /tmp/groups

finish
