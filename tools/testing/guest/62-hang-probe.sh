#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A step that hangs elsewhere than in the first release: in the probe of a commit, and in
# the probe or the release of the way back, be it of the commit, by hand or by the timer.
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

# The probe of the commit, which ends well in the end: with the new type.
stage_edu probe identity
step_limit 4
edu_set "$a" probe_hold 1
klog_begin
check_eq "a probe that hangs" "$(write_errno "$t/commit" 1)" EIO
check_report "is reported" "$t" "^$edu $a probe ETIMEDOUT "
check_eq "and only that" "$(report "$t" | grep -vc "^$edu $a ")" 0
check_given_up probe probe
edu_set "$a" probe_hold 0
check_taken_back probe

# One that fails in the end leaves its device without a driver.
stage_edu fails identity
step_limit 4
edu_set "$a" probe_hold 1
klog_begin
check_eq "a probe that hangs, and fails then" "$(write_errno "$t/commit" 1)" EIO
check_given_up fails probe
edu_set "$a" probe_errors 1
edu_set "$a" probe_hold 0
check_taken_back fails

# turned NAME KNOB: a commit that turns around because of $d, and then meets the knob of $a.
turned()
{
	stage_edu "$1" identity
	step_limit 6
	edu_set "$d" probe_errors 1
	edu_set "$d" probe_hold 1
	klog_begin
	start "$1" "$t/commit"
	wait_for 20 edu_doing "$d" probe && wait_for 20 all_bound "$a" "$b" "$c" "$e" || bail "no probe"
	edu_set "$a" "$2" 1
	edu_set "$d" probe_hold 0
	check_eq "$1: commit" "$(ended "$1")" EIO
	check_report "$1: the reason to turn around" "$t" "^$edu2 $d probe EIO "
	check_report "$1: and what hangs" "$t" "^$edu $a restore ETIMEDOUT "
	check_given_up "$1" "${2%_hold}"
	edu_set "$a" "$2" 0
	check_taken_back "$1"
}

turned back-release remove_hold
turned back-probe probe_hold

# by_hand NAME KNOB: a rollback that meets the knob of $a.
by_hand()
{
	local generation
	stage_edu "$1" identity
	step_limit 4
	check_eq "$1: commit" "$(write_errno "$t/commit" 1)" 0
	generation=$(cat $CONFIGFS/generation)
	edu_set "$a" "$2" 1
	klog_begin
	check_eq "$1: rollback" "$(write_errno "$t/rollback" 1)" EIO
	check_report "$1: the report" "$t" "^$edu $a restore ETIMEDOUT "
	check_eq "$1: the generation was raised once" "$(cat $CONFIGFS/generation)" $((generation + 1))
	check_given_up "$1" "${2%_hold}"
	edu_set "$a" "$2" 0
	check_taken_back "$1"
}

by_hand hand-release remove_hold
by_hand hand-probe probe_hold

# by_timer NAME KNOB: a timer that meets the knob of $a.
by_timer()
{
	stage_edu "$1" identity
	step_limit 4
	echo 600 > "$t/confirm_timeout"
	check_eq "$1: commit" "$(write_errno "$t/commit" 1)" 0
	edu_set "$a" "$2" 1
	klog_begin
	echo 1 > "$t/confirm_timeout"
	check "$1: the timer fires" wait_for 30 edu_doing "$a" "${2%_hold}"
	check "$1: and comes to its end" wait_for 60 is "$t/state" failed
	check_klog "$1: the kernel log tells of the timer" 5 "$1"
	check_report "$1: the report" "$t" "^$edu $a restore ETIMEDOUT "
	check_given_up "$1" "${2%_hold}"
	edu_set "$a" "$2" 0
	check_taken_back "$1"
}

by_timer timer-release remove_hold
by_timer timer-probe probe_hold

edu_end
finish
