/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libiommucfg - the default domain types of IOMMU groups, declared and changed
 *
 * Conventions, for every function unless its comment says otherwise:
 *
 * - Functions that can fail return 0 or a negative errno. What a person has
 *   to be told goes into the struct iommucfg_problems that the caller passes;
 *   it may be NULL, then only the return value is left. -ENOMEM is possible
 *   everywhere and not repeated.
 * - Objects are opaque. What a *_new(), *_scan(), *_open() or *_create() hands
 *   out belongs to the caller, who releases it with the matching *_free().
 *   Every other pointer that a function returns belongs to the object asked
 *   and lives as long as it does. *_free(NULL) does nothing.
 * - Strings are NUL-terminated, as the kernel gave them. A const char * that
 *   is not known or not there is NULL, a number is -1.
 * - Times are whole seconds.
 * - There is no global state. Objects of different contexts may be used from
 *   different threads; one context and its objects from one thread at a time.
 * - Nothing here prints, exits, or changes signal handling.
 */
#ifndef IOMMUCFG_H
#define IOMMUCFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iommucfg;		/* a context: the root directory, caches */
struct iommucfg_problems;	/* a list of things to tell a person */
struct iommucfg_problem;	/* one of them */
struct iommucfg_topology;	/* groups and devices, read from sysfs */
struct iommucfg_group;
struct iommucfg_device;
struct iommucfg_use;		/* one reason why a device is in use */
struct iommucfg_policy;		/* rules, default and options, from files */
struct iommucfg_rule;
struct iommucfg_plan;		/* what would change, and what stands against */
struct iommucfg_change;
struct iommucfg_txn;		/* one transaction of the kernel's */

/* The longest confirm timeout that the kernel takes, in seconds. */
#define IOMMUCFG_CONFIRM_TIMEOUT_MAX	604800
/* The longest name of a transaction, without the terminating NUL. */
#define IOMMUCFG_TXN_NAME_MAX		64

/**
 * enum iommucfg_type - types of a group
 * @IOMMUCFG_TYPE_NONE: not staged; also "keep" where a default is meant
 * @IOMMUCFG_TYPE_AUTO: the kernel's present preference; never read back
 * @IOMMUCFG_TYPE_OTHER: blocked, unmanaged, unknown, or a word of a newer
 *	kernel: cannot be asked for, and could not be put back
 */
enum iommucfg_type {
	IOMMUCFG_TYPE_NONE,
	IOMMUCFG_TYPE_IDENTITY,
	IOMMUCFG_TYPE_DMA,
	IOMMUCFG_TYPE_DMA_FQ,
	IOMMUCFG_TYPE_AUTO,
	IOMMUCFG_TYPE_OTHER,
};

/**
 * iommucfg_type_parse() - the type that a word means
 * @word: "identity", "DMA", "DMA-FQ" or "auto", case-sensitive
 *
 * Return: the type; IOMMUCFG_TYPE_OTHER for any other word.
 */
enum iommucfg_type iommucfg_type_parse(const char *word);

/**
 * iommucfg_type_name() - the kernel's word for a type
 * @type: any type
 *
 * Return: a constant string, "none" and "unknown" for NONE and OTHER.
 */
const char *iommucfg_type_name(enum iommucfg_type type);

/**
 * iommucfg_version() - the version of this library
 *
 * Return: a constant string such as "1.0".
 */
const char *iommucfg_version(void);

/**
 * iommucfg_suggest() - the known word that somebody may have meant
 * @word: the word as it was written
 * @words: known words, ended by NULL
 *
 * Return: one of @words that is near, or NULL.
 */
const char *iommucfg_suggest(const char *word, const char *const *words);

/* Context ---------------------------------------------------------------- */

/**
 * iommucfg_new() - make a context
 * @ctx: where to store it
 * @root: directory that every system path is looked up below; NULL, "" and
 *	"/" mean the running system. Copied.
 *
 * Return: 0, -ENOENT or -ENOTDIR where @root is no directory.
 */
int iommucfg_new(struct iommucfg **ctx, const char *root);

/** iommucfg_free() - release a context, after everything made with it */
void iommucfg_free(struct iommucfg *ctx);

