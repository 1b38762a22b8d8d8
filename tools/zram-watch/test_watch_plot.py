# SPDX-License-Identifier: GPL-2.0
"""Tests of watch_plot.py, on small recordings."""

import importlib.util
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

from watch_plot import MIB, column, draw, main, panels, parse, rates

HEAD = "time,device,data,memory,backed,idle,written,read,backing_writes,backing_reads,reads\n"
RECORD = [
    HEAD,
    f"0,zram0,{MIB},0,,256,0,,0,,\n",
    f"0,zram1,{9 * MIB},0,,,0,,0,,\n",
    f"2,zram0,{3 * MIB},{MIB},,,{4 * MIB},,1,,\n",
    f"4,zram0,{2 * MIB},{MIB},,512,{3 * MIB},,0,,\n",
]


class Parse(unittest.TestCase):
    def test_takes_the_first_device(self):
        device, rows = parse(RECORD)
        self.assertEqual(device, "zram0")
        self.assertEqual([row["data"] for row in rows], [MIB, 3 * MIB, 2 * MIB])
        self.assertNotIn("device", rows[0])

    def test_takes_the_named_device(self):
        self.assertEqual([row["data"] for row in parse(RECORD, "zram1")[1]], [9 * MIB])

    def test_leaves_out_a_line_that_was_cut_off(self):
        self.assertEqual(len(parse(RECORD + ["6,zram0,12\n"])[1]), 3)

    def test_makes_nothing_of_an_empty_field(self):
        self.assertIsNone(parse(RECORD)[1][0]["backed"])


class Points(unittest.TestCase):
    def setUp(self):
        self.rows = parse(RECORD)[1]

    def test_a_column_has_the_times_at_which_there_was_a_value(self):
        self.assertEqual(column(self.rows, "idle"), [(0, 256), (4, 512)])

    def test_a_column_is_scaled(self):
        self.assertEqual(column(self.rows, "data", MIB), [(0, 1), (2, 3), (4, 2)])

    def test_a_rate_is_per_second_and_that_of_a_counter_that_restarts_is_zero(self):
        self.assertEqual(rates(self.rows, "written", MIB), [(2, 2), (4, 0)])

    def test_two_looks_at_one_time_have_no_rate(self):
        rows = [{"time": 1, "read": 0}, {"time": 1, "read": 5}]
        self.assertEqual(rates(rows, "read", 1), [])


class Panels(unittest.TestCase):
    def test_series_without_points_are_left_out(self):
        found = {title: [label for _, _, label, _ in series] for title, series in panels(parse(RECORD)[1])}
        self.assertEqual(found["MiB"], ["data", "memory for it", "idle, when counted"])
        self.assertEqual(found["MiB per second"], ["written back"])

    def test_panels_without_series_are_left_out(self):
        rows = [dict(row, backing_writes=None, written=None) for row in parse(RECORD)[1]]
        self.assertEqual([title for title, _ in panels(rows)], ["MiB"])

    def test_idle_pages_are_counted_in_mib(self):
        self.assertEqual(panels(parse(RECORD)[1])[0][1][-1][3], [(0, 1), (4, 2)])


class Main(unittest.TestCase):
    def test_one_look_is_too_little(self):
        with tempfile.TemporaryDirectory() as directory:
            record = pathlib.Path(directory, "record.csv")
            record.write_text("".join(RECORD[:2]), encoding="utf-8")
            with self.assertRaisesRegex(SystemExit, "fewer than two looks at zram0"):
                main(record, record.with_suffix(".svg"))


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
class Draw(unittest.TestCase):
    def test_has_each_panel_and_each_series_as_text(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "run.svg")
            draw("zram0", parse(RECORD)[1], path)
            texts = [e.text for e in xml.etree.ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
        for text in ("zram0, 4 s", "MiB", "MiB per second", "data", "idle, when counted", "written back", "2 s"):
            self.assertIn(text, texts)


if __name__ == "__main__":
    unittest.main()
