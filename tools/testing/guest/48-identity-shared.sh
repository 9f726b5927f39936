#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Intel's identity domain is one for all groups, and static: groups that go into
# it and out of it, and devices that are unplugged while they are in it, side by
# side. A domain that is freed while somebody still uses it shows under KASAN.
#
# machines: vtd
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

ROUNDS=12 PLUGS=4
# With sanitizers everything takes ten times as long, and sees more.
case $(uname -r) in *-debug*) ROUNDS=2 PLUGS=2 ;; esac

edu_setup
disk2=$(group_of disk2)
disk3=$(group_of disk3)
for name in disk2 disk3; do
	wait_disk "$(dev $name 0)" >/dev/null
done
wrote=$(fill "$(disk_of "$(dev disk3 0)")" 2 48)
before=$(groups_now "$edu" "$disk2" "$disk3")

# there_and_back NAME GROUP: identity and back, over and over; counts what went wrong.
there_and_back()
{
	local round=0 t bad=0
	while [ $round -lt $ROUNDS ]; do
		round=$((round + 1))
		t=$(txn_new "$1-$round")
		stage "$t" "$2" identity
		[ "$(write_errno "$t/commit" 1)" = 0 ] &&
			[ "$(group_type "$2")" = identity ] &&
			[ "$(write_errno "$t/rollback" 1)" = 0 ] || {
			bad=$((bad + 1))
			say "$1, round $round:" "$(report "$t")"
		}
		txn_end "$t"
	done
	echo "$bad" > "/tmp/bad.$1"
}

# In identity, taken off the bus, and found again as if new.
come_and_go()
{
	local round=0 bad=0 group t
	while [ $round -lt $ROUNDS ]; do
		round=$((round + 1))
		group=$(group_of edu2)
		t=$(txn_new "gone-$round")
		stage "$t" "$group" identity
		[ "$(write_errno "$t/commit" 1)" = 0 ] || bad=$((bad + 1))
		echo 1 > "/sys/bus/pci/devices/$e/remove"
		echo 1 > "/sys/bus/pci/devices/$d/remove"
		rmdir "$t/$group" "$t"
		rescan "$d"
		wait_for 10 bound "$d" && wait_for 10 bound "$e" || bad=$((bad + 1))
	done
	echo "$bad" > /tmp/bad.gone
}

rm -f /tmp/bad.*
there_and_back disk2 "$disk2" &
there_and_back disk3 "$disk3" &
there_and_back edu "$edu" &
come_and_go &

# Real devices, too: plugged in, to identity, and pulled out.
round=0
bad=0
while [ $round -lt $PLUGS ]; do
	round=$((round + 1))
	host device_add "virtio-rng-pci,id=shared$round,bus=rp13,iommu_platform=on,disable-legacy=on" ||
		bad=$((bad + 1))
	# The others' rescans keep it waiting for PCI's lock, for as long as they run.
	wait_for 180 test -e /sys/bus/pci/devices/0000:0e:00.0/iommu_group ||
		bail "a device that was plugged in does not come"
	group=$(group_of 0000:0e:00.0)
	t=$(txn_new "plug-$round")
	stage "$t" "$group" identity
	[ "$(write_errno "$t/commit" 1)" = 0 ] || bad=$((bad + 1))
	unplug "shared$round" || bad=$((bad + 1))
	wait_for 180 gone 0000:0e:00.0 || bad=$((bad + 1))
	rmdir "$t"/*/ "$t"
done
check_eq "devices come, go to identity, and are pulled out" "$bad" 0

for name in disk2 disk3 edu gone; do
	wait_for 180 test -s "/tmp/bad.$name" || not_ok "$name has ended"
	check_eq "$name: $ROUNDS rounds into the shared domain and out of it" \
		"$(cat "/tmp/bad.$name")" 0
done
# What was plugged in may have taken the number of the group that was away just then.
[ "$(group_of edu2)" = "$edu2" ] || {
	echo 1 > "/sys/bus/pci/devices/$e/remove"
	echo 1 > "/sys/bus/pci/devices/$d/remove"
	rescan "$d"
	wait_for 30 bound "$e"
}
check_as_before "types and drivers are as before" "$before" "$edu" "$disk2" "$disk3"
check_eq "a disk has its data" "$(sum "$(wait_disk "$(dev disk3 0)")" 2)" "$wrote"
edu_end
finish
