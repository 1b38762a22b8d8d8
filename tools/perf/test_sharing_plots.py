# SPDX-License-Identifier: GPL-2.0
"""Tests of sharing_plots.py, which needs matplotlib."""

import importlib.util
import json
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

if importlib.util.find_spec("matplotlib") is None:
    raise unittest.SkipTest("needs matplotlib")

import sharing_plots

LINES = [
    json.dumps({"driver": driver, "cell": cell, "transfers": transfers})
    for driver, cell, transfers in (
        ("zram", "write-4k lz4 text", {"1": 0, "2": 3, "16": 9}),
        ("zram_rs", "write-4k lz4 text", {"1": 0, "2": 7}),
        ("zram_rs", "write-4k lz4 text", {"16": 6, "1": 0, "2": 2}),
        ("zram_rs", "read-1m lz4 same", {"1": 0, "2": 1}),
    )
]


class Plots(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.results, self.plot = (pathlib.Path(directory.name, name) for name in ("results", "plot.svg"))

    def test_the_last_result_counts(self):
        curves = sharing_plots.curves_of(LINES)
        self.assertEqual(curves["write-4k lz4 text"]["zram_rs"], [(1, 0), (2, 2), (16, 6)])
        self.assertEqual(list(curves["read-1m lz4 same"]), ["zram_rs"])

    def test_each_cell_has_a_plot(self):
        self.results.write_text("\n".join(LINES), encoding="utf-8")
        sharing_plots.main([str(self.results), str(self.plot)])
        svg = xml.etree.ElementTree.parse(self.plot)
        texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
        for text in ("write-4k lz4 text", "read-1m lz4 same", "C zram", "zram_rs", "16"):
            self.assertIn(text, texts)

    def test_no_results_are_refused(self):
        self.results.write_text("", encoding="utf-8")
        with self.assertRaisesRegex(SystemExit, "has no results"):
            sharing_plots.main([str(self.results), str(self.plot)])

    def test_other_arguments_are_refused(self):
        with self.assertRaisesRegex(SystemExit, "usage"):
            sharing_plots.main([])


if __name__ == "__main__":
    unittest.main()
