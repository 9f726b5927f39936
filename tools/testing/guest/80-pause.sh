#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Groups change their type while their disks are mounted and written and their
# interfaces carry traffic: the drivers are paused, and nothing is unbound.
#
# machines: vtd
# also: virtio-iommu amd smmuv3 vtd-igb
# timeout: 300
# one-cpu: yes

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/pausing.sh

pause_or_skip

# The disk and the first interface of a group, and the one that it talks to.
far=$(dev disk3 1)
check "another side is there" other_side "$far"

# inode FILE: a device that came anew has another one for its directory.
inode()
{
	stat -L -c %i "$1"
}

for name in disk virtio; do
	has_group $name || { skip "$name" "the machine has no such group"; continue; }
	group=$(group_of $name)
	can_pause "$group" || { skip "$name" "one of its drivers cannot be paused"; continue; }
	boot=$(group_type "$group")
	before=$(groups_now "$group")
	drivers=$(drivers_of "$group" | xargs -n 1 | grep -cv '=pcieport$')
	find_devices $name
	disk=$(wait_disk "$disk_dev") || bail "$name: no disk"
	nic=$(wait_nic "$nic_dev") || bail "$name: no interface"

	check "$name: a file system" sh -c "mkfs.ext4 -qF '/dev/$disk' > /dev/null 2>&1"
	mkdir -p /tmp/m
	mount -t ext4 "/dev/$disk" /tmp/m || bail "$name: cannot be mounted"
	mount_id=$(grep ' /tmp/m ' /proc/self/mountinfo)
	head -c 2097152 /dev/urandom > /tmp/m/file
	sync
	sums=$(md5sum < /tmp/m/file)
	check "$name: the other side answers" this_side "$nic"
	ifindex=$(cat "/sys/class/net/$nic/ifindex")
	inodes="$(inode "/sys/block/$disk") $(inode "/sys/class/net/$nic")"

	stall /tmp/m/stall > /tmp/stall.out 2>&1 &
	stall=$!
	ping -i 0.2 10.9.0.2 > /tmp/ping.out 2>&1 &
	ping=$!
	# What asks an interface for its counters meets it paused, too. On a slow kernel not
	# all the time: a driver has 10 s for a pause whatever the kernel.
	while usleep $((300000 * ${LAB_PATIENCE:-1})); do cat "/sys/class/net/$nic/statistics/rx_packets"; ip -s link; done > /dev/null 2>&1 &
	asking=$!
	sleep 2
	types $name
	sleep 1
	kill $asking
	kill -INT $ping
	wait $ping $asking 2> /dev/null
	kill $stall
	wait $stall
	check_eq "$name: all that was written came back, without an error" \
		"$? $(number errors /tmp/stall.out) $(number wrong /tmp/stall.out)" "0 0 0"
	check "$name: and it was written to" [ "$(number writes /tmp/stall.out)" -gt 20 ]
	say "$name: $(cat /tmp/stall.out)"
	say "$name: $(tail -n 3 /tmp/ping.out | xargs)"
	check "$name: the other side answers" wait_for 10 ping -c 1 -W 1 10.9.0.2
	check_eq "$name: the interface is the same" "$(cat "/sys/class/net/$nic/ifindex")" "$ifindex"
	check_eq "$name: with its address" "$(ip -o addr show dev "$nic" | grep -c '10\.9\.0\.1/24')" 1
	check_eq "$name: disk and interface never went" \
		"$(inode "/sys/block/$disk") $(inode "/sys/class/net/$nic")" "$inodes"
	check_eq "$name: the mount is the same" "$(grep ' /tmp/m ' /proc/self/mountinfo)" "$mount_id"
	echo 3 > /proc/sys/vm/drop_caches
	check_eq "$name: the file is what it was" "$(md5sum < /tmp/m/file)" "$sums"

	# An interface that is closed and opened by others meanwhile, and what asks for an end.
	t=$(txn_new rollback)
	stage "$t" "$group" identity
	echo 600 > "$t/confirm_timeout"
	check_eq "$name: a commit to confirm" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 identity"
	echo 1 > "$t/confirm_timeout"
	check "$name: the timer takes it back" wait_for 30 is "$t/state" rolled-back
	check_eq "$name: by a pause" "$(cat "$t/$group/method") $(group_type "$group")" "pause $boot"
	check_eq "$name: the disk never went" "$(inode "/sys/block/$disk")" "${inodes% *}"
	check_eq "$name: nothing to report" "$(report "$t")" ""
	txn_end "$t"
	t=$(txn_new rollback)
	stage "$t" "$group" identity
	# One that is detached cannot be opened.
	touch /run/toggling
	while [ -e /run/toggling ]; do
		usleep 100000
		ip link set "$nic" down
		ip link set "$nic" up
	done 2> /dev/null &
	toggling=$!
	for try in 1 2; do
		check_eq "$name: with the interface going up and down, $try" \
			"$(write_errno "$t/commit" 1) $(write_errno "$t/rollback" 1)" "0 0"
		rmdir "$t/$group" "$t"
		t=$(txn_new rollback)
		stage "$t" "$group" identity
	done
	# Killed, it could leave an "ip" behind that takes it down later.
	rm /run/toggling
	wait $toggling
	txn_end "$t"
	ip link set "$nic" up
	ip addr add 10.9.0.1/24 dev "$nic" 2> /dev/null
	check "$name: it works" wait_for 30 ping -c 1 -W 1 10.9.0.2

	umount /tmp/m
	ip addr flush dev "$nic"
	ip link set "$nic" down
	check_as_before "$name: as before" "$before" "$group"
done

no_other_side "$far"
finish
