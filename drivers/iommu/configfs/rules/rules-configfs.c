// SPDX-License-Identifier: GPL-2.0-only
/*
 * The directories and files of the standing rules, below "standing". What a rule
 * matches is rules.c's business.
 *
 * Owns no data but the directory. Show and store methods take the lock of the rules
 * for moments.
 */
#include <linux/cleanup.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "../icfg.h"
#include "rules.h"

static const char * const removable_words[] = {
	[ICFG_REMOVABLE_ANY]	= "any",
	[ICFG_REMOVABLE_YES]	= "yes",
	[ICFG_REMOVABLE_NO]	= "no",
};

static struct icfg_rule *to_rule(struct config_item *item)
{
	return container_of(item, struct icfg_rule, item);
}

static ssize_t show_patterns(char **patterns, char *page)
{
	size_t at = 0;

	for (; *patterns; patterns++)
		at += scnprintf(page + at, ICFG_TEXT_MAX - at, "%s%c",
				*patterns, patterns[1] ? ' ' : '\n');
	return at;
}

/* Show something of a rule. */
#define RULE_SHOW(name, how)						\
static ssize_t icfg_rule_##name##_show(struct config_item *item,	\
				       char *page)			\
{									\
	struct icfg_rule *rule = to_rule(item);				\
									\
	guard(mutex)(&icfg_rules_lock);					\
									\
	return how;							\
}

RULE_SHOW(bus, sprintf(page, "%s\n", rule->bus->name))
RULE_SHOW(device, show_patterns(rule->device, page))
RULE_SHOW(modalias, show_patterns(rule->modalias, page))
RULE_SHOW(removable, sprintf(page, "%s\n", removable_words[rule->removable]))
RULE_SHOW(priority, sprintf(page, "%u\n", rule->priority))
RULE_SHOW(order, sprintf(page, "%u\n", rule->order))
RULE_SHOW(type, sprintf(page, "%s\n", icfg_type_word(rule->type)))
RULE_SHOW(hits, sprintf(page, "%lu\n", rule->hits))

/* Take something for a rule. */
#define RULE_STORE(name, how)						\
static ssize_t icfg_rule_##name##_store(struct config_item *item,	\
					const char *page, size_t count)	\
{									\
	struct icfg_rule *rule = to_rule(item);				\
									\
	return icfg_capable() ? how : -EACCES;				\
}

static ssize_t store_bus(const struct bus_type **where, const char *page, size_t count)
{
	const struct bus_type *bus;

	bus = icfg_bus_by_name(page, icfg_line_len(page, count));
	if (!bus)
		return -EINVAL;

	guard(mutex)(&icfg_rules_lock);

	*where = bus;
	return count;
}

static ssize_t store_patterns(char ***where, const char *page, size_t count)
{
	char **patterns;
	int words;

	/*
	 * What does not fit comes in pieces, each of which would be the whole list: no
	 * telling whether this is one. What is behind a NUL would be lost in silence.
	 */
	if (strlen(page) != count || count == ICFG_TEXT_MAX - 1)
		return -EINVAL;
	patterns = argv_split(GFP_KERNEL, page, &words);
	if (!patterns)
		return -ENOMEM;
	if (words) {
		guard(mutex)(&icfg_rules_lock);
		swap(*where, patterns);
	}
	argv_free(patterns);
	return words ? count : -EINVAL;
}

static ssize_t store_removable(enum icfg_removable *where, const char *page, size_t count)
{
	int i;

	i = icfg_word_index(removable_words, ARRAY_SIZE(removable_words), page,
			    icfg_line_len(page, count));
	if (i < 0)
		return i;

	guard(mutex)(&icfg_rules_lock);

	*where = i;
	return count;
}

static ssize_t store_number(u32 *number, const char *page, size_t count)
{
	u64 value;
	int ret;

	ret = icfg_parse_number(page, count, U32_MAX, &value);
	if (ret)
		return ret;

	guard(mutex)(&icfg_rules_lock);

	*number = value;
	return count;
}

