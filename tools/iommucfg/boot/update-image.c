// SPDX-License-Identifier: GPL-2.0
/*
 * update-image [ROOT]: builds the initramfs image of the running kernel anew, where it is
 * older than what it has copies of (initramfs-image.c). Started late in each boot and when
 * the policy changes, so others may be at the same: packages that are being installed,
 * kernels, an administrator. So it waits for dpkg, and builds under a name that no other
 * tool has; the image is replaced as a whole when the new one is on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "initramfs-image.h"
#include "iommucfg.h"

/* dpkg may be asking a question about a configuration file. */
#define DPKG_WAIT	1800
/* No tool and no boot loader looks for images of this name. */
#define PRIVATE_PREFIX	".iommucfg-new."

static char *join(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *join(const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n >= 0)
		return text;
	fputs("update-image: out of memory\n", stderr);
	exit(1);
}

/* Is there such a program? */
static bool have(const char *program)
{
	char *path = strdup(getenv("PATH") ? getenv("PATH") : ""), *dir, *save, *file;
	bool found = false;

	for (dir = path ? strtok_r(path, ":", &save) : NULL; dir && !found;
	     dir = strtok_r(NULL, ":", &save)) {
		file = join("%s/%s", dir, program);
		found = !access(file, X_OK);
		free(file);
	}
	free(path);
	return found;
}

