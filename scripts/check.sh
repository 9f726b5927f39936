#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh [-jN] PART...: runs the parts, N at a time (default: one after the other), whatever
# becomes of each, and adds up their last lines "N passed, N failed, N skipped" to one,
# which is the only such line. Parts begin in the order in which they are given.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1

# Where the module cannot be unloaded: that it is there, and each kind of thing once.
builtin="boot kunit sysfs-hand commit refusals rollback in-place in-place-load in-place-reach"
builtin+=" mock-unmap together uevents file-transfer iommucfg"

# What differs from one IOMMU to the next.
short="boot sysfs-hand commit rollback in-place file-transfer"

# What Debian's kernel cannot run, on a kernel that is not slow.
quick="guards-owner"

# The main job and drivers that are paused on the kernel with sanitizers, which takes its
# time for everything; and with the module inside.
sanitized="boot commit identity-shared pause pause-fails"
inside="boot kunit commit in-place-reach mock-unmap"

# What runs side by side, comes in between, or hangs.
races="kunit mount-meanwhile drivers-go rmmod-meanwhile vfio-races guards-again side-by-side"
races+=" concurrent timer-races history stress hang-release hang-probe hang-timer device-lock"
races+=" hang-depends countdown disruption pause"

# What real drivers do, where each probe is done twice; no test that counts probes.
twice="boot commit rollback in-place identity-shared file-transfer pause"

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
	[fleet-guests]="tools/testing/fleet/run"
	[fuzz]="make --no-print-directory -C tools/iommucfg fuzz"
	[fuzz-fleet]="make --no-print-directory -C tools/fleet fuzz FUZZ_SECONDS=10"
	[guest]="tools/lab/lab run -j2 --without amd,virtio-iommu"
	[guest-vtd]="tools/lab/lab run vtd"
	[guest-rest]="tools/lab/lab run --without amd,virtio-iommu,vtd"
	[guest-arm64]="env LAB_KERNEL=arm64 tools/lab/lab run"
	[guest-builtin]="env LAB_KERNEL=builtin tools/lab/lab run --keep vtd $builtin"
	[guest-debug]="env LAB_KERNEL=debug tools/lab/lab run -j2"
	[lab]="tools/lab/host/selftest.py"
	[mails]="make --no-print-directory series"
	[monitor]="scripts/monitor.py --check"
	[modules]="make --no-print-directory modules W=1 KCFLAGS=-Werror"
	[mutations]="tools/testing/mutate/mutate --check"
	[races-mock]="env LAB_KERNEL=kcsan tools/lab/lab run mock"
	[races-vtd]="env LAB_KERNEL=kcsan tools/lab/lab run vtd $races"
	[remove]="env LAB_KERNEL=remove tools/lab/lab run vtd $twice"
	[series]="make --no-print-directory check-series"
	[smmuv3]="env LAB_KERNEL=arm64 tools/lab/lab run --keep smmuv3 $short $quick"
	[sparse]="make --no-print-directory sparse"
	[table]="scripts/results.py"
	[unit]="make --no-print-directory -C tools/iommucfg check"
	[unit-plain]="make --no-print-directory -C tools/iommucfg check TESTS=files,install"
	[unit-asan]="make --no-print-directory -C tools/iommucfg check-asan"
	[virtio]="tools/lab/lab run --keep virtio-iommu $short"
)
# These either work or not.
by_status=" bench demo fuzz fuzz-fleet mails modules monitor table "
# What is said of a failure, or of what got a second try.
telling='^ *(# *)?not ok|^# kernel: \[|once more after|second (time|try).* after'
one_tally='^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'

