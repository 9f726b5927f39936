#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# The words: what each file takes, with and without a newline, and that it takes
# nothing else and keeps what it had.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 120

. /lab/lib.sh

load_module
t=$(txn_new words)
group=$(group_of disk)
mkdir "$t/$group"

# takes FILE WORD [READS]: with a newline, and without
takes()
{
	check_eq "${1##*/} takes \"$2\"" "$(try write "$1" "$2")" 0
	check_eq "and reads it" "$(cat "$1")" "${3-$2}"
	check_eq "${1##*/} takes \"$2\" without newline" "$(try raw "$1" "$2")" 0
	check_eq "and reads that" "$(cat "$1")" "${3-$2}"
}

# refuses FILE WORD...: EINVAL, and nothing changes
refuses()
{
	local file=$1 word before
	shift
	before=$(cat "$file")
	for word; do
		check_eq "${file##*/} refuses \"$word\"" "$(try raw "$file" "$word")" EINVAL
		check_eq "and keeps what it had" "$(cat "$file")" "$before"
	done
}

# refuses_nul FILE WORD-WITH-\0
refuses_nul()
{
	local before
	before=$(cat "$1")
	check_not "${1##*/} refuses $2" sh -c "printf '$2' > $1" 2>/dev/null
	check_eq "and keeps what it had" "$(cat "$1")" "$before"
}

nl='
'
tab=$(printf '\t')

# Types
type=$t/$group/type
refuses "$type" none DMA_FQ
for word in identity DMA DMA-FQ auto; do
	takes "$type" "$word"
done
refuses "$type" none "none$nl" dma Identity IDENTITY dma-fq DMA_FQ DMA-Fq Auto "DMA " " DMA" \
	"DMA$nl$nl" "${nl}DMA" "DMA DMA" "DMA,auto" DMAx D "$nl" " " unmanaged blocked 1 "DMA$tab"
refuses_nul "$type" 'DMA\0'
refuses_nul "$type" 'DMA\0\n'
check_eq "a write of no type leaves status" "$(status "$t" "$group")" staged

# Options
takes "$t/confirm_timeout" 1
takes "$t/confirm_timeout" 604800
takes "$t/confirm_timeout" 0
takes "$t/confirm_timeout" 77
refuses "$t/confirm_timeout" 604801 4294967296 4294967297 18446744073709551616 -1 -0 +5 0x10 1s \
	1.5 "5 " " 5" "5${nl}6" "5$nl$nl" "$nl" " " five 1e3 "5 6" "5$tab"
refuses_nul "$t/confirm_timeout" '5\0'
refuses_nul "$t/confirm_timeout" '5\0\n'
takes "$t/confirm_timeout" 0

takes "$t/step_timeout" 1
takes "$t/step_timeout" 3600
takes "$t/step_timeout" 77
refuses "$t/step_timeout" 0 00 3601 4294967296 4294967297 18446744073709551617 -1 +5 0x10 1s \
	1.5 "5 " " 5" "5${nl}6" "5$nl$nl" "$nl" " " five 1e3 "5 6" "5$tab"
refuses_nul "$t/step_timeout" '5\0'
takes "$t/step_timeout" 120

for word in none pause rebind; do
	takes "$t/disruption" $word
done
refuses "$t/disruption" None PAUSE rebinds in-place reset any 0 1 "none " " none" "none pause" \
	"none,pause" "none$nl$nl" "$nl" " " "none$tab"
refuses_nul "$t/disruption" 'none\0'

takes "$t/expected_generation" 1
takes "$t/expected_generation" 18446744073709551615
takes "$t/expected_generation" 4294967297
refuses "$t/expected_generation" 18446744073709551616 99999999999999999999999 -1 +5 0x10 1.5 "5 " \
	" 5" "5${nl}6" "5$nl$nl" "$nl" any
takes "$t/expected_generation" 0

# Base 10, also with a nought before it.
got=$(try write "$t/confirm_timeout" 010)
check_match "a nought does not mean base 8" "$got $(cat "$t/confirm_timeout")" '^(0 10|EINVAL 0)$'
echo 0 > "$t/confirm_timeout"

