#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Regions that firmware wants mapped 1:1 all the time: such a device refuses to be
# blocked, and never loses the mapping. And groups that are owned as by VFIO: left alone.
#
# machines: mock
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# own N VALUE: prints 0 or the errno's name.
own()
{
	try write $MOCK/set "group:$1 owned $2"
}

mock_load
mock_create 2 3 direct=1
mock_create 1 2
mock_create 1 3
mock_create 1 2 nodriver
echo "2 direct=1" > $MOCK/join
for n in 0 1 2 3 4; do
	eval "g$n=\$(mock_ids $n)"
done
boot=$(group_type "$g0")
before=$(mock_now 0 1 2 3 4)
check_match "the core knows the region" "$(cat "$SYS_GROUPS/$g0/reserved_regions")" "^0x[0-9a-f]+ 0x[0-9a-f]+ direct$"
check_match "also that of one device of three" "$(cat "$SYS_GROUPS/$g2/reserved_regions")" " direct$"
check_eq "and nothing of the kind elsewhere" "$(grep -c direct "$SYS_GROUPS/$g3/reserved_regions")" 0

# Into each type and out of it. Devices use the region while they are bound, and the mock
# counts where a domain comes without it.
was=$boot
for type in identity DMA identity DMA-FQ DMA "$boot"; do
	stage_mock direct $type 0 1 2
	case $was-$type in
	DMA-DMA-FQ)	how=in-place ;;
	DMA-FQ-DMA)	both_ways && how=in-place || how=changed ;;
	"$type-$type")	how=unchanged ;;
	*)		how=changed ;;
	esac
	mock_count_anew
	check_eq "$type: commit" "$(write_errno "$t/commit" 1) $(report "$t")" "0 "
	check_eq "$type: the group is" "$(head -n 1 "$t/$g0/status")" $how
	[ $how != changed ] ||
		check_eq "$type: as its devices find" "$(mock_found 0) $(mock_found 1) $(mock_found 2)" "$type $type $type"
	check_eq "$type: is attached" "$(mock_get mock.0 type) $(mock_get mock.13 type)" "$type $type"
	check_mock_clean "$type"
	rmdir "$t/$g0" "$t/$g1" "$t/$g2" "$t"
	was=$type
done
check_mock_as_before "as before" "$before" 0 1 2 3 4

# Failures on the way do not take the mapping away either.
stage_mock fails identity 0 1 2
mock_set mock.4 attach_errors_identity 1
check_eq "a domain that cannot be attached" "$(write_errno "$t/commit" 1)" ECANCELED
mock_set mock.4 probe_errors 1
check_eq "a probe that fails" "$(write_errno "$t/commit" 1)" ECANCELED
check_mock_as_before "as before" "$before" 0 1 2 3 4
check_mock_clean "cancelled"
check_eq "the third time it is done" "$(write_errno "$t/commit" 1) $(mock_found 0)" "0 identity"
mock_set mock.1 attach_errors_dma 1
check_eq "a rollback that fails" "$(write_errno "$t/rollback" 1)" EIO
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2 3 4
check_mock_clean "rolled back"
txn_end "$t"

# Nobody can own such a group: it would have to be blocked.
for n in 0 1 2 3 4 5; do
	echo mock.$n > /sys/bus/platform/drivers/mock/unbind
done
check_eq "the core does not block it" "$(own 0 1) $(mock_get mock.0 type)" "EINVAL $boot"
stage_mock unbound identity 0 1
check_eq "without drivers, too" "$(write_errno "$t/commit" 1) $(mock_get mock.0 type)" "0 identity"
check_eq "and back" "$(write_errno "$t/rollback" 1) $(mock_get mock.0 type)" "0 $boot"
txn_end "$t"
for n in 0 1 2 3 4 5; do
	echo mock.$n > /sys/bus/platform/drivers/mock/bind
done
check_mock_as_before "as before" "$before" 0 1 2 3 4

# A group that is owned is never touched, whatever is allowed.
check_eq "a bound group cannot be owned" "$(own 3 1)" EPERM
mock_set mock_nodriver.11 attach_errors_blocked 1
check_eq "one that cannot be blocked cannot be owned" "$(own 4 1) $(mock_get mock_nodriver.11 type)" "EIO $boot"
check_eq "a free one can" "$(own 4 1) $(mock_get mock_nodriver.11 type)" "0 blocked"
check_eq "its default type is what it was" "$(group_type "$g4")" "$boot"
for type in identity DMA; do
	stage_mock owned $type 3 4
	echo "net block" > "$t/allow_in_use"
	mock_count_anew
	for action in check commit; do
		check_eq "$type: $action" "$(write_errno "$t/$action" 1)" EBUSY
		check_report "$type: $action says who has it" "$t" "^$g4 - check EBUSY .*owned"
	done
	check_eq "$type: nothing was touched" "$(mock_stat removes) $(mock_stat attaches)" "0 0"
	txn_end "$t"
done
stage_mock owned "$boot" 4
check_eq "what it has it may keep" "$(write_errno "$t/commit" 1) $(head -n 1 "$t/$g4/status")" "0 unchanged"
txn_end "$t"
check_eq "given back" "$(own 4 0) $(mock_get mock_nodriver.11 type)" "0 $boot"
stage_mock given identity 3 4
check_eq "it changes" "$(write_errno "$t/commit" 1) $(mock_get mock_nodriver.11 type)" "0 identity"
check_eq "owned after a commit" "$(own 4 1)" 0
check_eq "a rollback asks as well" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EBUSY committed"
check_report "and says who has it" "$t" "^$g4 - check EBUSY .*owned"
check_eq "given back" "$(own 4 0)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2 3 4

# Owned before the timer comes: that group stays, the other one goes back.
txn_end "$t"
stage_mock timer identity 3 4
echo 600 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1)" 0
check_eq "owned" "$(own 4 1)" 0
echo 1 > "$t/confirm_timeout"
check "the timer leaves it alone" wait_for 30 is "$t/state" failed
check_report "and says why" "$t" "^$g4 - restore EBUSY .*owned"
check_eq "the other one went back" "$(group_type "$g3") $(group_type "$g4")" "$boot identity"
check_eq "given back" "$(own 4 0)" 0
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_mock_as_before "as before" "$before" 0 1 2 3 4
txn_end "$t"

# Taken between the check and the switch: the core refuses, and all goes back.
stage_mock between identity 3 4
mock_set mock.9 remove_hold 1
start between "$t/commit"
check "a driver takes its time to go" wait_for 30 is_stat removing 1
check_eq "meanwhile the other group is taken" "$(own 4 1)" 0
mock_set mock.9 remove_hold 0
check_eq "the commit is cancelled" "$(ended between)" ECANCELED
check_report "and says where" "$t" "^$g4 - switch EPERM "
check_eq "the owner keeps it" "$(mock_get mock_nodriver.11 type)" blocked
check_eq "given back" "$(own 4 0)" 0
check_mock_as_before "everything is as before" "$before" 0 1 2 3 4
check_eq "the next commit is done" "$(write_errno "$t/commit" 1) $(write_errno "$t/rollback" 1)" "0 0"
txn_end "$t"

check_mock_as_before "as before" "$before" 0 1 2 3 4
check_eq "no DMA went astray" "$(mock_stat faults)" 0
mock_end
finish
