#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Draws a recording of zram-watch --csv over time.

usage: watch_plot.py RECORD PLOT [DEVICE]

Writes PLOT, an SVG, for one device of RECORD (by default the first): stored data and the memory that it takes, idle
pages and pages on the backing device; below, the rates of writeback and readback, and the requests in flight.
"""

import csv
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "perf"))

MIB = 1 << 20
PAGE = 4096
WIDTH, LEFT, RIGHT = 760, 64, 190
# Of each panel.
HEIGHT, GAP, TOP = 170, 56, 56


def parse(lines, device=""):
    """Returns the device and its rows, in which an empty field is None; without a device, those of the first one."""
    rows = []
    for row in csv.DictReader(lines):
        device = device or row["device"]
        # A recording that was cut off may end within a line.
        if row["device"] == device and None not in row.values():
            rows.append({name: float(value) if value else None for name, value in row.items() if name != "device"})
    return device, rows


def column(rows, name, scale=1.0):
    """Returns the points of a column, as pairs of a time and a value."""
    return [(row["time"], row[name] / scale) for row in rows if row[name] is not None]


def rates(rows, name, scale):
    """Returns how fast a counter grew between each two looks, at the time of the second."""
    points = column(rows, name, scale)
    return [(t1, max(v1 - v0, 0) / (t1 - t0)) for (t0, v0), (t1, v1) in zip(points, points[1:]) if t1 > t0]


def panels(rows):
    """Returns the panels that have points: the title, and the series as (colour, style, label, points)."""
    idle = [(time, pages * PAGE / MIB) for time, pages in column(rows, "idle")]
    every = [
        (
            "MiB",
            [
                ("blue", "line", "data", column(rows, "data", MIB)),
                ("green", "line", "memory for it", column(rows, "memory", MIB)),
                ("amber", "line", "on the backing device", column(rows, "backed", MIB)),
                ("red", "dots", "idle, when counted", idle),
            ],
        ),
        (
            "MiB per second",
            [
                ("amber", "line", "written back", rates(rows, "written", MIB)),
                ("blue", "line", "read back", rates(rows, "read", MIB)),
            ],
        ),
        (
            "requests under way, at the moment of a look",
            [
                ("amber", "line", "writes to backing", column(rows, "backing_writes")),
                ("blue", "line", "reads from backing", column(rows, "backing_reads")),
                ("green", "dashes", "reads of the device", column(rows, "reads")),
            ],
        ),
    ]
    with_points = [(title, [line for line in series if line[3]]) for title, series in every]
    return [(title, series) for title, series in with_points if series]


def draw_panel(axes, title, series, end):
    """Draws one panel, from the beginning of the recording to its end in seconds."""
    # Only here, so that all else can be tested without matplotlib.
    from figures import LIGHT
    from matplotlib.ticker import MaxNLocator

    for colour, style, label, points in series:
        axes.plot(
            [time for time, _ in points],
            [value for _, value in points],
            color=LIGHT[colour],
            linewidth=1.35,
            linestyle="solid" if style == "line" else (0, (4, 2)),
            marker="o" if style == "dots" else None,
            markersize=4,
            markerfacecolor="none",
            label=label,
        )
    values = [value for *_, points in series for _, value in points]
    axes.set_title(title)
    axes.set_xlim(0, end)
    axes.set_ylim(0, max(values) * 1.05 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=all(v == int(v) for v in values)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)


def draw(device, rows, path):
    from figures import figure, place, save

    end = rows[-1]["time"] or 1
    shown = panels(rows)
    title = f"{device}, {end:.0f} s"
    made = figure(WIDTH, TOP + len(shown) * (HEIGHT + GAP), title)
    for index, (name, series) in enumerate(shown):
        axes = place(made, LEFT, TOP + index * (HEIGHT + GAP), WIDTH - LEFT - RIGHT, HEIGHT)
        draw_panel(axes, name, series, end)
    save(made, path, title)


def main(record, plot, device=""):
    with open(record, encoding="utf-8", newline="") as lines:
        device, rows = parse(lines, device)
    if len(rows) < 2 or not panels(rows):
        sys.exit(f"{record} has fewer than two looks at {device or 'a device'}: let zram-watch --csv run longer")
    draw(device, rows, plot)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: watch_plot.py RECORD PLOT [DEVICE]")
    main(*sys.argv[1:])
