// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A process in a session apart from the command's, which goes on when the command is killed. It
 * waits until an unconfirmed change is confirmed or rolled back. It rolls back for IOMMU faults.
 * After a rollback by the kernel's timer, a command or itself it puts the network back, and it
 * writes the result into the history.
 *
 * It is made before the commit, and waits at a pipe until the command has ended. Where systemd
 * runs, and the change is left to others, the unit iommucfg-watch@NAME takes its place. What it
 * must know is in /run/iommucfg/txn/NAME: "faults", "network", and "settled" where all of the
 * network was as before after the change.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-bus.h>
#endif

#include "net-snapshot.h"
#include "run.h"

#define LOOK_MSEC	200
#define FAULTS_MSEC	2000
#define NETWORK_MSEC	3000
/* After this time a state that cannot be read is not waited for any more. */
#define UNREADABLE_MSEC	30000

struct watch {
	struct iommucfg *ctx;
	struct iommucfg_problems *problems;
	struct iommucfg_txn *txn, *other;
	struct iommucfg_network *network;
	int stop;		/* readable when it is to end, or -1 */
	bool lost;		/* what became of it cannot be read */
	bool faulted;		/* which has undone it */
	bool went_back;		/* as was seen */
	bool restored;		/* by the command that rolled it back, unless it was killed */
	bool settled;		/* so that what is on interfaces now is what is to be there */
};

static struct recorder recorder_of(struct watch *watch)
{
	static char name[] = "iommucfg-watch", *const command[] = { name, NULL };

	return (struct recorder){
		.ctx = watch->ctx, .problems = watch->problems, .command = command,
		.action = "rollback",
	};
}

/* The state of both parts: the one that is not over. */
static enum iommucfg_state state_of(const struct watch *watch)
{
	enum iommucfg_state state = iommucfg_txn_state(watch->txn), other;

	if (!watch->other)
		return state;
	other = iommucfg_txn_state(watch->other);
	if (state == IOMMUCFG_STATE_GONE || state == IOMMUCFG_STATE_COMMITTED)
		return other;
	return state == IOMMUCFG_STATE_ROLLED_BACK && other != IOMMUCFG_STATE_GONE ? other : state;
}

static void read_file(struct watch *watch)
{
	struct json_object *o = ic_creator_read(watch->txn), *value;

	if (o && json_object_object_get_ex(o, "network", &value) &&
	    ic_net_snapshot_from_json(watch->ctx, value, &watch->network))
		watch->network = NULL;
	watch->settled = o && json_object_get_boolean(json_object_object_get(o, "settled"));
	json_object_put(o);
}

/* The number of a command that has ended may be that of any user's process by now. */
static bool is_roots(const struct watch *watch, int64_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "proc/%lld", (long long)pid);
	if (!fstatat(watch->ctx->rootfd, path, &st, 0))
		return !st.st_uid;
	return !kill(pid, 0) || errno != ESRCH;
}

/* Is another command at it, which puts back what it takes, and writes that down? */
static bool is_anothers(const struct watch *watch)
{
	struct json_object *o = ic_creator_read(watch->txn);
	int64_t pid = o ? json_object_get_int64(json_object_object_get(o, "ending")) : 0;

	json_object_put(o);
	return pid > 0 && is_roots(watch, pid);
}

/* Is it a rollback, after which that command puts the network back itself? */
static bool is_restored(const struct watch *watch)
{
	struct json_object *o = ic_creator_read(watch->txn);
	bool restored = o && json_object_get_boolean(json_object_object_get(o, "restores"));

	json_object_put(o);
	return restored;
}

/* Nothing is known of its end. */
static enum iommucfg_state lose(struct watch *watch)
{
	const char *name = iommucfg_txn_name(watch->txn);
	enum iommucfg_state state;
	int ret = iommucfg_txn_read_state(watch->txn, &state);

	iommucfg_problems_add(watch->problems, IOMMUCFG_REFUSED, "transaction", -ret,
			      "the state of transaction \"%s\" cannot be read (%s), so nothing watches its end any more: see \"iommucfg status %s\"",
			      name, strerror(-ret), name);
	ic_problem_cure(watch->problems, "state-unreadable", "iommucfg status %s", name);
	watch->lost = true;
	return IOMMUCFG_STATE_UNKNOWN;
}

/* What is on the interfaces now, unless a rollback has begun meanwhile. */
static void look_at_network(struct watch *watch)
{
	struct iommucfg_network *now;

	if (!watch->network || !watch->settled || ic_net_snapshot_again(watch->network, &now))
		return;
	if (now && state_of(watch) == IOMMUCFG_STATE_UNCONFIRMED) {
		iommucfg_network_unref(watch->network);
		watch->network = now;
	} else {
		iommucfg_network_unref(now);
	}
}

static void roll_back(struct watch *watch)
{
	iommucfg_txn_allow_way_back(watch->txn);
	if (watch->other) {
		iommucfg_txn_allow_way_back(watch->other);
		iommucfg_txn_rollback(watch->other);
	}
	iommucfg_txn_rollback(watch->txn);
}

