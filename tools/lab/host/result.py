# SPDX-License-Identifier: GPL-2.0
"""What a test's TAP and the kernel log beside it amount to."""

import re

# A line of the kernel log that fails a test. DMA faults are among them: a device
# that still did DMA when its domain went away was not quiesced.
BAD = re.compile('|'.join((
    r'\bWARNING: ', r'\bBUG: ', r'\bBUG at ', r'\bOops\b', r'kernel BUG', r'Kernel panic',
    r'possible (circular|recursive|irq) lock', r'inconsistent lock state',
    r'possible deadlock', r'INFO: task .* blocked', r'INFO: .*self-detected stall',
    r'INFO: .*detected stalls', r'suspicious RCU usage', r'soft lockup', r'hard LOCKUP',
    r'KASAN', r'KFENCE', r'KCSAN', r'UBSAN', r'kmemleak: [1-9]', r'general protection fault',
    r'unable to handle', r'refcount_t: ', r'list_(add|del) corruption',
    r'sleeping function called', r'scheduling while atomic', r'DEBUG_LOCKS_WARN_ON',
    r'held lock freed', r'ODEBUG', r'Bad page state', r'workqueue lockup',
    r'INFO: (possible|trying to register|lockdep is turned off)', r'[Ii]nvalid wait context',
    r'bad unlock balance', r'held when returning to user space', r'turning off the locking',
    r'\bBUG [\w-]+ \(', r'(Poison|Redzone|[Pp]adding) overwritten', r'Object already free',
    r'context switch within RCU', r'DMA-API: .*device driver',
    r'DMAR: .*[Ff]ault', r'DMAR: QI', r'AMD-Vi: Event logged', r'virtio_iommu.*fault',
    r'arm-smmu.*event 0x', r'[Uu]nhandled context fault',
    r'EXT4-fs error', r'I/O error, dev',
    r'\brv: monitor ', r'\brv: .* retries reached',
)))

# A step of a commit that took unusually long; on a kernel that is slow on purpose any may.
SLOW = re.compile(r'iommu_configfs: .*: waiting for over \d+ s for ')

# A report of KCSAN: its title, then each of the accesses that it knows of, with the
# function that makes it in the next line. Whose race it is depends on who made an access
# that is not marked (READ_ONCE() and the like).
RACE = re.compile(r'BUG: KCSAN: .*')
ACCESS = re.compile(r'(?:read|write|assert no \w+)\b(.*) to 0x[0-9a-f]+ of \d+ bytes by ')
FRAME = re.compile(r' (\S+)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[(\w+)\])?$')
# Our modules, and what our patches add to the core.
OUR_MODULES = {'iommu_configfs', 'edu_lab', 'mock_iommu', 'inuse_lab', 'bare_calls'}
OUR_FUNCTIONS = re.compile(
    r'(__)?iommu_group_(set_(default|paused)_type|default_type|mappings|get_by_id|block)|'
    r'iommu_dma_(init|stop)_fq|iommu_dma_(mappings|count_ranges)|iova_domain_count|'
    r'fq_ring_free(_locked)?|fq_free_rings|queue_iova|\w+_dma_(pause|resume)')

POINT = re.compile(r'(not )?ok\b *(\d+)? *(?:- )?(.*?)(?:\s*(?<!\\)# (SKIP|XFAIL|TODO)\b *(.*))?$',
                   re.IGNORECASE)
PLAN = re.compile(r'1\.\.(\d+)(?:\s*# SKIP\b *(.*))?$', re.IGNORECASE)


class Tally:
    """Numbers of passed, failed and skipped points."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        """Adds another tally to this one."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


class Result(Tally):
    """One test's result, fed with lines as they come."""

    def __init__(self, name, allow=None, skips=None, slow=False):
        """allow: a regular expression of kernel log lines that are due; skips: of the points
        that may be skipped, None for any; slow: the kernel is, so that its steps may take long."""
        super().__init__()
        self.name = name
        self.points = []            # (ok, not ok or skip; description)
        self.problems = []          # what is wrong beside single points
        self.why_skipped = None
        self.seconds = self.cpu = None      # what it took, and of that QEMU's CPU time
        self._allow = re.compile(allow) if allow else None
        self._skips = skips
        self._bad = (BAD,) if slow else (BAD, SLOW)
        self._plan = None
        self._seen = 0
        self._race = None           # the title of the KCSAN report that is being told
        self._accessed = False      # in it: the next frame is that of an access not marked
        self.klog_hits = 0
        self.races = []             # the titles of those in code that is not ours

    def tap(self, line):
        """A line that the test printed."""
        match = PLAN.match(line)
        if match:
            if self._plan is not None:
                self.problem('has two plan lines')
            self._plan = int(match[1])
            if self._plan == 0:
                self.why_skipped = match[2] or 'no reason given'
                self._skip('all')
            return
        if line.startswith('Bail out!'):
            self.problem(line)
            return
        match = POINT.match(line)
        if not match:
            return
        self._seen += 1
        if match[2] and int(match[2]) != self._seen:
            self.problem(f'point {match[2]} where {self._seen} was due')
            self._seen = int(match[2])
        # Only SKIP excuses: what is known to fail still fails.
        if match[4] and match[4].upper() == 'SKIP' and not match[1]:
            self.skipped += 1
            self.points.append(('skip', match[3]))
            self._skip(match[3])
        elif match[1]:
            self.failed += 1
            self.points.append(('not ok', match[3]))
        else:
            self.passed += 1
            self.points.append(('ok', match[3]))

    def _skip(self, what):
        """A point, or "all" of the test, is skipped."""
        if self._skips is not None and not any(s.fullmatch(what) for s in self._skips):
            self.problem(f'skipped, but not in the list of skips: {what}')

    def _race_is_ours(self, line):
        """Does this line of a KCSAN report show that the race is ours?"""
        access = ACCESS.search(line)
        if access:
            self._accessed = 'marked' not in access[1]
            return False
        frame = FRAME.search(line) if self._accessed else None
        if not frame:
            return False
        self._accessed = False
        return (frame[2] in OUR_MODULES or
                bool(OUR_FUNCTIONS.fullmatch(frame[1].split('.')[0])))

    def klog(self, line):
        """A line of the kernel log; True if it is a bad one."""
        match = RACE.search(line)
        if match:
            # It counts as others' until an access shows whose it is.
            self._race = match[0]
            self.races.append(self._race)
            return False
        if self._race and self._race_is_ours(line):
            self.races.remove(self._race)
            line, self._race = self._race, None
        if not any(b.search(line) for b in self._bad) or self._allow and self._allow.search(line):
            return False
        self.klog_hits += 1
        if self.klog_hits == 1:
            self.problem(f'kernel log: {line}')
        return True

    def problem(self, text):
        """Something is wrong with the test as a whole: counts as a failed point."""
        self.problems.append(text)
        self.failed += 1

    def end(self, status):
        """The test ended with this exit status; None: it did not end by itself."""
        if status is not None:
            if self._plan is None:
                self.problem('ended without its plan line')
            elif self._plan != self._seen:
                self.problem(f'planned {self._plan} points, {self._seen} seen')
            elif self._plan == 0:
                self.skipped += 1
            if status and not self.failed:
                self.problem(f'exit status {status}')

    @property
    def word(self):
        """The kselftest line's beginning and end."""
        if self.failed:
            return 'not ok', ''
        if not self.passed:
            return 'ok', f' # SKIP {self.why_skipped or ""}'.rstrip()
        return 'ok', ''
