# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# What guest tests share. A test sources this, says what it found with ok(),
# not_ok(), check_eq() and the like, and ends with finish().

CONFIGFS=/sys/kernel/config/iommu
SYS_GROUPS=/sys/kernel/iommu_groups
LAB_RUN=${LAB_RUN:-/run/test}

# ---------------------------------------------------------------- TAP

TAP_N=0
TAP_FAILED=0

# Diagnostics, one or more lines.
say()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

# point WORD DESCRIPTION: one line, whatever the description holds. Only the odd
# one is worth a process.
point()
{
	TAP_N=$((TAP_N + 1))
	case $2 in
	*[[:cntrl:]#]*)
		printf '%s %d %s\n' "$1" "$TAP_N" "$(printf %s "$2" |
			sed 's/#/\\#/g' | tr '\001-\037\177' '?')"
		;;
	*)
		echo "$1 $TAP_N $2"
		;;
	esac
}

ok()
{
	point ok "$*"
}

not_ok()
{
	TAP_FAILED=$((TAP_FAILED + 1))
	point "not ok" "$*"
}

# skip "what" "why": a point that cannot be tried here.
skip()
{
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N $1 # SKIP $2"
}

# The whole test cannot run here.
skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

# Nothing that follows would mean anything.
bail()
{
	echo "Bail out! $*"
	exit 1
}

# The last line of every test.
finish()
{
	echo "1..$TAP_N"
	[ "$TAP_FAILED" -eq 0 ]
	exit
}

# check "what" COMMAND...: the command succeeds.
check()
{
	local what=$1
	shift
	if "$@"; then
		ok "$what"
	else
		not_ok "$what"
		say "failed: $*"
	fi
}

# check_not "what" COMMAND...: the command fails.
check_not()
{
	local what=$1
	shift
	if "$@"; then
		not_ok "$what"
		say "succeeded: $*"
	else
		ok "$what"
	fi
}

# check_eq "what" GOT WANTED
check_eq()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1"
		say "   got: $2"
		say "wanted: $3"
	fi
}

# check_match "what" TEXT PATTERN: an extended regular expression, by lines.
check_match()
{
	if printf '%s\n' "$2" | grep -qE -e "$3"; then
		ok "$1"
	else
		not_ok "$1"
		say "   got: $2"
		say "wanted: $3"
	fi
}

# ---------------------------------------------------------------- waiting

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when time is over. A slow
# machine or kernel gets longer; and where time jumps, as the host stood still, there are
# two tries a second all the same.
wait_for()
{
	local up end tries=$(($1 * 2))
	read -r up _ < /proc/uptime
	end=$((${up%.*} + $1 * ${LAB_PATIENCE:-1}))
	shift
	while ! "$@" >/dev/null 2>&1; do
		read -r up _ < /proc/uptime
		tries=$((tries - 1))
		[ "${up%.*}" -le "$end" ] || [ $tries -gt 0 ] || return 1
		usleep 20000
	done
}

# is FILE TEXT: for wait_for.
is()
{
	[ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

# ---------------------------------------------------------------- the host

# host COMMAND...: asks the lab, prints its answer; 1 on an error. Commands:
# device_del ID, wait_deleted ID, device_add DRIVER,id=...,bus=..., monitor LINE
# (QEMU's human monitor), after SECONDS LINE (a monitor line later on).
host()
{
	(
		flock 9
		printf '%s\n' "$*" >&9
		while IFS= read -r line <&9; do
			case $line in
			' '*)	printf '%s\n' "${line# }" ;;
			ok)	exit 0 ;;
			error*)	echo "host: $*: ${line#error }" >&2; exit 1 ;;
			*)	printf '%s\n' "$line"; exit 0 ;;
			esac
		done
		exit 1
	) 9<> "$LAB_HOST"
}

# del ID: asks for a QEMU device (with all functions of its slot) to go. While the slot's
# driver is still busy with a plugging, QEMU takes no such request.
del()
{
	local tries=30 said
	until said=$(host device_del "$1" 2>&1); do
		case $said in
		*"guest is busy"*) [ $tries -gt 0 ] ;;
		*) false ;;
		esac || { echo "$said" >&2; return 1; }
		tries=$((tries - 1))
		sleep 1
	done
}

# unplug ID: and waits until it is gone.
unplug()
{
	del "$1" && host wait_deleted "$1"
}

