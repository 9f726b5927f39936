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
 * - Objects are opaque and counted. What a *_new(), *_scan(), *_open() or *_create()
 *   hands out has one holder, the caller: *_ref() makes one more, *_unref() one less,
 *   and the last one releases it. An object holds what it was made of, so that the
 *   order does not matter. Every other pointer that a function returns belongs to the
 *   object asked and lives as long as it does. *_unref(NULL) does nothing.
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
	IOMMUCFG_TYPE_NONE	= 0,
	IOMMUCFG_TYPE_IDENTITY	= 1,
	IOMMUCFG_TYPE_DMA	= 2,
	IOMMUCFG_TYPE_DMA_FQ	= 3,
	IOMMUCFG_TYPE_AUTO	= 4,
	IOMMUCFG_TYPE_OTHER	= 255,
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
 * Return: 0, -ENOENT or -ENOTDIR where @root is no directory, or another errno
 * of opening it, or the "sys" in it.
 */
int iommucfg_new(struct iommucfg **ctx, const char *root);

/** iommucfg_ref() - one more holder of a context; returns it */
struct iommucfg *iommucfg_ref(struct iommucfg *ctx);

/** iommucfg_unref() - one holder of a context less */
void iommucfg_unref(struct iommucfg *ctx);

/** iommucfg_root() - the root directory, "" for the running system */
const char *iommucfg_root(const struct iommucfg *ctx);

/**
 * iommucfg_kernel_probe() - is the kernel's interface there, and ours?
 * @ctx: context
 * @problems: gets one that says what is missing and which command helps
 *
 * Return: 0, -ENODEV where the module is not loaded or configfs not mounted,
 * -EPROTO where the interface has a version that this library does not speak,
 * or the errno of reading that.
 */
int iommucfg_kernel_probe(struct iommucfg *ctx, struct iommucfg_problems *problems);

/**
 * iommucfg_kernel_generation() - the kernel's count of changes
 * @ctx: context
 * @generation: where to store it; starts at 1
 *
 * Read it before iommucfg_topology_scan() and pass it to
 * iommucfg_txn_set_generation(): then a commit is refused with -ESTALE if
 * another process changed a group in between.
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
	IOMMUCFG_WARNING	= 0,
	IOMMUCFG_REFUSED	= 1,
	IOMMUCFG_ERROR		= 2,
};

/** iommucfg_problems_new() - make an empty list; NULL where memory is short */
struct iommucfg_problems *iommucfg_problems_new(void);

/** iommucfg_problems_ref() - one more holder of a list; returns it */
struct iommucfg_problems *iommucfg_problems_ref(struct iommucfg_problems *problems);

/** iommucfg_problems_unref() - one holder of a list less */
void iommucfg_problems_unref(struct iommucfg_problems *problems);

/** iommucfg_problems_count() - problems in a list; 0 for NULL */
size_t iommucfg_problems_count(const struct iommucfg_problems *problems);

/**
 * iommucfg_problems_fold() - a shorter list, for people
 * @problems: any list
 * @from: index of the first problem to take
 * @folded: gets a new list, in the same order, that the caller frees
 *
 * Where four or more problems differ in the group and the device alone, the first stands
 * for all, and its message names the other groups.
 *
 * Return: 0 or -ENOMEM.
 */
int iommucfg_problems_fold(const struct iommucfg_problems *problems, size_t from,
			   struct iommucfg_problems **folded);

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
 * iommucfg_problems_cure() - say more of the problem that was added last
 * @code: lower-case words with "-" between them, for programs; copied
 * @fix: a line for sh that helps, or NULL; copied. Left out if it is not one line
 */
void iommucfg_problems_cure(struct iommucfg_problems *problems, const char *code,
			    const char *fix);

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

/**
 * iommucfg_problem_code() - what it is, for programs; stable
 *
 * Return: a word that iommucfg-json(5) lists; where it lists none, the kind.
 */
const char *iommucfg_problem_code(const struct iommucfg_problem *problem);

/** iommucfg_problem_fix() - a line for sh that helps, or NULL */
const char *iommucfg_problem_fix(const struct iommucfg_problem *problem);

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
 * @ctx: context
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

/** iommucfg_topology_ref() - one more holder of a topology; returns it */
struct iommucfg_topology *iommucfg_topology_ref(struct iommucfg_topology *topology);

/** iommucfg_topology_unref() - one holder of a topology less */
void iommucfg_topology_unref(struct iommucfg_topology *topology);

