# SPDX-License-Identifier: Apache-2.0
"""TCP Fast Open (RFC 7413) and TCP_DEFER_ACCEPT, with the kernel as the other end."""

import json
import os
import sys
import textwrap
import unittest

from lab import LabTest, events_of, summary_of

HERE = os.path.dirname(__file__)
PRELUDE = f"""
import json, socket, sys, time
sys.path.insert(0, {HERE!r})
from raw_tcp import ACK, PSH, SYN, RawPeer, kernel_counters, set_kernel
"""


def program(source):
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(source)]


class FastOpenServer(LabTest):
    # Sends with MSG_FASTOPEN on so many connections, and says what came back and what the kernel has counted.
    CLIENT = """
        set_kernel("tcp_fastopen", 3)
        before = kernel_counters()
        answers = []
        for i in range(3):
            s = socket.socket()
            s.sendto(b"hello %d" % i, socket.MSG_FASTOPEN, ("10.77.0.2", 7))
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while block := s.recv(100): answer += block
            answers.append(answer.decode())
            s.close()
        after = kernel_counters()
        print(json.dumps([answers, after["TCPFastOpenActive"] - before["TCPFastOpenActive"]]))
        """

    def echo(self, *options):
        result = self.succeeds("serve", "--lab", "--service", "echo", "--port", "7", *options, "--events", self.path("events"),
                               "--", *program(self.CLIENT))
        answers, active = json.loads(result.stdout)
        self.assertEqual(answers, ["hello 0", "hello 1", "hello 2"])
        return active, summary_of(self.path("events"))["counters"]

    def test_the_second_connections_data_comes_with_the_syn(self):
        active, counters = self.echo("--fast-open", "16", "--set", "tcp_fastopen=3")
        self.assertEqual(active, 2)
        self.assertEqual(counters["TCPFastOpenCookieReqd"], 1)
        self.assertEqual(counters["TCPFastOpenPassive"], 2)
        self.assertNotIn("TCPFastOpenPassiveFail", counters)
        self.assertEqual(counters["PassiveOpens"], 3)

    def test_off_by_default(self):
        active, counters = self.echo()
        self.assertEqual(active, 0)
        for name in counters:
            self.assertFalse(name.startswith("TCPFastOpenPassive"), counters)


class FastOpenClient(LabTest):
    # Echoes each connection, and leaves in a file what the kernel has counted.
    SERVER = """
        set_kernel("tcp_fastopen", FASTOPEN)
        TCP_FASTOPEN = 23
        listener = socket.socket()
        listener.bind(("10.77.0.1", 7000))
        listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
        listener.listen(16)
        for _ in range(3):
            connection, _ = listener.accept()
            heard = b""
            while block := connection.recv(65536): heard += block
            open(RESULT, "w").write(str(kernel_counters()["TCPFastOpenPassive"]))
            connection.sendall(heard)
            connection.close()
        listener.accept()  # until Synfin has ended
        """

    def connect(self, fastopen, stdin):
        server = textwrap.dedent(self.SERVER).replace("FASTOPEN)", f"{fastopen})", 1).replace("RESULT", repr(self.path("counted")))
        result = self.succeeds("connect", "--lab", "--fast-open", "--repeat", "3", "--events", self.path("events"), "10.77.0.1",
                               "7000", "--", *program(server), stdin=stdin)
        self.assertEqual(result.stdout, stdin * 3)
        with open(self.path("counted"), encoding="ascii") as file:
            return int(file.read()), summary_of(self.path("events"))["counters"]

    def test_the_second_connections_data_goes_with_the_syn(self):
        for stdin in (b"hello\n", b"more than a SYN can carry\n" * 1000):
            with self.subTest(octets=len(stdin)):
                passive, counters = self.connect(3, stdin)
                self.assertEqual(passive, 2)
                self.assertEqual(counters["TCPFastOpenActive"], 2)
                self.assertNotIn("TCPFastOpenActiveFail", counters)

    def test_a_server_without_it(self):
        passive, counters = self.connect(1, b"hello\n")
        self.assertEqual(passive, 0)
        self.assertNotIn("TCPFastOpenActive", counters)


class DeferAccept(LabTest):
    def test_the_connection_waits_for_data(self):
        client = """
            s = socket.create_connection(("10.77.0.2", 7))
            time.sleep(0.3)
            s.sendall(b"at last")
            s.settimeout(5)
            sys.exit(s.recv(100) != b"at last")
            """
        self.succeeds("serve", "--lab", "--service", "echo", "--port", "7", "--defer-accept", "5", "--events",
                      self.path("events"), "--", *program(client))
        counters = summary_of(self.path("events"))["counters"]
        self.assertEqual(counters["TCPDeferAcceptDrop"], 1)
        self.assertEqual(counters["PassiveOpens"], 1)
        established = next(e for e in events_of(self.path("events")) if e.get("to") == "ESTABLISHED")
        syn = next(e for e in events_of(self.path("events")) if e.get("to") == "SYN-RECEIVED")
        self.assertGreater(established["time"] - syn["time"], 0.25)

    # Opens a connection and says nothing, at Synfin or at the kernel; how many SYN-ACKs there are by when.
    SILENT = """
        peers = {"synfin": RawPeer("10.77.0.2", 7), "kernel": RawPeer("10.77.0.1", 7)}
        listener = socket.socket()
        listener.bind(("10.77.0.1", 7))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3)
        listener.listen(16)
        before = kernel_counters()["TCPDeferAcceptDrop"]
        first = {}
        for side, peer in peers.items():
            peer.send(40001, SYN, 1000, options=b"\\x02\\x04\\x05\\xb4")
            (_, first[side]), = peer.hear(0.1)
            peer.send(40001, ACK, 1001, first[side].seq + 1)
        time.sleep(4)
        said = {}
        for side, peer in peers.items():
            again = [segment for _, segment in peer.hear(0.05)]
            said[side] = {"syn_acks": sum(s.flags == SYN | ACK for s in again), "others": sum(s.flags != SYN | ACK for s in again)}
            # The third segment again, as the repeated SYN-ACK asks for it.
            peer.send(40001, ACK, 1001, first[side].seq + 1)
        time.sleep(0.1)
        listener.setblocking(False)
        try: listener.accept(); accepted = True
        except BlockingIOError: accepted = False
        said["kernel"]["accepted"] = accepted
        said["kernel"]["drops"] = kernel_counters()["TCPDeferAcceptDrop"] - before
        print(json.dumps(said))
        """

    def test_silence_like_at_the_kernel(self):
        result = self.succeeds("serve", "--lab", "--service", "echo", "--port", "7", "--defer-accept", "3", "--events",
                               self.path("events"), "--", *program(self.SILENT))
        said = json.loads(result.stdout)
        if os.environ.get("SYNFIN_LAB_SHOW"):
            print("\n", said, summary_of(self.path("events")))
        counters = summary_of(self.path("events"))["counters"]
        said["synfin"]["accepted"] = counters.get("PassiveOpens", 0) == 1
        said["synfin"]["drops"] = counters.get("TCPDeferAcceptDrop", 0)
        self.assertEqual(said["synfin"], said["kernel"])


if __name__ == "__main__":
    unittest.main()
