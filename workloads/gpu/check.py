#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpu-check: learns from the GPU of this machine what rein's design rests on, stage by stage, in
order of worth; the last one may wedge the GPU. Without an NVIDIA GPU the software GPU stands in,
so that the command itself is tested; its figures are marked simulated.

Every stage has its own time limit and survives the others' failures; results are written as each
ends, so an interrupted run keeps what it has. Nothing of the card's settings is touched."""

import argparse
import contextlib
import datetime
import glob
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "stages"))
sys.dont_write_bytecode = True

import process  # noqa: E402
import report  # noqa: E402
from machine import Machine  # noqa: E402
from stage import Skip, Stage  # noqa: E402

STAGES = ("smoke", "overhead", "ioctls", "queue-gate", "slices", "sharing", "preemption",
          "enforcement", "telemetry", "context-gate")
LIMIT_S = 525  # of everything, the build included
GRACE_S = 5    # what a stage may take beyond its limit to clean up after itself
LEAST_S = 3    # a stage is not begun with less
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked us to end."""


class OutOfTime(BaseException):
    """A stage took longer than it may."""


def on_signal(number, _frame):
    raise Interrupted(number)


def on_alarm(_number, _frame):
    raise OutOfTime


def options():
    p = argparse.ArgumentParser(prog="gpu-check", description=__doc__.split("\n\n", maxsplit=1)[0])
    p.add_argument("--build", type=Path, default=Path("build"), help="build folder")
    p.add_argument("--have", default="", help="libraries that the build found")
    p.add_argument("--stages", default="", help="some of: " + " ".join(STAGES))
    p.add_argument("--out", type=Path, help="folder of the results (default: results/… for a GPU, "
                   "BUILD/gpu-check/… for the software GPU)")
    p.add_argument("--limit", type=float, default=LIMIT_S, help="seconds in all (default: "
                   "%(default)s)")
    p.add_argument("--since", type=float, default=time.time(),
                   help="when it began, in seconds since 1970")
    p.add_argument("--not-built", default="", help="programs that did not build")
    o = p.parse_args()
    o.stages = o.stages.replace(",", " ").split() or list(STAGES)
    wrong = [s for s in o.stages if s not in STAGES]
    if wrong:
        p.error(f"no stage '{wrong[0]}'; there are: {' '.join(STAGES)}")
    o.stages.sort(key=STAGES.index)
    return o


class Terminal:
    """One line that says what is going on, where somebody looks; else a line per stage."""

    def __init__(self):
        self.live = sys.stderr.isatty()
        self.begin = time.monotonic()

    def now(self, stage, text):
        if self.live:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"\r\033[K  {stage}: {text} "
                                 f"({time.monotonic() - self.begin:.0f} s)")
                sys.stderr.flush()

    def line(self, text=""):
        with contextlib.suppress(OSError):  # the reader may have gone; the results are what counts
            if self.live:
                sys.stderr.write("\r\033[K")
                sys.stderr.flush()
            print(text, flush=True)


def found(stage, summary):
    """What a stage found, in short; a summary that stumbles over an odd value costs no facts."""
    try:
        return summary(stage.facts)
    except Exception as e:
        return f"{len(stage.facts)} facts (no summary: {type(e).__name__}: {e})"


def judge(stage, summary):
    """(result, what the table says) of a stage that came to its end."""
    if stage.problems:
        more = f" (and {len(stage.problems) - 1} more)" if len(stage.problems) > 1 else ""
        rest = f"; found: {found(stage, summary)}" if stage.facts else ""
        return "problems", f"{stage.problems[0]}{more}{rest}"
    if not stage.facts:
        reasons = list(stage.skips.values()) or ["nothing was asked"]
        return "skipped", reasons[0]
    text = found(stage, summary)
    if stage.skips:
        text += f" ({len(stage.skips)} not asked here)"
    return "ok", text


def module_of(name):
    return importlib.import_module(name.replace("-", "_"))


def stretch(stages, left_s):
    """By how much the stages' own limits grow where fewer stages leave time over."""
    wanted = 0
    for name in stages:
        with contextlib.suppress(Exception):  # reported when it is its turn
            wanted += module_of(name).LIMIT_S
    return max(1.0, left_s / wanted) if wanted else 1.0


def run_stage(name, machine, results, limit_s, terminal, times=1.0):
    """One stage, whatever happens in it; at most limit_s, and `times` its own limit.
    (record, the signal that ended it or None)"""
    stage = Stage(name, machine, results, limit_s)
    stage.progress = lambda text: terminal.now(name, text)
    stage.progress("begins")
    signalled, summary = None, lambda facts: f"{len(facts)} facts"
    try:
        signal.setitimer(signal.ITIMER_REAL, limit_s + GRACE_S)
        module = module_of(name)
        summary = module.summary
        stage.limit_s = min(limit_s, module.LIMIT_S * times)
        signal.setitimer(signal.ITIMER_REAL, stage.limit_s + GRACE_S)
        module.run(stage)
        result, text = judge(stage, summary)
    except Skip as e:
        result, text = "skipped", str(e)
    except OutOfTime:
        result = "out of time"
        text = f"stopped after {stage.limit_s:.0f} s; kept: {found(stage, summary)}"
    except Interrupted as e:
        signalled = e.args[0]
        result = "interrupted"
        text = f"what was found is kept: {found(stage, summary)}"
    except Exception as e:  # a mistake in one stage must not cost the others
        where = traceback.extract_tb(e.__traceback__)[-1]
        result = "failed"
        text = f"{type(e).__name__}: {e} ({Path(where.filename).name}:{where.lineno})"
        stage.problem(text)
        with contextlib.suppress(OSError):
            print(traceback.format_exc(), file=sys.stderr)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)  # cleaning up is not interrupted
        stage.end()
        for pid, left in process.sweep():
            stage.problem(f"it left the process {left} ({pid}) behind, which was killed")
    return record(stage, result, text), signalled


