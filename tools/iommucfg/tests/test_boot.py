#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is applied at boot, counted, confirmed, and gone back from.

	test_boot.py IOMMUCFG STANDIN [NAME...]

A boot is played: other types by default, another boot_id, and the same /var.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import GPU, Host, main, test

DMA = GPU.replace("identity", "DMA")
BAD = "rules = ( { nam = 1; } );\n"


class Machine(Host):
    def __enter__(self):
        super().__enter__()
        for d in ("dev", "run", "etc/iommucfg.d", "proc/sys/kernel/random"):
            os.makedirs(f"{self.root}/{d}", exist_ok=True)
        self.boots = 0
        self.boot()
        return self

    def etc(self, text):
        self.write("etc/iommucfg.conf", text)

    def confirmed(self, text):
        """A policy that this boot has applied and confirmed."""
        self.etc(text)
        self.run("apply", "--boot", code=0)
        self.run("confirm", "--boot", code=0)

    def boot(self, cmdline="ro quiet"):
        self.boots += 1
        self.write("proc/sys/kernel/random/boot_id", f"boot-{self.boots}\n")
        self.write("proc/cmdline", cmdline + "\n")
        self.write("dev/kmsg", "")
        self.write("sys/kernel/iommu_groups/1/type", "DMA-FQ\n")
        shutil.rmtree(f"{self.root}/run/iommucfg", ignore_errors=True)

    def kmsg(self):
        return self.read("dev/kmsg")

    def state(self):
        text = self.read("var/lib/iommucfg/boot")
        return text and json.loads(text)

    def state_of(self, name):
        return super().state(name)

    def wait_state(self, state, name=None):
        until(lambda: self.state_of(name) == state)

    def good(self):
        return self.read("var/lib/iommucfg/good.conf")


@test
def nothing_to_do():
    with Machine(True) as h:
        d = h.json("apply", "--boot", code=0)
        assert d["result"] == "nothing-to-do" and d["problems"] == []
        assert not os.listdir(f"{h.root}/var/lib")
        # A link to nothing is a policy that is missing.
        os.symlink("nothere", f"{h.root}/etc/iommucfg.conf")
        assert "No such file" in h.run("apply", "--boot", code=1).err
        assert "NOT applied" in h.kmsg()


@test
def trial_and_confirmation():
    with Machine(True) as h:
        h.etc(GPU)
        r = h.run("apply", "--boot", code=0)
        assert h.type(1) == "identity" and "2 tries left" in r.err, r
        assert "changed by the policy: 1" in h.kmsg()
        s = h.state()
        assert (s["tries_left"], s["applied"], s["boot_id"]) == (2, True, "boot-1") and not h.good()
        # Once more in the same boot takes no other try.
        assert h.json("apply", "--boot", code=0)["result"] == "nothing-to-do"
        assert h.state() == s
        d = h.json("confirm", "--boot", code=0)
        assert d["result"] == "committed" and h.state() is None and h.good() == s["policy"]
        h.run("check", f"{h.root}/var/lib/iommucfg/good.conf", code=0)
        assert "no policy is on trial" in h.run("confirm", "--boot", code=0).err
        # Nothing is counted from now on, nor for another comment.
        for text in (GPU, "# as it should be\n" + GPU):
            h.etc(text)
            h.boot()
            h.run("apply", "--boot", code=0)
            assert h.type(1) == "identity" and h.state() is None
        assert [x["command"][3:] for x in h.json("history")["entries"]][:2] == [
            ["apply", "--boot"], ["confirm", "--json", "--boot"]]


@test
def falls_back():
    with Machine(True) as h:
        h.confirmed(GPU)
        h.etc(DMA)
        for left in (2, 1, 0):
            h.boot()
            h.run("apply", "--boot", code=0)
            assert h.type(1) == "DMA" and h.state()["tries_left"] == left
        for _ in range(2):
            h.boot()
            d = h.json("apply", "--boot", code=2)
            assert h.type(1) == "identity" and d["result"] == "committed", d
            assert any("tries are used up" in x["message"] for x in d["problems"])
            assert re.search("<3>iommucfg: .*used up", h.kmsg()), h.kmsg()
            # What this boot did not try it cannot confirm.
            assert "used up" in h.run("confirm", "--boot", code=3).err
            assert h.read("run/iommucfg/policy.conf") == h.good()
        # Another policy is another trial, and the old one is forgotten.
        h.etc(GPU.replace("identity", "DMA-FQ"))
        h.boot()
        h.run("apply", "--boot", code=0)
        assert h.state()["tries_left"] == 2 and h.type(1) == "DMA-FQ"
        h.etc(DMA)
        h.boot()
        h.run("apply", "--boot", code=0)
        assert h.state()["tries_left"] == 2 and h.type(1) == "DMA"
        # Back to the confirmed one: no trial at all.
        h.etc(GPU)
        h.boot()
        h.run("apply", "--boot", code=0)
        assert h.state() is None and h.type(1) == "identity"


