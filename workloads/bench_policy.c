// SPDX-License-Identifier: Apache-2.0
/*
 * bench_policy.c: what one decision of each policy takes on this machine's CPU, with few clients on
 * the device and with many: the median and the 99th percentile of single decisions, each after
 * something has changed. Half of the clients are active. They are of all kinds (deadlines, budgets,
 * priorities, and half of them undeclared), or, for the policies that take turns, all undeclared:
 * then the lowest policy is asked each time.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "../policy/policy.h"
#include "lib/clock.h"
#include "lib/jsonout.h"
#include "lib/benchout.h"
#include "lib/stats.h"
#include "lib/table.h"

#define CLIENTS_MAX 256
#define DECISIONS 40000
#define WARM_UP 1000

static const struct {
	unsigned clients;
	uint64_t wanted_ns; /* at most */
} sizes[] = {{16, 1000}, {256, 5000}};

struct device {
	struct rein_policy *p;
	unsigned n;
	bool undeclared; /* all of them */
	uint64_t now_ns, seed;
	struct rein_policy_client client[CLIENTS_MAX];
	struct rein_policy_client *list[CLIENTS_MAX];
	struct rein_policy_verdict verdict[CLIENTS_MAX];
};

static unsigned below(struct device *d, unsigned limit)
{
	d->seed = d->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((d->seed >> 33) % limit);
}

static struct rein_policy_client client(unsigned i, bool undeclared)
{
	struct rein_policy_client c = {.id = i + 1,
	                               .job = i + 1,
	                               .weight = 100 * (1 + i % 8),
	                               .band = REIN_BAND_BATCH,
	                               .backlog_ns = REIN_POLICY_BACKLOG_NS,
	                               .backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES};
	if (undeclared)
		return c;
	if (i % 8 == 0 || i % 8 == 1) {
		c.band = REIN_BAND_REALTIME;
		c.period_ns = (20 + i) * REIN_MS;
		c.deadline_ns = i % 8 == 0 ? c.period_ns : 0;
		c.budget_ns = REIN_MS;
	} else if (i % 8 < 4) {
		c.band = REIN_BAND_INTERACTIVE;
		c.prio = 1 + (int)(i % 99);
	}
	return c;
}

static bool join_all(struct device *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		d->client[i] = client(i, d->undeclared);
		d->list[i] = &d->client[i];
		if (d->p->ops->join && d->p->ops->join(d->p, d->list[i], d->now_ns))
			return false;
	}
	return true;
}

/* A request begins or ends somewhere, and somebody is charged for the time that has passed. */
static void change(struct device *d)
{
	const struct rein_policy_ops *ops = d->p->ops;
	uint64_t ns = 100000 + below(d, 1000000);
	struct rein_policy_client *c = d->list[below(d, d->n)];
	struct rein_policy_client *ran = d->list[below(d, d->n)];
	d->now_ns += ns;
	if (ops->charge)
		ops->charge(d->p, ran, d->now_ns, ns);
	c->active = !c->active;
	c->active_since_ns = c->release_ns = d->now_ns;
	c->due_ns = c->deadline_ns ? d->now_ns + c->deadline_ns : 0;
	if (c->active && ops->ready)
		ops->ready(d->p, c, d->now_ns);
	if (!c->active && ops->idle)
		ops->idle(d->p, c, d->now_ns);
}

static int measure(const struct rein_policy_ops *ops, unsigned n, bool undeclared, uint64_t *ns)
{
	static struct device d;
	memset(&d, 0, sizeof(d));
	d.n = n;
	d.undeclared = undeclared;
	d.now_ns = REIN_S;
	d.p = ops->init(NULL);
	if (!d.p || !join_all(&d)) {
		fprintf(stderr, "bench_policy: out of memory\n");
		return -1;
	}
	for (unsigned i = 0; i < WARM_UP + DECISIONS; i++) {
		change(&d);
		uint64_t t0 = wl_now_ns();
		/* the arbiter clears them for each decision: part of what one costs */
		memset(d.verdict, 0, n * sizeof(d.verdict[0]));
		ops->decide(d.p, d.list, d.verdict, n, d.now_ns);
		if (i >= WARM_UP)
			ns[i - WARM_UP] = wl_now_ns() - t0;
	}
	for (unsigned i = 0; ops->leave && i < n; i++)
		ops->leave(d.p, d.list[i], d.now_ns);
	ops->fini(d.p);
	wl_sort(ns, DECISIONS);
	return 0;
}

