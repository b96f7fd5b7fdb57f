// SPDX-License-Identifier: Apache-2.0
/* The demo's arithmetic: arrivals, percentiles, tables, and what is made of the runs' records. */
#include "tests/harness.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/lib/affine.h"
#include "workloads/lib/arrivals.h"
#include "workloads/lib/child.h"
#include "workloads/lib/jsonfile.h"
#include "workloads/lib/plot.h"
#include "workloads/lib/profile.h"
#include "workloads/lib/report.h"
#include "workloads/lib/stats.h"
#include "workloads/lib/table.h"

#define MS 1000000ull

TEST(affine_power_is_repetition)
{
	struct wl_affine f = WL_AFFINE_STEP;
	uint32_t x = 12345;
	for (uint64_t n = 0; n < 300; n++) {
		ck_assert_uint_eq(wl_affine_apply(wl_affine_power(f, n), 12345), x);
		x = wl_affine_apply(f, x);
	}
	/* (f^a)^b = f^(a·b), far beyond what a loop could show */
	struct wl_affine p = wl_affine_power(wl_affine_power(f, 1000003), 1000033),
			 q = wl_affine_power(f, 1000003ull * 1000033ull);
	ck_assert_uint_eq(p.mul, q.mul);
	ck_assert_uint_eq(p.add, q.add);
}
TEST_END

TEST(percentiles_are_nearest_rank)
{
	uint64_t v[100], one = 7;
	for (unsigned i = 0; i < 100; i++)
		v[i] = i + 1;
	ck_assert_uint_eq(wl_percentile(v, 100, 50), 50);
	ck_assert_uint_eq(wl_percentile(v, 100, 99), 99);
	ck_assert_uint_eq(wl_percentile(v, 100, 99.9), 100);
	ck_assert_uint_eq(wl_percentile(v, 100, 100), 100);
	ck_assert_uint_eq(wl_percentile(v, 100, 0.5), 1);
	ck_assert_uint_eq(wl_percentile(v, 99, 99), 99);
	ck_assert_uint_eq(wl_percentile(&one, 1, 50), 7);
	ck_assert_uint_eq(wl_percentile(v, 0, 50), 0);
	double d[] = {4, 1, 3, 2};
	struct wl_spread s = wl_spread(d, 4);
	ck_assert_double_eq_tol(s.median, 2.5, 1e-12);
	ck_assert_double_eq_tol(s.q1, 1.75, 1e-12);
	ck_assert_double_eq_tol(s.q3, 3.25, 1e-12);
}
TEST_END

TEST(histogram_buckets_hold_their_values)
{
	uint64_t random = 1;
	for (int i = 0; i < 100000; i++) {
		uint64_t ns = wl_random(&random) >> (20 + wl_random(&random) % 40);
		unsigned b = wl_histogram_bucket(ns);
		ck_assert_uint_lt(b, WL_HIST_BUCKETS);
		if (b < WL_HIST_BUCKETS - 1)
			ck_assert_double_le((double)ns, wl_histogram_edge(b) * (1 + 1e-9));
		if (b > 0)
			ck_assert_double_gt((double)ns, wl_histogram_edge(b - 1) * (1 - 1e-9));
	}
	struct wl_histogram h = {0};
	for (int i = 0; i < 3; i++)
		wl_histogram_add(&h, 5 * MS);
	ck_assert_uint_eq(h.count[wl_histogram_bucket(5 * MS)], 3);
}
TEST_END

TEST(arrivals_keep_their_rate)
{
	struct wl_arrivals p = {.kind = WL_ARRIVAL_PERIODIC, .period_ns = 80 * MS};
	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(wl_arrival_next(&p), i * 80 * MS);
	struct wl_arrivals a = {.kind = WL_ARRIVAL_POISSON, .period_ns = 80 * MS, .random = 42},
			   b = a;
	uint64_t last = 0, short_gaps = 0, n = 20000;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = wl_arrival_next(&a);
		ck_assert_uint_eq(at, wl_arrival_next(&b)); /* the seed decides */
		ck_assert_uint_ge(at, last);
		short_gaps += i && at - last < 80 * MS;
		last = at;
	}
	/* mean 1, and 1 − 1/e of exponential gaps are below the mean; 20,000 draws: ± 3 % is > 4 σ
	 */
	ck_assert_double_eq_tol((double)last / (double)(n - 1) / (80.0 * MS), 1, 0.03);
	ck_assert_double_eq_tol((double)short_gaps / (double)n, 1 - exp(-1), 0.015);
	b = (struct wl_arrivals){.kind = WL_ARRIVAL_POISSON, .period_ns = 80 * MS, .random = 43};
	for (uint64_t i = 0; i < n - 1; i++)
		wl_arrival_next(&b);
	ck_assert_uint_ne(wl_arrival_next(&b), last);
	enum wl_arrival_kind kind;
	ck_assert(wl_arrival_parse("closed", &kind) && kind == WL_ARRIVAL_CLOSED);
	ck_assert(!wl_arrival_parse("Poisson", &kind) && !wl_arrival_parse("", &kind));
}
TEST_END

