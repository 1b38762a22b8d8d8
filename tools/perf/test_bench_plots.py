# SPDX-License-Identifier: GPL-2.0
"""Tests of figures.py, bench_plots.py, pack_plots.py and bench_report.py, which need matplotlib."""

import contextlib
import importlib.util
import io
import json
import pathlib
import re
import tempfile
import unittest
import xml.etree.ElementTree

if importlib.util.find_spec("matplotlib") is None:
    raise unittest.SkipTest("needs matplotlib")

import bench_plots
import bench_report
import figures
import pack_plots
from bench_statistics import evaluate

CELLS = {
    ("floor/lz4/text/compress", "ns"): {"floor": {1: [1000]}},
    ("io/lz4/text/j1/write-4k", "ns"): {"zram": {1: [4000], 2: [4400]}, "zram_rs": {1: [2000], 2: [2100]}},
    ("io/lz4/text/j2/write-4k", "ns"): {"zram": {1: [10]}, "zram_rs": {1: [20]}},
    ("io/lz4/text/j2/write-4k", "cpu"): {"zram": {1: [10]}, "zram_rs": {1: [20]}},
    ("swap/in", "cpu"): {"zram": {1: [10], 2: [10]}, "zram_rs": {1: [5], 2: [20]}},
    ("memory/slot", "bytes"): {"zram": {1: [10]}},
    ("pack/lz4/text/1000/written", "bytes"): {"zram": {1: [4096]}, "zram_rs": {1: [1500]}},
    ("pack/lz4/text/8000/written", "bytes"): {"zram": {1: [4096]}, "zram_rs": {1: [1600]}},
    ("pack/lz4/text/8000/data", "bytes"): {"zram": {1: [1000]}, "zram_rs": {1: [1000]}},
    ("pack/lz4/text/8000/bound", "bytes"): {"zram_rs": {1: [1100]}},
    ("pack/lz4/text/8000/freed-50-data", "bytes"): {"zram_rs": {1: [1200]}},
    ("pack/lz4/text/8000/freed-50", "bytes"): {"zram": {1: [4096]}, "zram_rs": {1: [3000]}},
    ("pack/lz4/text/8000/freed-50-compacted", "bytes"): {"zram_rs": {1: [1800]}},
}
SAMPLES = "".join(
    f"sample {pair} {driver} {cell} {metric} {value}\n"
    for (cell, metric), by_driver in CELLS.items()
    for driver, pairs in by_driver.items()
    for pair, values in pairs.items()
    for value in values
)


def texts(svg):
    return [element.text for element in xml.etree.ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


class Drawn(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.made = bench_plots.draw(evaluate(CELLS), self.directory)

    def svg(self, name):
        return (self.directory / name).read_text(encoding="utf-8")

    def test_there_is_a_plot_of_each_group_with_ratios(self):
        groups = ["io-j1", "io-j2", "swap", "floor-write", "pack-written", "pack-freed"]
        self.assertEqual([name for name, _ in self.made], [f"{group}.svg" for group in groups])
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), sorted(name for name, _ in self.made))

    def test_old_plots_go(self):
        bench_plots.draw(evaluate({("swap/in", "ns"): CELLS["swap/in", "cpu"]}), self.directory)
        self.assertEqual([path.name for path in self.directory.iterdir()], ["swap.svg"])

    def test_ratios_have_their_cells_as_text(self):
        found = texts(self.svg("io-j1.svg"))
        for text in ("Reading and writing (1), 1 job", "lz4/text/j1/write-4k", "C zram faster", "zram_rs faster", "1"):
            self.assertIn(text, found)

    def test_processor_time_is_shown_where_it_differs_from_time(self):
        self.assertIn("in (CPU)", texts(self.svg("swap.svg")))
        self.assertEqual(texts(self.svg("io-j2.svg")).count("lz4/text/j2/write-4k (CPU)"), 0)

    def test_the_floor_has_times_and_a_legend(self):
        found = texts(self.svg("floor-write.svg"))
        for text in ("lz4 text write-4k", "4200 ns", "2050 ns", "the compressor alone", "C zram adds", "zram_rs adds"):
            self.assertIn(text, found)

    def test_packed_writeback_has_the_bytes_of_the_most_pages(self):
        found = texts(self.svg("pack-written.svg"))
        for text in ("lz4 text", "4096", "1600", "1100", "1000", "C zram", "packed", "data"):
            self.assertIn(text, found)
        self.assertNotIn("1500", found)

    def test_freed_pages_have_a_plot_for_each_kind_of_data(self):
        found = texts(self.svg("pack-freed.svg"))
        for text in ("lz4 text", "50 %", "after a compaction", "least possible number of blocks"):
            self.assertIn(text, found)

    def test_a_second_run_writes_equal_files(self):
        before = {name: self.svg(name) for name, _ in self.made}
        bench_plots.draw(evaluate(CELLS), self.directory)
        self.assertEqual({name: self.svg(name) for name, _ in self.made}, before)

    def test_each_colour_has_one_for_dark_pages(self):
        for name, _ in self.made:
            svg = self.svg(name)
            style, drawn = svg.split("</style>", 1)
            for colour in set(re.findall(r"#[0-9a-f]{6}\b", drawn)):
                rule = rf'dark\)(.|\n)*\[style\*="fill: {colour}"\] {{ fill: #\w+ !important; }}'
                self.assertRegex(style, rule, name)
            self.assertTrue(all("fill: #" in text for text in re.findall("<text [^>]*>", drawn)), name)


