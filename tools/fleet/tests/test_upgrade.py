# SPDX-License-Identifier: GPL-2.0
"""
test_upgrade.py DIR (below with-etcd): an agent as it is built in DIR goes on where one of an
earlier version was killed, and a coordinator takes what hosts of that version say.

Without FLEET_AGENTS the earlier one is that of older.json: journal, files and statuses as it
wrote them. It confirmed and installed in two steps, and had the phase "install" of the journal
in between. With FLEET_AGENTS, see run-upgrade, agents of that build run, and are killed.
"""
import contextlib
import json
import os
import signal
import subprocess
import tempfile

from fleet import AGENTS, BUILD, HERE, POOL, PREFIX, Agent, etcdctl, policy, put, put_policy, run, until

# Where it is killed, at a write of the journal (preload.c); the phases of the journal and of the
# status then, and how far the change is.
STEPS = {
    "2b": ("begin", "changing", "nothing"),
    "2a": ("apply", "changing", "nothing"),
    "3b": ("apply", "unconfirmed", "applied"),
    "3a": ("confirm", "unconfirmed", "applied"),
    "4b": ("confirm", "unconfirmed", "confirmed"),
    "4a": ("install", "unconfirmed", "confirmed"),
    "5b": ("install", "unconfirmed", "installed"),
    "5a": ("end", "unconfirmed", "installed"),
}
STATE = "var/lib/iommucfg/fleet"


def older():
    with open(f"{HERE}/older.json", encoding="ascii") as f:
        return json.load(f)


def leave(h, when):
    """What the agent of older.json leaves behind when it is killed there."""
    journal, status, change = STEPS[when]
    documents = json.loads(json.dumps(older()).replace("@ROOT@", h.root))
    h.write(f"{STATE}/candidate.conf", policy("identity"))
    h.write(f"{STATE}/change", json.dumps(documents["change"]))
    h.write(f"{STATE}/journal", json.dumps(documents["journal"][journal]))
    put(f"status/{POOL}/{h.name}", documents["status"][status])
    if change != "nothing":
        h.run("apply", "--detach", "--yes", "--name", "fleet-r1-1", "--confirm-timeout", "180",
              f"{h.root}/{STATE}/candidate.conf", code=0)
    if change == "confirmed":
        h.run("confirm", "fleet-r1-1", code=0)
    if change == "installed":
        h.write("etc/iommucfg.d/50-fleet.conf.new", policy("identity"))
        h.run("confirm", "fleet-r1-1", "--install", f"{h.root}/etc/iommucfg.d/50-fleet.conf", code=0)
        h.write(f"{STATE}/in-force", json.dumps(documents["in-force"]))


def is_killed(h, when):
    """The same by an agent."""
    h.preload(CRASH_AT=when)
    h.grant(put_policy(policy("identity")))
    until(lambda: h.agent.poll() is not None, message=h.output)
    assert h.agent.returncode == -signal.SIGKILL, h.output()


def goes_on(steps, boots=False):
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Agent(f"older-{boots}-{when}", machine="older")) for when in steps]
        name = put_policy(policy("identity"))
        ends = []
        for when, h in zip(steps, hosts):
            if AGENTS != BUILD:
                is_killed(h, when)
                h.programs = BUILD
            else:
                leave(h, when)
                h.grant(name)
        for when, h in zip(steps, hosts):
            # What was begun is tried once; a boot leaves what the file says.
            ends.append("done" if h.installed() or when != "2a" and not boots else "reverted")
            if boots:
                h.reboot("identity" if h.installed() else "DMA-FQ")
            h.start()
        for when, h, end in zip(steps, hosts, ends):
            h.ended(end)
            until(lambda h=h: h.journal()["phase"] == "idle", message=h.output)
            assert h.type(1) == ("identity" if end == "done" else "DMA-FQ"), (when, h.output())
            assert h.installed() == (policy("identity") if end == "done" else None), (when, h.output())
            assert not h.transactions(), when
            # And what the way back needs.
            kept = json.loads(h.read(f"{STATE}/in-force") or "{}").get("before")
            assert kept == ({"0000:01:00.0": "DMA-FQ"} if end == "done" else None), (when, kept)


def killed_at_each_step():
    goes_on(STEPS)


def killed_and_booted():
    goes_on(("3a", "4a", "5b"), boots=True)


def the_coordinator_takes_what_they_say():
    """Whoever has ended gives the slot back, others keep theirs, and who is idle gets one."""
    statuses, users = older()["status"], os.environ["FLEET_ETCD_DIR"]
    machine = statuses["idle"]["machine"]
    for phase, status in statuses.items():
        put(f"status/older/{phase}", status)
        if phase != "idle":
            put(f"grant/older/{phase}", {"rollout": "r1", "policy": "p", "machine": machine, "live": True,
                                         "attempt": 1, "confirm_timeout": 180})
    put("rollout/older/r1", {
        "id": "r1", "policy": "p", "generation": 1, "waves": ["100%"], "wave": 0, "max_changing": 3,
        "max_failures": 1, "max_lost": 1, "attempts": 1, "confirm_timeout": 180, "soak": 0,
        "state": "running", "leg_failures": 0, "leg_lost": 0, "ended": {}, "failures": [],
        "changing": [{"host": phase, "machine": machine, "attempt": 1}
                     for phase in statuses if phase != "idle"]})
    put("pool/older", {"rollout": "r1", "policy": "p", "generation": 1})
    endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
    with tempfile.TemporaryDirectory(prefix="fleet-upgrade.") as where:
        with open(f"{where}/conf", "w", encoding="ascii") as f:
            f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                    f'cert = "{users}/coordinator.crt"; key = "{users}/coordinator.key"; }};\n'
                    'pools = [ "older" ];\n')
        with open(f"{where}/out", "wb") as out:
            p = subprocess.Popen([f"{BUILD}/iommucfg-fleet", "-c", f"{where}/conf", "-v"], stdout=out,
                                 stderr=out)
        try:
            def rollout():
                return json.loads(etcdctl("get", "--print-value-only", f"{PREFIX}/rollout/older/r1"))
            until(lambda: "idle" in {slot["host"] for slot in rollout()["changing"]}, message=rollout)
            r = rollout()
            assert r["ended"] == {"done": 1} and r["state"] == "running", r
            assert {slot["host"] for slot in r["changing"]} == {"changing", "unconfirmed", "idle"}, r
            until(lambda: etcdctl("get", f"{PREFIX}/grant/older/idle"))
        finally:
            p.kill()
            p.wait()


if __name__ == "__main__":
    run([killed_at_each_step, killed_and_booted, the_coordinator_takes_what_they_say], "upgrade")
