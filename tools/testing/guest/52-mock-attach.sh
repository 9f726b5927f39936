#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Domains that cannot be attached: the commit goes back whole; where the way back fails
# in the same way, the state says so, drivers are bound all the same, and rollback tries again.
#
# machines: mock
# timeout: 150
# klog-allow: WARNING: .*\b__iommu_group_set_domain_internal\+|WARNING: .*\b__iommu_release_dma_ownership\+|waiting for over 10 s for the domain to be attached

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

mock_load
mock_create 3 3
g0=$(mock_ids 0)
g1=$(mock_ids 1)
g2=$(mock_ids 2)
before=$(mock_now 0 1 2)
boot=$(group_type "$g0")

# The first, a middle, the last device of a group; errors that mean something to the core or to us.
for case in "3 5 EIO" "4 28 ENOSPC" "5 12 ENOMEM" "4 22 EINVAL" "3 19 ENODEV"; do
	set -- $case
	stage_mock "at$1" identity 0 1 2
	generation=$(cat $CONFIGFS/generation)
	mock_set "mock.$1" attach_errno "$2"
	mock_set "mock.$1" attach_errors_identity 1
	# Of what a group without devices answers, the module makes sure by a second try.
	[ "$3" != EINVAL ] || mock_set "mock.$1" attach_errors_identity 2
	uevents_start /tmp/uevents
	mock_count_anew
	check_eq "$3 of mock.$1: commit" "$(write_errno "$t/commit" 1)" ECANCELED
	uevents_stop
	check_report "$3 of mock.$1: the report names the group" "$t" "^$g1 - switch $3 "
	check_eq "$3 of mock.$1: and only that" "$(wc -l < "$t/report")" 1
	check_mock_as_before "$3 of mock.$1: types and drivers are as before" "$before" 0 1 2
	check_eq "$3 of mock.$1: as the devices find" "$(mock_found)" "$boot"
	check_eq "$3 of mock.$1: each was released and probed once" "$(mock_stat removes) $(mock_stat probes)" "9 9"
	check_mock_clean "$3 of mock.$1"
	check_state "$3 of mock.$1: state" "$t" staged
	check_status "$3 of mock.$1: the group" "$t" "$g1" restored
	check_eq "$3 of mock.$1: the generation was raised" "$(cat $CONFIGFS/generation)" $((generation + 1))
	check_not "$3 of mock.$1: no uevent tells of a change" grep -q IOMMU_TYPE= /tmp/uevents
	mock_set "mock.$1" attach_errors_identity 0
	check_eq "$3 of mock.$1: the next commit is done" "$(write_errno "$t/commit" 1) $(report "$t")" "0 "
	check_eq "$3 of mock.$1: and found" "$(mock_found)" identity
	check_eq "$3 of mock.$1: rollback" "$(write_errno "$t/rollback" 1)" 0
	check_mock_as_before "$3 of mock.$1: as before" "$before" 0 1 2
	txn_end "$t"
done
mock_set all attach_errno 5

# What passes by itself within bounds: a reset that the core waits for.
stage_mock resets identity 0 1
mock_set mock.0 attach_errno 16
mock_set mock.0 attach_errors_identity 3
check_eq "EBUSY for a moment does no harm" "$(write_errno "$t/commit" 1) $(mock_found 0)" "0 identity"
check_eq "it was used up" "$(mock_get mock.0 attach_errors_identity)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
stage_mock resets identity 0 1
mock_set mock.0 attach_errors_identity -1
check_eq "EBUSY for ever" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is reported" "$t" "^$g0 - switch EBUSY "
mock_set mock.0 attach_errors_identity 0
mock_set mock.0 attach_errno 5
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# A paging domain that cannot be attached: from identity.
stage_mock there identity 0 1 2
check_eq "to identity" "$(write_errno "$t/commit" 1)" 0
there=$t
was=$(mock_now 0 1 2)
for type in DMA DMA-FQ; do
	stage_mock dma $type 0 1 2
	domains=$(mock_stat domains)
	mock_set mock.8 attach_errors_dma 1
	check_eq "$type: commit" "$(write_errno "$t/commit" 1)" ECANCELED
	check_report "$type: is reported" "$t" "^$g2 - switch EIO "
	check_mock_as_before "$type: everything is as before" "$was" 0 1 2
	check_eq "$type: as the devices find" "$(mock_found)" identity
	check_eq "$type: no domain is left over" "$(mock_stat domains)" "$domains"
	txn_end "$t"
