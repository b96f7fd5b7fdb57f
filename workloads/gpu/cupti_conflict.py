# SPDX-License-Identifier: Apache-2.0
"""cupti_conflict.py: can a tracer of ours and PyTorch's profiler live in one process?

Asks, in one process per order: CUPTI has one subscriber per process. "tracer_first": ours
subscribes and collects kernel records, then torch.profiler profiles KERNELS matrix products;
"torch_first": the profiler alone, ours after it, ours in the middle of it.
Read: …_subscribe is "accepted" or CUPTI's error; …_torch_kernels is how many of the KERNELS the
profiler shows, …_tracer_records how many records came to us; …_torch_says what its profiler wrote
to stderr about CUPTI. Whoever is second and still gets everything is no conflict.

usage: cupti_conflict.py ORDER TRACER [LIBRARY]   (LIBRARY: the CUPTI to use if PyTorch has none)
"""

import contextlib
import ctypes
import glob
import json
import os
import signal
import sys
import tempfile

KERNELS = 20
LIMIT_S = 100
SKIPPED = 77


def fact(id, value, note=None):
    line = {"fact": f"telemetry.conflict_{id}", "value": value}
    print(json.dumps(line | ({"note": note} if note else {})), flush=True)


def skip(id, why):
    print(json.dumps({"skip": f"telemetry.conflict_{id}", "why": why}), flush=True)


def torch_library(torch):
    """The CUPTI that PyTorch itself uses: the one in this process, or the one beside it."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            if "/libcupti.so" in line:
                return line.split(None, 5)[5].strip()
    site = os.path.dirname(os.path.dirname(torch.__file__))
    beside = sorted(glob.glob(os.path.join(site, "nvidia", "*", "lib", "libcupti.so.*"))
                    + glob.glob(os.path.join(site, "torch", "lib", "libcupti*.so*")))
    return beside[-1] if beside else None


class Tracer:
    def __init__(self, path, library):
        self.lib = ctypes.CDLL(path)
        for name in ("tracer_start", "tracer_stop", "tracer_incumbent"):
            getattr(self.lib, name).restype = ctypes.c_char_p
        self.lib.tracer_start.argtypes = [ctypes.c_char_p]
        self.lib.tracer_take.restype = ctypes.c_long
        self.library = library.encode() if library else None

    def start(self, id):
        why = self.lib.tracer_start(self.library).decode(errors="replace")
        who = self.lib.tracer_incumbent().decode(errors="replace") if why else ""
        fact(id, why or "accepted", f"CUPTI names the incumbent: {who}" if who else None)
        return not why

    def stop(self):
        return self.lib.tracer_stop().decode(errors="replace")

    def take(self):
        return self.lib.tracer_take()


@contextlib.contextmanager
def stderr_kept(lines):
    """What native code writes to stderr meanwhile goes to `lines`, and on to stderr."""
    sys.stderr.flush()
    old = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(old, 2)
            os.close(old)
            kept.seek(0)
            text = kept.read().decode(errors="replace")
            lines += text.splitlines()
            sys.stderr.write(text)


def products(torch, x):
    for _ in range(KERNELS):
        torch.mm(x, x)
    torch.cuda.synchronize()


def profiled(torch, x, id, inside=lambda: None):
    """Profiles the products; how many kernels it shows. inside() runs while it is profiling."""
    lines, kernels = [], None
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with stderr_kept(lines):
        try:
            with torch.profiler.profile(activities=activities) as profile:
                inside()
                products(torch, x)
            kernels = sum(1 for e in profile.events()
                          if e.device_type == torch.autograd.DeviceType.CUDA
                          and not e.name.startswith(("Memcpy", "Memset")))
        except RuntimeError as e:
            lines.append(f"CUPTI: {e}".splitlines()[0])
    said = [line for line in lines if "cupti" in line.lower()]
    fact(f"{id}_torch_kernels", kernels if kernels is not None else "an exception",
         f"of {KERNELS} matrix products; one product may take more than one kernel")
    fact(f"{id}_torch_says", said[0][:200] if said else "nothing about CUPTI",
         f"{len(said)} such lines" if said else None)


def tracer_first(torch, x, tracer):
    if not tracer.start("tracer_first_subscribe"):
        return
    products(torch, x)
    fact("tracer_alone_records", tracer.take(), f"of {KERNELS} matrix products, before profiling")
    profiled(torch, x, "tracer_first")
    fact("tracer_first_tracer_records", tracer.take(), "that came to us while it profiled")
    products(torch, x)
    fact("tracer_first_after_records", tracer.take(), "that came to us after it")
    fact("tracer_first_stop", tracer.stop() or "ok", "disabling and unsubscribing")


def torch_first(torch, x, tracer):
    profiled(torch, x, "torch_alone")
    if tracer.start("torch_before_subscribe"):  # is its subscription gone with its profile?
        products(torch, x)
        fact("torch_before_tracer_records", tracer.take(), f"of {KERNELS} products")
        fact("torch_before_stop", tracer.stop() or "ok", "disabling and unsubscribing")
    profiled(torch, x, "torch_first", lambda: tracer.start("torch_first_subscribe"))
    fact("torch_first_tracer_records", tracer.take(), "that came to us while it profiled")
    tracer.stop()


def main():
    orders = {"tracer_first": tracer_first, "torch_first": torch_first}
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in orders:
        print("usage: cupti_conflict.py tracer_first|torch_first TRACER [LIBRARY]",
              file=sys.stderr)
        return 2
    signal.alarm(LIMIT_S)
    here = os.path.dirname(os.path.abspath(__file__))  # which has a folder of the name torch
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) != here]
    try:
        import torch
        import torch.profiler
    except ImportError as e:
        skip(sys.argv[1], f"PyTorch cannot be imported: {e}")
        return SKIPPED
    if not torch.cuda.is_available():
        skip(sys.argv[1], "PyTorch finds no CUDA device")
        return SKIPPED
    x = torch.randn(512, 512, device="cuda")
    products(torch, x)  # cuBLAS starts up
    library = torch_library(torch) or (sys.argv[3] if len(sys.argv) == 4 else None)
    fact(f"{sys.argv[1]}_library", library or "the system's")
    orders[sys.argv[1]](torch, x, Tracer(sys.argv[2], library))
    return 0


if __name__ == "__main__":
    sys.exit(main())
