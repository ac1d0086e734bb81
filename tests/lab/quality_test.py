# SPDX-License-Identifier: Apache-2.0
"""That bench/quality.py measures what it says: both senders pass one bad link. How fast they are is not looked at."""

import json
import os
import subprocess
import sys
import unittest

from lab import LabTest, SYNFIN

QUALITY = os.environ.get("SYNFIN_QUALITY", os.path.join(os.path.dirname(SYNFIN), "synfin-quality"))
RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench/quality.py")


class Quality(LabTest):
    def quality(self, *arguments, status=0):
        done = subprocess.run([QUALITY, *arguments], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 1 and "run as root" in done.stderr:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if status == 0 else done.stderr

    def test_both_senders_pass_the_same_link(self):
        account = self.quality("--synfin", "2", "--kernel", "2", "--seconds", "1", "--capture", self.path("c.pcapng"),
                               "--impair", "delay=2ms,seed=3,out:rate=20mbit,out:queue=50,out:loss=2%")
        self.assertEqual(sorted(f["stack"] for f in account["flows"]), ["kernel", "kernel", "synfin", "synfin"])
        for flow in account["flows"]:
            self.assertGreater(flow["octets"], 1000, account)
        # No more than the link carries: the queue is in front of the loss's successors, not behind them.
        self.assertLessEqual(sum(f["octets"] for f in account["flows"]) * 8, 20_000_000)
        self.assertGreater(account["link"]["lost"], 0)
        self.assertGreater(os.path.getsize(self.path("c.pcapng")), sum(f["octets"] for f in account["flows"]))

    def test_a_flow_of_a_given_size_arrives_whole(self):
        for stack in ("synfin", "kernel"):
            account = self.quality("--" + stack, "1", "--octets", "100000", "--seconds", "1", "--impair", "delay=1ms")
            self.assertEqual([f["octets"] for f in account["flows"]], [100_000])
            self.assertLess(account["flows"][0]["last"], 1)

    def test_a_controller_that_is_not_there_is_an_error(self):
        for stack in ("synfin", "kernel"):
            text = self.quality("--" + stack, "1", f"--{stack}-controller", "none-such", "--seconds", "0.1", status=1)
            self.assertTrue(text.startswith("synfin-quality: "), text)
            self.assertIn("none-such", text)

    def test_the_runner_makes_a_table(self):
        self.quality("--kernel", "1", "--seconds", "0.1")
        results = self.path("results.json")
        done = subprocess.run([sys.executable, RUNNER, "grid", "--quick", "--cell", "controller=reno,rtt=1,loss=0,reorder=0",
                               "--json", results], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "SYNFIN_QUALITY": QUALITY})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("### reno against Linux's reno", done.stdout)
        self.assertIn("| 1 ms | 0 % | **", done.stdout)
        with open(results, encoding="utf-8") as file:
            self.assertEqual(len(json.load(file)["runs"]), 2)


if __name__ == "__main__":
    unittest.main()
