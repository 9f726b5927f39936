#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""iommucfg dump: a saved machine shows and plans what the machine does, and tells nothing of
those who own it.

	test_dump.py IOMMUCFG STANDIN [NAME...]
"""
import os
import re
import subprocess
import sys
import tarfile

from harness import Host, Skip, main, test
from machine import Machine
import mktree

# From Python 3.14 on the usual filter refuses links like those of /dev.
UNPACK = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
ALL = 'rules = ( { name = "all"; match = { device = "*"; }; type = "identity"; } );\n'
MAC, SERIAL, WWID = "52:54:00:ab:cd:ef", "S3EVNX0K123456", "naa.5000c500a1b2c3d4"
SECRETS = (MAC, MAC.replace(":", ""), MAC.upper(), SERIAL, WWID, WWID[4:], "oak7", "192.168.77.5",
           "fd12:3456::7", "10.11.12.13", "storage.example.org", "filer", "someone", "057CA8C0",
           "WCC4N0123456")


class Private(Machine):
    """A machine with all that is not to be told."""

    def __init__(self, hostname="oak7.example.org"):
        super().__init__()
        self.hostname = hostname

    def __enter__(self):
        super().__enter__()
        t = self.tree
        for path, text in (("proc/sys/kernel/hostname", f"{self.hostname}\n"),
                           ("proc/sys/kernel/osrelease", "6.12.0-test\n"),
                           ("proc/cmdline", "root=UUID=1234 ip=192.168.77.5::::oak7 intel_iommu=on\n"),
                           ("proc/net/if_inet6", "fd123456000000000000000000000007 02 40 00 80 eno2\n"),
                           ("proc/net/pppoe", f"Id       Address              Device\n000000BA {MAC}     eno2\n"),
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
        assert os.stat(archive).st_mode & 0o777 == 0o600, oct(os.stat(archive).st_mode)
        assert d["result"] == "saved" and d["files"] > 50, d
        text = ""
        with tarfile.open(archive) as tar:
            for member in tar:
                data = tar.extractfile(member).read().decode() if member.isfile() else ""
                text += f"{member.name} {member.linkname}\n{data}\n"
            tar.extractall(to, **UNPACK)
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
        assert not tells(text, SECRETS), tells(text, SECRETS)
        assert "letter" not in text and "/dev/null" not in text, text
        a, b = h.plan_of(h.root), h.plan_of(root)
        assert a == b, f"{a}\n{b}"
        assert re.search(r"\n000000BA hidden\d+ +eno2\n", text), text
        # What belongs together still does.
        uses = h.json("show", "--root", root, "8", code=0)["groups"][0]["devices"][0]["in_use"]
        assert {u["kind"] for u in uses} >= {"mount", "open"}, uses


def tells(text, secrets):
    return [(s, [line for line in text.split("\n") if s.lower() in line.lower()]) for s in secrets
            if s.lower() in text.lower()]


@test
def names_of_hosts():
    for name, secrets in (("web-01.example.org", ("web-01", "web--01")), ("db1", ("db1",)),
                          ("pc", ("pc--vg", "pc-disk"))):
        with Private(name) as h:
            short = name.split(".", maxsplit=1)[0]
            vg = f"{short}-vg".replace("-", "--")
            h.tree.block("virtual/block/dm-1", "253:1", slaves=["sda"], dm=f"{vg}-root")
            h.mount("/srv", "ext4", f"/dev/mapper/{vg}-root", number="0:99")
            h.mount("/opt", "ext4", f"/dev/{short}-vg/root", number="0:98")
            h.tree.write(f"sys/kernel/config/target/core/iblock_0/{short}-disk/enable", "1\n")
            h.write()
            root, text = h.dump()
            assert not tells(text, secrets), tells(text, secrets)
            a, b = h.plan_of(h.root), h.plan_of(root)
            assert a == b, f"{a}\n{b}"
            uses = h.json("show", "--root", root, "7", code=0)["groups"][0]["devices"][0]["in_use"]
            assert {u["where"] for u in uses} >= {"/srv", "/opt"}, uses
    # A name that the tree itself has is none that tells anything.
    for name in ("block", "sda", "00"):
        with Private(name) as h:
            root, _ = h.dump()
            a, b = h.plan_of(h.root), h.plan_of(root)
            assert a == b, f"{name}: {a}\n{b}"


@test
def mounts():
    secrets = ("alice", "corp", "u:pw", "pw@", "hidden.example", "nas.example.org", "fsid", "letters",
               "10.11.12.13", "picture", "web01")
    with Private() as h:
        t = h.tree
        t.block("virtual/block/loop0", "7:0")
        t.write("sys/devices/virtual/block/loop0/loop/backing_file", "/home/alice/a picture.img\n")
        for n, text in ((1, "Status: ACTIVATED\n\tTCM FILEIO ID: 0  File: /home/alice/picture.img\n"),
                        (2, "Status: ACTIVATED\n\tiBlock device: sda  UDEV PATH: /srv/alice  readonly: 0\n")):
            core = f"sys/kernel/config/target/core/iblock_{n}/disk"
            t.write(f"{core}/enable", "1\n")
            t.write(f"{core}/info", text)
        t.write("sys/kernel/config/target/core/fileio_0/disk/udev_path", "/home/alice/picture.img\n")
        h.mount("/home", "ext4", "/dev/sda", number="8:0")
        h.mount("/home/alice/a\\040picture", "ext4", "/dev/loop0", number="7:0")
        h.mount("/media/alice/letters", "cifs", "//web01/alice",
                "rw,vers=3.0,username=alice,domain=CORP,addr=10.11.12.13")
        h.mount("/mnt/nas.example.org", "fuse.davfs", "https://cloud.hidden.example/alice", "rw,user_id=0")
        h.mount("/mnt/ftp", "fuse.curlftpfs", "ftp://u:pw@ftp.hidden.example/", "rw,allow_other")
        h.mount("/run/user/1000/alice", "ceph", "alice@fsid.cephfs=/x", "rw,name=alice,mon_addr=10.11.12.13:6789")
        h.mount("/", "overlay", "overlay", "rw,lowerdir=/home/alice/lower:/usr,upperdir=/home/alice/upper,"
                "workdir=/home/alice/work", number="0:77")
        t.write("proc/1/exe", "")
        os.unlink(f"{h.root}/proc/1/exe")
        os.symlink("/home/alice/init", f"{h.root}/proc/1/exe")
        h.write(swaps="/home/alice/swap file\t16\t0\t-2\n")
        root, text = h.dump()
        assert not tells(text, secrets), tells(text, secrets)
        a, b = h.plan_of(h.root), h.plan_of(root)
        assert a == b, f"{a}\n{b}"
        # / is overlaid on what is below /home, which is found by the words for its names.
        uses = h.json("show", "--root", root, "7", code=0)["groups"][0]["devices"][0]["in_use"]
        assert {"mount", "swap", "export"} <= {u["kind"] for u in uses}, uses
        assert [u["where"].split("/")[1][:4] for u in uses if u["where"] and not u["word"]] == ["home", "home"], uses


@test
def names_of_files():
    mac, permanent, nqn = "a0:b1:c2:d3:e4:f5", "0c:1d:2e:3f:40:51", "nqn.2014-08.org.nvmexpress:uuid:web01"
    with Private() as h:
        t, name = h.tree, f"enx{permanent.replace(':', '')}"
        for path in (f"sys/class/power_supply/hid-{mac}-battery/type",
                     f"sys/devices/virtual/misc/hid-{mac}/power_supply/hid-{mac}-battery/type",
                     f"sys/devices/virtual/misc/hid-{mac}/type",
                     "sys/devices/virtual/net/wlx112233445566/flags",
                     f"sys/kernel/config/nvmet/subsystems/disks/allowed_hosts/{nqn}/x"):
            t.write(path, "x\n")
        for record in (f"+power_supply:hid-{mac}-battery", "n7", "c4:64"):
            t.write(f"run/udev/data/{record}", "S:disk/by-label/other\n")
        # A leg of a bond has the address of the bond.
        port = f"pci0000:00/0000:00:09.0/0000:09:00.0/net/{name}"
        t.net(port)
        t.write(f"sys/devices/{port}/address", MAC + "\n")
        t.write(f"sys/devices/{port}/bonding_slave/perm_hwaddr", permanent + "\n")
        root, text = h.dump()
        secrets = (mac, permanent, permanent.replace(":", ""), nqn, "web01", "112233445566", "run/udev/data/")
        assert not tells(text, secrets), tells(text, secrets)
        assert "wlxhidden" in text and "enxhidden" in text, text
        shown = h.json("show", "--root", root, "9", code=0)["groups"][0]["devices"][0]["interfaces"]
        assert len(shown) == 2, shown


@test
def labels():
    uuid, other = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "6FA459EA-EE8A-3CA4-894E-DB77E160355E"
    for root, links in (("LABEL=alice", "S:disk/by-label/alice\n"), (f"UUID={uuid}", f"S:disk/by-uuid/{uuid}\n"),
                        ("UUID=AB12-34CD", "S:disk/by-uuid/AB12-34CD\n"),
                        ("/dev/disk/by-partlabel/alice", "S:disk/by-partlabel/alice\n")):
        with Private() as h:
            h.tree.write("proc/cmdline", f"BOOT_IMAGE=x quiet root={root} resume={root}\n")
            h.tree.write("run/udev/data/b8:0", f"I:1\nE:ID_SERIAL=WD-WCC4N0123456\n{links}")
            h.tree.block("virtual/block/dm-1", "253:1", slaves=["sda"], dm=f"luks-{other.lower()}")
            h.tree.write("sys/devices/virtual/block/dm-1/dm/uuid", f"CRYPT-LUKS2-{other.replace('-', '')}-alice\n")
            h.tree.write(f"sys/fs/btrfs/{uuid}/devices/sda/placeholder", "")
            h.mount("/", "ext4", "/dev/root", number="0:99")
            h.write()
            there, text = h.dump()
            secrets = ("alice", uuid, other, other.replace("-", ""), "AB12")
            assert not tells(text, secrets), tells(text, secrets)
            a, b = h.plan_of(h.root), h.plan_of(there)
            assert a == b, f"{a}\n{b}"
            uses = h.json("show", "--root", there, "7", code=0)["groups"][0]["devices"][0]["in_use"]
            assert any(u["where"] == "/" for u in uses), uses


@test
def zfs():
    with Private() as h:
        h.tree.write("run/udev/data/b8:0", "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=alicepool\n")
        h.mount("/srv/x", "zfs", "alicepool/alice", "rw,xattr", number="0:99")
        h.write()
        there, text = h.dump()
        assert not tells(text, ("alice",)), tells(text, ("alice",))
        a, b = h.plan_of(h.root), h.plan_of(there)
        assert a == b, f"{a}\n{b}"
        uses = h.json("show", "--root", there, "7", code=0)["groups"][0]["devices"][0]["in_use"]
        assert "mount" in {u["kind"] for u in uses}, uses


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
            tar.extractall(f"{h.dir}/there", **UNPACK)
        shown = h.json("show", "--all", code=0)
        there = h.json("show", "--all", "--root", f"{h.dir}/there", code=0)
        # Their names are those of pci.ids, which is not in it.
        for document in (shown, there):
            for group in document["groups"]:
                for device in group["devices"]:
                    device["vendor_name"] = device["device_name"] = None
                    for use in device["in_use"]:
                        # Of an interface the addresses, and where people put it.
                        use["detail"] = use["detail"].split(", ")[-1]
                        if use["where"] and use["where"].split("/")[1] not in ("", "boot", "usr", "var"):
                            use["where"] = use["detail"] = None
        for a, b in zip(shown["groups"], there["groups"], strict=True):
            assert a == b, f"{a}\n{b}"


@test
def what_cannot_be_read():
    """The carrier of an interface that is down, and a file without an end."""
    with Host() as h:
        t = mktree.Tree.__new__(mktree.Tree)
        t.top = h.root
        t.net("virtual/net/down")
        t.write("sys/devices/virtual/net/down/carrier", "1\n")
        t.write("proc/mdstat", "x" * (17 << 20))
        os.makedirs(f"{h.dir}/sysfs")
        script = (f"mount -t sysfs none {h.dir}/sysfs && mount --bind {h.dir}/sysfs/class/net/lo/carrier "
                  f"{h.root}/sys/devices/virtual/net/down/carrier || exit 99; exec \"$@\"")
        p = subprocess.run(["unshare", "-mn", "sh", "-c", script, "sh", *h.command("dump", "-o", f"{h.dir}/a.tar")],
                           capture_output=True, text=True, check=False)
        if os.geteuid() or p.returncode == 99:
            raise Skip("needs root, and namespaces")
        assert not p.returncode and "proc/mdstat is in it up to 16 MiB only" in p.stderr, p
        with tarfile.open(f"{h.dir}/a.tar") as tar:
            assert tar.extractfile("sys/devices/virtual/net/down/carrier").read() == b"0\n"


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
