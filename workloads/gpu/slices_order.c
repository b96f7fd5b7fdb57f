// SPDX-License-Identifier: Apache-2.0
/*
 * slices_order.c: what does it take to move an application's stream into a slice, and what of
 * CUDA's order is lost?
 *
 * WHAT IT ASKS. A slice under a program that knows nothing of it is a shadow stream: the work of an
 * application's stream goes to a green stream instead, with events joining the two. So: the time
 * of such a swap there and back, for the host and on the GPU; whether a green stream and the NULL
 * stream wait for each other (with an ordinary blocking stream as control, so that the test is
 * known to work); whether synchronising the primary context covers green streams; whether
 * priorities count inside a slice.
 *
 * HOW THE ANSWER IS READ. slices.swap_host_ns and swap_gpu_ns are what every change of slice would
 * cost, not every launch. If null_waits_for_slice or slice_waits_for_null is false, a shim that
 * moves blocking streams has to add events for the NULL stream in that direction.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/slices.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define BOUND_S 20
#define LOAD_MS 5.0
#define SPIN_MS 25.0
#define SWAPS 100 /* 4 commands each in a stream: fewer than any queue holds */
#define ROUNDS 5
#define HOP_MS 0.03
#define TRIPS 20
#define TRIPS_SIMULATED 3
#define URGENT (-5)

static struct wl_slices s;
static struct wl_part part;

/* ---- order */

/* Is the work that `first` was given before over when that of `second` is? */
static bool waits(CUstream first, CUstream second)
{
	CUevent e = wl_slices_event(first, CU_EVENT_DISABLE_TIMING, NULL);
	wl_slices_spin(&s, first, SPIN_MS);
	WL_CU(cuEventRecord, e, first);
	wl_slices_launch(&s, second, 1, 1);
	WL_CU(cuStreamSynchronize, second);
	bool over = cuEventQuery(e) == CUDA_SUCCESS;
	WL_CU(cuCtxSynchronize);
	WL_CU(cuEventSynchronize, e);
	WL_CU(cuEventDestroy, e);
	return over;
}

static void order(CUstream blocking)
{
	wl_fact_flag("slices.control_stream_waits_for_null", waits(NULL, blocking),
	             "an ordinary blocking stream: must be true, else the test is wrong");
	wl_fact_flag("slices.control_null_waits_for_stream", waits(blocking, NULL),
	             "must be true, else the test is wrong");
	wl_fact_flag("slices.slice_waits_for_null", waits(NULL, part.stream),
	             "does a kernel in a green stream wait for an earlier one in the NULL stream");
	wl_fact_flag("slices.null_waits_for_slice", waits(part.stream, NULL),
	             "does a kernel in the NULL stream wait for an earlier one in a green stream");
	CUevent e = wl_slices_event(part.stream, CU_EVENT_DISABLE_TIMING, NULL);
	wl_slices_spin(&s, part.stream, SPIN_MS);
	WL_CU(cuEventRecord, e, part.stream);
	WL_CU(cuCtxSynchronize);
	wl_fact_flag("slices.context_sync_covers", cuEventQuery(e) == CUDA_SUCCESS,
	             "cuCtxSynchronize in the primary context waits for green streams");
	WL_CU(cuEventSynchronize, e);
	WL_CU(cuEventDestroy, e);
}

/* The green context's own default stream, through its other name. */
static void default_stream(void)
{
	CUcontext face, before;
	CUgreenCtx green = NULL;
	unsigned blocks = s.sms * WL_SLICE_BLOCKS_PER_SM;
	uint32_t iterations = 1;
	WL_CU(cuCtxGetCurrent, &before);
	CUresult r = cuCtxFromGreenCtx(&face, part.green);
	if (r == CUDA_SUCCESS)
		r = cuCtxSetCurrent(face);
	if (r == CUDA_SUCCESS)
		r = cuStreamGetGreenCtx(NULL, &green);
	if (r == CUDA_SUCCESS) {
		CUdeviceptr where = s.where, sink = s.sink;
		void *args[] = {&where, &sink, &iterations};
		r = cuLaunchKernel(s.busy, blocks, 1, 1, WL_SLICE_THREADS, 1, 1, 0, NULL, args,
		                   NULL);
	}
	if (r == CUDA_SUCCESS)
		r = cuStreamSynchronize(NULL);
	if (r == CUDA_SUCCESS) {
		struct wl_seen seen;
		wl_slices_seen(&s, blocks, &seen);
		wl_fact("slices.default_stream_sms", seen.n, NULL,
		        "SMs used by the NULL stream while a green context of %u is current%s",
		        part.sms, green == part.green ? "" : "; cuStreamGetGreenCtx names another");
	} else {
		wl_fact_skip("slices.default_stream_sms",
		             "a launch while a green context is current: %s", wl_slices_error(r));
	}
	WL_CU(cuCtxSetCurrent, before);
}

/* ---- swapping a stream */

struct joint {
	CUevent there, back; /* recorded in app, in the other stream */
	CUevent begin, end;  /* in app */
};

static void joint_open(struct joint *j, CUstream app, CUstream other)
{
	j->there = wl_slices_event(app, CU_EVENT_DISABLE_TIMING, NULL);
	j->back = wl_slices_event(other, CU_EVENT_DISABLE_TIMING, NULL);
	j->begin = wl_slices_event(app, CU_EVENT_DEFAULT, NULL);
	j->end = wl_slices_event(app, CU_EVENT_DEFAULT, NULL);
}

