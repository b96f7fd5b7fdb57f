# SPDX-License-Identifier: Apache-2.0
"""What the shim costs a program that is alone on the GPU, with an open gate, joined to a daemon:
per driver call (launch_cost), and per request or step of PyTorch programs (overhead_torch.py). Of
each there is a process without the shim, one under it and a second one without it as a control, all
alive at once and asked in turn (overhead_peers.py). Only differences between neighbours in time
count: medians of pairs, with quartiles and the standard error of the median; what the control
differs by is the noise, below which a difference says nothing.

Some driver calls are asked again with a neighbour: an idle best-effort program that has joined too.
From then on the daemon wants to hear of each request. How often its threads and the shim's own woke
up per request, and the CPU time that they took, tells a system call on the way from other costs."""

import statistics
from pathlib import Path

from overhead_peers import Helpers, Peer, differences, end_all, gather, last_line, rounded, spread

LIMIT_S = 60
TORCH = Path(__file__).resolve().parent.parent / "torch" / "overhead_torch.py"

LAUNCH_TARGET_NS = 25      # added per launch in a burst
SLOWDOWN_TARGET_PCT = 0.5  # of a program alone

DRIVER_S = 10        # for the driver calls
BESIDE_S = 2         # of those, with a neighbour
START_DRIVER_S = 10
START_LIMIT_S = 45   # PyTorch's start, from a cold disk
ROUNDS_MAX = 400
SMALL_BYTES = 60e9   # of memory: three processes train at once
SMALL_BATCH = 24
RESERVE_S = 5        # for the ends of the processes

# what launch_cost is asked: (its word, the fact's name, bursts, times a round)
CALLS = (("launch", "launch", 8, 2),
         ("launch_paced", "launch_paced", 300, 1),
         ("launch_sync", "launch_sync", 30, 1),
         ("request", "request", 150, 1),
         ("request_streams", "request_streams", 100, 0.5),
         ("work", "work", 100, 1),
         ("launch_idle", "launch_idle", 20, 0.5),
         ("graph1", "graph1", 15, 1),
         ("graph64", "graph64", 12, 1),
         ("copy_64b", "copy_64b", 15, 1),
         ("event_record", "event_record", 20, 0.5),
         ("sync_idle", "sync_idle", 20, 0.5))
BESIDE = ("launch", "launch_sync", "request", "work", "launch_idle")
# what overhead_torch.py is asked: (its word, the fact's name, repeats, times a round)
REQUESTS = (("resnet50-infer", "resnet50_infer", 10, 3),
            ("resnet50-train", "resnet50_train", 2, 0.25),
            ("decoder", "decoder", 2, 0.5),
            ("resnet50-graph", "graph_replay", 15, 2))
LAUNCHES = (("launch-burst", "torch_launch", 5, 1),
            ("launch-sync", "torch_launch_sync", 100, 2))
# requests of which the wake-ups are counted
COUNTED = ("request", "request_streams", "launch_idle", "resnet50-infer", "resnet50-graph",
           "launch-sync")


def watch(daemon, peers):
    pid = peers["shim"].pid
    return {what: Helpers(daemon.program.pid, pid) for what in COUNTED}


def tell_helpers(stage, asks, helpers):
    for what, name, *_ in asks:
        seen = helpers.get(what)
        if not seen or not seen.woken:
            continue
        stage.fact(f"overhead.{name}_wakes", round(statistics.median(seen.woken), 3),
                   note="times per request that a thread of the daemon's or the shim's slept and "
                        "woke up")
        stage.fact(f"overhead.{name}_helpers_pct", round(100 * seen.ran_ns / seen.span_ns, 1),
                   unit="%", note="CPU time of those threads, of one processor, meanwhile")


def with_noise(control, digits, unit):
    return ("not known" if control is None
            else f"{control['value']:+.{digits}f} ± {control.get('se', 0):.{digits}f} {unit}")


# ---- driver calls

def driver_asks(simulated):
    return [(what, name, 2, 1) for what, name, *_ in CALLS] if simulated else list(CALLS)


