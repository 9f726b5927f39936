#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is in use, on saved trees of machines as people have them.

	test_use.py IOMMUCFG STANDIN [TEST...]
"""
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

from harness import IOMMUCFG, Skip, main, schema, test
import jsonschema
import mktree

ANY = 'rules = ( { name = "all"; match = { bus = [ "pci", "mdev" ]; }; type = "identity"; } );\n'
ROOT = "pci0000:00"


class Machine(mktree.Tree):
    """A tree, and what iommucfg says of it."""

    def __enter__(self):
        return self

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="iommucfg-test.")
        super().__init__(os.path.join(self.dir, "root"))
        self.groups, self.mounts, self.numbers = 0, b"", 0
        self.write("proc/sys/kernel/osrelease", "6.12.0-test\n")
        self.write("proc/swaps", "Filename Type Size Used Priority\n")

    def __exit__(self, *unused):
        shutil.rmtree(self.dir)

    def add(self, path, driver="nvme", klass=0x010802, kind="DMA", **kw):
        """A device in a group of its own; returns its directory."""
        self.groups += 1
        self.group(self.groups, kind)
        if kw.get("bus", "pci") == "pci":
            kw.setdefault("vendor", 0x8086)
            kw.setdefault("device", 0x1234)
            kw.setdefault("klass", klass)
        self.device(self.groups, f"{ROOT}/{path}", driver=driver, **kw)
        return f"{ROOT}/{path}"

    def disk(self, address, name, parts=(), **kw):
        """An NVMe disk; PARTS have their holders. Numbers count up from 259:1."""
        where = f"{self.add(address)}/nvme/{name[:-2]}/{name}"
        self.numbers += 1
        self.block(where, f"259:{self.numbers}", **kw)
        for i, holders in enumerate(parts, 1):
            self.numbers += 1
            self.block(f"{where}/{name}p{i}", f"259:{self.numbers}", holders=holders)
        return where

    def number(self, name):
        with open(f"{self.top}/sys/class/block/{name}/dev") as f:
            return f.read().strip()

    def mount(self, number, target, kind, source, options="rw", pid="self"):
        line = f"30 1 {number} / {target} rw shared:1 - {kind} {source} {options}\n".encode()
        path = f"{self.top}/proc/{pid}/mountinfo"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab") as f:
            f.write(line)

    def opened(self, pid, comm, *files):
        os.makedirs(f"{self.top}/proc/{pid}/fd", exist_ok=True)
        for file in files:
            os.symlink(file, f"{self.top}/proc/{pid}/fd/{len(os.listdir(f'{self.top}/proc/{pid}/fd'))}")
        with open(f"{self.top}/proc/{pid}/comm", "wb") as f:
            f.write(comm if isinstance(comm, bytes) else comm.encode() + b"\n")

    def node(self, path, number="240:0", **files):
        """A character device; PATH is below sys/devices."""
        self.write(f"sys/devices/{path}/dev", number + "\n")
        for name, text in files.items():
            self.write(f"sys/devices/{path}/{name}", text + "\n")

    def run(self, *args, policy=ANY):
        path = os.path.join(self.dir, "test.conf")
        with open(path, "w") as f:
            f.write(policy)
        return subprocess.run([IOMMUCFG, "--root", self.top, *args, path], capture_output=True,
                              timeout=120)

    def plan(self, *args, **kw):
        d = json.loads(self.run("plan", "--json", *args, **kw).stdout.decode())
        jsonschema.validate(d, schema("plan"))
        return d

    def uses(self):
        """By the end of the device's name: "KIND NAME: DETAIL"."""
        return {v["name"][5:] if v["name"].startswith("0000:") else v["name"]:
                [f"{u['kind']} {u['name']}: {u['detail']}" for u in v["in_use"]]
                for c in self.plan()["changes"] for v in c["devices"]}

    def never(self):
        """The uses that no word permits, as the messages have them."""
        words = ": ".join
        return {(p["device"][5:], words(p["message"].split("; ")[0].split(": ")[2:]))
                for p in self.plan("--allow-in-use", "net,block")["problems"]
                if "never" in p["message"]}


@test
def all_devices_of_a_file_system():
    with Machine() as m:
        for i in range(9):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1")
        # btrfs of the first two, with one of them in the table; the third is free
        m.mount("0:45", "/srv", "btrfs", "/dev/nvme0n1")
        uuid = "sys/fs/btrfs/5d3c1f62-0000-4000-8000-000000000001"
        for n in (0, 1):
            m.link(f"{uuid}/devices/nvme{n}n1", f"sys/class/block/nvme{n}n1")
        m.mount("0:46", "/bc", "bcachefs", "/dev/nvme3n1:/dev/nvme4n1")
        m.mount(m.number("nvme5n1"), "/x", "xfs", "/dev/nvme5n1", "rw,logdev=/dev/nvme6n1,noquota")
        m.mount(m.number("nvme7n1"), "/e", "ext4", "/dev/nvme7n1", "rw")
        os.makedirs(f"{m.top}/proc/fs/jbd2/nvme8n1")
        u = m.uses()
        assert u["01:00.0"] == ["mount nvme0n1: /srv"] and u["02:00.0"] == ["mount nvme1n1: /srv"], u
        assert u["03:00.0"] == [], u
        assert u["04:00.0"] == ["mount nvme3n1: /bc"] and u["05:00.0"] == ["mount nvme4n1: /bc"], u
        assert u["06:00.0"] == ["mount nvme5n1: /x"] and u["07:00.0"] == ["mount nvme6n1: /x"], u
        assert u["09:00.0"] == ["journal nvme8n1: journal of a mounted file system",
                                "mount nvme8n1: /e"], u
        # A journal inside of the file system is no device.
        os.makedirs(f"{m.top}/proc/fs/jbd2/nvme7n1-8")
        assert m.uses()["09:00.0"] == ["journal nvme8n1: journal of a mounted file system"]


@test
def btrfs_that_no_table_names():
    with Machine() as m:
        for i in range(3):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1")
        for n, uuid in ((0, "aaaa-1"), (1, "bbbb-2")):
            m.link(f"sys/fs/btrfs/{uuid}/devices/nvme{n}n1", f"sys/class/block/nvme{n}n1")
        m.mount("0:45", "/old", "btrfs", "/dev/disk/by-uuid/aaaa-1")
        m.mount("0:46", "/", "btrfs", "/dev/root")
        assert m.uses() == {"01:00.0": ["mount nvme0n1: /old"], "02:00.0": ["mount nvme1n1: /"],
                            "03:00.0": []}
        assert m.never() == {("02:00.0", "mount nvme1n1: /")}


