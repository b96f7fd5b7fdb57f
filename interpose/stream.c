// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <pthread.h>

#include "attach.h"
#include "demand.h"

#define RESERVE 16 /* rows at the table's end that only overflow rows may take */
#define HINTS 4096 /* power of two */
#define CONTEXTS 32
#define LEAVING 8u /* row flag: its stream is being destroyed; the row may yet come back */

struct rein_row rein_row_none;
rein_a64 rein_progress;
rein_a32 rein_rows_generation = 1;
rein_a32 rein_rows_blocking;
__thread struct rein_tls rein_tls __attribute__((tls_model("initial-exec")));

static struct rein_row rows[REIN_ROWS];
static rein_a32 rows_count;                  /* those beyond were never a stream's */
static rein_a32 used[REIN_ROWS], used_count; /* numbers of those that were given work */
static rein_a32 threads;
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER; /* never held across a driver call */

static void rowless_gone(uint64_t context);

static rein_a64 contexts[CONTEXTS];
static rein_a32 contexts_slot[CONTEXTS]; /* their devices, as the daemon numbers them */
static rein_a32 contexts_green[CONTEXTS];
static rein_a32 contexts_count;
static rein_a32 contexts_several; /* 1: more than one was seen, ever */

/* ---------------------------------------------------------------- rows */

unsigned rein_rows_used(void)
{
	return rein_load_seqcst(&used_count);
}

struct rein_row *rein_row_used(unsigned i)
{
	return &rows[rein_load_acquire(&used[i])];
}

unsigned rein_row_number(const struct rein_row *row)
{
	return (unsigned)(row - rows);
}

struct rein_row *rein_row_at(unsigned number)
{
	return &rows[number];
}

/* It is about to be given work: whoever asks what is outstanding finds it from now on. */
static void enlist(struct rein_row *row)
{
	if (REIN_LIKELY(rein_load_acquire(&row->used)))
		return;
	pthread_mutex_lock(&making);
	if (!rein_load_relaxed(&row->used)) {
		rein_store_release(&used[rein_load_relaxed(&used_count)], rein_row_number(row));
		rein_add_seqcst(&used_count, 1);
		rein_store_release(&row->used, 1);
	}
	pthread_mutex_unlock(&making);
}

static uint32_t this_thread(void)
{
	if (!rein_tls.thread)
		rein_tls.thread = rein_add_relaxed(&threads, 1) + 1;
	return rein_tls.thread;
}

static bool is_row(const struct rein_row *row, uint64_t handle, uint64_t scope, uint32_t thread)
{
	if (rein_load_acquire(&row->state) != REIN_ROW_LIVE ||
	    rein_load_relaxed(&row->handle) != handle)
		return false;
	if (!rein_handle_special(handle))
		return true;
	return rein_load_relaxed(&row->scope) == scope &&
	       (handle != REIN_HANDLE_PER_THREAD || rein_load_relaxed(&row->thread) == thread);
}

/* Where a row was found last; only a hint, which the row itself confirms or not. */
static rein_a32 *hint_of(uint64_t handle, uint64_t scope, uint32_t thread)
{
	static rein_a32 hints[HINTS];
	uint64_t h = handle;
	if (rein_handle_special(handle))
		h ^= scope ^ (handle == REIN_HANDLE_PER_THREAD ? (uint64_t)thread << 40 : 0);
	h *= 0x9e3779b97f4a7c15ull;
	return &hints[h >> 32 & (HINTS - 1)];
}

static struct rein_row *find(uint64_t handle, uint64_t scope, uint32_t thread)
{
	unsigned n = rein_load_seqcst(&rows_count);
	rein_a32 *hint = hint_of(handle, scope, thread);
	unsigned last = rein_load_relaxed(hint);
	if (last < n && is_row(&rows[last], handle, scope, thread))
		return &rows[last];
	for (unsigned i = 0; i < n; i++)
		if (is_row(&rows[i], handle, scope, thread)) {
			rein_store_relaxed(hint, i);
			return &rows[i];
		}
	return NULL;
}