def launch_costs(stage, daemon):
    tool = stage.tool("launch_cost")
    if tool is None:
        stage.skip("overhead.launch_added_ns", "launch_cost was not built")
        return
    simulated = stage.machine.simulated
    bare, shim = stage.machine.environment(), daemon.env(prio=50, name="launch_cost")
    argv = [tool, "--serve", "--limit", int(DRIVER_S + 2 * START_DRIVER_S)]
    peers = {name: Peer(stage, f"launch_cost {name}", argv, env)
             for name, env in (("bare", bare), ("shim", shim), ("control", bare))}
    everybody = list(peers.values())
    until = stage.left() - DRIVER_S
    try:
        if not ready(stage, daemon, peers, START_DRIVER_S, "launch_added_ns"):
            return
        asks, helpers = driver_asks(simulated), watch(daemon, peers)
        rounds = 2 if simulated else ROUNDS_MAX
        found = gather(stage, peers, asks, until + BESIDE_S, rounds, helpers)
        for what, name, *_ in asks:
            if found[what]["bare"]:
                tell_call(stage, name, found[what])
        tell_helpers(stage, asks, helpers)
        everybody.append(Peer(stage, "launch_cost neighbour", argv,
                              daemon.env(prio=0, name="neighbour")))
        if {"bare", "shim"} <= set(peers) and everybody[-1].await_ready(START_DRIVER_S):
            beside(stage, peers, [a for a in asks if a[0] in BESIDE], until, rounds, daemon)
    finally:
        end_all(everybody)


