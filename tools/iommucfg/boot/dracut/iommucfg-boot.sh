#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by dracut: it must neither exit nor change the shell's arguments.
iommucfg_boot() {
	local word f policy=
	for word in $(cat /proc/cmdline); do
		[ "$word" != iommucfg=off ] || return 0
	done
	for f in /etc/iommucfg.conf /etc/iommucfg.d/*.conf; do
		if [ -e "$f" ] || [ -L "$f" ]; then
			policy=$f
		fi
	done
	[ -n "$policy" ] || return 0

	modprobe -q configfs || :
	modprobe -q iommu-configfs || :
	[ -d /sys/kernel/config/iommu ] || mount -t configfs none /sys/kernel/config || :
	# What goes wrong is in the kernel's log, and no reason not to boot. It takes no
	# longer than the command's limit, and goes back by itself unless root is reached.
	@BINDIR@/iommucfg apply --boot --initramfs </dev/null >/dev/null || :
	# This /var goes: the history is taken over when there is another.
	if [ -e /var/lib/iommucfg/history ]; then
		mkdir -p /run/iommucfg
		cat /var/lib/iommucfg/history >/run/iommucfg/history
	fi
	return 0
}
iommucfg_boot
