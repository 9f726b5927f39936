#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The module unloads when no transaction is left, whatever went on before, and
# loads again; a transaction in any state keeps it.
#
# machines: vtd vtd-many smmuv3
# also: virtio-iommu amd
# timeout: 60

. /lab/lib.sh
. /lab/tests/faults.sh

load_module
group=$(group_of disk2)
disk=$(dev disk2 0)
before=$(groups_now "$group")
wait_disk "$disk" > /dev/null

for n in 1 2 3; do
	check "the module unloads" rmmod iommu-configfs
	check_not "its directory is gone" test -e $CONFIGFS
	check "and loads again" modprobe iommu-configfs
	check_eq "there is nothing left from before" "$(ls $CONFIGFS | xargs)" "abi generation"
	check_eq "the generation starts anew" "$(cat $CONFIGFS/generation)" 1
done

t=$(txn_new pins)
check_not "an empty transaction keeps it" rmmod iommu-configfs 2> /dev/null
stage "$t" "$group" identity
check_not "a staged one" rmmod iommu-configfs 2> /dev/null
echo 600 > "$t/confirm_timeout"
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
check_not "an unconfirmed one" rmmod iommu-configfs 2> /dev/null
rmdir "$t/$group"
check_not "one without directories of groups" rmmod iommu-configfs 2> /dev/null
check_eq "confirm" "$(write_errno "$t/confirm" 1)" 0
check_not "a committed one" rmmod iommu-configfs 2> /dev/null
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_not "one that is rolled back" rmmod iommu-configfs 2> /dev/null
rmdir "$t"
wait_disk "$disk" > /dev/null
check "without it, it unloads" rmmod iommu-configfs

# What a commit changed stays when the module goes.
load_module
t=$(txn_new stays)
stage "$t" "$group" identity
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
rmdir "$t/$group" "$t"
check "unloaded" rmmod iommu-configfs
check_eq "the type stays" "$(group_type "$group")" identity
load_module
t=$(txn_new back)
stage "$t" "$group" "$(echo "$before" | cut -d ' ' -f 2)"
wait_disk "$disk" > /dev/null
check_eq "back" "$(write_errno "$t/commit" 1)" 0
rmdir "$t/$group" "$t"
check_as_before "as before" "$before" "$group"

# rmmod while the tail of a timer may still be there.
for n in 1 2 3; do
	t=$(txn_new tail)
	stage "$t" "$group" identity
	echo 600 > "$t/confirm_timeout"
	write_errno "$t/commit" 1 > /dev/null
	echo 1 > "$t/confirm_timeout"
	wait_for 20 is "$t/state" rolled-back
	rmdir "$t/$group" "$t"
	check "unloaded right after the timer" wait_for 5 rmmod iommu-configfs
	load_module
	wait_disk "$disk" > /dev/null
done
check_as_before "as before" "$before" "$group"
finish
