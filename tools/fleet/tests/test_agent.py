# SPDX-License-Identifier: GPL-2.0
"""
test_agent.py DIR [NAME...] (below with-etcd): iommucfgd as it is built in DIR, at etcd, over
iommucfg and a stand-in for the kernel. The test writes the grants that a coordinator would
write.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading

from fleet import (ARGUMENTS, BUILD, IOMMUCFG, POOL, PREFIX, Agent, etcdctl, get, policy, put,
                   put_policy, run, until)

NO_RESULT = re.compile("confirm: no result; .*iommucfg-fleet-confirm@ says why$")


@contextlib.contextmanager
def hosts(names, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Agent(name, **options)) for name in names]


def goes_through():
    with Agent("through", more="report_interval = 1;") as h:
        # A container's interface may go at any time.
        os.makedirs(f"{h.root}/sys/class/net/veth7")
        h.write("sys/class/net/veth7/operstate", "up\n")
        h.control("hook", f"#!/bin/sh\necho down >{h.root}/sys/class/net/veth7/operstate\n", 0o755)
        h.start(bare=True)
        text = policy("identity")
        name = put_policy(text, by="somebody", at="today", of_a_later_version={"a": [1]})
        h.grant(name, of_a_later_version=7)
        s = h.ended("done")
        assert h.type(1) == "identity" and h.installed() == text and not h.transactions()
        assert s["policy_in_force"] == name and s["labels"] == {"rack": "r1"}, s
        assert s["agent"]["version"] and s["kernel"] == "6.12.0-test" and s["problems"] == [], s
        (nic,) = [use for use in s["in_use"] if use["group"] == 3]
        assert nic["device"] == "0000:00:03.0" and "eth0" in nic["what"], s
        assert "default-route" in nic["words"].split(","), s
        assert s["plan"]["groups"] == 1 and s["boot"] == "boot-1", s
        until(lambda: h.journal()["phase"] == "idle")
        assert h.output().count("attempt 1: done") == 1, h.output()
        # The kernel has it for devices to come, and the history says how it came about.
        assert '"gpu"' in h.read("run/iommucfg/policy.conf")
        with open(f"{h.root}/var/lib/iommucfg/history") as f:
            last = [json.loads(line) for line in f][-1]
        assert last["transaction"] == "fleet-r1-1" and last["result"] == "committed", last
        with open(f"/proc/{h.agent.pid}/status", encoding="ascii") as f:
            assert "CapEff:\t0000000000000000\n" in f.read()
        # Once more, and there is nothing to do.
        h.grant(name)
        h.ended("nothing")
        # Nor with another text; but that is what the next boot is to apply.
        text = policy("identity", "options = { settle = 11; };\n")
        name = put_policy(text)
        h.grant(name)
        s = h.ended("nothing")
        assert h.installed() == text and s["policy_in_force"] == name and commits(h) == 1, s
        assert "settle = 11" in h.read("run/iommucfg/policy.conf")
        # What is in use without a word for it.
        h.grant(put_policy('rules = ( { name = "nic"; match = { device = "0000:00:03.0"; }; '
                           'type = "identity"; } );'))
        s = h.ended("refused")
        assert "eth0" in s["problems"][0] and h.type(3) == "DMA" and h.installed() == text, s
        # By hand: the agent says so, and leaves it.
        h.write("sys/kernel/iommu_groups/1/type", "DMA\n")
        until(lambda: h.status()["drift"] == {"groups": 1, "rules": {"gpu": 1}})
        assert h.type(1) == "DMA"
        h.agent.terminate()
        assert h.agent.wait(60) == 0, h.output()


def members():
    return [int(pid) for pid in os.environ["FLEET_ETCD_PIDS"].split(",")]


def no_proof_no_change():
    """The store is away from the commit on: it goes back before the kernel's timer ends."""
    with Agent("cut") as h:
        h.control("hold", "")
        h.start()
        h.grant(put_policy(policy("identity")))
        h.wait_state("committing")
        for pid in members():
            os.kill(pid, signal.SIGSTOP)
        try:
            h.release()
            h.wait_state("unconfirmed", "fleet-r1-1")
            assert h.type(1) == "identity"
            # So much is worth a proof, and not for long.
            with open(f"{h.iommu}/fleet-r1-1/confirm_timeout", "w") as f:
                f.write("48")
            until(lambda: h.type(1) == "DMA-FQ", message=h.output)
        finally:
            for pid in members():
                os.kill(pid, signal.SIGCONT)
        s = h.ended("reverted")
        assert h.installed() is None and s["problems"][0].startswith("store unreachable"), s
        assert "<7>confirm fleet" not in h.output() and not h.transactions(), h.output()


