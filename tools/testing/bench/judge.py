# SPDX-License-Identifier: GPL-2.0
"""From raw figures to results: medians, ratios, and bars met or not.

Every ratio is between figures of the same run in the same guest. A figure is a list of
words as the guest's scripts print them, see guest/*.sh.
"""

import collections
import re
import statistics

SCHEMA = 'iommu-configfs/bench/2'

# A host that does other things gives figures that mean little: while its CPUs are all idle the
# guest has the host's time.
BUSY = 0.1


class Bars:
    """What was promised, and whether it was kept."""

    def __init__(self):
        self.list = []

    def most(self, name, value, limit):
        """The value must not be above the limit."""
        self._add(name, value, 'at most', limit, value <= limit)

    def least(self, name, value, limit):
        """The value must not be below the limit."""
        self._add(name, value, 'at least', limit, value >= limit)

    def _add(self, name, value, kind, limit, met):
        self.list.append({'name': name, 'value': round(value, 3), 'kind': kind,
                          'limit': limit, 'met': bool(met)})


def of(figures, name):
    """The words after the name, of each such figure."""
    return [f[1:] for f in figures if f[0] == name]


def seconds(nanoseconds):
    """As a float with the digits that mean something."""
    return round(int(nanoseconds) / 1e9, 6)


def samples(figures, name):
    """Of "NAME N NS": the seconds by N."""
    found = collections.defaultdict(list)
    for n, ns in of(figures, name):
        found[int(n)].append(seconds(ns))
    return found


def steps(figures, name):
    """Of "NAME N STEP NS CPU": the seconds by step, then by N."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for n, step, ns, _ in of(figures, name):
        found[step][int(n)].append(seconds(ns))
    return found


def summary(values):
    """What stands in the JSON for a number of samples."""
    return {'median': round(statistics.median(values), 6), 'least': min(values),
            'most': max(values), 'samples': len(values)}


def by_n(found):
    """The same for each N."""
    return {n: summary(values) for n, values in sorted(found.items())}


def median(entry):
    """The median of a summary."""
    return entry['median']


# ---------------------------------------------------------------- real groups

EVENT = re.compile(r'-(\d+) +\[\d+\] +\S+ +([\d.]+): (\w+): (.*)')


def commits_traced(figures):
    """The trace lines of each commit: (groups, [(worker, time, event, text)])."""
    commits = []
    for words in of(figures, 'trace'):
        if words[1] == 'begin':
            commits.append((int(words[0]), []))
            continue
        match = EVENT.search(' '.join(words[1:]))
        if match:
            commits[-1][1].append((match[1], float(match[2]), match[3], match[4]))
    return commits


def spans(events):
    """When each device's release and probe began and ended, by device."""
    begun = {}
    found = collections.defaultdict(dict)
    for worker, when, event, text in events:
        if event == 'workqueue_execute_start':
            begun[worker] = when
        elif event in ('icfg_release', 'icfg_probe'):
            device = re.search(r'device=(\S+)', text)[1]
            found[device][event] = (begun[worker], when)
    return found


def downtime(figures, bars):
    """How long devices are without their driver: from the moment at which its release
    begins, since it serves nobody from then on, to the end of the probe."""
    result = collections.defaultdict(list)
    for n, events in commits_traced(figures):
        devices = spans(events)
        if len(devices) != 2 * n:
            raise ValueError(f'the trace of {n} groups has {len(devices)} devices')
        release, probe, away = [], [], []
        for device in devices.values():
            (r0, r1), (p0, p1) = device['icfg_release'], device['icfg_probe']
            release.append(r1 - r0)
            probe.append(p1 - p0)
            away.append(p1 - r0)
        slowest = max(release) + max(probe)
        result[n].append({'worst': round(max(away), 6),
                          'median': round(statistics.median(away), 6),
                          'slowest_release': round(max(release), 6),
                          'slowest_probe': round(max(probe), 6),
                          'ratio': round(max(away) / slowest, 3)})
    table = {}
    for n, runs in sorted(result.items()):
        table[n] = {key: round(statistics.median(r[key] for r in runs), 6) for key in runs[0]}
        table[n]['samples'] = len(runs)
    if table:
        worst = max(table, key=lambda n: table[n]['ratio'])
        bars.most(f'longest downtime / (slowest release + slowest probe), worst of all '
                  f'numbers of groups ({worst})', table[worst]['ratio'], 1.2)
    return table


