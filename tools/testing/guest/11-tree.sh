#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tree: which directories and files there are, who may open them how, what
# they hold at first, which names are taken, and that reading is always whole lines.
#
# machines: vtd virtio-iommu smmuv3 amd
# timeout: 120

. /lab/lib.sh

# entries DIR: "MODE NAME" of each, sorted by name, in one line.
entries()
{
	(cd "$1" && stat -c '%n=%a' -- * | sort | xargs)
}

# whole FILE: it reads as empty, or as lines that all end in a newline.
whole()
{
	cat "$1" > /tmp/whole || return
	[ ! -s /tmp/whole ] || [ "$(tail -c 1 /tmp/whole | od -An -tx1 | tr -d ' ')" = 0a ]
}

# Afresh, whatever ran on this boot before.
[ ! -d $CONFIGFS ] || rmmod iommu_configfs
check_not "without the module there is no tree" test -e $CONFIGFS
check "it loads" modprobe iommu-configfs
check_eq "the top" "$(entries $CONFIGFS)" "abi=444 generation=444"
check_eq "abi" "$(od -An -c $CONFIGFS/abi | tr -d ' ')" '1\n'
check_eq "generation starts at 1" "$(od -An -c $CONFIGFS/generation | tr -d ' ')" '1\n'
check_eq "abi cannot be written" "$(write_errno $CONFIGFS/abi 2)" EACCES
check_eq "nor can generation" "$(write_errno $CONFIGFS/generation 2)" EACCES

# Names
long=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-
for name in a 0 - _ .a a.b_C-9 ... -rf Standing standing. standing2 $long; do
	check_eq "a transaction \"$name\"" "$(try mkdir "$CONFIGFS/$name")" 0
	check_eq "\"$name\" once" "$(try mkdir "$CONFIGFS/$name")" EEXIST
	check_eq "\"$name\" goes" "$(try rmdir "$CONFIGFS/$name")" 0
done
tab=$(printf 'a\tb')
newline=$(printf 'a\nb')
for name in standing "${long}x" "$long$long$long" 'a b' ' ' a: a+b 'a,b' a@b 'a*' é "$tab" \
		"$newline" 'a\b' '~' 'a=b' '#'; do
	check_eq "no transaction \"$name\"" "$(try mkdir "$CONFIGFS/$name")" EINVAL
	check_not "and no directory" test -e "$CONFIGFS/$name"
done
check_eq "the last byte counts, too" "$(try mkdir "$CONFIGFS/$(printf 'a\n.')")" EINVAL
check_eq "also a newline there" "$(try mkdir "$CONFIGFS/a
")" EINVAL

for name in abi generation; do
	check_eq "nor one with the name of a file, $name" "$(try mkdir "$CONFIGFS/$name")" EEXIST
done

# A transaction
t=$(txn_new tree)
check_eq "a transaction's files" "$(entries "$t")" \
	"allow_in_use=644 check=200 commit=200 confirm=200 confirm_timeout=644 disruption=644 expected_generation=644 progress=444 remaining=444 report=444 rollback=200 state=444 step_timeout=644"
check_eq "state at first" "$(cat "$t/state")" staged
check_eq "progress at first" "$(cat "$t/progress")" "0 0"
check_eq "report at first" "$(wc -c < "$t/report")" 0
check_eq "expected_generation at first" "$(cat "$t/expected_generation")" 0
check_eq "allow_in_use at first" "$(wc -c < "$t/allow_in_use")" 0
check_eq "confirm_timeout at first" "$(cat "$t/confirm_timeout")" 0
check_eq "remaining at first" "$(cat "$t/remaining")" 0
check_eq "step_timeout at first" "$(cat "$t/step_timeout")" 120
check_eq "disruption at first" "$(cat "$t/disruption")" rebind
for file in state progress report remaining; do
	check_eq "$file cannot be written" "$(write_errno "$t/$file" 1)" EACCES
done
for file in check commit confirm rollback; do
	check_eq "$file cannot be read" "$(try read "$t/$file")" EACCES
done
for file in state progress report expected_generation allow_in_use confirm_timeout disruption \
		step_timeout remaining; do
	check "$file reads as lines" whole "$t/$file"
done

# Groups: each one that there is, by its canonical number only
for name in 05 00 +5 -1 x 5x x5 '5 ' ' 5' 0x5 5.0 1e1 -0 \
		"5
" state2 .5 five; do
	check_eq "no group \"$name\"" "$(try mkdir "$t/$name")" EINVAL
done
check_eq "a group that is not there" "$(try mkdir "$t/99999")" ENOENT
for name in 2147483647 2147483648 4294967296 18446744073709551616 99999999999999999999999; do
	check_eq "nor $name, which is canonical all the same" "$(try mkdir "$t/$name")" ENOENT
done

for dir in "$SYS_GROUPS"/*; do
	group=${dir##*/}
	check_eq "group $group" "$(try mkdir "$t/$group")" 0
	check_eq "$group: current_type is what sysfs has" "$(cat "$t/$group/current_type")" \
		"$(group_type "$group")"
	for device in "$dir"/devices/*; do
		driver=$(readlink "$device/driver") || driver=-
		echo "$(basename "$(readlink -f "$device/subsystem")") ${device##*/} ${driver##*/}"
	done | sort > /tmp/want
	check_eq "$group: devices are all there, with their drivers" \
		"$(sed 's/ [^ ]*$//' "$t/$group/devices" | sort)" "$(cat /tmp/want)"
	check_eq "$group: devices have four words" \
		"$(grep -cvE '^[^ ]+ [^ ]+ [^ ]+ (any|identity|DMA)$' "$t/$group/devices")" 0
	check "$group: all files are lines" eval \
		"whole $t/$group/current_type && whole $t/$group/devices && whole $t/$group/status &&
		whole $t/$group/method"
done
check_eq "a group's files" "$(entries "$t/$group")" \
	"current_type=444 devices=444 method=444 status=444 type=644"
check_eq "type at first" "$(cat "$t/$group/type")" none
check_eq "status at first" "$(status "$t" "$group")" staged
check_eq "method at first" "$(cat "$t/$group/method")" none
for file in current_type devices method status; do
	check_eq "$file cannot be written" "$(write_errno "$t/$group/$file" DMA)" EACCES
done
check_eq "a group once in a transaction" "$(try mkdir "$t/$group")" EEXIST
other=$(txn_new tree2)
check_eq "but also in another" "$(try mkdir "$other/$group")" 0
check_eq "a transaction with a group stays" "$(try rmdir "$other")" ENOTEMPTY
check_eq "the group goes" "$(try rmdir "$other/$group")" 0
check_eq "then the transaction, too" "$(try rmdir "$other")" 0
check_not "and is gone" test -e "$other"

check "all groups go again" rmdir "$t"/[0-9]*
check_eq "none is left" "$(find "$t" -mindepth 1 -type d | wc -l)" 0
check_eq "a group that left can come back" "$(try mkdir "$t/$group")" 0
check_eq "as new" "$(cat "$t/$group/type")" none

# A transaction pins the module, even an empty one.
check_eq "the module is in use" "$(rmmod iommu_configfs 2>/dev/null && echo gone || echo stays)" stays
txn_end "$t"
check "without transactions it unloads" rmmod iommu_configfs
check_not "and the tree is gone" test -e $CONFIGFS
check "and loads again" modprobe iommu-configfs
check_eq "counting from 1" "$(cat $CONFIGFS/generation)" 1
finish
