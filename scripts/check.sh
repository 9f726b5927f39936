#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh PART[+PART...]...: runs the parts one after the other, those with a "+" between
# them side by side, whatever becomes of each, and adds up their last lines "N passed,
# N failed, N skipped" to one, which is the only such line.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1

# Where the module cannot be unloaded: that it is there, and each kind of thing once.
builtin="boot kunit sysfs-hand commit refusals rollback in-place in-place-load in-place-reach"
builtin+=" mock-unmap together uevents file-transfer iommucfg"

# What differs from one IOMMU to the next.
short="boot sysfs-hand commit rollback in-place file-transfer"

# The main job and drivers that are paused on the kernel with sanitizers, which takes its
# time for everything; and with the module inside.
sanitized="boot commit identity-shared pause pause-fails"
inside="boot kunit commit in-place-reach mock-unmap"

declare -A command=(
	[amd]="tools/lab/lab run --keep amd $short"
	[bench]="make --no-print-directory -C tools/iommucfg bench"
	[builtin]="env LAB_KERNEL=builtin tools/lab/lab run --keep vtd $inside"
	[checkpatch]="make --no-print-directory checkpatch"
	[deb]="scripts/deb.sh"
	[debian]="tools/testing/debian/run --short"
	[debian-all]="tools/testing/debian/run"
	[debug]="env LAB_KERNEL=debug tools/lab/lab run --keep vtd $sanitized"
	[demo]="make --no-print-directory demo"
	[fleet]="make --no-print-directory -C tools/fleet check"
	[fuzz]="make --no-print-directory -C tools/iommucfg fuzz"
	[guest]="tools/lab/lab run -j2 --without amd,virtio-iommu"
	[guest-arm64]="env LAB_KERNEL=arm64 tools/lab/lab run"
	[guest-builtin]="env LAB_KERNEL=builtin tools/lab/lab run --keep vtd $builtin"
	[guest-debug]="env LAB_KERNEL=debug tools/lab/lab run -j2"
	[lab]="tools/lab/host/selftest.py"
	[modules]="make --no-print-directory modules W=1 KCFLAGS=-Werror"
	[series]="make --no-print-directory check-series"
	[smmuv3]="env LAB_KERNEL=arm64 tools/lab/lab run --keep smmuv3 $short"
	[sparse]="make --no-print-directory sparse"
	[table]="scripts/results.py"
	[unit]="make --no-print-directory -C tools/iommucfg check"
	[unit-asan]="make --no-print-directory -C tools/iommucfg check-asan"
	[virtio]="tools/lab/lab run --keep virtio-iommu $short"
)
# These either work or not.
by_status=" bench demo fuzz modules table "
one_tally='^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'

passed=0 failed=0 skipped=0
tmp=$(mktemp -d)
builder=''
trap 'rm -rf "$tmp"; [ -z "$builder" ] || kill -- "-$builder" 2>/dev/null' EXIT

# What kernels take long to build: it begins here, beside all that comes first. A
# part that needs one waits for it, and tells it if the build has failed.
kernels=()
IFS=' +' read -ra names <<< "$*"
for part in "${names[@]}"; do
	[ -n "${command[$part]-}" ] || { echo "check: no part \"$part\"" >&2; exit 1; }
	[[ ! ${command[$part]-} =~ LAB_KERNEL=([a-z0-9]+) ]] || kernels+=("${BASH_REMATCH[1]}")
done
if [ ${#kernels[@]} -gt 0 ]; then
	# As a job of its own, so that all of it can be ended.
	set -m
	for kernel in "${kernels[@]}"; do
		tools/lab/kernels/"$kernel"
	done < /dev/null > /dev/null 2>&1 &
	builder=$!
	set +m
fi

# run_part PART: its output, but for its tally, which goes to FILE after its exit status.
run_part()
{
	local part=$1 tally=$2 out status
	out=$(mktemp)
	${command[$part]} 2>&1 < /dev/null | tee "$out" | grep --line-buffered -vE "$one_tally"
	status=${PIPESTATUS[0]}
	echo "$status $(grep -E "$one_tally" "$out" | tail -n 1)" > "$tally"
	rm -f "$out"
}

# count PART SECONDS: adds up what run_part left.
count()
{
	local part=$1 status tally p f s _
	read -r status tally < "$tmp/$part"
	if [[ $by_status == *" $part "* ]]; then
		tally="$((status == 0)) passed, $((status != 0)) failed, 0 skipped"
	fi
	if [ -n "$tally" ]; then
		read -r p _ f _ s _ <<< "$tally"
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
		if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
			echo "# $part: exit status $status"
			failed=$((failed + 1))
		fi
	else
		tally="ended without a tally, exit status $status"
		failed=$((failed + 1))
	fi
	echo "# $part: $tally ($2 s)"
}

for parts; do
	start=$SECONDS
	if [[ $parts != *+* ]]; then
		echo "# $parts: ${command[$parts]}"
		run_part "$parts" "$tmp/$parts"
		count "$parts" $((SECONDS - start))
		continue
	fi
	# Side by side; each one's output stays together.
	running=()
	for part in ${parts//+/ }; do
		{ run_part "$part" "$tmp/$part" > "$tmp/$part.out"; echo $((SECONDS - start)) > "$tmp/$part.took"; } &
		running+=($!)
	done
	wait "${running[@]}"
	for part in ${parts//+/ }; do
		echo "# $part: ${command[$part]}"
		cat "$tmp/$part.out"
		count "$part" "$(cat "$tmp/$part.took")"
	done
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
