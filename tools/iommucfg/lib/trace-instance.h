/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IOMMUCFG_TRACE_INSTANCE_H
#define IOMMUCFG_TRACE_INSTANCE_H

#include "internal.h"

#define TRACING		"sys/kernel/tracing"

bool ic_instance_make(struct iommucfg *ctx, const char *prefix, const char *event, char *name,
		      size_t size);
void ic_instance_remove(struct iommucfg *ctx, const char *name);

#endif
