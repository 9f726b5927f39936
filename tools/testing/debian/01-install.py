# SPDX-License-Identifier: GPL-2.0
"""The packages are installed by apt, and bring all that a boot needs; without a policy
nothing is changed; a policy that is written gets into the initramfs image by itself."""

SHORT = True


def installed(lane):
    """What installing has left, before anything was booted."""
    log = (lane.image / 'install.log').read_text(errors='replace')
    lane.check('iommu-configfs.ko' in log and 'update-initramfs: Generating' in log,
               'installing builds the module and the initramfs image', log)


def first_boot(lane):
    """Nothing is different with the packages alone."""
    lane.equal(lane.boot(), 'running', 'a boot without a policy: nothing fails')
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'without a policy the types are the kernel\'s own')
    lane.equal(lane.fails('grep -w iommu_configfs /proc/modules')[0], 1,
               'without a policy the module is not loaded')
    # Comments of the module's tools on standard error are not of interest.
    lane.check(f'{lane.release}, x86_64: installed' in lane.run('dkms status 2>/dev/null'),
               'DKMS has the module installed for the kernel')
    names = lane.run('lsinitramfs /initrd.img', 120)
    for name in ('usr/sbin/iommucfg', 'scripts/init-top/iommucfg',
                 'scripts/init-bottom/iommucfg', 'scripts/panic/iommucfg', 'iommu-configfs.ko',
                 'modprobe.d/iommucfg.conf'):
        lane.check(name in names, f'the initramfs image has {name}')
    lane.quiet_log()


def policy(lane):
    """One that is written."""
    lane.equal(lane.run('iommucfg check 2>&1 || :').count('older'), 0,
               'without a policy no image is too old')
    lane.run('systemctl stop iommucfg-image.path')
    lane.write('/etc/iommucfg.conf', lane.OLD)
    lane.check('older than' in lane.run('iommucfg check 2>&1'),
               'check warns that the image is older than the policy')
    lane.run('systemctl start iommucfg-image.path; touch /etc/iommucfg.conf')
    lane.equal(lane.image_idle(), 'success', 'the image is built anew when the policy changes')
    lane.equal(lane.run('iommucfg check 2>&1').count('older'), 0,
               'then check has nothing to warn of')
    lane.check('etc/iommucfg.conf' in lane.run('lsinitramfs /initrd.img', 120),
               'the image has the policy')
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'all that changes no type')


def run(lane):
    """All of it."""
    installed(lane)
    first_boot(lane)
    policy(lane)
    lane.leave()
