// SPDX-License-Identifier: Apache-2.0
/*
 * api.h: what the files of the driver API half (api_*.c) share: the objects behind CUDA's
 * handles, the one path by which work is issued, and the memory table.
 *
 * Rules that every api_*.c keeps:
 *   - an exported function returns what the CUDA manual says, and never crashes on NULL or stale
 *     arguments: handles are looked up in a registry (api_handle.c) before they are followed;
 *   - one lock, sg_lock(), guards contexts, captures, graphs and pools. It is never held across a
 *     call that may wait (sg_submit*, sg_*_sync, sg_domain_free) or that runs the user's code.
 *     The registry and the memory table have locks of their own, taken innermost;
 *   - eager, captured and graph work take the same form, struct sg_op, and the same path,
 *     sg_issue(): capture turns an op into a graph node, otherwise it becomes an engine command;
 *   - an entry point X_ptsz/X_ptds is X with stream 0 replaced by CU_STREAM_PER_THREAD.
 *
 * Calls between our own exported functions stay inside the library (-Bsymbolic): an interposed
 * program sees each of its calls once.
 */
#ifndef SOFTGPU_API_H
#define SOFTGPU_API_H

/* The exact, unversioned prototypes: cuMemAlloc and cuMemAlloc_v2 are two functions. */
#ifndef __CUDA_API_VERSION_INTERNAL
#define __CUDA_API_VERSION_INTERNAL
#endif
#pragma GCC visibility push(default)
#include <cuda.h>
#include <cudaProfiler.h>
#pragma GCC visibility pop

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/atomic.h"
#include "../common/util.h"
#include "engine.h"
#include "model.h"
#include "ptx.h"

/* ---- the process: api_base.c */

#define SG_DRIVER_VERSION 13000

/* CUDA_ERROR_NOT_INITIALIZED before cuInit and in a forked child. */
CUresult sg_ready(void);
const struct sg_model *sg_the_model(void); /* after sg_ready() said success */
void sg_lock(void);
void sg_unlock(void);
/* "softgpu: …" as one line on stderr. */
void sg_say(const char *fmt, ...) REIN_PRINTF(1, 2);
/* Names a call or an option that the software GPU lacks, once each; CUDA_ERROR_NOT_SUPPORTED. */
CUresult sg_missing(const char *what);

/* ---- handles: api_handle.c */

enum sg_handle_kind {
	SG_CONTEXT = 1,
	SG_STREAM,
	SG_EVENT,
	SG_MODULE,
	SG_FUNCTION,
	SG_LIBRARY,
	SG_KERNEL,
	SG_GRAPH,
	SG_NODE,
	SG_EXEC,
	SG_POOL,
	SG_GREEN, /* of destroyed ones too: they stay recognisable */
	SG_DESC,
	SG_PHYSICAL, /* cuMemCreate */
	SG_ARRAY,    /* levels of mipmapped ones too */
	SG_MIPMAP,
	SG_LINK,
	SG_CONDITION, /* of graphs' conditional nodes */
	SG_HANDLE_KINDS,
};
CUresult sg_handle_add(const void *object, enum sg_handle_kind kind);
/* False if it was not there: of two threads that destroy an object one wins. */
bool sg_handle_remove(const void *object, enum sg_handle_kind kind);
bool sg_handle_is(const void *object, enum sg_handle_kind kind);
/* A snapshot of all handles of a kind (malloc'd, the caller frees); NULL if none. */
void **sg_handle_list(enum sg_handle_kind kind, size_t *n);

/* ---- the objects */

struct sg_capture;

struct CUstream_st {
	CUcontext ctx;
	uint64_t ctx_id;  /* a primary context that was reset is another one under one address */
	CUgreenCtx green; /* which it belongs to; NULL: none */
	struct sg_stream *engine;
	unsigned flags;
	CUlaunchAttributeValue *hints; /* api_launch_attribute.c, under sg_lock() */
	/* capture, under sg_lock(): what the next captured node of this stream depends on */
	struct sg_capture *capture;
	CUgraphNode *tail;
	size_t n_tail;
};

