// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_mem.c: loads and stores. Every access is checked: global memory against the allocations
 * the caller knows, the rest against its size. If all lanes' accesses lie in one piece of memory
 * that one check covers, they are made at once, by way of a buffer in which what a lane moves lies
 * side by side; the lane functions turn that into registers and back. One value for all lanes, or a
 * run of neighbours, is one copy. Any other access is lane by lane, and names the lane at fault.
 *
 * Guest programs may race; element accesses are relaxed atomics so that this is no undefined
 * behaviour of ours, and the bulk copies are not looked at by TSan.
 */
#include <string.h>

#include "ptx_exec.h"

#if defined(__SANITIZE_THREAD__) || defined(PTX_TSAN)
#define NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#else
#define NO_TSAN
#endif

uint64_t ptx_lane_get(const void *reg, unsigned size, unsigned lane)
{
	switch (size) {
	case 2:
		return ((const uint16_t *)reg)[lane];
	case 4:
		return ((const uint32_t *)reg)[lane];
	default:
		return ((const uint64_t *)reg)[lane];
	}
}

void ptx_lane_set(void *reg, unsigned size, unsigned lane, uint64_t value)
{
	switch (size) {
	case 2:
		((uint16_t *)reg)[lane] = (uint16_t)value;
		break;
	case 4:
		((uint32_t *)reg)[lane] = (uint32_t)value;
		break;
	default:
		((uint64_t *)reg)[lane] = value;
	}
}

/* How the lanes' addresses lie to each other, and, of a whole access, that it is not checked. */
enum shape { SAME, RUN, APART, UNCHECKED };

static enum shape addresses(const struct ptx_warp *w, const struct ptx_inst *in, uint64_t *addr,
                            uint32_t bytes)
{
	const struct ptx_lane_set *lanes = w->worker->lanes;
	const void *base = ptx_reg(w, in->a);
	if (in->asize == 8)
		return (enum shape)lanes->addr64(addr, base, (uint64_t)in->imm, bytes);
	return (enum shape)lanes->addr32(addr, base, (uint32_t)in->imm, bytes);
}

void ptx_addresses(const struct ptx_warp *w, const struct ptx_inst *in, uint64_t *addr)
{
	addresses(w, in, addr, 0);
}

static const char *space_name(enum ptx_space s)
{
	static const char *const names[] = {"global",    "shared",   "local",
	                                    "parameter", "constant", "generic"};
	return names[s];
}

static bool illegal(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                    uint32_t bytes, enum ptx_space space)
{
	const char *what = in->kind == PTX_K_ST   ? "store"
	                   : in->kind == PTX_K_LD ? "load"
	                                          : "atomic";
	return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
	                 "illegal address 0x%llx: %s %s of %u bytes", (unsigned long long)addr,
	                 space_name(space), what, bytes);
}

static bool in_range(const struct ptx_range *r, uint64_t addr, uint64_t bytes)
{
	return addr - r->lo <= r->span - bytes && bytes <= r->span;
}

/* Is [addr, addr+bytes) global memory? The answer's whole allocation is kept for this access. */
static bool check_global(struct ptx_warp *w, const struct ptx_inst *in, uint64_t addr,
                         uint64_t bytes)
{
	struct ptx_range *r = &w->worker->ranges[in->site % PTX_RANGES];
	const struct ptx_memory *mem = w->worker->job->mem;
	uint64_t lo = 0, hi = 0;
	if (in_range(r, addr, bytes))
		return true;
	if (!mem->check(mem->self, addr, bytes, &lo, &hi) || addr < lo || hi - addr < bytes)
		return false;
	*r = (struct ptx_range){lo, hi - lo};
	return true;
}

