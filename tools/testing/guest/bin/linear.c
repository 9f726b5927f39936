// SPDX-License-Identifier: GPL-2.0
/*
 * linear FILE: can what record(1) recorded be explained by the interface?
 *
 * A model of the interface is below: two transactions, two groups, the generation. An action
 * of it is not one moment: a commit first leaves `staged`, then has its groups to itself,
 * raises the generation, switches one group, then the other, and so on; each of these is a
 * point, and others can come between two of them. The history is right if all points can be
 * put into one order in which each point lies between call and return of its action and in
 * which the model gives every errno and every word that was read (Wing and Gong, with the
 * memory of Lowe: a position and a state of the model that led nowhere are not tried again).
 *
 * Prints how many configurations that took, or the action that nothing explains.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES	4
#define GROUPS		2
#define TXNS		2

enum action {
	MKDIR_TXN, RMDIR_TXN, MKDIR_GROUP, RMDIR_GROUP, TYPE, TIMEOUT, EXPECTED, CHECK, COMMIT,
	CONFIRM, ROLLBACK, STATE, GENERATION, CURRENT, BREAK, ACTIONS
};

static const char *const action_words[ACTIONS] = {
	"mkdir-txn", "rmdir-txn", "mkdir-group", "rmdir-group", "type", "confirm_timeout",
	"expected_generation", "check", "commit", "confirm", "rollback", "state", "generation",
	"current", "break",
};

enum state { STAGED, COMMITTING, COMMITTED, UNCONFIRMED, ROLLING_BACK, ROLLED_BACK, FAILED, STATES };

static const char *const state_words[STATES] = {
	"staged", "committing", "committed", "unconfirmed", "rolling-back", "rolled-back", "failed",
};

enum err { OK, EBUSY_, EEXIST_, EINVAL_, EIO_, ENOENT_, ENOTEMPTY_, ESTALE_, ECANCELED_, ERRS };

static const char *const err_words[ERRS] = {
	"0", "EBUSY", "EEXIST", "EINVAL", "EIO", "ENOENT", "ENOTEMPTY", "ESTALE", "ECANCELED",
};

/* "none" is what a new group has. */
static const char *const type_words[] = { "none", "identity", "DMA", "DMA-FQ" };

struct call {
	long long called, returned;
	enum action action;
	int process, txn, group;
	unsigned int number;	/* a type, or what is written or read */
	enum err err;
	int line;
};

/* What the interface is at one moment. */
struct txn {
	uint8_t exists, state, depends;
	/* hidden: its directory went when the transaction was not staged. */
	uint8_t dir[GROUPS], listed[GROUPS], hidden[GROUPS], type[GROUPS];
	uint8_t timeout;
	uint16_t expected;
	/* What the commit has changed, and the types that it left, for a rollback. */
	uint8_t changed[GROUPS], old[GROUPS], left[GROUPS];
};

/* How far a process is in its action, and what it has seen. */
struct local {
	uint8_t point, err, from, timeout, busy, types[GROUPS], listed[GROUPS];
	uint8_t work[GROUPS];	/* 0: nothing, 1: to do, 2: done */
	uint8_t others[GROUPS];	/* another transaction had the group */
	uint16_t expected;
};

struct conf {
	struct txn txns[TXNS];
	uint8_t now[GROUPS], owner[GROUPS];	/* owner: 1 + transaction, or 0 */
	uint8_t broken;
	uint16_t generation;
	struct local locals[PROCESSES];
	uint16_t at[PROCESSES];
};

static struct call *calls[PROCESSES];
static int num_calls[PROCESSES];

/* ---------------------------------------------------------------- the model */

/* What a point comes to. */
enum { CANNOT, GOES_ON, ENDS };

static int ends(const struct call *call, enum err err)
{
	return call->err == err ? ENDS : CANNOT;
}

/* Which of two refusals the interface names first. */
static enum err worse(enum err a, enum err b)
{
	static const enum err order[] = { ESTALE_, EINVAL_, EBUSY_, OK };

	for (int i = 0;; i++)
		if (order[i] == a || order[i] == b)
			return order[i];
}

static int is_owned(const struct conf *c, int g, int txn)
{
	return c->owner[g] && c->owner[g] != txn + 1;
}

