#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# simulate.sh [--seed FIRST] [--seeds COUNT] [--jobs N]: the KUnit suite "simulation" for
# COUNT seeds (default 2000), in N kernels side by side that are programs
# (tools/lab/kernels/um). A seed that breaks the contract is printed with what was done;
# it runs again by --seed SEED --seeds 1, or in any kernel that has the suite by
#
#	iommu_configfs.sim_seed=SEED iommu_configfs.sim_runs=1 iommu_configfs.sim_waits=1
#
# The driver core, the workqueues and the clock are the kernel's own, so that what is
# simulated is the module as it is, and nothing stands in for it but the IOMMU.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
seed=1 seeds=2000 jobs=1
while [ $# -gt 0 ]; do
	case $1 in
	--seed)		seed=$2 ;;
	--seeds)	seeds=$2 ;;
	--jobs)		jobs=$2 ;;
	*)		sed -n '4,5s/^# //p' "$0" >&2; exit 2 ;;
	esac
	shift 2
done

kernel=$("$here/tools/lab/kernels/um")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# What a kernel says of its tests; else it speaks of each device that comes and goes.
said='# (simulate|iommu-configfs-simulation): |^(not )?ok |Kernel panic|WARNING: |BUG: '
said+='|^(seed |icfg-fake-[0-9]+: |[0-9]+ |- )'

# The deadline of a test is in seconds that are simulated as well.
simulate()
{
	TMPDIR=$tmp "$kernel/vmlinuz" mem=256M time-travel=inf-cpu panic=-1 kunit_shutdown=halt \
		kunit.filter_glob=iommu-configfs-simulation kunit.timeout=1000000000 \
		iommu_configfs.sim_waits=1 "iommu_configfs.sim_seed=$1" \
		"iommu_configfs.sim_runs=$2" < /dev/null 2>&1 |
		grep -aE "$said" > "$3" || :
}

each=$(((seeds + jobs - 1) / jobs))
for ((i = 0; i < jobs && i * each < seeds; i++)); do
	count=$((i * each + each <= seeds ? each : seeds - i * each))
	simulate $((seed + i * each)) "$count" "$tmp/$i.log" &
done
wait

done=0 bad=0
for log in "$tmp"/*.log; do
	n=$(sed -n 's/.*# simulate: \([0-9]*\) seeds from .*/\1/p' "$log")
	done=$((done + ${n:-0}))
	if ! grep -aq '^ok 1 iommu-configfs-simulation' "$log" ||
	   grep -aE '\b(WARNING|BUG): ' "$log" >&2; then
		bad=1
		tail -n 150 "$log" >&2
	fi
done
echo "$done seeds from $seed on: $([ $bad = 0 ] && echo "the contract held" || echo "FAILED")"
exit $bad
