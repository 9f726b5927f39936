#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# into-tree.sh [-u] TREE [PART...]: puts the module into an unpacked kernel source
# tree, or only the named parts, in this order:
#
#	core	what it needs of the kernel: patches/linux-7.3, of all postings in order
#	code	drivers/iommu/configfs, with what hangs it into Kconfig and Makefile
#	tests	its selftest
#	monitor	kernel/trace/rv/monitors/iommu_txn, with what hangs it into RV
#	docs	ABI page, admin guide, MAINTAINERS
#
# -u: TREE has it already, bring the files that are copied up to date.
#
# The sources go in without their conditions on the kernel's version, which a
# kernel tree does not have, and allocate by type, as older kernels cannot yet
# and as this one's checkpatch wants it. Nothing is changed where one of the patches
# does not apply.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
update=
if [ "${1-}" = -u ]; then
	update=1
	shift
fi

die()
{
	echo "into-tree: $*" >&2
	exit 1
}

[ $# -ge 1 ] || die "usage: into-tree.sh [-u] TREE [core|code|tests|monitor|docs...]"
tree=$1
shift
[ $# -gt 0 ] || set -- core code tests monitor docs
[ -f "$tree/drivers/iommu/iommu.c" ] || die "$tree is not a kernel source tree"
command -v unifdef > /dev/null || die "please install: unifdef"

# insert FILE BEFORE|AFTER LINE TEXT: unless the text is there already.
insert()
{
	local file=$tree/$1 text=$4
	if grep -qxF -- "${text%%$'\n'*}" "$file"; then
		return
	fi
	TEXT=$text awk -v line="$3" -v where="$2" '
		$0 == line && !done {
			done = 1
			print where == "before" ? ENVIRON["TEXT"] "\n" $0 : $0 "\n" ENVIRON["TEXT"]
			next
		}
		{ print }
		END { exit !done }' "$file" > "$file.new" || {
		rm -f "$file.new"
		die "$1 has no line \"$3\""
	}
	mv "$file.new" "$file"
}

core()
{
	local patch tmp
	[ -z "$update" ] || return 0
	tmp=$(mktemp -d)
	# shellcheck disable=SC2064 # $tmp is gone when the trap runs
	trap "rm -rf '$tmp'" RETURN
	# Later patches build on earlier ones: try all of them on copies first.
	sed -n 's,^+++ b/,,p' "$here"/patches/linux-7.3/*/*.patch | sort -u | while read -r file; do
		install -D "$tree/$file" "$tmp/$file"
	done
	for patch in "$here"/patches/linux-7.3/*/*.patch; do
		patch -s -f -p1 -d "$tmp" < "$patch" || die "${patch##*/} does not apply"
	done
	(cd "$tmp" && find . -type f ! -name '*.orig') | while read -r file; do
		cp "$tmp/$file" "$tree/$file"
	done
}

code()
{
	local dir=drivers/iommu/configfs file
	local alloc='\<(kv?[mz]alloc)\(sizeof\((\*?[a-z_>.-]+)\)'
	(cd "$here/$dir" && printf '%s\n' Kconfig Makefile .kunitconfig ./*.[ch] {rules,tests}/*.[ch]) |
	while read -r file; do
		case $file in
		*core-sysfs.c | *.mod.c)
			continue ;;
		esac
		[ -e "$here/$dir/$file" ] || continue
		mkdir -p "$(dirname "$tree/$dir/$file")"
		# Status 1 says that something was left out.
		unifdef -DICFG_HAVE_GENERIC_PT -DICFG_HAVE_ALLOC_IDENTITY \
			-DICFG_HAVE_DRIVER_DOMAIN -DICFG_HAVE_RCU_EXPEDITE \
			-DICFG_HAVE_PAGE_POOL_UNMAP -DICFG_HAVE_CONTEXT_RELEASE "$here/$dir/$file" | cat -s |
			sed -E -e "s/$alloc, GFP_KERNEL\)/\1_obj(\2)/" -e "s/$alloc, /\1_obj(\2, /" \
			> "$tree/$dir/new" || [ $? -eq 1 ]
		cmp -s "$tree/$dir/new" "$tree/$dir/$file" || cp "$tree/$dir/new" "$tree/$dir/$file"
	done
	rm -f "$tree/$dir/new"
	# shellcheck disable=SC2016 # the dollars are make's
	insert drivers/iommu/Makefile after 'obj-$(CONFIG_AMD_IOMMU) += amd/' \
		'obj-$(CONFIG_IOMMU_CONFIGFS) += configfs/'
	insert drivers/iommu/Kconfig after 'source "drivers/iommu/arm/Kconfig"' \
		'source "drivers/iommu/configfs/Kconfig"'
}

tests()
{
	install -D -t "$tree/tools/testing/selftests/iommu" \
		"$here/tools/testing/selftests/iommu/iommu_configfs.sh"
	insert tools/testing/selftests/iommu/Makefile before 'TEST_GEN_PROGS :=' \
		'TEST_PROGS += iommu_configfs.sh'
	insert tools/testing/selftests/iommu/config after 'CONFIG_IOMMUFD=y' \
		'CONFIG_IOMMU_CONFIGFS=m'
}

monitor()
{
	local dir=kernel/trace/rv
	mkdir -p "$tree/$dir/monitors"
	cp -r "$here/$dir/monitors/iommu_txn" "$tree/$dir/monitors"
	insert $dir/Kconfig before '# Add new monitors here' \
		'source "kernel/trace/rv/monitors/iommu_txn/Kconfig"'
	# shellcheck disable=SC2016 # the dollars are make's
	insert $dir/Makefile before '# Add new monitors here' \
		'obj-$(CONFIG_RV_MON_IOMMU_TXN) += monitors/iommu_txn/iommu_txn.o'
	insert $dir/rv_trace.h before '// Add new monitors based on CONFIG_DA_MON_EVENTS_ID here' \
		'#include <monitors/iommu_txn/iommu_txn_trace.h>'
}

docs()
{
	local name email
	# There it begins with the next release; outside of it there is more to say.
	sed 's/^\(KernelVersion:.\).*/\17.4/' "$here/Documentation/ABI/testing/configfs-iommu" \
		> "$tree/Documentation/ABI/testing/configfs-iommu"
	sed '/^\.\. Not in the kernel tree: from here$/,/^\.\. to here\.$/d' \
		"$here/Documentation/admin-guide/iommu-configfs.rst" | cat -s | sed '${ /^$/d; }' \
		> "$tree/Documentation/admin-guide/iommu-configfs.rst"
	cp "$here/Documentation/admin-guide/iommu_txn.dot" "$tree/Documentation/admin-guide/"
	insert Documentation/admin-guide/index.rst after '   cpu-load' '   iommu-configfs'
	# Whoever sends the series is whom to ask about it.
	name=$(git -C "$here" config user.name || echo "Your Name")
	email=$(git -C "$here" config user.email || echo "you@example.org")
	insert MAINTAINERS before 'IOMMU DMA-API LAYER' "IOMMU CONFIGFS INTERFACE
M:	$name <$email>
L:	iommu@lists.linux.dev
S:	Maintained
F:	Documentation/ABI/testing/configfs-iommu
F:	Documentation/admin-guide/iommu-configfs.rst
F:	Documentation/admin-guide/iommu_txn.dot
F:	drivers/iommu/configfs/
F:	kernel/trace/rv/monitors/iommu_txn/
F:	tools/testing/selftests/iommu/iommu_configfs.sh
"
}

for part; do
	case $part in
	core | code | tests | monitor | docs)
		"$part" ;;
	*)
		die "no part \"$part\"" ;;
	esac
done