done

# A rollback that fails: drivers are bound, and it can be tried again.
mock_set mock.0 attach_errors_dma 2
check_eq "a rollback that cannot attach" "$(write_errno "$there/rollback" 1)" EIO
check_state "leaves" "$there" failed
check_report "the report names the group" "$there" "^$g0 - restore EIO "
check_status "which has failed" "$there" "$g0" failed
check_status "others are restored" "$there" "$g1" restored
check_eq "it has the type that it had" "$(mock_now 0)" "$(echo "$was" | sed -n 1p)"
check_eq "as its devices find" "$(mock_found 0) $(mock_found 1)" "identity $boot"
check_eq "no commit in this state" "$(write_errno "$there/commit" 1)" EBUSY
check_eq "rollback fails once more" "$(write_errno "$there/rollback" 1) $(cat "$there/state")" "EIO failed"
check_eq "and then does not" "$(write_errno "$there/rollback" 1) $(cat "$there/state")" "0 rolled-back"
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$there"

# A commit that fails, and whose way back fails: groups that were switched already.
stage_mock twice identity 0 1 2
mock_set mock.5 attach_hold 1
mock_set mock.5 attach_errors_identity 1
mock_set mock.1 attach_errors_dma 1
mock_count_anew
start twice "$t/commit"
check "the other groups are switched" wait_for 30 are_types "identity identity" 0 2
mock_set mock.5 attach_hold 0
check_eq "neither there nor back" "$(ended twice)" EIO
check_state "needs a person" "$t" failed
check_report "the report has the way there" "$t" "^$g1 - switch EIO "
check_report "and the way back" "$t" "^$g0 - restore EIO "
check_eq "types" "$(group_type "$g0") $(group_type "$g1") $(group_type "$g2")" "identity $boot $boot"
check_status "its group has failed" "$t" "$g0" failed
check_status "not the one that began it" "$t" "$g1" restored
check_eq "all drivers are bound" "$(mock_drivers 0) $(mock_drivers 1) $(mock_drivers 2)" \
	"$(echo "$before" | cut -d ' ' -f 3- | xargs)"
check_eq "with what they have" "$(mock_found 0) $(mock_found 1) $(mock_found 2)" "identity $boot $boot"
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1)" 0
check_state "and ends in" "$t" rolled-back
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# Blocking helps a core that does it meanwhile, but where it fails nothing is lost.
stage_mock blocked identity 0 1
mock_set mock.1 attach_errors_blocked -1
mock_set mock.3 attach_errors_blocked 1
check_eq "groups that cannot be blocked" "$(write_errno "$t/commit" 1) $(mock_found 0) $(mock_found 1)" \
	"0 identity identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
mock_set all attach_errors_blocked 0
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# By the timer.
stage_mock timer identity 0 1
echo 600 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "0 unconfirmed"
mock_set mock.0 attach_errors_dma 1
echo 1 > "$t/confirm_timeout"
check "the timer cannot take all back" wait_for 30 is "$t/state" failed
check_eq "one group is" "$(group_type "$g0") $(group_type "$g1")" "identity $boot"
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"
check_eq "no DMA went astray so far" "$(mock_stat faults)" 0

# The core's own way back from one group's attach fails (and it warns): the device is left with
# a domain that its group does not have. Its driver finds out, and nobody calls that restored.
stage_mock warns identity 0 1 2
mock_set mock.4 attach_errors_identity 1
mock_set mock.3 attach_errors_dma 1
check_eq "a core that cannot go back" "$(write_errno "$t/commit" 1)" EIO
check_state "needs a person" "$t" failed
check_report "the device is named" "$t" "^$g1 mock.3 restore "
check_not "it does not have the type of its group" mock_is mock.3 type "$boot"
check_eq "all others are bound" "$(mock_now 0 1 2)" "$(echo "$before" | sed 's/mock\.3=mock/mock.3=-/')"
# As a person might mend it.
for dev in mock.4 mock.5; do
	echo $dev > /sys/bus/platform/drivers/mock/unbind
done
echo identity > "$SYS_GROUPS/$g1/type"
echo "$boot" > "$SYS_GROUPS/$g1/type"
for dev in mock.4 mock.5; do
	echo $dev > /sys/bus/platform/drivers/mock/bind
done
check_eq "mended by hand, rollback has the rest" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2
check_eq "for the devices, too" "$(mock_found)" "$boot"
txn_end "$t"

mock_end
finish
