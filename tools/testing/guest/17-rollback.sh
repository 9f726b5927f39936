#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Rollback by hand: it asks the guards like a commit, refuses where somebody else
# changed a type, and leaves alone what somebody did with the drivers since.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh

load_module
edu_load
group=$(group_of edu)
group2=$(group_of edu2)
disk_group=$(group_of disk)
disk_dev=$(dev disk 0)
a=$(dev edu 0)
b=$(dev edu 1)
c=$(dev edu 2)
d=$(dev edu2 0)
was=$(group_type "$group")
was2=$(group_type "$group2")
was_disk=$(group_type "$disk_group")
before=$(drivers_of "$group")
disk_before=$(drivers_of "$disk_group")

# by_hand GROUP TYPE: what a person does behind our back.
by_hand()
{
	local pair pairs
	pairs=$(drivers_of "$1")
	for pair in $pairs; do
		[ "${pair#*=}" = - ] || unbind "${pair%=*}"
	done
	echo "$2" > "$SYS_GROUPS/$1/type"
	for pair in $pairs; do
		[ "${pair#*=}" = - ] || bind "${pair%=*}" "${pair#*=}"
	done
}

# committed NAME [TIMEOUT]: both edu groups to identity
committed()
{
	t=$(txn_new "$1")
	stage "$t" "$group" identity
	stage "$t" "$group2" identity
	echo "${2-0}" > "$t/confirm_timeout"
	check_eq "$1: commit" "$(write_errno "$t/commit" 1)" 0
}

# Guards: refused, and nothing touched; then the same again without the user.
t=$(txn_new guards)
stage "$t" "$disk_group" identity
stage "$t" "$group" identity
check_eq "a commit of a disk and others" "$(write_errno "$t/commit" 1)" 0
disk=$(wait_disk "$disk_dev")
nic=$(wait_nic "$(dev disk 1)")
pid=$(hold_open "/dev/$disk" excl)
ip link set "$nic" up
generation=$(cat $CONFIGFS/generation)
echo > $EDU/events
check_eq "a rollback of a disk in use" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "stays committed" "$(cat "$t/state")" committed
check_match "names the disk" "$(report "$t")" "^$disk_group $disk_dev check EBUSY .*$disk"
check_match "and the interface" "$(report "$t")" "^$disk_group $(dev disk 1) check EBUSY .*$nic"
check_eq "touches neither group" "$(group_type "$disk_group") $(group_type "$group")" "identity identity"
check_eq "nor a driver" "$(cat $EDU/events)" ""
check_eq "nor the generation" "$(cat $CONFIGFS/generation)" "$generation"
check_eq "nor the words of status" "$(head -n 1 "$t/$disk_group/status") $(head -n 1 "$t/$group/status")" \
	"changed changed"
check_match "the disk's group has the lines" "$(sed 1d "$t/$disk_group/status")" "check EBUSY"
let_go "$pid"
check_eq "one of the two is enough" "$(write_errno "$t/rollback" 1)" EBUSY
ip link set "$nic" down
check_eq "none: it goes through" "$(write_errno "$t/rollback" 1)" 0
check_eq "the report is replaced" "$(report "$t")" ""
check_eq "both are back" "$(group_type "$disk_group") $(group_type "$group")" "$was_disk $was"
check_eq "with their drivers" "$(drivers_of "$disk_group") $(drivers_of "$group")" "$disk_before $before"
wait_disk "$disk_dev" > /dev/null
txn_end "$t"

# An unconfirmed commit, too; the refused rollback leaves it waiting.
t=$(txn_new waiting)
stage "$t" "$disk_group" identity
echo 600 > "$t/confirm_timeout"
check_eq "an unconfirmed commit" "$(write_errno "$t/commit" 1)" 0
disk=$(wait_disk "$disk_dev")
pid=$(hold_open "/dev/$disk" excl)
check_eq "its rollback is refused likewise" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "and it waits on" "$(cat "$t/state")" unconfirmed
let_go "$pid"
check_eq "it could still be confirmed" "$(write_errno "$t/confirm" 1)" 0
check_eq "and undone" "$(write_errno "$t/rollback" 1) $(group_type "$disk_group")" "0 $was_disk"
wait_disk "$disk_dev" > /dev/null
txn_end "$t"

