# SPDX-License-Identifier: GPL-2.0
"""
test_command.py DIR (below with-etcd): iommucfg-fleet-cli as it is built in DIR, at etcd. What
coordinator and hosts would write is written by the test. Exit statuses, and the documents of
--json against their schemas.
"""
import contextlib
import html.parser
import json
import os
import pty
import re
import socket
import subprocess
import tempfile
import threading

import jsonschema

from fleet import ARGUMENTS, BUILD, HERE, PREFIX, etcdctl, get, policy, put, run, until

SCHEMAS = f"{HERE}/../schemas"
SCHEMA_OF = {command: "fleet-change" for command in ("start", "rollback", "pause", "halt", "resume",
                                                     "forget", "report")}


class Fleet:
    def __init__(self, pool):
        self.pool = pool
        self.dir = tempfile.TemporaryDirectory(prefix="fleet-cli.")
        users = os.environ["FLEET_ETCD_DIR"]
        endpoints = ", ".join(f'"{e}"' for e in os.environ["FLEET_ETCD"].split(","))
        self.conf = f"{self.dir.name}/fleet.conf"
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f'store = {{ kind = "etcd"; endpoints = [ {endpoints} ]; ca = "{users}/ca.crt"; '
                    f'cert = "{users}/operator.crt"; key = "{users}/operator.key"; }};\n'
                    f'pools = [ "{pool}", "other" ];\n')
        etcdctl("del", "--prefix", f"{PREFIX}/status/{pool}/")

    def command(self, *words):
        return [f"{BUILD}/iommucfg-fleet-cli", "-c", self.conf, *map(str, words)]

    def run(self, *words, code=0, text=None):
        done = subprocess.run(self.command(*words), input=text or "", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        assert done.returncode == code, f"{words}: {done}"
        return done

    def json(self, command, *words, code=0):
        document = json.loads(self.run("--json", "--yes", command, *words, code=code).stdout)
        name = SCHEMA_OF.get(command, f"fleet-{command}")
        if document["schema"].startswith("iommucfg/fleet-error"):
            name = "fleet-error"
        self.valid(document, name)
        return document

    @staticmethod
    def valid(document, name):
        with open(f"{SCHEMAS}/{name}.json", encoding="ascii") as f:
            jsonschema.validate(document, json.load(f))

    def policy(self, text):
        path = f"{self.dir.name}/policy.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def host(self, name, **more):
        put(f"status/{self.pool}/{name}", {
            "machine": f"machine-{name}", "boot": "b", "attempt": 0, "phase": "idle",
            "agent": {"version": "1.0", "schemas": ["iommucfg/fleet-grant/1"]}, "module": "1",
            "kernel": "6.12", "labels": {"rack": "r1"}, "drift": {"groups": 0, "rules": {}},
            "problems": [], **more})

    def rollout(self):
        pool = json.loads(get(f"pool/{self.pool}"))
        return f"rollout/{self.pool}/{pool['rollout']}", \
            json.loads(get(f"rollout/{self.pool}/{pool['rollout']}"))

    def change(self, **more):
        """As the coordinator does."""
        key, document = self.rollout()
        put(key, {**document, **more})


def plan_and_start():
    f = Fleet("plan")
    path = f.policy(policy("identity"))
    assert f.json("plan", path, code=0)["hosts"] == []
    name = f.json("plan", path)["policy"]
    f.host("has", policy_in_force=name)
    f.host("drifts", policy_in_force=name, drift={"groups": 2, "rules": {"gpu": 2}})
    f.host("new")
    use = {"group": 3, "device": "0000:00:03.0", "words": "net,default-route", "what": "net eth0"}
    f.host("r2", labels={"rack": "r2"}, in_use=[{**use, "later": 1}], in_use_more=2)
    f.host("lies", policy_in_force=name, in_use=[
        7, {"group": "x"}, {"group": 1, "device": "\u001b[2J", "what": ["x"]}, *[use] * 100],
           in_use_more="x")
    f.host("old", agent={"version": "0.1", "schemas": []})
    f.host("bare", module="")
    f.host("busy", attempt=1, phase="changing", rollout="r0")
    put("status/plan/odd", "{")
    d = f.json("plan", path, code=2)
    assert {h["host"]: h["would"] for h in d["hosts"]} == {
        "has": "nothing", "lies": "nothing", "drifts": "change", "new": "change", "r2": "change", "old": "cannot",
        "bare": "cannot", "busy": "cannot", "odd": "cannot"}, d
    assert (d["change"], d["nothing"], d["cannot"]) == (3, 2, 4), d
    in_use = {h["host"]: (h["in_use"], h["in_use_more"]) for h in d["hosts"]}
    assert in_use["new"] == in_use["odd"] == (None, 0) and in_use["r2"] == ([use], 2), in_use
    lies, more = in_use["lies"]
    assert (len(lies), more) == (64, 39) and lies[0] == {
        "group": 1, "device": "?[2J", "words": "", "what": ""}, in_use
    d2 = f.json("plan", path, "--select", "rack=r2", code=2)
    assert [h["host"] for h in d2["hosts"]] == ["r2"] and d2["selector"] == "rack=r2", d2
    assert f.json("plan", path, "--select", "rack!=r2,row=1")["hosts"] == []
    text = f.run("plan", path, code=2).stdout
    assert "3 hosts would change, 2 have it, 4 cannot" in text and d["fingerprint"][:16] in text, text
    assert "in use: group 3, 0000:00:03.0: net eth0 (net,default-route)\n" in text, text
    assert text.count("in use: ") == 2 and "in use: 2 groups more\n" in text, text
    # What has changed since is refused, before and at the question.
    f.host("another")
    r = f.json("start", path, "--skip-incapable", "--fingerprint", d["fingerprint"][:16], code=3)
    assert "not what it was" in r["message"] and get("pool/plan") is None, r
    d = f.json("plan", path, "--select", "rack!=r2", code=2)
    assert "1 host with an agent" in f.json("start", path, "--select", "rack!=r2", code=3)["message"]
    r = f.json("start", path, "--select", "rack!=r2", "--fingerprint", d["fingerprint"],
               "--skip-incapable", "--settle", "135", "--allow-in-use", "net,block",
               "--why", "a\ntest")
    _, rollout = f.rollout()
    assert (rollout["settle"], rollout["allow_in_use"]) == (135, "net,block"), rollout
    assert f.json("status", code=2)["rollout"] == rollout
    assert rollout["id"] == r["rollout"] and rollout["selector"] == "rack!=r2", rollout
    (act,) = rollout["audit"]
    assert act["what"] == "start" and "@" in act["who"] and act["at"].startswith("20"), act
    # Another one while that goes on; then a wrong policy, wrong words, and nobody to ask.
    assert rollout["by"] == act["who"] and rollout["fingerprint"] == d["fingerprint"], rollout
    assert rollout["state"] == act["to"] == "planned" and "from" not in act, rollout
    message = f.json("start", path, "--skip-incapable", code=3)["message"]
    assert f"begun at {act['at']}, is planned" in message, message
    assert "policy.conf:1:" in f.json("start", f.policy("rules"), code=1)["message"]
    for odd in (b"# caf\xe9\n", b"#\0\n"):
        with open(path, "wb") as file:
            file.write(odd + policy("DMA").encode())
        assert "UTF-8" in f.json("start", path, code=1)["message"]
    for option, wrong in (("--waves", "0"), ("--settle", "136"), ("--settle", "0"),
                          ("--allow-in-use", "net,magic"), ("--allow-in-use", "")):
        f.run("start", f.policy(policy("DMA")), "--yes", option, wrong, code=1)
    f.run("plan", path, "--select", "rack", code=1)
    f.run("plan", path, "--fingerprint", "x", code=1)
    assert "--yes" in f.run("start", path, "--skip-incapable", code=3).stderr
    f.run("nonsense", code=1)
    for words in (("pause", "--max-changing", "2"), ("status", "--wait"),
                  ("plan", path, "-o", "x"), ("history", "--select", "a=b"), ("drift", "--hosts")):
        message = f.json(*words, code=1)["message"]
        assert f'"{words[0]}" does not take --' in message, message
    # What is no configuration.
    done = subprocess.run([f"{BUILD}/iommucfg-fleet-cli", "-c", path, "--json", "status"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    document = json.loads(done.stdout)
    assert done.returncode == 1 and document["pool"] is None, document
    f.valid(document, "fleet-error")
    f.run("status", "a/b", code=1)


def states():
    """Exit statuses of status, and what a person may do in each."""
    f = Fleet("states")
    d = f.json("status")
    assert d["rollout"] is None and d["hosts"] == 0, d
    assert "no rollout" in f.json("pause", code=1)["message"]
    for command in ("status", "drift"):
        assert "no pool sttaes" in f.json(command, "sttaes", code=1)["message"]
    f.host("a", drift={"groups": 1, "rules": {"gpu": 1}})
    assert f.json("status", code=2)["rollout"] is None
    f.host("a")
    f.host("b", problems=["\033[31mred"])
    first = f.json("plan", f.policy(policy("DMA")), code=2)["policy"]
    f.json("start", f.policy(policy("DMA")))
    assert f.json("status", "--hosts", code=2)["host_list"][1]["problem"] == "?[31mred"
    assert f.json("pause", "--why", "lunch \u00e9")["result"] == "done"
    assert f.json("pause")["result"] == "unchanged"
    assert f.json("status", code=2)["rollout"]["state"] == "paused"
    f.json("resume")
    # Those that have begun are to end it: what was said of the pause is not said of the halt.
    f.json("pause", "--now")
    f.json("halt")
    assert "now" not in f.json("status", code=3)["rollout"]
    f.json("halt", "--now")
    assert f.json("status", code=3)["rollout"]["now"] is True
    f.json("halt")
    assert f.json("status", code=3)["rollout"]["now"] is True
    f.json("pause", code=3)
    acts = [(a["what"], a.get("why")) for a in f.rollout()[1]["audit"]]
    assert acts == [("start", None), ("pause", "lunch ??"), ("resume", None), ("pause", "now"), ("halt", None),
                    ("halt", "now")], acts
    f.change(state="running", changing=[{"host": "a", "machine": "machine-a", "attempt": 1,
                                         "lost": True}])
    assert "a, attempt 1, silent" in f.run("status", code=5).stdout
    assert f.json("forget", "b", code=3)["result"] == "refused"
    f.json("forget", "a")
    assert f.json("forget", "a")["result"] == "unchanged"
    (slot,) = f.json("status", code=5)["rollout"]["changing"]
    assert slot["forgotten"] is True and "silent, forgotten" in f.run("status", code=5).stdout, slot
    f.change(changing=[], ended={"lost": 1}, failures=[{"host": "a", "end": "lost"}])
    # A host that waits for a hook: nothing begins before it is back, or is given up.
    f.change(state="halted", hook_serial=1,
             hooks=[{"host": "b", "machine": "machine-b", "hook": "after", "serial": 1}])
    assert "hook     b, after" in f.run("status", code=5).stdout
    assert "1 host with a slot or a hook" in f.json("start", f.policy(policy("identity")), code=3)["message"]
    f.json("forget", "b")
    rollout = f.rollout()[1]
    assert "hooks" not in rollout and rollout["ended"] == {"lost": 1}, rollout
    f.json("resume")
    assert [x.get("earlier") for x in f.rollout()[1]["failures"]] == [True]
    f.change(state="complete", ended={"done": 2}, failures=[])
    f.host("a", policy_in_force=first)
    f.host("b", policy_in_force=first)
    assert f.json("status", code=0)["in_force"] == 2
    # Over, and not everywhere; nothing to change is as good as having it.
    f.host("b")
    assert f.json("status", code=2)["in_force"] == 1
    assert "the policy: 1 of 2 hosts," in f.run("status", code=2).stdout
    ended = {"rollout": f.rollout()[1]["id"], "attempt": 1, "phase": "ended"}
    f.host("b", end="reverted", **ended)
    f.json("status", code=2)
    f.host("b", end="nothing", **ended)
    f.json("status", code=0)
    f.change(ended={"done": 1}, selector="rack=r1")
    f.host("b", labels={"rack": "r2"})
    assert "] 1 of 1\n" in f.run("status").stdout
    f.host("b", policy_in_force=first)
    f.host("b", policy_in_force=first, drift={
        "groups": 3, "rules": {"gpu": 2, "n\nic": 1, "n\tic": 2 ** 63 - 1, "n\ric": 2 ** 63 - 1}})
    f.json("status", code=2)
    assert "drift    1 host," in f.run("status", code=2).stdout
    d = f.json("drift", code=2)
    assert d["rules"] == {"gpu": 2, "n?ic": 1} and [h["host"] for h in d["hosts"]] == ["b"], d
    assert 'rule "gpu": 2 groups' in f.run("drift", code=2).stdout
    f.host("b", policy_in_force=first)
    f.json("drift", code=0)
    # Without its document there is nothing that goes on.
    f.json("start", f.policy(policy("DMA")))
    etcdctl("del", f"{PREFIX}/{f.rollout()[0]}")
    assert "does not exist" in f.json("status", code=1)["message"]
    # Back to what was there before.
    f.json("start", f.policy(policy("DMA-FQ")))
    f.change(state="complete")
    document = get(f"policy/{first}")
    etcdctl("del", f"{PREFIX}/policy/{first}")
    assert "not in the store any more" in f.json("rollback", code=3)["message"]
    put(f"policy/{first}", document)
    assert "no rollout yet" in f.json("rollback", "other", code=3)["message"]
    d = f.json("rollback")
    assert f.rollout()[1]["policy"] == first and f.rollout()[1]["waves"] == ["100%"]
    # Once more: not forward to what was withdrawn.
    f.change(state="complete")
    f.json("rollback")
    assert f.rollout()[1]["policy"] == first and json.loads(get("pool/states"))["previous"] == first
    # A start that did not come to its end has left a rollout that was never the pool's.
    left = {**f.rollout()[1], "generation": 3, "id": "g3-left", "policy": "f" * 64, "state": "planned"}
    put("rollout/states/g3-left", left)
    # To a generation, to before the first one, and to none that there was.
    f.change(state="complete")
    f.json("rollback", "--to", "3")
    second = f.rollout()[1]["policy"]
    assert second not in (first, "none"), second
    f.change(state="complete")
    assert "no generation 9" in f.json("rollback", "--to", "9", code=3)["message"]
    f.json("rollback", "--to", "0")
    assert f.rollout()[1]["policy"] == "none" and f.rollout()[1]["audit"][0]["what"] == "rollback"
    pool = json.loads(get("pool/states"))
    assert (pool["audit"][-1]["from"], pool["audit"][-1]["to"]) == (second, "none"), pool
    d = f.json("history")
    assert [r["generation"] for r in d["rollouts"] if r["id"] != "g3-left"] == [1, 3, 4, 5, 6, 7], d
    assert d["rollouts"][3]["audit"][0]["what"] == "rollback", d
    assert [a["what"] for a in d["audit"][-2:]] == ["rollback", "rollback"], d["audit"]
    assert (d["audit"][-1]["from"], d["audit"][-1]["to"]) == (second, "none"), d["audit"]
    text = f.run("history", "states").stdout
    assert text.count("generation ") == 7 and "lunch" in text, text
    assert f"from {second[:16]} to none, " in text, text


def watched_from_afar():
    """The store is not there at first, and then has what cannot be read."""
    f = Fleet("afar")
    put("pool/afar", "{")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with open(f.conf, encoding="ascii") as conf:
        text = conf.read()
    with open(f.conf, "w", encoding="ascii") as conf:
        conf.write(re.sub(r"endpoints = \[[^]]*\]", f'endpoints = [ "https://127.0.0.1:{port}" ]', text))
    p = subprocess.Popen(f.command("status", "--watch"), stderr=subprocess.PIPE, text=True)
    try:
        assert "unreachable" in p.stderr.readline()
        member = os.environ["FLEET_ETCD"].split(",")[0].rsplit(":", 1)[1]
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(1)
            threading.Thread(target=forward, args=(server, int(member), p), daemon=True).start()
            p.communicate(timeout=60)
            assert p.returncode == 1, p
    finally:
        p.kill()


def forward(server, port, process):
    """Connections to a port of this machine, until the process is over."""
    def copy(source, to):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
    while process.poll() is None:
        with contextlib.suppress(OSError):
            client = server.accept()[0]
            member = socket.create_connection(("127.0.0.1", port))
            for pair in ((client, member), (member, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()


def watched():
    f = Fleet("watched")
    f.host("a")
    f.json("start", f.policy(policy("DMA")))
    p = subprocess.Popen(f.command("--json", "status", "--watch"), stdout=subprocess.PIPE, text=True)
    assert json.loads(p.stdout.readline())["rollout"]["state"] == "planned"
    f.host("a", rollout=f.rollout()[1]["id"], attempt=1, phase="ended", end="nothing")
    f.change(ended={"done": 1}, state="complete")
    lines = p.communicate(timeout=60)[0].splitlines()
    assert json.loads(lines[-1])["rollout"]["state"] == "complete" and p.returncode == 0
    # What does not come back is not waited for.
    f.json("start", f.policy(policy("identity")))
    p = subprocess.Popen(f.command("--json", "status", "--watch"), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    etcdctl("del", f"{PREFIX}/{f.rollout()[0]}")
    try:
        assert "does not exist" in p.communicate(timeout=60)[0] and p.returncode == 1
    finally:
        p.kill()
    # The same with the start of the next one.
    p = subprocess.Popen(f.command("--yes", "start", f.policy(policy("DMA-FQ")), "--wait"),
                         stdout=subprocess.PIPE, text=True)
    until(lambda: json.loads(get("pool/watched"))["generation"] == 3)
    f.change(ended={"reverted": 1}, state="halted", reason="1 of the hosts failed",
             failures=[{"host": "a", "end": "reverted"}])
    out = p.communicate(timeout=60)[0]
    assert p.returncode == 3 and "progress [" in out and "is halted: 1 of" in out, out
    p = subprocess.Popen(f.command("--yes", "rollback", "--wait"), stdout=subprocess.PIPE, text=True)
    until(lambda: json.loads(get("pool/watched"))["generation"] == 4)
    f.change(ended={"nothing": 1}, state="complete")
    out = p.communicate(timeout=60)[0]
    assert "progress [" in out and "is complete" in out, out


def half_way():
    """The store fails in the middle of a start."""
    f = Fleet("half-way")
    f.host("a")
    f.json("start", f.policy(policy("DMA")))
    f.change(state="halted", reason="by a person")
    key, rollout = f.rollout()

    def may(verb, *words):
        etcdctl("role", verb, "operator", *words)
    path = f.policy(policy("identity"))
    may("revoke-permission", "--prefix=true", f"{PREFIX}/rollout/")
    may("grant-permission", "readwrite", f"{PREFIX}/{key}")
    try:
        f.json("start", path, code=1)
    finally:
        may("revoke-permission", f"{PREFIX}/{key}")
        may("grant-permission", "--prefix=true", "readwrite", f"{PREFIX}/rollout/")
    # It is as it was, and can go on.
    assert f.rollout() == (key, rollout), f.rollout()
    f.json("resume")
    f.json("halt")
    may("revoke-permission", "--prefix=true", f"{PREFIX}/pool/")
    try:
        message = f.json("start", path, code=1)["message"]
    finally:
        may("grant-permission", "--prefix=true", "readwrite", f"{PREFIX}/pool/")
    assert "nothing has taken its place" in message and f.rollout()[1]["state"] == "superseded", message
    assert len(f.json("history")["rollouts"]) == 1
    f.json("start", path)
    assert f.rollout()[1]["state"] == "planned" and f.rollout()[0] != key


def question():
    """Nothing is written before the answer; who answers too late is told who was first."""
    f = Fleet("question")
    f.host("a")
    mine = f.policy(policy("DMA") + "// asked\n")

    def keys(what):
        return etcdctl("get", "--prefix", "--keys-only", f"{PREFIX}/{what}/").split()
    before = keys("policy")
    f.run("start", mine, code=3)
    assert keys("policy") == before
    master, slave = pty.openpty()
    with subprocess.Popen(f.command("start", mine), stdin=slave, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as late:
        said = ""
        while "[y/N]" not in said:
            more = late.stderr.read(1)
            assert more, said
            said += more
        assert keys("policy") == before
        f.json("start", f.policy(policy("identity")))
        os.write(master, b"y\n")
        message = late.communicate(timeout=60)[1]
    os.close(master)
    os.close(slave)
    first = f.rollout()[1]
    assert late.returncode == 3, (late.returncode, message)
    assert first["id"] in message and first["state"] in message, message
    assert len(keys("rollout/question")) == 1


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def report():
    f = Fleet("report")
    for i in range(30):
        f.host(f"host-{i}")
    f.json("start", f.policy(policy("DMA")))
    _, rollout = f.rollout()
    f.host("host-3", rollout=rollout["id"], attempt=1, phase="ended", end="reverted",
           problems=["<script>alert('x')</script> & more"])
    f.host("host-4", rollout=rollout["id"], attempt=1, phase="ended", end="done")
    f.change(ended={"done": 1, "reverted": 1}, state="halted", reason="<b>1 failed", policy="<i>p",
             failures=[{"host": "host-3", "end": "reverted",
                        "why": "<script>alert('x')</script> & more"}],
             changing=[{"host": "host-5", "machine": "machine-host-5", "attempt": 1}])
    f.run("report", code=1)
    f.run("report", "-o", f"{f.dir.name}/none/x.html", code=1)
    assert f.json("report", "-o", f"{f.dir.name}/x.html")["rollout"] == rollout["id"]
    with open(f"{f.dir.name}/x.html", encoding="utf-8") as page:
        text = page.read()
    page = Page(text)
    # It needs nothing else, and nothing that a host wrote is a tag.
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and tags.count("b") == 1, tags
    assert "policy <i>p is" in page.text and tags.count("i") == len(rollout["waves"]), tags
    assert not [a for _, a in page.tags if "src" in a or "href" in a]
    fields = [a for tag, a in page.tags if tag == "span" and "title" in a]
    assert len(fields) == 30 and {a["class"] for a in fields} == {"idle", "reverted", "done",
                                                                   "changing"}, fields
    assert "<script>alert('x')</script> & more" in page.text and "<b>1 failed" in page.text
    assert [a["title"] for a in fields if a["class"] == "changing"] == ["host-5: changing"]


# The first takes rights away that the others need, the second counts all documents.
TESTS = [half_way, question, plan_and_start, states, watched, watched_from_afar, report]


if __name__ == "__main__":
    run([t for t in TESTS if not ARGUMENTS[2:] or t.__name__ in ARGUMENTS[2:]], "command", alone=2)