/**
 * iommucfg_topology_scan_use() - find out what is in use
 * @topology: each of its devices gets its list of uses, see iommucfg_device_use()
 * @problems: gets a warning for each file that is there but cannot be read
 *
 * Looks at mounts, swaps, holders (dm, md), running interfaces, VFIO owners
 * and virtual functions. What cannot be read may hide a use: plans over the
 * topology take account of that, see struct iommucfg_plan_options. Other users'
 * processes are passed over by who is not root. A second call does nothing.
 *
 * Return: 0 or -ENOMEM; then nothing is known.
 */
int iommucfg_topology_scan_use(struct iommucfg_topology *topology,
			       struct iommucfg_problems *problems);

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
 * Return: the device, or NULL where no group has one of that name. A name is one
 * device's on its bus alone: others may have it on theirs.
 */
struct iommucfg_device *iommucfg_topology_find_device(const struct iommucfg_topology *topology,
						      const char *name);

/**
 * iommucfg_topology_next_device() - another device of the same name
 * @topology: where to look
 * @device: what iommucfg_topology_find_device() or this function gave
 *
 * Return: the next one, or NULL after the last.
 */
struct iommucfg_device *iommucfg_topology_next_device(const struct iommucfg_topology *topology,
						      const struct iommucfg_device *device);

/**
 * iommucfg_topology_find_target() - the groups that a word on a command line means
 * @topology: where to look
 * @word: digits: a group. A device: its name, a PCI address in any case and without
 *	domain 0000, "pci_0000_01_00_0", "pci@0000:01:00.0", "BUS/NAME", or a path below
 *	/sys. An interface, a disk, or a file in /dev. "driver:NAME": all groups that have
 *	a device with it bound. A shell glob: all that have a device, interface or disk of
 *	such a name
 * @groups: set to the groups in the order of their numbers, to be released with free()
 * @count: set to how many there are, at least one
 * @problems: says what is wrong, and which there are to choose from
 *
 * Return: 0; -ENOENT; -ENODEV where there is such a thing, but in no group; -ENOTUNIQ where
 * one thing is on devices of several groups.
 */
int iommucfg_topology_find_target(struct iommucfg_topology *topology, const char *word,
				  struct iommucfg_group ***groups, size_t *count,
				  struct iommucfg_problems *problems);

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
 * survives the renumbering of buses. Below a controller that makes a root bus of
 * its own (VMD) it begins at the controller. The sysfs name on other buses.
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

/**
 * iommucfg_device_silent() - for how long a run has paused its driver
 *
 * Return: microseconds; 0 where it was not paused, or the kernel does not tell.
 */
long iommucfg_device_silent(const struct iommucfg_device *device);

/** iommucfg_device_removable() - does sysfs `removable` read "removable"? */
bool iommucfg_device_removable(struct iommucfg_device *device);

/**
 * iommucfg_device_untrusted() - is it known that the kernel does not trust it?
 *
 * It is removable, or below a port that firmware marks as external, or its
 * IOMMU driver forces DMA, see iommucfg_topology_scan_required().
 */
bool iommucfg_device_untrusted(struct iommucfg_device *device);

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

/** iommucfg_device_num_interfaces() - network interfaces that are on it */
size_t iommucfg_device_num_interfaces(struct iommucfg_device *device);

/** iommucfg_device_interface() - the one at an index below their number */
const char *iommucfg_device_interface(struct iommucfg_device *device, size_t index);

/** iommucfg_device_num_disks() - whole disks that are on it */
size_t iommucfg_device_num_disks(struct iommucfg_device *device);

/** iommucfg_device_disk() - the one at an index below their number */
const char *iommucfg_device_disk(struct iommucfg_device *device, size_t index);

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
	IOMMUCFG_GUARD_OTHER	= 4,
};

/**
 * enum iommucfg_word - the word of allow_in_use that a use needs; also a mask
 * @IOMMUCFG_WORD_NEVER: no word permits it
 * @IOMMUCFG_WORD_NET: a running interface
 * @IOMMUCFG_WORD_BLOCK: a disk that is open or held, with nothing mounted
 * @IOMMUCFG_WORD_DEFAULT_ROUTE: an interface with the default route, or with mounts, disks or
 *	swap that come over it; only the first has iommucfg_use_default_route()
 * @IOMMUCFG_WORD_MOUNTED: a disk that is mounted
 * @IOMMUCFG_WORD_OTHER: held open through a character device
 */