@test
def falls_back_to_nothing():
    with Machine(True) as h:
        h.etc(GPU)
        h.run("apply", "--boot", "--tries", "1", code=0)
        h.boot()
        d = h.json("apply", "--boot", "--tries", "1", code=2)
        assert h.type(1) == "DMA-FQ" and d["result"] == "nothing-to-do"
        assert "none was ever confirmed" in h.kmsg()
        # As the message says.
        os.unlink(f"{h.root}/var/lib/iommucfg/boot")
        h.run("apply", "--boot", code=0)
        assert h.type(1) == "identity"


@test
def kernel_parameters():
    with Machine(True) as h:
        h.etc(GPU)
        h.boot("ro iommucfg=off quiet")
        assert "ignored" in h.run("apply", "--boot", code=0).err
        assert h.type(1) == "DMA-FQ" and h.state() is None and "off" in h.kmsg()
        assert h.json("apply", "--boot", code=0)["result"] == "nothing-to-do"
        h.boot("iommucfg=good")
        d = h.json("apply", "--boot", code=2)
        assert d["result"] == "nothing-to-do" and "ever confirmed" in d["problems"][0]["message"]
        h.boot("iommucfg=off iommucfg=of noiommucfg=off")
        assert "takes \"off\" and \"good\"" in h.run("apply", "--boot", code=0).err
        assert h.type(1) == "identity"
        h.run("confirm", "--boot", code=0)
        for text in (DMA, BAD):
            h.etc(text)
            h.boot("iommucfg=good")
            h.run("apply", "--boot", code=2)
            assert h.type(1) == "identity" and h.state() is None
        # Nor has the kernel that saves a crash to do with it.
        h.etc(GPU)
        h.boot()
        h.write("proc/vmcore", "")
        assert "crash" in h.run("apply", "--boot", code=0).err and h.type(1) == "DMA-FQ"
        os.unlink(f"{h.root}/proc/vmcore")
        # By hand the parameter means nothing.
        h.boot("iommucfg=off")
        h.etc(DMA)
        h.run("apply", code=0)
        assert h.type(1) == "DMA"


@test
def errors_leave_the_machine_alone():
    for text, word in ((BAD, "nam"), ("rules = (", "syntax"),
                       ('rules = ( { name = "a"; match = { vendor = 0xdead; }; type = "DMA"; required = true; },'
                        '{ name = "b"; match = { vendor = 0x10de; }; type = "DMA"; } );', "required"),
                       ('rules = ( { name = "a"; match = { driver = "nvidia"; }; type = "identity"; },'
                        '{ name = "b"; match = { class = "network"; }; type = "DMA"; } );', "conflict")):
        with Machine(True) as h:
            h.etc(text)
            r = h.run("apply", "--boot", code=1)
            assert word in r.err and h.type(1) == "DMA-FQ", r
            assert re.search(f"<3>iommucfg: .*etc/iommucfg.conf:1: .*{word}", h.kmsg()), h.kmsg()
            assert "<3>iommucfg: the policy was NOT applied" in h.kmsg()
            assert h.transactions() == [] and not h.read("run/iommucfg/policy.conf")
            # Such a policy does no harm, so it takes no try, and is never confirmed.
            assert h.state() is None
            h.run("confirm", "--boot", code=0)
            assert not h.good()
    with Machine() as h:
        h.etc(GPU)
        assert "modprobe" in h.run("apply", "--boot", code=1).err and "modprobe" in h.kmsg()
        assert h.state() is None


