#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes sysfs trees to test iommucfg on with --root.

	mktree.py host DIR		a small host with one of everything
	mktree.py large DIR GROUPS DEVICES	many groups, for tests and benchmarks

The files have the form that Linux 6.12 gives them; what is in them was taken
down from machines and is written out here, as a repository of links and files
named with colons does not check out everywhere.
"""
import os
import sys


class Tree:
    def __init__(self, top):
        self.top = top
        os.makedirs(os.path.join(top, "sys/kernel/iommu_groups"))
        os.makedirs(os.path.join(top, "sys/class/block"))
        os.makedirs(os.path.join(top, "sys/class/net"))

    def write(self, path, text):
        path = os.path.join(self.top, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def link(self, path, target):
        """Like sysfs: from its own place up to the top, and down."""
        full = os.path.join(self.top, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        os.symlink(os.path.relpath(os.path.join(self.top, target),
                                   os.path.dirname(full)), full)

    def group(self, number, type):
        os.makedirs(f"{self.top}/sys/kernel/iommu_groups/{number}/devices")
        self.write(f"sys/kernel/iommu_groups/{number}/type", type + "\n")

    def device(self, group, path, bus="pci", driver=None, vendor=None, device=None,
               klass=None, subsystem=(0x1af4, 0x1100), modalias=None, **attrs):
        """PATH is below sys/devices; its last part is the name."""
        name = os.path.basename(path)
        d = f"sys/devices/{path}"
        os.makedirs(os.path.join(self.top, d), exist_ok=True)
        uevent = f"DRIVER={driver}\n" if driver else ""
        if bus == "pci":
            sub = "%04X:%04X" % subsystem
            modalias = modalias or "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X" % (
                vendor, device, *subsystem, klass >> 16, klass >> 8 & 255, klass & 255)
            uevent += (f"PCI_CLASS={klass:04X}\nPCI_ID={vendor:04X}:{device:04X}\n"
                       f"PCI_SUBSYS_ID={sub}\nPCI_SLOT_NAME={name}\n")
            self.write(f"{d}/vendor", f"0x{vendor:04x}\n")
            self.write(f"{d}/device", f"0x{device:04x}\n")
            self.write(f"{d}/class", f"0x{klass:06x}\n")
            self.write(f"{d}/subsystem_vendor", "0x%04x\n" % subsystem[0])
            self.write(f"{d}/subsystem_device", "0x%04x\n" % subsystem[1])
        attrs.setdefault("driver_override", "(null)")
        if modalias:
            uevent += f"MODALIAS={modalias}\n"
            self.write(f"{d}/modalias", modalias + "\n")
        self.write(f"{d}/uevent", uevent)
        for attr, value in attrs.items():
            self.write(f"{d}/{attr}", f"{value}\n")
        self.link(f"{d}/subsystem", f"sys/bus/{bus}")
        self.link(f"sys/bus/{bus}/devices/{name}", d)
        if driver:
            self.link(f"{d}/driver", f"sys/bus/{bus}/drivers/{driver}")
        self.link(f"{d}/iommu_group", f"sys/kernel/iommu_groups/{group}")
        self.link(f"sys/kernel/iommu_groups/{group}/devices/{name}", d)

    def block(self, path, number, holders=(), slaves=(), dm=None):
        name = os.path.basename(path)
        d = f"sys/devices/{path}"
        self.write(f"{d}/dev", f"{number}\n")
        self.link(f"sys/class/block/{name}", d)
        for kind, names in (("holders", holders), ("slaves", slaves)):
            for other in names:
                self.write(f"{d}/{kind}/{other}/placeholder", "")
        if dm:
            self.write(f"{d}/dm/name", dm + "\n")

    def net(self, path, flags="0x1003", uppers=()):
        name = os.path.basename(path)
        d = f"sys/devices/{path}"
        self.write(f"{d}/flags", flags + "\n")
        self.link(f"sys/class/net/{name}", d)
        for upper in uppers:
            self.write(f"{d}/upper_{upper}/placeholder", "")


PCI_IDS = """\
10de  NVIDIA Corporation
\t2330  GH100 [H100 SXM5 80GB]
144d  Samsung Electronics Co Ltd
\ta80a  NVMe SSD Controller PM9A1/PM9A3/980PRO
15b3  Mellanox Technologies
\t1021  MT2910 Family [ConnectX-7]
8086  Intel Corporation
\t10d3  82574L Gigabit Network Connection
\t15d3  JHL6540 Thunderbolt 3 Bridge (C step) [Alpine Ridge 4C 2016]
\t2918  82801IB (ICH9) LPC Interface Controller
\t2922  82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode]
\t2930  82801I (ICH9 Family) SMBus Controller
C 01  Mass storage controller
\t06  SATA controller
\t08  Non-Volatile memory controller
C 02  Network controller
\t00  Ethernet controller
C 03  Display controller
\t02  3D controller
C 06  Bridge
\t01  ISA bridge
\t04  PCI bridge
C 0c  Serial bus controller
\t05  SMBus
"""


def host(top):
    t = Tree(top)
    root = "pci0000:00"
    # 0: a root port
    t.group(0, "DMA-FQ")
    t.device(0, f"{root}/0000:00:1c.4", driver="pcieport", vendor=0x8086, device=0x15d3,
             klass=0x060400, removable="fixed")
    # 1: GPU and network card behind it, one group of two devices
    t.group(1, "DMA-FQ")
    gpu = f"{root}/0000:00:1c.4/0000:01:00.0"
    t.device(1, gpu, driver="nvidia", vendor=0x10de, device=0x2330, klass=0x030200,
             dma_mask_bits=47)
    nic = f"{root}/0000:00:1c.4/0000:01:00.1"
    t.device(1, nic, driver="mlx5_core", vendor=0x15b3, device=0x1021, klass=0x020000,
             dma_mask_bits=64, sriov_numvfs=0)
    t.net(f"{nic}/net/ib0", flags="0x1002")
    # 2: the system's disk
    t.group(2, "DMA-FQ")
    disk = f"{root}/0000:00:02.0"
    t.device(2, disk, driver="nvme", vendor=0x144d, device=0xa80a, klass=0x010802,
             dma_mask_bits=64)
    t.block(f"{disk}/nvme/nvme0/nvme0n1", "259:0")
    t.block(f"{disk}/nvme/nvme0/nvme0n1/nvme0n1p1", "259:1")
    t.block(f"{disk}/nvme/nvme0/nvme0n1/nvme0n1p2", "259:2", holders=["dm-0"])
    t.block(f"{disk}/nvme/nvme0/nvme0n1/nvme0n1p3", "259:3")
    t.block("virtual/block/dm-0", "253:0", slaves=["nvme0n1p2"], dm="vg-home")
    # 3: the interface with the default route
    t.group(3, "DMA")
    eth = f"{root}/0000:00:03.0"
    t.device(3, eth, driver="e1000e", vendor=0x8086, device=0x10d3, klass=0x020000,
             dma_mask_bits=32)
    t.net(f"{eth}/net/eth0")
    # 4: the chipset's functions
    t.group(4, "DMA")
    t.device(4, f"{root}/0000:00:1f.0", driver="lpc_ich", vendor=0x8086, device=0x2918,
             klass=0x060100)
    t.device(4, f"{root}/0000:00:1f.2", driver="ahci", vendor=0x8086, device=0x2922,
             klass=0x010601, dma_mask_bits=64)
    t.block(f"{root}/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0")
    t.device(4, f"{root}/0000:00:1f.3", driver="i801_smbus", vendor=0x8086, device=0x2930,
             klass=0x0c0500)
    # 5: at an external port, removable, no driver bound
    t.group(5, "DMA")
    t.device(5, f"{root}/0000:00:1d.0/0000:05:00.0", vendor=0x8086, device=0x10d3,
             klass=0x020000, removable="removable")
    # 6: held by a virtual machine
    t.group(6, "DMA")
    t.device(6, f"{root}/0000:00:1d.1/0000:06:00.0", driver="vfio-pci", vendor=0x8086,
             device=0x10d3, klass=0x020000)
    os.makedirs(f"{top}/proc/4711/fd")
    os.symlink("/dev/vfio/vfio", f"{top}/proc/4711/fd/10")
    os.symlink("/dev/vfio/6", f"{top}/proc/4711/fd/11")
    t.write("proc/4711/comm", "qemu-system-x86\n")
    # 7: a platform device, no driver, but one to wait for
    t.group(7, "identity")
    t.device(7, "platform/arm-smmu.0.auto", bus="platform", driver_override="dmatest")
    # 8: emptied by an unplug
    t.group(8, "DMA")
    # 9: behind VMD: a root bus of its own, domain of five digits
    t.group(9, "identity")
    vmd = f"{root}/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0"
    t.device(9, vmd, driver="nvme", vendor=0x144d, device=0xa80a, klass=0x010802)
    t.block("virtual/nvme-subsystem/nvme-subsys1/nvme1n1", "259:8")
    t.link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1",
           f"sys/devices/{vmd}/nvme/nvme1")
    t.block(f"{vmd}/nvme/nvme1/nvme1c1n1", "259:7")
    # 12: virtual functions enabled; its number is out of row on purpose
    t.group(12, "blocked")
    t.device(12, f"{root}/0000:00:04.0", driver="ixgbe", vendor=0x8086, device=0x10d3,
             klass=0x020000, sriov_numvfs=4)
    # a managed link: the disk of group 4 depends on group 0's port
    link = "sys/devices/virtual/devlink/pci:0000:00:04.0--pci:0000:00:1f.2"
    t.write(f"{link}/status", "active\n")
    t.link(f"{link}/supplier", f"sys/devices/{root}/0000:00:04.0")
    t.link(f"{link}/consumer", f"sys/devices/{root}/0000:00:1f.2")
    t.link("sys/class/devlink/pci:0000:00:04.0--pci:0000:00:1f.2", link)

    t.write("proc/self/mountinfo",
            "20 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw\n"
            "21 20 253:0 / /home rw,relatime - xfs /dev/mapper/vg-home rw\n"
            "22 20 0:45 / /srv/my\\040data rw - btrfs /dev/sda rw\n"
            "23 20 259:8 / /fast rw - ext4 /dev/nvme1n1 rw\n"
            "24 20 0:22 / /proc rw - proc proc rw\n")
    t.write("proc/swaps",
            "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n"
            "/dev/nvme0n1p3                          partition\t2097148\t0\t-2\n")
    t.write("proc/net/route",
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
            "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
            "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    t.write("proc/net/fib_trie",
            "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
            "     |-- 10.0.2.15\n        /32 host LOCAL\nLocal:\n"
            "     |-- 10.0.2.15\n        /32 host LOCAL\n"
            "     |-- 127.0.0.1\n        /32 host LOCAL\n")
    t.write("proc/net/if_inet6",
            "fe80000000000000505400fffe123456 02 40 20 80     eth0\n")
    os.makedirs(f"{top}/var/lib")
    t.write("proc/sys/kernel/osrelease", "6.12.0-test\n")
    t.write("sys/devices/system/memory/block_size_bytes", "8000000\n")
    t.write("sys/devices/system/memory/memory63/state", "online\n")
    t.write("usr/share/misc/pci.ids", PCI_IDS)
    modules = f"{top}/lib/modules/6.12.0-test"
    os.makedirs(modules)
    with open(f"{modules}/modules.alias", "w") as f:
        f.write("alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n")


def large(top, groups, devices):
    """Root ports with devices below; a quarter NVMe, a quarter NICs."""
    t = Tree(top)
    kinds = [(0x144d, 0xa80a, 0x010802, "nvme"), (0x15b3, 0x1021, 0x020000, "mlx5_core"),
             (0x10de, 0x2330, 0x030200, "nvidia"), (0x8086, 0x2918, 0x060100, None)]
    types = ["DMA-FQ", "DMA", "identity"]
    for g in range(groups):
        t.group(g, types[g % 3])
    mounts = []
    for d in range(devices):
        g = d * groups // devices
        domain, bus, fn = d >> 11, (d >> 3) & 255, d & 7
        vendor, device, klass, driver = kinds[d % 4]
        path = (f"pci{domain:04x}:00/{domain:04x}:00:{(bus >> 3) & 31:02x}.{bus & 7}/"
                f"{domain:04x}:{bus:02x}:00.{fn}")
        t.device(g, path, driver=driver, vendor=vendor, device=device, klass=klass,
                 dma_mask_bits=64)
        if driver == "nvme":
            t.block(f"{path}/nvme/nvme{d}/nvme{d}n1", f"{259 + (d >> 19)}:{d}")
            if d % 64 == 0:
                mounts.append(f"{d + 30} 1 {259 + (d >> 19)}:{d} / /data/{d} rw - ext4 "
                              f"/dev/nvme{d}n1 rw\n")
        elif driver == "mlx5_core":
            t.net(f"{path}/net/eth{d}", flags="0x1002")
    t.write("proc/self/mountinfo", "".join(mounts))
    t.write("proc/sys/kernel/osrelease", "6.12.0-test\n")
    t.write("usr/share/misc/pci.ids", PCI_IDS)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "host":
        host(sys.argv[2])
    elif len(sys.argv) == 5 and sys.argv[1] == "large":
        large(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(__doc__)
