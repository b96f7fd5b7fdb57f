# SPDX-License-Identifier: Apache-2.0
"""How long PyTorch takes for a few common things, repeat by repeat. The overhead stage keeps one
such process without the shim and one under it, and asks them in turn, the other being idle.

Commands on stdin (peer.py):
  measure WHAT REPEATS [CPU]   answered {"measure": {"what": WHAT, "ns": [one per repeat]}};
                               this thread runs on that processor from then on
  quit
WHAT: resnet50-infer (one image, eager), resnet50-graph (the same as a CUDA graph), resnet50-train
(a step), decoder (tokens, each read by the host), each ending with a synchronise; launch-burst (a
tight loop of the smallest kernels, ns per launch), launch-sync (one of them and a synchronise)."""

import argparse
import os

import torch

import models
import peer
import works

BURST = 500  # launches in a row: fewer than the driver queues before it waits


class Launches:
    """The smallest kernel, `count` times in a row. The wait at the end does not count where
    several are launched."""

    def __init__(self, device, count):
        self.device, self.count = device, count
        self.x = torch.zeros(1, device=device)

    def request(self):
        self.once()

    @torch.no_grad()
    def once(self):
        add, numbers = self.x.add_, range(self.count)
        begin = peer.now_ns()
        for _ in numbers:
            add(1.0)
        if self.count == 1:
            works.synchronize(self.device)
        took = peer.now_ns() - begin
        works.synchronize(self.device)
        return took / self.count


def once(work):
    """Time of one request."""
    begin = peer.now_ns()
    work.request()
    return peer.now_ns() - begin


def build(device, args):
    kinds = {
        "resnet50-infer": lambda: works.ResnetInference(device, args),
        "resnet50-graph": lambda: works.ResnetInference(device, args, graph=True),
        "resnet50-train": lambda: works.ResnetTraining(device, args),
        "decoder": lambda: works.DecoderGeneration(device, args),
        "launch-burst": lambda: Launches(device, BURST),
        "launch-sync": lambda: Launches(device, 1),
    }
    built = {}
    for what, kind in kinds.items():
        if args.what and what not in args.what:
            continue
        try:
            built[what] = kind()
            for _ in range(works.WARM_UPS):
                built[what].request()
        except Exception as e:  # the others can still be measured
            built.pop(what, None)
            peer.say(f"{what} is left out: {type(e).__name__}: {e}".replace("\n", " ")[:500])
    return built


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="*", help="only these")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS")
    works.add_sizes(parser)
    args = works.take_sizes(parser.parse_args())
    peer.bound(args.limit)
    device = models.prepare(args.device, exact=False)
    built = build(device, args)
    peer.quiet_memory()

    def measure(commands, what, repeats, cpu=None):
        if what not in built:
            raise ValueError(f"'{what}' is none of {', '.join(built)}")
        if not 0 < int(repeats) <= 100_000:
            raise ValueError("REPEATS is within 1 … 100000")
        if cpu is not None:
            os.sched_setaffinity(0, {int(cpu)})
        work = built[what]
        timed = work.once if isinstance(work, Launches) else lambda: once(work)
        timed()  # after the idle time, not counted
        peer.answer(measure={"what": what, "ns": [timed() for _ in range(int(repeats))]})

    peer.serve({"measure": measure})


if __name__ == "__main__":
    main()
