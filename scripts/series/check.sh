#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh MAILS TREE KERNEL [POSTING...]: applies the mails of all postings, each a
# directory in MAILS, to KERNEL one by one, and tries each: does it apply without fuzz,
# does checkpatch like it, does what it adds or changes compile without a warning (W=1)
# and link, is the kernel-doc in order? At the end: the same built in and without KUnit,
# the ABI page, the guide, and that the mails add up to TREE. With POSTING, only these are
# tried, and "whole" stands for what comes at the end; the others are applied.
#
# TAP, with a tally as its last line. Kernel and objects are kept in the cache.
set -uo pipefail

mails=$1 tree=$2 kernel=$3
shift 3
only=" $* "
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs/series
src=$cache/src obj=$cache/obj
module=drivers/iommu/configfs
passed=0 failed=0 skipped=0

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# point STATUS WHAT [LOG]
point()
{
	local n=$((passed + failed + skipped + 1))
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $n series: $2"
	else
		failed=$((failed + 1))
		[ ! -s "${3-}" ] || head -n 40 "$3" | sed 's/^/# /'
		echo "not ok $n series: $2"
	fi
}

skip()
{
	skipped=$((skipped + 1))
	echo "ok $((passed + failed + skipped)) series: $1 # SKIP $2"
}

bail()
{
	[ ! -s "${2-}" ] || tail -n 40 "$2" | sed 's/^/# /'
	echo "# $1"
	echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
	exit 1
}

kmake()
{
	local ccache=''
	! command -v ccache > /dev/null || ccache="ccache "
	nice -n 19 make -s -C "$src" O="$obj" CC="${ccache}gcc" -j2 "$@"
}

# No "grep -q" reads from a pipe here: it ends at the first match, and with pipefail who
# still writes then has failed.

# What the compiler and kernel-doc say, without where.
warnings()
{
	grep -E '(warning|error|Warning|Error):' "$1" | sed -E 's/:[0-9]+(:[0-9]+)?:?/:/g' | sort -u
}

# A copy of the kernel that is ours, without what the last run put into it.
pristine()
{
	local version file
	version=$("$(dirname "$0")/../../tools/lab/kernels/tree/source" version)
	if [ "$(cat "$cache/version" 2>/dev/null)" != "$version" ]; then
		rm -rf "$src" "$obj" "$cache/baseline"
		mkdir -p "$src"
		tar -C "$kernel" --exclude=./.git -c . | tar -C "$src" -x || return 1
		# One in which somebody has built does not serve for builds beside it.
		[ ! -e "$src/.config" ] || make -s -C "$src" mrproper || return 1
		: > "$cache/touched"
		echo "$version" > "$cache/version"
	fi
	while read -r file; do
		if [ -e "$kernel/$file" ]; then
			# With a new date: what was built of it is of another one.
			cp "$kernel/$file" "$src/$file"
		else
			rm -f "$src/$file"
		fi
	done < "$cache/touched"
	rm -rf "${src:?}/$module" "${obj:?}/$module"
	grep -h '^+++ b/' "$mails"/*/*.patch | cut -c 7- | sort -u > "$cache/touched"
}

# configure m|y [n]: the module, and KUnit where it is not "n"; and each driver that a
# patch touches
configure()
{
	[ -e "$obj/.config" ] || kmake defconfig || return 1
	"$src/scripts/config" --file "$obj/.config" -d DEBUG_INFO_BTF \
		-e IOMMU_SUPPORT -e INTEL_IOMMU -e AMD_IOMMU -e PCI_IOV \
		-e FAULT_INJECTION -e FAULT_INJECTION_DEBUG_FS -e DEBUG_FS -e FTRACE \
		-e VIRTIO_PCI -e VIRTIO_BLK -e VIRTIO_NET -e SCSI_VIRTIO -e BLK_DEV_NVME \
		-e E1000E -m DRM_AMDGPU -e COMPILE_TEST -m TEGRA_HOST1X \
		--set-val CONFIGFS_FS y --set-val KUNIT "${2-y}" -e KUNIT_ALL_TESTS \
		--set-val IOMMU_CONFIGFS "$1" -e RV -e RV_MON_IOMMU_TXN
	kmake olddefconfig || return 1
	[ ! -d "$src/$module" ] || grep -x "CONFIG_IOMMU_CONFIGFS=$1" "$obj/.config"
}

# A kernel with an IOMMU and hardly anything that the module looks at. Objects of its own.
build_bare()
{
	local obj=$cache/bare
	mkdir -p "$obj"
	kmake allnoconfig && "$src/scripts/config" --file "$obj/.config" -e 64BIT -e EXPERT \
		-e CONFIGFS_FS -e VIRTIO_MENU -e VIRTIO_MMIO -e IOMMU_SUPPORT -e VIRTIO_IOMMU \
		-e IOMMU_CONFIGFS -e SYMBOLIC_ERRNAME -d BLOCK && kmake olddefconfig &&
		grep -x CONFIG_IOMMU_CONFIGFS=y "$obj/.config" && kmake prepare && build $module/
}

# build DIR|OBJECT...: what is there of the module has to have all that it calls.
build()
{
	kmake W=1 "$@" && {
		[ ! -e "$obj/$module/iommu-configfs.o" ] ||
			! nm -u "$obj/$module/iommu-configfs.o" | grep icfg_
	}
}

# lint FILE...: kernel-doc
lint()
{
	python3 "$src/tools/docs/kernel-doc" -none "$@" > "$tmp/doc" 2>&1
	[ ! -s "$tmp/doc" ]
}

# The layout of trace events is the kernel's own, and checkpatch knows it not. A source
# without its history has no commit for a Fixes: tag.
# New files are covered by the entry in MAINTAINERS that comes with the first of them;
# that it covers them is looked at below.
checkpatch()
{
	local ignore=FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID
	! grep -q '^+++ .*/trace\.h$' "$1" || ignore+=,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT
	(cd "$src" && perl scripts/checkpatch.pl --strict --terse --show-types --no-summary \
		--ignore "$ignore" "$1") > "$tmp/style" 2>&1
}

