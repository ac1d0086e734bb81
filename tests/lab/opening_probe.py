# SPDX-License-Identifier: Apache-2.0
"""Knocks at two listeners that never accept, Synfin's at 10.77.0.2:80 and one of the kernel's own at 10.77.0.1:81,
and prints what came back as JSON: for each connection what answered the SYN, the third segment and a first octet, how
many SYN-ACKs came later, and what the kernel counted.
  opening_probe.py GROUPS SECONDS BACKLOG [SYSCTL=VALUE ...]
GROUPS, such as 3,5, says how many SYNs come before their third segments do."""

import json
import socket
import sys
import threading

from raw_tcp import ACK, PSH, RST, SYN, RawPeer, kernel_counters, set_kernel

QUIET = 0.05  # after this nothing more is coming, but by a timer
PATIENT = 0.25  # … and what an acknowledgement may wait for company
MSS = b"\x02\x04\x05\xb4"


def kind(segment):
    return {SYN | ACK: "SYN-ACK", RST: "RST", RST | ACK: "RST", ACK: "ACK"}.get(segment.flags, hex(segment.flags))


class Probe:
    def __init__(self, target, port):
        self.peer = RawPeer(target, port)
        self.late_syn_acks = 0
        self.log = {}
        self.answers = {}

    def listen(self, seconds):
        for _, segment in self.peer.hear(seconds):
            yield segment

    def syn(self, sports):
        for sport in sports:
            self.log[sport] = []
            self.peer.send(sport, SYN, 1000 * sport, options=MSS)
        for segment in self.listen(QUIET):
            self.log[segment.dport].append(kind(segment))
            if segment.flags == SYN | ACK:
                self.answers[segment.dport] = segment.seq + 1

    def step(self, sports, flags, payload, wait=QUIET):
        for sport in sports:
            if sport in self.answers:
                self.log[sport].append("/")
                self.peer.send(sport, flags, 1000 * sport + 1, self.answers[sport], payload)
        for segment in self.listen(wait):
            self.log[segment.dport].append(kind(segment))

    def run(self, groups, seconds):
        sports = range(40001, 40001 + sum(groups))
        first = 0
        for size in groups:
            group = sports[first:first + size]
            first += size
            self.syn(group)
            self.step(group, ACK, b"")
        self.step(sports, ACK | PSH, b"x", PATIENT)
        self.late_syn_acks = sum(segment.flags == SYN | ACK for segment in self.listen(seconds))
        # "SYN-ACK / / ACK": the SYN was answered, the third segment in silence, the octet acknowledged.
        return {"log": [" ".join(self.log[sport]) for sport in sports], "late_syn_acks": self.late_syn_acks}


def main():
    groups, seconds, backlog = [int(size) for size in sys.argv[1].split(",")], float(sys.argv[2]), int(sys.argv[3])
    for setting in sys.argv[4:]:
        set_kernel(*setting.split("="))
    listener = socket.create_server(("10.77.0.1", 81), backlog=backlog)
    before = kernel_counters()
    results = {}
    # At the same time, as most of it is waiting. Neither hears of the other, and the kernel does not count the first.
    probes = [threading.Thread(target=lambda side=side, probe=probe: results.update({side: probe.run(groups, seconds)}))
              for side, probe in (("synfin", Probe("10.77.0.2", 80)), ("kernel", Probe("10.77.0.1", 81)))]
    for probe in probes:
        probe.start()
    for probe in probes:
        probe.join()
    listener.close()  # Synfin counts its summary after closing too
    results["kernel"]["counters"] = {name: value - before[name] for name, value in kernel_counters().items()}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