def record(stage, result, text):
    return {
        "schema_version": report.SCHEMA_VERSION,
        "stage": stage.name,
        "simulated": stage.machine.simulated,
        "gpu": stage.machine.gpu["name"],
        "driver": stage.machine.driver(),
        "began": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - stage.begin, 1),
        "limit_s": stage.limit_s,
        "result": result,
        "summary": text,
        "facts": list(stage.facts.values()),
        "skips": [{"skip": k, "why": v} for k, v in stage.skips.items()],
        "problems": stage.problems,
        "programs": stage.programs,
    }


def not_run(stage, machine, why):
    empty = Stage(stage, machine, None, 0)
    return record(empty, "skipped", why) | {"seconds": 0}


def all_records(results, fresh):
    """This run's records, and those of earlier runs in the same folder."""
    records = {r["stage"]: r for r in fresh}
    for name in STAGES:
        path = results / f"{name}.json"
        if name not in records and path.exists():
            with contextlib.suppress(OSError, ValueError):  # it is not ours, or damaged
                records[name] = report.json.loads(path.read_text(encoding="utf-8"))
    return [records[name] for name in STAGES if name in records]


def keep(results, name, r, heading, records):
    """Writes what is known; that it cannot be written costs no further stage."""
    try:
        report.write_json(results / f"{name}.json", r)
        report.write(results / "facts.md", report.page(heading, all_records(results, records)))
    except Exception as e:
        r["problems"].append(f"the results could not be written: {type(e).__name__}: {e}")


def run_all(o, machine, results, heading, terminal):
    """All stages. (records, the signal that ended it or None)"""
    records, signalled = [], None
    times = stretch(o.stages, o.limit - (time.time() - o.since))
    for name in o.stages:
        left = o.limit - (time.time() - o.since)
        if signalled:
            break
        if left < LEAST_S:
            r = not_run(name, machine, f"no time left of {o.limit:.0f} s; "
                        f"make gpu-check STAGES={name} runs it alone")
        else:
            for number in ENDING:
                signal.signal(number, on_signal)
            r, signalled = run_stage(name, machine, results, left, terminal, times)
        records.append(r)
        keep(results, name, r, heading, records)
        terminal.line(f"  {name}: {r['result']}, {r['seconds']:.0f} s")
        for text in r["problems"]:
            terminal.line(f"    problem: {text}")
    return records, signalled


def hold_driver():
    """Keeps the GPU's device files open: without persistence mode the driver starts the GPU anew,
    for seconds, whenever nobody has them open, and a run starts a hundred programs."""
    held = []
    for path in glob.glob("/dev/nvidia[0-9]*"):
        with contextlib.suppress(OSError):
            held.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    return held


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # where the locale has no µ
    o = options()
    if set(" :") & set(str(o.build.resolve())):
        sys.exit(f"gpu-check: LD_PRELOAD cannot hold the path {o.build.resolve()}: a space or a "
                 "colon is in it; build elsewhere: make gpu-check B=/tmp/rein-build")
    hold_driver()
    process.adopt_orphans()
    signal.signal(signal.SIGALRM, on_alarm)
    terminal = Terminal()
    terminal.now("machine", "asks for the GPU")
    try:
        machine = Machine(o.build, set(o.have.split()))
    except RuntimeError as e:
        terminal.line()
        sys.exit(f"gpu-check: {e}")
    if machine.simulated:
        terminal.line(f"No NVIDIA GPU here ({machine.why_simulated}): the software GPU stands in, "
                      "all figures are simulated.")
    date = datetime.date.today().isoformat()
    heading = report.title(machine, date)
    base = o.build / "gpu-check" if machine.simulated else HERE.parent.parent / "results"
    results = o.out or base / report.folder_name(machine, date)
    results.mkdir(parents=True, exist_ok=True)
    machine.scratch = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    terminal.line(heading)
    not_built = o.not_built.split()
    if not_built:
        terminal.line("  did not build, left out: " + " ".join(not_built))
    try:
        report.write_json(results / "environment.json",
                          {"schema_version": report.SCHEMA_VERSION, "simulated": machine.simulated,
                           "date": date, "not_built": not_built, **machine.describe()})
        records, signalled = run_all(o, machine, results, heading, terminal)
    finally:
        shutil.rmtree(machine.scratch, ignore_errors=True)
        for left in glob.glob(f"/dev/shm/softgpu-*-gpu-check-{os.getpid()}*"):
            os.unlink(left)
    every = all_records(results, records)
    text = heading + "\n\n" + report.table(every) + "\n"
    terminal.line("\n" + text + f"\n{results}: a JSON file per stage, facts.md, table.txt, "
                  "environment.json")
    report.write(results / "table.txt", heading + "\n\n" + report.table(every, 110) + "\n")
    if signalled:
        sys.exit(128 + signalled)
    sys.exit(1 if any(r["result"] in ("problems", "failed", "out of time") for r in records) else 0)


if __name__ == "__main__":
    main()