@test
def zfs():
    with Machine() as m:
        for i in range(3):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1", parts=[()])
        m.add("0000:09:00.0", "pcieport", 0x060400)
        m.disk("0000:09:00.0/0000:0a:00.0", "nvme9n1")
        for i in range(40):
            m.mount(f"0:{50 + i}", f"/tank/{i}", "zfs", f"tank/{i}")
        # Nothing tells: each disk may be one.
        r = m.run("plan")
        assert r.stderr.count(b"zfs") == 1 and b"cannot be told" in r.stderr, r.stderr
        assert b"/tank/0 (tank/0)" in r.stderr
        d = m.plan("--skip-in-use")
        # Nothing of a port is released.
        assert [c["group"] for c in d["skipped"]] == [1, 2, 3, 5], d
        assert [c["group"] for c in d["changes"]] == [4], d
        for n, pool in ((0, "tank"), (1, "tank"), (2, "other")):
            m.write(f"run/udev/data/b{m.number(f'nvme{n}n1p1')}",
                    f"S:disk/by-id/x{n}\nE:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL={pool}\n")
        u = m.uses()
        assert u["01:00.0"] == u["02:00.0"][:0] + [
            "mount nvme0n1p1: /tank/0", "mount nvme0n1p1: /tank/1", "mount nvme0n1p1: /tank/2",
            "mount nvme0n1p1: 37 more mount points"], u
        assert len(u["02:00.0"]) == 4 and u["03:00.0"] == [] and b"zfs" not in m.run("plan").stderr


@test
def zfs_volumes():
    """Nothing links a volume of a pool to the pool's disks."""
    with Machine() as m:
        for i in range(3):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1", parts=[()])
        m.block("virtual/block/zd0", "230:0")
        m.block("virtual/block/zd0/zd0p1", "230:1")
        m.mount("230:1", "/vm", "ext4", "/dev/zd0p1")
        r = m.run("plan")
        assert r.stderr.count(b"the ZFS volume zd0 (/vm) stands on cannot be told") == 1, r.stderr
        assert len(m.plan("--skip-in-use")["skipped"]) == 3
        for n, pool in ((0, "tank"), (1, "other")):
            m.write(f"run/udev/data/b{m.number(f'nvme{n}n1p1')}",
                    f"E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL={pool}\n")
        u = m.uses()
        assert u["01:00.0"] == ["mount nvme0n1p1: /vm over zd0"] and len(u["02:00.0"]) == 1, u
        assert u["03:00.0"] == [], u
        m.write("run/udev/data/b230:0", "S:zvol/tank/vm-1\n")
        m.block("virtual/block/zd16", "230:16")
        m.write("run/udev/data/b230:16", "S:zvol/other/swap\n")
        m.write("proc/swaps", "Filename Type Size Used Priority\n/dev/zd16 partition 1 0 100\n")
        u = m.uses()
        assert u["01:00.0"] == ["mount nvme0n1p1: /vm over zd0"], u
        assert u["02:00.0"] == ["swap nvme1n1p1: swap over zd16"] and u["03:00.0"] == [], u
        assert m.never() == {("02:00.0", "swap nvme1n1p1: swap over zd16")}
    # A pool that is imported holds its disks, with nothing mounted.
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1", parts=[()])
        m.disk("0000:02:00.0", "nvme1n1", parts=[()])
        for n, pool in ((0, "tank"), (1, "exported")):
            m.write(f"run/udev/data/b{m.number(f'nvme{n}n1p1')}",
                    f"E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL={pool}\n")
        m.write("proc/spl/kstat/zfs/arcstats", "x\n")
        m.write("proc/spl/kstat/zfs/tank/state", "ONLINE\n")
        u = m.uses()
        assert u == {"01:00.0": ["holder nvme0n1p1: ZFS pool tank"], "02:00.0": []}, u
        assert m.plan("--allow-in-use", "block")["problems"] == []


@test
def flash_memory():
    """UBIFS and JFFS2 are mounted without a block device."""
    def flash(m, *names):
        spi = m.add("0000:00:1f.5", "intel-spi", 0x0c8000)
        for i, name in enumerate(names):
            m.write(f"sys/devices/{spi}/mtd/mtd{i}/name", name + "\n")
            m.link(f"sys/class/mtd/mtd{i}", f"sys/devices/{spi}/mtd/mtd{i}")

    def ubi(m, mtd):
        m.write("sys/devices/virtual/ubi/ubi0/mtd_num", f"{mtd}\n")
        m.link("sys/class/ubi/ubi0", "sys/devices/virtual/ubi/ubi0")
        m.link("sys/class/ubi/ubi0_0", "sys/devices/virtual/ubi/ubi0/ubi0_0")

    for kind, source in (("ubifs", "ubi0:root"), ("ubifs", "ubi0_0"), ("ubifs", "/dev/ubi0_0"),
                         ("ubifs", "ubi:root")):
        with Machine() as m:
            flash(m, "boot", "root")
            ubi(m, 1)
            m.mount("0:30", "/", kind, source)
            assert m.uses()["00:1f.5"] == ["mount 0000:00:1f.5: /",
                                           "ubi ubi0: attached to its flash memory"], m.uses()
            assert m.never() == {("00:1f.5", "mount 0000:00:1f.5: /")}
    for source in ("mtd1", "mtd:root"):
        with Machine() as m:
            flash(m, "boot", "root")
            m.mount("0:30", "/cfg", "jffs2", source)
            assert m.uses()["00:1f.5"] == ["mount 0000:00:1f.5: /cfg"], m.uses()
            assert m.plan("--allow-in-use", "mounted")["problems"] == []
    with Machine() as m:
        flash(m, "root")
        ubi(m, 0)
        m.block("virtual/block/ubiblock0_0", "252:0")
        m.mount("252:0", "/", "squashfs", "/dev/ubiblock0_0")
        assert m.never() == {("00:1f.5", "mount ubiblock0_0: /")}, m.uses()
    with Machine() as m:
        flash(m, "root")
        m.mount("0:30", "/x", "jffs2", "mtd:other")
        assert m.uses()["00:1f.5"] == []
        m.node(f"{ROOT}/0000:00:1f.5/mtd/mtd0", "90:0")
        m.opened(5, "flashrom", "/dev/mtd0")
        assert m.uses()["00:1f.5"] == ["open /dev/mtd0: held by PID 5 (flashrom)"], m.uses()
        assert m.plan("--allow-in-use", "other")["problems"]
        assert m.plan("--allow-in-use", "block")["problems"] == []


@test
def virtio():
    """virtiofs and 9p are mounted by a tag: what has their drivers is theirs."""
    with Machine() as m:
        for n, driver in ((1, "virtiofs"), (2, "9pnet_virtio"), (3, "virtio_console")):
            d = f"{m.add(f'0000:00:0{n}.0', 'virtio-pci', 0x018000)}/virtio{n}"
            m.link(f"sys/devices/{d}/driver", f"sys/bus/virtio/drivers/{driver}")
            m.link(f"sys/bus/virtio/devices/virtio{n}", f"sys/devices/{d}")
        m.mount("0:30", "/", "virtiofs", "root")
        m.mount("0:31", "/share", "9p", "share", "rw,trans=virtio")
        m.mount("0:32", "/net", "9p", "10.0.0.1", "rw,trans=tcp")
        assert m.uses() == {"00:01.0": ["mount 0000:00:01.0: /"],
                            "00:02.0": ["mount 0000:00:02.0: /share"], "00:03.0": []}, m.uses()
        assert m.never() == {("00:01.0", "mount 0000:00:01.0: /")}


