// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_matrix.h: what the lanes of a warp hold of a matrix together, for wmma, mma, ldmatrix,
 * stmatrix and movmatrix; shared by their decoder and their execution.
 *
 * Fragments are those that the PTX ISA draws ("Matrix Fragments for mma.m16n8k16 …"), which are all
 * one pattern. A group of 8 × 4·e elements is spread over the warp so that lane L has the e that
 * begin at row L/4, column (L%4)·e, where e is how many elements 32 bits hold (2 for accumulators
 * of every type, 1 for f64). A matrix consists of such groups: those of A and of accumulators
 * follow each other down the rows first, those of B (with its columns taken for rows) along k
 * first. The fragments of wmma are opaque to programs; here they have the same pattern, and where
 * PTX gives them more registers than that takes, the rest are copies. Only mma.m8n8k4 with f16
 * differs: four products of a quarter of the warp each.
 */
#ifndef SOFTGPU_PTX_MATRIX_H
#define SOFTGPU_PTX_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

enum ptx_element {
	PTX_E_F16,
	PTX_E_BF16,
	PTX_E_TF32,
	PTX_E_F32,
	PTX_E_F64,
	PTX_E_E4M3,
	PTX_E_E5M2,
	PTX_E_S8,
	PTX_E_U8,
	PTX_E_S4,
	PTX_E_U4,
	PTX_E_B1,
	PTX_E_S32,
};

enum ptx_matrix_op { /* ptx_inst.op of PTX_K_MATRIX */
	             PTX_X_MULTIPLY,
	             PTX_X_LOAD,  /* wmma.load: a: address, b: stride */
	             PTX_X_STORE, /* wmma.store */
	             PTX_X_LOAD8, /* ldmatrix, stmatrix: a: a row's address in each lane */
	             PTX_X_STORE8,
	             PTX_X_TRANSPOSE, /* movmatrix */
};

enum ptx_factor { PTX_A, PTX_B, PTX_C, PTX_D }; /* the order of the operands, D = A · B + C */

#define PTX_MATRIX_SIDE 32 /* rows and columns of a matrix at most, in elements or words */

struct ptx_fragment {
	uint8_t element; /* enum ptx_element */
	uint8_t bits;    /* of an element */
	uint8_t regs;    /* registers a lane */
	uint8_t whole;   /* after so many the matrix is complete: the rest are copies */
	bool col;        /* column-major: in memory, or in mma.m8n8k4 */
};

/* In the instruction's list (ptx_ir.h, PTX_K_MATRIX) the registers written come first, then those
 * read, of A, B and C. */
struct ptx_matrix {
	uint8_t m, n;
	uint16_t k;
	uint8_t which;             /* enum ptx_factor: of a load or store */
	bool wmma;                 /* the matrix has its groups more than once, if there is room */
	bool quads;                /* mma.m8n8k4 with f16 */
	bool trans;                /* ldmatrix, stmatrix */
	bool saturate;             /* integers: the result is clamped, else it wraps around */
	bool with_and;             /* single bits: and, else exclusive or */
	uint8_t round;             /* enum ptx_round, f64 */
	struct ptx_fragment of[4]; /* by enum ptx_factor */
	const uint16_t *map[4];    /* of each, ptx_matrix_map() */
};

/* Elements of a register; those smaller than a byte are not told apart but as words. */
static inline uint32_t ptx_matrix_per_register(const struct ptx_fragment *f)
{
	return f->bits < 8 || f->bits >= 32 ? 1 : 32u / f->bits;
}
/* k in such elements. */
uint32_t ptx_matrix_depth(const struct ptx_matrix *x);
/* map[i · 32 + lane]: where element i of the lane's fragment is: row · PTX_MATRIX_SIDE + column. */
void ptx_matrix_map(const struct ptx_matrix *x, enum ptx_factor which, uint16_t *map);

struct ptx_product { /* what a lane set's product() does: all matrices have PTX_MATRIX_SIDE columns
	              */
	uint32_t m, n, k;
	uint32_t apart; /* after so many rows of a, b's next k rows are meant */
	bool chain;     /* rounded after each step; else the products are known to be exact */
};

#endif
