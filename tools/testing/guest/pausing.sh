# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# What tests of paused drivers have in common. They set $group, and $drivers to how many of
# its drivers there are to be paused.

# change NAME TYPE: by a commit that may pause, and no more.
change()
{
	local t
	t=$(txn_new change)
	stage "$t" "$group" "$2"
	echo pause > "$t/disruption"
	check_eq "$1: to $2: check" "$(write_errno "$t/check" 1) $(cat "$t/$group/method")" "0 pause"
	trace_start iommu_configfs
	check_eq "$1: to $2: commit" "$(write_errno "$t/commit" 1)" 0
	trace_stop > /tmp/trace
	check_eq "$1: to $2: type and method" "$(group_type "$group") $(cat "$t/$group/method")" "$2 pause"
	check_eq "$1: to $2: status and report" "$(status "$t" "$group"; cat "$t/report")" changed
	check_match "$1: to $2: progress" "$(cat "$t/progress")" '^([2-9]|[1-9][0-9]) \1$'
	check_eq "$1: to $2: no driver is unbound" "$(grep -cE 'icfg_(release|probe):' /tmp/trace)" 0
	check_eq "$1: to $2: each driver is paused and resumed" \
		"$(grep -c icfg_pause: /tmp/trace) $(grep -c 'icfg_resume:.* silent_us=[0-9]* err=0' /tmp/trace)" \
		"$drivers $drivers"
	check_eq "$1: to $2: the disk last, and first again" \
		"$(sed -n 's/.*icfg_pause:.*device=\([^ ]*\).*/\1/p' /tmp/trace | tail -n 1) $(sed -n 's/.*icfg_resume:.*device=\([^ ]*\).*/\1/p' /tmp/trace | head -n 1)" \
		"$disk_dev $disk_dev"
	say "$1: to $2: $(sed -n 's/.*icfg_resume:.*device=\([^ ]*\).*silent_us=\([0-9]*\).*/\1 \2 us/p' /tmp/trace | xargs)"
	# It stays.
	rmdir "$t/$group" "$t"
}

# types: through all of them and back, none of it in place. $1: name of what is tested
types()
{
	local type
	for type in identity DMA identity DMA-FQ identity "$boot"; do
		[ "$(group_type "$group")" != $type ] || continue
		change "$1" $type
		sleep 1
	done
}

# can_pause GROUP: each of its drivers says so, in our patches, or manages its own DMA.
can_pause()
{
	! drivers_of "$1" | xargs -n 1 | cut -d = -f 2 | grep -qvxE 'nvme|e1000e|igb|virtio-pci|pcieport|-'
}
