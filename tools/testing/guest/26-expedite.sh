#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Nobody waits for a normal grace period while a commit or a rollback runs, as drivers do
# before and afterwards. (Expedited ones there are always: the network has its own.)
#
# machines: vtd
# also: amd smmuv3 virtio-iommu
# timeout: 120

. /lab/lib.sh

# waits COMMAND...: which kinds of grace periods somebody waited for meanwhile
waits()
{
	local kinds
	echo > $TRACE/trace
	echo 1 > $TRACE/tracing_on
	"$@" || { echo failed; return; }
	echo 0 > $TRACE/tracing_on
	kinds=$(sed -n 's/.*: synchronize_rcu_\([a-z]*\) <-.*/\1/p' $TRACE/trace | sort -u | xargs)
	echo "${kinds:-none}"
}

by_hand()
{
	unbind "$dev" && bind "$dev" "$driver"
}

act()
{
	[ "$(write_errno "$t/$1" 1)" = 0 ]
}

[ "$(cat /sys/kernel/rcu_normal) $(cat /sys/kernel/rcu_expedited)" = "0 0" ] ||
	skip_all "the kernel was told which grace periods to use"
grep -qw function $TRACE/available_tracers || skip_all "no function tracer"

load_module
group=$(group_of disk)
was=$(group_type "$group")
[ "$was" = identity ] && to=DMA-FQ || to=identity
dev=$(dev disk 0)
driver=$(driver_of "$dev")

echo 0 > $TRACE/tracing_on
echo 0 > $TRACE/options/record-cmd
echo synchronize_rcu_normal > $TRACE/set_ftrace_filter
echo synchronize_rcu_expedited >> $TRACE/set_ftrace_filter
echo function > $TRACE/current_tracer

check_match "unbound and bound by hand" "$(waits by_hand)" normal
machine settle 60
t=$(txn_new expedite)
stage "$t" "$group" "$to"
check_eq "by a commit" "$(waits act commit)" expedited
machine settle 60
check_eq "by a rollback" "$(waits act rollback)" expedited
machine settle 60
check_eq "the group is back" "$(group_type "$group")" "$was"
txn_end "$t"
check_match "by hand, after all" "$(waits by_hand)" normal
machine settle 60

echo nop > $TRACE/current_tracer
echo > $TRACE/set_ftrace_filter
echo > $TRACE/trace
echo 1 > $TRACE/tracing_on
finish
