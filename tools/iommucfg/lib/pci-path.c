// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The way down to a PCI device from its root bus, as the kernel's pci=
 * parameter takes it: "0000:00:1c.4/00.0". Only the first bus number is in
 * it, and root buses are numbered by firmware, so it survives the
 * renumbering of all buses below.
 *
 * A controller such as VMD makes a root bus of its own below itself, in a domain
 * that is numbered as it comes. There the way goes on from the controller:
 * "0000:00:0e.0/06.0/00.0".
 */
#include <ctype.h>
#include <stdio.h>

#include "internal.h"

/* "0000:00:1c.4"; the domain may have more digits (VMD has five) */
bool ic_pci_address(const char *text, size_t length, const char **devfn)
{
	unsigned int domain, bus, device, function;
	int n = 0;
	char buf[32];

	if (length >= sizeof(buf))
		return false;
	memcpy(buf, text, length);
	buf[length] = '\0';
	/* No blanks, signs or "0x", which sscanf() takes. */
	if (strspn(buf, "0123456789abcdefABCDEF:.") != length ||
	    sscanf(buf, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &n) != 4 ||
	    (size_t)n != length)
		return false;
	*devfn = text + length - 4;
	return true;
}

/* NULL where the path has no PCI device at its end, or memory is short. */
char *ic_pci_path(const char *syspath)
{
	const char *p = syspath, *devfn;
	char *out, *end;
	size_t length;

	out = malloc(strlen(syspath) + 1);
	if (!out)
		return NULL;
	end = out;
	*end = '\0';
	for (; *p; p += length + (p[length] == '/')) {
		length = strcspn(p, "/");
		if (ic_pci_address(p, length, &devfn)) {
			if (end == out) {
				memcpy(end, p, length);
				end += length;
			} else {
				*end++ = '/';
				memcpy(end, devfn, 4);
				end += 4;
			}
		} else {
			continue;
		}
		*end = '\0';
	}
	/* The device itself must be what the path ends in. */
	p = ic_basename(syspath);
	if (end == out || !ic_pci_address(p, strlen(p), &devfn)) {
		free(out);
		return NULL;
	}
	return out;
}

/*
 * Is the bus that a path begins at one that firmware, or the kernel, numbers as it
 * likes? The first one of each host bridge is bus 0, but a host may have several.
 */
bool ic_pci_path_moves(const char *path)
{
	unsigned int domain, bus;

	return sscanf(path, "%8x:%2x:", &domain, &bus) == 2 && bus;
}

/* "01:00.0": an address without its domain, possibly with globs */
bool ic_is_short_pci(const char *name)
{
	const char *dot;

	if (!isxdigit((unsigned char)name[0]) || !isxdigit((unsigned char)name[1]) ||
	    name[2] != ':')
		return false;
	dot = strchr(name + 3, '.');
	return dot && !strchr(name + 3, ':') && dot != name + 3 && dot[1];
}
