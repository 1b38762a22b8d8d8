# SPDX-License-Identifier: GPL-2.0
"""Tests of platforms.py."""

import unittest

from platforms import END, START, replaced, rows_of, table_of

RESULTS = """\
passed 3
runs stock x86_64, 4 KiB, 7.3.4+deb13-cloud-amd64, gcc 14.2
ended stock control.sh
time 1200 stock: control.sh
runs arm64-16k aarch64, 16 KiB, 7.3.4+deb13-arm64-16k, gcc 14.2
ended arm64-16k swap.sh
ended stock data.sh
runs stock x86_64, 4 KiB, 7.3.4+deb13-cloud-amd64, gcc 14.2
ended stock data.sh
rustc 1.85.1
runs uml-debug x86_64, 4 KiB, 7.3.4, clang 19.1
""".splitlines(keepends=True)


class Platforms(unittest.TestCase):
    def test_rows(self):
        self.assertEqual(list(rows_of(RESULTS)), [
            ["`arm64-16k`", "7.3, Debian's arm64-16k", "aarch64", "16 KiB", "gcc 14.2, rustc 1.85", "1"],
            ["`stock`", "7.3, Debian's cloud-amd64", "x86_64", "4 KiB", "gcc 14.2, rustc 1.85", "2"],
            ["`uml-debug`", "7.3, built here", "x86_64", "4 KiB", "clang 19.1, rustc 1.85", "0"],
        ])

    def test_table(self):
        lines = table_of(RESULTS).splitlines()
        self.assertEqual(lines[1], "| --- | --- | --- | --- | --- | --- |")
        self.assertEqual(lines[3], "| `stock` | 7.3, Debian's cloud-amd64 | x86_64 | 4 KiB | gcc 14.2, rustc 1.85 | 2 |")
        self.assertEqual({line.count("|") for line in lines}, {7})

    def test_replaces_the_table_and_nothing_else(self):
        page = f"a\n{START}old\n{END}b\n"
        self.assertEqual(replaced(page, "new\n"), f"a\n{START}\nnew\n\n{END}b\n")
        self.assertEqual(replaced(replaced(page, "new\n"), "new\n"), replaced(page, "new\n"))

    def test_says_what_is_missing(self):
        for page in ("a\n", START, f"{END}{START}", f"{START}{END}{START}{END}"):
            with self.subTest(page=page), self.assertRaisesRegex(SystemExit, "README.md needs the lines"):
                replaced(page, "")
        with self.assertRaisesRegex(SystemExit, "no guests"):
            table_of(["passed 3\n"])
        with self.assertRaisesRegex(SystemExit, "'next'"):
            table_of(["runs stock x86_64, 4 KiB, next, gcc 14.2\n"])


if __name__ == "__main__":
    unittest.main()
