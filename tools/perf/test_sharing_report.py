# SPDX-License-Identifier: GPL-2.0
"""Tests of sharing_report.py."""

import collections
import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from sharing_report import (
    ENTRY,
    HEADER,
    PERCPU,
    STORE,
    Access,
    Model,
    Symbols,
    by_function,
    by_line,
    counts,
    in_order,
    main,
    percpu_pages,
    read,
    readable,
    region,
    replay,
    split,
)

CODE = 0xFFFFFFFF81000000
HEAP = 0xFFFF888000000000
SYMBOLS = Symbols([f"symbol {CODE:x} load_it\n", f"symbol {CODE + 256:x} store_it[zram]\n", "begin\n"])


def access(cpu, line, flags=0, request=0, part=0.0, code=CODE, address=HEAP):
    return Access(code, address, line, int(part * 2**32), request, cpu, flags)


def transfers_of(*accesses):
    """Returns which accesses, as pairs of a CPU and "load" or "store" of one line, are transfers."""
    model = Model()
    return [model.access(cpu, 7, what == "store") for cpu, what in accesses]


class Transfers(unittest.TestCase):
    def test_the_first_access_is_none(self):
        self.assertEqual(transfers_of((0, "load")), [False])
        self.assertEqual(transfers_of((0, "store")), [False])

    def test_reading_the_same_costs_nothing(self):
        self.assertEqual(transfers_of((0, "load"), (1, "load"), (0, "load"), (2, "load"), (1, "load")), [False] * 5)

    def test_a_line_goes_to_and_fro_between_writers(self):
        self.assertEqual(transfers_of(*[(cpu, "store") for cpu in (0, 1, 0, 1)]), [False, True, True, True])

    def test_what_a_cpu_has_changed_it_keeps(self):
        self.assertEqual(transfers_of((0, "store"), (0, "load"), (0, "store")), [False] * 3)

    def test_each_reader_gets_a_changed_line_once(self):
        self.assertEqual(
            transfers_of((0, "store"), (1, "load"), (1, "load"), (2, "load"), (0, "load")),
            [False, True, False, True, False],
        )

    def test_a_store_takes_the_line_from_readers(self):
        self.assertEqual(
            transfers_of((0, "store"), (1, "load"), (0, "store"), (0, "store"), (1, "load")),
            [False, True, True, False, True],
        )

    def test_a_writer_that_only_reads_other_lines_is_not_disturbed(self):
        model = Model()
        found = [model.access(cpu, line, True) for cpu, line in ((0, 1), (1, 2), (0, 1), (1, 2))]
        self.assertEqual(found, [False] * 4)


class Replay(unittest.TestCase):
    def test_cpus_are_not_in_step(self):
        some = [access(cpu, 1, request=request) for cpu in range(4) for request in range(2)]
        order = [(found.request, found.cpu) for found in in_order(some, 4)]
        self.assertEqual(order, [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)])

    def test_requests_take_the_same_time(self):
        late = access(0, 1, part=0.9)
        early = [access(1, 1, part=0.1), access(1, 1, part=0.5)]
        # CPU 1 begins at 0.5.
        self.assertEqual(in_order([late, *early], 2), [early[0], late, early[1]])

    def test_other_cpus_are_left_out(self):
        some = [access(cpu, 1, STORE, request) for request in range(4) for cpu in range(4)]
        self.assertEqual([len(replay(some, cpus, 2)) for cpus in (1, 2, 4)], [0, 4, 8])

    def test_the_first_half_only_warms_up(self):
        some = [access(cpu, 1, STORE, request) for request in range(2) for cpu in range(2)]
        self.assertEqual(len(replay(some, 2, 0)), 3)
        self.assertEqual({found.request for found in replay(some, 2, 1)}, {1})

    def test_false_sharing_counts_like_any_other(self):
        some = [access(cpu, 1, STORE, request, address=HEAP + 8 * cpu) for request in range(2) for cpu in range(2)]
        self.assertEqual(len(replay(some, 2, 1)), 2)

    def test_powers_of_two_and_all_cpus_are_replayed(self):
        self.assertEqual(counts(16), [1, 2, 4, 8, 16])
        self.assertEqual(counts(6), [1, 2, 4, 6])
        self.assertEqual(counts(1), [1])


class Names(unittest.TestCase):
    def test_rust_functions_have_readable_names(self):
        crate = "Csi1thH5xxk9m_7zram_rs"
        for mangled, name in (
            (f"_RNvMNt{crate}5storeNtB2_5Store5alloc[zram_rs]", "Store::alloc[zram_rs]"),
            (f"_RNvMNt{crate}2ioNtNtB4_5store5Store5write[zram_rs]", "Store::write[zram_rs]"),
            (f"_RINvMs4_Nt{crate}4compNtB6_7Streams4withINtNtCs2l_4core6result6ResultE", "Streams::with"),
            ("_raw_spin_lock", "_raw_spin_lock"),
            ("slot_free[zram]", "slot_free[zram]"),
        ):
            self.assertEqual(readable(mangled), name)


