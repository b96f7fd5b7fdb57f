// SPDX-License-Identifier: Apache-2.0
/* The JSON writer: what it writes is what a JSON library reads, and a file is whole or not there.
 */
#include "tests/harness.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/lib/jsonout.h"

/* What `write` wrote as one line, without its end. */
static char *line_of(void (*write)(struct wl_out *))
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct wl_out o;
	ck_assert_ptr_nonnull(f);
	wl_out_line(&o, f);
	write(&o);
	ck_assert_int_eq(wl_out_close(&o), 0);
	fclose(f);
	ck_assert_ptr_eq(strchr(text, '\n'), text + n - 1);
	text[n - 1] = 0;
	return text;
}

static void write_all(struct wl_out *o)
{
	wl_out_object(o, NULL);
	wl_out_string(o, "text", "a\"b\\c\n\t\x01\x7f/ \xc3\xa9 \xf0\x9f\x98\x80");
	wl_out_string(o, "nothing", NULL);
	wl_out_int(o, "least", INT64_MIN);
	wl_out_uint(o, "most", UINT64_MAX);
	wl_out_double(o, "third", 1.0 / 3);
	wl_out_double(o, "whole", 2);
	wl_out_double(o, "large", 1e300);
	wl_out_double(o, "none", NAN);
	wl_out_bool(o, "yes", true);
	wl_out_bool(o, "no", false);
	wl_out_array(o, "empty");
	wl_out_end(o);
	wl_out_array(o, "nested");
	wl_out_object(o, NULL);
	wl_out_end(o);
	wl_out_array(o, NULL);
	wl_out_int(o, NULL, 1);
	wl_out_int(o, NULL, -2);
	wl_out_end(o);
	wl_out_end(o);
	wl_out_string(o, "k\"ey", "last");
	wl_out_end(o);
}

TEST(a_line_reads_as_written)
{
	char *line = line_of(write_all);
	ck_assert_str_eq(line,
	                 "{\"text\": \"a\\\"b\\\\c\\n\\t\\u0001\x7f/ \xc3\xa9 \xf0\x9f\x98\x80\", "
	                 "\"nothing\": null, \"least\": -9223372036854775808, "
	                 "\"most\": 18446744073709551615, \"third\": 0.333333333, "
	                 "\"whole\": 2.0, \"large\": 1e+300, \"none\": null, \"yes\": true, "
	                 "\"no\": false, \"empty\": [], \"nested\": [{}, [1, -2]], "
	                 "\"k\\\"ey\": \"last\"}");
	free(line);
}
TEST_END

static const char *odd_text;
static void write_odd(struct wl_out *o)
{
	wl_out_array(o, NULL);
	wl_out_string(o, NULL, odd_text);
	wl_out_end(o);
}

/* Whatever the bytes, a strict reader accepts the line. */
TEST(any_bytes_become_valid_utf8)
{
	static const struct {
		const char *bytes, *read;
	} cases[] = {
	    {"\xff", "\xef\xbf\xbd"},
	    {"a\x80z", "a\xef\xbf\xbdz"},
	    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
	    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
	    {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* cut off */
	    {"\xe2\x82\xac", "\xe2\x82\xac"},
	    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
	    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		odd_text = cases[i].bytes;
		char *line = line_of(write_odd);
		json_error_t e;
		json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &e);
		ck_assert_msg(root, "case %u: %s: %s", i, line, e.text);
		ck_assert_str_eq(json_string_value(json_array_get(root, 0)), cases[i].read);
		json_decref(root);
		free(line);
	}
	for (unsigned a = 1; a < 256; a++)
		for (unsigned b = 1; b < 256; b++) {
			char bytes[3] = {(char)a, (char)b, 0};
			odd_text = bytes;
			char *line = line_of(write_odd);
			json_t *root = json_loads(line, 0, NULL);
			ck_assert_msg(root, "bytes %02x %02x: %s", a, b, line);
			json_decref(root);
			free(line);
		}
}
TEST_END

