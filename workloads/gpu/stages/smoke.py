# SPDX-License-Identifier: Apache-2.0
"""Does the shim, with its daemon, change anything about what CUDA programs compute on this driver?
Driver-API and runtime-API programs, NVIDIA's libraries, PyTorch and TensorRT run without the shim,
then with it: without a daemon, with one, and beside an urgent program that makes their gates close
again and again. Exit status, output and result bytes must be the same. Also: whether another
process' allocations and module loads stall launches (stall.c), and a recording of what the real
libcudart asks of the driver (record.py)."""

import ast
import contextlib
import importlib
import json
import os
import shutil
from pathlib import Path

import smoke_programs as sp
from smoke_programs import BARE, HELD, JOINED, LONE

LIMIT_S = 70
RESERVE_S = 30      # for the recording and for what is still running …
END_S = 14          # … which ends when that much is left: the recording of PyTorch needs as much
TORCH_LIMIT_S = 75  # of one PyTorch process
STAT_TOLERANCE = 1e-3
STALL_LIMIT_S = 25
HERE = Path(__file__).resolve().parent.parent


def run(stage):
    stall(stage)
    build = stage.machine.build
    cases = sp.driver_cases(build, stage.machine.simulated)
    cases += sp.runtime_cases(build, HERE / "cudart", stage.machine.simulated)
    if stage.machine.simulated:
        stage.skip("smoke.runtime_static", "NVIDIA's static cudart and the libraries on it refuse "
                   "any driver but NVIDIA's; programs with a shared one use the software GPU's")
    programs = sp.Programs(stage, cases)
    torch, tensorrt, answers = Torch(stage), TensorRT(stage), sp.Answers(stage)
    for name in programs.absent:
        stage.skip(f"smoke.program_{name}", sp.without_program(name))
    try:
        with stage.daemon() as daemon:
            all_modes(stage, daemon, programs, answers, torch, tensorrt)
            again(stage, daemon, programs)
            joined(stage, daemon, programs, torch)
    except RuntimeError as e:  # without a daemon there is still the recording
        stage.problem(str(e))
    answers.report()
    torch.report()
    tensorrt.report()
    recording(stage)


def width(stage):
    """Programs at a time: room for the PyTorch processes, which take long, and as many others."""
    cores = len(os.sched_getaffinity(0))
    return 2 if stage.machine.simulated else max(2, min(12, cores - 2))


def stall(stage):
    tool = stage.tool("stall")
    if tool:
        stage.run("stall", [tool], limit_s=STALL_LIMIT_S)
    else:
        stage.skip("smoke.stall_quiet_us", sp.without_program("stall"))


# ---- all modes

def all_modes(stage, daemon, programs, answers, torch, tensorrt):
    """The most telling first, for the time may not reach: without the shim and with the daemon,
    beside an urgent program, then the rest. PyTorch takes long and goes on beside all that."""
    bare = stage.machine.environment()
    lone = bare | {"LD_PRELOAD": str(stage.machine.build / "librein.so")}

    def jobs(mode, which):
        env = {BARE: lambda c: bare, LONE: lambda c: lone,
               JOINED: lambda c: daemon.env(prio=50, name=c.name),
               HELD: lambda c: daemon.env(prio=10, name=c.name)}[mode]
        return programs.jobs(mode, env, which)

    def first(case):
        return HELD in case.modes and not case.alone

    def rarer(case):
        return HELD not in case.modes and not case.alone

    def alone(case):
        return case.alone

    questions = answers.jobs(bare)
    pool = sp.Pool(stage, width(stage), RESERVE_S, END_S)
    pool.run(jobs(BARE, alone))
    pool.begin(torch.jobs(BARE, bare, torch.groups()))
    pool.begin(torch.jobs(JOINED, daemon.env(prio=50, name="torch"), torch.groups()))
    pool.run(jobs(BARE, first) + jobs(JOINED, first))
    with beside_an_urgent_one(stage, daemon, pool) as urgent:
        if urgent:
            pool.run(torch.jobs(HELD, daemon.env(prio=10, name="torch"), torch.quick())
                     + jobs(HELD, first))
        pool.run([j for j in questions if not j.alone] + jobs(LONE, first)
                 + jobs(BARE, rarer) + jobs(JOINED, rarer))
        pool.finish()
        pool.run(jobs(HELD, alone) if urgent else [])
    pool.run(jobs(JOINED, alone) + [j for j in questions if j.alone] + jobs(LONE, alone))
    left_out(stage, "smoke.all_runs", pool)
    tensorrt.run(bare, daemon.env(prio=50, name="tensorrt"))


