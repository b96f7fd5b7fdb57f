// SPDX-License-Identifier: Apache-2.0
/* result.c: the demo's figures from its runs, and result.json; see measure.h. */
#include "measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "jsonfile.h"

/* a declared request may take this much longer alone: copies, wake-ups of the host */
#define BUSY_LIMIT 1.2
/* sharing cannot make LC faster, but for chance */
#define FASTER_LIMIT 0.9

const char *const wl_mode_key[WL_MODES] = {
    [WL_MODE_SOLO] = "solo",
    [WL_MODE_NATIVE] = "native",
    [WL_MODE_REIN] = "rein",
    [WL_MODE_REIN_QUEUE] = "rein_queue",
    [WL_MODE_REIN_CONTEXT] = "rein_context",
};
const char *const wl_mode_title[WL_MODES] = {
    [WL_MODE_SOLO] = "each alone",
    [WL_MODE_NATIVE] = "shared natively",
    [WL_MODE_REIN] = "rein, launch gate",
    [WL_MODE_REIN_QUEUE] = "rein, + queue gate",
    [WL_MODE_REIN_CONTEXT] = "rein, + context gate",
};
const char *const wl_mode_gate[WL_MODES] = {
    [WL_MODE_REIN] = "launch gate",
    [WL_MODE_REIN_QUEUE] = "queue gate",
    [WL_MODE_REIN_CONTEXT] = "context gate",
};

double wl_be_rate(const struct wl_be *be, uint64_t from_ns, uint64_t to_ns)
{
	size_t n = 0;
	for (size_t i = 0; i < be->step_end.n; i++)
		n += be->step_end.v[i] >= from_ns && be->step_end.v[i] < to_ns;
	return to_ns > from_ns ? (double)n * 1e9 / (double)(to_ns - from_ns) : 0;
}

double wl_lc_load_factor(const struct wl_lc *lc)
{
	double busy_ns = 0;
	for (size_t i = 0; i < lc->end.n; i++)
		busy_ns += (double)(lc->end.v[i] - lc->start.v[i]);
	return busy_ns / (double)(lc->finish_ns - lc->begin_ns);
}

void wl_slices_guess(struct wl_slices *s, const struct wl_lc *lc, const struct wl_be *be,
                     uint64_t step_ns)
{
	uint64_t last = 0;
	for (size_t i = 0; i < lc->end.n; i++)
		wl_slices_add(s, (struct wl_slice){lc->pid, lc->start.v[i], lc->end.v[i]});
	for (size_t i = 0; i < be->step_end.n; i++) {
		uint64_t end = be->step_end.v[i], start = end - step_ns;
		wl_slices_add(s, (struct wl_slice){be->pid, start > last ? start : last, end});
		last = end;
	}
}

void wl_result_compute(struct wl_result *r)
{
	const struct wl_row *solo = &r->row[WL_MODE_SOLO];
	r->rho = wl_lc_load_factor(&r->lc[WL_MODE_SOLO]);
	for (int m = 0; m < WL_MODES; m++) {
		const struct wl_lc *lc = &r->lc[m];
		const struct wl_be *be = &r->be[m];
		struct wl_row *row = &r->row[m];
		if (row->left_out)
			continue;
		row->lc_p50_ms = (double)wl_percentile(lc->latency.v, lc->latency.n, 50) / 1e6;
		row->lc_p99_ms = (double)wl_percentile(lc->latency.v, lc->latency.n, 99) / 1e6;
		/* alone, BE has a window of its own; shared, what counts is LC's */
		row->be_steps_per_s = m == WL_MODE_SOLO
		                          ? wl_be_rate(be, be->begin_ns, be->finish_ns)
		                          : wl_be_rate(be, lc->begin_ns, lc->finish_ns);
		row->lc_p99_over_solo = solo->lc_p99_ms > 0 ? row->lc_p99_ms / solo->lc_p99_ms : 0;
		row->be_over_solo =
		    solo->be_steps_per_s > 0 ? row->be_steps_per_s / solo->be_steps_per_s : 0;
	}
}

enum wl_mode wl_result_best(const struct wl_result *r)
{
	enum wl_mode m = WL_MODES - 1;
	while (m > WL_MODE_REIN && r->row[m].left_out)
		m--;
	return m;
}

const char *wl_result_gate(const struct wl_result *r, enum wl_mode m, char *buf, size_t len)
{
	static const char *const acts[WL_MODES] = {[WL_MODE_REIN] = "waits",
	                                           [WL_MODE_REIN_QUEUE] = "points",
	                                           [WL_MODE_REIN_CONTEXT] = "holds"};
	if (len)
		buf[0] = 0;
	if (r->row[m].left_out)
		snprintf(buf, len, "not calibrated: rein calibrate");
	else if (acts[m] && !r->row[m].acts)
		snprintf(buf, len, "never acted");
	else if (acts[m])
		snprintf(buf, len, "%" PRIu64 " %s", r->row[m].acts, acts[m]);
	return buf;
}

