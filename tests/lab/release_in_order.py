# SPDX-License-Identifier: Apache-2.0
"""Releases in order: from either end, from both at once, by halves, and with losses. For release_scenes.py."""

import socket
import time

from release_kit import GONE, fill_the_kernels_window, scene, soon, until


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
    assert c.sent_again("FIN"), c.events()
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
    assert c.sent_again("FIN"), c.events()


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


@scene
def kernel_closes_with_a_zero_window(net):
    net.puppet.set("tcp_rmem", "16384")
    c = net.open()
    c.kernel.setblocking(False)
    sent = 0
    while True:
        try:
            sent += c.kernel.send(b"k" * 100_000)
        except BlockingIOError:
            break
    c.kernel.close()
    c.expect("FIN-WAIT-1", "ESTABLISHED")
    c.receive(sent)
    c.end_of_stream()
    c.expect("FIN-WAIT-2", "CLOSE-WAIT")
    c.close()
    c.expect("TIME-WAIT", "CLOSED")
