#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the pictures of Documentation/ with graphviz.

usage: pictures.py SOURCE DIRECTORY

Writes modules.svg and life.svg into DIRECTORY. The source of the second is Documentation/life.dot in the directory
SOURCE. That of the first is the code: the modules, and what they do, are from the map at the head of zram_rs.rs; an
arrow is a use ("crate::NAME") that does not follow from other arrows. LANES and CALLS have what the code does not say.
"""

import functools
import html
import pathlib
import re
import subprocess
import sys
import textwrap

from layers import ROOT, code_of, map_of, modules_of, uses_of

# What modules are about, from the top down, and from left to right as arrows cross the least. A module that is in no
# lane stands in that of the module before it in the map.
LANES = {
    "files": ["sysfs", "control", "debugfs", "report"],
    "a disk": ["device"],
    "engines": ["recompress", "writeback", "idle", "turn"],
    "pages": ["io", "readback"],
    "data": ["select", "store"],
    "state": ["backing", "slot", "stats", "gauges", "events", "marks", "latency"],
    "edges": ["comp", "zspool"],
    "kernel": ["abstractions", "bindings"],
}
# What is above the driver and below it.
ABOVE = {"users": "users: zramctl, swapon, echo", "block": "block layer: file systems, swap"}
BELOW = {"linux": "Linux: block layer, zsmalloc, compressors, kernfs, workqueues, CPU hotplug"}
# The functions by which the block layer calls. The node has a place at the right edge of the picture.
SUBMIT = "submit_bio, slot_free_notify"
# Calls without a use: from outside, of methods that a module adds to a type of another one, and by traits.
CALLS = {
    ("users", "sysfs"): "",
    ("submit", "device"): "",
    ("device", "io"): " bios",
    ("io", "readback"): "begins",
    ("abstractions", "linux"): "",
    ("bindings", "linux"): "",
}
# Labels of uses.
LABELS = {("readback", "io"): "finishes"}
# The end of a line that begins at the left.
LEFT = "\\l"
KEY = [
    "Blue: policy, without unsafe code. Orange: has unsafe code.",
    "An arrow is a use (crate::NAME); one that follows from others is left out. A dashed arrow is a call without a use.",
]

# Of a class: its fill and its lines, on light and on dark pages.
COLOURS = {
    "graph": ("#ffffff", "none", "#0d1117", "none"),
    "lane": ("#f6f8fa", "none", "#161b22", "none"),
    "policy": ("#ddf4ff", "#0969da", "#0c2d6b", "#58a6ff"),
    "unsafe": ("#fff1e5", "#bc4c00", "#3d1300", "#f0883e"),
    "task": ("#ddf4ff", "#0969da", "#0c2d6b", "#58a6ff"),
    "interrupt": ("#ffebe9", "#cf222e", "#490202", "#ff7b72"),
    "worker": ("#dafbe1", "#1a7f37", "#04260f", "#3fb950"),
    "note": ("none", "none", "none", "none"),
    "other": ("#ffffff", "#8c959f", "#0d1117", "#6e7681"),
}
LINES = ("#57606a", "#8b949e")
TEXT = ("#1f2328", "#e6edf3")


def style():
    """Returns the style sheet of all pictures."""

    def rules(dark):
        text, line = TEXT[dark], LINES[dark]
        yield f"text {{ fill: {text}; }}"
        yield f".edge path {{ stroke: {line}; }} .edge polygon {{ fill: {line}; stroke: {line}; }}"
        for name, colours in COLOURS.items():
            fill, stroke = colours[2 * dark : 2 * dark + 2]
            yield f".{name} > polygon, .{name} > path {{ fill: {fill}; stroke: {stroke}; }}"

    return "\n".join([*rules(False), "@media (prefers-color-scheme: dark) {", *rules(True), "}"])


def has_unsafe(files):
    """Tells whether any of these files has unsafe code, or includes generated code."""
    return any(re.search(r"\bunsafe\b|\binclude!", code_of(path)) for path in files)


def reduced(uses):
    """Returns the uses, as pairs, that do not follow from others."""

    @functools.cache
    def reach(name):
        return uses[name].union(*map(reach, uses[name]))

    return [
        (name, used)
        for name in uses
        for used in sorted(uses[name])
        if not any(used in reach(other) for other in uses[name] - {used})
    ]


def box(name, kind, text, about="", width=23):
    """Returns a node with a name in bold type, and what it is about in lines below."""
    lines = [f"<b>{html.escape(text)}</b>"] if text else []
    for line in textwrap.wrap(about.replace("`", ""), width):
        lines.append(f'<font point-size="8">{html.escape(line)}</font>')
    return f"{name} [class={kind}, label=<{'<br/>'.join(lines)}>];"


def lanes_of(about):
    """Returns the lanes with all modules of the map."""
    lanes = {lane: list(names) for lane, names in LANES.items()}
    placed = [name for names in LANES.values() for name in names]
    for name in placed:
        if name not in about:
            sys.exit(f"LANES has the module {name}, and the map in {ROOT}.rs does not: remove it from LANES")
    before = placed[0]
    for name in about:
        if name not in placed:
            next(names for names in lanes.values() if before in names).append(name)
        before = name
    return lanes


def arrow(lanes, tail, head, label, options=""):
    """Returns an edge. Within a lane, graphviz wants the left one first, and room for the label."""
    lane = next((names for names in lanes.values() if {tail, head} <= set(names)), None)
    if lane and label:
        options += ", minlen=2"
    if lane and lane.index(tail) > lane.index(head):
        tail, head, options = head, tail, options + ", dir=back"
    return f'{tail} -> {head} [label="{label}"{options}];'


def modules_dot(source):
    """Returns the picture of the modules in graphviz's language."""
    about = map_of(source)
    files = modules_of(source)
    all_lanes = lanes_of(about)
    uses = {name: {used for path in files[name] for used in uses_of(path, files)} - {name} for name in about}
    out = [
        'digraph "The modules of zram_rs" {',
        f'graph [labelloc=b, labeljust=l, label="{LEFT.join(KEY) + LEFT}"];',
    ]
    lanes = [[box("head_above", "note", " "), *(box(name, "other", text) for name, text in ABOVE.items())]]
    for index, (lane, names) in enumerate(all_lanes.items()):
        boxes = [box(name, "unsafe" if has_unsafe(files[name]) else "policy", name, about[name]) for name in names]
        lanes.append([box(f"head_{index}", "note", lane), *boxes])
    lanes[1].append(box("submit", "note", "", SUBMIT, 16))
    lanes.append([box("head_below", "note", " "), *(box(name, "other", text) for name, text in BELOW.items())])
    for nodes in lanes:
        order = " -> ".join(node.split(" ", 1)[0] for node in nodes)
        out += ["{ rank=same;", *nodes, f"{order} [style=invis]; }}"]
    heads = [nodes[0].split(" ", 1)[0] for nodes in lanes]
    out.append(" -> ".join(heads) + " [style=invis, weight=100];")
    out.append("block -> submit [style=dashed, arrowhead=none];")
    out += [arrow(all_lanes, *pair, LABELS.get(pair, "")) for pair in reduced(uses)]
    out += [arrow(all_lanes, *pair, label, ", style=dashed") for pair, label in CALLS.items()]
    return "\n".join(out + ["}", ""])


