# SPDX-License-Identifier: GPL-2.0
"""The power goes at any moment of an apply, a new image, a reboot, the boot, its
confirmation: the machine boots, all its groups have the types of the old policy or all those
of the new one, and what it knows of its policies can be read."""

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


def settled(lane, what):
    """The types are of one policy, and everything of its state can be read."""
    types = lane.types()
    lane.check(types in (lane.OLD_TYPES, lane.NEW_TYPES), f'{what}: the old policy or the new one',
               types)
    status, out = lane.fails('iommucfg history 2>&1')
    # One entry that the cut tore is reported.
    lane.check(not status, f'{what}: the history can be read', out)
    status, out = lane.fails('''for f in /var/lib/iommucfg/good.conf /run/iommucfg/policy.conf; do
            [ ! -e $f ] || iommucfg check $f || exit
        done
        [ ! -e /var/lib/iommucfg/boot ] || grep -q '"tries_left": *[0-3],' /var/lib/iommucfg/boot''')
    lane.check(not status, f'{what}: so can the policies that it knows', out)
    return types


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

    # The image of the old policy may still be there: such a boot has it built anew.
    lane.boot()
    types = settled(lane, name)
    lane.image_idle()
    if types == lane.OLD_TYPES:
        lane.boot()
        types = settled(lane, f'{name}: a boot later')
    wants = lane.run('cat /etc/iommucfg.conf')
    lane.equal(types, lane.NEW_TYPES if wants.strip() == lane.NEW.strip() else lane.OLD_TYPES,
               f'{name}: what /etc has is what is in force in the end')


def run(lane):
    """As often as was asked for."""
    lane.boot()
    lane.write('/etc/iommucfg.conf', lane.NEW)
    lane.image_idle()
    lane.shut_down('poweroff')
    lane.disk.save(lane.saved('written'))
    for number in range(1, lane.args.cuts + 1):
        cut(lane, number, WORK[(number - 1) % len(WORK)])
