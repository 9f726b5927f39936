#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A device whose driver does not bind again fails the commit, which goes back
# whole; where going back fails too, the state says so and rollback tries again.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 150

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
before=$(groups_now "$edu" "$edu2")

# Once: the commit's probe fails, that of the way back does not.
stage_edu once identity
generation=$(cat $CONFIGFS/generation)
edu_set "$b" probe_errors 1
edu_set "$b" probe_errno 12
uevents_start /tmp/uevents
check_eq "a probe that fails cancels the commit" "$(write_errno "$t/commit" 1)" ECANCELED
uevents_stop
check_as_before "types and drivers are as before" "$before" "$edu" "$edu2"
check_state "it can be tried again" "$t" staged
check_report "the report names device and errno" "$t" "^$edu $b probe ENOMEM .*edu_lab"
check_eq "and only that one" "$(wc -l < "$t/report")" 1
check_status "its group is restored" "$t" "$edu" restored
check_match "and says why" "$(sed 1d "$t/$edu/status")" "^$edu $b probe ENOMEM "
check_status "so is the group beside it" "$t" "$edu2" restored
check_eq "which has no problem" "$(wc -l < "$t/$edu2/status")" 1
check_eq "the generation was raised" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_not "no uevent tells of a change" grep -q IOMMU_TYPE= /tmp/uevents
check_eq "the types are still staged" "$(cat "$t/$edu/type" "$t/$edu2/type" | xargs)" "identity identity"
check "a type can be written again" sh -c "echo identity > $t/$edu/type"
check_status "which stages the group" "$t" "$edu" staged
check_eq "the next commit is done" "$(write_errno "$t/commit" 1)" 0
check_eq "with an empty report" "$(report "$t")" ""
check_eq "both have the type" "$(cat "$SYS_GROUPS/$edu/type" "$SYS_GROUPS/$edu2/type" | xargs)" "identity identity"
check_eq "it rolls back" "$(write_errno "$t/rollback" 1)" 0
check_as_before "to what was" "$before" "$edu" "$edu2"
txn_end "$t"

# Other errno values that the driver core treats in a way of its own.
other=DMA
[ "$boot" != DMA ] || other=identity
for errno in "19 ENODEV" "16 EBUSY" "6 ENXIO"; do
	stage_edu other "$other"
	edu_set "$a" probe_errno "${errno% *}"
	edu_set "$a" probe_errors 1
	check_eq "${errno#* } cancels too" "$(write_errno "$t/commit" 1)" ECANCELED
	check_report "${errno#* } is in the report" "$t" "^$edu $a probe ${errno#* } "
	check_as_before "${errno#* }: as before" "$before" "$edu" "$edu2"
	txn_end "$t"
done
edu_set "$a" probe_errno 5

# Twice: it cannot be restored either.
stage_edu twice identity
edu_set "$b" probe_errno 5
edu_set "$b" probe_errors 2
check_eq "a restore that fails needs a person" "$(write_errno "$t/commit" 1)" EIO
check_state "the state is" "$t" failed
check_report "the probe is reported" "$t" "^$edu $b probe EIO "
check_report "and the restore" "$t" "^$edu $b restore EIO "
check_status "its group has failed" "$t" "$edu" failed
check_match "and says why" "$(status "$t" "$edu")" "^$edu $b restore EIO "
check_status "the other one has not" "$t" "$edu2" restored
check_eq "the other devices have their drivers" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=edu_lab $b=- $c=edu_lab $d=edu_lab $e=edu_lab"
check_eq "and the groups their type" "$(group_type "$edu") $(group_type "$edu2")" "$boot $boot"
check_eq "no commit in this state" "$(write_errno "$t/commit" 1)" EBUSY
check_eq "nor a check" "$(write_errno "$t/check" 1)" EBUSY
check_eq "nor a confirm" "$(write_errno "$t/confirm" 1)" EBUSY
check_eq "nor another type" "$(write_errno "$t/$edu/type" DMA)" EBUSY
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1)" 0
check_state "and ends in" "$t" rolled-back
check_as_before "everything is as before" "$before" "$edu" "$edu2"
check_eq "a second rollback" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "a commit afterwards" "$(write_errno "$t/commit" 1)" EBUSY
txn_end "$t"

# Always, in two groups at once.
stage_edu always identity
knobs -1 probe_errors "$a" "$d"
check_eq "probes that always fail" "$(write_errno "$t/commit" 1)" EIO
check_status "the one group has failed" "$t" "$edu" failed
check_status "and the other one" "$t" "$edu2" failed
check_report "the report names the one" "$t" "^$edu $a restore EIO "
check_report "and the other" "$t" "^$edu2 $d restore EIO "
check_eq "rollback fails in the same way" "$(write_errno "$t/rollback" 1)" EIO
check_state "the state stays" "$t" failed
check_report "the report names them again" "$t" "^$edu2 $d restore EIO "
edu_set "$a" probe_errors 0
check_eq "half of it mended" "$(write_errno "$t/rollback" 1)" EIO
check_eq "brings back that half" "$(driver_of "$a") $(driver_of "$d")" "edu_lab -"
check_status "the mended group" "$t" "$edu" restored
check_status "the other one" "$t" "$edu2" failed
edu_set "$d" probe_errors 0
check_eq "all of it mended" "$(write_errno "$t/rollback" 1)" 0
check_state "is rolled back" "$t" rolled-back
check_as_before "to what was" "$before" "$edu" "$edu2"
txn_end "$t"

# A rollback whose probe fails.
stage_edu late identity
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
edu_set "$c" probe_errors 1
check_eq "a rollback whose probe fails" "$(write_errno "$t/rollback" 1)" EIO
check_state "leaves" "$t" failed
check_status "a group failed" "$t" "$edu" failed
check_status "and one restored" "$t" "$edu2" restored
check_eq "and can be tried again" "$(write_errno "$t/rollback" 1)" 0
check_as_before "everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

# The state can be left by hand as well.
stage_edu byhand identity
edu_set "$b" probe_errors 2
check_eq "failed once more" "$(write_errno "$t/commit" 1)" EIO
bind "$b" edu_lab
check_eq "bound by hand, rollback has nothing to do" "$(write_errno "$t/rollback" 1)" 0
check_as_before "and everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

edu_end
finish
