#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# checkpatch.sh PATH...: the kernel's style checker, --strict, over all sources
# below the paths; a point for each file. No small package has the checker: it is
# taken once from the kernel source that belongs to the lab's stock kernel.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs
package=linux-source-6.12
checker=$cache/checkpatch/checkpatch.pl

fetch()
{
	local tmp
	echo "checkpatch: fetching it from $package" >&2
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	# shellcheck disable=SC2064 # $tmp is gone when the trap runs
	trap "rm -rf '$tmp'" EXIT
	cd "$tmp"
	# A list may name a version that the archive has replaced since; and mirrors have moments.
	apt-get -qq -o APT::Sandbox::User=root download "$package" || {
		apt-get -qq update
		apt-get -qq -o APT::Sandbox::User=root download "$package"
	}
	cd - > /dev/null
	mkdir "$tmp/checkpatch"
	dpkg-deb --fsys-tarfile "$tmp"/*.deb 2>/dev/null | tar -xO "./usr/src/$package.tar.xz" |
		tar -xJ -C "$tmp/checkpatch" --strip-components=2 --occurrence=1 \
			"$package"/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} || :
	[ -s "$tmp/checkpatch/const_structs.checkpatch" ] ||
		{ echo "checkpatch: $package does not have it" >&2; exit 1; }
	mv -T "$tmp/checkpatch" "$cache/checkpatch" || [ -e "$checker" ]
}

[ -e "$checker" ] || fetch

passed=0 failed=0
while read -r file; do
	ignore=()
	# The layout of trace events is the kernel's own, and the checker knows it not.
	! grep -q TRACE_INCLUDE_FILE "$file" ||
		ignore=(--ignore OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT)
	if perl "$checker" --no-tree --strict --terse --show-types --no-summary \
		"${ignore[@]}" -f "$file"; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) checkpatch: $file"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) checkpatch: $file"
	fi
done < <(find "$@" -type f \( -name '*.[chS]' -o -name Kbuild -o -name 'Kconfig*' \
	-o -name Makefile \) ! -name '*.mod.c' | sort)

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
