#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A driver's module is being removed just when its group is taken back: that is waited for
# for a moment, and then the group goes back without the driver.
#
# machines: vtd
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
disk2=$(group_of disk2)
nvme=$(dev disk2 0)
nic=$(dev disk2 1)
other=$(dev vfio 0)
wait_nic "$nic" > /dev/null
wait_nic "$other" > /dev/null
module=$(basename "$(readlink -f "/sys/bus/pci/devices/$nic/driver/module")")
wait_disk "$nvme" > /dev/null
before=$(groups_now "$edu" "$edu2" "$disk2")

is_leaving()
{
	grep -q "^$module .* Unloading " /proc/modules
}

# A group that could not be restored: its disk was in use.
stage_edu leaving identity "$disk2"
edu_set "$b" probe_hold 1
edu_set "$b" probe_errors 1
start leaving "$t/commit"
wait_for 20 edu_doing "$b" probe || bail "no probe"
disk=$(wait_disk "$nvme") || bail "no disk"
pid=$(hold_open "/dev/$disk" excl)
edu_set "$b" probe_hold 0
check_eq "a commit that could not go back" "$(ended leaving) $(group_type "$disk2")" "EIO identity"
let_go "$pid"

# The driver core begins with the device that was bound last.
unbind "$other"
bind "$other" e1000e
echo "$other" > $EDU/lock || bail "no lock"
rmmod "$module" &
rmmod=$!
wait_for 20 is_leaving || bail "the module does not begin to go"
check_eq "its driver is still bound" "$(driver_of "$nic")" e1000e
start back "$t/rollback"
check "the rollback begins" wait_for 20 is "$t/state" rolling-back
usleep 300000
echo - > $EDU/lock
check_eq "when the module is gone it is done" "$(ended back) $(cat "$t/state")" "0 rolled-back"
wait $rmmod
check_eq "the group has its type, and the disk its driver" "$(group_type "$disk2") $(driver_of "$nvme")" \
	"$boot nvme"
check_eq "whose driver is gone has none" "$(driver_of "$nic")" -
txn_end "$t"

modprobe "$module"
wait_for 30 all_bound "$nic" "$other"
wait_nic "$nic" > /dev/null
wait_disk "$nvme" > /dev/null
check_as_before "with the module everything is as before" "$before" "$edu" "$edu2" "$disk2"
edu_end
finish
