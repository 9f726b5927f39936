#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What people type and read: targets by the names of other tools, tables, help, plans alone.

	test_names.py IOMMUCFG STANDIN [NAME...]
"""
import fcntl
import os
import re
import struct
import sys
import termios
import unicodedata

import mktree
from harness import GPU, Host, Terminal, main, test


def tree(host):
    t = mktree.Tree.__new__(mktree.Tree)
    t.top = host.root
    return t


def groups(host, *targets):
    return [g["group"] for g in host.json("show", *targets, code=0)["groups"]]


def refused(host, *targets):
    (x,) = host.json("show", *targets, code=1)["problems"]
    assert x["kind"] == "usage", x
    return x


@test
def spellings():
    with Host() as h:
        for word in ("0000:01:00.1", "01:00.1", "pci_0000_01_00_1", "pci@0000:01:00.1",
                     "1:0.1", "0:1:0.1", "PCI_0000_01_00_1", "PCI@01:00.1", "pci:0000:01:00.1",
                     "pci/0000:01:00.1", "/sys/bus/pci/devices/0000:01:00.1",
                     "/sys/devices/pci0000:00/0000:00:1c.4/0000:01:00.1/",
                     "/sys/kernel/iommu_groups/1/devices/0000:01:00.1", "/sys/kernel/iommu_groups/1"):
            assert groups(h, word) == [1], word
        for word in ("10000:E1:00.0", "10000:e1:00.0", "pci_10000_e1_00_0", "nvme1n1"):
            assert groups(h, word) == [9], word
        assert groups(h, "arm-smmu.0.auto") == groups(h, "platform/arm-smmu.0.auto") == [7]
        assert groups(h, "00:1F.2") == [4]
        # A slot alone is not taken for all that is in it, but what means that is said.
        for word in ("01:00", "0000:01:00"):
            assert 'did you mean "0000:01:00.*"?' in refused(h, word)["message"]
        assert groups(h, "0000:01:00.*") == groups(h, "01:00.*") == [1]
        for word in ("01:00.8", "1:0", "x1:0.1", "01:00.1x"):
            refused(h, word)
        # Without the word show, what can only be a target.
        for word in ("01:00.1", "/sys/bus/pci/devices/0000:01:00.1", "driver:nvidia"):
            assert h.run(word, code=0).out == h.run("show", word, code=0).out
        assert h.run("set", "-n", "eth0", "dma-fq", code=2).out.startswith("NAME")


@test
def by_what_is_on_it():
    with Host() as h:
        for word, number in (("eth0", 3), ("ib0", 1), ("nvme0n1", 2), ("nvme0n1p2", 2), ("dm-0", 2),
                             ("/dev/nvme0n1", 2), ("/dev/nvme0n1p1", 2), ("/dev/mapper/vg-home", 2),
                             ("/dev/sda", 4), ("/dev/vfio/6", 6), ("/sys/class/net/eth0", 3),
                             ("/sys/class/block/nvme0n1p1", 2)):
            assert groups(h, word) == [number], word
        # As udev has them, and as a class has what is neither disk nor interface.
        os.makedirs(f"{h.root}/dev/disk/by-id")
        os.symlink("../../nvme0n1", f"{h.root}/dev/disk/by-id/nvme-Samsung")
        assert groups(h, "/dev/disk/by-id/nvme-Samsung") == [2]
        gpu = "sys/devices/pci0000:00/0000:00:1c.4/0000:01:00.0"
        t = tree(h)
        t.write(f"{gpu}/drm/card0/dev", "226:0\n")
        t.link("sys/class/drm/card0", f"{gpu}/drm/card0")
        assert groups(h, "card0") == groups(h, "/dev/dri/card0") == [1]
        # A bond on one port is that port's, on two it is for a person to say.
        t.net("virtual/net/bond0")
        os.makedirs(f"{h.root}/sys/devices/virtual/net/bond0/lower_eth0")
        assert groups(h, "bond0") == [3]
        # In a tree with the links of the ports alone.
        t.net("virtual/net/br0")
        t.net("virtual/net/br0.7")
        os.makedirs(f"{h.root}/sys/devices/virtual/net/br0/upper_br0.7")
        nothing = refused(h, "br0.7")
        assert "on no device of an IOMMU group" in nothing["message"], nothing
        os.makedirs(f"{h.root}/sys/class/net/eth0/upper_br0")
        assert groups(h, "br0.7") == groups(h, "br0") == [3]
        assert groups(h, "/sys/block/sda") == groups(h, "sda") == [4]
        assert groups(h, "vg-home") == groups(h, "/dev/mapper/vg-home") == [2]
        os.makedirs(f"{h.root}/sys/devices/virtual/net/bond0/lower_ib0")
        x = refused(h, "bond0")
        assert "1 (0000:01:00.1)" in x["message"] and "3 (0000:00:03.0)" in x["message"], x
        assert x["errno"] == "ENOTUNIQ"


@test
def links_of_udev():
    """In a tree that has no /dev: by the names of volumes, and by udev's records."""
    with Host() as h:
        name = f"{h.root}/sys/class/block/dm-0/dm/name"
        with open(name) as f:
            assert f.read().strip() == "vg-home"
        assert groups(h, "/dev/vg/home") == [2]
        with open(name, "w") as f:
            f.write("my--vg-ho--me\n")
        assert groups(h, "/dev/my-vg/ho-me") == groups(h, "/dev/mapper/my--vg-ho--me") == [2]
        refused(h, "/dev/my/vg-ho-me")
        with open(f"{h.root}/sys/class/block/nvme0n1p1/dev") as f:
            number = f.read().strip()
        h.write(f"run/udev/data/b{number}", "S:disk/by-uuid/12\nS:disk/by-label/eth0\nE:ID_FS_TYPE=ext4\n")
        assert groups(h, "/dev/disk/by-uuid/12") == [2]
        # An interface of that name is in group 3.
        assert groups(h, "/dev/disk/by-label/eth0") == [2]
        for word in ("/dev/disk/by-uuid/1", "/dev/disk/by-uuid/123", "/dev/disk/by-label/ib0",
                     "/dev/isk/by-uuid/12"):
            refused(h, word)


