#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# Options in each state: which can be written, by whom, and that what is written
# then counts.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 180

. /lab/lib.sh

load_module
edu_load
group=$(group_of edu)
nics=$(group_of vfio)
nic=$(wait_nic "$(dev vfio 0)") || bail "no interface"
a=$(dev edu 0)
was=$(group_type "$group")
was_nics=$(group_type "$nics")
before=$(drivers_of "$group")

# unprivileged TXN STATE FILE VALUE: outside staged, capabilities are asked for first.
unprivileged()
{
	local old how
	old=$(cat "$1/$3")
	for how in "-d sys_admin" "-d sys_rawio" "-U"; do
		# shellcheck disable=SC2086
		check_eq "$2: $3 with $how" "$(try $how write "$1/$3" "$4")" EACCES
	done
	check_eq "$2: $3 is what it was" "$(cat "$1/$3")" "$old"
}

all_unprivileged()
{
	unprivileged "$1" "$2" allow_in_use net
	unprivileged "$1" "$2" confirm_timeout 7
	unprivileged "$1" "$2" confirm_timeout 0
	unprivileged "$1" "$2" step_timeout 7
	unprivileged "$1" "$2" step_timeout 0
	unprivileged "$1" "$2" disruption none
	unprivileged "$1" "$2" expected_generation 3
	unprivileged "$1" "$2" expected_generation x
}

# unconfirmed
t=$(txn_new unconfirmed)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit that waits" "$(write_errno "$t/commit" 1)" 0
all_unprivileged "$t" unconfirmed
check_eq "unconfirmed: allow_in_use" "$(write_errno "$t/allow_in_use" "net block")" 0
check_eq "unconfirmed: it reads back" "$(tr ' ' '\n' < "$t/allow_in_use" | sort | xargs)" "block net"
check_eq "unconfirmed: a bad word" "$(write_errno "$t/allow_in_use" none)" EINVAL
check_eq "unconfirmed: cleared" "$(try raw "$t/allow_in_use" "
")" 0
check_eq "unconfirmed: confirm_timeout 0" "$(write_errno "$t/confirm_timeout" 0)" EBUSY
check_eq "unconfirmed: it stays" "$(cat "$t/confirm_timeout")" 600
check_eq "unconfirmed: a timeout too long" "$(write_errno "$t/confirm_timeout" 604801)" EINVAL
check_eq "unconfirmed: a longer timeout" "$(write_errno "$t/confirm_timeout" 604800)" 0
check_eq "unconfirmed: it reads back" "$(cat "$t/confirm_timeout")" 604800
check_eq "unconfirmed: expected_generation" "$(write_errno "$t/expected_generation" 1)" EBUSY
check_eq "unconfirmed: step_timeout" "$(write_errno "$t/step_timeout" 1)" EBUSY
check_eq "unconfirmed: disruption" "$(write_errno "$t/disruption" none)" EBUSY
check_eq "unconfirmed: still" "$(cat "$t/state")" unconfirmed
# A new countdown is shorter than the old one: it would have taken a week.
check_eq "unconfirmed: a shorter timeout" "$(write_errno "$t/confirm_timeout" 1)" 0
check "it starts the countdown anew, with it" wait_for 60 is "$t/state" rolled-back
check_eq "the group is what it was" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
all_unprivileged "$t" rolled-back
check_eq "rolled-back: allow_in_use" "$(write_errno "$t/allow_in_use" net)" EBUSY
check_eq "rolled-back: confirm_timeout" "$(write_errno "$t/confirm_timeout" 1)" EBUSY
check_eq "rolled-back: expected_generation" "$(write_errno "$t/expected_generation" 1)" EBUSY
txn_end "$t"

# A longer one is not cut short by what was counted before.
t=$(txn_new longer)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit that waits" "$(write_errno "$t/commit" 1)" 0
check_eq "8 s" "$(write_errno "$t/confirm_timeout" 8)" 0
check_eq "and then 600 s" "$(write_errno "$t/confirm_timeout" 600)" 0
sleep 10
check_eq "still unconfirmed" "$(cat "$t/state")" unconfirmed
check_eq "confirmed" "$(write_errno "$t/confirm" 1)" 0
all_unprivileged "$t" committed
check_eq "committed: confirm_timeout" "$(write_errno "$t/confirm_timeout" 1)" EBUSY
check_eq "committed: expected_generation" "$(write_errno "$t/expected_generation" 1)" EBUSY
check_eq "committed: allow_in_use" "$(write_errno "$t/allow_in_use" block)" 0
check_eq "committed: it reads back" "$(cat "$t/allow_in_use")" block
check_eq "undone" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# What is allowed after the commit counts for the rollback.
t=$(txn_new later)
stage "$t" "$nics" identity
check_eq "a commit" "$(write_errno "$t/commit" 1)" 0
nic=$(wait_nic "$(dev vfio 0)")
ip link set "$nic" up
check_eq "an interface is up by the time of the rollback" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "still committed" "$(cat "$t/state")" committed
check_eq "committed: net is allowed" "$(write_errno "$t/allow_in_use" net)" 0
check_eq "then it goes through" "$(write_errno "$t/rollback" 1)" 0
check_eq "the type is back" "$(group_type "$nics")" "$was_nics"
wait_nic "$(dev vfio 0)" > /dev/null
txn_end "$t"

