# SPDX-License-Identifier: GPL-2.0
"""The policy is applied from the initramfs, before drivers bind: also to the disk that the
machine boots from. The boot is confirmed; a device that is plugged in comes up with its
type; and the next boot is as this one."""

import json

SHORT = True
BEGINS = '01-install'


def index(lines, text):
    """Number of the first line with that in it, or -1."""
    return next((i for i, line in enumerate(lines) if text in line), -1)


def applied(lane, what):
    """The types, from the initramfs on."""
    lane.equal(lane.types(), lane.OLD_TYPES, f'{what}: all types are as the policy says')
    log = lane.klog()
    changed = index(log, 'iommucfg: groups changed by the policy: 3')
    disk = index(log, f': pci function {lane.ROOT}')
    data = index(log, f': pci function {lane.DATA}')
    nic = index(log, f'e1000e {lane.NIC}: ')
    mounted = index(log, 'EXT4-fs (nvme')
    lane.check(0 <= changed < min(disk, data, nic) and disk < mounted,
               f'{what}: changed before the drivers bound, and before the disk was mounted',
               '\n'.join(log))
    for text in (f': pci function {lane.ROOT}', f': pci function {lane.DATA}',
                 f'{lane.NIC}: registered PHC', f'{lane.NIC} 0000'):
        lane.check(sum(text in line for line in log) <= 1,
                   f'{what}: no driver bound twice: {text}', '\n'.join(log))


def committed(lane):
    """The changes of groups in the history, as lists of changes."""
    entries = [json.loads(line) for line in lane.history().splitlines()]
    return [e['plan']['changes'] for e in entries
            if e['result'] == 'committed' and e['plan'] and e['plan']['changes']]


def recorded(lane, what, count):
    """The history has that many changes of groups, and the last is the initramfs's."""
    changes = committed(lane)
    lane.equal(len(changes), count, f'{what}: changed once, and the history has it')
    lane.equal([d['driver'] for c in changes[-1] for d in c['devices']], [None] * 3,
               f'{what}: nothing had to be quiesced')


def plug(lane):
    """A NIC that comes."""
    lane.machine.plug('e1000e,id=nic1,netdev=nic1,bus=rp4,mac=52:54:00:12:34:02,romfile=')
    lane.run(f'''for i in $(seq 60); do
                     [ ! -e /sys/bus/pci/devices/{lane.PLUGGED}/driver ] || exit 0
                     sleep 1
                 done
                 exit 1''', 90)
    lane.equal(lane.type_of(lane.PLUGGED), 'DMA', 'a device that is plugged in has its type')
    log = lane.klog()
    given = index(log, f'{lane.PLUGGED}: iommu group')
    bound = index(log, f'e1000e {lane.PLUGGED}: ')
    lane.check(0 <= given < bound, 'it had it before its driver bound', '\n'.join(log))
    # The unit that comes after it finds all as it should be. One that is over is forgotten,
    # but for what the journal has.
    status, out = lane.fails(f'''udevadm settle -t 60
                     for i in $(seq 60); do
                         journalctl -b -u 'iommucfg-device@{lane.PLUGGED}.service' | grep Finished && exit
                         sleep 1
                     done
                     exit 1''', 200)
    lane.check(not status, 'udev has started the unit for it, which has ended well', out)
    lane.equal(lane.run('systemctl --failed --no-legend'), '', 'the unit for it has not failed')
    lane.equal(lane.run('stat -c %a /run/iommucfg/device.lock'), '600',
               'only root can hold that unit\'s lock')


def run(lane):
    """All of it."""
    lane.equal(lane.boot(), 'running', 'a boot with a policy: nothing fails')
    applied(lane, 'first boot')
    recorded(lane, 'first boot', 1)
    lane.equal(lane.run('systemctl is-active iommucfg-confirm.service'), 'active',
               'the boot is confirmed')
    lane.check('root disk' in lane.run('cat /var/lib/iommucfg/good.conf') and
               lane.fails('test -e /var/lib/iommucfg/boot')[0],
               'the policy is the last confirmed one, and on trial no more')
    lane.quiet_log()
    plug(lane)
    lane.equal(len(committed(lane)), 1, 'nothing was changed afterwards')
    lane.image_idle()

    lane.equal(lane.reboot(), 'running', 'a second boot: nothing fails')
    applied(lane, 'second boot')
    recorded(lane, 'second boot', 2)
    lane.check(lane.fails('test -e /var/lib/iommucfg/boot')[0], 'a policy that is confirmed stays so')
    lane.leave()