@test
def check_command_has_a_say_in_the_confirmation():
    with Machine(True) as h:
        check, asked = os.path.join(h.dir, "check"), os.path.join(h.dir, "asked")
        with open(check, "w") as f:
            f.write(f"#!/bin/sh\necho >>{asked}\necho all is not well\nexit $(cat {h.dir}/status)\n")
        os.chmod(check, 0o755)
        with open(f"{h.dir}/status", "w") as f:
            f.write("3")
        h.etc(GPU + f'options = {{ check_command = [ "{check}" ]; }};\n')
        h.run("apply", "--boot", code=0)
        assert h.type(1) == "identity" and not os.path.exists(asked)
        d = h.json("confirm", "--boot", code=3)
        assert [p["kind"] for p in d["problems"]] == ["check-command", "boot"], d
        assert "all is not well" in d["problems"][0]["message"] and h.state() and not h.good()
        with open(f"{h.dir}/status", "w") as f:
            f.write("0")
        h.run("confirm", "--boot", code=0)
        assert h.good() and not h.state()


@test
def failed_commit_is_not_confirmed():
    with Machine(True) as h:
        h.etc(GPU)
        h.control("commit", "ECANCELED\n1 0000:01:00.0 probe ENODEV no\n")
        h.run("apply", "--boot", code=4)
        assert "NOT applied" in h.kmsg() and h.state()["applied"] is False
        assert "could not be applied" in h.run("confirm", "--boot", code=3).err
        h.control("commit", "EIO\n1 0000:01:00.0 restore EIO no\n")
        h.run("apply", "--boot", code=5)
        assert "nor undone" in h.kmsg()


@test
def in_use_is_left_alone():
    with Machine(True) as h:
        h.etc('rules = ( { name = "a"; match = { driver = [ "nvme", "nvidia" ]; }; type = "DMA"; } );\n'
              'options = { allow_in_use = [ "net", "block" ]; confirm_timeout = 60; };\n')
        d = h.json("apply", "--boot", code=2)
        assert d["result"] == "committed" and [c["group"] for c in d["changes"]] == [1]
        assert [c["group"] for c in d["skipped"]] == [2, 9] and h.transactions() == []
        assert "<4>iommucfg: group 2 is in use and stays DMA-FQ: the policy wants DMA" in h.kmsg()
        h.run("confirm", "--boot", code=0)


@test
def words_of_the_policy_count():
    for options, code, changed, skipped in (("", 2, [], [3]),
                                            ('options = { allow_in_use = [ "net" ]; confirm_timeout = 60; };', 2, [], [3]),
                                            ('options = { allow_in_use = [ "default-route" ]; };', 0, [3], [])):
        with Machine(True) as h:
            h.etc('rules = ( { name = "a"; match = { driver = "e1000e"; }; type = "identity"; } );\n' + options)
            d = h.json("apply", "--boot", code=code)
            assert [c["group"] for c in d["changes"]] == changed, d
            assert [c["group"] for c in d["skipped"]] == skipped, d


@test
def may_be_in_use_is_left_alone():
    with Machine(True) as h:
        h.etc('rules = ( { name = "a"; match = { vendor = [ 0x10de, 0x8086 ]; driver = [ "nvidia", "ahci", "pcieport" ]; }; type = "DMA"; } );')
        h.unreadable("sys/bus/pci/devices/0000:01:00.1/sriov_numvfs")
        d = h.json("apply", "--boot", code=2)
        # The others get what the policy says.
        assert d["result"] == "committed" and 0 in [c["group"] for c in d["changes"]], d
        assert 1 in [c["group"] for c in d["skipped"]] and h.type(1) == "DMA-FQ"
        assert "group 1 may be in use, and is left out: " in h.kmsg()
        assert "sriov_numvfs cannot be read" in h.kmsg()


