// SPDX-License-Identifier: Apache-2.0
/* ptx_exec_video.c: arithmetic on two halves or four bytes of a register. */
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

void ptx_exec_video(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint32_t *a = (const uint32_t *)ptx_reg(w, in->a);
	const uint32_t *b = (const uint32_t *)ptx_reg(w, in->b);
	const uint32_t *c = (const uint32_t *)ptx_reg(w, in->c);
	uint32_t out[PTX_LANES];
	for (unsigned i = 0; i < PTX_LANES; i++)
		out[i] = lane(in, a[i], b[i], c[i]);
	ptx_blend(w, in->d, out, 4, mask);
}
