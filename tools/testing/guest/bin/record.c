// SPDX-License-Identifier: GPL-2.0
/*
 * record SEED SECONDS GROUP GROUP [-- FILE TEXT...]
 *
 * Four processes do what they like to two transactions over two groups, and write TEXT to
 * FILE now and then. Prints a line for every call, in the order of the calls:
 *
 *	PROCESS CALLED RETURNED ACTION TRANSACTION GROUP ARGUMENT ERRNO RESULT
 *
 * with times in nanoseconds, and "-" for what an action does not have. The first line has
 * the types of both groups and the generation from before. linear(1) judges it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOT		"/sys/kernel/config/iommu"
#define PROCESSES	4
#define CALLS_MAX	4096

struct call {
	long long called, returned;
	int process, txn, group, err;
	char action[20], arg[24], result[24];
};

static struct {
	int count[PROCESSES];
	struct call calls[PROCESSES][CALLS_MAX];
} *log_of;

static char **groups, **others;
static int nothers;

static const struct {
	const char *action;
	int weight;
	int has_group;
} actions[] = {
	{ "mkdir-txn", 12, 0 }, { "rmdir-txn", 3, 0 }, { "mkdir-group", 14, 1 },
	{ "rmdir-group", 4, 1 }, { "type", 18, 1 }, { "confirm_timeout", 5, 0 },
	{ "expected_generation", 5, 0 }, { "check", 5, 0 }, { "commit", 12, 0 },
	{ "confirm", 5, 0 }, { "rollback", 7, 0 }, { "state", 6, 0 },
	{ "generation", 4, 0 }, { "current", 3, 1 }, { "break", 1, 0 },
};

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int put(const char *path, const char *text)
{
	char line[64];
	int fd = open(path, O_WRONLY), err = 0;

	if (fd < 0)
		return errno;
	snprintf(line, sizeof(line), "%s\n", text);
	if (write(fd, line, strlen(line)) < 0)
		err = errno;
	close(fd);
	return err;
}

static int get(const char *path, char *word, size_t size)
{
	int fd = open(path, O_RDONLY), err = 0;
	ssize_t n;

	if (fd < 0)
		return errno;
	n = read(fd, word, size - 1);
	if (n < 0)
		err = errno;
	word[n > 0 ? n : 0] = '\0';
	word[strcspn(word, "\n")] = '\0';
	close(fd);
	return err;
}

static int act(struct call *call)
{
	static const char *const reads[] = { "state", "generation", "current" };
	const char *action = call->action;
	char txn[64], group[96], path[160];

	snprintf(txn, sizeof(txn), ROOT "/history%d", call->txn);
	snprintf(group, sizeof(group), "%s/%s", txn, groups[call->group > 0]);
	if (!strcmp(action, "mkdir-txn"))
		return mkdir(txn, 0755) ? errno : 0;
	if (!strcmp(action, "rmdir-txn"))
		return rmdir(txn) ? errno : 0;
	if (!strcmp(action, "mkdir-group"))
		return mkdir(group, 0755) ? errno : 0;
	if (!strcmp(action, "rmdir-group"))
		return rmdir(group) ? errno : 0;
	if (!strcmp(action, "break")) {
		for (int i = 0; i < nothers; i++)
			put(others[2 * i], others[2 * i + 1]);
		return 0;
	}
	if (!strcmp(action, reads[0]))
		snprintf(path, sizeof(path), "%s/state", txn);
	else if (!strcmp(action, reads[1]))
		snprintf(path, sizeof(path), ROOT "/generation");
	else if (!strcmp(action, reads[2]))
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%s/type",
			 groups[call->group > 0]);
	else
		snprintf(path, sizeof(path), "%s/%s", call->group < 0 ? txn : group, action);
	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++)
		if (!strcmp(action, reads[i]))
			return get(path, call->result, sizeof(call->result));
	return put(path, call->arg);
}

/* What is written, where the action has a choice. */
static void choose_arg(struct call *call, unsigned int *seed)
{
	static const char *const types[] = { "identity", "DMA", "DMA-FQ" };
	unsigned int roll = rand_r(seed) / 7;

	strcpy(call->arg, "1");
	if (!strcmp(call->action, "type"))
		strcpy(call->arg, types[roll % 3]);
	else if (!strcmp(call->action, "confirm_timeout"))
		strcpy(call->arg, roll % 2 ? "600" : "0");
	/* Not before the call: another process may raise it meanwhile, and that is the point. */
	else if (!strcmp(call->action, "expected_generation") &&
		 (roll % 3 == 0 || get(ROOT "/generation", call->arg, sizeof(call->arg))))
		strcpy(call->arg, "0");
}

