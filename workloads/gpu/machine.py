# SPDX-License-Identifier: Apache-2.0
"""What machine this is: its GPU and driver, or the software GPU in their place; CUDA, PyTorch,
MPS, BPF. Everything is read, nothing is set."""

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import sys

from process import Child

DRIVER_FOLDERS = ":/usr/bin:/usr/local/nvidia/bin"  # of its programs, where PATH lacks them
PROBE_LIMIT_S = 90  # a driver's first start takes seconds on large machines


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return default


def output(argv, limit_s=20):
    """What a command prints, or "" if it is not there, fails or takes too long."""
    child = Child(argv, dict(os.environ)).wait(limit_s)
    return child.out.strip() if child.status == 0 else ""


class Machine:
    """simulated: no usable NVIDIA GPU, the software GPU stands in; why_simulated says why.
    gpu: the facts of the probe `device`: name, driver, sms, …; build: the build folder."""

    def __init__(self, build, have):
        self.build = build.resolve()
        self.have = have  # the libraries that this build found: inih, jansson …
        self.python = sys.executable
        self.scratch = None  # a private folder for the run, set by check.py
        self.gpu, self.why_simulated = self.probe(self.real_environment())
        self.simulated = self.gpu is None
        if self.simulated:
            self.gpu, why = self.probe(self.software_environment())
            if self.gpu is None:
                raise RuntimeError(f"no NVIDIA GPU ({self.why_simulated}), and the software GPU "
                                   f"cannot stand in: {why}; run 'make deps', then again")
        self.torch = self.find_torch()
        self.nvcc = shutil.which("nvcc") or self.near_cuda("bin/nvcc")
        self.mps = None if self.simulated else shutil.which(
            "nvidia-cuda-mps-control", path=os.environ.get("PATH", os.defpath) + DRIVER_FOLDERS)

    def near_cuda(self, path):
        for folder in (os.environ.get("CUDA_HOME"), "/usr/local/cuda", self.build / "cuda"):
            if folder and os.path.exists(os.path.join(folder, path)):
                return os.path.join(folder, path)
        return None

    def real_environment(self):
        """Ours without what would bring in the shim or a software driver of this build."""
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("SOFTGPU_", "REIN_")) and k != "LD_PRELOAD"}
        folders = [f for f in env.get("LD_LIBRARY_PATH", "").split(":")
                   if f and not os.path.realpath(f).startswith(str(self.build) + os.sep)]
        env.pop("LD_LIBRARY_PATH", None)
        if folders:
            env["LD_LIBRARY_PATH"] = ":".join(folders)
        return env

    def software_environment(self):
        env = self.real_environment()
        before = env.get("LD_LIBRARY_PATH")
        env["LD_LIBRARY_PATH"] = str(self.build / "softgpu") + (":" + before if before else "")
        env["SOFTGPU_SHM"] = f"gpu-check-{os.getpid()}"
        return env

    def environment(self):
        """A fresh copy of the environment in which programs find the GPU of this run."""
        env = self.software_environment() if self.simulated else self.real_environment()
        if self.scratch:
            # no daemon of the machine's own takes part; Stage.daemon() overrides this
            env["REIN_RUN_DIR"] = str(self.scratch / "no-daemon")
        return env

    def probe(self, env):
        """(facts of the device, None) or (None, why there is none)."""
        tool = self.build / "gpu" / "device"
        if not tool.exists():
            return None, f"{tool} was not built; {self.build}/gpu/build.log says why"
        child = Child([tool], env).wait(PROBE_LIMIT_S)
        facts = {}
        for line in child.out.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                fact = json.loads(line)
                facts[fact["fact"].partition(".")[2]] = fact["value"]
        if child.status == 0 and "name" in facts:
            return facts, None
        if child.timed_out:
            return None, f"the driver did not answer within {PROBE_LIMIT_S} s"
        if "libcuda.so.1: cannot open" in child.err:
            return None, "there is no NVIDIA driver: libcuda.so.1 was not found"
        lines = child.err.strip().splitlines()
        return None, lines[-1] if lines else f"the probe ended with status {child.status}"

    def find_torch(self):
        """PyTorch's version, if this Python has it; it is not imported, which takes seconds."""
        code = "import importlib.metadata as m; print(m.version('torch'))"
        return output([self.python, "-c", code]) or None

    @functools.cached_property
    def driver_version(self):
        """Asked once: nvidia-smi takes seconds, and may hang beside a wedged GPU."""
        text = re.search(r"\b\d{3,}\.\d+(\.\d+)*\b", read("/proc/driver/nvidia/version"))
        known = read("/sys/module/nvidia/version") or (text and text.group(0))
        if not known:
            smi = output(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
            known = (smi.splitlines() or [""])[0].strip()
        return known or f"cuda{int(self.gpu.get('cuda', 0))}"

    def driver(self):
        """The driver's version, as short as it can be said."""
        return "simulated" if self.simulated else self.driver_version

    def describe(self):
        """The environment of the results: what anyone needs to read them."""
        cpu = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
        system = re.search(r'PRETTY_NAME="?([^"\n]*)', read("/etc/os-release"))
        nvcc = re.search(r"release [\d.]+, V([\d.]+)",
                         output([self.nvcc, "--version"]) if self.nvcc else "")
        memory = re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))
        return {
            "gpu": self.gpu,
            "driver": self.driver(),
            "libraries_of_this_build": sorted(self.have),
            "driver_text": read("/proc/driver/nvidia/version") or None,
            "driver_parameters": self.driver_parameters(),
            "nvcc": nvcc.group(1) if nvcc else None,
            "torch": self.torch,
            "python": platform.python_version(),
            "compiler": (output(["gcc", "--version"]).splitlines() or [None])[0],
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "system": system.group(1) if system else None,
            "cpu": cpu.group(1) if cpu else None,
            "cores": len(os.sched_getaffinity(0)),
            "memory_mib": int(memory.group(1)) // 1024 if memory else None,
            "virtual": self.virtual(),
            "uid": os.getuid(),
            "mps": self.mps,
            "bpf": self.bpf(),
            "nvidia_smi": output(["nvidia-smi", "--query-gpu=name,driver_version,pstate,"
                                  "clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw,"
                                  "compute_mode,mig.mode.current,persistence_mode,memory.total",
                                  "--format=csv"]) or None,
        }

    @staticmethod
    def driver_parameters():
        """Module parameters that change scheduling and tracing; from the driver's own listing."""
        lines = read("/proc/driver/nvidia/params").splitlines()
        pairs = dict(line.split(": ", 1) for line in lines if ": " in line)
        return {k: v for k, v in pairs.items()
                if k in ("RmProfilingAdminOnly", "EnableGpuFirmware", "RegistryDwords",
                         "OpenRmEnableUnsupportedGpus", "EnableMSI")} or None

    @staticmethod
    def virtual():
        if "hypervisor" in read("/proc/cpuinfo"):
            return read("/sys/class/dmi/id/product_name") or "a hypervisor"
        return None

    @staticmethod
    def bpf():
        """Whether eBPF is likely to be allowed; the telemetry stage tries it for real."""
        if not os.path.exists("/sys/kernel/btf/vmlinux"):
            return "no BTF"
        if os.getuid() != 0:
            return "not root"
        return "BTF present, root"
