// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configfs interface: directories and files, and what is read from and written
 * to them. Documentation/ABI/testing/configfs-iommu describes it; what the
 * actions do is txn.c's business.
 *
 * Owns the subsystem. Show methods take txn->lock or the group's mutex for
 * moments and never the lock of a device, so that everything stays readable
 * while a commit runs.
 */
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/device.h>
#include <linux/module.h>

#include "core.h"
#include "icfg.h"
#include "rules/rules.h"
#include "trace.h"

static struct icfg_txn *to_txn(struct config_item *item)
{
	return container_of(to_config_group(item), struct icfg_txn, dir);
}

static struct icfg_staged *to_staged(struct config_item *item)
{
	return container_of(item, struct icfg_staged, item);
}

/* The files of a group. */

/* Show something of a group that txn->lock protects. */
#define GROUP_SHOW(name, fmt, value)					\
static ssize_t icfg_group_##name##_show(struct config_item *item,	\
					char *page)			\
{									\
	struct icfg_staged *group = to_staged(item);			\
									\
	guard(mutex)(&group->txn->lock);				\
									\
	return sprintf(page, fmt "\n", value);				\
}

GROUP_SHOW(type, "%s", icfg_type_word(group->new))
GROUP_SHOW(method, "%s", icfg_method_word(group->method))

static ssize_t icfg_group_type_store(struct config_item *item,
				     const char *page, size_t count)
{
	enum icfg_type type;
	int ret;

	ret = icfg_parse_type(page, count, &type);
	if (!ret)
		ret = icfg_staged_set_type(to_staged(item), type);
	return ret ?: count;
}

static ssize_t icfg_group_current_type_show(struct config_item *item,
					    char *page)
{
	return icfg_staged_show_type(to_staged(item), page);
}

static ssize_t icfg_group_devices_show(struct config_item *item, char *page)
{
	return icfg_staged_show_devices(to_staged(item), page);
}

static ssize_t icfg_group_status_show(struct config_item *item, char *page)
{
	struct icfg_staged *group = to_staged(item);
	size_t at;

	scoped_guard(mutex, &group->txn->lock)
		at = sprintf(page, "%s\n", icfg_status_word(group->status));
	return icfg_report_show(&group->txn->report, group->id, page, at);
}

CONFIGFS_ATTR(icfg_group_, type);
CONFIGFS_ATTR_RO(icfg_group_, current_type);
CONFIGFS_ATTR_RO(icfg_group_, method);
CONFIGFS_ATTR_RO(icfg_group_, devices);
CONFIGFS_ATTR_RO(icfg_group_, status);

static struct configfs_attribute *icfg_group_attrs[] = {
	&icfg_group_attr_type,
	&icfg_group_attr_current_type,
	&icfg_group_attr_method,
	&icfg_group_attr_devices,
	&icfg_group_attr_status,
	NULL
};

static void icfg_group_release(struct config_item *item)
{
	icfg_staged_free(to_staged(item));
}

static struct configfs_item_operations icfg_group_item_ops = {
	.release	= icfg_group_release,
};

static const struct config_item_type icfg_staged_type = {
	.ct_item_ops	= &icfg_group_item_ops,
	.ct_attrs	= icfg_group_attrs,
	.ct_owner	= THIS_MODULE,
};

/* The files of a transaction. */

/* Show an option. */
#define TXN_SHOW(name, fmt, value)					\
static ssize_t icfg_txn_##name##_show(struct config_item *item,		\
				      char *page)			\
{									\
	struct icfg_txn *txn = to_txn(item);				\
									\
	guard(mutex)(&txn->lock);					\
									\
	return sprintf(page, fmt "\n", value);				\
}

TXN_SHOW(expected_generation, "%llu", txn->expected_generation)
TXN_SHOW(confirm_timeout, "%u", txn->confirm_timeout)
TXN_SHOW(disruption, "%s", icfg_disruption_word(txn->disruption))
TXN_SHOW(step_timeout, "%u", txn->step_timeout)

static ssize_t icfg_txn_state_show(struct config_item *item, char *page)
{
	return sprintf(page, "%s\n",
		       icfg_state_word(READ_ONCE(to_txn(item)->state)));
}

static ssize_t icfg_txn_progress_show(struct config_item *item, char *page)
{
	struct icfg_txn *txn = to_txn(item);

	return sprintf(page, "%d %d\n", atomic_read(&txn->done),
		       atomic_read(&txn->total));
}

static ssize_t icfg_txn_report_show(struct config_item *item, char *page)
{
	return icfg_report_show(&to_txn(item)->report, ICFG_NO_GROUP, page, 0);
}

/*
 * Why an option cannot be written, or 0. In ICFG_STAGED the permissions of the
 * file will do. @valid: the text makes sense.
 */
static int option_refused(struct icfg_txn *txn, bool valid)
{
	lockdep_assert_held(&txn->lock);

	if (txn->state != ICFG_STAGED && !icfg_capable())
		return -EACCES;
	return valid ? 0 : -EINVAL;
}