static int any_owned(const struct conf *c, const struct local *l, int txn)
{
	for (int g = 0; g < GROUPS; g++)
		if (l->listed[g] && is_owned(c, g, txn))
			return 1;
	return 0;
}

/* Has those groups of a transaction that no other has. */
static void own_free(struct conf *c, struct local *l, int txn)
{
	for (int g = 0; g < GROUPS; g++) {
		l->others[g] = is_owned(c, g, txn);
		if (l->listed[g] && !l->others[g])
			c->owner[g] = txn + 1;
	}
}

static void disown(struct conf *c, int txn)
{
	for (int g = 0; g < GROUPS; g++)
		if (c->owner[g] == txn + 1)
			c->owner[g] = 0;
}

/* What a plan takes from the transaction when it begins. */
static void take(struct local *l, const struct txn *t)
{
	l->expected = t->expected;
	l->timeout = t->timeout;
	for (int g = 0; g < GROUPS; g++) {
		l->listed[g] = t->listed[g];
		l->types[g] = t->type[g];
	}
}

/* What is wrong with what is staged, whatever others do. */
static enum err staged_err(const struct local *l)
{
	int any = 0;

	for (int g = 0; g < GROUPS; g++) {
		any |= l->listed[g];
		if (l->listed[g] && !l->types[g])
			return EINVAL_;
	}
	return any ? OK : EINVAL_;
}

static int any_work(const struct local *l)
{
	return l->work[0] || l->work[1];
}

static int check(struct conf *c, struct local *l, struct txn *t, const struct call *call)
{
	switch (l->point++) {
	case 0:
		if (!t->exists)
			return ends(call, ENOENT_);
		t->depends++;
		return GOES_ON;
	case 1:
		if (t->state != STAGED) {
			l->err = EBUSY_;
			l->point = 4;
			return GOES_ON;
		}
		take(l, t);
		return GOES_ON;
	case 2:
		if (l->expected && l->expected != c->generation)
			l->err = ESTALE_;
		return GOES_ON;
	case 3:
		if (any_owned(c, l, call->txn))
			l->err = worse(l->err, EBUSY_);
		l->err = worse(l->err, staged_err(l));
		return GOES_ON;
	default:
		t->depends--;
		return ends(call, l->err);
	}
}

/* The last points of a commit: which of them there are depends on what it came to. */
enum { COMMIT_SWITCH = 5, COMMIT_BACK = 6, COMMIT_DISOWN = 7, COMMIT_UNDEPEND, COMMIT_STATE };

static int commit_end(struct conf *c, struct local *l, struct txn *t, const struct call *call)
{
	int stays = !l->err && l->timeout;

	switch (l->point++) {
	case COMMIT_DISOWN:
		if (!stays)
			disown(c, call->txn);
		return GOES_ON;
	case COMMIT_UNDEPEND:
		if (!stays)
			t->depends--;
		return GOES_ON;
	default:
		if (l->err == EIO_) {
			t->state = FAILED;
		} else if (l->err) {
			t->state = STAGED;
			for (int g = 0; g < GROUPS; g++) {
				t->listed[g] &= !t->hidden[g];
				t->hidden[g] = 0;
			}
		} else {
			t->state = l->timeout ? UNCONFIRMED : COMMITTED;
		}
		return ends(call, l->err);
	}
}

