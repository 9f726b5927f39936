# SPDX-License-Identifier: GPL-2.0
"""
What tests with real agents share: hosts of iommucfg's own tests (a tree with a stand-in for
the kernel), iommucfgd on them, and the store as root sees it, by etcdctl.
"""
import concurrent.futures
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "../../iommucfg")
IOMMUCFG = os.path.abspath(f"{TOOLS}/iommucfg")
BUILD = os.path.abspath(sys.argv[1])
if not os.access(IOMMUCFG, os.X_OK):
    sys.exit(f"{sys.argv[0]}: {IOMMUCFG} is not built: make -C tools/iommucfg")
# Of another version, see run-upgrade.
AGENTS = os.environ.get("FLEET_AGENTS", BUILD)
# iommucfg's harness takes its programs from the command line.
ARGUMENTS, sys.argv = sys.argv, [sys.argv[0], IOMMUCFG, f"{BUILD}/tests/standin"]
sys.path.insert(0, f"{TOOLS}/tests")
import harness  # noqa: E402
sys.argv = ARGUMENTS

PREFIX = "/iommucfg/v1"
POOL = "default"
PATIENCE = 120
TYPES = ("identity", "DMA", "DMA-FQ")


def policy(kind, more=""):
    """All GPUs, of which a host has one, in group 1."""
    return (f'rules = ( {{ name = "gpu"; match = {{ vendor = 0x10de; }}; type = "{kind}"; }} );\n'
            f"{more}")


def etcdctl(*words, text=None, endpoints=os.environ.get("ETCDCTL_ENDPOINTS", "")):
    """What it prints. On a loaded machine the five seconds that it waits by itself are few."""
    # The last one of a flag counts.
    run = subprocess.run(["etcdctl", "--command-timeout=50s", "--dial-timeout=50s", *words],
                         input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         timeout=60, env=dict(os.environ, ETCDCTL_ENDPOINTS=endpoints))
    assert run.returncode == 0, f"etcdctl {' '.join(words[:2])}: {run.stderr}"
    return run.stdout


def put(key, value):
    etcdctl("put", f"{PREFIX}/{key}", text=value if isinstance(value, str) else json.dumps(value))


def get(key):
    text = etcdctl("get", "--print-value-only", f"{PREFIX}/{key}").strip("\n")
    return text or None


def put_policy(text, **more):
    """A policy as the store has it; its name."""
    document = json.dumps({"schema": "iommucfg/fleet-policy/1", "text": text, "requires": [], **more})
    name = hashlib.sha256(document.encode()).hexdigest()
    put(f"policy/{name}", document)
    return name


def until(what, patience=PATIENCE, message="it does not happen"):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        result = what()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(message() if callable(message) else message)