@test
def several():
    with Host() as h:
        assert groups(h, "driver:nvme") == [2, 9]
        assert groups(h, "driver:i801-smbus") == [4]
        assert groups(h, "driver:*_smbus") == [4] and groups(h, "driver:nv*") == [1, 2, 9]
        assert groups(h, "0000:00:1f.*") == groups(h, "00:1f.*") == groups(h, "00:1f*") == [4]
        assert groups(h, "nvme*") == [2, 9] and groups(h, "e[nt]h?") == [3]
        d = h.json("set", "-n", "driver:nvme", "dma", code=2)
        assert [(c["group"], c["to"]) for c in d["changes"]] == [(2, "DMA"), (9, "DMA")]
        p = h.policy('default = "identity";')
        d = h.json("apply", "-n", "--only", "driver:nvme", p, code=2)
        assert [c["group"] for c in d["changes"]] == [2] and d["unchanged"] == 1, d
        assert "nosuch" in refused(h, "driver:nosuch")["message"]
        refused(h, "x*")


@test
def not_found():
    with Host() as h:
        for word, near in (("0000:01:00.7", "0000:01:00.0"), ("eht0", "eth0"), ("nvme0n2", "nvme0n1")):
            x = refused(h, word)
            assert f'did you mean "{near}"' in x["message"] and x["errno"] == "ENOENT", x
        for word in ("/dev/nosuch", "/sys/nosuch", "/etc/passwd", "99", "\x01"):
            assert refused(h, word)["errno"] == "ENOENT", word


@test
def in_no_group():
    """A device that is there, but in no group, is no typo."""
    with Host() as h:
        t = tree(h)
        for name in ("0000:00:1f.6", "0000:00:1c.4/0000:01:00.5"):
            d = f"sys/devices/pci0000:00/{name}"
            t.write(f"{d}/class", "0x020000\n")
            t.link(f"sys/bus/pci/devices/{os.path.basename(name)}", d)
        t.net("pci0000:00/0000:00:1c.4/0000:01:00.5/net/eth5")
        t.net("virtual/net/lo")
        for word in ("0000:00:1f.6", "00:1F.6", "pci_0000_00_1f_6", "/sys/bus/pci/devices/0000:00:1f.6"):
            x = refused(h, word)
            assert "in no IOMMU group" in x["message"] and x["errno"] == "ENODEV", x
        # The bridge above it is in one, but it is not the bridge.
        for word in ("eth5", "0000:01:00.5"):
            x = refused(h, word)
            assert "0000:01:00.5" in x["message"] and "in no IOMMU group" in x["message"], x
        x = refused(h, "lo")
        assert "on no device of an IOMMU group" in x["message"], x
        assert "eth5" not in h.run("show", "--all", "--raw", "-o", "NAMES", code=0).out


