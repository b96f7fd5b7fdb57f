// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_ir.h: the decoded form of a kernel, shared by the decoder (ptx_dec_*.c) and the interpreter
 * (ptx_exec_*.c). Internal to the PTX half of softgpu/.
 *
 * A warp's registers are one block of memory: each PTX register has 32 lanes of 2, 4 or 8 bytes;
 * a predicate is one 32-bit mask. Constants (immediates, addresses of variables) lie in a second
 * block of the same form, shared by all warps. An operand is an offset into one of the two: bit 0
 * says which (PTX_CONST), the rest is the offset. Device functions are inlined at each call, but
 * for those that may be active twice (recursion, function pointers): they are regions of the code
 * with registers and a frame of local memory of their own. A lane's frame begins at the offset in
 * its lane of the first 256 bytes of the registers (PTX_FRAME); ptx_exec_call.c keeps the rest.
 */
#ifndef SOFTGPU_PTX_IR_H
#define SOFTGPU_PTX_IR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ptx.h"
#include "ptx_lanes.h"
#include "ptx_matrix.h"

#define PTX_CONST 1u
#define PTX_FRAME 0u /* as a source: where the lane's frame begins; nothing is written there */

/* Generic addresses: the top four bits name the window; device pointers have 0 there. */
#define PTX_WINDOW_SHIFT 60
#define PTX_SHARED_BASE (1ull << PTX_WINDOW_SHIFT)
#define PTX_LOCAL_BASE (2ull << PTX_WINDOW_SHIFT)
#define PTX_PARAM_BASE (3ull << PTX_WINDOW_SHIFT)
#define PTX_FUNC_BASE (4ull << PTX_WINDOW_SHIFT) /* + module id << 32 + number: a function */
#define PTX_KERNEL_NUMBER (1ull << 31)           /* + its place in the module: a kernel */

/* Shared memory of another block of the cluster: its rank + 1 from this bit on, of addresses in the
 * shared space and of generic ones. */
#define PTX_RANK_SHIFT 24
#define PTX_CLUSTER_MAX 16 /* blocks */

enum ptx_space {
	PTX_SPACE_GLOBAL, /* the order of the four is that of the windows */
	PTX_SPACE_SHARED,
	PTX_SPACE_LOCAL,
	PTX_SPACE_PARAM, /* of the kernel; a call's parameters are local memory */
	PTX_SPACE_CONST, /* global memory that is not counted as such */
	PTX_SPACE_GENERIC,
};

enum ptx_kind {
	PTX_K_ALU,  /* d = fn(a, b, c, e) */
	PTX_K_ALUX, /* the same with flush-to-zero, rounding mode, saturation */
	PTX_K_CVT,  /* chain of stages */
	PTX_K_SETP,
	PTX_K_SET,
	PTX_K_SELP,
	PTX_K_PRED,
	PTX_K_CARRY,
	PTX_K_SREG,
	PTX_K_PACK,
	PTX_K_UNPACK,
	PTX_K_ISSPACE,
	PTX_K_LD,
	PTX_K_LDPARAM, /* a kernel parameter at a fixed offset: the same in all lanes */
	PTX_K_ST,
	PTX_K_ATOM,
	PTX_K_MBAR,
	PTX_K_COPY, /* cp.async */
	PTX_K_BULK, /* cp.async.bulk, cp.reduce.async.bulk: flags PTX_BULK_* */
	PTX_K_VIDEO,
	PTX_K_MATRIX,  /* vec registers written, then rsize read, in a list */
	PTX_K_TEXTURE, /* the same; a: the handle; space: enum ptx_geometry; d: a predicate */
	PTX_K_SURFACE,
	PTX_K_TENSOR, /* the same: bytes written, coordinates; a: map; b: shared, asize, imm */
	PTX_K_BRA,
	PTX_K_BRX,
	PTX_K_CALL,
	PTX_K_RET,
	PTX_K_STACK, /* alloca, stacksave, stackrestore */
	PTX_K_EXIT,
	PTX_K_TRAP,
	PTX_K_BAR,
	PTX_K_WARPBAR,
	PTX_K_SHFL,
	PTX_K_VOTE,
	PTX_K_MATCH,
	PTX_K_REDUX,
	PTX_K_ACTIVEMASK,
	PTX_K_CLUSTER,      /* d = op(a, b), or an arrival */
	PTX_K_CLUSTER_WAIT, /* barrier.cluster.wait */
	PTX_K_FENCE,
	PTX_K_NANOSLEEP,
	PTX_K_NOP,
	PTX_K_SYSCALL,
};

