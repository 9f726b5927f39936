#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A hundred commits in a row, while another group's disk is written, read back
# and compared all the time.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240
# races: yes

. /lab/lib.sh

load_module
busy=$(disk_of "$(dev disk 0)")
dev=$(dev disk2 0)
group=$(group_of disk2)
boot=$(group_type "$group")
drivers=$(drivers_of "$group")
wrote=$(fill "$(wait_disk "$dev")" 4 100)
generation=$(cat $CONFIGFS/generation)

pattern loop "/dev/$busy" 2 17 > /tmp/rounds 2> /tmp/io &
io=$!

t=$(txn_new warm)
n=0
failed=0
while [ $n -lt 100 ]; do
	# What the group has would be no commit.
	case $(group_type "$group") in
	identity)	type=DMA ;;
	DMA)		type=DMA-FQ ;;
	*)		type=identity ;;
	esac
	rmdir "$t"/*/ 2>/dev/null
	rmdir "$t"
	t=$(txn_new "commit-$n")
	stage "$t" "$group" "$type"
	# The disk appears a moment after its driver, and may be open then.
	result=$(write_errno "$t/commit" 1)
	if [ "$result" != 0 ] || [ "$(group_type "$group")" != "$type" ]; then
		failed=$((failed + 1))
		say "commit $n to $type: $result, $(group_type "$group")" "$(report "$t")"
		[ $failed -lt 5 ] || break
	fi
	n=$((n + 1))
done
check_eq "a hundred commits are done" "$n of which $failed failed" "100 of which 0 failed"
check_eq "each raised the generation" "$(cat $CONFIGFS/generation)" $((generation + 100))
check "the other disk still goes" test -d /proc/$io
kill $io
wait $io
check_eq "its data was right all the time" "$(cat /tmp/io)" ""
check "and there were rounds" test "$(cat /tmp/rounds)" -gt 0
say "$(cat /tmp/rounds) rounds"
check_eq "every driver is there" "$(drivers_of "$group")" "$drivers"
check_eq "and the data of the disk itself" "$(sum "$(wait_disk "$dev")" 4)" "$wrote"
rmdir "$t"/*/ "$t"

t=$(txn_new back)
stage "$t" "$group" "$boot"
check_eq "back to the type of the boot" "$(write_errno "$t/commit" 1)" 0
rmdir "$t"/*/ "$t"
check_eq "which is there" "$(group_type "$group")" "$boot"
finish
