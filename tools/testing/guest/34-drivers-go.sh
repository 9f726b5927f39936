#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Driver modules that are removed, and people who bind and unbind by hand, while
# a commit runs and before its rollback.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 150

. /lab/lib.sh
. /lab/tests/faults.sh

is_loaded()
{
	grep -q "^$1 " /proc/modules
}

edu_setup
before=$(groups_now "$edu" "$edu2")

# The module is pinned while a commit runs.
stage_edu running identity
knobs 1 remove_hold "$a"
start running "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 unbound "$d" || bail "no release"
check_not "rmmod is refused during a release" rmmod edu_lab 2>/dev/null
knobs 1 probe_hold "$a"
edu_set "$a" remove_hold 0
wait_for 20 edu_doing "$a" probe || bail "no probe"
check_not "and during a probe" rmmod edu_lab 2>/dev/null
edu_set "$a" probe_hold 0
check_eq "the commit is done" "$(ended running)" 0

# A committed transaction does not pin it.
check "rmmod works between commit and rollback" rmmod edu_lab
check_eq "rollback does not mind" "$(write_errno "$t/rollback" 1)" 0
check_state "state" "$t" rolled-back
check_report "the report names each device" "$t" "^$edu $a restore E[A-Z]+ .*edu_lab"
check_eq "all of them" "$(grep -c 'restore.*edu_lab' "$t/report")" 5
check_eq "which stay without driver" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=- $b=- $c=- $d=- $e=-"
check_eq "the types are back" "$(group_type "$edu") $(group_type "$edu2")" "$boot $boot"
check_status "and no group has failed" "$t" "$edu" restored
txn_end "$t"
edu_setup
check_as_before "loaded again" "$before" "$edu" "$edu2"

# An unconfirmed one does, to be able to roll back; a confirmed one does not.
stage_edu pinned identity
echo 600 > "$t/confirm_timeout"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
check_not "rmmod is refused while unconfirmed" rmmod edu_lab 2>/dev/null
check_eq "confirmed" "$(write_errno "$t/confirm" 1)" 0
check "then rmmod works" rmmod edu_lab
txn_end "$t"
edu_setup
check_as_before "loaded again" "$before" "$edu" "$edu2"

# Nor does a failed one.
stage_edu failed identity
edu_set "$b" probe_errors 2
check_eq "a commit that could not go back" "$(write_errno "$t/commit" 1)" EIO
check "rmmod works in state failed" rmmod edu_lab
check_eq "and rollback is no failure" "$(write_errno "$t/rollback" 1)" 0
check_state "state" "$t" rolled-back
check_report "the report names the driver that is gone" "$t" "^$edu $b restore E[A-Z]+ .*edu_lab"
txn_end "$t"
edu_setup
check_as_before "loaded again" "$before" "$edu" "$edu2"

# The driver is another one by the time of the rollback.
stage_edu other identity
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
override "$a" edu_lab_managed
unbind "$b"
check_eq "rollback leaves alone" "$(write_errno "$t/rollback" 1)" 0
check_eq "who has another driver or lost it" "$(drivers_of "$edu")" "$a=edu_lab_managed $b=- $c=edu_lab"
check_report "and reports the one" "$t" "^$edu $a restore E[A-Z]+ .*edu_lab_managed"
check_report "and the other" "$t" "^$edu $b restore E[A-Z]+ .*edu_lab"
check_eq "the types are back" "$(group_type "$edu") $(group_type "$edu2")" "$boot $boot"
txn_end "$t"
override "$a" ""
bind "$b" edu_lab
check_as_before "by hand it is as before" "$before" "$edu" "$edu2"

