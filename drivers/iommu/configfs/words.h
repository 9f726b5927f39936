/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ICFG_WORDS_H
#define _ICFG_WORDS_H

#include <linux/types.h>

/**
 * enum icfg_type - type of a group's default domain
 * @ICFG_NONE: not chosen yet; only ever the wish for a group just staged
 * @ICFG_AUTO: what the IOMMU driver or the system prefers; only ever a wish
 * @ICFG_IDENTITY: no translation
 * @ICFG_DMA: translated, strict invalidation
 * @ICFG_DMA_FQ: translated, lazy invalidation
 * @ICFG_OTHER: reads back as something that cannot be asked for (blocked,
 *	unmanaged, unknown)
 *
 * The first three words after "none" are those that the group's sysfs file
 * takes as well.
 */
enum icfg_type {
	ICFG_NONE,
	ICFG_AUTO,
	ICFG_IDENTITY,
	ICFG_DMA,
	ICFG_DMA_FQ,
	ICFG_OTHER,
};

/* Where the directory of a transaction is in its life. */
enum icfg_state {
	ICFG_STAGED,
	ICFG_COMMITTING,
	ICFG_COMMITTED,
	ICFG_UNCONFIRMED,
	ICFG_ROLLING_BACK,
	ICFG_ROLLED_BACK,
	ICFG_FAILED,
};

/* What the last commit or rollback did to one group. */
enum icfg_status {
	ICFG_S_STAGED,
	ICFG_S_UNCHANGED,
	ICFG_S_IN_PLACE,
	ICFG_S_CHANGED,
	ICFG_S_RESTORED,
	ICFG_S_FAILED,
};

enum icfg_phase {
	ICFG_CHECK,
	ICFG_RELEASE,
	ICFG_SWITCH,
	ICFG_PROBE,
	ICFG_VERIFY,
	ICFG_RESTORE,
};

/* The longest name of a transaction, without its NUL. */
#define ICFG_NAME_MAX	64

/* What an operator lets a commit take away, as bits of allow_in_use. */
#define ICFG_ALLOW_NET		BIT(0)
#define ICFG_ALLOW_BLOCK	BIT(1)

const char *icfg_type_word(enum icfg_type type);
const char *icfg_state_word(enum icfg_state state);
const char *icfg_status_word(enum icfg_status status);
const char *icfg_phase_word(enum icfg_phase phase);

size_t icfg_line_len(const char *buf, size_t count);
bool icfg_is_word(const char *buf, size_t count, const char *word);
enum icfg_type icfg_type_from_word(const char *buf, size_t count);
int icfg_parse_one(const char *buf, size_t count);
int icfg_parse_wanted(const char *buf, size_t count, enum icfg_type *type);
int icfg_parse_allow(const char *buf, size_t count, unsigned int *allow);
int icfg_parse_number(const char *buf, size_t count, u64 max, u64 *value);
int icfg_parse_group_id(const char *name, unsigned int *id);
bool icfg_name_ok(const char *name);

#endif /* _ICFG_WORDS_H */
