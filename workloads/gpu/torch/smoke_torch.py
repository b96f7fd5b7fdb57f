# SPDX-License-Identifier: Apache-2.0
"""Asks whether PyTorch's ways of using a GPU work, and what their results are, to the bit. The
smoke stage runs it with and without the shim and compares.

Each case prints one line: {"case": NAME, "ok": true, "digest": SHA-256 of the results' bytes,
"stat": [mean, deviation, norm], "seconds": …}. Without the shim digests are the same in every run;
where a library cannot promise that, stat is what to compare ("exact": false). A failed case is
{"case": NAME, "ok": false, "error": …}, one that cannot be asked here {"case": NAME, "skip": WHY};
the next one goes on. Exit status: 0 all asked cases worked, 1 one failed, 2 usage."""

import argparse
import ctypes
import hashlib
import json
import math
import sys
import time
import warnings

import torch

import models
import peer
import smoke_cases


def leaves(result):
    """The tensors of a result, however nested, in order."""
    if isinstance(result, torch.Tensor):
        return [result.detach()]
    if isinstance(result, dict):
        result = [result[key] for key in sorted(result)]
    if isinstance(result, (list, tuple)):
        return [tensor for part in result for tensor in leaves(part)]
    return [torch.tensor([result], dtype=torch.float64)]


def summary(result):
    """(digest, [mean, deviation, norm]) of a result's bytes and values."""
    digest = hashlib.sha256()
    count, total, squares = 0, 0.0, 0.0
    for tensor in leaves(result):
        host = tensor.cpu().contiguous()
        if host.numel() == 0:
            continue
        digest.update(f"{host.dtype} {tuple(host.shape)} ".encode())
        digest.update(ctypes.string_at(host.data_ptr(), host.numel() * host.element_size()))
        values = host.double().flatten()
        count += values.numel()
        total += values.sum().item()
        squares += values.square().sum().item()
    mean = total / max(count, 1)
    deviation = math.sqrt(max(squares / max(count, 1) - mean * mean, 0))
    return digest.hexdigest(), [mean, deviation, math.sqrt(squares)]


def run_case(name, case, setting):
    begin = time.monotonic()
    line = {"case": name}
    try:
        torch.manual_seed(1)  # each case the same, whatever ran before it
        result = case(setting)
        if isinstance(result, smoke_cases.Digested):  # by another process
            line |= {"ok": True, "digest": result.digest, "stat": result.stat}
        else:
            digest, stat = summary(result)
            if not all(math.isfinite(v) for v in stat):
                raise ArithmeticError(f"results are not finite: {stat}")
            line |= {"ok": True, "digest": digest, "stat": stat}
        line["exact"] = name not in smoke_cases.INEXACT
    except smoke_cases.Skip as e:
        line["skip"] = str(e)
    except Exception as e:
        line |= {"ok": False, "error": f"{type(e).__name__}: {e}".replace("\n", " ")[:500]}
    line["seconds"] = round(time.monotonic() - begin, 3)
    print(json.dumps(line), flush=True)
    return line.get("ok", True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", help=f"default: all: {' '.join(smoke_cases.CASES)}")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--tiny", action="store_true", help="small sizes, for trials on a CPU")
    parser.add_argument("--compile-limit", type=int, default=60, metavar="SECONDS",
                        help="of the case compile (default 60)")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS")
    args = parser.parse_args()
    for name in args.case:
        if name not in smoke_cases.CASES:
            parser.error(f"'{name}' is none of {' '.join(smoke_cases.CASES)}")
    peer.bound(args.limit)
    warnings.simplefilter("ignore")  # each operation without a deterministic variant would warn
    setting = smoke_cases.Setting(models.prepare(args.device, exact=True), args)
    peer.say(f"PyTorch {torch.__version__} on {setting.device}")
    good = True
    for name in args.case or smoke_cases.CASES:
        good &= run_case(name, smoke_cases.CASES[name], setting)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
