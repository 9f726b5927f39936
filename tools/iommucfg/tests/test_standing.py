#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's standing rules for devices to come, filled from the policy.

	test_standing.py IOMMUCFG STANDIN [NAME...]
"""
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time

from harness import GPU, Host, Terminal, main, test

# The groups of the host are as they should be by then, so that nothing else is to do.
BUILTIN = "\0".join(["serial8250.alias=platform:serial8250", "serial8250.license=GPL",
                     "ahci.alias=pci:v*d*sv*sd*bc01sc06i01*", "xahci.alias=pci:v*d*sv*sd*bc01sc06i02*",
                     "ahci.description=a.alias=pci:v*", ""])
ALIASES = """\
# Aliases extracted from modules themselves.
alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
alias pci:v00008086d00001533sv*sd*bc*sc*i* igb
alias pci:v*d*sv*sd*bc01sc08i02* nvme
alias pci:v0000144Dd0000A80Asv*sd*bc*sc*i* nvme
alias pci:v0000106Bd00002001sv*sd*bc*sc*i* nvme
alias usb:v1234p* nvme
alias platform:arm_smmu arm_smmu
alias of:N*T*Carm,smmu_v3C* arm_smmu
alias of:N*T*Carm,smmu_v3 arm_smmu
alias acpi*:ARMH0011:* arm_smmu
alias acpi_video arm_smmu
"""
PCI_MARK = "pci:v00008086d000010D3sv*sd*bc*sc*i*"


def rule(match, type="DMA", name="r", more=""):
    """For devices to come: none that is there need meet it."""
    return f'{{ name = "{name}"; match = {{ {match} }}; type = "{type}"; required = false; {more} }}'


def rules(*list):
    return "rules = ( " + ",\n".join(list) + " );\n"


class Kernel(Host):
    """A host whose groups are all DMA, with tables of drivers."""

    def __init__(self):
        super().__init__(True)

    def __enter__(self):
        super().__enter__()
        top = f"{self.root}/sys/kernel/iommu_groups"
        for g in os.listdir(top):
            with open(f"{top}/{g}/type", "w") as f:
                f.write("DMA\n")
        modules = f"{self.root}/lib/modules/6.12.0-test"
        for name, text in (("modules.alias", ALIASES), ("modules.builtin.modinfo", BUILTIN)):
            with open(f"{modules}/{name}", "w") as f:
                f.write(text)
        os.makedirs(f"{self.root}/etc/iommucfg.d", exist_ok=True)
        self.conf = f"{self.root}/etc/iommucfg.conf"
        return self

    def policy(self, text):
        """The system's policy. What the command line needs for it is nothing."""
        with open(self.conf, "w") as f:
            f.write(text)
        return ()

    def waits_for(self, path, pid):
        """Until the process has had the file open for a while."""
        end = time.monotonic() + 60
        seen = set()
        while path not in seen and time.monotonic() < end:
            time.sleep(0.02)
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    seen.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        time.sleep(0.3)

    def rules(self):
        """The rules without their names, as the kernel looks at them."""
        found = [(-int(r["priority"]), int(r["order"]), r["bus"], r["device"], r["modalias"], r["removable"], r["type"])
                 for r in self.standing().values()]
        return [r[2:] for r in sorted(found)]

    def fill(self, *list, more="", code=0):
        return self.json("apply", "--yes", *self.policy(rules(*list) + more), code=code)

    def becomes(self, match, *expected, warn=None, blocked=None):
        """A rule that has @match becomes these (BUS, DEVICE, MODALIAS, REMOVABLE)."""
        d = self.fill(rule(match))
        found = [r[:4] for r in self.rules() if r[4] != "auto"]
        assert found == sorted(expected), f"{match}: {found}"
        # What is missing is kept from the rules below, by what is right behind.
        found = [r[:4] for r in self.rules() if r[4] == "auto"]
        assert found == sorted(blocked) if blocked is not None else warn or not found, f"{match}: {found}"
        assert {r["order"] for r in self.standing().values()} <= {"0", "1"}
        problems = [p for p in d["problems"] if p["kind"] == "standing"]
        assert len(problems) == (1 if warn else 0), problems
        if warn:
            assert warn in problems[0]["message"] and problems[0]["rule"] == "r", problems
            assert problems[0]["line"] == 1 and problems[0]["file"].endswith("iommucfg.conf")


def pci(v="*", d="*", sv="*", sd="*", bc="*", sc="*", i="*"):
    return f"pci:v{v}d{d}sv{sv}sd{sd}bc{bc}sc{sc}i{i}"


def any_pci(modalias, device="*", removable="any"):
    """The patterns of a rule stand in the order of their bytes."""
    return ("pci", device, " ".join(sorted(modalias.split())), removable)


@test
def what_the_kernel_cannot_have():
    """Nothing of such a rule stands but what keeps the rules below from its devices."""
    with Kernel() as h:
        for match, words in (('bound = true;', '"bound"'), ('slot = "3";', '"slot"'),
                             ('untrusted = true;', '"untrusted"'), ('not = { vendor = 1; };', '"not"')):
            h.becomes(match, warn=words, blocked=[any_pci("*"), ("platform", "*", "*", "any")])
            h.becomes('bus = "pci"; device = "0000:01:00.0"; ' + match, warn=words,
                      blocked=[any_pci("*", "0000:01:00.0")])


