# SPDX-License-Identifier: GPL-2.0
"""Tests of examples.py."""

import unittest

from examples import FIRST_CHANGE, GUIDE, complaints
from trees import TreeTest

CHANGE = """\
First:

.. code-block:: diff

	--- a/slot.rs
	+++ b/slot.rs
	@@ -7,3 +7,3 @@ fn f()
	 one
	-two
	+2
	 three

Then ``build``:

	no part of it
"""


class Examples(TreeTest):
    files = {
        "sysfs.rs": 'X::new(A, ClassAttribute::read_only::<HotAdd>(c"hot_add", 0o400));\n'
        'DiskAttribute::read_write::<DiskSize>(c"disksize"),\nDiskAttribute::write_only::<Reset>(\n    c"reset",\n),\n',
        GUIDE: "/sys/class/zram-control/hot_add (read)\n---\ndisksize (read, write before)\n---\nreset (write)\n---\n",
        FIRST_CHANGE: CHANGE,
        "slot.rs": "zero\none\ntwo\nthree\nfour\n",
    }

    def check(self, top):
        return complaints(top)

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_an_attribute_that_the_guide_lacks(self):
        for name in ("hot_add", "disksize", "reset"):
            self.assertEqual(
                self.wrong(self.replaced(GUIDE, f"{name} (", f"{name}s (")), [f"{GUIDE} has nothing about {name}"]
            )

    def test_takes_text_for_no_entry(self):
        self.assertEqual(
            self.wrong(self.replaced(GUIDE, "disksize (read", "See disksize (read")),
            [f"{GUIDE} has nothing about disksize"],
        )

    def test_finds_that_no_attributes_are_read(self):
        self.assertEqual(self.wrong({"sysfs.rs": None}), ["sysfs.rs has no attributes"])

    def test_takes_an_empty_line_of_a_change(self):
        text = CHANGE.replace("\t one\n", "\t one\n\t \n").replace("-7,3 +7,3", "-7,4 +7,4")
        self.assertEqual(self.wrong({FIRST_CHANGE: text, "slot.rs": "zero\none\n\ntwo\nthree\n"}), [])

    def test_finds_a_change_that_does_not_apply(self):
        for change in (
            {"slot.rs": "zero\none\n2\nthree\n"},
            {"slot.rs": None},
            self.replaced(FIRST_CHANGE, "-7,3", "-7,4"),
            self.replaced(FIRST_CHANGE, "code-block:: diff", "code-block:: sh"),
        ):
            found = self.wrong(change)
            self.assertEqual(len(found), 1, change)
            self.assertTrue(found[0].startswith(f"the change in {FIRST_CHANGE} does not apply: error: "), found)


if __name__ == "__main__":
    unittest.main()
