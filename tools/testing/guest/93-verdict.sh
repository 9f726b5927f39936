#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What judges a change, on real drivers: a device that does DMA to a page that was never
# mapped for it, which is a fault under DMA alone, a check command, and hooks.
#
# machines: vtd
# also: amd virtio-iommu smmuv3
# timeout: 240
# klog-allow: DMAR: .*[Ff]ault|DMAR: .*Request device|AMD-Vi: Event logged|fault from EP|arm-smmu-v3 .*(event|0x|unpriv|priv)

. /lab/lib.sh
. /lab/tests/faults.sh

command -v iommucfg >/dev/null || skip_all "iommucfg is not built"
load_module
check "the test driver loads" edu_load

one=$(group_of edu)
two=$(group_of edu2)
a=$(dev edu 0)
b=$(dev edu2 0)
c=$(dev edu 1)
d=$(dev edu2 1)
boot_one=$(group_type "$one")
boot_two=$(group_type "$two")

# faults_of ADDRESS: lines of the log that the IOMMU has written about its faults.
faults_of()
{
	klog | grep -cE "Request device .*${1#0000:}|$1: AMD-Vi: Event logged|device=$1|fault from EP|client: $1|event 0x"
}

# stray ADDRESS: has it write to a page that was never mapped for it. The kernel limits the
# lines that it logs in five seconds, and one such write can be many faults.
stray()
{
	sleep 6
	edu_set "$1" stray 1
	unbind "$1"
	bind "$1" edu_lab
}

# An IOMMU that says nothing: QEMU's amd-iommu stops the access, but up to QEMU 7.2, and later
# ones, it mistakes any value of the status register for an overflow of the event log, and logs
# no event (amdvi_test_mask() ORs where it has to AND).
run 0 "a group under DMA" set "$one" DMA
klog_begin
stray "$c"
edu_set "$c" stray 0
reported=$(faults_of "$c")
run 0 "both groups are under identity" set "$one" identity "$two" identity
before=$(groups_now "$one" "$two")

faults()
{
	klog_begin
	check "DMA to a page that is not mapped is harmless under identity" stray "$a"
	check_eq "and no fault" "$(faults_of "$a")" 0

	sleep 6
	run 4 "under DMA its fault undoes the change" set --json "$one" DMA
	check_match "which the exit says" "$(cat /tmp/out)" '"result": "restored"'
	check_match "and the problem" "$(cat /tmp/out)" '"kind": "fault"'
	quoted=$(sed -n 's/.*"message": ".*IOMMU fault after the change: \\"\(.*\)\\"".*/\1/p' /tmp/out)
	say "quoted: $quoted"
	check_match "the line is quoted" "$quoted" "."
	check "as it is in the log" sh -c 'dmesg | grep -qF -e "${1%%\\*}"' - "$quoted"
	check_as_before "everything is as before" "$before" "$one" "$two"
	check_eq "no transaction is left" \
		"$(ls $CONFIGFS | grep -vxE 'abi|generation|standing' | xargs)" ""

	sleep 6
	run 0 "a device that has had faults before only warns" set --json "$one" DMA
	check_match "with a code" "$(cat /tmp/out)" '"code": "faulted-before"'
	check_eq "and the type is the new one" "$(group_type "$one")" DMA
	edu_set "$a" stray 0
	run 0 "back to identity" set "$one" identity

	# Between commit and confirm, in another process.
	run 0 "an unconfirmed change" set --confirm-timeout 120 --detach --name night "$two" DMA
	stray "$b"
	edu_set "$b" stray 0
	run 4 "confirm finds the fault since then, or what watches the change has" confirm night
	# The watch may roll back first, and writes the fault into the history after that.
	check "and the history has it" wait_for 30 sh -c \
		'iommucfg history --json | grep -qF "$1 has an IOMMU fault"' - "$b"
	sleep 6
	run 0 "an unconfirmed change that is left to itself" set --confirm-timeout 120 --detach \
		--name alone "$two" DMA
	stray "$d"
	edu_set "$d" stray 0
	check "goes back for a fault" wait_for 30 [ ! -e "$CONFIGFS/alone" ]
	run 4 "of which a late confirmation is told" confirm alone
	check_match "with the line" "$(cat /tmp/err)" "IOMMU fault"
	check_as_before "and everything is as before" "$before" "$one" "$two"
}

if [ "$reported" = 0 ]; then
	skip "an IOMMU fault undoes a change" "this IOMMU reports none: QEMU 7.2 never logs an event of AMD-Vi"
else
	faults
fi

cat >/tmp/check <<'END'
#!/bin/sh
echo "the service does not answer"
exit 7
END
chmod 755 /tmp/check
run 4 "a check command that fails undoes the change" set --check-command /tmp/check "$two" DMA
check_match "and is quoted" "$(cat /tmp/err)" 'status 7.*the service does not answer'
check_as_before "everything is as before" "$before" "$one" "$two"
run 0 "one that does not keeps it" set --check-command /bin/true "$two" DMA
check_eq "the type is the new one" "$(group_type "$two")" DMA
run 0 "and back" set "$two" identity

mkdir -p /etc/iommucfg/hooks.d
cat >/etc/iommucfg/hooks.d/10-service <<'END'
#!/bin/sh
echo "$1 $IOMMUCFG_ACTION $IOMMUCFG_RESULT" >>/tmp/calls
grep -q '"changes":\[{' || exit 99
exit "$(cat "/tmp/$1" 2>/dev/null || echo 0)"
END
chmod 755 /etc/iommucfg/hooks.d/10-service
removes=$(edu_get "$b" removes)
echo 5 >/tmp/before
run 3 "a hook that refuses" set "$two" DMA
check_match "says so" "$(cat /tmp/err)" "10-service before.*status 5"
check_eq "no driver was unbound" "$(edu_get "$b" removes)" "$removes"
check_as_before "nothing was touched" "$before" "$one" "$two"
echo 0 >/tmp/before
echo 6 >/tmp/after
run 4 "a hook that fails afterwards undoes the change" set "$two" DMA
check_match "says so" "$(cat /tmp/err)" "10-service after.*status 6"
check_as_before "everything is as before" "$before" "$one" "$two"
check_eq "what was called" "$(xargs </tmp/calls)" \
	"before set planned before set planned after set committed undone set restored"
rm -r /etc/iommucfg/hooks.d/10-service /tmp/before /tmp/after /tmp/calls /tmp/check

run 0 "the types of the boot" set "$one" "$boot_one" "$two" "$boot_two"
edu_unload
finish
