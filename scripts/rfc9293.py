#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The matrix of RFC 9293's requirements, written from tags in the tests.

A tag is a comment line in the comment directly above a test, the last one of it or not:

    // RFC 9293: MUST-8, SHLD-1.
    LADDER_TEST(PassiveOpen, InitialSequenceNumberFollowsTheFourMicrosecondClock) {

and in Python `# RFC 9293: MUST-13.` above `def test_…`. It says that the test fails where the requirement is broken.
A tag ends in a period and may go on over several lines. What the requirements are, in our own words, and why some
are not met stands in docs/rfc9293/requirements.txt.

Without arguments docs/rfc9293.md is written; with --check it is compared. Either way everything that is wrong is
printed, a line each, and the exit status is 1.
"""
import argparse
import collections
import os
import re
import sys

# Appendix B of RFC 9293: how many identifiers of each kind there are, numbered from 1.
COUNTS = {'MUST': 69, 'SHLD': 31, 'MAY': 18, 'REC': 1}
# An identifier of these kinds has a test or a reason.
STRICT = ('MUST', 'SHLD')
KIND_NAMES = {'MUST': 'MUST, MUST NOT', 'SHLD': 'SHOULD, SHOULD NOT', 'MAY': 'MAY', 'REC': 'RECOMMENDED'}

REQUIREMENTS = 'docs/rfc9293/requirements.txt'
PAGE = 'docs/rfc9293.md'
# Folders with tests; what ends in one of these is one.
FOLDERS = ('synfin', 'apps', 'tests', 'examples')
ENDINGS = ('_test.cpp', '_test.py')

ID = re.compile(r'(MUST|SHLD|MAY|REC)-([1-9][0-9]*)')
COMMENTS = {'.cpp': re.compile(r'\s*// ?(.*)'), '.py': re.compile(r'\s*# ?(.*)')}
TAG = re.compile(r'RFC 9293:\s*(.*)')
# What a formatter that joins lines makes of a tag.
LOST_TAG = re.compile(rf'.+RFC 9293:\s*({ID.pattern}.*)?')
CPP_TEST = re.compile(r' *(?:LADDER_TEST|TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P)\(\s*(\w+)\s*,\s*(\w+)\s*\)')
PYTHON_TEST = re.compile(r'\s*def (test\w*)\(')
PYTHON_CLASS = re.compile(r'class (\w+)')

Test = collections.namedtuple('Test', 'file name')


class Requirement:
    def __init__(self, name, section, text):
        self.name, self.section, self.text = name, section, text
        self.how = self.reason = ''
        self.tests = []

    @property
    def kind(self):
        return self.name.split('-')[0]


def read_requirements(text, faults):
    """The file's items in their order, by identifier."""
    items, section, item, field = {}, None, None, 'text'
    for number, line in enumerate(text.splitlines(), 1):
        where = f'{REQUIREMENTS}:{number}'
        if not line.strip() or line.startswith('#'):
            continue
        if line.startswith('== '):
            section, item = line[3:].strip(), None
            continue
        if not line[0].isspace():
            name, colon, rest = line.partition(': ')
            if not ID.fullmatch(name) or not colon or section is None:
                faults.append(f'{where}: neither a section nor `ID: text`')
                continue
            if name in items:
                faults.append(f'{where}: {name} stands here twice')
            item, field = Requirement(name, section, rest.strip()), 'text'
            items[name] = item
            continue
        if item is None:
            faults.append(f'{where}: an indented line without an item')
            continue
        line = line.strip()
        for key, attribute in (('how: ', 'how'), ('not: ', 'reason')):
            if line.startswith(key):
                field, line = attribute, line[len(key):]
                if getattr(item, field):
                    faults.append(f'{where}: {item.name} has two of these')
        setattr(item, field, f'{getattr(item, field)} {line}'.strip())
    expected = [f'{kind}-{n}' for kind, count in COUNTS.items() for n in range(1, count + 1)]
    faults += [f'{REQUIREMENTS}: {name} is missing' for name in expected if name not in items]
    faults += [f'{REQUIREMENTS}: RFC 9293 has no {name}' for name in items if name not in expected]
    return items


def read_tags(file, text, faults):
    """Pairs of identifier and test, in the order of the file."""
    tags, pending, open_tag, class_name = [], [], None, ''
    lines = text.splitlines()
    comment_line = COMMENTS[os.path.splitext(file)[1]]

    def before_no_test():
        nonlocal pending
        faults.extend(f'{file}:{number}: a tag that stands before no test' for number, _ in pending)
        pending = []

    for number, line in enumerate(lines, 1):
        comment = comment_line.fullmatch(line)
        if comment:
            tag = TAG.fullmatch(comment[1])
            if tag:
                open_tag = [number, tag[1]]
            elif open_tag:
                open_tag[1] += ' ' + comment[1]
            elif LOST_TAG.fullmatch(comment[1]):
                faults.append(f'{file}:{number}: a tag begins a line of its own')
        if open_tag and (not comment or open_tag[1].rstrip().endswith('.')):
            ids = open_tag[1].rstrip()
            if not re.fullmatch(rf'{ID.pattern}(, {ID.pattern})*\.', ids):
                faults.append(f'{file}:{open_tag[0]}: not a list of identifiers that ends in a period: {ids}')
            else:
                pending.append((open_tag[0], re.findall(r'[A-Z]+-[0-9]+', ids)))
            open_tag = None
        if comment:
            continue
        if PYTHON_CLASS.match(line):
            class_name = PYTHON_CLASS.match(line)[1]
        if not pending:
            continue
        if file.endswith('.py'):
            if line.lstrip().startswith('@'):  # a decorator stands between comment and test
                continue
            test = PYTHON_TEST.match(line)
            name = f'{class_name}.{test[1]}' if test else None
        else:
            test = CPP_TEST.match('\n'.join(lines[number - 1:number + 2]))
            name = f'{test[1]}.{test[2]}' if test else None
        if name is None:
            before_no_test()
            continue
        if 'DISABLED_' in name:
            faults.append(f'{file}: {name} is tagged and never runs')
        for _, ids in pending:
            tags += [(identifier, Test(file, name)) for identifier in ids]
        pending = []
    if open_tag:
        faults.append(f'{file}:{open_tag[0]}: a tag that stands before no test')
    before_no_test()
    return tags


def test_files(root):
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(root, folder)):
            folders.sort()
            for name in sorted(names):
                if name.endswith(ENDINGS):
                    yield os.path.relpath(os.path.join(where, name), root)


