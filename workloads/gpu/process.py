# SPDX-License-Identifier: Apache-2.0
"""Child programs that end: each in its own session, bounded in time, its output read while it
runs. Whatever a program leaves behind (a daemon, a forked child) is adopted by this process and
killed by sweep()."""

import ctypes
import os
import selectors
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
OUTPUT_MAX = 64 << 20  # bytes kept of one program's output
KILLED_S = 3           # a killed program that is not gone after that is stuck in a driver

LIBC = ctypes.CDLL(None, use_errno=True)
# some kernels are built without it
KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def adopt_orphans():
    """Orphans of our children become our children, so that sweep() finds them."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def children_of(pid):
    """Process ids of the living children of any thread of `pid`."""
    if not KERNEL_LISTS_CHILDREN:
        return [int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) == pid]
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
    except OSError:
        pass  # it has ended
    return found


def descendants(pid):
    """All processes below `pid`, parents first."""
    found = []
    for child in children_of(pid):
        found += [child] + descendants(child)
    return found


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def sweep(keep=()):
    """Kills every descendant but `keep` and theirs; returns what was killed, as (pid, name)."""
    spared = set(keep)
    for pid in keep:
        spared.update(descendants(pid))
    killed = []
    for pid in descendants(os.getpid()):
        if pid in spared:
            continue
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                line = f.read()
            if line.rpartition(")")[2].split()[0] != "Z":
                killed.append((pid, line[line.find("(") + 1:line.rfind(")")]))
        except OSError:
            continue
        kill(pid)
    reap()
    return killed


def reap():
    """Collects ended children that no Child object knows (adopted ones)."""
    known = {c.pid for c in Child.living}
    for pid in children_of(os.getpid()):
        if pid not in known:
            for _ in range(200):  # a killed process may take a moment to go
                try:
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        break
                except ChildProcessError:
                    break
                time.sleep(0.01)


class Child:
    """One program. Its output is taken in by pump(), which wait() and the others call."""

    living = []

    def __init__(self, argv, env, cwd=None, stdin=False):
        self.argv = [str(a) for a in argv]
        self.begin = time.monotonic()
        self.seconds = None
        self.status = None  # exit status, 128 + signal, None while it runs
        self.timed_out = False
        self.stuck = False  # not even SIGKILL ended it
        self.buffers = {"out": bytearray(), "err": bytearray()}
        parent = os.getpid()

        def setup():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        try:
            self.process = subprocess.Popen(
                self.argv, env=env, cwd=cwd, preexec_fn=setup, start_new_session=True,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as e:
            self.process = None
            self.pid = 0
            self.status = 127
            self.seconds = 0.0
            self.buffers["err"] += f"{self.argv[0]}: {e.strerror}\n".encode()
            return
        self.pid = self.process.pid
        self.selector = selectors.DefaultSelector()
        for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr)):
            os.set_blocking(pipe.fileno(), False)
            self.selector.register(pipe, selectors.EVENT_READ, name)
        Child.living.append(self)

    @property
    def out(self):
        return self.buffers["out"].decode("utf-8", "replace")

    @property
    def err(self):
        return self.buffers["err"].decode("utf-8", "replace")

    def pump(self, seconds):
        """Takes in output for up to `seconds`; True once the program has ended."""
        if self.status is not None:
            return True
        for key, _ in self.selector.select(seconds):
            data = key.fileobj.read(1 << 16)
            if data:
                room = OUTPUT_MAX - len(self.buffers[key.data])
                self.buffers[key.data] += data[:max(room, 0)]
            elif data is not None:
                self.selector.unregister(key.fileobj)
        code = self.process.poll()
        if code is None:
            if not self.selector.get_map():
                time.sleep(min(seconds, 0.01))  # it closed its output and lives on
            return False
        self.finish(code)
        return True

    def finish(self, code):
        self.seconds = time.monotonic() - self.begin
        self.status = 128 - code if code < 0 else code
        self.close()

    def close(self):
        for key in list(self.selector.get_map().values()):  # what is still in the pipes
            while True:
                data = key.fileobj.read(1 << 16)
                if not data:
                    break
                self.buffers[key.data] += data[:max(OUTPUT_MAX - len(self.buffers[key.data]), 0)]
        self.selector.close()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        Child.living.remove(self)

    def wait(self, limit_s):
        """Until its end, or until limit_s are over: then it is killed and timed_out is set."""
        end = time.monotonic() + limit_s
        while not self.pump(min(0.2, max(end - time.monotonic(), 0))):
            if time.monotonic() >= end:
                self.timed_out = True
                self.stop(grace_s=0)
                break
        return self

    def stop(self, sig=signal.SIGTERM, grace_s=3.0):
        """Signals its whole group, waits, then kills the group and whatever else came of it."""
        if self.status is not None:
            return
        family = descendants(self.pid)
        end = time.monotonic() + grace_s
        if grace_s > 0:
            self.signal(sig)
            while time.monotonic() < end and not self.pump(0.05):
                pass
        if self.status is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            end = time.monotonic() + KILLED_S
            while not self.pump(0.05):
                if time.monotonic() >= end:
                    self.stuck = True
                    self.finish(-signal.SIGKILL)
                    break
        for pid in family:
            kill(pid)

    def signal(self, sig):
        if self.status is not None:
            return  # there is no such group any more, or never was
        try:
            os.killpg(self.pid, sig)
        except ProcessLookupError:
            pass

    def tell(self, line):
        """A line to its standard input (started with stdin=True). False if it has gone."""
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
            return True
        except (BrokenPipeError, ValueError, AttributeError):
            return False

    def await_line(self, stream, limit_s, match, seen=0):
        """The first line at or after byte `seen` of "out" or "err" for which match(line) is true,
        with the offset behind it: (line, offset); (None, seen) if it ends or time is over."""
        end = time.monotonic() + limit_s
        while True:
            data = self.buffers[stream]
            while (stop := data.find(b"\n", seen)) >= 0:
                line = data[seen:stop].decode("utf-8", "replace")
                seen = stop + 1
                if match(line):
                    return line, seen
            if self.status is not None or time.monotonic() >= end:
                return None, seen
            self.pump(min(0.1, max(end - time.monotonic(), 0)))
