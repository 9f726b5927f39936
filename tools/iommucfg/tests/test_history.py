#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The history, and the way back to before an entry of it.

	test_history.py IOMMUCFG STANDIN [NAME...]
"""
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time

import jsonschema

from harness import GPU, Host, Skip, main, schema, test


def path(h, name="history"):
    return f"{h.root}/var/lib/iommucfg/{name}"


def lines(h, name="history"):
    with open(path(h, name)) as f:
        return f.read().splitlines()


def entries(h, *args):
    return h.json("history", *args, code=0)["entries"]


def rollback_to(h, *args, code):
    r = h.run("rollback", "--json", *args, code=code)
    document = json.loads(r.out)
    jsonschema.validate(document, schema("rollback-to"))
    return document


@test
def empty():
    with Host() as h:
        d = h.json("history", code=0)
        assert d["entries"] == [] and d["problems"] == []
        r = h.run("history", code=0)
        assert r.out == "" and "empty" in r.err
        shutil.rmtree(f"{h.root}/var")
        assert entries(h) == [] and not os.path.exists(f"{h.root}/var")


@test
def directory_is_made():
    with Host(True) as h:
        shutil.rmtree(f"{h.root}/var")
        assert h.json("set", "1", "DMA", code=0)["problems"] == []
        assert [x["id"] for x in entries(h)] == [1]


@test
def not_by_an_error():
    """What fails before anything was begun leaves no files on a machine that has had no change."""
    for kernel in (False, True):
        with Host(kernel) as h:
            shutil.rmtree(f"{h.root}/var")
            for args in (("apply", "/none"), ("apply", h.policy("rules = 7;")), ("apply",), ("set", "99", "DMA"),
                         ("undo", "4"), ("rollback", "--to", "4"), ("confirm",), ("rollback",), ("clean", "x"),
                         *([] if kernel else [("set", "1", "DMA"), ("apply", h.policy(GPU, "good.conf"))])):
                h.run(*args, code=1)
                assert not os.path.exists(f"{h.root}/var"), args
            if kernel:
                h.run("set", "2", "DMA", code=3)
                assert [x["result"] for x in entries(h)] == ["refused"]


@test
def everything_is_recorded():
    with Host(True) as h:
        with open(f"{h.root}/proc/self/loginuid", "w") as f:
            f.write("0")
        p = h.policy(GPU)
        env = dict(os.environ, SUDO_USER="alice")
        h.run("apply", "--detach", "--confirm-timeout", "60", "--name", "n", p, code=0, env=env)
        h.run("confirm", "n", code=0)
        h.run("set", "1", "DMA", code=0)
        h.run("set", "1", "DMA", code=0)
        h.run("set", "2", "DMA", code=3)
        h.run("set", "99", "DMA", code=1)
        h.run("set", "1", "identity", "--detach", "--confirm-timeout", "60", code=0)
        h.run("rollback", code=0)
        e = entries(h)
        assert [x["id"] for x in e] == list(range(1, len(e) + 1))
        assert [(x["action"], x["result"], x["exit"]) for x in e] == [
            ("apply", "unconfirmed", 0), ("confirm", "committed", 0), ("set", "committed", 0),
            ("set", "refused", 3), ("set", "error", 1), ("set", "unconfirmed", 0),
            ("rollback", "rolled-back", 0)], e
        a = e[0]
        assert (a["uid"], a["user"], a["login"], a["sudo"]) == (0, "root", "root", "alice"), a
        assert a["command"][1:] == ["--root", h.root, "apply", "--detach", "--confirm-timeout",
                                    "60", "--name", "n", p]
        assert a["transaction"] == "n" and e[1]["transaction"] == "n"
        (c,) = a["plan"]["changes"]
        assert (c["group"], c["from"], c["to"]) == (1, "DMA-FQ", "identity")
        assert c["rule"] == {"name": "gpu", "file": p, "line": 1}
        assert c["devices"][0] == {
            "name": "0000:01:00.0", "bus": "pci", "driver": "nvidia", "vendor": 0x10de,
            "path": "0000:00:1c.4/00.0", "device": 0x2330}
        assert e[1]["sudo"] is None and e[1]["plan"] == {"changes": [], "skipped": []}
        assert e[3]["problems"][0]["kind"] == "in-use" and e[4]["plan"] is None
        (c,) = e[6]["plan"]["changes"]
        assert (c["group"], c["from"], c["to"]) == (1, "identity", "DMA")
        assert len(lines(h)) == len(e) and os.listdir(f"{h.root}/var/lib/iommucfg") == ["history"]
        # The table, of all and of some.
        assert [x["id"] for x in entries(h, 2)] == [6, 7]
        r = h.run("history", "--raw", "--noheadings", "-o", "ID,USER,RESULT,GROUP,FROM,TO", "3",
                  code=0)
        assert r.out == "5 root error - - -\n6 root unconfirmed 1 DMA identity\n" \
                        "7 root rolled-back 1 identity DMA\n", r
        out = h.run("history", code=0).out
        assert "alice" in out and "0000:00:" in out, out


@test
def names_with_anything_in_them():
    with Host(True) as h:
        p = h.policy('rules = ( { name = "a\\nb\\"c"; match = { vendor = 0x10de; }; '
                     'type = "DMA"; } );', "new\nline.conf")
        h.run("apply", p, code=0)
        (e,) = entries(h)
        assert e["plan"]["changes"][0]["rule"]["name"] == 'a\nb"c' and len(lines(h)) == 1


@test
def torn_line():
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        h.run("set", "1", "identity", code=0)
        whole = lines(h)
        for keep in (0, 1, len(whole[1]) // 2, len(whole[1]) - 1):
            with open(path(h), "w") as f:
                f.write(whole[0] + "\n" + whole[1][:keep])
            d = h.json("history", code=0)
            assert [x["id"] for x in d["entries"]] == [1]
            assert len(d["problems"]) == (1 if keep else 0), d["problems"]
            if keep:
                assert "history:2: the last line is torn" in d["problems"][0]["message"], d
        # What comes next stands on a line of its own.
        h.run("set", "1", "DMA", code=0)
        d = h.json("history", code=0)
        assert [x["id"] for x in d["entries"]] == [1, 2] and len(d["problems"]) == 1
        assert "history:2: this line is no entry" in d["problems"][0]["message"]
        with open(path(h), "w") as f:
            f.write('\n[]\n{"id":"x"}\n{}\nnull\n' + whole[0] + " x\n" + whole[0])
        d = h.json("history", code=0)
        # All of it is there, but for the newline.
        assert [x["id"] for x in d["entries"]] == [1] and len(d["problems"]) == 5, d["problems"]


@test
def zeros():
    """What some file systems leave of data that a power cut kept from the disk."""
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        with open(path(h), "ab") as f:
            f.write(bytes(200))
        assert [x["id"] for x in h.json("history", code=0)["entries"]] == [1]
        h.run("set", "1", "identity", code=0)
        d = h.json("history", code=0)
        assert [x["id"] for x in d["entries"]] == [1, 2] and len(d["problems"]) == 1, d


@test
def bytes_that_are_no_text():
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        h.run("set", "1", "identity", code=0)
        whole = [x.encode() for x in lines(h)]
        for bad in (b"\xff", b"\x80", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80",
                    b"\xe2\x82"):
            for line in (whole[0].replace(b'"DMA"]', b'"D' + bad + b'"]'), whole[0] + bad):
                with open(path(h), "wb") as f:
                    f.write(line + b"\n" + whole[1] + b"\n")
                d = h.json("history", code=0)
                assert [x["id"] for x in d["entries"]] == [2], d
                assert "history:1: this line is no entry" in d["problems"][0]["message"], d
        # What is text stays what it is.
        with open(path(h), "wb") as f:
            f.write(whole[0].replace(b'"DMA"]', '"\u00e9\u20ac\U0001f600"]'.encode()) + b"\n")
        (e,) = entries(h)
        assert e["command"][-1] == "\u00e9\u20ac\U0001f600", e


@test
def rotated():
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        line = lines(h)[0]
        for age in range(1, 7):
            with open(path(h), "a") as f:
                # As entries go, and over a MiB of them.
                f.write(line.replace('"id":1,', f'"id":{age * 100},') + " " * (1 << 20) + "\n")
            h.run("set", "1", "identity" if age % 2 else "DMA", code=0)
            assert json.loads(lines(h)[0])["id"] == age * 100 + 1
        assert sorted(os.listdir(f"{h.root}/var/lib/iommucfg")) == [
            "history", "history.1", "history.2", "history.3", "history.4"]
        assert [x["id"] for x in entries(h)] == [201, 300, 301, 400, 401, 500, 501, 600, 601]
        # A power cut between two renames: a number is missing, no more.
        os.unlink(path(h))
        os.unlink(path(h, "history.2"))
        assert [x["id"] for x in entries(h)] == [201, 300, 301, 400, 501, 600]
        h.run("set", "1", "identity", code=0)
        assert json.loads(lines(h)[0])["id"] == 601


@test
def not_writable_is_a_warning():
    with Host(True) as h:
        os.makedirs(f"{h.root}/var/lib/iommucfg/history")
        d = h.json("set", "1", "DMA", code=0)
        assert d["result"] == "committed"
        assert [(x["kind"], x["errno"]) for x in d["problems"]] == [("history", "EISDIR")], d
        r = h.run("set", "1", "identity", code=0)
        assert r.err.count("not in the history") == 1 and "warning" in r.err, r
        assert "not in the history" not in h.run("-q", "set", "1", "DMA", code=0).err
        h.json("history", code=1)
        shutil.rmtree(f"{h.root}/var")
        with open(f"{h.root}/var", "w"):
            pass
        d = h.json("set", "1", "identity", "--detach", "--confirm-timeout", "60", code=0)
        assert d["result"] == "unconfirmed" and d["problems"][0]["errno"] == "ENOTDIR"
        assert h.json("confirm", code=0)["problems"][0]["kind"] == "history"


@test
def read_only_and_full():
    if os.geteuid():
        raise Skip("needs root")
    with Host(True) as h:
        lib = f"{h.root}/var/lib"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", lib],
                          capture_output=True).returncode:
            raise Skip("nothing can be mounted here")
        try:
            h.run("set", "1", "DMA", code=0)
            size = os.path.getsize(path(h))
            with open(f"{lib}/fill", "w") as f:
                try:
                    f.write("x" * 65536)
                except OSError:
                    pass
            r = None
            for n in range(20):
                r = h.run("set", "1", "identity" if n % 2 == 0 else "DMA", code=0)
                if r.err.count("No space"):
                    break
                size = os.path.getsize(path(h))
            assert r.err.count("not in the history") == 1 and os.path.getsize(path(h)) == size, r
            assert h.json("history", code=0)["problems"] == []
            subprocess.run(["mount", "-o", "remount,ro", lib], check=True)
            d = h.json("set", "0", "DMA", code=0)
            assert d["result"] == "committed" and d["problems"][-1]["errno"] == "EROFS", d
        finally:
            subprocess.run(["umount", lib], check=True)


@test
def side_by_side():
    with Host(True) as h:
        os.mkdir(f"{h.root}/run/iommucfg")
        fd = os.open(f"{h.root}/run/iommucfg/history.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        all = [h.start("set", g, "DMA") for g in ("1", "0", "12")]
        # Long enough for all to come to the lock, and no longer than they wait.
        time.sleep(1)
        os.close(fd)
        for p in all:
            p.communicate(timeout=120)
        # Of some the plan was overtaken by another's change; they are in it, too.
        assert [x["id"] for x in entries(h)] == [1, 2, 3]


@test
def lock_held_for_ever():
    with Host(True) as h:
        os.mkdir(f"{h.root}/run/iommucfg")
        fd = os.open(f"{h.root}/run/iommucfg/history.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        d = h.json("set", "1", "DMA", code=0)
        assert d["result"] == "committed" and d["problems"][0]["errno"] == "EAGAIN", d
        os.close(fd)


@test
def back_to_an_entry():
    with Host(True) as h:
        h.run("set", "0", "identity", code=0)			# 1
        h.run("set", "1", "DMA", code=0)			# 2
        h.run("set", "0", "DMA", "1", "identity", code=0)	# 3
        h.run("set", "2", "DMA", code=3)			# 4: changed nothing
        d = rollback_to(h, "--to", "2", code=0)			# 5
        assert d["result"] == "committed"
        assert [(c["group"], c["from"], c["to"]) for c in d["changes"]] == [
            (0, "DMA", "identity"), (1, "identity", "DMA-FQ")], d
        assert d["changes"][0]["rule"] == {"name": None, "file": None, "line": None}
        assert h.type(0) == "identity" and h.type(1) == "DMA-FQ" and h.transactions() == []
        # That is an entry, too, and can be gone back from.
        e = entries(h)
        assert (e[-1]["id"], e[-1]["action"], e[-1]["result"]) == (5, "rollback", "committed")
        assert rollback_to(h, "--to", "2", code=0)["result"] == "nothing-to-do"
        h.run("rollback", "--to", "5", "--yes", code=0)
        assert h.type(0) == "DMA" and h.type(1) == "identity"
        rollback_to(h, "--to", "1", code=0)
        assert h.type(0) == "DMA-FQ" and h.type(1) == "DMA-FQ"
        assert "no entry 77" in h.run("rollback", "--to", "77", code=1).err
        assert rollback_to(h, "--to", "77", code=1)["result"] == "error"


@test
def back_to_what_changed_nothing():
    with Host(True) as h:
        h.run("set", "1", "DMA", code=0)
        h.run("set", "99", "DMA", code=1)
        assert [x["result"] for x in entries(h)] == ["committed", "error"]
        # Sanitizers look at how nothing is copied.
        assert rollback_to(h, "--to", "2", code=0)["result"] == "nothing-to-do"


@test
def back_with_options():
    with Host(True) as h:
        h.run("set", "3", "DMA-FQ", code=0)
        # The way back takes interfaces, but not the default route for good.
        assert rollback_to(h, "--to", "1", code=3)["problems"][0]["kind"] == "default-route"
        d = rollback_to(h, "--to", "1", "--skip-in-use", code=2)
        assert [c["group"] for c in d["skipped"]] == [3]
        d = rollback_to(h, "--to", "1", "--allow-in-use", "net", "--confirm-timeout", "60",
                        "--detach", code=0)
        assert d["result"] == "unconfirmed" and h.type(3) == "DMA"
        h.run("rollback", code=0)
        assert h.type(3) == "DMA-FQ"


@test
def back_by_what_devices_are():
    with Host(True) as h:
        groups = f"{h.root}/sys/kernel/iommu_groups"
        h.run("set", "1", "DMA", "0", "DMA", "9", "DMA-FQ", "--allow-in-use", "mounted", code=0)
        # As after a reboot: buses and groups numbered anew, types by default.
        os.rename(f"{groups}/1", f"{groups}/40")
        os.rename(f"{groups}/0", f"{groups}/1")
        for device in ("0000:01:00.0", "0000:01:00.1"):
            link = f"{h.root}/sys/bus/pci/devices/{device}"
            old = os.path.realpath(link)
            new = old.replace("0000:01:", "0000:07:")
            os.rename(old, new)
            os.unlink(f"{groups}/40/devices/{device}")
            os.symlink(os.path.relpath(new, f"{groups}/40/devices"),
                       f"{groups}/40/devices/{os.path.basename(new)}")
        # Another card is in the slot of the disk.
        with open(f"{groups}/9/devices/10000:e1:00.0/device", "w") as f:
            f.write("0x1234\n")
        with open(f"{groups}/9/devices/10000:e1:00.0/uevent") as f:
            text = f.read()
        with open(f"{groups}/9/devices/10000:e1:00.0/uevent", "w") as f:
            f.write(text.replace("144D:A80A", "144D:1234"))
        d = rollback_to(h, "--to", "1", code=2)
        assert [(c["group"], c["to"]) for c in d["changes"]] == [(1, "DMA-FQ"), (40, "DMA-FQ")], d
        (x,) = [x for x in d["problems"] if x["kind"] == "history"]
        assert "10000:e1:00.0" in x["message"] and x["errno"] == "ENODEV", x
        assert h.type(9) == "DMA-FQ" and h.type(40) == "DMA-FQ" and h.type(1) == "DMA-FQ"


@test
def back_where_groups_have_merged():
    with Host(True) as h:
        groups = f"{h.root}/sys/kernel/iommu_groups"
        h.run("set", "1", "DMA", "7", "DMA", code=0)
        link = "arm-smmu.0.auto"
        os.symlink(os.readlink(f"{groups}/7/devices/{link}"), f"{groups}/1/devices/{link}")
        shutil.rmtree(f"{groups}/7")
        d = rollback_to(h, "--to", "1", code=1)
        assert "asked to be both" in d["problems"][-1]["message"] and d["result"] == "error", d
        assert h.type(1) == "DMA"


if __name__ == "__main__":
    sys.exit(main("history"))
