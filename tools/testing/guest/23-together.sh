#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# How a commit goes about it: releases and probes side by side, within a group and
# across groups; everybody gets the driver that they had, and who had none gets
# none; transactions on different groups do not wait for each other.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240
# races: yes
# klog-allow: waiting for over 10 s

. /lab/lib.sh

load_module
edu_load
group=$(group_of edu)
group2=$(group_of edu2)
a=$(dev edu 0)
b=$(dev edu 1)
c=$(dev edu 2)
d=$(dev edu2 0)
e=$(dev edu2 1)
was=$(group_type "$group")
was2=$(group_type "$group2")
before=$(drivers_of "$group")
before2=$(drivers_of "$group2")

# all DOING DEVICE...: all of them are at it, at the same time.
all()
{
	local doing=$1 dev
	shift
	for dev; do
		edu_doing "$dev" "$doing" || return
	done
}

hold()
{
	local knob=$1 value=$2 dev
	for dev in "$a" "$b" "$c" "$d" "$e"; do
		edu_set "$dev" "${knob}_hold" "$value"
	done
}

# start TXN ACTION; ended TXN
start()
{
	rm -f "/tmp/rc.${1##*/}"
	try write "$1/$2" 1 > "/tmp/rc.${1##*/}" &
}

ended()
{
	wait_for 60 test -s "/tmp/rc.${1##*/}"
	cat "/tmp/rc.${1##*/}"
}

t=$(txn_new side)
stage "$t" "$group" identity
stage "$t" "$group2" identity
for action in commit rollback; do
	hold remove 1
	hold probe 1
	start "$t" $action
	check "$action: all devices of both groups are released side by side" \
		wait_for 20 all remove "$a" "$b" "$c" "$d" "$e"
	# One group stays behind: nobody is probed before it.
	for dev in "$a" "$b" "$c" "$d"; do
		edu_set "$dev" remove_hold 0
	done
	check "$action: the others let go" wait_for 20 all - "$a" "$b" "$c" "$d"
	check_eq "$action: the last one holds all up" "$(edu_get "$e" doing)" remove
	check_eq "$action: no group is switched yet" "$(group_type "$group") $(group_type "$group2")" \
		"$(if [ $action = commit ]; then echo "$was $was2"; else echo identity identity; fi)"
	hold remove 0
	check "$action: then all are probed side by side" wait_for 20 all probe "$a" "$b" "$c" "$d" "$e"
	check_eq "$action: with every group switched" "$(group_type "$group") $(group_type "$group2")" \
		"$(if [ $action = commit ]; then echo identity identity; else echo "$was $was2"; fi)"
	check_match "$action: progress tells of the releases" "$(cat "$t/progress")" '^5 10$'
	hold probe 0
	check_eq "$action: ends" "$(ended "$t") $(report "$t")" "0 "
	check_eq "$action: progress" "$(cat "$t/progress")" "10 10"
	check_eq "$action: drivers" "$(drivers_of "$group") $(drivers_of "$group2")" "$before $before2"
done
txn_end "$t"

# Two transactions at once
t=$(txn_new one)
o=$(txn_new two)
stage "$t" "$group" identity
stage "$o" "$group2" identity
hold probe 1
start "$t" commit
start "$o" commit
check "two transactions run side by side" wait_for 20 all probe "$a" "$b" "$c" "$d" "$e"
check_eq "both say so" "$(cat "$t/state") $(cat "$o/state")" "committing committing"
for dev in "$d" "$e"; do
	edu_set "$dev" probe_hold 0
done
check_eq "the second ends first" "$(ended "$o") $(cat "$o/state") $(cat "$t/state")" "0 committed committing"
hold probe 0
check_eq "then the first" "$(ended "$t")" 0
check_eq "both back" "$(write_errno "$t/rollback" 1) $(write_errno "$o/rollback" 1)" "0 0"
txn_end "$t"
txn_end "$o"

# Of two that expect the same generation one gets it.
for n in 1 2 3 4 5 6; do
	t=$(txn_new "first$n")
	o=$(txn_new "second$n")
	stage "$t" "$group" identity
	stage "$o" "$group2" identity
	cat $CONFIGFS/generation > "$t/expected_generation"
	cat $CONFIGFS/generation > "$o/expected_generation"
	start "$t" commit
	start "$o" commit
	check_eq "one of two commits that expect the same generation" \
		"$(printf '%s\n%s\n' "$(ended "$t")" "$(ended "$o")" | sort | xargs)" "0 ESTALE"
	for txn in "$t" "$o"; do
		[ "$(cat "$txn/state")" = staged ] || write_errno "$txn/rollback" 1 > /dev/null
		rmdir "$txn"/[0-9]* "$txn"
	done
	check_eq "and back" "$(group_type "$group") $(group_type "$group2")" "$was $was2"
