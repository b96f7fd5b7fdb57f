// SPDX-License-Identifier: Apache-2.0
/* ptx_matrix.c: where the elements of a lane's fragment are in the matrix (ptx_matrix.h). */
#include "ptx_matrix.h"

struct place {
	uint32_t row, col; /* of B: k, n */
};

uint32_t ptx_matrix_depth(const struct ptx_matrix *x)
{
	uint32_t bits = x->of[PTX_A].bits ? x->of[PTX_A].bits : x->of[PTX_B].bits;
	return bits < 8 && bits ? x->k * bits / 32u : x->k;
}

/* The four products of mma.m8n8k4 stand below each other: rows 8q of A, C and D, 4q of B. */
static struct place quad_place(const struct ptx_matrix *x, enum ptx_factor which, uint32_t lane,
                               uint32_t i)
{
	uint32_t low = lane & 3, high = lane >= 16 ? 4 : 0, quad = (lane >> 2) & 3;
	bool col = x->of[which].col;
	struct place p;
	if (which == PTX_A)
		p = col ? (struct place){(i & 3) + high, low} : (struct place){low + high, i};
	else if (which == PTX_B)
		p = col ? (struct place){i, low + high} : (struct place){low, i + high};
	else if (x->of[which].bits == 16)
		p = (struct place){low + high, i};
	else
		p = (struct place){(lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)};
	p.row += quad * (which == PTX_B ? 4 : 8);
	return p;
}

static struct place place(const struct ptx_matrix *x, enum ptx_factor which, uint32_t lane,
                          uint32_t i)
{
	uint32_t e = which >= PTX_C ? 2 : ptx_matrix_per_register(&x->of[which]);
	uint32_t row = lane >> 2, col = (lane & 3) * e + i % e, group = i / e;
	if (x->quads)
		return quad_place(x, which, lane, i);
	if (which == PTX_B) {
		uint32_t deep = ptx_matrix_depth(x) / (4 * e), groups = deep * x->n / 8u;
		group %= groups;
		return (struct place){col + 4 * e * (group % deep), row + 8 * (group / deep)};
	}
	uint32_t down = x->m / 8u, wide = which == PTX_A ? ptx_matrix_depth(x) : x->n;
	group %= down * (wide / (4 * e));
	return (struct place){row + 8 * (group % down), col + 4 * e * (group / down)};
}

void ptx_matrix_map(const struct ptx_matrix *x, enum ptx_factor which, uint16_t *map)
{
	uint32_t n = x->of[which].regs * ptx_matrix_per_register(&x->of[which]);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t lane = 0; lane < 32; lane++) {
			struct place p = place(x, which, lane, i);
			map[i * 32 + lane] = (uint16_t)(p.row * PTX_MATRIX_SIDE + p.col);
		}
}
