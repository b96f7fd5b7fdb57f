// SPDX-License-Identifier: Apache-2.0
/* ptx_exec_video.c: arithmetic on two halves or four bytes of a register, and on single parts. */
#include "ptx_exec.h"

static int32_t part(uint32_t v, unsigned i, unsigned bits, bool sign)
{
	uint32_t p = (v >> (i * bits)) & ((1u << bits) - 1);
	return sign && p >> (bits - 1) ? (int32_t)p - (1 << bits) : (int32_t)p;
}

static int32_t one(const struct ptx_inst *in, int32_t a, int32_t b)
{
	switch (in->op) {
	case PTX_VIDEO_ADDS:
		return a + b;
	case PTX_VIDEO_SUB:
		return a - b;
	case PTX_VIDEO_ABSDIFF:
		return a > b ? a - b : b - a;
	case PTX_VIDEO_MIN:
		return a < b ? a : b;
	case PTX_VIDEO_MAX:
		return a > b ? a : b;
	default: {
		const bool is[] = {a == b, a != b, a<b, a <= b, a> b, a >= b};
		return is[in->round];
	}
	}
}

static uint32_t lane(const struct ptx_inst *in, uint32_t a, uint32_t b, uint32_t c)
{
	unsigned bits = in->vec == 2 ? 16 : 8;
	bool sign = in->flags & PTX_VIDEO_DS;
	int32_t lo = sign ? -(1 << (bits - 1)) : 0;
	int32_t hi = (int32_t)((1u << (sign ? bits - 1 : bits)) - 1);
	uint32_t packed = 0, sum = c;
	for (unsigned i = 0; i < in->vec; i++) {
		int32_t r = one(in, part(a, i, bits, in->flags & PTX_VIDEO_AS),
		                part(b, i, bits, in->flags & PTX_VIDEO_BS));
		if (in->flags & PTX_VIDEO_SAT)
			r = r < lo ? lo : r > hi ? hi : r;
		packed |= ((uint32_t)r & ((1u << bits) - 1)) << (i * bits);
		sum += (uint32_t)r;
	}
	return in->flags & PTX_VIDEO_ADD ? sum : packed;
}

/* ---- single values */
static int64_t select_part(uint32_t v, uint8_t which, bool sign)
{
	if (which >= PTX_PART_H0) {
		v >>= (which - PTX_PART_H0) * 16;
		return sign ? (int16_t)v : (int64_t)(uint16_t)v;
	}
	if (which >= PTX_PART_B0) {
		v >>= (which - PTX_PART_B0) * 8;
		return sign ? (int8_t)v : (int64_t)(uint8_t)v;
	}
	return sign ? (int32_t)v : (int64_t)v;
}

static int64_t clamp(int64_t v, unsigned bits, bool sign)
{
	int64_t lo = sign ? -(1ll << (bits - 1)) : 0;
	int64_t hi = (1ll << (sign ? bits - 1 : bits)) - 1;
	return v < lo ? lo : v > hi ? hi : v;
}

static int64_t single(const struct ptx_inst *in, int64_t a, int64_t b)
{
	const bool is[] = {a == b, a != b, a<b, a <= b, a> b, a >= b};
	switch (in->op) {
	case PTX_VIDEO_ADDS:
		return a + b;
	case PTX_VIDEO_SUB:
		return a - b;
	case PTX_VIDEO_ABSDIFF:
		return a > b ? a - b : b - a;
	case PTX_VIDEO_MIN:
		return a < b ? a : b;
	case PTX_VIDEO_MAX:
		return a > b ? a : b;
	case PTX_VIDEO_SET:
		return is[in->round];
	default: /* shifts: .clamp, .wrap */
		b = in->round ? b & 31 : (uint64_t)b > 32 ? 32 : b;
		return in->op == PTX_VIDEO_SHL ? (int64_t)((uint64_t)a << b) : a >> b;
	}
}

/* vmad: the product and the sum in 64 bits. */
static uint32_t multiply_add(const struct ptx_inst *in, int64_t a, int64_t b, uint32_t c)
{
	bool sign = in->flags & PTX_VIDEO_DS;
	uint64_t add = sign ? (uint64_t)(int64_t)(int32_t)c : c, sum = (uint64_t)a * (uint64_t)b;
	sum = in->order & PTX_MAD_MINUS_AB ? 0 - sum : sum;
	sum += in->order & PTX_MAD_MINUS_C ? 0 - add : add;
	sum += in->order & PTX_MAD_PLUS_ONE ? 1 : 0;
	int64_t v = sign ? (int64_t)sum >> in->space : (int64_t)(sum >> in->space);
	return (uint32_t)(in->flags & PTX_VIDEO_SAT ? clamp(v, 32, sign) : v);
}

static uint32_t lane_of_single(const struct ptx_inst *in, uint32_t va, uint32_t vb, uint32_t c)
{
	bool sign = in->flags & PTX_VIDEO_DS;
	if (in->op == PTX_VIDEO_PACK) {
		unsigned bits = in->rsize;
		uint32_t keep = (1u << bits) - 1;
		uint32_t a = (uint32_t)clamp((int32_t)va, bits, sign) & keep;
		uint32_t b = (uint32_t)clamp((int32_t)vb, bits, sign) & keep;
		return (bits == 16 ? 0 : c << (2 * bits)) | a << bits | b;
	}
	int64_t a = select_part(va, in->rsize, in->flags & PTX_VIDEO_AS);
	int64_t b = select_part(vb, in->asize, in->flags & PTX_VIDEO_BS);
	if (in->op == PTX_VIDEO_MAD)
		return multiply_add(in, a, b, c);
	int64_t v = single(in, a, b), other = sign ? (int32_t)c : (int64_t)c;
	unsigned bits = in->sign >= PTX_PART_H0 ? 16 : in->sign ? 8 : 32;
	if (in->flags & PTX_VIDEO_SAT)
		v = clamp(v, bits, sign);
	if (in->sign) {
		unsigned at = bits * (in->sign - (bits == 16 ? PTX_PART_H0 : PTX_PART_B0));
		uint32_t keep = ((1u << bits) - 1) << at;
		return (c & ~keep) | ((uint32_t)v << at & keep);
	}
	switch (in->scalar) {
	case PTX_THEN_ADD:
		return (uint32_t)(v + other);
	case PTX_THEN_MIN:
		return (uint32_t)(v < other ? v : other);
	case PTX_THEN_MAX:
		return (uint32_t)(v > other ? v : other);
	default:
		return (uint32_t)v;
	}
}

void ptx_exec_video(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint32_t *a = (const uint32_t *)ptx_reg(w, in->a);
	const uint32_t *b = (const uint32_t *)ptx_reg(w, in->b);
	const uint32_t *c = (const uint32_t *)ptx_reg(w, in->c);
	uint32_t out[PTX_LANES];
	for (unsigned i = 0; i < PTX_LANES; i++)
		out[i] = in->vec == 1 ? lane_of_single(in, a[i], b[i], c[i])
		                      : lane(in, a[i], b[i], c[i]);
	ptx_blend(w, in->d, out, 4, mask);
}
