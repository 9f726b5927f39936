// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A run: look whether the way is free, plan, stage, commit, settle, have it
 * confirmed, record. Until the commit begins whatever happens leaves nothing
 * behind but a removed transaction. This file has the steps; what they do is in
 * run-stage.c, run-look.c, run-commit.c and run-confirm.c.
 *
 * Whatever takes time is a phase: a function that does what can be done at once
 * and returns IOMMUCFG_RUN_AGAIN where it has to wait. ic_run_drive() calls it and
 * waits in between, or leaves the waiting to the caller's event loop.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* How often to look at what no file descriptor tells of. */
#define PAUSE		100
#define PAUSE_ASK	500

int iommucfg_run_worse(int a, int b)
{
	static const int weight[] = {
		[IOMMUCFG_RUN_DONE] = 0, [IOMMUCFG_RUN_CHANGE] = 1, [IOMMUCFG_RUN_REFUSED] = 2,
		[IOMMUCFG_RUN_ERROR] = 3, [IOMMUCFG_RUN_RESTORED] = 4, [IOMMUCFG_RUN_FAILED] = 5,
	};

	if (a < 0 || a > IOMMUCFG_RUN_FAILED)
		return a;
	if (b < 0 || b > IOMMUCFG_RUN_FAILED)
		return b;
	return weight[a] >= weight[b] ? a : b;
}

int iommucfg_run_new(struct iommucfg *ctx, struct iommucfg_problems *problems,
		     struct iommucfg_run **out)
{
	struct iommucfg_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->ctx = iommucfg_ref(ctx);
	run->problems = iommucfg_problems_ref(problems);
	run->refs = 1;
	run->settle = -1;
	run->prepared = -1;
	run->lock = -1;
	run->lock_wait = -1;
	run->child_fd = -1;
	run->program.fd = -1;
	run->hook_input = -1;
	run->begun_fd = -1;
	run->unread = -1;
	run->question_fd = -1;
	run->cancel_fd = -1;
	*out = run;
	return 0;
}

struct iommucfg_run *iommucfg_run_ref(struct iommucfg_run *run)
{
	run->refs++;
	return run;
}

void iommucfg_run_unref(struct iommucfg_run *run)
{
	unsigned int i;

	if (!run || --run->refs)
		return;
	iommucfg_txn_unref(run->txn);
	iommucfg_txn_unref(run->second);
	iommucfg_witness_unref(run->witness);
	ic_watch_free(run->watch);
	ic_run_network_free(run);
	ic_run_widen(run);
	for (i = 0; run->steps && i < run->num_steps; i++) {
		iommucfg_txn_unref(run->steps[i].txn);
		iommucfg_txn_unref(run->steps[i].second);
	}
	free(run->steps);
	free(run->rest.v);
	iommucfg_plan_unref(run->plan);
	iommucfg_topology_unref(run->topology);
	ic_run_unlock(run);
	ic_run_watcher_end(run, false);
	if (run->child_fd >= 0)
		close(run->child_fd);
	if (run->begun_fd >= 0)
		close(run->begun_fd);
	ic_child_kill(&run->program);
	ic_free_names(run->command);
	ic_free_names(run->check_command);
	ic_free_names(run->hooks);
	if (run->hook_input >= 0)
		close(run->hook_input);
	free(run->action);
	free(run->name);
	free(run->shown);
	iommucfg_problems_unref(run->hanging);
	iommucfg_problems_unref(run->problems);
	iommucfg_unref(run->ctx);
	free(run);
}

void iommucfg_run_set_problems(struct iommucfg_run *run, struct iommucfg_problems *problems)
{
	iommucfg_problems_unref(run->problems);
	run->problems = iommucfg_problems_ref(problems);
}

void iommucfg_run_set_options(struct iommucfg_run *run,
			      const struct iommucfg_plan_options *options)
{
	run->options = options ? *options : (struct iommucfg_plan_options){ 0 };
}

int iommucfg_run_set_name(struct iommucfg_run *run, const char *name)
{
	free(run->name);
	return ic_strdup(&run->name, name);
}

void iommucfg_run_set_settle(struct iommucfg_run *run, long seconds)
{
	run->settle = seconds;
}

void iommucfg_run_set_detach(struct iommucfg_run *run, bool detach)
{
	run->detach = detach;
}

