#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Each allocation that the module makes for a call of user space fails once: when it is
# loaded, for each verb of a transaction, and where a standing rule meets a device. The call
# fails and leaves nothing, or goes on without.
#
# machines: mock
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

FAILSLAB=/sys/kernel/debug/failslab
STANDING=$CONFIGFS/standing

load_module
[ -e $FAILSLAB/require-start ] || skip_all "this kernel has no failslab with a stack filter"

# nth VERB FILE [TEXT]: with the $n-th allocation failing. Sets $result, and $more where
# that one has come, so that there may be another one.
nth()
{
	local said
	said=$(try -f $n "$@") || bail "try: $said"
	result=${said% *}
	[ "${said#* }" = 0 ] && more=yes || more=
	case $result,$more in
	0,yes)		spared=$((spared + 1)) ;;
	0,|ENOMEM,yes)	;;
	*)		[ "$also,$more" = "$result,yes" ] || wrong "$result" ;;
	esac
}

wrong()
{
	odd="$odd $n:$*"
}

# all_old, all_new: both groups have that type, and all devices their driver.
all_old()
{
	[ "$(mock_now 0 1)" = "$before" ]
}

all_new()
{
	[ "$(mock_now 0 1)" = "$after" ]
}

# each "what" FUNCTION [ERRNO]: calls it with n = 1, 2, ... as long as that has an effect;
# ERRNO is what a call may fail with beside ENOMEM.
each()
{
	odd='' also=${3-} n=0 more=yes spared=0
	while [ -n "$more" ] && [ $n -lt 400 ]; do
		n=$((n + 1))
		"$2"
	done
	check_eq "$1: one after the other fails" "$odd" ""
	check "$1: there were some, and an end to them" test $n -gt 1 -a $n -lt 400
	say "$1: $((n - 1)) allocations, $spared of which it can do without"
}

# The module.
load()
{
	nth insmod "$module" standing=1
	if [ "$result" = 0 ]; then
		[ -d $STANDING ] || wrong "has no rules"
		rmmod iommu_configfs || wrong "stays"
	fi
	[ ! -e /sys/module/iommu_configfs ] && [ ! -e $CONFIGFS ] || wrong "leaves something"
	[ -z "$(find /sys/devices /sys/class/devlink -maxdepth 1 -name '*iommu-configfs*')" ] ||
		wrong "leaves a device"
}

# Directories.
new_txn()
{
	nth mkdir "$CONFIGFS/a-name-that-is-longer-than-configfs-has-room-for"
	[ "$result" != 0 ] || rmdir "$CONFIGFS/a-name-that-is-longer-than-configfs-has-room-for"
	[ "$(ls $CONFIGFS | xargs)" = "abi generation standing" ] || wrong "leaves a directory"
}

new_group()
{
	nth mkdir "$t/$g0"
	[ "$result" != 0 ] || rmdir "$t/$g0"
	[ ! -d "$t/$g0" ] || wrong "leaves a directory"
}

new_rule()
{
	nth mkdir "$STANDING/a-name-that-is-longer-than-configfs-has-room-for"
	[ "$result" != 0 ] || rmdir "$STANDING/a-name-that-is-longer-than-configfs-has-room-for"
}

patterns()
{
	nth write "$STANDING/r/device" "mock.* b c"
	[ "$result" = 0 ] || [ "$(cat "$STANDING/r/device")" = "mock.*" ] || wrong "changed"
	echo "mock.*" > "$STANDING/r/device"
}

# Transactions of two groups.
look()
{
	nth write "$t/check" 1
	all_old && is "$t/state" staged || wrong "$(cat "$t/state")"
}

do_commit()
{
	stage_mock t identity 0 1
	echo "$timeout" > "$t/confirm_timeout"
	nth write "$t/commit" 1
	case $result in
	0)	all_new || wrong "halves" ;;
	*)	all_old && is "$t/state" staged || wrong "$(cat "$t/state")" ;;
	esac
	txn_end "$t"
	all_old || wrong "stays"
}

take_back()
{
	stage_mock t identity 0 1
	echo "$timeout" > "$t/confirm_timeout"
	echo 1 > "$t/commit"
	now=$(cat "$t/state")
	nth write "$t/rollback" 1
	case $result in
	0)	all_old && is "$t/state" rolled-back || wrong "halves" ;;
	*)	all_new && is "$t/state" "$now" || wrong "$(cat "$t/state")" ;;
	esac
	txn_end "$t"
	all_old || wrong "stays"
}

# A device for which there is a rule, in a group of its own.
arrival()
{
	local last id
	nth write $MOCK/create "1 1"
	last=$(tail -n 1 $MOCK/groups | cut -d ' ' -f 1)
	id=$(mock_ids "$last")
	if [ "$(group_type "$id")" != identity ]; then
		grep -q "^$id mock\.[0-9]* [a-z]* ENOMEM " $STANDING/report && [ -n "$more" ] ||
			wrong "$(group_type "$id")"
	fi
	mock_write destroy "group:$last" || wrong "stays"
}

set_faults $FAILSLAB verbose=0 task-filter=N ignore-gfp-wait=N probability=0 times=-1 interval=1 \
	stacktrace-depth=32

# Where the module will be is not known yet: below what calls the functions of modules.
module=$(find /lib/modules -name iommu-configfs.ko)
rmmod iommu_configfs
set -- $(grep ' [tT] ' /proc/kallsyms | sort | grep -A 1 ' do_one_initcall$' | cut -d ' ' -f 1)
set_faults $FAILSLAB require-start="0x$1" require-end="0x$2"
each "loading" load

modprobe iommu-configfs standing=1
fail_below_module
mock_load
mock_create 2 2
before=$(mock_now 0 1)
after=$(echo "$before" | awk '{ $2 = "identity"; print }')
g0=$(mock_ids 0)

each "a transaction" new_txn
t=$(txn_new t)
each "a group" new_group
for id in $(mock_ids 0 1); do
	stage "$t" "$id" identity
done
each "check" look
txn_end "$t"
for timeout in 0 600; do
	each "commit, confirm_timeout $timeout" do_commit ECANCELED
	each "rollback, confirm_timeout $timeout" take_back
done

each "a rule" new_rule
mkdir $STANDING/r
echo platform > $STANDING/r/bus
each "patterns of a rule" patterns
echo identity > $STANDING/r/type
quietly each "a device arrives" arrival
rmdir $STANDING/r

check_mock_clean "at the end"
mock_end
check "the module unloads" rmmod iommu_configfs
set_faults $FAILSLAB require-start=0 require-end=0xffffffffffffffff
finish
