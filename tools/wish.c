// SPDX-License-Identifier: Apache-2.0
#include "wish.h"

#include <string.h>

#include "../common/clock.h"
#include "../common/duration.h"
#include "../common/env.h"
#include "../common/sms.h"

/* ---------------------------------------------------------------- one function a kind of wish */

typedef bool take_fn(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                     const char *text);

bool rein_cli_time(const struct rein_cli *cli, const char *what, const char *text, bool zero,
                   uint64_t *out_ns)
{
	if (rein_duration_parse(text, out_ns) == 0 && (zero || *out_ns))
		return true;
	rein_cli_usage(cli, "%s '%s' is not accepted; a time with its unit: 20ms, 1.5ms, 500us",
	               what, text);
	return false;
}

static bool take_number(const struct rein_cli *cli, const char *what, const char *text, long min,
                        long max, const char *note, long *out)
{
	if (rein_cli_number(text, min, max, out))
		return true;
	rein_cli_usage(cli, "%s '%s' is not accepted; %ld to %ld%s", what, text, min, max, note);
	return false;
}

static bool take_text(const struct rein_cli *cli, const char *what, const char *text, char *to,
                      size_t room)
{
	if (strlen(text) >= room) {
		rein_cli_usage(cli, "the %s '%.20s…' is too long; at most %zu bytes", what, text,
		               room - 1);
		return false;
	}
	strcpy(to, text);
	return true;
}

static bool take_prio(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                      const char *text)
{
	int prio;
	if (!rein_cli_prio(cli, what, text, &prio))
		return false;
	h->prio = prio;
	return true;
}

static bool take_class(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                       const char *text)
{
	return take_text(cli, what, text, h->class_name, sizeof(h->class_name));
}

static bool take_name(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                      const char *text)
{
	return take_text(cli, what, text, h->name, sizeof(h->name));
}

static bool take_job(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                     const char *text)
{
	return take_text(cli, what, text, h->job, sizeof(h->job));
}

static bool take_deadline(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                          const char *text)
{
	return rein_cli_time(cli, what, text, false, &h->timing.deadline_ns);
}

static bool take_period(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                        const char *text)
{
	return rein_cli_time(cli, what, text, false, &h->timing.period_ns);
}

static bool take_budget(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                        const char *text)
{
	return rein_cli_time(cli, what, text, false, &h->timing.budget_ns);
}

static bool take_weight(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                        const char *text)
{
	long n;
	if (!take_number(cli, what, text, 1, REIN_WEIGHT_MAX, "", &n))
		return false;
	h->weight = (uint32_t)n;
	return true;
}

static bool take_nice(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                      const char *text)
{
	long n;
	if (!take_number(cli, what, text, REIN_NICE_MIN, REIN_NICE_MAX, " (lower is sooner)", &n))
		return false;
	h->latency_nice = (int32_t)n;
	return true;
}

static bool take_sms(const struct rein_cli *cli, struct rein_msg_hello *h, const char *what,
                     const char *text)
{
	if (rein_sms_parse(text, &h->sms) == 0)
		return true;
	rein_cli_usage(cli, "%s '%s' is not accepted; %s", what, text, REIN_SMS_ACCEPTED);
	return false;
}

/* ---------------------------------------------------------------- the wishes */

static const struct { /* in the order of CLI_WISH_OPTIONS */
	enum rein_env_id env;
	const char *what;
	take_fn *take;
} rows[] = {
    {REIN_ENV_PRIO, "priority", take_prio},   {REIN_ENV_CLASS, "class", take_class},
    {REIN_ENV_NAME, "name", take_name},       {REIN_ENV_DEADLINE, "deadline", take_deadline},
    {REIN_ENV_PERIOD, "period", take_period}, {REIN_ENV_BUDGET, "budget", take_budget},
    {REIN_ENV_WEIGHT, "weight", take_weight}, {REIN_ENV_LATENCY_NICE, "latency-nice", take_nice},
    {REIN_ENV_JOB, "job", take_job},          {REIN_ENV_SMS, "sms", take_sms},
};
_Static_assert(REIN_ARRAY_LEN(rows) <= CLI_WISHES_MAX, "wishes");

void rein_cli_wish_init(struct rein_cli_wish *w)
{
	memset(w, 0, sizeof(*w));
	w->hello.prio = REIN_PRIO_UNSET;
	w->hello.latency_nice = REIN_NICE_UNSET;
	for (size_t i = 0; i < REIN_ARRAY_LEN(rows); i++)
		w->text[i] = rein_env_filled(rows[i].env);
}

bool rein_cli_wish_option(struct rein_cli_wish *w, int opt, const char *value)
{
	int i = opt - CLI_WISH_VAL;
	if (i == CLI_WISHES_MAX) {
		w->accept_later = true;
		return true;
	}
	if (i < 0 || i >= (int)REIN_ARRAY_LEN(rows))
		return false;
	w->text[i] = value;
	w->by_option[i] = true;
	return true;
}

bool rein_cli_wish_finish(const struct rein_cli *cli, struct rein_cli_wish *w)
{
	char what[64], why[160];
	for (size_t i = 0; i < REIN_ARRAY_LEN(rows); i++) {
		const char *from = rein_env_table[rows[i].env].name;
		snprintf(what, sizeof(what), "%s%s%s", w->by_option[i] ? "" : from,
		         w->by_option[i] ? "" : ": ", rows[i].what);
		if (w->text[i] && !rows[i].take(cli, &w->hello, what, w->text[i]))
			return false;
	}
	if (rein_timing_check(&w->hello.timing, why, sizeof(why))) {
		rein_cli_usage(cli, "%s", why);
		return false;
	}
	if (w->accept_later && !w->hello.timing.deadline_ns) {
		rein_cli_usage(cli, "--accept-later needs --deadline: one that may become later");
		return false;
	}
	return true;
}

