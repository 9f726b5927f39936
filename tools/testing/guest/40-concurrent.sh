#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Several transactions at once, and everything else that goes on while one runs:
# readers, mkdir and rmdir, a second commit, a writer that is killed.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 120
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
before=$(groups_now "$edu" "$edu2")

# one NAME GROUP TYPE: a transaction of one group; sets t.
one()
{
	t=$(txn_new "$1") || bail "no transaction"
	stage "$t" "$2" "$3"
}

# The same group in two transactions.
one first "$edu" identity
one second "$edu" DMA
first=$CONFIGFS/first
second=$CONFIGFS/second
stage "$second" "$edu2" DMA
edu_set "$a" remove_hold 1
start first "$first/commit"
wait_for 20 edu_doing "$a" remove || bail "no release"
generation=$(cat $CONFIGFS/generation)
check_eq "a group that another commit has" "$(write_errno "$second/commit" 1)" EBUSY
check_state "state" "$second" staged
check_report "the report names the transaction" "$second" "^$edu - check EBUSY .*first"
check_eq "and only that" "$(wc -l < "$second/report")" 1
check_eq "so does a check" "$(write_errno "$second/check" 1)" EBUSY
check_report "in its report" "$second" "^$edu - check EBUSY .*first"
check_eq "the generation stays" "$(cat $CONFIGFS/generation)" "$generation"
check_eq "the other group is untouched" "$(groups_now "$edu2")" "$(echo "$before" | sed 1d)"

# What can be done with the one that runs.
check_state "it runs" "$first" committing
check_eq "a second commit of it" "$(write_errno "$first/commit" 1)" EBUSY
check_eq "a check" "$(write_errno "$first/check" 1)" EBUSY
check_eq "a confirm" "$(write_errno "$first/confirm" 1)" EBUSY
check_eq "a rollback" "$(write_errno "$first/rollback" 1)" EBUSY
check_eq "another type" "$(write_errno "$first/$edu/type" DMA)" EBUSY
check_eq "another generation" "$(write_errno "$first/expected_generation" 1)" EBUSY
check_eq "another timeout" "$(write_errno "$first/confirm_timeout" 1)" EBUSY
check_eq "other guards" "$(write_errno "$first/allow_in_use" net)" EBUSY
check_eq "one more group" "$(try mkdir "$first/$edu2")" EBUSY
check_eq "one that does not exist" "$(try mkdir "$first/9999")" EBUSY
check_eq "one whose name is none" "$(try mkdir "$first/05")" EINVAL
check_eq "rmdir" "$(try rmdir "$first")" EBUSY
for file in state progress report expected_generation allow_in_use confirm_timeout disruption \
	    step_timeout remaining "$edu/type" "$edu/current_type" "$edu/method" "$edu/devices" \
	    "$edu/status"; do
	check_eq "reading $file" "$(try read "$first/$file")" 0
done
check_eq "ls" "$(ls "$first" | grep -c .)" 14
check_eq "its group goes out of sight" "$(try rmdir "$first/$edu")" 0
check_eq "and cannot come again" "$(try mkdir "$first/$edu")" EBUSY
check_eq "rmdir still" "$(try rmdir "$first")" EBUSY
check_eq "another transaction can be made" "$(try mkdir $CONFIGFS/third)" 0
check_eq "with the same group" "$(try mkdir "$CONFIGFS/third/$edu")" 0
check_eq "and removed" "$(rmdir "$CONFIGFS/third/$edu" $CONFIGFS/third && echo 0)" 0
edu_set "$a" remove_hold 0
check_eq "the first is done" "$(ended first)" 0
check_state "state" "$first" committed
check_eq "with the group that was out of sight" "$(group_type "$edu")" identity
check_eq "which rolls back as well" "$(write_errno "$first/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
check_eq "it goes" "$(try rmdir "$first")" 0

# Against an unconfirmed one.
one first "$edu" identity
echo 600 > "$first/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$first/commit" 1)" 0
check_eq "a group of an unconfirmed commit" "$(write_errno "$second/commit" 1)" EBUSY
check_report "the report names it" "$second" "^$edu - check EBUSY .*first"
check_eq "rmdir of that" "$(try rmdir "$first")" EBUSY
check_eq "confirmed" "$(write_errno "$first/confirm" 1)" 0
check_eq "then the second goes on" "$(write_errno "$second/commit" 1)" 0
check_eq "types" "$(group_type "$edu") $(group_type "$edu2")" "DMA DMA"
check_eq "the first finds its group changed" "$(write_errno "$first/rollback" 1)" ESTALE
check_eq "the second rolls back" "$(write_errno "$second/rollback" 1)" 0
check_eq "types" "$(group_type "$edu") $(group_type "$edu2")" "identity $boot"
check_eq "and then the first" "$(write_errno "$first/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$first"
txn_end "$second"

