#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Changes the type of IOMMU groups through configfs, all of them or none.
#
#	iommu-type.sh [-n] [-a WORDS] [-c SECONDS] [-g GENERATION] GROUP=TYPE...
#
# -n		only ask whether it would work; touches nothing
# -a WORDS	allow_in_use: "net", "block" or "net block"
# -c SECONDS	the kernel takes the commit back after so many seconds, unless
#		"keep" is typed before
# -g GENERATION	refuse if anything was changed since
#		/sys/kernel/config/iommu/generation had this value; by default
#		since this script began
#
# Exit status: 0 done; 1 not done, and every group is as before; 2 wrong usage;
# 3 something could not be put back, and the transaction is kept for a retry;
# 129, 130, 143 ended by a signal, perhaps after the change.
#
# Needs nothing but a POSIX shell. Documentation/ABI/testing/configfs-iommu
# describes every file that is used here.
set -eu

root=/sys/kernel/config/iommu
txn=

usage()
{
	echo "usage: ${0##*/} [-n] [-a WORDS] [-c SECONDS] [-g GENERATION] GROUP=TYPE..." >&2
	exit 2
}

say()
{
	echo "${0##*/}: $*" >&2
}

# put FILE TEXT: one write(2) of TEXT. By way of cat, since not every shell's
# echo tells what a write failed with, and stdio might try a second time.
put()
{
	echo "$2" | cat > "$1"
}

state()
{
	cat "$txn/state"
}

# Why something was refused or failed: "<group> <device> <phase> <errno> <why>".
report()
{
	sed 's/^/	/' "$txn/report" >&2
}

# Until nothing runs in the transaction and no timer does.
wait_settled()
{
	while :; do
		case $(state) in
		committing|unconfirmed|rolling-back)	sleep 1 ;;
		*)					return ;;
		esac
	done
}

# Takes an unconfirmed commit back now, or else waits until the kernel does: what
# refuses a rollback by hand, such as an interface that is up, does not stop the
# kernel's timer.
take_back()
{
	if ! put "$txn/rollback" 1 2> /dev/null && [ "$(state)" = unconfirmed ]; then
		say "cannot be taken back by hand:"
		report
		say "waiting for the kernel, $(cat "$txn/confirm_timeout") seconds at the most"
	fi
	wait_settled
}

# However this ends, also by a signal: no commit is left in between, and no
# directory is left behind, but that of a transaction that still has to undo
# something. A signal does not stop a commit; the kernel brings it to its end.
cleanup()
{
	status=$?
	trap '' HUP INT TERM
	trap - EXIT
	if [ -n "$txn" ] && [ -d "$txn" ]; then
		[ "$(state)" != unconfirmed ] || take_back
		wait_settled
		if [ "$(state)" = failed ]; then
			say "not everything could be put back:"
			report
			say "repair what the report names, then: echo 1 > $txn/rollback"
			exit 3
		fi
		# One that is done is not undone by removing its directory.
		for dir in "$txn"/*/; do
			[ ! -d "$dir" ] || rmdir "$dir"
		done
		rmdir "$txn"
	fi
	exit "$status"
}

check_only=
allow=
confirm=0
generation=
while getopts na:c:g: option; do
	case $option in
	n)	check_only=1 ;;
	a)	allow=$OPTARG ;;
	c)	confirm=$OPTARG ;;
	g)	generation=$OPTARG ;;
	*)	usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
for pair; do
	case $pair in
	*/*)	usage ;;
	?*=?*)	;;
	*)	usage ;;
	esac
done

if [ ! -d "$root" ]; then
	say "no $root: is configfs mounted, and iommu-configfs loaded?"
	exit 1
fi

# First of all, so that whatever is read later cannot change unnoticed.
[ -n "$generation" ] || generation=$(cat "$root/generation")

trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Staging. The kernel looks at every word, and refuses what it does not know.
txn=$root/iommu-type.$$
mkdir "$txn" || { txn=; exit 1; }
put "$txn/expected_generation" "$generation" || exit 1
put "$txn/confirm_timeout" "$confirm" || exit 1
put "$txn/allow_in_use" "$allow" || exit 1
for pair; do
	group=${pair%%=*}
	mkdir "$txn/$group" || { say "cannot stage group $group"; exit 1; }
	put "$txn/$group/type" "${pair#*=}" || { say "group $group cannot have ${pair#*=}"; exit 1; }
	echo "group $group: $(cat "$txn/$group/current_type") -> ${pair#*=}"
	sed 's/^/	/' "$txn/$group/devices"
done

if [ -n "$check_only" ]; then
	put "$txn/check" 1 || { report; exit 1; }
	echo "it would be tried; nothing was touched"
	exit 0
fi

put "$txn/commit" 1 || { [ "$(state)" = failed ] || report; exit 1; }
# A commit that is done may still have something to tell.
report

if [ "$(state)" = unconfirmed ]; then
	echo "done for now; type \"keep\" within $confirm seconds to keep it"
	answer=
	read -r answer || :
	if [ "$answer" != keep ]; then
		take_back
		[ "$(state)" = failed ] || say "taken back"
		exit 1
	fi
	put "$txn/confirm" 1 || { wait_settled; say "too late, it was taken back"; exit 1; }
fi

for pair; do
	group=${pair%%=*}
	echo "group $group: $(cat "$txn/$group/current_type"), $(sed q "$txn/$group/status")"
done
