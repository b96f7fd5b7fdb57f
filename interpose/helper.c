// SPDX-License-Identifier: Apache-2.0
#include "helper.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "../common/futex.h"
#include "agent.h"
#include "attach.h"
#include "backlog.h"
#include "demand.h"
#include "rmgate.h"
#include "point.h"
#include "slice.h"
#include "stream.h"
#include "submit.h"

#define TICK_MIN_NS (50 * REIN_US)
#define TICK_BUSY_MAX_NS REIN_MS     /* while submissions keep coming */
#define TICK_MAX_NS (4 * REIN_MS)    /* while a kernel keeps running */
#define COARSE_MAX_NS (10 * REIN_MS) /* requests end without us */
#define COARSE_AFTER 4               /* requests in a row that did */
#define LAST_RESORT_NS REIN_LEASE_NS
#define SYNC_PATIENCE_NS (20 * REIN_MS) /* a thread may wait for something else for ever */
#define INHIBIT_WAIT_NS (2 * REIN_LEASE_NS)
#define FOR_EVER (~0ull >> 1)

static rein_a32 inhibited; /* how many forbid driver calls now */
static rein_a32 in_call;   /* threads of ours in the driver, or about to look at `inhibited` */
static rein_a32 dozing;    /* 1: asleep until woken; the futex */
static rein_a32 stopped;

/* ---------------------------------------------------------------- inhibiting */

bool rein_helper_inhibited(void)
{
	return rein_load_seqcst(&inhibited);
}

void rein_helper_inhibit(void)
{
	uint64_t until = 0;
	uint32_t calls;
	rein_add_seqcst(&inhibited, 1);
	while ((calls = rein_load_seqcst(&in_call)) != 0) {
		uint64_t now = rein_now_ns();
		if (!until)
			until = now + INHIBIT_WAIT_NS;
		if (now >= until)
			break;
		rein_futex_wait(&in_call, calls, until);
	}
}

void rein_helper_allow(void)
{
	rein_add_seqcst(&inhibited, (uint32_t)-1);
}

void rein_helper_stop(void)
{
	rein_store_release(&stopped, 1);
	rein_helper_inhibit();
}

bool rein_helper_on(void)
{
	return rein_attach_on() && !rein_load_acquire(&stopped);
}

void rein_helper_call_end(void)
{
	rein_add_seqcst(&in_call, (uint32_t)-1);
	if (rein_load_seqcst(&inhibited))
		rein_futex_wake_all(&in_call);
}

bool rein_helper_call_begin(void)
{
	rein_add_seqcst(&in_call, 1);
	if (!rein_load_seqcst(&inhibited) && !rein_capture_any())
		return true;
	rein_helper_call_end();
	return false;
}

/* ---------------------------------------------------------------- looking */

static bool askable(const struct rein_row *row)
{
	uint64_t handle = rein_load_relaxed(&row->handle);
	return rein_load_acquire(&row->state) == REIN_ROW_LIVE &&
	       handle != REIN_HANDLE_PER_THREAD && handle != REIN_HANDLE_OVERFLOW &&
	       rein_context_pushable(rein_load_relaxed(&row->context));
}

static CUresult ask(const struct rein_row *row)
{
	CUcontext ctx = (CUcontext)(uintptr_t)rein_load_relaxed(&row->context), popped;
	CUresult r = real.cuCtxPushCurrent_v2(ctx);
	if (r != CUDA_SUCCESS)
		return r;
	r = real.cuStreamQuery(
	    rein_slice_stands(row, (CUstream)(uintptr_t)rein_load_relaxed(&row->handle)));
	(void)real.cuCtxPopCurrent_v2(&popped);
	return r;
}

static bool look_at_row(struct rein_row *row)
{
	if (rein_load_acquire(&row->flags) & REIN_ROW_GONE)
		return rein_row_complete(row, rein_load_seqcst(&row->returned));
	if (!askable(row) || !rein_helper_call_begin())
		return false;
	bool news = false;
	if (askable(row)) { /* not destroyed before we were in the call */
		uint64_t target = rein_load_seqcst(&row->returned);
		CUresult r = ask(row);
		if (r == CUDA_SUCCESS || rein_sync_is_fatal(r))
			news = rein_row_complete(row, target);
	}
	rein_helper_call_end();
	return news;
}

/*
 * Nobody can ask about another thread's per-thread default stream, a green context's streams, or a
 * destroyed stream without a mark. What had no submission for a lease counts as over, whatever
 * other streams are given: their requests would else never end. The daemon would take a quiet
 * client for stalled anyway, and waiting for the context in the driver would hold up whoever
 * destroys a stream or begins a capture meanwhile.
 */
static bool give_up_on(unsigned i, uint64_t now, bool last_resort)
{
	static struct {
		uint64_t returned, since_ns;
	} seen[REIN_ROWS];
	struct rein_row *row = rein_row_used(i);
	uint64_t returned = rein_load_seqcst(&row->returned);
	if (!rein_row_outstanding(row) || askable(row))
		return false;
	if (seen[i].returned != returned || rein_point_closed()) {
		seen[i].returned = returned;
		seen[i].since_ns = now;
	}
	last_resort |= now - seen[i].since_ns >= LAST_RESORT_NS && !rein_sync_under_way();
	return last_resort && !rein_mark_tells(row) && rein_row_complete(row, returned);
}

