#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What comes into use after the commit was let in, but before its release, is
# seen all the same; and what is in use on the way back is not released.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
disk2=$(group_of disk2)
nvme=$(dev disk2 0)
nic=$(dev disk2 1)
sriov=$(group_of sriov)
vfs=$(dev sriov 0)
before=$(groups_now "$edu" "$edu2" "$disk2")
sriov_before=$(groups_now "$sriov")
mkfs.ext4 -qF "/dev/$(wait_disk "$nvme")"
mounted=/tmp/mnt
mkdir -p $mounted

# consumer_of ADDRESS: makes d its consumer, so that d's release goes before.
consumer_of()
{
	edu_set "$d" supplier "$1"
	unbind "$d"
	bind "$d" edu_lab
	edu_set "$d" supplier ""
}

# begin_late NAME GROUP: begins a commit whose release of that group waits for d's.
begin_late()
{
	t=$(txn_new "$1")
	stage "$t" "$edu" identity
	stage "$t" "$2" identity
	edu_set "$d" remove_hold 1
	start "$1" "$t/commit"
	wait_for 20 edu_doing "$d" remove && wait_for 20 unbound "$a" || bail "no release"
}

# cancelled NAME WHAT PATTERN: how each of them ends.
cancelled()
{
	edu_set "$d" remove_hold 0
	check_eq "$2: cancelled" "$(ended "$1")" ECANCELED
	check_state "$2: state" "$t" staged
	check_report "$2: report" "$t" "$3"
	check_eq "$2: the managed consumer is bound again" "$(driver_of "$d")" edu_lab
}

consumer_of "$nvme"
begin_late mounted "$disk2"
disk=$(disk_of "$nvme")
mount -t ext4 "/dev/$disk" $mounted || bail "no mount"
echo hello > $mounted/file
cancelled mounted "mounted meanwhile" "^$disk2 $nvme release EBUSY .*$disk is mounted"
check_eq "the file system is whole" "$(cat $mounted/file)" hello
check "and takes more" sh -c "echo more >> $mounted/file && sync"
umount $mounted
check_as_before "mounted meanwhile: as before" "$before" "$edu" "$edu2" "$disk2"
check_eq "unmounted, the same transaction works" "$(write_errno "$t/commit" 1)" 0
check_eq "type" "$(group_type "$disk2")" identity
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

consumer_of "$nvme"
disk=$(wait_disk "$nvme")
begin_late open "$disk2"
pid=$(hold_open "/dev/$disk" rw)
cancelled open "open meanwhile" "^$disk2 $nvme release EBUSY .*$disk is open"
let_go "$pid"
check_as_before "open meanwhile: as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

consumer_of "$nvme"
wait_disk "$nvme" >/dev/null
begin_late swap "$disk2"
disk=$(disk_of "$nvme")
mkswap "/dev/$disk" >/dev/null
swapon "/dev/$disk"
cancelled swap "swap meanwhile" "^$disk2 $nvme release EBUSY .*$disk is held"
swapoff "/dev/$disk"
check_as_before "swap meanwhile: as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

consumer_of "$nic"
begin_late up "$disk2"
eth=$(nic_of "$nic")
ip link set "$eth" up
cancelled up "interface up meanwhile" "^$disk2 $nic release EBUSY .*$eth is up"
check_match "it is still up" "$(ip link show "$eth")" "[<,]UP[,>]"
ip link set "$eth" down
check_as_before "interface up meanwhile: as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

# Allowed from the start, nobody minds.
consumer_of "$nic"
t=$(txn_new allowed)
stage "$t" "$disk2" identity
echo net > "$t/allow_in_use"
edu_set "$d" remove_hold 1
start allowed "$t/commit"
wait_for 20 edu_doing "$d" remove || bail "no release"
ip link set "$(nic_of "$nic")" up
edu_set "$d" remove_hold 0
check_eq "an interface that is allowed to be up" "$(ended allowed)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
wait_nic "$nic" >/dev/null
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"

consumer_of "$vfs"
begin_late vfs "$sriov"
echo 0 > /sys/bus/pci/drivers_autoprobe
echo 2 > "/sys/bus/pci/devices/$vfs/sriov_numvfs"
echo 1 > /sys/bus/pci/drivers_autoprobe
cancelled vfs "VFs enabled meanwhile" "^$sriov $vfs release EBUSY .*virtual functions"
check_eq "VFs enabled meanwhile: they are still there" \
	"$(cat "/sys/bus/pci/devices/$vfs/sriov_numvfs")" 2