@test
def keeps_the_type():
    """Of a device that comes, the kernel's own."""
    with Kernel() as h:
        h.fill(rule('bus = "pci";', type="keep"))
        assert h.rules() == [("pci", "*", "*", "any", "auto")], h.rules()


@test
def names_of_devices():
    with Kernel() as h:
        h.becomes('device = "0000:01:00.*";', any_pci("*", "0000:01:00.*"),
                  ("platform", "0000:01:00.*", "*", "any"))
        # PCI addresses have small letters, and the policy takes either.
        h.becomes('bus = "pci"; device = "10000:E1:0[A-F].0";', any_pci("*", "10000:e1:0[a-f].0"))
        h.becomes('bus = "platform"; device = [ "b.ARM[^x]", "a\\\\*" ];',
                  ("platform", "a\\* b.ARM[!x]", "*", "any"))
        h.becomes('bus = "pci"; device = "0000:0[1:00.0";', warn="no pattern such as")
        h.becomes('bus = "pci"; device = [ "a b", "0000:02:*" ];', any_pci("*", "0000:02:*"),
                  warn="stands only in part")
        h.becomes('bus = "pci"; device = "[[:alpha:]]*";', warn="does not stand for devices to come")


@test
def buses():
    with Kernel() as h:
        h.becomes('bus = "pci";', any_pci("*"))
        h.becomes('bus = "platform";', ("platform", "*", "*", "any"))
        h.becomes('bus = [ "platform", "pci" ];', any_pci("*"), ("platform", "*", "*", "any"))
        h.becomes('bus = [ "pci", "fsl-mc" ];', any_pci("*"), warn="fsl-mc")
        h.becomes('bus = "fsl-mc";', warn="does not stand")
        # Nothing on that bus has a vendor, now or later.
        h.becomes('bus = "platform"; vendor = 0x8086;')


@test
def no_pci():
    with Kernel() as h:
        # Such a kernel refuses the word in a rule's bus.
        os.rename(f"{h.root}/sys/bus/pci", f"{h.root}/sys/bus/none")
        d = h.fill(rule("vendor = 1;", name="a"), rule("removable = true;", name="b"),
                   more='default = "DMA";\n')
        assert d["problems"] == [] and [r[0] for r in h.rules()] == ["platform"] * 2, h.rules()


@test
def ids():
    with Kernel() as h:
        h.becomes("vendor = 0x10de;", any_pci(pci(v="000010DE")))
        h.becomes("vendor = [ 0x15b3, 0x10de ];",
                  any_pci(pci(v="000010DE") + " " + pci(v="000015B3")))
        h.becomes('vendor = "8086"; device_id = 0x1533;', any_pci(pci(v="00008086", d="00001533")))
        h.becomes("vendor = 0x8086; device_id = 0x1533; subsystem_vendor = 0x1af4; subsystem_device = 0x1100;",
                  any_pci(pci("00008086", "00001533", "00001AF4", "00001100")))
        h.becomes("vendor = [ 1, 2 ]; device_id = [ 3, 4 ];", any_pci(" ".join(
            pci(f"0000000{v}", f"0000000{d}") for v in (1, 2) for d in (3, 4))))


@test
def classes():
    with Kernel() as h:
        h.becomes('class = "network";', any_pci(pci(bc="02")))
        h.becomes('class = "0c03";', any_pci(pci(bc="0C", sc="03")))
        h.becomes('class = "0c0330";', any_pci(pci(bc="0C", sc="03", i="30")))
        h.becomes('class = [ "display", "010802" ]; vendor = 0x144d;', any_pci(
            pci(v="0000144D", bc="01", sc="08", i="02") + " " + pci(v="0000144D", bc="03")))


@test
def removable():
    with Kernel() as h:
        h.becomes("removable = true;", any_pci("*", removable="yes"), ("platform", "*", "*", "yes"))
        h.becomes('removable = false; class = "network";', any_pci(pci(bc="02"), removable="no"))
        h.becomes('removable = ( true, false ); bus = "pci";', any_pci("*"))


