#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The test that goes into the kernel's selftests, on the edu devices, which have no
# driver here.
#
# machines: vtd smmuv3
# also: virtio-iommu amd

. /lab/lib.sh

load_module
rmmod edu_lab 2> /dev/null
exec /lab/selftests/iommu/iommu_configfs.sh
