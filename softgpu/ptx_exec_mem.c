// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_mem.c: loads and stores. A full warp that reads one value or a run of neighbours takes
 * a short way; any other access is lane by lane. Every access is checked: global memory against
 * the allocations the caller knows, the rest against its size.
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

void ptx_addresses(const struct ptx_warp *w, const struct ptx_inst *in, uint64_t *addr)
{
	const void *base = ptx_reg(w, in->a);
	if (in->asize == 8)
		w->worker->lanes->addr64(addr, base, (uint64_t)in->imm);
	else
		w->worker->lanes->addr32(addr, base, (uint32_t)in->imm);
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
	uint64_t v = 0;
	memcpy(&v, w->worker->job->params + in->imm, in->size);
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

/*
 * True if every access of the warp lies in one piece of checked memory and is aligned: *base + the
 * lane's address is then where it is. Else the lanes are looked at one by one.
 */
static bool whole_warp(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask,
                       const uint64_t *addr, uint32_t bytes, enum ptx_space *space, uintptr_t *base)
{
	enum ptx_space s = (enum ptx_space)in->space;
	uint64_t window = 0, bits = 0, first = addr[__builtin_ctz(mask)];
	if (s == PTX_SPACE_GENERIC) {
		if (first >> PTX_WINDOW_SHIFT > PTX_SPACE_SHARED)
			return false;
		s = (enum ptx_space)(first >> PTX_WINDOW_SHIFT);
		window = (uint64_t)s << PTX_WINDOW_SHIFT;
	}
	*space = s;
	if (mask == ~0u)
		for (unsigned i = 0; i < PTX_LANES; i++)
			bits |= addr[i];
	else
		for (uint32_t rest = mask; rest; rest &= rest - 1)
			bits |= addr[__builtin_ctz(rest)];
	if (bits & (bytes - 1))
		return false;
	if (s == PTX_SPACE_SHARED) {
		uint64_t size = w->block->shared_bytes;
		*base = (uintptr_t)w->block->shared - (uintptr_t)window;
		return size >= bytes && w->worker->lanes->reach(addr, window, mask) <= size - bytes;
	}
	if (s != PTX_SPACE_GLOBAL && s != PTX_SPACE_CONST)
		return false;
	const struct ptx_range *r = &w->worker->ranges[in->site % PTX_RANGES];
	*base = 0;
	return check_global(w, in, first, bytes) &&
	       w->worker->lanes->reach(addr, r->lo, mask) <= r->span - bytes;
}

/* A full warp, one register, register and element of one size: 0 the same address in all lanes,
 * 1 neighbours; 2 neither. */
static int pattern(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask,
                   const uint64_t *addr)
{
	if (mask != ~0u || in->vec != 1 || in->rsize != in->size || in->size < 4)
		return 2;
	return w->worker->lanes->shape(addr, in->size);
}

NO_TSAN static void copy_lanes(void *d, const void *s, unsigned size)
{
	if (size == 4)
		memcpy(d, s, 4 * PTX_LANES);
	else
		memcpy(d, s, 8 * PTX_LANES);
}

/* Host address of a pattern access of the whole warp, or NULL to go lane by lane. */
static uint8_t *pattern_at(struct ptx_warp *w, const struct ptx_inst *in, uint64_t addr,
                           uint64_t bytes, enum ptx_space *space)
{
	enum ptx_space s = (enum ptx_space)in->space;
	if (addr & (in->size - 1u))
		return NULL;
	if (s == PTX_SPACE_GENERIC) {
		s = (enum ptx_space)(addr >> PTX_WINDOW_SHIFT);
		addr &= (1ull << PTX_WINDOW_SHIFT) - 1;
	}
	*space = s;
	if (s == PTX_SPACE_SHARED)
		return addr < w->block->shared_bytes && w->block->shared_bytes - addr >= bytes
		           ? w->block->shared + addr
		           : NULL;
	if (s != PTX_SPACE_GLOBAL && s != PTX_SPACE_CONST)
		return NULL;
	return check_global(w, in, addr, bytes) ? (uint8_t *)(uintptr_t)addr : NULL;
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

static void gather32(uint32_t *d, uint32_t mask, const uint64_t *addr, uintptr_t base)
{
	if (mask == ~0u) {
		for (unsigned lane = 0; lane < PTX_LANES; lane++)
			d[lane] = __atomic_load_n((const uint32_t *)(base + addr[lane]),
			                          __ATOMIC_RELAXED);
		return;
	}
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		d[lane] = __atomic_load_n((const uint32_t *)(base + addr[lane]), __ATOMIC_RELAXED);
	}
}

/* The commonest shared access: 4 bytes, 32-bit addresses, the whole warp. */
static bool plain_shared(const struct ptx_inst *in, uint32_t mask)
{
	return mask == ~0u && in->space == PTX_SPACE_SHARED && in->asize == 4 && in->vec == 1 &&
	       in->size == 4 && in->rsize == 4;
}

bool ptx_exec_ld(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	if (plain_shared(in, mask) &&
	    w->worker->lanes->load4((uint32_t *)ptx_reg(w, in->d),
	                            (const uint32_t *)ptx_reg(w, in->a), (uint32_t)in->imm,
	                            w->block->shared, w->block->shared_bytes))
		return true;
	uint64_t addr[PTX_LANES];
	enum ptx_space space = PTX_SPACE_GENERIC;
	uint32_t bytes = (uint32_t)in->size * in->vec;
	bool ok = true;
	ptx_addresses(w, in, addr);
	int shape = pattern(w, in, mask, addr);
	const uint8_t *p =
	    shape == 2
		? NULL
		: pattern_at(w, in, addr[0], shape ? (uint64_t)bytes * PTX_LANES : bytes, &space);
	if (p) {
		if (shape == 0)
			ptx_splat(w, in->d, element_load(p, in->size, false), in->size, mask);
		else
			copy_lanes(ptx_reg(w, in->d), p, in->size);
		count_bytes(w, space, mask, bytes);
	} else {
		uintptr_t base = 0;
		bool checked = whole_warp(w, in, mask, addr, bytes, &space, &base);
		if (checked)
			count_bytes(w, space, mask, bytes);
		if (checked && in->size == 4 && in->rsize == 4 && in->vec == 1)
			gather32((uint32_t *)ptx_reg(w, in->d), mask, addr, base);
		else
			ok = load_lanes(w, in, mask, addr, checked, base);
	}
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
	uint64_t addr[PTX_LANES];
	enum ptx_space space = PTX_SPACE_GENERIC;
	uint32_t bytes = (uint32_t)in->size * in->vec;
	if (plain_shared(in, mask) &&
	    w->worker->lanes->store4((const uint32_t *)ptx_reg(w, in->b),
	                             (const uint32_t *)ptx_reg(w, in->a), (uint32_t)in->imm,
	                             w->block->shared, w->block->shared_bytes))
		return true;
	if (in->order & PTX_ORDER_RELEASE)
		ptx_fence();
	ptx_addresses(w, in, addr);
	int shape = pattern(w, in, mask, addr);
	uint8_t *p =
	    shape == 1 ? pattern_at(w, in, addr[0], (uint64_t)bytes * PTX_LANES, &space) : NULL;
	if (p && space != PTX_SPACE_CONST) {
		copy_lanes(p, ptx_reg(w, in->b), in->size);
		count_bytes(w, space, mask, bytes);
		return true;
	}
	uintptr_t base = 0;
	bool checked = whole_warp(w, in, mask, addr, bytes, &space, &base);
	if (checked)
		count_bytes(w, space, mask, bytes);
	return store_lanes(w, in, mask, addr, checked, base);
}
