# SPDX-License-Identifier: Apache-2.0
"""queue-gate: what a preemption point [write progress; wait gate] costs while it is open, how fast
a store to the gate word stops and resumes queued work, in what memory the word may lie, whether a
held process gives up its time slice, how long a hold may last, which other streams a closed gate
holds, how much fits behind it, and whether points work in graphs. The probes are queue_gate_*.c."""

LIMIT_S = 40

# Most wanted first: what does not fit into the stage's time is left out from the end.
LONG_HOLD_S = 10
MARGIN_S = 4


def probe(stage, name, *args, limit_s=15, env=None):
    tool = stage.tool(f"queue_gate_{name}")
    label = " ".join(("queue_gate_" + name,) + args)
    if tool is None:
        stage.skip(f"queue-gate.{name}", f"queue_gate_{name} was not built")
        return None
    if stage.left() < 2:
        stage.skip(f"queue-gate.{name}" + "_".join(("",) + args), "no time was left")
        return None
    return stage.run(label, [tool, *args], limit_s=min(limit_s, stage.left() - 1), env=env)


def streams(stage, connections, count):
    env = stage.machine.environment()
    env.pop("CUDA_DEVICE_MAX_CONNECTIONS", None)
    if connections is not None:
        env["CUDA_DEVICE_MAX_CONNECTIONS"] = str(connections)
    probe(stage, "queue", "streams", str(count), limit_s=8, env=env)


def run(stage):
    probe(stage, "cost")
    probe(stage, "latency")
    probe(stage, "memory", limit_s=8)
    probe(stage, "slice", limit_s=20)
    if stage.machine.simulated:
        # there each stream has a channel of its own, and nothing that times out
        streams(stage, None, 32)
        probe(stage, "queue", "depth")
        probe(stage, "hold", "1")
        stage.skip(f"queue-gate.hold_{LONG_HOLD_S}s", "the software GPU has no acquire time-out")
        return
    probe(stage, "hold", "1", "3", limit_s=12)
    streams(stage, None, 128)
    streams(stage, 32, 128)
    probe(stage, "queue", "depth")
    if stage.left() > LONG_HOLD_S + MARGIN_S:
        probe(stage, "hold", str(LONG_HOLD_S), limit_s=LONG_HOLD_S + MARGIN_S)
    else:
        stage.skip(f"queue-gate.hold_{LONG_HOLD_S}s", f"{stage.left():.0f} s were left")
    streams(stage, 8, 128)


def summary(facts):
    def say(form, *wanted):
        """The words with the facts' values ("id" or "id:key"), or nothing if one is not known."""
        values = []
        for id, _, key in (w.partition(":") for w in wanted):
            v = facts.get("queue-gate." + id, {}).get(key or "value")
            values.append({True: "yes", False: "no"}[v] if isinstance(v, bool) else v)
        return None if None in values else form.format(*values)

    parts = [say("a point costs {:.0f} ns on the host", "point_host_ns"),
             say("{:+.0f} ns per 20 µs kernel", "added_20us_ns"),
             say("closes in {:.1f} µs (p99 {:.1f})", "close_us", "close_us:p99"),
             say("opens in {:.1f} µs", "open_us"),
             say("word in a memfd: {}", "word_memfd_works"),
             say("a held process gives up its slice: {}", "held_process_yields"),
             say("held 3 s: {}", "hold_3s"), say("10 s: {}", "hold_10s"),
             say("{:.0f} kernels fit behind it", "depth_kernels")]
    return ", ".join(p for p in parts if p) or "no point could be tried"
