# SPDX-License-Identifier: GPL-2.0
"""Tests of rust_project.py."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from rust_project import completed, main, outside

PROJECT = {
    "sysroot": "/usr/lib/rust",
    "crates": [
        {"display_name": "kernel", "root_module": "/cache/linux/rust/kernel/lib.rs", "is_workspace_member": True},
        {
            "display_name": "zram_rs",
            "root_module": "/cache/stock/module/zram_rs.rs",
            "is_workspace_member": False,
            "cfg": ["MODULE"],
            "env": {"RUST_MODFILE": "zram_rs"},
        },
    ],
}
COMMAND = "rustc --cfg=zram_rs_zstd --cfg=zram_rs_lz4 --cfg=MODULE --cfg=zram_rs_lz4 zram_rs.rs"


class Outside(unittest.TestCase):
    def test_paths_of_the_build_root_are_paths_of_this_machine(self):
        self.assertEqual(outside("/usr/bin/rustc", "/home/c"), "/home/c/root/usr/bin/rustc")
        self.assertEqual(outside("/cache/linux", "/home/c"), "/home/c/linux")

    def test_other_values_stay(self):
        for value in ("/cached", "in /usr", "/src/a.rs", 3, None, True):
            self.assertEqual(outside(value, "/home/c"), value)

    def test_paths_are_found_in_lists_and_tables(self):
        self.assertEqual(outside({"/usr": [{"a": "/usr"}]}, "/c"), {"/usr": [{"a": "/c/root/usr"}]})


class Completed(unittest.TestCase):
    def setUp(self):
        described = json.loads(json.dumps(PROJECT))
        self.project = completed(described, COMMAND, "/cache/stock/module", "/home/c", "/home/s")
        self.kernel, self.driver = self.project["crates"]

    def test_only_the_driver_is_looked_at_for_faults(self):
        self.assertEqual([crate["is_workspace_member"] for crate in self.project["crates"]], [False, True])

    def test_the_driver_is_that_of_the_checkout(self):
        self.assertEqual(self.driver["root_module"], "/home/s/zram_rs.rs")
        self.assertEqual(self.kernel["root_module"], "/home/c/linux/rust/kernel/lib.rs")

    def test_the_driver_has_the_options_of_its_makefile_once(self):
        self.assertEqual(self.driver["cfg"], ["MODULE", "zram_rs_lz4", "zram_rs_zstd"])

    def test_the_driver_knows_the_generated_bindings(self):
        self.assertEqual(self.driver["env"], {"RUST_MODFILE": "zram_rs", "ZRAM_RS_OBJ": "/home/c/stock/module"})
        self.assertEqual(self.driver["source"]["include_dirs"], ["/home/s", "/home/c/stock/module"])
        self.assertEqual(self.driver["source"]["exclude_dirs"], ["/home/s/tools"])

    def test_the_other_crates_have_nothing_new(self):
        self.assertEqual(self.kernel.keys(), PROJECT["crates"][0].keys())


class Main(unittest.TestCase):
    def test_prints_the_project_of_the_files(self):
        with tempfile.TemporaryDirectory() as directory:
            project = pathlib.Path(directory, "rust-project.json")
            project.write_text(json.dumps(PROJECT), encoding="utf-8")
            pathlib.Path(directory, ".zram_rs.o.cmd").write_text(COMMAND, encoding="utf-8")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                main(project, directory, "/home/c", "/home/s")
        printed = json.loads(out.getvalue())
        self.assertEqual(printed["sysroot"], "/home/c/root/usr/lib/rust")
        self.assertIn("zram_rs_zstd", printed["crates"][1]["cfg"])


if __name__ == "__main__":
    unittest.main()