covered()
{
	local file status=0
	: > "$tmp/uncovered"
	while read -r file; do
		(cd "$src" && perl scripts/get_maintainer.pl --no-git --no-git-fallback \
			--sections -f "$file") | grep '^IOMMU CONFIGFS' > /dev/null || {
			echo "$file" >> "$tmp/uncovered"
			status=1
		}
	done < <(sed -n '/^--- \/dev\/null/ { n; s,^+++ b/,,p }' "$@" | sort -u)
	return $status
}

abi()
{
	(cd "$src" && python3 tools/docs/get_abi.py -D Documentation/ABI validate) \
		2>&1 | grep -E 'configfs-iommu|Traceback|Error' > "$tmp/abi"
	[ ! -s "$tmp/abi" ]
}

# rst FILE
rst()
{
	python3 - "$1" > "$tmp/rst" 2>&1 <<-'END'
		import sys
		import docutils.core
		import docutils.nodes
		from docutils.parsers.rst import directives, roles
		from docutils.parsers.rst.directives.images import Figure

		# Those of Sphinx, which reach out of the page, and of the kernel.
		for role in 'doc', 'ref', 'c:func':
		    roles.register_generic_role(role, docutils.nodes.literal)
		directives.register_directive('kernel-figure', Figure)
		with open(sys.argv[1]) as page:
		    docutils.core.publish_doctree(page.read(), source_path=sys.argv[1],
		        settings_overrides={'report_level': 2, 'halt_level': 2})
	END
}

mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9

pristine || bail "cannot copy $kernel"
# What the kernel's own sources warn of is not for the series to mend.
if [ ! -s "$cache/baseline" ]; then
	rm -rf "$obj"
	mkdir "$obj"
fi
{ configure m && kmake prepare; } > "$tmp/log" 2>&1 ||
	bail "the kernel cannot be prepared" "$tmp/log"
mapfile -t objects < <(grep '\.c$' "$cache/touched" | while read -r file; do
	[ ! -e "$kernel/$file" ] || echo "${file%.c}.o"; done)
build drivers/iommu/ "${objects[@]}" > "$tmp/log" 2>&1 ||
	bail "the kernel does not build without the series" "$tmp/log"
[ -s "$cache/baseline" ] || { echo none; warnings "$tmp/log"; } > "$cache/baseline"

