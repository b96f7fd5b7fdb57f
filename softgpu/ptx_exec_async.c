// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_async.c: cp.async, cp.async.bulk and mbarrier. A barrier object is 64 bits of shared
 * memory, opaque to programs (PTX ISA, "mbarrier"): from bit 0 the arrivals that a phase expects
 * (20 bits), those still missing (20), the phase's parity (1), bytes announced and not yet there
 * (23, two's complement). A state is a copy of it; waiting for a state is waiting for the other
 * parity. Shared memory belongs to one thread of the host, so that plain accesses do. Barriers of
 * other blocks of the cluster too: but only their own blocks may wait at them.
 */
#include <string.h>

#include "ptx_exec.h"

#define COUNT_MAX ((1u << 20) - 1)
#define TX_MAX ((1 << 20) - 1)

struct mbar {
	uint32_t expected, missing, parity;
	int32_t tx;
};

static struct mbar unpack(uint64_t v)
{
	return (struct mbar){(uint32_t)v & COUNT_MAX, (uint32_t)(v >> 20) & COUNT_MAX,
	                     (uint32_t)(v >> 40) & 1, (int32_t)((int64_t)v >> 41)};
}

static uint64_t pack(const struct mbar *b)
{
	return b->expected | (uint64_t)b->missing << 20 | (uint64_t)b->parity << 40 |
	       (uint64_t)(int64_t)b->tx << 41;
}

static void complete_if_due(struct mbar *b)
{
	if (b->missing || b->tx)
		return;
	b->parity ^= 1;
	b->missing = b->expected;
}

/* A lane's operation on a barrier. NULL, or what is wrong. */
static const char *change(const struct ptx_inst *in, struct mbar *b, uint32_t n)
{
	switch ((enum ptx_mbar)in->op) {
	case PTX_M_INIT:
		if (!n || n > COUNT_MAX)
			return "mbarrier.init with an impossible count";
		*b = (struct mbar){n, n, 0, 0};
		return NULL;
	case PTX_M_INVAL:
		*b = (struct mbar){0};
		return NULL;
	case PTX_M_EXPECT:
	case PTX_M_COMPLETE:
		if (n > TX_MAX)
			return "mbarrier with an impossible number of bytes";
		b->tx += in->op == PTX_M_EXPECT ? (int32_t)n : -(int32_t)n;
		if (b->tx > TX_MAX || b->tx < -TX_MAX)
			return "mbarrier with more bytes than it can count";
		if (in->op == PTX_M_COMPLETE)
			complete_if_due(b);
		return NULL;
	default:
		break;
	}
	if (in->flags) { /* .expect_tx: n bytes, one arrival */
		if (n > TX_MAX || b->tx > TX_MAX - (int32_t)n)
			return "mbarrier with more bytes than it can count";
		b->tx += (int32_t)n;
		n = 1;
	}
	if (n > b->missing)
		return "more arrivals than the mbarrier expects";
	b->missing -= n;
	if (in->op == PTX_M_DROP)
		b->expected -= n;
	if (in->sign && !b->missing)
		return "mbarrier.arrive.noComplete that completes the phase";
	if (n)
		complete_if_due(b);
	return NULL;
}

static void test(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t now)
{
	const uint8_t *b = ptx_reg(w, in->b);
	uint32_t asked =
	    in->sign ? ((const uint32_t *)b)[lane] & 1 : unpack(((const uint64_t *)b)[lane]).parity;
	ptx_set_pred(w, in->d, unpack(now).parity != asked ? ~0u : 0, 1u << lane);
}

/* An operation of one lane on the barrier at `addr`; *now is its state before. */
static bool one_barrier(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                        uint64_t *now)
{
	enum ptx_space space;
	uint8_t *p = ptx_locate(w, in, lane, addr, 8, &space);
	if (!p)
		return false;
	if (space != PTX_SPACE_SHARED)
		return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		                 "an mbarrier that is not in shared memory");
	memcpy(now, p, 8);
	if (in->op == PTX_M_TEST) {
		test(w, in, lane, *now);
		return true;
	}
	struct mbar b = unpack(*now);
	uint32_t n = in->op == PTX_M_INVAL ? 0 : ((const uint32_t *)ptx_reg(w, in->b))[lane];
	const char *wrong = change(in, &b, n);
	if (wrong)
		return ptx_fault(w, in, lane, PTX_BARRIER, "%s", wrong);
	uint64_t then = pack(&b);
	memcpy(p, &then, 8);
	return true;
}

