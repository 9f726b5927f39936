#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# `make demo`: a walk through iommucfg, and at the end through the configfs files
# below it, for a person who watches. Each step is checked as well: the demo ends
# with status 1 at the first thing that is not as told.
#
# klog-allow: DMAR: .*[Ff]ault|DMAR: .*Request device

. /lab/lib.sh
. /lab/show.sh

types()
{
	local name
	for name in disk disk2 disk3; do
		group_type "$(group_of $name)"
	done | xargs
}

drivers()
{
	local name
	for name in disk disk2 disk3; do
		drivers_of "$(group_of $name)"
	done | xargs
}

must_drivers()
{
	must "each of the $(drivers | wc -w) devices has the driver that it had" \
		"$(drivers)" "$boot_drivers"
}

a=$(group_of disk) b=$(group_of disk2) c=$(group_of disk3)
boot_types=$(types)
boot_drivers=$(drivers)
first=${boot_types%% *}
changed="identity identity identity"
mkdir -p /etc/demo
cd /etc/demo || exit

printf '%sIOMMU groups change their type while the machine runs: all or none%s\n\n' "$bold" "$off"
tell "This is Linux $(uname -r) on a virtual machine with Intel VT-d: a distribution's" \
	"kernel, and one module for it. Changing a type without that means unbinding drivers by" \
	"hand, device by device, or a reboot."

title "What is there"
tell "Three groups, each with a disk and network cards. An IOMMU cannot tell the devices of a" \
	"group apart, so they have one type together."
do_it "iommucfg show $a $b $c"
must_exit 0 "done"

title "Data on the first disk, to see later whether it is still there"
disk=/dev/$(wait_disk "$(dev disk 0)")
do_it "pattern write $disk 16 2024"
sum=$(tail -n 1 /tmp/output)
must "16 MiB are on the disk; the number is their checksum" "$status" 0

title "A policy, and what it would do"
tell "A policy names devices by what stays the same at the next boot: here NVMe disks, by" \
	"their driver and their path from the root bus."
cat > fast.conf <<'END'
rules = (
  {
    name = "fast";
    match = { driver = "nvme"; path = "0000:00:02.*/00.0"; };
    type = "identity";
    required = true;      // an error if there is no such disk
  }
);
END
do_it "cat fast.conf"
do_it "iommucfg plan fast.conf"
must_exit 2 "there is something to change"
must_say "each group has its reason: rule, file and line" "fast +fast.conf:2"
must "nothing was touched" "$(types)" "$boot_types"

title "From $first to identity: three groups, one transaction"
tell "All drivers of all devices are released and bound again, side by side. If one device" \
	"does not come back, everything goes back."
do_it "modprobe iommu-configfs"
do_it "iommucfg apply --yes --confirm-timeout 0 fast.conf"
must_exit 0 "done"
must_say "with a progress bar" '\[#*\.*\] [0-9]+ of [0-9]+ device steps'
must "all three groups have the new type" "$(types)" "$changed"
must_drivers
do_it "iommucfg assert fast.conf"
must_exit 0 "all is as the policy says (a line for a health check)"

title "The data is still there, now without any translation"
disk=/dev/$(wait_disk "$(dev disk 0)")
do_it "pattern sum $disk 16"
must "the checksum is the same" "$(tail -n 1 /tmp/output)" "$sum"

title "A change that is not confirmed goes back by itself"
tell "A change of the network card that carries the login needs a way back without a login." \
	"The command returns at once, and the kernel undoes the change if it is not confirmed" \
	"in time: here ten minutes."
do_it "iommucfg set $a $first --confirm-timeout 600 --detach --yes --name try"
must_exit 0 "done for now"
must "unconfirmed" "$(cat $CONFIGFS/try/state)" unconfirmed
tell "It is not confirmed, and no process is needed to undo it. For this demo the time is" \
	"shortened to four seconds ..."
start=$(now)
do_it "echo 4 > $CONFIGFS/try/confirm_timeout"
wait_for 60 went_back try
printf '%s(%s)%s\n' "$dim" "$(seconds "$start")" "$off"
must "the kernel took it back" "$(types)" "$changed"
do_it "iommucfg confirm try"
must_exit 4 "too late: everything is as before"
must_drivers

title "Undone by hand"
do_it "iommucfg set $a $first $b DMA --confirm-timeout 600 --detach --yes --name back"
must_exit 0 "done for now"
do_it "iommucfg status"
must_say "it waits to be confirmed" 'unconfirmed'
do_it "iommucfg rollback back"
must_exit 0 "done"
must "all three groups are what they were" "$(types)" "$changed"

