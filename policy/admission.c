// SPDX-License-Identifier: Apache-2.0
/*
 * admission.c: the answer to one who asks for a reservation. The policy's `admit` says yes or no to
 * one set; here it is asked about sets with smaller backlogs and with a later deadline.
 *
 * The searches halve an interval whose one end is safe and whose other is not. Less backlog never
 * makes a safe set unsafe (it enters every bound as a sum of remainders), so halving finds the
 * largest. A later deadline of the candidate can, where its remainder is longer than its cost:
 * beyond another's deadline it counts as a blocker instead of as demand. Then halving may miss the
 * earliest deadline; what it finds was asked about and is safe all the same.
 */
#include "admission_int.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define FINE_NS 1000ull     /* searches end at this, */
#define FINE_PART 256       /* or at this part of what was found */
#define PART_ONE 1000000ull /* utilisation is counted in millionths */

struct question {
	const struct rein_policy_ops *ops;
	const struct rein_policy_params *params;
	struct rein_task task[REIN_POLICY_TASKS_MAX];
	unsigned n, candidate;
	uint64_t largest; /* of the tasks' own backlogs */
	uint64_t backlog[REIN_POLICY_TASKS_MAX], response[REIN_POLICY_TASKS_MAX];
};

/* ---------------------------------------------------------------- asking the policy */

static uint64_t deadline(const struct question *q, unsigned i)
{
	return q->task[i].deadline_ns ? q->task[i].deadline_ns : q->task[i].period_ns;
}

static int admit(struct question *q)
{
	struct rein_bounds bounds = {.backlog_ns = q->backlog, .response_ns = q->response};
	return q->ops->admit(q->params, q->task, q->n, &bounds);
}

/* Nobody keeps more than `limit`. */
static int admit_limited(struct question *q, uint64_t limit)
{
	for (unsigned i = 0; i < q->n; i++)
		q->backlog[i] = ns_min(q->task[i].backlog_ns, limit);
	return admit(q);
}

/* Everybody keeps `backlog`. */
static int admit_common(struct question *q, uint64_t backlog)
{
	for (unsigned i = 0; i < q->n; i++)
		q->backlog[i] = backlog;
	return admit(q);
}

static int admit_deadline(struct question *q, uint64_t deadline)
{
	q->task[q->candidate].deadline_ns = deadline;
	return admit_limited(q, REIN_ADMISSION_BACKLOG_MIN_NS);
}

/* Halves the way between a safe and an unsafe value; the last that was safe. */
static uint64_t halve(struct question *q, int (*ask)(struct question *, uint64_t), uint64_t safe,
                      uint64_t unsafe)
{
	for (;;) {
		uint64_t apart = safe < unsafe ? unsafe - safe : safe - unsafe;
		if (apart <= ns_max(FINE_NS, safe / FINE_PART))
			return safe;
		uint64_t middle = safe < unsafe ? safe + apart / 2 : safe - apart / 2;
		if (ask(q, middle) == 0)
			safe = middle;
		else
			unsafe = middle;
	}
}

/* The set is safe with everybody's own backlog: how much would be? */
static uint64_t room_above(struct question *q)
{
	uint64_t far = REIN_ADMISSION_BACKLOG_MIN_NS, found = 0;
	if (admit_common(q, REIN_ADMISSION_TIME_MAX_NS) == 0)
		return UINT64_MAX;
	for (unsigned i = 0; i < q->n; i++)
		far = ns_max(far, deadline(q, i));
	if (admit_common(q, REIN_ADMISSION_BACKLOG_MIN_NS) == 0)
		found = halve(q, admit_common, REIN_ADMISSION_BACKLOG_MIN_NS, far);
	return ns_max(found, q->largest);
}

/* The largest limit with which the set is safe; 0: none. Negative errors cannot come any more. */
static uint64_t largest_backlog(struct question *q)
{
	if (admit_limited(q, UINT64_MAX) == 0)
		return room_above(q);
	if (admit_limited(q, REIN_ADMISSION_BACKLOG_MIN_NS) != 0)
		return 0;
	return halve(q, admit_limited, REIN_ADMISSION_BACKLOG_MIN_NS, q->largest);
}

/* The earliest later deadline for the candidate, which stays set; 0: none, the old one stays. */
static uint64_t later_deadline(struct question *q)
{
	struct rein_task *t = &q->task[q->candidate];
	uint64_t declared = t->deadline_ns, asked = deadline(q, q->candidate);
	uint64_t far = ns_max(t->period_ns, ns_min(4 * asked, REIN_ADMISSION_TIME_MAX_NS));
	if (far > asked && admit_deadline(q, far) == 0) {
		t->deadline_ns = halve(q, admit_deadline, far, asked);
		return t->deadline_ns;
	}
	t->deadline_ns = declared;
	return 0;
}

