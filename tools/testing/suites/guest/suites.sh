# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# Runs programs of others, and keeps what they say of each of their points, to be compared
# later. A round is a file of lines "SUITE POINT passed|failed|skipped". Sourced after lib.sh.

ROUNDS=/run/suites
mkdir -p $ROUNDS

# kselftest ROUND SUITE PROGRAM ARGUMENT...: one that prints TAP. A point in its own name is
# for what becomes of the program as a whole.
kselftest()
{
	local round=$1 suite=$2 status=0
	shift 2
	"$@" > /tmp/kselftest 2>&1 || status=$?
	awk -v suite="$suite" -v status=$status '
		/^1\.\.[0-9]+/ { planned = substr($1, 4) }
		/^(not )?ok [0-9]/ {
			at = $1 == "not" ? 4 : 3
			word = at == 4 ? "failed" : /# SKIP/ ? "skipped" : "passed"
			print suite, $at, word
			seen++
			failed += word == "failed"
		}
		END {
			# A program that skips all has exit status 4 and no plan.
			if (status == 4 && !seen)
				print suite, "all", "skipped"
			else if (seen != planned || (status != 0) != (failed > 0))
				print suite, "all", "failed"
		}' /tmp/kselftest > /tmp/points
	! grep -q ' failed$' /tmp/points || say "$suite: exit status $status" \
		"$(grep -vE '^(ok|#  +(RUN|OK)) ' /tmp/kselftest | tail -n 40)"
	cat /tmp/points >> "$ROUNDS/$round"
}

# plain ROUND SUITE POINT COMMAND...: one that has an exit status and no more.
plain()
{
	local round=$1 suite=$2 point=$3 word=passed
	shift 3
	"$@" > /tmp/plain 2>&1 || word=failed
	[ $word = passed ] || say "$suite: $point: $(tail -n 20 /tmp/plain)"
	echo "$suite $point $word" >> "$ROUNDS/$round"
}

# of ROUND SUITE: its lines of points
of()
{
	awk -v suite="$2" '$1 == suite' "$ROUNDS/$1"
}

# check_round ROUND PREFIX: nothing fails in the suites whose names begin with PREFIX, a point
# for each. What each of them skips is told.
check_round()
{
	local suite
	for suite in $(grep "^$2" "$ROUNDS/$1" | cut -d ' ' -f 1 | sort -u); do
		say "$1: $suite: $(of "$1" "$suite" | cut -d ' ' -f 3 | sort | uniq -c | xargs)"
		check_eq "$1: $suite: nothing fails" "$(of "$1" "$suite" | sed -n 's/ failed$//p')" ""
	done
}

# check_same BEFORE AFTER PREFIX: suites whose names begin with PREFIX say the same of each point.
check_same()
{
	local suite
	for suite in $(grep "^$3" "$ROUNDS/$1" | cut -d ' ' -f 1 | sort -u); do
		of "$1" "$suite" > /tmp/before
		of "$2" "$suite" > /tmp/after
		check_eq "$2: $suite: $(grep -c ' passed$' /tmp/after) of $(wc -l < /tmp/after) passed, as $1" \
			"$(diff -U 0 /tmp/before /tmp/after | sed 1,3d)" ""
	done
}
