// SPDX-License-Identifier: Apache-2.0
/* stats.h: growing arrays of times, percentiles, histograms. */
#ifndef WORKLOADS_LIB_STATS_H
#define WORKLOADS_LIB_STATS_H

#include <stddef.h>
#include <stdint.h>

struct wl_samples {
	uint64_t *v;
	size_t n, room;
};

/* Appends; ends the program if memory runs out. */
void wl_samples_add(struct wl_samples *s, uint64_t value);
void wl_samples_fini(struct wl_samples *s);
void wl_sort(uint64_t *v, size_t n);
/* Nearest rank: the smallest value such that at least p % of all are ≤ it. 0 < p ≤ 100, sorted
 * ascending; 0 if there is none. */
uint64_t wl_percentile(const uint64_t *sorted, size_t n, double p);
double wl_mean(const uint64_t *v, size_t n);
/* Median of doubles, and the quartiles; sorts v. */
struct wl_spread {
	double q1, median, q3;
};
struct wl_spread wl_spread(double *v, size_t n);

/*
 * Buckets that grow by 2^(1/4): bucket i holds (edge(i-1), edge(i)], where edge(0) = WL_HIST_MIN;
 * bucket 0 holds everything below, the last everything above. Relative error ≤ 19 %.
 */
#define WL_HIST_MIN 1000.0 /* 1 µs */
#define WL_HIST_BUCKETS 104
struct wl_histogram {
	uint64_t count[WL_HIST_BUCKETS];
};
double wl_histogram_edge(unsigned bucket);
unsigned wl_histogram_bucket(uint64_t ns);
void wl_histogram_add(struct wl_histogram *h, uint64_t ns);

#endif
