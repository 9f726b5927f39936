#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""samples/agents, run for what they are.

	test_agents.py IOMMUCFG STANDIN [NAME...]

The Ansible role on a saved tree and against the stand-in for the kernel's interface; the
script and the schema of the cloud-init data; the drop-ins by systemd-analyze.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import jsonschema

from harness import GPU, HERE, IOMMUCFG, Host, Skip, main, test

AGENTS = os.path.abspath(f"{HERE}/../../../samples/agents")
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
SCHEMA = "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"
DMA = GPU.replace("identity", "DMA")


def yaml():
    try:
        import yaml
    except ImportError:
        raise Skip("needs python3-yaml")
    return yaml


# What Ansible itself prints is for people.
CALLBACK = """
import json
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "notification", "tell"
    CALLBACK_NEEDS_ENABLED = True

    def tell(self, result, **kwargs):
        if result.is_skipped():
            return
        with open(os.environ["TELL"], "a") as f:
            f.write(json.dumps([result._task.get_name().split(" : ")[-1], result._result]) + "\\n")

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_on_unreachable = tell
"""


class Play:
    """What a run of the role says of its tasks."""

    def __init__(self, process, told):
        assert process.returncode in (0, 2), process
        self.failed = process.returncode != 0
        self.out = process.stdout + process.stderr
        self.results = {}
        for name, result in told:
            self.results.setdefault(name, []).append(result)
        assert self.results, process

    def __getitem__(self, name):
        return self.results[name][0]

    @property
    def changed(self):
        """Names of the tasks that say they changed something."""
        return sorted(n for n, r in self.results.items() if any(x.get("changed") for x in r))


class Controlled(Host):
    """A host with the role at work on it."""

    def __enter__(self):
        self.ansible = shutil.which("ansible-playbook")
        if self.ansible is None:
            raise Skip("needs ansible-core")
        super().__enter__()
        self.playbook = os.path.join(self.dir, "playbook.yml")
        with open(self.playbook, "w") as f:
            f.write("- hosts: all\n  gather_facts: false\n  roles: [iommucfg]\n")
        with open(f"{self.dir}/ansible.cfg", "w") as f:
            f.write("[defaults]\n")
        os.mkdir(f"{self.dir}/plugins")
        with open(f"{self.dir}/plugins/tell.py", "w") as f:
            f.write(CALLBACK)
        return self

    def play(self, *args, playbook=None, **variables):
        variables.setdefault("iommucfg_root", self.root)
        variables.setdefault("iommucfg_command", IOMMUCFG)
        variables.setdefault("ansible_python_interpreter", sys.executable)
        variables.setdefault("ansible_become", False)
        home, told = f"{self.dir}/ansible", f"{self.dir}/told"
        env = dict(os.environ, HOME=home, ANSIBLE_HOME=home, ANSIBLE_REMOTE_TMP=home,
                   ANSIBLE_CONFIG=f"{self.dir}/ansible.cfg", ANSIBLE_NOCOLOR="1",
                   ANSIBLE_ROLES_PATH=f"{AGENTS}/ansible/roles", TELL=told,
                   ANSIBLE_CALLBACK_PLUGINS=f"{self.dir}/plugins",
                   ANSIBLE_CALLBACKS_ENABLED="tell", ANSIBLE_PIPELINING="1")
        with open(told, "w"):
            pass
        p = subprocess.run([self.ansible, "-i", "localhost,", "-c", "local",
                            "-e", json.dumps(variables), *args, playbook or self.playbook],
                           capture_output=True, text=True, timeout=300, env=env,
                           stdin=subprocess.DEVNULL)
        with open(told) as f:
            return Play(p, [json.loads(line) for line in f])

    def file(self, path="etc/iommucfg.d/50-ansible.conf"):
        try:
            with open(f"{self.root}/{path}") as f:
                return f.read()
        except FileNotFoundError:
            return None


APPLY, INSTALL = "Apply the policy", "Install the policy"


