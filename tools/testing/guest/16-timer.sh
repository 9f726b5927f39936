#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The confirm timer: the kernel's own, which undoes a commit that nobody confirms.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh

load_module
group=$(group_of disk)
nics=$(group_of vfio)
disk_dev=$(dev disk 0)
disk=$(wait_disk "$disk_dev") || bail "no disk"
was=$(group_type "$group")
was_nics=$(group_type "$nics")
before=$(drivers_of "$group")
wrote=$(fill "$disk" 8 1)

# others SIGNAL: to every process of user space but this one.
others()
{
	local pid
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		[ "$pid" != $$ ] && [ -s "/proc/$pid/cmdline" ] || continue
		kill "-$1" "$pid" 2>/dev/null
	done
}

t=$(txn_new timer)
stage "$t" "$group" identity
stage "$t" "$nics" identity
echo 600 > "$t/confirm_timeout"
generation=$(cat $CONFIGFS/generation)
check_eq "a commit with a timeout" "$(write_errno "$t/commit" 1)" 0
check_eq "its groups are changed" "$(group_type "$group") $(group_type "$nics")" "identity identity"
check_eq "and say so" "$(status "$t" "$group") $(status "$t" "$nics")" "changed changed"
echo 1 > "$t/confirm_timeout"
check "nobody confirms: it is undone" wait_for 60 is "$t/state" rolled-back
check_eq "types" "$(group_type "$group") $(group_type "$nics")" "$was $was_nics"
check_eq "drivers" "$(drivers_of "$group")" "$before"
check_eq "status" "$(status "$t" "$group") $(status "$t" "$nics")" "restored restored"
check_eq "nothing to report" "$(report "$t")" ""
check_eq "the generation tells of both" "$(cat $CONFIGFS/generation)" $((generation + 2))
check_eq "a late confirm" "$(write_errno "$t/confirm" 1)" EBUSY
check_eq "a rollback of what is undone" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "state" "$(cat "$t/state")" rolled-back
disk=$(wait_disk "$disk_dev") || bail "the disk did not come back"
check_eq "the data is what it was" "$(sum "$disk" 8)" "$wrote"
txn_end "$t"

# The one who committed is killed before time is over; everybody else stands still.
t=$(txn_new alone)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
try run sh -c "echo 1 > $t/commit; sleep 600" &
pid=$!
check "a shell commits" wait_for 30 is "$t/state" unconfirmed
echo 3 > "$t/confirm_timeout"
kill -KILL $pid
wait $pid
others STOP
# Only this shell and the sleep in it, which ask for nothing before it is over.
sleep 10
n=0
while read -r state < "$t/state" && [ "$state" != rolled-back ] && [ $n -lt 60 ]; do
	sleep 1
	n=$((n + 1))
done
others CONT
check_eq "with its process gone and all others stopped it is undone" "$state" rolled-back
check_eq "the group is what it was" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
txn_end "$t"

# Confirmed in time, it stays.
t=$(txn_new stays)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
echo 8 > "$t/confirm_timeout"
check_eq "is confirmed" "$(write_errno "$t/confirm" 1)" 0
check_eq "once" "$(write_errno "$t/confirm" 1)" EBUSY
sleep 10
check_eq "and stays" "$(cat "$t/state") $(group_type "$group")" "committed identity"
check_eq "until it is undone by hand" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"

# Undone by hand, the timer has nothing left to do.
t=$(txn_new hand)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
echo 8 > "$t/confirm_timeout"
check_eq "is undone by hand" "$(write_errno "$t/rollback" 1)" 0
generation=$(cat $CONFIGFS/generation)
sleep 10
check_eq "once" "$(cat "$t/state") $(cat $CONFIGFS/generation)" "rolled-back $generation"
txn_end "$t"

# All unchanged still waits to be confirmed, and its end touches nothing.
t=$(txn_new nothing)
stage "$t" "$group" "$was"
echo 1 > "$t/confirm_timeout"
generation=$(cat $CONFIGFS/generation)
check_eq "nothing to change, with a timeout" "$(write_errno "$t/commit" 1)" 0
check "its time passes, too" wait_for 60 is "$t/state" rolled-back
check_eq "with nothing touched" "$(cat $CONFIGFS/generation) $(status "$t" "$group")" \
	"$generation unchanged"
txn_end "$t"

# A group that went out of sight is covered all the same.
t=$(txn_new hidden)
stage "$t" "$group" identity
stage "$t" "$nics" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
check_eq "whose groups go out of sight" "$(try rmdir "$t/$group") $(try rmdir "$t/$nics")" "0 0"
echo 1 > "$t/confirm_timeout"
check "its time passes" wait_for 60 is "$t/state" rolled-back
check_eq "and restores both" "$(group_type "$group") $(group_type "$nics") $(drivers_of "$group")" \
	"$was $was_nics $before"
check_eq "it goes" "$(try rmdir "$t")" 0
wait_nic "$(dev vfio 0)" > /dev/null

# The timer does not ask about interfaces.
t=$(txn_new net)
stage "$t" "$nics" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
nic=$(wait_nic "$(dev vfio 0)")
ip link set "$nic" up
check_eq "an interface is up" "$(($(cat "/sys/class/net/$nic/flags") & 1))" 1
echo 1 > "$t/confirm_timeout"
check "the timer does not care" wait_for 60 is "$t/state" rolled-back
check_eq "and restores" "$(group_type "$nics") $(status "$t" "$nics")" "$was_nics restored"
txn_end "$t"
wait_nic "$(dev vfio 0)" > /dev/null

# It never releases a disk in use: that group stays, the others are restored.
t=$(txn_new disk)
stage "$t" "$group" identity
stage "$t" "$nics" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
disk=$(wait_disk "$disk_dev")
pid=$(hold_open "/dev/$disk" excl)
echo 1 > "$t/confirm_timeout"
check "its disk is held when time is over" wait_for 60 is "$t/state" failed
check_eq "that group stays" "$(group_type "$group") $(drivers_of "$group")" "identity $before"
check_eq "and is failed" "$(head -n 1 "$t/$group/status")" failed
check_match "the report says why" "$(report "$t")" "^$group $disk_dev restore EBUSY .*$disk"
check_eq "the other is restored" "$(group_type "$nics") $(status "$t" "$nics")" "$was_nics restored"
check "the disk was not taken from under its holder" dd if="/dev/$disk" of=/dev/null bs=4096 count=1
check_eq "a rollback asks, too" "$(write_errno "$t/rollback" 1)" EIO
check_eq "and stays failed" "$(cat "$t/state")" failed
let_go "$pid"
check_eq "with the disk free it goes through" "$(write_errno "$t/rollback" 1)" 0
check_eq "rolled-back" "$(cat "$t/state") $(group_type "$group")" "rolled-back $was"
check_eq "with its drivers" "$(drivers_of "$group")" "$before"
txn_end "$t"

# Unless block is allowed, which also counts when it is written meanwhile.
t=$(txn_new allowed)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
disk=$(wait_disk "$disk_dev")
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
disk=$(wait_disk "$disk_dev")
pid=$(hold_open "/dev/$disk" rw)
check_eq "block is allowed" "$(write_errno "$t/allow_in_use" block)" 0
echo 1 > "$t/confirm_timeout"
check "then the timer takes a disk that is open" wait_for 60 is "$t/state" rolled-back
let_go "$pid"
check_eq "and restores" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
txn_end "$t"
disk=$(wait_disk "$disk_dev") || bail "the disk did not come back"
check_eq "the data is still what it was" "$(sum "$disk" 8)" "$wrote"
finish