@test
def swap():
    """A partition whose node was removed, a file on several disks, and one that is in no table."""
    head = "Filename Type Size Used Priority\n"
    with Machine() as m:
        for i in range(4):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1", parts=[()])
        for n in (0, 1):
            m.link(f"sys/fs/btrfs/aaaa-1/devices/nvme{n}n1p1", f"sys/class/block/nvme{n}n1p1")
        m.mount("0:45", "/data", "btrfs", "/dev/nvme1n1p1")
        m.write("proc/swaps", head + "/dev/nvme2n1p1\\040(deleted) partition 1 0 -2\n"
                "/data/a\\040b/swap\\040(deleted) file 1 0 -3\n")
        file = "swap file /data/a b/swap"
        assert m.never() == {("01:00.0", f"swap nvme0n1p1: {file}"), ("02:00.0", f"swap nvme1n1p1: {file}"),
                             ("03:00.0", "swap nvme2n1p1: swap")}, m.never()
        assert m.uses()["04:00.0"] == []
        m.write("proc/swaps", head + "/dev/zram0 partition 1 0 100\n")
        assert not m.never() and b"swap" not in m.run("plan").stderr
        m.write("proc/swaps", head + "/dev/mapper/gone partition 1 0 -2\n")
        r = m.run("plan")
        assert r.stderr.count(b"which disks the swap /dev/mapper/gone is on cannot be told") == 1, r.stderr
        assert len(m.plan("--skip-in-use", "--allow-in-use", "net,block,mounted")["skipped"]) == 4


@test
def fibre_channel():
    """Any host may be used; NVMe over one hangs off no device."""
    with Machine() as m:
        for n in (1, 2):
            hba = m.add(f"0000:0{n}:00.0", "lpfc", 0x0c0400)
            host = f"sys/devices/{hba}/host{n}/fc_host/host{n}"
            m.write(f"{host}/port_name", f"0x1000009000{n}\n")
            m.link(f"sys/class/fc_host/host{n}", host)
        ctl = "sys/devices/virtual/nvme-fabrics/ctl/nvme0"
        m.write(f"{ctl}/transport", "fc\n")
        m.write(f"{ctl}/address", "traddr=nn-0x20:pn-0x21,host_traddr=nn-0x2:pn-0x10000090002\n")
        m.block("virtual/nvme-fabrics/ctl/nvme0/nvme0n1", "259:0")
        m.mount("259:0", "/san", "xfs", "/dev/nvme0n1")
        fc = "storage may go through this Fibre Channel host"
        u = m.uses()
        assert u["01:00.0"] == [f"fc host1: {fc}"], u
        assert u["02:00.0"] == ["mount nvme0n1: /san", f"fc host2: {fc}"], u
        assert {p["group"] for p in m.plan("--allow-in-use", "block")["problems"]} == {2}
        assert {p["group"] for p in m.plan("--allow-in-use", "mounted")["problems"]} == {1}
        # The head of several ways is below all of them; without a port's name it may be each.
        m.write(f"{ctl}/address", "traddr=nn-0x20:pn-0x21\n")
        assert m.uses()["01:00.0"][0] == "mount nvme0n1: /san", m.uses()


@test
def users_that_cannot_be_told():
    with Machine() as m:
        hca = m.add("0000:01:00.0", "mlx5_core", 0x020700)
        m.net(f"{hca}/net/ib0", flags="0x1002")
        m.link("sys/class/infiniband/mlx5_0", f"sys/devices/{hca}/infiniband/mlx5_0")
        memory = m.add("0000:02:00.0", "cxl_pci", 0x050210)
        m.write(f"sys/devices/{memory}/mem0/serial", "1\n")
        port = "sys/devices/platform/ACPI0017:00/root0/port1/endpoint3"
        m.link(f"{port}/uport", f"sys/devices/{memory}/mem0")
        m.write(f"{port}/decoder3.0/region", "\n")
        m.link("sys/bus/cxl/devices/decoder3.0", f"{port}/decoder3.0")
        m.link("sys/bus/cxl/devices/mem0", f"sys/devices/{memory}/mem0")
        users = "rdma mlx5_0: the users of this InfiniBand or RoCE device are not known"
        assert m.uses() == {"01:00.0": [users], "02:00.0": []}, m.uses()
        assert m.plan("--allow-in-use", "net")["problems"] == []
        m.write("sys/module/rpcrdma/refcnt", "0\n")
        m.write(f"{port}/decoder3.0/region", "region0\n")
        u = m.uses()
        assert u["01:00.0"][1] == "rdma mlx5_0: storage may go through it, as module rpcrdma is loaded", u
        assert m.never() == {("02:00.0", "cxl mem0: its memory is in region0")}, u
        assert {p["group"] for p in m.plan("--allow-in-use", "net")["problems"]} == {1, 2}


@test
def without_dev():
    """What a mount calls its device is found in a tree that has no /dev."""
    with Machine() as m:
        names = (("dm-0", "luks-4f1c"), ("dm-1", "my--vg-root--lv"), ("dm-2", "x"))
        for i, (dm, name) in enumerate(names):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1", holders=[dm])
            m.block(f"virtual/block/{dm}", f"253:{i}", slaves=[f"nvme{i}n1"], dm=name)
        m.disk("0000:04:00.0", "nvme3n1")
        m.write(f"run/udev/data/b{m.number('nvme3n1')}", "S:disk/by-uuid/aaaa\nE:ID_FS_TYPE=btrfs\n")
        m.mount("0:40", "/a", "btrfs", "/dev/mapper/luks-4f1c")
        m.mount("0:41", "/b", "btrfs", "/dev/my-vg/root-lv")
        m.mount("0:42", "/c", "btrfs", "/dev/disk/by-uuid/aaaa")
        u = m.uses()
        assert "mount nvme0n1: /a over dm-0 (luks-4f1c)" in u["01:00.0"], u
        assert "mount nvme1n1: /b over dm-1 (my--vg-root--lv)" in u["02:00.0"], u
        assert u["03:00.0"] == ["dm nvme2n1: dm-2 (x)"] and u["04:00.0"] == ["mount nvme3n1: /c"], u
        m.mount("0:43", "/d", "btrfs", "/dev/disk/by-uuid/gone")
        assert b"btrfs file system on /d (/dev/disk/by-uuid/gone)" in m.run("plan").stderr
    for root in ("/dev/nvme0n1", "UUID=4-2", "/dev/root"):
        with Machine() as m:
            m.disk("0000:01:00.0", "nvme0n1")
            m.write(f"run/udev/data/b{m.number('nvme0n1')}", "S:disk/by-uuid/4-2\n")
            m.write("proc/cmdline", f"quiet vroot=/x root={root} ro\n")
            m.mount("0:43", "/", "btrfs", "/dev/root")
            assert bool(m.never()) == (root != "/dev/root"), root


