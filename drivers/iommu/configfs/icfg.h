/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_H
#define _ICFG_H

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/atomic.h>
#include <linux/compiler_attributes.h>
#include <linux/configfs.h>
#include <linux/device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/*
 * Where KUnit tests step in. A function that begins with
 * KUNIT_STATIC_STUB_REDIRECT() can be replaced, for the threads of one test
 * only; VISIBLE_IF_KUNIT is static in a kernel without KUnit, where the former
 * is nothing at all.
 */

/* parse.c */
/**
 * enum icfg_type - type of a group's default domain
 * @ICFG_NONE: not chosen yet; only ever the wish for a group just staged
 * @ICFG_AUTO: what the IOMMU driver or the system prefers; only ever a wish
 * @ICFG_IDENTITY: no translation
 * @ICFG_DMA: translated, strict invalidation
 * @ICFG_DMA_FQ: translated, lazy invalidation
 * @ICFG_OTHER: reads back as something that cannot be asked for (blocked,
 *	unmanaged, unknown)
 *
 * The first three words after "none" are those that the group's sysfs file
 * takes as well.
 */
enum icfg_type {
	ICFG_NONE,
	ICFG_AUTO,
	ICFG_IDENTITY,
	ICFG_DMA,
	ICFG_DMA_FQ,
	ICFG_OTHER,
};

/* Where the directory of a transaction is in its life. */
enum icfg_state {
	ICFG_STAGED,
	ICFG_COMMITTING,
	ICFG_COMMITTED,
	ICFG_UNCONFIRMED,
	ICFG_ROLLING_BACK,
	ICFG_ROLLED_BACK,
	ICFG_FAILED,
};

/* What the last commit or rollback did to one group. */
enum icfg_status {
	ICFG_S_STAGED,
	ICFG_S_UNCHANGED,
	ICFG_S_IN_PLACE,
	ICFG_S_CHANGED,
	ICFG_S_RESTORED,
	ICFG_S_FAILED,
};

enum icfg_phase {
	ICFG_CHECK,
	ICFG_RELEASE,
	ICFG_PAUSE,
	ICFG_SWITCH,
	ICFG_RESUME,
	ICFG_PROBE,
	ICFG_VERIFY,
	ICFG_RESTORE,
};

/* The longest name of a transaction, without its NUL. */
#define ICFG_NAME_MAX	64

/* What an operator lets a commit take away, as bits of allow_in_use. */
#define ICFG_ALLOW_NET		BIT(0)
#define ICFG_ALLOW_BLOCK	BIT(1)
#define ICFG_ALLOW_OTHER	BIT(2)

/* Beside them: what no word allows. */
#define ICFG_NO_WORD		BIT(31)
#define ICFG_ALL_WORDS		(ICFG_ALLOW_NET | ICFG_ALLOW_BLOCK | \
				 ICFG_ALLOW_OTHER | ICFG_NO_WORD)

/* How a group gets from the type that it has to the one that is wanted. */
enum icfg_method {
	ICFG_METHOD_NONE,	/* not known yet */
	ICFG_METHOD_UNCHANGED,	/* it has its type already */
	ICFG_METHOD_IN_PLACE,	/* between DMA and DMA-FQ, drivers stay bound */
	ICFG_METHOD_PAUSE,	/* drivers paused, group switched, drivers resumed */
	ICFG_METHOD_REBIND,	/* drivers unbound, group switched, devices probed */
};

/* What an operator accepts at most, in the order of the words in the ABI. */
enum icfg_disruption {
	ICFG_DISRUPT_NONE,	/* in place only */
	ICFG_DISRUPT_PAUSE,	/* also with drivers paused */
	ICFG_DISRUPT_REBIND,	/* also with drivers unbound */
};

const char *icfg_type_word(enum icfg_type type);
const char *icfg_state_word(enum icfg_state state);
const char *icfg_status_word(enum icfg_status status);
const char *icfg_phase_word(enum icfg_phase phase);
const char *icfg_method_word(enum icfg_method method);
const char *icfg_disruption_word(enum icfg_disruption disruption);

size_t icfg_line_len(const char *buf, size_t count);
bool icfg_is_word(const char *buf, size_t count, const char *word);
int icfg_word_index(const char * const *words, int n, const char *buf, size_t count);
enum icfg_type icfg_type_from_word(const char *buf, size_t count);
int icfg_parse_one(const char *buf, size_t count);
int icfg_parse_type(const char *buf, size_t count, enum icfg_type *type);
int icfg_parse_allow(const char *buf, size_t count, unsigned int *allow);
ssize_t icfg_print_allow(unsigned int allow, char *page);
int icfg_parse_disruption(const char *buf, size_t count,
			  enum icfg_disruption *disruption);
