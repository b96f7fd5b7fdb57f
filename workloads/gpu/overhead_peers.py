# SPDX-License-Identifier: Apache-2.0
"""Programs that are measured against each other: all alive at once, asked in turn, so that only
neighbours in time are compared. In a round all of them run on one processor, another one in the
next round: processors differ by more than what is looked for. What one of them differs by that is
like another (the control) is the noise.

A peer says `ready` on stderr; the line `measure WHAT REPEATS [CPU]` is answered
{"measure": {"what": WHAT, "ns": [one per repeat]}} or {"error": …}."""

import itertools
import json
import os
import statistics
import time

from process import descendants

ANSWER_LIMIT_S = 20
END_LIMIT_S = 2
PIN_FROM = 4  # processors; with fewer a pinned program would wait for whoever else runs there
OUR_THREADS = ("rein-helper", "rein-warden")  # in a program under the shim


def last_line(text):
    return (text.strip().splitlines() or ["it printed no message"])[-1]


def spread(values):
    """Median and quartiles, as members of a fact; se: the standard error of the median."""
    values = sorted(values)
    if len(values) < 2:
        return {"value": values[0], "q1": values[0], "q3": values[0], "n": len(values)}
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    se = 1.253 * (q3 - q1) / 1.349 / len(values) ** 0.5
    return {"value": median, "q1": q1, "q3": q3, "n": len(values), "se": se}


def rounded(members, digits):
    return {k: round(v, digits) for k, v in members.items()}


class Peer:
    def __init__(self, stage, name, argv, env):
        self.name = name
        self.seen = 0
        self.lost = False  # it may still answer, but to what?
        self.program = stage.start(name, argv, env=env, stdin=True)
        self.pid = self.program.pid

    def await_ready(self, limit_s):
        line, _ = self.program.await_line("err", limit_s, lambda line: line == "ready")
        return line is not None

    def measure(self, what, repeats, cpu):
        """ns per repeat, or raises RuntimeError."""
        pin = "" if cpu is None else f" {cpu}"
        self.program.tell(f"measure {what} {repeats}{pin}")
        line, self.seen = self.program.await_line("out", ANSWER_LIMIT_S,
                                                  lambda line: line.startswith("{"), self.seen)
        if line is None:
            self.lost = True
            raise RuntimeError(f"{self.name} did not answer 'measure {what}' within "
                               f"{ANSWER_LIMIT_S} s: {last_line(self.program.child.err)}")
        answer = json.loads(line)
        if "measure" not in answer:
            raise RuntimeError(f"{self.name}: {answer.get('error', line)}")
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


def end_all(peers):
    for peer in peers:
        peer.hang_up()
    for peer in peers:
        peer.end()


class Helpers:
    """The threads that work for a program under the shim: all of the daemon's, ours in it."""

    def __init__(self, daemon_pid, pid):
        self.daemon_pid, self.pid = daemon_pid, pid
        self.woken, self.ran_ns, self.requests, self.span_ns = [], 0, 0, 0

    def threads(self):
        for pid in [self.daemon_pid, *descendants(self.daemon_pid), self.pid]:
            for task in os.listdir(f"/proc/{pid}/task"):
                folder = f"/proc/{pid}/task/{task}"
                with open(f"{folder}/comm", encoding="utf-8", errors="replace") as f:
                    if pid != self.pid or f.read().strip() in OUR_THREADS:
                        yield folder

    def read(self):
        """How often they slept, and ns that they ran; None where the kernel does not say."""
        sleeps = ran_ns = 0
        try:
            for folder in self.threads():
                with open(f"{folder}/status", encoding="ascii", errors="replace") as f:
                    sleeps += sum(int(line.split()[1]) for line in f
                                  if line.startswith("voluntary_ctxt_switches"))
                with open(f"{folder}/schedstat", encoding="ascii") as f:
                    ran_ns += int(f.read().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return sleeps, ran_ns, time.monotonic_ns()

    def add(self, before, after, requests):
        if before and after:
            self.woken.append((after[0] - before[0]) / requests)
            self.ran_ns += after[1] - before[1]
            self.span_ns += after[2] - before[2]


def ask_all(peers, order, what, repeats, cpu, helpers):
    """{peer: median ns}; a peer that does not answer is named in the error."""
    medians = {}
    for name in order:
        try:
            before = helpers.read() if helpers and name == "shim" else None
            medians[name] = statistics.median(peers[name].measure(what, repeats, cpu))
            if before:
                helpers.add(before, helpers.read(), repeats)
        except RuntimeError as e:
            e.peer = name
            raise
    return medians


def processors():
    cpus = sorted(os.sched_getaffinity(0))
    return itertools.cycle(cpus if len(cpus) >= PIN_FROM else [None])


def gather(stage, peers, asks, until_left_s, rounds_max, helpers=None):
    """{word: {peer: [median ns of each time]}}. asks: (word, name of its facts, repeats, every):
    asked `every` times a round, or in one of 1/every rounds. Rounds until the stage has no more
    than until_left_s; in each, for each word, all peers in turn, in an order that changes. What a
    peer fails at is not asked again; one that no longer answers is given up, and without a control
    the others go on. helpers: {word: Helpers}."""
    found = {ask[0]: {name: [] for name in peers} for ask in asks}
    asks, longest = list(asks), 0.0
    orders = itertools.cycle(itertools.permutations(sorted(peers)))
    cpus = processors()
    for r in range(rounds_max):
        before = stage.left()
        if before - until_left_s < (1.3 * longest if r else 0):
            break
        for ask in list(asks):
            what, name, repeats, every = ask
            times = int(every) if every >= 1 else int(r % round(1 / every) == 0)
            try:
                for _ in range(times):
                    order = [n for n in next(orders) if n in peers]
                    medians = ask_all(peers, order, what, repeats, next(cpus),
                                      (helpers or {}).get(what))
                    for n, ns in medians.items():  # only what all of the round have ended counts
                        found[what][n].append(ns)
            except RuntimeError as e:
                stage.fail(f"overhead.{name}", str(e))
                asks.remove(ask)
                if peers[e.peer].lost:
                    peers.pop(e.peer).end()
                    if "bare" not in peers or "shim" not in peers:
                        return found
        longest = max(longest, before - stage.left())
    return found


def differences(ns, name, relative=False):
    """Of a peer from the bare one, pair by pair; percent if relative. None: it does not pair."""
    if len(ns.get(name, ())) != len(ns["bare"]) or not ns["bare"]:
        return None
    return spread([(y / x - 1) * 100 if relative else y - x
                   for x, y in zip(ns["bare"], ns[name])])
