#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Devices and whole groups that go, or come, at each moment of a commit: it is cancelled,
# the rest is as before, and what is gone is no failure.
#
# machines: mock
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# fresh: groups of 3, 3, 1 and 2 devices. Sets g0 to g3, before.
fresh()
{
	echo all > $MOCK/destroy
	mock_create 2 3
	mock_create 1 1
	mock_create 1 2
	for n in 0 1 2 3; do
		eval "g$n=\$(mock_ids $n)"
	done
	boot=$(group_type "$g0")
	before=$(mock_now 0 1 2 3)
	mock_count_anew
}

# held STAT NUMBER: the commit in the background has come that far.
held()
{
	check "$1: $2 at once" wait_for 30 is_stat "$1" "$2"
}

# but DEVICE...: what was before, without these devices.
but()
{
	local dev text=$before
	for dev; do
		text=$(echo "$text" | sed "s/ $dev=[^ ]*//")
	done
	echo "$text"
}

# unplugged WHAT ERRNO STATE TXN: how a commit in the background ended.
unplugged()
{
	check_eq "$1: the commit" "$(ended go)" "$2"
	check_state "$1: state" "$4" "$3"
}

# gone ID: for wait_for.
gone()
{
	[ ! -e "$SYS_GROUPS/$1" ]
}

mock_load

# ---------------------------------------------------------------- before

fresh
stage_mock early identity 0 2
echo mock.6 > $MOCK/destroy
check "a staged group keeps its number without devices" test -e "$SYS_GROUPS/$g2"
check_eq "it has none" "$(cat "$t/$g2/devices")" ""
for action in check commit; do
	check_eq "$action of a group without device" "$(write_errno "$t/$action" 1)" ENODEV
	check_report "$action names it" "$t" "^$g2 - check ENODEV "
done
mock_create 1 1
check_not "a new group has another number" [ "$(mock_ids 4)" = "$g2" ]
check_eq "nothing was released" "$(mock_stat removes)" 1
rmdir "$t/$g2"
check "out of the transaction, it goes" wait_for 10 gone "$g2"
check_eq "the rest is done" "$(write_errno "$t/commit" 1)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
check_mock_as_before "as before" "$(but mock.6 | sed '/^2 /d')" 0 1 3

# ---------------------------------------------------------------- while drivers go

# A member, and all of a group, when other drivers are still on their way out.
fresh
stage_mock release identity 0 1 2
mock_set mock.0 remove_hold 1
start go "$t/commit"
held removing 1
check "the others are released" wait_for 30 is_stat removes 6
echo mock.4 > $MOCK/destroy
mock_set mock.0 remove_hold 0
unplugged "a released member goes" ECANCELED staged "$t"
check_report "which is reported" "$t" "^$g1 mock.4 (probe|verify) ENODEV "
check_mock_as_before "the rest is as before" "$(but mock.4)" 0 1 2 3
check_eq "the next commit is done" "$(write_errno "$t/commit" 1) $(mock_found 1)" "0 identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$(but mock.4)" 0 1 2 3
txn_end "$t"

fresh
stage_mock empty identity 0 1 2
mock_set mock.0 remove_hold 1
start go "$t/commit"
held removing 1
check "the others are released" wait_for 30 is_stat removes 6
echo group:2 > $MOCK/destroy
echo group:1 > $MOCK/destroy
mock_set mock.0 remove_hold 0
unplugged "two groups go, whole" ECANCELED staged "$t"
# The first one ends the commit.
check_report "one is reported" "$t" "^($g1 (-|mock.[345])|$g2 (-|mock.6)) (switch|probe|verify) ENODEV "
check_mock_as_before "the rest is as before" "$(but | sed '/^[12] /d')" 0 3
check_eq "the next is refused" "$(write_errno "$t/commit" 1)" ENODEV
rmdir "$t/$g1" "$t/$g2"
check "they are gone" wait_for 10 gone "$g1"
check_eq "without them it is done" "$(write_errno "$t/commit" 1) $(mock_found 0)" "0 identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# The one that is being released; another one keeps the commit from going on without it.
fresh
stage_mock same identity 0 1
mock_set mock.0 remove_hold 1
mock_set mock.3 remove_hold 1
start go "$t/commit"
held removing 2
echo mock.0 > $MOCK/destroy &
pid=$!
mock_set mock.0 remove_hold 0
wait $pid
mock_set mock.3 remove_hold 0
unplugged "it goes itself" ECANCELED staged "$t"
check_mock_as_before "the rest is as before" "$(but mock.0)" 0 1 2 3
txn_end "$t"

