# SPDX-License-Identifier: Apache-2.0
"""The other end of a stage's pipe: commands as lines on stdin, answers as one JSON object a line
on stdout, everything else on stderr, where the line `ready` says that commands are taken. The end
of stdin means quit. Times are CLOCK_MONOTONIC in ns, the same clock for all programs of a run."""

import ctypes
import faulthandler
import gc
import json
import math
import os
import select
import signal
import sys
import time

PR_SET_TIMERSLACK = 29
SPIN_NS = 100_000  # the last stretch before an arrival is spun, as a sleep may end late

now_ns = time.monotonic_ns


def bound(seconds):
    """The process ends after that time, wherever it is: even in a launch that waits in the driver
    holding Python's lock, where no Python code would run. What each thread was doing then goes to
    stderr."""
    print(f"{os.path.basename(sys.argv[0])}: bounded to {seconds} s", file=sys.stderr, flush=True)
    faulthandler.enable()
    faulthandler.dump_traceback_later(seconds, exit=True)
    signal.alarm(seconds + 3)


def precise_sleep():
    """Sleeps end within a microsecond or so, not within the usual 50."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)


def sleep_until(when_ns):
    while (left := when_ns - now_ns()) > 0:
        if left > SPIN_NS:
            time.sleep((left - SPIN_NS) / 1e9)


def quiet_memory():
    """No garbage collection in what is measured: its pauses are Python's, not the GPU's."""
    gc.collect()
    gc.freeze()
    gc.disable()


def say(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr, flush=True)


def ready():
    print("ready", file=sys.stderr, flush=True)


def answer(**members):
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


class Commands:
    """Lines of stdin. next() waits for one; poll() does not wait. Both give the words of a
    command, and ["quit"] once stdin has ended; poll() gives None when there is nothing."""

    def __init__(self):
        self.data = b""
        self.ended = False

    def take(self):
        line, found, rest = self.data.partition(b"\n")
        if found:
            self.data = rest
            return line.decode("utf-8", "replace").split()
        return ["quit"] if self.ended else None

    def fill(self, timeout_s):
        if not select.select([0], [], [], timeout_s)[0]:
            return
        data = os.read(0, 65536)
        self.ended = not data
        self.data += data

    def poll(self):
        while True:
            words = self.take()
            if words is None:
                before = len(self.data)
                self.fill(0)
                if len(self.data) == before and not self.ended:
                    return None
            elif words:
                return words

    def next(self):
        while True:
            words = self.take()
            if words is None:
                self.fill(None)
            elif words:
                return words


def serve(handlers):
    """Answers commands until quit. handlers: name → function(commands, *words); a command that
    is not understood, or whose handler raises, is answered {"error": …}."""
    commands = Commands()
    ready()
    while (words := commands.next())[0] != "quit":
        handler = handlers.get(words[0])
        try:
            if handler is None:
                raise ValueError(f"'{words[0]}' is none of {', '.join(handlers)}, quit")
            handler(commands, *words[1:])
        except Exception as e:
            answer(error=f"{' '.join(words)}: {type(e).__name__}: {e}".replace("\n", " ")[:500])


class Arrivals:
    """Poisson arrivals, in ns from the start; the same seed gives the same ones, those of
    workloads/lib/arrivals.c. The first is at 0."""

    MASK = (1 << 64) - 1

    def __init__(self, rate_hz, seed):
        self.period_ns = 1e9 / rate_hz
        self.state = seed & self.MASK
        self.at_ns = None

    def random(self):
        """splitmix64"""
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return z ^ (z >> 31)

    def next(self):
        if self.at_ns is None:
            self.at_ns = 0.0
        else:
            u = ((self.random() >> 11) + 1) / 9007199254740992.0
            self.at_ns += self.period_ns * -math.log(u)
        return int(self.at_ns)
