// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfgd --run ACTION NAME: the part that may change the machine. It takes nothing from
 * the store: policy and files are what the agent has checked and written to the disk, and
 * NAME must be the attempt that they are of.
 *
 *	apply		iommucfg apply --detach, with the kernel's timer
 *	probe		each program in /etc/iommucfg/fleet.d has to end with 0
 *	confirm		iommucfg confirm --install: the candidate becomes the fleet's file of the
 *			policy, or that is removed
 *	rollback	iommucfg rollback
 *	pre, post	the host's hooks, before a change and after it
 *
 * What it came to goes into a file as well, as who started it may be gone by then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "journal.h"

#define OUTPUT_MAX	(16 * 1024 * 1024)
#define WORDS_MAX	512
#define PROBE_MS	30000
#define HOOK_MS		300000
#define EXIT_NOT_RUN	75

#define KEPT_FD		(STDERR_FILENO + 1)

/* Without a context: the library is not needed here. */
static struct host host;
static int lock = -1;

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, name, &value);
	return value;
}

/* Reads until the end of @fd; NULL without memory, or if it is too much. */
static char *read_all(int fd)
{
	size_t size = 0, room = 0;
	char *text = NULL, *more;
	ssize_t n;

	for (;;) {
		if (size + 4096 > room) {
			room = room ? 2 * room : 16384;
			more = room <= OUTPUT_MAX ? realloc(text, room) : NULL;
			if (!more)
				break;
			text = more;
		}
		n = read(fd, text + size, room - size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			text[size] = '\0';
			return text;
		}
		size += n;
	}
	free(text);
	return NULL;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/*
 * Standard input, output and errors, and the lock: it is held until the command and what that
 * has started for the change have ended, although this process may be killed before. Nothing
 * else is handed on.
 */
static void hand_on(int output)
{
	dup2(output, STDOUT_FILENO);
	if (lock == KEPT_FD)
		fcntl(lock, F_SETFD, 0);
	else
		dup2(lock, KEPT_FD);
	close_range(KEPT_FD + 1, ~0U, 0);
}

/* The command, with what it prints in @document, or NULL. Its exit status. */
static int command(char **words, struct json_object **document)
{
	int fds[2], status;
	char *text;
	pid_t pid;

	*document = NULL;
	if (pipe2(fds, O_CLOEXEC))
		return EXIT_NOT_RUN;
	pid = fork();
	if (!pid) {
		hand_on(fds[1]);
		execvp(words[0], words);
		fprintf(stderr, "%s: %m\n", words[0]);
		_exit(EXIT_NOT_RUN);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return EXIT_NOT_RUN;
	}
	text = read_all(fds[0]);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (text)
		*document = json_tokener_parse(text);
	free(text);
	return status_of(status);
}

/* "iommucfg VERB --json", and what is in @more up to NULL. */
static int iommucfg(const char *verb, const char *const *more, struct json_object *files,
		    struct json_object **document)
{
	const char *words[WORDS_MAX + 3], *program = getenv("IOMMUCFG");
	size_t i, n = 0, count = files ? json_object_array_length(files) : 0;

	words[n++] = program ? program : "iommucfg";
	words[n++] = verb;
	words[n++] = "--json";
	for (; *more; more++)
		words[n++] = *more;
	if (n + count > WORDS_MAX)
		return EXIT_NOT_RUN;
	for (i = 0; i < count; i++)
		words[n++] = json_object_get_string(json_object_array_get_idx(files, i));
	words[n] = NULL;
	return command((char **)words, document);
}

static int apply(struct json_object *change, const char *name, struct json_object **document)
{
	/* Members of the change, and what the command calls them. */
	static const char *const options[][2] = {
		{ "confirm_timeout", "--confirm-timeout" }, { "disruption", "--disruption" },
		{ "settle", "--settle" }, { "allow_in_use", "--allow-in-use" },
	};
	const size_t count = sizeof(options) / sizeof(*options);
	const char *more[4 + 2 * sizeof(options) / sizeof(*options) + 2] = {
		"--detach", "--yes", "--name", name,
	}, *value;
	size_t i, n = 4;

	for (i = 0; i < count; i++) {
		value = json_object_get_string(member(change, options[i][0]));
		if (!value)
			continue;
		more[n++] = options[i][1];
		more[n++] = value;
	}
	more[n] = "--";
	return iommucfg("apply", more, member(change, "files"), document);
}

static int rollback(struct json_object *change, const char *name, struct json_object **document)
{
	const char *more[] = { name, NULL };

	(void)change;
	return iommucfg("rollback", more, NULL, document);
}

static bool copy_synced(const char *from, const char *to)
{
	char *text = host_read(from, OUTPUT_MAX);
	bool ok = text && host_write(to, text, strlen(text));

	free(text);
	return ok;
}

/* The file is gone, on the disk as well. */
static bool remove_synced(char *path)
{
	char *slash = strrchr(path, '/');
	bool ok;
	int fd;

	if (unlink(path) && errno != ENOENT)
		return false;
	*slash = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd >= 0 ? !fsync(fd) || errno == EINVAL : errno == ENOENT;
	if (fd >= 0)
		close(fd);
	*slash = '/';
	return ok;
}

static int confirm(struct json_object *change, const char *name, struct json_object **document)
{
	static const char empty[] = "# Taken back by the fleet.\n";
	struct json_object *groups = member(change, "groups");
	bool removes = json_object_get_boolean(member(change, "remove")), ok;
	char candidate[PATH_MAX], dest[PATH_MAX], new[PATH_MAX + 4], *slash;
	const char *more[] = { "--install", dest, NULL, NULL };
	int code;

	host_state(&host, candidate, "candidate.conf");
	host_path(&host, dest, POLICY_FILE);
	slash = strrchr(dest, '/');
	*slash = '\0';
	mkdir(dest, 0755);
	*slash = '/';
	snprintf(new, sizeof(new), "%s.new", dest);
	/* Without rules it is out of force for devices to come; then it can go. */
	ok = removes ? host_write(new, empty, strlen(empty)) : copy_synced(candidate, new);
	if (!ok) {
		fprintf(stderr, "%s: %m\n", new);
		return EXIT_NOT_RUN;
	}
	/* Where no group changes there is no transaction. */
	if (json_object_is_type(groups, json_type_array) && json_object_array_length(groups))
		more[2] = name;
	code = iommucfg("confirm", more, NULL, document);
	if (code != 0 && code != 2) {
		unlink(new);
	} else if (removes && !remove_synced(dest)) {
		fprintf(stderr, "%s: %m\n", dest);
		return EXIT_NOT_RUN;
	}
	return code;
}

/* As run-parts(8) has it. */
static int is_probe(const struct dirent *entry)
{
	return !entry->d_name[strspn(entry->d_name, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")];
}

/* What runs as root must not be written by others. */
static bool is_trusted(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && (st.st_mode & 0100) &&
	       st.st_uid == geteuid() && !(st.st_mode & 022);
}

/* What is called: its directory, the word that it gets, the time that it has. */
struct parts {
	const char *dir, *word;
	int ms;
};

static bool part(const struct parts *parts, const char *path, const char *name)
{
	int status = 0, waited = 0;
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		clearenv();
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
		setenv("LANG", "C", 1);
		setenv("IOMMUCFG_TRANSACTION", name, 1);
		if (!chdir("/"))
			execl(path, path, parts->word, NULL);
		_exit(127);
	}
	while (pid > 0 && !waitpid(pid, &status, WNOHANG)) {
		if (waited >= parts->ms) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			fprintf(stderr, "%s: not over within %d s\n", path, parts->ms / 1000);
			return false;
		}
		poll(NULL, 0, 50);
		waited += 50;
	}
	if (pid > 0 && !status)
		return true;
	fprintf(stderr, "%s: status %d\n", path, pid > 0 ? status_of(status) : -1);
	return false;
}

/* Each, in the order of their names, until one says no; for "post" all of them. */
static int all_parts(const struct parts *parts, const char *name)
{
	struct dirent **entries = NULL;
	char dir[PATH_MAX], path[PATH_MAX + 300];
	bool well = true;
	int i, n;

	host_path(&host, dir, parts->dir);
	n = scandir(dir, &entries, is_probe, alphasort);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		free(entries[i]);
		if (!well && strcmp(parts->word, "post"))
			continue;
		if (!is_trusted(path)) {
			fprintf(stderr, "%s: no program that root alone can write\n", path);
			well = false;
		} else if (!part(parts, path, name)) {
			well = false;
		}
	}
	free(entries);
	return n < 0 && errno != ENOENT ? 1 : !well;
}

