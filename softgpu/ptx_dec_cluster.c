// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_cluster.c: barrier.cluster, mapa, getctarank. */
#include "ptx_dec.h"

static const struct ptx_type u32_type = {"u32", 'u', 4};

/* barrier.cluster.arrive{.release, .relaxed}{.aligned}; barrier.cluster.wait{.acquire}{.aligned} */
void ptx_decode_cluster_barrier(struct ptx_dec *d)
{
	static const char *const orders[] = {".release", ".relaxed", ".acquire", NULL};
	bool wait = ptx_take(d, ".wait");
	struct ptx_inst in = {.op = PTX_L_ARRIVE};
	if (!wait && !ptx_take(d, ".arrive"))
		ptx_unsupported(d, NULL);
	ptx_take_any(d, orders);
	ptx_take(d, ".aligned");
	ptx_need_operands(d, 0, 0);
	ptx_emit_built(d, wait ? PTX_K_CLUSTER_WAIT : PTX_K_CLUSTER, &in);
}

/* mapa.u64 d, a, block; getctarank.u64 rank, a: addresses in the shared space, or generic ones */
static void decode_map(struct ptx_dec *d, const struct ptx_opcode *self)
{
	struct ptx_inst in = {.op = (uint8_t)self->arg};
	const struct ptx_opd *o = d->stmt->opd;
	bool shared = ptx_take(d, ".shared::cluster"), map = in.op == PTX_L_MAP;
	const struct ptx_type *t = ptx_need_type(d);
	if ((t->size != 8 && !(shared && t->size == 4)) || t->kind != 'u')
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, map ? 3 : 2, map ? 3 : 2);
	in.asize = t->size;
	in.size = map ? t->size : 4;
	in.a = ptx_src(d, &o[1], t);
	if (map)
		in.b = ptx_src(d, &o[2], &u32_type);
	in.d = ptx_dst(d, &o[0], in.size);
	ptx_emit_built(d, PTX_K_CLUSTER, &in);
}

const struct ptx_opcode ptx_cluster_opcodes[] = {
    {"mapa", decode_map, NULL, NULL, PTX_L_MAP},
    {"getctarank", decode_map, NULL, NULL, PTX_L_RANK},
    {NULL, NULL, NULL, NULL, 0},
};
