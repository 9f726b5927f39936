#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# A group changes its type again and again while its disk has the root file system and its
# interface carries a TCP stream: every byte is compared. LAB_LONG=25 makes it a thousand.
#
# machines: vtd
# also: virtio-iommu amd vtd-igb
# timeout: 300
# one-cpu: yes

. /lab/lib.sh
. /lab/live-root.sh
. /lab/tests/faults.sh
. /lab/tests/pausing.sh

switches=$((40 * ${LAB_LONG:-1}))
for name in disk virtio; do
	[ "${LIVE_NAME:-$name}" = $name ] || continue
	has_group $name || continue
	group=$(group_of $name)
	can_pause "$group" || { skip "$name" "one of its drivers cannot be paused"; continue; }
	find_devices $name
	[ -z "${LIVE-}" ] || break

	[ -n "${loaded-}" ] || { pause_or_skip; loaded=yes; }
	disk=$(wait_disk "$disk_dev") || bail "$name: no disk"
	before=$(groups_now "$group")
	export LIVE_NAME=$name LIVE_N=$TAP_N LIVE_FAILED=$TAP_FAILED
	live_root "/dev/$disk" /lab/tests/82-pause-root.sh > /run/live.out
	status=$?
	grep -v '^e2fsck' /run/live.out
	unset LIVE_NAME
	[ -e /run/live.tap ] || bail "$name: it came to no end"
	. /run/live.tap
	rm /run/live.tap
	check_eq "$name: e2fsck finds the file system clean" $status 0
	check_as_before "$name: as before" "$before" "$group"
done
[ -n "${LIVE-}" ] || finish

# From here on the disk has the root file system.
TAP_N=$LIVE_N TAP_FAILED=$LIVE_FAILED

far_dev=$(dev disk3 1)
nic=$(wait_nic "$nic_dev")
first=$(group_type "$group")
check_match "$LIVE_NAME: its disk has the root file system" "$(grep ' / / ' /proc/self/mountinfo)" "$LIVE"
check "another side is there" other_side "$far_dev"
check "$LIVE_NAME: it answers" this_side "$nic"
before=$(live_same "$nic")
stall /file > /tmp/stall.out &
stall=$!
there stream 7000 > /tmp/stream.out &
server=$!
sleep 1
stream 10.9.0.2 7000 &
stream=$!
sleep 1

tx_bytes()
{
	cat "/sys/class/net/$nic/statistics/tx_bytes"
}

# More than one window of TCP's, so the other side has answered.
flows()
{
	[ $(($(tx_bytes) - sent)) -gt 200000 ]
}

done=0
while [ $done -lt $switches ]; do
	for type in identity DMA-FQ identity DMA-FQ DMA; do
		echo "$group" | stopwatch txn live $type stage commit rmdir > /tmp/txn 2>&1 || break 2
		done=$((done + 1))
		[ "$(group_type "$group")" = $type ] || break 2
	done
	[ $((done % 100)) -ne 0 ] || say "$LIVE_NAME: $done switches"
	# One whose device has to be reset needs a moment for its link, and TCP doubles the
	# time after which it sends again: it gets its chance before the next loss.
	sent=$(tx_bytes)
	wait_for 130 flows || break
done
check_eq "$LIVE_NAME: $switches switches" "$done $(grep : /tmp/txn)" "$switches "
echo "$group" | stopwatch txn live "$first" stage commit rmdir > /tmp/txn 2>&1
check_eq "$LIVE_NAME: and back" "$(group_type "$group")" "$first"
sleep 1
kill $stall $stream
wait $stall $stream
wait_for 60 test -s /tmp/stream.out
kill $server 2> /dev/null
say "$LIVE_NAME: disk: $(cat /tmp/stall.out)"
say "$LIVE_NAME: TCP: $(cat /tmp/stream.out)"
for i in stall stream; do
	check_eq "$LIVE_NAME: $i: no error, nothing wrong" \
		"$(number errors /tmp/$i.out) $(number wrong /tmp/$i.out)" "0 0"
	check "$LIVE_NAME: $i: something was done" [ "$(grep -oE '(writes|bytes)=[0-9]*' /tmp/$i.out | cut -d = -f 2)" -gt 20 ]
done
check_eq "$LIVE_NAME: disk, interface, address and mount are the same" "$(live_same "$nic")" "$before"
check_eq "$LIVE_NAME: the driver neither timed out nor reset its device" \
	"$(dmesg | sed -n '/lab: begin 82-pause-root/,$p' | grep -ciE 'timeout|abort|resetting|I/O error')" 0
rm -f /file
ip addr flush dev "$nic"
ip link set "$nic" down
no_other_side "$far_dev"
echo "TAP_N=$TAP_N TAP_FAILED=$TAP_FAILED" > /run/live.tap
