# SPDX-License-Identifier: GPL-2.0
"""Scenes that are a demo for a person who watches, or a test that prints TAP."""

import re
import subprocess
import sys
import textwrap
import time

COLUMNS = 80


class Failed(Exception):
    """Something is not as told, and what comes after it would mean nothing."""


class Stage:
    """What is told, shown and checked; of a test only the last is for its reader."""

    def __init__(self, demo, directory, env):
        self.demo = demo
        self.directory = directory
        self.env = env
        self.passed = self.failed = 0
        self._scene = None
        colour = demo and sys.stdout.isatty()
        self._styles = {name: f'\033[{code}m' if colour else '' for name, code in
                        (('bold', 1), ('dim', 2), ('red', 31), ('green', 32), ('cyan', 36),
                         ('off', 0))}

    def _print(self, style, text):
        if self.demo:
            print(f'{self._styles[style]}{text}{self._styles["off"] if style != "off" else ""}',
                  flush=True)

    def title(self, text):
        """A scene begins."""
        self.over()
        self._scene = time.monotonic()
        if self.demo:
            self._print('bold', f'\n{text}\n')
        else:
            print(f'# {text}', flush=True)

    def over(self):
        """The scene before, if any, is over."""
        if self._scene:
            self._print('dim', f'({time.monotonic() - self._scene:.0f} s)')
        self._scene = None

    def tell(self, text):
        """What the reader should know."""
        self._print('off', textwrap.fill(' '.join(text.split()), COLUMNS))

    def _show(self, output):
        for line in output.splitlines():
            self._print('off', line)

    def do(self, command, wanted=0):
        """A command on this machine, as typed. What it said."""
        self._print('cyan', f'# {command}')
        done = subprocess.run(command, shell=True, check=False, cwd=self.directory, env=self.env,
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=600)
        return self._ended(command, done.returncode, done.stdout, wanted)

    def on(self, host, command, wanted=0):
        """The same at the console of one of the hosts."""
        self._print('cyan', f'{host.name}# {command}')
        return self._ended(command, *host.run(command), wanted)

    def _ended(self, command, status, output, wanted):
        self._show(output)
        if status != wanted:
            self.must(f'"{command}" ends with {wanted}', f'{status}: {output}', wanted)
        return output

    def must(self, what, got, wanted=True):
        """It is so, or the rest is pointless."""
        good = got == wanted
        self.passed += good
        self.failed += not good
        if self.demo:
            self._print('green' if good else 'red', f'{"✓" if good else "✗"} {what}')
        else:
            print(f'{"ok" if good else "not ok"} {self.passed + self.failed} - {what}', flush=True)
        if not good:
            for line in f'{got!r} instead of {wanted!r}'.splitlines():
                print(f'# {line}', flush=True)
            raise Failed(what)

    def must_say(self, what, output, pattern):
        """That is in what was said."""
        self.must(what, output if not re.search(pattern, output) else True)

    def tally(self):
        """For who adds up."""
        if not self.demo:
            print(f'1..{self.passed + self.failed}')
            print(f'{self.passed} passed, {self.failed} failed, 0 skipped')
