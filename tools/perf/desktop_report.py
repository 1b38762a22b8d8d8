#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares the runs of tools/perf/desktop: a table, and a plot over time.

usage: desktop_report.py DIRECTORY SECONDS SEED...

DIRECTORY has a directory for each seed, with a record of each run, NAME.csv, and the last line of its load, NAME.load.
The table has the medians of all seeds, with the least and the most in parentheses. The plot, of the first seed, goes to
DIRECTORY as desktop.svg.
"""

import csv
import pathlib
import statistics
import sys

MIB = 1 << 20
PAGE = 4096
RUNS = {
    "auto": ("zram_rs, by itself", "green"),
    "packed": ("by itself, packed", "red"),
    "none": ("zram_rs, no writeback", "blue"),
    "cron": ("C zram, cron", "amber"),
}
WIDTH, LEFT, RIGHT, HEIGHT, GAP, TOP = 760, 64, 190, 150, 56, 56


def parse_record(lines):
    """Returns the rows of a record, as numbers; a record that was cut off may end within a line."""
    return [
        {name: int(value) for name, value in row.items()}
        for row in csv.DictReader(lines)
        if None not in row.values() and "" not in row.values()
    ]


def parse_load(text):
    """Returns the numbers of the last line of the program desktop."""
    return {name: int(value) for name, _, value in (word.partition("=") for word in text.split())}


def worst_second(rows):
    """Returns how long some task waited for memory in the worst time between two looks, in ms for each second."""
    pairs = [(a, b) for a, b in zip(rows, rows[1:]) if b["time"] > a["time"]]
    return max(((b["some"] - a["some"]) / (b["time"] - a["time"]) for a, b in pairs), default=0)


def mean(rows, name):
    return sum(row[name] for row in rows) / len(rows)


def figures_of(rows, load, seconds):
    """Returns what the table has of a run whose load took so many seconds; the record goes on while it ends."""
    rows = [row for row in rows if row["time"] <= seconds * 1000]
    first, last = rows[0], rows[-1]
    second_half = [row for row in rows if row["time"] * 2 >= last["time"]]
    return {
        "memory available, MiB": mean(second_half, "available") / MIB,
        "memory of zram, MiB": mean(second_half, "memory") / MIB,
        "on the disk, MiB": mean(second_half, "device") * PAGE / MIB,
        "written to the disk, MiB": last["writes"] * PAGE / MIB,
        "pages read back": last["reads"],
        "pages visited": load["visits"],
        "slowest visit, ms": load["slowest_us"] / 1000,
        "visits above 100 ms": load["over_100ms"],
        "some task waits, s": (last["some"] - first["some"]) / 1e6,
        "all tasks wait, s": (last["full"] - first["full"]) / 1e6,
        "worst second, ms": worst_second(rows),
    }


def with_spread(values):
    """Returns the median of values, and the least and the most unless there is one only, as text."""
    middle = f"{statistics.median(values):,.0f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.0f} to {max(values):,.0f})"


def table(runs):
    """Returns the table of runs, each a title and the figures of all seeds, as text."""
    titles = [title for title, _ in runs]
    names = list(runs[0][1][0])
    cells = [["", *titles]] + [
        [name, *(with_spread([figures[name] for figures in seeds]) for _, seeds in runs)] for name in names
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles) + 1)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
        for row in cells
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def draw(records, path):
    """Draws records, each a title, a colour and rows."""
    # Only here, so that all else can be tested without matplotlib.
    from figures import LIGHT, figure, place, save

    panels = [
        ("memory available, MiB", lambda row: row["available"] / MIB),
        ("memory of zram, MiB", lambda row: row["memory"] / MIB),
        ("on the disk, MiB", lambda row: row["device"] * PAGE / MIB),
        ("pages read back so far", lambda row: row["reads"]),
    ]
    title = "A small desktop: 512 MiB, and programs that come and go"
    made = figure(WIDTH, TOP + len(panels) * (HEIGHT + GAP), title)
    for index, (name, value) in enumerate(panels):
        axes = place(made, LEFT, TOP + index * (HEIGHT + GAP), WIDTH - LEFT - RIGHT, HEIGHT)
        for label, colour, rows in records:
            points = [value(row) for row in rows]
            axes.plot([row["time"] / 1000 for row in rows], points, color=LIGHT[colour], linewidth=1.35, label=label)
        axes.set_title(name)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter("{x:g} s")
        axes.grid(axis="y", linewidth=0.8)
        if index == 0:
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0)
    save(made, path, title)


def load_run(directory, name, seconds):
    """Returns the rows and the figures of a run."""
    rows = parse_record((directory / f"{name}.csv").read_text(encoding="utf-8").splitlines())
    if len([row for row in rows if row["time"] <= seconds * 1000]) < 2:
        sys.exit(f"{directory}/{name}.csv has fewer than two looks: let the load run longer.")
    load = parse_load((directory / f"{name}.load").read_text(encoding="utf-8"))
    return rows, figures_of(rows, load, seconds)


def main(directory, seconds, *seeds):
    directory = pathlib.Path(directory)
    records, runs = [], []
    for name, (title, colour) in RUNS.items():
        of_seeds = [load_run(directory / seed, name, int(seconds)) for seed in seeds]
        records.append((title, colour, of_seeds[0][0]))
        runs.append((title, [figures for _, figures in of_seeds]))
    print(f"An hour in {seconds} s, with seeds {', '.join(seeds)}; memory is the mean of the second half.\n")
    print(table(runs))
    draw(records, directory / "desktop.svg")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: desktop_report.py DIRECTORY SECONDS SEED...")
    main(*sys.argv[1:])
