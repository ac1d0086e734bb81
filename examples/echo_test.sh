#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the echo example with a client of the kernel's beside it, and compares what comes back.
set -u
example=$1
if ! unshare --net true 2>/dev/null && ! unshare --user --map-root-user --net true 2>/dev/null; then
  echo "no network namespace can be made here" && exit 77
fi
[ -c /dev/net/tun ] || { echo "no /dev/net/tun here" && exit 77; }
client='
import socket
for host in ("10.77.0.2", "fd77::2"):
    sent = bytes(i * 7 % 251 for i in range(200000))
    with socket.create_connection((host, 7), timeout=20) as s:
        got = b""
        for at in range(0, len(sent), 20000):
            s.sendall(sent[at:at + 20000])
            while len(got) < at + 20000:
                got += s.recv(65536)
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b"", "octets after the end"
    assert got == sent, "what came back differs"
print("echoed")
'
output=$("$example" python3 -c "$client" 2>&1)
echo "$output"
case $output in *echoed*) exit 0 ;; esac
exit 1
