#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Drivers that keep a page mapped, cannot be paused, cannot be resumed, or hang: their
# group is not switched below them, is rebound where that is allowed, and the report
# names the driver.
#
# machines: vtd
# also: virtio-iommu amd smmuv3
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

pause_or_skip
edu_setup
for dev in "$a" "$b" "$c" "$d" "$e"; do
	check "$dev: a driver that can be paused" override "$dev" edu_lab_pause
done
before=$(groups_now "$edu" "$edu2")

# new NAME TYPE [DISRUPTION]: a transaction of edu; sets t.
new()
{
	t=$(txn_new "$1")
	stage "$t" "$edu" "$2"
	echo "${3:-rebind}" > "$t/disruption"
}

method()
{
	cat "$t/$1/method"
}

removes()
{
	cat $EDU/*/removes | xargs
}

# to TYPE: edu has it.
to()
{
	new to "$1"
	echo 1 > "$t/commit"
	rmdir "$t/$edu" "$t"
	is "$SYS_GROUPS/$edu/type" "$1"
}

# Nothing unusual: three drivers, each of which tries DMA when it is resumed.
knobs 1 dma "$a" "$b" "$c"
removes=$(removes)
for type in identity DMA "$boot"; do
	new plain $type pause
	[ "$(group_type "$edu") $type" != "DMA DMA-FQ" ] || echo none > "$t/disruption"
	check_eq "to $type" "$(write_errno "$t/commit" 1) $(group_type "$edu")" "0 $type"
	txn_end "$t"
done
check_eq "nothing was unbound" "$(removes)" "$removes"
check "but paused" [ "$(edu_get "$a" pauses)" -ge 2 ]
knobs 0 dma "$a" "$b" "$c"

# disruption
new none identity none
for action in check commit; do
	check_eq "none: $action" "$(write_errno "$t/$action" 1) $(method "$edu")" "EOPNOTSUPP pause"
	check_report "none: $action says why" "$t" "^$edu - check EOPNOTSUPP .*paused"
done
check_eq "none: nothing was paused" "$(edu_get "$b" doing) $(group_type "$edu")" "- $boot"
txn_end "$t"

# A page that stays mapped.
edu_set "$b" pause_keeps 1
new keeps identity pause
pauses=$(edu_get "$a" pauses)
check_eq "kept: check cannot know" "$(write_errno "$t/check" 1) $(method "$edu")" "0 pause"
check_eq "kept: commit" "$(write_errno "$t/commit" 1)" ECANCELED
check_eq "kept: type and state" "$(group_type "$edu") $(cat "$t/state")" "$boot staged"
check_report "kept: the device and the count are reported" "$t" "^$edu $b pause EBUSY .*edu_lab_pause.* 1 mapping left"
check_eq "kept: it was paused" "$(edu_get "$a" pauses)" $((pauses + 1))
check_eq "kept: and not unbound" "$(removes)" "$removes"
check_as_before "kept: as before" "$before" "$edu" "$edu2"
txn_end "$t"

new falls identity
check_eq "kept: rebind allowed: commit" "$(write_errno "$t/commit" 1) $(group_type "$edu")" "0 identity"
check_eq "kept: it went by rebind" "$(method "$edu") $(status "$t" "$edu" | head -n 1)" "rebind changed"
check_report "kept: and says why" "$t" "^$edu $b pause EBUSY .* 1 mapping left"
check "kept: by an unbind" [ "$(removes)" != "$removes" ]
removes=$(removes)
# From identity mappings cannot be counted: a driver that had one is not paused.
edu_set "$b" pause_keeps 0
check_eq "kept: the way back from identity" "$(write_errno "$t/rollback" 1) $(group_type "$edu")" "0 $boot"
check_eq "kept: is by rebind" "$(method "$edu")" rebind
check "kept: which unbinds" [ "$(removes)" != "$removes" ]
txn_end "$t"
new caught identity pause
check_eq "it keeps nothing any more: from $boot it is paused" "$(write_errno "$t/commit" 1) $(method "$edu")" "0 pause"
rmdir "$t/$edu" "$t"
new caught "$boot" pause
check_eq "but not from identity" "$(write_errno "$t/check" 1) $(method "$edu")" "EOPNOTSUPP rebind"
rmdir "$t/$edu" "$t"
check "back" to "$boot"

# That stays so until the module is loaded again: from here on all begin with $boot.
removes=$(removes)
edu_set "$c" pause_errors 1
new fails identity pause
check_eq "cannot be paused: commit" "$(write_errno "$t/commit" 1) $(group_type "$edu")" "ECANCELED $boot"
check_report "cannot be paused: named" "$t" "^$edu $c pause EIO .*edu_lab_pause"
check_eq "cannot be paused: nothing is unbound" "$(removes)" "$removes"
edu_set "$c" pause_errors 1
echo rebind > "$t/disruption"
check_eq "cannot be paused: rebind allowed" "$(write_errno "$t/commit" 1) $(method "$edu")" "0 rebind"
check_eq "cannot be paused: and back" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
check_as_before "cannot be paused: as before" "$before" "$edu" "$edu2"

# A driver that cannot be resumed is unbound; the commit goes back and binds it again.
edu_set "$a" resume_errors 1
removes=$(edu_get "$a" removes)
new resume identity
check_eq "cannot resume: commit" "$(write_errno "$t/commit" 1) $(group_type "$edu")" "ECANCELED $boot"
check_report "cannot resume: named" "$t" "^$edu $a resume EIO .*edu_lab_pause"
check_eq "cannot resume: it was unbound" "$(edu_get "$a" removes)" $((removes + 1))
check_as_before "cannot resume: and all is as before" "$before" "$edu" "$edu2"
txn_end "$t"

# A mask that does not reach all memory: never into identity.
edu_set "$a" dma_bits 28
check "a small mask" override "$a" edu_lab_pause
new mask identity pause
check_eq "small mask: check" "$(write_errno "$t/check" 1) $(method "$edu")" "EOPNOTSUPP rebind"
txn_end "$t"
edu_set "$a" dma_bits 0
check "as before" override "$a" edu_lab_pause

# A member whose driver cannot be paused
check "another driver" override "$c" edu_lab
new mixed identity pause
check_eq "with a member that has no callbacks" "$(write_errno "$t/check" 1) $(method "$edu")" "EOPNOTSUPP rebind"
txn_end "$t"
check "as before" override "$c" edu_lab_pause

# The limit of a pause and of a resume
for phase in pause resume; do
	edu_set "$b" ${phase}_hold 1
	new hangs identity
	stage "$t" "$edu2" identity
	echo 3 > "$t/step_timeout"
	klog_begin
	check_eq "$phase hangs: commit" "$(write_errno "$t/commit" 1)" EIO
	check_report "$phase hangs: named" "$t" "^$edu $b $phase ETIMEDOUT "
	check_klog "$phase hangs: in the log" 4 hangs "$edu" "$b"
	check_eq "$phase hangs: it is still there" "$(edu_get "$b" doing)" $phase
	check_eq "$phase hangs: the group beside it" "$(groups_now "$edu2")" "$(echo "$before" | grep "^$edu2 ")"
	check_eq "$phase hangs: files can be read" "$(timeout 5 cat "$t/$edu/current_type" "$t/$edu/devices" > /dev/null; echo $?)" 0
	edu_set "$b" ${phase}_hold 0
	check "$phase hangs: taken back when it returns" wait_for 60 status_is "$t" "$edu" restored
	check_eq "$phase hangs: rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
	check_as_before "$phase hangs: as before" "$before" "$edu" "$edu2"
	txn_end "$t"
done

for dev in "$a" "$b" "$c" "$d" "$e"; do
	echo > "/sys/bus/pci/devices/$dev/driver_override"
done
edu_end
finish
