// SPDX-License-Identifier: Apache-2.0
/*
 * measure.h: what a run of lc and be left behind, and the figures of the demo made from it.
 * Everything is computed from the programs' own records: the latency of each LC request, and the
 * end of each BE step, counted within the time LC was being measured.
 */
#ifndef WORKLOADS_LIB_MEASURE_H
#define WORKLOADS_LIB_MEASURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stats.h"

/* Under rein with the launch gate, with the queue gate as well, with the context gate as well. */
enum wl_mode {
	WL_MODE_SOLO,
	WL_MODE_NATIVE,
	WL_MODE_REIN,
	WL_MODE_REIN_QUEUE,
	WL_MODE_REIN_CONTEXT,
	WL_MODES
};

struct wl_lc {
	pid_t pid;
	char gpu[96];
	uint64_t begin_ns, finish_ns; /* the window of measurement */
	uint32_t work;
	struct wl_samples arrival, start, end;
	struct wl_samples latency; /* sorted */
};

struct wl_be {
	pid_t pid;
	uint64_t begin_ns, finish_ns;
	uint32_t work;
	struct wl_samples step_end;
};

/* Who had the GPU: the software GPU's log, or what lc's and be's records let us say. */
struct wl_slice {
	pid_t pid;
	uint64_t start_ns, end_ns;
};
struct wl_slices {
	struct wl_slice *v;
	size_t n, room;
};

struct wl_row {
	double lc_p50_ms, lc_p99_ms, lc_p99_over_solo;
	double be_steps_per_s, be_over_solo;
	bool left_out; /* nobody has calibrated its gate on this GPU: no figures */
	uint64_t acts; /* how often its gate has held BE, or put a point into its queue */
};

struct wl_overruns {
	bool known;     /* the software GPU said so */
	uint64_t count; /* commands that took the host longer than the model allows */
	uint64_t worst_ns;
};

struct wl_result {
	char gpu[96];
	bool simulated;
	double rho; /* share of the time that LC alone keeps the GPU busy */
	const char *arrivals;
	uint64_t seed;
	double seconds;
	double period_ms;
	uint32_t kernels;   /* of an LC request */
	uint32_t kernel_us; /* LC's and BE's, alone */
	struct wl_overruns overruns;
	unsigned reruns; /* of rows that had overruns; theirs do not count */
	struct wl_lc lc[WL_MODES];
	struct wl_be be[WL_MODES];
	struct wl_slices slices[WL_MODES]; /* solo: unused */
	struct wl_row row[WL_MODES];
};

extern const char *const wl_mode_key[WL_MODES];   /* solo, native, rein …: for programs */
extern const char *const wl_mode_title[WL_MODES]; /* for people */
extern const char *const wl_mode_gate[WL_MODES];  /* under rein: the one that the row adds */

/* 0, or -1 after one line on stderr */
int wl_lc_load(struct wl_lc *lc, const char *json_path);
int wl_be_load(struct wl_be *be, const char *json_path);
/* Lines "pid start_ns end_ns"; a broken line is an error, a missing file is not. */
int wl_slices_load(struct wl_slices *s, const char *path);
void wl_slices_add(struct wl_slices *s, struct wl_slice slice);
/* Adds up a statistics file of the software GPU: lines of key=value (overruns, worst_overrun_ns).
 */
int wl_overruns_load(struct wl_overruns *o, const char *path);
/* Where nobody logs owners: LC's requests, and BE's steps taken to last step_ns at most. */
void wl_slices_guess(struct wl_slices *s, const struct wl_lc *lc, const struct wl_be *be,
                     uint64_t step_ns);

/* Steps per second that ended in [from_ns, to_ns). */
double wl_be_rate(const struct wl_be *be, uint64_t from_ns, uint64_t to_ns);
/* Time LC had a request in service, as a share of its window. */
double wl_lc_load_factor(const struct wl_lc *lc);
/* Fills rho and all rows from lc and be; left_out and acts are given. */
void wl_result_compute(struct wl_result *r);
/* The last row under rein that has figures: all gates that this GPU has. */
enum wl_mode wl_result_best(const struct wl_result *r);
/* What the row's gate did, in a few words; "" where there is no gate. */
const char *wl_result_gate(const struct wl_result *r, enum wl_mode m, char *buf, size_t len);
/* Whether the figures mean something; if not, `why` (may be NULL) holds one sentence. Simulated
 * ones do not if the software GPU fell behind its model or did not say, or if this machine was so
 * busy that a request alone took much longer than its declared time. */
bool wl_result_valid(const struct wl_result *r, char *why, size_t len);
/* The sentence under the table; "×" and "−" are UTF-8. */
void wl_result_sentence(const struct wl_result *r, char *buf, size_t len);
/* result.json. 0, or -1 after one line on stderr. */
int wl_result_write(const struct wl_result *r, const char *path);
/* Forgets a mode's records. */
void wl_result_drop(struct wl_result *r, enum wl_mode m);
void wl_result_fini(struct wl_result *r);

#endif
