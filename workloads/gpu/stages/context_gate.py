# SPDX-License-Identifier: Apache-2.0
"""context-gate: can running work be stopped from user space, by controls on a process' own channel
group? Time slices, preemption, holding and releasing, from the process and from another one. Only
on the stage's own processes, each bounded in time by a guard that lets go of what is held; the
least dangerous first; the rest is left out if the GPU stops answering."""

from process import Child
from stage import Skip

LIMIT_S = 40
PROBES = (
    ("ctx_timeslice", 65),
    ("ctx_preempt", 50),
    ("ctx_hold", 80),
    ("ctx_remote", 50),
)
MOST = 0.7  # of the time that is left, for one probe: one that hangs costs the others no chance
HEALTH_LIMIT_S = 30
# the software GPU: its resource manager, and a load that its interpreter keeps up with
SIMULATED = ("--blocks", "2", "--threads", "32", "--kernel-ms", "2", "--quick")


def healthy(stage):
    """Whether an ordinary program still gets through."""
    tool = stage.tool("device")
    if not tool:
        return True
    limit_s = max(min(HEALTH_LIMIT_S, stage.left() - 2), 1)
    return Child([tool], stage.machine.environment()).wait(limit_s).status == 0


def errors_in_log(stage):
    """The driver's errors (Xid) in the kernel's log, or None if it may not be read."""
    child = Child(["dmesg"], stage.machine.environment()).wait(10)
    if child.status != 0:
        return None
    return [line for line in child.out.splitlines() if "NVRM: Xid" in line]


def run(stage):
    simulated = stage.machine.simulated
    spy = stage.machine.build / "gpu" / "preload" / "rm_spy.so"
    if not spy.exists():
        raise Skip("preload/rm_spy.so was not built")
    before = errors_in_log(stage)
    env = stage.machine.environment() | {"LD_PRELOAD": str(spy)}
    if simulated:
        env["SOFTGPU_RM"] = "1"
    for i, (name, limit_s) in enumerate(PROBES):
        tool = stage.tool(name)
        if not tool:
            stage.skip(f"context-gate.{name}", f"{name} was not built")
            continue
        if stage.left() < 10:
            stage.skip(f"context-gate.{name}", "no time left; STAGES=context-gate runs it alone")
            continue
        most_s = stage.left() * (1 if name == PROBES[-1][0] else MOST)
        result = stage.run(name, [tool, *(SIMULATED if simulated else ())],
                           limit_s=min(limit_s, most_s), env=env)
        if result.status not in (0, 77) and not healthy(stage):
            stage.fact("context-gate.gpu_lost", True, note=f"after {name} an ordinary program no "
                       "longer gets through")
            for later, _ in PROBES[i + 1:]:
                stage.skip(f"context-gate.{later}", f"the GPU no longer answers after {name}")
            break
    after = errors_in_log(stage)
    if simulated:
        return
    if before is None or after is None:
        stage.skip("context-gate.xids", "the kernel's log may not be read")
    else:
        new = after[len(before):] if len(after) >= len(before) else after
        stage.fact("context-gate.xids", len(new), "errors",
                   "; ".join(new[-3:]) or "none in the kernel's log during the stage")


def summary(facts):
    def value(id):
        return facts.get(f"context-gate.{id}", {}).get("value")

    parts = []
    if value("share_be_default") is not None:
        shares = [f"{value('share_be_default'):.2f}"]
        shares += [f"{value(f'share_be_{us}'):.2f} at {us[:-2]} µs" for us in ("200us", "1us")
                   if value(f"share_be_{us}") is not None]
        parts.append("share by time slice " + ", ".join(shares))
    if value("preempt_call_us") is not None:
        stops = (value("preempt_gaps_per_call") or 0) > 0.5
        parts.append(f"preempt {value('preempt_call_us'):.0f} µs"
                     + ("" if stops else ", stops nothing"))
    for recipe in ("disable_preempt", "disable", "schedule"):
        holds = value(f"holds_{recipe}_5ms")
        if holds is not None:
            text = f"{recipe}: holds {holds * 100:.0f} %"
            resume = value(f"resume_{recipe}_5ms_us")
            if resume is not None:
                text += f", resumes in {resume:.0f} µs"
            if value(f"hold_result_intact_{recipe}") is False:
                text += ", RESULT WRONG"
            parts.append(text)
        elif value(f"hold_status_{recipe}_5ms"):
            parts.append(f"{recipe}: {value(f'hold_status_{recipe}_5ms')}")
    if value("remote_holds_disable_preempt_5ms") is not None:
        parts.append(f"remote: holds {value('remote_holds_disable_preempt_5ms') * 100:.0f} %")
    elif value("remote_status"):
        parts.append(f"remote: {value('remote_status')}")
    return "; ".join(parts) or "no control was possible"
