# SPDX-License-Identifier: GPL-2.0
"""A machine with network ports, whose routes and mounts a test writes."""
import os
import socket
import struct

import mktree
from harness import Host

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
UP, GATEWAY, HOST, REJECT = 1, 2, 4, 0x200


def swapped(address):
    return "%08X" % struct.unpack("<I", socket.inet_aton(address))


class Machine(Host):
    """Ports eno1 to eno3, each in a group of its own, on 10.0.1.0/24 and so on."""

    def __init__(self, ports=3, subnets=True):
        super().__init__()
        self.ports, self.subnets = ports, subnets

    def __enter__(self):
        super().__enter__()
        self.top = os.path.join(self.dir, "net")
        os.mkdir(self.top)
        self.tree = mktree.Tree(self.top)
        self.root = self.top
        self.routes, self.mounts, self.numbers = HEAD, "", 30
        for n in range(1, self.ports + 1):
            self.tree.group(n, "DMA")
            self.tree.device(n, self.port(n), driver="ixgbe", vendor=0x8086, device=0x10fb,
                             klass=0x020000, dma_mask_bits=64)
            self.tree.net(f"{self.port(n)}/net/eno{n}")
            if self.subnets:
                self.route(f"eno{n}", f"10.0.{n}.0", 24)
        return self

    def port(self, n):
        return f"pci0000:00/0000:00:0{n}.0/0000:0{n}:00.0"

    def uppers(self, lower, *uppers):
        base = f"{self.top}/sys/class/net/{lower}"
        for upper in uppers:
            os.makedirs(f"{base}/upper_{upper}")

    def virtual(self, name, *uppers):
        self.tree.net(f"virtual/net/{name}")
        self.uppers(name, *uppers)

    def route(self, ifname, to, prefix, gateway=None, flags=UP):
        mask = "%08X" % struct.unpack("<I", struct.pack(">I", (0xffffffff << (32 - prefix)) & 0xffffffff))
        flags |= GATEWAY if gateway else 0
        self.routes += (f"{ifname}\t{swapped(to)}\t{swapped(gateway or '0.0.0.0')}\t{flags:04X}"
                        f"\t0\t0\t0\t{mask}\t0\t0\t0\n")

    def route6(self, ifname, to, prefix, gateway="fe80::1", flags=UP | GATEWAY):
        os.makedirs(f"{self.top}/proc/net", exist_ok=True)
        with open(f"{self.top}/proc/net/ipv6_route", "a") as f:
            f.write("%s %02x %s 00 %s 00000400 00000001 00000000 %08x %8s\n" % (
                socket.inet_pton(socket.AF_INET6, to).hex(), prefix, "0" * 32,
                socket.inet_pton(socket.AF_INET6, gateway).hex(), flags, ifname))

    def mount(self, target, kind, source, options="rw", number=None):
        self.numbers += 1
        self.mounts += f"{self.numbers} 1 {number or f'0:{self.numbers}'} / {target} rw - {kind} {source} {options}\n"

    def write(self, swaps=""):
        self.tree.write("proc/net/route", self.routes)
        self.tree.write("proc/self/mountinfo", self.mounts)
        self.tree.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n" + swaps)

    def uses(self, swaps=""):
        self.write(swaps)
        groups = self.json("show", code=0)["groups"]
        return {g["group"]: g["devices"][0]["in_use"] for g in groups}

    def default(self):
        """The groups that carry the default route."""
        return [n for n, uses in self.uses().items()
                if any(u["kind"] == "net" and "default route" in u["detail"] for u in uses)]

    def over(self, swaps=""):
        """What comes over which group."""
        return {n: [f"{u['kind']} {u['name']}: {u['detail']}" for u in uses if u["kind"] != "net"]
                for n, uses in self.uses(swaps).items()}

    def never(self):
        """The groups that are refused, whatever is allowed but what loses data."""
        p = self.policy('rules = ( { name = "n"; match = { class = "network"; }; type = "identity"; } );')
        self.write()
        d = self.json("plan", "--allow-in-use", "net,block", p)
        return sorted({x["group"] for x in d["problems"] if "never" in x["message"]})
