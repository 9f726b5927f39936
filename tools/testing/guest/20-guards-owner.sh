#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC3043 # busybox has local
#
# What is never overridden: a group that user space owns, virtual functions, a
# driver that forbids unbinding. And what is in use below managed consumers.
#
# machines: vtd smmuv3
# also: virtio-iommu amd
# timeout: 240

. /lab/lib.sh

load_module

# refused WHAT DEVICE PATTERN: also with everything allowed.
refused()
{
	local action generation allow type drivers
	generation=$(cat $CONFIGFS/generation)
	type=$(group_type "$group")
	drivers=$(drivers_of "$group")
	for allow in "" "net block other"; do
		echo "$allow" > "$t/allow_in_use"
		for action in check commit; do
			check_eq "$1 ($allow): $action" "$(write_errno "$t/$action" 1)" EBUSY
			check_match "$1 ($allow): $action says why" "$(report "$t")" \
				"^$group $2 check EBUSY .*$3"
		done
	done
	echo > "$t/allow_in_use"
	check_eq "$1: nothing touched" \
		"$(cat "$t/state") $(group_type "$group") $(drivers_of "$group") $(cat $CONFIGFS/generation)" \
		"staged $type $drivers $generation"
}

# VFIO, by container
group=$(group_of vfio)
was=$(group_type "$group")
t=$(txn_new vfio)
stage "$t" "$group" identity
vfio_take vfio || bail "no vfio"
check_eq "bound to vfio-pci, but owned by nobody: check" "$(write_errno "$t/check" 1) $(report "$t")" "0 "
pid=$(hold_vfio "$group")
vfio_devs="($(dev vfio 0)|$(dev vfio 1))"
refused "owned by VFIO" "$vfio_devs" "vfio-pci"
check_eq "the owner still has it" "$(hold_vfio "$group" 2>/dev/null)" EBUSY
# It needs nothing that it has already.
o=$(txn_new same)
stage "$o" "$group" "$was"
check_eq "an owned group that has its type is left alone" "$(write_errno "$o/commit" 1) $(status "$o" "$group")" \
	"0 unchanged"
txn_end "$o"
let_go "$pid"
check_eq "let go: vfio-pci stays bound through the commit" \
	"$(write_errno "$t/commit" 1) $(group_type "$group") $(drivers_of "$group")" \
	"0 identity $(dev vfio 0)=vfio-pci $(dev vfio 1)=vfio-pci"
pid=$(hold_vfio "$group")
check "VFIO can have the group then" test -d "/proc/$pid"
check_eq "a rollback of an owned group" "$(write_errno "$t/rollback" 1)" EBUSY
check_eq "touches nothing" "$(cat "$t/state") $(group_type "$group")" "committed identity"
check_eq "also with everything allowed" \
	"$(echo "net block" > "$t/allow_in_use"; write_errno "$t/rollback" 1)" EBUSY
check_match "and says why" "$(report "$t")" "^$group $vfio_devs check EBUSY .*vfio-pci"
let_go "$pid"
check_eq "let go: it goes through" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"

# Owned when the timer is due: that group stays, and the state is failed.
t=$(txn_new timer)
stage "$t" "$group" identity
echo 600 > "$t/confirm_timeout"
check_eq "a commit with a timer" "$(write_errno "$t/commit" 1)" 0
pid=$(hold_vfio "$group")
echo 1 > "$t/confirm_timeout"
check "it comes due with an owner" wait_for 60 is "$t/state" failed
check_match "and says why" "$(report "$t")" "^$group $vfio_devs restore E[A-Z]+ .*vfio-pci"
check_eq "the group stays" "$(group_type "$group")" identity
let_go "$pid"
check_eq "a rollback tries again" "$(write_errno "$t/rollback" 1) $(group_type "$group") $(cat "$t/state")" \
	"0 $was rolled-back"
txn_end "$t"