int icfg_parse_number(const char *buf, size_t count, u64 max, u64 *value);
int icfg_parse_group_id(const char *name, unsigned int *id);
bool icfg_name_ok(const char *name);

/* report.c */
/* What configfs lets a text attribute hold, whatever the size of a page. */
#define ICFG_TEXT_MAX	SZ_4K

/* Names no group in a line of a report. */
#define ICFG_NO_GROUP	-1

/**
 * struct icfg_report - the problems of the last run of a transaction
 * @lock: protects the rest; taken inside of every other lock
 * @lines: struct report_line, in the order in which they came up
 * @count: lines kept
 * @lost: lines that were not kept, for lack of memory or because there were
 *	too many
 */
struct icfg_report {
	spinlock_t lock;	/* protects all of it */
	struct list_head lines;
	unsigned int count;
	unsigned int lost;
};

void icfg_report_init(struct icfg_report *report);
void icfg_report_clear(struct icfg_report *report);
void icfg_report_keep(struct icfg_report *report, unsigned int count);
__printf(6, 7)
void icfg_report_add(struct icfg_report *report, int group, const char *device,
		     enum icfg_phase phase, int err, const char *fmt, ...);
ssize_t icfg_report_show(struct icfg_report *report, int group, char *page,
			 size_t at);

/* sched.c */
struct icfg_sched;

enum icfg_step_state {
	ICFG_STEP_IDLE,		/* not part of a run, or done */
	ICFG_STEP_WAITING,	/* for steps that go first */
	ICFG_STEP_READY,	/* waits until fewer are running */
	ICFG_STEP_RUNNING,	/* on the workqueue, or in its function */
	ICFG_STEP_LEFT,		/* still running; the run no longer waits for it */
};

/* Why a run is to end before all of its steps have run. */
enum icfg_stop {
	ICFG_GO_ON,
	ICFG_STOP,		/* begin no step; running ones may end in a moment */
	ICFG_STOP_NOW,		/* begin no step, and wait for none */
};

/**
 * struct icfg_step - one piece of work that runs beside others
 * @node: in the list that is given to icfg_sched_run()
 * @deps: struct icfg_edge, to the steps that go before this one
 * @dependents: struct icfg_edge, to the steps that go after this one
 * @selected: set by the caller: this step is part of the next run
 * @since: when it began last, or its part that @limit is for, in jiffies
 * @limit: how long that part may take, where that is less than the limit of the
 *	run; 0: that of the run
 * @reverting: it began last as part of a revert
 * @slow: it was reported as slow since
 * @late: it has outlasted its limit since
 */
struct icfg_step {
	struct list_head node;
	struct list_head deps;
	struct list_head dependents;
	bool selected;
	unsigned long since;
	unsigned long limit;
	bool reverting;
	bool slow;
	bool late;

	/* private: of sched.c, under its lock */
	enum icfg_step_state state;
	unsigned int pending;
	struct list_head ready;
	struct icfg_sched *sched;
	void (*returned)(struct icfg_step *step);
	struct work_struct work;
};

/**
 * struct icfg_sched - one run over a list of steps
 * @fn: does the work of a step; may sleep
 * @slow: called once for each step that has been running for over ten seconds
 * @late: called for a step that has outlasted @limit, before those that wait
 *	for it begin
 * @leave: called for each step that is left running, under the lock of
 *	sched.c: takes the references that @returned puts
 * @returned: called when a step that was left has returned, as its last act
 * @limit: how long one step may take, in jiffies
 * @width: how many steps run at a time; 0: any number
 * @stop: read all the time, and @wait is woken when it changes; or NULL
 * @wait: where the run waits
 * @done: counts steps as they finish or are left, or NULL
 * @reverse: follow the edges the other way around
 * @reverting: the run is part of a revert; noted in each step
 */
struct icfg_sched {
	void (*fn)(struct icfg_step *step);
	void (*slow)(struct icfg_step *step);
	void (*late)(struct icfg_step *step);
	void (*leave)(struct icfg_step *step);
	void (*returned)(struct icfg_step *step);
	unsigned long limit;
	unsigned int width;
	const enum icfg_stop *stop;
	wait_queue_head_t *wait;
	atomic_t *done;
	bool reverse;
	bool reverting;

	/* private: */
	unsigned int running;
	unsigned int waiting;
	struct list_head ready;
};

int icfg_sched_init(void);
void icfg_sched_exit(void);

