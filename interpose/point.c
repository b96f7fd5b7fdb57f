// SPDX-License-Identifier: Apache-2.0
#include "point.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/log.h"
#include "demand.h"
#include "mark.h"

#define PLACES 32
#define WATCH_NS (REIN_LEASE_NS / 2) /* between two looks a lease cannot begin and lapse */
#define COST_PART 50                 /* points cost one part in so many at most */
#define COST_SAMPLES 16
#define REFUSED_MAX 64 /* points in a row */

/* A context's view of one daemon's word. */
struct place {
	rein_a64 context; /* 0: free, or its context is gone; written last */
	CUdeviceptr base;
	struct rein_points *_Atomic seen; /* what the GPU sees, as the host sees it */
	uint32_t join;                    /* which daemon's */
	bool ours; /* `seen` is a mapping of ours; else the driver's memory */
};

static struct place places[PLACES];
static rein_a32 places_n;
static rein_a32 placing; /* 1: a thread registers; the others go without points for a moment */

static struct rein_points *_Atomic word; /* the daemon's object now; NULL: none */
static rein_a32 joins;                   /* +1 for each */
static rein_a32 armed;                   /* the warden looks often enough */
static rein_a32 off;
static rein_a32 copying; /* the warden is at the driver's memory */
static rein_a32 cost_ns; /* of the call; 0: not known yet */

static size_t page_up(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (n + page - 1) / page * page;
}

static struct rein_points *now_word(void)
{
	return atomic_load_explicit(&word, memory_order_acquire);
}

/* ---------------------------------------------------------------- places */

/* NULL: this context has none. */
static struct place *find(uint64_t context, uint32_t join)
{
	unsigned n = rein_load_acquire(&places_n);
	for (unsigned i = 0; i < n && i < PLACES; i++)
		if (rein_load_acquire(&places[i].context) == context && places[i].join == join)
			return &places[i];
	return NULL;
}

/* Another mapping of the same pages, for the driver of one context alone. */
static bool place_registered(struct place *p, struct rein_points *of)
{
	size_t len = page_up(sizeof(*of));
	void *at = mremap(of, 0, len, MREMAP_MAYMOVE);
	if (at == MAP_FAILED)
		return false;
	CUresult r = real.cuMemHostRegister_v2(at, len, CU_MEMHOSTREGISTER_DEVICEMAP);
	bool registered = r == CUDA_SUCCESS;
	if (registered)
		r = real.cuMemHostGetDevicePointer_v2(&p->base, at, 0);
	if (r == CUDA_SUCCESS) {
		p->ours = true;
		atomic_store_explicit(&p->seen, at, memory_order_release);
		return true;
	}
	if (registered)
		(void)real.cuMemHostUnregister(at);
	munmap(at, len);
	return false;
}

static bool place_allocated(struct place *p, struct rein_points *of)
{
	void *at = NULL;
	size_t len = page_up(sizeof(*of));
	if (real.cuMemHostAlloc(&at, len, CU_MEMHOSTALLOC_DEVICEMAP) != CUDA_SUCCESS)
		return false;
	if (real.cuMemHostGetDevicePointer_v2(&p->base, at, 0) != CUDA_SUCCESS) {
		(void)real.cuMemFreeHost(at);
		return false;
	}
	struct rein_points *points = at;
	memset(points, 0, sizeof(*points));
	rein_store_release(&points->open, 1);
	p->ours = false;
	atomic_store_explicit(&p->seen, points, memory_order_release);
	/* from here on the daemon rings at each change, or we see the last one */
	(void)rein_swap_seqcst(&of->driven, 1);
	rein_store_release(&points->open, rein_load_seqcst(&of->open));
	return true;
}

/* A place for the current context. Relaxed, like all our calls: another thread may capture. */
static struct place *make(uint64_t context, struct rein_points *of, uint32_t join)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	uint32_t nobody = 0;
	if (rein_capture_any() || !rein_cas(&placing, &nobody, 1))
		return NULL;
	struct place *p = find(context, join);
	unsigned n = rein_load_relaxed(&places_n), i = 0;
	while (i < n && (rein_load_relaxed(&places[i].context) ||
	                 atomic_load_explicit(&places[i].seen, memory_order_relaxed)))
		i++;
	if (!p && i < PLACES) {
		struct place *fresh = &places[i];
		bool asked = real.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS;
		fresh->join = join;
		if (place_registered(fresh, of) || place_allocated(fresh, of))
			p = fresh;
		if (asked)
			(void)real.cuThreadExchangeStreamCaptureMode(&mode);
		if (p && i == n)
			rein_store_release(&places_n, n + 1);
		if (p)
			rein_store_release(&p->context, context);
	}
	if (!p)
		rein_point_off(i < PLACES ? "the driver neither registers nor allocates the word"
		                          : "too many contexts and daemons have come and gone");
	rein_store_release(&placing, 0);
	return p;
}

