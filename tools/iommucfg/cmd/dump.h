/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of "iommucfg dump" share. */
#ifndef IOMMUCFG_DUMP_H
#define IOMMUCFG_DUMP_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>

/* tar.c: entries of a tar archive; 0 or a negative errno */
int tar_directory(FILE *f, const char *name);
int tar_link(FILE *f, const char *name, const char *target);
int tar_file(FILE *f, const char *name, const char *data, size_t size);
int tar_end(FILE *f);

/* dump.c: NULL for a directory that is not there, or cannot be read */
DIR *dump_opendir(int dirfd, const char *path);

/* dump-private.c: what is not for others to read */
struct dump_secrets;
int dump_secrets_new(int rootfd, struct dump_secrets **secrets);
void dump_secrets_free(struct dump_secrets *secrets);
/* A text without them, or NULL without memory. */
char *dump_without(struct dump_secrets *secrets, const char *text);
/* Writes a word for a text, the same each time. */
void dump_hide(struct dump_secrets *secrets, FILE *f, const char *text, size_t length);

/* dump-paths.c: names of people and hosts in paths */
void dump_put_path(struct dump_secrets *secrets, FILE *f, const char *path, size_t length);
char *dump_path_without(struct dump_secrets *secrets, const char *path);
/* A line of mountinfo; false where it is none, and nothing is written. */
bool dump_put_mount(struct dump_secrets *secrets, FILE *f, char *line);

/* dump-files.c: a file without them, by what is known of its contents */
char *dump_file_without(struct dump_secrets *secrets, const char *path, const char *text);

#endif
