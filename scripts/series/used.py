# SPDX-License-Identifier: GPL-2.0
"""
What of some C sources is used: shake() takes out of them all that nothing refers to.
It goes by names, so it may keep what is not used, and what it keeps finds all that it
needs.

A source is read as items: a function, a variable, a type, a macro, a declaration, each
with the comment above it. A function, a variable or a macro of a source stays if an
item that stays has its name; a declaration if what it declares does; of a struct in a
header, the members whose names are used, with their lines of kernel-doc. What is none
of these (module_init(), an attribute) stays, and so does a comment by itself if
something does that comes before the next one.
"""

import re

CPP = re.compile(r'\s*#\s*(if|ifdef|ifndef|else|elif|endif|include|undef)\b')
SECTION = re.compile(r'/\* [\w*-]+\.c(, [\w*-]+\.c)* \*/')


def bare(text):
    """Code without comments and strings."""
    return re.sub(r'/\*.*?\*/|"(\\.|[^"\\\n])*"|//.*?$', ' ', text, flags=re.S | re.M)


def words(text):
    found = set(re.findall(r'[A-Za-z_]\w*', bare(text)))
    for prefix, name in re.findall(r'\bCONFIGFS_ATTR\w*\((\w+), (\w+)\)', text):
        found |= {f'{prefix}{name}_show', f'{prefix}{name}_store'}
    # What another macro puts a name together of.
    for macro, name in re.findall(r'^(TXN|GROUP)_(?:SHOW|ACTION)\((\w+)', text, re.M):
        found.add(f'icfg_{macro.lower()}_{name}')
    if any(word.startswith('pr_') for word in found):
        found.add('pr_fmt')
    return found


def members_of(text, types, returns):
    """
    The members that are used in TEXT, as (struct, name), with None for a struct that
    cannot be told. TYPES has the struct of each member that is one, RETURNS of what a
    function returns.
    """
    text, found = bare(text), set()
    of = {}
    for struct, names in re.findall(r'struct (\w+) (\*+\w+(?: = [^,;)]+)?(?:, \*+\w+)*)', text):
        of.update((name, struct) for name in re.findall(r'\*(\w+)', names))
    for base, chain in re.findall(r'(?<![\w)\]])(\w*)((?:(?:->|\.)\s*[A-Za-z_]\w*)+)', text):
        struct = of.get(base)
        for name in re.findall(r'\w+', chain):
            found.add((struct, name))
            struct = types.get((struct, name))
    for function, close, name in re.findall(
            r'(?:\b(\w+)\([^()]*)?([)\]])(?:->|\.)(\w+)', text):
        found.add((returns.get(function) if close == ')' else None, name))
    args = r'\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)'
    for entry, inside in re.findall(r'(\w*_entry\w*|container_of\w*)' + args, text):
        parts = [part.strip() for part in re.split(r',\s*(?![^()]*\))', inside)]
        struct = next((p.split()[1] for p in parts if re.match(r'struct \w+$', p)), None)
        for name in parts[-1].split('.'):
            found.add((struct or of.get(parts[0]), name))
            struct = types.get((struct or of.get(parts[0]), name))
    return found


def tidy(lines):
    """Without the blank lines that parted what is gone, and a comment on it."""
    out = []
    for line in lines:
        if not line.strip() and (not out or not out[-1].strip() or out[-1].endswith('{')):
            continue
        while line.strip() in ('}', '};') and out and re.match(
                r'\s*(/\* private: .*\*/)?$', out[-1]):
            out.pop()
        out.append(line)
    while out and not out[-1].strip():
        out.pop()
    return out


class Item:
    def __init__(self, path, first, end, lines):
        self.path, self.first, self.end = path, first, end
        self.code = bare('\n'.join(lines[first:end])).strip()
        self.members, self.types, self.dead = {}, {}, set()
        self.text = '\n'.join(lines[first:end])
        self.classify(lines)
        self.words = words(self.text) - self.names

    def classify(self, lines):
        code, header = self.code, self.path.endswith('.h')
        head = code.split('{')[0].split('=')[0].strip()
        plain = re.sub(r'\b__\w+\([^()]*\)', '', head)
        self.static = not header and not head.startswith('VISIBLE_IF_KUNIT')
        macro = re.match(r'([A-Z]\w*|module_\w+|late_\w+)\((\w*)', code)
        if not code:
            self.kind, self.names = 'note', set()
        elif CPP.match(code):
            self.kind, self.names = 'cpp', set()
        elif code.startswith('#'):
            self.kind = 'name'
            self.names = {re.match(r'#\s*define\s+(\w+)', code).group(1)}
        elif macro:
            defines = code.startswith(('DEFINE_', 'DECLARE_'))
            self.kind = 'name' if defines else 'root'
            self.names = {macro.group(2)} if defines else set()
        elif macro := re.match(r'static [A-Z]\w*\((\w+)', code):
            self.kind, self.names = 'name', {macro.group(1)}
        elif re.match(r'(struct|enum|union) \w+;$', code):
            self.kind, self.names = 'forward', {code.split()[1].rstrip(';')}
        elif match := re.match(r'(struct|enum|union) (\w+) \{', code):
            self.kind, self.names = 'name', {match.group(2)}
            if match.group(1) == 'enum':
                self.names |= set(re.findall(r'^\s*(\w+)[,\s=}]', code.split('{')[1], re.M))
            elif header:
                self.find_members(lines)
        elif '(' in plain and (code.endswith('}') or '=' not in code):
            # A function, or the declaration of one.
            self.names = {re.search(r'(\w+)\s*\(', plain).group(1)}
            self.kind = 'name' if code.endswith('}') else 'declared'
            if not header and not plain.startswith('static'):
                self.static = False
        else:
            match = re.search(r'(\w+)\s*(\[[^\]]*\]\s*)*$', head.rstrip('; '))
            self.kind, self.names = 'name', {match.group(1)} if match else set()
            if code.startswith('extern'):
                self.kind = 'declared'
            elif not header and not plain.startswith('static'):
                self.static = False

    def find_members(self, lines):
        """Which line is which member, and what is said of it."""
        inside = False
        for number in range(self.first, self.end):
            line = lines[number]
            if re.match(r'struct \w+ \{', line):
                inside = True
            elif inside and (match := re.search(
                    r'\(\*(\w+)\)|(\w+)(\[[^\]]*\])?(:\s*\d+)?;', bare(line))):
                name = match.group(1) or match.group(2)
                self.members.setdefault(name, []).append(number)
                if struct := re.match(r'\s*(?:const )?struct (\w+)', line):
                    self.types[name] = struct.group(1)
            elif match := re.match(r' \* @(\w+):', line):
                end = number + 1
                while re.match(r' \*\s+[^\s@]', lines[end]):
                    end += 1
                self.members.setdefault(match.group(1), []).extend(range(number, end))

    def settle(self, lines, used):
        """Notes the members that are not used; returns the words of the others."""
        (struct,) = self.names
        self.dead = {n for name, where in self.members.items() for n in where
                     if not {(struct, name), (None, name)} & used}
        return words('\n'.join(line for n, line in enumerate(
            lines[self.first:self.end], self.first) if n not in self.dead)) - (
                set(self.members) | self.names)


