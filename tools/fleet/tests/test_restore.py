# SPDX-License-Identifier: GPL-2.0
"""
test_restore.py DIR (below with-etcd): what becomes of a coordinator and an agent whose store is
another one than it was, as after a restore from a backup. And of a coordinator that lacks
memory, or rights.
"""
import json
import os
import re
import socket
import subprocess
import tempfile
import threading

from fleet import BUILD, POOL, PREFIX, Agent, etcdctl, get, policy, put, put_policy, run, until

ROLLOUT = {"id": "r1", "policy": "p", "generation": 1, "waves": ["100%"], "wave": 0,
           "max_changing": 1, "max_failures": 1, "max_lost": 1, "attempts": 1,
           "confirm_timeout": 180, "soak": 0, "leg_failures": 0, "leg_lost": 0, "ended": {},
           "changing": [], "failures": []}


class Proxy:
    """A port of which the other end can be changed; connections break then."""

    def __init__(self, target):
        self.target, self.sockets = target, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            ours = self.server.accept()[0]
            theirs = socket.create_connection(("127.0.0.1", int(self.target.rpartition(":")[2])))
            self.sockets += [ours, theirs]
            for a, b in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def change(self, target):
        self.target = target
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets.clear()


def the_coordinator_halts():
    """A pool that runs, one that is over, and one that has no rollout; and the coordinator ends."""
    users, other = os.environ["FLEET_ETCD_DIR"], os.environ["FLEET_ETCD_FOREIGN"]
    proxy = Proxy(os.environ["FLEET_ETCD"].split(",")[0])
    for pool, state in (("a", "paused"), ("b", "complete")):
        etcdctl("put", f"{PREFIX}/rollout/{pool}/r1", text=json.dumps({**ROLLOUT, "state": state}), endpoints=other)
        etcdctl("put", f"{PREFIX}/pool/{pool}", text=json.dumps(
            {"rollout": "r1", "policy": "p", "generation": 1}), endpoints=other)
    with tempfile.TemporaryDirectory(prefix="fleet-restore.") as where:
        with open(f"{where}/conf", "w", encoding="ascii") as f:
            f.write(f'store = {{ kind = "etcd"; endpoints = [ "https://127.0.0.1:{proxy.port}" ]; '
                    f'ca = "{users}/ca.crt"; cert = "{users}/coordinator.crt"; '
                    f'key = "{users}/coordinator.key"; }};\npools = [ "a", "b", "c" ];\n')
        with open(f"{where}/out", "w+", encoding="utf-8") as out:
            p = subprocess.Popen([f"{BUILD}/iommucfg-fleet", "-c", f"{where}/conf", "-v"],
                                 stdout=out, stderr=out)
            try:
                until(lambda: etcdctl("get", "--prefix", "--keys-only", f"{PREFIX}/lead/").count("lead/") == 3)
                proxy.change(other)
                code = p.wait(120)
            finally:
                p.kill()
            out.seek(0)
            said = out.read()
        assert code == 5, said

    def rollout(pool):
        return json.loads(etcdctl("get", "--print-value-only", f"{PREFIX}/rollout/{pool}/r1",
                                  endpoints=other))
    a = rollout("a")
    assert a["state"] == "halted" and a["reason"].startswith("store went back in time"), (a, said)
    assert a["audit"][-1]["from"] == "paused" and rollout("b")["state"] == "complete", said


def configuration(where, *pools):
    users = os.environ["FLEET_ETCD_DIR"]
    endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
    with open(f"{where}/conf", "w", encoding="ascii") as f:
        f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                f'cert = "{users}/coordinator.crt"; key = "{users}/coordinator.key"; }};\n'
                f'pools = [ {", ".join(json.dumps(pool) for pool in pools)} ];\n')
    return f"{where}/conf"


def without_memory():
    """It is started again: nobody has to look at the store for that."""
    with tempfile.TemporaryDirectory(prefix="fleet-memory.") as where:
        env = dict(os.environ, LD_PRELOAD=f"{BUILD}/tests/preload.so", NO_MEMORY="16000",
                   ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        done = subprocess.run([f"{BUILD}/iommucfg-fleet", "-c", configuration(where, "a")], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, check=False)
    assert done.returncode == 1 and done.stdout.endswith("out of memory\n"), done


def nothing_is_said_twice():
    """A document that is wrong, and a step that fails again and again."""
    put("status/said/odd", "{")
    put("status/said/a", {"machine": "m", "boot": "b", "attempt": 0, "phase": "idle"})
    put("rollout/said/r1", {**ROLLOUT, "state": "running"})
    put("pool/said", {"rollout": "r1", "policy": "p", "generation": 1})
    etcdctl("role", "revoke-permission", "--prefix=true", "coordinator", f"{PREFIX}/grant/")
    with tempfile.TemporaryDirectory(prefix="fleet-said.") as where, \
            open(f"{where}/out", "w", encoding="utf-8") as out:
        p = subprocess.Popen([f"{BUILD}/iommucfg-fleet", "-c", configuration(where, "said"), "-v"],
                             stdout=out, stderr=out)
        try:
            until(lambda: open_text(f"{where}/out").count("<7>said: grant ") > 4,
                  message=lambda: open_text(f"{where}/out"))
        finally:
            p.kill()
            p.wait()
            etcdctl("role", "grant-permission", "--prefix=true", "coordinator", "readwrite", f"{PREFIX}/grant/")
        said = open_text(f"{where}/out")
    assert said.count("said: a document: ") == said.count("<4>said: grant: ") == 1, said


def the_agent_goes_on():
    """It keeps what is in force, says which numbers are used up, and takes the next one."""
    other = os.environ["FLEET_ETCD_FOREIGN"]
    proxy = Proxy(os.environ["FLEET_ETCD"].split(",")[0])
    with Agent("restored", more="report_interval = 1;") as h:
        conf = re.sub("endpoints = .*?;", f'endpoints = [ "https://127.0.0.1:{proxy.port}" ];',
                      open_text(f"{h.dir}/agent.conf"))
        with open(f"{h.dir}/agent.conf", "w", encoding="ascii") as f:
            f.write(conf)
        h.start()
        h.grant(put_policy(policy("identity")), attempt=7)
        h.ended("done")

        def status():
            text = etcdctl("get", "--print-value-only", f"{PREFIX}/status/{POOL}/restored", endpoints=other)
            return json.loads(text or "{}")
        name = put_policy(policy("DMA"))
        etcdctl("put", f"{PREFIX}/policy/{name}", text=get(f"policy/{name}"), endpoints=other)
        # Of the time before.
        grant = {"rollout": "r0", "policy": name, "machine": h.machine(), "live": True, "attempt": 3,
                 "confirm_timeout": 180}
        etcdctl("put", f"{PREFIX}/grant/{POOL}/restored", text=json.dumps(grant), endpoints=other)
        proxy.change(other)
        until(lambda: status().get("attempt") == 7, message=h.output)
        assert status()["phase"] == "idle" and h.type(1) == "identity", status()
        etcdctl("put", f"{PREFIX}/grant/{POOL}/restored", text=json.dumps({**grant, "attempt": 8}),
                endpoints=other)
        until(lambda: status().get("end") == "done", message=h.output)
        assert h.type(1) == "DMA" and status()["attempt"] == 8, status()


def open_text(path):
    with open(path, encoding="ascii") as f:
        return f.read()


if __name__ == "__main__":
    run([the_coordinator_halts, without_memory, nothing_is_said_twice, the_agent_goes_on], "restore")
