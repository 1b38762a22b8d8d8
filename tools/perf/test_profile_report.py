# SPDX-License-Identifier: GPL-2.0
"""Tests of profile_report.py."""

import collections
import contextlib
import io
import pathlib
import socket
import tempfile
import threading
import unittest
from unittest import mock

import profile_report
from profile_report import by_function, executed, main, pages_of, record, symbols, table, wait_for

A, B = 0xFFFFFFFF81000000, 0xFFFFFFFF81000100


def trace(*addresses):
    return [f"Trace 0: 0x7f40f51d9600 [00000000/{address:016x}/18c0c2b0/ff022201]\n".encode() for address in addresses]


class Symbols(unittest.TestCase):
    def test_are_in_the_order_of_addresses(self):
        lines = ["begin\n", f"symbol {B:x} b\n", f"symbol {A:x} a[zram]\n", "symbol cut\n"]
        self.assertEqual(symbols(lines), [(A, "a[zram]"), (B, "b")])


class Executed(unittest.TestCase):
    def test_counts_each_address(self):
        self.assertEqual(executed(trace(A, B, A)), {A: 2, B: 1})

    def test_counts_only_the_kernel(self):
        self.assertEqual(executed(trace(0x7F40F51D9600) + [b"cut off /ffffff"]), {})

    def test_a_line_has_the_size_that_record_counts_with(self):
        self.assertLessEqual(abs(len(trace(A)[0]) - profile_report.LINE), 2)


class ByFunction(unittest.TestCase):
    functions = [(A, "a"), (B, "b")]

    def test_an_instruction_belongs_to_the_function_that_begins_before_it(self):
        instructions, _ = by_function(self.functions, {A: 1, B - 1: 2, B: 4, B + 8: 8})
        self.assertEqual(instructions, {"a": 3, "b": 12})

    def test_the_first_instruction_counts_calls(self):
        _, calls = by_function(self.functions, {A: 5, A + 4: 7, B + 4: 9})
        self.assertEqual(calls, {"a": 5})

    def test_what_is_before_all_functions_is_left_out(self):
        self.assertEqual(by_function(self.functions, {A - 1: 3}), ({}, {}))


class Pages(unittest.TestCase):
    def test_each_driver_and_direction_has_its_mark(self):
        calls = collections.Counter({"zram_rs_bit_unlock[zram_rs]": 6, "wake_up_bit": 8, "brd_submit_bio[brd]": 3})
        calls["zs_free"] = 5
        for driver, pattern, pages in (
            ("zram_rs", "write-1m", 6),
            ("zram_rs", "randread-1m", 6),
            ("zram", "read-1m", 8),
            ("zram", "randwrite-1m", 4),
            ("zram", "readback-raw", 3),
            ("zram_rs", "readback-compressed", 3),
            ("zram", "writeback-raw", 5),
            ("zram_rs", "writeback-packed", 5),
        ):
            self.assertEqual(pages_of(calls, driver, pattern), pages, (driver, pattern))

    def test_requests_of_one_page_are_counted(self):
        self.assertEqual(pages_of(collections.Counter(submit_bio_noacct=7), "zram", "randwrite-4k"), 7)

    def test_says_that_there_are_no_pages(self):
        with self.assertRaisesRegex(SystemExit, "wake_up_bit was not called"):
            pages_of(collections.Counter(), "zram", "read-1m")


class Table(unittest.TestCase):
    def test_has_the_functions_with_the_most_instructions_by_page(self):
        instructions = collections.Counter(a=30, b=100, c=10)
        self.assertEqual(
            table(instructions, collections.Counter(a=5), 10, 2),
            [
                "instructions   calls  function (10 pages)",
                "        14.0          all of the kernel",
                "        10.0    0.00  b",
                "         3.0    0.50  a",
            ],
        )


class Files(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.trace = pathlib.Path(directory.name, "trace")

    def test_says_that_a_trace_does_not_grow(self):
        self.trace.write_bytes(b"12")
        wait_for(self.trace, 2, seconds=0)
        with self.assertRaisesRegex(SystemExit, "does not log anything any more"):
            wait_for(self.trace, 3, seconds=0)

    def test_record_turns_the_log_on_and_off(self):
        self.trace.write_bytes(b"")
        told = []
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.bind(f"{self.trace}.monitor")
            monitor.listen()

            def listen():
                with monitor.accept()[0].makefile() as lines:
                    told.extend(line.strip() for line in lines)

            qemu = threading.Thread(target=listen)
            qemu.start()
            with mock.patch("time.sleep"):
                record(str(self.trace), 0)
            qemu.join(10)
        self.assertEqual(told, ["one-insn-per-tb on", "log exec,nochain", "log none", "quit"])

    def test_show_reads_both_files(self):
        functions = self.trace.with_name("symbols")
        functions.write_text(f"symbol {A:x} submit_bio_noacct\n", encoding="utf-8")
        self.trace.write_bytes(b"".join(trace(A, A + 1, A + 2)))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(["show", str(functions), str(self.trace), "zram", "write-4k", "1"])
        self.assertEqual(out.getvalue().splitlines()[-1], "         3.0    1.00  submit_bio_noacct")

    def test_other_arguments_are_refused(self):
        for arguments in ([], ["record"], ["show", "a"], ["draw", "a", "1"]):
            with self.assertRaisesRegex(SystemExit, "usage"):
                main(arguments)


if __name__ == "__main__":
    unittest.main()
