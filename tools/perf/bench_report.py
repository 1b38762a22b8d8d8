#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: bench_report.py SAMPLES DIRECTORY
#
# Writes the measurements of tools/bench as DIRECTORY/results.json, report.rst and plots (*.svg), and a summary to
# stdout. A ratio is the result of C zram divided by that of zram_rs in the same pair: above 1, zram_rs was faster, or
# smaller.
#
# This script writes the SVG itself, so that no package is needed.

import collections
import html
import json
import math
import os
import statistics
import sys

TITLES = {
    "io": "Reading and writing (1)",
    "fio": "Reading and writing, by fio (1)",
    "swap": "Swap (2)",
    "writeback": "Writeback (3)",
    "readback": "Readback (4)",
    "blocks": "Blocks of a large device (5)",
    "stat": "mm_stat while a writeback runs (6)",
    "memory": "Memory (7)",
    "scale": "As many jobs as processors (8)",
    "contention": "Many jobs on one page (9)",
}
UNITS = {"ns": "ns a page", "cpu": "ns of CPU a page", "bytes": "bytes", "worst-us": "us, the longest",
         "mean-us": "us, on average", "switches": "task switches in 1000 pages"}
# Not a cost, or none that can be divided by: there is no ratio.
PLAIN = {"gib-in-use", "switches"}


