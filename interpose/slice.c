// SPDX-License-Identifier: Apache-2.0
#include "slice.h"

#include <errno.h>

#include "../common/futex.h"
#include "../common/log.h"
#include "helper.h"
#include "mark.h"
#include "submit.h"

/* The word of a row: phase, number of the slice, changes. */
#define PHASE 3ull
#define SLICE_SHIFT 2
#define CHANGE (1ull << 8)
enum phase { HOME, GOING, OUT, COMING };

#define WAIT_NS (2 * REIN_LEASE_NS)
#define FIRST_NS (50 * REIN_MS)
#define NAP_NS (20 * REIN_US)

enum kind {
	UNKNOWN,
	LONER,  /* a non-blocking stream: goes out, and stays out */
	LEGACY, /* the default stream: the same while no other stream is blocking, else as a member
	         */
	MEMBER, /* a blocking stream: out during a launch only */
	WHOLE,
};

struct shadow {
	rein_a64 handle, context; /* whose this is: a row may serve another stream later */
	rein_a64 where;
	rein_a32 kind;
	rein_a32 borrowed; /* the event is in use */
	_Atomic(CUevent) event;
	_Atomic(CUstream) stream[REIN_SLICES];
};

static struct shadow shadows[REIN_ROWS];

static enum phase phase_of(uint64_t word)
{
	return (enum phase)(word & PHASE);
}

static unsigned slice_of(uint64_t word)
{
	return word >> SLICE_SHIFT & (REIN_SLICES - 1);
}

static uint64_t word_after(uint64_t word, enum phase phase, unsigned slice)
{
	return (word & ~(CHANGE - 1)) + CHANGE + ((uint64_t)slice << SLICE_SHIFT) + phase;
}

static struct shadow *shadow_of(const struct rein_row *row)
{
	return &shadows[rein_row_number(row)];
}

static CUstream home_of(const struct rein_row *row)
{
	return (CUstream)(uintptr_t)rein_load_relaxed(&row->handle);
}

static CUstream out_of(struct shadow *s, unsigned slice)
{
	return atomic_load_explicit(&s->stream[slice], memory_order_acquire);
}

/* ---------------------------------------------------------------- events between the two */

struct ours { /* around calls of our own: the row's context, relaxed */
	bool pushed;
	CUstreamCaptureMode mode;
};

static void ours_begin(struct ours *o, const struct rein_row *row)
{
	CUcontext ctx = (CUcontext)(uintptr_t)rein_load_relaxed(&row->context), now = NULL;
	o->mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	if (real.cuThreadExchangeStreamCaptureMode(&o->mode) != CUDA_SUCCESS)
		o->mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
	o->pushed = real.cuCtxGetCurrent(&now) == CUDA_SUCCESS && now != ctx &&
	            real.cuCtxPushCurrent_v2(ctx) == CUDA_SUCCESS;
}

static void ours_end(struct ours *o)
{
	CUcontext popped;
	if (o->pushed)
		(void)real.cuCtxPopCurrent_v2(&popped);
	(void)real.cuThreadExchangeStreamCaptureMode(&o->mode);
}

/* `to` goes on when all that `from` has now is done. A wait takes the event as it stands, so it may
 * be recorded anew at once; but not between another thread's two calls. */
static bool join(struct shadow *s, const struct rein_row *row, CUstream from, CUstream to)
{
	struct ours o;
	uint32_t nobody = 0;
	CUevent event = NULL;
	bool ok = true, own = rein_cas(&s->borrowed, &nobody, 1);
	ours_begin(&o, row);
	if (own)
		event = atomic_load_explicit(&s->event, memory_order_relaxed);
	if (!event)
		ok = real.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) == CUDA_SUCCESS;
	ok = ok && real.cuEventRecord(event, from) == CUDA_SUCCESS &&
	     real.cuStreamWaitEvent(to, event, 0) == CUDA_SUCCESS;
	if (own) {
		atomic_store_explicit(&s->event, event, memory_order_relaxed);
		rein_store_release(&s->borrowed, 0);
	} else if (event) {
		(void)real.cuEventDestroy_v2(event);
	}
	ours_end(&o);
	return ok;
}

