# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# Real groups: an NVMe disk and a network card each. Three ways to change them, and how
# long each device is without its driver in a commit.

# method NAME TYPE GROUP...: one change by that method, and what it took.
method()
{
	local name=$1 type=$2 ns
	shift 2
	settle
	ns=$(stopwatch run sh "/lab/bench/$name.sh" "$type" "$@") || bail "$name does not work"
	figure "$name" $# "$ns"
	check_types "$name" "$type" "$@"
}

# commit TYPE GROUP...: the steps of a transaction, from one process.
commit()
{
	local type=$1
	shift
	settle
	echo "$@" | stopwatch txn bench "$type" stage check commit rmdir > /tmp/steps ||
		bail "commit does not work"
	while read -r step ns cpu; do
		figure real $# "$step" "$ns" "$cpu"
	done < /tmp/steps
	check_types commit "$type" "$@"
}

check_types()
{
	local what=$1 type=$2 group
	shift 2
	for group; do
		[ "$(group_type "$group")" = "$type" ] || bail "$what: group $group is not $type"
	done
}

# Disks and interfaces are there again, so that none counts as in use.
settle()
{
	machine settle 60 || bail "the machine does not come to rest"
}

# traced TYPE GROUP...: one more commit, and when each device was released and probed.
# Which worker does what shows when a step began: the event comes at its end.
traced()
{
	local type=$1
	shift
	settle
	echo mono > $TRACE/trace_clock
	trace_start iommu_configfs:icfg_release iommu_configfs:icfg_probe \
		workqueue:workqueue_execute_start
	echo "$@" | stopwatch txn bench "$type" stage commit rmdir > /tmp/steps ||
		bail "commit does not work while traced"
	trace_stop > /tmp/trace
	echo local > $TRACE/trace_clock
	figure trace $# begin
	grep -E 'icfg_(release|probe)|function step_work' /tmp/trace | sed "s/^/figure trace $# /"
}

other()
{
	[ "$type" = "$boot" ] && type=identity || type=$boot
}

# plug N: group N of those that the firmware has no room for.
plug()
{
	local slot
	host device_add "e1000e,id=nic$1,romfile=,bus=rp$1,addr=0.1,multifunction=on" 2> /dev/null &&
		host device_add "nvme,id=nvme$1,drive=nvme$(($1 - 1)),serial=nvme$1,bus=rp$1,addr=0.0,multifunction=on" ||
		bail "group $1 cannot be plugged in"
	slot=$(printf '0000:%02x:00' "$1")
	echo "disk$1 $slot.0=nvme $slot.1=e1000e" >> /lab/groups
	wait_for 30 disk_of "$slot.0" && wait_for 30 nic_of "$slot.1" || bail "group $1 does not come up"
	[ "$(group_of "$slot.0")" = "$(group_of "$slot.1")" ] || bail "group $1 is two groups"
}

# plug_out N...: what plug has plugged in.
plug_out()
{
	local n
	for n; do
		sed -i "/^disk$n /d" /lab/groups
		del "nvme$n" || bail "group $n cannot be unplugged"
	done
	for n; do
		host wait_deleted "nvme$n"
	done
}

# real_groups: the numbers of all of them, in their order.
real_groups()
{
	local name
	for name in $(machine_groups | sed -n 's/^\(disk[0-9]*\) .*/\1/p'); do
		group_of "$name"
	done | xargs
}

# shellcheck disable=SC2086 # groups are words
bench_real()
{
	local all boot type n round groups
	plug 15
	plug 16
	all=$(real_groups)
	boot=$(group_type "$(group_of disk)")
	figure boot "$boot"
	type=$boot
	for n in $SIZES; do
		groups=$(echo $all | cut -d ' ' -f "1-$n")
		for round in $(seq "$ROUNDS"); do
			# Each method goes there as often as back: the last is one too many.
			other; method by-hand $type $groups
			other; method by-commit $type $groups
			[ "$round" -gt "$DRIVERCTL_ROUNDS" ] || {
				other; method by-driverctl $type $groups
			}
			other; commit $type $groups
			other; commit $type $groups
			[ "$type" = "$boot" ] && continue
			other; commit $type $groups
		done
		for round in $(seq "$TRACED"); do
			other; traced $type $groups
		done
		[ "$type" = "$boot" ] || { other; commit $type $groups; }
		say "$n groups: done"
	done
	plug_out 15 16
}
