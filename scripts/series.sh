#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh [OUT]: writes the patch series for the kernel tree to OUT (default: in the
# cache), as mails that `git send-email` can send. They are made anew from the sources:
# patches/linux-7.3 has the patches of the core as they are, and in series/ the message
# of each of the module's patches with what it adds (scripts/series/grow.py).
#
# series.sh --check: makes them elsewhere and tries each (scripts/series/check.sh).
#
# The kernel is the lab's linux-source-7.3, or KERNEL_SRC. Author and sign-off are those
# of git's configuration; recipients are those of the kernel's get_maintainer.pl.
set -euo pipefail

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
	check=1 out=$tmp/mails ;;
-*)
	die "usage: series.sh [--check|OUT]" ;;
*)
	check='' out=${1:-$cache/series/mails} ;;
esac

kernel=$("$here/tools/lab/kernels/tree/source")
name=$(git -C "$here" config user.name || echo "Your Name")
email=$(git -C "$here" config user.email || echo "you@example.org")
[ "$email" != you@example.org ] ||
	echo "series: git has no user.email: signed off by \"$name <$email>\"" >&2

# The files of the tree that the series touches, as they are: "before" and, with all
# of it in, "after".
{
	sed -n 's,^--- a/,,p' "$patches"/*.patch
	sed -n '/^---$/,$ s/^add //p' "$patches"/series/* | tr ' ' '\n'
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

git init -q -b series
git add -A
git commit -q -m base
for patch in "$patches"/*.patch; do
	sed -n '/^---$/q; s/^Subject: \[PATCH\] //; p' "$patch" > "$tmp/message"
	git apply "$patch"
	commit "$patch" "$tmp/message"
done
for message in "$patches"/series/*; do
	sed '/^---$/,$d' "$message" > "$tmp/message"
	"$here/scripts/series/grow.py" "$tmp/after" "$tmp/before" "$patches"/series/* -- \
		"${message##*/}"
	commit "$message" "$tmp/message"
done
diff -r -x .git "$tmp/before" "$tmp/after" > "$tmp/diff" ||
	die "the patches do not add up to what into-tree.sh does:" $'\n' "$(head "$tmp/diff")"

version=$(make -s --no-print-directory -C "$kernel" kernelversion 2> /dev/null) || version=7.3
sed "s/@VERSION@/$version/" "$patches/cover-letter.txt" > "$tmp/cover"
git config branch.series.description "$(cat "$tmp/cover")"
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/[0-9][0-9][0-9][0-9]-*.patch
git format-patch -q --cover-letter --cover-from-description=subject --stat=72 \
	-o "$out" "$(git rev-list --max-parents=0 series)..series"

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

for mail in "$out"/[0-9]*.patch; do
	case $mail in
	*/0000-*)
		recipients "$out"/000[1-9]-*.patch "$out"/00[1-9]?-*.patch ;;
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
	"$here/scripts/series/check.sh" "$out" "$tmp/after" "$kernel"
else
	echo "$out"
	ls "$out"
fi