@test
def role_check_mode():
    with Controlled(True) as h:
        p = h.play("--check", "--diff", iommucfg_policy=GPU)
        assert not p.failed and {APPLY, INSTALL} <= set(p.changed), p.out
        (c,) = p[APPLY]["changes"]
        assert c["group"] == 1 and c["to"] == "identity", c
        assert p[APPLY]["diff"]["before"].endswith("): DMA-FQ\n"), p[APPLY]
        assert p[APPLY]["diff"]["after"].endswith("): identity\n"), p[APPLY]
        assert h.file() is None and h.type(1) == "DMA-FQ" and h.transactions() == []
        # What is in force would change nothing, file and groups.
        h.play(iommucfg_policy=GPU)
        p = h.play("--check", "--diff", iommucfg_policy=GPU)
        assert not p.failed and p.changed == [], p.changed


@test
def role_check_mode_without_module():
    with Controlled() as h:
        p = h.play("--check", iommucfg_policy=GPU)
        assert not p.failed and APPLY in p.changed, p.out
        assert h.file() is None


@test
def role_changes_once():
    with Controlled(True) as h:
        p = h.play(iommucfg_policy=GPU)
        assert not p.failed and h.type(1) == "identity" and h.file() == GPU, p.out
        assert {APPLY, INSTALL} <= set(p.changed) and p[APPLY]["result"] == "committed"
        p = h.play(iommucfg_policy=GPU)
        assert not p.failed and p.changed == [], p.changed
        assert p[APPLY]["result"] == "nothing-to-do"
        # Another text with the same meaning: the file changes, no group does.
        p = h.play(iommucfg_policy="# no more\n" + GPU)
        assert p.changed == [INSTALL], p.changed
        # The same file, but somebody has changed the group.
        h.run("set", "--yes", "1", "DMA", code=0)
        p = h.play(iommucfg_policy="# no more\n" + GPU)
        assert p.changed == [APPLY] and h.type(1) == "identity", p.changed
        assert h.transactions() == []


@test
def role_sources():
    with Controlled(True) as h:
        rules = [{"name": "the \"one\" \\ ü", "type": "identity", "priority": 3, "required": True,
                  "match": {"vendor": [0x10de, "15b3"], "class": "display", "removable": False,
                            "device": ["0000:01:00.*", "x"]}}]
        p = h.play(iommucfg_rules=rules, iommucfg_dest="/etc/iommucfg.conf")
        assert not p.failed and h.type(1) == "identity", p.out
        d = h.json("check", code=0)
        assert d["rules"][0]["name"] == rules[0]["name"] and d["default"] == "keep", d
        assert d["rules"][0]["priority"] == 3 and d["rules"][0]["required"], d
        p = h.play(iommucfg_policy_src=h.policy(DMA), iommucfg_backup=True)
        assert h.file() == DMA and h.type(1) == "identity", p.out
        p = h.play(iommucfg_policy_src=h.policy(DMA), iommucfg_rules=rules)
        assert p.failed and "set one of" in p.out
        # None: what is there is applied.
        os.unlink(f"{h.root}/etc/iommucfg.conf")
        p = h.play()
        assert p.changed == [APPLY] and h.type(1) == "DMA" and INSTALL not in p.results, p.out
        # Not to be applied: the file alone.
        p = h.play(iommucfg_policy=GPU, iommucfg_apply=False)
        assert p.changed == [INSTALL] and h.type(1) == "DMA", p.out


@test
def role_keeps_the_old_file():
    with Controlled(True) as h:
        h.play(iommucfg_policy=GPU)
        os.makedirs(f"{h.root}/etc/iommucfg.d", exist_ok=True)
        with open(f"{h.root}/etc/iommucfg.d/60-other.conf", "w") as f:
            f.write(GPU.replace("gpu", "taken").replace("0x10de", "0xffff"))
        for wrong, says in (("rules = ( {", "syntax error"),
                            (GPU.replace("gpu", "taken"), "taken"),
                            (GPU.replace("}; type", "}; required = true; type")
                             .replace("0x10de", "0x1234"), "required"),
                            ("rules = ( { name = \"a\"; match = { device = \"0000:01:00.0\"; }; type = \"DMA\"; },"
                             "{ name = \"b\"; match = { device = \"0000:01:00.1\"; }; type = \"identity\"; } );",
                             "01:00.1")):
            for mode in ([], ["--check"]):
                p = h.play(*mode, iommucfg_policy=wrong)
                assert p.failed and says in p.out, p.out
                assert h.file() == GPU and h.type(1) == "identity"
                assert APPLY not in p.results


