# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# Groups whose disk is mounted and written, by each method that there is for the change: how
# long each device is silent, and how long the longest write takes. For a kernel that can
# pause drivers.

# live_change N METHOD TYPE GROUP...: one commit, with its trace and the longest write.
live_change()
{
	local n=$1 method=$2 type=$3
	shift 3
	echo mono > $TRACE/trace_clock
	trace_start iommu_configfs:icfg_pause iommu_configfs:icfg_resume \
		iommu_configfs:icfg_release iommu_configfs:icfg_probe \
		workqueue:workqueue_execute_start
	# What was the longest until now does not count.
	[ -z "$live_stall" ] || kill -USR1 "$live_stall"
	echo "$@" | stopwatch txn live "$type" stage commit rmdir > /dev/null || bail "live: no $type"
	[ -z "$live_stall" ] || { usleep 200000; kill -USR1 "$live_stall"; usleep 50000; }
	trace_stop > /tmp/trace
	echo local > $TRACE/trace_clock
	figure live "$n" "$method" begin
	[ -z "$live_stall" ] || figure live "$n" "$method" "$(tail -n 1 /tmp/stall.out)"
	grep -E 'icfg_(pause|resume|release|probe)|function step_work' /tmp/trace |
		sed "s/^/figure live $n $method /"
	check_types live "$type" "$@"
}

# shellcheck disable=SC2086 # groups are words
bench_live()
{
	local all boot n round groups disk live_stall=
	if ! grep -q ' iommu_group_set_paused_type$' /proc/kallsyms; then
		say "this kernel cannot pause drivers: see tools/lab/kernels/plain"
		return
	fi
	boot=$(group_type "$(group_of disk)")
	all=$(real_groups)
	mkdir -p /tmp/live
	for n in $LIVE_SIZES; do
		groups=$(echo $all | cut -d ' ' -f "1-$n")
		echo Y > /sys/module/iommu_configfs/parameters/pause
		settle
		disk=/dev/$(disk_of "$(dev disk 0)")
		mkfs.ext4 -qF "$disk" && mount -t ext4 "$disk" /tmp/live || bail "live: no file system"
		stall /tmp/live/file > /tmp/stall.out &
		live_stall=$!
		sleep 1
		for round in $(seq "$LIVE_ROUNDS"); do
			live_change $n none "$(group_type "$(group_of disk)")" $groups
			live_change $n pause identity $groups
			live_change $n pause DMA $groups
			live_change $n in-place DMA-FQ $groups
			live_change $n in-place DMA $groups
		done
		kill $live_stall
		wait $live_stall || bail "live: $(cat /tmp/stall.out)"
		live_stall=
		umount /tmp/live
		echo N > /sys/module/iommu_configfs/parameters/pause
		for round in $(seq "$LIVE_ROUNDS"); do
			settle
			live_change $n rebind identity $groups
			settle
			live_change $n rebind DMA $groups
		done
		settle
		echo $groups | stopwatch txn live "$boot" stage commit rmdir > /dev/null ||
			bail "live: no $boot"
		say "$n groups: done"
	done
	settle
	rmdir /tmp/live
}