# Another transaction has one of the groups by now.
committed first
o=$(txn_new second)
stage "$o" "$group2" identity
echo 600 > "$o/confirm_timeout"
check_eq "another has a group, if only to keep it as it is" "$(write_errno "$o/commit" 1)" 0
check_eq "a rollback is the second" "$(write_errno "$t/rollback" 1)" EBUSY
check_match "its report names the first" "$(report "$t")" "^$group2 - check EBUSY .*\<second\>"
check_eq "the other group is not touched either" "$(cat "$t/state") $(group_type "$group")" "committed identity"
check_eq "the other lets go" "$(write_errno "$o/confirm" 1)" 0
check_eq "then it goes through" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"
check_eq "what the other kept has been changed behind its back, but not by it" \
	"$(write_errno "$o/rollback" 1) $(status "$o" "$group2")" "0 unchanged"
txn_end "$o"

# A type that was changed since: committed and unconfirmed are refused.
committed stale
by_hand "$group2" DMA
generation=$(cat $CONFIGFS/generation)
echo > $EDU/events
check_eq "somebody changed one of two" "$(write_errno "$t/rollback" 1)" ESTALE
check_eq "stays committed" "$(cat "$t/state")" committed
check_match "and says which" "$(report "$t")" "^$group2 - check ESTALE ."
check_eq "touches nothing" "$(group_type "$group") $(group_type "$group2") $(cat $EDU/events)" "identity DMA "
check_eq "nor the generation" "$(cat $CONFIGFS/generation)" "$generation"
check_eq "again" "$(write_errno "$t/rollback" 1)" ESTALE
by_hand "$group2" identity
check_eq "once it is back, so can we" "$(write_errno "$t/rollback" 1)" 0
check_eq "both groups" "$(group_type "$group") $(group_type "$group2")" "$was $was2"
txn_end "$t"

committed stale-unconfirmed 600
by_hand "$group" DMA
check_eq "unconfirmed: refused, too" "$(write_errno "$t/rollback" 1)" ESTALE
check_eq "and waits on" "$(cat "$t/state")" unconfirmed
# The timer leaves such a group alone, reports it, and goes on.
echo 1 > "$t/confirm_timeout"
check "the timer goes on" wait_for 60 is "$t/state" rolled-back
check_eq "restores the other" "$(group_type "$group2")" "$was2"
check_eq "leaves that one alone" "$(group_type "$group")" DMA
check_match "and reports it" "$(report "$t")" "^$group - restore ESTALE ."
check_eq "the other's status" "$(status "$t" "$group2")" restored
check_match "that one's status" "$(head -n 1 "$t/$group/status")" '^(unchanged|failed)$'
by_hand "$group" "$was"
txn_end "$t"

# ... and so does a rollback of a failed one.
t=$(txn_new stale-failed)
stage "$t" "$group" identity
stage "$t" "$group2" identity
edu_set "$a" probe_errors -1
check_eq "a commit that fails twice" "$(write_errno "$t/commit" 1)" EIO
edu_set "$a" probe_errors 0
by_hand "$group2" DMA
check_eq "failed: a rollback does not mind" "$(write_errno "$t/rollback" 1)" 0
check_eq "rolled-back" "$(cat "$t/state")" rolled-back
check_eq "it brings back the driver" "$(drivers_of "$group")" "$before"
check_eq "and leaves that group alone" "$(group_type "$group2")" DMA
by_hand "$group2" "$was2"
txn_end "$t"

