# SPDX-License-Identifier: Apache-2.0
"""Can a client be limited to some of the SMs? Green contexts of one process: sizes, costs,
confinement, isolation, order (the probes slices_split, slices_confine, slices_order). Then two
processes, each on its half: without MPS they are expected to take turns, under MPS to run side by
side; and what MPS itself offers, a percentage of threads at start and an execution affinity."""

import json

import mps

LIMIT_S = 25
PROBE_LIMIT_S = {"split": 30, "confine": 35, "order": 25}
READY_LIMIT_S = 20  # a driver's start, and under MPS the server's too
RUN_S = 0.8
ANSWER_S = 10  # more than RUN_S: the last kernels end late
PERCENT = 25
MPS_RESERVE_S = 12  # not worth beginning with less


class Lost(Exception):
    """A peer does not answer; the text says so."""


class Peer:
    """A slices_peer: the load on a part of the SMs, when told."""

    def __init__(self, stage, name, arguments, env):
        self.stage = stage
        self.name = name
        self.seen = 0
        self.saw = {}  # its first answer
        argv = [stage.tool("slices_peer"), *arguments]
        self.program = stage.start(name, argv, env=env, stdin=True)

    def answer(self, limit_s):
        line, self.seen = self.program.await_line("out", limit_s,
                                                  lambda line: line.startswith("{"), self.seen)
        if line is None:
            last = (self.program.child.err.strip().splitlines() or ["no message"])[-1]
            raise Lost(f"{self.name} did not answer: {last}")
        return json.loads(line)

    def await_ready(self):
        self.saw = self.answer(READY_LIMIT_S)
        if self.saw["peer"] == "refused":
            raise Lost(self.saw["why"])

    def end(self):
        self.program.tell("quit")
        self.program.stop(grace_s=3)


def run_together(peers):
    """Each runs the load at the same time; their answers."""
    for peer in peers:
        peer.program.tell(f"go {RUN_S}")
    return [peer.answer(RUN_S + ANSWER_S) for peer in peers]


def distinct(text):
    """The SM numbers of "0-7 16"."""
    found = set()
    for word in text.split():
        first, _, last = word.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def halves(stage, label, env, what):
    """Two processes, each on its half of the SMs: alone, then both."""
    peers = [Peer(stage, f"half{i}-{label}", ["--half", i], env) for i in (0, 1)]
    try:
        for peer in peers:
            peer.await_ready()
        alone = [run_together([peer])[0] for peer in peers]
        both = run_together(peers)
    except Lost as e:
        stage.skip(f"slices.processes_{label}_x", f"two halves {what}: {e}")
        return
    finally:
        for peer in peers:
            peer.end()
    rates = [[r["blocks_per_s"] for r in runs] for runs in (alone, both)]
    apart = not distinct(both[0]["sms"]) & distinct(both[1]["sms"])
    stage.fact(f"slices.processes_{label}_x", round(sum(rates[1]) / sum(rates[0]), 4),
               note=f"two processes {what}, each in a green context of {peers[0].saw['part']} SMs: "
                    "throughput of both together / the sum of each alone; 1: they run side by "
                    "side, 0.5: they take turns",
               each=[round(b / a, 4) for a, b in zip(*rates)])
    stage.fact(f"slices.processes_{label}_apart", apart,
               note=f"their blocks ran on different SMs: {both[0]['sms']} / {both[1]['sms']}")


def one(stage, id, name, arguments, env, describe):
    """A process that is limited in some way: describe(what it saw, what it ran)."""
    peer = Peer(stage, name, arguments, env)
    try:
        peer.await_ready()
        ran = run_together([peer])[0]
        describe(peer.saw, ran)
        return ran
    except Lost as e:
        stage.skip(id, str(e))
        return None
    finally:
        peer.end()


def affinity(stage, label, env, sms):
    """Execution affinity: a number of SMs for a context."""
    def describe(saw, ran):
        stage.fact(f"slices.affinity_{label}_sms", saw["granted"],
                   note=f"granted of {sms} asked for with cuCtxCreate; the attribute says "
                        f"{saw['attribute']}, the resource {saw['resource']}; "
                        f"blocks ran on {ran['seen']} SMs: {ran['sms']}")
    one(stage, f"slices.affinity_{label}_sms", f"affinity-{label}", ["--affinity", sms], env,
        describe)


def percentage(stage, env):
    """What CUDA_MPS_ACTIVE_THREAD_PERCENTAGE does to a client."""
    whole = one(stage, "slices.mps_whole_sms", "whole-mps", ["--whole"], env,
                lambda saw, ran: stage.fact("slices.mps_whole_sms", ran["seen"],
                                            note="SMs on which an unlimited MPS client ran"))

    def describe(saw, ran):
        stage.fact("slices.mps_percent_sms", ran["seen"],
                   note=f"SMs on which a client of {PERCENT} % ran: {ran['sms']}; the attribute "
                        f"says {saw['attribute']}, the resource {saw['resource']}")
        if whole and whole["blocks_per_s"]:
            stage.fact("slices.mps_percent_throughput",
                       round(ran["blocks_per_s"] / whole["blocks_per_s"], 4),
                       note=f"a client of {PERCENT} % / an unlimited one")
    one(stage, "slices.mps_percent_sms", "percent-mps", ["--whole"],
        env | {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(PERCENT)}, describe)


def under_mps(stage, sms):
    if stage.left() < MPS_RESERVE_S:
        stage.skip("slices.processes_mps_x", f"only {stage.left():.0f} s were left for MPS")
        return
    try:
        with mps.server(stage) as more:
            env = stage.machine.environment() | more
            halves(stage, "mps", env, "under MPS")
            percentage(stage, env)
            affinity(stage, "mps", env, sms)
    except mps.Unavailable as e:
        stage.skip("slices.processes_mps_x", str(e))
        stage.skip("slices.mps_percent_sms", str(e))
        stage.skip("slices.affinity_mps_sms", str(e))


def run(stage):
    for name, limit_s in PROBE_LIMIT_S.items():
        tool = stage.tool(f"slices_{name}")
        if tool:
            stage.run(f"slices_{name}", [tool], limit_s=limit_s)
        else:
            stage.skip(f"slices.{name}", f"the probe slices_{name} was not built")
    if not stage.tool("slices_peer"):
        stage.skip("slices.processes_native_x", "the probe slices_peer was not built")
        return
    sms = max(int(stage.machine.gpu.get("sms") or 0) // 4 // 8 * 8, 2)
    halves(stage, "native", stage.machine.environment(), "without MPS")
    affinity(stage, "native", stage.machine.environment(), sms)
    under_mps(stage, sms)


def summary(facts):
    def say(form, *names):
        """The sentence with the facts' values, or nothing if one is not known."""
        values = [facts.get("slices." + name, {}).get("value") for name in names]
        return None if None in values else form.format(*values)

    confined = facts.get("slices.confined", {}).get("value")
    parts = [{True: "slices confine", False: "slices do NOT confine"}.get(confined),
             say("steps of {:.0f} of {:.0f} SMs", "granule_sms", "sms"),
             say("swap {:.0f} ns host, {:.0f} ns GPU", "swap_host_ns", "swap_gpu_ns"),
             say("two processes on halves {:.2f}×", "processes_native_x"),
             say("under MPS {:.2f}×", "processes_mps_x")]
    return ", ".join(p for p in parts if p) or "no slice could be made"
