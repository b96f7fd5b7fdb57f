// SPDX-License-Identifier: Apache-2.0
/*
 * plot.h: the pieces of the report: SVG figures that take their colours from the page's CSS
 * variables, so that one drawing serves light and dark. All functions write to an open FILE.
 */
#ifndef WORKLOADS_LIB_PLOT_H
#define WORKLOADS_LIB_PLOT_H

#include <stddef.h>
#include <stdio.h>

#include "measure.h"

/* Text with &, <, > and quotes escaped. */
void wl_html_text(FILE *f, const char *text);

/* Where ticks go: "nice" values (1, 2, 5 × 10ⁿ) from lo to hi, at most `max` of them. */
size_t wl_ticks_linear(double lo, double hi, double *tick, size_t max);
size_t wl_ticks_log(double lo, double hi, double *tick, size_t max);

/* LC's latency distribution in each mode. */
void wl_plot_cdf(FILE *f, const struct wl_result *r);
/* Requests and owners of the GPU in a mode, from from_ns (after LC's begin) on, for span_ns. */
void wl_plot_timeline(FILE *f, const struct wl_result *r, enum wl_mode mode, uint64_t from_ns,
                      uint64_t span_ns);
/* The first span, in steps of a quarter of it, with as many arrivals as the average one. */
uint64_t wl_plot_window(const struct wl_lc *lc, uint64_t span_ns);

#endif
