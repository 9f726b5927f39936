#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Policies that "save" writes: what keeps its place in them, and what does not.

	test_save.py IOMMUCFG STANDIN [NAME...]
"""
import os
import sys

import mktree
from harness import Host, main, test

TYPES = ("identity", "DMA", "DMA-FQ")


class Box(Host):
    """Disks by their ways down: (path below sys/devices, type)."""

    def __init__(self, *disks):
        super().__init__()
        self.disks = disks

    def __enter__(self):
        super().__enter__()
        self.root = os.path.join(self.dir, "box")
        os.mkdir(self.root)
        t = mktree.Tree(self.root)
        for n, (path, kind) in enumerate(self.disks):
            t.group(n, kind)
            if path.startswith("platform"):
                t.device(n, path, bus="platform")
            else:
                t.device(n, path, driver="nvme", vendor=0x144d, device=0xa80a, klass=0x010802)
        return self


def moved(before, after):
    """The document of a plan of what was saved on one machine, on another."""
    with Box(*before) as a, Box(*after) as b:
        return b.json("plan", "-", input=a.run("save", code=0).out)


def vmd(domain, bus, types, controllers=("0000:00:0e.0",)):
    return [(f"pci0000:00/{c}/pci{domain + i}:{bus:02x}/{domain + i}:{bus:02x}:0{p}.0/{domain + i}:{bus + p:02x}:00.0",
             types[i * 2 + p - 1]) for i, c in enumerate(controllers) for p in (1, 2)]


@test
def below_a_controller():
    """Domain and buses below VMD are numbered as it comes."""
    types = ("identity", "DMA", "DMA-FQ", "identity")
    two = ("0000:00:0e.0", "0000:00:0f.0")
    before = vmd(10000, 0xe0, types, two)
    with Box(*before) as h:
        paths = [g["devices"][0]["path"] for g in h.json("show")["groups"]]
        assert paths == ["0000:00:0e.0/01.0/00.0", "0000:00:0e.0/02.0/00.0",
                         "0000:00:0f.0/01.0/00.0", "0000:00:0f.0/02.0/00.0"], paths
        assert h.json("save", code=0)["problems"] == []
    # The controllers came the other way round.
    after = vmd(10000, 0x20, types[2:] + types[:2], two[::-1])
    d = moved(before, after)
    assert d["changes"] == [] and d["problems"] == [], d
    d = moved(before, vmd(10000, 0x20, ["DMA"] * 4, two[::-1]))
    assert [c["to"] for c in d["changes"]] == ["DMA-FQ", "identity", "identity"], d["changes"]


@test
def below_a_bridge():
    def tree(bus, kind):
        return [(f"pci0000:00/0000:00:01.0/0000:{bus:02x}:00.0", kind)]

    d = moved(tree(1, "identity"), tree(7, "DMA"))
    assert [c["to"] for c in d["changes"]] == ["identity"] and d["problems"] == []


@test
def another_root_bus():
    def tree(root, kind="identity"):
        return [(f"pci0000:{root:02x}/0000:{root:02x}:00.0/0000:{root + 1:02x}:00.0", kind),
                ("pci0000:00/0000:00:01.0/0000:01:00.0", "DMA")]

    with Box(*tree(0x17)) as h:
        (x,) = h.json("save", code=0)["problems"]
        assert x["kind"] == "unstable" and x["group"] == 0 and x["device"] == "0000:18:00.0", x
        text = h.run("save", code=0).out
        assert text.count("required = true") == 2 and text.count("Not stable") == 1, text
        assert "root bus" in h.run("save", code=0).err
    d = moved(tree(0x17), tree(0x18, "DMA"))
    (x,) = [x for x in d["problems"] if x["kind"] == "required"]
    assert "0000:17:00.0" in x["message"] and d["result"] == "error", d
    assert moved(tree(0x17), tree(0x17))["result"] == "nothing-to-do"


@test
def virtual_functions_on_further_buses():
    """Their way down is that of another function on the first bus."""
    def box(types, ids=(0xa80a, 0x154c, 0x154c, 0x154c)):
        class Functions(Box):
            def __enter__(self):
                super().__enter__()
                t = mktree.Tree(os.path.join(self.dir, "vfs"))
                self.root = t.top
                for n, address in enumerate(("01:00.0", "01:10.0", "02:00.0", "02:10.0")):
                    t.group(n, types[n])
                    t.device(n, f"pci0000:00/0000:00:01.0/0000:{address}", driver="nvme",
                             vendor=0x144d, device=ids[n], klass=0x010802)
                return self
        return Functions()

    # Told apart by what they are, or of one type: no address is needed.
    for types, ids in ((("DMA", "identity", "identity", "identity"), None),
                       (("DMA", "identity", "DMA-FQ", "identity"), None),
                       (("DMA", "DMA", "identity", "DMA"), (1, 2, 3, 2))):
        with box(types, *([ids] if ids else [])) as h:
            d = h.json("save", code=0)
            assert d["problems"] == [] and "device =" not in d["policy"], d
            d = h.json("plan", "-", input=d["policy"], code=0)
            assert d["unchanged"] == 4 and d["problems"] == [], d
    with box(("DMA", "identity", "DMA-FQ", "DMA")) as h:
        d = h.json("save", code=0)
        assert [p["device"] for p in d["problems"]] == ["0000:01:10.0", "0000:02:10.0"], d
        assert all(p["code"] == "unstable" and "same way down" in p["message"] for p in d["problems"])
        assert d["policy"].count("// Not stable: another device has the same way down") == 2
        d = h.json("plan", "-", input=d["policy"], code=0)
        assert d["unchanged"] == 4 and d["problems"] == [], d


@test
def names_that_the_kernel_makes():
    with Box(("platform/fb000000.usb", "DMA"), ("platform/dma.3.auto", "DMA")) as h:
        (x,) = h.json("save", code=0)["problems"]
        assert x["device"] == "dma.3.auto", x


if __name__ == "__main__":
    sys.exit(main("save"))
