# SPDX-License-Identifier: Apache-2.0
"""What the lab tests share: running the built program, and files to serve."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import unittest

SYNFIN = os.environ.get("SYNFIN", os.path.join(os.path.dirname(__file__), "../../build/release/synfin"))
HTTP_LOAD = os.environ.get("SYNFIN_HTTP_LOAD", os.path.join(os.path.dirname(SYNFIN), "synfin-http-load"))
PUPPET = os.environ.get("SYNFIN_PUPPET_PROGRAM", os.path.join(os.path.dirname(SYNFIN), "synfin-puppet"))
V4, V6 = "10.77.0.2", "[fd77::2]"
MIB = 1 << 20


def size_from_environment(name, default):
    """Sizes in MiB may be changed for slow or patient machines."""
    return int(os.environ.get(name, default)) * MIB


def run(*arguments, timeout=120, stdin=b"", environment=None):
    """Runs `synfin ARGUMENTS...`; the result has returncode, stdout and stderr (both bytes)."""
    return subprocess.run([SYNFIN, *arguments], input=stdin, capture_output=True, timeout=timeout,
                          env=None if environment is None else {**os.environ, **environment})


def lab_problem():
    """Why no lab can be made here; None where one can."""
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun is missing"
    probe = run("serve", "--lab", "--", "true", timeout=20)
    return None if probe.returncode == 0 else probe.stderr.decode(errors="replace").strip()


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def write_random(path, size, seed=1):
    """A file of `size` random octets, the same for the same seed."""
    source = random.Random(seed)
    with open(path, "wb") as file:
        while size > 0:
            block = source.randbytes(min(size, 4 * MIB))
            file.write(block)
            size -= len(block)


def events_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def summary_of(path):
    """The last line of an --events file: what was left at the end."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 65536))
        last = json.loads(file.read().splitlines()[-1])
    assert last.get("event") == "summary", last
    return last


class LabTest(unittest.TestCase):
    """A test with a folder of its own, skipped where no lab can be made."""

    problem = "unknown"

    @classmethod
    def setUpClass(cls):
        if LabTest.problem == "unknown":
            LabTest.problem = lab_problem()
        if LabTest.problem:
            raise unittest.SkipTest("no lab here: " + LabTest.problem)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="synfin-lab-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def succeeds(self, *arguments, **options):
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, 0, f"{arguments}\n{result.stderr.decode(errors='replace')[-4000:]}")
        return result

    def fails(self, status, *arguments, **options):
        """One line on standard error that begins with `synfin: `; returns that line."""
        result = run(*arguments, **options)
        text = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, status, f"{arguments}\n{text[-4000:]}")
        lines = text.splitlines()
        self.assertEqual(len(lines), 1, f"{arguments} should complain in one line, not:\n{text}")
        self.assertTrue(lines[0].startswith("synfin: "), text)
        return lines[0]
