#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The command without the module: words, documents, exit codes.

	test_cli.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import shutil
import signal
import subprocess
import sys

from harness import GPU, IOMMUCFG, Host, Skip, Terminal, main, test  # noqa: F401


@test
def show_needs_nothing():
    with Host() as h:
        assert h.run(code=0).out == h.run("show", code=0).out
        d = h.json("show", code=0)
        assert [g["group"] for g in d["groups"]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12]
        g1 = d["groups"][1]
        assert g1["type"] == "DMA-FQ" and len(g1["devices"]) == 2
        gpu = g1["devices"][0]
        assert gpu["path"] == "0000:00:1c.4/00.0" and gpu["required_type"] is None
        assert gpu["vendor_name"] == "NVIDIA Corporation", gpu
        disk = d["groups"][2]["devices"][0]["in_use"]
        assert {"kind": "mount", "name": "nvme0n1p2", "detail": "/home over dm-0 (vg-home)",
                "where": "/home", "word": "mounted", "default_route": False} in disk
        told = [(x["kind"], x["name"], x["detail"], x["where"]) for x in disk]
        assert ("swap", "nvme0n1p3", "swap", None) in told
        assert ("dm", "nvme0n1p2", "dm-0 (vg-home)", None) in told
        eth = d["groups"][3]["devices"][0]["in_use"][0]
        assert eth["kind"] == "net" and "10.0.2.15/24" in eth["detail"]
        assert "default route" in eth["detail"]
        sda = d["groups"][4]["devices"][1]["in_use"]
        assert sda == [{"kind": "mount", "name": "sda", "detail": "/srv/my data",
                        "where": "/srv/my data", "word": "mounted", "default_route": False}], sda
        vm = d["groups"][6]["devices"][0]["in_use"]
        assert vm == [{"kind": "vfio", "name": "/dev/vfio/6",
                       "detail": "held by PID 4711 (qemu-system-x86)", "where": None,
                       "word": None, "default_route": False}], vm
        assert d["groups"][9]["devices"][0]["in_use"][0]["detail"] == "/fast"
        kinds = {u["kind"] for u in d["groups"][10]["devices"][0]["in_use"]}
        assert kinds == {"vfs", "mount"}, kinds


@test
def use_unread():
    """Who only looks is warned, and gets what there is."""
    p_nic = 'rules = ( { name = "n"; match = { device = "0000:00:03.0"; }; type = "identity"; } );'
    for name in ("sys/class/net", "sys/class/block", "sys/class/devlink", "proc/net/route",
                 "proc/net/fib_trie", "proc/net/if_inet6", "proc/self/mountinfo", "proc/swaps",
                 "proc/4711/fd", "sys/class/net/eth0/flags", "sys/class/block/sda/dev",
                 "sys/class/block/nvme0n1p2/holders", "sys/class/block/dm-0/slaves",
                 "sys/devices/virtual/nvme-subsystem/nvme-subsys1",
                 "sys/bus/pci/devices/0000:00:04.0/sriov_numvfs"):
        with Host() as h:
            path = h.unreadable(name)
            for d in (h.json("show", code=0), h.json("plan", h.policy(p_nic), code=2)):
                x = [x for x in d["problems"] if x["kind"] == "system"][0]
                shown = x["message"].split(": ")[1].replace(" cannot be read", "")
                assert os.path.realpath(shown) == os.path.realpath(path), x
                assert x["errno"] in ("ENOTDIR", "EISDIR"), x
            r = h.run("show", code=0)
            assert "warning" in r.err and len(r.err.splitlines()) == (3 if "nvme-sub" in name else 1), r
            assert h.run("show", "-q", code=0).err == ""
        # What is not there, and was never, is no reason to warn.
        with Host() as h:
            path = f"{h.root}/{name}"
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else \
                os.path.lexists(path) and os.unlink(path)
            assert h.json("show", code=0)["problems"] == []