@test
def type_in_any_case():
    with Host() as h:
        for word, kind in (("dma", "DMA"), ("Dma-Fq", "DMA-FQ"), ("IDENTITY", "identity"), ("AUTO", "auto")):
            changes = h.json("set", "-n", "5", word)["changes"]
            assert [c["to"] for c in changes] == ([] if kind == "DMA" else [kind]), word
        assert "did you mean \"DMA\"" in h.run("set", "5", "dmaa", code=1).err
        h.run("check", "-", input='default = "dma";', code=1)


@test
def names_column():
    with Host() as h:
        lines = h.run("show", "--raw", "--noheadings", "-o", "DEVICE,NAMES", code=0).out.splitlines()
        names = dict(line.split(" ") for line in lines)
        assert names["0000:00:03.0"] == "eth0" and names["0000:01:00.1"] == "ib0"
        # Partitions, and paths of NVMe multipath, are none of their own.
        assert names["0000:00:02.0"] == "nvme0n1" and names["10000:e1:00.0"] == "nvme1n1"
        assert names["0000:00:1f.2"] == "sda" and names["0000:01:00.0"] == "-"
        t = tree(h)
        for i in range(2, 12):
            t.block(f"pci0000:00/0000:00:1f.2/ata{i}/block/sd{chr(96 + i)}", f"8:{i * 16}")
        assert "sda,sdb,sdc +8" in h.run("show", "4", code=0).out
        assert "sda,sdb,sdc,sdd,sde,sdf,sdg,sdh,sdi,sdj,sdk" in h.run("show", "--raw", "4", code=0).out


@test
def bridges():
    with Host() as h:
        short, full = h.run("show", code=0).out, h.run("show", "--all", code=0).out
        assert "0000:00:1c.4" not in short and "0000:00:1c.4" in full
        # A bridge with a driver of its own may use DMA.
        assert "0000:00:1f.0" in short
        assert short.splitlines()[-1] == \
            "10 groups, 12 devices; 1 bridge without a driver that uses DMA left out: --all"
        assert full.splitlines()[-1] == "11 groups, 13 devices"
        assert h.run("show", "-a", code=0).out == full
        for asked in (["show", "0"], ["show", "00:1c.4"], ["show", "--raw"]):
            assert "0000:00:1c.4" in h.run(*asked, code=0).out
        for quiet in ("--raw", "--noheadings"):
            assert "groups," not in h.run("show", quiet, code=0).out
        assert len(h.json("show", code=0)["groups"]) == 11