static int probes(struct json_object *change, const char *name, struct json_object **document)
{
	static const struct parts parts = { PROBE_DIR, "probe", PROBE_MS };

	(void)change, (void)document;
	return all_parts(&parts, name);
}

static int pre(struct json_object *change, const char *name, struct json_object **document)
{
	static const struct parts parts = { PRE_DIR, "pre", HOOK_MS };

	(void)change, (void)document;
	return all_parts(&parts, name);
}

static int post(struct json_object *change, const char *name, struct json_object **document)
{
	static const struct parts parts = { POST_DIR, "post", HOOK_MS };

	(void)change, (void)document;
	return all_parts(&parts, name);
}

static const struct {
	const char *name;
	int (*run)(struct json_object *change, const char *name, struct json_object **document);
} actions[] = {
	{ "apply", apply }, { "probe", probes }, { "confirm", confirm },
	{ "rollback", rollback }, { "pre", pre }, { "post", post },
};

static bool write_result(const char *action, const char *name, int code,
			 struct json_object *document)
{
	struct json_object *o = json_object_new_object();
	char path[PATH_MAX];
	const char *text;
	bool ok;

	json_object_object_add(o, "action", json_object_new_string(action));
	json_object_object_add(o, "name", json_object_new_string(name));
	json_object_object_add(o, "exit", json_object_new_int(code));
	json_object_object_add(o, "document", document);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	host_state(&host, path, "result");
	ok = text && host_write(path, text, strlen(text));
	json_object_put(o);
	return ok;
}

