// SPDX-License-Identifier: Apache-2.0
/*
 * confkeys.c: what the lines of rein.conf say. The tables at the end know which keys each kind of
 * section has and what each accepts, so that every error can say so. A new key is one function
 * and one row.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/sms.h"
#include "config_int.h"

void rein_reading_fail(struct rein_reading *r, const char *fmt, ...)
{
	if (r->failed)
		return;
	r->failed = true;
	int n = snprintf(r->err, r->err_len, "%s:%d: ", r->file, r->line);
	va_list ap;
	va_start(ap, fmt);
	if (n > 0 && (size_t)n < r->err_len)
		vsnprintf(r->err + n, r->err_len - (size_t)n, fmt, ap);
	va_end(ap);
}

bool rein_config_name_ok(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n >= REIN_CLASS_LEN)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_.-", *name))
			return false;
	return true;
}

/* ---------------------------------------------------------------- values */

static bool number(struct rein_reading *r, const char *key, const char *value, unsigned long min,
                   unsigned long max, const char *note, unsigned long *out)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(value, &end, 10);
	if (isdigit((unsigned char)*value) && !*end && !errno && n >= min && n <= max) {
		*out = n;
		return true;
	}
	rein_reading_fail(r, "bad %s '%s'; accepted: a whole number from %lu to %lu%s", key, value,
	                  min, max, note);
	return false;
}

static bool duration(struct rein_reading *r, const char *key, const char *value, uint64_t min_ns,
                     uint64_t max_ns, const char *range, uint64_t *out_ns)
{
	uint64_t ns;
	if (rein_duration_parse(value, &ns) == 0 && ns >= min_ns && ns <= max_ns) {
		*out_ns = ns;
		return true;
	}
	rein_reading_fail(r, "bad %s '%s'; accepted: a time with its unit (ns, us, ms, s), %s", key,
	                  value, range);
	return false;
}

void rein_policy_list(char *buf, size_t len)
{
	buf[0] = 0;
	for (unsigned i = 0; rein_policies[i]; i++) {
		size_t n = strlen(buf);
		snprintf(buf + n, len - n, "%s%s", i ? ", " : "", rein_policies[i]->name);
	}
}

static void daemon_policy(struct rein_reading *r, const char *value)
{
	char known[256];
	rein_policy_list(known, sizeof(known));
	r->config->policy = rein_policy_find(value);
	if (!r->config->policy)
		rein_reading_fail(r, "unknown policy '%s'; accepted: %s", value, known);
}

static void daemon_events(struct rein_reading *r, const char *value)
{
	r->config->events = strcmp(value, "on") == 0;
	if (!r->config->events && strcmp(value, "off") != 0)
		rein_reading_fail(r, "unknown events '%s'; accepted: on, off", value);
}

static void daemon_bpf(struct rein_reading *r, const char *value)
{
	r->config->no_bpf = strcmp(value, "off") == 0;
	if (!r->config->no_bpf && strcmp(value, "on") != 0)
		rein_reading_fail(r, "unknown bpf '%s'; accepted: on, off", value);
}

/* "launch, queue, context" or fewer; the launch gate always is. */
static void daemon_gates(struct rein_reading *r, const char *value)
{
	static const struct {
		const char *name;
		uint32_t can;
	} known[] = {{"launch", 0}, {"queue", REIN_CAN_QUEUE}, {"context", REIN_CAN_CONTEXT}};
	uint32_t gates = 0;
	for (size_t n; *value; value += n + strspn(value + n, ", ")) {
		unsigned i = 0;
		n = strcspn(value, ", ");
		while (i < REIN_ARRAY_LEN(known) &&
		       (strlen(known[i].name) != n || strncmp(known[i].name, value, n) != 0))
			i++;
		if (i == REIN_ARRAY_LEN(known)) {
			rein_reading_fail(r,
			                  "unknown gate '%.*s'; accepted: launch, queue, context",
			                  (int)n, value);
			return;
		}
		gates |= known[i].can;
	}
	r->config->gates = gates;
	r->config->has_gates = true;
}

static void daemon_metrics(struct rein_reading *r, const char *value)
{
	char why[320];
	if (rein_metrics_at_parse(value, &r->config->metrics, why, sizeof(why)))
		rein_reading_fail(r, "bad metrics: %s", why);
	else
		snprintf(r->config->metrics_text, sizeof(r->config->metrics_text), "%s", value);
}

static void daemon_mode(struct rein_reading *r, const char *value)
{
	if (rein_mode_parse(value, &r->config->mode))
		rein_reading_fail(r, "unknown mode '%s'; accepted: adaptive, spin, sleep", value);
	r->config->has_mode = true;
}

static void daemon_ageing(struct rein_reading *r, const char *value)
{
	(void)duration(r, "ageing", value, 0, 3600 * REIN_S, "at most 3600s; 0 = off",
	               &r->config->ageing_ns);
}

