# SPDX-License-Identifier: GPL-2.0
"""Tests of litmus.py."""

import unittest

from litmus import complaints
from trees import TreeTest

NAME = "tools/testing/litmus/bit+lock.litmus"
TEXT = "C bit+lock\n\n(*\n * Result: Never\n *)\n\nexists (0:r=1)\n"


class Litmus(TreeTest):
    files = {NAME: TEXT}
    output = "Test bit+lock Allowed\nObservation bit+lock Never 0 2\nTime bit+lock 0.01\n"

    def check(self, top):
        return complaints(top, top, top, lambda linux, herd, test: self.output)

    def test_accepts_the_result(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_another_result(self):
        for result in ("Sometimes", "Always"):
            self.output = f"Observation bit+lock {result} 1 2\n"
            self.assertEqual(self.wrong(), [f"{NAME}: the result is {result}, not Never"])

    def test_finds_that_there_is_no_result(self):
        self.output = "File bit+lock.litmus: syntax error\n"
        self.assertEqual(self.wrong(), [f"{NAME}: herd7 has no result: File bit+lock.litmus: syntax error"])

    def test_finds_a_head_without_a_result(self):
        head = " * Result: Never\n"
        for old, new in ((head, ""), ("Never", "Perhaps"), (head, head + head)):
            found = self.wrong(self.replaced(NAME, old, new))
            self.assertEqual(len(found), 1)
            self.assertIn("its head needs one line", found[0])

    def test_finds_another_name(self):
        found = self.wrong(self.replaced(NAME, "C bit+lock", "C bit+locks"))
        self.assertEqual(found, [f"{NAME}: its first line must be 'C bit+lock'"])

    def test_finds_that_there_are_no_tests(self):
        self.assertEqual(self.wrong({NAME: None}), ["tools/testing/litmus has no tests"])


if __name__ == "__main__":
    unittest.main()