title "A wrong type is noticed, and goes back by itself"
tell "This test driver has its device write to a page that it never mapped. Without" \
	"translation that works; under DMA the IOMMU stops it, and reports a fault. The driver" \
	"stays bound without an error: only the fault says that the change was wrong."
modprobe edu_lab || bad "no test driver"
edu=$(group_of edu)
boot_edu=$(group_type "$edu")
do_it "iommucfg set $edu identity --yes --confirm-timeout 0"
must_exit 0 "done"
edu_set "$(dev edu 0)" stray 1
do_it "iommucfg set $edu DMA --yes --confirm-timeout 0"
must_exit 4 "tried, and everything is as before"
must_say "it quotes the fault" 'IOMMU fault after the change'
must "the group has the type that it had" "$(group_type "$edu")" identity
edu_set "$(dev edu 0)" stray 0
iommucfg set "$edu" "$boot_edu" --yes --confirm-timeout 0 -q > /dev/null 2>&1
rmmod edu_lab

title "Confirmed by hand"
tell "At a terminal there is a question, with the seconds that are left to answer it."
type_in y 'Keep these'
do_it "iommucfg set $a $first $b $first $c $first --confirm-timeout 600 --yes"
must_exit 0 "done, and it stays"
must_say "it had asked" 'Keep these settings'
must "all three groups are as at boot" "$(types)" "$boot_types"
must_drivers

title "Two rules that contradict each other"
tell "One rule wants identity for disks, the other one DMA for network cards. In one slot" \
	"both are in one group, which has one type: a conflict is an error."
cat > careful.conf <<'END'
rules = (
  {
    name = "careful network";
    match = { class = "network"; path = "0000:00:02.0/*"; };
    type = "DMA";
  }
);
END
do_it "cat careful.conf"
do_it "iommucfg plan fast.conf careful.conf"
must_exit 1 "the policy has an error"
must_say "it names one rule, with file and line" 'fast\.conf:2'
must_say "the other rule" 'careful\.conf:2'
must_say "and both devices" "$(dev disk 0).*$(dev disk 1)|$(dev disk 1).*$(dev disk 0)"

title "What is in use is refused, with the reason"
disk=/dev/$(wait_disk "$(dev disk 0)")
mkdir -p /srv
do_it "mkfs.ext4 -q $disk && mount -t ext4 $disk /srv"
must "a file system on that disk is mounted" "$status" 0
do_it "iommucfg apply --yes --confirm-timeout 0 fast.conf"
must_exit 3 "refused, nothing was touched"
must_say "it names device and mount point" "$(dev disk 0).*/srv"
must "the two groups that could change did not either" "$(types)" "$boot_types"
tell "Or all groups but those in use:"
do_it "iommucfg apply --yes --confirm-timeout 0 --skip-in-use fast.conf"
must_exit 2 "done, but something is left to change"
must "two groups have changed" "$(types)" "$first identity identity"
do_it "umount /srv"
do_it "iommucfg set $b $first $c $first --yes --confirm-timeout 0 -q > /dev/null"
must "and have their old type again" "$(types)" "$boot_types"

title "The kernel's interface: directories and files"
tell "All that iommucfg does, a shell can do. A transaction is a directory; in it goes a" \
	"directory for each group."
cd $CONFIGFS || exit
do_it "cd $CONFIGFS; mkdir demo demo/$a demo/$b demo/$c"
do_it "for g in $a $b $c; do echo identity > demo/\$g/type; done"
do_it "echo 1 > demo/check; cat demo/state"
must_say "it would work, and nothing was touched" '^staged$'
do_it "echo 1 > demo/commit; cat demo/state"
must_say "committed" '^committed$'
must "all three groups have the new type" "$(types)" "$changed"
do_it "echo 1 > demo/rollback; cat demo/state"
must_say "rolled back" '^rolled-back$'
do_it "rmdir demo/$a demo/$b demo/$c demo"
cd /

title "The module is unloaded"
do_it "rmmod iommu_configfs"
must "the module is unloaded" "$(ls -d /sys/module/iommu_configfs 2>/dev/null)" ""
must "types and drivers are as at boot" "$(types) $(drivers)" "$boot_types $boot_drivers"
step_over
rm -rf /etc/demo
