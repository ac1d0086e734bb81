# SPDX-License-Identifier: Apache-2.0
"""How connections between Synfin and the kernel end, step by step, with the state of both ends at each.
  release_scenes.py SCENE [4 | 6]
Runs beside synfin-puppet in its lab. In `expect` the kernel's state, as ss says, comes first."""

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import time

from release_kit import GONE, PATIENCE, RESET, Connection, Net, Puppet, Refused, soon, ss, sysctl, until

SCENES = {}


def scene(function):
    SCENES[function.__name__] = function
    return function


def linger(sock, seconds):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))


# In order.

@scene
def active_close_by_synfin(net):
    c = net.open()
    net.hold("out")
    c.close()
    c.expect("ESTAB", "FIN-WAIT-1")
    net.hold("in")
    net.let_pass("out")
    c.expect("CLOSE-WAIT", "FIN-WAIT-1")
    net.let_pass("in")
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    assert c.heard() == b""
    net.hold("in")
    c.kernel.close()
    c.expect("LAST-ACK", "FIN-WAIT-2")
    net.let_pass("in")
    c.expect(GONE, "TIME-WAIT")
    assert c.segments() == ["> FIN,ACK", "< ACK", "< FIN,ACK", "> ACK"], c.segments()
    assert c.states()[-3:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]


@scene
def active_close_by_kernel(net):
    c = net.open()
    net.hold("in")
    c.kernel.shutdown(socket.SHUT_WR)
    c.expect("FIN-WAIT-1", "ESTABLISHED")
    net.hold("out")
    net.let_pass("in")
    c.expect("FIN-WAIT-1", "CLOSE-WAIT")
    net.let_pass("out")
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.end_of_stream()
    net.hold("out")
    c.close()
    c.expect("FIN-WAIT-2", "LAST-ACK")
    net.hold("in")
    net.let_pass("out")
    c.expect("TIME-WAIT", "LAST-ACK")
    net.let_pass("in")
    c.expect("TIME-WAIT", "CLOSED")
    assert c.heard() == b""
    assert c.segments() == ["< FIN,ACK", "> ACK", "> FIN,ACK", "< ACK"], c.segments()


@scene
def simultaneous_close(net):
    c = net.open()
    net.hold("in", "out")
    c.kernel.shutdown(socket.SHUT_WR)
    c.close()
    c.expect("FIN-WAIT-1", "FIN-WAIT-1")
    # Each FIN passes the other, and so do the acknowledgements.
    net.held("in", ["FIN,ACK"])
    net.held("out", ["FIN,ACK"])
    net.let("out")
    c.expect("CLOSING", "FIN-WAIT-1")
    net.held("in", ["FIN,ACK", "ACK"])
    net.let("in")
    c.expect("CLOSING", "CLOSING")
    net.held("out", ["ACK"])
    net.let("out")
    c.expect("TIME-WAIT", "CLOSING")
    net.let_pass()
    c.expect("TIME-WAIT", "TIME-WAIT")
    assert c.segments() == ["> FIN,ACK", "< FIN,ACK", "> ACK", "< ACK"], c.segments()
    assert c.heard() == b""


@scene
def simultaneous_close_with_lost_fins(net):
    c = net.open()
    net.drop("in", "out")
    c.kernel.shutdown(socket.SHUT_WR)
    c.close()
    c.expect("FIN-WAIT-1", "FIN-WAIT-1")
    soon("both FINs are lost", lambda: all(net.lost(way) > 0 for way in ("in", "out")))
    net.let_pass()
    # Whose timer runs out first decides which way they go.
    c.expect("TIME-WAIT", "TIME-WAIT")
    assert c.states()[-2] in ("CLOSING", "FIN-WAIT-2"), c.states()


@scene
def three_segments(net):
    c = net.open()
    # A program that closes at once: its FIN goes with the acknowledgement of the kernel's.
    net.puppet.close_on_fin(c.id)
    net.hold("in")
    c.kernel.close()
    c.expect("FIN-WAIT-1", "ESTABLISHED")
    net.hold("out")
    net.let_pass("in")
    c.expect("FIN-WAIT-1", "LAST-ACK")
    net.let_pass("out")
    c.expect("TIME-WAIT", "CLOSED")
    assert c.segments() == ["< FIN,ACK", "> FIN,ACK", "< ACK"], c.segments()


