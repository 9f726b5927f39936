#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# by-hand.sh TYPE GROUP...: how people change the type of groups today, by sysfs alone.
# As quick as a script can be: no process but one for each driver's name.

type=$1
shift
for group; do
	drivers=
	for dev in /sys/kernel/iommu_groups/"$group"/devices/*; do
		driver=$(readlink "$dev/driver")
		echo "${dev##*/}" > "$dev/driver/unbind" || exit
		drivers="$drivers ${dev##*/}=${driver##*/}"
	done
	echo "$type" > "/sys/kernel/iommu_groups/$group/type" || exit
	for pair in $drivers; do
		echo "${pair%=*}" > "/sys/bus/pci/drivers/${pair#*=}/bind" || exit
	done
done