/* The same place in the shared memory of the next block of *blocks, which is taken out. */
static uint64_t in_next_block(uint64_t addr, uint32_t *blocks)
{
	uint64_t rank = (uint64_t)__builtin_ctz(*blocks) + 1;
	*blocks &= *blocks - 1;
	return (addr & ~(0xffull << PTX_RANK_SHIFT)) | rank << PTX_RANK_SHIFT;
}

bool ptx_exec_mbar(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint64_t addr[PTX_LANES], out[PTX_LANES], now = 0;
	if (in->op == PTX_M_PENDING) {
		const uint64_t *state = (const uint64_t *)ptx_reg(w, in->b);
		for (unsigned i = 0; i < PTX_LANES; i++)
			((uint32_t *)out)[i] = unpack(state[i]).missing;
		ptx_blend(w, in->d, out, 4, mask);
		return true;
	}
	ptx_addresses(w, in, addr);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint32_t blocks = in->combine ? ((const uint16_t *)ptx_reg(w, in->e))[lane] : 0;
		if (!in->combine && !one_barrier(w, in, lane, addr[lane], &now))
			return false;
		while (blocks)
			if (!one_barrier(w, in, lane, in_next_block(addr[lane], &blocks), &now))
				return false;
		out[lane] = now;
	}
	if (in->vec)
		for (uint32_t rest = mask; rest; rest &= rest - 1) {
			unsigned lane = (unsigned)__builtin_ctz(rest);
			ptx_lane_set(ptx_reg(w, in->d), 8, lane, out[lane]);
		}
	return true;
}

/* Copies lane by lane, as loads and stores do; what is not copied is filled with zeros. */
bool ptx_exec_copy(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint64_t from[PTX_LANES], to[PTX_LANES];
	struct ptx_inst load = *in, store = *in;
	load.kind = PTX_K_LD;
	store.kind = PTX_K_ST;
	store.space = PTX_SPACE_SHARED;
	store.a = in->b;
	store.asize = in->vec;
	store.imm = (int32_t)in->target;
	ptx_addresses(w, &load, from);
	ptx_addresses(w, &store, to);
	uint32_t ignored = in->combine ? ptx_pred(w, in->e) : 0;
	ignored = in->combine && in->sign ? ~ignored : ignored;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint8_t bytes[16] = {0};
		enum ptx_space space;
		uint32_t n = in->combine ? ((ignored >> lane) & 1 ? 0 : in->rsize)
		                         : ((const uint32_t *)ptx_reg(w, in->c))[lane];
		if (n > in->rsize)
			return ptx_fault(w, in, lane, PTX_TRAP,
			                 "cp.async of more bytes than there is room for");
		uint8_t *d = ptx_locate(w, &store, lane, to[lane], in->rsize, &space);
		const uint8_t *s = d;
		if (d && from[lane] & (in->rsize - 1u))
			return ptx_fault(w, &load, lane, PTX_MISALIGNED,
			                 "misaligned address 0x%llx: global access of %u bytes",
			                 (unsigned long long)from[lane], in->rsize);
		if (d && n) { /* only what is read must be there */
			s = ptx_locate(w, &load, lane, from[lane], 1, &space);
			if (s && !ptx_locate(w, &load, lane, from[lane] + n - 1, 1, &space))
				s = NULL;
		}
		if (!d || !s)
			return false;
		for (uint32_t i = 0; i < n; i += 4) { /* words, as another thread may write them */
			uint32_t v = n - i >= 4 ? __atomic_load_n((const uint32_t *)(s + i),
			                                          __ATOMIC_RELAXED)
			                        : 0;
			if (n - i >= 4)
				memcpy(bytes + i, &v, 4);
			for (uint32_t k = i; k < n && n - i < 4; k++)
				bytes[k] = __atomic_load_n(s + k, __ATOMIC_RELAXED);
		}
		memcpy(d, bytes, in->rsize);
		w->worker->res.global_bytes += n;
	}
	return true;
}

