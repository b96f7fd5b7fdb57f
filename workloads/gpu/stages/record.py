# SPDX-License-Identifier: Apache-2.0
"""The recorder (workloads/record) as a part of the smoke stage: programs run once more on a proxy
libcuda.so.1 that writes down each driver call; the traces go, compressed, into the results' folder
traces/, and are replayed on the software GPU at once where that was built.

On a real GPU: programs of the runtime API with a static and a shared cudart, cuBLAS, PyTorch. On
the software GPU: driver-API programs, so that recorder and replayer are tested."""

import gzip
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

from stage import ended

GOAL_S = 26              # for all of it; less if the stage has less left
REPLAYS_S = 5            # of that, for the replays
TORCH_S = 8              # PyTorch is not begun with less
TRACE_MAX = 200_000      # bytes of one compressed trace …
ALL_MAX = 2_000_000      # … and of all
RAW_MAX = 24 << 20       # bytes that a program may write
REPLAY_LIMIT_S = 10
FIND_DRIVER = ("import ctypes, os; ctypes.CDLL('libcuda.so.1'); "
               "print(next(os.path.realpath(l.split()[-1]) for l in open('/proc/self/maps') "
               "if '/libcuda.so' in l))")
TORCH = """
import torch
torch.manual_seed(0)
x = torch.randn(4, 3, 32, 32, device='cuda')
a = torch.randn(128, 128, device='cuda')
conv = torch.nn.Conv2d(3, 8, 3).cuda()
with torch.no_grad():
    for _ in range(3):
        y, b = conv(x).relu(), a @ a
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        c = (a @ a).relu()
    for _ in range(3):
        graph.replay()
torch.cuda.synchronize()
print('sums', float(y.sum()), float(b.sum()), float(c.sum()))
"""


def programs(stage):
    """[(name, argv)] of what is there to record, the most telling first."""
    build, machine = stage.machine.build, stage.machine
    if machine.simulated:
        found = [("saxpy", [build / "workloads" / "saxpy"]),
                 ("matmul", [build / "workloads" / "matmul"]),
                 ("api_graphs", [build / "tests" / "clients" / "api_graphs"])]
    else:
        names = ["rt_basic-static", "rt_basic-shared", "cublas-static", "rt_graphs-static",
                 "rt_streams_ptds-static", "rt_pools-static", "rt_library-static", "cublas-shared"]
        found = [(n, [build / "gpu" / "cudart" / n]) for n in names]
    there = []
    for name, argv in found:
        if argv[0].exists():
            there.append((name, argv))
        else:
            stage.skip(f"smoke.record_{name}", f"{argv[0].name} was not built here")
    if machine.torch and not machine.simulated:
        there.insert(2, ("torch", [machine.python, "-c", TORCH]))
    elif not machine.simulated:
        stage.skip("smoke.record_torch", "this Python has no PyTorch")
    return there


def driver_path(stage):
    """The file that libcuda.so.1 is, or None."""
    r = stage.run("find libcuda.so.1", [sys.executable, "-c", FIND_DRIVER], limit_s=10,
                  ok=tuple(range(256)))
    path = r.out.strip().splitlines()[-1:] or [""]
    return path[0] if r.status == 0 and path[0].startswith("/") else None


class Recording:
    """One program on the recorder."""

    def __init__(self, stage, name, argv, driver):
        self.stage, self.name, self.argv = stage, name, argv
        self.folder = Path(stage.machine.scratch or stage.results_dir) / "record" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = stage.machine.environment() | {
            "CUDA_RECORD_DRIVER": driver, "CUDA_RECORD_DIR": str(self.folder),
            "CUDA_RECORD_LIMIT": str(RAW_MAX), "PYTHONDONTWRITEBYTECODE": "1"}
        self.program = None

    def start(self, preload=False):
        proxy = self.stage.machine.build / "record"
        env = dict(self.env)
        if preload:
            env["LD_PRELOAD"] = str(proxy / "libcuda.so.1")
        else:
            env["LD_LIBRARY_PATH"] = ":".join(
                [str(proxy)] + [f for f in [env.get("LD_LIBRARY_PATH")] if f])
        self.program = self.stage.start(f"record {self.name}", self.argv, env=env,
                                        ok=tuple(range(256)))

    def traces(self):
        """The process that called most first: a program may have children."""
        return sorted((p for p in self.folder.glob("*.trace") if p.stat().st_size),
                      key=lambda p: p.stat().st_size, reverse=True)