# In committing and rolling-back nothing can be written.
t=$(txn_new running)
stage "$t" "$group" identity
edu_set "$a" probe_hold 1
try write "$t/commit" 1 > /tmp/rc &
wait_for 20 edu_doing "$a" probe || bail "no probe"
all_unprivileged "$t" committing
for pair in "allow_in_use net" "confirm_timeout 5" "confirm_timeout 0" "expected_generation 1" \
	"step_timeout 5" "disruption none"; do
	check_eq "committing: $pair" "$(write_errno "$t/${pair% *}" "${pair#* }")" EBUSY
done
edu_set "$a" probe_hold 0
wait
check_eq "committed" "$(cat /tmp/rc)" 0
edu_set "$a" probe_hold 1
try write "$t/rollback" 1 > /tmp/rc &
wait_for 20 edu_doing "$a" probe || bail "no probe"
all_unprivileged "$t" rolling-back
for pair in "allow_in_use net" "confirm_timeout 5" "confirm_timeout 0" "expected_generation 1" \
	"step_timeout 5" "disruption none"; do
	check_eq "rolling-back: $pair" "$(write_errno "$t/${pair% *}" "${pair#* }")" EBUSY
done
edu_set "$a" probe_hold 0
wait
check_eq "rolled back" "$(cat /tmp/rc)" 0
txn_end "$t"

# failed
t=$(txn_new failed)
stage "$t" "$group" identity
edu_set "$a" probe_errors -1
check_eq "a commit whose restoring fails" "$(write_errno "$t/commit" 1)" EIO
all_unprivileged "$t" failed
check_eq "failed: allow_in_use" "$(write_errno "$t/allow_in_use" "block")" 0
check_eq "failed: it reads back" "$(cat "$t/allow_in_use")" block
check_eq "failed: confirm_timeout" "$(write_errno "$t/confirm_timeout" 5)" EBUSY
check_eq "failed: expected_generation" "$(write_errno "$t/expected_generation" 1)" EBUSY
check_eq "failed: step_timeout" "$(write_errno "$t/step_timeout" 1)" EBUSY
check_eq "failed: disruption" "$(write_errno "$t/disruption" none)" EBUSY
edu_set "$a" probe_errors 0
check_eq "a rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "restores it" "$(group_type "$group") $(drivers_of "$group")" "$was $before"
txn_end "$t"

# The generation: raised by what touches groups, and by nothing else.
generation()
{
	cat $CONFIGFS/generation
}

at=$(generation)
t=$(txn_new counts)
check_eq "a refusal leaves it" "$(write_errno "$t/commit" 1) $(generation)" "EINVAL $at"
stage "$t" "$group" "$was"
check_eq "an all-unchanged commit leaves it" "$(write_errno "$t/commit" 1) $(generation)" "0 $at"
check_eq "it says so" "$(status "$t" "$group")" unchanged
check_eq "and is committed" "$(cat "$t/state")" committed
check_eq "its rollback leaves it" "$(write_errno "$t/rollback" 1) $(generation)" "0 $at"
check_eq "and says so, too" "$(status "$t" "$group")" unchanged
txn_end "$t"
t=$(txn_new counts)
stage "$t" "$group" identity
echo "$at" > "$t/expected_generation"
check_eq "a check leaves it" "$(write_errno "$t/check" 1) $(generation)" "0 $at"
check_eq "a commit raises it by one" "$(write_errno "$t/commit" 1) $(generation)" "0 $((at + 1))"
check_eq "what was expected is kept" "$(cat "$t/expected_generation")" "$at"
o=$(txn_new other)
stage "$o" "$nics" identity
echo "$at" > "$o/expected_generation"
check_eq "who expected the old one is refused" "$(write_errno "$o/commit" 1)" ESTALE
check_match "and told both numbers" "$(report "$o")" "\<$((at + 1))\>.*\<$at\>|\<$at\>.*\<$((at + 1))\>"
txn_end "$o"
check_eq "a rollback raises it by one" "$(write_errno "$t/rollback" 1) $(generation)" "0 $((at + 2))"
txn_end "$t"
t=$(txn_new counts)
stage "$t" "$group" identity
edu_set "$a" probe_errors 1
check_eq "a restored commit leaves it raised" "$(write_errno "$t/commit" 1) $(generation)" \
	"ECANCELED $((at + 3))"
echo 600 > "$t/confirm_timeout"
check_eq "one to be confirmed raises it at once" "$(write_errno "$t/commit" 1) $(generation)" "0 $((at + 4))"
check_eq "confirm leaves it" "$(write_errno "$t/confirm" 1) $(generation)" "0 $((at + 4))"
check_eq "undone" "$(write_errno "$t/rollback" 1) $(generation)" "0 $((at + 5))"
txn_end "$t"
edu_unload

# In place counts.
t=$(txn_new dma)
stage "$t" "$nics" DMA
write_errno "$t/commit" 1 > /dev/null
check_eq "strict" "$(group_type "$nics")" DMA
at=$(generation)
o=$(txn_new fq)
stage "$o" "$nics" DMA-FQ
check_eq "in place raises it" "$(write_errno "$o/commit" 1) $(generation)" "0 $((at + 1))"
txn_end "$o"
txn_end "$t"
t=$(txn_new back)
stage "$t" "$nics" "$was_nics"
write_errno "$t/commit" 1 > /dev/null
rmdir "$t/$nics" "$t"
finish