/* ---- cp.async.bulk, cp.reduce.async.bulk: by each lane, pieces of 16 bytes */
struct bulk {
	struct ptx_warp *w;
	struct ptx_inst load, store;
	unsigned lane;
	uint32_t bytes; /* of 16, a bit each */
};

static bool piece(const struct bulk *b, const struct ptx_inst *in, uint64_t from, uint64_t to)
{
	uint8_t data[16];
	enum ptx_space source, target;
	const uint8_t *s = ptx_locate(b->w, &b->load, b->lane, from, 16, &source);
	uint8_t *d = s ? ptx_locate(b->w, &b->store, b->lane, to, 16, &target) : NULL;
	if (!d)
		return false;
	ptx_copy_in(data, s, 16);
	if (in->flags & PTX_BULK_REDUCE) {
		for (uint32_t i = 0; i < 16; i += in->size) {
			uint64_t v = 0;
			memcpy(&v, data + i, in->size);
			ptx_atom_apply(in, d + i, target, v, 0);
		}
	} else if (b->bytes == 0xffff) {
		ptx_copy_out(d, data, 16);
	} else {
		for (uint32_t i = 0; i < 16; i++)
			if ((b->bytes >> i) & 1)
				ptx_copy_out(d + i, data + i, 1);
	}
	b->w->worker->res.global_bytes +=
	    16u * ((source == PTX_SPACE_GLOBAL) + (target == PTX_SPACE_GLOBAL));
	return true;
}

static bool whole(const struct bulk *b, const struct ptx_inst *in, uint64_t from, uint64_t to,
                  uint32_t n)
{
	for (uint32_t at = 0; at < n; at += 16)
		if (!piece(b, in, from + at, to + at))
			return false;
	return true;
}

bool ptx_exec_bulk(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint64_t from[PTX_LANES], to[PTX_LANES];
	struct bulk b = {.w = w, .load = *in, .store = *in};
	b.load.kind = PTX_K_LD;
	b.store.kind = PTX_K_ST;
	b.store.space = in->rsize;
	b.store.a = in->b;
	b.store.asize = in->vec;
	b.store.imm = (int32_t)in->target;
	b.store.site++;
	ptx_addresses(w, &b.load, from);
	ptx_addresses(w, &b.store, to);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = b.lane = (unsigned)__builtin_ctz(rest);
		uint32_t n = ((const uint32_t *)ptx_reg(w, in->c))[lane];
		uint32_t e = in->flags & (PTX_BULK_MULTICAST | PTX_BULK_BYTES)
		                 ? ((const uint16_t *)ptx_reg(w, in->e))[lane]
		                 : 0;
		b.bytes = in->flags & PTX_BULK_BYTES ? e : 0xffff;
		if (n % 16)
			return ptx_fault(w, in, lane, PTX_MISALIGNED,
			                 "cp.async.bulk of %u bytes: no multiple of 16", n);
		if (!(in->flags & PTX_BULK_MULTICAST) && !whole(&b, in, from[lane], to[lane], n))
			return false;
		while (in->flags & PTX_BULK_MULTICAST && e)
			if (!whole(&b, in, from[lane], in_next_block(to[lane], &e), n))
				return false;
	}
	return true;
}