void icfg_step_init(struct icfg_step *step);
int icfg_step_add_dep(struct icfg_step *first, struct icfg_step *second,
		      gfp_t gfp);
bool icfg_step_has_dep(const struct icfg_step *step,
		       bool (*test)(const struct icfg_step *dep));
bool icfg_step_has_dependent(const struct icfg_step *step,
			     bool (*test)(const struct icfg_step *dependent));
bool icfg_step_is_left(const struct icfg_step *step);
void icfg_step_begin_part(struct icfg_step *step, unsigned long limit);
unsigned long icfg_step_end(const struct icfg_step *step, unsigned long limit);
bool icfg_step_watch(struct icfg_step *step, unsigned long until,
		     void (*slow)(struct icfg_step *step),
		     void (*late)(struct icfg_step *step));
void icfg_step_free_deps(struct list_head *list);
void icfg_sched_run(struct icfg_sched *sched, struct list_head *list);

#if IS_ENABLED(CONFIG_KUNIT)
struct icfg_edge *icfg_edge_alloc(gfp_t gfp);
void icfg_step_queue(struct icfg_step *step);
#endif

/* txn.c, staged.c */
struct icfg_plan;

/* The longest time in which a commit can be confirmed, in seconds. */
#define ICFG_CONFIRM_MAX	604800

/* How long one step of a commit or rollback may take, in seconds. */
#define ICFG_STEP_TIMEOUT	120
#define ICFG_STEP_TIMEOUT_MAX	3600

/**
 * struct icfg_txn - a transaction
 * @dir: its directory, whose reference count is that of the transaction
 * @busy: held while a check or a take-back runs, and to begin a commit or a
 *	rollback; taken outside of @lock
 * @lock: protects what follows up to @report. Held for moments only, never
 *	while waiting for hardware; taken inside of the locks of configfs.
 * @state: where it is in its life
 * @groups: struct icfg_staged, each with a reference; changes in ICFG_STAGED only
 * @expected_generation: 0, or what the generation has to be at the commit
 * @allow: ICFG_ALLOW_*
 * @disruption: the most disruptive method that the operator accepts
 * @confirm_timeout: seconds, 0 for a commit that is final at once
 * @step_timeout: seconds that one step may take
 * @undo: what the last commit found, kept while it can be rolled back
 * @plan: the commit that is running, while the timer may interrupt it
 * @deadline: when a commit that is not confirmed is reverted, by
 *	icfg_pm_clock(); 0 while nothing counts down
 * @timer: reverts it; holds a reference to @dir while armed or running
 * @waiting: struct icfg_plan, each with a reference, that have groups which a
 *	step that was given up on keeps from being restored
 * @take_back: restores these groups when such a step has returned; holds a
 *	reference to @dir while queued or running
 * @report: protected by its own lock
 * @done: device steps done by the present or last run
 * @total: device steps that there are
 */
struct icfg_txn {
	struct config_group dir;

	struct mutex busy;	/* held while a check or a take-back runs */
	struct mutex lock;	/* protects up to @report */
	enum icfg_state state;
	struct list_head groups;
	u64 expected_generation;
	unsigned int allow;
	enum icfg_disruption disruption;
	unsigned int confirm_timeout;
	unsigned int step_timeout;
	struct icfg_plan *undo;
	struct icfg_plan *plan;
	u64 deadline;
	struct delayed_work timer;
	struct list_head waiting;
	struct delayed_work take_back;

	struct icfg_report report;
	atomic_t done;
	atomic_t total;
};

/**
 * struct icfg_staged - a group staged in a transaction
 * @item: its directory, whose reference count is that of this object
 * @txn: the transaction; valid while the group is in its list
 * @node: in txn->groups; under txn->lock
 * @group: the IOMMU group; the reference keeps its number from being reused
 * @id: its number
 * @new: the type to commit; under txn->lock
 * @method: what the last check, commit or rollback chose; under txn->lock
 * @status: what became of it; under txn->lock
 * @hidden: the directory is gone, the transaction still covers the group;
 *	under txn->lock
 */
struct icfg_staged {
	struct config_item item;
	struct icfg_txn *txn;
	struct list_head node;
	struct iommu_group *group;
	unsigned int id;
	enum icfg_type new;
	enum icfg_method method;
	enum icfg_status status;
	bool hidden;
};

static inline const char *icfg_txn_name(struct icfg_txn *txn)
{
	return config_item_name(&txn->dir.cg_item);
}

int icfg_txn_init(void);
void icfg_txn_exit(void);