def width(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@test
def tables_fit():
    with Host() as h:
        t = tree(h)
        with open(f"{h.root}/proc/self/mountinfo", "a") as f:
            f.write("30 20 8:0 / /srv/" + "\u9577\u3044\u540d\u524d" * 12 + " rw - ext4 /dev/sda rw\n")
        t.write("usr/share/misc/pci.ids", mktree.PCI_IDS)
        p = h.policy(GPU.replace('"gpu"', '"a rule with a name that says what it is for"') +
                     'default = "identity";', "a-policy-file-with-a-long-name.conf")
        for args in ([], ["-l"], ["-a"], ["-o", "NAME,PATH,VENDOR,MODEL,DESCRIPTION,IN-USE"], ["-o", "+PATH"]):
            lines = h.run("show", *args, code=0).out.splitlines()
            assert max(map(width, lines)) <= 80, max(lines, key=width)
        for args in ([], ["-l"]):
            lines = h.run("plan", *args, p, code=2).out.splitlines()
            wide = [x for x in lines if width(x) > 80]
            assert all(x.startswith("apply would") for x in wide), wide
        out = h.run("show", code=0).out
        assert "DESCRIPTION" not in out and "\u2026" in out and "NAMES" in out
        # There is room: nothing goes, nothing is cut.
        for columns, words in ((300, True), (100, False), (40, False)):
            env = dict(os.environ, COLUMNS=str(columns))
            out = h.run("show", code=0, env=env).out
            assert ("DESCRIPTION" in out) == words and ("\u2026" in out) == (not words), out
            assert columns < 80 or max(map(width, out.splitlines())) <= columns
        # WHERE goes after DESCRIPTION. Who asks for a column gets it.
        head = h.run("plan", h.policy(GPU), code=2, env=dict(os.environ, COLUMNS="65")).out.split("\n")[0]
        assert "RULE" in head and "WHERE" not in head and "DESCRIPTION" not in head, head
        assert "DESCRIPTION" in h.run("show", "-o", "+DESCRIPTION", code=0).out
        # What is for a program is whole, and a terminal that has no such letter gets dots.
        assert "\u2026" not in h.run("show", "--raw", code=0).out
        out = h.run("show", code=0, env=dict(os.environ, LC_ALL="C")).out
        assert "..." in out and "\u2026" not in out


class Window(Terminal):
    def __init__(self, argv, columns):
        super().__init__(["/bin/sh", "-c", 'read x; exec "$@"', "sh", *argv])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.send("\n")


@test
def terminals():
    """At a terminal tables and messages have its width; elsewhere a message is one line."""
    with Host() as h:
        p = h.policy('rules = ( { name = "disk"; match = { driver = "nvme"; }; type = "DMA"; } );')
        for columns in (60, 80, 132):
            t = Window(h.command("--no-color", "plan", p), columns)
            assert t.end() == 2
            lines = [x for x in t.text.replace("\r", "").split("\n")
                     if not x.startswith(("apply would", "DMA: "))]
            assert max(map(width, lines)) <= columns, lines
            assert columns > 100 or re.search(r"\n  \S", t.text.replace("\r", "")), t.text
        err = h.run("plan", p, code=2).err
        assert all(line.startswith("iommucfg: ") for line in err.splitlines()) and len(err) > 200


@test
def helps():
    with Host() as h:
        top = h.run("help", code=0).out
        assert top == h.run("--help", code=0).out
        commands = re.findall(r"^  ([a-z]+) +\S", top, re.M)
        assert {"show", "help", "version", "apply"} <= set(commands), commands
        for c in commands:
            out = h.run("help", c, code=0).out
            assert out == h.run(c, "--help", code=0).out and out.startswith(f"Usage: iommucfg {c}")
            assert max(map(len, (top + out).splitlines())) <= 80, c
        assert "did you mean \"apply\"" in h.run("help", "aply", code=1).err
        h.run("help", "show", "plan", code=1)
        version = h.run("--version", code=0).out
        assert version.startswith("iommucfg ")
        for args in (["version"], ["-V"], ["show", "-V"], ["apply", "-qV"]):
            assert h.run(*args, code=0).out == version, args
        h.run("version", "x", code=1)


@test
def dry_run():
    """The plan alone, with the exit status of plan, and nothing is written anywhere."""
    with Host() as h:
        p = h.policy(GPU)
        plan = h.run("plan", p, code=2)
        for args in (["apply", "-n", p], ["apply", "--dry-run", "--yes", "--detach", "--name", "x", p]):
            assert h.run(*args, code=2).out == plan.out
        d, e = h.json("apply", "-n", p, code=2), h.json("plan", p, code=2)
        assert d.pop("entry") is None and d.pop("schema") == "iommucfg/apply/1" and e.pop("schema") == "iommucfg/plan/1" and d == e
        h.run("apply", "-n", h.policy("", "empty.conf"), code=0)
        h.run("apply", "-n", h.policy("x", "bad.conf"), code=1)
        h.run("apply", "-n", "--boot", code=1)
        d = h.json("set", "-n", "1", "identity", code=2)
        assert d["result"] == "planned" and d["changes"][0]["rule"]["name"] is None
        assert h.run("set", "-n", "1", "identity", code=2).out.splitlines()[-1] == "set would change 1 group."
        h.run("set", "-n", "1", "DMA-FQ", code=0)
        h.run("set", "-n", "nosuch", "DMA-FQ", code=1)
        h.run("rollback", "-n", code=1)
        assert os.listdir(f"{h.root}/var/lib") == []
        assert not os.path.exists(f"{h.root}/run")
    with Host(kernel=True) as h:
        h.run("apply", "--yes", h.policy(GPU), code=0)
        with open(f"{h.root}/var/lib/iommucfg/history") as f:
            history = f.read()
        d = h.run("rollback", "--json", "-n", "--to", "1", code=2)
        assert '"planned"' in d.out and '"iommucfg/rollback-to/1"' in d.out, d
        h.run("set", "-n", "1", "dma", code=2)
        assert h.type(1) == "identity" and h.transactions() == []
        with open(f"{h.root}/var/lib/iommucfg/history") as f:
            assert f.read() == history


if __name__ == "__main__":
    sys.exit(main("names"))