int iommucfg_run_set_command(struct iommucfg_run *run, char *const *command, const char *action)
{
	ic_free_names(run->command);
	run->command = ic_copy_names(command);
	free(run->action);
	run->action = NULL;
	return run->command ? ic_strdup(&run->action, action) : -ENOMEM;
}

void iommucfg_run_set_faults(struct iommucfg_run *run, enum iommucfg_faults faults)
{
	run->faults_warn = faults == IOMMUCFG_FAULTS_WARN;
}

int iommucfg_run_set_check(struct iommucfg_run *run, char *const *command, long seconds)
{
	ic_free_names(run->check_command);
	run->check_command = NULL;
	run->check_timeout = seconds > 0 ? seconds : DEFAULT_CHECK_TIMEOUT;
	if (!command || !*command)
		return 0;
	run->check_command = ic_copy_names(command);
	return run->check_command ? 0 : -ENOMEM;
}

void iommucfg_run_set_watched(struct iommucfg_run *run, bool watched)
{
	run->watched = watched;
}

void iommucfg_run_set_undoes(struct iommucfg_run *run, long entry)
{
	run->undoes = entry;
}

void iommucfg_run_on_progress(struct iommucfg_run *run, iommucfg_run_progress_fn progress,
			      void *data)
{
	run->progress = progress;
	run->progress_data = data;
}

void iommucfg_run_on_question(struct iommucfg_run *run, iommucfg_run_question_fn question,
			      int fd, void *data)
{
	run->question = question;
	run->question_fd = fd;
	run->question_data = data;
}

void iommucfg_run_on_cancel(struct iommucfg_run *run, iommucfg_run_cancel_fn cancel, int fd,
			    void *data)
{
	run->cancel = cancel;
	run->cancel_fd = fd;
	run->cancel_data = data;
}

void iommucfg_run_on_message(struct iommucfg_run *run, iommucfg_run_message_fn message,
			     void *data)
{
	run->message = message;
	run->message_data = data;
}

void iommucfg_run_set_nonblocking(struct iommucfg_run *run, bool nonblocking)
{
	run->nonblocking = nonblocking;
}

struct iommucfg_topology *iommucfg_run_topology(const struct iommucfg_run *run)
{
	return run->topology;
}

struct iommucfg_plan *iommucfg_run_plan(const struct iommucfg_run *run)
{
	return run->plan;
}

const char *iommucfg_run_transaction(const struct iommucfg_run *run)
{
	return *run->transaction ? run->transaction : NULL;
}

bool iommucfg_run_as_before(const struct iommucfg_run *run)
{
	return !run->differs;
}

bool iommucfg_run_overtaken(const struct iommucfg_run *run)
{
	return run->overtaken;
}

long iommucfg_run_entry(const struct iommucfg_run *run)
{
	return run->entry;
}

const char *iommucfg_run_result(const struct iommucfg_run *run)
{
	return run->result;
}

void ic_run_say(struct iommucfg_run *run, enum iommucfg_run_level level, const char *format, ...)
{
	va_list args;
	char *line;
	int n;

	if (!run->message)
		return;
	va_start(args, format);
	n = vasprintf(&line, format, args);
	va_end(args);
	if (n < 0)
		return;
	run->message(run, level, line, run->message_data);
	free(line);
}

/* Requests to stop that have not been dealt with. */
unsigned int ic_run_cancelled(struct iommucfg_run *run)
{
	return run->cancel ? run->cancel(run, run->cancel_data) - run->forgotten : 0;
}

void ic_run_forget_cancel(struct iommucfg_run *run)
{
	run->forgotten += ic_run_cancelled(run);
}

int ic_run_interrupted(struct iommucfg_run *run)
{
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "interrupted", EINTR,
			      "interrupted before the change: nothing was touched");
	return IOMMUCFG_RUN_REFUSED;
}

/* Phases ------------------------------------------------------------------ */

