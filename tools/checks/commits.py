#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks the lengths of lines in commit messages.

usage: git log --no-merges -z --format='%h %B' | commits.py

A subject has at most 72 characters, a line of the body at most 75. A line that cannot be broken is exempt: a single
word (an address, say), with or without a tag before it, and a "Fixes:" tag. Prints what is wrong, a line each, and
fails if anything is.
"""

import re
import sys

from sources import report

SUBJECT, BODY = 72, 75
UNBREAKABLE = re.compile(r"\s*([A-Z][\w-]*: )?\S+|Fixes: .*")


def complaints(log):
    """Yields what is wrong with the commits of a log."""
    for commit in filter(None, log.split("\0")):
        name, _, message = commit.strip("\n").partition(" ")
        subject, *body = message.split("\n")
        if len(subject) > SUBJECT:
            yield f"{name}: the subject has {len(subject)} characters, more than {SUBJECT}: {subject}"
        for line in body:
            if len(line) > BODY and not UNBREAKABLE.fullmatch(line):
                yield f"{name}: a line has {len(line)} characters, more than {BODY}: {line}"


if __name__ == "__main__":
    report(complaints(sys.stdin.read()))
