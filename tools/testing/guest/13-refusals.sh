#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# What check and commit refuse, row by row of the table in the ABI, which row wins
# where several apply, that every problem is reported, and that nothing is touched.
# Rows that need a disk, an interface or an owner have tests of their own.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180

. /lab/lib.sh

LINE='^(-|[0-9]+) [^ ]+ (check|release|switch|probe|verify|restore) E[A-Z0-9]+ .*[^ ]$'

load_module
edu_load
edu=$(group_of edu)
edu2=$(group_of edu2)
nics=$(group_of vfio)
nic=$(wait_nic "$(dev vfio 0)") || bail "no interface"
before=$(drivers_of "$edu")
was=$(group_type "$edu")

# both TXN ERRNO WHAT: check and commit are refused so, in state staged, with nothing touched.
both()
{
	local action generation
	generation=$(cat $CONFIGFS/generation)
	for action in check commit; do
		check_eq "$3: $action" "$(write_errno "$1/$action" 1)" "$2"
		check_eq "$3: still staged after $action" "$(cat "$1/state")" staged
		check_eq "$3: the lines are in form" "$(grep -cvE "$LINE" "$1/report")" 0
	done
	check_eq "$3: the generation stays" "$(cat $CONFIGFS/generation)" "$generation"
}

# reports TXN WHAT REGEX
reports()
{
	check_match "$2 is reported" "$(report "$1")" "$3"
}

echo > $EDU/events

# EACCES: the first row, before the word and the state. The report stays as it was.
t=$(txn_new caps)
check_eq "something to report" "$(write_errno "$t/check" 1)" EINVAL
report=$(report "$t")
check_match "is reported" "$report" '^- - check EINVAL .'
for action in check commit confirm rollback; do
	for how in "-d sys_admin" "-d sys_rawio" "-U" "-d sys_admin -d sys_rawio"; do
		# shellcheck disable=SC2086 # options
		check_eq "$action with $how" "$(try $how write "$t/$action" 1)" EACCES
		# shellcheck disable=SC2086
		check_eq "$action with $how, a bad word" "$(try $how write "$t/$action" x)" EACCES
	done
	check_eq "$action of another user" "$(try -u 65534 write "$t/$action" 1)" EACCES
	check_eq "$action: the report stays" "$(report "$t")" "$report"
done
# Who can open the file already is asked again when it writes.
check_eq "the writer's capabilities count, whoever opened" \
	"$(try -d sys_rawio run sh -c 'echo 1 >&3 && echo 0 || echo refused' 3> "$t/check" 2>/dev/null)" refused
check_eq "the report stays then, too" "$(report "$t")" "$report"

# Staging needs file permissions only.
for how in "-d sys_admin" "-d sys_rawio" "-U" "-d sys_admin -d sys_rawio"; do
	# shellcheck disable=SC2086
	{
		check_eq "mkdir with $how" "$(try $how mkdir "$t/$edu")" 0
		check_eq "a type with $how" "$(try $how write "$t/$edu/type" identity)" 0
		check_eq "a timeout with $how" "$(try $how write "$t/confirm_timeout" 5)" 0
		check_eq "a generation with $how" "$(try $how write "$t/expected_generation" 9)" 0
		check_eq "a word to allow with $how" "$(try $how write "$t/allow_in_use" net)" 0
		check_eq "rmdir with $how" "$(try $how rmdir "$t/$edu")" 0
	}
	echo 0 > "$t/confirm_timeout"
	echo 0 > "$t/expected_generation"
	echo > "$t/allow_in_use"
done
check_eq "another user has no permission" "$(try -u 65534 mkdir "$t/$edu")" EACCES
check_eq "but with capabilities may" "$(try -u 65534 -k write "$t/check" 1)" EINVAL
txn_end "$t"

