#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Hundreds of slow devices go, and come, side by side: all releases, then all switches, then
# all probes, each of them at the same time.
#
# machines: mock
# timeout: 180
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# phases: do all removes end before any attach, and all attaches before any probe?
phases()
{
	awk '
		function word(name, i) {
			for (i = 1; i <= NF; i++)
				if (index($i, name "=") == 1)
					return substr($i, length(name) + 2) + 0
		}
		{
			a = word("attach_at"); p = word("probe_at"); r = word("removed_at")
			if (r > removed) removed = r
			if (!first || a < first) first = a
			if (a > attach) attach = a
			if (!probe || p < probe) probe = p
		}
		END { print (removed < first && attach < probe) ? "apart" : "mixed up" }' $MOCK/devices
}

mock_load
mock_create 40 10
before=$(grep -v '^$' $MOCK/groups)
ids=$(mock_ids)
boot=$(group_type "${ids%% *}")
check_eq "400 devices" "$(mock_stat devices) $(mock_found)" "400 $boot"

# Held, all of them are seen in the same place at once.
t=$(txn_new side)
for id in $ids; do
	stage "$t" "$id" identity
done
mock_count_anew
mock_set all remove_hold 1
mock_set all probe_hold 1
start side "$t/commit"
check "all devices are in their remove at once" wait_for 60 is_stat removing 400
check_state "state" "$t" committing
check_eq "no group is switched yet" "$(mock_stat attaches)" 0
mock_set all remove_hold 0
check "all devices are in their probe at once" wait_for 60 is_stat probing 400
check_eq "and all groups are switched" "$(grep -c 'type=identity$' $MOCK/groups)" 40
mock_set all probe_hold 0
check_eq "commit" "$(ended side) $(report "$t")" "0 "
check_eq "progress" "$(cat "$t/progress")" "800 800"
check_eq "releases, switches and probes" "$(phases)" apart
check_eq "what the devices find" "$(mock_found)" identity

# One that takes long keeps nobody else from being there.
mock_count_anew
mock_set mock.123 remove_hold 1
start side "$t/rollback"
check "all but one are released" wait_for 60 is_stat removes 399
mock_set mock.123 remove_hold 0
mock_set mock.321 probe_hold 1
check "all but one are back" wait_for 60 is_stat probes 399
check_state "state" "$t" rolling-back
mock_set mock.321 probe_hold 0
check_eq "rollback" "$(ended side)" 0
check_eq "all are as before" "$(grep -v '^$' $MOCK/groups)" "$before"
txn_end "$t"

# Groups are switched side by side as well.
t=$(txn_new switch)
for id in $ids; do
	stage "$t" "$id" identity
done
mock_count_anew
mock_set all attach_hold 1
start switch "$t/commit"
check "one device of each group is being attached" wait_for 60 is_stat attaching 40
mock_set all attach_hold 0
check_eq "commit" "$(ended switch)" 0
check_eq "releases, switches and probes" "$(phases)" apart

# With delays as real devices have them, many are under way at the same time.
mock_set all remove_delay_ms 50
mock_set all probe_delay_ms 50
mock_count_anew
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check "removes of several groups overlap" test "$(mock_stat removing_max)" -gt 10
check "so do probes" test "$(mock_stat probing_max)" -gt 10
say "of 400: $(mock_stat removing_max) removes, $(mock_stat probing_max) probes at once at the most"
check_eq "each once" "$(mock_stat removes) $(mock_stat probes)" "400 400"
check_eq "all are as before" "$(grep -v '^$' $MOCK/groups)" "$before"
txn_end "$t"

# Two transactions do not wait for each other.
mock_set all remove_delay_ms 0
mock_set all probe_delay_ms 0
first=${ids%% *}
second=${ids##* }
a=$(txn_new a)
b=$(txn_new b)
stage "$a" "$first" identity
stage "$b" "$second" identity
mock_set mock.0 probe_hold 1
start a "$a/commit"
check "one commit waits for a probe" wait_for 30 is_stat probing 1
check_eq "the other one is done" "$(write_errno "$b/commit" 1)" 0
check_state "meanwhile" "$a" committing
mock_set mock.0 probe_hold 0
check_eq "the first one is done, too" "$(ended a)" 0
check_eq "rollback of both" "$(write_errno "$a/rollback" 1) $(write_errno "$b/rollback" 1)" "0 0"
txn_end "$a"
txn_end "$b"
check_eq "all are as before" "$(grep -v '^$' $MOCK/groups)" "$before"
check_mock_clean "in all that"
mock_end
finish
