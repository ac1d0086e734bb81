# SPDX-License-Identifier: Apache-2.0
"""Octets through real kernels' TCP: downloads, uploads, many connections at once."""

import json
import os
import unittest

from lab import HTTP_LOAD, LabTest, MIB, V4, V6, run, sha256_of, size_from_environment, summary_of, write_random

BIG = size_from_environment("SYNFIN_LAB_BIG_MIB", 1024)
UPLOAD = size_from_environment("SYNFIN_LAB_UPLOAD_MIB", 1024)
IMPAIRED = size_from_environment("SYNFIN_LAB_IMPAIRED_MIB", 20)
# By loss in percent, in both directions of the link.
LOSSY = {1: size_from_environment("SYNFIN_LAB_LOSSY_MIB", 64), 5: size_from_environment("SYNFIN_LAB_VERY_LOSSY_MIB", 16)}
REQUESTS = int(os.environ.get("SYNFIN_LAB_REQUESTS", 100_000))
CONNECTIONS = int(os.environ.get("SYNFIN_LAB_CONNECTIONS", 1000))


class Download(LabTest):
    def fetch(self, size, host, *options, timeout=300):
        os.mkdir(self.path("served"))
        write_random(self.path("served", "big"), size)
        self.succeeds("serve", "--lab", *options, self.path("served"), "--",
                      "curl", "-fsS", "-g", f"http://{host}/big", "-o", self.path("out"), timeout=timeout)
        self.assertEqual(sha256_of(self.path("out")), sha256_of(self.path("served", "big")))

    def test_big_file_over_ipv4(self):
        self.fetch(BIG, V4)

    def test_big_file_over_ipv6(self):
        self.fetch(BIG // 4, V6)

    def test_impaired_over_ipv4(self):
        self.fetch(IMPAIRED, V4, "--impair", "loss=1%,reorder=2%,dup=1%,delay=5ms,seed=1")

    def test_impaired_over_ipv6(self):
        self.fetch(IMPAIRED // 4, V6, "--impair", "loss=1%,reorder=2%,dup=1%,delay=5ms,seed=1")

    def test_one_percent_lost(self):
        self.fetch(LOSSY[1], V4, "--impair", "loss=1%,seed=11")

    def test_five_percent_lost(self):
        self.fetch(LOSSY[5], V4, "--impair", "loss=5%,seed=12")

    def test_corruption_never_reaches_the_file(self):
        self.fetch(2 * MIB, V4, "--impair", "corrupt=1%,seed=3")

    def test_small_mtu(self):
        self.fetch(MIB, V4, "--mtu", "1280")

    def test_large_mtu(self):
        self.fetch(8 * MIB, V6, "--mtu", "9000")

    def test_small_buffers(self):
        self.fetch(2 * MIB, V4, "--set", "tcp_rmem=4096", "--set", "tcp_wmem=4096")

    def test_without_options(self):
        self.fetch(2 * MIB, V4, "--set", "tcp_window_scaling=0", "--set", "tcp_timestamps=0", "--set", "tcp_sack=0")


class Upload(LabTest):
    def upload(self, size, host, *options):
        write_random(self.path("up"), size, seed=2)
        result = self.succeeds("serve", "--service", "sink", "--lab", *options, "--",
                               "curl", "-fsS", "-g", "-T", self.path("up"), f"http://{host}/", timeout=300)
        self.assertEqual(result.stdout.decode(), f"{size} octets sha256 {sha256_of(self.path('up'))}\n")

    def test_over_ipv4(self):
        self.upload(UPLOAD, V4)

    def test_over_ipv6(self):
        self.upload(UPLOAD // 16, V6)

    def test_one_percent_lost(self):
        self.upload(LOSSY[1], V4, "--impair", "loss=1%,seed=13")

    def test_five_percent_lost(self):
        self.upload(LOSSY[5], V4, "--impair", "loss=5%,seed=14")

    def test_impaired(self):
        self.upload(4 * MIB, V4, "--impair", "loss=1%,reorder=2%,dup=1%,delay=2ms,seed=5")

    def test_small_receive_buffer(self):
        self.upload(4 * MIB, V4, "--set", "tcp_rmem=4096")

    def test_nothing(self):
        self.upload(0, V4)


class Load(LabTest):
    def load(self, connections, requests, per_connection, host=V4, *options):
        """Runs the load, waits for TIME-WAIT to run out, and returns the client's and the stack's account."""
        with open(self.path("page.txt"), "w", encoding="ascii") as file:
            file.write("x" * 1000)
        events = self.path("events")
        client = f"{HTTP_LOAD} {host.strip('[]')} 80 /page.txt {connections} {requests} {per_connection}"
        # MSL is 50 ms, so TIME-WAIT lasts 100.
        result = run("serve", self.folder, "--lab", "--set", "msl=50ms", "--events", events, *options, "--",
                     "sh", "-c", f"ulimit -n 8192; {client}; s=$?; sleep 0.5; exit $s", timeout=300)
        text = result.stdout.decode()
        self.assertEqual(result.returncode, 0, text + result.stderr.decode(errors="replace")[-2000:])
        account = json.loads(text)
        self.assertEqual((account["requests"], account["failed"]), (requests, 0))
        summary = summary_of(events)
        for what in ("connections", "half_open", "time_wait"):
            self.assertEqual(summary[what], 0, summary)
        self.assertEqual(summary["blocks"], 0, "buffers were not given back")
        return account, summary

    def test_a_thousand_connections(self):
        account, _ = self.load(CONNECTIONS, REQUESTS, 100)
        self.assertEqual(account["octets"], REQUESTS * 1000)

    def test_a_connection_for_each_request(self):
        requests = REQUESTS // 20
        account, summary = self.load(100, requests, 1)
        self.assertEqual(account["connections"], requests)
        self.assertEqual(summary["counters"]["PassiveOpens"], requests)

    def test_a_connection_for_each_request_over_ipv6(self):
        self.load(50, REQUESTS // 100, 1, V6)

    def test_on_a_bad_network(self):
        self.load(100, 2000, 20, V4, "--impair", "loss=2%,reorder=2%,dup=1%,seed=9")

    def test_this_end_closes_first(self):
        _, summary = self.load(50, 500, 1, V4, "--close")
        self.assertGreaterEqual(summary["counters"]["TW"], 1)


if __name__ == "__main__":
    unittest.main()