@test
def not_half_of_each():
    # The image has the policy of before; another one was written, and not yet in it.
    with Machine(True) as h:
        h.confirmed(GPU)
        good, force = h.good(), h.read("run/iommucfg/policy.conf")
        other = ('rules = ( { name = "a"; match = { driver = [ %s ]; }; type = "DMA"; } );\n')
        # With groups that are in use, with none, and with nothing to change.
        for drivers in ('"nvme", "nvidia"', '"nvidia"', '"nosuch"'):
            h.write("run/iommucfg/initramfs", "")
            h.etc(other % drivers)
            d = h.json("apply", "--boot", code=2)
            assert d["result"] == "nothing-to-do" and h.type(1) == "identity", d
            assert "stays with the policy that it began with" in h.kmsg()
            assert h.read("run/iommucfg/image-is-old") is not None
            # No try was taken, and devices that come are under the same policy.
            assert h.state() is None and h.good() == good
            assert h.read("run/iommucfg/policy.conf") == force
            h.run("confirm", "--boot", code=0)
            assert h.good() == good
            # So it is with the boot; who starts the unit again wants what is in /etc.
            assert h.read("run/iommucfg/initramfs") is None
        # What is wrong is told at once, and the next boot has the right one.
        h.write("run/iommucfg/initramfs", "")
        h.etc(BAD)
        h.run("apply", "--boot", code=1)
        h.etc(other % '"nvidia"')
        assert h.json("apply", "--boot", code=0)["result"] == "committed" and h.type(1) == "DMA"
        h.etc(GPU)
        h.run("apply", "--boot", code=0)
        assert h.type(1) == "identity"
        h.boot()
        h.etc(other % '"nvidia"')
        assert h.json("apply", "--boot", code=0)["result"] == "committed" and h.type(1) == "DMA"
        assert h.state()["applied"]


@test
def initramfs_then_root():
    with Machine(True) as h, Machine() as image:
        h.confirmed(GPU)
        h.etc(DMA)
        # The image is built: policy and state as they are now.
        shutil.copytree(f"{h.root}/etc", f"{image.root}/etc", dirs_exist_ok=True)
        shutil.copytree(f"{h.root}/var", f"{image.root}/var", dirs_exist_ok=True)
        for left in (2, 1, 0, None):
            # First the copies in memory, under the same kernel; what is written goes.
            h.boot()
            keep = {n: h.read(n) for n in ("var/lib/iommucfg/boot", "var/lib/iommucfg/good.conf")}
            shutil.move(f"{h.root}/var", f"{h.dir}/var")
            shutil.copytree(f"{image.root}/var", f"{h.root}/var")
            h.run("apply", "--boot", code=0)
            assert h.type(1) == "DMA"
            os.makedirs(f"{h.root}/run/iommucfg", exist_ok=True)
            shutil.copy(f"{h.root}/var/lib/iommucfg/history", f"{h.root}/run/iommucfg/history")
            shutil.rmtree(f"{h.root}/var")
            shutil.move(f"{h.dir}/var", f"{h.root}/var")
            assert keep == {n: h.read(n) for n in keep}
            # Then the root: counts, and changes what is different.
            n = len(h.json("history")["entries"])
            r = h.run("apply", "--boot", code=2 if left is None else 0)
            assert len(h.json("history")["entries"]) > n and not h.read("run/iommucfg/history")
            assert h.state()["tries_left"] == (left or 0), r
            assert h.type(1) == ("identity" if left is None else "DMA")
        ids = [x["id"] for x in h.json("history")["entries"]]
        assert ids == list(range(1, len(ids) + 1))


@test
def state_that_is_rubbish():
    with Machine(True) as h:
        h.etc(GPU)
        os.mkdir(f"{h.root}/var/lib/iommucfg")
        for text in ("", "{", "[]", "{}", '{"tries_left": -1, "policy": "", "boot_id": ""}', "\0" * 99):
            h.boot()
            h.write("var/lib/iommucfg/boot", text)
            r = h.run("apply", "--boot", code=0)
            assert "var/lib/iommucfg/boot: Invalid" in r.err and h.state()["tries_left"] == 2, r
        h.write("var/lib/iommucfg/boot", "{")
        h.run("confirm", "--boot", code=1)
        h.write("var/lib/iommucfg/good.conf", "rubbish")
        h.boot("iommucfg=good")
        assert "good.conf:1" in h.run("apply", "--boot", code=1).err and h.type(1) == "DMA-FQ"
        assert "NOT applied" in h.kmsg()


