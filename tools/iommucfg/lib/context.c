// SPDX-License-Identifier: LGPL-2.1-or-later
/* The context: the root directory that every system path is below. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "internal.h"

#ifndef IOMMUCFG_VERSION
#define IOMMUCFG_VERSION "1.0"
#endif

const char *iommucfg_version(void)
{
	return IOMMUCFG_VERSION;
}

static const char *const type_names[] = {
	[IOMMUCFG_TYPE_NONE] = "none",
	[IOMMUCFG_TYPE_IDENTITY] = "identity",
	[IOMMUCFG_TYPE_DMA] = "DMA",
	[IOMMUCFG_TYPE_DMA_FQ] = "DMA-FQ",
	[IOMMUCFG_TYPE_AUTO] = "auto",
};

#define NUM_TYPES	(sizeof(type_names) / sizeof(*type_names))

enum iommucfg_type iommucfg_type_parse(const char *word)
{
	size_t type;

	for (type = IOMMUCFG_TYPE_IDENTITY; type < NUM_TYPES; type++)
		if (!strcmp(word, type_names[type]))
			return type;
	return IOMMUCFG_TYPE_OTHER;
}

const char *iommucfg_type_name(enum iommucfg_type type)
{
	return (size_t)type < NUM_TYPES ? type_names[type] : "unknown";
}

int iommucfg_new(struct iommucfg **out, const char *root)
{
	struct iommucfg *ctx;
	size_t length;
	int ret;

	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return -ENOMEM;
	ctx->refs = 1;
	ctx->sysfd = -1;
	ctx->rootfd = -1;
	ctx->root = strdup(root ? root : "");
	if (!ctx->root) {
		ret = -ENOMEM;
		goto fail;
	}
	for (length = strlen(ctx->root); length && ctx->root[length - 1] == '/'; length--)
		ctx->root[length - 1] = '\0';
	ctx->rootfd = open(*ctx->root ? ctx->root : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ctx->rootfd < 0) {
		ret = -errno;
		goto fail;
	}
	ctx->sysfd = openat(ctx->rootfd, "sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Without it there is no IOMMU. But it may be there. */
	if (ctx->sysfd < 0 && errno != ENOENT && errno != ENOTDIR) {
		ret = -errno;
		goto fail;
	}
	*out = ctx;
	return 0;
fail:
	iommucfg_unref(ctx);
	return ret;
}

struct iommucfg *iommucfg_ref(struct iommucfg *ctx)
{
	ctx->refs++;
	return ctx;
}

void iommucfg_unref(struct iommucfg *ctx)
{
	if (!ctx || --ctx->refs)
		return;
	ic_modalias_free(ctx);
	ic_names_free(ctx);
	if (ctx->sysfd >= 0)
		close(ctx->sysfd);
	if (ctx->rootfd >= 0)
		close(ctx->rootfd);
	free(ctx->root);
	free(ctx);
}

const char *iommucfg_root(const struct iommucfg *ctx)
{
	return ctx->root;
}

/* The kernel release: a saved tree's own, where it has one. */
int ic_release(struct iommucfg *ctx, char *buf, size_t size)
{
	struct utsname uts;

	if (ic_read_attr(ctx->rootfd, "proc/sys/kernel/osrelease", buf, size) > 0)
		return 0;
	if (uname(&uts))
		return -errno;
	snprintf(buf, size, "%s", uts.release);
	return 0;
}

/*
 * Does the kernel refuse modules whose key it does not know? Enforced (EKEYREJECTED), as
 * under Secure Boot in most distributions, or by lockdown alone (EPERM). Why a module was
 * refused is only in the log.
 */
static bool signed_only(struct iommucfg *ctx)
{
	char buf[64];

	if (ic_read_attr(ctx->rootfd, "sys/module/module/parameters/sig_enforce", buf,
			 sizeof(buf)) > 0 && *buf == 'Y')
		return true;
	return ic_read_attr(ctx->rootfd, "sys/kernel/security/lockdown", buf, sizeof(buf)) > 0 &&
	       (strstr(buf, "[integrity]") || strstr(buf, "[confidentiality]"));
}

int iommucfg_kernel_probe(struct iommucfg *ctx, struct iommucfg_problems *problems)
{
	unsigned int major = 0, minor = 0;
	char release[128] = "", abi[32];
	ssize_t n;

	n = ic_read_attr(ctx->rootfd, CONFIGFS_DIR "/abi", abi, sizeof(abi));
	if (n >= 0) {
		if (!strcmp(abi, "1"))
			return 0;
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", EPROTO,
				      "the kernel speaks version \"%s\" of the iommu configfs interface, this program version 1",
				      abi);
		return -EPROTO;
	}
	if (n != -ENOENT && n != -ENOTDIR) {
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", -n,
				      "%s/" CONFIGFS_DIR "/abi cannot be read: %s", ctx->root,
				      strerror(-n));
		return n;
	}
	if (!faccessat(ctx->rootfd, "sys/module/iommu_configfs", F_OK, 0)) {
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", ENODEV,
				      "the module iommu-configfs is loaded, but configfs is not mounted: \"mount -t configfs none /sys/kernel/config\" mounts it");
		ic_problem_cure(problems, "no-configfs",
				"mount -t configfs none /sys/kernel/config");
		return -ENODEV;
	}
	ic_release(ctx, release, sizeof(release));
	if (sscanf(release, "%u.%u", &major, &minor) == 2 &&
	    (major < 6 || (major == 6 && minor < 12))) {
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", ENODEV,
				      "the kernel module is not loaded, and this kernel (%s) is too old for it: \"modprobe iommu-configfs\" needs 6.12 or later",
				      release);
		ic_problem_cure(problems, "kernel-too-old", NULL);
		return -ENODEV;
	}
	if (signed_only(ctx))
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", ENODEV,
				      "the kernel module is not loaded: \"modprobe iommu-configfs\" loads it; this kernel takes only modules that are signed with a key it knows, so if that says \"Key was rejected by service\" or \"Operation not permitted\": see SECURE BOOT in iommucfg(8)");
	else
		iommucfg_problems_add(problems, IOMMUCFG_ERROR, "system", ENODEV,
				      "the kernel module is not loaded: \"modprobe iommu-configfs\" loads it");
	ic_problem_cure(problems, "no-module", "modprobe iommu-configfs");
	return -ENODEV;
}

int iommucfg_kernel_generation(struct iommucfg *ctx, uint64_t *generation)
{
	unsigned long value;
	char buf[32];
	ssize_t n;

	n = ic_read_attr(ctx->rootfd, CONFIGFS_DIR "/generation", buf, sizeof(buf));
	if (n < 0)
		return n;
	if (ic_parse_number(buf, 10, ~0UL, &value))
		return -EPROTO;
	*generation = value;
	return 0;
}