def real(figures, bars):
    """Ways to change real groups, against each other."""
    found = steps(figures, 'real')
    if not found:
        return None
    table = {'by_hand': by_n(samples(figures, 'by-hand')),
             'driverctl': by_n(samples(figures, 'by-driverctl')),
             'shell_commit': by_n(samples(figures, 'by-commit')),
             'commit': by_n(found['commit']), 'stage': by_n(found['stage']),
             'check': by_n(found['check'])}
    table['ratios'] = {
        n: {key: round(median(table[key][n]) / median(table['commit'][n]), 2)
            for key in ('by_hand', 'driverctl', 'shell_commit')}
        for n in table['commit']}
    one = median(table['commit'][1])
    for n in table['commit']:
        table['ratios'][n]['to_one_group'] = round(median(table['commit'][n]) / one, 2)
    if 8 in table['ratios']:
        bars.least('8 groups: script by hand / commit', table['ratios'][8]['by_hand'], 10)
        bars.most('commit: 8 groups / 1 group', table['ratios'][8]['to_one_group'], 1.5)
    table['downtime'] = downtime(figures, bars)
    return table


# ---------------------------------------------------------------- mock groups

BARE = re.compile(r'devices=(\d+) groups=\d+ release=(\d+) switch=(\d+) attach=(\d+)')


def bare(figures, name):
    """The bare calls, one after the other: seconds by N, there and back."""
    found = collections.defaultdict(list)
    for words in of(figures, name):
        match = BARE.match(' '.join(words[1:]))
        found[int(words[0])].append([seconds(match[i]) for i in (2, 3, 4)])
    return {n: {'release': summary([r[0] for r in runs]), 'switch': summary([r[1] for r in runs]),
                'attach': summary([r[2] for r in runs]), 'all': summary([sum(r) for r in runs])}
            for n, runs in sorted(found.items())}


DEVICES = 4     # in each mock group
SMALL = 10      # groups: below that, what a transaction costs by itself counts most


def mock(figures, bars):
    """What the engine costs by itself."""
    found = steps(figures, 'mock')
    if not found:
        return None
    table = {step: by_n(found[step]) for step in found}
    table['bare'] = bare(figures, 'bare')
    sizes = sorted(table['commit'])
    small, large = max(n for n in sizes if n <= SMALL), sizes[-1]
    table['per_device_us'] = {
        step: {n: round(median(table[step][n]) / (n * DEVICES) * 1e6, 2) for n in sizes}
        for step in found}
    for step, cost in table['per_device_us'].items():
        bars.most(f'mock: {step}, per device, {large} groups / {small} groups',
                  cost[large] / cost[small], 1.5)
    # There and back are as many bare calls.
    table['own_cost'] = {
        n: round(median(table['commit'][n]) / median(table['bare'][n]['all']) - 1, 3)
        for n in sizes}
    bars.most(f'mock: what the commit of {large} groups takes beyond the bare calls, / these',
              table['own_cost'][large], 0.5)

    one = steps(figures, 'mock-one-cpu')
    calls = bare(figures, 'bare-one-cpu')
    table['one_cpu'] = {
        n: {'commit': summary(one['commit'][n]), 'bare': calls[n]['all'],
            'own_cost': round(statistics.median(one['commit'][n]) / median(calls[n]['all']) - 1, 3)}
        for n in calls}
    for n, entry in table['one_cpu'].items():
        bars.most(f'mock: the same with {n} groups on one CPU', entry['own_cost'], 0.5)

    slow = steps(figures, 'slow')
    if slow:
        table['slow'] = {n: summary(values) for n, values in slow['commit'].items()}
        for n, entry in table['slow'].items():
            bars.most(f'mock: {n * DEVICES} probes of 50 ms in one commit, seconds',
                      median(entry), 1)
    return table


# ---------------------------------------------------------------- in use

PAUSED = re.compile(r'icfg_(pause|resume): .*device=(\S+) .*took_us=(\d+)(?: silent_us=(\d+))?')
LONGEST = re.compile(r'errors=(\d+) wrong=(\d+) longest_us=(\d+)')


def live_changes(figures):
    """The lines of each change: (groups, method, [text])."""
    changes = []
    for n, method, *words in of(figures, 'live'):
        if words == ['begin']:
            changes.append((int(n), method, []))
        else:
            changes[-1][2].append(' '.join(words))
    return changes