struct CUctx_st {
	int device;
	bool primary;
	CUgreenCtx green; /* a face: the primary context, seen through this green context */
	rein_a32 alive;   /* 0: destroyed, or a primary context that nobody retains */
	struct sg_domain *domain;
	unsigned flags, api_version, retained;
	uint64_t id;
	size_t limits[CU_LIMIT_MAX];
	CUfunc_cache cache;
	rein_a32 peers; /* bit per device whose memory kernels here may access */
	struct CUstream_st legacy;
	struct ptx_memory memory;
};

/*
 * A green context: some SMs of a primary context's device. Streams and everything else made
 * "in" it belong to the primary context, so kernels, memory and events are shared; only its
 * streams are confined. `face` is what cuCtxFromGreenCtx() gives: of its members only device,
 * green, alive, id and legacy (the green context's default stream) are used.
 */
struct CUgreenCtx_st {
	rein_a32 alive;
	CUcontext primary;
	uint64_t primary_id; /* of the primary context as it was when retained */
	uint64_t id;
	struct sg_sm_set sms;
	struct CUctx_st face;
};

struct CUevent_st {
	CUcontext ctx;
	rein_a32 refs; /* the handle's and those of graph nodes */
	unsigned flags;
	struct sg_event *engine;
	/* under sg_lock(): last recorded inside a capture → that capture's id and the nodes */
	uint64_t capture_id;
	CUgraphNode *nodes;
	size_t n_nodes;
	struct sg_ipc_share *ipc; /* interprocess ones: api_ipc.c; NULL: the process' own */
};

struct CUfunc_st {
	CUmodule module;
	struct ptx_kernel *kernel;
	const struct ptx_kernel_info *info;
	rein_a32 max_dynamic_shared; /* set by cuFuncSetAttribute */
	rein_a32 carveout;
	rein_a32 big_clusters; /* CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED */
};

struct CUmod_st {
	CUcontext ctx;
	rein_a32 refs; /* the handle's and those of unfinished launches and graph nodes */
	struct ptx_module *ptx;
	unsigned n_functions;
	struct CUfunc_st functions[];
};

struct sg_thread {
	CUcontext *stack; /* current context last */
	size_t n, room;
	CUstreamCaptureMode mode;
	struct CUstream_st **own; /* per-thread default streams, one per context used */
	size_t n_own;
	uint64_t id;
};

/* ---- threads and contexts: api_thread.c, api_context.c */

struct sg_thread *sg_thread(void); /* NULL: out of memory */
/* The calling thread's current context: INVALID_CONTEXT if none, CONTEXT_IS_DESTROYED, or its
 * sticky error. */
CUresult sg_current(CUcontext *out);
CUcontext sg_top(void);                   /* the current context or NULL, whatever its state */
CUresult sg_context_check(CUcontext ctx); /* a context named by the application */
/* The context behind a face; any other is itself. */
static inline CUcontext sg_context_whole(CUcontext ctx)
{
	return ctx->green ? ctx->green->primary : ctx;
}
bool sg_green_alive(CUgreenCtx g); /* neither destroyed nor its primary context reset */
CUcontext sg_primary(int device);  /* NULL: out of memory; under sg_lock() */
bool sg_device_ok(CUdevice dev);
uint64_t sg_context_id(void); /* a new one; green contexts have theirs from the same count */
/* Resolves a stream argument: 0 and CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, or a handle. */
CUresult sg_stream_get(CUstream handle, CUstream *out);
/* green: NULL, or the one that the stream is to belong to. */
CUresult sg_stream_make(CUcontext ctx, CUgreenCtx green, unsigned flags, int priority,
                        CUstream *out);