static char *printed(void (*print)(const struct wl_table *, FILE *), const struct wl_table *t)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	print(t, f);
	fclose(f);
	return text;
}

TEST(tables_are_aligned)
{
	struct wl_table t = {.columns = 3};
	wl_table_row(&t, "mode", "p99/solo", "x");
	wl_table_row(&t, "shared under rein", "1.02×", "−3");
	wl_table_row(&t, "é", "10.00×", "4");
	char *text = printed(wl_table_print, &t), *save = NULL;
	size_t lines = 0, width = 0;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), lines++) {
		if (lines == 0)
			width = wl_text_width(l);
		ck_assert_uint_eq(wl_text_width(l), width);
	}
	ck_assert_uint_eq(lines, 4);
	free(text);
	text = printed(wl_table_markdown, &t);
	ck_assert_ptr_nonnull(strstr(text, "| shared under rein |    1.02× | −3 |\n"));
	ck_assert_ptr_nonnull(strstr(text, "|-------------------|---------:|---:|\n"));
	free(text);
}
TEST_END

TEST(ticks_are_round_and_inside)
{
	double t[32];
	size_t n = wl_ticks_linear(0, 1000, t, 12);
	ck_assert_uint_eq(n, 11);
	ck_assert_double_eq_tol(t[0], 0, 1e-9);
	ck_assert(!signbit(t[0])); /* "-0 ms" on the axis otherwise */
	ck_assert_double_eq_tol(t[10], 1000, 1e-9);
	n = wl_ticks_log(24, 340, t, 32);
	ck_assert_uint_ge(n, 5);
	for (size_t i = 0; i < n; i++)
		ck_assert(t[i] >= 23.9 && t[i] <= 340.1 && (i == 0 || t[i] > t[i - 1]));
	ck_assert_uint_eq(wl_ticks_linear(5, 5, t, 12), 0);
	ck_assert_uint_eq(wl_ticks_log(0, 5, t, 12), 0);
}
TEST_END

/* LC: 100 requests in 10 s, each `ms` long, the last two 10 × as long. BE: one step per
 * `be_ms`, over a longer time than LC's. */
static void fake_mode(struct wl_result *r, enum wl_mode m, uint64_t ms, uint64_t be_ms)
{
	struct wl_lc *lc = &r->lc[m];
	struct wl_be *be = &r->be[m];
	uint64_t t0 = 1000000 * MS;
	lc->pid = 100 + (int)m;
	be->pid = 200 + (int)m;
	lc->begin_ns = t0;
	lc->finish_ns = t0 + 10000 * MS;
	be->begin_ns = t0 - (m ? 2000 * MS : 0);
	be->finish_ns = t0 + (m ? 12000 : 10000) * MS;
	for (uint64_t i = 0; i < 100; i++) {
		uint64_t at = t0 + i * 100 * MS, len = (i < 98 ? ms : 10 * ms) * MS;
		wl_samples_add(&lc->arrival, at);
		wl_samples_add(&lc->start, at);
		wl_samples_add(&lc->end, at + len);
		wl_samples_add(&lc->latency, len);
		wl_slices_add(&r->slices[m], (struct wl_slice){lc->pid, at, at + len});
	}
	wl_sort(lc->latency.v, lc->latency.n);
	for (uint64_t at = be->begin_ns; at < be->finish_ns; at += be_ms * MS) {
		wl_samples_add(&be->step_end, at);
		wl_slices_add(&r->slices[m], (struct wl_slice){be->pid, at - MS, at});
	}
}

