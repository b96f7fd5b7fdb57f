# SPDX-License-Identifier: Apache-2.0
"""What the shim costs a program that is alone on the GPU, with an open gate, joined to a daemon:
per driver call (launch_cost, one process after the other, with and without the shim), and per
request or step of PyTorch programs (overhead_torch.py: one process without the shim, one under it
and a second one without it as a control, all alive at once and asked in turn). Only differences
between neighbours in time count: medians of paired rounds, with their quartiles; what the control
differs by is the noise, below which a difference says nothing."""

import itertools
import json
import statistics
import time
from pathlib import Path

LIMIT_S = 70
TORCH = Path(__file__).resolve().parent.parent / "torch" / "overhead_torch.py"

LAUNCH_ROUNDS = 6
LAUNCH_LIMIT_S = 20
LAUNCH_TARGET_NS = 25     # added per launch in a burst
SLOWDOWN_TARGET_PCT = 0.5  # of a program alone

START_LIMIT_S = 45   # PyTorch's start, from a cold disk
ANSWER_LIMIT_S = 20
END_LIMIT_S = 2
ROUNDS_MAX = 24
ROUNDS_MIN = 2
SMALL_BYTES = 60e9   # of memory: three processes train at once
SMALL_BATCH = 24
RESERVE_S = 5        # for the ends of the processes

# what overhead_torch.py is asked: (its word, the fact's name, repeats a round)
REQUESTS = (("resnet50-infer", "resnet50_infer", 20),
            ("resnet50-train", "resnet50_train", 4),
            ("decoder", "decoder", 4),
            ("resnet50-graph", "graph_replay", 40))
LAUNCHES = (("launch-burst", "torch_launch", 20),
            ("launch-sync", "torch_launch_sync", 200))


def spread(values):
    """Median and quartiles, as members of a fact."""
    values = sorted(values)
    if len(values) < 2:
        return {"value": values[0], "q1": values[0], "q3": values[0], "n": len(values)}
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"value": median, "q1": q1, "q3": q3, "n": len(values)}


def rounded(members, digits):
    return {k: round(v, digits) for k, v in members.items()}


# ---- driver calls

def launch_costs(stage, daemon):
    """launch_cost in turn without and with the shim; the order changes from round to round."""
    tool = stage.tool("launch_cost")
    if tool is None:
        stage.skip("overhead.launch_added_ns", "launch_cost was not built")
        return
    simulated = stage.machine.simulated
    rounds, bursts = (2, 20) if simulated else (LAUNCH_ROUNDS, 400)
    envs = {"bare": stage.machine.environment(), "shim": daemon.env(prio=50, name="launch_cost")}
    found = {"bare": [], "shim": []}
    for r in range(rounds):
        pair = {}
        for how in ("bare", "shim") if r % 2 == 0 else ("shim", "bare"):
            program = stage.start(f"launch_cost {how} {r + 1}",
                                  [tool, "--prefix", f"overhead.{how}", "--bursts", bursts,
                                   "--limit", LAUNCH_LIMIT_S], env=envs[how])
            result = program.wait(LAUNCH_LIMIT_S + 2)
            if not result.ok:
                break
            if how == "shim" and not daemon.joined(program.pid):
                stage.fail("overhead.launch_added_ns", "launch_cost did not join the daemon; its "
                           f"figures are not counted: {last_line(result.err)}")
                break
            pair[how] = {id.partition(f"{how}_")[2]: fact for id, fact in result.facts.items()}
        if len(pair) == 2:
            for how, facts in pair.items():
                found[how].append(facts)
    tell_launch_costs(stage, found)


def tell_launch_costs(stage, found):
    names = [n for n in (found["bare"][0] if found["bare"] else ())
             if all(n in facts for how in found for facts in found[how])]
    for name in names:  # such as launch_ns
        call = name.removesuffix("_ns")
        values = {how: [facts[name]["value"] for facts in found[how]] for how in found}
        note = found["bare"][0][name].get("note")
        for how in found:
            stage.fact(f"overhead.{how}_{name}", unit="ns", note=note,
                       **rounded(spread(values[how]), 1))
        added = spread([s - b for b, s in zip(values["bare"], values["shim"])])
        more = f"; target ≤ {LAUNCH_TARGET_NS} ns" if call == "launch" else ""
        stage.fact(f"overhead.{call}_added_ns", unit="ns", **rounded(added, 1),
                   note=f"{note}: shim − bare, paired rounds{more}")
        base = statistics.median(values["bare"])
        if call == "launch" and base > 0:
            stage.fact("overhead.launch_ratio", round(statistics.median(values["shim"]) / base, 4),
                       note="shim / bare, launch in a burst")


