/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's files share with each other, and nobody else. */
#ifndef IOMMUCFG_INTERNAL_H
#define IOMMUCFG_INTERNAL_H

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "iommucfg.h"

#define CONFIGFS_DIR	"sys/kernel/config/iommu"

struct kmod_ctx;
struct pci_access;

struct iommucfg {
	unsigned int refs;
	char *root;		/* without a trailing slash; "" for / */
	int rootfd;
	int sysfd;		/* root/sys, or -1 */
	struct kmod_ctx *kmod;
	bool kmod_tried;
	struct pci_access *pci;
};

struct iommucfg_problem {
	enum iommucfg_severity severity;
	char *kind;
	char *message;
	char *file;
	char *rule;
	char *device;
	char *phase;
	char *error_word;	/* an errno name as the kernel wrote it */
	char *code;		/* NULL: the kind */
	char *fix;
	long group;
	int line;
	int error;
};

struct iommucfg_problems {
	unsigned int refs;
	struct iommucfg_problem *v;
	size_t n, cap;
};

/* Where a problem is; zero-initialise, group -1 for none. */
struct ic_where {
	const char *file;
	int line;
	const char *rule;
	long group;
	const char *device;
	int error;
};

#define IC_NOWHERE	((struct ic_where){ .line = -1, .group = -1 })

/* So many sets one above the other are looked at. */
#define IC_MAX_SETS	4

struct iommucfg_use {
	const char *kind;	/* constant */
	char *name;
	char *detail;
	char *fix;		/* or NULL */
	enum iommucfg_word word;
	bool default_route;
	/* the redundant sets that it comes over; the word is theirs if one of them stays whole */
	const struct ic_set *sets[IC_MAX_SETS];
	bool is_leg;		/* one does */
};

struct iommucfg_device {
	struct iommucfg *ctx;
	struct iommucfg_topology *topology;
	struct iommucfg_group *group;
	char *name;
	char *syspath;		/* below /sys */
	char *bus;
	char *driver;
	/* the rest is read when first asked for */
	char *override;
	char *modalias;
	char *path;
	char *vendor_name, *device_name, *class_name;
	char **modules;		/* that the modalias names, ended by NULL */
	const char *required;	/* constant */
	struct ic_names {
		char **v;
		size_t n, cap;
	} interfaces, disks;
	struct iommucfg_use *uses;
	size_t num_uses, cap_uses;
	size_t last_use;	/* the one that was added last, */
	bool last_is_new;	/* and whether it was there before */
	long class, vendor, device, subvendor, subdevice;
	bool ids_read, override_read, modalias_read, removable_read, names_read, modules_read;
	bool removable, untrusted, untrusted_read;
	long silent;		/* microseconds for which a change has paused it, or 0 */
};

struct iommucfg_group {
	unsigned int number;
	enum iommucfg_type type;
	char *type_text;
	struct iommucfg_device **devices;
	size_t num_devices, cap_devices;
};

struct iommucfg_topology {
	unsigned int refs;
	struct iommucfg *ctx;
	struct iommucfg_group **groups;
	size_t num_groups, cap_groups;
	struct ic_slot {
		char *label, *address;	/* "3", "0000:3b:00" */
	} *slots;
	size_t num_slots, cap_slots;
	bool slots_read, names_read;
	/* every device; by name, and by syspath */
	struct iommucfg_device **by_name, **by_path;
	size_t num_devices;
	/* managed device links: paths below /sys */
	struct ic_link {
		char *supplier, *consumer;
	} *links;
	size_t num_links, cap_links;
	struct ic_set **sets;	/* redundant ones */
	size_t num_sets, cap_sets;
	/* what could not be read of what is in use */
	struct ic_unread {
		char *why;
		struct iommucfg_device *device;	/* the one that it is about, or NULL */
		int maybe, error;
	} *unreads;
	size_t num_unreads, cap_unreads;
	int use_error;
	bool use_read, required_read, links_read;
};

