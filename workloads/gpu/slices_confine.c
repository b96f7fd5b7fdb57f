// SPDX-License-Identifier: Apache-2.0
/*
 * slices_confine.c: does a green context confine, and does it isolate?
 *
 * WHAT IT ASKS. For each size of slice: on how many SMs, and on which, the blocks of a kernel run
 * that was loaded in the primary context and launched into the slice's stream, and how its
 * throughput compares with the whole device. For graphs: whose SMs count, those of the stream that
 * was captured or of the one launched into. For two slices side by side: what each costs the
 * other, for arithmetic and for memory traffic. And the round trip of a short kernel in one slice
 * while the other is full, against one in an ordinary stream beside an ordinary full stream.
 *
 * HOW THE ANSWER IS READ. slices.confined must be true and slices.throughput_worst_pct small
 * (the throughput on n of N SMs is n/N of the whole) for slices to be offered at all. Slow-downs
 * near 1 say that neighbours are isolated; the memory one will be above 1, since bandwidth is
 * shared. If slices.short_beside_slice_us is near slices.short_alone_us while short_beside_full_us
 * is not, a slice held free lets urgent work begin at once. --quick asks about confinement only.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/slices.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define BOUND_S 30
#define LOAD_MS 5.0
#define TIMES 3
#define SHORT_SAMPLES 300
#define SHORT_MS 0.01
#define SHORT_LIMIT_NS 1500000000ull
#define COPY_BYTES (512ull << 20)
#define COPY_SIMULATED_BYTES (1ull << 20)

static struct wl_slices s;

/* ---- one slice at a time */

/* The least that everything else builds on. */
static bool launches(void)
{
	struct wl_part p;
	CUdeviceptr where = s.where, sink = s.sink;
	uint32_t iterations = 1;
	void *args[] = {&where, &sink, &iterations};
	CUresult r = wl_part_make(&s, 1, 0, 0, &p);
	if (r != CUDA_SUCCESS) {
		wl_fact_skip("slices.launch_works", "no slice to be had: %s", wl_slices_error(r));
		return false;
	}
	r = cuLaunchKernel(s.busy, 1, 1, 1, WL_SLICE_THREADS, 1, 1, 0, p.stream, args, NULL);
	if (r == CUDA_SUCCESS)
		r = cuStreamSynchronize(p.stream);
	wl_fact_flag("slices.launch_works", r == CUDA_SUCCESS,
	             "a kernel loaded in the primary context, launched into a green stream: %s",
	             r == CUDA_SUCCESS ? "success" : wl_slices_error(r));
	if (r != CUDA_SUCCESS)
		return false;
	bool crossed = false;
	WL_CU(cuEventDestroy, wl_slices_event(p.stream, CU_EVENT_DEFAULT, &crossed));
	wl_fact_flag("slices.event_crosses", crossed,
	             "an event of the primary context can be recorded in a green stream");
	wl_part_end(&p);
	return true;
}

static void each_size(void)
{
	char id[64], text[1024];
	double whole = wl_slices_time(&s, s.stream, TIMES), worst = 0;
	unsigned tried = 0, wrong = 0, last = 0;
	struct wl_seen seen;
	wl_slices_seen(&s, s.blocks, &seen);
	wl_fact("slices.load_ms", whole, "ms", "the load on the whole device, on %u SMs", seen.n);
	for (unsigned n = 1; n <= s.sms; n++) {
		struct wl_part p;
		if (n <= last || wl_part_make(&s, n, 0, 0, &p) != CUDA_SUCCESS)
			continue;
		last = p.sms;
		double ms = wl_slices_time(&s, p.stream, n < 16 ? 1 : TIMES);
		wl_slices_seen(&s, s.blocks, &seen);
		wl_seen_text(&seen, text, sizeof(text));
		double part = whole / ms, fair = (double)p.sms / s.sms;
		double off = (part / fair - 1) * 100;
		snprintf(id, sizeof(id), "slices.throughput_%u_sms", p.sms);
		wl_fact(id, part, NULL,
		        "of the whole device's; %.4f would be exact; ran on %u SMs: %s", fair,
		        seen.n, text);
		tried++;
		wrong += seen.n != p.sms;
		worst = (off < 0 ? -off : off) > (worst < 0 ? -worst : worst) ? off : worst;
		wl_part_end(&p);
	}
	if (!tried) {
		wl_fact_skip("slices.confined", "no slice could be made");
		return;
	}
	wl_fact_flag("slices.confined", wrong == 0,
	             "in %u of %u sizes the blocks ran on exactly as many SMs as the slice has",
	             tried - wrong, tried);
	wl_fact("slices.throughput_worst_pct", worst, "%",
	        "the largest difference from a throughput that follows the number of SMs");
}

