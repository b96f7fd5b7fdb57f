// SPDX-License-Identifier: Apache-2.0
/*
 * enemy.h: the kinds of load that a scheduler fears, behind one interface. A kind has data that
 * depends on the seed, and a unit of work that it queues again and again without waiting; after any
 * number of units the host knows what the data must be (kernels.cu). So a run is its own proof that
 * it computed what it computes alone, whatever held or preempted it meanwhile, and its digest
 * depends on nothing but seed, units, elements, iterations and batch.
 *
 * One kind runs in a process, on one thread; its state is static in its file. All calls end the
 * program if CUDA fails (lib/gpu.h).
 */
#ifndef WORKLOADS_ENEMIES_ENEMY_H
#define WORKLOADS_ENEMIES_ENEMY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/gpu.h"

/* Fields that the command line left at 0 are the kind's own, and then what open() makes of them. */
struct enemy {
	uint64_t seed;
	uint32_t elements;   /* 32-bit, of the data */
	uint32_t iterations; /* of the arithmetic, in a kernel or in a step of it */
	uint32_t batch;      /* what a unit consists of: see each kind */
	double kernel_us;    /* wanted length of a kernel, for finding iterations */
	struct wl_gpu gpu;
	CUstream stream; /* where each unit ends */
	bool stopped;    /* stop() was called: the last units may have ended early */
	uint32_t *result;
	size_t words; /* of result: set by open() */
};

struct enemy_kind {
	const char *name, *summary;
	double kernel_us;    /* default; 0: `iterations` is not found by time */
	uint32_t iterations; /* default where kernel_us is 0 */
	uint32_t batch, depth;
	bool stamps; /* its kernels run one after the other and stamp their times */
	void (*open)(struct enemy *e);
	void (*submit)(struct enemy *e, uint64_t unit);
	void (*stop)(struct enemy *e); /* makes what runs end soon; NULL: it ends by itself */
	void (*collect)(struct enemy *e);
	/* What `result` must be. result holds what was collected: a kind may need to look. */
	void (*expect)(const struct enemy *e, uint64_t units, uint32_t *want);
	void (*close)(struct enemy *e);
};

extern const struct enemy_kind enemy_long, enemy_short, enemy_persistent, enemy_graph,
    enemy_bandwidth, enemy_copy, enemy_cooperative, enemy_streams;

/* For the kinds. */

/* As many elements as the GPU holds threads, unless the command line said how many. */
void enemy_fill_gpu(struct enemy *e);
/* Iterations that make a kernel of e->elements threads last `us`, unless the command line said. */
void enemy_find_iterations(struct enemy *e, double us);
/* Device memory, `words` long, holding the seed's data (as wl_chain_fill). */
CUdeviceptr enemy_data(const struct enemy *e, size_t words);
void enemy_download(const struct enemy *e, CUdeviceptr from, uint32_t *to, size_t words);
/* Ends the program (status 2) with one line if elements is no multiple of `of`. */
void enemy_need_multiple(const struct enemy *e, uint32_t of);

#endif
