# SPDX-License-Identifier: Apache-2.0
"""ECN with the kernel as the other end, in both directions, on a path that marks: RFC 3168, and RFC 9768 where the kernel
lets it be switched on (its parts are in Linux from 6.18 on, the values 3 to 5 of tcp_ecn came later)."""

import json
import os
import sys
import textwrap
import unittest

from lab import LabTest, MIB, events_of, run, sha256_of, summary_of, write_random

HERE = os.path.dirname(__file__)
# Offsets are those of struct tcp_info in Linux 6.18.
PRELUDE = f"""
import hashlib, json, socket, struct, subprocess, sys
sys.path.insert(0, {HERE!r})
from raw_tcp import kernel_counters, set_kernel
set_kernel("tcp_ecn", KERNEL)

def told_by(s):
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280)
    names = ("received_ce", "delivered_e1", "delivered_e0", "delivered_ce_bytes", "received_e1", "received_e0", "received_ce_bytes")
    told = dict(zip(names, struct.unpack_from("=7I", info, 248)))
    told["delivered_ce"] = struct.unpack_from("=I", info, 196)[0]
    told["ss"] = subprocess.run(["ss", "-tinoH"], capture_output=True, text=True).stdout
    told["counters"] = kernel_counters()
    return told
"""


def program(kernel, source):
    return [sys.executable, "-c", PRELUDE.replace("KERNEL", str(kernel)) + textwrap.dedent(source)]


class EcnLab(LabTest):
    SIZE = 4 * MIB

    def segments(self):
        return [e for e in events_of(self.path("events")) if e.get("event", "").startswith("segment_")]

    def counters(self):
        return summary_of(self.path("events"))["counters"]

    # Synfin sends: the kernel counts marks, and tells.
    FETCH = """
        s = socket.create_connection((HOST, 80))
        s.sendall(b"GET /big HTTP/1.0\\r\\n\\r\\n")
        heard = b""
        while block := s.recv(65536): heard += block
        told = told_by(s)
        told["sha256"] = hashlib.sha256(heard.split(b"\\r\\n\\r\\n", 1)[1]).hexdigest()
        print(json.dumps(told))
        """

    def fetch(self, kernel, host, *options):
        os.makedirs(self.path("served"), exist_ok=True)
        write_random(self.path("served", "big"), self.SIZE)
        source = f"HOST = {host!r}\n" + textwrap.dedent(self.FETCH)
        result = self.succeeds("serve", "--lab", "--set", "tcp_ecn=3", *options, "--events", self.path("events"),
                               self.path("served"), "--", *program(kernel, source), timeout=300)
        told = json.loads(result.stdout.decode().splitlines()[-1])
        self.assertEqual(told["sha256"], sha256_of(self.path("served", "big")))
        return told

    # The kernel sends: Synfin counts, and tells.
    PUT = """
        s = socket.create_connection((HOST, 80))
        s.sendall(b"PUT / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: SIZE\\r\\n\\r\\n")
        s.sendall(open(FILE, "rb").read())
        answer = s.recv(65536).decode()
        print(json.dumps({**told_by(s), "answer": answer}))
        """

    def put(self, kernel, host, *options):
        write_random(self.path("up"), self.SIZE, seed=2)
        source = f"HOST, FILE = {host!r}, {self.path('up')!r}\n" + textwrap.dedent(self.PUT).replace("SIZE", str(self.SIZE))
        result = self.succeeds("serve", "--service", "sink", "--lab", "--set", "tcp_ecn=3", *options, "--events", self.path("events"),
                               "--", *program(kernel, source), timeout=300)
        told = json.loads(result.stdout.decode().splitlines()[-1])
        self.assertIn(f"{self.SIZE} octets sha256 {sha256_of(self.path('up'))}", told["answer"])
        return told

    def agreed(self, ours, kernel):
        """What our SYN said, what the kernel's SYN-ACK said, and whether marks were counted by AccECN behind that."""
        source = """
            listener = socket.create_server(("10.77.0.1", 7000))
            connection, _ = listener.accept()
            heard = b""
            while block := connection.recv(65536): heard += block
            connection.sendall(heard)
            connection.close()
            listener.accept()
            """
        result = self.succeeds("connect", "--lab", "--set", f"tcp_ecn={ours}", "--events", self.path("events"), "10.77.0.1", "7000",
                               "--", *program(kernel, source), stdin=b"hello", timeout=60)
        self.assertEqual(result.stdout, b"hello")
        segments = self.segments()
        syn = next(s["flags"] for s in segments if s["event"] == "segment_sent" and "SYN" in s["flags"])
        syn_ack = next(s["flags"] for s in segments if s["event"] == "segment_received" and "SYN" in s["flags"])
        return syn, syn_ack, any("ace" in s for s in segments)


