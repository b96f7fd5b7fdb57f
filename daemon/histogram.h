// SPDX-License-Identifier: Apache-2.0
/* histogram.h: counts of durations in buckets a quarter of a power of two wide: fixed size, no
 * allocation, a quantile is at most 25 % too high. */
#ifndef REIN_HISTOGRAM_H
#define REIN_HISTOGRAM_H

#include <stdint.h>

struct rein_histogram {
	uint64_t total, sum_ns;
	uint64_t count[256];
};

static inline unsigned rein_histogram_bucket(uint64_t ns)
{
	if (ns < 4)
		return (unsigned)ns;
	unsigned log2 = 63 - (unsigned)__builtin_clzll(ns);
	return log2 * 4 + ((ns >> (log2 - 2)) & 3);
}

static inline void rein_histogram_add(struct rein_histogram *h, uint64_t ns)
{
	h->count[rein_histogram_bucket(ns)]++;
	h->total++;
	h->sum_ns += ns;
}

static inline void rein_histogram_merge(struct rein_histogram *to, const struct rein_histogram *h)
{
	to->total += h->total;
	to->sum_ns += h->sum_ns;
	for (unsigned i = 0; h->total && i < 256; i++)
		to->count[i] += h->count[i];
}

/* How many took less than 2^log2 ns, exactly; log2 ≥ 2. */
static inline uint64_t rein_histogram_below(const struct rein_histogram *h, unsigned log2)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < log2 * 4; i++)
		n += h->count[i];
	return n;
}

/* The upper end of the bucket in which the quantile lies; 0 if there is nothing. */
static inline uint64_t rein_histogram_quantile(const struct rein_histogram *h, unsigned permille)
{
	uint64_t rank = (h->total * permille + 999) / 1000, seen = 0;
	for (unsigned i = 0; h->total && i < 256; i++) {
		seen += h->count[i];
		if (seen < rank)
			continue;
		if (i < 8)
			return i;
		return ((uint64_t)(i % 4 + 5) << (i / 4 - 2)) - 1;
	}
	return 0;
}

#endif