# ---------------------------------------------------------------- while groups are switched

fresh
stage_mock switch identity 0 1 2
mock_set mock.1 attach_hold 1
start go "$t/commit"
held attaching 1
check "the others are switched" wait_for 30 are_types "identity identity" 1 2
echo mock.4 > $MOCK/destroy
echo group:2 > $MOCK/destroy
mock_set mock.1 attach_hold 0
unplugged "a member and a group that are switched go" ECANCELED staged "$t"
check_mock_as_before "the rest is as before" "$(but mock.4 | sed '/^2 /d')" 0 1 3
check_eq "as the devices find" "$(mock_found)" "$boot"
txn_end "$t"

# In the group that is being switched: it has to wait for that.
fresh
stage_mock switch2 identity 0 1
mock_set mock.1 attach_hold 1
mock_set mock.3 probe_hold 1
start go "$t/commit"
held attaching 1
echo mock.2 > $MOCK/destroy &
pid=$!
check "it is about to go" wait_for 30 mock_is mock.2 iommu -1
mock_set mock.1 attach_hold 0
wait $pid
mock_set mock.3 probe_hold 0
unplugged "a member of a group that is being switched goes" ECANCELED staged "$t"
check_mock_as_before "the rest is as before" "$(but mock.2)" 0 1 2 3
txn_end "$t"

# ---------------------------------------------------------------- while drivers come

fresh
stage_mock probe identity 0 1 2
mock_set mock.0 probe_hold 1
start go "$t/commit"
held probing 1
check "the others are bound" wait_for 30 is_stat probes 6
echo mock.4 > $MOCK/destroy
mock_set mock.0 probe_hold 0
unplugged "one that is bound again goes" ECANCELED staged "$t"
check_report "which is reported" "$t" "^$g1 mock.4 verify ENODEV "
check_mock_as_before "the rest is as before" "$(but mock.4)" 0 1 2 3
txn_end "$t"

fresh
stage_mock probe2 identity 0 1 2
mock_set mock.0 probe_hold 1
mock_set mock.3 probe_hold 1
mock_set mock.3 probe_errors 1
start go "$t/commit"
held probing 2
check "the others are bound" wait_for 30 is_stat probes 5
mock_set mock.3 probe_hold 0
check "one fails" wait_for 30 is_stat probes_failed 1
echo group:2 > $MOCK/destroy
echo mock.0 > $MOCK/destroy &
pid=$!
check "the one is about to go" wait_for 30 mock_is mock.0 iommu -1
mock_set mock.0 probe_hold 0
unplugged "one that is being probed goes, and a group, and a probe fails" ECANCELED staged "$t"
wait $pid
check_report "the probe is reported" "$t" "^$g1 mock.3 probe EIO "
check_mock_as_before "the rest is as before" "$(but mock.0 | sed '/^2 /d')" 0 1 3
check_eq "as the devices find" "$(mock_found)" "$boot"
txn_end "$t"

# Everything there is.
fresh
stage_mock everything identity 0 1 2 3
mock_set mock.0 probe_hold 1
start go "$t/commit"
held probing 1
check "the others are bound" wait_for 30 is_stat probes 8
echo all > $MOCK/destroy &
pid=$!
check "all are about to go" wait_for 30 mock_is mock.0 iommu -1
mock_set mock.0 probe_hold 0
unplugged "everything goes" ECANCELED staged "$t"
wait $pid
check_eq "nothing is left" "$(mock_stat devices) $(mock_stat groups) $(mock_stat domains)" "0 0 0"
check_eq "a group without devices" "$(cat "$t/$g0/devices")" ""
check_eq "nor is there anything to do" "$(write_errno "$t/commit" 1)" ENODEV
# The driver of the IOMMU, too.
check "the mock unloads meanwhile" rmmod mock_iommu
for file in type current_type devices status; do
	check_eq "$file can be read" "$(try read "$t/$g0/$file")" 0
