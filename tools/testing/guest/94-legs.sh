#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Both legs of a bond, of an md mirror, and both paths of an NVMe subsystem change, one after
# the other, while TCP goes over the bond and files are written to the mirror and the
# subsystem: nothing is reset, lost, or different.
#
# machines: vtd
# timeout: 400
# klog-allow: md/raid1:|md: |nvme[0-9]+n[0-9]+:|Buffer I/O error on dev md|I/O error, dev nvme

. /lab/lib.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"
need_groups disk disk2 disk3 path0 path1
modprobe bonding 2>/dev/null || skip_all "no bonds in this kernel"
modprobe raid1
load_module

one=$(group_of disk2)
two=$(group_of disk3)
boot_one=$(group_type "$one")
boot_two=$(group_type "$two")
find_devices disk2
nic_one=$nic_dev disk_one=$disk_dev
find_devices disk3
nic_two=$nic_dev disk_two=$disk_dev
find_devices disk
peer_dev=$nic_dev

# The bond, with an address, and a peer in another network namespace.
ip link del bond0 2>/dev/null
ip link add bond9 type bond
echo active-backup >/sys/class/net/bond9/bonding/mode
echo 100 >/sys/class/net/bond9/bonding/miimon
for dev in "$nic_one" "$nic_two"; do
	ip link set "$(nic_of "$dev")" down
	ip link set "$(nic_of "$dev")" master bond9
done
other_side "$peer_dev" || bail "no other side"
this_side bond9
ip route add default via 10.9.0.2 dev bond9

# both_up: have both legs a link?
both_up()
{
	[ "$(cat /sys/class/net/bond9/lower_*/bonding_slave/mii_status | xargs)" = "up up" ]
}

check "both legs have a link" wait_for 30 both_up
check "the peer answers" wait_for 30 ping -c 1 -W 1 10.9.0.2

mdadm --create /dev/md9 --run --force --metadata=1.2 --bitmap=internal --level=1 \
	--raid-devices=2 --assume-clean "/dev/$(wait_disk "$disk_one")" \
	"/dev/$(wait_disk "$disk_two")" 2>/tmp/mdadm || bail "no mirror: $(cat /tmp/mdadm)"
mkfs.ext4 -q -F /dev/md9
mkdir -p /mnt/md /mnt/paths
mount -t ext4 /dev/md9 /mnt/md || bail "the mirror cannot be mounted"

md()
{
	cat "/sys/block/md9/md/$1"
}

# in_sync: has the mirror both its members?
in_sync()
{
	[ "$(md degraded)" = 0 ] && [ "$(md sync_action)" = idle ]
}

there stream 7009 >/tmp/received &
receiver=$!
sleep 1
stream 10.9.0.2 7009 2>/tmp/sent &
sender=$!

# writer DIRECTORY
writer()
{
	local i=0
	while [ ! -e /tmp/enough ]; do
		i=$((i + 1))
		echo "file $i" >"$1/$((i % 50))" && sync "$1/$((i % 50))" &&
			[ "$(cat "$1/$((i % 50))")" = "file $i" ] || echo "$1: $i" >>/tmp/errors
		usleep 50000
	done
}
writer /mnt/md &
writers=$!
: >/tmp/errors

run 3 "a leg without the word" set "$one" identity
run 2 "the plan" set -n --json "$one" identity "$two" identity --allow-in-use net,block
check_match "has two steps" "$(grep '"step"' /tmp/out | xargs)" '^step: *1,? step: *2,?$'
run 3 "a confirm timeout by hand does not go with it" set --json "$one" identity "$two" \
	identity --allow-in-use net,block --confirm-timeout 60
check_match "which has a code" "$(cat /tmp/out)" '"code": "legs"'
ip link set "$(nic_of "$nic_two")" down
check "one leg is down" wait_for 30 is "/sys/class/net/$(nic_of "$nic_two")/bonding_slave/mii_status" down
run 3 "with one leg alone the other one is not to go" set --json "$one" identity \
	--allow-in-use net,block
check_match "which has a code" "$(cat /tmp/out)" '"code": "last-leg"'
ip link set "$(nic_of "$nic_two")" up
check "both legs have a link" wait_for 30 both_up

run 0 "both legs, one after the other" set "$one" identity "$two" identity \
	--allow-in-use net,block
say "$(cat /tmp/err)"
check_eq "have their types" "$(group_type "$one") $(group_type "$two")" "identity identity"
check "the mirror has both members" in_sync
check "the bond has both legs" both_up

# The second one is refused by the check command: the first one goes back as well.
cat >/tmp/check <<END
#!/bin/sh
[ "\$(cat $SYS_GROUPS/$two/type)" = identity ]
END
chmod 755 /tmp/check
run 4 "a second leg that fails" set "$one" "$boot_one" "$two" "$boot_two" \
	--allow-in-use net,block --check-command /tmp/check
