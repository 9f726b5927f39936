// SPDX-License-Identifier: GPL-2.0
/*
 * Boot counting, as boot loaders do it. A policy that no boot has confirmed yet
 * is on trial: each boot that is about to apply it takes one of its tries (one that
 * finds it wrong, or has no module, does not), and when none is left the last
 * confirmed policy is applied instead, or none where there is none. Late in a boot
 * that went well "iommucfg confirm --boot" makes the policy on trial the confirmed
 * one.
 *
 * In /var/lib/iommucfg:
 *
 *   good.conf	the last confirmed policy, as one file
 *   boot	the policy on trial: its text, the tries that are left, the boot
 *		that took the last one, and whether it came to be applied
 *
 * Both are replaced as a whole (a new file, synced, renamed, the directory
 * synced), so a power cut leaves the old or the new one. These are the writes of
 * a boot, and what a cut after each leaves:
 *
 *   1. boot: a try less, not applied. Then the types are changed.
 *	A cut: the types are gone with the power. The try is gone, too: perhaps
 *	it was the policy that took the machine down.
 *   2. boot: applied. A cut: as above.
 *   3. good.conf: the policy on trial. A cut: policy and good.conf are the same,
 *	so the next boot takes it as confirmed, and removes boot.
 *   4. boot is removed. A cut before that has reached the disk: see 3.
 *
 * A policy is in one of these files with all that it has or not at all, so no
 * boot gets half of one. Before 1 a cut changes nothing. What may be left
 * besides is a temporary file beside one of them, which nobody reads.
 *
 * The initramfs has no /var yet, and to reach it takes drivers of just the
 * devices whose groups it wants to switch. So the image has copies of all three,
 * policy, good.conf and boot, as they were when it was built, and decides by
 * them in the same way; what it writes is in memory and goes. The counting is
 * done by the same command when the root file system is there: it takes the try,
 * and changes whatever was decided differently now and is not in use. So:
 *
 *   - A new policy gets into the image when the image is built, with all tries.
 *   - A boot whose image has the one before it, as the power went before there was
 *     another, stays with that one, and takes no try: half of each would be neither.
 *     Late in it the image is built anew.
 *   - Confirming it needs no new image: it has the same policy, as one on trial.
 *   - When the tries are used up the image still tries: only what the running
 *     system can change falls back, until the image is built anew. That is done
 *     late in that boot (iommucfg-image.service), so it costs one more than the tries.
 *   - A boot that does not get to the root file system cannot be counted, as there
 *     is nothing to write on. What the initramfs changed goes back by itself (early.c),
 *     and where root is reached then the try counts, and nothing is changed again. For
 *     a machine that is cut off before there are the kernel parameters iommucfg=good
 *     and iommucfg=off, and older entries of the boot loader.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"

struct trial {
	char *policy, *boot_id;
	long tries_left;
	bool applied;
};

static void warn(struct cli *cli, const char *name, int error)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "boot", -error, "%s/%s: %s",
			      iommucfg_root(cli->ctx), name, strerror(-error));
}

static char *read_below(struct cli *cli, const char *name)
{
	char *path, *text;
	int fd, error;

	fd = asprintf(&path, "%s/", iommucfg_root(cli->ctx)) < 0 ? -1 :
	     open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	free(path);
	text = state_read(fd, name, &error);
	close(fd);
	return text;
}

/* Of several the last one counts, as with the kernel's own. */
enum boot_word boot_word(struct cli *cli)
{
	char *line = read_below(cli, "proc/cmdline"), *word, *save;
	enum boot_word found = BOOT_WORD_NONE;

	for (word = line ? strtok_r(line, " \t\n", &save) : NULL; word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		if (strncmp(word, "iommucfg=", 9))
			continue;
		word += 9;
		found = BOOT_WORD_NONE;
		if (!strcmp(word, "off"))
			found = BOOT_WORD_OFF;
		else if (!strcmp(word, "good"))
			found = BOOT_WORD_GOOD;
		else
			iommucfg_problems_add(cli->problems, IOMMUCFG_WARNING, "boot", EINVAL,
					      "the kernel parameter iommucfg= takes \"off\" and \"good\", not \"%s\": ignored",
					      word);
	}
	free(line);
	return found;
}