@test
def paths():
    with Kernel() as h:
        port = f"{h.root}/sys/devices/pci0000:00/0000:00:1c.4"
        with open(f"{port}/secondary_bus_number", "w") as f:
            f.write("26\n")
        h.becomes('path = "0000:00:1C.4/00.0";', any_pci("*", "0000:1a:00.0"))
        # Behind VMD the domain has five digits.
        with open(f"{h.root}/sys/bus/pci/devices/10000:e1:00.0/secondary_bus_number", "w") as f:
            f.write("226\n")
        h.becomes('path = "0000:00:0e.0/06.0/00.0/1f.7";', warn="no bridge of that path")
        os.makedirs(f"{h.root}/sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0", exist_ok=True)
        os.symlink("../../../devices/pci0000:00/0000:00:0e.0", f"{h.root}/sys/bus/pci/devices/0000:00:0e.0")
        os.symlink("../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0",
                   f"{h.root}/sys/bus/pci/devices/10000:e0:06.0")
        with open(f"{h.root}/sys/bus/pci/devices/10000:e0:06.0/secondary_bus_number", "w") as f:
            f.write("225\n")
        h.becomes('path = "0000:00:0e.0/06.0/00.0/1f.7";', any_pci("*", "10000:e2:1f.7"))
        h.becomes('path = "0000:00:0e.0/07.1";', any_pci("*", "10000:e0:07.1"))
        h.becomes('path = "0000:00:05.0";', any_pci("*", "0000:00:05.0"))
        h.becomes('path = "0000:00:1c.4/*";', warn="no patterns of paths")
        h.becomes('path = [ "0000:00:1c.4/*", "0000:00:1c.4/00.0" ];', any_pci("*", "0000:1a:00.0"),
                  warn="only in part")
        # No bus behind it, or none of that path.
        h.becomes('path = "0000:00:02.0/00.0";', warn="no bridge of that path")
        h.becomes('path = "0000:00:1c.4/0.0";', warn="is no path")
        # There is a device of that name, but its path is another one.
        with open(f"{port}/0000:01:00.0/secondary_bus_number", "w") as f:
            f.write("27\n")
        h.becomes('path = "0000:01:00.0/00.0";', warn="is no path")
        h.becomes('path = "0000:01:00.0";', warn="is no path")
        h.becomes('path = "0000:00:02.0/00.0/00.0";', warn="no bridge of that path")
        # Nothing is there, and the bus may be one behind a bridge.
        h.becomes('path = "0000:07:00.0";', warn="is no path", blocked=[any_pci("*")])
        h.becomes('path = "0000:02:1f.3";', warn="is no path")
        h.becomes('path = "0000:00:1f.7";', any_pci("*", "0000:00:1f.7"))
        h.becomes('path = "10000:e0:1f.7";', warn="is no path")
        h.becomes('path = "10000:e1:1f.7";', warn="is no path")
        os.makedirs(f"{h.root}/sys/devices/pci0000:40")
        h.becomes('path = "0000:40:1f.7";', any_pci("*", "0000:40:1f.7"))
        h.becomes('path = "0000: 0:1f.7";', warn="no pattern such as", blocked=[("platform", "*", "*", "any")])
        # On other buses it is the name.
        h.becomes('path = "arm-smmu.0.auto";', ("platform", "arm-smmu.0.auto", "*", "any"))
        h.becomes('path = "fe000000:codec";', ("platform", "fe000000:codec", "*", "any"))
        h.becomes('path = "fe000000:co*";', ("platform", "fe000000:co*", "*", "any"), warn="no patterns of paths",
                  blocked=[any_pci("*")])
        h.becomes('path = "ACPI0003:*";', ("platform", "ACPI0003:*", "*", "any"))
        # Both have to match.
        h.becomes('path = "0000:00:1c.4/00.0"; device = "0000:1A:*";', any_pci("*", "0000:1a:00.0"))
        h.becomes('path = "0000:00:1c.4/00.0"; device = "0000:1b:*";')
        h.becomes('path = "arm*"; device = "*.auto"; bus = "platform";', warn="at once")
        h.becomes('path = "arm*"; device = [ "x", "arm-x", "*" ]; bus = "platform";',
                  ("platform", "arm* arm-x", "*", "any"))


@test
def drivers():
    with Kernel() as h:
        h.becomes('driver = "e1000e";', any_pci(PCI_MARK))
        h.becomes('driver = "nvme";', any_pci(" ".join([
            pci(bc="01", sc="08", i="02"), pci("0000106B", "00002001"), pci("0000144D", "0000A80A")])))
        # "_" in the table may be "-" in the kernel, and is in what is sought.
        h.becomes('driver = "arm-smmu";', ("platform", "*", "acpi*:ARMH0011:* of:N*T*Carm,smmu[-_]v3 "
                  "of:N*T*Carm,smmu[-_]v3C* platform:arm[-_]smmu", "any"))
        h.becomes('driver = "ahci";', any_pci(pci(bc="01", sc="06", i="01")))
        h.becomes('driver = [ "serial8250", "igb" ];', any_pci(pci("00008086", "00001533")),
                  ("platform", "*", "platform:serial8250", "any"))
        h.becomes('driver = "nosuch";', warn="no module of a driver's name")
        h.becomes('driver = "e1000e"; bus = "platform";', warn="no module of a driver's name")
        shutil.rmtree(f"{h.root}/lib/modules")
        h.becomes('driver = "nvme";', warn="no module of a driver's name")


@test
def intersection():
    with Kernel() as h:
        h.becomes('driver = "nvme"; vendor = 0x144d;', any_pci(
            pci("0000144D", "0000A80A") + " " + pci("0000144D", bc="01", sc="08", i="02")))
        # Field by field: another class stays out where an alias has one.
        h.becomes('driver = "nvme"; class = "0108"; subsystem_vendor = 0x1028;', any_pci(" ".join([
            pci(sv="00001028", bc="01", sc="08", i="02"),
            pci("0000106B", "00002001", "00001028", bc="01", sc="08"),
            pci("0000144D", "0000A80A", "00001028", bc="01", sc="08")])))
        h.becomes('driver = "ahci"; class = "network";', warn="no module of a driver's name")
        h.becomes('driver = [ "nvme", "e1000e" ]; device_id = [ 0x10d3, 0x2001 ];', any_pci(" ".join([
            pci(d="000010D3", bc="01", sc="08", i="02"), pci(d="00002001", bc="01", sc="08", i="02"),
            pci("0000106B", "00002001"), pci("00008086", "000010D3")])))