/* The groups of one split, and what is left. */
static void all_groups(void)
{
	struct wl_seen seen[WL_SLICE_SMS_MAX / 2];
	char text[1024], all[3000] = "";
	size_t used = 0;
	unsigned n = 0, groups = 1;
	bool overlap = false;
	for (; n < groups && n < WL_SLICE_SMS_MAX / 2; n++) {
		struct wl_part p;
		if (wl_part_make(&s, 1, n, 0, &p) != CUDA_SUCCESS)
			break;
		groups = p.groups;
		unsigned blocks = p.sms * WL_SLICE_BLOCKS_PER_SM * 4;
		wl_slices_launch(&s, p.stream, blocks, s.iterations);
		WL_CU(cuStreamSynchronize, p.stream);
		wl_slices_seen(&s, blocks, &seen[n]);
		for (unsigned i = 0; i < n; i++)
			overlap |= wl_seen_overlap(&seen[i], &seen[n]);
		wl_seen_text(&seen[n], text, sizeof(text));
		int len = snprintf(all + used, sizeof(all) - used, "%s%s", n ? "; " : "", text);
		used += len > 0 && used + (size_t)len < sizeof(all) ? (size_t)len : 0;
		wl_part_end(&p);
	}
	if (!n)
		return;
	wl_fact_flag("slices.groups_disjoint", !overlap, "the %u smallest groups of one split", n);
	wl_fact_text("slices.group_sms", all, "SM numbers (%%smid) of each of these groups");
}

/* ---- graphs */

