# SPDX-License-Identifier: GPL-2.0
"""Which QEMU a machine runs in: the host's, or a newer one of Debian's backports."""

import functools
import os
import pathlib
import re
import subprocess

LAB = pathlib.Path(__file__).resolve().parent.parent


class QemuError(Exception):
    """No QEMU here is new enough; the text says why."""


def parse(text):
    """A version as a pair of numbers."""
    major, minor = text.split('.')[:2]
    return int(major), int(minor)


@functools.cache
def version(program):
    """Its version as a pair of numbers; (0, 0) where there is none."""
    try:
        told = subprocess.run([program, '--version'], check=False, text=True,
                              stdout=subprocess.PIPE).stdout
    except FileNotFoundError:
        told = ''
    found = re.search(r'version (\d+\.\d+)', told)
    return parse(found[1]) if found else (0, 0)


@functools.cache
def command(arch, since):
    """How a command begins that runs a QEMU of this version, or of LAB_QEMU, or a later one."""
    since = max(since, parse(os.environ.get('LAB_QEMU') or '0.0'))
    host = f'qemu-system-{arch}'
    if version(host) >= since:
        return [host]
    wanted = 'QEMU {}.{} is needed, and this host has {}.{}'.format(*since, *version(host))
    if arch != 'x86_64':
        raise QemuError(wanted)
    done = subprocess.run([LAB / 'qemu-backports'], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise QemuError(f'{wanted}: {done.stderr.strip().splitlines()[-1]}')
    usr = pathlib.Path(done.stdout.strip()) / 'usr'
    newer = str(usr / f'bin/{host}')
    if version(newer) < since:
        raise QemuError(wanted + '; backports have {}.{}'.format(*version(newer)))
    return [newer, '-L', str(usr / 'share/qemu'), '-L', str(usr / 'share/seabios')]


def threads(program):
    """How TCG runs the CPUs: a thread for each ("multi"), or one for all ("single").

    Before QEMU 8.2, when one CPU changed the memory map (by a BAR that moves, by a
    device that comes), the others had the new map at once, and their TLBs, which hold
    indices into it, until a moment later: in between, what they wrote to a device's
    registers went to another device, or nowhere. Seen as disks that lose a command,
    interprocessor interrupts that never arrive, and assertions in QEMU; mended by
    "softmmu: Use async_run_on_cpu in tcg_commit". With one thread there is no in between.
    """
    return os.environ.get('LAB_TCG') or ('multi' if version(program) >= (8, 2) else 'single')
