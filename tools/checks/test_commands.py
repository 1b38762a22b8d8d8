# SPDX-License-Identifier: GPL-2.0
"""Tests of commands.py."""

import pathlib
import unittest

from commands import SCRIPT, TABLE, commands, complaints
from trees import TreeTest, tree

README = """\
Text with `tools/demo` and `tools/vm uml-debug
smoke.sh`, `tools/nothing` and `make`.

```sh
tools/test NAME... # runs it
make

```

```
no command
```
"""
PAGE = """\
Commands
========

.. code-block:: sh

	tools/build stock

    no command, after spaces

Text, and ``tools/vm``::

	apt install x

and a diff:

.. code-block:: diff

	+ no command

	`tools/demo --no` is none either
"""
ENTRIES = """\
# A remark.
tools/demo
	tools/test: "$TOOLS/demo"
make
	a person: it takes long
tools/vm
	a name
tools/vm uml-debug smoke.sh
	here: tools/test NAME...
apt install x
	tools/test: install 'x'
"""


class Commands(TreeTest):
    files = {
        "README.md": README,
        "CONTRIBUTING.md": "Text.\n",
        "Documentation/page.rst": PAGE,
        "Documentation/zram_rs.rst": "Attributes::\n\n\t# cat disksize\n",
        TABLE: ENTRIES,
        SCRIPT: "\ttold 'tools/test NAME...' 'tools/test short'\n\tfails 'tools/build stock'\n",
        "tools/demo": "",
        "tools/vm": "",
        "tools/build": "",
        "tools/test": "\"$TOOLS/demo\"\ninstall 'x'\n",
    }

    def check(self, top):
        return complaints(top, fewest=1)

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_reads_the_commands_of_blocks_and_text(self):
        with tree(self.files) as top:
            found = commands(top)
        self.assertEqual(
            found[pathlib.Path("README.md")],
            ["make", "tools/demo", "tools/test NAME...", "tools/vm uml-debug smoke.sh"],
        )
        self.assertEqual(
            found[pathlib.Path("Documentation/page.rst")], ["apt install x", "tools/build stock", "tools/vm"]
        )
        self.assertEqual(found[pathlib.Path("Documentation/zram_rs.rst")], [])

    def test_finds_a_command_that_no_test_executes(self):
        for page, text in (
            ("README.md", README + "\n```sh\nmodprobe x\n```\n"),
            ("Documentation/page.rst", PAGE + "\nLast::\n\n\tmodprobe x\n"),
            ("Documentation/page.rst", PAGE + "\n.. code-block:: sh\n\n\tmodprobe x # why\n"),
        ):
            self.assertEqual(
                self.wrong({page: text}),
                [f"{page} gives 'modprobe x': no test is known to execute it (see the head of {TABLE})"],
            )

    def test_finds_a_command_in_text_that_no_test_executes(self):
        self.assertEqual(
            self.wrong({"CONTRIBUTING.md": "Call `tools/demo --short`.\n"}),
            [f"CONTRIBUTING.md gives 'tools/demo --short': no test is known to execute it (see the head of {TABLE})"],
        )

    def test_finds_that_the_test_does_not_execute_it(self):
        for path, old, by in (
            ("tools/test", '"$TOOLS/demo"', "tools/demo"),
            ("tools/test", "install 'x'", "apt install x"),
        ):
            found = self.wrong(self.replaced(path, old, ""))
            self.assertEqual(len(found), 1)
            self.assertIn(f"gives '{by}': tools/test, which is to execute it, has nothing like '{old}'", found[0])

    def test_finds_that_there_is_no_such_test(self):
        found = self.wrong(self.replaced(TABLE, "tools/test: install 'x'", "tools/gone: install 'x'"))
        self.assertEqual(len(found), 1)
        self.assertIn("tools/gone, which is to execute it, has nothing like", found[0])

    def test_finds_that_the_other_form_is_not_executed(self):
        found = self.wrong(self.replaced(TABLE, "here: tools/test NAME...", "here: tools/test short"))
        self.assertEqual(len(found), 1)
        self.assertIn(f"{SCRIPT}, which is to execute it, does not execute 'tools/test short'", found[0])

    def test_finds_entries_without_a_reason_or_a_text(self):
        for old, new in (("a person: it takes long", "a person"), ("tools/test: install 'x'", "tools/test")):
            self.assertEqual(len(self.wrong(self.replaced(TABLE, old, new))), 1, new)

    def test_finds_lines_of_the_table_that_are_no_pair(self):
        for text, found in (
            ("make\n" + ENTRIES, ("make", "tools/demo")),
            (ENTRIES + "\ta name\n", ("a name", "")),
            (ENTRIES.replace("\n\ta name", ""), ("tools/vm", "tools/vm uml-debug smoke.sh")),
        ):
            wrong = self.wrong({TABLE: text})[0]
            self.assertTrue(wrong.startswith(f"{TABLE} has '{found[0]}' before '{found[1]}'; write "), wrong)

    def test_finds_what_no_page_says(self):
        self.assertEqual(
            self.wrong({TABLE: ENTRIES + "tools/old\n\ta name\n"}), [f"{TABLE} has 'tools/old', which no page says"]
        )
        self.assertEqual(
            self.wrong({SCRIPT: self.files[SCRIPT] + "\ttold 'tools/old'\n"}),
            [f"{SCRIPT} has 'tools/old', which no page says"],
        )

    def test_finds_that_there_are_few_commands(self):
        with tree(self.files) as top:
            self.assertEqual(list(complaints(top)), ["there are only 7 commands on the pages"])


if __name__ == "__main__":
    unittest.main()