@scene
def four_segments(net):
    c = net.open()
    c.kernel.shutdown(socket.SHUT_WR)
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    assert c.segments() == ["< FIN,ACK", "> ACK"]
    # There is something left to send, so the acknowledgement of the FIN could not wait for ours.
    c.send(1000)
    c.close()
    c.expect("TIME-WAIT", "CLOSED")
    c.hear(1000)
    assert c.heard() == b""
    sent = [s for s in c.segments() if s.startswith(">")]
    assert sum("FIN" in s for s in sent) == 1 and any("(1000)" in s for s in sent), sent


@scene
def fin_with_data(net):
    c = net.open()
    c.kernel.send(b"k" * 300, socket.MSG_MORE)
    net.hold("in")
    c.kernel.shutdown(socket.SHUT_WR)
    c.expect("FIN-WAIT-1", "ESTABLISHED")
    net.let_pass("in")
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    heard = c.segments()
    assert heard[0].startswith("< FIN") and heard[0].endswith("(300)"), heard
    c.receive(300)
    c.end_of_stream()
    # Nagle's algorithm keeps the second piece until the first is acknowledged; by then a FIN has joined it.
    net.hold("out")
    c.send(100)
    c.send(200)
    c.close()
    net.let_pass("out")
    c.expect("TIME-WAIT", "CLOSED")
    c.hear(300)
    assert c.heard() == b""
    assert any(s.startswith("> FIN") and s.endswith("(200)") for s in c.segments()), c.events()


@scene
def fin_ahead_of_its_data(net):
    c = net.open()
    net.drop("in")
    c.kernel.sendall(b"k" * 500)
    soon("the data is lost", lambda: net.lost("in") > 0)
    net.let_pass("in")
    c.kernel.shutdown(socket.SHUT_WR)
    soon("a FIN behind a hole", lambda: "fin_out_of_order" in c.reasons())
    assert "CLOSE-WAIT" not in c.states() or "data_accepted" in c.reasons()
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.receive(500)
    c.end_of_stream()
    c.close()
    c.expect("TIME-WAIT", "CLOSED")


# Half-close.

@scene
def half_close_by_kernel(net):
    c = net.open()
    c.kernel.shutdown(socket.SHUT_WR)
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.end_of_stream()
    for _ in range(20):
        c.send(50_000)
        c.hear(50_000)
        c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.close()
    c.expect("TIME-WAIT", "CLOSED")
    assert c.heard() == b""


@scene
def half_close_by_synfin(net):
    c = net.open()
    c.shutdown("send")
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    assert c.heard() == b""
    for _ in range(20):
        c.kernel.sendall(b"k" * 50_000)
        c.receive(50_000)
        c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")
    c.end_of_stream()


@scene
def half_close_has_no_time_limit(net):
    net.puppet.set("tcp_fin_timeout", "100ms")
    c = net.open()
    c.shutdown("send")
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    time.sleep(0.3)  # nothing is to happen in three times the limit, which is for those whose program is gone
    c.kernel.sendall(b"k" * 1000)
    c.receive(1000)
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")


@scene
def shutdown_receive(net):
    c = net.open()
    c.shutdown("receive")
    c.kernel.sendall(b"k" * 10_000)
    until("acknowledged and thrown away", c.queues, (0, 0))
    c.end_of_stream()
    c.send(1000)
    c.hear(1000)
    c.expect("ESTAB", "ESTABLISHED")
    c.close()
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")


# Loss.

@scene
def fin_lost(net):
    c = net.open()
    net.drop("out")
    c.close()
    c.expect("ESTAB", "FIN-WAIT-1")
    net.let_pass("out")
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    assert any(e["kind"] == "sent" and e["again"] and "FIN" in e["flags"] for e in c.events())
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")


@scene
def last_ack_of_synfin_lost(net):
    c = net.open()
    c.close()
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    net.drop("out")
    c.kernel.close()
    c.expect("LAST-ACK", "TIME-WAIT")
    net.let_pass("out")
    # The kernel's FIN comes again; TIME-WAIT is there to answer it.
    c.expect(GONE, "TIME-WAIT")
    assert "time_wait_re_ack" in c.reasons(), c.reasons()


@scene
def last_ack_of_kernel_lost(net):
    c = net.open()
    c.kernel.close()
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    net.drop("in")
    c.close()
    c.expect("TIME-WAIT", "LAST-ACK")
    net.let_pass("in")
    c.expect("TIME-WAIT", "CLOSED")
    assert any(e["kind"] == "sent" and e["again"] and "FIN" in e["flags"] for e in c.events())