enum { /* ptx_inst.flags of arithmetic */
       PTX_F_FTZ_IN = 1,
       PTX_F_FTZ_OUT = 2,
       PTX_F_SAT = 4,
       PTX_F_PAIR = 8,  /* comparisons: two halves a lane */
       PTX_F_RELU = 16, /* negative results become 0 */
};
enum ptx_round { PTX_RN, PTX_RZ, PTX_RM, PTX_RP };
enum ptx_logic { PTX_AND, PTX_OR, PTX_XOR, PTX_NOT, PTX_MOV, PTX_SEL };
enum ptx_carry {
	PTX_C_ADD = 0, /* a + b (+ CC) */
	PTX_C_SUB = 1,
	PTX_C_MADLO = 2,
	PTX_C_MADHI = 3,
	PTX_C_KIND = 3,
	PTX_C_IN = 4,      /* reads the carry flag */
	PTX_C_OUT = 8,     /* writes it */
	PTX_C_SIGNED = 16, /* mad.hi of signed operands */
};
enum ptx_atom_op {
	PTX_A_ADD,
	PTX_A_MIN,
	PTX_A_MAX,
	PTX_A_AND,
	PTX_A_OR,
	PTX_A_XOR,
	PTX_A_EXCH,
	PTX_A_CAS,
	PTX_A_INC,
	PTX_A_DEC,
};
enum ptx_scalar { /* how an atomic or a reduction reads its values */
	          PTX_T_U,
	          PTX_T_S,
	          PTX_T_F,
	          PTX_T_F16,
	          PTX_T_BF16,
	          PTX_T_F16X2,
	          PTX_T_BF16X2,
	          PTX_T_S16X2,
};
enum ptx_vote { PTX_V_ALL, PTX_V_ANY, PTX_V_UNI, PTX_V_BALLOT, PTX_V_MATCH_ANY, PTX_V_MATCH_ALL };
enum ptx_shfl { PTX_S_UP, PTX_S_DOWN, PTX_S_BFLY, PTX_S_IDX };
enum ptx_bar { PTX_B_SYNC, PTX_B_ARRIVE, PTX_B_POPC, PTX_B_AND, PTX_B_OR };
enum ptx_cluster_op { PTX_L_ARRIVE, PTX_L_MAP, PTX_L_RANK };
enum ptx_texture { /* op of PTX_K_TEXTURE; the list read is the layer, the place, then */
	           PTX_TEX_SAMPLE,
	           PTX_TEX_LEVEL,  /* the level of detail */
	           PTX_TEX_GRAD,   /* two derivatives */
	           PTX_TEX_GATHER, /* round: which channel */
	           PTX_TEX_QUERY,  /* round: enum ptx_query; the level, if there is one */
};
/* The result of a sample is packed if size is 2 (f16x2); sign: places are integers. */
enum ptx_query {
	PTX_Q_WIDTH,
	PTX_Q_HEIGHT,
	PTX_Q_DEPTH,
	PTX_Q_LAYERS,
	PTX_Q_LEVELS,
	PTX_Q_SAMPLES,
	PTX_Q_NORMALIZED,
};
enum ptx_surface { /* op of PTX_K_SURFACE: x is in bytes; values are of `size` bytes */
	           PTX_SURF_LOAD,
	           PTX_SURF_STORE,
	           PTX_SURF_REDUCE, /* round: enum ptx_atom_op; scalar */
};
enum ptx_tensor { /* op of PTX_K_TENSOR; space: the map's dimensions */
	          PTX_TENSOR_LOAD,
	          PTX_TENSOR_STORE,
	          PTX_TENSOR_REDUCE, /* round: enum ptx_atom_op */
};
enum ptx_outside { PTX_OUT_TRAP, PTX_OUT_CLAMP, PTX_OUT_ZERO }; /* order of PTX_K_SURFACE */
enum ptx_syscall {
	PTX_SYS_PRINTF,
	PTX_SYS_ASSERT,
	PTX_SYS_MALLOC,
	PTX_SYS_FREE,
	PTX_SYS_CONDITION,
	/* of the device runtime (ptx_children.c) */
	PTX_SYS_BUFFER,
	PTX_SYS_LAUNCH,
	PTX_SYS_HANDLE, /* a stream or event is made: nothing to tell apart */
	PTX_SYS_NOTHING,
	PTX_SYS_ERROR,
	PTX_SYS_PEEK,
	PTX_SYS_ERROR_TEXT,
	PTX_SYS_DEVICE,
	PTX_SYS_DEVICES,
	PTX_SYS_DEVICE_MALLOC,
	PTX_SYS_DEVICE_FREE,
	PTX_SYS_COPY,
	PTX_SYS_SET,
};
enum { /* op and flags of PTX_K_VIDEO */
       PTX_VIDEO_ADDS,
       PTX_VIDEO_SUB,
       PTX_VIDEO_ABSDIFF,
       PTX_VIDEO_MIN,
       PTX_VIDEO_MAX,
       PTX_VIDEO_SET,
       PTX_VIDEO_SHL, /* from here on of single values only: vec is 1 */
       PTX_VIDEO_SHR,
       PTX_VIDEO_MAD,
       PTX_VIDEO_PACK,   /* cvt.pack: to parts of rsize bits */
       PTX_VIDEO_DS = 1, /* the result is signed, a, b are */
       PTX_VIDEO_AS = 2,
       PTX_VIDEO_BS = 4,
       PTX_VIDEO_SAT = 8,
       PTX_VIDEO_ADD = 16, /* the parts are added up, and c */
};
/* Of single values (vadd): what is taken of a (rsize), b (asize), and which part of c the result
 * replaces (sign); 0: all. scalar: a second operation with c. Of vmad, order: what is negated, or
 * added; space: how far the sum is shifted down. */
