#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The confirm timer against a confirm, a rollback and a new countdown that come
# at the same moment: one of them wins, never both, never none.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180
# races: yes

. /lab/lib.sh
. /lab/tests/faults.sh

# settled TXN: out of unconfirmed and rolling-back.
settled()
{
	case $(cat "$1/state") in
	unconfirmed|rolling-back)
		return 1
		;;
	esac
}

edu_setup
before=$(groups_now "$edu" "$edu2")
after=$(echo "$before" | sed "s/ $boot / identity /")

# race ACTION DELAY: ACTION comes DELAY ms after a countdown of one second began.
race()
{
	stage_edu race identity
	echo 600 > "$t/confirm_timeout"
	write_errno "$t/commit" 1 > /tmp/committed
	[ "$(cat /tmp/committed)" = 0 ] || { not_ok "committed"; return; }
	start tick "$t/confirm_timeout"
	usleep "$2"
	start race "$t/$1"
	ended tick > /dev/null
	result=$(ended race)
	wait_for 30 settled "$t"
	state=$(cat "$t/state")
	now=$(groups_now "$edu" "$edu2")
}

# What confirm returns, the state and the groups go together.
confirms=0
rollbacks=0
for ms in 0 500 900 950 980 1000 1010 1020 1050 1100 1300; do
	race confirm ${ms}000
	case $result-$state in
	0-committed)
		confirms=$((confirms + 1))
		check_eq "confirm at $ms ms came first" "$now" "$after"
		check_eq "confirm at $ms ms: it rolls back" "$(write_errno "$t/rollback" 1)" 0
		;;
	EBUSY-rolled-back)
		rollbacks=$((rollbacks + 1))
		check_eq "confirm at $ms ms came late" "$now" "$before"
		;;
	*)
		not_ok "confirm at $ms ms: returned $result, state $state"
		say "$(report "$t")"
		;;
	esac
	txn_end "$t"
done
say "$confirms confirms came first, $rollbacks timers"

# A rollback and the timer: done once, whoever does it.
for ms in 0 900 980 1000 1020 1050 1100; do
	generation=$(cat $CONFIGFS/generation)
	race rollback ${ms}000
	case $result-$state in
	0-rolled-back|EBUSY-rolled-back)
		check_eq "rollback at $ms ms: as before" "$now" "$before"
		check_eq "rollback at $ms ms: once" "$(cat $CONFIGFS/generation)" $((generation + 2))
		;;
	*)
		not_ok "rollback at $ms ms: returned $result, state $state"
		say "$(report "$t")"
		;;
	esac
	txn_end "$t"
done

# Confirm and rollback at once.
for n in 1 2 3 4 5 6; do
	stage_edu both identity
	echo 600 > "$t/confirm_timeout"
	write_errno "$t/commit" 1 > /dev/null
	if [ $((n % 2)) = 0 ]; then
		start one "$t/confirm"
		start two "$t/rollback"
	else
		start two "$t/rollback"
		start one "$t/confirm"
	fi
	result=$(ended one)-$(ended two)
	case $result in
	0-0|EBUSY-0)
		check_eq "confirm and rollback $n: $result, rolled back" "$(cat "$t/state")" rolled-back
		;;
	0-EBUSY)
		check_eq "confirm and rollback $n: $result, committed" "$(cat "$t/state")" committed
		;;
	*)
		not_ok "confirm and rollback $n: returned $result"
		;;
	esac
	txn_end "$t"
done
check_as_before "as before" "$before" "$edu" "$edu2"

# A timer that comes due while a rollback by hand is being refused: for two seconds that
# one looks at a disk which is open. The timer follows it.
disk2=$(group_of disk2)
nvme=$(dev disk2 0)
disk2_before=$(groups_now "$disk2")
t=$(txn_new refused)
stage "$t" "$disk2" identity
echo 600 > "$t/confirm_timeout"
wait_disk "$nvme" > /dev/null
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
pid=$(hold_open "/dev/$(wait_disk "$nvme")" rw)
echo 1 > "$t/confirm_timeout"
check_eq "a rollback by hand while the time runs out" "$(write_errno "$t/rollback" 1)" EBUSY
check "is followed by that of the timer" wait_for 30 settled "$t"
check_state "which finds the disk open as well" "$t" failed
let_go "$pid"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "as before" "$(groups_now "$disk2")" "$disk2_before"
txn_end "$t"
wait_disk "$nvme" > /dev/null

# A countdown that starts anew again and again does not come due.
stage_edu anew identity
echo 3 > "$t/confirm_timeout"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
for n in 1 2 3 4 5; do
	usleep 800000
	echo 600 > "$t/confirm_timeout"
done
check_state "started anew, it waits on" "$t" unconfirmed
check_eq "confirmed" "$(write_errno "$t/confirm" 1)" 0
check_eq "a late confirm" "$(write_errno "$t/confirm" 1)" EBUSY
check_eq "a late countdown" "$(write_errno "$t/confirm_timeout" 1)" EBUSY
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# The way back is as slow as its devices; the state says so, readers and rmdir do not wait.
stage_edu slow identity
echo 600 > "$t/confirm_timeout"
check_eq "committed" "$(write_errno "$t/commit" 1)" 0
edu_set "$a" remove_hold 1
echo 1 > "$t/confirm_timeout"
check "the timer fires" wait_for 30 is "$t/state" rolling-back
check_eq "too late to confirm" "$(write_errno "$t/confirm" 1)" EBUSY
check_eq "or to roll back" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "or to count" "$(write_errno "$t/confirm_timeout" 9)" EBUSY
check_eq "rmdir" "$(try rmdir "$t")" EBUSY
check_eq "its files can be read" \
	"$(try read "$t/report") $(try read "$t/$edu/status") $(try read "$t/$edu/devices")" "0 0 0"
other=$(txn_new other)
stage "$other" "$edu" DMA
check_eq "its groups are its own" "$(write_errno "$other/commit" 1)" EBUSY
txn_end "$other"
rmdir "$t/$edu2"
edu_set "$a" remove_hold 0
check "it ends" wait_for 30 is "$t/state" rolled-back
check_as_before "as before, with the group that went out of sight" "$before" "$edu" "$edu2"
txn_end "$t"

edu_end
finish
