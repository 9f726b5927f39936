# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# What it is all for: the same disk under each type. Under emulation, where a DMA costs
# other things than on hardware. The disk is one of those that have no file on the host: it
# answers at once, and what is left is the way there.

FIO_TYPES="DMA DMA-FQ identity"
FIO_DEV=0000:0f:00.0

fio_set()
{
	settle
	[ "$(group_type "$1")" = "$2" ] ||
		echo "$1" | stopwatch txn fio "$2" stage commit rmdir > /dev/null || bail "fio: no $2"
	settle
}

fio_round()
{
	local group=$1 type=$2 disk
	fio_set "$group" "$type"
	disk=/dev/$(disk_of "$FIO_DEV")
	# The terse format: a line a job, of which fields 7, 8, 48 and 49 are KiB/s and I/Os
	# a second, of reads and of writes.
	fio --minimal --filename="$disk" --direct=1 --ioengine=libaio --runtime="$FIO_SECONDS" \
		--time_based --stonewall \
		--name=randread --rw=randread --bs=4k --iodepth=16 \
		--stonewall --name=randwrite --rw=randwrite --bs=4k --iodepth=16 \
		--stonewall --name=read --rw=read --bs=128k --iodepth=4 > /tmp/fio ||
		bail "fio fails"
	cut -d ';' -f 3,7,8,48,49 /tmp/fio | while IFS=';' read -r job rkib riops wkib wiops; do
		figure fio "$type" "$job" $((rkib + wkib)) $((riops + wiops))
	done
}

bench_fio()
{
	local group boot type round
	plug 15
	group=$(group_of "$FIO_DEV")
	boot=$(group_type "$group")
	for round in $(seq "$FIO_ROUNDS"); do
		for type in $FIO_TYPES; do
			fio_round "$group" "$type"
		done
		# So that what drifts does not always drift against the same one.
		FIO_TYPES=$(echo "$FIO_TYPES" | tr ' ' '\n' | tac | xargs)
	done
	fio_set "$group" "$boot"
	plug_out 15
}
