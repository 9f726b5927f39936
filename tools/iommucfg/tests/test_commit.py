#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is looked at right before a commit, and which groups go in which transaction.

	test_commit.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import signal
import sys
import time

import mktree
from harness import Host, Terminal, main, test


class Machine(Host):
    """Disks sdq to sdt in groups 30 to 33, an interface in 40; none is in use."""

    def __init__(self):
        super().__init__(True)

    def __enter__(self):
        super().__enter__()
        t = self.tree = mktree.Tree.__new__(mktree.Tree)
        t.top = self.root
        for n in range(4):
            t.group(30 + n, "DMA")
            t.device(30 + n, self.disk(n), driver="ahci", vendor=0x8086, device=0x2922, klass=0x010601)
            t.block(f"{self.disk(n)}/ata{n}/block/sd{chr(113 + n)}", f"65:{n * 16}")
        t.group(40, "DMA")
        t.device(40, self.port(), driver="igb", vendor=0x8086, device=0x10c9, klass=0x020000)
        t.net(f"{self.port()}/net/eth9", flags="0x1002")
        return self

    def disk(self, n):
        return f"pci0000:00/0000:00:1{n}.0"

    def port(self):
        return "pci0000:00/0000:00:18.0"

    def hold(self, n, by="md7"):
        os.makedirs(f"{self.root}/sys/devices/{self.disk(n)}/ata{n}/block/sd{chr(113 + n)}/holders/{by}")

    def mount(self, n):
        return (f"echo '{90 + n} 20 65:{n * 16} / /srv/{n} rw - ext4 /dev/sd{chr(113 + n)} rw'"
                f" >>'{self.root}/proc/self/mountinfo'\n")

    def meanwhile(self, script):
        """What happens between the check and the commit."""
        self.control("checked", f"#!/bin/sh\n{script}", 0o755)

    def history(self):
        with open(f"{self.root}/var/lib/iommucfg/history") as f:
            return [json.loads(line) for line in f]


@test
def looked_at_again():
    sys_ = "sys/devices/pci0000:00"
    for script, kind, words in (
            ("{mount}", "in-use", "unmounted"),
            ("rm {top}/0000:00:10.0/driver\n", "transaction", "by now"),
            ("echo DMA-FQ >{root}/sys/kernel/iommu_groups/30/type\n", "transaction", "by now"),
            ("echo 0x1003 >{top}/0000:00:18.0/net/eth9/flags\n", "in-use", "--allow-in-use net")):
        with Machine() as h:
            before = h.type(40)
            h.meanwhile(script.format(root=h.root, top=f"{h.root}/{sys_}", mount=h.mount(0)))
            d = h.json("set", "30", "identity", "40", "identity", "--allow-in-use", "block", code=3)
            assert d["result"] == "refused" and h.type(40) == before and not h.transactions(), d
            (p,) = [x for x in d["problems"] if x["severity"] == "refused"]
            assert p["kind"] == kind and words in p["message"], p
            os.unlink(f"{h.root}/control/checked")
    # What is permitted may come.
    with Machine() as h:
        h.meanwhile(h.mount(0))
        h.run("set", "30", "identity", "--allow-in-use", "mounted", code=0)
        assert h.type(30) == "identity"


class Split(Machine):
    """Group 30 has to have "block", 31 and 40 have not."""

    def __enter__(self):
        super().__enter__()
        self.hold(0)
        return self

    ASKED = ("30", "identity", "31", "identity", "40", "identity", "--allow-in-use", "block,other")

    def part(self, name):
        with open(f"{self.iommu}/{name}/allow_in_use") as f:
            words = f.read().strip()
        return words, sorted(n for n in os.listdir(f"{self.iommu}/{name}") if n.isdigit())

    def types(self):
        return [self.type(g) for g in (30, 31, 40)]

    def detached(self, name="a", seconds=900):
        r = self.run("set", *self.ASKED, "--confirm-timeout", seconds, "--detach", "--name", name, code=0)
        assert r.out.splitlines()[-1] == name and self.types() == ["identity"] * 3, r
        assert self.transactions() == [name, f"{name}-block"]