static void do_call(int number, const char *action, int txn, int group, unsigned int *seed)
{
	struct call *call = &log_of->calls[number][log_of->count[number]];

	if (log_of->count[number] == CALLS_MAX)
		return;
	call->process = number;
	snprintf(call->action, sizeof(call->action), "%s", action);
	call->txn = txn;
	call->group = group;
	choose_arg(call, seed);
	call->called = now();
	call->err = act(call);
	call->returned = now();
	log_of->count[number]++;
	/* As the machine has few CPUs: so that calls of others come in between. */
	if (rand_r(seed) / 7 % 4 == 0)
		usleep(rand_r(seed) / 7 % 2000);
}

static void process(int number, unsigned int seed, long long end)
{
	int total = 0;

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		total += actions[i].weight;
	seed = seed * 2654435761u + number;
	while (now() < end && log_of->count[number] < CALLS_MAX) {
		int roll = rand_r(&seed) / 7 % total, i = 0;
		int txn = rand_r(&seed) / 7 % 2, group = rand_r(&seed) / 7 % 2;
		int whole = rand_r(&seed) / 7 % 4;

		while (roll >= actions[i].weight)
			roll -= actions[i++].weight;
		/* An empty directory does not come about by chance alone. */
		for (int g = 0; g < 2 && whole && !strcmp(actions[i].action, "rmdir-txn"); g++)
			do_call(number, "rmdir-group", txn, g, &seed);
		do_call(number, actions[i].action, txn, actions[i].has_group ? group : -1, &seed);
		/* Nor does one that can be committed. */
		for (int g = 0; g < 2 && whole && !strcmp(actions[i].action, "mkdir-txn"); g++) {
			if (whole == 1 && g != group)
				continue;
			do_call(number, "mkdir-group", txn, g, &seed);
			do_call(number, "type", txn, g, &seed);
		}
	}
}

static int by_time(const void *a, const void *b)
{
	const struct call *const *x = a, *const *y = b;

	return ((*x)->called > (*y)->called) - ((*x)->called < (*y)->called);
}

int main(int argc, char **argv)
{
	static struct call *all[PROCESSES * CALLS_MAX];
	char types[2][24], path[64], generation[24];
	long long end;
	int n = 0;

	if (argc < 5) {
		fprintf(stderr, "record: SEED SECONDS GROUP GROUP [-- FILE TEXT...]\n");
		return 2;
	}
	groups = argv + 3;
	if (argc > 6) {
		others = argv + 6;
		nothers = (argc - 6) / 2;
	}
	log_of = mmap(NULL, sizeof(*log_of), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (log_of == MAP_FAILED)
		return 2;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%s/type", groups[i]);
		if (get(path, types[i], sizeof(types[i])))
			return 2;
	}
	if (get(ROOT "/generation", generation, sizeof(generation)))
		return 2;
	printf("%s %s %s\n", types[0], types[1], generation);

	end = now() + atoll(argv[2]) * 1000000000LL;
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() == 0) {
			process(i, strtoul(argv[1], NULL, 10), end);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < PROCESSES; i++)
		for (int k = 0; k < log_of->count[i]; k++)
			all[n++] = &log_of->calls[i][k];
	qsort(all, n, sizeof(*all), by_time);
	for (int i = 0; i < n; i++)
		printf("%d %lld %lld %s %d %d %s %s %s\n", all[i]->process, all[i]->called,
		       all[i]->returned, all[i]->action, all[i]->txn, all[i]->group, all[i]->arg,
		       all[i]->err ? strerrorname_np(all[i]->err) : "0",
		       *all[i]->result ? all[i]->result : "-");
	return 0;
}