@test
def what_cannot_be_counted_is_not_tried():
    for broken in ("no directory", "read only", "unreadable", "full"):
        with Machine(True) as h:
            h.etc(GPU)
            lib = f"{h.root}/var/lib/iommucfg"
            mounted = False
            if broken == "no directory":
                shutil.rmtree(f"{h.root}/var")
                h.write("var", "")
            elif broken == "unreadable":
                os.makedirs(f"{lib}/boot")
            else:
                os.makedirs(lib)
                size = "4k" if broken == "full" else "1m"
                if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", lib],
                                  capture_output=True, check=False).returncode:
                    continue
                mounted = True
                if broken == "full":
                    h.write("var/lib/iommucfg/fill", "x" * 4096)
                else:
                    subprocess.run(["mount", "-o", "remount,ro", lib], check=True)
            try:
                # The initramfs has left the policy that it applied.
                h.write("run/iommucfg/policy.conf", GPU)
                for _ in range(2):
                    d = h.json("apply", "--boot", code=3)
                    assert d["result"] == "refused" and h.type(1) == "DMA-FQ", (broken, d)
                    assert any("cannot be counted" in p["message"] for p in d["problems"]), d
                assert re.search("<3>iommucfg: .*cannot be counted", h.kmsg()), h.kmsg()
                assert "NOT applied" in h.kmsg() and not h.read("run/iommucfg/policy.conf")
                assert h.transactions() == []
                h.run("confirm", "--boot")
                assert not h.good()
            finally:
                if mounted:
                    subprocess.run(["umount", lib], check=True)
            # What needs no counting is applied.
            if mounted and broken == "full":
                os.makedirs(lib, exist_ok=True)
                h.confirmed(GPU)
                h.boot()
                assert h.json("apply", "--boot", code=0)["result"] == "committed"


@test
def given_up_is_out_of_force():
    # No try left, and none was ever confirmed.
    with Machine(True) as h:
        h.etc(GPU)
        h.run("apply", "--boot", "--tries", "1", code=0)
        force = h.read("run/iommucfg/policy.conf")
        h.boot()
        h.write("run/iommucfg/policy.conf", force)
        h.run("apply", "--boot", "--tries", "1", code=2)
        assert h.read("run/iommucfg/policy.conf") is None and h.standing() == {}
        # One is, but cannot be read any more.
        h.write("var/lib/iommucfg/good.conf", "rubbish")
        h.boot()
        h.write("run/iommucfg/policy.conf", force)
        h.run("apply", "--boot", "--tries", "1", code=1)
        assert h.read("run/iommucfg/policy.conf") is None
    # Deleted: found at boot, and by who applies it.
    for args, code in ((["--boot"], 0), ([], 1)):
        with Machine(True) as h:
            h.etc(GPU)
            h.run("apply", "--boot", code=0)
            assert h.standing() and h.read("run/iommucfg/policy.conf")
            # Somebody writes it anew: that it is wrong for a moment changes nothing.
            h.etc(BAD)
            h.run("apply", *args, code=1)
            assert h.standing() and h.read("run/iommucfg/policy.conf")
            os.unlink(f"{h.root}/etc/iommucfg.conf")
            h.run("plan", code=1)
            h.run("apply", "nosuch.conf", code=1)
            assert h.standing() and h.read("run/iommucfg/policy.conf")
            h.run("apply", *args, code=code)
            assert h.standing() == {} and h.read("run/iommucfg/policy.conf") is None
            assert h.type(1) == "identity"


@test
def killed_at_any_moment():
    with Machine(True) as h:
        h.confirmed(GPU)
        good = h.good()
        h.etc(DMA)
        h.boot()
        h.run("apply", "--boot", code=0)
        policies = {good, h.state()["policy"]}
        for n in range(24):
            h.boot()
            p = h.start("apply", "--boot", "--tries", "100")
            time.sleep(n * 0.0015)
            p.send_signal(signal.SIGKILL)
            p.communicate()
            # The kernel finishes what it began; what is left in its tree goes with a boot.
            for name in h.transactions():
                h.run("rollback", name)
                h.run("rollback", "--forget", name)
            p = h.start("confirm", "--boot")
            time.sleep(n * 0.0007)
            p.send_signal(signal.SIGKILL)
            p.communicate()
            assert h.good() in policies
            assert h.state() is None or h.state()["policy"] in policies
            if h.good() != good:
                h.write("var/lib/iommucfg/good.conf", good)


