# SPDX-License-Identifier: GPL-2.0
"""A machine that boots an installed Debian from its disk, and a shell in it.

There is no boot loader: kernel and initramfs image are taken from the disk's /boot before
each boot, so that the image is the one that the guest has made. What QEMU wrote is on
the disk when QEMU is killed, as with a disk that has no cache of its own.
"""

import base64
import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import time

from gdbstub import Stub
from guest import GuestError, Qemu
from qemu import threads

LAB = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or
                     pathlib.Path.home() / '.cache') / 'iommu-configfs'
PATIENCE = float(os.environ.get('LAB_PATIENCE') or 1)

# The devices, each behind a root port and so in a group of its own, and an empty port.
DEVICES = [
    'intel-iommu,intremap=off',
    'pcie-root-port,id=rp1,bus=pcie.0,addr=0x2.0,chassis=1,slot=1,multifunction=on',
    'nvme,id=root,drive=root,serial=root,bus=rp1',
    'pcie-root-port,id=rp2,bus=pcie.0,addr=0x2.1,chassis=2,slot=2',
    'nvme,id=data,drive=data,serial=data,bus=rp2',
    'pcie-root-port,id=rp3,bus=pcie.0,addr=0x2.2,chassis=3,slot=3',
    'e1000e,id=nic0,netdev=nic0,bus=rp3,mac=52:54:00:12:34:01,romfile=',
    'pcie-root-port,id=rp4,bus=pcie.0,addr=0x2.3,chassis=4,slot=4',
]

COMMAND_LINE = 'root=LABEL=root ro console=ttyS0,115200 quiet intel_iommu=on mitigations=off'


class Unable(Exception):
    """The lane cannot run here; the text says why."""


def tool(args, check=True):
    """Runs a program on the disk's image: what it says."""
    done = subprocess.run(args, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors='replace',
                          timeout=600 * PATIENCE)
    if check and done.returncode:
        raise GuestError(f'{args[0]} ended with {done.returncode}: {done.stdout.strip()}')
    return done.stdout


def recover(path):
    """The file system of a disk gets what its journal has."""
    done = subprocess.run(['e2fsck', '-p', path], check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600)
    if done.returncode > 1:
        raise GuestError(f'e2fsck: {done.stdout.strip()}')


