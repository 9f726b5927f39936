#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What "iommucfg apply --boot" needs in the initramfs: itself, the module, the policy,
# and what is known of it: see iommucfg(8), AT BOOT.
# shellcheck disable=SC2154 # dracut sets moddir, initdir, dracutsysrootdir

check() {
	require_binaries @BINDIR@/iommucfg || return 1
	return 0
}

depends() {
	return 0
}

installkernel() {
	hostonly='' instmods configfs iommu-configfs
}

install() {
	local f

	inst_multiple @BINDIR@/iommucfg modprobe mount mkdir cat rm
	mkdir -p "$initdir/etc/iommucfg.d" "$initdir/var/lib/iommucfg"
	for f in /etc/iommucfg.conf /etc/iommucfg.d/*.conf /var/lib/iommucfg/good.conf \
		/var/lib/iommucfg/boot; do
		if [[ -e "${dracutsysrootdir-}$f" ]]; then
			cp -pL "${dracutsysrootdir-}$f" "$initdir$f"
		elif [[ -L "${dracutsysrootdir-}$f" ]]; then
			cp -pP "${dracutsysrootdir-}$f" "$initdir$f"
		fi
	done
	# Before udev loads the first driver.
	inst_hook pre-udev 10 "$moddir/iommucfg-boot.sh"
	inst_hook pre-pivot 90 "$moddir/iommucfg-root.sh"
	inst_hook emergency 10 "$moddir/iommucfg-root.sh"
}