/* ---------------------------------------------------------------- what a stream is */

/* One that was made out of our sight says itself whether it is blocking. */
static enum kind ask_kind(struct rein_row *row)
{
	uint64_t handle = rein_load_relaxed(&row->handle);
	uint64_t context = rein_load_relaxed(&row->context);
	unsigned int flags = 0;
	bool primary = false;
	for (CUdevice d = 0; d < REIN_DEVICES_MAX && !primary; d++)
		primary = context && (uint64_t)(uintptr_t)rein_context_primary(d, NULL) == context;
	if (!primary || rein_load_relaxed(&row->scope) != context)
		return WHOLE;
	if (handle == REIN_HANDLE_LEGACY)
		return LEGACY;
	if (rein_handle_special(handle) ||
	    real.cuStreamGetFlags((CUstream)(uintptr_t)handle, &flags) != CUDA_SUCCESS)
		return WHOLE;
	if (flags & CU_STREAM_NON_BLOCKING)
		return LONER;
	if (!(rein_or_seqcst(&row->flags, REIN_ROW_BLOCKING) & REIN_ROW_BLOCKING))
		rein_add_seqcst(&rein_rows_blocking, 1);
	return MEMBER;
}

static enum kind kind_of(struct shadow *s, struct rein_row *row)
{
	uint64_t handle = rein_load_relaxed(&row->handle);
	uint64_t context = rein_load_relaxed(&row->context);
	if (rein_load_relaxed(&s->handle) != handle || rein_load_relaxed(&s->context) != context) {
		rein_store_release(&s->kind, UNKNOWN);
		rein_store_release(&s->context, context);
		rein_store_release(&s->handle, handle);
	}
	uint32_t kind = rein_load_acquire(&s->kind), unknown = UNKNOWN;
	if (kind == UNKNOWN) {
		kind = ask_kind(row);
		if (!rein_cas(&s->kind, &unknown, kind))
			kind = unknown;
	}
	return (enum kind)kind;
}

/* Not alone: kernels come home one by one. */
static bool is_member(enum kind kind)
{
	return kind == MEMBER || (kind == LEGACY && rein_load_seqcst(&rein_rows_blocking));
}

void rein_slice_say_whole(const char *why)
{
	static rein_a32 said;
	if (!rein_load_relaxed(&said) && !rein_swap_seqcst(&said, 1))
		rein_error("not all of the program's work is in its slice: %s", why);
}

/* ---------------------------------------------------------------- going and coming */

/* The word is `seen` and says home. True: out, with *seen the word now. */
static bool go(struct shadow *s, struct rein_row *row, unsigned slice, uint64_t *seen)
{
	uint64_t going = word_after(*seen, GOING, slice);
	rein_add_seqcst(&rein_attention, REIN_ATT_OUT);
	if (!rein_cas(&s->where, seen, going)) {
		rein_add_seqcst(&rein_attention, -REIN_ATT_OUT);
		return false;
	}
	bool alone = rein_load_seqcst(&row->begun) == rein_load_seqcst(&row->returned) + 1;
	bool free = rein_load_relaxed(&s->kind) == LONER || !rein_load_seqcst(&rein_rows_blocking);
	if (alone && free && join(s, row, home_of(row), out_of(s, slice))) {
		*seen = word_after(going, OUT, slice);
		rein_swap_seqcst(&s->where, *seen);
		return true;
	}
	*seen = word_after(going, HOME, 0);
	rein_swap_seqcst(&s->where, *seen);
	rein_add_seqcst(&rein_attention, -REIN_ATT_OUT);
	return false;
}

