#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What judges a change: hooks, a check command, IOMMU faults.

	test_verdict.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import signal
import struct
import sys
import time

import jsonschema

from harness import GPU, IOMMUCFG, Host, Terminal, main, schema, test


class Judged(Host):
    def __init__(self):
        super().__init__(True)

    def script(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path

    def hook(self, name, text='exit 0', mode=0o755):
        """What is called is written down; @text is run after that."""
        top = f"{self.root}/etc/iommucfg/hooks.d"
        os.makedirs(top, exist_ok=True)
        with open(f"{top}/{name}", "w") as f:
            f.write(f"#!/bin/sh\necho {name} $* $IOMMUCFG_ACTION $IOMMUCFG_RESULT >>{self.dir}/calls\n{text}\n")
        os.chmod(f"{top}/{name}", mode)

    def calls(self):
        """What was, since the last time."""
        if not os.path.exists(f"{self.dir}/calls"):
            return []
        with open(f"{self.dir}/calls") as f:
            lines = f.read().splitlines()
        os.unlink(f"{self.dir}/calls")
        return lines

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
        # A file that the command was started with, as a lock, is not handed on.
        with open(seen) as f:
            lister = h.script("lister", f"ls -l /proc/self/fd >{h.dir}/fds")
            h.run("set", "1", "DMA", "--check-command", lister, code=0, pass_fds=[f.fileno()])
        with open(f"{h.dir}/fds") as f:
            assert "seen" not in f.read()
        h.run("apply", h.options(""), code=0)
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
def check_command_in_the_kernels_hands():
    # Its write is with another stand-in, which does not answer: no signal ends it before that.
    with Judged() as h, Host(True) as other:
        other.control("hold")
        top = f"{other.iommu}/x"
        os.makedirs(f"{top}/1")
        with open(f"{top}/1/type", "w") as f:
            f.write("identity")
        check = h.script("check", f"echo $$ >{h.dir}/pid; echo 1 >{top}/commit")
        p = h.start("apply", "--json", h.options(f'check_command = [ "{check}" ]; check_timeout = 1;'))
        try:
            out = p.communicate(timeout=30)[0]
            with open(f"{h.dir}/pid") as f, open(f"/proc/{f.read().strip()}/stat") as stat:
                assert stat.read().rsplit(")", 1)[1].split()[0] == "D"
        finally:
            other.release()
            p.communicate(timeout=60)
        assert p.returncode == 4, out
        assert "within 1 second" in h.problem(json.loads(out), "check-command")["message"], out
        h.is_back()


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
def settle_and_the_end_of_time():
    with Judged() as h:
        h.control("hook", f"#!/bin/sh\nrm {h.root}/sys/class/net/ib0\n", 0o755)
        d = h.json("set", "1", "identity", "--settle", "1000", "--confirm-timeout", "6", code=4)
        assert h.problem(d, "settle") and not any(p["code"] == "not-confirmed" for p in d["problems"]), d
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
def stream_of_another_smmu():
    # Both have stream 0x18, and only the first one is the device's.
    for smmu, code in ((1, 0), (0, 4)):
        with Judged() as h:
            top = f"{h.root}/sys/devices/platform/arm-smmu-v3.0.auto/iommu/smmu3.0x9050000"
            os.makedirs(top)
            os.symlink(top, f"{h.root}/sys/devices/pci0000:00/0000:00:03.0/iommu")
            h.faults(f"arm-smmu-v3 arm-smmu-v3.{smmu}.auto: event: C_BAD_STREAMID client: (unassigned sid) sid: 0x18 ssid: 0")
            h.run("set", "3", "identity", "--allow-in-use", "net,default-route", code=code)


@test
def hook_that_runs_iommucfg():
    with Judged() as h:
        h.hook("10-x", f'test "$1" != after || {IOMMUCFG} --root {h.root} set --json 3 identity '
               f'--allow-in-use net,default-route >{h.dir}/inner\n'
               f'echo $? >>{h.dir}/inner; {IOMMUCFG} --root {h.root} status >/dev/null')
        h.run("apply", "--yes", h.policy(GPU), code=0)
        with open(f"{h.dir}/inner") as f:
            text = f.read()
        assert '"code": "in-hook"' in text and text.endswith("3\n"), text
        assert h.type(1) == "identity" and h.type(3) == "DMA"


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
def confirm_finds_the_log_overwritten():
    # Records of processes are read over, but they are there.
    for left, unseen in ((1, False), (2, False), (3, True), (None, True)):
        with Judged() as h:
            for seq in 4, 5:
                h.kernel_says("something", seq)
            h.run("set", "1", "identity", "--confirm-timeout", "900", "--detach", "--name", "night", code=0)
            with open(f"{h.root}/dev/kmsg", "a") as f:
                f.write("12,6,1,-;of a process\n")
            h.kernel_says("something", 7)
            # What was there before this one has been overwritten.
            with open(f"{h.root}/dev/kmsg") as f:
                records = f.read().splitlines(True)
            first = [n for n, line in enumerate(records) if not line.startswith(" ")]
            assert len(first) == 4
            with open(f"{h.root}/dev/kmsg", "w") as f:
                f.writelines(records[first[left]:] if left else ["3,9,1,-;much later\n"])
            d = h.json("confirm", "night", code=0)
            assert h.type(1) == "identity" and not h.transactions()
            if unseen:
                p = h.problem(d, "fault")
                assert (p["code"], p["severity"]) == ("faults-unseen", "warning"), p
            else:
                assert d["problems"] == [], d


@test
def confirm_cannot_undo():
    # As a run that cannot go back: nothing is restored, so that is not what it says.
    for error in "EBUSY", "EPERM", "EBUSY\n1 0000:01:00.0 check EBUSY in use":
        with Judged() as h:
            h.run("set", "1", "identity", "--confirm-timeout", "900", "--detach", "--name", "night", code=0)
            h.kernel_says(VTD % "0000:01:00.0", 7)
            h.control("rollback", f"{error}\n")
            d = h.json("confirm", "night", code=5)
            assert d["result"] == "failed" and d["state"] == "unconfirmed" and h.problem(d, "fault"), d
            assert any("iommucfg rollback night" in (p["fix"] or p["message"]) for p in d["problems"]), d
            assert (h.history()[-1]["result"], h.history()[-1]["exit"]) == ("failed", 5)
            assert h.type(1) == "identity" and h.state("night") == "unconfirmed"
            os.unlink(f"{h.root}/control/rollback")
            h.json("confirm", "night", code=4)
            assert h.history()[-1]["result"] == "restored" and h.history()[-1]["exit"] == 4
            h.is_back()


@test
def faults_by_trace_event():
    for device, code in (("0000:01:00.1", 4), ("0000:00:02.0", 0)):
        with Judged() as h:
            top = f"{h.root}/sys/kernel/tracing"
            os.makedirs(f"{top}/events/iommu/io_page_fault")
            os.makedirs(f"{top}/instances/iommucfg-faults-4194305")
            line = f"irq/24-amdvi-60 [000] .... 12.3: io_page_fault: IOMMU:mlx5_core {device} iova=0x0000000000001000 flags=0x0001"
            h.control("hook", f"#!/bin/sh\ncd {top}/instances/iommucfg-faults-*[0-9] && echo '{line}' >trace_pipe\n", 0o755)
            d = h.json("set", "1", "identity", code=code)
            assert not code or line in h.problem(d, "fault")["message"], d
            # What a process that was killed has left is gone.
            assert "iommucfg-faults-4194305" not in os.listdir(f"{top}/instances")


@test
def a_log_that_cannot_be_read():
    with Judged() as h:
        os.unlink(f"{h.root}/dev/kmsg")
        d = h.json("set", "1", "identity", code=0)
        p = h.problem(d, "fault")
        assert (p["code"], p["severity"], p["errno"]) == ("faults-unseen", "warning", "ENOENT"), p


@test
def hooks_are_called():
    with Judged() as h:
        h.hook("20-b", f"cat >{h.dir}/plan; env >{h.dir}/env; pwd >>{h.dir}/env; echo said; echo so >&2")
        h.hook("10_A", f"cat >{h.dir}/first")
        for name in "30.sh", "40-c~", "50 d", ".60":
            h.hook(name)
        h.hook("70-no", mode=0o644)
        os.makedirs(f"{h.root}/etc/iommucfg/hooks.d/80-dir")
        r = h.run("set", "1", "identity", "--name", "night", code=0, env=dict(os.environ, SECRET="x"))
        assert h.calls() == ["10_A before set planned", "20-b before set planned", "20-b after set committed",
                             "10_A after set committed"]
        assert r.err.count("said\n") == 2 and r.err.count("so\n") == 2 and "said" not in r.out
        for name in "plan", "first":
            with open(f"{h.dir}/{name}") as f:
                plan = json.load(f)
            jsonschema.validate(plan, schema("plan"))
            assert plan["schema"] == "iommucfg/plan/1" and plan["result"] == "planned"
            assert [c["group"] for c in plan["changes"]] == [1] and plan["transaction"] == "night"
        with open(f"{h.dir}/env") as f:
            env = f.read().splitlines()
        assert env.pop() == "/" and {"LANG=C", "IOMMUCFG_TRANSACTION=night", "IOMMUCFG_ACTION=set",
                                     "IOMMUCFG_RESULT=committed"} <= set(env)
        assert {e.split("=")[0] for e in env} <= {"PATH", "LANG", "IOMMUCFG_TRANSACTION", "IOMMUCFG_ACTION",
                                                  "IOMMUCFG_RESULT", "PWD", "OLDPWD", "SHLVL", "_"}, env
        # Nothing to do, only a plan, an entry taken back.
        h.run("set", "1", "identity", code=0)
        h.run("set", "1", "DMA", "-n", code=2)
        h.run("plan", h.policy(GPU), code=0)
        assert h.calls() == []
        h.run("undo", code=0)
        assert [c.split()[2] for c in h.calls()] == ["undo"] * 4
        h.run("set", "1", "DMA", "--confirm-timeout", "900", "--detach", code=0)
        assert h.calls()[-1].split()[1:] == ["after", "set", "unconfirmed"]
        h.run("confirm", code=0)
        h.run("apply", "--only", "1", h.policy(GPU), code=0)
        assert h.calls() == [] and h.type(1) == "identity"


@test
def a_hook_refuses():
    with Judged() as h:
        h.hook("1-yes")
        h.hook("2-no", r"test $1 != before || { printf 'not now\033\n'; exit 9; }")
        h.hook("3-late")
        d = h.json("set", "1", "identity", code=3)
        m = h.problem(d, "hook")["message"]
        assert "2-no before" in m and r"not now\x1b" in m and "status 9" in m, m
        assert h.calls() == ["1-yes before set planned", "2-no before set planned", "1-yes undone set refused"]
        assert h.type(1) == "DMA-FQ" and not h.transactions() and d["result"] == "refused"


@test
def a_hook_fails_afterwards():
    with Judged() as h:
        h.hook("1-yes")
        h.hook("2-no", "test $1 != after || kill -9 $$")
        h.hook("3-last")
        d = h.json("apply", h.policy(GPU), code=4)
        assert "2-no after" in h.problem(d, "hook")["message"]
        assert h.calls() == [f"{n} before apply planned" for n in ("1-yes", "2-no", "3-last")] + [
            "3-last after apply committed", "2-no after apply committed", "3-last undone apply restored",
            "2-no undone apply restored", "1-yes undone apply restored"]
        h.is_back()


@test
def a_hook_hangs():
    with Judged() as h:
        h.hook("1", "test $1 != after || exec sleep 1000")
        d = h.json("set", "1", "identity", "--confirm-timeout", "6", code=4)
        assert "did not end" in h.problem(d, "hook")["message"], d
        assert h.calls()[-1] == "1 undone set restored"
        h.is_back()


@test
def undone_where_the_change_does_not_stand():
    with Judged() as h:
        h.hook("1", "test $1 != undone || exit 1")
        h.control("commit", "ECANCELED\n1 0000:01:00.0 probe ENODEV no\n")
        d = h.json("set", "1", "identity", code=4)
        assert h.calls() == ["1 before set planned", "1 undone set restored"]
        # What it says then has no effect.
        assert h.problem(d, "hook")["severity"] == "warning"
        h.control("commit", "EIO\n1 0000:01:00.0 restore ENODEV no\n")
        h.run("set", "1", "identity", "--name", "a", code=5)
        assert h.calls()[-1] == "1 undone set failed"
        os.unlink(f"{h.root}/control/commit")
        h.run("rollback", "a", code=0)
        assert h.calls() == []
        h.run("set", "1", "identity", "--check-command", "/bin/false", code=4)
        assert h.calls() == ["1 before set planned", "1 undone set restored"]


@test
def hooks_hold_no_lock():
    with Judged() as h:
        # Changes something itself meanwhile.
        h.hook("1", f"test $1 != before || {IOMMUCFG} --root {h.root} apply --only 7 {h.policy(GPU + 'default = ' + chr(34) + 'DMA-FQ' + chr(34) + ';', 'all.conf')}")
        r = h.run("set", "1", "identity", code=0)
        assert h.type(1) == "identity" and h.type(7) == "DMA-FQ", r
    with Judged() as h:
        h.hook("1", f"flock -n {h.root}/run/iommucfg/change.lock true")
        h.run("set", "1", "identity", "--name", "a", code=0)
        assert [c.split()[1] for c in h.calls()] == ["before", "after"]
    # What it changes of the plan itself makes it another one.
    with Judged() as h:
        h.hook("1", f"test $1 != before || {IOMMUCFG} --root {h.root} apply --only 1 {h.policy(GPU.replace('identity', 'DMA'))}")
        d = h.json("set", "1", "identity", code=3)
        assert any(p["code"] == "plan-differs" for p in d["problems"]), d
        assert h.type(1) == "DMA" and h.calls() == ["1 before set planned", "1 undone set refused"]


@test
def hooks_of_others():
    for what in "owner", "mode", "directory":
        with Judged() as h:
            h.hook("1-good")
            h.hook("2-bad")
            top = f"{h.root}/etc/iommucfg/hooks.d"
            if what == "owner":
                os.chown(f"{top}/2-bad", 1, 0)
            else:
                os.chmod(f"{top}/2-bad" if what == "mode" else top, 0o775)
            d = h.json("set", "1", "identity", code=3)
            assert h.problem(d, "hook")["code"] == "hook-owner", d
            assert h.calls() == [] and h.type(1) == "DMA-FQ" and not h.transactions()


@test
def hooks_after_the_question():
    with Judged() as h:
        h.hook("1")
        t = Terminal(h.command("set", "1", "identity", "--confirm-timeout", "900"))
        t.expect(r"\?")
        assert h.calls() == []
        t.send("y\n")
        t.expect("[Kk]eep")
        assert h.calls() == ["1 before set planned", "1 after set unconfirmed"]
        t.send("n\n")
        assert t.end() == 4 and h.calls() == ["1 undone set restored"]


def option(h, name, file="confirm_timeout"):
    with open(f"{h.iommu}/{name}/{file}") as f:
        return int(f.read())


def creator(h, name):
    with open(f"{h.root}/run/iommucfg/txn/{name}") as f:
        return json.load(f)


@test
def confirms_itself():
    # The time that settle, check command and hooks may take, and 30 seconds.
    for args, seconds in (((), 40), (("--settle", "100"), 130), (("--check-command", "/bin/true"), 70),
                          (("--confirm-timeout", "900", "--detach"), 900)):
        with Judged() as h:
            h.control("hold")
            p = h.start("set", "1", "identity", "--name", "night", *args)
            h.wait_state("committing")
            assert option(h, "night") == seconds
            assert creator(h, "night").get("self-confirming") == (True if seconds < 900 else None)
            h.release()
            p.communicate(timeout=60)
            assert p.returncode == 0 and h.type(1) == "identity"
            assert h.transactions() == (["night"] if seconds == 900 else [])
            assert h.history()[-1]["result"] == ("unconfirmed" if seconds == 900 else "committed")
    with Judged() as h:
        h.hook("1")
        h.hook("2", f"test $1 = before || cat {h.iommu}/night/confirm_timeout {h.iommu}/night/state >>{h.dir}/calls")
        h.run("apply", "--name", "night", h.options('check_timeout = 7; settle = 3; check_command = [ "/bin/true" ];'), code=0)
        assert h.calls()[3:5] == [str(3 + 7 + 120 + 30), "unconfirmed"]
    # What goes in place has no way back in place: final at once.
    with Judged() as h:
        h.control("method", "3 in-place\n")
        h.control("hold")
        p = h.start("set", "3", "DMA-FQ", "--name", "night")
        h.wait_state("committing")
        assert option(h, "night") == 0 and "self-confirming" not in creator(h, "night")
        h.release()
        p.communicate(timeout=60)
        assert p.returncode == 0 and not h.transactions()


@test
def killed_before_the_verdict():
    with Judged() as h:
        started = f"{h.dir}/started"
        check = h.script("check", f": >{started}; exec sleep 5")
        p = h.start("set", "1", "identity", "--name", "night", "--check-command", check)
        end = time.monotonic() + 60
        while not os.path.exists(started):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert h.state("night") == "unconfirmed"
        p.kill()
        p.communicate(timeout=60)
        assert 0 < option(h, "night", "remaining") <= 70
        # Another one waits until it has gone back, and then does what it is asked for.
        q = h.start("set", "7", "DMA")
        assert "waiting" in q.stderr.readline()
        with open(f"{h.iommu}/night/confirm_timeout", "w") as f:
            f.write("1")
        q.communicate(timeout=60)
        assert q.returncode == 0 and (h.type(1), h.type(7)) == ("DMA-FQ", "DMA")
        killed = [e for e in h.history() if e["transaction"] == "night"]
        assert len(killed) == 1 and killed[0]["result"] != "committed", killed


def confirms(h):
    """A line of a script that confirms the change of "night" from another process."""
    return f"{IOMMUCFG} --root {h.root} confirm night >>{h.dir}/confirmed 2>&1 || exit 99"


@test
def another_process_confirms():
    # In settle, in the check command, in a hook: the verdict goes on, and all hooks run.
    after = ["3 after set committed", "2 after set committed", "1 after set committed"]
    for where in "settle", "check", "hook":
        with Judged() as h:
            line = confirms(h)
            for name in "1", "2", "3":
                h.hook(name, f"test $1$IOMMUCFG_TRANSACTION != afternight || test {where}{name} != hook3 || {{ {line}; sleep 0.5; }}\n"
                       f"echo {name} $1 ends >>{h.dir}/ends")
            check = h.script("check", f"test {where} != check || {{ {line}; sleep 0.5; }}; echo check >>{h.dir}/ends")
            args = ("set", "1", "identity", "--name", "night", "--check-command", check)
            if where == "settle":
                h.control("hook", f"#!/bin/sh\nmv {h.root}/sys/class/net/ib0 {h.dir}/ib0\n", 0o755)
                p = h.start(*args, "--settle", "100")
                h.wait_state("unconfirmed")
                h.run("confirm", "night", code=0)
                os.rename(f"{h.dir}/ib0", f"{h.root}/sys/class/net/ib0")
                err = p.communicate(timeout=60)[1]
                assert p.returncode == 0, err
            else:
                err = h.run(*args, code=0).err
            assert "refused" not in err and "confirmation" not in err, err
            assert h.calls()[3:] == after
            with open(f"{h.dir}/ends") as f:
                ends = f.read().split("\n")[3:]
            assert ends == ["check"] + [f"{n} after ends" for n in (3, 2, 1)] + [""], (where, ends)
            assert h.type(1) == "identity" and not h.transactions()
            assert {e["result"] for e in h.history()} == {"committed"}


@test
def confirmed_and_still_there():
    # Its "remaining" is 0 then, as nothing counts down: no reason to hurry, or to go back.
    with Judged() as h:
        h.hook("1", f"test $1 = before || sleep 1; echo ends >>{h.dir}/calls")
        h.control("hook", f"#!/bin/sh\nmv {h.root}/sys/class/net/ib0 {h.dir}/ib0\n", 0o755)
        p = h.start("set", "1", "identity", "--name", "night", "--settle", "100", "--confirm-timeout", "900",
                    "--check-command", h.script("check", "sleep 1"))
        h.wait_state("unconfirmed")
        with open(f"{h.iommu}/night/confirm", "w") as f:
            f.write("1")
        time.sleep(0.5)
        os.rename(f"{h.dir}/ib0", f"{h.root}/sys/class/net/ib0")
        err = p.communicate(timeout=60)[1]
        assert p.returncode == 0 and h.type(1) == "identity", err
        assert h.calls() == ["1 before set planned", "ends", "1 after set unconfirmed", "ends"]
    with Judged() as h:
        confirm = f"echo 1 >{h.iommu}/night/confirm"
        h.hook("1", f"test $1 = before || sleep 1; echo ends >>{h.dir}/calls")
        h.run("set", "1", "identity", "--name", "night", "--check-command", h.script("check", confirm), code=0)
        assert h.calls()[2:] == ["1 after set committed", "ends"] and h.type(1) == "identity"


@test
def a_no_to_what_another_process_confirmed():
    for kind in "check-command", "hook", "fault", "interrupted":
        with Judged() as h:
            line = confirms(h)
            for name in "1", "2", "3":
                h.hook(name, f"test $1{name} != after3 || test {kind} != hook || {{ {line}; exit 1; }}")
            check = h.script("check", f"test {kind} = hook || {{ {line}; }}; : >{h.dir}/there; "
                             f"test {kind} != check-command || exit 1; test {kind} = hook || sleep 1")
            p = h.start("set", "1", "identity", "--json", "--name", "night", "--check-command", check)
            if kind in ("fault", "interrupted"):
                end = time.monotonic() + 60
                while not os.path.exists(f"{h.dir}/there"):
                    assert time.monotonic() < end
                    time.sleep(0.02)
                if kind == "fault":
                    h.kernel_says(VTD % "0000:01:00.0", 7)
                else:
                    p.send_signal(signal.SIGINT)
            out = p.communicate(timeout=60)[0]
            d = json.loads(out)
            assert p.returncode == 0 and d["result"] == "committed", d
            assert "nothing to roll back" in h.problem(d, "transaction")["message"], d
            assert kind == "interrupted" or h.problem(d, kind), d
            assert h.calls()[3:] == [f"{n} after set committed" for n in (3, 2, 1)]
            assert h.type(1) == "identity" and not h.transactions()
            assert h.history()[-1]["result"] == "committed"


@test
def confirmed_before_the_question():
    with Judged() as h:
        h.hook("1", f"test $1 = before || {{ {confirms(h)}; }}")
        r = h.run("set", "1", "identity", "--name", "night", "--confirm-timeout", "900", code=0)
        assert "waiting" not in r.err and not h.transactions() and h.type(1) == "identity"
        assert h.history()[-1]["result"] == "committed"
        h.run("set", "1", "DMA", "--name", "night", "--confirm-timeout", "900", "--detach", code=0)
        assert h.history()[-1]["result"] == "committed" and h.type(1) == "DMA"


@test
def another_one_waits_for_the_verdict():
    with Judged() as h:
        go = f"{h.dir}/go"
        check = h.script("check", f"while test ! -e {go}; do sleep 0.1; done")
        h.hook("1")
        p = h.start("set", "1", "identity", "--check-command", check)
        h.wait_state("unconfirmed")
        q = h.start("apply", h.policy(GPU.replace("identity", "DMA")))
        # It makes its plan without the lock, for the hook.
        end = time.monotonic() + 60
        while sum("before" in c for c in open(f"{h.dir}/calls")) < 2:
            assert time.monotonic() < end and q.poll() is None, q.communicate()
            time.sleep(0.02)
        with open(go, "w"):
            pass
        assert p.wait(timeout=60) == 0
        q.communicate(timeout=60)
        # The plan was made for what the other one has changed.
        assert q.returncode == 0 and h.type(1) == "DMA"


@test
def a_fault_right_before_the_end():
    with Judged() as h:
        h.hook("1", f"test $1 != after || cat {h.dir}/fault >>{h.root}/dev/kmsg")
        with open(f"{h.dir}/fault", "w") as f:
            f.write(f"3,9,{int(time.monotonic() * 1e6)},-;{VTD % '0000:01:00.0'}\n")
        h.problem(h.json("set", "1", "identity", code=4), "fault")
        h.is_back()


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