@test
def never_taken():
    """The mount points of PID 1's namespace, and what they lie upon."""
    targets = ["/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc", "/sysroot"]
    others = ["/home", "/var/lib", "/boot/x", "/sysroot/x", "/e"]
    for target in targets + others:
        with Machine() as m:
            m.disk("0000:01:00.0", "nvme0n1", parts=[("md0",)])
            m.block("virtual/block/md0", "9:0", slaves=["nvme0n1p1"])
            m.block("virtual/block/md0/md0p1", "259:70")
            m.mount("259:70", target, "ext4", "/dev/md0p1")
            assert f"mount nvme0n1p1: {target} over md0" in m.uses()["01:00.0"]
            assert bool(m.never()) == (target in targets), (target, m.never())
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        m.disk("0000:02:00.0", "nvme1n1")
        m.disk("0000:03:00.0", "nvme2n1")
        m.write("proc/1/comm", "init\n")
        m.mount(m.number("nvme0n1"), "/opt", "ext4", "/dev/nvme0n1", pid=1)
        m.mount(m.number("nvme1n1"), "/var", "ext4", "/dev/nvme1n1", pid=900)
        m.mount(m.number("nvme2n1"), "/swap", "ext4", "/dev/nvme2n1", pid=1)
        m.write("proc/900/comm", "postgres\n")
        os.symlink("/opt/sbin/init", f"{m.top}/proc/1/exe")
        m.write("proc/swaps", "Filename Type Size Used Priority\n"
                "/swap/file\\040one   file  1048576 0 -3\n")
        assert m.uses()["02:00.0"] == ["mount nvme1n1: /var in the mount namespace of PID 900 (postgres)"]
        assert m.never() == {("01:00.0", "mount nvme0n1: /opt with the program of PID 1"),
                             ("03:00.0", "swap nvme2n1: swap file /swap/file one")}, m.never()


@test
def mounted_from_what_is_gone():
    """A number that sysfs does not know: it may be any disk, where none may be taken."""
    for number, target, source, first in (
            ("259:77", "/", "/dev/nvme9n1p1", None), ("253:7", "/", "/dev/mapper/gone", None),
            ("259:77", "/var", "/dev/nvme9n1p1", "/data"),
            # A stick that was pulled out, and what is on no device.
            ("8:17", "/media/stick", "/dev/sdb1", None), ("0:77", "/", "rootfs", None)):
        with Machine() as m:
            m.disk("0000:01:00.0", "nvme0n1")
            m.disk("0000:02:00.0", "nvme1n1")
            if first:
                m.mount(number, first, "ext4", source)
            m.mount(number, target, "ext4", source)
            m.mount(m.number("nvme1n1"), "/home", "ext4", "/dev/nvme1n1")
            unknown = target in ("/", "/var") and number != "0:77"
            r = m.run("plan", "--allow-in-use", "mounted")
            assert r.stderr.count(b"cannot be told") == unknown, (target, r.stderr)
            assert not unknown or f"on {target} ({source})".encode() in r.stderr or first, r.stderr
            skipped = m.plan("--skip-in-use", "--allow-in-use", "mounted")["skipped"]
            assert len(skipped) == (2 if unknown else 0), (target, skipped)


@test
def below_an_overlay():
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        m.disk("0000:02:00.0", "nvme1n1")
        m.disk("0000:03:00.0", "nvme2n1")
        m.block("virtual/block/loop0", "7:0")
        m.write("sys/devices/virtual/block/loop0/loop/backing_file", "/run/medium/fs.squashfs\n")
        m.mount("0:30", "/", "overlay", "overlay",
                "rw,lowerdir=/run/rootfs:/nowhere/x,upperdir=/run/cow/up,workdir=/run/cow/work")
        m.mount("7:0", "/run/rootfs", "squashfs", "/dev/loop0", "ro")
        m.mount(m.number("nvme0n1"), "/run/medium", "iso9660", "/dev/nvme0n1", "ro")
        m.mount(m.number("nvme1n1"), "/run/cow", "ext4", "/dev/nvme1n1")
        m.mount("0:31", "/nowhere", "tmpfs", "tmpfs")
        m.mount(m.number("nvme2n1"), "/media", "ext4", "/dev/nvme2n1")
        assert {d for d, _ in m.never()} == {"01:00.0", "02:00.0"}, m.never()
    # Layers that were mounted before the root was are seen nowhere: it may be any disk.
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        m.mount("0:30", "/", "overlay", "overlay", "rw,lowerdir=/root/a,upperdir=/root/b")
        m.mount(m.number("nvme0n1"), "/media", "ext4", "/dev/nvme0n1")
        assert {d for d, _ in m.never()} == {"01:00.0"}


@test
def file_of_a_loop_device():
    """Where its mount is hidden it may be on any disk; in another namespace it is found."""
    def loop(m, file="/images/root.img", name="loop0", number="7:0"):
        m.block(f"virtual/block/{name}", number)
        m.write(f"sys/devices/virtual/block/{name}/loop/backing_file", file + "\n")

    for stack in "loop", "partition", "volume", "overlay":
        with Machine() as m:
            m.disk("0000:01:00.0", "nvme0n1", parts=[()])
            loop(m)
            if stack == "partition":
                m.block("virtual/block/loop0/loop0p1", "259:90")
                m.mount("259:90", "/", "ext4", "/dev/loop0p1")
            elif stack == "volume":
                m.block("virtual/block/dm-0", "253:0", slaves=["loop0"], dm="vg-root")
                m.mount("253:0", "/", "ext4", "/dev/mapper/vg-root")
            elif stack == "overlay":
                m.mount("7:0", "/ro", "squashfs", "/dev/loop0", "ro")
                m.mount("0:30", "/", "overlay", "overlay", "rw,lowerdir=/ro")
            else:
                m.mount("7:0", "/", "ext4", "/dev/loop0")
            r = m.run("plan")
            assert r.stderr.count(b"file /images/root.img of loop0 (/") == 1, (stack, r.stderr)
            assert len(m.plan("--skip-in-use", "--allow-in-use", "mounted")["skipped"]) == 1, stack
    # What is mounted elsewhere than on a path that is never taken.
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        loop(m, "/images/a.img")
        loop(m, "/images/b.img", "loop1", "7:1")
        m.mount("7:0", "/", "ext4", "/dev/loop0")
        m.mount("7:1", "/data", "ext4", "/dev/loop1")
        r = m.run("plan")
        assert r.stderr.count(b"cannot be told") == 1 and b"a.img" in r.stderr, r.stderr
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        loop(m)
        m.mount("7:0", "/data", "ext4", "/dev/loop0")
        assert len(m.plan("--skip-in-use", "--allow-in-use", "block")["skipped"]) == 1
        assert not m.plan("--skip-in-use", "--allow-in-use", "mounted")["skipped"]
    for target, taken in (("/images", "02:00.0"), ("/elsewhere", "01:00.0"), ("/", "01:00.0")):
        with Machine() as m:
            m.disk("0000:01:00.0", "nvme0n1")
            m.disk("0000:02:00.0", "nvme1n1")
            loop(m)
            m.mount(m.number("nvme0n1"), "/data", "ext4", "/dev/nvme0n1", pid=1)
            m.mount("7:0", "/usr", "ext4", "/dev/loop0", pid=1)
            m.mount(m.number("nvme1n1"), target, "ext4", "/dev/nvme1n1", pid=900)
            m.write("proc/1/comm", "init\n")
            m.write("proc/900/comm", "x\n")
            r = m.run("plan")
            if target == "/images":
                assert m.never() == {(taken, "mount nvme1n1: /usr over loop0")}, m.never()
                assert b"cannot be told" not in r.stderr, r
            else:
                assert m.never() == set() and b"cannot be told" in r.stderr, (m.never(), r)
    # In front of the mount that PID 1's namespace has there, so that it may be either.
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        m.disk("0000:02:00.0", "nvme1n1")
        loop(m)
        m.mount(m.number("nvme0n1"), "/", "ext4", "/dev/nvme0n1", pid=1)
        m.mount("7:0", "/usr", "ext4", "/dev/loop0", pid=1)
        m.mount(m.number("nvme1n1"), "/images", "ext4", "/dev/nvme1n1", pid=900)
        m.write("proc/1/comm", "init\n")
        m.write("proc/900/comm", "x\n")
        assert {d for d, _ in m.never()} == {"01:00.0", "02:00.0"}, m.never()
    # In memory.
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        loop(m, "/run/root.img")
        m.mount("7:0", "/", "ext4", "/dev/loop0")
        m.mount("0:40", "/run", "tmpfs", "tmpfs")
        assert b"cannot be told" not in m.run("plan").stderr and m.never() == set()


