#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Without an IOMMU the module loads all the same, and says of each group that it
# is not there.
#
# machines: noiommu
# timeout: 60

. /lab/lib.sh

check "the module loads" modprobe iommu-configfs
check_eq "abi" "$(cat $CONFIGFS/abi)" 1
check_eq "generation" "$(cat $CONFIGFS/generation)" 1
t=$(txn_new none)
check_eq "a transaction" "$(cat "$t/state")" staged
for group in 0 1 5 2147483647; do
	check_eq "no group $group" "$(try mkdir "$t/$group")" ENOENT
done
check_eq "a name that is none" "$(try mkdir "$t/05")" EINVAL
for action in check commit; do
	check_eq "$action of nothing" "$(write_errno "$t/$action" 1)" EINVAL
	check_match "$action reports it" "$(report "$t")" '^- - check EINVAL .'
done
for action in confirm rollback; do
	check_eq "$action" "$(write_errno "$t/$action" 1)" EBUSY
done
check_eq "state" "$(cat "$t/state")" staged
check_eq "no group is there, so no status either" "$(find "$t" -mindepth 1 -type d | wc -l)" 0
check "the transaction goes" rmdir "$t"
check_eq "no name twice" "$(try mkdir "$CONFIGFS/a") $(try mkdir "$CONFIGFS/a") $(try rmdir "$CONFIGFS/a")" \
	"0 EEXIST 0"
check "the module unloads" rmmod iommu_configfs
check "and loads again" modprobe iommu-configfs
finish
