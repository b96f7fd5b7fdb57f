# SPDX-License-Identifier: Apache-2.0
"""A latency-critical PyTorch program: ResNet-50 (one image a request) or a decoder (a short text a
request), eagerly or as CUDA graphs. An ordinary program that knows nothing of schedulers.

Commands on stdin (peer.py):
  window SECONDS RATE_HZ SEED   serve Poisson arrivals in open loop for SECONDS; latency counts
                                from the intended arrival. RATE_HZ 0: closed loop, as fast as
                                possible, for the service time alone
  quit
Answer: {"window": {"begin_ns", "finish_ns", "records": [[arrival_ns, start_ns, end_ns], …],
"unserved": n}}. A window ends at the latest after twice its time and 1 s; what had arrived and was
not served by then is counted in `unserved`, not in the records."""

import argparse

import models
import peer
import works


def serve_window(work, seconds, rate_hz, seed):
    arrivals = peer.Arrivals(rate_hz, seed) if rate_hz > 0 else None
    records = []
    begin = peer.now_ns()
    close = begin + int(seconds * 1e9)   # no arrivals from here on
    give_up = close + int(seconds * 1e9) + 1_000_000_000
    unserved = 0
    while True:
        arrival = begin + arrivals.next() if arrivals else peer.now_ns()
        if arrival >= close:
            break
        if peer.now_ns() >= give_up:
            unserved += 1
            continue
        peer.sleep_until(arrival)
        start = peer.now_ns()
        work.request()
        records.append((arrival, start, peer.now_ns()))
    peer.sleep_until(close)  # the window is the asked one, even if nothing arrived near its end
    return {"begin_ns": begin, "finish_ns": max(close, records[-1][2] if records else 0),
            "records": records, "unserved": unserved}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("resnet50", "decoder"), required=True)
    parser.add_argument("--graph", action="store_true", help="replay CUDA graphs (cuda only)")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS")
    works.add_sizes(parser)
    args = works.take_sizes(parser.parse_args())
    peer.bound(args.limit)
    device = models.prepare(args.device, exact=False)
    kind = {"resnet50": works.ResnetInference, "decoder": works.DecoderGeneration}[args.model]
    work = kind(device, args, graph=args.graph)
    for _ in range(works.WARM_UPS):
        work.request()
    peer.precise_sleep()
    peer.quiet_memory()

    def window(commands, seconds, rate_hz, seed="1"):
        if not 0 < float(seconds) <= 600 or float(rate_hz) < 0:
            raise ValueError("SECONDS is within 0 … 600, RATE_HZ not below 0")
        peer.answer(window=serve_window(work, float(seconds), float(rate_hz), int(seed)))

    peer.serve({"window": window})


if __name__ == "__main__":
    main()