bool rein_helper_look(bool last_resort)
{
	uint64_t now = rein_now_ns();
	bool news = rein_mark_look(true).done > 0;
	rein_point_look();
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		if (rein_row_outstanding(rein_row_used(i)))
			news |= look_at_row(rein_row_used(i));
	for (unsigned i = 0; i < n; i++)
		news |= give_up_on(i, now, last_resort);
	rein_demand_try_idle();
	return news;
}

/* ---------------------------------------------------------------- the thread */

static bool wanted(void)
{
	return rein_helper_on() && !rein_demand_is_idle();
}

static void nap(uint64_t ns)
{
	static rein_a32 nobody;
	rein_futex_wait(&nobody, 0, rein_now_ns() + ns);
}

/* The waker changes its word, then looks at `dozing`; we set `dozing`, then look at its word. */
static void doze(void)
{
	(void)rein_swap_seqcst(&dozing, 1);
	while (!wanted() && !rein_agent_due() && rein_load_seqcst(&dozing))
		rein_futex_wait(&dozing, 1, FOR_EVER);
	rein_store_release(&dozing, 0);
}

void rein_helper_wake(void)
{
	if (rein_attach_on() && rein_load_seqcst(&dozing) && rein_swap_seqcst(&dozing, 0))
		rein_futex_wake_all(&dozing);
}

static uint64_t linger_ns(void)
{
	uint64_t ns = rein_load_relaxed(&REIN_CONTROL->linger_us) * REIN_US;
	return ns < TICK_MIN_NS ? TICK_MIN_NS : ns > COARSE_MAX_NS ? COARSE_MAX_NS : ns;
}

static bool any_outstanding(void)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		if (rein_row_outstanding(rein_row_used(i)))
			return true;
	return false;
}

static uint64_t longer(uint64_t tick_ns, uint64_t max_ns)
{
	return tick_ns * 2 > max_ns ? max_ns : tick_ns * 2;
}

static void make_slices(void)
{
	if (!rein_slice_missing() || !rein_helper_call_begin())
		return;
	rein_slice_make();
	rein_helper_call_end();
}

/* Not while anything is captured; then it is tried again. */
static void start_agent(void)
{
	if (!rein_agent_due() || !rein_helper_call_begin())
		return;
	rein_agent_start();
	rein_helper_call_end();
}

/* From active to idle. True: no look of ours was needed for it. */
static bool watch_request(void)
{
	uint64_t seen = rein_rows_begun(), tick = linger_ns(), quiet = 0;
	bool unaided = true;
	rein_backlog_sample_next(seen);
	make_slices();
	for (;;) {
		nap(tick);
		rein_demand_totals();
		rein_rmgate_arm();
		make_slices();
		start_agent();
		if (!wanted())
			return unaided;
		uint64_t begun = rein_rows_begun();
		if (begun != seen) {
			seen = begun;
			quiet = 0;
			rein_backlog_sample_next(begun);
			tick = longer(tick, TICK_BUSY_MAX_NS);
			continue;
		}
		quiet += tick;
		if (rein_sync_under_way() && quiet < SYNC_PATIENCE_NS) {
			tick = longer(tick, TICK_MAX_NS); /* its return will tell */
			continue;
		}
		if (rein_backlog_watches()) { /* a waiting thread looks for itself */
			tick = longer(tick, TICK_MAX_NS);
		} else if (!any_outstanding()) {
			rein_demand_try_idle();
			tick = longer(tick, TICK_MAX_NS);
		} else if (rein_helper_look(false)) {
			unaided = false;
			tick = linger_ns();
		} else {
			tick = longer(tick, TICK_MAX_NS);
		}
	}
}

void *rein_helper_main(void *unused)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	unsigned streak = 0;
	prctl(PR_SET_NAME, "rein-helper");
	(void)real.cuThreadExchangeStreamCaptureMode(&mode);
	while (!rein_load_acquire(&stopped)) {
		start_agent();
		if (!wanted()) {
			if (rein_agent_due())
				nap(COARSE_MAX_NS);
			doze();
			continue;
		}
		streak = watch_request() ? streak + 1 : 0;
		/* Requests that end by themselves: stay up for a while, so that the next one
		 * need not wake us, and look now and then whether that is still so. */
		uint64_t coarse = linger_ns();
		for (unsigned i = COARSE_AFTER; i < streak && coarse < COARSE_MAX_NS; i++)
			coarse *= 2;
		uint64_t begun;
		do {
			begun = rein_rows_begun();
			if (streak >= COARSE_AFTER)
				nap(coarse < COARSE_MAX_NS ? coarse : COARSE_MAX_NS);
		} while (!wanted() && rein_rows_begun() != begun && rein_attach_on());
	}
	return NULL;
}