static void class_priority(struct rein_reading *r, const char *value)
{
	unsigned long n;
	if (number(r, "priority", value, 0, REIN_PRIO_MAX, " (higher is more urgent)", &n))
		r->class->prio = (int)n;
}

static void class_weight(struct rein_reading *r, const char *value)
{
	unsigned long n;
	if (number(r, "weight", value, 1, REIN_WEIGHT_MAX, "", &n))
		r->class->weight = (uint32_t)n;
}

static void class_latency_nice(struct rein_reading *r, const char *value)
{
	char *end;
	errno = 0;
	long n = strtol(value, &end, 10);
	if (end == value || *end || errno || n < REIN_NICE_MIN || n > REIN_NICE_MAX)
		rein_reading_fail(r,
		                  "bad latency_nice '%s'; accepted: a whole number from %d to %d "
		                  "(lower is sooner)",
		                  value, REIN_NICE_MIN, REIN_NICE_MAX);
	else
		r->class->latency_nice = (int)n;
}

static void class_band(struct rein_reading *r, const char *value)
{
	enum rein_band band;
	if (rein_band_parse(value, &band))
		rein_reading_fail(
		    r, "unknown band '%s'; accepted: realtime, interactive, batch, idle", value);
	else
		r->class->band = band;
}

static void class_deadline(struct rein_reading *r, const char *value)
{
	(void)duration(r, "deadline", value, REIN_TIMING_MIN_NS, REIN_TIMING_MAX_NS,
	               "100us to 3600s", &r->class->timing.deadline_ns);
}

static void class_period(struct rein_reading *r, const char *value)
{
	(void)duration(r, "period", value, REIN_TIMING_MIN_NS, REIN_TIMING_MAX_NS, "100us to 3600s",
	               &r->class->timing.period_ns);
}

static void class_budget(struct rein_reading *r, const char *value)
{
	(void)duration(r, "budget", value, REIN_BUDGET_MIN_NS, REIN_TIMING_MAX_NS, "10us to 3600s",
	               &r->class->timing.budget_ns);
}

static void class_budget_mode(struct rein_reading *r, const char *value)
{
	r->class->budget_hard = strcmp(value, "hard") == 0;
	if (!r->class->budget_hard && strcmp(value, "soft") != 0)
		rein_reading_fail(r, "unknown budget_mode '%s'; accepted: soft, hard", value);
}

static void class_backlog(struct rein_reading *r, const char *value)
{
	(void)duration(r, "backlog", value, REIN_US, 10 * REIN_S, "1us to 10s",
	               &r->class->backlog_ns);
}

static void class_backlog_launches(struct rein_reading *r, const char *value)
{
	unsigned long n;
	if (number(r, "backlog_launches", value, 1, 1000000, "", &n))
		r->class->backlog_launches = (uint32_t)n;
}

static void class_linger(struct rein_reading *r, const char *value)
{
	uint64_t ns;
	if (duration(r, "linger", value, 0, REIN_S, "at most 1s", &ns))
		r->class->linger_us = (uint32_t)(ns / REIN_US);
}

static void class_patience(struct rein_reading *r, const char *value)
{
	(void)duration(r, "patience", value, 10 * REIN_MS, 60 * REIN_S, "10ms to 60s",
	               &r->class->patience_ns);
}

static void class_sms(struct rein_reading *r, const char *value)
{
	if (rein_sms_parse(value, &r->class->sms))
		rein_reading_fail(r, "bad sms '%s'; accepted: %s", value, REIN_SMS_ACCEPTED);
}

static void class_gate(struct rein_reading *r, const char *value)
{
	r->class->gate_implicit = strcmp(value, "implicit") == 0;
	if (!r->class->gate_implicit && strcmp(value, "work") != 0)
		rein_reading_fail(r, "unknown gate '%s'; accepted: work, implicit", value);
}

static void class_cupti(struct rein_reading *r, const char *value)
{
	r->class->cupti = strcmp(value, "on") == 0;
	if (!r->class->cupti && strcmp(value, "off") != 0)
		rein_reading_fail(r, "unknown cupti '%s'; accepted: on, off", value);
}

static void rule_exe(struct rein_reading *r, const char *value)
{
	if (!*value)
		rein_reading_fail(
		    r, "empty exe; accepted: a path or a file name, with * ? [] as in the shell");
	snprintf(r->rule->exe, sizeof(r->rule->exe), "%s", value);
}

