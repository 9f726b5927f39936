#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What an IOMMU cannot give is refused beforehand where it can be known, and taken
# back where it shows only when tried; what its driver forces rules out the rest.
#
# machines: mock
# timeout: 150

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# refused WHAT ERRNO PATTERN: check and commit of $t, with such a report; nothing is touched.
refused()
{
	local action
	mock_count_anew
	for action in check commit; do
		check_eq "$1: $action" "$(write_errno "$t/$action" 1)" "$2"
		check_report "$1: $action says why" "$t" "$3"
	done
	check_eq "$1: nothing was released or attached" "$(mock_stat removes) $(mock_stat attaches)" "0 0"
	check_eq "$1: nor counted" "$(cat $CONFIGFS/generation)" "$generation"
	check_state "$1: state" "$t" staged
}

mock_load
mock_create 2 2
mock_create 1 2 noidentity
mock_create 1 2 no_fq=1
mock_create 1 2 dynamic
mock_create 1 2 force=DMA
mock_create 1 2 force=identity
mock_create 1 2 force=unmanaged dma=0
for n in 0 1 2 3 4 5 6 7; do
	eval "g$n=\$(mock_ids $n)"
done
before=$(mock_now 0 1 2 3 4 5 6 7)
boot=$(group_type "$g0")
generation=$(cat $CONFIGFS/generation)
check_eq "what the groups begin with" "$(echo "$before" | cut -d ' ' -f 2 | xargs)" \
	"$boot $boot $boot DMA $boot DMA identity unmanaged"

# No identity domain.
stage_mock no identity 0 2
refused "no identity domain" EOPNOTSUPP "^$g2 - check EOPNOTSUPP .*identity"
check_eq "no identity domain: it is the only problem" "$(wc -l < "$t/report")" 1
echo DMA > "$t/$g2/type"
check_eq "without it, the rest is done" "$(write_errno "$t/commit" 1)" 0
check_eq "and found" "$(mock_found 0) $(mock_found 2)" "identity DMA"
check_eq "and rolled back" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7
txn_end "$t"
generation=$(cat $CONFIGFS/generation)

# No deferred flush, from strict, from identity, and of one device only.
stage_mock no DMA-FQ 3
refused "no deferred flush" EOPNOTSUPP "^$g3 - check EOPNOTSUPP .*DMA-FQ"
mock_set mock.6 no_fq 0
refused "one device of two without" EOPNOTSUPP "^$g3 - check EOPNOTSUPP .*DMA-FQ"
mock_set mock.6 no_fq 1
echo identity > "$t/$g3/type"
check_eq "identity instead" "$(write_errno "$t/commit" 1)" 0
generation=$(cat $CONFIGFS/generation)
first=$t
stage_mock no2 DMA-FQ 3
if [ "$(uname -r | cut -d . -f 1)" -lt 7 ]; then
	refused "no deferred flush, from identity" EOPNOTSUPP "^$g3 - check EOPNOTSUPP .*DMA-FQ"
else
	# There a paging domain might have it without the capability, and there is none to ask.
	was=$(mock_now 3)
	check_eq "no deferred flush, from identity" "$(write_errno "$t/commit" 1)" ECANCELED
	check_report "which is reported" "$t" "^$g3 - switch EOPNOTSUPP .*DMA-FQ .*\<(DMA|identity)\>"
	check_mock_as_before "everything is as before" "$was" 3
fi
mock_set group:3 no_fq 0
check_eq "none without" "$(write_errno "$t/commit" 1)" 0
check_eq "it is lazy" "$(mock_found 3)" DMA-FQ
mock_set group:3 no_fq 1
check_eq "back to identity" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
txn_end "$first"
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7

# The same through sysfs. A core with our fixes keeps what the group has.
mock_create 1 1 nodriver no_fq=1
g8=$(mock_ids 8)
sysfs=$SYS_GROUPS/$g8/type
if grep -q ' icfg_core_wait_set_type' /proc/kallsyms; then
	skip "no deferred flush, through sysfs" "the core of a stock kernel gives DMA instead"
else
	for type in identity DMA; do
		check_eq "sysfs: $type" "$(write_errno "$sysfs" $type)" 0
		check_eq "sysfs: DMA-FQ from $type" "$(write_errno "$sysfs" DMA-FQ)" EOPNOTSUPP
		check_eq "sysfs: it is still $type" "$(group_type "$g8")" $type
	done