struct icfg_txn *icfg_txn_new(void);
void icfg_txn_free(struct icfg_txn *txn);
void icfg_txn_forget(struct icfg_txn *txn);

struct icfg_staged *icfg_staged_new(unsigned int id);
void icfg_staged_free(struct icfg_staged *group);
int icfg_txn_add(struct icfg_txn *txn, struct icfg_staged *group);
void icfg_txn_drop(struct icfg_txn *txn, struct icfg_staged *group);
int icfg_staged_set_type(struct icfg_staged *group, enum icfg_type type);

void icfg_staged_freeze(struct icfg_staged *group);
void icfg_staged_thaw(struct icfg_staged *group);
ssize_t icfg_staged_show_type(struct icfg_staged *group, char *page);
ssize_t icfg_staged_show_devices(struct icfg_staged *group, char *page);

void icfg_txn_init_work(struct icfg_txn *txn);
void icfg_txn_drop_hidden(struct icfg_txn *txn);
void icfg_txn_keep_undo(struct icfg_txn *txn, struct icfg_plan *plan);

int icfg_txn_check(struct icfg_txn *txn);
int icfg_txn_commit(struct icfg_txn *txn);
int icfg_txn_confirm(struct icfg_txn *txn);
int icfg_txn_rollback(struct icfg_txn *txn);
int icfg_txn_set_confirm_timeout(struct icfg_txn *txn, unsigned int seconds);
unsigned int icfg_txn_remaining(struct icfg_txn *txn);

bool icfg_capable(void);

#if IS_ENABLED(CONFIG_KUNIT)
int icfg_txn_depend(struct icfg_txn *txn);
void icfg_txn_undepend(struct icfg_txn *txn);
void icfg_txn_queue_take_back(struct icfg_txn *txn, unsigned long delay);
#endif

/* types.c */
enum icfg_support {
	ICFG_UNSUPPORTED,
	ICFG_SUPPORTED,
	ICFG_SUPPORT_UNKNOWN,	/* shows only when tried */
};

/**
 * struct icfg_types - what the devices of a group allow it to be
 * @forced: the only type that they take, or ICFG_NONE where any will do
 * @untrusted: there is a device that is not trusted
 * @contradiction: a device that is not trusted, in a group that its IOMMU
 *	driver forces to identity: the core takes no type at all
 * @forced_by: a device that forces it; a reference is held, or NULL
 * @identity: does the IOMMU have an identity domain?
 * @fq: does the IOMMU take lazy invalidation?
 */
struct icfg_types {
	enum icfg_type forced;
	bool untrusted;
	bool contradiction;
	struct device *forced_by;
	enum icfg_support identity;
	enum icfg_support fq;
};

void icfg_types_init(struct icfg_types *types);
void icfg_types_free(struct icfg_types *types);
void icfg_types_add(struct icfg_types *types, struct device *dev);

enum icfg_type icfg_required_type(struct device *dev);
enum icfg_support icfg_domain_defers(struct device *dev);
enum icfg_type icfg_auto_type(const struct icfg_types *types);

/* plan.c */

/* Where a group is when its plan is reverted. */
enum icfg_revert {
	ICFG_REVERT_NONE,	/* not reverted yet */
	ICFG_REVERT_WAITING,	/* for a step that was left, or for a lock */
	ICFG_REVERT_ACTIVE,	/* its devices and its type are being restored */
	ICFG_REVERT_DONE,	/* restored, or reported as failed for good */
	ICFG_REVERT_NOTED,	/* the same, before the take-back that is running */
	ICFG_REVERT_ELSEWHERE,	/* an earlier plan restores it, or another
				 * transaction has it
				 */
};

/**
 * struct icfg_plan_group - a group in a plan
 * @step: the switch of this group
 * @plan: the plan
 * @staged: the group of the transaction, with a reference
 * @types: what its devices allow, as of the last look at the members
 * @devs: struct icfg_plan_dev that are or were members; grows under plan->lock, and
 *	only by the thread that works on this group
 * @members: how many devices it has, as of the last look
 * @new: the type to go to
 * @old: the type at the start of the commit, which a revert restores
 * @cur: the type as last read by us; its step writes it, also one that was left
 * @method: how it gets its type
 * @phase: what its step does: ICFG_PAUSE, ICFG_SWITCH, ICFG_RESUME, or ICFG_RELEASE
 *	of a driver that could not be resumed
 * @busy: the member that it does that to, or NULL
 * @revert: where it is when the plan is reverted
 * @refusal: the errno that a check reports for it, 0 while there is none
 * @owned: another transaction has it: it is not judged any further
 * @unknown: refused before the method was known
 * @claimed: the transaction has got it for this plan, and had not got it before
 * @modified: a driver was unbound or the type was set
 * @switched_back: the revert is to set its type
 * @back_in_place: and can do so with drivers bound
 * @settled: the commit has given it its type, by rebind
 * @pause_back: the revert pauses its drivers
 * @fell_back: it was to be paused, and has to be rebound
 * @no_pause: it was found that it cannot be paused
 * @pinned: it must not be touched by the revert; the reason is reported
 * @failed: something of it could not be restored
 * @waits: it is reported that it waits for the device of another group
 * @dma_setup_failed: it has a new domain, for which the core could not set a member up
 */
