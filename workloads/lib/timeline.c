// SPDX-License-Identifier: Apache-2.0
/* timeline.c: who had the GPU, and what that did to LC's requests; see plot.h. */
#include "plot.h"

#include <math.h>

#define WIDTH 960
#define LEFT 120
#define RIGHT 12
#define LANE 26        /* height of an owner's lane */
#define REQUEST 9      /* height of a request's bar */
#define REQUESTS_MAX 4 /* bars above each other; more wait in the same row */
#define GAP 10
#define AXIS 34
#define MERGE_PX 0.35 /* slices closer than this are drawn as one: the eye cannot tell */

struct view {
	uint64_t from_ns, to_ns; /* absolute */
	int requests_y, lc_y, be_y, axis_y, height;
};

static double x_of(const struct view *v, uint64_t ns)
{
	if (ns < v->from_ns)
		ns = v->from_ns;
	if (ns > v->to_ns)
		ns = v->to_ns;
	return LEFT +
	       (double)(ns - v->from_ns) / (double)(v->to_ns - v->from_ns) * (WIDTH - LEFT - RIGHT);
}

/* Which row each request is drawn in: the first that is free at its arrival. */
static int pick_row(uint64_t *row_end, uint64_t arrival, uint64_t end)
{
	int row = REQUESTS_MAX - 1;
	for (int i = REQUESTS_MAX - 1; i >= 0; i--)
		if (row_end[i] <= arrival)
			row = i;
	row_end[row] = end;
	return row;
}

static int rows_needed(const struct wl_lc *lc, const struct view *v)
{
	uint64_t row_end[REQUESTS_MAX] = {0};
	int most = 0;
	for (size_t i = 0; i < lc->end.n; i++) {
		int row = pick_row(row_end, lc->arrival.v[i], lc->end.v[i]);
		if (lc->end.v[i] > v->from_ns && lc->arrival.v[i] < v->to_ns && row > most)
			most = row;
	}
	return most + 1;
}

static void draw_requests(FILE *f, const struct wl_lc *lc, const struct view *v)
{
	uint64_t row_end[REQUESTS_MAX] = {0};
	for (size_t i = 0; i < lc->end.n; i++) {
		uint64_t arrival = lc->arrival.v[i], end = lc->end.v[i];
		int row = pick_row(row_end, arrival, end);
		if (end <= v->from_ns || arrival >= v->to_ns)
			continue;
		int y = v->requests_y + row * (REQUEST + 3);
		double x = x_of(v, arrival);
		fprintf(f,
		        "<rect class=\"request\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" "
		        "rx=\"2\"><title>%.1f ms from arrival to result</title></rect>\n",
		        x, y, fmax(x_of(v, end) - x, 1), REQUEST, (double)(end - arrival) / 1e6);
		if (arrival >= v->from_ns)
			fprintf(f,
			        "<line class=\"arrival\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" "
			        "y2=\"%d\"/>\n",
			        x, x, y - 2, v->be_y + LANE);
	}
}

static void draw_bar(FILE *f, double from, double to, int y)
{
	fprintf(f, "M%.1f %dh%.1fv%dh-%.1fz", from, y, fmax(to - from, 0.3), LANE,
	        fmax(to - from, 0.3));
}

static void draw_owner(FILE *f, const struct wl_slices *s, pid_t pid, const struct view *v, int y,
                       const char *class)
{
	double from = -1, to = -1;
	fprintf(f, "<path class=\"%s\" d=\"", class);
	for (size_t i = 0; i < s->n; i++) {
		const struct wl_slice *slice = &s->v[i];
		if (slice->pid != pid || slice->end_ns <= v->from_ns || slice->start_ns >= v->to_ns)
			continue;
		double a = x_of(v, slice->start_ns), b = x_of(v, slice->end_ns);
		if (from >= 0 && a - to < MERGE_PX) {
			to = fmax(to, b);
			continue;
		}
		if (from >= 0)
			draw_bar(f, from, to, y);
		from = a;
		to = b;
	}
	if (from >= 0)
		draw_bar(f, from, to, y);
	fputs("\"/>\n", f);
}

static void draw_axis(FILE *f, const struct view *v)
{
	double tick[16], span_ms = (double)(v->to_ns - v->from_ns) / 1e6;
	size_t n = wl_ticks_linear(0, span_ms, tick, 12);
	for (size_t i = 0; i < n; i++) {
		double x = x_of(v, v->from_ns + (uint64_t)(tick[i] * 1e6));
		fprintf(f,
		        "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
		        "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%g%s</text>\n",
		        x, x, v->axis_y, v->axis_y + 5, x, v->axis_y + 20,
		        x > WIDTH - 40 ? "end" : "middle", tick[i], i ? "" : " ms");
	}
}

static void draw_lane(FILE *f, int y, int height, const char *label)
{
	fprintf(f,
	        "<rect class=\"lane\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
	        "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n",
	        LEFT, y, WIDTH - LEFT - RIGHT, height, LEFT - 10, y + height / 2 + 4, label);
}

void wl_plot_timeline(FILE *f, const struct wl_result *r, enum wl_mode mode, uint64_t from_ns,
                      uint64_t span_ns)
{
	const struct wl_lc *lc = &r->lc[mode];
	struct view v = {.from_ns = lc->begin_ns + from_ns};
	v.to_ns = v.from_ns + span_ns;
	int rows = rows_needed(lc, &v), requests_height = rows * (REQUEST + 3) + 3;
	v.requests_y = 6;
	v.lc_y = v.requests_y + requests_height + GAP;
	v.be_y = v.lc_y + LANE + 4;
	v.axis_y = v.be_y + LANE + 2;
	v.height = v.axis_y + AXIS;
	fprintf(f,
	        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Owners of the GPU over time, "
	        "%s\">\n",
	        WIDTH, v.height, wl_mode_title[mode]);
	draw_lane(f, v.requests_y - 3, requests_height, "LC requests");
	draw_lane(f, v.lc_y, LANE, "GPU runs LC");
	draw_lane(f, v.be_y, LANE, "GPU runs BE");
	draw_owner(f, &r->slices[mode], lc->pid, &v, v.lc_y, "lc");
	draw_owner(f, &r->slices[mode], r->be[mode].pid, &v, v.be_y, "be");
	draw_requests(f, lc, &v);
	draw_axis(f, &v);
	fputs("</svg>\n", f);
}

static size_t arrivals_in(const struct wl_lc *lc, uint64_t from_ns, uint64_t span_ns)
{
	size_t n = 0;
	for (size_t i = 0; i < lc->arrival.n; i++) {
		uint64_t at = lc->arrival.v[i] - lc->begin_ns;
		n += at >= from_ns && at < from_ns + span_ns;
	}
	return n;
}

uint64_t wl_plot_window(const struct wl_lc *lc, uint64_t span_ns)
{
	uint64_t window_ns = lc->finish_ns - lc->begin_ns;
	double mean = (double)lc->arrival.n * (double)span_ns / (double)window_ns;
	uint64_t best = 0;
	double best_off = INFINITY;
	for (uint64_t at = 0; at + span_ns <= window_ns; at += span_ns / 4) {
		double off = fabs((double)arrivals_in(lc, at, span_ns) - mean);
		if (off < best_off - 0.01) {
			best_off = off;
			best = at;
		}
	}
	return best;
}