def draw(dot):
    """Returns the SVG of a picture in graphviz's language, with the settings that all pictures share."""
    font = {"fontname": "DejaVu Sans,sans-serif"}
    settings = {
        "G": {**font, "fontsize": 8, "newrank": "true", "nodesep": 0.1, "ranksep": 0.28, "pad": 0.03},
        "N": {**font, "fontsize": 9, "shape": "box", "style": "rounded,filled", "width": 0, "height": 0},
        "E": {**font, "fontsize": 8, "arrowsize": 0.6},
    }
    command = ["dot", "-Tsvg", "-Nmargin=0.06,0.05"]
    command += [f"-{kind}{name}={value}" for kind, values in settings.items() for name, value in values.items()]
    svg = subprocess.run(command, input=dot, check=True, capture_output=True, encoding="utf-8").stdout
    svg = re.sub("<!-- Generated by .*?-->\n", "", svg, flags=re.DOTALL)
    before, start, after = svg.partition("<g ")
    before = before.replace("<svg ", "<!-- SPDX-License-Identifier: GPL-2.0 -->\n<svg ", 1)
    return f"{before}<style>\n{style()}\n</style>\n{start}{after}"


def main(source, directory):
    source, directory = pathlib.Path(source), pathlib.Path(directory)
    life = (source / "Documentation/life.dot").read_text(encoding="utf-8")
    for name, dot in (("modules", modules_dot(source)), ("life", life)):
        (directory / f"{name}.svg").write_text(draw(dot), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: pictures.py SOURCE DIRECTORY")
    main(*sys.argv[1:])
