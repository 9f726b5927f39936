#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Groups that need no release: those that have their type already, and DMA that
# becomes DMA-FQ in place. No driver notices, no guard is concerned.
#
# machines: vtd virtio-iommu smmuv3 amd
# timeout: 180

. /lab/lib.sh

load_module
group=$(group_of disk)
disk_dev=$(disk_dev disk) || bail "no disk in the group"
was=$(group_type "$group")
before=$(drivers_of "$group")

# to TYPE: the group has it, by a commit of its own.
to()
{
	local t
	[ "$(group_type "$group")" != "$1" ] || return 0
	t=$(txn_new to) && stage "$t" "$group" "$1" && echo 1 > "$t/commit" && rmdir "$t/$group" "$t"
}

# traced COMMAND...: leaves in /tmp/trace what of drivers and switches it caused.
traced()
{
	trace_start iommu_configfs iommu:attach_device_to_domain
	"$@"
	trace_stop > /tmp/trace
}

released()
{
	grep -cE 'icfg_(release|probe):' /tmp/trace
}

commit()
{
	write_errno "$t/commit" 1 > /tmp/rc
}

inode_of_disk()
{
	# A disk that came anew has another number for its device directory.
	stat -L -c %i "/sys/block/$(wait_disk "$disk_dev")"
}

# The type that it has: nothing at all is done, whatever is in use.
for type in identity DMA DMA-FQ; do
	check "$type: to begin with" to $type
	disk=$(wait_disk "$disk_dev") || bail "no disk"
	pid=$(hold_open "/dev/$disk" excl)
	inode=$(inode_of_disk)
	generation=$(cat $CONFIGFS/generation)
	t=$(txn_new same)
	stage "$t" "$group" $type
	check_eq "$type: check of a disk in use that has it already" "$(write_errno "$t/check" 1)" 0
	traced commit
	check_eq "$type: commit" "$(cat /tmp/rc)" 0
	check_eq "$type: report" "$(report "$t")" ""
	check_eq "$type: unchanged" "$(status "$t" "$group")" unchanged
	check_eq "$type: no driver is released, none probed" "$(released)" 0
	check_eq "$type: no domain is attached" "$(grep -c attach_device /tmp/trace)" 0
	check_eq "$type: the disk is the same" "$(inode_of_disk)" "$inode"
	check_eq "$type: the generation is the same" "$(cat $CONFIGFS/generation)" "$generation"
	check_eq "$type: progress" "$(cat "$t/progress")" "0 0"
	let_go "$pid"
	txn_end "$t"
done

# The trace would show it.
t=$(txn_new trace)
stage "$t" "$group" identity
traced commit
check "a group that does change is traced" [ "$(released)" -gt 0 ]
rmdir "$t/$group" "$t"

# DMA to DMA-FQ: in place, under a mounted disk and a running interface.
check "strict to begin with" to DMA
disk=$(wait_disk "$disk_dev") || bail "no disk"
pid=$(hold_open "/dev/$disk" excl)
nic_dev=
for dev in $(drivers_of "$group"); do
	dev=${dev%=*}
	! nic_of "$dev" >/dev/null || nic_dev=$dev
done
[ -z "$nic_dev" ] || ip link set "$(wait_nic "$nic_dev")" up
inode=$(inode_of_disk)
generation=$(cat $CONFIGFS/generation)

t=$(txn_new confirm)
stage "$t" "$group" DMA-FQ
echo 600 > "$t/confirm_timeout"
case $(write_errno "$t/check" 1) in
0)
	# A kernel with a way back in place: nothing is released in either direction.
	traced commit
	check_eq "with a way back in place no guard is asked" "$(cat /tmp/rc) $(group_type "$group")" "0 DMA-FQ"
	echo 1 > "$t/confirm_timeout"
	check "the timer takes it back" wait_for 60 is "$t/state" rolled-back
	check_eq "in place" "$(cat "$t/$group/method") $(group_type "$group")" "in-place DMA"
	check_eq "under the disk" "$(inode_of_disk)" "$inode"
	txn_end "$t"
	t=$(txn_new confirm)
	stage "$t" "$group" DMA-FQ
	generation=$(cat $CONFIGFS/generation)
	;;
