# SPDX-License-Identifier: GPL-2.0
"""The power goes after every step of a policy's way into force: it is applied, confirmed and
installed, gets into the initramfs image, is tried by a boot, and is the confirmed one.

Each time that one of our programs is about to write a name or to sync a file, or the kernel
to change a device of a group, the machine stands still, and its disk is looked at as it would
be found: without what is in the page cache alone. What the steps before have promised is on
it, the image is whole; and each disk that differs from the one before boots again. The file
system is told to do nothing by itself that it is not asked for by fsync()."""

import gzip
import hashlib
import json
import re
import shutil
import zlib

import debian
import gdbstub
import power
from guest import GuestError

BEGINS = '02-early'

# Addresses that stay; no writing of data because of a rename, none of the journal by the clock.
APPEND = 'nokaslr rootflags=noauto_da_alloc,commit=900'
WHO = ('iommucfg', 'update-image')
# The call that all that is kept needs, and that hardly anybody else makes.
SYNC, END = '__x64_sys_fsync', '__x64_sys_exit_group'
# What one of them is about to do, and which register has the name.
CALLS = {
    'do_mkdirat': ('makes', gdbstub.RSI), 'do_rmdir': ('removes', gdbstub.RSI),
    'do_renameat2': ('renames to', gdbstub.RCX), 'do_unlinkat': ('unlinks', gdbstub.RSI),
    SYNC: ('syncs', None), END: ('ends', None),
}
# What the kernel is about to do, for whomever.
CHANGES = {
    'device_release_driver_internal': 'a driver goes', 'iommu_group_store_type': 'a type is set',
    'really_probe': 'a driver comes',
}
# The per-CPU pointer to the current task, by what it is called in this or that kernel.
CURRENT = ('pcpu_hot', 'current_task')

APPLY = 'iommucfg apply --yes --skip-in-use --name steps --detach --confirm-timeout 900 ' \
    '/etc/iommucfg.conf.new'
CONFIRM = 'iommucfg confirm steps --install /etc/iommucfg.conf'
FILES = ('etc/iommucfg.conf', 'etc/iommucfg.conf.new')
DIRECTORIES = ('var/lib/iommucfg', 'boot')


class Found:
    """What is on a disk after the power has gone."""

    def __init__(self, lane, path, directory):
        self.lane = lane
        directory.mkdir()
        (directory / 'commands').write_text(
            ''.join(f'dump /{name} {directory / name.split("/")[1]}\n' for name in FILES) +
            ''.join(f'rdump /{name} {directory}\n' for name in DIRECTORIES))
        debian.recover(path)
        debian.tool(['debugfs', '-f', directory / 'commands', path])
        self.files = {str(f.relative_to(directory)): f.read_bytes()
                      for f in directory.glob('**/*')
                      if f.is_file() and re.search('iommucfg|initrd', str(f.relative_to(directory)))}
        shutil.rmtree(directory)

    def key(self):
        """The same for disks that do not differ in what is ours."""
        parts = [(name, hashlib.sha256(data).digest()) for name, data in self.files.items()]
        return str(sorted(parts))

    def policy(self, name='iommucfg.conf'):
        """Which policy a file has: "old", "new", or what else it has."""
        text = self.files.get(name, b'there is none').decode(errors='replace').strip()
        return {self.lane.OLD.strip(): 'old', self.lane.NEW.strip(): 'new'}.get(text, text)

    def image(self, name='boot/initrd.img-'):
        """Which policy an initramfs image has that is whole, or what is wrong with it."""
        data = next((data for file, data in self.files.items() if file.startswith(name)), b'')
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            return f'{len(data)} bytes: {error}'
        has = [word for word, text in (('old', self.lane.OLD), ('new', self.lane.NEW))
               if text.strip().encode() in data]
        return ' '.join(has) if b'TRAILER!!!' in data else 'it has no end'

    def results(self, transaction):
        """What the history says of it."""
        lines = [line for name, data in sorted(self.files.items())
                 if name.startswith(('iommucfg/history', 'iommucfg/begun.'))
                 for line in data.decode(errors='replace').splitlines()]
        entries = [json.loads(line) for line in lines if line.endswith('}')]
        return [e['result'] for e in entries if e['transaction'] == transaction]

    def trial(self):
        """Tries that are left of the policy on trial, and whether it was applied."""
        trial = json.loads(self.files.get('iommucfg/boot', b'{}'))
        return trial.get('tries_left'), trial.get('applied')

    def good(self):
        """Is the new policy the confirmed one?"""
        policy = self.files.get('iommucfg/good.conf', b'')
        rule = re.search(rb'"root disk".*?type = "([^"]*)"', policy, re.S)
        return bool(rule) and rule[1] == b'DMA'


