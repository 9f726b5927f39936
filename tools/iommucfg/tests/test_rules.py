#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Rules of a policy: which devices they meet, keep, and what is said of those that meet none.

	test_rules.py IOMMUCFG STANDIN [NAME...]
"""
import os
import sys

import mktree
from harness import GPU, Host, main, test


def tree(host):
    t = mktree.Tree.__new__(mktree.Tree)
    t.top = host.root
    return t


def rule(name, match, kind="identity", more=""):
    return f'{{ name = "{name}"; match = {{ {match} }}; type = "{kind}"; {more} }}'


def rules(*of, more=""):
    return f"rules = ( {', '.join(of)} );\n{more}\n"


def met(host, match):
    """How many devices a match meets."""
    d = host.json("plan", "--skip-in-use", host.policy(rules(rule("r", match, "keep"))))
    return d["rules"][0]["matched"]


@test
def many_match_nothing():
    """One policy for many kinds of hosts: a line that names them, and each in JSON."""
    def many(n):
        return "\n".join(rule(f"r{i}", f"device_id = {i};") + "," for i in range(n))

    with Host() as h:
        p = h.policy(f"rules = (\n{many(9)}\n" + rule("gpu", "vendor = 0x10de;") + ");\n")
        assert h.run("plan", p, code=2).err.count("matches nothing") == 9
        p = h.policy(f"rules = (\n{many(300)}\n" + rule("gpu", "vendor = 0x10de;") + ");\n")
        r = h.run("plan", p, code=2)
        (line,) = [x for x in r.err.splitlines() if "matches nothing" in x]
        assert f'{p}:2: warning: rule "r0" matches' in line, r
        assert 'the same for 299 more: "r1" (line 3), "r2" (line 4), ' in line, r
        assert line.endswith('"r40" (line 42), and 259 more, which --json lists'), r
        d = h.json("plan", p, code=2)
        assert [x["rule"] for x in d["problems"] if x["kind"] == "unmatched"] == \
            [f"r{i}" for i in range(300)]
        a = h.policy(f"rules = ({many(6)[:-1]});\n", "a.conf")
        b = h.policy(f"rules = ({many(12)[:-1]});\n".replace('"r', '"s'), "b.conf")
        r = h.run("plan", a, b, code=0)
        assert f'"r5" (line 6), "s0" ({b}:1), ' in r.err and r.err.count("\n") == 1, r


@test
def pipe_among_the_files():
    """To open it would wait for ever; where it is named somebody writes into it."""
    with Host() as h:
        os.makedirs(f"{h.root}/etc/iommucfg.d")
        os.mkfifo(f"{h.root}/etc/iommucfg.d/10-x.conf")
        r = h.run("check", code=1)
        assert "10-x.conf: a pipe, and no file" in r.err, r
        os.rename(f"{h.root}/etc/iommucfg.d/10-x.conf", f"{h.root}/etc/iommucfg.conf")
        assert "a pipe" in h.run("plan", code=1).err
        os.unlink(f"{h.root}/etc/iommucfg.conf")
        os.symlink("/dev/null", f"{h.root}/etc/iommucfg.d/10-x.conf")
        h.run("check", code=0)


@test
def matches_nothing():
    with Host() as h:
        for match in ('driver = "nvme*";', 'path = "01:00.0";', 'device = "!0000:01:00.0";',
                      "vendor = 0xdead;"):
            p = h.policy(rules(rule("typo", match), rule("gpu", "vendor = 0x10de;")))
            d = h.json("plan", p, code=2)
            (x,) = [x for x in d["problems"] if x["kind"] == "unmatched"]
            assert x["rule"] == "typo" and x["line"] == 1 and '"typo"' in x["message"], x
            assert [c["group"] for c in d["changes"]] == [1]
            r = h.run("plan", p, code=2)
            assert 'warning: rule "typo" matches nothing' in r.err, r
            assert h.run("assert", p, code=2).err == ""
            # Only the one group is of interest.
            assert all(x["kind"] != "unmatched" for x in
                       h.json("apply", "--only", "1", "--strict", p)["problems"])
            for args in (["plan", "--strict", p], ["assert", "--strict", p]):
                assert "typo" in h.run(*args, code=1).err
                assert h.json(*args, code=1)["result"] == "error"
        for strict, code in (("true", 1), ("false", 2)):
            p = h.policy(rules(rule("typo", 'device = "x";'), rule("gpu", "vendor = 0x10de;"),
                               more=f"options = {{ strict = {strict}; }};"))
            h.run("plan", p, code=code)
            assert h.json("check", p, code=0)["options"]["strict"] == (strict == "true")
        # For devices to come, and this is written down.
        p = h.policy(rules(rule("dock", 'device = "x";', more="required = false;")))
        assert h.json("plan", "--strict", p, code=0)["problems"] == []
        # What is required is told once.
        p = h.policy(rules(rule("raid", 'device = "x";', more="required = true;")))
        assert [x["kind"] for x in h.json("plan", "--strict", p, code=1)["problems"]] == ["required"]


@test
def counts():
    with Host() as h:
        p = h.policy(rules(rule("all", 'bus = "pci";', "DMA"),
                           rule("gpu", "vendor = 0x10de;", "identity", "priority = 2;"),
                           rule("disk", 'driver = "nvme";', "DMA"), rule("none", 'device = "x";')))
        d = h.json("plan", p)
        assert [(x["name"], x["matched"], x["won"]) for x in d["rules"]] == [
            ("all", 12, 11), ("gpu", 1, 1), ("disk", 2, 0), ("none", 0, 0)], d["rules"]
        assert d["rules"][1]["type"] == "identity" and d["rules"][1]["file"] == p
        assert h.json("set", "1", "DMA", code=1)["rules"] == []


@test
def keep():
    with Host() as h:
        nvme = rule("nvme", 'driver = "nvme";', "DMA")
        p = h.policy(rules(nvme))
        assert [c["group"] for c in h.json("plan", p)["changes"]] == [2, 9]
        stays = rule("stays", 'device = "0000:00:02.0";', "keep", "priority = 1;")
        d = h.json("plan", h.policy(rules(nvme, stays, more='default = "DMA-FQ";')))
        groups = [c["group"] for c in d["changes"] + d["skipped"]]
        assert 2 not in groups and 9 in groups, d
        assert [x["won"] for x in d["rules"]] == [1, 1]
        (x,) = [x for x in h.json("check", h.policy(rules(stays)), code=0)["rules"]]
        assert x["type"] == "keep"
        # It conflicts as a type does.
        p = h.policy(rules(rule("a", "vendor = 0x10de;", "identity"), rule("b", "vendor = 0x15b3;", "keep")))
        (c,) = h.json("plan", p, code=1)["conflicts"]
        assert "wants keep for 0000:01:00.1" in c["message"], c


@test
def negated():
    with Host() as h:
        every = met(h, 'bus = [ "pci", "platform" ];')
        assert met(h, 'bus = "pci"; not = { vendor = 0x144d; };') == met(h, 'bus = "pci";') - 2
        assert met(h, 'not = { vendor = 0x144d; driver = "nvme"; };') == every - 2
        # ANDed: of the two disks one.
        assert met(h, 'not = { driver = "nvme"; device = "0000:00:02.0"; };') == every - 1
        assert met(h, 'class = "storage"; not = { driver = [ "nvme", "ahci" ]; };') == 0
        # What has no vendor is not met, be it by a vendor or by the lack of it.
        assert met(h, "vendor = [ 0x10de, 0x8086, 0x15b3, 0x144d ];") == every - 1
        assert met(h, "not = { vendor = 0xdead; };") == every - 1
        # But what is on another bus is no PCI device of any vendor.
        assert met(h, 'not = { bus = "pci"; vendor = 0x8086; };') == every - met(h, "vendor = 0x8086;")


@test
def bound():
    with Host() as h:
        every = met(h, 'bus = [ "pci", "platform" ];')
        assert met(h, "bound = false;") == 2 and met(h, "bound = true;") == every - 2
        assert met(h, 'not = { bound = true; };') == 2


@test
def slots():
    with Host() as h:
        # No label of any: what is in which is not known.
        assert met(h, 'slot = "3";') == 0 and met(h, 'not = { slot = "3"; };') == 0
        every = met(h, 'bus = [ "pci", "platform" ];')
        t = tree(h)
        t.write("sys/bus/pci/slots/3/address", "0000:01:00\n")
        t.write("sys/bus/pci/slots/4/address", "0000:00:1d\n")
        t.write("sys/bus/pci/slots/5-1/address", "0000:77\n")
        assert met(h, 'slot = "3";') == met(h, "slot = 3;") == 2
        # What is below a bridge in the slot.
        assert met(h, 'slot = "4";') == 2
        assert met(h, 'slot = [ "3", "4" ];') == 4 and met(h, 'slot = "5-1";') == 0
        assert met(h, 'not = { slot = "3"; };') == every - 2


@test
def untrusted():
    with Host() as h:
        assert met(h, "untrusted = true;") == 1
        # What is not known to be is not known not to be.
        assert met(h, "untrusted = false;") == 0 and met(h, "not = { untrusted = true; };") == 0
        top = "sys/devices/pci0000:00"
        t = tree(h)
        t.write(f"{top}/0000:00:1d.1/removable", "removable\n")
        assert met(h, "untrusted = true;") == 2
        t.write(f"{top}/0000:00:1c.4/of_node/external-facing", "")
        assert met(h, "untrusted = true;") == 4
        base = f"{h.root}/sys/kernel/config/iommu"
        for path, text in (("abi", "1\n"), ("generation", "7\n"), ("night/state", "staged\n"),
                           ("night/2/type", "identity\n"), ("night/2/current_type", "DMA-FQ\n"),
                           ("night/2/status", "staged\n"), ("night/2/devices", "pci 0000:00:02.0 nvme DMA\n")):
            os.makedirs(os.path.dirname(f"{base}/{path}"), exist_ok=True)
            with open(f"{base}/{path}", "w") as f:
                f.write(text)
        assert met(h, "untrusted = true;") == 5


@test
def follows():
    """Of a group's members those that no rule asks for are marked."""
    with Host() as h:
        (c,) = h.json("plan", h.policy(GPU), code=2)["changes"]
        assert [(d["name"], d["follows"]) for d in c["devices"]] == [
            ("0000:01:00.0", False), ("0000:01:00.1", True)]
        for args in ([], ["--list"]):
            lines = h.run("plan", *args, h.policy(GPU), code=2).out.splitlines()
            assert [line.count("(follows)") for line in lines if "0000:01:00" in line] == [0, 1], lines
        # A rule that loses has asked for it all the same; the default asks for none.
        p = h.policy(GPU[:-3] + ", " + rule("nic", "vendor = 0x15b3;", "DMA", "priority = -1;") + ");")
        (c,) = h.json("plan", p, code=2)["changes"]
        assert not any(d["follows"] for d in c["devices"])
        for c in h.json("plan", h.policy('default = "identity";'))["changes"]:
            assert not any(d["follows"] for d in c["devices"])


