# SPDX-License-Identifier: GPL-2.0
"""Tests of ktap.py."""

import io
import itertools
import os
import subprocess
import sys
import tempfile
import unittest

from ktap import Reader, lines_of

TOTALS = ["# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0"]


def script(*lines, name="control.sh", status=0, plan=None):
    """Returns the output of run.sh for a script with these lines, and with a plan of so many results."""
    head = [f"# run: begin {name}"]
    if plan is not None:
        head += ["TAP version 13", f"1..{plan}"]
    return [*head, *lines, *([f"# run: end {name} {status}"] if status is not None else [])]


class Ktap(unittest.TestCase):
    def check(self, lines, printed, report):
        """Reads lines, which must print and report this."""
        reader = Reader("stock", io.StringIO(), itertools.count().__next__)
        reader.read(iter(lines))
        self.assertEqual(reader.out.getvalue().splitlines(), printed)
        # The clock of this test goes on by a second each time.
        expected = []
        for line in report:
            what, _, name = line.partition(" ")
            expected += [f"ended stock {name}", f"time 1000 stock: {name}"] if what == "ended" else [line]
        self.assertEqual(list(reader.report()), expected)

    def test_counts_good_results(self):
        lines = ["[0:00] stock guest (2 processors, 2G): run.sh with zram_rs"]
        lines += script("ok 1 control.sh: hot add", "# a note", "ok 2 control.sh: 2 tasks", *TOTALS, plan=2)
        lines += script("ok 1 data.sh: all pages", *TOTALS, plan=1, name="data.sh")
        printed = ["  ok    stock: control.sh: hot add", "  ok    stock: control.sh: 2 tasks",
                   "  ok    stock: data.sh: all pages"]
        self.check(lines, printed, ["passed 3", "skipped 0", "ended control.sh", "ended data.sh"])

    def test_tells_what_the_guest_is(self):
        lines = ["# run: on x86_64, 4 KiB, 7.3.4, gcc 14.2", *script("ok 1 a", *TOTALS, plan=1)]
        self.check(lines, ["  ok    stock: a"],
                   ["passed 1", "skipped 0", "runs stock x86_64, 4 KiB, 7.3.4, gcc 14.2", "ended control.sh"])

    def test_tells_the_notes_of_a_failure(self):
        lines = script("ok 1 a", "# disksize is '0', should be '4096' (control.sh, line 12)", "./a: line 3: oops",
                       "not ok 2 b", "# of c", "ok 3 c", *TOTALS, plan=3, status=1)
        printed = ["  ok    stock: a", "        # disksize is '0', should be '4096' (control.sh, line 12)",
                   "        ./a: line 3: oops", "  FAIL  stock: b", "  ok    stock: c"]
        self.check(lines, printed, ["passed 2", "skipped 0", "failed stock: b", "ended control.sh"])

    def test_tells_the_notes_before_the_plan(self):
        lines = ["# run: begin control.sh", "bash: warning: no locale", "TAP version 13", "# early", "1..1",
                 "not ok 1 a", "# run: end control.sh 1"]
        printed = ["        bash: warning: no locale", "        # early", "  FAIL  stock: a"]
        self.check(lines, printed, ["passed 0", "skipped 0", "failed stock: a", "ended control.sh"])

    def test_tells_the_reason_of_a_skipped_result(self):
        lines = script("# SKIP: there is no 842 here", "ok 1 a # SKIP", "ok 2 b # SKIP", "ok 3 c # SKIP no lzo",
                       "# 3 skipped test(s) detected.  Consider enabling relevant config options.", *TOTALS, plan=3)
        printed = ["  skip  stock: a (there is no 842 here)", "  skip  stock: b", "  skip  stock: c (no lzo)"]
        self.check(lines, printed, ["passed 0", "skipped 3", "ended control.sh"])

    def test_wants_the_planned_results(self):
        for results, planned in ((1, 2), (2, 1), (0, 1), (2, 0)):
            lines = script(*[f"ok {number} a" for number in range(1, results + 1)], "# why", *TOTALS, plan=planned)
            failure = f"stock: control.sh gave {results} of {planned} results"
            printed = ["  ok    stock: a"] * results + ["        # why", f"  FAIL  {failure}"]
            self.check(lines, printed, [f"passed {results}", "skipped 0", f"failed {failure}", "ended control.sh"])

    def test_wants_a_plan(self):
        failure = "stock: control.sh gave 1 of unannounced results"
        report = ["passed 1", "skipped 0", f"failed {failure}", "ended control.sh"]
        for head in ([], ["TAP version 13"]):
            self.check(script(*head, "ok 1 a"), ["  ok    stock: a", f"  FAIL  {failure}"], report)
        failure = failure.replace("1", "0")
        printed = ["        control.sh: No such file or directory", f"  FAIL  {failure}"]
        self.check(script("control.sh: No such file or directory", status=127), printed,
                   ["passed 0", "skipped 0", f"failed {failure}", "ended control.sh"])

    def test_wants_a_status_of_zero_without_a_failure(self):
        failure = "stock: control.sh ended with status 1"
        printed = ["  ok    stock: a", "        # a module stayed", f"  FAIL  {failure}"]
        self.check(script("ok 1 a", "# a module stayed", plan=1, status=1), printed,
                   ["passed 1", "skipped 0", f"failed {failure}", "ended control.sh"])
        # A failure of an earlier script explains nothing.
        lines = script("not ok 1 a", plan=1, status=1) + script(*TOTALS, plan=0, status=4, name="data.sh")
        self.check(lines, ["  FAIL  stock: a", "  FAIL  stock: data.sh ended with status 4"],
                   ["passed 0", "skipped 0", "failed stock: a", "failed stock: data.sh ended with status 4",
                    "ended control.sh", "ended data.sh"])

    def test_tells_of_a_script_that_was_stopped(self):
        stopped = "# run: control.sh was stopped after 900 seconds"
        failure = "stock: control.sh gave 1 of 3 results"
        self.check(script("ok 1 a", stopped, plan=3, status=124),
                   ["  ok    stock: a", f"        {stopped}", f"  FAIL  {failure}"],
                   ["passed 1", "skipped 0", f"failed {failure}", "ended control.sh"])

    def test_wants_each_script_to_end(self):
        failure = "stock: control.sh did not end"
        report = ["passed 1", "skipped 0", f"failed {failure}"]
        for planned in (1, 2, None):
            self.check(script("ok 1 a", "# last", plan=planned, status=None),
                       ["  ok    stock: a", "        # last", f"  FAIL  {failure}"], report)
        for last in ("TAP version 13", "1..3"):
            self.check(["# run: begin control.sh", last], [f"  FAIL  {failure}"],
                       ["passed 0", "skipped 0", f"failed {failure}"])
        self.check([], [], ["passed 0", "skipped 0"])

    def test_takes_subtests_as_a_part_of_their_result(self):
        suite = ["    KTAP version 1", "    # Subtest: zram_rs_slot", "    # module: zram_rs", "    1..2",
                 "    ok 1 takes_a_page"]
        good = [*suite, "    ok 2 keeps_a_page", "# zram_rs_slot: pass:2 fail:0 skip:0 total:2"]
        self.check(script(*good, "ok 1 zram_rs_slot", plan=1), ["  ok    stock: zram_rs_slot"],
                   ["passed 1", "skipped 0", "ended control.sh"])
        bad = [*suite, "    # keeps_a_page: ASSERTION FAILED at slot.rs:812", "    not ok 2 keeps_a_page"]
        # Also of a suite that says it was good.
        for result in ("not ok 1 zram_rs_slot", "ok 1 zram_rs_slot"):
            self.check(script(*bad, result, "ok 2 other", plan=2, status=1),
                       ["            # module: zram_rs", "            # keeps_a_page: ASSERTION FAILED at slot.rs:812",
                        "        not ok keeps_a_page", "  FAIL  stock: zram_rs_slot", "  ok    stock: other"],
                       ["passed 1", "skipped 0", "failed stock: zram_rs_slot", "ended control.sh"])

    def test_knows_subtests_that_are_cut(self):
        suite = ["    KTAP version 1", "    # Subtest: zram_rs_slot", "    1..2", "    ok 1 takes_a_page",
                 "    ok 2 keeps_a_page"]
        for length in range(1, 6):
            name = "subtests without a result" if length == 1 else "zram_rs_slot"
            reader = Reader("stock", io.StringIO())
            reader.read(iter(script(*suite[:length], plan=1, status=None)))
            self.assertEqual(list(reader.report()), ["passed 0", "skipped 0", f"failed stock: {name}",
                                                     "failed stock: control.sh did not end"])

    def test_does_not_take_other_lines_for_results(self):
        lines = script("ok", "okay 1 a", "#ok 1 a", "# ok 1 a", "not ok", "notok 1 a", "1..9", "ok 1 b", plan=1)
        self.check(lines, ["  ok    stock: b"], ["passed 1", "skipped 0", "ended control.sh"])

    def test_prints_each_result_when_it_arrives(self):
        out = io.StringIO()

        def lines():
            yield from script("ok 1 a", plan=2, status=None)
            self.assertEqual(out.getvalue(), "  ok    stock: a\n")
            yield from ["# why", "not ok 2 b"]
            self.assertEqual(out.getvalue(), "  ok    stock: a\n        # why\n  FAIL  stock: b\n")
            yield "# run: end control.sh 1"

        reader = Reader("stock", out)
        reader.read(lines())
        self.assertEqual(reader.ended, ["control.sh"])

    def test_splits_lines_at_newlines_only(self):
        text = io.StringIO("ok 1 a\r\n# 10%\r20%  \n\nok 2 cu", newline="\n")
        self.assertEqual(list(lines_of(text)), ["ok 1 a", "# 10%\r20%  ", ""])


class Program(unittest.TestCase):
    def test_prints_at_once_and_writes_the_report(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "results")
            command = [sys.executable, "-B", "ktap.py", "stock", path]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
                program.stdin.write("\r\n".join(script("ok 1 ä", plan=2, status=None)).encode() + b"\r\n")
                program.stdin.flush()
                # Waits forever for a result that is not printed at once.
                self.assertEqual(program.stdout.readline().decode(), "  ok    stock: ä\n")
                program.stdin.write(b"# \xff\0\r \r\nnot ok 2 b\r\n# run: end control.sh 1\r\n")
                rest, _ = program.communicate()
            self.assertEqual(rest.decode(), "        # \ufffd\0\r \n  FAIL  stock: b\n")
            self.assertEqual(program.returncode, 0)
            with open(path, encoding="utf-8") as report:
                self.assertRegex(report.read(), "^passed 1\nskipped 0\nfailed stock: b\nended stock control.sh\n"
                                                "time [0-9]+ stock: control.sh\n$")
