// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A policy as standing rules. The kernel takes, of the rules that match a device,
 * one of the highest priority, and of these the one of the lowest order: each
 * priority of the policy becomes one, and the place of a rule in it the order. A
 * rule may become several: one for each bus, and more where its patterns do not
 * fit into a file. Where not all of it can be said, another one right behind,
 * with fewer conditions, keeps from the rest what the rules below say.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "standing.h"

static const char *const buses[IC_NUM_BUSES] = {
	[IC_BUS_PCI] = "pci", [IC_BUS_PLATFORM] = "platform",
};

/* FNV-1a, with the zero byte: fields of different lengths do not run together. */
static uint32_t hash(uint32_t h, const char *text)
{
	do {
		h ^= (unsigned char)*text;
		h *= 16777619u;
	} while (*text++);
	return h;
}

static bool is_taken(const struct ic_standings *standings, const char *name)
{
	size_t i;

	for (i = 0; i < standings->n; i++)
		if (!strcmp(standings->v[i].name, name))
			return true;
	return false;
}

/*
 * The rule's name, as far as a directory can have it, and a hash of all that
 * the rule says: whatever changes makes another directory.
 */
static int name_it(const struct ic_standings *standings, struct ic_standing *s,
		   const char *name, size_t number)
{
	uint32_t h = 2166136261u;
	char word[48], *p;

	snprintf(word, sizeof(word), "%s", name);
	for (p = word; *p; p++)
		if (!isascii((unsigned char)*p) ||
		    (!isalnum((unsigned char)*p) && !strchr("._-", *p)))
			*p = '-';
	/* Nothing is left of it, as of one in Greek. */
	if (strspn(word, "._-") == strlen(word))
		snprintf(word, sizeof(word), "r%zu", number + 1);
	if (*word == '.')
		*word = '_';
	h = hash(h, s->bus);
	h = hash(h, s->device);
	h = hash(h, s->modalias);
	h = hash(h, s->removable);
	h = hash(h, s->priority);
	h = hash(h, s->order);
	h = hash(h, s->type);
	for (;; h++) {
		if (asprintf(&s->name, "%s.%0*x", word, IC_HASH_DIGITS, h) < 0) {
			s->name = NULL;
			return -ENOMEM;
		}
		if (!is_taken(standings, s->name))
			return 0;
		free(s->name);
	}
}

/* What is the same for all kernel rules that a rule becomes. */
struct maker {
	struct ic_standings *standings;
	const char *name, *removable;
	enum iommucfg_type type;
	size_t number, order;	/* in the policy; the kernel's */
	unsigned long rank;
};

static int make(const struct maker *maker, enum ic_bus bus, const char *device,
		const char *modalias)
{
	struct ic_standings *standings = maker->standings;
	struct ic_standing s = {
		.bus = buses[bus], .removable = maker->removable,
		.type = iommucfg_type_name(maker->type),
	};

	snprintf(s.priority, sizeof(s.priority), "%lu", maker->rank);
	snprintf(s.order, sizeof(s.order), "%zu", maker->order);
	if (IC_GROW(standings->v, standings->n, standings->cap))
		return -ENOMEM;
	s.device = strdup(device);
	s.modalias = strdup(modalias);
	if (s.device && s.modalias && !name_it(standings, &s, maker->name, maker->number)) {
		standings->v[standings->n++] = s;
		return 0;
	}
	free(s.device);
	free(s.modalias);
	return -ENOMEM;
}

static int make_pieces(const struct maker *maker, enum ic_bus bus, const struct ic_words *devices,
		       const struct ic_words *modaliases)
{
	struct ic_words d = { 0 }, m = { 0 };
	size_t i, j;
	int ret;

	ret = ic_words_pieces(devices, &d);
	if (!ret)
		ret = ic_words_pieces(modaliases, &m);
	for (i = 0; i < d.n && !ret; i++)
		for (j = 0; j < m.n && !ret; j++)
			ret = make(maker, bus, d.v[i], m.v[j]);
	ic_words_clear(&d);
	ic_words_clear(&m);
	return ret;
}

