#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Somebody writes sysfs' `type` while a commit runs, after it, and before its
# rollback.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
before=$(groups_now "$edu" "$edu2")

# by_hand GROUP TYPE: with its drivers (of edu2) unbound and bound again.
by_hand()
{
	unbind "$d"
	unbind "$e"
	echo "$2" > "$SYS_GROUPS/$1/type"
	bind "$d" edu_lab
	bind "$e" edu_lab
}

# Released but not switched yet: what was wanted wins.
stage_edu released identity
knobs 1 remove_hold "$a"
start released "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 unbound "$d" && wait_for 20 unbound "$e" ||
	bail "no release"
check_eq "the type can be written between release and switch" \
	"$(write_errno "$SYS_GROUPS/$edu2/type" DMA)" 0
check_eq "current_type shows it" "$(cat "$t/$edu2/current_type")" DMA
edu_set "$a" remove_hold 0
check_eq "the commit goes on" "$(ended released)" 0
check_eq "and has what was wanted" "$(group_type "$edu") $(group_type "$edu2")" "identity identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "goes to what was at the start" "$before" "$edu" "$edu2"
txn_end "$t"

# The same in a commit that fails.
stage_edu fails identity
knobs 1 remove_hold "$a"
edu_set "$c" probe_errors 1
start fails "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 unbound "$d" && wait_for 20 unbound "$e" ||
	bail "no release"
echo DMA > "$SYS_GROUPS/$edu2/type"
edu_set "$a" remove_hold 0
check_eq "a commit that fails" "$(ended fails)" ECANCELED
check_as_before "goes to what was at the start as well" "$before" "$edu" "$edu2"
txn_end "$t"

# After the switch, in a group without drivers: found when it is verified.
unbind "$d"
unbind "$e"
without=$(groups_now "$edu" "$edu2")
stage_edu switched identity
knobs 1 probe_hold "$a"
start switched "$t/commit"
wait_for 20 edu_doing "$a" probe || bail "no probe"
check_eq "a group without drivers is switched" "$(group_type "$edu2")" identity
check_eq "and written behind our back" "$(write_errno "$SYS_GROUPS/$edu2/type" DMA)" 0
edu_set "$a" probe_hold 0
check_eq "that fails the commit" "$(ended switched)" ECANCELED
check_report "says the report" "$t" "^$edu2 - verify E[A-Z]+ .*DMA"
check_as_before "everything is as before" "$without" "$edu" "$edu2"
check_status "status" "$t" "$edu2" restored
txn_end "$t"
bind "$d" edu_lab
bind "$e" edu_lab

# A driver that is taken away after its probe, in a commit that fails: everything is to be
# as it was when the commit began.
stage_edu unbound identity
edu_set "$d" probe_errors 1
edu_set "$d" probe_hold 1
start unbound "$t/commit"
wait_for 20 edu_doing "$d" probe && wait_for 20 all_bound "$a" "$b" "$c" "$e" || bail "no probe"
unbind "$a"
edu_set "$d" probe_hold 0
check_eq "a driver taken away before the way back" "$(ended unbound)" ECANCELED
check_as_before "is bound again" "$before" "$edu" "$edu2"
check_status "status" "$t" "$edu" restored
txn_end "$t"

# The same in a group that needs no other type on the way back.
t=$(txn_new same)
stage "$t" "$edu" auto
stage "$t" "$edu2" identity
edu_set "$d" probe_errors 1
edu_set "$d" probe_hold 1
start same "$t/commit"
wait_for 20 edu_doing "$d" probe && wait_for 20 all_bound "$a" "$b" "$c" "$e" || bail "no probe"
unbind "$a"
edu_set "$d" probe_hold 0
check_eq "a driver taken away, with the type as it was" "$(ended same)" ECANCELED
check_as_before "is bound again as well" "$before" "$edu" "$edu2"
txn_end "$t"

# Drivers are bound: nobody can.
stage_edu bound identity
knobs 1 probe_hold "$a"
start bound "$t/commit"
wait_for 20 edu_doing "$a" probe || bail "no probe"
wait_for 20 bound "$d"
check_eq "the core refuses it where drivers are bound" \
	"$(write_errno "$SYS_GROUPS/$edu2/type" DMA)" EPERM
edu_set "$a" probe_hold 0
check_eq "the commit is done" "$(ended bound)" 0

# After the commit: ESTALE, and nothing is touched.
by_hand "$edu2" DMA
now=$(groups_now "$edu" "$edu2")
generation=$(cat $CONFIGFS/generation)
check_eq "rollback after somebody else's change" "$(write_errno "$t/rollback" 1)" ESTALE
check_state "state" "$t" committed
check_report "the report names the group" "$t" "^$edu2 - check ESTALE .*identity.*DMA"
check_eq "and only that" "$(wc -l < "$t/report")" 1
check_as_before "nothing was touched" "$now" "$edu" "$edu2"
check_eq "nor the generation" "$(cat $CONFIGFS/generation)" "$generation"
by_hand "$edu2" identity
check_eq "changed back, it works" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Unconfirmed: ESTALE by hand; the timer leaves that group alone and goes on.
stage_edu timer identity
echo 600 > "$t/confirm_timeout"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
by_hand "$edu2" DMA
check_eq "rollback by hand" "$(write_errno "$t/rollback" 1)" ESTALE
check_state "state" "$t" unconfirmed
check_eq "the timer runs on" "$(write_errno "$t/confirm_timeout" 1)" 0
check "it rolls back" wait_for 30 is "$t/state" rolled-back
check_report "and reports the group that it left alone" "$t" "^$edu2 - restore ESTALE "
check_eq "the other group is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
check_status "status" "$t" "$edu" restored
check_status "of the other one" "$t" "$edu2" unchanged
check_eq "it was left alone" "$(group_type "$edu2")" DMA
check_eq "with its drivers" "$(drivers_of "$edu2")" "$d=edu_lab $e=edu_lab"
txn_end "$t"
by_hand "$edu2" "$boot"

# Failed: rollback leaves it alone, too.
other=DMA
[ "$boot" != DMA ] || other=DMA-FQ
stage_edu failed identity
edu_set "$a" probe_errors 2
check_eq "a commit that could not go back" "$(write_errno "$t/commit" 1)" EIO
by_hand "$edu2" "$other"
check_eq "rollback goes on without" "$(write_errno "$t/rollback" 1)" 0
check_state "state" "$t" rolled-back
check_report "and reports it" "$t" "^$edu2 - restore ESTALE "
check_eq "it was left alone" "$(group_type "$edu2")" "$other"
check_eq "the other group is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
txn_end "$t"
by_hand "$edu2" "$boot"
check_as_before "as before" "$before" "$edu" "$edu2"

# Between check and commit: what counts is the commit's start.
stage_edu checked identity
check_eq "checked" "$(write_errno "$t/check" 1)" 0
by_hand "$edu2" identity
check_eq "a group that has the type by then" "$(write_errno "$t/commit" 1)" 0
check_status "is unchanged" "$t" "$edu2" unchanged
check_status "the other one is not" "$t" "$edu" changed
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "leaves it as it was at the start" "$(group_type "$edu") $(group_type "$edu2")" "$boot identity"
check_status "status" "$t" "$edu2" unchanged
txn_end "$t"
by_hand "$edu2" "$boot"
check_as_before "as before" "$before" "$edu" "$edu2"

edu_end
finish
