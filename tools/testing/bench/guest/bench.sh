#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# `make bench`, the guest's part: measures, and prints raw figures for the host to judge.
# Which parts, and how often, is in /lab/bench/what.

. /lab/lib.sh
. /lab/bench/what

# figure NAME VALUE...: a line for the host.
figure()
{
	echo "figure $*"
}

for part in real mock memory live fio; do
	# shellcheck source=/dev/null
	. /lab/bench/$part.sh
done
load_module

# The lab prints every message, and an emulated serial line takes milliseconds for what a
# probe has to say: as on other machines, it gets problems only. e1000e has a warning for
# each probe after the 32nd since boot, which no other machine comes to.
dmesg -n 4
echo N > /sys/module/printk/parameters/ignore_loglevel

figure cpus "$(nproc)"
for part in $PARTS; do
	read -r up _ < /proc/uptime
	say "$part ..."
	"bench_$part"
	read -r now _ < /proc/uptime
	figure took "$part" $((${now%.*} - ${up%.*}))
done
rmmod iommu_configfs
echo Y > /sys/module/printk/parameters/ignore_loglevel