# ---------------------------------------------------------------- PCI and groups

# machine_groups: "NAME ADDRESS=DRIVER..." of each group that the machine file names.
machine_groups()
{
	cat /lab/groups
}

# has_group NAME: not every machine has each of them.
has_group()
{
	grep -q "^$1 " /lab/groups
}

# need_groups NAME...: a test that makes no sense without them.
need_groups()
{
	local name
	for name; do
		has_group "$name" || skip_all "the machine has no group \"$name\""
	done
}

# pluggable ADDRESS: it is in a port's slot, from where it can be unplugged for real.
pluggable()
{
	case $(readlink -f "/sys/bus/pci/devices/$1") in
	*/pci0000:00/"$1")	return 1 ;;
	esac
}

# rescan ADDRESS: finds again what was removed from that device's bus. Only there: where
# Linux gives out the bus numbers itself (arm64), a scan of everything takes them
# from each bridge for a moment, whatever the devices behind it do just then.
rescan()
{
	echo 1 > "/sys/class/pci_bus/${1%:*}/rescan"
}

# behind PORT: the address of what is in a root port's slot, or would be.
behind()
{
	printf '0000:%02x:00.0\n' "$(cat "/sys/bus/pci/devices/$1/secondary_bus_number")"
}

# devices_of NAME: the addresses in a group that the machine file names, one a line.
devices_of()
{
	machine devices "$1"
}

# dev NAME N: address of the Nth device (from 0) of a named group.
dev()
{
	machine dev "$1" "$2"
}

# group_of ADDRESS or NAME: the IOMMU group's number.
group_of()
{
	machine group "$1"
}

# driver_of ADDRESS: the bound driver, or "-".
driver_of()
{
	machine driver "$1"
}

# drivers_of GROUP: "ADDRESS=DRIVER" of each device, in one line.
drivers_of()
{
	machine drivers "$1"
}

group_type()
{
	cat "$SYS_GROUPS/$1/type"
}

# both_ways: DMA-FQ goes to DMA in place as well; a kernel with our patches of the core.
both_ways()
{
	grep -q ' iommu_dma_stop_fq$' /proc/kallsyms
}

unbind()
{
	echo "$1" > "/sys/bus/pci/devices/$1/driver/unbind"
}

# bind ADDRESS DRIVER
bind()
{
	echo "$1" > "/sys/bus/pci/drivers/$2/bind"
}

# disk_of ADDRESS: name of the disk below a PCI device (of an NVMe path, its head).
disk_of()
{
	machine disk "$1"
}

# nic_of ADDRESS: name of the network interface.
nic_of()
{
	machine nic "$1"
}

# wait_disk ADDRESS: waits for its disk and prints the name.
wait_disk()
{
	local disk
	wait_for 30 disk_of "$1" && disk=$(disk_of "$1") || return 1
	small_requests "$disk"
	echo "$disk"
}

# find_devices NAME: $disk_dev and $nic_dev, the first interface, of a group that the machine names.
find_devices()
{
	local dev
	disk_dev=
	nic_dev=
	for dev in $(devices_of "$1"); do
		if disk_of "$dev" > /dev/null; then
			disk_dev=$dev
		elif [ -z "$nic_dev" ] && nic_of "$dev" > /dev/null; then
			nic_dev=$dev
		fi
	done
}

# other_net: makes a network namespace. $ns is the process that has it: kill it to remove it.
other_net()
{
	unshare -n sleep 36000 &
	ns=$!
	wait_for 10 has_other_net $ns
}

# has_other_net PID
has_other_net()
{
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# other_side ADDRESS: its interface is in another namespace, up, and has 10.9.0.2.
other_side()
{
	local nic
	nic=$(wait_nic "$1") && other_net && ip link set "$nic" netns "$ns" &&
		there ip addr add 10.9.0.2/24 dev "$nic" && there ip link set "$nic" up
}

# there COMMAND...: on the other side
there()
{
	nsenter -t "$ns" -n "$@"
}

# this_side NAME: the interface with that name is up, and has 10.9.0.1.
this_side()
{
	ip link set "$1" up
	ip addr add 10.9.0.1/24 dev "$1"
	wait_for 30 ping -c 1 -W 1 10.9.0.2 > /dev/null
}

# no_other_side ADDRESS: its interface is back in this namespace, and down.
no_other_side()
{
	kill "$ns"
	wait "$ns" 2> /dev/null
	wait_for 20 nic_of "$1" > /dev/null && ip link set "$(nic_of "$1")" down
}

# QEMU's AHCI wants the table of a command in one piece, also where it crosses a page and
# the IOMMU has the next page elsewhere. With eight segments at most none crosses one.
small_requests()
{
	case $1 in
	sd*) echo 32 > "/sys/block/$1/queue/max_sectors_kb" ;;
	esac
}

