# SPDX-License-Identifier: GPL-2.0
"""The same with an initramfs image of dracut's: types before drivers bind, the image built
anew when the policy changes."""

import shutil

import debian

# As with initramfs-tools, see customize: what the machine has, and what can be unpacked soon.
DRACUT = '''hostonly="no"
dracutmodules="base udev-rules kernel-modules rootfs-block iommucfg"
drivers="nvme e1000e ext4"
filesystems="ext4"
compress="gzip"
'''


def install(lane, root):
    """Instead of initramfs-tools, as apt does it."""
    shutil.copytree(lane.image / 'others/dracut', root.path / 'root/dracut')
    root.write('etc/dracut.conf.d/lab.conf', DRACUT)
    root.write('etc/iommucfg.conf', lane.OLD)
    out = root.run('sh', '-c', 'apt-get -y --no-install-recommends install /root/dracut/*.deb '
                   f'&& dracut --force /boot/initrd.img-{lane.release} {lane.release}')
    status = root.run('dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\n', 'dracut',
                      'initramfs-tools', check=False)
    lane.check('dracut installed' in status and 'initramfs-tools installed' not in status,
               'dracut is there instead of initramfs-tools', status + out)
    names = root.run('lsinitrd', f'/boot/initrd.img-{lane.release}')
    for name in ('usr/sbin/iommucfg', 'hooks/pre-udev/10-iommucfg-boot.sh', 'iommu-configfs.ko',
                 'etc/iommucfg.conf'):
        lane.check(name in names, f'dracut\'s image has {name}', names + out)


def early(lane, types, what):
    """The types, from before the drivers bound."""
    lane.equal(lane.types(), types, f'dracut, {what}: all types are as the policy says')
    log = '\n'.join(lane.klog())
    before, changed, after = log.partition('iommucfg: groups changed by the policy: 3')
    lane.check(changed and 'pci function' not in before and 'e1000e 0000' not in before and
               f'pci function {lane.ROOT}' in after,
               f'dracut, {what}: changed before the drivers bound', log)


def run(lane):
    """All of it."""
    with debian.unpacked(lane.image, lane.directory) as root:
        install(lane, root)
        root.make(lane.disk)
    lane.equal(lane.boot(), 'running', 'dracut: nothing fails')
    early(lane, lane.OLD_TYPES, 'first boot')
    lane.equal(lane.run('systemctl is-active iommucfg-confirm.service'), 'active',
               'dracut: the boot is confirmed')
    lane.quiet_log()
    lane.image_idle()
    lane.write('/etc/iommucfg.conf', lane.NEW)
    lane.equal(lane.image_idle(), 'success', 'dracut: the image is built anew when the policy changes')
    lane.equal(lane.run('iommucfg check 2>&1').count('older'), 0,
               'dracut: then check has nothing to warn of')
    lane.equal(lane.reboot(), 'running', 'dracut: nothing fails in the next boot')
    early(lane, lane.NEW_TYPES, 'next boot')