/* The word is *seen and says out; it is what it is after this. */
static void come(struct shadow *s, const struct rein_row *row, uint64_t *seen)
{
	unsigned slice = slice_of(*seen);
	uint64_t coming = word_after(*seen, COMING, slice);
	if (!rein_cas(&s->where, seen, coming))
		return;
	if (!join(s, row, out_of(s, slice), home_of(row)))
		rein_slice_off("the driver refuses an event between a stream and its shadow");
	*seen = word_after(coming, HOME, 0);
	rein_swap_seqcst(&s->where, *seen);
	rein_add_seqcst(&rein_attention, -REIN_ATT_OUT);
}

/* Another thread is on the way out or home: in between home is right, if both wait for both. */
static void join_both(struct shadow *s, const struct rein_row *row, uint64_t word)
{
	CUstream out = out_of(s, slice_of(word));
	if (!out)
		return;
	(void)join(s, row, out, home_of(row));
	(void)join(s, row, home_of(row), out);
}

/* The first one is worth a wait, once in a process: its first kernel may be one that stays. */
static int await_first(const struct rein_row *row)
{
	static rein_a32 nobody, waited;
	int slice = -1;
	if (!rein_helper_on() || !rein_slice_awaited(row) || rein_swap_seqcst(&waited, 1))
		return slice;
	uint64_t until = rein_now_ns() + FIRST_NS;
	while (rein_slice_awaited(row) && rein_now_ns() < until)
		rein_futex_wait(&nobody, 0, rein_now_ns() + NAP_NS);
	return rein_slice_wanted(row);
}

/* The slice that a submission is to go to; -1: it stays home. Its shadow is there. */
static int goal(struct shadow *s, const struct rein_row *row, enum kind kind, unsigned options)
{
	if (!(options & REIN_OPT_SLICED) || kind == WHOLE || rein_capture_any())
		return -1;
	int slice = rein_slice_wanted(row);
	if (slice < 0)
		slice = await_first(row);
	if (slice < 0 || out_of(s, (unsigned)slice))
		return slice;
	struct ours o;
	CUstream none = NULL;
	ours_begin(&o, row);
	CUstream fresh = rein_slice_shadow(slice, home_of(row));
	if (fresh && !atomic_compare_exchange_strong(&s->stream[slice], &none, fresh))
		(void)real.cuStreamDestroy_v2(fresh); /* another thread was quicker */
	ours_end(&o);
	return fresh ? slice : -1;
}

/* ---------------------------------------------------------------- home */

void rein_slice_home(struct rein_row *row)
{
	struct shadow *s = shadow_of(row);
	uint64_t word = rein_load_seqcst(&s->where);
	while (phase_of(word) == OUT)
		come(s, row, &word);
	if (phase_of(word) != HOME)
		join_both(s, row, word);
}

/* Another thread brings it. */
static void wait_home(struct shadow *s)
{
	static rein_a32 nobody;
	uint64_t until = rein_now_ns() + WAIT_NS;
	while (phase_of(rein_load_seqcst(&s->where)) != HOME && rein_now_ns() < until)
		rein_futex_wait(&nobody, 0, rein_now_ns() + NAP_NS);
}

/* Streams that may be other threads': these may begin to capture, and then nothing of ours may come
 * between. So whoever begins a capture lets those finish who are at it, then brings all home with
 * nobody else at it; and while its flag is up the rest only wait for that. Nor may they be
 * destroyed meanwhile: rein_slice_ends(). */
static void home_rows(uint64_t context, bool legacy_only, bool capturer)
{
	unsigned n = rein_rows_used();
	bool counted = rein_mark_quiet_begin(capturer);
	for (unsigned i = 0; i < n; i++) {
		struct rein_row *row = rein_row_used(i);
		struct shadow *s = shadow_of(row);
		uint64_t word = rein_load_seqcst(&s->where);
		if (phase_of(word) == HOME || rein_load_seqcst(&row->state) != REIN_ROW_LIVE ||
		    (legacy_only && rein_load_relaxed(&row->handle) != REIN_HANDLE_LEGACY) ||
		    (context && rein_load_relaxed(&row->context) != context))
			continue;
		if (counted && !capturer)
			rein_slice_home(row);
		while (capturer && phase_of(word) == OUT)
			come(s, row, &word);
		if (!counted || capturer)
			wait_home(s);
	}
	if (counted)
		rein_mark_call_end();
}

