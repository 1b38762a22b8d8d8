#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that differences.rst explains each difference that a scenario allows, and names existing tests for each.

usage: differences.py SOURCE

Says what is wrong, and fails if anything is.
"""

import re

from sources import read, run

PAGE = "Documentation/differences.rst"


def allowed(scenarios):
    """Returns the names of the differences that scenarios allow."""
    names = set()
    for path in scenarios.glob("*.zs"):
        for found in re.findall(r" # (?:may )?differs?: (.*)$", read(path), re.MULTILINE):
            names.update(found.split())
    return sorted(names)


def complaints(source):
    """Yields what is wrong, a line each."""
    text = read(source / PAGE)
    testing = source / "tools/testing"
    names = allowed(testing / "scenarios")
    if not names:
        yield "no scenario in tools/testing/scenarios/ allows a difference"
    for name in names:
        if f"``{name}``" not in text:
            yield f"{PAGE} does not explain {name}"
    head, *entries = re.split(r"^(?=``)", text, flags=re.MULTILINE)
    if "*Shown by*" in head:
        yield f"{PAGE} says *Shown by* before the first entry"
    for entry in entries:
        shown = re.findall(r"^    \*Shown by\*(.*(?:\n    .*)*)", entry, re.MULTILINE)
        if len(shown) != 1:
            yield f"{PAGE} does not say once what {entry.splitlines()[0]} is shown by"
        tests = re.findall(r"[a-z/_]+\.(?:sh|zs)\b", " ".join(shown))
        if shown and not tests:
            yield f"{PAGE} names no test that shows {entry.splitlines()[0]}"
        for test in tests:
            if not (testing / "tests" / test).is_file() and not (testing / test).is_file():
                yield f"{PAGE} names a test {test}, which does not exist"


if __name__ == "__main__":
    run(complaints)
