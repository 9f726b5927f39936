// SPDX-License-Identifier: GPL-2.0
/*
 * For bench-watchers.
 *
 *	watchers watch CONF KEY COUNT	COUNT watches of KEY, each over a connection of its own.
 *		Prints "open SECONDS" when all of them are; then for each value, which is a
 *		time of CLOCK_MONOTONIC in milliseconds and more, "event FIRST LAST": how long
 *		after that time the first and the last of them had it.
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
	bool open, has;
};

/* Those that are open, or have the value, now; the last of them is at *@last. */
static size_t look(struct watcher *all, size_t count, double *first, double *last)
{
	struct store_item item;
	size_t i, n = 0;
	double after;

	for (i = 0; i < count; i++) {
		if (!store_watch_next(all[i].watch, 0, &item)) {
			after = now_ms() - strtod(item.value, NULL);
			*first = *first < 0 || after < *first ? after : *first;
			*last = after;
			all[i].has = true;
			store_item_clear(&item);
		}
		all[i].open |= store_watch_alive(all[i].watch);
		n += all[i].open;
	}
	return n;
}

static void __attribute__((noreturn)) watch(const char *file, const char *key, size_t count)
{
	struct watcher *all = calloc(count, sizeof(*all));
	double begun = now_ms(), first, last;
	struct store_item item;
	struct conf conf;
	size_t i, n;

	must(all, "memory");
	must(conf_open(&conf, file) && !store_get(conf.store, key, &item), key);
	for (i = 0; i < count; i++) {
		must(conf_open(&all[i].conf, file), file);
		must(!store_watch(all[i].conf.store, key, true, item.rev + 1, &all[i].watch), key);
		/* Some at a time, so that none waits for longer than its limit. */
		while (look(all, i + 1, &first, &last) + 20 < i)
			usleep(1000);
	}
	store_item_clear(&item);
	conf_close(&conf);
	first = last = -1;
	while (look(all, count, &first, &last) < count)
		usleep(1000);
	printf("open %.2f\n", (now_ms() - begun) / 1000);
	fflush(stdout);
	for (;;) {
		first = last = -1;
		for (i = 0; i < count; i++)
			all[i].has = false;
		for (n = 0; n < count;) {
			look(all, count, &first, &last);
			for (n = 0; n < count && all[n].has; n++)
				;
			if (first < 0)
				usleep(1000);
		}
		printf("event %.1f %.1f\n", first, last);
		fflush(stdout);
	}
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
	if (argc == 5 && !strcmp(argv[1], "watch"))
		watch(argv[2], argv[3], strtoul(argv[4], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "put"))
		return put(argv[2], argv[3], strtod(argv[4], NULL));
	return 1;
}
