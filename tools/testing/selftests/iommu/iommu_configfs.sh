#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Types of default domains, changed in transactions: what is refused, commit, rollback,
# confirm, and the timer. It works on groups none of whose devices has a driver, and
# gives them back the types that they had. IOMMU_GROUPS="<number>..." names others.

sysfs=/sys/kernel/iommu_groups
configfs=/sys/kernel/config/iommu
txn=$configfs/selftest
skip=4

points=0 failed=0

# point STATUS WHAT
point()
{
	points=$((points + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $points $2"
	else
		echo "not ok $points $2"
		failed=$((failed + 1))
		[ ! -e $txn/report ] || sed 's/^/# report: /' $txn/report
	fi
}

# does WHAT COMMAND..., refused WHAT COMMAND...: it succeeds; it fails
does()
{
	what=$1
	shift
	"$@" 2> /dev/null
	point $? "$what"
}

refused()
{
	what=$1
	shift
	! "$@" 2> /dev/null
	point $? "$what"
}

# put FILE VALUE: in one write
put()
{
	echo "$2" 2> /dev/null > "$1"
}

# reads FILE VALUE
reads()
{
	[ "$(cat "$1")" = "$2" ]
}

type_of()
{
	cat $sysfs/"$1"/type
}

# stage GROUP TYPE
stage()
{
	[ -d $txn ] || mkdir $txn
	mkdir $txn/"$1" && put $txn/"$1"/type "$2"
}

# What is left of a transaction that waits or has failed is taken back first.
forget()
{
	[ -d $txn ] || return 0
	case $(cat $txn/state) in
	unconfirmed | failed)
		put $txn/rollback 1 ;;
	esac
	rmdir $txn/[0-9]* 2> /dev/null
	rmdir $txn
}

# The groups that no driver is bound to.
idle_groups()
{
	for dir in "$sysfs"/*/; do
		for device in "$dir"devices/*; do
			[ ! -e "$device/driver" ] || continue 2
		done
		case $(cat "$dir"type) in
		DMA | DMA-FQ | identity)
			basename "$dir" ;;
		esac
	done
}

# change GROUP TIMEOUT: to another type that it can have, to be confirmed within TIMEOUT
change()
{
	was=$(type_of "$1")
	for type in DMA-FQ DMA identity; do
		[ $type != "$was" ] || continue
		stage "$1" $type && put $txn/confirm_timeout "$2" && put $txn/commit 1 && return
		forget
	done
	return 1
}

# waits WANT: until the state is that, for half a minute at most
waits()
{
	tries=60
	until reads $txn/state "$1"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.5
	done
}

names()
{
	does "the version of the interface" reads $configfs/abi 1
	refused "a name with a blank" mkdir "$configfs/a b"
	does "a transaction" mkdir $txn
	does "it is staged" reads $txn/state staged
	refused "the same again" mkdir $txn
	refused "a group that is no number" mkdir $txn/x
	refused "a number with a zero in front" mkdir $txn/00
	refused "a group that is not there" mkdir $txn/2147483647
	refused "a commit of nothing" put $txn/commit 1
	does "it is reported" grep -q "^- - check EINVAL " $txn/report
	refused "a rollback of nothing" put $txn/rollback 1
	forget
}

types()
{
	was=$(type_of "$1")
	does "group $1: staged without a type" mkdir -p $txn/"$1"
	does "group $1: none at first" reads $txn/"$1"/type none
	refused "group $1: a type that there is not" put $txn/"$1"/type dma
	refused "group $1: a commit without a type" put $txn/commit 1
	does "group $1: its type is what it was" reads $sysfs/"$1"/type "$was"
	forget

	for type in identity DMA DMA-FQ; do
		was=$(type_of "$1")
		stage "$1" $type
		if put $txn/commit 1; then
			does "group $1: has $type" reads $sysfs/"$1"/type $type
			does "group $1: committed" reads $txn/state committed
		else
			does "group $1: $type failed, it has $was" reads $sysfs/"$1"/type "$was"
			does "group $1: can be corrected" reads $txn/state staged
		fi
		forget
	done
}

undone()
{
	was=$(type_of "$1")

	does "group $1: another type" change "$1" 0
	does "group $1: rollback" put $txn/rollback 1
	does "group $1: rolled back" reads $txn/state rolled-back
	does "group $1: has $was again" reads $sysfs/"$1"/type "$was"
	refused "group $1: once is enough" put $txn/rollback 1
	forget

	does "group $1: to be confirmed" change "$1" 600
	does "group $1: unconfirmed" reads $txn/state unconfirmed
	does "group $1: time is left" [ "$(cat $txn/remaining)" -gt 0 ]
	rmdir $txn/"$1"
	refused "group $1: cannot be forgotten" rmdir $txn
	does "group $1: confirm" put $txn/confirm 1
	does "group $1: committed" reads $txn/state committed
	does "group $1: rollback after confirm" put $txn/rollback 1
	does "group $1: has $was again" reads $sysfs/"$1"/type "$was"
	forget

	does "group $1: to be taken back in time" change "$1" 600
	put $txn/confirm_timeout 1
	does "group $1: rolled back by the timer" waits rolled-back
	does "group $1: has $was again" reads $sysfs/"$1"/type "$was"
	refused "group $1: confirmed too late" put $txn/confirm 1
	forget
}

together()
{
	was=$(type_of "$1")
	stage "$1" identity
	[ "$was" != identity ] || put $txn/"$1"/type DMA
	mkdir $txn/"$2"
	refused "groups $1 and $2: one has no type" put $txn/commit 1
	does "groups $1 and $2: the other is as it was" reads $sysfs/"$1"/type "$was"
	forget
}

echo "TAP version 13"
[ "$(id -u)" -eq 0 ] || { echo "1..0 # SKIP needs root"; exit $skip; }
[ -d $configfs ] || modprobe -q iommu-configfs
[ -d $configfs ] || { echo "1..0 # SKIP no $configfs"; exit $skip; }
[ ! -d $txn ] || { echo "Bail out! $txn is there already"; exit 1; }

names
# shellcheck disable=SC2046,SC2086 # a word each
set -- ${IOMMU_GROUPS:-$(idle_groups)}
if [ $# -gt 0 ]; then
	boot=$(type_of "$1")
	types "$1"
	undone "$1"
	if [ "$(type_of "$1")" != "$boot" ]; then
		stage "$1" "$boot"
		put $txn/commit 1
		forget
	fi
	does "group $1: has $boot as before" reads $sysfs/"$1"/type "$boot"
else
	points=$((points + 1))
	echo "ok $points groups # SKIP every group has a driver bound"
fi
[ $# -lt 2 ] || together "$1" "$2"

echo "1..$points"
[ $failed -eq 0 ]