/** iommucfg_root() - the root directory, "" for the running system */
const char *iommucfg_root(const struct iommucfg *ctx);

/**
 * iommucfg_kernel_probe() - is the kernel's interface there, and ours?
 * @ctx: context
 * @problems: gets one that says what is missing and which command helps
 *
 * Return: 0, -ENODEV where the module is not loaded or configfs not mounted,
 * -EPROTO where the interface has a version that this library does not speak.
 */
int iommucfg_kernel_probe(struct iommucfg *ctx, struct iommucfg_problems *problems);

/**
 * iommucfg_kernel_generation() - the kernel's count of changes
 * @ctx: context
 * @generation: where to store it; starts at 1
 *
 * Read it before iommucfg_topology_scan() and pass it to
 * iommucfg_txn_set_generation(): then a commit is refused with -ESTALE if
 * somebody else changed a group in between.
 *
 * Return: 0, or the errno of reading it.
 */
int iommucfg_kernel_generation(struct iommucfg *ctx, uint64_t *generation);

/* Problems --------------------------------------------------------------- */

/**
 * enum iommucfg_severity - how bad a problem is
 * @IOMMUCFG_WARNING: a person should know; nothing is held up
 * @IOMMUCFG_REFUSED: a commit would be, or was, refused; nothing was touched
 * @IOMMUCFG_ERROR: policy, input or system are wrong
 */
enum iommucfg_severity {
	IOMMUCFG_WARNING,
	IOMMUCFG_REFUSED,
	IOMMUCFG_ERROR,
};

/** iommucfg_problems_new() - make an empty list; NULL where memory is short */
struct iommucfg_problems *iommucfg_problems_new(void);

/** iommucfg_problems_free() - release a list and what is in it */
void iommucfg_problems_free(struct iommucfg_problems *problems);

/** iommucfg_problems_count() - problems in a list; 0 for NULL */
size_t iommucfg_problems_count(const struct iommucfg_problems *problems);

/** iommucfg_problems_at_least() - how many have at least this severity */
size_t iommucfg_problems_at_least(const struct iommucfg_problems *problems,
				  enum iommucfg_severity severity);

/** iommucfg_problems_get() - the problem at an index below the count */
const struct iommucfg_problem *
iommucfg_problems_get(const struct iommucfg_problems *problems, size_t index);

/**
 * iommucfg_problems_add() - append a problem of the caller's own
 * @problems: list, or NULL: nothing happens
 * @severity: how bad
 * @kind: one lower-case word; copied
 * @error: a positive errno, or 0
 * @format: as for printf(); the message
 *
 * Return: 0 or -ENOMEM.
 */
