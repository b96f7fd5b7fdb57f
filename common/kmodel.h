// SPDX-License-Identifier: Apache-2.0
/*
 * kmodel.h: the kernel-time model: how long a kernel with this function, grid and block took on
 * the GPU, as its own process measured it while it was the device's sole owner.
 *
 * A fixed-size open-addressed table that lives in the client's status object: the shim writes
 * it, the daemon reads it. No allocation, no lock: a row is claimed by compare-and-swap on its key;
 * in a full neighbourhood the row that was sampled longest ago gives way to a new kernel. Samples
 * of one row race benignly (a lost update loses one sample).
 *
 * Samples are of sole owners. While several processes are active a measured span also holds the
 * others' time: it is an upper bound, and the least one seen stands in until there are samples.
 *
 * Units: ns of GPU time. Threads: any. A reader that does not trust the writer uses
 * rein_kmodel_read(), which copies and bounds-checks one row.
 */
#ifndef REIN_COMMON_KMODEL_H
#define REIN_COMMON_KMODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

#define REIN_KMODEL_ROWS 512 /* power of two */
#define REIN_KMODEL_NAME_LEN 48

struct rein_kmodel_row {
	rein_a64 key;        /* 0 = free; rein_kmodel_key() of function, grid, block */
	rein_a32 count;      /* samples, saturating */
	rein_a32 used;       /* tick of its last sample: the least recent row gives way */
	rein_a64 mean_ns;    /* exponentially weighted, 1/8 */
	rein_a64 high_ns;    /* tracks a high quantile (~p95) */
	rein_a64 min_ns;     /* least sample; while count < 2: least upper bound, 0 = none */
	rein_a64 name_ready; /* 1: `name` is whole (release) */
	char name[REIN_KMODEL_NAME_LEN];
};
static_assert(sizeof(struct rein_kmodel_row) == 96, "ABI");

struct rein_kmodel {
	struct rein_kmodel_row row[REIN_KMODEL_ROWS];
};

/* What a reader gets of a row. */
struct rein_kmodel_entry {
	uint64_t key;
	uint32_t count;
	uint64_t mean_ns, high_ns, min_ns;
	char name[REIN_KMODEL_NAME_LEN]; /* NUL-terminated, printable; "" if unknown */
};

/* Identity of a kernel launch; never 0. `func` is the CUfunction (or any handle) as a number. */
uint64_t rein_kmodel_key(uint64_t func, const uint32_t grid[3], const uint32_t block[3],
                         uint32_t shared_bytes);

/* The estimate to plan with: the high quantile once there are two samples, before that the least
 * upper bound (a single sample is one: it may hold a lazy load), else 0 (unknown). */
uint64_t rein_kmodel_estimate(const struct rein_kmodel *m, uint64_t key);

/* Whether all that is known of it are upper bounds. */
bool rein_kmodel_is_bound(const struct rein_kmodel *m, uint64_t key);

/* How many samples there are. */
uint32_t rein_kmodel_samples(const struct rein_kmodel *m, uint64_t key);

/* Adds a sample. `name` may be NULL; it is copied on the row's first sample only, if it
 * has none. */
void rein_kmodel_sample(struct rein_kmodel *m, uint64_t key, uint64_t ns, const char *name);
/* What the kernel is called, if that is not known yet; one thread at a time. */
void rein_kmodel_name(struct rein_kmodel *m, uint64_t key, const char *name);

/* Notes an upper bound: a span that may hold other processes' time. No effect after two samples. */
void rein_kmodel_bound(struct rein_kmodel *m, uint64_t key, uint64_t ns);

/* Copies row `i` (< REIN_KMODEL_ROWS) of a table that may be changing or hostile.
 * false: the row is free. */
bool rein_kmodel_read(const struct rein_kmodel *m, unsigned i, struct rein_kmodel_entry *out);

#endif
