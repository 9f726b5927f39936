#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Four processes use two transactions over two groups as they like. Everything that they are
# told, each errno, state, type and generation, is what the interface says in some order of
# what they did: a model of it looks for that order.
#
# machines: vtd
# also: smmuv3 virtio-iommu amd
# timeout: 180
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh

SECONDS_LONG=6

edu_setup
before=$(groups_now "$edu" "$edu2")

# The first one is broken on purpose: what judges has to be able to say no. Nothing was
# committed, so the generation cannot be another one.
printf '%s\n' "DMA DMA 5" "0 10 20 generation 0 -1 1 0 5" > /tmp/history
check_match "a history that is right" "$(linear /tmp/history)" "^1 calls, explained"
echo "1 30 40 generation 0 -1 1 0 6" >> /tmp/history
check_match "and one that is not" "$(linear /tmp/history)" "^2 calls, which nothing explains"

seed=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
for round in 1 2 3; do
	seed=$((seed + 1))
	record $seed $SECONDS_LONG "$edu" "$edu2" -- "$EDU/$a/probe_errors" 1 > /tmp/history
	check "round $round, seed $seed: there is a history" test "$(wc -l < /tmp/history)" -gt 100
	for action in commit rollback confirm check; do
		say "$action: $(grep " $action " /tmp/history | awk '{ print $8 }' | sort | uniq -c | xargs)"
	done
	if linear /tmp/history > /tmp/verdict; then
		ok "seed $seed: it can be explained"
	else
		not_ok "seed $seed: it can be explained"
		say "$(cat /tmp/verdict)"
		next=$(sed -n 's/^next:.*line \([0-9]*\):.*/\1/p' /tmp/verdict | sort -n | head -n 1)
		say "$(sed -n "1p;$((${next:-1} > 60 ? next - 60 : 2)),$((${next:-1} + 20))p" /tmp/history)"
		say "all of it, for \"base64 -d | gunzip\":"
		say "$(gzip -9c /tmp/history | base64)"
	fi
	say "$(head -n 1 /tmp/verdict)"
	knobs 0 probe_errors "$a"
	txn_settle $CONFIGFS/history0
	txn_settle $CONFIGFS/history1
	edu_mend
done

stage_edu mend "$boot"
check_eq "one commit brings back both" "$(write_errno "$t/commit" 1)" 0
check_as_before "types and drivers are as before" "$before" "$edu" "$edu2"
rmdir "$t"/*/ "$t"
edu_end
finish
