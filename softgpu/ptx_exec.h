// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec.h: the state of a running grid. A job is one ptx_run(); its workers (threads) take
 * blocks from a counter; a worker runs the warps of its blocks in turn, a slice at a time.
 *
 * The lanes of a warp that are at different places form groups. The group with the lowest PC
 * runs; when it reaches another's PC they merge. A group that waits (for lanes of its own warp or
 * at a barrier of the block) is parked. A slice ends when no group can run or after a number of
 * backward branches, so that warps that spin on each other make progress.
 */
#ifndef SOFTGPU_PTX_EXEC_H
#define SOFTGPU_PTX_EXEC_H

#include <pthread.h>

#include "ptx_ir.h"
#include "ptx_texture.h"

#define PTX_MAX_WARPS 32
#define PTX_BARRIERS 16
#define PTX_RANGES 16
#define PTX_IMAGES 4

struct ptx_range {
	uint64_t lo, span; /* [lo, lo + span) may be accessed */
};

struct ptx_bound { /* a handle that has been looked up; 0: none */
	uint64_t handle;
	bool surface;
	struct ptx_image image;
};

enum ptx_wait { PTX_RUN, PTX_WAIT_WARP, PTX_WAIT_BAR, PTX_WAIT_CLUSTER };
struct ptx_group {
	uint32_t pc, mask;
	enum ptx_wait wait;
};

enum ptx_step {
	PTX_STEP_DONE,    /* every lane has exited */
	PTX_STEP_BARRIER, /* every live lane waits at a barrier */
	PTX_STEP_CLUSTER, /* none can run, and some wait at the cluster's barrier */
	PTX_STEP_YIELD,   /* the slice is over */
	PTX_STEP_FAULT,   /* the job has failed */
};

struct ptx_stacks; /* ptx_exec_call.c */

enum ptx_warp_state { PTX_WARP_READY, PTX_WARP_WAITING, PTX_WARP_DONE };
struct ptx_warp {
	uint8_t *bank[2]; /* registers, constants */
	struct ptx_block *block;
	struct ptx_worker *worker;
	uint8_t *local;            /* 32 × lane_bytes */
	struct ptx_stacks *stacks; /* NULL: the kernel needs none */
	uint32_t id, live;
	uint32_t cluster_arrived; /* lanes, at the cluster's barrier in its current phase */
	bool failed;              /* a warp-wide instruction has failed the job */
	enum ptx_warp_state state;
	uint32_t turn; /* slices in a row that ended by spinning */
	uint32_t n_groups;
	struct ptx_group groups[PTX_LANES + 1];
	uint32_t tid[3][PTX_LANES];
};

struct ptx_barrier {
	uint32_t arrived;  /* threads */
	uint32_t expected; /* threads; 0 = all live warps */
	uint32_t waiting;  /* warps, a bit each */
	uint32_t popc, any, all;
};

struct ptx_cluster { /* blocks that one worker runs in turn; most are alone */
	uint32_t n;
	struct ptx_block *blocks[PTX_CLUSTER_MAX];
	bool arrivals; /* at its barrier, in the current phase */
};

struct ptx_block {
	struct ptx_worker *worker;
	uint32_t ctaid[3], index, rank;
	struct ptx_cluster *cluster, own; /* `own`: that it leads */
	uint32_t n_warps, live_warps;
	uint8_t *shared;
	uint32_t shared_bytes;
	struct ptx_barrier barriers[PTX_BARRIERS];
	struct ptx_warp *warps;
	struct ptx_arena *arena;
	struct ptx_block *next; /* in its worker's list of started clusters' first blocks */
};

struct ptx_child; /* ptx_children.c */
struct ptx_children {
	struct ptx_child *prepared;      /* their parameters are being written */
	struct ptx_child *first, **last; /* launched, in this order; last: NULL if there are none */
	uint8_t *texts; /* of errors, as the guest sees them; NULL: not asked for */
	uint32_t error; /* the last one */
};

struct ptx_job {
	const struct ptx_kernel *k;
	const struct ptx_launch *l;
	const struct ptx_memory *mem;
	uint32_t n_warps;    /* of a block */
	uint32_t lane_bytes; /* local memory of a lane, with its stack */
	uint32_t cluster[3]; /* blocks */
	bool is_cluster;     /* the program wants clusters, if of one block only */
	uint64_t n_clusters;
	uint64_t workspace; /* of the grid barrier; 0 = not cooperative */
	uint64_t grid_id;
	const uint8_t *params;
	_Atomic uint64_t next_cluster;
	atomic_bool stop;
	struct ptx_children children; /* kernels that its kernels launch; under `lock` */
	pthread_mutex_t lock;         /* of the error */
	enum ptx_status status;
	struct ptx_error *err;
};

struct ptx_worker {
	struct ptx_job *job;
	const struct ptx_lane_set *lanes;
	bool leads; /* the caller's: may start others */
	struct ptx_result res;
	struct ptx_range ranges[PTX_RANGES];
	struct ptx_bound images[PTX_IMAGES];
	uint32_t next_image;      /* which to replace */
	struct ptx_block *blocks; /* leaders of clusters started, not finished; the first runs */
};

