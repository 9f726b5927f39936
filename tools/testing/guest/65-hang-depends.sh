#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What depends on a device that hangs waits with it and is named; everything else goes
# back without it. d consumes a, and e consumes nothing.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/hang.sh

edu_setup
disk2=$(group_of disk2)
nvme=$(dev disk2 0)
wait_disk "$nvme" > /dev/null
before=$(groups_now "$edu" "$edu2" "$disk2")

# back WHAT GROUP...: these are restored in the end, and all is as before.
back()
{
	local what=$1 group
	shift
	for group; do
		check "$what: group $group is taken back" wait_for 30 status_is "$t" "$group" restored
	done
	check_as_before "$what: everything is as before" "$before" "$edu" "$edu2" "$disk2"
	check_state "$what: state" "$t" failed
	check_eq "$what: rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
	check_as_before "$what: as before" "$before" "$edu" "$edu2" "$disk2"
	txn_end "$t"
	wait_disk "$nvme" > /dev/null
}

# As the driver of d says in each probe.
edu_set "$d" supplier "$a"
unbind "$d"
bind "$d" edu_lab

# The consumer hangs in its release: the supplier was not touched yet.
stage_edu consumer identity "$disk2"
step_limit 4
edu_set "$d" remove_hold 1
klog_begin
check_eq "a consumer that hangs" "$(write_errno "$t/commit" 1)" EIO
check_report "is named" "$t" "^$edu2 $d release ETIMEDOUT "
check_klog "also in the kernel log" 4 consumer "$edu2" "$d"
check_status "its group has failed" "$t" "$edu2" failed
check_eq "its supplier is still bound" "$(driver_of "$a")" edu_lab
check_eq "so the supplier's group is as before" "$(groups_now "$edu")" "$(line_of "$edu")"
check_status "and restored" "$t" "$edu" restored
check_eq "a group that has nothing to do with them as well" "$(groups_now "$disk2")" "$(line_of "$disk2")"
check_status "and says so" "$t" "$disk2" restored
check_eq "the hang lasts" "$(edu_get "$d" doing)" remove
edu_set "$d" remove_hold 0
back consumer "$edu2"

# The supplier hangs: its consumer, released before it, cannot be probed without it.
stage_edu supplier identity "$disk2"
step_limit 4
edu_set "$a" remove_hold 1
check_eq "a supplier that hangs" "$(write_errno "$t/commit" 1)" EIO
check_report "is named" "$t" "^$edu $a release ETIMEDOUT "
check_report "and so is its consumer" "$t" "^$edu2 $d restore E"
check_eq "which has no driver" "$(driver_of "$d")" -
check_eq "both groups have failed" "$(head -qn 1 "$t/$edu/status" "$t/$edu2/status" | xargs)" "failed failed"
check_eq "the third is as before" "$(groups_now "$disk2")" "$(line_of "$disk2")"
check_status "and restored" "$t" "$disk2" restored
check_eq "the hang lasts" "$(edu_get "$a" doing)" remove
refused_to_others "the supplier's group" "$edu"
refused_to_others "the consumer's group" "$edu2"
check_eq "rollback meanwhile" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EIO failed"
check_report "names what hangs" "$t" "^$edu $a restore ETIMEDOUT "
check_eq "the hang lasts on" "$(edu_get "$a" doing) $(driver_of "$d")" "remove -"
edu_set "$a" remove_hold 0
back supplier "$edu" "$edu2"
check "d consumes a still" test -e "/sys/bus/pci/devices/$a/consumer:pci:$d"

# The supplier hangs in its probe: its consumer waits for it.
stage_edu probe identity "$disk2"
step_limit 4
edu_set "$a" probe_hold 1
check_eq "a supplier whose probe hangs" "$(write_errno "$t/commit" 1)" EIO
check_report "is named" "$t" "^$edu $a probe ETIMEDOUT "
check_report "and so is its consumer" "$t" "^$edu2 $d restore E"
check_eq "the third is as before" "$(groups_now "$disk2")" "$(line_of "$disk2")"
check_status "and restored" "$t" "$disk2" restored
edu_set "$a" probe_hold 0
back probe "$edu" "$edu2"

# The same with a consumer that only goes along: its group is not in the transaction.
t=$(txn_new along)
stage "$t" "$edu" identity
stage "$t" "$disk2" identity
step_limit 4
edu_set "$a" remove_hold 1
check_eq "a supplier hangs that has a consumer elsewhere" "$(write_errno "$t/commit" 1)" EIO
check_report "the supplier is named" "$t" "^$edu $a release ETIMEDOUT "
check_report "and the consumer" "$t" " $d restore E"
check_status "its group has failed" "$t" "$edu" failed
check_eq "the third is as before" "$(groups_now "$disk2") $(head -n 1 "$t/$disk2/status")" \
	"$(line_of "$disk2") restored"
edu_set "$a" remove_hold 0
check "then the consumer is bound again" wait_for 30 bound "$d"
back along "$edu"

# And one that hangs itself: the supplier, never touched, stays in its place.
t=$(txn_new along)
stage "$t" "$edu" identity
stage "$t" "$disk2" identity
step_limit 4
edu_set "$d" remove_hold 1
check_eq "a consumer elsewhere hangs" "$(write_errno "$t/commit" 1)" EIO
check_report "it is named" "$t" " $d release ETIMEDOUT "
check_eq "the supplier is still bound" "$(driver_of "$a") $(group_type "$edu")" "edu_lab $boot"
check_eq "the third is as before" "$(groups_now "$disk2") $(head -n 1 "$t/$disk2/status")" \
	"$(line_of "$disk2") restored"
check_eq "rmdir of the transaction" "$(try rmdir "$t")" EBUSY
edu_set "$d" remove_hold 0
check "it is bound again by itself" wait_for 30 bound "$d"
check "and all is taken back" wait_for 30 status_is "$t" "$edu" restored
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_as_before "as before" "$before" "$edu" "$edu2" "$disk2"
txn_end "$t"

# On the way back by the timer the order is the same.
stage_edu timer identity "$disk2"
step_limit 4
echo 600 > "$t/confirm_timeout"
wait_disk "$nvme" > /dev/null
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
wait_disk "$nvme" > /dev/null
edu_set "$d" remove_hold 1
echo 1 > "$t/confirm_timeout"
check "a consumer hangs on the way back" wait_for 60 is "$t/state" failed
check_report "is named" "$t" "^$edu2 $d restore ETIMEDOUT "
check_report "and its supplier, which cannot be released" "$t" "^$edu $a restore E"
check_eq "the supplier is still bound" "$(driver_of "$a")" edu_lab
check_eq "with the new type" "$(group_type "$edu")" identity
check_eq "the third is as before" "$(groups_now "$disk2") $(head -n 1 "$t/$disk2/status")" \
	"$(line_of "$disk2") restored"
edu_set "$d" remove_hold 0
back timer "$edu" "$edu2"

edu_set "$d" supplier ""
unbind "$d"
bind "$d" edu_lab
edu_end
finish