@test
def held_below():
    """Raw openers, exports, loop devices, zram."""
    with Machine() as m:
        for i in range(8):
            m.disk(f"0000:0{i + 1}:00.0", f"nvme{i}n1")
        m.opened(50, "ceph-osd", "/dev/nvme0n1", "/dev/nvme0n1", "/dev/null")
        m.opened(51, "(udev-worker)", "/dev/nvme1n1")
        core, nvmet = "sys/kernel/config/target/core", "sys/kernel/config/nvmet/subsystems"
        m.write(f"{core}/iblock_0/disk1/udev_path", "/dev/nvme2n1\n")
        m.write(f"{core}/iblock_0/disk1/enable", "1\n")
        m.write(f"{core}/iblock_1/disk2/udev_path", "\n")
        m.write(f"{core}/iblock_1/disk2/info", "Status: ACTIVATED\n        iBlock device: nvme3n1  UDEV PATH: N/A\n")
        m.write(f"{core}/iblock_1/disk2/enable", "1\n")
        m.disk("0000:0a:00.0", "nvme9n1")
        m.write(f"{core}/fileio_0/disk4/info", "Status: ACTIVATED\n        TCM FILEIO ID: 0        "
                "File: /dev/nvme9n1  Size: 4096  Mode: O_DSYNC Async: 0\n")
        m.write(f"{core}/fileio_0/disk4/enable", "1\n")
        m.write(f"{core}/iblock_2/disk3/udev_path", "/dev/nvme1n1\n")
        m.write(f"{core}/iblock_2/disk3/enable", "0\n")
        m.write(f"{nvmet}/nqn.a/namespaces/1/device_path", "/dev/nvme4n1\n")
        m.write(f"{nvmet}/nqn.a/namespaces/1/enable", "1\n")
        m.link("sys/class/nvme/nvme5", f"sys/devices/{ROOT}/0000:06:00.0/nvme/nvme5")
        m.write(f"{nvmet}/nqn.b/passthru/device_path", "/dev/nvme5\n")
        m.write(f"{nvmet}/nqn.b/passthru/enable", "1\n")
        m.disk("0000:09:00.0", "nvme8n1")
        m.link(f"sys/devices/{ROOT}/0000:09:00.0/nvme/nvme8/nvme8n1/bcache/set", "sys/fs/bcache/x")
        m.block("virtual/block/loop3", "7:3")
        m.write("sys/devices/virtual/block/loop3/loop/backing_file", "/dev/nvme6n1\n")
        m.block("virtual/block/zram0", "252:0")
        m.write("sys/devices/virtual/block/zram0/backing_dev", "/dev/nvme7n1\n")
        m.write("proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n")
        u = m.uses()
        assert u["01:00.0"] == ["open nvme0n1: held by PID 50 (ceph-osd)"], u
        assert u["02:00.0"] == [], u
        assert u["03:00.0"] == ["export nvme2n1: LIO disk1"], u
        assert u["04:00.0"] == ["export nvme3n1: LIO disk2"], u
        assert u["05:00.0"] == ["export nvme4n1: nvmet nqn.a namespace 1"], u
        assert u["06:00.0"] == ["export /dev/nvme5: nvmet nqn.b"], u
        assert u["07:00.0"] == ["holder nvme6n1: loop3"], u
        assert u["08:00.0"] == ["swap nvme7n1: swap over zram0"], u
        assert u["09:00.0"] == ["holder nvme8n1: a cache of bcache"], u
        assert u["0a:00.0"] == ["export nvme9n1: LIO disk4"], u
        assert m.never() == {("08:00.0", "swap nvme7n1: swap over zram0")}


