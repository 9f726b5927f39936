#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The countdown: when it starts, what starts it anew, that it stands still during suspend,
# and what `remaining` says of it. And suspend while a step hangs.
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

remaining()
{
	cat "$t/remaining"
}

# between LOW HIGH: what remains is that.
between()
{
	local now
	now=$(remaining)
	[ "$now" -ge "$1" ] && [ "$now" -le "$2" ] || { say "remaining: $now"; return 1; }
}

# left_below SECONDS: for wait_for.
left_below()
{
	[ "$(remaining)" -lt "$1" ]
}

stage_edu counts identity
echo 100 > "$t/step_timeout" || bail "no step_timeout"
check_eq "nothing remains at first" "$(remaining)" 0
echo 600 > "$t/confirm_timeout"
check_eq "nor with a timeout" "$(remaining)" 0
check_eq "nor after a check" "$(write_errno "$t/check" 1) $(remaining)" "0 0"
edu_set "$a" remove_hold 1
start counts "$t/commit"
check "a commit is under way" wait_for 20 edu_doing "$a" remove
check_eq "it counts from the first touch" "$(cat "$t/state") $(between 500 600 && echo yes)" "committing yes"
check "on and on" wait_for 30 left_below 597
check_eq "confirm while committing" "$(write_errno "$t/confirm" 1)" EBUSY
check_eq "no timeout any more" "$(write_errno "$t/confirm_timeout" 0)" EBUSY
check_eq "one that is too long" "$(write_errno "$t/confirm_timeout" 604801)" EINVAL
check "by which it counts as before" between 1 597
check_eq "a new one" "$(write_errno "$t/confirm_timeout" 300) $(cat "$t/confirm_timeout")" "0 300"
check "starts it anew" between 200 300
check_eq "also a longer one" "$(write_errno "$t/confirm_timeout" 3000)" 0
check "which counts from now on" between 2900 3000
check_eq "without capabilities it cannot be written" "$(try -d sys_admin write "$t/confirm_timeout" 7)" EACCES
check "and does not count" between 2800 3000
wait_for 30 left_below 2997
left=$(remaining)
edu_set "$a" remove_hold 0
check_eq "the commit ends" "$(ended counts) $(cat "$t/state")" "0 unconfirmed"
check "which starts nothing anew" between 1 "$left"
left=$(remaining)
check "it counts on" wait_for 30 left_below "$left"
check_eq "confirmed" "$(write_errno "$t/confirm" 1) $(remaining)" "0 0"
check_eq "undone" "$(write_errno "$t/rollback" 1) $(remaining)" "0 0"
txn_end "$t"

# Without a timeout there is none to start.
stage_edu without identity
edu_set "$a" remove_hold 1
start without "$t/commit"
check "a commit without a timeout" wait_for 20 edu_doing "$a" remove
check_eq "nothing remains" "$(remaining)" 0
check_eq "and nothing can be started" "$(write_errno "$t/confirm_timeout" 5) $(cat "$t/confirm_timeout")" "EBUSY 0"
edu_set "$a" remove_hold 0
check_eq "it ends" "$(ended without) $(cat "$t/state") $(remaining)" "0 committed 0"
# In a rollback neither
edu_set "$a" remove_hold 1
start without "$t/rollback"
check "a rollback" wait_for 20 edu_doing "$a" remove
check_eq "has no countdown" "$(write_errno "$t/confirm_timeout" 5) $(remaining)" "EBUSY 0"
edu_set "$a" remove_hold 0
check_eq "it ends" "$(ended without)" 0
txn_end "$t"

# A commit that touches nothing counts from its end.
stage_edu nothing "$boot"
echo 600 > "$t/confirm_timeout"
check_eq "nothing to touch" "$(write_errno "$t/commit" 1)" 0
check "it counts all the same" between 500 600
echo 1 > "$t/confirm_timeout"
check "and ends" wait_for 30 is "$t/state" rolled-back
check_eq "with nothing left" "$(remaining)" 0
txn_end "$t"

# What is written while a commit hangs counts at once.
stage_edu shorter identity
echo 100 > "$t/step_timeout"
echo 600 > "$t/confirm_timeout"
edu_set "$a" remove_hold 1
start shorter "$t/commit"
check "a commit hangs" wait_for 20 edu_doing "$a" remove
check "the other group is released" wait_for 20 unbound "$d"
check_eq "a shorter timeout" "$(write_errno "$t/confirm_timeout" 1)" 0
check "takes the other group back" wait_for 30 all_bound "$d" "$e"
edu_set "$a" remove_hold 0
check_eq "and cancels the commit" "$(ended shorter) $(cat "$t/state") $(remaining)" "ECANCELED staged 0"
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Suspend
if [ ! -e /sys/power/pm_test ] || ! grep -q freeze /sys/power/state; then
	skip "suspend" "the kernel cannot test it (PM_DEBUG)"
	edu_end
	finish
fi
echo freezer > /sys/power/pm_test
delay=/sys/module/suspend/parameters/pm_test_delay
old_delay=$(cat $delay)

stage_edu sleeps identity
echo 600 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1)" 0
echo 15 > $delay
echo 10 > "$t/confirm_timeout"
check_eq "a suspend that takes longer than what remains" "$(write_errno /sys/power/state freeze)" 0
check_eq "it stood still" "$(cat "$t/state") $(between 1 10 && echo yes)" "unconfirmed yes"
echo 600 > "$t/confirm_timeout"
echo "$old_delay" > $delay
check_eq "undone" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

stage_edu hangs identity
step_limit 4
edu_set "$a" remove_hold 1
check_eq "a step is given up on" "$(write_errno "$t/commit" 1)" EIO
check_eq "suspend while it hangs" "$(write_errno /sys/power/state freeze)" EBUSY
check_eq "which leaves the hang alone" "$(edu_get "$a" doing) $(cat "$t/state")" "remove failed"
# A take-back is a commit like any other.
edu_set "$a" probe_hold 1
edu_set "$a" remove_hold 0
check "the group is taken back" wait_for 20 edu_doing "$a" probe
check_eq "suspend while it is" "$(write_errno /sys/power/state freeze)" EBUSY
edu_set "$a" probe_hold 0
check "it comes to its end" wait_for 30 status_is "$t" "$edu" restored
check_eq "then suspend works" "$(write_errno /sys/power/state freeze)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
echo none > /sys/power/pm_test

edu_end
finish