static struct place *place_of(const struct rein_row *row)
{
	uint64_t context = rein_load_relaxed(&row->context);
	uint32_t join = rein_load_acquire(&joins);
	struct rein_points *of = now_word();
	struct place *p = of ? find(context, join) : NULL;
	if (p || !of || rein_context_scope() != context)
		return p;
	return make(context, of, join);
}

/* ---------------------------------------------------------------- points */

uint64_t rein_point_every(const struct rein_row *row)
{
	uint32_t slot = rein_load_relaxed(&row->slot) % REIN_DEVICES_MAX;
	uint64_t every_ns = rein_load_relaxed(&REIN_CONTROL->verdict[slot].point_ns);
	if (!every_ns || !rein_load_acquire(&armed) || rein_load_relaxed(&off) ||
	    rein_load_relaxed(&row->handle) == REIN_HANDLE_OVERFLOW || !place_of(row))
		return 0;
	uint64_t least_ns = (uint64_t)rein_load_relaxed(&cost_ns) * COST_PART;
	return every_ns > least_ns ? every_ns : least_ns;
}

/* The call's own time, on the program's thread; the GPU's is in the verdict's point_ns. The least
 * that was ever seen: a thread that lost its core, or that waited for room in a full queue, says
 * nothing. */
static void note_cost(uint64_t ns)
{
	static rein_a32 n, least = UINT32_MAX;
	uint32_t so_far = rein_load_relaxed(&least);
	while (ns < so_far && !rein_cas(&least, &so_far, (uint32_t)ns))
		;
	if (rein_add_relaxed(&n, 1) + 1 >= COST_SAMPLES)
		rein_store_relaxed(&cost_ns, rein_load_relaxed(&least));
}

/* Progress counts from where the row stands: its word may be new, or another stream's before. */
static rein_a32 *progress_word(struct rein_row *row, struct place *p, unsigned *number)
{
	struct rein_points *seen = atomic_load_explicit(&p->seen, memory_order_acquire);
	uint32_t id = (uint32_t)(p - places) + 1;
	*number = rein_load_relaxed(&row->id) % REIN_POINT_ROWS;
	if (seen && rein_load_acquire(&row->place) != id) {
		rein_store_relaxed(&seen->progress[*number],
		                   (uint32_t)rein_load_relaxed(&row->completed));
		rein_store_release(&row->place, id);
	}
	return seen ? &seen->progress[*number] : NULL;
}

/* The program may well have given a stream that is none: its own call will fail too. */
static bool is_refused(CUresult r)
{
	static rein_a32 in_a_row;
	if (r == CUDA_SUCCESS) {
		if (rein_load_relaxed(&in_a_row))
			rein_store_relaxed(&in_a_row, 0);
		return false;
	}
	if (r == CUDA_ERROR_NOT_SUPPORTED || rein_add_relaxed(&in_a_row, 1) + 1 >= REFUSED_MAX)
		rein_point_off("the driver refuses memory operations");
	return true;
}

