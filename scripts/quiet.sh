#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# quiet.sh NAME WHAT COMMAND...: says WHAT is done, and runs COMMAND with its output in the log
# NAME of the cache. Warnings of compilers are shown. If COMMAND fails so are the last lines,
# and where the rest is.
set -euo pipefail

name=$1
what=$2
shift 2
log=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs/logs/$name
mkdir -p "${log%/*}"
echo "$what ..."
code=0
"$@" > "$log" 2>&1 || code=$?
if [ $code -ne 0 ]; then
	tail -n 60 "$log" >&2
	echo "failed with $code; all of its output is in $log" >&2
else
	grep -A3 -E 'warning:|WARNING:' "$log" >&2 || :
fi
exit $code