jobs=1
if [[ ${1-} == -j* ]]; then
	jobs=${1#-j}
	shift
fi

passed=0 failed=0 skipped=0 tries=0
tmp=$(mktemp -d)
builder=''
trap 'rm -rf "$tmp"; [ -z "$builder" ] || kill -- "-$builder" 2>/dev/null' EXIT

# What kernels take long to build: it begins here, beside what comes first, and is one of
# the N. A part that needs one waits for it, and reports it if the build has failed.
kernels=()
for part; do
	[ -n "${command[$part]-}" ] || { echo "check: no part \"$part\"" >&2; exit 1; }
	[[ ! ${command[$part]} =~ LAB_KERNEL=([a-z0-9]+) ]] || kernels+=("${BASH_REMATCH[1]}")
done
declare -A running=()
if [ ${#kernels[@]} -gt 0 ]; then
	# As a job of its own, so that all of it can be ended.
	set -m
	for kernel in "${kernels[@]}"; do
		tools/lab/kernels/"$kernel"
	done < /dev/null > /dev/null 2> "$tmp/kernels.out" &
	builder=$!
	set +m
	running[kernels]=$builder
fi

# run_part PART: its output, but for its tally, which goes to FILE after its exit status.
run_part()
{
	local part=$1 tally=$2 out status
	out=$(mktemp)
	${command[$part]} 2>&1 < /dev/null | tee "$out" | grep --line-buffered -vE "$one_tally"
	status=${PIPESTATUS[0]}
	{
		echo "$status $(grep -E "$one_tally" "$out" | tail -n 1)"
		sed -n 's/^# second tries: \([0-9]*\) of .*/\1/p' "$out"
	} > "$tally"
	# With what is said below it.
	grep -E -A 12 "$telling" "$out" | grep -E "^--|^#|$telling" | head -n 60 > "$tally.telling"
	[ "$status" -eq 0 ] || [ -s "$tally.telling" ] || tail -n 10 "$out" > "$tally.telling"
	rm -f "$out"
}

# count PART TIME: adds up what run_part left.
count()
{
	local part=$1 status tally p f s _
	read -r status tally < "$tmp/$part"
	tries=$((tries + $(sed -n 2p "$tmp/$part") + 0))
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
	echo "# $part: $tally ($2)"
}

# reap: waits until one of those that run has ended, prints what it said, and counts it.
reap()
{
	local part
	while :; do
		for part in "${!running[@]}"; do
			[ ! -e "$tmp/$part.took" ] || break 2
			# One that was killed.
			kill -0 "${running[$part]}" 2>/dev/null || break 2
		done
		sleep 1
	done
	wait "${running[$part]}"
	unset "running[$part]"
	if [ "$part" = kernels ]; then
		grep '^setup: kernel' "$tmp/kernels.out" | sed 's/^/# /'
		return
	fi
	echo "# $part: ${command[$part]}"
	cat "$tmp/$part.out"
	[ -e "$tmp/$part" ] || echo 1 > "$tmp/$part"
	count "$part" "$(cat "$tmp/$part.took" || echo "ended by force")"
}

for part; do
	start=$SECONDS
	if [ "$jobs" -eq 1 ]; then
		echo "# $part: ${command[$part]}"
		run_part "$part" "$tmp/$part"
		count "$part" "$((SECONDS - start)) s"
		continue
	fi
	while [ ${#running[@]} -ge "$jobs" ]; do
		reap
	done
	echo "# $part begins after $SECONDS s"
	{
		run_part "$part" "$tmp/$part" > "$tmp/$part.out"
		times > "$tmp/$part.cpu"
		echo "$((SECONDS - start)) s, CPU $(tail -n 1 "$tmp/$part.cpu")" > "$tmp/$part.took"
	} &
	running[$part]=$!
done
while [ "$jobs" -gt 1 ] && [ ${#running[@]} -gt 0 ]; do
	reap
done

# Once more, as a log is often cut down to its end.
for part; do
	[ ! -s "$tmp/$part.telling" ] || sed "s/^/# $part: /" "$tmp/$part.telling"
done
# The parts have this budget together.
if [ -n "${LAB_SECOND_TRY-}" ]; then
	echo "# second tries: $tries of $LAB_SECOND_TRY"
	[ "$tries" -le "$LAB_SECOND_TRY" ] || failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