enum iommucfg_word {
	IOMMUCFG_WORD_NEVER		= 0,
	IOMMUCFG_WORD_NET		= 1 << 0,
	IOMMUCFG_WORD_BLOCK		= 1 << 1,
	IOMMUCFG_WORD_DEFAULT_ROUTE	= 1 << 2,
	IOMMUCFG_WORD_MOUNTED		= 1 << 3,
	IOMMUCFG_WORD_OTHER		= 1 << 4,
};

/** iommucfg_word_names() - all that there are, ended by NULL */
const char *const *iommucfg_word_names(void);

/** iommucfg_word_parse() - the word of a name, IOMMUCFG_WORD_NEVER for none of them */
enum iommucfg_word iommucfg_word_parse(const char *name);

/** iommucfg_word_name() - "net", "default-route", ..., or "never" */
const char *iommucfg_word_name(enum iommucfg_word word);

/**
 * enum iommucfg_disruption - the most that a change may do to the users of a device
 * @IOMMUCFG_DISRUPTION_REBIND: drivers may be unbound and bound again
 * @IOMMUCFG_DISRUPTION_PAUSE: drivers stay bound, but may be paused for a moment
 * @IOMMUCFG_DISRUPTION_NONE: in place only
 */
enum iommucfg_disruption {
	IOMMUCFG_DISRUPTION_REBIND	= 0,
	IOMMUCFG_DISRUPTION_PAUSE	= 1,
	IOMMUCFG_DISRUPTION_NONE	= 2,
};

/** iommucfg_disruption_names() - all that there are, ended by NULL */
const char *const *iommucfg_disruption_names(void);

/** iommucfg_disruption_parse() - the one of a name, or -1 */
int iommucfg_disruption_parse(const char *name);

/** iommucfg_disruption_name() - "none", "pause" or "rebind" */
const char *iommucfg_disruption_name(enum iommucfg_disruption disruption);

/**
 * enum iommucfg_part - the changes that go in one transaction
 * @IOMMUCFG_PART_MAIN: most of them
 * @IOMMUCFG_PART_BLOCK: those by which disks go away that are held or mounted: the kernel's
 *	word "block", which they need, holds for a whole transaction
 * @IOMMUCFG_PART_PAUSE: those whose drivers are paused, as what is in use does not permit more,
 *	where others are unbound: the limit of disruption holds for a whole transaction
 *
 * A run has two parts at most.
 */
enum iommucfg_part {
	IOMMUCFG_PART_MAIN	= 0,
	IOMMUCFG_PART_BLOCK	= 1,
	IOMMUCFG_PART_PAUSE	= 2,
};

/**
 * iommucfg_use_kind() - what it is
 *
 * Return: "mount", "swap", "journal", "dm", "md", "holder", "export", "open", "net", "vfio",
 * "vfs", "mdev", "vdpa", "subfunction", "fc", "rdma", "cxl", "ubi", "watchdog" or
 * "console". There may be more.
 */
const char *iommucfg_use_kind(const struct iommucfg_use *use);

/** iommucfg_use_name() - block device, interface, or file in /dev */
const char *iommucfg_use_name(const struct iommucfg_use *use);

/** iommucfg_use_detail() - mount point, addresses, PID of the owner, ... */
const char *iommucfg_use_detail(const struct iommucfg_use *use);

/** iommucfg_use_word() - the word of allow_in_use that it needs, one of them */
enum iommucfg_word iommucfg_use_word(const struct iommucfg_use *use);

/** iommucfg_use_fix() - one line for sh that ends it, or NULL */
const char *iommucfg_use_fix(const struct iommucfg_use *use);

/** iommucfg_use_guard() - what the kernel has to overlook for it */
enum iommucfg_guard iommucfg_use_guard(const struct iommucfg_use *use);

/** iommucfg_use_default_route() - an interface that carries a default route */
bool iommucfg_use_default_route(const struct iommucfg_use *use);

/** enum iommucfg_faults - what an IOMMU fault of a changed device leads to */
enum iommucfg_faults {
	IOMMUCFG_FAULTS_WARN		= 0,
	IOMMUCFG_FAULTS_ROLLBACK	= 1,
};

#ifdef __cplusplus
}
#endif

#include "iommucfg-plan.h"
#include "iommucfg-policy.h"
#include "iommucfg-standing.h"
#include "iommucfg-txn.h"
#include "iommucfg-run.h"

#endif /* IOMMUCFG_H */
