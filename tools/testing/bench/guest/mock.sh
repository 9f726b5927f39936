# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# The mock IOMMU: what the engine costs by itself, from one group to thousands.

MOCK=/sys/kernel/debug/mock_iommu
BARE=/sys/kernel/debug/bare_calls
WQ=/sys/devices/virtual/workqueue/cpumask

mock_begin()
{
	modprobe mock_iommu && modprobe bare_calls || bail "no mock"
	echo "$*" > $MOCK/create || bail "no mock groups: $*"
	sed 's/.*iommu=\([0-9]*\).*/\1/' $MOCK/groups > /tmp/ids
	mock_type=$(group_type "$(head -n 1 /tmp/ids)")
}

mock_over()
{
	echo all > $MOCK/destroy
	rmmod bare_calls mock_iommu || bail "the mock does not unload"
}

# mock_txn FIGURE N STEP...: there, and with these steps back.
mock_txn()
{
	local what=$1 n=$2
	shift 2
	stopwatch txn bench identity "$@" < /tmp/ids > /tmp/steps || bail "$what: $n groups failed"
	while read -r step ns cpu; do
		figure "$what" "$n" "$step" "$ns" "$cpu"
	done < /tmp/steps
}

# bare FIGURE N: the calls alone, there and back.
bare()
{
	local type
	for type in identity "$mock_type"; do
		echo "mock $type" > $BARE || bail "bare calls: $type failed"
		figure "$1" "$2" "$(cat $BARE)"
	done
}

one_cpu()
{
	echo 1 > $WQ
	taskset -p 1 $$ > /dev/null
}

all_cpus()
{
	echo 3 > $WQ
	taskset -p 3 $$ > /dev/null
}

bench_mock()
{
	local n round rounds
	for n in $MOCK_SIZES; do
		mock_begin "$n" 4
		rounds=$((1000 / n))
		[ $rounds -lt 8 ] || rounds=8
		[ $rounds -gt 0 ] || rounds=1
		for round in $(seq $rounds); do
			mock_txn mock "$n" stage check commit rollback rmdir
			[ $((round % 4)) -ne 1 ] || bare bare "$n"
		done
		say "mock: $n groups of 4 devices: done"
		mock_over
	done

	# All on one CPU: what it costs, whoever does it.
	for n in $MOCK_ONE_CPU; do
		mock_begin "$n" 4
		one_cpu
		for round in 1 2; do
			bare bare-one-cpu "$n"
			mock_txn mock-one-cpu "$n" stage check commit rollback rmdir
		done
		all_cpus
		mock_over
	done

	# 400 devices that take their time.
	mock_begin 100 4
	echo all probe_delay_ms 50 > $MOCK/set
	for round in 1 2 3; do
		mock_txn slow 100 stage commit rollback rmdir
	done
	mock_over
}
