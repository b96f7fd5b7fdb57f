// SPDX-License-Identifier: Apache-2.0
/*
 * job.c: which clients run together. The members of a job form a ring; a client alone is a ring of
 * one. A job is *wide* if it uses more than one device: only then does what one device's policy
 * says matter on another (decide.c).
 */
#include "arbiter_int.h"

void rein_job_refresh(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	uint64_t devices = 0;
	struct rein_arbiter_client *m = c;
	do
		devices |= m->devices;
	while ((m = m->mate) != c);
	do {
		a->wide -= rein_client_wide(m);
		m->job_devices = devices;
		a->wide += rein_client_wide(m);
		rein_device_mark(a, m);
	} while ((m = m->mate) != c);
}

static bool is_full(const struct rein_arbiter_client *c)
{
	unsigned n = 1;
	for (const struct rein_arbiter_client *m = c->mate; m != c; m = m->mate)
		n++;
	return n >= REIN_JOB_MAX;
}

void rein_job_enter(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	c->mate = c;
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *m = a->client[i];
		if (m == c || m->policy.job != c->policy.job || is_full(m))
			continue;
		c->mate = m->mate;
		m->mate = c;
		break;
	}
	rein_job_refresh(a, c);
}

void rein_job_leave(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	struct rein_arbiter_client *before = c;
	while (before->mate != c)
		before = before->mate;
	before->mate = c->mate;
	c->mate = c;
	rein_job_refresh(a, c);
	if (before != c)
		rein_job_refresh(a, before);
}