@test
def use_unread_of_others():
    """Other users' processes are closed to who is not root: that is not worth a word."""
    if os.geteuid():
        raise Skip("needs root, to become somebody else")
    with Host() as h:
        os.chmod(h.dir, 0o755)
        binary = f"{h.dir}/iommucfg"
        shutil.copy(IOMMUCFG, binary)
        os.chmod(binary, 0o755)
        os.chmod(f"{h.root}/proc/4711/fd", 0o700)
        p = subprocess.run([binary, "--root", h.root, "show", "6"], user=65534, group=65534,
                           extra_groups=[], capture_output=True, text=True)
        assert p.returncode == 0 and p.stderr == "", p


@test
def group_unread():
    """The message names what cannot be read, and whose that is."""
    for name, device in (("1/type", None), ("1/devices", None), ("1/devices/0000:01:00.1", "0000:01:00.1")):
        with Host() as h:
            path = f"{h.root}/sys/kernel/iommu_groups/{name}"
            if device:
                path = os.path.realpath(path)
            h.unreadable(os.path.relpath(path, h.root))
            d = h.json("show", "0", code=1)
            (x,) = d["problems"]
            assert path in x["message"] and x["group"] == 1 and x["device"] == device, x
            assert x["errno"] in ("EISDIR", "ENOTDIR"), x


@test
def show_chooses():
    with Host() as h:
        assert [g["group"] for g in h.json("show", "1", "0000:00:03.0")["groups"]] == [1, 3]
        assert [g["group"] for g in h.json("show", "01:00.1")["groups"]] == [1]
        assert h.run("1", code=0).out == h.run("show", "1", code=0).out
        assert h.json("show", "99", code=1)["groups"] == []
        assert "no group 99" in h.run("show", "99", code=1).err
        assert "\"nosuch\"" in h.run("show", "nosuch", code=1).err
        # An unset variable of a script is no group 0.
        assert h.json("show", "", code=1)["groups"] == []
        assert h.json("set", "", "DMA", code=1)["changes"] == []


@test
def show_chooses_none_of_two():
    with Host() as h:
        h.twins()
        for command in (["show", "dev0"], ["set", "dev0", "DMA-FQ"],
                        ["apply", "--only", "dev0", h.policy("")]):
            r = h.run(*command, code=1)
            assert "21 (bus amba), 20 (bus platform)" in r.err, r
            (x,) = [x for x in h.json(*command, code=1)["problems"] if x["kind"] == "usage"]
            assert "\"dev0\"" in x["message"] and x["errno"] == "ENOTUNIQ", x
        assert [g["group"] for g in h.json("show", "dev1", "20", code=0)["groups"]] == [20, 21]


@test
def show_columns():
    with Host() as h:
        r = h.run("show", "--raw", "--noheadings", "-o", "GROUP,DEVICE,PATH,REMOVABLE", "5", "8",
                  code=0)
        assert r.out == "5 0000:05:00.0 0000:00:1d.0/00.0 yes\n8 - - -\n", r
        assert h.run("show", "-o", "+bus", "7", code=0).out.split("\n")[0].split()[-1] == "BUS"
        assert "did you mean \"DRIVER\"" in h.run("show", "-o", "DRIVR", code=1).err
        # No column at all is told before anything is looked at.
        for command in ("show", "plan", "status", "standing", "history"):
            for none in ("", ",", " , "):
                r = h.run(command, "-o", none, code=1)
                assert "-o takes names of columns" in r.err and r.err.count("\n") == 2, r
        # To add none is to have the usual ones.
        assert h.run("show", "-o", "+", code=0).out == h.run("show", code=0).out
        assert len(h.run("show", "--list", "--noheadings", "1", code=0).out.splitlines()) == 2


@test
def no_iommu():
    with Host() as h:
        shutil.rmtree(f"{h.root}/sys/kernel/iommu_groups")
        p = h.policy(GPU)
        for command in ("show", "plan", "assert", "save"):
            args = [p] if command in ("plan", "assert") else []
            assert "no IOMMU" in h.run(command, *args, code=1).err
            h.json(command, *args, code=1)
        h.run("check", p, code=0)
        os.makedirs(f"{h.root}/sys/kernel/iommu_groups")
        assert "no IOMMU" in h.run("show", code=1).err


