# SPDX-License-Identifier: GPL-2.0
"""Tests of doc_examples.py, on small files."""

import unittest

from doc_examples import Fault, examples_of, generated, located

TEXT = """\
//! A module.
//!
//! ```
//! let module = 1;
//! ```

/// A type.
///
/// ```
/// # use crate::Thing;
/// let thing = Thing::new()?;
///
/// #[derive(Clone)]
/// struct A;
/// #
/// ## not hidden
/// assert!(thing.works());
/// # Ok::<(), Error>(())
/// ```
struct Thing;

impl Thing {
    /// ```text
    /// no code
    /// ```
    ///
    /// ```ignore
    /// no example
    /// ```
    ///
    /// ```no_run
    /// drop(wait()?);
    /// ```
    fn f() {}
}
"""


class Examples(unittest.TestCase):
    def setUp(self):
        self.examples = list(examples_of(TEXT, "a/b.rs"))
        self.generated = generated(self.examples)

    def number(self, line):
        """Returns the number of a line in the generated file."""
        return self.generated.split("\n").index(line) + 1

    def test_finds_the_blocks_of_rust_code(self):
        self.assertEqual([(e.file, e.line, e.run) for e in self.examples],
                         [("a/b.rs", 4, True), ("a/b.rs", 10, True), ("a/b.rs", 32, False)])

    def test_knows_marks_of_rust_code(self):
        for mark, run in {"": True, "rust": True, "rust,no_run": False, "no_run": False}.items():
            text = f"/// ```{mark}\n/// f();\n/// ```\n"
            self.assertEqual([e.run for e in examples_of(text, "a.rs")], [run], mark)
        for mark in ("ignore", "text", "sh", "c", "rust,ignore"):
            self.assertEqual(list(examples_of(f"/// ```{mark}\n/// f();\n/// ```\n", "a.rs")), [], mark)

    def test_compiles_hidden_lines(self):
        self.assertEqual(
            self.examples[1].code,
            ["use crate::Thing;", "let thing = Thing::new()?;", "", "#[derive(Clone)]", "struct A;", "", "# not hidden",
             "assert!(thing.works());", "Ok::<(), Error>(())"],
        )

    def test_returns_ok_unless_the_example_does(self):
        self.assertTrue(self.examples[0].body().endswith("// end\nOk(())"))
        self.assertTrue(self.examples[1].body().endswith("Ok::<(), Error>(())\n// end"))

    def test_does_not_look_at_other_comments(self):
        self.assertEqual(list(examples_of("// ```\n// f();\n// ```\n//// ```\n", "a.rs")), [])

    def test_finds_a_block_that_does_not_end(self):
        for text in ("/// ```\n/// f();\nfn f() {}\n", "/// ```\n/// f();", "/// ```ignore\nfn f() {}\n/// ```\n"):
            with self.assertRaisesRegex(Fault, "a.rs:1: the block does not end"):
                list(examples_of(text, "a.rs"))

    def test_refuses_marks_that_kunit_has_no_equivalent_of(self):
        for mark in ("should_panic", "no_run,compile_fail"):
            with self.assertRaisesRegex(Fault, "a.rs:1: "):
                list(examples_of(f"/// ```{mark}\n/// f();\n/// ```\n", "a.rs"))

    def test_makes_a_test_of_each_example_that_runs(self):
        self.assertEqual(self.generated.count("#[test]"), 2)
        self.assertIn("    #[test]\n    fn a_b_0() {\n", self.generated)
        self.assertIn("    #[test]\n    fn a_b_1() {\n", self.generated)
        self.assertIn("\n}\n\n#[allow(unused)]\nfn a_b_2() -> ::kernel::error::Result {\n", self.generated)

    def test_gives_assertions_the_line_of_the_example(self):
        shift = self.number("assert!(thing.works());") - 17
        self.assertIn(f'::kernel::kunit_assert!("a_b_1", c"a/b.rs", {shift}, $cond);', self.generated)

    def test_replaces_each_assertion(self):
        test = self.generated.split("#[test]")[1]
        for macro in ("assert", "assert_eq", "assert_ne"):
            self.assertIn(f"        macro_rules! {macro} {{\n", test)
        self.assertIn("$left != $right);", test)
        self.assertEqual(test.count('::core::compile_error!("give assertions in examples no text: '), 3)

    def test_refuses_what_panics(self):
        panics = {"panic!()": "panic!", 'unreachable!("x")': "unreachable!", "todo!()": "todo!",
                  "unimplemented!()": "unimplemented!", "debug_assert!(a)": "debug_assert!",
                  "debug_assert_ne!(a, b)": "debug_assert_ne!", "core::assert!(a)": "core::assert!",
                  "f()?.unwrap()": "unwrap", 'a.expect("x")': "expect", "a.unwrap_err()": "unwrap_err"}
        for code, what in panics.items():
            text = f"/// ```\n/// let a = b;\n/// # {code};\n/// ```\n"
            with self.assertRaisesRegex(Fault, f"^a.rs:3: .* instead of {what}, which panics$"):
                generated(examples_of(text, "a.rs"))

    def test_accepts_what_does_not_panic(self):
        for code in ("assert!(a);", "assert_ne!(a, b);", "a.unwrap_or(b);", "a.unwrap_or_default();",
                     "// never panic!()", "let panic = a != b;", "expect(a);"):
            self.assertIn(f"\n{code}\n", generated(examples_of(f"/// ```\n/// {code}\n/// ```\n", "a.rs")))
        generated(examples_of("/// ```no_run\n/// panic!();\n/// ```\n", "a.rs"))

    def test_names_the_example_for_the_compiler(self):
        for line, example in {"let module = 1;": 4, "use crate::Thing;": 10, "drop(wait()?);": 32}.items():
            self.assertEqual(
                located(self.generated, f"   --> /x/examples_generated.rs:{self.number(line)}:5\n"),
                f"   --> a/b.rs:{example}\n",
            )

    def test_leaves_other_positions_alone(self):
        for line in ("  --> /x/examples_generated.rs:1:1", "  --> /x/other.rs:20:1", "examples_generated.rs",
                     f"  --> examples_generated.rs:{self.number('mod tests {')}:1",
                     f"  --> examples_generated.rs:{self.number('        let result = example();')}:1"):
            self.assertEqual(located(self.generated, line), line)


if __name__ == "__main__":
    unittest.main()