/* What could have been found where something cannot be read; 0: only words about it. */
#define IC_MAYBE_NET		IOMMUCFG_GUARD_NET
#define IC_MAYBE_BLOCK		IOMMUCFG_GUARD_BLOCK
#define IC_MAYBE_NEVER		4	/* what is never overridden */
#define IC_MAYBE_DEFAULT_ROUTE	8
#define IC_MAYBE_MOUNTED	16
#define IC_MAYBE_OTHER		32
#define IC_MAYBE_LINKED		(IC_MAYBE_NET | IC_MAYBE_BLOCK)

enum ic_key {
	IC_KEY_DEVICE, IC_KEY_BUS, IC_KEY_PATH, IC_KEY_VENDOR, IC_KEY_DEVICE_ID,
	IC_KEY_SUBVENDOR, IC_KEY_SUBDEVICE, IC_KEY_CLASS, IC_KEY_DRIVER,
	IC_KEY_REMOVABLE, IC_KEY_BOUND, IC_KEY_SLOT, IC_KEY_UNTRUSTED, IC_NUM_KEYS
};

/* One of the words or numbers that a match key is ORed over. */
struct ic_value {
	char *word;
	long number;
	int digits;		/* of a class: 2, 4 or 6 */
};

struct ic_values {
	struct ic_value *v;
	size_t n, cap;
};

struct iommucfg_rule {
	char *name;
	char *file;
	int line;
	enum iommucfg_type type;	/* NONE: keep */
	int priority;
	char *apart;		/* what it matches is not changed together; or NULL */
	bool required;
	bool optional;		/* "required = false" is written out */
	bool has_not;
	size_t order;		/* in reading */
	struct ic_values match[IC_NUM_KEYS], not[IC_NUM_KEYS];
};

/* How often a rule has met a device, and has won for one. */
struct ic_rule_count {
	const struct iommucfg_rule *rule;
	size_t matched, won;
};

struct iommucfg_policy {
	unsigned int refs;
	struct iommucfg *ctx;
	struct iommucfg_rule **rules;
	size_t num_rules, cap_rules;
	void *names;		/* of the rules, as tsearch() keeps them */
	enum iommucfg_type def;
	char *def_file;
	int def_line;
	long confirm_timeout, settle;
	int allow, strict, disruption;
	char **check_command;	/* NULL where not set, without words for none */
	char *check_file;	/* where it is */
	int check_line;
	long check_timeout;
	int faults;		/* enum iommucfg_faults, or -1 */
};

struct iommucfg_change {
	struct iommucfg_group *group;
	enum iommucfg_type to;
	bool in_place, is_default;
	char method[16];	/* as the kernel says; "" where it was not asked */
	bool reverts_in_place;	/* changed in place, and back as well; false where not known */
	bool over_limit;	/* skipped for the limit of disruption */
	bool ruled_out;		/* the kernel says that the group cannot take the type */
	enum iommucfg_part part;
	bool keeps_drivers;	/* paused, and must not be unbound instead */
	unsigned int step;	/* changed after those of the steps before */
	const struct iommucfg_rule *rule;
	const char *file;
	int line;
};

struct ic_changes {
	struct iommucfg_change **v;
	size_t n, cap;
};

struct iommucfg_plan_options {
	unsigned int refs;
	long confirm_timeout, default_timeout;
	int allow_in_use;
	bool skip_in_use, only_look, strict;
	enum iommucfg_disruption disruption;
	const struct iommucfg_plan *methods_of;	/* a plan of the same groups: not asked anew */
};

struct iommucfg_plan {
	unsigned int refs;
	struct iommucfg_topology *topology;
	struct iommucfg_policy *policy;
	struct iommucfg_plan_options options;
	struct ic_changes changes, skipped;
	struct ic_rule_count *counts;	/* of the policy's rules, in reading order */
	size_t num_counts;
	size_t unchanged;
	unsigned int num_steps;	/* more than one where legs of a set are changed */
	char *sets;		/* whose legs these are, in words */
	bool no_way_back;	/* so there is no confirm timeout by default */
	bool no_disruption;	/* the kernel's module knows no limit of disruption */
	struct iommucfg_problems *conflicts, *problems;
	struct ic_losses *losses;	/* found when they are first asked for */
	char *def_file;
};

