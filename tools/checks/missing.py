#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that missing-apis.rst has each file of abstractions/ and each C helper, and that the named users use them.

usage: missing.py SOURCE

Says what is wrong, and fails if anything is.
"""

import re

from sources import read, run, rust_code, rust_files

PAGE = "Documentation/missing-apis.rst"
ITEM = re.compile(r"^(pub\([a-z:( ]*\) )?(const |unsafe )*(fn|struct|enum|trait|macro_rules!) ", re.MULTILINE)
# The columns of the table on the page.
FILE, USERS = 2, 3


def rows(text):
    """Returns the rows of the tables on a page, each as a list of its cells."""
    table = "".join(re.findall(r"^   (?:\* |  ).*\n", text, re.MULTILINE))
    return [re.split(r"\n     - ", row) for row in re.split(r"^   \* - ", table, flags=re.MULTILINE)[1:]]


def used_as(source, path):
    """Returns the name of the module by which others use a file of abstractions/."""
    parent = path.parent.with_suffix(".rs")
    # The parts of a module with a file and a directory are used by the name of the module.
    return parent.stem if re.search(r"^pub\(crate\) use", read(source / parent), re.MULTILINE) else path.stem


def uses(source, user, module):
    """Tells whether a module at the root of the crate uses one of abstractions/."""
    for path in [source / f"{user}.rs", *sorted((source / user).glob("*.rs"))]:
        if re.search(rf"(^|[^a-z_]){module}(::|,$)", rust_code(path), re.MULTILINE):
            return True
    return False


def complaints(source):
    """Yields what is wrong, a line each."""
    text = read(source / PAGE)
    table = rows(text)
    for path in rust_files(source):
        # Some files only list what is in a directory.
        if path.parts[0] != "abstractions" or not ITEM.search(read(source / path)):
            continue
        of_file = [row for row in table if len(row) > USERS and f"``{path}``" in row[FILE]]
        if not of_file:
            yield f"{PAGE} does not have {path}"
        for row in of_file:
            users = re.findall(r"``([a-z_0-9]+)``", row[USERS])
            if not users:
                yield f"{PAGE} names no user of {path}"
            for user in users:
                if not uses(source, user, used_as(source, path)):
                    yield f"{PAGE}: {user} does not use {path}"
    helpers = re.findall(r"zram_rs_[a-z_0-9]+(?=\()", read(source / "bindings/helpers.h"))
    if not helpers:
        yield "bindings/helpers.h has no helpers"
    for name in helpers:
        if f"``{name}``" not in text:
            yield f"{PAGE} does not have {name}"


if __name__ == "__main__":
    run(complaints)