struct icfg_plan_group {
	struct icfg_step step;
	struct icfg_plan *plan;
	struct icfg_staged *staged;
	struct icfg_types types;
	struct list_head devs;
	unsigned int members;
	enum icfg_type new;
	enum icfg_type old;
	enum icfg_type cur;
	enum icfg_method method;
	enum icfg_phase phase;
	struct icfg_plan_dev *busy;
	enum icfg_revert revert;
	int refusal;
	bool owned;
	bool unknown;
	bool claimed;
	bool modified;
	bool switched_back;
	bool back_in_place;
	bool settled;
	bool pause_back;
	bool fell_back;
	bool no_pause;
	bool pinned;
	bool failed;
	bool waits;
	bool dma_setup_failed;
};

enum icfg_dev_state {
	ICFG_DEV_IDLE,		/* as it was found, or bound again */
	ICFG_DEV_PAUSED,	/* its driver is paused, or could not be resumed */
	ICFG_DEV_UNBOUND,	/* we took its driver away */
	ICFG_DEV_PINNED,	/* it must keep its driver in a revert */
	ICFG_DEV_GONE,		/* it was unplugged */
};

/**
 * struct icfg_plan_dev - a device in a plan
 * @step: its release or its probe
 * @hash: in plan->by_dev
 * @in_group: in group->devs, for a member
 * @group: the group for whose sake it is here
 * @dev: the device, with a reference
 * @supplier: in plan->unasked: the device with which it was unbound
 * @drv: the driver that it had at the start, its module pinned; or NULL
 * @drv_name: the name of that driver, which outlives @drv; or NULL
 * @state: where it is between the driver that it had and none; its step writes it,
 *	also one that was left, while others look at all devices
 * @member: a member of the group; else a managed consumer of what is released
 * @managed: its driver manages DMA itself, and stays
 * @can_pause: its driver can be paused
 * @port: its driver would manage DMA itself, but keeps interrupts in the domain,
 *	and is unbound for their sake; what hangs below it stays
 * @dependent: unbound because a supplier is unbound; its group need not be in the
 *	plan
 * @below: hangs below another one that is released, which may delete it: the
 *	probe of that one makes it anew
 * @newcomer: the revert found it; it may be what was made anew for another one
 * @enabled: a port with one more pci_enable_device() of ours, so that it does
 *	not lose bus mastering while its driver is unbound
 * @driver_leaving: the module of its driver is being removed
 * @locked: its lock could not be acquired in time
 * @left_out: it keeps its driver in this round of a revert, though its group is done
 * @use: what was below it at the last look: 0, -EBUSY if something is in use, -EAGAIN
 *	if some of that may end soon
 * @no_dma_ops: its group was translated at the start, but the core could not set it
 *	up for that, and has only said so in the kernel log
 */
struct icfg_plan_dev {
	struct icfg_step step;
	struct hlist_node hash;
	struct list_head in_group;
	struct icfg_plan_group *group;
	struct device *dev;
	struct icfg_plan_dev *supplier;
	struct device_driver *drv;
	const char *drv_name;
	enum icfg_dev_state state;
	int use;
	bool member;
	bool managed;
	bool can_pause;
	bool port;
	bool dependent;
	bool below;
	bool newcomer;
	bool enabled;
	bool driver_leaving;
	bool locked;
	bool left_out;
	bool no_dma_ops;
};