void sg_stream_drop(CUstream s); /* frees stream, its handle already removed */
void sg_event_drop(CUevent e);   /* gives back one reference */
/* `ipc`: NULL, or what it is of another process; taken over on success. */
CUresult sg_event_make(CUcontext ctx, unsigned flags, struct sg_ipc_share *ipc, CUevent *out);
CUresult sg_event_put(CUevent e, struct sg_stream *s); /* records it, of whatever kind it is */
CUresult sg_event_await(CUevent e, struct sg_stream *s);
void sg_module_drop(CUmodule m); /* gives back one reference */
void sg_module_hold(CUmodule m);
void sg_libraries_forget(CUcontext ctx); /* the context is about to go */
#define SG_PT(stream) ((stream) ? (stream) : CU_STREAM_PER_THREAD)

/* Streams: least and greatest priority. */
#define SG_PRIORITY_LEAST 0
#define SG_PRIORITY_GREATEST (-5)

/* ---- green contexts: api_resource.c, api_green.c */

struct CUdevResourceDesc_st {
	int device;
	struct sg_sm_set sms;
};
/* Describes SMs of a device to the application; `split`: which split made it, 0: none. */
void sg_resource_put(CUdevResource *out, int device, const struct sg_sm_set *sms, uint64_t split);
void sg_resource_whole(CUdevResource *out, int device);

/* ---- memory: api_arena.c */

enum sg_memory_kind {
	SG_MEMORY_DEVICE,     /* cuMemAlloc, pools, module globals */
	SG_MEMORY_MANAGED,    /* the same, accessible to the host by right */
	SG_MEMORY_HOST,       /* cuMemAllocHost, cuMemHostAlloc */
	SG_MEMORY_REGISTERED, /* cuMemHostRegister: the application's own */
};
struct sg_range {
	uintptr_t base;
	size_t size;  /* as asked for */
	size_t whole; /* as reserved */
	enum sg_memory_kind kind;
	int device;
	CUcontext ctx;
	CUmemoryPool pool; /* NULL: none */
	unsigned flags;    /* of the host allocation or registration */
	bool module;       /* belongs to a module: no call of the application may free it */
	bool freeing;      /* cuMemFreeAsync was called */
	bool graph;        /* belongs to a graph: goes with it */
	uint32_t offered;  /* 1 + its number among what is offered to other processes (ipc.h) */
	/* of another process: mapped for this range alone, from the page of `base` on */
	size_t mapped_bytes;
	uint64_t ipc_id;
	uint32_t opens;  /* cuIpcOpenMemHandle calls; 0: it came with a pool */
	uint32_t access; /* cuMemMap: a bit per device that may; 0: other memory */
	uint64_t id;     /* CU_POINTER_ATTRIBUTE_BUFFER_ID */
};
/* Reserves device memory and enters it. `template`: kind, device, ctx, pool, module. */
CUresult sg_arena_alloc(const struct sg_range *template, size_t size, size_t align, uintptr_t *out);
/* The same, waiting for memory whose stream-ordered free is under way if there is too little. */
CUresult sg_arena_alloc_patient(CUcontext ctx, const struct sg_range *template, size_t bytes,
                                uintptr_t *out);
/* Enters memory that is not of the arena. HOST_MEMORY_ALREADY_REGISTERED if it overlaps. */
CUresult sg_range_add(const struct sg_range *r);
/* Removes the range that begins at base and gives its arena memory back. */
bool sg_range_remove(uintptr_t base, struct sg_range *removed);
/* The range that holds addr. */
bool sg_range_find(uintptr_t addr, struct sg_range *out);
bool sg_range_mark_freeing(uintptr_t base); /* false: not there, or already */
/* May [addr, addr + size) be given to a copy or set? *out: its range; `found` false: pageable. */
CUresult sg_range_check(uintptr_t addr, size_t size, struct sg_range *out, bool *found);
void sg_range_remove_of(CUcontext ctx); /* everything that belongs to a context */
void sg_arena_usage(int device, size_t *free_bytes, size_t *total);
size_t sg_arena_pending(CUcontext ctx); /* bytes that cuMemFreeAsync will give back */
void sg_memory_init(CUcontext ctx);     /* fills ctx->memory */
/* The memfd behind a device's memory (kept open by the arena), and where an allocation is in it.
 * NOT_SUPPORTED: the memory is private, since no file could be made. */