@test
def disks_apart():
    with Split() as h:
        h.detached()
        assert h.part("a") == ("other", ["31", "40"]), h.part("a")
        assert h.part("a-block") == ("block other", ["30"])
        d = h.json("status", code=0)
        assert [x["creator"]["command"][-1] for x in d["transactions"]] == ["a", "a"], d
        # One change, by either name, or without.
        d = h.json("confirm", "a", code=0)
        assert not h.transactions() and h.types() == ["identity"] * 3, d
        h.run("confirm", "a", code=0)
        d = h.json("undo", code=3)
        assert "sdq" in str(d["problems"]), d
        h.run("undo", "--allow-in-use", "block", code=0)
        assert h.types() == ["DMA"] * 3 and not h.transactions()
        for words in ("confirm",), ("confirm", "a-block"), ("rollback",), ("rollback", "a-block"), ("undo",):
            h.detached()
            h.run("extend", "a", 5000, code=0)
            left = [x["remaining"] for x in h.json("status", code=0)["transactions"]]
            assert min(left) > 4000, left
            d = h.json(*words, code=0)
            kept = words[0] == "confirm"
            assert not h.transactions() and h.types() == ["identity" if kept else "DMA"] * 3, words
            assert d["transaction"] == "a", d
            if kept:
                h.run("undo", "--allow-in-use", "block", code=0)
            else:
                e = h.history()[-1]
                assert sorted(c["group"] for c in e["plan"]["changes"]) == [30, 31, 40], e
        # What needs no word of its own is in one, and what all needs it as well.
        r = h.run("set", "31", "DMA-FQ", "40", "identity", "--allow-in-use", "block", "--confirm-timeout", "900",
                  "--detach", "--name", "b", code=0)
        assert h.transactions() == ["b"] and h.part("b") == ("", ["31", "40"])
        h.run("rollback", "b", code=0)
        h.run("set", "30", "identity", "--allow-in-use", "block", "--confirm-timeout", "900", "--detach",
              "--name", "c", code=0)
        assert h.transactions() == ["c"] and h.part("c") == ("block", ["30"])
        h.run("rollback", "c", code=0)


@test
def apart_and_final():
    with Split() as h:
        d = h.json("set", *h.ASKED, code=0)
        assert d["result"] == "committed" and h.types() == ["identity"] * 3 and not h.transactions(), d
        (e,) = h.history()
        assert len(e["plan"]["changes"]) == 3 and e["transaction"] == d["transaction"], e
        assert h.json("set", *h.ASKED, code=0)["result"] == "nothing-to-do"
    # Asked once.
    for answer, code, kind in ("y", 0, "identity"), ("n", 4, "DMA"):
        with Split() as h:
            t = Terminal(h.command("set", *h.ASKED, "--confirm-timeout", "900", "--yes"))
            t.expect(r"Keep these settings\?")
            t.send(f"{answer}\n")
            assert t.end() == code and h.types() == [kind] * 3 and not h.transactions(), t.text
            assert t.text.count("Change") <= 1


@test
def not_by_half():
    for script, control, code in (
            ("{mount}", None, 4),
            ("rm {top}/0000:00:10.0/driver\n", None, 4),
            (None, ("commit", "EBUSY\n30 0000:00:10.0 check EBUSY open\n"), 4),
            (None, ("commit", "ECANCELED\n30 0000:00:10.0 probe ENODEV failed\n"), 4),
            (None, ("commit", "EIO\n30 0000:00:10.0 restore EIO failed\n"), 5)):
        with Split() as h:
            if script:
                h.control("hook", "#!/bin/sh\n" + script.format(
                    mount=h.mount(0), top=f"{h.root}/sys/devices/pci0000:00"), 0o755)
            else:
                h.control(*control)
            d = h.json("set", *h.ASKED, "--name", "a", code=code)
            assert [h.type(31), h.type(40)] == ["DMA", "DMA"], d
            assert d["result"] == ("failed" if code == 5 else "restored"), d
            assert h.transactions() == (["a-block"] if code == 5 else []), d
            assert any(p["group"] == 30 for p in d["problems"]) or "by now" in str(d["problems"]), d
    # The first one is refused: the second one is not begun.
    with Split() as h:
        h.control("commit", "EBUSY\n31 - check EBUSY open\n")
        d = h.json("set", *h.ASKED, code=3)
        assert h.types() == ["DMA"] * 3 and not h.transactions(), d
    # So is the second one by its check.
    with Split() as h:
        h.control("check", "EBUSY\n30 - check EBUSY open\n")
        h.json("set", *h.ASKED, code=3)
        assert h.types() == ["DMA"] * 3 and not h.transactions()
        h.json("set", *h.ASKED, "--skip-in-use", code=2)
        assert h.types() == ["DMA", "identity", "identity"] and not h.transactions()


@test
def killed_between():
    """The kernel finishes the first one, and what of the command is left takes it back."""
    for stop in (lambda p: p.kill(), lambda p: [p.send_signal(signal.SIGTERM), time.sleep(1), p.send_signal(signal.SIGTERM)]):
        with Split() as h:
            h.control("hold")
            p = h.start("set", *h.ASKED)
            name = h.wait_state("committing")
            stop(p)
            p.communicate()
            assert p.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM), p.returncode
            h.release()
            h.wait_back(name)
            assert h.types() == ["DMA"] * 3
            h.run("set", "5", "DMA-FQ", code=0)
            assert h.types() == ["DMA"] * 3 and not h.transactions(), h.transactions()


@test
def killed_with_its_child():
    """Then the kernel takes back what is done by half."""
    with Split() as h:
        h.control("hold")
        p = h.start("set", *h.ASKED)
        name = h.wait_state("committing")
        with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
            children = [int(pid) for pid in f.read().split()]
        p.kill()
        for child in children:
            os.kill(child, signal.SIGKILL)
        p.communicate()
        h.release()
        h.wait_state("unconfirmed", name)
        assert h.types() == ["DMA", "identity", "identity"]
        h.expire(name)
        h.run("set", "5", "DMA-FQ", code=0)
        assert h.types() == ["DMA"] * 3 and not h.transactions(), h.transactions()
        e = h.history()[0]
        assert (e["result"], e["exit"]) == ("restored", 4), e


