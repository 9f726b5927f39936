#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Suspend and transactions exclude each other, either way; a timer that comes due
# meanwhile runs after resume.
#
# The machine does not really sleep: /sys/power/pm_test ends the suspend after the
# freezer has stopped user space, five seconds later.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180

. /lab/lib.sh

[ -e /sys/power/pm_test ] || skip_all "the kernel cannot test its suspend (PM_DEBUG)"
grep -q freeze /sys/power/state || skip_all "the kernel cannot suspend to idle"

load_module
edu_load
group=$(group_of edu)
a=$(dev edu 0)
was=$(group_type "$group")
before=$(drivers_of "$group")
echo freezer > /sys/power/pm_test

# A commit that is under way: suspend is refused, and the commit goes on.
t=$(txn_new under-way)
stage "$t" "$group" identity
edu_set "$a" probe_hold 1
rm -f /tmp/rc
try write "$t/commit" 1 > /tmp/rc &
wait_for 20 edu_doing "$a" probe || bail "no probe"
check_eq "suspend during a commit" "$(write_errno /sys/power/state freeze)" EBUSY
check_eq "the commit is not disturbed" "$(cat "$t/state")" committing
edu_set "$a" probe_hold 0
wait_for 30 test -s /tmp/rc
check_eq "and ends well" "$(cat /tmp/rc) $(cat "$t/state")" "0 committed"
check_eq "then suspend works" "$(write_errno /sys/power/state freeze)" 0
check_eq "and leaves it" "$(cat "$t/state") $(group_type "$group") $(drivers_of "$group")" "committed identity $before"

edu_set "$a" remove_hold 1
rm -f /tmp/rc
try write "$t/rollback" 1 > /tmp/rc &
wait_for 20 edu_doing "$a" remove || bail "no remove"
check_eq "suspend during a rollback" "$(write_errno /sys/power/state freeze)" EBUSY
edu_set "$a" remove_hold 0
wait_for 30 test -s /tmp/rc
check_eq "which ends well" "$(cat /tmp/rc) $(group_type "$group")" "0 $was"
txn_end "$t"

# An unconfirmed commit waits on and does not keep the machine awake. Its time
# stands still, and what comes due meanwhile runs after resume.
t=$(txn_new waiting)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "an unconfirmed commit" "$(write_errno "$t/commit" 1)" 0
# The kernel's clock goes on in this suspend, as on machines without idle states.
delay=/sys/module/suspend/parameters/pm_test_delay
old_delay=$(cat $delay)
echo 15 > $delay
echo 10 > "$t/confirm_timeout"
check_eq "a suspend that takes longer than it" "$(write_errno /sys/power/state freeze)" 0
check_eq "its time stood still" "$(cat "$t/state")" unconfirmed
echo 600 > "$t/confirm_timeout"
echo "$old_delay" > $delay
trace_start iommu_configfs power:suspend_resume
echo 4 > "$t/confirm_timeout"
check_eq "does not keep the machine from its sleep" "$(write_errno /sys/power/state freeze)" 0
check "the timer runs" wait_for 60 is "$t/state" rolled-back
check_eq "after resume" \
	"$(trace_stop | sed -nE 's/.*(icfg_release|thaw_processes).*/\1/p' | uniq | xargs)" \
	"thaw_processes icfg_release"
check_eq "and restores" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
check_eq "with nothing to report" "$(report "$t")" ""
txn_end "$t"

# A commit while the machine goes to sleep. Only the kernel runs then, but for a moment
# between the notifier and the freezer: a process that asks in a loop gets there.
t=$(txn_new asleep)
stage "$t" "$group" identity
rm -f /tmp/asked
(
	while [ ! -e /tmp/stop ]; do
		rc=$(write_errno "$t/check" 1)
		[ "$rc" = 0 ] || { echo "$rc $(report "$t")" > /tmp/asked; break; }
	done
) &
n=0
while [ ! -s /tmp/asked ] && [ $n -lt 3 ]; do
	n=$((n + 1))
	rc=$(write_errno /sys/power/state freeze)
	say "suspend $n: $rc"
done
touch /tmp/stop
wait
rm -f /tmp/stop
if [ -s /tmp/asked ]; then
	check_match "during suspend it is refused" "$(cat /tmp/asked)" '^EBUSY - - check EBUSY .*suspend'
else
	skip "during suspend it is refused" "no process got to ask between notifier and freezer"
fi
check_eq "afterwards it is not" "$(write_errno "$t/check" 1) $(cat "$t/state")" "0 staged"
txn_end "$t"

echo none > /sys/power/pm_test
edu_unload
finish
