# SPDX-License-Identifier: GPL-2.0
"""What the checks of this directory share: reading a source tree, and the end of a check."""

import pathlib
import re
import sys


def read(path):
    """Returns the text of a file, or an empty one if there is no such file."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def rust_files(source):
    """Returns the files of Rust that the driver is compiled from, relative to the source tree, in order."""
    return [
        path
        for path in sorted(file.relative_to(source) for file in source.rglob("*.rs"))
        if path.parts[0] not in ("tools", "Documentation")
        and not path.parts[0].startswith(".")
        and path.name != "bindings_generated.rs"
    ]


def rust_code(path):
    """Returns the text of a file of Rust without comments, or an empty one if there is no such file."""
    return re.sub(r"[ \t]*//.*", "", read(path))


def pages(source):
    """Returns the pages of Documentation/, relative to the source tree, in order."""
    return sorted(path.relative_to(source) for path in (source / "Documentation").glob("*.rst"))


def test_cases(script):
    """Returns the names of the test cases of a script."""
    return re.findall(r"^test_([a-z0-9_]+)\(\)", read(script), re.MULTILINE)


def report(complaints):
    """Prints what is wrong, a line each, and exits: with 1 if anything is."""
    lines = list(complaints)
    for line in lines:
        print(line)
    sys.exit(bool(lines))


def run(check, directories=("SOURCE",)):
    """Reports what a check finds in the directories of the command line; further arguments are ignored."""
    given = [pathlib.Path(name) for name in sys.argv[1 : 1 + len(directories)]]
    if len(given) < len(directories) or not all(path.is_dir() for path in given):
        sys.exit(f"usage: {sys.argv[0]} {' '.join(directories)} (directories that exist)")
    report(check(*given))
