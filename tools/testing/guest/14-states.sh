#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The states: each arrow, and in each state everything that has no arrow there.
# edu devices hold a commit or a rollback in the middle, and make it fail.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh

load_module
edu_load
group=$(group_of edu)
group2=$(group_of edu2)
third=$(group_of disk)
a=$(dev edu 0)
was=$(group_type "$group")
was2=$(group_type "$group2")
before=$(drivers_of "$group")

# start TXN ACTION, ended: the action in the background, and its errno.
start()
{
	rm -f /tmp/rc
	try write "$1/$2" 1 > /tmp/rc &
	started=$!
}

ended()
{
	wait_for 30 test -s /tmp/rc
	cat /tmp/rc
}

# busy TXN STATE ACTION...: each is EBUSY and the state stays; so is what only staged has.
busy()
{
	local t=$1 state=$2 action
	shift 2
	check_eq "$state: read" "$(cat "$t/state")" "$state"
	for action; do
		check_eq "$state: $action" "$(write_errno "$t/$action" 1)" EBUSY
	done
	[ "$state" != staged ] || return
	check_eq "$state: mkdir of a group" "$(try mkdir "$t/$third")" EBUSY
	check_eq "$state: mkdir of no group" "$(try mkdir "$t/99999")" EBUSY
	check_eq "$state: mkdir of a bad name" "$(try mkdir "$t/05")" EINVAL
	check_eq "$state: expected_generation" "$(write_errno "$t/expected_generation" 0)" EBUSY
	if [ -d "$t/$group" ]; then
		check_eq "$state: a type" "$(write_errno "$t/$group/type" DMA)" EBUSY
		check_eq "$state: the same type" \
			"$(write_errno "$t/$group/type" "$(cat "$t/$group/type")")" EBUSY
	fi
	check_eq "$state: step_timeout" "$(write_errno "$t/step_timeout" 5)" EBUSY
	check_eq "$state: disruption" "$(write_errno "$t/disruption" none)" EBUSY
	# While committing, too, where there is no timeout to start anew; with one see 66-countdown.
	[ "$state" = unconfirmed ] ||
		check_eq "$state: confirm_timeout" "$(write_errno "$t/confirm_timeout" 5)" EBUSY
	check_eq "$state: confirm_timeout 0" "$(write_errno "$t/confirm_timeout" 0)" EBUSY
	check_eq "$state: none of it changed the state" "$(cat "$t/state")" "$state"
}

