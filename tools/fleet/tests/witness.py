# SPDX-License-Identifier: GPL-2.0
"""
witness.py HISTORY [NAME=ROOT]...: judges what happened in a fleet, knowing nothing of how it
is made: HISTORY is what "etcdctl watch --prefix ... --rev=1 -w json" printed, each ROOT the
tree of a host with the history that iommucfg(8) has written there.

 1  never more hosts between begin and end than the rollout allows
 2  a change is confirmed only after a proof of the same attempt
 3  no slot is taken from the write on by which a rollout is halted or paused
 4  a host's types are those of its last change that was done, or of a policy since then that had
    nothing to change, and so is its file
 5  one commit for each host and attempt
 6  a host begins by a live grant for its machine and with a slot, and attempts only grow

Prints what does not hold, one line each, and last how much was looked at. Status 1 where
something does not hold.
"""
import base64
import json
import os
import re
import sys

wrong = []
counts = {"writes": 0, "begun": 0, "proven": 0, "done": 0, "reverted": 0, "rollouts": 0}


def say(text):
    wrong.append(text)


def events(path):
    with open(path, encoding="ascii") as f:
        for line in f:
            if not line.endswith("\n"):
                return
            for event in json.loads(line).get("Events") or []:
                kv = event["kv"]
                key = base64.b64decode(kv["key"]).decode().strip("/").split("/")
                yield kv["mod_revision"], key[2:], base64.b64decode(kv.get("value", ""))


class Host:
    def __init__(self):
        self.grant, self.status = {}, {}
        self.proven, self.begun, self.has = set(), set(), []


def see_status(name, host, status, rollouts, hosts, revision):
    attempt = (status.get("rollout"), status.get("attempt"))
    phase = status.get("phase")
    if status.get("attempt", 0) < host.status.get("attempt", 0):
        say(f"6: {name}: attempt {status.get('attempt')} after {host.status.get('attempt')} "
            f"(revision {revision})")
    rollout = rollouts.get(attempt[0], {})
    if phase == "changing" and attempt not in host.begun:
        counts["begun"] += 1
        host.begun.add(attempt)
        g = host.grant
        if not g.get("live") or g.get("attempt") != attempt[1] or g.get("machine") != status["machine"]:
            say(f"6: {name} begins attempt {attempt} with the grant {g} (revision {revision})")
        if name not in {slot["host"] for slot in rollout.get("changing", [])}:
            say(f"1: {name} begins without a slot (revision {revision})")
    if phase == "unconfirmed":
        if attempt not in host.proven:
            counts["proven"] += 1
        if attempt not in host.begun:
            say(f"6: {name} proves attempt {attempt}, which has not begun (revision {revision})")
        host.proven.add(attempt)
    before = host.status.get("phase"), host.status.get("rollout"), host.status.get("attempt")
    if phase == "ended" and before != ("ended", *attempt):
        counts[status["end"]] = counts.get(status["end"], 0) + 1
        if status["end"] == "done":
            if attempt not in host.proven:
                say(f"2: {name} is done with attempt {attempt} without a proof (revision {revision})")
        if status["end"] in ("done", "nothing"):
            host.has.append(attempt)
    host.status = status
    changing = [n for n, h in hosts.items() if h.status.get("phase") in ("changing", "unconfirmed")]
    if len(changing) > max((r["max_changing"] for r in rollouts.values()), default=0):
        say(f"1: {len(changing)} hosts are changing: {changing} (revision {revision})")


def see_rollout(rollout, rollouts, revision):
    before = rollouts.get(rollout["id"])
    slots = {(s["host"], s["attempt"]) for s in rollout["changing"]}
    if len(slots) > rollout["max_changing"]:
        say(f"1: {len(slots)} slots (revision {revision})")
    if not before:
        counts["rollouts"] += 1
    elif before["state"] in ("halted", "paused") or rollout["state"] in ("halted", "paused"):
        more = slots - {(s["host"], s["attempt"]) for s in before["changing"]}
        if more:
            say(f"3: slots {more} while it is {rollout['state']} (revision {revision})")
    rollouts[rollout["id"]] = rollout


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return None


def type_of(policy):
    return re.search(r'type = "([A-Za-z-]+)"', policy)[1] if policy else None


def look_at_host(name, root, host, policies, rollouts):
    committed = {}
    for line in (read(f"{root}/var/lib/iommucfg/history") or "").splitlines():
        entry = json.loads(line)
        match = re.fullmatch(r"fleet-(.+)-([0-9]+)", entry.get("transaction") or "")
        if not match:
            continue
        attempt = (match[1], int(match[2]))
        if entry["action"] == "apply" and entry["result"] in ("unconfirmed", "committed", "restored",
                                                              "failed"):
            committed[attempt] = committed.get(attempt, 0) + 1
        if entry["action"] == "confirm" and entry["result"] == "committed" and \
           attempt not in host.proven:
            say(f"2: {name} has confirmed {attempt} without a proof")
    for attempt, count in committed.items():
        if count > 1:
            say(f"5: {count} commits of {name} in {attempt}")
        if attempt not in host.begun:
            say(f"6: {name} has committed {attempt} without having begun")
    text = policies.get(rollouts[host.has[-1][0]]["policy"]) if host.has else None
    file = read(f"{root}/etc/iommucfg.d/50-fleet.conf")
    kind = (read(f"{root}/sys/kernel/iommu_groups/1/type") or "").strip()
    if file != text:
        say(f"4: {name} has the file {file!r}, and has got last {text!r}")
    if kind != (type_of(text) or "DMA-FQ"):
        say(f"4: {name} is {kind}, and has got last {text!r}")


def main():
    hosts, rollouts, policies = {}, {}, {}
    trees = dict(word.split("=", 1) for word in sys.argv[2:])
    for revision, key, value in events(sys.argv[1]):
        counts["writes"] += 1
        if not value:
            continue
        if key[0] == "policy":
            policies[key[1]] = json.loads(value)["text"]
        elif key[0] == "rollout":
            see_rollout(json.loads(value), rollouts, revision)
        elif key[0] == "grant":
            hosts.setdefault(key[2], Host()).grant = json.loads(value)
        elif key[0] == "status":
            host = hosts.setdefault(key[2], Host())
            see_status(key[2], host, json.loads(value), rollouts, hosts, revision)
    for name, root in trees.items():
        if not os.path.isdir(root):
            say(f"there is no tree of {name}")
        look_at_host(name, root, hosts.setdefault(name, Host()), policies, rollouts)
    for line in wrong[:20]:
        print(line)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
