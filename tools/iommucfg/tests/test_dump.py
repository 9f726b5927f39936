#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""iommucfg dump: a saved machine shows and plans what the machine does, and tells nothing of
those who own it.

	test_dump.py IOMMUCFG STANDIN [NAME...]
"""
import os
import sys
import tarfile

from harness import Host, main, test
from machine import Machine
import mktree

ALL = 'rules = ( { name = "all"; match = { device = "*"; }; type = "identity"; } );\n'
MAC, SERIAL, WWID = "52:54:00:ab:cd:ef", "S3EVNX0K123456", "naa.5000c500a1b2c3d4"
SECRETS = (MAC, MAC.replace(":", ""), MAC.upper(), SERIAL, WWID, WWID[4:], "oak7", "192.168.77.5",
           "fd12:3456::7", "10.11.12.13", "storage.example.org", "filer", "someone", "057CA8C0",
           "WCC4N0123456")


class Private(Machine):
    """A machine with all that is not to be told."""

    def __enter__(self):
        super().__enter__()
        t = self.tree
        for path, text in (("proc/sys/kernel/hostname", "oak7.example.org\n"),
                           ("proc/sys/kernel/osrelease", "6.12.0-test\n"),
                           ("proc/cmdline", "root=UUID=1234 ip=192.168.77.5::::oak7 intel_iommu=on\n"),
                           ("proc/net/if_inet6", "fd123456000000000000000000000007 02 40 00 80 eno2\n"),
                           ("proc/sys/kernel/random/boot_id", "x\n")):
            t.write(path, text)
        name = f"enx{MAC.replace(':', '')}"
        t.group(9, "DMA")
        t.device(9, "pci0000:00/0000:00:09.0/0000:09:00.0", driver="igb", vendor=0x8086, device=0x1533,
                 klass=0x020000, dma_mask_bits=64)
        t.net(f"pci0000:00/0000:00:09.0/0000:09:00.0/net/{name}")
        t.write(f"sys/devices/pci0000:00/0000:00:09.0/0000:09:00.0/net/{name}/address", MAC + "\n")
        t.group(8, "DMA")
        disk = "pci0000:00/0000:00:08.0/0000:08:00.0"
        t.device(8, disk, driver="nvme", vendor=0x144d, device=0xa808, klass=0x010802, dma_mask_bits=64)
        t.block(f"{disk}/nvme/nvme0/nvme0n1", "259:0", holders=["dm-0"])
        t.write(f"sys/devices/{disk}/nvme/nvme0/nvme0n1/wwid", WWID + "\n")
        t.write(f"sys/devices/{disk}/nvme/nvme0/serial", f"{SERIAL}  \n")
        t.link("sys/class/nvme/nvme0", f"sys/devices/{disk}/nvme/nvme0")
        t.block("virtual/block/dm-0", "253:0", slaves=["nvme0n1"], dm=f"3{WWID[4:]}-oak7")
        t.write("sys/devices/virtual/block/dm-0/dm/uuid", f"mpath-3{WWID[4:]}\n")
        # Another disk is offered to other machines, by a name with its serial number.
        t.group(7, "DMA")
        disk = "pci0000:00/0000:00:07.0/0000:07:00.0"
        t.device(7, disk, driver="ahci", vendor=0x8086, device=0x2922, klass=0x010601, dma_mask_bits=64)
        t.block(f"{disk}/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0")
        t.link("dev/disk/by-id/ata-DISK_WD-WCC4N0123456", "dev/sda")
        core = "sys/kernel/config/target/core/iblock_0/oak7-disk"
        t.write(f"{core}/enable", "1\n")
        t.write(f"{core}/udev_path", "/dev/disk/by-id/ata-DISK_WD-WCC4N0123456\n")
        self.mount("srv", "ext4", f"/dev/mapper/3{WWID[4:]}-oak7", number="253:0")
        self.mount("nfs", "nfs4", "storage.example.org:/export", "rw,addr=10.11.12.13,clientaddr=192.168.77.5")
        self.mount("six", "nfs4", "[fd12:3456::7]:/export", "rw,addr=fd12:3456::7")
        self.mount("smb", "cifs", "//filer/share", "rw,addr=192.168.77.5")
        self.mount("ssh", "fuse.sshfs", "someone@filer:/home", "rw")
        self.route("eno1", "0.0.0.0", 0, "192.168.77.5")
        self.route("eno2", "10.11.12.0", 24)
        self.route6("eno1", "::", 0)
        t.write("proc/9/comm", "qemu\n")
        for n, target in enumerate(("/dev/nvme0n1", "/dev/null", "/home/someone/letter")):
            os.makedirs(f"{self.root}/proc/9/fd", exist_ok=True)
            os.symlink(target, f"{self.root}/proc/9/fd/{n}")
        self.write()
        return self

    def dump(self, *args):
        """The directory in which it was unpacked, and all of the archive as one text."""
        archive, to = f"{self.dir}/a.tar", f"{self.dir}/unpacked"
        d = self.json("dump", "-o", archive, *args, code=0)
        assert d["result"] == "saved" and d["files"] > 50, d
        text = ""
        with tarfile.open(archive) as tar:
            for member in tar:
                data = tar.extractfile(member).read().decode() if member.isfile() else ""
                text += f"{member.name} {member.linkname}\n{data}\n"
            tar.extractall(to)
        return to, text

    def plan_of(self, root):
        """Without what comes over the network, whose way depends on addresses."""
        d = self.json("plan", "--root", root, "--allow-in-use", "default-route", self.policy(ALL), code=2)
        return [(c["group"], c["from"], [(v["name"], v["driver"], v["class"], len(v["interfaces"]), v["disks"],
                                          [(u["kind"], u["word"]) for u in v["in_use"]
                                           if u["kind"] == "net" or c["group"] > 6])
                                         for v in c["devices"]]) for c in d["changes"]], \
            [(p["code"], p["group"]) for p in d["problems"] if p["group"] > 6]


@test
def nothing_private():
    with Private() as h:
        root, text = h.dump()
        found = [s for s in SECRETS if s.lower() in text.lower()]
        assert not found, [(s, [line for line in text.split("\n") if s.lower() in line.lower()]) for s in found]
        assert "letter" not in text and "/dev/null" not in text, text
        a, b = h.plan_of(h.root), h.plan_of(root)
        assert a == b, f"{a}\n{b}"
        # What belongs together still does.
        uses = h.json("show", "--root", root, "8", code=0)["groups"][0]["devices"][0]["in_use"]
        assert {u["kind"] for u in uses} >= {"mount", "open"}, uses


@test
def with_it():
    with Private() as h:
        root, text = h.dump("--private")
        for secret in ("oak7", "192.168.77.5", "fd12:3456::7", "storage.example.org", "someone@filer"):
            assert secret in text, secret
        a, b = h.plan_of(h.root), h.plan_of(root)
        assert a == b, f"{a}\n{b}"
        assert h.json("show", "--root", root, code=0) == h.json("show", code=0)


@test
def usual_host():
    with Host() as h:
        # Names that are too long for the header of an archive.
        deep = "/".join(f"0000:0{n}:00.0" for n in range(9))
        t = mktree.Tree.__new__(mktree.Tree)
        t.top = h.root
        t.group(77, "DMA")
        t.device(77, f"pci0000:00/{deep}/0000:77:00.0", vendor=0x8086, device=0x10d3, klass=0x020000)
        d = h.json("dump", "-o", f"{h.dir}/a.tar", code=0)
        assert d["file"] == f"{h.dir}/a.tar" and not d["private"], d
        with tarfile.open(d["file"]) as tar:
            tar.extractall(f"{h.dir}/there")
        shown = h.json("show", "--all", code=0)
        there = h.json("show", "--all", "--root", f"{h.dir}/there", code=0)
        # Their names are those of pci.ids, which is not in it.
        for document in (shown, there):
            for group in document["groups"]:
                for device in group["devices"]:
                    device["vendor_name"] = device["device_name"] = None
                    for use in device["in_use"]:
                        # Of an interface the addresses.
                        use["detail"] = use["detail"].split(", ")[-1]
        for a, b in zip(shown["groups"], there["groups"], strict=True):
            assert a == b, f"{a}\n{b}"


@test
def wrong():
    with Host() as h:
        for args in ([], ["x"], ["-o"], ["-o", "x", "y"]):
            h.run("dump", *args, code=1)
        d = h.json("dump", "-o", f"{h.dir}/none/x", code=1)
        assert d["result"] == "error" and d["problems"], d
        assert "files saved" in h.run("dump", "-o", f"{h.dir}/x", code=0).err


if __name__ == "__main__":
    sys.exit(main("dump"))
