#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Fault injection while commits run: the n-th switch fails, for every n; then any
# allocation below the module, now and then. After each commit the groups are all
# new or all old, and every driver is bound.
#
# In the tree the core gives a group back by an attach that must not fail, and warns where
# there is no memory for it, whoever has had the group.
#
# machines: vtd
# timeout: 300
# races: yes
# klog-allow: WARNING: .*\b__iommu_release_dma_ownership\+

. /lab/lib.sh
. /lab/tests/faults.sh

DEBUG=/sys/kernel/debug
FAIL=$DEBUG/fail_iommu_configfs

load_module
[ -d "$FAIL" ] || skip_all "this kernel has no fault injection"

edu_setup
disk2=$(group_of disk2)
wrote=$(fill "$(wait_disk "$(dev disk2 0)")" 2 47)
before=$(groups_now "$edu" "$edu2" "$disk2")
wanted=$(echo "$before" | sed 's/^\([0-9]*\) [A-Za-z-]*/\1 identity/')

# What is not asked for happens to nobody.
set_faults "$FAIL" verbose=0 interval=1 probability=0
stage_edu none identity "$disk2"
check_eq "without a fault it is done" "$(write_errno "$t/commit" 1)" 0
check_eq "all groups and drivers" "$(groups_now "$edu" "$edu2" "$disk2")" "$wanted"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

n=1
while [ $n -le 3 ]; do
	stage_edu "nth-$n" identity "$disk2"
	wait_disk "$(dev disk2 0)" >/dev/null
	set_faults "$FAIL" probability=100 times=1 space=$n
	check_eq "switch $n fails" "$(write_errno "$t/commit" 1)" ECANCELED
	check_eq "it was asked for" "$(cat "$FAIL/times")" 0
	check_report "the report says where" "$t" "^[0-9]+ - switch ENOMEM "
	check_state "it can be tried again" "$t" staged
	check_as_before "every group and driver is as before" "$before" "$edu" "$edu2" "$disk2"

	# The way back needs switches too, and does not give up over one.
	wait_disk "$(dev disk2 0)" >/dev/null
	set_faults "$FAIL" probability=100 times=4 space=$n
	check_eq "this and the next three fail" "$(write_errno "$t/commit" 1)" ECANCELED
	set_faults "$FAIL" probability=0 times=0 space=0
	check_as_before "as before all the same" "$before" "$edu" "$edu2" "$disk2"
	txn_end "$t"
	n=$((n + 1))
done

# Switch four and five are those of the way back; one that had to go there and back.
stage_edu back identity "$disk2"
wait_disk "$(dev disk2 0)" >/dev/null
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
set_faults "$FAIL" probability=100 times=2 space=0
check_eq "a rollback goes on over failed switches" "$(write_errno "$t/rollback" 1)" 0
set_faults "$FAIL" probability=0 times=0
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

# acpica 1|\$: where in the kernel the first and the last function of ACPICA are. Its ways
# out of an allocation that fails free what they still use, which is not for us to mend.
acpica()
{
	grep -E ' [tT] (acpi_(ds|ev|ex|hw|ns|ps|rs|ut)_|_etext$)' /proc/kallsyms | sort |
		sed '/ _etext$/,$d' | sed -n "$1{s/^/0x/;s/ .*//p}"
}

if [ -d "$DEBUG/failslab" ] && [ -e "$DEBUG/failslab/require-start" ]; then
	set_faults "$DEBUG/failslab" verbose=0 task-filter=N ignore-gfp-wait=N interval=1 \
		stacktrace-depth=32
	fail_below_module
	if [ -n "$(acpica 1)" ]; then
		set_faults "$DEBUG/failslab" reject-start="$(acpica 1)" \
			reject-end="$(acpica '$')"
	fi
	done=0 refused=0 canceled=0 failed=0 other=
	round=0
	while [ $round -lt 40 ]; do
		round=$((round + 1))
		now=$(groups_now "$edu" "$edu2")
		t=
		stage_edu "slab-$round" identity 2>/dev/null
		set_faults "$DEBUG/failslab" times=-1 probability=$((round % 8 + 1))
		result=$(write_errno "$t/commit" 1)
		set_faults "$DEBUG/failslab" probability=0
		case $result in
		0)
			done=$((done + 1))
			now=$(echo "$before" | sed '$d;s/^\([0-9]*\) [A-Za-z-]*/\1 identity/')
			;;
		ENOMEM)		refused=$((refused + 1)) ;;
		ECANCELED)	canceled=$((canceled + 1)) ;;
		EIO)
			failed=$((failed + 1))
			# A driver that had no luck on the way back gets its chance.
			[ "$(write_errno "$t/rollback" 1)" = 0 ] || other="$other $round:rollback"
			;;
		*)		other="$other $round:$result" ;;
		esac
		if [ "$(groups_now "$edu" "$edu2")" != "$now" ]; then
			other="$other $round:halves"
			say "round $round, $result:" "$(groups_now "$edu" "$edu2")" "instead of" "$now" \
				"$(report "$t")"
			edu_mend
		fi
		txn_end "$t"
	done
	say "40 commits with failing allocations: $done done, $refused refused," \
		"$canceled restored, $failed restored by a second try"
	check_eq "after each, groups are all new or all old" "$other" ""
	check "allocations did fail" test $((refused + canceled + failed)) -gt 0
	set_faults "$DEBUG/failslab" require-start=0 require-end=0xffffffffffffffff \
		reject-start=0 reject-end=0
else
	skip "failing allocations" "this kernel has no failslab with a stack filter"
fi

edu_end
check_eq "the disk has its data" "$(sum "$(wait_disk "$(dev disk2 0)")" 2)" "$wrote"
finish
