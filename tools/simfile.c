// SPDX-License-Identifier: Apache-2.0
/*
 * simfile.c: reads a scenario through inih. inih splits lines; the two tables below know the keys
 * and what each accepts, so that every error can say so. References by name (`after`) and files
 * (`times`) are looked up when all is read.
 */
#include "simfile_int.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/duration.h"

#define COPIES_MAX 256

int rein_simfile_fail(struct rein_simfile_reading *r, int line, const char *fmt, ...)
{
	if (r->failed)
		return -EINVAL;
	r->failed = true;
	int n = snprintf(r->err, r->err_len, "%s:%d: ", r->path, line);
	va_list ap;
	va_start(ap, fmt);
	if (n > 0 && (size_t)n < r->err_len)
		vsnprintf(r->err + n, r->err_len - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---------------------------------------------------------------- the keys */

enum type { DURATION, NUMBER, REAL, PERCENT, CHOICE, POLICY, TEXT };

struct key {
	const char *name;
	enum type type;
	size_t offset;
	int64_t min, max; /* numbers; text: max is the room */
	const char *const *choice;
};

static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const sharings[] = {"slices", "mps", NULL};
static const char *const chargings[] = {"estimate", "exact", NULL};
static const char *const modes[] = {"soft", "hard", NULL};
static const char *const overloads[] = {"shed", "degrade", NULL};
static const char *const bands[] = {"realtime", "interactive", "batch", "idle", NULL};
static const char *const arrivals[] = {"periodic", "sporadic", "poisson", "bursts", "times",
                                       "closed",   "endless",  "after",   NULL};

#define IN_SETUP(field)                                                                            \
	(offsetof(struct rein_simfile, setup) + offsetof(struct rein_sim_setup, field))
#define IN_PARAMS(field) (IN_SETUP(params) + offsetof(struct rein_policy_params, field))
#define TIME_MAX ((int64_t)1 << 60)

/* Offsets in struct rein_simfile; those of struct rein_simfile_global are in the second table. */
static const struct key sim_keys[] = {
    {"policy", TEXT, offsetof(struct rein_simfile, policies), 0, REIN_SIMFILE_POLICIES, NULL},
    {"duration", DURATION, IN_SETUP(duration_ns), 1, TIME_MAX, NULL},
    {"seed", NUMBER, IN_SETUP(seed), 0, INT64_MAX, NULL},
    {"timeslice", DURATION, IN_SETUP(timeslice_ns), 0, TIME_MAX, NULL},
    {"switch_cost", DURATION, IN_SETUP(switch_ns), 0, TIME_MAX, NULL},
    {"reaction", DURATION, IN_SETUP(reaction_ns), 0, TIME_MAX, NULL},
    {"context_gate", DURATION, IN_SETUP(context_gate_ns), 0, TIME_MAX, NULL},
    {"noise", REAL, IN_SETUP(noise), 0, 1, NULL},
    {"quantum", DURATION, IN_PARAMS(quantum_ns), 0, TIME_MAX, NULL},
    {"boost", DURATION, IN_PARAMS(boost_ns), 0, TIME_MAX, NULL},
    {"ageing", DURATION, IN_PARAMS(ageing_ns), 0, TIME_MAX, NULL},
    {"cap_realtime", PERCENT, IN_PARAMS(cap_permille[REIN_BAND_REALTIME]), 0, 0, NULL},
    {"cap_interactive", PERCENT, IN_PARAMS(cap_permille[REIN_BAND_INTERACTIVE]), 0, 0, NULL},
    {"cap_batch", PERCENT, IN_PARAMS(cap_permille[REIN_BAND_BATCH]), 0, 0, NULL},
    {"cap_period", DURATION, IN_PARAMS(cap_period_ns), 1, TIME_MAX, NULL},
    {NULL, TEXT, 0, 0, 0, NULL},
};
static const struct key global_keys[] = {
    {"sharing", CHOICE, offsetof(struct rein_simfile_global, sharing), 0, 0, sharings},
    {"slice_preempts", CHOICE, offsetof(struct rein_simfile_global, slice_preempts), 0, 0, no_yes},
    {"charging", CHOICE, offsetof(struct rein_simfile_global, charging), 0, 0, chargings},
    {"overload", CHOICE, offsetof(struct rein_simfile_global, overload), 0, 0, overloads},
    {"reclaim", CHOICE, offsetof(struct rein_simfile_global, reclaim), 0, 0, no_yes},
    {"realtime", POLICY, offsetof(struct rein_simfile_global, inner[REIN_BAND_REALTIME]), 0, 0,
     NULL},
    {"interactive", POLICY, offsetof(struct rein_simfile_global, inner[REIN_BAND_INTERACTIVE]), 0,
     0, NULL},
    {"batch", POLICY, offsetof(struct rein_simfile_global, inner[REIN_BAND_BATCH]), 0, 0, NULL},
    {"idle", POLICY, offsetof(struct rein_simfile_global, inner[REIN_BAND_IDLE]), 0, 0, NULL},
    {"sms", NUMBER, offsetof(struct rein_simfile_global, sms), 1, 100000, NULL},
    {"copy_engines", NUMBER, offsetof(struct rein_simfile_global, copy_engines), 1,
     REIN_SIM_ENGINES_MAX, NULL},
    {"queue", NUMBER, offsetof(struct rein_simfile_global, queue), 1, REIN_SIM_QUEUE_MAX, NULL},
    {NULL, TEXT, 0, 0, 0, NULL},
};

#define IN_CLIENT_(field)                                                                          \
	(offsetof(struct rein_simfile_client, client) + offsetof(struct rein_sim_client, field))
static const struct key client_keys[] = {
    {"priority", NUMBER, offsetof(struct rein_simfile_client, priority), 0, 99, NULL},
    {"weight", NUMBER, offsetof(struct rein_simfile_client, weight), 1, 10000, NULL},
    {"latency_nice", NUMBER, offsetof(struct rein_simfile_client, latency_nice), -20, 19, NULL},
    {"band", CHOICE, offsetof(struct rein_simfile_client, band), 0, 0, bands},
    {"deadline", DURATION, IN_CLIENT_(policy.deadline_ns), 0, TIME_MAX, NULL},
    {"period", DURATION, IN_CLIENT_(policy.period_ns), 0, TIME_MAX, NULL},
    {"budget", DURATION, IN_CLIENT_(policy.budget_ns), 0, TIME_MAX, NULL},
    {"budget_mode", CHOICE, offsetof(struct rein_simfile_client, budget_mode), 0, 0, modes},
    {"linger", DURATION, offsetof(struct rein_simfile_client, linger_ns), 0, REIN_S, NULL},
    {"backlog", DURATION, IN_CLIENT_(policy.backlog_ns), 1, TIME_MAX, NULL},
    {"backlog_launches", NUMBER, offsetof(struct rein_simfile_client, launches), 1, 100000, NULL},
    {"arrivals", CHOICE, offsetof(struct rein_simfile_client, arrival), 0, 0, arrivals},
    {"every", DURATION, IN_CLIENT_(period_ns), 1, TIME_MAX, NULL},
    {"offset", DURATION, IN_CLIENT_(offset_ns), 0, TIME_MAX, NULL},
    {"jitter", DURATION, IN_CLIENT_(jitter_ns), 0, TIME_MAX, NULL},
    {"on", DURATION, IN_CLIENT_(on_ns), 1, TIME_MAX, NULL},
    {"off", DURATION, IN_CLIENT_(off_ns), 1, TIME_MAX, NULL},
    {"think", DURATION, IN_CLIENT_(think_ns), 0, TIME_MAX, NULL},
    {"after", TEXT, offsetof(struct rein_simfile_client, after), 0, SIM_NAME_LEN, NULL},
    {"times", TEXT, offsetof(struct rein_simfile_client, times), 0, 200, NULL},
    {"scale", REAL, offsetof(struct rein_simfile_client, scale), 0, 1000000, NULL},
    {"kernel", DURATION, IN_CLIENT_(kernel_ns), 1, TIME_MAX, NULL},
    {"kernel_min", DURATION, IN_CLIENT_(kernel_min_ns), 0, TIME_MAX, NULL},
    {"copy_in", DURATION, IN_CLIENT_(copy_in_ns), 0, TIME_MAX, NULL},
    {"copy_out", DURATION, IN_CLIENT_(copy_out_ns), 0, TIME_MAX, NULL},
    {"gap", DURATION, IN_CLIENT_(gap_ns), 0, TIME_MAX, NULL},
    {"submit", DURATION, IN_CLIENT_(submit_ns), 0, TIME_MAX, NULL},
    {"unknown", CHOICE, offsetof(struct rein_simfile_client, unknown), 0, 0, no_yes},
    {"declares", CHOICE, offsetof(struct rein_simfile_client, declares), 0, 0, no_yes},
    {"join", DURATION, IN_CLIENT_(join_ns), 0, TIME_MAX, NULL},
    {"leave", DURATION, IN_CLIENT_(leave_ns), 0, TIME_MAX, NULL},
    {NULL, TEXT, 0, 0, 0, NULL},
};
/* These are unsigned int in their structs. */
static const struct key client_counts[] = {
    {"kernels", NUMBER, IN_CLIENT_(kernels), 0, 1000000, NULL},
    {"gap_every", NUMBER, IN_CLIENT_(gap_every), 1, 1000000, NULL},
    {"count", NUMBER, offsetof(struct rein_simfile_client, count), 1, COPIES_MAX, NULL},
    {NULL, TEXT, 0, 0, 0, NULL},
};

/* ---------------------------------------------------------------- values */

static void bad_choice(struct rein_simfile_reading *r, const struct key *k, const char *value)
{
	char list[160] = "";
	for (unsigned i = 0; k->choice[i]; i++) {
		size_t n = strlen(list);
		snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", k->choice[i]);
	}
	rein_simfile_fail(r, r->line, "bad %s '%s'; accepted: %s", k->name, value, list);
}

static void set_choice(struct rein_simfile_reading *r, const struct key *k, const char *value,
                       unsigned *out)
{
	for (unsigned i = 0; k->choice[i]; i++) {
		if (strcmp(k->choice[i], value) == 0) {
			*out = i;
			return;
		}
	}
	bad_choice(r, k, value);
}

static bool whole_number(const char *value, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoll(value, &end, 10);
	return *value && !isspace((unsigned char)*value) && !*end && !errno && *out >= min &&
	       *out <= max;
}

static void set_policy(struct rein_simfile_reading *r, const struct key *k, const char *value,
                       unsigned *out)
{
	char list[160] = "";
	for (unsigned i = 0; rein_policies[i]; i++) {
		const char *name = rein_policies[i]->name;
		if (strcmp(name, "classes") == 0)
			continue; /* it would be inside itself */
		if (strcmp(name, value) == 0) {
			*out = i;
			return;
		}
		size_t n = strlen(list);
		snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", name);
	}
	rein_simfile_fail(r, r->line, "bad %s '%s'; accepted: %s", k->name, value, list);
}

static void set_number(struct rein_simfile_reading *r, const struct key *k, const char *value,
                       int64_t *out)
{
	int64_t n;
	if (whole_number(value, k->min, k->max, &n))
		*out = n;
	else
		rein_simfile_fail(r, r->line,
		                  "bad %s '%s'; accepted: a whole number from %lld to %lld",
		                  k->name, value, (long long)k->min, (long long)k->max);
}

static void set_real(struct rein_simfile_reading *r, const struct key *k, const char *value,
                     double *out)
{
	char *end;
	double x = strtod(value, &end);
	if (isdigit((unsigned char)*value) && !*end && x >= (double)k->min && x <= (double)k->max)
		*out = x;
	else
		rein_simfile_fail(r, r->line, "bad %s '%s'; accepted: a number from %lld to %lld",
		                  k->name, value, (long long)k->min, (long long)k->max);
}

static void set_percent(struct rein_simfile_reading *r, const struct key *k, const char *value,
                        uint32_t *permille)
{
	char *end;
	double x = strtod(value, &end);
	if (isdigit((unsigned char)*value) && strcmp(end, "%") == 0 && x > 0 && x <= 100)
		*permille = (uint32_t)(10 * x + 0.5);
	else
		rein_simfile_fail(r, r->line, "bad %s '%s'; accepted: a part as 80%%", k->name,
		                  value);
}

static void set_duration(struct rein_simfile_reading *r, const struct key *k, const char *value,
                         uint64_t *out)
{
	uint64_t ns;
	if (rein_duration_parse(value, &ns) == 0 && ns >= (uint64_t)k->min &&
	    ns <= (uint64_t)k->max)
		*out = ns;
	else
		rein_simfile_fail(r, r->line,
		                  "bad %s '%s'; accepted: a time with its unit (ns, us, ms, s)%s",
		                  k->name, value, k->min ? " above 0" : "");
}

static void set_text(struct rein_simfile_reading *r, const struct key *k, const char *value,
                     char *out)
{
	if (*value && strlen(value) < (size_t)k->max)
		snprintf(out, (size_t)k->max, "%s", value);
	else
		rein_simfile_fail(r, r->line, "bad %s '%s'; accepted: 1 to %lld characters",
		                  k->name, value, (long long)k->max - 1);
}

static void set_value(struct rein_simfile_reading *r, const struct key *k, const char *value,
                      void *out)
{
	switch (k->type) {
	case DURATION:
		set_duration(r, k, value, out);
		break;
	case NUMBER:
		set_number(r, k, value, out);
		break;
	case REAL:
		set_real(r, k, value, out);
		break;
	case PERCENT:
		set_percent(r, k, value, out);
		break;
	case CHOICE:
		set_choice(r, k, value, out);
		break;
	case POLICY:
		set_policy(r, k, value, out);
		break;
	case TEXT:
		set_text(r, k, value, out);
	}
}

static const struct key *find_key(const struct key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static void list_keys(char *list, size_t len, const struct key *a, const struct key *b)
{
	list[0] = 0;
	for (unsigned part = 0; part < 2; part++)
		for (const struct key *k = part ? b : a; k->name; k++) {
			size_t n = strlen(list);
			snprintf(list + n, len - n, "%s%s", n ? ", " : "", k->name);
		}
}

static void sim_value(struct rein_simfile_reading *r, const char *name, const char *value)
{
	const struct key *k = find_key(sim_keys, name);
	if (k) {
		set_value(r, k, value, (char *)r->file + k->offset);
		return;
	}
	k = find_key(global_keys, name);
	if (k) {
		set_value(r, k, value, (char *)&r->global + k->offset);
		return;
	}
	char list[600];
	list_keys(list, sizeof(list), sim_keys, global_keys);
	rein_simfile_fail(r, r->line, "unknown key '%s' in [sim]; accepted: %s", name, list);
}

static void client_value(struct rein_simfile_reading *r, const char *name, const char *value)
{
	struct rein_simfile_client *e = &r->entry[r->n - 1];
	const struct key *k = find_key(client_keys, name);
	if (k) {
		set_value(r, k, value, (char *)e + k->offset);
		if (strcmp(name, "after") == 0)
			e->after_line = r->line;
		if (strcmp(name, "times") == 0)
			e->times_line = r->line;
		return;
	}
	k = find_key(client_counts, name);
	if (k) {
		int64_t n = 0;
		set_value(r, k, value, &n);
		*(unsigned *)((char *)e + k->offset) = (unsigned)n;
		return;
	}
	char list[600];
	list_keys(list, sizeof(list), client_keys, client_counts);
	rein_simfile_fail(r, r->line, "unknown key '%s' in [client]; accepted: %s", name, list);
}

/* ---------------------------------------------------------------- sections */

static void client_section(struct rein_simfile_reading *r, const char *name)
{
	if (!*name || strlen(name) >= SIM_NAME_LEN) {
		rein_simfile_fail(r, r->line, "bad client name '%s'; accepted: 1 to %d characters",
		                  name, SIM_NAME_LEN - 1);
		return;
	}
	for (unsigned i = 0; i < r->n; i++)
		if (strcmp(r->entry[i].name, name) == 0) {
			rein_simfile_fail(r, r->line,
			                  "a second client '%s'; the first is at line %d", name,
			                  r->entry[i].line);
			return;
		}
	struct rein_simfile_client *grown = realloc(r->entry, (r->n + 1) * sizeof(*grown));
	if (!grown) {
		rein_simfile_fail(r, r->line, "out of memory");
		return;
	}
	r->entry = grown;
	struct rein_simfile_client *e = &r->entry[r->n++];
	*e = (struct rein_simfile_client){.line = r->line,
	                                  .count = 1,
	                                  .arrival = SIM_NOT_SAID,
	                                  .band = SIM_NOT_SAID,
	                                  .scale = 1,
	                                  .linger_ns = REIN_POLICY_LINGER_US * REIN_US,
	                                  .weight = REIN_POLICY_WEIGHT,
	                                  .launches = REIN_POLICY_BACKLOG_LAUNCHES};
	e->client.policy.backlog_ns = REIN_POLICY_BACKLOG_NS;
	e->client.kernels = SIM_NOT_SAID;
	snprintf(e->name, sizeof(e->name), "%s", name);
	r->kind = IN_CLIENT;
}

static void section(struct rein_simfile_reading *r, const char *name)
{
	snprintf(r->section, sizeof(r->section), "%s", name);
	r->kind = IN_NONE;
	if (strcmp(name, "sim") == 0)
		r->kind = IN_SIM;
	else if (strncmp(name, "client ", 7) == 0)
		client_section(r, name + 7);
	else if (!*name)
		rein_simfile_fail(
		    r, r->line, "a key stands before any section; accepted: [sim], [client NAME]");
	else
		rein_simfile_fail(r, r->line,
		                  "unknown section [%s]; accepted: [sim], [client NAME]", name);
}

static int on_key(void *arg, const char *name_of_section, const char *name, const char *value)
{
	struct rein_simfile_reading *r = arg;
	if (strcmp(r->section, name_of_section) != 0 || r->kind == IN_NONE)
		section(r, name_of_section);
	if (r->kind == IN_SIM)
		sim_value(r, name, value);
	else if (r->kind == IN_CLIENT)
		client_value(r, name, value);
	return !r->failed;
}

static char *read_line(char *buf, int len, void *arg)
{
	struct rein_simfile_reading *r = arg;
	if (r->failed || !fgets(buf, len, r->stream))
		return NULL;
	r->line++;
	if (!strchr(buf, '\n') && !feof(r->stream)) {
		rein_simfile_fail(r, r->line,
		                  "the line is too long; accepted: at most %d characters", len - 2);
		return NULL;
	}
	return buf;
}

/* ---------------------------------------------------------------- the file */

static int finish(struct rein_simfile_reading *r)
{
	struct rein_sim_setup *s = &r->file->setup;
	s->sharing = (enum rein_sim_sharing)r->global.sharing;
	s->charging = (enum rein_sim_charging)r->global.charging;
	s->slice_preempts = r->global.slice_preempts;
	s->params.overload = (enum rein_overload)r->global.overload;
	s->params.no_reclaim = !r->global.reclaim;
	for (unsigned i = 0; i < REIN_BANDS; i++)
		if (r->global.inner[i] != SIM_NOT_SAID)
			s->params.inner[i] = rein_policies[r->global.inner[i]];
	s->copy_engines = (unsigned)r->global.copy_engines;
	s->queue_max = (unsigned)r->global.queue;
	s->sms = (unsigned)r->global.sms;
	s->params.switch_ns = s->switch_ns;
	s->params.reaction_ns = s->reaction_ns;
	s->params.timeslice_ns = s->timeslice_ns;
	return rein_simfile_clients(r);
}

static int parse(struct rein_simfile_reading *r)
{
	ini_allow_multiline = false;
	int line = ini_parse_stream(read_line, r, on_key, r);
	if (r->failed)
		return -EINVAL;
	if (ferror(r->stream))
		return rein_simfile_fail(r, r->line, "%s", strerror(errno));
	if (line)
		return rein_simfile_fail(r, line,
		                         "not understood; accepted: [section] or key = value");
	return finish(r);
}

/* What the clients took over is theirs. */
static void entries_free(struct rein_simfile_reading *r, bool taken)
{
	for (unsigned i = 0; !taken && i < r->n; i++)
		free((void *)r->entry[i].client.times_ns);
	free(r->entry);
}

int rein_simfile_read(struct rein_simfile *f, const char *path, char *err, size_t err_len)
{
	*f = (struct rein_simfile){.setup = {.duration_ns = 10 * REIN_S,
	                                     .seed = 1,
	                                     .timeslice_ns = 2048 * REIN_US,
	                                     .slice_preempts = true,
	                                     .switch_ns = 150 * REIN_US,
	                                     .reaction_ns = 5 * REIN_US},
	                           .policies = "classes"};
	REIN_AUTO_FCLOSE FILE *stream = fopen(path, "re");
	if (!stream) {
		int e = errno;
		snprintf(err, err_len, "cannot read %s: %s", path, strerror(e));
		return -e;
	}
	struct rein_simfile_reading r = {
	    .file = f,
	    .global = {.slice_preempts = 1,
	               .reclaim = 1,
	               .inner = {SIM_NOT_SAID, SIM_NOT_SAID, SIM_NOT_SAID, SIM_NOT_SAID}},
	    .stream = stream,
	    .path = path,
	    .err = err,
	    .err_len = err_len};
	int ret = parse(&r);
	entries_free(&r, f->setup.n > 0);
	if (ret)
		rein_simfile_free(f);
	return ret;
}

void rein_simfile_free(struct rein_simfile *f)
{
	for (unsigned i = 0; i < f->setup.n; i++) {
		/* copies of one client share its times */
		if (i == 0 || f->client[i].times_ns != f->client[i - 1].times_ns)
			free((void *)f->client[i].times_ns);
		free((void *)f->client[i].name);
	}
	free(f->client);
	*f = (struct rein_simfile){0};
}
