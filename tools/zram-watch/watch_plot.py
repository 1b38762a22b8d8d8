#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: watch_plot.py RECORD PLOT [DEVICE]
#
# Draws a recording of zram-watch --csv over time as PLOT, an SVG, for one device (by default the first in RECORD):
# stored data and the memory that it takes, idle pages and pages on the backing device; below, the rates of writeback
# and readback, and the requests in flight.
#
# This script writes the SVG itself, so that no package is needed.

import csv
import html
import math
import sys

MIB = 1 << 20
WIDTH, LEFT, RIGHT = 760, 64, 170
# Of each panel.
HEIGHT, GAP, TOP = 170, 56, 52

STYLE = """
svg { font: 12px sans-serif; }
.paper { fill: #ffffff; } text { fill: #1f2328; } .grid { stroke: #d0d7de; } .axis { stroke: #57606a; }
.a { stroke: #0969da; } .b { stroke: #1a7f37; } .c { stroke: #9a6700; } .d { stroke: #cf222e; }
path.dot, path.dots { stroke-dasharray: 5 3; } path, circle { fill: none; stroke-width: 1.8; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } text { fill: #e6edf3; } .grid { stroke: #30363d; } .axis { stroke: #8b949e; }
.a { stroke: #58a6ff; } .b { stroke: #3fb950; } .c { stroke: #d29922; } .d { stroke: #ff7b72; }
}
"""


def load(path, device):
    rows = []
    with open(path, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            device = device or row["device"]
            # A recording that was cut off may end within a line.
            if row["device"] == device and None not in row.values():
                rows.append({k: float(v) if v else None for k, v in row.items() if k != "device"})
    return device, rows


def column(rows, name, scale=1.0):
    return [(r["time"], r[name] / scale) for r in rows if r[name] is not None]


def rates(rows, name, scale):
    """How fast a counter grew between each two looks, at the time of the second."""
    points = column(rows, name, scale)
    return [(t1, max(v1 - v0, 0) / (t1 - t0)) for (t0, v0), (t1, v1) in zip(points, points[1:]) if t1 > t0]


def step(most, parts=5):
    """The smallest round number of which no more than so many make up the most."""
    size = 10 ** math.floor(math.log10(most / parts))
    return next(size * m for m in (1, 2, 5, 10) if size * m * parts >= most)


def number(value):
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def panel(top, title, series, end):
    """One panel: series are (class, label, points)."""
    series = [s for s in series if s[2]]
    most = max((v for _, _, points in series for _, v in points), default=0) or 1
    wide = WIDTH - LEFT - RIGHT
    out = [f'<text x="{LEFT}" y="{top - 10}">{html.escape(title)}</text>']
    size = step(most)
    if all(v == int(v) for _, _, points in series for _, v in points):
        size = max(size, 1)
    most = -(-most // size) * size
    value = 0.0
    while value <= most + size / 2:
        y = top + HEIGHT - HEIGHT * value / most
        out.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + wide}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
        value += size
    size, at = step(end, 8), 0.0
    while at <= end:
        x = LEFT + wide * at / end
        out.append(f'<line class="axis" x1="{x:.1f}" y1="{top + HEIGHT}" x2="{x:.1f}" y2="{top + HEIGHT + 4}"/>')
        out.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 18}" text-anchor="middle">{number(at)} s</text>')
        at += size
    out.append(f'<line class="axis" x1="{LEFT}" y1="{top + HEIGHT}" x2="{LEFT + wide}" y2="{top + HEIGHT}"/>')
    for i, (kind, label, points) in enumerate(series):
        line = " ".join(f"{LEFT + wide * t / end:.1f},{top + HEIGHT - HEIGHT * v / most:.1f}" for t, v in points)
        out.append(f'<path class="{kind}" d="M{line}"/>')
        if "dots" in kind:
            out += ['<circle class="{}" cx="{}" cy="{}" r="2.5"/>'.format(kind, *at.split(",")) for at in line.split()]
        x, y = LEFT + wide + 12, top + 10 + i * 20
        out.append(f'<path class="{kind}" d="M{x},{y} {x + 20},{y}"/><text x="{x + 26}" y="{y + 4}">{label}</text>')
    return out


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: watch_plot.py RECORD PLOT [DEVICE]")
    device, rows = load(sys.argv[1], sys.argv[3] if len(sys.argv) == 4 else "")
    if len(rows) < 2:
        sys.exit(f"watch_plot.py: there is nothing to draw in {sys.argv[1]}")
    end = rows[-1]["time"] or 1
    idle = [(t, v * 4096) for t, v in column(rows, "idle", MIB)]
    panels = [
        ("MiB", [
            ("a", "data", column(rows, "data", MIB)),
            ("b", "memory for it", column(rows, "memory", MIB)),
            ("c", "on the backing device", column(rows, "backed", MIB)),
            ("d dots", "idle, when counted", idle),
        ]),
        ("MiB per second", [
            ("c", "written back", rates(rows, "written", MIB)),
            ("a", "read back", rates(rows, "read", MIB)),
        ]),
        ("requests under way, at the moment of a look", [
            ("c", "writes to backing", column(rows, "backing_writes")),
            ("a", "reads from backing", column(rows, "backing_reads")),
            ("b dot", "reads of the device", column(rows, "reads")),
        ]),
    ]
    panels = [(title, series) for title, series in panels if any(points for _, _, points in series)]
    height = TOP + len(panels) * (HEIGHT + GAP)
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{html.escape(device)}, {end:.0f} s</text>',
    ]
    for i, (title, series) in enumerate(panels):
        out += panel(TOP + i * (HEIGHT + GAP), title, series, end)
    with open(sys.argv[2], "w", encoding="utf-8") as plot:
        plot.write("\n".join(out + ["</svg>", ""]))


main()
