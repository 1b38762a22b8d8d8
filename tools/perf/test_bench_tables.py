# SPDX-License-Identifier: GPL-2.0
"""Tests of bench_tables.py."""

import unittest

from bench_statistics import evaluate
from bench_tables import group_row, group_section, number, report, summary_text, table

CELLS = {
    ("floor/lz4/text/compress", "ns"): {"floor": {1: [1000], 2: [3000]}},
    ("io/lz4/text/j1/write-4k", "ns"): {"zram": {1: [4000], 2: [4000]}, "zram_rs": {1: [2000], 2: [4000]}},
    ("io/lz4/text/j2/write-4k", "ns"): {"zram": {1: [5000]}},
}


class Tables(unittest.TestCase):
    def test_a_number_has_three_digits_or_is_whole(self):
        self.assertEqual([number(v) for v in (0, 1.2345, 999.4, 12345.6)], ["0", "1.23", "999", "12346"])

    def test_columns_are_as_wide_as_their_widest_cell(self):
        self.assertEqual(
            table(["cell", "n"], [["a", 1], ["longer", 23]]),
            "======  ==\ncell    n\n======  ==\na       1\nlonger  23\n======  ==\n",
        )

    def test_a_row_has_medians_and_ratio(self):
        self.assertEqual(
            group_row(evaluate(CELLS)[1], True),
            ["lz4/text/j1/write-4k", "ns a page", "4000", "3000", "2000 / 1000"]
            + ["1.500", "1.250 .. 1.750", "(1.000 .. 2.000)", 2],
        )

    def test_a_row_says_what_is_missing(self):
        self.assertEqual(
            group_row(evaluate(CELLS)[2], True), ["lz4/text/j2/write-4k", "ns a page", "5000", "-", "-"] + ["-"] * 4
        )

    def test_the_floor_has_a_column_only_where_there_is_one(self):
        results = evaluate(CELLS)
        self.assertIn("over the floor", "\n".join(group_section("io", results)))
        self.assertNotIn("over the floor", "\n".join(group_section("io", results[2:])))

    def test_a_group_without_results_has_no_section(self):
        self.assertEqual(group_section("swap", evaluate(CELLS)), [])


class Report(unittest.TestCase):
    def lines(self, about=(), skipped=(), late=False, plots=()):
        return report(about, skipped, late, evaluate(CELLS), plots).split("\n")

    def test_has_what_was_measured_once(self):
        self.assertEqual(self.lines(about=["size full", "size full"]).count("- size full"), 1)

    def test_says_what_was_skipped_and_late(self):
        late = "There was not enough time for all pairs; the column ``n`` tells how many there were."
        self.assertIn("- no fio", self.lines(skipped=["no fio"]))
        self.assertNotIn("Not there:", self.lines())
        self.assertIn(late, self.lines(late=True))
        self.assertNotIn(late, self.lines())

    def test_shows_the_plots(self):
        lines = self.lines(plots=[("io.svg", "A title")])
        self.assertEqual(lines[lines.index(".. image:: io.svg") + 1], "   :alt: A title")

    def test_has_a_section_for_the_floor(self):
        lines = self.lines()
        self.assertIn("The floor", lines)
        self.assertIn("lz4/text/compress  ns a page  2000    1000  3000", lines)


class Text(unittest.TestCase):
    def test_sums_up_each_group(self):
        self.assertEqual(
            summary_text(evaluate(CELLS)).split("\n")[1:],
            [
                "  Reading and writing (1), ns a page: 1 cells, geometric mean 1.500, 1.500 to 1.500, "
                "too few pairs to tell which are behind",
                "  spread: in the middle cell the largest ratio of 2 pairs is 2.00 times the smallest",
            ],
        )


if __name__ == "__main__":
    unittest.main()