static void joint_close(struct joint *j)
{
	WL_CU(cuEventDestroy, j->there);
	WL_CU(cuEventDestroy, j->back);
	WL_CU(cuEventDestroy, j->begin);
	WL_CU(cuEventDestroy, j->end);
}

/* A kernel in `app`, one in `green` (or in app too), one in app: n times; what it takes. */
static double chain(CUstream app, CUstream green, const struct joint *j, struct wl_samples *host)
{
	float ms = 0;
	WL_CU(cuEventRecord, j->begin, app);
	for (int i = 0; i < SWAPS; i++) {
		wl_slices_spin(&s, app, HOP_MS);
		uint64_t begin = wl_now_ns();
		if (green != app) {
			WL_CU(cuEventRecord, j->there, app);
			WL_CU(cuStreamWaitEvent, green, j->there, 0);
		}
		uint64_t ns = wl_now_ns() - begin;
		wl_slices_spin(&s, green, HOP_MS);
		begin = wl_now_ns();
		if (green != app) {
			WL_CU(cuEventRecord, j->back, green);
			WL_CU(cuStreamWaitEvent, app, j->back, 0);
		}
		if (host)
			wl_samples_add(host, ns + wl_now_ns() - begin);
		wl_slices_spin(&s, app, HOP_MS);
	}
	WL_CU(cuEventRecord, j->end, app);
	WL_CU(cuEventSynchronize, j->end);
	WL_CU(cuEventElapsedTime, &ms, j->begin, j->end);
	return ms;
}

static void swaps(CUstream app)
{
	struct joint j, k;
	struct wl_samples host = {0}, gpu = {0}, other_host = {0}, other_gpu = {0};
	CUstream ordinary;
	WL_CU(cuStreamCreate, &ordinary, CU_STREAM_NON_BLOCKING);
	joint_open(&j, app, part.stream);
	joint_open(&k, app, ordinary);
	chain(app, part.stream, &j, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		double plain = chain(app, app, &j, NULL);
		double swapped = chain(app, part.stream, &j, &host);
		double other = chain(app, ordinary, &k, &other_host);
		wl_samples_add(&gpu,
		               swapped > plain ? (uint64_t)((swapped - plain) * 1e6 / SWAPS) : 0);
		wl_samples_add(&other_gpu,
		               other > plain ? (uint64_t)((other - plain) * 1e6 / SWAPS) : 0);
	}
	wl_fact_samples("slices.swap_host_ns", "ns", &host, 1,
	                "caller's time for two event records and two waits: there and back");
	wl_fact_samples("slices.swap_gpu_ns", "ns", &gpu, 1,
	                "GPU time added by going to a green stream and back, kernels of 30 us");
	wl_fact_samples("slices.swap_ordinary_host_ns", "ns", &other_host, 1,
	                "the same to an ordinary stream, for comparison");
	wl_fact_samples("slices.swap_ordinary_gpu_ns", "ns", &other_gpu, 1,
	                "the same to an ordinary stream, for comparison");
	joint_close(&j);
	joint_close(&k);
	WL_CU(cuStreamDestroy, ordinary);
}

/* ---- priorities */

static void priority(const char *id, int value, const char *note)
{
	CUstream quick;
	struct wl_samples trips = {0};
	unsigned waves = s.simulated ? 10 : 80, blocks = part.sms * WL_SLICE_BLOCKS_PER_SM * waves;
	int got = 0;
	CUresult r = cuGreenCtxStreamCreate(&quick, part.green, CU_STREAM_NON_BLOCKING, value);
	if (r != CUDA_SUCCESS) {
		wl_fact_skip(id, "cuGreenCtxStreamCreate with priority %d: %s", value,
		             wl_slices_error(r));
		return;
	}
	WL_CU(cuStreamGetPriority, quick, &got);
	for (int i = 0; i < (s.simulated ? TRIPS_SIMULATED : TRIPS); i++) {
		for (int k = 0; k < 3; k++)
			wl_slices_launch(&s, part.stream, blocks, s.iterations);
		wl_sleep_until(wl_now_ns() + 1000000);
		uint64_t begin = wl_now_ns();
		wl_slices_launch(&s, quick, 1, 1);
		WL_CU(cuStreamSynchronize, quick);
		wl_samples_add(&trips, wl_now_ns() - begin);
		WL_CU(cuStreamSynchronize, part.stream);
	}
	wl_fact_samples(id, "us", &trips, 1e3, "%s; the stream's priority is %d", note, got);
	wl_samples_fini(&trips);
	WL_CU(cuStreamDestroy, quick);
}

int main(void)
{
	CUstream blocking;
	wl_fact_bound(BOUND_S);
	wl_slices_open(&s, gpu_kernels, LOAD_MS);
	CUresult r = wl_part_make(&s, 1, 0, 0, &part);
	if (r != CUDA_SUCCESS) {
		wl_fact_skip("slices.swap_host_ns", "no slice to be had: %s", wl_slices_error(r));
		return WL_EXIT_SKIPPED;
	}
	WL_CU(cuStreamCreate, &blocking, CU_STREAM_DEFAULT);
	order(blocking);
	swaps(blocking);
	priority("slices.short_low_us", 0,
	         "round trip of a short kernel in a slice with 3 long kernels queued");
	priority("slices.short_urgent_us", URGENT, "the same from a stream of high priority");
	default_stream(); /* last: the least certain to work */
	wl_part_end(&part);
	return 0;
}
