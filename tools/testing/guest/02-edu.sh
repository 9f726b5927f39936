#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The test driver for edu devices does what tests ask of it, and its DMA works
# under each type.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 90

. /lab/lib.sh

group=$(group_of edu)
a=$(dev edu 0)
b=$(dev edu 1)
c=$(dev edu 2)

boot=$(group_type "$group")
check "the module loads" edu_load
check_eq "it takes all devices of the group" "$(drivers_of "$group")" \
	"$a=edu_lab $b=edu_lab $c=edu_lab"

for type in identity DMA DMA-FQ; do
	for dev in $a $b $c; do
		unbind "$dev"
	done
	echo "$type" > "$SYS_GROUPS/$group/type"
	check_eq "$type: read back" "$(group_type "$group")" "$type"
	# A probe fails where its DMA does not bring back what went out.
	for dev in $a $b $c; do
		check "$type: DMA works for $dev" bind "$dev" edu_lab
	done
done

unbind "$a"
edu_set "$a" probe_errors 1
edu_set "$a" probe_errno 12
check_eq "a probe fails as asked" "$(write_errno /sys/bus/pci/drivers/edu_lab/bind "$a")" ENOMEM
check "and the next one does not" bind "$a" edu_lab

unbind "$a"
edu_set "$a" probe_defers 1
echo "$a" > /sys/bus/pci/drivers_probe
check_eq "a probe defers as asked" "$(driver_of "$a")" -
# Whatever binds next makes the core try again.
unbind "$b"
bind "$b" edu_lab
check "the core tries again" wait_for 10 test -e "/sys/bus/pci/devices/$a/driver"

removes=$(edu_get "$a" removes)
edu_set "$a" remove_hold 1
unbind "$a" &
check "a remove waits as asked" wait_for 10 edu_doing "$a" remove
check_eq "it is still in there" "$(edu_get "$a" removes)" "$removes"
edu_set "$a" remove_hold 0
wait
check_eq "then it ends" "$(edu_get "$a" removes)" $((removes + 1))

edu_set "$a" supplier "$b"
edu_set "$a" child 1
check "a consumer with a child binds" bind "$a" edu_lab
check "the link is there" test -e "/sys/bus/pci/devices/$b/consumer:pci:$a"
echo > $EDU/events
unbind "$b"
check_eq "its supplier takes it along, children first" \
	"$(awk '{ print $2, $4 }' $EDU/events | xargs)" \
	"$a remove $(edu_child "$a") removed $a removed $b remove $b removed"

edu_set "$a" supplier ""
edu_set "$a" child 0

# A lock that a kernel thread keeps
check_eq "a probe or remove by hand is not without I/O for memory" \
	"$(edu_get "$b" probe_noio) $(edu_get "$b" remove_noio)" "0 0"
bind "$b" edu_lab
echo "$b" > $EDU/lock
unbind "$b" &
sleep 1
check_eq "a device whose lock is taken cannot be unbound" "$(driver_of "$b") $(edu_get "$b" doing)" "edu_lab -"
check_not "a lock of no device is refused" sh -c "echo 0000:ff:1f.7 > $EDU/lock" 2>/dev/null
check "which lets the other one go" wait_for 10 test ! -e "/sys/bus/pci/devices/$b/driver"
wait
echo "$b" > $EDU/lock
echo - > $EDU/lock
check "let go, it can be bound again" bind "$b" edu_lab

check "the fixed driver binds" override "$a" edu_lab_fixed
check_not "and has no unbind" test -e /sys/bus/pci/drivers/edu_lab_fixed/unbind
echo > "/sys/bus/pci/devices/$a/driver_override"
check "the managing driver binds" override "$c" edu_lab_managed
echo > "/sys/bus/pci/devices/$c/driver_override"

edu_unload
echo "$boot" > "$SYS_GROUPS/$group/type"
check_eq "without the module they have no driver" "$(drivers_of "$group")" "$a=- $b=- $c=-"
finish