static int commit(struct conf *c, struct local *l, struct txn *t, const struct call *call,
		  int choice)
{
	int g;

	switch (l->point) {
	case 0:
		if (!t->exists)
			return ends(call, ENOENT_);
		t->depends++;
		l->point++;
		return GOES_ON;
	case 1:
		if (t->state != STAGED) {
			/* Ends with its hold on the directory. */
			l->busy = 1;
			l->point = 2;
			return GOES_ON;
		}
		take(l, t);
		t->state = COMMITTING;
		l->point++;
		return GOES_ON;
	case 2:
		if (l->busy) {
			t->depends--;
			return ends(call, EBUSY_);
		}
		if (l->expected && l->expected != c->generation)
			l->err = ESTALE_;
		l->point++;
		return GOES_ON;
	case 3:
		if (any_owned(c, l, call->txn))
			l->err = worse(l->err, EBUSY_);
		else
			own_free(c, l, call->txn);
		l->err = worse(l->err, staged_err(l));
		for (g = 0; g < GROUPS && !l->err; g++) {
			l->work[g] = l->listed[g] && c->now[g] != l->types[g];
			t->changed[g] = l->work[g];
			t->old[g] = t->left[g] = c->now[g];
		}
		l->point = l->err || !any_work(l) ? COMMIT_DISOWN : 4;
		return GOES_ON;
	case 4:
		if (l->expected && l->expected != c->generation) {
			l->err = ESTALE_;
			l->point = COMMIT_DISOWN;
			return GOES_ON;
		}
		c->generation++;
		l->point = COMMIT_SWITCH;
		return GOES_ON;
	case COMMIT_SWITCH:
		/* The groups in any order; or it fails on the way, where drivers do. */
		if (choice == GROUPS) {
			if (!c->broken || (call->err != ECANCELED_ && call->err != EIO_))
				return CANNOT;
			l->err = call->err;
			l->point = COMMIT_BACK;
			return GOES_ON;
		}
		g = choice;
		if (l->work[g] != 1)
			return CANNOT;
		c->now[g] = t->left[g] = l->types[g];
		l->work[g] = 2;
		if (l->work[0] != 1 && l->work[1] != 1 && !call->err)
			l->point = COMMIT_DISOWN;
		return GOES_ON;
	case COMMIT_BACK:
		for (g = 0; g < GROUPS && l->work[g] != 2; g++)
			;
		if (g < GROUPS) {
			g = choice % GROUPS;
			if (l->work[g] != 2)
				return CANNOT;
			c->now[g] = t->left[g] = t->old[g];
			l->work[g] = 1;
			return GOES_ON;
		}
		l->point = COMMIT_DISOWN;
		return GOES_ON;
	default:
		return commit_end(c, l, t, call);
	}
}

static int confirm(struct conf *c, struct local *l, struct txn *t, const struct call *call)
{
	switch (l->point++) {
	case 0:
		if (!t->exists)
			return ends(call, ENOENT_);
		if (t->state != UNCONFIRMED)
			return ends(call, EBUSY_);
		/* Until it is done the lock keeps all but readers of the state away. */
		l->from = 1;
		disown(c, call->txn);
		return GOES_ON;
	case 1:
		t->depends--;
		return GOES_ON;
	default:
		t->state = COMMITTED;
		return ends(call, OK);
	}
}

enum { ROLLBACK_SWITCH = 5, ROLLBACK_DISOWN, ROLLBACK_STATE, ROLLBACK_UNDEPEND };

/*
 * What a group has now against what the commit, or the last rollback, left. After a failure
 * a type that was changed since stays, and what another transaction has is not looked at.
 */
static void compare(const struct conf *c, struct local *l, struct txn *t, int g)
{
	if (!t->changed[g] || l->others[g])
		return;
	if (c->now[g] == t->left[g])
		l->work[g] = c->now[g] != t->old[g];
	else if (l->from == FAILED)
		t->old[g] = t->left[g] = c->now[g];
	else
		l->err = ESTALE_;
}

