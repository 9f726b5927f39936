#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes a Debian 12 machine ready for `make demo` and `make check`: installs the
# packages that are missing and fetches the stock kernel into the cache.
# Quick, and in no need of root or network, when all of it is there.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)

# Building: module, tools, guest helpers, the kernel's selftests.
build=(
	bc
	bison
	ccache
	flex
	gcc
	gcc-aarch64-linux-gnu
	libc6-dev
	libc6-dev-arm64-cross
	libcap-dev
	libcmocka-dev
	libconfig-dev
	libcurl4-openssl-dev
	libelf-dev
	libjson-c-dev
	libkmod-dev
	libmnl-dev
	libpci-dev
	libprotobuf-c-dev
	libsmartcols-dev
	libsystemd-dev
	libudev-dev
	make
	pahole
	perl
	pkg-config
	protobuf-c-compiler
	sparse
	unifdef
	uuid-dev
	xz-utils
)

# The lab, and what it copies into its guests.
lab=(
	busybox-static
	cpio
	dmsetup
	e2fsprogs
	iproute2
	kmod
	mdadm
	mmdebstrap
	pci.ids
	pciutils
	python3
	qemu-system-arm
	qemu-system-x86
)

# The benchmark, and what it compares with.
bench=(
	driverctl
	fio
	gnuplot-nox
)

# The Debian packages.
packages=(
	build-essential
	debhelper
	dh-dkms
	lintian
)

# The tests of tools/iommucfg, of tools/fleet and of the patch series.
tests=(
	ansible-core
	clang
	etcd-client
	etcd-server
	fuse3
	git
	libclang-rt-14-dev
	libfuse3-dev
	openssl
	patch
	python3-docutils
	python3-jsonschema
	python3-lark
	spin
	systemd
	valgrind
)

missing=()
for package in "${build[@]}" "${lab[@]}" "${bench[@]}" "${packages[@]}" "${tests[@]}"; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
	[ "$status" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "setup: as root, please install: ${missing[*]}" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	log=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs/logs/setup
	mkdir -p "${log%/*}"
	echo "setup: installing ${#missing[@]} packages (log: $log) ..."
	echo "${missing[*]}" > "$log"
	# Tests start the etcd that they need. The package starts one as a service where systemd
	# runs: not on the machine of a user who only wants the tests.
	policy=/usr/sbin/policy-rc.d
	if [ -d /run/systemd/system ] && [ ! -e $policy ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' > $policy
		chmod 755 $policy
	fi
	# A machine that has just started may be at its own updates, and mirrors have moments.
	apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5)
	for try in 1 2 3; do
		"${apt[@]}" update >> "$log" 2>&1 &&
			"${apt[@]}" -y install --no-install-recommends "${missing[@]}" >> "$log" 2>&1 &&
			break
		[ $try -lt 3 ] || { tail -n 20 "$log" >&2; echo "setup: failed; all of it is in $log" >&2; exit 1; }
		sleep 10
	done
	if [ -d /run/systemd/system ]; then
		# Nor at its next start.
		[[ " ${missing[*]} " != *" etcd-server "* ]] || systemctl -q disable etcd.service
		[ -z "$(trap -p EXIT)" ] || rm -f "$policy"
		trap - EXIT
	fi
fi

# What cloud-init checks its data with, for the test of samples/agents. Not by installing it:
# from then on it would configure this machine at each boot.
cloud=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs/cloud-init
if [ ! -e "$cloud" ]; then
	tmp=$(mktemp -d)
	if (cd "$tmp" && apt-get -qq -o Acquire::Retries=5 download cloud-init >log 2>&1) &&
		dpkg-deb -x "$tmp"/cloud-init_*.deb "$tmp/cloud-init"; then
		mkdir -p "${cloud%/*}"
		mv "$tmp/cloud-init" "$cloud"
	else
		echo "setup: no cloud-init to be had, its test will be skipped" >&2
	fi
	rm -rf "$tmp"
fi

"$here/tools/lab/kernels/stock" >/dev/null