/* Shared, LC did clearly better than alone. */
static bool is_too_good(const struct wl_result *r)
{
	bool any = false;
	for (int m = WL_MODE_NATIVE; m < WL_MODES; m++)
		any |= !r->row[m].left_out && r->row[m].lc_p99_over_solo < FASTER_LIMIT;
	return any;
}

bool wl_result_valid(const struct wl_result *r, char *why, size_t len)
{
	double declared_ms = r->kernels * (double)r->kernel_us / 1000;
	double alone_ms = r->row[WL_MODE_SOLO].lc_p50_ms;
	if (len)
		why[0] = 0;
	if (!r->simulated)
		return true;
	if (!r->overruns.known)
		snprintf(why, len, "The software GPU left no statistics.");
	else if (r->overruns.count)
		snprintf(why, len,
		         "The software GPU fell behind its model %" PRIu64
		         " times, by %.1f ms at worst: this machine is too busy.",
		         r->overruns.count, (double)r->overruns.worst_ns / 1e6);
	else if (alone_ms > declared_ms * BUSY_LIMIT)
		snprintf(
		    why, len,
		    "Alone, a request of %.1f ms took %.1f ms (median): this machine is too busy.",
		    declared_ms, alone_ms);
	else if (is_too_good(r))
		snprintf(
		    why, len,
		    "Alone, LC's tail was longer than shared: something else disturbed that run.");
	else
		return true;
	return false;
}

void wl_result_sentence(const struct wl_result *r, char *buf, size_t len)
{
	double idle = 1 - r->rho;
	enum wl_mode m = wl_result_best(r);
	snprintf(buf, len,
	         "Native sharing makes the LC tail (p99) %.2f× solo; under rein with its %s it is "
	         "%.2f×, while "
	         "the training keeps %.0f %% of what the idle GPU time allows (1 − ρ = %.2f).",
	         r->row[WL_MODE_NATIVE].lc_p99_over_solo, wl_mode_gate[m],
	         r->row[m].lc_p99_over_solo, idle > 0 ? 100 * r->row[m].be_over_solo / idle : 0,
	         idle);
}

static json_t *row_json(const struct wl_result *r, enum wl_mode m)
{
	const struct wl_row *row = &r->row[m];
	char gate[64];
	wl_result_gate(r, m, gate, sizeof(gate));
	if (row->left_out)
		return json_pack("{s:s, s:s}", "mode", wl_mode_key[m], "left_out", gate);
	json_t *o =
	    json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:I}", "mode", wl_mode_key[m], "lc_p50_ms",
	              row->lc_p50_ms, "lc_p99_ms", row->lc_p99_ms, "lc_p99_over_solo",
	              row->lc_p99_over_solo, "be_steps_per_s", row->be_steps_per_s, "be_over_solo",
	              row->be_over_solo, "lc_requests", (json_int_t)r->lc[m].latency.n);
	if (m >= WL_MODE_REIN)
		json_object_set_new(o, "gate_acts", json_integer((json_int_t)row->acts));
	return o;
}

int wl_result_write(const struct wl_result *r, const char *path)
{
	char why[256];
	bool valid = wl_result_valid(r, why, sizeof(why));
	json_t *rows = json_array();
	for (int m = 0; m < WL_MODES; m++)
		json_array_append_new(rows, row_json(r, (enum wl_mode)m));
	json_t *root =
	    json_pack("{s:i, s:s, s:b, s:f, s:b, s:o, s:s, s:f, s:I, s:f}", "schema_version", 1,
	              "gpu", r->gpu, "simulated", r->simulated, "rho", r->rho, "valid", valid,
	              "rows", rows, "arrivals", r->arrivals, "period_ms", r->period_ms, "seed",
	              (json_int_t)r->seed, "seconds", r->seconds);
	if (!valid)
		json_object_set_new(root, "invalid_because", json_string(why));
	if (r->simulated && r->overruns.known)
		json_object_update_new(root, json_pack("{s:I, s:i}", "overruns",
		                                       (json_int_t)r->overruns.count, "reruns",
		                                       (int)r->reruns));
	return wl_json_write_indented(root, path);
}

void wl_result_drop(struct wl_result *r, enum wl_mode m)
{
	wl_samples_fini(&r->lc[m].arrival);
	wl_samples_fini(&r->lc[m].start);
	wl_samples_fini(&r->lc[m].end);
	wl_samples_fini(&r->lc[m].latency);
	wl_samples_fini(&r->be[m].step_end);
	free(r->slices[m].v);
	r->lc[m] = (struct wl_lc){0};
	r->be[m] = (struct wl_be){0};
	r->slices[m] = (struct wl_slices){0};
}

void wl_result_fini(struct wl_result *r)
{
	for (int m = 0; m < WL_MODES; m++)
		wl_result_drop(r, (enum wl_mode)m);
}
