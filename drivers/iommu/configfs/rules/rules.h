/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_RULES_H
#define _ICFG_RULES_H

#include <linux/configfs.h>
#include <linux/device.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "../icfg.h"

struct kobj_uevent_env;

/* Which devices a rule is for, by whether they are removable. */
enum icfg_removable {
	ICFG_REMOVABLE_ANY,
	ICFG_REMOVABLE_YES,
	ICFG_REMOVABLE_NO,
};

/**
 * struct icfg_rule - a type for devices to come
 * @item: its directory, whose reference count is that of the rule
 * @node: in the list of rules, in the order in which they were made
 * @bus: of the devices that it is for
 * @device: patterns of their names, from argv_split()
 * @modalias: the same of their modaliases
 * @removable: only what is removable, or only the rest
 * @priority: the highest counts
 * @order: of equals the lowest counts, then the one made first
 * @type: ICFG_NONE while it is not to count
 * @hits: devices for which it decided
 *
 * All but @item is under icfg_rules_lock.
 */
struct icfg_rule {
	struct config_item item;
	struct list_head node;
	const struct bus_type *bus;
	char **device;
	char **modalias;
	enum icfg_removable removable;
	u32 priority;
	u32 order;
	enum icfg_type type;
	unsigned long hits;
};

/* Protects the rules and their list; taken inside of a group's mutex, never around it. */
extern struct mutex icfg_rules_lock;

struct icfg_rule *icfg_rule_new(void);
void icfg_rule_free(struct icfg_rule *rule);
void icfg_rule_add(struct icfg_rule *rule);
void icfg_rule_drop(struct icfg_rule *rule);

bool icfg_rules_any(void);
struct icfg_rule *icfg_rules_match(struct device *dev,
				   struct kobj_uevent_env *env);

void icfg_rules_configfs_init(struct config_group *root);

/* hotplug.c */
bool icfg_hotplug_enabled(void);
int icfg_hotplug_init(void);
void icfg_hotplug_exit(void);
ssize_t icfg_hotplug_report(char *page);

#endif /* _ICFG_RULES_H */
