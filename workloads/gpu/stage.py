# SPDX-License-Identifier: Apache-2.0
"""What a stage of gpu-check works with: programs bounded in time, the facts that they print, a
private daemon. A stage is a module of stages/ with LIMIT_S, run(stage) and summary(facts).

A program prints one JSON object a line for what it found (workloads/lib/fact.h):
  {"fact": ID, "value": …, "unit": …, …}   or   {"skip": ID, "why": …}
A failure is recorded and the stage goes on; whatever a stage leaves behind is killed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from process import Child

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77  # exit status: nothing could be asked here
DAEMON_LIMIT_S = 20
LOG_LATE_S = 0.5
NO_PROFILE = {"profile_version": 1, "gpu": "*", "driver": "*"}
SOCKET_PATH_MAX = 100
NO_TIME_S = 0.4


class Skip(Exception):
    """Raised by a stage's run(): nothing of it can be asked here; the text says why."""


def ended(status):
    """How a program ended, in words, by its status in the manner of shells; None: it was killed."""
    if status is None:
        return "it did not end"
    with contextlib.suppress(ValueError):
        if status > 128:
            return f"it died of {signal.Signals(status - 128).name}"
    return f"it ended with status {status}"


class Result:
    """An ended program: status (None: it took too long and was killed), ok, facts {id: fact},
    out, err, seconds."""

    def __init__(self, child, facts, ok):
        self.status = None if child.timed_out else child.status
        self.facts = facts
        self.ok = ok
        self.out = child.out
        self.err = child.err
        self.seconds = child.seconds


class Program:
    """A program in the background."""

    def __init__(self, stage, name, child, ok):
        self.stage, self.name, self.child, self.ok = stage, name, child, ok
        self.pid = child.pid
        self.result = None

    def wait(self, limit_s):
        """Until its end, at most limit_s: then it is killed, which is a failure."""
        if self.result is None:
            self.child.wait(min(limit_s, max(self.stage.left(), 0.1)))
            self.result = self.stage.take(self)
        return self.result

    def stop(self, sig=signal.SIGTERM, grace_s=3.0):
        """Ends it now; that it ended by our signal is no failure."""
        if self.result is None:
            self.child.stop(sig, grace_s)
            self.ok = None
            self.result = self.stage.take(self)
        return self.result

    def running(self):
        return not self.child.pump(0)

    def signal(self, sig):
        """To the program alone, if it still runs."""
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def tell(self, line):
        return self.child.tell(line)

    def await_line(self, stream, limit_s, match, seen=0):
        return self.child.await_line(stream, min(limit_s, max(self.stage.left(), 0.1)), match, seen)


