// SPDX-License-Identifier: Apache-2.0
/*
 * trace.h: what the software GPU tells a profiler in its own process: every call of a list when it
 * begins and when it returns, and every command of the GPU when it has completed, with its
 * modelled times. The profiler is our libcupti.so.13 (softgpu/cupti); it finds the entry below by
 * dlsym() in the libcuda.so.1 that the process uses. A private interface: both libraries are made
 * together, and the version number says so.
 *
 * Cost while nobody listens: one relaxed load a call. Work is traced if somebody listened when it
 * was submitted. Times are CLOCK_MONOTONIC ns.
 */
#ifndef SOFTGPU_TRACE_H
#define SOFTGPU_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "../common/atomic.h"
#include "../common/util.h"

#define SG_TRACE_VERSION 1

/* The calls that are told: what submits work, and what waits for it. */
#define SG_BOTH(X, name, form) X(name) X(name##form)
#define SG_TRACED_CALLS(X)                                                                         \
	SG_BOTH(X, cuLaunchKernel, _ptsz)                                                          \
	SG_BOTH(X, cuLaunchKernelEx, _ptsz)                                                        \
	SG_BOTH(X, cuLaunchCooperativeKernel, _ptsz)                                               \
	SG_BOTH(X, cuLaunchHostFunc, _ptsz)                                                        \
	SG_BOTH(X, cuGraphLaunch, _ptsz)                                                           \
	SG_BOTH(X, cuMemcpy, _ptds)                                                                \
	SG_BOTH(X, cuMemcpyAsync, _ptsz)                                                           \
	SG_BOTH(X, cuMemcpyHtoD_v2, _ptds)                                                         \
	SG_BOTH(X, cuMemcpyHtoDAsync_v2, _ptsz)                                                    \
	SG_BOTH(X, cuMemcpyDtoH_v2, _ptds)                                                         \
	SG_BOTH(X, cuMemcpyDtoHAsync_v2, _ptsz)                                                    \
	SG_BOTH(X, cuMemcpyDtoD_v2, _ptds)                                                         \
	SG_BOTH(X, cuMemcpyDtoDAsync_v2, _ptsz)                                                    \
	SG_BOTH(X, cuMemcpyPeer, _ptds)                                                            \
	SG_BOTH(X, cuMemcpyPeerAsync, _ptsz)                                                       \
	SG_BOTH(X, cuMemcpy2D_v2, _ptds)                                                           \
	SG_BOTH(X, cuMemcpy2DUnaligned_v2, _ptds)                                                  \
	SG_BOTH(X, cuMemcpy2DAsync_v2, _ptsz)                                                      \
	SG_BOTH(X, cuMemcpy3D_v2, _ptds)                                                           \
	SG_BOTH(X, cuMemcpy3DAsync_v2, _ptsz)                                                      \
	SG_BOTH(X, cuMemcpy3DPeer, _ptds)                                                          \
	SG_BOTH(X, cuMemcpy3DPeerAsync, _ptsz)                                                     \
	SG_BOTH(X, cuMemsetD8_v2, _ptds)                                                           \
	SG_BOTH(X, cuMemsetD8Async, _ptsz)                                                         \
	SG_BOTH(X, cuMemsetD2D8_v2, _ptds)                                                         \
	SG_BOTH(X, cuMemsetD2D8Async, _ptsz)                                                       \
	SG_BOTH(X, cuMemsetD16_v2, _ptds)                                                          \
	SG_BOTH(X, cuMemsetD16Async, _ptsz)                                                        \
	SG_BOTH(X, cuMemsetD2D16_v2, _ptds)                                                        \
	SG_BOTH(X, cuMemsetD2D16Async, _ptsz)                                                      \
	SG_BOTH(X, cuMemsetD32_v2, _ptds)                                                          \
	SG_BOTH(X, cuMemsetD32Async, _ptsz)                                                        \
	SG_BOTH(X, cuMemsetD2D32_v2, _ptds)                                                        \
	SG_BOTH(X, cuMemsetD2D32Async, _ptsz)                                                      \
	SG_BOTH(X, cuStreamSynchronize, _ptsz)                                                     \
	X(cuCtxSynchronize)                                                                        \
	X(cuCtxSynchronize_v2)                                                                     \
	X(cuEventSynchronize)                                                                      \
	SG_BOTH(X, cuEventRecord, _ptsz)                                                           \
	SG_BOTH(X, cuStreamWaitEvent, _ptsz)

enum sg_call_id {
#define SG_CALL_ID(name) SG_CALL_##name,
	SG_TRACED_CALLS(SG_CALL_ID)
#undef SG_CALL_ID
	    SG_CALLS
};

struct sg_trace_call {
	enum sg_call_id id;
	bool exit;
	uint32_t correlation; /* of the call and of all work that it submits; 0: not told */
	uint32_t context;     /* id of the current one, 0: none */
	CUcontext ctx;        /* itself */
	const void *params;   /* the arguments in a struct, as in CUPTI's generated_cuda_meta.h */
	CUresult result;      /* at the exit */
	uint64_t enter_ns, data; /* the listener's, from enter to exit */
	uint32_t marks;          /* the same; 0 at the enter */
};

enum sg_trace_what { SG_TRACE_KERNEL, SG_TRACE_COPY, SG_TRACE_SET, SG_TRACE_OTHER };

enum sg_trace_memory { /* numbered as CUpti_ActivityMemoryKind */
	               SG_TRACE_PAGEABLE = 1,
	               SG_TRACE_PINNED = 2,
	               SG_TRACE_DEVICE = 3,
	               SG_TRACE_MANAGED = 5,
	               SG_TRACE_STATIC = 6,
};

