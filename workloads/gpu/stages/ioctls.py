# SPDX-License-Identifier: Apache-2.0
"""ioctls: what libcuda asks of NVIDIA's resource manager by ioctl. A small driver-API program, a
runtime-API program and PyTorch run under preload/rm_spy.so, which decodes the calls and changes
nothing. Which channel groups, classes and channel flags do they have, is a semaphore acquire
bounded in time, how are running kernels preempted, which controls are used, is there GSP firmware?
Reading only. The decoded calls that matter for scheduling go to ioctls-calls.json."""

import collections
import glob
import json
import re

from stage import Skip

LIMIT_S = 15
SIMULATED = ("--blocks", "2", "--threads", "32", "--kernel-ms", "2", "--quick")
GROUP = 0xA06C
TIMESLICE = 0xA06C0103
PREEMPTION = 0x20801210
TORCH = ("import torch; x = torch.ones(1 << 20, device='cuda'); print((x * 2).sum().item()); "
         "y = torch.randn(256, 256, device='cuda'); print((y @ y).sum().item() is not None)")


def is_channel(class_id):
    return class_id >= 0xA06F and class_id & 0xFF == 0x6F


def is_engine_object(class_id):
    return class_id >= 0xA0B5 and class_id & 0xFF in (0xC0, 0xB5)


def load(path):
    """The calls of a log of rm_spy.so, numbers as integers; broken lines are left out."""
    calls = []
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                try:
                    call = json.loads(line)
                except ValueError:
                    continue  # the last line of a program that was killed
                for key, value in call.items():
                    if isinstance(value, str) and value.startswith("0x"):
                        call[key] = int(value, 16)
                calls.append(call)
    except OSError:
        pass
    return calls


def digest(calls):
    """What a program's calls amount to."""
    controls = collections.Counter()
    failed = collections.Counter()
    classes = collections.Counter()
    groups, scheduling = [], []
    for call in calls:
        bad = call.get("status", 0) != 0
        if call["op"] == "control":
            key = (call["cmd"], call["bytes"])
            controls[key] += 1
            failed[key] += bad
            if "params" in call:
                scheduling.append(call)
        elif call["op"] == "alloc" and not bad:
            classes[call["class"]] += 1
            if call["class"] == GROUP:
                groups.append({"client": call["client"], "handle": call["object"],
                               "engine": call.get("engine"), "channels": []})
            if call["class"] == GROUP or is_channel(call["class"]) \
                    or is_engine_object(call["class"]):
                scheduling.append(call)
            if is_channel(call["class"]):
                for group in reversed(groups):
                    if (group["client"], group["handle"]) == (call["client"], call["parent"]):
                        group["channels"].append({"handle": call["object"],
                                                  "class": hex(call["class"]),
                                                  "flags": call.get("flags"), "objects": []})
                        break
            if is_engine_object(call["class"]):
                for group in groups:
                    for channel in group["channels"]:
                        if (group["client"], channel["handle"]) == (call["client"],
                                                                    call["parent"]):
                            channel["objects"].append(hex(call["class"]))
    return {
        "calls": len(calls),
        "unknown_layouts": sum(c["op"] == "unknown" for c in calls),
        "controls": [{"cmd": f"0x{cmd:08x}", "bytes": size, "count": n,
                      "failed": failed[cmd, size]}
                     for (cmd, size), n in controls.most_common()],
        "classes": [{"class": f"0x{c:04x}", "count": n} for c, n in classes.most_common()],
        "groups": groups,
        "scheduling": scheduling,
    }


def say(stage, name, d):
    total = sum(c["count"] for c in d["controls"])
    stage.fact(f"ioctls.{name}_control_count", total, "controls",
               f"{len(d['controls'])} different commands")
    stage.fact(f"ioctls.{name}_classes",
               ", ".join(f"{c['class']}×{c['count']}" for c in d["classes"][:24]),
               note="classes of objects it allocated")
    engines = ", ".join(f"engine {g['engine']}: {len(g['channels'])}" for g in d["groups"])
    stage.fact(f"ioctls.{name}_channel_groups", len(d["groups"]), "groups",
               f"channels by engine type (1 GR0, 9… copy): {engines or 'none'}")
    flags = [c["flags"] for g in d["groups"] for c in g["channels"] if c["flags"] is not None]
    if flags:
        stage.fact(f"ioctls.{name}_acquire_timeout_channels",
                   sum(bool(f & 1 << 27) for f in flags), "channels",
                   f"of {len(flags)} with bit 27 of their flags; flags seen: "
                   + " ".join(sorted({f"0x{f:08x}" for f in flags})))
    for cmd, what in ((TIMESLICE, "timeslices"), (PREEMPTION, "preemption_modes")):
        params = [c["params"] for c in d["scheduling"] if c.get("cmd") == cmd]
        if params:
            stage.fact(f"ioctls.{name}_set_{what}", len(params), "controls",
                       "parameters, bytes in hexadecimal: " + " ".join(sorted(set(params))[:6]))
    refused = [c["cmd"] for c in d["controls"] if c["failed"]]
    if refused:
        stage.fact(f"ioctls.{name}_refused_controls", len(refused), "commands",
                   "refused at least once: " + " ".join(refused[:20]))
    if d["unknown_layouts"]:
        stage.fact(f"ioctls.{name}_unknown_layouts", d["unknown_layouts"], "ioctls",
                   "not decoded")


