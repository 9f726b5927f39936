# SPDX-License-Identifier: GPL-2.0
"""
bench_watchers.py DIR: what so many hosts cost three members of etcd, each
with one watch over one connection; and beside it, in the same run, what "etcdctl watch" costs,
of which BENCH_ETCDCTL (50) fit on a machine. BENCH_WATCHERS (10000) in BENCH_PROCESSES (2).
Each has a new cluster, as etcd gives no memory back. Prints memory of the members, the time to connect, how long a write takes to reach the first and
the last one, and writes per second meanwhile.
"""
import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1]
WATCHERS = int(os.environ.get("BENCH_WATCHERS", "10000"))
PROCESSES = int(os.environ.get("BENCH_PROCESSES", "2"))
ETCDCTL = int(os.environ.get("BENCH_ETCDCTL", "50"))
EVENTS = 5
WRITERS = 20
PREFIX = "/iommucfg/v1/grant/default"


def memory():
    """kB of all members."""
    total = 0
    for pid in os.environ["FLEET_ETCD_PIDS"].split(","):
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            total += int(next(line for line in f if line.startswith("VmRSS")).split()[1])
    return total


def put(key):
    """The value says when it was written."""
    subprocess.run(["etcdctl", "put", key, f"{time.monotonic() * 1000:.1f} " + "x" * 480],
                   stdout=subprocess.DEVNULL, check=True)


class Ours:
    """@count watches in @processes."""

    def __init__(self, conf, key, count, processes):
        self.processes = [subprocess.Popen(
            [f"{BUILD}/tests/watchers", "watch", conf, key, str(count // processes)],
            stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        self.opened = max(float(p.stdout.readline().split()[1]) for p in self.processes)

    def event(self):
        lines = [p.stdout.readline().split()[1:] for p in self.processes]
        return min(float(first) for first, _ in lines), max(float(last) for _, last in lines)

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()


class Theirs:
    """As many processes of "etcdctl watch"."""

    def __init__(self, key, count):
        endpoints = os.environ["FLEET_ETCD"].split(",")
        begun = time.monotonic()
        self.processes = [subprocess.Popen(
            ["etcdctl", "watch", key], stdout=subprocess.PIPE,
            env=dict(os.environ, ETCDCTL_ENDPOINTS=endpoints[i % len(endpoints)]))
            for i in range(count)]
        # It does not say when it is there: each has to show a first event.
        waiting = set(range(count))
        while waiting:
            put(key)
            waiting -= self.ready([self.processes[i].stdout for i in waiting], 1)
        self.opened = time.monotonic() - begun
        self.drain()

    def ready(self, pipes, seconds):
        found = select.select(pipes, [], [], seconds)[0]
        return {i for i, p in enumerate(self.processes) if p.stdout in found}

    def drain(self):
        while True:
            found = self.ready([p.stdout for p in self.processes], 1)
            if not found:
                return
            for i in found:
                if not os.read(self.processes[i].stdout.fileno(), 65536):
                    sys.exit("etcdctl watch has ended")

    def event(self):
        first = None
        waiting = set(range(len(self.processes)))
        while waiting:
            found = self.ready([self.processes[i].stdout for i in waiting], 60)
            now = time.monotonic() * 1000
            for i in found:
                text = os.read(self.processes[i].stdout.fileno(), 65536).decode()
                written = float(next(line for line in text.splitlines() if line.endswith("xxx")).split()[0])
                first = first if first is not None else now - written
                last = now - written
            waiting -= found
        return first, last

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()


def writes(conf):
    """Per second, by processes that each write one key."""
    writers = [subprocess.Popen([f"{BUILD}/tests/watchers", "put", conf, f"/iommucfg/v1/status/default/bench-{i}",
                                 "5"], stdout=subprocess.PIPE, text=True) for i in range(WRITERS)]
    return sum(int(p.communicate()[0]) for p in writers) / 5


def measure(name, count, make, conf, key=f"{PREFIX}/bench"):
    before = memory()
    with contextlib.closing(make()) as watchers:
        time.sleep(2)
        each = (memory() - before) / count
        events = []
        for _ in range(EVENTS):
            put(key)
            events.append(watchers.event())
        first = sorted(first for first, _ in events)[EVENTS // 2]
        last = sorted(last for _, last in events)[EVENTS // 2]
        print(f"{name}, {count}: open within {watchers.opened:.1f} s, {each:.0f} kB each in the members, "
              f"a write of 500 B reaches the first after {first:.0f} ms and the last after {last:.0f} ms, "
              f"{writes(conf):.0f} writes/s of 400 B by {WRITERS}", flush=True)
    return each, last


def phase(what):
    """Below with-etcd. Last line: figures for the ratio."""
    key = f"{PREFIX}/bench"
    users = os.environ["FLEET_ETCD_DIR"]
    with tempfile.TemporaryDirectory(prefix="fleet-bench.") as where:
        conf = f"{where}/agent.conf"
        endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
        with open(conf, "w", encoding="ascii") as f:
            f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                    f'cert = "{users}/pool-default.crt"; key = "{users}/pool-default.key"; }};\n')
        put(key)
        if what == "etcdctl":
            figures = measure("etcdctl watch", ETCDCTL, lambda: Theirs(key, ETCDCTL), conf)
        elif what == "few":
            figures = measure("iommucfgd's watch", ETCDCTL, lambda: Ours(conf, key, ETCDCTL, 1), conf)
        else:
            figures = measure("iommucfgd's watch", WATCHERS,
                              lambda: Ours(conf, key, WATCHERS, PROCESSES), conf)
    print(*figures)


def main():
    if sys.argv[2:]:
        phase(sys.argv[2])
        return
    figures = {}
    for what in ("etcdctl", "few", "many"):
        done = subprocess.run([sys.executable, f"{os.path.dirname(__file__)}/with-etcd", sys.executable,
                               __file__, BUILD, what], stdout=subprocess.PIPE, text=True, check=True)
        *lines, last = done.stdout.splitlines()
        print("\n".join(lines), flush=True)
        figures[what] = [float(number) for number in last.split()]
    for what in ("few", "many"):
        memory_ratio, last_ratio = (ours / theirs for ours, theirs in zip(figures[what], figures["etcdctl"]))
        print(f"{what} to etcdctl: memory for each {memory_ratio:.2f}, last one {last_ratio:.2f}")


if __name__ == "__main__":
    main()
