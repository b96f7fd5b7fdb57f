// SPDX-License-Identifier: Apache-2.0
/* test_bench_preempt.c: the preemption bench runs from end to end, and its figures make sense. */
#include "tests/harness.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 120000
#define REQUESTS "5"

static char out[65536];

static double figure(const json_t *row, const char *what, const char *percentile)
{
	const json_t *v = json_object_get(json_object_get(row, what), percentile);
	ck_assert_msg(json_is_number(v), "no %s.%s", what, percentile);
	return json_number_value(v);
}

static void check_row(const json_t *row)
{
	static const char *const whats[] = {
	    "lower_leaves", "last_lower_block", "first_urgent_block", "hand_over",
	    "alone",        "request_end"};
	for (unsigned i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
		double p50 = figure(row, whats[i], "p50_us"), p99 = figure(row, whats[i], "p99_us");
		ck_assert_msg(p50 >= 0 && p50 <= p99, "%s: p50 %g, p99 %g", whats[i], p50, p99);
	}
	const char *gate = json_string_value(json_object_get(row, "gate"));
	bool kernels_pay = json_number_value(json_object_get(row, "kernel_us")) > 1500;
	json_int_t points = json_integer_value(json_object_get(row, "points"));
	json_int_t holds = json_integer_value(json_object_get(row, "context_holds"));
	bool waits = strncmp(gate, "queue", 5) == 0 || strcmp(gate, "context") == 0;
	ck_assert_msg((points > 0) == waits, "%lld points, gate %s", (long long)points, gate);
	ck_assert(holds == 0 || strcmp(gate, "context") == 0);
	ck_assert(holds > 0 || strcmp(gate, "context") != 0 || !kernels_pay);
	/* three kernels of 1 ms after the first block began; alone is the later of two */
	ck_assert(figure(row, "request_end", "p50_us") >= 3000);
	ck_assert(figure(row, "alone", "max_us") >= figure(row, "first_urgent_block", "max_us"));
	ck_assert(figure(row, "alone", "max_us") >= figure(row, "last_lower_block", "max_us"));
}

/* Points are there for somebody urgent, and for nobody else. How fast the enemy was is not judged
 * here: machines are busy. */
static void check_idle(const json_t *idle)
{
	ck_assert_ptr_nonnull(idle);
	ck_assert_int_gt(json_integer_value(json_object_get(idle, "registered_points")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(idle, "nobody_points")), 0);
	ck_assert(json_number_value(json_object_get(idle, "registered_over_native")) > 0);
	ck_assert(json_number_value(json_object_get(idle, "nobody_over_native")) > 0);
}

TEST(every_row_has_figures_or_says_why_not)
{
	char path[256], dir[200];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	char *argv[] = {(char *)built("workloads/bench_preempt"),
	                "--out",
	                dir,
	                "--requests",
	                REQUESTS,
	                "--kernel-us",
	                "500",
	                "--idle-s",
	                "0.3",
	                NULL};
	int rc = proc_run(argv, NULL, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	snprintf(path, sizeof(path), "%s/preempt.json", dir);
	json_t *root = json_load_file(path, 0, NULL), *row;
	ck_assert_ptr_nonnull(root);
	bool simulated = json_is_true(json_object_get(root, "simulated"));
	ck_assert_msg(strstr(out, simulated ? "Preemption, simulated" : "Preemption, measured"),
	              "%.1000s", out);
	const json_t *rows = json_object_get(root, "rows");
	size_t i, offered = 0;
	ck_assert_uint_eq(json_array_size(rows), 6);
	json_array_foreach(rows, i, row)
	{
		const char *gate = json_string_value(json_object_get(row, "gate"));
		if (json_is_true(json_object_get(row, "offered"))) {
			check_row(row);
			offered++;
		} else {
			ck_assert_str_ne(gate, "native");
			ck_assert_ptr_nonnull(strstr(out, "not offered here"));
		}
		if (strcmp(gate, "native") == 0)
			ck_assert(json_integer_value(json_object_get(row, "queued_p50")) >= 100);
	}
	ck_assert_uint_ge(offered, simulated ? 5 : 3); /* the software GPU's profile has all */
	if (offered == 5)
		check_idle(json_object_get(root, "idle"));
	json_decref(root);
}
TEST_END

/* Short slices for whoever can be preempted: the urgent kernel takes the GPU by itself, after a
 * slice and a switch of 150 us, whatever a hold takes (265 us on an H200); the rest is the host's.
 */
#define SLICE_US 100
#define SHORT_US (SLICE_US + 150 + 5)
#define HOST_US 350

/* The row of the context gate, for --kind or --kernel-us `value`; NULL on a real GPU, which need
 * not have the gate. */
static json_t *context_row(const char *option, const char *value)
{
	char path[256], dir[200];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(path, sizeof(path), "%s/profile", dir);
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f,
	        "{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"software\", \"context\":\n"
	        " {\"recipe\": \"disable\", \"hold_us\": 750, \"timeslice_us\": %d}}\n",
	        SLICE_US);
	ck_assert_int_eq(fclose(f), 0);
	setenv("REIN_PROFILE", path, 1);
	setenv("SOFTGPU_RM", "1", 1);
	char *argv[] = {(char *)built("workloads/bench_preempt"),
	                "--out",
	                dir,
	                "--requests",
	                REQUESTS,
	                "--gate",
	                "context",
	                (char *)option,
	                (char *)value,
	                NULL};
	int rc = proc_run(argv, NULL, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	snprintf(path, sizeof(path), "%s/preempt.json", dir);
	json_t *root = json_load_file(path, 0, NULL);
	json_t *rows = json_object_get(root, "rows"), *row = NULL;
	ck_assert_uint_eq(json_array_size(rows), 1);
	if (json_is_true(json_object_get(root, "simulated"))) {
		row = json_incref(json_array_get(rows, 0));
		ck_assert(json_is_true(json_object_get(row, "offered")));
	}
	json_decref(root);
	return row;
}

TEST(short_slices_do_not_wait_for_the_hold)
{
	json_t *row = context_row("--kernel-us", "50000");
	if (row) {
		double us = figure(row, "alone", "p50_us");
		ck_assert_msg(us <= SHORT_US + HOST_US, "alone after %.0f us", us);
	}
	json_decref(row);
}
TEST_END

/* Both programs have checked their results: a kernel that stays was preempted, and went on. */
TEST(persistent_kernels_are_preempted)
{
	json_t *row = context_row("--kind", "persistent");
	if (row) {
		double us = figure(row, "first_urgent_block", "p50_us");
		ck_assert_str_eq(json_string_value(json_object_get(row, "enemy")), "persistent");
		ck_assert_msg(us <= SHORT_US + HOST_US, "begins after %.0f us", us);
	}
	json_decref(row);
}
TEST_END

TESTS("bench-preempt", every_row_has_figures_or_says_why_not, short_slices_do_not_wait_for_the_hold,
      persistent_kernels_are_preempted)
