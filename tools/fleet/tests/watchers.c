// SPDX-License-Identifier: GPL-2.0
/*
 * For bench_watchers.py.
 *
 *	watchers watch CONF KEY COUNT	COUNT watches of KEY, each over a connection of its own.
 *		Prints "open SECONDS" when all of them are; then for each value, which is a
 *		time of CLOCK_MONOTONIC in milliseconds and more, "event FIRST LAST": how long
 *		after that time the first and the last of them had it.
 *	watchers host CONF KEY COUNT	The same, where each reads KEY before, which is a second
 *		connection.
 *	watchers tell CONF KEY SIZE	Puts such a value for each byte on standard input.
 *	watchers put CONF KEY SECONDS	Puts of 400 bytes, one after the other. Prints how many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000.0 + now.tv_nsec / 1000000.0;
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "watchers: %s: %m\n", what);
		exit(1);
	}
}

struct watcher {
	struct conf conf;
	struct store_watch *watch;
	bool has;
};

/* What came for each of them by now; the last of them is at *@last. */
static void look(struct watcher *all, size_t count, double *first, double *last)
{
	struct store_item item;
	double after;
	size_t i;

	for (i = 0; i < count; i++) {
		if (store_watch_next(all[i].watch, 0, &item))
			continue;
		after = now_ms() - strtod(item.value, NULL);
		*first = *first < 0 || after < *first ? after : *first;
		*last = after;
		all[i].has = true;
		store_item_clear(&item);
	}
}

/*
 * Waits until at most @left of those at @waiting are not open; how many there are then. Only
 * these are looked at: it is etcd that the machine's time is for.
 */
static size_t wait_open(struct watcher *all, size_t *waiting, size_t count, size_t left)
{
	struct store_item item;
	size_t i, n;

	for (;;) {
		for (i = n = 0; i < count; i++) {
			store_watch_next(all[waiting[i]].watch, 0, &item);
			store_item_clear(&item);
			if (!store_watch_alive(all[waiting[i]].watch))
				waiting[n++] = waiting[i];
		}
		count = n;
		if (count <= left)
			return count;
		usleep(2000);
	}
}

static void __attribute__((noreturn)) watch(const char *file, const char *key, size_t count,
					     bool reads)
{
	struct watcher *all = calloc(count, sizeof(*all));
	size_t *waiting = calloc(count, sizeof(*waiting)), still = 0;
	double begun = now_ms(), first, last, at;
	struct store_item item, own;
	struct conf conf;
	size_t i, n;

	must(all && waiting, "memory");
	must(conf_open(&conf, file) && !store_get(conf.store, key, &item), key);
	for (i = 0; i < count; i++) {
		must(conf_open(&all[i].conf, file), file);
		if (reads) {
			must(!store_get(all[i].conf.store, key, &own), key);
			store_item_clear(&own);
		}
		must(!store_watch(all[i].conf.store, key, true, item.rev + 1, &all[i].watch), key);
		/* Some at a time, so that none waits for longer than its limit. */
		waiting[still++] = i;
		still = wait_open(all, waiting, still, 20);
	}
	store_item_clear(&item);
	conf_close(&conf);
	wait_open(all, waiting, still, 0);
	printf("open %.2f\n", (now_ms() - begun) / 1000);
	fflush(stdout);
	for (;;) {
		first = last = -1;
		for (i = 0; i < count; i++)
			all[i].has = false;
		for (n = 0; n < count;) {
			at = now_ms();
			look(all, count, &first, &last);
			for (n = 0; n < count && all[n].has; n++)
				;
			/* As long as that took: etcd has to have time as well. */
			if (first < 0)
				usleep(1000 + (now_ms() - at) * 1000);
		}
		printf("event %.1f %.1f\n", first, last);
		fflush(stdout);
	}
}

static int tell(const char *file, const char *key, size_t size)
{
	char value[4096];
	struct store_put put = { .key = key, .value = value, .size = size, .rev = STORE_ANY };
	struct conf conf;

	must(size < sizeof(value) && conf_open(&conf, file), file);
	while (getchar() != EOF) {
		memset(value, 'x', size);
		value[snprintf(value, sizeof(value), "%.1f", now_ms())] = ' ';
		must(!store_put(conf.store, &put, NULL), key);
	}
	conf_close(&conf);
	return 0;
}

static int put(const char *file, const char *key, double seconds)
{
	char value[401];
	struct store_put put = { .key = key, .value = value, .size = 400, .rev = STORE_ANY };
	double until = now_ms() + seconds * 1000;
	struct conf conf;
	long n = 0;

	memset(value, 'x', 400);
	value[400] = '\0';
	must(conf_open(&conf, file), file);
	while (now_ms() < until)
		n += !store_put(conf.store, &put, NULL);
	printf("%ld\n", n);
	conf_close(&conf);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && (!strcmp(argv[1], "watch") || !strcmp(argv[1], "host")))
		watch(argv[2], argv[3], strtoul(argv[4], NULL, 10), *argv[1] == 'h');
	if (argc == 5 && !strcmp(argv[1], "tell"))
		return tell(argv[2], argv[3], strtoul(argv[4], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "put"))
		return put(argv[2], argv[3], strtod(argv[4], NULL));
	return 1;
}
