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
    disk = index(log, f'nvme nvme0: pci function {lane.ROOT}')
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
    entry = json.loads(lane.history().splitlines()[0])
    return entry


def committed(lane, what):
    """The entries of this boot."""
    entries = [json.loads(line) for line in lane.history().splitlines()]
    applies = [e for e in entries if e.get('result') == 'committed' and e.get('changes')]
    last = applies[-1] if applies else {}
    changes = last.get('changes', [])
    lane.equal(len(changes), 3, f'{what}: the history has it')
    drivers = [d.get('driver') for c in changes for d in c.get('devices', [])]
    lane.equal(drivers, [None] * 3, f'{what}: nothing had to be quiesced')
    return len(applies)


def plug(lane):
    """A NIC and then a driver's first sight of it."""
    lane.machine.plug(f'e1000e,id=nic1,netdev=nic1,bus=rp4,mac=52:54:00:12:34:02,romfile=')
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
    # The unit that comes after it finds all as it should be.
    lane.run('udevadm settle -t 60; systemctl list-units --all "iommucfg-device@*"')
    lane.run(f'''for i in $(seq 60); do
                     case $(systemctl show -P ActiveState 'iommucfg-device@{lane.PLUGGED}.service') in
                     activating) sleep 1 ;;
                     *) exit 0 ;;
                     esac
                 done''', 90)
    lane.equal(lane.run('systemctl --failed --no-legend'), '', 'the unit for it has not failed')
    lane.equal(lane.run('stat -c %a /run/iommucfg/device.lock'), '600',
               'only root can hold that unit\'s lock')


def run(lane):
    """All of it."""
    lane.equal(lane.boot(), 'running', 'a boot with a policy: nothing fails')
    applied(lane, 'first boot')
    count = committed(lane, 'first boot')
    lane.equal(lane.run('systemctl is-active iommucfg-confirm.service'), 'active',
               'the boot is confirmed')
    lane.check('root disk' in lane.run('cat /var/lib/iommucfg/good.conf') and
               lane.fails('test -e /var/lib/iommucfg/boot')[0],
               'the policy is the last confirmed one, and on trial no more')
    lane.quiet_log()
    plug(lane)
    lane.equal(len([1 for line in lane.history().splitlines()
                    if '"changes"' in line and json.loads(line).get('result') == 'committed' and
                    json.loads(line).get('changes')]), count, 'nothing was changed afterwards')
    lane.image_idle()

    lane.equal(lane.reboot(), 'running', 'a second boot: nothing fails')
    applied(lane, 'second boot')
    committed(lane, 'second boot')
    lane.check(lane.fails('test -e /var/lib/iommucfg/boot')[0], 'a policy that is confirmed stays so')
    lane.leave()
