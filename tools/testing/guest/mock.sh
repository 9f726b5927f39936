# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# What the tests with the mock IOMMU share; see mock_iommu.h for what it can do.
# Groups are named by the mock's own numbers, 0, 1, ... in order of creation, and
# devices mock.0, mock.1, ... likewise. Sourced after lib.sh and faults.sh; no test itself.

MOCK=/sys/kernel/debug/mock_iommu

# mock_load: both modules, and a mock without devices.
mock_load()
{
	load_module && modprobe mock_iommu || bail "no module"
	echo all > $MOCK/destroy
}

# quietly COMMAND...: without what the kernel says about each single device, which would
# take longer than the rest; warnings and worse get through.
quietly()
{
	local all=/sys/module/printk/parameters/ignore_loglevel was level rc
	read -r was < $all
	read -r level _ < /proc/sys/kernel/printk
	echo N > $all
	dmesg -n 5
	"$@"
	rc=$?
	dmesg -n "$level"
	echo "$was" > $all
	return $rc
}

# mock_write FILE WORD...
mock_write()
{
	local file=$1
	shift
	echo "$*" > "$MOCK/$file"
}

# mock_create GROUPS DEVICES [WORD...]
mock_create()
{
	quietly mock_write create "$@" || bail "no mock groups: $*"
}

# mock_set all|group:N|DEVICE KNOB VALUE
mock_set()
{
	echo "$*" > $MOCK/set || bail "the mock does not take: $*"
}

# mock_get DEVICE WORD: one of the words in its line.
mock_get()
{
	sed -n "s/^$1 .* $2=\([^ ]*\).*/\1/p" $MOCK/devices
}

# mock_stat WORD
mock_stat()
{
	sed -n "s/^$1 //p" $MOCK/stats
}

# mock_count_anew: what was counted is forgotten.
mock_count_anew()
{
	echo 0 > $MOCK/stats
}

# mock_ids [N...]: numbers of the core's groups, of ours with these numbers or of all.
mock_ids()
{
	[ $# -eq 0 ] || set -- "^($(echo "$*" | tr ' ' '|')) "
	grep -E "${1-.}" $MOCK/groups | sed 's/.*iommu=\([0-9]*\).*/\1/' | xargs
}

# mock_types N...: what is attached to the devices of each group, in one line.
mock_types()
{
	local n
	for n; do
		sed -n "s/^$n .*type=//p" $MOCK/groups
	done | xargs
}

# are_types "TYPE..." N...: for wait_for.
are_types()
{
	local types=$1
	shift
	[ "$(mock_types "$@")" = "$types" ]
}

# mock_now N...: "N TYPE DEVICE=DRIVER..." of each group, a line each.
mock_now()
{
	local n
	for n; do
		echo "$n $(group_type "$(mock_ids "$n")") $(mock_drivers "$n")"
	done
}

# mock_drivers N: "DEVICE=DRIVER" of each device in a group, in one line.
mock_drivers()
{
	awk -v group="group=$1" '$2 == group { sub("driver=", "", $5); print $1 "=" $5 }' \
		$MOCK/devices | xargs
}

# mock_found [N]: what the drivers in a group (or all groups) found by doing DMA.
mock_found()
{
	awk -v group="group=${1-}" 'group == "group=" || $2 == group { sub("found=", "", $7); print $7 }' \
		$MOCK/devices | sort -u | xargs
}

# check_mock_as_before "what" BEFORE N...
check_mock_as_before()
{
	local what=$1 before=$2
	shift 2
	check_eq "$what" "$(mock_now "$@")" "$before"
}

# check_mock_clean "what": no DMA went astray, no mapping was forgotten.
check_mock_clean()
{
	check_eq "$1: no DMA went astray, no mapping was left" \
		"$(mock_stat faults) $(mock_stat leaked_pages)" "0 0"
}

# stage_mock NAME TYPE N...: a transaction of these groups; sets t.
stage_mock()
{
	local type=$2 id
	t=$(txn_new "$1") || bail "no transaction"
	shift 2
	for id in $(mock_ids "$@"); do
		stage "$t" "$id" "$type" || bail "group $id cannot be staged"
	done
}

# mock_before EVENT DEVICE THEN DEVICE: e.g. removed_at mock.1 remove_at mock.0
mock_before()
{
	[ "$(mock_get "$2" "$1")" -lt "$(mock_get "$4" "$3")" ]
}

# mock_end: nothing is left of the mock, in the kernel neither.
mock_end()
{
	quietly mock_write destroy all
	check_eq "nothing of the mock is left" \
		"$(mock_stat devices) $(mock_stat groups) $(mock_stat domains) $(mock_stat pages)" "0 0 0 0"
	check_eq "and nothing was forgotten" "$(mock_stat leaked_pages)" 0
	check "the mock unloads" rmmod mock_iommu
}

# is_stat WORD NUMBER, mock_is DEVICE WORD VALUE: for wait_for.
is_stat()
{
	[ "$(mock_stat "$1")" = "$2" ]
}

mock_is()
{
	[ "$(mock_get "$1" "$2")" = "$3" ]
}
