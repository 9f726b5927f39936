// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The other end of the ssh session that this runs in. sudo takes the variable out of
 * the environment, but the shell that it was started from still has it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "netinfo.h"

#define VARIABLE	"SSH_CONNECTION="

static const char *find_variable(const char *text, size_t length)
{
	const char *p = text;

	for (; p < text + length; p += strlen(p) + 1)
		if (!strncmp(p, VARIABLE, strlen(VARIABLE)))
			return p + strlen(VARIABLE);
	return NULL;
}

/* The parent of a process, 0 where it is not known. */
static long parent_of(long pid)
{
	char path[64], buf[1024], *end;
	long parent;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	if (ic_read_attr(AT_FDCWD, path, buf, sizeof(buf)) <= 0)
		return 0;
	/* A name may have blanks and parentheses. */
	end = strrchr(buf, ')');
	return end && sscanf(end, ") %*c %ld", &parent) == 1 ? parent : 0;
}

static bool peer_of_process(long pid, struct ic_address *peer)
{
	const char *value;
	char path[64], *text = NULL;
	bool found = false;
	size_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (!ic_slurp(fd, 4 << 20, &text, &length)) {
		value = find_variable(text, length);
		found = value && ic_address_parse(value, strcspn(value, " "), peer);
	}
	free(text);
	close(fd);
	return found;
}

bool ic_ssh_peer(struct ic_address *peer)
{
	const char *value = getenv("SSH_CONNECTION");
	long pid = getppid();

	if (value && ic_address_parse(value, strcspn(value, " "), peer))
		return true;
	for (; pid > 1; pid = parent_of(pid))
		if (peer_of_process(pid, peer))
			return true;
	return false;
}