/* Whole milliseconds that the phase has lasted. */
long long ic_run_elapsed_msec(const struct iommucfg_run *run)
{
	struct timespec now;

	/* Stands still during suspend, as the kernel's timer does. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((now.tv_sec - run->since.tv_sec) * 1000000000LL +
		now.tv_nsec - run->since.tv_nsec) / 1000000;
}

/* Whole seconds. */
long ic_run_elapsed(const struct iommucfg_run *run)
{
	return ic_run_elapsed_msec(run) / 1000;
}

void ic_run_enter(struct iommucfg_run *run, enum ic_phase phase)
{
	run->phase = phase;
	run->unread = -1;
	clock_gettime(CLOCK_MONOTONIC, &run->since);
}

/* The devices are back: are the sets that they are legs of, too? */
static int settle_legs(struct iommucfg_run *run)
{
	int ret;

	if (run->num_whole && ic_run_went_wrong(run))
		return IOMMUCFG_RUN_AGAIN;
	ret = ic_run_legs_wait(run);
	if (ret > 0)
		return IOMMUCFG_RUN_AGAIN;
	return ret ? ic_run_roll_back(run) : IOMMUCFG_RUN_DONE;
}

static int phase_step(struct iommucfg_run *run)
{
	int code;

	switch (run->phase) {
	case IC_PHASE_LOCK:
		return ic_run_lock_step(run);
	case IC_PHASE_BEFORE:
		return ic_run_before_step(run);
	case IC_PHASE_COMMIT:
		return ic_run_commit_step(run);
	case IC_PHASE_SETTLE:
		code = run->settled ? IOMMUCFG_RUN_DONE : ic_run_settle_step(run);
		run->settled = code == IOMMUCFG_RUN_DONE;
		if (run->settled)
			code = settle_legs(run);
		return code == IOMMUCFG_RUN_DONE ? ic_run_verdict_begin(run) : code;
	case IC_PHASE_CHECK:
		code = ic_run_check_step(run);
		return code == IOMMUCFG_RUN_DONE ? ic_run_after_begin(run) : code;
	case IC_PHASE_AFTER:
		return ic_run_after_step(run);
	case IC_PHASE_ASK:
		return ic_run_ask_step(run);
	case IC_PHASE_END:
		return ic_run_end_step(run);
	case IC_PHASE_ROLLBACK:
		return ic_run_rollback_step(run);
	case IC_PHASE_RESTORE:
		return ic_run_network_step(run);
	case IC_PHASE_NONE:
		break;
	}
	return IOMMUCFG_RUN_DONE;
}

/* However a change went back: what came off by it is put back before the step ends. */
static int step(struct iommucfg_run *run)
{
	int code = phase_step(run);

	if (run->phase != IC_PHASE_RESTORE &&
	    (code == IOMMUCFG_RUN_RESTORED || code == IOMMUCFG_RUN_FAILED))
		code = ic_run_network_restore(run, code);
	if (code == IOMMUCFG_RUN_RESTORED ||
	    (code == IOMMUCFG_RUN_REFUSED && run->phase == IC_PHASE_COMMIT))
		code = ic_run_earlier_goes_back(run, code);
	/* An earlier step that cannot be undone any more stands without the later one. */
	return code == IOMMUCFG_RUN_DONE && run->undoing ? IOMMUCFG_RUN_FAILED : code;
}

static size_t add_fd(struct pollfd *fds, size_t n, size_t count, int fd)
{
	if (fd < 0 || n >= count)
		return n;
	fds[n].fd = fd;
	fds[n].events = POLLIN;
	fds[n].revents = 0;
	return n + 1;
}

size_t iommucfg_run_poll_fds(const struct iommucfg_run *run, struct pollfd *fds, size_t count,
			     int *timeout)
{
	size_t n;

	*timeout = run->phase == IC_PHASE_NONE ? 0 :
		   run->phase == IC_PHASE_ASK ? PAUSE_ASK : PAUSE;
	n = add_fd(fds, 0, count, run->program.pid ? run->program.fd : run->child_fd);
	if (run->phase == IC_PHASE_ASK)
		n = add_fd(fds, n, count, run->question_fd);
	return add_fd(fds, n, count, run->cancel_fd);
}

/* Steps until the phase is over, or for once. */
int ic_run_drive(struct iommucfg_run *run)
{
	struct pollfd fds[3];
	int code, timeout;
	size_t n;

	while ((code = step(run)) == IOMMUCFG_RUN_AGAIN && !run->nonblocking) {
		n = iommucfg_run_poll_fds(run, fds, sizeof(fds) / sizeof(*fds), &timeout);
		poll(fds, n, timeout);
	}
	if (code != IOMMUCFG_RUN_AGAIN)
		run->phase = IC_PHASE_NONE;
	return code;
}

static const char *result_of(int code)
{
	switch (code) {
	case IOMMUCFG_RUN_REFUSED:
		return "refused";
	case IOMMUCFG_RUN_RESTORED:
		return "restored";
	case IOMMUCFG_RUN_FAILED:
		return "failed";
	case IOMMUCFG_RUN_LEFT:
		return "left";
	case IOMMUCFG_RUN_DONE:
	case IOMMUCFG_RUN_CHANGE:
		return "committed";
	default:
		return "error";
	}
}

/* Where a step ended: takes down what the run has come to by it. */
static int came_to(struct iommucfg_run *run, int code)
{
	if (code && code != IOMMUCFG_RUN_AGAIN)
		run->result = result_of(code);
	return code;
}

static bool is_nothing(const struct iommucfg_run *run)
{
	return run->result && !strcmp(run->result, "nothing-to-do");
}

/* Before the commit ------------------------------------------------------- */

int iommucfg_run_begin(struct iommucfg_run *run)
{
	int code = IOMMUCFG_RUN_AGAIN;

	if (run->phase == IC_PHASE_NONE)
		code = ic_run_lock(run);
	return came_to(run, code == IOMMUCFG_RUN_AGAIN ? ic_run_drive(run) : code);
}

static struct recorder recorder_of(struct iommucfg_run *run)
{
	static char *const none[] = { NULL };

	return (struct recorder){
		.ctx = run->ctx, .problems = run->problems,
		.command = run->command ? run->command : none,
		.action = run->action ? run->action : "apply",
		.undoes = run->undoes,
	};
}

/* Removes what killed processes left, saying so. */
static void sweep(struct iommucfg_run *run)
{
	struct recorder by = recorder_of(run);
	struct json_object *killed;
	enum iommucfg_state state;
	struct iommucfg_txn *txn;
	char **names;
	int n, i;

	killed = record_killed(&by);
	n = iommucfg_txn_list(run->ctx, &names);
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(run->ctx, names[i], &txn))
			continue;
		ic_run_tell_killed_steps(run, txn);
		iommucfg_txn_unref(txn);
	}
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(run->ctx, names[i], &txn))
			continue;
		state = iommucfg_txn_state(txn);
		if (iommucfg_txn_abandoned(txn) && !iommucfg_txn_forget(txn)) {
			ic_run_say(run, IOMMUCFG_RUN_NOTE,
				   "removed transaction \"%s\" (%s), whose process is gone",
				   names[i], iommucfg_state_name(state));
			record_removed(&by, killed, names[i], state);
		}
		iommucfg_txn_unref(txn);
	}
	if (n >= 0)
		iommucfg_txn_list_free(names);
	json_object_put(killed);
}

