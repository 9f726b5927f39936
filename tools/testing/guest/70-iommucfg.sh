#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# iommucfg on the real kernel: every exit code, what it leaves behind, and that
# data and drivers are what they were.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh
. /lab/tests/faults.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"

# No transaction is left.
check_clean()
{
	check_eq "$1: no transaction is left" \
		"$(ls $CONFIGFS | grep -vxE 'abi|generation' | xargs)" ""
}

policy()
{
	cat >/tmp/policy
}

rmmod iommu_configfs 2>/dev/null || :
disk=$(group_of disk)
disk2=$(group_of disk2)
run 0 "show works without the module" show
run 1 "set does not" set "$disk" DMA
check_match "and says how to load it" "$(cat /tmp/err)" "modprobe iommu-configfs"
load_module

# listens PID: the kernel's events (protocol 15) go to that process.
listens()
{
	awk -v pid="$1" '$2 == 15 && $3 == pid { found = 1 } END { exit !found }' /proc/net/netlink
}

# The main job.
edu_setup
before=$(groups_now "$disk" "$disk2")
was=$(group_type "$disk")
dev=$(disk_dev disk)
sum=$(fill "$(disk_of "$dev")" 8 3)
policy <<END
rules = (
  { name = "disks"; match = { path = "*"; device = [ "$dev", "$(disk_dev disk2)" ]; }; type = "identity"; required = true; }
);
END
run 0 "check" check /tmp/policy
run 2 "plan has something to change" plan --json /tmp/policy
check_match "and names the group" "$(cat /tmp/out)" "\"group\": $disk,"
check_match "nothing stands against it" "$(tr -d ' \n' </tmp/out)" '"problems":\[\]'
run 2 "assert" assert /tmp/policy
check_eq "which prints nothing" "$(cat /tmp/out /tmp/err)" ""
check_clean "plan"
iommucfg monitor --json >/tmp/events 2>/dev/null &
monitor=$!
check "monitor listens" wait_for 30 listens $monitor
run 0 "apply" apply --json /tmp/policy
check_match "is committed" "$(cat /tmp/out)" '"result": "committed"'
check_eq "both have the type" "$(group_type "$disk") $(group_type "$disk2")" "identity identity"
check_clean "apply"
wait_disk "$dev" >/dev/null
check_eq "the data is what it was" "$(sum "$(disk_of "$dev")" 8)" "$sum"
wait_for 30 grep -q "\"device\":\"$dev\"" /tmp/events
kill -TERM $monitor
wait $monitor
check_eq "monitor ends well" $? 0
check_match "it saw each device" "$(cat /tmp/events)" "\"device\":\"$dev\".*\"type\":\"identity\".*\"transaction\":\"iommucfg-"
run 0 "apply again has nothing to do" apply --json /tmp/policy
check_match "and says so" "$(cat /tmp/out)" '"result": "nothing-to-do"'
run 0 "assert is content" assert /tmp/policy
run 0 "save" save -o /tmp/saved
run 0 "what was saved is what is there" assert /tmp/saved
run 0 "show knows what is forced" show --json "$disk"
check_match "of each device" "$(cat /tmp/out)" '"required_type": "any"'

# By hand, with a confirm timeout.
run 0 "set, detached" set "$dev" "$was" "$disk2" "$was" --detach --confirm-timeout 600
name=$(tail -n 1 /tmp/out)
check_eq "the last line is the name" "$(cat "$CONFIGFS/$name/state")" unconfirmed
run 3 "another one has to wait" set "$disk" DMA
check_match "for that one" "$(cat /tmp/err)" "$name"
run 2 "plan warns" plan /tmp/policy
check_match "of it" "$(cat /tmp/err)" "$name"
run 0 "status" status --json
check_match "shows it" "$(tr -d ' \n' </tmp/out)" "\"name\":\"$name\",\"state\":\"unconfirmed\""
run 0 "rollback" rollback
check_eq "goes back" "$(group_type "$disk")" identity
check_clean "rollback"
run 0 "set again" set "$disk" "$was" "$disk2" "$was" --detach --confirm-timeout 600 --name again
run 0 "confirm" confirm again
check_clean "confirm"
run 0 "which the history knows then" confirm again
check_as_before "all is as at first" "$before" "$disk" "$disk2"
run 0 "set, to be confirmed" set "$disk" identity --detach --confirm-timeout 600 --name late
run 0 "in a second" extend late 1
wait_for 60 went_back late
run 4 "a confirm after the timer" confirm late
check_clean "the late confirm"
run 4 "waiting, and nobody confirms" set "$disk" identity --confirm-timeout 2
check_clean "waiting"
iommucfg set "$disk" identity --confirm-timeout 600 --name waits >/dev/null 2>&1 </dev/null &
waiter=$!
wait_for 60 is "$CONFIGFS/waits/state" unconfirmed
run 0 "confirmed by another process" confirm waits
wait $waiter
check_eq "which ends the waiting" $? 0
run 0 "and back" set "$disk" "$was"
check_as_before "drivers and types" "$before" "$disk" "$disk2"

