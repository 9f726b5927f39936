# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# What the tests of failures and races share: actions in the background, and the
# edu groups as they were found. Sourced after lib.sh; no test itself.

# start NAME FILE: writes 1 to FILE from the background; ended NAME tells how it went.
start()
{
	rm -f "/tmp/end.$1"
	{
		write_errno "$2" 1 > "/tmp/end.$1.new"
		mv "/tmp/end.$1.new" "/tmp/end.$1"
	} &
}

# ended NAME: waits for what start began, and prints 0 or the errno's name.
ended()
{
	if wait_for 90 test -e "/tmp/end.$1"; then
		cat "/tmp/end.$1"
	else
		echo "still under way"
	fi
}

# set_faults DIR KEY=VALUE...
set_faults()
{
	local dir=$1 pair
	shift
	for pair; do
		echo "${pair#*=}" > "$dir/${pair%%=*}"
	done
}

# fail_below_module: of all allocations only those fail that have a function of the module on
# the stack, which takes in the domains of the core and the probes of drivers.
fail_below_module()
{
	local start size
	start=$(cat /sys/module/iommu_configfs/sections/.text)
	size=$(awk '$1 == "iommu_configfs" { print $2 }' /proc/modules)
	set_faults /sys/kernel/debug/failslab require-start="$start" \
		require-end="$(printf '0x%x' $((start + size)))"
}

# groups_now GROUP...: "GROUP TYPE ADDRESS=DRIVER..." of each, a line each.
groups_now()
{
	local group
	for group; do
		echo "$group $(group_type "$group") $(drivers_of "$group")"
	done
}

# check_as_before "what" BEFORE GROUP...: types and drivers are what they were.
check_as_before()
{
	local what=$1 before=$2
	shift 2
	check_eq "$what" "$(groups_now "$@")" "$before"
}

# txn_settle TXN: takes it away, whatever state others left it in; what it changed stays.
txn_settle()
{
	[ -d "$1" ] || return 0
	wait_for 60 has "$1/state" '^(staged|committed|unconfirmed|rolled-back|failed)$'
	case $(cat "$1/state") in
	unconfirmed)
		echo 1 > "$1/confirm"
		;;
	failed)
		echo net block other > "$1/allow_in_use"
		check_eq "${1##*/} rolls back" "$(write_errno "$1/rollback" 1)" 0
		;;
	esac
	rmdir "$1"/*/ 2> /dev/null
	check "${1##*/} goes" rmdir "$1"
}

# check_state "what" TXN STATE
check_state()
{
	check_eq "$1" "$(cat "$2/state")" "$3"
}

# step_limit SECONDS: for $t; on a kernel that finds mistakes what does not hang takes longer.
step_limit()
{
	local seconds=$1
	[ ! -e /sys/kernel/debug/kmemleak ] || seconds=$((seconds * 4))
	echo "$seconds" > "$t/step_timeout" || bail "no step_timeout"
}

# check_status "what" TXN GROUP WORD: the first line of a group's status.
check_status()
{
	check_eq "$1" "$(head -n 1 "$2/$3/status")" "$4"
}

# check_report "what" TXN PATTERN: the report has such a line.
check_report()
{
	check_match "$1" "$(report "$2")" "$3"
}

# status_is TXN GROUP WORD: for wait_for.
status_is()
{
	[ "$(head -n 1 "$1/$2/status")" = "$3" ]
}

# klog_begin: from here on; klog: what the kernel has logged since, without times.
klog_begin()
{
	KLOG_MARK="lab: mark $TAP_N of $$"
	echo "<7>$KLOG_MARK" > /dev/kmsg
}

klog()
{
	dmesg -r | sed "1,/$KLOG_MARK/d; s/^\(<[0-9]*>\)\[[^]]*\] /\1/"
}

# klog_has LEVEL WORD...: one line of this level has all these words.
klog_has()
{
	local lines word
	lines=$(klog | grep "^<$1>")
	shift
	for word; do
		lines=$(printf '%s\n' "$lines" | grep -wF -e "$word")
	done
	[ -n "$lines" ]
}

# check_klog "what" LEVEL WORD...: 4 is a warning, 5 a notice.
check_klog()
{
	local what=$1
	shift
	if klog_has "$@"; then
		ok "$what"
	else
		not_ok "$what"
		say "wanted: $*"
		say "$(klog)"
	fi
}

# has FILE PATTERN: for wait_for.
has()
{
	grep -qE -e "$2" "$1"
}

# bound ADDRESS: for wait_for.
bound()
{
	[ -e "/sys/bus/pci/devices/$1/driver" ]
}

# all_bound ADDRESS...: for wait_for.
all_bound()
{
	local dev
	for dev; do
		bound "$dev" || return
	done
}

unbound()
{
	[ ! -e "/sys/bus/pci/devices/$1/driver" ]
}

gone()
{
	[ ! -e "/sys/bus/pci/devices/$1" ]
}

# knobs VALUE KNOB ADDRESS...: one knob of several edu devices.
knobs()
{
	local value=$1 knob=$2 dev
	shift 2
	for dev; do
		echo "$value" > "$EDU/$dev/$knob"
	done
}

# edu_setup: the driver with quick probes on both groups. Sets edu, edu2, boot
# (the type of both), a b c (members of edu), d e (members of edu2).
edu_setup()
{
	load_module && edu_load || bail "no module"
	edu=$(group_of edu)
	edu2=$(group_of edu2)
	boot=$(group_type "$edu")
	a=$(dev edu 0)
	b=$(dev edu 1)
	c=$(dev edu 2)
	d=$(dev edu2 0)
	e=$(dev edu2 1)
	knobs 0 dma "$a" "$b" "$c" "$d" "$e"
}

# edu_mend: binds what has no driver, so that one failure does not pass for two.
edu_mend()
{
	local dev
	for dev in "$a" "$b" "$c" "$d" "$e"; do
		! unbound "$dev" || gone "$dev" || bind "$dev" edu_lab
	done
}

# edu_end: no driver, and the types of the boot.
edu_end()
{
	local group
	edu_unload || not_ok "the edu driver unloads"
	for group in "$(group_of edu)" "$(group_of edu2)"; do
		is "$SYS_GROUPS/$group/type" "$boot" || echo "$boot" > "$SYS_GROUPS/$group/type"
	done
}

# stage_edu NAME TYPE [GROUP...]: a transaction of both edu groups and others; sets t.
stage_edu()
{
	local type=$2 group
	t=$(txn_new "$1") || bail "no transaction"
	shift 2
	for group in "$edu" "$edu2" "$@"; do
		stage "$t" "$group" "$type" || bail "group $group cannot be staged"
	done
}