done
check_eq "still ENODEV" "$(write_errno "$t/check" 1)" ENODEV
txn_end "$t"
check "the groups are gone" wait_for 10 gone "$g0"
mock_load

# ---------------------------------------------------------------- while DMA-FQ is set

# in_stack FUNCTION: some thread is in it; for wait_for.
in_stack()
{
	cat /proc/[0-9]*/stack 2>/dev/null | grep -q "^[^ ]* $1+"
}

# in_stacks NUMBER FUNCTION: that many threads are; for wait_for.
in_stacks()
{
	[ "$(grep -l "^[^ ]* $2+" /proc/[0-9]*/stack 2>/dev/null | wc -l)" -ge "$1" ]
}

# The core of a stock kernel looks for the domain before it takes the lock of the group.
if grep -q ' icfg_core_wait_set_type' /proc/kallsyms; then
	fresh
	stage_mock first DMA 0 2
	first=$t
	echo identity > "$t/$g0/type"
	check_eq "types from which there is a way to DMA-FQ" "$(write_errno "$t/commit" 1)" 0

	# A device of the group that begins to leave now waits until it is set; others,
	# see mock-hang, do not.
	stage_mock fq DMA-FQ 0
	mock_set mock.0 attach_hold 1
	mock_set mock.1 leave_hold 1
	start go "$t/commit"
	held attaching 1
	echo mock.1 > $MOCK/destroy &
	pid=$!
	check "what leaves while DMA-FQ is set waits" wait_for 30 in_stack icfg_core_wait_set_type
	check_eq "and has not left" "$(mock_stat leaving)" 0
	mock_set mock.0 attach_hold 0
	check "then it leaves" wait_for 30 is_stat leaving 1
	mock_set mock.1 leave_hold 0
	wait $pid
	unplugged "with a member that is gone" ECANCELED staged "$t"
	txn_end "$t"

	# DMA-FQ is not set where all devices are about to leave.
	stage_mock leaves DMA-FQ 0 2
	echo DMA > "$t/$g0/type"
	mock_set mock.0 probe_hold 1
	mock_set mock.6 leave_hold 1
	start go "$t/commit"
	held probing 1
	echo mock.6 > $MOCK/destroy &
	pid=$!
	check "the only device of a group is about to leave" wait_for 30 is_stat leaving 1
	mock_set mock.0 probe_hold 0
	unplugged "DMA-FQ is not set any more" ECANCELED staged "$t"
	check_report "which is reported" "$t" "^$g2 - switch EINVAL "
	mock_set mock.6 leave_hold 0
	wait $pid
	check_eq "the other group is as before" "$(group_type "$g0") $(mock_found 0)" "identity identity"
	txn_end "$t"
	txn_end "$first"
else
	skip "what leaves while DMA-FQ is set" "the IOMMU core of this kernel minds that itself"

	# It does: the last device goes while DMA-FQ is written through sysfs and waits.
	fresh
	mock_create 1 1 nodriver
	g4=$(mock_ids 4)
	sysfs=$SYS_GROUPS/$g4/type
	mock_set mock.9 attach_hold 1
	write_errno "$sysfs" identity > /tmp/first &
	first=$!
	held attaching 1
	echo mock.9 > $MOCK/destroy &
	pid=$!
	check "the only device of a group waits to leave" wait_for 30 in_stack __iommu_group_remove_device
	write_errno "$sysfs" DMA-FQ > /tmp/second &
	second=$!
	check "DMA-FQ waits behind it" wait_for 30 in_stacks 2 iommu_group_store_type
	mock_set mock.9 attach_hold 0
	wait $first $second $pid
	check_eq "the device was there for the first, and not for the second" \
		"$(cat /tmp/first) $(cat /tmp/second)" "0 EINVAL"
	check "the group is gone" wait_for 10 gone "$g4"
fi

# ---------------------------------------------------------------- on the way back