/* Where one side of a copy is. */
struct sg_trace_side {
	enum sg_trace_memory memory;
	uint32_t device, context; /* of memory of a device */
};

struct sg_trace_work {
	enum sg_trace_what what;
	bool failed; /* its context is poisoned: it has not run, or not to its end */
	bool async;  /* copies and sets: the call did not wait for it */
	uint32_t correlation, device, context;
	uint64_t stream;
	uint64_t queued_ns, submit_ns, start_ns, end_ns;
	/* of a graph launch: the executable graph, the node in it, and how many commands the launch
	 * has in all, each of which is told; 0: no graph */
	uint32_t graph, graph_commands;
	uint64_t node;
	union {
		struct {
			const char *name; /* valid during the call */
			uint32_t grid[3], block[3];
			uint32_t static_shared, dynamic_shared, local, registers;
			bool cooperative;
		} kernel;
		struct {
			uint64_t bytes;
			struct sg_trace_side src, dst;
		} copy;
		struct {
			uint64_t bytes;
			uint32_t value;
			enum sg_trace_memory memory;
		} set;
	};
};

struct sg_trace_listener {
	/* On the thread that calls, without locks; may run code of the application's. */
	void (*call)(struct sg_trace_call *c);
	/* Under the engine's lock: quick, and calls nothing of libcuda. */
	void (*work)(const struct sg_trace_work *w);
};

struct sg_trace_driver {
	/* NULL: nobody. What was submitted before may still be told to the last one. */
	void (*listen)(const struct sg_trace_listener *l);
	CUresult (*context_id)(CUcontext ctx, uint32_t *id);
	CUresult (*context_device)(CUcontext ctx, uint32_t *device);
	/* ctx NULL: the current one; per_thread: what stream 0 means */
	CUresult (*stream_id)(CUcontext ctx, CUstream s, bool per_thread, uint32_t *id);
	CUresult (*exec_id)(CUgraphExec e, uint32_t *id);
	const char *(*kernel_name)(CUfunction f); /* NULL: none */
};

/* What libcuda.so.1 exports; NULL for another version. */
typedef const struct sg_trace_driver *sg_cupti_attach_fn(uint32_t version);
#pragma GCC visibility push(default)
sg_cupti_attach_fn sg_cupti_attach;
#pragma GCC visibility pop

/* ---- inside libcuda: api_trace.c */

extern rein_a32 sg_traced; /* somebody listens */

void sg_call_enter(struct sg_trace_call *c, enum sg_call_id id, const void *params);
void sg_call_exit(struct sg_trace_call *c, CUresult result);

/* An entry point's value is `expr`, told if somebody listens; then its arguments. Calls inside the
 * call are part of it. */
#define SG_CALL(name, expr, ...)                                                                   \
	({                                                                                         \
		struct sg_trace_call sg_c_;                                                        \
		struct {                                                                           \
			SG_FIELDS(__VA_ARGS__, SG_F11, SG_F10, SG_F9, SG_F8, SG_F7, SG_F6, SG_F5,  \
			          SG_F4, SG_F3, SG_F2, SG_F1)                                      \
			(__VA_ARGS__)                                                              \
		} sg_p_;                                                                           \
		bool sg_on_ = REIN_UNLIKELY(rein_load_relaxed(&sg_traced));                        \
		if (sg_on_) {                                                                      \
			sg_p_ = (__typeof__(sg_p_)){__VA_ARGS__};                                  \
			sg_call_enter(&sg_c_, SG_CALL_##name, &sg_p_);                             \
		}                                                                                  \
		CUresult sg_r_ = (expr);                                                           \
		if (sg_on_)                                                                        \
			sg_call_exit(&sg_c_, sg_r_);                                               \
		sg_r_;                                                                             \
	})
/* The same for one that has none. */
#define SG_CALL_NONE(name, expr)                                                                   \
	({                                                                                         \
		int sg_none_ = 0;                                                                  \
		SG_CALL(name, expr, sg_none_);                                                     \
	})
#define SG_FIELDS(a, b, c, d, e, f, g, h, i, j, k, macro, ...) macro
#define SG_F1(a) __typeof__(a) a;
#define SG_F2(a, ...) SG_F1(a) SG_F1(__VA_ARGS__)
#define SG_F3(a, ...) SG_F1(a) SG_F2(__VA_ARGS__)
#define SG_F4(a, ...) SG_F1(a) SG_F3(__VA_ARGS__)
#define SG_F5(a, ...) SG_F1(a) SG_F4(__VA_ARGS__)
#define SG_F6(a, ...) SG_F1(a) SG_F5(__VA_ARGS__)
#define SG_F7(a, ...) SG_F1(a) SG_F6(__VA_ARGS__)
#define SG_F8(a, ...) SG_F1(a) SG_F7(__VA_ARGS__)
#define SG_F9(a, ...) SG_F1(a) SG_F8(__VA_ARGS__)
#define SG_F10(a, ...) SG_F1(a) SG_F9(__VA_ARGS__)
#define SG_F11(a, ...) SG_F1(a) SG_F10(__VA_ARGS__)

/* Work: a description of an op, NULL if nobody listens. It goes with the command, in whose
 * destroy() it is freed. */
struct sg_op;
struct sg_trace_work *sg_trace_new(const struct sg_op *op);
void sg_trace_done(struct sg_trace_work *w); /* all its fields are set; under the engine's lock */
uint32_t sg_trace_graph_id(void);            /* a new one */

#endif