# ESTALE
t=$(txn_new stale)
generation=$(cat $CONFIGFS/generation)
stage "$t" "$edu" identity
for wrong in $((generation + 1)) 18446744073709551615; do
	echo "$wrong" > "$t/expected_generation"
	both "$t" ESTALE "generation $wrong"
	reports "$t" "generation $wrong" '^- - check ESTALE .'
done
echo "$generation" > "$t/expected_generation"
check_eq "with the right generation it passes" "$(write_errno "$t/check" 1)" 0
check_eq "and reports nothing" "$(report "$t")" ""
check_eq "0 is not checked" "$(echo 0 > "$t/expected_generation"; write_errno "$t/check" 1)" 0

# ESTALE goes before what is staged, and both are reported.
echo $((generation + 1)) > "$t/expected_generation"
mkdir "$t/$edu2"
both "$t" ESTALE "a wrong generation and no type"
reports "$t" "the generation" '^- - check ESTALE .'
reports "$t" "the group without a type" "^$edu2 - check EINVAL ."
rmdir "$t/$edu" "$t/$edu2"
both "$t" ESTALE "a wrong generation and nothing staged"
echo 0 > "$t/expected_generation"

# EINVAL
both "$t" EINVAL "nothing staged"
reports "$t" "that nothing is staged" '^- - check EINVAL .'
mkdir "$t/$edu"
both "$t" EINVAL "no type"
reports "$t" "the group without a type" "^$edu - check EINVAL ."
check_match "its status has the line, too" "$(sed 1d "$t/$edu/status")" "^$edu - check EINVAL ."
check_eq "the status word stays" "$(head -n 1 "$t/$edu/status")" staged
stage "$t" "$edu2" identity
both "$t" EINVAL "one of two has no type"
check_eq "only that one is reported" "$(cut -d' ' -f1 "$t/report" | xargs)" "$edu"
check_eq "the other's status has no line" "$(status "$t" "$edu2")" staged
echo identity > "$t/$edu/type"
check_eq "corrected it passes" "$(write_errno "$t/check" 1)" 0
check_eq "and its report is replaced" "$(report "$t")" ""
check_eq "also in status" "$(status "$t" "$edu")" staged
check_eq "a check leaves the groups alone" "$(group_type "$edu") $(drivers_of "$edu")" "$was $before"
check_eq "no driver was bothered by all of that" "$(cat $EDU/events)" ""
txn_end "$t"

# EBUSY of a running interface: the last row. EINVAL goes before it.
ip link set "$nic" up
t=$(txn_new busy)
stage "$t" "$nics" identity
both "$t" EBUSY "an interface is up"
reports "$t" "the interface" "^$nics $(dev vfio 0) check EBUSY .*$nic"
check_eq "its group's status has the line" "$(sed 1d "$t/$nics/status")" "$(report "$t")"
mkdir "$t/$edu"
both "$t" EINVAL "no type and an interface that is up"
reports "$t" "the interface all the same" "^$nics $(dev vfio 0) check EBUSY ."
reports "$t" "the group without a type" "^$edu - check EINVAL ."
rmdir "$t/$edu"

