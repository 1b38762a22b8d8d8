#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the results of the scripts of a guest, for tools/test.

usage: ktap.py CONFIG FILE <OUTPUT

Reads what tools/testing/run.sh prints: the KTAP of each script, between "# run: begin SCRIPT" and "# run: end SCRIPT
STATUS". Prints each result when it arrives, with the notes that came before it if it failed; then writes FILE, a line
each for tools/test: "passed NUMBER", "skipped NUMBER", "failed RESULT", "ended CONFIG SCRIPT", "time MILLISECONDS CONFIG:
SCRIPT", "runs CONFIG WHAT", of which run.sh says WHAT. CONFIG, the kernel configuration of the guest, becomes a part of
the results' names.

A script has also failed if it does not end, gives another number of results than it planned, or ends with a status
other than 0 without a failed result.

The kernel's parser of KTAP, that of KUnit, parses everything but:

- the list of the results of a script. The kernel's parser returns such a list when it is complete, and does not return
  the notes before the plan with a result. It is called for each result instead.
- the reason of a skipped test. The kernel's ktap_helpers.sh has no way to add one, so the tests tell it in a note
  before the result, "SKIP: REASON".
"""

import re
import sys
import time

sys.path.append("/cache/linux/tools/testing/kunit")

from kunit_parser import LineStream, Test, TestStatus, parse_diagnostic, parse_ktap_header, parse_test, parse_test_plan
from kunit_printer import null_printer

ON, BEGIN, END = "# run: on ", "# run: begin ", "# run: end "

# Notes of ktap_helpers.sh, which add nothing to the results.
TOTALS = re.compile(r"# Totals: |#.*skipped test\(s\) detected")


def notes_of(test):
    """Returns the notes of a result; those of a result with subtests include what failed there."""
    notes = list(test.log)
    for subtest in test.subtests:
        notes += notes_of(subtest)
        if not passed(subtest):
            notes.append(f"not ok {subtest.name}")
    return notes


def passed(test):
    """Tells whether a result is good, and all of its subtests are."""
    return test.ok_status() and test.counts.get_status() in (TestStatus.SUCCESS, TestStatus.SKIPPED)


class Script:
    """The results of a script, from its lines."""

    def __init__(self, lines):
        self.lines = LineStream(enumerate(lines))
        self.planned = None
        self.seen = 0
        # What was noted since the last result.
        self.notes = []

    def results(self):
        """Yields each result when its line arrives, as the Test of the kernel's parser."""
        while True:
            test = Test()
            self.notes += parse_diagnostic(self.lines)
            if not self.lines:
                return
            # Later ones are those of subtests.
            if self.planned is None and parse_ktap_header(self.lines, test, null_printer):
                continue
            if self.planned is None and parse_test_plan(self.lines, test):
                self.planned = test.expected_count
                continue
            self.seen += 1
            test = parse_test(self.lines, self.seen, self.notes, True, null_printer)
            self.notes = []
            yield test


class Reader:
    """Counts and prints the results of all scripts of a guest."""

    def __init__(self, config, out=sys.stdout, clock=time.monotonic):
        self.config = config
        self.out = out
        self.clock = clock
        self.counts = {"passed": 0, "skipped": 0}
        self.failures = []
        self.ended = []
        # Of the scripts that ended: how long each took.
        self.times = []
        # What run.sh says of the guest.
        self.guest = []

    def print(self, text):
        print(text, file=self.out, flush=True)

    def fail(self, name, notes):
        for note in notes:
            self.print(f"        {note}")
        self.print(f"  FAIL  {self.config}: {name}")
        self.failures.append(f"{self.config}: {name}")

    def result(self, test):
        name = test.name.strip() or "subtests without a result"
        notes = notes_of(test)
        if not passed(test):
            self.fail(name, notes)
        elif test.status == TestStatus.SKIPPED:
            self.counts["skipped"] += 1
            reason = test.skip_reason or (notes[-1].removeprefix("# SKIP: ") if notes else "")
            self.print(f"  skip  {self.config}: {name}" + f" ({reason})" * bool(reason))
        else:
            self.counts["passed"] += 1
            self.print(f"  ok    {self.config}: {name}")

    def script(self, name, lines):
        """Reads the lines of a script, and the one with which it ends."""
        end = []

        def until_its_end():
            for line in lines:
                if line.startswith(END):
                    end.append(line)
                    return
                yield line

        began = self.clock()
        script = Script(until_its_end())
        failed = len(self.failures)
        for test in script.results():
            self.result(test)
        notes = [note for note in script.notes if not TOTALS.match(note)]
        if not end:
            self.fail(f"{name} did not end", notes)
            return
        self.ended.append(name)
        self.times.append(round((self.clock() - began) * 1000))
        status = end[0].split()[-1]
        if script.seen != script.planned:
            planned = "unannounced" if script.planned is None else script.planned
            self.fail(f"{name} gave {script.seen} of {planned} results", notes)
        elif status != "0" and failed == len(self.failures):
            self.fail(f"{name} ended with status {status}", notes)

    def read(self, lines):
        for line in lines:
            if line.startswith(BEGIN):
                self.script(line.removeprefix(BEGIN), lines)
            elif line.startswith(ON):
                self.guest = [line.removeprefix(ON)]

    def report(self):
        """Yields the lines for tools/test."""
        for what, number in self.counts.items():
            yield f"{what} {number}"
        for failure in self.failures:
            yield f"failed {failure}"
        for what in self.guest:
            yield f"runs {self.config} {what}"
        for script, milliseconds in zip(self.ended, self.times):
            yield f"ended {self.config} {script}"
            yield f"time {milliseconds} {self.config}: {script}"


def lines_of(stream):
    """Yields the lines of a stream. A guest that dies may leave a part of a line, which is no line."""
    for line in stream:
        if line.endswith("\n"):
            yield line.rstrip("\r\n")


def main():
    config, file = sys.argv[1:]
    # Tests print any bytes.
    sys.stdin.reconfigure(errors="replace")
    reader = Reader(config)
    reader.read(lines_of(sys.stdin))
    with open(file, "w", encoding="utf-8") as report:
        report.writelines(line + "\n" for line in reader.report())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
