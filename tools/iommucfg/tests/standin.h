/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the stand-in share. */
#ifndef STANDIN_H
#define STANDIN_H

#define FUSE_USE_VERSION 35
#include <fuse.h>

#include <time.h>

#define MAX_TXNS	32
#define MAX_GROUPS	1024

struct group {
	char number[16], type[16], before[64], status[32], method[16];
};

struct txn {
	char name[80], state[16], allow[64], disruption[16], report[4096];
	unsigned long expected, timeout, step_timeout, done, all;
	time_t deadline;
	struct group groups[MAX_GROUPS];
	int n;
	int used;
};

struct standing;

extern const char *tree;

/* standin.c */
int listed(const char *const *names, const char *name);
int slurp(char *buf, size_t size, const char *format, const char *name);
int errno_of(const char *name);

void type_of(const char *group, char *buf, size_t size);

/* standin-method.c */
extern const char *const disruptions[];
void choose_methods(struct txn *txn);
int check_disruption(struct txn *txn);
int pause_groups(struct txn *txn);
void write_trace(void);

/* standin-rules.c */
const char *below_standing(const char *path);
int is_old(void);
int resolve_standing(const char *p, struct standing **s, const char **file);
int list_standing(const char *below, void *buf, fuse_fill_dir_t fill);
int mkdir_standing(const char *name);
int rmdir_standing(const char *below);
void read_standing(const struct standing *s, const char *file, char *buf, size_t size);
int write_standing(const char *below, const char *data, size_t size);

#endif
