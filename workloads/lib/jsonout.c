// SPDX-License-Identifier: Apache-2.0
/* jsonout.c: see jsonout.h. */
#include "jsonout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---------------------------------------------------------------- where it goes */

static void failed(struct wl_out *o)
{
	if (!o->error)
		o->error = errno ? errno : EIO;
}

__attribute__((format(printf, 2, 3))) static void put(struct wl_out *o, const char *fmt, ...)
{
	if (!o->f)
		return;
	va_list ap;
	va_start(ap, fmt);
	if (vfprintf(o->f, fmt, ap) < 0)
		failed(o);
	va_end(ap);
}

void wl_out_file(struct wl_out *o, const char *path)
{
	struct stat st;
	*o = (struct wl_out){.path = path, .rows = true};
	if (strcmp(path, "-") == 0) {
		o->f = stdout;
		return;
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* /dev/null is not to be replaced */
		o->f = fopen(path, "we");
		if (!o->f)
			failed(o);
		return;
	}
	if (asprintf(&o->tmp, "%s.tmp", path) < 0) {
		o->tmp = NULL;
		failed(o);
		return;
	}
	o->f = fopen(o->tmp, "we");
	if (!o->f)
		failed(o);
}

void wl_out_line(struct wl_out *o, FILE *f)
{
	*o = (struct wl_out){.f = f, .path = "the output"};
	flockfile(f);
}

/* The file gets its name only if all of it was written. */
static void close_file(struct wl_out *o)
{
	if (o->f && fclose(o->f))
		failed(o);
	if (o->f && !o->error && rename(o->tmp, o->path))
		failed(o);
	if (o->f && o->error)
		remove(o->tmp);
	free(o->tmp);
}

int wl_out_close(struct wl_out *o)
{
	assert(o->depth == 0);
	put(o, "\n");
	if (o->tmp)
		close_file(o);
	else if (o->f && fflush(o->f))
		failed(o);
	if (o->f && !o->rows)
		funlockfile(o->f);
	o->f = NULL;
	if (!o->error)
		return 0;
	fprintf(stderr, "%s: cannot write %s: %s\n", program_invocation_short_name, o->path,
	        strerror(o->error));
	return -1;
}

/* ---------------------------------------------------------------- text */

/* The length of the UTF-8 sequence that begins at s, 0 if none does (RFC 3629, table of §4). */
static unsigned utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	unsigned n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : s[0] >= 0xe0 && s[0] <= 0xef ? 3 : 4;
	if (n == 4 && (s[0] < 0xf0 || s[0] > 0xf4))
		return 0;
	unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	if (s[1] < low || s[1] > high)
		return 0;
	for (unsigned i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void put_text(struct wl_out *o, const char *text)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const unsigned char *s = (const unsigned char *)text;
	put(o, "\"");
	while (*s) {
		unsigned n = utf8_length(s);
		const char *escape = strchr(plain, *s);
		if (n == 0)
			put(o, "\xef\xbf\xbd");
		else if (escape)
			put(o, "\\%c", letter[escape - plain]);
		else if (*s < 0x20)
			put(o, "\\u%04x", *s);
		else
			put(o, "%.*s", (int)n, (const char *)s);
		s += n ? n : 1;
	}
	put(o, "\"");
}

/* ---------------------------------------------------------------- structure */

static uint32_t bit(unsigned depth)
{
	return UINT32_C(1) << (depth - 1);
}

/* What stands before a value: a comma, the line, the key. */
static void lead(struct wl_out *o, const char *key)
{
	if (o->depth == 0) {
		assert(!key);
		return;
	}
	assert(!!key == !!(o->is_object & bit(o->depth)));
	bool first = !(o->not_empty & bit(o->depth));
	o->not_empty |= bit(o->depth);
	bool on_its_line = o->rows && o->depth == 1 && key;
	put(o, "%s%s", first ? "" : ",", on_its_line ? "\n " : first ? "" : " ");
	if (key) {
		put_text(o, key);
		put(o, ": ");
	}
}

static void begin(struct wl_out *o, const char *key, bool object)
{
	lead(o, key);
	assert(o->depth < WL_OUT_DEPTH);
	o->depth++;
	o->not_empty &= ~bit(o->depth);
	if (object)
		o->is_object |= bit(o->depth);
	else
		o->is_object &= ~bit(o->depth);
	put(o, "%c", object ? '{' : '[');
}

void wl_out_object(struct wl_out *o, const char *key)
{
	begin(o, key, true);
}

void wl_out_array(struct wl_out *o, const char *key)
{
	begin(o, key, false);
}

void wl_out_end(struct wl_out *o)
{
	assert(o->depth > 0);
	bool object = o->is_object & bit(o->depth);
	put(o, "%s%c", o->rows && o->depth == 1 && object ? "\n" : "", object ? '}' : ']');
	o->depth--;
}

/* ---------------------------------------------------------------- values */

void wl_out_int(struct wl_out *o, const char *key, int64_t value)
{
	lead(o, key);
	put(o, "%" PRId64, value);
}

void wl_out_uint(struct wl_out *o, const char *key, uint64_t value)
{
	lead(o, key);
	put(o, "%" PRIu64, value);
}

void wl_out_double(struct wl_out *o, const char *key, double value)
{
	char text[40];
	lead(o, key);
	if (!isfinite(value)) {
		put(o, "null");
		return;
	}
	snprintf(text, sizeof(text), "%.9g", value);
	char *comma = strchr(text, ','); /* of a locale, should the program have set one */
	if (comma)
		*comma = '.';
	put(o, "%s%s", text, strpbrk(text, ".e") ? "" : ".0"); /* read back as a real, too */
}

void wl_out_bool(struct wl_out *o, const char *key, bool value)
{
	lead(o, key);
	put(o, value ? "true" : "false");
}

void wl_out_string(struct wl_out *o, const char *key, const char *value)
{
	lead(o, key);
	if (value)
		put_text(o, value);
	else
		put(o, "null");
}

void wl_out_percentiles(struct wl_out *o, const char *key, const uint64_t *sorted, size_t n)
{
	wl_out_object(o, key);
	wl_out_uint(o, "p50_ns", wl_percentile(sorted, n, 50));
	wl_out_uint(o, "p95_ns", wl_percentile(sorted, n, 95));
	wl_out_uint(o, "p99_ns", wl_percentile(sorted, n, 99));
	wl_out_uint(o, "p999_ns", wl_percentile(sorted, n, 99.9));
	wl_out_uint(o, "mean_ns", (uint64_t)wl_mean(sorted, n));
	wl_out_uint(o, "max_ns", n ? sorted[n - 1] : 0);
	wl_out_end(o);
}

void wl_out_histogram(struct wl_out *o, const char *key, const struct wl_histogram *h)
{
	unsigned first = 0, last = WL_HIST_BUCKETS;
	while (first < WL_HIST_BUCKETS && !h->count[first])
		first++;
	while (last > first && !h->count[last - 1])
		last--;
	wl_out_array(o, key);
	for (unsigned i = first; i < last; i++) {
		wl_out_array(o, NULL);
		wl_out_uint(o, NULL, (uint64_t)wl_histogram_edge(i));
		wl_out_uint(o, NULL, h->count[i]);
		wl_out_end(o);
	}
	wl_out_end(o);
}