/* util.c */
#define IC_GROW(array, n, cap) ic_grow((void **)&(array), (n), &(cap), sizeof(*(array)))
int ic_grow(void **array, size_t n, size_t *cap, size_t size);
void ic_dm_name(const char *path, char *name, size_t size);
int ic_open_file(int dirfd, const char *path, int flags);
DIR *ic_opendirat(int dirfd, const char *path);
struct dirent *ic_readdir(DIR *dir, int *error);
ssize_t ic_read_attr(int dirfd, const char *path, char *buf, size_t size);
int ic_write_attr(int dirfd, const char *path, const char *text);
char *ic_read_text(int dirfd, const char *path, int *error);
int ic_slurp(int fd, size_t max, char **text, size_t *length);
int ic_parse_number(const char *text, int base, unsigned long max, unsigned long *value);
bool ic_canonical_decimal(const char *text, unsigned int *value);
void ic_unescape(char *text);
const char *ic_basename(const char *path);
char *ic_sys_link(int dirfd, const char *path, const char *base);
int ic_strdup(char **copy, const char *text);
char *ic_printable(const char *text);
int ic_list_directories(int dirfd, const char *path, int (*wanted)(const struct dirent *e),
			char ***names);
void ic_free_names(char **names);
char **ic_copy_names(char *const *names);