def items(path, lines):
    """The items of a source, in order."""
    out, start, depth, parens, comment, define, call = [], None, 0, 0, False, False, False

    def end(number):
        nonlocal start
        if start is not None:
            out.append(Item(path, start, number, lines))
        start = None

    seen = False    # code since start
    for number, line in enumerate(lines):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'|/\*.*?\*/|//.*', '', line)
        if not line.strip() and not depth and not comment:
            end(number)
            seen = False
            continue
        if start is None:
            start, seen = number, False
        if comment or '/*' in code:
            was, comment = comment, '*/' not in code
            code = '' if was else code.split('/*')[0]
        if not seen and (SECTION.fullmatch(line.strip()) or not depth and CPP.match(code)):
            if CPP.match(code) and start < number:
                end(number)
                start = number
            end(number + 1)
            continue
        if not code.strip():
            continue
        if not seen and start == 0 < number:
            # What is said of the whole file.
            end(number)
            start = number
        if not seen:
            call = bool(re.match(r'[A-Z]\w*\(', code))
        seen = True
        define = define or code.lstrip().startswith('#define') and not depth
        depth += code.count('{') - code.count('}') if not define else 0
        parens += code.count('(') - code.count(')') if not define else 0
        if define:
            define = line.endswith('\\')
            done = not define
        else:
            last = code.rstrip()
            done = not depth and not parens and (
                last.endswith((';', '}')) or call and last.endswith(')'))
        if done:
            end(number + 1)
            seen = False
    end(len(lines))
    return out


def shake(sources, grown):
    """
    Takes out of the lines of SOURCES, by path, what is not used, of those in GROWN.
    Returns the paths of which nothing that was a function is left.
    """
    parts = {path: items(path, lines) for path, lines in sources.items()}
    every = [item for found in parts.values() for item in found]
    live = {item for item in every if item.path not in grown or
            item.kind in ('root', 'cpp')}
    types = {(struct, name): of for item in every for struct in item.names
             for name, of in item.types.items()}
    returns = {name: struct for item in every for struct, name in re.findall(
        r'^(?:static )?(?:const )?struct (\w+) \*(\w+)\(', item.code)}
    uses = {item: members_of(item.text, types, returns) for item in every}
    while True:
        own = {path: set() for path in sources}
        defined, members = set(), set()
        for item in live:
            if item.kind == 'name':
                defined |= item.names
            if not item.members:
                members |= uses[item]
        for item in live:
            own[item.path] |= item.settle(sources[item.path], members) if (
                item.members and item.path in grown) else item.words
        used = set().union(*own.values())
        found = {item for item in every if item not in live and (
            item.kind == 'name' and
            item.names & (own[item.path] if item.static else used) or
            item.kind == 'forward' and item.names & own[item.path] or
            item.kind == 'declared' and item.names & defined)}
        if not found:
            break
        live |= found

    for path in grown & set(sources):
        cut(sources[path], parts[path], live)
    return {path for path in grown & set(sources) if path.endswith('.c') and not any(
        item in live and item.kind == 'name' and item.code.endswith('}')
        for item in parts[path])}


def cut(lines, found, live):
    """Takes the items that are not in LIVE out of LINES, from the end."""
    kept = [item for item in found if item in live]
    keep, follows = set(kept), False
    for item in reversed(found):
        if item.kind == 'note':
            if follows or item is found[0]:
                keep.add(item)
            follows = False
        elif item in live and item.kind != 'cpp':
            follows = True
    dropped = {n for item in found if item not in keep for n in range(item.first, item.end)}
    dropped |= {n for item in kept for n in item.dead}
    # An #if around nothing, or an #else, from the inside.
    while True:
        cpp = [item for item in found if item.kind == 'cpp' and item.first not in dropped]
        for first, second in zip(cpp, cpp[1:]):
            if (not re.match(r'#\s*endif\b', second.code) or
                    not re.match(r'#\s*(if|ifdef|ifndef|else)\b', first.code) or
                    any(n not in dropped and lines[n].strip()
                        for n in range(first.end, second.first))):
                continue
            dropped |= set(range(first.first, first.end))
            if 'else' not in first.code:
                dropped |= set(range(second.first, second.end))
            break
        else:
            break
    lines[:] = tidy([line for n, line in enumerate(lines) if n not in dropped])