fresh
stage_mock back identity 0 1 2 3
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
echo mock.1 > $MOCK/destroy
echo group:2 > $MOCK/destroy
check_eq "rollback without what is gone" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_mock_as_before "the rest is as before" "$(but mock.1 | sed '/^2 /d')" 0 1 3
txn_end "$t"

fresh
stage_mock back2 identity 0 1 2
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
mock_count_anew
mock_set mock.0 remove_hold 1
start go "$t/rollback"
held removing 1
check "the others are released" wait_for 30 is_stat removes 6
echo mock.4 > $MOCK/destroy
echo group:2 > $MOCK/destroy
mock_set mock.0 remove_hold 0
check_eq "a rollback on whose way something goes" "$(ended go) $(cat "$t/state")" "0 rolled-back"
check_mock_as_before "the rest is as before" "$(but mock.4 | sed '/^2 /d')" 0 1 3
txn_end "$t"

fresh
stage_mock timer identity 0 1 2
echo 600 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1)" 0
echo group:1 > $MOCK/destroy
echo 1 > "$t/confirm_timeout"
check "the timer takes the rest back" wait_for 30 is "$t/state" rolled-back
check_mock_as_before "the rest is as before" "$(but | sed '/^1 /d')" 0 2 3
txn_end "$t"

fresh
stage_mock timer2 identity 0 1 2 3
echo 600 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1)" 0
echo all > $MOCK/destroy
echo 1 > "$t/confirm_timeout"
check "the timer has nothing left to do" wait_for 30 is "$t/state" rolled-back
txn_end "$t"

# ---------------------------------------------------------------- those that come

# Before the switch: released as well, and back under the new type.
fresh
stage_mock joins identity 0 1
mock_set mock.0 remove_hold 1
start go "$t/commit"
held removing 1
echo 1 > $MOCK/join
check_eq "a newcomer is bound" "$(mock_get mock.9 driver) $(mock_get mock.9 found)" "mock $boot"
mock_set mock.0 remove_hold 0
check_eq "the commit takes it along" "$(ended go) $(report "$t")" "0 "
check_eq "it was released" "$(mock_get mock.9 removes) $(mock_get mock.9 driver)" "1 mock"
check_eq "and finds the new type" "$(mock_get mock.9 found) $(mock_found 1)" "identity identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "and the old one" "$(mock_now 1) $(mock_found 1)" "$(echo "$before" | sed -n 2p) mock.9=mock $boot"
txn_end "$t"

# After it: it is there under the new type, and is not disturbed.
fresh
stage_mock late identity 0 1
mock_set mock.0 probe_hold 1
start go "$t/commit"
held probing 1
echo 1 > $MOCK/join
mock_set mock.0 probe_hold 0
check_eq "a latecomer does no harm" "$(ended go)" 0
check_eq "and stays" "$(mock_get mock.9 removes) $(mock_get mock.9 found)" "0 identity"
check_eq "rollback releases it as well" "$(write_errno "$t/rollback" 1)" 0
check_eq "it finds the old type" "$(mock_get mock.9 removes) $(mock_get mock.9 driver) $(mock_get mock.9 found)" "1 mock $boot"
check_eq "as all do" "$(mock_found)" "$boot"
txn_end "$t"

# Newcomers without end before the switch: bounded tries, then all is as before.
fresh
stage_mock endless identity 0 1
mock_set mock.0 remove_hold 1
start go "$t/commit"
held removing 1
mock_set mock.3 attach_delay_ms 20
{
	while [ ! -e /tmp/end.go ]; do
		echo 1 > $MOCK/join
	done
} &
pid=$!
mock_set mock.0 remove_hold 0
check_match "newcomers without end" "$(ended go)" "^(0|ECANCELED)$"
wait $pid
check_not "leave no group half-way" grep -q type=mixed $MOCK/groups
check_eq "nor a device without driver" "$(grep -c ' driver=- ' $MOCK/devices)" 0
check_eq "all devices find the type of their group" \
	"$(mock_found 0) $(mock_found 1)" "$(group_type "$g0") $(group_type "$g1")"
check_eq "both groups have the same" "$(group_type "$g0")" "$(group_type "$g1")"
txn_end "$t"

check_mock_clean "in all that"
mock_end
finish
