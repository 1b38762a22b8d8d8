#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the litmus tests of tools/testing/litmus in the kernel's memory model.

usage: litmus.py SOURCE LINUX HERD

HERD is a directory with herd7 and the C library that it needs (see tools/env/make-herd). The comment at the head of
each test gives the result: Never, Sometimes or Always. Says what is wrong, and fails if anything is.
"""

import pathlib
import re
import subprocess

from sources import read, run

RESULTS = ("Never", "Sometimes", "Always")


def herd7(linux, herd, test):
    """Returns what herd7 prints for a test, and its errors."""
    libraries = herd / "usr/lib/x86_64-linux-gnu"
    return subprocess.run(
        [
            libraries / "ld-linux-x86-64.so.2",
            "--library-path",
            libraries,
            herd / "usr/bin/herd7",
            "-set-libdir",
            herd / "usr/share/herdtools7/herd",
            "-conf",
            "linux-kernel.cfg",
            test.resolve(),
        ],
        cwd=linux / "tools/memory-model",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def complaint(text, name, output):
    """Returns what is wrong with a test of this text and name for which herd7 printed this output, or None."""
    wanted = re.findall(r"^ \* Result: (\w+)$", text, re.MULTILINE)
    if len(wanted) != 1 or wanted[0] not in RESULTS:
        return f"its head needs one line ' * Result: ' with one of {', '.join(RESULTS)}"
    if re.findall(r"^C (\S+)$", text, re.MULTILINE) != [name]:
        return f"its first line must be 'C {name}'"
    seen = re.findall(r"^Observation \S+ (\w+) ", output, re.MULTILINE)
    if len(seen) != 1:
        return f"herd7 has no result: {' '.join(output.split())[-300:]}"
    if seen != wanted:
        return f"the result is {seen[0]}, not {wanted[0]}"
    return None


def complaints(source, linux, herd, program=herd7):
    """Yields what is wrong, a line each."""
    directory = pathlib.Path("tools/testing/litmus")
    tests = sorted((source / directory).glob("*.litmus"))
    if not tests:
        yield f"{directory} has no tests"
    for test in tests:
        wrong = complaint(read(test), test.stem, program(linux, herd, test))
        if wrong:
            yield f"{directory / test.name}: {wrong}"


if __name__ == "__main__":
    run(complaints, ("SOURCE", "LINUX", "HERD"))