static int need_root(struct iommucfg_run *run)
{
	if (!geteuid())
		return IOMMUCFG_RUN_DONE;
	iommucfg_problems_add(run->problems, IOMMUCFG_ERROR, "system", EACCES,
			      "\"iommucfg %s\" needs root (CAP_SYS_ADMIN and CAP_SYS_RAWIO in the initial user namespace)",
			      run->action ? run->action : "apply");
	ic_problem_cure(run->problems, "not-root", NULL);
	return IOMMUCFG_RUN_ERROR;
}

static int scan_use(struct iommucfg_run *run)
{
	int ret = iommucfg_topology_scan_use(run->topology, run->problems);

	if (!ret)
		return IOMMUCFG_RUN_DONE;
	iommucfg_problems_add(run->problems, IOMMUCFG_ERROR, "system", -ret,
			      "what is in use cannot be found out: %s", strerror(-ret));
	return IOMMUCFG_RUN_ERROR;
}

/*
 * Before planning: module, root, other transactions, the generation. The topology is
 * read after it, so that a change in between is noticed. A second plan keeps the
 * generation of the first.
 */
static int look_around(struct iommucfg_run *run)
{
	int code = IOMMUCFG_RUN_DONE, ret;

	if (run->again)
		return ic_txn_pending(run->ctx, IOMMUCFG_REFUSED, true, run->problems) ?
		       IOMMUCFG_RUN_REFUSED : IOMMUCFG_RUN_DONE;
	if (iommucfg_kernel_probe(run->ctx, run->problems))
		code = IOMMUCFG_RUN_ERROR;
	code = iommucfg_run_worse(code, need_root(run));
	/* Also where there turns out to be nothing to do. */
	if (run->name && !iommucfg_txn_name_valid(run->name)) {
		iommucfg_problems_add(run->problems, IOMMUCFG_ERROR, "usage", EINVAL,
				      "\"%s\" cannot name a transaction: " IC_TXN_NAMES,
				      run->name);
		code = IOMMUCFG_RUN_ERROR;
	}
	if (!code) {
		sweep(run);
		ret = iommucfg_kernel_generation(run->ctx, &run->generation);
		if (ret) {
			iommucfg_problems_add(run->problems, IOMMUCFG_ERROR, "system", -ret,
					      "the kernel's generation cannot be read: %s",
					      strerror(-ret));
			code = IOMMUCFG_RUN_ERROR;
		}
		/* Without the lock there is time yet until that one is over. */
		if (ic_txn_pending(run->ctx, IOMMUCFG_REFUSED, run->lock >= 0, run->problems))
			code = iommucfg_run_worse(code, IOMMUCFG_RUN_REFUSED);
	}
	return code;
}

