#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What stays when the command has gone: the end of a change is watched.

	test_watch.py IOMMUCFG STANDIN [NAME...]
"""
import contextlib
import fcntl
import json
import os
import signal
import sys
import time

from harness import Host, main, test

CHANGE = ("set", "1", "identity", "--confirm-timeout", "900", "--detach", "--name", "night")
DMAR = "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x1000 [fault reason 0x06] PTE Read access is not set"


class Watched(Host):
    def __init__(self):
        super().__init__(True)

    def entries(self):
        return self.json("history", code=0)["entries"]

    def until(self, what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (self.entries(), self.transactions())
            time.sleep(0.1)

    @staticmethod
    def open_files(pid):
        found = set()
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        return found

    def watchers(self):
        """Processes of this tree that have outlived their command."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.root.encode() in f.read() and int(pid) != self.process.pid:
                        found.append(int(pid))
            except OSError:
                pass
        return found


@test
def gone_back_in_time():
    with Watched() as h:
        assert h.run(*CHANGE, code=0).out.endswith("\nnight\n")
        assert len(h.watchers()) == 1
        h.expire("night")
        h.until(lambda: not h.transactions() and not h.watchers())
        assert h.type(1) == "DMA-FQ"
        first, last = h.entries()
        assert (last["action"], last["result"], last["exit"], last["transaction"]) == \
            ("rollback", "restored", 4, "night"), last
        assert [c["group"] for c in last["plan"]["changes"]] == [1], last
        h.run("confirm", "night", code=4)


@test
def kept():
    with Watched() as h:
        h.run(*CHANGE, code=0)
        h.run("confirm", "night", code=0)
        h.until(lambda: not h.watchers())
        assert h.type(1) == "identity"
        assert [e["result"] for e in h.entries()] == ["unconfirmed", "committed"], h.entries()


@test
def rolled_back_by_a_command():
    with Watched() as h:
        h.run(*CHANGE, code=0)
        h.run("rollback", "night", code=0)
        h.until(lambda: not h.watchers())
        assert [e["result"] for e in h.entries()] == ["unconfirmed", "rolled-back"], h.entries()


@test
def undo_that_went_back():
    """What it took back is in force again, and can be undone."""
    for ends, results in (("rollback", ["committed", "unconfirmed", "rolled-back"]),
                          ("timer", ["committed", "unconfirmed", "restored"]),
                          ("no answer", ["committed", "restored"])):
        with Watched() as h:
            h.run("set", "1", "DMA", code=0)
            if ends == "no answer":
                h.run("undo", "--confirm-timeout", "1", "--name", "a", code=4)
            else:
                h.run("undo", "--detach", "--confirm-timeout", "900", "--name", "a", code=0)
                assert h.type(1) == "DMA-FQ"
                if ends == "timer":
                    h.expire("a")
                else:
                    h.run("rollback", "a", code=0)
            h.until(lambda: not h.watchers())
            assert h.type(1) == "DMA" and [e["result"] for e in h.entries()] == results, h.entries()
            d = h.json("undo", "1", code=0)
            assert d["result"] == "committed" and h.type(1) == "DMA-FQ", (ends, d)
            h.run("undo", len(results) + 1, code=0)
            assert h.type(1) == "DMA"
            d = h.json("undo", code=0)
            assert d["result"] == "committed" and h.type(1) == "DMA-FQ", (ends, d)
            assert h.json("undo", code=0)["result"] == "nothing-to-do", ends


@test
def written_by_another():
    # The next command has the lock first, and completes the entry of one that was killed.
    with Watched() as h:
        h.run(*CHANGE, code=0)
        (pid,) = h.watchers()
        begun, path = f"{h.dir}/begun", f"{h.root}/run/iommucfg/change.lock"
        h.control("unhook", f"#!/bin/sh\ntouch {begun}\nsleep 1\n", 0o755)
        p = h.start("rollback", "night")
        h.until(lambda: os.path.exists(begun))
        p.kill()
        p.communicate()
        with open(path) as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            h.wait_state("rolled-back", "night")
            h.until(lambda: path in h.open_files(pid))
            os.kill(pid, signal.SIGSTOP)
        h.run("set", "7", "DMA", code=0)
        os.kill(pid, signal.SIGCONT)
        h.until(lambda: not h.watchers() and not h.transactions())
        assert [e["result"] for e in h.entries()] == ["unconfirmed", "rolled-back", "committed"], h.entries()


