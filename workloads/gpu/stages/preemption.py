# SPDX-License-Identifier: Apache-2.0
"""preemption: how soon an urgent request has the GPU to itself beside a program that keeps a hundred
kernels queued, natively and with each gate; `make bench`'s own program on this GPU. Both programs
check their results: a preemption that changed one bit is a problem of the stage."""

import json

from sharing import GATES
from stage import NO_PROFILE, Skip

LIMIT_S = 50
MOST_REQUESTS, LEAST_REQUESTS = 60, 10
RESERVE_S = 14  # ends of the queues: 128 kernels of up to 50 ms, for each gate
CELLS_PER_REQUEST_S = 0.72  # twenty-four cells, 30 ms between two requests
WHATS = {"lower_leaves": "submission to the end of the other program's last block before the request",
         "last_lower_block": "submission to the end of its last block until the request ends",
         "first_urgent_block": "submission to the begin of the request's first block",
         "request_end": "submission to the end of the request, 3 kernels of 1 ms"}


def run(stage):
    tool = stage.machine.build / "workloads" / "bench_preempt"
    if "jansson" not in stage.machine.have or not tool.exists():
        raise Skip("bench_preempt was not built: it needs jansson")
    if stage.machine.simulated:
        raise Skip("on the software GPU `make bench` measures it")
    out = stage.machine.scratch / "preempt"
    profile = out.with_suffix(".profile")
    profile.write_text(json.dumps(NO_PROFILE | GATES["rein-context"]), encoding="utf-8")
    env = stage.machine.environment() | {"REIN_PROFILE": str(profile)}
    n = int((stage.left() - RESERVE_S) / CELLS_PER_REQUEST_S)
    n = max(min(n, MOST_REQUESTS), LEAST_REQUESTS)
    stage.run("bench_preempt", [tool, "--out", out, "--requests", n, "--kind", "long", "--idle-s",
                                0], limit_s=stage.left() - 1, env=env)
    try:
        found = json.loads((out / "preempt.json").read_text(encoding="utf-8"))
        page = (out / "preempt.md").read_text(encoding="utf-8")
    except (OSError, ValueError) as e:
        stage.fail("preempt.json", f"bench_preempt left no figures: {e}")
        return
    (stage.results_dir / "preemption.md").write_text(page.lstrip(), encoding="utf-8")
    for row in found["rows"]:
        stem = f"preemption.{row['gate']}_{row['kernel_us'] / 1e3:g}ms"
        if not row["offered"]:
            stage.skip(f"{stem}_first_urgent_block_us", "the daemon does not offer this gate here")
            continue
        for what, how in WHATS.items():
            f = row[what]
            stage.fact(f"{stem}_{what}_us", f["p50_us"], "us", how, p99=f["p99_us"],
                       max=f["max_us"], n=found["requests"])


def summary(facts):
    """The median and the worst cases of 5 ms kernels by gate."""
    parts = []
    for gate in ("native", "launch", "queue", "context"):
        fact = facts.get(f"preemption.{gate}_5ms_lower_leaves_us")
        if fact:
            parts.append(f"{gate} {fact['value'] / 1e3:.2f} (p99 {fact['p99'] / 1e3:.2f})")
    return "ms until 5 ms kernels are off the GPU: " + ", ".join(parts)
