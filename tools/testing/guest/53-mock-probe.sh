#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Drivers that fail, defer, mind their own DMA, forbid unbinding, or are not there:
# on a bus other than PCI, and in groups that mix them.
#
# machines: mock
# timeout: 200
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

mock_load
mock_create 3 3
g0=$(mock_ids 0)
g1=$(mock_ids 1)
g2=$(mock_ids 2)
before=$(mock_now 0 1 2)
boot=$(group_type "$g0")

# A probe that fails once, with several errors, in several groups at once.
for case in "5 EIO" "19 ENODEV" "12 ENOMEM" "16 EBUSY"; do
	set -- $case
	stage_mock once identity 0 1 2
	mock_set all probe_errno "$1"
	mock_set mock.1 probe_errors 1
	mock_count_anew
	check_eq "$2: commit" "$(write_errno "$t/commit" 1)" ECANCELED
	check_report "$2: the report names group and device" "$t" "^$g0 mock.1 probe $2 .*mock"
	check_eq "$2: and only that" "$(wc -l < "$t/report")" 1
	check_mock_as_before "$2: types and drivers are as before" "$before" 0 1 2
	check_eq "$2: as the devices find" "$(mock_found)" "$boot"
	check_eq "$2: one probe failed" "$(mock_stat probes_failed)" 1
	check_mock_clean "$2"
	check_state "$2: state" "$t" staged
	check_eq "$2: the next commit is done" "$(write_errno "$t/commit" 1) $(mock_found)" "0 identity"
	check_eq "$2: rollback" "$(write_errno "$t/rollback" 1)" 0
	txn_end "$t"
done
mock_set all probe_errno 5

# Twice, in two groups: neither there nor back.
stage_mock twice identity 0 1 2
mock_set mock.0 probe_errors -1
mock_set mock.8 probe_errors -1
check_eq "neither there nor back" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "EIO failed"
check_report "the report names the one" "$t" "^$g0 mock.0 restore EIO "
check_report "and the other" "$t" "^$g2 mock.8 restore EIO "
check_eq "words" "$(head -qn 1 "$t/$g0/status" "$t/$g1/status" "$t/$g2/status" | xargs)" "failed restored failed"
check_eq "the rest is as before" "$(mock_now 0 1 2)" "$(echo "$before" | sed 's/mock\.[08]=mock/&-/; s/=mock-/=-/')"
mock_set mock.0 probe_errors 0
check_eq "half of it mended" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "EIO failed"
check_eq "is brought back" "$(mock_drivers 0)" "mock.0=mock mock.1=mock mock.2=mock"
mock_set mock.8 probe_errors 0
check_eq "all of it mended" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# Deferred: by some devices for a while, by all of them, for ever.
stage_mock defers identity 0 1 2
mock_set all probe_defers 2
mock_count_anew
check_eq "all defer twice" "$(write_errno "$t/commit" 1)" 0
check_eq "and come" "$(mock_stat probes) $(mock_stat probes_failed) $(mock_found)" "9 18 identity"
mock_set group:1 probe_defers 3
check_eq "nor does it harm a rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"
stage_mock ever identity 0 1
mock_set mock.3 probe_defers -1
start ever "$t/commit"
check "the commit gives up" wait_for 60 has "$t/report" "^$g1 mock.3 probe EPROBE_DEFER "
mock_set mock.3 probe_defers 0
check_eq "and is cancelled" "$(ended ever)" ECANCELED
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# Slow is told, and is no failure: one that lets go late, one that probes late.
stage_mock slow identity 0 1
mock_set mock.1 remove_hold 1
mock_set mock.4 probe_hold 1
start slow "$t/commit"
check "a slow release is told" wait_for 60 has "$t/report" \
	"^$g0 mock.1 release EINPROGRESS "
mock_set mock.1 remove_hold 0
check "a slow probe is told" wait_for 60 has "$t/report" \
	"^$g1 mock.4 probe EINPROGRESS "
mock_set mock.4 probe_hold 0
check_eq "they have their time" "$(ended slow) $(cat "$t/state") $(report "$t")" "0 committed "
check_eq "and are told of once" "$(cut -d' ' -f2,3 "$t/report" | sort | uniq -d)" ""
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# First deferred, then failed: what counts is the failure.
stage_mock then identity 0
mock_set mock.0 probe_defers 2
mock_set mock.0 probe_errors 1
check_eq "deferred, then failed" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is reported so" "$t" "^$g0 mock.0 probe EIO "
check_mock_as_before "as before" "$before" 0 1 2
txn_end "$t"

# In one group: a driver that minds its own DMA stays, what has none gets none.
echo "0 managed" > $MOCK/join
echo "0 nodriver" > $MOCK/join
check_eq "they joined" "$(mock_drivers 0)" \
	"mock.0=mock mock.1=mock mock.2=mock mock_managed.9=mock_managed mock_nodriver.10=-"
with=$(mock_now 0 1 2)
stage_mock mixed identity 0
check_eq "devices shows them" "$(tail -n 2 "$t/$g0/devices")" "platform mock_managed.9 mock_managed any
platform mock_nodriver.10 - any"
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
check_eq "the one stays" "$(mock_get mock_managed.9 removes) $(mock_get mock_managed.9 type)" "0 identity"
check_eq "the other has none" "$(mock_get mock_nodriver.10 driver) $(mock_get mock_nodriver.10 type)" "- identity"
check_eq "progress is that of the rest" "$(cat "$t/progress")" "6 6"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$with" 0 1 2
txn_end "$t"
echo mock_managed.9 > $MOCK/destroy
echo 10 > $MOCK/destroy

# One that forbids unbinding keeps its group as it is, whatever is allowed.
echo "1 fixed" > $MOCK/join
stage_mock fixed identity 0 1
echo "net block" > "$t/allow_in_use"
mock_count_anew
check_eq "a driver that forbids unbinding" "$(write_errno "$t/commit" 1)" EBUSY
check_report "is named" "$t" "^$g1 mock_fixed.11 check EBUSY .*mock_fixed"
check_eq "nothing was released" "$(mock_stat removes)" 0
rmdir "$t/$g1"
check_eq "without its group the rest is done" "$(write_errno "$t/commit" 1)" 0
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
echo mock_fixed.11 > $MOCK/destroy
check_mock_as_before "as before" "$before" 0 1 2

# A device that lost its driver while the commit ran gets it back only where it had one.
stage_mock byhand identity 0 1
echo mock.2 > /sys/bus/platform/drivers/mock/unbind
probes=$(mock_get mock.2 probes)
check_eq "one device without driver" "$(write_errno "$t/commit" 1)" 0
check_eq "it gets none" "$(mock_drivers 0)" "mock.0=mock mock.1=mock mock.2=-"
check_eq "nobody tried" "$(mock_get mock.2 probes)" "$probes"
echo mock.2 > /sys/bus/platform/drivers/mock/bind
check_eq "bound since, under the new type" "$(mock_get mock.2 found)" identity
check_eq "rollback releases it as well" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2
check_eq "as the devices find" "$(mock_found)" "$boot"
txn_end "$t"

check_eq "no DMA went astray" "$(mock_stat faults)" 0
mock_end
finish
