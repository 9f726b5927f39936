/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommucfg - plans: what a policy, or a list of types, would change
 *
 * Included by iommucfg.h, which has the conventions.
 */
#ifndef LIBIOMMUCFG_PLAN_H
#define LIBIOMMUCFG_PLAN_H

#include "iommucfg.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct iommucfg_plan_options - how a plan is to be carried out
 *
 * Later versions add options; one that is not set is off.
 */
struct iommucfg_plan_options;

/** iommucfg_plan_options_new() - options that are all off; NULL if there is no memory */
struct iommucfg_plan_options *iommucfg_plan_options_new(void);

/** iommucfg_plan_options_ref() - one more holder; returns them */
struct iommucfg_plan_options *iommucfg_plan_options_ref(struct iommucfg_plan_options *options);

/** iommucfg_plan_options_unref() - one holder less; NULL is none */
void iommucfg_plan_options_unref(struct iommucfg_plan_options *options);

/** iommucfg_plan_options_set_confirm_timeout() - seconds, 0 for none */
void iommucfg_plan_options_set_confirm_timeout(struct iommucfg_plan_options *options, long seconds);

/**
 * iommucfg_plan_options_set_default_timeout() - a confirm timeout where it is of use
 * @seconds: taken instead of a confirm timeout of 0 if the driver of a network interface or
 *	disk is unbound by the plan; 0 for none. See iommucfg_plan_confirm_timeout()
 */
void iommucfg_plan_options_set_default_timeout(struct iommucfg_plan_options *options, long seconds);

/** iommucfg_plan_options_set_allow_in_use() - mask of enum iommucfg_word */
void iommucfg_plan_options_set_allow_in_use(struct iommucfg_plan_options *options, int words);

/** iommucfg_plan_options_set_skip_in_use() - leave groups in use out instead of refusing */
void iommucfg_plan_options_set_skip_in_use(struct iommucfg_plan_options *options, bool skip);

/**
 * iommucfg_plan_options_set_only_look() - the plan is not to be carried out
 *
 * Else it is an error of the plan where it cannot be told whether a group is in use, and
 * with skip_in_use the group is left out.
 */
void iommucfg_plan_options_set_only_look(struct iommucfg_plan_options *options, bool look);

/** iommucfg_plan_options_set_strict() - a rule that no device meets is an error, not a warning */
void iommucfg_plan_options_set_strict(struct iommucfg_plan_options *options, bool strict);

/**
 * iommucfg_plan_options_set_disruption() - the most disruptive method that may be used
 *
 * A group that needs more is a problem of kind "disruption", or is left out with
 * skip_in_use.
 */
void iommucfg_plan_options_set_disruption(struct iommucfg_plan_options *options,
					  enum iommucfg_disruption disruption);

/**
 * iommucfg_plan_policy() - what a policy would change
 * @topology: groups, after iommucfg_topology_scan_use() if uses shall count
 * @policy: rules
 * @options: copied; NULL: all off
 * @plan: where to store the plan, which holds @topology and @policy
 *
 * Conflicts and problems are part of the plan. Where the module is loaded and the caller
 * may use it, the kernel is asked how it would change each group: for that a transaction
 * is made, checked and removed. What the kernel changes in place, or with its drivers
 * paused, may be in use.
 *
 * Return: 0, or a negative errno where no plan could be made.
 */
int iommucfg_plan_policy(struct iommucfg_topology *topology, const struct iommucfg_policy *policy,
			 const struct iommucfg_plan_options *options,
			 struct iommucfg_plan **plan);

/**
 * struct iommucfg_target - a group and the type that it shall get
 */
struct iommucfg_target {
	struct iommucfg_group *group;
	enum iommucfg_type type;
};

/**
 * iommucfg_plan_targets() - what a list of groups and types would change
 * @targets: @count of them; a group may appear twice with the same type
 *
 * Return: 0; -EINVAL, with a problem in the plan, where a group appears with
 * two types (the plan is stored then, too).
 */
int iommucfg_plan_targets(struct iommucfg_topology *topology,
			  const struct iommucfg_target *targets, size_t count,
			  const struct iommucfg_plan_options *options,
			  struct iommucfg_plan **plan);

