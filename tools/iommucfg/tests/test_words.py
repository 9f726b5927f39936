#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The words of --allow-in-use: what each permits, and what none does.

	test_words.py IOMMUCFG STANDIN [NAME...]
"""
import itertools
import os
import sys

import mktree
from harness import Host, main, test
from machine import Machine

WORDS = ("net", "default-route", "block", "mounted", "other")
NICS = 'rules = ( { name = "n"; match = { class = "network"; }; type = "identity"; } );'
DISKS = 'rules = ( { name = "d"; match = { class = "storage"; }; type = "identity"; } );'


def refused(host, policy, *args):
    """The groups that a plan would be refused for."""
    d = host.json("plan", *args, policy, code=2)
    return sorted({x["group"] for x in d["problems"] if x["kind"] in ("in-use", "default-route")})


def hints(host, policy, *args):
    d = host.json("plan", *args, policy, code=2)
    return {x["message"].rsplit("; ", 1)[1] for x in d["problems"] if x["kind"] in ("in-use", "default-route")}


class Disks(Host):
    """1 mounted, 2 held by md, 3 with one of each, 4 the root, 5 not used, 6 a GPU."""

    def __enter__(self):
        super().__enter__()
        self.root = self.top = os.path.join(self.dir, "disks")
        os.mkdir(self.top)
        t = self.tree = mktree.Tree(self.top)
        for n in range(1, 6):
            path = f"pci0000:00/0000:00:0{n}.0/0000:0{n}:00.0"
            t.group(n, "DMA")
            t.device(n, path, driver="ahci", vendor=0x8086, device=0x2922, klass=0x010601)
            t.block(f"{path}/ata{n}/block/sd{chr(96 + n)}", f"8:{n * 16}", holders=["md0"] if n == 2 else [])
        t.block("pci0000:00/0000:00:03.0/0000:03:00.0/ata9/block/sdz", "65:0", holders=["md1"])
        t.block("pci0000:00/0000:00:01.0/0000:01:00.0/ata1/block/sda/sda2", "8:18", holders=["md2"])
        t.write("proc/self/mountinfo", "20 1 8:64 / / rw - ext4 /dev/sdd rw\n21 20 8:16 / /srv rw - ext4 /dev/sda rw\n"
                "22 20 8:48 / /data rw - ext4 /dev/sdc rw\n")
        return self


@test
def disks():
    with Disks() as h:
        p = h.policy(DISKS)
        assert refused(h, p) == [1, 2, 3, 4]
        for n in range(len(WORDS) + 1):
            for words in itertools.combinations(WORDS, n):
                # What is held needs block, what is mounted its word, which is one for that
                # disk only; and the root has none.
                expected = [4]
                if "mounted" not in words:
                    expected += [1, 3]
                elif "block" not in words:
                    expected += [3]
                if "block" not in words:
                    expected += [2]
                found = refused(h, p, "--allow-in-use", ",".join(words))
                assert found == sorted(expected), (words, found)


@test
def no_hint_loses_data():
    with Disks() as h:
        p = h.policy(DISKS)
        for args in ([], ["--allow-in-use", "block"], ["--allow-in-use", "net,other"]):
            r = h.run("plan", *args, p, code=2)
            for line in (r.err + r.out).splitlines():
                assert "--allow-in-use mounted" not in line and "--yes" not in line, line
                # Block is no advice for a disk that has a mount on it.
                assert "--allow-in-use block" not in line or "sdb" in line or "sdz" in line, line
        assert hints(h, p) == {"that is never overridden", "it has to be unmounted first",
                               "what is on it has to end first", "--allow-in-use block permits it"}


@test
def networks():
    with Machine() as m:
        p = m.policy(NICS)
        m.route("eno1", "0.0.0.0", 0, "10.0.1.2")
        m.mount("/data", "nfs4", "10.0.2.9:/data", "rw,addr=10.0.2.9")
        m.write()
        for args, expected in (
                ([], [1, 2, 3]), (["--allow-in-use", "net"], [1, 2]),
                # The kernel brings the route back, not what was lost of a mount.
                (["--allow-in-use", "net", "--confirm-timeout", "60"], [2]),
                (["--allow-in-use", "default-route"], [3]),
                (["--allow-in-use", "default-route,net"], []),
                (["--allow-in-use", "block,mounted,other", "--confirm-timeout", "60"], [1, 2, 3])):
            assert refused(m, p, *args) == expected, args
        assert hints(m, p) == {"--allow-in-use net permits it", "--allow-in-use default-route permits it",
                               "--allow-in-use net and a confirm timeout permit it"}
        assert hints(m, p, "--allow-in-use", "net") == {"a confirm timeout permits it",
                                                        "--allow-in-use default-route permits it"}
        d = m.json("plan", "--skip-in-use", "--allow-in-use", "net", p, code=2)
        assert [c["group"] for c in d["skipped"]] == [1, 2] and [c["group"] for c in d["changes"]] == [3]
    with Machine() as m:
        p = m.policy(NICS)
        m.mount("/data", "nfs", "10.0.2.9:/data", "rw,addr=10.0.2.9,proto=rdma")
        m.write()
        assert refused(m, p, "--allow-in-use", "net,default-route") == [2]
        assert refused(m, p, "--allow-in-use", "net,mounted") == []


@test
def never():
    with Host() as h:
        p = h.policy('default = "identity";')
        # The root and swap, and what a guest has; virtual functions.
        every = ",".join(WORDS)
        assert {2, 6} <= set(refused(h, p, "--allow-in-use", every, "--confirm-timeout", "60"))
        d = h.json("plan", "--skip-in-use", "--allow-in-use", every, p, code=2)
        assert {2, 6} <= {c["group"] for c in d["skipped"]}


@test
def said():
    """On the command line, in a policy, and to the kernel in its own words."""
    with Host() as h:
        for word in WORDS:
            p = h.policy(f'options = {{ allow_in_use = [ "{word}" ]; }};')
            assert h.json("check", p, code=0)["options"]["allow_in_use"] == [word]
            h.run("plan", "--allow-in-use", word, p, code=0)
        assert 'did you mean "default-route"' in h.run("plan", "--allow-in-use", "default-rout", p, code=1).err
        assert "mounted" in h.run("plan", "--allow-in-use", "x", p, code=1).err
    # "block" only where a disk needs it: the kernel gives up its claim on all of a transaction.
    for words, kernel, disk in (
            ("net", "net", None), ("default-route", "net", None), ("other", "other", None), ("", "", None),
            ("block", "", None), ("block", "block", "held"), ("mounted", "block", "mounted"),
            ("other,mounted,default-route", "net other", None),
            ("other,mounted,default-route", "net block other", "mounted")):
        with Host(kernel=True) as h:
            t = mktree.Tree.__new__(mktree.Tree)
            t.top = h.root
            t.block("pci0000:00/0000:00:1c.4/0000:01:00.1/block/sdw", "65:96",
                    holders=["md9"] if disk == "held" else [])
            if disk == "mounted":
                with open(f"{h.root}/proc/self/mountinfo", "a") as f:
                    f.write("99 20 65:96 / /srv/w rw - ext4 /dev/sdw rw\n")
            h.run("set", "1", "DMA", "--allow-in-use", words, "--confirm-timeout", "60", "--detach", "--settle", "0",
                  "--name", "t", code=0)
            with open(f"{h.iommu}/t/allow_in_use") as f:
                assert f.read().strip() == kernel, words


@test
def what_ends_a_use():
    """What is never overridden comes with what ends it, where that is known."""
    with Host() as h:
        with open(f"{h.root}/sys/kernel/iommu_groups/12/type", "w") as f:
            f.write("DMA\n")
        (p,) = [x for x in h.json("set", "12", "identity", "-n", code=2)["problems"]
                if "virtual function" in x["message"]]
        assert p["fix"] == "echo 0 >/sys/bus/pci/devices/0000:00:04.0/sriov_numvfs", p
        assert "sriov_numvfs" in p["message"], p
        (p,) = [x for x in h.json("set", "6", "identity", "-n", code=2)["problems"] if x["kind"] == "in-use"]
        assert "stop the virtual machine" in p["message"] and p["fix"] is None, p
        assert "swapoff ends it" in str(h.json("set", "2", "identity", "-n", code=2)["problems"])


@test
def yes_is_no_word():
    with Host(kernel=True) as h:
        before = h.type(3)
        for words in ("net", ""):
            d = h.json("set", "3", "identity", "--yes", "--allow-in-use", words, code=3)
            assert d["result"] == "refused" and h.type(3) == before and h.transactions() == []
        h.run("set", "2", "identity", "--yes", "--allow-in-use", ",".join(WORDS), code=3)
        h.run("set", "3", "identity", "--allow-in-use", "default-route", code=0)
        assert h.type(3) == "identity"


if __name__ == "__main__":
    sys.exit(main("words"))
