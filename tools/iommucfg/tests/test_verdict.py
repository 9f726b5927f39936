#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What judges a change after the commit: a check command.

	test_verdict.py IOMMUCFG STANDIN [NAME...]
"""
import json
import os
import signal
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
