# SPDX-License-Identifier: GPL-2.0
"""
test_whole.py DIR (below with-etcd): coordinators and command as they are built in DIR, and
agents with a kernel that is made up (host.c), at three members of etcd. Coordinators,
agents and a member are killed meanwhile. What happened is taken from etcd's own history and
from the logs of the kernels. Prints TAP.
"""
import base64
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import jsonschema

BUILD = sys.argv[1]
# Of another version, see run-upgrade.
AGENTS = os.environ.get("FLEET_AGENTS", BUILD)
COORDINATORS = os.environ.get("FLEET_COORDINATORS", BUILD)
PREFIX = "/iommucfg/v1"
HOSTS = [f"host-{i}" for i in range(8)]
SPEED = "20"
PATIENCE = 180
ETCDCTL = ["etcdctl", "--command-timeout=50s", "--dial-timeout=20s"]

POLICY = 'rules = ( {{ name = "nics"; match = {{ class = "network"; }}; type = "{0}"; required = false; }} );\n'


class Whole:
    def __init__(self, where):
        self.where = where
        users = os.environ["FLEET_ETCD_DIR"]
        endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
        for user in ("coordinator", "operator", "pool-default"):
            with open(self.conf(user), "w", encoding="ascii") as f:
                f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; '
                        f'ca = "{users}/ca.crt"; cert = "{users}/{user}.crt"; '
                        f'key = "{users}/{user}.key"; }};\n')
        self.processes = {}

    def conf(self, user):
        return f"{self.where}/{user}.conf"

    def start(self, name, *command):
        with open(f"{self.where}/{name}.out", "ab") as out:
            self.processes[name] = subprocess.Popen(command, stdout=out, stderr=out)

    def start_coordinator(self, name):
        self.start(name, f"{COORDINATORS}/iommucfg-fleet", "-c",
                   self.conf("coordinator"), "-v")

    def stop_coordinators(self):
        """They give the lead back and leave nothing behind."""
        for name in ("coordinator-0", "coordinator-1"):
            self.processes[name].terminate()
        for name in ("coordinator-0", "coordinator-1"):
            assert self.processes[name].wait(60) == 0, self.processes[name].returncode

    def start_host(self, name):
        self.start(name, f"{AGENTS}/tests/host", self.conf("pool-default"), "default", name,
                   self.where, SPEED)

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def fleet(self, *arguments):
        return subprocess.run([f"{COORDINATORS}/iommucfg-fleet-cli", "-c", self.conf("operator"),
                               *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)

    def status(self):
        """The rollout and the exit status; None while the store does not answer."""
        done = self.fleet("--json", "status")
        try:
            return json.loads(done.stdout)["rollout"], done.returncode
        except (ValueError, KeyError):
            return None, done.returncode

    def wait(self, what, meanwhile=None):
        """Until what(rollout) is true."""
        until = time.monotonic() + PATIENCE
        rollout = None
        while time.monotonic() < until:
            rollout, _ = self.status()
            if rollout and what(rollout):
                return rollout
            if meanwhile:
                meanwhile()
            time.sleep(0.3)
        raise AssertionError(f"not within {PATIENCE} s: {rollout}")

    def start_rollout(self, policy, *options):
        path = f"{self.where}/policy.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write(policy)
        return self.fleet("--yes", *options, "start", path)

    def log(self, host):
        try:
            with open(f"{self.where}/{host}.log", encoding="ascii") as f:
                return [line.split() for line in f]
        except FileNotFoundError:
            return []

    @staticmethod
    def events():
        """
        Each write below the prefix, from the first one on: key without it, value. A watch that
        was there from the beginning may have ended with its member.
        """
        last = f"{PREFIX}/last"
        subprocess.run([*ETCDCTL, "put", last, "-"], stdout=subprocess.DEVNULL, check=True)
        with subprocess.Popen([*ETCDCTL, "watch", "--prefix", PREFIX, "--rev=1", "-w", "json"],
                              stdout=subprocess.PIPE, text=True) as watch:
            patience = threading.Timer(PATIENCE, watch.kill)
            patience.start()
            try:
                for line in watch.stdout:
                    for event in json.loads(line).get("Events") or []:
                        key = base64.b64decode(event["kv"]["key"]).decode()
                        if key == last:
                            return
                        value = base64.b64decode(event["kv"].get("value", ""))
                        yield key[len(PREFIX) + 1:], value.decode()
            finally:
                patience.cancel()
                watch.kill()
        raise AssertionError("the history has no end")

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


def check_history(whole, limit):
    """What must hold at each write, from etcd's history alone."""
    slots, live, changing, begun = set(), {}, set(), set()
    for key, value in whole.events():
        kind, _, rest = key.partition("/")
        name = rest.rpartition("/")[2]
        if not value:
            continue
        if kind == "rollout":
            slots = {slot["host"] for slot in json.loads(value)["changing"]}
            assert len(slots) <= limit, f"{len(slots)} slots"
        elif kind == "grant":
            grant = json.loads(value)
            live[name] = grant["attempt"] if grant["live"] else None
        elif kind == "status" and name in HOSTS:
            status = json.loads(value)
            if status["phase"] in ("changing", "unconfirmed"):
                assert name in slots, f"{name} changes without a slot"
                assert status["phase"] != "changing" or live.get(name) == status["attempt"], \
                    f"{name} begins without a grant"
                changing.add(name)
                begun.add(name)
            else:
                changing.discard(name)
            assert len(changing) <= limit, f"{len(changing)} hosts are changing"
    assert begun == set(HOSTS), begun


def check_log(log):
    """What must hold at each step of a kernel."""
    committed, proven = set(), None
    for what, attempt in log:
        if what == "commit":
            assert attempt not in committed, f"a second commit in attempt {attempt}"
            committed.add(attempt)
            proven = None
        elif what == "proof":
            proven = attempt
        elif what == "confirm":
            assert proven == attempt, f"attempt {attempt} is confirmed without a proof"


def odd_statuses():
    """What is no status, or of no host, is left alone."""
    status = '{"machine":"m","boot":"b","attempt":%d,"phase":"idle"}'
    for name, value in (("liar", "{"), ('odd "name', status % 0), ("large", " " * 2000000),
                        ("larger", json.dumps({**json.loads(status % 2 ** 53), "later": "x" * 2000000})),
                        ("last", status % 2 ** 53)):
        subprocess.run([*ETCDCTL, "put", f"{PREFIX}/status/default/{name}"], input=value,
                       stdout=subprocess.DEVNULL, text=True, check=True)


def rollout_with_accidents(whole):
    odd_statuses()
    done = whole.start_rollout(POLICY.format("identity"), "--waves", "1,50%,100%",
                               "--max-changing", "3", "--max-failures", "8")
    assert done.returncode == 0, done.stderr
    accidents = [("coordinator-0", whole.start_coordinator)]
    dice = random.Random(7)

    def accident():
        if accidents:
            name, again = accidents.pop()
            whole.kill(name)
            again(name)
        elif dice.random() < 0.5:
            name = dice.choice(HOSTS)
            whole.kill(name)
            whole.start_host(name)

    rollout = whole.wait(lambda r: r["ended"].get("done", 0) >= 2, accident)
    os.kill(int(os.environ["FLEET_ETCD_PIDS"].split(",")[0]), signal.SIGKILL)
    accidents.append(("coordinator-1", whole.start_coordinator))
    rollout = whole.wait(lambda r: r["state"] in ("complete", "halted"), accident)
    assert rollout["state"] == "complete", rollout
    assert rollout["ended"]["done"] == len(HOSTS), rollout
    # Nothing is known of those with odd statuses.
    assert whole.status()[1] in ((0, 2) if COORDINATORS != BUILD else (2,))
    subprocess.run([*ETCDCTL, "del", f"{PREFIX}/status/default/l", f"{PREFIX}/status/default/p"],
                   stdout=subprocess.DEVNULL, check=True)
    assert whole.status()[1] == 0


def refusals(whole):
    done = whole.start_rollout(POLICY.format("fast"))
    assert done.returncode == 1 and "policy.conf:1:" in done.stderr, done.stderr
    done = whole.fleet("pause")
    assert done.returncode == 3 and "is complete" in done.stderr, done.stderr
    done = whole.fleet("start", f"{whole.where}/none.conf")
    assert done.returncode == 1, done.stderr
    done = whole.fleet("forget", "host-0")
    assert done.returncode == 3 and "--yes" in done.stderr, done.stderr


def poison(whole):
    """A policy that cuts each host off: one host has it, for as long as the timer runs."""
    before = {host: len(whole.log(host)) for host in HOSTS}
    for host in HOSTS:
        open(f"{whole.where}/{host}.cut", "w", encoding="ascii").close()
    done = whole.start_rollout(POLICY.format("DMA"), "--max-changing", "3")
    assert done.returncode == 0, done.stderr
    done = whole.start_rollout(POLICY.format("DMA-FQ"))
    assert done.returncode == 3, done
    rollout = whole.wait(lambda r: r["state"] == "halted" and not r["changing"])
    assert rollout["ended"] == {"reverted": 1}, rollout
    _, code = whole.status()
    assert code in ((3, 4) if COORDINATORS != BUILD else (3,)), code
    touched = [host for host in HOSTS if len(whole.log(host)) > before[host]]
    assert touched == [rollout["failures"][0]["host"]], touched
    what = [what for what, _ in whole.log(touched[0])[before[touched[0]]:]]
    assert what == ["commit", "revert"], what


def back_again(whole):
    for host in HOSTS:
        os.unlink(f"{whole.where}/{host}.cut")
    done = whole.fleet("--yes", "rollback")
    assert done.returncode == 0, done.stderr
    rollout = whole.wait(lambda r: r["state"] in ("complete", "halted"))
    assert rollout["state"] == "complete" and rollout["ended"] == {"nothing": len(HOSTS)}, rollout


def halt_now(whole):
    """Hosts that are not confirmed go back, and no other begins."""
    for host in HOSTS:
        open(f"{whole.where}/{host}.cut", "w", encoding="ascii").close()
    done = whole.start_rollout(POLICY.format("DMA"), "--waves", "100%", "--max-changing", "2",
                               "--confirm-timeout", "3600")
    assert done.returncode == 0, done.stderr
    whole.wait(lambda r: len(r["changing"]) == 2)
    done = whole.fleet("--now", "halt")
    assert done.returncode == 0, done.stderr
    rollout = whole.wait(lambda r: not r["changing"])
    assert rollout["state"] == "halted" and rollout["ended"].get("done", 0) == 0, rollout
    assert rollout["ended"].get("reverted", 0) <= 2, rollout


HOOK = """#!/bin/sh
# One whose drain does not go, one that hangs, one that is at work once when its coordinator is
# killed, and one that is not put back at the first time.
cd {where}
document=$(cat)
echo "$1 $2 $document" >>hooks
case $1-$2 in
before-host-3) echo "no room"; exit 1 ;;
before-host-5) sleep 60 & echo $! >late; wait ;;
before-host-1) [ -e once ] || {{ echo $$ >pid; mv pid once; while [ ! -e killed ]; do sleep 0.1; done; }} ;;
after-host-6) [ -e twice ] || {{ touch twice; exit 1; }} ;;
esac
if [ $1 = before ] && [ -e cut ]; then
	rm cut
	echo $$ >stuck
	sleep 60
fi
"""


def hooks(whole):
    for host in HOSTS:
        os.unlink(f"{whole.where}/{host}.cut")
    whole.stop_coordinators()
    hook, metrics = f"{whole.where}/hook", f"{whole.where}/fleet.prom"
    with open(hook, "w", encoding="ascii") as f:
        f.write(HOOK.format(where=whole.where))
    os.chmod(hook, 0o755)
    with open(whole.conf("coordinator"), "a", encoding="ascii") as f:
        f.write(f'hooks = {{ before = "{hook}"; after = "{hook}"; timeout = 20; }};\n'
                f'metrics = "{metrics}";\n')
    for i in range(2):
        whole.start_coordinator(f"coordinator-{i}")
    before = {host: len(whole.log(host)) for host in HOSTS}
    done = whole.start_rollout(POLICY.format("DMA-FQ"), "--waves", "100%", "--max-changing", "3")
    assert done.returncode == 0, done.stderr

    def killed_in_a_hook():
        if os.path.exists(f"{whole.where}/once") and not os.path.exists(f"{whole.where}/killed"):
            for i in range(2):
                whole.kill(f"coordinator-{i}")
            until = time.monotonic() + PATIENCE
            while runs(text_of(f"{whole.where}/once")):
                assert time.monotonic() < until, "a hook outlives its coordinator"
                time.sleep(0.1)
            for i in range(2):
                whole.start_coordinator(f"coordinator-{i}")
            with open(f"{whole.where}/killed", "w", encoding="ascii"):
                pass
    rollout = whole.wait(lambda r: r["state"] in ("complete", "halted"), killed_in_a_hook)
    assert rollout["state"] == "complete" and "hooks" not in rollout, rollout
    assert rollout["ended"] == {"done": 6, "refused": 2}, rollout
    why = {f["host"]: f["why"] for f in rollout["failures"]}
    assert why["host-3"].endswith("exit 1; no room") and set(why) == {"host-3", "host-5"}, why
    assert "not over within its time" in why["host-5"], why
    assert not runs(text_of(f"{whole.where}/late"))
    with open(f"{whole.where}/hooks", encoding="ascii") as f:
        calls = [line.split(" ", 2) for line in f]
    with open(f"{os.path.dirname(__file__)}/../schemas/fleet-hook.json", encoding="ascii") as f:
        schema = json.load(f)
    for host in HOSTS:
        own = [call for call in calls if call[1] == host]
        words = [call[0] for call in own]
        assert words[0] == "before" and words[-1] == "after", (host, words)
        # Again after the coordinators were killed, and after a failure.
        assert words.count("before") in ((2,) if host == "host-1" else (1, 2)), (host, words)
        assert words.count("after") in ((2, 3) if host == "host-6" else (1, 2)), (host, words)
        document = json.loads(own[-1][2])
        jsonschema.validate(document, schema)
        assert document["hook"] == "after" and document["host"] == host, document
        assert document["rollout"] == rollout["id"], document
        assert document["end"] == ("refused" if host in why else "done"), document
        committed = [what for what, _ in whole.log(host)[before[host]:] if what == "commit"]
        assert len(committed) == (host not in why), (host, committed)
    whole.wait(lambda r: 'rollout_state{pool="default",state="complete"} 1' in text_of(metrics))
    assert 'iommucfg_fleet_ended{pool="default",end="done"} 6\n' in text_of(metrics)
    text = text_of(metrics)
    assert 'iommucfg_fleet_lead{pool="default"} ' in text, text
    assert 'iommucfg_fleet_hosts{pool="default",phase="ended"} 8\n' in text, text
    assert 'iommucfg_fleet_slots{pool="default",state="changing"} 0\n' in text, text


def text_of(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def runs(pid):
    """Whether a process does; one that has ended may not have been waited for."""
    return text_of(f"/proc/{int(pid)}/stat").rpartition(")")[2].split()[:1] not in ([], ["Z"])


def lead_is_lost(whole):
    """The store is away for longer than the lead lasts: the hook that is at work is ended."""
    members = [int(pid) for pid in os.environ["FLEET_ETCD_PIDS"].split(",")[1:]]

    def lost():
        return sum(text_of(f"{whole.where}/coordinator-{i}.out").count("leads no longer")
                   for i in range(2))

    open(f"{whole.where}/cut", "w", encoding="ascii").close()
    done = whole.start_rollout(POLICY.format("identity"), "--waves", "100%")
    assert done.returncode == 0, done.stderr
    whole.wait(lambda r: os.path.exists(f"{whole.where}/stuck"))
    before = lost()
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + PATIENCE
        while lost() == before and time.monotonic() < until:
            time.sleep(0.3)
        assert lost() > before
        assert not runs(text_of(f"{whole.where}/stuck"))
    finally:
        for pid in members:
            os.kill(pid, signal.SIGCONT)
    whole.wait(lambda r: whole.fleet("--now", "halt").returncode == 0)
    whole.wait(lambda r: not r["changing"] and "hooks" not in r)


def coordinators_end(whole):
    whole.stop_coordinators()
    lead = subprocess.run([*ETCDCTL, "get", "--keys-only", "--prefix", f"{PREFIX}/lead/"],
                          stdout=subprocess.PIPE, text=True, check=True)
    assert not lead.stdout.strip(), lead.stdout
    assert not os.path.exists(f"{whole.where}/fleet.prom")


def history(whole):
    check_history(whole, 3)
    for host in HOSTS:
        check_log(whole.log(host))


def main():
    tests = [rollout_with_accidents, refusals, poison, back_again, halt_now, hooks, lead_is_lost,
             coordinators_end, history]
    if os.environ.get("FLEET_WITHOUT_HOOKS"):
        tests.remove(hooks)
        tests.remove(lead_is_lost)
    print(f"1..{len(tests)}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="fleet-whole.") as where:
        whole = Whole(where)
        try:
            for host in HOSTS:
                whole.start_host(host)
            for i in range(2):
                whole.start_coordinator(f"coordinator-{i}")
            for number, test in enumerate(tests, 1):
                name = test.__name__.replace("_", " ")
                try:
                    test(whole)
                    print(f"ok {number} - {name}", flush=True)
                except Exception as error:
                    failed = True
                    print(f"not ok {number} - {name}")
                    for line in f"{type(error).__name__}: {error}".splitlines():
                        print(f"# {line}")
                    sys.stdout.flush()
            if failed:
                for name in ("coordinator-0", "coordinator-1"):
                    with open(f"{where}/{name}.out", encoding="utf-8") as f:
                        print("".join(f"# {line}" for line in f.readlines()[-25:]), end="")
        finally:
            whole.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
