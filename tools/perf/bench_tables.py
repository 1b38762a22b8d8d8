# SPDX-License-Identifier: GPL-2.0
"""Writes results as a page of reStructuredText, and their summary as text."""

from bench_statistics import TITLES, UNITS, noise, summary

HEAD = """\
.. SPDX-License-Identifier: GPL-2.0

============================
C zram and zram_rs, measured
============================

Written by ``tools/bench``. A ratio is what C zram took by what zram_rs took in the same pair of runs in
the same guest: above 1, zram_rs is faster, or smaller. It is the median of the pairs, with the quartiles,
and the smallest and the largest in parentheses. Whether a difference is more than noise is for the spread
to say. Times are medians.
"""
BEHIND = "*Behind*: cells whose median is below 0.98, and whose third quartile is below 1, if there are four pairs."


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def table(head, rows):
    """Returns a table without a grid."""
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head] + rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])


def heading(title):
    return [title, "-" * len(title), ""]


def behind_text(row):
    return "too few pairs to tell which are" if row.behind is None else row.behind


def summary_table(results):
    return table(
        ["cells", "of", "number", "geometric mean", "lowest", "highest", "behind"],
        [
            [s.title, s.unit, s.cells, f"{s.mean:.3f}", f"{s.lowest:.3f}", f"{s.highest:.3f}", behind_text(s)]
            for s in summary(results)
        ],
    )


def floor_table(floor):
    return table(
        ["cell", "", "median", "from", "to"],
        [
            [r["cell"].removeprefix("floor/"), UNITS[r["metric"]]]
            + [number(r["floor"][key]) for key in ("median", "min", "max")]
            for r in floor
        ],
    )


def group_row(result, with_floor):
    """Returns the row of a result in the table of its group, with a column for what is over the floor, or without."""
    row = [result["cell"].split("/", 1)[1], UNITS.get(result["metric"], result["metric"])]
    row += [number(result[driver]["median"]) if driver in result else "-" for driver in ("zram", "zram_rs")]
    if with_floor:
        over = [result.get(f"overhead_ns_{driver}") for driver in ("zram", "zram_rs")]
        row.append("-" if None in over else " / ".join(map(number, over)))
    ratio = result.get("ratio")
    if not ratio:
        return row + ["-"] * 4
    return row + [
        f"{ratio['median']:.3f}",
        f"{ratio['q1']:.3f} .. {ratio['q3']:.3f}",
        f"({ratio['min']:.3f} .. {ratio['max']:.3f})",
        ratio["n"],
    ]


FLOOR = (
    "*Over the floor*: what is left of the time when the compressor's is taken away, C and ours.",
    "*Over the floor*: what is left of the time when the compressor's on all processors is taken away, C and ours.",
)


def group_section(group, results):
    """Returns the lines of a group, none if it has no results."""
    results = [r for r in results if r["group"] == group]
    if not results:
        return []
    with_floor = any("floor_ns" in r for r in results)
    lines = heading(TITLES[group])
    if with_floor:
        lines += [FLOOR[group == "large"], ""]
    head = ["cell", "", "C zram", "zram_rs"] + ["over the floor"] * with_floor + ["ratio", "quartiles", "all", "n"]
    return lines + [table(head, [group_row(r, with_floor) for r in results])]


def report(about, skipped, late, results, plots):
    """Returns the page; plots are pairs of a file and the text in its place."""
    out = [HEAD] + [f"- {line}" for line in dict.fromkeys(about)] + [""]
    if late:
        out += ["There was not enough time for all pairs; the column ``n`` tells how many there were.", ""]
    if skipped:
        out += ["Not there:", ""] + [f"- {line}" for line in skipped] + [""]
    out += heading("Summary")
    out += [BEHIND, "", summary_table(results)]
    for plot, text in plots:
        out += [f".. image:: {plot}", f"   :alt: {text}", ""]
    floor = [r for r in results if "floor" in r]
    if floor:
        out += heading("The floor") + ["The compressor alone, on the same pages.", "", floor_table(floor)]
    for group in TITLES:
        out += group_section(group, results)
    return "\n".join(out)


def summary_text(results):
    """Returns the summary for a terminal."""
    out = ["Ratios, C zram by zram_rs (above 1: zram_rs is faster or smaller), medians of pairs:"]
    for row in summary(results):
        out.append(
            f"  {row.title}, {row.unit}: {row.cells} cells, geometric mean {row.mean:.3f}, {row.lowest:.3f} to "
            f"{row.highest:.3f}, {behind_text(row)} behind"
        )
    found = noise(results)
    if found:
        pairs, factor = found
        out.append(
            f"  spread: in the middle cell the largest ratio of {pairs} pairs is {factor:.2f} times the smallest"
        )
    return "\n".join(out)
