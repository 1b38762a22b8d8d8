#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that the tests exist that the table of features names.

usage: features.py SOURCE

Says what is wrong, and fails if anything is.
"""

import re

from sources import read, run, test_cases

PAGE = "Documentation/features.rst"


def complaints(source):
    """Yields what is wrong, a line each."""
    testing = source / "tools/testing"
    # A name may continue in the next line.
    text = " ".join(read(source / PAGE).split())
    named = re.findall(r"``([a-z0-9_]+\.(?:sh|zs))(?:: ([a-z0-9 ]+))?``", text)
    if not named:
        yield f"{PAGE} names no tests"
    for script, case in named:
        if not (testing / "tests" / script).is_file() and not (testing / "scenarios" / script).is_file():
            yield f"{PAGE} names {script}, which does not exist"
        elif case and case.replace(" ", "_") not in test_cases(testing / "tests" / script):
            yield f"{PAGE} names a test '{case}' of {script}, which does not exist"


if __name__ == "__main__":
    run(complaints)
