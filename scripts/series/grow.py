#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
grow.py KERNEL FINAL DEST MESSAGE... -- LAST: writes to DEST what the tree of FINAL holds
by the patch LAST, one of MESSAGE: the name of its posting's directory, "/", its own.

KERNEL is a kernel tree, FINAL what is touched of it, with everything in it
(scripts/into-tree.sh). A MESSAGE is the
text of a commit and, below a line "---", what the patch adds:

    add FILE...                     the patch that FILE comes with; a pattern stands for
                                    files that no other patch before it adds, or none
    grow FILE...                    the same, but at each patch there is only as much of
                                    FILE as is used by then (used.py)
    bring FILE NAME...              functions, structs, Kconfig symbols, with their
                                    comments; entries of the ABI page, by what
                                    follows /sys/kernel/config/iommu
    attr FILE PREFIX NAME...        attributes of configfs: their functions and where
                                    they are listed
    line FILE [NAME]: TEXT          a line, within NAME where that is given
    line FILE [NAME]: TEXT .. TEXT  all lines from the one to the other
    line FILE [NAME]: TEXT ..< TEXT  the same without the other
    was FILE [NAME]: TEXT => TEXT   the line reads as the second until then
    was FILE [NAME]: TEXT           the line, or all from the one to the other, or all
    was FILE [NAME]: TEXT .. TEXT   of NAME with its comment, read until then as the
    was FILE NAME                   lines below that begin with "|"

FILE is relative to drivers/iommu/configfs, or to the tree where it begins with drivers/,
kernel/, tools/ or Documentation/ or is MAINTAINERS. TEXT is compared without the blanks around
it. The patches are undone, the last one first: what a patch brings has to be there exactly once
when those after it are undone. What need not be said: an object is left out of the
Makefile until its source is there, and the line that includes a header until that is,
or, in what grows, until something of a header of the kernel is used.