void rein_slice_home_all(uint64_t context)
{
	int saved = errno;
	if (rein_load_seqcst(&rein_attention) & REIN_ATT_OUTS)
		home_rows(context, false, false);
	errno = saved;
}

void rein_slice_capture_begins(void)
{
	if (rein_load_seqcst(&rein_attention) & REIN_ATT_OUTS)
		home_rows(0, false, true);
}

/* Not alone any more, and out: before another stream is given work that it would wait for. */
static void default_home(uint64_t context)
{
	if (rein_load_seqcst(&rein_attention) & REIN_ATT_OUTS)
		home_rows(context, true, false);
}

/* ---------------------------------------------------------------- around a driver call */

/* A call from outside of its stream's context is the driver's to refuse, or to do. */
static bool is_current(const struct rein_row *row)
{
	CUcontext now = NULL;
	return real.cuCtxGetCurrent(&now) == CUDA_SUCCESS &&
	       (uint64_t)(uintptr_t)now == rein_load_relaxed(&row->context);
}

/* Out it stays if that is where it is to go, or if the work follows while slices are in force. */
static bool stays_out(enum kind kind, unsigned options, int slice, uint64_t word)
{
	if (is_member(kind) || rein_capture_any())
		return false;
	if (options & REIN_OPT_FOLLOWS)
		return rein_load_relaxed(&REIN_GATE_WORD) & REIN_GATE_SLICED;
	return slice == (int)slice_of(word);
}

/* A launch of a member: out, and home when it has returned. */
static bool bracket(struct rein_slice_visit *v, struct shadow *s, struct rein_row *row,
                    unsigned slice, uint64_t word)
{
	if (!join(s, row, home_of(row), out_of(s, slice)))
		return false;
	v->row = row;
	v->where = word_after(word, OUT, slice); /* for the way home */
	v->stream = out_of(s, slice);
	v->bracket = true;
	return true;
}

void rein_slice_enter(struct rein_slice_visit *v, struct rein_row *row, CUstream stream,
                      unsigned options)
{
	*v = (struct rein_slice_visit){.stream = stream};
	if (!row) { /* never used: it may be a blocking one for all we know */
		default_home(rein_context_scope());
		return;
	}
	struct shadow *s = shadow_of(row);
	enum kind kind = kind_of(s, row);
	if (kind == MEMBER || kind == WHOLE)
		default_home(rein_load_relaxed(&row->context));
	if (kind == WHOLE && options & REIN_OPT_SLICED && rein_slice_wanted(row) >= 0)
		rein_slice_say_whole("a stream of another context, of a thread of its own, or "
		                     "with attributes");
	if (!is_current(row))
		options &= ~(REIN_OPT_SLICED | REIN_OPT_FOLLOWS);
	uint64_t word = rein_load_seqcst(&s->where);
	int slice = goal(s, row, kind, options);
	for (;;) {
		unsigned now = slice_of(word);
		if (phase_of(word) == OUT && stays_out(kind, options, slice, word)) {
			v->stream = out_of(s, now);
			break;
		}
		if (phase_of(word) == OUT) {
			come(s, row, &word);
			continue;
		}
		if (phase_of(word) != HOME) {
			join_both(s, row, word);
			word = ~0ull; /* never what it will be */
			break;
		}
		if (slice < 0)
			break;
		if (is_member(kind)) {
			(void)bracket(v, s, row, (unsigned)slice, word);
			return;
		}
		if (go(s, row, (unsigned)slice, &word))
			continue;
		if (phase_of(word) == HOME)
			break;
	}
	v->row = row;
	v->where = word;
}

