# SPDX-License-Identifier: Apache-2.0
"""Every way a connection ends, Synfin at one end and the kernel at the other, with the states of both at each step."""

import os
import shutil
import subprocess
import sys
import textwrap
import unittest

from lab import PUPPET, LabTest, events_of
from release_scenes import SCENES

HERE = os.path.dirname(__file__)


class ReleaseTest(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if shutil.which("ss") is None:
            raise unittest.SkipTest("ss is missing (iproute2)")


class Release(ReleaseTest):
    """A test for each scene of release_scenes.py."""

    def play(self, scene):
        # Both families at once, each in a lab of its own.
        plays = {family: subprocess.Popen([PUPPET, "--", sys.executable, os.path.join(HERE, "release_scenes.py"), scene, family],
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for family in ("4", "6")}
        for family, play in plays.items():
            said = play.communicate(timeout=60)[0].decode(errors="replace")
            with self.subTest(scene=scene, family=family):
                self.assertEqual(play.returncode, 0, "\n" + said[-4000:])


for name in SCENES:
    setattr(Release, "test_" + name, lambda self, scene=name: self.play(scene))


class Program(ReleaseTest):
    """The program itself, as it is built."""

    CLIENT = """
        import socket, sys
        sys.path.insert(0, FOLDER)
        from release_kit import GONE, ss, until
        s = socket.create_connection(("10.77.0.2", 7))
        port = s.getsockname()[1]
        def expect(state):
            until("the kernel's state", lambda: ss().get((port, 7), (GONE,))[0], state)
        def end_of_stream():
            while s.recv(65536): pass
        expect("ESTAB")
        """

    def states(self, service, client):
        """Runs `synfin serve` with a client on the kernel's TCP; the states of Synfin's end."""
        program = (textwrap.dedent(self.CLIENT) + textwrap.dedent(client)).replace("FOLDER", repr(os.path.abspath(HERE)))
        self.succeeds("serve", "--lab", "--service", service, "--port", "7", "--events", self.path("events"), "--",
                      sys.executable, "-c", program)
        changes = [e for e in events_of(self.path("events")) if e.get("event") == "state"]
        return [e["to"] for e in changes if e["to"] != "LISTEN" and (e["from"], e["to"]) != ("LISTEN", "CLOSED")]

    def test_the_client_closes_first(self):
        states = self.states("echo", """
            s.sendall(b"hello")
            s.shutdown(socket.SHUT_WR)
            end_of_stream()
            expect("TIME-WAIT")
            """)
        self.assertEqual(states, ["SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"])

    def test_the_client_resets(self):
        states = self.states("echo", """
            import struct
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            expect(GONE)
            """)
        self.assertEqual(states, ["SYN-RECEIVED", "ESTABLISHED", "CLOSED"])

    def test_a_chargen_that_is_cut_off(self):
        states = self.states("chargen", """
            s.recv(1)
            s.close()  # with much unread
            expect(GONE)
            """)
        self.assertEqual(states, ["SYN-RECEIVED", "ESTABLISHED", "CLOSED"])


if __name__ == "__main__":
    unittest.main()