def blackout(n, method, lines):
    """What one change took from the devices, in seconds: the longest silence, and what the
    driver that takes longest takes itself."""
    if method == 'rebind':
        events = [(m[1], float(m[2]), m[3], m[4]) for m in map(EVENT.search, lines) if m]
        devices = spans(events)
        if len(devices) != 2 * n:
            raise ValueError(f'the trace of {n} groups has {len(devices)} devices')
        return (max(d['icfg_probe'][1] - d['icfg_release'][0] for d in devices.values()),
                max(sum(e - b for b, e in d.values()) for d in devices.values()))
    own, silent = collections.Counter(), {}
    for match in filter(None, map(PAUSED.search, lines)):
        own[match[2]] += int(match[3]) / 1e6
        if match[4]:
            silent[match[2]] = int(match[4]) / 1e6
    if len(silent) != (2 * n if method == 'pause' else 0):
        raise ValueError(f'{method}: the trace of {n} groups has {len(silent)} devices')
    return max(silent.values(), default=0), max(own.values(), default=0)


def live(figures, bars):
    """Groups in use, by method."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for n, method, lines in live_changes(figures):
        silent, own = blackout(n, method, lines)
        stall = next((m for m in map(LONGEST.search, lines) if m), None)
        if stall and (stall[1], stall[2]) != ('0', '0'):
            raise ValueError(f'live: {stall[0]}')
        found[n][method].append((silent, own, int(stall[3]) / 1e6 if stall else 0))
    if not found:
        return None
    table = {}
    for n, methods in sorted(found.items()):
        table[n] = {}
        for method, runs in methods.items():
            silent, own, stall = (statistics.median(r[i] for r in runs) for i in range(3))
            table[n][method] = {'silent': silent, 'drivers_own': own, 'longest_write': stall,
                                'samples': len(runs)}
    for n, methods in table.items():
        pause = methods['pause']
        pause['ratio'] = round(pause['longest_write'] / pause['drivers_own'], 3)
        bars.most(f'live, {n} groups paused: longest write / (pause + resume by the driver that '
                  'takes longest)', pause['ratio'], 2)
    if 8 in table:
        bars.most('live: longest silence of a device, 8 groups paused / 1',
                  table[8]['pause']['silent'] / table[1]['pause']['silent'], 1.2)
    return table


# ---------------------------------------------------------------- memory

# Threads of the kernel's workqueues come with the work, and go minutes after it.
THREADS = re.compile(r'(task_struct|sighand_cache|signal_cache|cred|pid|vmap_area|kmalloc-cg-16)$')


def memory(figures, bars):
    """What is staged and kept, in bytes."""
    size = of(figures, 'memory-groups')
    if not size:
        return None
    groups, devices = (int(w) for w in size[0])
    used = collections.defaultdict(dict)
    for when, cache, objects, each in of(figures, 'slab'):
        used[when][cache] = int(objects) * int(each)

    def grown(before, after):
        caches = {c: used[after].get(c, 0) - used[before].get(c, 0)
                  for c in set(used[before]) | set(used[after]) if not THREADS.match(c)}
        return sum(caches.values()), dict(sorted(
            ((c, b) for c, b in caches.items() if b), key=lambda item: -abs(item[1]))[:8])

    table = {'groups': groups, 'devices': groups * devices, 'of': {}}
    for name, before, after in (('staged', 'before', 'staged'),
                                ('staged and committed', 'forgotten', 'kept'),
                                ('left in the end', 'before', 'removed')):
        total, caches = grown(before, after)
        table['of'][name] = {'bytes': total, 'per_group': round(total / groups, 1),
                             'caches': caches}
    kept = table['of']['staged and committed']['bytes'] - table['of']['staged']['bytes']
    table['undo_per_device'] = round(kept / groups / devices, 1)
    bars.most('memory left after rmdir / memory of what was staged and committed',
              max(0, table['of']['left in the end']['bytes']) /
              table['of']['staged and committed']['bytes'], 0.01)
    return table


# ---------------------------------------------------------------- fio

def fio(figures):
    """I/Os a second by job and type, and as ratios to strict DMA.

    The host is not as fast at all times: each ratio is one within a round, and the median of
    these counts.
    """
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for kind, job, _, ios in of(figures, 'fio'):
        found[job][kind].append(float(ios))
    if not found:
        return None
    return {job: {kind: {'ios_per_second': summary(values),
                         'ratio_to_DMA': summary([round(a / b, 2)
                                                  for a, b in zip(values, kinds['DMA']) if b]
                                                 or [0])}
                  for kind, values in kinds.items()}
            for job, kinds in found.items()}


def judge(figures, about):
    """The results of a run."""
    bars = Bars()
    results = {'schema': SCHEMA, 'host': about,
               'cpus': int(of(figures, 'cpus')[0][0]),
               'real': real(figures, bars), 'mock': mock(figures, bars),
               'memory': memory(figures, bars), 'live': live(figures, bars), 'fio': fio(figures),
               'seconds': {part: int(s) for part, s in of(figures, 'took')}}
    results['busy'] = about['busy_with_others'] > BUSY
    results['bars'] = bars.list
    return results