takes "$t/allow_in_use" net
takes "$t/allow_in_use" block
takes "$t/allow_in_use" other
check_eq "allow_in_use takes all three" "$(try write "$t/allow_in_use" "other net block")" 0
check_eq "and reads all three" "$(tr ' ' '\n' < "$t/allow_in_use" | sort | xargs)" "block net other"
for word in "net block" "block net"; do
	check_eq "allow_in_use takes \"$word\"" "$(try write "$t/allow_in_use" "$word")" 0
	check_eq "and reads both" "$(tr ' ' '\n' < "$t/allow_in_use" | sort | xargs)" "block net"
done
check_eq "what is written replaces what was" "$(try write "$t/allow_in_use" net)" 0
check_eq "and is not added to it" "$(cat "$t/allow_in_use")" net
refuses "$t/allow_in_use" Other others "net others" Net NET nets ne disk all none 0 1 "net,block" "net disk" "disk net" \
	"netblock" "net${nl}block" "net$nl$nl" "net${tab}block" "-net"
refuses_nul "$t/allow_in_use" 'net\0'
check_eq "a bare newline clears" "$(try raw "$t/allow_in_use" "$nl")" 0
check_eq "to nothing" "$(wc -c < "$t/allow_in_use")" 0
check_eq "also when it was clear" "$(try raw "$t/allow_in_use" "$nl")" 0

# Actions: exactly "1" with an optional newline. A refused word does nothing at all.
echo "$(group_type "$group")" > "$type"
generation=$(cat $CONFIGFS/generation)
for action in check commit confirm rollback; do
	for word in 0 2 11 01 +1 -1 1.0 "1 " " 1" "1$nl$nl" "${nl}1" "$nl" " " yes true y 0x1 "1 1" \
			"1${nl}1" "1$tab"; do
		check_eq "$action refuses \"$word\"" "$(try raw "$t/$action" "$word")" EINVAL
	done
	check_not "$action refuses a NUL" sh -c "printf '1\\0' > $t/$action" 2>/dev/null
	check_not "$action refuses it with a newline" sh -c "printf '1\\0\\n' > $t/$action" 2>/dev/null
done
check_eq "nothing came of these" "$(cat "$t/state") $(cat $CONFIGFS/generation)" "staged $generation"
check_eq "and nothing is reported" "$(report "$t")" ""

# A text longer than a page is no word of any kind.
big=$(printf '%5000s' '' | tr ' ' 1)
for file in check commit confirm rollback confirm_timeout expected_generation allow_in_use \
		step_timeout disruption "$group/type"; do
	check_not "$file refuses 5000 bytes" sh -c "echo $big > $t/$file" 2>/dev/null
done
big=$(printf '%5000s' '')1
for file in check commit confirm rollback confirm_timeout expected_generation step_timeout \
		"$group/type"; do
	check_not "$file refuses a 1 after 4999 spaces" sh -c "echo '$big' > $t/$file" 2>/dev/null
done
check_eq "still nothing came of it" "$(cat "$t/state")" staged
check_eq "nor changed" "$(cat "$t/confirm_timeout" "$t/expected_generation" "$t/allow_in_use" "$type" \
	"$t/step_timeout" "$t/disruption" | xargs)" "0 0 $(group_type "$group") 120 rebind"

check_eq "check takes 1" "$(try write "$t/check" 1)" 0
check_eq "check takes 1 without newline" "$(try raw "$t/check" 1)" 0
check_eq "commit takes 1 without newline" "$(try raw "$t/commit" 1)" 0
check_eq "and did it" "$(cat "$t/state")" committed
check_eq "rollback takes 1 without newline" "$(try raw "$t/rollback" 1)" 0
check_eq "and did that" "$(cat "$t/state")" rolled-back
txn_end "$t"

t=$(txn_new words2)
stage "$t" "$group" "$(group_type "$group")"
echo 600 > "$t/confirm_timeout"
check_eq "commit takes 1" "$(try write "$t/commit" 1)" 0
check_eq "and waits" "$(cat "$t/state")" unconfirmed
for word in 0 "1 " 01 yes "$nl"; do
	check_eq "confirm refuses \"$word\" where it could" "$(try raw "$t/confirm" "$word")" EINVAL
done
check_eq "and waits on" "$(cat "$t/state")" unconfirmed
check_eq "confirm takes 1 without newline" "$(try raw "$t/confirm" 1)" 0
check_eq "and keeps it" "$(cat "$t/state")" committed
check_eq "rollback takes 1" "$(try write "$t/rollback" 1)" 0
txn_end "$t"
finish