/**
 * struct icfg_plan - a check, a commit or a rollback, and afterwards the record of
 *	what the commit found
 * @ref: references to the plan; each step that is left running has one
 * @txn: the transaction; outlives the plan
 * @node: in txn->waiting
 * @groups: the groups
 * @nr_groups: how many there are
 * @group_steps: the steps of @groups
 * @lock: protects @devs and @by_dev, which grow while groups are switched side
 *	by side, and the members of each group
 * @devs: the steps of struct icfg_plan_dev
 * @unasked: steps of struct icfg_plan_dev that the driver core has unbound with a
 *	supplier, and that are not in @devs yet; under a lock of deps.c
 * @by_dev: the same by device: a hash table
 * @by_dev_bits: the binary logarithm of its size
 * @allow: ICFG_ALLOW_*, as of the start
 * @disruption: the most disruptive method that is allowed
 * @expected: the generation that it has to be, or 0
 * @step_limit: how long one step may take, in jiffies
 * @lock_until: until when locks of devices are waited for, in jiffies
 * @expired_at: when the confirm timer came due, in jiffies
 * @wait: where the thread that drives the plan waits
 * @step_returned: called when a step that was left running has returned
 * @stop: a forward run begins no more steps; raised by any thread, see
 *	icfg_plan_stop()
 * @confirm: the commit will wait to be confirmed
 * @rollback: it is of a rollback; its steps revert once @reverting says so
 * @reverting: this plan restores; may change while a step runs that was left, see
 *	icfg_plan_is_reverting(), and so may @allow, @lock_until and @taking_back
 * @taking_back: it restores what was given up on and has returned; its steps do not
 *	count in the progress of the transaction
 * @ordered: icfg_deps_order() has found an order
 * @links_go: device links go with the drivers that are released
 * @refusal: the errno that a refusal returns, 0 while there is none
 */
struct icfg_plan {
	struct kref ref;
	struct icfg_txn *txn;
	struct list_head node;
	struct icfg_plan_group *groups;
	unsigned int nr_groups;
	struct list_head group_steps;
	struct mutex lock;	/* protects @devs, @by_dev, the members */
	struct list_head devs;
	struct list_head unasked;
	struct hlist_head *by_dev;
	unsigned int by_dev_bits;
	unsigned int allow;
	enum icfg_disruption disruption;
	u64 expected;
	unsigned long step_limit;
	unsigned long lock_until;
	unsigned long expired_at;
	wait_queue_head_t wait;
	void (*step_returned)(struct icfg_plan *plan);
	enum icfg_stop stop;
	bool confirm;
	bool rollback;
	bool reverting;
	bool taking_back;
	bool ordered;
	bool links_go;
	int refusal;
};

#define icfg_for_each_group(pg, plan)				\
	list_for_each_entry(pg, &(plan)->group_steps, step.node)

#define icfg_for_each_dev(d, plan)				\
	list_for_each_entry(d, &(plan)->devs, step.node)

static inline struct icfg_plan_dev *to_plan_dev(struct icfg_step *step)
{
	return container_of(step, struct icfg_plan_dev, step);
}

static inline struct icfg_plan_group *to_plan_group(struct icfg_step *step)
{
	return container_of(step, struct icfg_plan_group, step);
}

/* Will its driver have to go before the group can be switched? */
static inline bool icfg_dev_is_bound(const struct icfg_plan_dev *d)
{
	return d->drv && !d->managed && READ_ONCE(d->state) != ICFG_DEV_UNBOUND;
}

/* Will its driver be unbound because that of a supplier is? */
static inline bool icfg_dev_is_dependent(const struct icfg_plan_dev *d)
{
	return d->dependent && d->drv && READ_ONCE(d->state) != ICFG_DEV_UNBOUND;
}

/* Is its driver to be bound again? */
static inline bool icfg_dev_is_unbound(const struct icfg_plan_dev *d)
{
	return READ_ONCE(d->state) == ICFG_DEV_UNBOUND && d->drv;
}

/* Does the commit unbind its driver? */
static inline bool icfg_dev_is_selected(const struct icfg_plan_dev *d)
{
	return icfg_dev_is_dependent(d) ||
	       (icfg_dev_is_bound(d) && !d->group->settled &&
		d->group->method == ICFG_METHOD_REBIND);
}

/* Is it not deleted, nor about to be? What follows copes with one that goes a moment later. */
static inline bool icfg_dev_is_registered(struct device *dev)
{
	/* Without its lock, and it shares its place with bits that others write. */
	return data_race(device_is_registered(dev));
}

/* Does it have the driver that it had at the start? */
static inline bool icfg_dev_is_bound_again(const struct icfg_plan_dev *d)
{
	return READ_ONCE(d->dev->driver) == d->drv;
}

/*
 * Is the plan being reverted? A step of the commit that was left may still run then:
 * it asks this first, and after that whether it was left.
 */
static inline bool icfg_plan_is_reverting(const struct icfg_plan *plan)
{
	/* Pairs with icfg_apply_rollback(): who sees it also sees which steps were left. */
	return smp_load_acquire(&plan->reverting);
}