static bool has_faulted(struct watch *watch)
{
	return iommucfg_txn_faulted(watch->txn, watch->problems) ||
	       (watch->other && iommucfg_txn_faulted(watch->other, watch->problems));
}

/* The command was killed, but the child that commits for it is there yet. */
static bool is_begun(const struct watch *watch, enum iommucfg_state state)
{
	return state == IOMMUCFG_STATE_STAGED && iommucfg_txn_held(watch->txn);
}

/* What cannot be read now may be anything. */
static bool is_over(const struct watch *watch, enum iommucfg_state state)
{
	return state != IOMMUCFG_STATE_COMMITTING && state != IOMMUCFG_STATE_ROLLING_BACK &&
	       state != IOMMUCFG_STATE_UNKNOWN && !is_begun(watch, state);
}

/* Until it is over. */
static enum iommucfg_state wait_for_end(struct watch *watch, struct record **record)
{
	struct recorder by = recorder_of(watch);
	enum iommucfg_state state;
	struct pollfd stop = { .fd = watch->stop, .events = POLLIN };
	long msec = 0, read = 0;

	for (;; msec += LOOK_MSEC) {
		if (msec && poll(&stop, 1, LOOK_MSEC) > 0)
			return IOMMUCFG_STATE_UNKNOWN;
		state = state_of(watch);
		if (state != IOMMUCFG_STATE_UNKNOWN)
			read = msec;
		else if (msec - read > UNREADABLE_MSEC)
			return lose(watch);
		if (state == IOMMUCFG_STATE_ROLLING_BACK || state == IOMMUCFG_STATE_ROLLED_BACK) {
			watch->went_back = true;
			watch->restored |= is_restored(watch);
		}
		if (state == IOMMUCFG_STATE_UNCONFIRMED) {
			if (!(msec % NETWORK_MSEC))
				look_at_network(watch);
			if (!*record)
				*record = record_begin(&by, watch->txn, false);
			if (!(msec % FAULTS_MSEC) && !is_anothers(watch) && has_faulted(watch)) {
				watch->faulted = true;
				roll_back(watch);
			}
		} else if (is_over(watch, state) && !is_anothers(watch)) {
			state = state_of(watch);
			if (state != IOMMUCFG_STATE_UNKNOWN)
				return state;
		}
	}
}

/* One at a time; where the lock is not to be had the network is put back without it. */
static struct iommucfg_run *lock(struct watch *watch)
{
	struct iommucfg_problems *unsaid = iommucfg_problems_new();
	struct iommucfg_run *run = NULL;

	if (!iommucfg_run_new(watch->ctx, unsaid, &run))
		iommucfg_run_begin(run);
	iommucfg_problems_unref(unsaid);
	return run;
}

/* Does the history say already what became of it? */
static bool has_end(const struct watch *watch, struct iommucfg_txn *txn)
{
	struct json_object *last = txn ? history_last(watch->ctx, iommucfg_txn_name(txn)) : NULL;
	const char *result = history_text(last, "result");
	bool ended = *result && strcmp(result, "unconfirmed") && strcmp(result, "left");

	json_object_put(last);
	return ended;
}

static int end(struct watch *watch, enum iommucfg_state state, struct record *record)
{
	bool back = state == IOMMUCFG_STATE_ROLLED_BACK, failed = state == IOMMUCFG_STATE_FAILED;
	int code = back ? IOMMUCFG_RUN_RESTORED : failed ? IOMMUCFG_RUN_FAILED : IOMMUCFG_RUN_DONE;
	struct recorder by = recorder_of(watch);
	struct json_object *killed;
	struct iommucfg_run *run;

	/* The entry of a killed command is for the next command to complete. */
	if (state == IOMMUCFG_STATE_UNKNOWN) {
		if (!watch->lost)
			record_drop(record);
		else
			record_end(record, iommucfg_txn_name(watch->txn), "left",
				   IOMMUCFG_RUN_FAILED);
		return watch->lost ? IOMMUCFG_RUN_FAILED : IOMMUCFG_RUN_DONE;
	}
	/* Another command may have removed it. */
	if (watch->faulted && state == IOMMUCFG_STATE_GONE) {
		back = true;
		code = IOMMUCFG_RUN_RESTORED;
	}
	if (!back && !failed) {
		/* A confirmation that came too late has removed it, and puts nothing back. */
		if (watch->went_back && !watch->restored && state == IOMMUCFG_STATE_GONE &&
		    watch->network) {
			run = lock(watch);
			iommucfg_network_restore(watch->network, watch->problems);
			iommucfg_run_unref(run);
		}
		record_drop(record);
		return code;
	}
	run = lock(watch);
	if (watch->network)
		iommucfg_network_restore(watch->network, watch->problems);
	/* A killed command's entry, which was completed now or by another command, says it. */
	killed = record_killed(&by);
	if (killed || (!watch->faulted &&
		       (has_end(watch, watch->txn) || has_end(watch, watch->other))))
		record_drop(record);
	else
		record_end(record, iommucfg_txn_name(watch->txn), back ? "restored" : "failed",
			   code);
	json_object_put(killed);
	if (back) {
		if (watch->other)
			iommucfg_txn_forget(watch->other);
		iommucfg_txn_forget(watch->txn);
	}
	iommucfg_run_unref(run);
	return code;
}

