/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's journal on the disk. */
#ifndef FLEET_JOURNAL_H
#define FLEET_JOURNAL_H

#include "doc.h"

/*
 * Reads the journal of @path; a file that does not exist is one in which nothing has
 * happened. 0, or a negative errno; -EBADMSG: it cannot be read, with the reason in @why
 * (DOC_REASON_MAX bytes). Then it is not known what this host was doing: a person has to
 * look, nothing may be begun.
 */
int journal_load(const char *path, struct doc_journal *journal, char *why);

/* Writes it, whole or not at all; on the disk when this returns 0. Else a negative errno. */
int journal_save(const char *path, const struct doc_journal *journal);

#endif
