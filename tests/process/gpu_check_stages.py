# SPDX-License-Identifier: Apache-2.0
"""The runner of gpu-check against made-up stages: those that raise, hang, skip, fail, leave
processes behind or are killed in the middle of a line. And what holds for all real stages: their
limits fit the promised time, docs/gpu-facts.md names only facts that some probe can find.

Run by test_gpu_check: gpu_check_stages.py BUILD"""

import os
import re
import sys
import tempfile
import types
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GPU = ROOT / "workloads" / "gpu"
BUILD = Path(sys.argv.pop())
sys.path[:0] = [str(GPU), str(GPU / "stages")]
sys.dont_write_bytecode = True

import check  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import smoke_programs as sp  # noqa: E402
from machine import Machine  # noqa: E402
from stage import Skip  # noqa: E402

BUDGET_S = 490  # of all stages together: 9 minutes less the build and the start of the driver


class Quiet(check.Terminal):
    def __init__(self):
        super().__init__()
        self.live = False


class Runner(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        process.adopt_orphans()
        check.signal.signal(check.signal.SIGALRM, check.on_alarm)
        cls.machine = Machine(BUILD, {"inih"})
        cls.folder = tempfile.TemporaryDirectory()
        cls.machine.scratch = Path(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def stage(self, run, limit_s=20, own_limit_s=20, summary=lambda facts: f"{len(facts)} facts"):
        """The record of a stage whose run() is `run`."""
        module = types.SimpleNamespace(run=run, LIMIT_S=own_limit_s, summary=summary)
        sys.modules["smoke"] = module
        saved = {n: check.signal.getsignal(n) for n in check.ENDING}
        try:
            return check.run_stage("smoke", self.machine, Path(self.folder.name), limit_s, Quiet())
        finally:
            del sys.modules["smoke"]
            for number, handler in saved.items():
                check.signal.signal(number, handler)

    def test_facts_and_skips(self):
        def run(stage):
            stage.run("p", ["printf", '{"fact":"a.b","value":1}\\n{"skip":"a.c","why":"no"}\\n'])
        r, signalled = self.stage(run)
        self.assertIsNone(signalled)
        self.assertEqual((r["result"], r["summary"]), ("ok", "1 facts (1 not asked here)"))
        self.assertEqual(r["facts"], [{"fact": "a.b", "value": 1}])
        self.assertEqual(r["skips"], [{"skip": "a.c", "why": "no"}])
        self.assertTrue(r["simulated"])

    def test_what_hangs_without_the_shim_is_not_run_with_it(self):
        def run(stage):
            programs = sp.Programs(stage, [sp.Case("hangs", Path("/bin/sleep"), ["60"]),
                                           sp.Case("ends", Path("/bin/true"))])
            programs.limit_s = 0.3
            pool = sp.Pool(stage, 2, 1)
            pool.begin([sp.Job("aside", ["true"], None, lambda r, p: stage.fact("aside", 1))])
            pool.run(programs.jobs(sp.LONE, lambda c: None) + programs.jobs(sp.BARE, lambda c: None))
            pool.finish()
            stage.fact("ran", sorted(f"{name} {mode}" for name, mode in programs.outcomes))
            stage.fact("left", len(pool.left))
        r, _ = self.stage(run)
        self.assertEqual({f["fact"]: f["value"] for f in r["facts"]},
                         {"aside": 1, "left": 0,
                          "ran": ["ends bare", "ends no daemon", "hangs bare"]})

    def test_a_stage_that_raises_keeps_what_it_found(self):
        def run(stage):
            stage.fact("a.b", 1)
            raise ValueError("boom")
        with open(os.devnull, "w", encoding="utf-8") as sink:
            stderr, sys.stderr = sys.stderr, sink
            try:
                r, _ = self.stage(run)
            finally:
                sys.stderr = stderr
        self.assertEqual(r["result"], "failed")
        self.assertIn("ValueError: boom (gpu_check_stages.py:", r["summary"])
        self.assertEqual(len(r["facts"]), 1)

    def test_odd_values_cost_nothing(self):
        def run(stage):
            stage.run("p", ["printf", '{"fact":"a.b","value":NaN}\\n{"fact":"a.c"}\\n'])
            stage.fact("a.d", float("inf"))
        r, _ = self.stage(run, summary=lambda facts: facts["a.nothing"]["value"])
        self.assertEqual(r["result"], "ok")
        self.assertIn("3 facts (no summary: KeyError", r["summary"])
        self.assertIn("| a.b | not a number |", report.page("x", [r]))
        path = Path(self.folder.name) / "odd.json"
        report.write_json(path, r)
        report.json.loads(path.read_text(encoding="utf-8"), parse_constant=self.fail)

    def test_problems_do_not_hide_what_was_found(self):
        def run(stage):
            stage.fact("a.b", 1)
            stage.fail("a.c", "broken")
            stage.fail("a.d", "broken")
        r, _ = self.stage(run)
        self.assertEqual((r["result"], r["summary"]),
                         ("problems", "a.c: broken (and 1 more); found: 1 facts"))

    def test_a_program_that_even_sigkill_does_not_end_is_given_up(self):
        limit, process.KILLED_S = process.KILLED_S, 0.2
        killpg, process.os.killpg = process.os.killpg, lambda pid, sig: None

        def run(stage):
            stage.run("stuck", ["sleep", "79"], limit_s=0.2)
            stage.fact("a.b", 1)
        try:
            r, _ = self.stage(run)
        finally:
            process.KILLED_S, process.os.killpg = limit, killpg
        self.assertIn("stuck: it is stuck in the driver", r["problems"][0])
        self.assertEqual(len(r["facts"]), 1)
        self.assertEqual(process.descendants(os.getpid()), [])

    def test_children_where_the_kernel_does_not_list_them(self):
        child = process.Child(["sleep", "80"], dict(os.environ))
        lists, process.KERNEL_LISTS_CHILDREN = process.KERNEL_LISTS_CHILDREN, False
        try:
            self.assertEqual(process.descendants(os.getpid()), [child.pid])
        finally:
            process.KERNEL_LISTS_CHILDREN = lists
            child.stop(grace_s=0)

    def test_a_stage_that_hangs_is_stopped(self):
        grace, check.GRACE_S = check.GRACE_S, 0.5

        def run(stage):
            stage.fact("a.b", 1)
            while True:
                check.time.sleep(10)
        try:
            r, _ = self.stage(run, limit_s=0.5)
        finally:
            check.GRACE_S = grace
        self.assertEqual((r["result"], len(r["facts"])), ("out of time", 1))

    def test_a_stage_has_its_own_limit(self):
        left = []
        self.stage(lambda stage: left.append(stage.left()), limit_s=100, own_limit_s=7)
        self.assertLess(left[0], 7.1)

    def test_a_program_that_hangs_is_a_problem_and_its_children_go(self):
        def run(stage):
            script = 'echo \'{"fact":"a.b","value":2}\'; setsid sleep 77 & echo half | tr -d "\\n"; sleep 77'
            r = stage.run("sleeper", ["sh", "-c", script], limit_s=0.5)
            self.assertIsNone(r.status)
            self.assertFalse(r.ok)
            stage.fact("a.after", True)
        r, _ = self.stage(run)
        self.assertEqual(r["result"], "problems")
        self.assertIn("sleeper: took longer than", r["problems"][0])
        self.assertEqual([f["fact"] for f in r["facts"]], ["a.b", "a.after"])
        self.assertEqual(process.descendants(os.getpid()), [])

    def test_what_a_stage_leaves_behind_is_killed_and_named(self):
        def run(stage):
            stage.run("forker", ["sh", "-c", "setsid sleep 78 >/dev/null 2>&1 &"])
            stage.start("background", ["sleep", "78"])
            stage.fact("a.b", 1)
        r, _ = self.stage(run)
        self.assertEqual(len(r["problems"]), 1)
        self.assertIn("left the process sleep", r["problems"][0])
        self.assertEqual(process.descendants(os.getpid()), [])

    def test_statuses(self):
        def run(stage):
            self.assertTrue(stage.run("good", ["true"]).ok)
            self.assertFalse(stage.run("skipped", ["sh", "-c", "exit 77"]).ok)
            self.assertEqual(stage.run("allowed", ["sh", "-c", "exit 3"], ok=(3,)).status, 3)
            self.assertEqual(stage.problems, [])
            self.assertEqual(stage.run("gone", ["/nonexistent/program"]).status, 127)
            self.assertEqual(stage.run("killed", ["sh", "-c", "kill -9 $$"]).status, 137)
            self.assertEqual(len(stage.problems), 2)
            self.assertIn("No such file", stage.problems[0])
        self.stage(run)

    def test_skip_of_a_whole_stage(self):
        def run(_stage):
            raise Skip("there is no such thing here")
        r, _ = self.stage(run)
        self.assertEqual((r["result"], r["summary"]), ("skipped", "there is no such thing here"))

    def test_interrupted(self):
        def run(stage):
            stage.fact("a.b", 1)
            check.signal.signal(check.signal.SIGTERM, check.on_signal)
            os.kill(os.getpid(), check.signal.SIGTERM)
            check.time.sleep(10)
        r, signalled = self.stage(run)
        self.assertEqual((r["result"], signalled), ("interrupted", check.signal.SIGTERM))
        self.assertEqual(len(r["facts"]), 1)

    def test_lines_to_and_from_a_program(self):
        def run(stage):
            p = stage.start("cat", ["cat"], stdin=True)
            self.assertTrue(p.tell("one"))
            line, seen = p.await_line("out", 5, lambda text: text == "one")
            self.assertEqual(line, "one")
            self.assertEqual(p.await_line("out", 0.2, lambda text: True, seen), (None, seen))
            self.assertIn(p.stop().status, (143, 0))
            self.assertFalse(p.tell("two"))
        r, _ = self.stage(run)
        self.assertEqual(r["problems"], [])

    def test_a_daemon_and_its_client(self):
        def run(stage):
            with stage.daemon() as d:
                p = stage.start("saxpy", [BUILD / "workloads/saxpy"], env=d.env(prio=50))
                self.assertTrue(p.wait(15).ok)
                self.assertTrue(d.joined(p.pid))
                self.assertFalse(d.joined(1))
            self.assertFalse(d.folder.exists())
        r, _ = self.stage(run)
        self.assertEqual(r["problems"], [])


class Table(unittest.TestCase):
    def test_columns_align_and_long_findings_wrap(self):
        rows = [{"stage": "smoke", "result": "ok", "seconds": 41.2, "summary": "word " * 40},
                {"stage": "context-gate", "result": "skipped", "seconds": 0, "summary": "µs"}]
        lines = report.table(rows, 90).splitlines()
        self.assertTrue(all(report.width(line) <= 90 for line in lines))
        column = lines[0].index("found")
        self.assertEqual(lines[2][column - 2:column + 4], "  word")
        self.assertEqual(lines[3][:column + 4].strip(), "word")
        self.assertEqual(lines[-1][column:], "µs")

    def test_numbers(self):
        for value, text in ((812, "812"), (0.123456, "0.1235"), (True, "yes"), (1234567.0, "1.235e+06"),
                            ("x", "x"), (12.0, "12")):
            self.assertEqual(report.number(value), text)


class Promises(unittest.TestCase):
    def modules(self):
        return {name: check.importlib.import_module(name.replace("-", "_"))
                for name in check.STAGES}

    def test_every_stage_is_there_and_all_fit_the_time(self):
        modules = self.modules()
        for name, module in modules.items():
            self.assertTrue(callable(module.run) and callable(module.summary), name)
            self.assertTrue(module.__doc__, name)
        self.assertLessEqual(sum(m.LIMIT_S for m in modules.values()), BUDGET_S)

    @staticmethod
    def patterns():
        """What the probes' strings can become: "hold_%us" and f"{lc}_load" match with \\w+ there."""
        text = "\n".join(p.read_text(encoding="utf-8") for p in sorted(GPU.rglob("*"))
                         if p.suffix in (".c", ".h", ".py"))
        holes = re.compile(r"\{[^{}]*\}|%[-+ #0-9.*]*(?:hh|h|ll|l|z)?[a-z]")
        found = set()
        for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text):
            fixed = holes.split(literal)
            if len("".join(fixed)) >= 3 and re.fullmatch(r"[\w.-]*", "".join(fixed)):
                found.add(r"[\w.-]+".join(map(re.escape, fixed)))
        return re.compile("|".join(sorted(found)))

    def test_the_table_of_facts_names_facts_that_probes_find(self):
        page = (ROOT / "docs" / "gpu-facts.md").read_text(encoding="utf-8")
        ids = re.findall(r"`((?:" + "|".join(check.STAGES) + r")\.[\w*<>]+)`", page)
        self.assertGreater(len(ids), 100)
        patterns = self.patterns()
        for id in ids:
            name = re.sub(r"\*|<\w+>", "x1", id)
            with self.subTest(fact=id):
                self.assertTrue(patterns.fullmatch(name)
                                or patterns.fullmatch(name.partition(".")[2])
                                or any(patterns.fullmatch(part) for part in self.tails(name)), id)

    @staticmethod
    def tails(name):
        """A probe may be given its prefix: overhead.bare_launch_ns is "launch_ns" in the probe."""
        words = name.partition(".")[2].split("_")
        return ["_".join(words[i:]) for i in range(1, len(words) - 1)]

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