static bool has_pci_key(const struct iommucfg_rule *rule)
{
	static const enum ic_key keys[] = {
		IC_KEY_VENDOR, IC_KEY_DEVICE_ID, IC_KEY_SUBVENDOR, IC_KEY_SUBDEVICE, IC_KEY_CLASS,
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (rule->match[keys[i]].n)
			return true;
	return false;
}

/* A kernel without PCI takes no rule for it, and will have no such device. */
static bool has_bus(struct iommucfg *ctx, enum ic_bus bus)
{
	return bus != IC_BUS_PCI || !faccessat(ctx->sysfd, "bus/pci", F_OK, 0);
}

static bool on_bus(const struct iommucfg_rule *rule, enum ic_bus bus)
{
	const struct ic_values *values = &rule->match[IC_KEY_BUS];
	size_t i;

	if (bus != IC_BUS_PCI && has_pci_key(rule))
		return false;
	for (i = 0; i < values->n; i++)
		if (!strcmp(values->v[i].word, buses[bus]))
			return true;
	return !values->n;
}

static void check_buses(const struct iommucfg_rule *rule, struct ic_gap *gap)
{
	const struct ic_values *values = &rule->match[IC_KEY_BUS];
	size_t i;

	for (i = 0; i < values->n; i++)
		if (strcmp(values->v[i].word, "pci") && strcmp(values->v[i].word, "platform"))
			ic_gap_set(gap, "iommucfg writes none for bus \"%.64s\"",
				   values->v[i].word);
}

static const char *removable_of(const struct iommucfg_rule *rule)
{
	const struct ic_values *values = &rule->match[IC_KEY_REMOVABLE];
	bool yes = false, no = false;
	size_t i;

	for (i = 0; i < values->n; i++) {
		yes |= values->v[i].number;
		no |= !values->v[i].number;
	}
	return yes == no ? "any" : yes ? "yes" : "no";
}

/* A rule in the words of the kernel, for each bus that it is on. */
struct said {
	struct ic_said devices[IC_NUM_BUSES], modaliases[IC_NUM_BUSES];
	bool on[IC_NUM_BUSES];
	bool lost;	/* a driver of which nothing is known on any of them */
	bool none;	/* a condition that the kernel cannot have, so only a blocker */
};

/* Conditions that no standing rule can have. */
static bool check_keys(const struct iommucfg_rule *rule, struct ic_gap *gap)
{
	static const enum ic_key keys[] = { IC_KEY_BOUND, IC_KEY_SLOT, IC_KEY_UNTRUSTED };
	bool none = rule->has_not;
	size_t i;

	if (rule->has_not)
		ic_gap_set(gap, "the kernel has no \"not\"");
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!rule->match[keys[i]].n)
			continue;
		none = true;
		ic_gap_set(gap, "the kernel cannot tell \"%s\" of a device that has just come",
			   ic_match_key(keys[i]));
	}
	return none;
}

static void check_drivers(const struct iommucfg_rule *rule, const bool *found,
			  struct said *said, struct ic_gap *gap)
{
	const struct ic_values *values = &rule->match[IC_KEY_DRIVER];
	size_t i;

	for (i = 0; i < values->n; i++) {
		if (found[i])
			continue;
		said->lost = true;
		ic_gap_set(gap, "\"%.64s\": no module of a driver's name has an alias that would meet it",
			   values->v[i].word);
	}
}

static int say(const struct iommucfg_rule *rule, struct ic_aliases *aliases, struct said *said,
	       struct ic_gap *gap)
{
	bool *found = calloc(rule->match[IC_KEY_DRIVER].n + 1, sizeof(*found));
	enum ic_bus bus;
	int ret = found ? 0 : -ENOMEM;

	check_buses(rule, gap);
	said->none = check_keys(rule, gap);
	for (bus = 0; bus < IC_NUM_BUSES && !ret; bus++) {
		said->on[bus] = on_bus(rule, bus) && has_bus(aliases->ctx, bus);
		if (!said->on[bus])
			continue;
		ret = ic_standing_devices(aliases->ctx, rule, bus, &said->devices[bus], gap);
		if (!ret)
			ret = ic_standing_modaliases(aliases, rule, bus, &said->modaliases[bus],
						     found, gap);
	}
	if (!ret && (said->on[IC_BUS_PCI] || said->on[IC_BUS_PLATFORM]))
		check_drivers(rule, found, said, gap);
	free(found);
	return ret;
}

/*
 * The group of a device for which a rule cannot be told keeps what the core gave
 * it: what has a lower number is not for it.
 */
static int block(const struct maker *maker, enum ic_bus bus, const struct said *said)
{
	const struct ic_said *d = &said->devices[bus], *m = &said->modaliases[bus];
	bool part = m->part || said->lost;
	struct maker blocker = *maker;

	if (!said->on[bus] || (!d->part && !part && !said->none))
		return 0;
	blocker.type = IOMMUCFG_TYPE_AUTO;
	blocker.order++;
	return make_pieces(&blocker, bus, d->part ? &d->wide : &d->words,
			   part ? &m->wide : &m->words);
}