static bool drained(const struct rein_row *row)
{
	uint64_t completed = rein_load_seqcst(&row->completed);
	return rein_load_seqcst(&row->begun) == completed;
}

/* A row to be had: a drained one of a destroyed stream, a fresh one, or, when there are no more, a
 * drained per-thread one: its thread may be long gone. Under `making`. */
static struct rein_row *vacant(uint64_t handle)
{
	unsigned n = rein_load_relaxed(&rows_count);
	unsigned limit = handle == REIN_HANDLE_OVERFLOW ? REIN_ROWS : REIN_ROWS - RESERVE;
	for (unsigned i = 0; i < n; i++)
		if (rein_load_acquire(&rows[i].state) == REIN_ROW_DEAD &&
		    !(rein_load_acquire(&rows[i].flags) & LEAVING) && drained(&rows[i]))
			return &rows[i];
	if (n < limit) {
		rein_store_relaxed(&rows[n].state, REIN_ROW_DEAD);
		rein_add_seqcst(&rows_count, 1);
		return &rows[n];
	}
	for (unsigned i = 0; i < n; i++)
		if (rein_load_relaxed(&rows[i].handle) == REIN_HANDLE_PER_THREAD &&
		    !(rein_load_acquire(&rows[i].flags) & REIN_ROW_CAPTURING) &&
		    drained(&rows[i])) {
			rein_store_release(&rows[i].state, REIN_ROW_DEAD);
			rein_add_seqcst(&rein_rows_generation, 1);
			return &rows[i];
		}
	return NULL;
}

static int context_find(uint64_t ctx)
{
	int n = (int)rein_load_acquire(&contexts_count);
	for (int i = 0; i < n; i++)
		if (rein_load_relaxed(&contexts[i]) == ctx)
			return i;
	return -1;
}

static uint32_t slot_of(uint64_t context)
{
	int i = context_find(context);
	return i < 0 ? 0 : rein_load_relaxed(&contexts_slot[i]);
}

static uint32_t id_of(const struct rein_row *row, uint64_t context)
{
	return rein_row_number(row) | slot_of(context) << 16 |
	       (uint32_t)(context_find(context) + 1) << 24;
}

static struct rein_row *make(uint64_t handle, uint64_t scope, uint64_t context, unsigned flags)
{
	uint32_t thread = handle == REIN_HANDLE_PER_THREAD ? this_thread() : 0;
	pthread_mutex_lock(&making);
	struct rein_row *row = find(handle, scope, thread);
	if (!row && (row = vacant(handle))) {
		rein_store_relaxed(&row->handle, handle);
		rein_store_relaxed(&row->scope, scope);
		rein_store_relaxed(&row->context, context);
		rein_store_relaxed(&row->thread, thread);
		rein_store_relaxed(&row->flags, flags);
		rein_store_relaxed(&row->slot, slot_of(context));
		rein_store_relaxed(&row->id, id_of(row, context));
		if (flags & REIN_ROW_BLOCKING || handle == REIN_HANDLE_OVERFLOW)
			rein_add_seqcst(&rein_rows_blocking, 1);
		rein_store_release(&row->state, REIN_ROW_LIVE);
	}
	pthread_mutex_unlock(&making);
	if (!row && handle != REIN_HANDLE_OVERFLOW)
		return make(REIN_HANDLE_OVERFLOW, scope, context, 0);
	return row;
}

/* `generation` was read before the look-up: if it is stale by now, so is what is remembered. */
static void remember(uint64_t handle, struct rein_row *row, uint32_t generation)
{
	if (rein_tls.generation != generation) {
		for (unsigned i = 0; i < REIN_TLS_ROWS; i++)
			rein_tls.recent[i].handle = 0;
		rein_tls.generation = generation;
	}
	rein_tls.recent[rein_tls_slot(handle)].handle = handle;
	rein_tls.recent[rein_tls_slot(handle)].row = row;
}