/* ---------------------------------------------------------------- saying it */

static bool timed(const struct question *q, unsigned i)
{
	return i < q->n && q->task[i].period_ns != 0;
}

/* The task with the least slack, of those that have a bound; of the others if only they can be the
 * reason why the set is not safe. */
static void find_binding(const struct question *q, int result, struct rein_admission *out)
{
	bool found = false;
	out->binding = q->n;
	for (unsigned i = 0; i < q->n; i++) {
		if (!timed(q, i) || q->response[i] == UINT64_MAX)
			continue;
		int64_t slack = (int64_t)(deadline(q, i) - q->response[i]);
		if (found && slack >= out->slack_ns)
			continue;
		found = true;
		out->binding = i;
		out->slack_ns = slack;
	}
	if (result == 0 || (found && out->slack_ns < 0))
		return;
	out->binding = q->n;
	out->slack_ns = INT64_MIN;
	for (unsigned i = q->n; i-- > 0;)
		if (timed(q, i) && q->response[i] == UINT64_MAX &&
		    (out->binding == q->n || out->binding != q->candidate))
			out->binding = i;
}

struct text {
	char s[24];
};

static struct text ms(uint64_t ns)
{
	struct text t;
	uint64_t us = ns_periods(ns, 1000);
	int n = snprintf(t.s, sizeof(t.s), "%llu.%03u", (unsigned long long)(us / 1000),
	                 (unsigned)(us % 1000));
	while (t.s[n - 1] == '0')
		n--;
	t.s[t.s[n - 1] == '.' ? n - 1 : n] = 0;
	return t;
}

static struct text name(const struct question *q, unsigned i)
{
	struct text t;
	if (q->task[i].name)
		snprintf(t.s, sizeof(t.s), "%s", q->task[i].name);
	else
		snprintf(t.s, sizeof(t.s), "client %u", q->task[i].id);
	return t;
}

REIN_PRINTF(2, 3) static void say(struct rein_admission *out, const char *fmt, ...)
{
	size_t n = strlen(out->why);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(out->why + n, sizeof(out->why) - n, fmt, ap);
	va_end(ap);
}

/* What all tasks with timing ask of the GPU. */
static uint64_t utilisation(const struct question *q)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < q->n; i++)
		if (timed(q, i))
			sum = ns_add(sum,
			             ns_scale(q->task[i].cost_ns, PART_ONE, q->task[i].period_ns));
	return sum;
}

static void say_safe(const struct question *q, struct rein_admission *out)
{
	unsigned i = q->candidate;
	if (i < q->n && out->verdict == REIN_ADMIT_NONE)
		say(out, "%s: runs without a promise: the policy %s gives none to its class",
		    name(q, i).s, q->ops->name);
	else if (i < q->n && !timed(q, i))
		say(out, "%s: runs, and no promise depends on its timing", name(q, i).s);
	else if (i < q->n)
		say(out, "%s: ends within %s of its %s ms", name(q, i).s, ms(out->response_ns).s,
		    ms(out->deadline_ns).s);
	else if (out->binding < q->n)
		say(out, "all deadlines can be kept");
	else
		say(out, "no deadlines to keep");
	if (out->binding < q->n && out->binding != i)
		say(out, "; least slack: %s, %s ms", name(q, out->binding).s,
		    ms((uint64_t)out->slack_ns).s);
	if (out->backlog_ns != UINT64_MAX)
		say(out, "; less urgent programs may keep %s ms queued", ms(out->backlog_ns).s);
}

/* What cannot be made smaller by asking. */
static void say_longest(const struct question *q, unsigned of, struct rein_admission *out)
{
	unsigned k = of == 0 ? 1 : 0;
	for (unsigned i = k; i < q->n; i++)
		if (i != of && q->task[i].longest_ns > q->task[k].longest_ns)
			k = i;
	if (k < q->n && q->task[k].longest_ns > REIN_ADMISSION_BACKLOG_MIN_NS)
		say(out, " (the longest kernel: %s's, %s ms)", name(q, k).s,
		    ms(q->task[k].longest_ns).s);
}

static void say_unsafe(const struct question *q, struct rein_admission *out)
{
	unsigned i = q->candidate, b = out->binding;
	uint64_t parts = utilisation(q);
	if (timed(q, i))
		say(out, "%s cannot have %s ms: ", name(q, i).s, ms(out->deadline_ns).s);
	else if (i < q->n)
		say(out, "%s cannot be let in: ", name(q, i).s);
	if (parts > PART_ONE)
		say(out, "the reservations ask for %llu%% of the GPU; ",
		    (unsigned long long)(ns_min(parts, UINT64_MAX / 2) / (PART_ONE / 100)));
	if (out->slack_ns == INT64_MIN) {
		say(out, "%s gets no bound", name(q, b).s);
		if (parts <= PART_ONE)
			say(out, ": one at least as urgent declares no timing, or a cap or ageing "
			         "is in its way, or the GPU is nearly full");
	} else {
		say(out,
		    "%s could take %s of its %s ms, even if others keep no more than %s ms queued",
		    b == i ? "it" : name(q, b).s, ms(q->response[b]).s, ms(deadline(q, b)).s,
		    ms(REIN_ADMISSION_BACKLOG_MIN_NS).s);
		say_longest(q, b, out);
	}
}