/**
 * iommucfg_plan_check() - let the kernel judge a plan, touching nothing
 * @plan: gets the kernel's reasons as problems; with skip_in_use, groups in
 *	use move to the skipped ones, and groups that cannot take the default
 *	are left out with a warning
 * @txn: a transaction in which it is staged, see iommucfg_txn_stage_plan(), or a part
 *	of it, see iommucfg_txn_stage_part(). A group that the kernel finds in use,
 *	with IOMMUCFG_WORD_BLOCK permitted but not in this transaction, is taken out
 *	of it, and is one of the other part from then on
 *
 * Return: 0 where a commit would begin now, else the negative errno that it
 * would be refused with; -EACCES, with no problem added, where the caller may
 * stage but not act.
 */
int iommucfg_plan_check(struct iommucfg_plan *plan, struct iommucfg_txn *txn);

/**
 * iommucfg_plan_restrict() - leave out all but some groups
 * @plan: loses its other changes, and what it had to say of other groups or of
 *	none (such as rules that are required)
 * @groups: @count groups of the plan's topology, each once
 */
void iommucfg_plan_restrict(struct iommucfg_plan *plan, struct iommucfg_group *const *groups,
			    size_t count);

/** iommucfg_plan_ref() - one more holder of a plan; returns it */
struct iommucfg_plan *iommucfg_plan_ref(struct iommucfg_plan *plan);

/** iommucfg_plan_unref() - one holder of a plan less */
void iommucfg_plan_unref(struct iommucfg_plan *plan);

/** iommucfg_plan_num_changes() - groups that would change, sorted by number */
size_t iommucfg_plan_num_changes(const struct iommucfg_plan *plan);