/* Whether the journal says that this attempt is to be applied. */
static bool is_begun(const char *name)
{
	char path[PATH_MAX], is[NAME_MAX_TXN], why[DOC_REASON_MAX];
	struct doc_journal journal;

	host_state(&host, path, "journal");
	if (journal_load(path, &journal, why) || journal.phase != JOURNAL_APPLY)
		return false;
	attempt_name(&journal, is);
	return !strcmp(is, name);
}

int run_action(const char *action, const char *name)
{
	struct json_object *change, *document = NULL;
	const char *root = getenv("IOMMUCFG_ROOT"), *is;
	char path[PATH_MAX];
	int code;
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (!strcmp(actions[i].name, action))
			break;
	}
	if (i == sizeof(actions) / sizeof(*actions)) {
		fprintf(stderr, "iommucfgd: there is no action \"%s\"\n", action);
		return 1;
	}
	snprintf(host.root, sizeof(host.root), "%s", root && strcmp(root, "/") ? root : "");
	lock = host_lock(&host, path);
	if (lock < 0) {
		fprintf(stderr, "iommucfgd: %s: %m\n", path);
		return EXIT_NOT_RUN;
	}
	host_state(&host, path, "change");
	change = json_object_from_file(path);
	is = json_object_get_string(member(change, "name"));
	/* Where the state directory was lost there is none: these need no more than the name. */
	if (is ? strcmp(is, name) : actions[i].run != rollback && actions[i].run != post) {
		fprintf(stderr, "iommucfgd: \"%s\" is not the attempt that is under way\n", name);
		json_object_put(change);
		return 1;
	}
	/* Started late, when the agent has given the attempt up: the host reports that it is over. */
	if (actions[i].run == apply && !is_begun(name)) {
		fprintf(stderr, "iommucfgd: \"%s\" is over, or has not begun\n", name);
		json_object_put(change);
		return 1;
	}
	code = actions[i].run(change, name, &document);
	if (!write_result(action, name, code, document))
		code = EXIT_NOT_RUN;
	json_object_put(change);
	return code;
}
