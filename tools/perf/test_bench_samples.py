# SPDX-License-Identifier: GPL-2.0
"""Tests of bench_samples.py."""

import unittest

from bench_samples import parse


class Parse(unittest.TestCase):
    def test_collects_the_values_of_a_pair(self):
        samples = parse(
            [
                "sample 1 zram io/a ns 3\n",
                "sample 1 zram io/a ns 4.5\n",
                "sample 2 zram_rs io/a ns 2\n",
                "sample 2 zram_rs io/a cpu 1\n",
            ]
        )
        self.assertEqual(
            samples.cells,
            {
                ("io/a", "ns"): {"zram": {1: [3, 4.5]}, "zram_rs": {2: [2]}},
                ("io/a", "cpu"): {"zram_rs": {2: [1]}},
            },
        )

    def test_keeps_the_order_of_cells(self):
        samples = parse(["sample 1 zram io/b ns 1\n", "sample 1 zram io/a ns 1\n"])
        self.assertEqual([cell for cell, _ in samples.cells], ["io/b", "io/a"])

    def test_tells_each_skipped_thing_once(self):
        samples = parse(["skip 1 zstd is not there\n", "skip 2 zstd is not there\n", "skip 2 no fio\n"])
        self.assertEqual(samples.skipped, ["no fio", "zstd is not there"])

    def test_tells_what_was_measured_and_that_it_was_late(self):
        samples = parse(["about size full\n", "late\n"])
        self.assertEqual((samples.about, samples.late), (["size full"], True))

    def test_knows_lines_of_others(self):
        samples = parse(["end 1 io/a\n", "done 1 1 any io\n"])
        self.assertEqual((samples.cells, samples.about, samples.late), ({}, [], False))


if __name__ == "__main__":
    unittest.main()
