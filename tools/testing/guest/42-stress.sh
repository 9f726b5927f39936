#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Many hands do whatever they like to a few transactions of the same groups for
# a while, and devices misbehave meanwhile. Nothing must hang or break, and in
# the end every group can be brought back.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240
# races: yes
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh

SECONDS_LONG=20

edu_setup
nic_driver=$(driver_of "$(dev disk2 1)")
disk2=$(group_of disk2)
wait_disk "$(dev disk2 0)" >/dev/null
before=$(groups_now "$edu" "$edu2" "$disk2")

generation=$(cat $CONFIGFS/generation)
: > /tmp/stress
# Somebody unbinds and binds by hand as well, and takes a device away and finds it again.
while [ -e /tmp/stress ]; do
	unbind "$b"
	usleep 200000
	bind "$b" edu_lab
	usleep 200000
	echo 1 > "/sys/bus/pci/devices/$c/remove"
	usleep 100000
	rescan "$c"
done 2> /dev/null &
hand=$!
: > /tmp/counts
rc=0
for round in 1 2 3; do
	hammer $SECONDS_LONG 4 8 "$edu" "$edu2" "$disk2" -- "$EDU/$a/probe_errors" 1 \
		"$EDU/$d/probe_errors" 1 "$EDU/$e/probe_defers" 1 "$EDU/$d/probe_errors" 2 \
		>> /tmp/counts || rc=$?
	# Where the host stood still meanwhile, there was little time for it.
	[ $(($(cat $CONFIGFS/generation) - generation)) -le 8 ] || break
	say "round $round was a short one"
done
check_eq "every action ended as the interface has it" $rc 0
say "$(cat /tmp/counts)"
rm /tmp/stress
wait $hand
commits=$(($(cat $CONFIGFS/generation) - generation))
say "$commits commits and rollbacks touched groups"
check "a fair number of them" test "$commits" -gt 8
check_match "some were done" "$(cat /tmp/counts)" "^commit: 0 [1-9]"
check_match "and some were not" "$(cat /tmp/counts)" "^commit: .*ECANCELED [1-9]"

# No deferral is left over, and no timer.
knobs 0 probe_errors "$a" "$b" "$c" "$d" "$e"
knobs 0 probe_defers "$a" "$b" "$c" "$d" "$e"
at_rest()
{
	! cat $CONFIGFS/*/state 2>/dev/null | grep -qE 'committing|unconfirmed|rolling-back'
}
check "every timer comes to its end" wait_for 60 at_rest
for t in $CONFIGFS/*/; do
	[ -d "$t" ] || continue
	t=${t%/}
	case $(cat "$t/state") in
	staged|committed|rolled-back|failed)
		ok "${t##*/} is $(cat "$t/state")"
		;;
	*)
		not_ok "${t##*/} is $(cat "$t/state")"
		;;
	esac
	echo net block > "$t/allow_in_use"
	[ "$(cat "$t/state")" != failed ] ||
		check_eq "${t##*/} rolls back" "$(write_errno "$t/rollback" 1)" 0
	rmdir "$t"/*/ 2>/dev/null
	check "${t##*/} goes" rmdir "$t"
done
rescan "$c"
edu_mend
[ "$(driver_of "$(dev disk2 0)")" = nvme ] || not_ok "the disk has lost its driver"
[ "$(driver_of "$(dev disk2 1)")" = "$nic_driver" ] || not_ok "the interface has lost its driver"
wait_disk "$(dev disk2 0)" >/dev/null
wait_nic "$(dev disk2 1)" >/dev/null

# One commit to the type of the boot; each group can still be had.
stage_edu mend "$boot" "$disk2"
check_eq "one commit brings back all" "$(write_errno "$t/commit" 1)" 0
check_eq "its report is empty" "$(report "$t")" ""
check_as_before "types and drivers are as before" "$before" "$edu" "$edu2" "$disk2"
rmdir "$t"/*/ "$t"

edu_end
check "the module unloads" rmmod iommu-configfs
load_module
finish
