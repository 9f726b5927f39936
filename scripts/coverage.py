#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""coverage.py SOURCES BUILT DIR...: which lines ran, by all the .gcda files below the DIRs,
beside each of which is its .gcno file. SOURCES is where the sources are in our tree, BUILT
where they are as they were built: without what is for other kernels.

Prints a table, then the lines that no test has run, then the labels and the ways to them.
What tests are made of is left out."""

import collections
import difflib
import json
import pathlib
import re
import subprocess
import sys

MARK = 'drivers/iommu/configfs/'
LABEL = re.compile(r'^[a-z]\w*:$')
GOTO = re.compile(r'\bgoto \w+;')


class File:
    """What is known of a source: counts by line number, as it was built."""

    def __init__(self):
        self.counts = collections.Counter()
        self.functions = {}

    def add(self, found):
        """What gcov says of it in one object."""
        for line in found['lines']:
            self.counts[line['line_number']] += line['count']
            if line.get('function_name'):
                self.functions[line['line_number']] = line['function_name']

    def never(self):
        """The lines with code that never ran."""
        return sorted(n for n, count in self.counts.items() if not count)


def read(directories):
    """All counts, by the name of the source below MARK."""
    files = collections.defaultdict(File)
    for directory in directories:
        for gcda in sorted(directory.rglob('*.gcda')):
            done = subprocess.run(['gcov', '--json-format', '--stdout', gcda.name], cwd=gcda.parent,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if done.returncode or done.stderr:
                sys.exit(f'coverage: {gcda}: {done.stderr.strip()}')
            for line in done.stdout.splitlines():
                for found in json.loads(line)['files']:
                    name = found['file'].rpartition(MARK)[2]
                    if MARK in found['file'] and not name.startswith('tests/'):
                        files[name].add(found)
    return files


def numbers(built, ours):
    """The number of a line of ours by that of the line as it was built."""
    found = {}
    for a, b, size in difflib.SequenceMatcher(None, built, ours, False).get_matching_blocks():
        found.update((a + i + 1, b + i + 1) for i in range(size))
    return found


def ways_out(source, counts):
    """Labels and gotos: (line number, did it run). What follows a label runs with it."""
    for number, text in enumerate(source, 1):
        if GOTO.search(text):
            yield number, counts[number] > 0
        elif LABEL.match(text):
            yield number, counts[min((n for n in counts if n > number), default=0)] > 0


def main():
    """Parses the command line, and prints."""
    ours, built = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    files = read([pathlib.Path(d) for d in sys.argv[3:]])
    total = missed = 0
    never, ways = [], []
    print('| file | lines | never run | run |\n|---|---:|---:|---:|')
    for name in sorted(files):
        file = files[name]
        source = (built / name).read_text().splitlines()
        number = numbers(source, (ours / name).read_text().splitlines())
        lines, bad = len(file.counts), file.never()
        total, missed = total + lines, missed + len(bad)
        print(f'| {name} | {lines} | {len(bad)} | {100 - 100 * len(bad) / lines:.1f} % |')
        never += [f'{name}:{number.get(n, 0)}: {file.functions.get(n, "-")}: {source[n - 1].strip()}'
                  for n in bad]
        ways += [(f'{name}:{number.get(n, 0)}: {source[n - 1].strip()}', ran)
                 for n, ran in ways_out(source, file.counts)]
    if not total:
        sys.exit('coverage: nothing was counted')
    print(f'| all | {total} | {missed} | {100 - 100 * missed / total:.1f} % |')
    absent = sorted(str(p.relative_to(ours)) for p in ours.rglob('*.c')
                    if p.relative_to(ours).parts[0] != 'tests' and '.mod' not in p.name and
                    str(p.relative_to(ours)) not in files)
    print(f'\n{sum(ran for _, ran in ways)} of {len(ways)} labels and gotos run.')
    print(f'Not counted, as no kernel with gcov has it: {", ".join(absent) or "-"}')
    print('\nNever run:\n' + '\n'.join(never))
    print('\nLabels and gotos that never run:\n' + '\n'.join(t for t, ran in ways if not ran))


main()
