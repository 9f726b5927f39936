#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is told of a transaction, more time for one, undo, clean, and late confirmations.

	test_manners.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import re
import subprocess
import sys

import jsonschema

from harness import Host, IOMMUCFG, Terminal, main, schema, test


def by_hand(h, name, group=None, kind="DMA"):
    os.mkdir(f"{h.iommu}/{name}")
    if group is not None:
        os.mkdir(f"{h.iommu}/{name}/{group}")
        with open(f"{h.iommu}/{name}/{group}/type", "w") as f:
            f.write(f"{kind}\n")


def act(h, name, action):
    with open(f"{h.iommu}/{name}/{action}", "w") as f:
        f.write("1\n")


def unconfirmed(h, name="a", group=1, kind="DMA", seconds=900):
    h.run("set", group, kind, "--confirm-timeout", seconds, "--detach", "--name", name, code=0)


def new_boot(h, name="2"):
    os.makedirs(f"{h.root}/proc/sys/kernel/random", exist_ok=True)
    with open(f"{h.root}/proc/sys/kernel/random/boot_id", "w") as f:
        f.write(f"{name}\n")


@test
def names_of_transactions():
    with Host(True) as h:
        for name in ("abi", "generation", "standing", "..", "a/b", "", "x" * 65):
            for args in (["set", "1", "DMA"], ["set", "-n", "1", "DMA"], ["set", "1", h.type(1)]):
                r = h.run(*args, f"--name={name}", code=1)
                assert "cannot name a transaction" in r.err, (name, args, r)
        # Not even a lock was taken.
        assert h.read("run/iommucfg/change.lock") is None and h.transactions() == []
        r = h.json("set", "1", "DMA", "--name", "abi", code=1)
        assert [p["kind"] for p in r["problems"]] == ["usage"], r
        for name in ("-x", ".x"):
            h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", name, code=0)
            d = h.json("status", code=0)
            assert [t["name"] for t in d["transactions"]] == [name], d
            assert name in h.run("set", "1", "identity", code=3).err
            h.run("rollback", "--", name, code=0)


@test
def output_files():
    with Host() as h:
        for args in (["save"], ["metrics"], ["dump"]):
            r = h.run(*args, "-o", "", code=1)
            assert "-o takes the name of a file" in r.err and r.out == "", r
        for command in ("save", "metrics"):
            texts = [h.run(command, *args, code=0, cwd=h.dir).out for args in (["-o", "-"], [])]
            # The first line has the time.
            a, b = (t.split("\n", 1)[1] for t in texts)
            assert a == b and len(a) > 100, texts
        r = h.run("dump", "-o", "-", code=1, cwd=h.dir)
        assert "dump -o takes the name of a file" in r.err and r.out == "", r
        assert not os.path.exists(f"{h.dir}/-")


@test
def one_second():
    with Host(True) as h:
        assert "within 1 second it goes" in h.run("plan", "--confirm-timeout", "1",
                                                  h.policy('default = "DMA";'), code=2).out
        unconfirmed(h)
        assert "in 1 second, unless" in h.run("extend", "a", "1", code=0).err


@test
def told_by_status():
    with Host(True) as h:
        unconfirmed(h)
        by_hand(h, "b", 2)
        a, b = h.json("status", code=0)["transactions"]
        assert 880 < a["remaining"] <= 900 and a["age"] < 100, a
        assert a["creator"]["uid"] == 0 and a["creator"]["command"][0] == IOMMUCFG, a
        assert a["creator"]["command"][-2:] == ["--name", "a"] and a["creator"]["pid"] > 1
        assert a["progress"]["total"] > 0 and a["progress"]["done"] == a["progress"]["total"], a
        assert b["remaining"] == 0 and b["creator"] is None, b
        r = h.run("status", "a", code=0)
        assert re.search(r"unconfirmed +(8\d\d|900) s", r.out), r
        r = h.run("status", "--raw", "--noheadings", "-o", "NAME,PID,UID,PROGRESS,REMAINING",
                  code=0)
        rows = [line.split(" ") for line in r.out.splitlines()]
        assert rows[0][:4] == ["a", str(a["creator"]["pid"]), "0", "{done}/{total}".format(
            **a["progress"])], rows
        assert rows[1][1:3] == ["-", "-"] and rows[1][4] == "-", rows
        # The file goes with the transaction.
        assert os.listdir(f"{h.root}/run/iommucfg/txn") == ["a"]
        h.run("confirm", "a", code=0)
        assert os.listdir(f"{h.root}/run/iommucfg/txn") == []
    # A module that does not say.
    with Host(True) as h:
        h.control("no-disruption", "")
        unconfirmed(h)
        assert h.json("status", code=0)["transactions"][0]["remaining"] is None


