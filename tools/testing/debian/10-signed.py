# SPDX-License-Identifier: GPL-2.0
"""Where the kernel takes only modules with signatures that it knows, as under Secure Boot,
and nobody has enrolled DKMS's key: the machine boots unchanged, and says what is missing."""

BEGINS = '02-early'


def run(lane):
    """All of it."""
    lane.equal(lane.boot('module.sig_enforce=1'), 'degraded', 'no module: the boot says so')
    lane.equal(lane.run('systemctl --failed --no-legend --plain').split()[0], 'iommucfg.service',
               'it is the unit that has failed')
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'the types are the kernel\'s own')
    lane.equal(lane.fails('grep -w iommu_configfs /proc/modules')[0], 1, 'no module was loaded')
    log = '\n'.join(lane.klog())
    lane.check('iommucfg: the policy was NOT applied' in log, 'the kernel\'s log says so', log)
    status, out = lane.fails('iommucfg apply --yes 2>&1')
    lane.equal(status, 1, 'a command that needs the module fails')
    lane.check('signed with a key' in log, 'the kernel\'s log says what is missing', log)
    lane.check('signed with a key' in out and 'SECURE BOOT' in out, 'so does the command', out)
    lane.equal(lane.reboot(), 'running', 'the boot after it')
    lane.equal(lane.types(), lane.OLD_TYPES, 'it has the policy again')