@test
def both_go_back_in_time():
    with Split() as h:
        d = h.json("set", *h.ASKED, "--confirm-timeout", "1", code=4)
        assert h.types() == ["DMA"] * 3 and d["result"] == "restored", d


@test
def what_only_the_kernel_knows():
    with Split() as h:
        h.control("opened", "31")
        d = h.json("set", *h.ASKED, "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        assert h.part("a") == ("other", ["40"]) and h.part("a-block") == ("block other", ["30", "31"]), d
        h.run("rollback", "a", code=0)
        h.json("plan", h.policy('default = "identity"; options = { allow_in_use = [ "block" ]; };'))
        h.json("set", "31", "identity", "--allow-in-use", "net", code=3)
        h.run("set", "31", "identity", "--allow-in-use", "block", code=0)


POLICY = 'rules = ( { name = "gpu"; match = { vendor = 0x10de; }; type = "identity"; } );\n'


@test
def timeout_of_a_terminal():
    """90 s where an interface or a disk goes away, unless something else was said."""
    with Host(True) as h:
        p = h.policy(POLICY)
        q = h.policy(POLICY + "options = { confirm_timeout = 0; };\n", "none.conf")
        for command in (("set", "1", "identity"), ("apply", p)):
            t = Terminal(h.command(*command))
            t.expect(r"confirmed within 90 seconds")
            t.expect(r"Change 1 group now\? \[y/N\]")
            t.send("y\n")
            t.expect(r"Keep these settings\? \[y/N\] \((90|8\d) s\)")
            t.send("y\n")
            assert t.end() == 0 and h.type(1) == "identity", t.text
            t = Terminal(h.command("undo", "--yes"))
            t.expect(r"Keep these settings\?")
            t.send("y\n")
            assert t.end() == 0 and h.type(1) == "DMA-FQ", t.text
        for command in (("set", "1", "identity", "--confirm-timeout", "0"), ("apply", q), ("set", "7", "DMA"),
                        ("apply", p, "--detach"), ("apply", p, "--json")):
            h.run("set", "1", "DMA-FQ", "7", "identity", code=0)
            t = Terminal(h.command(*command, "--yes"))
            assert t.end() == 0 and "Keep" not in t.text and not h.transactions(), t.text
        # No driver goes away: one is bound to nothing, the other changes in place.
        h.run("set", "1", "DMA-FQ", code=0)
        t = Terminal(h.command("plan", p))
        assert t.end() == 2 and "confirmed within 90 seconds" in t.text, t.text
        assert "confirmed within" not in h.run("plan", p, code=2).out
        # The carrier of the default route: the kernel goes back, so net is enough.
        t = Terminal(h.command("set", "3", "identity", "--allow-in-use", "net", "-n"))
        assert t.end() == 2 and "set would change 1 group" in t.text, t.text
        assert "refused" in h.run("set", "3", "identity", "--allow-in-use", "net", "-n", code=2).out


@test
def no_timeout_without_a_way_back():
    with Host(True) as h:
        t = Terminal(h.command("set", "3", "DMA-FQ", "1", "DMA"))
        t.expect(r"Change 2 groups now, with no\s+confirm timeout")
        t.send("y\n")
        assert t.end() == 0 and h.type(3) == "DMA-FQ" and not h.transactions(), t.text


@test
def a_mount_that_goes():
    """In place nothing may be unmounted: what is so all the same is told."""
    for stays in True, False:
        with Machine() as h:
            assert os.system(h.mount(0)) == 0
            h.control("hold")
            p = h.start("set", "30", "DMA-FQ", "--json")
            h.wait_state("committing")
            if not stays:
                path = f"{h.root}/proc/self/mountinfo"
                with open(path) as f:
                    lines = [line for line in f if "/srv/0 " not in line]
                with open(path, "w") as f:
                    f.writelines(lines)
            h.release()
            out = p.communicate(timeout=120)[0]
            assert p.returncode == 0, out
            found = [x["message"] for x in json.loads(out)["problems"] if x["code"] == "mount-missing"]
            assert (not found) if stays else "/srv/0" in found[0], out


@test
def what_hangs_is_told():
    with Host(True) as h:
        with open(f"{h.root}/sys/class/net/ib0/flags", "w") as f:
            f.write("0x1003\n")
        h.control("hold", "1 0000:01:00.1 release EINPROGRESS still waited for after 10 s\n")
        p = h.start("set", "1", "DMA", "--allow-in-use", "net")
        line = p.stderr.readline()
        assert "0000:01:00.1" in line and "still waited for" in line and "net ib0" in line, line
        h.release()
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 and "still waited" not in err, err


sys.exit(main("commit"))
