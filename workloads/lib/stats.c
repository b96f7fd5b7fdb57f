// SPDX-License-Identifier: Apache-2.0
/* stats.c: see stats.h. */
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void wl_samples_add(struct wl_samples *s, uint64_t value)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 1024;
		s->v = realloc(s->v, s->room * sizeof(s->v[0]));
		if (!s->v) {
			fprintf(stderr, "%s: out of memory for %zu samples\n",
			        program_invocation_short_name, s->room);
			exit(1);
		}
	}
	s->v[s->n++] = value;
}

void wl_samples_fini(struct wl_samples *s)
{
	free(s->v);
	*s = (struct wl_samples){0};
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

void wl_sort(uint64_t *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof(v[0]), compare);
}

uint64_t wl_percentile(const uint64_t *sorted, size_t n, double p)
{
	if (n == 0)
		return 0;
	/* the small slack keeps p·n/100 = 99.00000000001 from rounding up to the next rank */
	double rank = ceil(p * (double)n / 100 - 1e-9);
	size_t i = rank < 1 ? 0 : (size_t)rank - 1;
	return sorted[i < n ? i : n - 1];
}

double wl_mean(const uint64_t *v, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)v[i];
	return n ? sum / (double)n : 0;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* linear interpolation between ranks, as most tools do for medians of few values */
static double quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;
	return i + 1 < n ? v[i] + (v[i + 1] - v[i]) * (at - (double)i) : v[n - 1];
}

struct wl_spread wl_spread(double *v, size_t n)
{
	if (n == 0)
		return (struct wl_spread){0};
	qsort(v, n, sizeof(v[0]), compare_doubles);
	return (struct wl_spread){quantile(v, n, 0.25), quantile(v, n, 0.5), quantile(v, n, 0.75)};
}

double wl_histogram_edge(unsigned bucket)
{
	return WL_HIST_MIN * exp2(bucket / 4.0);
}

unsigned wl_histogram_bucket(uint64_t ns)
{
	if ((double)ns <= WL_HIST_MIN)
		return 0;
	double b = ceil(4 * log2((double)ns / WL_HIST_MIN) - 1e-9);
	return b < WL_HIST_BUCKETS - 1 ? (unsigned)b : WL_HIST_BUCKETS - 1;
}

void wl_histogram_add(struct wl_histogram *h, uint64_t ns)
{
	h->count[wl_histogram_bucket(ns)]++;
}