uint8_t *ptx_locate(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                    uint32_t bytes, enum ptx_space *out)
{
	enum ptx_space space = (enum ptx_space)in->space;
	const struct ptx_job *j = w->worker->job;
	uint64_t at = addr, size = 0;
	uint8_t *base = NULL;
	if (space == PTX_SPACE_GENERIC) {
		uint64_t window = addr >> PTX_WINDOW_SHIFT;
		space = window <= PTX_SPACE_PARAM ? (enum ptx_space)window : PTX_SPACE_GLOBAL;
		if (window && window <= PTX_SPACE_PARAM)
			at &= (1ull << PTX_WINDOW_SHIFT) - 1;
	}
	*out = space;
	if (addr & (bytes - 1)) {
		ptx_fault(w, in, lane, PTX_MISALIGNED,
		          "misaligned address 0x%llx: %s access of %u bytes",
		          (unsigned long long)addr, space_name(space), bytes);
		return NULL;
	}
	switch (space) {
	case PTX_SPACE_SHARED:
		base = w->block->shared;
		size = w->block->shared_bytes;
		break;
	case PTX_SPACE_LOCAL:
		size = j->lane_bytes;
		base = w->local + lane * size;
		break;
	case PTX_SPACE_PARAM:
		base = (uint8_t *)(uintptr_t)j->params;
		size = in->kind == PTX_K_LD ? j->k->info.param_bytes : 0; /* read-only */
		break;
	default:
		if (check_global(w, in, at, bytes))
			return (uint8_t *)(uintptr_t)at;
	}
	uint64_t rank = space == PTX_SPACE_SHARED ? at >> PTX_RANK_SHIFT : 0;
	if (rank && rank <= w->block->cluster->n) {
		base = w->block->cluster->blocks[rank - 1]->shared;
		at &= (1u << PTX_RANK_SHIFT) - 1;
	}
	if (at < size && size - at >= bytes)
		return base + at;
	illegal(w, in, lane, addr, bytes, space);
	return NULL;
}

void ptx_exec_ldparam(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint8_t *p = w->worker->job->params + in->imm;
	uint64_t v = 0;
	switch (in->size) { /* a copy whose size is known is one instruction */
	case 4:
		memcpy(&v, p, 4);
		break;
	case 8:
		memcpy(&v, p, 8);
		break;
	default:
		memcpy(&v, p, in->size);
	}
	if (in->sign && in->size < 8) {
		unsigned shift = 64 - in->size * 8u;
		v = (uint64_t)((int64_t)(v << shift) >> shift);
	}
	ptx_splat(w, in->d, v, in->rsize, mask);
}

static uint64_t element_load(const uint8_t *p, unsigned size, bool sign)
{
	switch (size) {
	case 1: {
		uint8_t v = __atomic_load_n(p, __ATOMIC_RELAXED);
		return sign ? (uint64_t)(int64_t)(int8_t)v : v;
	}
	case 2: {
		uint16_t v = __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
		return sign ? (uint64_t)(int64_t)(int16_t)v : v;
	}
	case 4: {
		uint32_t v = __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
		return sign ? (uint64_t)(int64_t)(int32_t)v : v;
	}
	default:
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
	}
}

static void element_store(uint8_t *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		__atomic_store_n(p, (uint8_t)v, __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED);
	}
}

void ptx_copy_in(void *d, const uint8_t *p, uint32_t n)
{
	uint32_t step = n < 8 ? n : 8;
	for (uint32_t at = 0; at < n; at += step) {
		uint64_t v = element_load(p + at, step, false);
		memcpy((uint8_t *)d + at, &v, step);
	}
}

void ptx_copy_out(uint8_t *p, const void *s, uint32_t n)
{
	uint32_t step = n < 8 ? n : 8;
	for (uint32_t at = 0; at < n; at += step) {
		uint64_t v = 0;
		memcpy(&v, (const uint8_t *)s + at, step);
		element_store(p + at, step, v);
	}
}

/* An access of the lanes of mask, `bytes` each: lane i's is at base + addr[i]. */
struct access {
	uint64_t addr[PTX_LANES];
	uint32_t bytes, mask;
	enum ptx_space space;
	uintptr_t base;
};

/* The space and the window of a lane's address. */
static enum ptx_space space_of(const struct ptx_inst *in, uint64_t addr, uint64_t *window)
{
	enum ptx_space s = (enum ptx_space)in->space;
	uint64_t n = addr >> PTX_WINDOW_SHIFT;
	*window = 0;
	if (s != PTX_SPACE_GENERIC)
		return s;
	if (n > PTX_SPACE_PARAM)
		return PTX_SPACE_GLOBAL;
	*window = n << PTX_WINDOW_SHIFT;
	return (enum ptx_space)n;
}

/* Memory that all lanes see, but global memory: where it begins, and its size. */
static uint8_t *common_memory(const struct ptx_warp *w, const struct ptx_inst *in, enum ptx_space s,
                              uint64_t *size)
{
	const struct ptx_job *j = w->worker->job;
	*size = 0;
	if (s == PTX_SPACE_SHARED) {
		*size = w->block->shared_bytes;
		return w->block->shared;
	}
	if (s == PTX_SPACE_PARAM && in->kind == PTX_K_LD) {
		*size = j->k->info.param_bytes;
		return (uint8_t *)(uintptr_t)j->params;
	}
	return NULL;
}

