#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The net guard: an interface that is running is not taken away, wherever it hangs,
# unless "net" is allowed.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180

. /lab/lib.sh

load_module

# refused WHAT DEVICE NAME
refused()
{
	local action generation
	generation=$(cat $CONFIGFS/generation)
	for action in check commit; do
		check_eq "$1: $action" "$(write_errno "$t/$action" 1)" EBUSY
		check_match "$1: $action says why" "$(report "$t")" "^$group $2 check EBUSY .*\<$3\>"
	done
	check_eq "$1: nothing touched" \
		"$(cat "$t/state") $(group_type "$group") $(drivers_of "$group") $(cat $CONFIGFS/generation)" \
		"staged $was $before $generation"
}

for name in disk bridge virtio vfio; do
	group=$(group_of $name 2>/dev/null) || {
		skip "$name" "the machine has no such group"
		continue
	}
	was=$(group_type "$group")
	before=$(drivers_of "$group")
	dev=
	for d in $(devices_of $name); do
		# The last: a bridge has the interfaces behind it below it.
		! nic_of "$d" > /dev/null || dev=$d
	done
	nic=$(nic_of "$dev") || bail "no interface in $name"
	t=$(txn_new "$name")
	stage "$t" "$group" identity
	check_eq "$name: down: check" "$(write_errno "$t/check" 1)" 0
	ip link set "$nic" up
	refused "$name: up" "$dev" "$nic"
	check_eq "$name: up: one line" "$(wc -l < "$t/report")" 1
	check_eq "$name: up: block does not allow it" \
		"$(echo block > "$t/allow_in_use"; write_errno "$t/check" 1)" EBUSY
	check_eq "$name: up: still up" "$(($(cat "/sys/class/net/$nic/flags") & 1))" 1
	echo net > "$t/allow_in_use"
	check_eq "$name: up: net allows it" "$(write_errno "$t/check" 1) $(report "$t")" "0 "
	ip link set "$nic" down
	echo > "$t/allow_in_use"
	check_eq "$name: down again: check" "$(write_errno "$t/check" 1)" 0
	txn_end "$t"
done

# Several at once: a line for each of them.
group=$(group_of vfio)
was=$(group_type "$group")
before=$(drivers_of "$group")
dev=$(dev vfio 0)
dev2=$(dev vfio 1)
ip link set "$(nic_of "$dev")" up
ip link set "$(nic_of "$dev2")" up
t=$(txn_new both)
stage "$t" "$group" identity
refused "two are up" "$dev" "$(nic_of "$dev")"
check_eq "two are up: two lines" "$(cut -d' ' -f2 "$t/report" | sort | xargs)" "$dev $dev2"

# Allowed, the commit takes them.
echo net > "$t/allow_in_use"
check_eq "allowed: commit" "$(write_errno "$t/commit" 1) $(group_type "$group") $(drivers_of "$group")" \
	"0 identity $before"
nic=$(wait_nic "$dev")
wait_nic "$dev2" > /dev/null
echo > "$t/allow_in_use"
ip link set "$nic" up
check_eq "the rollback asks" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "EBUSY identity"
echo net > "$t/allow_in_use"
check_eq "and is allowed to" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
nic=$(wait_nic "$dev")
wait_nic "$dev2" > /dev/null
txn_end "$t"

# What stands on top makes the lower one run: a bridge, a bond, a macvlan, a VLAN's kind.
t=$(txn_new upper)
stage "$t" "$group" identity
nic=$(nic_of "$dev")
ip link add link "$nic" name labmac type macvlan 2>/dev/null && {
	ip link set "$nic" up
	ip link set labmac up
	refused "below a macvlan" "$dev" "$nic"
	ip link del labmac
	ip link set "$nic" down
} || skip "below a macvlan" "the kernel has no macvlan"
if ip link add labbr type bridge 2>/dev/null; then
	ip link set "$nic" master labbr
	ip link set "$nic" up
	refused "in a bridge" "$dev" "$nic"
	ip link del labbr
	ip link set "$nic" down
else
	skip "in a bridge" "the kernel has no bridge"
fi
check_eq "with none it passes" "$(write_errno "$t/check" 1)" 0

# Another network namespace is no hiding place.
try run unshare -n sleep 600 &
pid=$!
wait_for 10 sh -c "[ \$(readlink /proc/$pid/ns/net) != \$(readlink /proc/self/ns/net) ]"
ip link set "$nic" netns $pid
nsenter -t $pid -n ip link set "$nic" up
refused "up in another namespace" "$dev" "$nic"
nsenter -t $pid -n ip link set "$nic" down
nsenter -t $pid -n ip link set "$nic" netns 1
kill $pid
wait $pid
check "the interface is back" wait_for 10 test -e "/sys/class/net/$nic"
ip link set "$nic" down
check_eq "down it passes" "$(write_errno "$t/check" 1)" 0
txn_end "$t"
finish