class Agent(harness.Host):
    """A host with iommucfgd on it, of the build at @programs."""
    programs = AGENTS

    def __init__(self, name, limits="", more="", machine=None, user="pool-default"):
        super().__init__(True)
        self.name, self.limits, self.more = name, limits, more
        self.machine_id, self.user = machine or name, user
        self.agent, self.boots, self.attempt = None, 1, 0

    def __enter__(self):
        super().__enter__()
        for path, text in (("etc/machine-id", hashlib.md5(self.machine_id.encode()).hexdigest()),
                           ("proc/sys/kernel/random/boot_id", "boot-1")):
            self.write(path, text + "\n")
        users = os.environ["FLEET_ETCD_DIR"]
        endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
        with open(f"{self.dir}/agent.conf", "w") as f:
            f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                    f'cert = "{users}/{self.user}.crt"; key = "{users}/{self.user}.key"; }};\n'
                    f'name = "{self.name}"; pool = "{POOL}"; labels = {{ rack = "r1"; }};\n'
                    f'start_jitter = 0; limits = {{ {self.limits} }}; {self.more}\n')
        return self

    def __exit__(self, *unused):
        self.kill()
        # A call of --run is in a separate session; it ends when the stand-in does.
        super().__exit__()

    def iommucfg(self):
        """The command that came with the agent."""
        return IOMMUCFG if self.programs == BUILD else f"{self.programs}/../iommucfg/iommucfg"

    def start(self, bare=False, **env):
        """With @bare as in its unit: root, but without a capability."""
        out = open(f"{self.dir}/agent.out", "ab")
        without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        self.agent = subprocess.Popen(
            [*(without if bare else []), f"{self.programs}/iommucfgd", "-v", "-c", f"{self.dir}/agent.conf", "--root", self.root],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=dict(os.environ, IOMMUCFG=self.iommucfg(), **env))
        out.close()

    def preload(self, **env):
        self.start(LD_PRELOAD=f"{BUILD}/tests/preload.so",
                   ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
                   **env)

    def kill(self, number=signal.SIGKILL):
        if self.agent:
            self.agent.send_signal(number)
            self.agent.wait()
            self.agent = None

    def output(self):
        try:
            with open(f"{self.dir}/agent.out", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def journal(self):
        text = self.read("var/lib/iommucfg/fleet/journal")
        return json.loads(text) if text else {}

    def status(self):
        text = get(f"status/{POOL}/{self.name}")
        try:
            return json.loads(text or "{}")
        except ValueError:
            return {}

    def machine(self):
        return until(lambda: self.status().get("machine"), message=self.output)

    def grant(self, name, attempt=None, **more):
        """As a coordinator grants it."""
        self.attempt = attempt or self.attempt + 1
        document = {"rollout": "r1", "policy": name, "machine": self.machine(), "live": True,
                    "attempt": self.attempt, "confirm_timeout": 180, **more}
        put(f"grant/{POOL}/{self.name}", document)
        return document

    def ended(self, end, patience=PATIENCE):
        def over():
            s = self.status()
            return s if s.get("phase") == "ended" and s["attempt"] == self.attempt else None
        s = until(over, patience, lambda: f"{self.name}: {self.status()}\n{self.output()[-3000:]}")
        assert s["end"] == end, f"{self.name}: {s}\n{self.output()[-3000:]}"
        return s

    def probe(self, text, mode=0o755):
        os.makedirs(f"{self.root}/etc/iommucfg/fleet.d", exist_ok=True)
        self.write("etc/iommucfg/fleet.d/probe", f"#!/bin/sh\n{text}\n")
        os.chmod(f"{self.root}/etc/iommucfg/fleet.d/probe", mode)

    def reboot(self, kind):
        """What was in the kernel is gone; @kind is what the files gave group 1."""
        self.kill()
        self.boots += 1
        self.write("proc/sys/kernel/random/boot_id", f"boot-{self.boots}\n")
        subprocess.run(["fusermount3", "-u", "-z", self.iommu], check=True)
        self.process.wait()
        self.write("sys/kernel/iommu_groups/1/type", f"{kind}\n")
        self.process = subprocess.Popen([harness.STANDIN, self.root], stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(f"{self.iommu}/abi"))

    def installed(self):
        return self.read("etc/iommucfg.d/50-fleet.conf")


def attempt(test):
    """What is wrong; None: nothing, or a harness.Skip."""
    try:
        test()
        return None
    except (harness.Skip, Exception) as error:  # pylint: disable=broad-except
        return error


def run(tests, what, alone=0):
    """TAP. Tests mostly wait, so that those after the first @alone run side by side."""
    print(f"1..{len(tests)}")
    failed = False
    results = [attempt(test) for test in tests[:alone]]
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        results += pool.map(attempt, tests[alone:])
    for number, (test, error) in enumerate(zip(tests, results), 1):
        name = f"{number} - {what}: {test.__name__.replace('_', ' ')}"
        if isinstance(error, harness.Skip):
            print(f"ok {name} # SKIP {error}")
        elif error:
            failed = True
            print(f"not ok {name}")
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(f"# {line}")
        else:
            print(f"ok {name}")
    sys.exit(failed)