def last_line(text):
    return (text.strip().splitlines() or ["it printed no message"])[-1]


# ---- PyTorch

class Peer:
    """One overhead_torch.py."""

    def __init__(self, stage, name, env, options):
        self.name = name
        self.seen = 0
        self.lost = False  # it may still answer, but to what?
        env = env | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        argv = [stage.machine.python, TORCH, "--limit", int(stage.left()) + 5, *options]
        self.program = stage.start(f"PyTorch {name}", argv, env=env, stdin=True)

    def await_ready(self, limit_s):
        line, _ = self.program.await_line("err", limit_s, lambda line: line == "ready")
        return line is not None

    def left_out(self):
        """Words whose model could not be built, with the reason."""
        found = {}
        for line in self.program.child.err.splitlines():
            head, cut, why = line.partition(" is left out: ")
            if cut:
                found[head.split()[-1]] = why
        return found

    def measure(self, what, repeats):
        """ns per repeat, or raises RuntimeError."""
        self.program.tell(f"measure {what} {repeats}")
        line, self.seen = self.program.await_line("out", ANSWER_LIMIT_S,
                                                  lambda line: line.startswith("{"), self.seen)
        if line is None:
            self.lost = True
            raise RuntimeError(f"PyTorch {self.name} did not answer 'measure {what}' within "
                               f"{ANSWER_LIMIT_S} s: {last_line(self.program.child.err)}")
        answer = json.loads(line)
        if "measure" not in answer:
            raise RuntimeError(f"PyTorch {self.name}: {answer.get('error', line)}")
        return answer["measure"]["ns"]

    def hang_up(self):
        """The first half of an end, so that all end at once."""
        self.program.tell("quit")

    def end(self):
        self.hang_up()
        until = time.monotonic() + END_LIMIT_S
        while not self.program.child.pump(0.05) and time.monotonic() < until:
            pass
        self.program.stop(grace_s=1)


def torch_ids():
    return ([f"overhead.{name}_pct" for _, name, _ in REQUESTS]
            + [f"overhead.{name}_added_ns" for _, name, _ in LAUNCHES])


def start_peers(stage, daemon, options):
    """The peers that are ready, by name; without bare and shim there is nothing to compare."""
    shim = daemon.env(prio=50, name="overhead")
    peers = {"bare": Peer(stage, "bare", stage.machine.environment(), options),
             "shim": Peer(stage, "shim", shim, options),
             "control": Peer(stage, "control", stage.machine.environment(), options)}
    for name in list(peers):
        if not peers[name].await_ready(min(START_LIMIT_S, stage.left() - RESERVE_S)):
            peer = peers.pop(name)
            stage.fail(f"overhead.torch_{name}", "PyTorch did not get ready: "
                       + last_line(peer.program.child.err))
            peer.end()
    if "shim" in peers and not daemon.joined(peers["shim"].program.pid):
        stage.fail("overhead.torch_shim", "PyTorch under the shim did not join the daemon; its "
                   "figures are not counted")
        peers.pop("shim").end()
    return peers


def ask_all(peers, order, what, repeats):
    """{peer: median ns}; a peer that does not answer is named in the error."""
    medians = {}
    for name in order:
        try:
            medians[name] = statistics.median(peers[name].measure(what, repeats))
        except RuntimeError as e:
            e.peer = name
            raise
    return medians


