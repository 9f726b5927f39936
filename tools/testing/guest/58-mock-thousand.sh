#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A thousand groups in one transaction: all of them or none, with one that fails, one
# that is refused, and all that fail; reports that do not fit a page say so.
#
# machines: mock
# timeout: 300
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# types: "COUNT TYPE" of the core's groups.
types()
{
	cat $SYS_GROUPS/*/type | sort | uniq -c | xargs
}

# statuses: "COUNT WORD" of the first lines in $t.
statuses()
{
	awk 'FNR == 1' "$t"/*/status | sort | uniq -c | xargs
}

# restored WHAT [FOUND]: everything is as before; the drivers found FOUND at their last probe.
restored()
{
	check_eq "$1: all groups are as before" "$(cat $MOCK/groups)" "$before"
	check_eq "$1: and the devices find it" "$(types) $(mock_found)" "1000 $boot ${2-$boot}"
	check_mock_clean "$1"
	check_eq "$1: no domain too many" "$(mock_stat domains)" 1000
}

mock_load
mock_create 1000 2
before=$(cat $MOCK/groups)
ids=$(mock_ids)
boot=$(group_type "${ids%% *}")
check_eq "a thousand groups of two" "$(mock_stat groups) $(mock_stat devices) $(types)" "1000 2000 1000 $boot"

t=$(txn_new thousand)
# One process for all of them.
(cd "$t" && echo "$ids" | xargs mkdir)
for id in $ids; do
	echo identity > "$t/$id/type"
done
check_eq "all are staged" "$(statuses)" "1000 staged"
check_eq "and listed" "$(find "$t" -mindepth 1 -maxdepth 1 -type d | wc -l)" 1000
check_eq "check" "$(write_errno "$t/check" 1)" 0

# None: one of them is in use. It has a driver, so it is not owned but forbids to go.
echo "777 fixed" > $MOCK/join
bad=$(mock_ids 777)
generation=$(cat $CONFIGFS/generation)
mock_count_anew
check_eq "one that refuses" "$(write_errno "$t/commit" 1)" EBUSY
check_report "is named" "$t" "^$bad mock_fixed.2000 check EBUSY "
check_eq "alone" "$(wc -l < "$t/report")" 1
check_eq "nothing is touched" "$(mock_stat removes) $(mock_stat attaches) $(cat $CONFIGFS/generation)" "0 0 $generation"
echo mock_fixed.2000 > $MOCK/destroy

# None: one cannot be switched; then one does not probe.
mock_set mock.1001 attach_errors_identity 1
mock_count_anew
check_eq "one that cannot be switched" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is named" "$t" "^$(mock_ids 500) - switch EIO "
check_eq "alone" "$(wc -l < "$t/report")" 1
restored "one that cannot be switched"
mock_set mock.1001 probe_errors 1
check_eq "one that does not probe" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is named" "$t" "^$(mock_ids 500) mock.1001 probe EIO "
check_eq "alone" "$(wc -l < "$t/report")" 1
restored "one that does not probe"
check_eq "all were touched" "$(statuses)" "1000 restored"

# All of them.
mock_count_anew
generation=$(cat $CONFIGFS/generation)
check_eq "all of them" "$(write_errno "$t/commit" 1) $(report "$t")" "0 "
check_eq "have the type" "$(types) $(mock_found)" "1000 identity identity"
check_eq "each device went and came once" "$(mock_stat removes) $(mock_stat probes)" "2000 2000"
check_eq "words" "$(statuses)" "1000 changed"
check_eq "progress" "$(cat "$t/progress")" "4000 4000"
check_eq "one generation" "$(cat $CONFIGFS/generation)" $((generation + 1))
check_eq "no domain is left over" "$(mock_stat domains)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
restored "rollback"
check_eq "words" "$(statuses)" "1000 restored"
(cd "$t" && echo "$ids" | xargs rmdir)
rmdir "$t"

# Every device fails, on the way there and back: the report counts what it has no room for.
t=$(txn_new all)
(cd "$t" && echo "$ids" | xargs mkdir)
for id in $ids; do
	echo identity > "$t/$id/type"
done
mock_set all probe_errors -1
check_eq "all of them fail" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "EIO failed"
cat "$t/report" > /tmp/report
check "the report is within a page" [ "$(wc -c < /tmp/report)" -le 4096 ]
check_eq "no line is cut" \
	"$(sed '$d' /tmp/report | grep -cvE '^[0-9]+ (-|mock\.[0-9]+) (probe|restore) EIO .')" 0
left=$(tail -n 1 /tmp/report | sed 's/[^0-9]*\([0-9][0-9]*\).*/\1/')
check "the last line counts the rest" [ $(($(sed '$d' /tmp/report | wc -l) + left)) -gt 2000 ]
check_eq "each group says so itself" "$(statuses)" "1000 failed"
check_eq "types are back all the same" "$(types)" "1000 $boot"
mock_set all probe_errors 0
check_eq "rollback brings all back" "$(write_errno "$t/rollback" 1) $(report "$t")" "0 "
restored "all failed"
check_eq "words" "$(statuses)" "1000 restored"
(cd "$t" && echo "$ids" | xargs rmdir)
rmdir "$t"

# By the timer, with all of the directories gone.
t=$(txn_new timer)
(cd "$t" && echo "$ids" | xargs mkdir)
for id in $ids; do
	echo DMA > "$t/$id/type"
done
echo 600 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1) $(types)" "0 1000 DMA"
(cd "$t" && echo "$ids" | xargs rmdir)
check_eq "the transaction stays" "$(try rmdir "$t")" EBUSY
echo 1 > "$t/confirm_timeout"
check "the timer takes all back" wait_for 60 is "$t/state" rolled-back
# From DMA in place: nothing was released for it.
restored "timer" DMA
rmdir "$t"

mock_end
check_eq "the core has forgotten them" "$(ls $SYS_GROUPS | wc -l)" 0
finish
