#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A kernel whose default is pass-through: that decides "auto" beforehand.
#
# machines: vtd-pt
# timeout: 90

. /lab/lib.sh

load_module
group=$(group_of disk)
dev=$(dev disk 0)
before=$(drivers_of "$group")
generation=$(cat $CONFIGFS/generation)
check_eq "the default is identity" "$(group_type "$group")" identity
disk=$(wait_disk "$dev")
pid=$(hold_open "/dev/$disk" excl)
t=$(txn_new auto)
stage "$t" "$group" auto
check_eq "auto is there already: check of a disk in use" "$(write_errno "$t/check" 1)" 0
check_eq "commit" "$(write_errno "$t/commit" 1) $(status "$t" "$group")" "0 unchanged"
check_eq "nothing was touched" "$(cat $CONFIGFS/generation)" "$generation"
let_go "$pid"
txn_end "$t"

for type in DMA DMA-FQ; do
	wrote=$(fill "$disk" 8 $((TAP_N + 1)))
	t=$(txn_new there)
	stage "$t" "$group" $type
	check_eq "$type" "$(write_errno "$t/commit" 1) $(group_type "$group") $(drivers_of "$group")" \
		"0 $type $before"
	disk=$(wait_disk "$dev") || bail "no disk"
	o=$(txn_new back)
	stage "$o" "$group" auto
	check_eq "$type: auto goes back" "$(write_errno "$o/commit" 1) $(status "$o" "$group")" "0 changed"
	check_eq "$type: to identity" "$(group_type "$group") $(drivers_of "$group")" "identity $before"
	disk=$(wait_disk "$dev") || bail "no disk"
	check_eq "$type: the data is what it was" "$(sum "$disk" 8)" "$wrote"
	rmdir "$o/$group" "$o" "$t/$group" "$t"
done
finish
