#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by dracut when root is mounted, and when it was given up: the change of
# "iommucfg apply --boot" is not held on to any longer. It goes back unless the system
# confirms it in time, see iommucfg(8), AT BOOT.
if [ -e /run/iommucfg/waiting-for-root ]; then
	rm -f /run/iommucfg/waiting-for-root
	# All processes of the initramfs may be killed now: the time that is left begins anew.
	[ ! -e /sys/kernel/config/iommu/iommucfg-boot ] ||
		echo 300 >/sys/kernel/config/iommu/iommucfg-boot/confirm_timeout || :
fi
