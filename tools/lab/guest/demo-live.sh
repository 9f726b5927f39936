#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# `make demo-live`: the root file system is on a disk and a TCP session goes through an
# interface of the same group, and the group changes its type below both, with nothing
# unbound. For a person who watches; each step is checked as well.

. /lab/lib.sh
. /lab/show.sh
. /lab/live-root.sh

group=$(group_of disk) nic_dev=$(dev disk 1) far_dev=$(dev disk3 1)

# What runs from here on has the disk for its root.
if [ -z "${LIVE-}" ]; then
	tell "The disk gets a file system, and all of this machine's programs ..."
	disk=$(wait_disk "$(disk_dev disk)") || bad "no disk"
	live_root "/dev/$disk" /lab/tests/demo-live.sh || bad "it did not end well"
	good "e2fsck finds the file system clean"
	exit 0
fi

# ms NAME FILE: the same from microseconds
ms()
{
	echo "$(($(number "$1" "$2") / 1000)) ms"
}

# change TYPE ARGUMENT...: by a policy
change()
{
	local type=$1
	shift
	printf 'rules = ( {\n  name = "live"; match = { device = "%s"; }; type = "%s";\n} );\n' \
		"$nic_dev" "$type" > /etc/live.conf
	trace_start iommu_configfs
	do_it "iommucfg apply live.conf --disruption pause --yes $*"
	trace_stop > /tmp/trace
}

must_type()
{
	must "the group has type $1" "$(group_type "$group")" "$1"
	must "its devices have the drivers that they had" "$(drivers_of "$group" | xargs)" "$drivers"
	must "no driver was unbound" "$(grep -cE 'icfg_(release|probe):' /tmp/trace)" 0
}

nic=$(wait_nic "$nic_dev")
drivers=$(drivers_of "$group" | xargs)
first=$(group_type "$group")
cd /etc || exit

printf '\n%sThe root disk and the session stay: types change below them%s\n\n' "$bold" "$off"
tell "This is Linux $(uname -r) with the patches of this project, on a virtual machine" \
	"with Intel VT-d."

title "What is there"
tell "One group has the disk on which the root file system is, and two network cards."
other_side "$far_dev" && this_side "$nic" || bad "the other side does not answer"
do_it "iommucfg show $group"
do_it "grep ' / / ' /proc/self/mountinfo; ip -o -4 addr show dev $nic"
before=$(live_same "$nic")

title "A load that compares each byte"
tell "Files are written past the page cache and read back; a TCP session carries a stream." \
	"Both go on to the end."
tell "" "${cyan}# stall /file &  nsenter -n -t $ns stream 7000 &  stream 10.9.0.2 7000 &$off"
stall /file > /tmp/stall.out &
stall=$!
there stream 7000 > /tmp/stream.out &
sleep 1
stream 10.9.0.2 7000 &
stream=$!
sleep 2

title "A policy asks for identity: is anything lost?"
tell "Unbinding drivers would take the root file system away: --disruption pause rules it out."
do_it "modprobe iommu-configfs"
change identity --confirm-timeout 0 -n
must_exit 2 "there is something to change"
must_say "and how: drivers are paused, not unbound" 'identity +pause '
change identity --confirm-timeout 0
must_exit 0 "done"
must_type identity

title "Through the other types: DMA, DMA-FQ, and in place back to DMA"
for type in DMA DMA-FQ DMA; do
	change $type --confirm-timeout 0
	must_exit 0 "done"
	must_type $type
done

title "A change that is not confirmed goes back by itself, by pausing drivers as well"
change identity --confirm-timeout 600 --detach --name try
must_exit 0 "done for now"
must_type identity
tell "For this demo the time is shortened to four seconds ..."
trace_start iommu_configfs
do_it "echo 4 > $CONFIGFS/try/confirm_timeout"
wait_for 60 went_back try || bad "it did not go back"
trace_stop > /tmp/trace
must_type DMA
do_it "iommucfg confirm try"
must_exit 4 "too late: everything is as before"

title "A driver that says that it is paused, and is not"
tell "When all drivers of a group are paused the IOMMU core counts what is still mapped. This" \
	"test driver keeps a page mapped."
do_it "modprobe edu_lab"
edu=$(dev edu 0)
for dev in $(devices_of edu); do
	override "$dev" edu_lab_pause
done
edu_set "$edu" pause_keeps 1
edu_before=$(group_type "$(group_of edu)")
do_it "iommucfg set $(group_of edu) identity --disruption pause --yes --confirm-timeout 0"
must_exit 4 "it went back"
must_say "the driver is named" 'driver edu_lab_pause'
must_say "and what it kept" '1 mapping left'
must "the group still has its old type" "$(group_type "$(group_of edu)")" "$edu_before"
for dev in $(devices_of edu); do
	echo > "/sys/bus/pci/devices/$dev/driver_override"
done
rmmod edu_lab

title "And back to $first"
change "$first" --confirm-timeout 0
must_exit 0 "done"
must_type "$first"

title "What the load measured"
kill $stall $stream
wait_for 30 test -s /tmp/stream.out
wait_for 30 test -s /tmp/stall.out
do_it "cat /tmp/stall.out /tmp/stream.out"
must "disk: no error, nothing wrong" "$(number errors /tmp/stall.out) $(number wrong /tmp/stall.out)" "0 0"
must "TCP: the session never broke, nothing wrong" \
	"$(number errors /tmp/stream.out) $(number wrong /tmp/stream.out)" "0 0"
must "disk, interface, address and mount are the same as at the beginning" "$(live_same "$nic")" "$before"
tell "" "Disk: $(number writes /tmp/stall.out) blocks written, read back and compared; the longest" \
	"took $(ms longest_us /tmp/stall.out). TCP: $(number bytes /tmp/stream.out) bytes compared, at most" \
	"$(ms longest_us /tmp/stream.out) without any. Disk and interface were paused four times."
rm -f /file
ip addr flush dev "$nic"
ip link set "$nic" down
no_other_side "$far_dev"
rmmod iommu_configfs
step_over
