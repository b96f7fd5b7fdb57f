# SPDX-License-Identifier: Apache-2.0
"""What the smoke stage runs and how it compares: programs that print and dump what they computed,
run in several modes beside each other; two runs are the same if exit status, output (without
times) and dumped bytes are."""

import json
import os
import re
import socket
import time
from pathlib import Path

from process import Child
from stage import ended

RUN_LIMIT_S = 25            # of one program among a dozen; on the software GPU, …
RUN_LIMIT_SIMULATED_S = 30  # … longer
# the daemon logs 20 lines a second about clients, two for each: start no faster than that
JOIN_GAP_S = 0.13
ANY_STATUS = tuple(range(256))
TIMES = re.compile(r"\d+\.\d+")
ADDRESSES = re.compile(r"\b0x[0-9a-f]{4,}\b")

# the modes; the shim is there in all but the first
BARE, LONE, JOINED, HELD = "bare", "no daemon", "daemon", "urgent neighbour"
API = ("basic", "streams", "memory", "graphs", "errors")  # tests/clients/api_*.c
LONELY = ("memory", "errors")  # they take all of it, or fault: nothing may run beside them
ANSWERS_LIMIT_S = 40  # more than API_ALL_S + API_SECTION_S of tests/clients/api_expect.h
ANSWER = re.compile(r"^tests/clients/(\w+)\.[ch]:(\d+): ")


class Case:
    """A program with its arguments. dump: it takes --dump FILE; alone: nothing may run beside it;
    judged: that it fails without the shim is a mistake of ours, not news about the driver; heavy:
    too much work to be executed at the pace of the software GPU's model."""

    def __init__(self, name, path, args=(), modes=(LONE, JOINED, HELD), dump=False, alone=False,
                 judged=True, heavy=False):
        self.name, self.path, self.args, self.modes = name, path, list(args), modes
        self.dump, self.alone, self.judged, self.heavy = dump, alone, judged, heavy

    def __repr__(self):
        return self.name


def driver_cases(build, simulated):
    """Driver-API programs; those of tests/ expect the software GPU's answers, which are meant to
    be the driver's: where they fail without the shim, that is news. Of a driver they are not to
    ask what only the software GPU promises."""
    work, api = build / "workloads", build / "tests" / "clients"
    cases = [
        Case("saxpy", work / "saxpy", ["--repeat", "100"], dump=True),
        Case("matmul", work / "matmul", ["--repeat", "100"], dump=True),
        Case("lc", work / "lc", ["--requests", "100", "--arrivals", "closed", "--kernels", "4"]),
        Case("be", work / "be", ["--steps", "300"]),
    ]
    for name in API:
        cases.append(Case(f"api_{name}", api / f"api_{name}", [] if simulated else ["--driver"],
                          alone=name in LONELY, judged=False))
    cases.append(Case("kernels", api / "kernels", [build / "tests" / "kernels"], judged=False,
                      heavy=True))
    for how in ("return", "atexit", "thread", "detach", "late"):
        cases.append(Case(f"api_exit-{how}", api / "api_exit", [how], judged=False))
    return cases


def runtime_cases(build, sources, simulated):
    """Runtime-API programs, with a static and a shared cudart; the software GPU has a shared one of
    its own."""
    cases = []
    for source in sorted(sources.glob("rt_*.cu" if simulated else "*.cu")):
        for variant in ("shared",) if simulated else ("static", "shared"):
            name = f"{source.stem}-{variant}"
            path = build / "gpu" / "cudart" / name
            modes = (LONE, JOINED, HELD) if variant == "static" else (JOINED,)
            if source.stem == "rt_pulse":
                continue
            if source.stem != "rt_exit":
                cases.append(Case(name, path, modes=modes, dump=True, heavy=True))
                continue
            for how in ("atexit", "late", "destructor", "pending", "thread"):
                cases.append(Case(f"{name}-{how}", path, [how], modes=modes, dump=True))
    return cases


