# SPDX-License-Identifier: GPL-2.0
"""What the tests of the iommucfg command share: hosts, terminals, TAP.

Whatever needs the kernel's interface runs against the stand-in,
for which FUSE and root are needed; without them those tests are skipped.
"""
import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import jsonschema

import mktree

# Who runs us in the background has interrupts ignored, and what we start would
# inherit that; some tests interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Nor may his taste decide, in colours and in languages.
for name in ("NO_COLOR", "IOMMUCFG_ROOT", "LANGUAGE", "COLUMNS"):
    os.environ.pop(name, None)
os.environ["LC_ALL"] = "C.UTF-8"

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMAS = os.path.join(HERE, "..", "schemas")
IOMMUCFG, STANDIN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TESTS = []


class Skip(Exception):
    pass


def test(f):
    TESTS.append(f)
    return f


def strict(node):
    """Others may meet members that were added since; here each has to be in the schema."""
    if isinstance(node, dict):
        if "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            strict(value)
    elif isinstance(node, list):
        for value in node:
            strict(value)
    return node


def schema(command):
    with open(f"{SCHEMAS}/{command}.json") as f:
        return strict(json.load(f))


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


class Host:
    """A tree in a temporary directory, with or without the stand-in."""

    def __init__(self, kernel=False):
        self.kernel = kernel

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="iommucfg-test.")
        self.root = os.path.join(self.dir, "root")
        mktree.host(self.root)
        self.process = None
        if self.kernel:
            if os.geteuid() or not os.access("/dev/fuse", os.R_OK | os.W_OK) or \
               not os.access(STANDIN, os.X_OK):
                shutil.rmtree(self.dir)
                raise Skip("needs root and FUSE")
            self.iommu = f"{self.root}/sys/kernel/config/iommu"
            os.makedirs(self.iommu)
            os.makedirs(f"{self.root}/control")
            os.makedirs(f"{self.root}/run", exist_ok=True)
            os.makedirs(f"{self.root}/dev", exist_ok=True)
            with open(f"{self.root}/dev/kmsg", "w"):
                pass
            self.process = subprocess.Popen([STANDIN, self.root], stderr=subprocess.DEVNULL)
            end = time.monotonic() + 60
            while not os.path.exists(f"{self.iommu}/abi"):
                if self.process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    raise AssertionError("the stand-in did not start")
                time.sleep(0.02)
        return self

    def __exit__(self, *unused):
        if self.process:
            subprocess.run(["fusermount3", "-u", "-z", self.iommu], check=False)
            # Whatever it still did, nobody waits for it any more.
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def command(self, *args):
        return [IOMMUCFG, "--root", self.root, *map(str, args)]

    def run(self, *args, input=None, code=None, **kwargs):
        p = subprocess.run(self.command(*args), input=input if input is not None else "",
                           capture_output=True, text=True, errors="surrogateescape",
                           timeout=120, **kwargs)
        r = Result(p.returncode, p.stdout, p.stderr)
        assert code is None or r.code == code, f"{args}: not exit {code}: {r}"
        return r

    def json(self, command, *args, code=None, **kwargs):
        """Runs with --json; the document must meet its schema."""
        r = self.run(command, "--json", *args, code=code, **kwargs)
        document = json.loads(r.out)
        jsonschema.validate(document, schema(command))
        return document

    def start(self, *args):
        return subprocess.Popen(self.command(*args), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def policy(self, text, name="test.conf"):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def twins(self):
        """Two devices of one name, on two buses, in two groups."""
        tree = mktree.Tree.__new__(mktree.Tree)
        tree.top = self.root
        for group, bus, kind in ((20, "platform", "DMA"), (21, "amba", "identity")):
            tree.group(group, kind)
            tree.device(group, f"{bus}/dev0", bus=bus)
        tree.device(21, "amba/dev1", bus="amba")

    def write(self, path, text):
        """A file of the tree."""
        path = f"{self.root}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def read(self, path):
        """What a file of the tree has; None where there is none."""
        try:
            with open(f"{self.root}/{path}") as f:
                return f.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def control(self, name, text="", mode=0o644):
        path = f"{self.root}/control/{name}"
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    def kernel_says(self, text, seq, ago=0):
        """A record of the kernel's log, so many seconds old."""
        text = "".join(c if " " <= c <= "~" and c != "\\" else f"\\x{ord(c):02x}" for c in text)
        with open(f"{self.root}/dev/kmsg", "a") as f:
            f.write(f"3,{seq},{max(0, int((time.monotonic() - ago) * 1e6))},-;{text}\n SUBSYSTEM=pci\n")

    def release(self):
        """Lets a commit go on that control("hold") keeps."""
        os.unlink(f"{self.root}/control/hold")

    def unreadable(self, path):
        """Puts something else where a file, or a directory, is to be read; returns its name."""
        path = f"{self.root}/{path}"
        if os.path.isdir(path):
            shutil.rmtree(path)
            with open(path, "w"):
                pass
        else:
            if os.path.lexists(path):
                os.unlink(path)
            os.makedirs(path)
        return path

    def type(self, group):
        with open(f"{self.root}/sys/kernel/iommu_groups/{group}/type") as f:
            return f.read().strip()

    def transactions(self):
        return sorted(n for n in os.listdir(self.iommu) if n not in ("abi", "generation", "standing"))

    def standing(self):
        """The kernel's standing rules: by name the contents of their files."""
        rules, top = {}, f"{self.iommu}/standing"
        for name in os.listdir(top):
            if name == "report":
                continue
            rules[name] = {}
            for file in ("bus", "device", "modalias", "removable", "priority", "order", "type"):
                with open(f"{top}/{name}/{file}") as f:
                    rules[name][file] = f.read().rstrip("\n")
        return rules

    def standing_log(self):
        """What was done to them since the last time."""
        path = f"{self.root}/control/standing-log"
        if not os.path.exists(path):
            return []
        with open(path) as f:
            lines = f.read().splitlines()
        os.unlink(path)
        return lines

    def state(self, name):
        with open(f"{self.iommu}/{name}/state") as f:
            return f.read().strip()

    def expire(self, name=None):
        """What nothing confirms any more goes back, and not only when its time is over."""
        name = self.wait_state("unconfirmed", name)
        with open(f"{self.iommu}/{name}/confirm_timeout", "w") as f:
            f.write("1")
        self.wait_back(name)

    def wait_back(self, name):
        """Until it is rolled back. Where its command is gone, what watches it removes it."""
        end = time.monotonic() + 120
        while os.path.exists(f"{self.iommu}/{name}") and time.monotonic() < end:
            with contextlib.suppress(OSError):
                if self.state(name) == "rolled-back":
                    return
            time.sleep(0.02)
        assert not os.path.exists(f"{self.iommu}/{name}"), self.state(name)

    def wait_state(self, state, name=None):
        end = time.monotonic() + 120
        seen = None
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                names = [name] if name else self.transactions()
                seen = names and (names[0], self.state(names[0]))
                if seen and seen[1] == state:
                    return names[0]
            time.sleep(0.02)
        raise AssertionError(f"no transaction got {state}; seen last: {seen}")


class Terminal:
    """The command at a terminal."""

    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "xterm"
            os.execv(argv[0], argv)
        self.text = ""

    def expect(self, pattern, seconds=120):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.text!r}"
            if select.select([self.fd], [], [], left)[0]:
                try:
                    data = os.read(self.fd, 4096)
                except OSError:
                    data = b""
                assert data, f"ended without {pattern!r}: {self.text!r}"
                self.text += data.decode(errors="replace")

    def send(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


GPU = 'rules = ( { name = "gpu"; match = { vendor = 0x10de; }; type = "identity"; } );\n'


def details():
    for line in traceback.format_exc().splitlines():
        print(f"# {line}")


def attempt(t, races):
    """Runs a test; with LAB_SECOND_TRY (see tools/lab/README) one that fails once more,
    unless it is one of races. run-checks counts these."""
    try:
        t()
    except Skip:
        raise
    except Exception:
        if races or not os.environ.get("LAB_SECOND_TRY"):
            raise
        print(f"# second try: {t.__name__}, after:")
        details()
        t()


def main(what, races=False):
    # What nohup(1) has started ignores it, and so would the commands.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    chosen = [t for t in TESTS if not sys.argv[3:] or t.__name__ in sys.argv[3:]]
    passed = failed = skipped = 0
    print(f"1..{len(chosen)}")
    for n, t in enumerate(chosen, 1):
        try:
            attempt(t, races)
            print(f"ok {n} {what}: {t.__name__}")
            passed += 1
        except Skip as why:
            print(f"ok {n} {what}: {t.__name__} # SKIP {why}")
            skipped += 1
        except Exception:
            print(f"not ok {n} {what}: {t.__name__}")
            details()
            failed += 1
        sys.stdout.flush()
    print(f"# {what}: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
