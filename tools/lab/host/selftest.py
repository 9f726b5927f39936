#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Does the lab see what it must see? A judge who lets everything pass is none."""

import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from machine import Machine, names      # noqa: E402
from result import BAD, SLOW, Result, Tally   # noqa: E402
from runner import expected_skips, find_tests   # noqa: E402

# What a test prints, its exit status (None: ended by the lab), and the tally due.
OUTPUTS = (
    ('all well', ['ok 1 a', 'ok 2 - b', '1..2'], 0, '2 passed, 0 failed, 0 skipped'),
    ('plan first', ['1..1', 'ok 1'], 0, '1 passed, 0 failed, 0 skipped'),
    ('a failed point', ['not ok 1 a', '1..1'], 1, '0 passed, 1 failed, 0 skipped'),
    ('a skipped point', ['ok 1 a # SKIP why', '1..1'], 0, '0 passed, 0 failed, 1 skipped'),
    ('a failure is not skipped', ['not ok 1 a # SKIP x', '1..1'], 1,
     '0 passed, 1 failed, 0 skipped'),
    ('known to fail is failed', ['not ok 1 a # TODO x', '1..1'], 1,
     '0 passed, 1 failed, 0 skipped'),
    ('all skipped', ['1..0 # SKIP why'], 0, '0 passed, 0 failed, 1 skipped'),
    ('no plan', ['ok 1 a'], 0, '1 passed, 1 failed, 0 skipped'),
    ('nothing at all', [], 0, '0 passed, 1 failed, 0 skipped'),
    ('fewer than planned', ['ok 1 a', '1..2'], 0, '1 passed, 1 failed, 0 skipped'),
    ('more than planned', ['ok 1 a', 'ok 2 b', '1..1'], 0, '2 passed, 1 failed, 0 skipped'),
    ('a number left out', ['ok 1 a', 'ok 3 b', '1..3'], 0, '2 passed, 1 failed, 0 skipped'),
    ('two plans', ['ok 1 a', '1..1', '1..1'], 0, '1 passed, 1 failed, 0 skipped'),
    ('status alone', ['ok 1 a', '1..1'], 3, '1 passed, 1 failed, 0 skipped'),
    ('bails out', ['ok 1 a', 'Bail out! why'], 1, '1 passed, 2 failed, 0 skipped'),
    ('a mark in a description', [r'ok 1 a \# SKIP b', '1..1'], 0,
     '1 passed, 0 failed, 0 skipped'),
    ('words like points', ['okay', '# ok 1', ' ok 1', '1..0 # SKIP x'], 0,
     '0 passed, 0 failed, 1 skipped'),
)

BAD_LINES = (
    '[    1.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2',
    '[    1.0] WARNING: possible circular locking dependency detected',
    '[    1.0] WARNING: possible recursive locking detected',
    '[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000',
    '[    1.0] BUG: KASAN: slab-use-after-free in f+0x1/0x2',
    '[    1.0] kernel BUG at lib/x.c:1!',
    '[    1.0] Oops: 0000 [#1] PREEMPT SMP NOPTI',
    '[    1.0] INFO: task sh:1 blocked for more than 45 seconds.',
    '[    1.0] UBSAN: array-index-out-of-bounds in x.c:1:1',
    '[    1.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:',
    '[    1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 60s!',
    '[    1.0] Kernel panic - not syncing: Fatal exception',
    '[    1.0] DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0xfff [fault reason 0x06]',
    '[    1.0] refcount_t: underflow; use-after-free.',
    '[    1.0] I/O error, dev nvme0n1, sector 0 op 0x0:(READ)',
    '[    1.0] WARNING: inconsistent lock state',
    '[    1.0] WARNING: bad unlock balance detected!',
    '[    1.0] [ BUG: Invalid wait context ]',
    '[    1.0] INFO: trying to register non-static key.',
    '[    1.0] WARNING: lock held when returning to user space!',
    '[    1.0] BUG: sleeping function called from invalid context at kernel/x.c:1',
    '[    1.0] BUG: scheduling while atomic: sh/1/0x2',
    '[    1.0] WARNING: suspicious RCU usage',
    '[    1.0] BUG: MAX_LOCKDEP_CHAINS too low!',
    '[    1.0] turning off the locking correctness validator.',
    '[    1.0] INFO: lockdep is turned off.',
    '[    1.0] ODEBUG: free active (active state 0) object: 1 object type: timer_list',
    '[    1.0] BUG kmalloc-64 (Not tainted): Right Redzone overwritten',
    '[    1.0] list_del corruption. prev->next should be 1, but was 2',
    '[    1.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)',
    '[    1.0] DMA-API: nvme 0000:01:00.0: device driver frees DMA memory with different size',
    '[    1.0] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!',
    '[    1.0] rv: monitor iommu_txn does not allow event commit on state committed',
)