void rein_point_put(struct rein_row *row, CUstream stream, uint64_t proven)
{
	unsigned number;
	struct place *p = place_of(row);
	if (!p || !progress_word(row, p, &number) || !rein_mark_call_begin(stream))
		return;
	uint64_t at = p->base + offsetof(struct rein_points, progress) + 4ull * number;
	CUstreamBatchMemOpParams op[2];
	memset(op, 0, sizeof(op));
	op[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[0].writeValue.address = at;
	op[0].writeValue.value = (uint32_t)proven;
	op[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
	op[1].waitValue.address = p->base + offsetof(struct rein_points, open);
	op[1].waitValue.value = 1;
	op[1].waitValue.flags = CU_STREAM_WAIT_VALUE_AND;
	uint64_t began = rein_now_ns();
	CUresult r = real.cuStreamBatchMemOp_v2(stream, 2, op, 0);
	uint64_t ns = rein_now_ns() - began;
	rein_mark_call_end();
	if (is_refused(r))
		return;
	note_cost(ns);
	rein_add_relaxed(&row->disturbed, 1); /* for whoever times a kernel in the same stream */
	rein_add_relaxed(&REIN_STATUS->points, 1);
}

/* The low halves of counts: how far it is ahead of what is known. */
static void look_at(struct rein_row *row, const rein_a32 *progress)
{
	uint64_t completed = rein_load_seqcst(&row->completed);
	uint32_t ahead = rein_load_acquire(progress) - (uint32_t)completed;
	if (ahead && ahead < 1u << 31 && completed + ahead <= rein_load_seqcst(&row->returned))
		(void)rein_row_complete(row, completed + ahead);
}

void rein_point_look(void)
{
	unsigned n = rein_rows_used();
	rein_add_seqcst(&copying, 1);
	for (unsigned i = 0; rein_load_relaxed(&places_n) && i < n; i++) {
		struct rein_row *row = rein_row_used(i);
		uint32_t id = rein_load_acquire(&row->place);
		if (!id || id > PLACES || !rein_row_outstanding(row))
			continue;
		struct rein_points *seen =
		    atomic_load_explicit(&places[id - 1].seen, memory_order_seq_cst);
		if (seen)
			look_at(row, &seen->progress[rein_row_number(row)]);
	}
	rein_add_seqcst(&copying, (uint32_t)-1);
}

bool rein_point_is_dependent(const CUlaunchConfig *config)
{
	for (unsigned i = 0; config->attrs && i < config->numAttrs; i++)
		if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION &&
		    config->attrs[i].value.programmaticStreamSerializationAllowed)
			return true;
	return false;
}

/* ---------------------------------------------------------------- the word */

/* For every context, registered or driven. `seen` may be the driver's, and go: see context_over. */
static void store_open(struct rein_points *of, uint32_t join, uint32_t open)
{
	unsigned n = rein_load_acquire(&places_n);
	if (of)
		rein_swap_seqcst(&of->open, open);
	rein_add_seqcst(&copying, 1);
	for (unsigned i = 0; i < n && i < PLACES; i++) {
		struct rein_points *seen =
		    atomic_load_explicit(&places[i].seen, memory_order_seq_cst);
		if (seen && places[i].join == join && (rein_load_relaxed(&seen->open) & 1) != open)
			rein_store_release(&seen->open, open);
	}
	rein_add_seqcst(&copying, (uint32_t)-1);
}

struct rein_points *rein_point_object(void)
{
	return now_word();
}

bool rein_point_closed(void)
{
	struct rein_points *of = now_word();
	return of && !(rein_load_acquire(&of->open) & 1);
}

/* Nobody else may close it until as many have said so. */
static void keep_open(uint32_t more)
{
	struct rein_points *of = now_word();
	if (of)
		rein_add_seqcst(&of->keep_open, more);
	if (of && more == 1)
		store_open(of, rein_load_acquire(&joins), 1);
}

void rein_point_off(const char *why)
{
	if (rein_swap_seqcst(&off, 1))
		return;
	if (why)
		rein_debug("no points in the GPU's queue: %s; the launch gate remains", why);
	rein_and_seqcst(&REIN_STATUS->can, ~REIN_CAN_QUEUE);
	keep_open(1);
	rein_demand_changed();
}

/* Nobody looks at it any more: those who do take some ns. What is not ours goes with its context.
 */
static void let_go(struct place *p)
{
	struct rein_points *seen = atomic_exchange_explicit(&p->seen, NULL, memory_order_seq_cst);
	uint64_t until = rein_now_ns() + 2 * REIN_LEASE_NS;
	while (rein_load_seqcst(&copying) && rein_now_ns() < until)
		rein_cpu_relax();
	if (seen && p->ours && !rein_load_seqcst(&copying))
		munmap(seen, page_up(sizeof(*seen)));
}

static void let_go_of(CUcontext ctx, bool ours)
{
	unsigned n = rein_load_acquire(&places_n);
	for (unsigned i = 0; ctx && i < n && i < PLACES; i++) {
		uint64_t context = (uint64_t)(uintptr_t)ctx;
		if (places[i].ours == ours && rein_cas(&places[i].context, &context, 0))
			let_go(&places[i]);
	}
}

/* The driver's memory is open now, and stays so: nobody copies to it any more. */
void rein_point_context_ends(CUcontext ctx)
{
	keep_open(1);
	let_go_of(ctx, false);
}

void rein_point_context_over(CUcontext gone)
{
	let_go_of(gone, true);
	keep_open((uint32_t)-1);
}

/* ---------------------------------------------------------------- the warden */

/* The fd stays the caller's. As attach.c maps: of the right kind, and it cannot shrink. */
void rein_point_join(int fd)
{
	struct stat st;
	size_t len = page_up(sizeof(struct rein_points));
	int seals = fcntl(fd, F_GET_SEALS);
	if (fstat(fd, &st) != 0 || seals < 0 || !(seals & F_SEAL_SHRINK) || st.st_size < (off_t)len)
		return;
	struct rein_points *of = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (of == MAP_FAILED)
		return;
	if (of->header.magic != REIN_ABI_MAGIC || of->header.major != REIN_ABI_MAJOR ||
	    of->header.size < sizeof(*of)) {
		munmap(of, len);
		return;
	}
	rein_add_seqcst(&joins, 1);
	atomic_store_explicit(&word, of, memory_order_release);
}

void rein_point_publish(void)
{
	bool can =
	    now_word() && !rein_load_seqcst(&off) && rein_real_has(REIN_E_cuStreamBatchMemOp_v2);
	if (can)
		rein_or_seqcst(&REIN_STATUS->can, REIN_CAN_QUEUE);
}

/* Its pages stay mapped: queued points wait for them. */
void rein_point_leave(void)
{
	rein_store_release(&armed, 0);
	struct rein_points *of = atomic_exchange_explicit(&word, NULL, memory_order_seq_cst);
	if (of)
		store_open(of, rein_load_acquire(&joins), 1);
}

void rein_point_open_past(void)
{
	uint32_t join = now_word() ? rein_load_acquire(&joins) : 0;
	unsigned n = rein_load_acquire(&places_n);
	rein_add_seqcst(&copying, 1);
	for (unsigned i = 0; i < n && i < PLACES; i++) {
		struct rein_points *seen =
		    atomic_load_explicit(&places[i].seen, memory_order_seq_cst);
		if (seen && places[i].join != join && !(rein_load_relaxed(&seen->open) & 1))
			rein_store_release(&seen->open, 1);
	}
	rein_add_seqcst(&copying, (uint32_t)-1);
}

/* To where the GPU sees it. */
static void copy_open(struct rein_points *of, uint32_t join)
{
	uint32_t open;
	do {
		open = rein_load_seqcst(&of->open) & 1;
		store_open(NULL, join, open);
	} while ((rein_load_seqcst(&of->open) & 1) != open);
}

static bool any_wanted(void)
{
	bool wanted = false;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++)
		wanted |= rein_load_relaxed(&REIN_CONTROL->verdict[i].point_ns) != 0;
	return wanted;
}