# In use.
name=$(wait_disk "$dev")
mkfs.ext4 -q "/dev/$name" 2>/dev/null
mkdir -p /mnt/t
mount -t ext4 "/dev/$name" /mnt/t
run 3 "a mounted disk refuses" set "$disk" identity
check_match "and says where it is mounted" "$(cat /tmp/err)" "/mnt/t"
run 2 "it is left out on request" set "$disk" identity "$disk2" identity --skip-in-use
check_eq "but the other is done" "$(group_type "$disk") $(group_type "$disk2")" "$was identity"
umount /mnt/t
run 0 "the other back" set "$disk2" "$was"
holder=$(hold_open "/dev/$(wait_disk "$dev")" ro)
run 3 "one that is only open, which the kernel knows" set "$disk" identity
check_match "with the kernel's reason" "$(cat /tmp/err)" "open"
run 2 "is left out, too" set "$disk" identity "$disk2" identity --skip-in-use
run 0 "the other back again" set "$disk2" "$was"
run 0 "with its word it goes, in a transaction of its own" \
	set "$disk" identity "$disk2" identity --allow-in-use block --confirm-timeout 900 \
	--detach --name two
check_eq "with that word, and the other without" \
	"$(cat $CONFIGFS/two/allow_in_use)-$(cat $CONFIGFS/two-block/allow_in_use)" "-block"
check_eq "both are done" "$(group_type "$disk") $(group_type "$disk2")" "identity identity"
let_go "$holder"
run 0 "and undone, as one change" rollback two
check_eq "as they were" "$(group_type "$disk") $(group_type "$disk2")" "$was $was"
check_clean "a change of two"
nic=$(nic_of "$(dev disk 1)")
ip link set "$nic" up
run 3 "a running interface refuses" set "$disk" identity
run 0 "unless net is allowed" set "$disk" identity --allow-in-use net
wait_nic "$(dev disk 1)" >/dev/null
run 0 "and back" set "$disk" "$was" --allow-in-use net
ip link set "$(wait_nic "$(dev disk 1)")" down
check_as_before "after all that" "$before" "$disk" "$disk2"

vfio_take vfio
vfio=$(group_of vfio)
holder=$(hold_vfio "$vfio")
run 3 "a group that user space holds" set "$vfio" identity --allow-in-use net,block
check_match "names the process" "$(cat /tmp/err)" "PID $holder"
let_go "$holder"
vfio_return vfio

# Failures.
before=$(groups_now "$edu" "$edu2")
now=$(group_type "$edu")
edu_set "$b" probe_errors 1
run 4 "a probe that fails" set --json "$edu" identity "$edu2" identity
check_match "is restored" "$(cat /tmp/out)" '"result": "restored"'
check_match "with the reason" "$(cat /tmp/out)" "$b: probe"
check_as_before "as before" "$before" "$edu" "$edu2"
check_clean "restored"
edu_set "$b" probe_errors 2
run 5 "one that cannot be restored" set --json "$edu" identity --name broken
check_match "has failed" "$(cat /tmp/out)" '"result": "failed"'
check_eq "and stays" "$(cat $CONFIGFS/broken/state)" failed
run 3 "nothing else goes before it is dealt with" set "$edu2" identity
run 0 "rollback mends it" rollback broken
check_clean "mended"
check_as_before "as before" "$before" "$edu" "$edu2"

# Signals, and worse.
in_probe_or_over()
{
	edu_doing "$a" probe || [ ! -e "/proc/$1" ]
}

edu_set "$a" probe_hold 1
iommucfg set "$edu" identity --name slow >/dev/null 2>/tmp/err </dev/null &
pid=$!
wait_for 30 in_probe_or_over $pid
edu_doing "$a" probe || bail "it ended before its probe: $(cat /tmp/err)"
kill -TERM $pid
wait_for 30 grep -q finishes /tmp/err
edu_set "$a" probe_hold 0
wait $pid
check_eq "a signal during the commit lets it finish" $? 0
check_eq "it is done" "$(group_type "$edu")" identity
edu_set "$a" probe_hold 1
iommucfg set "$edu" "$now" --name slow >/dev/null 2>/tmp/err </dev/null &
pid=$!
wait_for 30 in_probe_or_over $pid
edu_doing "$a" probe || bail "it ended before its probe: $(cat /tmp/err)"
kill -TERM $pid
wait_for 30 grep -q finishes /tmp/err
kill -TERM $pid
wait_for 30 grep -q leaving /tmp/err
edu_set "$a" probe_hold 0
wait $pid
check_eq "a second one leaves" $? 143
check_match "with the name" "$(cat /tmp/err)" "slow"
# Nothing judges it any more.
wait_for 60 is "$CONFIGFS/slow/state" unconfirmed
check_eq "the kernel has finished" "$(group_type "$edu")" "$now"
run 0 "and it can be undone" rollback slow
edu_set "$a" probe_hold 1
iommucfg set "$edu" "$now" --name killed >/dev/null 2>&1 </dev/null &
pid=$!
wait_for 30 edu_doing "$a" probe
kill -KILL $pid
wait $pid
edu_set "$a" probe_hold 0
wait_for 60 is "$CONFIGFS/killed/state" unconfirmed
check_eq "so it does when the command is killed" "$(group_type "$edu")" "$now"
run 0 "what nothing has judged has a timer" extend killed 1
check "and goes back" wait_for 60 went_back killed
check_eq "as before" "$(group_type "$edu")" identity
check "what watches it removes it" wait_for 60 [ ! -e "$CONFIGFS/killed" ]
run 0 "the type at the beginning" set "$edu" "$now"
check_clean "at the end"
check_as_before "at the end all is as before" "$before" "$edu" "$edu2"
edu_end
finish
