// SPDX-License-Identifier: LGPL-2.1-or-later
/* The words of disruption and allow_in_use, and which uses the latter permit. */
#include <ctype.h>

#include "internal.h"

static const struct {
	const char *name;
	enum iommucfg_word word;
} words[] = {
	{ "net", IOMMUCFG_WORD_NET },
	{ "default-route", IOMMUCFG_WORD_DEFAULT_ROUTE },
	{ "block", IOMMUCFG_WORD_BLOCK },
	{ "mounted", IOMMUCFG_WORD_MOUNTED },
	{ "other", IOMMUCFG_WORD_OTHER },
};

const char *const *iommucfg_word_names(void)
{
	static const char *const names[] = {
		"net", "default-route", "block", "mounted", "other", NULL
	};

	return names;
}

enum iommucfg_word iommucfg_word_parse(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(name, words[i].name))
			return words[i].word;
	return IOMMUCFG_WORD_NEVER;
}

const char *iommucfg_word_name(enum iommucfg_word word)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (word == words[i].word)
			return words[i].name;
	return "never";
}

static const char *const disruptions[] = {
	[IOMMUCFG_DISRUPTION_REBIND] = "rebind",
	[IOMMUCFG_DISRUPTION_PAUSE] = "pause",
	[IOMMUCFG_DISRUPTION_NONE] = "none",
	NULL
};

const char *const *iommucfg_disruption_names(void)
{
	return disruptions;
}

int iommucfg_disruption_parse(const char *name)
{
	int i;

	for (i = 0; disruptions[i]; i++)
		if (!strcmp(name, disruptions[i]))
			return i;
	return -1;
}

const char *iommucfg_disruption_name(enum iommucfg_disruption disruption)
{
	return disruptions[disruption];
}

/* How much of a name is that of the disk: "sda1", "nvme0n1p2" without the partition. */
static size_t disk_length(const char *name)
{
	size_t length = strlen(name), n = length;

	while (n && isdigit((unsigned char)name[n - 1]))
		n--;
	if (n == length || !n)
		return length;
	/* Where the disk's own name ends in a digit there is a "p" between. */
	if (n > 1 && name[n - 1] == 'p' && isdigit((unsigned char)name[n - 2]))
		return n - 1;
	return isalpha((unsigned char)name[0]) && (name[0] == 's' || name[0] == 'v' ||
						   name[0] == 'h' || name[0] == 'x') &&
	       name[1] != 'r' ? n : length;
}

static bool is_same_disk(const struct iommucfg_use *a, const struct iommucfg_use *b)
{
	size_t n = disk_length(a->name);

	return n == disk_length(b->name) && !strncmp(a->name, b->name, n);
}

/* Of a Fibre Channel host, an RDMA device or UBI it is not known which disks are meant. */
static bool is_any_disk(const struct iommucfg_use *use)
{
	return !strcmp(use->kind, "fc") || !strcmp(use->kind, "rdma") || !strcmp(use->kind, "ubi");
}

/* Has the disk of a use, or the interfaces of its device, one that needs this word? */
static bool has_word(const struct iommucfg_device *device, const struct iommucfg_use *use,
		     enum iommucfg_word word)
{
	const struct iommucfg_use *other;
	size_t i;

	for (i = 0; i < device->num_uses; i++) {
		other = &device->uses[i];
		if (other->word == word &&
		    (use->word == IOMMUCFG_WORD_NET || is_any_disk(use) ||
		     is_same_disk(use, other)))
			return true;
	}
	return false;
}

/*
 * Do the words permit a use? Those for what is worse imply the other one for the same
 * interface or disk, and nothing else.
 */
bool ic_word_permits(const struct iommucfg_plan_options *options,
		     const struct iommucfg_device *device, const struct iommucfg_use *use)
{
	int allowed = options->allow_in_use;

	if (allowed & use->word)
		return true;
	switch (use->word) {
	case IOMMUCFG_WORD_NET:
		return allowed & IOMMUCFG_WORD_DEFAULT_ROUTE &&
		       has_word(device, use, IOMMUCFG_WORD_DEFAULT_ROUTE);
	case IOMMUCFG_WORD_BLOCK:
		return allowed & IOMMUCFG_WORD_MOUNTED &&
		       has_word(device, use, IOMMUCFG_WORD_MOUNTED);
	case IOMMUCFG_WORD_DEFAULT_ROUTE:
		/* The kernel goes back by itself; what is mounted may be lost before. */
		return use->default_route && allowed & IOMMUCFG_WORD_NET &&
		       options->confirm_timeout > 0;
	default:
		return false;
	}
}

/* What a person may do about a use that is not permitted: never what loses data. */
const char *ic_word_hint(const struct iommucfg_plan_options *options,
			 const struct iommucfg_device *device, const struct iommucfg_use *use)
{
	switch (use->word) {
	case IOMMUCFG_WORD_NET:
		return "--allow-in-use net permits it";
	case IOMMUCFG_WORD_DEFAULT_ROUTE:
		if (!use->default_route)
			return "--allow-in-use default-route permits it";
		if (options->allow_in_use & IOMMUCFG_WORD_NET)
			return "a confirm timeout permits it";
		return options->confirm_timeout ? "--allow-in-use net permits it" :
		       "--allow-in-use net and a confirm timeout permit it";
	case IOMMUCFG_WORD_BLOCK:
		if (has_word(device, use, IOMMUCFG_WORD_MOUNTED) ||
		    has_word(device, use, IOMMUCFG_WORD_NEVER))
			return "what is on it has to end first";
		return "--allow-in-use block permits it";
	case IOMMUCFG_WORD_MOUNTED:
		return "it has to be unmounted first";
	case IOMMUCFG_WORD_OTHER:
		return "--allow-in-use other permits it";
	default:
		if (!strcmp(use->kind, "vfs"))
			return "that is never overridden: 0 written to its sriov_numvfs disables them";
		if (!strcmp(use->kind, "vfio") || !strcmp(use->kind, "mdev") ||
		    !strcmp(use->kind, "vdpa"))
			return "that is never overridden: stop the virtual machine, or the program that has it";
		if (!strcmp(use->kind, "swap"))
			return "that is never overridden: swapoff ends it";
		return "that is never overridden";
	}
}
