#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""plan --save and apply --plan.

	test_plans.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import sys

import jsonschema

from harness import Host, Terminal, main, schema, test

GPU = 'rules = ( { name = "gpu"; match = { vendor = 0x10de; }; type = "identity"; } );\n'


def saved(h, *args, code=2, **kwargs):
    path = f"{h.dir}/plan"
    h.run("plan", "--save", path, *args, code=code, **kwargs)
    with open(path) as f:
        d = json.load(f)
    jsonschema.validate(d, schema("plan-file"))
    return path, d


@test
def carried_out():
    for kernel in (False, True):
        with Host(True) as h:
            p = h.policy(GPU + 'options = { confirm_timeout = 5; settle = 0; };')
            if not kernel:
                # Where the module is not there, it is not asked.
                root, h.root = h.root, f"{h.dir}/saved"
                os.system(f"cp -a --one-file-system {root} {h.root}; rmdir {h.root}/sys/kernel/config/iommu")
            path, d = saved(h, "--confirm-timeout", 0, p)
            if not kernel:
                h.root = root
            (c,) = d["changes"]
            assert (c["group"], c["from"], c["to"]) == (1, "DMA-FQ", "identity"), c
            assert c["method"] == ("rebind" if kernel else None) and d["options"]["confirm_timeout"] == 0
            assert c["devices"][0] == {"name": "0000:01:00.0", "driver": "nvidia"}, c
            d = h.json("apply", "--plan", path, code=0)
            assert d["result"] == "committed" and h.type(1) == "identity", d
            # It is not what would be done now: nothing would.
            d = h.json("apply", "--plan", path, code=3)
            assert d["result"] == "refused" and d["problems"][0]["code"] == "plan-differs", d
    with Host(True) as h:
        # The system's policy, and one that is nowhere else.
        os.makedirs(f"{h.root}/etc/iommucfg.d")
        with open(f"{h.root}/etc/iommucfg.conf", "w") as f:
            f.write(GPU)
        path, d = saved(h)
        assert d["files"] is None
        h.run("apply", "--plan", path, "--name", "a", "--confirm-timeout", "900", "--detach", code=0)
        assert h.transactions() == ["a"]
        h.run("rollback", "a", code=0)
        path, d = saved(h, "-", input=GPU.replace("identity", "DMA"))
        assert d["files"] == ["-"]
        t = Terminal(h.command("apply", "--plan", path, "--confirm-timeout", "0"))
        t.expect(r"now\?")
        t.send("y\n")
        assert t.end() == 0 and h.type(1) == "DMA", t.text
        path, d = saved(h, "-", input=GPU.replace("identity", "DMA"), code=0)
        assert h.json("apply", "--plan", path, code=0)["result"] == "nothing-to-do"


@test
def differs():
    with Host(True) as h:
        p = h.policy(GPU)
        path, _ = saved(h, p)
        driver = f"{h.root}/sys/bus/pci/devices/0000:01:00.0/driver"
        group = f"{h.root}/sys/kernel/iommu_groups/1"

        def refused():
            d = h.json("apply", "--plan", path, code=3)
            assert d["result"] == "refused" and h.type(1) != "identity" and not h.transactions(), d
            assert "plan-differs" in [x["code"] for x in d["problems"]], d

        with open(p, "a") as f:
            f.write('default = "keep";\noptions = { settle = 3; };\n')
        refused()
        h.policy(GPU)
        target = os.readlink(driver)
        os.unlink(driver)
        refused()
        os.symlink(target, driver)
        os.rename(f"{group}/devices/0000:01:00.1", f"{h.dir}/away")
        refused()
        os.rename(f"{h.dir}/away", f"{group}/devices/0000:01:00.1")
        with open(f"{group}/type", "w") as f:
            f.write("DMA\n")
        refused()
        with open(f"{group}/type", "w") as f:
            f.write("DMA-FQ\n")
        h.control("method", "1 pause\n")
        refused()
        os.unlink(f"{h.root}/control/method")
        # What is in use is looked at anew, and is no difference.
        flags = f"{h.root}/sys/class/net/ib0/flags"
        with open(flags, "w") as f:
            f.write("0x1003\n")
        d = h.json("apply", "--plan", path, code=3)
        assert [x["kind"] for x in d["problems"]] == ["in-use"], d
        with open(flags, "w") as f:
            f.write("0x1002\n")
        h.run("apply", "--plan", path, code=0)


@test
def no_plan():
    with Host(True) as h:
        p = h.policy(GPU)
        path, d = saved(h, p)
        for text in ("", "rubbish", "[]", "{}", json.dumps({**d, "changes": []}),
                     json.dumps({**d, "options": {**d["options"], "allow_in_use": ["block"]}}),
                     json.dumps({**d, "schema": "iommucfg/plan/1"})):
            with open(path, "w") as f:
                f.write(text)
            r = h.json("apply", "--plan", path, code=1)
            assert "is no plan" in r["problems"][0]["message"], r
        h.json("apply", "--plan", f"{h.dir}/nothing", code=1)
        # Layout is no difference.
        with open(path, "w") as f:
            f.write(json.dumps(d))
        for args in (["--allow-in-use", "net"], ["--skip-in-use"], ["--strict"], ["--only", "1"], ["-n"], ["--boot"],
                     [p]):
            assert "--plan" in h.run("apply", "--plan", path, *args, code=1).err, args
        h.run("apply", "--plan", path, "--yes", "--settle", "0", code=0)
        # None is written of an error, nor by half.
        os.unlink(path)
        h.run("plan", "--save", path, h.policy("rules = ( { } );"), code=1)
        assert not os.path.exists(path)
        r = h.run("plan", "--save", f"{h.dir}/no/plan", h.policy(GPU.replace("identity", "DMA")), code=1)
        assert "is not saved" in r.err, r


sys.exit(main("plans"))