/* problem.c */
int ic_problem(struct iommucfg_problems *problems, enum iommucfg_severity severity,
	       const char *kind, const struct ic_where *where, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void ic_problem_cure(struct iommucfg_problems *problems, const char *code, const char *fix, ...)
	__attribute__((format(printf, 3, 4)));
struct iommucfg_problem *ic_problem_last(struct iommucfg_problems *problems);
void ic_problems_keep(struct iommucfg_problems *problems, struct iommucfg_group *const *groups,
		      size_t count);
int ic_problems_copy(struct iommucfg_problems *to, const struct iommucfg_problem *from);

/* policy-write.c */
size_t ic_control(const char *text);
void ic_put_word(FILE *f, const char *text, bool glob);
const char *ic_policy_type_name(enum iommucfg_type type);

/* pci-slot.c */
int ic_slot_matches(struct iommucfg_device *device, const char *label);
void ic_slots_free(struct iommucfg_topology *topology);

/* pci-path.c */
char *ic_pci_path(const char *syspath);
bool ic_pci_path_moves(const char *path);
bool ic_pci_address(const char *text, size_t length, const char **devfn);
bool ic_is_short_pci(const char *name);

/* modalias.c, pci-names.c */
char **ic_modalias_modules(struct iommucfg *ctx, const char *modalias);
void ic_modalias_free(struct iommucfg *ctx);
void ic_names_read(struct iommucfg_device *device);
void ic_names_free(struct iommucfg *ctx);
int ic_release(struct iommucfg *ctx, char *buf, size_t size);

/* topology.c */
struct iommucfg_device *ic_device_at(const struct iommucfg_topology *topology,
				     const char *syspath);
unsigned long long ic_memory_end(struct iommucfg *ctx);

/* device-names.c */
struct iommucfg_device *ic_device_owner(const struct iommucfg_topology *topology,
					const char *syspath, const char **ungrouped);
int ic_device_owners(const struct iommucfg_topology *topology, const char *syspath,
		     int (*one)(struct iommucfg_device *device, void *data), void *data);
void ic_device_names_free(struct iommucfg_device *device);

/* below.c: which devices something in sysfs hangs off */
struct ic_devices {
	struct iommucfg_device **v;
	size_t n, cap;
};

int ic_links_read(struct iommucfg_topology *topology);
void ic_links_free(struct iommucfg_topology *topology);
int ic_devices_add(struct ic_devices *devices, struct iommucfg_device *device);
int ic_devices_above(struct iommucfg_topology *topology, const char *syspath,
		     struct ic_devices *devices);

/* sets.c: what keeps working with a leg less, as a bond, a mirror, a disk with two paths */
struct ic_leg {
	char *name;		/* "eth0", "sda1", "nvme0" */
	bool healthy;
	struct ic_devices devices;
};

struct ic_set {
	const char *kind;	/* "bond", "team", "md", "mirror", "multipath", "nvme", "apart" */
	char *name;		/* "bond0", "md0" */
	enum iommucfg_word word;	/* by which a leg goes */
	struct ic_leg *legs;
	size_t num_legs, cap_legs;
	bool degraded;		/* no leg can go, whatever each is */
	bool no_bitmap;
	bool foreign;		/* md: what leaves it is for others to put back */
	size_t may_miss;	/* how many legs at once; 0: all but one */
};

struct ic_set *ic_set_new(struct ic_set ***sets, size_t *n, size_t *cap, const char *kind,
			  const char *name);
struct ic_leg *ic_set_leg(struct ic_set *set, const char *name);
void ic_set_free(struct ic_set *set);
void ic_sets_free(struct ic_set **sets, size_t n);
size_t ic_set_healthy(const struct ic_set *set);
bool ic_leg_is_of(const struct ic_leg *leg, const struct iommucfg_group *group);
int ic_sets_scan(struct iommucfg_topology *topology);
void ic_sets_judge(struct iommucfg_topology *topology);

/* plan-legs.c */
int ic_plan_choose_steps(struct iommucfg_plan *plan);
int ic_plan_judge_steps(struct iommucfg_plan *plan);

/* use-unknown.c */
bool ic_is_gone(int error);
int ic_unread(struct iommucfg_topology *topology, const struct ic_devices *only, int maybe,
	      int error, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
int ic_unknown(struct iommucfg_topology *topology, const struct ic_devices *only, int maybe,
	       const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int ic_unread_warn(const struct iommucfg_topology *topology, struct iommucfg_problems *problems);
int ic_unread_judge(struct iommucfg_plan *plan, const struct iommucfg_change *change);
bool ic_unread_hides(const struct iommucfg_plan *plan, const struct iommucfg_change *change);
void ic_unread_free(struct iommucfg_topology *topology);

/* use*.c */
int ic_use_add(struct iommucfg_device *device, const char *kind, const char *name,
	       enum iommucfg_word word, bool default_route, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
bool ic_is_released(const struct iommucfg_device *device);
bool ic_use_counts(const struct iommucfg_device *device, size_t index);
void ic_use_fix(struct iommucfg_device *device, const char *fix);
void ic_uses_free(struct iommucfg_device *device);

/* word.c */
#define IC_WORDS_BLOCK	(IOMMUCFG_WORD_BLOCK | IOMMUCFG_WORD_MOUNTED)

bool ic_word_permits(const struct iommucfg_plan_options *options,
		     const struct iommucfg_device *device, const struct iommucfg_use *use);
const char *ic_word_hint(const struct iommucfg_plan_options *options,
			 const struct iommucfg_device *device, const struct iommucfg_use *use);

/* plan-parts.c */
void ic_plan_choose_parts(struct iommucfg_plan *plan);
enum iommucfg_disruption ic_plan_limit(const struct iommucfg_plan *plan, enum iommucfg_part part);
size_t ic_plan_count_part(const struct iommucfg_plan *plan, enum iommucfg_part part);

/* plan.c, plan-guards.c, plan-method.c */
int ic_plan_guards(struct iommucfg_plan *plan);
int ic_plan_choose_timeout(struct iommucfg_plan *plan);
int ic_plan_ask_methods(struct iommucfg_plan *plan);
void ic_plan_read_methods(struct iommucfg_plan *plan, struct iommucfg_txn *txn);
void ic_change_set_method(struct iommucfg_change *change, const char *method);
enum iommucfg_disruption ic_change_needs(const struct iommucfg_change *change,
					 bool confirm_timeout);
const char *ic_way_back_text(const struct iommucfg_plan *plan,
			     const struct iommucfg_change *change);
int ic_change_add(struct ic_changes *changes, struct iommucfg_change *change);
void ic_change_drop(struct ic_changes *changes, size_t index);

#endif /* IOMMUCFG_INTERNAL_H */