void rein_cli_wish_drop(struct rein_cli_wish *w, int env)
{
	for (size_t i = 0; i < REIN_ARRAY_LEN(rows); i++)
		if ((int)rows[i].env == env)
			w->text[i] = NULL;
}

int rein_cli_wish_export(const struct rein_cli_wish *w)
{
	int err = 0;
	for (size_t i = 0; i < REIN_ARRAY_LEN(rows); i++)
		if (w->text[i])
			err |= setenv(rein_env_table[rows[i].env].name, w->text[i], 1);
	return err;
}

/* ---------------------------------------------------------------- the answer */

void rein_cli_promise_text(const struct rein_msg_welcome *g, char *line, size_t len)
{
	char clean[sizeof(g->promise_text)];
	char a[REIN_TIME_TEXT_LEN], b[REIN_TIME_TEXT_LEN], c[REIN_TIME_TEXT_LEN];
	rein_cli_clean(g->promise_text, clean, sizeof(clean));
	line[0] = 0;
	if (g->promise == REIN_PROMISE_GIVEN && !g->timing.deadline_ns)
		snprintf(line, len, "guaranteed: %s of GPU time every %s",
		         rein_time_text(a, g->timing.budget_ns),
		         rein_time_text(b, g->timing.period_ns));
	else if (g->promise == REIN_PROMISE_GIVEN)
		snprintf(line, len,
		         "guaranteed: %s of GPU time every %s, done within %s of each arrival",
		         rein_time_text(a, g->timing.budget_ns),
		         rein_time_text(b, g->timing.period_ns),
		         rein_time_text(c, g->timing.deadline_ns));
	else if (g->promise == REIN_PROMISE_NONE)
		snprintf(line, len, "guarantee: %s", clean);
	else if (g->promise != REIN_PROMISE_UNASKED)
		snprintf(line, len, "refused: %s", clean);
}

json_t *rein_cli_promise_json(const struct rein_msg_welcome *g)
{
	static const char *const states[] = {
	    [REIN_PROMISE_GIVEN] = "given",
	    [REIN_PROMISE_NONE] = "none",
	    [REIN_PROMISE_LATER] = "refused",
	    [REIN_PROMISE_REFUSED] = "refused",
	};
	char clean[sizeof(g->promise_text)];
	if (g->promise == REIN_PROMISE_UNASKED || g->promise >= REIN_ARRAY_LEN(states))
		return json_null();
	return json_pack("{s:s, s:f, s:f, s:s}", "guarantee", states[g->promise], "deadline_ms",
	                 (double)g->timing.deadline_ns / 1e6, "response_ms",
	                 (double)g->response_ns / 1e6, "why",
	                 rein_cli_clean(g->promise_text, clean, sizeof(clean)));
}

static int take_later(struct rein_cli_wish *w, const struct rein_msg_welcome *g)
{
	/* to the next 10 us: what is asked for again must not be a hair earlier */
	uint64_t us = (g->timing.deadline_ns / (10 * REIN_US) + 1) * 10;
	snprintf(w->deadline, sizeof(w->deadline), "%lluus", (unsigned long long)us);
	w->hello.timing.deadline_ns = us * REIN_US;
	for (size_t i = 0; i < REIN_ARRAY_LEN(rows); i++)
		if (rows[i].env == REIN_ENV_DEADLINE)
			w->text[i] = w->deadline;
	w->accept_later = false; /* once */
	return 1;
}

int rein_cli_wish_answer(const struct rein_cli *cli, struct rein_cli_wish *w,
                         const struct rein_msg_welcome *g)
{
	char clean[sizeof(g->promise_text)], asked[REIN_TIME_TEXT_LEN], later[REIN_TIME_TEXT_LEN];
	rein_cli_clean(g->promise_text, clean, sizeof(clean));
	if (!rein_timing_any(&w->hello.timing)) { /* the class' own: said, and no failure */
		if (g->promise > REIN_PROMISE_GIVEN)
			rein_cli_warn("no guarantee for the reservation of class '%.*s': %s",
			              REIN_CLASS_LEN - 1, g->class_name, clean);
		return 0;
	}
	switch (g->promise) {
	case REIN_PROMISE_GIVEN:
		return 0;
	case REIN_PROMISE_NONE:
		rein_cli_warn("guarantee: %s", clean);
		return 0;
	case REIN_PROMISE_LATER:
		if (w->accept_later)
			return take_later(w, g);
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "the deadline of %s cannot be kept, %s could; %s; ask for that, or use "
		    "--accept-later",
		    rein_time_text(asked, w->hello.timing.deadline_ns),
		    rein_time_text(later, g->timing.deadline_ns), clean);
	case REIN_PROMISE_REFUSED:
		return rein_cli_fail(cli, CLI_FAILED, "the reservation was refused; %s", clean);
	default:
		return rein_cli_fail(cli, CLI_FAILED,
		                     "the daemon at %s is older and knows no reservations; restart "
		                     "it from this installation",
		                     cli->run_dir);
	}
}
