# SPDX-License-Identifier: Apache-2.0
"""The programs that the stage `sharing` measures, each behind the same few methods, in the order in
which a cell of the table calls them:

    lc.prepare(seconds, rate_hz, seed)   be.start()
    lc.window(seconds, rate_hz, seed)    be.stop()

Talker is a program that lives through many cells and takes commands on stdin (torch/peer.py,
persistent.c); Lc and Be start the driver-API programs lc and be anew for each. Every wait is
bounded; a program that does not do as it should raises Broken, and is of no use from then on."""

import contextlib
import json
import signal

ANSWER_S = 15    # for an answer beyond the time that was asked for
START_S = 30     # for a driver-API program to be ready
RUNNING = "running on"


class Broken(Exception):
    """A program failed or did not answer; the text says which and how. told: the stage's problems
    name it already."""

    told = False


class Peer:
    def __init__(self, stage, name):
        self.stage = stage
        self.name = name
        self.program = None
        self.pids = []

    def begin(self, argv, env, stdin=False):
        self.program = self.stage.start(self.name, argv, env=env, stdin=stdin)
        self.pids.append(self.program.pid)

    def await_line(self, stream, limit_s, match, seen=0):
        line, seen = self.program.await_line(stream, limit_s, match, seen)
        if line is None:
            self.broken(f"no answer within {limit_s:.0f} s" if self.program.running()
                        else "it has ended")
        return line, seen

    def broken(self, how):
        """Ends the program and says so, with its last word."""
        result = self.program.stop(grace_s=0.5)
        lines = [l for l in result.err.strip().splitlines() if l != "ready"]
        raise Broken(f"{self.name}: {how}" + (f": {lines[-1]}" if lines else ""))

    def prepare(self, seconds, rate_hz, seed):
        """Nothing, unless a program must be started for each window."""

    def ready(self, limit_s):
        """The same."""

    def halt(self):
        """A cell failed: the program must not run on."""

    def hang_up(self):
        """The first half of an end, so that many can end at once."""
        if self.program and self.program.running():
            try:
                self.program.signal(signal.SIGTERM)
            except ProcessLookupError:
                pass

    def close(self):
        if self.program:
            self.program.stop(grace_s=2)


class Talker(Peer):
    def __init__(self, stage, name, argv, env):
        super().__init__(stage, name)
        self.seen = 0
        self.working = False
        self.begin(argv, env, stdin=True)

    def ready(self, limit_s):
        self.await_line("err", limit_s, lambda line: line == "ready")

    def tell(self, line):
        if not self.program.tell(line):
            self.broken("it has ended")

    def answer(self, member, limit_s):
        line, self.seen = self.await_line("out", limit_s, lambda l: l.startswith("{"), self.seen)
        try:
            found = json.loads(line)
        except ValueError:
            found = {"error": "half an answer"}
        if member not in found:
            self.broken(str(found.get("error", "an answer that was not asked for")))
        return found[member]

    def window(self, seconds, rate_hz, seed):
        self.tell(f"window {seconds} {rate_hz:.6f} {seed}")
        return self.answer("window", 2 * seconds + ANSWER_S)

    def start(self):
        self.tell("start")
        self.working = True

    def stop(self):
        self.working = False
        self.tell("stop")
        return self.answer("steps", ANSWER_S)

    def halt(self):
        if self.working:
            with contextlib.suppress(Broken):  # then it has been ended
                self.stop()


class OneShot(Peer):
    """A driver-API program that writes its records when it ends. `work` is the arithmetic that its
    first run found to last as long as asked; later runs, which are disturbed, take it over."""

    def __init__(self, stage, name, argv, env, kernel_us, work, file):
        super().__init__(stage, name)
        self.argv, self.env, self.kernel_us = argv, env, kernel_us
        self.work = work  # a dict shared by all modes of this program
        self.file = file

    def launch(self, more):
        found = self.work.get("work")
        size = ["--work", str(found)] if found else ["--kernel-us", str(self.kernel_us)]
        self.file.unlink(missing_ok=True)
        self.begin([*self.argv, *size, "--json", self.file, *more], self.env)
        self.await_line("err", START_S, lambda line: RUNNING in line)

    def records(self, limit_s):
        result = self.program.wait(limit_s)
        if not result.ok:
            broken = Broken(f"{self.name}: "
                            + (result.err.strip().splitlines() or ["it failed"])[-1])
            broken.told = True
            raise broken
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise Broken(f"{self.name}: no records: {e}") from e
        self.work["work"] = found["work"]
        return found

    def halt(self):
        if self.program:
            self.program.stop(grace_s=0.5)


class Lc(OneShot):
    def prepare(self, seconds, rate_hz, seed):
        arrivals = ["--rate", f"{rate_hz:.6f}"] if rate_hz > 0 else ["--arrivals", "closed"]
        self.launch(["--seconds", str(seconds), "--seed", str(seed), "--hold", *arrivals])

    def window(self, seconds, rate_hz, seed):
        self.program.signal(signal.SIGUSR1)
        return self.records(4 * seconds + ANSWER_S)


class Be(OneShot):
    def start(self):
        self.launch(["--seconds", "0"])

    def stop(self):
        self.program.signal(signal.SIGTERM)
        return self.records(ANSWER_S)