def join(items, tags, faults):
    """Gives each item its tests and says what does not fit."""
    for name, test in tags:
        if name not in items:
            faults.append(f'{test.file}: {test.name} is tagged {name}, which RFC 9293 has not')
        elif test not in items[name].tests:
            items[name].tests.append(test)
        else:
            faults.append(f'{test.file}: {test.name} is tagged {name} twice')
    for item in items.values():
        if item.tests and item.reason:
            faults.append(f'{item.name} is given a reason for not being met in {REQUIREMENTS}, and has a test: '
                          f'{item.tests[0].name}')
        if not item.tests and not item.reason:
            if item.kind in STRICT:
                faults.append(f'{item.name} has neither a test nor a reason: {item.text}')
            else:
                faults.append(f'{item.name} has neither a test nor a reason (it may be left out, but then say why)')


def cell(text):
    return text.replace('|', '\\|')


def code_safe(text):
    return cell(text.replace('<', '&lt;'))


def link(test):
    return f'[{test.name}](../{test.file})'


def anchor(name):
    return f'<a id="{name.lower()}"></a>{name}'


def write_page(items):
    out = ["""\
# RFC 9293, requirement by requirement

<!-- Written by scripts/rfc9293.py from docs/rfc9293/requirements.txt and the tags in the tests: change those. -->

RFC 9293 names its requirements, 119 of them (its Appendix B). This page says of each how Synfin meets it and which
tests fail when it does not, or why it is left out. The requirements stand here in our own words; the RFC's own are in
[RFC 9293](https://www.rfc-editor.org/rfc/rfc9293). The tests run with `./test unit`, those in `tests/lab` with
`./test lab`. A test appears here because it carries the tag `RFC 9293: …`; `./test rules` fails where a MUST or a
SHOULD has neither test nor reason, and where this page is not what the tags say.
"""]
    out.append('| | in the RFC | met, with tests | left out, with reason | open |\n|---|--:|--:|--:|--:|')
    total = [0, 0, 0, 0]
    for kind, count in COUNTS.items():
        of_kind = [i for i in items.values() if i.kind == kind]
        met = sum(1 for i in of_kind if i.tests)
        reasons = sum(1 for i in of_kind if i.reason and not i.tests)
        row = [count, met, reasons, count - met - reasons]
        total = [a + b for a, b in zip(total, row)]
        out.append(f'| {KIND_NAMES[kind]} | ' + ' | '.join(map(str, row)) + ' |')
    out.append('| all | ' + ' | '.join(map(str, total)) + ' |\n')

    missing = [i for i in items.values() if not i.tests]
    if missing:
        out.append('## What is left out, and why\n\n| id | requirement | why |\n|---|---|---|')
        order = list(COUNTS)
        for i in sorted(missing, key=lambda i: (order.index(i.kind), int(i.name.split('-')[1]))):
            out.append(f'| [{i.name}](#{i.name.lower()}) | {code_safe(i.text)} | {code_safe(i.reason) or "open"} |')
        out.append('')

    section = None
    for i in items.values():
        if i.section != section:
            section = i.section
            number = section.split(' ')[0]
            url = f'https://www.rfc-editor.org/rfc/rfc9293#section-{number}'
            out.append(f'\n## [{number}]({url}) {section[len(number) + 1:]}\n')
            out.append('| id | requirement | how | tests |\n|---|---|---|---|')
        if i.tests:
            how, shows = code_safe(i.how), '<br>'.join(link(t) for t in i.tests)
        elif i.reason:
            how, shows = f'**Left out.** {code_safe(i.reason)}', ''
        else:
            how, shows = '**Open.**', ''
        out.append(f'| {anchor(i.name)} | {code_safe(i.text)} | {how} | {shows} |')
    text = '\n'.join(out) + '\n'
    return re.sub(r'\n{3,}', '\n\n', text)


def main():
    parser = argparse.ArgumentParser(description=f'Writes {PAGE} from the tags in the tests.')
    parser.add_argument('--check', action='store_true', help='write nothing; fail where the page is not what it would be')
    parser.add_argument('--root', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'),
                        help='the project')
    arguments = parser.parse_args()
    faults, tags = [], []
    with open(os.path.join(arguments.root, REQUIREMENTS), encoding='utf-8') as file:
        items = read_requirements(file.read(), faults)
    for name in test_files(arguments.root):
        with open(os.path.join(arguments.root, name), encoding='utf-8') as file:
            tags += read_tags(name, file.read(), faults)
    join(items, tags, faults)
    page, path = write_page(items), os.path.join(arguments.root, PAGE)
    if arguments.check:
        try:
            with open(path, encoding='utf-8') as file:
                there = file.read()
        except FileNotFoundError:
            there = ''
        if there != page:
            faults.append(f'{PAGE} is not what the tests say: run scripts/rfc9293.py and read the difference')
    else:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(page)
    print('\n'.join(faults), end='\n' if faults else '')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
