#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A driver that does not let go of its device: the step is given up on, every other
# group goes back without it, and its own group follows when it returns.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/hang.sh

edu_setup
before=$(groups_now "$edu" "$edu2")

# Long enough to be told of before it is given up on.
stage_edu stuck identity
echo 20 > "$t/step_timeout" || bail "no step_timeout"
generation=$(cat $CONFIGFS/generation)
edu_set "$a" remove_hold 1
klog_begin
uevents_start /tmp/uevents
start stuck "$t/commit"
check "a release that takes over 10 s is told of" wait_for 40 has "$t/report" "^$edu $a release EINPROGRESS "
check_match "in the group's status, too" "$(cat "$t/$edu/status")" "^$edu $a release EINPROGRESS "
check_klog "and in the kernel log" 4 stuck "$edu" "$a"
check_eq "one that is given up on fails the commit" "$(ended stuck)" EIO
check_report "the report says so" "$t" "^$edu $a release ETIMEDOUT "
check_match "and keeps what it said before" "$(cat "$t/report")" "^$edu $a release EINPROGRESS "
check_eq "the other devices are no problem" "$(grep -vc "^$edu $a " "$t/report")" 0
check_match "the group's status says so, too" "$(cat "$t/$edu/status")" "^$edu $a release ETIMEDOUT "
check_eq "the generation was raised once" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_match "what was given up on counts as done" "$(cat "$t/progress")" '^([0-9]+) \1$'
check_given_up release remove

# What the state forbids it forbids here as well.
check_eq "commit, check and confirm" \
	"$(write_errno "$t/commit" 1) $(write_errno "$t/check" 1) $(write_errno "$t/confirm" 1)" "EBUSY EBUSY EBUSY"
check_eq "options" "$(write_errno "$t/step_timeout" 5) $(write_errno "$t/confirm_timeout" 5)" "EBUSY EBUSY"
check_eq "types" "$(write_errno "$t/$edu/type" DMA) $(write_errno "$t/$edu2/type" DMA)" "EBUSY EBUSY"
check_eq "allow_in_use" "$(write_errno "$t/allow_in_use" net)" 0
# The group beside it is free.
o=$(txn_new free)
stage "$o" "$edu2" identity
check_eq "another transaction changes the other group" "$(write_errno "$o/commit" 1) $(group_type "$edu2")" "0 identity"
check_eq "and takes it back" "$(write_errno "$o/rollback" 1)" 0
txn_end "$o"
edu_set "$a" remove_hold 0
check_taken_back release
uevents_stop
check_eq "no uevent tells of a change" "$(grep -c ' IOMMU_TRANSACTION=stuck' /tmp/uevents)" 0

# Directories of groups go out of sight, and the groups are taken back all the same.
stage_edu hidden identity
step_limit 3
edu_set "$a" remove_hold 1
check_eq "given up on once more" "$(write_errno "$t/commit" 1)" EIO
check_eq "the directories of its groups go" "$(try rmdir "$t/$edu") $(try rmdir "$t/$edu2")" "0 0"
check_eq "and do not come back" "$(try mkdir "$t/$edu")" EBUSY
check_eq "the transaction stays" "$(try rmdir "$t")" EBUSY
refused_to_others "out of sight" "$edu"
generation=$(cat $CONFIGFS/generation)
edu_set "$a" remove_hold 0
check "out of sight: the transaction can go when the group is taken back" wait_for 30 rmdir "$t"
check_as_before "out of sight: everything is as before" "$before" "$edu" "$edu2"
check_eq "out of sight: the generation is what it was" "$(cat $CONFIGFS/generation)" "$generation"

# A rollback meanwhile works on what else there is to do.
stage_edu others identity
step_limit 3
edu_set "$a" remove_hold 1
edu_set "$d" probe_errors 1
check_eq "one that hangs, and one that does not bind again" "$(write_errno "$t/commit" 1)" EIO
check_report "both are named" "$t" "^$edu $a release ETIMEDOUT "
check_report "one for another reason" "$t" "^$edu2 $d restore EIO "
check_eq "both groups have failed" "$(head -qn 1 "$t/$edu/status" "$t/$edu2/status" | xargs)" "failed failed"
check_eq "a rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EIO failed"
check_eq "mends the one" "$(groups_now "$edu2")" "$(line_of "$edu2")"
check_status "says so" "$t" "$edu2" restored
check_report "and names the other" "$t" "^$edu $a restore ETIMEDOUT "
check_eq "only that" "$(report "$t" | grep -vc "^$edu $a ")" 0
edu_set "$a" remove_hold 0
check_taken_back others

# What returns during a rollback is taken back after it.
stage_edu during identity
step_limit 5
edu_set "$a" remove_hold 1
edu_set "$d" probe_errors 1
check_eq "the same again" "$(write_errno "$t/commit" 1)" EIO
edu_set "$d" probe_hold 1
start during "$t/rollback"
check "a rollback is at the other group" wait_for 20 edu_doing "$d" probe
check_state "during a rollback" "$t" rolling-back
edu_set "$a" remove_hold 0
wait_for 20 edu_doing "$a" - || bail "no end of the remove"
check_eq "what returns waits for it" "$(driver_of "$a") $(head -n 1 "$t/$edu/status")" "- failed"
edu_set "$d" probe_hold 0
check_eq "the rollback does not wait for that group" "$(ended during)" EIO
check_taken_back during

# A rollback waits for a group that is being taken back.
stage_edu waits identity
step_limit 5
edu_set "$a" remove_hold 1
check_eq "and again" "$(write_errno "$t/commit" 1)" EIO
edu_set "$a" probe_hold 1
edu_set "$a" remove_hold 0
check "the group is being taken back" wait_for 20 edu_doing "$a" probe
refused_to_others "taken back" "$edu"
check_eq "taken back: rmdir" "$(try rmdir "$t")" EBUSY
check_eq "taken back: everything can be read" "$(unreadable "$t")" ""
start waits "$t/rollback"
usleep 500000
check_not "a rollback waits for it" test -e /tmp/end.waits
edu_set "$a" probe_hold 0
check_eq "and has nothing left to do" "$(ended waits) $(cat "$t/state")" "0 rolled-back"
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# A take-back that fails says why, and rollback tries again.
stage_edu fails identity
step_limit 5
edu_set "$a" remove_hold 1
check_eq "and once more" "$(write_errno "$t/commit" 1)" EIO
edu_set "$a" probe_errors 1
edu_set "$a" remove_hold 0
check "a take-back that fails is reported" wait_for 30 has "$t/report" "^$edu $a restore EIO "
check_status "the group has failed" "$t" "$edu" failed
check_match "and says why" "$(cat "$t/$edu/status")" "^$edu $a restore EIO "
check_match "the report keeps what it had" "$(cat "$t/report")" "^$edu $a release ETIMEDOUT "
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# A transaction without a hang is not held up by what another one left.
stage_edu plain identity
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
check_eq "and its rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

edu_end
finish