echo 0 > "/sys/bus/pci/devices/$vfs/sriov_numvfs"
check_eq "VFs enabled meanwhile: as before" "$(groups_now "$sriov")" "$sriov_before"
txn_end "$t"
edu_mend

# What is in use on the way back: that group stays, the others go back.
t=$(txn_new stays)
stage "$t" "$edu" identity
stage "$t" "$disk2" identity
edu_set "$b" probe_hold 1
edu_set "$b" probe_errors 1
start stays "$t/commit"
wait_for 20 edu_doing "$b" probe || bail "no probe"
disk=$(wait_disk "$nvme") || bail "no disk"
pid=$(hold_open "/dev/$disk" excl)
edu_set "$b" probe_hold 0
check_eq "a disk in use on the way back" "$(ended stays)" EIO
check_state "state" "$t" failed
check_report "the report names it" "$t" "^$disk2 $nvme restore EBUSY .*$disk"
check_eq "its group stays as it is" "$(groups_now "$disk2")" \
	"$(echo "$before" | sed -n "/^$disk2 /s/ $boot / identity /p")"
check_status "status" "$t" "$disk2" failed
check_eq "the other one is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
check_status "status" "$t" "$edu" restored
check_eq "the disk kept its name" "$(disk_of "$nvme")" "$disk"
check_eq "rollback with the disk in use" "$(write_errno "$t/rollback" 1)" EIO
check_state "leaves that group" "$t" failed
let_go "$pid"
check_eq "and without" "$(write_errno "$t/rollback" 1)" 0
check_state "state" "$t" rolled-back
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

# The same with an interface that is up: restoring does not ask about it.
t=$(txn_new net)
stage "$t" "$edu" identity
stage "$t" "$disk2" identity
edu_set "$b" probe_hold 1
edu_set "$b" probe_errors 1
start net "$t/commit"
wait_for 20 edu_doing "$b" probe || bail "no probe"
ip link set "$(wait_nic "$nic")" up
edu_set "$b" probe_hold 0
check_eq "an interface up on the way back" "$(ended net)" ECANCELED
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"
wait_nic "$nic" >/dev/null

# begin_looking NAME ACTION: the action has found out which drivers there are, and looks for
# two seconds at a disk that is open before it touches anything.
begin_looking()
{
	wait_disk "$nvme" > /dev/null
	pid=$(hold_open "/dev/$(disk_of "$nvme")" rw)
	start "$1" "$t/$2"
	wait_for 20 has "$t/state" '^(committing|rolling-back)$' || bail "no $2"
	usleep 300000
}

# A driver that comes between check and release was not looked at: it is not released.
stage_edu foreign identity "$disk2"
begin_looking foreign commit
override "$d" edu_lab_managed
let_go "$pid"
check_match "another driver, bound before the release" "$(ended foreign)" '^(ECANCELED|EIO)$'
check_report "is named" "$t" "^$edu2 $d release EBUSY .*another driver"
check_eq "and stays" "$(driver_of "$d")" edu_lab_managed
check_eq "everything else is as before" "$(groups_now "$edu" "$edu2" "$disk2")" \
	"$(echo "$before" | sed "s/$d=edu_lab/$d=edu_lab_managed/")"
override "$d" ""
txn_end "$t"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"

# The generation is compared once more when groups are about to be touched.
stage_edu late identity "$disk2"
cat $CONFIGFS/generation > "$t/expected_generation"
begin_looking late commit
o=$(txn_new overtakes)
stage "$o" "$sriov" identity
check_eq "another commit meanwhile" "$(write_errno "$o/commit" 1)" 0
let_go "$pid"
check_eq "the one that it has overtaken" "$(ended late)" ESTALE
check_report "is told why" "$t" "^- - check ESTALE "
check_as_before "and has touched nothing" "$before" "$edu" "$edu2" "$disk2"
txn_end "$o"
txn_end "$t"
check_eq "as before" "$(groups_now "$sriov")" "$sriov_before"