@contextlib.contextmanager
def beside_an_urgent_one(stage, daemon, pool):
    """What the pool runs meanwhile has gates that close: an urgent program has a request every few
    ms. None: there is none."""
    urgent = start_urgent(stage, daemon)
    if not urgent:
        stage.skip("smoke.held_programs", "neither lc nor rt_pulse-static was built here")
        yield None
        return
    held = sp.Held(daemon)
    pool.while_running = held.ask
    yield urgent
    pool.while_running = lambda: None
    if not urgent.running():
        stage.problem("the urgent program ended early")
    urgent.stop()
    seen = [w for pid, w in held.waits.items() if pid != urgent.pid]
    if held.why or not seen:
        stage.skip("smoke.held_programs", held.why or "no program ran beside the urgent one")
    else:
        stage.fact("smoke.held_programs", sum(n > 0 for _, n in seen), None,
                   f"of {len(seen)} seen beside the urgent program; their gates held them "
                   f"{sum(n for _, n in seen)} times in all (a lower bound: asked every 0.1 s)")


def start_urgent(stage, daemon):
    lc = stage.machine.build / "workloads" / "lc"
    pulse = stage.machine.build / "gpu" / "cudart" / "rt_pulse-static"
    env = daemon.env(prio=90, name="urgent")
    if lc.exists():
        return stage.start("urgent", [lc, "--seconds", LIMIT_S, "--arrivals", "periodic",
                                      "--period", 8, "--kernels", 2, "--kernel-us", 500], env=env)
    if pulse.exists() and not stage.machine.simulated:
        return stage.start("urgent", [pulse], env=env)
    return None


def left_out(stage, id, pool):
    if pool.left:
        stage.skip(id, "no time left for " + ", ".join(job.name for job in pool.left))


# ---- what follows

def again(stage, daemon, programs):
    """A run that differed is repeated, as is the one without the shim: a program whose results
    differ between two runs without the shim tells nothing."""
    differing = programs.differing()
    unstable = set()
    for case, mode, how in differing:
        repeat = sp.Programs(stage, [case])
        if stage.left() > RESERVE_S / 2:
            repeat_env = (daemon.env(prio=50, name=case.name) if mode != LONE else
                          stage.machine.environment()
                          | {"LD_PRELOAD": str(stage.machine.build / "librein.so")})
            sp.Pool(stage, 1, 5).run([repeat.job(case, BARE, stage.machine.environment()),
                                      repeat.job(case, JOINED, repeat_env)])
        bare = repeat.outcomes.get((case.name, BARE))
        shim = repeat.outcomes.get((case.name, JOINED))
        first = programs.outcomes[case.name, BARE]
        if bare and bare.difference(first):
            unstable.add((case.name, mode))
            stage.fact(f"smoke.unstable_{case.name}", True,
                       note="two runs without the shim differ: " + bare.difference(first))
            continue
        once = "" if not bare or not shim else (
            "; again when repeated" if shim.difference(bare) else "; not when repeated")
        stage.fact(f"smoke.same_{case.name}", False, note=f"{mode}: {how}{once}")
        stage.fail(f"smoke.same_{case.name}", f"{mode}: {how}{once}")
    fails_bare(stage, programs)
    compared = programs.compared() - len(unstable)
    same = compared - (len(differing) - len(unstable))
    if compared:
        stage.fact("smoke.programs_same", f"{same} of {compared}", None,
                   f"runs under the shim whose status, output and results are those of the run "
                   f"without it; {len(programs.cases)} programs")
    said = [line for o in programs.outcomes.values() for line in o.shim]
    stage.fact("smoke.shim_messages", len(said), None, said[0] if said else "the shim said nothing")


def fails_bare(stage, programs):
    """What fails even without the shim."""
    for case in programs.cases:
        bare = programs.outcomes.get((case.name, BARE))
        if not bare or bare.status in (0, None):
            continue  # one that did not end has been recorded already
        if bare.status == 77:
            stage.skip(f"smoke.program_{case.name}", bare.last)
        elif case.judged or stage.machine.simulated:
            stage.fail(f"smoke.bare_{case.name}", f"fails without the shim: {bare.said}")
        else:
            stage.fact(f"smoke.bare_{case.name}", False, note="fails without the shim: this driver "
                       f"is not what the software GPU takes it for: {bare.said}")