# A rollback of a group that an unconfirmed commit has.
one old "$edu" identity
old=$t
check_eq "committed" "$(write_errno "$old/commit" 1)" 0
one new "$edu" DMA
echo 600 > "$t/confirm_timeout"
check_eq "changed again, unconfirmed" "$(write_errno "$t/commit" 1)" 0
check_eq "a rollback below it" "$(write_errno "$old/rollback" 1)" ESTALE
check_report "the report names it" "$old" "^$edu - check EBUSY .*new"
check_eq "the newer one rolls back" "$(write_errno "$t/rollback" 1)" 0
check_eq "then the older one" "$(write_errno "$old/rollback" 1)" 0
txn_end "$t"
txn_end "$old"

# Different groups at once.
other=DMA
[ "$boot" != DMA ] || other=identity
one left "$edu" identity
one right "$edu2" "$other"
knobs 1 remove_hold "$a" "$d"
start left "$CONFIGFS/left/commit"
start right "$CONFIGFS/right/commit"
check "two commits" wait_for 20 edu_doing "$a" remove
check "run at once" wait_for 20 edu_doing "$d" remove
check_eq "states" "$(cat $CONFIGFS/left/state $CONFIGFS/right/state | xargs)" "committing committing"
edu_set "$d" remove_hold 0
check_eq "the one is done" "$(ended right)" 0
check_state "while the other runs" $CONFIGFS/left committing
edu_set "$a" remove_hold 0
check_eq "then that is, too" "$(ended left)" 0
check_eq "types" "$(group_type "$edu") $(group_type "$edu2")" "identity $other"
txn_end $CONFIGFS/left
txn_end $CONFIGFS/right
check_as_before "as before" "$before" "$edu" "$edu2"

# Both expect the same generation: one of them gets it.
one left "$edu" identity
one right "$edu2" "$other"
cat $CONFIGFS/generation > $CONFIGFS/left/expected_generation
cat $CONFIGFS/generation > $CONFIGFS/right/expected_generation
start left "$CONFIGFS/left/commit"
start right "$CONFIGFS/right/commit"
check_eq "one of two gets the generation" \
	"$(printf '%s\n' "$(ended left)" "$(ended right)" | sort | xargs)" "0 ESTALE"
txn_end $CONFIGFS/left
txn_end $CONFIGFS/right
check_as_before "as before" "$before" "$edu" "$edu2"

# A writer that is killed: the kernel finishes.
stage_edu killed identity
edu_set "$a" remove_hold 1
try write "$t/commit" 1 > /tmp/killed &
pid=$!
wait_for 20 edu_doing "$a" remove || bail "no release"
kill -KILL "$pid"
check_state "a signal does not stop it" "$t" committing
edu_set "$a" remove_hold 0
check "it is finished without its writer" wait_for 20 is "$t/state" committed
wait "$pid"
check_eq "which is dead" "$(cat /tmp/killed)" ""
check_eq "types" "$(group_type "$edu") $(group_type "$edu2")" "identity identity"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"

# Many readers, all the time.
stage_edu readers identity
: > /tmp/reading
for n in 1 2 3; do
	while [ -e /tmp/reading ]; do
		cat "$t"/state "$t"/report "$t"/progress "$t"/*/status "$t"/*/devices \
			"$t"/*/current_type "$t"/*/type $CONFIGFS/generation || echo "reader $n" >> /tmp/unread
		ls -R $CONFIGFS
	done > /dev/null 2>> /tmp/unread &
done
for n in 1 2 3 4 5; do
	check_eq "commit $n below readers" "$(write_errno "$t/commit" 1)" 0
	check_eq "rollback $n below readers" "$(write_errno "$t/rollback" 1)" 0
	rmdir "$t/$edu" "$t/$edu2" "$t" 2>/dev/null || wait_for 5 rmdir "$t"
	stage_edu readers identity 2>/dev/null
done
rm /tmp/reading
wait
# What vanished between ls and cat is no error of ours.
check_eq "nothing was unreadable" \
	"$(grep -vE 'No such file|reader' /tmp/unread | sort | uniq -c | head -n 5)" ""
check_as_before "as before" "$before" "$edu" "$edu2"
txn_end "$t"
rm -f /tmp/unread

edu_end
finish
