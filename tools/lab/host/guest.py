# SPDX-License-Identifier: GPL-2.0
"""One QEMU process and the wires to it.

Everything that the guest says arrives line by line in step()'s callbacks: the
kernel log, what tests print, and requests to the host. The wires are Unix
sockets that we listen on and QEMU connects to, so that nothing is lost at start.
"""

import json
import os
import pathlib
import select
import selectors
import shutil
import socket
import subprocess
import tempfile
import time

from qemu import threads

# It answers at once; but the host may be busy, or stand still for a while.
QMP_PATIENCE = 300


class GuestError(Exception):
    """The guest could not be started, or QEMU ended unexpectedly."""


class Wire:
    """A byte stream cut into lines, copied to a log file."""

    def __init__(self, directory, name, log=None):
        self.path = directory / name
        self._listen = socket.socket(socket.AF_UNIX)
        self._listen.bind(str(self.path))
        self._listen.listen(1)
        self._listen.settimeout(1)
        self.conn = None
        self._rest = b''
        self._log = open(log, 'wb', buffering=0) if log else None

    def accept(self, process):
        """Takes QEMU's connection, for as long as it runs and a minute at most."""
        for _ in range(60):
            try:
                self.conn, _ = self._listen.accept()
                self._listen.close()
                return
            except socket.timeout:
                if process.poll() is not None:
                    break
        raise GuestError(f'QEMU did not open {self.path.name}')

    def lines(self):
        """Reads what is there; returns whole lines, or None at the end."""
        try:
            data = self.conn.recv(65536)
        except ConnectionResetError:
            data = b''
        if not data:
            return None
        if self._log:
            self._log.write(data)
        *whole, self._rest = (self._rest + data).split(b'\n')
        return [w.decode(errors='replace').rstrip('\r') for w in whole]

    def part(self):
        """What is there of a line that has no end yet, up to a whole character."""
        return self._rest.decode(errors='ignore')

    def take(self):
        """The same, and it is read."""
        data, self._rest = self._rest, b''
        return data

    def send(self, text):
        """Sends text as it is."""
        self.conn.sendall(text.encode())

    def close(self):
        """Closes everything."""
        for item in (self.conn, self._log):
            if item:
                item.close()