done

# Of two that want the same group one gets it.
for n in 1 2 3; do
	t=$(txn_new "first$n")
	o=$(txn_new "second$n")
	stage "$t" "$group" identity
	stage "$o" "$group" identity
	hold probe 1
	start "$t" commit
	start "$o" commit
	wait_for 20 all probe "$a" "$b" "$c" || say "no probe"
	wait_for 20 sh -c "cat /tmp/rc.first$n /tmp/rc.second$n | grep -q EBUSY"
	hold probe 0
	check_eq "one of two commits of the same group" \
		"$(printf '%s\n%s\n' "$(ended "$t")" "$(ended "$o")" | sort | xargs)" "0 EBUSY"
	if [ "$(cat "$t/state")" = staged ]; then loser=$t winner=$o; else loser=$o winner=$t; fi
	check_match "the other is told who" "$(report "$loser")" "^$group - check EBUSY .*\<${winner##*/}\>"
	write_errno "$winner/rollback" 1 > /dev/null
	rmdir "$t/$group" "$o/$group" "$t" "$o"
done

# Who had no driver gets none, who had another than the usual keeps it.
unbind "$b"
override "$c" edu_lab_managed
echo > "/sys/bus/pci/devices/$c/driver_override"
override "$d" ""
t=$(txn_new drivers)
stage "$t" "$group" identity
stage "$t" "$group2" identity
now="$(drivers_of "$group") $(drivers_of "$group2")"
check_match "one has none, one another" "$now" "$b=- $c=edu_lab_managed"
check_eq "commit" "$(write_errno "$t/commit" 1) $(drivers_of "$group") $(drivers_of "$group2")" "0 $now"
check_eq "none is no problem" "$(report "$t")" ""
check_eq "rollback" "$(write_errno "$t/rollback" 1) $(drivers_of "$group") $(drivers_of "$group2")" "0 $now"
check_eq "none is no problem then" "$(report "$t")" ""
edu_set "$a" probe_errors 1
rmdir "$t/$group" "$t/$group2" "$t"
t=$(txn_new drivers)
stage "$t" "$group" identity
check_eq "a commit that fails" "$(write_errno "$t/commit" 1) $(drivers_of "$group")" "ECANCELED ${now% $d*}"
txn_end "$t"
unbind "$c"
bind "$c" edu_lab
bind "$b" edu_lab

# A group all of whose devices have no driver changes as well.
for dev in "$a" "$b" "$c"; do unbind "$dev"; done
t=$(txn_new none)
stage "$t" "$group" identity
check_eq "a group without drivers" "$(write_errno "$t/commit" 1) $(group_type "$group") $(status "$t" "$group")" \
	"0 identity changed"
check_eq "gets none" "$(drivers_of "$group") $(cat "$t/progress")" "$a=- $b=- $c=- 0 0"
check_eq "and goes back" "$(write_errno "$t/rollback" 1) $(group_type "$group") $(drivers_of "$group")" \
	"0 $was $a=- $b=- $c=-"
txn_end "$t"
for dev in "$a" "$b" "$c"; do bind "$dev" edu_lab; done

# A device that is waited for over 10 s is named, while the commit waits.
named()
{
	grep -qE "^$group $a $1 EINPROGRESS ." "$t/report"
}

t=$(txn_new slow)
stage "$t" "$group" identity
edu_set "$a" remove_hold 1
start "$t" commit
check "a slow release is named" wait_for 40 named release
check_eq "while the commit waits" "$(cat "$t/state") $(edu_get "$a" doing)" "committing remove"
edu_set "$a" probe_hold 1
edu_set "$a" remove_hold 0
check "so is a slow probe" wait_for 40 named probe
check_eq "while it waits on" "$(cat "$t/state") $(edu_get "$a" doing)" "committing probe"
check_eq "it is the only one" "$(cut -d' ' -f2 "$t/report" | sort -u)" "$a"
check_match "its group's status has it, too" "$(sed 1d "$t/$group/status")" "^$group $a probe EINPROGRESS "
edu_set "$a" probe_hold 0
check_eq "it is no failure" "$(ended "$t") $(cat "$t/state") $(head -n 1 "$t/$group/status")" "0 committed changed"
check "the report keeps it" named probe
check_eq "back" "$(write_errno "$t/rollback" 1) $(report "$t")" "0 "
txn_end "$t"
edu_unload
finish
