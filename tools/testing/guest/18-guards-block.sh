#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The block guard: a disk that is mounted, swap, below dm or md, or open for two
# seconds on end is not taken away; one that is open for a moment is.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 300

. /lab/lib.sh

load_module
group=$(group_of disk)
group2=$(group_of disk2)
dev=$(dev disk 0)
dev2=$(dev disk2 0)
was=$(group_type "$group")
before=$(drivers_of "$group")
disk=$(wait_disk "$dev") || bail "no disk"
modprobe ext4
modprobe loop
modprobe dm-mod
modprobe raid1
mkdir -p /mnt/a /mnt/b

# refused WHAT DEVICE PATTERN: check, commit; with the reason in the report. $t has it.
refused()
{
	local action generation
	generation=$(cat $CONFIGFS/generation)
	for action in check commit; do
		check_eq "$1: $action" "$(write_errno "$t/$action" 1)" EBUSY
		check_match "$1: $action says why" "$(report "$t")" \
			"^[0-9]+ $2 check EBUSY .*\<($3)\>"
	done
	check_eq "$1: nothing touched" \
		"$(cat "$t/state") $(group_type "$group") $(drivers_of "$group") $(cat $CONFIGFS/generation)" \
		"staged $was $before $generation"
}

# goes WHAT: it is not in use: a check passes.
goes()
{
	check_eq "$1: passes" "$(write_errno "$t/check" 1) $(report "$t")" "0 "
}

is_bound()
{
	[ "$(driver_of "$1")" != - ]
}

t=$(txn_new block)
stage "$t" "$group" identity
goes "nothing in use"

# Mounted, the whole disk
mkfs.ext4 -q -F -O ^has_journal -E nodiscard "/dev/$disk" 16M || bail "no file system"
mount -t ext4 "/dev/$disk" /mnt/a || bail "no mount"
refused "mounted" "$dev" "$disk"
check_match "mounted: the word is there" "$(report "$t")" mounted
check_eq "mounted: what is allowed for interfaces does not matter" \
	"$(echo net > "$t/allow_in_use"; write_errno "$t/check" 1)" EBUSY
check_eq "mounted: block allows it" "$(echo "net block" > "$t/allow_in_use"; write_errno "$t/check" 1)" 0
echo > "$t/allow_in_use"
umount /mnt/a
goes "unmounted"

# A partition: the table is written by hand, one from sector 2048 to 16 MiB.
printf '\000\040\041\000\203\000\000\000\000\010\000\000\000\200\000\000' > /tmp/entry
dd if=/dev/zero of="/dev/$disk" bs=1M count=1 2>/dev/null
dd if=/tmp/entry of="/dev/$disk" bs=1 seek=446 conv=notrunc 2>/dev/null
printf '\125\252' | dd of="/dev/$disk" bs=1 seek=510 conv=notrunc 2>/dev/null
blockdev --rereadpt "/dev/$disk"
check "there is a partition" wait_for 10 test -b "/dev/${disk}p1"
mkfs.ext4 -q -F -O ^has_journal -E nodiscard "/dev/${disk}p1" || bail "no file system"
goes "a partition"
mount -t ext4 "/dev/${disk}p1" /mnt/a || bail "no mount"
refused "a mounted partition" "$dev" "${disk}p1"
umount /mnt/a

# Swap, on the partition
mkswap "/dev/${disk}p1" > /dev/null
swapon "/dev/${disk}p1" || bail "no swap"
refused "swap" "$dev" "${disk}p1"
swapoff "/dev/${disk}p1"
goes "no swap"

# A loop device on top
losetup /dev/loop0 "/dev/${disk}p1" || bail "no loop device"
refused "below a loop device" "$dev" "$disk|${disk}p1"
losetup -d /dev/loop0
goes "no loop device"

# dm, and a file system on that
dmsetup create labdm --table "0 16384 linear /dev/${disk}p1 0" --noudevsync || bail "no dm"
refused "below dm" "$dev" "${disk}p1"
dmsetup mknodes labdm
mkfs.ext4 -q -F -O ^has_journal -E nodiscard /dev/mapper/labdm && mount -t ext4 /dev/mapper/labdm /mnt/a || bail "no file system on dm"
refused "below a file system on dm" "$dev" "${disk}p1"
umount /mnt/a
dmsetup remove labdm --noudevsync
goes "no dm"

