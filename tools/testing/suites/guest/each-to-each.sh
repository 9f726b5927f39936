#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The steps of AMD's test of this (avocado-misc-tests, io/iommu/iommu_tests.py) with commits in
# place of its writes to sysfs, and on groups of several devices as well, which it leaves out:
# from each type to each other, between unbinding and binding and without, with a look for new
# devices after it; devices that are removed and found again; and nothing in the kernel log.
#
# machines: vtd amd
# also: virtio-iommu
# timeout: 900

. /lab/lib.sh
. /lab/tests/faults.sh

# Each of the twelve ways from one to another once.
ways="DMA DMA-FQ DMA identity DMA auto DMA-FQ identity DMA-FQ auto identity auto DMA"

# commit TYPE GROUP...: prints the errno's name or 0
commit()
{
	local type=$1 group
	shift
	t=$(txn_new walk)
	for group; do
		stage "$t" "$group" "$type"
	done
	write_errno "$t/commit" 1
	report "$t" > /tmp/report
	rmdir "$t"/*/ "$t"
}

# want TYPE: what a group then has
want()
{
	[ "$1" = auto ] && echo "$boot" || echo "$1"
}

# walk WHAT GROUP...: all the ways; $after is a command for after each.
walk()
{
	local what=$1 from=$boot type found
	shift
	found=$(groups_now "$@")
	for type in $ways "$boot"; do
		got=$(commit $type "$@")
		check_eq "$what: $from to $type" "$got $(groups_now "$@")" \
			"0 $(echo "$found" | awk -v type="$(want $type)" '{ $2 = type; print }')"
		[ "$got" = 0 ] || say "$(cat /tmp/report)"
		$after
		from=$type
	done
	check_eq "$what: as before" "$(groups_now "$@")" "$found"
}

# quiet WHAT: AMD's test fails for anything in the log that is a warning or worse.
quiet()
{
	check_eq "$1: no warning in the kernel log" "$(klog | grep '^<[0-4]>' | grep -vE "$due")" ""
}

# by_hand unbind|bind: all drivers of the group, without the module
by_hand()
{
	local pair
	for pair in $drivers; do
		case $1-$pair in
		*=-)		;;
		unbind-*)	unbind "${pair%=*}" ;;
		bind-*)		bind "${pair%=*}" "${pair#*=}" ;;
		esac
	done
}

look()
{
	local dev
	for dev in $devices; do
		rescan "$dev"
		break
	done
}

# The lab's own lines, what e1000 and e1000e say of each probe after their 32nd, what drivers
# say of QEMU's disks, and of a host that is busy.
due="lab: |no configuration for board #|ata[0-9.]+: (Model 'QEMU|LPM support broken)"
due="$due|Asking for cache data failed|Assuming drive cache|hrtimer: interrupt took"

load_module || bail "no module"
edu_load || bail "no edu"
all=
for name in $(cut -d ' ' -f 1 /lab/groups); do
	group=$(group_of "$name")
	devices=$(devices_of "$name")
	drivers=$(drivers_of "$group")
	boot=$(group_type "$group")
	all="$all $group"
	klog_begin
	n=0
	while [ $n -lt "${LAB_LONG:-1}" ]; do
		after=:
		walk "$name" "$group"
		n=$((n + 1))
	done
	after=look
	walk "$name, looked for" "$group"

	by_hand unbind
	after=:
	walk "$name, no drivers" "$group"
	by_hand bind
	check_eq "$name: bound by hand" "$(group_type "$group") $(drivers_of "$group")" "$boot $drivers"
	quiet "$name"
done

klog_begin
# shellcheck disable=SC2086 # groups are words
walk "all at once" $all
quiet "all at once"

edu_unload
# What is removed and found again has the type of the boot, whatever it had.
for name in $(cut -d ' ' -f 1 /lab/groups); do
	[ "$name" != chipset ] || continue
	drivers=$(drivers_of "$(group_of "$name")")
	boot=$(group_type "$(group_of "$name")")
	devices=$(devices_of "$name")
	klog_begin
	check_eq "$name: to identity" "$(commit identity "$(group_of "$name")")" 0
	for dev in $devices; do
		[ ! -e "/sys/bus/pci/devices/$dev" ] || echo 1 > "/sys/bus/pci/devices/$dev/remove"
	done
	check_eq "$name: removed" "$(for dev in $devices; do ! gone "$dev" || echo "$dev"; done)" "$devices"
	look
	check "$name: found" wait_for 30 group_of "$name"
	lab_settle
	check_eq "$name: type and drivers of the boot" "$(group_type "$(group_of "$name")") $(drivers_of "$(group_of "$name")")" \
		"$boot $drivers"
	quiet "$name"
done
finish
