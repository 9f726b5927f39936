#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# sparse.sh KDIR: sparse over the modules, a point for each directory. A warning
# about our own files is a failure; the kernel's headers are not ours to judge.
set -euo pipefail

tree=$(cd "$(dirname "$0")/.." && pwd)
kdir=$1
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for dir in drivers/iommu/configfs tools/testing/modules; do
	mkdir -p "$tmp/$dir"
	cp -r "$tree/$dir/." "$tmp/$dir/"
	[ ! -d "$tree/include" ] || cp -r "$tree/include" "$tmp/"
	cp -r "$tree/kernel" "$tmp/"
	good=1
	make -C "$kdir" M="$tmp/$dir" C=2 CF=-D__CHECK_ENDIAN__ modules > "$tmp/log" 2>&1 || good=0
	# Errors count wherever they are: sparse gives up on the file then.
	if grep -E "(/$dir/|/monitors/iommu_txn/|^)[^/]*\.[ch]:[0-9]+:[0-9]+: (warning|error)|: error: " "$tmp/log"; then
		good=0
	fi
	if [ $good -eq 1 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) sparse: $dir"
	else
		failed=$((failed + 1))
		grep -E 'error|Error' "$tmp/log" || :
		echo "not ok $((passed + failed)) sparse: $dir"
	fi
done

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
