// SPDX-License-Identifier: Apache-2.0
/*
 * ctx.h: what the probes of the context gate share: a load whose progress is seen from the host
 * while it runs (kernel ctx_work), a watcher that times that progress, a rival process that
 * competes for the GPU, and a guard that bounds everything in time and lets go of whatever is held.
 *
 * Order in a program: wl_guard(), then wl_rival_start() and other forks, then CUDA.
 */
#ifndef WORKLOADS_GPU_LIB_CTX_H
#define WORKLOADS_GPU_LIB_CTX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../lib/gpu.h"
#include "../../lib/stats.h"
#include "rm.h"

/* ---- the load */
struct wl_shape {
	uint32_t blocks;  /* 0: two a multiprocessor, which saturates it */
	uint32_t threads; /* of a block */
	double chunk_us;  /* between two signs of progress */
	double kernel_ms; /* length of a kernel, alone */
	bool quick;       /* fewer repetitions, for trying the program out */
};
#define WL_SHAPE_DEFAULT                                                                           \
	{                                                                                          \
		.blocks = 0, .threads = 256, .chunk_us = 5, .kernel_ms = 100                       \
	}
/* --blocks N, --threads N, --kernel-ms X, --quick; ends the program on anything else */
void wl_shape_options(struct wl_shape *shape, int argc, char **argv);

#define WL_PAGE_GAPS 16 /* index of the first pair */
#define WL_GAPS_MAX 4096
#define WL_GAP_NS 20000

struct wl_load {
	struct wl_gpu gpu;
	CUfunction kernel;
	CUstream stream;
	CUevent done[2];
	CUstream side_stream;
	CUdeviceptr data, side_data, page_device;
	_Atomic uint64_t *page; /* progress, stamp, gaps, … as the kernel describes it */
	uint32_t blocks, threads, chunk, chunks;
	double chunk_ns;     /* alone */
	uint64_t iterations; /* of each element, of all launches */
	uint64_t base;       /* chunks of all launches */
	pthread_t thread;
	bool running;
	atomic_bool stop;
	atomic_int failed; /* CUresult of the first call that failed; then the thread has ended */
};

/* Context, memory, calibration. Ends the program if CUDA fails. */
void wl_load_open(struct wl_load *l, const void *image, const struct wl_shape *shape);
/* A thread that keeps two kernels queued; the second waits until what is queued has ended. */
void wl_load_start(struct wl_load *l);
void wl_load_stop(struct wl_load *l);
/* One kernel of `chunks` chunks, launch to end; 0 if CUDA failed. Not while the thread runs. */
uint64_t wl_load_once(struct wl_load *l, uint32_t chunks);
/* Whether every element is what all launches so far make of it; false too if CUDA failed. */
bool wl_load_intact(struct wl_load *l);
static inline uint64_t wl_load_progress(const struct wl_load *l)
{
	return atomic_load_explicit(&l->page[0], memory_order_relaxed);
}
/* Waits until progress differs from `than`; false after timeout_ms. */
bool wl_load_moves(const struct wl_load *l, uint64_t than, unsigned timeout_ms);
/* A launch of one small kernel on a stream of its own, from a thread of its own, so that it harms
 * nobody if it blocks. */
struct wl_side {
	struct wl_load *load;
	pthread_t thread;
	uint64_t before;     /* its progress, at begin */
	_Atomic uint64_t ns; /* how long the launch took; 0: it has not returned */
};
bool wl_side_begin(struct wl_side *s, struct wl_load *l);
/* Waits for the launch to return and its kernel to run; false after timeout_ms. */
bool wl_side_end(struct wl_side *s, unsigned timeout_ms);
/* Forgets the noted gaps. */
void wl_load_clear_gaps(struct wl_load *l);
/* Adds the noted gaps, in ns, to s; returns how many there were. */
uint64_t wl_load_gaps(const struct wl_load *l, struct wl_samples *s);

/* ---- the watcher: a thread that polls a word and notes when it changes */
struct wl_watch {
	_Atomic uint64_t *word;
	pthread_t thread;
	atomic_bool stop, armed;
	_Atomic uint64_t last_ns;  /* time of the last change */
	_Atomic uint64_t first_ns; /* of the first after wl_watch_arm(); 0: none yet */
};
void wl_watch_start(struct wl_watch *w, _Atomic uint64_t *word);
void wl_watch_stop(struct wl_watch *w);
void wl_watch_arm(struct wl_watch *w);
/* The first change after wl_watch_arm(), or 0 after timeout_ms. */
uint64_t wl_watch_first(struct wl_watch *w, unsigned timeout_ms);

/* ---- the rival: a process with a context of its own */
enum wl_rival_mode {
	WL_RIVAL_IDLE,
	WL_RIVAL_BUSY,  /* the load, without end */
	WL_RIVAL_SHORT, /* one kernel of four chunks after the other, 1 ms apart; its latency */
	WL_RIVAL_QUIT,
};
#define WL_RIVAL_SAMPLES 8192
struct wl_rival {
	pid_t pid;
	struct wl_rival_shared *shared;
};
/* Forks. false after one line on stderr. */
bool wl_rival_start(struct wl_rival *r, const void *image, const struct wl_shape *shape);
/* Waits until the rival is in that mode (its samples start anew); false if it is not within
 * timeout_ms, or has failed. */
bool wl_rival_set(struct wl_rival *r, enum wl_rival_mode mode, unsigned timeout_ms);
uint64_t wl_rival_progress(const struct wl_rival *r); /* chunks, of BUSY */
double wl_rival_chunk_ns(const struct wl_rival *r);
void wl_rival_samples(const struct wl_rival *r, struct wl_samples *s);
void wl_rival_stop(struct wl_rival *r);

/* ---- the guard */
/* The rest of the program runs in a child; the parent waits at most `seconds`, then asks it to let
 * go and end (SIGTERM), then kills it, and ends with its status, or WL_EXIT_TIMEOUT. Returns in the
 * child. */
void wl_guard(unsigned seconds);
/* From now on every way out of the process, signals included, enables the group's channels. */
void wl_guard_group(const struct wl_rm_group *g);
/* Ends the process at once, letting go: for when threads are stuck and exit() might wait. */
__attribute__((noreturn)) void wl_guard_exit(int status);
/* Tells the guard how the group is held, so that it knows what to undo. */
enum wl_held { WL_HELD_NOT, WL_HELD_CHANNELS, WL_HELD_SCHEDULE };
void wl_guard_held(enum wl_held held);

#endif
