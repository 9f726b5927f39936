#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Files go to and from disks of four kinds, all of whose groups change in one
# commit, and through a network interface, under each type.
#
# machines: vtd virtio-iommu smmuv3 amd
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

load_module

# NVMe, the chipset's AHCI, AHCI behind a conventional bridge, virtio.
names=
for name in disk chipset bridge virtio; do
	if has_group $name; then
		names="$names $name"
	else
		skip "files on $name" "the machine has no such group"
	fi
done
groups=
for name in $names; do
	groups="$groups $(group_of $name)"
	[ "$name" = virtio ] || disk_dev $name > "/tmp/dev.$name" || bail "no disk in $name"
done
dev virtio 1 > /tmp/dev.virtio
# shellcheck disable=SC2086
before=$(groups_now $groups)
head -c 2097152 /dev/urandom > /tmp/file

# each_disk COMMAND...: mounts each disk, runs the command with its group and directory.
each_disk()
{
	local name disk
	for name in $names; do
		disk=$(wait_disk "$(cat "/tmp/dev.$name")") || { not_ok "$name: no disk"; continue; }
		mkdir -p "/tmp/on.$name"
		if ! mount -t ext4 "/dev/$disk" "/tmp/on.$name"; then
			not_ok "$name: cannot be mounted"
			continue
		fi
		"$@" "$name" "/tmp/on.$name"
		umount "/tmp/on.$name"
	done
}

put_file()
{
	cp /tmp/file "$3/$1" && sync
	(cd "$3" && find . -type f -exec md5sum {} +) > "/tmp/sums.$2"
}

get_files()
{
	check "$1: $2: files are what they were" \
		sh -c "cd '$3' && md5sum -c '/tmp/sums.$2' > /dev/null"
}

for name in $names; do
	mkfs.ext4 -qF "/dev/$(wait_disk "$(cat "/tmp/dev.$name")")"
done
each_disk put_file boot

t=$(txn_new files)
for type in identity DMA DMA-FQ auto; do
	rmdir "$t"/*/ "$t" 2>/dev/null
	[ -d "$t" ] && rmdir "$t"
	t=$(txn_new "files-$type")
	for group in $groups; do
		stage "$t" "$group" "$type"
	done
	check_eq "$type: all these groups in one commit" "$(write_errno "$t/commit" 1)" 0
	check_eq "$type: report" "$(report "$t")" ""
	for group in $groups; do
		[ "$type" = auto ] || check_eq "$type: group $group" "$(group_type "$group")" "$type"
	done
	each_disk get_files "$type"
	each_disk put_file "$type"
	each_disk get_files "$type, written under it"
done
rmdir "$t"/*/ "$t"

t=$(txn_new back)
for line in $(echo "$before" | awk '{ print $1 "=" $2 }'); do
	stage "$t" "${line%=*}" "${line#*=}"
done
check_eq "back" "$(write_errno "$t/commit" 1)" 0
rmdir "$t"/*/ "$t"
each_disk get_files "afterwards"
# shellcheck disable=SC2086
check_as_before "types and drivers are as before" "$before" $groups

# Two interfaces on one hub, one of them in a namespace of its own.
near=$(dev disk2 1)
far=$(dev disk3 1)
group=$(group_of disk2)
boot=$(group_type "$group")
far_mac=$(cat "/sys/class/net/$(wait_nic "$far")/address")
check "another side is there" other_side "$far"
there ip link set lo up

# listen [COMMAND...]: takes a file, by COMMAND nc. Its input must stay open, or it ends too soon.
mkfifo /tmp/idle
exec 8<> /tmp/idle
listen()
{
	rm -f /tmp/got
	"$@" nc -l -p 5001 <&8 > /tmp/got &
	wait_for 10 "$@" sh -c "netstat -ltn | grep -q :5001"
}

arrived()
{
	wait_for 30 cmp -s /tmp/file /tmp/got
	cmp /tmp/file /tmp/got
}

for type in identity DMA DMA-FQ auto; do
	t=$(txn_new "net-$type")
	stage "$t" "$group" "$type"
	check_eq "$type: commit" "$(write_errno "$t/commit" 1)" 0
	nic=$(wait_nic "$near")
	check "$type: the other side answers" this_side "$nic"
	listen there
	nc -w 20 10.9.0.2 5001 < /tmp/file
	check "$type: a file goes out" arrived
	listen env
	there nc -w 20 10.9.0.1 5001 < /tmp/file
	check "$type: a file comes in" arrived
	# A rollback from DMA-FQ to DMA unbinds no driver on a kernel that does it in place.
	if [ "$type" = DMA-FQ ] && both_ways; then
		check_eq "$type: rolled back while it is up" \
			"$(write_errno "$t/rollback" 1) $(cat "$t/state") $(nic_of "$near")" "0 rolled-back $nic"
	elif [ "$type" != auto ]; then
		check_eq "$type: no rollback while it is up" \
			"$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EBUSY committed"
	fi
	ip addr flush dev "$nic"
	ip link set "$nic" down
	rmdir "$t"/*/ "$t"
done
# It comes back to this namespace, down, and by whatever name.
check "the other interface comes back" no_other_side "$far"
check_eq "it is the same" "$(cat "/sys/class/net/$(nic_of "$far")/address")" "$far_mac"

t=$(txn_new back)
stage "$t" "$group" "$boot"
check_eq "back" "$(write_errno "$t/commit" 1)" 0
rmdir "$t"/*/ "$t"
finish