enum ptx_part { PTX_PART_ALL, PTX_PART_B0, PTX_PART_H0 = 5, PTX_PART_H1 };
enum { PTX_THEN_NOTHING, PTX_THEN_ADD, PTX_THEN_MIN, PTX_THEN_MAX };
enum { PTX_MAD_MINUS_AB = 1, PTX_MAD_MINUS_C = 2, PTX_MAD_PLUS_ONE = 4 };
enum { /* from a (space, imm) to b (space rsize, bytes a lane vec, offset target), c bytes */
       PTX_BULK_REDUCE = 1,    /* by op and scalar, elements of `size` bytes */
       PTX_BULK_MULTICAST = 2, /* e: the blocks of the cluster that get it, a bit each */
       PTX_BULK_BYTES = 4,     /* e: which bytes of 16 are copied */
};
enum ptx_mbar {
	PTX_M_INIT,
	PTX_M_INVAL,
	PTX_M_ARRIVE,
	PTX_M_DROP,
	PTX_M_EXPECT,   /* expect_tx */
	PTX_M_COMPLETE, /* complete_tx */
	PTX_M_TEST,
	PTX_M_PENDING,
};
enum ptx_order { PTX_ORDER_NONE = 0, PTX_ORDER_ACQUIRE = 1, PTX_ORDER_RELEASE = 2 };

enum ptx_sreg {
	PTX_R_TID_X,
	PTX_R_TID_Y,
	PTX_R_TID_Z,
	PTX_R_NTID_X,
	PTX_R_NTID_Y,
	PTX_R_NTID_Z,
	PTX_R_CTAID_X,
	PTX_R_CTAID_Y,
	PTX_R_CTAID_Z,
	PTX_R_NCTAID_X,
	PTX_R_NCTAID_Y,
	PTX_R_NCTAID_Z,
	PTX_R_LANEID,
	PTX_R_WARPID,
	PTX_R_NWARPID,
	PTX_R_SMID,
	PTX_R_NSMID,
	PTX_R_GRIDID,
	PTX_R_LT,
	PTX_R_LE,
	PTX_R_EQ,
	PTX_R_GE,
	PTX_R_GT,
	PTX_R_CLOCK,
	PTX_R_CLOCK_HI,
	PTX_R_CLOCK64,
	PTX_R_TIMER,
	PTX_R_TIMER_LO,
	PTX_R_TIMER_HI,
	PTX_R_DYN_SMEM,
	PTX_R_TOTAL_SMEM,
	PTX_R_AGGR_SMEM,
	PTX_R_RESERVED_BEGIN, /* those four: see PTX_RESERVED_BYTES */
	PTX_R_RESERVED_1,
	PTX_R_RESERVED_END,
	PTX_R_RESERVED_CAP,
	PTX_R_ENVREG1,
	PTX_R_ENVREG2,
	PTX_R_CLUSTERID_X,
	PTX_R_CLUSTERID_Y,
	PTX_R_CLUSTERID_Z,
	PTX_R_NCLUSTERID_X,
	PTX_R_NCLUSTERID_Y,
	PTX_R_NCLUSTERID_Z,
	PTX_R_CLUSTER_CTAID_X,
	PTX_R_CLUSTER_CTAID_Y,
	PTX_R_CLUSTER_CTAID_Z,
	PTX_R_CLUSTER_NCTAID_X,
	PTX_R_CLUSTER_NCTAID_Y,
	PTX_R_CLUSTER_NCTAID_Z,
	PTX_R_CLUSTER_RANK,
	PTX_R_CLUSTER_SIZE,
	PTX_R_IS_CLUSTER, /* a predicate */
	PTX_R_ZERO,
};