# After the first place like this, by the first or the last one like that, the disk has it.
PROMISES = (
    ('', 'apply: a driver goes', 0, 'apply: the history has an entry before the first driver goes',
     lambda found: found.results('steps') == ['left']),
    ('', 'apply: iommucfg ends', -1, 'apply: and what came of it when the command ends',
     lambda found: 'unconfirmed' in found.results('steps')),
    ('', 'confirm: iommucfg renames to /etc/iommucfg.conf$', 0,
     'confirm: the new policy is whole before it gets its name',
     lambda found: found.policy('iommucfg.conf.new') == 'new'),
    ('', 'confirm: iommucfg ends', -1, 'confirm: when the command ends it is the system\'s',
     lambda found: found.policy() == 'new' and 'committed' in found.results('steps')),
    ('', '.*: update-image renames to /boot/initrd', 0,
     'image: it is whole before it gets its name',
     lambda found: found.image('boot/.iommucfg-new') == 'new'),
    ('.*: update-image renames to /boot/initrd', 'image: update-image ends', 0,
     'image: at the end of its program it is the new one',
     lambda found: found.image() == 'new'),
    ('', 'boot: iommucfg renames to /var/lib/iommucfg/boot', 1,
     'boot: the try is counted before it is said to be applied',
     lambda found: found.trial() == (2, False)),
    ('', 'boot: iommucfg renames to /var/lib/iommucfg/good.conf', 0,
     'boot: the policy is on trial until it is the confirmed one',
     lambda found: found.trial() == (2, True) and not found.good()),
    ('', 'boot: iommucfg unlinks boot$', 0,
     'boot: it is the confirmed one before it is not on trial any more',
     lambda found: found.good()),
    ('boot: iommucfg unlinks boot$', 'boot: iommucfg ends', 0,
     'boot: confirmed is confirmed when the command ends',
     lambda found: found.good() and found.trial() == (None, None)),
    # After two boots of the test before, and one here.
    ('boot: iommucfg unlinks boot$', 'boot: iommucfg ends', 0,
     'boot: and the history has what the initramfs did',
     lambda found: found.results('iommucfg-boot') == ['committed'] * 4),
)