int iommucfg_problems_add(struct iommucfg_problems *problems,
			  enum iommucfg_severity severity, const char *kind,
			  int error, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/**
 * iommucfg_problems_append() - copy all problems of a list to the end of another
 * @to: list, or NULL: nothing happens
 * @from: another list, which stays as it is; may be NULL
 *
 * Return: 0 or -ENOMEM.
 */
int iommucfg_problems_append(struct iommucfg_problems *to,
			     const struct iommucfg_problems *from);

/** iommucfg_problem_severity() - how bad it is */
enum iommucfg_severity iommucfg_problem_severity(const struct iommucfg_problem *problem);

/**
 * iommucfg_problem_kind() - one word
 *
 * Return: "policy", "required", "conflict", "type", "in-use",
 * "default-route", "transaction", "bounce", "kernel", "system", "settle",
 * "standing", or what iommucfg_problems_add() was given.
 */
const char *iommucfg_problem_kind(const struct iommucfg_problem *problem);

/** iommucfg_problem_message() - a sentence, without file and line */
const char *iommucfg_problem_message(const struct iommucfg_problem *problem);

/** iommucfg_problem_file() - policy file that it is about, or NULL */
const char *iommucfg_problem_file(const struct iommucfg_problem *problem);

/** iommucfg_problem_line() - line in that file, counted from 1, or -1 */
int iommucfg_problem_line(const struct iommucfg_problem *problem);

/** iommucfg_problem_rule() - name of the rule that it is about, or NULL */
const char *iommucfg_problem_rule(const struct iommucfg_problem *problem);

/** iommucfg_problem_group() - number of the group that it is about, or -1 */
long iommucfg_problem_group(const struct iommucfg_problem *problem);

/** iommucfg_problem_device() - name of the device that it is about, or NULL */
const char *iommucfg_problem_device(const struct iommucfg_problem *problem);

/** iommucfg_problem_errno() - name such as "EBUSY", or NULL */
const char *iommucfg_problem_errno(const struct iommucfg_problem *problem);

/* Groups and devices ----------------------------------------------------- */

/**
 * iommucfg_topology_scan() - read groups and devices from sysfs
 * @ctx: context; must outlive the topology
 * @topology: where to store the result; unset on failure
 * @problems: says what is missing
 *
 * Attributes that are seldom needed are read when they are first asked for.
 * Needs neither the module nor root.
 *
 * Return: 0; -ENODEV where there is no group, so no IOMMU in use;
 * -EOPNOTSUPP where groups have no `type` (the kernel is too old).
 */
int iommucfg_topology_scan(struct iommucfg *ctx, struct iommucfg_topology **topology,
			   struct iommucfg_problems *problems);

/** iommucfg_topology_free() - release a topology; plans over it go first */
void iommucfg_topology_free(struct iommucfg_topology *topology);

/**
 * iommucfg_topology_scan_use() - find out what is in use
 * @topology: each of its devices gets its list of uses, see iommucfg_device_use()
 *
 * Looks at mounts, swaps, holders (dm, md), running interfaces, VFIO owners
 * and virtual functions. What cannot be read (another user's processes, say)
 * is not found. A second call does nothing.
 *
 * Return: 0 or -ENOMEM.
 */
int iommucfg_topology_scan_use(struct iommucfg_topology *topology);

/**
 * iommucfg_topology_scan_required() - ask the kernel which types are forced
 * @topology: see iommucfg_device_required_type()
 *
 * Only the module knows. Where it is there and its directory can be written,
 * a transaction is made, asked, and removed again; elsewhere what is staged
 * already is read. A second call does nothing.
 *
 * Return: 0, also where nothing could be found out.
 */
int iommucfg_topology_scan_required(struct iommucfg_topology *topology);

/** iommucfg_topology_num_groups() - groups, sorted by number */
size_t iommucfg_topology_num_groups(const struct iommucfg_topology *topology);

/** iommucfg_topology_group() - the group at an index below their number */
struct iommucfg_group *iommucfg_topology_group(const struct iommucfg_topology *topology,
					       size_t index);

/** iommucfg_topology_find_group() - the group with a number, or NULL */
struct iommucfg_group *iommucfg_topology_find_group(const struct iommucfg_topology *topology,
						    unsigned int number);

/**
 * iommucfg_topology_find_device() - the device with a name
 * @topology: where to look
 * @name: sysfs name; a PCI address without a domain means domain 0000
 *
 * Return: the device, or NULL where no group has one of that name.
 */
struct iommucfg_device *iommucfg_topology_find_device(const struct iommucfg_topology *topology,
						      const char *name);

/** iommucfg_group_number() - the group's number */
unsigned int iommucfg_group_number(const struct iommucfg_group *group);

/** iommucfg_group_type() - its type when the topology was scanned */
enum iommucfg_type iommucfg_group_type(const struct iommucfg_group *group);

/** iommucfg_group_type_text() - the same as the kernel wrote it, or "unknown" */
const char *iommucfg_group_type_text(const struct iommucfg_group *group);

/** iommucfg_group_num_devices() - its devices, sorted by name */
size_t iommucfg_group_num_devices(const struct iommucfg_group *group);

/** iommucfg_group_device() - the device at an index below their number */
struct iommucfg_device *iommucfg_group_device(const struct iommucfg_group *group, size_t index);

/** iommucfg_device_group() - the group that a device is in */
struct iommucfg_group *iommucfg_device_group(const struct iommucfg_device *device);

/** iommucfg_device_name() - sysfs name such as "0000:01:00.0" */
const char *iommucfg_device_name(const struct iommucfg_device *device);

/** iommucfg_device_bus() - bus such as "pci" or "platform", or NULL */
const char *iommucfg_device_bus(const struct iommucfg_device *device);

/** iommucfg_device_driver() - driver that is bound, or NULL */
const char *iommucfg_device_driver(const struct iommucfg_device *device);

/** iommucfg_device_syspath() - path below /sys, without a leading slash */
const char *iommucfg_device_syspath(const struct iommucfg_device *device);

/**
 * iommucfg_device_path() - the way down from the root bus
 *
 * Return: for PCI as in the kernel's pci= parameter, "0000:00:1c.4/00.0": it
 * survives the renumbering of buses. The sysfs name on other buses.
 */
const char *iommucfg_device_path(struct iommucfg_device *device);

/** iommucfg_device_class() - 24 bits: class, subclass, interface; or -1 */
long iommucfg_device_class(struct iommucfg_device *device);

/** iommucfg_device_vendor() - vendor number, or -1 */
long iommucfg_device_vendor(struct iommucfg_device *device);

/** iommucfg_device_id() - device number, or -1 */
long iommucfg_device_id(struct iommucfg_device *device);

/** iommucfg_device_subsystem_vendor() - or -1 */
long iommucfg_device_subsystem_vendor(struct iommucfg_device *device);

/** iommucfg_device_subsystem_device() - or -1 */
long iommucfg_device_subsystem_device(struct iommucfg_device *device);

/** iommucfg_device_driver_override() - the driver it is set to wait for, or NULL */
const char *iommucfg_device_driver_override(struct iommucfg_device *device);

/** iommucfg_device_modalias() - or NULL */
const char *iommucfg_device_modalias(struct iommucfg_device *device);

/** iommucfg_device_removable() - does sysfs `removable` read "removable"? */
bool iommucfg_device_removable(struct iommucfg_device *device);

/** iommucfg_device_dma_mask_bits() - width of addresses it can emit, or -1 */
int iommucfg_device_dma_mask_bits(struct iommucfg_device *device);

/**
 * iommucfg_device_required_type() - what its IOMMU driver forces
 *
 * Return: "any", "identity" or "DMA"; NULL where not known. Known only after
 * iommucfg_topology_scan_required().
 */
const char *iommucfg_device_required_type(const struct iommucfg_device *device);

/** iommucfg_device_manages_dma() - does its driver stay bound in a change? */
bool iommucfg_device_manages_dma(const struct iommucfg_device *device);

/** iommucfg_device_vendor_name() - from pci.ids, or NULL */
const char *iommucfg_device_vendor_name(struct iommucfg_device *device);

/** iommucfg_device_device_name() - from pci.ids, or NULL */
const char *iommucfg_device_device_name(struct iommucfg_device *device);

/** iommucfg_device_class_name() - from pci.ids, or NULL */
const char *iommucfg_device_class_name(struct iommucfg_device *device);

/** iommucfg_device_num_uses() - 0 before iommucfg_topology_scan_use() */
size_t iommucfg_device_num_uses(const struct iommucfg_device *device);

/** iommucfg_device_use() - the use at an index below their number */
const struct iommucfg_use *iommucfg_device_use(const struct iommucfg_device *device,
					       size_t index);

/** enum iommucfg_guard - what makes the kernel overlook a use; also a mask */
enum iommucfg_guard {
	IOMMUCFG_GUARD_NEVER	= 0,
	IOMMUCFG_GUARD_NET	= 1,
	IOMMUCFG_GUARD_BLOCK	= 2,
};

/** iommucfg_use_kind() - "mount", "swap", "dm", "md", "holder", "net", "vfio", "vfs" */
const char *iommucfg_use_kind(const struct iommucfg_use *use);

/** iommucfg_use_name() - block device, interface, or file in /dev */
const char *iommucfg_use_name(const struct iommucfg_use *use);

/** iommucfg_use_detail() - mount point, addresses, PID of the owner, ... */
const char *iommucfg_use_detail(const struct iommucfg_use *use);

/** iommucfg_use_guard() - the word of allow_in_use that it falls under */
enum iommucfg_guard iommucfg_use_guard(const struct iommucfg_use *use);

/** iommucfg_use_default_route() - an interface that carries a default route */
bool iommucfg_use_default_route(const struct iommucfg_use *use);

/* Policy ----------------------------------------------------------------- */

/**
 * iommucfg_policy_new() - make a policy without rules, default "keep"
 * @ctx: context; must outlive the policy
 * @policy: where to store it
 */
int iommucfg_policy_new(struct iommucfg *ctx, struct iommucfg_policy **policy);

/** iommucfg_policy_free() - release a policy; plans made with it go first */
void iommucfg_policy_free(struct iommucfg_policy *policy);

/**
 * iommucfg_policy_read_buffer() - append the rules of a text
 * @policy: gets the rules; default and options of the text replace its own
 * @name: what messages call it
 * @text: libconfig text; need not end in NUL
 * @length: bytes of @text
 * @problems: gets every error, with file and line
 *
 * Return: 0, or -EINVAL where there was an error; then the policy is good
 * for iommucfg_policy_free() and for reading more files in search of errors.
 */
int iommucfg_policy_read_buffer(struct iommucfg_policy *policy, const char *name,
				const char *text, size_t length,
				struct iommucfg_problems *problems);

/**
 * iommucfg_policy_read_file() - the same from a file
 * @path: used as it is (the context's root is not put before it); "-" is
 *	standard input
 *
 * Return: as above, or the errno of opening or reading the file; -EINTR where
 * a signal handler interrupted it.
 */
int iommucfg_policy_read_file(struct iommucfg_policy *policy, const char *path,
			      struct iommucfg_problems *problems);

/**
 * iommucfg_policy_read_system() - the same from the system's files
 *
 * These are /etc/iommucfg.conf, then /etc/iommucfg.d/ *.conf in the order of
 * their bytes, all below the context's root.
 *
 * Return: as above, -ENOENT where there is none of them.
 */
int iommucfg_policy_read_system(struct iommucfg_policy *policy,
				struct iommucfg_problems *problems);

/**
 * iommucfg_policy_text() - a policy as one text
 * @policy: policy, whatever files it was read from
 * @text: set to the text, to be released with free()
 *
 * What reads it gets the same rules, default and options. Policies that differ
 * in comments, layout and files alone have the same text.
 */
int iommucfg_policy_text(const struct iommucfg_policy *policy, char **text);

/** iommucfg_policy_num_rules() - rules, in reading order */
size_t iommucfg_policy_num_rules(const struct iommucfg_policy *policy);

/** iommucfg_policy_rule() - the rule at an index below their number */
const struct iommucfg_rule *iommucfg_policy_rule(const struct iommucfg_policy *policy,
						 size_t index);

/** iommucfg_policy_default() - a type, or IOMMUCFG_TYPE_NONE for "keep" */
enum iommucfg_type iommucfg_policy_default(const struct iommucfg_policy *policy);

/** iommucfg_policy_confirm_timeout() - in seconds, or -1 where not set */
long iommucfg_policy_confirm_timeout(const struct iommucfg_policy *policy);

/** iommucfg_policy_settle() - in seconds, or -1 where not set */
long iommucfg_policy_settle(const struct iommucfg_policy *policy);

/** iommucfg_policy_allow_in_use() - mask of enum iommucfg_guard, or -1 where not set */
int iommucfg_policy_allow_in_use(const struct iommucfg_policy *policy);

/** iommucfg_rule_name() - the rule's name */
const char *iommucfg_rule_name(const struct iommucfg_rule *rule);

/** iommucfg_rule_file() - the file that it is in */
const char *iommucfg_rule_file(const struct iommucfg_rule *rule);

/** iommucfg_rule_line() - the line where it begins, counted from 1 */
int iommucfg_rule_line(const struct iommucfg_rule *rule);

/** iommucfg_rule_type() - the type that it asks for */
enum iommucfg_type iommucfg_rule_type(const struct iommucfg_rule *rule);

/** iommucfg_rule_priority() - 0 where the file does not say */
int iommucfg_rule_priority(const struct iommucfg_rule *rule);

/** iommucfg_rule_required() - must some device meet it? */
bool iommucfg_rule_required(const struct iommucfg_rule *rule);

/**
 * iommucfg_rule_match() - does a device meet a rule?
 *
 * Return: 1 if so, 0 if not, or a negative errno.
 */
int iommucfg_rule_match(const struct iommucfg_rule *rule, struct iommucfg_device *device);

/* Plan ------------------------------------------------------------------- */

/**
 * struct iommucfg_plan_options - how a plan is to be carried out
 * @confirm_timeout: seconds, 0 for none
 * @allow_in_use: mask of enum iommucfg_guard
 * @skip_in_use: leave groups in use out instead of refusing
 * @default_route_ok: a person said yes to a default route going away
 *
 * Initialise with zeros; later versions add members at the end.
 */
struct iommucfg_plan_options {
	long confirm_timeout;
	int allow_in_use;
	bool skip_in_use;
	bool default_route_ok;
};

/**
 * iommucfg_plan_policy() - what a policy would change
 * @topology: groups, after iommucfg_topology_scan_use() if uses shall count
 * @policy: rules
 * @options: see there; copied
 * @plan: where to store the plan, which refers to @topology and @policy
 *
 * Conflicts and problems are part of the plan.
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
 * @txn: a transaction in which everything is staged, see iommucfg_txn_stage_plan()
 *
 * Return: 0 where a commit would begin now, else the negative errno that it
 * would be refused with; -EACCES, with no problem added, where the caller may
 * stage but not act.
 */
int iommucfg_plan_check(struct iommucfg_plan *plan, struct iommucfg_txn *txn);

/**
 * iommucfg_plan_restrict() - leave out all but one group
 * @plan: loses its other changes, and what it had to say of other groups or of
 *	none (such as rules that are required)
 * @group: of the plan's topology
 */
void iommucfg_plan_restrict(struct iommucfg_plan *plan, const struct iommucfg_group *group);

/** iommucfg_plan_free() - release a plan */
void iommucfg_plan_free(struct iommucfg_plan *plan);

/** iommucfg_plan_num_changes() - groups that would change, sorted by number */
size_t iommucfg_plan_num_changes(const struct iommucfg_plan *plan);

/** iommucfg_plan_change() - the change at an index below their number */
const struct iommucfg_change *iommucfg_plan_change(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_plan_num_skipped() - groups left out because they are in use */
size_t iommucfg_plan_num_skipped(const struct iommucfg_plan *plan);

/** iommucfg_plan_skipped() - the one at an index below their number */
const struct iommucfg_change *iommucfg_plan_skipped(const struct iommucfg_plan *plan, size_t index);

/** iommucfg_plan_unchanged() - how many groups stay as they are and should */
size_t iommucfg_plan_unchanged(const struct iommucfg_plan *plan);

/** iommucfg_plan_conflicts() - groups whose rules want different types */
const struct iommucfg_problems *iommucfg_plan_conflicts(const struct iommucfg_plan *plan);

/** iommucfg_plan_problems() - everything else that a person should know */
struct iommucfg_problems *iommucfg_plan_problems(const struct iommucfg_plan *plan);

/** iommucfg_change_group() - the group */
struct iommucfg_group *iommucfg_change_group(const struct iommucfg_change *change);

/** iommucfg_change_to() - the type that it would get */
enum iommucfg_type iommucfg_change_to(const struct iommucfg_change *change);

/** iommucfg_change_in_place() - without a driver being unbound? */
bool iommucfg_change_in_place(const struct iommucfg_change *change);

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

/* Transactions ----------------------------------------------------------- */

/**
 * iommucfg_txn_name_valid() - may a transaction have this name?
 *
 * Return: true for 1 to IOMMUCFG_TXN_NAME_MAX of A-Z a-z 0-9 . _ -, but not for
 * ".", ".." and "standing". Whether it is taken shows when it is made.
 */
bool iommucfg_txn_name_valid(const char *name);

/**
 * iommucfg_txn_create() - make a transaction
 * @ctx: context; must outlive the object
 * @name: its name, or NULL for "iommucfg-<pid>-<n>" with the first free n
 * @txn: where to store it
 * @problems: says what is wrong
 *
 * Until iommucfg_txn_free() the object holds a lock on the directory by which
 * iommucfg_txn_abandoned() tells it from one that a killed process left.
 *
 * Return: 0, -EINVAL for a bad name, -EEXIST for one that is taken, -EACCES,
 * -ENOENT where the module is not loaded.
 */
int iommucfg_txn_create(struct iommucfg *ctx, const char *name, struct iommucfg_txn **txn,
			struct iommucfg_problems *problems);

/**
 * iommucfg_txn_open() - take hold of a transaction that is there
 *
 * Return: 0, or -ENOENT.
 */
int iommucfg_txn_open(struct iommucfg *ctx, const char *name, struct iommucfg_txn **txn);

/** iommucfg_txn_free() - release the object; the kernel's transaction stays */
void iommucfg_txn_free(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_list() - the names of all transactions, sorted
 * @ctx: context
 * @names: set to an array ended by NULL, to be released with
 *	iommucfg_txn_list_free()
 *
 * Return: how many, or a negative errno.
 */
int iommucfg_txn_list(struct iommucfg *ctx, char ***names);

/** iommucfg_txn_list_free() - release what iommucfg_txn_list() gave */
void iommucfg_txn_list_free(char **names);

/** iommucfg_txn_name() - its name */
const char *iommucfg_txn_name(const struct iommucfg_txn *txn);

/** enum iommucfg_state - the states of a transaction; GONE: it is not there */
enum iommucfg_state {
	IOMMUCFG_STATE_GONE,
	IOMMUCFG_STATE_STAGED,
	IOMMUCFG_STATE_COMMITTING,
	IOMMUCFG_STATE_UNCONFIRMED,
	IOMMUCFG_STATE_COMMITTED,
	IOMMUCFG_STATE_ROLLING_BACK,
	IOMMUCFG_STATE_ROLLED_BACK,
	IOMMUCFG_STATE_FAILED,
	IOMMUCFG_STATE_UNKNOWN,
};

/** iommucfg_txn_state() - its state now */
enum iommucfg_state iommucfg_txn_state(struct iommucfg_txn *txn);

/** iommucfg_state_name() - the kernel's word for it, "gone", or "unknown" */
const char *iommucfg_state_name(enum iommucfg_state state);

/**
 * iommucfg_txn_abandoned() - did a process make it, and nobody remove it?
 *
 * True for a transaction named by iommucfg_txn_create() that is staged,
 * committed or rolled back, whose maker no longer runs and which no process
 * holds. There is nothing left to decide about it: iommucfg_txn_forget().
 */
bool iommucfg_txn_abandoned(struct iommucfg_txn *txn);

/** iommucfg_txn_set_generation() - refuse the commit unless it is this; 0: any */
int iommucfg_txn_set_generation(struct iommucfg_txn *txn, uint64_t generation);

/** iommucfg_txn_set_allow_in_use() - mask of enum iommucfg_guard */
int iommucfg_txn_set_allow_in_use(struct iommucfg_txn *txn, int mask);

/**
 * iommucfg_txn_set_confirm_timeout() - undo the commit unless confirmed
 * @seconds: 0 for a final commit, at most IOMMUCFG_CONFIRM_TIMEOUT_MAX; while
 *	unconfirmed a number above 0 starts the countdown anew
 */
int iommucfg_txn_set_confirm_timeout(struct iommucfg_txn *txn, long seconds);

/** iommucfg_txn_stage() - add a group, or change its type */
int iommucfg_txn_stage(struct iommucfg_txn *txn, unsigned int group, enum iommucfg_type type);

/** iommucfg_txn_unstage() - take a group out again */
int iommucfg_txn_unstage(struct iommucfg_txn *txn, unsigned int group);

/**
 * iommucfg_txn_stage_plan() - stage every change of a plan
 * @problems: names the group that could not be staged
 */
int iommucfg_txn_stage_plan(struct iommucfg_txn *txn, const struct iommucfg_plan *plan,
			    struct iommucfg_problems *problems);

/** iommucfg_txn_check() - all that a commit verifies beforehand; touches nothing */
int iommucfg_txn_check(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_commit() - carry it out; blocks until the kernel is done
 *
 * Signals do not stop it. To watch iommucfg_txn_progress() meanwhile call it
 * from a child process or a thread with a txn object of its own.
 *
 * Return: 0 done; -ECANCELED tried, failed, everything is as before; -EIO
 * could not be restored in full; anything else: refused, nothing was touched.
 */
int iommucfg_txn_commit(struct iommucfg_txn *txn);

/** iommucfg_txn_confirm() - keep an unconfirmed commit; -EBUSY in other states */
int iommucfg_txn_confirm(struct iommucfg_txn *txn);

/** iommucfg_txn_rollback() - undo a commit; blocks; -EIO, -EBUSY, -ESTALE */
int iommucfg_txn_rollback(struct iommucfg_txn *txn);

/**
 * iommucfg_txn_forget() - remove the transaction and its undo record
 *
 * Changes no group's type.
 *
 * Return: 0; -EBUSY while it is committing, unconfirmed or rolling back;
 * -ENOENT.
 */
int iommucfg_txn_forget(struct iommucfg_txn *txn);

/** iommucfg_txn_progress() - device steps done, and in all */
int iommucfg_txn_progress(struct iommucfg_txn *txn, unsigned long *done, unsigned long *all);

/**
 * iommucfg_txn_report() - what the last action had to say
 * @problems: gets one per line, of kind "kernel" and severity @severity
 *
 * Where the kernel's page was full, the groups' own lists are read besides.
 *
 * Return: how many were added, or a negative errno.
 */
int iommucfg_txn_report(struct iommucfg_txn *txn, enum iommucfg_severity severity,
			struct iommucfg_problems *problems);

/**
 * iommucfg_problem_phase() - the kernel's phase in a problem out of a report
 *
 * Return: "check", "release", "switch", "probe", "verify", "restore" or NULL.
 */
const char *iommucfg_problem_phase(const struct iommucfg_problem *problem);

/** iommucfg_txn_groups() - numbers of its groups, ascending; free() @groups */
int iommucfg_txn_groups(struct iommucfg_txn *txn, unsigned int **groups);

/**
 * iommucfg_txn_group_attr() - one word of a group in it
 * @attr: "type", "current_type" or "status": the first line is read
 * @value: where to store it, at most @size bytes with the NUL
 */
int iommucfg_txn_group_attr(struct iommucfg_txn *txn, unsigned int group, const char *attr,
			    char *value, size_t size);

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

/* Verification and saving ------------------------------------------------ */

struct iommucfg_witness;	/* what was there before a change */

/**
 * iommucfg_witness_new() - remember drivers, block devices and interfaces
 * @plan: of all devices in groups that it changes; must outlive the witness
 */
int iommucfg_witness_new(const struct iommucfg_plan *plan, struct iommucfg_witness **witness);

/** iommucfg_witness_free() - release it */
void iommucfg_witness_free(struct iommucfg_witness *witness);

/**
 * iommucfg_witness_missing() - look again, from outside
 * @problems: gets one of kind "settle" for each type, driver, block device or
 *	interface that is not as it should be after the change; devices are
 *	counted below each device, as their names may change
 *
 * Return: how many are missing, or a negative errno.
 */
int iommucfg_witness_missing(struct iommucfg_witness *witness,
			     struct iommucfg_problems *problems);

/**
 * iommucfg_witness_unmade() - do all groups have their former types again?
 *
 * Groups changed to "auto" do not count; false where there are no others.
 */
bool iommucfg_witness_unmade(struct iommucfg_witness *witness);

/**
 * iommucfg_save() - the current types as a policy text
 * @topology: what to save; matched by path, vendor and device number
 * @text: set to the text, to be released with free()
 * @num_rules: set to the number of rules in it
 * @problems: gets a warning for each group that has no type to ask for
 */
int iommucfg_save(struct iommucfg_topology *topology, char **text, size_t *num_rules,
		  struct iommucfg_problems *problems);

/**
 * iommucfg_write_atomic() - replace a file as a whole, or leave it as it was
 * @path: used as it is; a symbolic link is followed
 *
 * Writes a temporary file beside it, syncs it, renames it, syncs the directory.
 *
 * Return: 0, or the negative errno of the step that failed.
 */
int iommucfg_write_atomic(const char *path, const char *text, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* IOMMUCFG_H */