@test
def kernel_too_old():
    with Host() as h:
        for g in os.listdir(f"{h.root}/sys/kernel/iommu_groups"):
            os.unlink(f"{h.root}/sys/kernel/iommu_groups/{g}/type")
        assert "too old" in h.run("show", code=1).err


@test
def module_missing():
    with Host() as h:
        p = h.policy(GPU)
        for args in (["apply", p], ["set", "1", "DMA"], ["confirm"], ["rollback"], ["status"]):
            r = h.run(*args, code=1)
            assert "modprobe iommu-configfs" in r.err, r
            d = h.json(args[0], *args[1:], code=1)
            assert any("modprobe" in x["message"] for x in d["problems"])
        # Of two exit codes, 1 counts: also where there is nothing to do.
        d = h.json("set", "1", "DMA-FQ", code=1)
        assert d["changes"] == [] and d["unchanged"] == 1 and d["result"] == "error"
        assert h.json("apply", h.policy(""), code=1)["result"] == "error"
        with open(f"{h.root}/proc/sys/kernel/osrelease", "w") as f:
            f.write("6.1.0-13-amd64\n")
        r = h.run("set", "1", "DMA", code=1)
        assert "modprobe iommu-configfs" in r.err and "6.1.0-13-amd64" in r.err
        os.makedirs(f"{h.root}/sys/module/iommu_configfs")
        assert "mount -t configfs" in h.run("status", code=1).err


@test
def module_cannot_be_told():
    with Host() as h:
        os.makedirs(f"{h.root}/sys/kernel/config/iommu")
        for unreadable in (True, False):
            if unreadable:
                os.makedirs(f"{h.root}/sys/kernel/config/iommu/abi")
            else:
                os.rmdir(f"{h.root}/sys/kernel/config/iommu/abi")
            d = h.json("status", code=1)
            (x,) = d["problems"]
            assert ("not loaded" in x["message"]) == (not unreadable), x
            assert x["errno"] == ("EISDIR" if unreadable else "ENODEV"), x
            assert ("config/iommu/abi cannot be read" in x["message"]) == unreadable, x


@test
def usage():
    with Host() as h:
        for args in (["nosuch"], ["show", "--nosuch"], ["set"], ["set", "1"], ["set", "1", "dmaa"],
                     ["apply", "--settle"], ["apply", "--settle", "x"], ["confirm", "a", "b"],
                     ["apply", "--confirm-timeout", "604801"], ["apply", "--confirm-timeout=-1"],
                     ["apply", "--allow-in-use", "nets"], ["show", "-o"], ["show", "-x"],
                     ["save", "x"], ["monitor", "x"], ["--rot", "x"],
                     ["history", "x"], ["history", "0"], ["history", "1", "2"],
                     ["rollback", "--to"], ["rollback", "--to", "x"], ["rollback", "--yes"],
                     ["rollback", "--to", "1", "name"], ["rollback", "--to", "1", "--forget"]):
            r = h.run(*args, code=1)
            assert not r.out and "--help" in r.err, r
        assert "did you mean \"apply\"" in h.run("aply").err
        assert "did you mean --json" in h.run("show", "--jsn").err
        assert "did you mean \"DMA\"" in h.run("set", "1", "dmaa").err
        assert "did you mean \"net\"" in h.run("apply", "--allow-in-use", "nt").err
        assert h.run("--version", code=0).out.startswith("iommucfg ")
        for c in ("show", "check", "plan", "apply", "set", "confirm", "rollback", "status",
                  "assert", "save", "monitor", "history"):
            assert h.run(c, "--help", code=0).out.startswith(f"Usage: iommucfg {c}")
            assert c in h.run("--help", code=0).out
        assert h.run("--root", "/nonexistent/x", "show").code == 1