def image():
    """The directory with the disk on which our packages are installed."""
    done = subprocess.run([LAB / 'debian/image'], check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode:
        text = done.stderr.strip()
        if 'SKIP: ' in text:
            raise Unable(text.split('SKIP: ')[1])
        raise GuestError(text)
    return pathlib.Path(done.stdout.strip())


class Root:
    """The files of such a disk before anything was booted from it, to be changed."""

    def __init__(self, path):
        self.path = path

    def run(self, *command, check=True):
        """Runs a program in it, as on the machine but without a kernel of its own: what it says."""
        return tool([LAB / 'debian/inside', self.path, *command], check)

    def write(self, name, text):
        """A file in it."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def make(self, disk):
        """The disk has these files now."""
        tool([LAB / 'debian/disk', self.path, disk.path])


@contextlib.contextmanager
def unpacked(source, directory):
    """The root file system of an image's directory, for as long as it is looked at."""
    root = directory / 'root'
    root.mkdir()
    try:
        tool(['tar', '-xf', source / 'root.tar', '-C', root, '--numeric-owner'])
        yield Root(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


class Running(Qemu):
    """One boot. With stops, the machine stands still at each of stops.functions, as
    Stub.only() takes them, for as long as stops.here(stop) takes."""

    def __init__(self, disk, append, logs, stops=None):
        super().__init__()
        self._stops, self._stub = stops, None
        self.boot_id = None
        self.console = []
        self._number = random.randrange(1 << 30)
        self._answer = None         # lines of the command that is being run
        self._ended = None          # its status
        try:
            self._start(disk, append, logs)
        except BaseException:
            self.close()
            raise

    def _start(self, disk, append, logs):
        for path in ('vmlinuz', 'initrd.img'):
            # A link to the newest one, as for a boot loader.
            name = tool(['debugfs', '-R', f'stat /{path}', disk.path])
            target = name.split('Fast link dest: "')[1].split('"')[0]
            tool(['debugfs', '-R', f'dump /{target} {self._dir / path}', disk.path])
            if not (self._dir / path).stat().st_size:
                raise GuestError(f'there is no /{target} on the disk')
        program = 'qemu-system-x86_64'
        args = [program, '-accel', f'tcg,thread={threads(program)}',
                '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none',
                '-M', 'q35', '-cpu', 'qemu64,-svm', '-m', '1280M', '-smp', str(disk.cpus),
                '-kernel', str(self._dir / 'vmlinuz'), '-initrd', str(self._dir / 'initrd.img'),
                '-append', ' '.join([COMMAND_LINE] + append.split()),
                *self._wire('qmp', logs), '-mon', 'chardev=qmp,mode=control',
                *self._wire('console', logs), '-serial', 'chardev:console',
                *self._wire('wire', logs), '-serial', 'chardev:wire']
        for name, path in (('root', disk.path), ('data', disk.data)):
            # Nobody's power goes but QEMU's.
            args += ['-blockdev', f'driver=raw,node-name={name},file.driver=file,'
                     f'file.filename={path},cache.no-flush=on']
        args += ['-netdev', 'hubport,id=nic0,hubid=0', '-netdev', 'hubport,id=nic1,hubid=0']
        for device in DEVICES:
            args += ['-device', device]
        if self._stops:
            args += [*self._wire('gdb', logs), '-gdb', 'chardev:gdb', '-S']
        self._launch(args, logs)
        if self._stops:
            self._stub = Stub(self.wires['gdb'])
            self._stub.only(self._stops.functions)
            self._stub.run()

    def _dispatch(self, name, line):
        if name == 'console':
            self.console.append(line)
        elif name == 'wire':
            if line.startswith('ready '):
                self.boot_id = line.split()[1]
            elif self._answer is not None and line.startswith(' '):
                self._answer.append(line[1:])
            elif self._answer is not None and line.startswith(f'end {self._number} '):
                self._ended = int(line.split()[2])

    def _rest(self, name, wire):
        if name == 'gdb' and self._stub:
            stop = self._stub.stop()
            if stop:
                self._stops.here(stop)
                self._stub.go_on(stop)

    def watch(self):
        """The stops have other functions now."""
        self._stub.halt()
        self._stub.only(self._stops.functions)
        self._stub.run()

    def writes(self):
        """How often the guest has written to its disk."""
        return next(node['stats']['wr_operations']
                    for node in self._qmp('query-blockstats')['return']
                    if node.get('node-name') == 'root')

    def wait(self, condition, seconds, what):
        """Until that is so, in bounded time."""
        end = time.monotonic() + seconds * PATIENCE
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise GuestError(f'{what}: not within {seconds * PATIENCE:.0f} s')
            if not self.step(min(left, 1)):
                if condition():
                    return
                raise GuestError(f'{what}: QEMU has ended')

    def send(self, command):
        """Begins a command."""
        self._number += 1
        self._answer, self._ended = [], None
        code = base64.b64encode(command.encode()).decode()
        self.wires['wire'].send(f'{self._number} {code}\n')

    def run(self, command, seconds=60):
        """Runs a command of the guest's bash: (status, what it said)."""
        self.send(command)
        self.wait(lambda: self._ended is not None, seconds, f'"{command[:60]}"')
        answer, self._answer = self._answer, None
        return self._ended, '\n'.join(answer)

    def let(self, seconds):
        """Lets it go on for that time, or to its end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.step(min(end - time.monotonic(), 1)):
            pass

    def plug(self, device):
        """Adds a device, as -device takes it."""
        told = self._change(f'device_add {device}').strip()
        if told:
            raise GuestError(told)

    def wait_end(self, seconds, what):
        """Until QEMU ends by itself."""
        end = time.monotonic() + seconds * PATIENCE
        while self.step(1):
            if time.monotonic() > end:
                raise GuestError(f'{what}: not within {seconds * PATIENCE:.0f} s')
        self.close(30)


class Disk:
    """A disk of its own, copied from one that has been installed, and what boots from it."""

    def __init__(self, source, directory, logs):
        self.path, self.data = directory / 'disk.img', directory / 'data.img'
        self.cpus = 1
        self.boots = 0
        self._logs = logs
        self.load(source)
        with open(self.data, 'wb') as data:
            data.truncate(64 << 20)

    def save(self, path):
        """Keeps the disk as it is now; not while a machine runs from it."""
        tool(['cp', '--sparse=always', '--reflink=auto', self.path, path])

    def load(self, path):
        """Makes the disk what was kept."""
        tool(['cp', '--sparse=always', '--reflink=auto', path, self.path])

    def boot(self, append='', stops=None):
        """Starts a machine from the disk; its file system gets what its journal has."""
        recover(self.path)
        self.boots += 1
        logs = self._logs / f'boot{self.boots}'
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        return Running(self, append, logs, stops)