@test
def told_by_refusals():
    with Host(True) as h:
        unconfirmed(h)
        for command in ("set", "2", "DMA"), ("undo", "1"):
            d = h.json(*command, code=3)
            (p,) = [x for x in d["problems"] if x["kind"] == "transaction"]
            assert re.search(r"made \d+ s ago by \".*set 1 DMA", p["message"]), p
            assert re.search(r"goes back by itself in [89]\d\d s", p["message"]), p
            assert "iommucfg confirm a" in p["message"] and "iommucfg rollback a" in p["message"]


@test
def extended():
    with Host(True) as h:
        unconfirmed(h, seconds=60)
        d = h.json("extend", "a", 7200, code=0)
        assert d["result"] == "unconfirmed" and d["state"] == "unconfirmed", d
        assert 7000 < d["remaining"] <= 7200, d
        for word in "0", "604801", "x", "-1", "1.5", "":
            h.run("extend", "--", "a", word, code=1)
        h.run("extend", "a", code=1)
        h.run("extend", "b", "10", code=1)
        h.run("confirm", "a", code=0)
        # Its end is known though it is gone.
        d = h.json("extend", "a", 10, code=3)
        assert d["result"] == "refused" and d["remaining"] is None, d
        h.run("set", "1", "identity", "--confirm-timeout", "900", "--detach", "--name", "b", code=0)
        h.run("rollback", "b", code=0)
        assert h.json("extend", "b", 10, code=4)["result"] == "restored"
        # In another boot nobody knows it.
        new_boot(h)
        h.run("extend", "a", "10", code=1)
        by_hand(h, "c", 2)
        h.json("extend", "c", 10, code=3)
        act(h, "c", "commit")
        assert "nothing counts down" in h.run("extend", "c", "10", code=3).err
        act(h, "c", "rollback")
        h.run("extend", "c", "10", code=4)


@test
def extended_meanwhile():
    """What is shown is the kernel's clock."""
    with Host(True) as h:
        t = Terminal(h.command("set", "1", "DMA", "--confirm-timeout", "60", "--yes", "--name", "a"))
        t.expect(r"Keep these settings\? \[y/N\] \((60|5\d) s\)")
        h.run("extend", "a", "5000", code=0)
        t.expect(r"\((5000|49\d\d) s\)")
        t.send("y\n")
        assert t.end() == 0 and h.type(1) == "DMA"


@test
def late_confirmations():
    with Host(True) as h:
        unconfirmed(h)
        h.run("confirm", "a", code=0)
        for _ in range(2):
            d = h.json("confirm", "a", code=0)
            assert (d["result"], d["state"], d["transaction"]) == ("committed", "gone", "a"), d
        unconfirmed(h, kind="identity")
        h.run("rollback", "a", code=0)
        # The newest of that name counts.
        assert h.json("confirm", "a", code=4)["result"] == "restored"
        h.json("confirm", "b", code=1)
        new_boot(h)
        h.json("confirm", "a", code=1)
        by_hand(h, "c", 2)
        h.json("confirm", "c", code=3)
        by_hand(h, "d", 3)
        with open(f"{h.iommu}/d/confirm_timeout", "w") as f:
            f.write("600\n")
        with open(f"{h.iommu}/d/commit", "w") as f:
            f.write("1\n")
        with open(f"{h.iommu}/d/confirm_timeout", "w") as f:
            f.write("1\n")
        h.wait_back("d")
        for _ in range(2):
            assert h.json("confirm", "d", code=4)["result"] == "restored"


@test
def entries_are_told():
    with Host(True) as h:
        d = h.json("set", "1", "DMA", code=0)
        assert d["entry"] == 1
        r = h.run("set", "1", "identity", code=0)
        assert "(entry 2)" in r.err, r
        assert "entry" not in h.run("set", "1", "identity", code=0).err
        assert h.json("set", "1", "identity", code=0)["entry"] is None
        unconfirmed(h, kind="DMA")
        r = h.run("confirm", "a", code=0)
        assert "(entry 4)" in r.err, r


