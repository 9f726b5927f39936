/* SPDX-License-Identifier: GPL-2.0 */
/* The policy that is tried at boot, and the one that is known to be good. */
#ifndef IOMMUCFG_BOOT_H
#define IOMMUCFG_BOOT_H

#include "cli.h"

#define BOOT_TRIES	3

/* What the kernel's command line says of us. */
enum boot_word {
	BOOT_WORD_NONE,
	BOOT_WORD_OFF,		/* iommucfg=off: leave everything alone */
	BOOT_WORD_GOOD,		/* iommucfg=good: the last confirmed policy */
};

enum boot_choice {
	BOOT_CONFIRMED,		/* the policy is the confirmed one: nothing to count */
	BOOT_TRIAL,		/* it is tried, which is to be counted */
	BOOT_FALLBACK,		/* it has been tried too often: the good one */
};

/* The change that the initramfs made, and what became of it. */
#define EARLY_TXN	"iommucfg-boot"
#define EARLY_TIMEOUT	300
#define EARLY_LIMIT	180

enum early {
	EARLY_NONE,		/* it made none */
	EARLY_KEPT,
	EARLY_WENT_BACK,
	EARLY_BROKEN,		/* needs a person */
};

/* boot.c */
enum boot_word boot_word(struct cli *cli);
bool boot_is_kdump(struct cli *cli);
enum boot_choice boot_choose(struct cli *cli, const char *policy, bool good, char **fallback);
int boot_try(struct cli *cli, const char *policy, long tries);
void boot_applied(struct cli *cli, const char *policy);
int boot_confirm(struct cli *cli);
bool boot_began_with_other(struct cli *cli, const char *policy);
void boot_initramfs_is_over(struct cli *cli);
void boot_image_is_old(struct cli *cli);
void boot_take_over(struct cli *cli);
void boot_out_of_force(struct cli *cli);
void boot_in_force(struct cli *cli, const char *policy);

/* early.c */
bool early_is_initramfs(struct cli *cli);
int early_bounded(struct cli *cli, long limit);
void early_begin(struct run *run, const char *policy);
void early_end(struct cli *cli);
enum early early_confirm(struct cli *cli);

/* kmsg.c: the levels are syslog's, as the kernel takes them */
enum { KMSG_ERROR = 3, KMSG_WARNING = 4, KMSG_NOTICE = 5 };
void kmsg(struct cli *cli, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* apply-boot.c, confirm-boot.c */
/* @limit: seconds that it may take in the initramfs, 0 elsewhere */
int apply_boot(struct run *run, long tries, long limit);
int read_system_policy(struct cli *cli, struct iommucfg_policy *policy);
int confirm_boot(struct cli *cli);

/* ../cmd/confirm-install.c: is there a file to install, and installing it; exit codes */
int confirm_install_check(struct cli *cli, const char *dest);
int confirm_install(struct cli *cli, const char *dest, bool confirmed);

#endif
