# SPDX-License-Identifier: GPL-2.0
"""Tests of sources.py."""

import contextlib
import io
import sys
import unittest
from unittest import mock

from sources import report, run, rust_files, test_cases
from trees import tree


class Sources(unittest.TestCase):
    def ends_with(self, function, *arguments):
        """Returns the exit status of a function that exits, and what it printed."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output), self.assertRaises(SystemExit) as end:
            function(*arguments)
        return end.exception.code, output.getvalue()

    def test_finds_the_files_of_the_driver(self):
        names = ("a.rs", "comp/b.rs", "tools/c.rs", "Documentation/d.rs", ".e/f.rs", "g.c", "x/bindings_generated.rs")
        with tree({name: "" for name in names}) as top:
            self.assertEqual([str(path) for path in rust_files(top)], ["a.rs", "comp/b.rs"])

    def test_finds_the_cases_of_a_script(self):
        with tree({"a.sh": "test_one() {\n}\nmy_test_two() {\n}\n# test_three() {\ntest_4_a() {\n}\n"}) as top:
            self.assertEqual(test_cases(top / "a.sh"), ["one", "4_a"])
            self.assertEqual(test_cases(top / "b.sh"), [])

    def test_prints_nothing_if_nothing_is_wrong(self):
        self.assertEqual(self.ends_with(report, []), (False, ""))

    def test_fails_with_a_line_for_each_complaint(self):
        self.assertEqual(self.ends_with(report, ["a", "b"]), (True, "a\nb\n"))

    def test_says_what_a_command_line_lacks(self):
        for arguments in ([], ["/"], ["/", "/nowhere"]):
            with mock.patch.object(sys, "argv", ["check", *arguments]):
                status, _ = self.ends_with(run, lambda *_: [], ("SOURCE", "LINUX"))
            self.assertTrue(status.startswith("usage: check SOURCE LINUX"), status)

    def test_passes_only_the_directories_that_a_check_reads(self):
        with mock.patch.object(sys, "argv", ["check", "/", "/usr"]):
            self.assertEqual(self.ends_with(run, lambda *given: map(str, given)), (True, "/\n"))


if __name__ == "__main__":
    unittest.main()
