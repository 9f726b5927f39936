#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A mount that begins while a disk's driver is being unbound waits, and then finds no
# disk. It never gets one that goes away under it.
#
# machines: vtd vtd-inuse
# timeout: 120
# races: yes

. /lab/lib.sh

load_module
modprobe ext4
edu_load
group=$(group_of edu)
edu=$(dev edu 0)
was=$(group_type "$group")
before=$(drivers_of "$group")
mkdir -p /mnt/edu

edu_set "$edu" disk 1
unbind "$edu"
bind "$edu" edu_lab
disk=$(basename /sys/bus/pci/devices/"$edu"/block/edu*)
check "there is a disk" wait_for 10 test -b "/dev/$disk"
mkfs.ext4 -q -F -O ^has_journal "/dev/$disk" || bail "no file system"
dd if="/dev/$disk" of=/tmp/image bs=64k 2>/dev/null

# start_commit NAME [WORD]: the commit is in the remove of the disk's driver.
start_commit()
{
	t=$(txn_new "$1")
	stage "$t" "$group" identity
	echo "${2-}" > "$t/allow_in_use"
	edu_set "$edu" remove_hold 1
	rm -f /tmp/rc
	try write "$t/commit" 1 > /tmp/rc &
	wait_for 20 edu_doing "$edu" remove || bail "no remove"
}

# end_commit WHAT: the remove goes on; the disk is new afterwards.
end_commit()
{
	edu_set "$edu" remove_hold 0
	wait_for 30 test -s /tmp/rc
	check_eq "$1: the commit" "$(cat /tmp/rc) $(cat "$t/state") $(group_type "$group") $(drivers_of "$group")" \
		"0 committed identity $before"
	dd if=/tmp/image of="/dev/$disk" bs=64k 2>/dev/null
}

is_waiting()
{
	grep -q bd_prepare_to_claim "/proc/$1/stack"
}

start_commit mount
mount -t ext4 "/dev/$disk" /mnt/edu 2>/tmp/err &
mount_pid=$!
check "the mount waits" wait_for 10 is_waiting $mount_pid
check_not "it has no file system yet" grep -q /mnt/edu /proc/mounts
end_commit mount
check_not "the mount fails" wait $mount_pid
check_match "it finds no disk" "$(cat /tmp/err)" "No such device or address"
check "a later mount works" mount -t ext4 "/dev/$disk" /mnt/edu
check_eq "and keeps a rollback away" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EBUSY committed"
umount /mnt/edu
check_eq "unmounted, it goes back" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"

# An open that is not exclusive does not wait, nor is it refused.
start_commit open
check "an open does not wait" dd if="/dev/$disk" of=/dev/null bs=4096 count=1
end_commit open
txn_end "$t"
dd if=/tmp/image of="/dev/$disk" bs=64k 2>/dev/null

# A remove that hangs does not keep opens away for longer than its limit.
t=$(txn_new given-up)
stage "$t" "$group" identity
echo 2 > "$t/step_timeout"
edu_set "$edu" remove_hold 1
rm -f /tmp/rc /tmp/held
try write "$t/commit" 1 > /tmp/rc &
wait_for 20 edu_doing "$edu" remove || bail "no remove"
hold_open "/dev/$disk" excl > /tmp/held &
wait_for 60 test -s /tmp/rc
check_eq "the remove hangs: the commit" "$(cat /tmp/rc) $(cat "$t/state")" "EIO failed"
check "an exclusive open goes through by then" wait_for 10 test -s /tmp/held
let_go "$(cat /tmp/held)"
edu_set "$edu" remove_hold 0
check "the hang ends, the group is restored" \
	wait_for 30 sh -c "head -n 1 $t/$group/status | grep -qx restored"
check_eq "its driver is there" "$(drivers_of "$group")" "$before"
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
txn_end "$t"
dd if=/tmp/image of="/dev/$disk" bs=64k 2>/dev/null

# With block nothing is kept away.
start_commit allowed block
check "with block the mount goes through" mount -t ext4 "/dev/$disk" /mnt/edu
umount /mnt/edu
end_commit allowed
txn_end "$t"

edu_set "$edu" disk 0
unbind "$edu"
bind "$edu" edu_lab
edu_unload
finish