@test
def undo_goes_further_back():
    with Host(True) as h:
        for kind in "DMA", "identity", "DMA":
            h.run("set", "1", kind, code=0)
        d = h.json("undo", code=0)
        assert d["result"] == "committed" and d["entry"] == 4 and h.type(1) == "identity", d
        r = h.run("undo", code=0)
        assert "entry 2" in r.err and "(entry 5)" in r.err and h.type(1) == "DMA", r
        h.run("undo", code=0)
        assert h.type(1) == "DMA-FQ"
        d = h.json("undo", code=0)
        assert d["result"] == "nothing-to-do" and d["entry"] is None and h.type(1) == "DMA-FQ", d
        e = h.json("history", code=0)["entries"]
        assert [x["undoes"] for x in e] == [None, None, None, 3, 2, 1], e
        assert [x["action"] for x in e[3:]] == ["undo"] * 3
        # A new change is the next to go.
        h.run("set", "1", "identity", code=0)
        assert h.json("undo", code=0)["changes"][0]["to"] == "DMA-FQ"


@test
def undo_of_one_entry():
    with Host(True) as h:
        h.run("set", "1", "DMA", "5", "identity", code=0)
        h.run("set", "1", "identity", code=0)
        d = h.json("undo", "1", code=3)
        (p,) = d["problems"]
        assert "entry 2" in p["message"] and "iommucfg undo 2" in p["message"], p
        assert h.type(1) == "identity"
        h.json("undo", "2", code=0)
        d = h.json("undo", "1", code=0)
        assert sorted(c["group"] for c in d["changes"]) == [1, 5], d
        assert h.json("undo", "1", code=0)["result"] == "nothing-to-do"
        h.json("undo", "99", code=1)
        for word in "0", "x", "-1":
            h.run("undo", "--", word, code=1)
        # An undo is undone by its number, the last one first.
        h.json("undo", "4", code=3)
        h.json("undo", "5", code=0)
        assert h.type(1) == "DMA"
        h.json("undo", "1", code=0)
        assert h.type(1) == "DMA-FQ"


@test
def undo_leaves_what_others_changed():
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        h.run("set", "5", "identity", code=0)
        # Somebody else took the second one back.
        by_hand(h, "x", 5, "DMA")
        act(h, "x", "commit")
        assert h.type(5) == "DMA"
        d = h.json("undo", code=0)
        assert [c["group"] for c in d["changes"]] == [1], d


@test
def nothing_to_undo():
    with Host(True) as h:
        for again in False, True:
            for args in [("undo",), ("undo", "1")] if again else [("undo",)]:
                for dry in [], ["-n"]:
                    r = h.run(*args, *dry, code=0)
                    assert "error" not in r.err, r
                    assert "there is nothing to undo" in r.err or len(args) == 2, r
                    assert "entry 1 is undone already" in r.err or len(args) == 1, r
                    d = h.json(*args, *dry, code=0)
                    assert d["result"] == "nothing-to-do" and not d["changes"], (args, dry, d)
                    assert d["entry"] is None and not d["problems"], (args, dry, d)
            if not again:
                h.run("set", "1", "DMA", code=0)
                assert h.json("undo", "-n", code=2)["result"] == "planned"
                h.run("undo", code=0)
        # With its undo undone it is in force again.
        h.run("undo", "2", code=0)
        h.run("undo", "1", "-n", code=2)
        # What is refused has changed nothing.
        h.run("set", "5", "identity", "--disruption", "none", code=3)
        r = h.run("undo", "4", "-n", code=0)
        assert "entry 4 has changed nothing that could be undone" in r.err, r


@test
def undo_of_what_is_unconfirmed():
    with Host(True) as h:
        unconfirmed(h)
        d = h.json("undo", code=0)
        assert d["result"] == "rolled-back" and d["transaction"] == "a", d
        assert h.type(1) == "DMA-FQ" and not h.transactions()
        assert d["entry"] == 2
        # It was taken back, and a rollback is no change to take back.
        assert h.json("undo", code=0)["result"] == "nothing-to-do"
        assert h.json("undo", "1", code=0)["result"] == "nothing-to-do"