ANY = [("pci", "*", "*", "any"), ("platform", "*", "*", "any")]


@test
def gaps():
    with Kernel() as h:
        # The key that cannot be said is left out, all others stay.
        h.becomes('bus = "pci"; device = [ "a b", "0000:02:*" ]; class = "network";',
                  any_pci(pci(bc="02"), "0000:02:*"), warn="only in part", blocked=[any_pci(pci(bc="02"))])
        h.becomes('path = "0000:00:1c.4/*"; device = "0000:0?:*"; removable = true;',
                  warn="patterns of paths", blocked=[any_pci("*", "0000:0?:*", "yes")])
        h.becomes('path = [ "0000:00:1c.4/*", "0000:00:05.0" ]; bus = "pci";', any_pci("*", "0000:00:05.0"),
                  warn="patterns of paths", blocked=[any_pci("*")])
        h.becomes('path = "arm*"; device = [ "*.auto", "x*" ]; bus = "platform";', warn="at once",
                  blocked=[("platform", "*.auto x*", "*", "any")])
        h.becomes('driver = "nosuch";', warn="no module of a driver's name", blocked=ANY)
        h.becomes('driver = "nosuch"; vendor = 0x8086; device = "0000:0?:*";', warn="no module",
                  blocked=[any_pci(pci("00008086"), "0000:0?:*")])
        h.becomes('driver = "nosuch"; path = "arm*";', warn="no module", blocked=[("platform", "arm*", "*", "any")])
        # On other buses there is nothing to be kept from anything.
        h.becomes('bus = "fsl-mc";', warn="writes none", blocked=[])
        h.becomes("device_id = [ %s ]; subsystem_device = [ %s ];" % (
            ", ".join(map(str, range(300))), ", ".join(map(str, range(300)))), warn="65536 patterns", blocked=[ANY[0]])
        # Right behind the rule, and before all below.
        d = h.fill(rule('path = "0000:00:1d.0/*";', "DMA", "ext", "priority = 100;"),
                   rule("vendor = 5;", "DMA", "first"), rule('driver = [ "nosuch", "e1000e" ];', "DMA", "part"),
                   rule("vendor = 6;", "DMA", "last"), more='default = "DMA";\n')
        found = sorted((-int(r["priority"]), int(r["order"]), n.split(".")[0], r["type"], r["bus"])
                       for n, r in h.standing().items())
        assert found[:6] == [(-2, 1, "ext", "auto", "pci"), (-1, 0, "first", "DMA", "pci"),
                             (-1, 2, "part", "DMA", "pci"), (-1, 3, "part", "auto", "pci"),
                             (-1, 3, "part", "auto", "platform"), (-1, 4, "last", "DMA", "pci")], found
        messages = [x["message"] for x in d["problems"]]
        assert len(messages) == 2 and all("keep the kernel's own type" in m for m in messages), messages


@test
def lost_drivers():
    with Kernel() as h:
        h.becomes('driver = [ "e1000e", "nosuch" ];', any_pci(PCI_MARK), warn='"nosuch": no module', blocked=ANY)
        h.becomes('driver = [ "e1000e", "arm_smmu" ]; bus = "pci";', any_pci(PCI_MARK), warn='"arm_smmu": no module',
                  blocked=[ANY[0]])
        h.becomes('driver = [ "e1000e", "nvme" ]; vendor = 0x8086; class = "network"; device_id = 0x10d3;',
                  any_pci(pci("00008086", "000010D3", bc="02")), warn='"nvme": no module',
                  blocked=[any_pci(pci("00008086", "000010D3", bc="02"))])
        with open(f"{h.root}/lib/modules/6.12.0-test/modules.alias", "a") as f:
            f.write("alias pci:v00001234d0000000[1-3]sv*sd*bc*sc*i* nvme\nalias platform:a[[:digit:]] serial8250\n")
        h.becomes('driver = "nvme"; vendor = [ 0x1234, 0x144d ]; class = "0108";', any_pci(" ".join([
            pci("00001234", bc="01", sc="08", i="02"), pci("0000144D", "0000A80A", bc="01", sc="08"),
            pci("0000144D", bc="01", sc="08", i="02")])), warn="a form that is not known",
            blocked=[any_pci(pci("00001234", bc="01", sc="08") + " " + pci("0000144D", bc="01", sc="08"))])
        # Without other keys it can stay as it is.
        h.becomes('driver = "nvme";', any_pci(" ".join([
            "pci:v00001234d0000000[1-3]sv*sd*bc*sc*i*", pci(bc="01", sc="08", i="02"), pci("0000106B", "00002001"),
            pci("0000144D", "0000A80A")])))
        h.becomes('driver = "serial8250";', ("platform", "*", "platform:serial8250", "any"),
                  warn="a form that is not known", blocked=[ANY[1]])


