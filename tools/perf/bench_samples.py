# SPDX-License-Identifier: GPL-2.0
"""Reads the samples that tools/bench collects.

A line of the file is one of these; others are for tools/bench itself:

    about TEXT                            what was measured where
    skip PAIR TEXT                        what the guest could not measure
    late                                  the time was up before the last visit
    sample PAIR DRIVER CELL METRIC VALUE  a measurement; DRIVER is zram, zram_rs, or floor
"""

import dataclasses


@dataclasses.dataclass
class Samples:
    about: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)
    late: bool = False
    # (cell, metric) -> driver -> pair -> values, in the order of the file
    cells: dict = dataclasses.field(default_factory=dict)


def parse(lines):
    """Returns the Samples of an iterable of lines."""
    samples = Samples()
    skipped = set()
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "about":
            samples.about.append(rest)
        elif word == "skip":
            skipped.add(rest.split(" ", 1)[1])
        elif word == "late":
            samples.late = True
        elif word == "sample":
            pair, driver, cell, metric, value = rest.split(" ")
            by_driver = samples.cells.setdefault((cell, metric), {})
            by_driver.setdefault(driver, {}).setdefault(int(pair), []).append(float(value))
    samples.skipped = sorted(skipped)
    return samples
