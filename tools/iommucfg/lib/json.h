/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of JSON documents; for the library and the command, not installed. */
#ifndef IOMMUCFG_JSON_H
#define IOMMUCFG_JSON_H

#include "iommucfg.h"

struct json_object;

struct json_object *json_text(const char *text);
bool json_is_utf8(const char *text, size_t length);
struct json_object *json_number(long number);
void json_add_ids(struct json_object *o, struct iommucfg_device *device);
struct json_object *json_uses(const struct iommucfg_device *device);
void json_add_problems(struct json_object *array, const struct iommucfg_problems *problems);
struct json_object *json_worst_first(struct json_object *array);
struct json_object *json_problems(const struct iommucfg_problems *problems);
struct json_object *json_report(const struct iommucfg_problems *report);
struct json_object *json_creator(const struct iommucfg_txn *txn, long *age);
void json_add_txn(struct json_object *o, struct iommucfg_txn *txn);
struct json_object *json_rules(const struct iommucfg_plan *plan);
struct json_object *json_losses(const struct iommucfg_plan *plan);
struct json_object *json_change(const struct iommucfg_plan *plan,
				const struct iommucfg_change *change);

#endif