CUresult sg_arena_file(int device, uintptr_t base, int *fd, uint64_t *offset);
CUresult sg_arena_file_of(int device, int *fd);
void sg_range_offered(uintptr_t base, uint32_t offered);
/* An imported range that this context has open already: opens it once more. */
bool sg_range_opened(CUcontext ctx, uint64_t ipc_id, uintptr_t *base);
/* False: not an opened one. Not the last: closed once; the last one is the caller's to remove. */
bool sg_range_close(uintptr_t base, bool *last);
/* Managed memory is about to go, and what was said of it: api_managed.c. */
void sg_managed_forget(uintptr_t base, size_t size);
/* Memory that is the device's but outside the arena. */
CUresult sg_arena_charge(int device, size_t bytes);
void sg_arena_refund(int device, size_t bytes);
/* Replaces all ranges that begin in [base, base + size) at once. */
CUresult sg_ranges_rebuild(uintptr_t base, size_t size, const struct sg_range *with, size_t n);
uint64_t sg_device_half_uuid(CUdevice dev); /* tells devices apart; between processes too */

/* ---- shared with other processes: api_ipc.c */

CUresult sg_ipc_event_make(CUevent e); /* of an own one: offers it */
void sg_ipc_event_free(struct sg_ipc_share *s);
CUresult sg_ipc_event_record(CUevent e, struct sg_stream *s);
CUresult sg_ipc_event_wait(CUevent e, struct sg_stream *s);
CUresult sg_ipc_event_query(CUevent e);
CUresult sg_ipc_event_sync(CUevent e);
/* Maps part of a memory file of another process and enters it. `t`: device, ctx, pool, ipc_id,
 * opens; the rest is filled in. */
CUresult sg_range_import(struct sg_range *t, int fd, uint64_t offset, size_t size, uintptr_t *out);

/* ---- work: api_op.c */

enum sg_op_kind {
	SG_OP_KERNEL,
	SG_OP_COPY,
	SG_OP_SET,
	SG_OP_HOST,
	SG_OP_EMPTY,
	SG_OP_RECORD,
	SG_OP_WAIT,
	SG_OP_CHILD,
	SG_OP_MEMOP,
	SG_OP_ALLOC,
	SG_OP_FREE,
	SG_OP_COND,     /* a conditional node, in a graph */
	SG_OP_BRANCH,   /* what an executable graph makes of it */
	SG_OP_DEFAULTS, /* conditions get the values that launches begin with */
};
struct sg_kernel_op {
	CUfunction f;
	uint32_t grid[3], block[3], shared_bytes;
	uint32_t cluster[3]; /* 0: as the kernel says */
	bool cooperative;
	void *params; /* owned, info->param_bytes */
};
struct sg_copy_side {
	uintptr_t addr; /* of the first byte copied */
	size_t pitch, slice;
	CUarray array; /* that it is in; NULL: none. For questions only: it may be gone */
};
struct sg_copy_op {
	struct sg_copy_side dst, src;
	size_t width, height, depth;
	enum sg_copy_dir dir;
	bool dst_device, src_device; /* in the memory table; checked again when it runs */
	bool pageable_src, pageable_dst;
	void *staged; /* owned: the source's bytes, packed */
};
struct sg_set_op {
	uintptr_t dst;
	size_t pitch, width, height; /* width in elements */
	uint32_t value, element;     /* element: 1, 2 or 4 bytes */
};
struct sg_host_op {
	CUhostFn fn;
	CUstreamCallback callback; /* the older form; one of the two */
	CUstream stream;
	void *data;
};
struct sg_memop_op {
	unsigned n;
	CUstreamBatchMemOpParams *ops; /* owned; valid */
};
struct sg_cond_op { /* owned by the node, as a child graph is */
	struct sg_condition *condition;
	CUgraphConditionalNodeType type;
	unsigned n;
	CUgraph *bodies;
};
struct sg_op {
	enum sg_op_kind kind;
	CUcontext ctx;
	CUgreenCtx green; /* in a graph: of the stream in which it was captured; NULL: none */
	union {
		struct sg_kernel_op kernel;
		struct sg_copy_op copy;
		struct sg_set_op set;
		struct sg_host_op host;
		CUevent event; /* holds a reference */
		CUgraph child; /* owned by the node */
		struct sg_memop_op memop;
		struct sg_graph_memory *memory; /* holds a reference */
		struct sg_cond_op cond;
		struct sg_branch *branch;     /* holds a reference */
		struct sg_defaults *defaults; /* holds a reference */
	};
};
CUresult sg_op_copy(struct sg_op *dst, const struct sg_op *src); /* deep, but for a child */
void sg_op_fini(struct sg_op *op);
/* The engine's command for an op (a copy of it); deps are copied too. NULL: out of memory. */
struct sg_cmd *sg_op_command(const struct sg_op *op, const uint32_t *deps, uint32_t n_deps);
/* An op's payload, as (a part of) the command's. */
CUresult sg_op_run(const struct sg_op *op, struct sg_cmd *cmd);
/* Issues op in a stream (resolved): captured or submitted. The op stays the caller's. */
CUresult sg_issue(CUstream s, const struct sg_op *op, bool wait);

