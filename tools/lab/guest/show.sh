#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What scripts that a person watches have in common: titles, commands that are shown and
# run as if typed, and what must have come of them. The first thing that is not as told
# ends the script with status 1. Needs lib.sh.

if [ "$LAB_COLOUR" = colour ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') green=$(printf '\033[32m')
	red=$(printf '\033[31m') cyan=$(printf '\033[36m') off=$(printf '\033[0m')
else
	bold='' dim='' green='' red='' cyan='' off=''
	export NO_COLOR=1
fi

# Not every sed knows it by number.
esc=$(printf '\033')

now()
{
	cut -d ' ' -f 1 /proc/uptime | tr -d .
}

# seconds START: what has passed since then, as "1.23 s".
seconds()
{
	local ticks=$(($(now) - $1))
	printf '%d.%02d s' $((ticks / 100)) $((ticks % 100))
}

step=0
title()
{
	[ $step -eq 0 ] || step_over
	step=$((step + 1))
	step_start=$(now)
	printf '\n%s%d. %s%s\n\n' "$bold" $step "$*" "$off"
}

step_over()
{
	printf '%s(step %d took %s)%s\n' "$dim" $step "$(seconds "$step_start")" "$off"
}

tell()
{
	printf '%s\n' "$@"
}

good()
{
	printf '%s✓ %s%s\n' "$green" "$*" "$off"
}

bad()
{
	printf '%s✗ %s%s\n' "$red" "$*" "$off"
	cat "$CONFIGFS"/*/report 2>/dev/null
	exit 1
}

# The commands get a terminal of their own, for colours, bars and questions. Its input is
# this FIFO, to which type_in() alone writes.
export LC_ALL=C.UTF-8
[ -p /tmp/keyboard ] || mkfifo /tmp/keyboard
exec 7<> /tmp/keyboard

# type_in TEXT PATTERN: answers a question once it has been asked, after a moment.
type_in()
{
	(
		wait_for 60 grep -q "$2" /tmp/typescript
		sleep 2
		echo "$1" >&7
	) &
}

# do_it COMMAND: shows a command line, and runs it as if typed. Leaves $status, and
# in /tmp/output what was on the screen.
do_it()
{
	local start
	printf '%s# %s%s\n' "$cyan" "$1" "$off"
	printf '%s\n' "stty cols $LAB_COLUMNS rows 40" "$1" 'echo $? > /tmp/status' > /tmp/command
	rm -f /tmp/status /tmp/typescript
	start=$(now)
	if [ "$LAB_COLOUR" = colour ]; then
		script -q -c "sh /tmp/command" /dev/null <&7 | tee /tmp/typescript
	else
		script -q -c "sh /tmp/command" /dev/null <&7 > /tmp/typescript
	fi
	status=$(cat /tmp/status)
	tr '\r' '\n' < /tmp/typescript | sed 's/'"$esc"'\[[0-9;]*[mK]//g' > /tmp/output
	[ "$LAB_COLOUR" = colour ] || last_words
	printf '%s(%s)%s\n' "$dim" "$(seconds "$start")" "$off"
}

# What a screen would show in the end, for who reads it in a file.
last_words()
{
	sed 's/\r*$//; s/.*\r//; s/'"$esc"'\[[0-9;]*[mK]//g' /tmp/typescript
}

# must "what" GOT WANTED
must()
{
	[ "$2" = "$3" ] || bad "$1: \"$2\" instead of \"$3\""
	good "$1"
}

# must_exit WANTED "what it means": the exit status of the last command.
must_exit()
{
	[ "$status" = "$1" ] || bad "exit status $status instead of $1 ($2)"
	good "exit status $1: $2"
}

# must_say "what" PATTERN: the last command did.
must_say()
{
	grep -qE -e "$2" /tmp/output || bad "$1: nothing like \"$2\" was said"
	good "$1"
}
