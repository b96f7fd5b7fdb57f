// SPDX-License-Identifier: Apache-2.0
/*
 * slices_split.c: into which slices can this GPU be divided, and what does a slice cost?
 *
 * WHAT IT ASKS. For every n up to the number of SMs: what a split by n gives, with the default
 * rules, ignoring co-scheduling, and for the largest clusters. Then the time to make and destroy
 * green contexts and their streams, how many there can be, what memory they take, and whether
 * destroying one waits for its work.
 *
 * HOW THE ANSWER IS READ. slices.split is a list of ranges: "1-8: 16 x 8 + 4" means that asking
 * for 1 to 8 SMs gives 16 groups of 8 and 4 SMs left over. The costs decide whether slices are
 * made ahead, one per size, or when wanted. If destroying takes as long as the work that was
 * queued, a slice may only be destroyed when its streams have drained.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/slices.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define BOUND_S 25
#define ROUNDS 20
#define MANY 64
#define LOAD_MS 4.0
#define WORK_MS 30.0

struct split {
	CUresult result;
	unsigned groups, size, rest;
};

static struct split split(const struct wl_slices *s, unsigned n, unsigned flags)
{
	CUdevResource part[WL_SLICE_SMS_MAX / 2], rest;
	struct split out = {.groups = WL_SLICE_SMS_MAX / 2};
	memset(part, 0, sizeof(part[0]));
	memset(&rest, 0, sizeof(rest));
	out.result = cuDevSmResourceSplitByCount(part, &out.groups, &s->all, &rest, flags, n);
	if (out.result != CUDA_SUCCESS)
		out.groups = 0;
	else
		out.size = part[0].sm.smCount;
	if (out.result == CUDA_SUCCESS && rest.type == CU_DEV_RESOURCE_TYPE_SM)
		out.rest = rest.sm.smCount;
	return out;
}

static size_t describe(char *buf, size_t room, unsigned from, unsigned to, struct split p)
{
	char what[64];
	if (p.result != CUDA_SUCCESS)
		snprintf(what, sizeof(what), "%s", wl_slices_error(p.result));
	else
		snprintf(what, sizeof(what), "%u x %u + %u", p.groups, p.size, p.rest);
	int n = from == to ? snprintf(buf, room, "%u: %s; ", from, what)
	                   : snprintf(buf, room, "%u-%u: %s; ", from, to, what);
	return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* All n, those with the same answer together. */
static void sizes(const struct wl_slices *s, const char *id, unsigned flags, const char *note)
{
	char text[4096] = "";
	size_t used = 0;
	unsigned from = 1;
	struct split last = split(s, 1, flags);
	for (unsigned n = 2; n <= s->sms + 1; n++) {
		struct split now = {.result = CUDA_ERROR_UNKNOWN};
		if (n <= s->sms)
			now = split(s, n, flags);
		if (n <= s->sms && now.result == last.result && now.groups == last.groups &&
		    now.size == last.size && now.rest == last.rest)
			continue;
		used += describe(text + used, sizeof(text) - used, from, n - 1, last);
		from = n;
		last = now;
	}
	if (used > 2)
		text[used - 2] = 0;
	wl_fact_text(id, text, "%s", note);
}

static void geometry(const struct wl_slices *s)
{
	struct split least = split(s, 1, 0), next;
	wl_fact("slices.sms", s->all.sm.smCount, NULL,
	        "of the device as a resource; %u by attribute", s->sms);
	wl_fact("slices.least_sms", s->all.sm.minSmPartitionSize, NULL,
	        "minSmPartitionSize; a split by 1 gives %u", least.size);
	wl_fact("slices.multiple_sms", s->all.sm.smCoscheduledAlignment, NULL,
	        "smCoscheduledAlignment");
	next = split(s, least.size + 1, 0);
	wl_fact("slices.granule_sms", next.result == CUDA_SUCCESS ? next.size - least.size : 0,
	        NULL, "the step from the smallest slice to the next");
	sizes(s, "slices.split", 0, "asked: groups x SMs + left over");
	sizes(s, "slices.split_fine", CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING,
	      "the same with IGNORE_SM_COSCHEDULING");
	sizes(s, "slices.split_clusters", CU_DEV_SM_RESOURCE_SPLIT_MAX_POTENTIAL_CLUSTER_SIZE,
	      "the same with MAX_POTENTIAL_CLUSTER_SIZE");
}

static size_t memory_used(void)
{
	size_t left = 0, total = 0;
	WL_CU(cuMemGetInfo, &left, &total);
	return total - left;
}

static CUresult describe_part(const struct wl_slices *s, unsigned n, CUdevResourceDesc *desc)
{
	CUdevResource part;
	unsigned one = 1;
	CUresult r = cuDevSmResourceSplitByCount(&part, &one, &s->all, NULL, 0, n);
	return r == CUDA_SUCCESS ? cuDevResourceGenerateDesc(desc, &part, 1) : r;
}

static CUgreenCtx make(const struct wl_slices *s, CUdevResourceDesc desc, uint64_t *ns)
{
	CUgreenCtx g = NULL;
	uint64_t begin = wl_now_ns();
	WL_CU(cuGreenCtxCreate, &g, desc, s->gpu.device, CU_GREEN_CTX_DEFAULT_STREAM);
	*ns = wl_now_ns() - begin;
	return g;
}