def joined(stage, daemon, programs, torch):
    """Every shimmed program that ended well must have joined the daemon, or it was no test."""
    ran = [(f"{name} ({mode})", o.pid) for (name, mode), o in programs.outcomes.items()
           if mode in (JOINED, HELD) and o.status == 0] + torch.ran
    log, count = daemon.log(), len(ran)
    missing = [name for name, pid in ran if not daemon.joined(pid)]
    if not count:
        stage.skip("smoke.joined", "no program ran with the daemon")
        return
    if missing and "were left out" in log:
        stage.fact("smoke.joined", f"{count - len(missing)} of {count}", None,
                   "the daemon's log left out lines, so more may have joined")
        return
    stage.fact("smoke.joined", f"{count - len(missing)} of {count}", None,
               "programs that the daemon's log says have joined")
    if missing:
        stage.fail("smoke.joined", "did not join the daemon: " + ", ".join(missing))


# ---- PyTorch

class Torch:
    """torch/smoke_torch.py in every mode: a line per case with a digest of its results."""

    SCRIPT = HERE / "torch" / "smoke_torch.py"
    QUICK = ("conv", "matmul", "autograd", "graph", "streams")

    def __init__(self, stage):
        self.stage = stage
        self.lines = {}  # (case, mode): its line
        self.ends = {}   # (case, mode): how the process ended that should have printed it
        self.names = []
        self.ran = []    # (name, pid) of the processes that should have joined the daemon
        if not stage.machine.torch:
            self.why = "this Python has no PyTorch"
        elif stage.machine.simulated:
            self.why = "PyTorch's libraries refuse any driver but NVIDIA's"
        else:
            self.why = None
            self.names = self.case_names()
            if not self.names:
                self.why = f"no case was found in {self.SCRIPT.name}"

    @classmethod
    def case_names(cls):
        """The keys of CASES, read without importing PyTorch."""
        try:
            tree = ast.parse((cls.SCRIPT.parent / "smoke_cases.py").read_text(encoding="utf-8"))
        except (OSError, SyntaxError):
            return []
        for node in tree.body:
            if (isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
                    and getattr(node.targets[0], "id", None) == "CASES"):
                return [k.value for k in node.value.keys if isinstance(k, ast.Constant)]
        return []

    def groups(self):
        """torch.compile takes long: a process of its own; the rest in two."""
        slow = [n for n in self.names if n == "compile"]
        rest = [n for n in self.names if n != "compile"]
        return [g for g in (slow, rest[::2], rest[1::2]) if g]

    def quick(self):
        names = [n for n in self.names if n in self.QUICK]
        return [names] if names else []

    def jobs(self, mode, env, groups):
        return [self.job(mode, env, names) for names in groups]

    def job(self, mode, env, names):
        argv = [self.stage.machine.python, self.SCRIPT, "--limit", TORCH_LIMIT_S - 5,
                "--compile-limit", TORCH_LIMIT_S - 25, *names]

        def done(result, program):
            for line in result.out.splitlines():
                try:
                    found = json.loads(line)
                    self.lines[found["case"], mode] = found
                except (ValueError, TypeError, KeyError):
                    continue
            if mode != BARE and result.status == 0:
                self.ran.append((f"torch ({mode})", program.pid))
            last = (result.err.strip().splitlines() or ["it printed no message"])[-1]
            for name in names:
                self.ends[name, mode] = f"status {result.status}: {last}"

        return sp.Job(f"torch ({mode})", argv, env | {"PYTHONDONTWRITEBYTECODE": "1"}, done,
                      limit_s=TORCH_LIMIT_S, paced=mode != BARE)

    def compare(self, bare, shim):
        """How a case's two lines differ, or ""."""
        if "skip" in shim:
            return f"not asked with the shim: {shim['skip']}"
        if not shim.get("ok"):
            return "" if not bare.get("ok") else f"fails: {shim.get('error', 'no reason given')}"
        if not bare.get("ok"):
            return f"fails without the shim only: {bare.get('error', 'no reason given')}"
        if bare.get("digest") == shim.get("digest"):
            return ""
        if bare.get("exact", True):
            return f"digest {shim.get('digest')}, without the shim {bare.get('digest')}"
        for a, b in zip(bare.get("stat", []), shim.get("stat", [])):
            if abs(a - b) > STAT_TOLERANCE * max(abs(a), abs(b), 1e-6):
                return f"statistics {shim.get('stat')}, without the shim {bare.get('stat')}"
        return "" if bare.get("stat") else "other digests, and no statistics to compare"

    def report(self):
        if self.why:
            self.stage.skip("smoke.torch_same", self.why)
            return
        same, compared, inexact = 0, 0, []
        for (name, mode), how in self.ends.items():
            if mode == BARE:
                continue
            bare, shim = self.lines.get((name, BARE)), self.lines.get((name, mode))
            if bare is None and shim is None:
                difference = ""  # neither printed a line: that they failed alike is no news
                self.stage.fail(f"smoke.torch_{name}", f"without the shim: no result: "
                                f"{self.ends.get((name, BARE), 'it was not run')}")
                continue
            if bare and "skip" in bare:
                continue  # there is nothing to compare with; said below
            compared += 1
            if bare is None:
                difference = f"no result without the shim: {self.ends.get((name, BARE))}"
            elif shim is None:
                difference = f"no result: {how}"
            else:
                difference = self.compare(bare, shim)
                if bare.get("digest") != shim.get("digest") and not difference:
                    inexact.append(name)
            same += not difference
            if difference:
                self.stage.fact(f"smoke.torch_{name}", False, note=f"{mode}: {difference}")
                self.stage.fail(f"smoke.torch_{name}", f"{mode}: {difference}")
        for (name, mode), line in self.lines.items():
            if mode == BARE and "skip" in line:
                self.stage.skip(f"smoke.torch_{name}", line["skip"])
            elif mode == BARE and not line.get("ok", True):
                self.stage.fact(f"smoke.torch_{name}", False,
                                note=f"fails without the shim: {line.get('error')}")
        note = "cases whose results are those of the run without the shim"
        if inexact:
            note += ", of these within 0.1 % only: " + ", ".join(sorted(set(inexact)))
        if compared:
            self.stage.fact("smoke.torch_same", f"{same} of {compared}", None, note)
        else:
            self.stage.skip("smoke.torch_same", "no PyTorch process came to its end")