@test
def in_force():
    with Machine(True) as h:
        h.etc(GPU)
        h.run("apply", "--boot", code=0)
        force = f"{h.root}/run/iommucfg/policy.conf"
        assert h.read("run/iommucfg/policy.conf") == h.state()["policy"]
        # Somebody is at work in /etc, and a device comes.
        h.etc(BAD)
        h.write("sys/kernel/iommu_groups/1/type", "DMA\n")
        h.write("sys/kernel/iommu_groups/7/type", "DMA\n")
        d = h.json("apply", "--yes", "--skip-in-use", "--only", "0000:01:00.0", force, code=0)
        assert [c["group"] for c in d["changes"]] == [1] and h.type(7) == "DMA"
        h.run("apply", "--only", "nosuch", force, code=1)
        assert h.json("apply", "--only", "7", force, code=0)["result"] == "nothing-to-do"
        # What is wrong elsewhere does not concern it.
        p = h.policy('rules = ( { name = "a"; match = { driver = "nvidia"; }; type = "identity"; },'
                     '{ name = "b"; match = { class = "network"; }; type = "DMA"; },'
                     '{ name = "c"; match = { bus = "platform"; }; type = "DMA-FQ"; },'
                     '{ name = "d"; match = { vendor = 0xdead; }; type = "DMA"; required = true; } );')
        h.run("apply", p, code=1)
        h.run("apply", "--only", "1", p, code=1)
        assert h.json("apply", "--only", "7", p, code=0)["conflicts"] == []
        assert h.type(7) == "DMA-FQ"
        assert h.read("run/iommucfg/policy.conf") == h.state()["policy"]
        h.etc(DMA)
        h.run("apply", code=0)
        assert '"DMA"' in h.read("run/iommucfg/policy.conf")


def early(h, *args, code=0, option="--initramfs"):
    """What the initramfs does: with a /var of its own, of which the history alone stays."""
    lib, run = f"{h.root}/var/lib/iommucfg", f"{h.root}/run/iommucfg"
    os.makedirs(lib, exist_ok=True)
    shutil.copytree(lib, f"{h.dir}/lib")
    shutil.rmtree(f"{h.dir}/image", ignore_errors=True)
    r = h.run("apply", "--boot", option, "--json", *args, code=code)
    if h.read("var/lib/iommucfg/history"):
        os.makedirs(run, exist_ok=True)
        shutil.copy(f"{lib}/history", f"{run}/history")
    shutil.rmtree(lib)
    shutil.move(f"{h.dir}/lib", lib)
    return json.loads(r.out) if r.out else None


def timeout(h, seconds):
    """As if the time had gone by."""
    with open(f"{h.iommu}/iommucfg-boot/confirm_timeout", "w") as f:
        f.write(f"{seconds}\n")


def remaining(h):
    with open(f"{h.iommu}/iommucfg-boot/remaining") as f:
        return int(f.read())


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@test
def early_is_confirmed_by_root():
    with Machine(True) as h:
        h.etc(GPU)
        d = early(h)
        assert (d["result"], d["transaction"]) == ("unconfirmed", "iommucfg-boot"), d
        assert h.state_of("iommucfg-boot") == "unconfirmed" and 200 < remaining(h) <= 300
        # Not before root is there.
        assert not h.read("run/iommucfg/policy.conf") and h.standing() == {} and not h.state()
        d = h.json("apply", "--boot", code=0)
        assert h.type(1) == "identity" and h.transactions() == [] and d["result"] == "nothing-to-do"
        assert h.state()["tries_left"] == 2 and h.state()["applied"]
        assert h.read("run/iommucfg/policy.conf") == h.state()["policy"] and h.standing()
        assert not h.read("run/iommucfg/initramfs")
        e = h.json("history")["entries"]
        assert [(x["action"], x["result"], x["transaction"]) for x in e] == [
            ("apply", "committed", "iommucfg-boot")], e
        assert [(c["group"], c["to"]) for c in e[0]["plan"]["changes"]] == [(1, "identity")]
        h.run("confirm", "--boot", code=0)
        # The image of another policy: that one is kept, and in force.
        h.boot()
        early(h)
        good = h.good()
        h.etc(DMA)
        d = h.json("apply", "--boot", code=2)
        assert h.type(1) == "identity" and h.transactions() == [] and h.state() is None
        assert h.read("run/iommucfg/policy.conf") == good
        assert h.read("run/iommucfg/image-is-old") is not None
        # One that is wrong by now, or gone.
        for text, force in ((BAD, good), (None, None)):
            h.boot()
            h.etc(GPU)
            early(h)
            if text:
                h.etc(text)
            else:
                os.unlink(f"{h.root}/etc/iommucfg.conf")
            h.run("apply", "--boot", code=1 if text else 0)
            assert h.type(1) == "identity" and h.transactions() == []
            assert h.read("run/iommucfg/policy.conf") == force


