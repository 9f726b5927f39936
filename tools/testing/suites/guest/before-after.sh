#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The kernel's selftests of iommufd and VFIO, and what fio verifies, say the same of groups
# as the machine booted them and of groups that have changed again and again. LAB_LONG=25
# makes it a thousand changes of each group.
#
# machines: vtd vtd-vfio
# timeout: 1500
# one-cpu: yes

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/suites.sh

vfio_tests="vfio_dma_mapping_test vfio_dma_mapping_mmio_test vfio_iommufd_setup_test
vfio_pci_device_test vfio_pci_device_init_perf_test vfio_pci_driver_test"

# only NAME...: those groups that the machine has
only()
{
	local name
	for name; do
		! has_group "$name" || echo "$name"
	done
}

# ids NAME...: the numbers of named groups, a line each
ids()
{
	local name
	for name; do
		group_of "$name"
	done
}

# commit TYPE NAME...: a commit of all of them
commit()
{
	local type=$1
	shift
	ids "$@" | stopwatch txn suites "$type" stage commit rmdir > /tmp/txn 2>&1
}

# types_of NAME...: what the groups have, each type once
types_of()
{
	local group
	for group in $(ids "$@"); do
		group_type "$group"
	done | sort -u | xargs
}

# vfio_round ROUND [TYPE]: VFIO's tests on one device of each group, whose drivers go for it;
# where a type is named, vfio-pci has the devices when it is set.
vfio_round()
{
	local round=$1 type=${2-} name program was
	for name in $groups; do
		vfio_take "$name" || not_ok "$round: $name: vfio-pci has it"
		[ -z "$iommufd" ] || echo Y > /sys/module/iommufd/parameters/allow_unsafe_interrupts
		[ -z "$type" ] || commit "$type" "$name" || not_ok "$round: $name: $(cat /tmp/txn)"
		was=$(types_of "$name")
		for program in $vfio_tests; do
			kselftest "$round" "$program/$name" "/suites/vfio/$program" "$(dev "$name" 0)"
		done
		# Virtual functions are those of a device that vfio-pci has.
		if [ "$name" = sriov ]; then
			echo Y > /sys/module/vfio_pci/parameters/enable_sriov
			kselftest "$round" "vfio_pci_sriov_uapi_test/$name" \
				/suites/vfio/vfio_pci_sriov_uapi_test "$(dev "$name" 0)"
		fi
		[ "$(types_of "$name")" = "$was" ] || not_ok "$round: $name: it is $(types_of "$name"), not $was"
		vfio_return "$name" || not_ok "$round: $name: its drivers are back"
	done
	lab_settle
}

# iommufd_round ROUND
iommufd_round()
{
	local program
	for program in iommufd iommufd_fail_nth; do
		kselftest "$1" $program /suites/iommu/$program
	done
}

# fio_job DISK OPTION...: one job that reads what it wrote, and compares.
fio_job()
{
	local disk=$1
	shift
	fio --name=verify --filename="/dev/$disk" --direct=1 --ioengine=libaio --iodepth=8 \
		--verify_fatal=1 "$@"
}

# fio_round ROUND: blocks of all sizes and orders, with some of its checksums; and what was
# written long ago, if it was. On half of the disk, as the other half keeps that.
fio_round()
{
	local name disk
	for name in $disks; do
		disk=$(wait_disk "$(disk_dev "$name")") || { not_ok "$1: no disk in $name"; continue; }
		plain "$1" "fio/$name" write fio_job "$disk" --size=24M --rw=write --bs=64k --verify=crc32c
		plain "$1" "fio/$name" randwrite fio_job "$disk" --size=24M --io_size=12M --rw=randwrite \
			--bsrange=4k-128k --verify=md5
		plain "$1" "fio/$name" randrw fio_job "$disk" --size=24M --io_size=12M --rw=randrw --bs=4k \
			--verify=xxhash
		plain "$1" "fio/$name" kept fio_job "$disk" --offset=24M --size=24M --rw=write --bs=32k \
			--verify=sha256 --randseed=7 $(! is /run/kept yes || echo --verify_only)
	done
	echo yes > /run/kept
}

# fio_loop DISK FILE: writes and verifies until there is a file /tmp/enough; rounds and errors
# go to FILE.
fio_loop()
{
	local rounds=0 errors=0
	while [ ! -e /tmp/enough ]; do
		fio_job "$1" --size=24M --io_size=6M --rw=randwrite --bsrange=4k-64k --verify=crc32c \
			--verify_backlog=64 > "$2.fio" 2>&1 || { errors=$((errors + 1)); cat "$2.fio" >> "$2.errors"; }
		rounds=$((rounds + 1))
	done
	echo "rounds=$rounds errors=$errors" > "$2"
}

# switch COUNT NAME...: so many commits of all of them at once, through each type
switch()
{
	local count=$1 done=0 type
	shift
	while [ $done -lt "$count" ]; do
		for type in identity DMA-FQ identity DMA-FQ DMA; do
			commit $type "$@" || break 2
			[ "$(types_of "$@")" = $type ] || break 2
			done=$((done + 1))
		done
		[ $((done % 100)) -ne 0 ] || say "$done commits"
	done
	check_eq "$count commits of $*" "$done $(grep : /tmp/txn)" "$count "
}

groups=$(only vfio edu disk virtio sriov)
disks=$(only disk virtio)
switches=$((40 * ${LAB_LONG:-1}))
load_module || bail "no module"
rm -rf $ROUNDS /run/kept
mkdir $ROUNDS
before=$(groups_now $(ids $groups))
boot=$(types_of $groups)

# Without iommufd what of VFIO's tests needs it fails, before and after.
modprobe iommufd 2> /dev/null && iommufd=yes || iommufd=
vfio_round before
fio_round before
if [ -n "$iommufd" ]; then
	iommufd_round before
	check_round before ""
else
	check_round before fio
	skip "nothing fails before" "the kernel has no iommufd"
fi

# Half of it with drivers that are unbound and bound again, and half below disks that are in use.
half=$((switches / 2))
switch $half $groups
if grep -q ' iommu_group_set_paused_type$' /proc/kallsyms; then
	echo Y > /sys/module/iommu_configfs/parameters/pause
	rm -f /tmp/enough
	loops=
	for name in $disks; do
		fio_loop "$(wait_disk "$(disk_dev "$name")")" "/tmp/loop.$name" &
		loops="$loops $!"
	done
	sleep 2
	switch $half $disks
	touch /tmp/enough
	wait $loops
	for name in $disks; do
		check_match "$name: fio saw no error meanwhile" \
			"$(cat "/tmp/loop.$name" "/tmp/loop.$name.errors" 2> /dev/null)" \
			'^rounds=[1-9][0-9]* errors=0$'
	done
	echo N > /sys/module/iommu_configfs/parameters/pause
	switch $half $(only vfio edu sriov)
else
	skip "below disks in use" "this kernel pauses no drivers"
	switch $half $groups
fi

fio_round after
vfio_round after
[ -z "$iommufd" ] || iommufd_round after
check_same before after ""
for type in identity DMA-FQ DMA; do
	vfio_round $type $type
	check_same before $type vfio
	commit $type $groups || not_ok "$type: $(cat /tmp/txn)"
	fio_round $type
	check_same before $type fio
done

commit "$boot" $groups
check_as_before "types and drivers are as before" "$before" $(ids $groups)
finish
