// SPDX-License-Identifier: GPL-2.0
/*
 * The runtime monitor of transactions (kernel/trace/rv/monitors/iommu_txn), for kernels
 * without CONFIG_RV, such as Debian's: on as long as the module is loaded. Headers
 * below rv/ stand in for those of the kernel.
 */
#include "../../../kernel/trace/rv/monitors/iommu_txn/iommu_txn.c"