/* What it takes to read the clock twice is not the policy's. */
static uint64_t clock_cost_ns(uint64_t *ns)
{
	for (unsigned i = 0; i < DECISIONS; i++) {
		uint64_t t0 = wl_now_ns();
		ns[i] = wl_now_ns() - t0;
	}
	wl_sort(ns, DECISIONS);
	return wl_percentile(ns, DECISIONS, 50);
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static int row(struct wl_table *t, struct wl_out *o, const struct rein_policy_ops *ops,
               bool undeclared, uint64_t clock_ns)
{
	static uint64_t ns[DECISIONS];
	const char *cell[2 * REIN_ARRAY_LEN(sizes)];
	for (unsigned i = 0; i < REIN_ARRAY_LEN(sizes); i++) {
		if (measure(ops, sizes[i].clients, undeclared, ns))
			return 1;
		uint64_t median = less(wl_percentile(ns, DECISIONS, 50), clock_ns);
		uint64_t p99 = less(wl_percentile(ns, DECISIONS, 99), clock_ns);
		cell[2 * i] = wl_cell("%llu%s", (unsigned long long)median,
		                      median > sizes[i].wanted_ns ? " missed" : "");
		cell[2 * i + 1] = wl_cell("%llu", (unsigned long long)p99);
		wl_out_object(o, NULL);
		wl_out_string(o, "policy", ops->name);
		wl_out_string(o, "mix", undeclared ? "undeclared" : "all kinds");
		wl_out_uint(o, "clients", sizes[i].clients);
		wl_out_uint(o, "decide_ns", median);
		wl_out_uint(o, "decide_p99_ns", p99);
		wl_out_uint(o, "wanted_ns", sizes[i].wanted_ns);
		wl_out_end(o);
	}
	wl_table_row(t, wl_cell("%s%s", ops->name, undeclared ? ", all undeclared" : ""), cell[0],
	             cell[1], cell[2], cell[3]);
	return 0;
}

/* Those that take turns among the undeclared. */
static bool takes_turns(const struct rein_policy_ops *ops)
{
	return strcmp(ops->name, "classes") == 0 || strcmp(ops->name, "mlfq") == 0 ||
	       strcmp(ops->name, "fair") == 0;
}

static int run(const char *out)
{
	static uint64_t ns[DECISIONS];
	struct wl_table t = {.columns = 5};
	struct wl_out o;
	char path[PATH_MAX];
	uint64_t clock_ns = clock_cost_ns(ns);
	snprintf(path, sizeof(path), "%s/policy.json", out);
	wl_out_file(&o, path);
	wl_out_object(&o, NULL);
	wl_out_uint(&o, "schema_version", 1);
	wl_out_array(&o, "rows");
	wl_table_row(&t, "decide, ns", "16 clients", "p99", "256 clients", "p99");
	for (unsigned p = 0; rein_policies[p]; p++) {
		if (row(&t, &o, rein_policies[p], false, clock_ns))
			return 1;
		if (takes_turns(rein_policies[p]) && row(&t, &o, rein_policies[p], true, clock_ns))
			return 1;
	}
	wl_out_end(&o);
	wl_out_end(&o);
	printf(
	    "\nOne decision on this machine's CPU, by policy and clients on the device: median of "
	    "%d; wanted: at most %llu and %llu ns.\n\n",
	    DECISIONS, (unsigned long long)sizes[0].wanted_ns,
	    (unsigned long long)sizes[1].wanted_ns);
	wl_table_markdown(&t, stdout);
	if (wl_out_close(&o))
		return 1;
	printf("\n%s\n", path);
	return 0;
}

static const char usage[] = "usage: bench_policy [--out DIR]\n"
			    "  --out DIR      where policy.json goes (default: bench/ in the build "
			    "folder)\n"
			    "Exit status: 0 done, 1 a measurement failed, 2 usage.\n";

int main(int argc, char **argv)
{
	char out[PATH_MAX / 2];
	return wl_bench_out(argc, argv, usage, out, sizeof(out)) ? 1 : run(out);
}
