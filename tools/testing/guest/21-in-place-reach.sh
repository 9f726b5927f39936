#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# What was unmapped under DMA-FQ is out of the device's reach when a switch to DMA, with
# the driver bound, has returned. An edu device writes to such addresses.
#
# machines: vtd
# timeout: 180
# klog-allow: DMAR: .*[Ff]ault

. /lab/lib.sh

load_module
check "the test driver loads" edu_load
group=$(group_of edu2)
edu=$(dev edu2 0)
boot=$(group_type "$group")

# to TYPE: the group has it, by a commit of its own. Prints errno and type.
to()
{
	local t rc
	t=$(txn_new to)
	stage "$t" "$group" "$1"
	rc=$(write_errno "$t/commit" 1)
	echo "$rc $(group_type "$group") $(cat "$t/$group/method")"
	rmdir "$t/$group" "$t"
}

unmapped()
{
	! grep -q '^[^ ]* - ' $EDU/reach
}

# reach COMMAND...: has the device write to unmapped addresses before and after the
# command. Leaves in $reached how many pages it got at, and in $said what the command
# printed.
reach()
{
	echo "$edu" > $EDU/reach
	wait_for 30 unmapped || say "not unmapped in time: $(cat $EDU/reach)"
	said=$("$@")
	# Else the thread did not wait for the command.
	grep -q ' - of ' $EDU/reach || say "too late: $(cat $EDU/reach)"
	echo - > $EDU/reach
	reached=$(cat $EDU/reach)
}

nothing()
{
	:
}

sysfs()
{
	echo "$(write_errno "$SYS_GROUPS/$group/type" "$1") $(group_type "$group")"
}

case $(to DMA) in
"0 DMA "*)	;;
*)		bail "the group cannot have DMA" ;;
esac
reach nothing
check_eq "DMA: mapped pages are reached, unmapped ones are not" "$reached" "4 0 0 of 4"

check_eq "to DMA-FQ" "$(to DMA-FQ)" "0 DMA-FQ in-place"
if ! both_ways; then
	check_eq "this kernel cannot go back below a driver" "$(sysfs DMA)" "EPERM DMA-FQ"
	to "$boot" > /dev/null
	edu_unload
	finish
	exit
fi

# What makes the zeros below worth something.
reach nothing
check_eq "DMA-FQ: unmapped pages are reached as long as nothing is flushed" "$reached" "4 4 4 of 4"

for round in 1 2 3; do
	reach to DMA
	check_eq "$round: a commit to DMA" "$said" "0 DMA in-place"
	check_eq "$round: after it they are not" "$reached" "4 4 0 of 4"
	reach nothing
	check_eq "$round: nor are those unmapped since" "$reached" "4 0 0 of 4"
	check_eq "$round: to DMA-FQ again" "$(to DMA-FQ)" "0 DMA-FQ in-place"
	reach nothing
	check_eq "$round: which is lazy again" "$reached" "4 4 4 of 4"
done

reach sysfs DMA
check_eq "a write to the group's sysfs file does the same" "$said $reached" "0 DMA 4 4 0 of 4"
sysfs DMA-FQ > /dev/null

# The queue goes with its domain, stopped or not.
sysfs DMA > /dev/null
check_eq "a domain whose queue was stopped goes" "$(to identity)" "0 identity rebind"
check_eq "one whose queue was never started" "$(to DMA)" "0 DMA rebind"
check_eq "gets one" "$(to DMA-FQ)" "0 DMA-FQ in-place"
reach to DMA
check_eq "which is flushed as well" "$reached" "4 4 0 of 4"

to "$boot" > /dev/null
check_eq "the type is that of the boot" "$(group_type "$group")" "$boot"
edu_unload
finish
