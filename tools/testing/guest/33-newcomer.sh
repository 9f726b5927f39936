#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A device that joins a group while a commit runs: before the switch it changes
# along, later it stays, and nobody takes a driver from it for good.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh

remove()
{
	echo 1 > "/sys/bus/pci/devices/$1/remove"
}

edu_setup
before=$(groups_now "$edu" "$edu2")

# Before the switch.
remove "$c"
stage_edu early identity
check_not "the group has one device less" grep -q "$c" "$t/$edu/devices"
knobs 1 remove_hold "$a"
start early "$t/commit"
wait_for 20 edu_doing "$a" remove || bail "no release"
rescan "$c"
check "one joins during a release" bound "$c"
check "and is shown" grep -q "^pci $c edu_lab any$" "$t/$edu/devices"
edu_set "$a" remove_hold 0
check_eq "the commit takes it along" "$(ended early)" 0
check_eq "the type is there" "$(group_type "$edu")" identity
check_eq "and every driver" "$(drivers_of "$edu")" "$a=edu_lab $b=edu_lab $c=edu_lab"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Before the switch, in the middle of its probe.
remove "$c"
stage_edu probing identity
knobs 1 remove_hold "$a"
edu_set "$c" probe_hold 1
start probing "$t/commit"
wait_for 20 edu_doing "$a" remove || bail "no release"
rescan "$c" &
wait_for 20 edu_doing "$c" probe || bail "no probe"
edu_set "$a" remove_hold 0
wait_for 20 unbound "$a"
check_state "the commit waits for the probe" "$t" committing
check_eq "and everything can be read meanwhile" \
	"$(try read "$t/$edu/devices") $(try read "$t/report") $(try read "$t/$edu/status")" "0 0 0"
edu_set "$c" probe_hold 0
check_eq "then it is done" "$(ended probing)" 0
check_eq "the type is there" "$(group_type "$edu")" identity
check_eq "and every driver" "$(drivers_of "$edu")" "$a=edu_lab $b=edu_lab $c=edu_lab"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# After the switch.
remove "$c"
stage_edu late identity
knobs 1 probe_hold "$a"
start late "$t/commit"
wait_for 20 edu_doing "$a" probe || bail "no probe"
removes=$(edu_get "$c" removes)
rescan "$c"
check "one joins after the switch" bound "$c"
edu_set "$a" probe_hold 0
check_eq "that does not disturb" "$(ended late)" 0
check_eq "it keeps its driver all the time" "$(edu_get "$c" removes)" "$removes"
check_eq "and every driver is there" "$(drivers_of "$edu")" "$a=edu_lab $b=edu_lab $c=edu_lab"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "takes it along" "$before" "$edu" "$edu2"
txn_end "$t"

# After the switch, and then the commit fails.
remove "$c"
stage_edu fails identity
knobs 1 probe_hold "$a"
edu_set "$a" probe_errors 1
start fails "$t/commit"
wait_for 20 edu_doing "$a" probe || bail "no probe"
rescan "$c"
edu_set "$a" probe_hold 0
check_eq "the commit fails after all" "$(ended fails)" ECANCELED
check_as_before "the newcomer goes back along" "$before" "$edu" "$edu2"
txn_end "$t"

# A member goes, and comes again as a newcomer.
stage_edu again identity
knobs 1 remove_hold "$a"
start again "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 unbound "$c" || bail "no release"
remove "$c"
rescan "$c"
check "one goes and comes again" bound "$c"
edu_set "$a" remove_hold 0
check_eq "that member was unplugged" "$(ended again)" ECANCELED
check_report "says the report" "$t" "^$edu $c [a-z]+ ENODEV "
check_as_before "everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Between commit and rollback.
stage_edu after identity
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
remove "$c"
rescan "$c"
check_eq "rollback covers who came since" "$(write_errno "$t/rollback" 1)" 0
check_as_before "everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

edu_end
finish
