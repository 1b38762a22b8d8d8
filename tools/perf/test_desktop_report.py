# SPDX-License-Identifier: GPL-2.0
"""Tests of desktop_report.py."""

import unittest

import desktop_report as report

HEAD = "time,available,data,compressed,memory,device,reads,writes,some,full"
RECORD = [
    HEAD,
    "0,104857600,0,0,1048576,0,0,0,1000,0",
    "1000,209715200,0,0,2097152,256,5,256,201000,100000",
    "2000,314572800,0,0,3145728,512,7,768,301000,1000000",
    "2500,1,0,0,1,0,99,999,301000,1000000",
    "3000,1,",
]


class DesktopReport(unittest.TestCase):
    def test_a_record_that_was_cut_off(self):
        rows = report.parse_record(RECORD)
        self.assertEqual([row["time"] for row in rows], [0, 1000, 2000, 2500])

    def test_worst_second(self):
        self.assertEqual(report.worst_second(report.parse_record(RECORD)), 200)
        self.assertEqual(report.worst_second([]), 0)

    def test_figures(self):
        load = report.parse_load("visits=9 slowest_us=1500 over_100ms=2 mismatches=0\n")
        figures = report.figures_of(report.parse_record(RECORD), load, 2)
        self.assertEqual(figures["memory available, MiB"], 250)
        self.assertEqual(figures["memory of zram, MiB"], 2.5)
        self.assertEqual(figures["on the disk, MiB"], 1.5)
        self.assertEqual(figures["written to the disk, MiB"], 3)
        self.assertEqual(figures["pages read back"], 7)
        self.assertEqual(figures["slowest visit, ms"], 1.5)
        self.assertEqual(figures["all tasks wait, s"], 1)

    def test_table(self):
        text = report.table([("one", [{"pages": 1234}]), ("other", [{"pages": 5}])])
        self.assertEqual(text.splitlines()[3], "pages  1,234      5")

    def test_table_of_several_seeds(self):
        text = report.table([("one", [{"pages": 7}, {"pages": 1234}, {"pages": 9}])])
        self.assertEqual(text.splitlines()[3], "pages  9 (7 to 1,234)")


if __name__ == "__main__":
    unittest.main()