# VFIO, by device: one of them is enough
if modprobe iommufd 2>/dev/null; then
	echo Y > /sys/module/iommufd/parameters/allow_unsafe_interrupts
	t=$(txn_new iommufd)
	stage "$t" "$group" identity
	pid=$(hold_iommufd "$(dev vfio 0)")
	refused "owned by iommufd" "$vfio_devs" "vfio-pci"
	check "the owner still has it" test -d "/proc/$pid"
	let_go "$pid"
	check_eq "let go: it goes through" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 identity"
	pid=$(hold_iommufd "$(dev vfio 0)")
	check "iommufd can have the device then" test -d "/proc/$pid"
	check_eq "a rollback of an owned group" "$(write_errno "$t/rollback" 1)" EBUSY
	let_go "$pid"
	check_eq "let go: it is rolled back" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
	txn_end "$t"
else
	skip "owned by iommufd" "the kernel has no iommufd"
fi
vfio_return vfio
wait_nic "$(dev vfio 0)" > /dev/null

# Virtual functions
group=$(group_of sriov)
was=$(group_type "$group")
dev=$(dev sriov 0)
t=$(txn_new sriov)
stage "$t" "$group" identity
check_eq "without virtual functions: check" "$(write_errno "$t/check" 1)" 0
echo 0 > /sys/bus/pci/drivers_autoprobe
echo 2 > "/sys/bus/pci/devices/$dev/sriov_numvfs" || bail "no virtual functions"
refused "virtual functions" "$dev" "[Vv]irtual function|VF"
check_eq "they are still there" "$(cat "/sys/bus/pci/devices/$dev/sriov_numvfs")" 2
vf=$(group_of "$(basename "$(readlink "/sys/bus/pci/devices/$dev/virtfn0")")")
if [ -n "$vf" ]; then
	o=$(txn_new vf)
	stage "$o" "$vf" identity
	check_eq "a virtual function's own group can change" \
		"$(write_errno "$o/commit" 1) $(group_type "$vf")" "0 identity"
	check_eq "and back" "$(write_errno "$o/rollback" 1)" 0
	txn_end "$o"
else
	skip "a virtual function's own group" "the IOMMU driver gives it none"
fi
echo 0 > "/sys/bus/pci/devices/$dev/sriov_numvfs"
echo 1 > /sys/bus/pci/drivers_autoprobe
check_eq "without them it goes through" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 identity"
# A rollback asks as well.
echo 0 > /sys/bus/pci/drivers_autoprobe
echo 1 > "/sys/bus/pci/devices/$dev/sriov_numvfs" || bail "no virtual function"
check_eq "a rollback asks" "$(echo "net block" > "$t/allow_in_use"; write_errno "$t/rollback" 1)" EBUSY
check_match "and says why" "$(report "$t")" "^$group $dev check EBUSY ."
echo 0 > "/sys/bus/pci/devices/$dev/sriov_numvfs"
echo 1 > /sys/bus/pci/drivers_autoprobe
check_eq "and goes through" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"

# A driver that forbids unbinding
edu_load
group=$(group_of edu)
a=$(dev edu 0)
b=$(dev edu 1)
was=$(group_type "$group")
t=$(txn_new fixed)
stage "$t" "$group" identity
override "$b" edu_lab_fixed
refused "a driver that forbids unbinding" "$b" "edu_lab_fixed"
echo > "/sys/bus/pci/devices/$b/driver_override"
edu_unload
edu_load
override "$b" edu_lab_managed
removes=$(edu_get "$b" removes)
check_eq "a driver that manages DMA itself: commit" "$(write_errno "$t/commit" 1) $(group_type "$group")" "0 identity"
check_eq "it stayed bound" "$(edu_get "$b" removes) $(driver_of "$b")" "$removes edu_lab_managed"
check_eq "so it does on the way back" "$(write_errno "$t/rollback" 1) $(group_type "$group") $(edu_get "$b" removes)" \
	"0 $was $removes"