/* The same for an option that can be written in ICFG_STAGED only. */
static int staged_option_refused(struct icfg_txn *txn, bool valid)
{
	int ret = option_refused(txn, valid);

	if (ret)
		return ret;
	return txn->state == ICFG_STAGED ? 0 : -EBUSY;
}

static ssize_t icfg_txn_expected_generation_store(struct config_item *item,
						  const char *page,
						  size_t count)
{
	struct icfg_txn *txn = to_txn(item);
	u64 expected = 0;
	bool valid;
	int ret;

	valid = !icfg_parse_number(page, count, U64_MAX, &expected);

	guard(mutex)(&txn->lock);

	ret = staged_option_refused(txn, valid);
	if (ret)
		return ret;
	txn->expected_generation = expected;
	return count;
}

static ssize_t icfg_txn_allow_in_use_show(struct config_item *item, char *page)
{
	struct icfg_txn *txn = to_txn(item);
	unsigned int allow;

	scoped_guard(mutex, &txn->lock)
		allow = txn->allow;

	return icfg_print_allow(allow, page);
}

static ssize_t icfg_txn_allow_in_use_store(struct config_item *item,
					   const char *page, size_t count)
{
	struct icfg_txn *txn = to_txn(item);
	unsigned int allow = 0;
	bool valid;
	int ret;

	valid = !icfg_parse_allow(page, count, &allow);

	guard(mutex)(&txn->lock);

	ret = option_refused(txn, valid);
	if (ret)
		return ret;

	switch (txn->state) {
	case ICFG_STAGED:
	case ICFG_UNCONFIRMED:
	case ICFG_COMMITTED:
	case ICFG_FAILED:
		txn->allow = allow;
		return count;
	default:
		return -EBUSY;
	}
}

static ssize_t icfg_txn_confirm_timeout_store(struct config_item *item,
					      const char *page, size_t count)
{
	struct icfg_txn *txn = to_txn(item);
	u64 seconds = 0;
	bool valid;
	int ret;

	valid = !icfg_parse_number(page, count, ICFG_CONFIRM_MAX, &seconds);

	guard(mutex)(&txn->lock);

	ret = option_refused(txn, valid) ?:
	      icfg_txn_set_confirm_timeout(txn, seconds);
	return ret ?: count;
}

static ssize_t icfg_txn_disruption_store(struct config_item *item,
					 const char *page, size_t count)
{
	enum icfg_disruption disruption = ICFG_DISRUPT_REBIND;
	struct icfg_txn *txn = to_txn(item);
	bool valid;
	int ret;

	valid = !icfg_parse_disruption(page, count, &disruption);

	guard(mutex)(&txn->lock);

	ret = staged_option_refused(txn, valid);
	if (ret)
		return ret;
	txn->disruption = disruption;
	return count;
}

static ssize_t icfg_txn_step_timeout_store(struct config_item *item,
					   const char *page, size_t count)
{
	struct icfg_txn *txn = to_txn(item);
	u64 seconds = 0;
	bool valid;
	int ret;

	valid = !icfg_parse_number(page, count, ICFG_STEP_TIMEOUT_MAX,
				   &seconds) && seconds;

	guard(mutex)(&txn->lock);

	ret = staged_option_refused(txn, valid);
	if (ret)
		return ret;
	txn->step_timeout = seconds;
	return count;
}

static ssize_t icfg_txn_remaining_show(struct config_item *item, char *page)
{
	return sprintf(page, "%u\n", icfg_txn_remaining(to_txn(item)));
}

static ssize_t store_action(struct config_item *item, const char *page,
			    size_t count, int (*action)(struct icfg_txn *txn))
{
	int ret;

	if (!icfg_capable())
		return -EACCES;

	ret = icfg_parse_one(page, count);
	if (!ret)
		ret = action(to_txn(item));
	return ret ?: count;
}