static void rule_user(struct rein_reading *r, const char *value)
{
	const struct passwd *pw = getpwnam(value);
	char *end = NULL;
	errno = 0;
	unsigned long uid = isdigit((unsigned char)*value) ? strtoul(value, &end, 10) : 0;
	if (pw)
		uid = pw->pw_uid;
	else if (!end || *end || errno || uid >= UINT32_MAX) {
		rein_reading_fail(r, "unknown user '%s'; accepted: a user name or a number", value);
		return;
	}
	r->rule->uid = (uid_t)uid;
	r->rule->has_user = true;
	snprintf(r->rule->user, sizeof(r->rule->user), "%s", value);
}

static void rule_class(struct rein_reading *r, const char *value)
{
	if (!rein_config_name_ok(value))
		rein_reading_fail(r, "bad class name '%s'; accepted: the NAME of a [class NAME]",
		                  value);
	else
		snprintf(r->rule->class_name, sizeof(r->rule->class_name), "%s", value);
}

/* ---------------------------------------------------------------- policies' parameters */

static void policy_quantum(struct rein_reading *r, const char *value)
{
	(void)duration(r, "quantum", value, 100 * REIN_US, 10 * REIN_S, "100us to 10s",
	               &r->params->quantum_ns);
}

static void policy_boost(struct rein_reading *r, const char *value)
{
	(void)duration(r, "boost", value, 10 * REIN_MS, 3600 * REIN_S, "10ms to 3600s",
	               &r->params->boost_ns);
}

static void policy_ageing(struct rein_reading *r, const char *value)
{
	(void)duration(r, "ageing", value, 0, 3600 * REIN_S, "at most 3600s; 0 = off",
	               &r->params->ageing_ns);
}

static void policy_overload(struct rein_reading *r, const char *value)
{
	bool degrade = strcmp(value, "degrade") == 0;
	r->params->overload = degrade ? REIN_OVERLOAD_DEGRADE : REIN_OVERLOAD_SHED;
	if (!degrade && strcmp(value, "shed") != 0)
		rein_reading_fail(r, "unknown overload '%s'; accepted: shed, degrade", value);
}

static void policy_reclaim(struct rein_reading *r, const char *value)
{
	r->params->no_reclaim = strcmp(value, "no") == 0;
	if (!r->params->no_reclaim && strcmp(value, "yes") != 0)
		rein_reading_fail(r, "bad reclaim '%s'; accepted: yes, no", value);
}

static void policy_switch_cost(struct rein_reading *r, const char *value)
{
	(void)duration(r, "switch_cost", value, 0, 100 * REIN_MS, "at most 100ms",
	               &r->params->switch_ns);
}

static void policy_reaction(struct rein_reading *r, const char *value)
{
	(void)duration(r, "reaction", value, 0, 100 * REIN_MS, "at most 100ms",
	               &r->params->reaction_ns);
}

static void policy_timeslice(struct rein_reading *r, const char *value)
{
	(void)duration(r, "timeslice", value, 100 * REIN_US, REIN_S, "100us to 1s",
	               &r->params->timeslice_ns);
}

static void band_policy(struct rein_reading *r, enum rein_band band, const char *value)
{
	char known[256];
	const struct rein_policy_ops *inner = rein_policy_find(value);
	rein_policy_list(known, sizeof(known));
	if (!inner || inner == r->policy)
		rein_reading_fail(r, "bad policy '%s' for the band %s; accepted: %s, but not %s",
		                  value, rein_band_name(band), known, r->policy->name);
	else
		r->params->inner[band] = inner;
}

static void policy_realtime(struct rein_reading *r, const char *value)
{
	band_policy(r, REIN_BAND_REALTIME, value);
}

static void policy_interactive(struct rein_reading *r, const char *value)
{
	band_policy(r, REIN_BAND_INTERACTIVE, value);
}

static void policy_batch(struct rein_reading *r, const char *value)
{
	band_policy(r, REIN_BAND_BATCH, value);
}

static void policy_idle(struct rein_reading *r, const char *value)
{
	band_policy(r, REIN_BAND_IDLE, value);
}

/* "80%" or "80% per 1s"; all caps have one period. */
static void band_cap(struct rein_reading *r, enum rein_band band, const char *value)
{
	char *end;
	uint64_t period_ns = 0;
	errno = 0;
	unsigned long percent = isdigit((unsigned char)*value) ? strtoul(value, &end, 10) : 0;
	bool ok = percent >= 1 && percent <= 100 && !errno && *end++ == '%';
	if (ok && *end)
		ok = strncmp(end, " per ", 5) == 0 &&
		     rein_duration_parse(end + 5, &period_ns) == 0 && period_ns >= 10 * REIN_MS &&
		     period_ns <= 60 * REIN_S;
	if (!ok) {
		rein_reading_fail(r,
		                  "bad cap_%s '%s'; accepted: 1%% to 100%%, and if wanted its "
		                  "period, as in '80%% per 1s' (10ms to 60s)",
		                  rein_band_name(band), value);
		return;
	}
	if (period_ns && r->params->cap_period_ns && period_ns != r->params->cap_period_ns) {
		rein_reading_fail(r,
		                  "cap_%s: another cap has another period; all caps have one: say "
		                  "it once, or the same",
		                  rein_band_name(band));
		return;
	}
	if (period_ns)
		r->params->cap_period_ns = period_ns;
	r->params->cap_permille[band] = percent == 100 ? 0 : (uint32_t)percent * 10;
}

