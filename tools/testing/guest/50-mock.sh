#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Groups of the mock IOMMU change like real ones; each device finds out by DMA of its
# own under which type it runs, and no mapping is left behind.
#
# machines: mock vtd
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

mock_load
check_eq "the mock begins with nothing" "$(cat $MOCK/groups $MOCK/devices)" ""
mock_create 3 4
check_eq "three groups of four" "$(mock_stat groups) $(mock_stat devices)" "3 12"
check_eq "which the core sees so" "$(for id in $(mock_ids); do ls "$SYS_GROUPS/$id/devices" | wc -l; done | xargs)" "4 4 4"
before=$(mock_now 0 1 2)
boot=$(group_type "$(mock_ids 0)")
check_eq "all devices are bound" "$(mock_drivers 1)" "mock.4=mock mock.5=mock mock.6=mock mock.7=mock"
check_eq "and use the type of the boot" "$(mock_found)" "$boot"
check_match "they map their memory" "$(mock_stat pages)" "^12$"

mkdir $CONFIGFS/x "$CONFIGFS/x/$(mock_ids 2)"
check_eq "the group shows its devices" "$(cat "$CONFIGFS/x/$(mock_ids 2)/devices")" "platform mock.8 mock any
platform mock.9 mock any
platform mock.10 mock any
platform mock.11 mock any"
rmdir "$CONFIGFS/x/$(mock_ids 2)" $CONFIGFS/x

last=$boot
for type in identity DMA identity DMA-FQ DMA auto; do
	was=$(mock_now 0 1)
	each=8
	[ "$last-$type" != DMA-FQ-DMA ] || ! both_ways || each=0
	last=$type
	mock_count_anew
	stage_mock types $type 0 1
	check_eq "$type: commit" "$(write_errno "$t/commit" 1)" 0
	check_eq "$type: report" "$(report "$t")" ""
	[ $type = auto ] || check_eq "$type: types and drivers" "$(mock_now 0 1)" "$(echo "$was" | awk -v type=$type '{ $2 = type; print }')"
	check_eq "$type: each device was released and probed once, but in place" \
		"$(mock_stat removes) $(mock_stat probes)" "$each $each"
	check_eq "$type: and is attached to it" "$(mock_types 0 1)" "$(group_type "$(mock_ids 0)") $(group_type "$(mock_ids 1)")"
	[ $each -eq 0 ] ||
		check_eq "$type: what the devices find" "$(mock_found 0) $(mock_found 1)" \
			"$(group_type "$(mock_ids 0)") $(group_type "$(mock_ids 1)")"
	check_mock_clean "$type"
	check_mock_as_before "$type: the third group is left alone" "$(echo "$before" | sed -n 3p)" 2
	for n in 0 1; do
		rmdir "$t/$(mock_ids $n)"
	done
	rmdir "$t"
done

# In place nobody is released, and what is mapped stays.
stage_mock strict DMA 0
check_eq "to DMA" "$(write_errno "$t/commit" 1)" 0
mock_count_anew
stage_mock lazy DMA-FQ 0
check_eq "in place" "$(write_errno "$t/commit" 1)" 0
check_status "says so" "$t" "$(mock_ids 0)" in-place
check_eq "nobody was released or attached" "$(mock_stat removes) $(mock_stat attaches)" "0 0"
check_eq "it is attached" "$(mock_get mock.0 type)" DMA-FQ
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(group_type "$(mock_ids 0)")" "0 DMA"
if both_ways; then
	check_eq "which does not, either" "$(mock_stat removes) $(mock_stat attaches)" "0 0"
else
	check_eq "which releases" "$(mock_stat removes) $(mock_stat probes) $(mock_found 0)" "4 4 DMA"
fi
check_mock_clean "in place and back"
txn_end "$t"
txn_end "$CONFIGFS/strict"

# One step of many waits, and the next write lets it go.
stage_mock waits identity 1
echo 5 > $MOCK/hang
start waits "$t/commit"
check "the fifth step waits" wait_for 20 has $MOCK/hang '^mock\.[4-7] attach$'
check_eq "after four removes" "$(mock_stat removing) $(mock_stat attaching)" "0 1"
echo 4 > $MOCK/hang
check "then the fourth from there" wait_for 20 has $MOCK/hang '^mock\.[4-7] probe$'
echo 0 > $MOCK/hang
check_eq "then none" "$(ended waits) $(cat $MOCK/hang)" "0 -"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

stage_mock back "$boot" 0 1
check_eq "back to the boot type" "$(write_errno "$t/commit" 1)" 0
rmdir "$t/$(mock_ids 0)" "$t/$(mock_ids 1)" "$t"
check_mock_as_before "all are as before" "$before" 0 1 2
check_eq "a domain for each group" "$(mock_stat domains)" 3
mock_end
finish