@test
def fault():
    with Watched() as h:
        h.run(*CHANGE, code=0)
        h.kernel_says(DMAR, 500)
        h.until(lambda: h.type(1) == "DMA-FQ" and not h.watchers())
        last = h.entries()[-1]
        assert last["result"] == "restored" and "IOMMU fault" in str(last["problems"]), last
        r = h.run("confirm", "night", code=4)
        assert "IOMMU fault" in r.err, r


@test
def confirmed_late():
    # The kernel's timer was first, and what watches has not written why.
    with Watched() as h:
        h.run(*CHANGE, code=0)
        (pid,) = h.watchers()
        os.kill(pid, signal.SIGSTOP)
        h.kernel_says(DMAR, 500)
        h.expire("night")
        r = h.run("confirm", "night", code=4)
        assert "IOMMU fault" in r.err and "undone before" in r.err, r
        os.kill(pid, signal.SIGCONT)
        h.until(lambda: not h.watchers())


@test
def number_of_another():
    # A command that was to end the change is gone, and its PID is a user's process now.
    with Watched() as h:
        h.run(*CHANGE, code=0)
        pid, path = os.getpid(), f"{h.root}/run/iommucfg/txn/night"
        with open(path) as f:
            creator = json.load(f)
        os.makedirs(f"{h.root}/proc/{pid}")
        os.chown(f"{h.root}/proc/{pid}", 65534, 65534)
        with open(f"{path}.new", "w") as f:
            json.dump({**creator, "ending": pid}, f)
        os.rename(f"{path}.new", path)
        h.kernel_says(DMAR, 500)
        h.until(lambda: h.type(1) == "DMA-FQ" and not h.watchers())
        assert h.entries()[-1]["result"] == "restored", h.entries()


@test
def state_not_readable():
    with Watched() as h:
        h.run(*CHANGE, code=0)
        h.control("state-error", "ENOMEM\n")
        # Some looks of the watch, which ends by the first one where it takes this for the end.
        time.sleep(2)
        os.unlink(f"{h.root}/control/state-error")
        assert len(h.watchers()) == 1
        h.expire("night")
        h.until(lambda: not h.transactions() and not h.watchers())


@test
def state_never_readable():
    with Watched() as h:
        h.run(*CHANGE, code=0)
        h.until(lambda: len(h.watchers()) == 1)
        # After a look that could be made.
        time.sleep(1)
        h.control("state-error", "EIO\n")
        h.until(lambda: not h.watchers(), 100)
        os.unlink(f"{h.root}/control/state-error")
        assert h.state("night") == "unconfirmed"
        last = h.entries()[-1]
        assert (last["result"], last["exit"]) == ("left", 5), last
        assert [p["code"] for p in last["problems"]] == ["state-unreadable"], last
        h.run("rollback", "night", code=0)


@test
def killed():
    with Watched() as h:
        check = f"{h.dir}/check"
        with open(check, "w") as f:
            f.write("#!/bin/sh\nexec sleep 600\n")
        os.chmod(check, 0o755)
        p = h.start("set", "1", "identity", "--check-command", check)
        name = h.wait_state("unconfirmed")
        p.kill()
        p.communicate()
        h.expire(name)
        h.until(lambda: not h.transactions() and not h.watchers())
        (entry,) = h.entries()
        assert (entry["result"], entry["exit"], h.type(1)) == ("restored", 4, "DMA-FQ"), entry


@test
def asked_to_end():
    with Watched() as h:
        h.run(*CHANGE, code=0)
        (pid,) = h.watchers()
        os.kill(pid, signal.SIGTERM)
        h.until(lambda: not h.watchers())
        assert h.state("night") == "unconfirmed"
        h.run("rollback", "night", code=0)


@test
def nothing_stays():
    with Watched() as h:
        for args, code in ((["set", "1", "identity"], 0),
                           (["set", "1", "DMA", "--check-command", "/bin/false"], 4),
                           (["set", "1", "DMA", "--confirm-timeout", "1"], 4)):
            h.run(*args, code=code)
            assert not h.watchers(), args


if __name__ == "__main__":
    sys.exit(main("watch"))