@test
def usage_says_what_is_wrong():
    with Host() as h:
        for args, words in (
                (["show", "--json", "-xq"], "unknown option -x"),
                (["show", "--json", "-qx"], "unknown option -x"),
                (["assert", "-o", "NAME", "F"], "unknown option -o"),
                (["check", "-o", "x"], "unknown option -o"),
                (["show", "-lo"], "option -o needs an argument"),
                (["show", "--outp"], "option --output needs an argument"),
                (["plan", "--save", "--json", "P"], "option --save needs an argument, and \"--json\" is none"),
                (["dump", "-o", "--private"], "option -o needs an argument, and \"--private\" is none"),
                (["apply", "--only", "--", "P"], "option --only needs an argument, and \"--\" is none"),
                (["--root", "--json", "show"], "option --root needs an argument, and \"--json\" is none"),
                (["show", "--quiet=5"], "option --quiet takes no argument"),
                (["-l"], "as in \"iommucfg show -l\""),
                (["-qo", "NAME"], "as in \"iommucfg show -o\""),
                (["--raw", "plan"], "as in \"iommucfg show --raw\""),
                (["-x"], "unknown option -x"),
                (["--nosuch=3"], "unknown option --nosuch\n"),
                (["apply", "--boot", "--tries", "0"], "--tries takes a number from 1 to 100, not \"0\""),
                (["apply", "--tries", "0"], "--tries"),
                (["apply", "--tries", "3"], "--tries goes with --boot")):
            r = h.run(*args, code=1)
            assert words in r.err and bool(r.out) == ("--json" in args), (args, r)


@test
def environment_root():
    with Host() as h:
        env = dict(os.environ, IOMMUCFG_ROOT=h.root)
        p = subprocess.run([IOMMUCFG, "--json"], env=env, capture_output=True, text=True)
        assert json.loads(p.stdout)["groups"][1]["devices"][0]["name"] == "0000:01:00.0"


@test
def plan_changes():
    with Host() as h:
        p = h.policy(GPU + 'default = "keep";\n')
        d = h.json("plan", p, code=2)
        assert d["result"] == "planned" and d["unchanged"] == 10 and d["skipped"] == []
        assert d["problems"] == [] and d["conflicts"] == [] and d["transaction"] is None
        (c,) = d["changes"]
        assert (c["group"], c["from"], c["to"], c["in_place"]) == (1, "DMA-FQ", "identity", False)
        assert c["rule"] == {"name": "gpu", "file": p, "line": 1}
        assert [x["driver"] for x in c["devices"]] == ["nvidia", "mlx5_core"]
        r = h.run("plan", p, code=2)
        assert "gpu" in r.out and "reach all of" in r.out and "test.conf:1" in r.out, r
        r = h.run("assert", p, code=2)
        assert r.out == "" and r.err == "", r
        assert h.json("assert", p, code=2)["result"] == "planned"
        assert h.type(1) == "DMA-FQ"


@test
def plan_nothing():
    with Host() as h:
        p = h.policy('rules = ( { name = "a"; match = { vendor = 0x10de; }; type = "DMA-FQ"; } );')
        assert h.json("plan", p, code=0)["result"] == "nothing-to-do"
        h.run("assert", p, code=0)
        assert "Nothing to change" in h.run("plan", p, code=0).out
        assert h.json("plan", h.policy(""), code=0)["unchanged"] == 11


@test
def plan_in_use_still_2():
    with Host() as h:
        p = h.policy('rules = ( { name = "a"; match = { driver = "nvme"; }; type = "identity"; } );')
        d = h.json("plan", p, code=2)
        assert {x["kind"] for x in d["problems"]} == {"in-use"}
        assert all(x["errno"] == "EBUSY" and x["group"] == 2 for x in d["problems"])
        q = h.policy('rules = ( { name = "a"; match = { device = "10000:e1:00.0"; }; type = "DMA"; } );', "q.conf")
        assert h.json("plan", "--allow-in-use", "mounted", q, code=2)["problems"] == []
        # "/" and swap are not to be had.
        d = h.json("plan", "--allow-in-use", "block", p, code=2)
        assert {x["message"].split(": ")[2].split()[0] for x in d["problems"]} == {"mount", "swap"}, d
        d = h.json("plan", "--skip-in-use", p, code=2)
        assert [c["group"] for c in d["skipped"]] == [2] and d["changes"] == []


