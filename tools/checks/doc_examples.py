#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes tests of the examples in the driver's documentation comments.

usage: doc_examples.py SOURCE GENERATED
       make ... 2>&1 | doc_examples.py --locate GENERATED

Extracts each block of Rust code from the documentation comments of the Rust files in the directory SOURCE, and writes
them to the file GENERATED, which the root of the crate includes: each as a case of the KUnit suite zram_rs_examples,
or, if the block is marked "no_run", as a function that is only compiled. As for rustdoc, a block is Rust code unless
its mark says otherwise ("text", "ignore"), and lines that begin with "# " belong to the code, but not to the
documentation. (rustdoc cannot test the examples, because the crate has no public items.)

With --locate, copies its input to its output, and replaces the positions in GENERATED that the compiler names by those
of the examples.
"""

import pathlib
import re
import sys

SUITE = "zram_rs_examples"

HEAD = """\
// SPDX-License-Identifier: GPL-2.0

// tools/checks/doc_examples.py made this file of the examples in documentation comments.

"""

# The macros replace those of the core crate, which panic: they fail the test, at the line of the example.
RUN = """\
    #[test]
    fn {name}() {{
        macro_rules! assert {{
            ($cond:expr $(,)?) => {{{{
                ::kernel::kunit_assert!("{name}", c"{file}", {shift}, $cond);
            }}}};
            ($($other:tt)*) => {{ ::core::compile_error!("{no_text}") }};
        }}
        macro_rules! assert_eq {{
            ($left:expr, $right:expr $(,)?) => {{{{
                ::kernel::kunit_assert_eq!("{name}", c"{file}", {shift}, $left, $right);
            }}}};
            ($($other:tt)*) => {{ ::core::compile_error!("{no_text}") }};
        }}
        macro_rules! assert_ne {{
            ($left:expr, $right:expr $(,)?) => {{{{
                ::kernel::kunit_assert!("{name}", c"{file}", {shift}, $left != $right);
            }}}};
            ($($other:tt)*) => {{ ::core::compile_error!("{no_text}") }};
        }}
        fn example() -> ::kernel::error::Result {{
            {allow}
{body}
        }}
        ::kernel::kunit::info(fmt!("    # {name}.location: {file}:{line}\\n"));
        let result = example();
        if let Err(error) = &result {{
            ::kernel::kunit::err(fmt!("    # {name}: {{error:?}}\\n"));
        }}
        ::kernel::kunit_assert!("{name}", c"{file}", ::core::line!() as i32 - {line}, result.is_ok());
    }}
