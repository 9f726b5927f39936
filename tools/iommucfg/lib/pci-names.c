// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of vendors, devices and classes out of pci.ids, by libpci. */
#include <pci/pci.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* libpci's own handler exits, and one of ours must not return to it. */
static __thread jmp_buf trouble;

static void __attribute__((noreturn)) on_error(char *format, ...)
{
	(void)format;
	longjmp(trouble, 1);
}

static void on_message(char *format, ...)
{
	(void)format;
}

static struct pci_access *access_names(struct iommucfg *ctx)
{
	static const char *const files[] = {
		"usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids",
		"usr/share/misc/pci.ids.gz", "usr/share/pci.ids",
	};
	struct stat st;
	char *path;
	size_t i;

	if (ctx->pci)
		return ctx->pci;
	ctx->pci = pci_alloc();
	if (!ctx->pci)
		return NULL;
	ctx->pci->error = on_error;
	ctx->pci->warning = on_message;
	ctx->pci->debug = on_message;
	for (i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (!faccessat(ctx->rootfd, files[i], R_OK, 0) &&
		    !fstatat(ctx->rootfd, files[i], &st, 0) && S_ISREG(st.st_mode))
			break;
	if (i == sizeof(files) / sizeof(*files))
		path = strdup("/dev/null");
	else if (asprintf(&path, "%s/%s", ctx->root, files[i]) < 0)
		path = NULL;
	if (path)
		pci_set_name_list_path(ctx->pci, path, 1);
	return ctx->pci;
}

static char *lookup(struct pci_access *pci, int flags, int a, int b)
{
	char buf[256], *name;

	name = pci_lookup_name(pci, buf, sizeof(buf),
			       flags | PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB, a, b);
	return name ? strdup(name) : NULL;
}

void ic_names_read(struct iommucfg_device *device)
{
	long vendor, id, class;
	struct pci_access *pci;

	if (device->names_read)
		return;
	device->names_read = true;
	if (!device->bus || strcmp(device->bus, "pci"))
		return;
	vendor = iommucfg_device_vendor(device);
	id = iommucfg_device_id(device);
	class = iommucfg_device_class(device);
	pci = access_names(device->ctx);
	if (!pci || setjmp(trouble))
		return;
	if (vendor >= 0)
		device->vendor_name = lookup(pci, PCI_LOOKUP_VENDOR, vendor, 0);
	if (vendor >= 0 && id >= 0)
		device->device_name = lookup(pci, PCI_LOOKUP_DEVICE, vendor, id);
	if (class >= 0)
		device->class_name = lookup(pci, PCI_LOOKUP_CLASS, class >> 8, 0);
}

void ic_names_free(struct iommucfg *ctx)
{
	if (ctx->pci)
		pci_cleanup(ctx->pci);
}
