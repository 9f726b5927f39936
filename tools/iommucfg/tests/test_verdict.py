#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What judges a change after the commit: a check command, IOMMU faults.

	test_verdict.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import signal
import struct
import sys
import time

from harness import GPU, Host, Terminal, main, test


class Judged(Host):
    def __init__(self):
        super().__init__(True)

    def script(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path

    def options(self, text):
        return self.policy(GPU + f"options = {{ {text} }};\n")

    def faults(self, *lines, seq=100):
        """What the kernel logs once the groups are switched; "hook" is run by the stand-in."""
        self.control("lines", "".join(f"3,{seq + n},{int(time.monotonic() * 1e6)},-;{line}\n"
                                      for n, line in enumerate(lines)))
        self.control("hook", f"#!/bin/sh\ncat {self.root}/control/lines >>{self.root}/dev/kmsg\n", 0o755)

    def watched(self, p):
        """Waits until all of the log has been read, and what was read has been judged."""
        size = os.path.getsize(f"{self.root}/dev/kmsg")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for fd in os.listdir(f"/proc/{p.pid}/fd"):
                try:
                    if not os.readlink(f"/proc/{p.pid}/fd/{fd}").endswith("/dev/kmsg"):
                        continue
                    with open(f"/proc/{p.pid}/fdinfo/{fd}") as f:
                        if int(f.readline().split()[1]) >= size:
                            return
                except OSError:
                    pass
            time.sleep(0.02)
        raise AssertionError("the log is not read")

    def problem(self, document, kind):
        found = [p for p in document["problems"] if p["kind"] == kind]
        assert len(found) == 1, document["problems"]
        return found[0]

    def history(self):
        with open(f"{self.root}/var/lib/iommucfg/history") as f:
            return [json.loads(line) for line in f]

    def is_back(self):
        assert self.type(1) == "DMA-FQ" and not self.transactions()


@test
def check_command_says_yes():
    with Judged() as h:
        seen = f"{h.dir}/seen"
        check = h.script("check", f"for w; do echo \"<$w>\"; done >>{seen}; cat >>{seen}; echo good")
        r = h.run("apply", h.options(f'check_command = [ "{check}", "a b", "$HOME; false", "" ];'), code=0)
        assert h.type(1) == "identity" and not h.transactions()
        with open(seen) as f:
            assert f.read() == "<a b>\n<$HOME; false>\n<>\n", "once, no shell, no standard input"
        assert "good" not in r.out + r.err
        # Without a change it is not asked.
        os.unlink(seen)
        h.run("apply", h.options(f'check_command = [ "{check}" ];'), code=0)
        assert not os.path.exists(seen)


@test
def check_command_says_no():
    for text, words in (("echo gone wrong >&2; exit 7", ["status 7", "gone wrong"]),
                        ("kill -SEGV $$", ["signal 11"]),
                        (r"printf '\033[2J\007\000x\351\nend\n'; exit 1",
                         [r"\x1b[2J\x07\x00x\xe9\nend"]),
                        ("exit 1", ["status 1"])):
        with Judged() as h:
            check = h.script("check", text)
            d = h.json("apply", h.options(f'check_command = [ "{check}" ];'), code=4)
            p = h.problem(d, "check-command")
            assert p["code"] == "check-command" and p["severity"] == "refused", p
            assert all(w in p["message"] for w in [check] + words), p
            assert d["result"] == "restored" and h.history()[-1]["result"] == "restored"
            h.is_back()


@test
def check_command_quoted_in_part():
    with Judged() as h:
        check = h.script("check", "head -c 100000 /dev/zero | tr '\\0' a; printf '%0400d' 0; exit 1")
        m = h.problem(h.json("set", "1", "identity", "--check-command", check, code=4), "check-command")["message"]
        assert m.count("0" * 400) == 1 and "a" * 2 not in m, m
        assert "\x1b" not in h.run("set", "1", "identity", "--check-command",
                                   h.script("red", r"printf '\033[31m'; false"), code=4).err


@test
def check_command_hangs():
    with Judged() as h:
        pids = f"{h.dir}/pids"
        check = h.script("check", f"sleep 1000 & echo $! $$ >{pids}; echo waiting; wait")
        d = h.json("apply", h.options(f'check_command = [ "{check}" ]; check_timeout = 1;'), code=4)
        m = h.problem(d, "check-command")["message"]
        assert "within 1 second" in m and "waiting" in m, m
        h.is_back()
        with open(pids) as f:
            for pid in f.read().split():
                end = time.monotonic() + 60
                while os.path.exists(f"/proc/{pid}"):
                    with open(f"/proc/{pid}/stat") as stat:
                        if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                            break
                    assert time.monotonic() < end, "of its process group something is left"
                    time.sleep(0.02)


@test
def check_command_leaves_nothing():
    with Judged() as h:
        pid = f"{h.dir}/pid"
        check = h.script("check", f"sleep 1000 & echo $! >{pid}; exit 0")
        h.run("set", "1", "identity", "--check-command", check, code=0)
        with open(pid) as f:
            name = f"/proc/{f.read().strip()}/stat"
        end = time.monotonic() + 60
        while os.path.exists(name):
            with open(name) as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    break
            assert time.monotonic() < end
            time.sleep(0.02)


@test
def check_command_is_not_there():
    with Judged() as h:
        for path in "/nowhere/check", h.dir:
            d = h.json("set", "1", "identity", "--check-command", path, code=4)
            assert "cannot be run" in h.problem(d, "check-command")["message"], d
            h.is_back()


@test
def check_command_on_the_command_line():
    with Judged() as h:
        no, yes = h.script("no", "exit 1"), h.script("yes", "exit 0")
        p = h.options(f'check_command = [ "{no}" ];')
        h.run("apply", p, code=4)
        h.run("apply", p, "--check-command", yes, code=0)
        h.run("set", "1", "DMA-FQ", code=0)
        h.run("apply", p, "--check-command", "", code=0)
        h.run("undo", "--check-command", no, code=4)
        h.run("rollback", "--to", "2", "--check-command", no, code=4)
        assert h.type(1) == "identity"
        assert "absolute" in h.run("apply", p, "--check-command", "bin/true", code=1).err
        # Of each option the last one read counts.
        q = h.policy('options = { check_command = [ ]; };', "later.conf")
        h.run("set", "1", "DMA-FQ", code=0)
        h.run("apply", p, q, code=0)


@test
def check_command_of_a_saved_plan():
    with Judged() as h:
        p = h.options(f'check_command = [ "{h.script("no", "exit 1")}" ];')
        h.run("plan", "--save", f"{h.dir}/plan", p, code=2)
        h.run("apply", "--plan", f"{h.dir}/plan", code=4)
        h.is_back()
        h.run("apply", "--plan", f"{h.dir}/plan", "--check-command", "/bin/true", code=1)


@test
def check_command_and_the_end_of_time():
    # What still runs 5 seconds before the end has failed.
    with Judged() as h:
        check = h.script("check", "exec sleep 1000")
        d = h.json("apply", h.options(f'check_command = [ "{check}" ]; confirm_timeout = 6;'), code=4)
        assert "did not end" in h.problem(d, "check-command")["message"], d
        h.is_back()


@test
def check_command_interrupted():
    with Judged() as h:
        started = f"{h.dir}/started"
        check = h.script("check", f": >{started}; exec sleep 1000")
        p = h.start("set", "1", "identity", "--check-command", check)
        end = time.monotonic() + 60
        while not os.path.exists(started):
            assert time.monotonic() < end
            time.sleep(0.02)
        p.send_signal(signal.SIGINT)
        assert "interrupted" in p.communicate(timeout=60)[1] and p.returncode == 4
        h.is_back()


@test
def check_command_before_the_question():
    with Judged() as h:
        check = h.script("check", f": >{h.dir}/asked")
        t = Terminal(h.command("set", "1", "identity", "--yes", "--confirm-timeout", "900", "--check-command", check))
        t.expect("keep|Keep")
        assert os.path.exists(f"{h.dir}/asked") and h.type(1) == "identity"
        t.send("y\n")
        assert t.end() == 0


VTD = "DMAR: [DMA Write NO_PASID] Request device [%s] fault addr 0xffff000 [fault reason 0x05] PTE Write access is not set"
SMMU = "arm-smmu-v3 arm-smmu-v3.0.auto: "


@test
def a_fault_undoes_the_change():
    for lines, quoted in (([VTD % "0000:01:00.0"], None),
                          ([VTD % "01:00.1"], None),
                          (["nvidia 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0005 address=0x1000 flags=0x0020]"], None),
                          (["AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.1 domain=0x0005 address=0x1000 flags=0x0]"], None),
                          ([SMMU + "event: F_TRANSLATION client: 0000:01:00.0 sid: 0x100 ssid: 0 iova: 0x1000 ipa: 0"], None),
                          ([SMMU + "event 0x10 received:", SMMU + r"\x090x0000010000000010", SMMU + r"\x090x0000020000000000"],
                           r"\x090x0000010000000010"),
                          (["virtio_iommu virtio0: page fault from EP 257 at 0x1000 [W]"], None),
                          (["other: line", "arm-smmu 9050000.iommu: Unhandled context fault: fsr=0x402, iova=0x00001000, fsynr=0x1, cbfrsynra=0x100, cb=0"],
                           "Unhandled context fault")):
        with Judged() as h:
            h.faults(*lines)
            d = h.json("set", "1", "identity", code=4)
            p = h.problem(d, "fault")
            assert (p["severity"], p["code"], p["group"]) == ("refused", "fault", 1), p
            assert p["device"] in ("0000:01:00.0", "0000:01:00.1")
            assert (quoted or lines[0]) in p["message"], p
            assert d["result"] == "restored" and h.history()[-1]["result"] == "restored"
            h.is_back()


@test
def faults_of_others_count_for_nothing():
    with Judged() as h:
        h.faults(VTD % "0000:00:02.0", VTD % "0001:01:00.0", "virtio_iommu virtio0: page fault from EP 16 at 0x1000 [W]",
                 "e1000e 0000:00:03.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0005 address=0x1000 flags=0x0020]")
        # What a process writes into the log has another facility.
        h.control("hook", f"#!/bin/sh\ncat {h.root}/control/lines >>{h.root}/dev/kmsg\n"
                  f"echo '12,900,1,-;{VTD % '0000:01:00.0'}' >>{h.root}/dev/kmsg\n", 0o755)
        d = h.json("set", "1", "identity", code=0)
        assert d["problems"] == [] and h.type(1) == "identity", d


@test
def faults_by_alias():
    def config(kind, secondary):
        space = bytearray(256)
        space[0x06], space[0x19], space[0x34] = 0x10, secondary, 0x40
        space[0x40:0x44] = struct.pack("<BBH", 0x01, 0x50, 0) # power management first
        space[0x50:0x54] = struct.pack("<BBH", 0x10 if kind is not None else 0x05, 0, (kind or 0) << 4)
        return bytes(space)

    # Bridge to conventional PCI: its secondary bus; a conventional bridge: its own; a port: none.
    for kind, source, code in ((7, "05:00.0", 4), (7, "00:1c.4", 0), (None, "00:1c.4", 4),
                               (4, "00:1c.4", 0), (4, "05:00.0", 0),
                               # A function that the card does not have.
                               (4, "01:00.5", 4), (4, "01:01.0", 0)):
        with Judged() as h:
            with open(f"{h.root}/sys/devices/pci0000:00/0000:00:1c.4/config", "wb") as f:
                f.write(config(kind, 5))
            h.faults(VTD % source)
            h.run("set", "1", "identity", code=code)


@test
def faults_by_stream():
    with Judged() as h:
        h.twins()
        node = f"{h.root}/sys/devices/platform/dev0/of_node"
        os.makedirs(node)
        with open(f"{node}/iommus", "wb") as f:
            f.write(struct.pack(">IIII", 7, 0x123, 7, 0x124))
        for n, (sid, code) in enumerate(((0x124, 4), (7, 0), (0x12, 0))):
            h.faults(SMMU + f"event: C_BAD_STE client: (unassigned sid) sid: {sid:#x} ssid: 0", seq=100 + n)
            h.run("set", "20", "DMA-FQ" if h.type(20) == "DMA" else "DMA", code=code)


@test
def faults_only_warn():
    with Judged() as h:
        line = VTD % "0000:01:00.0"
        h.faults(line, line, line)
        d = h.json("apply", h.options('faults = "warn";'), code=0)
        p = h.problem(d, "fault")
        assert p["severity"] == "warning" and line in p["message"], p


@test
def faulted_before():
    line = VTD % "0000:01:00.0"
    for ago, code in ((5 * 60, 0), (15 * 60, 4)):
        with Judged() as h:
            h.kernel_says(line, 7, ago=ago)
            h.faults(line, line)
            d = h.json("set", "1", "identity", code=code)
            p = h.problem(d, "fault")
            assert (p["code"], p["severity"]) == (("faulted-before", "warning") if not code else ("fault", "refused")), p
            assert line in p["message"]
    # Another device of the group has not.
    with Judged() as h:
        h.kernel_says(line, 7)
        h.faults(VTD % "0000:01:00.1")
        h.run("set", "1", "identity", code=4)
        # That one is one of those before by now.
        d = h.json("set", "1", "identity", code=0)
        assert {p["device"] for p in d["problems"]} == {"0000:01:00.0", "0000:01:00.1"}, d


@test
def a_fault_before_the_switch():
    with Judged() as h:
        h.control("hold")
        p = h.start("set", "1", "identity", "--json")
        h.wait_state("committing")
        h.kernel_says(VTD % "0000:01:00.0", 7)
        h.watched(p)
        h.kernel_says("something else", 8)
        h.watched(p)
        h.release()
        out = p.communicate(timeout=60)[0]
        assert p.returncode == 0 and h.type(1) == "identity", out
        assert h.problem(json.loads(out), "fault")["code"] == "faulted-before"


@test
def a_fault_while_waited_for_an_answer():
    line = VTD % "0000:01:00.0"
    with Judged() as h:
        p = h.start("set", "1", "identity", "--confirm-timeout", "900")
        h.wait_state("unconfirmed")
        h.kernel_says(line, 7)
        assert line in p.communicate(timeout=60)[1] and p.returncode == 4
        h.is_back()
        t = Terminal(h.command("set", "1", "DMA", "--yes", "--confirm-timeout", "900"))
        t.expect("[Kk]eep")
        h.kernel_says(VTD % "0000:01:00.1", 8)
        t.expect("IOMMU fault")
        assert t.end() == 4
        h.is_back()


@test
def a_fault_while_the_check_command_runs():
    with Judged() as h:
        started = f"{h.dir}/started"
        p = h.start("set", "1", "identity", "--check-command", h.script("check", f": >{started}; exec sleep 1000"))
        end = time.monotonic() + 60
        while not os.path.exists(started):
            assert time.monotonic() < end
            time.sleep(0.02)
        h.kernel_says(VTD % "0000:01:00.0", 7)
        assert "IOMMU fault" in p.communicate(timeout=60)[1] and p.returncode == 4
        h.is_back()


@test
def confirm_looks_at_faults():
    line = VTD % "0000:01:00.0"
    for before, policy, code in ((False, "", 4), (True, "", 0), (False, 'faults = "warn";', 0)):
        with Judged() as h:
            if before:
                h.kernel_says(line, 3, ago=60)
            h.run("apply", h.options(policy), "--confirm-timeout", "900", "--detach", "--name", "night", code=0)
            h.kernel_says(VTD % "0000:00:02.0", 6)
            h.kernel_says(line, 7)
            d = h.json("confirm", "night", code=code)
            assert line in h.problem(d, "fault")["message"], d
            assert d["result"] == ("restored" if code else "committed") and not h.transactions()
            assert h.type(1) == ("DMA-FQ" if code else "identity")
            assert h.history()[-1]["exit"] == code
    with Judged() as h:
        h.run("set", "1", "identity", "--confirm-timeout", "900", "--detach", code=0)
        h.run("confirm", code=0)


@test
def a_log_that_cannot_be_read():
    with Judged() as h:
        os.unlink(f"{h.root}/dev/kmsg")
        d = h.json("set", "1", "identity", code=0)
        p = h.problem(d, "fault")
        assert (p["code"], p["severity"], p["errno"]) == ("faults-unseen", "warning", "ENOENT"), p


@test
def data_only():
    with Host() as h:
        p = h.policy(GPU + 'options = { check_command = [ "/bin/true", "x" ]; check_timeout = 5; };')
        o = h.json("check", p, code=0)["options"]
        assert (o["check_command"], o["check_timeout"], o["faults"]) == (["/bin/true", "x"], 5, None)
        d = h.json("check", "--data-only", p, code=1)
        assert d["result"] == "error" and d["problems"][0]["code"] == "data-only", d
        assert f"{p}:2" in d["problems"][0]["message"]
        for text in "", 'options = { check_command = [ ]; faults = "warn"; };':
            h.run("check", "--data-only", h.policy(GPU + text), code=0)


sys.exit(main("verdict"))