override "$b" ""
txn_end "$t"

# The managed consumers of a device go with it, so they are looked at, too: an edu
# device is the supplier of another group's NIC, or of what is between them.
nics=$(group_of vfio)
nic_dev=$(dev vfio 0)
nic=$(wait_nic "$nic_dev")
nic_driver=$(driver_of "$nic_dev")
c=$(dev edu2 0)
echo "$c $a autoprobe" > $EDU/link || bail "no link"
echo "$nic_dev $c autoprobe" > $EDU/link || bail "no link"
t=$(txn_new consumers)
stage "$t" "$group" identity
check_eq "consumers that are not in use: check" "$(write_errno "$t/check" 1)" 0
ip link set "$nic" up
echo > $EDU/events
check_eq "a consumer's consumer is running: check" "$(write_errno "$t/check" 1)" EBUSY
check_match "names it" "$(report "$t")" "check EBUSY .*$nic"
check_eq "and commit" "$(write_errno "$t/commit" 1) $(cat $EDU/events)" "EBUSY "
echo net > "$t/allow_in_use"
check_eq "it can be allowed" "$(write_errno "$t/commit" 1)" 0
check_eq "everybody is bound again" "$(driver_of "$a") $(driver_of "$c") $(driver_of "$nic_dev")" \
	"edu_lab edu_lab $nic_driver"
check_match "the consumer had gone first" "$(awk '{ print $2, $4 }' $EDU/events | xargs)" \
	"$c remove $c removed .*$a remove $a removed"
check_match "and came last" "$(awk '{ print $2, $4 }' $EDU/events | xargs)" \
	"$a probed.* $c probe( |\$)"
check_eq "a consumer's own group keeps its type" "$(group_type "$nics") $(group_type "$(group_of edu2)")" "$was $was"
check_eq "back" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
wait_nic "$nic_dev" > /dev/null
txn_end "$t"
t=$(txn_new fixed)
stage "$t" "$group" identity
override "$c" edu_lab_fixed
check_eq "a consumer whose driver forbids unbinding" "$(write_errno "$t/check" 1)" EBUSY
check_match "is named" "$(report "$t")" " $c check EBUSY .*edu_lab_fixed"
echo > "/sys/bus/pci/devices/$c/driver_override"
txn_end "$t"
# The links go with the device in the middle; it comes back without them.
echo 1 > "/sys/bus/pci/devices/$c/remove"
rescan "$c"
[ "$(driver_of "$nic_dev")" = "$nic_driver" ] || bind "$nic_dev" "$nic_driver"
wait_nic "$nic_dev" > /dev/null

# A consumer that user space has through VFIO: its release would wait for that.
vfio_take vfio || bail "no vfio"
echo "$nic_dev $a autoremove_consumer" > $EDU/link || bail "no link"
t=$(txn_new vfio)
stage "$t" "$group" identity
check_eq "a consumer with vfio-pci that nobody has: check" "$(write_errno "$t/check" 1)" 0
pid=$(hold_vfio "$nics")
for allow in "" "net block other"; do
	echo "$allow" > "$t/allow_in_use"
	check_eq "one that user space has ($allow)" \
		"$(write_errno "$t/check" 1) $(write_errno "$t/commit" 1)" "EBUSY EBUSY"
	check_match "is named" "$(report "$t")" " $nic_dev check EBUSY .*vfio-pci"
done
check_eq "nothing was released" "$(driver_of "$a") $(driver_of "$nic_dev") $(cat "$t/state")" \
	"edu_lab vfio-pci staged"
let_go "$pid"
check_eq "let go, it is done" "$(write_errno "$t/commit" 1) $(driver_of "$nic_dev")" "0 vfio-pci"
check_eq "and undone" "$(write_errno "$t/rollback" 1) $(group_type "$group")" "0 $was"
txn_end "$t"
vfio_return vfio
wait_nic "$nic_dev" > /dev/null
edu_unload
finish
