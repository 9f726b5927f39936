/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a policy comes to as standing rules, the kernel's for devices to come. */
#ifndef IOMMUCFG_STANDING_H
#define IOMMUCFG_STANDING_H

#include "internal.h"

/* What a file of a rule takes, less the newline: see configfs-iommu. */
#define IC_PATTERNS_MAX	4093

/* Of the hash that a rule's name ends in */
#define IC_HASH_DIGITS	8

/* A rule of the kernel's; each member but the name is a file. */
struct ic_standing {
	char *name;
	const char *bus, *removable, *type;	/* constant */
	char *device, *modalias;
	char priority[16], order[24];
};

struct ic_standings {
	struct ic_standing *v;
	size_t n, cap;
};

struct ic_words {
	char **v;
	size_t n, cap;
};

/*
 * What of a rule can be said in patterns; with @part it is not all, and @wide has
 * patterns that what is missing meets as well.
 */
struct ic_said {
	struct ic_words words, wide;
	bool part;
};

enum ic_bus { IC_BUS_PCI, IC_BUS_PLATFORM, IC_NUM_BUSES };

/* Why not all of a rule can be said to the kernel: the first reason. */
struct ic_gap {
	char why[256];
};

void ic_gap_set(struct ic_gap *gap, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* standing-glob.c */
int ic_words_add(struct ic_words *words, char *word);
void ic_words_sort(struct ic_words *words);
int ic_words_pieces(const struct ic_words *words, struct ic_words *pieces);
void ic_words_clear(struct ic_words *words);
void ic_said_clear(struct ic_said *said);
char *ic_kernel_glob(const char *glob, bool lower, bool dashes);

/* policy-match.c */
const char *ic_match_key(int key);

/* standing-alias.c */
struct ic_alias {
	const char *module, *pattern;	/* the module with "_" for each "-" */
};

struct ic_aliases {
	struct iommucfg *ctx;
	char *table, *builtin;		/* what the aliases point into */
	struct ic_alias *v;		/* sorted by module */
	size_t n, cap;
	bool read;
};

int ic_standing_modaliases(struct ic_aliases *aliases, const struct iommucfg_rule *rule,
			   enum ic_bus bus, struct ic_said *said, bool *found,
			   struct ic_gap *gap);
void ic_aliases_clear(struct ic_aliases *aliases);

/* standing-device.c */
int ic_standing_devices(struct iommucfg *ctx, const struct iommucfg_rule *rule,
			enum ic_bus bus, struct ic_said *said, struct ic_gap *gap);

/* standing-rule.c */
int ic_standing_translate(const struct iommucfg_policy *policy, struct ic_standings *standings,
			  struct iommucfg_problems *problems);
void ic_standings_clear(struct ic_standings *standings);

#endif