def the_kernel_was_first():
    with Agent("timer") as h:
        h.probe("sleep 1; [ -e $0.ok ]")
        h.start()
        h.grant(put_policy(policy("identity")))
        h.wait_state("unconfirmed")
        h.kill()
        h.expire("fleet-r1-1")
        h.start()
        h.ended("reverted")
        assert h.type(1) == "DMA-FQ" and h.installed() is None


def confirmed_by_a_person():
    with Agent("person") as h:
        h.probe("touch $0.at; while [ ! -e $0.go ]; do sleep 0.1; done")
        probe = f"{h.root}/etc/iommucfg/fleet.d/probe"
        h.start()
        h.grant(put_policy(policy("identity")))
        until(lambda: os.path.exists(f"{probe}.at"), message=h.output)
        h.run("confirm", "fleet-r1-1", code=0)
        with open(f"{probe}.go", "w"):
            pass
        s = h.ended("failed")
        assert "has not confirmed" in s["problems"][0] and h.installed() is None, s


def a_probe_says_no():
    with Agent("probe") as h:
        h.probe("exit 1")
        h.start()
        h.grant(put_policy(policy("identity")))
        s = h.ended("reverted")
        assert "probe" in s["problems"][0] and h.type(1) == "DMA-FQ", s
        # The unit that applies it was started then, and ran only now.
        late = subprocess.run([f"{BUILD}/iommucfgd", "--root", h.root, "--run", "apply", "fleet-r1-1"],
                              env=dict(os.environ, IOMMUCFG=IOMMUCFG), check=False,
                              stderr=subprocess.PIPE, text=True)
        assert late.returncode == 1 and "is over" in late.stderr and h.type(1) == "DMA-FQ", late
        # One that others may write is not run.
        h.probe("touch $0.ran", 0o777)
        h.grant(put_policy(policy("identity")))
        h.ended("reverted")
        assert not os.path.exists(f"{h.root}/etc/iommucfg/fleet.d/probe.ran")
        # A link that stays away.
        h.probe("exit 0")
        os.makedirs(f"{h.root}/sys/class/net/eth5/device")
        h.write("sys/class/net/eth5/operstate", "up\n")
        h.control("hook", f"#!/bin/sh\necho down >{h.root}/sys/class/net/eth5/operstate\n"
                          f"sleep 35 && echo up >{h.root}/sys/class/net/eth5/operstate &\n", 0o755)
        h.grant(put_policy(policy("identity")))
        s = h.ended("reverted")
        assert "eth5 is not up" in s["problems"][0], s


def killed_at_each_step():
    """Before and after each write of the journal."""
    ends = {"1b": "done", "1a": "done", "2b": "done", "2a": "reverted", "3b": "done",
            "3a": "done", "4b": "done", "4a": "done", "5b": "done", "5a": "done"}
    with hosts([f"step-{when}" for when in ends]) as all_hosts:
        name = put_policy(policy("identity"))
        for when, h in zip(ends, all_hosts):
            h.preload(CRASH_AT=when)
        for h in all_hosts:
            h.grant(name)
        for when, h in zip(ends, all_hosts):
            until(lambda h=h: h.agent.poll() is not None, message=h.output)
            assert h.agent.returncode == -signal.SIGKILL, h.output()
            h.start()
        for (when, end), h in zip(ends.items(), all_hosts):
            s = h.ended(end)
            want = "identity" if end == "done" else "DMA-FQ"
            assert h.type(1) == want and (h.installed() is not None) == (end == "done"), (when, s)
            assert not h.transactions() and commits(h) == (end == "done"), when


def killed_before_the_end_is_reported():
    """The reason is reported with the end, though another agent does that."""
    with Agent("reason") as h:
        h.probe("exit 1")
        h.preload(CRASH_AT="3a")
        h.grant(put_policy(policy("identity")))
        until(lambda: h.agent.poll() is not None, message=h.output)
        assert h.journal()["end"] == "reverted", h.journal()
        h.start()
        s = h.ended("reverted")
        assert s["problems"] and "a probe in" in s["problems"][0], s