@test
def ranks():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="a"), rule("vendor = 2;", name="b", more="priority = 7;"),
               rule("vendor = 3;", name="c"), rule("vendor = 4;", name="d", more="priority = -1;"),
               rule("vendor = 5;", name="e", more="priority = 7;"), more='default = "DMA";\n')
        order = sorted(h.standing().items(), key=lambda r: (-int(r[1]["priority"]), int(r[1]["order"])))
        found = [(name.split(".")[0], int(r["priority"]), int(r["order"])) for name, r in order]
        # Those that can be in conflict share a priority.
        assert found[:5] == [("b", 3, 0), ("e", 3, 2), ("a", 2, 0), ("c", 2, 2), ("d", 1, 0)], found
        assert found[5:] == [("default", 0, 0)] * 2, found
        assert h.rules()[5:] == [("pci", "*", "*", "any", "DMA"), ("platform", "*", "*", "any", "DMA")]
        h.fill(rule("vendor = 1;"), more='default = "keep";\n')
        assert len(h.standing()) == 1


@test
def names():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="GPU direct/β"), rule("vendor = 2;", name="ΑΒΓ"),
               rule("vendor = 3;", name="..x"), rule("vendor = 4;", name="y" * 90))
        found = sorted(n.rsplit(".", 1)[0] for n in h.standing())
        assert found == ["GPU-direct---", "_.x", "r2", "y" * 47], found
        for name in h.standing():
            assert len(name) <= 64 and len(name.rsplit(".", 1)[1]) == 8, name
        # The same text makes the same name, another type another one.
        before = set(h.standing())
        h.fill(rule("vendor = 1;", name="GPU direct/β", type="identity"), rule("vendor = 2;", name="ΑΒΓ"),
               rule("vendor = 3;", name="..x"), rule("vendor = 4;", name="y" * 90))
        assert len(before - set(h.standing())) == 1 and len(h.standing()) == 4


@test
def splits():
    with Kernel() as h:
        # 29 bytes each, and a blank: 136 go into a file with its newline.
        h.fill(rule("vendor = 0x8086; device_id = [ %s ];" % ", ".join(map(str, range(1, 301)))))
        pieces = sorted(h.rules(), key=lambda r: -len(r[2]))
        words = [w for p in pieces for w in p[2].split()]
        assert len(pieces) == 3, [len(p[2]) for p in pieces]
        assert sorted(words) == [pci("00008086", f"{d:08X}") for d in range(1, 301)]
        length = len(words[0])
        assert all(len(p[2]) + 1 <= 4094 for p in pieces)
        assert all(len(p[2]) + 1 + length + 1 > 4094 for p in pieces[:2]), [len(p[2]) for p in pieces]
        assert len({(r["priority"], r["order"]) for r in h.standing().values()}) == 1
        h.standing_log()
        h.fill(rule("vendor = 0x8086; device_id = [ %s ];" % ", ".join(map(str, range(1, 301)))))
        assert h.standing_log() == []
        # One that fits to the byte, and one more.
        long = "a" * 4091
        h.becomes(f'bus = "platform"; device = [ "{long}", "b" ];', ("platform", f"{long} b", "*", "any"))
        h.becomes(f'bus = "platform"; device = [ "{long}a", "b" ];', ("platform", f"{long}a", "*", "any"),
                  ("platform", "b", "*", "any"))
        h.becomes(f'bus = "platform"; device = [ "{long}aaa", "b" ];', ("platform", "b", "*", "any"),
                  warn="no pattern such as")
        # Of names and of modaliases at once: each with each.
        d = h.fill(rule("bus = \"pci\"; device = [ \"%s\", \"b\" ]; vendor = 1; device_id = [ %s ];" %
                        (long + "a", ", ".join(map(str, range(1, 201))))))
        assert len(h.rules()) == 4 and d["problems"] == [], d
        h.becomes("device_id = [ %s ]; subsystem_device = [ %s ];" % (
            ", ".join(map(str, range(300))), ", ".join(map(str, range(300)))), warn="65536 patterns")


@test
def type_comes_last():
    with Kernel() as h:
        h.fill(rule("vendor = 1; removable = true;", name="a"), rule('bus = "platform";', name="b"))
        log = h.standing_log()
        assert [line.split()[0] for line in log[-2:]] == ["write"] * 2, log
        assert all(line.endswith("/type") for line in log[-2:]), log
        assert not any(line.endswith("/type") for line in log[:-2]), log
        # What is so from the beginning is not written.
        a, b = ([line.split("/")[1] for line in log if line.startswith(f"write {n}.")] for n in "ab")
        assert a == ["modalias", "removable", "priority", "type"], log
        assert b == ["bus", "priority", "order", "type"], log


@test
def nothing_is_written_twice():
    with Kernel() as h:
        p = h.policy(rules(rule('driver = [ "nvme", "arm_smmu" ];', name="a"), rule("removable = true;", name="b")) +
                     'default = "DMA";\n')
        h.run("apply", "--yes", *p, code=0)
        assert h.standing_log() != []
        for args in (["apply", *p], ["apply", "--yes", *p], ["plan", *p], ["assert", *p], ["standing"]):
            h.run(*args, code=0)
            assert h.standing_log() == [], args
        # A comment makes no other rules, a rule that is new no others.
        with open(h.conf, "a") as f:
            f.write("# the end\n")
        h.run("apply", *p, code=0)
        assert h.standing_log() == []
        before = set(h.standing())
        h.fill(rule('driver = [ "nvme", "arm_smmu" ];', name="a"), rule("removable = true;", name="b"),
               rule("vendor = 5;", name="new"), more='default = "DMA";\n')
        log = h.standing_log()
        assert before < set(h.standing()) and len(set(h.standing()) - before) == 1
        assert {line.split()[1].split("/")[0] for line in log} == set(h.standing()) - before, log


