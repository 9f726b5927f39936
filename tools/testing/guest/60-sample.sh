#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# samples/configfs/iommu-type.sh does what its README says, and leaves nothing
# behind however it ends.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240
# klog-allow: waiting for over 10 s

. /lab/lib.sh

SAMPLE=/lab/samples/configfs/iommu-type.sh
OUT=/tmp/sample.out
IN=/tmp/sample.in

# sample ARG...: runs it with no answer to its question; what it printed is in $OUT.
sample()
{
	"$SAMPLE" "$@" < /dev/null > $OUT 2>&1
}

# sample_answers ANSWER ARG...
sample_answers()
{
	local answer=$1
	shift
	echo "$answer" | "$SAMPLE" "$@" > $OUT 2>&1
}

# start ARG...: in the background, with a question that nobody answers until
# something is written to descriptor 8. Sets $pid, the script's own.
start()
{
	rm -f $IN $OUT
	mkfifo $IN
	exec 8<> $IN
	sh -c 'exec "$@" < '$IN' > '$OUT' 2>&1' - "$SAMPLE" "$@" 8>&- &
	pid=$!
}

status_of()
{
	local status=0
	"$@" || status=$?
	echo $status
}

left()
{
	(cd $CONFIGFS && ls -d */ 2>/dev/null)
}

# same "what" TYPE: both groups have that type, all drivers, and nothing is left.
same()
{
	check_eq "$1: types" "$(group_type "$a") $(group_type "$b")" "$2 $2"
	check_eq "$1: drivers" "$(drivers_of "$a") $(drivers_of "$b")" "$drivers"
	check_eq "$1: nothing is left in configfs" "$(left)" ""
	[ "$TAP_FAILED" -eq 0 ] || say "$(cat $OUT)"
}

load_module
a=$(group_of disk)
b=$(group_of disk2)
boot=$(group_type "$a")
drivers="$(drivers_of "$a") $(drivers_of "$b")"
disk_a=$(dev disk 0)
[ "$(group_type "$b")" = "$boot" ] || bail "the groups differ at boot"
[ "$boot" != identity ] || bail "the groups are identity at boot"
wrote=$(fill "$(wait_disk "$disk_a")" 4 60)

# Usage
check_eq "no group" "$(status_of sample)" 2
check_eq "no type" "$(status_of sample "$a")" 2
check_eq "no such option" "$(status_of sample -x "$a=identity")" 2
check_eq "an unknown type" "$(status_of sample "$a=identity" "$b=Identity")" 1
check_match "it says which" "$(cat $OUT)" "group $b cannot have Identity"
check_match "with the error" "$(cat $OUT)" "Invalid argument"
check_eq "no such group" "$(status_of sample "$a=identity" 99999=DMA)" 1
check_match "it says which" "$(cat $OUT)" "cannot stage group 99999"
check_eq "a timeout that is too long" "$(status_of sample -c 604801 "$a=identity")" 1
same "wrong usage" "$boot"

# Check, there, back
check_eq "check" "$(status_of sample -n "$a=identity" "$b=identity")" 0
same "check" "$boot"
check_eq "two groups" "$(status_of sample "$a=identity" "$b=identity")" 0
check_match "what it was" "$(cat $OUT)" "^group $a: $boot -> identity\$"
check_match "what it is" "$(cat $OUT)" "^group $b: identity, changed\$"
check_match "its devices" "$(cat $OUT)" "pci $disk_a nvme any\$"
same "two groups" identity
check_eq "the data is what it was" "$(sum "$(wait_disk "$disk_a")" 4)" "$wrote"
check_eq "once more" "$(status_of sample "$a=identity" "$b=identity")" 0
check_match "nothing to do" "$(cat $OUT)" "^group $a: identity, unchanged\$"
check_eq "back" "$(status_of sample "$a=$boot" "$b=$boot")" 0
same "back" "$boot"

# Refused
nic=$(wait_nic "$(dev disk2 1)")
ip link set "$nic" up
check_eq "an interface is up" "$(status_of sample "$a=identity" "$b=identity")" 1
check_match "it says which" "$(cat $OUT)" "$b $(dev disk2 1) check EBUSY .*$nic"
check_match "with the error" "$(cat $OUT)" "Device or resource busy"
check_eq "-n says so, too" "$(status_of sample -n "$a=identity" "$b=identity")" 1
check_match "with the reason" "$(cat $OUT)" "$b $(dev disk2 1) check EBUSY .*$nic"
same "refused" "$boot"
check_eq "allowed" "$(status_of sample -a net "$a=identity" "$b=identity")" 0
same "allowed" identity
check_eq "back again" "$(status_of sample "$a=$boot" "$b=$boot")" 0
generation=$(cat $CONFIGFS/generation)
check_eq "another generation" "$(status_of sample -g $((generation - 1)) "$a=identity")" 1
check_match "it says so" "$(cat $OUT)" "- - check ESTALE"
check_eq "that generation" "$(status_of sample -n -g "$generation" "$a=identity")" 0
check_eq "without a capability" \
	"$(status_of try -d sys_rawio run "$SAMPLE" "$a=identity" 2>&1 | tail -n 1)" 1
check_eq "a user" "$(status_of try -u 65534 run "$SAMPLE" "$a=identity" 2>&1 | tail -n 1)" 1
same "refused again" "$boot"

# To be confirmed
check_eq "kept" "$(status_of sample_answers keep -c 60 "$a=identity" "$b=identity")" 0
same "kept" identity
check_eq "back once more" "$(status_of sample "$a=$boot" "$b=$boot")" 0
check_eq "not kept" "$(status_of sample_answers no -c 600 "$a=identity" "$b=identity")" 1
check_match "it says so" "$(cat $OUT)" "taken back"
same "not kept" "$boot"