static struct wl_result fake(void)
{
	struct wl_result r = {.gpu = "a <fake> & \"GPU\"",
	                      .simulated = true,
	                      .arrivals = "poisson",
	                      .seed = 7,
	                      .seconds = 10,
	                      .period_ms = 100,
	                      .kernels = 10,
	                      .kernel_us = 2000,
	                      .overruns = {.known = true}};
	fake_mode(&r, WL_MODE_SOLO, 20, 2);
	fake_mode(&r, WL_MODE_NATIVE, 50, 4);
	fake_mode(&r, WL_MODE_REIN, 24, 3);
	fake_mode(&r, WL_MODE_REIN_QUEUE, 22, 3);
	fake_mode(&r, WL_MODE_REIN_CONTEXT, 21, 3);
	r.row[WL_MODE_REIN].acts = 12;
	r.row[WL_MODE_REIN_QUEUE].acts = 345;
	wl_result_compute(&r);
	return r;
}

/* As on a GPU that was calibrated without a context gate. */
static struct wl_result fake_without_context(void)
{
	struct wl_result r = fake();
	wl_result_drop(&r, WL_MODE_REIN_CONTEXT);
	r.row[WL_MODE_REIN_CONTEXT] = (struct wl_row){.left_out = true};
	wl_result_compute(&r);
	return r;
}

TEST(figures_come_from_the_records)
{
	struct wl_result r = fake();
	char sentence[512];
	ck_assert_double_eq_tol(r.rho, (98 * 20 + 2 * 200) / 10000.0, 1e-9);
	ck_assert_double_eq_tol(r.row[WL_MODE_SOLO].lc_p50_ms, 20, 1e-9);
	ck_assert_double_eq_tol(r.row[WL_MODE_SOLO].lc_p99_ms, 200, 1e-9);
	ck_assert_double_eq_tol(r.row[WL_MODE_SOLO].lc_p99_over_solo, 1, 1e-9);
	ck_assert_double_eq_tol(r.row[WL_MODE_NATIVE].lc_p99_over_solo, 2.5, 1e-9);
	ck_assert_double_eq_tol(r.row[WL_MODE_REIN].lc_p99_over_solo, 1.2, 1e-9);
	ck_assert_double_eq_tol(r.row[WL_MODE_SOLO].be_steps_per_s, 500, 0.2);
	/* only steps within LC's window count, though BE ran for longer */
	ck_assert_double_eq_tol(r.row[WL_MODE_NATIVE].be_steps_per_s, 250, 0.2);
	ck_assert_double_eq_tol(r.row[WL_MODE_NATIVE].be_over_solo, 0.5, 0.001);
	wl_result_sentence(&r, sentence, sizeof(sentence));
	ck_assert_ptr_nonnull(strstr(sentence, "2.50× solo"));
	ck_assert_ptr_nonnull(strstr(sentence, "context gate it is 1.05×")); /* the last row */
	ck_assert_ptr_nonnull(strstr(sentence, "87 %")); /* (1000/3)/500 / (1 − 0.236) */
	wl_result_fini(&r);
}
TEST_END

TEST(rows_say_what_their_gate_did)
{
	static const char *const says[] = {"", "", "12 waits", "345 points", "never acted"};
	struct wl_result r = fake();
	struct wl_table t = {0};
	char gate[64], sentence[512];
	wl_result_table(&r, &t);
	ck_assert_uint_eq(t.rows, WL_MODES + 1);
	for (int m = 0; m < WL_MODES; m++) {
		ck_assert_str_eq(wl_result_gate(&r, (enum wl_mode)m, gate, sizeof(gate)), says[m]);
		ck_assert_str_eq(t.cell[m + 1][t.columns - 1], says[m]);
	}
	wl_result_fini(&r);

	r = fake_without_context();
	ck_assert_int_eq(wl_result_best(&r), WL_MODE_REIN_QUEUE);
	ck_assert(wl_result_valid(&r, NULL, 0)); /* no figure is no bad figure */
	wl_result_table(&r, &t);
	ck_assert_str_eq(t.cell[WL_MODES][t.columns - 1], "not calibrated: rein calibrate");
	ck_assert_str_eq(t.cell[WL_MODES][1], "");
	wl_result_sentence(&r, sentence, sizeof(sentence));
	ck_assert_ptr_nonnull(strstr(sentence, "queue gate it is 1.10×"));
	wl_result_fini(&r);
}
TEST_END

