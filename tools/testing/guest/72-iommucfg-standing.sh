#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# iommucfg gives the kernel the policy's rules for devices to come, and a device that
# comes has the type that its policy says.
#
# machines: vtd smmuv3
# also: amd
# timeout: 120

. /lab/lib.sh
. /lab/tests/faults.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"
STANDING=$CONFIGFS/standing
[ -d "$STANDING" ] || {
	[ ! -d "$CONFIGFS" ] || rmmod iommu_configfs 2> /dev/null ||
		skip_all "the module is built in, without standing=1"
	modprobe iommu-configfs standing=1 || bail "no module"
}

# The system's: that of a FILE is for what is there alone.
policy()
{
	cat >/etc/iommucfg.conf
}

names()
{
	(cd "$STANDING" && echo */)
}

edu_setup
other=identity
[ "$boot" != identity ] || other=DMA

# Nothing changes but for what is to come.
policy <<END
rules = (
  { name = "edu"; match = { vendor = 0x1234; device_id = 0x11e8; device = [ "$d", "$e" ]; }; type = "$boot"; }
);
END
run 0 "apply" apply --yes
check_eq "one rule" "$(names | wc -w)" 1
run 0 "apply again" apply --yes
kept=$(names)
run 0 "standing" standing --json
check_match "shows it" "$(tr -d ' \n' </tmp/out)" \
	"\"modalias\":\\[\"pci:v00001234d000011E8sv\\*sd\\*bc\\*sc\\*i\\*\"\\],\"removable\":\"any\",\"priority\":1,\"order\":0,\"type\":\"$boot\",\"hits\":0"

# The policy changes while the devices are away.
for dev in "$d" "$e"; do
	echo 1 > "/sys/bus/pci/devices/$dev/remove"
done
policy <<END
rules = (
  { name = "edu"; match = { vendor = 0x1234; device_id = 0x11e8; device = [ "$d", "$e" ]; }; type = "$other"; }
);
END
run 0 "apply, with nothing there" apply --yes
check_eq "another rule instead" "$(names | wc -w) $([ "$(names)" = "$kept" ] || echo another)" "1 another"
rescan "$d"
check "the devices come" wait_for 10 bound "$e"
check_eq "with the type of the policy" "$(group_type "$(group_of "$d")")" "$other"
check_eq "and it agrees" "$(iommucfg assert; echo $?)" 0
run 0 "standing" standing
check_match "counts them" "$(cat /tmp/out)" "edu.* $other +2$"

# A conflict of the policy is one in the kernel.
for dev in "$d" "$e"; do
	echo 1 > "/sys/bus/pci/devices/$dev/remove"
done
policy <<END
rules = (
  { name = "one"; match = { device = "$d"; }; type = "$other"; },
  { name = "two"; match = { device = "$e"; }; type = "$boot"; }
);
END
run 0 "apply" apply --yes
rescan "$d"
wait_for 10 bound "$e"
run 0 "standing" standing
check_match "it is reported" "$(cat /tmp/out)" "$other of standing rule one.*, and $boot of standing rule two"
run 1 "as plan does" plan

# Without a policy there are no rules.
policy <<END
rules = ();
END
run 0 "an empty policy" apply --yes
check_eq "leaves none" "$(names)" "*/"
rm -f /etc/iommucfg.conf
edu_end
check "the module can go" rmmod iommu_configfs
finish
