// SPDX-License-Identifier: Apache-2.0
/*
 * streams.c: an enemy of many streams that wait for each other: the legacy default stream, the
 * thread's own, blocking and non-blocking ones, in a ring. In each round every stream advances its
 * row and adds its left neighbour's row of the round before, from one buffer to the other; events
 * order neighbours, but where CUDA orders them anyway, which is left to CUDA. Whatever stops one
 * stream and not another, or lets one pass, would deadlock or change the result. A unit is `batch`
 * rounds.
 */
#include "../lib/affine.h"
#include "../lib/chain.h"
#include "enemy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS 10u
#define THREADS 128u

enum ordering { LEGACY, BLOCKING, FREE };

static struct {
	CUfunction kernel;
	CUstream stream[STREAMS];
	CUevent done[2][STREAMS]; /* of the last round, by its parity */
	CUdeviceptr row[2][STREAMS];
	uint64_t rounds;
} s;

static enum ordering ordering_of(unsigned i)
{
	if (i == 0)
		return LEGACY;
	return i == 1 || i % 2 == 0 ? BLOCKING : FREE; /* 1: the thread's own default stream */
}

/* Work in the legacy stream waits for all blocking streams' so far, and theirs for it. */
static bool implied(unsigned a, unsigned b)
{
	return (ordering_of(a) == LEGACY && ordering_of(b) == BLOCKING) ||
	       (ordering_of(a) == BLOCKING && ordering_of(b) == LEGACY);
}

static unsigned left_of(unsigned i)
{
	return (i + STREAMS - 1) % STREAMS;
}

static void streams_open(struct enemy *e)
{
	if (!e->elements)
		e->elements = STREAMS * 512;
	enemy_need_multiple(e, STREAMS);
	size_t bytes = (size_t)e->elements / STREAMS * sizeof(uint32_t);
	s.kernel = wl_gpu_function(&e->gpu, "enemy_mix");
	s.row[0][0] = enemy_data(e, e->elements);
	s.row[1][0] = enemy_data(e, e->elements);
	for (unsigned i = 0; i < STREAMS; i++) {
		for (unsigned p = 0; p < 2; p++) {
			s.row[p][i] = s.row[p][0] + i * bytes;
			WL_CU(cuEventCreate, &s.done[p][i], CU_EVENT_DISABLE_TIMING);
		}
		if (i == 0)
			s.stream[i] = CU_STREAM_LEGACY;
		else if (i == 1)
			s.stream[i] = CU_STREAM_PER_THREAD;
		else
			WL_CU(cuStreamCreate, &s.stream[i],
			      ordering_of(i) == FREE ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT);
	}
	WL_CU(cuStreamCreate, &e->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuCtxSynchronize);
	e->words = e->elements;
}

/* What stream i does in a round needs its left neighbour's row, and writes the buffer that its
 * right neighbour read in the round before. */
static void round_of(struct enemy *e, unsigned i, unsigned p)
{
	struct wl_affine f = WL_AFFINE_STEP;
	unsigned left = left_of(i), right = (i + 1) % STREAMS;
	uint32_t n = e->elements / STREAMS, add = f.add + i;
	if (!implied(i, left))
		WL_CU(cuStreamWaitEvent, s.stream[i], s.done[!p][left], 0);
	if (!implied(i, right))
		WL_CU(cuStreamWaitEvent, s.stream[i], s.done[!p][right], 0);
	void *args[] = {&s.row[!p][i], &s.row[p][i], &s.row[p][left], &n,
	                &f.mul,        &add,         &e->iterations};
	WL_CU(cuLaunchKernel, s.kernel, (n + THREADS - 1) / THREADS, 1, 1, THREADS, 1, 1, 0,
	      s.stream[i], args, NULL);
	WL_CU(cuEventRecord, s.done[p][i], s.stream[i]);
}

static void streams_submit(struct enemy *e, uint64_t unit)
{
	for (uint32_t r = 0; r < e->batch; r++, s.rounds++)
		for (unsigned i = 0; i < STREAMS; i++)
			round_of(e, i, (unsigned)(s.rounds % 2));
	for (unsigned i = 0; i < STREAMS; i++)
		WL_CU(cuStreamWaitEvent, e->stream, s.done[(s.rounds + 1) % 2][i], 0);
}

static void streams_collect(struct enemy *e)
{
	enemy_download(e, s.row[s.rounds % 2][0], e->result, e->words);
}

static void streams_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	uint32_t n = e->elements / STREAMS, *before = malloc(e->elements * sizeof(*before));
	struct wl_affine f[STREAMS];
	if (!before) {
		fprintf(stderr, "enemy: no memory for %u words\n", e->elements);
		exit(1);
	}
	for (unsigned i = 0; i < STREAMS; i++) {
		f[i] = WL_AFFINE_STEP;
		f[i].add += i;
		f[i] = wl_affine_power(f[i], e->iterations);
	}
	wl_chain_fill(want, e->elements, e->seed);
	for (uint64_t r = 0; r < units * e->batch; r++) {
		memcpy(before, want, e->elements * sizeof(*before));
		for (unsigned i = 0; i < STREAMS; i++)
			for (uint32_t k = 0; k < n; k++)
				want[i * n + k] = wl_affine_apply(f[i], before[i * n + k]) +
				                  3 * before[left_of(i) * n + k];
	}
	free(before);
}

static void streams_close(struct enemy *e)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		WL_CU(cuEventDestroy, s.done[0][i]);
		WL_CU(cuEventDestroy, s.done[1][i]);
		if (i > 1)
			WL_CU(cuStreamDestroy, s.stream[i]);
	}
	WL_CU(cuMemFree, s.row[1][0]);
	WL_CU(cuMemFree, s.row[0][0]);
	WL_CU(cuStreamDestroy, e->stream);
}

const struct enemy_kind enemy_streams = {
    .name = "streams",
    .summary = "ten streams of every kind that wait for each other",
    .iterations = 1024,
    .batch = 8,
    .depth = 16,
    .open = streams_open,
    .submit = streams_submit,
    .collect = streams_collect,
    .expect = streams_expect,
    .close = streams_close,
};
