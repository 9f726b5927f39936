# SPDX-License-Identifier: GPL-2.0
"""test_witness.py: what witness.py is to find is found, in histories that are written here."""
import base64
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = 'rules = ( { name = "gpu"; match = { vendor = 0x10de; }; type = "identity"; } );\n'
SLOT = {"host": "a", "machine": "m", "attempt": 1}


def rollout(*changing, state="running", most=1, name="r", policy="x"):
    return f"rollout/p/{name}", {"id": name, "policy": policy, "state": state, "max_changing": most,
                           "changing": list(changing)}


def grant(**more):
    return "grant/p/a", {"rollout": "r", "attempt": 1, "machine": "m", "live": True, **more}


def status(phase, end=None, host="a", **more):
    return f"status/p/{host}", {"rollout": "r", "attempt": 1, "machine": "m", "phase": phase,
                                **({"end": end} if end else {}), **more}


POLICY = ("policy/x", {"text": TEXT})
GOOD = [POLICY, rollout(), rollout(SLOT), grant(), status("changing"), status("unconfirmed"),
        status("ended", "done"), rollout()]
APPLIED = {"action": "apply", "result": "unconfirmed", "transaction": "fleet-r-1"}
CONFIRMED = {"action": "confirm", "result": "committed", "transaction": "fleet-r-1"}


def witness(events, history=(APPLIED, CONFIRMED), kind="identity", file=TEXT):
    with tempfile.TemporaryDirectory() as where:
        with open(f"{where}/history", "w", encoding="ascii") as f:
            for revision, (key, value) in enumerate(events, 1):
                kv = {"key": base64.b64encode(f"/iommucfg/v1/{key}".encode()).decode(),
                      "value": base64.b64encode(json.dumps(value).encode()).decode(),
                      "mod_revision": revision}
                f.write(json.dumps({"Events": [{"kv": kv}]}) + "\n")
        for path, text in (("var/lib/iommucfg/history", "".join(json.dumps(e) + "\n" for e in history)),
                           ("etc/iommucfg.d/50-fleet.conf", file),
                           ("sys/kernel/iommu_groups/1/type", kind + "\n")):
            if text is not None:
                os.makedirs(os.path.dirname(f"{where}/a/{path}"), exist_ok=True)
                with open(f"{where}/a/{path}", "w", encoding="ascii") as f:
                    f.write(text)
        return subprocess.run([sys.executable, f"{HERE}/witness.py", f"{where}/history",
                               f"a={where}/a"], stdout=subprocess.PIPE, text=True, check=False)


def without(*which):
    return [event for i, event in enumerate(GOOD) if i not in which]


CASES = [
    ("all is well", "", witness(GOOD)),
    ("it begins without a slot", "1:", witness(without(2))),
    ("two change at once", "1:", witness(GOOD[:5] + [status("changing", host="b")] + GOOD[5:])),
    ("more slots than allowed", "1:", witness(GOOD[:2] + [rollout(SLOT, {**SLOT, "host": "b"})] + GOOD[2:])),
    ("done without a proof", "2:", witness(without(5))),
    ("confirmed without a proof", "2:", witness([*GOOD[:5], status("ended", "reverted")],
                                                kind="DMA-FQ", file=None)),
    ("a slot in spite of a halt", "3:", witness([GOOD[0], rollout(state="halted"),
                                                 rollout(SLOT, state="halted"), *GOOD[3:]])),
    ("other types than it says", "4:", witness(GOOD, kind="DMA")),
    ("what had nothing to change is there", "", witness(
        [*GOOD, ("policy/y", {"text": TEXT + "#"}), rollout(name="s", policy="y"),
         status("ended", "nothing", rollout="s", attempt=2)], file=TEXT + "#")),
    ("what had nothing to change is not there", "4:", witness(
        [*GOOD, ("policy/y", {"text": TEXT + "#"}), rollout(name="s", policy="y"),
         status("ended", "nothing", rollout="s", attempt=2)])),
    ("another file than it says", "4:", witness(GOOD, file=None)),
    ("two commits in an attempt", "5:", witness(GOOD, (APPLIED, APPLIED, CONFIRMED))),
    ("it begins without a grant", "6:", witness(without(3))),
    ("the grant is not live", "6:", witness(GOOD[:3] + [grant(live=False)] + GOOD[4:])),
    ("the grant is another machine's", "6:", witness(GOOD[:3] + [grant(machine="x")] + GOOD[4:])),
    ("a commit without having begun", "6:", witness(GOOD[:4], kind="DMA-FQ", file=None,
                                                    history=(APPLIED,))),
    ("an attempt that goes back", "6:", witness([*GOOD, status("idle", attempt=0)])),
]


def main():
    print(f"1..{len(CASES)}")
    failed = False
    for number, (name, number_of, done) in enumerate(CASES, 1):
        lines = done.stdout.splitlines()[:-1]
        found = done.returncode == bool(number_of) and \
            (any(line.startswith(number_of) for line in lines) if number_of else not lines)
        failed |= not found
        print(f"{'' if found else 'not '}ok {number} - witness: {name}")
        for line in [] if found else done.stdout.splitlines():
            print(f"# {line}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