/* Runs a program to its end; where @output is given it is what it has written. 0 is good. */
static int run(const char *const *argv, FILE **output)
{
	int fds[2], status;
	pid_t pid;

	fflush(NULL);
	if (output && pipe2(fds, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		if (output)
			dup2(fds[1], 1);
		execvp(argv[0], (char *const *)argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (output) {
		close(fds[1]);
		*output = fdopen(fds[0], "r");
		return pid < 0 ? -1 : pid;
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Has the image a policy? Where that cannot be told, no. */
static bool has_policy(const char *image)
{
	const char *tool = have("lsinitramfs") ? "lsinitramfs" : have("lsinitrd") ? "lsinitrd" :
			   NULL;
	const char *const argv[] = { tool, image, NULL };
	char *line = NULL, *name;
	bool found = false;
	size_t size = 0;
	ssize_t n;
	FILE *f;
	int pid;

	pid = tool ? run(argv, &f) : -1;
	if (pid < 0)
		return false;
	while ((n = getline(&line, &size, f)) > 0) {
		line[n - (line[n - 1] == '\n')] = '\0';
		name = strstr(line, "etc/iommucfg");
		n = name ? strlen(name) : 0;
		found |= name && (!strcmp(name, "etc/iommucfg.conf") ||
				  (!strncmp(name, "etc/iommucfg.d/", 15) && n > 20 &&
				   !strcmp(name + n - 5, ".conf")));
	}
	free(line);
	fclose(f);
	waitpid(pid, NULL, 0);
	return found;
}

static bool is_newer_than(const char *path, const struct image *image)
{
	struct stat st;

	return !stat(path, &st) && (st.st_mtim.tv_sec > image->time.tv_sec ||
	       (st.st_mtim.tv_sec == image->time.tv_sec &&
		st.st_mtim.tv_nsec > image->time.tv_nsec));
}

/* What the image would be built anew for, to be freed, or NULL. */
static char *reason(const char *root, const char *mark, const struct image *image)
{
	char *why, *etc;

	/* Left by a boot whose image had another policy, whatever the dates of the files say. */
	if (!access(mark, F_OK))
		return join("%s", mark);
	why = image_newer(root, image);
	if (why || image_has_policy_files(root))
		return why;
	/* A policy that is gone has no date, but the directory that it was in. */
	etc = join("%s/etc", root);
	if (is_newer_than(etc, image) && has_policy(image->path))
		return etc;
	free(etc);
	return NULL;
}

/* Waits until neither dpkg nor apt holds its lock. False after a long time. */
static bool wait_for_dpkg(const char *root)
{
	static const char *const names[] = { "lock-frontend", "lock" };
	struct flock lock;
	bool said = false;
	int fd, seconds;
	char *path;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		path = join("%s/var/lib/dpkg/%s", root, names[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		free(path);
		for (seconds = 0; fd >= 0; seconds++) {
			lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
			if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK)
				break;
			if (seconds == DPKG_WAIT) {
				close(fd);
				return false;
			}
			if (!said)
				fputs("packages are being installed: waiting until that is over\n",
				      stderr);
			said = true;
			sleep(1);
		}
		if (fd >= 0)
			close(fd);
	}
	return true;
}

/* Does the configuration of initramfs-tools say that images stay as they are? */
static bool is_forbidden(const char *root)
{
	char *path = join("%s/etc/initramfs-tools/update-initramfs.conf", root), line[256];
	FILE *f = fopen(path, "re");
	bool no = false;

	free(path);
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "update_initramfs=", 17))
			no = !strncmp(line + 17, "no", 2) || !strncmp(line + 17, "\"no", 3);
	if (f)
		fclose(f);
	return no;
}

/* The new image takes the place of the old one, as old as the moment that it was begun. */
static int replace(const char *new, const struct image *image, const struct timespec *begun)
{
	struct timespec times[2] = { *begun, *begun };
	char *copy = strdup(image->path);
	struct stat st, old;
	int fd, dir, ret = -1;

	fd = open(new, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !st.st_size) {
		fprintf(stderr, "%s was not built anew\n", image->path);
	} else {
		/* File systems of boot partitions may have no owners. */
		if (!stat(image->path, &old)) {
			if (fchown(fd, old.st_uid, old.st_gid) || fchmod(fd, old.st_mode & 07777))
				fprintf(stderr, "%s: %s\n", new, strerror(errno));
		}
		ret = futimens(fd, times) || fsync(fd) || rename(new, image->path);
		if (ret)
			fprintf(stderr, "%s: %s\n", image->path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	dir = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir >= 0) {
		fsync(dir);
		close(dir);
	}
	free(copy);
	if (ret)
		unlink(new);
	return ret;
}

static void after_update(const char *release, const char *image)
{
	char *release_arg = join("--arg=%s", release), *image_arg = join("--arg=%s", image);
	const char *const argv[] = {
		"run-parts", release_arg, image_arg, "/etc/initramfs/post-update.d", NULL
	};

	/* Some boot loaders want to know where it is. */
	if (!access(argv[3], F_OK) && have(argv[0]) && run(argv, NULL))
		fputs("a program in /etc/initramfs/post-update.d failed\n", stderr);
	free(image_arg);
	free(release_arg);
}

/* By what the distribution has. */
static int build(const char *root, const char *release, const struct image *image)
{
	bool tools = have("mkinitramfs");
	char *copy = strdup(image->path), *base = strdup(image->path), *new, *kernel;
	const char *argv[8] = { NULL };
	struct timespec begun;
	struct stat st;
	int ret;

	if (!copy || !base)
		return -1;
	new = join("%s/" PRIVATE_PREFIX "%s", dirname(copy), basename(base));
	kernel = join("%s/usr/lib/modules/%s/vmlinuz", root, release);
	if (access(kernel, F_OK)) {
		free(kernel);
		kernel = join("%s/boot/vmlinuz-%s", root, release);
	}
	/* The clock of the files' dates. */
	clock_gettime(CLOCK_REALTIME_COARSE, &begun);
	unlink(new);
	if (image->uki && have("kernel-install")) {
		memcpy(argv, (const char *[]){ "kernel-install", "add", release, kernel },
		       4 * sizeof(*argv));
	} else if (image->uki && have("dracut")) {
		memcpy(argv, (const char *[]){ "dracut", "--force", "--uefi", new, release },
		       5 * sizeof(*argv));
	} else if (!image->uki && tools) {
		memcpy(argv, (const char *[]){ "mkinitramfs", "-o", new, release },
		       4 * sizeof(*argv));
	} else if (!image->uki && have("dracut")) {
		memcpy(argv, (const char *[]){ "dracut", "--force", new, release },
		       4 * sizeof(*argv));
	}
	if (tools && is_forbidden(root)) {
		fprintf(stderr, "/etc/initramfs-tools/update-initramfs.conf says that images stay as they are: %s is not built anew\n",
			image->path);
		ret = -1;
	} else if (!argv[0]) {
		fprintf(stderr, "neither mkinitramfs nor dracut nor kernel-install is there: build %s anew\n",
			image->path);
		ret = -1;
	} else {
		ret = run(argv, NULL);
		if (ret)
			fprintf(stderr, "%s failed: %s was not built anew\n", argv[0], image->path);
	}
	if (!ret && strcmp(argv[0], "kernel-install")) {
		ret = replace(new, image, &begun);
	} else if (!ret && (stat(image->path, &st) || st.st_mtim.tv_sec + 2 < begun.tv_sec)) {
		fprintf(stderr, "%s was not built anew\n", image->path);
		ret = -1;
	}
	if (!ret && tools && !image->uki)
		after_update(release, image->path);
	unlink(new);
	free(kernel);
	free(new);
	free(base);
	free(copy);
	return ret;
}

/* Devices to come are not under a policy whose files are all gone. */
static void withdraw(const char *root)
{
	struct iommucfg_policy *none = NULL;
	struct iommucfg *ctx = NULL;
	char *path;

	if (image_has_policy_files(root))
		return;
	path = join("%s/run/iommucfg/policy.conf", root);
	unlink(path);
	free(path);
	if (!iommucfg_new(&ctx, root) && !iommucfg_policy_new(ctx, &none))
		iommucfg_standing_sync(none, NULL);
	iommucfg_policy_unref(none);
	iommucfg_unref(ctx);
}

/* One at a time: the second one finds the image as it should be. */
static int take_lock(const char *root)
{
	char *path = join("%s/run/iommucfg", root);
	int fd;

	mkdir(path, 0755);
	free(path);
	path = join("%s/run/iommucfg/image.lock", root);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	free(path);
	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

static int update(const char *root, const char *release, const char *mark)
{
	struct image image;
	int tries, ret = 0;
	char *why;

	/* What changes while it is built may be in it or not, and starts no second run. */
	for (tries = 0; tries < 2 && !ret; tries++) {
		image_find(root, release, &image);
		if (!image.path) {
			/* Without an image nothing begins early. */
			ret = access(mark, F_OK) ? 0 : -1;
			if (ret)
				fputs("this boot had an initramfs image with another policy, but it is not in /boot under a name that is known here: build it anew\n",
				      stderr);
			break;
		}
		why = reason(root, mark, &image);
		if (why && !wait_for_dpkg(root)) {
			fputs("packages are being installed for very long now: the image is not built anew\n",
			      stderr);
			ret = -1;
		} else if (why) {
			printf("%s is newer than %s: building it anew\n", why, image.path);
			ret = build(root, release, &image);
			if (!ret)
				unlink(mark);
		}
		free(image.path);
		if (!why)
			break;
		free(why);
	}
	return ret;
}

int main(int argc, char **argv)
{
	const char *root = argc > 1 ? argv[1] : "";
	char release[128], *mark;
	int lock, ret;

	umask(022);
	/*
	 * A reboot waits for it: it takes seconds, and the next boot would be under a policy
	 * that is gone from /etc.
	 */
	signal(SIGTERM, SIG_IGN);
	if (image_release(root, release, sizeof(release))) {
		fputs("the release of the kernel is not known\n", stderr);
		return 1;
	}
	mark = join("%s/run/iommucfg/image-is-old", root);
	withdraw(root);
	lock = take_lock(root);
	ret = update(root, release, mark);
	if (lock >= 0)
		close(lock);
	free(mark);
	return ret ? 1 : 0;
}
