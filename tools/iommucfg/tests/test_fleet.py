#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What an agent asks of the command: a change is confirmed and becomes a file of the policy.

	test_fleet.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import sys

import jsonschema

from harness import GPU, Host, main, schema, test

FILE = "etc/iommucfg.d/50-fleet.conf"


class Candidate(Host):
    """A policy that was applied and is not confirmed; its text waits to be installed."""

    def __init__(self):
        super().__init__(True)

    def __enter__(self):
        super().__enter__()
        os.makedirs(f"{self.root}/etc/iommucfg.d")
        self.dest = f"{self.root}/{FILE}"
        self.run("apply", "--yes", "--detach", "--name", "a", "--confirm-timeout", "900",
                 self.policy(GPU), code=0)
        self.write(f"{FILE}.new", GPU)
        return self


@test
def confirmed_and_installed():
    with Candidate() as h:
        d = h.json("confirm", "a", "--install", h.dest, code=0)
        assert d["result"] == "committed" and d["entry"], d
        assert h.read(FILE) == GPU and h.read(FILE + ".new") is None
        assert '"gpu"' in h.read("run/iommucfg/policy.conf")
        assert [r["type"] for r in h.standing().values()], h.standing()
        # After a crash it is called again, with nothing left to do, or the rename alone.
        h.json("confirm", "a", "--install", h.dest, code=0)
        h.write(FILE + ".new", GPU + "\n")
        h.json("confirm", "a", "--install", h.dest, code=0)
        assert h.read(FILE) == GPU + "\n" and h.type(1) == "identity"


@test
def not_confirmed_not_installed():
    with Candidate() as h:
        h.expire("a")
        d = h.json("confirm", "a", "--install", h.dest, code=4)
        assert d["result"] == "restored" and h.read(FILE) is None
        h.json("confirm", "b", "--install", h.dest, code=1)
        assert h.read(FILE) is None and not os.path.exists(f"{h.root}/run/iommucfg/policy.conf")


@test
def not_all_in_force():
    """Another file wants something else: the groups stay, and so does the policy in force."""
    with Candidate() as h:
        h.write("etc/iommucfg.d/90-other.conf",
                'rules = ( { name = "nic"; match = { device = "0000:00:03.0"; }; type = "identity"; } );\n')
        d = h.json("confirm", "a", "--install", h.dest, code=2)
        assert d["result"] == "committed" and h.read(FILE) == GPU, d
        assert any(p["code"] == "not-in-force" for p in d["problems"]), d
        assert h.type(3) == "DMA" and h.read("run/iommucfg/policy.conf") is None


@test
def nothing_to_install():
    with Candidate() as h:
        os.unlink(h.dest + ".new")
        d = h.json("confirm", "a", "--install", h.dest, code=1)
        assert d["result"] == "error" and h.state("a") == "unconfirmed", d
        h.run("confirm", "--boot", "--install", h.dest, code=1)
        # A change that is kept although the file cannot be.
        h.write(FILE + ".new", GPU)
        os.mkdir(h.dest)
        d = h.json("confirm", "a", "--install", h.dest, code=1)
        assert d["result"] == "committed" and h.type(1) == "identity", d


@test
def installed_without_a_transaction():
    """A reboot has taken the transaction along; the file is still to be installed."""
    with Candidate() as h:
        # Nothing is confirmed that was not named, and what may go back proves nothing.
        d = h.json("confirm", "--install", h.dest, code=3)
        assert d["result"] == "refused" and d["transaction"] is None, d
        assert any(p["code"] == "transaction-unconfirmed" for p in d["problems"]), d
        assert h.state("a") == "unconfirmed" and h.read(FILE) is None and not h.standing()
        h.run("confirm", "a", code=0)
        d = h.json("confirm", "--install", h.dest, code=0)
        assert d["result"] == "installed" and d["state"] is None and d["entry"] is None, d
        assert h.read(FILE) == GPU and [r["type"] for r in h.standing().values()], h.standing()
        # Taken back, while no group changes: then not all is as the policy says, or all is.
        h.write(FILE + ".new", "# taken back\n")
        d = h.json("confirm", "--install", h.dest, code=0)
        assert not h.standing() and h.type(1) == "identity", h.standing()
        h.write(FILE + ".new", GPU.replace("identity", "DMA"))
        d = h.json("confirm", "--install", h.dest, code=2)
        assert d["result"] == "installed" and not h.standing() and h.type(1) == "identity", d
        assert any(p["code"] == "not-in-force" for p in d["problems"]), d


@test
def fleet_is_another_program():
    with Host() as h:
        r = h.run("fleet", "status", code=1, env=dict(os.environ, PATH="/usr/bin:/bin"))
        assert "package iommucfg-fleet" in r.err and not r.out, r
        for words in (("--json", "fleet", "status"), ("fleet", "--json", "status")):
            r = h.run(*words, code=1, env=dict(os.environ, PATH="/usr/bin:/bin"))
            jsonschema.validate(json.loads(r.out), schema("usage"))
        path = f"{h.dir}/bin"
        os.mkdir(path)
        with open(f"{path}/iommucfg-fleet-cli", "w") as f:
            f.write('#!/bin/sh\necho "$@"\nexit 4\n')
        os.chmod(f"{path}/iommucfg-fleet-cli", 0o755)
        r = h.run("--json", "fleet", "start", "-p", "x y", code=4,
                  env=dict(os.environ, PATH=f"{path}:/usr/bin:/bin"))
        assert r.out == "--json start -p x y\n", r


sys.exit(main("fleet"))