@test
def plan_conflict():
    with Host() as h:
        p = h.policy('rules = (\n { name = "a"; match = { driver = "nvidia"; }; type = "identity"; },\n'
                     ' { name = "b"; match = { class = "network"; }; type = "DMA"; }\n);')
        d = h.json("plan", p, code=1)
        (c,) = d["conflicts"]
        for word in ('"a"', '"b"', f"{p}:2", f"{p}:3", "0000:01:00.0", "0000:01:00.1"):
            assert word in c["message"], (word, c)
        assert c["group"] == 1 and d["result"] == "error"
        err = h.run("assert", p, code=1).err
        assert "conflict in group 1" in err
        p = h.policy('rules = (\n { name = "a"; match = { driver = "nvidia"; }; type = "identity"; },\n'
                     ' { name = "b"; match = { driver = "mlx5-core"; }; type = "DMA"; priority = 1; }\n);')
        d = h.json("plan", p, code=2)
        assert [(c["group"], c["to"]) for c in d["changes"]] == [(1, "DMA")]


@test
def plan_required():
    with Host() as h:
        p = h.policy('rules = ( { name = "a"; match = { vendor = 0xdead; }; type = "DMA"; required = true; } );')
        (x,) = h.json("plan", p, code=1)["problems"]
        assert x["kind"] == "required" and x["rule"] == "a" and x["line"] == 1
        h.run("assert", p, code=1)
        # Another rule wins, but a device meets the match.
        p = h.policy('rules = ( { name = "w"; match = { bus = "pci"; }; type = "DMA"; priority = 9; },'
                     '{ name = "a"; match = { vendor = 0x10de; }; type = "identity"; required = true; } );')
        assert all(x["kind"] != "required" for x in h.json("plan", p)["problems"])


@test
def plan_default():
    with Host() as h:
        d = h.json("plan", h.policy('default = "DMA-FQ";'), code=2)
        assert [c["group"] for c in d["changes"]] == [3, 4, 5, 6, 7, 9]
        assert d["changes"][0]["rule"]["name"] == "default" and d["changes"][0]["in_place"]
        kinds = {(x["kind"], x["group"]) for x in d["problems"]}
        assert ("type", 8) in kinds and ("type", 12) in kinds, kinds


@test
def plan_system_files():
    with Host() as h:
        r = h.run("plan", code=1)
        assert "no policy" in r.err and "/etc/iommucfg.conf" in r.err
        os.makedirs(f"{h.root}/etc/iommucfg.d")
        h.run("check", code=1)
        for name, text in (("10-b.conf", 'default = "identity";'), ("05-a.conf", 'default = "DMA";'),
                           ("20-c.conf~", "rubbish"), (".hidden.conf", "rubbish")):
            with open(f"{h.root}/etc/iommucfg.d/{name}", "w") as f:
                f.write(text)
        assert h.json("check", code=0)["default"] == "identity"
        with open(f"{h.root}/etc/iommucfg.conf", "w") as f:
            f.write(GPU + 'default = "keep"; options = { confirm_timeout = 5; };')
        d = h.json("check", code=0)
        assert len(d["rules"]) == 1 and d["default"] == "identity"
        assert d["options"] == {"confirm_timeout": 5, "allow_in_use": None, "settle": None, "disruption": None,
                                "strict": None, "check_command": None, "check_timeout": None,
                                "faults": None}
        assert d["rules"][0]["file"] == f"{h.root}/etc/iommucfg.conf"
        d = h.json("check", "-", input='default = "DMA-FQ";', code=0)
        assert d["default"] == "DMA-FQ" and d["rules"] == []
        # A link to nothing: half of a policy is none.
        os.unlink(f"{h.root}/etc/iommucfg.conf")
        os.symlink("nothere", f"{h.root}/etc/iommucfg.conf")
        assert "/etc/iommucfg.conf: No such file" in h.run("check", code=1).err


