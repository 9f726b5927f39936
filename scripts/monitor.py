#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
monitor.py: makes the automaton of the runtime monitor from the state diagram of the
guide, Documentation/admin-guide/iommu_txn.dot, with the kernel's own generator: rvgen
of the lab's linux-source-7.3, or of KERNEL_SRC.

monitor.py --check: fails where the automaton in the tree is not the diagram's.
"""

import difflib
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True

TREE = pathlib.Path(__file__).resolve().parents[1]
DOT = TREE / 'Documentation/admin-guide/iommu_txn.dot'
MONITOR = TREE / 'kernel/trace/rv/monitors/iommu_txn'


def generated():
    """The files of the monitor in which nothing is filled in by hand. rvgen's command
    does the same, but also loads parts for which Debian 12's Python is too old."""
    kernel = subprocess.run([TREE / 'tools/lab/kernels/tree/source'], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    sys.path.insert(0, f'{kernel}/tools/verification/rvgen')
    from rvgen.automata import AutomataError        # pylint: disable=import-error
    from rvgen.dot2k import da2k                    # pylint: disable=import-error
    try:
        monitor = da2k(DOT, 'per_obj', {'monitor_class': 'da', 'model_name': DOT.stem})
    except AutomataError as error:
        sys.exit(f'monitor: {DOT.relative_to(TREE)}: {error}')
    return {MONITOR / f'{DOT.stem}.h': monitor.fill_model_h(),
            MONITOR / f'{DOT.stem}_trace.h': monitor.fill_trace_h()}


def main():
    """Writes the files, or compares them."""
    status = 0
    for path, text in generated().items():
        if sys.argv[1:] != ['--check']:
            path.write_text(text)
            continue
        there = path.read_text().splitlines() if path.exists() else []
        diff = list(difflib.unified_diff(there, text.splitlines(), lineterm='',
                                         fromfile=str(path.relative_to(TREE)), tofile='generated'))
        if diff:
            print('\n'.join(diff))
            print(f'monitor: not what {DOT.relative_to(TREE)} has; scripts/monitor.py makes it anew')
            status = 1
    return status


sys.exit(main())
