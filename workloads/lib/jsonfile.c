// SPDX-License-Identifier: Apache-2.0
/* jsonfile.c: see jsonfile.h. */
#include "jsonfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, why);
	return -1;
}

/* jansson breaks every element of an array onto its own line; long rows of numbers are better
 * kept compact, so top-level members are written one a line and their values without indent */
static int dump_rows(const json_t *root, FILE *f)
{
	const char *key;
	json_t *value;
	const char *separator = "{";
	json_object_foreach((json_t *)root, key, value)
	{
		fprintf(f, "%s\n \"%s\": ", separator, key);
		if (json_dumpf(value, f, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)))
			return -1;
		separator = ",";
	}
	fprintf(f, "%s\n}\n", *separator == '{' ? "{" : "");
	return ferror(f) ? -1 : 0;
}

static int dump_indented(const json_t *root, FILE *f)
{
	int r = json_dumpf(root, f, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	return fputc('\n', f) == EOF ? -1 : r;
}

static int write_by(int (*dump)(const json_t *, FILE *), json_t *root, const char *path)
{
	char tmp[4096];
	int r = -1;
	FILE *f = NULL;
	if (strcmp(path, "-") == 0) {
		r = dump(root, stdout);
		fflush(stdout);
		goto out;
	}
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp)) {
		complain(path, strerror(ENAMETOOLONG));
		goto out;
	}
	f = fopen(tmp, "we");
	if (!f) {
		complain(tmp, strerror(errno));
		goto out;
	}
	r = dump(root, f);
	if (fclose(f) || r || rename(tmp, path)) {
		r = complain(path, strerror(errno));
		remove(tmp);
	}
out:
	json_decref(root);
	return r;
}

json_t *wl_json_read(const char *path)
{
	json_error_t e;
	json_t *root = json_load_file(path, 0, &e);
	if (!root)
		fprintf(stderr, "%s: %s:%d: %s\n", program_invocation_short_name, path, e.line,
		        e.text);
	return root;
}

int wl_json_write(json_t *root, const char *path)
{
	return write_by(dump_rows, root, path);
}

int wl_json_write_indented(json_t *root, const char *path)
{
	return write_by(dump_indented, root, path);
}

static void set_ns(json_t *o, const char *key, uint64_t ns)
{
	json_object_set_new(o, key, json_integer((json_int_t)ns));
}

json_t *wl_json_percentiles(const uint64_t *sorted, size_t n)
{
	json_t *o = json_object();
	set_ns(o, "p50_ns", wl_percentile(sorted, n, 50));
	set_ns(o, "p95_ns", wl_percentile(sorted, n, 95));
	set_ns(o, "p99_ns", wl_percentile(sorted, n, 99));
	set_ns(o, "p999_ns", wl_percentile(sorted, n, 99.9));
	set_ns(o, "mean_ns", (uint64_t)wl_mean(sorted, n));
	set_ns(o, "max_ns", n ? sorted[n - 1] : 0);
	return o;
}

json_t *wl_json_histogram(const struct wl_histogram *h)
{
	json_t *rows = json_array();
	unsigned first = 0, last = WL_HIST_BUCKETS;
	while (first < WL_HIST_BUCKETS && !h->count[first])
		first++;
	while (last > first && !h->count[last - 1])
		last--;
	for (unsigned i = first; i < last; i++)
		json_array_append_new(rows, json_pack("[I,I]", (json_int_t)wl_histogram_edge(i),
		                                      (json_int_t)h->count[i]));
	return rows;
}
