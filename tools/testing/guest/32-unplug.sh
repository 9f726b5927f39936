#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Devices that go while a commit runs, and devices that come: what is gone fails
# the commit but not its way back; what comes in time changes along.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

# sysfs' own unplugging; it comes back by rescan.
remove()
{
	echo 1 > "/sys/bus/pci/devices/$1/remove"
}

edu_setup
before=$(groups_now "$edu" "$edu2")

# While its own driver is being removed.
stage_edu during identity
knobs 1 remove_hold "$a" "$b"
start during "$t/commit"
wait_for 20 edu_doing "$a" remove || bail "no release"
remove "$a" &
edu_set "$a" remove_hold 0
check "a device goes while it is released" wait_for 20 gone "$a"
check_eq "its group still shows the others" \
	"$(awk '{ print $1, $2 }' "$t/$edu/devices" | sort | xargs)" "pci $b pci $c"
edu_set "$b" remove_hold 0
check_eq "that cancels the commit" "$(ended during)" ECANCELED
check_state "state" "$t" staged
check_report "the report names it" "$t" "^$edu $a [a-z]+ ENODEV "
check_eq "the rest is as before" "$(groups_now "$edu" "$edu2")" \
	"$(echo "$before" | sed "s/ $a=edu_lab//")"
check_status "a status is restored" "$t" "$edu" restored
rescan "$a"
check_as_before "it comes back" "$before" "$edu" "$edu2"
txn_end "$t"

# Once its driver is released, before it is probed.
stage_edu between identity
removes=$(edu_get "$a" removes)
knobs 1 remove_hold "$d"
start between "$t/commit"
wait_for 20 edu_doing "$d" remove && wait_for 20 unbound "$a" || bail "no release"
check_not "it was released" is "$EDU/$a/removes" "$removes"
remove "$a"
check "it is gone" gone "$a"
edu_set "$d" remove_hold 0
check_eq "gone between release and probe" "$(ended between)" ECANCELED
check_report "the report names it" "$t" "^$edu $a [a-z]+ ENODEV "
check_eq "the rest is as before" "$(groups_now "$edu" "$edu2")" \
	"$(echo "$before" | sed "s/ $a=edu_lab//")"
rescan "$a"
check_as_before "it comes back" "$before" "$edu" "$edu2"
txn_end "$t"

# While it is probed.
stage_edu probing identity
knobs 1 probe_hold "$a" "$b"
start probing "$t/commit"
wait_for 20 edu_doing "$a" probe && wait_for 20 edu_doing "$b" probe || bail "no probe"
remove "$a" &
edu_set "$a" probe_hold 0
check "it goes as soon as it is probed" wait_for 20 gone "$a"
edu_set "$b" probe_hold 0
check_eq "gone before the commit is through" "$(ended probing)" ECANCELED
check_report "the report names it" "$t" "^$edu $a [a-z]+ ENODEV "
check_eq "the rest is as before" "$(groups_now "$edu" "$edu2")" \
	"$(echo "$before" | sed "s/ $a=edu_lab//")"
rescan "$a"
check_as_before "it comes back" "$before" "$edu" "$edu2"
txn_end "$t"

# On the way back from something else.
stage_edu back identity
knobs 1 probe_hold "$a"
edu_set "$e" probe_errors 1
start back "$t/commit"
check "a probe fails" wait_for 20 has "$t/report" "^$edu2 $e probe EIO "
remove "$a" &
edu_set "$a" probe_hold 0
wait_for 20 gone "$a"
check_eq "gone while all go back is no failure" "$(ended back)" ECANCELED
check_state "state" "$t" staged
check_eq "the rest is as before" "$(groups_now "$edu" "$edu2")" \
	"$(echo "$before" | sed "s/ $a=edu_lab//")"
rescan "$a"
check_as_before "it comes back" "$before" "$edu" "$edu2"
txn_end "$t"

if ! pluggable "$d"; then
	skip "a whole group is unplugged" "no edu device of the machine is in a slot"
	edu_end
	finish
fi

# All of a group goes at once, for real.
stage_edu empty identity
old=$edu2
knobs 1 remove_hold "$a"
start empty "$t/commit"
wait_for 20 edu_doing "$a" remove && wait_for 20 unbound "$d" && wait_for 20 unbound "$e" ||
	bail "no release"
