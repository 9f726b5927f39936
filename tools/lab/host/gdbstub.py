# SPDX-License-Identifier: GPL-2.0
"""A machine that stands still where its kernel comes by a function.

QEMU's stub for debuggers does that for an emulated CPU: nothing in the guest knows of
it, and no instruction is run between a stop and what the host does then. The addresses are
those of a kernel that is started with nokaslr.
"""

from guest import GuestError

# In what the stub says of an x86-64's registers.
RDX, RSI, RDI, RCX = (8 * n for n in (3, 4, 5, 2))
RIP, GS_BASE = 128, 172
# The most that the stub reads at a time; a task's name is in the first part of what it is.
BLOCK, TASK, NAME = 1024, 4096, 16
# What a function begins with that does nothing: endbr64, and the place of a tracer's call.
NOTHING = (b'\xf3\x0f\x1e\xfa', b'\x0f\x1f\x44\x00\x00')


class Stop:
    """Where the machine stands still, and what can be seen of it there."""

    def __init__(self, stub, function, registers):
        self.function = function
        self._stub, self._registers = stub, registers

    def register(self, offset):
        """What is in it: an argument of the function."""
        return int.from_bytes(self._registers[offset:offset + 8], 'little')

    def name(self, offset):
        """A path, of which a register has the kernel's struct filename."""
        where = int.from_bytes(self._stub.memory(self.register(offset), 8), 'little')
        return self._stub.memory(where, 256).split(b'\0')[0].decode(errors='replace')

    def is_by(self, names, current):
        """Which of the names the current task has, or None. @current: the per-CPU pointer."""
        where = int.from_bytes(self._stub.memory(self.register(GS_BASE) + current, 8), 'little')
        return self._stub.name_of(where, names)

    def only(self, functions):
        """From here on the machine stands still at these."""
        self._stub.only(functions)


class Stub:
    """What is said to it and by it. The machine has one CPU, and was started stopped."""

    def __init__(self, wire):
        self._wire = wire
        self._functions = {}
        self._data = b''
        self._comm = None           # where a task's name is in it
        # Without having asked for that, one may not change a register.
        self._ask('qXfer:features:read:target.xml:0,400')

    def _packet(self):
        """The next whole packet, or None."""
        self._data += self._wire.take()
        _, start, rest = self._data.partition(b'$')
        text, end, after = rest.partition(b'#')
        if not start or not end or len(after) < 2:
            return None
        self._data = after[2:]
        return text.decode()

    def _send(self, text):
        self._wire.send(f'${text}#{sum(text.encode()) % 256:02x}')

    def _answer(self):
        while (text := self._packet()) is None:
            if self._wire.lines() is None:
                raise GuestError('QEMU ended; see qemu.log')
        return text

    def _ask(self, text):
        self._send(text)
        answer = self._answer()
        if answer.startswith('E'):
            raise GuestError(f'the debugger\'s stub answers "{text}" with {answer}')
        return answer

    def memory(self, where, size):
        """What the current task sees there."""
        return bytes.fromhex(self._ask(f'm{where:x},{size:x}'))

    def name_of(self, task, names):
        """Which of the names a task has, or None."""
        if self._comm is not None:
            data = self.memory(task + self._comm, NAME)
            return next((n for n in names if data.startswith(n.encode() + b'\0')), None)
        data = b''.join(self.memory(task + at, BLOCK) for at in range(0, TASK, BLOCK))
        for name in names:
            at = data.find(name.encode() + b'\0')
            if at >= 0:
                self._comm = at
                return name
        return None

    def only(self, functions):
        """The machine, which stands still now, does so at these: a map from addresses to names.
        All that is on a page with one of them is slow."""
        for address in self._functions.keys() - functions.keys():
            self._ask(f'z0,{address:x},1')
        for address in functions.keys() - self._functions.keys():
            self._ask(f'Z0,{address:x},1')
        self._functions = dict(functions)

    def run(self):
        """The machine, which stands still, goes on."""
        self._send('c')

    def halt(self):
        """Wherever it is."""
        self._wire.send('\x03')
        self._answer()

    def stop(self):
        """The stop that the stub has told of, or None."""
        # There are words for its end, too.
        if not (self._packet() or '').startswith('T'):
            return None
        registers = bytes.fromhex(self._ask('g').replace('x', '0'))
        address = int.from_bytes(registers[RIP:RIP + 8], 'little')
        return Stop(self, self._functions[address], registers)

    def go_on(self, stop):
        """Past it. Taking a breakpoint away costs QEMU all code that it has translated."""
        address = stop.register(RIP)
        code = self.memory(address, 8)
        skipped = next((len(nothing) for nothing in NOTHING if code.startswith(nothing)), 0)
        to = (address + skipped).to_bytes(8, 'little').hex()
        if (not skipped or self._ask(f'P10={to}') != 'OK') and address in self._functions:
            self._ask(f'z0,{address:x},1')
            self._ask('s')
            self._ask(f'Z0,{address:x},1')
        self.run()