static int rollback(struct conf *c, struct local *l, struct txn *t, const struct call *call,
		    int choice)
{
	int g;

	switch (l->point) {
	case 0:
		if (!t->exists)
			return ends(call, ENOENT_);
		t->depends++;
		l->point++;
		return GOES_ON;
	case 1:
		l->from = t->state;
		if (t->state != UNCONFIRMED && t->state != COMMITTED && t->state != FAILED) {
			l->busy = 1;
			l->err = EBUSY_;
			l->point = ROLLBACK_UNDEPEND;
			return GOES_ON;
		}
		take(l, t);
		t->state = ROLLING_BACK;
		l->point++;
		return GOES_ON;
	case 2:
		/* One hold on the directory is enough: that of the commit stays. */
		if (l->from == UNCONFIRMED)
			t->depends--;
		if (l->from == FAILED || !any_owned(c, l, call->txn))
			own_free(c, l, call->txn);
		else
			l->err = EBUSY_;
		l->point++;
		return GOES_ON;
	case 3:
	case 4:
		compare(c, l, t, l->point - 3);
		l->point++;
		if (l->point < ROLLBACK_SWITCH)
			return GOES_ON;
		if (l->err) {
			l->point = ROLLBACK_DISOWN;
			return GOES_ON;
		}
		if (any_work(l) || (l->from == FAILED && choice))
			c->generation++;
		return GOES_ON;
	case ROLLBACK_SWITCH:
		g = choice;
		if (g < GROUPS) {
			if (l->work[g] != 1)
				return CANNOT;
			c->now[g] = t->left[g] = t->old[g];
			l->work[g] = 2;
			return GOES_ON;
		}
		if (l->work[0] == 1 || l->work[1] == 1)
			return CANNOT;
		if (call->err == EIO_ && c->broken)
			l->err = EIO_;
		l->point++;
		return GOES_ON;
	case ROLLBACK_DISOWN:
		if (l->from != UNCONFIRMED || !l->err || l->err == EIO_)
			disown(c, call->txn);
		l->point++;
		return GOES_ON;
	case ROLLBACK_STATE:
		if (l->err && l->err != EIO_)
			t->state = l->from;
		else
			t->state = l->err ? FAILED : ROLLED_BACK;
		l->point++;
		return GOES_ON;
	default:
		if (l->busy || l->from != UNCONFIRMED || !l->err || l->err == EIO_)
			t->depends--;
		return ends(call, l->err);
	}
}

static int mkdir_group(struct local *l, struct txn *t, const struct call *call)
{
	int g = call->group;

	if (l->point++) {
		t->dir[g] = 1;
		return ends(call, OK);
	}
	if (!t->exists)
		return ends(call, ENOENT_);
	if (t->dir[g])
		return ends(call, EEXIST_);
	if (t->state != STAGED)
		return ends(call, EBUSY_);
	t->listed[g] = 1;
	t->type[g] = 0;
	return GOES_ON;
}

static int rmdir_group(struct local *l, struct txn *t, const struct call *call)
{
	int g = call->group;

	if (l->point++) {
		if (t->state == STAGED)
			t->listed[g] = 0;
		else
			t->hidden[g] = 1;
		return ends(call, OK);
	}
	if (!t->exists || !t->dir[g])
		return ends(call, ENOENT_);
	t->dir[g] = 0;
	return GOES_ON;
}

static int rmdir_txn(struct txn *t, const struct call *call)
{
	if (!t->exists)
		return ends(call, ENOENT_);
	if (t->depends && call->err == EBUSY_)
		return ENDS;
	if (t->dir[0] || t->dir[1])
		return ends(call, ENOTEMPTY_);
	if (t->depends)
		return CANNOT;
	memset(t, 0, sizeof(*t));
	return ends(call, OK);
}

static int set_timeout(struct txn *t, const struct call *call)
{
	switch (t->state) {
	case STAGED:
		break;
	case COMMITTING:
		if (!call->number || !t->timeout)
			return ends(call, EBUSY_);
		break;
	case UNCONFIRMED:
		if (!call->number)
			return ends(call, EBUSY_);
		break;
	default:
		return ends(call, EBUSY_);
	}
	t->timeout = !!call->number;
	return ends(call, OK);
}

/* The next point of a process. @choice: which way, where there are several. */
static int step(struct conf *c, int p, int choice)
{
	const struct call *call = &calls[p][c->at[p]];
	struct txn *t = &c->txns[call->txn];
	struct local *l = &c->locals[p];

	switch (call->action) {
	case MKDIR_TXN:
		if (t->exists)
			return ends(call, EEXIST_);
		t->exists = 1;
		return ends(call, OK);
	case RMDIR_TXN:
		return rmdir_txn(t, call);
	case MKDIR_GROUP:
		return mkdir_group(l, t, call);
	case RMDIR_GROUP:
		return rmdir_group(l, t, call);
	case TYPE:
		if (!t->exists || !t->dir[call->group])
			return ends(call, ENOENT_);
		if (t->state != STAGED)
			return ends(call, EBUSY_);
		t->type[call->group] = call->number;
		return ends(call, OK);
	case TIMEOUT:
		return t->exists ? set_timeout(t, call) : ends(call, ENOENT_);
	case EXPECTED:
		if (!t->exists)
			return ends(call, ENOENT_);
		if (t->state != STAGED)
			return ends(call, EBUSY_);
		t->expected = call->number;
		return ends(call, OK);
	case CHECK:
		return check(c, l, t, call);
	case COMMIT:
		return commit(c, l, t, call, choice);
	case CONFIRM:
		return confirm(c, l, t, call);
	case ROLLBACK:
		return rollback(c, l, t, call, choice);
	case STATE:
		if (!t->exists)
			return ends(call, ENOENT_);
		return t->state == call->number ? ends(call, OK) : CANNOT;
	case GENERATION:
		return c->generation == call->number ? ends(call, OK) : CANNOT;
	case CURRENT:
		return c->now[call->group] == call->number ? ends(call, OK) : CANNOT;
	default:
		c->broken = 1;
		return ends(call, OK);
	}
}

