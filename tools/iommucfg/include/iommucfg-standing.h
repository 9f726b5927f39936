/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommucfg - the kernel's standing rules for devices to come
 *
 * Included by iommucfg.h, which has the conventions.
 */
#ifndef LIBIOMMUCFG_STANDING_H
#define LIBIOMMUCFG_STANDING_H

#include "iommucfg.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Standing rules --------------------------------------------------------- */

/**
 * iommucfg_standing_sync() - have devices to come get their types by a policy
 * @policy: what the kernel's standing rules shall say from now on: they are made,
 *	and all others are removed, whoever made them
 * @problems: warnings of kind "standing": each rule of the policy that the kernel
 *	cannot have, or only in part, and the step that failed
 *
 * What the kernel cannot have of a rule is kept from the rules below it by one of
 * type "auto". Only what differs is written; where nothing does, nothing is. Rules
 * that are new begin to count when all of them are there, and old ones go after
 * that: what fails before leaves the rules as they were. Of two that do this at once the
 * second one waits for up to five seconds, by a lock on /run/iommucfg/standing.lock;
 * without it, or where a signal comes, nothing is written. Needs root.
 *
 * Return: how many of the kernel's rules were made, changed or removed;
 * -EOPNOTSUPP, with no problem added, where there is no module, or one that was
 * loaded without standing=1, or is older; or the errno of the step that failed,
 * -EWOULDBLOCK and -EINTR being those of the lock.
 */
int iommucfg_standing_sync(const struct iommucfg_policy *policy,
			   struct iommucfg_problems *problems);

/**
 * iommucfg_standing_list() - the names of the kernel's standing rules, sorted
 * @ctx: context
 * @names: set to an array ended by NULL, to be released with
 *	iommucfg_standing_list_free()
 *
 * Return: how many, -ENOENT where the kernel has no standing rules, or another
 * negative errno.
 */
int iommucfg_standing_list(struct iommucfg *ctx, char ***names);

/** iommucfg_standing_list_free() - release what iommucfg_standing_list() gave */
void iommucfg_standing_list_free(char **names);

/**
 * iommucfg_standing_attr() - one file of a standing rule
 * @name: the rule
 * @attr: "bus", "device", "modalias", "removable", "priority", "order",
 *	"type" or "hits"
 * @value: set to its text, without the newline, to be released with free()
 *
 * Return: 0, -ENOENT where there is no such rule or file, or the errno of reading it.
 */
int iommucfg_standing_attr(struct iommucfg *ctx, const char *name, const char *attr,
			   char **value);

/**
 * iommucfg_standing_report() - devices that did not get what a standing rule says
 * @problems: gets one per line, as iommucfg_txn_report() has them
 *
 * Return: how many were added, or a negative errno.
 */
int iommucfg_standing_report(struct iommucfg *ctx, enum iommucfg_severity severity,
			     struct iommucfg_problems *problems);

#ifdef __cplusplus
}
#endif

#endif /* LIBIOMMUCFG_STANDING_H */
