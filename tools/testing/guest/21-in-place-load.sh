#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Groups go between DMA and DMA-FQ, both ways, under a mounted disk that is written to
# and an interface that answers pings: by commit, rollback and confirm timer. No driver
# notices, no request is lost.
#
# machines: vtd
# also: virtio-iommu amd smmuv3
# timeout: 300
# races: yes

. /lab/lib.sh

load_module
need_groups disk disk3
group=$(group_of disk)
boot=$(group_type "$group")
disk_dev=$(disk_dev disk) || bail "no disk in the group"

t=$(txn_new to)
stage "$t" "$group" DMA
check_eq "DMA to begin with" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 DMA"
rmdir "$t/$group" "$t"
disk=$(wait_disk "$disk_dev") || bail "no disk"
before=$(drivers_of "$group")

# A file system with a writer that reads back what it wrote.
mkfs.ext4 -qF "/dev/$disk"
mkdir -p /tmp/mnt
check "the disk is mounted" mount -t ext4 "/dev/$disk" /tmp/mnt
head -c 1048576 /dev/urandom > /tmp/block
cp /tmp/block /tmp/mnt/before
: > /tmp/wrong
: > /tmp/written
(
	while [ ! -e /tmp/enough ]; do
		dd if=/tmp/block of=/tmp/mnt/block bs=64k oflag=direct conv=fsync 2>> /tmp/wrong.log ||
			echo write >> /tmp/wrong
		dd if=/tmp/mnt/block of=/tmp/again bs=64k iflag=direct 2>> /tmp/wrong.log ||
			echo read >> /tmp/wrong
		cmp -s /tmp/block /tmp/again || echo compare >> /tmp/wrong
		echo >> /tmp/written
	done
) &
writer=$!

# Two interfaces on one hub, the far one in a namespace of its own.
find_devices disk
near=$(wait_nic "$nic_dev") || bail "no interface in the group"
far_dev=$(dev disk3 1)
check "another side is there" other_side "$far_dev"
check "it answers" this_side "$near"
ping 10.9.0.2 > /tmp/pings &
pings=$!

# signature: all that a driver's coming and going would change.
signature()
{
	echo "$(drivers_of "$group") $(stat -L -c %i "/sys/block/$disk")" \
		"$(cat "/sys/class/net/$near/ifindex") $(grep -c /tmp/mnt /proc/mounts)"
	# Addresses of IPv6 are tentative for a while.
	ip -o -4 addr show dev "$near"
}
signature > /tmp/signature
# There is a load before anything is changed, and one after it.
check "it is written to" wait_for 60 sh -c "[ \$(wc -l < /tmp/written) -gt 1 ]"
check "there are pings" wait_for 60 sh -c "[ \$(grep -c seq= /tmp/pings) -gt 1 ]"

uevents_start /tmp/uevents
trace_start iommu_configfs iommu:attach_device_to_domain

# step TYPE TIMEOUT: a commit under the load; leaves the transaction in $t.
step()
{
	t=$(txn_new step)
	stage "$t" "$group" "$1"
	echo "$2" > "$t/confirm_timeout"
	echo none > "$t/disruption"
	rc=$(write_errno "$t/commit" 1)
}

# state_of: what the transaction says about its group.
state_of()
{
	echo "$rc $(group_type "$group") $(cat "$t/$group/method") $(status "$t" "$group") $(report "$t")"
}

step DMA-FQ 0
check_eq "in place to DMA-FQ" "$(state_of)" "0 DMA-FQ in-place in-place "
rc=$(write_errno "$t/rollback" 1)
if [ "$rc" = EBUSY ]; then
	# A stock kernel. The way back is refused, and the rest of this test with it.
	check_match "this kernel's way back releases: it names the disk" "$(report "$t")" "^$group $disk_dev check EBUSY "
	txn=$t
	t=
else
	check_eq "its rollback is in place" "$(state_of)" "0 DMA in-place restored "
	txn_end "$t" > /dev/null
fi

written=$(wc -l < /tmp/written)
pinged=$(grep -c seq= /tmp/pings)
if [ -n "$t" ]; then
	for round in 1 2 3 4 5 6 7 8 9 10; do
		step DMA-FQ 0
		there=$(state_of)
		rmdir "$t/$group" "$t"
		step DMA 0
		back=$(state_of)
		rmdir "$t/$group" "$t"
		check_eq "$round: there and back" "$there/$back" \
			"0 DMA-FQ in-place in-place /0 DMA in-place in-place "
	done
	for type in DMA-FQ DMA; do
		from=$(group_type "$group")
		step $type 600
		check_eq "$type with a confirm timeout" "$(state_of)" "0 $type in-place in-place "
		check_eq "$type: unconfirmed" "$(cat "$t/state")" unconfirmed
		echo 1 > "$t/confirm_timeout"
		check "$type: the timer takes it back" wait_for 60 is "$t/state" rolled-back
		check_eq "$type: in place" "$(state_of)" "0 $from in-place restored "
		rmdir "$t/$group" "$t"
		# For the other one.
		step $type 0
		rmdir "$t/$group" "$t"
	done
	step DMA-FQ 600
	check_eq "confirmed" "$(write_errno "$t/confirm" 1) $(cat "$t/state")" "0 committed"
	check_eq "and rolled back by hand" "$(rc=$(write_errno "$t/rollback" 1); state_of)" \
		"0 DMA in-place restored "
	rmdir "$t/$group" "$t"
fi
check "the writer went on" wait_for 60 sh -c "[ \$(wc -l < /tmp/written) -gt $((written + 1)) ]"
check "so did the pings" wait_for 60 sh -c "[ \$(grep -c seq= /tmp/pings) -gt $((pinged + 1)) ]"

trace_stop > /tmp/trace
uevents_stop
check_eq "no driver was released or probed" "$(grep -cE 'icfg_(release|probe):' /tmp/trace)" 0
check_eq "no domain was attached" "$(grep -c attach_device /tmp/trace)" 0
check "the group was switched" grep -q "icfg_switch: .*group=$group type=DMA-FQ .*err=0" /tmp/trace
check_eq "no device came or went" "$(grep -E '^(add|remove|bind|unbind|move)@' /tmp/uevents)" ""
check "there were events of the change" grep -q "^change@.*IOMMU_TYPE=DMA-FQ" /tmp/uevents
signature > /tmp/signature.now
check "drivers, disk, mount, interface and address are the same" cmp /tmp/signature /tmp/signature.now

: > /tmp/enough
wait $writer
check_eq "nothing failed to be written, read, or compared" "$(cat /tmp/wrong)" ""
check "what was there before is there" cmp /tmp/block /tmp/mnt/before
kill $pings
wait $pings 2> /dev/null
check_eq "no ping was lost" \
	"$(sed -n 's/.*seq=\([0-9]*\).*/\1/p' /tmp/pings | awk '$1 != n++ { print $1; exit }')" ""
umount /tmp/mnt
ip addr flush dev "$near"
ip link set "$near" down
check "the other interface comes back" no_other_side "$far_dev"

[ -n "$t" ] || txn_end "$txn" > /dev/null
t=$(txn_new back)
stage "$t" "$group" "$boot"
check_eq "as found" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 $boot"
rmdir "$t/$group" "$t"
wait_disk "$disk_dev" > /dev/null
check_eq "with the drivers" "$(drivers_of "$group")" "$before"
finish
