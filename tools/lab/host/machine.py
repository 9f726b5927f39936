# SPDX-License-Identifier: GPL-2.0
"""Machine files: what a named machine consists of, as QEMU arguments."""

import math
import os
import pathlib
import shutil

import qemu

MACHINES = pathlib.Path(__file__).resolve().parent.parent / 'machines'

# What differs between architectures: the kernel, and where the guest finds its ports.
ARCHES = {
    'x86_64': {
        'kernel': 'stock',
        'console': 'ttyS0', 'tap': 'ttyS1', 'host': 'ttyS2',
        'append': ['console=ttyS0,115200'],
    },
    'aarch64': {
        'kernel': 'arm64',
        'console': 'ttyAMA0', 'tap': 'vport0p1', 'host': 'vport0p2',
        'append': ['console=ttyAMA0'],
    },
}


class MachineError(Exception):
    """A machine file that cannot be used; the text says where and why."""


class Machine:
    """One machine file, parsed."""

    def __init__(self, name):
        self.name = name
        self.arch = 'x86_64'
        self.memory = '1G'
        self.cpus = 2
        self.icount = None      # an instruction takes 2^icount ns of the guest's time
        self.patience = 1       # deadlines are so many times as long
        self.append = []
        self.modules = []
        self.disks = []         # (name, size)
        self.groups = []        # the lines as the guest gets them
        self.qemu = []
        self.qemu_since = (0, 0)    # the first version that has what it needs
        self.about = ''
        self._nics = 0
        path = MACHINES / name
        if not path.is_file():
            raise MachineError(f'no machine "{name}"; there are: {" ".join(names())}')
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith('#') and not self.about and 'SPDX' not in line:
                self.about = line.lstrip('# ')
            words = line.split('#')[0].split()
            if words:
                self._keyword(f'{path.name}:{number}', words[0], words[1:])
        if self.arch not in ARCHES:
            raise MachineError(f'{name}: unknown arch "{self.arch}"')

    def _keyword(self, where, key, args):
        if key in ('arch', 'memory', 'icount'):
            setattr(self, key, args[0])
        elif key in ('cpus', 'patience'):
            setattr(self, key, int(args[0]))
        elif key == 'qemu-since':
            self.qemu_since = qemu.parse(args[0])
        elif key in ('append', 'modules', 'qemu'):
            getattr(self, key).extend(args)
        elif key == 'disk':
            name, size = args
            self.disks.append((name, size))
        elif key == 'device':
            self.qemu += ['-device', args[0]]
        elif key == 'nic':
            model, ident = args[0], args[1]
            self._nics += 1
            mac = f'52:54:00:12:34:{self._nics:02x}'
            self.qemu += ['-netdev', f'hubport,id={ident},hubid=0', '-device',
                          ','.join([model, f'id={ident}', f'netdev={ident}',
                                    f'mac={mac}', 'romfile='] + args[2:])]
        elif key == 'group':
            self.groups.append(' '.join(args))
        else:
            raise MachineError(f'{where}: unknown keyword "{key}"')

    @property
    def kernel(self):
        """The kernel that it boots if nobody says otherwise."""
        return ARCHES[self.arch]['kernel']

    @property
    def program(self):
        """How QEMU's command begins; fails where there is none that is new enough."""
        return qemu.command(self.arch, self.qemu_since)

    def boots(self, kernel):
        """True for a kernel of its architecture: only arm64's are named after it."""
        return kernel.startswith('arm64') == (self.arch == 'aarch64')

    def patience_with(self, kernel):
        """By how much all deadlines are longer: for the machine, for a kernel (its
        directory) that checks much, for a host that is busy (LAB_PATIENCE)."""
        path = kernel / 'patience'
        slow = float(path.read_text()) if path.exists() else 1
        return self.patience * slow * float(os.environ.get('LAB_PATIENCE') or 1)

    def append_with(self, kernel):
        """What the machine and a kernel (its directory) have on the command line."""
        path = kernel / 'append'
        return self.append + (path.read_text().split() if path.exists() else [])

    @property
    def ports(self):
        """The names of the guest's console, tap and host ports."""
        return ARCHES[self.arch]

    def command_line(self, mode, kernel):
        """The command line of a kernel (its directory); mode is tests or shell."""
        size = shutil.get_terminal_size()
        patience = math.ceil(self.patience_with(kernel))
        # Problems should show themselves: every message printed, a hang reported
        # early, an oops final. The hardlockup detector needs a PMU that TCG lacks. A host
        # that stands still for half a minute is no stall of the guest's.
        return ' '.join(ARCHES[self.arch]['append'] + [
            'panic=-1', 'oops=panic', 'printk.devkmsg=on',
            f'sysctl.kernel.hung_task_timeout_secs={45 * patience}',
            f'rcupdate.rcu_cpu_stall_timeout={min(300, 60 * patience)}',
            f'watchdog_thresh={min(60, 30 * patience)}', 'nokaslr',
            'loglevel=8 ignore_loglevel' if mode == 'tests' else 'quiet loglevel=4',
            f'lab.mode={mode}', f'lab.machine={self.name}', f'lab.patience={patience}',
            f'lab.long={int(os.environ.get("LAB_LONG") or 1)}',
            f'lab.columns={size.columns}', f'lab.rows={size.lines}',
            f'lab.tap={self.ports["tap"]}', f'lab.host={self.ports["host"]}',
        ] + ([f'lab.modules={",".join(self.modules)}'] if self.modules else [])
            + self.append_with(kernel))


def names():
    """All machines, sorted."""
    return sorted(p.name for p in MACHINES.iterdir() if p.is_file())
