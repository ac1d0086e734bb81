# SPDX-License-Identifier: Apache-2.0
"""Every benchmark for a moment: what it did is checked, how fast it was is not."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BENCH = os.environ.get("SYNFIN_BENCH", str(pathlib.Path(__file__).parents[2] / "build/release/synfin-bench"))
FIELDS = ["benchmark", "case", "unit", "better", "value", "min", "max", "runs", "peers", "ratios"]


def bench(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=300, check=False)


def results_of(*arguments):
    """The JSON of a short run, and what was printed."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "results.json"
        done = bench("--scale", "0.01", "--json", str(file), *arguments)
        results = json.loads(file.read_text()) if file.exists() and file.stat().st_size else []
    return results, done


class Everything(unittest.TestCase):
    """One short run of all, without peers: no rights are needed."""

    @classmethod
    def setUpClass(cls):
        cls.results, cls.done = results_of("--runs", "2", "--peer", "none")

    def result(self, benchmark, case):
        found = [r for r in self.results if (r["benchmark"], r["case"]) == (benchmark, case)]
        self.assertEqual(len(found), 1, f"{benchmark} {case}")
        return found[0]

    def test_it_ends_well_and_says_nothing_else(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        self.assertEqual(self.done.stderr, "")

    def test_every_case_of_the_list_has_a_result_with_all_fields(self):
        listed = [line.split()[0] for line in bench("--list").stdout.splitlines() if line.startswith("  ")]
        self.assertGreater(len(listed), 8)
        self.assertEqual([r["case"] for r in self.results], listed)
        for r in self.results:
            with self.subTest(f"{r['benchmark']} {r['case']}"):
                self.assertEqual(list(r)[: len(FIELDS)], FIELDS)
                self.assertNotIn("problem", r)
                if "skipped" in r:
                    self.assertIn(r["benchmark"], ["tun", "scale", "instructions"], r["skipped"])
                    self.assertTrue(r["skipped"])
                    continue
                self.assertEqual(r["runs"], 2)
                self.assertIn(r["better"], ["higher", "lower"])
                self.assertGreater(r["min"], 0)
                self.assertLessEqual(r["min"], r["value"])
                self.assertLessEqual(r["value"], r["max"])
                self.assertEqual((r["peers"], r["ratios"]), ({}, {}))

    def test_the_table_has_a_row_for_each_case(self):
        rows = [line.split()[:2] for line in self.done.stdout.splitlines() if not line.startswith(" ")]
        for r in self.results:
            case = r["case"] + ":" if "skipped" in r else r["case"]
            self.assertIn([r["benchmark"], case], rows)

    def test_every_legitimate_handshake_completes_during_a_flood(self):
        for case in ["cookies", "no-timestamps", "ipv6", "queue"]:
            with self.subTest(case):
                r = self.result("synflood", case)
                self.assertEqual(r["legitimate"], {"tried": 10, "completed": 10})
                self.assertGreaterEqual(r["syns"], 20_000)

    def test_a_flood_leaves_memory_as_it_was(self):
        for case in ["cookies", "no-timestamps", "ipv6", "drop"]:
            with self.subTest(case):
                memory = self.result("synflood", case)["memory"]
                self.assertEqual(memory["half-open before"], 1025)  # the backlog, and one
                self.assertEqual(memory["half-open after"], 1025)
                self.assertEqual(memory["connections"], 0)
                self.assertEqual(memory["pool growth"], 0)
                # 20,000 records would be 1.4 MB.
                self.assertLess(memory["resident growth"], 512 * 1024)

    def test_records_are_as_small_as_promised(self):
        sizes = self.result("synflood", "cookies")["sizeof"]
        self.assertLessEqual(sizes["HalfOpen"], 64)
        self.assertLessEqual(sizes["TimeWait"], 64)
        self.assertLessEqual(sizes["ConnectionRecord"], 512)
        self.assertEqual(sizes["table slot"], 8)

    def test_every_life_takes_seven_segments_and_leaves_time_wait(self):
        for case, established in [("alone", 0), ("one-by-one", 0), ("1024", 10), ("1000000", 10_000)]:
            with self.subTest(case):
                r = self.result("lifecycle", case)
                self.assertEqual(r["lifecycles"]["completed"], r["lifecycles"]["tried"])
                self.assertGreater(r["lifecycles"]["tried"], 0)
                self.assertEqual(r["segments"], 7)
                self.assertEqual(r["established"], established)
                self.assertGreaterEqual(r["time_wait"], 600)

    def test_every_request_is_answered(self):
        r = self.result("request", "connection-each")
        self.assertEqual(r["requests"]["answered"], r["requests"]["tried"])

    def test_streams_arrive_in_segments_of_their_size(self):
        for case, segment, packet in [
            ("mss1460", 1400, 1400),
            ("mss1460-64K", 1400, 1400),
            ("mss1460-16M", 1400, 1400),
            ("mss8960", 8000, 8000),
            ("mss8960-16M", 8000, 8000),
            ("64k", 1400, 16_000),
            ("64k-whole", 32_000, 32_000),
            ("64k-16M", 1400, 16_000),
        ]:
            with self.subTest(case):
                r = self.result("bulk", case)
                self.assertGreaterEqual(r["octets"], 20_000_000)
                self.assertGreater(r["segment"], segment)
                self.assertGreater(r["packet"], packet)
                self.assertGreater(r["limits"]["memcpy GB/s"], 0)
                self.assertGreater(r["limits"]["checksum GB/s"], 0)
                self.assertGreaterEqual(r["most in flight"], 60_000)
                self.assertEqual("to 1 MiB" in r, case.endswith("-16M"))

    def test_streams_and_lives_pass_through_a_device(self):
        for case, what, least in [
            ("receive", "octets", 40_000_000),
            ("send", "octets", 40_000_000),
            ("receive-shared", "octets", 40_000_000),
            ("send-shared", "octets", 40_000_000),
            ("receive-plain", "octets", 10_000_000),
            ("send-plain", "octets", 10_000_000),
            ("lifecycle", "lives", 1000),
            ("lifecycle-plain", "lives", 1000),
        ]:
            with self.subTest(case):
                r = self.result("tun", case)
                if "skipped" in r:
                    self.skipTest(r["skipped"])
                # What arrived at once with the last of the warm-up was not measured.
                self.assertGreater(r[what], least * 0.95)
                per = "cpu microseconds a life" if what == "lives" else "cpu seconds a GiB"
                self.assertGreater(r[per]["far end"], 0)
                self.assertGreater(r[per]["kernel's program"], 0)

    def test_memory_is_that_of_so_many_connections(self):
        for case, field, count in [
            ("half-open", "connections", 10_000),
            ("established", "ends", 10_000),
            ("time-wait", "connections", 10_000),
            ("established-10M", "ends", 100_000),
        ]:
            with self.subTest(case):
                r = self.result("memory", case)
                self.assertGreaterEqual(r[field], count - 64)
                # More than nothing, and no more than a few records each.
                self.assertGreater(r["value"], 32)
                self.assertLess(r["value"], 1500)

    def test_two_shards_are_measured_where_there_are_two_cores(self):
        for case in ["lifecycle", "bulk"]:
            with self.subTest(case):
                r = self.result("scale", case)
                if "skipped" in r:
                    self.assertIn("one core", r["skipped"])
                    continue
                self.assertGreater(r["one shard"], 0)
                self.assertGreater(r["two shards"], 0)
                self.assertEqual(len(r["by core"]), 2)

    def test_instructions_are_the_same_in_every_run(self):
        for case in ["life", "ping-pong", "syn", "segment", "parse"]:
            with self.subTest(case):
                r = self.result("instructions", case)
                if "skipped" in r:
                    self.assertIn("valgrind", r["skipped"])
                    continue
                self.assertEqual(r["min"], r["max"])
                self.assertGreater(r["times"], 100)
                self.assertLess(r["reads"] + r["writes"], r["value"] * 2)

    def test_each_part_stands_beside_the_naive_way(self):
        names = {r["case"] for r in self.results if r["benchmark"] == "parts"}
        for part in ["parse", "emit", "checksum", "isn", "tuple-hash", "timers", "table-find", "table-change"]:
            self.assertLessEqual({part, part + "-naive"}, names)
        self.assertLessEqual(names - {"load", "load-8"}, {r["case"] for r in self.results if r["benchmark"] == "instructions"})

    def test_a_ping_pong_says_what_was_late_and_why(self):
        r = self.result("request", "ping-pong")
        self.assertLessEqual(r["value"], r["p99"])
        self.assertLessEqual(r["p99"], r["p99.9"])
        self.assertLessEqual(r["p99.9 of the others"], r["p99.9"])
        self.assertLessEqual(r["interrupted"], r["preempted"])
        self.assertGreaterEqual(r["machine"]["p99.9"], r["machine"]["p50"])

    def test_every_handshake_completes(self):
        for case in ["alone", "cookie", "65536"]:
            with self.subTest(case):
                r = self.result("handshake", case)
                self.assertEqual(r["handshakes"]["completed"], r["handshakes"]["tried"])
                self.assertGreater(r["handshakes"]["tried"], 0)
        self.assertEqual(self.result("handshake", "65536")["alive"], 65536)


class Kernel(unittest.TestCase):
    def test_the_kernel_beside_it_answers_by_cookies(self):
        results, done = results_of("synflood", "--filter", "cookies", "--runs", "1", "--peer", "kernel")
        if done.returncode == 1 and done.stderr.startswith("synfin-bench: --peer kernel: "):
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        r = results[0]
        self.assertGreater(r["peers"]["kernel"], 0)
        self.assertAlmostEqual(r["ratios"]["kernel"], r["value"] / r["peers"]["kernel"])
        # The kernel keeps the right to drop a few when it is short of time.
        self.assertGreater(r["kernel"]["cookies"], r["kernel"]["syns"] // 2)

    def test_a_responder_and_the_kernel_stand_beside_what_passes_through_a_device(self):
        results, done = results_of("tun", "--filter", "tun (receive|send-plain|lifecycle)$", "--runs", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([r["case"] for r in results], ["receive", "send-plain", "lifecycle"])
        for r in results:
            if "skipped" in r:
                self.skipTest(r["skipped"])
            with self.subTest(r["case"]):
                self.assertEqual(sorted(r["peers"]), ["kernel", "responder"])
                for peer, value in r["peers"].items():
                    self.assertGreater(value, 0)
                    self.assertAlmostEqual(r["ratios"][peer], r["value"] / value)


class Lwip(unittest.TestCase):
    """Where liblwip-dev was there when the program was built."""

    def test_it_does_the_same_work_beside_it(self):
        names = "lifecycle (alone|64)$|request|bulk mss1460$"
        results, done = results_of("lifecycle", "request", "bulk", "--filter", names, "--runs", "1", "--peer", "lwip")
        if done.returncode == 1 and done.stderr.startswith("synfin-bench: --peer lwip: "):
            self.assertIn("liblwip-dev", done.stderr)
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(results), 5)
        for r in results:
            with self.subTest(f"{r['benchmark']} {r['case']}"):
                self.assertEqual(list(r["peers"]), ["lwip"])
                self.assertAlmostEqual(r["ratios"]["lwip"], r["value"] / r["peers"]["lwip"])
        self.assertEqual(results[0]["lwip"]["segments"], 6)


class CommandLine(unittest.TestCase):
    def test_names_and_filter_choose(self):
        results, done = results_of("handshake", "parts", "--filter", "alone|isn$", "--runs", "1", "--peer", "none")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([(r["benchmark"], r["case"]) for r in results], [("handshake", "alone"), ("parts", "isn")])

    def test_help(self):
        done = bench("--help")
        self.assertEqual(done.returncode, 0)
        for word in ["--json", "--filter", "--peer", "--runs", "--list"]:
            self.assertIn(word, done.stdout)

    def test_wrong_use_is_one_line_that_says_what_and_why(self):
        table = [
            # arguments, words that the line must have, exit status
            (["frobnicate"], ["frobnicate: no such benchmark", "synflood"], 2),
            (["--frobnicate"], ["--frobnicate"], 2),
            (["--filter", "("], ["--filter (", "regular expression"], 2),
            (["--filter", "nothing-has-this-name"], ["--filter nothing-has-this-name", "--list"], 2),
            (["--peer", "nobody"], ["--peer nobody", "kernel"], 2),
            (["--runs", "0"], ["--runs", "0"], 2),
            (["--scale", "2"], ["--scale", "2"], 2),
            (["--json", "/nowhere/at/all.json"], ["/nowhere/at/all.json", "cannot be written"], 1),
        ]
        for arguments, words, status in table:
            with self.subTest(arguments):
                done = bench(*arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertTrue(done.stderr.startswith("synfin-bench: "), done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