# md, over the disks of two groups
disk2=$(wait_disk "$dev2")
mdadm --create /dev/md0 --run --force --metadata=1.0 --level=1 --raid-devices=2 --assume-clean \
	"/dev/${disk}p1" "/dev/$disk2" 2>/dev/null || bail "no md"
refused "below md" "$dev" "${disk}p1"
stage "$t" "$group2" identity
check_eq "below md: both groups" "$(write_errno "$t/check" 1)" EBUSY
check_eq "below md: a line for each disk" "$(cut -d' ' -f2 "$t/report" | sort -u | xargs)" "$dev $dev2"
rmdir "$t/$group2"
mdadm --stop /dev/md0 2>/dev/null
mdadm --zero-superblock "/dev/${disk}p1" "/dev/$disk2"
goes "no md"

# Open
for how in ro rw excl; do
	pid=$(hold_open "/dev/$disk" $how)
	refused "open $how for long" "$dev" "$disk"
	let_go "$pid"
done
pid=$(hold_open "/dev/${disk}p1" ro)
refused "a partition open for long" "$dev" "$disk|${disk}p1"
let_go "$pid"
goes "not open"

# Open for less than two seconds, as udev does: not in use.
pid=$(hold_open "/dev/$disk" ro)
try write "$t/check" 1 > /tmp/rc &
check_pid=$!
# The check is waiting by now: it cannot have passed with the disk open.
wait_for 5 grep -q msleep "/proc/$check_pid/stack"
let_go "$pid"
wait $check_pid
check_eq "open for a moment: passes" "$(cat /tmp/rc) $(report "$t")" "0 "

# Allowed: the commit takes a disk that is open.
pid=$(hold_open "/dev/$disk" ro)
echo block > "$t/allow_in_use"
check_eq "open and allowed: commit" "$(write_errno "$t/commit" 1)" 0
check_eq "open and allowed: done" "$(group_type "$group") $(drivers_of "$group")" "identity $before"
let_go "$pid"
disk=$(wait_disk "$dev") || bail "no disk"
echo > "$t/allow_in_use"
pid=$(hold_open "/dev/$disk" excl)
check_eq "its rollback asks anew" "$(write_errno "$t/rollback" 1)" EBUSY
let_go "$pid"
check_eq "and goes through" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"
disk=$(wait_disk "$dev") || bail "no disk"
dd if=/dev/zero of="/dev/$disk" bs=1M count=18 2>/dev/null
blockdev --rereadpt "/dev/$disk"
check "the partition is gone" wait_for 10 test ! -e "/sys/block/$disk/${disk}p1"

# SCSI behind a conventional bridge, and the chipset's own: the disk is deep below.
for name in bridge chipset virtio; do
	has_group $name || { skip "a disk in $name" "the machine has no such group"; continue; }
	group=$(group_of $name)
	was=$(group_type "$group")
	before=$(drivers_of "$group")
	# The last: a bridge has the disks of those behind it below it.
	for d in $(devices_of $name); do
		! disk_of "$d" > /dev/null || dev=$d
	done
	disk=$(wait_disk "$dev") || bail "no disk in $name"
	t=$(txn_new "$name")
	stage "$t" "$group" identity
	goes "$name"
	mkfs.ext4 -q -F -O ^has_journal -E nodiscard "/dev/$disk" 16M
	mount -t ext4 "/dev/$disk" /mnt/a || bail "no mount"
	refused "$name: mounted" "$dev" "$disk"
	umount /mnt/a
	goes "$name: unmounted"
	dd if=/dev/zero of="/dev/$disk" bs=1M count=1 2>/dev/null
	txn_end "$t"
done

