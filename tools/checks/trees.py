# SPDX-License-Identifier: GPL-2.0
"""Small source trees, for the tests of the checks."""

import contextlib
import pathlib
import tempfile
import unittest


@contextlib.contextmanager
def tree(files):
    """Makes a directory of files, which are texts by their paths; one that is None is not there."""
    with tempfile.TemporaryDirectory() as directory:
        top = pathlib.Path(directory)
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text, encoding="utf-8")
        yield top


class TreeTest(unittest.TestCase):
    """A test of a check on a tree that is right but for some changes."""

    files = {}

    def check(self, top):
        """Returns what the check says of a tree."""
        raise NotImplementedError

    def wrong(self, changes=None):
        """Returns what is wrong after changes: new texts of files by their paths, or None for a file that is gone."""
        with tree(self.files | (changes or {})) as top:
            return list(self.check(top))

    def replaced(self, name, old, new):
        """Returns the change that replaces a part of a file."""
        self.assertIn(old, self.files[name])
        return {name: self.files[name].replace(old, new)}
