# SPDX-License-Identifier: Apache-2.0
"""The kernel as the flooded side, which answers with SYN cookies, and Synfin as its client."""

import hashlib
import json
import os
import sys
import textwrap
import unittest

from lab import LabTest, MIB, write_random

HERE = os.path.dirname(__file__)


class KernelCookies(LabTest):
    # Hears the client out, answers the octets' digest and many more, and says what the kernel has counted.
    SERVER = """
        import hashlib, json, random, socket, sys, time
        sys.path.insert(0, HERE)
        from raw_tcp import SYN, RawPeer, kernel_counters, set_kernel
        set_kernel("tcp_syncookies", COOKIES)
        before = kernel_counters()
        listener = socket.socket()
        listener.bind(("10.77.0.1", 7000))
        listener.listen(BACKLOG)
        if COOKIES == 1:
            # SYNs that nobody will ever complete fill the queue.
            flood = RawPeer("10.77.0.1", 7000)
            for port in range(1024, 1024 + 4 * BACKLOG):
                flood.send(port, SYN, 1000 * port, options=b"\\x02\\x04\\x05\\xb4")
        connection, _ = listener.accept()
        digest, octets = hashlib.sha256(), 0
        while block := connection.recv(65536):
            digest.update(block)
            octets += len(block)
        counters = kernel_counters()
        counted = {name: counters[name] - before[name] for name in ("SyncookiesSent", "SyncookiesRecv", "TCPReqQFullDoCookies")}
        said = json.dumps({"octets": octets, "sha256": digest.hexdigest(), **counted}) + "\\n"
        connection.sendall(said.encode() + b"z" * ANSWER)
        connection.close()
        listener.accept()  # until Synfin has ended
        """

    ANSWER = 2 * MIB
    BACKLOG = 16

    def transfer(self, cookies, *settings):
        server = textwrap.dedent(self.SERVER)
        for name, value in (("HERE", repr(HERE)), ("COOKIES", cookies), ("BACKLOG", self.BACKLOG), ("ANSWER", self.ANSWER)):
            server = server.replace(name, str(value))
        write_random(self.path("data"), 2 * MIB)
        with open(self.path("data"), "rb") as file:
            data = file.read()
        result = self.succeeds("connect", "--lab", *settings, "10.77.0.1", "7000", "--", sys.executable, "-c", server, stdin=data)
        line, _, answer = result.stdout.partition(b"\n")
        heard = json.loads(line)
        self.assertEqual(heard["octets"], len(data))
        self.assertEqual(heard["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(answer, b"z" * self.ANSWER)
        self.assertEqual(heard["SyncookiesRecv"], 1, heard)
        return heard

    def test_always(self):
        for settings in ((), ("--set", "tcp_timestamps=0"), ("--set", "tcp_window_scaling=0", "--set", "tcp_sack=0")):
            with self.subTest(settings=settings):
                self.assertEqual(self.transfer(2, *settings)["SyncookiesSent"], 1)

    def test_when_the_queue_is_full(self):
        for settings in ((), ("--set", "tcp_timestamps=0")):
            with self.subTest(settings=settings):
                heard = self.transfer(1, *settings)
                self.assertGreater(heard["SyncookiesSent"], self.BACKLOG)
                self.assertEqual(heard["TCPReqQFullDoCookies"], heard["SyncookiesSent"])


if __name__ == "__main__":
    unittest.main()