/* The lanes' own memory lies apart: each lane's address moves to its part. */
static bool whole_local(struct ptx_warp *w, struct access *a, uint64_t window)
{
	uint64_t size = w->worker->job->lane_bytes;
	if (size < a->bytes || (((uintptr_t)w->local | size) & (a->bytes - 1)) ||
	    w->worker->lanes->reach(a->addr, window, a->mask) > size - a->bytes)
		return false;
	for (unsigned i = 0; i < PTX_LANES; i++)
		a->addr[i] += i * size;
	a->base = (uintptr_t)w->local - (uintptr_t)window;
	return true;
}

/* True if every access of the warp lies in one piece of checked memory and is aligned. */
static bool whole_warp(struct ptx_warp *w, const struct ptx_inst *in, struct access *a)
{
	uint64_t window, size, bits = 0, first = a->addr[__builtin_ctz(a->mask)];
	if (a->mask == ~0u)
		for (unsigned i = 0; i < PTX_LANES; i++)
			bits |= a->addr[i];
	else
		for (uint32_t rest = a->mask; rest; rest &= rest - 1)
			bits |= a->addr[__builtin_ctz(rest)];
	a->space = space_of(in, first, &window);
	if (bits & (a->bytes - 1))
		return false;
	if (a->space == PTX_SPACE_LOCAL)
		return whole_local(w, a, window);
	if (a->space != PTX_SPACE_GLOBAL && a->space != PTX_SPACE_CONST) {
		a->base = (uintptr_t)common_memory(w, in, a->space, &size) - (uintptr_t)window;
		return size >= a->bytes &&
		       w->worker->lanes->reach(a->addr, window, a->mask) <= size - a->bytes;
	}
	const struct ptx_range *r = &w->worker->ranges[in->site % PTX_RANGES];
	a->base = 0;
	return check_global(w, in, first, a->bytes) &&
	       w->worker->lanes->reach(a->addr, r->lo, a->mask) <= r->span - a->bytes;
}

/* n bytes from the first lane's address on: true if they may be accessed, and where they are. */
static bool from_first(struct ptx_warp *w, const struct ptx_inst *in, struct access *a, uint64_t n)
{
	uint64_t window, size, addr = a->addr[0];
	a->space = space_of(in, addr, &window);
	a->base = 0;
	if (addr & (a->bytes - 1))
		return false;
	if (a->space == PTX_SPACE_GLOBAL || a->space == PTX_SPACE_CONST)
		return check_global(w, in, addr, n);
	a->base = (uintptr_t)common_memory(w, in, a->space, &size) - (uintptr_t)window;
	return addr - window < size && size - (addr - window) >= n;
}

/* Finds out where the access is. */
static enum shape find(struct ptx_warp *w, const struct ptx_inst *in, struct access *a)
{
	enum shape s = addresses(w, in, a->addr, a->bytes);
	if (a->mask == ~0u && s != APART &&
	    from_first(w, in, a, s == RUN ? (uint64_t)a->bytes * PTX_LANES : a->bytes))
		return s;
	return whole_warp(w, in, a) ? APART : UNCHECKED;
}

static void count_bytes(struct ptx_warp *w, enum ptx_space space, uint32_t mask, uint32_t bytes)
{
	if (space == PTX_SPACE_GLOBAL)
		w->worker->res.global_bytes +=
		    (uint64_t)(mask == ~0u ? 32 : __builtin_popcount(mask)) * bytes;
}

static const uint32_t *registers(const struct ptx_warp *w, const struct ptx_inst *in,
                                 const uint32_t *one)
{
	return in->vec > 1 ? &w->worker->job->k->ext[in->target] : one;
}

/*
 * What a vector access moves goes at once: others see all of it or nothing, as on a GPU, and
 * programs rely on it (CUB's scans keep a value and its state side by side). 16 aligned bytes are
 * one access of an x86 CPU with AVX (Intel SDM, volume 3, "Guaranteed Atomic Operations").
 */
typedef uint64_t sixteen __attribute__((vector_size(16), may_alias));

static bool at_once(const struct ptx_inst *in, const uint8_t *p, uint32_t bytes)
{
	return in->vec > 1 && (bytes == 8 || bytes == 16) && !((uintptr_t)p & (bytes - 1));
}

