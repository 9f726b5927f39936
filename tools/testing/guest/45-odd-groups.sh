#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Groups that are not just a few devices with the usual drivers: one without a
# driver, one by driver_override, one that minds its own DMA, a bridge, a port.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 150

. /lab/lib.sh
. /lab/tests/faults.sh

# there_and_back WHAT GROUP...: a commit to identity, then a rollback.
there_and_back()
{
	local what=$1 group found drivers
	shift
	found=$(groups_now "$@")
	t=$(txn_new odd)
	for group; do
		stage "$t" "$group" identity
	done
	check_eq "$what: commit" "$(write_errno "$t/commit" 1)" 0
	check_eq "$what: report" "$(report "$t")" ""
	check_eq "$what: types and drivers" "$(groups_now "$@")" \
		"$(echo "$found" | awk '{ $2 = "identity"; print }')"
	[ -z "$DISK" ] || wait_disk "$DISK" > /dev/null
	check_eq "$what: rollback" "$(write_errno "$t/rollback" 1)" 0
	check_as_before "$what: as before" "$found" "$@"
	[ -z "$DISK" ] || check "$what: the disk is back" wait_disk "$DISK"
	txn_end "$t"
}

DISK=
edu_setup

# A device without driver gets none, though there is one that would take it.
unbind "$b"
probes=$(edu_get "$b" probes)
there_and_back "one device without driver" "$edu"
check_eq "nobody probed it" "$(edu_get "$b" probes)" "$probes"
unbind "$a"
unbind "$c"
there_and_back "no device has a driver" "$edu"
check_eq "still nobody" "$(edu_get "$b" probes)" "$probes"
edu_mend

# driver_override: the driver that it had, whatever else would match.
override "$a" edu_lab_managed
override "$(dev disk3 1)" edu_lab
removes=$(edu_get "$a" removes)
DISK=$(disk_dev disk3)
there_and_back "driver_override" "$edu" "$(group_of disk3)"
check_eq "the driver is there again" "$(driver_of "$(dev disk3 1)")" edu_lab
check_eq "one that minds its own DMA stays all the time" "$(edu_get "$a" removes)" "$removes"
check_match "its group's file shows it" "$(mkdir $CONFIGFS/x $CONFIGFS/x/"$edu"; cat $CONFIGFS/x/"$edu"/devices)" \
	"^pci $a edu_lab_managed any$"
rmdir $CONFIGFS/x/"$edu" $CONFIGFS/x
override "$a" ""
override "$(dev disk3 1)" ""
wait_nic "$(dev disk3 1)" > /dev/null

# A driver that does not match its device any more would not bind again.
echo other > "/sys/bus/pci/devices/$b/driver_override"
found=$(groups_now "$edu")
t=$(txn_new other)
stage "$t" "$edu" identity
check_eq "a driver that would not bind again" "$(write_errno "$t/commit" 1)" EBUSY
check_report "is named" "$t" "^$edu $b check EBUSY .*edu_lab .*match"
check_as_before "and not unbound" "$found" "$edu"
txn_end "$t"
echo > "/sys/bus/pci/devices/$b/driver_override"

# Such a driver is restored as well.
override "$(dev disk3 1)" edu_lab
t=$(txn_new fails)
stage "$t" "$(group_of disk3)" identity
found=$(groups_now "$(group_of disk3)")
edu_set "$(dev disk3 1)" probe_errors 1
check_eq "an overridden driver that fails" "$(write_errno "$t/commit" 1)" ECANCELED
check_as_before "is restored" "$found" "$(group_of disk3)"
txn_end "$t"
override "$(dev disk3 1)" ""
wait_nic "$(dev disk3 1)" > /dev/null
edu_end

# What hangs off a conventional bridge or a switch, and others of some kind.
for name in bridge chipset virtio; do
	has_group $name || { skip "$name" "the machine has no such group"; continue; }
	DISK=$(disk_dev $name)
	there_and_back "$name" "$(group_of $name)"
done

# A port whose driver minds its own DMA stays, and what is below changes.
port=0000:00:03.4
if [ -e /sys/bus/pci/devices/$port ]; then
	nic=$(behind $port)
	check_eq "a port in its device's group" "$(group_of "$nic")" "$(group_of $port)"
	DISK=
	there_and_back "a port" "$(group_of $port)"
	check_eq "the port has its driver" "$(driver_of $port)" pcieport
	wait_nic "$nic" > /dev/null
else
	skip "a port in its device's group" "the machine has none"
fi

# Both paths of a disk at once.
DISK=$(dev path0 0)
there_and_back "two paths" "$(group_of path0)" "$(group_of path1)"

# Everything at once.
DISK=$(disk_dev disk)
all=
for name in disk disk2 disk3 bridge chipset virtio vfio path0 path1 sriov edu; do
	! has_group $name || all="$all $(group_of $name)"
done
[ ! -e /sys/bus/pci/devices/$port ] || all="$all $(group_of $port)"
# shellcheck disable=SC2086
there_and_back "all at once" $all
finish
