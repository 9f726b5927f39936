#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Changes by the library's run, made by a program that is not the command.

	test_run.py IOMMUCFG STANDIN [NAME...]
"""
import fcntl
import json
import os
import signal
import subprocess
import sys

from harness import Host, STANDIN, main, test

AGENT = os.path.join(os.path.dirname(STANDIN), "agent")


def agent(h, *args, wait=True):
    p = subprocess.Popen([AGENT, h.root, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         text=True)
    if not wait:
        return p
    out = p.communicate(timeout=120)[0].splitlines()
    assert p.returncode == 0, (p.returncode, out)
    return out


def history(h):
    with open(f"{h.root}/var/lib/iommucfg/history") as f:
        return [json.loads(line) for line in f]


@test
def done_and_nothing_to_do():
    for how in ("blocking",), ():
        with Host(True) as h:
            out = agent(h, "1", "DMA", *how)
            assert out[-1] == "0 committed" and h.type(1) == "DMA" and not h.transactions(), out
            e = history(h)[-1]
            assert (e["action"], e["result"], e["exit"], e["command"][2:4]) == (
                "agent", "committed", 0, ["1", "DMA"]), e
            assert agent(h, "1", "DMA", *how)[-1] == "0 nothing-to-do" and len(history(h)) == 1


@test
def progress_is_told():
    with Host(True) as h:
        h.control("hold")
        p = agent(h, "1", "DMA", wait=False)
        line = p.stdout.readline().split()
        assert line[0] == "progress" and int(line[2]) > 0, line
        h.release()
        assert p.communicate(timeout=120)[0].splitlines()[-1] == "0 committed"


@test
def answers():
    for how in ("blocking",), ():
        for answer, end, kind in ("yes", "0 committed", "DMA"), ("no", "4 restored", "DMA-FQ"):
            with Host(True) as h:
                out = agent(h, "1", "DMA", "timeout=900", f"ask={answer}", "after=2", *how)
                assert "question in time" in out and out[-1] == end, out
                assert h.type(1) == kind and not h.transactions()


@test
def answered_elsewhere():
    for ask in "none", "later":
        with Host(True) as h:
            p = agent(h, "1", "DMA", "timeout=900", f"ask={ask}", wait=False)
            h.wait_state("unconfirmed")
            out = []
            # One that asks nobody says how it is answered.
            while ask == "none" and not any("iommucfg confirm" in line for line in out):
                out.append(p.stdout.readline())
                assert out[-1], out
            h.run("confirm", code=0)
            out += p.communicate(timeout=120)[0].splitlines()
            assert out[-1] == "0 committed" and h.type(1) == "DMA", out
            assert any("iommucfg confirm" in line for line in out) == (ask == "none"), out


@test
def left_unconfirmed():
    with Host(True) as h:
        assert agent(h, "1", "DMA", "timeout=900", "detach")[-1] == "0 unconfirmed"
        assert h.type(1) == "DMA" and [h.state(n) for n in h.transactions()] == ["unconfirmed"]
        # The next one has to wait for the answer.
        out = agent(h, "2", "DMA")
        assert out[-1] == "3 refused" and "unconfirmed" in out[0], out


@test
def stopped():
    # Unconfirmed: it goes back.
    for ask in "none", "later":
        with Host(True) as h:
            h.control("hold")
            p = agent(h, "1", "DMA", "timeout=900", f"ask={ask}", "stop=1", wait=False)
            assert p.stdout.readline().startswith("progress")
            # The kernel finishes what it began.
            assert p.stdout.readline().startswith("note the kernel finishes")
            h.release()
            if ask == "none":
                h.wait_state("unconfirmed")
                h.run("rollback", code=0)
            else:
                h.wait_state("unconfirmed")
                h.run("confirm", code=0)
            end = p.communicate(timeout=120)[0].splitlines()[-1]
            assert end == ("4 restored" if ask == "none" else "0 committed"), end
    with Host(True) as h:
        out = agent(h, "1", "DMA", "timeout=900", "ask=later", "after=3", "stop=1")
        assert out[-1] == "4 restored" and h.type(1) == "DMA-FQ" and not h.transactions(), out
    # Twice: it leaves, the kernel goes on, and nothing judges what it has done.
    with Host(True) as h:
        h.control("hold")
        out = agent(h, "1", "DMA", "stop=2")
        assert out[-1] == "6 left" and len(h.transactions()) == 1, out
        assert history(h)[-1]["result"] == "left"
        h.release()
        h.wait_state("unconfirmed")
        assert h.type(1) == "DMA"
        h.expire()
        assert h.type(1) == "DMA-FQ"


@test
def refused_and_failed():
    with Host(True) as h:
        h.control("commit", "ECANCELED\n1 0000:01:00.0 probe ENODEV no\n")
        out = agent(h, "1", "DMA")
        assert out[-1] == "4 restored" and not h.transactions(), out
        h.control("commit", "EIO\n1 0000:01:00.0 restore ENODEV no\n")
        out = agent(h, "1", "DMA")
        assert out[-1] == "5 failed" and len(h.transactions()) == 1, out


@test
def the_child_is_killed():
    with Host(True) as h:
        h.control("hold")
        p = agent(h, "1", "DMA", wait=False)
        assert p.stdout.readline().startswith("progress")
        with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
            children = f.read().split()
        assert len(children) == 1, children
        os.kill(int(children[0]), signal.SIGKILL)
        h.release()
        out = p.communicate(timeout=120)[0].splitlines()
        assert out[-1] == "0 committed" and h.type(1) == "DMA", out


@test
def one_at_a_time():
    with Host(True) as h:
        os.makedirs(f"{h.root}/run/iommucfg", exist_ok=True)
        with open(f"{h.root}/run/iommucfg/change.lock", "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            p = agent(h, "1", "DMA", wait=False)
            assert "waiting for it" in p.stdout.readline()
            assert h.type(1) == "DMA-FQ" and not h.transactions()
        assert p.communicate(timeout=120)[0].splitlines()[-1] == "0 committed"


if __name__ == "__main__":
    sys.exit(main("run"))
