// SPDX-License-Identifier: Apache-2.0
/* simclient.c: what the clients of a scenario become when all is read: defaults that depend on the
 * rest, files of times, references by name, copies. */
#include <errno.h>
#include <string.h>

#include "../common/clock.h"
#include "simfile_int.h"

/* Times in seconds in the first column; a first line that is no number is a heading. */
static int times_read(struct rein_simfile_reading *r, struct rein_simfile_client *e, FILE *f,
                      const char *path)
{
	char line[256], *end;
	size_t n = 0, room = 0;
	uint64_t *times = NULL;
	double first = 0, last = 0;
	for (int at = 1; fgets(line, sizeof(line), f); at++) {
		double x = strtod(line, &end);
		if (*line == '#' || (end == line && n == 0))
			continue;
		if (end == line || !(x >= 0) || x > 1e9 || (n && x < last)) {
			free(times);
			return rein_simfile_fail(
			    r, e->times_line,
			    "%s:%d: not a time; accepted: seconds in the first column, "
			    "ascending",
			    path, at);
		}
		first = n ? first : x;
		last = x;
		if (n == room) {
			room = room ? 2 * room : 256;
			uint64_t *grown = realloc(times, room * sizeof(*grown));
			if (!grown) {
				free(times);
				return rein_simfile_fail(r, e->times_line, "out of memory");
			}
			times = grown;
		}
		times[n++] = (uint64_t)((x - first) * e->scale * 1e9);
	}
	e->client.times_ns = times;
	e->client.n_times = (unsigned)n;
	return n ? 0 : rein_simfile_fail(r, e->times_line, "%s holds no times", path);
}

static int times_open(struct rein_simfile_reading *r, struct rein_simfile_client *e)
{
	char path[512];
	const char *slash = strrchr(r->path, '/');
	if (!*e->times)
		return rein_simfile_fail(r, e->line, "arrivals = times needs times = FILE");
	snprintf(path, sizeof(path), "%.*s%s",
	         slash && *e->times != '/' ? (int)(slash + 1 - r->path) : 0, r->path, e->times);
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	if (!f)
		return rein_simfile_fail(r, e->times_line, "cannot read %s: %s", path,
		                         strerror(errno));
	return times_read(r, e, f, path);
}

/* What a request takes alone, whatever its backlog. */
static uint64_t request_ns(const struct rein_sim_client *c)
{
	unsigned copies = (c->copy_in_ns > 0) + (c->copy_out_ns > 0);
	unsigned segments = c->kernels + copies;
	uint64_t gaps = c->gap_every && segments ? (segments - 1) / c->gap_every : 0;
	return c->kernels * c->kernel_ns + c->copy_in_ns + c->copy_out_ns +
	       segments * c->submit_ns + gaps * c->gap_ns;
}

static int client_finish(struct rein_simfile_reading *r, struct rein_simfile_client *e)
{
	struct rein_sim_client *c = &e->client;
	struct rein_policy_client *p = &c->policy;
	if (e->arrival == SIM_NOT_SAID)
		return rein_simfile_fail(r, e->line, "client '%s' has no arrivals", e->name);
	c->arrival = (enum rein_sim_arrival)e->arrival;
	if (c->kernels == SIM_NOT_SAID)
		c->kernels = c->kernel_ns ? 1 : 0;
	c->gap_every = c->gap_ns && !c->gap_every ? 1 : c->gap_every;
	c->unknown = e->unknown;
	c->declares = e->declares;
	p->prio = (int)e->priority;
	p->weight = (uint32_t)e->weight;
	p->latency_nice = (int)e->latency_nice;
	p->linger_us = (uint32_t)(e->linger_ns / REIN_US);
	p->backlog_launches = (uint32_t)e->launches;
	p->budget_hard = e->budget_mode;
	bool timed = p->deadline_ns || p->period_ns || p->budget_ns;
	p->declared = timed || e->priority || e->band != SIM_NOT_SAID;
	if (timed && !p->budget_ns)
		p->budget_ns = request_ns(c);
	p->band = e->band != SIM_NOT_SAID ? (enum rein_band)e->band
	          : timed                 ? REIN_BAND_REALTIME
	          : p->prio               ? REIN_BAND_INTERACTIVE
	                                  : REIN_BAND_BATCH;
	if (c->arrival == REIN_SIM_AFTER && !*e->after)
		return rein_simfile_fail(r, e->line, "arrivals = after needs after = CLIENT");
	return c->arrival == REIN_SIM_TIMES ? times_open(r, e) : 0;
}

static int find_after(struct rein_simfile_reading *r, const struct rein_simfile_client *e,
                      unsigned *out)
{
	unsigned at = 0;
	for (unsigned i = 0; i < r->n; at += r->entry[i++].count)
		if (strcmp(r->entry[i].name, e->after) == 0) {
			*out = at;
			return 0;
		}
	return rein_simfile_fail(r, e->after_line, "there is no client '%s'", e->after);
}

/* Each entry `count` times; names of copies get a number. */
int rein_simfile_clients(struct rein_simfile_reading *r)
{
	unsigned n = 0, at = 0;
	for (unsigned i = 0; i < r->n; i++) {
		if (client_finish(r, &r->entry[i]))
			return -EINVAL;
		n += r->entry[i].count;
	}
	if (!n || n > REIN_SIM_CLIENTS_MAX)
		return rein_simfile_fail(r, r->line, "there are %u clients; accepted: 1 to %d", n,
		                         REIN_SIM_CLIENTS_MAX);
	struct rein_sim_client *c = r->file->client = calloc(n, sizeof(*c));
	if (!c)
		return rein_simfile_fail(r, r->line, "out of memory");
	r->file->setup.client = c;
	for (unsigned i = 0; i < r->n; i++) {
		struct rein_simfile_client *e = &r->entry[i];
		if (e->client.arrival == REIN_SIM_AFTER && find_after(r, e, &e->client.after))
			return -EINVAL;
		for (unsigned k = 0; k < e->count; k++) {
			char *name = NULL;
			int err = e->count > 1 ? asprintf(&name, "%s-%u", e->name, k + 1)
			                       : asprintf(&name, "%s", e->name);
			if (err < 0)
				return rein_simfile_fail(r, r->line, "out of memory");
			c[at] = e->client;
			c[at].name = name;
			r->file->setup.n = ++at;
		}
	}
	return 0;
}
