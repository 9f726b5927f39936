# SPDX-License-Identifier: GPL-2.0
"""Runs tests on a machine: one boot for many, a new one after a mishap.

The guest asks "next" and is told "run TEST SECONDS" or "off". It frames what it
does by markers, "lab: begin TEST N" and "lab: end TEST STATUS N", written to both the
tap wire and the kernel log, so that each line of the log has a test to answer for it.
"""

import collections
import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

from guest import Guest, GuestError
from qemu import QemuError
from result import Result, Tally

TREE = pathlib.Path(__file__).resolve().parents[3]
TESTS = TREE / 'tools/testing/guest'
LAB = TREE / 'tools/lab'

BOOT_SECONDS = 120

# How many tests that fail, or boots that reach no test, get a second try: for a run that
# must not end over what a busy host does to emulated CPUs. What the kernel log has
# against a test is not forgiven, nor is a hang, nor a test of races, which fails now and
# then where something is wrong. Second tries are counted, and told.
SECOND_TRIES = int(os.environ.get('LAB_SECOND_TRY') or 0)


def cache():
    """Where everything goes that is built, fetched or logged."""
    base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(base) / 'iommu-configfs'


class Test:
    """A test file and what its header lines say."""

    def __init__(self, path):
        self.name = path.name
        head = {}
        for line in path.read_text().splitlines():
            if not line.startswith('#'):
                break
            match = re.match(r'# (machines|also|timeout|klog-allow|one-cpu|races): *(.*)', line)
            if match:
                head[match[1]] = match[2].strip()
        self.machines = head.get('machines', '').split()
        # Those that run it when they are asked for by name: a run of all is shorter.
        self.also = head.get('also', '').split()
        self.timeout = int(head.get('timeout', '60'))
        self.klog_allow = head.get('klog-allow')
        self.races = head.get('races') == 'yes'
        # Where QEMU must not lose a doorbell: its NVMe does now and then, see the benchmark.
        self.one_cpu = head.get('one-cpu') == 'yes'

    def matches(self, pattern):
        """True for the file's name, with or without number and ending."""
        return pattern in (self.name, self.name[:-3], re.sub(r'^\d+-', '', self.name[:-3]))


def find_tests():
    """All tests, in the order in which they run."""
    return [Test(p) for p in sorted(TESTS.glob('*.sh')) if p.name != 'lib.sh']


def expected_skips(test, machine, kernel):
    """What the list of skips has for a test: patterns of points, or of "all"."""
    found = []
    for line in (TESTS / 'skips').read_text().splitlines():
        words = line.split(None, 3)
        if len(words) == 4 and not line.startswith('#') and all(
                fnmatch.fnmatchcase(name, pattern)
                for name, pattern in zip((test, machine, kernel), words)):
            found.append(re.compile(words[3]))
    return found


def prepare(name):
    """Builds what a guest with the named kernel needs; returns the kernel's directory
    and the archives, of which the last is the caller's to remove."""
    def output(*command):
        return subprocess.run([str(c) for c in command], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]

    script = LAB / 'kernels' / name
    if not script.is_file():
        known = sorted(p.name for p in (LAB / 'kernels').iterdir() if os.access(p, os.X_OK))
        sys.exit(f'lab: no kernel "{name}"; there are: {" ".join(known)}')
    kernel = pathlib.Path(output(script))
    build = output(LAB / 'build', kernel)
    base = output(LAB / 'initramfs', 'base', kernel)
    overlay = pathlib.Path(f'{base[:-5]}-tests.{os.getpid()}')
    subprocess.run([LAB / 'initramfs', 'tests', kernel, overlay, build, base], check=True)
    return kernel, [base, overlay]


def new_logs(machine):
    """A fresh directory for a run's logs; the newest ten runs are kept."""
    top = cache() / 'logs' / machine
    logs = top / f'{time.strftime("%Y%m%d-%H%M%S")}-{os.getpid()}'
    logs.mkdir(parents=True)
    link = top / f'last.{os.getpid()}'
    link.symlink_to(logs.name)
    link.replace(top / 'last')
    old = sorted(p for p in top.iterdir() if p.is_dir() and not p.is_symlink())[:-10]
    for path in old:
        subprocess.run(['rm', '-rf', path], check=False)
    return logs


