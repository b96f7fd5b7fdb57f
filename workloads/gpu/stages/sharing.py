# SPDX-License-Identifier: Apache-2.0
"""Asks what a latency-critical program (LC) gets beside a best-effort one (BE), and what that
leaves to BE: alone, sharing natively (time slices), under rein with each gate there is, and under
MPS. LC are ResNet-50 (as a CUDA graph, and eagerly) and a decoder in PyTorch, and a chain of
kernels; BE are ResNet-50 training,
matrix products of 5 ms and of 50 ms, a kernel that stays, and a stream of 2 ms kernels. LC's
arrivals are Poisson, at 0.3 of what it can serve alone, the same ones in every mode; a cell lasts a
few seconds. Cells come in order of worth; what the time does not suffice for is named."""

import contextlib
import time
from pathlib import Path

import mps
import sharing_figures as figures
import sharing_peers as peers
from stage import NO_PROFILE

LIMIT_S = 105
LOAD = 0.3
SEED = 1
HEAD_START_S = 0.5  # BE fills its queue before requests arrive
RESERVE_S = 10      # of the stage's time, for ending everything
SLACK_S = 1.5       # of a cell beyond its windows
LC_PRIO, BE_PRIO = 50, 0
SMALL_MEMORY = 60e9  # bytes: below, training takes smaller batches

# mode → what the daemon is to take for proven of this GPU (daemon/profile.h): each row adds
# something to the one before, the first has the launch gate alone
QUEUE = {"works": True, "point_ns": 3000, "gives_up_slice": True, "waits_for_ever": True}
GATES = {
    "rein": {},
    "rein-queue": {"queue": QUEUE},
    "rein-slice": {"queue": QUEUE, "context": {"recipe": "timeslice", "timeslice_us": 50}},
    "rein-context": {"queue": QUEUE, "context": {"recipe": "disable", "hold_us": 750,
                                                 "timeslice_us": 200}},
}
SHARED = ("native", *GATES, "mps")

# name → (script of torch/, its arguments); name → the driver-API program's kernels
TORCH = {
    "resnet50_graph": ("lc_torch.py", ["--model", "resnet50", "--graph"]),
    "resnet50": ("lc_torch.py", ["--model", "resnet50"]),
    "decoder": ("lc_torch.py", ["--model", "decoder"]),
    "train": ("be_torch.py", ["--work", "resnet50-train"]),
    "gemm5": ("be_torch.py", ["--work", "gemm", "--kernel-ms", "5"]),
    "gemm50": ("be_torch.py", ["--work", "gemm", "--kernel-ms", "50"]),
}
KERNELS = {"chain": ("lc", 12, 200), "stream": ("be", 1, 2000)}  # program, per request or step, µs
SIMULATED_US = {"chain": 500, "stream": 1000}
GEMM_GRAIN = 128  # sizes of products are multiples of it, as in torch/works.py


def cells(machine):
    """Groups of cells (lc, be, mode) in order of worth. The programs of a group are started
    together, before its first cell."""
    chain = [("chain", None, "native"), (None, "stream", "native"),
             *(("chain", "stream", mode) for mode in SHARED)]
    if machine.simulated:
        return [chain]
    enemy = [(None, "persistent", "native"),
             *(("chain", "persistent", mode) for mode in SHARED)]
    if not machine.torch:
        return [chain, enemy]
    first = [m for m in SHARED if m != "mps"]
    return [
        [("resnet50_graph", None, "native"), (None, "train", "native"),
         *(("resnet50_graph", "train", mode) for mode in first)],
        [(None, "gemm50", "native")],  # alone: it finds the size of its product
        [("resnet50_graph", "train", "mps"), (None, "gemm5", "native"),
         *(("resnet50_graph", be, mode) for be in ("gemm5", "gemm50") for mode in SHARED),
         (None, "persistent", "native"),
         *(("resnet50_graph", "persistent", mode) for mode in SHARED)],
        [("resnet50", None, "native"), *(("resnet50", "train", mode) for mode in SHARED)],
        [("decoder", None, "native"), *(("decoder", "train", mode) for mode in SHARED)],
        chain,
    ]


