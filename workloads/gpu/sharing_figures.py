# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the stage `sharing`: from the programs' own records (arrivals, ends of steps)
to the figures of its table. Latency counts from the intended arrival."""

import math


def percentile(ordered, p):
    """Nearest rank: the smallest value such that at least p % of all are at most it; None of none.
    As workloads/lib/stats.c does it."""
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * p / 100), 1) - 1]


def latencies_ms(window):
    return sorted((end - arrival) / 1e6 for arrival, _, end in window["records"])


def service_s(window):
    """The median time of a request alone, without waiting for those before it."""
    return percentile(sorted((end - start) / 1e9 for _, start, end in window["records"]), 50)


def load(window):
    """ρ: the part of the window in which a request was being served."""
    busy = sum(end - start for _, start, end in window["records"])
    return busy / max(window["finish_ns"] - window["begin_ns"], 1)


def steps_per_s(steps, begin_ns, finish_ns):
    """Steps that ended within [begin, finish), per second."""
    n = sum(begin_ns <= end < finish_ns for end in steps["step_end_ns"])
    return n * 1e9 / (finish_ns - begin_ns) if finish_ns > begin_ns else 0.0


def ratio(value, base):
    return None if value is None or not base else value / base


def cell(window, steps=None, solo_p99_ms=None, solo_rate=None):
    """A cell of the table. The best-effort program's rate is that of the window in which requests
    arrived. What cannot be said is None."""
    ordered = latencies_ms(window)
    figures = {
        "n": len(ordered),
        "unserved": window.get("unserved", 0),
        "p50_ms": percentile(ordered, 50),
        "p99_ms": percentile(ordered, 99),
        "load": load(window),
    }
    figures["p99_over_solo"] = ratio(figures["p99_ms"], solo_p99_ms)
    if steps is not None:
        rate = steps_per_s(steps, window["begin_ns"], window["finish_ns"])
        figures["steps_per_s"] = rate
        figures["be_over_solo"] = ratio(rate, solo_rate)
    return figures


def text(value, digits, suffix=""):
    return "–" if value is None else f"{value:.{digits}f}{suffix}"


def table(rows):
    """Rows (lc, be, mode, figures) as Markdown."""
    lines = ["| LC | BE | mode | requests | p50 ms | p99 ms | p99 / solo | BE / solo |",
             "|---|---|---|--:|--:|--:|--:|--:|"]
    for lc, be, mode, f in rows:
        more = f" (+{f['unserved']} unserved)" if f["unserved"] else ""
        lines.append(f"| {lc} | {be or '–'} | {mode} | {f['n']}{more} | {text(f['p50_ms'], 2)} | "
                     f"{text(f['p99_ms'], 2)} | {text(f['p99_over_solo'], 2, '×')} | "
                     f"{text(f.get('be_over_solo'), 2)} |")
    return "\n".join(lines) + "\n"