TEST(simulated_runs_can_be_invalid)
{
	struct wl_result r = {.simulated = true, .kernels = 12, .kernel_us = 2000};
	char why[256];
	r.overruns.known = true;
	r.row[WL_MODE_SOLO].lc_p50_ms = 24.3;
	r.row[WL_MODE_NATIVE].lc_p99_over_solo = 2;
	for (int m = WL_MODE_REIN; m < WL_MODES; m++)
		r.row[m].lc_p99_over_solo = 0.95;
	ck_assert(wl_result_valid(&r, why, sizeof(why)));
	ck_assert_str_eq(why, "");
	r.overruns.count = 1;
	ck_assert(!wl_result_valid(&r, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "behind its model 1 times"));
	r.overruns = (struct wl_overruns){.known = false};
	ck_assert(!wl_result_valid(&r, why, sizeof(why)));
	r.overruns.known = true;
	r.row[WL_MODE_SOLO].lc_p50_ms = 35;
	ck_assert(!wl_result_valid(&r, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "took 35.0 ms"));
	ck_assert(!wl_result_valid(&r, NULL, 0));
	r.row[WL_MODE_SOLO].lc_p50_ms = 24.3;
	r.row[WL_MODE_REIN_QUEUE].lc_p99_over_solo = 0.66;
	ck_assert(!wl_result_valid(&r, why, sizeof(why)));
	r.simulated = false;
	ck_assert(wl_result_valid(&r, why, sizeof(why)));
}
TEST_END

TEST(result_json_has_its_schema)
{
	static const char *const row_keys[] = {"lc_p50_ms", "lc_p99_ms", "lc_p99_over_solo",
	                                       "be_steps_per_s", "be_over_solo"};
	struct wl_result r = fake();
	char path[256];
	snprintf(path, sizeof(path), "%s/result.json", temp_dir());
	ck_assert_int_eq(wl_result_write(&r, path), 0);
	json_t *root = wl_json_read(path);
	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "schema_version")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(root, "gpu")), r.gpu);
	ck_assert(json_is_true(json_object_get(root, "simulated")));
	ck_assert(json_is_true(json_object_get(root, "valid")));
	ck_assert_double_eq_tol(json_real_value(json_object_get(root, "rho")), r.rho, 1e-5);
	json_t *rows = json_object_get(root, "rows");
	ck_assert_uint_eq(json_array_size(rows), 5);
	for (size_t i = 0; i < 5; i++) {
		json_t *row = json_array_get(rows, i);
		static const char *const modes[] = {"solo", "native", "rein", "rein_queue",
		                                    "rein_context"};
		ck_assert_str_eq(json_string_value(json_object_get(row, "mode")), modes[i]);
		for (size_t k = 0; k < 5; k++)
			ck_assert(json_is_real(json_object_get(row, row_keys[k])));
		ck_assert(json_is_integer(json_object_get(row, "gate_acts")) == (i >= 2));
	}
	json_decref(root);
	wl_result_fini(&r);

	r = fake_without_context();
	ck_assert_int_eq(wl_result_write(&r, path), 0);
	root = wl_json_read(path);
	ck_assert_ptr_nonnull(root);
	json_t *row = json_array_get(json_object_get(root, "rows"), WL_MODE_REIN_CONTEXT);
	ck_assert_str_eq(json_string_value(json_object_get(row, "left_out")),
	                 "not calibrated: rein calibrate");
	ck_assert_ptr_null(json_object_get(row, "lc_p99_ms")); /* 0 would be a figure */
	json_decref(root);
	ck_assert_int_ne(wl_result_write(&r, "/nonexistent/folder/result.json"), 0);
	wl_result_fini(&r);
}
TEST_END

/* Every tag that opens closes, in order. */
static void check_balance(const char *html)
{
	char stack[64][16];
	int depth = 0;
	for (const char *p = strchr(html, '<'); p; p = strchr(p, '<')) {
		const char *end = strchr(p, '>');
		ck_assert_ptr_nonnull(end);
		char tag[16] = "";
		bool closing = p[1] == '/';
		sscanf(p + 1 + closing, "%15[a-zA-Z0-9!]", tag);
		if (closing) {
			ck_assert_msg(depth > 0 && strcmp(stack[depth - 1], tag) == 0,
			              "</%s> closes <%s>", tag,
			              depth ? stack[depth - 1] : "nothing");
			depth--;
		} else if (end[-1] != '/' && tag[0] != '!' && strcmp(tag, "meta") != 0) {
			ck_assert_int_lt(depth, 64);
			strcpy(stack[depth++], tag);
		}
		p = end;
	}
	ck_assert_int_eq(depth, 0);
}