@test
def role_failures():
    with Controlled(True) as h:
        for word, code, says in (("EBUSY", 3, "nothing was touched"),
                                 ("ECANCELED", 4, "everything is as before"),
                                 ("EIO", 5, "needs a person")):
            h.control("commit", f"{word}\n1 0000:01:00.0 probe ENODEV the driver did not come back\n")
            p = h.play(iommucfg_policy=GPU)
            r = p[APPLY]
            assert p.failed and r["exit_status"] == code and not r["changed"], r
            assert says in r["msg"] and "the driver did not come back" in r["msg"], r["msg"]
            assert r["problems"][0]["device"] == "0000:01:00.0", r
            h.control("commit", "")
        h.run("rollback", code=0)
        p = h.play(iommucfg_policy=GPU)
        assert not p.failed and p.changed == [APPLY], p.changed


@test
def role_in_use():
    disk = 'rules = ( { name = "disk"; match = { device = "0000:00:02.0"; }; type = "DMA"; },' \
           '{ name = "gpu"; match = { vendor = 0x10de; }; type = "identity"; } );\n'
    with Controlled(True) as h:
        p = h.play(iommucfg_policy=disk)
        assert p.failed and p[APPLY]["exit_status"] == 3 and "mount" in p[APPLY]["msg"], p[APPLY]
        assert h.type(1) == "DMA-FQ"
        p = h.play(iommucfg_policy=disk, iommucfg_skip_in_use=True)
        assert not p.failed and p[APPLY]["exit_status"] == 2 and h.type(1) == "identity", p.out
        assert [c["group"] for c in p[APPLY]["left_out"]] == [2]
        # Nothing changed, and something is still to be done: not "changed".
        p = h.play(iommucfg_policy=disk, iommucfg_skip_in_use=True)
        assert not p.failed and p.changed == [] and p[APPLY]["exit_status"] == 2, p.changed
        p = h.play("--check", iommucfg_policy=disk, iommucfg_skip_in_use=True)
        assert not p.failed and p.changed == [], p.changed
        # "/" is on that disk. Another one is only mounted.
        p = h.play(iommucfg_policy=disk, iommucfg_allow_in_use=["net", "block"])
        assert p.failed and p[APPLY]["exit_status"] == 3 and h.type(2) == "DMA-FQ", p.out
        other = disk.replace("0000:00:02.0", "10000:e1:00.0")
        p = h.play(iommucfg_policy=other, iommucfg_allow_in_use=["net", "block"])
        assert p.failed and p[APPLY]["exit_status"] == 3 and h.type(9) != "DMA", p.out
        p = h.play(iommucfg_policy=other, iommucfg_allow_in_use=["net", "mounted"])
        assert not p.failed and h.type(9) == "DMA", p.out


@test
def role_confirms():
    with Controlled(True) as h:
        p = h.play(iommucfg_policy=GPU, iommucfg_confirm_timeout=600)
        assert not p.failed and p[APPLY]["result"] == "unconfirmed", p.out
        assert p["Confirm the change"]["result"] == "committed"
        assert h.type(1) == "identity" and h.transactions() == []
        # The rules for devices to come wait for the confirmation.
        assert h.standing()
        # One that the policy asks for is not waited for either.
        asks = DMA + "options = { confirm_timeout = 600; };\n"
        p = h.play(iommucfg_policy=asks)
        assert not p.failed and h.type(1) == "DMA" and h.transactions() == [], p.out
        assert "Confirm the change" in p.results
        # What the last apply finds to do besides is not left for somebody to confirm.
        more = h.policy(f"- name: Write\n  ansible.builtin.copy:\n    src: {h.policy(asks, 'more.conf')}\n"
                        f"    dest: {h.root}/etc/iommucfg.d/50-ansible.conf\n", "more.yml")
        p = h.play(iommucfg_policy=GPU, iommucfg_confirm_timeout=600, iommucfg_verify=more)
        assert not p.failed and h.type(1) == "DMA" and h.transactions() == [], p.out
        # Not well: nobody confirms.
        verify = h.policy("- name: Fail\n  ansible.builtin.fail:\n    msg: not well\n", "verify.yml")
        p = h.play(iommucfg_policy=GPU, iommucfg_confirm_timeout=2, iommucfg_verify=verify)
        assert p.failed and "not well" in p.out and "Confirm the change" not in p.results
        end = time.monotonic() + 120
        while h.type(1) != "DMA":
            assert time.monotonic() < end, p.out
            time.sleep(0.05)