# readable TXN: every file that has text gives it, at once.
readable()
{
	local file all=
	for file in "$1"/state "$1"/progress "$1"/report "$1"/expected_generation \
			"$1"/allow_in_use "$1"/confirm_timeout "$1"/disruption "$1"/step_timeout \
			"$1"/remaining "$1"/"$group"/*; do
		all="$all$(timeout 5 try read "$file")"
	done
	all="$all$(timeout 5 ls -lR "$CONFIGFS" > /dev/null && echo 0)"
	[ "$all" = 000000000000000 ] || { say "readable: $all"; return 1; }
}

# staged → committing → committed
t=$(txn_new forth)
stage "$t" "$group" identity
busy "$t" staged confirm rollback
edu_set "$a" probe_hold 1
start "$t" commit
check "a commit waits for a probe" wait_for 20 edu_doing "$a" probe
busy "$t" committing check commit confirm rollback
check_eq "committing: allow_in_use" "$(write_errno "$t/allow_in_use" net)" EBUSY
check_eq "committing: rmdir of the transaction" "$(try rmdir "$t")" EBUSY
check "committing: everything is readable" readable "$t"
check_match "committing: progress" "$(cat "$t/progress")" '^[0-9]+ [0-9]+$'
read -r steps all < "$t/progress"
check "committing: some steps are done, and not all" [ "$steps" -gt 0 -a "$steps" -lt "$all" ]
check_eq "committing: current_type is the new one" "$(cat "$t/$group/current_type")" identity
check_match "committing: the driver is not back" "$(cat "$t/$group/devices")" "^pci $a (-|edu_lab) any$"

# Others stay usable meanwhile.
o=$(txn_new others)
check_eq "another transaction can be made and staged" "$(stage "$o" "$third" identity && echo 0)" 0
check_eq "and checked" "$(write_errno "$o/check" 1)" 0
check_eq "one with the same group is refused" "$(rmdir "$o/$third"; stage "$o" "$group" identity
	stage "$o" "$group2" identity; write_errno "$o/commit" 1)" EBUSY
check_match "and told who has it" "$(report "$o")" "^$group - check EBUSY .*\<forth\>"
check_eq "its check says the same" "$(write_errno "$o/check" 1)" EBUSY
check_eq "the free group was not touched" "$(group_type "$group2")" "$was2"
check_eq "it goes through with a free group" "$(rmdir "$o/$group"; write_errno "$o/commit" 1)" 0
check_eq "and back" "$(write_errno "$o/rollback" 1)" 0
txn_end "$o"

check_eq "committing: rmdir of the group" "$(try rmdir "$t/$group")" 0
check_not "it is out of sight" test -e "$t/$group"
check_eq "rmdir of the transaction, with no directory left" "$(try rmdir "$t")" EBUSY
kill -INT $started
kill -TERM $started
kill -KILL $started
check_eq "committing: a signal does not stop it" "$(cat "$t/state")" committing
edu_set "$a" probe_hold 0
check "the commit goes on to its end" wait_for 20 is "$t/state" committed
wait
check_eq "the group that was out of sight is changed" "$(group_type "$group")" identity
check_eq "and has its drivers" "$(drivers_of "$group")" "$before"
read -r steps all < "$t/progress"
check_eq "all steps are done" "$steps" "$all"
busy "$t" committed check commit confirm
check_eq "committed: rmdir of a group does not come back by mkdir" "$(try mkdir "$t/$group")" EBUSY

# committed → rolling-back → rolled-back
edu_set "$a" remove_hold 1
start "$t" rollback
check "a rollback waits for a remove" wait_for 20 edu_doing "$a" remove
busy "$t" rolling-back check commit confirm rollback
check_eq "rolling-back: allow_in_use" "$(write_errno "$t/allow_in_use" net)" EBUSY
check_eq "rolling-back: rmdir of the transaction" "$(try rmdir "$t")" EBUSY
check_match "rolling-back: the list can be read" "$(timeout 5 ls $CONFIGFS | xargs)" '\<forth\>'
edu_set "$a" remove_hold 0
check_eq "the rollback ends" "$(ended)" 0
check_eq "it undid the group that was out of sight" "$(group_type "$group")" "$was"
check_eq "with its drivers" "$(drivers_of "$group")" "$before"
busy "$t" rolled-back check commit confirm rollback
check_eq "rolled-back: allow_in_use" "$(write_errno "$t/allow_in_use" net)" EBUSY
check_eq "then it can go" "$(try rmdir "$t")" 0

# staged → committing → unconfirmed → committed
t=$(txn_new wait)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit with a confirm timeout" "$(write_errno "$t/commit" 1)" 0
busy "$t" unconfirmed check commit
check_eq "unconfirmed: rmdir of the transaction" "$(try rmdir "$t")" EBUSY
check "unconfirmed: everything is readable" readable "$t"
o=$(txn_new others)
stage "$o" "$group" DMA
check_eq "unconfirmed: no other transaction gets the group" "$(write_errno "$o/commit" 1)" EBUSY
check_match "and is told who has it" "$(report "$o")" "^$group - check EBUSY .*\<wait\>"
check_eq "unconfirmed: rmdir of the group" "$(try rmdir "$t/$group")" 0
check_eq "rmdir of the transaction, with no directory left" "$(try rmdir "$t")" EBUSY
check_eq "a group out of sight is not free either" "$(write_errno "$o/commit" 1)" EBUSY
check_eq "confirm" "$(write_errno "$t/confirm" 1)" 0
busy "$t" committed check commit confirm
check_eq "a late confirm changed nothing" "$(group_type "$group")" identity
check_eq "now the other can have it" "$(write_errno "$o/commit" 1)" 0
check_eq "and give it back" "$(write_errno "$o/rollback" 1)" 0
txn_end "$o"
check_eq "the first can still undo its own" "$(write_errno "$t/rollback" 1)" 0
check_eq "which it did" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
check_eq "it goes" "$(try rmdir "$t")" 0

# unconfirmed → rolling-back → rolled-back, by hand
t=$(txn_new hand)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
write_errno "$t/commit" 1 > /dev/null
check_eq "a rollback of an unconfirmed commit" "$(write_errno "$t/rollback" 1)" 0
busy "$t" rolled-back check commit confirm rollback
check_eq "the type is back" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
check_eq "its status" "$(status "$t" "$group")" restored
check_eq "ENOTEMPTY, as the group has its directory" "$(try rmdir "$t")" ENOTEMPTY
check_eq "rmdir of the group" "$(try rmdir "$t/$group")" 0
check_eq "then of the transaction" "$(try rmdir "$t")" 0

# staged → committing → staged: a commit that failed can be corrected and tried again.
t=$(txn_new again)
stage "$t" "$group" identity
stage "$t" "$group2" "$was2"
edu_set "$a" probe_errors 1
edu_set "$a" probe_errno 12
generation=$(cat $CONFIGFS/generation)
check_eq "a commit with a probe that fails" "$(write_errno "$t/commit" 1)" ECANCELED
busy "$t" staged confirm rollback
check_match "the report has the reason" "$(report "$t")" "^$group $a probe ENOMEM ."
check_eq "everything is as before" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
check_eq "the generation stays raised" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_eq "the touched group is restored" "$(head -n 1 "$t/$group/status")" restored
check_match "and has the reason" "$(sed 1d "$t/$group/status")" "^$group $a probe ENOMEM ."
check_eq "the other is unchanged" "$(status "$t" "$group2")" unchanged
check_eq "check leaves the words alone" "$(write_errno "$t/check" 1)
$(status "$t" "$group") $(status "$t" "$group2")" "0
restored unchanged"
check_eq "a type can be written" "$(write_errno "$t/$group/type" identity)" 0
check_eq "which makes it staged" "$(status "$t" "$group")" staged
check_eq "and not the other" "$(status "$t" "$group2")" unchanged
check_eq "options can be written" "$(write_errno "$t/confirm_timeout" 0)" 0
check_eq "groups can be added" "$(try mkdir "$t/$third")" 0
check_eq "and taken out" "$(try rmdir "$t/$third")" 0
edu_set "$a" probe_hold 1
start "$t" commit
wait_for 20 edu_doing "$a" probe || bail "no probe"
check_eq "with the next commit both are staged" "$(cat "$t/$group/status" "$t/$group2/status" | xargs)" \
	"staged staged"
edu_set "$a" probe_hold 0
check_eq "a second try" "$(ended)" 0
check_eq "with a new report" "$(report "$t")" ""
check_eq "changed now" "$(status "$t" "$group") $(status "$t" "$group2")" "changed unchanged"

# A transaction that goes forgets what it did, and changes no group.
check_eq "the committed one has directories" "$(try rmdir "$t")" ENOTEMPTY
check_eq "its groups go" "$(try rmdir "$t/$group") $(try rmdir "$t/$group2")" "0 0"
check_eq "and it goes" "$(try rmdir "$t")" 0
check_eq "the group keeps its type" "$(group_type "$group") $(drivers_of "$group")" "identity $before"
t=$(txn_new again)
check_eq "one of the same name knows nothing of it" "$(write_errno "$t/rollback" 1)" EBUSY
stage "$t" "$group" "$was"
check_eq "the type goes back by a commit" "$(write_errno "$t/commit" 1)" 0
check_eq "and that one is forgotten" "$(try rmdir "$t/$group") $(try rmdir "$t")" "0 0"
check_eq "which leaves it" "$(group_type "$group")" "$was"

# A group whose directory goes while a commit fails is out of the transaction then.
t=$(txn_new out)
stage "$t" "$group" identity
stage "$t" "$group2" identity
edu_set "$a" probe_errors 1
edu_set "$a" probe_hold 1
start "$t" commit
wait_for 20 edu_doing "$a" probe || bail "no probe"
check_eq "rmdir meanwhile" "$(try rmdir "$t/$group2")" 0
edu_set "$a" probe_hold 0
check_eq "the commit fails" "$(ended)" ECANCELED
check_eq "it had covered both" "$(group_type "$group") $(group_type "$group2")" "$was $was2"
check_eq "the group is out, and can be staged anew" "$(try mkdir "$t/$group2")" 0
check_eq "with no type" "$(cat "$t/$group2/type")" none
check_eq "rmdir in staged" "$(try rmdir "$t/$group2")" 0
check_eq "the next commit leaves it alone" "$(write_errno "$t/commit" 1) $(group_type "$group2")" "0 $was2"
check_eq "back" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# staged → committing → failed → failed → rolled-back
t=$(txn_new failed)
stage "$t" "$group" identity
edu_set "$a" probe_errors -1
edu_set "$a" probe_errno 5
check_eq "a commit whose restoring fails" "$(write_errno "$t/commit" 1)" EIO
busy "$t" failed check commit confirm
check_match "the report names group and device" "$(report "$t")" "^$group $a restore EIO ."
check_eq "status" "$(head -n 1 "$t/$group/status")" failed
check_eq "the other devices have their drivers" "$(drivers_of "$group")" \
	"$(echo "$before" | sed "s/$a=edu_lab/$a=-/")"
check_eq "the type is that of before" "$(group_type "$group")" "$was"
check_eq "a rollback tries again, in vain" "$(write_errno "$t/rollback" 1)" EIO
check_eq "failed again" "$(cat "$t/state")" failed
check_match "and says what" "$(report "$t")" "^$group $a restore EIO ."
check_eq "rmdir of a failed transaction with groups" "$(try rmdir "$t")" ENOTEMPTY
check_eq "rmdir of its group" "$(try rmdir "$t/$group")" 0
edu_set "$a" probe_errors 0
check_eq "a rollback tries again, also out of sight" "$(write_errno "$t/rollback" 1)" 0
check_eq "rolled-back" "$(cat "$t/state")" rolled-back
check_eq "every driver is back" "$(drivers_of "$group")" "$before"
check_eq "it goes" "$(try rmdir "$t")" 0

# A failed transaction can be forgotten.
t=$(txn_new failed2)
stage "$t" "$group" identity
edu_set "$a" probe_errors -1
check_eq "failed once more" "$(write_errno "$t/commit" 1)" EIO
edu_set "$a" probe_errors 0
check_eq "the group goes" "$(try rmdir "$t/$group")" 0
check_eq "so does the transaction" "$(try rmdir "$t")" 0
check_eq "nobody brought the driver back" "$(driver_of "$a")" -
bind "$a" edu_lab

edu_unload
check "the module unloads after all of that" rmmod iommu_configfs
load_module
finish
