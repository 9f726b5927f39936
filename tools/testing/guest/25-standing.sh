#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Standing rules: devices that come have the type of the policy before their driver
# has them; and what is in the way is told, and left as it is.
#
# machines: vtd smmuv3
# also: amd
# timeout: 180

. /lab/lib.sh
. /lab/tests/faults.sh

STANDING=$CONFIGFS/standing

# rule NAME TYPE [FILE VALUE]...: makes one.
rule()
{
	local dir=$STANDING/$1 type=$2
	shift 2
	mkdir "$dir" || return
	while [ $# -gt 0 ]; do
		echo "$2" > "$dir/$1" || return
		shift 2
	done
	echo "$type" > "$dir/type"
}

no_rules()
{
	local dir
	for dir in "$STANDING"/*/; do
		[ ! -d "$dir" ] || rmdir "$dir"
	done
}

# comes ADDRESS...: as if new.
remove()
{
	local dev
	for dev; do
		echo 1 > "/sys/bus/pci/devices/$dev/remove"
	done
}

comes()
{
	remove "$@"
	rescan "$1"
}

hits()
{
	cat "$STANDING/$1/hits"
}

# told PATTERN: the last line of the report.
check_told()
{
	check_match "$1" "$(tail -n 1 "$STANDING/report")" "$2"
}

# As a module it can be had without.
if [ ! -d "$STANDING" ]; then
	[ ! -d "$CONFIGFS" ] || rmmod iommu_configfs 2> /dev/null ||
		skip_all "the module is built in, without standing=1"
	modprobe iommu-configfs
	check_not "without standing=1 there is no such thing" test -e "$STANDING"
	check_eq "and the name is reserved" "$(try mkdir "$STANDING")" EINVAL
	rmmod iommu_configfs
	modprobe iommu-configfs standing=1 || bail "no module"
fi

# Words
check_eq "the name is taken" "$(try mkdir "$STANDING")" EEXIST
check_eq "for good" "$(try rmdir "$STANDING")" EPERM
check_eq "no rule of a name that is none" "$(try mkdir "$STANDING/a b")" EINVAL
check "a rule" mkdir "$STANDING/r"
check_eq "once" "$(try mkdir "$STANDING/r")" EEXIST
check_eq "what it has" "$(cd "$STANDING/r" && for f in *; do echo "$f=$(cat "$f")"; done | xargs)" \
	"bus=pci device=* hits=0 modalias=* order=0 priority=0 removable=any type=none"
for pair in "bus foo" "bus pc" "removable maybe" "priority -1" "priority 4294967296" "priority x" "order -1" \
		"type blocked" "type dma" "device " "modalias "; do
	check_eq "not \"$pair\"" "$(write_errno "$STANDING/r/${pair%% *}" "${pair#* }")" EINVAL
done
for pair in "bus platform" "removable yes" "removable no" "removable any" "priority 4294967295" "order 1" \
		"type identity" "type DMA" "type DMA-FQ" "type auto" "type none" \
		"device 0000:0?:00.[0-3] x*" "modalias pci:v*"; do
	check_eq "but \"$pair\"" "$(write_errno "$STANDING/r/${pair%% *}" "${pair#* }")" 0
	check_eq "which reads back" "$(cat "$STANDING/r/${pair%% *}")" "${pair#* }"
done
check_eq "blanks are one" "$(echo "  a   b  " > "$STANDING/r/device"; cat "$STANDING/r/device")" "a b"
long=$(printf '%04093d' 0)
check_eq "4094 bytes with the newline" "$(write_errno "$STANDING/r/modalias" "$long")" 0
check_eq "read back" "$(cat "$STANDING/r/modalias")" "$long"
check_eq "and no more: the rest would be a list of its own" \
	"$(write_errno "$STANDING/r/modalias" "${long}0")" EINVAL
check_eq "not even where what fits ends in a newline" \
	"$(write_errno "$STANDING/r/modalias" "$(printf '%s\nb' "$long")")" EINVAL
check_eq "which leaves what there was" "$(cat "$STANDING/r/modalias")" "$long"
for file in bus device modalias removable priority order type; do
	check_eq "$file without CAP_SYS_RAWIO" \
		"$(try -d sys_rawio write "$STANDING/r/$file" x)" EACCES
done
check_eq "hits cannot be written" "$(write_errno "$STANDING/r/hits" 1)" EACCES
check_not "a rule pins the module" rmmod iommu_configfs
no_rules
check_eq "nothing to report" "$(wc -c < "$STANDING/report")" 0

edu_setup
before=$(groups_now "$edu" "$edu2")
other=identity
[ "$boot" != identity ] || other=DMA
third=DMA
[ "$boot" != DMA ] || third=DMA-FQ

# A rule does nothing to what is there.
check "a rule for everything" rule all "$other"
check_as_before "changes nothing that is there" "$before" "$edu" "$edu2"
no_rules

# The one device of a group that has no driver yet.
alias=$(cat "/sys/bus/pci/devices/$d/modalias")
check "a rule by modalias" rule alias "$other" modalias "nothing ${alias%sv*}*"
trace_start iommu_configfs:icfg_release
dmesg -c > /dev/null
comes "$d" "$e"
check_eq "a group that comes has its type" "$(group_type "$(group_of "$d")")" "$other"
check "and its drivers" wait_for 10 bound "$e"
check_eq "both devices count" "$(hits alias)" 2
check_eq "nobody had to give up a driver" "$(trace_stop | grep -c icfg_release)" 0
check_eq "the type came before the first driver" \
	"$(dmesg | grep -oE 'by standing rule alias|edu_lab .*probe' | head -n 1)" \
	"by standing rule alias"
check_eq "nothing to report" "$(wc -c < "$STANDING/report")" 0
no_rules
comes "$d" "$e"
check_eq "without the rule the type is that of the boot" "$(group_type "$(group_of "$d")")" "$boot"
wait_for 10 bound "$e"

# Which rule counts.
rule low "$other" device "$d" priority 1
rule high "$third" device "0000:* $d" priority 2
rule inert identity device "*" priority 9
echo none > "$STANDING/inert/type"
rule elsewhere identity bus platform priority 9
rule alsonot identity modalias "usb:*" priority 9
rule norno identity removable yes priority 9
comes "$d" "$e"
check_eq "the highest priority" "$(group_type "$(group_of "$d")")" "$third"
check_eq "and that one only" \
	"$(hits low) $(hits high) $(hits inert) $(hits elsewhere) $(hits alsonot) $(hits norno)" "0 2 0 0 0 0"
no_rules
rule first "$other" device "$d $e"
rule second "$third" device "$d $e"
comes "$d" "$e"
check_eq "of equals the one made first" "$(group_type "$(group_of "$d")") $(hits first) $(hits second)" \
	"$other 2 0"
echo 1 > "$STANDING/first/order"
comes "$d" "$e"
check_eq "or the one with the lowest order" \
	"$(group_type "$(group_of "$d")") $(hits first) $(hits second)" "$third 2 2"
no_rules
rule whatever auto
comes "$d" "$e"
check_eq "auto is what the core gives" "$(group_type "$(group_of "$d")") $(hits whatever)" "$boot 2"
no_rules

# Devices of one group that want different things.
edu_unload
rule one "$other" device "$d"
rule two "$third" device "$e"
comes "$d" "$e"
check_eq "of a conflict, the type of who came first stays" \
	"$(group_type "$(group_of "$d")") $(hits one) $(hits two)" "$other 1 0"
check_told "and it is told" \
	"^[0-9]+ ($d|$e) check EINVAL $other of standing rule one, and $third of standing rule two for device $e"
echo 1 > "$STANDING/two/priority"
comes "$d" "$e"
check_eq "with another priority there is none" \
	"$(group_type "$(group_of "$d")") $(hits two)" "$third 1"
no_rules
comes "$d" "$e"
edu_load

# A group that is in use.
now=$(group_type "$(group_of "$d")")
remove "$e"
rule late "$other" device "$e"
rescan "$d"
check_eq "a group with a driver is left alone" "$(group_type "$(group_of "$d")") $(hits late)" "$now 0"
check_told "and it is told" "^[0-9]+ $e check EBUSY device $d has its driver already"
check "the device has its driver all the same" wait_for 10 bound "$e"
echo "$now" > "$STANDING/late/type"
comes "$e"
check_eq "unless it has the type" "$(hits late)" 1
no_rules
edu_unload

# A device that no rule is for, in a group with one that has a rule by now.
remove "$e"
now=$(group_type "$(group_of "$d")")
[ "$now" = "$other" ] && also=$third || also=$other
rule before "$also" device "$d"
comes_alone=$(hits before)
rescan "$d"
check_eq "what is there already gives no reason" \
	"$(group_type "$(group_of "$d")") $comes_alone $(hits before)" "$now 0 0"
no_rules

# A group that a transaction has.
edu2=$(group_of edu2)
t=$(txn_new holds)
stage "$t" "$edu2" "$other"
echo 300 > "$t/confirm_timeout"
check_eq "unconfirmed" "$(write_errno "$t/commit" 1)" 0
remove "$e"
rule comes "$third" device "$e"
rescan "$d"
check_eq "stays as the transaction has it" "$(group_type "$edu2") $(hits comes)" "$other 0"
check_told "which is named" "^$edu2 $e check EBUSY transaction holds has this group"
check_eq "rollback" "$(write_errno "$t/rollback" 1)" 0
txn_end "$t"
comes "$e"
check_eq "and then the rule holds" "$(group_type "$(group_of "$e")") $(hits comes)" "$third 1"
no_rules

# A group that user space has.
modprobe vfio_iommu_type1 && modprobe vfio-pci &&
	echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
group=$(group_of edu2)
remove "$e"
if [ "$boot" != identity ] && override "$d" vfio-pci && holder=$(hold_vfio "$group"); then
	rule taken identity device "$e"
	rescan "$d"
	check_eq "an owned group is left alone" "$(group_type "$group") $(hits taken)" "$third 0"
	check_told "and it is told" "^$group $e check EBUSY .*owned by user space"
	let_go "$holder"
	no_rules
else
	skip "an owned group" "no VFIO in this guest"
fi
override "$d" ""
[ -d "/sys/bus/pci/devices/$e" ] || rescan "$d"

# For real: plugged in.
if [ -d "/sys/bus/pci/devices/0000:00:03.5" ] && has_group edu && ! grep -q smmu /proc/cmdline; then
	slot=$(behind 0000:00:03.5)
	rule plugged "$other" modalias "pci:v00001AF4d00001044sv*"
	dmesg -c > /dev/null
	if host device_add "virtio-rng-pci,id=standing,bus=rp13,iommu_platform=on,disable-legacy=on"; then
		wait_for 20 bound "$slot"
		check_eq "a device that is plugged in has the type of the rule" \
			"$(group_type "$(group_of "$slot")") $(driver_of "$slot") $(hits plugged)" \
			"$other virtio-pci 1"
		check_eq "before its driver has it" \
			"$(dmesg | grep -oE 'by standing rule plugged|virtio-pci .*enabling device' | head -n 1)" \
			"by standing rule plugged"
		unplug standing
		wait_for 20 gone "$slot"
	else
		skip "a device that is plugged in" "no slot"
	fi
	no_rules
fi

# What the report keeps.
rule wrong "$third" device "$e"
rule right "$other" device "$d"
for round in $(seq 36); do
	comes "$e"
done
check_eq "the report keeps the last 32 lines" "$(wc -l < "$STANDING/report")" 32
no_rules
comes "$d" "$e"
check "without rules the module can go" rmmod iommu_configfs
[ "$(group_type "$(group_of edu2)")" = "$boot" ] ||
	echo "$boot" > "$SYS_GROUPS/$(group_of edu2)/type"
finish
