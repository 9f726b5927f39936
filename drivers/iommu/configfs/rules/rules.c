// SPDX-License-Identifier: GPL-2.0-only
/*
 * Standing rules: which type the devices to come are to have, and which rule
 * counts for a device. Its directories are rules-configfs.c's business, what is done
 * to a group hotplug.c's.
 *
 * Owns the list of rules; icfg_rules_lock protects it and them.
 */
#include <linux/cleanup.h>
#include <linux/glob.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../icfg.h"
#include "rules.h"

/* Protects the rules and their list. */
DEFINE_MUTEX(icfg_rules_lock);
static LIST_HEAD(rules);

/* A rule that matches nothing yet: it has no type. */
struct icfg_rule *icfg_rule_new(void)
{
	struct icfg_rule *rule;

	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return NULL;

	INIT_LIST_HEAD(&rule->node);
	rule->bus = icfg_bus_by_name("pci", strlen("pci")) ?:
		    icfg_bus_by_name("platform", strlen("platform"));
	rule->device = argv_split(GFP_KERNEL, "*", NULL);
	rule->modalias = argv_split(GFP_KERNEL, "*", NULL);
	if (!rule->device || !rule->modalias) {
		icfg_rule_free(rule);
		return NULL;
	}
	return rule;
}

void icfg_rule_free(struct icfg_rule *rule)
{
	if (rule->device)
		argv_free(rule->device);
	if (rule->modalias)
		argv_free(rule->modalias);
	kfree(rule);
}

void icfg_rule_add(struct icfg_rule *rule)
{
	guard(mutex)(&icfg_rules_lock);

	list_add_tail(&rule->node, &rules);
}

/* From here on it counts no more; the caller still has its reference. */
void icfg_rule_drop(struct icfg_rule *rule)
{
	guard(mutex)(&icfg_rules_lock);

	list_del_init(&rule->node);
}

/* Is there a rule at all? Without the lock. */
bool icfg_rules_any(void)
{
	return !list_empty(&rules);
}

static bool fits(char * const *patterns, const char *text)
{
	for (; *patterns; patterns++)
		if (glob_match(*patterns, text))
			return true;
	return false;
}

/* The device's modalias as its uevent has it, or "" where it has none. */
static const char *modalias_of(struct device *dev, struct kobj_uevent_env *env)
{
	static const char key[] = "MODALIAS=";
	int i;

	env->envp_idx = 0;
	env->buflen = 0;
	if (!dev->bus->uevent || dev->bus->uevent(dev, env))
		return "";
	for (i = 0; i < env->envp_idx; i++)
		if (!strncmp(env->envp[i], key, strlen(key)))
			return env->envp[i] + strlen(key);
	return "";
}

static bool matches(const struct icfg_rule *rule, struct device *dev,
		    const char *modalias)
{
	if (rule->type == ICFG_NONE || rule->bus != dev->bus)
		return false;
	if (rule->removable == (dev_is_removable(dev) ? ICFG_REMOVABLE_NO :
							ICFG_REMOVABLE_YES))
		return false;
	return fits(rule->device, dev_name(dev)) &&
	       fits(rule->modalias, modalias);
}

static bool is_before(const struct icfg_rule *a, const struct icfg_rule *b)
{
	return a->priority > b->priority ||
	       (a->priority == b->priority && a->order < b->order);
}

/**
 * icfg_rules_match - the rule that counts for a device
 * @dev: the device
 * @env: room for its modalias
 *
 * Returns the matching rule with the highest priority, of several the one with
 * the lowest order, of those the one made first; or NULL. It is valid while
 * icfg_rules_lock, which the caller holds, is held.
 */
struct icfg_rule *icfg_rules_match(struct device *dev,
				   struct kobj_uevent_env *env)
{
	const char *modalias = modalias_of(dev, env);
	struct icfg_rule *rule, *best = NULL;

	lockdep_assert_held(&icfg_rules_lock);

	list_for_each_entry(rule, &rules, node)
		if ((!best || is_before(rule, best)) &&
		    matches(rule, dev, modalias))
			best = rule;
	return best;
}