#define TXN_ACTION(name)						\
static ssize_t icfg_txn_##name##_store(struct config_item *item,	\
				       const char *page, size_t count)	\
{									\
	return store_action(item, page, count, icfg_txn_##name);	\
}

TXN_ACTION(check)
TXN_ACTION(commit)
TXN_ACTION(confirm)
TXN_ACTION(rollback)

CONFIGFS_ATTR_RO(icfg_txn_, state);
CONFIGFS_ATTR_RO(icfg_txn_, progress);
CONFIGFS_ATTR_RO(icfg_txn_, report);
CONFIGFS_ATTR(icfg_txn_, expected_generation);
CONFIGFS_ATTR(icfg_txn_, allow_in_use);
CONFIGFS_ATTR(icfg_txn_, disruption);
CONFIGFS_ATTR(icfg_txn_, confirm_timeout);
CONFIGFS_ATTR(icfg_txn_, step_timeout);
CONFIGFS_ATTR_RO(icfg_txn_, remaining);
CONFIGFS_ATTR_WO(icfg_txn_, check);
CONFIGFS_ATTR_WO(icfg_txn_, commit);
CONFIGFS_ATTR_WO(icfg_txn_, confirm);
CONFIGFS_ATTR_WO(icfg_txn_, rollback);

static struct configfs_attribute *icfg_txn_attrs[] = {
	&icfg_txn_attr_state,
	&icfg_txn_attr_progress,
	&icfg_txn_attr_report,
	&icfg_txn_attr_expected_generation,
	&icfg_txn_attr_allow_in_use,
	&icfg_txn_attr_disruption,
	&icfg_txn_attr_confirm_timeout,
	&icfg_txn_attr_step_timeout,
	&icfg_txn_attr_remaining,
	&icfg_txn_attr_check,
	&icfg_txn_attr_commit,
	&icfg_txn_attr_confirm,
	&icfg_txn_attr_rollback,
	NULL
};

static struct config_item *icfg_txn_make_item(struct config_group *dir,
					      const char *name)
{
	struct icfg_txn *txn = to_txn(&dir->cg_item);
	struct icfg_staged *group;
	unsigned int id;
	int ret;

	ret = icfg_parse_group_id(name, &id);
	if (ret)
		return ERR_PTR(ret);
	if (READ_ONCE(txn->state) != ICFG_STAGED)
		return ERR_PTR(-EBUSY);

	group = icfg_staged_new(id);
	if (IS_ERR(group))
		return ERR_CAST(group);

	config_item_init_type_name(&group->item, name, &icfg_staged_type);
	ret = icfg_txn_add(txn, group);
	if (ret) {
		config_item_put(&group->item);
		return ERR_PTR(ret);
	}
	return &group->item;
}

static void icfg_txn_drop_item(struct config_group *dir,
			       struct config_item *item)
{
	icfg_txn_drop(to_txn(&dir->cg_item), to_staged(item));
	config_item_put(item);
}

static void icfg_txn_release(struct config_item *item)
{
	icfg_txn_free(to_txn(item));
}

static struct configfs_item_operations icfg_txn_item_ops = {
	.release	= icfg_txn_release,
};

static struct configfs_group_operations icfg_txn_group_ops = {
	.make_item	= icfg_txn_make_item,
	.drop_item	= icfg_txn_drop_item,
};

static const struct config_item_type icfg_txn_type = {
	.ct_item_ops	= &icfg_txn_item_ops,
	.ct_group_ops	= &icfg_txn_group_ops,
	.ct_attrs	= icfg_txn_attrs,
	.ct_owner	= THIS_MODULE,
};

/* The files at the top. */

static ssize_t icfg_root_abi_show(struct config_item *item, char *page)
{
	return sprintf(page, "1\n");
}

static ssize_t icfg_root_generation_show(struct config_item *item, char *page)
{
	return sprintf(page, "%llu\n", icfg_generation());
}

CONFIGFS_ATTR_RO(icfg_root_, abi);
CONFIGFS_ATTR_RO(icfg_root_, generation);

static struct configfs_attribute *icfg_root_attrs[] = {
	&icfg_root_attr_abi,
	&icfg_root_attr_generation,
	NULL
};

static struct config_group *icfg_root_make_group(struct config_group *root,
						 const char *name)
{
	struct icfg_txn *txn;

	if (!icfg_name_ok(name))
		return ERR_PTR(-EINVAL);

	txn = icfg_txn_new();
	if (!txn)
		return ERR_PTR(-ENOMEM);

	config_group_init_type_name(&txn->dir, name, &icfg_txn_type);
	/* It does not say that it had no memory for a long one. */
	if (!config_item_name(&txn->dir.cg_item)) {
		config_item_put(&txn->dir.cg_item);
		return ERR_PTR(-ENOMEM);
	}
	return &txn->dir;
}

static void icfg_root_drop_item(struct config_group *root,
				struct config_item *item)
{
	trace_icfg_rmdir(to_txn(item));
	icfg_txn_forget(to_txn(item));
	config_item_put(item);
}

static struct configfs_group_operations icfg_root_group_ops = {
	.make_group	= icfg_root_make_group,
	.drop_item	= icfg_root_drop_item,
};

static const struct config_item_type icfg_root_type = {
	.ct_group_ops	= &icfg_root_group_ops,
	.ct_attrs	= icfg_root_attrs,
	.ct_owner	= THIS_MODULE,
};

struct configfs_subsystem icfg_subsys = {
	.su_group = {
		.cg_item = {
			.ci_namebuf = "iommu",
			.ci_type = &icfg_root_type,
		},
	},
};

int icfg_configfs_init(void)
{
	config_group_init(&icfg_subsys.su_group);
	mutex_init(&icfg_subsys.su_mutex);
	icfg_rules_configfs_init(&icfg_subsys.su_group);
	return configfs_register_subsystem(&icfg_subsys);
}

void icfg_configfs_exit(void)
{
	configfs_unregister_subsystem(&icfg_subsys);
}