*)
	check_match "with a confirm timeout the guards are asked, for the way back: the disk" \
		"$(report "$t")" "^$group $disk_dev check EBUSY .*$disk"
	[ -z "$nic_dev" ] ||
		check_match "the interface" "$(report "$t")" "^$group $nic_dev check EBUSY ."
	check_eq "and refuse the commit" "$(write_errno "$t/commit" 1) $(group_type "$group")" "EBUSY DMA"
	;;
esac
echo 0 > "$t/confirm_timeout"
check_eq "without one they are not" "$(write_errno "$t/check" 1)" 0
traced commit
check_eq "the commit goes through" "$(cat /tmp/rc) $(report "$t")" "0 "
check_eq "the type" "$(group_type "$group")" DMA-FQ
check_eq "in place" "$(status "$t" "$group")" in-place
check_eq "no driver was released, none probed" "$(released)" 0
check_match "but the group was switched" "$(cat /tmp/trace)" "icfg_switch: transaction=confirm group=$group type=DMA-FQ .*err=0"
check_eq "it counts" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_eq "the disk is the same" "$(inode_of_disk)" "$inode"
check "and works" dd if="/dev/$disk" of=/dev/null bs=1M count=4
check_eq "committed" "$(cat "$t/state")" committed

# The way back is another matter where it releases drivers: then it asks.
rc=$(write_errno "$t/rollback" 1)
if [ "$rc" = 0 ]; then
	check_eq "its rollback is in place as well" "$(cat "$t/$group/method")" in-place
	let_go "$pid"
	[ -z "$nic_dev" ] || ip link set "$(nic_of "$nic_dev")" down
else
	check_eq "its rollback asks" "$rc" EBUSY
	check_eq "and touches nothing" "$(group_type "$group") $(cat "$t/state")" "DMA-FQ committed"
	let_go "$pid"
	[ -z "$nic_dev" ] || ip link set "$(nic_of "$nic_dev")" down
	check_eq "with nothing in use it goes through" "$(write_errno "$t/rollback" 1)" 0
fi
check_eq "the type is back" "$(group_type "$group") $(drivers_of "$group")" "DMA $before"
check_eq "restored" "$(status "$t" "$group")" restored
wait_disk "$disk_dev" > /dev/null || bail "no disk"
[ -z "$nic_dev" ] || wait_nic "$nic_dev" > /dev/null
txn_end "$t"

# With a timer, when nothing is in use.
t=$(txn_new timer)
stage "$t" "$group" DMA-FQ
echo 600 > "$t/confirm_timeout"
check_eq "in place with a timer" "$(write_errno "$t/commit" 1)" 0
check_eq "says so" "$(status "$t" "$group")" in-place
echo 1 > "$t/confirm_timeout"
check "the timer takes it back" wait_for 60 is "$t/state" rolled-back
check_eq "to what it was" "$(group_type "$group") $(drivers_of "$group")" "DMA $before"
wait_disk "$disk_dev" > /dev/null || bail "no disk"
txn_end "$t"

# It comes last: with one that fails before, it is never done.
t=$(txn_new auto)
stage "$t" "$group" auto
check_eq "auto goes through" "$(write_errno "$t/commit" 1)" 0
check_eq "it is carried out, as nobody can tell beforehand" "$(head -n 1 "$t/$group/status")" changed
check_eq "and is what it was at boot" "$(group_type "$group")" "$was"
check_eq "with the drivers" "$(drivers_of "$group")" "$before"
wait_disk "$disk_dev" > /dev/null || bail "no disk"
rmdir "$t/$group" "$t"
check "as found" to "$was"
wait_disk "$disk_dev" > /dev/null
finish
