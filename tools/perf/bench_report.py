#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes the report of tools/bench into a directory.

usage: bench_report.py SAMPLES DIRECTORY
       bench_report.py DIRECTORY

Writes the measurements in SAMPLES as DIRECTORY/results.json, report.rst and plots (*.svg), and a summary to stdout.
Without SAMPLES, writes the others from DIRECTORY/results.json.
"""

import json
import pathlib
import sys

import bench_plots
import bench_samples
import bench_statistics
import bench_tables


def evaluated(path):
    """Returns what results.json is to have, of a file of samples."""
    with open(path, encoding="utf-8") as lines:
        samples = bench_samples.parse(lines)
    if not samples.cells:
        sys.exit(f"{path} has no measurements: run tools/bench first")
    # Without KVM, the guest of Debian's kernel has one processor.
    processors = 1 if any("counting instructions" in line for line in samples.about) else 2
    return {
        "about": samples.about,
        "skipped": samples.skipped,
        "late": samples.late,
        "results": bench_statistics.evaluate(samples.cells, processors),
    }


def main(*arguments):
    directory = pathlib.Path(arguments[-1])
    stored = directory / "results.json"
    if len(arguments) == 2:
        data = evaluated(arguments[0])
        stored.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    else:
        data = json.loads(stored.read_text(encoding="utf-8"))
    plots = bench_plots.draw(data["results"], directory)
    page = bench_tables.report(data["about"], data["skipped"], data["late"], data["results"], plots)
    (directory / "report.rst").write_text(page, encoding="utf-8")
    print(bench_tables.summary_text(data["results"]))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: bench_report.py [SAMPLES] DIRECTORY")
    main(*sys.argv[1:])