/* Why `admit` found that the set makes no sense. */
static void say_nonsense(const struct question *q, int err, struct rein_admission *out)
{
	if (err == -E2BIG) {
		say(out, "%u programs are too many; at most %d can be analysed", q->n,
		    REIN_POLICY_TASKS_MAX);
		return;
	}
	for (unsigned i = 0; i < q->n; i++) {
		const struct rein_task *t = &q->task[i];
		if (timed(q, i) && !t->cost_ns)
			say(out, "%s: a period needs a budget", name(q, i).s);
		else if (timed(q, i) && t->cost_ns > deadline(q, i))
			say(out, "%s: its cost of %s ms is above its deadline of %s ms",
			    name(q, i).s, ms(t->cost_ns).s, ms(deadline(q, i)).s);
		else
			continue;
		return;
	}
	say(out, "a time above %s ms, or a bad band", ms(REIN_ADMISSION_TIME_MAX_NS).s);
}

/* ---------------------------------------------------------------- the answer */

/* The earliest deadline that can be kept, and what is in the way of the one that was asked for.
 * Who asks for bandwidth, without a deadline, has none to move. */
static void offer_later(struct question *q, struct rein_admission *out)
{
	struct rein_admission asked = *out;
	if (!q->task[q->candidate].deadline_ns)
		return;
	find_binding(q, admit_limited(q, REIN_ADMISSION_BACKLOG_MIN_NS), &asked);
	asked.deadline_ns = deadline(q, q->candidate);
	say_unsafe(q, &asked);
	if (!later_deadline(q))
		return;
	out->verdict = REIN_ADMIT_LATER;
	out->backlog_ns = largest_backlog(q);
	memcpy(out->why, asked.why, sizeof(out->why));
}

static void answer(struct question *q, struct rein_admission *out)
{
	unsigned c = q->candidate;
	bool asks = timed(q, c);
	out->backlog_ns = largest_backlog(q);
	if (!out->backlog_ns && asks)
		offer_later(q, out);
	/* the bounds that go with the answer */
	int result =
	    admit_limited(q, out->backlog_ns ? out->backlog_ns : REIN_ADMISSION_BACKLOG_MIN_NS);
	find_binding(q, result, out);
	if (asks) {
		out->deadline_ns = deadline(q, c);
		out->response_ns = q->response[c];
	}
	if (result != 0)
		out->verdict = REIN_ADMIT_REJECT;
	else if (asks && q->response[c] == UINT64_MAX)
		out->verdict = REIN_ADMIT_NONE;
	if (out->verdict == REIN_ADMIT_LATER)
		return; /* it says already why not sooner */
	out->why[0] = 0;
	if (result == 0) {
		say_safe(q, out);
		return;
	}
	say_unsafe(q, out);
	say(out, "; ask for less budget, a longer period or a later deadline");
}

int rein_admission_ask(const struct rein_policy_ops *ops, const struct rein_policy_params *params,
                       const struct rein_task *task, unsigned n, unsigned candidate,
                       struct rein_admission *out)
{
	struct question q = {.ops = ops, .params = params, .n = n, .candidate = candidate};
	*out = (struct rein_admission){.verdict = REIN_ADMIT_ACCEPT,
	                               .response_ns = UINT64_MAX,
	                               .backlog_ns = UINT64_MAX,
	                               .binding = n};
	if (n > REIN_POLICY_TASKS_MAX || candidate > n) {
		say_nonsense(&q, -E2BIG, out);
		return n > REIN_POLICY_TASKS_MAX ? -E2BIG : -EINVAL;
	}
	for (unsigned i = 0; i < n; i++) {
		q.task[i] = task[i];
		q.largest = ns_max(q.largest, task[i].backlog_ns);
	}
	if (!ops->admit) {
		out->verdict = REIN_ADMIT_NONE;
		out->deadline_ns = candidate < n ? deadline(&q, candidate) : 0;
		say(out, "the policy %s promises nothing; classes, edf, cbs and prio do",
		    ops->name);
		return 0;
	}
	int err = admit_limited(&q, UINT64_MAX);
	if (err < 0) {
		say_nonsense(&q, err, out);
		return err;
	}
	answer(&q, out);
	return 0;
}