# Multipath: the paths are hidden, and what is in use is their common head.
group=$(group_of path0)
was=$(group_type "$group")
before=$(drivers_of "$group")
dev=$(dev path0 0)
disk=$(wait_disk "$dev")
check "the path itself is hidden" sh -c "grep -l 1 /sys/bus/pci/devices/$dev/nvme/nvme*/nvme*c*n*/hidden"
t=$(txn_new paths)
stage "$t" "$group" identity
stage "$t" "$(group_of path1)" identity
goes "both paths of a head that is not in use"
mkfs.ext4 -q -F -O ^has_journal -E nodiscard "/dev/$disk" 16M
mount -t ext4 "/dev/$disk" /mnt/a || bail "no mount"
refused "the head is mounted" "$dev" "$disk"
check_match "and the other path's line" "$(report "$t")" "^[0-9]+ $(dev path1 0) check EBUSY .*$disk"
umount /mnt/a
pid=$(hold_open "/dev/$disk" excl)
refused "the head is open" "$dev" "$disk"
let_go "$pid"
goes "the head is closed"
dd if=/dev/zero of="/dev/$disk" bs=1M count=1 2>/dev/null
txn_end "$t"

# A disk that comes into use between check and release. An edu device that depends
# on the disk's controller goes before it, and takes its time.
edu_load
edu=$(dev edu 0)
edu_group=$(group_of edu)
edu_was=$(group_type "$edu_group")
edu_before=$(drivers_of "$edu_group")
group=$(group_of disk)
dev=$(dev disk 0)
was=$(group_type "$group")
before=$(drivers_of "$group")
echo "$edu $dev autoprobe" > $EDU/link || bail "no link"
t=$(txn_new between)
stage "$t" "$group" identity
edu_set "$edu" remove_hold 1
rm -f /tmp/rc
try write "$t/commit" 1 > /tmp/rc &
wait_for 20 edu_doing "$edu" remove || bail "no remove"
disk=$(wait_disk "$dev")
pid=$(hold_open "/dev/$disk" excl)
edu_set "$edu" remove_hold 0
wait_for 30 test -s /tmp/rc
check_eq "in use by the time of its release" "$(cat /tmp/rc) $(cat "$t/state")" "ECANCELED staged"
check_match "is reported" "$(report "$t")" "^$group $dev release EBUSY .*$disk"
check "it was not taken" dd if="/dev/$disk" of=/dev/null bs=4096 count=1
check_eq "and all is as before" "$(group_type "$group") $(drivers_of "$group") $(driver_of "$edu")" \
	"$was $before edu_lab"
check_eq "its group is touched or not, but not changed" \
	"$(head -n 1 "$t/$group/status" | grep -cE '^(restored|unchanged)$')" 1
let_go "$pid"
txn_end "$t"
echo 1 > "/sys/bus/pci/devices/$edu/remove"
rescan "$edu"
check "without the link" wait_for 10 is_bound "$edu"

# Restoring never releases a disk that came into use, unless block is allowed.
t=$(txn_new restore)
stage "$t" "$group" identity
stage "$t" "$edu_group" identity
edu_set "$edu" probe_hold 1
edu_set "$edu" probe_errors 1
rm -f /tmp/rc
try write "$t/commit" 1 > /tmp/rc &
wait_for 20 edu_doing "$edu" probe || bail "no probe"
disk=$(wait_disk "$dev")
pid=$(hold_open "/dev/$disk" excl)
edu_set "$edu" probe_hold 0
wait_for 30 test -s /tmp/rc
check_eq "in use when the commit has to be undone" "$(cat /tmp/rc) $(cat "$t/state")" "EIO failed"
check_match "is reported" "$(report "$t")" "^$group $dev restore EBUSY .*$disk"
check_match "with the reason for the undoing" "$(report "$t")" "^$edu_group $edu probe EIO ."
check_eq "that group stays" "$(group_type "$group") $(head -n 1 "$t/$group/status")" "identity failed"
check "the disk was not taken" dd if="/dev/$disk" of=/dev/null bs=4096 count=1
check_eq "the other is restored" \
	"$(group_type "$edu_group") $(drivers_of "$edu_group") $(head -n 1 "$t/$edu_group/status")" \
	"$edu_was $edu_before restored"
check_eq "a rollback asks" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EIO failed"
let_go "$pid"
check_eq "and goes through" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_eq "to what was" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
wait_disk "$dev" > /dev/null
txn_end "$t"
edu_unload
finish