@test
def others_are_removed():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="a"), rule("vendor = 2;", name="b"))
        for name in ("somebodys", ".hidden"):
            os.mkdir(f"{h.iommu}/standing/{name}")
        h.fill(rule("vendor = 2;", name="b"))
        assert [n.split(".")[0] for n in h.standing()] == ["b"]
        assert [line.split()[0] for line in h.standing_log()[-3:]] == ["rmdir"] * 3
        h.fill()
        assert h.standing() == {}


@test
def removed_from_below():
    with Kernel() as h:
        h.fill(rule("vendor = 9;", name="guard", more="priority = 100;"), rule("vendor = 1;", name="a"),
               rule("vendor = 2;", name="b"), rule("vendor = 3;", name="z", more="priority = -5;"))
        h.standing_log()
        # Another priority of the kernel's makes each a new rule.
        h.fill(rule("vendor = 9;", name="guard", more="priority = 100;"), rule("vendor = 1;", name="a"),
               rule("vendor = 2;", name="b"))
        log = [line for line in h.standing_log() if line.startswith("rmdir") or line.endswith("/type")]
        assert [line.split()[0] for line in log] == ["write"] * 3 + ["rmdir"] * 4, log
        # What counts first comes first, and goes last.
        assert [line.split()[1].split(".")[0] for line in log] == ["guard", "a", "b", "z", "b", "a", "guard"], log
        # One that cannot be removed counts no more.
        h.control("standing-error", "rmdir b. EBUSY\n")
        h.fill(rule("vendor = 9;", "identity", "x"))
        assert {(n.split(".")[0], r["type"]) for n, r in h.standing().items()} == {("b", "none"), ("x", "identity")}


@test
def mended():
    with Kernel() as h:
        text = rules(rule("vendor = 1; removable = true;", name="a"), rule("vendor = 2;", name="b"))
        p = h.policy(text)
        h.run("apply", *p, code=0)
        right = h.rules()
        for file, word in (("type", "none"), ("modalias", "*"), ("type", "identity"), ("priority", "9")):
            (name,) = [n for n in h.standing() if n.startswith("a.") and h.standing()[n]["bus"] == "pci"]
            before = h.standing()[name]
            with open(f"{h.iommu}/standing/{name}/{file}", "w") as f:
                f.write(word + "\n")
            h.standing_log()
            # Until the new one counts nothing happens to the old one.
            if file != "type":
                h.control("standing-error", "write modalias EIO\n")
                (x,) = h.json("apply", *p, code=0)["problems"]
                assert x["errno"] == "EIO" and h.standing()[name]["type"] == "DMA", x
                h.control("standing-error", "")
                h.standing_log()
            h.run("apply", *p, code=0)
            assert h.rules() == right, (file, h.rules())
            log = [line.split() for line in h.standing_log()]
            if file == "type":
                assert log == [["write", f"{name}/type"]], log
                assert h.standing()[name] == before
            else:
                assert log[0][0] == "mkdir" and log[-1] == ["rmdir", name] and log[-2][1].endswith("/type"), log
                assert name not in h.standing()
            h.run("apply", *p, code=0)
            assert h.standing_log() == []
        # Killed after mkdir.
        h.run("apply", *h.policy(""), code=0)
        h.run("apply", *h.policy(text), code=0)
        names = h.standing()
        h.run("apply", *h.policy(""), code=0)
        for name in names:
            os.mkdir(f"{h.iommu}/standing/{name}")
        h.run("apply", *h.policy(text), code=0)
        assert h.standing() == names


@test
def old_module():
    with Kernel() as h:
        h.control("no-standing")
        p = h.policy(rules(rule('driver = "nosuch";')) + 'default = "DMA-FQ";\n')
        for result in ("committed", "nothing-to-do"):
            d = h.json("apply", *p, code=0)
            assert d["result"] == result and not [x for x in d["problems"] if x["kind"] == "standing"]
        assert "standing" not in h.run("apply", *p, code=0).err
        assert "no standing rules" in h.run("apply", "-v", *p, code=0).err
        d = h.json("standing", code=1)
        assert d["rules"] == [] and d["problems"][0]["errno"] == "ENOENT"
        assert "standing=1" in h.run("standing", code=1).err


@test
def only_what_is_in_force():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="old"))
        h.standing_log()
        # Not by hand, not for a part, not with a conflict, not what was refused or undone.
        h.run("set", "1", "identity", "--yes", code=0)
        h.run("apply", "--only", "0000:01:00.0", *h.policy(GPU), code=0)
        h.run("apply", *h.policy(rules(rule("vendor = 0x10de;", "identity", "x"),
                                      rule("vendor = 0x15b3;", "DMA", "y"))), code=1)
        h.run("apply", *h.policy(rules(rule('driver = "nvme";', "identity"))), code=3)
        h.run("apply", *h.policy(rules(rule("vendor = 7;", more="required = true;"))), code=1)
        h.control("commit", "ECANCELED\n")
        h.run("set", "1", "DMA", code=4)
        h.run("apply", *h.policy(rules(rule("vendor = 0x10de;", "DMA"))), code=4)
        h.control("commit", "EIO\n1 0000:01:00.0 restore EIO no\n")
        h.run("apply", *h.policy(rules(rule("vendor = 0x10de;", "DMA"))), code=5)
        assert h.standing_log() == []


