#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/data_rules.py finds, and what it must not. Run by `./test rules`."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data_rules  # noqa: E402

REST = ''.join(f'## RFC {rfc}\n| §1 | MUST | x | `A.B` |\n' for rfc in data_rules.RFCS[1:])


def judge(rows, tests=()):
    return data_rules.judge(f'## RFC 5681\n| § | level | rule | tests |\n|---|---|---|---|\n{rows}\n{REST}', {'A.B', *tests})


class Rows(unittest.TestCase):
    def test_tests_and_reasons_are_in_order(self):
        self.assertEqual(judge('| §3 | MUST | x | `A.B` |\n| §3 | SHOULD | x | not: because |\n| §3 | MAY | x | |'), [])

    def test_what_has_neither_is_found(self):
        for level in ('MUST', 'SHOULD'):
            self.assertIn('neither test nor reason', judge(f'| §3 | {level} | x | some words |\n| §3 | | x | `A.B` |')[0])

    def test_a_test_that_is_not_there_is_found(self):
        self.assertIn('no test A.C', judge('| §3 | MUST | x | `A.B`, `A.C` |')[0])

    def test_a_test_that_stands_nowhere_is_found(self):
        self.assertIn('Rfc5681.New_3', judge('| §3 | MUST | x | `A.B` |', ['Rfc5681.New_3'])[0])
        self.assertIn('Rfc8985Minimum.New', judge('| §3 | MUST | x | `A.B` |', ['Rfc8985Minimum.New'])[0])

    def test_an_rfc_without_tests_is_found(self):
        self.assertIn('nothing about RFC 5681', judge('| §3 | MUST | x | not: because |')[0])

    def test_what_is_no_row_and_no_level_is_found(self):
        self.assertIn('4 cells', judge('| §3 | MUST | `A.B` |\n| §3 | MUST | x | `A.B` |')[0])
        self.assertIn('no level', judge('| §3 | OUGHT | x | `A.B` |')[0])


if __name__ == '__main__':
    unittest.main()
