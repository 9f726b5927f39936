#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""results.py [FILE]: what the last whole runs of the lab's machines came to, as a table;
printed, or put between the marks in FILE. Its source is what `lab run` leaves below the
cache, of which only runs of the commit that is checked out count: a cell without such a
run says so."""

import json
import os
import pathlib
import re
import subprocess
import sys

BEGIN = '<!-- written by `make results`: begin -->'
END = '<!-- end -->'

# (heading, kernel, machines by the first word of their names)
COLUMNS = (
    ('VT-d', 'stock', 'vtd'),
    ('VT-d', 'debug', 'vtd'),
    ('VT-d', 'builtin', 'vtd'),
    ('AMD-Vi', 'stock', 'amd'),
    ('AMD-Vi', 'debug', 'amd'),
    ('virtio-iommu', 'stock', 'virtio'),
    ('virtio-iommu', 'debug', 'virtio'),
    ('SMMUv3', 'arm64', 'smmuv3'),
)
KERNELS = {'stock': 'stock', 'debug': 'sanitizers', 'builtin': 'built in', 'arm64': 'arm64'}

# (first and last number of the tests, what they are about)
ROWS = (
    (0, 9, 'Types changed by hand; the lab itself'),
    (10, 16, 'Transactions: tree, words, states, options, timer'),
    (17, 29, 'Rollback, what is in use, going in place, suspend'),
    (30, 39, 'Drivers and devices that fail, defer, go, come; VFIO'),
    (40, 49, 'Side by side, races, load, injected faults'),
    (50, 69, 'Unloading; the sample script'),
    (70, 79, 'iommucfg'),
)
TRANSFER = 'file-transfer'
TYPES = ('identity', 'DMA', 'DMA-FQ', 'auto')


def load():
    """All results of this commit, by (machine, kernel)."""
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    here = subprocess.run(['git', '-C', pathlib.Path(__file__).parent, 'rev-parse', '--short', 'HEAD'],
                          check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    found = {}
    for path in sorted((pathlib.Path(base) / 'iommu-configfs/results').glob('*.json')):
        run = json.loads(path.read_text())
        if run['commit'] == here:
            found[run['machine'], run['kernel']] = run
        else:
            print(f'results: {path.name} is left out: it is of {run["commit"]}, not of {here}',
                  file=sys.stderr)
    return found


def cell(passed, failed, skipped):
    """What a cell says of so many points."""
    if failed:
        return f'**{failed} failed** of {passed + failed}'
    if not passed:
        return 'skipped' if skipped else '–'
    return f'{passed}' + (f' ({skipped} skipped)' if skipped else '')


def add(tests):
    """Sums of tests."""
    return [sum(t[key] for t in tests) for key in ('passed', 'failed', 'skipped')]


def number(test):
    """The number that a test's file begins with; None for what is no file."""
    match = re.match(r'(\d+)-', test['name'])
    return int(match[1]) if match else None


def transfer(tests, what):
    """The points of file transfers whose name begins with a type."""
    words = [word for test in tests if TRANSFER in test['name']
             for word, name in test['points'] if name.startswith(f'{what}:')]
    return [words.count(w) for w in ('ok', 'not ok', 'skip')]


def table(runs):
    """The lines of the table."""
    columns = []
    for heading, kernel, first in COLUMNS:
        own = [run for (machine, with_kernel), run in runs.items()
               if with_kernel == kernel and machine.split('-')[0] == first]
        tests = [test for run in own for test in run['tests']]
        release = next((run['release'] for run in own if run['release']), None)
        release = re.match(r'[\d.]*\d', release)[0] if release else 'not run'
        columns.append((heading, f'{release}, {KERNELS[kernel]}', tests))

    def row(name, cells):
        return f'| {" | ".join([name, *cells])} |'

    lines = [row('', [heading for heading, _, _ in columns]),
             '|---' * (len(columns) + 1) + '|',
             row('Linux', [kernel for _, kernel, _ in columns])]
    for begin, end, name in ROWS:
        lines.append(row(name, [
            cell(*add([t for t in tests if number(t) is not None and begin <= number(t) <= end
                       and TRANSFER not in t['name']]))
            for _, _, tests in columns]))
    for what in TYPES:
        lines.append(row(f'Files to and from disks and over a network under {what}', [
            cell(*transfer(tests, what)) for _, _, tests in columns]))
    lines.append(row('Leaks (kmemleak), and what fails a boot', [
        cell(*add([t for t in tests if number(t) is None])) for _, _, tests in columns]))
    lines.append(row('All', [cell(*add(tests)) for _, _, tests in columns]))
    shown = {first for _, _, first in COLUMNS}
    rest = [f'{machine} ({KERNELS.get(kernel, kernel)}) {cell(*add(run["tests"]))}'
            for (machine, kernel), run in runs.items() if machine.split('-')[0] not in shown]
    lines += ['', 'Numbers are points that passed; – is a cell without a test.']
    if rest:
        lines.append(f'Other machines: {", ".join(rest)}.')
    tries = sum(len(run.get('second_tries', [])) for run in runs.values())
    lines.append(f'Tests that were tried a second time: {tries}.')
    lines.append(f'Run at {next(iter(runs.values()))["commit"]}.')
    return lines


def main():
    """Prints the table or puts it in its place."""
    runs = load()
    if not runs:
        sys.exit('results: the lab has left none of this commit: tools/lab/lab run')
    text = '\n'.join(table(runs))
    if len(sys.argv) < 2:
        print(text)
        return
    path = pathlib.Path(sys.argv[1])
    old = path.read_text()
    new, count = re.subn(re.escape(BEGIN) + '.*?' + re.escape(END),
                         lambda _: f'{BEGIN}\n\n{text}\n\n{END}', old, flags=re.DOTALL)
    if count != 1:
        sys.exit(f'results: {path} has no "{BEGIN}" with its "{END}"')
    path.write_text(new)


main()