/* Whether a look-up for this handle has the same answer until the generation changes. */
static bool constant(uint64_t handle)
{
	return !rein_handle_special(handle) || !rein_load_acquire(&contexts_several);
}

/* The context of a stream that was made out of our sight. */
static uint64_t context_of(uint64_t handle, uint64_t current)
{
	CUcontext ctx = NULL;
	if (rein_handle_special(handle) || !rein_load_acquire(&contexts_several))
		return current;
	if (real.cuStreamGetCtx((CUstream)(uintptr_t)handle, &ctx) != CUDA_SUCCESS || !ctx)
		return current;
	return (uint64_t)(uintptr_t)ctx;
}

struct rein_row *rein_row_of_slow(uint64_t handle)
{
	uint32_t generation = rein_load_acquire(&rein_rows_generation);
	uint64_t scope = rein_context_scope();
	struct rein_row *row = find(handle, scope, this_thread());
	if (!row && !scope)
		return NULL; /* without a context the driver will refuse the call */
	if (!row) {
		bool blocking = handle == REIN_HANDLE_PER_THREAD;
		scope = context_of(handle, scope);
		row = make(handle, scope, scope, blocking ? REIN_ROW_BLOCKING : 0);
	}
	if (row)
		enlist(row);
	if (row && constant(handle))
		remember(handle, row, generation);
	return row;
}

struct rein_row *rein_row_seek(CUstream stream, unsigned options)
{
	uint64_t handle = rein_handle_of(stream, options);
	unsigned i = rein_tls_slot(handle);
	if (rein_tls.recent[i].handle == handle &&
	    rein_tls.generation == rein_load_acquire(&rein_rows_generation))
		return rein_tls.recent[i].row;
	return find(handle, rein_context_scope(), this_thread());
}

void rein_row_new(CUstream stream, uint64_t scope, unsigned flags)
{
	uint64_t context = rein_context_scope();
	make((uint64_t)(uintptr_t)stream, scope ? scope : context, context, flags);
}

static void leave(struct rein_row *row)
{
	rein_or_seqcst(&row->flags, LEAVING); /* before DEAD: keeps it from being reused */
	rein_store_release(&row->state, REIN_ROW_DEAD);
}

struct rein_row *rein_row_leaving(CUstream stream)
{
	uint64_t handle = rein_handle_of(stream, 0);
	struct rein_row *row = rein_handle_special(handle) ? NULL : find(handle, 0, 0);
	if (!row)
		return NULL;
	leave(row);
	rein_add_seqcst(&rein_rows_generation, 1);
	return row;
}

void rein_row_back(struct rein_row *row)
{
	rein_store_release(&row->state, REIN_ROW_LIVE);
	rein_and_seqcst(&row->flags, ~LEAVING);
}

void rein_row_dead(struct rein_row *row)
{
	if (rein_and_seqcst(&row->flags, ~REIN_ROW_CAPTURING) & REIN_ROW_CAPTURING)
		rein_capture_end(); /* a capture ends with its stream */
	rein_and_seqcst(&row->flags, ~LEAVING);
}

/* ---------------------------------------------------------------- completion */

bool rein_row_complete(struct rein_row *row, uint64_t target)
{
	uint64_t completed = rein_load_relaxed(&row->completed);
	while (completed < target)
		if (rein_cas(&row->completed, &completed, target)) {
			rein_add_seqcst(&rein_progress, 1);
			return true;
		}
	return false;
}

void rein_rows_complete_scope(uint64_t scope)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		if (!scope || rein_load_relaxed(&rein_row_used(i)->scope) == scope)
			rein_row_complete(rein_row_used(i),
			                  rein_load_seqcst(&rein_row_used(i)->returned));
}

/* completed is read before begun: it only grows and never exceeds begun, so if the two readings
 * are equal, they were equal at the second one. */
bool rein_rows_all_completed(void)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		if (!drained(rein_row_used(i)))
			return false;
	return true;
}

