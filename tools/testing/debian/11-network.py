# SPDX-License-Identifier: GPL-2.0
"""A NIC with the default route that systemd-networkd manages, and then nothing: addresses and
routes are there after a change and after one that goes back. One that networkd does not bring
back takes its change back. What is left to a unit to watch, and goes back, too."""

import json

BEGINS = '02-early'

UNIT = 'iommucfg-watch@left.service'
NETWORK = '''[Match]
Driver=e1000e
[Network]
Address=10.60.0.1/24
Address=fd00:60::1/64
ConfigureWithoutCarrier=yes
[Route]
Gateway=10.60.0.254
'''


def network(lane):
    """What is on the interface, without what differs each time."""
    return lane.run('''nic=$(ls /sys/bus/pci/devices/%s/net)
        { ip -o addr show dev $nic; ip route show; ip -6 route show; } |
            grep -v -e fe80 -e ff00 | sed -e 's/^[0-9]*: //' -e 's/ *tentative//' \\
                -e 's/ linkdown//' -e 's/ *$//' | sort''' % lane.NIC)


def has_it(lane):
    """Waits until networkd has configured it."""
    return lane.fails('''for i in $(seq 60); do
                             ! ip route show | grep -q default || exit 0
                             sleep 1
                         done; networkctl; exit 1''', 90)


def change(lane, kind, *options):
    """(status, what it said)."""
    return lane.fails(f'iommucfg set {lane.NIC} {kind} --allow-in-use default-route '
                      f'{" ".join(options)} </dev/null 2>&1', 200)


def managed(lane, before):
    """By networkd."""
    _, out = change(lane, 'identity', '-n')
    words = ' '.join(out.split())
    lane.check('loses 10.60.0.1/24' in words and 'systemd-networkd brings that back' in words,
               'the plan says what goes, and that networkd brings it back', out)
    status, out = change(lane, 'identity')
    lane.check(not status and lane.type_of(lane.NIC) == 'identity', 'a change is made', out)
    lane.equal(network(lane), before, 'all is there when it ends')
    status, out = change(lane, 'DMA', '--confirm-timeout', '30')
    lane.check(status == 4 and 'everything is as before' in out,
               'one that is not confirmed goes back, and says that all is as before', out)
    lane.equal(network(lane), before, 'all is there when that ends')


def stopped(lane, before):
    """A networkd that does nothing."""
    lane.run('systemctl kill -s STOP systemd-networkd')
    status, out = change(lane, 'DMA', '--settle', '5')
    there = network(lane)
    lane.run('systemctl kill -s CONT systemd-networkd')
    lane.check(status == 4 and '10.60.0.1/24' in out and 'cannot be asked' in out,
               'a default route that does not come back takes the change back', out)
    lane.check(there == before and 'everything is as before' in out,
               'where networkd has not put the network back by then, the command does', out)
    lane.equal(lane.type_of(lane.NIC), 'identity', 'the type is what it was')
    status, out = has_it(lane)
    lane.check(not status and network(lane) == before, 'networkd goes on', out)


def unmanaged(lane, before):
    """Nothing runs, and what it made is still there."""
    lane.run('systemctl stop systemd-networkd.socket systemd-networkd')
    lane.equal(network(lane), before, 'what networkd made stays')
    status, out = change(lane, 'DMA')
    lane.check(not status, 'a change of what nothing manages is made', out)
    # The origin of routes is as it was as well.
    lane.equal(network(lane), before, 'the command has put it back')


def unit_ends(lane):
    """A point: that what watches a change does."""
    status, out = lane.fails(f'''for i in $(seq 90); do
                                    systemctl -q is-active {UNIT} || exit 0
                                    sleep 1
                                done; systemctl status {UNIT}; exit 1''', 120)
    lane.check(not status, 'the unit ends', out)


def watched(lane, before):
    """Nothing but the unit is there when the kernel's timer takes the change back."""
    old = lane.type_of(lane.NIC)
    status, out = change(lane, 'identity', '--confirm-timeout', '20', '--detach', '--name', 'left')
    lane.check(not status, 'a change is made, and left', out)
    lane.equal(lane.run(f'systemctl is-active {UNIT} || :'), 'active', 'a unit watches it')
    lane.equal(lane.run('grep -slx iommucfg /proc/[0-9]*/comm || :'), '',
               'no process of the command is left')
    unit_ends(lane)
    lane.equal(lane.type_of(lane.NIC), old, 'the change has gone back')
    lane.equal(network(lane), before, 'the unit has put the network back')
    lane.equal(lane.run(f'systemctl show -P Result {UNIT}'), 'success', 'and has not failed')
    lane.check('"left" went back' in lane.run(f'journalctl -b -u {UNIT} -o cat'),
               'the journal says what came of the change')
    last = json.loads(lane.history().splitlines()[-1])
    lane.equal((last['transaction'], last['action'], last['result']),
               ('left', 'rollback', 'restored'), 'and so does the history')
    # One that is confirmed.
    status, out = change(lane, 'identity', '--confirm-timeout', '600', '--detach', '--name', 'left')
    lane.check(not status, 'a change is made, and left', out)
    lane.equal(lane.fails('iommucfg confirm left')[0], 0, 'and confirmed')
    unit_ends(lane)
    lane.equal(network(lane), before, 'all is there')
    lane.equal(lane.run('systemctl --failed --no-legend'), '', 'no unit has failed')


def run(lane):
    """All of it."""
    lane.boot()
    lane.write('/etc/systemd/network/50-nic.network', NETWORK)
    lane.run('systemctl start systemd-networkd')
    status, out = has_it(lane)
    if not lane.check(not status, 'networkd has configured the interface', out):
        return
    lane.run('sleep 3')
    before = network(lane)
    managed(lane, before)
    stopped(lane, before)
    unmanaged(lane, before)
    watched(lane, before)
    lane.quiet_log()
