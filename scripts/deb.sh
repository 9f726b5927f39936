#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb.sh [OUTPUT]: the Debian packages, from a copy of what git knows of this tree,
# so that nothing is left in it; then lintian. A point for each.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
output=${1:-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

point()	# point CODE NAME LOG
{
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) packages: $2"
	else
		failed=$((failed + 1))
		sed 's/^/# /' "$3"
		echo "not ok $((passed + failed)) packages: $2"
	fi
}

mkdir "$tmp/source"
git ls-files -co --exclude-standard -z | tar --null -cf - -T - | tar -xf - -C "$tmp/source"
# The tests have a run of their own.
(cd "$tmp/source" && DEB_BUILD_OPTIONS="nocheck ${DEB_BUILD_OPTIONS-}" \
	dpkg-buildpackage -us -uc -b) > "$tmp/log" 2>&1
point $? "dpkg-buildpackage" "$tmp/log"

for package in iommucfg iommucfg-agent iommucfg-fleet libiommucfg0 libiommucfg-dev iommu-configfs-dkms; do
	find "$tmp" -maxdepth 1 -name "${package}_*.deb" -size +0 | grep -q . 2> "$tmp/none"
	point $? "$package" "$tmp/none"
done

lintian --allow-root --no-tag-display-limit --fail-on error,warning "$tmp"/*.changes \
	> "$tmp/log" 2>&1
point $? "lintian" "$tmp/log"

if [ -n "$output" ]; then
	mkdir -p "$output"
	cp "$tmp"/*.deb "$output"
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