def applied_while_it_is_judged():
    """What is started late does not begin between the look and the end in the journal."""
    with Agent("late") as h:
        h.preload(CRASH_AT="2a")
        h.grant(put_policy(policy("identity")))
        until(lambda: h.agent.poll() is not None, message=h.output)
        h.preload(STOP_AT="1")

        def stopped():
            with open(f"/proc/{h.agent.pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "T"
        until(stopped, message=h.output)
        assert h.journal()["phase"] == "apply", h.journal()
        late = subprocess.run([f"{BUILD}/iommucfgd", "--root", h.root, "--run", "apply", "fleet-r1-1"],
                              env=dict(os.environ, IOMMUCFG=IOMMUCFG), check=False,
                              stderr=subprocess.PIPE, text=True)
        assert late.returncode == 75 and "lock" in late.stderr and h.type(1) == "DMA-FQ", late
        h.agent.send_signal(signal.SIGCONT)
        h.ended("reverted")
        assert h.type(1) == "DMA-FQ" and not h.transactions() and not commits(h), h.output()


def a_journal_that_is_lost():
    """The attempt ends, and the next one goes through; more than the journal may be gone."""
    cases = {"journal": "done", "state": "failed", "boot": "reverted"}
    with hosts([f"lost-{what}" for what in cases]) as all_hosts:
        name = put_policy(policy("identity"))
        for h in all_hosts:
            h.probe("touch $0.at; while [ ! -e $0.go ]; do sleep 0.1; done")
            os.makedirs(f"{h.root}/etc/iommucfg/fleet-post.d")
            h.write("etc/iommucfg/fleet-post.d/hook", f"#!/bin/sh\necho $1 >>{h.dir}/calls\n")
            os.chmod(f"{h.root}/etc/iommucfg/fleet-post.d/hook", 0o755)
            h.start()
            h.grant(name)
        for what, h in zip(cases, all_hosts):
            probe = f"{h.root}/etc/iommucfg/fleet.d/probe"
            until(lambda p=probe: os.path.exists(f"{p}.at"), message=h.output)
            h.kill()
            with open(f"{probe}.go", "w"):
                pass
            state = f"{h.root}/var/lib/iommucfg/fleet"
            for file in ["journal"] if what == "journal" else os.listdir(state):
                os.unlink(f"{state}/{file}")
            if what == "boot":
                h.reboot("DMA-FQ")
            h.start()
        for (what, end), h in zip(cases.items(), all_hosts):
            s = h.ended(end)
            assert end == "done" or "journal was lost" in s["problems"][0], s
            assert h.type(1) == ("identity" if end == "done" else "DMA-FQ"), s
            assert not h.transactions() and os.path.exists(f"{h.dir}/calls"), h.output()
            h.grant(name)
            h.ended("nothing" if end == "done" else "done")


def commits(h):
    return h.read("var/lib/iommucfg/history").count('"result":"committed"') \
        if h.read("var/lib/iommucfg/history") else 0


def rebooted_in_between():
    """The types are those of the file that was there; so is the end."""
    ends = {"2a": "reverted", "3b": "reverted", "3a": "reverted", "4b": "done"}
    with hosts([f"boot-{when}" for when in ends]) as all_hosts:
        name = put_policy(policy("identity"))
        for when, h in zip(ends, all_hosts):
            h.preload(CRASH_AT=when)
            h.grant(name)
        for (when, end), h in zip(ends.items(), all_hosts):
            until(lambda h=h: h.agent.poll() is not None, message=h.output)
            h.reboot("identity" if end == "done" else "DMA-FQ")
            h.start()
        for (when, end), h in zip(ends.items(), all_hosts):
            s = h.ended(end)
            assert s["boot"] == "boot-2" and (h.installed() is not None) == (end == "done"), s
            # The attempt is used up; the next one goes through where this did not.
            h.grant(name)
            h.ended("nothing" if end == "done" else "done")


def killed_between_confirm_and_file():
    """The kernel keeps the change, and the file is not there yet: it is written, or the boot decides."""
    ends = {"agent": "done", "boot": "reverted"}
    with hosts([f"between-{what}" for what in ends]) as all_hosts:
        name = put_policy(policy("identity"))
        for h in all_hosts:
            # No file can take its place.
            os.makedirs(f"{h.root}/etc/iommucfg.d/50-fleet.conf")
            h.start()
            h.grant(name)
        for (what, end), h in zip(ends.items(), all_hosts):
            until(lambda h=h: "<7>confirm fleet-r1-1: 1" in h.output(), message=h.output)
            assert h.type(1) == "identity" and h.journal()["phase"] == "confirm", h.output()
            until(lambda h=h: h.status()["problems"], message=h.output)
            assert h.status()["phase"] == "unconfirmed", h.status()
            h.kill()
            os.rmdir(f"{h.root}/etc/iommucfg.d/50-fleet.conf")
            if what == "boot":
                h.reboot("DMA-FQ")
            h.start()
            h.ended(end)
            assert (h.installed() is not None) == (end == "done") and commits(h) == 1, h.output()
            assert not os.path.exists(f"{h.root}/etc/iommucfg.d/50-fleet.conf.new")


def installed_while_the_agent_is_away():
    """Confirmed and written, and booted before an agent has seen it; the way back is known."""
    with Agent("away") as h:
        h.preload(CRASH_AT="3a")
        h.grant(put_policy(policy("identity")))
        until(lambda: h.agent.poll() is not None, message=h.output)
        subprocess.run([f"{BUILD}/iommucfgd", "--root", h.root, "--run", "confirm", "fleet-r1-1"],
                       env=dict(os.environ, IOMMUCFG=IOMMUCFG), check=True, stderr=subprocess.PIPE)
        assert h.installed() and not h.transactions()
        h.reboot("identity")
        h.start()
        s = h.ended("done")
        assert s["boot"] == "boot-2", s
        until(lambda: h.journal()["phase"] == "idle", message=h.output)
        h.grant("none")
        h.ended("done")
        assert h.type(1) == "DMA-FQ" and h.installed() is None


def what_cannot_be_installed_is_not_confirmed():
    with Agent("no-file") as h:
        os.makedirs(f"{h.root}/etc/iommucfg.d/50-fleet.conf.new/full")
        h.start()
        h.grant(put_policy(policy("identity")))
        until(lambda: "<7>confirm fleet-r1-1: 75" in h.output(), message=h.output)
        with open(f"{h.iommu}/fleet-r1-1/confirm_timeout", "w") as f:
            f.write("20")
        s = h.ended("reverted")
        assert NO_RESULT.match(*s["problems"]) and h.type(1) == "DMA-FQ", s
        assert h.installed() is None and not commits(h)


def what_cannot_be_installed_is_said():
    """No group changes, and the file cannot be written: it is tried again, and then it can."""
    with Agent("blocked") as h:
        os.makedirs(f"{h.root}/etc/iommucfg.d/50-fleet.conf.new/full")
        h.start()
        h.grant(put_policy(policy("DMA-FQ")))
        until(lambda: h.status().get("problems"), message=h.output)
        s = h.status()
        assert NO_RESULT.match(*s["problems"]) and s["phase"] == "idle", s
        os.rmdir(f"{h.root}/etc/iommucfg.d/50-fleet.conf.new/full")
        os.rmdir(f"{h.root}/etc/iommucfg.d/50-fleet.conf.new")
        s = h.ended("nothing")
        assert s["problems"] == [] and h.installed() == policy("DMA-FQ"), s


def proven_over_the_changed_interface():
    """The store is on this machine, so that the interface with the way to it is lo."""
    with Agent("reach") as h:
        devices = f"{h.root}/sys/devices/pci0000:00/0000:00:1c.4/0000:01:00.1"
        os.rename(f"{devices}/net/ib0", f"{devices}/net/lo")
        link = f"{h.root}/sys/class/net"
        os.symlink(os.readlink(f"{link}/ib0").replace("ib0", "lo"), f"{link}/lo")
        os.unlink(f"{link}/ib0")
        h.start()
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        assert h.output().count("prove over lo: ok") == 1, h.output()
        # One by which nothing is reached; it waits in its probe until it is that.
        h.probe("touch $0.at; while [ ! -e $0.go ]; do sleep 0.1; done")
        h.grant(put_policy(policy("DMA")))
        probe = f"{h.root}/etc/iommucfg/fleet.d/probe"
        until(lambda: os.path.exists(f"{probe}.at"), message=h.output)
        change = json.loads(h.read("var/lib/iommucfg/fleet/change"))
        assert change["reach"] == ["lo"], change
        h.write("var/lib/iommucfg/fleet/change", json.dumps({**change, "reach": ["lo", "none0"]}))
        with open(f"{h.iommu}/fleet-r1-2/confirm_timeout", "w") as f:
            f.write("25")
        with open(f"{probe}.go", "w"):
            pass
        s = h.ended("reverted")
        assert "unreachable over none0" in s["problems"][0] and h.type(1) == "identity", s
        assert "prove over none0: unreachable" in h.output(), h.output()


def proven_over_what_stands_on_the_changed_interface():
    """A VLAN over a bridge over it has the address; another interface has nothing to do with it."""
    with Agent("stacked") as h:
        link = f"{h.root}/sys/class/net"
        for path in ("lo/lower_br7", "br7/lower_ib0", "br7/lower_eth9", "eth8/device", "eth9/device",
                     "tun0"):
            os.makedirs(f"{link}/{path}")
        h.start()
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        assert h.output().count("prove over lo: ok") == 1, h.output()
        os.rename(f"{link}/br7/lower_ib0", f"{link}/br7/lower_eth8")
        h.grant(put_policy(policy("DMA")))
        h.ended("done")
        assert h.output().count("prove over lo") == 1, h.output()
        # What a tunnel goes over is not known.
        os.rename(f"{link}/br7/lower_eth8", f"{link}/br7/lower_tun0")
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        assert h.output().count("prove over lo: ok") == 2, h.output()


def the_command_outlives_its_runner():
    """No other call begins while it is at work; and it is waited for."""
    with Agent("runner") as h:
        h.control("hold", "")
        h.start()
        h.grant(put_policy(policy("identity")))
        h.wait_state("committing")
        run = [f"{BUILD}/iommucfgd", "--root", h.root, "--run"]
        with open(f"/proc/{h.agent.pid}/task/{h.agent.pid}/children", encoding="ascii") as f:
            os.kill(int(f.read()), signal.SIGKILL)
        until(lambda: "apply fleet-r1-1: -1" in h.output(), message=h.output)
        env = dict(os.environ, IOMMUCFG=IOMMUCFG)
        for action in ("apply", "rollback"):
            second = subprocess.run([*run, action, "fleet-r1-1"], env=env, check=False,
                                    stderr=subprocess.PIPE, text=True)
            assert second.returncode == 75 and "lock" in second.stderr, second
        h.release()
        h.ended("done")
        assert h.type(1) == "identity" and commits(h) == 1


def the_first_policy_is_taken_back():
    with Agent("back", more="report_interval = 1;") as h:
        h.start()
        h.machine()
        # There is none yet.
        h.grant("none")
        h.ended("nothing")
        # One that changed nothing.
        h.grant(put_policy(policy("DMA-FQ")))
        h.ended("nothing")
        assert h.installed() == policy("DMA-FQ")
        h.grant("none")
        h.ended("nothing")
        assert h.installed() is None
        for kind in ("identity", "DMA"):
            h.grant(put_policy(policy(kind)))
            h.ended("done")
        assert h.type(1) == "DMA" and '"gpu"' in h.read("run/iommucfg/policy.conf")
        h.grant("none")
        s = h.ended("done")
        assert h.type(1) == "DMA-FQ" and h.installed() is None and not h.transactions(), s
        assert '"gpu"' not in h.read("run/iommucfg/policy.conf")
        assert "policy_in_force" not in h.status() and h.status()["drift"]["groups"] == 0
        h.grant("none")
        h.ended("nothing")
        # No group has to change; the file goes all the same.
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        h.write("sys/kernel/iommu_groups/1/type", "DMA-FQ\n")
        h.grant("none")
        h.ended("nothing")
        assert h.installed() is None and commits(h) == 4
        assert '"gpu"' not in h.read("run/iommucfg/policy.conf"), h.output()
        # It is proven as any other change, and goes back with it.
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        h.probe("exit 1")
        h.grant("none")
        h.ended("reverted")
        assert h.type(1) == "identity" and h.installed() == policy("identity")


def taken_back_while_in_use():
    """As it was changed; the types of before need not be such that the fleet may ask for."""
    words = 'allow_in_use = [ "net", "default-route" ];'
    with Agent("back-in-use", limits=f'{words} types = [ "identity" ];') as h:
        h.start()
        h.grant(put_policy('rules = ( { name = "nic"; match = { device = "0000:00:03.0"; }; '
                           f'type = "identity"; }} ); options = {{ {words} disruption = "rebind"; }};'))
        h.ended("done")
        assert h.type(3) == "identity"
        h.grant("none")
        h.ended("done")
        assert h.type(3) == "DMA" and h.installed() is None


def commands():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as f:
            yield f.read().split(b"\0")


def what_the_grant_allows():
    """In the place of what the policy says of what is in use, and within the host's limits."""
    with Agent("allowed", limits='allow_in_use = [ "net", "default-route" ];') as h:
        h.start()
        name = put_policy('rules = ( { name = "nic"; match = { device = "0000:00:03.0"; }; '
                          'type = "identity"; } );')
        for words, why in (("", "eth0"), ("net,block", "\"limits\""), ("net,magic", "magic")):
            h.grant(name, allow_in_use=words)
            s = h.ended("refused")
            assert why in s["problems"][0] and h.type(3) == "DMA", (words, s)
        h.control("hold", "")
        h.grant(name, allow_in_use="net,default-route", settle=7)
        h.wait_state("committing")
        words = [b"--settle", b"7", b"--allow-in-use", b"net,default-route"]
        assert any(command[i:i + 4] == words for command in commands() for i in range(len(command)))
        h.release()
        h.ended("done")
        assert h.type(3) == "identity"
        # The way back needs them, too.
        h.grant("none")
        h.ended("refused")
        h.grant("none", allow_in_use="net,default-route")
        h.ended("done")
        assert h.type(3) == "DMA" and h.installed() is None


def addresses_that_have_to_answer():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        port = server.getsockname()[1]
        server.settimeout(0.2)
        full = threading.Event()

        def accept():
            while not full.is_set():
                with contextlib.suppress(TimeoutError):
                    server.accept()[0].close()
        thread = threading.Thread(target=accept)
        thread.start()
        stack.callback(thread.join)
        stack.callback(full.set)
        with Agent("addresses", more=f'reach = [ "127.0.0.1:{port}", "127.0.0.1:1" ];') as h:
            h.start()
            h.grant(put_policy(policy("identity")))
            h.ended("done")
            h.control("hold", "")
            h.grant(put_policy(policy("DMA")))
            h.wait_state("committing")
            # Its queue is full from here on, and no more connections are answered.
            full.set()
            thread.join()
            for _ in range(4):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            h.release()
            s = h.ended("reverted")
            assert f"127.0.0.1:{port} is not reached" in s["problems"][0] and h.type(1) == "identity", s


def hooks_of_the_host():
    with Agent("hooked") as h:
        calls = f"{h.dir}/calls"
        for word in ("pre", "post"):
            path = f"etc/iommucfg/fleet-{word}.d"
            os.makedirs(f"{h.root}/{path}")
            h.write(f"{path}/hook", f"#!/bin/sh\necho $1 $IOMMUCFG_TRANSACTION >>{calls}\n"
                    f"[ ! -e {h.dir}/wait ] || [ $1 = post ] || while [ ! -e {h.dir}/go ]; do sleep 0.1; done\n"
                    f"[ ! -e {h.dir}/no ]\n")
            os.chmod(f"{h.root}/{path}/hook", 0o755)

        def called():
            with open(calls, encoding="ascii") as f:
                return f.read().split("\n")[:-1]

        def touch(name):
            with open(f"{h.dir}/{name}", "w", encoding="ascii"):
                pass
        h.start()
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        assert called() == ["pre fleet-r1-1", "post fleet-r1-1"], called()
        touch("no")
        h.grant(put_policy(policy("DMA")))
        s = h.ended("refused")
        assert "fleet-pre.d says no" in s["problems"][0] and commits(h) == 1, s
        assert called()[2:] == ["pre fleet-r1-2", "post fleet-r1-2"], called()
        os.unlink(f"{h.dir}/no")
        # The grant is gone before it begins.
        touch("wait")
        document = h.grant(put_policy(policy("DMA")))
        until(lambda: len(called()) == 5, message=h.output)
        put(f"grant/{POOL}/{h.name}", {**document, "live": False, "revoked": True})
        touch("go")
        until(lambda: len(called()) == 6, message=h.output)
        assert called()[5] == "post fleet-r1-3" and h.status()["attempt"] == 2, h.status()
        # The agent is killed while its hook is at work: that one is waited for.
        os.unlink(f"{h.dir}/go")
        h.grant(put_policy(policy("DMA")))
        until(lambda: len(called()) == 7, message=h.output)
        h.kill()
        h.start()
        until(lambda: h.output().count("read the own status") > 1, message=h.output)
        touch("go")
        h.ended("done")
        assert called()[6:] == ["pre fleet-r1-4", "pre fleet-r1-4", "post fleet-r1-4"], called()


def a_revoked_grant():
    with Agent("revoked") as h:
        name = put_policy(policy("identity"))
        h.start()
        h.machine()
        h.grant(name, live=False, revoked=True)
        # Not live, and of another machine.
        h.grant(name, attempt=5, machine="another-machine")
        h.grant(name, attempt=6, live=False)
        # It has begun, and waits in its probe; a link was away for a moment.
        os.makedirs(f"{h.root}/sys/class/net/eth5/device")
        h.write("sys/class/net/eth5/operstate", "up\n")
        h.control("hook", f"#!/bin/sh\necho down >{h.root}/sys/class/net/eth5/operstate\n"
                          f"sleep 2 && echo up >{h.root}/sys/class/net/eth5/operstate &\n", 0o755)
        h.probe("touch $0.at; while [ ! -e $0.go ]; do sleep 0.1; done")
        document = h.grant(name, attempt=7)
        probe = f"{h.root}/etc/iommucfg/fleet.d/probe"
        until(lambda: os.path.exists(f"{probe}.at"), message=h.output)
        assert h.type(1) == "identity" and h.status()["phase"] == "changing"
        put(f"grant/{POOL}/{h.name}", {**document, "live": False})
        with open(f"{probe}.go", "w"):
            pass
        s = h.ended("reverted")
        assert s["problems"][0].startswith("the grant was taken back"), s
        assert h.type(1) == "DMA-FQ" and h.installed() is None and not h.transactions()
        assert h.output().count("apply fleet-") == 1, h.output()


def a_history_that_is_compacted():
    """The grant is older than what etcd keeps, and is watched all the same."""
    with Agent("compacted") as h:
        put(f"grant/{POOL}/{h.name}", {
            "rollout": "r0", "policy": put_policy(policy("identity")), "live": False,
            "machine": "any", "attempt": 1, "confirm_timeout": 180})
        for _ in range(3):
            written = json.loads(etcdctl("put", "-w", "json", f"{PREFIX}/compacted", text="x"))
        etcdctl("compact", str(written["header"]["revision"]))
        h.start()
        until(lambda: "watches its grant" in h.output(), message=h.output)
        h.grant(put_policy(policy("identity")), attempt=2)
        until(lambda: "watch: " in h.output(), message=h.output)
        h.ended("done")
        assert "watch: gone" not in h.output(), h.output()


def documents_that_are_wrong():
    limits = 'types = [ "identity", "DMA-FQ" ]; allow_in_use = [ "net" ]; disruption = "pause";'
    with Agent("documents", limits=limits, more="report_interval = 1;") as h:
        # Its own status is written over, whatever it is.
        put(f"status/{POOL}/{h.name}", "x" * 2000000)
        h.start()
        h.machine()
        good = put_policy(policy("identity"))
        for text in ("{", "[]", "x" * 2000000, '{"rollout":"r1"}',
                     json.dumps({"rollout": "../r1", "policy": good, "machine": h.machine(),
                                 "live": True, "attempt": 1, "confirm_timeout": 180}),
                     json.dumps({"rollout": "r1", "policy": good, "machine": h.machine(),
                                 "live": True, "attempt": 1, "confirm_timeout": 5})):
            put(f"grant/{POOL}/{h.name}", text)
            until(lambda t=text: h.status().get("problems"), message=h.output)
        large = policy("identity") + "#" * 300000
        lie = put_policy(policy("identity"))[:-1] + "0"
        put(f"policy/{lie}", get(f"policy/{good}"))
        for more, why in (({"mode": "dry"}, "dry"), ({"requires": ["magic", 1]}, "magic")):
            h.grant(good, **more)
            s = h.ended("refused")
            assert "does not have" in s["problems"][0] and why in s["problems"][0], s
        for name, why in (
                ("0" * 64, "there is no policy"),
                (lie, "not what its name says"),
                (put_policy(large), "more than 256 kB"),
                (put_policy(policy("identity"), requires=["magic"]), "requires"),
                (put_policy("rules = ( {"), "line 1"),
                (put_policy(policy("identity", 'options = { check_command = [ "/bin/true" ]; };')),
                 "check_command"),
                (put_policy(policy("identity", "options = { check_command = [ ]; };")),
                 "check_command"),
                (put_policy(policy("DMA")), "type DMA"),
                (put_policy(policy("identity", 'options = { allow_in_use = [ "net", "block" ]; };')),
                 "allow_in_use"),
                (put_policy(policy("identity", 'options = { disruption = "rebind"; };')),
                 "disruption"),
                (put_policy(policy("identity", 'options = { faults = "warn"; };')), "faults"),
                (put_policy('rules = ( { name = "vm"; match = { device = "0000:06:00.0"; }; '
                            'type = "identity"; } );'), "group 6 needs more")):
            h.grant(name)
            s = h.ended("refused")
            assert why in s["problems"][0], (why, s)
            assert h.type(1) == "DMA-FQ" and h.installed() is None and not h.transactions()
        # A policy that says nothing of disruption may not do more than the host allows, either.
        h.grant(good)
        s = h.ended("refused")
        assert h.type(1) == "DMA-FQ", s
        h.control("method", "1 pause\n")
        h.grant(good)
        h.ended("done")


def another_machine_with_the_same_name():
    """It never acts on a grant that is not its own, and each of them is heard."""
    with Agent("twin", more="report_interval = 1;") as first, \
            Agent("twin", machine="other", more="report_interval = 1;") as second:
        first.start()
        machine = first.machine()
        second.start()
        # Both write the same status in turn.
        other = until(lambda: {first.status()["machine"]} - {machine}, message=second.output).pop()
        first.grant(put_policy(policy("identity")), machine=machine)
        until(lambda: first.type(1) == "identity" and first.installed(), message=first.output)
        until(lambda: first.journal().get("phase") == "idle", message=first.output)
        assert second.type(1) == "DMA-FQ" and not second.journal(), second.journal()
        # Its number is used up for the other one as well.
        first.grant(put_policy(policy("DMA")), machine=other, attempt=1)
        first.grant(put_policy(policy("DMA")), machine=other, attempt=2)
        until(lambda: second.type(1) == "DMA" and second.installed(), message=second.output)
        until(lambda: second.journal().get("phase") == "idle", message=second.output)
        assert second.journal()["attempt"] == 2 and commits(second) == 1, second.journal()
        assert first.type(1) == "identity" and commits(first) == 1


def certificates_that_are_wrong():
    """One of no user, one that another authority has signed; and then the right one."""
    users = os.environ["FLEET_ETCD_DIR"]
    for words in (["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{users}/forged.key"],
                  ["req", "-x509", "-new", "-key", f"{users}/forged.key", "-days", "2", "-subj",
                   "/CN=pool-default", "-out", f"{users}/forged.crt"]):
        subprocess.run(["openssl", *words], check=True, stderr=subprocess.DEVNULL)
    for user, why in (("nobody", "permission denied"), ("forged", "unreachable")):
        with Agent(f"certificate-{user}", user=user) as h:
            put(f"grant/{POOL}/{h.name}", {
                "rollout": "r1", "policy": put_policy(policy("identity")), "live": True,
                "machine": "any", "attempt": 1, "confirm_timeout": 180})
            h.start()
            until(lambda h=h: h.output().count("read the own status") > 1, message=h.output)
            assert not h.status() and h.type(1) == "DMA-FQ" and not h.journal(), h.output()
            warnings = [line for line in h.output().splitlines() if line.startswith("<4>")]
            assert warnings and "127.0.0.1" in warnings[0], h.output()
            assert why != "permission denied" or why in warnings[0], warnings


def clocks_a_day_apart():
    with Agent("tomorrow") as h:
        h.preload(CLOCK_SHIFT="80000")
        h.grant(put_policy(policy("identity")))
        h.ended("done")
        h.kill()
        h.start()
        h.grant(put_policy(policy("DMA")))
        h.ended("done")
        assert h.type(1) == "DMA"


def what_it_cannot_start_with():
    with Agent("start") as h:
        for more, why in (("nmae = 1;", "did you mean \"name\""), ("limits = 1;", "duplicate"),
                          ("reach = [ \"host:22\" ];", "192.0.2.1:22"), ("reach = [ \"::1:22\" ];", "::1]:22"),
                          ("report_interval = \"x\";", "report_interval")):
            with open(f"{h.dir}/agent.conf", "a+") as f:
                f.seek(0)
                text = f.read()
                f.write(more + "\n")
            h.start()
            assert h.agent.wait(60) == 1 and why in h.output(), h.output()
            with open(f"{h.dir}/agent.conf", "w") as f:
                f.write(text)
        # What was under way is not known: a person has to look.
        os.makedirs(f"{h.root}/var/lib/iommucfg/fleet", exist_ok=True)
        h.write("var/lib/iommucfg/fleet/journal", "{")
        h.start()
        assert h.agent.wait(60) == 1 and "is not known" in h.output(), h.output()


TESTS = [no_proof_no_change, goes_through, the_kernel_was_first, confirmed_by_a_person,
         a_probe_says_no,
         killed_at_each_step, killed_before_the_end_is_reported, applied_while_it_is_judged, a_journal_that_is_lost, rebooted_in_between, killed_between_confirm_and_file,
         installed_while_the_agent_is_away, what_cannot_be_installed_is_not_confirmed,
         what_cannot_be_installed_is_said,
         proven_over_the_changed_interface,
         proven_over_what_stands_on_the_changed_interface, the_command_outlives_its_runner,
         the_first_policy_is_taken_back, taken_back_while_in_use, what_the_grant_allows,
         addresses_that_have_to_answer, hooks_of_the_host, a_revoked_grant,
         a_history_that_is_compacted, documents_that_are_wrong,
         another_machine_with_the_same_name, certificates_that_are_wrong, clocks_a_day_apart, what_it_cannot_start_with]


if __name__ == "__main__":
    # The first one stops the store.
    run([t for t in TESTS if not ARGUMENTS[2:] or t.__name__ in ARGUMENTS[2:]], "agent", 1)