class Outcome:
    """What a run showed. text: what went wrong with the run itself, or None."""

    def __init__(self, result, dump):
        self.status = result.status
        self.lines = normal(result.out)
        said = normal(result.err) or [f"{ended(result.status)}, without a message"]
        self.last, self.said = said[-1], "; ".join(said[-8:])
        self.shim = [line for line in result.err.splitlines() if line.startswith("librein[")]
        self.seconds = result.seconds
        self.pid = None
        self.bytes = None
        if dump:
            try:
                self.bytes = dump.read_bytes()
                dump.unlink()
            except OSError:
                pass  # it was not written: a failed run, or a mode that writes none

    def difference(self, other):
        """How this run differs from `other`, the one without the shim; "" if it does not."""
        if self.status != other.status:
            return f"{ended(self.status)} (without the shim: {ended(other.status)}): {self.last}"
        if self.status != 0 and self.last != other.last:
            return f"says '{self.last}', without the shim '{other.last}'"
        if self.lines != other.lines:
            for i, (a, b) in enumerate(zip(self.lines + [""], other.lines + [""])):
                if a != b:
                    return f"line {i + 1} is '{a}', without the shim '{b}'"
            return "prints more or fewer lines"
        if self.bytes != other.bytes:
            return "results: " + first_difference(self.bytes, other.bytes)
        return ""


def normal(text):
    """Lines without what may differ between two runs: times, addresses, the shim's own lines."""
    lines = [line for line in text.splitlines() if line and not line.startswith("librein[")]
    return [ADDRESSES.sub("0x#", TIMES.sub("#", line)) for line in lines]


def first_difference(a, b):
    if a is None or b is None:
        return "none were written" + ("" if a is None else " without the shim")
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return (f"byte {at} is {a[at:at + 1].hex() or 'missing'}, without the shim "
            f"{b[at:at + 1].hex() or 'missing'} ({len(a)} and {len(b)} bytes)")


class Job:
    """A run that is asked for: done(result, program) is called at its end. may() says whether it
    is to begin: True, False (never: there is nothing to compare it with), None (not yet)."""

    def __init__(self, name, argv, env, done, limit_s=RUN_LIMIT_S, paced=False, alone=False,
                 may=lambda: True):
        self.name, self.argv, self.env, self.done = name, argv, env, done
        self.limit_s, self.paced, self.alone, self.may = limit_s, paced, alone, may


class Pool:
    """Runs jobs, `width` at a time, in one thread (children die with the thread that started
    them). Keeps `reserve_s` of the stage's time; what cannot begin before is left in `left`. What
    runs is ended when `end_s` are left."""

    def __init__(self, stage, width, reserve_s, end_s=2):
        self.stage, self.width, self.reserve_s, self.end_s = stage, width, reserve_s, end_s
        self.while_running = lambda: None
        self.last_paced = 0.0
        self.active = []
        self.background = []
        self.left = []

    def begin(self, jobs):
        """They begin with the next run(), and go on beside what follows until finish()."""
        self.background += jobs

    def finish(self):
        self.run([])
        while self.active:
            self.step()

    def run(self, jobs):
        """To the end of all of them. Those that must be alone come last."""
        queue = self.background + sorted(jobs, key=lambda j: j.alone)
        mine, self.background = set(jobs), []
        while queue or any(job in mine for job, _, _ in self.active):
            queue = [job for job in queue if job.may() is not False]
            for job in queue:
                if job.may() and self.may_start(job):
                    self.start(job)
                    queue.remove(job)
                    break
            if queue and self.stage.left() < self.reserve_s:
                self.left += queue
                queue = []
            self.step()

    def step(self):
        for entry in list(self.active):
            self.look(entry)
        self.while_running()
        time.sleep(0.01)

    def may_start(self, job):
        if self.stage.left() < self.reserve_s or len(self.active) >= self.width:
            return False
        if self.active and (job.alone or self.active[-1][0].alone):
            return False
        return not job.paced or time.monotonic() - self.last_paced >= JOIN_GAP_S

    def start(self, job):
        if job.paced:
            self.last_paced = time.monotonic()
        program = self.stage.start(job.name, job.argv, env=job.env, ok=ANY_STATUS)
        self.active.append((job, program, time.monotonic()))

    def look(self, entry):
        job, program, begin = entry
        over = time.monotonic() - begin > job.limit_s or self.stage.left() < self.end_s
        if program.running() and not over:
            return
        self.active.remove(entry)
        job.done(program.wait(0.1), program)


