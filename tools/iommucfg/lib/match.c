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

/*
 * The driver bound now; where there is none, the one that would bind: what
 * driver_override says, else any module that the modalias names.
 */
static int driver_matches(struct iommucfg_device *device, const char *word)
{
	const char *alias;
	char **module;

	if (device->driver)
		return ic_same_driver(device->driver, word);
	if (iommucfg_device_driver_override(device))
		return ic_same_driver(device->override, word);
	if (!device->modules_read) {
		device->modules_read = true;
		alias = iommucfg_device_modalias(device);
		if (alias)
			device->modules = ic_modalias_modules(device->ctx, alias);
	}
	for (module = device->modules; module && *module; module++)
		if (ic_same_driver(*module, word))
			return 1;
	return 0;
}

static bool glob_matches(const struct iommucfg_device *device, const char *glob, const char *text)
{
	/* Hex digits of PCI addresses may be written in capitals. */
	int flags = device->bus && !strcmp(device->bus, "pci") ? FNM_CASEFOLD : 0;

	return !fnmatch(glob, text, flags);
}

static int value_matches(struct iommucfg_device *device, enum ic_key key,
			 const struct ic_value *value)
{
	long class;

	switch (key) {
	case IC_KEY_DEVICE:
		return glob_matches(device, value->word, device->name);
	case IC_KEY_BUS:
		return device->bus && !strcmp(device->bus, value->word);
	case IC_KEY_PATH:
		return glob_matches(device, value->word, iommucfg_device_path(device));
	case IC_KEY_VENDOR:
		return iommucfg_device_vendor(device) == value->number;
	case IC_KEY_DEVICE_ID:
		return iommucfg_device_id(device) == value->number;
	case IC_KEY_SUBVENDOR:
		return iommucfg_device_subsystem_vendor(device) == value->number;
	case IC_KEY_SUBDEVICE:
		return iommucfg_device_subsystem_device(device) == value->number;
	case IC_KEY_CLASS:
		class = iommucfg_device_class(device);
		return class >= 0 && class >> (24 - 4 * value->digits) == value->number;
	case IC_KEY_DRIVER:
		return driver_matches(device, value->word);
	case IC_KEY_REMOVABLE:
		return iommucfg_device_removable(device) == !!value->number;
	default:
		return 0;
	}
}

int iommucfg_rule_match(const struct iommucfg_rule *rule, struct iommucfg_device *device)
{
	/*
	 * Cheap keys first: a modalias lookup or a read from sysfs comes
	 * only for devices that meet all the rest.
	 */
	static const enum ic_key order[] = {
		IC_KEY_BUS, IC_KEY_VENDOR, IC_KEY_DEVICE_ID, IC_KEY_CLASS, IC_KEY_SUBVENDOR,
		IC_KEY_SUBDEVICE, IC_KEY_DEVICE, IC_KEY_PATH, IC_KEY_REMOVABLE, IC_KEY_DRIVER,
	};
	const struct ic_values *values;
	size_t i, j;
	int ret;

	for (i = 0; i < sizeof(order) / sizeof(*order); i++) {
		values = &rule->match[order[i]];
		if (!values->n)
			continue;
		for (j = 0, ret = 0; j < values->n && !ret; j++)
			ret = value_matches(device, order[i], &values->v[j]);
		if (ret <= 0)
			return ret;
	}
	return 1;
}