@test
def cleaned():
    with Host(True) as h:
        d = h.json("clean", code=0)
        assert d["result"] == "nothing-to-do" and d["removed"] == []
        unconfirmed(h)
        by_hand(h, "new", 2)
        by_hand(h, "back", 3, "identity")
        act(h, "back", "commit")
        act(h, "back", "rollback")
        d = h.json("clean", code=0)
        assert d["removed"] == [{"name": "back", "state": "rolled-back"}], d
        assert h.transactions() == ["a", "new"]
        d = h.json("clean", "a", code=3)
        assert d["result"] == "refused" and "iommucfg confirm a" in d["problems"][0]["message"], d
        # Of a refusal and a document that cannot be written the worse one counts.
        with open("/dev/full", "w") as full:
            p = subprocess.run(h.command("clean", "--json", "a"), stdout=full,
                               stderr=subprocess.DEVNULL)
        assert p.returncode == 1, p
        h.json("clean", "nobody", code=1)
        assert h.json("clean", "new", code=0)["removed"] == [{"name": "new", "state": "staged"}]
        by_hand(h, "done", 3, "identity")
        act(h, "done", "commit")
        r = h.run("clean", "done", code=0)
        assert "cannot undo it" in r.err and h.type(3) == "identity", r
        assert h.transactions() == ["a"]
        h.control("rollback", "EIO\n1 0000:01:00.0 restore ENODEV no\n")
        h.run("rollback", "a", code=5)
        assert "iommucfg rollback a" in h.run("clean", "a", code=3).err
        assert h.run("clean", code=0) and h.transactions() == ["a"]


@test
def not_at_work():
    """What a process is at work with stays."""
    with Host(True) as h:
        h.control("hold")
        p = h.start("set", "1", "DMA", "--name", "a")
        h.wait_state("committing", "a")
        h.json("clean", "a", code=3)
        assert h.json("clean", code=0)["removed"] == []
        h.release()
        assert p.wait(120) == 0


@test
def monitored():
    with Host(True) as h:
        unconfirmed(h, "old")
        p = h.start("monitor", "--json")

        def event():
            d = json.loads(p.stdout.readline())
            jsonschema.validate(d, schema("monitor"))
            return d["event"], d["transaction"]
        try:
            assert event() == ("unconfirmed", "old")
            h.run("set", "5", "identity", code=3)
            assert event() == ("refused", None)
            h.run("confirm", "old", code=0)
            assert event() == ("committed", "old")
            unconfirmed(h, "new", kind="identity", seconds=600)
            assert event() == ("unconfirmed", "new")
            h.run("extend", "new", "20", code=0)
            assert event() == ("deadline", "new")
            h.run("rollback", "new", code=0)
            assert event() == ("undone", "new")
        finally:
            p.terminate()
            p.wait(60)
            p.stdout.close()


@test
def usage_errors():
    """A document as well, of the command's own shape."""
    with Host(True) as h:
        for args in (["show", "--nonsense"], ["status", "a", "b"], ["history", "x"],
                     ["standing", "--nonsense"], ["check", "--nonsense"], ["save", "--nonsense"],
                     ["metrics", "x"], ["dump", "x"], ["confirm", "a", "b"], ["rollback", "a", "b"],
                     ["extend", "a"], ["clean", "a", "b"], ["plan", "--nonsense"],
                     ["assert", "--settle", "x"], ["apply", "--confirm-timeout", "x"],
                     ["set", "1"], ["undo", "x"]):
            d = h.json(*args, code=1)
            assert [(p["kind"], p["code"], p["severity"]) for p in d["problems"]] == [
                ("usage", "usage", "error")], d
            assert d.get("result", "error") == "error"
        r = h.run("rollback", "--to", "x", "--json", code=1)
        jsonschema.validate(json.loads(r.out), schema("rollback"))
        for args in (["nonsense", "--json"], ["--json", "nonsense"], ["--nonsense", "--json"]):
            r = h.run(*args, code=1)
            d = json.loads(r.out)
            jsonschema.validate(d, schema("usage"))
            assert r.err.count(d["problems"][0]["message"]) == 1, r
        assert h.run("history", "x", code=1).out == ""
        # A word after "--" is no option.
        assert h.run("confirm", "--", "--json", "x", code=1).out == ""


