#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Legs of redundant sets: which word each needs, and how they are changed one after the other.

	test_legs.py IOMMUCFG STANDIN [NAME...]
"""
import os
import shutil
import signal
import sys
import time

from harness import Host, Terminal, main, test
import mktree

ROOT = "pci0000:00"


class Sets(Host):
    """A tree with two devices in groups 1 and 2, or both in group 1."""

    def __init__(self, groups=(1, 2), kind="net", kernel=False):
        super().__init__(kernel)
        self.groups, self.what = groups, kind

    def __enter__(self):
        super().__enter__()
        if not self.kernel:
            shutil.rmtree(self.root)
            self.tree = mktree.Tree(self.root)
            for group in sorted(set(self.groups)):
                self.tree.group(group, "DMA")
            for n, group in enumerate(self.groups, 1):
                self.tree.device(group, self.where(n), vendor=0x8086, device=0x10d3,
                                 driver="e1000e" if self.what == "net" else "nvme",
                                 klass=0x020000 if self.what == "net" else 0x010802)
            self.tree.write("proc/swaps", "Filename Type Size Used Priority\n")
            self.tree.write("proc/sys/kernel/osrelease", "6.12.0-test\n")
            self.tree.write("proc/self/mountinfo", "")
        return self

    def where(self, n):
        return f"{ROOT}/0000:00:0{n}.0/0000:0{n}:00.0"

    def bond(self, mii=("up", "up"), name="bond0", proc=False):
        t = self.tree
        for n, status in enumerate(mii, 1):
            t.net(f"{self.where(n)}/net/eno{n}", uppers=[name])
            if not proc:
                t.write(f"sys/devices/{self.where(n)}/net/eno{n}/bonding_slave/mii_status",
                        status + "\n")
        t.net(f"virtual/net/{name}")
        t.write(f"sys/devices/virtual/net/{name}/bonding/slaves",
                " ".join(f"eno{n}" for n in range(1, len(mii) + 1)) + "\n")
        if proc:
            t.write(f"proc/net/bonding/{name}", "Bonding Mode: fault-tolerance\nMII Status: up\n" +
                    "".join(f"\nSlave Interface: eno{n}\nMII Status: {status}\nSpeed: 1 Mbps\n"
                            for n, status in enumerate(mii, 1)))
        t.write("proc/net/route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"
                "\t\tMTU\tWindow\tIRTT\n" f"{name}\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n")

    def disks(self, upper):
        for n in range(1, len(self.groups) + 1):
            self.tree.block(f"{self.where(n)}/nvme/nvme{n}/nvme{n}n1", f"259:{n}", holders=[upper])

    def md(self, level="raid1", degraded=0, bitmap="+8", target="/", **files):
        self.disks("md0")
        names = [f"nvme{n}n1" for n in range(1, len(self.groups) + 1)]
        self.tree.block("virtual/block/md0", "9:0", slaves=names)
        for name, text in {"level": level, "degraded": degraded, "bitmap/location": bitmap,
                           **{f"dev-{name}/state": "in_sync" for name in names}, **files}.items():
            if text is not None:
                self.tree.write(f"sys/devices/virtual/block/md0/md/{name}", f"{text}\n")
        self.tree.write("proc/self/mountinfo", f"20 1 9:0 / {target} rw - ext4 /dev/md0 rw\n")

    def plan(self, *args, code=None):
        return self.json("set", "-n", *args, code=code)

    def words(self, *args):
        """By group and kind the word that each use needs."""
        d = self.plan(*args)
        return {(c["group"], u["kind"]): u["word"] for c in d["changes"] + d["skipped"]
                for dev in c["devices"] for u in dev["in_use"]}


BOTH = ("1", "identity", "2", "identity")


def codes(d):
    return sorted({p["code"] for p in d["problems"]})


def steps(d):
    return {c["group"]: c["step"] for c in d["changes"]}


@test
def bond():
    for proc in (False, True):
        with Sets() as h:
            h.bond(proc=proc)
            assert h.words("1", "identity")[1, "net"] == "net"
            d = h.plan("1", "identity", code=2)
            assert codes(d) == ["in-use"], d
            d = h.plan(*BOTH, "--allow-in-use", "net", code=2)
            assert not d["problems"] and steps(d) == {1: 1, 2: 2}, d
            text = h.run("set", "-n", *BOTH, "--allow-in-use", "net", code=2).out
            assert "In 2 steps, one after the other" in text and "bond0" in text, text


@test
def bond_without_rest():
    # The other leg is down; both are in one group; there is no other.
    for groups, mii in (((1, 2), ("up", "down")), ((1, 1), ("up", "up")), ((1,), ("up",))):
        with Sets(groups) as h:
            h.bond(mii)
            d = h.plan("1", "identity", "--allow-in-use", "net", code=2)
            assert codes(d) == ["last-leg"] and d["problems"][0]["kind"] == "default-route", d
            assert "no other healthy leg of bond0" in d["problems"][0]["message"], d
            d = h.plan("1", "identity", "--allow-in-use", "default-route", code=2)
            assert not d["problems"], d
    # A bond that does not look takes all legs for up.
    with Sets() as h:
        h.bond()
        h.tree.write(f"sys/devices/{h.where(2)}/net/eno2/carrier", "0\n")
        assert codes(h.plan("1", "identity", "--allow-in-use", "net", code=2)) == ["last-leg"]
    # The leg that is down has a healthy one beside it.
    with Sets() as h:
        h.bond(("up", "down"))
        assert not h.plan("2", "identity", "--allow-in-use", "net", code=2)["problems"]


@test
def team():
    for name, kind, second in (("team0", None, 2), ("agg", "team", 2), ("team0", "bridge", 1)):
        with Sets() as h:
            for n in (1, 2):
                h.tree.net(f"{h.where(n)}/net/eno{n}", uppers=[name])
                h.tree.write(f"sys/devices/{h.where(n)}/net/eno{n}/operstate", "up\n")
                h.tree.write(f"sys/devices/virtual/net/{name}/lower_eno{n}/x", "")
            h.tree.net(f"virtual/net/{name}")
            h.tree.write(f"sys/devices/virtual/net/{name}/uevent",
                         (f"DEVTYPE={kind}\n" if kind else "") + f"INTERFACE={name}\nIFINDEX=9\n")
            assert steps(h.plan(*BOTH, code=2)) == {1: 1, 2: second}, (name, kind)


@test
def md():
    for files in ({}, {"level": "raid10"}, {"level": "raid5"}, {"target": "/srv"}):
        with Sets(kind="disk") as h:
            h.md(**files)
            assert h.words("1", "identity") == {(1, "md"): "block", (1, "mount"): "block"}
            d = h.plan("1", "identity", code=2)
            assert codes(d) == ["in-use"] and "--allow-in-use block" in d["problems"][0]["message"], d
            d = h.plan(*BOTH, "--allow-in-use", "block", code=2)
            assert not d["problems"] and steps(d) == {1: 1, 2: 2}, d


@test
def md_without_rest():
    for files in ({"degraded": 1}, {"degraded": None}, {"dev-nvme2n1/state": "faulty"},
                  {"sync_action": "recover"}):
        with Sets(kind="disk") as h:
            h.md(**files)
            d = h.plan("1", "identity", "--allow-in-use", "block,mounted", code=2)
            assert codes(d) == ["last-leg"], (files, d)
            assert "never" in d["problems"][0]["message"], d
    # What has no redundancy is none.
    with Sets(kind="disk") as h:
        h.md(level="raid0")
        d = h.plan(*BOTH, "--allow-in-use", "block,mounted", code=2)
        assert codes(d) == ["in-use"] and steps(d) == {1: 1, 2: 1}, d


@test
def md_may_miss():
    # Two legs in one group are one too many for some levels, and not for others.
    for level, word in (("raid1", "block"), ("raid5", None), ("raid10", None), ("raid6", "block")):
        with Sets((1, 1, 2, 3), "disk") as h:
            h.md(level)
            assert h.words("1", "identity")[1, "mount"] == word, level
            assert h.words("2", "identity")[2, "mount"] == "block", level
            d = h.plan("1", "identity", "--allow-in-use", "block,mounted", code=2)
            assert codes(d) == ([] if word else ["last-leg"]), (level, d)
            assert word or "too few healthy legs of md0" in d["problems"][0]["message"], d


@test
def md_without_bitmap():
    with Sets(kind="disk") as h:
        h.md(bitmap="none")
        d = h.plan(*BOTH, "--allow-in-use", "block", code=2)
        assert codes(d) == ["no-bitmap"] and d["problems"][0]["severity"] == "refused", d
        assert "bitmap" in d["problems"][0]["fix"], d
        assert not h.plan("1", "identity", "--allow-in-use", "block", code=2)["problems"]
    # In a tree without that file.
    for text, expected in (("      [1/1] bitmap: 0/1 pages [0KB], 65536KB chunk\n", []),
                           ("", ["no-bitmap"])):
        with Sets(kind="disk") as h:
            h.md(bitmap=None)
            h.tree.write("proc/mdstat", "Personalities : [raid1]\nmd0 : active raid1 nvme2n1[1] nvme1n1[0]\n"
                         f"      65472 blocks [2/2] [UU]\n{text}\nmd1 : active raid1\n      bitmap: 0/1\n")
            assert codes(h.plan(*BOTH, "--allow-in-use", "block", code=2)) == expected


@test
def md_foreign():
    # What leaves it is not put back: it counts as if there were no redundancy.
    for version, code in (("external:imsm", ["last-leg"]), ("none", ["last-leg"]), ("0.90", []),
                          ("1.0", []), ("1.2", []), (None, [])):
        with Sets(kind="disk") as h:
            h.md(metadata_version=version)
            d = h.plan("1", "identity", "--allow-in-use", "block", code=2)
            assert codes(d) == code, (version, d)
            assert not code or "what leaves md0 is for its own tools" in d["problems"][0]["message"], d


@test
def two_ways():
    # A volume over the array and over one of its disks: that disk is not to be missed.
    with Sets(kind="disk") as h:
        h.md(target="/mnt")
        h.tree.block("virtual/block/dm-0", "253:0", slaves=["md0", "nvme1n1"], dm="vg-lv")
        h.tree.write("proc/self/mountinfo", "20 1 253:0 / / rw - ext4 /dev/mapper/vg-lv rw\n")
        assert h.words("1", "identity")[1, "mount"] is None
        assert h.words("2", "identity")[2, "mount"] == "block"


@test
def mirror():
    for meta, expected in ((True, "block"), (False, None)):
        with Sets(kind="disk") as h:
            h.disks("dm-1")
            slaves = []
            for n in (1, 2):
                for what in ("rimage", "rmeta")[:1 + meta]:
                    name = f"dm-{10 * n + (what == 'rmeta')}"
                    h.tree.block(f"virtual/block/{name}", f"253:{name[3:]}", slaves=[f"nvme{n}n1"],
                                 dm=f"vg-root_{what}_{n - 1}")
                    slaves.append(name)
            h.tree.block("virtual/block/dm-9", "253:9", slaves=slaves, dm="vg-root")
            h.tree.write("sys/devices/virtual/block/dm-9/dm/uuid", "LVM-abc\n")
            h.tree.write("proc/self/mountinfo", "20 1 253:9 / / rw - ext4 /dev/mapper/vg-root rw\n")
            assert h.words("1", "identity")[1, "mount"] == expected
            assert steps(h.plan(*BOTH)) == {1: 1, 2: 2 if meta else 1}


@test
def multipath():
    for state, expected in (("running", "block"), ("offline", None)):
        with Sets(kind="disk") as h:
            for n in (1, 2):
                d = f"{h.where(n)}/host{n}/target{n}:0:0/{n}:0:0:0"
                h.tree.block(f"{d}/block/sd{n}", f"8:{16 * n}", holders=["dm-0"])
                h.tree.write(f"sys/devices/{d}/state", f"{state if n == 2 else 'running'}\n")
                h.tree.link(f"sys/devices/{d}/block/sd{n}/device", f"sys/devices/{d}")
            h.tree.block("virtual/block/dm-0", "253:0", slaves=["sd1", "sd2"], dm="mpatha")
            h.tree.write("sys/devices/virtual/block/dm-0/dm/uuid", "mpath-36001\n")
            h.tree.write("proc/self/mountinfo", "20 1 253:0 / / rw - ext4 /dev/mapper/mpatha rw\n")
            assert h.words("1", "identity")[1, "mount"] == expected
            assert steps(h.plan(*BOTH)) == {1: 1, 2: 2}


@test
def nvme_subsystem():
    for state, ana, expected in (("live", None, "block"), ("connecting", None, None),
                                 ("live", "optimized", "block"), ("live", "inaccessible", None)):
        with Sets(kind="disk") as h:
            top = "sys/devices/virtual/nvme-subsystem/nvme-subsys1"
            h.tree.block(f"{top[len('sys/devices/'):]}/nvme1n1", "259:1")
            for n in (1, 2):
                ctl = f"sys/devices/{h.where(n)}/nvme/nvme{n}"
                h.tree.write(f"{ctl}/state", f"{state if n == 2 else 'live'}\n")
                if ana:
                    h.tree.write(f"{ctl}/nvme1c{n}n1/ana_state", f"{ana if n == 2 else 'optimized'}\n")
                h.tree.link(f"{top}/nvme{n}", ctl)
            h.tree.write("proc/self/mountinfo", "20 1 259:1 / / rw - ext4 /dev/nvme1n1 rw\n")
            assert h.words("1", "identity")[1, "mount"] == expected, (state, ana)
            assert steps(h.plan(*BOTH)) == {1: 1, 2: 2}


@test
def stacked():
    # An array of multipath maps goes on where a map does not.
    with Sets(kind="disk") as h:
        h.disks("dm-1")
        for n in (1, 2):
            h.tree.block(f"virtual/block/dm-{n}", f"253:{n}", slaves=[f"nvme{n}n1"], dm=f"mpath{n}")
            h.tree.write(f"sys/devices/virtual/block/dm-{n}/dm/uuid", f"mpath-{n}\n")
        h.tree.block("virtual/block/md0", "9:0", slaves=["dm-1", "dm-2"])
        for name, text in (("level", "raid1"), ("degraded", "0"), ("bitmap/location", "+8")):
            h.tree.write(f"sys/devices/virtual/block/md0/md/{name}", text + "\n")
        h.tree.write("proc/self/mountinfo", "20 1 9:0 / / rw - ext4 /dev/md0 rw\n")
        assert h.words("1", "identity")[1, "mount"] == "block"


@test
def confirm_timeout():
    with Sets() as h:
        h.bond()
        args = (*BOTH, "--allow-in-use", "net", "--confirm-timeout", "60")
        d = h.plan(*args, code=2)
        assert codes(d) == ["legs"], d
        # The first of them is left to be done.
        d = h.plan(*args, "--skip-in-use", code=2)
        assert [c["group"] for c in d["changes"]] == [1] and [c["group"] for c in d["skipped"]] == [2], d
        policy = h.policy('rules = ( { name = "n"; match = { class = "network"; }; type = "identity"; } );\n'
                          'options = { confirm_timeout = 60; allow_in_use = [ "net" ]; };\n')
        assert codes(h.json("plan", policy, code=2)) == ["legs"]
        d = h.json("plan", "--confirm-timeout", "0", policy, code=2)
        assert not d["problems"] and steps(d) == {1: 1, 2: 2}, d


@test
def confirm_timeout_in_place():
    # The legs of the bond go in place, but back only by rebind: not by one timer.
    with Sets((1, 2, 3)) as h:
        h.bond()
        h.tree.net(f"{h.where(3)}/net/eno3")
        args = ("1", "DMA-FQ", "2", "DMA-FQ", "--allow-in-use", "net")
        d = h.plan(*args, "--confirm-timeout", "60", code=2)
        assert codes(d) == ["legs"], d
        assert not h.plan(*args, code=2)["problems"]
        # The timeout that there is by default for the third group is not taken.
        for some, expected in ((args, "No confirm timeout"), (args[2:], "Unless it is confirmed")):
            t = Terminal(h.command("set", "-n", *some, "3", "identity"))
            assert t.end() == 2 and expected in t.text and "steps" not in t.text, t.text


@test
def apart():
    with Sets() as h:
        for n, expected in (("pair", {1: 1, 2: 2}), (None, {1: 1, 2: 1})):
            line = f'apart = "{n}";' if n else ""
            rules = "".join(f'{{ name = "{n}-{i}"; match = {{ device = "0000:0{i}:00.0"; }}; '
                            f'type = "identity"; {line} }},'
                            for i in (1, 2))
            d = h.json("plan", h.policy(f"rules = ( {rules.rstrip(',')} );\n"), code=2)
            assert steps(d) == expected, d
        for bad in ('apart = 3;', 'apart = "";'):
            r = h.run("check", h.policy('rules = ( { name = "a"; match = { bus = "pci"; }; type = "DMA"; ' +
                                        bad + ' } );\n'), code=1)
            assert "apart" in r.err, r


class Running(Sets):
    """The usual host, whose ports of groups 1 and 3 are a bond."""

    def __init__(self):
        super().__init__(kernel=True)

    def __enter__(self):
        super().__enter__()
        net = f"{self.root}/sys/class/net"
        os.makedirs(f"{net}/bond0/bonding")
        with open(f"{net}/bond0/bonding/slaves", "w") as f:
            f.write("eth0 ib0\n")
        for name in ("eth0", "ib0"):
            os.makedirs(f"{net}/{name}/bonding_slave")
            with open(f"{net}/{name}/bonding_slave/mii_status", "w") as f:
                f.write("up\n")
        return self

    def log(self):
        """What each commit has found: the types of both groups."""
        path = f"{self.dir}/log"
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return f.read().split("\n")[:-1]

    def watch(self, more=""):
        types = " ".join(f"$(cat {self.root}/sys/kernel/iommu_groups/{n}/type)" for n in (1, 3))
        self.control("hook", f"#!/bin/sh\necho {types} >>{self.dir}/log\n{more}\n", 0o755)


CHANGE = ("set", "1", "identity", "3", "identity", "--allow-in-use", "net")


@test
def one_after_the_other():
    with Running() as h:
        h.watch()
        d = h.json(*CHANGE, code=0)
        assert d["result"] == "committed" and steps(d) == {1: 1, 3: 2}, d
        assert (h.type(1), h.type(3)) == ("identity", "identity")
        assert h.log() == ["identity DMA", "identity identity"], h.log()
        assert not h.transactions()
        entries = h.json("history", code=0)["entries"]
        assert len(entries) == 1 and len(entries[0]["plan"]["changes"]) == 2, entries
        d = h.json("undo", "--yes", "--allow-in-use", "net", code=0)
        assert (h.type(1), h.type(3)) == ("DMA-FQ", "DMA"), d


@test
def second_fails():
    with Running() as h:
        # The kernel refuses the second; a check command, or a fault, says no to it.
        for what in ("kernel", "check"):
            args = []
            if what == "kernel":
                h.watch(f"grep -q identity {h.root}/sys/kernel/iommu_groups/3/type || "
                        f"printf 'ECANCELED\\n3 0000:00:03.0 probe ENODEV no\\n' >{h.root}/control/commit")
            else:
                check = f"{h.dir}/check"
                with open(check, "w") as f:
                    f.write(f"#!/bin/sh\n! grep -q identity {h.root}/sys/kernel/iommu_groups/3/type\n")
                os.chmod(check, 0o755)
                h.watch()
                args = ["--check-command", check]
            d = h.json(*CHANGE, *args, code=4)
            if os.path.exists(f"{h.root}/control/commit"):
                os.unlink(f"{h.root}/control/commit")
            assert d["result"] == "restored", d
            assert (h.type(1), h.type(3)) == ("DMA-FQ", "DMA"), (what, h.type(1), h.type(3), d)
            assert not h.transactions(), h.transactions()


@test
def first_cannot_be_undone():
    # Its transaction is removed before the verdict on the second one, which is a no.
    with Running() as h:
        check = f"{h.dir}/check"
        with open(check, "w") as f:
            f.write(f"#!/bin/sh\ngrep -q identity {h.root}/sys/kernel/iommu_groups/3/type || exit 0\n"
                    f"{' '.join(h.command('rollback', '--forget', 'night'))}\nexit 1\n")
        os.chmod(check, 0o755)
        d = h.json(*CHANGE, "--name", "night", "--check-command", check, code=5)
        assert d["result"] == "failed" and (h.type(1), h.type(3)) == ("identity", "DMA"), d


@test
def refused_at_once():
    with Running() as h:
        h.watch()
        h.control("check", "EBUSY\n3 0000:00:03.0 check EBUSY no\n")
        h.json(*CHANGE, code=3)
        assert h.type(1) == "DMA-FQ" and not h.log()


@test
def left_out_by_the_check():
    # The only group of the second step, or of the first one.
    for group, device, left in ((3, "0000:00:03.0", 1), (1, "0000:01:00.0", 3)):
        with Running() as h:
            h.watch()
            h.control("check", f"EBUSY\n{group} {device} check EBUSY no\n")
            d = h.json(*CHANGE, "--skip-in-use")
            assert d["result"] == "committed" and steps(d) == {left: 1}, d
            assert [c["group"] for c in d["skipped"]] == [group], d
            assert h.type(left) == "identity" and len(h.log()) == 1 and not h.transactions()


@test
def leg_does_not_come_back():
    with Running() as h:
        down = f"{h.root}/sys/class/net/ib0/bonding_slave/mii_status"
        h.watch(f"echo down >{down}")
        d = h.json(*CHANGE, "--settle", "1", code=4)
        assert (h.type(1), h.type(3)) == ("DMA-FQ", "DMA") and "not-whole" in codes(d), d
        assert not h.transactions() and len(h.log()) == 1
        # A request to stop ends the waiting, and what waits for the link says so.
        with open(down, "w") as f:
            f.write("up\n")
        p = h.start(CHANGE[0], *CHANGE[1:])
        h.wait_state("unconfirmed")
        time.sleep(1)
        p.send_signal(signal.SIGTERM)
        time.sleep(1)
        # Now for what it has undone.
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
        err = p.communicate(timeout=120)[1]
        assert p.returncode == 4 and (h.type(1), h.type(3)) == ("DMA-FQ", "DMA"), err


@test
def killed_in_the_second():
    for name in (None, "night"):
        with Running() as h:
            check = f"{h.dir}/check"
            with open(check, "w") as f:
                f.write(f"#!/bin/sh\ngrep -q identity {h.root}/sys/kernel/iommu_groups/3/type && exec sleep 600\n:\n")
            os.chmod(check, 0o755)
            p = h.start(*CHANGE, "--check-command", check, *(["--name", name] if name else []))
            end = time.monotonic() + 60
            while h.type(3) != "identity" and time.monotonic() < end:
                time.sleep(0.05)
            (second,) = [n for n in h.transactions() if h.state(n) == "unconfirmed"]
            p.kill()
            p.communicate()
            # While it is unconfirmed nothing is known of the end.
            assert h.json("history", code=0)["entries"][-1]["result"] == "left"
            h.expire(second)
            end = time.monotonic() + 60
            while h.json("history", code=0)["entries"][-1]["result"] == "left" and time.monotonic() < end:
                time.sleep(0.1)
            assert (h.type(1), h.type(3)) == ("identity", "DMA")
            (entry,) = h.json("history", code=0)["entries"]
            assert (entry["result"], entry["exit"]) == ("committed", 0), entry
            plan = entry["plan"]
            assert [c["group"] for c in plan["changes"]] == [1] and \
                [c["group"] for c in plan["skipped"]] == [3], entry
            assert "steps-killed" in codes(entry), entry
            d = h.json("undo", "--yes", "--allow-in-use", "net", code=0)
            assert (h.type(1), h.type(3)) == ("DMA-FQ", "DMA"), d
            assert "steps-killed" in codes(d) and "1 of them is final" in str(d["problems"]), d


if __name__ == "__main__":
    sys.exit(main("legs"))
