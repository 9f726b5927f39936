// SPDX-License-Identifier: LGPL-2.1-or-later
/* Does a device meet the `match` of a rule? */
#include <errno.h>
#include <fnmatch.h>

#include "internal.h"
#include "match.h"

/* PCI base classes by the words that a policy has for them. */
static const char *const class_words[] = {
	"storage", "network", "display", "multimedia", "bridge", "communication", "serial",
	"processor", "wireless", "accelerator", NULL
};

static const unsigned char class_codes[] = {
	0x01, 0x02, 0x03, 0x04, 0x06, 0x07, 0x0c, 0x0b, 0x0d, 0x12
};

const char *const *ic_class_words(void)
{
	return class_words;
}

int ic_class_of_word(const char *word)
{
	size_t i;

	for (i = 0; class_words[i]; i++)
		if (!strcmp(word, class_words[i]))
			return class_codes[i];
	return -1;
}

/* Modules and drivers: the kernel takes '-' and '_' for the same. */
bool ic_same_driver(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
			return false;
	return *a == *b;
}

/* A value that is not known is neither met nor not met: "not" is true of neither. */
enum truth { NO, YES, UNKNOWN };

static enum truth truth(bool is)
{
	return is ? YES : NO;
}

/*
 * The driver bound now; where there is none, the one that would bind: what
 * driver_override says, else any module that the modalias names.
 */
static enum truth driver_matches(struct iommucfg_device *device, const char *word)
{
	const char *alias;
	char **module;

	if (device->driver)
		return truth(ic_same_driver(device->driver, word));
	if (iommucfg_device_driver_override(device))
		return truth(ic_same_driver(device->override, word));
	if (!device->modules_read) {
		device->modules_read = true;
		alias = iommucfg_device_modalias(device);
		if (alias)
			device->modules = ic_modalias_modules(device->ctx, alias);
	}
	if (!device->modules || !*device->modules)
		return UNKNOWN;
	for (module = device->modules; *module; module++)
		if (ic_same_driver(*module, word))
			return YES;
	return NO;
}

static bool glob_matches(const struct iommucfg_device *device, const char *glob, const char *text)
{
	/* Hex digits of PCI addresses may be written in capitals. */
	int flags = device->bus && !strcmp(device->bus, "pci") ? FNM_CASEFOLD : 0;

	return !fnmatch(glob, text, flags);
}

/* An attribute that the device may lack reads as -1. */
static enum truth number_matches(long number, long wanted)
{
	return number < 0 ? UNKNOWN : truth(number == wanted);
}

static enum truth slot_matches(struct iommucfg_device *device, const char *label)
{
	int ret = ic_slot_matches(device, label);

	return ret < 0 ? UNKNOWN : truth(ret);
}

static enum truth value_matches(struct iommucfg_device *device, enum ic_key key,
				const struct ic_value *value)
{
	long class;

	switch (key) {
	case IC_KEY_DEVICE:
		return truth(glob_matches(device, value->word, device->name));
	case IC_KEY_BUS:
		return device->bus ? truth(!strcmp(device->bus, value->word)) : UNKNOWN;
	case IC_KEY_PATH:
		return truth(glob_matches(device, value->word, iommucfg_device_path(device)));
	case IC_KEY_VENDOR:
		return number_matches(iommucfg_device_vendor(device), value->number);
	case IC_KEY_DEVICE_ID:
		return number_matches(iommucfg_device_id(device), value->number);
	case IC_KEY_SUBVENDOR:
		return number_matches(iommucfg_device_subsystem_vendor(device), value->number);
	case IC_KEY_SUBDEVICE:
		return number_matches(iommucfg_device_subsystem_device(device), value->number);
	case IC_KEY_CLASS:
		class = iommucfg_device_class(device);
		return class < 0 ? UNKNOWN :
		       truth(class >> (24 - 4 * value->digits) == value->number);
	case IC_KEY_DRIVER:
		return driver_matches(device, value->word);
	case IC_KEY_REMOVABLE:
		return truth(iommucfg_device_removable(device) == !!value->number);
	case IC_KEY_BOUND:
		return truth(!!device->driver == !!value->number);
	case IC_KEY_SLOT:
		return slot_matches(device, value->word);
	case IC_KEY_UNTRUSTED:
		/* What does not show as untrusted need not be trusted. */
		return iommucfg_device_untrusted(device) ? truth(value->number) : UNKNOWN;
	default:
		return UNKNOWN;
	}
}

/* Any of its values. */
static enum truth key_matches(struct iommucfg_device *device, enum ic_key key,
			      const struct ic_values *values)
{
	enum truth one, any = NO;
	size_t i;

	for (i = 0; i < values->n && any != YES; i++) {
		one = value_matches(device, key, &values->v[i]);
		if (one != NO)
			any = one;
	}
	return any;
}

/* All of the keys that have values. */
static enum truth keys_match(struct iommucfg_device *device, const struct ic_values *keys)
{
	/*
	 * Cheap keys first: a modalias lookup or a read from sysfs comes
	 * only for devices that meet all the rest.
	 */
	static const enum ic_key order[IC_NUM_KEYS] = {
		IC_KEY_BUS, IC_KEY_VENDOR, IC_KEY_DEVICE_ID, IC_KEY_CLASS, IC_KEY_SUBVENDOR,
		IC_KEY_SUBDEVICE, IC_KEY_DEVICE, IC_KEY_PATH, IC_KEY_BOUND, IC_KEY_SLOT,
		IC_KEY_REMOVABLE, IC_KEY_UNTRUSTED, IC_KEY_DRIVER,
	};
	enum truth one, all = YES;
	size_t i;

	for (i = 0; i < IC_NUM_KEYS && all != NO; i++) {
		if (!keys[order[i]].n)
			continue;
		one = key_matches(device, order[i], &keys[order[i]]);
		if (one != YES)
			all = one;
	}
	return all;
}

int iommucfg_rule_match(const struct iommucfg_rule *rule, struct iommucfg_device *device)
{
	return keys_match(device, rule->match) == YES &&
	       (!rule->has_not || keys_match(device, rule->not) == NO);
}
