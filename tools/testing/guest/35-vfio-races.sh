#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# User space that takes a group through VFIO after a check, and in the middle of a
# commit: it is never overridden, and the rest goes back.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 150
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh

vfio_bound()
{
	local dev
	for dev in $(devices_of vfio); do
		[ "$(driver_of "$dev")" = "$1" ] || return
	done
}

# vfio_back: to the usual driver; the interfaces appear a moment later.
vfio_back()
{
	local dev
	vfio_return vfio
	for dev in $(devices_of vfio); do
		wait_nic "$dev" >/dev/null
	done
}

edu_setup
vfio=$(group_of vfio)
vfio_boot=$(group_type "$vfio")
before=$(groups_now "$edu" "$edu2" "$vfio")

# Between check and commit.
stage_edu between identity "$vfio"
check_eq "the check finds nothing" "$(write_errno "$t/check" 1)" 0
generation=$(cat $CONFIGFS/generation)
vfio_take vfio
pid=$(hold_vfio "$vfio")
check_eq "the check afterwards does" "$(write_errno "$t/check" 1)" EBUSY
check_eq "the commit is refused" "$(write_errno "$t/commit" 1)" EBUSY
check_state "state" "$t" staged
check_report "the report names the group" "$t" "^$vfio [^ ]+ check EBUSY .*VFIO"
check_eq "nothing was touched" "$(cat $CONFIGFS/generation)" "$generation"
check_status "nor the status" "$t" "$vfio" staged
let_go "$pid"
check_eq "once it is let go, the check passes" "$(write_errno "$t/check" 1)" 0
check_eq "and the commit is done under vfio-pci" "$(write_errno "$t/commit" 1)" 0
check "which kept its devices" vfio_bound vfio-pci
check_eq "the type is there" "$(group_type "$vfio")" identity
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "brings it back" "$(group_type "$vfio")" "$vfio_boot"
check "under vfio-pci" vfio_bound vfio-pci
txn_end "$t"
vfio_back
check_as_before "as before" "$before" "$edu" "$edu2" "$vfio"

# While a release runs.
stage_edu during identity "$vfio"
knobs 1 remove_hold "$a"
start during "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 vfio_bound - || bail "no release"
check "vfio-pci takes the group in the middle of a commit" vfio_take vfio
pid=$(hold_vfio "$vfio")
check "and a container holds it" test -d "/proc/$pid"
edu_set "$a" remove_hold 0
check_eq "the commit cannot have it, nor give back its drivers" "$(ended during)" EIO
check_state "state" "$t" failed
check_report "the report tells why" "$t" "^$vfio (-|$(dev vfio 0)|$(dev vfio 1)) (release|switch) E[A-Z]+ "
for dev in $(devices_of vfio); do
	check_report "and of $dev" "$t" "^$vfio $dev restore E[A-Z]+ "
done
check_status "status" "$t" "$vfio" failed
check "its owner still has it" vfio_bound vfio-pci
check_eq "and the group" "$(hold_vfio "$vfio" 2>/dev/null)" EBUSY
check_eq "the others are as before" "$(groups_now "$edu" "$edu2")" "$(echo "$before" | sed '$d')"
check_status "their status" "$t" "$edu" restored
check_eq "rollback leaves alone who has another driver" "$(write_errno "$t/rollback" 1)" 0
check_state "state" "$t" rolled-back
check_report "and reports it" "$t" "^$vfio $(dev vfio 0) restore E[A-Z]+ .*vfio-pci"
check "its owner still has it" vfio_bound vfio-pci
let_go "$pid"
txn_end "$t"
vfio_back
check_as_before "as before" "$before" "$edu" "$edu2" "$vfio"

# The same, with the group let go and given back before the rollback.
stage_edu back identity "$vfio"
knobs 1 remove_hold "$a"
start back "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 vfio_bound - || bail "no release"
vfio_take vfio
pid=$(hold_vfio "$vfio")
edu_set "$a" remove_hold 0
check_eq "taken once more" "$(ended back)" EIO
let_go "$pid"
vfio_back
check_eq "given back, rollback has nothing to do" "$(write_errno "$t/rollback" 1)" 0
check_state "state" "$t" rolled-back
check_as_before "as before" "$before" "$edu" "$edu2" "$vfio"
txn_end "$t"

# Between commit and rollback.
stage_edu after identity "$vfio"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
vfio_take vfio
pid=$(hold_vfio "$vfio")
now=$(groups_now "$edu" "$edu2" "$vfio")
check_eq "a rollback by hand asks, too" "$(write_errno "$t/rollback" 1)" EBUSY
check_state "state" "$t" committed
check_report "the report names the group" "$t" "^$vfio [^ ]+ check EBUSY .*VFIO"
check_as_before "nothing was touched" "$now" "$edu" "$edu2" "$vfio"
let_go "$pid"
vfio_back
check_eq "then it works" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$vfio"
txn_end "$t"

# The timer does not ask, but does not override either.
stage_edu timer identity "$vfio"
echo 600 > "$t/confirm_timeout"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
check_state "to be confirmed" "$t" unconfirmed
for dev in $(devices_of vfio); do unbind "$dev"; done
vfio_take vfio
pid=$(hold_vfio "$vfio")
echo 1 > "$t/confirm_timeout"
check "the timer cannot roll back all" wait_for 30 is "$t/state" failed
check_report "the report names the group" "$t" "^$vfio [^ ]+ restore E[A-Z]+ .*VFIO"
check_eq "the others are as before" "$(groups_now "$edu" "$edu2")" "$(echo "$before" | sed '$d')"
check_eq "that group has its new type" "$(cat "$t/$vfio/current_type"; hold_vfio "$vfio" 2>/dev/null)" \
	"$(group_type "$vfio"; echo EBUSY)"
let_go "$pid"
vfio_back
check_eq "then a rollback works" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$vfio"
txn_end "$t"

edu_end
finish
