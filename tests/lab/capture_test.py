# SPDX-License-Identifier: Apache-2.0
"""Captures as Wireshark's own dissectors read them."""

import os
import shutil
import subprocess
import sys
import unittest

from lab import LabTest, MIB, V4, V6, write_random


@unittest.skipIf(shutil.which("tshark") is None, "tshark is not installed")
class Capture(LabTest):
    def tshark(self, *arguments):
        result = subprocess.run(["tshark", "-n", "-r", self.path("capture.pcapng"), "-o", "tcp.check_checksum:TRUE",
                                 "-o", "ip.check_checksum:TRUE", *arguments], capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode().splitlines()

    # One in 65,536 sums is 0, which Linux writes as 0xffff for TCP too (CSUM_MANGLED_0); RFC 1071 takes both for the same, tshark does not.
    FAULTS = ("_ws.malformed || ip.checksum.status == 0 || _ws.short || "
              "(tcp.checksum.status == 0 && !(tcp.checksum == 0xffff && (ip.src == 10.77.0.1 || ipv6.src == fd77::1)))")

    def faults(self):
        return self.tshark("-Y", self.FAULTS)

    def record(self, host, *options, size=300_000):
        os.makedirs(self.path("served"), exist_ok=True)
        write_random(self.path("served", "file"), size)
        self.succeeds("serve", "--lab", "--capture", self.path("capture.pcapng"), *options, self.path("served"), "--",
                      "curl", "-fsSg", "-o", "/dev/null", f"http://{host}/file")

    def whole_and_clean(self, host, *options):
        self.record(host, *options)
        self.assertEqual(self.faults(), [])
        syns = self.tshark("-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0")
        self.assertEqual(len(syns), 1)
        fins = self.tshark("-Y", "tcp.flags.fin == 1")
        self.assertGreaterEqual(len(fins), 2)
        uncommented = self.tshark("-Y", "tcp && !frame.comment")
        self.assertEqual(uncommented, [])
        comments = "\n".join(self.tshark("-Y", "tcp", "-T", "fields", "-e", "frame.comment"))
        for word in ("ESTABLISHED", "CLOSE-WAIT", "fin_received", "RFC 9293"):
            self.assertIn(word, comments)

    def test_ipv4(self):
        self.whole_and_clean(V4)

    def test_ipv6(self):
        self.whole_and_clean(V6)

    def test_large_segments(self):
        self.whole_and_clean(V4, "--mtu", "9000")

    def record_upload(self, host, *options):
        write_random(self.path("up"), MIB)
        self.succeeds("serve", "--service", "sink", "--lab", "--capture", self.path("capture.pcapng"), *options, "--",
                      "curl", "-fsSg", "-T", self.path("up"), f"http://{host}/")
        self.assertEqual(self.faults(), [])
        return self.tshark("-Y", "tcp && frame.len > 1500")

    def test_what_the_kernel_left_undivided_is_whole_and_its_checksums_are_right(self):
        for host in (V4, V6):
            with self.subTest(host):
                self.assertGreater(len(self.record_upload(host)), 0)

    def test_without_offload_no_packet_is_larger_than_the_mtu(self):
        for options in (["--offload", "off"], ["--impair", "delay=1ms"]):
            with self.subTest(options):
                self.assertEqual(self.record_upload(V4, *options), [])

    def test_lost_segments_are_seen_as_such(self):
        self.record(V4, "--impair", "loss=3%,seed=4", size=2 * MIB)
        self.assertEqual(self.faults(), [])
        self.assertGreater(len(self.tshark("-Y", "tcp.analysis.retransmission || tcp.analysis.fast_retransmission")), 0)

    def test_a_refusal(self):
        self.succeeds("serve", "--lab", "--capture", self.path("capture.pcapng"), "--", sys.executable, "-c",
                      f"import socket\ntry: socket.create_connection(('{V4}', 81))\nexcept ConnectionRefusedError: pass\n")
        self.assertEqual(self.faults(), [])
        self.assertEqual(len(self.tshark("-Y", "tcp.flags.reset == 1")), 1)

    def test_the_times_are_those_of_the_wall(self):
        before = os.stat(self.folder).st_ctime
        self.record(V4)
        first = float(self.tshark("-T", "fields", "-e", "frame.time_epoch")[0])
        self.assertLess(abs(first - before), 60)


if __name__ == "__main__":
    unittest.main()
