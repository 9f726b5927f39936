// SPDX-License-Identifier: GPL-2.0
/* iommucfg metrics: numbers in the text format of node_exporter's textfile collector */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

struct metrics {
	FILE *f;
	struct json_object *array;
};

/* A label's value: the format knows three escapes. */
static void put_value(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

static void head(struct metrics *m, const char *name, const char *help)
{
	fprintf(m->f, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void put(struct metrics *m, const char *name, const char *label, const char *value,
		long number)
{
	struct json_object *o = json_object_new_object(), *labels = json_object_new_object();

	fputs(name, m->f);
	if (label) {
		fprintf(m->f, "{%s=\"", label);
		put_value(m->f, value);
		fputs("\"}", m->f);
		json_object_object_add(labels, label, json_text(value));
	}
	fprintf(m->f, " %ld\n", number);
	json_object_object_add(o, "name", json_text(name));
	json_object_object_add(o, "labels", labels);
	json_object_object_add(o, "value", json_object_new_int64(number));
	json_object_array_add(m->array, o);
}

static void put_groups(struct metrics *m, const struct iommucfg_topology *topology)
{
	static const char *const known[] = { "identity", "DMA", "DMA-FQ", NULL };
	size_t i, j, n, count = iommucfg_topology_num_groups(topology), devices = 0;
	const char *type;

	head(m, "iommucfg_groups", "IOMMU groups by the type of their default domain.");
	for (i = 0; known[i]; i++) {
		for (j = 0, n = 0; j < count; j++)
			n += !strcmp(iommucfg_group_type_text(iommucfg_topology_group(topology, j)),
				     known[i]);
		put(m, "iommucfg_groups", "type", known[i], n);
	}
	/* Others where there are any, each at the first group that has it. */
	for (i = 0; i < count; i++) {
		devices += iommucfg_group_num_devices(iommucfg_topology_group(topology, i));
		type = iommucfg_group_type_text(iommucfg_topology_group(topology, i));
		for (j = 0; known[j] && strcmp(type, known[j]); j++)
			;
		if (known[j])
			continue;
		for (j = 0, n = 0; j < count; j++) {
			if (strcmp(iommucfg_group_type_text(iommucfg_topology_group(topology, j)),
				   type))
				continue;
			if (j < i)
				break;
			n++;
		}
		if (j == count)
			put(m, "iommucfg_groups", "type", type, n);
	}
	head(m, "iommucfg_devices", "Devices in IOMMU groups.");
	put(m, "iommucfg_devices", NULL, NULL, devices);
}

static void put_transactions(struct cli *cli, struct metrics *m)
{
	static const enum iommucfg_state states[] = {
		IOMMUCFG_STATE_STAGED, IOMMUCFG_STATE_COMMITTING, IOMMUCFG_STATE_UNCONFIRMED,
		IOMMUCFG_STATE_COMMITTED, IOMMUCFG_STATE_ROLLING_BACK, IOMMUCFG_STATE_ROLLED_BACK,
		IOMMUCFG_STATE_FAILED, IOMMUCFG_STATE_UNKNOWN,
	};
	long counts[sizeof(states) / sizeof(*states)] = { 0 }, seconds;
	struct iommucfg_txn *txn;
	char **names;
	size_t j;
	int n, i;

	n = iommucfg_txn_list(cli->ctx, &names);
	if (n < 0)
		return;
	head(m, "iommucfg_transaction_remaining_seconds",
	     "Until an unconfirmed transaction goes back by itself.");
	for (i = 0; i < n; i++) {
		if (iommucfg_txn_open(cli->ctx, names[i], &txn))
			continue;
		for (j = 0; j < sizeof(states) / sizeof(*states); j++)
			counts[j] += iommucfg_txn_state(txn) == states[j];
		if (!iommucfg_txn_remaining(txn, &seconds) && seconds)
			put(m, "iommucfg_transaction_remaining_seconds", "name", names[i],
			    seconds);
		iommucfg_txn_unref(txn);
	}
	iommucfg_txn_list_free(names);
	head(m, "iommucfg_transactions", "Transactions by their state.");
	for (j = 0; j < sizeof(states) / sizeof(*states); j++)
		put(m, "iommucfg_transactions", "state", iommucfg_state_name(states[j]),
		    counts[j]);
}

static int collect(struct cli *cli, struct metrics *m)
{
	bool module = !iommucfg_kernel_probe(cli->ctx, NULL);
	struct iommucfg_topology *topology;
	uint64_t generation;

	if (iommucfg_topology_scan(cli->ctx, &topology, cli->problems))
		return EXIT_BAD;
	put_groups(m, topology);
	iommucfg_topology_unref(topology);
	head(m, "iommucfg_module_loaded", "Is the kernel's interface there?");
	put(m, "iommucfg_module_loaded", NULL, NULL, module);
	if (!module)
		return EXIT_DONE;
	if (!iommucfg_kernel_generation(cli->ctx, &generation)) {
		head(m, "iommucfg_generation", "The kernel's count of changes.");
		put(m, "iommucfg_generation", NULL, NULL, generation);
	}
	put_transactions(cli, m);
	return EXIT_DONE;
}

static int write_file(struct cli *cli, const char *path, const char *text)
{
	struct stat st;
	bool is_new = stat(path, &st);
	int ret;

	ret = iommucfg_write_atomic(path, text, strlen(text));
	/* The collector is not root. A file that is there keeps its mode. */
	if (!ret && is_new)
		chmod(path, 0644);
	if (!ret)
		return EXIT_DONE;
	iommucfg_problems_add(cli->problems, IOMMUCFG_ERROR, "system", -ret, "%s: %s", path,
			      strerror(-ret));
	return EXIT_BAD;
}

static int print_json(struct cli *cli, const char *file, struct json_object *metrics, int code)
{
	struct json_object *o = json_document(cli);

	json_object_object_add(o, "file", json_text(file));
	json_object_object_add(o, "metrics", metrics);
	json_object_object_add(o, "problems", json_problems(cli->problems));
	json_object_object_add(o, "result", json_text(code ? "error" : "ok"));
	return json_print(o, true) ? EXIT_BAD : EXIT_DONE;
}

int cmd_metrics(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LONG, { "output", required_argument, NULL, 'o' }, { NULL, 0, NULL, 0 }
	};
	struct metrics m = { 0 };
	const char *file = NULL;
	char *text = NULL;
	size_t length;
	int code;

	code = cli_options(cli, argc, argv, ":o:" CLI_SHORT, options, cli_file_option, &file);
	if (code >= 0)
		return code;
	if (argv[optind])
		return cli_usage(cli, "metrics takes no argument");
	code = cli_open(cli);
	if (code >= 0)
		return code;
	m.f = open_memstream(&text, &length);
	if (!m.f)
		return cli_nomem();
	m.array = json_object_new_array();
	code = collect(cli, &m);
	if (fclose(m.f)) {
		free(text);
		json_object_put(m.array);
		return cli_nomem();
	}
	if (!code && file)
		code = write_file(cli, file, text);
	cli_tell(cli);
	if (cli->json)
		code = cli_worse(code, print_json(cli, file, m.array, code));
	else
		json_object_put(m.array);
	if (!code && !cli->json && !file && (fputs(text, stdout) == EOF || fflush(stdout)))
		code = EXIT_BAD;
	free(text);
	return code;
}
