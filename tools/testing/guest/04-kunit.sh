#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The module's KUnit tests, which ran while a kernel with them started: each case is
# a point here. Not in any machine's list, as only the built-in kernel has them: that
# lane asks by name.
#
# timeout: 60

. /lab/lib.sh

suites=0
for results in /sys/kernel/debug/kunit/iommu*configfs*/results; do
	[ -e "$results" ] || break
	suites=$((suites + 1))
	suite=$(basename "${results%/*}")
	grep -E '^    (not )?ok [0-9]+' "$results" > /tmp/cases
	while read -r word number rest; do
		case $word in
		ok)
			case $rest in
			*'# SKIP'*) skip "$suite: ${rest%% \#*}" "${rest#*# SKIP}" ;;
			*) ok "$suite: $rest" ;;
			esac
			;;
		*)
			not_ok "$suite: ${rest#* }"
			;;
		esac
	done < /tmp/cases
	due=$(sed -n 's/^    1\.\.//p' "$results")
	check_eq "$suite: all cases ran" "$(grep -c . /tmp/cases)" "$due"
	check_match "$suite: it passed" "$(cat "$results")" "^ok [0-9]+ $suite"
done
# A suite that is not built any more must not go unnoticed.
check_eq "suites" "$suites" 12
finish
