# SPDX-License-Identifier: Apache-2.0
"""enforcement: what rein itself does on this GPU, by its own daemon. Every enemy computes the same
bits alone and while an urgent program preempts it with all gates; a program in a slice of n SMs gets
their part of the throughput, and the same bits while the slice changes; under MPS a quarter of the
SMs keeps its latency beside a kernel that stays on the rest; programs held by a daemon that is
killed run on within a lease."""

import contextlib
import json
import random
import signal
import time

import mps
from sharing import GATES
from stage import NO_PROFILE, Skip

LIMIT_S = 40
ALL_GATES = NO_PROFILE | GATES["rein-context"]
PERCENTAGE = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
LEASE_MS = 100
BUSY_HOST_MS = 400  # beyond the lease, before it counts as late
# kind → units, so that a run takes about a second beside an urgent program; and what else where the
# GPU is made of software
ENEMIES = {"long": (20, "--batch 10 --elements 1024"), "short": (3, "--batch 300 --elements 256"),
           "persistent": (2, "--batch 10 --elements 2048"), "graph": (2, "--elements 128"),
           "bandwidth": (20, "--elements 8192"), "copy": (40, "--elements 4096"),
           "cooperative": (10, "--batch 8 --elements 1024"), "streams": (20, "--elements 1280")}
SIZES = {"25%": 0.25, "50%": 0.5, "75%": 0.75}
SLICE_S = 1.0
BITS_SHARE = 0.5    # of the stage's time, for the enemies
MOST_DEATHS = 200
REQUEST_MS = 60     # of the urgent program beside dying daemons: they mostly die while it runs
HELD_NS = 8_000_000  # without the end of a kernel of 2 ms
SETTLE_S = 0.15     # from a daemon's death to the next one: longer than a lease


def program(stage, name):
    path = stage.machine.build / "workloads" / name
    if not path.exists():
        raise Skip(f"{name} was not built; the build log says why")
    return path


def small(stage, options):
    """These options where the GPU is made of software: only the order is asked for."""
    return options.split() if stage.machine.simulated else []


def figures(text):
    """The JSON object that a program printed; None: none."""
    at = text.find("{\n")
    with contextlib.suppress(ValueError):
        return json.JSONDecoder().raw_decode(text[at:])[0] if at >= 0 else None
    return None


def environment(stage, env, times):
    if stage.machine.simulated:
        env = env | {"SOFTGPU_RM": "1", "SOFTGPU_MODE": "wall", "SOFTGPU_TIMES": times,
                     "SOFTGPU_OVERRUN_SLACK": "10s"}
    return env


# ---- the same bits

def enemy(stage, kind, env, limit_s):
    work, options = ENEMIES[kind]
    argv = [program(stage, "enemy"), "--kind", kind, "--work", work, "--check", "--seed", 1,
            *small(stage, f"--iterations 2 {options}")]
    return stage.run(f"enemy {kind}", argv, limit_s=limit_s, env=env)


def same_bits(stage):
    checked = preempted = 0
    bare = environment(stage, stage.machine.environment(), "urgent_step=1ms")
    with stage.daemon(ALL_GATES) as daemon:
        urgent = stage.start("urgent", [program(stage, "urgent"), "--requests", 1000000, "--gap", 4],
                             env=environment(stage, daemon.env(prio=90, name="urgent"),
                                             "urgent_step=1ms"))
        held = environment(stage, daemon.env(prio=0, name="enemy"), "urgent_step=1ms")
        for kind in ENEMIES:
            if stage.left() < stage.limit_s * (1 - BITS_SHARE):
                stage.skip(f"enforcement.same_bits_{kind}", "no time was left")
                continue
            alone = figures(enemy(stage, kind, bare, 8).out)
            beside = figures(enemy(stage, kind, held, 10).out)
            if not alone or not beside:
                continue  # the run's own problem has been told
            same = alone["digest"] == beside["digest"]
            stage.fact(f"enforcement.same_bits_{kind}", same, None,
                       f"digest {beside['digest']} beside an urgent program, {alone['digest']} alone")
            if not same:
                stage.problem(f"{kind}: its result is another one under preemption")
            checked += same
        result = urgent.stop(signal.SIGTERM)
        preempted = len((figures(result.out) or {}).get("records", []))
    stage.fact("enforcement.same_bits", checked, "programs", f"of {len(ENEMIES)}, beside an urgent "
               f"program that came {preempted} times")


# ---- slices

def rate(stage, env, sms):
    env = env | ({"REIN_SMS": sms} if sms else {})
    out = stage.run(f"be {sms or 'all'}", [program(stage, "be"), "--seconds", SLICE_S, "--kernel-us",
                                           500, "--json", "-", *small(stage, "--elements 16384 --work 1")], limit_s=10, env=env).out
    return (figures(out) or {}).get("steps_per_s")


def slices(stage):
    with stage.daemon(NO_PROFILE) as daemon:
        env = environment(stage, daemon.env(prio=0, name="sliced"), "be_step=2ms")
        whole = rate(stage, env, None)
        for sms, part in SIZES.items():
            found = rate(stage, env, sms)
            if whole and found:
                stage.fact(f"enforcement.slice_{sms.rstrip('%')}", found / whole, "of the whole GPU's",
                           f"throughput of kernels of 0.5 ms under REIN_SMS={sms}, {part} expected")


