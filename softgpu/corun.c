// SPDX-License-Identifier: Apache-2.0
/*
 * corun.c: the SMs of a device whose processes run together (SOFTGPU_MPS=1), as timeline.c has
 * them with time slices: hands the kernels that are ready to the shared placement (mps.h), brings
 * back when they ran, and writes the owner log: when at least one of them was on the SMs.
 *
 * Everything here is under the engine's lock; nothing waits.
 */
#include "core.h"

#include <string.h>

#include "../common/clock.h"

#define LOG_CHUNK_NS (100 * REIN_MS)

void sg_corun_add(struct sg_timeline *tl, struct sg_kernel *k)
{
	k->job = SG_MPS_JOBS;
	k->told = k->done = k->started = false;
	struct sg_kernel **at = &tl->corun;
	while (*at && (*at)->priority <= k->priority)
		at = &(*at)->next;
	k->next = *at;
	*at = k;
	tl->corun_news = true;
}

/* Is there anything to say or to hear? */
static bool is_due(struct sg_timeline *tl, unsigned device)
{
	bool due = tl->corun_news || tl->acked[0] || tl->acked[1];
	for (const struct sg_kernel *k = tl->corun; k && !due; k = k->next)
		due = k->solo_ns && !k->told && k->job != SG_MPS_JOBS;
	return due || (tl->corun && (rein_now_ns() >= tl->corun_wake_ns ||
	                             sg_share_news(sg_core.share, device)));
}

/* ---- the owner log */

static void log_ran(struct sg_timeline *tl)
{
	sg_record_owned(tl->ran_from_ns, tl->ran_to_ns);
	tl->ran_from_ns = tl->ran_to_ns;
}

/* When the first of those began that are still there. */
static uint64_t first_start(const struct sg_timeline *tl)
{
	uint64_t t = SG_NEVER;
	for (const struct sg_kernel *k = tl->corun; k; k = k->next)
		if (k->started && k->start_ns < t)
			t = k->start_ns;
	return t;
}

/* A kernel ran from start to end. The log gets each stretch of time once. */
static void note_ran(struct sg_timeline *tl, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t first = first_start(tl);
	uint64_t from = start_ns < first ? start_ns : first;
	if (from > tl->ran_to_ns) {
		log_ran(tl);
		tl->ran_from_ns = tl->ran_to_ns = from;
	}
	if (end_ns > tl->ran_to_ns) {
		tl->sched.busy_ns += end_ns - tl->ran_to_ns;
		tl->ran_to_ns = end_ns;
	}
	if (tl->ran_to_ns - tl->ran_from_ns >= LOG_CHUNK_NS)
		log_ran(tl);
}

/* ---- rounds */

/* Takes those that have completed off the list. */
static struct sg_kernel *take_done(struct sg_timeline *tl)
{
	struct sg_kernel *done = NULL, **tail = &done;
	for (struct sg_kernel **at = &tl->corun; *at;) {
		struct sg_kernel *k = *at;
		if (!k->done) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		k->next = NULL;
		*tail = k;
		tail = &k->next;
	}
	for (const struct sg_kernel *k = done; k; k = k->next)
		note_ran(tl, k->start_ns, k->end_ns);
	return done;
}

/* As run_device() in timeline.c. */
bool sg_corun_run(struct sg_timeline *tl, unsigned device, uint64_t to_ns)
{
	uint64_t now = rein_now_ns();
	if (!is_due(tl, device))
		return false;
	if (tl->corun && now - tl->looked_ns >= SG_LIVENESS_NS) {
		tl->looked_ns = now;
		sg_share_bury(sg_core.share);
	}
	struct sg_mps_round r = {.now_ns = now, .to_ns = to_ns, .kernels = tl->corun};
	memcpy(r.acked, tl->acked, sizeof(r.acked));
	if (sg_share_round(sg_core.share, device, &r) != 0) {
		tl->corun_wake_ns = now + REIN_MS; /* no memory: later */
		return false;
	}
	tl->corun_news = false;
	tl->corun_wake_ns = r.wake_ns;
	memcpy(tl->acked, r.done, sizeof(r.done));
	struct sg_kernel *done = take_done(tl);
	sg_timeline_kernels_done(done);
	return done != NULL;
}

uint64_t sg_corun_wake_ns(const struct sg_timeline *tl, uint64_t now_ns)
{
	if (tl->acked[0] || tl->acked[1])
		return now_ns;
	if (!tl->corun || tl->corun_wake_ns == SG_NEVER)
		return SG_NEVER;
	return tl->corun_wake_ns;
}

void sg_corun_stop(struct sg_timeline *tl)
{
	log_ran(tl);
}