/* The kernel that saves the memory of one that crashed has other things to do. */
bool boot_is_kdump(struct cli *cli)
{
	bool is = false;
	char *path;

	if (asprintf(&path, "%s/proc/vmcore", iommucfg_root(cli->ctx)) >= 0) {
		is = !access(path, F_OK);
		free(path);
	}
	return is;
}

/* The boot that we are in; "" where there is no telling. */
static char *this_boot(struct cli *cli)
{
	char *text = read_below(cli, "proc/sys/kernel/random/boot_id");

	if (!text)
		return strdup("");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void trial_clear(struct trial *trial)
{
	free(trial->policy);
	free(trial->boot_id);
	*trial = (struct trial){ 0 };
}

static char *get_text(struct json_object *o, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(o, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return strdup(json_object_get_string(value));
}

/* 0, -ENOENT where no policy is on trial, -EINVAL for what we did not write. */
static int trial_read(int dirfd, struct trial *trial)
{
	struct json_object *o, *value;
	char *text;
	int ret;

	*trial = (struct trial){ 0 };
	text = state_read(dirfd, "boot", &ret);
	if (!text)
		return ret;
	o = json_tokener_parse(text);
	free(text);
	if (json_object_is_type(o, json_type_object)) {
		trial->policy = get_text(o, "policy");
		trial->boot_id = get_text(o, "boot_id");
		if (json_object_object_get_ex(o, "tries_left", &value))
			trial->tries_left = json_object_get_int64(value);
		if (json_object_object_get_ex(o, "applied", &value))
			trial->applied = json_object_get_boolean(value);
	}
	json_object_put(o);
	if (trial->policy && trial->boot_id && trial->tries_left >= 0)
		return 0;
	trial_clear(trial);
	return -EINVAL;
}

static int trial_write(struct cli *cli, const struct trial *trial)
{
	struct json_object *o = json_object_new_object();
	int ret;

	json_object_object_add(o, "tries_left", json_object_new_int64(trial->tries_left));
	json_object_object_add(o, "applied", json_object_new_boolean(trial->applied));
	json_object_object_add(o, "boot_id", json_text(trial->boot_id));
	json_object_object_add(o, "policy", json_object_new_string(trial->policy));
	ret = state_write(cli->ctx, "var/lib/iommucfg/boot",
			  json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return ret;
}

static void trial_remove(int dirfd)
{
	if (!unlinkat(dirfd, "boot", 0))
		fsync(dirfd);
}

/*
 * What is known of the trial of a policy; empty where it has had none. An error where
 * that cannot be read; what can be read and is not ours counts as nothing.
 */
static int trial_of(struct cli *cli, int dirfd, const char *policy, struct trial *trial)
{
	int ret;

	ret = trial_read(dirfd, trial);
	if (ret == -EINVAL)
		warn(cli, "var/lib/iommucfg/boot", ret);
	/* That was another policy's. */
	if (!ret && strcmp(trial->policy, policy))
		trial_clear(trial);
	return ret == -ENOENT || ret == -EINVAL ? 0 : ret;
}

/* Has this boot taken its try? Where there is no telling one boot from another, no. */
static bool is_tried(struct cli *cli, const struct trial *trial)
{
	char *boot_id = this_boot(cli);
	bool same = boot_id && *boot_id && !strcmp(trial->boot_id, boot_id);

	free(boot_id);
	return same;
}

/*
 * What this boot gets, @policy being the text of the system's. With @good the
 * confirmed one is wanted in any case, and there need be no other. *@fallback
 * is the text of the confirmed one where it is to be applied, or NULL where
 * there is none.
 */
enum boot_choice boot_choose(struct cli *cli, const char *policy, bool good, char **fallback)
{
	enum boot_choice choice = good ? BOOT_FALLBACK : BOOT_TRIAL;
	struct trial trial = { 0 };
	char *confirmed;
	int dirfd, ret;

	*fallback = NULL;
	dirfd = state_open(cli->ctx, false);
	if (dirfd < 0)
		return choice;
	confirmed = state_read(dirfd, "good.conf", &ret);
	if (!confirmed && ret != -ENOENT)
		warn(cli, "var/lib/iommucfg/good.conf", ret);
	if (!good && confirmed && !strcmp(confirmed, policy)) {
		trial_remove(dirfd);
		choice = BOOT_CONFIRMED;
	} else if (!good) {
		/* That it cannot be read is said where the try is to be taken. */
		trial_of(cli, dirfd, policy, &trial);
		if (trial.policy && !trial.tries_left && !is_tried(cli, &trial))
			choice = BOOT_FALLBACK;
		trial_clear(&trial);
	}
	if (choice == BOOT_FALLBACK)
		*fallback = confirmed;
	else
		free(confirmed);
	close(dirfd);
	return choice;
}

static int take_try(struct cli *cli, int dirfd, const char *policy, long tries)
{
	struct trial old = { 0 }, trial = { .policy = (char *)policy };
	int ret;

	ret = trial_of(cli, dirfd, policy, &old);
	if (!ret && (!old.policy || !is_tried(cli, &old))) {
		trial.tries_left = (old.policy ? old.tries_left : tries) - 1;
		trial.boot_id = this_boot(cli);
		ret = trial.boot_id ? trial_write(cli, &trial) : -ENOMEM;
		free(trial.boot_id);
		if (!ret)
			cli_note(cli, "the policy is on trial: %ld %s left after this one",
				 trial.tries_left, trial.tries_left == 1 ? "try" : "tries");
	}
	trial_clear(&old);
	return ret;
}

/*
 * Takes a try, once in a boot, before anything is changed. What cannot be counted must
 * not be tried: no number of boots would ever be enough. An exit code.
 */
int boot_try(struct cli *cli, const char *policy, long tries)
{
	int dirfd, ret;

	dirfd = state_open(cli->ctx, true);
	ret = dirfd < 0 ? dirfd : take_try(cli, dirfd, policy, tries);
	if (dirfd >= 0)
		close(dirfd);
	if (!ret)
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "boot", -ret,
			      "the policy is on trial, and its tries cannot be counted (%s/var/lib/iommucfg/boot: %s): it is not applied",
			      iommucfg_root(cli->ctx), strerror(-ret));
	return EXIT_REFUSED;
}

/* The policy on trial has been applied in this boot: now it can be confirmed. */
void boot_applied(struct cli *cli, const char *policy)
{
	struct trial trial;
	int dirfd, ret;

	dirfd = state_open(cli->ctx, false);
	if (dirfd < 0)
		return;
	ret = trial_read(dirfd, &trial);
	if (!ret && !trial.applied && !strcmp(trial.policy, policy)) {
		trial.applied = true;
		ret = trial_write(cli, &trial);
		if (ret)
			warn(cli, "var/lib/iommucfg/boot", ret);
	}
	trial_clear(&trial);
	close(dirfd);
}

static int refuse(struct cli *cli, const char *why)
{
	iommucfg_problems_add(cli->problems, IOMMUCFG_REFUSED, "boot", EBUSY,
			      "the policy on trial is not confirmed: %s", why);
	return EXIT_REFUSED;
}

/* What the policy on trial has to say whether this boot is good; "apply --boot" asks it not. */
static int check(struct cli *cli, const struct trial *trial)
{
	struct iommucfg_policy *policy;
	char *const *command;
	int code = EXIT_DONE;

	if (iommucfg_policy_new(cli->ctx, &policy))
		return cli_nomem();
	/* It was read at boot, so nothing in it can be wrong. */
	if (!iommucfg_policy_read_buffer(policy, "policy", trial->policy, strlen(trial->policy),
					 NULL)) {
		command = iommucfg_policy_check_command(policy);
		if (command && *command)
			code = iommucfg_check_run(command, iommucfg_policy_check_timeout(policy),
						  cli->problems);
	}
	iommucfg_policy_unref(policy);
	return code ? refuse(cli, "its check command does not say that all is well") : code;
}

static int make_good(struct cli *cli, int dirfd, const struct trial *trial, const char *boot_id)
{
	int ret;

	if (strcmp(trial->boot_id, boot_id))
		return refuse(cli, trial->tries_left ? "this boot has not tried it" :
			      "its tries are used up, and this boot has not tried it");
	if (!trial->applied)
		return refuse(cli, "it could not be applied in this boot");
	ret = check(cli, trial);
	if (ret)
		return ret;
	ret = state_write(cli->ctx, "var/lib/iommucfg/good.conf", trial->policy);
	if (ret) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "boot", -ret,
				      "%s/var/lib/iommucfg/good.conf: %s",
				      iommucfg_root(cli->ctx), strerror(-ret));
		return EXIT_BAD;
	}
	trial_remove(dirfd);
	cli_note(cli, "the policy of this boot is confirmed");
	return EXIT_DONE;
}

