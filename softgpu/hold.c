// SPDX-License-Identifier: Apache-2.0
/*
 * hold.c: this process kept off a device's SMs by control, and let on again, as a resource manager
 * does to a channel group (rm.c): the transitions of ledger.h, and the payloads that execute. What
 * a kernel has left stays as it is while the SMs are taken away.
 *
 * A payload executes ahead of its modelled time, in threads of the process: one that is long, or
 * spins, is made to stand still as well, so that nothing moves which a host could see moving.
 */
#include "core.h"

#include <errno.h>

#include "../common/clock.h"
#include "../common/futex.h"

/* Enters with the device's shared state at hand; else -errno. Leave by sg_core_leave(). */
static int enter(unsigned device)
{
	if (sg_core_enter() != CUDA_SUCCESS)
		return -ENODEV;
	if (sg_core.share && !sg_core.model->mps && device < sg_core.model->n_devices)
		return 0;
	sg_core_leave();
	return -ENOTSUP; /* nothing is shared, or everybody runs together */
}

void sg_hold_pause(struct sg_timeline *tl)
{
	if (rein_load_relaxed(&tl->paused))
		return;
	tl->paused_since_ns = rein_now_ns();
	rein_store_release(&tl->paused, 1);
}

static void go_on(struct sg_timeline *tl)
{
	if (!rein_load_relaxed(&tl->paused))
		return;
	tl->paused_ns += rein_now_ns() - tl->paused_since_ns;
	rein_store_release(&tl->paused, 0);
	rein_futex_wake_all(&tl->paused);
}

uint64_t sg_hold_paused_ns(const struct sg_timeline *tl)
{
	uint64_t ns = tl->paused_ns;
	return rein_load_relaxed(&tl->paused) ? ns + rein_now_ns() - tl->paused_since_ns : ns;
}

const rein_a32 *sg_cmd_pause(const struct sg_cmd *cmd)
{
	return &sg_core.device[cmd->engine->item->domain->device].paused;
}

int sg_hold(unsigned device, bool hold)
{
	int e = enter(device);
	if (e)
		return e;
	struct sg_timeline *tl = &sg_core.device[device];
	uint64_t now = rein_now_ns();
	sg_timeline_run(now);
	sg_share_hold(sg_core.share, device, hold, now + sg_core.model->resume_ns);
	if (!hold)
		go_on(tl);
	else if (!tl->sched.running)
		sg_hold_pause(tl);
	sg_timeline_run(rein_now_ns());
	sg_core_leave();
	return 0;
}

int sg_hold_preempt(unsigned device, uint64_t after_ns, bool wait)
{
	int e = enter(device);
	if (e)
		return e;
	uint64_t at = rein_now_ns() + after_ns + sg_core.model->preempt_ns;
	bool there = sg_core.device[device].sched.running;
	if (there)
		sg_share_evict(sg_core.share, device, at);
	sg_core_leave();
	if (!there || !wait)
		return 0;
	struct timespec until = rein_timespec(at);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	e = enter(device);
	if (e)
		return e;
	sg_timeline_run(rein_now_ns());
	sg_core_leave();
	return 0;
}

int sg_hold_slice(unsigned device, uint64_t slice_ns)
{
	int e = enter(device);
	if (e)
		return e;
	sg_share_slice(sg_core.share, device, slice_ns);
	sg_core_leave();
	return 0;
}
