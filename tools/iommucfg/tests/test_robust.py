#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What fails halfway, is killed, or is in the way.

	test_robust.py IOMMUCFG STANDIN [NAME...]
"""
import fcntl
import json
import os
import subprocess
import sys
import time

import mktree
from harness import GPU, Host, Terminal, main, test


def dead_pid():
    """A process that is over."""
    with subprocess.Popen(["true"]) as p:
        pass
    return p.pid


def stage(h, name, group, kind):
    """A transaction as somebody makes it by hand."""
    os.mkdir(f"{h.iommu}/{name}")
    os.mkdir(f"{h.iommu}/{name}/{group}")
    with open(f"{h.iommu}/{name}/{group}/type", "w") as f:
        f.write(f"{kind}\n")


@test
def unreadable_state_is_not_gone():
    with Host(True) as h:
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        h.control("state-error", "EIO\n")
        # What is there may have to be decided about first.
        r = h.run("set", "1", "identity", code=3)
        assert "cannot be read" in r.err and h.type(1) == "DMA", r
        assert h.json("status", "a", code=0)["transactions"][0]["state"] == "unknown"
        os.unlink(f"{h.root}/control/state-error")
        assert h.state("a") == "unconfirmed"
        # Nor is a rollback done that failed.
        h.control("rollback", "EBUSY\n1 - check EBUSY no\n")
        h.control("state-error", "EACCES\n")
        d = h.json("rollback", "a", code=5)
        assert d["state"] == "unknown" and d["result"] == "failed", d
        assert h.type(1) == "DMA" and "a" in h.transactions()


@test
def unreadable_state_after_the_commit():
    with Host(True) as h:
        h.control("hook", f"#!/bin/sh\necho EIO >{h.root}/control/state-error\n", 0o755)
        d = h.json("set", "1", "DMA", code=5)
        assert d["result"] == "failed" and h.type(1) == "DMA", d
        assert sum("whether its change stands is not known" in p["message"] for p in d["problems"]) == 1
        # Nothing that could undo it was removed.
        os.unlink(f"{h.root}/control/state-error")
        assert [h.state(n) for n in h.transactions()] == ["unconfirmed"]
    # A moment's want of memory is no reason for more than a moment's wait.
    with Host(True) as h:
        h.control("hook", f"#!/bin/sh\ncd {h.root}/control\necho ENOMEM >state-error\n"
                  "(sleep 1; rm state-error) >/dev/null 2>&1 &\n", 0o755)
        assert h.json("set", "1", "DMA", code=0)["result"] == "committed"


@test
def removed_is_gone():
    with Host(True) as h:
        p = h.start("set", "1", "DMA", "--confirm-timeout", "900", "--name", "a")
        h.wait_state("unconfirmed", "a")
        h.run("confirm", "a", code=0)
        assert p.wait(120) == 0 and h.type(1) == "DMA"


@test
def rollback_in_the_way():
    with Host(True) as h:
        h.control("net-up", "")
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        # Not a disk: that is said, and nothing is touched.
        h.control("disk-up", "1 0000:01:00.0 check EBUSY nvme9n1 is mounted on /srv\n")
        d = h.json("rollback", "a", code=5)
        assert any("nvme9n1 is mounted" in p["message"] for p in d["problems"]), d
        assert any("iommucfg rollback a" in p["message"] for p in d["problems"]), d
        assert h.state("a") == "unconfirmed" and h.type(1) == "DMA"
        with open(f"{h.iommu}/a/allow_in_use") as f:
            assert f.read().split() == ["net", "other"]
        assert "by name --allow-in-use alone" in h.run("rollback", "a", "--yes", code=1).err
        h.run("rollback", "a", "--allow-in-use", "block", code=0)
        assert h.type(1) == "DMA-FQ" and h.transactions() == []
    # A module that has no "other" takes "net" all the same, and a word that is there stays.
    with Host(True) as h:
        h.control("no-disruption", "")
        h.control("net-up", "")
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        with open(f"{h.iommu}/a/allow_in_use", "w") as f:
            f.write("block\n")
        h.control("disk-up", "1 0000:01:00.0 check EBUSY nvme9n1 is mounted on /srv\n")
        h.run("rollback", "a", code=0)


@test
def names_with_blanks():
    for raw in (False, True):
        with Host(True) as h:
            if raw:
                h.control("raw-drivers", "")
            h.control("drivers", "0000:01:00.1 a driver of DMA things\n0000:01:00.0 b any\n")
            h.control("required", "0000:01:00.1 DMA\n")
            h.run("set", "1", "DMA", code=0)
            with open(f"{h.iommu}/abi") as f:
                assert f.read() == "1\n"
            d = h.json("show", "1", code=0)
            assert {x["name"]: x["required_type"] for x in d["groups"][0]["devices"]} == {
                "0000:01:00.0": "any", "0000:01:00.1": "DMA"}, (raw, d)
            os.mkdir(f"{h.iommu}/x")
            os.mkdir(f"{h.iommu}/x/1")
            with open(f"{h.iommu}/x/1/devices") as f:
                assert ("a\\040driver\\040of\\040DMA\\040things DMA\n" in f.read()) != raw


@test
def open_mask():
    with Host(True) as h:
        for d in ("etc", "proc/sys/kernel/random", "dev"):
            os.makedirs(f"{h.root}/{d}", exist_ok=True)
        with open(f"{h.root}/etc/iommucfg.conf", "w") as f:
            f.write(GPU)
        # One version wrote this so.
        os.makedirs(f"{h.root}/run/iommucfg")
        with open(f"{h.root}/run/iommucfg/policy.conf", "w") as f:
            f.write("rules = ( );")
        os.chmod(f"{h.root}/run/iommucfg/policy.conf", 0o666)
        h.run("apply", "--boot", code=0, umask=0)
        h.run("set", "1", "DMA", code=0, umask=0)
        h.run("save", "-o", f"{h.dir}/saved.conf", code=0, umask=0)
        files = [f"{h.dir}/saved.conf"]
        for d in ("var/lib/iommucfg", "run/iommucfg"):
            for at, dirs, names in os.walk(f"{h.root}/{d}"):
                files += [at] + [f"{at}/{n}" for n in dirs + names]
        names = {os.path.basename(f) for f in files}
        assert {"boot", "history", "policy.conf", "change.lock", "history.lock"} <= names, names
        for path in files:
            assert not os.stat(path).st_mode & 0o022, (path, oct(os.stat(path).st_mode))


@test
def locks_are_for_root():
    with Host(True) as h:
        os.makedirs(f"{h.root}/var/lib/iommucfg")
        stage(h, f"iommucfg-{dead_pid()}-1", 7, "DMA")
        # What anybody can open, anybody can lock.
        held = []
        for path in (f"{h.root}/var/lib/iommucfg", f"{h.iommu}/{h.transactions()[0]}"):
            held.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
        r = h.run("set", "1", "DMA", code=0)
        assert "not in the history" not in r.err and "removed transaction" in r.err, r
        assert len(h.json("history")["entries"]) >= 1 and h.transactions() == []
        for fd in held:
            os.close(fd)
        for name in ("change.lock", "history.lock"):
            assert os.stat(f"{h.root}/run/iommucfg/{name}").st_mode & 0o777 == 0o600, name


def entries(h):
    return h.json("history", code=0)["entries"]


def kill(p):
    p.kill()
    p.communicate()


@test
def killed_during_the_commit():
    with Host(True) as h:
        # Final at once.
        h.control("method", "1 in-place\n")
        h.control("hold", "")
        p = h.start("set", "1", "DMA", "--name", "night")
        h.wait_state("committing", "night")
        kill(p)
        # What it was about is there at once, and from the disk.
        (e,) = entries(h)
        assert (e["id"], e["action"], e["result"], e["exit"]) == (1, "set", "left", 137), e
        assert [(c["group"], c["from"], c["to"]) for c in e["plan"]["changes"]] == [(1, "DMA-FQ", "DMA")]
        h.release()
        h.wait_state("committed", "night")
        h.run("set", "7", "DMA", code=0)
        assert [(x["id"], x["result"], x["exit"]) for x in entries(h)] == [
            (1, "committed", 0), (2, "committed", 0)], entries(h)
        assert "was killed" in entries(h)[0]["problems"][0]["message"]
        assert os.listdir(f"{h.root}/var/lib/iommucfg") == ["history"]
        # The way back is there though the kernel's own is gone.
        h.run("rollback", "--forget", "night", code=0)
        h.run("rollback", "--to", "1", code=0)
        assert h.type(1) == "DMA-FQ" and h.type(7) == "identity"
    # One that the tool removes itself, as its name is a process's.
    with Host(True) as h:
        h.control("hold", "")
        p = h.start("set", "1", "DMA")
        name = h.wait_state("committing")
        kill(p)
        h.release()
        h.expire(name)
        # The child that has written "commit" may still hold on to it.
        end = time.monotonic() + 60
        while True:
            assert time.monotonic() < end
            r = h.run("set", "7", "DMA")
            if h.transactions() == []:
                break
            time.sleep(0.1)
        first = entries(h)[0]
        assert (first["id"], first["transaction"], first["result"]) == (1, name, "restored"), first


@test
def killed_and_undone():
    for state, args, action, result in (("unconfirmed", ["confirm"], "confirm", "committed"),
                                        ("unconfirmed", ["rollback"], "rollback", "rolled-back")):
        with Host(True) as h:
            p = h.start("set", "1", "DMA", "--confirm-timeout", "900")
            name = h.wait_state(state)
            kill(p)
            assert [x["result"] for x in entries(h)] == ["left"]
            h.run(*args, code=0)
            assert [(x["action"], x["result"]) for x in entries(h)] == [
                ("set", "unconfirmed"), (action, result)], entries(h)
    with Host(True) as h:
        h.control("hold", "")
        h.control("commit", "ECANCELED\n1 - probe ENODEV no\n")
        p = h.start("set", "1", "DMA", "--name", "night")
        h.wait_state("committing", "night")
        kill(p)
        h.release()
        h.wait_state("staged", "night")
        h.run("set", "7", "DMA", code=0)
        assert [(x["result"], x["exit"]) for x in entries(h)] == [("restored", 4), ("committed", 0)]
    # Killed in a rollback.
    with Host(True) as h:
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        begun = f"{h.dir}/begun"
        h.control("unhook", f"#!/bin/sh\ntouch {begun}\nsleep 2\n", 0o755)
        p = h.start("rollback", "a")
        end = time.monotonic() + 60
        while not os.path.exists(begun):
            assert time.monotonic() < end
            time.sleep(0.02)
        kill(p)
        h.wait_back("a")
        h.run("set", "7", "DMA", code=0)
        assert [x["result"] for x in entries(h)] == ["unconfirmed", "rolled-back", "committed"], entries(h)


@test
def removed_is_recorded():
    with Host(True) as h:
        name = f"iommucfg-{dead_pid()}-1"
        stage(h, name, 1, "DMA")
        with open(f"{h.iommu}/{name}/commit", "w") as f:
            f.write("1\n")
        h.run("set", "7", "DMA", code=0)
        assert [(x["action"], x["transaction"], x["result"]) for x in entries(h)][0] == (
            "clean", name, "committed")
        assert h.transactions() == [] and len(entries(h)) == 2


@test
def begun_and_torn():
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        for text in ("", '{"id": 9, "ti', "[]"):
            with open(f"{h.root}/var/lib/iommucfg/begun.9", "w") as f:
                f.write(text)
            assert [x["id"] for x in entries(h)][0] == 1
            h.run("set", "1", "identity", code=0)
            h.run("set", "1", "DMA", code=0)
            assert os.listdir(f"{h.root}/var/lib/iommucfg") == ["history"]
        ids = [x["id"] for x in entries(h)]
        assert ids == sorted(set(ids)), ids


@test
def begun_and_written():
    """A power cut keeps the line from before it and the file that the line took the place of."""
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        entry = entries(h)[0]
        with open(f"{h.root}/var/lib/iommucfg/begun.1", "w") as f:
            json.dump({**entry, "result": "left", "exit": 137}, f)
        assert [x["result"] for x in entries(h)] == ["committed"], entries(h)
        h.run("set", "1", "identity", code=0)
        assert [(x["id"], x["result"]) for x in entries(h)] == [
            (1, "committed"), (2, "committed")], entries(h)
        assert os.listdir(f"{h.root}/var/lib/iommucfg") == ["history"]


@test
def typed_before_the_question():
    with Host(True) as h:
        t = Terminal(h.command("set", "1", "DMA"))
        t.send("y\n")
        t.expect(r"now\? \[y/N\]")
        t.send("n\n")
        assert t.end() == 3 and h.type(1) == "DMA-FQ", t.text


@test
def a_second_is_a_second():
    with Host(True) as h:
        h.control("hook", f"#!/bin/sh\nrm -f {h.root}/sys/class/net/ib0\n", 0o755)
        target = os.readlink(f"{h.root}/sys/class/net/ib0")
        for n in range(4):
            if n:
                os.symlink(target, f"{h.root}/sys/class/net/ib0")
            start = time.monotonic()
            h.run("set", "1", "DMA", "--settle", "1", code=4)
            assert time.monotonic() - start >= 1


@test
def dead_output():
    with Host(True) as h:
        for args in ([], ["--json"], ["-q", "--detach"]):
            for kind in ("pipe", "full", "closed"):
                if kind == "pipe":
                    r, w = os.pipe()
                    os.close(r)
                else:
                    w = os.open("/dev/full", os.O_WRONLY)
                p = subprocess.run(h.command("set", "1", "DMA", *args), stdin=subprocess.DEVNULL,
                                   stdout=w, stderr=subprocess.PIPE, text=True, timeout=120,
                                   preexec_fn=(lambda: os.close(1)) if kind == "closed" else None)
                os.close(w)
                assert p.returncode == 1 and "nothing was touched" in p.stderr, (args, kind, p)
                assert h.type(1) == "DMA-FQ" and h.transactions() == []
        # Who wants to hear nothing needs nothing.
        p = subprocess.run(h.command("-q", "set", "1", "DMA"), stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, timeout=120,
                           preexec_fn=lambda: os.close(1))
        assert p.returncode == 0 and h.type(1) == "DMA", p


def pipes(h, *skip):
    """Each file of the tree becomes a pipe, that nobody writes into; those of skip stay."""
    for at, _, names in os.walk(h.root):
        for name in names:
            path = f"{at}/{name}"
            if os.path.isfile(path) and not os.path.islink(path) and \
               not os.path.relpath(path, h.root).startswith(skip):
                os.unlink(path)
                os.mkfifo(path)


@test
def pipes_in_a_saved_tree():
    p = 'rules = ( { name = "a"; match = { driver = "mlx5_core"; slot = "1"; }; type = "DMA"; } );\ndefault = "DMA";\n'
    # Which files are read depends on what others say.
    for skip in ((), ("sys/",), ("sys/kernel", "proc/"),
                 ("sys/", "proc/"), ("sys/", "proc/", "lib/modules"), ("sys/", "proc/", "usr")):
        with Host() as h:
            for name in ("history", "history.1", "begun.7", "boot"):
                h.write(f"var/lib/iommucfg/{name}", "")
            h.write("sys/bus/pci/slots/1/address", "0000:01:00\n")
            h.write("lib/modules/6.12.0-test/modules.alias.bin", "")
            h.write("etc/modprobe.d/x.conf", "")
            pipes(h, *skip)
            for args in (["show"], ["show", "--all"], ["plan", h.policy(p)], ["save"], ["history"],
                         ["status"], ["standing"], ["metrics"], ["dump", "-o", f"{h.dir}/dump.tar"]):
                r = h.run(*args)
                assert 0 <= r.code < 5, (skip, args, r)
            assert "history.1: No such device or address" in h.run("history", code=1).err


@test
def pipes_where_it_writes():
    with Host(True) as h:
        os.makedirs(f"{h.root}/var/lib/iommucfg")
        os.mkfifo(f"{h.root}/var/lib/iommucfg/history")
        os.mkfifo(f"{h.root}/var/lib/iommucfg/begun.3")
        r = h.run("set", "1", "DMA", code=0)
        assert f"this is not in the history: {h.root}/var/lib/iommucfg/history: No such device" in r.err, r
        os.mkfifo(f"{h.dir}/x.new")
        h.run("set", "1", "identity", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        h.run("confirm", "a", "--install", f"{h.dir}/x", code=1)


@test
def policies_through_pipes():
    """What is named on the command line may be a pipe: there somebody writes into it."""
    with Host() as h:
        for file in ("-", "/dev/stdin"):
            h.run("check", file, input=GPU, code=0)
            h.run("plan", file, input=GPU, code=2)
        r = subprocess.run(["bash", "-c", '"$@" <(sleep 1; printf %s "$POLICY")', "bash",
                            *h.command("check")], env={**os.environ, "POLICY": GPU},
                           capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, r


def without(*fds):
    def close():
        for fd in fds:
            os.close(fd)
    return close


@test
def closed_standard_files():
    with Host(True) as h:
        p = h.policy('rules = ( { name = "gpu"; match = { vendor = 0x10de; }; type = "DMA"; } );\n')
        r = subprocess.run(h.command("check", "-"), preexec_fn=without(0), capture_output=True,
                           text=True, timeout=120)
        assert r.returncode == 1 and "<stdin>: Bad file descriptor" in r.stderr, r
        # Nothing that was opened instead is read as the policy.
        r = subprocess.run(h.command("check", p, "-"), preexec_fn=without(0), capture_output=True,
                           text=True, timeout=120)
        assert r.returncode == 1 and "<stdin>: Bad file descriptor" in r.stderr, r
        for fds in ((2,), (0, 2), (0,)):
            h.run("set", "1", "identity", code=0)
            q = subprocess.run(h.command("apply", p), preexec_fn=without(*fds), timeout=120,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
            assert q.returncode == 0 and h.type(1) == "DMA", (fds, q)
        for top in ("run/iommucfg", "var/lib/iommucfg"):
            for at, _, names in os.walk(f"{h.root}/{top}"):
                for name in names:
                    text = h.read(os.path.relpath(f"{at}/{name}", h.root)) or ""
                    assert "iommucfg:" not in text and "changed (entry" not in text, (name, text)
        for args in (["save"], ["show"], ["check", p], ["version"]):
            q = subprocess.run(h.command(*args), preexec_fn=without(1), timeout=120,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            assert (q.returncode == 1 and "standard output cannot be written" in q.stderr) or \
                (args[0] == "check" and q.returncode == 0), (args, q)


def odd_names(h):
    """Devices whose names, drivers and uses no terminal and no file should obey."""
    tree = mktree.Tree.__new__(mktree.Tree)
    tree.top = h.root
    evil = 'x\n  { name = "evil"; match = { bus = "pci"; }; type = "identity"; },\n\x1b[31m\x9b'
    tree.group(30, "DMA")
    tree.device(30, f"platform/{evil}", bus="platform", driver="a\x1b]0;title\x07\nb")


@test
def names_with_control_bytes():
    with Host() as h:
        out = f"{h.dir}/saved.conf"
        h.run("save", "-o", out, code=0)
        before = h.json("check", out, code=0)["rules"]
        odd_names(h)
        # No rule comes of a name.
        h.run("save", "-o", out, code=0)
        c = h.json("check", out, code=0)
        assert len(c["rules"]) == len(before) + 1, c["rules"]
        assert "evil" not in [r["name"] for r in c["rules"]]
        assert h.json("plan", out, code=0)["changes"] == []
        p = h.policy('rules = ( { name = "a\x1b[2J\u009b"; match = { bus = "platform"; }; type = "DMA-FQ"; required = true; } );\n'
                     'rules2 = 1;\n')
        for args in (["show"], ["show", "--raw"], ["plan", out], ["check", p], ["plan", p], ["save"],
                     ["show", "no\x1b[31mdevice\n"], ["plan", f"{h.dir}/no\x1bfile"], ["set", "30", "DMA\x07"],
                     ["no\x1bcommand"], ["show", "--no\x1boption"], ["history", "\x1b"]):
            r = h.run(*args)
            for text in (r.out, r.err):
                bad = [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or
                       0xdc80 <= ord(c) <= 0xdcff]
                assert not bad, (args, bad, text)
            # Each message has its own line.
            for line in r.err.splitlines():
                assert line.startswith(("iommucfg: ", "Try ")), (args, r.err)


if __name__ == "__main__":
    sys.exit(main("robust"))
