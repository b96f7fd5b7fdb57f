// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_preempt.c: what does PREEMPT alone do to a running kernel? Runs under preload/rm_spy.so.
 *
 * Asks: this process keeps long kernels running, with every multiprocessor busy, and preempts its
 * own channel group again and again: how long does the call take, does the kernel leave the GPU,
 * how soon does it run again when nobody else wants the GPU, is its result intact? Read: the calls
 * by the host's clock; the kernel itself notes by the GPU's clock each time between two chunks of
 * its work (5 µs) that is above 20 µs, which is a stay off the GPU: save, wait, restore. The same
 * without preemptions comes first, for comparison. preempt_gaps_per_call near 1: each call stopped
 * the kernel; 0: it did not.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/ctx.h"

#define LIMIT_S 45
#define CALLS 300
#define QUICK_CALLS 10
#define APART_US 3000
#define TIMEOUT_US 100000
#define REFUSALS_MAX 5

WL_EMBED(gpu_kernels, GPU_FATBIN);

static struct wl_load load;

static void undisturbed(unsigned ms)
{
	struct wl_samples gaps = {0};
	wl_load_clear_gaps(&load);
	usleep(ms * 1000);
	uint64_t n = wl_load_gaps(&load, &gaps);
	wl_fact("context-gate.undisturbed_gaps", (double)n, "gaps",
	        "above %d us within %u ms of a kernel alone on the GPU, nothing preempted",
	        WL_GAP_NS / 1000, ms);
	if (n)
		wl_fact_samples("context-gate.undisturbed_gap_us", "us", &gaps, 1e3, NULL);
	wl_samples_fini(&gaps);
}

/* Number of calls that succeeded. */
static unsigned preempt(const struct wl_rm_group *g, unsigned calls)
{
	struct wl_samples call = {0};
	unsigned done = 0, refused = 0;
	struct wl_rm_result r = {0}, bad = {0};
	for (unsigned i = 0; i < calls && refused < REFUSALS_MAX && !atomic_load(&load.failed);
	     i++) {
		r = wl_rm_preempt(g, TIMEOUT_US);
		if (wl_rm_ok(r)) {
			done++;
			wl_samples_add(&call, r.ns);
		} else {
			refused++;
			bad = r;
		}
		usleep(APART_US + i % 7 * 100);
	}
	wl_fact_text("context-gate.preempt_status", wl_rm_result_text(refused ? bad : r),
	             "%u calls succeeded, %u did not", done, refused);
	wl_fact_samples("context-gate.preempt_call_us", "us", &call, 1e3,
	                "PREEMPT(wait) of a group whose kernel fills the GPU, nobody else there");
	wl_samples_fini(&call);
	return done;
}

int main(int argc, char **argv)
{
	struct wl_shape shape = WL_SHAPE_DEFAULT;
	struct wl_rm_group g;
	struct wl_samples gaps = {0};
	char why[160];
	wl_shape_options(&shape, argc, argv);
	wl_guard(LIMIT_S);
	wl_load_open(&load, gpu_kernels, &shape);
	if (wl_rm_capture(&g, NULL, why, sizeof(why))) {
		wl_fact_skip("context-gate.preempt_status", "%s", why);
		return WL_EXIT_SKIPPED;
	}
	wl_guard_group(&g);
	wl_load_start(&load);
	if (!wl_load_moves(&load, wl_load_progress(&load), 5000)) {
		fprintf(stderr, "ctx_preempt: the kernel shows no progress\n");
		wl_guard_exit(1);
	}
	wl_fact("context-gate.chunk_us", load.chunk_ns / 1e3, "us",
	        "of work between two signs of progress: the resolution of what follows");
	undisturbed(shape.quick ? 50 : 1000);
	wl_load_clear_gaps(&load);
	unsigned done = preempt(&g, shape.quick ? QUICK_CALLS : CALLS);
	uint64_t n = wl_load_gaps(&load, &gaps);
	if (done) {
		wl_fact("context-gate.preempt_gaps_per_call", (double)n / done, "gaps",
		        "stays off the GPU above %d us, by the GPU's clock", WL_GAP_NS / 1000);
		wl_fact_samples("context-gate.preempt_gap_us", "us", &gaps, 1e3,
		                "how long the kernel was off the GPU: save, idle, restore");
	}
	uint64_t before = wl_load_progress(&load);
	wl_fact_flag("context-gate.runs_after_preempt", wl_load_moves(&load, before, 2000), NULL);
	wl_load_stop(&load);
	wl_fact_flag("context-gate.preempt_result_intact", wl_load_intact(&load),
	             "every element against the host's computation");
	wl_samples_fini(&gaps);
	return atomic_load(&load.failed) != 0;
}