class Table:
    """The run of the stage: its programs, its environments, what is known so far."""

    def __init__(self, stage, stack):
        self.stage, self.stack = stage, stack
        self.machine = stage.machine
        more = min(max(stage.limit_s / LIMIT_S, 1), 2)  # where the stage has the time
        self.window_s = 1.2 if self.machine.simulated else 3.0 * more
        self.rows = []
        self.peers = {}       # (program, mode) → its peer
        self.broken = {}      # (program, mode) → why it is of no use
        self.modes = {}       # mode → function(prio, name) → environment
        self.no_mode = {}     # mode → why there is none
        self.daemons = {}
        self.rate_hz, self.solo_p99_ms, self.solo_rate = {}, {}, {}
        self.work = {name: {} for name in KERNELS}
        self.gemm50_size = None

    # ---- environments
    def environment(self, mode, name):
        """The environment of a program in that mode; None with the reason in no_mode."""
        if mode not in self.modes and mode not in self.no_mode:
            try:
                self.modes[mode] = self.open_mode(mode)
            except (mps.Unavailable, RuntimeError) as e:
                self.no_mode[mode] = str(e)
                if not isinstance(e, mps.Unavailable):
                    self.stage.fail(mode, str(e))
        if mode in self.no_mode:
            return None
        env = self.modes[mode](name)
        if self.machine.simulated:
            times = (f"{p}_step={SIMULATED_US[n]}us" for n, (p, _, _) in KERNELS.items())
            env |= {"SOFTGPU_TIMES": ",".join(times), "SOFTGPU_MODE": "wall"}
        return env

    def open_mode(self, mode):
        if mode == "native":
            return lambda name: self.machine.environment()
        if mode == "mps":
            more = self.stack.enter_context(mps.server(self.stage))
            return lambda name: self.machine.environment() | more
        if GATES[mode] and "jansson" not in self.machine.have:
            raise mps.Unavailable("reind was built without jansson and reads no profile")
        daemon = self.stack.enter_context(self.stage.daemon(NO_PROFILE | GATES[mode]))
        self.daemons[mode] = daemon
        return lambda name: daemon.env(prio=BE_PRIO if is_be(name) else LC_PRIO, name=name,
                                       REIN_LOG="debug")

    # ---- programs
    def peer(self, name, mode):
        """Starts a program, if it has not been started."""
        key = (name, mode)
        if key in self.peers or key in self.broken:
            return
        env = self.environment(mode, name)
        if env is None:
            self.broken[key] = self.no_mode[mode]
            return
        title = f"{name}-{mode}"
        if name in TORCH:
            script, arguments = TORCH[name]
            argv = [self.machine.python, Path(peers.__file__).parent / "torch" / script, *arguments,
                    "--limit", str(int(self.stage.left()) + 5), *self.size(name)]
            peer = peers.Talker(self.stage, title, argv, env)
        elif name == "persistent":
            tool = self.stage.tool(name)
            if not tool:
                self.broken[key] = "the probe persistent was not built"
                return
            peer = peers.Talker(self.stage, title,
                                [tool, "--limit", str(int(self.stage.left()) + 5)], env)
        else:
            peer = self.one_shot(name, title, env)
        self.peers[key] = peer

    def size(self, name):
        if name == "train" and self.machine.gpu.get("memory_bytes", 0) < SMALL_MEMORY:
            return ["--batch", "32"]
        if name.startswith("gemm") and self.gemm50_size:
            scale = (int(name[4:]) / 50) ** (1 / 3)
            size = max(round(self.gemm50_size * scale / GEMM_GRAIN), 1) * GEMM_GRAIN
            return ["--size", str(size)]
        return []

    def one_shot(self, name, title, env):
        program, kernels, kernel_us = KERNELS[name]
        elements = "262144"
        if self.machine.simulated:  # times are declared; the arithmetic is only for the check
            elements, self.work[name] = "64", {"work": 2}
        kind = peers.Be if is_be(name) else peers.Lc
        argv = [self.machine.build / "workloads" / program, "--kernels", str(kernels),
                "--elements", elements]
        return kind(self.stage, title, argv, env, kernel_us, self.work[name],
                    self.machine.scratch / f"{title}.json")

    def start(self, group):
        """Starts what a group of cells needs, all at once, and waits until it is ready."""
        wanted = [(name, mode) for lc, be, mode in group for name in (lc, be) if name]
        new = [key for key in dict.fromkeys(wanted) if key not in self.peers]
        for key in new:
            self.peer(*key)
        end = time.monotonic() + min(60, self.stage.left() - RESERVE_S)
        for key in new:
            if key in self.peers:
                with self.guard(key):
                    self.peers[key].ready(max(end - time.monotonic(), 0.5))

    @contextlib.contextmanager
    def guard(self, *keys):
        """A program that breaks costs its own cells and no others."""
        try:
            yield
        except peers.Broken as e:
            key = next((k for k in keys if str(e).startswith(f"{k[0]}-{k[1]}:")), keys[0])
            self.broken[key] = str(e)
            if not e.told:
                self.stage.problem(str(e))

    def close(self):
        for peer in self.peers.values():
            peer.hang_up()
        for peer in self.peers.values():
            peer.close()

    # ---- cells
    def run(self, group):
        names = [self.id(*c) for c in group]
        if self.stage.left() < RESERVE_S + self.window_s + 5:
            for name in names:
                self.stage.skip(name, "no time left")
            return
        self.start(group)
        for (lc, be, mode), name in zip(group, names):
            keys = [(n, mode) for n in (lc, be) if n]
            why = next((self.broken[k] for k in keys if k in self.broken), None)
            if why is None and lc and be and lc not in self.rate_hz:
                why = f"{lc} alone was not measured"
            if why is None and self.stage.left() < RESERVE_S + self.cell_s(lc, be):
                why = "no time left"
            if why:
                self.stage.skip(name, why)
                continue
            self.stage.progress(name)
            with self.guard(*keys):
                try:
                    self.cell(lc, be, mode)
                except peers.Broken:
                    for key in keys:
                        self.peers[key].halt()
                    raise

    def cell_s(self, lc, be):
        """What a cell takes, if nothing unusual happens."""
        return (self.window_s if lc else self.window_s / 2) + HEAD_START_S + SLACK_S

    @staticmethod
    def id(lc, be, mode):
        if not lc:
            return f"sharing.{be}_solo_steps_per_s"
        return f"sharing.{lc}_{be}_{mode}_p99_ms" if be else f"sharing.{lc}_solo_p99_ms"

    def cell(self, lc, be, mode):
        if not lc:
            self.be_alone(be, self.peers[be, mode])
        elif not be:
            self.lc_alone(lc, self.peers[lc, mode])
        else:
            self.shared(lc, be, mode)

    def be_alone(self, be, peer):
        peer.start()
        time.sleep(HEAD_START_S)
        begin = time.monotonic_ns()
        time.sleep(self.window_s / 2)
        finish = time.monotonic_ns()
        steps = peer.stop()
        rate = figures.steps_per_s(steps, begin, finish)
        more = {k: steps[k] for k in ("kernel_ms", "size", "blocks", "threads") if k in steps}
        if be == "gemm50":
            self.gemm50_size = steps.get("size")
        self.stage.fact(self.id(None, be, "native"), rate, "1/s", "best effort alone", **more)
        if rate == 0:
            raise peers.Broken(f"{peer.name}: it finished no step alone")
        # of a program that finds the length of its steps itself, the work is what compares
        self.solo_rate[be] = rate * steps.get("rounds", 1)

    def lc_alone(self, lc, peer):
        def window(seconds, rate_hz):
            peer.prepare(seconds, rate_hz, SEED)
            return peer.window(seconds, rate_hz, SEED)

        closed = window(self.window_s / 4, 0)
        service = figures.service_s(closed)
        if not service:
            raise peers.Broken(f"{peer.name}: it served no request alone")
        rate_hz = LOAD / service
        found = figures.cell(window(self.window_s, rate_hz))
        if found["p99_ms"] is None:
            raise peers.Broken(f"{peer.name}: no request arrived within {self.window_s} s")
        self.rate_hz[lc], self.solo_p99_ms[lc] = rate_hz, found["p99_ms"]
        self.stage.fact(f"sharing.{lc}_service_ms", service * 1e3, "ms",
                        "median of a request alone, in closed loop")
        self.stage.fact(f"sharing.{lc}_load", found["load"], None,
                        "ρ: the part of the time in which a request is served, alone")
        self.note(lc, None, "solo", found | {"p99_over_solo": 1.0})

    def shared(self, lc, be, mode):
        a, b = self.peers[lc, mode], self.peers[be, mode]
        rate_hz = self.rate_hz[lc]
        a.prepare(self.window_s, rate_hz, SEED)  # LC is there first, then BE, then requests
        b.start()
        time.sleep(HEAD_START_S)
        window = a.window(self.window_s, rate_hz, SEED)
        steps = b.stop()
        if mode in self.daemons:
            for peer in (a, b):
                if not self.daemons[mode].joined(peer.pids[-1]):
                    raise peers.Broken(f"{peer.name}: it did not join the daemon")
        solo_rate = self.solo_rate.get(be)
        if solo_rate:
            solo_rate /= steps.get("rounds", 1)
        self.note(lc, be, mode, figures.cell(window, steps, self.solo_p99_ms[lc], solo_rate))
        if mode in self.daemons:
            self.acts(lc, be, mode, b)

    def acts(self, lc, be, mode, peer):
        """What the gates did to the best-effort program, so that no mode is one in name only."""
        client = self.daemons[mode].clients().get(peer.pids[-1])
        if not client:
            return
        peer.program.running()  # takes in its log
        said = [line.partition("] ")[2] for line in peer.program.child.err.splitlines()
                if "context gate" in line or "no points" in line]
        did = {k: client[k] for k in ("points", "context_holds", "gate_waits", "backlog_waits",
                                      "lapses")}
        self.stage.fact(f"sharing.{lc}_{be}_{mode}_acts", " ".join(f"{k}={v}" for k, v in
                        did.items()), None, f"what held {be}, since it began"
                        + "".join(f"; its shim: {line}" for line in said[-2:]))

    def note(self, lc, be, mode, found):
        """A cell's figures become facts, and a row of the table."""
        id = self.id(lc, be, mode)
        if found["p99_ms"] is None:
            self.stage.skip(id, "no request was served within the window")
            return
        beside = f" beside {be}, {mode}" if be else " alone"
        unserved = {"unserved": found["unserved"]} if found["unserved"] else {}
        self.stage.fact(id, found["p99_ms"], "ms", f"latency of {lc}{beside}", n=found["n"],
                        p50_ms=found["p50_ms"], **unserved)
        stem = id.removesuffix("p99_ms")
        if be:
            self.stage.fact(stem + "p99_over_solo", found["p99_over_solo"], None, f"{lc}{beside}")
        if found.get("be_over_solo") is not None:
            self.stage.fact(stem + "be_over_solo", found["be_over_solo"], None,
                            f"throughput of {be} beside {lc}, {mode}")
        self.rows.append((lc, be, mode, found))
        kind = "Simulated" if self.machine.simulated else "Measured"
        text = f"{kind} on {self.machine.gpu['name']}.\n\n{figures.table(self.rows)}"
        (self.stage.results_dir / "sharing.md").write_text(text, encoding="utf-8")