@test
def driver_by_modalias():
    cc, depmod = shutil.which("cc") or shutil.which("gcc"), shutil.which("depmod") or "/sbin/depmod"
    if not cc or not os.access(depmod, os.X_OK):
        raise Skip("needs a compiler and depmod, to make a module's index")
    with Host() as h:
        p = h.policy('rules = ( { name = "a"; match = { driver = "e1000-test"; }; type = "identity"; required = true; } );')
        assert h.json("plan", p, code=1)["problems"][0]["kind"] == "required"
        modules = f"{h.root}/lib/modules/6.12.0-test"
        # What depmod reads of a module is the text in its .modinfo.
        subprocess.run([cc, "-x", "c", "-c", "-o", f"{modules}/e1000_test.ko", "-"], check=True, text=True,
                       input='static const char a[] __attribute__((used, section(".modinfo"))) = '
                             '"alias=pci:v00008086d000010D3sv*sd*bc*sc*i*";\n')
        subprocess.run([depmod, "-b", h.root, "6.12.0-test"], check=True,
                       stderr=subprocess.DEVNULL)
        # Of three such devices one has no driver.
        d = h.json("plan", p, code=2)
        assert [c["group"] for c in d["changes"]] == [5], d
        assert d["problems"][0]["kind"] == "untrusted"


@test
def check_errors():
    with Host() as h:
        d = h.json("check", h.policy('rules = (\n { nam = "x"; } );\n'), code=1)
        assert d["result"] == "error" and d["rules"] == []
        assert any(x["line"] == 2 and "did you mean \"name\"" in x["message"] for x in d["problems"])
        assert "<stdin>:1:" in h.run("check", "-", input="rules = 1;", code=1).err
        assert "nosuch" in h.run("check", f"{h.dir}/nosuch", code=1).err
        h.run("check", h.dir, code=1)
        a = h.policy(GPU, "a.conf")
        b = h.policy("\n" + GPU, "b.conf")
        assert f"{a}:1" in h.run("check", a, b, code=1).err


@test
def check_old_image():
    with Host() as h:
        etc, conf = f"{h.root}/etc/iommucfg.d", f"{h.root}/etc/iommucfg.conf"
        os.makedirs(etc)
        os.makedirs(f"{h.root}/boot")
        for path in (conf, f"{etc}/a.conf", f"{etc}/b.conf~"):
            with open(path, "w") as f:
                f.write("")
            os.utime(path, (1000, 1000))
        os.utime(etc, (1000, 1000))
        assert h.json("check", code=0)["problems"] == []
        for name in ("initrd.img-6.12.0-test", "initramfs-6.12.0-test.img"):
            image = f"{h.root}/boot/{name}"
            for other in ("initrd.img-6.11.0", "initramfs-linux.img"):
                with open(f"{h.root}/boot/{other}", "w") as f:
                    f.write("")
            with open(image, "w") as f:
                f.write("")
            os.utime(image, (1500, 1500))
            assert h.json("check", code=0)["problems"] == []
            for touched in (conf, f"{etc}/a.conf", etc):
                os.utime(touched, ns=(10**9, 1500 * 10**9 + 1))
                (x,) = h.json("check", code=0)["problems"]
                assert x["kind"] == "boot" and image in x["message"] and touched in x["message"], x
                r = h.run("check", code=0)
                assert "warning" in r.err and "update-initramfs" in r.err
                os.utime(touched, (1000, 1000))
            os.utime(f"{etc}/b.conf~", (2000, 2000))
            # Of files that are named nobody knows whether they are in it.
            os.utime(conf, (2000, 2000))
            assert h.json("check", conf, code=0)["problems"] == []
            # A link that is newer may have led elsewhere.
            os.utime(conf, (1000, 1000))
            os.rename(conf, f"{h.dir}/real.conf")
            os.symlink(f"{h.dir}/real.conf", conf)
            assert conf in h.json("check", code=0)["problems"][0]["message"]
            os.unlink(conf)
            os.rename(f"{h.dir}/real.conf", conf)
            os.unlink(image)


@test
def save_round_trip():
    with Host() as h:
        p = h.policy(h.run("save", code=0).out)
        assert h.json("plan", p, code=0)["unchanged"] == 11
        with open(f"{h.root}/sys/kernel/iommu_groups/1/type", "w") as f:
            f.write("identity\n")
        d = h.json("plan", p, code=2)
        assert [(c["group"], c["to"]) for c in d["changes"]] == [(1, "DMA-FQ")]
        d = h.json("save", code=0)
        assert d["rules"] == 9 and d["policy"].count("name =") == 9 and d["file"] is None


