/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IOMMUCFG_MATCH_H
#define IOMMUCFG_MATCH_H

#include <stdbool.h>

int ic_class_of_word(const char *word);
const char *const *ic_class_words(void);
bool ic_same_driver(const char *a, const char *b);

#endif
