# SPDX-License-Identifier: GPL-2.0
"""The fleet as the guide has it: etcd with its certificates and roles, agent and coordinator in
their units. A rollout changes a disk, its rollback changes it back, and the agent is there
again after a boot."""

import json
import pathlib
import re
import shutil

import debian
from guest import GuestError

TREE = pathlib.Path(__file__).resolve().parents[3]
GUIDE = TREE / 'Documentation/admin-guide/iommucfg-fleet.rst'
SAMPLES = TREE / 'tools/fleet/samples'
MEMBER = 'etcd-1'
POLICY = '''rules = (
  { name = "disks"; match = { driver = "nvme"; }; type = "identity"; },
  { name = "root"; match = { path = "0000:00:02.0/00.0"; }; type = "DMA-FQ"; priority = 10; }
);
'''
UNITS = ('etcd', 'iommucfgd', 'iommucfg-fleet')
STORE = 'A store with TLS and roles'


def block(marker):
    """The indented block of the guide that follows the marker, in the section of the store."""
    text = GUIDE.read_text().split(f'\n{STORE}\n')[1].split(f'{marker}\n')[1]
    lines = text.lstrip('\n').split('\n')
    return '\n'.join(lines[:next(i for i, line in enumerate(lines)
                                 if line and not line.startswith(' '))]) + '\n'


def sample(name):
    """A sample configuration for one member."""
    text, found = re.subn(r'endpoints = \[.*?\]', f'endpoints = [ "https://{MEMBER}.example:2379" ]',
                          (SAMPLES / name).read_text(), flags=re.DOTALL)
    assert found == 1
    return text


def install(lane, root):
    """Packages, and all that the guide says of a machine before it runs."""
    shutil.copytree(lane.image / 'others/fleet', root.path / 'root/fleet')
    out = root.run('sh', '-c', 'apt-get -y --no-install-recommends install /root/fleet/*.deb 2>&1')
    lane.check('Setting up iommucfg-fleet' in out, 'the packages are installed', out)

    with (root.path / 'etc/hosts').open('a') as hosts:
        hosts.write(f'127.0.0.1 {MEMBER}.example\n')
    root.write('root/certificates', block('.. code-block:: bash'))
    root.write('root/roles', block('.. code-block:: sh'))
    member = block('``--initial-cluster``)::').replace(',...', '')
    # The package's unit sets what the flags say.
    root.write('etc/systemd/system/etcd.service.d/fleet.conf',
               '[Service]\nWorkingDirectory=/etc/etcd\nEnvironment=\nEnvironmentFile=\n'
               f'ExecStart=\nExecStart={member}')
    root.run('bash', '-ec', f'''
        mkdir -p /etc/iommucfg/fleet
        cd /etc/iommucfg/fleet
        . /root/certificates
        cp pool-default.crt agent.crt
        cp pool-default.key agent.key
        install -d -o etcd /etc/etcd
        install -o etcd -m 600 -t /etc/etcd ca.crt {MEMBER}.crt {MEMBER}.key 2>&1''')
    for name in ('agent.conf', 'coordinator.conf', 'fleet.conf'):
        root.write(f'etc/iommucfg/{name}', sample(name))
    root.write('root/disks.conf', POLICY)
    # They cannot log in before the roles are there.
    root.run('systemctl', 'disable', 'iommucfgd', 'iommucfg-fleet')


def until(lane, what, condition, seconds):
    """Waits for it, and a point that it came; what it gave."""
    results = []

    def holds():
        results.append(condition())
        return results[-1]

    try:
        lane.machine.wait(holds, seconds, what)
    except GuestError:
        lane.check(False, what, '\n'.join(
            lane.fails(f'systemctl status -n 20 --no-pager {unit} 2>&1')[1] for unit in UNITS))
        raise
    lane.check(True, what)
    return results[-1]


def status(lane):
    """(what the command knows of the fleet, its exit status)."""
    code, out = lane.fails('iommucfg fleet --json status --hosts 2>/dev/null')
    try:
        return json.loads(out), code
    except ValueError:
        return {}, code


def rollout_is(lane, *states):
    """The rollout, once it has one of the states."""
    rollout = status(lane)[0].get('rollout') or {}
    return rollout if rollout.get('state') in states else None


def starts(lane):
    """Roles, then the units."""
    code, out = lane.fails('cd /etc/iommucfg/fleet && bash -e /root/roles 2>&1', 300)
    lane.check(not code and 'Authentication Enabled' in out, "the guide's roles are there", out)
    code, out = lane.fails('iommucfgd --check 2>&1')
    lane.check(not code, 'the agent has nothing to say against its configuration', out)
    code, out = lane.fails('systemctl enable --now iommucfgd iommucfg-fleet 2>&1', 150)
    lane.check(not code, 'agent and coordinator start, and say that they are ready', out + '\n'.join(
        lane.fails(f'journalctl -b --no-pager -o cat -n 20 -u {unit}')[1] for unit in UNITS))
    until(lane, 'the host is in the fleet', lambda: status(lane)[0].get('hosts') == 1, 120)


def rolls_out(lane):
    """A policy, and back."""
    def plan():
        # The emulated store may take longer than the command waits.
        code, out = lane.fails('iommucfg fleet plan /root/disks.conf 2>&1', 120)
        return code == 2 and '1 host would change' in out

    until(lane, 'the plan has a change', plan, 120)
    code, out = lane.fails('iommucfg fleet start /root/disks.conf --waves 1 --soak 1 --yes 2>&1', 120)
    lane.check(not code, 'a rollout begins', out)
    rollout = until(lane, 'it ends', lambda: rollout_is(lane, 'complete', 'halted'), 400)
    lane.check(rollout['state'] == 'complete' and rollout['ended'].get('done') == 1, 'well', rollout)
    lane.equal(lane.types(), {lane.ROOT: 'DMA-FQ', lane.DATA: 'identity', lane.NIC: 'DMA-FQ'},
               'the disk that nobody uses has the type of the policy')
    lane.equal(lane.run('ls /sys/kernel/config/iommu/ | grep fleet- || :'), '',
               'the change was confirmed')


def run(lane):
    """All of it."""
    with debian.unpacked(lane.image, lane.directory) as root:
        install(lane, root)
        root.make(lane.disk)
    lane.equal(lane.boot(), 'running', 'a machine with etcd: nothing fails')
    starts(lane)
    rolls_out(lane)
    lane.image_idle()
    lane.equal(lane.reboot(), 'running', 'it boots: nothing fails')
    for unit in UNITS:
        lane.equal(lane.fails(f'systemctl is-active {unit}')[1].strip(), 'active',
                   f'{unit} runs again')
    lane.equal(lane.type_of(lane.DATA), 'identity', 'the disk has the type of the policy')
    until(lane, 'the host reports no drift', lambda: status(lane)[1] == 0, 120)

    lane.run('systemctl kill -s KILL iommucfgd')
    code, out = lane.fails('iommucfg fleet rollback --yes 2>&1', 120)
    lane.check(not code, 'with its agent killed the rollout is undone', out)
    until(lane, 'the disk has its old type again',
          lambda: lane.type_of(lane.DATA) == 'DMA-FQ', 400)
    until(lane, 'and the rollout has ended', lambda: rollout_is(lane, 'complete'), 120)
    for unit in UNITS:
        log = lane.run(f'journalctl -b --no-pager -o cat -u {unit}')
        lane.check('SECCOMP' not in log and 'core-dump' not in log, f'{unit} does nothing forbidden', log)
    lane.quiet_log()
