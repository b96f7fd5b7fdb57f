// SPDX-License-Identifier: Apache-2.0
/*
 * fact.h: how a probe says what it found: one JSON object a line on stdout, written as soon as it
 * is known, so that a crash or a time-out keeps what came before.
 *
 *   {"fact": "queue-gate.point_ns", "value": 812, "unit": "ns", "n": 1000, "p10": 790, …}
 *   {"skip": "queue-gate.hold_10s", "why": "…"}
 *
 * Ids are "<stage>.<quantity>[_<unit>]". Notes are for people: how the value was obtained, what
 * it is compared with. Any thread; lines do not mix.
 */
#ifndef WORKLOADS_LIB_FACT_H
#define WORKLOADS_LIB_FACT_H

#include <stdbool.h>

#include "stats.h"

#define WL_EXIT_SKIPPED 77
#define WL_EXIT_TIMEOUT 124

/* In all of them note_fmt, a printf format, may be NULL; unit too. */
void wl_fact(const char *id, double value, const char *unit, const char *note_fmt, ...)
    __attribute__((format(printf, 4, 5)));
void wl_fact_text(const char *id, const char *text, const char *note_fmt, ...)
    __attribute__((format(printf, 3, 4)));
void wl_fact_flag(const char *id, bool value, const char *note_fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Sorts s. value = median / per_unit (1e3: from ns to µs), and n, p10, p90, p99, max. Without a
 * sample it is a skip. */
void wl_fact_samples(const char *id, const char *unit, struct wl_samples *s, double per_unit,
                     const char *note_fmt, ...) __attribute__((format(printf, 5, 6)));
/* What cannot be asked here, and why. */
void wl_fact_skip(const char *id, const char *why_fmt, ...) __attribute__((format(printf, 2, 3)));

/* The process ends after that many seconds, with one line and status WL_EXIT_TIMEOUT, whatever it
 * is doing: a probe never hangs. Calling again starts anew. */
void wl_fact_bound(unsigned seconds);

#endif
