#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that all pages are well-formed, and that what they, README.md and CONTRIBUTING.md refer to exists.

usage: rst.py SOURCE LINUX

A name that is written as a path of Rust's is one of the driver, or of the kernel crate of the kernel in LINUX. Says
what is wrong, and fails if anything is. Needs docutils.
"""

import re
import xml.dom.minidom
import xml.parsers.expat

import docutils.core
import docutils.nodes
import docutils.parsers.rst.roles

from sources import pages, read, run

# What only Sphinx knows, as the kernel's pages use it.
for role in ("ref", "doc", "c:func", "c:type", "c:expr", "manpage", "envvar", "kernel-doc"):
    docutils.parsers.rst.roles.register_generic_role(role, docutils.nodes.literal)


class Warnings:
    """What docutils says of a page. (A list would not do: docutils writes nothing to what is empty.)"""

    def __init__(self):
        self.lines = []

    def write(self, text):
        """Takes a message. docutils says that it has no entry for a role of Sphinx, and finds the role in the end."""
        if "No role entry for" not in text:
            self.lines.append(" ".join(text.split()))


def malformed(source, page):
    """Yields what docutils says of a page."""
    warnings = Warnings()
    settings = {"report_level": 1, "halt_level": 5, "warning_stream": warnings, "syntax_highlight": "none"}
    docutils.core.publish_doctree(read(source / page), str(page), settings_overrides=settings)
    yield from warnings.lines


def dead_references(source, page):
    """Yields the pages, tests and pictures that a page refers to and that do not exist."""
    text = read(source / page)
    for name in sorted(set(re.findall(r"\b[a-z][a-z/_-]+\.rst\b", text))):
        if not (source / "Documentation" / name).exists():
            yield f"{page} names {name}, which does not exist"
    for name in sorted(set(re.findall(r"\b[a-z_]+\.(?:sh|zs|c)\b", text))):
        if not any(path for top in ("tools", "bindings") for path in (source / top).rglob(name)):
            yield f"{page} names {name}, which does not exist"
    for name in re.findall(r"^\.\. image:: (.*)", text, re.MULTILINE):
        if not read(source / "Documentation" / name):
            yield f"there is no picture Documentation/{name}, which {page} shows"


def rust_names(*tops):
    """Returns all names in the files of Rust in directories."""
    return {name for top in tops for path in top.rglob("*.rs") for name in re.findall(r"[A-Za-z_]+", read(path))}


def dead_paths(source, linux):
    """Yields the names of Rust on the pages that exist neither here nor in the kernel crate."""
    known = rust_names(source, linux / "rust/kernel")
    for page in pages(source):
        for path in sorted(set(re.findall(r"``([A-Za-z_]+(?:::[A-Za-z_]+)+)", read(source / page)))):
            if path.rpartition("::")[2] not in known:
                yield f"{page} names {path}, which does not exist"


def dead_links(source, page):
    """Yields the links of a page of Markdown to files that do not exist."""
    for name in sorted(set(re.findall(r"\]\(([^):\n]*)\)", read(source / page)))):
        if not (source / name).exists():
            yield f"{page} refers to {name}, which does not exist"


def complaints(source, linux):
    """Yields what is wrong, a line each."""
    readme = read(source / "README.md")
    for page in pages(source):
        yield from malformed(source, page)
        yield from dead_references(source, page)
        if f"({page})" not in readme:
            yield f"README.md does not refer to {page}"
    yield from dead_paths(source, linux)
    for page in ("README.md", "CONTRIBUTING.md"):
        yield from dead_links(source, page)
    for path in sorted((source / "Documentation").glob("*.svg")):
        try:
            xml.dom.minidom.parse(str(path))
        except xml.parsers.expat.ExpatError as error:
            yield f"{path.relative_to(source)} is not well-formed: {error}"


if __name__ == "__main__":
    run(complaints, ("SOURCE", "LINUX"))