class ClassicEcn(EcnLab):
    """A kernel without AccECN, and Synfin with it."""

    def test_the_kernel_echoes_marks_on_what_synfin_sends(self):
        for host in ("10.77.0.2", "fd77::2"):
            with self.subTest(host):
                told = self.fetch(1, host, "--impair", "out:mark=1%,out:delay=2ms,seed=5")
                self.assertIn(" ecn ", told["ss"])
                self.assertIn(" ecnseen ", told["ss"])
                self.assertGreater(self.counters()["TCPDeliveredCE"], 5)
                flags = [s["flags"] for s in self.segments()]
                self.assertIn("SYN,ECE,CWR", flags)
                self.assertIn("SYN,ACK,ECE", flags)
                self.assertIn("ACK,ECE", flags)
                self.assertTrue(any(f.endswith("ACK,CWR") for f in flags))

    def test_synfin_echoes_marks_on_what_the_kernel_sends(self):
        for host in ("10.77.0.2", "fd77::2"):
            with self.subTest(host):
                told = self.put(1, host, "--impair", "in:mark=1%,in:delay=2ms,seed=6")
                self.assertGreater(self.counters()["InCEPkts"], 5)
                self.assertGreater(told["counters"]["TCPDeliveredCE"], 5)
                self.assertIn(f"delivered_ce:{told['delivered_ce']}", told["ss"])

    def test_what_each_setting_asks_for(self):
        for ours, kernel, syn, syn_ack in ((0, 2, "SYN", "SYN,ACK"), (1, 0, "SYN,ECE,CWR", "SYN,ACK"), (1, 2, "SYN,ECE,CWR", "SYN,ACK,ECE"),
                                           (2, 1, "SYN", "SYN,ACK"), (3, 0, "SYN,ECE,CWR,AE", "SYN,ACK"),
                                           (3, 1, "SYN,ECE,CWR,AE", "SYN,ACK,ECE"), (3, 2, "SYN,ECE,CWR,AE", "SYN,ACK,ECE"),
                                           (4, 2, "SYN,ECE,CWR", "SYN,ACK,ECE"), (5, 1, "SYN", "SYN,ACK")):
            with self.subTest(ours=ours, kernel=kernel):
                self.assertEqual(self.agreed(ours, kernel), (syn, syn_ack, False))


class AccurateEcn(EcnLab):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if run("serve", "--lab", "--", *program(3, ""), timeout=20).returncode != 0:
            raise unittest.SkipTest("this kernel refuses tcp_ecn=3")

    def expect_agreement(self):
        """The SYN asks by all three bits; SYN-ACK and third segment say that the other came as it was sent."""
        segments = self.segments()
        syn, syn_ack = (next(s for s in segments if s["event"] == e) for e in ("segment_received", "segment_sent"))
        self.assertEqual((syn["flags"], syn_ack["flags"]), ("SYN,ECE,CWR,AE", "SYN,ACK,CWR"))
        third = next(s for s in segments if s["event"] == "segment_received" and "SYN" not in s["flags"])
        self.assertEqual((third["flags"], third["len"], third["ace"]), ("ACK", 0, 2))

    def test_the_kernel_counts_marks_on_what_synfin_sends(self):
        for host in ("10.77.0.2", "fd77::2"):
            with self.subTest(host):
                told = self.fetch(3, host, "--impair", "out:mark=2%,out:delay=2ms,seed=5")
                self.expect_agreement()
                self.assertIn(" ecn ", told["ss"])
                self.assertIn(" ecnseen ", told["ss"])
                self.assertGreater(told["received_ce"], 20)
                self.assertGreaterEqual(told["received_e0"] + told["received_ce_bytes"], self.SIZE)
                self.assertEqual(self.counters()["TCPDeliveredCE"], told["received_ce"])
                self.assertNotIn("ecn_mangled", summary_of(self.path("events"))["reasons"])

    def test_synfin_counts_marks_on_what_the_kernel_sends(self):
        for option in ("1", "2", "0"):
            for host in ("10.77.0.2", "fd77::2"):
                with self.subTest(option=option, host=host):
                    told = self.put(3, host, "--impair", "in:mark=2%,in:delay=2ms,seed=8", "--set", f"tcp_ecn_option={option}")
                    self.expect_agreement()
                    self.assertGreater(told["delivered_ce"], 20)
                    self.assertEqual(told["delivered_ce"], self.counters()["InCEPkts"])
                    self.assertEqual(told["counters"]["TCPDeliveredCE"], told["delivered_ce"])

    def test_what_each_setting_asks_for(self):
        for ours, kernel, syn, syn_ack in ((3, 3, "SYN,ECE,CWR,AE", "SYN,ACK,CWR"), (3, 5, "SYN,ECE,CWR,AE", "SYN,ACK,CWR"),
                                           (4, 3, "SYN,ECE,CWR", "SYN,ACK,ECE"), (5, 3, "SYN", "SYN,ACK")):
            with self.subTest(ours=ours, kernel=kernel):
                self.assertEqual(self.agreed(ours, kernel), (syn, syn_ack, syn_ack == "SYN,ACK,CWR"))


if __name__ == "__main__":
    unittest.main()