/* @made is set where at least a part of the rule stands. */
static int translate_rule(const struct iommucfg_rule *rule, const struct maker *maker,
			  struct ic_aliases *aliases, struct ic_gap *gap, bool *made)
{
	size_t before = maker->standings->n;
	struct said said = { 0 };
	enum ic_bus bus;
	int ret;

	ret = say(rule, aliases, &said, gap);
	for (bus = 0; bus < IC_NUM_BUSES && !ret; bus++)
		if (said.on[bus] && !said.none)
			ret = make_pieces(maker, bus, &said.devices[bus].words,
					  &said.modaliases[bus].words);
	*made = maker->standings->n > before;
	for (bus = 0; bus < IC_NUM_BUSES && !ret; bus++)
		ret = block(maker, bus, &said);
	for (bus = 0; bus < IC_NUM_BUSES; bus++) {
		ic_said_clear(&said.devices[bus]);
		ic_said_clear(&said.modaliases[bus]);
	}
	return ret;
}

static int tell_gap(const struct iommucfg_rule *rule, const struct ic_gap *gap, bool part,
		    struct iommucfg_problems *problems)
{
	struct ic_where where = IC_NOWHERE;

	where.file = rule->file;
	where.line = rule->line;
	where.rule = rule->name;
	return ic_problem(problems, IOMMUCFG_WARNING, "standing", &where,
			  "rule \"%s\" %s for devices to come: %s; %s keep the kernel's own type when they come",
			  rule->name, part ? "stands only in part" : "does not stand", gap->why,
			  part ? "those that it leaves out" : "such devices");
}

/* The first of a device's rules in the policy comes first. */
static int compare(const void *a, const void *b)
{
	const struct iommucfg_rule *const *x = a, *const *y = b;

	if ((*x)->priority != (*y)->priority)
		return (*x)->priority > (*y)->priority ? -1 : 1;
	return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

static int translate_all(const struct iommucfg_policy *policy, struct ic_standings *standings,
			 struct iommucfg_rule **rules, struct ic_aliases *aliases,
			 struct iommucfg_problems *problems)
{
	struct maker maker = { .standings = standings, .rank = 1 };
	struct ic_gap gap;
	bool made;
	size_t i;
	int ret = 0;

	for (i = 1; i < policy->num_rules; i++)
		maker.rank += rules[i]->priority != rules[i - 1]->priority;
	for (i = 0; i < policy->num_rules && !ret; i++) {
		/* One number for each priority, so that the kernel sees conflicts as we do. */
		if (i && rules[i]->priority != rules[i - 1]->priority) {
			maker.rank--;
			maker.order = 0;
		}
		gap = (struct ic_gap){ "" };
		maker.name = rules[i]->name;
		maker.removable = removable_of(rules[i]);
		/* To keep its type is for a device that comes to have the kernel's own. */
		maker.type = rules[i]->type == IOMMUCFG_TYPE_NONE ? IOMMUCFG_TYPE_AUTO :
			     rules[i]->type;
		maker.number = rules[i]->order;
		ret = translate_rule(rules[i], &maker, aliases, &gap, &made);
		/* One for what blocks where the rule has gaps. */
		maker.order += 2;
		if (!ret && *gap.why)
			ret = tell_gap(rules[i], &gap, made, problems);
	}
	return ret;
}

/* The highest number first. */
int ic_standing_translate(const struct iommucfg_policy *policy, struct ic_standings *standings,
			  struct iommucfg_problems *problems)
{
	struct maker last = {
		.standings = standings, .name = "default", .removable = "any",
		.type = policy->def, .number = policy->num_rules,
	};
	struct ic_aliases aliases = { .ctx = policy->ctx };
	struct iommucfg_rule **rules;
	enum ic_bus bus;
	int ret;

	rules = calloc(policy->num_rules + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	if (policy->num_rules) {
		memcpy(rules, policy->rules, policy->num_rules * sizeof(*rules));
		qsort(rules, policy->num_rules, sizeof(*rules), compare);
	}
	ret = translate_all(policy, standings, rules, &aliases, problems);
	for (bus = 0; bus < IC_NUM_BUSES && policy->def != IOMMUCFG_TYPE_NONE && !ret; bus++)
		if (has_bus(policy->ctx, bus))
			ret = make(&last, bus, "*", "*");
	ic_aliases_clear(&aliases);
	free(rules);
	return ret;
}

void ic_standings_clear(struct ic_standings *standings)
{
	size_t i;

	for (i = 0; i < standings->n; i++) {
		free(standings->v[i].name);
		free(standings->v[i].device);
		free(standings->v[i].modalias);
	}
	free(standings->v);
}
