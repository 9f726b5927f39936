// SPDX-License-Identifier: GPL-2.0
/* Which host this is, and its files. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"

void host_path(const struct host *host, char *path, const char *what)
{
	snprintf(path, PATH_MAX, "%s%s", host->root, what);
}

int host_lock(const struct host *host, char *path)
{
	int error, fd;

	host_state(host, path, "lock");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

void host_state(const struct host *host, char *path, const char *file)
{
	snprintf(path, PATH_MAX, "%s" STATE_DIR "/%s", host->root, file);
}

char *host_read(const char *path, size_t max)
{
	char *text = malloc(max + 2);
	size_t size = 0;
	ssize_t n = 1;
	int fd;

	fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		free(text);
		return NULL;
	}
	while (n > 0 && size <= max) {
		n = read(fd, text + size, max + 1 - size);
		size += n > 0 ? n : 0;
	}
	close(fd);
	if (n < 0 || size > max) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

bool host_write(const char *path, const char *text, size_t size)
{
	int error = iommucfg_write_atomic(path, text, size);

	if (error)
		note("<3>", "%s: %s", path, strerror(-error));
	return !error;
}

static void first_line(const char *path, char *to, size_t size)
{
	char *text = host_read(path, 4096);

	to[0] = '\0';
	if (text)
		snprintf(to, size, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
}

/* machine-id(5) says that it should not be shown to others as it is. */
static void hash_machine(const char *id, char machine[DOC_MACHINE_MAX + 1])
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char text[80];
	int i;

	snprintf(text, sizeof(text), "iommucfg %s", id);
	SHA256((unsigned char *)text, strlen(text), hash);
	for (i = 0; i < 16; i++)
		sprintf(machine + 2 * i, "%02x", hash[i]);
}

static bool make_state(const struct host *host)
{
	static const char *const dirs[] = { "/var/lib", "/var/lib/iommucfg", STATE_DIR };
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		host_path(host, path, dirs[i]);
		if (mkdir(path, i == 2 ? 0700 : 0755) && errno != EEXIST) {
			note("<3>", "%s: %m", path);
			return false;
		}
	}
	return true;
}

bool host_open(struct host *host, const char *root)
{
	char path[PATH_MAX], id[64];
	int error;

	snprintf(host->root, sizeof(host->root), "%s", root && strcmp(root, "/") ? root : "");
	host_path(host, path, "/etc/machine-id");
	first_line(path, id, sizeof(id));
	host_path(host, path, "/proc/sys/kernel/random/boot_id");
	first_line(path, host->boot, sizeof(host->boot));
	host_path(host, path, "/proc/sys/kernel/osrelease");
	first_line(path, host->kernel, sizeof(host->kernel));
	if (!*id || !*host->boot) {
		note("<3>", "%s/etc/machine-id or the boot's id cannot be read", host->root);
		return false;
	}
	hash_machine(id, host->machine);
	error = iommucfg_new(&host->ctx, host->root);
	if (error) {
		note("<3>", "%s: %s", *host->root ? host->root : "/", strerror(-error));
		return false;
	}
	return make_state(host);
}

void host_close(struct host *host)
{
	iommucfg_unref(host->ctx);
	host->ctx = NULL;
}