# ---- TensorRT

class TensorRT:
    """torch/smoke_tensorrt.py: an engine is built once, then run without and with the shim."""

    SCRIPT = HERE / "torch" / "smoke_tensorrt.py"

    def __init__(self, stage):
        self.stage = stage
        self.found = None  # (digest without, digest with)
        cover = "; rt_library and rt_graphs cover how it calls the driver"
        if stage.machine.simulated:
            self.why = "TensorRT refuses any driver but NVIDIA's" + cover
        elif not sp.imports(stage, "tensorrt"):
            also = " (trtexec alone shows no results)" if shutil.which("trtexec") else ""
            self.why = "TensorRT is not installed for this Python" + also + cover
        else:
            self.why = None

    def run(self, bare, shim):
        if self.why:
            return
        engine = Path(self.stage.machine.scratch) / "smoke.engine"
        digests = []
        for name, env in (("without the shim", bare), ("under the shim", shim)):
            r = self.stage.run(f"tensorrt {name}", [self.stage.machine.python, self.SCRIPT, engine],
                               limit_s=min(40, max(self.stage.left() - 40, 5)), env=env)
            if not r.ok:
                self.why = f"{name}: " + (r.err.strip().splitlines() or ["no message"])[-1]
                return
            digests.append(r.out.strip())
        self.found = digests

    def report(self):
        if not self.found:
            self.stage.skip("smoke.tensorrt_same", self.why or "it was not run")
            return
        bare, shim = self.found
        self.stage.fact("smoke.tensorrt_same", bare == shim, note=shim)
        if bare != shim:
            self.stage.fail("smoke.tensorrt_same", f"{shim}, without the shim {bare}")


# ---- the recorder

def recording(stage):
    try:
        record = importlib.import_module("record")
    except ModuleNotFoundError:
        stage.skip("smoke.record", "there is no recorder in this tree")
        return
    try:
        record.record(stage)
    except Exception as e:  # what the stage has found stands, whatever happens here
        stage.problem(f"recording: {type(e).__name__}: {e}")


def summary(facts):
    def value(name, default="?"):
        return facts[name]["value"] if name in facts else default
    text = f"same results in {value('smoke.programs_same')} runs under the shim"
    if "smoke.torch_same" in facts:
        text += f", {value('smoke.torch_same')} PyTorch cases"
    if "smoke.joined" in facts:
        text += f"; joined {value('smoke.joined')}"
    stalls = {k: f["value"] for k, f in facts.items()
              if k.startswith("smoke.stall_") and k.endswith("_p99_us")}
    quiet = stalls.pop("smoke.stall_quiet_p99_us", None)
    stalls.pop("smoke.stall_alone_p99_us", None)
    if stalls and quiet:
        worst = max(stalls, key=stalls.get)
        name = worst[len("smoke.stall_"):-len("_p99_us")].replace("_", " ")
        text += f"; launch+wait p99 {quiet:.0f} µs, {stalls[worst]:.0f} µs beside {name}"
    return text
