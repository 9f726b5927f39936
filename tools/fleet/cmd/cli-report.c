// SPDX-License-Identifier: GPL-2.0
/*
 * iommucfg fleet report: one HTML file with all that it needs, to be opened from the disk or
 * sent to someone: the rollout, its waves, a field for each host, failures, and the rollouts
 * before. What hosts have written is escaped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iommucfg.h>

#include "cli.h"

static void escape(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (strchr("<>&\"'", *text))
			fprintf(f, "&#%d;", *text);
		else
			fputc(*text, f);
	}
}

/* As much of its name as is shown elsewhere. */
static void write_policy(FILE *f, const char *policy)
{
	char begin[17];

	snprintf(begin, sizeof(begin), "%.16s", policy);
	escape(f, begin);
}

static const char style[] =
	"<style>\n"
	":root{color-scheme:light dark;--done:#2e7d32;--bad:#c62828;--busy:#f9a825;--idle:#90a4ae;"
	"--other:#5e35b1}\n"
	"body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\n"
	"table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;"
	"border-bottom:1px solid #8884;vertical-align:top}\n"
	".hosts{display:flex;flex-wrap:wrap;gap:3px}.hosts span{width:14px;height:14px;border-radius:3px;"
	"background:var(--idle)}\n"
	".done,.nothing{background:var(--done)!important}.changing,.unconfirmed{background:var(--busy)"
	"!important}\n"
	".reverted,.failed,.lost{background:var(--bad)!important}.refused{background:var(--other)"
	"!important}\n"
	".key span{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 .3rem 0 1rem;"
	"background:var(--idle)}\n"
	".bar{height:22px;background:#8883;border-radius:4px;position:relative;margin:.3rem 0 1.6rem}\n"
	".bar div{height:100%;background:var(--done);border-radius:4px}.bar i{position:absolute;top:0;"
	"height:30px;border-left:2px solid currentColor;padding-left:3px;font-size:12px;line-height:44px;"
	"font-style:normal}\n"
	"</style>\n";

/* What a host is in this rollout: a word of ends or phases. */
static const char *state_of(const struct fleet_host *host, const struct fleet_pool *pool)
{
	const struct doc_slot *slot = doc_slot_of(&pool->rollout, host->name);

	if (slot && slot->lost)
		return "lost";
	if (!host->bad && pool->has_rollout && !strcmp(host->status.rollout, pool->rollout.id))
		return host->status.phase == PHASE_ENDED ? doc_end_name(host->status.end) :
							   doc_phase_name(host->status.phase);
	return slot ? "changing" : "idle";
}

static void write_waves(FILE *f, const struct doc_rollout *r, size_t hosts)
{
	double all = hosts ? hosts : 1, at;
	size_t i;

	fprintf(f, "<h2>Waves</h2>\n<p>Wave %zu of %zu, %zu changing of at most %ld.</p>\n"
		"<div class=bar><div style='width:%.1f%%'></div>", r->wave + 1, r->wave_count,
		r->changing_count, r->max_changing,
		r->ended[END_DONE] / all * 100 > 100 ? 100.0 : r->ended[END_DONE] / all * 100);
	for (i = 0; i < r->wave_count; i++) {
		at = r->waves[i] < 0 ? -r->waves[i] : r->waves[i] / all * 100;
		fprintf(f, "<i style='left:%.1f%%'>%zu</i>", at > 100 ? 100 : at, i + 1);
	}
	fputs("</div>\n", f);
}

static void write_hosts(FILE *f, const struct fleet_hosts *hosts, const struct fleet_pool *pool)
{
	static const char *const key[] = { "idle", "changing", "done", "reverted", "refused" };
	const struct fleet_host *host;
	const char *state;
	size_t i;

	fprintf(f, "<h2>Hosts (%zu)</h2>\n<div class=hosts>\n", hosts->count);
	for (i = 0; i < hosts->count; i++) {
		host = &hosts->hosts[i];
		state = state_of(host, pool);
		fprintf(f, "<span class='%s' title='", state);
		escape(f, host->name);
		fprintf(f, ": %s", state);
		if (*host->problem) {
			fputs(", ", f);
			escape(f, host->problem);
		}
		fputs("'></span>\n", f);
	}
	fputs("</div>\n<p class=key>", f);
	for (i = 0; i < sizeof(key) / sizeof(*key); i++)
		fprintf(f, "<span class='%s'></span>%s", key[i],
			i == 2 ? "done, or nothing to do" : i == 3 ? "reverted, failed, lost" : key[i]);
	fputs("</p>\n", f);
}

