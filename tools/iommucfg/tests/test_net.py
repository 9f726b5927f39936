#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Who carries the network, and what comes over it: on trees of machines as people have them.

	test_net.py IOMMUCFG STANDIN [NAME...]
"""
import os
import sys

from harness import main, test
from machine import HOST, REJECT, UP, Machine


@test
def defaults():
    for routes, expected in (
            ([], []),
            ([("eno1", "0.0.0.0", 0, "10.0.1.2")], [1]),
            ([("eno1", "0.0.0.0", 0, "10.0.1.2"), ("eno2", "0.0.0.0", 0, "10.0.2.2")], [1, 2]),
            # In two halves, or in more parts, as clients of a VPN do it.
            ([("eno2", "0.0.0.0", 1, "10.0.2.2"), ("eno2", "128.0.0.0", 1, "10.0.2.2")], [2]),
            ([("eno3", f"{n}.0.0.0", 2, "10.0.3.2") for n in (0, 64, 128, 192)], [3]),
            ([("eno3", "0.0.0.0", 5, "10.0.3.2"), ("eno3", "8.0.0.0", 7, "10.0.3.2")], [3]),
            # What a site routes is none, nor are groups of receivers.
            ([("eno1", "10.0.0.0", 8, "10.0.1.2"), ("eno2", "224.0.0.0", 4, None)], [])):
        with Machine() as m:
            for route in routes:
                m.route(*route)
            assert m.default() == expected, routes
    with Machine() as m:
        m.route("eno1", "0.0.0.0", 0, "10.0.1.2", flags=UP | REJECT)
        m.route("eno2", "0.0.0.0", 0, "10.0.2.2", flags=0)
        assert m.default() == []


@test
def defaults_of_ipv6():
    for routes, expected in (
            ([("eno2", "::", 0)], [2]), ([("eno1", "::", 0), ("eno3", "::", 0)], [1, 3]),
            ([("eno1", "::", 1), ("eno1", "8000::", 1)], [1]), ([("eno3", "2000::", 3)], [3]),
            ([("eno1", "fc00::", 7), ("eno1", "2001:db8::", 32)], [])):
        with Machine() as m:
            for route in routes:
                m.route6(*route)
            assert m.default() == expected, routes
    with Machine() as m:
        # By router advertisement; and the one of lo that refuses all.
        m.route6("eno1", "::", 0, flags=0x450003)
        m.route6("lo", "::", 0, "::", flags=0x200200)
        assert m.default() == [1]


@test
def stacks():
    with Machine() as m:
        m.uppers("eno1", "bond0")
        m.uppers("eno2", "bond0")
        m.virtual("bond0", "bond0.100")
        m.virtual("bond0.100", "vmbr0")
        m.virtual("vmbr0")
        m.uppers("eno3", "vmbr1")
        m.virtual("vmbr1")
        m.route("vmbr0", "0.0.0.0", 0, "10.1.0.2")
        assert m.default() == [1, 2]
    # A VRF has its routes in a table that is in no file.
    for name, expected in (("vrf-mgmt", [2]), ("mgmt", [2]), ("br0", []), ("team0", [])):
        with Machine() as m:
            m.uppers("eno2", name)
            m.virtual(name)
            assert m.default() == expected, name
    with Machine() as m:
        m.uppers("eno2", "link7")
        m.virtual("link7")
        m.tree.write("sys/class/net/link7/uevent", "DEVTYPE=vlan\nINTERFACE=link7\n")
        assert m.default() == []


@test
def not_linked():
    # The packets of a tunnel leave by what has a route, with or without a gateway.
    with Machine(subnets=False) as m:
        m.virtual("wg0")
        m.route("wg0", "0.0.0.0", 0)
        m.route("eno2", "192.0.2.7", 32, "10.0.2.2", flags=UP | HOST)
        m.uppers("eno3", "br0")
        m.virtual("br0")
        m.route("br0", "10.7.0.0", 16)
        m.virtual("br7")
        m.route("br7", "10.8.0.0", 16)
        # These any interface has.
        m.route6("eno1", "fe80::", 64, "::", flags=UP)
        m.route6("eno1", "ff00::", 8, "::", flags=UP)
        assert m.default() == [2, 3]
    # Where none has one it may be any of them.
    with Machine(subnets=False) as m:
        m.virtual("ppp0")
        m.route("ppp0", "0.0.0.0", 0)
        assert m.default() == [1, 2, 3]
    with Machine() as m:
        m.virtual("ppp0")
        m.route("ppp0", "0.0.0.0", 0)
        assert m.default() == [1, 2, 3]
    # The host's interface on Open vSwitch is linked to none of its ports.
    with Machine() as m:
        m.uppers("eno3", "ovs-system")
        m.virtual("ovs-system")
        m.virtual("br-ex")
        m.route("br-ex", "0.0.0.0", 0, "10.1.0.2")
        assert m.default() == [3]
    # A bridge that has a tunnel for a port.
    with Machine(subnets=False) as m:
        m.virtual("vxlan7", "br0")
        m.virtual("br0")
        m.route("br0", "0.0.0.0", 0, "10.1.0.2")
        m.route("eno1", "10.9.0.0", 16, "10.0.1.2")
        m.route("eno2", "10.6.0.0", 16)
        assert m.default() == [1, 2]
    # A port of the bridge leads out, another one to a guest: the rest is not the default's.
    with Machine() as m:
        m.virtual("tap7", "br0")
        m.uppers("eno1", "br0")
        m.virtual("br0")
        m.route("br0", "0.0.0.0", 0, "10.1.0.2")
        assert m.default() == [1]


@test
def tunnels_that_tell():
    """Another port has a gateway, but the tunnel says what it leaves by."""
    def numbers(m, path, index, link):
        m.tree.write(f"sys/devices/{path}/ifindex", f"{index}\n")
        m.tree.write(f"sys/devices/{path}/iflink", f"{link}\n")

    for lower, expected in (("eno1", [1]), ("eno1.7", [1]), ("gone", [1, 2, 3])):
        with Machine() as m:
            m.uppers("eno1", "eno1.7")
            m.virtual("eno1.7")
            m.virtual("ppp0")
            m.route("ppp0", "0.0.0.0", 0)
            m.route("eno2", "10.9.0.0", 16, "10.0.2.2")
            m.tree.write("proc/net/pppoe", "Id       Address              Device\n"
                         f"000000BA 00:11:22:33:44:55 {lower:>8}\n")
            assert m.default() == expected, lower
    for name, link, expected in (("gre1", 2, [1]), ("gre1", 0, [1, 2, 3]), ("gre1", 9, [1, 2, 3]),
                                 # The other one of a pair is maybe in another namespace.
                                 ("veth1", 2, [1, 2, 3])):
        with Machine() as m:
            for n in (1, 2, 3):
                numbers(m, f"{m.port(n)}/net/eno{n}", n + 1, n + 1)
            m.virtual(name)
            numbers(m, f"virtual/net/{name}", 9, link)
            m.route(name, "0.0.0.0", 0)
            m.route("eno3", "10.9.0.0", 16, "10.0.3.2")
            assert m.default() == expected, (name, link)


@test
def mounts():
    for kind, source, options, expected in (
            ("nfs4", "10.0.1.9:/srv", "rw,vers=4.2,addr=10.0.1.9", [1]),
            ("nfs", "files.example:/srv", "rw,addr=10.0.2.9,proto=tcp", [2]),
            ("nfs4", "[2001:db8:3::9]:/srv", "rw", [3]),
            ("nfs4", "10.0.1.9:/srv", "rw", [1]),
            ("cifs", "//nas/share", "rw,username=x,addr=10.0.3.9,port=445", [3]),
            ("ceph", "10.0.2.1:6789,10.0.3.1:6789:/", "rw,name=admin", [2, 3]),
            ("ceph", "admin@fsid.cephfs=/", "rw,mon_addr=10.0.1.1:6789/10.0.2.1:6789", [1, 2]),
            ("9p", "10.0.2.5", "rw,trans=tcp,port=564", [2]),
            ("fuse.sshfs", "me@10.0.3.4:/home", "rw,user_id=0", [3]),
            ("fuse.glusterfs", "gluster1:/vol", "rw", [1]),
            ("fuse.juicefs", "JuiceFS:vol", "rw", [1]), ("fuse.gcsfuse", "bucket", "rw", [1]),
            ("fuse", "https://10.0.3.7/dav/", "rw", [3]), ("fuse.x", "me@10.0.2.7:/x", "rw", [2]),
            ("lustre", "10.0.2.8@tcp:/fs", "rw", [2]), ("lustre", "10.0.3.8@o2ib:/fs", "rw", [3]),
            # By name alone it is as far as the default route is.
            ("nfs4", "files.example:/srv", "rw", [1]),
            ("nfs4", "198.51.100.7:/srv", "rw", [1]),
            # Not over a network, or from this machine.
            ("fuse.lxcfs", "lxcfs", "rw", []), ("fuse.snapfuse", "/srv/a:b", "rw", []),
            ("9p", "share", "rw,trans=virtio", []), ("nfsd", "nfsd", "rw", []),
            ("autofs", "systemd-1", "rw", []), ("nfs4", "127.0.0.1:/srv", "rw,addr=127.0.0.1", [])):
        with Machine() as m:
            m.route("eno1", "0.0.0.0", 0, "10.0.1.2")
            m.route6("eno3", "2001:db8:3::", 64, "::", flags=UP)
            m.mount("/data", kind, source, options)
            found = m.over()
            assert [n for n in found if found[n]] == expected, (kind, source, found)
            for n in expected:
                assert found[n] == [f"mount eno{n}: /data, {kind} from {source}"] or len(expected) > 1, found
            assert m.never() == []
    # Nothing is known of any way: it may be each.
    with Machine(subnets=False) as m:
        m.mount("/data", "nfs4", "192.0.2.1:/srv")
        assert all(m.over().values())


@test
def never_taken():
    for target in ("/", "/usr", "/var", "/boot"):
        with Machine() as m:
            m.mount(target, "nfs4", "10.0.2.9:/root", "rw,addr=10.0.2.9")
            assert m.never() == [2]
    # A layer of the root, and a swap file.
    with Machine() as m:
        m.mount("/run/base", "nfs4", "10.0.2.9:/root", "ro,addr=10.0.2.9")
        m.mount("/", "overlay", "overlay", "rw,lowerdir=/run/base/root,upperdir=/run/x/u,workdir=/run/x/w")
        m.mount("/run/x", "tmpfs", "tmpfs")
        m.mount("/data", "nfs4", "10.0.3.9:/data", "rw,addr=10.0.3.9")
        assert m.never() == [2]
    with Machine() as m:
        m.mount("/data", "nfs4", "10.0.3.9:/data", "rw,addr=10.0.3.9")
        m.write("/data/swap file 1024 0 -2\n")
        p = m.policy('rules = ( { name = "n"; match = { class = "network"; }; type = "identity"; } );')
        d = m.json("plan", "--allow-in-use", "net,block", p)
        assert [x["group"] for x in d["problems"] if "never" in x["message"]] == [3], d["problems"]


@test
def disks():
    with Machine() as m:
        t = m.tree
        # iSCSI with a volume on it, mounted.
        t.block("platform/host7/session2/target7:0:0/7:0:0:1/block/sdb", "8:16", holders=["dm-0"])
        t.block("platform/host7/session2/target7:0:0/7:0:0:1/block/sdb/sdb1", "8:17")
        t.write("sys/class/iscsi_connection/connection2:0/address", "10.0.1.50\n")
        t.write("sys/class/scsi_host/host7/proc_name", "iscsi_tcp\n")
        t.block("virtual/block/dm-0", "253:0", slaves=["sdb1"], dm="vg-data")
        m.mount("/db", "xfs", "/dev/mapper/vg-data", number="253:0")
        # NVMe over TCP, both ways of one head, and nothing on it.
        for n, server in ((4, "10.0.2.60"), (5, "10.0.3.60")):
            ctl = f"sys/devices/virtual/nvme-fabrics/ctl/nvme{n}"
            t.write(f"{ctl}/transport", "tcp\n")
            t.write(f"{ctl}/address", f"traddr={server},trsvcid=4420\n")
            t.link(f"sys/devices/virtual/nvme-subsystem/nvme-subsys4/nvme{n}", ctl)
        t.block("virtual/nvme-subsystem/nvme-subsys4/nvme4n1", "259:9")
        found = m.over()
        assert found[1] == ["mount sdb: /db, iSCSI from 10.0.1.50 over eno1",
                            "disk sdb: connected, iSCSI from 10.0.1.50 over eno1"], found
        assert len(found[2]) == len(found[3]) == 1 and "NVMe over TCP" in found[2][0], found
        assert found[2][0].startswith("disk nvme4n1: connected"), found
    with Machine() as m:
        t = m.tree
        m.route("eno2", "0.0.0.0", 0, "10.0.2.2")
        t.block("virtual/block/nbd0", "43:0")
        t.write("sys/devices/virtual/block/nbd0/pid", "77\n")
        t.write("proc/77/cmdline", "nbd-client\0" "10.0.3.8\0/dev/nbd0\0")
        t.block("virtual/block/nbd1", "43:16")
        t.write("sys/devices/virtual/block/nbd1/size", "0\n")
        t.block("virtual/block/etherd!e1.1", "152:16")
        t.write("sys/devices/virtual/block/etherd!e1.1/netif", "eno1\n")
        t.block("virtual/block/rbd0", "251:0")
        t.write("sys/bus/rbd/devices/0/config_info", "10.0.1.3:6789 name=admin rbd disk\n")
        m.mount("/", "ext4", "/dev/rbd0", number="251:0")
        found = m.over()
        assert found[3] == ["disk nbd0: connected, nbd from 10.0.3.8 over eno3"], found
        assert found[2] == [] and any("etherd!e1.1" in x for x in found[1]), found
        assert any(x.startswith("mount rbd0: /,") for x in found[1]), found
        assert m.never() == [1]
        # Of a client that tells nothing it may be as far as the default route.
        os.unlink(f"{m.top}/proc/77/cmdline")
        assert m.over()[2] == ["disk nbd0: connected, nbd over eno2"]


@test
def without_a_local_disk():
    """Of DRBD: it may come as far as the default route."""
    with Machine() as m:
        m.route("eno1", "0.0.0.0", 0, "10.0.1.2")
        m.tree.block("virtual/block/drbd0", "147:0")
        m.tree.write("sys/devices/virtual/block/drbd0/size", "0\n")
        m.tree.block(f"{m.port(2)}/nvme/nvme0/nvme0n1", "259:1", holders=["drbd1"])
        m.tree.block("virtual/block/drbd1", "147:1", slaves=["nvme0n1"])
        m.mount("/srv", "xfs", "/dev/drbd1", number="147:1")
        assert not any("DRBD" in x for uses in m.over().values() for x in uses), m.over()
        m.tree.block("virtual/block/drbd1000", "147:1000")
        m.mount("/var", "xfs", "/dev/drbd1000", number="147:1000")
        found = m.over()
        assert found[1] == ["mount drbd1000: /var, DRBD over eno1",
                            "disk drbd1000: connected, DRBD over eno1"], found
        assert not found[3] and not any("DRBD" in x for x in found[2]), found
        assert m.never() == [1]


@test
def over_rdma_or_a_vlan():
    """What is lost with a card for RDMA needs the word for mounts, not that for routes."""
    for source, hint in (("10.0.2.8@tcp:/fs", "default-route"), ("10.0.2.8@o2ib1:/fs", "unmounted")):
        with Machine() as m:
            m.mount("/data", "lustre", source)
            m.write()
            p = m.policy('rules = ( { name = "n"; match = { class = "network"; }; type = "identity"; } );')
            d = m.json("plan", "--allow-in-use", "net", "--confirm-timeout", "60", p)
            assert [x["group"] for x in d["problems"]] == [2] and hint in d["problems"][0]["message"], d
    # FCoE on a VLAN of the card: the disk is below no device.
    with Machine() as m:
        m.uppers("eno2", "eno2.7-fcoe")
        m.virtual("eno2.7-fcoe")
        m.tree.block("virtual/net/eno2.7-fcoe/ctlr_0/host7/rport-7:0-0/target7:0:0/7:0:0:0/block/sdq",
                     "65:0")
        m.mount("/", "ext4", "/dev/sdq", number="65:0")
        assert m.never() == [2] and m.over()[1] == [], m.over()
        assert m.over()[2][0] == "mount sdq: /, Fibre Channel over eno2", m.over()


@test
def many():
    """All are judged, some are told, and the rest is counted."""
    with Machine() as m:
        for i in range(5000):
            m.mount(f"/home/u{i}", "nfs4", f"10.0.2.9:/home/u{i}", "rw,addr=10.0.2.9", number="0:99")
        m.mount("/usr", "nfs4", "10.0.2.9:/usr", "rw,addr=10.0.2.9")
        found = m.over()[2]
        assert len(found) < 20 and any("4993 more" in x for x in found), found
        assert m.never() == [2]


@test
def losses():
    """What goes off interfaces; of a saved tree it is not known what brings it back."""
    with Machine() as m:
        m.virtual("eno2.5")
        m.uppers("eno2", "eno2.5")
        m.tree.write("sys/devices/virtual/net/eno2.5/uevent", "DEVTYPE=vlan\nINTERFACE=eno2.5\n")
        m.virtual("bond0")
        m.tree.write("sys/devices/virtual/net/bond0/uevent", "DEVTYPE=bond\nINTERFACE=bond0\n")
        m.uppers("eno3", "bond0")
        os.symlink("../../../../../virtual/net/bond0", f"{m.top}/sys/devices/{m.port(3)}/net/eno3/master")
        m.route("eno1", "0.0.0.0", 0, "10.0.1.2")
        m.route("bond0", "10.9.0.0", 16, "10.0.3.2")
        m.tree.write("proc/net/if_inet6", "".join(
            f"{address} 02 40 00 80 {name:>8}\n" for address, name in (
                ("fd000000000000000000000000000005", "eno2.5"),
                ("fe800000000000000000000000000005", "eno2"))))
        m.write()
        p = m.policy('rules = ( { name = "n"; match = { class = "network"; }; type = "identity"; } );')
        found = {x["interface"]: x for x in m.json("plan", p)["losses"]}
        assert found["eno1"] == {
            "interface": "eno1", "group": 1, "device": "0000:01:00.0", "addresses": [],
            "routes": ["10.0.1.0/24", "default"], "master": None, "manager": "unknown"}, found
        assert found["eno2.5"]["addresses"] == ["fd00::5/64"] and found["eno2.5"]["group"] == 2
        assert found["eno3"]["master"] == "bond0" and "bond0" not in found, found
        text = " ".join(m.run("plan", p).out.split())
        assert "eno1 loses the route 10.0.1.0/24, the route default for a moment" in text, text
        assert "its place in bond0 for a moment; what manages it cannot be asked" in text, text
        # In place nothing goes.
        assert not m.json("set", "1", "DMA-FQ", "-n", "--allow-in-use", "net")["losses"]


if __name__ == "__main__":
    sys.exit(main("net"))
