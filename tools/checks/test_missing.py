# SPDX-License-Identifier: GPL-2.0
"""Tests of missing.py."""

import unittest

from missing import PAGE, complaints
from trees import TreeTest

TABLE = """\
.. list-table::
   :header-rows: 1

   * - What
     - C functions
     - File
     - Used by
     - Sound?
   * - Pages
     - ``kmap_local_page``; ``zram_rs_copy_page``,
       ``zram_rs_fill``
     - ``abstractions/page.rs``
     - ``io``,
       ``store``
     - Yes
   * - Writing
     - none
     - ``abstractions/bdev/write.rs``
     - ``store``
     - Yes
   * - Work
     - none
     - ``scoped`` in ``abstractions/page.rs``
     - ``io``
     - Yes
"""


class Missing(TreeTest):
    files = {
        PAGE: TABLE,
        "abstractions/page.rs": "pub(crate) struct Page;\n",
        "abstractions/bdev.rs": "mod write;\npub(crate) use write::Request;\n",
        "abstractions/bdev/write.rs": "impl X {}\npub(in crate::abstractions) unsafe fn write() {}\n",
        "bindings/helpers.h": "void zram_rs_copy_page(void *to);\nint zram_rs_fill(int);\n",
        "io.rs": "use crate::abstractions::{\n    bdev::Request,\n    page,\n};\n",
        "slot.rs": "pub(crate) struct Slot;\n",
        "store.rs": "mod part;\nuse crate::abstractions::bdev::Request;\n",
        "store/part.rs": "use crate::abstractions::page::Page;\n",
    }

    def check(self, top):
        return complaints(top)

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_a_file_that_the_page_lacks(self):
        for item in ("fn f()", "pub(crate) trait T {}", "macro_rules! m {}", "pub(super) const unsafe fn g() {}"):
            self.assertEqual(
                self.wrong({"abstractions/sync/lock.rs": f"{item} \n"}),
                [f"{PAGE} does not have abstractions/sync/lock.rs"],
                item,
            )

    def test_finds_that_a_file_stands_in_another_column(self):
        none, file = "     - none\n", "     - ``abstractions/bdev/write.rs``\n"
        found = self.wrong(self.replaced(PAGE, none + file, file + none))
        self.assertEqual(found, [f"{PAGE} does not have abstractions/bdev/write.rs"])

    def test_finds_a_wrong_user_in_each_row_of_a_file(self):
        for old, new in (("``io``,", "``io``, ``slot``,"), ("     - ``io``\n", "     - ``slot``\n")):
            self.assertEqual(
                self.wrong(self.replaced(PAGE, old, new)), [f"{PAGE}: slot does not use abstractions/page.rs"]
            )

    def test_finds_a_user_that_uses_it_no_more(self):
        self.assertEqual(
            self.wrong({"store/part.rs": "use crate::abstractions::homepage::Page;\n"}),
            [f"{PAGE}: store does not use abstractions/page.rs"],
        )

    def test_takes_a_comment_for_no_use(self):
        self.assertEqual(
            self.wrong({"store/part.rs": "fn f() {} // as page::Page\n"}),
            [f"{PAGE}: store does not use abstractions/page.rs"],
        )
        self.assertEqual(self.wrong({"store/part.rs": "use crate::abstractions::{\n    page, //\n};\n"}), [])

    def test_knows_a_part_by_the_name_of_its_module(self):
        self.assertEqual(
            self.wrong({"store.rs": "use crate::write::Request;\n"}),
            [f"{PAGE}: store does not use abstractions/bdev/write.rs"],
        )
        by_its_own = {"abstractions/bdev.rs": "pub(crate) mod write;\n", "store.rs": "use crate::write::Request;\n"}
        self.assertEqual(self.wrong(by_its_own), [])

    def test_finds_a_row_without_users(self):
        self.assertEqual(
            self.wrong(self.replaced(PAGE, "     - ``store``\n", "     - none\n")),
            [f"{PAGE} names no user of abstractions/bdev/write.rs"],
        )

    def test_finds_a_helper_that_the_page_lacks(self):
        self.assertEqual(
            self.wrong(self.replaced(PAGE, "``zram_rs_fill``", "``zram_rs_filled``")),
            [f"{PAGE} does not have zram_rs_fill"],
        )

    def test_finds_that_no_helpers_are_read(self):
        self.assertEqual(self.wrong({"bindings/helpers.h": None}), ["bindings/helpers.h has no helpers"])


if __name__ == "__main__":
    unittest.main()
