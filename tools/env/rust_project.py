#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints a rust-project.json for the paths of this machine.

usage: rust_project.py PROJECT OUT CACHE SOURCE

PROJECT is what the kernel's "make rust-analyzer" writes in the build root; its paths become those of the cache (CACHE)
and of the checkout (SOURCE). Adds what the kernel's generator does not know of an external module: the options of its
Makefile (zram_rs_*), and $ZRAM_RS_OBJ, the directory of the generated bindings. OUT is the directory in which the
driver was built.

tools/build --rust-project runs it in the build root.
"""

import json
import pathlib
import re
import sys


def outside(value, cache):
    """Returns a value of PROJECT in which paths of the build root are paths of this machine."""
    if isinstance(value, dict):
        return {key: outside(item, cache) for key, item in value.items()}
    if isinstance(value, list):
        return [outside(item, cache) for item in value]
    if isinstance(value, str) and value.startswith("/usr"):
        return f"{cache}/root{value}"
    if isinstance(value, str) and value.startswith("/cache/"):
        return cache + value.removeprefix("/cache")
    return value


def completed(described, command, out, cache, source):
    """Returns PROJECT with what it lacks; command is the one that compiled the driver."""
    described = outside(described, cache)
    bindings = outside(out, cache)
    for crate in described["crates"]:
        # An editor looks for faults in the driver only.
        crate["is_workspace_member"] = crate["display_name"] == "zram_rs"
        if crate["is_workspace_member"]:
            crate["root_module"] = f"{source}/zram_rs.rs"
            crate["cfg"] += sorted(set(re.findall(r"--cfg=(zram_rs_\w+)", command)))
            crate["env"]["ZRAM_RS_OBJ"] = bindings
            crate["source"] = {"include_dirs": [source, bindings], "exclude_dirs": [f"{source}/tools"]}
    return described


def main(project, out, cache, source):
    described = json.loads(pathlib.Path(project).read_text(encoding="utf-8"))
    command = pathlib.Path(out, ".zram_rs.o.cmd").read_text(encoding="utf-8")
    json.dump(completed(described, command, out, cache, source), sys.stdout, indent=1)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: rust_project.py PROJECT OUT CACHE SOURCE")
    main(*sys.argv[1:])
