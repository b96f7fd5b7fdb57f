# SPDX-License-Identifier: Apache-2.0
"""What may be watched here and what it costs: CUPTI activity records on short kernels (added time
per launch, completeness, layout, late enabling, graphs), its clock across two processes, its
conflict with PyTorch's profiler; which eBPF programs load and attach, and what a uprobe and a
traced switch cost; what NVML tells about single processes. Nothing is set anywhere."""

import glob
import os
import site
from pathlib import Path

LIMIT_S = 45
CONFLICT = Path(__file__).resolve().parent.parent / "cupti_conflict.py"
BURSTS = 300
SIMULATED_BURSTS = 5
TORCH_LIMIT_S = 30  # importing it from a cold disk, and two profiles
# cupti_cost's modes, in order of worth, and the base line of each
MODES = (("kernel", "off"), ("graph_trace", "graph_off"), ("callback", "off"), ("driver", "off"),
         ("latency", "off"), ("graph_kernel", "graph_off"), ("late", None), ("late_busy", None))


def bundled_cupti():
    """The CUPTI that comes with PyTorch's packages, or None."""
    for folder in site.getsitepackages() + [site.getusersitepackages()]:
        found = sorted(glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcupti.so.1[23]")))
        if found:
            return found[-1]
    return None


def cost(stage, mode, options):
    return stage.run(f"cupti_cost {mode}", [stage.tool("cupti_cost"), mode, *options],
                     limit_s=15)


def find_cupti(stage):
    """The options that name a CUPTI that works, else None."""
    for library in ([], ["--cupti", bundled_cupti()]):
        if library and not library[1]:
            break
        result = cost(stage, "features", library)
        if result.ok:
            return library
        if "telemetry.cupti_version" in result.facts or result.status is None:
            break  # it is there and refuses, or hangs: another copy would, too
    return None


def added(stage, mode, base, facts, bases):
    """What the mode adds to its base line; the base line is the mean of its two runs."""
    for what in ("launch_ns", "wall_ns"):
        mine = facts.get(f"telemetry.cupti_{mode}_{what}")
        base_values = [b[f"telemetry.cupti_{base}_{what}"]["value"] for b in bases
                       if f"telemetry.cupti_{base}_{what}" in b]
        if mine and base_values:
            mean = sum(base_values) / len(base_values)
            stage.fact(f"telemetry.cupti_{mode}_added_{what}", round(mine["value"] - mean, 1), "ns",
                       note=f"to {base}: " + " and ".join(f"{v:.0f}" for v in base_values)
                       + " ns before and after")


def cupti(stage):
    if stage.tool("cupti_cost") is None:
        stage.skip("telemetry.cupti", "cupti_cost was not built")
        return
    bursts = SIMULATED_BURSTS if stage.machine.simulated else BURSTS
    library = find_cupti(stage)
    if library is None:
        double = stage.machine.build / "softgpu" / "libcupti.so.13"
        why = (stage.skips.get("telemetry.cupti_features", "CUPTI cannot be used")
               + ("; the software GPU's was not built (it needs CUPTI's headers)"
                  if stage.machine.simulated and not double.exists() else ""))
        for mode, _ in MODES:
            stage.skip(f"telemetry.cupti_{mode}", why)
        stage.skip("telemetry.clock", why)
        for base in ("off", "graph_off"):
            cost(stage, base, ["--bursts", str(bursts)])
        return
    options = library + ["--bursts", str(bursts)]
    first = cost(stage, "off", options).facts
    if "telemetry.cupti_work" in first:  # the same kernels for all modes
        options = options + ["--work", str(int(first["telemetry.cupti_work"]["value"]))]
    bases = {"off": [first], "graph_off": [cost(stage, "graph_off", options).facts]}
    results = {}
    for n, (mode, base) in enumerate(MODES):
        results[mode] = cost(stage, mode, options).facts
        if n == 0:
            clock(stage, library)
    for base, facts in bases.items():
        facts.append(cost(stage, base, options).facts)
    for mode, base in MODES:
        if base:
            added(stage, mode, base, results[mode], bases[base])


def clock(stage, library):
    tool = stage.tool("cupti_clock")
    if tool is None:
        stage.skip("telemetry.clock", "cupti_clock was not built")
        return
    stage.run("cupti_clock", [tool, *library], limit_s=25)


def conflict(stage):
    tracer = stage.tool("preload/cupti_tracer.so")
    if stage.machine.simulated:
        why = "PyTorch needs a GPU of NVIDIA's"
    elif not stage.machine.torch:
        why = "PyTorch is not installed"
    elif tracer is None:
        why = "cupti_tracer.so was not built"
    else:
        why = None
    for order in ("torch_first", "tracer_first"):
        if why is None and stage.left() < TORCH_LIMIT_S / 2:
            why = "no time was left"
        if why:
            stage.skip(f"telemetry.conflict_{order}", why)
            continue
        argv = [stage.machine.python, CONFLICT, order, tracer]
        library = bundled_cupti()
        stage.run(f"cupti_conflict {order}", argv + ([library] if library else []),
                  limit_s=TORCH_LIMIT_S)


def others(stage):
    for tool, id, limit_s in (("bpf_types", "bpf", 15), ("bpf_cost", "bpf_cost", 25),
                              ("nvml_read", "nvml", 15)):
        if stage.tool(tool) is None:
            stage.skip(f"telemetry.{id}", f"{tool} was not built")
        else:
            stage.run(tool, [stage.tool(tool)], limit_s=limit_s)


def run(stage):
    cupti(stage)
    others(stage)
    conflict(stage)


def summary(facts):
    def value(id, form="{}"):
        fact = facts.get(f"telemetry.{id}")
        return None if fact is None else form.format(fact["value"])

    kinds = [f["value"] for id, f in facts.items()
             if id.startswith("telemetry.bpf_") and isinstance(f["value"], str)
             and not id.startswith("telemetry.bpf_with")]
    parts = [value("cupti_kernel_added_launch_ns", "CUPTI kernel records {:+.0f} ns a launch"),
             value("cupti_kernel_missing", "{:.0f} records missing"),
             value("clock_outside_ns", "clock off by {:.0f} ns"),
             f"{sum(k in ('works', 'loads') for k in kinds)} of {len(kinds)} BPF kinds allowed"
             if kinds else None,
             value("call_push_uprobe_ns", "uprobe {:.0f} ns")]
    return ", ".join(p for p in parts if p) or "nothing could be asked"