check "the slot is unplugged" unplug edu3
check "its devices are gone" gone "$d"
check_eq "no device is left in the group" "$(cat "$t/$edu2/devices")" ""
check_eq "its files can be read" "$(try read "$t/$edu2/current_type")" 0
edu_set "$a" remove_hold 0
check_eq "that cancels the commit" "$(ended empty)" ECANCELED
check_state "an empty group counts as restored" "$t" staged
check_report "the report names what is gone" "$t" "^$edu2 ($d|$e|-) [a-z]+ ENODEV "
check_eq "the other group is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
check_eq "the next commit" "$(write_errno "$t/commit" 1)" ENODEV
check_report "says that the group has no device" "$t" "^$edu2 - check ENODEV "
# A number that is staged is not given out again.
host device_add edu,id=edu4,bus=rp6,addr=0.1,multifunction=on,dma_mask=0xffffffffffffffff &&
	host device_add edu,id=edu3,bus=rp6,addr=0.0,multifunction=on,dma_mask=0xffffffffffffffff
check "it is plugged in again" wait_for 30 bound "$e"
wait_for 10 bound "$d"
check_not "into another group than the staged one" test "$(group_of edu2)" = "$old"
check_eq "which stays empty" "$(cat "$t/$old/devices")" ""
txn_end "$t"
# Once more, so that the group has its old number.
unplug edu3
host device_add edu,id=edu4,bus=rp6,addr=0.1,multifunction=on,dma_mask=0xffffffffffffffff &&
	host device_add edu,id=edu3,bus=rp6,addr=0.0,multifunction=on,dma_mask=0xffffffffffffffff
wait_for 30 bound "$e"
wait_for 10 bound "$d"
edu2=$(group_of edu2)
check_as_before "both are as before" "$before" "$edu" "$edu2"

# The slot goes while one of its devices is being released.
stage_edu slot identity
knobs 1 remove_hold "$d"
start slot "$t/commit"
wait_for 20 edu_doing "$d" remove || bail "no release"
host device_del edu3
check "the other function goes first" wait_for 30 gone "$e"
edu_set "$d" remove_hold 0
check_eq "unplugged while it is released" "$(ended slot)" ECANCELED
host wait_deleted edu3
check_state "state" "$t" staged
check_report "the report names what is gone" "$t" "^$edu2 $e [a-z]+ ENODEV "
check_eq "the other group is as before" "$(groups_now "$edu")" "$(echo "$before" | sed 1q)"
txn_end "$t"
host device_add edu,id=edu4,bus=rp6,addr=0.1,multifunction=on,dma_mask=0xffffffffffffffff &&
	host device_add edu,id=edu3,bus=rp6,addr=0.0,multifunction=on,dma_mask=0xffffffffffffffff
wait_for 30 bound "$e"
wait_for 10 bound "$d"
edu2=$(group_of edu2)
check_as_before "both are as before" "$before" "$edu" "$edu2"

# A device that does not answer for a moment, as after a reset, is not gone: its bus has no
# number meanwhile.
if pluggable "$a"; then
	port=$(readlink -f "/sys/bus/pci/devices/$a/..")
	port=${port##*/}
	stage_edu quiet identity
	edu_set "$a" probe_hold 1
	edu_set "$a" probe_errors 1
	start quiet "$t/commit"
	wait_for 20 edu_doing "$a" probe && wait_for 20 all_bound "$b" "$c" || bail "no probe"
	bus=$(setpci -s "$port" SECONDARY_BUS)
	setpci -s "$port" SECONDARY_BUS=00
	edu_set "$a" probe_hold 0
	usleep 200000
	setpci -s "$port" SECONDARY_BUS="$bus"
	check_eq "a device that does not answer for a moment" "$(ended quiet)" ECANCELED
	check_report "its failure is reported" "$t" "^$edu $a probe EIO "
	check_not "and not as if it were gone" grep -q unplugged "$t/report"
	check_as_before "both are as before" "$before" "$edu" "$edu2"
	txn_end "$t"
else
	skip "a device that does not answer for a moment" "the device is not behind a port"
fi

edu_end
finish
