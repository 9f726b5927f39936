# SPDX-License-Identifier: GPL-2.0
"""Guests that are hosts of a fleet: each with an agent that reaches etcd on this machine."""

import os
import pathlib
import queue
import struct
import subprocess
import tempfile
import threading
import time

import runner
from guest import Guest, GuestError
from machine import Machine
from result import Result

TREE = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path(__file__).resolve().parent

# A card whose DMA goes astray has its driver say so.
KLOG_ALLOW = r'e1000e|NETDEV WATCHDOG'

AGENT = '''store = {{
	kind = "etcd";
	endpoints = [ {endpoints} ];
	ca = "/etc/iommucfg/fleet/ca.crt";
	cert = "/etc/iommucfg/fleet/agent.crt";
	key = "/etc/iommucfg/fleet/agent.key";
}};
name = "{name}";
pool = "default";
limits = {{ allow_in_use = [ "net" ]; }};
start_jitter = 0;
report_interval = 10;
'''

# A check of the host's own that can take its time.
PROBE = '''#!/bin/sh
while [ -e /run/hold ]; do sleep 1; done
'''


def wrong_dmar():
    """QEMU's ACPI table about the IOMMU, but for all buses. A kernel takes it from its
    initramfs in the place of a table with the same names and a smaller revision."""
    unit = struct.pack('<HHBBHQ', 0, 16, 1, 0, 0, 0xfed90000)
    body = struct.pack('<BB10x', 38, 0) + unit
    head = struct.pack('<4sIBB6s8sI4sI', b'DMAR', 36 + len(body), 1, 0, b'BOCHS ', b'BXPC    ',
                       2, b'BXPC', 1)
    table = bytearray(head + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


def archive(kernel, name, files, *programs):
    """An archive of the initramfs with these files: its path."""
    out = runner.cache() / 'initramfs' / f'fleet.{os.getpid()}.{name}'
    with tempfile.TemporaryDirectory(prefix='fleet.') as directory:
        for path, (content, mode) in files.items():
            to = pathlib.Path(directory) / path
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(content)
            to.chmod(mode)
        subprocess.run([TREE / 'tools/lab/initramfs', 'more', kernel, out, directory, *programs],
                       check=True)
    return out


class Host:
    """A guest, and its console. A thread of its own serves what the guest says."""

    def __init__(self, name, kernel, archives, logs):
        self.name = name
        self.klog = Result(name, KLOG_ALLOW)
        self._asked = False         # the guest waits for a command
        self._command = self._lines = self._status = None
        self._changed = threading.Condition()
        self._jobs = queue.SimpleQueue()
        self._error = None
        machine = Machine('fleet')
        self._patience = machine.patience_with(kernel)
        logs.mkdir()
        self._guest = Guest(machine, kernel, archives, logs, 'tests')
        self._guest.on_tap, self._guest.on_klog = self._tap, self.klog.klog
        self._guest.on_host = self._request
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        try:
            while True:
                while not self._jobs.empty():
                    job = self._jobs.get()
                    if not job:
                        return
                    job()
                if not self._guest.step(0.2):
                    raise GuestError(f'{self.name} has ended')
        except (GuestError, OSError) as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _request(self, words):
        if words == ['next']:
            return 'run host.sh 36000 plain 80'
        with self._changed:
            self._asked = True
            self._changed.notify_all()
        return self._answer()

    def _answer(self):
        """The command for the guest, once there is one."""
        if not self._asked or not self._command:
            return None
        line, self._command, self._asked = self._command, None, False
        return f' {line}\nok'

    def _send(self):
        answer = self._answer()
        if answer:
            self._guest.reply(answer)

    def _tap(self, line):
        with self._changed:
            if line.startswith(' ') and self._lines is not None:
                self._lines.append(line[1:])
            elif line.startswith('end '):
                self._status = int(line.split()[1])
                self._changed.notify_all()

    def _wait(self, what, condition, seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._error or condition(), seconds * self._patience)
            if self._error:
                raise self._error
            if not condition():
                raise GuestError(f'{self.name}: {what}: not within '
                                 f'{seconds * self._patience:.0f} s')

    def wait_up(self):
        """Until it has booted."""
        self._wait('boot', lambda: self._asked, 180)

    def run(self, command, seconds=60):
        """A command line of the guest's shell: status, and what it said."""
        self._wait('a command before', lambda: self._asked, seconds)
        with self._changed:
            self._lines, self._status, self._command = [], None, command
        self._jobs.put(self._send)
        self._wait(command, lambda: self._status is not None, seconds)
        return self._status, '\n'.join(self._lines)

    def cut_power(self):
        """Off, and on again at once. Nothing is written before."""
        self._wait('a command before', lambda: self._asked, 60)
        done = threading.Event()

        def job():
            self._asked = False
            self._guest.reset()
            done.set()

        self._jobs.put(job)
        if not done.wait(60):
            raise GuestError(f'{self.name}: QEMU does not reset it')

    def close(self):
        """The end of it."""
        self._jobs.put(None)
        self._thread.join(60)
        self._guest.close()


class Fleet:
    """The hosts, booted side by side."""

    def __init__(self, names, users, endpoints):
        """users: the directory with certificates; endpoints: as seen on this machine."""
        self.hosts = {}
        self._archives = []
        self.logs = runner.new_logs('fleet')
        try:
            self._start(names, pathlib.Path(users), endpoints)
        except BaseException:
            self.close()
            raise

    def _start(self, names, users, endpoints):
        kernel, self._archives = runner.prepare(os.environ.get('LAB_KERNEL') or 'stock')
        shared = {
            'kernel/firmware/acpi/DMAR.aml': (wrong_dmar(), 0o644),
            'lab/tests/host.sh': ((HERE / 'host.sh').read_bytes(), 0o755),
            'etc/iommucfg/fleet.d/takes-time': (PROBE.encode(), 0o755),
        }
        for name, file in (('ca.crt', 'ca.crt'), ('agent.crt', 'pool-default.crt'),
                           ('agent.key', 'pool-default.key')):
            shared[f'etc/iommucfg/fleet/{name}'] = ((users / file).read_bytes(), 0o600)
        agent = f'{TREE}/tools/fleet/iommucfgd:usr/sbin/iommucfgd'
        self._archives.insert(-1, archive(kernel, 'all', shared, agent))
        # QEMU's user network has this machine's loopback interface there.
        quoted = ', '.join(f'"{e.replace("127.0.0.1", "10.0.2.2")}"' for e in endpoints)
        for number, name in enumerate(names, 1):
            own = archive(kernel, name, {
                'etc/machine-id': (f'{number:032x}\n'.encode(), 0o644),
                'etc/iommucfg/agent.conf':
                    (AGENT.format(name=name, endpoints=quoted).encode(), 0o644),
            })
            self._archives.insert(-1, own)
            self.hosts[name] = Host(name, kernel, self._archives[:2] + [own, self._archives[-1]],
                                    self.logs / name)

    def close(self):
        """The end of all of them."""
        for host in self.hosts.values():
            host.close()
        # The first one is shared with others.
        for path in self._archives[1:]:
            path.unlink()


def until(what, condition, seconds):
    """Waits until it is so; returns what the condition returned."""
    end = time.monotonic() + seconds * float(os.environ.get('LAB_PATIENCE') or 1)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise GuestError(f'{what}: it does not come to that')
        time.sleep(0.5)