say "$(cat /tmp/err)"
check_eq "takes the first one back" "$(group_type "$one") $(group_type "$two")" \
	"identity identity"
check "the mirror has both members" in_sync
check "the bond has both legs" both_up

run 0 "and back to the types of the boot" set "$one" "$boot_one" "$two" "$boot_two" \
	--allow-in-use net,block

touch /tmp/enough
wait $writers
kill -TERM $sender
wait $sender
check_eq "the sender saw no error" "$? $(cat /tmp/sent)" "0 "
check "the receiver saw the end" wait_for 30 is_gone $receiver
wait $receiver
check_match "every byte has come, and no connection broke" "$(cat /tmp/received)" \
	"bytes=[1-9][0-9]{4,} wrong=0 errors=0"
say "$(cat /tmp/received)"
check_eq "no file was lost" "$(cat /tmp/errors)" ""
check_eq "no transaction is left" \
	"$(ls $CONFIGFS | grep -vxE 'abi|generation|standing' | xargs)" ""

umount /mnt/md
# no_array: the array is over, and nothing is left of it on the disks
no_array()
{
	local dev
	mdadm --stop /dev/md9 2>/dev/null
	for dev in "$disk_one" "$disk_two"; do
		mdadm --zero-superblock "/dev/$(wait_disk "$dev")" 2>/dev/null
	done
}
no_array
ip route del default via 10.9.0.2
ip link del bond9
no_other_side "$peer_dev"
rm -f /tmp/enough

# Arrays whose superblocks are at the end of their members.
# array WORD...: a mirror
array()
{
	mdadm --create /dev/md9 --run --force --level=1 --raid-devices=2 --assume-clean \
		--size=16M "$@" 2>/tmp/mdadm || bail "no mirror: $(cat /tmp/mdadm)"
}

# member DEVICE: what md says of the disk of a device
member()
{
	md "dev-$(wait_disk "$1")/state"
}

array --metadata=1.0 --bitmap=internal "/dev/$(wait_disk "$disk_one")" \
	"/dev/$(wait_disk "$disk_two")"
echo writemostly >"/sys/block/md9/md/dev-$(wait_disk "$disk_two")/state"
state_two=$(member "$disk_two")
check_match "one member is read if need be only" "$state_two" "write_mostly"
run 0 "metadata 1.0: both legs" set "$one" identity "$two" identity --allow-in-use block
say "$(cat /tmp/err)"
check "the mirror has both members" in_sync
check_eq "each as it was" "$(member "$disk_two")" "$state_two"
no_array

array --metadata=0.90 --bitmap=internal "/dev/$(wait_disk "$disk_one")" \
	"/dev/$(wait_disk "$disk_two")"
run 0 "metadata 0.90: both legs" set "$one" "$boot_one" "$two" "$boot_two" --allow-in-use block
say "$(cat /tmp/err)"
check "the mirror has both members" in_sync
no_array

array --metadata=1.2 --bitmap=none "/dev/$(wait_disk "$disk_one")" "/dev/$(wait_disk "$disk_two")"
run 3 "no bitmap: not both legs" set --json "$one" identity "$two" identity --allow-in-use block
check_match "which has a code" "$(cat /tmp/out)" '"code": "no-bitmap"'
run 0 "no bitmap: one leg" set "$one" identity --allow-in-use block
check_match "is copied anew" "$(cat /tmp/err)" "copied anew"
check "the mirror has both members" in_sync
no_array
run 0 "and back" set "$one" "$boot_one"

# NVMe: a namespace over two controllers.
one=$(group_of path0)
two=$(group_of path1)
boot_one=$(group_type "$one")
boot_two=$(group_type "$two")
disk=$(wait_disk "$(dev path0 0)")
mkfs.ext4 -q -F "/dev/$disk"
mount -t ext4 "/dev/$disk" /mnt/paths || bail "the namespace cannot be mounted"
: >/tmp/errors
writer /mnt/paths &
writers=$!
run 0 "both paths, one after the other" set "$one" identity "$two" identity --allow-in-use block
check_eq "have their types" "$(group_type "$one") $(group_type "$two")" "identity identity"
check "and the namespace is still mounted" grep -q " /mnt/paths " /proc/mounts
run 0 "and back" set "$one" "$boot_one" "$two" "$boot_two" --allow-in-use block
touch /tmp/enough
wait $writers
check_eq "no file was lost" "$(cat /tmp/errors)" ""
umount /mnt/paths
dd if=/dev/zero of="/dev/$(wait_disk "$(dev path0 0)")" bs=1M count=1 2>/dev/null
rm -f /tmp/enough /tmp/check
finish
