// SPDX-License-Identifier: Apache-2.0
/*
 * model.c: all equations of the timing model, and the one cached copy of its figures. Pure but
 * for that cache; model_env.c reads the environment. sched.c places blocks by these equations,
 * ledger.c cuts time slices, mps.c does without them; docs/softgpu.md says the same in prose.
 */
#include "model.h"

#include <pthread.h>
#include <string.h>

#define SM_UNIT 2 /* SMs come in pairs */

static struct {
	pthread_once_t once;
	bool ok;
	char why[400];
	struct sg_model model;
} cache = {.once = PTHREAD_ONCE_INIT};

static void cache_fill(void)
{
	cache.ok = sg_model_read(&cache.model, cache.why, sizeof(cache.why));
}

const struct sg_model *sg_model(const char **why)
{
	pthread_once(&cache.once, cache_fill);
	if (why)
		*why = cache.why;
	return cache.ok ? &cache.model : NULL;
}

const struct sg_declared *sg_model_declared(const struct sg_model *m, const char *kernel)
{
	size_t best_len = 0;
	const struct sg_declared *best = NULL;
	for (uint32_t i = 0; kernel && i < m->n_declared; i++) {
		const struct sg_declared *d = &m->declared[i];
		size_t len = strlen(d->name);
		if (len && d->name[len - 1] == '*') {
			if (len > best_len && strncmp(d->name, kernel, len - 1) == 0) {
				best_len = len;
				best = d;
			}
		} else if (strcmp(d->name, kernel) == 0) {
			return d;
		}
	}
	return best;
}

/* ---- durations, alone on the device */

/* 1 GB/s is one byte a nanosecond. */
static uint64_t transfer_ns(uint64_t bytes, double gbps)
{
	return (uint64_t)((double)bytes / gbps + 0.5);
}

uint64_t sg_model_kernel_ns(const struct sg_model *m, uint64_t blocks, uint64_t instructions,
                            uint64_t global_bytes)
{
	uint64_t sms = blocks < m->sms ? blocks : m->sms;
	if (!sms)
		sms = 1;
	double per_ns = (double)sms * m->warp_ipc_per_sm * m->clock_mhz / 1000.0;
	uint64_t compute = (uint64_t)((double)instructions / per_ns + 0.5);
	uint64_t memory = transfer_ns(global_bytes, m->memory_gbps);
	return m->kernel_min_ns + (compute > memory ? compute : memory);
}

/* Throughput follows the number of SMs that have a block. */
uint64_t sg_model_confined_ns(const struct sg_model *m, uint64_t blocks, uint64_t solo_ns,
                              uint32_t n)
{
	uint64_t sms = m->device_sms ? m->device_sms : m->sms;
	uint64_t all = blocks < sms ? blocks : sms, busy = blocks < n ? blocks : n;
	if (!busy || all <= busy)
		return solo_ns;
	return (uint64_t)(((__uint128_t)solo_ns * all + busy - 1) / busy);
}

uint64_t sg_model_set_ns(const struct sg_model *m, uint64_t bytes)
{
	return m->kernel_min_ns + transfer_ns(bytes, m->memory_gbps);
}

uint64_t sg_model_copy_ns(const struct sg_model *m, enum sg_copy_dir dir, uint64_t bytes)
{
	double gbps = m->h2d_gbps;
	switch (dir) {
	case SG_COPY_H2D:
		break;
	case SG_COPY_D2H:
		gbps = m->d2h_gbps;
		break;
	case SG_COPY_D2D: /* each byte is read and written in the device's memory */
		gbps = m->memory_gbps / 2;
		break;
	case SG_COPY_H2H: /* crosses the link twice */
		gbps = 1 / (1 / m->h2d_gbps + 1 / m->d2h_gbps);
		break;
	}
	return m->copy_latency_ns + transfer_ns(bytes, gbps);
}

uint64_t sg_model_memops_ns(const struct sg_model *m, uint32_t n)
{
	return m->memop_ns * n;
}

/* Waves are equally long, and all of them together take exactly solo_ns; kernels that had to share
 * the SMs need more of them, each as long as the others. */
uint64_t sg_model_waves_ns(uint64_t solo_ns, uint64_t n, uint64_t i)
{
	uint64_t whole = solo_ns / n, rest = solo_ns % n;
	if (i > n)
		return solo_ns + (i - n) * whole;
	return whole * i + (uint64_t)((__uint128_t)rest * i / n);
}

/* ---- occupancy */

static uint32_t at_most(uint32_t have, uint64_t need, uint32_t limit)
{
	if (!need)
		return limit;
	uint64_t n = have / need;
	return n < limit ? (uint32_t)n : limit;
}

uint32_t sg_model_blocks_per_sm(const struct sg_model *m, uint32_t block_threads,
                                uint32_t shared_bytes, uint32_t registers)
{
	uint64_t warps = (block_threads + 31u) / 32u;
	uint32_t n = m->blocks_per_sm;
	n = at_most(m->threads_per_sm, warps * 32, n);
	n = at_most(m->shared_per_sm, shared_bytes, n);
	/* registers are handed out to whole warps, in units of 8 a thread */
	n = at_most(m->registers_per_sm, warps * 32 * ((registers + 7ull) & ~7ull), n);
	return n;
}

/* ---- memory bandwidth */

double sg_model_memory_share(const struct sg_model *m, uint64_t bytes, uint64_t solo_ns)
{
	if (!solo_ns)
		return 0;
	double share = (double)bytes / m->memory_gbps / (double)solo_ns;
	return share < 1 ? share : 1;
}

/* All get the same part of what they want, and the rest of their time is not stretched. */
double sg_model_stretch(double share, double wanted)
{
	return wanted > 1 ? 1 + share * (wanted - 1) : 1;
}

/* ---- when */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t sg_model_start_ns(const struct sg_model *m, uint64_t submit_ns, uint64_t issue_ns,
                           uint64_t pred_end_ns)
{
	uint64_t start = later(submit_ns + m->launch_latency_ns, issue_ns);
	return pred_end_ns ? later(start, pred_end_ns + m->kernel_gap_ns) : start;
}

uint64_t sg_model_slice_end_ns(uint64_t slice_ns, uint64_t start_ns, uint64_t from_ns)
{
	uint64_t from = later(from_ns, start_ns + 1);
	return start_ns + (from - start_ns + slice_ns - 1) / slice_ns * slice_ns;
}

uint32_t sg_model_percent_sms(const struct sg_model *m, double percent)
{
	uint32_t granule = m->sm_granule ? m->sm_granule : SM_UNIT;
	uint32_t n = (uint32_t)(m->sms * percent / 100) / granule * granule;
	n = n < granule ? granule : n;
	return n < m->sms ? n : m->sms;
}