NO_TSAN static void load_whole(sixteen *to, const uint8_t *p, uint32_t bytes)
{
	if (bytes == 16)
		*to = *(const volatile sixteen *)p;
	else
		(*to)[0] = __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

NO_TSAN static void store_whole(uint8_t *p, const sixteen *from, uint32_t bytes)
{
	if (bytes == 16)
		*(volatile sixteen *)p = *from;
	else
		__atomic_store_n((uint64_t *)p, (*from)[0], __ATOMIC_RELAXED);
}

/* Lanes one by one; the whole warp is checked already if `base_ok`. */
static bool load_lanes(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask,
                       const uint64_t *addr, bool base_ok, uintptr_t base)
{
	const uint32_t *regs = registers(w, in, &in->d);
	uint32_t bytes = (uint32_t)in->size * in->vec;
	/* a destination may be the address register: but addr is a copy */
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		enum ptx_space space;
		const uint8_t *p = base_ok ? (const uint8_t *)(base + (uintptr_t)addr[lane])
		                           : ptx_locate(w, in, lane, addr[lane], bytes, &space);
		if (!p)
			return false;
		if (!base_ok)
			count_bytes(w, space, 1, bytes);
		sixteen whole = {0};
		if (at_once(in, p, bytes)) {
			load_whole(&whole, p, bytes);
			p = (const uint8_t *)&whole;
		}
		for (unsigned v = 0; v < in->vec; v++)
			ptx_lane_set(ptx_reg(w, regs[v]), in->rsize, lane,
			             element_load(p + v * in->size, in->size, in->sign));
	}
	return true;
}

/* ---- all lanes at once */
#define WHOLE_MAX 16 /* bytes a lane; eight 32-bit registers go lane by lane */
#define EACH_LANE(mask, what)                                                                      \
	if ((mask) == ~0u) {                                                                       \
		for (unsigned lane = 0; lane < PTX_LANES; lane++)                                  \
			what;                                                                      \
	} else {                                                                                   \
		for (uint32_t rest = (mask); rest; rest &= rest - 1) {                             \
			unsigned lane = (unsigned)__builtin_ctz(rest);                             \
			what;                                                                      \
		}                                                                                  \
	}
#define FETCH(T)                                                                                   \
	EACH_LANE(a->mask, ((T *)to)[lane] = __atomic_load_n((const T *)(a->base + a->addr[lane]), \
	                                                     __ATOMIC_RELAXED))
#define PUT(T)                                                                                     \
	EACH_LANE(a->mask, __atomic_store_n((T *)(a->base + a->addr[lane]),                        \
	                                    ((const T *)from)[lane], __ATOMIC_RELAXED))

/* Between memory and a buffer, one access a lane. */
NO_TSAN static void fetch(void *to, const struct access *a)
{
	switch (a->bytes) {
	case 1:
		FETCH(uint8_t);
		break;
	case 2:
		FETCH(uint16_t);
		break;
	case 4:
		FETCH(uint32_t);
		break;
	case 8:
		FETCH(uint64_t);
		break;
	default:
		EACH_LANE(a->mask, ((sixteen *)to)[lane] =
		                       *(const volatile sixteen *)(a->base + a->addr[lane]));
	}
}

NO_TSAN static void put(const void *from, const struct access *a)
{
	switch (a->bytes) {
	case 1:
		PUT(uint8_t);
		break;
	case 2:
		PUT(uint16_t);
		break;
	case 4:
		PUT(uint32_t);
		break;
	case 8:
		PUT(uint64_t);
		break;
	default:
		EACH_LANE(a->mask, *(volatile sixteen *)(a->base + a->addr[lane]) =
		                       ((const sixteen *)from)[lane]);
	}
}

/* What a full warp moves of a run. Vectors go in aligned pieces, so that each moves at once. */
NO_TSAN static void copy_run(void *to, const void *from, uint32_t bytes, bool vector)
{
	if (vector) {
		for (uint32_t i = 0; i < bytes * PTX_LANES / sizeof(sixteen); i++)
			((volatile sixteen *)to)[i] = ((const volatile sixteen *)from)[i];
		return;
	}
	switch (bytes) {
	case 1:
		memcpy(to, from, PTX_LANES);
		break;
	case 2:
		memcpy(to, from, 2 * PTX_LANES);
		break;
	case 4:
		memcpy(to, from, 4 * PTX_LANES);
		break;
	default:
		memcpy(to, from, 8 * PTX_LANES);
	}
}

/* Can the run be copied? Else it is fetched, or put, lane by lane. */
static bool copyable(const struct ptx_inst *in, const struct access *a)
{
	return in->vec == 1 || !((a->base + a->addr[0]) & (sizeof(sixteen) - 1));
}

