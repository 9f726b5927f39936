# SPDX-License-Identifier: GPL-2.0
"""The packages are upgraded, removed and purged, in a running machine; then nothing is left
of them, and the machine boots."""

import debian

BEGINS = '02-early'


def left(lane):
    """Files of ours, but for the policy, which is its owner's."""
    return lane.run('''find / -xdev \\( -path /root -o -path /var/lib/apt -o -path /var/log \\
            -o -path /var/cache -o -path /usr/local/lib/lab -o -path /proc -o -path /sys \\) -prune -o \\
            \\( -name '*iommucfg*' -o -name '*iommu-configfs*' -o -name '*iommu_configfs*' \\) -print |
            sort''', 120)


def policy_of_a_package(lane, root):
    """A package that brings a policy has the image built anew, and one that takes it away."""
    package = lane.directory / 'package'
    (package / 'DEBIAN').mkdir(parents=True)
    (package / 'etc/iommucfg.d').mkdir(parents=True)
    (package / 'DEBIAN/control').write_text(
        'Package: lab-policy\nVersion: 1\nArchitecture: all\nMaintainer: lab <lab@lab>\n'
        'Description: a policy\n')
    (package / 'etc/iommucfg.d/lab.conf').write_text('default = "keep";\n')
    debian.tool(['dpkg-deb', '--root-owner-group', '-b', package, root.path / 'root/lab-policy.deb'])
    image = f'/boot/initrd.img-{lane.release}'
    root.run('dpkg', '-i', '/root/lab-policy.deb')
    lane.check('iommucfg.d/lab.conf' in root.run('lsinitramfs', image),
               'the policy of a package gets into the image')
    root.run('dpkg', '--purge', 'lab-policy')
    lane.check('iommucfg.d/lab.conf' not in root.run('lsinitramfs', image),
               'and goes with it')


def upgraded_module(lane, root):
    """The module's package, upgraded and purged where building takes no emulated CPU."""
    out = root.run('sh', '-c', 'dpkg -i /root/next/*.deb 2>&1', check=False)
    status = root.run('dkms', 'status')
    lane.check(f'iommu-configfs/99.0, {lane.release}, x86_64: installed' in status and
               'iommu-configfs/1.0' not in status,
               'the module is upgraded: DKMS has the new one, and not the old one', status + out)
    module = root.run('modinfo', '-k', lane.release, '-n', 'iommu-configfs')
    lane.check('updates/dkms/iommu-configfs.ko' in module, 'modprobe finds it', module)
    names = root.run('lsinitramfs', f'/boot/initrd.img-{lane.release}')
    lane.check('iommu-configfs.ko' in names, 'the initramfs image has it', names)
    policy_of_a_package(lane, root)
    root.run('dpkg', '--remove', 'iommucfg')
    names = root.run('lsinitramfs', f'/boot/initrd.img-{lane.release}')
    lane.check('sbin/iommucfg' not in names and 'init-top/iommucfg' not in names,
               'without the command the image is built anew', names)
    root.run('dpkg', '--purge', 'iommucfg', 'libiommucfg0', 'iommu-configfs-dkms')
    found = debian.tool(['find', root.path, '-path', f'{root.path}/root', '-prune', '-o',
                         '-path', f'{root.path}/var/log', '-prune', '-o',
                         '-name', '*iommu*configfs*', '-print', '-o',
                         '-name', '*iommucfg*', '-print'])
    lane.equal(found, '', 'purged: nothing is left of them')


def run(lane):
    """All of it."""
    with debian.unpacked(lane.image, lane.directory) as root:
        upgraded_module(lane, root)
    lane.boot()
    before = lane.run('cat /etc/iommucfg.conf; cat /var/lib/iommucfg/good.conf')
    # Building the module takes an emulated CPU long: that one is upgraded by itself, below.
    out = lane.run('cd /root/next && DEBIAN_FRONTEND=noninteractive dpkg -i '
                   'libiommucfg0_*.deb iommucfg_*.deb 2>&1', 600)
    lane.check('99.0' in lane.run('dpkg-query -W iommucfg libiommucfg0'), 'upgraded', out)
    lane.equal(lane.types(), lane.OLD_TYPES, 'an upgrade changes no type')
    lane.equal(lane.run('cat /etc/iommucfg.conf; cat /var/lib/iommucfg/good.conf'), before,
               'policy and state are as they were')
    lane.equal(lane.run('systemctl is-active iommucfg.service iommucfg-image.path'),
               'active\nactive', 'the units are as they were')
    lane.image_idle()
    lane.equal(lane.reboot(), 'running', 'a boot after the upgrade')
    lane.equal(lane.types(), lane.OLD_TYPES, 'it has the types of the policy')

    out = lane.run('DEBIAN_FRONTEND=noninteractive apt-get -y remove iommucfg libiommucfg0 '
                   'iommu-configfs-dkms 2>&1', 900)
    names = lane.run('lsinitramfs /initrd.img', 120)
    lane.check('iommucfg' not in names.replace('etc/iommucfg', '') and 'iommu-configfs' not in names,
               'removed: the initramfs image has nothing of them', names)
    lane.equal(lane.run('dkms status 2>/dev/null'), '', 'DKMS has no module')
    lane.equal(lane.reboot(), 'running', 'a boot without them')
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'the types are the kernel\'s own')
    lane.check(lane.run('cat /etc/iommucfg.conf') and lane.run('cat /var/lib/iommucfg/good.conf'),
               'policy and state are kept')

    lane.run('DEBIAN_FRONTEND=noninteractive dpkg --purge iommucfg libiommucfg0 '
             'iommu-configfs-dkms 2>&1', 900)
    lane.equal(left(lane), '/etc/iommucfg.conf', 'purged: nothing is left but the policy')
    lane.equal(lane.run('systemctl --failed --no-legend'), '', 'no unit has failed')
    lane.equal(lane.reboot(), 'running', 'a boot after that')
