# SPDX-License-Identifier: GPL-2.0
"""The power goes at any moment of an apply, a new image, a reboot, the boot, its
confirmation: the machine boots, all its groups have the types of the old policy or all those
of the new one, and what it knows of its policies can be read."""

import power

BEGINS = '02-early'

# Who writes a policy half is not helped by us.
WRITE = '''cp /root/new.conf /etc/iommucfg.conf.new && sync /etc/iommucfg.conf.new &&
    mv /etc/iommucfg.conf.new /etc/iommucfg.conf'''
# What is under way, and in how many seconds of it, on a machine that boots in 30, the power
# may go.
WORK = (
    ('apply', f'{WRITE}; systemctl reload iommucfg.service', 20),
    ('image', f'{WRITE}; sleep 600', 60),
    ('reboot', f'{WRITE}; sleep 2; systemctl reboot', 70),
    ('boot', None, 30),
    ('confirm', None, 100),
)


def cut(lane, number, work):
    """Once."""
    what, command, seconds = work
    moment = lane.random.uniform(0, seconds * lane.pace)
    name = f'cut {number}, {what}, after {moment:.1f} s'
    lane.disk.load(lane.saved('02-early' if command else 'written'))
    lane.start()
    if command:
        lane.machine.wait(lambda: lane.machine.boot_id, 240, 'boot')
        lane.up()
        lane.write('/root/new.conf', lane.NEW)
        lane.machine.send(command)
    elif what == 'confirm':
        lane.machine.wait(lambda: lane.machine.boot_id, 240, 'boot')
    lane.machine.let(moment)
    lane.off()

    power.boots_again(lane, name)


def run(lane):
    """As often as was asked for."""
    lane.boot()
    lane.write('/etc/iommucfg.conf', lane.NEW)
    lane.image_idle()
    lane.shut_down('poweroff')
    lane.disk.save(lane.saved('written'))
    for number in range(1, lane.args.cuts + 1):
        cut(lane, number, WORK[(number - 1) % len(WORK)])
