// SPDX-License-Identifier: Apache-2.0
/*
 * slice_make.c: the green contexts behind slices. Made by the helper thread: one takes a
 * millisecond (docs/gpu-facts.md), and nobody need wait for it: until it is there all stay home.
 *
 * Sizes. The device is split into the smallest groups that its rule allows; a slice is as many of
 * them as the wish holds, the first ones or the last ones. So slices of two programs have nothing
 * in common as long as they fit, and a cluster that fits a group fits any slice.
 *
 * Each green context holds a reference to the device's primary context, which the program must not
 * notice: before it gives back its own last one ours go.
 */
#include "slice.h"

#include "../common/log.h"
#include "point.h"

#define GROUPS_MAX 128
#define MPS_ENABLED ((CUdevice_attribute)133) /* not in the first headers of CUDA 12 */
#define NONE UINT32_MAX

static struct made {
	rein_a64 context; /* the primary one; 0: free */
	rein_a32 wish;    /* the verdict's */
	rein_a32 sms;     /* that it has; 0: all, it is none */
	_Atomic(void *) green;
} made[REIN_SLICES];
static rein_a32 off;
static rein_a32 retained[REIN_DEVICES_MAX];
static rein_a32 slots[REIN_DEVICES_MAX]; /* among the verdicts, + 1; 0: not known */

void rein_slice_off(const char *why)
{
	if (!rein_swap_seqcst(&off, 1))
		rein_error("no SM slices, the program has the whole GPU: %s", why);
	rein_and_seqcst(&REIN_STATUS->can, ~REIN_CAN_SLICE);
}

void rein_slice_publish(void)
{
	if (!rein_load_acquire(&off))
		rein_or_seqcst(&REIN_STATUS->can, REIN_CAN_SLICE);
}

static uint32_t wish_of(unsigned slot)
{
	if (!(rein_load_acquire(&REIN_GATE_WORD) & REIN_GATE_SLICED) || rein_load_acquire(&off))
		return 0;
	return rein_load_acquire(&REIN_CONTROL->verdict[slot % REIN_DEVICES_MAX].sms);
}

static int find(uint64_t context, uint32_t wish)
{
	for (int i = 0; i < REIN_SLICES; i++)
		if (rein_load_acquire(&made[i].context) == context &&
		    rein_load_relaxed(&made[i].wish) == wish)
			return i;
	return -1;
}

int rein_slice_wanted(const struct rein_row *row)
{
	uint32_t wish = wish_of(rein_load_relaxed(&row->slot));
	int i = wish ? find(rein_load_relaxed(&row->context), wish) : -1;
	return i >= 0 && rein_load_relaxed(&made[i].sms) ? i : -1;
}

bool rein_slice_awaited(const struct rein_row *row)
{
	uint32_t wish = wish_of(rein_load_relaxed(&row->slot));
	return wish && find(rein_load_relaxed(&row->context), wish) < 0;
}

/* ---------------------------------------------------------------- each device's wish */

static uint32_t wish_for(CUdevice device, uint64_t *context)
{
	uint32_t slot = rein_load_acquire(&slots[device]);
	*context = (uint64_t)(uintptr_t)rein_context_primary(device, NULL);
	return slot && *context && rein_load_relaxed(&retained[device]) ? wish_of(slot - 1) : 0;
}

/* The points' page shows it to people. */
static void publish(uint32_t sms, uint32_t of)
{
	struct rein_points *page = rein_point_object();
	if (page && of)
		rein_store_relaxed(&page->sms_of, of);
	if (page && rein_load_relaxed(&page->sms) != sms)
		rein_store_relaxed(&page->sms, sms);
}

bool rein_slice_missing(void)
{
	uint64_t context;
	bool missing = false;
	uint32_t sms = 0;
	if (!(rein_load_acquire(&REIN_GATE_WORD) & REIN_GATE_SLICED)) {
		publish(0, 0);
		return false;
	}
	for (CUdevice d = 0; d < REIN_DEVICES_MAX; d++) {
		uint32_t wish = wish_for(d, &context);
		int i = wish ? find(context, wish) : -1;
		missing |= wish && i < 0;
		sms = i >= 0 ? rein_load_relaxed(&made[i].sms) : sms;
	}
	if (!missing)
		publish(sms, 0);
	return missing;
}

/* ---------------------------------------------------------------- green contexts */

#if defined(REIN_HAS_cuGreenCtxCreate) && defined(REIN_HAS_cuGreenCtxStreamCreate)

static unsigned wished_sms(uint32_t wish, unsigned all)
{
	unsigned n = wish & REIN_SMS_COUNT;
	return wish & REIN_SMS_PERMILLE ? all * (n > 1000 ? 1000 : n) / 1000 : n;
}

static void say(CUdevice device, unsigned sms, unsigned all)
{
	static rein_a32 said;
	int mps = 1;
	if (real.cuDeviceGetAttribute(&mps, MPS_ENABLED, device) == CUDA_SUCCESS && !mps &&
	    !rein_swap_seqcst(&said, 1))
		rein_error(
		    "a slice of %u of %u SMs, but without MPS processes take turns on the GPU, "
		    "sliced or not: start nvidia-cuda-mps-control -d before them",
		    sms, all);
	rein_debug("a slice of %u of %u SMs", sms, all);
}