@scene
def close_with_a_zero_window(net):
    c = net.open()
    sent = fill_the_kernels_window(net, c)
    c.close()
    c.expect("ESTAB", "FIN-WAIT-1")
    c.hear(sent)
    assert c.heard() == b""
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")


# With a reset.

@scene
def synfin_closes_with_unread_data(net):
    c = net.open()
    c.kernel.sendall(b"k" * 1000)
    until("the data is there", lambda: "data_accepted" in c.reasons(), True)
    c.close()
    c.expect(GONE, "CLOSED")
    assert c.heard() == RESET
    assert net.puppet.counters()["TCPAbortOnClose"] >= 1
    assert c.reasons()[-1] == "unread_data", c.reasons()


@scene
def kernel_closes_with_unread_data(net):
    c = net.open()
    c.send(1000)
    until("the data is there", c.queues, (1000, 0))
    c.kernel.close()
    c.expect(GONE, "CLOSED")
    assert c.ending() == ("reset_by_peer", "connection reset by peer"), c.ending()
    c.close()


@scene
def synfin_aborts(net):
    c = net.open()
    c.send(1000)
    net.puppet.abort(c.id)
    c.expect(GONE, "CLOSED")
    c.hear(1000)  # it had arrived before
    assert c.heard() == RESET
    assert c.segments()[-1].startswith("> RST")


@scene
def synfin_lingers_for_no_time(net):
    c = net.open()
    c.options(linger=0)
    c.close()
    c.expect(GONE, "CLOSED")
    assert c.heard() == RESET
    assert "linger_abort" in c.reasons(), c.reasons()


def fill_the_kernels_window(net, c):
    """Returns how many octets of Synfin's have been acknowledged or wait."""
    sent = 0
    while (taken := net.puppet.tries("send", c.id, 1 << 20)) is not None or "persist_probe" not in c.reasons():
        sent += taken or 0
    return sent


@scene
def synfins_linger_runs_out(net):
    c = net.open()
    fill_the_kernels_window(net, c)
    c.options(linger=300)
    c.close()
    c.expect("ESTAB", "FIN-WAIT-1")
    c.expect(GONE, "CLOSED")
    assert "linger_timed_out" in c.reasons(), c.reasons()[-5:]
    while (text := c.heard(1 << 20)) != RESET:
        assert text != b""


@scene
def synfins_linger_suffices(net):
    c = net.open()
    sent = fill_the_kernels_window(net, c)
    c.options(linger=10_000)
    c.close()
    c.expect("ESTAB", "FIN-WAIT-1")
    c.hear(sent)
    assert c.heard() == b""
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")


@scene
def too_many_orphans(net):
    net.puppet.set("tcp_max_orphans", "1")
    first, second = net.open(), net.open()
    net.drop("in")
    first.close()
    first.expect("CLOSE-WAIT", "FIN-WAIT-1")
    second.close()
    second.expect(GONE, "CLOSED")
    assert second.heard() == RESET
    assert "too_many_orphans" in second.reasons(), second.reasons()
    assert net.puppet.counters()["TCPAbortOnMemory"] == 1
    net.let_pass("in")
    first.expect("CLOSE-WAIT", "FIN-WAIT-2")
    first.kernel.close()
    first.expect(GONE, "TIME-WAIT")


@scene
def kernel_lingers_for_no_time(net):
    c = net.open()
    linger(c.kernel, 0)
    c.kernel.close()
    c.expect(GONE, "CLOSED")
    assert c.ending() == ("reset_by_peer", "connection reset by peer"), c.ending()
    assert c.segments()[-1].startswith("< RST")


@scene
def data_after_synfin_closed(net):
    c = net.open()
    c.close()
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    before = net.puppet.counters().get("TCPAbortOnData", 0)
    c.kernel.sendall(b"k" * 1000)  # for a program that is gone
    c.expect(GONE, "CLOSED")
    assert net.puppet.counters()["TCPAbortOnData"] == before + 1
    # Linux says EPIPE and not ECONNRESET to those who have been told of the end before.
    c.kernel.settimeout(PATIENCE)
    try:
        c.kernel.send(b"k")
        raise AssertionError("the kernel still sends")
    except OSError as e:
        assert e.errno in (errno.EPIPE, errno.ECONNRESET), e