@test
def early_goes_back():
    with Machine(True) as h:
        h.etc(GPU)
        early(h)
        timeout(h, 1)
        h.wait_state("rolled-back", "iommucfg-boot")
        assert h.type(1) == "DMA-FQ"
        for code, left in ((4, 2), (4, 1)):
            d = h.json("apply", "--boot", code=code)
            assert d["result"] == "restored" and h.type(1) == "DMA-FQ" and h.transactions() == [], d
            assert (h.state()["tries_left"], h.state()["applied"]) == (left, False)
            assert "has gone back" in h.kmsg() and "NOT applied" in h.kmsg()
            assert not h.read("run/iommucfg/policy.conf") and h.standing() == {}
            assert "could not be applied" in h.run("confirm", "--boot", code=3).err
            h.boot()
            early(h)
            timeout(h, 1)
            h.wait_state("rolled-back", "iommucfg-boot")
        assert [x["result"] for x in h.json("history")["entries"]][0] == "restored"
        # Nor is one tried that could not be restored in full.
        h.run("apply", "--boot", code=4)
        h.boot()
        os.unlink(f"{h.root}/var/lib/iommucfg/boot")
        h.control("commit", "EIO\n1 0000:01:00.0 restore EIO no\n")
        early(h, code=5)
        os.unlink(f"{h.root}/control/commit")
        h.run("apply", "--boot", code=5)
        assert h.state()["tries_left"] == 2 and h.state_of("iommucfg-boot") == "failed"
        assert "nor undone" in h.kmsg()


@test
def early_by_itself():
    with Machine(True) as h:
        h.etc(GPU)
        h.write("etc/initrd-release", "ID=test\n")
        assert h.json("apply", "--boot", code=0)["result"] == "unconfirmed"
        os.unlink(f"{h.root}/etc/initrd-release")
        assert h.json("apply", "--boot", code=0)["result"] == "nothing-to-do"
        assert h.type(1) == "identity" and h.transactions() == []


@test
def early_countdown():
    with Machine(True) as h:
        h.etc(GPU)
        early(h)
        # Root is found, or given up: from then on there is the whole time once more.
        timeout(h, 100)
        assert remaining(h) <= 100
        os.unlink(f"{h.root}/run/iommucfg/waiting-for-root")
        until(lambda: remaining(h) > 200)
        timeout(h, 100)
        time.sleep(1)
        assert remaining(h) <= 100
        h.run("apply", "--boot", code=0)


@test
def early_is_bounded():
    with Machine(True) as h:
        h.etc(GPU)
        h.control("hold", "")
        # What goes on in the background still has the output.
        p = subprocess.run(h.command("apply", "--boot", "--initramfs=1"), timeout=120, check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert p.returncode == 3
        assert "takes longer than 1 second:" in h.kmsg()
        assert h.state_of("iommucfg-boot") == "committing"
        h.release()
        h.wait_state("unconfirmed", "iommucfg-boot")
        h.run("apply", "--boot", code=0)
        assert h.type(1) == "identity" and h.transactions() == []
    # What has nothing to do leaves nothing to wait for, nor does what is refused.
    for policy, code in ((DMA.replace("DMA", "DMA-FQ"), 0), (BAD, 1)):
        with Machine(True) as h:
            h.etc(policy)
            early(h, code=code)
            assert h.transactions() == [] and not os.path.exists(f"{h.root}/run/iommucfg/waiting-for-root")
            assert bool(h.read("run/iommucfg/initramfs")) == (code == 0)


@test
def usage():
    with Machine() as h:
        for args in (["--boot", "x"], ["--boot", "--only", "1"], ["--boot", "--detach"],
                     ["--boot", "--confirm-timeout", "1"], ["--tries", "3"],
                     ["--boot", "--tries", "101"], ["--only"], ["--initramfs"],
                     ["--boot", "--initramfs=0"]):
            assert "--help" in h.run("apply", *args, code=1).err, args
        assert "--help" in h.run("confirm", "--boot", "x", code=1).err


if __name__ == "__main__":
    sys.exit(main("boot"))