@test
def role_no_program():
    with Controlled() as h:
        p = h.play(iommucfg_policy=GPU, iommucfg_command="/nonexistent/iommucfg")
        assert p.failed and h.file() is None, p.out
        assert "No such file" in p["Check the policy"]["msg"], p.out
        # Without the module a policy can be installed and not be applied.
        p = h.play(iommucfg_policy=GPU)
        assert p.failed and "not loaded" in p[APPLY]["msg"] and h.file() == GPU, p.out


@test
def role_image():
    """The handler runs when the file is another one; the machine itself is not touched."""
    with Controlled() as h:
        marker = f"{h.dir}/marker"
        # Everything of this play that would be for the running system is told of another root.
        env = {"iommucfg_root": "", "iommucfg_command": h.policy(
            f"#!/bin/sh\nexport IOMMUCFG_ROOT={h.root}\nexec {IOMMUCFG} \"$@\"\n", "iommucfg")}
        os.chmod(env["iommucfg_command"], 0o755)
        env["iommucfg_dest"] = f"{h.dir}/dest.conf"
        env["iommucfg_apply"] = False
        env["iommucfg_image"] = ["touch", marker]
        p = h.play("--check", iommucfg_policy=GPU, **env)
        assert not p.failed and not os.path.exists(marker), p.out
        p = h.play(iommucfg_policy=GPU, **env)
        assert not p.failed and os.path.exists(marker), p.out
        os.unlink(marker)
        p = h.play(iommucfg_policy=GPU, **env)
        assert not p.failed and not os.path.exists(marker), p.out


@test
def playbook():
    with Controlled(True) as h:
        p = h.play("--check", playbook=f"{AGENTS}/ansible/playbook.yml")
        assert not p.failed and h.file() is None, p.out
        p = h.play(playbook=f"{AGENTS}/ansible/playbook.yml")
        assert not p.failed, p.out
        assert h.json("check", code=0)["rules"][1]["priority"] == 1000
        p = h.play(playbook=f"{AGENTS}/ansible/playbook.yml")
        assert not p.failed and p.changed == [], p.changed


@test
def yaml_files():
    """Two spaces, no tabs, and a licence, in all of them."""
    for path in glob.glob(f"{AGENTS}/**/*.yml", recursive=True) + [f"{AGENTS}/cloud-init/user-data"]:
        with open(path) as f:
            text = f.read()
        yaml().safe_load(text)
        assert "SPDX-License-Identifier" in text and "\t" not in text, path
        assert not re.search(r"^( {2})* [^ ]", re.sub(r"(?s)(>-|\|)\n.*", "", text), re.M), path


def cloud_config():
    with open(f"{AGENTS}/cloud-init/user-data") as f:
        text = f.read()
    assert text.startswith("#cloud-config\n")
    return yaml().safe_load(text)


