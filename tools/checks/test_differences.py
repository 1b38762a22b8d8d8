# SPDX-License-Identifier: GPL-2.0
"""Tests of differences.py."""

import unittest

from differences import PAGE, complaints
from trees import TreeTest

TEXT = """\
Errors
======

``kept-time``
    The time is kept. See
    ``other``.
    *Shown by* scenarios/a.zs, data.sh (some
    pages) and bench/b.sh.

``one-write``
    There is one write.
    *Shown by* data.sh.
"""


class Differences(TreeTest):
    files = {
        PAGE: TEXT,
        "tools/testing/scenarios/a.zs": "get 0 x # differs: kept-time\nget 0 y # may differ: one-write\nget 0 z\n",
        "tools/testing/tests/data.sh": "",
        "tools/testing/bench/b.sh": "",
    }

    def check(self, top):
        return complaints(top)

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_differences_that_are_not_explained(self):
        for remark in ("differs", "may differ"):
            self.assertEqual(
                self.wrong({"tools/testing/scenarios/b.zs": f"set 0 x 1 # {remark}: new-name\n"}),
                [f"{PAGE} does not explain new-name"],
            )

    def test_finds_each_test_that_does_not_exist(self):
        for name in ("scenarios/a.zs", "data.sh", "bench/b.sh"):
            place = name if "/" in name else f"tests/{name}"
            c = {"tools/testing/scenarios/c.zs": "get 0 x # differs: one-write\n"}
            found = self.wrong(c | {f"tools/testing/{place}": None})
            self.assertEqual(set(found), {f"{PAGE} names a test {name}, which does not exist"})

    def test_finds_an_entry_without_a_test(self):
        self.assertEqual(
            self.wrong(self.replaced(PAGE, "    *Shown by* data.sh.\n", "")),
            [f"{PAGE} does not say once what ``one-write`` is shown by"],
        )
        self.assertEqual(
            self.wrong(self.replaced(PAGE, "*Shown by* data.sh.\n", "*Shown by* reading.\n")),
            [f"{PAGE} names no test that shows ``one-write``"],
        )

    def test_finds_a_test_that_belongs_to_no_entry(self):
        self.assertEqual(
            self.wrong(self.replaced(PAGE, "======\n\n", "======\n\n    *Shown by* data.sh.\n\n")),
            [f"{PAGE} says *Shown by* before the first entry"],
        )

    def test_finds_that_no_scenario_is_read(self):
        self.assertEqual(
            self.wrong({"tools/testing/scenarios/a.zs": "get 0 x\n"}),
            ["no scenario in tools/testing/scenarios/ allows a difference"],
        )


if __name__ == "__main__":
    unittest.main()