uint64_t rein_rows_begun(void)
{
	uint64_t sum = 0;
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		sum += rein_load_relaxed(&rein_row_used(i)->begun);
	return sum;
}

uint64_t rein_rows_returned(void)
{
	uint64_t sum = 0;
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		sum += rein_load_relaxed(&rein_row_used(i)->returned);
	return sum;
}

/* ---------------------------------------------------------------- contexts */

static uint64_t current_context(void)
{
	CUcontext ctx = NULL;
	if (real.cuCtxGetCurrent(&ctx) != CUDA_SUCCESS)
		return 0;
	return (uint64_t)(uintptr_t)ctx;
}

uint64_t rein_context_scope(void)
{
	if (!rein_load_acquire(&contexts_several)) {
		uint64_t only = rein_load_acquire(&contexts[0]);
		if (only)
			return only;
	}
	uint64_t ctx = current_context();
	rein_context_note((CUcontext)(uintptr_t)ctx, -1);
	return ctx;
}

void rein_context_note(CUcontext handle, CUdevice device)
{
	uint64_t ctx = (uint64_t)(uintptr_t)handle;
	int known = context_find(ctx);
	if (!ctx || (device < 0 && (known >= 0 || rein_load_acquire(&contexts_count) == CONTEXTS)))
		return;
	if (device < 0 && real.cuCtxGetDevice(&device) != CUDA_SUCCESS)
		device = -1;
	int slot = device >= 0 ? rein_attach_device(device) : -1;
	if (known >= 0 && slot >= 0) { /* a handle that another context had before */
		rein_store_relaxed(&contexts_slot[known], (uint32_t)slot);
		rein_store_relaxed(&contexts_green[known], 0);
	}
	pthread_mutex_lock(&making);
	unsigned n = rein_load_relaxed(&contexts_count);
	if (n < CONTEXTS && context_find(ctx) < 0) {
		if (n == 1) {
			/* from now on the default streams are looked up by context */
			rein_store_release(&contexts_several, 1);
			rein_add_seqcst(&rein_rows_generation, 1);
		}
		rein_store_relaxed(&contexts_slot[n], slot < 0 ? 0 : (uint32_t)slot);
		rein_store_release(&contexts[n], ctx);
		rein_store_release(&contexts_count, n + 1);
	}
	pthread_mutex_unlock(&making);
}

void rein_context_note_green(CUcontext ctx)
{
	CUdevice device = -1;
#ifdef REIN_HAS_cuCtxGetDevice_v2
	if (real.cuCtxGetDevice_v2(&device, ctx) != CUDA_SUCCESS)
		device = -1;
#endif
	rein_context_note(ctx, device);
	int i = context_find((uint64_t)(uintptr_t)ctx);
	if (i >= 0)
		rein_store_release(&contexts_green[i], 1);
}

bool rein_context_pushable(uint64_t ctx)
{
	int i = context_find(ctx);
	return ctx && (i < 0 || !rein_load_acquire(&contexts_green[i]));
}

void rein_context_note_current(void)
{
	rein_context_note((CUcontext)(uintptr_t)current_context(), -1);
}

CUcontext rein_context_primary(CUdevice device, CUcontext ctx)
{
	static rein_a64 primary[REIN_DEVICES_MAX];
	if (device < 0 || device >= REIN_DEVICES_MAX)
		return NULL;
	if (ctx)
		rein_store_release(&primary[device], (uint64_t)(uintptr_t)ctx);
	return (CUcontext)(uintptr_t)rein_load_acquire(&primary[device]);
}

/* Rows of a context: its own streams' and, through `context`, those of its green contexts. */
static bool in_context(const struct rein_row *row, CUcontext ctx)
{
	uint64_t handle = (uint64_t)(uintptr_t)ctx;
	return rein_load_relaxed(&row->scope) == handle ||
	       rein_load_relaxed(&row->context) == handle;
}