def is_be(name):
    return name not in ("resnet50_graph", "resnet50", "decoder", "chain")


def run(stage):
    if stage.machine.simulated:
        stage.skip("sharing.resnet50", "the software GPU cannot run PyTorch")
        stage.skip("sharing.persistent", "the software GPU gives a kernel that waits for the host "
                   "no time of its own")
    elif not stage.machine.torch:
        stage.skip("sharing.resnet50", "this Python has no PyTorch")
    with contextlib.ExitStack() as stack:
        table = Table(stage, stack)
        stack.callback(table.close)
        try:
            for group in cells(stage.machine):
                table.run(group)
        finally:
            table.close()  # before what they depend on, daemon and MPS server


def summary(facts):
    """The ratios of the first pair of programs that shared the GPU."""
    shared = [id for id in facts if id.endswith("_p99_over_solo")]
    if not shared:
        return "nothing was shared"
    pair = shared[0].removeprefix("sharing.").removesuffix("_p99_over_solo").rsplit("_", 1)[0]
    found = []
    for mode in SHARED:
        stem = f"sharing.{pair}_{mode}_"
        p99, be = facts.get(stem + "p99_over_solo"), facts.get(stem + "be_over_solo")
        if p99:
            found.append(f"{mode} {p99['value']:.2f}×"
                         + (f" (BE {be['value']:.2f})" if be else ""))
    return f"{' beside '.join(pair.rsplit('_', 1))}: p99 over solo: " + ", ".join(found)
