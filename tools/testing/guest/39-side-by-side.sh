#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Releases and probes run side by side, across groups and within one; no device
# is probed before every group is switched.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 90

. /lab/lib.sh
. /lab/tests/faults.sh

# all_doing WHAT: every edu device is in its probe or remove at this moment.
all_doing()
{
	local dev
	for dev in "$a" "$b" "$c" "$d" "$e"; do
		is "$EDU/$dev/doing" "$1" || return
	done
}

# all_log_overlaps FIRST LAST: in edu_lab's log all FIRST are before any LAST.
all_log_overlaps()
{
	awk -v first="$1" -v last="$2" '
		$4 == first { if (over) bad = 1; n++ }
		$4 == last { over = 1 }
		END { exit bad || n != 5 }' "$EDU/events"
}

edu_setup
knobs 1 dma "$a" "$b" "$c" "$d" "$e"
disk2=$(group_of disk2)
wait_disk "$(dev disk2 0)" >/dev/null
before=$(groups_now "$edu" "$edu2" "$disk2")

# mono: the clock of edu_lab's log.
echo mono > $TRACE/trace_clock
stage_edu side identity "$disk2"
check_eq "nothing to do yet" "$(cat "$t/progress")" "0 0"
echo > $EDU/events
knobs 1 remove_hold "$a" "$b" "$c" "$d" "$e"
trace_start iommu_configfs
start side "$t/commit"
check "all devices are in their remove at once" wait_for 20 all_doing remove
check_state "state" "$t" committing
check_match "progress" "$(cat "$t/progress")" "^[0-9]+ [0-9]+$"
knobs 1 probe_hold "$a" "$b" "$c" "$d" "$e"
knobs 0 remove_hold "$b" "$c" "$d" "$e"
check "all but one are released" wait_for 20 unbound "$e"
wait_for 20 unbound "$(dev disk2 0)"
check_eq "while one is not, no device is probed" "$(grep -c ' probe ' $EDU/events)" 0
check_eq "and no group is switched" \
	"$(group_type "$edu") $(group_type "$edu2") $(group_type "$disk2")" "$boot $boot $boot"
knobs 0 remove_hold "$a"
check "all devices are in their probe at once" wait_for 20 all_doing probe
check_eq "and all groups have the type" \
	"$(group_type "$edu") $(group_type "$edu2") $(group_type "$disk2")" "identity identity identity"
knobs 0 probe_hold "$a" "$b" "$c" "$d" "$e"
check_eq "the commit is done" "$(ended side)" 0
trace_stop > /tmp/trace
echo local > $TRACE/trace_clock
check "the log has all removes side by side" all_log_overlaps remove removed
check "and all probes" all_log_overlaps probe probed
check_eq "progress counts a release and a probe of each device" "$(cat "$t/progress")" "14 14"

# Every release, then every switch, then every probe.
check_eq "the trace: releases, switches, probes" \
	"$(grep -oE 'icfg_(release|switch|probe)' /tmp/trace | uniq | xargs)" \
	"icfg_release icfg_switch icfg_probe"
check_eq "7 devices and 3 groups" \
	"$(grep -oE 'icfg_(release|switch|probe)' /tmp/trace | sort | uniq -c | awk '{ print $1 }' | xargs)" \
	"7 7 3"
last_switch=$(grep icfg_switch /tmp/trace | sed -E 's/.* ([0-9]+)\.([0-9]{3})[0-9]*: .*/\1\2/' | sort -n | tail -n 1)
first_probe=$(awk '$4 == "probe" { print $1; exit }' $EDU/events)
check "the first probe began after the last switch" test "$last_switch" -le "$first_probe"

check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

# With the probes on workers of the driver core's own.
edu_unload
modprobe edu_lab async_probe
wait_for 20 bound "$a" && wait_for 20 bound "$e"
wait_for 20 bound "$b" && wait_for 20 bound "$c" && wait_for 20 bound "$d"
knobs 0 dma "$a" "$b" "$c" "$d" "$e"
stage_edu async identity
check_eq "a driver that probes asynchronously" "$(write_errno "$t/commit" 1)" 0
check_eq "is bound when the commit returns" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=edu_lab $b=edu_lab $c=edu_lab $d=edu_lab $e=edu_lab"
edu_set "$b" probe_errors 1
check_eq "rollback with a probe that fails" "$(write_errno "$t/rollback" 1)" EIO
check_eq "is noticed and can be mended" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

edu_end
finish
