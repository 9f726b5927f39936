/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of a run share: lock, stage, commit, settle, confirm, record. */
#ifndef IOMMUCFG_RUN_INTERNAL_H
#define IOMMUCFG_RUN_INTERNAL_H

#include <time.h>

#include "child.h"
#include "faults.h"
#include "history.h"
#include "internal.h"
#include "txn.h"

struct iommucfg_network;

/* What is done now, in steps that do not wait. */
enum ic_phase {
	IC_PHASE_NONE,
	IC_PHASE_LOCK,		/* for another run to end */
	IC_PHASE_BEFORE,	/* hooks */
	IC_PHASE_COMMIT,
	IC_PHASE_SETTLE,
	IC_PHASE_CHECK,		/* what the policy's check command says */
	IC_PHASE_AFTER,		/* hooks */
	IC_PHASE_ASK,
	IC_PHASE_END,		/* for somebody else to decide, or for the kernel to end */
	IC_PHASE_ROLLBACK,
	IC_PHASE_RESTORE,	/* of the network, once the change has gone back */
};

/* The transactions of a step, while another one is at hand. */
struct ic_step {
	struct iommucfg_txn *txn, *second;
	enum iommucfg_part second_part;
	long self_timeout;
};

/* Where a run in steps is. */
enum ic_stage {
	IC_STAGE_COMMIT,
	IC_STAGE_SETTLE,
	IC_STAGE_KEEP,
};

struct ic_whole;

struct iommucfg_run {
	struct iommucfg *ctx;
	struct iommucfg_problems *problems;	/* the caller's */
	unsigned int refs;
	/* asked for */
	struct iommucfg_plan_options options;
	char *name;
	long settle;			/* -1: not said */
	bool detach, nonblocking;
	char **command, *action;
	char **check_command;		/* or NULL */
	long check_timeout;
	bool faults_warn;		/* only */
	long undoes;
	iommucfg_run_progress_fn progress;
	void *progress_data;
	iommucfg_run_question_fn question;
	void *question_data;
	int question_fd;
	iommucfg_run_cancel_fn cancel;
	void *cancel_data;
	int cancel_fd;
	iommucfg_run_message_fn message;
	void *message_data;
	/* found */
	struct iommucfg_topology *topology;
	struct iommucfg_plan *plan;
	int prepared;			/* what preparing came to, -1 before */
	uint64_t generation;
	char *shown;			/* the outline that a second plan must have */
	bool again;
	/* at work */
	enum ic_phase phase;
	struct iommucfg_txn *txn;
	/*
	 * Of changes that cannot be in one transaction the second part, which is committed
	 * after the other one; NULL where all are in one.
	 */
	struct iommucfg_txn *second;
	enum iommucfg_part second_part;
	struct iommucfg_txn *working;	/* the one that is committed now, or was last */
	struct ic_step *steps;		/* where it takes more than one */
	unsigned int num_steps, step;
	enum ic_stage stage;
	struct ic_changes rest;		/* of the plan: those of other steps */
	struct ic_whole *whole;		/* the sets whose legs the step takes */
	size_t num_whole, cap_whole;
	long long legs_looked;		/* elapsed when they were looked at last */
	bool settled;			/* devices and network are back, the sets not yet */
	bool undoing;			/* a step failed, and the earlier ones go back */
	int after;			/* what the second came to, where the first goes back */
	struct iommucfg_witness *witness;
	struct ic_watch *watch;		/* of IOMMU faults, or NULL */
	struct ic_names mounts;		/* before the commit, that are to stay */
	struct iommucfg_network *network;	/* before the commit, or NULL */
	int gone_back;			/* what the change came to before IC_PHASE_RESTORE */
	bool network_same;		/* as it was, after the change */
	long long network_looked;	/* elapsed at the last look at it since */
	bool differs;			/* it went back, but not all of the network is as before */
	struct timespec since;		/* when the phase began */
	unsigned int forgotten;		/* of the requests to stop */
	struct iommucfg_problems *hanging;	/* steps that were told of */
	long looked;			/* elapsed at the last look for them */
	bool told;			/* that the kernel finishes what it began */
	int lock, lock_wait;		/* the lock; the file that is waited for */
	int child_fd;
	pid_t child;
	bool child_reverts, child_over;
	int child_ret;			/* once it is over */
	struct ic_child program;	/* the check command, or a hook */
	char **hooks;			/* paths, ended by NULL; or NULL */
	size_t hook, hooks_done;	/* the one that runs; those that let it happen */
	int hook_input;			/* the plan, or -1 */
	bool hooks_refresh;		/* nothing had changed when they were begun */
	long unread;			/* elapsed when the state could not be read, -1: it can */
	bool lost;			/* it never could, and that was said */
	/* the timer of a change that confirms itself, or 0; when it was set last */
	long self_timeout, extended;
	bool keeping;			/* the verdict is good */
	bool final;			/* it was a no, but nothing can be rolled back */
	long begun;			/* entry of the history, begun before the commit, or 0 */
	int begun_fd;			/* keeps it */
	bool watched;			/* a process stays for what outlives this one */
	pid_t watcher;			/* or 0 */
	int watcher_fd;
	uint64_t before_lending;	/* generation when the lock was let go */
	char instance[32];		/* of the kernel's traces, while there is one */
	/* came out */
	bool overtaken;
	long entry;			/* of the history, or 0 */
	const char *result;
	char transaction[IOMMUCFG_TXN_NAME_MAX + 1];
};