static int prepare(struct iommucfg_run *run)
{
	int code = look_around(run);

	if (iommucfg_topology_scan(run->ctx, &run->topology, run->problems))
		return IOMMUCFG_RUN_ERROR;
	code = iommucfg_run_worse(code, scan_use(run));
	if (!code)
		iommucfg_topology_scan_required(run->topology);
	return code;
}

int iommucfg_run_scan(struct iommucfg_run *run)
{
	if (run->prepared < 0)
		run->prepared = prepare(run);
	return came_to(run, run->prepared);
}

/* Where the library gave no plan at all: @ret is why. */
static int planned(struct iommucfg_run *run, int code, int ret)
{
	if (ret) {
		if (!run->plan)
			iommucfg_problems_add(run->problems, IOMMUCFG_ERROR, "system", -ret,
					      "no plan could be made: %s", strerror(-ret));
		code = iommucfg_run_worse(code, IOMMUCFG_RUN_ERROR);
	}
	return came_to(run, code);
}

int iommucfg_run_plan_policy(struct iommucfg_run *run, const struct iommucfg_policy *policy)
{
	int code = iommucfg_run_scan(run), ret = 0;

	if (run->topology)
		ret = iommucfg_plan_policy(run->topology, policy, &run->options, &run->plan);
	return planned(run, code, ret);
}

int iommucfg_run_plan_targets(struct iommucfg_run *run, const struct iommucfg_target *targets,
			      size_t count)
{
	int code = iommucfg_run_scan(run), ret = 0;

	if (run->topology)
		ret = iommucfg_plan_targets(run->topology, targets, count, &run->options,
					    &run->plan);
	return planned(run, code, ret);
}

void iommucfg_run_nothing(struct iommucfg_run *run)
{
	iommucfg_plan_unref(run->plan);
	run->plan = NULL;
	run->result = "nothing-to-do";
}

/* Where there was a question: is it what was shown? */
static int compare(struct iommucfg_run *run)
{
	char *now = ic_plan_outline(run->plan, -1);
	bool same = now && run->shown && !strcmp(now, run->shown);

	free(now);
	if (same)
		return IOMMUCFG_RUN_DONE;
	iommucfg_problems_add(run->problems, IOMMUCFG_REFUSED, "transaction", ESTALE,
			      "the plan is not what it was when you were asked, as something has changed meanwhile: nothing was touched; try again");
	ic_problem_cure(run->problems, "plan-differs", NULL);
	return IOMMUCFG_RUN_REFUSED;
}

void iommucfg_run_again(struct iommucfg_run *run)
{
	if (!run->again)
		run->shown = ic_plan_outline(run->plan, -1);
	run->again = true;
	ic_run_forget(run);
	ic_run_widen(run);
	iommucfg_plan_unref(run->plan);
	iommucfg_topology_unref(run->topology);
	run->plan = NULL;
	run->topology = NULL;
	run->prepared = -1;
	run->result = NULL;
}

