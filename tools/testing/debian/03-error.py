# SPDX-License-Identifier: GPL-2.0
"""A policy with an error, in the image as well: the machine boots with what the kernel itself
gives, and says so where somebody will look."""

SHORT = True
BEGINS = '02-early'

WRONG = '''rules = (
  { name = "root disk"; match = { path = "0000:00:02.0/00.0"; }; type = "identty"; }
);
'''


def run(lane):
    """All of it."""
    lane.boot()
    lane.write('/etc/iommucfg.conf', WRONG)
    lane.equal(lane.image_idle(), 'success', 'an image with a wrong policy is built')
    lane.check('the policy is wrong' in lane.run('journalctl -b -u iommucfg-image.service'),
               'building it warns of that')
    lane.equal(lane.reboot(), 'degraded', 'a wrong policy: the machine boots, and is not well')
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'all types are the kernel\'s own')
    log = '\n'.join(lane.klog())
    lane.check('iommucfg.conf:2: ' in log and '"identity"' in log,
               'the kernel\'s log has the error, with its line, and what was meant', log)
    lane.check(any('policy was NOT applied' in line for line in lane.machine.console),
               'the console has it, although the boot is a quiet one', '\n'.join(lane.machine.console))
    lane.equal(lane.run('systemctl --failed --no-legend --plain | cut -d " " -f 1'),
               'iommucfg.service', 'its unit has failed, and no other')
    lane.check('NOT applied' in lane.run('journalctl -b --no-pager'), 'the journal has it')
    lane.check('root disk' in lane.run('cat /var/lib/iommucfg/good.conf') and
               lane.fails('test -e /var/lib/iommucfg/boot')[0],
               'the last confirmed policy is as it was, and none on trial')
    lane.quiet_log()
    # And what helps.
    lane.equal(lane.reboot('iommucfg=good'), 'running', 'iommucfg=good: the machine boots well')
    lane.equal(lane.types(), lane.OLD_TYPES, 'the types are those of the last confirmed policy')
    lane.check('nvme nvme0' in '\n'.join(lane.klog()).split('groups changed by the policy: 3')[1],
               'they were changed before the drivers bound')