def beside(stage, peers, asks, until, rounds, daemon):
    peers = {name: peers[name] for name in ("bare", "shim")}
    helpers = watch(daemon, peers)
    asks = [(what, f"{name}_beside", *rest) for what, name, *rest in asks]
    found = gather(stage, peers, asks, until, max(rounds // 2, 1), helpers)
    for what, name, *_ in asks:
        if found[what]["bare"]:
            stage.fact(f"overhead.{name}_added_ns", unit="ns",
                       **rounded(differences(found[what], "shim"), 1),
                       note="the same with an idle best-effort program that has joined too")
    tell_helpers(stage, asks, helpers)


NOTES = {"launch": "cuLaunchKernel of an empty kernel, in a burst",
         "launch_paced": "one cuLaunchKernel each 10 µs: the GPU keeps up, the host's time shows",
         "launch_sync": "cuLaunchKernel and cuStreamSynchronize, back to back",
         "request": "launch and synchronise, 10 µs of other work between",
         "request_streams": "the same with cuCtxSynchronize and 150 unused streams, as PyTorch",
         "work": "some µs of arithmetic between requests: does a thread of ours slow the core?",
         "launch_idle": "one cuLaunchKernel after 0.4 ms of idleness",
         "graph1": "cuGraphLaunch of one empty kernel, in a burst",
         "graph64": "cuGraphLaunch of 64 empty kernels in a chain",
         "copy_64b": "cuMemcpyHtoDAsync of 64 bytes from pinned memory",
         "event_record": "cuEventRecord, in a burst",
         "sync_idle": "cuStreamSynchronize of an idle stream"}


def tell_call(stage, call, ns):
    note = NOTES[call]
    for how in ("bare", "shim"):
        stage.fact(f"overhead.{how}_{call}_ns", unit="ns", note=note, **rounded(spread(ns[how]), 1))
    control = differences(ns, "control")
    if control:
        stage.fact(f"overhead.{call}_noise_ns", unit="ns", **rounded(control, 1),
                   note="a second process without the shim − the first")
    more = f"; target ≤ {LAUNCH_TARGET_NS} ns" if call in ("launch", "launch_paced") else ""
    stage.fact(f"overhead.{call}_added_ns", unit="ns", **rounded(differences(ns, "shim"), 1),
               note=f"{note}: shim − bare, pairs; noise {with_noise(control, 1, 'ns')}{more}")
    base = statistics.median(ns["bare"])
    if call == "launch" and base > 0:
        stage.fact("overhead.launch_ratio", round(statistics.median(ns["shim"]) / base, 4),
                   note="shim / bare, launch in a burst")


# ---- PyTorch

def left_out(peer):
    """Words whose model could not be built, with the reason."""
    found = {}
    for line in peer.program.child.err.splitlines():
        head, cut, why = line.partition(" is left out: ")
        if cut:
            found[head.split()[-1]] = why
    return found


def torch_ids():
    return ([f"overhead.{name}_pct" for _, name, *_ in REQUESTS]
            + [f"overhead.{name}_added_ns" for _, name, *_ in LAUNCHES])


def ready(stage, daemon, peers, limit_s, id):
    """Ends those that are not; without bare and shim there is nothing to compare."""
    for name in list(peers):
        if not peers[name].await_ready(min(limit_s, stage.left() - RESERVE_S)):
            peer = peers.pop(name)
            stage.fail(f"overhead.{id}", f"{peer.name} did not get ready: "
                       + last_line(peer.program.child.err))
            peer.end()
    if "shim" in peers and not daemon.joined(peers["shim"].pid):
        peer = peers.pop("shim")
        stage.fail(f"overhead.{id}", f"{peer.name} did not join the daemon; its figures are not "
                   f"counted: {last_line(peer.program.child.err)}")
        peer.end()
    return "bare" in peers and "shim" in peers


def tell_request(stage, name, ns):
    """Facts of one kind of request: how much longer it takes, in percent."""
    for how in ("bare", "shim"):
        stage.fact(f"overhead.{how}_{name}_ms", unit="ms",
                   **rounded(spread([v / 1e6 for v in ns[how]]), 4))
    control = differences(ns, "control", relative=True)
    if control:
        stage.fact(f"overhead.{name}_noise_pct", unit="%", **rounded(control, 3),
                   note="a second process without the shim against the first")
    stage.fact(f"overhead.{name}_pct", unit="%",
               **rounded(differences(ns, "shim", relative=True), 3),
               note=f"longer under the shim; target ≤ {SLOWDOWN_TARGET_PCT} %; "
                    f"noise {with_noise(control, 2, '%')}")


def tell_launches(stage, name, ns):
    stage.fact(f"overhead.bare_{name}_ns", unit="ns", **rounded(spread(ns["bare"]), 1))
    control = differences(ns, "control")
    stage.fact(f"overhead.{name}_added_ns", unit="ns", **rounded(differences(ns, "shim"), 1),
               note="PyTorch's add_ of one element: shim − bare, pairs; "
                    f"noise {with_noise(control, 1, 'ns')}")
    if control:
        stage.fact(f"overhead.{name}_noise_ns", unit="ns", **rounded(control, 1),
                   note="a second process without the shim − the first")


def start_torch(stage, daemon, options):
    argv = [stage.machine.python, TORCH, "--limit", int(stage.left()) + 5, *options]
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    bare, shim = stage.machine.environment(), daemon.env(prio=50, name="overhead")
    return {name: Peer(stage, f"PyTorch {name}", argv, env | quiet)
            for name, env in (("bare", bare), ("shim", shim), ("control", bare))}


def torch_costs(stage, daemon, options=()):
    options = list(options)
    if (stage.machine.gpu or {}).get("memory_bytes", 0) < SMALL_BYTES and "--tiny" not in options:
        options += ["--batch", SMALL_BATCH]
    peers = start_torch(stage, daemon, options)
    everybody = list(peers.values())
    try:
        if not ready(stage, daemon, peers, START_LIMIT_S, "torch"):
            return
        if "control" not in peers:
            stage.skip("overhead.resnet50_infer_noise_pct", "there was no second bare process")
        missing = {what: why for peer in peers.values() for what, why in left_out(peer).items()}
        asks = [ask for ask in REQUESTS + LAUNCHES if ask[0] not in missing]
        for what, name, *_ in REQUESTS + LAUNCHES:
            if what in missing:
                stage.fail(f"overhead.{name}", missing[what])
        helpers = watch(daemon, peers)
        found = gather(stage, peers, asks, RESERVE_S, ROUNDS_MAX, helpers)
    finally:
        end_all(everybody)
    for tell, kinds in ((tell_request, REQUESTS), (tell_launches, LAUNCHES)):
        for what, name, *_ in kinds:
            if what in found and found[what]["bare"]:
                tell(stage, name, found[what])
    tell_helpers(stage, asks, helpers)


def run(stage):
    with stage.daemon() as daemon:
        launch_costs(stage, daemon)
        why = None
        if stage.machine.simulated:
            why = "PyTorch's libraries do not run on the software GPU"
        elif not stage.machine.torch:
            why = f"{stage.machine.python} has no PyTorch"
        if why:
            for id in torch_ids():
                stage.skip(id, why)
        else:
            torch_costs(stage, daemon)


def summary(facts):
    def value(name, form):
        fact = facts.get(f"overhead.{name}")
        return form.format(fact["value"]) if fact else None

    parts = [value("launch_added_ns", "launch {:+.0f} ns"), value("launch_ratio", "({:.2f}×),"),
             value("request_added_ns", "request {:+.0f} ns,"),
             value("resnet50_infer_pct", "ResNet-50 inference {:+.2f} %,"),
             value("resnet50_train_pct", "training {:+.2f} %,"),
             value("decoder_pct", "decoder {:+.2f} %,"),
             value("graph_replay_pct", "graph replay {:+.2f} %")]
    return " ".join(p for p in parts if p).rstrip(",") or "nothing was measured"