static void costs(struct wl_slices *s, CUdevResourceDesc desc)
{
	struct wl_samples created = {0}, destroyed = {0}, streams = {0}, first_work = {0};
	uint64_t ns, begin;
	CUgreenCtx g = make(s, desc, &ns);
	wl_fact("slices.create_first_us", (double)ns / 1e3, "us",
	        "the process' first green context");
	WL_CU(cuGreenCtxDestroy, g);
	for (int i = 0; i < ROUNDS; i++) {
		CUstream stream;
		g = make(s, desc, &ns);
		wl_samples_add(&created, ns);
		begin = wl_now_ns();
		WL_CU(cuGreenCtxStreamCreate, &stream, g, CU_STREAM_NON_BLOCKING, 0);
		wl_samples_add(&streams, wl_now_ns() - begin);
		begin = wl_now_ns();
		wl_slices_launch(s, stream, 1, 1);
		WL_CU(cuStreamSynchronize, stream);
		wl_samples_add(&first_work, wl_now_ns() - begin);
		WL_CU(cuStreamDestroy, stream);
		begin = wl_now_ns();
		WL_CU(cuGreenCtxDestroy, g);
		wl_samples_add(&destroyed, wl_now_ns() - begin);
	}
	wl_fact_samples("slices.create_us", "us", &created, 1e3, "cuGreenCtxCreate, later ones");
	wl_fact_samples("slices.stream_create_us", "us", &streams, 1e3, "cuGreenCtxStreamCreate");
	wl_fact_samples("slices.first_launch_us", "us", &first_work, 1e3,
	                "first launch into a new green stream, and its end");
	wl_fact_samples("slices.destroy_us", "us", &destroyed, 1e3, "cuGreenCtxDestroy, idle");
}

/* Many at a time, all of the same SMs: nothing says that slices must not overlap. */
static void many(const struct wl_slices *s, CUdevResourceDesc desc)
{
	CUgreenCtx g[MANY];
	CUstream stream[MANY];
	unsigned n = 0;
	size_t before = memory_used();
	CUresult r = CUDA_SUCCESS;
	while (n < MANY && r == CUDA_SUCCESS) {
		r = cuGreenCtxCreate(&g[n], desc, s->gpu.device, CU_GREEN_CTX_DEFAULT_STREAM);
		if (r != CUDA_SUCCESS)
			break;
		r = cuGreenCtxStreamCreate(&stream[n], g[n], CU_STREAM_NON_BLOCKING, 0);
		if (r != CUDA_SUCCESS) {
			cuGreenCtxDestroy(g[n]);
			break;
		}
		n++;
	}
	wl_fact("slices.at_a_time", n, NULL,
	        "green contexts of the same SMs, each with a stream; %s",
	        r == CUDA_SUCCESS ? "no more were tried" : wl_slices_error(r));
	if (n)
		wl_fact("slices.memory_bytes", ((double)memory_used() - (double)before) / n,
		        "bytes", "device memory taken by each of them");
	while (n--) {
		WL_CU(cuStreamDestroy, stream[n]);
		WL_CU(cuGreenCtxDestroy, g[n]);
	}
}

/* A green context goes with its stream destroyed and its work pending. */
static void destroy_busy(const struct wl_slices *s, CUdevResourceDesc desc)
{
	uint64_t ns, begin;
	CUstream stream;
	CUgreenCtx g = make(s, desc, &ns);
	WL_CU(cuGreenCtxStreamCreate, &stream, g, CU_STREAM_NON_BLOCKING, 0);
	CUevent e = wl_slices_event(stream, CU_EVENT_DISABLE_TIMING, NULL);
	wl_slices_spin(s, stream, WORK_MS);
	WL_CU(cuEventRecord, e, stream);
	WL_CU(cuStreamDestroy, stream);
	begin = wl_now_ns();
	CUresult r = cuGreenCtxDestroy(g);
	ns = wl_now_ns() - begin;
	bool pending = cuEventQuery(e) == CUDA_ERROR_NOT_READY;
	wl_fact("slices.destroy_busy_us", (double)ns / 1e3, "us",
	        "with about %.0f ms of work pending: %s, and the work %s", WORK_MS,
	        r == CUDA_SUCCESS ? "success" : wl_slices_error(r),
	        pending ? "was still pending after it" : "was over after it");
	r = cuCtxSynchronize();
	if (r == CUDA_SUCCESS)
		r = cuEventQuery(e);
	wl_fact_flag("slices.destroy_keeps_work", r == CUDA_SUCCESS,
	             "the work of a destroyed green context ended: %s",
	             r == CUDA_SUCCESS ? "without an error" : wl_slices_error(r));
	cuEventDestroy(e);
}

int main(void)
{
	struct wl_slices s;
	CUdevResourceDesc desc;
	wl_fact_bound(BOUND_S);
	wl_slices_open(&s, gpu_kernels, LOAD_MS);
	if (s.supported != CUDA_SUCCESS) {
		wl_fact_skip("slices.sms", "cuDeviceGetDevResource: %s",
		             wl_slices_error(s.supported));
		return WL_EXIT_SKIPPED;
	}
	geometry(&s);
	CUresult r = describe_part(&s, 1, &desc);
	if (r != CUDA_SUCCESS) {
		wl_fact_skip("slices.create_us", "no slice to be had: %s", wl_slices_error(r));
		return 0;
	}
	costs(&s, desc);
	many(&s, desc);
	destroy_busy(&s, desc);
	return 0;
}
