#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A probe that defers is tried again, for a while; then the commit goes back.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 150
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
before=$(groups_now "$edu" "$edu2")

stage_edu some identity
knobs 3 probe_defers "$a" "$d"
check_eq "a few deferrals do no harm" "$(write_errno "$t/commit" 1)" 0
check_eq "all have their drivers" "$(drivers_of "$edu") $(drivers_of "$edu2")" \
	"$a=edu_lab $b=edu_lab $c=edu_lab $d=edu_lab $e=edu_lab"
check_eq "with the type" "$(group_type "$edu") $(group_type "$edu2")" "identity identity"
check_eq "every deferral was used up" "$(edu_get "$a" probe_defers) $(edu_get "$d" probe_defers)" "0 0"
edu_set "$c" probe_defers 2
check_eq "nor does it in a rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# For ever, until the report shows that the commit gave up.
stage_edu ever identity
edu_set "$b" probe_defers -1
start ever "$t/commit"
check "the commit gives up on it" wait_for 60 has "$t/report" "^$edu $b probe EPROBE_DEFER "
edu_set "$b" probe_defers 0
check_eq "and is cancelled" "$(ended ever)" ECANCELED
check_state "state" "$t" staged
check_as_before "everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

# With less time for a step than it would be tried for, it still says what it was.
stage_edu short identity
echo 1 > "$t/step_timeout"
edu_set "$b" probe_defers -1
start short "$t/commit"
check "a short limit: it gives up by itself" wait_for 60 has "$t/report" "^$edu $b probe EPROBE_DEFER "
edu_set "$b" probe_defers 0
check_eq "a short limit: and is cancelled" "$(ended short)" ECANCELED
check_eq "a short limit: nothing hung" "$(grep -c ETIMEDOUT "$t/report")" 0
check_as_before "a short limit: everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

# For ever on the way back as well: nobody gets the driver back.
stage_edu worse identity
edu_set "$b" probe_defers -1
start worse "$t/commit"
check_eq "it defers on the way back, too" "$(ended worse)" EIO
check_state "state" "$t" failed
check_report "the report says so" "$t" "^$edu $b restore EPROBE_DEFER "
edu_set "$b" probe_defers 0
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1)" 0
check_as_before "everything is as before" "$before" "$edu" "$edu2"
txn_end "$t"

# A device that waits for its supplier, which is probed in the same commit.
edu_set "$e" supplier "$a"
unbind "$e"
bind "$e" edu_lab
stage_edu supplier identity
edu_set "$a" probe_defers 2
check_eq "a supplier that defers" "$(write_errno "$t/commit" 1)" 0
check_eq "comes back with its consumer" "$(driver_of "$a") $(driver_of "$e")" "edu_lab edu_lab"
check_eq "and back" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"
edu_set "$e" supplier ""

edu_end
finish