TEST(report_is_whole_and_self_contained)
{
	struct wl_result r = fake();
	char *html = NULL;
	size_t len;
	FILE *f = open_memstream(&html, &len);
	wl_report_print(&r, f);
	fclose(f);
	check_balance(html);
	ck_assert_ptr_null(strstr(html, "http:"));
	ck_assert_ptr_null(strstr(html, "https:"));
	ck_assert_ptr_null(strstr(html, "src="));
	ck_assert_ptr_null(strstr(html, "<fake>"));
	ck_assert_ptr_nonnull(strstr(html, "a &lt;fake&gt; &amp; &quot;GPU&quot;"));
	ck_assert_ptr_nonnull(strstr(html, ">simulated<"));
	ck_assert_ptr_nonnull(strstr(html, "prefers-color-scheme:dark"));
	ck_assert_ptr_null(strstr(html, "nan"));
	ck_assert_ptr_null(strstr(html, "inf\""));
	ck_assert_ptr_null(strstr(html, ">not valid<"));
	for (int m = 0; m < WL_MODES; m++) {
		char curve[64];
		snprintf(curve, sizeof(curve), "class=\"curve %s\"", wl_mode_key[m]);
		ck_assert_msg(strstr(html, curve) != NULL, "no %s", curve);
		snprintf(curve, sizeof(curve), ".curve.%s{", wl_mode_key[m]);
		ck_assert_msg(strstr(html, curve) != NULL, "no colour %s", curve);
	}
	free(html);

	wl_result_fini(&r);

	r = fake_without_context();
	r.overruns.count = 3;
	f = open_memstream(&html, &len);
	wl_report_print(&r, f);
	fclose(f);
	check_balance(html);
	ck_assert_ptr_nonnull(strstr(html, ">not valid<"));
	ck_assert_ptr_nonnull(strstr(html, "class=\"curve rein_queue\""));
	ck_assert_ptr_null(strstr(html, "class=\"curve rein_context\""));
	ck_assert_ptr_nonnull(strstr(html, ">not calibrated: rein calibrate<"));
	ck_assert_ptr_null(strstr(html, "nan"));
	free(html);
	wl_result_fini(&r);
}
TEST_END

TEST(timeline_window_has_the_average_load)
{
	struct wl_result r = fake();
	/* 10 arrivals in every second: the first window is as good as any */
	ck_assert_uint_eq(wl_plot_window(&r.lc[WL_MODE_SOLO], 1000 * MS), 0);
	/* a quiet first second must not be chosen */
	struct wl_lc *lc = &r.lc[WL_MODE_SOLO];
	memmove(lc->arrival.v, lc->arrival.v + 10, 90 * sizeof(uint64_t));
	lc->arrival.n = 90;
	ck_assert_uint_ge(wl_plot_window(lc, 1000 * MS), 750 * MS);
	wl_result_fini(&r);
}
TEST_END

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

TEST(logs_are_read_and_checked)
{
	char path[256];
	struct wl_slices s = {0};
	struct wl_overruns o = {0};
	snprintf(path, sizeof(path), "%s/log", temp_dir());
	ck_assert_int_eq(wl_slices_load(&s, path), 0); /* absent: nothing to say */
	ck_assert_uint_eq(s.n, 0);
	write_file(path, "12 3000 4000\n11 1000 2000\n");
	ck_assert_int_eq(wl_slices_load(&s, path), 0);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_int_eq(s.v[0].pid, 11); /* in order of time */
	ck_assert_uint_eq(s.v[1].end_ns, 4000);
	write_file(path, "12 3000\n");
	ck_assert_int_ne(wl_slices_load(&s, path), 0);
	write_file(path, "12 3000 2000\n");
	ck_assert_int_ne(wl_slices_load(&s, path), 0);
	free(s.v);

	remove(path);
	ck_assert_int_eq(wl_overruns_load(&o, path), 0);
	ck_assert(!o.known);
	write_file(path,
	           "pid=1 overruns=0 worst_overrun_ns=0\npid=2 overruns=2 worst_overrun_ns=77\n");
	ck_assert_int_eq(wl_overruns_load(&o, path), 0);
	ck_assert(o.known);
	ck_assert_uint_eq(o.count, 2);
	ck_assert_uint_eq(o.worst_ns, 77);
}
TEST_END