def changing_slice(stage):
    """The same bits while the slice changes under load."""
    rein = stage.machine.build / "rein"
    if not rein.exists():
        stage.skip("enforcement.changing_slice_same_bits", "rein was not built")
        return
    argv = [program(stage, "enemy"), "--kind", "long", "--work", 150, "--check", "--seed", 2,
            *small(stage, "--iterations 2 --batch 10 --elements 16384")]
    with stage.daemon(NO_PROFILE) as daemon:
        env = environment(stage, daemon.env(prio=0, name="changing", REIN_SMS="50%"), "enemy_step=500us")
        load = stage.start("enemy, changing slice", argv, env=env)
        changes = 0
        while load.running() and stage.left() > stage.limit_s * 0.3:
            sms = ("25%", "all", "75%", "50%")[changes % 4]
            changes += stage.run("rein set", [rein, "set", "changing", "--sms", sms], limit_s=5,
                                 env=env, ok=None).status == 0
        beside = figures(load.wait(10).out)
    alone = figures(stage.run("enemy alone", argv, limit_s=10, env=environment(
        stage, stage.machine.environment(), "enemy_step=500us")).out)
    if alone and beside:
        same = alone["digest"] == beside["digest"]
        stage.fact("enforcement.changing_slice_same_bits", same, None, f"after {changes} changes")
        if not same:
            stage.problem("a result is another one while its slice changes")


def quarter(stage, env, seconds, beside=None):
    """The p99 in ms of a program on a quarter of the SMs, alone or beside a kernel that stays."""
    other = None
    times = "lc_step=1ms,enemy_persistent=2s"
    if beside:
        other = stage.start("persistent", [program(stage, "enemy"), "--kind", "persistent",
                                           "--seconds", 0, *small(stage, "--elements 1024")],
                            env=environment(stage, env | {PERCENTAGE: "75"}, times))
        time.sleep(0.5)
    out = stage.run("lc on a quarter", [program(stage, "lc"), "--seconds", seconds, "--period", 20,
                                        "--arrivals", "periodic", "--kernels", 3, "--kernel-us",
                                        1000, "--json", "-"], limit_s=seconds + 8,
                    env=environment(stage, env | {PERCENTAGE: "25"}, times)).out
    if other:
        other.stop(signal.SIGTERM)
    return (figures(out) or {}).get("latency", {}).get("p99_ns", 0) / 1e6


def reserved(stage):
    fact = "enforcement.quarter_p99_over_solo"
    try:
        with mps.server(stage) as env:
            env = stage.machine.environment() | env
            alone, beside = quarter(stage, env, 2), quarter(stage, env, 2, beside=True)
    except mps.Unavailable as e:
        stage.skip(fact, str(e))
        return
    if alone and beside:
        stage.fact(fact, beside / alone, "of solo", "p99 on 25 % of the SMs beside a kernel that "
                   f"stays on 75 %, by MPS percentages: {beside:.2f} ms, alone {alone:.2f} ms")


# ---- the daemon's death

def await_joined(daemon, programs, until):
    """Until the daemon has them all, again."""
    while time.monotonic() < until:
        if {p.pid for p in programs} <= daemon.clients().keys():
            return True
        time.sleep(0.02)
    return False


def deaths(stage, until):
    order = random.Random(1)
    killed = []  # CLOCK_MONOTONIC, ns
    with stage.daemon(ALL_GATES) as daemon:
        times = f"be_step=2ms,urgent_step={REQUEST_MS / 3}ms"
        be = stage.start("be", [program(stage, "be"), "--seconds", 0, "--kernel-us", 2000, "--json", "-",
                                *small(stage, "--elements 256")],
                         env=environment(stage, daemon.env(prio=0, name="be"), times))
        urgent = stage.start("urgent", [program(stage, "urgent"), "--requests", 1000000, "--gap", 5,
                                        "--kernel-us", REQUEST_MS * 1000 // 3],
                             env=environment(stage, daemon.env(prio=90, name="urgent"), times))
        while (len(killed) < MOST_DEATHS and be.running()
               and await_joined(daemon, (be, urgent), until)):
            time.sleep(order.uniform(0.02, 0.02 + 2 * REQUEST_MS / 1000))
            killed.append(daemon.kill())
            time.sleep(SETTLE_S)
            daemon.again()
        urgent.stop(signal.SIGTERM)
        be.signal(signal.SIGTERM)
        ends = (figures(be.wait(10).out) or {}).get("step_end_ns", [])
    if not killed or not ends:
        stage.skip("enforcement.deaths_worst_ms", "no daemon was killed in the time there was")
        return
    after = [next((end for end in ends if end > at + 5e6), None) for at in killed]
    late = [(end - at) / 1e6 if end else float("inf") for at, end in zip(killed, after)]
    held = sum(1 for at in killed if not any(at - HELD_NS < end <= at for end in ends))
    stage.fact("enforcement.deaths_worst_ms", max(late), "ms", "from the daemon's SIGKILL to the end "
               f"of a kernel of the less urgent program, which had stood still {held} times",
               n=len(killed), p50=sorted(late)[len(late) // 2])
    if held == 0:
        stage.problem("no daemon died while the less urgent program was held")
    if max(late) > LEASE_MS + BUSY_HOST_MS:
        stage.problem(f"a program stood still for {max(late):.0f} ms after its daemon's death")


def run(stage):
    if "jansson" not in stage.machine.have:
        raise Skip("reind was built without jansson and reads no profile")
    end = time.monotonic() + stage.left()
    same_bits(stage)
    slices(stage)
    changing_slice(stage)
    reserved(stage)
    deaths(stage, end - 4)


def summary(facts):
    """What held, in one line."""
    parts = []
    if "enforcement.same_bits" in facts:
        parts.append(f"{facts['enforcement.same_bits']['value']} enemies bit-equal")
    parts += [f"slice {sms} {facts[f]['value']:.3f}" for sms in ("25", "50", "75")
              if (f := f"enforcement.slice_{sms}") in facts]
    worst = facts.get("enforcement.deaths_worst_ms")
    if worst:
        parts.append(f"{worst['n']} daemon deaths, still for {worst['value']:.0f} ms at most")
    return ", ".join(parts)
