# SPDX-License-Identifier: GPL-2.0
"""Tests of unsafe.py."""

import unittest

from trees import TreeTest
from unsafe import complaints

EDGE = """\
// unsafe in a comment
fn f() {
    // Copies a word.
    // SAFETY: the caller says so,
    // in two lines.
    unsafe { g() }
    // SAFETY: and
    let a =
        b;
}

// SAFETY: has no state.
unsafe impl Send for T {}
unsafe fn g() {}
"""


MAP = """\
//! The map.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod abstractions;
#[allow(unsafe_code)]
mod bindings;
#[allow(unsafe_code)]
mod comp;
mod io;
mod writeback;
#[allow(unsafe_code)]
mod zspool;
"""


class Unsafe(TreeTest):
    files = {
        "zram_rs.rs": MAP,
        "io.rs": "//! No `unsafe` code.\n    // unsafe\nfn f() { not_unsafe() }\n",
        "writeback/request.rs": "fn f() {}\n",
        "abstractions/page.rs": EDGE,
        "bindings.rs": EDGE,
        "comp.rs": EDGE,
        "zspool.rs": EDGE,
        "tools/testing/sample.rs": "fn f() { unsafe { g() } }\n",
        "bindings/bindings_generated.rs": "fn f() { unsafe { g() } }\n",
    }

    def check(self, top):
        return complaints(top)

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_unsafe_code_in_policy(self):
        for path in ("io.rs", "writeback/request.rs"):
            for code in ("// SAFETY: none.\nunsafe { g() }\n", "x();\nunsafe fn g() {}\n", "//\nx(unsafe { g() });\n"):
                found = self.wrong({path: code})
                self.assertTrue(found and found[0].startswith(f"{path}:2: unsafe code outside of "), found)

    def test_takes_no_module_for_another_one_with_a_longer_name(self):
        self.assertEqual(len(self.wrong({"compact.rs": "// SAFETY: none.\nunsafe { g() }\n"})), 1)

    def test_finds_that_the_compiler_does_not_deny_it(self):
        self.assertEqual(
            self.wrong(self.replaced("zram_rs.rs", "#![deny(unsafe_code)]\n", "#![warn(unsafe_code)]\n")),
            ["zram_rs.rs does not deny unsafe_code"],
        )

    def test_finds_that_the_compiler_allows_it_elsewhere(self):
        found = ["zram_rs.rs allows unsafe_code in other modules than abstractions, bindings, comp, zspool"]
        allow = "#[allow(unsafe_code)]\n"
        for change in (
            {"zram_rs.rs": MAP.replace("mod io;", allow + "mod io;")},
            {"zram_rs.rs": MAP.replace(allow + "mod comp;", "mod comp;")},
            {"zram_rs.rs": MAP.replace(allow + "mod comp;", "mod comp;").replace("mod io;", allow + "mod io;")},
            {"zram_rs.rs": MAP + allow + "impl X {}\n"},
        ):
            self.assertEqual(self.wrong(change), found)
        self.assertEqual(
            self.wrong({"io.rs": "#![allow(unsafe_code)]\n"}),
            ["io.rs changes where unsafe_code is allowed; only zram_rs.rs does that"],
        )

    def test_finds_unsafe_without_a_comment(self):
        for code in ("unsafe { g() }", "x = unsafe{ g() };", "unsafe impl Send for T {}", "x =\n    unsafe"):
            found = self.wrong({"zspool.rs": code + "\n"})
            self.assertEqual(len(found), 1, code)
            self.assertIn(": unsafe without a SAFETY comment: ", found[0])

    def test_names_the_line(self):
        self.assertEqual(
            self.wrong({"comp/lz4.rs": "fn f() {\n    unsafe { g() }\n}\n"}),
            ["comp/lz4.rs:2: unsafe without a SAFETY comment: unsafe { g() }"],
        )

    def test_finds_that_the_comment_is_further_up(self):
        for between in ("\n", "    let a = b;\n", "    #[inline]\n"):
            found = self.wrong({"zspool.rs": f"    // SAFETY: no.\n{between}    unsafe {{ g() }}\n"})
            self.assertEqual(len(found), 1, between)

    def test_finds_that_a_comment_serves_only_one_block(self):
        found = self.wrong({"zspool.rs": "// SAFETY: yes.\nunsafe { f() };\nunsafe { g() };\n"})
        self.assertEqual(found, ["zspool.rs:3: unsafe without a SAFETY comment: unsafe { g() };"])

    def test_finds_that_a_comment_of_another_file_serves_none(self):
        found = self.wrong({"zspool.rs": "unsafe { f() };\n", "comp.rs": "// SAFETY: yes.\n"})
        self.assertEqual(len(found), 1)


if __name__ == "__main__":
    unittest.main()