@scene
def data_after_kernel_closed(net):
    c = net.open()
    c.kernel.close()
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.send(1000)
    c.expect(GONE, "CLOSED")
    assert c.ending() == ("reset_by_peer", "connection reset by peer"), c.ending()


@scene
def listener_closed_before_accept(net):
    listener = net.puppet.listen(net.synfin, 81)
    kernel = socket.create_connection((net.synfin, 81), timeout=PATIENCE)
    ports = kernel.getsockname()[1], 81
    until("open", lambda: net.puppet.state(net.synfin, 81, *kernel.getsockname()[:2]), "ESTABLISHED")
    net.puppet.close(listener)
    try:
        kernel.recv(1)
        raise AssertionError("no reset")
    except ConnectionResetError:
        pass
    until("gone", lambda: ports in ss(), False)


@scene
def synfin_shuts_down(net):
    connections = [net.open() for _ in range(3)]
    connections[1].kernel.shutdown(socket.SHUT_WR)
    connections[1].expect("FIN-WAIT-2", "CLOSE-WAIT")
    connections[2].shutdown("send")
    connections[2].expect("CLOSE-WAIT", "FIN-WAIT-2")
    net.puppet.shut_down()
    for c in connections:
        c.expect(GONE, "CLOSED")
        assert c.ending() == ("stack_shutdown", "the stack has been shut down"), c.ending()
        c.close()
    assert connections[0].heard() == RESET
    assert net.puppet.population()["connections"] == 0, net.puppet.population()
    assert net.puppet.population()["armed_timers"] == 0, net.puppet.population()


# Programs that end, and ends that nobody owns.

@scene
def kernels_program_killed(net):
    listener = net.puppet.listen(net.synfin, 80)
    program = subprocess.Popen([sys.executable, "-c", "import socket, sys\n"
                                f"s = socket.create_connection(('{net.synfin}', 80))\n"
                                "print(*s.getsockname()[:2], flush=True)\ns.recv(1)\n"],
                               stdout=subprocess.PIPE, text=True)
    address, port = program.stdout.readline().split()
    id_ = soon("accept", lambda: net.puppet.tries("accept", listener))
    net.puppet.close(listener)
    peer = address, int(port)

    def states():
        return ss().get((peer[1], 80), (GONE,))[0], net.puppet.state(net.synfin, 80, *peer)

    until("open", states, ("ESTAB", "ESTABLISHED"))
    program.send_signal(signal.SIGKILL)
    program.wait()
    until("killed", states, ("FIN-WAIT-2", "CLOSE-WAIT"))
    until("end of stream", lambda: net.puppet.tries("receive", id_, 1), 0)
    net.puppet.close(id_)
    until("closed", states, ("TIME-WAIT", "CLOSED"))
    program.stdout.close()


@scene
def kernels_orphan_times_out(net):
    sysctl("tcp_fin_timeout", 1)
    c = net.open()
    c.kernel.close()
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.expect(GONE, "CLOSE-WAIT")  # forgotten, and Synfin cannot know
    c.send(1000)
    c.expect(GONE, "CLOSED")
    assert c.ending() == ("reset_by_peer", "connection reset by peer"), c.ending()


@scene
def synfins_orphan_times_out(net):
    net.puppet.set("tcp_fin_timeout", "300ms")
    c = net.open()
    c.close()
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.expect("CLOSE-WAIT", "CLOSED")
    assert "fin_wait_2_timed_out" in c.reasons(), c.reasons()
    until("no timer is left", lambda: net.puppet.population()["armed_timers"], 0)
    c.kernel.sendall(b"k" * 1000)
    c.expect(GONE, "CLOSED")
    assert c.reasons()[-1] == "no_owner", c.reasons()


@scene
def synfins_orphan_gives_up(net):
    net.puppet.set("tcp_orphan_retries", "1")
    c = net.open()
    net.drop("out")
    c.close()
    c.expect("ESTAB", "FIN-WAIT-1")
    c.expect("ESTAB", "CLOSED")
    assert "orphan_gave_up" in c.reasons(), c.reasons()
    net.let_pass("out")
    c.kernel.sendall(b"k")
    c.expect(GONE, "CLOSED")


# TIME-WAIT.