/* How many SMs, 0: all of them; NONE: it failed. Not on a small stack: groups are large. */
static uint32_t make_green(CUdevice device, uint32_t wish, CUgreenCtx *green)
{
	static CUdevResource groups[GROUPS_MAX];
	CUdevResource all;
	CUdevResourceDesc desc;
	unsigned n = GROUPS_MAX;
	if (real.cuDeviceGetDevResource(device, &all, CU_DEV_RESOURCE_TYPE_SM) != CUDA_SUCCESS ||
	    real.cuDevSmResourceSplitByCount(groups, &n, &all, NULL, 0, 1) != CUDA_SUCCESS || !n)
		return NONE;
	unsigned each = groups[0].sm.smCount, k = wished_sms(wish, all.sm.smCount) / each;
	k = k ? k : 1;
	publish(k < n ? k * each : 0, all.sm.smCount);
	if (k >= n)
		return 0;
	unsigned first = wish & REIN_SMS_LAST ? n - k : 0;
	if (real.cuDevResourceGenerateDesc(&desc, &groups[first], k) != CUDA_SUCCESS ||
	    real.cuGreenCtxCreate(green, desc, device, CU_GREEN_CTX_DEFAULT_STREAM) != CUDA_SUCCESS)
		return NONE;
	say(device, k * each, all.sm.smCount);
	return k * each;
}

static void make_one(CUdevice device, uint64_t context, uint32_t wish)
{
	CUgreenCtx green = NULL;
	CUcontext popped;
	int i = 0;
	while (i < REIN_SLICES && rein_load_relaxed(&made[i].context))
		i++;
	if (i == REIN_SLICES) {
		rein_slice_off("more than 8 sizes were asked for");
		return;
	}
	if (real.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)context) != CUDA_SUCCESS)
		return;
	uint32_t sms = make_green(device, wish, &green);
	(void)real.cuCtxPopCurrent_v2(&popped);
	if (sms == NONE) {
		rein_slice_off("the driver makes no green context of that size");
		return;
	}
	rein_store_relaxed(&made[i].wish, wish);
	rein_store_relaxed(&made[i].sms, sms);
	atomic_store_explicit(&made[i].green, green, memory_order_release);
	rein_store_release(&made[i].context, context);
}

void rein_slice_make(void)
{
	uint64_t context;
	if (!rein_real_has(REIN_E_cuGreenCtxCreate) ||
	    !rein_real_has(REIN_E_cuGreenCtxStreamCreate)) {
		rein_slice_off("the driver has no green contexts");
		return;
	}
	for (CUdevice d = 0; d < REIN_DEVICES_MAX; d++) {
		uint32_t wish = wish_for(d, &context);
		if (wish && find(context, wish) < 0)
			make_one(d, context, wish);
	}
}

/* For whoever reads what ran in which stream. */
static void say_pair(CUstream home, CUstream out)
{
	unsigned long long from = 0, to = 0;
	if (real.cuStreamGetId(home, &from) == CUDA_SUCCESS &&
	    real.cuStreamGetId(out, &to) == CUDA_SUCCESS)
		rein_debug("stream %llu goes out to stream %llu", from, to);
}

CUstream rein_slice_shadow(int slice, CUstream like)
{
	CUstream stream = NULL;
	int priority = 0;
	(void)real.cuStreamGetPriority(like, &priority);
	CUgreenCtx green = atomic_load_explicit(&made[slice].green, memory_order_acquire);
	if (!green || real.cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING,
	                                          priority) != CUDA_SUCCESS)
		return NULL;
	say_pair(like, stream);
	return stream;
}

static void destroy_green(struct made *m)
{
	CUgreenCtx green = atomic_exchange(&m->green, NULL);
	if (green)
		(void)real.cuGreenCtxDestroy(green);
}

#else

void rein_slice_make(void)
{
	rein_slice_off("librein.so was built without green contexts");
}

CUstream rein_slice_shadow(int slice, CUstream like)
{
	(void)slice;
	(void)like;
	return NULL;
}

static void destroy_green(struct made *m)
{
	(void)m;
}

#endif

/* ---------------------------------------------------------------- the primary context's end */

void rein_slice_retained(CUdevice device)
{
	if (device < 0 || device >= REIN_DEVICES_MAX)
		return;
	if (!rein_load_relaxed(&slots[device]))
		rein_store_release(&slots[device], (uint32_t)(rein_attach_device(device) + 1));
	rein_add_seqcst(&retained[device], 1);
}

/* Somebody still submits: then the program has a reference that we have not seen. */
static bool is_idle(uint64_t context)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++) {
		const struct rein_row *row = rein_row_used(i);
		uint64_t returned = rein_load_seqcst(&row->returned);
		if (rein_load_relaxed(&row->context) == context &&
		    rein_load_seqcst(&row->begun) != returned)
			return false;
	}
	return true;
}

void rein_slice_released(CUdevice device, bool all)
{
	if (device < 0 || device >= REIN_DEVICES_MAX)
		return;
	uint32_t had = rein_load_seqcst(&retained[device]);
	if (had && !all)
		rein_add_seqcst(&retained[device], (uint32_t)-1);
	uint64_t context = (uint64_t)(uintptr_t)rein_context_primary(device, NULL);
	if (!context || (had > 1 && !all) || !is_idle(context))
		return;
	unsigned n = rein_rows_used();
	rein_slice_home_all(context);
	for (unsigned i = 0; i < n; i++)
		if (rein_load_relaxed(&rein_row_used(i)->context) == context)
			rein_slice_over(rein_row_used(i));
	for (unsigned i = 0; i < REIN_SLICES; i++) {
		if (rein_load_acquire(&made[i].context) != context)
			continue;
		destroy_green(&made[i]);
		rein_store_release(&made[i].context, 0);
	}
}