# ENODEV: a group whose devices are all gone. It keeps its number meanwhile.
emptied()
{
	slot=$(behind 0000:00:03.5)
	check "a NIC is plugged into the empty slot" host device_add e1000e,id=hot0,bus=rp13
	wait_for 30 test -e "/sys/bus/pci/devices/$slot/driver" || bail "no hotplug"
	hot=$(group_of "$slot")
	stage "$t" "$hot" identity
	check_match "its device is listed" "$(cat "$t/$hot/devices")" "^pci $slot e1000e any$"
	unplug hot0 || bail "no unplug"
	check_eq "then it has none" "$(cat "$t/$hot/devices")" ""
	both "$t" ENODEV "a group without devices, and an interface that is up"
	reports "$t" "the empty group" "^$hot - check ENODEV ."
	reports "$t" "the interface as well" "^$nics $(dev vfio 0) check EBUSY ."
	rmdir "$t/$nics"
	both "$t" ENODEV "a group without devices"
	mkdir "$t/$edu"
	both "$t" EINVAL "no type, and a group without devices"
	reports "$t" "the empty group" "^$hot - check ENODEV ."
	reports "$t" "the group without a type" "^$edu - check EINVAL ."
	rmdir "$t/$edu"
	echo $(($(cat $CONFIGFS/generation) + 1)) > "$t/expected_generation"
	both "$t" ESTALE "a wrong generation, and a group without devices"
	reports "$t" "the empty group" "^$hot - check ENODEV ."
	check "another is plugged in" host device_add e1000e,id=hot1,bus=rp13
	wait_for 30 test -e "/sys/bus/pci/devices/$slot/driver" || bail "no hotplug"
	check_not "it does not get the number of a staged group" [ "$(group_of "$slot")" = "$hot" ]
	both "$t" ESTALE "the number is still empty"
	unplug hot1
}
if [ -e /sys/bus/pci/devices/0000:00:03.5 ]; then
	emptied
else
	skip "a group without devices" "the machine has no empty slot"
	rmdir "$t/$nics"
fi
txn_end "$t"
ip link set "$nic" down

# EBUSY of the state goes before the generation, and after the word.
t=$(txn_new state)
stage "$t" "$edu2" "$(group_type "$edu2")"
check_eq "one that changes nothing" "$(write_errno "$t/commit" 1)" 0
check_eq "another word" "$(write_errno "$t/commit" 2)" EINVAL
check_eq "a second commit" "$(write_errno "$t/commit" 1)" EBUSY
txn_end "$t"
t=$(txn_new state2)
stage "$t" "$edu2" identity
cat $CONFIGFS/generation > "$t/expected_generation"
check_eq "one that changes something" "$(write_errno "$t/commit" 1)" 0
check_eq "a second, whose generation has passed" "$(write_errno "$t/commit" 1)" EBUSY
check_eq "a check likewise" "$(write_errno "$t/check" 1)" EBUSY
check_eq "without capabilities" "$(try -d sys_rawio write "$t/commit" 1)" EACCES
check_eq "a rollback does not look at the generation" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# A report that is longer than a page: every group without a type, while another
# transaction, which has all of them, lends it a long name.
long=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._
a=$(txn_new $long)
t=$(txn_new long)
n=0
for dir in "$SYS_GROUPS"/*; do
	group=${dir##*/}
	stage "$a" "$group" "$(group_type "$group")"
	mkdir "$t/$group"
	n=$((n + 1))
done
echo 600 > "$a/confirm_timeout"
check_eq "a commit that finds all groups as they should be" "$(write_errno "$a/commit" 1)" 0
check_eq "and waits to be confirmed" "$(cat "$a/state")" unconfirmed
check_eq "$n groups, each with two problems" "$(write_errno "$t/commit" 1)" EINVAL
cat "$t/report" > /tmp/report
say "$(wc -l < /tmp/report) lines, $(wc -c < /tmp/report) bytes"
if [ $n -gt 20 ]; then
	left=$(sed -n '$s/[^0-9]*\([0-9][0-9]*\).*/\1/p' /tmp/report)
	check "the last line counts what is left out" [ "$(($(wc -l < /tmp/report) - 1 + left))" = $((2 * n)) ]
	check_eq "no line is cut" "$(sed '$d' /tmp/report | grep -cvE "$LINE")" 0
	check_not "the last line is no problem of its own" sh -c "tail -n 1 /tmp/report | grep -qE '$LINE'"
else
	skip "a report that is longer than a page" "the machine has $n groups only"
fi
check_match "a group's status has all of its own" "$(wc -l < "$t/$group/status")" '^3$'
check_eq "undone" "$(write_errno "$a/rollback" 1)" 0
txn_end "$a"
txn_end "$t"

edu_unload
finish