@test
def metrics():
    with Host(True) as h:
        unconfirmed(h)
        out = h.run("metrics", code=0).out
        lines = out.splitlines()
        assert out.endswith("\n") and all(re.fullmatch(
            r'# (HELP|TYPE) iommucfg_[a-z_]+ .*|iommucfg_[a-z_]+(\{[a-z]+="[^"\\]*"\})? -?\d+', x)
            for x in lines), out
        values = dict(x.rsplit(" ", 1) for x in lines if x[0] != "#")
        kinds = [open(f"{h.root}/sys/kernel/iommu_groups/{g}/type").read().strip()
                 for g in os.listdir(f"{h.root}/sys/kernel/iommu_groups")]
        assert values['iommucfg_groups{type="DMA-FQ"}'] == str(kinds.count("DMA-FQ")), out
        assert values['iommucfg_groups{type="blocked"}'] == "1"
        assert values['iommucfg_transactions{state="unconfirmed"}'] == "1"
        assert values['iommucfg_transactions{state="failed"}'] == "0"
        assert 880 < int(values['iommucfg_transaction_remaining_seconds{name="a"}']) <= 900
        # All of a metric stand together, once.
        names = [re.split("[ {]", x)[0] for x in lines if x[0] != "#"]
        assert len([1 for i, x in enumerate(names) if i == 0 or names[i - 1] != x]) == len(set(names))
        path = f"{h.dir}/iommucfg.prom"
        assert h.run("metrics", "-o", path, code=0).out == ""
        with open(path) as f:
            assert f.read().splitlines()[0] == lines[0]
        assert os.stat(path).st_mode & 0o777 == 0o644
        d = h.json("metrics", code=0)
        assert {"name": "iommucfg_module_loaded", "labels": {}, "value": 1} in d["metrics"]
        h.json("metrics", "-o", f"{h.dir}/none/x", code=1)
    with Host() as h:
        assert "iommucfg_module_loaded 0" in h.run("metrics", code=0).out


@test
def problems_for_programs():
    """Severity, a stable code, a line that helps; the worst come first."""
    with Host(True) as h:
        unconfirmed(h)
        d = h.json("set", "2", "DMA", code=3)
        (p,) = [x for x in d["problems"] if x["code"] == "transaction-unconfirmed"]
        assert p["severity"] == "refused" and p["fix"] == "iommucfg confirm a", p
        order = ["error", "refused", "warning"]
        ranks = [order.index(x["severity"]) for x in d["problems"]]
        assert ranks == sorted(ranks), d["problems"]
        d = h.json("plan", h.policy('rules = (); default = "keep";'))
        assert [(x["severity"], x["code"]) for x in d["problems"] if x["kind"] == "transaction"] \
            == [("warning", "transaction-unconfirmed")], d
    with Host() as h:
        d = h.json("set", "1", "DMA", code=1)
        assert ("error", "no-module", "modprobe iommu-configfs") in [
            (x["severity"], x["code"], x["fix"]) for x in d["problems"]], d
        # Warnings do not come before what they are about.
        d = h.json("plan", h.policy('rules = ({ name = "a"; match = { bus = "pci"; }; '
                                    'type = "identity"; });'))
        assert len({x["severity"] for x in d["problems"]}) > 1, d
        ranks = [order.index(x["severity"]) for x in d["problems"]]
        assert ranks == sorted(ranks), d["problems"]


@test
def devices_for_programs():
    with Host() as h:
        groups = {g["group"]: g for g in h.json("show", code=0)["groups"]}
        (gpu,) = [x for x in groups[1]["devices"] if x["name"] == "0000:01:00.0"]
        assert (gpu["vendor"], gpu["device_id"], gpu["class"], gpu["removable"]) == (
            0x10de, 0x2330, "030200", False), gpu
        (smmu,) = groups[7]["devices"]
        assert smmu["vendor"] is None and smmu["class"] is None
        (nic,) = groups[3]["devices"]
        assert (nic["in_use"][0]["word"], nic["in_use"][0]["default_route"]) == (
            "default-route", True), nic
        assert groups[6]["devices"][0]["in_use"][0]["word"] is None
        assert (nic["interfaces"], nic["disks"], nic["untrusted"]) == (["eth0"], [], None), nic
        assert groups[2]["devices"][0]["disks"][0] == "nvme0n1", groups[2]
        assert groups[5]["devices"][0]["untrusted"] is True
        (c,) = h.json("set", "5", "identity", "-n", code=2)["changes"]
        assert c["devices"][0]["untrusted"] is True and c["method"] is None, c


@test
def methods_for_programs():
    with Host(True) as h:
        h.control("method", "1 pause\n3 in-place\n")
        for command in (("set", "-n", "1", "identity", "5", "DMA-FQ"), ("set", "1", "identity", "5", "DMA-FQ")):
            d = h.json(*command)
            assert [(c["group"], c["method"]) for c in d["changes"]] == [(1, "pause"), (5, "in-place")], d
        h.control("no-disruption", "")
        (c,) = h.json("set", "1", "DMA", code=0)["changes"]
        assert c["method"] is None, c


if __name__ == "__main__":
    sys.exit(main("manners"))