static void write_figures(struct wl_out *o)
{
	static const uint64_t sorted[] = {1000000, 2000000, 3000000, 4000000};
	struct wl_histogram h = {0};
	wl_histogram_add(&h, 5000000);
	wl_histogram_add(&h, 5000000);
	wl_histogram_add(&h, 9000000);
	wl_out_object(o, NULL);
	wl_out_percentiles(o, "latency", sorted, 4);
	wl_out_histogram(o, "histogram", &h);
	wl_out_percentiles(o, "empty", sorted, 0);
	wl_out_end(o);
}

TEST(percentiles_and_histogram)
{
	char *line = line_of(write_figures);
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL), *row, *latency;
	ck_assert_ptr_nonnull(root);
	latency = json_object_get(root, "latency");
	ck_assert_int_eq(json_integer_value(json_object_get(latency, "p50_ns")), 2000000);
	ck_assert_int_eq(json_integer_value(json_object_get(latency, "p99_ns")), 4000000);
	ck_assert_int_eq(json_integer_value(json_object_get(latency, "mean_ns")), 2500000);
	ck_assert_int_eq(json_integer_value(json_object_get(latency, "max_ns")), 4000000);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(root, "empty"), "max_ns")), 0);
	json_t *rows = json_object_get(root, "histogram");
	size_t n = json_array_size(rows);
	unsigned first = wl_histogram_bucket(5000000), last = wl_histogram_bucket(9000000);
	ck_assert_uint_eq(n, last - first + 1);
	row = json_array_get(rows, 0);
	ck_assert_int_eq(json_integer_value(json_array_get(row, 0)),
	                 (json_int_t)wl_histogram_edge(first));
	ck_assert_int_eq(json_integer_value(json_array_get(row, 1)), 2);
	ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(rows, n - 1), 1)), 1);
	json_decref(root);
	free(line);
}
TEST_END

TEST(a_file_appears_whole_with_a_member_a_line)
{
	char path[256], tmp[264], text[4096];
	struct wl_out o;
	snprintf(path, sizeof(path), "%s/out.json", temp_dir());
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	wl_out_file(&o, path);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "one", 1);
	ck_assert_int_ne(access(path, F_OK), 0);
	wl_out_array(&o, "two");
	wl_out_int(&o, NULL, 1);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "three", 3);
	wl_out_end(&o);
	wl_out_end(&o);
	wl_out_end(&o);
	ck_assert_int_eq(wl_out_close(&o), 0);
	ck_assert_int_ne(access(tmp, F_OK), 0);

	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	ck_assert_str_eq(text, "{\n \"one\": 1,\n \"two\": [1, {\"three\": 3}]\n}\n");
}
TEST_END

TEST(what_cannot_be_written_is_said_and_leaves_nothing)
{
	struct wl_out o;
	wl_out_file(&o, "/nonexistent/folder/x.json");
	write_all(&o);
	ck_assert_int_ne(wl_out_close(&o), 0);

	FILE *full = fopen("/dev/full", "we");
	ck_assert_ptr_nonnull(full);
	wl_out_line(&o, full);
	write_all(&o);
	ck_assert_int_ne(wl_out_close(&o), 0);
	fclose(full);

	/* the name is a folder's: written, but it cannot get that name */
	char path[256], tmp[264];
	snprintf(path, sizeof(path), "%s", temp_dir());
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	wl_out_file(&o, path);
	write_all(&o);
	ck_assert_int_ne(wl_out_close(&o), 0);
	ck_assert_int_ne(access(tmp, F_OK), 0);
}
TEST_END

TESTS("jsonout", a_line_reads_as_written, any_bytes_become_valid_utf8, percentiles_and_histogram,
      a_file_appears_whole_with_a_member_a_line, what_cannot_be_written_is_said_and_leaves_nothing)
