#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Uevents and tracepoints: one change event per device of a group that changed,
# one per device restored by a rollback, none where nothing came of it; and each
# phase can be traced.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180

. /lab/lib.sh

load_module
edu_load
edu=$(group_of edu)
edu2=$(group_of edu2)
disk=$(group_of disk)
a=$(dev edu 0)
was=$(group_type "$disk")
[ "$was" = "$(group_type "$edu")" ] || bail "groups differ in type"

# ours: the uevents of transactions, "DEVICE TYPE TRANSACTION", sorted; also whether any was lost.
ours()
{
	uevents_stop
	grep -E '^LOST| IOMMU_(TYPE|TRANSACTION)=' /tmp/uevents |
		sed -E 's/^(change)@[^ ]*\/([^/ ]+) (.*)/\2 \3/' |
		sed -E 's/^([^ ]+) .* IOMMU_TYPE=([^ ]*) IOMMU_TRANSACTION=([^ ]*).*/\1 \2 \3/' | sort
}

# want TYPE NAME GROUP...
want()
{
	local type=$1 name=$2 group
	shift 2
	for group; do
		for dev in $(drivers_of "$group"); do
			echo "${dev%=*} $type $name"
		done
	done | sort
}

t=$(txn_new u1)
stage "$t" "$edu" identity
stage "$t" "$disk" identity
stage "$t" "$edu2" "$was"
uevents_start /tmp/uevents
check_eq "a check" "$(write_errno "$t/check" 1)" 0
check_eq "has no event" "$(ours)" ""
trace_start iommu_configfs
uevents_start /tmp/uevents
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
check_eq "has one per device of the changed groups, none of the unchanged" "$(ours)" \
	"$(want identity u1 "$edu" "$disk")"
check_eq "all of them change events" \
	"$(grep IOMMU_TYPE= /tmp/uevents | grep -vc '^change@.* ACTION=change ')" 0
trace_stop > /tmp/trace
for phase in check release switch probe verify; do
	check_match "the commit traces $phase" "$(cat /tmp/trace)" "icfg_$phase: .*transaction=u1 .*group=$edu "
done
for phase in release probe; do
	check_match "$phase names device and driver" "$(cat /tmp/trace)" \
		"icfg_$phase: .*group=$edu device=$a driver=edu_lab err=0"
done
check_eq "nothing of the unchanged group is traced but its check" \
	"$(grep "group=$edu2 " /tmp/trace | grep -vc icfg_check:)" 0
# All releases, then all switches, then all probes.
check_eq "phases come one after the other" \
	"$(sed -n 's/.*icfg_\(release\|switch\|probe\): .*/\1/p' /tmp/trace | uniq | xargs)" \
	"release switch probe"

trace_start iommu_configfs
uevents_start /tmp/uevents
check_eq "a rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "has one per device restored, with the type that is back" "$(ours)" "$(want "$was" u1 "$edu" "$disk")"
trace_stop > /tmp/trace
for group in "$edu" "$disk"; do
	check_match "the rollback traces restore of $group" "$(cat /tmp/trace)" \
		"icfg_restore: transaction=u1 group=$group .*err=0"
done
txn_end "$t"

# The event is sent when the new state can be read: who hears it can look at once.
t=$(txn_new look)
stage "$t" "$edu" identity
echo 600 > "$t/confirm_timeout"
uevents_start /tmp/uevents
write_errno "$t/commit" 1 > /tmp/rc
check "events came" wait_for 10 grep -q IOMMU_TYPE= /tmp/uevents
check_eq "then the state can be read" "$(cat "$t/state") $(status "$t" "$edu") $(cat "$t/$edu/current_type")" \
	"unconfirmed changed identity"
check_eq "an unconfirmed commit has them, too" "$(ours)" "$(want identity look "$edu")"
uevents_start /tmp/uevents
check_eq "confirm" "$(write_errno "$t/confirm" 1)" 0
check_eq "has none" "$(ours)" ""
uevents_start /tmp/uevents
check_eq "a confirmed one is undone" "$(write_errno "$t/rollback" 1)" 0
check_eq "with events" "$(ours)" "$(want "$was" look "$edu")"
txn_end "$t"

# The timer's rollback has them, too.
t=$(txn_new timer)
stage "$t" "$edu" identity
echo 600 > "$t/confirm_timeout"
uevents_start /tmp/uevents
check_eq "a commit with a timer" "$(write_errno "$t/commit" 1)" 0
echo 1 > "$t/confirm_timeout"
wait_for 60 is "$t/state" rolled-back || bail "no timer"
check_eq "one per device for the commit, one for the timer" "$(sleep 1; ours)" \
	"$( { want identity timer "$edu"; want "$was" timer "$edu"; } | sort)"
txn_end "$t"

# None after ECANCELED, nor when nothing changed.
t=$(txn_new none)
stage "$t" "$edu" identity
edu_set "$a" probe_errors 1
trace_start iommu_configfs
uevents_start /tmp/uevents
check_eq "a commit that fails" "$(write_errno "$t/commit" 1)" ECANCELED
check_eq "has no event" "$(ours)" ""
trace_stop > /tmp/trace
check_match "the probe that failed is traced" "$(cat /tmp/trace)" "icfg_probe: .*device=$a driver=edu_lab err=-5"
check_match "so is the restoring" "$(cat /tmp/trace)" "icfg_restore: transaction=none group=$edu .*err=0"
echo "$was" > "$t/$edu/type"
uevents_start /tmp/uevents
check_eq "one that changes nothing" "$(write_errno "$t/commit" 1)" 0
check_eq "has none" "$(ours)" ""
uevents_start /tmp/uevents
check_eq "nor has its rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "which restores nothing" "$(ours)" ""
txn_end "$t"

# Nor after EIO, and the kernel log says what was not restored.
t=$(txn_new half)
stage "$t" "$edu" identity
stage "$t" "$disk" identity
check_eq "two groups are changed" "$(write_errno "$t/commit" 1)" 0
edu_set "$a" probe_errors -1
dmesg -c > /dev/null
uevents_start /tmp/uevents
check_eq "one of them cannot be restored" "$(write_errno "$t/rollback" 1)" EIO
check_eq "no event tells of the other" "$(ours)" ""
check_status "which is restored" "$t" "$disk" restored
check_match "the kernel log names what is not" "$(dmesg)" \
	"iommu_configfs: transaction half, group $edu, device $a: not restored: "
edu_set "$a" probe_errors 0
check_eq "the rollback goes on" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# In place
t=$(txn_new strict)
stage "$t" "$edu" DMA
check_eq "strict" "$(write_errno "$t/commit" 1)" 0
o=$(txn_new place)
stage "$o" "$edu" DMA-FQ
uevents_start /tmp/uevents
check_eq "in place" "$(write_errno "$o/commit" 1) $(status "$o" "$edu")" "0 in-place"
check_eq "has one per device" "$(ours)" "$(want DMA-FQ place "$edu")"
txn_end "$o"
txn_end "$t"

# "auto" tells what came out, as read back.
t=$(txn_new auto)
stage "$t" "$edu" auto
uevents_start /tmp/uevents
check_eq "auto" "$(write_errno "$t/commit" 1)" 0
check_eq "tells the type that was read back" "$(ours)" "$(want "$(group_type "$edu")" auto "$edu")"
rmdir "$t/$edu" "$t"
t=$(txn_new back)
stage "$t" "$edu" "$was"
check_eq "as found" "$(write_errno "$t/commit" 1)" 0
rmdir "$t/$edu" "$t"
edu_unload
finish
