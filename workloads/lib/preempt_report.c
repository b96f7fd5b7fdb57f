// SPDX-License-Identifier: Apache-2.0
/* preempt_report.c: the preemption bench's table and preempt.json; see preempt.h. */
#include "preempt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "jsonfile.h"
#include "table.h"

static const char *const what_key[WL_PREEMPT_WHATS] = {
    [WL_PREEMPT_LEAVES] = "lower_leaves",
    [WL_PREEMPT_LOWER] = "last_lower_block",
    [WL_PREEMPT_BEGIN] = "first_urgent_block",
    [WL_PREEMPT_HANDOVER] = "hand_over",
    [WL_PREEMPT_ALONE] = "alone",
    [WL_PREEMPT_END] = "request_end",
};

static double at(const struct wl_preempt_cell *c, enum wl_preempt_what what, double percentile)
{
	const struct wl_samples *s = &c->figures.sample[what];
	return (double)wl_percentile(s->v, s->n, percentile) / 1e3;
}

static const char *three(const struct wl_preempt_cell *c, enum wl_preempt_what what)
{
	return wl_cell("%.2f / %.2f / %.2f", at(c, what, 50) / 1e3, at(c, what, 99) / 1e3,
	               at(c, what, 100) / 1e3);
}

static const char *load_title(const struct wl_preempt_load *l)
{
	return strcmp(l->kind, "long") == 0 ? wl_cell("%g ms", l->us / 1e3) : l->kind;
}

double wl_preempt_idle_over_native(const struct wl_preempt_result *p, enum wl_preempt_idle what)
{
	double part[WL_PREEMPT_ROUNDS];
	for (unsigned i = 0; i < WL_PREEMPT_ROUNDS; i++)
		part[i] =
		    p->idle_units_per_s[what][i] / p->idle_units_per_s[WL_PREEMPT_IDLE_NATIVE][i];
	return wl_spread(part, WL_PREEMPT_ROUNDS).median;
}

static void tell_gates(const struct wl_preempt_result *p, FILE *f)
{
	for (size_t l = 0; l < p->loads; l++)
		for (size_t r = 0; r < WL_PREEMPT_ROWS; r++) {
			const struct wl_held *h = &p->cell[r][l].held;
			const char *gate = p->row[r].needs ? p->row[r].needs : "";
			if (p->asked[r] && p->offered[r] &&
			    ((strcmp(gate, "queue") == 0 && !h->points) ||
			     (strcmp(gate, "context") == 0 && !h->context_holds)))
				fprintf(f, "The %s gate never acted (kernels: %s).\n", gate,
				        load_title(&p->load[l]));
		}
	if (p->has_idle)
		fprintf(f,
		        "Nobody urgent active, kernels of %s, queue gate: with an urgent program "
		        "registered and idle %.3f of the native pace, %" PRIu64
		        " points; with none registered %.3f, %" PRIu64
		        " points (medians of %d runs of %g s).\n",
		        load_title(&p->load[0]),
		        wl_preempt_idle_over_native(p, WL_PREEMPT_IDLE_REGISTERED),
		        p->idle_points[WL_PREEMPT_IDLE_REGISTERED],
		        wl_preempt_idle_over_native(p, WL_PREEMPT_IDLE_NOBODY),
		        p->idle_points[WL_PREEMPT_IDLE_NOBODY], WL_PREEMPT_ROUNDS, p->idle_s);
}

void wl_preempt_print(const struct wl_preempt_result *p, FILE *f)
{
	struct wl_table t = {.columns = 7};
	const char *slice = getenv("SOFTGPU_TIMESLICE");
	uint64_t overruns = 0;
	wl_table_row(&t, "kernels", "gate", "queued", "last lower block leaves",
	             "first urgent block begins", "alone, p99", "request ends, p50");
	for (size_t l = 0; l < p->loads; l++)
		for (size_t r = 0; r < WL_PREEMPT_ROWS; r++) {
			if (!p->asked[r])
				continue;
			const struct wl_preempt_cell *c = &p->cell[r][l];
			const char *title = load_title(&p->load[l]);
			overruns += c->overruns.count;
			if (!p->offered[r]) {
				wl_table_row(&t, title, p->row[r].title, "", "not offered here", "",
				             "", "");
				continue;
			}
			wl_table_row(&t, title, p->row[r].title, wl_cell("%" PRIu64, c->queued),
			             three(c, WL_PREEMPT_LEAVES), three(c, WL_PREEMPT_BEGIN),
			             wl_cell("%.2f", at(c, WL_PREEMPT_ALONE, 99) / 1e3),
			             wl_cell("%.2f", at(c, WL_PREEMPT_END, 50) / 1e3));
		}
	fprintf(f, "\n**Preemption, %s** (%s", p->simulated ? "simulated" : "measured", p->gpu);
	if (p->simulated)
		fprintf(f, ", time slices of %s", slice ? slice : "2048us");
	fprintf(f,
	        "): ms from the submission of a request of %u x %g ms, p50 / p99 / max of %" PRIu64
	        " requests, seed %" PRIu64 ".\n\n",
	        p->urgent_kernels, p->urgent_kernel_us / 1e3, p->requests, p->seed);
	wl_table_markdown(&t, f);
	fputs("\nBetween leaving and beginning lies the switch to another context. Alone: from "
	      "when on no lower block ran until the request ended; later than its first block, "
	      "where the GPU went back and forth.\n",
	      f);
	tell_gates(p, f);
	if (overruns)
		fprintf(f,
		        "NOT VALID: %" PRIu64 " commands took this machine longer than the model "
		        "allows; leave it alone and run again.\n",
		        overruns);
}

