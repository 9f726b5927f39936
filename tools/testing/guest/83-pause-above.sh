#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What lies above paused devices does not lose them: a mirror of two disks, a bond of two
# interfaces, the disks of a SCSI host that is plugged in.
#
# machines: vtd
# also: virtio-iommu
# timeout: 300
# one-cpu: yes

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/pausing.sh

pause_or_skip
mkdir -p /tmp/m

# written NAME: ends the load, and says whether all that was written is there
written()
{
	kill $stall
	wait $stall
	check_eq "$1: all that was written came back, without an error" \
		"$? $(number errors /tmp/stall.out) $(number wrong /tmp/stall.out)" "0 0 0"
	check "$1: and it was written to" [ "$(number writes /tmp/stall.out)" -gt 20 ]
	say "$1: $(cat /tmp/stall.out)"
}

# both TYPE GROUP...: all of them in one commit
both()
{
	local type=$1 t g
	shift
	t=$(txn_new both)
	for g; do
		stage "$t" "$g" "$type"
	done
	echo pause > "$t/disruption"
	check_eq "$type: one commit for both" "$(write_errno "$t/commit" 1)" 0
	for g; do
		check_eq "$type: group $g is paused for it" "$(cat "$t/$g/method")" pause
		rmdir "$t/$g"
	done
	rmdir "$t"
}

# A mirror and a bond, of the disks and interfaces of two groups.
if has_group disk2; then
	group=$(group_of disk) group2=$(group_of disk2)
	boot=$(group_type "$group")
	before=$(groups_now "$group" "$group2")
	find_devices disk
	disk=$(wait_disk "$disk_dev") nic=$(wait_nic "$nic_dev")
	find_devices disk2
	disk2=$(wait_disk "$disk_dev") nic2=$(wait_nic "$nic_dev")
	far=$(dev disk3 1)
	modprobe raid1
	check "a mirror of two disks" sh -c "mdadm --create /dev/md0 --run --force --metadata=1.0 \
		--level=1 --raid-devices=2 --assume-clean '/dev/$disk' '/dev/$disk2' > /dev/null 2>&1"
	check "with a file system" sh -c "mkfs.ext4 -qF /dev/md0 > /dev/null 2>&1 && mount -t ext4 /dev/md0 /tmp/m"
	check "another side is there" other_side "$far"
	modprobe bonding max_bonds=0 mode=active-backup miimon=100
	ip link add bond7 type bond
	for i in "$nic" "$nic2"; do
		ip link set "$i" down
		ip link set "$i" master bond7
	done
	check "a bond of two interfaces" this_side bond7
	stall /tmp/m/stall > /tmp/stall.out 2>&1 &
	stall=$!
	sleep 1
	for type in identity "$boot"; do
		drivers=$(drivers_of "$group" | wc -w)
		find_devices disk
		change "below a mirror and a bond" $type
		check "$type: the other side answers" wait_for 30 ping -c 1 -W 1 10.9.0.2
	done
	for type in identity "$boot"; do
		both $type "$group" "$group2"
		check "$type: the other side answers" wait_for 30 ping -c 1 -W 1 10.9.0.2
	done
	written "the mirror"
	check_match "the mirror has both disks" "$(cat /proc/mdstat)" '\[UU\]'
	check_eq "the bond has both interfaces" "$(cat /sys/class/net/bond7/bonding/slaves | xargs -n1 | sort | xargs)" \
		"$(printf '%s\n' "$nic" "$nic2" | sort | xargs)"
	umount /tmp/m
	mdadm --stop /dev/md0 2> /dev/null
	mdadm --zero-superblock "/dev/$disk" "/dev/$disk2"
	ip link del bond7
	rmmod bonding
	for i in "$nic" "$nic2"; do
		ip link set "$i" down
	done
	no_other_side "$far"
	check_as_before "mirror and bond: as before" "$before" "$group" "$group2"
else
	skip "a mirror and a bond" "the machine has no such groups"
fi

can_check()
{
	[ "$(write_errno "$1/check" 1)" = 0 ]
}

# A SCSI host with a disk.
if host device_add virtio-scsi-pci,id=hot0,bus=rp13,iommu_platform=on,disable-legacy=on &&
   host device_add scsi-hd,id=hot1,bus=hot0.0,drive=scsi0; then
	modprobe virtio_scsi
	modprobe sd_mod
	disk_dev=
	for i in $(seq 30); do
		for disk in /sys/block/sd*; do
			case $(readlink -f "$disk") in
			*/virtio*) disk_dev=$(readlink -f "$disk" | grep -o '[0-9a-f:]*\.[0-9]/virtio' | cut -d / -f 1) ;;
			esac
		done
		[ -z "$disk_dev" ] || break
		sleep 1
	done
	[ -n "$disk_dev" ] || bail "no SCSI disk"
	disk=$(wait_disk "$disk_dev")
	group=$(basename "$(readlink "/sys/bus/pci/devices/$disk_dev/iommu_group")")
	drivers=1
	boot=$(group_type "$group")
	t=$(txn_new probe)
	stage "$t" "$group" identity
	check "SCSI: its probe has ended, which looks for many disks" wait_for 120 can_check "$t"
	rmdir "$t/$group" "$t"
	check "SCSI: a file system" sh -c "mkfs.ext4 -qF '/dev/$disk' > /dev/null 2>&1 && mount -t ext4 '/dev/$disk' /tmp/m"
	stall /tmp/m/stall > /tmp/stall.out 2>&1 &
	stall=$!
	sleep 1
	types SCSI
	written SCSI
	# A disk that comes while the host is used: events work after a pause as well.
	umount /tmp/m
	check "SCSI: the disk is unplugged" host device_del hot1
	check "SCSI: which the driver is told" wait_for 30 [ ! -e "/sys/block/$disk" ]
	check "SCSI: the host is unplugged" host device_del hot0
	check "SCSI: and gone" wait_for 30 [ ! -e "/sys/bus/pci/devices/$disk_dev" ]
	rmmod virtio_scsi
else
	skip "SCSI" "QEMU cannot plug it"
fi
finish
