// SPDX-License-Identifier: Apache-2.0
/* report.c: see report.h. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "plot.h"

#define TIMELINE_NS 1000000000ull

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#5c636b;"
    "--line:#e3e4e6;--lane:#f3f3f1;--solo:#6c737c;--native:#c8501e;--rein:#6aa6cf;--queue:#2f8a57;"
    "--context:#0b4f94;--lc:#0b6fb3;"
    "--be:#c9b37e;--arrival:#1c1e21;--warn:#fff1d6;--warnink:#7a4b00}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1d2024;--ink:#e8e9eb;"
    "--soft:#a0a7b0;--line:#33373d;--lane:#24282d;--solo:#a3abb5;--native:#ff8a5c;--rein:#4f86ab;"
    "--queue:#6fd19b;--context:#8cc8ff;"
    "--lc:#5db4f0;--be:#8a7844;--arrival:#e8e9eb;--warn:#3a2f14;--warnink:#ffd48a}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:1040px;margin:0 auto;padding:40px 20px 64px}\n"
    "h1{font-size:28px;line-height:1.2;margin:0 0 6px}h2{font-size:19px;margin:40px 0 4px}"
    "h3{font-size:15px;margin:22px 0 4px;font-weight:600}\n"
    "p{margin:6px 0;max-width:76ch}.soft{color:var(--soft)}\n"
    ".badge{display:inline-block;padding:2px 10px;border-radius:99px;font-size:13px;"
    "font-weight:600;background:var(--warn);color:var(--warnink)}\n"
    ".badge.measured{background:var(--lane);color:var(--ink)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:14px;"
    "margin:24px 0}\n"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px "
    "18px}"
    ".tile b{display:block;font-size:32px;line-height:1.2;font-variant-numeric:tabular-nums}"
    ".tile.native b{color:var(--native)}.tile.rein b{color:var(--context)}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px "
    "18px;"
    "margin:10px 0;overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{padding:7px 10px;text-align:right;border-bottom:1px solid var(--line);"
    "white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}thead th{color:var(--soft);font-weight:600}"
    "tbody tr:last-child>*{border-bottom:0}tbody th{font-weight:600}\n"
    "svg{display:block;width:100%;height:auto;min-width:640px}svg text{font:13px "
    "system-ui,sans-serif;"
    "fill:var(--ink)}svg .tick{fill:var(--soft);font-size:12px}"
    "svg .num{font-variant-numeric:tabular-nums}\n"
    ".grid{stroke:var(--line)}.curve{fill:none;stroke-width:2.2;stroke-linejoin:round}"
    ".curve.solo{stroke:var(--solo);stroke-dasharray:6 3}.curve.native{stroke:var(--native)}"
    ".curve.rein{stroke:var(--rein)}.curve.rein_queue{stroke:var(--queue)}"
    ".curve.rein_context{stroke:var(--context)}.dot{stroke:var(--card);stroke-width:1.5}"
    ".dot.solo{fill:var(--solo)}.dot.native{fill:var(--native)}.dot.rein{fill:var(--rein)}"
    ".dot.rein_queue{fill:var(--queue)}.dot.rein_context{fill:var(--context)}"
    ".legend{fill:var(--card);stroke:var(--line)}\n"
    ".lane{fill:var(--lane)}.lc{fill:var(--lc)}.be{fill:var(--be)}"
    ".request{fill:var(--lc);fill-opacity:.45}.arrival{stroke:var(--arrival);stroke-opacity:.55;"
    "stroke-width:1;stroke-dasharray:2 2}\n"
    "code{font:13px/1.5 ui-monospace,monospace;background:var(--lane);padding:1px 5px;"
    "border-radius:4px}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0}"
    "dt{color:var(--soft)}dd{margin:0}\n";

void wl_result_table(const struct wl_result *r, struct wl_table *t)
{
	char gate[WL_TABLE_CELL];
	t->columns = 7;
	t->rows = 0;
	wl_table_row(t, "mode", "LC p50", "LC p99", "p99/solo", "BE steps/s", "BE/solo", "gate");
	for (int m = 0; m < WL_MODES; m++) {
		const struct wl_row *row = &r->row[m];
		wl_result_gate(r, (enum wl_mode)m, gate, sizeof(gate));
		if (row->left_out) {
			wl_table_row(t, wl_mode_title[m], "", "", "", "", "", gate);
			continue;
		}
		wl_table_row(
		    t, wl_mode_title[m], wl_cell("%.2f ms", row->lc_p50_ms),
		    wl_cell("%.2f ms", row->lc_p99_ms), wl_cell("%.2f×", row->lc_p99_over_solo),
		    wl_cell("%.1f", row->be_steps_per_s), wl_cell("%.2f", row->be_over_solo), gate);
	}
}

static void print_head(const struct wl_result *r, FILE *f)
{
	char why[256];
	fprintf(
	    f,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
	    "<title>rein: two programs on one GPU</title>\n<style>\n%s</style>\n</head>\n<body>\n"
	    "<main>\n<h1>Two programs on one GPU</h1>\n"
	    "<p class=\"soft\">A latency-critical program (LC) and a best-effort one (BE), neither "
	    "changed nor relinked: each alone, sharing as the driver does it, and under "
	    "rein with each of its gates.</p>\n",
	    style);
	fprintf(f, "<p><span class=\"badge%s\">%s</span> <span class=\"soft\">",
	        r->simulated ? "" : " measured", r->simulated ? "simulated" : "measured");
	wl_html_text(f, r->gpu);
	if (r->simulated)
		fputs(", the software GPU: a model of time, not a measurement of any real device",
		      f);
	fputs("</span></p>\n", f);
	if (!wl_result_valid(r, why, sizeof(why)))
		fprintf(f, "<p><span class=\"badge\">not valid</span> %s</p>\n", why);
}

static void print_tiles(const struct wl_result *r, FILE *f)
{
	double idle = 1 - r->rho;
	enum wl_mode m = wl_result_best(r);
	fprintf(
	    f,
	    "<div class=\"tiles\">\n"
	    "<div class=\"tile native\"><b>%.2f×</b>LC's p99 when shared natively, relative to "
	    "alone</div>\n"
	    "<div class=\"tile rein\"><b>%.2f×</b>LC's p99 when shared under rein with its "
	    "%s</div>\n"
	    "<div class=\"tile rein\"><b>%.0f %%</b>of what LC leaves idle (%.0f %% of the GPU's "
	    "time) goes to BE then</div>\n</div>\n",
	    r->row[WL_MODE_NATIVE].lc_p99_over_solo, r->row[m].lc_p99_over_solo, wl_mode_gate[m],
	    idle > 0 ? 100 * r->row[m].be_over_solo / idle : 0, 100 * idle);
}

static void print_table(const struct wl_result *r, FILE *f)
{
	struct wl_table t = {0};
	wl_result_table(r, &t);
	fputs("<div class=\"card\"><table>\n", f);
	for (size_t i = 0; i < t.rows; i++) {
		fputs(i == 0 ? "<thead><tr>" : "<tr>", f);
		for (size_t c = 0; c < t.columns; c++) {
			const char *tag = i == 0 || c == 0 ? "th" : "td";
			fprintf(f, "<%s>", tag);
			wl_html_text(f, t.cell[i][c]);
			fprintf(f, "</%s>", tag);
		}
		fputs(i == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n", f);
	}
	fputs("</tbody></table></div>\n", f);
}

static const char *const owners_simulated = "The owners are from the software GPU's own log.";
static const char *const owners_measured =
    "The owners are taken from the programs' records: LC's requests in service, and BE's steps "
    "up to their ends.";

static void print_timelines(const struct wl_result *r, FILE *f)
{
	const enum wl_mode shown[] = {WL_MODE_NATIVE, wl_result_best(r)};
	uint64_t from = wl_plot_window(&r->lc[WL_MODE_SOLO], TIMELINE_NS);
	fprintf(f,
	        "<h2>Who had the GPU</h2>\n"
	        "<p class=\"soft\">The same second of both runs, %.1f s after LC began; the\n"
	        "arrivals are the same, since the seed is. A bar above is a request from its\n"
	        "arrival (dashed) to its result. %s</p>\n",
	        (double)from / 1e9, r->simulated ? owners_simulated : owners_measured);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		fprintf(f, "<h3>%s</h3>\n<div class=\"card\">", wl_mode_title[shown[i]]);
		wl_plot_timeline(f, r, shown[i], from, TIMELINE_NS);
		fputs("</div>\n", f);
	}
}

static void print_method(const struct wl_result *r, FILE *f)
{
	double kernel_ms = r->kernel_us / 1000.0;
	fputs("<h2>How this was made</h2>\n<div class=\"card\"><dl>\n<dt>GPU</dt><dd>", f);
	wl_html_text(f, r->gpu);
	fputs(r->simulated ? " (simulated, declared kernel times)</dd>\n" : "</dd>\n", f);
	fprintf(f,
	        "<dt>LC</dt><dd>%zu requests of %" PRIu32 " kernels of %g ms and two copies, %s\n"
	        "arrivals with a mean period of %.1f ms, open loop; latency counts from the\n"
	        "intended arrival; load ρ = %.2f alone</dd>\n",
	        r->lc[WL_MODE_SOLO].latency.n, r->kernels, kernel_ms, r->arrivals, r->period_ms,
	        r->rho);
	fprintf(
	    f,
	    "<dt>BE</dt><dd>kernels of %g ms, queued as deep as the driver takes; begins\n"
	    "when LC is ready; a step counts when the GPU has finished it, within the time\n"
	    "LC was measured</dd>\n"
	    "<dt>rein</dt><dd>each row allows one gate more than the one above. Gate: how often\n"
	    "BE's launches waited, how many points were put into its queue, how often its\n"
	    "contexts were taken off the GPU</dd>\n"
	    "<dt>Length</dt><dd>%g s a run, seed %" PRIu64 "</dd>\n",
	    kernel_ms, r->seconds, r->seed);
	if (r->simulated && r->overruns.known)
		fprintf(f,
		        "<dt>Overruns</dt><dd>%" PRIu64 " commands took the host longer\n"
		        "than their modelled time allows</dd>\n",
		        r->overruns.count);
	fprintf(f,
	        "<dt>Again</dt><dd><code>make demo</code>, or <code>build/workloads/demo\n"
	        "--seconds %g --seed %" PRIu64 "</code></dd>\n"
	        "<dt>Figures</dt><dd><code>result.json</code> beside this page</dd>\n"
	        "</dl></div>\n",
	        r->seconds, r->seed);
}

void wl_report_print(const struct wl_result *r, FILE *f)
{
	print_head(r, f);
	print_tiles(r, f);
	print_table(r, f);
	fputs("<h2>How long requests took</h2>\n"
	      "<p class=\"soft\">The share of LC's requests that were served within a time.\n"
	      "Dots mark the 99th percentile.</p>\n<div class=\"card\">",
	      f);
	wl_plot_cdf(f, r);
	fputs("</div>\n", f);
	print_timelines(r, f);
	print_method(r, f);
	fputs("</main>\n</body>\n</html>\n", f);
}

int wl_report_write(const struct wl_result *r, const char *path)
{
	FILE *f = fopen(path, "we");
	if (f) {
		wl_report_print(r, f);
		bool bad = ferror(f);
		if (fclose(f) == 0 && !bad)
			return 0;
	}
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, strerror(errno));
	return -1;
}
