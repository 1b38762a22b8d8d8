#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that each module of the driver uses only modules that stand below it in the map.

usage: layers.py SOURCE

The map is the list of modules at the head of zram_rs.rs in the directory SOURCE. A module uses another one
if "crate::NAME" stands in its files, tests and comments aside. Says what is wrong, and fails if anything is.
"""

import re

from sources import run, rust_code, rust_files

ROOT = "zram_rs"


def code_of(path):
    """Returns the code of a file without comments and without its tests."""
    return rust_code(path).split("\n#[kunit_tests(", 1)[0]


def names_after_crate(code):
    """Yields the name that follows each "crate::", and all names of a list in braces."""
    for match in re.finditer(r"\bcrate::\s*(\{|\w+)", code):
        if match[1] != "{":
            yield match[1]
            continue
        depth, start = 1, match.end()
        first = True
        for token in re.finditer(r"[{},]|\w+", code[start:]):
            if token[0] == "{":
                depth += 1
            elif token[0] == "}":
                depth -= 1
                if depth == 0:
                    break
            elif token[0] == ",":
                first = first or depth == 1
            elif first and depth == 1:
                yield token[0]
                first = False


def modules_of(source):
    """Returns the files of each module that stands at the root of the crate."""
    modules = {}
    for path in rust_files(source):
        modules.setdefault(path.parts[0].removesuffix(".rs"), []).append(source / path)
    return modules


def uses_of(path, modules):
    """Returns the modules that a file uses, in the order of the alphabet."""
    return sorted(set(names_after_crate(code_of(path))) & modules.keys())


def map_of(source):
    """Returns the map: for each module what the head of the crate says about it, from the top down."""
    head = (source / f"{ROOT}.rs").read_text(encoding="utf-8")
    about = {}
    for names, text in re.findall(r"^//! - (.*?):((?:.*)(?:\n//!   .*)*)", head, re.MULTILINE):
        for name in re.findall(r"\[`(\w+)`\]", names):
            about[name] = " ".join(text.replace("//!", "").split())
    return about


def complaints(source):
    """Yields what is wrong, a line each."""
    modules = modules_of(source)
    order = map_of(source)
    place = {name: index for index, name in enumerate(order)}
    if not place:
        yield f"{ROOT}.rs has no map of the modules"
    for name, files in modules.items():
        if name == ROOT:
            continue
        if name not in place:
            yield f"the map in {ROOT}.rs has no module {name}"
            continue
        for path in files:
            for used in uses_of(path, modules):
                if used != name and place.get(used, -1) < place[name]:
                    yield f"{path.relative_to(source)} uses {used}, which is not below {name} in the map"
    for name in order:
        if name not in modules:
            yield f"the map in {ROOT}.rs has a module {name}, of which there is no file"


if __name__ == "__main__":
    run(complaints)
