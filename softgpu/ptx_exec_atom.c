// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_atom.c: atom and red, lane by lane in lane order. Global memory is shared with other
 * blocks, kernels and the host: real atomics. Shared memory belongs to one worker: plain.
 */
#include <math.h>
#include <string.h>

#include "ptx_exec.h"

static double half_op(uint8_t op, double x, double y)
{
	if (op == PTX_A_ADD)
		return x + y;
	if (x != x || y != y) /* a number wins over a NaN */
		return x != x ? y : x;
	if (x == y) /* zeros: the negative one is less */
		return (op == PTX_A_MIN) == (signbit(x) != 0) ? x : y;
	return (op == PTX_A_MIN) == (x < y) ? x : y;
}

/* One or two halves: add, min, max. */
static uint32_t half_pair(const struct ptx_inst *in, uint32_t a, uint32_t b)
{
	bool bf16 = in->scalar == PTX_T_BF16 || in->scalar == PTX_T_BF16X2;
	uint32_t r = 0;
	for (unsigned i = 0; i < in->size / 2u; i++) {
		uint16_t x = (uint16_t)(a >> (16 * i)), y = (uint16_t)(b >> (16 * i));
		uint16_t s = bf16
		                 ? ptx_bf16_from(half_op(in->op, ptx_bf16_to(x), ptx_bf16_to(y)), 0)
		                 : ptx_f16_from(half_op(in->op, ptx_f16_to(x), ptx_f16_to(y)), 0);
		r |= (uint32_t)s << (16 * i);
	}
	return r;
}

/* f32 atomics on global memory flush subnormals, as GPUs do; on shared memory they do not. */
static uint32_t float_add(uint32_t a, uint32_t b, bool flush)
{
	float x, y;
	if (flush) {
		a = a & 0x7f800000 ? a : a & 0x80000000;
		b = b & 0x7f800000 ? b : b & 0x80000000;
	}
	memcpy(&x, &a, sizeof(x));
	memcpy(&y, &b, sizeof(y));
	x += y;
	memcpy(&a, &x, sizeof(a));
	if (x != x)
		return 0x7fffffff;
	return !flush || a & 0x7f800000 ? a : a & 0x80000000;
}

static uint64_t add(const struct ptx_inst *in, uint64_t old, uint64_t b, bool global)
{
	double x, y;
	switch ((enum ptx_scalar)in->scalar) {
	case PTX_T_U:
	case PTX_T_S:
		return old + b;
	case PTX_T_F:
		if (in->size == 4)
			return float_add((uint32_t)old, (uint32_t)b, global);
		memcpy(&x, &old, sizeof(x));
		memcpy(&y, &b, sizeof(y));
		x += y;
		memcpy(&old, &x, sizeof(old));
		return old;
	default:
		return half_pair(in, (uint32_t)old, (uint32_t)b);
	}
}

static bool less(const struct ptx_inst *in, uint64_t a, uint64_t b)
{
	if (in->scalar != PTX_T_S)
		return a < b;
	return in->size == 4 ? (int32_t)a < (int32_t)b : (int64_t)a < (int64_t)b;
}

static uint64_t new_value(const struct ptx_inst *in, uint64_t old, uint64_t b, uint64_t c,
                          bool global)
{
	if (in->op != PTX_A_ADD && in->scalar >= PTX_T_F16)
		return half_pair(in, (uint32_t)old, (uint32_t)b);
	switch ((enum ptx_atom_op)in->op) {
	case PTX_A_ADD:
		return add(in, old, b, global);
	case PTX_A_MIN:
		return less(in, b, old) ? b : old;
	case PTX_A_MAX:
		return less(in, old, b) ? b : old;
	case PTX_A_AND:
		return old & b;
	case PTX_A_OR:
		return old | b;
	case PTX_A_XOR:
		return old ^ b;
	case PTX_A_EXCH:
		return b;
	case PTX_A_CAS:
		return old == b ? c : old;
	case PTX_A_INC:
		return old >= b ? 0 : old + 1;
	case PTX_A_DEC:
		return !old || old > b ? b : old - 1;
	}
	return old;
}

#define UPDATE(T)                                                                                  \
	static uint64_t update_##T(const struct ptx_inst *in, T *p, uint64_t b, uint64_t c)        \
	{                                                                                          \
		T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                      \
		if (in->op == PTX_A_ADD && in->scalar <= PTX_T_S)                                  \
			return __atomic_fetch_add(p, (T)b, __ATOMIC_SEQ_CST);                      \
		while (!__atomic_compare_exchange_n(p, &old, (T)new_value(in, old, b, c, true),    \
		                                    true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))     \
			continue;                                                                  \
		return old;                                                                        \
	}
UPDATE(uint16_t)
UPDATE(uint32_t)
UPDATE(uint64_t)

static uint64_t update_global(const struct ptx_inst *in, void *p, uint64_t b, uint64_t c)
{
	if (in->size == 2)
		return update_uint16_t(in, p, b, c);
	return in->size == 4 ? update_uint32_t(in, p, b, c) : update_uint64_t(in, p, b, c);
}

static uint64_t update_shared(const struct ptx_inst *in, void *p, uint64_t b, uint64_t c)
{
	uint64_t old = ptx_lane_get(p, in->size, 0);
	ptx_lane_set(p, in->size, 0, new_value(in, old, b, c, false));
	return old;
}

uint64_t ptx_atom_apply(const struct ptx_inst *in, uint8_t *p, enum ptx_space space, uint64_t b,
                        uint64_t c)
{
	return space == PTX_SPACE_GLOBAL ? update_global(in, p, b, c) : update_shared(in, p, b, c);
}

bool ptx_exec_atom(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint64_t addr[PTX_LANES];
	const uint8_t *b = ptx_reg(w, in->b), *c = ptx_reg(w, in->c);
	ptx_addresses(w, in, addr);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		enum ptx_space space;
		uint8_t *p = ptx_locate(w, in, lane, addr[lane], in->size, &space);
		if (!p)
			return false;
		uint64_t vb = ptx_lane_get(b, in->size, lane);
		uint64_t vc = in->op == PTX_A_CAS ? ptx_lane_get(c, in->size, lane) : 0;
		uint64_t old = ptx_atom_apply(in, p, space, vb, vc);
		if (space == PTX_SPACE_GLOBAL)
			w->worker->res.global_bytes += 2u * in->size; /* read and written */
		if (in->vec)
			ptx_lane_set(ptx_reg(w, in->d), in->size, lane, old);
	}
	return true;
}
