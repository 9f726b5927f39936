/* SPDX-License-Identifier: GPL-2.0 */
/* Words of allow_in_use in one text, as "iommucfg apply --allow-in-use" takes them. */
#ifndef FLEET_WORDS_H
#define FLEET_WORDS_H

#include <stdbool.h>

/* @words: a mask of enum iommucfg_word; -1 for an empty text. False: a word is not known. */
bool words_parse(const char *text, int *words);

#endif
