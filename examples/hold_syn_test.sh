#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the forwarder with a client and an upstream of the kernel's beside it: first the upstream is there, then
# it is not, and the client must see the difference when it connects.
set -u
example=$1
if ! unshare --net true 2>/dev/null && ! unshare --user --map-root-user --net true 2>/dev/null; then
  echo "no network namespace can be made here" && exit 77
fi
[ -c /dev/net/tun ] || { echo "no /dev/net/tun here" && exit 77; }
client='
import socket
with socket.create_server(("10.77.0.1", 7)) as upstream:
    for host in ("10.77.0.2", "fd77::2"):
        with socket.create_connection((host, 7), timeout=20) as near:
            far, _ = upstream.accept()
            with far:
                near.sendall(b"question")
                near.shutdown(socket.SHUT_WR)
                assert far.recv(100) == b"question"
                assert far.recv(1) == b""
                far.sendall(b"answer")
            assert near.recv(100) == b"answer"
            assert near.recv(1) == b""
try:
    socket.create_connection(("10.77.0.2", 7), timeout=20)
    print("connected to nothing")
except ConnectionRefusedError:
    print("refused as the upstream did")
'
output=$("$example" python3 -c "$client" 2>&1)
echo "$output"
case $output in *"refused as the upstream did"*) exit 0 ;; esac
exit 1
