# SPDX-License-Identifier: Apache-2.0
"""Accurate ECN (RFC 9768) with the kernel as the other end, in both directions, on a path that marks."""

import json
import os
import sys
import textwrap
import unittest

from lab import LabTest, MIB, events_of, sha256_of, summary_of, write_random

HERE = os.path.dirname(__file__)
# `accurate`: what Linux 6.18 has at the end of struct tcp_info.
PRELUDE = f"""
import hashlib, json, socket, struct, subprocess, sys
sys.path.insert(0, {HERE!r})
from raw_tcp import kernel_counters, set_kernel
set_kernel("tcp_ecn", 3)

def accurate(s):
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
    names = ("received_ce", "delivered_e1", "delivered_e0", "delivered_ce_bytes", "received_e1", "received_e0", "received_ce_bytes")
    told = dict(zip(names, struct.unpack_from("=7I", info, 252)))
    told["delivered_ce"] = struct.unpack_from("=I", info, 196)[0]
    told["options"] = info[5]
    told["ss"] = subprocess.run(["ss", "-tinH"], capture_output=True, text=True).stdout
    return told
"""


def program(source):
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(source)]


def kernel_has_accurate_ecn():
    return os.path.exists("/proc/sys/net/ipv4/tcp_ecn_option")


@unittest.skipUnless(kernel_has_accurate_ecn(), "this kernel has no Accurate ECN")
class AccurateEcn(LabTest):
    SIZE = 4 * MIB

    def segments(self):
        return [e for e in events_of(self.path("events")) if e.get("event", "").startswith("segment_")]

    def expect_agreement(self, opener, answerer):
        """The SYN asks by all three bits, the SYN-ACK says that it came as it was sent, and so does the third segment."""
        segments = self.segments()
        syn = next(s for s in segments if s["event"] == opener)
        syn_ack = next(s for s in segments if s["event"] == answerer)
        self.assertEqual(syn["flags"], "SYN,ECE,CWR,AE")
        self.assertEqual(syn_ack["flags"], "SYN,ACK,CWR")
        third = next(s for s in segments if s["event"] == opener and "SYN" not in s["flags"])
        self.assertEqual((third["flags"], third["len"], third["ace"]), ("ACK", 0, 2))
        self.assertEqual([s["flags"] for s in segments if "ECE" in s["flags"] or "CWR" in s["flags"]][2:], [])

    # Ours is the data; the kernel counts its marks and tells us.
    FETCH = """
        s = socket.create_connection((HOST, 80))
        s.sendall(b"GET /big HTTP/1.0\\r\\n\\r\\n")
        digest, size, head = hashlib.sha256(), 0, b""
        while block := s.recv(65536):
            if b"\\r\\n\\r\\n" not in head:
                head += block
                if b"\\r\\n\\r\\n" not in head: continue
                block = head.split(b"\\r\\n\\r\\n", 1)[1]
            digest.update(block)
            size += len(block)
        told = accurate(s)
        told["counters"] = kernel_counters()
        told["sha256"] = digest.hexdigest()
        print(json.dumps(told))
        """

    def fetch(self, host, *options):
        os.mkdir(self.path("served"))
        write_random(self.path("served", "big"), self.SIZE)
        result = self.succeeds("serve", "--lab", "--set", "tcp_ecn=3", *options, "--events", self.path("events"), self.path("served"),
                               "--", *program(f"HOST = {host!r}" + textwrap.dedent(self.FETCH)), timeout=300)
        told = json.loads(result.stdout.decode().splitlines()[-1])
        self.assertEqual(told["sha256"], sha256_of(self.path("served", "big")))
        return told, summary_of(self.path("events"))["counters"]

    def test_the_kernel_counts_marks_on_what_synfin_sends(self):
        for host in ("10.77.0.2", "fd77::2"):
            with self.subTest(host):
                told, counters = self.fetch(host, "--impair", "out:mark=2%,out:delay=2ms,seed=5")
                os.rename(self.path("served"), self.path("served-" + host.replace(":", "-")))
                self.expect_agreement("segment_received", "segment_sent")
                self.assertIn(" ecn ", told["ss"])
                self.assertIn(" ecnseen ", told["ss"])
                self.assertGreater(told["received_ce"], 20)
                self.assertGreater(told["received_ce_bytes"], 20_000)
                self.assertGreaterEqual(told["received_e0"] + told["received_ce_bytes"], self.SIZE)
                # Every mark that the kernel has counted has been heard of, and none besides.
                self.assertEqual(counters["TCPDeliveredCE"], told["received_ce"])
                self.assertGreater(summary_of(self.path("events"))["reasons"]["marks_heard"], 3)
                self.assertNotIn("ecn_mangled", summary_of(self.path("events"))["reasons"])

    def test_without_the_option_too(self):
        told, counters = self.fetch("10.77.0.2", "--impair", "out:mark=2%,out:delay=2ms,seed=6", "--set", "tcp_ecn_option=0")
        self.assertGreater(told["received_ce"], 20)
        self.assertEqual(counters["TCPDeliveredCE"], told["received_ce"])

    def test_a_path_that_loses_as_well(self):
        told, counters = self.fetch("10.77.0.2", "--impair", "mark=1%,loss=1%,reorder=1%,delay=2ms,seed=7")
        self.assertGreater(told["received_ce"], 10)
        self.assertGreater(counters["TCPDeliveredCE"], told["received_ce"] // 2)

    # The kernel's is the data; Synfin counts.
    PUT = """
        s = socket.create_connection((HOST, 80))
        s.sendall(b"PUT / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: SIZE\\r\\n\\r\\n")
        s.sendall(open(FILE, "rb").read())
        answer = s.recv(65536)
        told = accurate(s)
        told["counters"] = kernel_counters()
        print(json.dumps(told))
        """

    def put(self, host, *options):
        write_random(self.path("up"), self.SIZE, seed=2)
        source = textwrap.dedent(self.PUT).replace("SIZE", str(self.SIZE))
        result = self.succeeds("serve", "--service", "sink", "--lab", "--set", "tcp_ecn=3", *options, "--events", self.path("events"),
                               "--", *program(f"HOST, FILE = {host!r}, {self.path('up')!r}\n" + source), timeout=300)
        lines = result.stdout.decode().splitlines()
        self.assertIn(f"{self.SIZE} octets sha256 {sha256_of(self.path('up'))}", lines)
        return json.loads(next(line for line in lines if line.startswith("{"))), summary_of(self.path("events"))["counters"]

    def test_synfin_counts_marks_on_what_the_kernel_sends(self):
        for option in ("1", "2", "0"):
            for host in ("10.77.0.2", "fd77::2"):
                with self.subTest(option=option, host=host):
                    told, counters = self.put(host, "--impair", "in:mark=2%,in:delay=2ms,seed=8", "--set", f"tcp_ecn_option={option}")
                    self.expect_agreement("segment_received", "segment_sent")
                    self.assertGreater(counters["InCEPkts"], 20)
                    self.assertEqual(told["delivered_ce"], counters["InCEPkts"])
                    self.assertIn(" ecn ", told["ss"])
                    self.assertIn(f"delivered_ce:{told['delivered_ce']}", told["ss"])
                    self.assertEqual(told["counters"]["TCPDeliveredCE"], told["delivered_ce"])
                    if option != "0":
                        self.assertGreaterEqual(told["delivered_e0"] + told["delivered_ce_bytes"], self.SIZE)

    def test_settings_of_both_ends(self):
        """What each of Linux's values asks for and agrees to."""
        for ours, kernels, syn, syn_ack in ((3, 0, "SYN,ECE,CWR,AE", "SYN,ACK"), (3, 1, "SYN,ECE,CWR,AE", "SYN,ACK,ECE"),
                                            (3, 2, "SYN,ECE,CWR,AE", "SYN,ACK,ECE"), (3, 5, "SYN,ECE,CWR,AE", "SYN,ACK,CWR"),
                                            (4, 3, "SYN,ECE,CWR", "SYN,ACK,ECE"), (5, 3, "SYN", "SYN,ACK")):
            with self.subTest(ours=ours, kernels=kernels):
                source = f"""
                    set_kernel("tcp_ecn", {kernels})
                    listener = socket.create_server(("10.77.0.1", 7000))
                    connection, _ = listener.accept()
                    heard = b""
                    while block := connection.recv(65536): heard += block
                    connection.sendall(heard)
                    connection.close()
                    listener.accept()
                    """
                result = self.succeeds("connect", "--lab", "--set", f"tcp_ecn={ours}", "--events", self.path("events"), "10.77.0.1", "7000",
                                       "--", *program(source), stdin=b"hello", timeout=60)
                self.assertEqual(result.stdout, b"hello")
                segments = self.segments()
                self.assertEqual(next(s for s in segments if s["event"] == "segment_sent" and s["flags"] != "RST")["flags"], syn)
                self.assertEqual(next(s for s in segments if s["event"] == "segment_received" and "SYN" in s["flags"])["flags"], syn_ack)
                self.assertEqual(any("ace" in s for s in segments), syn_ack == "SYN,ACK,CWR")


if __name__ == "__main__":
    unittest.main()
