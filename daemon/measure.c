// SPDX-License-Identifier: Apache-2.0
/*
 * measure.c: what a client's requests took: GPU time, response times, deadlines met and missed;
 * and its longest kernel. Admission compares them with what was declared.
 *
 * Kernel times are the client's word: only rows with samples count, and no more than a second of
 * each is believed, so that a made-up one cannot make every other promise void.
 */
#include "arbiter_int.h"

#include <string.h>

#include "../common/clock.h"
#include "../common/sms.h"

#define LONGEST_MAX_NS REIN_S
#define SAMPLES_MIN 2 /* the first often holds a lazy load (common/kmodel.h) */

void rein_measure_begin(struct rein_arbiter_client *c)
{
	c->history.begun_used_ns = c->policy.used_ns;
}

void rein_measure_end(struct rein_arbiter_client *c, uint64_t end_ns)
{
	struct rein_arbiter_history *h = &c->history;
	const struct rein_policy_client *p = &c->policy;
	h->cost_ns[h->requests++ % REIN_MEASURED_COSTS] = p->used_ns - h->begun_used_ns;
	h->begun_used_ns = p->used_ns;
	uint64_t took_ns = end_ns > p->release_ns ? end_ns - p->release_ns : 0;
	rein_histogram_add(&h->response, took_ns);
	rein_recent_response(c, took_ns, end_ns);
	if (c->tally)
		rein_histogram_add(&c->tally->response, took_ns);
	if (!p->due_ns)
		return;
	bool met = end_ns <= p->due_ns;
	*(met ? &h->met : &h->missed) += 1;
	if (c->tally)
		*(met ? &c->tally->met : &c->tally->missed) += 1;
	if (met)
		return;
	if (end_ns - p->due_ns > h->late_max_ns)
		h->late_max_ns = end_ns - p->due_ns;
}

void rein_measure_tick(struct rein_arbiter *a)
{
	uint64_t longest_ns = 0;
	unsigned longest = 0;
	struct rein_kmodel_entry row;
	if (!a->n)
		return;
	struct rein_arbiter_client *c = a->client[a->turn++ % a->n];
	for (unsigned i = 0; i < REIN_KMODEL_ROWS; i++) {
		const struct rein_kmodel_row *r = &c->status->kmodel.row[i];
		if (!rein_load_acquire(&r->key) || rein_load_acquire(&r->count) < SAMPLES_MIN)
			continue;
		uint64_t high_ns = rein_load_relaxed(&r->high_ns);
		uint64_t mean_ns = rein_load_relaxed(&r->mean_ns);
		high_ns = high_ns > mean_ns ? high_ns : mean_ns;
		longest = high_ns > longest_ns ? i : longest;
		longest_ns = high_ns > longest_ns ? high_ns : longest_ns;
	}
	longest_ns = rein_min_ns(longest_ns, LONGEST_MAX_NS);
	if (longest_ns != c->history.longest_ns && c->sms & REIN_SMS_LONG)
		rein_device_mark(a, c); /* its slice goes by that, though nobody came or went */
	c->history.longest_ns = longest_ns;
	if (!longest_ns || !rein_kmodel_read(&c->status->kmodel, longest, &row))
		row.name[0] = 0;
	memcpy(c->history.longest_name, row.name, sizeof(row.name));
}

void rein_arbiter_measured(const struct rein_arbiter_client *c, struct rein_measured *out)
{
	const struct rein_arbiter_history *h = &c->history;
	memset(out, 0, sizeof(*out));
	uint64_t most[REIN_MEASURED_REPEATED] = {0}; /* falling */
	for (unsigned i = 0; i < REIN_MEASURED_COSTS && i < h->requests; i++) {
		unsigned k = REIN_MEASURED_REPEATED;
		for (; k && h->cost_ns[i] > most[k - 1]; k--)
			if (k < REIN_MEASURED_REPEATED)
				most[k] = most[k - 1];
		if (k < REIN_MEASURED_REPEATED)
			most[k] = h->cost_ns[i];
	}
	out->cost_ns = most[0];
	out->cost_repeated_ns = most[REIN_MEASURED_REPEATED - 1];
	out->longest_ns = h->longest_ns;
	memcpy(out->longest_name, h->longest_name, sizeof(out->longest_name));
	out->met = h->met;
	out->missed = h->missed;
	out->late_max_ns = h->late_max_ns;
	out->response_p99_ns = rein_histogram_quantile(&h->response, 990);
}

void rein_arbiter_counts(const struct rein_arbiter_client *c, struct rein_counts *out)
{
	const struct rein_status *st = c->status;
	*out = (struct rein_counts){
	    .submissions = rein_load_relaxed(&st->total.submissions),
	    .requests = rein_load_relaxed(&st->total.requests),
	    .gate_waits = rein_load_relaxed(&st->total.gate_waits),
	    .gate_wait_ns = rein_load_relaxed(&st->total.gate_wait_ns),
	    .backlog_waits = rein_load_relaxed(&st->total.backlog_waits),
	    .backlog_wait_ns = rein_load_relaxed(&st->total.backlog_wait_ns),
	    .lapses = rein_load_relaxed(&st->total.lapses),
	    .points = rein_load_relaxed(&st->points),
	    .context_holds = c->points ? rein_load_relaxed(&c->points->context_holds) : 0,
	    .used_ns = c->policy.used_ns,
	    .preemptions = c->history.preemptions,
	    .missed = c->history.missed};
}