/* copies: does the manual have the call wait for the copy? Staging of a pageable source, and the
 * payload. */
bool sg_copy_waits(const struct sg_copy_op *c);
CUresult sg_copy_issue(const CUDA_MEMCPY3D *p, CUstream hStream, bool blocking);
CUresult sg_copy_stage(struct sg_copy_op *c);
CUresult sg_copy_run(const struct sg_copy_op *c, char *error_text, size_t len);
CUresult sg_set_run(const struct sg_set_op *s, char *error_text, size_t len);
/* May kernels on a device use what is allocated from the pool? */
bool sg_pool_open_to(CUmemoryPool pool, int device);
/* May kernels' memory be touched now? False after a free, for work that was issued before it. */
bool sg_memory_live(uintptr_t addr, size_t size);

/* Memory operations from *at on: as step() in engine.h; *at is moved on. */
CUresult sg_memop_step(const struct sg_memop_op *m, unsigned *at, char *error_text, size_t len);

/* Validated ops from the API's arguments. */
CUresult sg_kernel_op_init(struct sg_op *op, const CUlaunchConfig *config, CUfunction f,
                           void **params, void **extra);
CUresult sg_copy_op_init(struct sg_op *op, const CUDA_MEMCPY3D *p);
CUresult sg_set_op_init(struct sg_op *op, const CUDA_MEMSET_NODE_PARAMS *p);
CUresult sg_memop_op_init(struct sg_op *op, unsigned n, const CUstreamBatchMemOpParams *ops,
                          unsigned flags);
/* A CUfunction argument: a function, or a kernel taken for the context. */
CUresult sg_function_get(CUfunction handle, CUcontext ctx, CUfunction *out);
/* Is this a cluster, in blocks, that the function may be launched with (0: as it says itself)? */
CUresult sg_cluster_check(CUfunction f, const uint32_t cluster[3], const uint32_t grid[3]);
unsigned sg_blocks_per_sm(CUfunction f, unsigned threads, size_t dynamic_shared);
CUresult sg_ptx_result(enum ptx_status status);

/* ---- capture: api_capture.c; all but sg_unsafe() under sg_lock() */