@test
def character_devices():
    with Machine() as m:
        gpu = m.add("0000:01:00.0", "amdgpu", 0x030000)
        m.node(f"{gpu}/drm/renderD128")
        m.node(f"{m.add('0000:02:00.0', 'uio_pci_generic', 0x020000)}/uio/uio0")
        usb = m.add("0000:03:00.0", "xhci_hcd", 0x0c0330)
        m.node(f"{usb}/usb1/1-2", uevent="MAJOR=189\nDEVNAME=bus/usb/001/004\nDEVTYPE=usb_device")
        m.node(f"{m.add('0000:04:00.0', 'snd_hda_intel', 0x040300)}/sound/card0/pcmC0D0p")
        m.node(f"{m.add('0000:05:00.0', 'mlx5_core', 0x020000)}/infiniband_verbs/uverbs0")
        m.node(f"{m.add('0000:06:00.0')}/nvme/nvme0/ng0n1")
        m.add("0000:07:00.0", "e1000e", 0x020000)
        m.opened(100, "Xorg", "/dev/dri/renderD128")
        for pid in range(101, 140):
            m.opened(pid, "python3", "/dev/dri/renderD128", "/dev/dri/renderD128", "socket:[1]")
        m.opened(200, "dpdk", "/dev/uio0")
        m.node(f"{usb}/usb2/2-1", "189:130")
        m.opened(201, "pcscd", "/dev/bus/usb/001/004", "/dev/bus/usb/002/003")
        m.opened(202, "pipewire", "/dev/snd/pcmC0D0p")
        m.opened(203, "mpirun", "/dev/infiniband/uverbs0 (deleted)", "/dev/pts/3")
        m.opened(204, "smartd", "/dev/ng0n1")
        u = m.uses()
        assert u["01:00.0"] == ["open /dev/dri/renderD128: held by PID 100 (Xorg), PID 101 (python3), "
                                "PID 102 (python3) and 37 more"], u
        assert u["02:00.0"] == ["open /dev/uio0: held by PID 200 (dpdk)"], u
        assert u["03:00.0"] == ["open /dev/bus/usb/001/004: held by PID 201 (pcscd)",
                                "open /dev/bus/usb/002/003: held by PID 201 (pcscd)"], u
        assert u["04:00.0"] == ["open /dev/snd/pcmC0D0p: held by PID 202 (pipewire)"], u
        assert u["05:00.0"] == ["open /dev/infiniband/uverbs0: held by PID 203 (mpirun)"], u
        assert u["06:00.0"] == ["open /dev/ng0n1: held by PID 204 (smartd)"] and u["07:00.0"] == [], u
        # It is no disk, and no interface.
        refused = {p["group"] for p in m.plan("--allow-in-use", "net,block")["problems"]}
        assert refused == {1, 2, 3, 4, 5, 6} and m.never() == set(), refused


@test
def nodes_of_dvb():
    with Machine() as m:
        for i in range(2):
            card = m.add(f"0000:0{i + 1}:00.0", "saa7164", 0x048000)
            m.node(f"{card}/dvb/dvb{i}.frontend0", f"212:{i}")
        m.opened(100, "tvheadend", "/dev/dvb/adapter1/frontend0")
        u = m.uses()
        assert u["01:00.0"] == [], u
        assert u["02:00.0"] == ["open /dev/dvb/adapter1/frontend0: held by PID 100 (tvheadend)"], u


@test
def nodes_of_nvidia():
    for comm, node in (("Xorg", "/dev/nvidia-modeset"), ("dcgm", "/dev/nvidia-caps/nvidia-cap1")):
        with Machine() as m:
            for i in (1, 2):
                m.add(f"0000:0{i}:00.0", "nvidia", 0x030200)
                m.write(f"proc/driver/nvidia/gpus/0000:0{i}:00.0/information", f"Device Minor: {i - 1}\n")
            m.opened(100, comm, node)
            u = m.uses()
            # Which one is not known.
            assert u["01:00.0"] == u["02:00.0"] == [f"open {node}: held by PID 100 ({comm})"], u


