#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How the kernel changes groups: what the plan says of it, which guards go with it, the limit.

	test_method.py IOMMUCFG STANDIN [NAME...]
"""
import os
import re
import sys

from harness import Host, Terminal, main, test

# Of the machine: group 2 has "/" and swap, 3 the default route, 4 and 9 mounted disks, 6 a guest.


def methods(d):
    return {c["group"]: c["method"] for c in d["changes"]}


@test
def in_use_and_in_place():
    """Where the kernel can go both ways in place nothing that is in use matters, with or without a timeout."""
    for both in (True, False):
        with Host(True) as h:
            if both:
                h.control("both-ways")
            d = h.json("set", "3", "DMA-FQ", "--confirm-timeout", "900", "--detach", "--name", "a",
                       code=0 if both else 3)
            assert methods(d) == {3: "in-place"} and d["changes"][0]["in_place"] is True, d
            if not both:
                assert h.type(3) == "DMA" and {p["kind"] for p in d["problems"]} == {"in-use"}, d
                # It is the way back that is refused, and what helps is said; what never goes included.
                for group in "2", "3":
                    if h.type(int(group)) != "DMA":
                        h.control("method", f"{group} pause\n")
                        h.run("set", group, "DMA", code=0)
                        h.control("method", "")
                    d = h.json("set", group, "DMA-FQ", "--confirm-timeout", "900", code=3)
                    assert all("--confirm-timeout 0 leaves that out" in p["message"] for p in d["problems"]), d
                    h.run("set", group, "DMA-FQ", "--confirm-timeout", "0", code=0)
                continue
            h.run("rollback", "a", code=0)
            # The way back is one that can be asked for, also below "/".
            d = h.json("set", "2", "DMA", "--confirm-timeout", "900", "--detach", code=0)
            assert methods(d) == {2: "in-place"} and d["problems"] == [] and h.type(2) == "DMA", d
    # Not where the kernel has to unbind for it.
    with Host(True) as h:
        d = h.json("set", "2", "DMA", code=3)
        assert methods(d) == {2: "rebind"} and {p["kind"] for p in d["problems"]} == {"in-use"}, d


@test
def in_use_and_paused():
    before = {2: "DMA-FQ", 3: "DMA", 9: "identity"}
    for timeout in ([], ["--confirm-timeout", "900", "--detach"]):
        with Host(True) as h:
            h.control("method", "2 pause\n3 pause\n9 pause\n")
            d = h.json("set", "2", "identity", "3", "identity", "9", "DMA", *timeout, code=0)
            assert methods(d) == {2: "pause", 3: "pause", 9: "pause"}, d
            assert not [p for p in d["problems"] if p["severity"] != "warning"], d
            assert not any(c["in_place"] for c in d["changes"])
            if timeout:
                h.run("rollback", code=0)
            else:
                h.run("undo", code=0)
            assert {g: h.type(g) for g in before} == before
    # What user space has stays refused: the kernel says so.
    with Host(True) as h:
        h.control("method", "6 pause\n")
        h.control("check", "EBUSY\n6 - check EBUSY it is owned by user space\n")
        d = h.json("set", "6", "identity", code=3)
        assert "owned by user space" in d["problems"][0]["message"], d


@test
def how_in_the_table():
    with Host(True) as h:
        h.control("method", "1 pause\n")
        r = h.run("set", "1", "identity", "3", "DMA-FQ", "4", "identity", "-n", code=2)
        assert re.search(r"1 +DMA-FQ +identity +pause", r.out) and "paused" in r.out, r
        assert re.search(r"3 +DMA +DMA-FQ +in place", r.out) and "stays" in r.out, r
        assert re.search(r"4 +DMA +identity +rebind", r.out) and "released" in r.out, r
        for word, meaning in (("in place", "nothing stops"), ("pause", r"silent for a\s+moment"),
                              ("rebind", "unbound and bound again")):
            assert re.search(rf"^{word}: .*?{meaning}", r.out, re.M | re.S), (word, r)
        assert "1 of them in place, 1 of them by pause" in r.out, r
        assert "not asked" not in r.out, r
        assert "rebind:" not in h.run("set", "1", "identity", "-n", code=2).out
        rows = h.run("plan", "--raw", "--noheadings", "-o", "GROUP,HOW,DEVICE",
                     h.policy('rules = ( { name = "g"; match = { vendor = 0x10de; }; type = "identity"; } );'),
                     code=2).out.splitlines()
        assert rows == ["1 paused 0000:01:00.0", "1 paused 0000:01:00.1"], rows
    # Nobody to ask: what can be relied on, and that it is no more than that.
    with Host() as h:
        r = h.run("set", "1", "identity", "3", "DMA-FQ", "-n", code=2)
        assert re.search(r"1 +DMA-FQ +identity +rebind", r.out) and "The kernel was not asked" in r.out, r
        assert methods(h.json("set", "1", "identity", "-n", code=2)) == {1: None}


@test
def limited():
    words = ("none", "pause", "rebind")
    # A group, a type, and the least that does.
    for group, kind, least in (("1", "identity", "pause"), ("3", "DMA-FQ", "none"), ("5", "identity", "rebind")):
        for word in words:
            with Host(True) as h:
                h.control("method", "1 pause\n")
                before, args = h.type(group), (group, kind, "--disruption", word)
                if words.index(word) >= words.index(least):
                    h.run("set", *args, code=0)
                    assert h.type(group) == kind
                    continue
                d = h.json("set", *args, code=3)
                (p,) = [p for p in d["problems"] if p["severity"] != "warning"]
                assert (p["kind"], p["errno"], d["result"]) == ("disruption", "EOPNOTSUPP", "refused"), d
                kinds = [p["kind"] for p in h.json("set", *args, "-n", code=2)["problems"]]
                assert kinds.count("disruption") == 1, kinds
                for command in ("set", *args, "--skip-in-use"), ("set", *args, "--skip-in-use", "-n"):
                    d = h.json(*command, code=2)
                    assert [c["group"] for c in d["skipped"]] == [int(group)] and not d["changes"], d
                    assert "disruption" not in [p["kind"] for p in d["problems"]], d
                out = h.run("set", *args, "--skip-in-use", "-n", code=2).out
                assert "1 skipped because of disruption" in out and "leave out 1." in out, out
                assert h.type(group) == before and h.transactions() == []
    with Host() as h:
        assert "did you mean \"pause\"" in h.run("set", "1", "DMA", "--disruption", "pauze", code=1).err
        h.run("set", "1", "DMA", "--disruption", "", code=1)
        # Nobody was asked: no more than what can be relied on.
        kinds = [p["kind"] for p in h.json("set", "5", "identity", "--disruption", "none", "-n", code=2)["problems"]]
        assert "disruption" in kinds, kinds
        assert h.json("set", "3", "DMA-FQ", "--disruption", "none", "-n", code=2)["problems"] == []


@test
def limited_by_the_policy():
    with Host(True) as h:
        h.control("method", "1 pause\n")
        rule = 'rules = ( { name = "g"; match = { vendor = 0x10de; }; type = "identity"; } ); options = { disruption = "%s"; };'
        p = h.policy(rule % "none")
        d = h.json("apply", p, code=3)
        assert [x["kind"] for x in d["problems"]] == ["disruption"], d
        assert "apply would be refused: group 1 needs more" in h.run("plan", p, code=2).out.replace("\n", " ")
        assert h.json("check", p, code=0)["options"]["disruption"] == "none"
        h.run("assert", p, code=2)
        # The command line counts more; a plan that is saved has it.
        h.run("plan", "--disruption", "pause", "--save", f"{h.dir}/plan", p, code=2)
        h.run("apply", "--plan", f"{h.dir}/plan", "--disruption", "rebind", code=1)
        h.control("method", "1 rebind\n")
        d = h.json("apply", "--plan", f"{h.dir}/plan", code=3)
        assert h.type(1) == "DMA-FQ" and "disruption" in [x["kind"] for x in d["problems"]], d
        h.control("method", "1 pause\n")
        h.run("apply", "--plan", f"{h.dir}/plan", code=0)
        assert h.type(1) == "identity"
        # A type that cannot be had is said as that.
        h.run("set", "1", "DMA-FQ", code=0)
        h.control("check", "EOPNOTSUPP\n1 - check EOPNOTSUPP its IOMMU has no identity domain\n")
        d = h.json("apply", p, code=1)
        assert [x["kind"] for x in d["problems"]] == ["kernel"], d


@test
def limited_at_boot():
    """Once drivers are bound; in the initramfs there is nothing to disturb."""
    for early in (True, False):
        with Host(True) as h:
            os.makedirs(f"{h.root}/etc", exist_ok=True)
            with open(f"{h.root}/etc/iommucfg.conf", "w") as f:
                f.write('rules = ( { name = "g"; match = { vendor = 0x10de; }; type = "identity"; } ); '
                        'options = { disruption = "pause"; };')
            r = h.run("apply", "--boot", *(["--initramfs"] if early else []), code=0 if early else 2)
            assert h.type(1) == ("identity" if early else "DMA-FQ"), r
            assert early or "disruption" in r.err, r


@test
def way_back_counts():
    """In place to DMA-FQ, with a timeout: on a stock kernel the timer would unbind drivers."""
    with Host(True) as h:
        d = h.json("set", "4", "DMA-FQ", "--disruption", "pause", "--confirm-timeout", "900", code=3)
        assert [p["kind"] for p in d["problems"]] == ["disruption"], d
        assert "going back when it is not confirmed would unbind drivers: --confirm-timeout 0" in d["problems"][0]["message"], d
        # Nor is it hidden where it is permitted.
        r = h.run("set", "4", "DMA-FQ", "--allow-in-use", "mounted,net", "--confirm-timeout", "900", "-n", code=2)
        assert "in place" in r.out and "are unbound for that" in r.out, r
        # Where the change itself unbinds drivers the timeout has no part in it.
        d = h.json("set", "4", "identity", "--confirm-timeout", "900", code=3)
        assert d["problems"] and not any("--confirm-timeout" in p["message"] for p in d["problems"]), d
        h.run("set", "4", "DMA-FQ", "--disruption", "none", code=0)
        h.control("both-ways")
        h.run("set", "4", "DMA", code=0)
        h.run("set", "4", "DMA-FQ", "--disruption", "none", "--confirm-timeout", "900", "--detach", code=0)
        h.run("rollback", code=0)


@test
def changed_since():
    """What the kernel would do by the time of the commit is no more than what was judged."""
    with Host(True) as h:
        h.control("method", "1 pause\n")
        h.control("checked", f"#!/bin/sh\necho '1 rebind' >'{h.root}/control/method'\n", 0o755)
        d = h.json("set", "1", "identity", "--disruption", "pause", code=3)
        assert h.type(1) == "DMA-FQ" and [p["kind"] for p in d["problems"]] == ["disruption"], d
        h.control("method", "1 pause\n")
        d = h.json("set", "1", "identity", "--disruption", "pause", "--skip-in-use", code=2)
        assert h.type(1) == "DMA-FQ" and [c["group"] for c in d["skipped"]] == [1], d


@test
def no_limit_in_the_kernel():
    with Host(True) as h:
        h.control("no-disruption")
        for args in (("set", "1", "identity"), ("set", "1", "DMA-FQ"), ("set", "1", "identity", "-n")):
            for word in ("none", "pause"):
                d = h.json(*args, "--disruption", word, code=1)
                assert [p["kind"] for p in d["problems"]] == ["disruption"], d
                assert d["problems"][0]["code"] == "no-disruption-limit", d
        assert h.type(1) == "DMA-FQ" and h.transactions() == []
        h.run("set", "1", "identity", "--disruption", "rebind", code=0)
        assert h.json("set", "3", "DMA-FQ", code=0)["changes"][0]["method"] is None


@test
def timeout_of_a_terminal():
    """Only where a driver of a disk or an interface is unbound."""
    with Host(True) as h:
        h.control("method", "1 pause\n3 pause\n")
        t = Terminal(h.command("set", "1", "identity", "3", "identity", "--yes"))
        assert t.end() == 0 and "Keep" not in t.text and not h.transactions(), t.text
        h.control("method", "")
        t = Terminal(h.command("set", "1", "DMA-FQ", "--yes"))
        t.expect(r"Keep these settings\?")
        t.send("y\n")
        assert t.end() == 0, t.text
        # What goes in place both ways is no reason to do without.
        h.run("set", "3", "DMA", "--allow-in-use", "default-route", code=0)
        h.control("both-ways")
        t = Terminal(h.command("set", "1", "identity", "3", "DMA-FQ", "--yes"))
        t.expect(r"Keep these settings\?")
        t.send("y\n")
        assert t.end() == 0 and h.type(3) == "DMA-FQ", t.text


def trace(*events):
    """As the kernel prints them."""
    return "# tracer: nop\n#\n" + "".join(
        f"  kworker/u4:1-45      [001] .....  1{n}.5: icfg_resume: transaction={t} group={g} device={d} "
        f"driver={driver} silent_us={us} err=0\n" for n, (t, g, d, driver, us) in enumerate(events))


@test
def what_was_done():
    with Host(True) as h:
        tracing = f"{h.root}/sys/kernel/tracing"
        os.makedirs(f"{tracing}/events/iommu_configfs/icfg_resume")
        # One of a process that was killed.
        os.makedirs(f"{tracing}/instances/iommucfg-4194303")
        h.control("method", "1 pause\n")
        h.control("silent", trace(("a", 1, "0000:01:00.0", "a driver of DMA", 12300), ("a", 1, "0000:01:00.1", "x", 84000),
                                  ("a", 1, "0000:01:00.0", "a driver of DMA", 500), ("other", 1, "0000:01:00.0", "x", 9),
                                  ("a", 7, "0000:01:00.0", "x", 9)))
        d = h.json("set", "1", "identity", "3", "DMA-FQ", "5", "identity", "--name", "a", code=0)
        assert methods(d) == {1: "pause", 3: "in-place", 5: "rebind"}, d
        assert [[x["silent_us"] for x in c["devices"]] for c in d["changes"]] == [[12800, 84000], [None], [None]], d
        assert not os.path.exists(f"{tracing}/instances/iommucfg-4194303")
        changes = h.json("history", code=0)["entries"][0]["plan"]["changes"]
        assert [c["method"] for c in changes] == ["pause", "in-place", "rebind"], changes
        r = h.run("undo", code=3)
        h.control("method", "1 pause\n3 pause\n")
        r = h.run("undo", "-v", "--name", "a", code=0)
        text = " ".join(r.err.split())
        assert ": 2 with paused drivers, 1 with drivers unbound; silent for 84.0 ms at most: 0000:01:00.1" in text, r
        assert "group 1: 0000:01:00.0 was silent for 12.8 ms" in text, r
    # Nothing to say where drivers were unbound, as ever.
    with Host(True) as h:
        r = h.run("set", "1", "identity", code=0)
        assert "drivers" not in r.err, r
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "b", code=0)
        assert [g["method"] for t in h.json("status", code=0)["transactions"] for g in t["groups"]] == ["rebind"]


@test
def cannot_be_paused():
    """It falls back to rebind, where that is allowed; what was done is said, and why."""
    with Host(True) as h:
        h.control("method", "1 pause\n")
        h.control("unpausable", "1")
        d = h.json("set", "1", "identity", code=0)
        assert methods(d) == {1: "rebind"}, d
        (p,) = d["problems"]
        assert (p["severity"], p["code"], p["group"]) == ("warning", "not-paused", 1) and "mappings" in p["message"], p
        h.run("set", "1", "DMA-FQ", code=0)
        d = h.json("set", "1", "identity", "--disruption", "pause", code=4)
        assert d["result"] == "restored" and "mappings" in d["problems"][0]["message"], d


@test
def never_rebound_instead():
    """What may be paused only, as it is in use, is not rebound when that fails."""
    alone, mixed = ("set", "3", "identity"), ("set", "3", "identity", "5", "identity")
    # Without the word the kernel itself guards an interface that is up, which the stand-in does not.
    for args, words, code in (
            (alone, ["--allow-in-use", "net"], 4), (mixed, ["--allow-in-use", "net"], 4),
            (alone, ["--allow-in-use", "default-route"], 0), (mixed, ["--allow-in-use", "default-route"], 0),
            (mixed, ["--allow-in-use", "net", "--disruption", "pause", "--skip-in-use"], 4)):
        with Host(True) as h:
            h.control("method", "3 pause\n")
            h.control("unpausable", "3")
            d = h.json(*args, *words, "--name", "a", "--settle", "0", code=code)
            assert h.type(3) == ("DMA" if code else "identity"), (args, words, d)
            assert h.type(5) == ("identity" if args == mixed and not code else "DMA"), d
            assert h.transactions() == [], d
            assert any("mappings" in p["message"] for p in d["problems"]), d
    # Where it works the two are one change.
    with Host(True) as h:
        h.control("method", "3 pause\n")
        h.control("hold")
        p = h.start(*mixed, "--allow-in-use", "net", "--name", "a")
        h.wait_state("committing", "a")
        assert h.transactions() == ["a", "a-pause"]
        with open(f"{h.iommu}/a/disruption") as f, open(f"{h.iommu}/a-pause/disruption") as g:
            assert (f.read(), g.read()) == ("rebind\n", "pause\n")
        assert [n for n in os.listdir(f"{h.iommu}/a-pause") if n.isdigit()] == ["3"]
        h.release()
        p.communicate()
        assert p.returncode == 0 and h.type(3) == h.type(5) == "identity" and h.transactions() == []
    # Three parts are too many.
    with Host(True) as h:
        h.control("method", "3 pause\n")
        d = h.json(*mixed, "9", "DMA", "--allow-in-use", "net,mounted", code=3)
        assert d["problems"][0]["code"] == "too-many-parts" and h.type(5) == "DMA" and h.transactions() == [], d


sys.exit(main("method"))
