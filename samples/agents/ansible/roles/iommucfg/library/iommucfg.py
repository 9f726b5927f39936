#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs iommucfg for a play, and tells truthfully what it did.

A module and not a few tasks with ansible.builtin.command, as only a module can do in
check mode what --check asks for (plan instead of apply), and show groups in --diff.
"""
import glob
import json
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: iommucfg
short_description: Check, plan, apply and confirm a policy of IOMMU group types
description:
  - Runs iommucfg(8) with --json. What its exit status and document say becomes the
    result of the task.
  - In check mode I(action=apply) is a plan, and I(action=confirm) does nothing.
options:
  action:
    description: What to do. C(check) looks at the policy alone, C(plan) at the machine, too.
    choices: [check, plan, apply, confirm]
    required: true
    type: str
  command:
    description: The program.
    default: iommucfg
    type: str
  root:
    description: Directory that stands for /, as with --root. Empty is the machine itself.
    default: ""
    type: str
  candidate:
    description:
      - Text of a policy file that is not installed yet. I(action=check) and I(action=plan),
        and in check mode I(action=apply), look at the system's policy as if I(dest) had it.
    type: str
  dest:
    description: The file that I(candidate) will be, without I(root).
    type: path
  allow_in_use:
    description: As --allow-in-use. Where it is not given the policy decides.
    type: list
    elements: str
    choices: [net, default-route, block, mounted, other]
  disruption:
    description: As --disruption. Where it is not given the policy decides.
    type: str
    choices: [none, pause, rebind]
  confirm_timeout:
    description: As --confirm-timeout. Where it is not given the policy decides.
    type: int
  settle:
    description: As --settle.
    type: int
  skip_in_use:
    description: As --skip-in-use.
    default: false
    type: bool
  transaction:
    description: What to confirm.
    type: str
"""

RETURN = r"""
result:
  description: The document's C(result).
  type: str
exit_status:
  description: The program's exit status, see iommucfg(8).
  type: int
changes:
  description: Groups that changed, or in check mode would change.
  type: list
left_out:
  description: The document's C(skipped), groups that were left out as they are in use.
  type: list
problems:
  description: The document's C(problems).
  type: list
transaction:
  description: Name of the transaction; one that is unconfirmed has to be confirmed by it.
  type: str
options:
  description: What the policy's own options are (check).
  type: dict
"""

ENDS = {
    1: "wrong policy, input or system",
    3: "refused, nothing was touched",
    4: "tried and failed, everything is as before",
    5: "could not be restored in full, needs a person",
}


def files(module):
    """The system's policy in the order in which iommucfg reads it, "-" being the candidate."""
    root, dest = module.params["root"].rstrip("/"), module.params["dest"]
    mine = root + os.path.normpath(dest)
    directory = f"{root}/etc/iommucfg.d"
    found = {p for p in glob.glob(f"{glob.escape(directory)}/*.conf")} | {mine}
    main = f"{root}/etc/iommucfg.conf"
    found.discard(main)
    names = sorted(found, key=os.fsencode)
    if main == mine or os.path.lexists(main):
        names.insert(0, main)
    return ["-" if name == mine else name for name in names]


def words(module, action):
    p = module.params
    argv = [p["command"], action, "--json"]
    if p["root"]:
        argv += ["--root", p["root"]]
    if action in ("plan", "apply"):
        if p["allow_in_use"] is not None:
            argv += ["--allow-in-use", ",".join(p["allow_in_use"])]
        if p["disruption"] is not None:
            argv += ["--disruption", p["disruption"]]
        if p["confirm_timeout"] is not None:
            argv += ["--confirm-timeout", str(p["confirm_timeout"])]
        if p["skip_in_use"]:
            argv.append("--skip-in-use")
    if action == "apply":
        # Who is to confirm a change is the play, not somebody whom this task waits for.
        argv += ["--yes", "--detach"]
        if p["settle"] is not None:
            argv += ["--settle", str(p["settle"])]
    if action == "confirm":
        argv.append(p["transaction"])
    elif p["candidate"] is not None and action != "apply":
        argv += files(module)
    return argv


def describe(problem):
    where = ""
    if problem["file"]:
        where = problem["file"] if problem["line"] is None else "%(file)s:%(line)s" % problem
        where += ": "
    return where + problem["message"]


def diff(changes):
    """The groups as two lists of types, as --diff shows files."""
    def text(key):
        return "".join("group %s (%s): %s\n" % (c["group"], ", ".join(d["name"] for d in c["devices"]),
                                                c[key]) for c in changes)
    return {"before_header": "types of IOMMU groups", "after_header": "types of IOMMU groups",
            "before": text("from"), "after": text("to")}


def main():
    module = AnsibleModule(
        supports_check_mode=True,
        argument_spec={
            "action": {"type": "str", "required": True,
                       "choices": ["check", "plan", "apply", "confirm"]},
            "command": {"type": "str", "default": "iommucfg"},
            "root": {"type": "str", "default": ""},
            "candidate": {"type": "str"},
            "dest": {"type": "path"},
            "allow_in_use": {"type": "list", "elements": "str", "choices": ["net", "default-route", "block", "mounted", "other"]},
            "disruption": {"type": "str", "choices": ["none", "pause", "rebind"]},
            "confirm_timeout": {"type": "int"},
            "settle": {"type": "int"},
            "skip_in_use": {"type": "bool", "default": False},
            "transaction": {"type": "str"},
        },
        required_if=[("action", "confirm", ["transaction"])],
        required_by={"candidate": ["dest"]},
    )
    action = module.params["action"]
    dry = module.check_mode and action in ("apply", "confirm")
    if dry and action == "confirm":
        module.exit_json(changed=False)

    argv = words(module, "plan" if dry else action)
    # Without data the program would have our own standard input, a terminal perhaps.
    data = (module.params["candidate"] or "\n") if "-" in argv else None
    code, out, err = module.run_command(argv, data=data, binary_data=True)
    try:
        document = json.loads(out)
    except ValueError:
        # Wrong usage has no document; nor has what is no iommucfg.
        module.fail_json(msg=f"iommucfg: exit status {code}: {err.strip() or out.strip()}",
                         exit_status=code, cmd=argv)

    problems = document["problems"] + document.get("conflicts", [])
    result = {
        "changed": False,
        "exit_status": code,
        "problems": problems,
        "result": document["result"],
    }
    # A result with "skipped" would be that of a task which did not run.
    for key, name in (("changes", "changes"), ("skipped", "left_out"),
                      ("transaction", "transaction"), ("options", "options")):
        if key in document:
            result[name] = document[key]
    if code not in (0, 2):
        said = "; ".join(map(describe, problems)) or err.strip()
        module.fail_json(msg=f"iommucfg: {ENDS.get(code, f'exit status {code}')}: {said}", **result)

    changes = document.get("changes", [])
    if dry:
        result["changed"] = bool(changes)
    elif action == "apply":
        result["changed"] = document["result"] in ("committed", "unconfirmed")
    if action == "apply" and result["changed"]:
        result["diff"] = diff(changes)
    for problem in problems:
        module.warn("iommucfg: " + describe(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
