#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# What nothing manages is on the interfaces again after a change, and however it goes back:
# addresses, routes, a VLAN and a bridge above it, a bond and its member.
#
# machines: vtd
# also: virtio-iommu amd smmuv3
# timeout: 240

. /lab/lib.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"
need_groups disk2 virtio
modprobe 8021q 2>/dev/null || skip_all "no VLANs in this kernel"
modprobe bridge
load_module

group=$(group_of disk2)
other=$(group_of virtio)
was=$(group_type "$group")
was_other=$(group_type "$other")
find_devices virtio
member_dev=$nic_dev
find_devices disk2
nic=$(nic_of "$nic_dev")
member=$(nic_of "$member_dev")

# All that is on the interfaces but indices and what the kernel makes by itself. Two probes that
# run side by side swap names, so these are those of the devices.
network()
{
	local nic member
	nic=$(wait_nic "$nic_dev")
	member=$(wait_nic "$member_dev")
	{
		ip addr show
		for table in main 100; do
			ip route show table $table
			ip -6 route show table $table
		done
		for i in /sys/class/net/*/master; do
			echo "$i is $(readlink -f "$i" | sed 's/.*net.//')"
		done
	} | sed -E -e 's/^[0-9]+: //' -e 's/valid_lft [0-9]+sec.*/valid_lft some/' \
		-e 's/ (qdisc|state|qlen|expires) [^ ]+//g' \
		-e 's/link.ether.*//' -e 's/ (linkdown|dadfailed|tentative|error) ?[-0-9]*//g' \
		-e 's/<[^ ]*,UP.*>/<UP>/' -e 's/<[^ ]*[A-Z]>/<>/' -e "s/\<$nic\>/NIC/g; s/\<$member\>/MEMBER/g" -e 's/ +$//' |
		grep -v -e 'inet6 fe80' -e '^fe80' -e ff00 -e '^$' -e 'valid_lft forever' |
		sort
}

# same WHAT
same()
{
	network >/tmp/network
	check "$1: the network is as before" cmp -s /tmp/network.before /tmp/network
	cmp -s /tmp/network.before /tmp/network ||
		say "$(diff -u /tmp/network.before /tmp/network) $(cat /tmp/err)"
}

ip link set "$nic" mtu 1400
ip link set "$nic" up
ip addr add 10.30.0.1/24 dev "$nic"
ip addr add 10.30.0.2/24 dev "$nic"
ip -6 addr add fd00:30::1/64 dev "$nic"
ip addr add 10.31.0.1/24 dev "$nic" valid_lft 3000 preferred_lft 2000
ip route add default via 10.30.0.254 dev "$nic"
ip route add 192.0.2.0/24 via 10.30.0.254 dev "$nic" table 100
ip -6 route add fd00:77::/64 via fd00:30::fe dev "$nic" table 100
ip link add link "$nic" name v5 type vlan id 5
ip link add br5 type bridge
ip link set v5 up
ip link set br5 up
ip link set v5 master br5
ip addr add 10.5.0.1/24 dev br5
ip route add 198.51.100.0/24 via 10.5.0.2 dev br5
ip link add bond7 type bond
ip link set bond7 up
ip link set "$member" down
ip link set "$member" master bond7
ip addr add 10.7.0.1/24 dev bond7
ip route add 203.0.113.0/24 via 10.7.0.2 dev bond7
# Addresses of IPv6 are tentative at first.
sleep 2
network >/tmp/network.before
check_match "there is a VLAN in a bridge" "$(cat /tmp/network.before)" "v5/master is br5"
check_match "and a member in a bond" "$(cat /tmp/network.before)" "MEMBER/master is bond7"

change()
{
	run "$@" --allow-in-use net,default-route,block
}

change 0 "set" set "$group" identity "$other" identity
check_eq "both changed" "$(group_type "$group") $(group_type "$other")" "identity identity"
same "after a change"
check_eq "nothing is said to be missing" "$(grep -c "had before the change" /tmp/err)" 0

change 0 "set, unconfirmed" set "$group" "$was" "$other" "$was_other" --confirm-timeout 600 \
	--detach --name kept
same "before the confirmation"
run 0 "confirm" confirm kept
same "after the confirmation"

# unconfirmed NAME SECONDS: a command in the background that waits to be confirmed: $waiter
unconfirmed()
{
	iommucfg set "$group" identity "$other" identity --allow-in-use net,default-route,block \
		--confirm-timeout "$2" --name "$1" >/tmp/out 2>"/tmp/err.$1" </dev/null &
	waiter=$!
	check "is unconfirmed" wait_for 60 is "$CONFIGFS/$1/state" unconfirmed
	wait_for 30 grep -q confirm "/tmp/err.$1"
}

unconfirmed back 600
kill -TERM $waiter
wait $waiter
check_eq "rolled back by the command that waits" $? 4
check_match "all is as before, it says" "$(cat /tmp/err.back)" "everything is as before"
same "after the rollback"

change 0 "set, and left to another command" set "$group" identity "$other" identity \
	--confirm-timeout 600 --detach --name left
run 0 "which rolls it back" rollback left
same "after another command's rollback"
# What watched the change leaves the network to that command.
ip addr del 10.30.0.2/24 dev "$(wait_nic "$nic_dev")"
sleep 2
check_eq "what is changed afterwards stays so" \
	"$(ip addr show dev "$(wait_nic "$nic_dev")" | grep -c 10.30.0.2)" 0
ip addr add 10.30.0.2/24 dev "$(wait_nic "$nic_dev")"

change 4 "not confirmed in time" set "$group" identity "$other" identity --confirm-timeout 6
check_match "all is as before, that says, too" "$(cat /tmp/err)" "everything is as before"
same "after the kernel's timer"
check_eq "the types went back" "$(group_type "$group") $(group_type "$other")" "$was $was_other"

# The command has ended before the kernel's timer rolls back. Addresses that were changed after
# the commit are kept by the rollback.
ended()
{
	[ ! -e "$CONFIGFS/$1" ]
}
change 0 "set, and left to itself" set "$group" identity "$other" identity \
	--confirm-timeout 12 --detach --name alone
ip addr add 10.30.0.9/24 dev "$(wait_nic "$nic_dev")"
ip addr del 10.30.0.2/24 dev "$(wait_nic "$nic_dev")"
network >/tmp/network.changed
check "it ends" wait_for 60 ended alone
check_eq "the types went back" "$(group_type "$group") $(group_type "$other")" "$was $was_other"
network >/tmp/network
check "what was changed meanwhile is kept" cmp -s /tmp/network.changed /tmp/network
cmp -s /tmp/network.changed /tmp/network || say "$(diff -u /tmp/network.changed /tmp/network)"
run 4 "a confirmation comes too late" confirm alone
ip addr del 10.30.0.9/24 dev "$(wait_nic "$nic_dev")"
ip addr add 10.30.0.2/24 dev "$(wait_nic "$nic_dev")"
same "with the old addresses again"

unconfirmed killed 12
kill -KILL $waiter
check "a killed command's change ends" wait_for 60 ended killed
check_eq "the types went back" "$(group_type "$group") $(group_type "$other")" "$was $was_other"
same "after the command was killed"
run 0 "history" history --json
check_match "which says so" "$(grep '"result"' /tmp/out | tail -1)" restored

# It has the default route, and what manages it never brings it back: the change cannot stay.
mkdir -p /tmp/bin
printf '#!/bin/sh\n[ "$2" = "%s" ]\n' "$(nic_of "$nic_dev")" >/tmp/bin/ifquery
chmod 755 /tmp/bin/ifquery
export PATH=/tmp/bin:"$PATH"
change 4 "an address that a manager does not bring back" set "$group" identity --settle 3
check_match "is the reason" "$(cat /tmp/err)" "10.30.0.1/24.*ifupdown manages it"
# After the rollback the command brings it back itself: there is nothing left to wait for.
check_match "all is as before, it says as well" "$(cat /tmp/err)" "everything is as before"
same "after a rollback that no manager helps"
check_eq "the type went back" "$(group_type "$group")" "$was"
rm -r /tmp/bin

ip link del br5
ip link del v5 2>/dev/null
ip link del bond7
ip link del bond0 2>/dev/null
for i in "$(nic_of "$nic_dev")" "$(nic_of "$member_dev")"; do
	ip link set "$i" down
	ip addr flush dev "$i" 2>/dev/null
	ip link set "$i" mtu 1500
done
ip route flush table 100 2>/dev/null
finish