TEST(records_of_other_programs_are_refused)
{
	char path[256];
	struct wl_lc lc = {0};
	snprintf(path, sizeof(path), "%s/x.json", temp_dir());
	write_file(path, "{\"schema_version\": 1, \"program\": \"be\", \"records\": []}");
	ck_assert_int_ne(wl_lc_load(&lc, path), 0);
	write_file(path, "{\"schema_version\": 1, \"program\": \"lc\", \"records\": [[1,2]]}");
	ck_assert_int_ne(wl_lc_load(&lc, path), 0);
	write_file(path,
	           "{\"schema_version\": 1, \"program\": \"lc\", \"pid\": 9, \"gpu\": \"g\","
	           "\"work\": 8, \"begin_ns\": 10, \"finish_ns\": 90, \"records\": [[10,20,50]]}");
	ck_assert_int_eq(wl_lc_load(&lc, path), 0);
	ck_assert_uint_eq(lc.latency.v[0], 40);
	ck_assert_double_eq_tol(wl_lc_load_factor(&lc), 30.0 / 80, 1e-9);
	wl_samples_fini(&lc.arrival);
	wl_samples_fini(&lc.start);
	wl_samples_fini(&lc.end);
	wl_samples_fini(&lc.latency);
}
TEST_END

TEST(software_profile_is_offered_unless_another_is_named)
{
	static struct wl_words env;
	char path[256], want[300];
	snprintf(path, sizeof(path), "%s/profile.json", temp_dir());
	snprintf(want, sizeof(want), "REIN_PROFILE=%s", path);
	unsetenv("REIN_PROFILE");
	ck_assert_int_eq(wl_profile_software(&env, path), 0);
	ck_assert_str_eq(env.list[0], "SOFTGPU_RM=1");
	ck_assert_str_eq(env.list[1], want);
	ck_assert_ptr_null(env.list[2]);
	json_t *root = json_load_file(path, 0, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "profile_version")), 1);
	json_decref(root);
	wl_words_clear(&env);
	ck_assert_int_ne(wl_profile_software(&env, "/nonexistent/profile.json"), 0);
	setenv("REIN_PROFILE", "/etc/mine.json", 1);
	wl_words_clear(&env);
	ck_assert_int_eq(wl_profile_software(&env, "/nonexistent/profile.json"), 0);
	ck_assert_ptr_null(env.list[1]); /* it is inherited */
	unsetenv("REIN_PROFILE");
}
TEST_END

TEST(children_are_watched_and_stopped)
{
	static struct wl_child c;
	char text[64], *say[] = {"sh", "-c", "echo $A; exit 3", NULL}, *env[] = {"A=hello", NULL},
		       *endless[] = {"sleep", "1000", NULL};
	struct wl_child *const one[] = {&c};
	ck_assert_int_eq(wl_child_start(&c, "say", say, env), 0);
	for (int i = 0; i < 1000 && c.pid; i++)
		wl_child_watch(one, 1, 10);
	ck_assert_int_eq(c.pid, 0);
	ck_assert_str_eq(c.out, "hello\n");
	ck_assert(!wl_child_ok(&c));
	ck_assert_str_eq(wl_child_describe(&c, text, sizeof(text)), "exit status 3");
	ck_assert_int_eq(wl_child_start(&c, "endless", endless, NULL), 0);
	wl_child_stop(&c, SIGTERM, 5000);
	ck_assert_int_eq(c.pid, 0);
	ck_assert_ptr_nonnull(strstr(wl_child_describe(&c, text, sizeof(text)), "signal 15"));
}
TEST_END

TESTS("workloads", affine_power_is_repetition, percentiles_are_nearest_rank,
      histogram_buckets_hold_their_values, arrivals_keep_their_rate, tables_are_aligned,
      ticks_are_round_and_inside, figures_come_from_the_records, rows_say_what_their_gate_did,
      simulated_runs_can_be_invalid, result_json_has_its_schema, report_is_whole_and_self_contained,
      timeline_window_has_the_average_load, logs_are_read_and_checked,
      records_of_other_programs_are_refused, software_profile_is_offered_unless_another_is_named,
      children_are_watched_and_stopped)