struct ptx_inst {
	uint8_t kind;
	uint8_t op;    /* of its kind: enum ptx_logic, ptx_sreg, … */
	uint8_t size;  /* bytes a lane: of the destination, or of a memory element */
	uint8_t rsize; /* loads and stores: bytes a lane of the register */
	uint8_t flags; /* PTX_F_* */
	uint8_t round; /* enum ptx_round */
	uint8_t count; /* 1: an instruction of the program; 0: a helper of the decoder */
	uint8_t space;
	uint8_t vec;    /* registers of a vector load, store, pack; stages of a conversion */
	uint8_t asize;  /* bytes a lane of the address register */
	uint8_t sign;   /* loads: sign-extend; setp and votes: operand negated */
	uint8_t order;  /* enum ptx_order */
	uint8_t scalar; /* enum ptx_scalar */
	bool guarded : 1, guard_not : 1;
	bool combine : 1; /* setp, set: with predicate c by `op` */
	bool plain : 1;   /* loads and stores: 4 bytes of shared memory at a 32-bit address */
	uint8_t run;      /* PTX_K_ALU: how many such follow each other from here on, unguarded */
	uint32_t guard;
	uint32_t d, d2, a, b, c, e; /* operands */
	uint32_t target;            /* branches: a PC; lists: where in ptx_kernel.ext */
	uint32_t line;
	uint32_t site; /* memory: which cached range to try */
	int64_t imm;   /* memory: added to the address */
	union {
		ptx_fn *fn;
		ptx_cmp_fn *cmp;
		const struct ptx_matrix *matrix;
	};
};

/* One conversion stage. */
struct ptx_stage {
	ptx_fn *fn;
	bool rounds; /* under the rounding mode */
};

/* A function that is called, not inlined. Region 0 is the kernel. */
struct ptx_region {
	uint32_t pc;
	uint32_t frame_bytes; /* of local memory: results, arguments, variables */
	uint32_t frame_align;
	uint32_t first_save, n_saves; /* in ptx_kernel.saves: registers, offset | size class */
	uint32_t save_bytes;          /* of a lane */
	uint64_t signature;           /* of sizes and alignments of results and arguments */
};

/*
 * Shared memory that CUDA keeps for itself, from compute capability 8.0 on; cooperative groups have
 * their barriers and slots of multi-warp tiles in its second half. Only a kernel that asks where it
 * is has it, behind its own shared memory (a GPU has it in front).
 */
#define PTX_RESERVED_BYTES 1024

struct ptx_kernel {
	const struct ptx_module *module;
	uint32_t module_id;
	struct ptx_kernel_info info;
	const struct ptx_inst *code;
	uint32_t n_code;
	const uint32_t *ext;            /* register lists, branch tables */
	const struct ptx_stage *stages; /* conversions */
	const uint8_t *consts;          /* the second block of operands */
	uint32_t const_bytes;
	uint32_t reg_bytes;       /* of one warp */
	uint32_t dyn_shared;      /* where dynamic shared memory begins */
	uint32_t reserved_shared; /* bytes behind that */
	bool uses_envreg;
	bool uses_stack; /* calls or alloca: lanes need a stack in local memory */
	const struct ptx_region *regions;
	uint32_t n_regions;
	const uint32_t *saves;
	const uint32_t *region_of; /* a function's number → region; 0: it has none here */
	uint32_t n_funcs;
	_Atomic(struct ptx_arena *) spare; /* run-time memory of the last launch, to use again */
};

void ptx_arena_free(struct ptx_arena *a); /* ptx_run.c */

#endif
