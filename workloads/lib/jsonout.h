// SPDX-License-Identifier: Apache-2.0
/*
 * jsonout.h: writes JSON as it goes, for programs that only write it and must build where no JSON
 * library is. One value, usually an object:
 *
 *	struct wl_out o;
 *	wl_out_file(&o, path);                  or wl_out_line(&o, stdout)
 *	wl_out_object(&o, NULL);
 *	wl_out_string(&o, "program", "lc");
 *	wl_out_array(&o, "records");
 *	wl_out_uint(&o, NULL, 7);               key NULL: an element of an array, or the whole value
 *	wl_out_end(&o);
 *	wl_out_end(&o);
 *	return wl_out_close(&o);                0, or -1 after one line on stderr
 *
 * No call but the last reports a failure. Strings are escaped; bytes that are no UTF-8 become
 * U+FFFD. A number that is not finite becomes null. Nesting of objects and arrays that is wrong is
 * a mistake of the program and ends it.
 */
#ifndef WORKLOADS_LIB_JSONOUT_H
#define WORKLOADS_LIB_JSONOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stats.h"

#define WL_OUT_DEPTH 32

struct wl_out {
	FILE *f; /* NULL: could not be opened */
	const char *path;
	char *tmp; /* what is written, until it is whole; NULL for a stream */
	bool rows; /* each member of the outermost object on a line of its own */
	unsigned depth;
	uint32_t is_object, not_empty; /* a bit per depth */
	int error;                     /* errno of the first failure, or 0 */
};

/* A file that a reader never sees half of: it gets its name in wl_out_close(). "-" is stdout.
 * Long rows of numbers stay on one line each. `path` must live until wl_out_close(). */
void wl_out_file(struct wl_out *o, const char *path);
/* One line on a stream, flushed by wl_out_close(); the stream is locked until then. */
void wl_out_line(struct wl_out *o, FILE *f);
int wl_out_close(struct wl_out *o) __attribute__((warn_unused_result));

void wl_out_object(struct wl_out *o, const char *key);
void wl_out_array(struct wl_out *o, const char *key);
void wl_out_end(struct wl_out *o); /* of the innermost object or array */
void wl_out_int(struct wl_out *o, const char *key, int64_t value);
void wl_out_uint(struct wl_out *o, const char *key, uint64_t value);
void wl_out_double(struct wl_out *o, const char *key, double value); /* 9 significant digits */
void wl_out_bool(struct wl_out *o, const char *key, bool value);
void wl_out_string(struct wl_out *o, const char *key, const char *value); /* NULL: null */

/* {"p50_ns": …, "p95_ns": …, "p99_ns": …, "p999_ns": …, "mean_ns": …, "max_ns": …} of sorted v */
void wl_out_percentiles(struct wl_out *o, const char *key, const uint64_t *sorted, size_t n);
/* [[upper edge in ns, count], …] from the first to the last bucket that is not empty */
void wl_out_histogram(struct wl_out *o, const char *key, const struct wl_histogram *h);

#endif