/* ---------------------------------------------------------------- the search */

static struct conf *seen;
static uint32_t *table;
static size_t num_seen, cap_seen, num_slots;

static size_t hash_of(const struct conf *c)
{
	const unsigned char *p = (const unsigned char *)c;
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < sizeof(*c); i++)
		hash = (hash ^ p[i]) * 1099511628211u;
	return hash ^ hash >> 32;
}

static void slot_in(uint32_t index)
{
	size_t at = hash_of(&seen[index]) & (num_slots - 1);

	while (table[at])
		at = (at + 1) & (num_slots - 1);
	table[at] = index + 1;
}

static void grow(void)
{
	cap_seen = cap_seen ? 2 * cap_seen : 1 << 12;
	num_slots = 4 * cap_seen;
	seen = realloc(seen, cap_seen * sizeof(*seen));
	free(table);
	table = calloc(num_slots, sizeof(*table));
	if (!seen || !table) {
		fprintf(stderr, "linear: out of memory after %zu configurations\n", num_seen);
		exit(2);
	}
	for (size_t i = 0; i < num_seen; i++)
		slot_in(i);
}

/* Remembers a configuration; 0 where it is known. */
static int remember(const struct conf *c)
{
	size_t at;

	if (num_seen == cap_seen)
		grow();
	at = hash_of(c) & (num_slots - 1);
	for (; table[at]; at = (at + 1) & (num_slots - 1))
		if (!memcmp(&seen[table[at] - 1], c, sizeof(*c)))
			return 0;
	seen[num_seen] = *c;
	table[at] = ++num_seen;
	return 1;
}

/* The earliest moment at which an action that has not ended returned. */
static long long first_return(const struct conf *c)
{
	long long first = INT64_MAX;

	for (int p = 0; p < PROCESSES; p++)
		if (c->at[p] < num_calls[p] && calls[p][c->at[p]].returned < first)
			first = calls[p][c->at[p]].returned;
	return first;
}

static int is_end(const struct conf *c)
{
	for (int p = 0; p < PROCESSES; p++)
		if (c->at[p] < num_calls[p])
			return 0;
	return 1;
}

/* Depth first, with the configurations that were found as the stack. Returns 1 if it ends. */
static int search(const struct conf *start, struct conf *best)
{
	size_t *stack = NULL, depth = 0, cap = 0, most = 0;

	remember(start);
	for (size_t i = 0;;) {
		struct conf c = seen[i];
		long long first = first_return(&c);
		size_t done = 0;

		if (is_end(&c)) {
			free(stack);
			return 1;
		}
		for (int p = 0; p < PROCESSES; p++)
			done += c.at[p];
		if (done >= most) {
			most = done;
			*best = c;
		}
		for (int p = 0; p < PROCESSES; p++) {
			if (c.at[p] == num_calls[p] || calls[p][c.at[p]].called > first)
				continue;
			for (int choice = 0; choice <= GROUPS; choice++) {
				struct conf next = c;
				int what = step(&next, p, choice);

				if (what == CANNOT)
					continue;
				if (what == ENDS) {
					next.at[p]++;
					memset(&next.locals[p], 0, sizeof(next.locals[p]));
				}
				if (!remember(&next))
					continue;
				if (depth == cap) {
					cap = cap ? 2 * cap : 1024;
					stack = realloc(stack, cap * sizeof(*stack));
					if (!stack)
						exit(2);
				}
				stack[depth++] = num_seen - 1;
			}
		}
		if (!depth) {
			free(stack);
			return 0;
		}
		i = stack[--depth];
	}
}