class Places(unittest.TestCase):
    def test_an_address_belongs_to_what_begins_before_it(self):
        self.assertEqual(
            [SYMBOLS.name(CODE + offset) for offset in (-1, 0, 255, 256, 999)],
            ["unknown", "load_it", "load_it", "store_it[zram]", "store_it[zram]"],
        )

    def test_loads_and_stores_are_counted_by_function(self):
        some = [access(0, 1), access(0, 2, STORE), access(1, 1, STORE | PERCPU, code=CODE + 300)]
        self.assertEqual(by_function(some, SYMBOLS), {"load_it": [1, 1], "store_it[zram]": [0, 1]})

    def test_copies_are_told_from_others(self):
        symbols = Symbols([f"symbol {CODE:x} load_it", f"symbol {CODE + 256:x} memcpy"])
        one, copy = access(0, 1), access(0, 1, code=CODE + 260)
        self.assertEqual(split([one, copy], symbols), ([copy], [one]))

    def test_memory_has_a_name(self):
        names = [
            region(access(0, 1, address=address), SYMBOLS, set())
            for address in (HEAP, 0xFFFFC90000001000, 0xFFFFEA0000000040, CODE + 8)
        ]
        self.assertEqual(names, ["heap", "vmalloc", "struct page", "load_it"])

    def test_pages_of_a_cpu_are_known_by_one_access(self):
        some = [access(0, 64), access(1, 65, PERCPU), access(1, 128)]
        percpu = percpu_pages(some)
        self.assertEqual([region(one, SYMBOLS, percpu) for one in some], ["per CPU", "per CPU", "heap"])

    def test_lines_of_the_same_sort_are_a_group(self):
        some = [
            access(0, 1, address=HEAP + 8),
            access(1, 1, address=HEAP + 8),
            access(0, 2, address=HEAP + 72),
            access(0, 1, STORE, code=CODE + 256, address=HEAP + 16),
            access(0, 3, STORE, code=CODE + 256),
        ]
        groups = by_line(some, SYMBOLS, set())
        self.assertEqual(set(groups), {("heap", "load_it"), ("heap", "store_it[zram]")})
        lines, total, functions, offsets = groups["heap", "load_it"]
        self.assertEqual((lines, total), (2, 4))
        self.assertEqual(functions, collections.Counter({"load_it": 3, "store_it[zram]": 1}))
        self.assertEqual(offsets, {"load_it": {8}, "store_it[zram]": {16}})


class Files(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.symbols, self.accesses = (pathlib.Path(directory.name, name) for name in ("symbols", "accesses"))
        self.symbols.write_text(f"symbol {CODE:x} load_it\nsymbol {CODE + 256:x} store_it\nbegin\n", encoding="utf-8")

    def write(self, cpus, requests, some):
        header = HEADER.pack(b"sharing", cpus, requests, 1000, 100)
        self.accesses.write_bytes(header + b"".join(ENTRY.pack(*one) for one in some))

    def report(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main([str(self.symbols), str(self.accesses), *arguments])
        return out.getvalue().splitlines()

    def test_what_is_written_is_read(self):
        some = [access(1, 5, STORE, 3, 0.25)]
        self.write(2, 4, some)
        header, found = read(self.accesses)
        self.assertEqual(found, some)
        self.assertEqual(header, {"cpus": 2, "requests": 4, "accesses": 1000, "records": 100})

    def test_other_files_are_refused(self):
        self.accesses.write_bytes(b"x" * HEADER.size)
        with self.assertRaisesRegex(SystemExit, "is not a recording"):
            self.report("1", "10")

    def test_transfers_are_those_of_a_page(self):
        # In each request, both CPUs change a line of 512 pages.
        self.write(2, 2, [access(cpu, 1, STORE, request, code=CODE + 256) for request in (0, 1) for cpu in (0, 1)])
        lines = self.report("2", "10")
        self.assertIn("transfers a page (4 pages of 2 CPUs):", lines)
        self.assertIn("     0.00     0.50", lines)
        self.assertIn("      0.50     0.00     0.50  store_it", lines)
        self.assertIn("      0.50        1  heap: store_it+0 0.50", lines)
        self.assertEqual(
            json.loads(lines[-1].removeprefix("json ")),
            {"transfers": {"1": 0.0, "2": 0.5}, "data": {"1": 0.0, "2": 0.0}, "functions": {"store_it": 0.5}},
        )

    def test_other_arguments_are_refused(self):
        with self.assertRaisesRegex(SystemExit, "usage"):
            main(["a"])


if __name__ == "__main__":
    unittest.main()
