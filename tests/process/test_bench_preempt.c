// SPDX-License-Identifier: Apache-2.0
/* test_bench_preempt.c: the preemption bench runs from end to end, and its figures make sense. */
#include "tests/harness.h"

#include <jansson.h>
#include <stdio.h>
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
	static const char *const whats[] = {"last_lower_block", "first_urgent_block", "hand_over",
	                                    "alone", "request_end"};
	for (unsigned i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
		double p50 = figure(row, whats[i], "p50_us"), p99 = figure(row, whats[i], "p99_us");
		ck_assert_msg(p50 >= 0 && p50 <= p99, "%s: p50 %g, p99 %g", whats[i], p50, p99);
	}
	/* three kernels of 1 ms after the first block began; alone is the later of two */
	ck_assert(figure(row, "request_end", "p50_us") >= 3000);
	ck_assert(figure(row, "alone", "max_us") >= figure(row, "first_urgent_block", "max_us"));
	ck_assert(figure(row, "alone", "max_us") >= figure(row, "last_lower_block", "max_us"));
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
	ck_assert_uint_eq(json_array_size(rows), 5);
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
	ck_assert_uint_ge(offered, 3);
	json_decref(root);
}
TEST_END

TESTS("bench-preempt", every_row_has_figures_or_says_why_not)
