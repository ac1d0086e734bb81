# SPDX-License-Identifier: Apache-2.0
"""Full queues: Synfin and the kernel side by side, and what the kernel's clients see."""

import json
import os
import sys
import textwrap
import unittest

from lab import LabTest, events_of, summary_of

HERE = os.path.dirname(__file__)
# What a listener counts; the rest of nstat is about connections that are open. Not AttemptFails: Linux counts there only
# what a reset ended, Synfin what RFC 4022 says, every half-open connection that came to nothing.
COUNTED = ("ListenOverflows", "ListenDrops", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesSent", "SyncookiesRecv",
           "SyncookiesFailed", "EmbryonicRsts", "PassiveOpens", "RetransSegs", "TCPSynRetrans", "TCPTimeouts")


class LikeLinux(LabTest):
    """The same segments at two listeners that do not accept, Synfin's and the kernel's: the same answers and counts."""

    def both(self, groups, backlog, settings=(), seconds=0.0):
        synfin = [word for setting in settings for word in ("--set", setting)]
        result = self.succeeds("serve", "--lab", "--no-accept", "--backlog", str(backlog), *synfin, "--events",
                               self.path("events"), "--", sys.executable, os.path.join(HERE, "opening_probe.py"), groups,
                               str(seconds), str(backlog), *settings)
        sides = json.loads(result.stdout)
        counters = summary_of(self.path("events"))["counters"]
        sides["synfin"]["counters"] = {name: counters.get(name, 0) for name in COUNTED}
        sides["kernel"]["counters"] = {name: sides["kernel"]["counters"][name] for name in COUNTED}
        return sides["synfin"], sides["kernel"]

    def same(self, groups, backlog, settings=(), seconds=0.0):
        synfin, kernel = self.both(groups, backlog, settings, seconds)
        with self.subTest(groups=groups, backlog=backlog, settings=settings):
            if os.environ.get("SYNFIN_LAB_SHOW"):
                print(f"\nbacklog {backlog}, SYNs {groups}, {' '.join(settings)}\n  synfin {synfin}\n  kernel {kernel}")
            self.maxDiff = None
            self.assertEqual(synfin, kernel)
        return kernel

    long_syn_queue = None

    def needs_long_syn_queue(self):
        # The SYN queue of older kernels is full with as many as the backlog says, that of newer ones with one more.
        if LikeLinux.long_syn_queue is None:
            _, kernel = self.both("1", 0)
            LikeLinux.long_syn_queue = kernel["counters"]["SyncookiesSent"] == 0
        if not LikeLinux.long_syn_queue:
            self.skipTest("this kernel's SYN queue is one shorter than that of later ones, which Synfin follows")

    def test_one_after_the_other(self):
        for backlog in (0, 1, 4):
            kernel = self.same("1" + ",1" * (backlog + 2), backlog)
            self.assertEqual(kernel["log"], ["SYN-ACK / / ACK"] * (backlog + 1) + ["", ""])
            self.assertEqual(kernel["counters"]["ListenOverflows"], 2)

    def test_all_at_once(self):
        self.needs_long_syn_queue()
        for backlog in (0, 1, 4):
            self.same("6", backlog)

    def test_third_segments_beyond_the_queue(self):
        self.needs_long_syn_queue()
        kernel = self.same("3,5", 4, ["tcp_abort_on_overflow=0"], seconds=1.3)
        self.assertEqual(kernel["log"][-1], "SYN-ACK / /")
        self.assertEqual(kernel["late_syn_acks"], 3)
        kernel = self.same("3,5", 4, ["tcp_abort_on_overflow=1"])
        self.assertEqual(kernel["log"][-1], "SYN-ACK / RST / RST")
        self.assertEqual(kernel["counters"]["EmbryonicRsts"], 3)

    def test_cookies_beyond_the_queue(self):
        self.needs_long_syn_queue()
        self.same("1,5", 1, ["tcp_abort_on_overflow=0"], seconds=1.3)
        self.same("3,5", 4, ["tcp_syncookies=2"])

    def test_cookies_beyond_the_queue_are_reset_where_the_setting_says_so(self):
        """The one difference: Linux forgets the setting where the third segment brings a cookie, so its peer believes in a
        connection that is not there."""
        self.needs_long_syn_queue()
        for groups, backlog, settings in (("1,5", 1, []), ("3,5", 4, ["tcp_syncookies=2"])):
            synfin, kernel = self.both(groups, backlog, settings + ["tcp_abort_on_overflow=1"])
            refused = kernel["log"].count("SYN-ACK / /")
            self.assertEqual(refused, 3)
            self.assertEqual(synfin["log"], [line.replace("SYN-ACK / /", "SYN-ACK / RST / RST")
                                             if line == "SYN-ACK / /" else line for line in kernel["log"]])
            resets = [side["counters"].pop("EmbryonicRsts") for side in (synfin, kernel)]
            self.assertEqual(resets[0], resets[1] + 2 * refused)
            self.assertEqual(synfin["counters"], kernel["counters"])

    def test_without_cookies(self):
        self.needs_long_syn_queue()
        self.same("1,5", 1, ["tcp_syncookies=0"], seconds=1.3)
        self.same("8", 8, ["tcp_syncookies=0", "tcp_max_syn_backlog=4"])


class KernelsClient(LabTest):
    """Four connections wait, of five that fit, when three more come at once: one fits. Their SYN-ACKs are delayed, so
    that all SYNs are there before the first third segment."""

    CLIENT = """
        import json, socket, time
        def connect():
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("10.77.0.2", 80))
            return s
        first = [socket.create_connection(("10.77.0.2", 80)) for _ in range(4)]
        more = [connect() for _ in range(3)]
        time.sleep(SECONDS)
        ends = []
        for s in more:
            try: ends.append("end" if s.recv(1) == b"" else "data")
            except BlockingIOError: ends.append("open")
            except ConnectionResetError: ends.append("reset")
        print(json.dumps(sorted(ends)))
        """

    def ends(self, abort, seconds):
        client = textwrap.dedent(self.CLIENT).replace("SECONDS", str(seconds))
        result = self.succeeds("serve", "--lab", "--no-accept", "--backlog", "4", "--set", f"tcp_abort_on_overflow={abort}",
                               "--impair", "out:delay=100ms", "--events", self.path("events"), "--", sys.executable, "-c", client)
        return json.loads(result.stdout), summary_of(self.path("events"))["counters"]

    def test_is_reset_where_the_setting_says_so(self):
        ends, counters = self.ends(abort=1, seconds=0.5)
        self.assertEqual(ends, ["open", "reset", "reset"])
        self.assertEqual(counters["EmbryonicRsts"], 2)
        self.assertEqual(counters["ListenOverflows"], 2)
        self.assertEqual(counters["ListenDrops"], 2)

    def test_sees_the_syn_ack_again_where_not(self):
        ends, counters = self.ends(abort=0, seconds=1.5)
        self.assertEqual(ends, ["open", "open", "open"])
        self.assertEqual(counters["TCPSynRetrans"], 2)
        self.assertGreaterEqual(counters["ListenOverflows"], 2)
        self.assertNotIn("EmbryonicRsts", counters)
        again = [e for e in events_of(self.path("events")) if e.get("reason") == "syn_ack_retransmitted"]
        self.assertGreaterEqual(len(again), 2)


if __name__ == "__main__":
    unittest.main()
