# SPDX-License-Identifier: GPL-2.0
"""Turns samples into results: medians, ratios of pairs, and their spread.

A ratio is the result of C zram divided by that of zram_rs in one pair: above 1, zram_rs was faster, or smaller.
A result is a dictionary, as results.json has it.
"""

import statistics
from typing import NamedTuple

TITLES = {
    "io": "Reading and writing (1)",
    "fio": "Reading and writing, by fio (1)",
    "large": "Requests of the sizes of large folios (11)",
    "swap": "Swap (2)",
    "writeback": "Writeback (3)",
    "readback": "Readback (4)",
    "readlarge": "Readback of 1 MiB at a time (4)",
    "pack": "Packed writeback (10)",
    "blocks": "Blocks of a large device (5)",
    "stat": "mm_stat while a writeback runs (6)",
    "memory": "Memory (7)",
    "scale": "As many jobs as processors (8)",
    "contention": "Many jobs on one page (9)",
    "free": "Freeing (11)",
    "folios": "Swap of large folios (12)",
}
UNITS = {
    "ns": "ns a page",
    "cpu": "ns of CPU a page",
    "p50": "ns, half of the pages in less",
    "p99": "ns, 99 of 100 pages in less",
    "bytes": "bytes",
    "worst-us": "us, the longest",
    "mean-us": "us, on average",
    "switches": "task switches in 1000 pages",
}
# The metrics of the summary.
COSTS = ("ns", "cpu", "p50", "p99", "bytes", "worst-us")
# Metrics that are no cost, or none that can be divided by: there is no ratio.
PLAIN = {"gib-in-use", "switches"}
# Fewer pairs do not show whether a ratio below 1 is more than noise.
ENOUGH_PAIRS = 4


def spread(values):
    """Returns the median, the quartiles (interpolated) and the extremes of values."""
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"n": len(values), "median": median, "min": min(values), "max": max(values), "q1": q1, "q3": q3}


def ratios_of(c_pairs, rust_pairs):
    """Returns the ratio of each pair that has both drivers and no result of zero, in the order of the pairs."""
    ratios = []
    for pair in sorted(c_pairs.keys() & rust_pairs.keys()):
        ours, theirs = statistics.median(rust_pairs[pair]), statistics.median(c_pairs[pair])
        if ours > 0 and theirs > 0:
            ratios.append(theirs / ours)
    return ratios


def evaluate(cells, processors=2):
    """Returns a result for each cell and metric of Samples.cells; guests for several jobs had so many processors."""
    results = []
    for (cell, metric), by_driver in cells.items():
        result = {"cell": cell, "metric": metric, "group": cell.split("/")[0]}
        for driver, pairs in by_driver.items():
            result[driver] = spread([statistics.median(values) for values in pairs.values()])
        if {"zram", "zram_rs"} <= by_driver.keys() and metric not in PLAIN:
            ratios = ratios_of(by_driver["zram"], by_driver["zram_rs"])
            if ratios:
                result["ratios"] = ratios
                result["ratio"] = spread(ratios)
        results.append(result)
    add_floor(results, processors)
    return results


def add_floor(results, processors):
    """Adds to some results the compressor's part of the time, and what each driver adds to it.

    These are io with one job, which has one processor, and large requests, which all processors can share.
    """
    floor = {r["cell"]: r["floor"]["median"] for r in results if "floor" in r}
    for result in results:
        parts = result["cell"].split("/")
        if result["metric"] != "ns" or parts[0] != "large" and (parts[0] != "io" or parts[3] != "j1"):
            continue
        what = "compress" if "write" in parts[4] else "decompress"
        base = floor.get(f"floor/{parts[1]}/{parts[2]}/{what}")
        if base is not None:
            base /= processors if parts[0] == "large" else 1
            result["floor_ns"] = base
            for driver in ("zram", "zram_rs"):
                if driver in result:
                    result[f"overhead_ns_{driver}"] = result[driver]["median"] - base


class Summary(NamedTuple):
    """The ratios of all cells of a group in one metric."""

    title: str
    unit: str
    cells: int
    mean: float
    lowest: float
    highest: float
    # Cells where zram_rs is behind by more than noise; None if there are too few pairs to tell.
    behind: int | None


def summary(results):
    """Returns a Summary for each group and metric that has ratios."""
    rows = []
    for group, title in TITLES.items():
        for metric in COSTS:
            ratios = [r["ratio"] for r in results if (r["group"], r["metric"]) == (group, metric) and "ratio" in r]
            if not ratios:
                continue
            behind = None
            if min(r["n"] for r in ratios) >= ENOUGH_PAIRS:
                behind = sum(r["median"] < 0.98 and r["q3"] < 1 for r in ratios)
            medians = [r["median"] for r in ratios]
            mean = statistics.geometric_mean(medians)
            rows.append(Summary(title, UNITS[metric], len(ratios), mean, min(medians), max(medians), behind))
    return rows


def noise(results):
    """Returns the number of pairs, and the largest ratio by the smallest in the middle cell; None without ratios."""
    ratios = [r["ratio"] for r in results if "ratio" in r and r["metric"] == "ns"]
    if not ratios:
        return None
    return ratios[0]["n"], statistics.median(r["max"] / r["min"] for r in ratios)
