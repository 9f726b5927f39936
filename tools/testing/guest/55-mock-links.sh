#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Managed device links across and within groups: consumers go with their suppliers and
# come back after them, however many and however deep, with each kind of link.
#
# machines: mock
# timeout: 180
# klog-allow: waiting for over 10 s

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

# rebind DEVICE: so that its probe makes the link.
rebind()
{
	echo "$1" > /sys/bus/platform/drivers/mock/unbind
	echo "$1" > /sys/bus/platform/drivers/mock/bind
}

# supply SUPPLIER CONSUMER...: numbers
supply()
{
	local supplier=$1 n
	shift
	for n; do
		mock_set "$n" supplier "$supplier"
		rebind "mock.$n"
	done
}

# in_order: of each link, as the knobs say: the consumer was gone before its supplier went, and
# the supplier was there before its consumer came. Prints how many links, and what is wrong.
in_order()
{
	awk '
		function word(name, i) {
			for (i = 1; i <= NF; i++)
				if (index($i, name "=") == 1)
					return substr($i, length(name) + 2)
		}
		{
			n = substr($1, 6)
			remove[n] = word("remove_at"); removed[n] = word("removed_at")
			probe[n] = word("probe_at"); probed[n] = word("probed_at")
			supplier[n] = word("supplier")
		}
		END {
			for (n in supplier) {
				s = supplier[n]
				if (s < 0)
					continue
				links++
				if (removed[n] >= remove[s])
					printf " %d-went-after-%d", n, s
				if (probed[s] >= probe[n])
					printf " %d-came-before-%d", n, s
			}
			print " " links + 0
		}' $MOCK/devices | xargs
}

# links: how many there are in fact.
links()
{
	find /sys/bus/platform/devices/mock*/ -maxdepth 1 -name 'supplier:*' | wc -l
}

mock_load
mock_create 4 3
for n in 0 1 2 3; do
	eval "g$n=\$(mock_ids $n)"
done
boot=$(group_type "$g0")
all=$(mock_now 0 1 2 3)

# A chain over three groups: 0 <- 3 <- 6 <- 7, the last two in one group; only the first group is staged.
supply 0 3
supply 3 6
supply 6 7
check "3 consumes 0" test -e /sys/bus/platform/devices/mock.0/consumer:platform:mock.3
check_eq "the chain is three links" "$(links)" 3
stage_mock chain identity 0
for what in commit rollback; do
	mock_count_anew
	check_eq "$what" "$(write_errno "$t/$what" 1) $(report "$t")" "0 "
	check_eq "$what: all in order" "$(in_order)" 3
	check_eq "$what: each went and came once" "$(mock_stat removes) $(mock_stat probes) $(mock_stat probes_failed)" "6 6 0"
	check_eq "$what: all are bound" "$(mock_now 0 1 2 3 | cut -d ' ' -f 3-)" "$(echo "$all" | cut -d ' ' -f 3-)"
	check_eq "$what: the consumers' groups keep their type" "$(group_type "$g1") $(group_type "$g2")" "$boot $boot"
	check_eq "$what: and their devices find it" "$(mock_found 1) $(mock_found 2)" "$boot $boot"
done
check_eq "the report is empty" "$(report "$t")" ""
txn_end "$t"
check_mock_as_before "as before" "$all" 0 1 2 3

# All of them in one commit.
stage_mock all identity 0 1 2 3
mock_count_anew
check_eq "all groups" "$(write_errno "$t/commit" 1)" 0
check_eq "all in order" "$(in_order)" 3
check_eq "each went and came once" "$(mock_stat removes) $(mock_stat probes) $(mock_stat probes_failed)" "12 12 0"
check_eq "identity" "$(mock_found)" identity
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "all in order" "$(in_order)" 3
txn_end "$t"
check_mock_as_before "as before" "$all" 0 1 2 3

# A consumer's group is changed, its supplier's is not: the supplier stays.
stage_mock consumer identity 2
mock_count_anew
check_eq "the consumers' group" "$(write_errno "$t/commit" 1) $(mock_found 2)" "0 identity"
check_eq "nobody else goes" "$(mock_stat removes)" 3
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"

# A consumer outside that does not come back cancels all; its own errors are told.
stage_mock fails identity 0
mock_set mock.6 probe_errors 1
check_eq "a consumer that fails" "$(write_errno "$t/commit" 1)" ECANCELED
check_report "is named" "$t" " mock.6 probe EIO "
check_mock_as_before "all are as before" "$all" 0 1 2 3
mock_set mock.6 probe_errors 2
check_eq "one that fails twice" "$(write_errno "$t/commit" 1) $(cat "$t/state")" "EIO failed"
check_report "is named" "$t" " mock.6 restore EIO "
check_eq "rollback brings it back, and its own consumer" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$all" 0 1 2 3
check_eq "the links are there again" "$(in_order)" 3
txn_end "$t"

