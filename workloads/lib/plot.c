// SPDX-License-Identifier: Apache-2.0
/* plot.c: escaping, ticks, the latency distribution; see plot.h. */
#include "plot.h"

#include <math.h>

#define WIDTH 960
#define HEIGHT 400
#define LEFT 56
#define RIGHT 24
#define TOP 16
#define BOTTOM 52

void wl_html_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}

size_t wl_ticks_linear(double lo, double hi, double *tick, size_t max)
{
	if (!(hi > lo) || max < 2)
		return 0;
	double raw = (hi - lo) / (double)(max - 1), ten = pow(10, floor(log10(raw)));
	double step = 10 * ten;
	if (raw <= ten * 1.000001)
		step = ten;
	else if (raw <= 2 * ten)
		step = 2 * ten;
	else if (raw <= 5 * ten)
		step = 5 * ten;
	size_t n = 0;
	double first = ceil(lo / step - 1e-9);
	for (double i = first; i * step <= hi + step * 1e-9 && n < max; i++)
		tick[n++] = i * step + 0.0; /* never -0 */
	return n;
}

/* The decades' 1, 2 and 5; if these are too few for a narrow range, every tenth of the decade. */
size_t wl_ticks_log(double lo, double hi, double *tick, size_t max)
{
	static const double few[] = {1, 2, 5}, many[] = {1, 1.5, 2, 3, 4, 5, 6, 8};
	if (!(hi > lo) || lo <= 0)
		return 0;
	const double *in_decade = hi / lo > 20 ? few : many;
	size_t per_decade = hi / lo > 20 ? 3 : 8, n = 0;
	for (double ten = pow(10, floor(log10(lo))); ten <= hi; ten *= 10)
		for (size_t i = 0; i < per_decade; i++) {
			double t = in_decade[i] * ten;
			if (t >= lo * 0.999999 && t <= hi * 1.000001 && n < max)
				tick[n++] = t;
		}
	return n;
}

struct axis {
	double lo, hi; /* ms */
};

static double x_of(const struct axis *a, double ms)
{
	double at = (log(ms) - log(a->lo)) / (log(a->hi) - log(a->lo));
	return LEFT + at * (WIDTH - LEFT - RIGHT);
}

static double y_of(double share)
{
	return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
}

static struct axis axis_for(const struct wl_result *r)
{
	struct axis a = {.lo = INFINITY, .hi = 0};
	for (int m = 0; m < WL_MODES; m++) {
		const struct wl_samples *l = &r->lc[m].latency;
		if (!l->n)
			continue;
		a.lo = fmin(a.lo, (double)l->v[0] / 1e6);
		a.hi = fmax(a.hi, (double)l->v[l->n - 1] / 1e6);
	}
	if (!(a.hi > 0))
		return (struct axis){1, 10};
	/* some air on both sides, and never a range of zero */
	a.lo = fmax(a.lo, 1e-6);
	double air = fmax(pow(a.hi / a.lo, 0.04), 1.05);
	return (struct axis){a.lo / air, a.hi * air};
}

static void draw_frame(FILE *f, const struct axis *a)
{
	static const double shares[] = {0, 0.25, 0.5, 0.75, 0.99};
	double tick[32];
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		double y = y_of(shares[i]);
		fprintf(
		    f,
		    "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
		    "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f %%</text>\n",
		    LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, shares[i] * 100);
	}
	size_t n = wl_ticks_log(a->lo, a->hi, tick, 32);
	double last = -100;
	for (size_t i = 0; i < n; i++) {
		double x = x_of(a, tick[i]);
		fprintf(f, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n",
		        x, x, TOP, HEIGHT - BOTTOM);
		if (x - last < 34) /* labels must not touch */
			continue;
		fprintf(
		    f,
		    "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
		    x, HEIGHT - BOTTOM + 20, tick[i]);
		last = x;
	}
	fprintf(f,
	        "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">request latency, "
	        "milliseconds (logarithmic)</text>\n",
	        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10);
}

/* A staircase: after its i-th smallest value, a share of i/n of all requests has been served. */
static void draw_curve(FILE *f, const struct axis *a, const struct wl_samples *l, const char *key)
{
	if (!l->n)
		return;
	size_t stride = l->n / 2000 + 1; /* more steps than pixels help nobody */
	fprintf(f, "<path class=\"curve %s\" d=\"M%.1f %.1f", key, x_of(a, (double)l->v[0] / 1e6),
	        y_of(0));
	for (size_t i = 0; i < l->n; i += i + stride < l->n ? stride : 1)
		fprintf(f, "H%.1fV%.1f", x_of(a, (double)l->v[i] / 1e6),
		        y_of((double)(i + 1) / (double)l->n));
	fprintf(f, "H%d\"/>\n", WIDTH - RIGHT);
	double p99 = (double)wl_percentile(l->v, l->n, 99) / 1e6;
	fprintf(f, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>\n", key,
	        x_of(a, p99), y_of(0.99));
}

/* Lower right: a distribution never goes there before its end. */
static void draw_legend(FILE *f, const struct wl_result *r)
{
	int rows = 0;
	for (int m = 0; m < WL_MODES; m++)
		rows += !r->row[m].left_out;
	int x = WIDTH - RIGHT - 330, y = HEIGHT - BOTTOM - 24 - rows * 20, at = y;
	fprintf(f,
	        "<rect class=\"legend\" x=\"%d\" y=\"%d\" width=\"318\" height=\"%d\" rx=\"6\"/>\n",
	        x, y, 14 + rows * 20);
	for (int m = 0; m < WL_MODES; m++) {
		if (r->row[m].left_out)
			continue;
		at += 20;
		fprintf(f,
		        "<line class=\"curve %s\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
		        "<text class=\"label\" x=\"%d\" y=\"%d\">%s</text>"
		        "<text class=\"label num\" x=\"%d\" y=\"%d\" text-anchor=\"end\">p99 %.1f "
		        "ms</text>\n",
		        wl_mode_key[m], x + 12, x + 40, at, at, x + 50, at + 4,
		        m == WL_MODE_SOLO ? "LC alone" : wl_mode_title[m], x + 306, at + 4,
		        r->row[m].lc_p99_ms);
	}
}

void wl_plot_cdf(FILE *f, const struct wl_result *r)
{
	struct axis a = axis_for(r);
	fprintf(f,
	        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Share of LC requests served "
	        "within "
	        "a time, for each mode\">\n",
	        WIDTH, HEIGHT);
	draw_frame(f, &a);
	for (int m = 0; m < WL_MODES; m++)
		draw_curve(f, &a, &r->lc[m].latency, wl_mode_key[m]);
	draw_legend(f, r);
	fputs("</svg>\n", f);
}
