#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The lab's own tools: VFIO holds a group, devices come and go, uevents arrive,
# traces are caught, errno names are right.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 120

. /lab/lib.sh

# VFIO
group=$(group_of vfio)
check "vfio-pci takes the group" vfio_take vfio
pid=$(hold_vfio "$group")
check "a container holds it" test -d "/proc/$pid"
check_eq "and nobody else can" "$(hold_vfio "$group" 2>/dev/null)" EBUSY
check_eq "nor change its type" "$(write_errno "$SYS_GROUPS/$group/type" identity)" EPERM
check "it lets go" let_go "$pid"
check "the usual driver comes back" vfio_return vfio

# Unplugging, with uevents
unplugging()
{
	uevents_start /tmp/uevents
	check "a slot is unplugged" unplug nvme2
	check_not "its device is gone" test -e "/sys/bus/pci/devices/$dev"
	check "one can be plugged in" host device_add \
		nvme,id=nvme2,drive=nvme2,serial=nvme2,bus=rp3,addr=0.0
	check "and is found" wait_for 30 test -e "/sys/bus/pci/devices/$dev/driver"
	disk=$(wait_disk "$dev")
	check "with its disk" test -b "/dev/$disk"
	uevents_stop
	check_match "a uevent told of its going" "$(cat /tmp/uevents)" "^remove@.*/$dev "
	check_match "and of its coming" "$(cat /tmp/uevents)" "^add@.*/$dev .*PCI_SLOT_NAME=$dev"
	check "unplugged again" unplug nvme2
	check "the second function of the slot is plugged first" host device_add \
		e1000e,id=nic3,netdev=nic3,mac=52:54:00:12:34:04,bus=rp3,addr=0.1,multifunction=on
	check "then the first" host device_add \
		nvme,id=nvme2,drive=nvme2,serial=nvme2,bus=rp3,addr=0.0,multifunction=on
	lab_settle
}
dev=$(dev disk3 0)
if pluggable "$dev"; then
	unplugging
else
	skip "unplugging" "no disk of the machine is in a slot"
fi
check_not "the monitor's errors are told" host device_del nothing 2>/dev/null

# Capabilities
target=$SYS_GROUPS/$(group_of disk2)/type
check_eq "nobody" "$(try -u 65534 write "$target" DMA)" EACCES
check_eq "without CAP_SYS_ADMIN" "$(try -d sys_admin write "$target" DMA)" EACCES
check_eq "without CAP_SYS_RAWIO" "$(try -d sys_rawio write "$target" DMA)" EACCES
check_eq "in a user namespace" "$(try -U write "$target" DMA)" EACCES
check_eq "a user with capabilities" "$(try -u 65534 -k read /proc/1/environ)" 0

# An open disk
disk=$(wait_disk "$(dev disk2 0)")
pid=$(hold_open "/dev/$disk" excl)
check_eq "a disk held open" "$(hold_open "/dev/$disk" excl 2>/dev/null)" EBUSY
let_go "$pid"

# Traces
trace_start iommu:attach_device_to_domain
dev=$(dev disk2 1)
group=$(group_of disk2)
drivers=$(drivers_of "$group")
for pair in $drivers; do unbind "${pair%=*}"; done
echo identity > "$SYS_GROUPS/$group/type"
echo auto > "$SYS_GROUPS/$group/type"
for pair in $drivers; do bind "${pair%=*}" "${pair#*=}"; done
check_match "a trace event is caught" "$(trace_stop)" "attach_device_to_domain: .*$dev"

# Virtual functions
dev=$(dev sriov 0)
check "virtual functions can be enabled" sh -c \
	"echo 0 > /sys/bus/pci/drivers_autoprobe;
	 echo 2 > /sys/bus/pci/devices/$dev/sriov_numvfs"
check "and are there" test -e "/sys/bus/pci/devices/$dev/virtfn1"
check "and go again" sh -c "echo 0 > /sys/bus/pci/devices/$dev/sriov_numvfs"
echo 1 > /sys/bus/pci/drivers_autoprobe

finish
