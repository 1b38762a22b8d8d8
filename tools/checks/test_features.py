# SPDX-License-Identifier: GPL-2.0
"""Tests of features.py."""

import unittest

from features import PAGE, complaints
from trees import TreeTest


class Features(TreeTest):
    files = {
        PAGE: "   * - reset\n     - ``sysfs.sh: reset``, ``sysfs.sh: many tasks at\n       once``,\n"
        "       ``basic.zs``, ``fio.sh``\n",
        "tools/testing/tests/sysfs.sh": "test_reset() {\n}\n\ntest_many_tasks_at_once() {\n}\n",
        "tools/testing/tests/fio.sh": "",
        "tools/testing/scenarios/basic.zs": "",
    }

    def check(self, top):
        return complaints(top)

    def test_accepts_a_tree_that_is_right(self):
        self.assertEqual(self.wrong(), [])

    def test_finds_a_script_or_scenario_that_does_not_exist(self):
        for name in ("tests/fio.sh", "scenarios/basic.zs"):
            self.assertEqual(
                self.wrong({f"tools/testing/{name}": None}),
                [f"{PAGE} names {name.split('/')[1]}, which does not exist"],
            )

    def test_finds_a_test_case_that_does_not_exist(self):
        self.assertEqual(
            self.wrong({"tools/testing/tests/sysfs.sh": "test_reset_twice() {\n}\ntest_many_tasks_at_once() {\n}\n"}),
            [f"{PAGE} names a test 'reset' of sysfs.sh, which does not exist"],
        )

    def test_finds_it_in_a_name_of_two_lines(self):
        self.assertEqual(
            self.wrong({"tools/testing/tests/sysfs.sh": "test_reset() {\n}\n"}),
            [f"{PAGE} names a test 'many tasks at once' of sysfs.sh, which does not exist"],
        )

    def test_finds_a_test_case_of_a_scenario(self):
        self.assertEqual(
            self.wrong(self.replaced(PAGE, "basic.zs", "basic.zs: reset")),
            [f"{PAGE} names a test 'reset' of basic.zs, which does not exist"],
        )

    def test_finds_that_the_page_names_no_tests(self):
        self.assertEqual(self.wrong({PAGE: None}), [f"{PAGE} names no tests"])


if __name__ == "__main__":
    unittest.main()
