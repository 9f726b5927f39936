# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC3043 # busybox has local
#
# For what is to be seen below a mounted root file system. The first process of a machine
# stays in its initramfs, which is none that could be unmounted.

# live_root DISK SCRIPT: puts all of this machine's programs on a disk, and runs the script
# with the disk for its root and as $LIVE. Its mounts end with the last process that has
# them; then e2fsck has the last word. Needs lib.sh.
live_root()
{
	local status
	mkfs.ext4 -qF "$1" || return
	mkdir /live || return
	# shellcheck disable=SC2016 # expanded by that shell
	LIVE=$1 unshare -m sh -c '
		mount --make-rprivate / && mount -t ext4 "$LIVE" /live &&
		cp -a /bin /etc /init /lab /lib* /sbin /usr /live/ && cd /live || exit
		for dir in dev proc run sys tmp; do
			mkdir $dir && mount --rbind /$dir $dir || exit
		done
		mount --move . / && exec chroot . /bin/sh "$0"' "$2"
	status=$?
	rmdir /live
	[ $status -eq 0 ] || return $status
	wait_for 10 checked "$1"
	status=$?
	cat /run/fsck
	return $status
}

# live_same INTERFACE: what would be another one if it or the disk had come anew
live_same()
{
	stat -L -c %i "/sys/block/${LIVE#/dev/}" "/sys/class/net/$1"
	cat "/sys/class/net/$1/ifindex" "/sys/block/${LIVE#/dev/}/diskseq"
	ip -o addr show dev "$1" | grep -o 'inet [^ ]*'
	grep ' / / ' /proc/self/mountinfo
}

# checked DISK: nothing has it any more, and e2fsck has nothing to say against it.
checked()
{
	e2fsck -fn "$1" > /run/fsck 2>&1 && ! grep -qE 'is in use|Fix\?' /run/fsck
}