/* A fence between threads; TSan knows none, but it knows read-modify-writes of one place. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PTX_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(PTX_TSAN)
extern int ptx_fence_word;
static inline void ptx_fence(void)
{
	__atomic_fetch_add(&ptx_fence_word, 0, __ATOMIC_SEQ_CST);
}
#else
static inline void ptx_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

/* ---- ptx_exec.c */
enum ptx_step ptx_warp_run(struct ptx_warp *w, int budget);
static inline uint8_t *ptx_reg(const struct ptx_warp *w, uint32_t code)
{
	return w->bank[code & PTX_CONST] + (code & ~PTX_CONST);
}
static inline uint32_t ptx_pred(const struct ptx_warp *w, uint32_t code)
{
	return *(const uint32_t *)ptx_reg(w, code);
}
static inline void ptx_set_pred(const struct ptx_warp *w, uint32_t code, uint32_t value,
                                uint32_t mask)
{
	uint32_t *p = (uint32_t *)ptx_reg(w, code);
	*p = (*p & ~mask) | (value & mask);
}
static inline uint32_t ptx_guarded(const struct ptx_warp *w, const struct ptx_inst *in,
                                   uint32_t mask)
{
	if (!in->guarded)
		return mask;
	uint32_t g = ptx_pred(w, in->guard);
	return mask & (in->guard_not ? ~g : g);
}
void ptx_group_push(struct ptx_warp *w, uint32_t pc, uint32_t mask, enum ptx_wait wait);
/* 2, 4, 8 bytes a lane → 1, 2, 3 */
static inline unsigned ptx_size_index(unsigned size)
{
	return size == 2 ? 1 : size == 4 ? 2 : 3;
}
/* Copies the lanes of mask. */
void ptx_blend(const struct ptx_warp *w, uint32_t d, const void *value, unsigned size,
               uint32_t mask);

/* One value in the lanes of mask. */
void ptx_splat(const struct ptx_warp *w, uint32_t d, uint64_t value, unsigned size, uint32_t mask);
/* Ends the job with an error that names kernel and thread; the first one wins. false, always. */
bool ptx_fault(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, enum ptx_status status,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* ---- ptx_exec_ops.c: one instruction for the lanes of mask; false: the job has failed */
void ptx_exec_alux(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_cvt(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_setp(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_set(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_selp(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_pred(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_carry(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_sreg(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_pack(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_unpack(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_isspace(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);

/* ---- ptx_exec_mem.c */
void ptx_exec_ldparam(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_ld(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_st(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_addresses(const struct ptx_warp *w, const struct ptx_inst *in, uint64_t *addr);
/* Host address of one lane's access of `bytes` bytes, checked; NULL: the job has failed. `space`:
 * where it turned out to be. */
uint8_t *ptx_locate(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                    uint32_t bytes, enum ptx_space *space);
/* Between the guest's memory (aligned to n, or to 8) and ours: n is 1, 2, 4 or a multiple of 8. */
void ptx_copy_in(void *d, const uint8_t *p, uint32_t n);
void ptx_copy_out(uint8_t *p, const void *s, uint32_t n);
/* Reads a lane's value out of a register of `size` bytes a lane. */
uint64_t ptx_lane_get(const void *reg, unsigned size, unsigned lane);
void ptx_lane_set(void *reg, unsigned size, unsigned lane, uint64_t value);

/* ---- ptx_exec_async.c, ptx_exec_video.c, ptx_exec_atom.c, ptx_exec_matrix.c, ptx_syscall.c */
bool ptx_exec_matrix(struct ptx_warp *w, const struct ptx_inst *in); /* by all live lanes */
bool ptx_exec_mbar(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_tensor(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_bulk(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
/* One atomic operation; b and c are its operands. The value before. */
uint64_t ptx_atom_apply(const struct ptx_inst *in, uint8_t *p, enum ptx_space space, uint64_t b,
                        uint64_t c);
bool ptx_exec_copy(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_exec_video(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_atom(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_syscall(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);

/* ---- ptx_syscall.c: arguments and, behind them, results of such a call, in local memory */
uint8_t *ptx_call_slot(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned i,
                       uint32_t need); /* NULL: smaller than needed */
bool ptx_call_argument(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned i,
                       uint32_t size, uint64_t *v);

/* ---- ptx_children.c */
bool ptx_exec_child(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane);
/* Runs what the job's blocks, which have all ended, have launched, and adds to its result; frees
 * everything, also if the job has failed. */
void ptx_children_run(struct ptx_job *j, struct ptx_result *res);

/* ---- ptx_run.c */
enum ptx_status ptx_check_launch(const struct ptx_kernel *k, const struct ptx_launch *l,
                                 struct ptx_error *err);

/* ---- ptx_exec_texture.c */
bool ptx_exec_texture(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_surface(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
void ptx_images_forget(struct ptx_worker *k);

/* ---- ptx_exec_call.c */
struct ptx_stacks *ptx_stacks_new(const struct ptx_kernel *k); /* of a warp; NULL: no memory */
void ptx_stacks_free(struct ptx_stacks *s);
void ptx_stacks_reset(struct ptx_warp *w); /* a block begins */
/* The lanes of mask call or return: sends each where it goes on. False: the job has failed. */
bool ptx_exec_call(struct ptx_warp *w, const struct ptx_inst *in, uint32_t pc, uint32_t mask);
bool ptx_exec_ret(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
bool ptx_exec_stack(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);

/* ---- ptx_exec_sync.c */
/* A group of lanes `mask` has reached a warp-wide instruction, `active` of them by its guard:
 * executes it for the lanes that need not wait and parks the others. Returns the lanes that go on.
 */
uint32_t ptx_exec_warp_op(struct ptx_warp *w, const struct ptx_inst *in, uint32_t pc,
                          uint32_t mask);
void ptx_exec_activemask(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
/* All live lanes of the warp wait: joins the barrier, releases it if complete. false: failed. */
bool ptx_barrier_arrive(struct ptx_warp *w);
void ptx_barrier_recheck(struct ptx_block *b); /* after a warp has ended */

/* ---- ptx_exec_cluster.c */
bool ptx_exec_cluster(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask);
/* Lets waiting lanes go if all have arrived; after arrivals and exits. */
void ptx_cluster_recheck(struct ptx_cluster *c);

#endif