/* run.c */
int ic_run_interrupted(struct iommucfg_run *run);
unsigned int ic_run_cancelled(struct iommucfg_run *run);
void ic_run_forget_cancel(struct iommucfg_run *run);
void ic_run_step_clear(struct iommucfg_run *run);
void ic_run_say(struct iommucfg_run *run, enum iommucfg_run_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
long long ic_run_elapsed_msec(const struct iommucfg_run *run);
long ic_run_elapsed(const struct iommucfg_run *run);
void ic_run_enter(struct iommucfg_run *run, enum ic_phase phase);
int ic_run_drive(struct iommucfg_run *run);

/* A step of a phase: an outcome, or IOMMUCFG_RUN_AGAIN where it is to be called again. */
int ic_run_lock_step(struct iommucfg_run *run);
int ic_run_commit_step(struct iommucfg_run *run);
int ic_run_settle_step(struct iommucfg_run *run);
int ic_run_check_step(struct iommucfg_run *run);
int ic_run_rollback_step(struct iommucfg_run *run);
int ic_run_ask_step(struct iommucfg_run *run);
int ic_run_end_step(struct iommucfg_run *run);

/* run-state.c */
int ic_run_state(struct iommucfg_run *run, enum iommucfg_state *state);
bool ic_run_is_split(const struct iommucfg_run *run);
int ic_run_report(struct iommucfg_run *run);
int ic_run_state_of(struct iommucfg_run *run, struct iommucfg_txn *txn,
		    enum iommucfg_state *state);
bool ic_run_is_mixed(struct iommucfg_run *run);
bool ic_run_is_kept(const struct iommucfg_run *run, enum iommucfg_state state);
bool ic_run_is_final(struct iommucfg_run *run);

/* run-stage.c */
int ic_run_judge(const struct iommucfg_run *run);
int ic_run_stage_parts(struct iommucfg_run *run);
int ic_run_refused(struct iommucfg_run *run, const char *what, int ret);
void ic_run_forget(struct iommucfg_run *run);
void ic_run_forget_txn(struct iommucfg_run *run, struct iommucfg_txn *txn);

/* run-legs.c */
void ic_run_narrow(struct iommucfg_run *run);
void ic_run_widen(struct iommucfg_run *run);
int ic_run_stage_steps(struct iommucfg_run *run);
void ic_run_forget_steps(struct iommucfg_run *run);
bool ic_run_next_step(struct iommucfg_run *run);
void ic_run_name_first(struct iommucfg_run *run);
bool ic_run_has_earlier(const struct iommucfg_run *run);
int ic_run_legs_take(struct iommucfg_run *run);
int ic_run_legs_wait(struct iommucfg_run *run);
void ic_run_legs_free(struct iommucfg_run *run);
bool ic_steps_are_open(struct iommucfg *ctx, const char *change);
void ic_run_tell_killed_steps(struct iommucfg_run *run, struct iommucfg_txn *txn);

/* md-superblock.c */
bool ic_md_uuid(struct iommucfg *ctx, const char *disk, const char *version,
		unsigned char uuid[16]);
int ic_run_earlier_goes_back(struct iommucfg_run *run, int code);

/* run-faults.c */
void ic_run_faults_begin(struct iommucfg_run *run);
void ic_run_faults_meanwhile(struct iommucfg_run *run);
void ic_run_faults_committed(struct iommucfg_run *run);
bool ic_run_faulted(struct iommucfg_run *run);

/* hooks.c */
#define HOOK_SECONDS	60

int ic_run_before_begin(struct iommucfg_run *run, const char *document);
int ic_run_before_step(struct iommucfg_run *run);
int ic_run_after_begin(struct iommucfg_run *run);
int ic_run_after_rest(struct iommucfg_run *run);
int ic_run_after_step(struct iommucfg_run *run);
void ic_run_undone(struct iommucfg_run *run);

/* run-self.c */
int ic_run_self_stage(struct iommucfg_run *run);
void ic_run_self_extend(struct iommucfg_run *run);
void ic_run_self_committed(struct iommucfg_run *run);

/* run-verdict.c */
bool ic_run_went_wrong(struct iommucfg_run *run);
#define DEFAULT_CHECK_TIMEOUT	30

int ic_run_verdict_begin(struct iommucfg_run *run);
long ic_run_seconds(struct iommucfg_run *run, long seconds);
bool ic_run_is_late(struct iommucfg_run *run);

/* run-lock.c, run-look.c, run-commit.c, run-confirm.c, run-outline.c, run-pause.c */
char *ic_plan_outline(const struct iommucfg_plan *plan, int part);
int ic_run_look_again(struct iommucfg_run *run);
int ic_run_lock(struct iommucfg_run *run);
void ic_run_lend_lock(struct iommucfg_run *run);
void ic_run_take_lock_back(struct iommucfg_run *run);
void ic_run_unlock(struct iommucfg_run *run);
void ic_run_watch_pauses(struct iommucfg_run *run);
void ic_run_note_methods(struct iommucfg_run *run, int ret);
void ic_run_unwatch(struct iommucfg_run *run);
int ic_run_commit_start(struct iommucfg_run *run);
int ic_run_roll_back(struct iommucfg_run *run);
int ic_run_keep(struct iommucfg_run *run);

/* watch.c */
void ic_run_watcher_start(struct iommucfg_run *run);
void ic_run_watcher_end(struct iommucfg_run *run, bool stays);

/* run-mounts.c */
int ic_run_mounts_take(struct iommucfg_run *run);
bool ic_run_mounts_missing(struct iommucfg_run *run);
void ic_run_mounts_free(struct iommucfg_run *run);

/* run-network.c */
long ic_run_settle_seconds(const struct iommucfg_run *run);
long ic_run_settle_limit(const struct iommucfg_run *run);
void ic_run_network_take(struct iommucfg_run *run);
void ic_run_network_put(struct iommucfg_run *run);
void ic_run_network_again(struct iommucfg_run *run, bool now);
int ic_run_network_settle(struct iommucfg_run *run);
int ic_run_network_restore(struct iommucfg_run *run, int code);
int ic_run_network_step(struct iommucfg_run *run);
void ic_run_network_free(struct iommucfg_run *run);

#endif
