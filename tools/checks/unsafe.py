#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks where unsafe code is, and that comments say why it is sound.

usage: unsafe.py SOURCE

Policy has no unsafe code at all: all but abstractions, bindings and two thin edges. Elsewhere each unsafe block has a
SAFETY comment right above the line that it is in. (The compiler denies the first and clippy asks for that comment, but
not that near; and this also holds for what they do not see.) Says what is wrong, and fails if anything is.
"""

import re

from sources import read, run, rust_files

ROOT = "zram_rs.rs"
UNSAFE_MODULES = ("abstractions", "bindings", "comp", "zspool")
BLOCK = re.compile(r"(^|[^a-z_])unsafe( impl|[ \t]*\{|$)")


def module_of(path):
    """Returns the module at the root of the crate to which a file belongs."""
    return path.parts[0].removesuffix(".rs")


def complaints(source):
    """Yields what is wrong, a line each."""
    root = read(source / ROOT)
    if "\n#![deny(unsafe_code)]\n" not in root:
        yield f"{ROOT} does not deny unsafe_code"
    allowed = re.findall(r"^#\[allow\(unsafe_code\)\]\nmod (\w+);", root, re.MULTILINE)
    if sorted(allowed) != sorted(UNSAFE_MODULES) or root.count("unsafe_code") != 1 + len(UNSAFE_MODULES):
        yield f"{ROOT} allows unsafe_code in other modules than {', '.join(UNSAFE_MODULES)}"
    for path in rust_files(source):
        if str(path) != ROOT and "unsafe_code" in read(source / path):
            yield f"{path} changes where unsafe_code is allowed; only {ROOT} does that"
        safety = False
        for number, line in enumerate(read(source / path).splitlines(), 1):
            code = re.sub(r"^\s*//.*", "", line)
            if module_of(path) not in UNSAFE_MODULES and re.search(r"\bunsafe\b", code):
                yield f"{path}:{number}: unsafe code outside of {', '.join(UNSAFE_MODULES)}: {line.strip()}"
            if not line.strip():
                safety = False
            if "SAFETY:" in line:
                safety = True
            if BLOCK.search(code) and not safety:
                yield f"{path}:{number}: unsafe without a SAFETY comment: {line.strip()}"
            if code.strip():
                safety = False


if __name__ == "__main__":
    run(complaints)
