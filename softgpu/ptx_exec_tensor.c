// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_tensor.c: copies of boxes of a tensor: cp.async.bulk.tensor and its reduction, in tile
 * mode. In shared memory a box is packed, the first dimension fastest; a swizzle crosses bits of
 * the address (PTX ISA, "Swizzling modes": of 128 bytes, units of 16 bytes by the number of their
 * row of 128). What lies outside of the tensor is read as the map says, and not written.
 */
#include <string.h>

#include "ptx_exec.h"
#include "ptx_tensor.h"

struct box {
	struct ptx_warp *w;
	const struct ptx_inst *in;
	struct ptx_inst read, write; /* for ptx_locate */
	struct ptx_tensor_map map;
	unsigned lane;
	int32_t at[PTX_TENSOR_RANK];
	uint64_t shared; /* address */
};

/* Programs may write anything there. */
static bool plausible(const struct ptx_tensor_map *m)
{
	uint64_t n = 1;
	if (m->magic != PTX_TENSOR_MAGIC || !m->rank || m->rank > PTX_TENSOR_RANK || !m->bytes ||
	    m->bytes > 8 || (m->bytes & (m->bytes - 1)) || m->swizzle > 3)
		return false;
	for (unsigned i = 0; i < m->rank; i++)
		n *= m->box[i] ? m->box[i] : UINT16_MAX;
	return n * m->bytes <= 1u << 20;
}

/* The map, which may lie in global memory, constants or parameters. */
static bool read_map(struct box *b, uint64_t addr)
{
	uint64_t words[16];
	enum ptx_space space;
	struct ptx_inst access = b->read;
	access.space = PTX_SPACE_GENERIC;
	for (unsigned i = 0; i < 16; i++) {
		const uint8_t *p = ptx_locate(b->w, &access, b->lane, addr + 8 * i, 8, &space);
		if (!p)
			return false;
		ptx_copy_in(&words[i], p, 8);
	}
	memcpy(&b->map, words, sizeof(b->map));
	if (!plausible(&b->map) || b->map.rank != b->in->space)
		return ptx_fault(b->w, b->in, b->lane, PTX_ILLEGAL_ADDRESS,
		                 "no tensor map of %u dimensions at 0x%llx", b->in->space,
		                 (unsigned long long)addr);
	if (b->in->op == PTX_TENSOR_REDUCE && b->map.bytes < 2)
		return ptx_fault(b->w, b->in, b->lane, PTX_UNSUPPORTED,
		                 "cp.reduce.async.bulk.tensor of bytes");
	return true;
}

static uint64_t swizzled(const struct ptx_tensor_map *m, uint64_t addr)
{
	uint64_t mask = (1u << m->swizzle) - 1;
	return addr ^ ((addr >> 7 & mask) << 4);
}

/* Where an element of the box is in global memory; 0: outside. */
static uint64_t global_at(const struct box *b, const uint32_t *index)
{
	uint64_t addr = b->map.address;
	for (unsigned i = 0; i < b->map.rank; i++) {
		int64_t at = (int64_t)b->at[i] + index[i];
		if (at < 0 || at >= b->map.dim[i])
			return 0;
		addr += (uint64_t)at * (i ? b->map.stride[i - 1] : b->map.bytes);
	}
	return addr;
}

static bool element(struct box *b, const uint32_t *index, uint64_t offset)
{
	const struct ptx_tensor_map *m = &b->map;
	bool load = b->in->op == PTX_TENSOR_LOAD;
	uint64_t global = global_at(b, index), v = m->nans ? ~0ull : 0;
	enum ptx_space space;
	uint8_t *g = NULL;
	if (!global && !load)
		return true;
	b->read.space = b->write.space = PTX_SPACE_SHARED;
	uint8_t *s = ptx_locate(b->w, load ? &b->write : &b->read, b->lane,
	                        swizzled(m, b->shared + offset), m->bytes, &space);
	b->read.space = b->write.space = PTX_SPACE_GLOBAL;
	if (s && global)
		g = ptx_locate(b->w, load ? &b->read : &b->write, b->lane, global, m->bytes,
		               &space);
	if (!s || (global && !g))
		return false;
	if (load) {
		if (g)
			ptx_copy_in(&v, g, m->bytes);
		ptx_copy_out(s, &v, m->bytes);
	} else {
		v = 0;
		ptx_copy_in(&v, s, m->bytes);
		if (b->in->op == PTX_TENSOR_STORE)
			ptx_copy_out(g, &v, m->bytes);
		else
			ptx_atom_apply(&b->write, g, PTX_SPACE_GLOBAL, v, 0);
	}
	b->w->worker->res.global_bytes += global ? m->bytes : 0;
	return true;
}

static bool whole_box(struct box *b, uint32_t *bytes)
{
	uint32_t index[PTX_TENSOR_RANK] = {0}, n = 1;
	for (unsigned i = 0; i < b->map.rank; i++)
		n *= b->map.box[i];
	*bytes = n * b->map.bytes;
	for (uint32_t k = 0; k < n; k++) {
		if (!element(b, index, (uint64_t)k * b->map.bytes))
			return false;
		for (unsigned i = 0; i < b->map.rank && ++index[i] == b->map.box[i]; i++)
			index[i] = 0;
	}
	return true;
}

bool ptx_exec_tensor(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint32_t *regs = &w->worker->job->k->ext[in->target];
	struct box b = {.w = w, .in = in, .read = *in, .write = *in};
	b.read.kind = PTX_K_LD;
	b.write.kind = PTX_K_ST;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = b.lane = (unsigned)__builtin_ctz(rest);
		uint32_t bytes;
		b.shared = ptx_lane_get(ptx_reg(w, in->b), in->asize, lane) + (uint64_t)in->imm;
		for (unsigned i = 0; i < in->rsize; i++)
			b.at[i] = ((const int32_t *)ptx_reg(w, regs[in->vec + i]))[lane];
		if (!read_map(&b, ((const uint64_t *)ptx_reg(w, in->a))[lane]))
			return false;
		/* a reduction is that of the map's elements */
		b.write.op = in->round;
		b.write.size = b.map.bytes;
		b.write.scalar = b.map.scalar;
		if (b.shared >> PTX_WINDOW_SHIFT == PTX_SPACE_SHARED)
			b.shared -= PTX_SHARED_BASE; /* a generic address */
		if (b.shared & 127)
			return ptx_fault(w, in, lane, PTX_MISALIGNED,
			                 "cp.async.bulk.tensor at 0x%llx of shared memory: not "
			                 "aligned to 128",
			                 (unsigned long long)b.shared);
		if (!whole_box(&b, &bytes))
			return false;
		if (in->vec)
			((uint32_t *)ptx_reg(w, regs[0]))[lane] = bytes;
	}
	return true;
}