class Programs:
    """The comparison of all cases: cases that exist, their outcomes by mode, what follows."""

    def __init__(self, stage, cases):
        self.stage = stage
        self.cases = [c for c in cases if c.path.exists()]
        self.absent = sorted({c.path.name for c in cases if not c.path.exists()})
        self.outcomes = {}  # (case name, mode): Outcome
        self.fresh = 0
        self.limit_s = RUN_LIMIT_SIMULATED_S if stage.machine.simulated else RUN_LIMIT_S

    def may(self, case, mode):
        """What does not end without the shim is not waited for again with it."""
        bare = self.outcomes.get((case.name, BARE))
        return True if mode == BARE else None if bare is None else bare.status is not None

    def job(self, case, mode, env):
        dump, argv = None, [case.path, *case.args]
        if case.heavy and self.stage.machine.simulated:
            env = env | {"SOFTGPU_MODE": "fast"}
        if case.dump:
            self.fresh += 1
            dump = Path(self.stage.machine.scratch) / f"smoke-{self.fresh}"
            argv += ["--dump", dump]

        def done(result, program):
            outcome = Outcome(result, dump)
            outcome.pid = program.pid
            self.outcomes[case.name, mode] = outcome

        shim = mode in (JOINED, HELD)
        return Job(f"{case.name} ({mode})", argv, env, done, limit_s=self.limit_s, paced=shim,
                   alone=case.alone, may=lambda: self.may(case, mode))

    def jobs(self, mode, env_of, which=lambda c: True):
        return [self.job(c, mode, env_of(c)) for c in self.cases
                if which(c) and (mode == BARE or mode in c.modes)]

    def differing(self):
        """(case, mode, how) of all runs that differ from the one without the shim."""
        found = []
        for case in self.cases:
            bare = self.outcomes.get((case.name, BARE))
            for mode in case.modes:
                outcome = self.outcomes.get((case.name, mode))
                if bare and outcome:
                    how = outcome.difference(bare)
                    if how:
                        found.append((case, mode, how))
        return found

    def compared(self):
        """How many runs could be compared."""
        return sum((c.name, BARE) in self.outcomes and (c.name, m) in self.outcomes
                   for c in self.cases for m in c.modes)


class Answers:
    """All answers of this driver at once that tests/clients expect to be others: each of the
    programs goes on after a wrong one (tests/clients/api_expect.h)."""

    def __init__(self, stage):
        self.stage = stage
        folder = stage.machine.build / "tests" / "clients"
        self.paths = [folder / f"api_{name}" for name in API + ("memop",)]
        self.asked, self.wrong = [], {}  # wrong: (file, line): text

    def jobs(self, env):
        return [self.job(path, env) for path in self.paths if path.exists()]

    def job(self, path, env):
        if self.stage.machine.simulated:
            env = env | {"SOFTGPU_MODE": "fast"}

        def done(result, _program):
            for line in result.err.splitlines():
                found = ANSWER.match(line)
                if found:
                    self.wrong.setdefault(found.groups(), line)
            if result.status in (0, 1):
                self.asked.append(path.name)
            else:
                self.stage.problem(f"{path.name} --all: {ended(result.status)}")

        return Job(f"{path.name} (all answers)", [path, "--all"], env, done,
                   limit_s=ANSWERS_LIMIT_S,
                   alone=path.name.removeprefix("api_") in LONELY)

    def report(self):
        if not self.asked:
            self.stage.skip("smoke.answers_wrong", "no program of tests/clients was run to its end")
            return
        for (file, line), text in self.wrong.items():
            self.stage.fact(f"smoke.answer_{file}_{line}", False, note=text)
            if self.stage.machine.simulated:
                self.stage.fail(f"smoke.answer_{file}_{line}", text)
        self.stage.fact("smoke.answers_wrong", len(self.wrong), None,
                        "answers of this driver that tests/clients expect to be others, in "
                        + ", ".join(sorted(self.asked)))


class Held:
    """How often each client was held at its gate, asked of the daemon while they run; only a
    daemon with a control socket (jansson) can answer."""

    def __init__(self, daemon):
        self.path = str(daemon.folder / "run" / "control.sock")
        self.waits = {}  # pid: (name, times held)
        self.why = None
        self.next = 0.0

    def ask(self):
        if self.why or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + 0.1
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(1)
                s.connect(self.path)
                s.send(b'{"op": "clients"}')
                answer = json.loads(s.recv(1 << 20))
            if not answer.get("ok"):  # built without jansson, say
                self.why = f"reind: {answer.get('error', 'no answer')}"
            for c in answer.get("clients", []):
                self.waits[c["pid"]] = (c["name"], c["gate_waits"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            self.why = f"reind does not answer: {e}"


def without_program(name):
    return f"{name} was not built here"


def imports(stage, module):
    """Whether this Python has a module; it is not imported here."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)"
    return Child([stage.machine.python, "-c", code], dict(os.environ)).wait(20).status == 0