@test
def cloud_schema():
    """What "cloud-init schema" goes by; and its keys, which that lets pass."""
    for top in ("/", f"{CACHE}/iommu-configfs/cloud-init"):
        if os.path.exists(os.path.join(top, SCHEMA)):
            break
    else:
        raise Skip("needs the schema of cloud-init")
    with open(os.path.join(top, SCHEMA)) as f:
        rules = json.load(f)
    data = cloud_config()
    jsonschema.validate(data, rules)
    known = set().union(*(d.get("properties", {}) for d in rules["$defs"].values()))
    assert set(data) <= known, set(data) - known
    # It can fail.
    data["write_files"][0]["permissions"] = 0o644
    try:
        jsonschema.validate(data, rules)
    except jsonschema.ValidationError:
        return
    raise AssertionError("the schema takes everything")


class Instance(Host):
    """A machine that cloud-init has written its files on."""

    def __enter__(self):
        data = cloud_config()
        super().__enter__()
        for f in data["write_files"]:
            path = self.root + f["path"]
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(f["content"])
            os.chmod(path, int(f["permissions"], 8))
        ((*self.shell, self.line),) = data["runcmd"]
        self.here = f"{self.root}/usr/local/lib/iommucfg-agent"
        assert self.shell == ["sh", "-c"] and f"{AGENT} " in self.line
        self.settings(WELL="true")
        return self

    def settings(self, **values):
        with open(f"{self.here}/settings", "a") as f:
            for name, value in values.items():
                f.write(f"{name}=\"{value}\"\n")

    def there(self):
        return os.path.exists(f"{self.root}/etc/iommucfg.d/50-cloud.conf")

    def boot(self, code=0, path=os.path.dirname(IOMMUCFG) + ":"):
        p = self.run_agent([self.root + AGENT], path)
        assert p.returncode == code, p
        return p

    def run_agent(self, argv, path=os.path.dirname(IOMMUCFG) + ":"):
        return subprocess.run(argv, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL,
                              env=dict(os.environ, IOMMUCFG_ROOT=self.root,
                                       PATH=path + os.environ["PATH"]))


MINE = "usr/local/lib/iommucfg-agent/policy.conf"
AGENT = "/usr/local/lib/iommucfg-agent/run"


@test
def cloud_run():
    with Instance(True) as h:
        # The sample's own policy: the mounted disk is left out.
        h.boot(2)
        assert h.there() and h.transactions() == []
        # That is no error of the instance's.
        command = h.line.replace(AGENT, h.root + AGENT)
        assert h.run_agent(h.shell + [command]).returncode == 0
        assert h.run_agent(h.shell + [command.replace("/run ", "/nosuch ")]).returncode
        h.write(MINE, GPU)
        h.boot()
        assert h.type(1) == "identity" and h.transactions() == [] and h.standing()
        generation = f"{h.iommu}/generation"
        with open(generation) as f:
            before = f.read()
        os.utime(f"{h.root}/etc/iommucfg.d/50-cloud.conf", (1, 1))
        h.boot()
        with open(generation) as f:
            assert f.read() == before
        assert os.stat(f"{h.root}/etc/iommucfg.d/50-cloud.conf").st_mtime == 1
        # Not well: taken back at once.
        h.write(MINE, DMA)
        h.settings(WELL="exit 1")
        p = h.boot(4)
        assert "taking it back" in p.stderr and h.type(1) == "identity" and h.transactions() == []


@test
def cloud_next_boot():
    with Instance() as h:
        h.settings(WHEN="boot")
        h.boot()
        assert h.there()


@test
def cloud_wrong_policy():
    with Instance(True) as h:
        for other in ("40-a.conf", "60-b.conf"):
            h.write(MINE, GPU)
            h.write(f"etc/iommucfg.d/{other}", GPU)
            p = h.boot(1)
            assert "not installed" in p.stderr and "gpu" in p.stderr and not h.there(), p
            os.unlink(f"{h.root}/etc/iommucfg.d/{other}")
        h.write(MINE, "rules = (")
        h.boot(1)
        assert not h.there() and h.type(1) == "DMA-FQ"
        # The order is that of the names: the last default counts.
        h.write("etc/iommucfg.conf", 'default = "identity";')
        h.write("etc/iommucfg.d/60-b.conf", 'default = "keep";')
        h.write(MINE, 'default = "DMA";')
        h.boot()
        assert h.there() and h.type(1) == "DMA-FQ"