static unsigned log2_of(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

/* The buffer's elements into the registers of the lanes of mask. */
static void to_registers(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask,
                         const void *from)
{
	const struct ptx_lane_set *lanes = w->worker->lanes;
	const uint32_t *regs = registers(w, in, &in->d);
	uint64_t scratch[4][PTX_LANES];
	void *d[4] = {NULL};
	for (unsigned v = 0; v < in->vec; v++)
		d[v] = mask == w->live ? (void *)ptx_reg(w, regs[v]) : &scratch[v][0];
	lanes->split[in->sign][log2_of(in->size)][log2_of(in->rsize)](d, from, in->vec);
	for (unsigned v = 0; v < in->vec && mask != w->live; v++)
		lanes->blend[ptx_size_index(in->rsize)](ptx_reg(w, regs[v]), scratch[v], mask);
}

static void load_whole_warp(struct ptx_warp *w, const struct ptx_inst *in, enum shape s,
                            struct access *a)
{
	const uint32_t *regs = registers(w, in, &in->d);
	sixteen buffer[PTX_LANES];
	/* without the buffer: nothing to widen or to take apart, and no other lane is alive */
	void *to = in->vec == 1 && in->rsize == in->size && a->mask == w->live
	               ? (void *)ptx_reg(w, in->d)
	               : (void *)buffer;
	if (s == SAME) {
		a->mask = 1;
		fetch(buffer, a);
		for (unsigned v = 0; v < in->vec; v++)
			ptx_splat(w, regs[v],
			          element_load((const uint8_t *)buffer + v * in->size, in->size,
			                       in->sign),
			          in->rsize, ~0u);
		return;
	}
	if (a->mask != ~0u && to == buffer)
		memset(buffer, 0, (size_t)a->bytes * PTX_LANES);
	if (s == RUN && copyable(in, a))
		copy_run(to, (const void *)(a->base + a->addr[0]), a->bytes, in->vec > 1);
	else
		fetch(to, a);
	if (to == buffer)
		to_registers(w, in, a->mask, buffer);
}

static void store_whole_warp(struct ptx_warp *w, const struct ptx_inst *in, enum shape s,
                             const struct access *a)
{
	const uint32_t *regs = registers(w, in, &in->b);
	sixteen buffer[PTX_LANES];
	const void *from = ptx_reg(w, in->b), *r[4] = {NULL};
	if (in->vec > 1 || in->rsize != in->size) {
		for (unsigned v = 0; v < in->vec; v++)
			r[v] = ptx_reg(w, regs[v]);
		w->worker->lanes->join[log2_of(in->size)][log2_of(in->rsize)](buffer, r, in->vec);
		from = buffer;
	}
	if (s == RUN && copyable(in, a))
		copy_run((void *)(a->base + a->addr[0]), from, a->bytes, in->vec > 1);
	else
		put(from, a);
}

bool ptx_exec_ld(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	struct access a; /* the addresses are all written */
	a.bytes = (uint32_t)in->size * in->vec;
	a.mask = mask;
	enum shape s = find(w, in, &a);
	bool ok = true;
	if (s != UNCHECKED)
		count_bytes(w, a.space, mask, a.bytes);
	if (s != UNCHECKED && a.bytes <= WHOLE_MAX)
		load_whole_warp(w, in, s, &a);
	else
		ok = load_lanes(w, in, mask, a.addr, s != UNCHECKED, a.base);
	if (in->order & PTX_ORDER_ACQUIRE)
		ptx_fence();
	return ok;
}

static bool store_lanes(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask,
                        const uint64_t *addr, bool base_ok, uintptr_t base)
{
	const uint32_t *regs = registers(w, in, &in->b);
	uint32_t bytes = (uint32_t)in->size * in->vec;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		enum ptx_space space;
		uint8_t *p = base_ok ? (uint8_t *)(base + (uintptr_t)addr[lane])
		                     : ptx_locate(w, in, lane, addr[lane], bytes, &space);
		if (!p)
			return false;
		if (!base_ok)
			count_bytes(w, space, 1, bytes);
		sixteen whole = {0};
		bool once = at_once(in, p, bytes);
		uint8_t *to = once ? (uint8_t *)&whole : p;
		for (unsigned v = 0; v < in->vec; v++)
			element_store(to + v * in->size, in->size,
			              ptx_lane_get(ptx_reg(w, regs[v]), in->rsize, lane));
		if (once)
			store_whole(p, &whole, bytes);
	}
	return true;
}

bool ptx_exec_st(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	if (in->order & PTX_ORDER_RELEASE)
		ptx_fence();
	struct access a; /* the addresses are all written */
	a.bytes = (uint32_t)in->size * in->vec;
	a.mask = mask;
	enum shape s = find(w, in, &a);
	if (s != UNCHECKED)
		count_bytes(w, a.space, mask, a.bytes);
	if (s == UNCHECKED || a.bytes > WHOLE_MAX)
		return store_lanes(w, in, mask, a.addr, s != UNCHECKED, a.base);
	store_whole_warp(w, in, s, &a);
	return true;
}
