// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded into the agent or the coordinator by LD_PRELOAD, for tests.
 *
 *	CRASH_AT=Nb or Na	kill -9 right before, or after, the Nth time that the journal
 *				is replaced
 *	STOP_AT=N		SIGSTOP right before it
 *	CLOCK_SHIFT=SECONDS	the wall clock is off by so much
 *	NO_MEMORY=BYTES		there is none for one that is larger
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static long number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : 0;
}

int renameat(int old_dir, const char *old, int new_dir, const char *new)
{
	static long count;
	int (*real)(int, const char *, int, const char *) = dlsym(RTLD_NEXT, "renameat");
	const char *when = getenv("CRASH_AT");
	bool journal = !strcmp(new, "journal") && ++count;
	bool now = when && journal && count == number_of("CRASH_AT");
	int result;

	if (journal && count == number_of("STOP_AT"))
		raise(SIGSTOP);

	if (now && when[strlen(when) - 1] == 'b')
		raise(SIGKILL);
	result = real(old_dir, old, new_dir, new);
	if (now)
		raise(SIGKILL);
	return result;
}

/* Without that of the library, which dlsym() itself may want. */
void *calloc(size_t count, size_t size)
{
	long most = number_of("NO_MEMORY");
	void *memory = NULL;

	if ((!most || count > 1 || size <= (size_t)most) && !(size && count > SIZE_MAX / size))
		memory = malloc(count * size);
	return memory ? memset(memory, 0, count * size) : NULL;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int result;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	result = real(clock, now);
	if (!result && clock == CLOCK_REALTIME)
		now->tv_sec += number_of("CLOCK_SHIFT");
	return result;
}

time_t time(time_t *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to)
		*to = now.tv_sec;
	return now.tv_sec;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	to->tv_sec = now.tv_sec;
	to->tv_usec = now.tv_nsec / 1000;
	return 0;
}