class Places:
    """Where the machine has stood still, and what was on its disk."""

    def __init__(self, lane):
        self.lane = lane
        self.functions = {}
        self.what = ''              # is going on
        self.wide = True            # always every call; else only from a sync to the end
        self.all = []               # (what was about to be done, what was found)
        self.disks = []             # (the same, the disk): one of each kind
        self._current = 0
        self._every = {}
        self._known = set()
        self._last = None           # (machine, writes, what was found)

    def find(self):
        """The addresses of the functions, from a kernel that runs."""
        names = '|'.join((*CALLS, *CHANGES, *CURRENT))
        symbols = {}
        for line in self.lane.run(f"grep -E ' ({names})$' /proc/kallsyms").splitlines():
            address, _, name = line.split()
            symbols[name] = int(address, 16)
        missing = {*CALLS, *CHANGES} - symbols.keys()
        current = [symbols.pop(name) for name in CURRENT if name in symbols]
        if missing or not current:
            raise GuestError(f'the kernel has no {missing or CURRENT}')
        self._current = current[0]
        self._every = self.functions = {address: name for name, address in symbols.items()}

    def narrow(self):
        """The machine would be too slow for what comes with stops at calls that many make."""
        self.wide = False
        self._every = {a: name for a, name in self._every.items() if name in CALLS}
        self.functions = {a: name for a, name in self._every.items() if name == SYNC}

    def _say(self, stop):
        """What is about to be done, or None."""
        # Before root can be written all is in memory.
        what = self.what if self.lane.machine.writes() else 'initramfs'
        if stop.function in CHANGES:
            return f'{what}: {CHANGES[stop.function]}'
        who = stop.is_by(WHO, self._current)
        verb, register = CALLS[stop.function]
        name = f' {stop.name(register)}' if who and register is not None else ''
        return f'{what}: {who} {verb}{name}' if who else None

    def here(self, stop):
        """The machine stands still."""
        text = self._say(stop)
        if not text:
            return
        self.all.append((text, self._look(text)))
        if not self.wide and stop.function in (SYNC, END):
            stop.only(self._every if stop.function == SYNC else self.functions)

    def _look(self, text):
        machine, writes = self.lane.machine, self.lane.machine.writes()
        if self._last and self._last[:2] == (machine, writes):
            return self._last[2]
        path = self.lane.directory / f'steps-{len(self.all)}.img'
        self.lane.disk.save(path)
        found = Found(self.lane, path, self.lane.directory / 'found')
        if found.key() in self._known:
            path.unlink()
        else:
            self._known.add(found.key())
            self.disks.append((text, path))
        self._last = machine, writes, found
        return found


def live(lane, places):
    """The way of a policy."""
    lane.boot(APPEND, places)
    options = lane.run("grep ' / ext4 ' /proc/mounts")
    lane.check('noauto_da_alloc' in options and 'commit=900' in options,
               'steps: the file system does nothing by itself', options)
    places.find()
    lane.write('/etc/iommucfg.conf.new', lane.NEW)
    lane.machine.watch()
    # 2: but for the disk with root, which is in use.
    for places.what, command in (('apply', APPLY), ('confirm', CONFIRM)):
        status, out = lane.fails(command, 300)
        lane.check(status == 2, f'steps: {places.what}, and only the disk in use is left', out)
    places.what = 'image'
    places.narrow()
    lane.machine.watch()
    lane.equal(lane.image_idle(), 'success', 'steps: an image with the new policy')
    places.what = 'down'
    lane.shut_down('poweroff')
    places.what = 'boot'
    lane.boot(APPEND, places)
    lane.equal(lane.types(), lane.NEW_TYPES, 'steps: the new policy')
    lane.image_idle()
    lane.off()


def promised(places, after, pattern, index):
    """What was found where a promise is due, or None."""
    first = next((i for i, (text, _) in enumerate(places) if re.match(after, text)), len(places))
    there = [found for text, found in places[first:] if re.match(pattern, text)]
    return there[index] if len(there) > max(index, 0) else None


def run(lane):
    """All of it."""
    places = Places(lane)
    live(lane, places)
    for text, found in places.all:
        lane.say(f'{text}; image: {found.image()}, policy: {found.policy()[:40]}, trial: '
                 f'{found.trial()}, history: {found.results("steps")}')
    lane.check(all(found.image() in ('old', 'new') for _, found in places.all),
               f'steps: the image is whole, {len(places.all)} times')
    for after, pattern, index, what, kept in PROMISES:
        place = promised(places.all, after, pattern, index)
        if lane.check(place, f'steps: {what}: it comes to that', (after, pattern)):
            lane.check(kept(place), f'steps: {what}')
    if lane.args.short:
        return
    for text, path in places.disks:
        lane.off()
        lane.disk.load(path)
        power.boots_again(lane, f'before {text}')
        path.unlink()
