# SPDX-License-Identifier: Apache-2.0
"""100,000 SYNs from random addresses, while a client fetches pages."""

import os
import sys
import textwrap
import unittest

from lab import LabTest, events_of, summary_of

HERE = os.path.dirname(__file__)
SYNS, RATE, BACKLOG, PAGES = 100_000, 25_000, 128, 100


class SynFlood(LabTest):
    # Pages are fetched one by one, each on a connection of its own, once the flood has begun and all of them within it.
    CLIENT = f"""
        import subprocess, sys
        flood = subprocess.Popen([sys.executable, {os.path.join(HERE, "syn_flood.py")!r}, "{SYNS}", "{RATE}"],
                                 stdout=subprocess.PIPE, text=True)
        assert flood.stdout.readline() == "begins\\n"
        failed, within = 0, 0
        for _ in range({PAGES}):
            page = subprocess.run(["curl", "-fsS", "--max-time", "10", "-o", "/dev/null", "http://10.77.0.2/"])
            failed += page.returncode != 0
            within += flood.poll() is None
        rate = flood.communicate()[0].strip()
        print(f"{{rate}}; {{failed}} pages failed, {{within}} while the flood was on")
        sys.exit(failed != 0 or flood.returncode != 0 or within < {PAGES} // 2)
        """

    def test_pages_come_through(self):
        result = self.succeeds("serve", "--lab", "--backlog", str(BACKLOG), "--events", self.path("events"), "--",
                               sys.executable, "-c", textwrap.dedent(self.CLIENT))
        summary = summary_of(self.path("events"))
        counters, reasons = summary["counters"], summary["reasons"]
        figures = f"{result.stdout.decode()}{counters}\n{reasons}"
        if os.environ.get("SYNFIN_LAB_SHOW"):
            print("\n" + figures)

        arrived = reasons["syn_accepted"] + reasons["syn_cookie_sent"]
        self.assertGreaterEqual(arrived, SYNS * 95 // 100, "the flood did not reach the listener\n" + figures)
        # As on Linux: one record more than the backlog, and a cookie for every SYN beyond them.
        self.assertGreaterEqual(counters["SyncookiesSent"], arrived - BACKLOG - 1 - PAGES, figures)
        self.assertEqual(counters["TCPReqQFullDoCookies"], counters["SyncookiesSent"], figures)
        self.assertEqual(counters["SyncookiesSent"], reasons["syn_cookie_sent"])
        # Some pages may have found a free record before the flood had filled the queue.
        self.assertGreater(counters["SyncookiesRecv"], PAGES // 2, figures)
        self.assertLessEqual(counters["SyncookiesRecv"], PAGES, figures)
        self.assertEqual(reasons.get("syn_cookie_accepted", 0) + reasons["handshake_complete"], PAGES, figures)
        for name in ("ListenOverflows", "TCPReqQFullDrop", "SyncookiesFailed", "ListenDrops"):
            self.assertNotIn(name, counters, figures)
        self.assertLessEqual(self.most_half_open(), BACKLOG + 1)

    def most_half_open(self):
        now = most = 0
        for event in events_of(self.path("events")):
            if event.get("event") == "state":
                now += (event["to"] == "SYN-RECEIVED") - (event["from"] == "SYN-RECEIVED")
                most = max(most, now)
        return most


if __name__ == "__main__":
    unittest.main()