GOOD_LINES = (
    '[    1.0] DMAR: Intel(R) Virtualization Technology for Directed I/O',
    '[    1.0] iommu: Default domain type: Translated',
    '[    1.0] RAS: Correctable Errors collector initialized.',
    '[    1.0] edu_lab: module verification failed: signature and/or required key missing',
    '[    1.0] debug: unmapping init memory',
    '[    1.0] kmemleak: Kernel memory leak detector initialized (mem pool available: 15730)',
    '[    1.0] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar',
    '[    1.0] DMA-API: debugging enabled by kernel config',
    '[    1.0] ** This means that this is a DEBUG kernel and it is        **',
    '[    1.0] rcu: RCU lockdep checking is enabled.',
    '[    1.0] kunit: Tests are disabled',
)


# Reports of KCSAN: the functions that race, each with how it accesses; and is it ours?
RACES = (
    ('a plain read of ours', True, ('read', 'icfg_a+0x1/0x2 [iommu_configfs]'),
     ('write (marked)', 'core+0x1/0x2')),
    ('a plain write of ours', True, ('read (marked)', 'core+0x1/0x2'),
     ('read-write', 'show_b.isra.0+0x1/0x2 [iommu_configfs]')),
    ('a test module', True, ('race at unknown origin, with read', 'poll+0x1/0x2 [mock_iommu]')),
    ('our patches', True, ('write', 'core+0x1/0x2'),
     ('read', 'iommu_group_default_type+0x1/0x2')),
    ('a marked read of ours', False, ('read (marked)', 'icfg_a+0x1/0x2 [iommu_configfs]'),
     ('write', 'core+0x1/0x2')),
    ('that of others', False, ('write', 'core+0x1/0x2'), ('read', 'nvme_x+0x1/0x2 [nvme]')),
)


def report(accesses):
    """The lines of a report of KCSAN."""
    names = [function.split('+')[0] for _, function in accesses]
    yield f'BUG: KCSAN: data-race in {" / ".join(names)}'
    for how, function in accesses:
        yield from ('', f'{how} to 0xffff888001234567 of 4 bytes by task 7 on cpu 1:',
                    # What another CPU has to say meanwhile.
                    'e1000e 0000:01:00.1: up', f' {function}',
                    # Whoever calls it is not who makes the access.
                    ' icfg_step_work+0x1/0x2 [iommu_configfs]')
    yield from ('', 'value changed: 0x00000001 -> 0x00000002', '',
                'Reported by Kernel Concurrency Sanitizer on:')


def main():
    """Prints TAP and a tally."""
    tally = Tally()
    count = 0

    def point(good, what):
        nonlocal count
        count += 1
        tally.passed += good
        tally.failed += not good
        print(f'{"ok" if good else "not ok"} {count} lab: {what}')

    for what, lines, status, due in OUTPUTS:
        result = Result('x')
        for line in lines:
            result.tap(line)
        result.end(status)
        point(str(result) == due, f'{what}: {result}')
    for line in BAD_LINES:
        point(bool(BAD.search(line)), f'fails on {line[12:50]}')
    for line in GOOD_LINES:
        point(not BAD.search(line), f'lets pass {line[12:50]}')
    result = Result('x', 'at foo')
    point(not result.klog('WARNING: at foo') and result.klog('WARNING: at bar'),
          'allows what a test expects, and no more')
    line = ('[    1.0] iommu_configfs: transaction a, group 1, device 0000:01:00.0: '
            'waiting for over 10 s for the probe of driver nvme')
    point(Result('x').klog(line) and not Result('x', slow=True).klog(line)
          and not Result('x', SLOW.pattern).klog(line), 'fails on a step that takes long')
    skips = expected_skips('47-injected', 'vtd', 'stock')
    for what, ours, *accesses in RACES:
        result = Result('x')
        bad = [line for line in report(accesses) if result.klog('[    1.0] ' + line)]
        point(len(bad) == result.failed == ours and len(result.races) == (not ours),
              f'{"fails on" if ours else "counts, and lets pass,"} a data race: {what}')
    for what, known in (('1..0 # SKIP why', True), ('ok 1 other # SKIP why', False)):
        result = Result('x', skips=skips)
        result.tap(what)
        point(bool(result.failed) != known, f'knows which skips are due: {what}')
    point(not expected_skips('47-injected', 'vtd', 'debug'), 'and on which kernel')
    for test in find_tests():
        for word in re.split(r'(?<!\\)\|', test.klog_allow or ''):
            point('WARNING' not in word and 'BUG' not in word or
                  bool(re.fullmatch(r'(WARNING|BUG): \.\*\\b\w+\\\+', word)),
                  f'{test.name} names the function that may warn: {word}')
    for name in names():
        point(bool(Machine(name).qemu), f'machine file {name}')
    print(f'1..{count}')
    print(tally)
    return 1 if tally.failed else 0


sys.exit(main())
