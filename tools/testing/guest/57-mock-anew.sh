#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A device whose remove deletes other members of its group, and whose probe makes them
# anew, as the driver of Intel's VMD does: they are waited for and verified, by name, or by
# count and driver where names change, on the way forward and on the way back.
#
# machines: mock
# timeout: 180

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# members N: "DEVICES BOUND TYPES-FOUND" of a group.
members()
{
	echo "$(sed -n "s/^$1 .* \(devices=.*\) type.*/\1/p" $MOCK/groups) $(mock_found "$1")"
}

mock_load
mock_create 1 2 child=1
mock_create 1 2 child=2
boot=$(group_type "$(mock_ids 0)")
all=$(mock_now 0)
check_eq "each of them has a child" "$(mock_now 0 1 | cut -d ' ' -f 3- | xargs)" \
	"mock.0=mock mock.1=mock mock.10000=mock mock.10001=mock mock.2=mock mock.3=mock mock.10002=mock mock.10003=mock"

stage_mock anew identity 0 1
check_eq "commit" "$(write_errno "$t/commit" 1) $(report "$t")" "0 "
check_eq "the same names" "$(mock_now 0 | cut -d ' ' -f 3-)" "$(echo "$all" | cut -d ' ' -f 3-)"
check_eq "all are there, and have the new type" "$(members 0), $(members 1)" \
	"devices=4 bound=4 identity, devices=4 bound=4 identity"
check_eq "the children are others" "$(mock_get mock.10000 removes) $(mock_get mock.10002 driver)" "0 "
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(report "$t")" "0 "
check_eq "all are there, and have the old type" "$(members 0), $(members 1)" \
	"devices=4 bound=4 $boot, devices=4 bound=4 $boot"
check_mock_as_before "as before" "$all" 0
txn_end "$t"

# One that is not made anew: once, and the way back makes it.
for group in 0 1; do
	parent=$((2 * group))
	child=$(mock_drivers $group | tr ' ' '\n' | sed -n "s/\(mock\.[0-9]0*$parent\)=.*/\1/p")
	stage_mock once identity 0 1
	mock_set "$parent" child_skips 1
	check_eq "$group: a child that is not made anew" "$(write_errno "$t/commit" 1)" ECANCELED
	check_eq "$group: is named, and no other" "$(report "$t" | cut -d ' ' -f 1-4)" \
		"$(mock_ids $group) $child verify ENODEV"
	check_eq "$group: all are there again" "$(members 0), $(members 1)" \
		"devices=4 bound=4 $boot, devices=4 bound=4 $boot"
	txn_end "$t"
done

# On the way back as well; and one that comes without its driver is not back.
stage_mock lost identity 0
mock_set 0 child_skips 2
check_eq "not on the way back either" "$(write_errno "$t/commit" 1)" EIO
check_state "state" "$t" failed
check_report "is named" "$t" " mock.10000 restore ENODEV .*made anew"
check_eq "the rest is as before" "$(members 0)" "devices=3 bound=3 $boot"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
echo mock.0 > /sys/bus/platform/drivers/mock/unbind
echo mock.0 > /sys/bus/platform/drivers/mock/bind
check_mock_as_before "as before" "$all" 0

check_mock_clean "in all that"
mock_end
finish
