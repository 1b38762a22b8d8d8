# SPDX-License-Identifier: GPL-2.0
"""Draws results as plots."""

from figures import LIGHT, figure, place, save

from bench_statistics import TITLES
from bench_tables import number
import pack_plots

WIDTH = 860
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000)
# The least distance of two labels of the ratios' axis, as a part of its length.
TICK_DISTANCE = 0.055


def label_of(result):
    """Returns the name of a cell in its plot, which has the group as its title."""
    cell = result["cell"].partition("/")[2] or result["cell"]
    return cell + {"cpu": " (CPU)", "p50": " (p50)", "p99": " (p99)"}.get(result["metric"], "")


def colour_of(ratio):
    """Returns the colour of a ratio: green or red if three quarters of the pairs agree about who is faster."""
    if ratio["q1"] > 1:
        return LIGHT["green"]
    return LIGHT["red"] if ratio["q3"] < 1 else LIGHT["grey"]


def labelled_ticks(ticks, position):
    """Returns those of the ticks that have room for a label; 1 always has one."""
    kept = []
    for tick in ticks:
        while kept and kept[-1] != 1 and tick == 1 and position(tick) - position(kept[-1]) < TICK_DISTANCE:
            kept.pop()
        if not kept or position(tick) - position(kept[-1]) >= TICK_DISTANCE:
            kept.append(tick)
    return kept


def plot_ratios(title, results):
    """Returns a figure with one line for each cell: the median, the quartiles, and all pairs, on a logarithmic axis."""
    left, right, top, bottom, step = 300, 40, 56, 34, 15
    made = figure(WIDTH, top + step * len(results) + bottom, title)
    axes = place(made, left, top, WIDTH - left - right, step * len(results))
    ratios = [r["ratio"] for r in results]
    axes.set_xscale("log")
    axes.set_xlim(min(0.8, *(r["min"] for r in ratios)), max(1.25, *(r["max"] for r in ratios)))
    axes.set_ylim(len(results) - 0.5, -0.5)
    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    to_axis = axes.transData - axes.transAxes
    shown = labelled_ticks(ticks, lambda tick: to_axis.transform((tick, 0))[0])
    axes.set_xticks(ticks, [f"{tick:g}" if tick in shown else "" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", linewidth=0.8)
    axes.axvline(1, color=LIGHT["axis"], linewidth=1)
    axes.set_yticks(range(len(results)), [label_of(r) for r in results], fontsize=7.5)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title("C zram faster", loc="left")
    axes.set_title("zram_rs faster", loc="right")
    for colour in dict.fromkeys(map(colour_of, ratios)):
        some = [(row, r) for row, r in enumerate(ratios) if colour_of(r) == colour]
        rows = [row for row, _ in some]
        axes.hlines(rows, [r["min"] for _, r in some], [r["max"] for _, r in some], colour, linewidth=0.8)
        axes.hlines(rows, [r["q1"] for _, r in some], [r["q3"] for _, r in some], colour, linewidth=3, alpha=0.5)
        axes.plot([r["median"] for _, r in some], rows, "o", color=colour, markersize=5, markeredgewidth=0)
    return made


def plot_floor(title, results):
    """Returns a figure of the time of a page: the compressor's part, and what each driver adds to it."""
    left, right, top, bottom, step = 230, 60, 64, 10, 34
    made = figure(WIDTH, top + step * len(results) + bottom, title)
    axes = place(made, left, top, WIDTH - left - right, step * len(results))
    for offset, driver, name, colour in ((-0.19, "zram", "C zram", "blue"), (0.19, "zram_rs", "zram_rs", "amber")):
        rows = [row + offset for row in range(len(results))]
        totals = [r[driver]["median"] for r in results]
        bases = [min(total, r["floor_ns"]) for total, r in zip(totals, results)]
        label = "the compressor alone" if driver == "zram" else None
        axes.barh(rows, bases, 0.36, color=LIGHT["grey"], label=label)
        above = [total - base for total, base in zip(totals, bases)]
        axes.barh(rows, above, 0.36, bases, color=LIGHT[colour], label=f"{name} adds")
        for row, total in zip(rows, totals):
            axes.annotate(
                f"{number(total)} ns", (total, row), (4, 0), textcoords="offset points", va="center", fontsize=7.5
            )
    axes.set_xlim(0, max(max(r["zram"]["median"], r["zram_rs"]["median"], r["floor_ns"]) for r in results))
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(range(len(results)), [" ".join(r["cell"].split("/")[i] for i in (1, 2, 4)) for r in results])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderpad=0)
    return made


def chosen_ratios(results):
    """Yields the name, the title, the results and the function of each plot of ratios."""
    for group, title in TITLES.items():
        # What matters there is no ratio: see pack_plots.
        if group == "pack":
            continue
        some = [
            r
            for r in results
            if r["group"] == group
            and "ratio" in r
            and (r["metric"] != "cpu" or group in ("swap", "writeback", "readback", "readlarge"))
        ]
        if group != "io":
            yield group, title, some, plot_ratios
            continue
        # There are too many cells for one picture.
        for jobs, text in (("j1", "1 job"), ("j2", "2 jobs")):
            yield f"io-{jobs}", f"{title}, {text}", [r for r in some if r["cell"].split("/")[3] == jobs], plot_ratios


def chosen_floors(results):
    """Yields the name, the title, the results and the function of each plot of the compressor's part."""
    for way, title in (("write", "Writing"), ("read", "Reading")):
        yield f"floor-{way}", f"{title} a page, and the compressor alone", [
            r
            for r in results
            if {"floor_ns", "zram", "zram_rs"} <= r.keys() and r["cell"].split("/")[4] in (f"{way}-1m", f"{way}-4k")
        ], plot_floor


def draw(results, directory):
    """Draws all plots that there are results for, instead of those in directory; returns their files and titles."""
    for old in directory.glob("*.svg"):
        old.unlink()
    made = []
    for name, title, some, plot in (*chosen_ratios(results), *chosen_floors(results), *pack_plots.chosen(results)):
        if some:
            save(plot(title, some), directory / f"{name}.svg", title)
            made.append((f"{name}.svg", title))
    return made