static int watch_until(struct iommucfg *ctx, const char *name, struct iommucfg_problems *problems,
		       int stop)
{
	struct watch watch = { .ctx = ctx, .problems = problems, .stop = stop };
	struct record *record = NULL;
	enum iommucfg_state state;
	int code;

	if (iommucfg_txn_open(ctx, name, &watch.txn))
		return IOMMUCFG_RUN_ERROR;
	iommucfg_txn_open_other(watch.txn, &watch.other, NULL);
	read_file(&watch);
	state = wait_for_end(&watch, &record);
	code = end(&watch, state, record);
	iommucfg_network_unref(watch.network);
	iommucfg_txn_unref(watch.other);
	iommucfg_txn_unref(watch.txn);
	return code;
}

int iommucfg_watch(struct iommucfg *ctx, const char *name, struct iommucfg_problems *problems)
{
	return watch_until(ctx, name, problems, -1);
}

/* Of a run ---------------------------------------------------------------- */

/* A process that is asked to end does so, whatever handlers it has inherited. */
static int catch_stop(void)
{
	sigset_t all, stop;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGHUP);
	return signalfd(-1, &stop, SFD_CLOEXEC);
}

/* "w" to watch, "e" for the end, nothing where the command was killed. */
static bool is_to_watch(int fd, int stop)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = stop, .events = POLLIN } };
	char word = 'w';

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return !fds[1].revents && read(fd, &word, 1) >= 0 && word == 'w';
}

static void __attribute__((noreturn)) child(const char *root, const char *name, int fd)
{
	struct iommucfg_problems *problems;
	struct iommucfg *ctx;
	int null, stop, i;

	setsid();
	null = open("/dev/null", O_RDWR);
	for (i = 0; i < 3 && null >= 0; i++)
		dup2(null, i);
	if (dup2(fd, 3) < 0)
		_exit(1);
	/* Locks among them, which would seem to be held. */
	close_range(4, ~0U, 0);
	stop = catch_stop();
	problems = is_to_watch(3, stop) ? iommucfg_problems_new() : NULL;
	if (problems && !iommucfg_new(&ctx, root))
		watch_until(ctx, name, problems, stop);
	_exit(0);
}

/* Right before the commit of what can go back by itself. */
void ic_run_watcher_start(struct iommucfg_run *run)
{
	int fds[2];

	ic_run_watcher_end(run, false);
	if (!run->watched || !run->txn || (!run->plan->options.confirm_timeout &&
					   !run->self_timeout))
		return;
	if (run->network)
		ic_creator_set(run->ctx, iommucfg_txn_name(run->txn), "network",
			       ic_net_snapshot_to_json(run->network));
	if (pipe2(fds, O_CLOEXEC))
		return;
	fflush(NULL);
	run->watcher = fork();
	if (!run->watcher)
		child(run->ctx->root, iommucfg_txn_name(run->txn), fds[0]);
	close(fds[0]);
	if (run->watcher < 0) {
		run->watcher = 0;
		close(fds[1]);
		return;
	}
	run->watcher_fd = fds[1];
}

static bool start_unit(const char *name)
{
	bool started = false;
#ifdef HAVE_LIBSYSTEMD
	char unit[IOMMUCFG_TXN_NAME_MAX + 32];
	sd_bus *bus = NULL;

	snprintf(unit, sizeof(unit), "iommucfg-watch@%s.service", name);
	if (!access("/run/systemd/system", F_OK) && sd_bus_open_system(&bus) >= 0) {
		sd_bus_set_method_call_timeout(bus, 5000000);
		started = sd_bus_call_method(bus, "org.freedesktop.systemd1",
					     "/org/freedesktop/systemd1",
					     "org.freedesktop.systemd1.Manager", "StartUnit", NULL,
					     NULL, "ss", unit, "replace") >= 0;
	}
	sd_bus_flush_close_unref(bus);
#else
	(void)name;
#endif
	return started;
}

/* The command ends: @stays where its change is not over. */
void ic_run_watcher_end(struct iommucfg_run *run, bool stays)
{
	bool watches = stays && (*run->ctx->root || !start_unit(run->transaction));

	if (!run->watcher)
		return;
	if (write(run->watcher_fd, watches ? "w" : "e", 1) != 1)
		kill(run->watcher, SIGKILL);
	close(run->watcher_fd);
	if (!watches)
		waitpid(run->watcher, NULL, 0);
	run->watcher = 0;
}