for mail in "$mails"/*/[0-9]*.patch; do
	name=$(basename "$mail" .patch)
	case $name in
	0000-*)
		continue ;;
	esac
	posting=$(basename "$(dirname "$mail")")
	name=$posting/$name
	if [[ $only != "  " && $only != *" $posting "* ]]; then
		patch -d "$src" -p1 -f -s -F0 --no-backup-if-mismatch < "$mail" > "$tmp/log" 2>&1 ||
			bail "$name does not apply" "$tmp/log"
		continue
	fi
	checkpatch "$mail"
	point $? "$name: checkpatch --strict" "$tmp/style"

	patch -d "$src" -p1 -f -s -F0 --no-backup-if-mismatch < "$mail" > "$tmp/log" 2>&1
	status=$?
	point $status "$name: applies" "$tmp/log"
	[ $status -eq 0 ] || bail "what comes after it cannot be tried"

	# What it changes outside of the module, and the module. The core's headers have
	# no other user that looks at them.
	mapfile -t objects < <(sed -n 's,^+++ b/\(.*\)\.c$,\1.o,p' "$mail" |
		grep -v "^$module/" | sort -u)
	targets=("${objects[@]}")
	[ -d "$src/$module" ] && targets+=("$module/")
	[ ${#targets[@]} -gt 0 ] || targets=(drivers/iommu/)
	{ ! grep -q '^+++ .*/Kconfig' "$mail" || configure m; } > "$tmp/log" 2>&1 &&
		build "${targets[@]}" >> "$tmp/log" 2>&1
	status=$?
	for object in "${objects[@]}"; do
		[ -e "$obj/$object" ] || { echo "error: no $object was built" >> "$tmp/log"; status=1; }
	done
	warnings "$tmp/log" | grep -vxFf "$cache/baseline" > "$tmp/warnings" && status=1
	[ -s "$tmp/warnings" ] || cp "$tmp/log" "$tmp/warnings"
	point $status "$name: builds and links, without a warning" "$tmp/warnings"

	mapfile -t files < <(grep '^+++ b/.*\.[ch]$' "$mail" | cut -c 7- | sort -u |
		grep "^$module/" | sed "s,^,$src/,")
	if [ ${#files[@]} -gt 0 ]; then
		lint "${files[@]}"
		point $? "$name: kernel-doc" "$tmp/doc"
	fi
done

finish()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

[[ $only == "  " || $only == *" whole "* ]] || finish

sed 's,^,./,' "$cache/touched" | while read -r file; do
	cmp "$src/$file" "$tree/$file"
done > "$tmp/log" 2>&1
[ ! -s "$tmp/log" ] && diff -r "$src/$module" "$tree/$module" > "$tmp/log" 2>&1
point $? "adds up to what into-tree.sh does" "$tmp/log"

covered "$mails"/*/[0-9]*.patch
point $? "MAINTAINERS covers every new file" "$tmp/uncovered"

for kunit in y n; do
	configure y $kunit > "$tmp/log" 2>&1 && build drivers/iommu/ >> "$tmp/log" 2>&1
	status=$?
	warnings "$tmp/log" | grep -vxFf "$cache/baseline" > "$tmp/warnings" && status=1
	[ -s "$tmp/warnings" ] || cp "$tmp/log" "$tmp/warnings"
	point $status "all of it, built in, KUNIT=$kunit" "$tmp/warnings"
done

build_bare > "$tmp/log" 2>&1
status=$?
warnings "$tmp/log" > "$tmp/warnings" && status=1
[ -s "$tmp/warnings" ] || cp "$tmp/log" "$tmp/warnings"
point $status "all of it, without PCI, NET, BLOCK, PM, FTRACE" "$tmp/warnings"

abi
point $? "get_abi.py validate" "$tmp/abi"
mkdir -p "$tmp/abi.d/testing"
cp "$src/Documentation/ABI/testing/configfs-iommu" "$tmp/abi.d/testing"
python3 "$src/tools/docs/get_abi.py" -D "$tmp/abi.d" rest > "$tmp/abi.rst" 2> "$tmp/log"
[ -s "$tmp/abi.rst" ] || bail "get_abi.py makes nothing of the ABI page" "$tmp/log"
for page in "$src/Documentation/admin-guide/iommu-configfs.rst" "$tmp/abi.rst"; do
	if python3 -c 'import docutils' 2> /dev/null; then
		rst "$page"
		point $? "${page##*/} is valid reStructuredText" "$tmp/rst"
	else
		skip "${page##*/} is valid reStructuredText" "no python3-docutils"
	fi
done

finish