def programs(stage):
    """(name, argv, seconds) of what is there."""
    build = stage.machine.build
    if stage.tool("rm_program"):
        simulated = SIMULATED if stage.machine.simulated else ()
        yield "driver", [stage.tool("rm_program"), *simulated], 40
    else:
        stage.skip("ioctls.compute_group", "rm_program was not built")
    if stage.machine.simulated:
        return  # its resource manager is asked by libcuda alone, the same for all programs
    for path in ("rt_basic-shared", "rt_basic-static"):
        if (build / "gpu" / "cudart" / path).exists():
            yield "cudart", [build / "gpu" / "cudart" / path], 30
            break
    else:
        stage.skip("ioctls.cudart_control_count", "no runtime-API program was built")
    if stage.machine.torch:
        yield "torch", [stage.machine.python, "-c", TORCH], 60
    else:
        stage.skip("ioctls.torch_control_count", "PyTorch is not installed")


def firmware(stage):
    """Whether the resource manager's physical half runs as GSP firmware on the GPU: then most
    controls are messages to it."""
    lines = []
    for path in sorted(glob.glob("/proc/driver/nvidia/gpus/*/information")):
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                lines += [line.strip() for line in f if "irmware" in line]
        except OSError:
            pass
    child = stage.run("nvidia-smi", ["nvidia-smi", "-q", "-i", "0"], limit_s=20, ok=(0, 127))
    gsp = re.search(r"GSP Firmware Version\s*:\s*(\S+)", child.out)
    if gsp:
        stage.fact("ioctls.gsp_firmware", gsp.group(1), note="; ".join(lines) or None)
    elif lines:
        stage.fact("ioctls.gsp_firmware", "; ".join(lines), note="nvidia-smi does not say")
    else:
        stage.skip("ioctls.gsp_firmware", "neither nvidia-smi nor /proc/driver/nvidia says")


def run(stage):
    spy = stage.machine.build / "gpu" / "preload" / "rm_spy.so"
    if not spy.exists():
        raise Skip("preload/rm_spy.so was not built")
    digests = {}
    for name, argv, limit_s in programs(stage):
        log = stage.machine.scratch / f"ioctls-{name}.log"
        env = stage.machine.environment()
        env |= {"LD_PRELOAD": str(spy), "RM_SPY_LOG": str(log)}
        if stage.machine.simulated:
            env["SOFTGPU_RM"] = "1"
        stage.run(name, argv, limit_s=min(limit_s, stage.left() * 0.6), env=env)
        calls = load(log)
        if not calls:
            stage.skip(f"ioctls.{name}_control_count", "no call of the resource manager was seen")
            continue
        digests[name] = digest(calls)
        say(stage, name, digests[name])
    if not stage.machine.simulated:
        firmware(stage)
    if digests and stage.results_dir:
        with open(stage.results_dir / "ioctls-calls.json", "w", encoding="utf-8") as f:
            json.dump(digests, f, indent=1)
            f.write("\n")


def summary(facts):
    def value(id):
        return facts.get(f"ioctls.{id}", {}).get("value")

    parts = []
    if value("channel_groups") is not None:
        parts.append(f"{value('channel_groups')} channel groups, "
                     f"{value('compute_channels')} channels in the compute group")
    elif value("driver_channel_groups") is not None:
        parts.append(f"{value('driver_channel_groups')} channel groups")
    if value("acquire_timeout_bit") is not None:
        parts.append("acquire time-out " + ("SET" if value("acquire_timeout_bit") else "not set"))
    if value("preemption_mode"):
        parts.append(f"preemption {str(value('preemption_mode')).split(' ', maxsplit=1)[0]}")
    if value("timeslice_us") is not None:
        parts.append(f"time slice {value('timeslice_us'):g} µs")
    if value("control_firmware_us") is not None:
        parts.append(f"a control to the firmware {value('control_firmware_us'):.0f} µs")
    return "; ".join(parts) or "calls seen, no compute group found"
