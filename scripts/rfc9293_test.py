#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/rfc9293.py finds, and what it must not. Run by `./test rules`."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rfc9293  # noqa: E402

HEAD = '== 3.1 Header\n'


def complete(**changed):
    """A file with every identifier, each with a reason, but for those that are changed."""
    lines = [HEAD]
    for kind, count in rfc9293.COUNTS.items():
        for n in range(1, count + 1):
            name = f'{kind}-{n}'
            lines.append(changed.get(name.replace('-', '_'), f'{name}: something\n  not: because\n'))
    return ''.join(lines)


def judge(requirements, **files):
    faults, tags = [], []
    items = rfc9293.read_requirements(requirements, faults)
    for name, text in files.items():
        tags += rfc9293.read_tags(name.replace('__', '.'), text, faults)
    rfc9293.join(items, tags, faults)
    return items, faults


class Requirements(unittest.TestCase):
    def test_a_complete_file_is_in_order(self):
        items, faults = judge(complete())
        self.assertEqual(faults, [])
        self.assertEqual(len(items), 119)

    def test_a_missing_an_unknown_and_a_double_one_are_found(self):
        _, faults = judge(complete(MUST_3='', MAY_18='MAY-18: x\n  not: y\nMAY-19: x\n  not: y\nMAY-18: z\n  not: y\n'))
        self.assertTrue(any('MUST-3 is missing' in f for f in faults))
        self.assertTrue(any('no MAY-19' in f for f in faults))
        self.assertTrue(any('MAY-18 stands here twice' in f for f in faults))

    def test_one_with_neither_test_nor_reason_is_found(self):
        for name in ('MUST-5', 'SHLD-5', 'MAY-5', 'REC-1'):
            _, faults = judge(complete(**{name.replace('-', '_'): f'{name}: something\n  how: somehow\n'}))
            self.assertEqual(len(faults), 1)
            self.assertIn(f'{name} has neither', faults[0])

    def test_one_with_both_is_found(self):
        _, faults = judge(complete(), a_test__cpp='// RFC 9293: MUST-5.\nTEST(A, B) {\n')
        self.assertEqual(len(faults), 1)
        self.assertIn('MUST-5 is given a reason', faults[0])

    def test_text_how_and_reason_go_on_over_lines(self):
        items, _ = judge(complete(MUST_1='MUST-1: a\n  b\n  how: c\n  d\n'))
        self.assertEqual((items['MUST-1'].text, items['MUST-1'].how), ('a b', 'c d'))


class Tags(unittest.TestCase):
    def read(self, text, file='a_test.cpp'):
        faults = []
        return [(i, t.name) for i, t in rfc9293.read_tags(file, text, faults)], faults

    def test_every_kind_of_test_is_one(self):
        for macro in ('TEST', 'TEST_F', 'TEST_P', 'LADDER_TEST'):
            tags, faults = self.read(f'// Why.\n// RFC 9293: MUST-8, SHLD-1.\n{macro}(A, B) {{\n')
            self.assertEqual((tags, faults), ([('MUST-8', 'A.B'), ('SHLD-1', 'A.B')], []))
        tags, faults = self.read('class A(unittest.TestCase):\n    # RFC 9293: MAY-1.\n    @skip\n    def test_b(self):\n',
                                 'a_test.py')
        self.assertEqual((tags, faults), ([('MAY-1', 'A.test_b')], []))

    def test_a_tag_may_go_on_and_be_followed_by_comment(self):
        text = '// RFC 9293: MUST-8,\n// SHLD-1.\n// And why.\nLADDER_TEST(A,\n            B) {\n'
        self.assertEqual(self.read(text), ([('MUST-8', 'A.B'), ('SHLD-1', 'A.B')], []))

    def test_before_no_test_is_a_fault(self):
        for behind in ('', '\nTEST(A, B) {\n', 'int x;\nTEST(A, B) {\n', 'TEST(A'):
            tags, faults = self.read('// RFC 9293: MUST-8.\n' + behind)
            self.assertEqual(tags, [])
            self.assertIn('before no test', faults[0])

    def test_nonsense_is_a_fault(self):
        for ids in ('MUST-8', 'MUST8.', 'must-8.', 'MUST-8 SHLD-1.', 'MUST-08.', 'what it says.', ''):
            tags, faults = self.read(f'// RFC 9293: {ids}\nTEST(A, B) {{\n')
            self.assertEqual((tags, len(faults)), ([], 1), ids)

    def test_one_that_was_joined_to_other_comment_is_a_fault(self):
        for text in ('// Why. RFC 9293: MUST-8.\n', '// Why. RFC 9293:\n// MUST-8.\n'):
            tags, faults = self.read(text + 'TEST(A, B) {\n')
            self.assertEqual((tags, len(faults)), ([], 1))

    def test_one_that_never_runs_is_a_fault(self):
        self.assertEqual(len(self.read('// RFC 9293: MUST-8.\nTEST(A, DISABLED_B) {\n')[1]), 1)

    def test_unknown_and_double_ones_are_faults(self):
        _, faults = judge(complete(MUST_1='MUST-1: x\n'),
                          a_test__cpp='// RFC 9293: MUST-70.\n// RFC 9293: MUST-1, MUST-1.\nTEST(A, B) {\n')
        self.assertEqual(len(faults), 2)

    def test_talk_of_the_rfc_is_no_tag(self):
        self.assertEqual(self.read('// By RFC 9293: see there.\n// MUST-8, of RFC 9293.\nTEST(A, B) {\n'), ([], []))


class Page(unittest.TestCase):
    def test_counts_links_and_reasons_stand_in_it(self):
        items, _ = judge(complete(MUST_1='MUST-1: a | b\n  how: so\n'), a_test__cpp='// RFC 9293: MUST-1.\nTEST(A, B) {\n')
        page = rfc9293.write_page(items)
        self.assertIn('| MUST, MUST NOT | 69 | 1 | 68 | 0 |', page)
        self.assertIn('| a \\| b | so | [A.B](../a_test.cpp) |', page)
        self.assertIn('| [MUST-2](#must-2) | something | because |', page)


if __name__ == '__main__':
    unittest.main()
