#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Any single step hangs: the Nth remove, attach or probe of a commit, of its way back, and
# of a rollback, for every N. Each time every group is either old or named, and all are old
# when the step has returned.
#
# machines: mock
# timeout: 600
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

mock_load
mock_create 1 2
mock_create 1 1
mock_create 1 1
g0=$(mock_ids 0)
g1=$(mock_ids 1)
g2=$(mock_ids 2)
before=$(mock_now 0 1 2)
boot=$(group_type "$g0")

# is_away DEVICE: for wait_for.
is_away()
{
	[ ! -e /sys/bus/platform/devices/"$1" ]
}

# hung: something waits at present.
hung()
{
	! is $MOCK/hang -
}

# group_index DEVICE: our own number of its group.
group_index()
{
	sed -n "s/^$1 group=\([0-9]*\) .*/\1/p" $MOCK/devices
}

# over NAME: what start began is, or something waits.
over()
{
	[ -e "/tmp/end.$1" ] || hung
}

# hang N NAME ACTION: the Nth step from here on hangs. 1 when there are fewer.
hang()
{
	local n=$1 what=$2 device group at other word named
	echo "$n" > $MOCK/hang
	start "$what" "$t/$3"
	wait_for 60 over "$what" || { not_ok "$what $n: neither"; return 1; }
	if ! hung; then
		echo 0 > $MOCK/hang
		return 1
	fi
	read -r device at < $MOCK/hang
	group=$(group_index "$device")
	what="$2 $n, $at of $device"

	check_eq "$what" "$(ended "$2")" EIO
	check "$what: it hangs still" hung
	check_state "$what: state" "$t" failed
	named=$device
	[ "$at" != attach ] || named=-
	check_report "$what: is named" "$t" "^$(mock_ids "$group") $named [a-z]+ ETIMEDOUT "
	check_status "$what: its group has failed" "$t" "$(mock_ids "$group")" failed
	for other in 0 1 2; do
		[ "$other" != "$group" ] || continue
		word=$(head -n 1 "$t/$(mock_ids "$other")/status")
		check_match "$what: group $other says what it is" "$word" '^(restored|unchanged)$'
		check_eq "$what: group $other is as before" "$(mock_now "$other")" \
			"$(echo "$before" | grep "^$other ")"
	done
	check_eq "$what: all can be read" \
		"$(timeout 5 cat "$t"/state "$t"/report "$t"/*/current_type "$t"/*/devices "$t"/*/status \
			> /dev/null && echo 0)" 0
	check_eq "$what: a rollback does not wait" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EIO failed"
	check_report "$what: and names it" "$t" "^$(mock_ids "$group") $named restore ETIMEDOUT "

	echo 0 > $MOCK/hang
	check "$what: it is taken back" wait_for 30 status_is "$t" "$(mock_ids "$group")" restored
	check_mock_as_before "$what: all are as before" "$before" 0 1 2
	check_eq "$what: as the devices find" "$(mock_found)" "$boot"
	check_eq "$what: rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
	check_mock_clean "$what"
	txn_end "$t"
}

mock_stage()
{
	stage_mock "$1" identity 0 1 2
	step_limit 2
}

# Of a commit: four removes, four attaches, four probes; a core with our patches also attaches
# the domain that blocks.
steps=12
grep -q ' icfg_core_wait_set_type' /proc/kallsyms || steps=16
n=1
while [ $n -le 20 ]; do
	mock_stage commit
	mock_count_anew
	hang $n commit commit || break
	n=$((n + 1))
done
check_eq "a commit has as many steps" $((n - 1)) $steps
check_eq "one without a hang" "$(ended commit)" 0
check_eq "and back" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# Of a rollback by hand
n=1
while [ $n -le 20 ]; do
	mock_stage rollback
	mock_count_anew
	check_eq "rollback $n: commit" "$(write_errno "$t/commit" 1)" 0
	hang $n rollback rollback || break
	n=$((n + 1))
done
check_eq "a rollback has as many steps" $((n - 1)) $steps
check_eq "one without a hang" "$(ended rollback)" 0
txn_end "$t"

