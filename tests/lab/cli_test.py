# SPDX-License-Identifier: Apache-2.0
"""What the command line refuses, and how; and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

from lab import SYNFIN, LabTest, V4, V6, events_of, run


class WrongUse(LabTest):
    """One line that says what, why and what to do; exit status 2."""

    def test_table(self):
        device = ["--tun", "synfin-none0"]
        own = ["--address", "192.0.2.2/24"]
        table = [
            # arguments, words that the line must have
            ([], ["verb", "--help"]),
            (["frobnicate"], ["--help"]),
            (["serve", "--frobnicate"], ["--frobnicate", "--help"]),
            (["serve"], ["no link", "--lab", "--tun"]),
            (["serve", "--lab", "--"], ["a command must follow"]),
            (["serve", "--lab", *device], ["--lab and --tun"]),
            (["serve", *device], ["--address"]),
            (["serve", *device, "--address", "nonsense"], ["--address nonsense", "192.0.2.2/24"]),
            (["serve", *device, "--address", "192.0.2.2"], ["--address 192.0.2.2", "prefix"]),
            (["serve", *device, "--address", "192.0.2.256/24"], ["--address 192.0.2.256/24"]),
            (["serve", *device, "--address", "192.0.2.2/33"], ["--address 192.0.2.2/33"]),
            (["serve", *device, "--address", "224.0.0.1/24"], ["224.0.0.1", "cannot have"]),
            (["serve", *device, "--address", "192.0.2.255/24"], ["192.0.2.255", "cannot have"]),
            (["serve", *device, "--address", "2001:db8::2/129"], ["2001:db8::2/129"]),
            (["serve", *device, *own, "--gateway", "nonsense"], ["--gateway nonsense"]),
            (["serve", *device, *own, "--gateway", "198.51.100.1"], ["198.51.100.1", "none of the networks"]),
            (["serve", "--lab", "--mtu", "100"], ["--mtu 100", "576"]),
            (["serve", "--lab", "--mtu", "70000"], ["--mtu 70000", "65535"]),
            (["serve", "--lab", "--mtu", "1000"], ["--mtu 1000", "1280"]),
            (["serve", "--lab", "--mtu", "many"], ["mtu"]),
            (["serve", "--lab", "--set", "tcp_rto_mn=1s"], ["tcp_rto_mn", "tcp_rto_min"]),
            (["serve", "--lab", "--set", "msl"], ["msl", "NAME=VALUE"]),
            (["serve", "--lab", "--set", "msl=10000s"], ["msl", "1000"]),
            (["serve", "--lab", "--set", "tcp_rmem=1"], ["tcp_rmem", "2048"]),
            (["serve", "--lab", "--set", "tcp_sack=yes"], ["tcp_sack"]),
            (["serve", "--lab", "--set", "ip_local_port_first=61000"], ["ip_local_port_first"]),
            (["serve", "--lab", "--impair", "lost=1%"], ["lost"]),
            (["serve", "--lab", "--impair", "loss=101%"], ["loss"]),
            (["serve", "--lab", "--offload", "maybe"], ["offload", "maybe", "{off,on}"]),
            (["serve", "--lab", "--backlog", "-1"], ["--backlog", "65535"]),
            (["serve", "--lab", "--backlog", "65536"], ["--backlog", "65535"]),
            (["serve", "--lab", "--backlog", "few"], ["--backlog", "few"]),
            (["serve", "--lab", "--fast-open", "16"], ["--fast-open 16", "--set tcp_fastopen=3"]),
            (["serve", "--lab", "--defer-accept", "-1"], ["--defer-accept", "3600"]),
            (["connect", "--lab", "--repeat", "0", "10.77.0.1", "7"], ["--repeat", "1000000"]),
            (["serve", "--lab", "--port", "0"], ["port 0", "65535"]),
            (["serve", "--lab", "--port", "65536"], ["port 65536"]),
            (["serve", "--lab", "--port", "http"], ["port http"]),
            (["serve", "--lab", "--service", "telnet"], ["telnet", "echo"]),
            (["serve", "--lab", "--service", "echo", "/tmp"], ["/tmp"]),
            (["serve", "--lab", "/nonexistent"], ["/nonexistent", "No such file", "directory"]),
            (["serve", "--lab", "/etc/hostname"], ["/etc/hostname", "directory"]),
            (["serve", "--lab", "--capture", "/nonexistent/file"], ["/nonexistent/file", "No such file"]),
            (["serve", "--lab", "--events", "/nonexistent/file"], ["/nonexistent/file", "No such file"]),
            (["serve", "--lab", "--", "/nonexistent/command"], ["/nonexistent/command", "No such file"]),
            (["connect", "--lab", "localhost", "80"], ["localhost", "not looked up"]),
            (["connect", "--lab", "10.77.0.1"], ["PORT"]),
            (["connect", "--lab", "10.77.0.1", "0"], ["port 0"]),
            (["connect", "--lab", "10.77.0.1", "-1"], []),
            (["listen", "--lab", "99999"], ["port 99999"]),
            (["explain", "no_such_thing"], ["no_such_thing", "synfin explain"]),
        ]
        for arguments, words in table:
            with self.subTest(arguments=arguments):
                line = self.fails(2, *arguments, timeout=20)
                for word in words:
                    self.assertIn(word, line)
                self.assertNotIn("\n  what():", line)

    def test_verbs_of_later_are_not_offered(self):
        for verb in ("ss", "trace", "check", "sim"):
            with self.subTest(verb=verb):
                self.fails(2, verb)

    @unittest.skipIf(os.geteuid() != 0, "only root can become nobody")
    def test_no_permission_for_tun(self):
        result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SYNFIN, "serve", "--tun",
                                 "synfin-none0", "--address", "192.0.2.2/24"], capture_output=True, timeout=20)
        if b"setpriv" in result.stderr or b"execute" in result.stderr:
            self.skipTest(result.stderr.decode())
        self.assertEqual(result.returncode, 1, result.stderr)
        text = result.stderr.decode()
        self.assertEqual(len(text.splitlines()), 1, text)
        self.assertRegex(text, "denied|permi")


class Help(LabTest):
    def test_every_verb_has_help(self):
        for verb in ("demo", "serve", "connect", "listen", "explain", "settings"):
            with self.subTest(verb=verb):
                result = self.succeeds(verb, "--help")
                self.assertIn(b"Usage", result.stdout)
        self.assertIn(b"serve", self.succeeds("--help").stdout)
        self.assertRegex(self.succeeds("--version").stdout.decode(), r"^synfin \d+\.\d+\.\d+\n$")

    def test_settings(self):
        text = self.succeeds("settings").stdout.decode()
        for name in ("msl", "tcp_rto_min", "tcp_fin_timeout", "ip_default_ttl"):
            self.assertIn(name, text)

    def test_explain(self):
        for name, words in (("TIME-WAIT", ["2 MSL"]), ("out_of_window", ["RFC 9293"]), ("tcp_rfc1337", ["TIME-WAIT"]),
                            ("ListenOverflows", ["queue"]), ("time-wait", ["2 MSL"])):
            with self.subTest(name=name):
                text = self.succeeds("explain", name).stdout.decode()
                for word in words:
                    self.assertIn(word, text)
        everything = self.succeeds("explain").stdout.decode()
        for name in ("ESTABLISHED", "paws_rejected", "tcp_rmem", "TCPChallengeACK"):
            self.assertIn(name, everything)


class Files(LabTest):
    """Nothing outside the served directory, whatever is asked for."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("served", "sub", "deep"))
        os.mkdir(self.path("outside"))
        self.write("secret.txt", "secret")
        self.write("outside/secret.txt", "secret")
        self.write("served/a b.txt", "blank")
        self.write("served/0.txt", "0123456789")
        self.write("served/empty", "")
        self.write("served/sub/index.html", "<p>index</p>")
        self.write("served/sub/deep/x.json", "{}")
        os.symlink("0.txt", self.path("served", "inside"))
        os.symlink("../secret.txt", self.path("served", "relative"))
        os.symlink(self.path("secret.txt"), self.path("served", "absolute"))
        os.symlink("../outside", self.path("served", "folder"))
        os.symlink("/proc/self/root", self.path("served", "magic"))
        os.mkfifo(self.path("served", "fifo"))

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def ask(self, requests):
        """Sends raw requests, each on a connection of its own; returns (status line, head, body) of each."""
        with open(self.path("requests.json"), "w", encoding="utf-8") as file:
            json.dump(requests, file)
        client = (
            "import json, socket\n"
            "answers = []\n"
            f"for text in json.load(open({self.path('requests.json')!r})):\n"
            f"  s = socket.create_connection(('{V4}', 80), timeout=10)\n"
            "  s.sendall(text.encode('latin-1')); got = b''\n"
            "  s.shutdown(socket.SHUT_WR)\n"
            "  while block := s.recv(65536): got += block\n"
            "  answers.append(got.decode('latin-1'))\n"
            "print(json.dumps(answers))\n")
        result = self.succeeds("serve", "--lab", self.path("served"), "--", sys.executable, "-c", client)
        parts = []
        for answer in json.loads(result.stdout):
            head, _, body = answer.partition("\r\n\r\n")
            parts.append((head.split("\r\n")[0], head, body))
        return parts

    def get(self, *targets, method="GET", extra=""):
        return self.ask([f"{method} {t} HTTP/1.1\r\nHost: x\r\n{extra}Connection: close\r\n\r\n" for t in targets])

    def test_outside_is_not_found(self):
        targets = ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/../../secret.txt", "/relative", "/absolute",
                   "/folder/secret.txt", "/folder/", "/magic/etc/passwd", "//etc/passwd", "/./../secret.txt", "/fifo", "/none",
                   "/0.txt/", "/sub/none/", "/.../x", "http://x/../secret.txt", "/%2fetc%2fpasswd"]
        for target, (status, _, body) in zip(targets, self.get(*targets)):
            with self.subTest(target=target):
                self.assertEqual(status, "HTTP/1.1 404 Not Found")
                self.assertNotIn("secret", body)

    def test_what_is_inside(self):
        answers = self.get("/0.txt", "/a%20b.txt?query", "/inside", "/sub/", "/sub", "/empty", "/sub/deep/x.json", "/", "http://x/0.txt")
        bodies = [(status.split()[1], body) for status, _, body in answers]
        self.assertEqual(bodies[0], ("200", "0123456789"))
        self.assertEqual(bodies[1], ("200", "blank"))
        self.assertEqual(bodies[2], ("200", "0123456789"))
        self.assertEqual(bodies[3], ("200", "<p>index</p>"))
        self.assertEqual(bodies[4][0], "301")
        self.assertIn("Location: ./sub/", answers[4][1])
        self.assertEqual(bodies[5], ("200", ""))
        self.assertIn("Content-Type: application/json", answers[6][1])
        self.assertIn("a%20b.txt", bodies[7][1])
        self.assertEqual(bodies[8], ("200", "0123456789"))

    def test_head_has_no_body(self):
        status, head, body = self.get("/0.txt", method="HEAD")[0]
        self.assertEqual((status, body), ("HTTP/1.1 200 OK", ""))
        self.assertIn("Content-Length: 10", head)

    def test_ranges(self):
        for wanted, status, body in (("bytes=0-3", "206", "0123"), ("bytes=4-", "206", "456789"), ("bytes=-2", "206", "89"),
                                     ("bytes=8-100", "206", "89"), ("bytes=10-", "416", ""), ("bytes=3-2", "200", "0123456789"),
                                     ("bytes=0-1,3-4", "200", "0123456789"), ("lines=1", "200", "0123456789")):
            with self.subTest(range=wanted):
                line, _, got = self.get("/0.txt", extra=f"Range: {wanted}\r\n")[0]
                self.assertEqual((line.split()[1], got), (status, body))

    def test_bad_requests(self):
        for request, status in (("nonsense\r\n\r\n", "400"), ("GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"),
                                ("GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"),
                                ("DELETE /0.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405"),
                                ("PUT /0.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "405")):
            with self.subTest(request=request):
                self.assertEqual(self.ask([request])[0][0].split()[1], status)
        with open(self.path("served", "0.txt"), encoding="ascii") as file:
            self.assertEqual(file.read(), "0123456789")

    def test_several_requests_on_one_connection(self):
        request = "GET /0.txt HTTP/1.1\r\nHost: x\r\n\r\n"
        last = "GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        text = self.ask([request * 3 + last])[0]
        self.assertEqual((text[1] + text[2]).count("HTTP/1.1 200 OK"), 4)

    def test_page_without_a_directory(self):
        for host in (V4, V6):
            page = self.succeeds("serve", "--lab", "--", "curl", "-fsSg", f"http://{host}/").stdout.decode()
            self.assertIn("ESTABLISHED", page)
            self.assertIn("SYN-ACK", page)


class Ending(LabTest):
    def start(self, *arguments):
        process = subprocess.Popen([SYNFIN, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_the_commands_status_is_the_exit_status(self):
        for status in (0, 1, 42):
            self.assertEqual(run("serve", "--lab", "--", "sh", "-c", f"exit {status}").returncode, status)
        self.assertEqual(run("serve", "--lab", "--", "sh", "-c", "kill -9 $$").returncode, 128 + 9)

    def test_the_lab_is_private(self):
        inside = self.succeeds("serve", "--lab", "--", "readlink", "/proc/self/ns/net").stdout.decode()
        self.assertNotEqual(inside.strip(), os.readlink("/proc/self/ns/net"))
        with open("/proc/net/dev", encoding="ascii") as file:
            self.assertNotIn("synfin0", file.read())

    def test_signals_end_in_order_with_a_summary(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                process = self.start("serve", "--lab")
                self.assertIn(b"listening on", process.stderr.readline())
                process.stderr.readline()
                process.send_signal(number)
                begin = time.monotonic()
                _, text = process.communicate(timeout=10)
                self.assertLess(time.monotonic() - begin, 3)
                self.assertEqual(process.returncode, 0)
                self.assertEqual(len(text.splitlines()), 1, text)
                self.assertIn(b"served 0 requests", text)

    def test_open_connections_get_a_fin(self):
        # The client runs inside the lab, holds a connection open, and says how it ended: 0 octets is a FIN.
        client = ("import os, signal, socket, sys\n"
                  f"s = socket.create_connection(('{V4}', 80))\n"
                  "os.kill(os.getppid(), signal.SIGINT)\n"
                  "s.settimeout(5)\n"
                  "data = s.recv(1)\n"
                  f"open({self.path('end')!r}, 'w').write('fin' if data == b'' else 'data')\n")
        result = run("serve", "--lab", "--", sys.executable, "-c", client, timeout=20)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"on 1 connection", result.stderr)
        with open(self.path("end"), encoding="ascii") as file:
            self.assertEqual(file.read(), "fin")

    def test_a_peer_that_does_not_close_is_not_waited_for(self):
        client = ("import os, signal, socket, time\n"
                  f"s = socket.create_connection(('{V4}', 80))\n"
                  "os.kill(os.getppid(), signal.SIGINT)\n"
                  "time.sleep(30)\n")
        begin = time.monotonic()
        result = run("serve", "--lab", "--", sys.executable, "-c", client, timeout=20)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertLess(time.monotonic() - begin, 6)

    @unittest.skipIf(os.geteuid() != 0, "needs a device made by root")
    def test_device_disappears(self):
        script = (f"ip tuntap add mode tun name syn0 && ip link set syn0 up && {{ {SYNFIN} serve --tun syn0 --address 192.0.2.2/24 & }} &&"
                  " sleep 0.5 && ip link del syn0 && wait $!")
        result = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, timeout=30)
        if b"unshare:" in result.stderr:
            self.skipTest(result.stderr.decode())
        self.assertEqual(result.returncode, 1, result.stderr)
        last = result.stderr.decode().splitlines()[-1]
        self.assertTrue(last.startswith("synfin: ") and "syn0" in last, last)

    @unittest.skipIf(os.geteuid() != 0, "needs CAP_NET_ADMIN")
    def test_a_device_of_our_own(self):
        script = (f"{{ {SYNFIN} serve --tun syn1 --address 192.0.2.2/24 & }}; sleep 0.5; "
                  "ip address add 192.0.2.1/24 dev syn1; curl -fsS --max-time 5 http://192.0.2.2/; s=$?; kill -INT $!; wait $!; exit $s")
        result = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, timeout=30)
        if b"unshare:" in result.stderr:
            self.skipTest(result.stderr.decode())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"Synfin", result.stdout)

    @unittest.skipIf(os.geteuid() != 0, "needs CAP_NET_ADMIN")
    def test_device_in_use(self):
        script = (f"{{ {SYNFIN} serve --tun syn2 --address 192.0.2.2/24 2>/dev/null & }}; sleep 0.5; "
                  f"{SYNFIN} serve --tun syn2 --address 192.0.2.3/24; s=$?; kill -INT $!; wait $!; exit $s")
        result = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, timeout=30)
        if b"unshare:" in result.stderr:
            self.skipTest(result.stderr.decode())
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("syn2", result.stderr.decode())