int iommucfg_run_stage(struct iommucfg_run *run, int code)
{
	if (is_nothing(run))
		return code;
	if (run->plan)
		code = iommucfg_run_worse(code, ic_run_judge(run));
	else if (!code)
		code = IOMMUCFG_RUN_ERROR;
	if (!code && ic_run_cancelled(run))
		code = ic_run_interrupted(run);
	if (!code && iommucfg_plan_num_changes(run->plan))
		code = ic_run_stage_steps(run);
	if (!code && run->again)
		code = compare(run);
	/* There was none, or the kernel has taken out the last one. */
	if (!code && !iommucfg_plan_num_changes(run->plan))
		run->result = "nothing-to-do";
	return came_to(run, code);
}

int iommucfg_run_before(struct iommucfg_run *run, const char *document)
{
	int code = IOMMUCFG_RUN_AGAIN;

	if (is_nothing(run))
		return IOMMUCFG_RUN_DONE;
	if (run->phase == IC_PHASE_NONE)
		code = ic_run_before_begin(run, document);
	return came_to(run, code == IOMMUCFG_RUN_AGAIN ? ic_run_drive(run) : code);
}

/* Commit and after -------------------------------------------------------- */

/* Forgets what belongs to the step before. */
void ic_run_step_clear(struct iommucfg_run *run)
{
	iommucfg_witness_unref(run->witness);
	run->witness = NULL;
	ic_watch_free(run->watch);
	run->watch = NULL;
	ic_run_network_free(run);
	run->keeping = run->final = run->settled = false;
	run->legs_looked = 0;
}

/* Whatever becomes of this process, it is known what was begun. */
static void record_begin_once(struct iommucfg_run *run)
{
	struct recorder by = recorder_of(run);

	if (ic_run_has_earlier(run))
		return;
	ic_run_widen(run);
	run->begun_fd = record_plan_begin(&by, run->plan, run->transaction, &run->begun);
	ic_run_narrow(run);
}

static int commit_one(struct iommucfg_run *run)
{
	int code = IOMMUCFG_RUN_AGAIN;

	if (run->phase == IC_PHASE_NONE) {
		if (ic_run_cancelled(run))
			code = ic_run_interrupted(run);
		else if (iommucfg_witness_new(run->plan, &run->witness))
			code = ic_run_refused(run, "the devices cannot be looked at", -ENOMEM);
		else
			ic_run_network_take(run);
		/* The last look: managers of the network may take some seconds to answer. */
		if (code == IOMMUCFG_RUN_AGAIN && ic_run_look_again(run))
			code = IOMMUCFG_RUN_REFUSED;
		if (code == IOMMUCFG_RUN_AGAIN) {
			record_begin_once(run);
			ic_run_faults_begin(run);
			ic_run_watcher_start(run);
			code = ic_run_commit_start(run);
		}
	}
	if (code == IOMMUCFG_RUN_AGAIN)
		code = ic_run_drive(run);
	if (code == IOMMUCFG_RUN_DONE) {
		ic_run_self_committed(run);
		ic_run_faults_committed(run);
		run->result = run->plan->options.confirm_timeout ? "unconfirmed" : "committed";
	}
	return code;
}

static int settle_one(struct iommucfg_run *run)
{
	int code = IOMMUCFG_RUN_AGAIN;

	if (run->phase == IC_PHASE_NONE) {
		ic_run_forget_cancel(run);
		run->settled = !run->settle;
		if (run->settled)
			ic_run_network_put(run);
		if (run->settle || run->num_whole)
			ic_run_enter(run, IC_PHASE_SETTLE);
		else
			code = ic_run_verdict_begin(run);
	}
	return code == IOMMUCFG_RUN_AGAIN ? ic_run_drive(run) : code;
}

static int confirm_itself(struct iommucfg_run *run)
{
	int code = IOMMUCFG_RUN_AGAIN;

	if (run->final || !run->self_timeout)
		return IOMMUCFG_RUN_DONE;
	if (run->phase == IC_PHASE_NONE)
		code = ic_run_faulted(run) ? ic_run_roll_back(run) : ic_run_keep(run);
	return code == IOMMUCFG_RUN_AGAIN ? ic_run_drive(run) : code;
}

