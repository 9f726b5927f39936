#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# iommucfg where there is no IOMMU.
#
# machines: noiommu
# timeout: 60

. /lab/lib.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"

load_module
echo 'default = "DMA";' >/tmp/policy
run 1 "show" show
check_match "says why" "$(cat /tmp/err)" "no IOMMU"
run 1 "plan" plan /tmp/policy
run 1 "assert" assert /tmp/policy
run 1 "apply" apply /tmp/policy
run 1 "set" set 1 DMA
run 1 "save" save
run 0 "check needs none" check /tmp/policy
run 0 "status" status
run 1 "confirm has nothing" confirm
check_eq "no transaction is left" "$(ls $CONFIGFS | grep -vxE 'abi|generation' | xargs)" ""
finish