class Views(LabTest):
    def one_page(self, *options):
        return self.succeeds("serve", "--lab", *options, "--", "curl", "-fsS", "-o", "/dev/null", f"http://{V4}/")

    def test_ladder(self):
        text = self.one_page("--ladder").stderr.decode()
        for word in ("SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "RFC 9293"):
            self.assertIn(word, text)
        self.assertNotIn("\x1b", text, "no colours where there is no terminal")
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 110)

    def test_events(self):
        self.one_page("--events", self.path("events"))
        events = events_of(self.path("events"))
        self.assertGreater(len(events), 10)
        states = [e["to"] for e in events if e.get("event") == "state"]
        for state in ("SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"):
            self.assertIn(state, states)
        summary = events[-1]
        self.assertEqual(summary["event"], "summary")
        for name in ("connections", "half_open", "held", "time_wait"):
            self.assertEqual(summary[name], 0, name)
        self.assertEqual(summary["counters"]["PassiveOpens"], 1)
        self.assertEqual(summary["reasons"]["syn_accepted"], 1)
        self.assertEqual(summary["reasons"]["handshake_complete"], 1)

    def test_the_summary_is_the_last_line(self):
        # Synfin closes first, so there is a TIME-WAIT record when the run ends.
        self.succeeds("serve", "--lab", "--close", "--events", self.path("events"), "--", "curl", "-fsS", "-o", "/dev/null",
                      f"http://{V4}/")
        events = events_of(self.path("events"))
        self.assertEqual(events[-1]["event"], "summary")
        self.assertEqual(events[-1]["time_wait"], 1)

    def test_demo(self):
        for options in ([], ["--in-memory"]):
            with self.subTest(options=options):
                text = self.succeeds("demo", *options, timeout=60).stdout.decode()
                for state in ("LISTEN", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSE-WAIT",
                              "LAST-ACK", "CLOSED"):
                    self.assertIn(state, text)
                self.assertRegex(text, r"TIME-WAIT: 5\d\.\d\d s of 60 s remain")


if __name__ == "__main__":
    unittest.main()
