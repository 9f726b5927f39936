#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Eight groups with a disk and a network interface each, and the chipset's, in
# one commit: all of them or none.
#
# machines: vtd-many
# timeout: 150
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh

load_module
names="disk disk2 disk3 disk4 disk5 disk6 disk7 disk8"
groups=
for name in $names chipset; do
	groups="$groups $(group_of $name)"
done

# shellcheck disable=SC2086 # groups are words
now()
{
	groups_now $groups
}

sums()
{
	local name
	for name in $names; do
		sum "$(wait_disk "$(dev $name 0)")" 2
	done
}

new()
{
	local group
	t=$(txn_new "$1")
	for group in $groups; do
		stage "$t" "$group" "$2"
	done
}

before=$(now)
n=0
for name in $names; do
	n=$((n + 1))
	fill "$(wait_disk "$(dev $name 0)")" 2 $n > /dev/null
done
sums=$(sums)
check_eq "eight disks differ" "$(echo "$sums" | sort -u | wc -l)" 8

# None: one of the disks is in use.
new none identity
generation=$(cat $CONFIGFS/generation)
pid=$(hold_open "/dev/$(disk_of "$(dev disk5 0)")" excl)
check_eq "one disk in use refuses all" "$(write_errno "$t/commit" 1)" EBUSY
check_report "the report names it" "$t" "^$(group_of disk5) $(dev disk5 0) check EBUSY "
check_eq "and only that" "$(wc -l < "$t/report")" 1
check_eq "nothing was touched" "$(now)" "$before"
check_eq "nor the generation" "$(cat $CONFIGFS/generation)" "$generation"
let_go "$pid"

# All of them.
check_eq "nine groups in one commit" "$(write_errno "$t/commit" 1)" 0
check_eq "report" "$(report "$t")" ""
check_eq "one generation" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_eq "all have type and drivers" "$(now)" "$(echo "$before" | awk '{ $2 = "identity"; print }')"
for group in $groups; do
	check_status "group $group" "$t" "$group" changed
done
check_eq "the data is what it was" "$(sums)" "$sums"
n=100
for name in $names; do
	n=$((n + 1))
	fill "$(wait_disk "$(dev $name 0)")" 2 $n > /dev/null
done
sums=$(sums)
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "all are as before" "$(now)" "$before"
check_eq "with the data of meanwhile" "$(sums)" "$sums"
txn_end "$t"

# Some unchanged, some in place, some released.
t=$(txn_new mixed)
stage "$t" "$(group_of disk)" DMA
stage "$t" "$(group_of disk2)" DMA
check_eq "two groups to DMA" "$(write_errno "$t/commit" 1)" 0
m=$(txn_new mixed2)
stage "$m" "$(group_of disk)" DMA-FQ
stage "$m" "$(group_of disk2)" DMA
stage "$m" "$(group_of disk3)" identity
check_eq "in place, unchanged and changed" "$(write_errno "$m/commit" 1)" 0
check_status "in place" "$m" "$(group_of disk)" in-place
check_status "unchanged" "$m" "$(group_of disk2)" unchanged
check_status "changed" "$m" "$(group_of disk3)" changed
sums > /tmp/sums
check_eq "data" "$(cat /tmp/sums)" "$sums"
check_eq "rollback of that" "$(write_errno "$m/rollback" 1)" 0
check_status "in place goes back" "$m" "$(group_of disk)" restored
check_status "unchanged stays" "$m" "$(group_of disk2)" unchanged
check_eq "and of the first" "$(write_errno "$t/rollback" 1)" 0
sums > /tmp/sums
check_eq "all are as before" "$(now)" "$before"
check_eq "data" "$(cat /tmp/sums)" "$sums"
txn_end "$m"
txn_end "$t"

# By the timer.
new timer identity
echo 600 > "$t/confirm_timeout"
check_eq "nine groups, unconfirmed" "$(write_errno "$t/commit" 1)" 0
sums > /tmp/sums
echo 1 > "$t/confirm_timeout"
check "the timer takes all back" wait_for 60 is "$t/state" rolled-back
check_eq "all are as before" "$(now)" "$before"
check_eq "data" "$(sums)" "$sums"
txn_end "$t"
finish