static void write_failures(FILE *f, const struct doc_rollout *r)
{
	size_t i;

	if (!r->failure_count)
		return;
	fputs("<h2>Failures</h2>\n<table><tr><th>Host<th>End<th>What it says\n", f);
	for (i = 0; i < r->failure_count; i++) {
		fputs("<tr><td>", f);
		escape(f, r->failures[i].host);
		fprintf(f, "<td>%s<td>", doc_end_name(r->failures[i].end));
		escape(f, r->failures[i].why);
		fputc('\n', f);
	}
	fputs("</table>\n", f);
}

static void write_history(FILE *f, const struct doc_rollout *rollouts, size_t count)
{
	const struct doc_rollout *r;
	size_t i, j;

	fputs("<h2>Rollouts</h2>\n<table><tr><th>Generation<th>Rollout<th>Policy<th>State<th>Ends"
	      "<th>Acts\n", f);
	while (count--) {
		r = &rollouts[count];
		fprintf(f, "<tr><td>%lld<td>%s<td>", (long long)r->generation, r->id);
		write_policy(f, r->policy);
		fprintf(f, "<td>%s", doc_state_name(r->state));
		if (*r->reason) {
			fputs(": ", f);
			escape(f, r->reason);
		}
		fputs("<td>", f);
		for (i = 1; i < DOC_ENDS; i++) {
			if (r->ended[i])
				fprintf(f, "%ld %s<br>", r->ended[i], doc_end_name(i));
		}
		fputs("<td>", f);
		for (j = 0; j < r->audit.count; j++) {
			escape(f, r->audit.acts[j].at);
			fputc(' ', f);
			escape(f, r->audit.acts[j].what);
			fputs(" by ", f);
			escape(f, r->audit.acts[j].who);
			fputs("<br>", f);
		}
		fputc('\n', f);
	}
	fputs("</table>\n", f);
}

static void write_page(FILE *f, const struct fleet_options *options, const struct fleet_pool *pool,
		       const struct fleet_hosts *hosts, const struct doc_rollout *rollouts,
		       size_t count)
{
	const struct doc_rollout *r = &pool->rollout;
	char at[DOC_AT_MAX];

	conf_now(at);
	fputs("<!DOCTYPE html>\n<html lang=en><meta charset=utf-8>\n"
	      "<meta name=viewport content='width=device-width'>\n<title>Pool ", f);
	escape(f, options->pool);
	fprintf(f, "</title>\n%s<h1>Pool ", style);
	escape(f, options->pool);
	fprintf(f, "</h1>\n<p>%s, generation %lld.</p>\n", at, (long long)pool->pool.generation);
	if (pool->has_rollout) {
		fprintf(f, "<p>Rollout %s of policy ", r->id);
		write_policy(f, r->policy);
		fprintf(f, " is <b>%s</b>", doc_state_name(r->state));
		if (*r->reason) {
			fputs(": ", f);
			escape(f, r->reason);
		}
		fputs(".</p>\n", f);
		write_waves(f, r, hosts->count);
	}
	write_hosts(f, hosts, pool);
	if (pool->has_rollout)
		write_failures(f, r);
	write_history(f, rollouts, count);
	fputs("</html>\n", f);
}

int cmd_report(struct conf *conf, const struct fleet_options *options)
{
	struct doc_rollout *rollouts = NULL;
	struct fleet_hosts hosts = { 0 };
	struct fleet_pool pool;
	char *page = NULL;
	size_t size, count = 0;
	int code, error = 0;
	FILE *f;

	if (!options->output) {
		cli_say("report takes -o FILE.html");
		return EXIT_ERROR;
	}
	code = cli_read(conf, options->pool, &pool);
	if (!code)
		code = cli_hosts(conf, options, &hosts);
	if (!code)
		code = cli_rollouts(conf, options->pool, &rollouts, &count);
	f = code ? NULL : open_memstream(&page, &size);
	if (f) {
		write_page(f, options, &pool, &hosts, rollouts, count);
		error = fclose(f) ? -ENOMEM : iommucfg_write_atomic(options->output, page, size);
	}
	if (!code && (!f || error)) {
		cli_say("%s: %s", options->output,
			strerror(f ? -error : ENOMEM));
		code = EXIT_ERROR;
	}
	if (!code)
		cli_done(options, pool.pool.rollout, "done");
	free(page);
	cli_rollouts_free(rollouts, count);
	cli_hosts_clear(&hosts);
	doc_rollout_clear(&pool.rollout);
	return code;
}