def quantile(values, part):
    """Between the two nearest ones."""
    values = sorted(values)
    at = (len(values) - 1) * part
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def spread(values):
    return {
        "n": len(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "q1": quantile(values, 0.25),
        "q3": quantile(values, 0.75),
    }


def read(path):
    about, skipped, late = [], [], False
    # cell and metric -> driver -> pair -> values
    cells = collections.OrderedDict()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "about":
                about.append(rest)
            elif word == "skip":
                skipped.append(rest.split(" ", 1)[1])
            elif word == "late":
                late = True
            elif word == "sample":
                pair, driver, cell, metric, value = rest.split(" ")
                by_driver = cells.setdefault((cell, metric), {})
                by_driver.setdefault(driver, {}).setdefault(int(pair), []).append(float(value))
    return about, sorted(set(skipped)), late, cells


def evaluate(cells):
    results = []
    for (cell, metric), by_driver in cells.items():
        result = {"cell": cell, "metric": metric, "group": cell.split("/")[0]}
        for driver, pairs in by_driver.items():
            result[driver] = spread([statistics.median(v) for v in pairs.values()])
        if {"zram", "zram_rs"} <= by_driver.keys() and metric not in PLAIN:
            ratios = []
            for pair, c_values in sorted(by_driver["zram"].items()):
                ours = by_driver["zram_rs"].get(pair)
                if ours and statistics.median(ours) > 0 and statistics.median(c_values) > 0:
                    ratios.append(statistics.median(c_values) / statistics.median(ours))
            if ratios:
                result["ratios"] = ratios
                result["ratio"] = spread(ratios)
        results.append(result)
    return results


def floors(results):
    return {r["cell"]: r["floor"]["median"] for r in results if "floor" in r}


def add_floor(results):
    """What of a page's time is the compressor's, for reading and writing with one job."""
    floor = floors(results)
    for result in results:
        parts = result["cell"].split("/")
        if parts[0] != "io" or parts[3] != "j1" or result["metric"] != "ns":
            continue
        what = "compress" if "write" in parts[4] else "decompress"
        base = floor.get(f"floor/{parts[1]}/{parts[2]}/{what}")
        if base is not None:
            result["floor_ns"] = base
            for driver in ("zram", "zram_rs"):
                if driver in result:
                    result[f"overhead_ns_{driver}"] = result[driver]["median"] - base


def geometric(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(results):
    lines = []
    for group in TITLES:
        for metric in ("ns", "cpu", "bytes", "worst-us"):
            ratios = [r["ratio"]["median"] for r in results
                      if r["group"] == group and r["metric"] == metric and "ratio" in r]
            if not ratios:
                continue
            # Below one by more than what the pairs differ by, which a few pairs do not show.
            behind = "too few pairs to tell which are"
            if len(results) and min(r["ratio"]["n"] for r in results if r["group"] == group
                                    and r["metric"] == metric and "ratio" in r) >= 4:
                behind = sum(1 for r in results if r["group"] == group and r["metric"] == metric and "ratio" in r
                             and r["ratio"]["median"] < 0.98 and r["ratio"]["q3"] < 1)
            lines.append((TITLES[group], UNITS[metric], len(ratios), geometric(ratios), min(ratios), max(ratios),
                          behind))
    return lines


# --- Tables -----------------------------------------------------------------------------------------


def number(value):
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def table(head, rows):
    """A grid-less table of reStructuredText."""
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    rule = "  ".join("=" * w for w in widths)
    lines = [rule, "  ".join(str(c).ljust(w) for c, w in zip(head, widths)).rstrip(), rule]
    lines += ["  ".join(str(c).ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(lines + [rule, ""])


def report(about, skipped, late, results, plots):
    out = [".. SPDX-License-Identifier: GPL-2.0", "", "============================",
           "C zram and zram_rs, measured", "============================", "",
           "Written by ``tools/bench``. A ratio is what C zram took by what zram_rs took in the same pair of runs in",
           "the same guest: above 1, zram_rs is faster, or smaller. It is the median of the pairs, with the quartiles,",
           "and the smallest and the largest in parentheses. Whether a difference is more than noise is for the spread",
           "to say. Times are medians.", ""]
    out += [f"- {line}" for line in dict.fromkeys(about)] + [""]
    if late:
        out += ["There was not enough time for all pairs; the column ``n`` tells how many there were.", ""]
    if skipped:
        out += ["Not there:", ""] + [f"- {line}" for line in skipped] + [""]
    out += ["Summary", "-------", "",
            "*Behind*: cells whose median is below 0.98, and whose third quartile is below 1, if there are four pairs.",
            "",
            table(["cells", "of", "number", "geometric mean", "lowest", "highest", "behind"],
                  [[a, b, n, f"{g:.3f}", f"{lo:.3f}", f"{hi:.3f}", bad]
                   for a, b, n, g, lo, hi, bad in summary(results)])]
    for plot, alt in plots:
        out += [f".. image:: {plot}", f"   :alt: {alt}", ""]
    floor = [r for r in results if "floor" in r]
    if floor:
        out += ["The floor", "---------", "", "The compressor alone, on the same pages.", "",
                table(["cell", "", "median", "from", "to"],
                      [[r["cell"].removeprefix("floor/"), UNITS[r["metric"]]] +
                       [number(r["floor"][k]) for k in ("median", "min", "max")] for r in floor])]
    for group, title in TITLES.items():
        rows = []
        over = any("floor_ns" in r for r in results if r["group"] == group)
        for r in results:
            if r["group"] != group:
                continue
            ratio = r.get("ratio")
            rows.append([r["cell"].split("/", 1)[1], UNITS.get(r["metric"], r["metric"]),
                         number(r["zram"]["median"]) if "zram" in r else "-",
                         number(r["zram_rs"]["median"]) if "zram_rs" in r else "-"])
            if over:
                rows[-1].append("{} / {}".format(number(r["overhead_ns_zram"]), number(r["overhead_ns_zram_rs"]))
                                if "overhead_ns_zram" in r and "overhead_ns_zram_rs" in r else "-")
            rows[-1] += ([f"{ratio['median']:.3f}", f"{ratio['q1']:.3f} .. {ratio['q3']:.3f}",
                          f"({ratio['min']:.3f} .. {ratio['max']:.3f})", ratio["n"]] if ratio else ["-"] * 4)
        if rows:
            out += [title, "-" * len(title), ""]
            if over:
                out += ["*Over the floor*: what is left of the time when the compressor's is taken away, C and ours.",
                        ""]
            out += [table(["cell", "", "C zram", "zram_rs"] + (["over the floor"] if over else []) +
                          ["ratio", "quartiles", "all", "n"], rows)]
    return "\n".join(out)


# --- Plots ------------------------------------------------------------------------------------------


def text(x, y, what, anchor="start", size=11, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{extra}>'
            f'{html.escape(what)}</text>')


def page(width, height, title, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
        "<!-- SPDX-License-Identifier: GPL-2.0 -->", f"<title>{html.escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>', text(16, 22, title, size=15), *parts, "</svg>", ""])


def plot_ratios(title, rows):
    """One line for each cell: the median, the quartiles, and all, on a logarithmic axis."""
    left, right, top, step = 300, 40, 50, 15
    width, height = 860, top + step * len(rows) + 40
    low = min(0.8, min(r["ratio"]["min"] for r in rows))
    high = max(1.25, max(r["ratio"]["max"] for r in rows))

    def x(value):
        return left + (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) * (width - left - right)

    bottom = top + step * len(rows)
    parts = [text(left, 40, "C zram faster", size=11), text(width - right, 40, "zram_rs faster", "end")]
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000)
             if low <= t <= high]
    last = -100
    for tick in ticks:
        stroke = "#333" if tick == 1 else "#ddd"
        parts.append(f'<line x1="{x(tick):.1f}" y1="{top - 4}" x2="{x(tick):.1f}" y2="{bottom}" stroke="{stroke}"/>')
        if x(tick) - last > 28 or tick == 1:
            parts.append(text(x(tick), bottom + 15, f"{tick:g}", "middle"))
            last = x(tick)
    for i, row in enumerate(rows):
        y = top + step * i + step / 2
        r = row["ratio"]
        colour = "#2a7f3f" if r["q1"] > 1 else "#b03030" if r["q3"] < 1 else "#777"
        label = row["cell"].split("/", 1)[1] if "/" in row["cell"] else row["cell"]
        parts += [
            text(left - 8, y + 4, label + (" (CPU)" if row["metric"] == "cpu" else ""), "end", 10),
            f'<line x1="{x(r["min"]):.1f}" y1="{y:.1f}" x2="{x(r["max"]):.1f}" y2="{y:.1f}" stroke="{colour}"/>',
            f'<line x1="{x(r["q1"]):.1f}" y1="{y:.1f}" x2="{x(r["q3"]):.1f}" y2="{y:.1f}" stroke="{colour}" '
            'stroke-width="4" stroke-opacity="0.5"/>',
            f'<circle cx="{x(r["median"]):.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>',
        ]
    return page(width, height, title, parts)


def plot_floor(results, patterns, title):
    """Time for a page: the compressor's part, and what each driver adds."""
    by_kind = collections.OrderedDict()
    for r in results:
        parts = r["cell"].split("/")
        if "floor_ns" in r and parts[4] in patterns and "zram" in r and "zram_rs" in r:
            by_kind[(parts[1], parts[2], parts[4])] = r
    if not by_kind:
        return None
    left, right, top, step = 230, 60, 60, 34
    width, height = 860, top + step * len(by_kind) + 30
    most = max(max(r["zram"]["median"], r["zram_rs"]["median"], r["floor_ns"]) for r in by_kind.values())
    scale = (width - left - right) / most
    parts = []
    for i, (name, colour) in enumerate((("the compressor alone", "#888"), ("C zram adds", "#4b78b8"),
                                        ("zram_rs adds", "#c8742b"))):
        parts += [f'<rect x="{left + i * 170}" y="32" width="12" height="12" fill="{colour}"/>',
                  text(left + i * 170 + 17, 42, name)]
    for i, (kind, r) in enumerate(by_kind.items()):
        y = top + step * i
        parts.append(text(left - 8, y + 17, " ".join(kind), "end"))
        for k, (driver, colour) in enumerate((("zram", "#4b78b8"), ("zram_rs", "#c8742b"))):
            total = r[driver]["median"]
            base = min(total, r["floor_ns"])
            parts += [
                f'<rect x="{left}" y="{y + k * 13}" width="{base * scale:.1f}" height="12" fill="#888"/>',
                f'<rect x="{left + base * scale:.1f}" y="{y + k * 13}" width="{(total - base) * scale:.1f}" '
                f'height="12" fill="{colour}"/>',
                text(left + total * scale + 4, y + k * 13 + 10, f"{number(total)} ns", size=10),
            ]
    return page(width, height, title, parts)


def plots(results, where):
    made = []

    def write(name, svg, alt):
        with open(os.path.join(where, name), "w", encoding="utf-8") as file:
            file.write(svg)
        made.append((name, alt))

    for old in os.listdir(where):
        if old.endswith(".svg"):
            os.unlink(os.path.join(where, old))
    for group, title in TITLES.items():
        rows = [r for r in results if r["group"] == group and "ratio" in r
                and (r["metric"] != "cpu" or group in ("swap", "writeback", "readback"))]
        # Too many for one picture.
        if group == "io":
            for jobs in ("j1", "j2"):
                some = [r for r in rows if r["cell"].split("/")[3] == jobs]
                if some:
                    name = f"{title}, {jobs[1:]} job" + ("s" if jobs != "j1" else "")
                    write(f"io-{jobs}.svg", plot_ratios(name, some), name)
        elif rows:
            write(f"{group}.svg", plot_ratios(title, rows), title)
    for name, patterns, title in (("floor-write", ("write-1m", "write-4k"), "Writing a page, and the compressor alone"),
                                  ("floor-read", ("read-1m", "read-4k"), "Reading a page, and the compressor alone")):
        svg = plot_floor(results, patterns, title)
        if svg:
            write(f"{name}.svg", svg, title)
    return made


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: bench_report.py SAMPLES DIRECTORY")
    samples, where = sys.argv[1:]
    about, skipped, late, cells = read(samples)
    if not cells:
        sys.exit("nothing was measured")
    results = evaluate(cells)
    add_floor(results)
    made = plots(results, where)
    with open(os.path.join(where, "results.json"), "w", encoding="utf-8") as file:
        json.dump({"about": about, "skipped": skipped, "late": late, "results": results}, file, indent=1)
        file.write("\n")
    with open(os.path.join(where, "report.rst"), "w", encoding="utf-8") as file:
        file.write(report(about, skipped, late, results, made))
    print("Ratios, C zram by zram_rs (above 1: zram_rs is faster or smaller), medians of pairs:")
    for title, unit, count, mean, low, high, behind in summary(results):
        print(f"  {title}, {unit}: {count} cells, geometric mean {mean:.3f}, {low:.3f} to {high:.3f}, {behind} behind")
    wide = [r for r in results if "ratio" in r and r["metric"] == "ns"]
    if wide:
        middle = statistics.median(r["ratio"]["max"] / r["ratio"]["min"] for r in wide)
        print(f"  spread: in the middle cell the largest ratio of {wide[0]['ratio']['n']} pairs is {middle:.2f} times "
              "the smallest")


main()