def keep_results(kernel, run):
    """Leaves what came of a machine's whole run, for scripts/results.py."""
    def git(*args):
        done = subprocess.run(['git', '-C', str(TREE), *args], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout.strip()

    path = cache() / 'results' / f'{run.machine.name}-{kernel}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f'.{os.getpid()}')
    new.write_text(json.dumps({
        'machine': run.machine.name, 'kernel': kernel, 'release': run.release,
        'commit': git('describe', '--always', '--dirty', '--exclude', '*'),
        'time': int(time.time()), 'second_tries': run.unsteady,
        'tests': [{
            'name': r.name, 'passed': r.passed, 'failed': r.failed, 'skipped': r.skipped,
            'seconds': r.seconds, 'cpu': r.cpu, 'why_skipped': r.why_skipped,
            'problems': r.problems, 'points': r.points,
        } for r in run.results],
    }, indent='\t', ensure_ascii=False) + '\n')
    new.replace(path)


class Output:
    """What a run prints; or keeps, so that machines that run side by side do not
    talk at the same time. Results are numbered when they are printed."""

    count = 0
    lock = threading.Lock()

    def __init__(self, live=True):
        self._kept = None if live else []

    def line(self, text, word=None):
        """A line; of a result if there is a word."""
        if self._kept is not None:
            self._kept.append((text, word))
            if word:
                # Meanwhile, for who waits.
                print(f'# {word} {text}', flush=True)
            return
        if word:
            Output.count += 1
            text = f'{word} {Output.count} {text}'
        print(text, flush=True)

    def flush(self):
        """Prints what was kept."""
        with Output.lock:
            kept, self._kept = self._kept or [], None
            for text, word in kept:
                self.line(text, word)


class Runner:
    """A machine, its tests, and what came of them."""

    stop = threading.Event()        # for all that run
    lock = threading.Lock()
    second_tries = 0                # of all that run

    def __init__(self, machine, tests, kernel, archives, verbose=True, output=None):
        self.machine = machine
        self.tests = tests
        self.kernel = kernel
        self.archives = archives
        self.verbose = verbose
        self.patience = machine.patience_with(kernel)
        self._slow = (kernel / 'patience').exists()
        self.output = output or Output()
        self.tally = Tally()
        self.results = []
        self.races = collections.Counter()  # data races in code that is not ours
        self.unsteady = []          # tests that were given a second try
        self.release = None
        self.suffix = ''            # more words for the guest
        self.logs = new_logs(machine.name)
        self._queue = []
        self._boot_logs = None
        self._boot = None           # what happens outside of tests counts here
        self._now = None            # what comes of the test that runs
        self._test = None           # the last one that this boot reached
        self._klog_owner = None     # the one whose lines the kernel log has now
        self._ended = None          # its exit status, until the log's marker comes
        self._klog_ended = None     # the number of the log's last end marker
        self._deadline = 0
        self._stop = False          # boot anew before the next test
        self._off = False
        self._started = 0
        self._guest = None
        self._cpu = 0               # what QEMU had used when the test began

    def say(self, text):
        """Prints a line."""
        self.output.line(text)

    def run(self):
        """Runs everything; returns the tally."""
        try:
            assert self.machine.program
        except QemuError as error:
            for test in self.tests:
                result = Result(test.name)
                result.tap(f'1..0 # SKIP {error}')
                result.end(0)
                self._report(result)
            return self.tally
        self._queue = list(self.tests)
        boots = 0
        lost_boot = False
        while self._queue and not self.stop.is_set():
            self._test = None
            boots += 1
            logs = self.logs / f'boot{boots}'
            logs.mkdir()
            self._one_boot(logs)
            if not self._test and not lost_boot and self._try_again('boot'):
                lost_boot = True
                for problem in self._boot.problems:
                    self.say(f'# {self.machine.name}: boots a second time after: {problem}')
            elif not self._test:
                if self._boot.problems:
                    self._report(self._boot)
                # Not one test was reached: the next boot would fare no better.
                for test in self._queue:
                    result = Result(test.name)
                    result.problem('never ran: the machine does not come up')
                    self._report(result)
                break
            elif self._boot.problems:
                self._report(self._boot)
        for title, count in sorted(self.races.items()):
            self.say(f'# {self.machine.name}: not in our code, {count} times: {title}')
        if self.unsteady:
            self.say(f'# {self.machine.name}: second tries: {" ".join(self.unsteady)}')
        return self.tally

    def _try_again(self, name):
        """May it be tried a second time? Counts it, too. All machines of a run share the budget."""
        with Runner.lock:
            if name in self.unsteady or Runner.second_tries >= SECOND_TRIES:
                return False
            Runner.second_tries += 1
        self.unsteady.append(name)
        return True

    def _one_boot(self, logs):
        self._boot_logs = logs
        # What kmemleak finds between the tests is told and judged by guest/leaks.
        self._boot = Result('boot', r'kmemleak: \d+ new suspected', slow=self._slow)
        self._leaks = None          # what kmemleak found
        self._klog_owner = self._boot
        self._now = self._ended = self._klog_ended = None
        self._stop = self._off = False
        self._deadline = time.monotonic() + BOOT_SECONDS * self.patience
        self._started = time.monotonic()
        try:
            guest = Guest(self.machine, self.kernel, self.archives, logs, 'tests')
        except GuestError as error:
            self._boot.problem(str(error))
            return
        self._guest = guest
        guest.on_tap, guest.on_klog, guest.on_host = self._tap, self._klog, self._host
        guest.on_part = self._part
        try:
            while self._step(guest):
                if self._ended and self._stop or self.stop.is_set():
                    break
                if time.monotonic() > self._deadline:
                    self._hang()
                    break
            else:
                self._gone()
        finally:
            guest.close(5 if self._off else 0)
        if self._now:
            self._finish(self._now, None)
        self.races.update(self._boot.races)
        if self._leaks:
            if not self._leaks.passed and not self._leaks.problems:
                self._leaks.problem('it did not come to a search for leaks')
            self._report(self._leaks)

    def _step(self, guest):
        """One of the guest's steps. Where the host stood still, and the guest with it,
        that is nobody's time."""
        start = time.monotonic()
        there = guest.step(min(1, self._deadline - start))
        late = time.monotonic() - start - 1
        if late > 1:
            self._deadline += late
        return there

    def _hang(self):
        owner = self._now or self._boot
        what = 'hangs' if self._now else 'does not come up' if not self._off else 'does not go down'
        if self._ended:
            what = 'ended, but the kernel log stands still'
        owner.problem(f'{what}: deadline over')

    def _gone(self):
        if not self._off:
            (self._now or self._boot).problem('the guest ended on its own')
            for line in (self._boot_logs / 'qemu.log').read_text(errors='replace').splitlines():
                if line.startswith('qemu: '):
                    self.say(f'# {line}')

    def _host(self, words):
        if words[0] != 'next':
            return f'error unknown request {words[0]}'
        if not self._queue or self._stop:
            self._off = True
            self._deadline = time.monotonic() + 60 * self.patience
            return 'off'
        test = self._queue[0]
        self._deadline = time.monotonic() + 30 * self.patience
        return f'run {test.name} {int(test.timeout * self.patience)}{self.suffix}'

    def _tap(self, line):
        match = re.match(r'# lab: (\w+) ?(.*)', line)
        if not match:
            if self._now:
                self._now.tap(line)
                if self.verbose or line.startswith('not ok'):
                    self.say(f'# {line}')
            return
        word, rest = match[1], match[2].split()
        if word == 'ready':
            self.release = rest[0]
            self.say(f'# {self.machine.name}: Linux {rest[0]} on {self.machine.arch}, '
                     f'up after {time.monotonic() - self._started:.1f} s')
        elif word == 'begin':
            test = self._test = self._queue.pop(0)
            self._now = Result(test.name, test.klog_allow, expected_skips(
                test.name[:-3], self.machine.name, self.kernel.name.split('-')[0]), self._slow)
            self._started = time.monotonic()
            self._guest.pin(test.one_cpu)
            self._cpu = self._guest.cpu()
            # The guest gets a moment to tell about a hang before it is ended.
            self._deadline = self._started + (test.timeout + 15) * self.patience
            self.say(f'# selftests: {self.machine.name}: {test.name}')
        elif word == 'done':
            # From here on it is not the test's time any more.
            self._deadline = time.monotonic() + 60 * self.patience
        elif word == 'hunt':
            self._leaks = Result('kmemleak')
            self.say(f'# {self.machine.name}: kmemleak is watching; {rest[0]} objects lost at boot')
        elif word == 'leak':
            self.say(f'# kmemleak: {line[len("# lab: leak "):]}')
        elif word == 'leaks':
            if int(rest[-1]):
                self._leaks.problem(f'{rest[-1]} objects leaked, found {" ".join(rest[:-1])}')
            else:
                self._leaks.passed += 1
        elif word == 'state' and self._now:
            self._now.problem(f'leaves the machine changed: {" ".join(rest)}')
            self._stop = True
        elif word == 'end' and self._now:
            self._ended = int(rest[1])
            self._deadline = time.monotonic() + 20 * self.patience
            if self._klog_ended == rest[2]:
                self._finish(self._now, self._ended)

    def _part(self, text):
        """A line that is still being written."""

    def _klog(self, line):
        match = re.search(r'\blab: (begin|end) .* (\d+)$', line)
        if match and match[1] == 'begin':
            self._klog_owner = None     # the wires do not wait for each other
        elif match and match[1] == 'end':
            self._klog_owner = self._boot
            self._klog_ended = match[2]
            if self._ended is not None and self._now:
                self._finish(self._now, self._ended)
        else:
            owner = self._klog_owner or self._now or self._boot
            if owner.klog(line):
                self.say(f'# kernel: {line}')

    def _finish(self, result, status):
        result.end(status)
        self._now = self._ended = None
        self.races.update(result.races)
        if (result.failed and status is not None and not result.klog_hits
                and not self._test.races and self._try_again(result.name)):
            for problem in result.problems:
                self.say(f'# {result.name}: {problem}')
            self.say(f'# {result.name}: {result.failed} failed; once more after a fresh boot')
            self._queue.insert(0, self._test)
            self._stop = True
            return
        result.seconds = time.monotonic() - self._started
        result.cpu = self._guest.cpu() - self._cpu if status is not None else None
        self._report(result)

    def _report(self, result):
        self.tally.add(result)
        self.results.append(result)
        for problem in result.problems:
            self.say(f'# {result.name}: {problem}')
        word, suffix = result.word
        took = f' # time={result.seconds:.1f}s' if result.seconds is not None else ''
        took += f' cpu={result.cpu:.1f}s' if result.cpu is not None else ''
        self.output.line(f'selftests: {self.machine.name}: {result.name}{suffix or took}', word)


class Show(Runner):
    """Shows what a script prints, as it is, to a person who watches."""

    def __init__(self, machine, kernel, archives, script):
        test = Test(LAB / f'guest/{script}.sh')
        test.timeout = 300
        super().__init__(machine, [test], kernel, archives)
        self._live = sys.stdout.isatty()
        columns = max(60, min(shutil.get_terminal_size((100, 40)).columns, 110))
        self.suffix = f' {"colour" if self._live else "plain"} {columns}'
        self._shown = ''            # of the line that is still being written
        self.good = False
        self.again = False          # one that may get a second try

    def _tap(self, line):
        if line.startswith('# lab:'):
            super()._tap(line)
        else:
            print(line[len(self._shown):], flush=True)
        self._shown = ''

    def _part(self, text):
        # Bars and questions do not wait for the end of their line.
        if self._live and not text.startswith('# '[:len(text)]):
            print(text[len(self._shown):], end='', flush=True)
            self._shown = text

    def say(self, text):
        """Nothing of what a test's reader sees."""
        if text.startswith('# kernel:'):
            print(text, flush=True)

    def _finish(self, result, status):
        # There is no plan: what counts is the script's status, the log, the machine.
        self._now = self._ended = None
        self.good = status == 0 and not result.problems
        self.again = status is not None and not result.klog_hits
        for problem in result.problems:
            print(f'{result.name}: {problem}')
        if status:
            print(f'ended with status {status}')

    def _report(self, result):
        self.good = False
        print('; '.join(result.problems))
