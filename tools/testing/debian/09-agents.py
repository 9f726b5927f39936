# SPDX-License-Identifier: GPL-2.0
"""samples/agents on a machine: cloud-init gives an instance its policy and changes groups in its
first boot, those in use follow in the next one; the drop-ins leave a report, and keep a service
from running with other types than it needs."""

import json
import pathlib
import shutil

import debian

SAMPLES = pathlib.Path(__file__).resolve().parents[3] / 'samples/agents'
SERVICE = '''[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
'''


def instance(lane, root):
    """What the maker of a machine's image and its cloud have put there."""
    shutil.copytree(lane.image / 'others/cloud-init', root.path / 'root/cloud-init')
    out = root.run('sh', '-c',
                   'apt-get -y --no-install-recommends install /root/cloud-init/*.deb 2>&1')
    lane.check((root.path / 'usr/bin/cloud-init').exists(), 'cloud-init is installed', out)
    # A machine without network, SSH and locales.
    root.write('etc/cloud/cloud.cfg.d/99-lab.cfg',
               'datasource_list: [NoCloud]\nnetwork: {config: disabled}\n'
               'apt: {preserve_sources_list: true}\nlocale: C.UTF-8\nssh_genkeytypes: []\n')
    data = (SAMPLES / 'cloud-init/user-data').read_text()
    # The machine gives all groups DMA-FQ itself: that would change nothing.
    changed = data.replace('type = "DMA-FQ"', 'type = "identity"')
    lane.check(changed != data, 'the policy of the sample is for NVMe disks')
    root.write('var/lib/cloud/seed/nocloud/user-data', changed)
    root.write('var/lib/cloud/seed/nocloud/meta-data', 'instance-id: lab-1\n')
    shutil.copytree(SAMPLES / 'systemd', root.path / 'etc/systemd/system', dirs_exist_ok=True)
    (root.path / 'etc/systemd/system/iommucfg-simulation.conf').rename(
        root.path / 'etc/iommucfg-simulation.conf')
    root.write('etc/systemd/system/simulation.service', SERVICE)


def first_boot(lane):
    """cloud-init's script has run."""
    status, out = lane.fails('cloud-init status --wait --long', 600)
    log = lane.run('cat /var/log/cloud-init-output.log')
    lane.check(not status and 'status: done' in out, 'cloud-init has nothing to complain of',
               out + log)
    lane.equal(lane.types(), {lane.ROOT: 'DMA-FQ', lane.DATA: 'identity', lane.NIC: 'DMA-FQ'},
               'the disk that nobody uses has the type of the policy, the root disk not yet')
    lane.check('taking it back' not in log and 'committed' in log, 'its script says so', log)
    lane.equal(lane.run('ls /sys/kernel/config/iommu/ | grep cloud || :'), '',
               'the change was confirmed')
    rules = lane.run('iommucfg standing')
    lane.check('identity' in rules and 'DMA' in rules, 'devices to come get theirs, too', rules)


def second_boot(lane):
    """From the image now; and the drop-ins."""
    lane.equal(lane.types(), {lane.ROOT: 'identity', lane.DATA: 'identity', lane.NIC: 'DMA-FQ'},
               'in the next boot the root disk has it, too')
    lane.run('''for i in $(seq 60); do
                     [ "$(systemctl is-active iommucfg-report.service)" != activating ] || sleep 1
                 done''', 90)
    for name, key in (('plan', 'changes'), ('show', 'groups'), ('history', 'entries')):
        text = lane.run(f'cat /run/iommucfg-agent/{name}.json')
        lane.check(key in json.loads(text), f'the drop-in leaves {name}.json', text)


def service(lane):
    """One that has to have its types."""
    status, _ = lane.fails('systemctl start simulation.service', 120)
    log = lane.run('journalctl -b -u simulation.service -o cat')
    lane.check(status and 'accelerators of the simulation' in log,
               'a service is not started where a device that it needs is missing', log)
    lane.write('/etc/iommucfg-simulation.conf',
               (SAMPLES / 'systemd/iommucfg-simulation.conf').read_text()
               .replace('[ "display", "accelerator" ]', '"0108"'))
    status, out = lane.fails('systemctl start simulation.service', 120)
    lane.check(not status, 'it is where all have the types that it needs',
               out + lane.run('journalctl -b -u simulation.service -o cat'))


def run(lane):
    """All of it."""
    with debian.unpacked(lane.image, lane.directory) as root:
        instance(lane, root)
        root.make(lane.disk)
    lane.equal(lane.boot(), 'running', 'an instance\'s first boot: nothing fails')
    first_boot(lane)
    lane.image_idle()
    lane.reboot()
    second_boot(lane)
    service(lane)
    lane.quiet_log()
