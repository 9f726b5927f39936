#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# What else can be in use below a device than disks and interfaces: refused with a
# reason, allowed by the word that it has, if any, and by no other.
#
# machines: vtd-inuse
# timeout: 240

. /lab/lib.sh

load_module
edu_load
edu=$(dev edu 0)

# begin NAME: stages the named group in a new transaction t.
begin()
{
	group=$(group_of "$1")
	dev=$(dev "$1" 0)
	was=$(group_type "$group")
	before=$(drivers_of "$group")
	t=$(txn_new "$1")
	stage "$t" "$group" identity
}

# free WHAT: nothing is in use: a check passes.
free()
{
	check_eq "$1: not in use" "$(write_errno "$t/check" 1) $(report "$t")" "0 "
}

# inuse WHAT PATTERN [WORD]: refused with the reason, unless WORD is allowed.
inuse()
{
	local action word
	for action in check commit; do
		check_eq "$1: $action" "$(write_errno "$t/$action" 1)" EBUSY
		check_match "$1: $action says why" "$(report "$t")" "^$group $dev check EBUSY .*$2"
	done
	check_eq "$1: one line" "$(report "$t" | grep -c .)" 1
	check_eq "$1: nothing touched" "$(cat "$t/state") $(group_type "$group") $(drivers_of "$group")" \
		"staged $was $before"
	for word in net block other; do
		echo $word > "$t/allow_in_use"
		check_eq "$1: with $word" "$(write_errno "$t/check" 1)" \
			"$([ $word = "${3-}" ] && echo 0 || echo EBUSY)"
	done
	echo > "$t/allow_in_use"
}

# A watchdog that runs
begin watchdog
free watchdog
wdt=$(basename "$(ls -d /sys/class/watchdog/watchdog* | head -n 1)")
exec 8> "/dev/$wdt"
inuse "watchdog" "watchdog $wdt is active: stop it first"
echo V >&8
exec 8>&-
free "watchdog stopped"
check_eq "watchdog stopped: commit" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 identity"
check_eq "watchdog stopped: rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# The confirm timer asks, too.
begin watchdog
echo 600 > "$t/confirm_timeout"
check_eq "to be confirmed" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "0 unconfirmed"
exec 8> "/dev/$wdt"
echo 1 > "$t/confirm_timeout"
check "the timer leaves a watchdog that is active" wait_for 30 is "$t/state" failed
check_match "and says why" "$(report "$t")" "^$group $dev restore EBUSY .*watchdog $wdt is active"
check_eq "its group stays" "$(group_type "$group") $(drivers_of "$group")" "identity $before"
check_eq "a rollback asks" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EIO failed"
echo V >&8
exec 8>&-
check_eq "and goes through" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"

# A DRM device that is open
begin gpu
card=$(basename /sys/bus/pci/devices/"$dev"/drm/card*)
if [ -e "/dev/dri/$card" ]; then
	free DRM
	pid=$(hold_open "/dev/dri/$card" rw)
	inuse DRM "DRM device card.* is open" other
	let_go "$pid"
	free "DRM closed"
else
	skip DRM "the kernel has no driver for the display"
fi
txn_end "$t"

# A 9p file system
begin 9p
free 9p
mkdir -p /mnt/9p
mount -t 9p -o trans=virtio,version=9p2000.L,ro lab /mnt/9p || bail "no mount"
inuse 9p "9p file system is mounted" block
umount /mnt/9p
free "9p unmounted"
check_eq "9p unmounted: commit" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 identity"
mount -t 9p -o trans=virtio,version=9p2000.L,ro lab /mnt/9p || bail "no second mount"
check_eq "9p mounted again: rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EBUSY committed"
umount /mnt/9p
check_eq "9p unmounted: rollback" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"

# CXL memory: the region is not brought up, which takes a cache flush that virtual machines
# are not allowed; it counts as soon as the memory belongs to it.
begin cxl
modprobe cxl_mem 2>/dev/null
cxl=/sys/bus/cxl/devices
if wait_for 10 test -e "$(echo $cxl/endpoint*/decoder*.0/mode)"; then
	free CXL
	decoder=$(basename $cxl/endpoint*/decoder*.0)
	region=$(cat $cxl/decoder0.0/create_pmem_region)
	echo "$region" > $cxl/decoder0.0/create_pmem_region
	echo 256 > "$cxl/$region/interleave_granularity"
	echo 1 > "$cxl/$region/interleave_ways"
	cat /proc/sys/kernel/random/uuid > "$cxl/$region/uuid"
	echo pmem > "$cxl/$decoder/mode"
	echo 0x10000000 > "$cxl/$decoder/dpa_size"
	echo 0x10000000 > "$cxl/$region/size"
	free "CXL, of no region yet"
	echo "$decoder" > "$cxl/$region/target0" || bail "no region"
	inuse CXL "CXL memory mem[0-9]* belongs to $region:"
	echo "$region" > $cxl/decoder0.0/delete_region
	free "CXL, the region gone"
else
	skip CXL "the kernel has no CXL, or none that likes this device"
fi
txn_end "$t"

# made KIND PATTERN [WORD [PARAMETER...]]: inuse_lab makes it below the edu device.
made()
{
	local kind=$1 pattern=$2 word=$3
	shift 3
	modprobe inuse_lab "dev=$edu" "kind=$kind" "$@" || { not_ok "$kind: no inuse_lab"; return; }
	inuse "$kind" "$pattern" "$word"
	rmmod inuse_lab
	free "$kind gone"
}

begin edu
if [ -e "/lib/modules/$(uname -r)/extra/inuse_lab.ko" ]; then
	made dma "DMA channel dma.* has a client" other client=1
	modprobe inuse_lab "dev=$edu" kind=dma
	free "DMA channel without a client"
	rmmod inuse_lab
	made class:fc_host "host7" block name=host7
	made class:ubi "ubi0" block name=ubi0
	made class:infiniband "rocep1" net name=rocep1
	made bus:mdev "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" "" name=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
	made bus:vdpa vdpa0 "" name=vdpa0

	modprobe inuse_lab "dev=$edu" kind=mtd
	mtd=$(basename /sys/bus/pci/devices/"$edu"/mtd/mtd*[0-9])
	free "MTD not open"
	pid=$(hold_open "/dev/$mtd" ro)
	inuse MTD "MTD device $mtd is open" block
	let_go "$pid"
	free "MTD closed"
	rmmod inuse_lab
else
	skip "what inuse_lab makes" "the kernel has no DMA engines or no MTD"
fi
txn_end "$t"
edu_unload
finish