/* As what a step of a plan is reported. */
static inline enum icfg_phase icfg_plan_phase(const struct icfg_plan *plan,
					      enum icfg_phase forward)
{
	return icfg_plan_is_reverting(plan) ? ICFG_RESTORE : forward;
}

/* Has a commit stopped, so that no step of it may begin? */
static inline bool icfg_plan_is_stopped(const struct icfg_plan *plan)
{
	return !icfg_plan_is_reverting(plan) &&
	       READ_ONCE(plan->stop) != ICFG_GO_ON;
}

#define icfg_for_each_member(d, pg)				\
	list_for_each_entry(d, &(pg)->devs, in_group)

/* So many more steps are to come. A take-back is part of a commit that is over. */
static inline void icfg_plan_count_steps(struct icfg_plan *plan, int count)
{
	if (!READ_ONCE(plan->taking_back))
		atomic_add(count, &plan->txn->total);
}

/*
 * Until when may a step wait for what passes, for @most jiffies? No longer than half of
 * what the step has, so that it ends by itself and its report says why.
 */
static inline unsigned long icfg_plan_wait_end(const struct icfg_plan *plan,
					       unsigned long most)
{
	return jiffies + min(most, plan->step_limit / 2);
}

/* Must the device of a step keep its driver in a revert? */
static inline bool icfg_step_is_pinned(const struct icfg_step *step)
{
	const struct icfg_plan_dev *d =
		container_of(step, struct icfg_plan_dev, step);

	return READ_ONCE(d->state) == ICFG_DEV_PINNED;
}

/* Does it have a default domain that translates? */
static inline bool icfg_group_is_translated(const struct icfg_plan_group *pg)
{
	return pg->cur == ICFG_DMA || pg->cur == ICFG_DMA_FQ;
}

/* Is it switched with its drivers bound? */
static inline bool icfg_group_is_in_place(const struct icfg_plan_group *pg)
{
	return icfg_plan_is_reverting(pg->plan) ?
	       pg->back_in_place : pg->method == ICFG_METHOD_IN_PLACE;
}

/* Does the commit change its type, in whatever way? */
static inline bool icfg_group_is_to_change(const struct icfg_plan_group *pg)
{
	return pg->method == ICFG_METHOD_REBIND ||
	       pg->method == ICFG_METHOD_PAUSE ||
	       pg->method == ICFG_METHOD_IN_PLACE;
}

/* Has it another type than it had, or a domain that a member is not set up for? */
static inline bool icfg_group_needs_revert(const struct icfg_plan_group *pg)
{
	return READ_ONCE(pg->cur) != pg->old || READ_ONCE(pg->dma_setup_failed);
}

struct icfg_plan *icfg_plan_new(struct icfg_txn *txn);
struct icfg_plan *icfg_plan_get(struct icfg_plan *plan);
void icfg_plan_put(struct icfg_plan *plan);
void icfg_plan_put_drivers(struct icfg_plan *plan);

gfp_t icfg_plan_gfp(const struct icfg_plan *plan);
int icfg_plan_members(struct icfg_plan *plan, struct icfg_plan_group *group);
bool icfg_group_reverts_in_place(const struct icfg_plan_group *pg);
int icfg_plan_get_driver(struct icfg_plan *plan, struct icfg_plan_dev *d);
const char *icfg_dev_is_held(const struct icfg_plan_dev *d);
struct icfg_plan_dev *icfg_plan_find(struct icfg_plan *plan, struct device *dev);
struct icfg_plan_dev *icfg_plan_new_dev(struct icfg_plan_group *group,
					struct device *dev);
void icfg_plan_free_dev(struct icfg_plan_dev *d);
void icfg_plan_insert(struct icfg_plan_dev *d);
struct icfg_plan_dev *icfg_plan_add_dev(struct icfg_plan *plan,
					struct icfg_plan_group *group,
					struct device *dev);
void icfg_plan_join(struct icfg_plan_dev *d, struct icfg_plan_group *group);
void icfg_plan_stop(struct icfg_plan *plan, enum icfg_stop stop);
void icfg_plan_leave_type(struct icfg_plan_group *pg, enum icfg_type last,
			  enum icfg_type now);
void icfg_plan_copy_group(struct icfg_plan_group *to,
			  const struct icfg_plan_group *from);
void icfg_plan_carry_over(struct icfg_plan *plan, struct icfg_plan *later);
void icfg_dev_disable_port(struct icfg_plan_dev *d);
bool icfg_dev_has_dma_ops(const struct icfg_plan_dev *d);
bool icfg_dev_is_gone(struct icfg_plan_dev *d);