def compressed(raw):
    """(bytes, whether lines were left out): at most TRACE_MAX, cut after a line."""
    packed, part = gzip.compress(raw, 9, mtime=0), raw
    while len(packed) > TRACE_MAX:
        part = part[:int(len(part) * min(0.95, TRACE_MAX / len(packed)))]
        part = part[:part.rfind(b"\n") + 1] + b"cut %d\n" % len(raw)
        packed = gzip.compress(part, 9, mtime=0)
    return packed, part is not raw


CALL = re.compile(rb"^call \d+ \d+ \d+ \d+ (\d+) (\w+)", re.M)


def tell(stage, recording, raw, result):
    """Facts of one program's trace."""
    name, calls = recording.name, CALL.findall(raw)
    refused = result.status != 0
    last = ", ".join(f"{c.decode()} → {int(s)}" for s, c in calls[-3:])
    said = (result.err.strip().splitlines() or ["it printed no message"])[-1]
    if refused:
        stage.fact(f"smoke.record_refused_{name}", True,
                   note=f"{ended(result.status)} on the recorder: {said}; last calls: {last}")
    stage.fact(f"smoke.record_calls_{name}", len(calls), None,
               f"{len({c for _, c in calls})} different; {sum(s != b'0' for s, _ in calls)} "
               f"of them with an error")
    return len(calls), refused


def tell_all(stage, every, calls, refused, total):
    """What the look-ups of all traces together say about this driver."""
    stage.fact("smoke.record_calls", calls, None, f"in {len(every)} traces, {total} bytes packed")
    stage.fact("smoke.record_refused", len(refused), None,
               "programs that failed on the recorder"
               + (": " + ", ".join(refused) if refused else ""))
    for how, note in (("exact", "that are exported functions"),
                      ("rule", "that the driver does not export; named by the header's rules"),
                      ("opaque", "of no known function: not recorded")):
        n = sum(raw.count(b'found="%s"' % how.encode()) for raw in every)
        stage.fact(f"smoke.record_lookups_{how}", n, None,
                   "addresses from cuGetProcAddress " + note)
    opaque = {m.decode() for raw in every
              for m in re.findall(rb'symbol="(\w+)"[^\n]*found="opaque"', raw)}
    if opaque:
        stage.fact("smoke.record_opaque_names", " ".join(sorted(opaque)))
    tables = {m.decode() for raw in every
              for m in re.findall(rb"cuGetExportTable [^\n]*pExportTableId=\{(\w+)\}", raw)}
    stage.fact("smoke.record_export_tables", len(tables), None,
               " ".join(sorted(tables)) or "none was asked for")


def replay(stage, paths):
    """Every trace on the software GPU."""
    build = stage.machine.build
    if not (build / "softgpu" / "libcuda.so.1").exists():
        stage.skip("smoke.replay", "the software GPU was not built here")
        return
    # as large as the recorded GPU may be: libraries ask for all the shared memory there is
    env = stage.machine.software_environment() | {"SOFTGPU_MODE": "fast",
                                                  "SOFTGPU_GEOMETRY": "h200"}
    env["SOFTGPU_SHM"] = f"replay-{os.getpid()}"
    same = done = 0
    for path in paths:
        name = path.name.removesuffix(".trace.gz")
        if stage.left() < 3:
            stage.skip(f"smoke.replay_{name}", "no time left")
            continue
        r = stage.run(f"replay {name}", [build / "record" / "replay", "--limit", REPLAY_LIMIT_S,
                                         path],
                      limit_s=REPLAY_LIMIT_S + 2, env=env, ok=tuple(range(256)))
        try:
            found = json.loads(r.out.strip().splitlines()[-1])
        except (IndexError, ValueError):
            stage.fail(f"smoke.replay_{name}",
                       (r.err.strip().splitlines() or ["the replayer printed nothing"])[-1])
            continue
        done += 1
        same += found["different"] == 0
        first = (r.err.strip().splitlines() or [""])[0]
        stage.fact(f"smoke.replay_{name}", found["different"], "differences",
                   f"of {found['replayed']} calls replayed on the software GPU"
                   + (f"; first: {first}" if found["different"] else ""),
                   unsupported=found["unsupported"], skipped=found["skipped"])
        if found["different"] and stage.machine.simulated:
            stage.fail(f"smoke.replay_{name}", f"{found['different']} differences: {first}")
    stage.fact("smoke.replays_same", f"{same} of {done}", None,
               "traces without a difference when replayed on the software GPU")