/* This boot went well. Returns an exit code. */
int boot_confirm(struct cli *cli)
{
	struct trial trial = { 0 };
	int dirfd, ret, code;
	char *boot_id;

	dirfd = state_open(cli->ctx, false);
	ret = dirfd < 0 ? dirfd : trial_read(dirfd, &trial);
	if (ret == -ENOENT) {
		cli_note(cli, "no policy is on trial");
		code = EXIT_DONE;
	} else if (ret) {
		iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "boot", -ret,
				      "%s/var/lib/iommucfg/boot: %s", iommucfg_root(cli->ctx),
				      strerror(-ret));
		code = EXIT_BAD;
	} else {
		boot_id = this_boot(cli);
		code = make_good(cli, dirfd, &trial, boot_id ? boot_id : "");
		free(boot_id);
	}
	trial_clear(&trial);
	if (dirfd >= 0)
		close(dirfd);
	return code;
}

/* The text of the policy that the initramfs went by, or NULL. */
static char *early_policy(struct cli *cli)
{
	int dirfd, error;
	char *text;

	dirfd = state_open_run(cli->ctx);
	if (dirfd < 0)
		return NULL;
	text = state_read(dirfd, "initramfs", &error);
	/* Images of before leave it empty. */
	if (text && !*text) {
		free(text);
		text = state_read(dirfd, "policy.conf", &error);
	}
	close(dirfd);
	return text;
}

