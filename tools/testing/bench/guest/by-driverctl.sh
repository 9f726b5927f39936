#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# by-driverctl.sh TYPE GROUP...: the same with driverctl, which knows how to keep a device
# without a driver, but nothing of types.

type=$1
shift
for group; do
	for dev in /sys/kernel/iommu_groups/"$group"/devices/*; do
		driverctl --nosave set-override "${dev##*/}" none || exit
	done
	echo "$type" > "/sys/kernel/iommu_groups/$group/type" || exit
	for dev in /sys/kernel/iommu_groups/"$group"/devices/*; do
		driverctl --nosave unset-override "${dev##*/}" || exit
	done
done
