#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# In a kdump kernel the module refuses to load.
#
# machines: kdump
# timeout: 60

. /lab/lib.sh

# The lab would not have tried before.
check_not "it is not loaded" test -d /sys/module/iommu_configfs
check_match "the kernel takes itself for one" "$(cat /proc/cmdline)" '\<elfcorehdr='
file=$(find /lib/modules -name iommu-configfs.ko)
[ -n "$file" ] || bail "no module"
modprobe configfs
check_match "it refuses with EPERM" "$(insmod "$file" 2>&1)" 'Operation not permitted'
check_not "and is not there" test -d /sys/module/iommu_configfs
check_not "nor its tree" test -e $CONFIGFS
check_match "a second time, too" "$(insmod "$file" 2>&1)" 'Operation not permitted'
finish
