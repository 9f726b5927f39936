# SPDX-License-Identifier: GPL-2.0
"""
bench_watchers.py DIR: what many hosts cost three members of etcd, beside as many processes of
"etcdctl watch" as fit on a machine (BENCH_ETCDCTL, 100), in one run:

    etcdctl  "etcdctl watch"
    few      as many watches of the store library, each over a connection of its own
    many     BENCH_WATCHERS (10000) of these in BENCH_PROCESSES (4)
    hosts    as many that read their grant before, over a second connection, as iommucfgd does

Each has a new cluster, as etcd gives no memory back. Prints a table, and writes DIR/bench.json.
Writes per second are of WRITERS connections, with all of the watches and after these are gone.
"""
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1]
WATCHERS = int(os.environ.get("BENCH_WATCHERS", "10000"))
PROCESSES = int(os.environ.get("BENCH_PROCESSES", "4"))
ETCDCTL = int(os.environ.get("BENCH_ETCDCTL", "100"))
EVENTS = 5
WRITERS = 20
IDLE_SECONDS = 10
KEY = "/iommucfg/v1/grant/default/bench"
COLUMNS = (("watches", "watches", "d"), ("open s", "open_s", ".1f"), ("kB each", "kb_each", ".0f"),
           ("MB all", "members_mb", ".0f"), ("idle CPU %", "idle_cpu", ".0f"),
           ("first ms", "first_ms", ".0f"), ("last ms", "last_ms", ".0f"),
           ("puts/s", "puts", ".0f"), ("without", "puts_without", ".0f"))
RATIOS = ("kb_each", "last_ms", "puts")


def members():
    return os.environ["FLEET_ETCD_PIDS"].split(",")


def memory():
    """kB of all members."""
    total = 0
    for pid in members():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            total += int(next(line for line in f if line.startswith("VmRSS")).split()[1])
    return total


def cpu():
    """Seconds of all members."""
    total = 0
    for pid in members():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            total += sum(map(int, f.read().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


class Teller:
    """Writes KEY, over one connection; the value says when that was begun."""

    def __init__(self, conf):
        self.process = subprocess.Popen([f"{BUILD}/tests/watchers", "tell", conf, KEY, "500"],
                                        stdin=subprocess.PIPE)

    def put(self):
        self.process.stdin.write(b"x")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """@count watches in @processes."""

    def __init__(self, conf, count, processes, how="watch"):
        begun = time.monotonic()
        self.processes = [subprocess.Popen(
            [f"{BUILD}/tests/watchers", how, conf, KEY, str(count // processes)],
            stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        for p in self.processes:
            if not p.stdout.readline():
                sys.exit(f"watchers has ended: {p.wait()}")
        self.opened = time.monotonic() - begun

    def event(self):
        lines = [p.stdout.readline().split()[1:] for p in self.processes]
        return min(float(first) for first, _ in lines), max(float(last) for _, last in lines)

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()


class Theirs:
    """As many processes of "etcdctl watch"."""

    def __init__(self, count, teller):
        endpoints = os.environ["FLEET_ETCD"].split(",")
        begun = time.monotonic()
        self.processes = [subprocess.Popen(
            ["etcdctl", "watch", KEY], stdout=subprocess.PIPE,
            env=dict(os.environ, ETCDCTL_ENDPOINTS=endpoints[i % len(endpoints)]))
            for i in range(count)]
        # It does not say when it is there: each has to show a first event.
        waiting = set(range(count))
        while waiting:
            teller.put()
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
                text = b""
                # It writes "PUT", the key and the value one by one.
                while not text.endswith(b"x\n"):
                    text += os.read(self.processes[i].stdout.fileno(), 65536)
                written = float(text.splitlines()[-1].split()[0])
                first = first if first is not None else now - written
                last = now - written
            waiting -= found
        return first, last

    close = Ours.close


def writes(conf):
    """Per second, by processes that each write one key."""
    writers = [subprocess.Popen([f"{BUILD}/tests/watchers", "put", conf, f"/iommucfg/v1/status/default/bench-{i}",
                                 "5"], stdout=subprocess.PIPE, text=True) for i in range(WRITERS)]
    return sum(int(p.communicate()[0]) for p in writers) / 5


def measure(count, make, conf, teller):
    result = {"watches": count}
    before = memory()
    with contextlib.closing(make()) as watchers:
        result["open_s"] = watchers.opened
        time.sleep(2)
        result["kb_each"] = (memory() - before) / count
        result["members_mb"] = memory() / 1024
        used = cpu()
        time.sleep(IDLE_SECONDS)
        result["idle_cpu"] = 100 * (cpu() - used) / IDLE_SECONDS
        events = []
        for _ in range(EVENTS):
            teller.put()
            events.append(watchers.event())
        result["first_ms"] = sorted(first for first, _ in events)[EVENTS // 2]
        result["last_ms"] = sorted(last for _, last in events)[EVENTS // 2]
        result["puts"] = writes(conf)
    time.sleep(5)
    result["puts_without"] = writes(conf)
    return result


def phase(what):
    """Below with-etcd. Prints the figures as JSON."""
    users = os.environ["FLEET_ETCD_DIR"]
    with tempfile.TemporaryDirectory(prefix="fleet-bench.") as where:
        endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
        for user in ("pool-default", "root"):
            with open(f"{where}/{user}.conf", "w", encoding="ascii") as f:
                f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                        f'cert = "{users}/{user}.crt"; key = "{users}/{user}.key"; }};\n')
        conf, teller = f"{where}/pool-default.conf", Teller(f"{where}/root.conf")
        teller.put()
        time.sleep(2)
        count = ETCDCTL if what in ("etcdctl", "few") else WATCHERS // PROCESSES * PROCESSES
        make = {"etcdctl": lambda: Theirs(count, teller), "few": lambda: Ours(conf, count, 1),
                "many": lambda: Ours(conf, count, PROCESSES),
                "hosts": lambda: Ours(conf, count, PROCESSES, "host")}[what]
        with contextlib.closing(teller):
            print(json.dumps(measure(count, make, conf, teller)))


def main():
    if sys.argv[2:]:
        phase(sys.argv[2])
        return
    figures = {}
    print("         " + "".join(f"{title:>11}" for title, _, _ in COLUMNS), flush=True)
    for what in ("etcdctl", "few", "many", "hosts"):
        done = subprocess.run([sys.executable, f"{os.path.dirname(__file__)}/with-etcd", sys.executable,
                               __file__, BUILD, what], stdout=subprocess.PIPE, text=True, check=True,
                              # As the guide has it; the tests' second is no load to measure under.
                              env=dict(os.environ, FLEET_ETCD_PROGRESS="10s"))
        figures[what] = json.loads(done.stdout)
        print(f"{what:9}" + "".join(f"{figures[what][name]:>11{form}}" for _, name, form in COLUMNS),
              flush=True)
    for what in ("few", "many", "hosts"):
        figures[what]["to_etcdctl"] = {name: figures[what][name] / figures["etcdctl"][name]
                                       for name in RATIOS}
        print(f"{what} to etcdctl: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in
                                               figures[what]["to_etcdctl"].items()))
    with open(f"{BUILD}/bench.json", "w", encoding="ascii") as f:
        json.dump(figures, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
