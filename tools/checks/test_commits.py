# SPDX-License-Identifier: GPL-2.0
"""Tests of commits.py."""

import unittest

from commits import complaints


def log(*messages):
    """Returns the log of commits with these messages, as "git log -z --format='%h %B'" prints it."""
    return "\0".join(f"{index:07x} {message}\n" for index, message in enumerate(messages))


class Commits(unittest.TestCase):
    def test_accepts_the_longest_lines(self):
        self.assertEqual(list(complaints(log("a" * 72, "short\n\n" + "b " * 37 + "b", "no body"))), [])

    def test_accepts_no_commits(self):
        self.assertEqual(list(complaints("")), [])

    def test_finds_a_long_subject(self):
        found = list(complaints(log("slot: fine", "a " * 36 + "a", "io: fine")))
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("0000001: the subject has 73 characters"), found)

    def test_finds_each_long_line(self):
        long = "b " * 37 + "bb"
        found = list(complaints(log(f"slot: fine\n\n{long}\nshort\n{long}")))
        self.assertEqual([line.split(",")[0] for line in found], ["0000000: a line has 76 characters"] * 2)

    def test_exempts_lines_that_cannot_be_broken(self):
        address = "https://lore.kernel.org/" + "a" * 80
        fixes = 'Fixes: 0123456789ab ("' + "word " * 15 + '")'
        self.assertEqual(list(complaints(log(f"slot: fine\n\n{address}\nLink: {address}\n{fixes}"))), [])

    def test_does_not_exempt_text_before_an_address(self):
        address = "https://lore.kernel.org/" + "a" * 80
        self.assertEqual(len(list(complaints(log(f"slot: fine\n\nThe report is {address}")))), 1)


if __name__ == "__main__":
    unittest.main()
