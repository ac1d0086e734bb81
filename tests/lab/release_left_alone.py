# SPDX-License-Identifier: Apache-2.0
"""Programs that end, TIME-WAIT, and peers that do not answer. For release_scenes.py."""

import signal
import socket
import subprocess
import sys

from release_kit import GONE, RESET, Connection, Refused, linger, scene, soon, sysctl, until


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
        return net.puppet.states(peer, (net.synfin, 80))

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
    c.was_reset()


@scene
def synfins_orphan_times_out(net):
    net.puppet.set("tcp_fin_timeout", "1s")
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
    net.puppet.set("msl", "400ms")
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
    c.ended("keepalive_timed_out", "connection timed out")
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
    c.ended("user_timed_out", "connection timed out")
    net.let_pass("out")
    c.kernel.sendall(b"k")
    c.expect(GONE, "CLOSED")
