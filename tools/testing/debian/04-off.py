# SPDX-License-Identifier: GPL-2.0
"""iommucfg=off: the policy is ignored, by the initramfs and by all that comes after."""

BEGINS = '02-early'


def run(lane):
    """All of it."""
    lane.equal(lane.boot('iommucfg=off'), 'running', 'iommucfg=off: nothing fails')
    lane.equal(lane.types(), lane.DEFAULT_TYPES, 'the types are the kernel\'s own')
    lane.equal(lane.fails('grep -w iommu_configfs /proc/modules')[0], 1, 'no module was loaded')
    lane.equal(lane.run('systemctl is-active iommucfg.service iommucfg-confirm.service || :'),
               'inactive\ninactive', 'the units have done nothing')
    lane.machine.plug('e1000e,id=nic1,netdev=nic1,bus=rp4,mac=52:54:00:12:34:02,romfile=')
    lane.run(f'''for i in $(seq 60); do
                     [ ! -e /sys/bus/pci/devices/{lane.PLUGGED}/driver ] || break
                     sleep 1
                 done
                 udevadm settle -t 60''', 150)
    lane.equal(lane.type_of(lane.PLUGGED), 'DMA-FQ', 'a device that is plugged in keeps the kernel\'s')
    lane.equal(lane.reboot(), 'running', 'the boot after it')
    lane.equal(lane.types(), lane.OLD_TYPES, 'it has the policy again')