@test
def of_the_system_only():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="old"))
        force = f"{h.root}/run/iommucfg/policy.conf"
        with open(force) as f:
            before = f.read()
        h.standing_log()
        path = Host.policy(h, rules(rule("vendor = 0x10de;", "identity", "new")))
        r = h.run("apply", "-v", path, code=0)
        assert "stays that of the system" in r.err and h.type(1) == "identity", r
        assert "stays that" not in h.run("apply", path, code=0).err
        with open(force) as f:
            assert h.standing_log() == [] and f.read() == before


@test
def skipped_is_in_force():
    with Kernel() as h:
        d = h.json("apply", "--skip-in-use", *h.policy(rules(rule('driver = "nvme";', "identity"))), code=2)
        assert d["result"] == "nothing-to-do" and len(h.standing()) == 1


@test
def confirmed_then_filled():
    with Kernel() as h:
        p = h.start("apply", "--confirm-timeout", "900", *h.policy(GPU))
        name = h.wait_state("unconfirmed")
        assert "waiting" in p.stderr.readline()
        time.sleep(0.2)
        assert h.standing() == {} and h.standing_log() == []
        h.run("confirm", name, code=0)
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 and len(h.standing()) == 1, (out, err)
        # Undone: as it was.
        h.standing_log()
        for end in (["rollback"], None):
            p = h.start("apply", "--confirm-timeout", "900" if end else "1", *h.policy(GPU.replace("identity", "DMA")))
            if end:
                h.run(*end, h.wait_state("unconfirmed"), code=0)
            p.communicate(timeout=120)
            assert p.returncode == 4 and h.standing_log() == []


@test
def confirmed_at_a_terminal():
    with Kernel() as h:
        for answer, code in (("n\n", 4), ("y\n", 0)):
            t = Terminal(h.command("apply", "--yes", "--confirm-timeout", "900", *h.policy(GPU)))
            t.expect("Keep these settings")
            assert h.standing() == {}
            t.send(answer)
            assert t.end() == code and len(h.standing()) == (not code), t.text


@test
def detached_is_not_filled():
    with Kernel() as h:
        p = h.policy(GPU)
        r = h.run("apply", "--detach", "--confirm-timeout", "900", *p, code=0)
        assert "next \"iommucfg apply\"" in r.err and h.standing() == {}, r
        h.run("confirm", code=0)
        assert h.standing() == {}
        h.run("apply", *p, code=0)
        assert len(h.standing()) == 1
        # Without a timeout there is nothing to wait for.
        r = h.run("apply", "--detach", *h.policy(GPU.replace("identity", "DMA")), code=0)
        assert [x["type"] for x in h.standing().values()] == ["DMA"] and "next" not in r.err
        h.control("no-standing")
        r = h.run("apply", "--detach", "--confirm-timeout", "900", *h.policy(GPU), code=0)
        assert h.transactions() != [] and "standing" not in r.err


@test
def failures():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="old"))
        before = h.standing()
        new = [rule("vendor = 2;", name="a"), rule("vendor = 3;", name="b")]
        # Before anything counts nothing is left of it.
        for error in ("mkdir b. ENOMEM", "write b. EACCES", "write modalias ENOMEM"):
            h.control("standing-error", error + "\n")
            d = h.fill(*new)
            (x,) = d["problems"]
            assert x["kind"] == "standing" and x["errno"] == error.split()[2], x
            assert h.standing() == before, error
        assert "warning" in h.run("apply", *h.policy(rules(*new)), code=0).err
        h.control("standing-error", "write type EACCES\n")
        (x,) = h.fill(*new)["problems"]
        assert "/type" in x["message"]
        assert [r["type"] for n, r in h.standing().items() if n.startswith("old.")] == ["DMA"]
        h.control("standing-error", "rmdir old. EBUSY\n")
        (x,) = h.fill(*new)["problems"]
        assert x["errno"] == "EBUSY" and len(h.standing()) == 3
        h.control("standing-error", "")
        assert h.fill(*new)["problems"] == [] and len(h.standing()) == 2


