# SPDX-License-Identifier: GPL-2.0
"""A boot with a policy on trial whose root file system never comes: the kernel's timer takes
the change of the initramfs back. When root is found after all the boot goes on with the
types as they were, nothing is changed a second time, and the try counts."""

import json

BEGINS = '02-early'

# The initramfs gives up on its root after 30 s, the kernel's timer on the change after 300 s.
GIVES_UP, GOES_BACK = 150, 600


class Shell:
    """The rescue shell of the initramfs, on the console. It has the tools of klibc alone."""

    def __init__(self, lane):
        self.machine = lane.machine
        self.number = 0
        self.machine.wait(lambda: any('Dropping to a shell' in line
                                      for line in self.machine.console), GIVES_UP, 'no root')

    def ask(self, command, seconds=60):
        """What a command says, in one line."""
        self.number += 1
        mark = f'answer {self.number}='
        # The console shows what is typed as well: there the mark has a gap.
        self.machine.wires['console'].send(
            f"printf '%s %s=%s.\\n' answer {self.number} \"$(echo $({command}))\"\n")

        def answers():
            return [line.split(mark)[1] for line in self.machine.console if mark in line]

        self.machine.wait(answers, seconds, f'"{command}"')
        return answers()[0].strip().rstrip('.')

    def types(self, lane):
        """The types of the devices' groups."""
        return {d: self.ask(f'cat /sys/bus/pci/devices/{d}/iommu_group/type')
                for d in (lane.ROOT, lane.DATA, lane.NIC)}

    def states(self):
        """Of the transactions that are there."""
        return self.ask('cat /sys/kernel/config/iommu/*/state')


def wait_until_back(lane, shell):
    """Whether the transaction goes back by itself."""
    for _ in range(GOES_BACK // 10):
        if shell.states() != 'unconfirmed':
            break
        lane.machine.let(10)
    return shell.states()


def committed(lane):
    """How many changes the history has that stayed."""
    entries = [json.loads(line) for line in lane.history().splitlines()]
    return sum(e['result'] == 'committed' and bool(e['plan'] and e['plan']['changes'])
               for e in entries)


def run(lane):
    """All of it."""
    lane.boot()
    before = committed(lane)
    good = lane.run('cat /var/lib/iommucfg/good.conf')
    lane.write('/etc/iommucfg.conf', lane.NEW)
    lane.equal(lane.image_idle(), 'success', 'an image with the new policy')
    lane.shut_down('poweroff')

    lane.start('root=/dev/late')
    shell = Shell(lane)
    lane.equal(shell.types(lane), lane.NEW_TYPES, 'without root: the new policy is on trial')
    lane.equal(shell.states(), 'unconfirmed', 'and goes back unless it is confirmed')
    left = int(shell.ask('cat /sys/kernel/config/iommu/*/remaining'))
    lane.check(0 < left <= 300, 'within 300 s', left)
    there = shell.ask('ls /run/iommucfg')
    lane.check('waiting-for-root' not in there,
               'nothing holds on to it, now that root was given up', there)
    wait_until_back(lane, shell)
    lane.equal(shell.types(lane), lane.DEFAULT_TYPES, 'the kernel\'s timer takes it back')
    log = shell.ask('dmesg', 120)
    lane.check('iommucfg-boot was not confirmed' in log, 'and says so in its log', log[-2000:])

    # The way to root is there again.
    lane.machine.wires['console'].send(f'ln -s /dev/disk/by-path/pci-{lane.ROOT}-nvme-1 /dev/late; exit\n')
    lane.machine.wait(lambda: lane.machine.boot_id, 240, 'boot')
    lane.up()
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'root is found: the boot goes on as it is')
    lane.equal(json.loads(lane.run('cat /var/lib/iommucfg/boot'))['tries_left'], 2,
               'the try counts')
    lane.equal(committed(lane), before, 'nothing was changed a second time')
    lane.equal(lane.run('cat /var/lib/iommucfg/good.conf'), good, 'the policy is not confirmed')
    lane.quiet_log()

    lane.image_idle()
    lane.reboot()
    lane.equal(lane.types(), lane.NEW_TYPES, 'the next boot, which has its root, tries it again')