class Daemon:
    """A reind of its own, with its own run directory; whatever daemon the machine runs is left
    alone. It goes by the profile that it is given (daemon/profile.h), not by what was calibrated;
    without one there is the launch gate only. env() is for the programs that shall join it."""

    def __init__(self, stage, profile=None):
        self.stage = stage
        self.folder = Path(tempfile.mkdtemp(prefix="rein-"))
        notify = self.folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(notify))
        self.socket.settimeout(0.1)
        env = stage.machine.environment()
        env |= {"NOTIFY_SOCKET": str(notify), "REIN_LOG": "info"}
        empty = self.folder / "none.conf"  # the system's configuration takes no part
        argv = [stage.machine.build / "reind", "--run-dir", self.folder / "run"]
        env["REIN_PROFILE"] = str(self.folder / "profile.json")
        Path(env["REIN_PROFILE"]).write_text(json.dumps(profile or NO_PROFILE), encoding="utf-8")
        if "inih" in stage.machine.have:
            empty.touch()
            argv += ["--config", empty]
        self.argv, self.environment = argv, env
        self.again()

    def again(self):
        """Starts it; after kill(), with the same run directory."""
        self.program = self.stage.start("reind", self.argv, env=self.environment)
        try:
            self.await_ready()
        except RuntimeError:
            self.close()
            raise

    def kill(self):
        """SIGKILL, as a crash; when it was sent, in ns of CLOCK_MONOTONIC."""
        at_ns = time.monotonic_ns()
        self.program.stop(signal.SIGKILL)
        return at_ns

    def await_ready(self):
        end = time.monotonic() + DAEMON_LIMIT_S
        while time.monotonic() < end and self.program.running():
            try:
                if b"READY=1" in self.socket.recv(4096):
                    return
            except TimeoutError:
                pass
        raise RuntimeError("reind did not start: "
                           + (self.program.child.err.strip().splitlines() or ["no message"])[-1])

    def env(self, prio=None, name=None, **more):
        """The environment of a program under the shim; more: further variables."""
        env = self.stage.machine.environment()
        env |= {"LD_PRELOAD": str(self.stage.machine.build / "librein.so"),
                "REIN_RUN_DIR": str(self.folder / "run")}
        if prio is not None:
            env["REIN_PRIO"] = str(prio)
        if name is not None:
            env["REIN_NAME"] = name
        return env | more

    def clients(self):
        """What `rein ps --json` says of each client, by PID; {} where rein was not built."""
        rein = self.stage.machine.build / "rein"
        if not rein.exists():
            return {}
        env = self.stage.machine.environment() | {"REIN_RUN_DIR": str(self.folder / "run")}
        asked = self.stage.run("rein ps", [rein, "ps", "--json"], limit_s=5, env=env, ok=None)
        try:
            return {c["pid"]: c for c in json.loads(asked.out)["clients"]}
        except (ValueError, KeyError, TypeError):
            return {}

    def joined(self, pid):
        """Whether the process has ever joined; the daemon's line may come after the welcome."""
        end = time.monotonic() + LOG_LATE_S
        while True:
            if f" pid={pid} " in "".join(
                    line for line in self.log().splitlines(True) if "joined:" in line):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.02)

    def log(self):
        self.program.running()
        return self.program.child.err

    def close(self):
        result = self.program.stop(signal.SIGTERM, 5)
        if result.status not in (0, 127):
            self.stage.problem(f"reind ended with status {result.status}: "
                               + (result.err.strip().splitlines() or ["no message"])[-1])
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Stage:
    def __init__(self, name, machine, results_dir, limit_s):
        self.name = name
        self.machine = machine
        self.results_dir = results_dir
        self.limit_s = limit_s
        self.begin = time.monotonic()
        self.facts = {}
        self.skips = {}
        self.problems = []
        self.programs = []  # what ran: name, argv, status, seconds
        self.active = []
        self.progress = lambda text: None

    def left(self):
        return self.limit_s - (time.monotonic() - self.begin)

    # ---- findings
    def fact(self, id, value, unit=None, note=None, **more):
        entry = {"fact": id, "value": value, "unit": unit, "note": note, **more}
        self.add_fact({k: v for k, v in entry.items() if v is not None})

    def add_fact(self, fact):
        self.facts[fact["fact"]] = fact
        self.skips.pop(fact["fact"], None)

    def skip(self, id, why):
        if id not in self.facts:
            self.skips[id] = why

    def fail(self, id, why):
        self.problem(f"{id}: {why}")

    def problem(self, text):
        self.problems.append(text)

    # ---- programs
    def tool(self, name):
        """A probe, or None if it was not built."""
        path = self.machine.build / "gpu" / name
        return path if path.exists() else None

    def start(self, name, argv, env=None, ok=(0,), stdin=False, cwd=None):
        self.progress(name)
        child = Child(argv, env or self.machine.environment(), cwd=cwd, stdin=stdin)
        program = Program(self, name, child, ok)
        self.active.append(program)
        return program

    def run(self, name, argv, limit_s=20, env=None, ok=(0,), cwd=None):
        return self.start(name, argv, env=env, ok=ok, cwd=cwd).wait(limit_s)

    def take(self, program):
        """An ended program's findings become the stage's."""
        child = program.child
        self.active.remove(program)
        facts = {}
        for line in child.out.splitlines():
            if not line.startswith(('{"fact"', '{"skip"')):
                continue
            try:
                found = json.loads(line)
            except ValueError:
                continue  # the last line of a program that was killed
            if "fact" in found:
                facts[found["fact"]] = found
                self.add_fact(found)
            else:
                self.skip(found["skip"], found.get("why", "no reason given"))
        ok = not child.timed_out and (program.ok is None
                                      or child.status in tuple(program.ok) + (SKIPPED,))
        if child.stuck:
            self.problem(f"{program.name}: it is stuck in the driver: even SIGKILL did not end it")
        if not ok:
            last = (child.err.strip().splitlines() or ["it printed no message"])[-1]
            how = (ended(child.status).removeprefix("it ") if not child.timed_out
                   else "no time was left for it" if child.seconds < NO_TIME_S <= self.limit_s
                   else f"took longer than {child.seconds:.0f} s")
            self.problem(f"{program.name}: {how}: {last}")
        self.programs.append({"name": program.name, "argv": [self.shown(a) for a in child.argv],
                              "status": None if child.timed_out else child.status,
                              "seconds": round(child.seconds, 3)})
        return Result(child, facts, ok and child.status == 0)

    @staticmethod
    def shown(arg):
        """An argument as anybody could type it: where this machine keeps things is not a result."""
        if arg == sys.executable:
            return "python3"
        return re.sub(r"^/\S*/(?=rein-|gpu-check-|site-packages/)", "", str(arg)).removeprefix(f"{ROOT}/")

    @contextlib.contextmanager
    def daemon(self, profile=None):
        daemon = Daemon(self, profile)
        try:
            yield daemon
        finally:
            daemon.close()

    def end(self):
        """Ends what the stage has not."""
        for program in self.active:
            program.child.signal(signal.SIGTERM)
        for program in list(self.active):
            program.stop(grace_s=1)
