# SPDX-License-Identifier: GPL-2.0
"""
campaign.py DIR (below with-etcd): iommucfgd on hosts with a stand-in for the kernel, and two
coordinators, at three members of etcd. For CAMPAIGN_SECONDS (25) rollouts follow each other
while agents and coordinators are killed (-9) and stopped, members are stopped, up to the loss
of quorum, and revisions are compacted; CAMPAIGN_HOSTS (8), CAMPAIGN_SEED. Then everything runs
again until the rollout has ended, and witness.py judges. Prints TAP.
"""
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from fleet import BUILD, HERE, PREFIX, TYPES, Agent, etcdctl, harness, policy, until

SECONDS = int(os.environ.get("CAMPAIGN_SECONDS", "25"))
COUNT = int(os.environ.get("CAMPAIGN_HOSTS", "8"))
SEED = int(os.environ.get("CAMPAIGN_SEED", str(int(time.time()))))
AT_ONCE = str(max(4, COUNT // 10))


class Campaign:
    def __init__(self, where, hosts):
        self.where, self.hosts = where, hosts
        self.dice = random.Random(SEED)
        self.coordinators = [None, None]
        self.members = [int(pid) for pid in os.environ["FLEET_ETCD_PIDS"].split(",")]
        self.later = []			# (when, what): what is put right again
        self.log = []
        users = os.environ["FLEET_ETCD_DIR"]
        endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
        for user in ("coordinator", "operator"):
            with open(f"{where}/{user}.conf", "w", encoding="ascii") as f:
                f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                        f'cert = "{users}/{user}.crt"; key = "{users}/{user}.key"; }};\n')
        self.history, self.watch = open(f"{where}/history", "wb+"), None
        self.follow()

    def follow(self):
        """Watches on from what was seen last: a watch may end, or hang, with its member."""
        if self.watch:
            self.watch.kill()
            self.watch.wait()
        seen = self.seen()
        with open(f"{self.where}/history", "rb+") as f:
            start = self.seek_near_end(f)
            f.truncate(start + f.read().rfind(b"\n") + 1)
        self.history.seek(0, os.SEEK_END)
        self.watch = subprocess.Popen(["etcdctl", "watch", "--prefix", f"{PREFIX}/", f"--rev={seen + 1}",
                                       "-w", "json"], stdout=self.history, stderr=subprocess.DEVNULL)

    def fleet(self, *words, timeout=None):
        return subprocess.run([f"{BUILD}/iommucfg-fleet-cli", "-c", f"{self.where}/operator.conf",
                               "--yes", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=timeout)

    def rollout(self):
        """None: the store does not answer at once, accidents go on."""
        try:
            return json.loads(self.fleet("--json", "status", timeout=1.5).stdout)["rollout"]
        except (ValueError, KeyError, subprocess.TimeoutExpired):
            return None

    def start(self, number):
        """A new rollout, each of another type than the one before it."""
        path = f"{self.where}/policy.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write(policy(TYPES[number % 3]) + f"# {number}\n")
        done = self.fleet("start", path, "--waves", "2,100%", "--max-changing", AT_ONCE,
                          "--max-failures", "1000", "--attempts", "10", "--confirm-timeout", "120")
        return not done.returncode

    def coordinator(self, i):
        if not self.coordinators[i]:
            with open(f"{self.where}/coordinator-{i}.out", "ab") as out:
                self.coordinators[i] = subprocess.Popen(
                    [f"{BUILD}/iommucfg-fleet", "-c", f"{self.where}/coordinator.conf"],
                    stdout=out, stderr=out)

    def soon(self, least, most, what):
        self.later.append((time.monotonic() + self.dice.uniform(least, most), what))

    def put_right(self, everything=False):
        now = time.monotonic()
        due = [x for x in self.later if everything or x[0] <= now]
        self.later = [x for x in self.later if x not in due]
        for _, what in due:
            what()

    def note(self, what):
        self.log.append(f"{time.monotonic():.2f} {what}")

    def accident(self):
        kind = self.dice.choices(("kill", "stop", "coordinator", "stop coordinator", "member", "quorum",
                                  "compact"), (20, 8, 6, 4, 2, 1, 2))[0]
        if kind in ("kill", "stop"):
            # Mostly one that is at something.
            busy = [h for h in self.hosts if h.journal().get("phase", "idle") != "idle"]
            h = self.dice.choice(busy if busy and self.dice.random() < 0.7 else self.hosts)
            if not h.agent or getattr(h, "stopped", False):
                return
            self.note(f"{kind} {h.name} {h.journal().get('phase')}")
            if kind == "kill":
                h.kill()
                self.soon(0, 2, h.start)
            else:
                h.stopped = True
                h.agent.send_signal(signal.SIGSTOP)
                self.soon(0.5, 4, lambda: self.go_on(h))
        elif kind in ("coordinator", "stop coordinator"):
            i = self.dice.randrange(2)
            c = self.coordinators[i]
            if not c:
                return
            self.note(f"{kind} {i}")
            if kind == "coordinator":
                c.kill()
                c.wait()
                self.coordinators[i] = None
                self.soon(0, 2, lambda: self.coordinator(i))
            else:
                c.send_signal(signal.SIGSTOP)
                self.soon(0.5, 6, lambda: c.send_signal(signal.SIGCONT))
        elif kind in ("member", "quorum"):
            pids = self.dice.sample(self.members, 1 if kind == "member" else 2)
            self.note(f"{kind} {pids}")
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
                self.soon(2, 5, lambda pid=pid: os.kill(pid, signal.SIGCONT))
        else:
            with contextlib.suppress(AssertionError, subprocess.SubprocessError, ValueError, IndexError,
                                     KeyError):
                status = json.loads(etcdctl("endpoint", "status", "-w", "json", "--command-timeout=2s"))
                revision = min(s["Status"]["header"]["revision"] for s in status)
                # What the watch that is judged by has not seen is kept.
                etcdctl("compact", str(min(revision, self.seen())), "--command-timeout=2s")
                self.note(f"compact {revision}")

    @staticmethod
    def go_on(h):
        h.stopped = False
        if h.agent:
            h.agent.send_signal(signal.SIGCONT)

    @staticmethod
    def seek_near_end(f):
        """It grows by 100 MB an hour, and the end has what is looked for: a line is far shorter."""
        return f.seek(max(0, f.seek(0, os.SEEK_END) - (8 << 20)))

    def seen(self):
        """The last revision of which the watch has the event; a header may be ahead of it."""
        with open(f"{self.where}/history", "rb") as f:
            if self.seek_near_end(f):
                f.readline()
            lines = [line for line in f if line.endswith(b"\n")]
        # A watch that ends for want of a leader says so in a line without events.
        for line in reversed(lines):
            events = json.loads(line).get("Events")
            if events:
                return max(e["kv"]["mod_revision"] for e in events)
        return 0

    def run(self):
        number, completed = 0, 0
        until(lambda: self.start(0), 60, "no rollout begins")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.put_right()
            if self.watch.poll() is not None:
                self.follow()
            self.accident()
            rollout = self.rollout()
            if rollout and rollout["state"] == "halted":
                self.fleet("resume")
            elif rollout and rollout["state"] == "complete":
                completed += 1
                number += self.start(number + 1)
            time.sleep(self.dice.uniform(0.1, 0.9))
        self.put_right(True)

        def over():
            rollout = self.rollout()
            if rollout and rollout["state"] == "halted":
                self.fleet("resume")
            return rollout and rollout["state"] == "complete" and not rollout["changing"]
        until(over, 180 + 2 * COUNT, lambda: f"the rollout does not end: {self.rollout()}\n" + self.outputs())
        for h in self.hosts:
            until(lambda h=h: h.journal().get("phase") == "idle", 60, h.output)
        return completed + 1

    def outputs(self):
        return "\n".join(f"{h.name} {h.journal()}: {h.output()[-1200:]}" for h in self.hosts
                         if h.status().get("phase") in ("changing", "unconfirmed"))

    def judge(self):
        """What the witness says, of everything up to now."""
        put = int(json.loads(etcdctl("put", "-w", "json", f"{PREFIX}/end", text="x"))["header"]["revision"])
        self.follow()

        def caught_up():
            if self.watch.poll() is not None:
                self.follow()
            return self.seen() >= put
        until(caught_up, 60 + COUNT, lambda: f"the watch is at {self.seen()} of {put}")
        return subprocess.run([sys.executable, f"{HERE}/witness.py", f"{self.where}/history",
                               *(f"{h.name}={h.root}" for h in self.hosts)], stdout=subprocess.PIPE,
                              text=True, check=False)

    def close(self):
        for c in self.coordinators:
            if c:
                c.kill()
                c.wait()
        self.watch.kill()
        self.watch.wait()
        self.history.close()


def main():
    print("1..2")
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-campaign."))
        try:
            hosts = [stack.enter_context(Agent(f"host-{i}", more="report_interval = 5;"))
                     for i in range(COUNT)]
        except harness.Skip as why:
            print(f"ok 1 - campaign # SKIP {why}\nok 2 - witness # SKIP {why}")
            return
        campaign = Campaign(where, hosts)
        stack.callback(campaign.close)
        for h in hosts:
            h.start()
        until(lambda: all(h.status() for h in hosts))
        for i in range(2):
            campaign.coordinator(i)
        code = 0
        try:
            completed = campaign.run()
            print(f"ok 1 - campaign: {completed} rollouts over {COUNT} hosts, "
                  f"{len(campaign.log)} accidents, CAMPAIGN_SEED={SEED}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            code = 1
            print(f"not ok 1 - campaign: CAMPAIGN_SEED={SEED}")
            for line in f"{type(error).__name__}: {error}".splitlines() + campaign.log[-40:]:
                print(f"# {line}")
            campaign.put_right(True)
        done = campaign.judge()
        code |= done.returncode
        print(f"{'not ' if done.returncode else ''}ok 2 - witness: {done.stdout.splitlines()[-1]}")
        for line in done.stdout.splitlines()[:-1]:
            print(f"# {line}")
        if os.environ.get("CAMPAIGN_KEEP"):
            subprocess.run(["cp", "-r", where, os.environ["CAMPAIGN_KEEP"]], check=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