# Somebody binds the driver between release and probe: it is released again.
stage_edu early identity
knobs 1 remove_hold "$d"
start early "$t/commit"
wait_for 20 edu_doing "$d" remove && wait_for 20 unbound "$a" || bail "no release"
check "a driver is bound by hand during the release" bind "$a" edu_lab
edu_set "$d" remove_hold 0
check_eq "that is overcome" "$(ended early)" 0
check_eq "types" "$(group_type "$edu") $(group_type "$edu2")" "identity identity"
check_eq "drivers" "$(drivers_of "$edu")" "$a=edu_lab $b=edu_lab $c=edu_lab"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Somebody binds it between switch and probe (here: while its supplier is probed).
edu_set "$e" supplier "$d"
unbind "$e"
bind "$e" edu_lab
edu_set "$e" supplier ""
stage_edu same identity
knobs 1 probe_hold "$d"
start same "$t/commit"
wait_for 20 edu_doing "$d" probe || bail "no probe"
unbound "$e" || bail "a consumer before its supplier"
bind "$e" edu_lab
edu_set "$d" probe_hold 0
check_eq "the wanted driver bound by hand is as good" "$(ended same)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Somebody gives it to another driver, and it cannot be had back.
stage_edu stolen identity
knobs 1 remove_hold "$d"
start stolen "$t/commit"
wait_for 20 edu_doing "$d" remove && wait_for 20 unbound "$a" || bail "no release"
check "another driver is bound during the release" override "$a" edu_lab_managed
edu_set "$d" remove_hold 0
check_eq "who has it keeps it" "$(ended stolen)" EIO
check_state "state" "$t" failed
check_report "the report names it" "$t" "^$edu $a restore E[A-Z]+ "
check_eq "the other drivers are back" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=edu_lab_managed $b=edu_lab $c=edu_lab $d=edu_lab $e=edu_lab"
check_eq "and the types" "$(group_type "$edu") $(group_type "$edu2")" "$boot $boot"
check_eq "rollback leaves it alone" "$(write_errno "$t/rollback" 1)" 0
check_report "and reports it" "$t" "^$edu $a restore E[A-Z]+ .*edu_lab_managed"
check_eq "it still has its new driver" "$(driver_of "$a")" edu_lab_managed
txn_end "$t"
override "$a" ""
check_as_before "by hand it is as before" "$before" "$edu" "$edu2"

# Somebody gives it to a driver that is not there: no other gets it.
stage_edu given identity
knobs 1 remove_hold "$d"
start given "$t/commit"
wait_for 20 edu_doing "$d" remove && wait_for 20 unbound "$a" || bail "no release"
echo other > "/sys/bus/pci/devices/$a/driver_override"
edu_set "$d" remove_hold 0
check_eq "a device that its driver does not match any more" "$(ended given)" EIO
check_report "is named" "$t" "^$edu $a restore E[A-Z]+ .*edu_lab"
check_eq "and has no driver, but the others have" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=- $b=edu_lab $c=edu_lab $d=edu_lab $e=edu_lab"
check_eq "the types are back" "$(group_type "$edu") $(group_type "$edu2")" "$boot $boot"
echo > "/sys/bus/pci/devices/$a/driver_override"
check_eq "when it matches again, so does the rollback" \
	"$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Somebody unbinds what the commit has bound already.
stage_edu unbound identity
knobs 1 probe_hold "$d"
start unbound "$t/commit"
wait_for 20 edu_doing "$d" probe && wait_for 20 bound "$a" || bail "no probe"
unbind "$a"
edu_set "$d" probe_hold 0
check_eq "a device that lost its driver fails the commit" "$(ended unbound)" ECANCELED
check_report "the report names it" "$t" "^$edu $a verify E[A-Z]+ "
check_as_before "everything is as before" "$before" "$edu" "$edu2"
edu_mend
txn_end "$t"

# Somebody unbinds what the commit is about to release.
edu_set "$d" supplier "$a"
unbind "$d"
bind "$d" edu_lab
edu_set "$d" supplier ""
stage_edu first identity
knobs 1 remove_hold "$d"
start first "$t/commit"
wait_for 20 edu_doing "$d" remove || bail "no release"
bound "$a" || bail "a supplier before its consumer"
unbind "$a" &
# It waits for its consumer, whose release is under way; later it would undo the commit.
wait_for 20 grep -q unbind_store /proc/$!/stack || bail "no unbind by hand"
edu_set "$d" remove_hold 0
# Where it gets the lock as late as after the probe, the device has lost its driver again: the
# commit fails. Where it is as late as after the commit, that is not the commit's to bind.
result=$(ended first)
wait $!
[ "$result" != 0 ] || edu_mend
check_match "a device that was unbound by hand meanwhile" "$result" '^(0|ECANCELED)$'
check_eq "has the driver that it had at the start" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=edu_lab $b=edu_lab $c=edu_lab $d=edu_lab $e=edu_lab"
[ "$result" != 0 ] || check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

edu_end
finish
