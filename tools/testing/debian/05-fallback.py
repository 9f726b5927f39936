# SPDX-License-Identifier: GPL-2.0
"""A policy that no boot confirms is tried three times; then the last confirmed one comes
back, first for what is not in use, and with the image that is built then from the start."""

import json

BEGINS = '02-early'


NEVER_WELL = '''[Unit]
DefaultDependencies=no
Before=boot-complete.target
[Service]
Type=oneshot
ExecStart=/bin/false
[Install]
RequiredBy=boot-complete.target
'''


def tries_left(lane):
    """What the policy on trial has left."""
    return json.loads(lane.run('cat /var/lib/iommucfg/boot'))['tries_left']


def run(lane):
    """All of it."""
    lane.boot()
    lane.write('/etc/iommucfg.conf', lane.NEW)
    lane.image_idle()
    # What else has to be well for a boot to be good goes before boot-complete.target.
    lane.write('/etc/systemd/system/never-well.service', NEVER_WELL)
    lane.run('systemctl -q enable never-well.service')
    # The first boot ends in an orderly way, of the others the power goes.
    lane.shut_down()
    for left in (2, 1, 0):
        lane.boot()
        lane.equal(lane.types(), lane.NEW_TYPES, f'on trial: the new policy, {left} tries left')
        lane.equal(tries_left(lane), left, f'the count says so: {left}')
        lane.image_idle()
        if left == 2:
            lane.shut_down()
        else:
            lane.off()
    # The image was built anew in the last boot, once the tries were used up.
    lane.boot()
    lane.equal(lane.types(), lane.OLD_TYPES, 'then the last confirmed policy, for all groups')
    log = '\n'.join(lane.klog())
    lane.check('tries are used up' in log, 'the kernel\'s log says so', log)
    lane.check('nvme nvme0' in log.split('groups changed by the policy: 3')[-1],
               'from the initramfs on', log)
    lane.equal(tries_left(lane), 0, 'the policy in /etc stays given up')
    # Somebody wants to try it again.
    lane.run('systemctl disable never-well.service; rm /var/lib/iommucfg/boot')
    lane.reboot()
    lane.check(lane.types() == lane.OLD_TYPES, 'once more: the image does not know of it yet')
    lane.equal(lane.image_idle(), 'success', 'and is built anew')
    lane.reboot()
    lane.equal(lane.types(), lane.NEW_TYPES, 'then the new policy is tried again')
    lane.equal(lane.run('systemctl is-active iommucfg-confirm.service'), 'active', 'and confirmed')
