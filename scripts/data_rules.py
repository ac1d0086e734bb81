#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks docs/data-rules.md against the tests: run by `./test rules`.

A row is `| section | level | rule | tests, or "not: " and why |`. Each MUST and SHOULD has a test or a reason, each test
that is named is there, and each test whose suite is named after one of these RFCs stands in the part about it.
"""
import glob
import os
import re
import sys

RFCS = ['5681', '6298', '6582', '6675', '6937', '7323', '8985', '9406', '9438']
LEVELS = {'MUST', 'SHOULD', 'MAY', ''}
TEST = re.compile(r'^(?:LADDER_TEST|TEST|TEST_F|TEST_P)\(\s*(\w+),\s*(\w+)\)', re.MULTILINE)
PAGE = 'docs/data-rules.md'


def tests_of(root):
    """Suite.Name of every C++ test."""
    found = set()
    for name in glob.glob(os.path.join(root, 'synfin/**/*_test.cpp'), recursive=True) + \
            glob.glob(os.path.join(root, 'tests/**/*_test.cpp'), recursive=True):
        with open(name, encoding='utf-8') as file:
            found |= {f'{suite}.{test}' for suite, test in TEST.findall(file.read())}
    return found


def judge(page, tests):
    """What is wrong, a line each."""
    faults, rfc, named = [], None, {rfc: set() for rfc in RFCS}
    for number, line in enumerate(page.splitlines(), 1):
        if heading := re.match(r'## RFC (\d+)', line):
            rfc = heading[1]
            if rfc not in named:
                faults.append(f'{PAGE}:{number}: RFC {rfc} is none of those that this page is about')
                rfc = None
        if not rfc or not line.startswith('| ') or line.startswith(('| § ', '|--')):
            continue
        cells = [c.strip() for c in line.strip().strip('|').split('|')]
        if len(cells) != 4:
            faults.append(f'{PAGE}:{number}: a row has 4 cells, not {len(cells)}')
            continue
        _, level, _, last = cells
        quoted = set(re.findall(r'`(\w+\.\w+)`', last))
        if level not in LEVELS:
            faults.append(f'{PAGE}:{number}: {level} is no level')
        if level in ('MUST', 'SHOULD') and not quoted and not last.startswith('not: '):
            faults.append(f'{PAGE}:{number}: a {level} has neither test nor reason')
        faults += [f'{PAGE}:{number}: there is no test {t}' for t in sorted(quoted - tests)]
        named[rfc] |= quoted
    for rfc, quoted in named.items():
        if not quoted:
            faults.append(f'{PAGE}: nothing about RFC {rfc}')
        missing = {t for t in tests if re.match(rf'Rfc{rfc}[A-Z]?\w*\.', t)} - quoted
        faults += [f'{PAGE}: {t} stands nowhere under RFC {rfc}' for t in sorted(missing)]
    return faults


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
    with open(os.path.join(root, PAGE), encoding='utf-8') as file:
        faults = judge(file.read(), tests_of(root))
    print('\n'.join(faults), end='\n' if faults else '')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