static void graph_runs_on(const char *id, CUstream captured, CUstream launched, unsigned blocks,
                          const char *note, unsigned sms)
{
	CUgraph graph = NULL;
	CUgraphExec exec = NULL;
	struct wl_seen seen;
	WL_CU(cuStreamBeginCapture, captured, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	wl_slices_launch(&s, captured, blocks, s.iterations);
	WL_CU(cuStreamEndCapture, captured, &graph);
	CUresult r = cuGraphInstantiateWithFlags(&exec, graph, 0);
	if (r == CUDA_SUCCESS)
		r = cuGraphLaunch(exec, launched);
	if (r == CUDA_SUCCESS)
		r = cuStreamSynchronize(launched);
	if (r == CUDA_SUCCESS) {
		wl_slices_seen(&s, blocks, &seen);
		wl_fact(id, seen.n, NULL, "%s; the slice has %u SMs", note, sms);
	} else {
		wl_fact_skip(id, "%s", wl_slices_error(r));
	}
	if (exec)
		cuGraphExecDestroy(exec);
	cuGraphDestroy(graph);
}

static void graphs(void)
{
	struct wl_part p;
	unsigned blocks = s.sms * WL_SLICE_BLOCKS_PER_SM * 2;
	if (wl_part_make(&s, 1, 0, 0, &p) != CUDA_SUCCESS)
		return;
	graph_runs_on("slices.graph_into_slice_sms", s.stream, p.stream, blocks,
	              "captured in an ordinary stream, launched into a slice", p.sms);
	graph_runs_on("slices.graph_of_slice_sms", p.stream, s.stream, blocks,
	              "captured in a slice, launched into an ordinary stream", p.sms);
	wl_part_end(&p);
}

/* ---- two side by side */

typedef void load_fn(CUstream stream, int which);

static void arithmetic(CUstream stream, int which)
{
	wl_slices_launch(&s, stream, s.blocks, s.iterations);
}

static CUdeviceptr memory[2];
static size_t copy_bytes;

static void traffic(CUstream stream, int which)
{
	CUdeviceptr to = memory[which] + copy_bytes / 2, from = memory[which];
	uint32_t words = (uint32_t)(copy_bytes / 2 / 8), rounds = s.simulated ? 2 : 20;
	void *args[] = {&to, &from, &words, &rounds};
	WL_CU(cuLaunchKernel, s.copy, s.sms * WL_SLICE_BLOCKS_PER_SM, 1, 1, WL_SLICE_THREADS, 1, 1,
	      0, stream, args, NULL);
}

struct clocked {
	CUevent begin, end;
};

static void queue(load_fn *load, const struct wl_part *p, struct clocked *c, int which)
{
	WL_CU(cuEventRecord, c->begin, p->stream);
	load(p->stream, which);
	WL_CU(cuEventRecord, c->end, p->stream);
}

static double ended(const struct clocked *c)
{
	float ms = 0;
	WL_CU(cuEventSynchronize, c->end);
	WL_CU(cuEventElapsedTime, &ms, c->begin, c->end);
	return ms;
}

/* How many times longer the slower of the two takes beside the other than alone. */
static double slow_down(load_fn *load, const struct wl_part *p)
{
	struct clocked c[2];
	double alone[2], both[2], worst = 0;
	for (int i = 0; i < 2; i++) {
		c[i].begin = wl_slices_event(p[i].stream, CU_EVENT_DEFAULT, NULL);
		c[i].end = wl_slices_event(p[i].stream, CU_EVENT_DEFAULT, NULL);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			queue(load, &p[i], &c[i], i);
			alone[i] = ended(&c[i]);
		}
		for (int i = 0; i < 2; i++)
			queue(load, &p[i], &c[i], i);
		double now = 0;
		for (int i = 0; i < 2; i++) {
			both[i] = ended(&c[i]);
			if (alone[i] > 0 && both[i] / alone[i] > now)
				now = both[i] / alone[i];
		}
		if (round == 1 || (round > 1 && now < worst))
			worst = now; /* the first round loads the code */
	}
	for (int i = 0; i < 2; i++) {
		WL_CU(cuEventDestroy, c[i].begin);
		WL_CU(cuEventDestroy, c[i].end);
	}
	return worst;
}

static void side_by_side(const struct wl_part *p)
{
	wl_fact("slices.beside_arithmetic_x", slow_down(arithmetic, p), NULL,
	        "time beside the same load in the other slice / alone; two slices of %u SMs",
	        p[0].sms);
	copy_bytes = s.simulated ? COPY_SIMULATED_BYTES : COPY_BYTES;
	for (int i = 0; i < 2; i++) {
		CUresult r = cuMemAlloc(&memory[i], copy_bytes);
		if (r == CUDA_SUCCESS)
			r = cuMemsetD8(memory[i], 0, copy_bytes);
		if (r != CUDA_SUCCESS) {
			wl_fact_skip("slices.beside_memory_x", "no memory: %s", wl_slices_error(r));
			return;
		}
	}
	WL_CU(cuCtxSynchronize);
	wl_fact("slices.beside_memory_x", slow_down(traffic, p), NULL,
	        "the same for memory traffic (read and write of %zu MiB)", copy_bytes >> 20);
	for (int i = 0; i < 2; i++)
		WL_CU(cuMemFree, memory[i]);
}

/* ---- a short kernel beside a full neighbour */

