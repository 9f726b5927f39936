#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A device lock that another thread holds: before anything is touched it refuses check,
# commit and rollback; on the way back it leaves its own group as it is, and no other.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 300
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/hang.sh

edu_setup
before=$(groups_now "$edu" "$edu2")
after=$(echo "$before" | sed "s/ $boot / identity /")
disk2=$(group_of disk2)

lock()
{
	echo "$1" > $EDU/lock || bail "no lock"
}

unlock()
{
	echo - > $EDU/lock
}

# refused WHAT ACTION...: each is EBUSY, names the device, and touches nothing.
refused()
{
	local what=$1 action state now generation removes
	shift
	state=$(cat "$t/state")
	now=$(groups_now "$edu2" "$disk2")
	generation=$(cat $CONFIGFS/generation)
	removes=$(cat $EDU/*/removes | xargs)
	for action; do
		check_eq "$what: $action" "$(write_errno "$t/$action" 1)" EBUSY
		check_report "$what: $action says why" "$t" \
			"^$edu $a check EBUSY .*a probe or remove of $a is under way"
		check_eq "$what: $action: and only that" "$(report "$t" | grep -c .)" 1
		check_state "$what: $action: state" "$t" "$state"
	done
	check_eq "$what: nothing was released" "$(cat $EDU/*/removes | xargs)" "$removes"
	check_eq "$what: nothing changed" "$(groups_now "$edu2" "$disk2") $(cat $CONFIGFS/generation)" \
		"$now $generation"
	check_eq "$what: nothing counts down" "$(cat "$t/remaining")" 0
}

# A lock, before anything is touched
stage_edu held identity
echo 1 > "$t/step_timeout" || bail "no step_timeout"
echo 600 > "$t/confirm_timeout"
lock "$a"
check_eq "with a lock held everything can be read" "$(unreadable "$t")" ""
refused "a lock" check commit
check_status "its status is left alone" "$t" "$edu" staged
o=$(txn_new other)
stage "$o" "$edu2" identity
check_eq "other groups do not mind" "$(write_errno "$o/commit" 1) $(write_errno "$o/rollback" 1)" "0 0"
txn_end "$o"
unlock
step_limit 20
check_eq "without the lock it is done" "$(write_errno "$t/commit" 1) $(write_errno "$t/confirm" 1)" "0 0"
check_as_before "both groups are changed" "$after" "$edu" "$edu2"

# The same for a rollback by hand
lock "$a"
refused "a lock at a rollback" rollback
check_as_before "still changed" "$after" "$edu" "$edu2"
unlock
check_eq "without it the rollback is done" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# A lock that comes free in time is waited for.
stage_edu intime identity
lock "$a"
start intime "$t/commit"
sleep 2
check_state "a commit waits for it" "$t" committing
check_eq "before it touches anything" "$(drivers_of "$edu2")" "$d=edu_lab $e=edu_lab"
unlock
check_eq "and is done" "$(ended intime)" 0
check_eq "undone" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# A probe that hangs holds such a lock.
stage_edu bind identity
unbind "$a"
edu_set "$a" probe_hold 1
bind "$a" edu_lab &
wait_for 20 edu_doing "$a" probe || bail "no probe"
refused "a probe by hand" check commit
edu_set "$a" probe_hold 0
wait
check_as_before "it ends well" "$before" "$edu" "$edu2"
# So does a remove.
edu_set "$a" remove_hold 1
unbind "$a" &
wait_for 20 edu_doing "$a" remove || bail "no remove"
refused "a remove by hand" check commit
edu_set "$a" remove_hold 0
wait
bind "$a" edu_lab
check_eq "then it is done" "$(write_errno "$t/commit" 1) $(write_errno "$t/rollback" 1)" "0 0"
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# check_left WHAT: one group stays, for its lock; the other has gone back without it.
check_left()
{
	check_state "$1: state" "$t" failed
	check_report "$1: the device is named" "$t" "^$edu $a restore E[A-Z]+ .*under way"
	check_eq "$1: it stays as it is" "$(groups_now "$edu")" "$(echo "$after" | grep "^$edu ")"
	check_status "$1: failed" "$t" "$edu" failed
	check_eq "$1: the other group is as before" "$(groups_now "$edu2")" "$(line_of "$edu2")"
	check_status "$1: restored" "$t" "$edu2" restored
	check_klog "$1: the kernel log names transaction, group and device" 4 "${t##*/}" "$edu" "$a"
	check_eq "$1: rollback with the lock held" "$(write_errno "$t/rollback" 1)" EIO
	check_report "$1: it leaves only that group" "$t" "^$edu $a restore E[A-Z]+ .*under way"
	check_eq "$1: and no other" "$(report "$t" | grep -vc "^$edu ")" 0
	check_state "$1: failed again" "$t" failed
	unlock
	sleep 2
	check_eq "$1: nothing is done by itself when the lock comes free" "$(groups_now "$edu")" \
		"$(echo "$after" | grep "^$edu ")"
	check_status "$1: still failed" "$t" "$edu" failed
	check_eq "$1: then a rollback is done" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
	check_as_before "$1: as before" "$before" "$edu" "$edu2"
	txn_end "$t"
}

# The timer
stage_edu timer identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit with a timer" "$(write_errno "$t/commit" 1)" 0
lock "$a"
klog_begin
echo 1 > "$t/confirm_timeout"
check "the timer does not wait for a lock" wait_for 30 is "$SYS_GROUPS/$edu2/type" "$boot"
check "and comes to its end" wait_for 60 is "$t/state" failed
check_left timer

# The way back of a commit
stage_edu turned identity
echo 60 > "$t/step_timeout"
edu_set "$d" probe_errors 1
edu_set "$d" probe_hold 1
klog_begin
start turned "$t/commit"
wait_for 20 edu_doing "$d" probe && wait_for 20 all_bound "$a" "$b" "$c" "$e" || bail "no probe"
lock "$a"
edu_set "$d" probe_hold 0
check_eq "a commit that turns around" "$(ended turned)" EIO
check_report "the reason" "$t" "^$edu2 $d probe EIO "
check_left turned

# A lock that is taken after that look counts as part of the step: d consumes a, so that
# the release of a comes after that of d.
edu_set "$d" supplier "$a"
unbind "$d"
bind "$d" edu_lab
edu_set "$d" supplier ""
stage_edu late identity
step_limit 6
edu_set "$d" remove_hold 1
start late "$t/commit"
wait_for 20 edu_doing "$d" remove || bail "no remove"
lock "$a"
edu_set "$d" remove_hold 0
check_eq "a lock that is taken meanwhile" "$(ended late)" EIO
check_report "is given up on as a release" "$t" "^$edu $a release ETIMEDOUT "
unlock
check "and taken back when it comes free" wait_for 30 status_is "$t" "$edu" restored
check "the consumer's group, too" wait_for 30 status_is "$t" "$edu2" restored
check_as_before "as before" "$before" "$edu" "$edu2"
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
txn_end "$t"
unbind "$d"
bind "$d" edu_lab

edu_end
finish