# Drivers: another one since, or none; a driver that is gone.
committed drivers
override "$a" edu_lab_managed
unbind "$b"
check_eq "the drivers were changed" "$(drivers_of "$group")" "$a=edu_lab_managed $b=- $c=edu_lab"
removes=$(edu_get "$a" removes)
check_eq "a rollback goes through" "$(write_errno "$t/rollback" 1)" 0
check_eq "the type is back" "$(group_type "$group")" "$was"
check_eq "and leaves these devices as they are" "$(drivers_of "$group")" \
	"$a=edu_lab_managed $b=- $c=edu_lab"
check_eq "one with a driver of its own domain is not even released" "$(edu_get "$a" removes)" "$removes"
check_match "the first is reported" "$(report "$t")" "^$group $a restore E[A-Z]+ ."
check_match "so is the second" "$(report "$t")" "^$group $b restore E[A-Z]+ ."
check_eq "and no other" "$(wc -l < "$t/report")" 2
check_eq "which is no failure" "$(cat "$t/state") $(head -n 1 "$t/$group/status")" "rolled-back restored"
override "$a" ""
bind "$b" edu_lab
txn_end "$t"

# Another driver that uses the default domain has to be released for the switch,
# and gets its device back.
committed other
override "$a" edu_lab_fixed
check_eq "a driver that forbids unbinding came since" "$(write_errno "$t/rollback" 1)" EBUSY
check_match "reported" "$(report "$t")" "^$group $a check EBUSY .*edu_lab_fixed"
check_eq "still committed, nothing touched" "$(cat "$t/state") $(group_type "$group2")" "committed identity"
check_eq "the driver stays" "$(driver_of "$a")" edu_lab_fixed
# It cannot be unbound but by taking it out; the module goes with all devices.
for dev in "$a" "$b" "$c" "$d" "$(dev edu2 1)"; do
	echo > "/sys/bus/pci/devices/$dev/driver_override"
done
edu_unload
check_eq "the module is not pinned by a committed transaction" "$(drivers_of "$group")" "$a=- $b=- $c=-"
check_eq "a rollback with the driver gone" "$(write_errno "$t/rollback" 1)" 0
check_eq "switches" "$(group_type "$group") $(group_type "$group2")" "$was $was2"
check_eq "leaves the devices unbound" "$(drivers_of "$group")" "$a=- $b=- $c=-"
check_match "and reports each" "$(report "$t")" "^$group $c restore E[A-Z]+ ."
check_eq "which is no failure" "$(cat "$t/state")" rolled-back
txn_end "$t"

# Modules are pinned while committing, unconfirmed or rolling back.
edu_load
check_eq "loaded anew" "$(drivers_of "$group")" "$before"
pinned()
{
	rmmod edu_lab 2>/dev/null && return 1
	[ -d /sys/module/edu_lab ]
}

t=$(txn_new pinned)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
edu_set "$a" probe_hold 1
try write "$t/commit" 1 > /tmp/rc &
wait_for 20 edu_doing "$a" probe || bail "no probe"
check "committing: the driver's module is pinned" pinned
edu_set "$a" probe_hold 0
wait
check_eq "committed" "$(cat /tmp/rc)" 0
check "unconfirmed: it is pinned" pinned
edu_set "$a" remove_hold 1
try write "$t/rollback" 1 > /tmp/rc &
wait_for 20 edu_doing "$a" remove || bail "no remove"
check "rolling-back: it is pinned" pinned
edu_set "$a" remove_hold 0
wait
check_eq "rolled back" "$(cat /tmp/rc) $(cat "$t/state")" "0 rolled-back"
check "then it can go" edu_unload
txn_end "$t"
edu_load
t=$(txn_new unpinned)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "once more" "$(write_errno "$t/commit" 1)" 0
check_eq "confirmed" "$(write_errno "$t/confirm" 1)" 0
check "committed: the module can go" edu_unload
edu_load
check_eq "and come back before the rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "which restores both" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
txn_end "$t"

edu_unload
finish
