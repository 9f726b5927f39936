#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Several runs of the command at the same time.

	test_together.py IOMMUCFG STANDIN [NAME...]
"""
import fcntl
import os
import select
import signal
import subprocess
import sys
import time

from harness import GPU, Host, Terminal, main, test

DMA = GPU.replace("identity", "DMA")


class Machine(Host):
    def __init__(self):
        super().__init__(True)

    def __enter__(self):
        super().__enter__()
        self.lock = f"{self.root}/run/iommucfg/change.lock"
        return self

    def set_type(self, group, kind):
        """As somebody does by hand."""
        with open(f"{self.root}/sys/kernel/iommu_groups/{group}/type", "w") as f:
            f.write(f"{kind}\n")

    def system(self, text):
        os.makedirs(f"{self.root}/etc", exist_ok=True)
        with open(f"{self.root}/etc/iommucfg.conf", "w") as f:
            f.write(text)

    def in_force(self):
        with open(f"{self.root}/run/iommucfg/policy.conf") as f:
            return f.read()

    def at_work(self, *args):
        """One whose commit does not get on before release()."""
        self.control("hold")
        p = self.start("apply", *args)
        self.wait_state("committing")
        return p

    def waiting(self, *args, first="apply"):
        """One that has said that it waits."""
        p = self.start(first, *args)
        assert select.select([p.stderr], [], [], 20)[0], "it says nothing"
        line = p.stderr.readline()
        assert "waiting for it" in line, line
        return p


def ended(p, code):
    out, err = p.communicate(timeout=120)
    assert p.returncode == code, (p.returncode, out, err)
    return err


@test
def newer_policy_stays():
    """Whoever comes second has read the newer policy, and that is what stands."""
    with Machine() as h:
        h.system(GPU)
        a = h.at_work()
        h.system(DMA)
        b = h.waiting()
        h.release()
        ended(a, 0)
        ended(b, 0)
        assert h.type(1) == "DMA" and '"DMA"' in h.in_force(), h.in_force()
        assert [r["type"] for r in h.standing().values()] == ["DMA"], h.standing()
        assert h.transactions() == []


@test
def slow_to_settle():
    """One that waits for its devices has not ended either."""
    with Machine() as h:
        h.system(GPU)
        block = f"{h.root}/sys/class/net/ib0"
        target = os.readlink(block)
        # An interface that is not back yet.
        h.control("hook", f"#!/bin/sh\nrm {block}\n", 0o755)
        a = h.start("apply", "--settle", "60")
        end = time.monotonic() + 60
        while h.type(1) != "identity" or os.path.lexists(block):
            assert time.monotonic() < end
            time.sleep(0.02)
        h.control("hook", "#!/bin/sh\n", 0o755)
        h.system(DMA)
        b = h.waiting()
        os.symlink(target, block)
        ended(a, 0)
        ended(b, 0)
        assert h.type(1) == "DMA" and [r["type"] for r in h.standing().values()] == ["DMA"]


@test
def by_hand():
    """Another command's change is not taken for what went wrong with one's own."""
    with Machine() as h:
        h.system(GPU)
        a = h.at_work()
        b = h.waiting("1", "DMA", first="set")
        h.release()
        ended(a, 0)
        ended(b, 0)
        assert h.type(1) == "DMA"
        h.system(DMA)
        h.control("hold")
        a = h.start("set", "1", "identity")
        h.wait_state("committing")
        b = h.waiting("--to", "1", first="rollback")
        c = h.waiting()
        h.release()
        for p in (a, b, c):
            ended(p, 0)
        assert h.transactions() == []


@test
def many():
    """All end well, with nothing refused, and what stands is of one of them."""
    with Machine() as h:
        h.system(GPU)
        running = []
        for n in range(8):
            h.system(DMA if n % 2 else GPU)
            running.append(h.start("apply"))
            time.sleep(0.05)
        for p in running:
            ended(p, 0)
        types = {r["type"] for r in h.standing().values()}
        assert types == {h.type(1)} == {"DMA"} and '"DMA"' in h.in_force(), (types, h.type(1))


@test
def bounded_and_interrupted():
    with Machine() as h:
        h.system(GPU)
        a = h.at_work()
        start = time.monotonic()
        # To the end: a run with a FILE as well, as units have it.
        patient = [h.waiting(), h.waiting("--json", h.policy(DMA))]
        boot = h.waiting("--boot")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            p = h.waiting()
            p.send_signal(number)
            # Not because its time was over.
            err = ended(p, 3)
            assert "nothing was touched" in err and "try again" not in err, err
        for p in [*patient, boot]:
            err = ended(p, 3)
            assert f"process {a.pid}" in err and "try again" in err, err
        assert time.monotonic() - start > 25
        assert len(h.transactions()) == 1
        h.release()
        ended(a, 0)
        h.run("apply", code=0)


@test
def unconfirmed_is_refused_at_once():
    """That one waits for a person, and says whom to ask."""
    with Machine() as h:
        h.system(GPU)
        a = h.start("apply", "--confirm-timeout", "900", "--name", "night")
        h.wait_state("unconfirmed")
        start = time.monotonic()
        d = h.json("apply", code=3)
        assert time.monotonic() - start < 15 and d["result"] == "refused"
        (x,) = d["problems"]
        assert x["kind"] == "transaction" and '"night"' in x["message"], x
        h.run("confirm", "night", code=0)
        ended(a, 0)
        h.run("apply", code=0)
        assert [r["type"] for r in h.standing().values()] == ["identity"]


@test
def killed():
    """Whoever has the lock takes it with him, but not from a commit under way."""
    with Machine() as h:
        h.system(GPU)
        a = h.at_work()
        a.kill()
        a.wait()
        b = h.waiting()
        h.release()
        # Nor from a change that nothing has judged: that goes back first.
        h.expire()
        ended(b, 0)
        assert h.type(1) == "identity"


@test
def question():
    """A question holds nobody up, even one that is never answered. An answer is to the plan
    that was shown."""
    with Machine() as h:
        h.system(GPU)
        t = Terminal(h.command("apply"))
        t.expect(r"\[y/N\]")
        os.kill(t.pid, signal.SIGSTOP)
        h.run("apply", "--yes", code=0)
        assert h.type(1) == "identity"
        os.kill(t.pid, signal.SIGCONT)
        t.send("y\n")
        assert t.end() == 3 and "try again" in t.text, t.text
        assert h.transactions() == []
        # The files, the types, the drivers of then.
        h.run("set", "1", "DMA", code=0)
        driver = f"{h.root}/sys/bus/pci/devices/0000:01:00.0/driver"
        old = os.readlink(driver)
        for change in (lambda: h.system(DMA), lambda: h.system("rubbish"), lambda: h.system(GPU + "default = \"DMA\";\n"),
                       lambda: h.set_type(1, "DMA-FQ"), lambda: os.unlink(driver)):
            h.system(GPU)
            h.set_type(1, "DMA")
            if not os.path.lexists(driver):
                os.symlink(old, driver)
            t = Terminal(h.command("apply"))
            t.expect(r"\[y/N\]")
            change()
            t.send("y\n")
            assert t.end() in (1, 3), t.text
            assert h.type(1) != "identity" and h.transactions() == [], t.text
        os.symlink(old, driver)
        h.system(GPU)
        t = Terminal(h.command("apply", "--confirm-timeout", "0"))
        t.expect(r"\[y/N\]")
        t.send("y\n")
        assert t.end() == 0 and h.type(1) == "identity", t.text
        # Where there is nothing to ask.
        t = Terminal(h.command("apply"))
        assert t.end() == 0 and "Nothing to change" in t.text, t.text
        assert t.text.count("warning") == 0


@test
def question_after():
    """Nor does the second question hold anybody up once its transaction is over."""
    with Machine() as h:
        h.system(GPU)
        t = Terminal(h.command("apply", "--yes", "--confirm-timeout", "900"))
        t.expect("Keep these")
        os.kill(t.pid, signal.SIGSTOP)
        assert "is unconfirmed" in h.run("apply", "--yes", code=3).err
        h.run("confirm", code=0)
        h.system(DMA)
        h.run("apply", "--yes", code=0)
        force = h.read("run/iommucfg/policy.conf")
        assert h.type(1) == "DMA" and '"DMA"' in force
        os.kill(t.pid, signal.SIGCONT)
        assert t.end() == 0, t.text
        # For devices to come the newer policy stays.
        assert h.read("run/iommucfg/policy.conf") == force, t.text


@test
def standard_input():
    """Somebody who types a policy keeps nobody waiting."""
    with Machine() as h:
        h.system(GPU)
        a = subprocess.Popen(h.command("apply", "-"), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        h.run("apply", code=0)
        out, err = a.communicate(DMA, timeout=60)
        assert a.returncode == 0 and h.type(1) == "DMA", err


@test
def lock_file():
    with Machine() as h:
        h.system(GPU)
        h.run("apply", code=0)
        assert os.stat(h.lock).st_mode & 0o7777 == 0o600
        # Nobody's link is followed; and no apply fails for want of a lock.
        os.unlink(h.lock)
        os.symlink(f"{h.root}/elsewhere", h.lock)
        d = h.json("apply", code=0)
        assert [x["errno"] for x in d["problems"]] == ["ELOOP"], d
        assert not os.path.exists(f"{h.root}/elsewhere")
        # Other commands do not wait.
        os.unlink(h.lock)
        with open(h.lock, "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            for args in (["plan"], ["assert"], ["show"], ["check"], ["status"], ["standing"]):
                assert "waiting" not in h.run(*args).err, args
    with Machine() as h:
        # Nor do those whom a waiting one waits for.
        h.system(GPU)
        for command, code in (("rollback", 4), ("confirm", 0)):
            a = h.start("apply", "--confirm-timeout", "900")
            h.wait_state("unconfirmed")
            h.run(command, code=0)
            ended(a, code)


@test
def run_that_takes_nothing():
    """What cannot be locked is said, but where there is no /run at all."""
    with Machine() as h:
        run = f"{h.root}/run"
        h.system(DMA)
        os.rmdir(run)
        d = h.json("set", "1", "DMA", code=0)
        assert d["problems"] == [], d
        # sysfs makes no directory for anybody, like a file system without inodes left.
        os.symlink("/sys/kernel", run)
        d = h.json("apply", code=0)
        said = {x["kind"]: x for x in d["problems"]}
        assert {"system", "standing", "boot"} <= set(said), d
        assert "change.lock" in said["system"]["message"], d
        assert {x["errno"] for x in said.values()} <= {"EPERM", "EROFS", "EACCES"}, d
        os.unlink(run)
        os.mkdir(run)
        # The directory is no way to tell that there is no /run, either.
        os.symlink("nowhere", f"{run}/iommucfg")
        d = h.json("set", "1", "identity", code=0)
        (x,) = d["problems"]
        assert "change.lock" in x["message"] and x["errno"] == "ENOENT", x


@test
def not_in_a_saved_tree():
    with Host() as h:
        h.run("apply", h.policy(GPU), code=1)
        assert not os.path.exists(f"{h.root}/run")


if __name__ == "__main__":
    sys.exit(main("together", races=True))