class Qemu:
    """A QEMU process, its monitor, and what its wires bring."""

    def __init__(self):
        self._dir = pathlib.Path(tempfile.mkdtemp(prefix='lab.'))
        self._process = None
        self.wires = {}

    def _wire(self, name, logs):
        """A wire to what QEMU is told to call by that name: its arguments for that."""
        self.wires[name] = Wire(self._dir, name, logs / f'{name}.log')
        return ['-chardev', f'socket,id={name},path={self.wires[name].path}']

    def cpu(self):
        """Seconds of CPU time that QEMU has used until now."""
        fields = pathlib.Path(f'/proc/{self._process.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def pin(self, one):
        """Lets QEMU run on all CPUs, or on one only: what then looks at memory that the guest
        writes never runs at the same time as the guest."""
        cpus = sorted(os.sched_getaffinity(0))
        chosen = {cpus[self._process.pid % len(cpus)]} if one else cpus
        for thread in pathlib.Path(f'/proc/{self._process.pid}/task').iterdir():
            try:
                os.sched_setaffinity(int(thread.name), chosen)
            except ProcessLookupError:
                pass            # it has ended

    def _launch(self, args, logs, quiet=True):
        """Starts it, and takes what it opens; one of the wires is named qmp."""
        (logs / 'qemu.sh').write_text(' '.join(f"'{a}'" for a in args) + '\n')
        with open(logs / 'qemu.log', 'wb') as errors:
            self._process = subprocess.Popen(
                args, stdin=subprocess.DEVNULL if quiet else None,
                stdout=subprocess.DEVNULL if quiet else None, stderr=errors)
        try:
            for wire in self.wires.values():
                wire.accept(self._process)
        except GuestError as error:
            text = (logs / 'qemu.log').read_text(errors='replace').strip()
            raise GuestError(f'{error}: {text}' if text else str(error)) from None

        self._selector = selectors.DefaultSelector()
        self._qmp_lines = []
        self._qmp_wait()            # the greeting
        self._qmp('qmp_capabilities')
        for name, wire in self.wires.items():
            self._selector.register(wire.conn, selectors.EVENT_READ, name)

    def step(self, seconds):
        """Waits at most so long for something to happen; False: QEMU is gone."""
        for key, _ in self._selector.select(max(seconds, 0)):
            wire = self.wires[key.data]
            lines = wire.lines()
            if lines is None:
                self._selector.unregister(wire.conn)
                continue
            for line in lines:
                self._dispatch(key.data, line)
            self._rest(key.data, wire)
        # Each wire is read to its end before QEMU counts as gone.
        return bool(self._selector.get_map())

    def _dispatch(self, name, line):
        """A line from a wire."""

    def _rest(self, name, wire):
        """All whole lines that came with it have been read."""

    def _event(self, message):
        """Something happened to the machine."""

    def _qmp_wait(self):
        while not self._qmp_lines:
            if not select.select([self.wires['qmp'].conn], [], [], QMP_PATIENCE)[0]:
                raise GuestError(f'QEMU does not answer for {QMP_PATIENCE} s')
            lines = self.wires['qmp'].lines()
            if lines is None:
                raise GuestError('QEMU ended; see qemu.log')
            self._qmp_lines += lines
        return json.loads(self._qmp_lines.pop(0))

    def _qmp(self, command, **args):
        self.wires['qmp'].send(json.dumps({'execute': command, 'arguments': args}) + '\n')
        while True:
            message = self._qmp_wait()
            if 'return' in message or 'error' in message:
                while self._qmp_lines:
                    self._event(json.loads(self._qmp_lines.pop(0)))
                return message
            self._event(message)

    def _monitor(self, line):
        message = self._qmp('human-monitor-command', **{'command-line': line})
        if 'error' in message:
            return message['error']['desc']
        return message['return']

    def _change(self, line):
        """A monitor command that may change the machine: while its CPUs stand still, for
        the reason that threads() gives."""
        self._qmp('stop')
        try:
            return self._monitor(line)
        finally:
            self._qmp('cont')

    def close(self, patience=0):
        """Clears up; QEMU has so many seconds to end by itself."""
        if self._process:
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for wire in self.wires.values():
            wire.close()
        shutil.rmtree(self._dir, ignore_errors=True)


class Guest(Qemu):
    """A running machine of the lab."""

    def __init__(self, machine, kernel, archives, logs, mode):
        self.machine = machine
        self.mode = mode
        self.on_tap = self.on_klog = lambda line: None
        self.on_part = lambda text: None    # of a line, on the tap wire
        self.on_host = lambda words: 'error no one listens'
        self._deleted = set()
        self._waiting = None        # device whose removal the guest waits for
        self._later = []            # (when, monitor command)
        super().__init__()
        try:
            self._start(kernel, archives, logs)
        except BaseException:
            self.close()
            raise

    def _start(self, kernel, archives, logs):
        # The kernel unpacks archives that follow each other as one.
        initrd = self._dir / 'initrd'
        with open(initrd, 'wb') as out:
            for archive in archives:
                with open(archive, 'rb') as part:
                    shutil.copyfileobj(part, out, 1 << 20)
                    out.write(b'\0' * (-out.tell() % 512))

        wires = self._wire('tap', logs) + self._wire('host', logs)
        program = self.machine.program
        args = [*program, '-accel',
                'tcg,thread=' + ('single' if self.machine.icount else threads(program[0])),
                *(['-icount', f'shift={self.machine.icount}'] if self.machine.icount else []),
                '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none',
                '-m', self.machine.memory, '-smp', str(self.machine.cpus),
                '-kernel', str(kernel / 'vmlinuz'), '-initrd', str(initrd),
                '-append', self.machine.command_line(self.mode, kernel),
                *self._wire('qmp', logs), '-mon', 'chardev=qmp,mode=control']
        if self.mode == 'tests':
            args += self._wire('klog', logs) + ['-serial', 'chardev:klog']
        else:
            args += ['-serial', 'mon:stdio']
        args += wires
        if self.machine.arch == 'x86_64':
            args += ['-serial', 'chardev:tap', '-serial', 'chardev:host']
        for name, size in self.machine.disks:
            path = self._dir / f'{name}.img'
            with open(path, 'wb') as image:
                image.truncate(int(size[:-1]) << {'K': 10, 'M': 20, 'G': 30}[size[-1]])
            args += ['-blockdev', f'driver=raw,node-name={name},file.driver=file,'
                     f'file.filename={path},discard=unmap']
        args += self.machine.qemu
        if self.machine.arch != 'x86_64':
            args += ['-device', 'virtio-serial-pci',
                     '-device', 'virtserialport,nr=1,chardev=tap',
                     '-device', 'virtserialport,nr=2,chardev=host']
        self._launch(args, logs, quiet=self.mode == 'tests')

    def step(self, seconds):
        """Waits at most so long for something to happen; False: QEMU is gone."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._change(self._later.pop(0)[1])
        if self._later:
            seconds = min(seconds, self._later[0][0] - now)
        return super().step(seconds)

    def _rest(self, name, wire):
        if name == 'tap':
            self.on_part(wire.part())

    def _dispatch(self, name, line):
        if name == 'tap':
            self.on_tap(line)
        elif name == 'klog':
            self.on_klog(line)
        elif name == 'qmp':
            self._event(json.loads(line))
        elif name == 'host' and line.strip():
            reply = self._request(line.split())
            if reply is not None:
                self.reply(reply)

    def reply(self, text):
        """The answer to a request that on_host() had none for yet."""
        self.wires['host'].send(text + '\n')

    def reset(self):
        """Off and on again, with nothing said to the guest; it boots the same kernel. From then
        on QEMU does not end when the guest resets the machine: the firmware does so, too."""
        self._qmp('set-action', reboot='reset')
        self._qmp('system_reset')

    def _request(self, words):
        """Answers the guest: lines that begin with a blank, then "ok" or "error WHY"."""
        command, args = words[0], words[1:]
        if command in ('device_add', 'device_del', 'monitor'):
            if command == 'device_del':
                self._deleted.discard(args[0])
            line = ' '.join(args if command == 'monitor' else words)
            text = self._change(line).strip()
            # The monitor tells errors by words only.
            if text and command != 'monitor':
                return 'error ' + ' '.join(text.split())
            return ''.join(f' {part}\n' for part in text.splitlines()) + 'ok'
        if command == 'wait_deleted':
            if args[0] in self._deleted:
                return 'ok'
            self._waiting = args[0]
            return None
        if command == 'after':
            self._later.append((time.monotonic() + float(args[0]), ' '.join(args[1:])))
            self._later.sort()
            return 'ok'
        return self.on_host(words)

    def _event(self, message):
        if message.get('event') == 'DEVICE_DELETED':
            ident = message['data'].get('device')
            self._deleted.add(ident)
            if ident and ident == self._waiting:
                self._waiting = None
                self.reply('ok')