def run_all(stage, driver):
    """Runs the programs beside each other; yields (recording, its largest trace's bytes or None,
    its result)."""
    deadline = time.monotonic() + max(min(GOAL_S, stage.left() - 1) - REPLAYS_S, 3)
    waiting = [Recording(stage, name, argv, driver) for name, argv in programs(stage)]
    width, active = max(2, len(os.sched_getaffinity(0))), []
    while waiting or active:
        while waiting and len(active) < width:
            recording = waiting.pop(0)
            if recording.name == "torch" and deadline - time.monotonic() < TORCH_S:
                stage.skip("smoke.record_torch", f"less than {TORCH_S} s were left for it")
                continue
            active.append(recording)
            recording.start()
        if not active:
            continue
        recording = active.pop(0)
        result = recording.program.wait(max(deadline - time.monotonic(), 1))
        traces = recording.traces()
        if not traces and result.status == 0 and time.monotonic() < deadline:
            recording.start(preload=True)  # it loads the driver by its path
            result = recording.program.wait(max(deadline - time.monotonic(), 1))
            traces = recording.traces()
        yield recording, traces[0].read_bytes() if traces else None, result


def keep(stage, name, raw, folder, total):
    """The trace's packed file in the folder; None: there is no more room."""
    packed, cut = compressed(raw)
    if total + len(packed) > ALL_MAX:
        stage.skip(f"smoke.record_{name}", f"the traces have reached {ALL_MAX} bytes")
        return None
    if cut:
        stage.fact(f"smoke.record_cut_{name}", True, note=f"kept to {TRACE_MAX} bytes packed")
    path = folder / f"{name}.trace.gz"
    path.write_bytes(packed)
    return path


def record(stage):
    """Called by the smoke stage at its end."""
    proxy = stage.machine.build / "record" / "libcuda.so.1"
    if not proxy.exists() or not (proxy.parent / "replay").exists():
        stage.skip("smoke.record_calls", "the recorder was not built here")
        return
    driver = driver_path(stage)
    if not driver:
        stage.skip("smoke.record_calls", "the file of libcuda.so.1 was not found")
        return
    folder = Path(stage.results_dir) / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    every, paths, refused, calls, total = [], [], [], 0, 0
    for recording, raw, result in run_all(stage, driver):
        name = recording.name
        if raw is None:
            said = (result.err.strip().splitlines() or ["it printed no message"])[-1]
            stage.fact(f"smoke.record_refused_{name}", True,
                       note=f"no call was recorded: {ended(result.status)}: {said}")
            refused.append(name)
            continue
        n, bad = tell(stage, recording, raw, result)
        calls += n
        refused += [name] if bad else []
        every.append(raw)
        path = keep(stage, name, raw, folder, total)
        if path:
            paths.append(path)
            total += path.stat().st_size
    if every:
        tell_all(stage, every, calls, refused, total)
        replay(stage, paths)
    else:
        stage.fail("smoke.record_calls", "nothing was recorded: " + ", ".join(refused))
    shutil.rmtree(Path(stage.machine.scratch or stage.results_dir) / "record", ignore_errors=True)
