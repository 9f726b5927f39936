#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# by-commit.sh TYPE GROUP...: one transaction, from the first mkdir to the last rmdir.

type=$1
shift
cd /sys/kernel/config/iommu || exit
mkdir bench && cd bench && mkdir "$@" || exit
for group; do
	echo "$type" > "$group/type" || exit
done
echo 1 > commit || { cat report >&2; exit 1; }
rmdir "$@" && cd .. && rmdir bench