__printf(3, 4)
void icfg_plan_warn(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		    const char *fmt, ...);
__printf(5, 6)
void icfg_plan_report(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
		      enum icfg_phase phase, int err, const char *fmt, ...);
__printf(5, 6)
void icfg_plan_report_warn(struct icfg_plan_group *pg, struct icfg_plan_dev *d,
			   enum icfg_phase phase, int err, const char *fmt, ...);

/* ownership.c */
void icfg_own_check(struct icfg_plan *plan);
void icfg_own(struct icfg_plan *plan, bool free);
void icfg_disown(struct icfg_plan *plan);
void icfg_disown_new(struct icfg_plan *plan);

/* Room for the name of a transaction. */
#define ICFG_OWNER_NAME	(ICFG_NAME_MAX + 1)

int icfg_own_for_rule(unsigned int id, char *who);
void icfg_disown_for_rule(unsigned int id);

u64 icfg_generation(void);
bool icfg_generation_raise(u64 expected);

void icfg_ownership_exit(void);

/* validate.c */
/* What asks for a rollback: it decides what refuses it. */
enum icfg_trigger {
	ICFG_BY_HAND,		/* uses refuse, a type changed since refuses */
	ICFG_BY_HAND_AGAIN,	/* in ICFG_FAILED: such groups are left as they are */
	ICFG_BY_TIMER,		/* the same, and interfaces may be up */
};

__printf(4, 5)
void icfg_refuse(struct icfg_plan_group *pg, struct icfg_plan_dev *d, int err,
		 const char *fmt, ...);
void icfg_refuse_errno(struct icfg_plan *plan, int err);

int icfg_validate_commit(struct icfg_plan *plan);
int icfg_validate_rollback(struct icfg_plan *plan, struct icfg_plan *undo,
			   enum icfg_trigger trigger);

/* apply.c */
bool icfg_apply_has_work(struct icfg_plan *plan);
bool icfg_apply_has_modified(struct icfg_plan *plan);
int icfg_apply_commit(struct icfg_plan *plan);
int icfg_apply_rollback(struct icfg_plan *plan);
bool icfg_apply_is_waiting(struct icfg_plan *plan);
void icfg_apply_take_back(struct icfg_plan *plan);

/* pm.c */
/* What excludes commits and rollbacks. */
enum icfg_pm {
	ICFG_PM_RUNNING,
	ICFG_PM_SUSPEND,
	ICFG_PM_REBOOT,
};

enum icfg_pm icfg_pm_enter(void);
bool icfg_pm_is_reboot(void);
void icfg_pm_leave(void);
void icfg_pm_enter_hanging(void);
void icfg_pm_leave_hanging(void);
u64 icfg_pm_clock(void);

int icfg_pm_init(void);
void icfg_pm_exit(void);

/* driver.c */
/**
 * struct icfg_visit - what to do with the devices of a walk
 * @fn: returns 0 to go on; anything else ends the walk
 * @data: passed on to @fn
 */
struct icfg_visit {
	int (*fn)(struct device *dev, void *data);
	void *data;
};

bool icfg_driver_manages_dma(const struct device_driver *drv);
bool icfg_has_msi(struct device *dev);
bool icfg_translates_msi(struct iommu_group *group);
bool icfg_keeps_msi(struct device *dev);
bool icfg_has_driver(const struct device *dev, const char *name);
struct device_driver *icfg_driver_get(const struct bus_type *bus,
				      const char *name);
int icfg_walk_below(struct device *dev, struct icfg_visit *visit);

/* bus.c */
/* As many as any kernel has. */
#define ICFG_BUSES_MAX	6

const struct bus_type *icfg_bus_by_name(const char *name, size_t len);
void icfg_buses_visit(int (*fn)(struct device *dev, void *data), void *data);
int icfg_buses_watch(struct notifier_block *blocks, notifier_fn_t fn,
		     int priority);
void icfg_buses_unwatch(struct notifier_block *blocks);

/* fault.c */
#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
void icfg_fault_init(void);
void icfg_fault_exit(void);
bool icfg_should_fail(void);
#else
static inline void icfg_fault_init(void) {}
static inline void icfg_fault_exit(void) {}
static inline bool icfg_should_fail(void) { return false; }
#endif

/* configfs.c */
extern struct configfs_subsystem icfg_subsys;

int icfg_configfs_init(void);
void icfg_configfs_exit(void);

#endif /* _ICFG_H */
