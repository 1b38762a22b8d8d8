#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that zram_rs.rst has all files of sysfs, and that the change in contributing.rst applies.

usage: examples.py SOURCE

Says what is wrong, and fails if anything is.
"""

import os
import re
import subprocess

from sources import read, run

GUIDE, FIRST_CHANGE = "Documentation/zram_rs.rst", "Documentation/contributing.rst"


def change(text):
    """Returns the diffs of a page."""
    blocks = re.findall(r"^\.\. code-block:: diff\n((?:\t.*\n|\s*\n)+)", text, re.MULTILINE)
    return "".join(re.sub(r"^\t", "", line) for block in blocks for line in block.splitlines(True) if line != "\n")


def complaints(source):
    """Yields what is wrong, a line each."""
    attributes = re.findall(r'Attribute::(?:read|write)_[^"]*\(\s*c"(\w+)"', read(source / "sysfs.rs"))
    if not attributes:
        yield "sysfs.rs has no attributes"
    guide = read(source / GUIDE)
    for name in attributes:
        if not re.search(rf"^([a-z/-]+/)?{name} \((read|write)", guide, re.MULTILINE):
            yield f"{GUIDE} has nothing about {name}"
    # As for a tree that is no repository: one of another user is none of git's business here.
    git = subprocess.run(
        ["git", "apply", "--check", "-"],
        input=change(read(source / FIRST_CHANGE)),
        cwd=source,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(source.resolve().parent), "GIT_DIR": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    if git.returncode:
        yield f"the change in {FIRST_CHANGE} does not apply: {' '.join(git.stderr.split())}"


if __name__ == "__main__":
    run(complaints)
