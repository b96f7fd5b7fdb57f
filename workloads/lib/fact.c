// SPDX-License-Identifier: Apache-2.0
/* fact.c: see fact.h. */
#include "fact.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jsonout.h"

#define NOTE_MAX 512
#define EXACT_MAX 9007199254740992.0 /* 2^53: up to here every integer is a double */

static void begin(struct wl_out *o, const char *id)
{
	wl_out_line(o, stdout);
	wl_out_object(o, NULL);
	wl_out_string(o, "fact", id);
}

static void add_note(struct wl_out *o, const char *key, const char *fmt, va_list args)
{
	char note[NOTE_MAX];
	if (!fmt)
		return;
	vsnprintf(note, sizeof(note), fmt, args);
	wl_out_string(o, key, note);
}

/* Without its reader a probe has nobody to tell. */
static void finish(struct wl_out *o)
{
	wl_out_end(o);
	if (wl_out_close(o))
		exit(1);
}

/* Counts and sizes keep all their digits. */
static void add_number(struct wl_out *o, const char *key, double value)
{
	if (value >= -EXACT_MAX && value <= EXACT_MAX && (double)(int64_t)value == value)
		wl_out_int(o, key, (int64_t)value);
	else
		wl_out_double(o, key, value);
}

void wl_fact(const char *id, double value, const char *unit, const char *note_fmt, ...)
{
	struct wl_out o;
	va_list args;
	begin(&o, id);
	add_number(&o, "value", value);
	if (unit)
		wl_out_string(&o, "unit", unit);
	va_start(args, note_fmt);
	add_note(&o, "note", note_fmt, args);
	va_end(args);
	finish(&o);
}

void wl_fact_text(const char *id, const char *text, const char *note_fmt, ...)
{
	struct wl_out o;
	va_list args;
	begin(&o, id);
	wl_out_string(&o, "value", text);
	va_start(args, note_fmt);
	add_note(&o, "note", note_fmt, args);
	va_end(args);
	finish(&o);
}

void wl_fact_flag(const char *id, bool value, const char *note_fmt, ...)
{
	struct wl_out o;
	va_list args;
	begin(&o, id);
	wl_out_bool(&o, "value", value);
	va_start(args, note_fmt);
	add_note(&o, "note", note_fmt, args);
	va_end(args);
	finish(&o);
}

void wl_fact_samples(const char *id, const char *unit, struct wl_samples *s, double per_unit,
                     const char *note_fmt, ...)
{
	static const struct {
		const char *name;
		double percent;
	} rows[] = {{"value", 50}, {"p10", 10}, {"p90", 90}, {"p99", 99}, {"max", 100}};
	struct wl_out o;
	va_list args;
	if (s->n == 0) {
		wl_fact_skip(id, "no sample was taken");
		return;
	}
	wl_sort(s->v, s->n);
	begin(&o, id);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		add_number(&o, rows[i].name,
		           (double)wl_percentile(s->v, s->n, rows[i].percent) / per_unit);
	if (unit)
		wl_out_string(&o, "unit", unit);
	wl_out_uint(&o, "n", s->n);
	va_start(args, note_fmt);
	add_note(&o, "note", note_fmt, args);
	va_end(args);
	finish(&o);
}

void wl_fact_skip(const char *id, const char *why_fmt, ...)
{
	struct wl_out o;
	va_list args;
	wl_out_line(&o, stdout);
	wl_out_object(&o, NULL);
	wl_out_string(&o, "skip", id);
	va_start(args, why_fmt);
	add_note(&o, "why", why_fmt, args);
	va_end(args);
	finish(&o);
}

static void on_alarm(int sig)
{
	static const char text[] = ": stopped: it took longer than it may\n";
	const char *name = program_invocation_short_name;
	if (write(2, name, strlen(name)) >= 0 && write(2, text, sizeof(text) - 1) >= 0)
		_exit(WL_EXIT_TIMEOUT);
	_exit(WL_EXIT_TIMEOUT);
}

void wl_fact_bound(unsigned seconds)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &sa, NULL);
	alarm(seconds);
}