/* CUDA_SUCCESS: not capturing, submit it. CUDA_ERROR_NOT_READY: taken into the graph. */
CUresult sg_capture_op(CUstream s, const struct sg_op *op);
/* Work, queries and syncs on a stream that must not meet a capture; invalidates it. */
CUresult sg_capture_forbid(CUstream s);
CUresult sg_capture_forbid_context(CUcontext ctx);
/* Event record and wait inside a capture. NOT_READY: done. */
CUresult sg_capture_record(CUstream s, CUevent e);
CUresult sg_capture_wait(CUstream s, CUevent e);
/* Whether the event stands for a node: then it cannot be asked after, which invalidates. */
bool sg_capture_asked(CUevent e);
/* A call that the capture mode of some thread may prohibit; takes sg_lock() itself. */
CUresult sg_unsafe(void);
void sg_capture_drop_stream(CUstream s);
/* A call that the software GPU cannot record: named and refused if s is capturing. Takes
 * sg_lock() itself. */
CUresult sg_capture_refuse(CUstream s, const char *what);

/* ---- memory of graphs: api_graph_memory.c; nodes for a stream (resolved) that is capturing */
void sg_graph_memory_hold(struct sg_graph_memory *m);
void sg_graph_memory_drop(struct sg_graph_memory *m); /* takes locks that nest in all others */
CUresult sg_capture_alloc(CUstream s, int device, size_t bytes, CUdeviceptr *out);
CUresult sg_capture_free(CUstream s, CUdeviceptr dptr);
/* Freeing a graph's allocation outside of graphs: at once, or in a stream. INVALID_VALUE if no
 * launch made it, or it was freed. */
CUresult sg_graph_memory_free(CUdeviceptr dptr);
CUresult sg_graph_memory_free_in(CUstream s, CUdeviceptr dptr);
bool sg_capturing(CUstream s); /* takes sg_lock() */

/* ---- graphs: api_graph.c, api_graph_node.c, api_graph_exec.c; under sg_lock() */

struct CUgraphNode_st {
	CUgraph graph;
	struct sg_op op;
	CUgraphNode *deps;
	size_t n_deps;
	CUgraphNode origin; /* of a clone: the node it was made from */
	size_t mark;        /* scratch of one walk */
	void **view;        /* kernels: the pointers that cuGraphKernelNodeGetParams returns */
	CUlaunchAttributeValue *hints; /* kernels: api_launch_attribute.c */
};
struct CUgraph_st {
	CUgraphNode *nodes; /* in the order in which they were added */
	size_t n_nodes;
	struct sg_condition **conditions; /* made for it; a reference each */
	size_t n_conditions;
	bool child;     /* lives in a node: not the application's to destroy */
	bool capturing; /* being captured into */
};
CUgraph sg_graph_new(void);
void sg_graph_free(CUgraph g);
/* A new node; takes a deep copy of op, keeps a copy of deps. */
CUresult sg_graph_add(CUgraph g, const CUgraphNode *deps, size_t n_deps, const struct sg_op *op,
                      CUgraphNode *out);
CUresult sg_graph_clone(CUgraph g, CUgraph *out);
/* Grows an array of nodes by one, if it is not in it yet. */
CUresult sg_nodes_add(CUgraphNode **nodes, size_t *n, CUgraphNode node);

/* ---- conditional nodes: api_graph_cond.c */
void sg_cond_op_free(struct sg_cond_op *c);
void sg_condition_drop(struct sg_condition *c);
bool sg_condition_set(uint64_t handle, uint32_t value); /* by a kernel; false: none */
void sg_branch_hold(struct sg_branch *b);
void sg_branch_drop(struct sg_branch *b);
void sg_branch_describe(const struct sg_branch *b, struct sg_cmd *cmd);
CUresult sg_branch_run(const struct sg_branch *b, struct sg_cmd *cmd);
void sg_defaults_hold(struct sg_defaults *d);
void sg_defaults_drop(struct sg_defaults *d);
uint32_t sg_defaults_count(const struct sg_defaults *d);
void sg_defaults_assign(const struct sg_defaults *d);

/* Topological order (malloc'd); INVALID_VALUE if there is a cycle. */
CUresult sg_graph_order(CUgraph g, CUgraphNode **out);

#endif