start -c 600 "$a=identity" "$b=identity"
check "it asks" wait_for 60 grep -q "done for now" $OUT
echo 1 > "$CONFIGFS/iommu-type.$pid/confirm_timeout"
check "nobody answers, and the kernel takes it back" \
	wait_for 60 is "$CONFIGFS/iommu-type.$pid/state" rolled-back
echo keep >&8
wait $pid
check_eq "an answer that is too late" $? 1
check_match "it says so" "$(cat $OUT)" "too late"
same "too late" "$boot"

# By hand it is refused: the interface came up meanwhile.
start -c 600 "$a=identity" "$b=identity"
check "it asks again" wait_for 60 grep -q "done for now" $OUT
nic=$(wait_nic "$(dev disk2 1)")
ip link set "$nic" up
echo no >&8
check "it waits for the kernel" wait_for 60 grep -q "waiting for the kernel" $OUT
check_match "and says why" "$(cat $OUT)" "$b $(dev disk2 1) check EBUSY .*$nic"
check_eq "meanwhile nothing has changed" "$(group_type "$a")" identity
echo 1 > "$CONFIGFS/iommu-type.$pid/confirm_timeout"
wait $pid
check_eq "taken back by the timer" $? 1
same "taken back by the timer" "$boot"

# Signals. (A background job of sh ignores SIGINT, and cannot trap what it ignored.)
for signal in HUP TERM; do
	start -c 600 "$a=identity" "$b=identity"
	check "SIG$signal: it asks" wait_for 60 grep -q "done for now" $OUT
	kill -$signal $pid
	wait $pid
	check_eq "SIG$signal: its status" $? $((128 + $(kill -l $signal)))
	same "SIG$signal: taken back" "$boot"
done

edu_load
edu=$(group_of edu)
e=$(dev edu 0)
edu_boot=$(group_type "$edu")
edu_drivers=$(drivers_of "$edu")
edu_set "$e" remove_hold 1
start "$edu=identity"
check "a commit is under way" wait_for 60 edu_doing "$e" remove
kill -TERM $pid
check_eq "a signal does not stop it" "$(cat "$CONFIGFS/iommu-type.$pid/state")" committing
edu_set "$e" remove_hold 0
wait $pid
check_eq "the script ends after it" $? 143
check_eq "the commit came to its end" "$(group_type "$edu")" identity
check_eq "with all drivers" "$(drivers_of "$edu")" "$edu_drivers"
check_eq "and nothing is left" "$(left)" ""
check_eq "edu back" "$(status_of sample "$edu=$edu_boot")" 0

# Tried and restored; tried and not restored
edu_set "$e" probe_errors 1
check_eq "a probe fails" "$(status_of sample "$edu=identity")" 1
check_match "it says which" "$(cat $OUT)" "$edu $e probe EIO"
check_eq "all is as before" "$(group_type "$edu") $(drivers_of "$edu")" "$edu_boot $edu_drivers"
check_eq "and nothing is left then" "$(left)" ""
edu_set "$e" probe_errors -1
check_eq "every probe fails" "$(status_of sample "$edu=identity")" 3
check_match "it says what to do" "$(cat $OUT)" "echo 1 > $CONFIGFS/iommu-type.*/rollback"
check_eq "the transaction is kept" "$(cat $CONFIGFS/iommu-type.*/state)" failed
edu_set "$e" probe_errors 0
check "what it says works" sh -c "$(sed -n 's/.*then: //p' $OUT)"
check_eq "the driver is back" "$(group_type "$edu") $(drivers_of "$edu")" "$edu_boot $edu_drivers"
rmdir $CONFIGFS/iommu-type.*/"$edu" $CONFIGFS/iommu-type.*

# Given up on: the transaction is kept, and the kernel takes the group back by itself.
edu_set "$e" remove_hold 1
check_eq "a driver that does not let go of its device" "$(status_of sample -c 5 "$edu=identity")" 3
check_match "it says which" "$(cat $OUT)" "$edu $e release ETIMEDOUT"
check_eq "the transaction is kept" "$(cat $CONFIGFS/iommu-type.*/state)" failed
check_eq "it cannot be removed" "$(try rmdir $CONFIGFS/iommu-type.*)" EBUSY
edu_set "$e" remove_hold 0
check "the group is taken back when it does" \
	wait_for 30 grep -qx restored $CONFIGFS/iommu-type.*/"$edu"/status
check "what it says works then" sh -c "$(sed -n 's/.*then: //p' $OUT)"
check_eq "everything is as before" "$(group_type "$edu") $(drivers_of "$edu")" "$edu_boot $edu_drivers"
rmdir $CONFIGFS/iommu-type.*/"$edu" $CONFIGFS/iommu-type.*
edu_unload

# Killed: the kernel's timer needs nobody.
start -c 600 "$a=identity" "$b=identity"
check "it asks a last time" wait_for 60 grep -q "done for now" $OUT
kill -KILL $pid
wait $pid
echo 1 > "$CONFIGFS/iommu-type.$pid/confirm_timeout"
check "the kernel takes it back" \
	wait_for 60 is "$CONFIGFS/iommu-type.$pid/state" rolled-back
rmdir "$CONFIGFS/iommu-type.$pid/$a" "$CONFIGFS/iommu-type.$pid/$b" "$CONFIGFS/iommu-type.$pid"
same "killed" "$boot"

ip link set "$(wait_nic "$(dev disk2 1)")" down
finish
