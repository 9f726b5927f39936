#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# How much a commit may disturb (disruption), what it chose for each group (method), and
# the limit for each step (step_timeout): words, defaults, and where they can be written.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180

. /lab/lib.sh
. /lab/tests/faults.sh

edu_setup
before=$(groups_now "$edu" "$edu2")

method()
{
	cat "$t/$1/method"
}

# to TYPE: edu has it, by a commit of its own.
to()
{
	local t
	[ "$(group_type "$edu")" != "$1" ] || return 0
	t=$(txn_new to) && stage "$t" "$edu" "$1" && echo 1 > "$t/commit" && rmdir "$t/$edu" "$t"
}

removes()
{
	cat $EDU/*/removes | xargs
}

t=$(txn_new words)
check_eq "defaults" "$(cat "$t/step_timeout") $(cat "$t/disruption") $(cat "$t/remaining")" "120 rebind 0"
stage "$t" "$edu" identity
check_eq "no method at first" "$(method "$edu")" none
check_eq "it cannot be written" "$(write_errno "$t/$edu/method" rebind)" EACCES
check_eq "nor can remaining" "$(write_errno "$t/remaining" 1)" EACCES

# A step's limit
for word in 1 3600 120; do
	check_eq "step_timeout takes $word" "$(write_errno "$t/step_timeout" $word) $(cat "$t/step_timeout")" \
		"0 $word"
done
echo 120 > "$t/step_timeout"
for word in 0 3601 -1 +5 1s 1.5 0x10 4294967297 18446744073709551617 "5 6" " " x; do
	check_eq "step_timeout refuses \"$word\"" \
		"$(write_errno "$t/step_timeout" "$word") $(cat "$t/step_timeout")" "EINVAL 120"
done

# A ceiling: what would be done is told, and not done where it is not allowed.
for word in none pause; do
	check_eq "$word is taken" "$(write_errno "$t/disruption" $word) $(cat "$t/disruption")" "0 $word"
	generation=$(cat $CONFIGFS/generation)
	removes=$(removes)
	for action in check commit; do
		check_eq "$word: $action of a group that needs more" "$(write_errno "$t/$action" 1)" EOPNOTSUPP
		check_report "$word: $action says why" "$t" "^$edu ([^ ]+|-) check EOPNOTSUPP .*(disruption|rebind)"
		check_eq "$word: $action: method says what it needs" "$(method "$edu")" rebind
	done
	check_eq "$word: nothing was touched" "$(cat "$t/state") $(cat $CONFIGFS/generation) $(removes)" \
		"staged $generation $removes"
done
for word in None NONE "none " " none" "none pause" reset 0 1 "" any; do
	check_eq "disruption refuses \"$word\"" \
		"$(write_errno "$t/disruption" "$word") $(cat "$t/disruption")" "EINVAL pause"
done
check_eq "a type that is written resets the method" "$(echo identity > "$t/$edu/type"; method "$edu")" none
echo rebind > "$t/disruption"
check_eq "check tells the method" "$(write_errno "$t/check" 1) $(method "$edu")" "0 rebind"
check_eq "so does the commit" "$(write_errno "$t/commit" 1) $(method "$edu")" "0 rebind"
for pair in "step_timeout 5" "disruption none"; do
	check_eq "committed: $pair" "$(write_errno "$t/${pair% *}" "${pair#* }")" EBUSY
	check_eq "committed: without capabilities" "$(try -d sys_rawio write "$t/${pair% *}" "${pair#* }")" EACCES
done
check_eq "they are what they were" "$(cat "$t/step_timeout") $(cat "$t/disruption")" "120 rebind"
check_eq "and the rollback" "$(write_errno "$t/rollback" 1) $(method "$edu")" "0 rebind"
txn_end "$t"

# What has its type needs nothing.
t=$(txn_new same)
stage "$t" "$edu" "$boot"
stage "$t" "$edu2" identity
echo none > "$t/disruption"
check_eq "one of two groups has its type" "$(write_errno "$t/check" 1)" EOPNOTSUPP
check_report "the other is named" "$t" "^$edu2 .* check EOPNOTSUPP "
check_eq "only that" "$(report "$t" | grep -vc "^$edu2 ")" 0
check_eq "methods" "$(method "$edu") $(method "$edu2")" "unchanged rebind"
rmdir "$t/$edu2"
check_eq "alone it is done" "$(write_errno "$t/commit" 1) $(method "$edu")" "0 unchanged"
check_eq "and undone" "$(write_errno "$t/rollback" 1) $(method "$edu")" "0 unchanged"
txn_end "$t"

# A group that is refused before it is known how it would go.
t=$(txn_new unknown)
mkdir "$t/$edu"
check_eq "without a type" "$(write_errno "$t/check" 1) $(method "$edu")" "EINVAL none"
txn_end "$t"

# In place disturbs nothing, so it is always allowed, as long as nothing would have to go back.
check "strict to begin with" to DMA
t=$(txn_new place)
stage "$t" "$edu" DMA-FQ
echo none > "$t/disruption"
echo 600 > "$t/confirm_timeout"
removes=$(removes)
rc=$(write_errno "$t/check" 1)
case $rc in
EOPNOTSUPP)
	check_report "with a timer the way back counts" "$t" "^$edu ([^ ]+|-) check EOPNOTSUPP ."
	check_eq "and refuses the commit" "$(write_errno "$t/commit" 1) $(group_type "$edu")" "EOPNOTSUPP DMA"
	;;
*)
	check_eq "with a timer the way back is in place as well" "$rc $(method "$edu")" "0 in-place"
	;;
esac
echo 0 > "$t/confirm_timeout"
check_eq "without a timer: check" "$(write_errno "$t/check" 1) $(method "$edu")" "0 in-place"
check_eq "commit" "$(write_errno "$t/commit" 1) $(method "$edu") $(group_type "$edu")" "0 in-place DMA-FQ"
check_eq "status" "$(status "$t" "$edu")" in-place
check_eq "no driver was released" "$(removes)" "$removes"
# The ceiling is for the commit, not for the way back.
check_eq "a rollback does what it takes" "$(write_errno "$t/rollback" 1) $(group_type "$edu")" "0 DMA"
check_match "and says what that was" "$(method "$edu")" '^(rebind|in-place)$'
txn_end "$t"

# A way back that the timer goes
t=$(txn_new timer)
stage "$t" "$edu" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit with a timer" "$(write_errno "$t/commit" 1)" 0
echo 1 > "$t/confirm_timeout"
check "it comes due" wait_for 30 is "$t/state" rolled-back
check_eq "method" "$(method "$edu")" rebind
txn_end "$t"

check "as found" to "$boot"
check_as_before "as before" "$before" "$edu" "$edu2"

# The threads of a commit do not start I/O to get memory: the disk may be what was released.
t=$(txn_new memory)
stage "$t" "$edu" identity
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
check_eq "releases and probes without I/O for memory" \
	"$(cat "$EDU/$a/remove_noio" "$EDU/$b/remove_noio" "$EDU/$a/probe_noio" "$EDU/$b/probe_noio" | xargs)" \
	"1 1 1 1"
unbind "$a"
bind "$a" edu_lab
check_eq "which others do not" "$(cat "$EDU/$a/remove_noio" "$EDU/$a/probe_noio" | xargs)" "0 0"
check_eq "a rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "is like the commit" "$(cat "$EDU/$a/remove_noio" "$EDU/$a/probe_noio" | xargs)" "1 1"
txn_end "$t"
check_as_before "as before" "$before" "$edu" "$edu2"

edu_end
finish
