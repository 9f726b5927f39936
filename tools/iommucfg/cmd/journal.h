/* SPDX-License-Identifier: GPL-2.0 */
/* Messages with fields, for whoever asks the journal. */
#ifndef IOMMUCFG_JOURNAL_H
#define IOMMUCFG_JOURNAL_H

#include "cli.h"

void journal_entry(struct cli *cli, struct json_object *entry);

#endif
