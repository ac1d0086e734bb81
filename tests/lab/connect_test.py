# SPDX-License-Identifier: Apache-2.0
"""`synfin connect` and `synfin listen` against programs on the kernel's TCP."""

import hashlib
import os
import sys
import textwrap
import unittest

from lab import LabTest, MIB, V4, events_of, run, write_random

KERNEL4, KERNEL6 = "10.77.0.1", "fd77::1"


class Connect(LabTest):
    def python(self, name, source):
        """A small program for the kernel's side; returns the command that runs it."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write("import hashlib, socket, sys\n" + textwrap.dedent(source))
        return [sys.executable, self.path(name)]

    def test_fetches_a_page_from_a_kernel_server(self):
        with open(self.path("index.html"), "w", encoding="ascii") as file:
            file.write("a page of the kernel's\n")
        server = [sys.executable, "-m", "http.server", "--directory", self.folder, "--bind", KERNEL4, "80"]
        result = self.succeeds("connect", "--lab", KERNEL4, "80", "--", *server,
                               stdin=b"GET / HTTP/1.0\r\nHost: kernel\r\n\r\n")
        self.assertIn(b"200 OK", result.stdout)
        self.assertTrue(result.stdout.endswith(b"a page of the kernel's\n"), result.stdout)

    def answers_after_fin(self, family, address):
        # The server says nothing until it has seen our FIN; only then comes the whole answer.
        server = self.python("server.py", f"""
            listener = socket.create_server(("{address}", 7000), family=socket.{family})
            connection, _ = listener.accept()
            heard = b""
            while block := connection.recv(65536): heard += block
            connection.sendall(b"heard %d octets\\n" % len(heard) + b"x" * 3000000)
            connection.close()
            connection, _ = listener.accept()
            """)
        result = self.succeeds("connect", "--lab", address, "7000", "--", *server, stdin=b"only this\n" * 1000)
        self.assertEqual(result.stdout, b"heard 10000 octets\n" + b"x" * 3000000)

    def test_half_close_over_ipv4(self):
        self.answers_after_fin("AF_INET", KERNEL4)

    def test_half_close_over_ipv6(self):
        self.answers_after_fin("AF_INET6", KERNEL6)

    def test_the_peer_may_close_first(self):
        server = self.python("server.py", f"""
            listener = socket.create_server(("{KERNEL4}", 7000))
            connection, _ = listener.accept()
            connection.sendall(b"goodbye\\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536): pass
            connection, _ = listener.accept()
            """)
        result = self.succeeds("connect", "--lab", "--events", self.path("events"), KERNEL4, "7000", "--", *server, stdin=b"y" * 500000)
        self.assertEqual(result.stdout, b"goodbye\n")
        # Everything has been taken when our FIN, behind SYN and text, is acknowledged. (The server may be ended before it has
        # read it all, so it cannot be asked.)
        last = [e for e in events_of(self.path("events")) if e.get("reason") == "fin_acknowledged" and "ack" in e]
        self.assertEqual([(e["from"], e["ack"]) for e in last], [("LAST-ACK", 500002)])

    def test_a_reset_is_said(self):
        server = self.python("server.py", f"""
            import struct
            listener = socket.create_server(("{KERNEL4}", 7000))
            connection, _ = listener.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            listener.accept()
            """)
        line = self.fails(1, "connect", "--lab", KERNEL4, "7000", "--", *server, stdin=b"hello\n")
        self.assertIn("10.77.0.1:7000: connection reset by the peer (reset; RFC 9293", line)

    def test_refused_without_a_command(self):
        line = self.fails(1, "connect", "--lab", KERNEL4, "9")
        self.assertIn("10.77.0.1:9: connection refused", line)
        self.assertIn("(connection_refused; RFC 9293", line)

    def test_no_answer_at_all(self):
        line = self.fails(1, "connect", "--lab", "10.77.0.99", "9", "--set", "tcp_syn_retries=1", timeout=60)
        self.assertIn("10.77.0.99:9:", line)
        self.assertIn("RFC", line)

    def test_a_refused_connection_is_tried_again(self):
        server = self.python("server.py", f"""
            import time
            time.sleep(0.7)  # as a server does that takes its time to start
            listener = socket.create_server(("{KERNEL4}", 7000))
            connection, _ = listener.accept()
            connection.sendall(b"at last\\n")
            connection.close()
            listener.accept()
            """)
        result = self.succeeds("connect", "--lab", KERNEL4, "7000", "--", *server)
        self.assertEqual(result.stdout, b"at last\n")

    def test_the_command_ends_first_with_its_status(self):
        result = run("connect", "--lab", "10.77.0.99", "9", "--", "sh", "-c", "exit 7")
        self.assertEqual(result.returncode, 7, result.stderr)


    def echo_server(self):
        """Hears each connection out, then says it all again."""
        return self.python("server.py", f"""
            listener = socket.create_server(("{KERNEL4}", 7000))
            while True:
                connection, _ = listener.accept()
                heard = b""
                while block := connection.recv(65536): heard += block
                connection.sendall(heard)
                connection.close()
            """)

    def test_the_same_again(self):
        for options in ((), ("--fast-open",)):
            with self.subTest(options=options):
                result = self.succeeds("connect", "--lab", *options, "--repeat", "3", KERNEL4, "7000", "--", *self.echo_server(),
                                       stdin=b"once\n" * 50000)
                self.assertEqual(result.stdout, b"once\n" * 150000)

    def test_no_port_is_left(self):
        # The first connection has the only port, and keeps it in TIME-WAIT.
        line = self.fails(1, "connect", "--lab", "--repeat", "2", "--set", "ip_local_port_first=50000", "--set",
                          "ip_local_port_last=50000", KERNEL4, "7000", "--", *self.echo_server(), stdin=b"hello\n")
        self.assertEqual(line, "synfin: connect 10.77.0.1:7000: no ephemeral port is free: all 1 of 50000-50000 towards this "
                               "peer are taken, 1 in TIME-WAIT, 0 connected; wait or widen ip_local_port_first/last (RFC 6056)")


class Listen(LabTest):
    def test_takes_one_connection(self):
        write_random(self.path("data"), 5 * MIB)
        client = ("import socket, sys\n"
                  f"s = socket.create_connection(('{V4}', 7001))\n"
                  f"s.sendall(open({self.path('data')!r}, 'rb').read())\n"
                  "s.shutdown(socket.SHUT_WR)\n"
                  "answer = b''\n"
                  "while block := s.recv(65536): answer += block\n"
                  "sys.exit(0 if answer == b'from standard input\\n' else 3)\n")
        result = self.succeeds("listen", "--lab", "7001", "--", sys.executable, "-c", client, stdin=b"from standard input\n")
        with open(self.path("data"), "rb") as file:
            self.assertEqual(hashlib.sha256(result.stdout).hexdigest(), hashlib.sha256(file.read()).hexdigest())

    def test_a_second_connection_is_refused(self):
        client = ("import socket, sys\n"
                  f"first = socket.create_connection(('{V4}', 7001))\n"
                  "first.sendall(b'x')\n"
                  "import time; time.sleep(0.2)\n"
                  "try: socket.create_connection(('10.77.0.2', 7001), timeout=3)\n"
                  "except ConnectionRefusedError: sys.exit(0)\n"
                  "sys.exit(3)\n")
        self.succeeds("listen", "--lab", "7001", "--", sys.executable, "-c", client)


class Services(LabTest):
    def client(self, source):
        return [sys.executable, "-c", "import socket, sys\ns = socket.create_connection(('10.77.0.2', 7))\n" + source]

    def test_echo(self):
        self.succeeds("serve", "--lab", "--service", "echo", "--port", "7", "--", *self.client(
            "data = bytes(range(256)) * 4096\n"
            "import threading\n"
            "threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()\n"
            "got = b''\n"
            "while block := s.recv(65536): got += block\n"
            "sys.exit(0 if got == data else 3)\n"))

    def test_discard(self):
        self.succeeds("serve", "--lab", "--service", "discard", "--port", "7", "--", *self.client(
            "s.sendall(b'z' * 3000000)\n"
            "s.shutdown(socket.SHUT_WR)\n"
            "sys.exit(0 if s.recv(1) == b'' else 3)\n"))

    def test_chargen(self):
        self.succeeds("serve", "--lab", "--service", "chargen", "--port", "7", "--", *self.client(
            "lines = s.makefile('rb')\n"
            "first, second = lines.readline(), lines.readline()\n"
            "sys.exit(0 if len(first) == 74 and first[1:72] == second[:71] else 3)\n"))


if __name__ == "__main__":
    unittest.main()