What does not fit fails, and so does a file that no patch adds, and a function, label
or header that is used before it is there: the sources change, and this has to follow. A
patch all of whose files are patterns that match none is left out.
"""

import functools
import os.path
import pathlib
import re
import shutil
import sys
import textwrap

from used import shake, tidy, words

MODULE = 'drivers/iommu/configfs'

# What they declare is partly in headers of other names.
SPREAD = {'errno', 'kernel', 'list', 'mutex', 'spinlock', 'string', 'types'}


class Misfit(Exception):
    """What a message says is not what there is."""


def path_of(name):
    of_tree = name == 'MAINTAINERS' or name.startswith((
        'drivers/', 'kernel/', 'tools/', 'Documentation/'))
    return name if of_tree else f'{MODULE}/{name}'


class Patch:
    """The directives of a message."""

    def __init__(self, path):
        self.name = f'{path.parent.name}/{path.name}'
        self.adds, self.grows, self.cuts = [], [], []
        body = path.read_text().split('\n---\n', 1)
        for text in (body[1] if len(body) == 2 else '').splitlines():
            if text.startswith('|'):
                self.cuts[-1][-1].append(text[1:])
            elif text.strip() and not text.startswith('#'):
                self.parse(text.strip())

    def parse(self, text):
        verb, rest = text.split(None, 1)
        if verb in ('add', 'grow'):
            self.adds += map(path_of, rest.split())
            if verb == 'grow':
                self.grows += map(path_of, rest.split())
        elif verb == 'bring':
            file, *names = rest.split()
            self.cuts += [(path_of(file), 'name', name, None, None, []) for name in names]
        elif verb == 'attr':
            file, prefix, *names = rest.split()
            self.cuts += [(path_of(file), 'attr', prefix, name, None, []) for name in names]
        elif verb in ('line', 'was'):
            where, _, what = rest.partition(':')
            file, _, name = where.strip().partition(' ')
            first, second = what.strip() or None, None
            sign = ' => ' if ' => ' in what else ' ..< ' if ' ..< ' in what else ' .. '
            if first and sign in what:
                first, second = (part.strip() for part in what.split(sign))
                verb = {' => ': 'reads', ' ..< ': 'before', ' .. ': verb}[sign]
            self.cuts.append((path_of(file), verb, first, second, name.strip() or None, []))
        else:
            raise Misfit(f'{self.name}: no directive "{verb}"')


def chunks(lines):
    """Top-level pieces (first, end), parted by blank lines outside of braces."""
    depth, start, comment = 0, None, False
    for number, line in enumerate(lines):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'|/\*.*?\*/', '', line)
        if comment or '/*' in code:
            comment = '*/' not in code
        else:
            depth += code.count('{') - code.count('}')
        if start is None and line.strip():
            start = number
        if start is not None and not line.strip() and not depth and not comment:
            yield start, number
            start = None
    if start is not None:
        yield start, len(lines)


def defines(lines, name):
    """Is this the piece that defines a function, a type, a variable or a macro?"""
    code = re.sub(r'/\*.*?\*/', '', '\n'.join(lines), flags=re.S).lstrip()
    head = code.split('{')[0].split('=')[0]
    if code.startswith('#define'):
        return bool(re.match(rf'#define\s+{name}\b', code))
    return bool(re.search(rf'\b{name}\s*\(', head) and ('{' in code or ';' not in code) or
                re.match(rf'(static |const )*(struct|enum) {name} {{', code) or
                re.search(rf'\b{name}(\[\])?\s*$', head.rstrip(' ;\n')))


def kconfig(lines, name):
    """The lines of a Kconfig symbol, with the blank one before them."""
    first = lines.index(f'config {name}')
    end = first + 1
    while end < len(lines) and re.match(r'\s|$', lines[end]):
        end += 1
    while end > first and not lines[end - 1].strip():
        end -= 1
    return first, end


def abi_entry(lines, name):
    """The lines of the ABI page on one or several files, up to the next ones."""
    starts = [n for n, line in enumerate(lines) if line.startswith('What:') and
              (not n or not lines[n - 1].strip())] + [len(lines)]
    for first, end in zip(starts, starts[1:]):
        if lines[first].endswith(f'/config/iommu{name}'):
            return first, end - (end < len(lines))
    raise Misfit(f'the ABI page says nothing of {name}')


class File:
    """The lines of a file, from which patches are taken out again."""

    def __init__(self, path, text):
        self.path, self.lines, self.changed = path, text.splitlines(), False

    def piece(self, name):
        if self.path.endswith('Kconfig'):
            return kconfig(self.lines, name)
        if self.path.startswith('Documentation/ABI/'):
            return abi_entry(self.lines, name)
        found = [c for c in chunks(self.lines) if defines(self.lines[slice(*c)], name)]
        if len(found) != 1:
            raise Misfit(f'{self.path}: {name} is defined {len(found)} times')
        return found[0]

    def find(self, text, first, end):
        found = [n for n in range(first, end) if self.lines[n].strip() == text]
        if len(found) != 1:
            raise Misfit(f'{self.path}: "{text}" is there {len(found)} times')
        return found[0]

    def replace(self, first, end, lines=()):
        self.lines[first:end] = lines
        self.changed = True

    def take_attr(self, prefix, name):
        pieces = [c for c in chunks(self.lines) for verb in ('show', 'store')
                  if defines(self.lines[slice(*c)], f'{prefix}{name}_{verb}')]
        # Those that a macro defines, a line each.
        pieces += [(n, n + 1) for n, line in enumerate(self.lines)
                   if re.match(rf'(TXN|GROUP)_(SHOW|ACTION)\({name}[,)]', line)
                   and line.lower().startswith(prefix.split('_')[1])]
        if not pieces:
            raise Misfit(f'{self.path}: there is no attribute {prefix}{name}')
        pieces += [(n, n + 1) for n, line in enumerate(self.lines)
                   if line.strip() == f'&{prefix}attr_{name},' or
                   re.fullmatch(rf'CONFIGFS_ATTR\w*\({prefix}, {name}\);', line)]
        for piece in sorted(pieces, reverse=True):
            self.replace(*piece)

    def take(self, kind, first, second, name, lines):
        if kind == 'attr':
            self.take_attr(first, second)
            return
        if kind == 'name' or not first:
            self.replace(*self.piece(first or name), lines)
            return
        start, end = self.piece(name) if name else (0, len(self.lines))
        number = self.find(first, start, end)
        if kind == 'reads':
            self.lines[number] = self.lines[number].replace(first, second)
            return
        last = number
        if second is not None:
            last = next((n for n in range(number + 1, end)
                         if self.lines[n].strip() == second), None)
            if last is None:
                raise Misfit(f'{self.path}: no "{second}" after "{first}"')
        self.replace(number, last if kind == 'before' else last + 1, lines)

    def text(self):
        lines = tidy(self.lines) if self.changed else self.lines
        return '\n'.join(lines) + '\n'


def makefile(text, later):
    """Without the objects whose source comes later."""
    out = ''
    for statement in re.findall(r'(?:[^\n]*\\\n)*[^\n]*\n', text):
        name, sign, value = statement.partition('=')
        objects = re.findall(r'(\S+)\.o\b', value)
        kept = [o for o in objects if f'{MODULE}/{o}.c' not in later]
        if objects and not kept:
            continue
        if kept != objects:
            lines = textwrap.wrap(f'{name}{sign} ' + ' '.join(f'{o}.o' for o in kept), 70,
                                  subsequent_indent=' ' * 20, break_long_words=False,
                                  break_on_hyphens=False)
            statement = ' \\\n'.join(lines).replace(' ' * 20, '\t\t    ') + '\n'
        out += statement
    return re.sub(r'\n{3,}', '\n\n', out).rstrip('\n') + '\n'


def functions(text):
    """The code without comments and strings, and the functions that it defines."""
    code = re.sub(r'/\*.*?\*/|"(\\.|[^"\\\n])*"', '', text, flags=re.S)
    names = re.findall(r'^\w[\w \t*\n]*?\b(\w+)\([^;{}]*\)\n\{', code, re.M)
    return code, set(names)


def check_uses(final, texts):
    """Does each source have what it uses of itself, and all of them what they call?"""
    sources = {p: functions(text) for p, text in texts.items() if p.endswith('.c')}
    there = set().union(*(names for _, names in sources.values()))
    others = set().union(*(functions(p.read_text())[1]
                           for p in (final / MODULE).rglob('*.c'))) - there
    others = {name for name in others if name.startswith('icfg_')}
    for path, (code, names) in sources.items():
        own = functions((final / path).read_text())[1] - names
        for name in own | others:
            if re.search(rf'(?<![\w.>]){name}\b', code):
                raise Misfit(f'{path}: {name} is used before it is there')
        labels = set(re.findall(r'^(\w+):$', code, re.M))
        if labels != set(re.findall(r'\bgoto (\w+);', code)):
            raise Misfit(f'{path}: labels and gotos differ')
    for path, text in texts.items():
        for name in re.findall(r'^#include "(.*)"$', text, re.M):
            header = os.path.normpath(os.path.join(os.path.dirname(path), name))
            if header.startswith(MODULE) and header not in texts:
                raise Misfit(f'{path}: {name} comes later')


def expand(final, patches):
    """Replaces patterns by files; what a patch without any brings is not looked for."""
    taken = {path for patch in patches for path in patch.adds}
    for patch in patches:
        files = []
        for path in patch.adds:
            found = [path]
            if '*' in path:
                found = {str(p.relative_to(final)) for p in final.glob(path)} - taken
            files += sorted(found)
        if patch.adds and not files:
            patch.cuts = []
        patch.adds = files
        taken |= set(files)


def come(final, patches):
    """With which patch each file comes."""
    comes = {}
    for number, patch in enumerate(patches):
        for path in patch.adds:
            if path in comes:
                raise Misfit(f'{path} comes with {patches[comes[path]].name} and {patch.name}')
            if not (final / path).is_file():
                raise Misfit(f'{patch.name} adds {path}, which there is not')
            comes[path] = number
    for path in sorted(p for p in (final / MODULE).rglob('*') if p.is_file()):
        if str(path.relative_to(final)) not in comes:
            raise Misfit(f'no patch adds {path.relative_to(final)}')
    return comes


def take_includes(files):
    """Of the module's headers that are not there yet."""
    for path, file in files.items():
        for number in range(len(file.lines) - 1, -1, -1):
            match = re.fullmatch(r'#include "(.*)"', file.lines[number])
            header = match and os.path.normpath(
                os.path.join(os.path.dirname(path), match.group(1)))
            if header and header.startswith(MODULE) and header not in files:
                file.replace(number, number + 1)


