#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the table of README.md that tells what the driver runs on, from what a run of tools/test found.

usage: platforms.py README RESULTS

Prints README with the table that RESULTS make. The table is between two comments, START and END. Of RESULTS (see
tools/test), these lines count: "runs CONFIG ARCHITECTURE, PAGE SIZE, VERSION, COMPILER", which a guest says of itself,
"ended CONFIG SCRIPT", and "rustc VERSION". Versions are cut, as a table that changes with each update of Debian's would
seldom be right.
"""

import pathlib
import re
import sys

START, END = "<!-- made by tools/dist/make-table from what tools/test ran -->\n", "<!-- end of the table -->\n"
HEAD = ["configuration", "kernel", "architecture", "pages", "compilers", "test scripts"]


def short(version):
    """Returns the first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def kernel_of(release):
    """Returns what the table says of a kernel, by the output of uname -r."""
    number = re.match(r"[0-9]+\.[0-9]+", release)
    if number is None:
        sys.exit(f"platforms: the results have a kernel '{release}', which is no version: run tools/test again")
    flavour = re.search(r"\+deb[0-9]+-(.*)", release)
    return f"{number[0]}, Debian's {flavour[1]}" if flavour else f"{number[0]}, built here"


def rows_of(results):
    """Returns the rows of the table, in the order of the configurations' names."""
    guests, scripts, rustc = {}, {}, ""
    for line in results:
        what, _, rest = line.rstrip("\n").partition(" ")
        name, _, value = rest.partition(" ")
        if what == "runs":
            guests[name] = value.split(", ")
        elif what == "ended":
            scripts.setdefault(name, set()).add(value)
        elif what == "rustc":
            rustc = ", rustc " + short(rest)
    for name, (architecture, pages, release, compiler) in sorted(guests.items()):
        yield [f"`{name}`", kernel_of(release), architecture, pages, compiler + rustc, str(len(scripts.get(name, ())))]


def table_of(results):
    """Returns the lines of the table."""
    rows = list(rows_of(results))
    if not rows:
        sys.exit("platforms: the results have no guests: run tools/test again")
    return "".join("| " + " | ".join(row) + " |\n" for row in [HEAD, ["---"] * len(HEAD), *rows])


def replaced(page, table):
    """Returns the page with another table."""
    if page.count(START) != 1 or page.count(END) != 1 or page.index(END) < page.index(START):
        sys.exit(f"platforms: README.md needs the lines '{START.strip()}' and '{END.strip()}', once, in this order")
    before, rest = page.split(START)
    return before + START + "\n" + table + "\n" + END + rest.split(END)[1]


def main():
    readme, results = map(pathlib.Path, sys.argv[1:])
    with results.open(encoding="utf-8") as lines:
        table = table_of(lines)
    sys.stdout.write(replaced(readme.read_text(encoding="utf-8"), table))


if __name__ == "__main__":
    main()