/* ---------------------------------------------------------------- the history */

static int word_of(const char *word, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(word, words[i]))
			return i;
	return -1;
}

#define WORD_OF(word, words) word_of(word, words, sizeof(words) / sizeof((words)[0]))

static void bad_line(int line, const char *text)
{
	fprintf(stderr, "linear: line %d: what is \"%s\"?\n", line, text);
	exit(1);
}

static void read_line(const char *text, int line)
{
	char action[32], arg[32], err[32], result[32];
	struct call call = { .line = line };
	int process, value;

	if (sscanf(text, "%d %lld %lld %31s %d %d %31s %31s %31s", &process, &call.called,
		   &call.returned, action, &call.txn, &call.group, arg, err, result) != 9 ||
	    process < 0 || process >= PROCESSES || call.txn < 0 || call.txn >= TXNS ||
	    call.group >= GROUPS)
		bad_line(line, text);
	value = WORD_OF(action, action_words);
	call.action = value;
	call.process = process;
	if (value < 0)
		bad_line(line, text);
	value = WORD_OF(err, err_words);
	if (value < 0) {
		printf("an errno that no action has: %s", text);
		exit(1);
	}
	call.err = value;
	value = 0;
	if (call.action == TYPE)
		value = WORD_OF(arg, type_words);
	else if (call.action == TIMEOUT || call.action == EXPECTED)
		value = atoi(arg);
	else if (!call.err && call.action == STATE)
		value = WORD_OF(result, state_words);
	else if (!call.err && call.action == CURRENT)
		value = WORD_OF(result, type_words);
	else if (!call.err && call.action == GENERATION)
		value = atoi(result);
	if (value < 0 || value > UINT16_MAX)
		bad_line(line, text);
	call.number = value;
	calls[process] = realloc(calls[process], (num_calls[process] + 1) * sizeof(call));
	if (!calls[process])
		exit(2);
	calls[process][num_calls[process]++] = call;
}

static void print_call(const char *before, const struct call *call)
{
	printf("%s process %d, line %d: %s history%d", before, call->process, call->line,
	       action_words[call->action], call->txn);
	if (call->group >= 0)
		printf("/%d", call->group);
	printf(" (%u): %s\n", call->number, err_words[call->err]);
}

/* How far the search came, for a person. */
static void explain(const struct conf *c)
{
	printf("%d and %d are %s and %s, of %d and %d; the generation is %d\n", 0, 1,
	       type_words[c->now[0]], type_words[c->now[1]], c->owner[0], c->owner[1],
	       c->generation);
	for (int i = 0; i < TXNS; i++)
		printf("history%d: %s\n", i, c->txns[i].exists ?
		       state_words[c->txns[i].state] : "is not there");
	for (int p = 0; p < PROCESSES; p++) {
		if (c->at[p])
			print_call("done:", &calls[p][c->at[p] - 1]);
		if (c->at[p] < num_calls[p])
			print_call("next:", &calls[p][c->at[p]]);
	}
}

int main(int argc, char **argv)
{
	static struct conf start, best;
	char text[512], types[GROUPS][32];
	int line = 1, total = 0, generation;
	FILE *f;

	f = argc == 2 ? fopen(argv[1], "r") : NULL;
	if (!f || !fgets(text, sizeof(text), f) ||
	    sscanf(text, "%31s %31s %d", types[0], types[1], &generation) != 3) {
		fprintf(stderr, "linear: FILE, as record(1) prints it\n");
		return 2;
	}
	for (int g = 0; g < GROUPS; g++)
		start.now[g] = WORD_OF(types[g], type_words);
	start.generation = generation;
	while (fgets(text, sizeof(text), f))
		read_line(text, ++line);
	fclose(f);
	for (int p = 0; p < PROCESSES; p++)
		total += num_calls[p];
	if (search(&start, &best)) {
		printf("%d calls, explained after %zu configurations\n", total, num_seen);
		return 0;
	}
	printf("%d calls, which nothing explains; %zu configurations were tried; the furthest:\n",
	       total, num_seen);
	explain(&best);
	return 1;
}
