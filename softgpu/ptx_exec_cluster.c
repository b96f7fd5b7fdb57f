// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_cluster.c: the blocks of a cluster: their barrier, and addresses in each other's shared
 * memory (ptx_ir.h, PTX_RANK_SHIFT). One worker runs all of them, so that plain accesses do.
 *
 * barrier.cluster: a lane's bit says that it has arrived in the current phase. The phase is over
 * when every live lane of the cluster has (PTX ISA: exited threads count as arrived); then the bits
 * are cleared, and a lane that waits is one whose bit is still set.
 */
#include <string.h>

#include "ptx_exec.h"

/* Lanes that wait at barrier.cluster.wait go on. */
static void release(struct ptx_warp *w)
{
	struct ptx_group old[PTX_LANES + 1];
	uint32_t n = w->n_groups;
	bool waited = false;
	memcpy(old, w->groups, n * sizeof(*old));
	w->n_groups = 0;
	w->cluster_arrived = 0;
	for (uint32_t i = 0; i < n; i++) {
		bool here = old[i].wait == PTX_WAIT_CLUSTER;
		waited |= here;
		ptx_group_push(w, old[i].pc + here, old[i].mask, here ? PTX_RUN : old[i].wait);
	}
	if (waited && w->state == PTX_WARP_WAITING)
		w->state = PTX_WARP_READY;
}

void ptx_cluster_recheck(struct ptx_cluster *c)
{
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->blocks[r]->n_warps; i++) {
			const struct ptx_warp *w = &c->blocks[r]->warps[i];
			if (w->live & ~w->cluster_arrived)
				return;
		}
	c->arrivals = false;
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->blocks[r]->n_warps; i++)
			release(&c->blocks[r]->warps[i]);
}

static bool arrive(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint32_t again = w->cluster_arrived & mask;
	if (again)
		return ptx_fault(w, in, (unsigned)__builtin_ctz(again), PTX_BARRIER,
		                 "barrier.cluster.arrive twice without a wait");
	w->cluster_arrived |= mask;
	w->block->cluster->arrivals = true; /* looked at when the slice ends */
	return true;
}

/* The offset in the block's own shared memory, and whose it is. */
static uint32_t rank_of(const struct ptx_warp *w, uint64_t addr)
{
	uint32_t rank = (uint32_t)addr >> PTX_RANK_SHIFT;
	return rank ? rank - 1 : w->block->rank;
}

static bool map(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const void *a = ptx_reg(w, in->a);
	const uint32_t *b = (const uint32_t *)ptx_reg(w, in->b);
	uint64_t out[PTX_LANES] = {0}, own = (1ull << PTX_RANK_SHIFT) - 1;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint64_t addr = ptx_lane_get(a, in->asize, lane);
		if (b[lane] >= w->block->cluster->n)
			return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
			                 "mapa of block %u of a cluster of %u", b[lane],
			                 w->block->cluster->n);
		addr = (addr & ~(uint64_t)UINT32_MAX) | (addr & own) |
		       (b[lane] + 1ull) << PTX_RANK_SHIFT;
		ptx_lane_set(out, in->size, lane, addr);
	}
	ptx_blend(w, in->d, out, in->size, mask);
	return true;
}

bool ptx_exec_cluster(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint32_t out[PTX_LANES];
	switch ((enum ptx_cluster_op)in->op) {
	case PTX_L_ARRIVE:
		return arrive(w, in, mask);
	case PTX_L_MAP:
		return map(w, in, mask);
	default:
		for (unsigned i = 0; i < PTX_LANES; i++)
			out[i] = rank_of(w, ptx_lane_get(ptx_reg(w, in->a), in->asize, i));
		ptx_blend(w, in->d, out, 4, mask);
		return true;
	}
}
