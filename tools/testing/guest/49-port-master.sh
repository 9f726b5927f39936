#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A root port whose driver goes keeps bus mastering while a device below it stays bound: DMA
# from below would end at the port otherwise. The bit itself is looked at, since QEMU lets
# DMA through all the same.
#
# machines: vtd smmuv3
# also: virtio-iommu
# timeout: 180

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
port=0000:00:02.1
ports=$(group_of $port)
nvme=$(dev disk2 0)
disk2=$(group_of disk2)
before=$(groups_now "$edu" "$edu2" "$disk2" "$ports")
[ "$(behind $port)" = "$nvme" ] || bail "not the port of disk2"
[ "$ports" != "$disk2" ] || bail "the port shares a group with its device"

# mastering ADDRESS: the bus master bit of its command register.
mastering()
{
	local command
	command=$(od -An -tu2 -j 4 -N 2 "/sys/bus/pci/devices/$1/config")
	[ $((command & 4)) -ne 0 ]
}

check_eq "the port has its driver" "$(driver_of $port)" pcieport
check "and masters the bus" mastering $port
disk=$(wait_disk "$nvme")
sum=$(sum "$disk" 4)

# is_kept WHAT: below the port nothing has changed.
is_kept()
{
	check "$1: the port masters the bus" mastering $port
	check_eq "$1: the disk below is bound" "$(driver_of "$nvme")" nvme
	check_eq "$1: and reads" "$(sum "$(disk_of "$nvme")" 4)" "$sum"
}

# The port consumes an edu device, and is unbound along with it.
port_consumes()
{
	echo "$port $a autoremove_consumer" > $EDU/link || bail "no link"
}

port_consumes
t=$(txn_new along)
stage "$t" "$edu" identity
edu_set "$a" remove_hold 1
start along "$t/commit"
check "a port goes along with its supplier" wait_for 20 unbound $port
wait_for 20 edu_doing "$a" remove || bail "no release"
is_kept "along, without driver"
edu_set "$a" remove_hold 0
check_eq "along: the commit" "$(ended along) $(driver_of $port)" "0 pcieport"
is_kept "along, bound again"
port_consumes
check_eq "along: the rollback" "$(write_errno "$t/rollback" 1) $(driver_of $port)" "0 pcieport"
is_kept "along, back"
txn_end "$t"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2" "$ports"

# A commit that fails
port_consumes
t=$(txn_new fails)
stage "$t" "$edu" identity
edu_set "$b" probe_errors 1
check_eq "a commit that fails" "$(write_errno "$t/commit" 1) $(driver_of $port)" "ECANCELED pcieport"
is_kept "fails"
txn_end "$t"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2" "$ports"

# One that hangs: while the port is without its driver, what is below works on.
port_consumes
t=$(txn_new hangs)
stage "$t" "$edu" identity
echo 3 > "$t/step_timeout"
edu_set "$a" remove_hold 1
check_eq "a supplier that hangs" "$(write_errno "$t/commit" 1) $(driver_of $port)" "EIO -"
is_kept "hangs"
edu_set "$a" remove_hold 0
check "the port is bound again" wait_for 30 bound $port
check "and its supplier" wait_for 30 status_is "$t" "$edu" restored
is_kept "taken back"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
is_kept "in the end"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2" "$ports"

# The port's own group: its driver is released where MSIs are translated (Arm), and the
# release of another group holds it there for a while.
t=$(txn_new own)
stage "$t" "$ports" identity
stage "$t" "$edu2" identity
edu_set "$d" remove_hold 1
start own "$t/commit"
wait_for 20 edu_doing "$d" remove && wait_for 20 unbound "$e" || bail "no release"
say "the port's driver meanwhile: $(driver_of $port)"
is_kept "its own group, meanwhile"
edu_set "$d" remove_hold 0
check_eq "its own group: the commit" "$(ended own) $(group_type "$ports")" "0 identity"
is_kept "its own group, changed"
check_eq "its own group: the rollback" "$(write_errno "$t/rollback" 1)" 0
is_kept "its own group, back"
txn_end "$t"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2" "$ports"

edu_end
finish