@test
def cloud_refused():
    with Instance(True) as h:
        h.write(MINE, GPU)
        for word, code in (("EBUSY", 3), ("ECANCELED", 4), ("EIO", 5)):
            h.control("commit", f"{word}\n- - probe ENODEV no\n")
            h.boot(code)
        h.control("commit", "")
        h.run("rollback", code=0)
        h.boot()


@test
def cloud_no_program():
    with Instance() as h:
        bare = tempfile.mkdtemp(dir=h.dir)
        p = subprocess.run(["/bin/sh", h.root + AGENT], capture_output=True, text=True,
                           env={"IOMMUCFG_ROOT": h.root, "PATH": bare})
        assert p.returncode == 1 and "no iommucfg" in p.stderr, p


class Units:
    """The drop-ins and what they are for, where systemd-analyze finds them."""

    def __enter__(self):
        if shutil.which("systemd-analyze") is None:
            raise Skip("needs systemd")
        self.dir = tempfile.mkdtemp(prefix="iommucfg-test.")
        shutil.copytree(f"{AGENTS}/systemd", self.dir, dirs_exist_ok=True)
        shutil.copy(f"{HERE}/../boot/systemd/iommucfg.service", self.dir)
        with open(f"{self.dir}/simulation.service", "w") as f:
            f.write("[Service]\nExecStart=/bin/true\n")
        for path in glob.glob(f"{self.dir}/**/*", recursive=True):
            if os.path.isfile(path):
                self.edit(path, ("@BINDIR@/iommucfg", IOMMUCFG), ("/usr/sbin/iommucfg", IOMMUCFG),
                          ("/sbin/modprobe", "/bin/true"), (" man:iommucfg(8)", ""),
                          ("man:iommucfg(8)", ""), ("man:iommucfg.conf(5)", ""),
                          ("man:iommucfg-json(5)", ""))
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.dir)

    def edit(self, path, *pairs):
        with open(path) as f:
            text = f.read()
        for old, new in pairs:
            text = text.replace(old, new)
        with open(path, "w") as f:
            f.write(text)

    def verify(self):
        """What is said of our files; the machine's own units are none of our business."""
        p = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                            *glob.glob(f"{self.dir}/*.service")], capture_output=True, text=True,
                           env=dict(os.environ, SYSTEMD_UNIT_PATH=f"{self.dir}:"))
        return [line for line in p.stderr.splitlines()
                if self.dir in line or re.match(r"(iommucfg|simulation)[^ ]*:", line)]


@test
def units_verify():
    with Units() as u:
        assert u.verify() == [], u.verify()
        # It sees the drop-ins, and can fail.
        u.edit(f"{u.dir}/simulation.service.d/50-iommucfg.conf", ("ExecStartPre=", "ExecStartPer="))
        assert len(u.verify()) == 1, u.verify()
        u.edit(f"{u.dir}/iommucfg.service.d/50-agent.conf", ("20min", "20mim"))
        assert len(u.verify()) == 2, u.verify()


@test
def units_commands():
    """The assertion of the drop-in, and the report, on a host."""
    with Host(True) as h:
        policy = f"{AGENTS}/systemd/iommucfg-simulation.conf"
        with open(f"{AGENTS}/systemd/simulation.service.d/50-iommucfg.conf") as f:
            (argv,) = re.findall(r"^ExecStartPre=/usr/sbin/iommucfg (\w+) /etc/(\S+)$", f.read(), re.M)
        assert argv == ("assert", os.path.basename(policy)), argv
        h.run("assert", policy, code=2)
        h.run("apply", "--yes", policy, code=0)
        assert h.run("assert", policy, code=0).out == ""
        with open(f"{AGENTS}/systemd/iommucfg-report.service") as f:
            lines = re.findall(r"^ExecStart=-/bin/sh -c '/usr/sbin/iommucfg (.*) >/run/\S+\.json'$",
                               f.read(), re.M)
        assert len(lines) == 3, lines
        for line in lines:
            json.loads(h.run(*line.split()).out)


if __name__ == "__main__":
    sys.exit(main("agents"))
