# SPDX-License-Identifier: GPL-2.0
"""Tests of settings.py."""

import unittest

from settings import complaints
from trees import TreeTest

OURS = 'msrv = "1.85.0"\nmacros = [{ path = "dbg", allow = true }]\n\n[[methods]]\npath = "as_ptr"\n'
KERNELS = """\
# A remark.
msrv = "1.85.0"

macros = [
    # Another one.
    { path = "dbg", reason = "for debugging, only", allow = true },
]

[[methods]]
path = "as_ptr"
reason = "a sign"
"""


class Settings(TreeTest):
    files = {".clippy.toml": OURS, "linux/.clippy.toml": KERNELS}

    def check(self, top):
        return complaints(top, top / "linux", ".clippy.toml")

    def test_accepts_remarks_reasons_and_spaces(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_each_other_value(self):
        for old, new, key in (("1.85", "1.78", "msrv"), ("true", "false", "macros"), ("as_ptr", "ptr", "methods")):
            found = self.wrong(self.replaced(".clippy.toml", old, new))
            self.assertEqual(len(found), 1)
            self.assertTrue(found[0].startswith(f".clippy.toml: {key} is "), found)

    def test_finds_settings_that_only_one_file_has(self):
        for path in self.files:
            found = self.wrong({path: 'edition = "2021"\n' + self.files[path]})
            self.assertEqual(len(found), 1)
            self.assertTrue(found[0].startswith(".clippy.toml: edition is "), found)

    def test_finds_that_an_entry_is_gone(self):
        self.assertEqual(len(self.wrong({".clippy.toml": OURS.split("\n\n")[0]})), 1)


if __name__ == "__main__":
    unittest.main()