@test
def save_names_on_two_buses():
    with Host() as h:
        h.twins()
        text = h.run("save", code=0).out
        assert text.count('bus = [ "amba" ]') == 1 and text.count("bus = [") == 3, text
        p = h.policy(text)
        assert len({r["name"] for r in h.json("check", p, code=0)["rules"]}) == 11
        assert h.json("plan", p, code=0)["unchanged"] == 13
        for group, kind in ((20, "identity"), (21, "DMA")):
            with open(f"{h.root}/sys/kernel/iommu_groups/{group}/type", "w") as f:
                f.write(kind + "\n")
        d = h.json("plan", p, code=2)
        assert [(c["group"], c["to"]) for c in d["changes"]] == [(20, "DMA"), (21, "identity")]
        assert {c["rule"]["name"] for c in d["changes"]} == {"platform/dev0", "amba/dev0"}


@test
def save_file():
    with Host() as h:
        path = f"{h.dir}/out.conf"
        link = f"{h.dir}/link.conf"
        with open(path, "w") as f:
            f.write("old")
        os.chmod(path, 0o600)
        os.symlink(path, link)
        h.run("save", "-o", link, code=0)
        assert os.path.islink(link) and os.stat(path).st_mode & 0o777 == 0o600
        h.run("check", path, code=0)
        h.json("save", "-o", path, code=0)
        assert sorted(os.listdir(h.dir)) == ["link.conf", "out.conf", "root"]
        with open(path) as f:
            before = f.read()
        for g in os.listdir(f"{h.root}/sys/kernel/iommu_groups"):
            with open(f"{h.root}/sys/kernel/iommu_groups/{g}/type", "w") as f:
                f.write("blocked\n")
        h.run("save", "-o", path, code=1)
        with open(path) as f:
            assert f.read() == before
        h.run("save", "-o", h.dir, code=1)
        h.run("save", "-o", f"{h.dir}/no/such", code=1)


@test
def colors():
    with Host() as h:
        for env, args, want in (({}, [], True), ({"NO_COLOR": "1"}, [], False),
                                ({}, ["--no-color"], False), ({"NO_COLOR": ""}, [], True)):
            save = dict(os.environ)
            os.environ.update(env)
            try:
                t = Terminal(h.command("show", "1", *args))
                assert t.end() == 0
            finally:
                os.environ.clear()
                os.environ.update(save)
            assert ("\033[" in t.text) == want, (env, args, t.text)
        assert "\033" not in h.run("show").out


@test
def full_output():
    with Host() as h, open("/dev/full", "w") as full:
        p = subprocess.run(h.command("show"), stdout=full, stderr=subprocess.PIPE)
        assert p.returncode == 1 and b"cannot be written" in p.stderr


@test
def not_root():
    if os.geteuid():
        raise Skip("needs root, to become somebody else")
    with Host() as h:
        os.makedirs(f"{h.root}/sys/kernel/config/iommu")
        with open(f"{h.root}/sys/kernel/config/iommu/abi", "w") as f:
            f.write("1\n")
        for d, _, files in os.walk(h.dir):
            os.chmod(d, 0o755)
        binary = f"{h.dir}/iommucfg"
        shutil.copy(IOMMUCFG, binary)
        os.chmod(binary, 0o755)
        for args in (["set", "1", "DMA"], ["confirm"], ["rollback"]):
            p = subprocess.run([binary, "--root", h.root, *args], user=65534, group=65534,
                               extra_groups=[], capture_output=True, text=True)
            assert p.returncode == 1 and "needs root" in p.stderr, p
        for args in (["show"], ["status"], ["save"]):
            p = subprocess.run([binary, "--root", h.root, *args], user=65534, group=65534,
                               extra_groups=[], capture_output=True, text=True)
            assert p.returncode == 0, p


