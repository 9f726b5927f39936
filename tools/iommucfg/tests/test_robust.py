#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What fails halfway, is killed, or is in the way.

	test_robust.py IOMMUCFG STANDIN [NAME...]
"""
import fcntl
import os
import subprocess
import sys
import time

from harness import GPU, Host, Terminal, main, test


def dead_pid():
    """A process that is over."""
    with subprocess.Popen(["true"]) as p:
        pass
    return p.pid


def stage(h, name, group, kind):
    """A transaction as somebody makes it by hand."""
    os.mkdir(f"{h.iommu}/{name}")
    os.mkdir(f"{h.iommu}/{name}/{group}")
    with open(f"{h.iommu}/{name}/{group}/type", "w") as f:
        f.write(f"{kind}\n")


@test
def unreadable_state_is_not_gone():
    with Host(True) as h:
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        h.control("state-error", "EIO\n")
        # What is there may have to be decided about first.
        r = h.run("set", "1", "identity", code=3)
        assert "cannot be read" in r.err and h.type(1) == "DMA", r
        assert h.json("status", "a", code=0)["transactions"][0]["state"] == "unknown"
        os.unlink(f"{h.root}/control/state-error")
        assert h.state("a") == "unconfirmed"
        # Nor is a rollback done that failed.
        h.control("rollback", "EBUSY\n1 - check EBUSY no\n")
        h.control("state-error", "EACCES\n")
        d = h.json("rollback", "a", code=5)
        assert d["state"] == "unknown" and d["result"] == "failed", d
        assert h.type(1) == "DMA" and "a" in h.transactions()


@test
def unreadable_state_after_the_commit():
    with Host(True) as h:
        h.control("hook", f"#!/bin/sh\necho EIO >{h.root}/control/state-error\n", 0o755)
        d = h.json("set", "1", "DMA", code=5)
        assert d["result"] == "failed" and h.type(1) == "DMA", d
        assert sum("whether its change stands is not known" in p["message"] for p in d["problems"]) == 1
        # Nothing that could undo it was removed.
        os.unlink(f"{h.root}/control/state-error")
        assert [h.state(n) for n in h.transactions()] == ["committed"]
    # A moment's want of memory is no reason for more than a moment's wait.
    with Host(True) as h:
        h.control("hook", f"#!/bin/sh\ncd {h.root}/control\necho ENOMEM >state-error\n"
                  "(sleep 1; rm state-error) >/dev/null 2>&1 &\n", 0o755)
        assert h.json("set", "1", "DMA", code=0)["result"] == "committed"


@test
def removed_is_gone():
    with Host(True) as h:
        p = h.start("set", "1", "DMA", "--confirm-timeout", "900", "--name", "a")
        h.wait_state("unconfirmed", "a")
        h.run("confirm", "a", code=0)
        assert p.wait(120) == 0 and h.type(1) == "DMA"


@test
def rollback_in_the_way():
    with Host(True) as h:
        h.control("net-up", "")
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a", code=0)
        # Not a disk: that is said, and nothing is touched.
        h.control("disk-up", "1 0000:01:00.0 check EBUSY nvme9n1 is mounted on /srv\n")
        d = h.json("rollback", "a", code=5)
        assert any("nvme9n1 is mounted" in p["message"] for p in d["problems"]), d
        assert any("iommucfg rollback a" in p["message"] for p in d["problems"]), d
        assert h.state("a") == "unconfirmed" and h.type(1) == "DMA"
        with open(f"{h.iommu}/a/allow_in_use") as f:
            assert f.read().split() == ["net", "other"]
        assert "by name --allow-in-use alone" in h.run("rollback", "a", "--yes", code=1).err
        h.run("rollback", "a", "--allow-in-use", "block", code=0)
        assert h.type(1) == "DMA-FQ" and h.transactions() == []
    # A module that has no "other" takes "net" all the same, and a word that is there stays.
    with Host(True) as h:
        h.control("no-disruption", "")
        h.control("net-up", "")
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", "--name", "a",
              "--allow-in-use", "block", code=0)
        h.control("disk-up", "1 0000:01:00.0 check EBUSY nvme9n1 is mounted on /srv\n")
        h.run("rollback", "a", code=0)


@test
def names_with_blanks():
    for raw in (False, True):
        with Host(True) as h:
            if raw:
                h.control("raw-drivers", "")
            h.control("drivers", "0000:01:00.1 a driver of DMA things\n0000:01:00.0 b any\n")
            h.control("required", "0000:01:00.1 DMA\n")
            h.run("set", "1", "DMA", code=0)
            with open(f"{h.iommu}/abi") as f:
                assert f.read() == "1\n"
            d = h.json("show", "1", code=0)
            assert {x["name"]: x["required_type"] for x in d["groups"][0]["devices"]} == {
                "0000:01:00.0": "any", "0000:01:00.1": "DMA"}, (raw, d)
            os.mkdir(f"{h.iommu}/x")
            os.mkdir(f"{h.iommu}/x/1")
            with open(f"{h.iommu}/x/1/devices") as f:
                assert ("a\\040driver\\040of\\040DMA\\040things DMA\n" in f.read()) != raw


if __name__ == "__main__":
    sys.exit(main("robust"))