# Consumers that bind after the order was found: the driver core unbinds them with their
# supplier, and they come back with it.
for what in commit rollback; do
	[ $what = rollback ] || stage_mock between identity 0
	mock_count_anew
	mock_set mock.3 remove_hold 1
	start go "$t/$what"
	check "$what: a consumer is being released" wait_for 30 is_stat removing 1
	supply 0 9
	supply 9 10
	check "$what: another one binds meanwhile" test -e /sys/bus/platform/devices/mock.0/consumer:platform:mock.9
	mock_set mock.3 remove_hold 0
	check_eq "$what" "$(ended go) $(report "$t")" "0 "
	check "$what: it was unbound" [ "$(mock_get mock.9 remove_at)" -lt "$(mock_get mock.0 remove_at)" ]
	check_eq "$what: it is bound again, and so is its own consumer" "$(in_order)" 5
	check_eq "$what: all steps are counted" "$(awk '{ print $1 - $2 }' "$t/progress")" 0
	check_eq "$what: all are bound" "$(mock_now 1 2 3)" "$(echo "$all" | tail -n 3)"
	mock_set mock.9 supplier -1
	mock_set mock.10 supplier -1
	rebind mock.9
	rebind mock.10
done
txn_end "$t"
stage_mock lost identity 0
mock_set mock.3 remove_hold 1
start go "$t/commit"
check "a consumer is being released" wait_for 30 is_stat removing 1
supply 0 9
mock_set mock.9 probe_errors 1
mock_set mock.3 remove_hold 0
check_eq "one that does not bind again" "$(ended go)" ECANCELED
check_report "is named" "$t" " mock.9 probe EIO "
check_mock_as_before "all are as before" "$all" 0 1 2 3
mock_set mock.9 supplier -1
rebind mock.9
txn_end "$t"

# A supplier that defers, and one that is in the same group.
stage_mock defers identity 0 1 2
mock_set mock.0 probe_defers 2
mock_set mock.6 probe_defers 2
check_eq "suppliers that defer" "$(write_errno "$t/commit" 1)" 0
check_eq "all in order" "$(in_order)" 3
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_mock_as_before "as before" "$all" 0 1 2 3
txn_end "$t"

# A consumer whose driver forbids unbinding; and one that is owned, without a driver.
echo "3 fixed" > $MOCK/join
mock_set mock_fixed.12 supplier 1
echo mock_fixed.12 > $MOCK/destroy
echo "3 fixed supplier=1" > $MOCK/join
stage_mock fixed identity 0
mock_count_anew
check_eq "a consumer that forbids unbinding" "$(write_errno "$t/commit" 1)" EBUSY
check_report "is named" "$t" " mock_fixed.13 check EBUSY .*mock_fixed"
check_eq "nothing was released" "$(mock_stat removes)" 0
txn_end "$t"
echo mock_fixed.13 > $MOCK/destroy
check_mock_as_before "as before" "$all" 0 1 2 3

# Other kinds of links: those that stay when the consumer goes are there until the end.
for flags in 0 16 32; do
	mock_create 2 2 link_flags=$flags
	n=$(awk 'END { print substr($1, 6) - 3 }' $MOCK/devices)
	s=$(sed -n "s/^mock\.$n .*group=\([0-9]*\).*/\1/p" $MOCK/devices)
	supply "$n" $((n + 2)) $((n + 3))
	found=$(mock_now "$s" $((s + 1)))
	stage_mock flags identity "$s"
	mock_count_anew
	check_eq "flags $flags: commit" "$(write_errno "$t/commit" 1)" 0
	check_eq "flags $flags: all in order" "$(in_order)" 5
	check_eq "flags $flags: each went once" "$(mock_stat removes)" 4
	check_eq "flags $flags: all are bound" "$(mock_drivers $((s + 1)))" "mock.$((n + 2))=mock mock.$((n + 3))=mock"
	check_eq "flags $flags: rollback" "$(write_errno "$t/rollback" 1)" 0
	check_mock_as_before "flags $flags: as before" "$found" "$s" $((s + 1))
	txn_end "$t"
	echo group:$((s + 1)) > $MOCK/destroy
	echo "group:$s" > $MOCK/destroy
done

# One supplier with many consumers, in one group and in many: all of them side by side.
mock_create 10 10 dma=0
first=$(awk '/ dma=0 / { print substr($1, 6); exit }' $MOCK/devices)
g=$(sed -n "s/^mock\.$first .*group=\([0-9]*\).*/\1/p" $MOCK/devices)
i=1
while [ $i -lt 100 ]; do
	mock_set $((first + i)) supplier "$first"
	i=$((i + 1))
done
for dir in /sys/bus/platform/drivers/mock/mock.*; do
	case " $first 0 1 2 3 4 5 6 7 8 9 10 11 " in
	*" ${dir##*.} "*)	;;
	*)			rebind "${dir##*/}" ;;
	esac
done
check_eq "a hundred links" "$(links)" $((3 + 99))
stage_mock fan identity "$g"
mock_count_anew
check_eq "a supplier with 99 consumers" "$(write_errno "$t/commit" 1)" 0
check_eq "all in order" "$(in_order)" $((3 + 99))
check_eq "each went and came once" "$(mock_stat removes) $(mock_stat probes) $(mock_stat probes_failed)" "100 100 0"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
check_eq "all are bound" "$(grep -c 'driver=mock ' $MOCK/devices)" 112
txn_end "$t"

check_mock_as_before "as before" "$all" 0 1 2 3
check_eq "no DMA went astray" "$(mock_stat faults)" 0
mock_end
finish
