// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who made a transaction, in /run/iommucfg/txn/NAME: the kernel does not know. What was
 * made by hand, or by something else, has none. Whoever
 * removes the transaction by the library removes the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "state.h"
#include "txn.h"

#define CREATOR_DIR	"run/iommucfg/txn"

static long boottime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

static char *file_of(const char *name)
{
	char *path;

	return asprintf(&path, CREATOR_DIR "/%s", name) < 0 ? NULL : path;
}

/* For messages and status only, so that it cannot be written is no error. */
void ic_creator_write(struct iommucfg *ctx, const char *name, char *const *command,
		      const struct ic_part *part)
{
	struct json_object *o, *words;
	char *path = file_of(name);

	if (!path || state_make_run(ctx) ||
	    (mkdirat(ctx->rootfd, CREATOR_DIR, 0755) && errno != EEXIST)) {
		free(path);
		return;
	}
	o = json_object_new_object();
	words = json_object_new_array();
	for (; command && *command; command++)
		json_object_array_add(words, json_text(*command));
	json_object_object_add(o, "uid", json_object_new_int64(getuid()));
	json_object_object_add(o, "pid", json_object_new_int64(getpid()));
	json_object_object_add(o, "command", words);
	json_object_object_add(o, "boottime", json_object_new_int64(boottime()));
	if (part && part->other) {
		json_object_object_add(o, "other", json_text(part->other));
		json_object_object_add(o, "first", json_object_new_boolean(part->first));
	}
	state_write(ctx, path, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	free(path);
}

/* Adds to the file, or replaces in it; takes @value. */
void ic_creator_set(struct iommucfg *ctx, const char *name, const char *key,
		    struct json_object *value)
{
	struct json_object *o = NULL;
	char *path = file_of(name), *text = NULL;
	int error;

	if (path)
		text = state_read(ctx->rootfd, path, &error);
	if (text)
		o = json_tokener_parse(text);
	free(text);
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_add(o, key, value);
		value = NULL;
		state_write(ctx, path, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
				      JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	json_object_put(value);
	json_object_put(o);
	free(path);
}

void iommucfg_txn_set_ending(struct iommucfg_txn *txn, bool restores)
{
	ic_creator_set(txn->ctx, txn->name, "restores", json_object_new_boolean(restores));
	ic_creator_set(txn->ctx, txn->name, "ending", json_object_new_int64(getpid()));
}

void ic_creator_remove(struct iommucfg *ctx, const char *name)
{
	char *path = file_of(name);

	if (path)
		unlinkat(ctx->rootfd, path, 0);
	free(path);
}

static struct json_object *get(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ?
	       value : NULL;
}

/* How long ago something was made in its directory, or itself; -1 where that is not told. */
static long directory_age(const struct iommucfg_txn *txn)
{
	struct stat st;
	time_t now = time(NULL);

	if (fstat(txn->fd, &st) || st.st_ctime <= 0 || st.st_ctime > now)
		return -1;
	return now - st.st_ctime;
}

/* What the file says, or NULL. */
struct json_object *ic_creator_read(const struct iommucfg_txn *txn)
{
	struct json_object *o = NULL;
	char *path = file_of(txn->name), *text;
	int error;

	if (!path)
		return NULL;
	text = state_read(txn->ctx->rootfd, path, &error);
	free(path);
	if (!text)
		return NULL;
	o = json_tokener_parse(text);
	free(text);
	if (json_object_is_type(o, json_type_object) && get(o, "uid", json_type_int) &&
	    get(o, "pid", json_type_int) && get(o, "command", json_type_array) &&
	    get(o, "boottime", json_type_int))
		return o;
	json_object_put(o);
	return NULL;
}

/*
 * {uid, pid, command}, or NULL for what was made by hand. *@age: seconds since it was
 * made, -1 where that is not known.
 */
struct json_object *json_creator(const struct iommucfg_txn *txn, long *age)
{
	static const char *const members[] = { "uid", "pid", "command" };
	struct json_object *o = ic_creator_read(txn), *creator;
	size_t i;

	*age = directory_age(txn);
	if (!o)
		return NULL;
	*age = boottime() - json_object_get_int64(get(o, "boottime", json_type_int));
	if (*age < 0)
		*age = 0;
	creator = json_object_new_object();
	for (i = 0; i < sizeof(members) / sizeof(*members); i++)
		json_object_object_add(creator, members[i],
				       json_object_get(json_object_object_get(o, members[i])));
	json_object_put(o);
	return creator;
}

int iommucfg_txn_open_other(struct iommucfg_txn *txn, struct iommucfg_txn **other, bool *first)
{
	struct json_object *o = ic_creator_read(txn), *back = NULL, *name;
	int ret = -ENOENT;

	*other = NULL;
	name = o ? get(o, "other", json_type_string) : NULL;
	if (name)
		ret = iommucfg_txn_open(txn->ctx, json_object_get_string(name), other);
	/* Another one may have that name by now. */
	if (!ret) {
		back = ic_creator_read(*other);
		name = back ? get(back, "other", json_type_string) : NULL;
		if (!name || strcmp(json_object_get_string(name), txn->name)) {
			iommucfg_txn_unref(*other);
			*other = NULL;
			ret = -ENOENT;
		}
	}
	if (!ret && first)
		*first = json_object_get_boolean(get(o, "first", json_type_boolean));
	json_object_put(o);
	json_object_put(back);
	return ret;
}

bool iommucfg_txn_by_hand(struct iommucfg_txn *txn, long *age)
{
	struct json_object *o = json_creator(txn, age);
	unsigned int pid, n;

	if (o) {
		json_object_put(o);
		return false;
	}
	/* /run may be full, and older versions wrote none. */
	return sscanf(txn->name, OWN_PREFIX "%u-%u", &pid, &n) != 2;
}

int iommucfg_txn_remaining(struct iommucfg_txn *txn, long *seconds)
{
	unsigned long value;
	char word[32];
	ssize_t n;

	n = ic_read_attr(txn->fd, "remaining", word, sizeof(word));
	if (n < 0)
		return n;
	if (ic_parse_number(word, 10, IOMMUCFG_CONFIRM_TIMEOUT_MAX, &value))
		return -EPROTO;
	*seconds = value;
	return 0;
}

/* Seconds as a person says them. */
static void put_age(FILE *f, long age)
{
	if (age < 120)
		fprintf(f, "%ld s", age);
	else if (age < 2 * 60 * 60)
		fprintf(f, "%ld min", age / 60);
	else
		fprintf(f, "%ld h", age / 3600);
}

static void put_creator(FILE *f, struct json_object *creator)
{
	struct json_object *command = get(creator, "command", json_type_array);
	size_t i;

	fputs(" by \"", f);
	for (i = 0; i < json_object_array_length(command); i++)
		fprintf(f, "%s%s", i ? " " : "",
			json_object_get_string(json_object_array_get_idx(command, i)));
	fprintf(f, "\" (process %lld, uid %lld)",
		(long long)json_object_get_int64(get(creator, "pid", json_type_int)),
		(long long)json_object_get_int64(get(creator, "uid", json_type_int)));
}

char *iommucfg_txn_describe(struct iommucfg_txn *txn)
{
	unsigned long done = 0, all = 0;
	struct json_object *creator;
	long age, remaining = 0;
	char *text = NULL;
	size_t length;
	FILE *f;

	f = open_memstream(&text, &length);
	if (!f)
		return NULL;
	creator = json_creator(txn, &age);
	if (age >= 0 || creator)
		fputs("made", f);
	if (age >= 0) {
		fputc(' ', f);
		put_age(f, age);
		fputs(" ago", f);
	}
	if (creator)
		put_creator(f, creator);
	json_object_put(creator);
	if (!iommucfg_txn_remaining(txn, &remaining) && remaining > 0)
		fprintf(f, "%sgoes back by itself in %ld s", ftell(f) ? ", " : "", remaining);
	if (!iommucfg_txn_progress(txn, &done, &all) && done < all)
		fprintf(f, "%s%lu of %lu device steps done", ftell(f) ? ", " : "", done, all);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* What --json has of a transaction besides name, state, groups and report. */
void json_add_txn(struct json_object *o, struct iommucfg_txn *txn)
{
	unsigned long done, all;
	struct json_object *creator, *progress = NULL;
	long remaining, age;

	if (iommucfg_txn_remaining(txn, &remaining))
		remaining = -1;
	if (!iommucfg_txn_progress(txn, &done, &all)) {
		progress = json_object_new_object();
		json_object_object_add(progress, "done", json_number(done));
		json_object_object_add(progress, "total", json_number(all));
	}
	creator = json_creator(txn, &age);
	json_object_object_add(o, "remaining", json_number(remaining));
	json_object_object_add(o, "age", json_number(age));
	json_object_object_add(o, "creator", creator);
	json_object_object_add(o, "progress", progress);
}