"""

NO_TEXT = "give assertions in examples no text: KUnit reports the condition and its line"

# What panics: the kernel then reports a BUG, and KUnit no result.
PANICS = re.compile(
    r"\b(?:(?:core|std)::assert\w*|debug_assert\w*|panic|todo|unimplemented|unreachable)!"
    r"|\.(?:unwrap|unwrap_err|expect|expect_err)(?=\()"
)

# Number of lines of RUN before the body.
BEFORE = RUN.split("{body}", 1)[0].count("\n")

NO_RUN = """\
#[allow(unused)]
fn {name}() -> ::kernel::error::Result {{
    {allow}
    use ::kernel::prelude::*;
{body}
}}
"""


class Fault(Exception):
    """A mistake in the documentation."""


class Example:
    """The code of an example, and the file and line that it begins in."""

    def __init__(self, file, line, run, code):
        self.file, self.line, self.run, self.code = file, line, run, code

    def body(self):
        """Returns the body of a function with the code, between comments in which located() finds its position."""
        code = list(self.code)
        last = next((line.strip() for line in reversed(code) if line.strip()), "")
        end = [] if last.startswith(("Ok::<", "Ok(()", "Err(")) and not last.endswith(";") else ["Ok(())"]
        return "\n".join([f"// begin {self.file}:{self.line}", *code, "// end", *end])


def is_run(mark, where):
    """Returns whether to run a block with this mark, or None if it is no Rust code."""
    words = re.findall(r"[^\s,{}]+", mark)
    for word in words:
        if word in ("should_panic", "compile_fail"):
            raise Fault(f"{where}: there is no {word} in the kernel")
    if any(word not in ("rust", "no_run") for word in words):
        return None
    return "no_run" not in words


def refuse_panics(example):
    """Raises Fault if the code of an example has a macro or calls a method that panics."""
    for number, line in enumerate(example.code, start=example.line):
        panics = PANICS.search(re.sub(r"//.*", "", line))
        if panics:
            raise Fault(f"{example.file}:{number}: use assert!, assert_eq!, assert_ne! or ? instead of "
                        f"{panics[0].lstrip('.')}, which panics")


def examples_of(text, file):
    """Yields the examples in the documentation comments of a file."""
    block = None
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        comment = re.match(r"\s*//[/!](?!/) ?(.*)", line)
        fence = comment and re.match(r"\s*```+(.*)", comment[1])
        if fence and block is None:
            block, start, run = [], number + 1, is_run(fence[1], f"{file}:{number}")
        elif fence:
            if run is not None:
                yield Example(file, start, run, block)
            block = None
        elif comment and block is not None:
            # rustdoc hides the first "#" of a line, and takes "##" for a "#" that it shows.
            block.append(re.sub(r"^(\s*)#(?: |$|(?=#))", r"\1", comment[1]))
        elif block is not None:
            raise Fault(f"{file}:{start - 1}: the block does not end")


def generated(examples):
    """Returns the text of a file with a test of each example."""
    text = HEAD + f"#[::kernel::prelude::kunit_tests({SUITE})]\n#[allow(unused)]\nmod tests {{\n"
    text += "    use ::kernel::prelude::*;\n"
    count, functions = {}, []
    for example in examples:
        module = re.sub(r"\W", "_", example.file.removesuffix(".rs"))
        number = count[module] = count.get(module, -1) + 1
        fields = {"name": f"{module}_{number}", "file": example.file, "line": example.line, "body": example.body()}
        # Users of abstractions may need unsafe code.
        fields["allow"] = "#![allow(unsafe_code)]" if example.file.startswith("abstractions/") else ""
        if example.run:
            refuse_panics(example)
            text += "\n"
            # The first line of the body is a comment.
            first = text.count("\n") + 1 + BEFORE + 1
            text += RUN.format(shift=first - example.line, no_text=NO_TEXT, **fields)
        else:
            functions.append("\n" + NO_RUN.format(**fields))
    return text + "}\n" + "".join(functions)


def located(text, line):
    """Returns the line of a compiler's output with positions in examples, of which a generated file has the text."""
    lines = text.split("\n")

    def position(match):
        at = int(match[1])
        for number in range(min(at, len(lines)), 0, -1):
            begin = re.fullmatch(r"// begin (\S+):(\d+)", lines[number - 1])
            if begin:
                return f"{begin[1]}:{int(begin[2]) + max(at - number - 1, 0)}"
            if number != at and lines[number - 1] == "// end":
                break
        return match[0]

    return re.sub(r"[^\s:]*examples_generated\.rs:(\d+)(?::\d+)?", position, line)


def main(source, target):
    source, target = pathlib.Path(source), pathlib.Path(target)
    if str(source) == "--locate":
        text = target.read_text(encoding="utf-8")
        for line in sys.stdin:
            print(located(text, line), end="", flush=True)
        return
    examples = []
    for path in sorted(source.rglob("*.rs")):
        if not path.name.endswith("_generated.rs"):
            examples += examples_of(path.read_text(encoding="utf-8"), str(path.relative_to(source)))
    text = generated(examples)
    # A newer file would make make compile the driver again.
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: doc_examples.py SOURCE GENERATED, or doc_examples.py --locate GENERATED")
    try:
        main(*sys.argv[1:])
    except Fault as fault:
        sys.exit(str(fault))