void rein_slice_leave(struct rein_slice_visit *v)
{
	if (!v->row)
		return;
	struct shadow *s = shadow_of(v->row);
	uint64_t now = rein_load_seqcst(&s->where);
	if (v->bracket)
		(void)join(s, v->row, v->stream, home_of(v->row));
	if (v->bracket || now == v->where)
		return;
	if (v->where != ~0ull && phase_of(v->where) == OUT)
		(void)join(s, v->row, v->stream, home_of(v->row));
	now = rein_load_seqcst(&s->where);
	if (phase_of(now) != HOME && out_of(s, slice_of(now)))
		(void)join(s, v->row, home_of(v->row), out_of(s, slice_of(now)));
}

void rein_slice_passed(CUstream stream, unsigned options)
{
	struct rein_row *row = rein_row_seek(stream, options);
	if (!row)
		return;
	struct shadow *s = shadow_of(row);
	enum kind kind = kind_of(s, row);
	if (kind == MEMBER || kind == WHOLE)
		default_home(rein_load_relaxed(&row->context));
	uint64_t now = rein_load_seqcst(&s->where);
	if (phase_of(now) != HOME)
		join_both(s, row, now);
}

CUstream rein_slice_stands(const struct rein_row *row, CUstream home)
{
	struct shadow *s = shadow_of(row);
	uint64_t word = rein_load_seqcst(&s->where);
	if (phase_of(word) == HOME || phase_of(word) == GOING)
		return home;
	return out_of(s, slice_of(word));
}

/* ---------------------------------------------------------------- launches with attributes */

#define CLUSTER_MAX 8 /* what every part of a GPU can hold; one group of SMs is as many */

bool rein_slice_refuses(const CUlaunchConfig *config)
{
	for (unsigned i = 0; config->attrs && i < config->numAttrs; i++) {
		const CUlaunchAttributeValue *value = &config->attrs[i].value;
		switch (config->attrs[i].id) {
		case CU_LAUNCH_ATTRIBUTE_IGNORE:
		case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
		case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
		case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
			break;
		case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
			if ((uint64_t)value->clusterDim.x * value->clusterDim.y *
			        value->clusterDim.z >
			    CLUSTER_MAX)
				return true;
			break;
		default:
			return true;
		}
	}
	return false;
}

const CUlaunchConfig *rein_slice_config(const CUlaunchConfig *config, CUstream from, CUstream to,
                                        CUlaunchConfig *copy)
{
	if (!config || from == to)
		return config;
	*copy = *config;
	copy->hStream = to;
	return copy;
}

/* ---------------------------------------------------------------- the end of it */

void rein_slice_whole(CUstream stream, unsigned options)
{
	if (!rein_shim_on())
		return;
	int saved = errno;
	struct rein_row *row =
	    rein_capture_on(stream, options) ? NULL : rein_row_of(stream, options);
	if (row) {
		struct shadow *s = shadow_of(row);
		(void)kind_of(s, row);
		rein_swap_seqcst(&s->kind, WHOLE);
		rein_slice_home(row);
	}
	errno = saved;
}

void rein_slice_ends(struct rein_row *row)
{
	rein_slice_home(row);
	if (rein_slice_any())
		rein_mark_settle();
}

void rein_slice_over(struct rein_row *row)
{
	struct shadow *s = shadow_of(row);
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	bool relaxed = real.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS;
	for (unsigned i = 0; i < REIN_SLICES; i++) {
		CUstream stream = atomic_exchange(&s->stream[i], NULL);
		if (stream)
			(void)real.cuStreamDestroy_v2(stream);
	}
	CUevent event = atomic_exchange(&s->event, NULL);
	if (event)
		(void)real.cuEventDestroy_v2(event);
	if (relaxed)
		(void)real.cuThreadExchangeStreamCaptureMode(&mode);
	rein_store_release(&s->handle, 0);
	rein_store_release(&s->kind, UNKNOWN);
}
