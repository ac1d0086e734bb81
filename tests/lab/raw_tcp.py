# SPDX-License-Identifier: Apache-2.0
"""TCP segments by hand, for programs that run inside a lab: a peer that has an address of its own and no
stack, so that nothing is sent but what the test says; and the kernel's counters and settings."""

import random
import select
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
PEER = "10.77.0.99"  # on the lab's network, and nobody's


def checksum_words(data):
    """The sum of 16-bit words, not folded."""
    if len(data) % 2:
        data += b"\0"
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def fold(total):
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def packet(source, destination, sport, dport, flags, seq, ack=0, options=b"", payload=b""):
    """An IPv4 packet; the kernel fills in the header's checksum."""
    src, dst = socket.inet_aton(source), socket.inet_aton(destination)
    offset = (20 + len(options)) // 4
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, offset << 4, flags, 65535, 0, 0) + options + payload
    pseudo = src + dst + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", 0xFFFF - fold(checksum_words(pseudo + tcp))) + tcp[18:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, src, dst) + tcp


class Segment:
    def __init__(self, data):
        tcp = data[(data[0] & 15) * 4:]
        self.source = socket.inet_ntoa(data[12:16])
        self.sport, self.dport, self.seq, self.ack = struct.unpack("!HHII", tcp[:12])
        self.flags = tcp[13] & (FIN | SYN | RST | ACK)
        self.payload = tcp[(tcp[12] >> 4) * 4:]


class RawPeer:
    """Sends and hears segments as PEER. Ports are of one connection each."""

    def __init__(self, target, port):
        self.target, self.port = target, port
        self.out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        # All protocols, or what this host itself sends would not be heard.
        self.ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.random = random.Random(1)

    def send(self, sport, flags, seq, ack=0, payload=b"", options=b""):
        data = packet(PEER, self.target, sport, self.port, flags, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, options, payload)
        self.out.sendto(data, (self.target, 0))

    def hear(self, seconds):
        """What comes within this time, as (seconds since the call, Segment)."""
        begin = time.monotonic()
        heard = []
        while (left := begin + seconds - time.monotonic()) > 0:
            if not select.select([self.ear], [], [], left)[0]:
                break
            data = self.ear.recv(65536)
            if len(data) < 40 or data[0] >> 4 != 4 or data[9] != 6 or socket.inet_ntoa(data[16:20]) != PEER:
                continue
            segment = Segment(data)
            if segment.source == self.target and segment.sport == self.port:
                heard.append((time.monotonic() - begin, segment))
        return heard


def kernel_counters():
    """Tcp and TcpExt of this network namespace, by the names of nstat."""
    counters = {}
    for path in ("/proc/net/snmp", "/proc/net/netstat"):
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            if names.split(":")[0] in ("Tcp", "TcpExt"):
                counters.update(zip(names.split()[1:], map(int, values.split()[1:])))
    return counters


def set_kernel(name, value):
    """A sysctl below net.ipv4, of this network namespace."""
    with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
        file.write(str(value))
