#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks that a test executes each command that README.md, CONTRIBUTING.md and Documentation/ give.

usage: commands.py SOURCE
       commands.py SOURCE --says COMMAND

check-commands executes some commands; commands.txt names the tests that execute the others. With --says, succeeds if a
page gives COMMAND. Says what is wrong otherwise, and fails if anything is.

tools/testing/tests/guide.sh executes the commands of zram_rs.rst, which it reads from there.
"""

import itertools
import pathlib
import re
import sys

from sources import pages, read, run

TABLE, SCRIPT = "tools/checks/commands.txt", "tools/checks/check-commands"
GUIDE = "zram_rs.rst"
# Fewer commands than these mean that the pages are not read right.
FEWEST = 40


def literal_lines(text, markdown):
    """Yields the lines of the blocks of shell commands on a page."""
    literal = False
    for line in text.splitlines():
        if markdown:
            if literal and line != "```":
                yield line
            literal = line == "```sh" or (literal and line != "```")
            continue
        if re.match(r"[^ \t]", line):
            literal = False
        if literal and line.startswith("\t"):
            yield line[1:]
        if re.fullmatch(r"\.\. code-block:: sh|[^.].*::|::", line):
            literal = True


def blocks(text, page):
    """Yields the commands of the literal blocks of a page, without remarks."""
    if page.name == GUIDE:
        return
    for line in literal_lines(text, page.suffix == ".md"):
        command = re.sub(r" +# .*", "", line)
        if command:
            yield command


def inline(text, source):
    """Yields the tools that are named in running text, with their arguments."""
    text = re.sub(r"^```.*?^```.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r" +", " ", re.sub(r"^\t.*", "", text, flags=re.MULTILINE).replace("\n", " "))
    for match in re.finditer(r"`((tools/[a-z/-]+|\.ci/run)(?: [^`]*)?)`", text):
        if (source / match[2]).is_file():
            yield match[1]


def commands(source):
    """Returns the pages and, of each, the commands that it gives."""
    found = {}
    for page in [pathlib.Path("README.md"), pathlib.Path("CONTRIBUTING.md"), *pages(source)]:
        text = read(source / page)
        found[page] = sorted({*blocks(text, page), *inline(text, source)})
    return found


def executed_by_script(source):
    """Returns the commands that check-commands executes."""
    return re.findall(r"^\t(?:told|fails) '([^']*)'", read(source / SCRIPT), re.MULTILINE)


def table(source):
    """Returns what is wrong with the form of commands.txt, and its entries: (file, text) of each command."""
    lines = [line for line in read(source / TABLE).splitlines() if line and not line.startswith("#")]
    wrong, entries = [], {}
    for command, how in itertools.zip_longest(lines[::2], lines[1::2], fillvalue=""):
        if command.startswith("\t") or not how.startswith("\t"):
            pair = f"'{command.strip()}' before '{how.strip()}'"
            wrong = [f"{TABLE} has {pair}; write a command, and in the next line, after a tab, how it is executed"]
            break
        by, _, what = how[1:].partition(": ")
        entries[command] = (by, what)
    return wrong, entries


def problem(source, entry, executed):
    """Returns what is wrong with an entry, or nothing."""
    by, what = entry or ("", "")
    if by == "a person" and what or by == "a name":
        return None
    if not what:
        return f"no test is known to execute it (see the head of {TABLE})"
    if by == "here":
        return None if what in executed else f"{SCRIPT}, which is to execute it, does not execute '{what}'"
    if what in read(source / by):
        return None
    return f"{by}, which is to execute it, has nothing like '{what}'"


def complaints(source, fewest=FEWEST):
    """Yields what is wrong, a line each."""
    given, executed = commands(source), executed_by_script(source)
    wrong, entries = table(source)
    yield from wrong
    for page, names in given.items():
        for command in names:
            if command not in executed:
                what = problem(source, entries.get(command), executed)
                if what:
                    yield f"{page} gives '{command}': {what}"
    # Nor does the table, or what is executed, have what no page says any more.
    said = {command for names in given.values() for command in names}
    for file, known in ((TABLE, entries), (SCRIPT, executed)):
        for command in known:
            if command not in said:
                yield f"{file} has '{command}', which no page says"
    if sum(map(len, given.values())) < fewest:
        yield f"there are only {sum(map(len, given.values()))} commands on the pages"


if __name__ == "__main__":
    if sys.argv[2:3] == ["--says"]:
        sys.exit(not any(sys.argv[3] in names for names in commands(pathlib.Path(sys.argv[1])).values()))
    run(complaints)
