#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Any calls in any order, with strings that the interface takes and with damaged ones, from
# the description of it that syzkaller can have (samples/syzkaller). The kernel log stays
# clean, and all groups can be had back.
#
# machines: mock
# timeout: 120
# races: yes
# klog-allow: waiting for over 10 s|given up on

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

SECONDS_LONG=$((15 * ${LAB_LONG:-1}))

modprobe -r iommu-configfs
modprobe iommu-configfs standing=1
mock_load
mock_create 3 2
check_eq "the groups have the numbers of the description" "$(mock_ids)" "0 1 2"
before=$(mock_now 0 1 2)
boot=$(group_type 0)

seed=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
say "seed $seed"
fuzz-tree "$seed" $SECONDS_LONG /lab/samples/syzkaller/iommu_configfs.txt > /tmp/counts
check_eq "every text ends in a newline" $? 0
say "$(cat /tmp/counts)"
for call in 'mkdirat$icfg_txn' 'mkdirat$icfg_group' 'write$icfg_type' 'write$icfg_action' 'write$icfg_rule' \
	    'read$icfg'; do
	check "some of $call succeed" grep -qF "$call: 0 " /tmp/counts
done

rmdir $CONFIGFS/standing/*/ 2> /dev/null
check_eq "no rule is left" "$(ls $CONFIGFS/standing)" report
txn_settle $CONFIGFS/syz0
txn_settle $CONFIGFS/syz1
stage_mock mend "$boot" 0 1 2
check_eq "one commit brings back all" "$(write_errno "$t/commit" 1)" 0
check_mock_as_before "types and drivers are as before" "$before" 0 1 2
txn_settle "$t"
check_mock_clean "after all that"
mock_end
rmmod iommu-configfs && load_module
finish
