# SPDX-License-Identifier: Apache-2.0
"""MPS for a stage: a private server, started and stopped around a block of code.

    with mps.server(stage) as env:
        stage.run("name", argv, env=stage.machine.environment() | env, ...)

The control daemon gets pipe and log directories of its own, so it can neither meet nor disturb one
that is there already, and only programs that are given `env` use it. The compute mode is never
touched: in the default mode MPS works beside other programs. When the block ends, however it ends,
the daemon is told to quit, and whatever process of it is still there after that is killed; what
remains even then is named in a problem of the stage.

Where MPS is not to be had, server() raises Unavailable with the reason in one line.
"""
import atexit
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

START_S = 10  # for the daemon to answer
QUIT_S = 5  # for its servers to end by themselves
GONE_S = 10  # for its processes to be gone after that


class Unavailable(Exception):
    """No MPS here; the text says why."""


def available(stage):
    """None if MPS can be tried on this machine, else why not."""
    if stage.machine.simulated:
        return "the software GPU has no MPS server to start (its MPS mode is SOFTGPU_MPS=1)"
    if not stage.machine.mps:
        return "nvidia-cuda-mps-control is not installed"
    if not shutil.which("nvidia-cuda-mps-server"):
        beside = pathlib.Path(stage.machine.mps).parent / "nvidia-cuda-mps-server"
        if not beside.exists():
            return "nvidia-cuda-mps-server is not installed"
    return None


def processes(pipe):
    """Pids of the MPS daemon and servers whose pipe directory is `pipe`."""
    found = []
    want = b"CUDA_MPS_PIPE_DIRECTORY=" + os.fsencode(str(pipe))
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if not (entry / "comm").read_text().startswith("nvidia-cuda-mps"):
                continue
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if state != "Z" and want in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


class Daemon:
    """One control daemon; command() talks to it."""

    def __init__(self, control):
        self.control = str(control)
        # a short path: the daemon makes unix sockets in it
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rein-mps-", dir="/tmp"))
        self.pipe = self.folder / "pipe"
        self.log = self.folder / "log"
        self.pipe.mkdir()
        self.log.mkdir()
        self.env = {
            "CUDA_MPS_PIPE_DIRECTORY": str(self.pipe),
            "CUDA_MPS_LOG_DIRECTORY": str(self.log),
        }

    def _run(self, argv, text, limit_s):
        """(status or None, output). Output goes to a file: the daemon may keep our pipes open."""
        with tempfile.TemporaryFile() as out:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # the server is found on PATH
                env={**os.environ, **self.env, "PATH": os.pathsep.join(
                    [os.environ.get("PATH", os.defpath), os.path.dirname(self.control)])},
                start_new_session=True,
            )
            try:
                child.communicate(text, timeout=limit_s)
                status = child.returncode
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                status = None
            out.seek(0)
            return status, out.read().decode(errors="replace").strip()

    def command(self, line, limit_s=10):
        """What the daemon answers to one command, or None if it does not answer."""
        status, out = self._run([self.control], line.encode() + b"\n", limit_s)
        return out if status == 0 and "Cannot find MPS control daemon" not in out else None

    def start(self):
        status, out = self._run([self.control, "-d"], None, START_S)
        if status is None:
            raise Unavailable(f"nvidia-cuda-mps-control -d did not return in {START_S} s")
        if status != 0:
            raise Unavailable(f"nvidia-cuda-mps-control -d: status {status}: {out or 'no output'}")
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.command("get_server_list", 3) is not None:
                return
            time.sleep(0.1)
        raise Unavailable(f"the MPS daemon does not answer: {self.tail() or out or 'no output'}")

    def tail(self):
        """The last line of each log: why a client was refused, say."""
        lines = []
        for name in ("control.log", "server.log"):
            try:
                text = (self.log / name).read_text(errors="replace").strip()
            except OSError:
                continue
            if text:
                lines.append(f"{name}: {text.splitlines()[-1]}")
        return "; ".join(lines)

    def _gone(self, limit_s):
        until = time.monotonic() + limit_s
        while True:
            left = processes(self.pipe)
            if not left or time.monotonic() >= until:
                return left
            time.sleep(0.05)

    def stop(self):
        """Ends it. Pids that are still there: none, if all is well."""
        if not self.folder.exists():
            return []
        left = processes(self.pipe)
        if left:
            said = self.command(f"quit -t {QUIT_S}", QUIT_S + 5)
            if said and any(word in said.lower() for word in ("unknown", "invalid", "usage")):
                self.command("quit", QUIT_S + 5)
            left = self._gone(GONE_S)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            left = self._gone(3) if left else []
        shutil.rmtree(self.folder, ignore_errors=True)
        return left


@contextlib.contextmanager
def server(stage):
    """A private MPS daemon; yields the environment by which programs use it."""
    why = available(stage)
    if why:
        raise Unavailable(why)
    daemon = Daemon(stage.machine.mps)
    atexit.register(daemon.stop)
    try:
        daemon.start()
        yield dict(daemon.env)
    finally:
        left = daemon.stop()
        atexit.unregister(daemon.stop)
        if left:
            stage.fail("mps", "MPS processes would not end: " + " ".join(map(str, left)))
