#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is looked at right before a commit, and which groups go in which transaction.

	test_commit.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import sys

import mktree
from harness import Host, main, test


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


sys.exit(main("commit"))
