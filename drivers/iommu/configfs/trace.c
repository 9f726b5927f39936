// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints, one for each phase: /sys/kernel/tracing/events/iommu_configfs.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
