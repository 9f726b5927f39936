#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Each command's options: what the parser takes, --help, the manual page and the completion.

	test_options.py IOMMUCFG STANDIN [NAME...]
"""
import functools
import glob
import os
import re
import subprocess

from harness import Host, main, test

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def file(name):
    with open(f"{TOP}/{name}") as f:
        return f.read()


@functools.cache
def source():
    return "".join(file(os.path.relpath(f, TOP)) for f in glob.glob(f"{TOP}/cmd/*.[ch]"))


@functools.cache
def known():
    """Every option that a command of the source has: its name, and if it has an argument."""
    found = re.findall(r'\{ "([a-z-]+)", (no|required|optional)_argument', source())
    assert len(dict(found)) > 20, found
    return dict(found)


@functools.cache
def letters():
    """Every short one."""
    found = re.findall(r'_SHORT\s+"([a-zA-Z:]+)"|cli_options\([^;"]*":?([a-zA-Z:]*)"', source())
    assert len(found) > 5, found
    return sorted(set("".join(a + b for a, b in found)) - {":"})


@functools.cache
def help_of(command):
    with Host() as h:
        return h.run(*command.split(), "--help", code=0).out


def commands():
    """All but fleet, which hands its words on."""
    found = re.findall(r"^  ([a-z]+) +", help_of("").split("Options of")[0], re.M)
    assert len(found) > 15, found
    return [c for c in found if c != "fleet"]


def helped(command):
    """Long options, and short ones, that --help has a line for."""
    lines = re.findall(r"^ +(?:(-[a-zA-Z]), +)?(--[a-z-]+)", help_of(command), re.M)
    return {o for line in lines for o in line if o}


@functools.cache
def parsed(command):
    """What the parser takes. Each is used in a wrong way, so that the command does nothing."""
    found = set()
    with Host() as h:
        for name, argument in known().items():
            word = f"--{name}" if argument == "required" else f"--{name}=?"
            said = " ".join(h.run(command, word, code=1).err.split())
            # Where "--all" is short for "--allow-in-use" that is what the message has.
            if argument == "optional":
                if "unknown option" not in said:
                    found.add(f"--{name}")
            elif re.search(rf"--{name} (needs an|takes no) argument", said):
                found.add(f"--{name}")
        for letter in letters():
            r = h.run(command, f"-{letter}", "--version=?")
            if f"unknown option -{letter}" not in " ".join(r.err.split()):
                found.add(f"-{letter}")
    return found


@test
def the_help():
    for command in commands():
        assert helped(command) == parsed(command), (command, helped(command) ^ parsed(command))
    for command in [*commands(), "", "fleet"]:
        for line in help_of(command).splitlines():
            assert len(line) <= 80 and line == line.rstrip(), (command, line)


@test
def the_completion():
    for command in commands():
        out = subprocess.run(["bash", "-c", """. completion/iommucfg
            COMP_WORDS=(iommucfg "$1" --); COMP_CWORD=2; _iommucfg
            printf '%s\\n' "${COMPREPLY[@]}" """, "bash", command], cwd=TOP, check=True,
                             capture_output=True, text=True).stdout.split()
        long = {o for o in parsed(command) if o.startswith("--")}
        assert set(out) == long and len(out) == len(set(out)), (command, set(out) ^ long)


def manual():
    """Of iommucfg(8): by command the options in its entry; by section of OPTIONS its commands and options."""
    page = file("man/iommucfg.8").replace("\\-", "-")
    entries, sections = {}, []
    for text in re.split(r"^\.TP\n", page.split("\n.SH COMMANDS")[1].split("\n.SH ")[0], flags=re.M):
        name = re.match(r'\s*\.BR?I? "?([a-z]+)', text)
        if name:
            entries.setdefault(name[1], set()).update(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", text))
    for text in re.split(r"^\.SS ", page.split("\n.SH OPTIONS")[1].split("\n.SH ")[0], flags=re.M)[1:]:
        title, text = text.split("\n", 1)
        heads = re.findall(r"^\.TP\n(.*)", text, re.M)
        options = {o for line in heads for o in re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", line)}
        sections.append((re.findall(r"[a-z]+", re.sub(r"\b(Of|alone|and)\b", "", title)), options))
    return entries, sections


@test
def the_manual_page():
    entries, sections = manual()
    assert sections[0][0] == ["every", "command"] and len(sections) > 4, sections
    sections[0][0][:] = commands()
    # Its text says which of these other commands take.
    guards = [s for s in sections if s[0] == ["apply", "set"]]
    assert guards, sections
    for command in commands():
        told = set(entries[command])
        for names, options in sections:
            if command in names:
                told |= options
                missing = options - parsed(command) - ({"--strict"} if command == "set" else set())
                assert not missing, (command, "does not take", missing)
        if command in ("plan", "assert", "rollback", "undo"):
            told |= guards[0][1]
        assert not parsed(command) - told, (command, parsed(command) - told)


if __name__ == "__main__":
    main("options")