fi

# A group that could not be put back.
mock_set group:7 force none
stage_mock back identity 7
check_eq "its present type" "$(cat "$t/$g7/current_type")" unmanaged
generation=$(cat $CONFIGFS/generation)
refused "a type that could not be put back" EOPNOTSUPP "^$g7 - check EOPNOTSUPP .*put back"
check_eq "no method is known for it" "$(cat "$t/$g7/method")" none
txn_end "$t"

# What is forced.
mkdir $CONFIGFS/x $CONFIGFS/x/"$g0" $CONFIGFS/x/"$g5" $CONFIGFS/x/"$g6"
check_eq "devices tell what they need" "$(cat $CONFIGFS/x/"$g0"/devices $CONFIGFS/x/"$g5"/devices $CONFIGFS/x/"$g6"/devices)" \
	"platform mock.0 mock any
platform mock.1 mock any
platform mock.10 mock DMA
platform mock.11 mock DMA
platform mock.12 mock identity
platform mock.13 mock identity"
txn_end $CONFIGFS/x
for case in "identity 5 DMA" "DMA-FQ 5 DMA" "DMA 6 identity" "DMA-FQ 6 identity"; do
	set -- $case
	stage_mock forced "$1" "$2" 0
	eval "id=\$g$2"
	refused "$1 where $3 is forced" EINVAL "^$id mock.1[0-3] check EINVAL .*$3"
	check_eq "$1 where $3 is forced: no method is known" "$(cat "$t/$id/method")" none
	echo auto > "$t/$id/type"
	rmdir "$t/$g0"
	check_eq "auto is what it has" "$(write_errno "$t/commit" 1) $(head -n 1 "$t/$id/status")" "0 unchanged"
	txn_end "$t"
done

# Forced since, by one device: auto takes it, and so does the type itself.
for type in auto identity; do
	mock_set mock.3 force identity
	generation=$(cat $CONFIGFS/generation)
	stage_mock since DMA 1
	refused "forced since" EINVAL "^$g1 mock.3 check EINVAL .*identity"
	echo $type > "$t/$g1/type"
	check_eq "$type where identity is forced since" "$(write_errno "$t/commit" 1)" 0
	check_eq "$type is identity" "$(group_type "$g1") $(mock_found 1)" "identity identity"
	# Otherwise the old type would be ruled out.
	mock_set mock.3 force none
	check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
	txn_end "$t"
done
# Two that want different types: identity wins in the core, so here as well.
mock_set mock.2 force DMA
mock_set mock.3 force identity
generation=$(cat $CONFIGFS/generation)
stage_mock both DMA 1
refused "two that disagree" EINVAL "^$g1 mock.3 check EINVAL .*identity"
echo identity > "$t/$g1/type"
check_eq "identity of two that disagree" "$(write_errno "$t/commit" 1) $(mock_found 1)" "0 identity"
mock_set group:1 force none
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7

# A forced type that keeps a rollback from its way: it says so, and can be mended.
stage_mock forced-back identity 0
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
mock_set mock.0 force identity
check_eq "rollback to what is ruled out since" "$(write_errno "$t/rollback" 1)" EIO
check_state "leaves" "$t" failed
check_report "and says so" "$t" "^$g0 - restore EINVAL "
check_eq "drivers are bound all the same" "$(mock_drivers 0)" "mock.0=mock mock.1=mock"
mock_set mock.0 force none
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7

# Which of several problems gives the errno; all are reported.
generation=$(cat $CONFIGFS/generation)
stage_mock several identity 0 2 5
refused "ruled out goes before not given" EINVAL "^$g5 mock.10 check EINVAL "
check_report "both are reported" "$t" "^$g2 - check EOPNOTSUPP "
txn_end "$t"
mock_create 1 1 nodriver
g9=$(mock_ids 9)
mock_set group:9 owned 1
stage_mock several identity 0 2 9
refused "not given goes before in use" EOPNOTSUPP "^$g2 - check EOPNOTSUPP "
check_report "both are reported" "$t" "^$g9 - check EBUSY "
txn_end "$t"
mock_set group:9 owned 0

