#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that a file of settings, which editors read, has the settings of the kernel's own file.

usage: settings.py SOURCE LINUX FILE

The reasons that the kernel gives for its settings are no settings. Says what is wrong, and fails if anything is.
"""

import pathlib
import sys
import tomllib

from sources import report


def without_reasons(value):
    """Returns a value of TOML without the reasons in it."""
    if isinstance(value, dict):
        return {key: without_reasons(item) for key, item in value.items() if key != "reason"}
    if isinstance(value, list):
        return [without_reasons(item) for item in value]
    return value


def settings(path):
    """Returns the settings of a file."""
    return without_reasons(tomllib.loads(path.read_text(encoding="utf-8")))


def complaints(source, linux, name):
    """Yields what is wrong, a line each."""
    ours, kernels = settings(source / name), settings(linux / name)
    for key in sorted(ours.keys() | kernels.keys()):
        if ours.get(key) != kernels.get(key):
            yield f"{name}: {key} is {ours.get(key)} here and {kernels.get(key)} in the kernel's file"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} SOURCE LINUX FILE")
    report(complaints(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]))