void rein_context_leaving(CUcontext ctx)
{
	unsigned n = rein_load_seqcst(&rows_count);
	for (unsigned i = 0; i < n; i++)
		if (rein_load_acquire(&rows[i].state) == REIN_ROW_LIVE && in_context(&rows[i], ctx))
			leave(&rows[i]);
	rein_add_seqcst(&rein_rows_generation, 1);
}

void rein_context_back(CUcontext ctx)
{
	unsigned n = rein_load_seqcst(&rows_count);
	for (unsigned i = 0; i < n; i++)
		if (in_context(&rows[i], ctx) && rein_load_acquire(&rows[i].flags) & LEAVING)
			rein_row_back(&rows[i]);
}

void rein_context_gone(CUcontext ctx)
{
	unsigned n = rein_load_seqcst(&rows_count);
	rein_context_leaving(ctx); /* those that were not warned of it */
	rowless_gone((uint64_t)(uintptr_t)ctx);
	for (unsigned i = 0; i < n; i++) {
		struct rein_row *row = &rows[i];
		if (!in_context(row, ctx) || rein_load_acquire(&row->state) != REIN_ROW_DEAD)
			continue;
		rein_row_complete(row, rein_load_seqcst(&row->returned));
		rein_or_seqcst(&row->flags, REIN_ROW_GONE);
		rein_row_dead(row);
	}
}

/* ---------------------------------------------------------------- captures */

bool rein_capture_any(void)
{
	return rein_load_seqcst(&rein_attention) & REIN_ATT_CAPTURES;
}

/* The one question about a stream that is allowed while it captures. Errors (the legacy stream
 * beside a capturing stream; a bad handle) count as capturing: the call itself will fail too. */
bool rein_capture_on(CUstream stream, unsigned options)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	if (!rein_capture_any())
		return false;
	stream = (CUstream)(uintptr_t)rein_handle_of(stream, options);
	if (real.cuStreamIsCapturing(stream, &status) != CUDA_SUCCESS)
		return true;
	return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

#define ROWLESS 64
static struct {
	rein_a64 stream; /* its handle; a per-thread one with its thread; 0: free */
	rein_a64 context;
} rowless[ROWLESS];

static uint64_t rowless_name(CUstream stream, unsigned options)
{
	uint64_t handle = rein_handle_of(stream, options);
	if (handle == REIN_HANDLE_PER_THREAD)
		handle |= (uint64_t)this_thread() << 32 | 1ull << 63; /* no address in user space */
	return handle;
}

bool rein_capture_note(CUstream stream, unsigned options)
{
	uint64_t name = rowless_name(stream, options), context = rein_context_scope();
	for (unsigned i = 0; i < ROWLESS; i++)
		if (rein_load_seqcst(&rowless[i].stream) == name)
			return false;
	for (unsigned i = 0; i < ROWLESS; i++) {
		uint64_t free = 0;
		if (!rein_cas(&rowless[i].stream, &free, name))
			continue;
		rein_store_release(&rowless[i].context, context);
		return true;
	}
	return true;
}

bool rein_capture_over(CUstream stream, unsigned options)
{
	uint64_t name = rowless_name(stream, options);
	for (unsigned i = 0; i < ROWLESS; i++) {
		uint64_t seen = name;
		if (rein_cas(&rowless[i].stream, &seen, 0))
			return true;
	}
	return false;
}

/* The context's streams are gone, and their captures with them. */
static void rowless_gone(uint64_t context)
{
	for (unsigned i = 0; i < ROWLESS; i++) {
		uint64_t name = rein_load_seqcst(&rowless[i].stream);
		if (name && rein_load_acquire(&rowless[i].context) == context &&
		    rein_cas(&rowless[i].stream, &name, 0))
			rein_capture_end();
	}
}

void rein_capture_begin(void)
{
	rein_add_seqcst(&rein_attention, REIN_ATT_CAPTURE);
}

void rein_capture_end(void)
{
	rein_add_seqcst(&rein_attention, -REIN_ATT_CAPTURE);
}
