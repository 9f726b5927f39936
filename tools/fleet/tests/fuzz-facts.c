// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzes what is read of the store besides the documents' own parsers: a policy as the agent
 * takes it, with what it may ask of the host, and what a host says of itself, as the command
 * shows it.
 */
#include "../daemon/fetch.c"
#include "../cmd/cli-hosts.c"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What these need of the rest of their programs. */
const struct doc_journal *agent_journal(const struct agent *a)
{
	static const struct doc_journal journal = { .confirm_timeout = 180 };

	(void)a;
	return &journal;
}

const struct doc_grant *agent_grant(const struct agent *a)
{
	static const struct doc_grant grant = { .allow_in_use = "net,mounted" };

	(void)a;
	return &grant;
}

void cli_say(const char *format, ...)
{
	(void)format;
}

void cli_key(const struct conf *conf, char *key, const char *kind, const char *first,
	     const char *second)
{
	(void)conf, (void)key, (void)kind, (void)first, (void)second;
}

int cli_failed(struct conf *conf, const char *what, enum store_result result)
{
	(void)conf, (void)what;
	return result;
}

int cli_exists(struct conf *conf, const char *key, bool *exists)
{
	(void)conf, (void)key, (void)exists;
	return EXIT_ERROR;
}

static void fuzz_policy(struct daemon *d, const char *data, size_t size)
{
	char *text = text_of(d, data, size);

	if (text && strlen(text) > POLICY_MAX)
		abort();
	if (text)
		policy_allowed(d, text);
	free(text);
}

static void fuzz_host(const char *data, size_t size)
{
	struct store_item item = { .key = "k", .value = (char *)data, .size = size };
	struct fleet_host host = { 0 };
	struct fleet_hosts hosts = { .hosts = &host, .count = 1 };
	char fingerprint[DOC_HASH_MAX + 1];
	const char *c;

	take_host(&host, &item, "host");
	cli_fingerprint(&hosts, "abc", fingerprint);
	/* A terminal gets these as they are. */
	for (c = host.problem; *c; c++) {
		if (*c < ' ' || *c > '~')
			abort();
	}
	for (c = host.kernel; *c; c++) {
		if (*c < ' ' || *c > '~')
			abort();
	}
	host_clear(&host);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct daemon d;
	char *text = malloc(size + 1);

	if (!d.host.ctx && iommucfg_new(&d.host.ctx, "/nonexistent"))
		iommucfg_new(&d.host.ctx, NULL);
	if (!text)
		return 0;
	memcpy(text, bytes, size);
	text[size] = '\0';
	fuzz_policy(&d, text, size);
	fuzz_host(text, size);
	free(text);
	return 0;
}