@test
def locked():
    with Kernel() as h:
        h.fill(rule("vendor = 1;", name="old"))
        before = h.standing()
        h.standing_log()
        # What anybody can open locks nobody out.
        everybodys = os.open(f"{h.iommu}/standing", os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(everybodys, fcntl.LOCK_EX)
        assert h.fill(rule("vendor = 1;", name="old"))["problems"] == []
        path = f"{h.root}/run/iommucfg/standing.lock"
        assert os.stat(path).st_mode & 0o7777 == 0o600
        with open(path) as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            (x,) = h.fill(rule("vendor = 2;"))["problems"]
            assert x["kind"] == "standing" and x["errno"] == "EAGAIN" and "another command" in x["message"], x
            for number in (signal.SIGINT, signal.SIGTERM):
                p = h.start("apply", *h.policy(rules(rule("vendor = 2;"))))
                h.waits_for(path, p.pid)
                p.send_signal(number)
                err = p.communicate(timeout=60)[1]
                assert p.returncode == 0 and "Interrupted" in err, (p.returncode, err)
            # The next one gets it as soon as it is free.
            p = h.start("apply", *h.policy(rules(rule("vendor = 2;"))))
            time.sleep(0.3)
            assert h.standing() == before and h.standing_log() == []
        p.communicate(timeout=60)
        assert p.returncode == 0 and h.standing() != before
        # Nobody's link is followed.
        os.unlink(path)
        os.symlink(f"{h.root}/elsewhere", path)
        (x,) = h.fill(rule("vendor = 3;"))["problems"]
        assert x["errno"] == "ELOOP" and not os.path.exists(f"{h.root}/elsewhere"), x
        os.close(everybodys)


@test
def warned_once():
    with Kernel() as h:
        p = h.policy(rules(rule("vendor = 1;"), "\n" + rule('path = [ "0000:00:1c.4/*", "0000:00:1d.0/*" ];', name="x")))
        r = h.run("apply", *p, code=0)
        assert r.err.count("devices to come") == 1, r
        assert f"{h.conf}:3: warning: rule \"x\" does not stand for devices to come: " in r.err, r
        assert "devices to come" not in h.run("plan", code=0).err


@test
def boot():
    with Kernel() as h:
        for d in ("dev", "run", "etc/iommucfg.d", "proc/sys/kernel/random"):
            os.makedirs(f"{h.root}/{d}", exist_ok=True)

        def start(n, cmdline=""):
            for path, text in (("proc/sys/kernel/random/boot_id", f"boot-{n}\n"), ("proc/cmdline", cmdline),
                               ("dev/kmsg", ""), ("sys/kernel/iommu_groups/1/type", "DMA-FQ\n")):
                with open(f"{h.root}/{path}", "w") as f:
                    f.write(text)

        start(1)
        h.run("apply", "--boot", code=0)
        assert h.standing_log() == []
        with open(f"{h.root}/etc/iommucfg.conf", "w") as f:
            f.write(GPU + "options = { confirm_timeout = 60; };\n")
        h.run("apply", "--boot", "--tries", "1", code=0)
        assert [r["type"] for r in h.standing().values()] == ["identity"]
        h.standing_log()
        h.run("apply", "--boot", code=0)
        assert h.standing_log() == []
        # What the initramfs tried once too often is taken back with the rest.
        start(2)
        h.run("apply", "--boot", code=2)
        assert h.standing() == {}
        # With the policy go its rules.
        h.run("apply", *h.policy(GPU), code=0)
        assert len(h.standing()) == 1
        os.unlink(h.conf)
        assert "no policy" in h.run("apply", "--boot", code=0).err and h.standing() == {}
        start(3, "iommucfg=off\n")
        os.mkdir(f"{h.iommu}/standing/x")
        h.run("apply", "--boot", code=0)
        assert list(h.standing()) == ["x"]


@test
def shown():
    with Kernel() as h:
        assert "no standing rule" in h.run("standing", code=0).err
        h.fill(rule("vendor = [ 1, 2, 3 ];", "identity", "fast storage"),
               rule('bus = "platform"; removable = true;', name="p", more="priority = 3;"))
        h.control("standing-report", "5 0000:05:00.0 check EBUSY e1000e is bound\n"
                  "- 0000:07:00.0 switch EINVAL no\n")
        d = h.json("standing", code=0)
        p, fast = d["rules"]
        assert p["name"].startswith("p.") and (p["bus"], p["device"], p["modalias"]) == ("platform", ["*"], ["*"])
        assert (p["removable"], p["priority"], p["type"], p["hits"]) == ("yes", 2, "DMA", 0)
        assert len(fast["modalias"]) == 3 and fast["type"] == "identity" and d["problems"] == []
        assert [(r["group"], r["device"], r["phase"], r["errno"]) for r in d["report"]] == [
            (5, "0000:05:00.0", "check", "EBUSY"), (None, "0000:07:00.0", "switch", "EINVAL")]
        r = h.run("standing", code=0, env=dict(os.environ, COLUMNS="200"))
        lines = r.out.splitlines()
        assert lines[0].split() == ["NAME", "BUS", "DEVICE", "MODALIAS", "REMOVABLE", "PRIORITY", "ORDER", "TYPE", "HITS"]
        assert lines[2].startswith("fast-storage.") and " +2 " in lines[2], r
        assert "0000:05:00.0" in lines[5] and "e1000e is bound" in lines[5], r
        r = h.run("standing", "--raw", "--noheadings", "-o", "TYPE,MODALIAS", code=0)
        assert r.out.splitlines()[1].startswith("identity pci:v00000001d*") and r.out.count("\\x20") == 2, r
        h.run("standing", "x", code=1)
        # One of somebody's, on a bus for which we write none.
        os.mkdir(f"{h.iommu}/standing/mine")
        with open(f"{h.iommu}/standing/mine/bus", "w") as f:
            f.write("host1x-context\n")
        assert [r["bus"] for r in h.json("standing", code=0)["rules"]] == ["platform", "pci", "host1x-context"]
        # Nobody takes it for a transaction.
        assert h.json("status", code=0)["transactions"] == []
        assert os.listdir(h.iommu).count("standing") == 1


if __name__ == "__main__":
    sys.exit(main("standing"))
