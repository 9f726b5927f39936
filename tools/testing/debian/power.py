# SPDX-License-Identifier: GPL-2.0
"""What has to be so after the power has gone."""

# What failed, is open, or was begun: transactions, entries of the history, a trial, an image.
LEFT = '''systemctl --failed --no-legend
    find /sys/kernel/config/iommu -mindepth 1 -maxdepth 1 -type d ! -name standing 2> /dev/null
    ls /var/lib/iommucfg | grep -E '^(begun|boot$)'
    ls -A /boot | grep iommucfg-new
    iommucfg history --json | grep -oE '"id": *[0-9]+' | sort | uniq -d
    :'''


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


def boots_again(lane, name):
    """Without anybody's help, and to what /etc has."""
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
    lane.equal(lane.run(LEFT), '', f'{name}: and nothing is left for a person to see to')