def take_unused(kernel, files):
    """Headers of the kernel that nothing of is used, by a source or behind a header."""
    used = {file: words('\n'.join(file.lines)) for file in files}
    every = set().union(*used.values())
    for file in files:
        of = every if file.path.endswith('.h') else used[file]
        for number in range(len(file.lines) - 1, -1, -1):
            match = re.fullmatch(r'#include <((?:linux|kunit)/(.*))\.h>', file.lines[number])
            if (match and match.group(2) not in SPREAD and
                    not of & offers(kernel / 'include' / match.group(1))):
                file.replace(number, number + 1)


@functools.cache
def offers(header):
    """What a header defines or declares, and those in a directory of its name."""
    text = '\n'.join(path.read_text() for path in (
        header.with_suffix('.h'), *header.glob('*.h')))
    return set(re.findall(r'#\s*define\s+(\w+)', text) +
               re.findall(r'\b(?:struct|union|enum) (\w+) {', text) +
               re.findall(r'(\w+)(?:\[\w*\])?;', '\n'.join(re.findall(
                   r'^(?:typedef|extern) .*;$', text, re.M))) +
               re.findall(r'^\t([A-Z]\w+)\b', text, re.M) +
               re.findall(r'^\w[\w \t*\n]*?\b(\w+)\(', text, re.M))