@scene
def time_wait_ends(net):
    net.puppet.set("msl", "100ms")
    c = net.open()
    c.close()
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")
    assert net.puppet.population()["time_wait"] == 1
    c.expect(GONE, "CLOSED")
    assert c.reasons()[-1] == "time_wait_expired"
    assert net.puppet.population() == {"connections": 0, "half_open": 0, "time_wait": 0, "orphans": 0, "armed_timers": 0}


@scene
def kernel_reopens_synfins_time_wait(net):
    # Linux's timestamps count from the address pair, its sequence numbers from the clock: both rise.
    for timestamps in (1, 0):
        sysctl("tcp_timestamps", timestamps)
        before = net.puppet.counters().get("TWRecycled", 0)
        port = 40000 + timestamps
        for _ in range(3):
            c = net.open(port)
            c.send(1000)
            c.hear(1000)
            c.close()
            c.expect("CLOSE-WAIT", "FIN-WAIT-2")
            c.kernel.close()
            c.expect(GONE, "TIME-WAIT")
        assert net.puppet.counters()["TWRecycled"] == before + 2
        assert c.reasons().count("time_wait_reopened") >= 2, c.reasons()
    sysctl("tcp_timestamps", 1)


@scene
def synfin_reopens_kernels_time_wait(net):
    listener = net.listen()
    for _ in range(3):
        c = net.open_to_kernel(listener, 50001)
        c.kernel.shutdown(socket.SHUT_WR)
        c.expect("FIN-WAIT-2", "CLOSE-WAIT")
        c.close()
        c.expect("TIME-WAIT", "CLOSED")
    # Its port is free at Synfin's end, which closed last.
    listener.close()


@scene
def synfin_reuses_its_time_wait(net):
    listener = net.listen()
    c = net.open_to_kernel(listener, 50002)
    c.close()
    c.expect("CLOSE-WAIT", "FIN-WAIT-2")
    c.kernel.close()
    c.expect(GONE, "TIME-WAIT")
    to = listener.getsockname()[:2]
    try:
        net.puppet.connect(*to, 50002)
        raise AssertionError("a pair in TIME-WAIT was given away")
    except Refused as e:
        assert str(e) == "address or port in use", e
    net.puppet.set("tcp_tw_reuse", "1")
    # Timestamps tell old from new once they have moved on.
    id_ = soon("timestamps move on", lambda: net.puppet.tries("connect", *to, 50002))
    again = Connection(net.puppet, id_, listener.accept()[0])
    assert "time_wait_reused" in again.reasons(), again.reasons()
    again.kernel.shutdown(socket.SHUT_WR)
    again.expect("FIN-WAIT-2", "CLOSE-WAIT")
    again.close()
    again.expect("TIME-WAIT", "CLOSED")
    listener.close()


# A peer that does not answer.

@scene
def keepalive_finds_a_dead_peer(net):
    for setting in ("tcp_keepalive_time=200ms", "tcp_keepalive_intvl=100ms", "tcp_keepalive_probes=3"):
        net.puppet.set(*setting.split("="))
    c = net.open()
    c.options(keepalive=1)
    soon("a probe is answered", lambda: "keepalive_probe" in c.reasons() and c.segments()[-2:] == ["> ACK", "< ACK"])
    c.expect("ESTAB", "ESTABLISHED")
    net.drop("in", "out")
    c.expect("ESTAB", "CLOSED")
    assert c.ending() == ("keepalive_timed_out", "connection timed out"), c.ending()
    net.let_pass()
    c.kernel.sendall(b"k")
    c.expect(GONE, "CLOSED")
    assert c.heard() == RESET


@scene
def kernels_keepalive_is_answered(net):
    c = net.open()
    c.kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    c.kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    c.kernel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    soon("the kernel's probe is answered", lambda: c.segments()[-2:] == ["< ACK", "> ACK"])
    c.expect("ESTAB", "ESTABLISHED")
    linger(c.kernel, 0)
    c.kernel.close()
    c.expect(GONE, "CLOSED")


@scene
def user_timeout(net):
    c = net.open()
    c.options(user_timeout=400)
    net.drop("out")
    c.send(1000)
    c.expect("ESTAB", "CLOSED")
    assert c.ending() == ("user_timed_out", "connection timed out"), c.ending()
    net.let_pass("out")
    c.kernel.sendall(b"k")
    c.expect(GONE, "CLOSED")


def main():
    net = Net(Puppet(), int(sys.argv[2]))
    SCENES[sys.argv[1]](net)


if __name__ == "__main__":
    main()
