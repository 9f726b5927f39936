#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh [PART...]: which lines of the module the tests run. A part is
#
#	um		the KUnit tests and SEEDS seeds of the simulation (default 200), in a
#			kernel that is a program
#	MACHINE		all tests of a machine of the lab, on the kernel "gcov"
#	MACHINE:TEST	one of them
#
# by default um and all machines that have an IOMMU of Intel's, or none. What a part has
# counted is kept until the module changes; the table at the end has all that was counted
# on the kernels of the parts. `coverage.sh table` only prints that, of both kernels.
set -euo pipefail

cd "$(dirname "$0")/.."
kernels=$PWD/tools/lab/kernels
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs
export LAB_KERNEL=gcov

[ $# -gt 0 ] || set -- um mock noiommu vtd vtd-many vtd-crowd vtd-igb vtd-inuse vtd-pt vtd-translate

# keep PART KERNEL DIR...: the .gcda files below each DIR, with what gcov needs beside them.
keep()
{
	local to=$cache/coverage/${2##*/}/$1 n=0 dir
	rm -rf "$to"
	shift
	for dir in "${@:2}"; do
		n=$((n + 1))
		mkdir -p "$to/$n"
		cp -r "$dir/." "$to/$n"
		(cd "$1/gcov" && find . -name '*.gcno' | cpio -pdm --quiet "$to/$n")
	done
}

# Each run adds to the same files.
run_um()
{
	local out
	out=$(cat "$um/built-in")/drivers/iommu/configfs
	export GCOV_PREFIX=$tmp/um GCOV_PREFIX_STRIP
	GCOV_PREFIX_STRIP=$(tr -cd / <<< "$out" | wc -c)
	mkdir "$GCOV_PREFIX"
	TMPDIR=$tmp "$um/vmlinuz" mem=256M time-travel=inf-cpu panic=-1 kunit_shutdown=halt \
		kunit.filter_glob='iommu-configfs*' kunit.timeout=1000000000 \
		iommu_configfs.sim_waits=1 iommu_configfs.sim_seed=1 \
		iommu_configfs.sim_runs="${SEEDS:-200}" < /dev/null > "$tmp/um.log" 2>&1 || :
	grep -aE '^(not )?ok ' "$tmp/um.log" | sed 's/^/# um: /'
	keep um "$um" "$GCOV_PREFIX"
}

# run_machine MACHINE[:TEST]
run_machine()
{
	local machine=${1%%:*} test=${1#"${1%%:*}"} boot
	local dirs=()
	# What fails here is for other lanes to tell; here it may have run less.
	tools/lab/lab run -q "$machine" ${test:+"${test#:}"} | sed "s/^/# $machine: /" || :
	for boot in "$cache/logs/$machine"/last/boot*; do
		mkdir -p "$tmp/$machine/${boot##*/}"
		sed -n 's/^# lab: gcov //p' "$boot/tap.log" | tr -d '\r' | base64 -d |
			tar -xz -C "$tmp/$machine/${boot##*/}" || continue
		dirs+=("$tmp/$machine/${boot##*/}")
	done
	keep "$1" "$gcov" "${dirs[@]}"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
um='' gcov=''
for part; do
	case $part in
	um | table)	um=$("$kernels/um-gcov") ;;&
	table)		gcov=$("$kernels/gcov") ;;
	um)		run_um ;;
	*)		gcov=$("$kernels/gcov")
			run_machine "$part" ;;
	esac
done
# Of kernels that are no more.
for dir in "$cache"/coverage/*; do
	[ -e "$cache/kernels/${dir##*/}" ] || rm -rf "$dir"
done
scripts/coverage.py drivers/iommu/configfs "${gcov:-$um}/gcov" ${um:+"$cache/coverage/${um##*/}"} \
	${gcov:+"$cache/coverage/${gcov##*/}"}
