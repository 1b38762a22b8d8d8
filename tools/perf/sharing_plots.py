#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Draws the results of tools/perf/sharing, as it writes them with --json.

usage: sharing_plots.py RESULTS PLOT
"""

import json
import sys

from figures import LIGHT, figure, place, save

WIDTH, COLUMNS, LEFT, TOP, GAP, HEIGHT = 860, 3, 46, 92, 44, 130
DRIVERS = (("zram", "C zram", "blue"), ("zram_rs", "zram_rs", "amber"))
TITLE = "Cache lines that CPUs take from each other for a page, by the number of CPUs"


def curves_of(lines):
    """Returns the curves by cell and then by driver, as lists of pairs of CPUs and transfers.

    Of several lines with the same driver and the same cell, the last one counts.
    """
    found = {}
    for line in lines:
        result = json.loads(line)
        points = sorted((int(cpus), transfers) for cpus, transfers in result["transfers"].items())
        found.setdefault(result["cell"], {})[result["driver"]] = points
    return found


def plot(curves):
    """Returns a figure with a small plot for each cell."""
    rows = -(-len(curves) // COLUMNS)
    width = (WIDTH - LEFT - 20 - GAP * (COLUMNS - 1)) / COLUMNS
    made = figure(WIDTH, TOP + rows * (HEIGHT + GAP + 10), TITLE)
    for number, (cell, of_cell) in enumerate(curves.items()):
        row, column = divmod(number, COLUMNS)
        axes = place(made, LEFT + column * (width + GAP), TOP + row * (HEIGHT + GAP + 10), width, HEIGHT)
        ticks = set()
        for driver, label, colour in DRIVERS:
            points = of_cell.get(driver)
            if not points:
                continue
            ticks.update(cpus for cpus, _ in points)
            axes.plot(*zip(*points), color=LIGHT[colour], label=label, marker="o", markersize=3)
        axes.set_title(cell)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(ticks), [str(cpus) for cpus in sorted(ticks)])
        axes.minorticks_off()
        axes.set_ylim(0, None)
        axes.grid(axis="y", linewidth=0.8)
        if not number:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.15), ncols=2, borderpad=0)
    return made


def main(arguments):
    if len(arguments) != 2:
        sys.exit("usage: see the head of sharing_plots.py")
    with open(arguments[0], encoding="utf-8") as lines:
        curves = curves_of(lines)
    if not curves:
        sys.exit(f"{arguments[0]} has no results: run tools/perf/sharing with --json first")
    save(plot(curves), arguments[1], TITLE)


if __name__ == "__main__":
    main(sys.argv[1:])