static ssize_t store_type(enum icfg_type *where, const char *page, size_t count)
{
	const char *none = icfg_type_word(ICFG_NONE);
	enum icfg_type type = ICFG_NONE;
	int ret = 0;

	if (!icfg_is_word(page, icfg_line_len(page, count), none))
		ret = icfg_parse_type(page, count, &type);
	if (ret)
		return ret;

	guard(mutex)(&icfg_rules_lock);

	*where = type;
	return count;
}

RULE_STORE(bus, store_bus(&rule->bus, page, count))
RULE_STORE(device, store_patterns(&rule->device, page, count))
RULE_STORE(modalias, store_patterns(&rule->modalias, page, count))
RULE_STORE(removable, store_removable(&rule->removable, page, count))
RULE_STORE(priority, store_number(&rule->priority, page, count))
RULE_STORE(order, store_number(&rule->order, page, count))
RULE_STORE(type, store_type(&rule->type, page, count))

CONFIGFS_ATTR(icfg_rule_, bus);
CONFIGFS_ATTR(icfg_rule_, device);
CONFIGFS_ATTR(icfg_rule_, modalias);
CONFIGFS_ATTR(icfg_rule_, removable);
CONFIGFS_ATTR(icfg_rule_, priority);
CONFIGFS_ATTR(icfg_rule_, order);
CONFIGFS_ATTR(icfg_rule_, type);
CONFIGFS_ATTR_RO(icfg_rule_, hits);

static struct configfs_attribute *icfg_rule_attrs[] = {
	&icfg_rule_attr_bus,
	&icfg_rule_attr_device,
	&icfg_rule_attr_modalias,
	&icfg_rule_attr_removable,
	&icfg_rule_attr_priority,
	&icfg_rule_attr_order,
	&icfg_rule_attr_type,
	&icfg_rule_attr_hits,
	NULL
};

static void icfg_rule_release(struct config_item *item)
{
	icfg_rule_free(to_rule(item));
}

static struct configfs_item_operations icfg_rule_item_ops = {
	.release	= icfg_rule_release,
};

static const struct config_item_type icfg_rule_item_type = {
	.ct_item_ops	= &icfg_rule_item_ops,
	.ct_attrs	= icfg_rule_attrs,
	.ct_owner	= THIS_MODULE,
};

/* The directory of all rules. */

static ssize_t icfg_standing_report_show(struct config_item *item, char *page)
{
	return icfg_hotplug_report(page);
}

CONFIGFS_ATTR_RO(icfg_standing_, report);

static struct configfs_attribute *icfg_standing_attrs[] = {
	&icfg_standing_attr_report,
	NULL
};

static struct config_item *icfg_standing_make_item(struct config_group *dir,
						   const char *name)
{
	struct icfg_rule *rule;

	if (!icfg_name_ok(name))
		return ERR_PTR(-EINVAL);

	rule = icfg_rule_new();
	if (!rule)
		return ERR_PTR(-ENOMEM);

	config_item_init_type_name(&rule->item, name, &icfg_rule_item_type);
	if (!config_item_name(&rule->item)) {
		config_item_put(&rule->item);
		return ERR_PTR(-ENOMEM);
	}
	icfg_rule_add(rule);
	return &rule->item;
}

static void icfg_standing_drop_item(struct config_group *dir,
				    struct config_item *item)
{
	icfg_rule_drop(to_rule(item));
	config_item_put(item);
}

static struct configfs_group_operations icfg_standing_group_ops = {
	.make_item	= icfg_standing_make_item,
	.drop_item	= icfg_standing_drop_item,
};

static const struct config_item_type icfg_standing_type = {
	.ct_group_ops	= &icfg_standing_group_ops,
	.ct_attrs	= icfg_standing_attrs,
	.ct_owner	= THIS_MODULE,
};

static struct config_group standing_dir;

/* Have the directory made together with @root, if there are to be such rules. */
void icfg_rules_configfs_init(struct config_group *root)
{
	if (!icfg_hotplug_enabled())
		return;

	config_group_init_type_name(&standing_dir, "standing",
				    &icfg_standing_type);
	configfs_add_default_group(&standing_dir, root);
}
