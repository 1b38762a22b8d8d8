# SPDX-License-Identifier: GPL-2.0
"""Draws how many bytes of the device pages take that are written back packed."""

from figures import LIGHT, figure, place

from bench_tables import number

WIDTH = 860
FREED = (0, 20, 50, 80, 95)


def bytes_of(results):
    """Returns the bytes of each kind of data, by driver and name: those of the cells with the most pages."""
    found = {}
    for result in results:
        if result["group"] != "pack" or result["metric"] != "bytes":
            continue
        _, algorithm, kind, pages, what = result["cell"].split("/")
        of_kind = found.setdefault(f"{algorithm} {kind}", {}).setdefault(int(pages), {})
        for driver in ("zram", "zram_rs"):
            if driver in result:
                of_kind[driver, what] = result[driver]["median"]
    return {kind: by_pages[max(by_pages)] for kind, by_pages in found.items()}


def plot_written(title, results):
    """Returns a figure of what is written for a page, beside what compression leaves, and the least that is possible."""
    kinds = bytes_of(results)
    left, right, top, bottom, step = 110, 60, 64, 10, 46
    made = figure(WIDTH, top + step * len(kinds) + bottom, title)
    axes = place(made, left, top, WIDTH - left - right, step * len(kinds))
    bars = (
        ("zram", "written", "C zram", "blue"),
        ("zram_rs", "written", "packed", "amber"),
        ("zram_rs", "bound", "least possible number of blocks", "green"),
        ("zram_rs", "data", "data", "grey"),
    )
    for place_of_bar, (driver, what, label, colour) in enumerate(bars):
        some = [(row, of_kind[driver, what]) for row, of_kind in enumerate(kinds.values()) if (driver, what) in of_kind]
        rows = [row + 0.2 * place_of_bar - 0.3 for row, _ in some]
        axes.barh(rows, [value for _, value in some], 0.18, color=LIGHT[colour], label=label)
        for row, (_, value) in zip(rows, some):
            axes.annotate(number(value), (value, row), (4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(range(len(kinds)), kinds)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderpad=0)
    return made


def line_of(of_kind, driver, full, freed):
    """Returns percentages of freed pages, and the bytes of blocks by those of the data that is left.

    full is the name of the bytes when no page has been freed yet, freed begins the other names.
    """
    points = []
    for percent in FREED:
        what = f"freed-{percent}{freed}" if percent else full
        data = of_kind.get(("zram_rs", f"freed-{percent}-data" if percent else "data"))
        if data and (driver, what) in of_kind:
            points.append((percent, of_kind[driver, what] / data))
    return [percent for percent, _ in points], [value for _, value in points]


def plot_freed(title, results):
    """Returns a figure of the blocks in use after pages were freed at random: a small plot for each kind of data."""
    kinds = bytes_of(results)
    columns, left, top, gap, height = 3, 50, 84, 40, 150
    rows = -(-len(kinds) // columns)
    width = (WIDTH - left - 20 - gap * (columns - 1)) / columns
    made = figure(WIDTH, top + rows * (height + gap + 20), title)
    lines = (
        ("zram", "written", "", "C zram", "blue", "-"),
        ("zram_rs", "written", "", "packed", "amber", "-"),
        ("zram_rs", "written", "-compacted", "after a compaction", "green", "-"),
        ("zram_rs", "bound", "-bound", "least possible number of blocks", "grey", "--"),
    )
    for place_of_kind, (kind, of_kind) in enumerate(kinds.items()):
        row, column = divmod(place_of_kind, columns)
        axes = place(made, left + column * (width + gap), top + row * (height + gap + 20), width, height)
        for driver, full, freed, label, colour, style in lines:
            points = line_of(of_kind, driver, full, freed)
            axes.plot(*points, style, color=LIGHT[colour], label=label, marker="o", markersize=3)
        axes.set_title(kind)
        axes.set_ylim(0.9, None)
        axes.set_xticks(FREED, [f"{percent} %" for percent in FREED], fontsize=7.5)
        axes.grid(axis="y", linewidth=0.8)
        if not place_of_kind:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.15), ncols=4, borderpad=0)
    return made


def chosen(results):
    """Yields the name, the title, the results and the function of each plot."""
    some = [r for r in results if r["group"] == "pack"]
    yield "pack-written", "Bytes written to the device for a page, and what compression leaves", some, plot_written
    yield "pack-freed", "Blocks in use after so many pages were freed, by the bytes of what is left", some, plot_freed
