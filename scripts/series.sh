#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh [OUT]: writes the patches for the kernel tree to OUT (default: in the cache),
# as mails that `git send-email` can send: a directory for each posting, with its cover
# letter. They are made anew from the sources. patches/linux-7.3 has a directory for each
# posting, in an order in which all of them apply:
#
#	NNNN-*.patch	a patch of other parts of the kernel, as it is
#	NN-*		the message of a patch of the module, with what it adds
#			(scripts/series/grow.py); after the former
#	cover-letter.txt	its last line, "Depends-on:", names the postings without
#			which it does not apply
#
# That each posting applies on top of these alone is tried here.
#
# series.sh --check [POSTING...]: makes them elsewhere and tries all of them, or those
# (scripts/series/check.sh).
#
# The kernel is the lab's linux-source-7.3, or KERNEL_SRC. Author and sign-off are those
# of git's configuration; recipients are those of the kernel's get_maintainer.pl.
set -euo pipefail
shopt -s nullglob

here=$(cd "$(dirname "$0")/.." && pwd)
patches=$here/patches/linux-7.3
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-configfs

die()
{
	echo "series: $*" >&2
	exit 1
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

case ${1-} in
--check)
	check=1 out=$tmp/mails
	shift ;;
-*)
	die "usage: series.sh [--check [POSTING...]|OUT]" ;;
*)
	check='' out=${1:-$cache/series/mails} ;;
esac

messages=("$patches"/*/[0-9][0-9]-*)
kernel=$("$here/tools/lab/kernels/tree/source")
name=$(git -C "$here" config user.name || echo "Your Name")
email=$(git -C "$here" config user.email || echo "you@example.org")
[ "$email" != you@example.org ] ||
	echo "series: git has no user.email: signed off by \"$name <$email>\"" >&2

# The files of the tree that the series touches, as they are: "before" and, with all
# of it in, "after".
{
	sed -n 's,^--- a/,,p' "$patches"/*/*.patch
	sed -n '/^---$/,$ s/^\(add\|grow\) //p' "${messages[@]}" | tr ' ' '\n'
} | sort -u | while read -r file; do
	[ ! -f "$kernel/$file" ] || install -D -m 644 "$kernel/$file" "$tmp/before/$file"
done
mkdir -p "$tmp/before/Documentation/ABI/testing"
cp -r "$tmp/before" "$tmp/after"
"$here/scripts/into-tree.sh" "$tmp/after"

# No hook and no setting of whoever runs this has a say in what the mails look like.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$email
export GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$email
git()
{
	command git -C "$tmp/before" -c commit.gpgSign=false "$@"
}

commit()
{
	git add -A
	if ! git diff --cached --quiet; then
		git commit -q -s -F "$2"
	elif ! grep -q '^add .*\*' "$1"; then
		die "${1##*/} changes nothing"
	fi
}

# patch FILE: commits what a patch or message of a posting adds.
patch()
{
	case $1 in
	*.patch)
		sed -n '/^---$/q; s/^Subject: \[PATCH\] //; p' "$1" > "$tmp/message"
		git apply "$1" ;;
	*)
		sed '/^---$/,$d' "$1" > "$tmp/message"
		"$here/scripts/series/grow.py" "$kernel" "$tmp/after" "$tmp/before" "${messages[@]}" -- \
			"${1#"$patches/"}" ;;
	esac
	commit "$1" "$tmp/message"
}

# title POSTING: the subject of its cover letter.
title()
{
	head -n 1 "$patches/$1/cover-letter.txt"
}

# depends POSTING: the postings that it is on top of.
depends()
{
	sed -n 's/^Depends-on://p' "$patches/$1/cover-letter.txt"
}

# cover POSTING: its cover letter, with what stands for the version and other postings.
cover()
{
	local other
	sed -e "s/@VERSION@/$version/" -e '/^Depends-on:/d' "$patches/$1/cover-letter.txt"
	for other in $(depends "$1"); do
		echo "  - $(title "$other")"
	done
}

version=$(make -s --no-print-directory -C "$kernel" kernelversion 2> /dev/null) || version=7.3
git init -q -b base
git add -A
git commit -q -m base
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/*/[0-9][0-9][0-9][0-9]-*.patch
at=base
for dir in "$patches"/*/; do
	posting=$(basename "$dir")
	git checkout -q -b "$posting"
	for file in "$dir"[0-9]*; do
		patch "$file"
	done
	git config "branch.$posting.description" "$(cover "$posting")"
	git format-patch -q --cover-letter --cover-from-description=subject --stat=72 \
		-o "$out/$posting" "$at..$posting"
	at=$posting
done
diff -r -x .git "$tmp/before" "$tmp/after" > "$tmp/diff" ||
	die "the patches do not add up to what into-tree.sh does:" $'\n' "$(head "$tmp/diff")"

# Each on top of what it says that it depends on, and of nothing else.
for dir in "$patches"/*/; do
	posting=$(basename "$dir")
	git checkout -q --detach base
	for other in $(depends "$posting") "$posting"; do
		git am -q "$out/$other"/000[1-9]-*.patch "$out/$other"/00[1-9]?-*.patch \
			> "$tmp/am" 2>&1 || die "$posting does not apply on top of" \
			"$(depends "$posting"): $(head -n 5 "$tmp/am")"
	done
done

# Whom to send it to: those whom the kernel's own script names for a patch, and for the
# cover letter all of these.
recipients()
{
	(cd "$kernel" && perl scripts/get_maintainer.pl --no-git --no-git-fallback \
		--no-keywords "$@") |
		awk '
			!match($0, / \((maintainer|supporter|reviewer|open list|moderated list)/) \
				{ next }
			{
				field = $0 ~ /\((maintainer|supporter)/ ? "To" : "Cc"
				who = substr($0, 1, RSTART - 1)
				if (!seen[who]++)
					list[field] = list[field] (list[field] ? ",\n\t" : "") who
			}
			END {
				if ("To" in list) print "To: " list["To"]
				if ("Cc" in list) print "Cc: " list["Cc"]
			}'
}

for mail in "$out"/*/[0-9]*.patch; do
	[ -z "$check" ] || break
	dir=${mail%/*}
	case $mail in
	*/0000-*)
		recipients "$dir"/000[1-9]-*.patch "$dir"/00[1-9]?-*.patch ;;
	*)
		recipients "$mail" ;;
	esac > "$tmp/recipients"
	# After the last of the headers, which is the first empty line.
	sed -i -e "0,/^\$/{/^\$/{
		r $tmp/recipients
		N
	}}" "$mail"
done

if [ -n "$check" ]; then
	"$here/scripts/series/check.sh" "$out" "$tmp/after" "$kernel" "$@"
else
	echo "$out"
	(cd "$out" && ls -d -- */*)
fi