# On the way back one that forbids unbinding stays, and its group with it.
stage_edu fixed identity "$disk2"
wait_disk "$nvme" > /dev/null
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
begin_looking fixed rollback
override "$d" edu_lab_fixed
echo > "/sys/bus/pci/devices/$d/driver_override"
let_go "$pid"
check_eq "a driver that forbids unbinding, bound before the rollback's release" "$(ended fixed)" EIO
check_report "is named" "$t" "^$edu2 $d restore EBUSY ."
check_eq "and stays" "$(driver_of "$d") $(group_type "$edu2")" "edu_lab_fixed identity"
check_status "its group has failed" "$t" "$edu2" failed
check_eq "the others are as before" "$(groups_now "$edu" "$disk2")" \
	"$(echo "$before" | grep -v "^$edu2 ")"
echo 1 > "/sys/bus/pci/devices/$d/remove"
rescan "$d"
wait_for 20 bound "$d"
check_eq "without it the rollback is done" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

# A disk that is merely open is waited for, and its group stays when it stays open.
t=$(txn_new open)
stage "$t" "$edu" identity
stage "$t" "$disk2" identity
echo 600 > "$t/confirm_timeout"
wait_disk "$nvme" > /dev/null
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
disk=$(wait_disk "$nvme")
pid=$(hold_open "/dev/$disk" rw)
inode=$(stat -L -c %i "/sys/block/$disk")
echo 1 > "$t/confirm_timeout"
check "the timer meets a disk that is open" wait_for 60 is "$t/state" failed
check_report "the report names it" "$t" "^$disk2 $nvme restore EBUSY .*$disk"
check_eq "its group stays" "$(group_type "$disk2") $(driver_of "$nvme")" "identity nvme"
check_eq "and the disk is still the same" "$(stat -L -c %i "/sys/block/$disk")" "$inode"
check_eq "the other group is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
let_go "$pid"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"
wait_nic "$nic" > /dev/null

# What cannot be released keeps its suppliers, and their groups, untouched.
for supplier in "$d" "$e"; do
	t=$(txn_new spread)
	stage "$t" "$edu2" identity
	echo 600 > "$t/confirm_timeout"
	check_eq "committed" "$(write_errno "$t/commit" 1)" 0
	disk=$(wait_disk "$nvme")
	echo "$nvme $supplier autoremove_consumer" > $EDU/link || bail "no link"
	pid=$(hold_open "/dev/$disk" excl)
	removes=$(edu_get "$d" removes)-$(edu_get "$e" removes)
	echo 1 > "$t/confirm_timeout"
	check "the timer meets a consumer in use" wait_for 60 is "$t/state" failed
	check_report "the report names it" "$t" " $nvme restore EBUSY .*$disk"
	check_eq "its supplier stays, and what shares a group with that" "$(groups_now "$edu2")" \
		"$(echo "$before" | sed -n "/^$edu2 /s/ $boot / identity /p")"
	check_eq "neither was touched" "$(edu_get "$d" removes)-$(edu_get "$e" removes)" "$removes"
	let_go "$pid"
	check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
	check "the disk comes back" wait_disk "$nvme"
	check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
	txn_end "$t"
done

# The timer, with the disk in use.
mkfs.ext4 -qF "/dev/$(wait_disk "$nvme")"
t=$(txn_new timer)
stage "$t" "$edu" identity
stage "$t" "$disk2" identity
echo 600 > "$t/confirm_timeout"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
mount -t ext4 "/dev/$(wait_disk "$nvme")" $mounted || bail "no mount"
check_eq "rollback by hand asks" "$(write_errno "$t/rollback" 1)" EBUSY
check_state "state" "$t" unconfirmed
eth=$(wait_nic "$nic")
index=$(cat "/sys/class/net/$eth/ifindex")
echo 1 > "$t/confirm_timeout"
check "the timer leaves a mounted disk alone" wait_for 30 is "$t/state" failed
check_report "the report names it" "$t" "^$disk2 $nvme restore EBUSY .*mounted"
check_eq "the other group is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
check_eq "and what shares a group with the disk was not released either" \
	"$(cat "/sys/class/net/$eth/ifindex")" "$index"
check "the file system is whole" sh -c "echo more > $mounted/more && sync"
umount $mounted
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

edu_end
finish
