#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A group with more devices than a page has lines for: what is left out is counted,
# and all of them change.
#
# machines: vtd-crowd
# timeout: 240

. /lab/lib.sh

load_module
edu_load
dev=0000:02:01.0
group=$(group_of $dev)
was=$(group_type "$group")
before=$(drivers_of "$group")
members=$(ls "$SYS_GROUPS/$group/devices" | wc -l)
edus=$(echo "$before" | tr ' ' '\n' | grep -c =edu_lab)
check_eq "the machine has its devices" "$members $edus" "161 160"

# left FILE: the number in the last line
left()
{
	tail -n 1 "$1" | sed 's/[^0-9]*\([0-9][0-9]*\).*/\1/'
}

LINE='^[0-9]+ [^ ]+ (check|release|switch|probe|verify|restore) E[A-Z0-9]+ .'

# counts WHAT FILE ALL REGEX: whole lines of that form, and a last one that counts the rest.
counts()
{
	check_match "$1: the last line counts what is left out" "$(tail -n 1 "$2")" '[0-9]+ '
	check_eq "$1: which adds up" "$(($(sed '$d' "$2" | grep -cE "$4") + $(left "$2")))" "$3"
	check_eq "$1: no line is cut" "$(sed '$d' "$2" | grep -cvE "$4")" 0
	check "$1: within a page" [ "$(wc -c < "$2")" -le 4096 ]
}

t=$(txn_new crowd)
stage "$t" "$group" identity
cat "$t/$group/devices" > /tmp/devices
counts devices /tmp/devices "$members" '^pci [^ ]+ [^ ]+ any$'

check_eq "commit" "$(write_errno "$t/commit" 1) $(report "$t")" "0 "
check_eq "all of them have their drivers" "$(group_type "$group") $(drivers_of "$group")" "identity $before"
check_eq "progress" "$(cat "$t/progress")" "$((2 * edus)) $((2 * edus))"
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(report "$t")" "0 "
check_eq "all of them are back" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
txn_end "$t"

# Everybody fails, on the way there and on the way back.
for dir in $EDU/0000:*; do
	echo -1 > "$dir/probe_errors"
done
t=$(txn_new fails)
stage "$t" "$group" identity
check_eq "a commit that fails for all" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "EIO failed"
cat "$t/report" > /tmp/report
check_match "report: the last line counts what is left out" "$(tail -n 1 /tmp/report)" '[0-9]+ '
check_eq "report: no line is cut" "$(sed '$d' /tmp/report | grep -cvE "$LINE")" 0
# Those that were not to be restored, each of them; and one at least that failed before.
check "report: which adds up" [ $(($(sed '$d' /tmp/report | wc -l) + $(left /tmp/report))) -gt "$edus" ]
cat "$t/$group/status" > /tmp/status
check_eq "status: its first line is the word" "$(head -n 1 /tmp/status)" failed
check_match "status: the last line counts, too" "$(tail -n 1 /tmp/status)" '[0-9]+ '
check_eq "status: no line is cut" "$(sed '1d;$d' /tmp/status | grep -cvE "$LINE")" 0
check_eq "status: of the same problems" $(($(sed '1d;$d' /tmp/status | wc -l) + $(left /tmp/status))) \
	$(($(sed '$d' /tmp/report | wc -l) + $(left /tmp/report)))
for dir in $EDU/0000:*; do
	echo 0 > "$dir/probe_errors"
done
check_eq "a rollback brings all of them back" "$(write_errno "$t/rollback" 1) $(report "$t")" "0 "
check_eq "all of them" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
txn_end "$t"
edu_unload
finish
