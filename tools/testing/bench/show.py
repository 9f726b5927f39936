# SPDX-License-Identifier: GPL-2.0
"""Results for people (tables, a plot) and for machines (JSON)."""

import json
import re
import shutil
import subprocess

PLOT = '''set terminal svg size 1100,460 font "sans,13" background "white"
set output "{out}"
set multiplot layout 1,2
set logscale xy
set grid
set key top left
set xlabel "groups (NVMe disk and network card each)"
set ylabel "seconds"
set xtics (1,2,4,8,16)
set title "Changing real groups"
plot {real}
set xlabel "groups (4 mock devices each)"
set ylabel "µs per device"
set xtics (1,10,100,1000,4000)
set key top right
set title "The engine's own cost"
plot {mock}
'''


def columns(head, rows):
    """Prints rows in columns, the first to the left."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        first = row[0].ljust(widths[0])
        print('  ' + '  '.join([first] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]).rstrip())
    print()


def title(text):
    """A heading."""
    print(text)
    print('-' * len(text))


def ms(entry):
    """A summary as milliseconds."""
    value = entry['median'] if isinstance(entry, dict) else entry
    return f'{value * 1000:.1f} ms' if value < 1 else f'{value:.2f} s'


def times(value):
    """A ratio."""
    return f'{value:.1f}x' if value >= 2 else f'{value:.2f}x'


def real(table):
    """The real groups."""
    title('Real groups: how much longer than our commit others take')
    columns(['groups', 'script over sysfs', 'driverctl', 'commit by a script, staging and all',
             'the commit itself', '/ that of 1 group'],
            [[n, times(ratio['by_hand']), times(ratio['driverctl']),
              times(ratio['shell_commit']), ms(table['commit'][n]),
              times(ratio['to_one_group'])] for n, ratio in table['ratios'].items()])
    if not table['downtime']:
        return
    title('How long a device is without its driver, in one commit')
    columns(['groups', 'longest', 'median', 'slowest release', 'slowest probe',
             'longest / (slowest release + probe)'],
            [[n, ms(e['worst']), ms(e['median']), ms(e['slowest_release']),
              ms(e['slowest_probe']), times(e['ratio'])] for n, e in table['downtime'].items()])


STEPS = ('stage', 'check', 'commit', 'rollback', 'rmdir')


def mock(table):
    """The mock groups."""
    title('Mock groups of 4 devices, no delays: µs per device')
    sizes = sorted(table['commit'])
    columns(['groups', *STEPS, 'bare calls', 'commit beyond these'],
            [[n, *(table['per_device_us'][s][n] for s in STEPS),
              f"{table['bare'][n]['all']['median'] / n / 4 * 1e6:.2f}",
              f"{table['own_cost'][n]:+.0%}"] for n in sizes])
    for n, entry in table['one_cpu'].items():
        print(f"  All on one CPU, {n} groups: commit {ms(entry['commit'])}, bare calls "
              f"{ms(entry['bare'])}: {entry['own_cost']:+.0%}")
    for n, entry in table.get('slow', {}).items():
        print(f'  {n * 4} devices with probes of 50 ms: a commit takes {ms(entry)}, where one '
              f'after the other would be {n * 4 * 0.05:.0f} s')
    print()


def memory(table):
    """Memory."""
    title(f"Slab memory, {table['groups']} groups of {table['devices'] // table['groups']} devices")
    columns(['', 'bytes per group', 'in all'],
            [[name, entry['per_group'], entry['bytes']] for name, entry in table['of'].items()])
    print(f"  Of that a committed transaction keeps {table['undo_per_device']} bytes per device "
          'for the way back.\n')


def live(table):
    """Groups in use."""
    title('A disk that is written, by method: silence of devices, longest write')
    columns(['groups', 'method', 'longest silence', "its driver's own part", 'longest write'],
            [[n, method, ms(e['silent']), ms(e['drivers_own']),
              ms(e['longest_write']) if method != 'rebind' else 'not mounted']
             for n, methods in table.items() for method, e in methods.items()])


LAZIER = ['DMA-FQ', 'identity']


def spread(entry):
    """A ratio, and how far it went up and down from round to round."""
    return f"{times(entry['median'])} ({entry['least']:.2f}-{entry['most']:.2f})"


def fio(table):
    """I/O under each type."""
    title('fio on the NVMe disk, I/Os per second under emulation: DMA, and ratios to it')
    columns(['job', 'DMA', *(f'{kind} (least-most)' for kind in LAZIER)],
            [[job, f"{entry['DMA']['ios_per_second']['median']:.0f}",
              *(spread(entry[kind]['ratio_to_DMA']) for kind in LAZIER)]
             for job, entry in table.items()])


def bars(results):
    """What was promised."""
    title('Bars')
    for bar in results['bars']:
        word = 'met    ' if bar['met'] else 'NOT MET'
        print(f"  {word}  {bar['value']:8.3f}, {bar['kind']} {bar['limit']}: {bar['name']}")
    host = results['host']
    print(f"\n  Linux {host['kernel']} under QEMU without KVM, {results['cpus']} CPUs, together "
          f"an instruction per nanosecond (not for fio); {host['seconds']} s in all.")
    print(f"  The host: {host['cpus']} CPUs, load {host['load_before']:.2f} at the start, "
          f"{host['busy_with_others']:.0%} of its time meanwhile went to others.")
    if results['busy']:
        print('  THE HOST WAS BUSY: the figures of fio mean little, and others less.')


def table(results):
    """All tables that there are figures for."""
    print()
    for part, function in (('real', real), ('mock', mock), ('memory', memory), ('live', live),
                           ('fio', fio)):
        if results[part]:
            function(results[part])
    bars(results)


def inline(name, label, points, style='linespoints pointtype 7 pointsize 0.6'):
    """A curve of a plot: its data block, and the word for it."""
    return (f'${name} << EOD\n' + ''.join(f'{x} {y}\n' for x, y in points) + 'EOD\n',
            f'${name} using 1:2 with {style} linewidth 2 title "{label}"')


def plot(results, path):
    """The plot, by gnuplot."""
    curves = {'real': [], 'mock': []}
    blocks = []
    for key, label in (('by_hand', 'script over sysfs'), ('driverctl', 'driverctl'),
                       ('shell_commit', 'commit, with staging, by a script'), ('commit', 'commit')):
        block, curve = inline(f'real_{key}', label,
                              [(n, e['median']) for n, e in results['real'][key].items()])
        blocks.append(block)
        curves['real'].append(curve)
    for step in STEPS:
        block, curve = inline(f'mock_{step}', step, results['mock']['per_device_us'][step].items())
        blocks.append(block)
        curves['mock'].append(curve)
    bare = [(n, e['all']['median'] / n / 4 * 1e6) for n, e in results['mock']['bare'].items()]
    block, curve = inline('mock_bare', 'bare calls', bare, 'lines dashtype 2')
    blocks.append(block)
    curves['mock'].append(curve)
    text = ''.join(blocks) + PLOT.format(out=path, real=', '.join(curves['real']),
                                         mock=', '.join(curves['mock']))
    subprocess.run(['gnuplot'], input=text, text=True, check=True)


def files(results, out):
    """Writes results.json, and results.svg where there is something to plot."""
    path = out / 'results.json'
    path.write_text(json.dumps(results, indent=1) + '\n')
    print(f'\n  {path}')
    if results['real'] and results['mock'] and shutil.which('gnuplot'):
        path = out / 'results.svg'
        plot(results, path)
        print(f'  {path}')


BEGIN = '<!-- written by `tools/testing/bench/bench --again --readme`: begin -->'
END = '<!-- end of figures -->'


def row(*cells):
    """A line of a table in Markdown."""
    return '| ' + ' | '.join(str(c) for c in cells) + ' |'


def markdown_real(table):
    """Real groups."""
    return [row('Real groups, NVMe and e1000e each', *table['ratios']),
            row('---', *['---:'] * len(table['ratios'])),
            *(row(label, *(times(r[key]) for r in table['ratios'].values())) for key, label in (
                ('by_hand', 'a script over sysfs / our commit'),
                ('driverctl', 'driverctl and sysfs / our commit'),
                ('to_one_group', 'our commit / that of one group'))),
            row('longest time without driver / (slowest release + slowest probe)',
                *(times(e['ratio']) for e in table['downtime'].values())), '']


def markdown_mock(table):
    """Mock groups, each step per device as a ratio to that of a few."""
    sizes = [n for n in sorted(table['commit']) if n >= 10]
    return [row('Mock groups of 4 devices, cost per device', *sizes),
            row('---', *['---:'] * len(sizes)),
            *(row(step, *(times(table['per_device_us'][step][n] / table['per_device_us'][step][10])
                          for n in sizes)) for step in STEPS),
            row('commit / bare release, switch and attach calls one after another',
                *(times(1 + table['own_cost'][n]) for n in sizes)), '']


def markdown_live(table):
    """Groups in use, as ratios to unbinding them."""
    if not table:
        return []
    columns = [(n, method) for n, methods in table.items() for method in ('pause', 'in-place')]
    return [row('A disk that is mounted and written (a kernel with the patches)',
                *(f'{method}, {n} group{"s" if n > 1 else ""}' for n, method in columns)),
            row('---', *['---:'] * len(columns)),
            row('longest silence of a device / by rebind',
                *(f"{table[n][m]['silent'] / table[n]['rebind']['silent']:.3f}x"
                  for n, m in columns)),
            row("longest write / pause and resume by the drivers alone",
                *(times(table[n][m]['longest_write'] / table[n]['pause']['drivers_own'])
                  for n, m in columns)), '']


def markdown_fio(table):
    """I/O under each type."""
    return [row('fio on NVMe, I/Os per second as ratios to DMA (least-most of all rounds), '
                'under emulation', *LAZIER),
            row('---', *['---:'] * len(LAZIER)),
            *(row(job, *(spread(entry[kind]['ratio_to_DMA']) for kind in LAZIER))
              for job, entry in table.items()), '']


def readme(results, path):
    """Puts the ratios between the marks in a file."""
    lines = [BEGIN, '']
    for part, function in (('real', markdown_real), ('mock', markdown_mock),
                           ('live', markdown_live), ('fio', markdown_fio)):
        lines += function(results[part])
    for n, entry in results['mock']['slow'].items():
        lines.append(f'- {n * 4} devices with probes of 50 ms: one after the other '
                     f'{n * 4 * 0.05 / entry["median"]:.0f} times as long as our commit.')
    of = results['memory']['of']
    lines.append(f'- Memory: {of["staged"]["per_group"]:.0f} bytes for a staged group of 4 devices, '
                 f"{results['memory']['undo_per_device']:.0f} for each device that a commit remembers; "
                 f'{max(0, of["left in the end"]["bytes"])} bytes are left after rmdir.')
    missed = [bar for bar in results['bars'] if not bar['met']]
    lines += [f"- {len(results['bars']) - len(missed)} of {len(results['bars'])} bars met."]
    lines += [f"- Not met: {bar['name']}: {bar['value']:.2f}, {bar['kind']} {bar['limit']}."
              for bar in missed]
    if results['busy']:
        lines.append('- The host was busy with other things for '
                     f"{results['host']['busy_with_others']:.0%} of the time.")
    lines += ['', END]
    text = path.read_text()
    new = re.sub(re.escape(BEGIN) + '.*' + re.escape(END), lambda _: '\n'.join(lines), text,
                 flags=re.DOTALL)
    path.write_text(new)