def is_whole(final, file):
    """Does nothing of a source come later, but for headers?"""
    code, all_of_it = ([line for line in tidy(lines) if not line.startswith('#include ')]
                       for lines in (file.lines, (final / file.path).read_text().splitlines()))
    return code == all_of_it


def grow(kernel, final, dest, patches, last):
    names = [p.name for p in patches]
    if last not in names:
        raise Misfit(f'no patch {last}')
    upto = names.index(last)
    expand(final, patches)
    comes = come(final, patches)

    files = {p: File(p, (final / p).read_text()) for p in comes}
    for patch in reversed(patches[upto + 1:]):
        for path, *cut in patch.cuts:
            if path not in files:
                raise Misfit(f'{patch.name}: no patch adds {path}')
            try:
                files[path].take(*cut)
            except Misfit as misfit:
                raise Misfit(f'{patch.name}: {misfit}') from None
    files = {p: file for p, file in files.items() if comes[p] <= upto}
    if any(path.startswith(MODULE) for patch in patches[upto + 1:] for path in patch.adds):
        take_includes(files)
        sources = {p: file.lines for p, file in files.items() if p.endswith(('.c', '.h'))}
        for path in shake(sources, {p for patch in patches for p in patch.grows}):
            raise Misfit(f'{last}: nothing uses {path}')
        take_unused(kernel, [files[p] for p in sources if not is_whole(final, files[p])])

    texts = {p: file.text() for p, file in files.items()}
    if set(comes) > set(files):
        texts[f'{MODULE}/Makefile'] = makefile(texts[f'{MODULE}/Makefile'],
                                               set(comes) - set(files))
    check_uses(final, texts)
    for path, text in texts.items():
        (dest / path).parent.mkdir(parents=True, exist_ok=True)
        (dest / path).write_text(text)
        shutil.copymode(final / path, dest / path)


def main():
    kernel, final, dest, *messages, dashes, last = sys.argv[1:]
    if dashes != '--':
        sys.exit(__doc__)
    try:
        grow(pathlib.Path(kernel), pathlib.Path(final), pathlib.Path(dest),
             [Patch(pathlib.Path(m)) for m in messages], last)
    except Misfit as misfit:
        sys.exit(f'series: {misfit}')


if __name__ == '__main__':
    main()