static json_t *cell_json(const struct wl_preempt_result *p, size_t row, size_t l)
{
	const struct wl_preempt_cell *c = &p->cell[row][l];
	json_t *o =
	    json_pack("{s:s, s:s, s:f, s:b}", "gate", p->row[row].key, "enemy", p->load[l].kind,
	              "kernel_us", (double)p->load[l].us, "offered", p->offered[row]);
	if (!p->offered[row])
		return o;
	json_object_update_new(
	    o, json_pack("{s:I, s:f, s:f, s:I, s:I, s:I, s:I}", "queued_p50", (json_int_t)c->queued,
	                 "enemy_units_per_s", c->enemy_units_per_s, "host_late_max_us",
	                 (double)c->host_late_ns / 1e3, "overruns", (json_int_t)c->overruns.count,
	                 "launch_waits", (json_int_t)c->held.launch_waits, "points",
	                 (json_int_t)c->held.points, "context_holds",
	                 (json_int_t)c->held.context_holds));
	for (int w = 0; w < WL_PREEMPT_WHATS; w++)
		json_object_set_new(o, what_key[w],
		                    json_pack("{s:f, s:f, s:f}", "p50_us", at(c, w, 50), "p99_us",
		                              at(c, w, 99), "max_us", at(c, w, 100)));
	return o;
}

static json_t *idle_json(const struct wl_preempt_result *p)
{
	return json_pack(
	    "{s:f, s:f, s:I, s:f, s:I}", "kernel_us", (double)p->load[0].us,
	    "registered_over_native", wl_preempt_idle_over_native(p, WL_PREEMPT_IDLE_REGISTERED),
	    "registered_points", (json_int_t)p->idle_points[WL_PREEMPT_IDLE_REGISTERED],
	    "nobody_over_native", wl_preempt_idle_over_native(p, WL_PREEMPT_IDLE_NOBODY),
	    "nobody_points", (json_int_t)p->idle_points[WL_PREEMPT_IDLE_NOBODY]);
}

static int write_page(const struct wl_preempt_result *p, const char *path)
{
	FILE *f = fopen(path, "we");
	if (f) {
		wl_preempt_print(p, f);
		bool bad = ferror(f);
		if (fclose(f) == 0 && !bad)
			return 0;
	}
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, strerror(errno));
	return -1;
}

int wl_preempt_write(const struct wl_preempt_result *p, const char *folder)
{
	char path[PATH_MAX];
	json_t *list = json_array();
	for (size_t l = 0; l < p->loads; l++)
		for (size_t r = 0; r < WL_PREEMPT_ROWS; r++)
			if (p->asked[r])
				json_array_append_new(list, cell_json(p, r, l));
	const char *slice = getenv("SOFTGPU_TIMESLICE"),
		   *keeps = getenv("SOFTGPU_WAIT_KEEPS_SLICE");
	json_t *root = json_pack(
	    "{s:i, s:b, s:s, s:I, s:I, s:i, s:f, s:s, s:s, s:o}", "schema_version", 1, "simulated",
	    p->simulated, "gpu", p->gpu, "requests", (json_int_t)p->requests, "seed",
	    (json_int_t)p->seed, "urgent_kernels", (int)p->urgent_kernels, "urgent_kernel_us",
	    (double)p->urgent_kernel_us, "softgpu_timeslice", slice ? slice : "2048us",
	    "softgpu_wait_keeps_slice", keeps ? keeps : "0", "rows", list);
	if (p->has_idle)
		json_object_set_new(root, "idle", idle_json(p));
	snprintf(path, sizeof(path), "%s/preempt.json", folder);
	if (wl_json_write_indented(root, path))
		return -1;
	snprintf(path, sizeof(path), "%s/preempt.md", folder);
	return write_page(p, path);
}
