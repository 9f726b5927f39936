#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A standing rule whose type a device, its IOMMU, or the attach refuses: the group is left
# with the type that it had, and the report says why.
#
# machines: mock
# timeout: 60

. /lab/lib.sh
. /lab/tests/faults.sh
. /lab/tests/mock.sh

STANDING=$CONFIGFS/standing

modprobe -r iommu-configfs
modprobe iommu-configfs standing=1
mock_load
mkdir $STANDING/r || bail "no rule"
echo platform > $STANDING/r/bus
n=0

# arrives "what" WANTED LINE WORD...: a device like this; its group then has that type, and
# LINE is what the report ends in, without group and device.
arrives()
{
	local what=$1 wanted=$2 line=$3 id
	shift 3
	check "$what: the device is made" mock_write create 1 1 "$@"
	id=$(mock_ids $n)
	check_eq "$what: the type" "$(group_type "$id")" "$wanted"
	check_match "$what: the report" "$(tail -n 1 $STANDING/report)" "^$id mock\.$n $line"
	check_eq "$what: its driver" "$(mock_drivers $n)" "mock.$n=mock"
	check_eq "$what: what the device finds" "$(mock_found $n)" "$wanted"
	n=$((n + 1))
}

mock_create 1 1
boot=$(group_type "$(mock_ids 0)")
n=1

echo identity > $STANDING/r/type
arrives "forced" DMA "check EINVAL identity of standing rule r is ruled out: device mock.1 needs DMA" force=DMA
arrives "no identity domain" "$boot" \
	"check EOPNOTSUPP its IOMMU has no identity domain, for standing rule r" noidentity
arrives "no attach" "$boot" "switch EIO identity of standing rule r comes out as $boot" \
	attach_errors_identity=-1
echo DMA-FQ > $STANDING/r/type
arrives "no lazy invalidation" DMA \
	"check EOPNOTSUPP its IOMMU cannot defer invalidation, for standing rule r" no_fq=1
check_eq "the rule held for none" "$(cat $STANDING/r/hits)" 0

rmdir $STANDING/r
check_mock_clean "at the end"
mock_end
check "the module unloads" rmmod iommu_configfs
finish
