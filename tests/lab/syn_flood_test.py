# SPDX-License-Identifier: Apache-2.0
"""100,000 SYNs from random addresses, while a client fetches pages."""

import collections
import os
import sys
import textwrap
import unittest

from lab import LabTest, events_of, summary_of

HERE = os.path.dirname(__file__)
SYNS, RATE, BACKLOG, PAGES = 100_000, 25_000, 128, 100


class SynFlood(LabTest):
    # Each page on a connection of its own. The flood begins before the first and ends behind the last.
    CLIENT = f"""
        import subprocess, sys
        flood = subprocess.Popen([sys.executable, {os.path.join(HERE, "syn_flood.py")!r}, "{SYNS}", "{RATE}"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert flood.stdout.readline() == "begins\\n"
        curl = ["curl", "-fsS", "--max-time", "10", "-o", "/dev/null", "http://10.77.0.2/"]
        failed = sum(subprocess.run(curl).returncode != 0 for _ in range({PAGES}))
        print(flood.communicate()[0], failed)
        """

    def test_pages_come_through(self):
        result = self.succeeds("serve", "--lab", "--backlog", str(BACKLOG), "--events", self.path("events"), "--",
                               sys.executable, "-c", textwrap.dedent(self.CLIENT))
        sent, rate, failed = map(int, result.stdout.split())
        summary = summary_of(self.path("events"))
        counters, reasons = collections.Counter(summary["counters"]), collections.Counter(summary["reasons"])
        most_half_open = self.most_half_open()
        figures = (f"{sent} SYNs, {rate} a second; {failed} pages failed; {most_half_open} half-open at most\n"
                   f"{dict(counters)}\n{dict(reasons)}")
        if os.environ.get("SYNFIN_LAB_SHOW"):
            print("\n" + figures)
        self.assertEqual(failed, 0, figures)

        arrived = reasons["syn_accepted"] + reasons["syn_cookie_sent"] + reasons["duplicate_syn"]
        self.assertGreaterEqual(arrived, sent * 95 // 100, "the flood did not reach the listener\n" + figures)
        # As on Linux: records up to the backlog and one, and a cookie for every SYN beyond them.
        # A good cookie makes one more for a moment.
        self.assertLessEqual(most_half_open, BACKLOG + 2, figures)
        self.assertGreaterEqual(most_half_open, BACKLOG, figures)
        self.assertEqual(counters["SyncookiesSent"], reasons["syn_cookie_sent"], figures)
        self.assertEqual(counters["TCPReqQFullDoCookies"], counters["SyncookiesSent"], figures)
        self.assertLessEqual(reasons["syn_accepted"], BACKLOG + 1 + PAGES, figures)
        # The first pages may have found a free record, before the flood had filled the queue.
        self.assertGreater(counters["SyncookiesRecv"], PAGES // 2, figures)
        self.assertEqual(reasons["syn_cookie_accepted"] + reasons["handshake_complete"], PAGES, figures)
        for name in ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "SyncookiesFailed"):
            self.assertEqual(counters[name], 0, f"{name}\n{figures}")
        # It is told from a crowd: as it begins, once, with what was measured, against which threshold, and what it is.
        self.assertRegex(result.stderr.decode(), r"(?m)^synfin: SYN flood at 10\.77\.0\.2:80 begins: [\d,]+ SYN/s \(usual \d+/s, threshold "
                         r"[\d,]+/s\), .*forged sources \(flood_spoofed_sources; RFC 4987 §2\)")
        self.assertEqual(counters["SynFloodAlarms"], 1, result.stderr)
        begun = [e["reason"] for e in events_of(self.path("events")) if e["event"] == "flood" and e["begins"]]
        self.assertEqual(begun, ["flood_spoofed_sources"])

    def most_half_open(self):
        now = most = 0
        for event in events_of(self.path("events")):
            if event.get("event") == "state":
                now += (event["to"] == "SYN-RECEIVED") - (event["from"] == "SYN-RECEIVED")
                most = max(most, now)
        return most


if __name__ == "__main__":
    unittest.main()
