#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The command against the stand-in: transactions, questions, signals.

	test_kernel.py IOMMUCFG STANDIN [NAME...]
"""
import os
import re
import resource
import signal
import subprocess
import sys
import time

from harness import GPU, IOMMUCFG, Host, Skip, Terminal, main, test  # noqa: F401


@test
def apply_commits():
    with Host(True) as h:
        p = h.policy(GPU)
        d = h.json("apply", p, code=0)
        assert d["result"] == "committed" and d["transaction"].startswith("iommucfg-")
        assert h.type(1) == "identity" and h.transactions() == []
        d = h.json("apply", p, code=0)
        assert d["result"] == "nothing-to-do" and d["transaction"] is None
        assert h.json("plan", p, code=0)["result"] == "nothing-to-do"
        assert h.transactions() == []


@test
def apply_words():
    with Host(True) as h:
        r = h.run("apply", "--name", "night.1", "--detach", "--confirm-timeout", "900", h.policy(GPU),
                  code=0)
        assert r.out.splitlines()[-1] == "night.1", r
        assert h.transactions() == ["night.1"] and h.state("night.1") == "unconfirmed"
        with open(f"{h.iommu}/night.1/expected_generation") as f:
            assert f.read() == "1\n"
        with open(f"{h.iommu}/night.1/confirm_timeout") as f:
            assert f.read() == "900\n"
        for args in (["apply", h.policy(GPU)], ["set", "3", "DMA-FQ"]):
            r = h.run(*args, code=3)
            assert "night.1" in r.err and "unconfirmed" in r.err
        assert h.json("set", "3", "DMA-FQ", code=3)["result"] == "refused"
        r = h.run("plan", h.policy(GPU), code=0)
        assert "night.1" in r.err and "warning" in r.err
        assert "night.1" in h.run("assert", h.policy(GPU), code=0).err
        assert h.json("confirm", code=0)["state"] in ("committed", "gone")
        assert h.transactions() == [] and h.type(1) == "identity"
        h.run("confirm", "night.1", code=0)


@test
def apply_json_detach():
    with Host(True) as h:
        d = h.json("apply", "--detach", "--confirm-timeout", "900", h.policy(GPU), code=0)
        assert d["result"] == "unconfirmed" and h.transactions() == [d["transaction"]]
        assert h.json("rollback", code=0)["result"] == "rolled-back"
        assert h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def confirm_late():
    with Host(True) as h:
        name = h.run("apply", "--detach", "--confirm-timeout", "600", h.policy(GPU),
                     code=0).out.splitlines()[-1]
        with open(f"{h.iommu}/{name}/confirm_timeout", "w") as f:
            f.write("1\n")
        h.wait_back(name)
        # The second one finds what the first one wrote into the history.
        for _ in range(2):
            assert h.json("confirm", name, code=4)["result"] == "restored"
            assert h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def confirm_committed_still_there():
    with Host(True) as h:
        os.mkdir(f"{h.iommu}/raw")
        os.mkdir(f"{h.iommu}/raw/1")
        for path, text in (("raw/1/type", "identity\n"), ("raw/commit", "1\n")):
            with open(f"{h.iommu}/{path}", "w") as f:
                f.write(text)
        assert h.state("raw") == "committed"
        h.run("confirm", "raw", code=0)


@test
def confirm_names():
    with Host(True) as h:
        h.run("confirm", code=1)
        h.run("rollback", "../x", code=1)
        for name in ("a", "b"):
            os.mkdir(f"{h.iommu}/{name}")
        r = h.run("confirm", code=1)
        assert "2 transactions" in r.err
        h.run("confirm", "a", code=3)
        h.run("rollback", "a", code=3)
        # Nothing of it is over: somebody may be at it. What is over goes.
        h.run("rollback", "--forget", "a", code=3)
        os.mkdir(f"{h.iommu}/b/1")
        for path in ("1/type", "commit"):
            with open(f"{h.iommu}/b/{path}", "w") as f:
                f.write("identity\n" if path == "1/type" else "1\n")
        h.run("rollback", "--forget", "b", code=0)
        assert h.transactions() == ["a"] and h.type(1) == "identity"


@test
def wait_off_terminal_confirmed():
    with Host(True) as h:
        p = h.start("apply", "--confirm-timeout", "900", h.policy(GPU))
        name = h.wait_state("unconfirmed")
        h.run("confirm", name, code=0)
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0, (out, err)
        assert h.type(1) == "identity" and h.transactions() == []


@test
def wait_off_terminal_timer():
    with Host(True) as h:
        d = h.json("apply", "--confirm-timeout", "1", h.policy(GPU), code=4)
        assert d["result"] == "restored" and h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def wait_off_terminal_rolled_back():
    with Host(True) as h:
        p = h.start("apply", "--confirm-timeout", "900", h.policy(GPU))
        name = h.wait_state("unconfirmed")
        h.run("rollback", name, code=0)
        p.communicate(timeout=120)
        assert p.returncode == 4 and h.transactions() == []


@test
def wait_off_terminal_signal():
    with Host(True) as h:
        p = h.start("apply", "--confirm-timeout", "60", "--settle", "0", h.policy(GPU))
        h.wait_state("unconfirmed")
        assert "waiting" in p.stderr.readline()
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=120)
        assert p.returncode == 4 and h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def commit_errnos():
    for word, code, result, left in (("ECANCELED", 4, "restored", False), ("EIO", 5, "failed", True),
                                     ("ESTALE", 3, "refused", False), ("EBUSY", 3, "refused", False),
                                     ("ENODEV", 3, "refused", False)):
        with Host(True) as h:
            h.control("commit", f"{word}\n1 0000:01:00.0 probe ENODEV the driver did not come back\n")
            d = h.json("apply", h.policy(GPU), code=code)
            assert d["result"] == result, d
            (x,) = d["problems"]
            assert x["device"] == "0000:01:00.0" and x["errno"] == "ENODEV"
            assert bool(h.transactions()) == left, h.transactions()
            if left:
                name = h.transactions()[0]
                r = h.run("apply", h.policy(GPU), code=3)
                assert name in r.err
                h.control("commit", "")
                h.control("rollback", "EIO\n- - restore EIO still not\n")
                assert h.json("rollback", code=5)["state"] == "failed"
                h.control("rollback", "")
                h.run("rollback", name, code=0)
                assert h.transactions() == []


@test
def check_refusals():
    with Host(True) as h:
        h.control("check", "EINVAL\n1 0000:01:00.1 check EINVAL its IOMMU driver needs DMA\n")
        p = h.policy(GPU)
        d = h.json("apply", p, code=1)
        assert d["result"] == "error" and h.transactions() == []
        (x,) = d["problems"]
        assert x["rule"] == "gpu" and x["line"] == 1 and x["file"] == p
        assert h.json("plan", p, code=1)["result"] == "error"
        # By hand nothing is a policy error: the kernel refuses.
        assert h.json("set", "1", "identity", code=3)["result"] == "refused"
        # A group that cannot take the default is left as it is.
        h.control("check", "EOPNOTSUPP\n3 - check EOPNOTSUPP no deferred flush\n")
        p = h.policy(GPU + 'rules2 = 1;')
        h.run("apply", p, code=1)
        p = h.policy('rules = ( { name = "x"; match = { device = "*:00:1f.*"; }; type = "DMA-FQ"; },'
                     '{ name = "k"; match = { device = [ "0000:05:*", "0000:06:*", "*e1:00.0" ]; }; type = "DMA"; },'
                     '{ name = "p"; match = { bus = "platform"; }; type = "identity"; },'
                     '{ name = "v"; match = { driver = "nvme"; bus = "pci"; path = "0000:00:0e.0/*"; }; type = "identity"; priority = 1; }'
                     ');\ndefault = "DMA-FQ";')
        d = h.json("apply", p, code=0)
        assert [c["group"] for c in d["changes"]] == [4], d
        assert h.type(3) == "DMA" and h.type(4) == "DMA-FQ"
        assert 3 in [x["group"] for x in d["problems"]]
        # It counts as one that stays.
        assert d["unchanged"] == 10, d


@test
def required_type():
    with Host(True) as h:
        h.control("required", "0000:01:00.1 DMA\n")
        d = h.json("show", "1", code=0)["groups"][0]["devices"]
        assert [x["required_type"] for x in d] == ["any", "DMA"]
        assert h.transactions() == []
        d = h.json("plan", h.policy(GPU), code=1)
        assert d["problems"][0]["device"] == "0000:01:00.1"
        d = h.json("plan", h.policy('default = "identity";'))
        assert 1 not in [c["group"] for c in d["changes"]], d
        assert len(d["changes"]) + d["unchanged"] == 11, d
        # Each of two of one name has its own.
        h.twins()
        for g in h.json("show", "20", "21", code=0)["groups"]:
            assert {x["required_type"] for x in g["devices"]} == {"any"}, g


@test
def in_use_refused():
    with Host(True) as h:
        d = h.json("set", "2", "identity", code=3)
        assert d["result"] == "refused" and {x["kind"] for x in d["problems"]} == {"in-use"}
        assert h.json("set", "--allow-in-use", "mounted", "9", "DMA", code=0)["result"] == "committed"
        # "/" and swap
        assert h.json("set", "--allow-in-use", "net,block", "2", "identity", code=3)["result"] == "refused"
        d = h.json("set", "6", "identity", "--allow-in-use", "net,block", code=3)
        assert "4711" in d["problems"][0]["message"]
        d = h.json("set", "3", "identity", code=3)
        # 32 address bits, 8 GiB of memory: that is said, too
        assert [x["kind"] for x in d["problems"]] == ["in-use", "bounce"]
        # A yes is no word.
        d = h.json("set", "3", "identity", "--allow-in-use", "net", "--yes", code=3)
        assert [x["kind"] for x in d["problems"]] == ["default-route", "bounce"]
        # In place nothing is released, except that the way back would.
        d = h.json("set", "3", "DMA-FQ", "--confirm-timeout", "9", code=3)
        assert h.json("set", "3", "DMA-FQ", code=0)["changes"][0]["in_place"] is True
        assert h.json("set", "3", "identity", "--allow-in-use", "default-route", code=0)
        assert h.type(3) == "identity"


@test
def use_unread():
    """What cannot be read may hide a use: it takes what a use would take."""
    for name, group, short, enough in (
            ("proc/net/route", 3, ["--allow-in-use", "net", "--yes"],
             ["--allow-in-use", "net,default-route"]),
            ("sys/class/net", 3, [], ["--allow-in-use", "net,default-route"]),
            ("sys/class/net", 3, ["--allow-in-use", "net"],
             ["--allow-in-use", "net", "--confirm-timeout", "900", "--detach"]),
            ("sys/class/net/eth0/flags", 3, ["--allow-in-use", "block"],
             ["--allow-in-use", "net,default-route"]),
            ("sys/class/block", 2, ["--allow-in-use", "net,block"], None),
            ("sys/class/block/nvme0n1p2/holders", 2, [], None),
            ("sys/class/block/nvme0n1p1/dev", 2, ["--allow-in-use", "net,block"], None),
            ("sys/class/devlink", 1, ["--allow-in-use", "net"], ["--allow-in-use", "net,block"]),
            ("proc/self/mountinfo", 1, ["--allow-in-use", "net,block"], None),
            ("proc/swaps", 1, ["--allow-in-use", "net,block"], None),
            ("proc/4711/fd", 6, ["--allow-in-use", "net,block", "--yes"], None),
            ("sys/bus/pci/devices/0000:01:00.1/sriov_numvfs", 1, ["--yes"], None)):
        with Host(True) as h:
            path, before = h.unreadable(name), h.type(group)
            d = h.json("set", group, "identity", "--settle", "0", *short, code=1)
            x = [x for x in d["problems"] if x["kind"] == "system" and x["group"] == group][0]
            assert os.path.realpath(x["message"].split(": ")[1].replace(" cannot be read", "")) == \
                os.path.realpath(path), x
            assert x["errno"] in ("ENOTDIR", "EISDIR") and d["result"] == "error", d
            assert h.type(group) == before and h.transactions() == []
            p = h.policy('rules = ( { name = "a"; match = { bus = "pci"; }; type = "identity"; } );')
            dev = d["changes"][0]["devices"][0]["name"]
            h.run("apply", "--only", dev, p, "--settle", "0", *short, code=1)
            assert h.type(group) == before and h.transactions() == []
            if enough:
                r = h.run("set", group, "identity", "--settle", "0", *enough, code=0)
                assert h.type(group) == "identity" and "warning" in r.err, r


@test
def use_unread_elsewhere():
    with Host(True) as h:
        # It is about one device, and the change is of another one.
        h.unreadable("sys/class/net/eth0/flags")
        h.unreadable("sys/bus/pci/devices/0000:00:04.0/sriov_numvfs")
        assert "warning" in h.run("set", "1", "DMA", code=0).err
        # Nothing is released.
        h.run("set", "1", "DMA-FQ", code=0)
        h.unreadable("sys/class/net")
        h.run("set", "3", "DMA-FQ", code=0)
        # Who wants groups in use left out has those left out that may be.
        p = h.policy('rules = ( { name = "g"; match = { vendor = 0x10de; }; type = "DMA"; } );')
        for command in ("plan", "apply"):
            d = h.json(command, p, "--skip-in-use", code=2)
            assert [c["group"] for c in d["skipped"]] == [1] and d["changes"] == [], d
            assert any(x["group"] == 1 and "sys/class/net" in x["message"] for x in d["problems"]), d
        assert h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def few_files():
    """The module is there: however few files may be open, nobody is sent to load it."""
    if os.environ.get("VALGRIND"):
        raise Skip("valgrind has files of its own")
    with Host(True) as h:
        said = ""
        for files in range(4, 9):
            r = h.run("set", "3", "identity",
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
            assert r.code and h.type(3) == "DMA" and "not loaded" not in r.err, (files, r)
            said += r.err
        assert "Too many open files" in said and "(null)" not in said, said
        # Wherever it is that they run out, it says so.
        for files in range(4, 24):
            r = h.run("set", "1", "DMA", "--settle", "0",
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
            assert (r.code == 0 and h.type(1) == "DMA") or \
                (h.type(1) == "DMA-FQ" and "Too many open files" in r.err), (files, r)


@test
def skip_in_use():
    with Host(True) as h:
        p = h.policy('rules = ( { name = "a"; match = { driver = [ "nvme", "nvidia" ]; }; type = "DMA"; } );')
        d = h.json("apply", "--skip-in-use", p, code=2)
        assert d["result"] == "committed" and [c["group"] for c in d["changes"]] == [1]
        assert [c["group"] for c in d["skipped"]] == [2, 9] and h.type(1) == "DMA"
        d = h.json("apply", "--skip-in-use", p, code=2)
        assert d["result"] == "nothing-to-do" and h.transactions() == []
        # What only the kernel sees is left out as well.
        h.control("check", "EBUSY\n1 0000:01:00.0 check EBUSY open for 2 s\n")
        d = h.json("apply", "--skip-in-use", "--allow-in-use", "mounted",
                   h.policy('rules = ( { name = "a"; match = { driver = [ "ahci", "nvidia" ]; }; type = "identity"; } );'),
                   code=2)
        assert [c["group"] for c in d["skipped"]] == [1] and [c["group"] for c in d["changes"]] == [4]


@test
def set_targets():
    with Host(True) as h:
        d = h.json("set", "01:00.0", "DMA", "1", "DMA", code=0)
        assert [c["group"] for c in d["changes"]] == [1] and h.type(1) == "DMA"
        assert d["changes"][0]["rule"] == {"name": None, "file": None, "line": None}
        d = h.json("set", "1", "DMA", "0000:01:00.1", "identity", code=1)
        assert d["result"] == "error" and h.type(1) == "DMA"
        assert h.json("set", "99", "DMA", code=1)["result"] == "error"
        assert h.json("set", "nosuch", "DMA", code=1)["problems"][0]["kind"] == "usage"
        assert h.json("set", "8", "DMA-FQ", code=3)["result"] == "refused"
        assert h.json("set", "1", "DMA", code=0)["result"] == "nothing-to-do"
        assert h.json("set", "1", "auto", code=0)["changes"][0]["to"] == "auto"
        assert h.type(1) == "DMA-FQ"


@test
def names_collide():
    with Host(True) as h:
        os.mkdir(f"{h.iommu}/x")
        r = h.run("set", "1", "DMA", "--name", "x", code=3)
        assert "\"x\"" in r.err and "staged" in r.err
        assert h.transactions() == ["x"] and h.type(1) == "DMA-FQ"
        # The advice works, as it is, with groups and without.
        for group in (None, "1"):
            if group:
                os.mkdir(f"{h.iommu}/x")
                os.mkdir(f"{h.iommu}/x/{group}")
                r = h.run("set", "1", "DMA", "--name", "x", code=3)
            subprocess.run(["sh", "-c", re.search('"(rmdir [^"]*)"', r.err)[1]], check=True)
            assert h.transactions() == []
        os.mkdir(f"{h.iommu}/x")
        h.run("set", "1", "DMA", "--name", "a/b", code=1)
        h.run("set", "1", "DMA", "--name", "standing", code=1)
        h.run("set", "1", "DMA", "--name", "x" * 65, code=1)
        # Also where there is nothing to do: 1 counts before 0.
        d = h.json("set", "1", "DMA-FQ", "--name", "a b", code=1)
        assert [x["kind"] for x in d["problems"]] == ["usage"] and d["result"] == "error"


@test
def leftovers():
    with Host(True) as h:
        os.mkdir(f"{h.iommu}/iommucfg-4194303-1")
        os.mkdir(f"{h.iommu}/iommucfg-{os.getpid()}-1")
        r = h.run("set", "1", "DMA", code=0)
        assert "iommucfg-4194303-1" in r.err
        assert h.transactions() == [f"iommucfg-{os.getpid()}-1"]


@test
def signal_before():
    with Host(True) as h:
        t = Terminal(h.command("set", "1", "DMA"))
        t.expect(r"\[y/N\]")
        assert len(h.transactions()) == 1
        os.kill(t.pid, signal.SIGTERM)
        assert t.end() == 3 and h.transactions() == [] and h.type(1) == "DMA-FQ"
        # while the policy is still being read
        p = subprocess.Popen(h.command("apply", "-"), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # It sleeps in read() on the pipe, where its handlers are in place.
        end = time.monotonic() + 30
        while "pipe" not in open(f"/proc/{p.pid}/wchan").read() and time.monotonic() < end:
            time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        p.wait(120)
        assert p.returncode == 3, p.stderr.read()


@test
def signal_during():
    with Host(True) as h:
        h.control("hold")
        p = h.start("set", "1", "DMA")
        h.wait_state("committing")
        p.send_signal(signal.SIGINT)
        said = p.stderr.readline()
        assert "finishes" in said, said
        h.release()
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 and h.type(1) == "DMA" and h.transactions() == [], err


@test
def signal_twice():
    with Host(True) as h:
        h.control("hold")
        p = h.start("set", "1", "DMA", "--name", "slow")
        h.wait_state("committing")
        p.send_signal(signal.SIGTERM)
        said = p.stderr.readline()
        assert "finishes" in said, said
        p.send_signal(signal.SIGTERM)
        if os.environ.get("VALGRIND"):
            # valgrind itself holds standard error open in the child
            p.wait(60)
            err = p.stderr.readline()
        else:
            # Both ends of file come before the kernel is done: the child that
            # waits for it holds neither.
            err = p.communicate(timeout=60)[1]
        assert h.state("slow") == "committing"
        assert p.returncode == 128 + signal.SIGTERM and "slow" in err, err
        h.release()
        # Nothing judges it any more.
        h.expire("slow")
        assert h.type(1) == "DMA-FQ"


@test
def killed():
    with Host(True) as h:
        h.control("hold")
        p = h.start("set", "1", "DMA", "--name", "slow")
        h.wait_state("committing")
        p.kill()
        h.release()
        p.communicate()
        h.expire("slow")
        # What watches it writes that down, and removes it.
        end = time.monotonic() + 60
        while h.transactions() and time.monotonic() < end:
            time.sleep(0.05)
        (entry,) = h.json("history", code=0)["entries"]
        assert entry["result"] == "restored" and h.type(1) == "DMA-FQ", entry
    # What is final at once stays.
    with Host(True) as h:
        h.control("method", "1 in-place\n")
        h.control("hold")
        p = h.start("set", "1", "DMA", "--name", "slow")
        h.wait_state("committing")
        p.kill()
        h.release()
        p.communicate()
        h.wait_state("committed", "slow")
        assert h.type(1) == "DMA"


@test
def terminal_asks():
    with Host(True) as h:
        for answer, code, type in (("n\n", 3, "DMA-FQ"), ("\n", 3, "DMA-FQ"), ("\x04", 3, "DMA-FQ"),
                                   ("\x03", 3, "DMA-FQ"), ("y\n", 0, "DMA")):
            t = Terminal(h.command("set", "1", "DMA", "--confirm-timeout", "0"))
            t.expect(r"Change 1 group now\? \[y/N\]")
            t.send(answer)
            assert t.end() == code, (answer, t.text)
            assert h.type(1) == type and h.transactions() == []


@test
def terminal_keeps():
    with Host(True) as h:
        for answer, code, type in (("n\n", 4, "DMA-FQ"), ("\x04", 4, "DMA-FQ"), ("\x03", 4, "DMA-FQ"),
                                   ("y\n", 0, "DMA")):
            t = Terminal(h.command("set", "1", "DMA", "--yes", "--confirm-timeout", "900"))
            t.expect(r"Keep these settings\? \[y/N\] \(\d+ s\)")
            # The seconds go by.
            t.expect(r"(?s)\((\d+) s\).*\((?!\1 )\d+ s\)")
            assert h.type(1) == "DMA"
            t.send(answer)
            assert t.end() == code, (answer, t.text)
            assert h.type(1) == type and h.transactions() == []
        t = Terminal(h.command("set", "1", "identity", "--yes", "--confirm-timeout", "900", "--name", "over"))
        t.expect("Keep these")
        with open(f"{h.iommu}/over/confirm_timeout", "w") as f:
            f.write("1\n")
        assert t.end() == 4 and h.type(1) == "DMA" and h.transactions() == []
        t = Terminal(h.command("set", "1", "identity", "--yes", "--confirm-timeout", "900"))
        t.expect("Keep these")
        h.run("confirm", code=0)
        assert t.end() == 0 and h.type(1) == "identity", t.text


@test
def terminal_typed_ahead():
    with Host(True) as h:
        # Nobody has seen yet whether the machine can still be reached.
        t = Terminal(h.command("set", "1", "DMA", "--confirm-timeout", "3"))
        t.expect(r"now\? \[y/N\]")
        t.send("y\ny\n")
        assert t.end() == 4 and h.type(1) == "DMA-FQ", t.text


@test
def settle_rolls_back():
    with Host(True) as h:
        link = f"{h.root}/sys/class/net/ib0"
        target = os.readlink(link)
        h.control("hook", f"#!/bin/sh\nrm {link}\n", 0o755)
        d = h.json("set", "1", "DMA", "--settle", "1", code=4)
        (x,) = [x for x in d["problems"] if x["kind"] == "settle"]
        assert d["result"] == "restored" and x["errno"] == "ENODEV"
        assert x["group"] == 1 and x["device"] == "0000:01:00.1", x
        assert h.type(1) == "DMA-FQ" and h.transactions() == []
        os.symlink(target, link)
        # It comes a moment later, by another name. However long that moment takes.
        h.control("hook", f"#!/bin/sh\nrm {link}\n(sleep 1; ln -s {target} {link}9) >/dev/null 2>&1 &\n", 0o755)
        h.run("set", "1", "DMA", "--settle", "600", code=0)
        assert h.type(1) == "DMA"


@test
def a_driver_that_does_not_come_back():
    with Host(True) as h:
        link = os.path.realpath(f"{h.root}/sys/kernel/iommu_groups/1/devices/0000:01:00.0") + "/driver"
        h.control("hook", f"#!/bin/sh\nrm {link}\n", 0o755)
        d = h.json("set", "1", "DMA", "--settle", "1", code=4)
        (x,) = [x for x in d["problems"] if x["kind"] == "settle"]
        assert x["device"] == "0000:01:00.0" and "had driver" in x["message"], x
        assert h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def goes_back_under_running_interfaces():
    with Host(True) as h:
        # udev or a network manager has brought one up after the commit.
        h.control("net-up", "")
        link = f"{h.root}/sys/class/net/ib0"
        target = os.readlink(link)
        h.control("hook", f"#!/bin/sh\nrm {link}\n", 0o755)
        d = h.json("set", "1", "DMA", "--settle", "1", code=4)
        assert d["result"] == "restored" and h.type(1) == "DMA-FQ" and h.transactions() == []
        os.symlink(target, link)
        h.control("hook", "")
        t = Terminal(h.command("set", "1", "DMA", "--yes", "--confirm-timeout", "900"))
        t.expect("Keep these")
        t.send("n\n")
        assert t.end() == 4 and h.type(1) == "DMA-FQ" and h.transactions() == []
        # By hand as well.
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", code=0)
        h.run("rollback", code=0)
        assert h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def settle_sees_type():
    with Host(True) as h:
        h.control("hook", f"#!/bin/sh\necho DMA-FQ >{h.root}/sys/kernel/iommu_groups/1/type\n", 0o755)
        d = h.json("set", "1", "identity", "--settle", "1", code=4)
        x = d["problems"][0]
        assert "identity" in x["message"] and x["group"] == 1 and x["errno"] == "ENODEV", x


@test
def generation_stale():
    with Host(True) as h:
        # Somebody commits while the question stands.
        t = Terminal(h.command("set", "1", "DMA"))
        t.expect(r"\[y/N\]")
        os.mkdir(f"{h.iommu}/raw")
        os.mkdir(f"{h.iommu}/raw/7")
        for path, text in (("raw/7/type", "DMA\n"), ("raw/commit", "1\n")):
            with open(f"{h.iommu}/{path}", "w") as f:
                f.write(text)
        t.send("y\n")
        assert t.end() == 3 and h.type(1) == "DMA-FQ" and h.transactions() == ["raw"], t.text


@test
def generation_stale_without_a_line():
    for name in ("check", "commit"):
        with Host(True) as h:
            h.control(name, "ESTALE\n")
            d = h.json("set", "1", "DMA", code=3)
            (x,) = d["problems"]
            assert "another process changed a group meanwhile; try again" in x["message"], x
            assert x["errno"] == "ESTALE" and h.type(1) == "DMA-FQ" and h.transactions() == []


@test
def options_of_policy():
    with Host(True) as h:
        p = h.policy(GPU + "options = { confirm_timeout = 900; };")
        d = h.json("apply", "--detach", p, code=0)
        assert d["result"] == "unconfirmed"
        h.run("rollback", code=0)
        d = h.json("apply", "--detach", "--confirm-timeout", "0", p, code=0)
        assert d["result"] == "committed" and h.transactions() == []


if __name__ == "__main__":
    sys.exit(main("kernel"))