/** iommucfg_plan_change() - the change at an index below their number */
const struct iommucfg_change *iommucfg_plan_change(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_plan_num_skipped() - groups left out because they are in use */
size_t iommucfg_plan_num_skipped(const struct iommucfg_plan *plan);

/** iommucfg_plan_skipped() - the one at an index below their number */
const struct iommucfg_change *iommucfg_plan_skipped(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_plan_confirm_timeout() - seconds in which the change must be confirmed; 0: none */
long iommucfg_plan_confirm_timeout(const struct iommucfg_plan *plan);

/**
 * iommucfg_plan_no_way_back() - was the default timeout not taken?
 *
 * True where groups in use go in place to DMA-FQ, which is undone by unbinding their drivers.
 */
bool iommucfg_plan_no_way_back(const struct iommucfg_plan *plan);

/**
 * iommucfg_plan_num_steps() - transactions that it takes, one after the other
 *
 * More than one where legs of a redundant set change, or devices that rules keep apart.
 */
unsigned int iommucfg_plan_num_steps(const struct iommucfg_plan *plan);

/** iommucfg_plan_sets() - the sets whose legs change one after the other, "bond0, md0", or NULL */
const char *iommucfg_plan_sets(const struct iommucfg_plan *plan);

/** iommucfg_plan_unchanged() - how many groups stay as they are and should */
size_t iommucfg_plan_unchanged(const struct iommucfg_plan *plan);

/** iommucfg_plan_conflicts() - groups whose rules want different types */
const struct iommucfg_problems *iommucfg_plan_conflicts(const struct iommucfg_plan *plan);

/** iommucfg_plan_problems() - everything else that a person should know */
struct iommucfg_problems *iommucfg_plan_problems(const struct iommucfg_plan *plan);

/** iommucfg_plan_num_rules() - rules of the policy, in reading order; 0 for targets */
size_t iommucfg_plan_num_rules(const struct iommucfg_plan *plan);

/** iommucfg_plan_rule() - the rule at an index below their number */
const struct iommucfg_rule *iommucfg_plan_rule(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_plan_rule_matched() - how many devices meet it */
size_t iommucfg_plan_rule_matched(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_plan_rule_won() - for how many of these it wins over other rules */
size_t iommucfg_plan_rule_won(const struct iommucfg_plan *plan, size_t index);

/**
 * iommucfg_plan_follows() - does a device change with its group alone?
 * @change: of the plan
 * @device: in its group
 *
 * Return: true where a rule asks for the change and none of them matches the device.
 */
bool iommucfg_plan_follows(const struct iommucfg_plan *plan, const struct iommucfg_change *change,
			   struct iommucfg_device *device);

/** iommucfg_change_group() - the group */
struct iommucfg_group *iommucfg_change_group(const struct iommucfg_change *change);

/** iommucfg_change_to() - the type that it would get */
enum iommucfg_type iommucfg_change_to(const struct iommucfg_change *change);

/**
 * iommucfg_change_in_place() - with drivers that stay bound and at work?
 *
 * Where the kernel was not asked: from DMA to DMA-FQ, which every kernel does in place.
 */
bool iommucfg_change_in_place(const struct iommucfg_change *change);

/**
 * iommucfg_change_method() - how the kernel would do it
 *
 * Return: "unchanged", "in-place", "pause" or "rebind"; NULL where the kernel was not
 * asked, or does not say.
 */
const char *iommucfg_change_method(const struct iommucfg_change *change);

/** iommucfg_change_step() - in which of the steps, from 0 */
unsigned int iommucfg_change_step(const struct iommucfg_change *change);

/** iommucfg_change_over_limit() - was it left out as it needs more disruption than is allowed? */
bool iommucfg_change_over_limit(const struct iommucfg_change *change);

/** iommucfg_change_part() - which it goes in, see iommucfg_txn_stage_part() */
enum iommucfg_part iommucfg_change_part(const struct iommucfg_change *change);

/**
 * iommucfg_change_needs() - the disruption that the change takes
 *
 * If the kernel was not asked, this is the most that the change can take, and it may take
 * less. With a confirm timeout the method of the revert counts as well.
 */
enum iommucfg_disruption iommucfg_change_needs(const struct iommucfg_plan *plan,
					       const struct iommucfg_change *change);

/** iommucfg_change_rule() - the rule that wants it; NULL for default and targets */
const struct iommucfg_rule *iommucfg_change_rule(const struct iommucfg_change *change);

/**
 * iommucfg_change_origin() - where the change is asked for
 * @change: the change
 * @file: set to the file of rule or default, or NULL
 * @line: set to the line in it, or -1
 *
 * Return: the rule's name, "default", or NULL for a target given by hand.
 */
const char *iommucfg_change_origin(const struct iommucfg_change *change, const char **file,
				   int *line);

/* What an interface loses while its device has no driver. */
struct iommucfg_loss;

/**
 * iommucfg_plan_num_losses() - interfaces that lose something by the plan's changes
 *
 * Found at the first call, which belongs before the commit.
 */
size_t iommucfg_plan_num_losses(const struct iommucfg_plan *plan);

/** iommucfg_plan_loss() - one of them */
const struct iommucfg_loss *iommucfg_plan_loss(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_loss_device() - the device that the interface is of, or is stacked on */
const struct iommucfg_device *iommucfg_loss_device(const struct iommucfg_loss *loss);

/** iommucfg_loss_interface() - its name */
const char *iommucfg_loss_interface(const struct iommucfg_loss *loss);

/** iommucfg_loss_address() - one of its addresses, "10.0.0.1/24"; NULL after the last one */
const char *iommucfg_loss_address(const struct iommucfg_loss *loss, size_t index);

/** iommucfg_loss_route() - where one of its routes leads to; NULL after the last one */
const char *iommucfg_loss_route(const struct iommucfg_loss *loss, size_t index);

/** iommucfg_loss_master() - the bridge or bond that it leaves, or NULL */
const char *iommucfg_loss_master(const struct iommucfg_loss *loss);

/**
 * iommucfg_loss_manager() - what brings all that back
 *
 * Return: "NetworkManager", "systemd-networkd", "ifupdown"; "unknown" where they cannot
 * be asked, as in a saved tree; NULL for none, then a change puts it back itself.
 */
const char *iommucfg_loss_manager(const struct iommucfg_loss *loss);

#ifdef __cplusplus
}
#endif

#endif /* LIBIOMMUCFG_PLAN_H */
