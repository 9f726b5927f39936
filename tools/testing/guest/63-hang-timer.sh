#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The confirm timer counts from the first touch: it ends a commit that hangs, long before
# the limit of the step that hangs, and every group without such a step goes back at once.
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

# The release of one device hangs for longer than the timer allows.
stage_edu longer identity
echo 120 > "$t/step_timeout" || bail "no step_timeout"
echo 5 > "$t/confirm_timeout"
edu_set "$a" remove_hold 1
klog_begin
start longer "$t/commit"
check "the other group is released" wait_for 20 unbound "$d"
check "and comes back when the time is over" wait_for 30 all_bound "$d" "$e"
check_eq "while the hang lasts" "$(edu_get "$a" doing)" remove
check_eq "with its type" "$(groups_now "$edu2")" "$(line_of "$edu2")"
check_eq "too late to confirm" "$(write_errno "$t/confirm" 1)" EBUSY
check_eq "nothing counts down any more" "$(cat "$t/remaining")" 0
check_eq "the commit does not wait for the limit of the step" "$(ended longer)" EIO
check_report "what hangs is named" "$t" "^$edu $a release ETIMEDOUT "
check_given_up longer remove
edu_set "$a" remove_hold 0
check_taken_back longer

# What returns soon after that is in time.
stage_edu returns identity
echo 120 > "$t/step_timeout"
echo 5 > "$t/confirm_timeout"
generation=$(cat $CONFIGFS/generation)
edu_set "$a" remove_hold 1
uevents_start /tmp/uevents
start returns "$t/commit"
check "the other group is released" wait_for 20 unbound "$d"
check "and comes back" wait_for 30 all_bound "$d" "$e"
edu_set "$a" remove_hold 0
check_eq "with all restored it is a commit that was cancelled" "$(ended returns)" ECANCELED
uevents_stop
check_state "state" "$t" staged
check_eq "the report says why" "$(report "$t")" "- - restore ETIMEDOUT confirm_timeout ran out"
check_as_before "everything is as before" "$before" "$edu" "$edu2"
check_eq "both groups say so" "$(status "$t" "$edu") $(status "$t" "$edu2")" "restored restored"
check_eq "the generation was raised once" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_eq "no uevent tells of it" "$(grep -c ' IOMMU_TRANSACTION=' /tmp/uevents)" 0
check_eq "nothing counts down" "$(cat "$t/remaining")" 0
# Not within five seconds, which a slow machine needs to look at it.
echo 600 > "$t/confirm_timeout"
check_eq "it can be tried again" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "0 unconfirmed"
check_eq "and be undone" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# The same in a probe: the other group has been switched and bound by then.
stage_edu probe identity
echo 120 > "$t/step_timeout"
echo 5 > "$t/confirm_timeout"
edu_set "$a" probe_hold 1
start probe "$t/commit"
check "the other group is changed" wait_for 20 is "$SYS_GROUPS/$edu2/type" identity
check "and goes back when the time is over" wait_for 30 is "$SYS_GROUPS/$edu2/type" "$boot"
check "with its drivers" wait_for 30 all_bound "$d" "$e"
check_eq "while the probe hangs" "$(edu_get "$a" doing)" probe
edu_set "$a" probe_hold 0
check_eq "which returns in time" "$(ended probe) $(cat "$t/state")" "ECANCELED staged"
check_eq "the report" "$(report "$t")" "- - restore ETIMEDOUT confirm_timeout ran out"
check_as_before "everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

stage_edu probes identity
echo 120 > "$t/step_timeout"
echo 5 > "$t/confirm_timeout"
edu_set "$a" probe_hold 1
klog_begin
start probes "$t/commit"
check "the other group is changed" wait_for 20 is "$SYS_GROUPS/$edu2/type" identity
check "and goes back" wait_for 30 is "$SYS_GROUPS/$edu2/type" "$boot"
check_eq "a probe that hangs on is given up on" "$(ended probes)" EIO
check_report "and named" "$t" "^$edu $a probe ETIMEDOUT "
check_given_up probes probe
edu_set "$a" probe_hold 0
check_taken_back probes

# The step's own limit comes first: then the timer has nothing left to do.
stage_edu limit identity
echo 3 > "$t/step_timeout"
echo 8 > "$t/confirm_timeout"
edu_set "$a" remove_hold 1
klog_begin
check_eq "given up on before the time is over" "$(write_errno "$t/commit" 1)" EIO
check_eq "nothing counts down then" "$(cat "$t/remaining")" 0
generation=$(cat $CONFIGFS/generation)
sleep 10
check_eq "and nothing happens when it would have been" \
	"$(cat "$t/state") $(edu_get "$a" doing) $(cat $CONFIGFS/generation)" "failed remove $generation"
check_given_up limit remove
edu_set "$a" remove_hold 0
check_taken_back limit

# A commit that ends when its time does is either unconfirmed and undone, or cancelled.
ends=
for ms in 600 800 900 950 1000 1050 1100 1300 1600; do
	stage_edu race identity
	echo 1 > "$t/confirm_timeout"
	edu_set "$a" remove_delay_ms $ms
	result=$(write_errno "$t/commit" 1)
	edu_set "$a" remove_delay_ms 0
	case $result in
	0)
		wait_for 30 is "$t/state" rolled-back
		check_state "$ms ms: unconfirmed and undone" "$t" rolled-back
		check_eq "$ms ms: with nothing to report" "$(report "$t")" ""
		;;
	ECANCELED)
		check_state "$ms ms: cancelled" "$t" staged
		check_eq "$ms ms: by the timer" "$(report "$t")" "- - restore ETIMEDOUT confirm_timeout ran out"
		sleep 1
		check_state "$ms ms: and it stays so" "$t" staged
		;;
	*)
		not_ok "$ms ms: $result"
		say "$(cat "$t/report")"
		;;
	esac
	ends="$ends $result"
	check_as_before "$ms ms: as before" "$before" "$edu" "$edu2"
	txn_end "$t"
done
say "how they ended:$ends"

edu_end
finish