int rein_point_watch(int most_ms)
{
	struct rein_points *of = now_word();
	uint32_t join = rein_load_acquire(&joins);
	rein_point_open_past();
	if (!of)
		return most_ms;
	/* in this order: whoever closes writes the lease first */
	bool wanted = any_wanted(), closed = !(rein_load_seqcst(&of->open) & 1);
	uint64_t until = rein_load_acquire(&REIN_CONTROL->verdict[0].lease_until_ns);
	uint64_t now = rein_now_ns(), wait_ns = WATCH_NS;
	if (closed && now >= until) {
		store_open(of, join, 1);
		rein_add_relaxed(&REIN_STATUS->total.lapses, 1);
		closed = false;
	} else if (rein_load_seqcst(&of->driven)) {
		copy_open(of, join);
	}
	rein_store_release(&armed, wanted);
	if (!wanted && !closed)
		return most_ms;
	if (closed && until - now < wait_ns)
		wait_ns = until - now;
	return (int)(wait_ns / REIN_MS) + 1;
}

void rein_point_let_go(void)
{
	struct rein_points *of = atomic_exchange_explicit(&word, NULL, memory_order_relaxed);
	if (of)
		munmap(of, page_up(sizeof(*of)));
	for (unsigned i = 0; i < PLACES; i++) {
		struct rein_points *seen =
		    atomic_exchange_explicit(&places[i].seen, NULL, memory_order_relaxed);
		if (seen && places[i].ours)
			munmap(seen, page_up(sizeof(*seen)));
	}
}