@test
def verdict():
    """The last line of a plan says what apply would come to."""
    with Host() as h:
        for text, args, words in (
                (GPU, [], "apply would change 1 group."),
                ("", [], "apply would have nothing to do."),
                (rules(rule("disk", 'driver = "nvme";', "DMA")), [],
                 "apply would be refused: group 2 is in use: "),
                (rules(rule("disk", 'driver = "nvme";', "DMA")), ["--skip-in-use"],
                 "apply would change 0 groups and leave out 2 in use."),
                (rules(rule("x", 'device = "x";', "DMA", "required = true;")), [],
                 'apply would be refused: rule "x" is required'),
                (rules(rule("a", "vendor = 0x10de;"), rule("b", "vendor = 0x15b3;", "DMA")), [],
                 "apply would be refused: conflict in group 1")):
            r = h.run("plan", *args, h.policy(text))
            assert r.out.splitlines()[-1].startswith(words), r
            for quiet in ("--raw", "--noheadings"):
                assert "apply would" not in h.run("plan", quiet, *args, h.policy(text)).out


@test
def saved_text():
    """What is written of a policy is the same policy."""
    with Host(kernel=True) as h:
        text = rules(rule("a", 'bus = "pci"; bound = true; slot = "3"; not = { driver = [ "x", "y" ]; };', "keep"),
                     rule("b", "untrusted = true;", "DMA", "required = false;"),
                     more="options = { strict = false; };")
        os.makedirs(f"{h.root}/etc", exist_ok=True)
        with open(f"{h.root}/etc/iommucfg.conf", "w") as f:
            f.write(text)
        h.run("apply", code=0)
        with open(f"{h.root}/run/iommucfg/policy.conf") as f:
            written = f.read()
        for words in ('not = { driver = [ "x", "y" ]; }', 'type = "keep"', "required = false",
                      "bound = [ true ]", 'slot = [ "3" ]', "untrusted = [ true ]", "strict = false"):
            assert words in written, written
        d = h.json("check", f"{h.root}/run/iommucfg/policy.conf", code=0)
        assert [r["type"] for r in d["rules"]] == ["keep", "DMA"]


if __name__ == "__main__":
    sys.exit(main("rules"))
