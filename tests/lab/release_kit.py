# SPDX-License-Identifier: Apache-2.0
"""For scripts that run beside synfin-puppet in its lab: calls on Synfin, connections between it and the kernel, and the states
of both ends, the kernel's as `ss -tan` gives them."""

import json
import os
import socket
import struct
import subprocess
import time

PATIENCE = 5.0  # seconds for what should take a moment
ADDRESSES = {4: ("10.77.0.1", "10.77.0.2"), 6: ("fd77::1", "fd77::2")}  # the kernel's and Synfin's
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
RESET = b"reset"  # what `heard` gives then
GONE = "gone"  # the kernel's state where ss shows nothing
SCENES = {}


def scene(function):
    """Makes a function of a Net known by its name."""
    SCENES[function.__name__] = function
    return function


class Refused(Exception):
    """Synfin did not do what a call asked for; says why."""


class Puppet:
    """Calls on the Synfin of the lab; puppet.cpp lists them. Each has had its effect when it returns."""

    def __init__(self):
        descriptor = int(os.environ["SYNFIN_PUPPET"])
        os.set_inheritable(descriptor, False)
        self.control = socket.socket(fileno=descriptor)
        self.answers = self.control.makefile("rb")

    def __getattr__(self, call):
        return lambda *arguments: self.call(call, *arguments)

    def call(self, *call):
        self.control.sendall(json.dumps(call).encode() + b"\n")
        answer = json.loads(self.answers.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["ok"]

    def states(self, kernel, synfin):
        """Of the kernel's end and of Synfin's, by address and port of each."""
        return ss().get((kernel[1], synfin[1]), (GONE,))[0], self.call("state", *synfin, *kernel)

    def tries(self, *call):
        """The same, None where Synfin refuses."""
        try:
            return self.call(*call)
        except Refused:
            return None


def until(what, question, wanted, patience=PATIENCE):
    """Asks until the answer is `wanted`; returns it."""
    return ask(question, lambda answer: answer == wanted, patience, lambda answer: f"{what}: {answer!r} and not {wanted!r}")


def soon(what, question, patience=PATIENCE):
    """Asks until the answer is neither None nor false; returns it."""
    return ask(question, lambda answer: answer is not None and answer is not False, patience, lambda _: what)


def ask(question, is_right, patience, complaint):
    give_up_at = time.monotonic() + patience
    pause = 0.001
    while not is_right(answer := question()):
        assert time.monotonic() < give_up_at, complaint(answer)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    return answer


def ss():
    """The kernel's connections: {(own port, peer's port): (state, Recv-Q, Send-Q)}."""
    lines = subprocess.run(["ss", "-tanH"], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for line in lines:
        state, receive_queue, send_queue, local, remote = line.split()[:5]
        if not remote.endswith(":*"):
            ports = int(local.rsplit(":", 1)[1]), int(remote.rsplit(":", 1)[1])
            found[ports] = state, int(receive_queue), int(send_queue)
    return found


class Connection:
    """One connection, seen from both ends. `id` is Synfin's, `kernel` the kernel's socket."""

    def __init__(self, puppet, id_, kernel):
        self.puppet, self.id, self.kernel = puppet, id_, kernel
        self.own, self.peer = kernel.getsockname()[:2], kernel.getpeername()[:2]
        self.trail = []
        self.seen = 0
        self.expect("ESTAB", "ESTABLISHED")
        self.segments()  # the handshake

    # Synfin's end.

    def send(self, octets):
        """Queues all of it, which must fit."""
        taken = self.puppet.send(self.id, octets)
        assert taken == octets, taken

    def receive(self, octets):
        """Reads so much, however it comes."""
        while octets > 0:
            taken = soon(f"{octets} octets are missing", lambda: self.puppet.tries("receive", self.id, octets))
            assert taken > 0, f"the end of the stream, and {octets} octets are missing"
            octets -= taken

    def end_of_stream(self):
        until("end of stream", lambda: self.puppet.tries("receive", self.id, 1), 0)

    def shutdown(self, how="send"):
        self.puppet.shutdown(self.id, how)

    def close(self):
        self.puppet.close(self.id)

    def options(self, **numbers):
        """Times in ms."""
        self.puppet.options(self.id, numbers)

    def ended(self, cause, words):
        """By this one cause, and calls fail with these words."""
        ending = self.puppet.ending(self.id), self.puppet.failure(self.id)
        assert ending == (cause, words), ending

    def was_reset(self):
        self.ended("reset_by_peer", "connection reset by peer")

    def events(self):
        return self.puppet.events(self.peer[1], self.own[1])

    def states(self):
        """Those that Synfin's end has been in."""
        changes = [e for e in self.events() if e["kind"] == "state"]
        return [changes[0]["from"]] + [e["to"] for e in changes]

    def reasons(self):
        return [e["reason"] for e in self.events()]

    def sent_again(self, flag):
        return any(e["kind"] == "sent" and e["again"] and flag in e["flags"] for e in self.events())

    def segments(self):
        """What went to and fro since the last call, as Synfin saw it: `> FIN,ACK`, `< PSH,ACK(100)`."""
        all_ = [("> " if e["kind"] == "sent" else "< ") + e["flags"] + (f"({e['size']})" if e["size"] else "")
                for e in self.events() if e["kind"] in ("sent", "received")]
        fresh, self.seen = all_[self.seen:], len(all_)
        return fresh

    # The kernel's end.

    def heard(self, at_most=1):
        """Octets, b"" at the end of the stream, RESET."""
        self.kernel.settimeout(PATIENCE)
        try:
            return self.kernel.recv(at_most)
        except ConnectionResetError:
            return RESET

    def hear(self, octets):
        while octets > 0:
            text = self.heard(min(octets, 1 << 20))
            assert text not in (b"", RESET), f"{text!r}, and {octets} octets are missing"
            octets -= len(text)

    # Both.

    def queues(self):
        """The kernel's Recv-Q and Send-Q."""
        return ss()[self.own[1], self.peer[1]][1:]

    def expect(self, kernel, synfin, patience=PATIENCE):
        """Waits until both ends are in these states at the same time."""
        self.trail.append((kernel, synfin))
        try:
            until("states", lambda: self.puppet.states(self.own, self.peer), (kernel, synfin), patience)
        except AssertionError as e:
            lines = "\n".join(f"  {e['kind']} {e.get('flags', '')} {e.get('from', '')} {e.get('to', '')} {e['reason']}"
                              for e in self.events())
            raise AssertionError(f"kernel and Synfin: {e}\nso far: {self.trail}\nSynfin saw:\n{lines}") from None
        if os.environ.get("SYNFIN_LAB_SHOW"):
            print(f"     ss -tan: {kernel:12} Synfin: {synfin}", flush=True)


class Net:
    """Synfin and the kernel, over IPv4 or IPv6."""

    def __init__(self, puppet, family):
        self.puppet, self.family = puppet, family
        self.kernel, self.synfin = ADDRESSES[family]

    def socket_family(self):
        return FAMILIES[self.family]

    def open(self, port=None):
        """The kernel connects to Synfin; from `port`, if any."""
        listener = self.puppet.listen(self.synfin, 80)
        connection = self.connect_to(listener, port)
        self.puppet.close(listener)
        return connection

    def connect_to(self, listener, port=None):
        kernel = socket.socket(self.socket_family())
        kernel.settimeout(PATIENCE)
        if port is not None:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kernel.bind((self.kernel, port))
        kernel.connect((self.synfin, 80))
        return Connection(self.puppet, soon("accept", lambda: self.puppet.tries("accept", listener)), kernel)

    def open_to_kernel(self, listener, port=0):
        """Synfin connects to a listener of the kernel's."""
        id_ = self.puppet.connect(*listener.getsockname()[:2], port)
        return Connection(self.puppet, id_, listener.accept()[0])

    def listen(self):
        """A listener of the kernel's."""
        listener = socket.create_server((self.kernel, 0), family=self.socket_family())
        listener.settimeout(PATIENCE)
        return listener

    def hold(self, *ways):
        for way in ways:
            self.puppet.gate(way, "hold")

    def drop(self, *ways):
        for way in ways:
            self.puppet.gate(way, "drop")

    def lost(self, way):
        return self.puppet.lost(way)

    def let_pass(self, *ways):
        for way in ways or ("in", "out"):
            self.puppet.gate(way, "pass")

    def let(self, way, count=1):
        self.puppet.let(way, count)

    def held(self, way, wanted):
        until(f"held on the way {way}", lambda: self.puppet.held(way), wanted)


def sysctl(name, value):
    """Below net.ipv4, of the lab."""
    with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


def linger(sock, seconds):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))


def fill_the_kernels_window(net, c):
    """Returns how many octets of Synfin's have been acknowledged or wait."""
    sent = 0
    while (taken := net.puppet.tries("send", c.id, 1 << 20)) is not None or "persist_probe" not in c.reasons():
        sent += taken or 0
    return sent