# disk_dev NAME: the first device of a named group that has a disk.
disk_dev()
{
	local dev
	for dev in $(devices_of "$1"); do
		! disk_of "$dev" >/dev/null || { echo "$dev"; return; }
	done
	return 1
}

wait_nic()
{
	wait_for 30 nic_of "$1" && nic_of "$1"
}

# number NAME FILE: what stands behind NAME= there
number()
{
	sed -n "s/.*$1=\([0-9]*\).*/\1/p" "$2"
}

# ---------------------------------------------------------------- transactions

# went_back NAME: for wait_for. What watches it removes it.
went_back()
{
	[ ! -e "$CONFIGFS/$1" ] || is "$CONFIGFS/$1/state" rolled-back
}

# txn_new NAME: makes a transaction, prints its directory.
txn_new()
{
	mkdir "$CONFIGFS/$1" && echo "$CONFIGFS/$1"
}

# stage TXN GROUP TYPE
stage()
{
	mkdir "$1/$2" && echo "$3" > "$1/$2/type"
}

# write_errno FILE VALUE: one write, prints 0 or the errno's name.
write_errno()
{
	try write "$1" "$2"
}

# txn_end TXN: takes the transaction away, whatever is in it; rolls it back first where it
# must, and fails the test where that does not work.
txn_end()
{
	local dir state
	read -r state 2>/dev/null < "$1/state"
	case $state in
	unconfirmed|committed|failed)
		echo block net > "$1/allow_in_use"
		echo 1 > "$1/rollback" && read -r state < "$1/state" &&
			[ "$state" = rolled-back ] || not_ok "${1##*/} is rolled back at its end"
		;;
	esac
	for dir in "$1"/*/; do
		[ ! -d "$dir" ] || rmdir "$dir"
	done
	rmdir "$1"
}

# On kernels that can pause drivers too, most tests are of what is unbound: Y pauses them.
PAUSE=N

load_module()
{
	[ -d "$CONFIGFS" ] || modprobe iommu-configfs || return
	echo $PAUSE > /sys/module/iommu_configfs/parameters/pause
}

# pause_or_skip: for tests of drivers that are paused.
pause_or_skip()
{
	local sym=iommu_group_set_paused_type
	grep -q " $sym$" /proc/kallsyms || skip_all "this kernel has no $sym()"
	PAUSE=Y
	load_module || bail "no module"
}

# A line that tells of a step which takes long.
STILL_WAITED_FOR='^[^ ]+ [^ ]+ [a-z]+ EINPROGRESS '

# report TXN: its lines, without those that only tell that something takes long: a slow
# kernel on a busy host has them anywhere.
report()
{
	grep -vE "$STILL_WAITED_FOR" "$1/report"
}

# status TXN GROUP: the same of a group's status.
status()
{
	grep -vE "$STILL_WAITED_FOR" "$1/$2/status"
}

# ---------------------------------------------------------------- iommucfg

# run WANTED "what" ARGUMENT...: iommucfg's exit code; output in /tmp/out and /tmp/err.
run()
{
	local wanted=$1 what=$2 code=0
	shift 2
	iommucfg "$@" >/tmp/out 2>/tmp/err </dev/null || code=$?
	check_eq "$what" "$code" "$wanted"
	[ "$code" = "$wanted" ] || say "$(cat /tmp/out /tmp/err)"
}

# ---------------------------------------------------------------- held open

# hold_open FILE [ro|rw|excl], hold_vfio GROUP, hold_iommufd ADDRESS: something keeps it until `kill` of
# the process whose number is printed. Fails with the errno's name printed instead.
hold_open()
{
	hold open "$@"
}

hold_vfio()
{
	hold vfio "$1"
}

hold_iommufd()
{
	hold iommufd "$1"
}

# let_go PID: ends it, and waits until it is gone.
let_go()
{
	kill "$1"
	wait_for 10 is_gone "$1"
}

is_gone()
{
	[ ! -d "/proc/$1" ]
}

probed_by()
{
	echo "$1" > /sys/bus/pci/drivers_probe
	[ "$(driver_of "$1")" = "$2" ]
}

# override ADDRESS DRIVER: unbinds it and binds that driver; "" goes back to the usual one.
override()
{
	local dev=/sys/bus/pci/devices/$1
	echo "$2" > "$dev/driver_override" || return
	[ ! -e "$dev/driver" ] || echo "$1" > "$dev/driver/unbind" || return
	if [ -z "$2" ]; then
		echo "$1" > /sys/bus/pci/drivers_probe
	else
		# A device whose release is not quite over is passed over.
		wait_for 10 probed_by "$1" "$2"
	fi
}

# vfio_take NAME: gives all devices of a named group to vfio-pci.
vfio_take()
{
	local dev
	modprobe vfio_iommu_type1 && modprobe vfio-pci || return
	# The machines have no interrupt remapping.
	echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
	for dev in $(devices_of "$1"); do
		override "$dev" vfio-pci || return
	done
}

# vfio_return NAME
vfio_return()
{
	local dev
	for dev in $(devices_of "$1"); do
		override "$dev" "" || return
	done
	rmmod vfio_pci
}

# ---------------------------------------------------------------- the edu driver

EDU=/sys/kernel/debug/edu_lab

# edu_load: loads the driver; it takes all edu devices at once. See edu_lab.h.
edu_load()
{
	modprobe edu_lab
}

edu_unload()
{
	rmmod edu_lab
}

# edu_set ADDRESS KNOB VALUE
edu_set()
{
	echo "$3" > "$EDU/$1/$2"
}

# edu_get ADDRESS KNOB
edu_get()
{
	cat "$EDU/$1/$2"
}

# edu_child ADDRESS: the name of the auxiliary device below it.
edu_child()
{
	local slot=${1##*:}
	local bus=${1%:*}
	echo "edu_lab.child.$(((0x${bus##*:} << 8) + (0x${slot%.*} << 3) + ${slot#*.}))"
}

# edu_doing ADDRESS probe|remove|-: for wait_for.
edu_doing()
{
	is "$EDU/$1/doing" "$2"
}

# ---------------------------------------------------------------- uevents

# uevents_start FILE: from here on each uevent is a line "ACTION@DEVPATH KEY=VALUE...".
uevents_start()
{
	UEVENTS_PID=$(uevents "$1")
}

uevents_stop()
{
	let_go "$UEVENTS_PID"
}

# ---------------------------------------------------------------- disks

# fill DISK MIB SEED: writes a pattern past all caches, and prints its checksum.
fill()
{
	pattern write "/dev/$1" "$2" "$3"
}

# sum DISK MIB: checksum of what the disk gives back, past all caches.
sum()
{
	pattern sum "/dev/$1" "$2"
}

# ---------------------------------------------------------------- tracing

TRACE=/sys/kernel/tracing

# trace_start EVENT...: e.g. iommu_configfs, or iommu:attach_device_to_domain
trace_start()
{
	local event
	echo 0 > $TRACE/tracing_on
	echo > $TRACE/trace
	# Recording names of tasks patches the scheduler's hot paths while they run,
	# which emulated CPUs do not always survive.
	echo 0 > $TRACE/options/record-cmd
	echo 0 > $TRACE/options/record-tgid
	for event; do
		echo 1 > "$TRACE/events/$(echo "$event" | tr : /)/enable" || return
	done
	echo 1 > $TRACE/tracing_on
}

# trace_stop: prints what was traced, and switches all events off.
trace_stop()
{
	echo 0 > $TRACE/tracing_on
	grep -v '^#' $TRACE/trace
	echo 0 > $TRACE/events/enable
	echo > $TRACE/trace
	echo 1 > $TRACE/tracing_on
}

# ---------------------------------------------------------------- between tests

# lab_state: all that a test must leave as it found it, for a diff.
lab_state()
{
	machine state | sort
}

# lab_settle: waits, within bounds, until the named groups have their drivers and
# disks and nothing changes any more (some drivers probe behind modprobe's back).
lab_settle()
{
	machine settle $((30 * ${LAB_PATIENCE:-1}))
}
