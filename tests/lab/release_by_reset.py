# SPDX-License-Identifier: Apache-2.0
"""Releases that lose something, and say so by a reset. For release_scenes.py."""

import errno
import socket

from release_kit import GONE, PATIENCE, RESET, fill_the_kernels_window, linger, scene, ss, until


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
    c.was_reset()
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


@scene
def synfins_linger_runs_out(net):
    c = net.open()
    fill_the_kernels_window(net, c)
    c.options(linger=800)
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
    c.was_reset()
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
    c.was_reset()


@scene
def synfin_closes_while_it_connects(net):
    listener = net.listen()
    to = listener.getsockname()[:2]
    net.hold("in")
    own = net.synfin, 50003
    id_ = net.puppet.connect(*to, own[1])

    def states():
        return net.puppet.states(to, own)

    until("half-open", states, ("SYN-RECV", "SYN-SENT"))
    net.puppet.close(id_)
    until("closed", states, ("SYN-RECV", "CLOSED"))
    net.let_pass("in")  # the SYN-ACK, for which nobody is there any more
    until("reset", states, (GONE, "CLOSED"))
    listener.close()


@scene
def kernel_closes_while_it_connects(net):
    listener = net.puppet.listen(net.synfin, 80)
    net.hold("out")
    kernel = socket.socket(net.socket_family())
    kernel.setblocking(False)
    kernel.connect_ex((net.synfin, 80))
    peer = kernel.getsockname()[:2]

    def states():
        return net.puppet.states(peer, (net.synfin, 80))

    until("half-open", states, ("SYN-SENT", "SYN-RECEIVED"))
    kernel.close()
    until("closed", states, (GONE, "SYN-RECEIVED"))
    net.let_pass("out")
    until("reset", states, (GONE, "CLOSED"))
    assert net.puppet.counters()["EmbryonicRsts"] == 1
    net.puppet.close(listener)


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
        c.ended("stack_shutdown", "the stack has been shut down")
        c.close()
    assert connections[0].heard() == RESET
    assert net.puppet.population()["connections"] == 0, net.puppet.population()
    assert net.puppet.population()["armed_timers"] == 0, net.puppet.population()
