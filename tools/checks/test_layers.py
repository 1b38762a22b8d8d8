# SPDX-License-Identifier: GPL-2.0
"""Tests of layers.py, on small source trees."""

import pathlib
import tempfile
import unittest

from layers import complaints, map_of

MAP = """\
//! - [`top`]: uses the others
//! - [`middle`]: is in two files
//! - [`low`], [`bottom`]: two modules in one line

mod top;
"""


class Layers(unittest.TestCase):
    def complaints(self, **changes):
        """Returns what is wrong with a tree that is right but for some files; one that is None is not there."""
        files = {
            "zram_rs": MAP,
            "top": "use crate::middle::Thing;\nuse crate::{\n    bottom,\n    low::{a, b}, //\n};\n",
            "middle": "mod part;\n",
            "middle__part": "use crate::low;\n",
            "low": "use crate::bottom;\n",
            "bottom": "use kernel::prelude::*;\n",
        }
        files.update(changes)
        with tempfile.TemporaryDirectory() as directory:
            source = pathlib.Path(directory)
            for name, text in files.items():
                path = source / (name.replace("__", "/") + ".rs")
                path.parent.mkdir(exist_ok=True)
                if text is not None:
                    path.write_text(text, encoding="utf-8")
            return list(complaints(source))

    def test_accepts_uses_that_point_downwards(self):
        self.assertEqual(self.complaints(), [])

    def test_finds_a_use_that_points_upwards(self):
        self.assertEqual(
            self.complaints(bottom="use crate::top::Thing;\n"),
            ["bottom.rs uses top, which is not below bottom in the map"],
        )

    def test_finds_it_in_a_submodule(self):
        self.assertEqual(
            self.complaints(middle__part="fn f() { crate::top::g() }\n"),
            ["middle/part.rs uses top, which is not below middle in the map"],
        )

    def test_finds_it_in_a_list(self):
        for text in (
            "use crate::{\n    bottom::X,\n    middle, //\n};\n",
            "use crate::{bottom::{X, Y}, middle};\n",
            "use crate::{middle::{X, Y}, bottom};\n",
        ):
            self.assertEqual(
                self.complaints(low=text), ["low.rs uses middle, which is not below low in the map"], text
            )

    def test_finds_it_between_modules_of_one_line(self):
        self.assertEqual(
            self.complaints(bottom="use crate::low;\n"), ["bottom.rs uses low, which is not below bottom in the map"]
        )

    def test_takes_no_name_inside_a_module_for_a_module(self):
        self.assertEqual(self.complaints(low="use crate::{bottom::{top, X}, bottom::middle};\n"), [])

    def test_takes_no_other_name_of_the_crate_for_a_module(self):
        self.assertEqual(self.complaints(low="use crate::some_macro;\n"), [])

    def test_does_not_look_at_comments_and_tests(self):
        tests = "\n#[kunit_tests(zram_rs_low)]\nmod tests {\n    use crate::top;\n}\n"
        self.assertEqual(self.complaints(low="// crate::top is not used\n" + tests), [])

    def test_finds_a_module_that_the_map_lacks(self):
        self.assertEqual(self.complaints(other="\n"), ["the map in zram_rs.rs has no module other"])

    def test_finds_a_module_without_a_file(self):
        self.assertEqual(
            self.complaints(bottom=None), ["the map in zram_rs.rs has a module bottom, of which there is no file"]
        )

    def test_finds_that_there_is_no_map(self):
        self.assertIn("zram_rs.rs has no map of the modules", self.complaints(zram_rs="mod top;\n"))

    def test_the_map_says_what_each_module_is_about(self):
        with tempfile.TemporaryDirectory() as directory:
            source = pathlib.Path(directory)
            text = MAP.replace("two modules in one line", "two modules\n//!   of one line")
            (source / "zram_rs.rs").write_text(text, encoding="utf-8")
            self.assertEqual(
                map_of(source),
                {
                    "top": "uses the others",
                    "middle": "is in two files",
                    "low": "two modules of one line",
                    "bottom": "two modules of one line",
                },
            )


if __name__ == "__main__":
    unittest.main()
