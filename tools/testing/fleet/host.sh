#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A host of the fleet: what systemd's units would do at boot, and then what the host that
# runs this guest asks for, as at a console. Files that must be there after a reboot are on
# a disk.

. /lab/lib.sh

# The directories of the state, and of the policy.
keep()
{
	mount -t ext4 /dev/vda /mnt 2>/dev/null ||
		{ mkfs.ext4 -q /dev/vda && mount -t ext4 /dev/vda /mnt; } || return
	mkdir -p /mnt/state /mnt/policy /var/lib/iommucfg /etc/iommucfg.d &&
		mount --bind /mnt/state /var/lib/iommucfg &&
		mount --bind /mnt/policy /etc/iommucfg.d
}

# iommucfg.service and iommucfg-confirm.service
boot_policy()
{
	[ -e /etc/iommucfg.d/50-fleet.conf ] || return 0
	iommucfg apply --boot && iommucfg confirm --boot
}

network()
{
	ip addr add 10.0.2.15/24 dev "$nic" && ip link set "$nic" up &&
		ip route add default via 10.0.2.2
}

# iommucfgd.service
start_agent()
{
	setsid iommucfgd -v >> /run/agent.log 2>&1 &
	echo $! > /run/agent.pid
}

kill_agent()
{
	kill -KILL "$(cat /run/agent.pid)"
}

# Nothing that the command prints is meant for a terminal.
export NO_COLOR=1 LC_ALL=C.UTF-8

hostname "$(sed -n 's/^name = "\(.*\)";$/\1/p' /etc/iommucfg/agent.conf)"
disk=$(group_of disk) nic_group=$(group_of nic) nic=$(wait_nic "$(dev nic)")
modprobe iommu-configfs
for step in keep boot_policy network start_agent; do
	$step || echo "# $step: status $?"
done > /run/boot.log 2>&1

while line=$(host command); do
	(eval "$line") > /run/output 2>&1 < /dev/null
	status=$?
	sed 's/^/ /' /run/output
	echo "end $status"
done
