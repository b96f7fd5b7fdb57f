# SPDX-License-Identifier: Apache-2.0
"""The results of gpu-check: a JSON file per stage, the environment, all facts as a page, and the
table. Files get their names when they are whole."""

import json
import math
import os
import re
import shutil
import unicodedata

SCHEMA_VERSION = 1


def folder_name(machine, date):
    """<gpu>-<driver>-<date>: h200-580.159.04-2026-11-04"""
    gpu = re.sub(r"^(nvidia|geforce|tesla)\s+", "", machine.gpu["name"], flags=re.I)
    words = [gpu, machine.driver(), date]  # "simulated" in the driver's place
    return "-".join(re.sub(r"[^a-z0-9.]+", "-", w.lower()).strip("-") for w in words)


def write(path, text):
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def finite(value):
    """JSON has no NaN and no infinity: null takes their place."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path, value):
    write(path, json.dumps(finite(value), indent=1, ensure_ascii=False, default=str) + "\n")


def width(text):
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text, columns):
    return text + " " * (columns - width(text))


def number(value):
    """4 significant digits, no more; integers below a million whole."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number"
    if isinstance(value, (int, float)):
        if value == int(value) and abs(value) < 1e6:
            return str(int(value))
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"
    return str(value)


def fact_text(fact):
    """A value with its unit and spread, for people."""
    text = number(fact.get("value"))
    if fact.get("unit"):
        text += " " + fact["unit"]
    if "p99" in fact:
        text += (f" (p10 {number(fact.get('p10'))}, p99 {number(fact['p99'])}, "
                 f"n {fact.get('n', '?')})")
    return text


def title(machine, date):
    kind = "simulated" if machine.simulated else f"driver {machine.driver()} · measured"
    return f"gpu-check · {machine.gpu['name']} · {kind} · {date}"


def table(records, columns=None):
    """The one table: a stage a line. columns: of the terminal; longer findings are wrapped."""
    columns = columns or max(shutil.get_terminal_size((110, 24)).columns, 80)
    rows = [("stage", "result", "time", "found")]
    for r in records:
        seconds = f"{r['seconds']:.0f} s" if r["seconds"] else "-"
        rows.append((r["stage"], r["result"], seconds, r["summary"]))
    widths = [max(width(row[i]) for row in rows) for i in range(3)]
    indent = sum(widths) + 6
    lines = []
    for stage, result, seconds, found in rows:
        head = "  ".join((pad(stage, widths[0]), pad(result, widths[1]),
                          " " * (widths[2] - width(seconds)) + seconds))
        for text in wrap(found, columns - indent):
            lines.append((head + "  " + text).rstrip())
            head = " " * (indent - 2)
    lines.insert(1, "-" * min(columns, max(width(line) for line in lines)))
    return "\n".join(lines)


def wrap(text, columns):
    lines, line = [], ""
    for word in text.split():
        if line and width(line) + 1 + width(word) > columns:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return lines + [line]


def page(heading, records):
    """All facts as Markdown."""
    out = [f"# {heading}", ""]
    for r in records:
        out += [f"## {r['stage']}: {r['result']}", "", r["summary"], ""]
        if r["facts"]:
            out += ["| fact | value | how |", "|---|---|---|"]
            out += [f"| {f['fact']} | {cell(fact_text(f))} | {cell(f.get('note', ''))} |"
                    for f in r["facts"]]
            out.append("")
        out += [f"- skipped: {s['skip']}: {s['why']}" for s in r["skips"]]
        out += [f"- problem: {text}" for text in r["problems"]]
        out.append("")
    return "\n".join(out)


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")