@test
def nodes_out_of_sysfs():
    with Machine() as m:
        for i in (1, 2):
            m.add(f"0000:0{i}:00.0", "nvidia", 0x030200)
        m.add("0000:03:00.0", "amdgpu", 0x030000)
        m.add("0000:04:00.0", "nouveau", 0x030000)
        m.opened(100, "python3", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm")
        m.opened(101, "rocm", "/dev/kfd")
        u = m.uses()
        assert u["01:00.0"] == u["02:00.0"] == ["open /dev/nvidia1: held by PID 100 (python3)"], u
        assert u["03:00.0"] == ["open /dev/kfd: held by PID 101 (rocm)"] and u["04:00.0"] == [], u
        for i in (1, 2):
            m.write(f"proc/driver/nvidia/gpus/0000:0{i}:00.0/information",
                    f"Model: \t x\nDevice Minor: \t {i - 1}\n")
        assert m.uses()["01:00.0"] == [] and m.uses()["02:00.0"] == u["02:00.0"]
    # Of several drivers; and where sysfs has the node, but not below the device.
    with Machine() as m:
        m.add("0000:01:00.0", "isst_if_pci", 0x088000)
        m.add("0000:02:00.0", "isst_if_mbox_pci", 0x088000)
        m.add("0000:03:00.0", "hfi1", 0x020800)
        m.add("0000:04:00.0", "ccp", 0x108000)
        m.node("virtual/misc/isst_interface", "10:120")
        m.opened(100, "intel-speed-sel", "/dev/isst_interface")
        m.opened(101, "psm2", "/dev/hfi1_0")
        m.opened(102, "qemu", "/dev/sevx")
        u = m.uses()
        assert u["01:00.0"] == u["02:00.0"] == ["open /dev/isst_interface: held by PID 100 (intel-speed-sel)"], u
        assert u["03:00.0"] == ["open /dev/hfi1_0: held by PID 101 (psm2)"] and u["04:00.0"] == [], u


@test
def guests():
    """VFIO by the node, mediated and vDPA devices, subfunctions: never taken."""
    with Machine() as m:
        m.add("0000:01:00.0", "nvgrace_gpu", 0x030200)
        m.add("0000:02:00.0", "hisi_acc", 0x120000)
        os.makedirs(f"{m.top}/sys/devices/{ROOT}/0000:02:00.0/vfio-dev/vfio7")
        gpu = m.add("0000:03:00.0", "nvidia", 0x030200)
        for i in range(32):
            m.add(f"{gpu[len(ROOT) + 1:]}/{i:08x}-aaaa-4bbb-8ccc-000000000000", "nvidia-vgpu-vfio",
                  bus="mdev", kind="unknown")
        nic = m.add("0000:04:00.0", "mlx5_core", 0x020000)
        m.node(f"{nic}/mlx5_core.vnet.0/vdpa0/vhost-vdpa-0")
        m.write(f"sys/devices/{nic}/mlx5_core.sf.4/sfnum", "88\n")
        m.link(f"sys/devices/{nic}/mlx5_core.sf.4/subsystem", "sys/bus/auxiliary")
        m.opened(70, "qemu", "/dev/vfio/vfio", "/dev/vfio/1", "/dev/vhost-vdpa-0")
        m.opened(71, "cloud-hypervisor", "/dev/iommu", "/dev/vfio/devices/vfio7")
        assert m.never() == {
            ("01:00.0", "vfio /dev/vfio/1: held by PID 70 (qemu)"),
            ("02:00.0", "vfio /dev/vfio/devices/vfio7: held by PID 71 (cloud-hypervisor)"),
            ("03:00.0", "mdev 0000:03:00.0: 32 mediated devices"),
            ("04:00.0", "vdpa 0000:04:00.0: 1 vDPA device"),
            ("04:00.0", "vdpa /dev/vhost-vdpa-0: held by PID 70 (qemu)"),
            ("04:00.0", "subfunction 0000:04:00.0: 1 subfunction")}, m.never()
        # What 32 groups have in common is one line.
        r = m.run("plan", policy='default = "DMA-FQ"; rules = ();')
        lines = [x for x in r.stderr.splitlines() if b"could not be put back" in x]
        assert len(lines) == 1 and b"the same for 31 more: groups 5-35" in lines[0], r.stderr
        assert len([p for p in m.plan(policy='default = "DMA-FQ"; rules = ();')["problems"]
                    if p["kind"] == "type"]) == 32


@test
def watchdogs():
    for state, nowayout, pid, use, never in (
            ("active", "0", 1, "active, resets the machine after 30 s, held by PID 1 (systemd)", True),
            ("active", "1", None, "active, resets the machine after 30 s, cannot be stopped (nowayout)", True),
            ("inactive", "0", None, None, False),
            ("inactive", "0", 7, "held by PID 7 (x)", False)):
        with Machine() as m:
            smbus = m.add("0000:00:1f.4", "i801_smbus", 0x0c0500)
            m.node(f"{smbus}/iTCO_wdt/watchdog/watchdog0", state=state, timeout="30", nowayout=nowayout)
            if pid:
                m.opened(pid, "systemd" if pid == 1 else "x", "/dev/watchdog0")
            u = m.uses()["00:1f.4"]
            assert [x.split(": ", 1)[1] for x in u] == ([use] if use else []), u
            assert bool(m.never()) == never, (state, m.never())


@test
def consoles():
    with Machine() as m:
        serial = m.add("0000:01:00.0", "serial", 0x070002)
        m.write(f"sys/devices/{serial}/tty/ttyS4/type", "4\n")
        m.link("sys/class/tty/ttyS4", f"sys/devices/{serial}/tty/ttyS4")
        m.write("proc/consoles", "tty0                 -WU (EC  p  )    4:1\n"
                "ttyS4                -W- (EC a    )    4:68\n")
        for n, i in ((0, 2), (1, 3)):
            gpu = m.add(f"0000:0{i}:00.0", "ast", 0x030000)
            m.write(f"sys/devices/{gpu}/graphics/fb{n}/bits_per_pixel", "32\n")
            m.link(f"sys/class/graphics/fb{n}", f"sys/devices/{gpu}/graphics/fb{n}")
        m.write("sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n")
        m.write("sys/class/vtconsole/vtcon1/bind", "1\n")
        assert m.uses() == {"01:00.0": ["console ttyS4: the kernel's console"],
                            "02:00.0": ["console fb0: the console on the screen"], "03:00.0": []}
        m.write("sys/class/vtconsole/vtcon1/bind", "0\n")
        assert m.uses()["02:00.0"] == []


@test
def interfaces_elsewhere():
    """An empty directory for interfaces: another network namespace has what belongs there."""
    with Machine() as m:
        m.add("0000:01:02.0", "iavf", 0x020000)
        os.makedirs(f"{m.top}/sys/devices/{ROOT}/0000:01:02.0/net")
        m.add("0000:01:02.1", "iavf", 0x020000)
        m.net(f"{ROOT}/0000:01:02.1/net/eth1", flags="0x1002")
        m.add("0000:02:00.0", "virtio-pci", 0x020000)
        os.makedirs(f"{m.top}/sys/devices/{ROOT}/0000:02:00.0/virtio3/net")
        u = m.uses()
        assert u["01:02.0"] == ["net 0000:01:02.0: its interface is in another network namespace"], u
        assert u["01:02.1"] == [] and u["02:00.0"][0].startswith("net virtio3: "), u
        assert m.plan("--allow-in-use", "net")["problems"] == []


@test
def all_above():
    """What a driver takes along when it goes is its own use, however far below it is."""
    with Machine() as m:
        m.add("0000:00:01.0", "pcieport", 0x060400)
        m.add("0000:00:0e.0", "vmd", 0x010400)
        below = "0000:00:0e.0/pci10000:e0"
        m.add(f"{below}/10000:e0:06.0", "pcieport", 0x060400)
        m.disk(f"{below}/10000:e0:06.0/10000:e1:00.0", "nvme0n1")
        m.disk("0000:00:01.0/0000:01:00.0", "nvme1n1")
        m.mount(m.number("nvme0n1"), "/", "ext4", "/dev/nvme0n1")
        m.mount(m.number("nvme1n1"), "/x", "ext4", "/dev/nvme1n1")
        m.disk(f"{below}/10000:e0:07.0/10000:e2:00.0", "nvme2n1")
        m.add("0000:00:1f.0", None, 0x060100)
        m.node(f"{ROOT}/0000:00:1f.0/PNP0501:00/tty/ttyS0")
        m.opened(3, "agetty", "/dev/ttyS0")
        m.add("0000:00:1e.0", "fsl_mc_dprc", 0x080000)
        m.add("0000:00:1e.0/dpni.0", "vfio-fsl-mc", bus="fsl-mc")
        m.opened(4, "qemu", f"/dev/vfio/{m.groups}")
        u = m.uses()
        assert u["00:0e.0"] == u["10000:e1:00.0"] == u["10000:e0:06.0"] == ["mount nvme0n1: /"], u
        assert u["00:01.0"] == u["01:00.0"] == ["mount nvme1n1: /x"] and u["10000:e2:00.0"] == [], u
        # A port keeps its driver, and where there is no driver nothing is released.
        assert {p["device"] for p in m.plan()["problems"]} == {
            "0000:00:0e.0", "10000:e1:00.0", "0000:01:00.0", "0000:00:1e.0"}


@test
def other_namespaces():
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        m.disk("0000:02:00.0", "nvme1n1")
        for pid, ns in (("self", 1), (1, 1), (800, 1), (900, 2), (901, 2)):
            os.makedirs(f"{m.top}/proc/{pid}/ns")
            os.symlink(f"mnt:[{ns}]", f"{m.top}/proc/{pid}/ns/mnt")
            m.write(f"proc/{pid}/comm", f"c{pid}\n")
            m.mount(m.number("nvme0n1"), "/data", "ext4", "/dev/nvme0n1", pid=pid)
        for pid in (900, 901):
            m.mount(m.number("nvme1n1"), "/", "xfs", "/dev/nvme1n1", pid=pid)
        assert m.uses() == {
            "01:00.0": ["mount nvme0n1: /data"],
            "02:00.0": ["mount nvme1n1: / in the mount namespace of PID 900 (c900)"]}
        assert m.never() == set()


@test
def deep_stacks():
    """No depth is too deep, and ways that meet again are gone once."""
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1", holders=["dm-0"])
        m.disk("0000:02:00.0", "nvme1n1", holders=["dm-0"])
        below = ["nvme0n1", "nvme1n1"]
        for i in range(40):
            m.block(f"virtual/block/dm-{2 * i}", f"253:{2 * i}", slaves=below)
            m.block(f"virtual/block/dm-{2 * i + 1}", f"253:{2 * i + 1}", slaves=below)
            below = [f"dm-{2 * i}", f"dm-{2 * i + 1}"]
        m.mount("253:79", "/deep", "ext4", "/dev/dm-79")
        u = m.uses()
        assert "mount nvme0n1: /deep over dm-0" in u["01:00.0"] or \
            "mount nvme0n1: /deep over dm-1" in u["01:00.0"], u
        assert len(u["01:00.0"]) == len(u["02:00.0"]) == 2, u


@test
def many_mounts():
    """Thousands of one disk: each is judged, a few are told."""
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1", parts=[()])
        number = m.number("nvme0n1p1")
        lines = [f"{i + 30} 1 {number} /v/{i} /var/lib/pods/{i:08x}/volume rw - ext4 /dev/nvme0n1p1 rw\n"
                 for i in range(20000)]
        m.write("proc/self/mountinfo", "".join(lines) +
                f"29 1 {number} / / rw - ext4 /dev/nvme0n1p1 rw\n")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        r = m.run("plan")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert took < 20, took
        assert r.stderr.count(b"\n") < 10 and b"19997 more mount points" in r.stderr, r.stderr
        assert m.never() == {("01:00.0", "mount nvme0n1p1: /")}
    # A hundred volumes of one disk, each with a mount.
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1")
        for i in range(100):
            m.block(f"virtual/block/dm-{i}", f"253:{i}", slaves=["nvme0n1"])
            m.mount(f"253:{i}", f"/v/{i}" if i < 99 else "/", "ext4", f"/dev/dm-{i}")
        u = m.uses()["01:00.0"]
        assert len(u) == 9 and any("/v/7 over dm-7, and 91 more" in x for x in u), u
        assert m.never() == {("01:00.0", "mount nvme0n1: / over dm-99")}


@test
def text_of_others():
    """Bytes that are no text reach neither a terminal nor JSON."""
    with Machine() as m:
        m.disk("0000:01:00.0", "nvme0n1", parts=[(), ("dm-0",)])
        m.block("virtual/block/dm-0", "253:0", slaves=["nvme0n1p2"], dm="vg\x1b[31m-evil")
        m.add("0000:02:00.0", "vfio-pci", 0x020000)
        m.opened(77, b"q\xe9mu\x1b]0;x\x07\n", "/dev/vfio/2")
        number = m.number("nvme0n1p1").encode()
        os.makedirs(f"{m.top}/proc/self")
        with open(f"{m.top}/proc/self/mountinfo", "wb") as f:
            f.write(b"21 1 %s / /srv/donn\xe9es rw - ext4 /dev/nvme0n1p1 rw\n"
                    b"22 1 %s / /srv/\xc3\xa9t\xc3\xa9\x1b[2J\xc2\x9b31m rw - ext4 /dev/nvme0n1p1 rw\n"
                    b"23 1 %s / /srv/a\\012b rw - ext4 /dev/nvme0n1p1 rw\n" % (number, number, number))
        u = m.uses()
        assert u["01:00.0"][:3] == ["mount nvme0n1p1: /srv/donn\\xe9es",
                                    "mount nvme0n1p1: /srv/été\\x1b[2J\\xc2\\x9b31m",
                                    "mount nvme0n1p1: /srv/a\\x0ab"], u
        assert u["02:00.0"] == ["vfio /dev/vfio/2: held by PID 77 (q\\xe9mu\\x1b]0;x\\x07)"], u
        r = m.run("plan")
        assert not set(r.stderr + r.stdout) & set(b"\x1b\x07\x9b"), r.stderr
        assert all(x.startswith(b"iommucfg: ") for x in r.stderr.splitlines()), r.stderr


@test
def alike():
    """One line for what differs in the group alone, and not for what differs in more."""
    with Machine() as m:
        for i in range(8):
            m.add(f"0000:0{i + 1}:00.0", "nouveau", 0x030000, dma_mask_bits=32)
        m.write("sys/devices/system/memory/block_size_bytes", "8000000\n")
        m.write("sys/devices/system/memory/memory63/state", "online\n")
        r = m.run("plan")
        lines = [x for x in r.stderr.splitlines() if b"bounce" in x]
        assert len(lines) == 1 and b"0000:01:00.0" in lines[0] and b"groups 2-8" in lines[0], r.stderr
        assert len([p for p in m.plan()["problems"] if p["kind"] == "bounce"]) == 8
        m.opened(9, "Xorg", *(f"/dev/dri/card{i}" for i in range(8)))
        for i in range(8):
            m.node(f"{ROOT}/0000:0{i + 1}:00.0/drm/card{i}")
        r = m.run("plan")
        assert len([x for x in r.stderr.splitlines() if b"/dev/dri/card" in x]) == 8, r.stderr


@test
def running_system():
    """Without --root nodes are known by number, wherever in the tree they are."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        raise Skip("needs root and mount namespaces")
    with Machine() as m, contextlib.ExitStack() as stack:
        gpu = m.add("0000:01:00.0", "nouveau", 0x030000)
        m.node(f"{gpu}/drm/card0")
        m.link("sys/dev/char/1:5", f"sys/devices/{gpu}/drm/card0")
        nic = m.add("0000:02:00.0", "iavf", 0x020000)
        os.makedirs(f"{m.top}/sys/devices/{nic}/net")
        smbus = m.add("0000:03:00.0", "i801_smbus", 0x0c0500)
        m.node(f"{smbus}/wdt/watchdog/watchdog0", state="active", timeout="30")
        m.link("sys/class/watchdog/watchdog0", f"sys/devices/{smbus}/wdt/watchdog/watchdog0")
        dev = os.path.join(m.dir, "dev")
        os.mkdir(dev)
        # A node of another name, and a mount that no other process has.
        holder = stack.enter_context(subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             'mount -t tmpfs none "$1" && mknod "$1/x" c 1 5 && exec <"$1/x" && echo ready && exec sleep 600',
             "sh", dev], stdout=subprocess.PIPE))
        stack.callback(holder.kill)
        assert holder.stdout.readline() == b"ready\n"
        with open(f"/proc/{holder.pid}/mountinfo") as f:
            number = [x.split()[2] for x in f if x.split()[4] == dev][0]
        disk = m.add("0000:04:00.0")
        m.block(f"{disk}/nvme/nvme0/nvme0n1", number)
        r = subprocess.run(["unshare", "-m", "sh", "-c",
                            'mount --bind "$1" /sys && exec "$2" show --json', "sh",
                            f"{m.top}/sys", IOMMUCFG], capture_output=True, timeout=120)
        u = {g["devices"][0]["name"][5:]: [(x["kind"], x["name"], x["detail"])
                                          for x in g["devices"][0]["in_use"]]
             for g in json.loads(r.stdout)["groups"]}
        assert u["01:00.0"] == [("open", f"{dev}/x", f"held by PID {holder.pid} (sleep)")], (u, r)
        assert u["02:00.0"] == [("net", "0000:02:00.0", "its interface is in another network namespace")], u
        assert [x[0] for x in u["03:00.0"]] == ["watchdog"], u
        assert u["04:00.0"] == [("mount", "nvme0n1", f"{dev} in the mount namespace of PID {holder.pid} (sleep)")], u


if __name__ == "__main__":
    sys.exit(main("use"))