@test
def status_of_saved_tree():
    with Host() as h:
        base = f"{h.root}/sys/kernel/config/iommu"
        for path, text in (("abi", "1\n"), ("generation", "7\n"), ("night/state", "unconfirmed\n"),
                           ("night/report", "1 0000:01:00.0 probe EAGAIN waits for a firmware\nmore: 3\n"),
                           ("night/1/type", "identity\n"), ("night/1/current_type", "identity\n"),
                           ("night/1/status", "changed\n1 - verify EIO second\n"),
                           ("night/1/devices", "pci 0000:01:00.0 nvidia any\npci 0000:01:00.1 mlx5_core DMA\n")):
            os.makedirs(os.path.dirname(f"{base}/{path}"), exist_ok=True)
            with open(f"{base}/{path}", "w") as f:
                f.write(text)
        (t,) = h.json("status", code=0)["transactions"]
        assert t.pop("age") >= 0
        assert t["name"] == "night" and t["state"] == "unconfirmed"
        assert t["groups"] == [{"group": 1, "type": "identity", "current_type": "identity",
                                "status": "changed", "method": None}]
        assert [(x["device"], x["phase"], x["errno"]) for x in t["report"]] == [
            ("0000:01:00.0", "probe", "EAGAIN"), (None, None, None), (None, "verify", "EIO")], t
        (same,) = h.json("status", "night", code=0)["transactions"]
        assert same.pop("age") >= 0 and same == t
        assert "unconfirmed" in h.run("status", code=0).out
        assert h.json("status", "nosuch", code=1)["transactions"] == []
        d = h.json("show", "1", code=0)["groups"][0]["devices"]
        assert [x["required_type"] for x in d] == ["any", "DMA"]
        assert sorted(os.listdir(base)) == ["abi", "generation", "night"]
        # What a driver forces is known before; an unconfirmed one is warned of.
        d = h.json("plan", h.policy(GPU), code=1)
        assert {x["kind"] for x in d["problems"]} == {"transaction", "type"}, d
        assert "0000:01:00.1" in [x["device"] for x in d["problems"]]


@test
def plan_fits():
    """However deep a policy file is; what is for programs has all of its name."""
    with Host() as h:
        p = h.policy(GPU)
        os.mkdir(f"{h.dir}/{'deep' * 20}")
        p = shutil.move(p, f"{h.dir}/{'deep' * 20}/gpu.conf")
        lines = h.run("plan", "-o", "NAME,FROM,TO,HOW,DRIVER,RULE,WHERE,IN-USE", p, code=2).out.splitlines()
        assert max(map(len, lines)) <= 100 and "gpu.conf:1" in lines[1], lines
        assert p in h.run("plan", "--raw", p, code=2).out
        assert h.json("plan", p, code=2)["changes"][0]["rule"]["file"] == p


@test
def module_of_an_unknown_key():
    """Where modprobe may be refused the message goes beyond "modprobe"."""
    for path, text, strict in (("sys/module/module/parameters/sig_enforce", "Y", True),
                               ("sys/module/module/parameters/sig_enforce", "N", False),
                               ("sys/kernel/security/lockdown", "none [integrity] confidentiality", True),
                               ("sys/kernel/security/lockdown", "none integrity [confidentiality]", True),
                               ("sys/kernel/security/lockdown", "[none] integrity confidentiality", False)):
        with Host() as h:
            os.makedirs(os.path.dirname(f"{h.root}/{path}"))
            with open(f"{h.root}/{path}", "w") as f:
                f.write(text + "\n")
            (x,) = h.json("apply", h.policy(""), code=1)["problems"]
            assert "modprobe iommu-configfs" in x["message"] and x["errno"] == "ENODEV", x
            assert ("Key was rejected by service" in x["message"]) == strict, (text, x)
            # What needs no module says nothing of it.
            assert h.run("plan", h.policy(GPU), code=2).err.find("rejected") < 0


@test
def monitor_ends():
    with Host() as h:
        p = h.start("monitor", "--json")
        assert "not loaded" in p.stderr.readline()
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=120)
        if "cannot be received" in err:
            raise Skip("no netlink here")
        assert p.returncode == 0 and out == "", err


if __name__ == "__main__":
    sys.exit(main("cli"))