class Parts(unittest.TestCase):
    def test_a_colour_tells_who_is_faster(self):
        for q1, q3, name in ((1.1, 1.2, "green"), (0.8, 0.9, "red"), (0.9, 1.1, "grey")):
            self.assertEqual(bench_plots.colour_of({"q1": q1, "q3": q3}), figures.LIGHT[name])

    def test_labels_of_ticks_keep_their_distance(self):
        self.assertEqual(bench_plots.labelled_ticks([0.5, 0.8, 0.99, 1, 1.01, 2], lambda tick: tick), [0.5, 0.8, 1, 2])


    def test_bytes_are_by_those_of_what_is_left(self):
        of_kind = pack_plots.bytes_of(evaluate(CELLS))["lz4 text"]
        self.assertEqual(pack_plots.line_of(of_kind, "zram_rs", "written", ""), ([0, 50], [1.6, 2.5]))
        self.assertEqual(pack_plots.line_of(of_kind, "zram_rs", "written", "-compacted"), ([0, 50], [1.6, 1.5]))
        self.assertEqual(pack_plots.line_of(of_kind, "zram_rs", "bound", "-bound"), ([0], [1.1]))


class Main(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name, "out")
        self.directory.mkdir()
        self.samples = pathlib.Path(directory.name, "samples")
        self.samples.write_text(SAMPLES, encoding="utf-8")

    def main(self, *arguments):
        """Returns what the program prints and all files that it has written."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            bench_report.main(*map(str, arguments))
        return out.getvalue(), {path.name: path.read_text(encoding="utf-8") for path in self.directory.iterdir()}

    def test_writes_results_tables_and_plots(self):
        out, files = self.main(self.samples, self.directory)
        self.assertIn("Reading and writing (1), ns a page: 2 cells", out)
        self.assertEqual(json.loads(files["results.json"])["results"], evaluate(CELLS))
        self.assertIn(".. image:: io-j1.svg", files["report.rst"])
        self.assertIn("io-j1.svg", files)

    def test_writes_the_others_from_the_results(self):
        before = self.main(self.samples, self.directory)
        for path in self.directory.iterdir():
            if path.name != "results.json":
                path.unlink()
        self.assertEqual(self.main(self.directory), before)

    def test_says_that_nothing_was_measured(self):
        self.samples.write_text("about nothing\n", encoding="utf-8")
        with self.assertRaisesRegex(SystemExit, "has no measurements"):
            self.main(self.samples, self.directory)


if __name__ == "__main__":
    unittest.main()
