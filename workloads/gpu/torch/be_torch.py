# SPDX-License-Identifier: Apache-2.0
"""A best-effort PyTorch program: ResNet-50 training, or matrix products of one long kernel each.
It keeps a bounded number of steps queued on the GPU and notes when each has ended. An ordinary
program that knows nothing of schedulers.

Commands on stdin (peer.py):
  start   begin to work
  stop    no new steps; wait for the queued ones, then answer
  quit
Answer to stop: {"steps": {"begin_ns", "finish_ns", "step_end_ns": […]}}; for products also
"kernel_ms", the time of one alone when the program began, and "size"."""

import argparse
import collections

import models
import peer
import works

QUEUED_MS = 100  # of products ahead, unless --depth says otherwise
TRAINING_DEPTH = 2


class Runner:
    def __init__(self, device, work, depth, more):
        self.device, self.work, self.depth, self.more = device, work, depth, more
        self.queue = collections.deque()
        self.ends = []

    def end_one(self):
        self.queue.popleft().wait()
        self.ends.append(peer.now_ns())

    def start(self, commands):
        """Works until a command comes; only stop is one now, and the end of stdin stops too."""
        self.ends = []
        begin = peer.now_ns()
        while (words := commands.poll()) is None:
            self.work.step()
            self.queue.append(works.Mark(self.device))
            while len(self.queue) >= self.depth:
                self.end_one()
        while self.queue:
            self.end_one()
        if words == ["stop"]:
            peer.answer(steps={"begin_ns": begin, "finish_ns": peer.now_ns(),
                               "step_end_ns": self.ends, **self.more})
        elif words != ["quit"]:
            raise ValueError(f"'{' '.join(words)}' while working: only stop or quit; stopped")

    def stop(self, commands):
        raise ValueError("nothing was started")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=("resnet50-train", "gemm"), required=True)
    parser.add_argument("--kernel-ms", type=float, default=5.0, help="of a product (default 5)")
    parser.add_argument("--size", type=int, metavar="N", help="of a product, not calibrated")
    parser.add_argument("--depth", type=int, metavar="N", help="steps queued ahead (default: 2 of "
                        f"training, {QUEUED_MS} ms of products)")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS")
    works.add_sizes(parser)
    args = works.take_sizes(parser.parse_args())
    if not 0 < args.kernel_ms <= 1000 or (args.depth is not None and args.depth < 1):
        parser.error("--kernel-ms is within 0 … 1000, --depth at least 1")
    peer.bound(args.limit)
    device = models.prepare(args.device, exact=False)
    more = {}
    if args.work == "gemm":
        work = works.Gemm(device, args.kernel_ms, args.size)
        more = {"kernel_ms": round(work.kernel_ms, 4), "size": work.size}
        depth = args.depth or max(2, round(QUEUED_MS / work.kernel_ms))
    else:
        work = works.ResnetTraining(device, args)
        depth = args.depth or TRAINING_DEPTH
    for _ in range(works.WARM_UPS):
        work.step()
    works.synchronize(device)
    peer.precise_sleep()
    peer.quiet_memory()
    runner = Runner(device, work, depth, more)
    peer.serve({"start": runner.start, "stop": runner.stop})


if __name__ == "__main__":
    main()
