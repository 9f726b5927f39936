// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfgd: the agent of a host. Carries out what the state machine of ../agent says, waits
 * for grants, and reports. See daemon.h for how the machine is changed.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "journal.h"

/* Before each attempt, so that a wave does not begin in one moment. */
#define BEGIN_JITTER_MS	2000
#define BACKOFF_MAX_MS	60000
/* How long a link may take to be there again after its driver was bound. */
#define LINK_MS		30000
#define WAIT_SLICE_MS	5000

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

bool stopping(void)
{
	return stop;
}

void alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

void note(const char *priority, const char *format, ...)
{
	va_list args;

	if (priority[1] > '6' && !getenv("IOMMUCFGD_VERBOSE"))
		return;
	va_start(args, format);
	fputs(priority, stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int64_t jitter(int64_t ms)
{
	return ms > 0 ? random() % ms : 0;
}

static void nap(int64_t ms)
{
	int64_t until = now_ms() + ms, left;

	while (!stop && (left = until - now_ms()) > 0) {
		alive();
		poll(NULL, 0, left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS);
	}
}

/* Nothing of an attempt is under way on this host. */
static bool is_idle(const struct daemon *d)
{
	enum doc_journal_phase phase = agent_journal(d->agent)->phase;

	return phase == JOURNAL_IDLE || phase == JOURNAL_PLAN || phase == JOURNAL_END;
}

/* Another cluster, or an older state of it: what is in force here stays, and it is asked anew. */
static void open_anew(struct daemon *d)
{
	struct settings settings;
	struct conf conf;

	note("<3>", "the store is not the one that it was: %s", store_message(d->conf.store));
	if (!settings_open(&settings, &conf, d->config))
		return;
	settings_clear(&settings);
	store_watch_free(d->watch);
	d->watch = NULL;
	conf_close(&d->conf);
	d->conf = conf;
}

static void act_store(struct daemon *d, struct agent_action *action,
		      struct agent_result *result, struct store_item *item)
{
	int64_t first = -1;

	result->store = action->step.fresh ? reach_prove(d, &action->step, &first) : STORE_OK;
	if (!result->store)
		result->store = step_run(d->conf.store, &action->step, item);
	result->item = item;
	if (result->store == STORE_FOREIGN) {
		open_anew(d);
		result->store = STORE_UNKNOWN;
		/* A read never ends so. */
		if (action->step.kind == STEP_GET)
			result->store = STORE_UNREACHABLE;
	}
	d->connected = !result->store || result->store == STORE_CONFLICT;
	if (!d->connected)
		note("<4>", "%s: %s", action->step.what, store_message(d->conf.store));
	else
		note("<7>", "%s: %s", action->step.what, store_result_name(result->store));
	if (!result->store && action->step.fresh) {
		d->proof_at = time(NULL);
		result->age_ms = first >= 0 ? now_ms() - first : 0;
	}
}

/* Why it ended so, where nothing that was done for it has left a reason. */
static void explain_end(struct daemon *d, const struct doc_journal *journal)
{
	if (*journal->why && journal->end != END_DONE)
		memcpy(d->problem, journal->why, sizeof(d->problem));
	if (*d->problem)
		return;
	if (journal->end == END_REVERTED)
		snprintf(d->problem, sizeof(d->problem), strcmp(journal->boot, d->host.boot) ?
			 "rebooted before it was confirmed" :
			 "it was not confirmed in time");
	if (journal->end == END_FAILED)
		snprintf(d->problem, sizeof(d->problem),
			 "the types are not as before, and this agent has not confirmed them");
}

static void act_save(struct daemon *d)
{
	const struct doc_journal *journal = agent_journal(d->agent);
	char path[PATH_MAX];
	int error;

	/* Before the end is, however it was found to be so; host_write() has said what is wrong. */
	while (!stop && journal->phase == JOURNAL_END && journal->end == END_DONE &&
	       !before_keep(&d->host, journal))
		nap(1000);
	if (journal->phase == JOURNAL_END) {
		explain_end(d, journal);
		agent_explain(d->agent, d->problem);
	}
	host_state(&d->host, path, "journal");
	/* Without it nothing may be done: what comes next would not be known after a crash. */
	while (!stop && (error = journal_save(path, journal))) {
		note("<3>", "%s: %s", path, strerror(-error));
		nap(1000);
	}
	/* With hooks to come it is saved once more, without them. */
	if (stop || journal->phase != JOURNAL_END || journal->hooked)
		return;
	d->ended[journal->end]++;
	note(journal->end == END_DONE || journal->end == END_NOTHING ? "<5>" : "<3>",
	     "rollout %s, attempt %lld: %s%s%s", journal->rollout, (long long)journal->attempt,
	     doc_end_name(journal->end), *d->problem ? ": " : "", d->problem);
	report(d);
}

/* Why @action came to nothing: by the first of its problems, the worst. */
static void explain(struct daemon *d, struct json_object *document, const char *action)
{
	struct json_object *problems = NULL, *each = NULL, *message = NULL;

	if (json_object_object_get_ex(document, "problems", &problems) &&
	    json_object_array_length(problems))
		each = json_object_array_get_idx(problems, 0);
	if (each && json_object_object_get_ex(each, "message", &message))
		snprintf(d->problem, sizeof(d->problem), "%s", json_object_get_string(message));
	else
		snprintf(d->problem, sizeof(d->problem),
			 "%s: no result; the journal of the host's unit iommucfg-fleet-%s@ says why",
			 action, action);
}

static int act_apply(struct daemon *d)
{
	struct json_object *document = NULL, *value;
	const char *result = "";
	int code, applied;

	code = act(d, "apply", &document);
	if (json_object_object_get_ex(document, "result", &value) && value)
		result = json_object_get_string(value);
	if (code == 0 && !strcmp(result, "unconfirmed"))
		applied = APPLIED_UNCONFIRMED;
	else if (code == 0 && !strcmp(result, "nothing-to-do"))
		applied = APPLIED_NOTHING;
	else if (code == 1 || code == 3)
		applied = APPLIED_REFUSED;
	else if (code == 4)
		applied = APPLIED_REVERTED;
	else if (code == 5)
		applied = APPLIED_FAILED;
	else
		applied = APPLIED_UNKNOWN;
	if (applied != APPLIED_UNCONFIRMED && applied != APPLIED_NOTHING)
		explain(d, document, "apply");
	json_object_put(document);
	return applied;
}

static bool act_probe(struct daemon *d)
{
	struct json_object *change, *before = NULL;
	char path[PATH_MAX];
	bool well;

	host_state(&d->host, path, "change");
	change = json_object_from_file(path);
	json_object_object_get_ex(change, "links", &before);
	well = before && links_wait(&d->host, before, LINK_MS, d->problem, sizeof(d->problem));
	if (well && json_object_object_get_ex(change, "addresses", &before))
		well = reach_wait(d, before, LINK_MS);
	json_object_put(change);
	if (well && act(d, "probe", NULL)) {
		snprintf(d->problem, sizeof(d->problem), "a probe in " PROBE_DIR " says no");
		well = false;
	}
	return well;
}

int act_confirm(struct daemon *d)
{
	struct json_object *document = NULL;
	int code = act(d, "confirm", &document);

	/* 2: it is installed, and something else of the system's policy is not so. */
	d->problem[0] = '\0';
	if (code)
		explain(d, document, "confirm");
	json_object_put(document);
	return code == 0 || code == 2 ? CONFIRM_KEPT : code == 3 ? CONFIRM_AGAIN : CONFIRM_UNKNOWN;
}

static int act_rollback(struct daemon *d)
{
	struct json_object *document = NULL;
	int code = act(d, "rollback", &document);

	if (code)
		explain(d, document, "rollback");
	else if (!*d->problem)
		snprintf(d->problem, sizeof(d->problem), "%s", agent_rolls_back(d->agent));
	json_object_put(document);
	/* What is not known is looked at. */
	return code != 5;
}

/* The host's own hooks; where there are none, nothing is started. */
static bool act_hook(struct daemon *d, const char *action, const char *dir)
{
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int n, i;

	host_path(&d->host, path, dir);
	n = scandir(path, &entries, NULL, NULL);
	for (i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	if (n < 0 ? errno == ENOENT : n <= 2)
		return true;
	/* One that an agent before this has started comes to its end. */
	while (look_running(&d->host) && !stopping())
		nap(500);
	if (!act(d, action, NULL))
		return true;
	if (!strcmp(action, "pre"))
		snprintf(d->problem, sizeof(d->problem), "a hook in %s says no", dir);
	else
		note("<3>", "a hook in %s says no", dir);
	return false;
}

/*
 * Watches the own grant from what the store is at now on: what was before the grant's last
 * write may be compacted. False: it is not as the state machine has read it.
 */
static bool watch_grant(struct daemon *d)
{
	char key[STEP_KEY_MAX];
	struct store_item item;
	uint64_t cluster;
	int64_t rev;
	bool same;

	snprintf(key, sizeof(key), "%s/grant/%s/%s", d->conf.prefix, d->settings.pool,
		 d->settings.name);
	if (store_get(d->conf.store, key, &item))
		return true;
	store_identity(d->conf.store, &cluster, &rev);
	store_watch(d->conf.store, key, true, rev + 1, &d->watch);
	note("<7>", "watches its grant");
	same = item.rev == agent_grant_rev(d->agent);
	store_item_clear(&item);
	return same;
}

/* Waits for an event of the own grant. */
static void wait_for_grant(struct daemon *d, int64_t ms)
{
	enum store_result result;
	struct store_item item;
	int64_t until = now_ms() + ms, left;

	if (!d->watch && d->connected && !watch_grant(d))
		return;
	while (!stop && (left = until - now_ms()) > 0) {
		alive();
		if (!d->watch) {
			poll(NULL, 0, left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS);
			continue;
		}
		result = store_watch_next(d->watch, left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS,
					  &item);
		store_item_clear(&item);
		if (result != STORE_UNREACHABLE)
			note("<7>", "watch: %s%s%s", store_result_name(result), result ? ": " : "",
			     result ? store_watch_message(d->watch) : "");
		if (!result)
			return;
		if (result != STORE_UNREACHABLE) {
			/* Compacted, denied, foreign: polling goes on, and opens it again. */
			store_watch_free(d->watch);
			d->watch = NULL;
		}
	}
}

struct pace {
	int64_t report_at, metrics_at;
	int failures;
};

static void act_wait(struct daemon *d, struct pace *pace, int64_t ms)
{
	int64_t now = now_ms();
	int shift = pace->failures < 6 ? pace->failures : 6;

	if (!d->connected && is_idle(d)) {
		/* Full jitter: the store is not to be met by all at once when it is back. */
		pace->failures++;
		ms = 500 + jitter((1000LL << shift) < BACKOFF_MAX_MS ? 1000LL << shift :
								       BACKOFF_MAX_MS);
	} else {
		pace->failures = 0;
		ms += ms / 5 - jitter(ms * 2 / 5);
	}
	if (now >= pace->metrics_at) {
		metrics_write(d);
		pace->metrics_at = now + 60000;
	}
	if (is_idle(d) && now >= pace->report_at) {
		report(d);
		pace->report_at = now + d->settings.report_interval * 500LL +
				  jitter(d->settings.report_interval * 1000LL);
		ms = 0;
	}
	if (is_idle(d) && pace->report_at - now < ms)
		ms = pace->report_at - now;
	if (is_idle(d))
		wait_for_grant(d, ms);
	else
		nap(ms);
}

static void carry_out(struct daemon *d, struct pace *pace, struct agent_action *action,
		      struct agent_result *result, struct store_item *item)
{
	char before[DOC_REASON_MAX];

	memcpy(before, d->problem, sizeof(before));
	if (action->what != AGENT_SAVE)
		look_over(d);
	switch (action->what) {
	case AGENT_WAIT:
		act_wait(d, pace, action->wait_ms);
		break;
	case AGENT_STORE:
		act_store(d, action, result, item);
		break;
	case AGENT_SAVE:
		act_save(d);
		look_over(d);
		break;
	case AGENT_PLAN:
		nap(jitter(BEGIN_JITTER_MS));
		result->code = plan_attempt(d);
		if ((result->code == PLAN_AGAIN || result->code == PLAN_BLOCKED) &&
		    strcmp(before, d->problem)) {
			note("<4>", "no plan yet: %s", d->problem);
			report(d);
		}
		break;
	case AGENT_PRE:
		result->code = act_hook(d, "pre", PRE_DIR);
		break;
	case AGENT_POST:
		act_hook(d, "post", POST_DIR);
		break;
	case AGENT_APPLY:
		result->code = act_apply(d);
		break;
	case AGENT_PROBE:
		result->code = act_probe(d);
		break;
	case AGENT_LOOK:
		look(d, result);
		break;
	case AGENT_CONFIRM:
		result->code = act_confirm(d);
		/* It may be tried for long, and a person has to know of it. */
		if (result->code != CONFIRM_KEPT && strcmp(before, d->problem))
			report(d);
		break;
	case AGENT_ROLLBACK:
		result->code = act_rollback(d);
		break;
	}
}

static int run(struct daemon *d)
{
	struct pace pace = { 0 };
	struct agent_action action;
	const char *message;
	char said[256] = "";

	report(d);
	pace.report_at = now_ms() + d->settings.report_interval * 1000LL;
	sd_notify(0, "READY=1");
	if (is_idle(d))
		nap(jitter(d->settings.start_jitter * 1000LL));
	while (!stop) {
		struct agent_result result = { 0 };
		struct store_item item = { 0 };

		alive();
		if (!agent_next(d->agent, now_ms(), &action)) {
			note("<3>", "out of memory");
			return 1;
		}
		carry_out(d, &pace, &action, &result, &item);
		/* What was interrupted is found out after the next start. */
		if (!stop)
			agent_done(d->agent, &action, &result, now_ms());
		store_item_clear(&item);
		step_clear(&action.step);
		message = agent_message(d->agent);
		if (strcmp(message, said) && *message)
			note("<4>", "%s", message);
		snprintf(said, sizeof(said), "%s", message);
	}
	sd_notify(0, "STOPPING=1");
	return 0;
}

static bool begin(struct daemon *d, const char *root)
{
	struct doc_journal journal;
	struct agent_options options = { 0 };
	char path[PATH_MAX], why[DOC_REASON_MAX] = "";
	int error;

	if (!host_open(&d->host, root) || !settings_open(&d->settings, &d->conf, d->config))
		return false;
	host_state(&d->host, path, "journal");
	error = journal_load(path, &journal, why);
	if (error) {
		note("<3>", "%s: %s; what this host was doing is not known: see \"iommucfg status\", "
		     "then remove the file", path, *why ? why : strerror(-error));
		return false;
	}
	options.prefix = d->conf.prefix;
	options.pool = d->settings.pool;
	options.host = d->settings.name;
	options.machine = d->host.machine;
	options.boot = d->host.boot;
	d->connected = true;
	/* It is reported with the end, and as long as nothing else is begun. */
	if (journal.phase == JOURNAL_END || journal.phase == JOURNAL_IDLE)
		memcpy(d->problem, journal.why, sizeof(d->problem));
	d->agent = agent_new(&options, &journal);
	return d->agent;
}

static const char usage[] =
	"usage: iommucfgd [-c FILE] [-v] [--root DIR] [--runner FILE]\n"
	"       iommucfgd --check [-c FILE]\n"
	"       iommucfgd --run ACTION NAME\n"
	"\n"
	"The agent of a host: carries out the changes that the fleet grants to it.\n"
	"\n"
	"  -c, --config FILE    instead of " SETTINGS_DEFAULT "\n"
	"  -v, --verbose        each step\n"
	"      --root DIR       a saved tree instead of the running system\n"
	"      --check          only read the configuration, and say what is wrong in it\n"
	"      --run            the part that changes the machine; its unit calls it\n"
	"      --runner FILE    a program to be called with ACTION and NAME instead\n"
	"  -h, --help           this text\n";

enum { OPT_ROOT = 256, OPT_RUN, OPT_RUNNER, OPT_CHECK };

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", no_argument, NULL, OPT_CHECK },
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "root", required_argument, NULL, OPT_ROOT },
		{ "run", no_argument, NULL, OPT_RUN },
		{ "runner", required_argument, NULL, OPT_RUNNER },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	struct sigaction action = { .sa_handler = on_signal };
	struct daemon d = { .config = SETTINGS_DEFAULT, .drift = -1, .lock = -1 };
	const char *root = getenv("IOMMUCFG_ROOT");
	bool check = false, act = false;
	int option, code = 1;

	while ((option = getopt_long(argc, argv, "c:hv", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			d.config = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			setenv("IOMMUCFGD_VERBOSE", "1", 1);
			break;
		case OPT_ROOT:
			root = optarg;
			setenv("IOMMUCFG_ROOT", root, 1);
			break;
		case OPT_RUN:
			act = true;
			break;
		case OPT_RUNNER:
			d.runner = optarg;
			break;
		case OPT_CHECK:
			check = true;
			break;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	if (argc - optind != (act ? 2 : 0)) {
		fputs(usage, stderr);
		return 1;
	}
	if (act)
		return run_action(argv[optind], argv[optind + 1]);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	srandom(getpid() ^ time(NULL) ^ now_ms());
	if (check) {
		code = !settings_open(&d.settings, &d.conf, d.config);
	} else if (begin(&d, root)) {
		code = run(&d);
	}
	store_watch_free(d.watch);
	agent_free(d.agent);
	settings_clear(&d.settings);
	conf_close(&d.conf);
	host_close(&d.host);
	return code;
}
