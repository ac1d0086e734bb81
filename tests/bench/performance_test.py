# SPDX-License-Identifier: Apache-2.0
"""The page about performance: what is written from which figures. Nothing is measured here."""

import contextlib
import importlib.util
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "bench/performance.py"
PAGE = ROOT / "docs/performance.md"

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("performance", SCRIPT)
performance = importlib.util.module_from_spec(spec)
spec.loader.exec_module(performance)


def result(benchmark, case, value, peers=None, **extra):
    peers = peers or {}
    return dict(benchmark=benchmark, case=case, unit="1/s", better="higher", value=value, min=value * 0.9, max=value * 1.1,
                runs=5, peers=peers, ratios={k: value / v for k, v in peers.items()}, **extra)


# What each goal asks for, just reached.
LEGITIMATE = {"tried": 1000, "completed": 1000}
MET = [
    result("lifecycle", "alone", 2500, {"kernel": 100}, established=0, time_wait=65536, ns=4e5),
    result("lifecycle", "million-idle-million-timewait", 1400, {"kernel": 100}, established=10**6, time_wait=10**6, ns=7e5),
    result("bulk", "mss1460", 30, {"kernel": 10}), result("bulk", "mss1460-16M", 29), result("bulk", "mss8960", 110, {"kernel": 100}),
    result("bulk", "64k", 140, {"kernel": 100}), result("bulk", "64k-16M", 134),
    result("synflood", "cookies", 8e6, {"kernel": 4e5}, legitimate=LEGITIMATE),
    result("memory", "half-open", 72), result("memory", "time-wait", 72), result("memory", "established", 512),
    result("memory", "established-10M", 500, ends=10**7, all=5 * 10**9,
           **{"answer alone ns": 1000, "answer among them ns": 1050, "answer of any of them ns": 1700}),
    result("tun", "receive", 85, {"responder": 100}), result("tun", "send", 85, {"responder": 100}),
    result("request", "ping-pong", 1000, interrupted=0, p99=1500, machine={"p50": 1000, "p99.9": 1100}, **{"p99.9": 3000}),
    result("scale", "lifecycle", 1.9), result("scale", "bulk", 1.9),
]


def page_of(results):
    cases = {f"{r['benchmark']} {r['case']}": "what it is" for r in results}
    return performance.page({"conditions": "Measured somewhere.", "cases": cases, "results": results})


class Goals(unittest.TestCase):
    def test_every_goal_of_the_seven_has_a_row_that_says_whether_it_is_met(self):
        self.assertEqual({g.number for g in performance.GOALS}, set(range(1, 8)))
        results = performance.Results(MET)
        for goal in performance.GOALS:
            with self.subTest(goal.what):
                self.assertTrue(goal.judge(results)[1])
        text = page_of(MET)
        for goal in performance.GOALS:
            self.assertRegex(text, rf"\| {goal.number} \| {re.escape(goal.what)} \| .* \| met \|")
        self.assertNotIn("not met", text)

    def test_a_little_worse_is_not_met(self):
        worse = []
        for r in json.loads(json.dumps(MET)):
            up = 1.02 if r["benchmark"] == "memory" else 0.98
            r["value"] *= up
            r["ratios"] = {k: v * up for k, v in r["ratios"].items()}
            worse.append(r)
        worse = {(r["benchmark"], r["case"]): r for r in worse}
        worse["synflood", "cookies"]["legitimate"] = {"tried": 1000, "completed": 999}
        worse["memory", "established-10M"]["all"] = 7 * 2**30
        worse["memory", "established-10M"]["answer among them ns"] = 2000
        worse["bulk", "mss1460-16M"]["value"] = worse["bulk", "64k-16M"]["value"] = 5
        results = performance.Results(list(worse.values()))
        for goal in performance.GOALS:
            # The flood's ratio has room to spare in these figures.
            if "kernel's cost" not in goal.what:
                with self.subTest(goal.what):
                    self.assertFalse(goal.judge(results)[1])

    def test_what_was_not_measured_has_no_row(self):
        for goal in performance.GOALS:
            self.assertFalse(goal.judge(performance.Results([])))


class Page(unittest.TestCase):
    def test_sections_without_figures_are_left_out(self):
        text = page_of([r for r in MET if r["benchmark"] == "scale"])
        self.assertIn("## Two shards", text)
        for absent in ["## One stream", "## Memory", "## The parts", "## Distance", "{", "}"]:
            self.assertNotIn(absent, text)

    def test_a_list_that_was_filled_is_there(self):
        frame = "# Title\n\n{goals}\n\n## What helped\n\n- one thing\n\n## What did not help\n"
        text = performance.fill(frame, {"goals": "a table\n"})
        self.assertEqual(text, "# Title\n\na table\n\n## What helped\n\n- one thing\n")

    def test_what_went_wrong_or_was_skipped_is_said(self):
        text = page_of([dict(MET[0], problem="it did not open"), dict(MET[-1], skipped="one core only")])
        self.assertIn("lifecycle alone: it did not open", text)
        self.assertIn("scale (one core only)", text)

    def test_results_of_two_files_are_put_together(self):
        with tempfile.TemporaryDirectory() as folder:
            names = []
            for n, some in enumerate([MET[:3], MET[2:]]):
                names.append(str(pathlib.Path(folder) / f"{n}.json"))
                pathlib.Path(names[-1]).write_text(json.dumps({"conditions": f"Run {n}.", "cases": {}, "results": some}))
            call = [sys.executable, str(SCRIPT)] + [w for n in names for w in ("--from", n)]
            text = subprocess.run(call, capture_output=True, text=True, check=True).stdout
        self.assertEqual(text.count("`mss1460`"), 1)
        self.assertIn("Run 0.\n\nRun 1.", text)

    def test_the_page_is_that_of_this_script_and_its_commands_exist(self):
        if not PAGE.exists():
            self.skipTest("docs/performance.md has not been written yet")
        text = PAGE.read_text(encoding="utf-8")
        for goal in performance.GOALS:
            self.assertIn(f"| {goal.number} | {goal.what} | {goal.wanted} |", text)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), self.assertRaises(SystemExit):
            sys.argv = ["performance.py", "--help"]
            performance.main()
        for option in re.findall(r"bench/performance\.py ([^#\n]*)", text):
            for word in re.findall(r"--\w+", option):
                self.assertIn(word, shown.getvalue())


if __name__ == "__main__":
    unittest.main()
