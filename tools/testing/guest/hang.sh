# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043,SC2154 # busybox has local; edu_setup sets edu, a, ...
#
# What the tests of steps that hang share. The step is always one of $a, in the group $edu;
# $edu2 is the group beside it, $t the transaction of both, $before what both were.
# Sourced after lib.sh and faults.sh; no test itself.

# unreadable TXN: files of a transaction that do not give their text at once.
unreadable()
{
	local file
	for file in "$1"/state "$1"/progress "$1"/report "$1"/remaining "$1"/step_timeout \
			"$1"/disruption "$1"/confirm_timeout "$1"/*/type "$1"/*/current_type \
			"$1"/*/method "$1"/*/devices "$1"/*/status; do
		timeout 5 cat "$file" > /dev/null 2>&1 || echo "$file"
	done
}

# line_of GROUP: what $before has of it.
line_of()
{
	echo "$before" | grep "^$1 "
}

# refused_to_others WHAT GROUP: no other transaction gets it, and is told who has it.
refused_to_others()
{
	local other
	other=$(txn_new other) && stage "$other" "$2" DMA || bail "no transaction"
	check_eq "$1: no other transaction gets the group" \
		"$(write_errno "$other/check" 1) $(write_errno "$other/commit" 1)" "EBUSY EBUSY"
	check_report "$1: and is told who has it" "$other" "^$2 - check EBUSY .*${t##*/}"
	rmdir "$other/$2" "$other"
}

# check_given_up WHAT PHASE: the commit or rollback came back, though $a is still at it.
check_given_up()
{
	local generation file
	check_state "$1: state" "$t" failed
	check_eq "$1: the hang lasts" "$(edu_get "$a" doing)" "$2"
	check_eq "$1: the group beside it is as before" "$(groups_now "$edu2")" "$(line_of "$edu2")"
	check_status "$1: and restored" "$t" "$edu2" restored
	check_status "$1: the group that hangs has failed" "$t" "$edu" failed
	check_match "$1: progress is two numbers" "$(cat "$t/progress")" '^[0-9]+ [0-9]+$'
	check_eq "$1: nothing counts down" "$(cat "$t/remaining")" 0
	check_eq "$1: everything can be read" "$(unreadable "$t")" ""
	check_klog "$1: the kernel log names transaction, group and device" 4 "${t##*/}" "$edu" "$a"
	check_klog "$1: and says that the transaction has failed" 4 "${t##*/}" failed
	refused_to_others "$1" "$edu"
	check_eq "$1: rmdir of the transaction" "$(try rmdir "$t")" EBUSY

	# A rollback does what it can, which is nothing here, and does not wait.
	generation=$(cat $CONFIGFS/generation)
	check_eq "$1: a rollback meanwhile" "$(write_errno "$t/rollback" 1)" EIO
	check_state "$1: leaves" "$t" failed
	check_report "$1: and names what hangs" "$t" "^$edu $a restore ETIMEDOUT "
	check_eq "$1: the hang lasts on" "$(edu_get "$a" doing)" "$2"
	check_status "$1: its group stays failed" "$t" "$edu" failed
	check_eq "$1: the other group was not touched" "$(groups_now "$edu2")" "$(line_of "$edu2")"
	check_eq "$1: nor the generation" "$(cat $CONFIGFS/generation)" "$generation"
	check_eq "$1: rmdir after that" "$(try rmdir "$t")" EBUSY
}

# check_taken_back WHAT: what hung has returned, and its group goes back by itself.
check_taken_back()
{
	local generation other
	generation=$(cat $CONFIGFS/generation)
	check "$1: the group is taken back" wait_for 30 status_is "$t" "$edu" restored
	check_as_before "$1: everything is as before" "$before" "$edu" "$edu2"
	check_state "$1: the state stays" "$t" failed
	check_eq "$1: the generation, too" "$(cat $CONFIGFS/generation)" "$generation"
	other=$(txn_new other) && stage "$other" "$edu" DMA || bail "no transaction"
	check_eq "$1: another transaction can have the group" "$(write_errno "$other/check" 1)" 0
	rmdir "$other/$edu" "$other"
	check_eq "$1: a rollback finds nothing to do" "$(write_errno "$t/rollback" 1)" 0
	check_state "$1: state" "$t" rolled-back
	check_eq "$1: it leaves the generation" "$(cat $CONFIGFS/generation)" "$generation"
	check_as_before "$1: as before" "$before" "$edu" "$edu2"
	check_eq "$1: rmdir with groups" "$(try rmdir "$t")" ENOTEMPTY
	txn_end "$t"
	check_not "$1: it goes" test -e "$t"
}
