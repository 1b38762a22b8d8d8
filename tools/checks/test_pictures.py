# SPDX-License-Identifier: GPL-2.0
"""Tests of pictures.py, on small source trees."""

import pathlib
import shutil
import tempfile
import unittest
import xml.etree.ElementTree
from unittest import mock

import pictures

FILES = {
    "zram_rs": "//! - [`top`]: calls `low`,\n//!   and more\n//! - [`low`], [`bottom`]: below\n",
    "top": "use crate::low;\nuse crate::bottom;\n",
    "low": "use crate::bottom;\n",
    "bottom": "fn f() { unsafe { g() } }\n",
}
LANES = {"high": ["top"], "deep": ["bottom", "low"]}
CALLS = {("users", "top"): "", ("low", "top"): "back"}


class Modules(unittest.TestCase):
    def dot(self, lanes=None, **changes):
        """Returns the picture of a small tree, in which some files are others."""
        with tempfile.TemporaryDirectory() as directory:
            source = pathlib.Path(directory)
            for name, text in (FILES | changes).items():
                (source / f"{name}.rs").write_text(text, encoding="utf-8")
            with mock.patch.multiple(pictures, LANES=lanes or LANES, CALLS=CALLS, LABELS={("top", "low"): "asks"}):
                return pictures.modules_dot(source)

    def test_a_module_has_what_the_map_says(self):
        about = '<font point-size="8">calls low, and more</font>'
        self.assertIn(f"top [class=policy, label=<<b>top</b><br/>{about}>];", self.dot())

    def test_a_module_with_unsafe_code_has_its_own_class(self):
        self.assertIn("bottom [class=unsafe,", self.dot())
        self.assertIn("bottom [class=unsafe,", self.dot(bottom='include!("generated.rs");\n'))
        self.assertIn("bottom [class=policy,", self.dot(bottom="// unsafe\n"))

    def test_an_arrow_is_a_use(self):
        self.assertIn('top -> low [label="asks"];', self.dot())
        self.assertNotIn("top -> low", self.dot(top="\n"))

    def test_a_use_that_follows_from_others_has_no_arrow(self):
        self.assertNotIn("top -> bottom", self.dot())
        self.assertIn("top -> bottom", self.dot(low="\n"))

    def test_an_arrow_within_a_lane_begins_at_the_left_one(self):
        self.assertIn('bottom -> low [label="", dir=back];', self.dot())

    def test_a_call_is_dashed(self):
        self.assertIn('low -> top [label="back", style=dashed];', self.dot())

    def test_modules_of_a_lane_stand_in_their_order_and_lanes_below_one_another(self):
        self.assertIn("head_1 -> bottom -> low [style=invis]; }", self.dot())
        self.assertIn("head_above -> head_0 -> head_1 -> head_below [style=invis, weight=100];", self.dot())

    def test_puts_a_new_module_beside_the_one_before_it(self):
        dot = self.dot(lanes={"high": ["top"], "deep": ["bottom"]})
        self.assertIn("head_0 -> top -> low -> submit [style=invis]; }", dot)

    def test_says_which_module_is_gone(self):
        with self.assertRaisesRegex(SystemExit, r"LANES has the module gone, and the map in zram_rs.rs does not"):
            self.dot(lanes={"all": ["top", "bottom", "low", "gone"]})


class Style(unittest.TestCase):
    def test_each_class_has_its_colours_on_light_and_dark_pages(self):
        light, dark = pictures.style().split("@media (prefers-color-scheme: dark)")
        for name, colours in pictures.COLOURS.items():
            for sheet, (fill, stroke) in ((light, colours[:2]), (dark, colours[2:])):
                self.assertIn(f".{name} > polygon, .{name} > path {{ fill: {fill}; stroke: {stroke}; }}", sheet)


@unittest.skipUnless(shutil.which("dot"), "needs graphviz")
class Draw(unittest.TestCase):
    def test_a_picture_has_its_text_its_classes_and_its_style(self):
        svg = pictures.draw('digraph "A title" { a [class=task, label="some text"]; }')
        root = xml.etree.ElementTree.fromstring(svg)
        space = "{http://www.w3.org/2000/svg}"
        self.assertIn("some text", [element.text for element in root.iter(f"{space}text")])
        self.assertIn("node task", [element.get("class") for element in root.iter(f"{space}g")])
        self.assertEqual(root.find(f"{space}style").text.strip(), pictures.style())
        self.assertIn("SPDX-License-Identifier", svg)


if __name__ == "__main__":
    unittest.main()
