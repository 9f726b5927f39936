#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What is unmapped while a group goes from DMA-FQ to DMA with its driver bound is out of
# the device's reach when the unmap has returned, however long it takes. The mock IOMMU
# keeps an unmapped page reachable until it is flushed.
#
# machines: mock vtd
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

mock_load
mock_create 1 2
group=$(mock_ids 0)
boot=$(group_type "$group")

# to TYPE: prints errno, type and method.
to()
{
	stage_mock to "$1" 0
	echo "$(write_errno "$t/commit" 1) $(group_type "$group") $(cat "$t/$group/method")"
	rmdir "$t/$group" "$t"
}

# unmapped [hold]: prints what became of the page.
unmapped()
{
	mock_write unmap mock.0 "$@" && cat $MOCK/unmap
}

# held: an unmap that has begun waits, in the background.
held()
{
	unmapped hold > /tmp/unmapped &
	unmapper=$!
	wait_for 20 is $MOCK/unmap held
}

# let_go: it goes on, and $page tells what became of its page.
let_go()
{
	mock_write unmap -
	wait $unmapper
	page=$(cat /tmp/unmapped)
}

to DMA > /dev/null
check_eq "DMA: what was unmapped is gone" "$(group_type "$group") $(unmapped)" "DMA gone"
check_eq "DMA-FQ" "$(to DMA-FQ)" "0 DMA-FQ in-place"
check_eq "it is reached yet" "$(unmapped)" reached

if ! both_ways; then
	skip "an unmap during the way back" "this kernel has none in place"
	to "$boot" > /dev/null
	mock_end
	finish
	exit
fi

for how in commit sysfs; do
	check "$how: an unmap that is to be queued takes its time" held
	case $how in
	commit)	check_eq "$how: DMA" "$(to DMA)" "0 DMA in-place" ;;
	sysfs)	check_eq "$how: DMA" "$(write_errno "$SYS_GROUPS/$group/type" DMA) $(group_type "$group")" "0 DMA" ;;
	esac
	check_eq "$how: the unmap is under way still" "$(cat $MOCK/unmap)" held
	let_go
	check_eq "$how: when it returns its page is gone" "$page" gone
	check_eq "$how: so is that of the next" "$(unmapped)" gone
	check_eq "$how: and back" "$(to DMA-FQ)" "0 DMA-FQ in-place"
	check_eq "$how: which is lazy" "$(unmapped)" reached
done

# Over the way back and forth again it may be queued.
check "an unmap takes its time" held
check_eq "DMA, and DMA-FQ again" "$(to DMA) $(to DMA-FQ)" "0 DMA in-place 0 DMA-FQ in-place"
let_go
check_eq "its page waits for a flush" "$page" reached
# And one that is not, is flushed by itself.
check_eq "DMA" "$(to DMA)" "0 DMA in-place"
check "an unmap takes its time" held
check_eq "DMA-FQ" "$(to DMA-FQ)" "0 DMA-FQ in-place"
let_go
check_eq "its page is gone" "$page" gone

# A ring that is full while another CPU flushes: what was flushed is freed all the same.
for i in 1 2 3 4 5 6; do
	check_eq "a full flush queue loses no address, $i" "$(write_errno $MOCK/unmap "mock.0 burst")" 0
done

check_eq "no driver was unbound" "$(mock_stat removes)" 0
to "$boot" > /dev/null
check_eq "the type is that of the boot" "$(group_type "$group")" "$boot"
check_mock_clean "unmaps and switches"
mock_end
finish