# DMA-FQ that comes out as DMA shows only when tried.
stage_mock from identity 0 1
check_eq "to identity" "$(write_errno "$t/commit" 1)" 0
mock_set mock.1 fq_breaks 1
mock_set mock.0 fq_breaks 1
was=$(mock_now 0 1)
from=$t
stage_mock breaks DMA-FQ 0 1
check_eq "check cannot know" "$(write_errno "$t/check" 1)" 0
check_eq "DMA-FQ that comes out as DMA" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is reported" "$t" "^$g0 - (switch|verify) EOPNOTSUPP .*DMA-FQ .*\<(DMA|identity)\>"
check_eq "and only that" "$(wc -l < "$t/report")" 1
check_mock_as_before "everything is as before" "$was" 0 1
check_eq "for the devices, too" "$(mock_found 0) $(mock_found 1)" "identity identity"
check_state "it can be tried again" "$t" staged
check_status "restored" "$t" "$g0" restored
mock_set group:0 fq_breaks 0
check_eq "mended" "$(write_errno "$t/commit" 1)" 0
check_eq "they are lazy" "$(mock_found 0) $(mock_found 1)" "DMA-FQ DMA-FQ"
# The same on the way back.
stage_mock back identity 0
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
mock_set group:0 fq_breaks 1
check_eq "a rollback to DMA-FQ that comes out as DMA" "$(write_errno "$t/rollback" 1)" EIO
check_report "is reported" "$t" "^$g0 - restore EOPNOTSUPP .*DMA-FQ .*\<(DMA|identity)\>"
check_eq "the drivers are bound" "$(mock_drivers 0)" "mock.0=mock mock.1=mock"
mock_set group:0 fq_breaks 0
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1) $(cat "$t/state")" "0 rolled-back"
txn_end "$t"
txn_end $CONFIGFS/breaks
txn_end "$from"
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7

# An identity domain that has to be allocated.
stage_mock dynamic identity 4 0
mock_set all identity_errors 1
check_eq "no memory for an identity domain" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is reported" "$t" "^$g4 - switch ENOMEM "
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7
check_eq "a second time there is" "$(write_errno "$t/commit" 1)" 0
check_eq "identity" "$(mock_found 4) $(mock_found 0)" "identity identity"

# No paging domain to be had: on the way back, then on the way there.
mock_set group:4 alloc_errno 28
mock_set group:4 alloc_errors 1
check_eq "no domain for a rollback" "$(write_errno "$t/rollback" 1)" EIO
check_report "is reported" "$t" "^$g4 - restore ENOSPC "
check_status "of that group" "$t" "$g4" failed
check_status "the other one is restored" "$t" "$g0" restored
check_eq "the drivers are bound" "$(mock_drivers 4)" "mock.8=mock mock.9=mock"
check_eq "rollback tries again" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
stage_mock moment identity 4
check_eq "commit" "$(write_errno "$t/commit" 1)" 0
mock_set group:4 alloc_errno 12
mock_set group:4 alloc_errors 3
check_eq "no memory for a moment does a rollback no harm" "$(write_errno "$t/rollback" 1)" 0
check_eq "it was used up" "$(mock_get mock.8 alloc_errors)" 0
txn_end "$t"
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7
stage_mock there identity 0 1
check_eq "to identity" "$(write_errno "$t/commit" 1)" 0
was=$(mock_now 0 1)
there=$t
stage_mock alloc DMA 0 1
mock_set group:1 alloc_errors 1
check_eq "no memory for a commit" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is reported" "$t" "^$g1 - switch ENOMEM "
check_mock_as_before "everything is as before" "$was" 0 1
check_eq "a second time there is" "$(write_errno "$t/commit" 1) $(mock_found 0) $(mock_found 1)" "0 DMA DMA"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
# Whatever the core makes of auto then is right.
txn_end "$t"
stage_mock auto auto 1
mock_set group:1 alloc_errors 1
check_eq "auto makes do with less" "$(write_errno "$t/commit" 1)" 0
check_match "of any type" "$(group_type "$g1")" "^(DMA|identity)$"
check_eq "which the devices find" "$(mock_found 1)" "$(group_type "$g1")"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
txn_end "$there"
check_mock_as_before "as before" "$before" 0 1 2 3 4 5 6 7

check_eq "no DMA went astray" "$(mock_stat faults)" 0
mock_end
finish
