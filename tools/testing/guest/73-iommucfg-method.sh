#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# iommucfg goes by the method that this kernel has for a group whose disk is mounted: in
# place one way or both, with its drivers paused, or not at all. What it needs more for is
# refused.
#
# machines: vtd
# also: virtio-iommu amd smmuv3
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"
load_module

group=$(group_of disk)
dev=$(disk_dev disk)
boot=$(group_type "$group")
before=$(groups_now "$group")

# method TYPE: what the plan says
method()
{
	iommucfg set -n --json "$group" "$1" </dev/null | sed -n 's/^ *"method": "\(.*\)",$/\1/p'
}

# refused NAME KIND ARGUMENT...: with a problem of that kind, and nothing is touched
refused()
{
	local name=$1 kind=$2 type
	shift 2
	type=$(group_type "$group")
	run 3 "$name: refused" set --json "$group" "$@"
	check_match "$name: for that" "$(cat /tmp/out)" "\"kind\": \"$kind\""
	check_eq "$name: not touched" "$(group_type "$group")" "$type"
}

# silent: the times of the last change
silent()
{
	sed -n 's/^ *"silent_us": \([0-9]*\),$/\1/p' /tmp/out | xargs
}

[ "$(group_type "$group")" = DMA ] || run 0 "DMA, with nothing in use" set "$group" DMA
name=$(wait_disk "$dev")
mkfs.ext4 -q "/dev/$name" 2>/dev/null
mkdir -p /mnt/t
mount -t ext4 "/dev/$name" /mnt/t
check "mounted" touch /mnt/t/there
drivers=$(drivers_of "$group")

check_eq "DMA to DMA-FQ" "$(method DMA-FQ)" in-place
if both_ways; then
	run 0 "in place, on trial" set "$group" DMA-FQ --disruption none --confirm-timeout 600 --detach
	check_eq "it has the type" "$(group_type "$group")" DMA-FQ
	run 0 "which is rolled back" rollback
	check_eq "in place" "$(group_type "$group")" DMA
	run 0 "in place" set "$group" DMA-FQ --disruption none
	check_eq "DMA-FQ to DMA" "$(method DMA)" in-place
	run 0 "and back" set "$group" DMA --disruption none --confirm-timeout 600 --detach
	run 0 "to stay" confirm
else
	refused "on trial, with a way back that unbinds" in-use DMA-FQ --confirm-timeout 600
	refused "the same" disruption DMA-FQ --confirm-timeout 600 --disruption pause
	run 0 "in place" set "$group" DMA-FQ --disruption none
	check_eq "DMA-FQ to DMA" "$(method DMA)" rebind
	refused "back" in-use DMA
	refused "back" disruption DMA --disruption pause
	umount /mnt/t
	run 0 "back, with nothing in use" set "$group" DMA
	mount -t ext4 "/dev/$(wait_disk "$dev")" /mnt/t
fi
check_eq "strict again" "$(group_type "$group")" DMA

case $(method identity) in
pause)
	refused "identity takes a pause" disruption identity --disruption none
	run 0 "paused, below a mounted disk" set --json "$group" identity --disruption pause
	check_match "that is what was done" "$(cat /tmp/out)" '"method": "pause"'
	check_match "each device was silent for some time" "$(silent)" '^[1-9][0-9]*( [1-9][0-9]*)*$'
	say "silent, in microseconds: $(silent)"
	run 0 "and back, on trial" set "$group" DMA --disruption pause --confirm-timeout 600 --detach
	run 0 "to stay" confirm
	check_eq "no trace instance is left" "$(ls /sys/kernel/tracing/instances 2>/dev/null)" ""
	;;
rebind)
	refused "identity takes more than a pause" disruption identity --disruption pause
	refused "and is refused without a limit" in-use identity
	run 2 "or left out" set "$group" identity --disruption pause --skip-in-use
	;;
*)
	check_eq "a method for identity" "$(method identity)" "pause or rebind"
	;;
esac

check "the disk is there as ever" test -e /mnt/t/there
check "and takes what is written" dd if=/dev/zero of=/mnt/t/data bs=64k count=8 conv=fsync
check_eq "with all drivers" "$(drivers_of "$group")" "$drivers"
umount /mnt/t
[ "$(group_type "$group")" = "$boot" ] || run 0 "as at boot" set "$group" "$boot"
check_as_before "all is as before" "$before" "$group"
finish