/*
 * Did the boot begin with another policy? The initramfs leaves its text in a file; who
 * starts the unit again later, when the file is gone, wants what is in /etc then.
 */
bool boot_began_with_other(struct cli *cli, const char *policy)
{
	char *text = early_policy(cli);
	bool other = text && strcmp(text, policy);

	free(text);
	return other;
}

/* What the initramfs changed is confirmed, so its policy is in force. */
void boot_take_over(struct cli *cli)
{
	char *text = early_policy(cli);

	if (text)
		boot_in_force(cli, text);
	free(text);
}

/* What the initramfs has left was taken into account. */
void boot_initramfs_is_over(struct cli *cli)
{
	int dirfd = state_open_run(cli->ctx);

	if (dirfd < 0)
		return;
	unlinkat(dirfd, "initramfs", 0);
	close(dirfd);
}

/* Whatever the dates of the files say, the image has to be built anew. */
void boot_image_is_old(struct cli *cli)
{
	int ret = state_write(cli->ctx, "run/iommucfg/image-is-old", "");

	if (ret)
		warn(cli, "run/iommucfg/image-is-old", ret);
}

/* Devices that come later are under no policy any more. */
void boot_out_of_force(struct cli *cli)
{
	int dirfd = state_open_run(cli->ctx), ret = 0;

	if (dirfd < 0)
		return;
	if (unlinkat(dirfd, "policy.conf", 0) && errno != ENOENT)
		ret = -errno;
	close(dirfd);
	if (ret)
		warn(cli, "run/iommucfg/policy.conf", ret);
}

/*
 * Leaves the policy that the machine is under where devices that come later
 * find it: the one in /etc may be half edited.
 */
void boot_in_force(struct cli *cli, const char *policy)
{
	int ret;

	ret = state_make_run(cli->ctx);
	/* Without /run no device is told of later, either. */
	if (ret == -ENOENT)
		return;
	if (!ret)
		ret = state_write(cli->ctx, "run/iommucfg/policy.conf", policy);
	if (ret)
		warn(cli, "run/iommucfg/policy.conf", ret);
}
