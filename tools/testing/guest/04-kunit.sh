#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The module's KUnit tests, which ran while a kernel with them inside started, and else
# do so here: each case is a point. Not in any machine's list, as few kernels have them:
# their lanes ask by name.
#
# timeout: 240

. /lab/lib.sh

modprobe iommu-configfs
suites=0
for results in /sys/kernel/debug/kunit/iommu*configfs*/results; do
	[ -e "$results" ] || break
	suites=$((suites + 1))
	grep -qE '^    (not )?ok' "$results" || echo 1 > "${results%results}run"
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
check_eq "suites" "$suites" 14
finish