# Of the way back of a commit that turns around at its last probe
n=1
while [ $n -le 20 ]; do
	mock_stage turned
	mock_count_anew
	mock_set mock.3 probe_errors 1
	mock_set mock.3 probe_hold 1
	start turning "$t/commit"
	wait_for 20 is_stat probes 3 || bail "no probes"
	echo $n > $MOCK/hang
	mock_set mock.3 probe_hold 0
	wait_for 60 over turning || { not_ok "turned $n: neither"; break; }
	if ! hung; then
		echo 0 > $MOCK/hang
		break
	fi
	read -r device at < $MOCK/hang
	group=$(group_index "$device")
	what="turned $n, $at of $device"
	check_eq "$what" "$(ended turning) $(cat "$t/state")" "EIO failed"
	named=$device
	[ "$at" != attach ] || named=-
	check_report "$what: is named" "$t" "^$(mock_ids "$group") $named restore ETIMEDOUT "
	check_report "$what: and the reason to turn around" "$t" "^$g2 mock.3 probe EIO "
	for other in 0 1 2; do
		[ "$other" = "$group" ] || check_eq "$what: group $other is as before" \
			"$(mock_now "$other")" "$(echo "$before" | grep "^$other ")"
	done
	echo 0 > $MOCK/hang
	check "$what: it is taken back" wait_for 30 status_is "$t" "$(mock_ids "$group")" restored
	check_mock_as_before "$what: all are as before" "$before" 0 1 2
	check_eq "$what: rollback" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
	check_mock_clean "$what"
	txn_end "$t"
	n=$((n + 1))
done
check "the way back has its steps as well" [ $n -ge 8 ]
check_eq "one without a hang" "$(ended turning) $(cat "$t/state")" "ECANCELED staged"
check_mock_as_before "all are as before" "$before" 0 1 2
txn_end "$t"

# What a group reads while its switch hangs is what was last read, and a release that hangs
# beside it is told of separately.
mock_stage switch
mock_set group:0 attach_hold 1
start switch "$t/commit"
check "a switch hangs" wait_for 20 is_stat attaching 1
check_eq "its type can be read" "$(timeout 5 cat "$t/$g0/current_type")" "$boot"
check_eq "and its devices" "$(timeout 5 cat "$t/$g0/devices" | cut -d' ' -f1,2 | xargs)" \
	"platform mock.0 platform mock.1"
check_eq "another transaction can stage it" \
	"$(timeout 10 mkdir $CONFIGFS/elsewhere "$CONFIGFS/elsewhere/$g0" 2>&1 && echo 0)" 0
check_eq "which reads the same type" "$(timeout 5 cat "$CONFIGFS/elsewhere/$g0/current_type")" "$boot"
timeout 10 rmdir "$CONFIGFS/elsewhere/$g0" $CONFIGFS/elsewhere
check_eq "a commit that is given up on" "$(ended switch)" EIO
check_report "names the group" "$t" "^$g0 - switch ETIMEDOUT "
check_eq "the type, still" "$(timeout 5 cat "$t/$g0/current_type")" "$boot"
check_eq "and the devices" "$(timeout 5 cat "$t/$g0/devices" | wc -l)" 2
check_eq "the others are as before" "$(mock_now 1 2)" "$(echo "$before" | sed 1d)"
mock_set group:0 attach_hold 0
check "it is taken back" wait_for 30 status_is "$t" "$g0" restored
check_mock_as_before "all are as before" "$before" 0 1 2
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# The same in a switch to DMA-FQ: others are switched to it, and devices of theirs leave.
stage_mock all identity 0 1 2
all=$t
check_eq "types from which there is a way to DMA-FQ" "$(write_errno "$all/commit" 1)" 0
stage_mock fq DMA-FQ 0
step_limit 2
first=$t
stage_mock other DMA-FQ 1
mock_set group:0 attach_hold 1
check_eq "a switch to DMA-FQ hangs" "$(write_errno "$first/commit" 1)" EIO
echo mock.3 > $MOCK/destroy &
pid=$!
check "a device of another group leaves" wait_for 20 is_away mock.3
check_eq "another group is switched" "$(write_errno "$t/commit" 1) $(group_type "$g1")" "0 DMA-FQ"
check_eq "and back" "$(write_errno "$t/rollback" 1) $(group_type "$g1")" "0 identity"
mock_set group:0 attach_hold 0
wait $pid
check "it is taken back" wait_for 30 status_is "$first" "$g0" restored
check_eq "rollback" "$(write_errno "$first/rollback" 1)" 0
txn_end "$first"
txn_end "$t"
txn_end "$all"

check_mock_clean "in all that"
mock_end
finish