def gather(stage, peers, asks):
    """{word: {peer: [median ns of each round]}}. Rounds until time is over; in each, for each
    word, all peers in turn, in an order that changes. What a peer fails at is not asked again; one
    that no longer answers is given up, and without a control the others go on."""
    found = {what: {name: [] for name in peers} for what, _, _ in asks}
    asks, longest = list(asks), 0.0
    orders = itertools.cycle(itertools.permutations(peers))
    for r in range(ROUNDS_MAX):
        before = stage.left()
        if r >= ROUNDS_MIN and before < RESERVE_S + 1.3 * longest or before < RESERVE_S:
            break
        order = [name for name in next(orders) if name in peers]
        for ask in list(asks):
            try:
                medians = ask_all(peers, order, ask[0], ask[2])
            except RuntimeError as e:
                stage.fail(f"overhead.{ask[1]}", str(e))
                asks.remove(ask)
                if peers[e.peer].lost:
                    order.remove(e.peer)
                    peers.pop(e.peer).end()
                    if "bare" not in peers or "shim" not in peers:
                        return found
                continue
            for name, ns in medians.items():  # only what all of the round have ended counts
                found[ask[0]][name].append(ns)
        longest = max(longest, before - stage.left())
    return found


def complete(ns):
    """Whether the control took part in all rounds, so that they pair."""
    return len(ns.get("control", ())) == len(ns["bare"])


def tell_request(stage, name, ns):
    """Facts of one kind of request: how much longer it takes, in percent."""
    def percent(a, b):
        return spread([(y / x - 1) * 100 for x, y in zip(a, b)])

    base = rounded(spread([v / 1e6 for v in ns["bare"]]), 4)
    stage.fact(f"overhead.bare_{name}_ms", unit="ms", **base)
    stage.fact(f"overhead.shim_{name}_ms", unit="ms",
               **rounded(spread([v / 1e6 for v in ns["shim"]]), 4))
    noise = "not known"
    if complete(ns):
        control = percent(ns["bare"], ns["control"])
        stage.fact(f"overhead.{name}_noise_pct", unit="%", **rounded(control, 3),
                   note="a second process without the shim against the first")
        noise = f"{control['value']:+.2f} %"
    stage.fact(f"overhead.{name}_pct", unit="%", **rounded(percent(ns["bare"], ns["shim"]), 3),
               note=f"longer under the shim; target ≤ {SLOWDOWN_TARGET_PCT} %; noise {noise}")


def tell_launches(stage, name, ns):
    stage.fact(f"overhead.bare_{name}_ns", unit="ns", **rounded(spread(ns["bare"]), 1))
    stage.fact(f"overhead.{name}_added_ns", unit="ns",
               **rounded(spread([s - b for b, s in zip(ns["bare"], ns["shim"])]), 1),
               note="PyTorch's add_ of one element: shim − bare, paired rounds")
    if complete(ns):
        stage.fact(f"overhead.{name}_noise_ns", unit="ns",
                   **rounded(spread([c - b for b, c in zip(ns["bare"], ns["control"])]), 1),
                   note="a second process without the shim − the first")


def torch_costs(stage, daemon, options=()):
    options = list(options)
    if (stage.machine.gpu or {}).get("memory_bytes", 0) < SMALL_BYTES and "--tiny" not in options:
        options += ["--batch", SMALL_BATCH]
    peers = start_peers(stage, daemon, options)
    if "bare" not in peers or "shim" not in peers:
        return
    if "control" not in peers:
        stage.skip("overhead.resnet50_infer_noise_pct", "there was no second bare process")
    missing = {what: why for peer in peers.values() for what, why in peer.left_out().items()}
    asks = [ask for ask in REQUESTS + LAUNCHES if ask[0] not in missing]
    for what, name, _ in REQUESTS + LAUNCHES:
        if what in missing:
            stage.fail(f"overhead.{name}", missing[what])
    try:
        found = gather(stage, peers, asks)
    finally:
        for peer in peers.values():
            peer.hang_up()
        for peer in peers.values():
            peer.end()
    for tell, kinds in ((tell_request, REQUESTS), (tell_launches, LAUNCHES)):
        for what, name, _ in kinds:
            if what in found and found[what]["bare"]:
                tell(stage, name, found[what])


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

    parts = [value("launch_added_ns", "launch {:+.0f} ns"), value("launch_ratio", "({:.2f}×)"),
             value("resnet50_infer_pct", "ResNet-50 inference {:+.2f} %,"),
             value("resnet50_train_pct", "training {:+.2f} %,"),
             value("decoder_pct", "decoder {:+.2f} %,"),
             value("graph_replay_pct", "graph replay {:+.2f} %")]
    return " ".join(p for p in parts if p).rstrip(",") or "nothing was measured"