static void policy_cap_realtime(struct rein_reading *r, const char *value)
{
	band_cap(r, REIN_BAND_REALTIME, value);
}

static void policy_cap_interactive(struct rein_reading *r, const char *value)
{
	band_cap(r, REIN_BAND_INTERACTIVE, value);
}

static void policy_cap_batch(struct rein_reading *r, const char *value)
{
	band_cap(r, REIN_BAND_BATCH, value);
}

/* ---------------------------------------------------------------- keys */

struct key {
	const char *name;
	void (*set)(struct rein_reading *r, const char *value);
	const char *of; /* [policy NAME]: the policies that have it; NULL: all */
};

static const struct key daemon_keys[] = {
    {"policy", daemon_policy, NULL},   {"mode", daemon_mode, NULL},
    {"events", daemon_events, NULL},   {"gates", daemon_gates, NULL},
    {"ageing", daemon_ageing, NULL},   {"bpf", daemon_bpf, NULL},
    {"metrics", daemon_metrics, NULL}, {NULL, NULL, NULL}};
static const struct key class_keys[] = {{"priority", class_priority, NULL},
                                        {"weight", class_weight, NULL},
                                        {"latency_nice", class_latency_nice, NULL},
                                        {"band", class_band, NULL},
                                        {"deadline", class_deadline, NULL},
                                        {"period", class_period, NULL},
                                        {"budget", class_budget, NULL},
                                        {"budget_mode", class_budget_mode, NULL},
                                        {"backlog", class_backlog, NULL},
                                        {"backlog_launches", class_backlog_launches, NULL},
                                        {"linger", class_linger, NULL},
                                        {"patience", class_patience, NULL},
                                        {"gate", class_gate, NULL},
                                        {"sms", class_sms, NULL},
                                        {"cupti", class_cupti, NULL},
                                        {NULL, NULL, NULL}};
static const struct key rule_keys[] = {{"exe", rule_exe, NULL},
                                       {"user", rule_user, NULL},
                                       {"class", rule_class, NULL},
                                       {NULL, NULL, NULL}};
/* `classes` has its inner policies' parameters too: they are for those. */
static const struct key policy_keys[] = {{"quantum", policy_quantum, "fair mlfq classes"},
                                         {"boost", policy_boost, "mlfq classes"},
                                         {"ageing", policy_ageing, "prio classes"},
                                         {"overload", policy_overload, "edf classes"},
                                         {"reclaim", policy_reclaim, "cbs classes"},
                                         {"switch_cost", policy_switch_cost, NULL},
                                         {"reaction", policy_reaction, NULL},
                                         {"timeslice", policy_timeslice, NULL},
                                         {"realtime", policy_realtime, "classes"},
                                         {"interactive", policy_interactive, "classes"},
                                         {"batch", policy_batch, "classes"},
                                         {"idle", policy_idle, "classes"},
                                         {"cap_realtime", policy_cap_realtime, "classes"},
                                         {"cap_interactive", policy_cap_interactive, "classes"},
                                         {"cap_batch", policy_cap_batch, "classes"},
                                         {NULL, NULL, NULL}};
static const struct key *const keys_of[REIN_SECTIONS] = {[REIN_IN_DAEMON] = daemon_keys,
                                                         [REIN_IN_CLASS] = class_keys,
                                                         [REIN_IN_RULE] = rule_keys,
                                                         [REIN_IN_POLICY] = policy_keys};

static bool has_key(const struct rein_reading *r, const struct key *k)
{
	size_t n = k->of ? strlen(r->policy->name) : 0;
	for (const char *at = k->of; at; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (strncmp(at, r->policy->name, n) == 0 && (!at[n] || at[n] == ' '))
			return true;
	}
	return !k->of;
}

void rein_reading_set(struct rein_reading *r, const char *section, const char *name,
                      const char *value)
{
	if (r->kind == REIN_IN_NONE) {
		rein_reading_fail(
		    r, "'%s' stands before any section; accepted: " REIN_SECTIONS_ACCEPTED, name);
		return;
	}
	char known[256] = "";
	for (const struct key *k = keys_of[r->kind]; k->name; k++) {
		if (!has_key(r, k))
			continue;
		if (strcmp(k->name, name) == 0) {
			k->set(r, value);
			return;
		}
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", k->name);
	}
	rein_reading_fail(r, "unknown key '%s' in [%s]; accepted: %s", name, section, known);
}
