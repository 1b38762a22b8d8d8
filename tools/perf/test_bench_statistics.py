# SPDX-License-Identifier: GPL-2.0
"""Tests of bench_statistics.py."""

import unittest

from bench_statistics import evaluate, noise, ratios_of, spread, summary


def result(cell, metric="ns", **ratio):
    """Returns a result of which the summary is made."""
    ratio = {"n": 5, "median": 1, "min": 1, "max": 1, "q1": 1, "q3": 1} | ratio
    return {"cell": cell, "metric": metric, "group": cell.split("/")[0], "ratio": ratio}


class Spread(unittest.TestCase):
    def test_quartiles_are_between_the_two_nearest_values(self):
        self.assertEqual(
            spread([40, 10, 20, 30]), {"n": 4, "median": 25, "min": 10, "max": 40, "q1": 17.5, "q3": 32.5}
        )

    def test_quartiles_of_five_values_are_values(self):
        found = spread([5, 1, 4, 2, 3])
        self.assertEqual((found["q1"], found["median"], found["q3"]), (2, 3, 4))

    def test_one_value_is_all(self):
        self.assertEqual(spread([7]), {"n": 1, "median": 7, "min": 7, "max": 7, "q1": 7, "q3": 7})


class Ratios(unittest.TestCase):
    def test_a_ratio_is_c_by_rust_of_the_medians_of_a_pair(self):
        self.assertEqual(ratios_of({1: [10, 100, 20]}, {1: [5, 1, 10]}), [4])

    def test_ratios_are_in_the_order_of_pairs(self):
        self.assertEqual(ratios_of({2: [6], 1: [4]}, {1: [1], 2: [1]}), [4, 6])

    def test_a_pair_without_the_other_driver_has_none(self):
        self.assertEqual(ratios_of({1: [4], 2: [6]}, {2: [2], 3: [1]}), [3])

    def test_a_result_of_zero_has_none(self):
        self.assertEqual(ratios_of({1: [4], 2: [0]}, {1: [0], 2: [2]}), [])


class Evaluate(unittest.TestCase):
    def test_a_cell_has_each_driver_and_the_ratios(self):
        (found,) = evaluate({("swap/in", "cpu"): {"zram": {1: [4], 2: [8]}, "zram_rs": {1: [2], 2: [2]}}})
        self.assertEqual((found["cell"], found["metric"], found["group"]), ("swap/in", "cpu", "swap"))
        self.assertEqual((found["zram"]["median"], found["zram_rs"]["median"]), (6, 2))
        self.assertEqual((found["ratios"], found["ratio"]["median"]), ([2, 4], 3))

    def test_one_driver_alone_has_no_ratio(self):
        (found,) = evaluate({("swap/in", "ns"): {"zram": {1: [4]}}})
        self.assertNotIn("ratio", found)

    def test_what_is_no_cost_has_no_ratio(self):
        (found,) = evaluate({("contention/a", "switches"): {"zram": {1: [4]}, "zram_rs": {1: [2]}}})
        self.assertNotIn("ratio", found)


class Floor(unittest.TestCase):
    def over(self, cell, metric="ns", processors=2):
        """Returns the time of the compressor that belongs to a cell, and what both drivers add to it."""
        cells = {
            ("floor/lz4/text/compress", "ns"): {"floor": {1: [3]}},
            ("floor/lz4/text/decompress", "ns"): {"floor": {1: [2]}},
            (cell, metric): {"zram": {1: [10]}, "zram_rs": {1: [7]}},
        }
        found = evaluate(cells, processors)[-1]
        return [found.get(key) for key in ("floor_ns", "overhead_ns_zram", "overhead_ns_zram_rs")]

    def test_a_write_is_over_the_time_to_compress(self):
        self.assertEqual(self.over("io/lz4/text/j1/randwrite-4k"), [3, 7, 4])

    def test_a_read_is_over_the_time_to_decompress(self):
        self.assertEqual(self.over("io/lz4/text/j1/read-1m"), [2, 8, 5])

    def test_large_requests_share_all_processors(self):
        self.assertEqual(self.over("large/lz4/text/j1/write-2m"), [1.5, 8.5, 5.5])
        self.assertEqual(self.over("large/lz4/text/j2/read-64k"), [1, 9, 6])
        self.assertEqual(self.over("large/lz4/text/j1/write-2m", processors=1), [3, 7, 4])

    def test_other_cells_have_no_floor(self):
        for cell, metric in (
            ("io/lz4/text/j2/read-1m", "ns"),
            ("io/lz4/text/j1/read-1m", "cpu"),
            ("io/zstd/text/j1/read-1m", "ns"),
            ("large/zstd/text/j1/read-2m", "ns"),
            ("large/lz4/text/j1/read-2m", "cpu"),
            ("fio/lz4/text/j1/read-1m", "ns"),
        ):
            self.assertEqual(self.over(cell, metric), [None] * 3, cell)


class Summary(unittest.TestCase):
    def test_the_mean_is_geometric(self):
        (row,) = summary([result("io/a", median=0.5), result("io/b", median=8)])
        self.assertAlmostEqual(row.mean, 2)
        self.assertEqual((row.cells, row.lowest, row.highest), (2, 0.5, 8))

    def test_behind_is_what_is_slower_by_more_than_noise(self):
        rows = [
            result("io/behind", median=0.97, q3=0.99),
            result("io/small", median=0.985, q3=0.99),
            result("io/noise", median=0.9, q3=1.01),
        ]
        self.assertEqual(summary(rows)[0].behind, 1)

    def test_three_pairs_do_not_tell(self):
        self.assertIsNone(summary([result("io/a"), result("io/b", n=3)])[0].behind)

    def test_groups_and_metrics_are_apart(self):
        rows = summary([result("swap/a"), result("io/a"), result("swap/a", "cpu"), result("swap/a", "mean-us")])
        self.assertEqual(
            [(row.title, row.unit) for row in rows],
            [("Reading and writing (1)", "ns a page"), ("Swap (2)", "ns a page"), ("Swap (2)", "ns of CPU a page")],
        )


class Noise(unittest.TestCase):
    def test_is_that_of_the_middle_cell(self):
        rows = [result("io/a", min=1, max=3), result("io/b", min=2, max=4), result("io/c", min=1, max=1)]
        self.assertEqual(noise(rows), (5, 2))

    def test_there_is_none_without_ratios(self):
        self.assertIsNone(noise([result("memory/a", "bytes")]))


if __name__ == "__main__":
    unittest.main()
