/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the stand-in share. */
#ifndef STANDIN_H
#define STANDIN_H

#define FUSE_USE_VERSION 35
#include <fuse.h>

struct standing;

extern const char *tree;

/* standin.c */
int listed(const char *const *names, const char *name);
int slurp(char *buf, size_t size, const char *format, const char *name);
int errno_of(const char *name);

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
