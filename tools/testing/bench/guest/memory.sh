# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# What a staged group costs in memory, and what a commit keeps for the way back. Slab
# memory is compared where the types of all groups are the same, since domains take memory too.

# memory_at WHEN: a figure for each cache.
memory_at()
{
	slabs | sed "s/^/figure slab $1 /"
}

memory_step()
{
	stopwatch txn memory identity "$1" < /tmp/ids > /dev/null || bail "memory: $1 failed"
}

bench_memory()
{
	mock_begin "$MEMORY_GROUPS" 4
	figure memory-groups "$MEMORY_GROUPS" 4
	# What the first ones leave behind for good, such as worker threads.
	for step in stage commit rollback rmdir stage commit rollback rmdir; do
		memory_step $step
	done
	memory_at before
	memory_step stage
	memory_at staged
	memory_step commit
	memory_at committed
	memory_step rollback
	memory_at rolled-back
	memory_step rmdir
	memory_at removed

	# The undo record, between two moments at which all groups are identity.
	for step in stage commit; do
		memory_step $step
	done
	memory_at kept
	memory_step rmdir
	memory_at forgotten
	mock_over
}
