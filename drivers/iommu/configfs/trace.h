/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_configfs

#if !defined(_ICFG_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _ICFG_TRACE_H

#include <linux/tracepoint.h>

#include "icfg.h"

/* @txn has just left the state @old, or is checked in it. */
TRACE_EVENT(icfg_state,
	    TP_PROTO(struct icfg_txn *txn, enum icfg_state old),
	    TP_ARGS(txn, old),
	    TP_STRUCT__entry(__string(transaction, icfg_txn_name(txn))
			     __string(old, icfg_state_word(old))
			     __string(state, icfg_state_word(txn->state))),
	    TP_fast_assign(__assign_str(transaction);
			   __assign_str(old);
			   __assign_str(state);),
	    TP_printk("transaction=%s old=%s state=%s",
		      __get_str(transaction), __get_str(old),
		      __get_str(state))
);

/* The directory of @txn is being removed. */
TRACE_EVENT(icfg_rmdir,
	    TP_PROTO(struct icfg_txn *txn),
	    TP_ARGS(txn),
	    TP_STRUCT__entry(__string(transaction, icfg_txn_name(txn))
			     __string(state, icfg_state_word(txn->state))),
	    TP_fast_assign(__assign_str(transaction);
			   __assign_str(state);),
	    TP_printk("transaction=%s state=%s",
		      __get_str(transaction), __get_str(state))
);

/* One event a group. */
DECLARE_EVENT_CLASS(icfg_group,
		    TP_PROTO(const struct icfg_plan_group *pg, enum icfg_type type,
			     int err),
		    TP_ARGS(pg, type, err),
		    TP_STRUCT__entry(__string(transaction,
					      icfg_txn_name(pg->plan->txn))
				     __string(type, icfg_type_word(type))
				     __string(now, icfg_type_word(pg->cur))
				     __field(unsigned int, group)
				     __field(int, err)),
		    TP_fast_assign(__assign_str(transaction);
				   __assign_str(type);
				   __assign_str(now);
				   __entry->group = pg->staged->id;
				   __entry->err = err;),
		    TP_printk("transaction=%s group=%u type=%s now=%s err=%d",
			      __get_str(transaction), __entry->group,
			      __get_str(type), __get_str(now), __entry->err)
);

#define ICFG_GROUP_EVENT(name)						\
	DEFINE_EVENT(icfg_group, name,					\
		     TP_PROTO(const struct icfg_plan_group *pg,		\
			      enum icfg_type type, int err),		\
		     TP_ARGS(pg, type, err))

ICFG_GROUP_EVENT(icfg_check);
ICFG_GROUP_EVENT(icfg_switch);
ICFG_GROUP_EVENT(icfg_verify);
ICFG_GROUP_EVENT(icfg_restore);

/* What is mapped with the drivers paused; -ENODATA: it does not translate. */
TRACE_EVENT(icfg_prove,
	    TP_PROTO(const struct icfg_plan_group *pg, long mappings),
	    TP_ARGS(pg, mappings),
	    TP_STRUCT__entry(__string(transaction, icfg_txn_name(pg->plan->txn))
			     __field(unsigned int, group)
			     __field(long, mappings)),
	    TP_fast_assign(__assign_str(transaction);
			   __entry->group = pg->staged->id;
			   __entry->mappings = mappings;),
	    TP_printk("transaction=%s group=%u mappings=%ld",
		      __get_str(transaction), __entry->group,
		      __entry->mappings)
);

/* One event a device. */
DECLARE_EVENT_CLASS(icfg_dev,
		    TP_PROTO(const struct icfg_plan_group *pg,
			     const struct icfg_plan_dev *d, int err),
		    TP_ARGS(pg, d, err),
		    TP_STRUCT__entry(__string(transaction,
					      icfg_txn_name(pg->plan->txn))
				     __string(device, dev_name(d->dev))
				     __string(driver, d->drv_name ?: "-")
				     __field(unsigned int, group)
				     __field(int, err)),
		    TP_fast_assign(__assign_str(transaction);
				   __assign_str(device);
				   __assign_str(driver);
				   __entry->group = pg->staged->id;
				   __entry->err = err;),
		    TP_printk("transaction=%s group=%u device=%s driver=%s err=%d",
			      __get_str(transaction), __entry->group,
			      __get_str(device), __get_str(driver),
			      __entry->err)
);

#define ICFG_DEV_EVENT(name)						\
	DEFINE_EVENT(icfg_dev, name,					\
		     TP_PROTO(const struct icfg_plan_group *pg,		\
			      const struct icfg_plan_dev *d, int err),	\
		     TP_ARGS(pg, d, err))

ICFG_DEV_EVENT(icfg_release);
ICFG_DEV_EVENT(icfg_probe);

/* @took: what the driver's callback took, in microseconds. */
TRACE_EVENT(icfg_pause,
	    TP_PROTO(const struct icfg_plan_group *pg,
		     const struct icfg_plan_dev *d, s64 took, int err),
	    TP_ARGS(pg, d, took, err),
	    TP_STRUCT__entry(__string(transaction, icfg_txn_name(pg->plan->txn))
			     __string(device, dev_name(d->dev))
			     __string(driver, d->drv_name ?: "-")
			     __field(unsigned int, group)
			     __field(s64, took)
			     __field(int, err)),
	    TP_fast_assign(__assign_str(transaction);
			   __assign_str(device);
			   __assign_str(driver);
			   __entry->group = pg->staged->id;
			   __entry->took = took;
			   __entry->err = err;),
	    TP_printk("transaction=%s group=%u device=%s driver=%s took_us=%lld err=%d",
		      __get_str(transaction), __entry->group,
		      __get_str(device), __get_str(driver),
		      __entry->took, __entry->err)
);

/* @silent: from before the pause until after the resume. */
TRACE_EVENT(icfg_resume,
	    TP_PROTO(const struct icfg_plan_group *pg,
		     const struct icfg_plan_dev *d, s64 took, s64 silent,
		     int err),
	    TP_ARGS(pg, d, took, silent, err),
	    TP_STRUCT__entry(__string(transaction, icfg_txn_name(pg->plan->txn))
			     __string(device, dev_name(d->dev))
			     __string(driver, d->drv_name ?: "-")
			     __field(unsigned int, group)
			     __field(s64, took)
			     __field(s64, silent)
			     __field(int, err)),
	    TP_fast_assign(__assign_str(transaction);
			   __assign_str(device);
			   __assign_str(driver);
			   __entry->group = pg->staged->id;
			   __entry->took = took;
			   __entry->silent = silent;
			   __entry->err = err;),
	    TP_printk("transaction=%s group=%u device=%s driver=%s took_us=%lld silent_us=%lld err=%d",
		      __get_str(transaction), __entry->group,
		      __get_str(device), __get_str(driver),
		      __entry->took, __entry->silent, __entry->err)
);

#endif /* _ICFG_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
