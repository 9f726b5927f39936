#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Managed device links: consumers of what is released go with it, from whatever
# group, and come back; children go before parents, consumers before suppliers,
# and the other way around when they are probed.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 150

. /lab/lib.sh
. /lab/tests/faults.sh

# at WHAT DEVICE: the number of the line in edu_lab's log, of the only such event.
at()
{
	awk -v device="$2" -v what="$1" '$2 == device && $4 == what { print NR }' "$EDU/events"
}

# before WHAT DEVICE THEN DEVICE: both happened once, in this order.
before()
{
	local first then
	first=$(at "$1" "$2")
	then=$(at "$3" "$4")
	[ "${first:-x}" -lt "${then:-0}" ] 2>/dev/null
}

rebind()
{
	unbind "$1"
	bind "$1" edu_lab
}

edu_setup
found=$(groups_now "$edu" "$edu2")

# e <- d <- a: consumers in another group, two deep; d has a child.
edu_set "$d" child 1
edu_set "$d" supplier "$a"
edu_set "$e" supplier "$d"
rebind "$d"
rebind "$e"
child=$(edu_child "$d")
check "d consumes a" test -e "/sys/bus/pci/devices/$a/consumer:pci:$d"
check "e consumes d" test -e "/sys/bus/pci/devices/$d/consumer:pci:$e"
check "d has a child" test -e "/sys/bus/auxiliary/devices/$child"

for what in commit rollback; do
	if [ $what = commit ]; then
		t=$(txn_new links)
		stage "$t" "$edu" identity
	fi
	echo > $EDU/events
	check_eq "$what" "$(write_errno "$t/$what" 1)" 0
	check "$what: e goes before d" before removed "$e" remove "$d"
	check "$what: d goes before a" before removed "$d" remove "$a"
	check "$what: the child goes before d" before removed "$child" removed "$d"
	check "$what: a is probed before d" before probed "$a" probe "$d"
	check "$what: d before e" before probed "$d" probe "$e"
	check "$what: the child comes back" test -e "/sys/bus/auxiliary/devices/$child/driver"
	check_eq "$what: each once" "$(grep -c ' removed ' $EDU/events) $(grep -c ' probe ' $EDU/events)" "6 5"
	check_eq "$what: all are bound" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
		"$a=edu_lab $b=edu_lab $c=edu_lab $d=edu_lab $e=edu_lab"
	check_eq "$what: the consumers' group keeps its type" "$(group_type "$edu2")" "$boot"
	check_eq "$what: the report is empty" "$(report "$t")" ""
done
check_as_before "as before" "$found" "$edu" "$edu2"
txn_end "$t"

# The consumers' own group, too, in one commit: the order holds across groups.
stage_edu both identity
echo > $EDU/events
check_eq "both groups" "$(write_errno "$t/commit" 1)" 0
check "e goes before d" before removed "$e" remove "$d"
check "d goes before a" before removed "$d" remove "$a"
check "a is probed before d" before probed "$a" probe "$d"
check "d before e" before probed "$d" probe "$e"
check_eq "each once" "$(grep -c ' removed ' $EDU/events) $(grep -c ' probe ' $EDU/events)" "6 5"
check_eq "types" "$(group_type "$edu") $(group_type "$edu2")" "identity identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$found" "$edu" "$edu2"
txn_end "$t"

# A consumer that does not come back fails the commit, though it is in no staged group.
t=$(txn_new consumer)
stage "$t" "$edu" identity
edu_set "$e" probe_errors 1
check_eq "a consumer that does not bind" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is named" "$t" " $e probe EIO "
check_as_before "everything is as before" "$found" "$edu" "$edu2"
edu_set "$e" probe_errors 2
check_eq "nor on the way back" "$(write_errno "$t/commit" 1)" EIO
check_report "is named" "$t" " $e restore EIO "
check_state "state" "$t" failed
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "everything is as before" "$found" "$edu" "$edu2"
txn_end "$t"

# A commit that fails after the releases brings the consumers back in order.
t=$(txn_new back)
stage "$t" "$edu" identity
edu_set "$b" probe_errors 1
check_eq "a commit that fails" "$(write_errno "$t/commit" 1)" ECANCELED
check_as_before "everything is as before" "$found" "$edu" "$edu2"
txn_end "$t"
edu_set "$d" child 0
edu_set "$d" supplier ""
edu_set "$e" supplier ""
rebind "$d"
edu_mend

# A real driver's device as consumer, two deep: the guards ask about it as well.
nvme=$(dev disk2 0)
disk2=$(group_of disk2)
disk=$(wait_disk "$nvme")
disk2_found=$(groups_now "$disk2")
mkfs.ext4 -qF "/dev/$disk"
mkdir -p /tmp/mnt
edu_set "$d" supplier "$a"
rebind "$d"
edu_set "$d" supplier ""
echo "$nvme $d autoremove_consumer" > $EDU/link
mount -t ext4 "/dev/$disk" /tmp/mnt || bail "no mount"
t=$(txn_new guard)
stage "$t" "$edu" identity
check_eq "a mounted disk among the consumers" "$(write_errno "$t/check" 1)" EBUSY
check_report "is named" "$t" " $nvme check EBUSY .*$disk is mounted"
check_eq "and keeps the commit away" "$(write_errno "$t/commit" 1)" EBUSY
umount /tmp/mnt
check_eq "unmounted, it does not" "$(write_errno "$t/commit" 1)" 0
check "its disk comes back" wait_disk "$nvme"
check_eq "and it is as before" "$(groups_now "$disk2")" "$disk2_found"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
rebind "$d"
check_as_before "as before" "$found" "$edu" "$edu2"

# An interface that is up among the consumers.
nic=$(dev disk2 1)
echo "$nic $a autoremove_consumer" > $EDU/link
eth=$(wait_nic "$nic")
nic_driver=$(driver_of "$nic")
ip link set "$eth" up
t=$(txn_new up)
stage "$t" "$edu" identity
check_eq "an interface up among the consumers" "$(write_errno "$t/commit" 1)" EBUSY
check_report "is named" "$t" " $nic check EBUSY .*$eth is up"
echo net > "$t/allow_in_use"
check_eq "unless it is allowed" "$(write_errno "$t/commit" 1)" 0
check_eq "it has its driver" "$(driver_of "$nic")" "$nic_driver"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
wait_nic "$nic" >/dev/null
check_as_before "as before" "$found" "$edu" "$edu2"

edu_end
finish