/* Every step up to the commit of the last one. */
static int commit_steps(struct iommucfg_run *run)
{
	int code;

	do {
		code = run->stage == IC_STAGE_COMMIT ? commit_one(run) :
		       run->stage == IC_STAGE_SETTLE ? settle_one(run) : confirm_itself(run);
		if (code || run->step + 1 >= run->num_steps)
			break;
		if (run->stage == IC_STAGE_KEEP)
			ic_run_next_step(run);
		run->stage = run->stage == IC_STAGE_KEEP ? IC_STAGE_COMMIT : run->stage + 1;
	} while (true);
	/* It was not begun, but others are final. */
	if (code == IOMMUCFG_RUN_REFUSED && ic_run_has_earlier(run))
		code = ic_run_earlier_goes_back(run, code);
	return code == IOMMUCFG_RUN_AGAIN && !run->nonblocking ? ic_run_drive(run) : code;
}

/* While it is at work the plan is that of its step alone. */
static int in_step(struct iommucfg_run *run, int (*what)(struct iommucfg_run *run))
{
	int code;

	ic_run_narrow(run);
	code = what(run);
	ic_run_widen(run);
	return came_to(run, code);
}

int iommucfg_run_commit(struct iommucfg_run *run)
{
	return is_nothing(run) ? IOMMUCFG_RUN_DONE : in_step(run, commit_steps);
}

int iommucfg_run_settle(struct iommucfg_run *run)
{
	return is_nothing(run) ? IOMMUCFG_RUN_DONE : in_step(run, settle_one);
}

/* Has another process confirmed it already? */
static bool is_kept(struct iommucfg_run *run)
{
	enum iommucfg_state state;

	return run->phase == IC_PHASE_NONE && run->txn && !ic_run_state(run, &state) &&
	       ic_run_is_kept(run, state);
}

static int confirm(struct iommucfg_run *run)
{
	int code;

	if (!run->plan->options.confirm_timeout)
		return confirm_itself(run);
	if (is_kept(run)) {
		run->result = "committed";
		return IOMMUCFG_RUN_DONE;
	}
	if (run->detach)
		return IOMMUCFG_RUN_DONE;
	if (run->phase == IC_PHASE_NONE && run->question) {
		/* Without an answer it would hold up the machine. */
		ic_run_lend_lock(run);
		ic_run_enter(run, IC_PHASE_ASK);
	} else if (run->phase == IC_PHASE_NONE) {
		ic_run_say(run, IOMMUCFG_RUN_NOTE,
			   "waiting %ld second%s for \"iommucfg confirm %s\"",
			   run->plan->options.confirm_timeout,
			   run->plan->options.confirm_timeout == 1 ? "" : "s", run->transaction);
		ic_run_enter(run, IC_PHASE_END);
	}
	code = ic_run_drive(run);
	if (run->question && code != IOMMUCFG_RUN_AGAIN)
		ic_run_take_lock_back(run);
	if (code == IOMMUCFG_RUN_DONE)
		run->result = "committed";
	return code;
}

int iommucfg_run_confirm(struct iommucfg_run *run)
{
	return is_nothing(run) ? IOMMUCFG_RUN_DONE : in_step(run, confirm);
}

/* Also where that is open: the kernel is still at work, or it is to be confirmed. */
static bool stands(const struct iommucfg_run *run)
{
	return !strcmp(run->result, "committed") || !strcmp(run->result, "unconfirmed") ||
	       !strcmp(run->result, "left");
}

void iommucfg_run_end(struct iommucfg_run *run, int status)
{
	struct recorder by = recorder_of(run);

	if (!run->result)
		run->result = result_of(status ? status : IOMMUCFG_RUN_ERROR);
	ic_run_unwatch(run);
	ic_run_watcher_end(run, !strcmp(run->result, "unconfirmed") ||
			   !strcmp(run->result, "left"));
	ic_run_name_first(run);
	ic_run_forget(run);
	run->entry = record_plan_end(&by, run->plan, iommucfg_run_transaction(run), run->result,
				     status, run->begun);
	if (run->begun_fd >= 0)
		close(run->begun_fd);
	run->begun_fd = -1;
	run->begun = 0;
	ic_run_unlock(run);
	if (!stands(run))
		ic_run_undone(run);
}