/* Round trips of a short kernel in `mine` while `theirs` (NULL: nobody) is kept busy. */
static void short_trips(const char *id, CUstream mine, CUstream theirs, double load_ms,
                        const char *note)
{
	struct wl_samples trips = {0};
	unsigned left_out = 0;
	CUevent e = NULL;
	if (theirs) {
		e = wl_slices_event(theirs, CU_EVENT_DISABLE_TIMING, NULL);
		WL_CU(cuEventSynchronize, e);
	}
	uint64_t until = wl_now_ns() + SHORT_LIMIT_NS;
	while (trips.n + left_out < SHORT_SAMPLES && wl_now_ns() < until) {
		/* a fresh pair of kernels whenever the last one of the pair before has begun */
		if (theirs && cuEventQuery(e) == CUDA_SUCCESS) {
			for (int i = 0; i < 2; i++) {
				if (i == 1)
					WL_CU(cuEventRecord, e, theirs);
				wl_slices_launch(&s, theirs, s.blocks, s.iterations);
			}
			wl_sleep_until(wl_now_ns() + (uint64_t)(load_ms * 2e5));
		}
		uint64_t begin = wl_now_ns();
		wl_slices_spin(&s, mine, SHORT_MS);
		WL_CU(cuStreamSynchronize, mine);
		uint64_t ns = wl_now_ns() - begin;
		if (theirs && cuStreamQuery(theirs) == CUDA_SUCCESS)
			left_out++; /* the neighbour had run dry */
		else
			wl_samples_add(&trips, ns);
	}
	WL_CU(cuCtxSynchronize);
	if (e)
		WL_CU(cuEventDestroy, e);
	wl_fact_samples(id, "us", &trips, 1e3, "%s", note);
	wl_samples_fini(&trips);
}

static void short_kernels(const struct wl_part *p)
{
	CUstream other;
	double slice_ms = wl_slices_time(&s, p[0].stream, 1);
	WL_CU(cuStreamCreate, &other, CU_STREAM_NON_BLOCKING);
	short_trips("slices.short_alone_us", p[1].stream, NULL, 0,
	            "launch to end of a 10 us kernel of one block, in a slice, alone");
	short_trips("slices.short_beside_slice_us", p[1].stream, p[0].stream, slice_ms,
	            "the same while the other slice is full");
	short_trips("slices.short_beside_full_us", other, s.stream, s.load_ms,
	            "no slices: in an ordinary stream while another one fills the device");
	short_trips("slices.short_in_slice_of_full_us", p[1].stream, s.stream, s.load_ms,
	            "in a slice while an ordinary stream fills the whole device: a slice is no "
	            "reservation against those who are not confined");
	WL_CU(cuStreamDestroy, other);
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	struct wl_part p[2];
	wl_fact_bound(BOUND_S);
	wl_slices_open(&s, gpu_kernels, LOAD_MS);
	if (s.supported != CUDA_SUCCESS) {
		wl_fact_skip("slices.confined", "cuDeviceGetDevResource: %s",
		             wl_slices_error(s.supported));
		return WL_EXIT_SKIPPED;
	}
	if (!launches())
		return 0;
	each_size();
	all_groups();
	if (quick)
		return 0;
	graphs();
	unsigned half = s.sms / 2 / (s.all.sm.smCoscheduledAlignment ?: 1) *
	                (s.all.sm.smCoscheduledAlignment ?: 1);
	CUresult r = wl_part_make(&s, half, 0, 0, &p[0]);
	if (r == CUDA_SUCCESS)
		r = wl_part_make(&s, half, 1, 0, &p[1]);
	if (r != CUDA_SUCCESS) {
		wl_fact_skip("slices.beside_arithmetic_x", "no two slices of %u SMs: %s", half,
		             wl_slices_error(r));
		return 0;
	}
	side_by_side(p);
	short_kernels(p);
	wl_part_end(&p[0]);
	wl_part_end(&p[1]);
	return 0;
}
