# SPDX-License-Identifier: Apache-2.0
"""Floods 10.77.0.2:80 with SYNs from random addresses, so many at least and until standard input ends; says when it
begins, and at the end how many were sent and at which rate.
  syn_flood.py SYNS PER-SECOND"""

import fcntl
import random
import select
import socket
import struct
import sys
import time

from raw_tcp import SYN, checksum_words, fold, packet

BURST = 50
SIOCSIFTXQLEN = 0x8943  # <linux/sockios.h>


def syns(count):
    """Built from one packet: only addresses, ports and numbers differ, and the checksum by them."""
    template = packet("0.0.0.0", "10.77.0.2", 0, 80, SYN, 0, options=b"\x02\x04\x05\xb4")
    head = template[:12]
    base = 0xFFFF - struct.unpack("!H", template[36:38])[0]
    source = random.Random(1)
    for _ in range(count):
        # 11.0.0.0 to 126.255.255.255: unicast, public and not the lab's.
        address = source.randrange(11 << 24, 127 << 24)
        varied = struct.pack("!IHHI", address, source.randrange(1024, 65536), 80, source.randrange(1 << 32))
        total = base + checksum_words(varied) - 80
        yield head + varied[:4] + template[16:20] + varied[4:] + template[28:36] + struct.pack(
            "!H", 0xFFFF - fold(total)) + template[38:]


def lengthen_queue(device, packets):
    """Packets that wait for Synfin to be scheduled; with the usual 500 some are lost on a busy machine."""
    request = struct.pack("16si20x", device.encode(), packets)
    fcntl.ioctl(socket.socket(), SIOCSIFTXQLEN, request)


def main():
    count, rate = int(sys.argv[1]), int(sys.argv[2])
    lengthen_queue("synfin0", 10_000)
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    packets = list(syns(count))
    print("begins", flush=True)
    begin = time.monotonic()
    sent = 0
    while sent < count or not select.select([sys.stdin], [], [], 0)[0]:
        early = begin + sent / rate - time.monotonic()
        if early > 0:
            time.sleep(early)
        for data in packets[sent % count:sent % count + BURST]:
            out.sendto(data, ("10.77.0.2", 0))
        sent += BURST
    print(sent, round(sent / (time.monotonic() - begin)))


if __name__ == "__main__":
    main()
