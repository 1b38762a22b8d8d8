# SPDX-License-Identifier: GPL-2.0
"""Tests of rst.py."""

import unittest

from rst import complaints
from trees import TreeTest

A, B = "Documentation/a.rst", "Documentation/b.rst"
TEXT = """\
=====
Title
=====

See b.rst, :ref:`there`, ``data.sh: some pages``, basic.zs, ``helpers.c``, ``slot::Slot::touch()`` and
``kernel::sync::Mutex``.

.. image:: life.svg
"""


class Pages(TreeTest):
    files = {
        A: TEXT,
        B: "Other\n=====\n\nText.\n",
        "Documentation/life.svg": "<svg><g/></svg>\n",
        "README.md": "[a](Documentation/a.rst) [b](Documentation/b.rst)\n"
        "[c](https://example.org/x) [d](CONTRIBUTING.md)\n",
        "CONTRIBUTING.md": "[a](Documentation/a.rst)\n",
        "tools/testing/tests/data.sh": "",
        "tools/testing/scenarios/basic.zs": "",
        "bindings/helpers.c": "",
        "slot.rs": "fn touch() {}\n",
        "linux/rust/kernel/sync.rs": "struct Mutex;\n",
    }

    def check(self, top):
        return complaints(top, top / "linux")

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_pages_that_are_not_well_formed(self):
        for text in ("Title\n====\n", "*open\n", ".. nothing:: here\n", "`a`_\n", "- a\nb\n", ":nothing:`a`\n"):
            found = self.wrong({B: text})
            self.assertTrue(found and found[0].startswith(f"{B}:"), (text, found))
            self.assertNotIn("\n", "".join(found))

    def test_finds_a_page_that_does_not_exist(self):
        self.assertEqual(
            self.wrong(self.replaced(A, "b.rst", "c-d.rst")), [f"{A} names c-d.rst, which does not exist"]
        )

    def test_finds_tests_and_programs_that_do_not_exist(self):
        for path in ("tools/testing/tests/data.sh", "tools/testing/scenarios/basic.zs", "bindings/helpers.c"):
            name = path.rpartition("/")[2]
            self.assertEqual(self.wrong({path: None}), [f"{A} names {name}, which does not exist"])

    def test_finds_a_picture_that_does_not_exist(self):
        found = [f"there is no picture Documentation/life.svg, which {A} shows"]
        self.assertEqual(self.wrong({"Documentation/life.svg": None}), found)
        self.assertIn(*found, self.wrong({"Documentation/life.svg": ""}))

    def test_finds_a_picture_that_is_not_well_formed(self):
        found = self.wrong({"Documentation/new.svg": "<svg><g></svg>\n"})
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("Documentation/new.svg is not well-formed: "), found)

    def test_finds_names_of_rust_that_do_not_exist(self):
        self.assertEqual(
            self.wrong({"slot.rs": "fn touched() {}\n"}), [f"{A} names slot::Slot::touch, which does not exist"]
        )
        self.assertEqual(
            self.wrong({"linux/rust/kernel/sync.rs": "struct Lock;\n"}),
            [f"{A} names kernel::sync::Mutex, which does not exist"],
        )

    def test_finds_dead_links(self):
        for page in ("README.md", "CONTRIBUTING.md"):
            text = self.files[page] + "[e](Documentation/gone.rst)\n"
            self.assertEqual(
                self.wrong({page: text}), [f"{page} refers to Documentation/gone.rst, which does not exist"]
            )

    def test_finds_a_page_to_which_the_readme_does_not_refer(self):
        self.assertEqual(
            self.wrong({"Documentation/c.rst": "Text.\n"}), ["README.md does not refer to Documentation/c.rst"]
        )


if __name__ == "__main__":
    unittest.main()
