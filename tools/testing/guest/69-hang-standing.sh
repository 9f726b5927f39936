#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A standing rule is applied to the group of a device that arrives, and the switch hangs:
# other groups, rules and directories do not wait for it.
#
# machines: mock
# timeout: 120
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

STANDING=$CONFIGFS/standing

modprobe -r iommu-configfs
modprobe iommu-configfs standing=1
mock_load
mock_create 1 1
g0=$(mock_ids 0)
boot=$(group_type "$g0")
other=identity
[ "$boot" != identity ] || other=DMA

mkdir $STANDING/r || bail "no rule"
echo platform > $STANDING/r/bus
echo mock.1 > $STANDING/r/device
echo "$other" > $STANDING/r/type

# create: in the background; ended() has how it ended.
create()
{
	mock_write create 1 1
	echo $? > /tmp/end.create
}

# The first attach is that of the domain that the group gets from the core.
echo 2 > $MOCK/hang
rm -f /tmp/end.create
create &
check "the switch hangs" wait_for 20 has $MOCK/hang '^mock\.1 attach$'
check_eq "by the rule: the device has no driver yet" "$(test -e /sys/bus/platform/devices/mock.1/driver; echo $?)" 1

check_eq "the rule can be read" "$(timeout 5 cat $STANDING/r/hits)" 0
check "and changed" timeout 5 sh -c "echo 7 > $STANDING/r/priority"
check "another one can be made" timeout 5 mkdir $STANDING/s
check "and removed" timeout 5 rmdir $STANDING/s
stage_mock t "$other" 0
start beside "$t/commit"
check "another group changes" wait_for 10 test -e /tmp/end.beside
check_eq "to its type" "$(ended beside) $(group_type "$g0")" "0 $other"
txn_end "$t"

g1=$(find /sys/kernel/iommu_groups -mindepth 1 -maxdepth 1 -type d | sed 's,.*/,,' | sort -n | tail -n 1)
t=$(txn_new waits)
check "its group can be staged" timeout 5 mkdir "$t/$g1"
echo "$boot" > "$t/$g1/type"
check_eq "and not committed" "$(write_errno "$t/commit" 1)" EBUSY
check_report "as the rule has it" "$t" "^$g1 - check EBUSY a standing rule is being applied to this group"

echo 0 > $MOCK/hang
check "the device is there when the hang is over" wait_for 20 test -e /tmp/end.create
check_eq "with the rule's type" "$(cat /tmp/end.create) $(group_type "$g1") $(cat $STANDING/r/hits)" "0 $other 1"
check_eq "and can be committed" "$(write_errno "$t/commit" 1) $(group_type "$g1")" "0 $boot"
txn_settle "$t"
rmdir $STANDING/r
mock_end
rmmod iommu-configfs && load_module
finish
