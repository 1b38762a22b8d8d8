# SPDX-License-Identifier: GPL-2.0
"""The style of all plots: small SVG files that do not change without a reason, for light and dark pages.

matplotlib knows one set of colours. save() adds a style sheet with the colours for dark pages.
"""

import io
import re

import matplotlib
import matplotlib.figure

# Each colour on light and on dark pages. matplotlib writes no colour that is black.
COLOURS = {
    "paper": ("#ffffff", "#0d1117"),
    "text": ("#1f2328", "#e6edf3"),
    "grid": ("#d0d7de", "#30363d"),
    "axis": ("#57606a", "#8b949e"),
    "blue": ("#0969da", "#58a6ff"),
    "green": ("#1a7f37", "#3fb950"),
    "amber": ("#9a6700", "#d29922"),
    "red": ("#cf222e", "#ff7b72"),
    "grey": ("#868e96", "#7d8590"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
PIXEL = 1 / 96

matplotlib.rcParams.update(
    {
        # Text stays text, and each run gives the same names.
        "svg.fonttype": "none",
        "svg.hashsalt": "zram_rs",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.edgecolor": LIGHT["axis"],
        "axes.facecolor": "none",
        "axes.titlecolor": LIGHT["text"],
        "figure.facecolor": LIGHT["paper"],
        "grid.color": LIGHT["grid"],
        "text.color": LIGHT["text"],
        "xtick.color": LIGHT["axis"],
        "ytick.color": LIGHT["axis"],
        "xtick.labelcolor": LIGHT["text"],
        "ytick.labelcolor": LIGHT["text"],
        "legend.frameon": False,
    }
)


def figure(width, height, title):
    """Returns an empty figure with a title, of a size in pixels."""
    made = matplotlib.figure.Figure(figsize=(width * PIXEL, height * PIXEL))
    made.text(16 / width, 1 - 22 / height, title, fontsize=11)
    return made


def place(made, left, top, width, height):
    """Adds axes to a figure at a place in pixels from its upper left corner, and returns them."""
    whole_width, whole_height = made.get_size_inches() / PIXEL
    return made.add_axes(
        (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    )


def dark_style():
    """Returns the style sheet for dark pages: each colour, where it fills and where it draws, has its other form."""
    rules = [
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important; }}'
        for light, dark in COLOURS.values()
        for what in ("fill", "stroke")
    ]
    return "\n".join(["@media (prefers-color-scheme: dark) {", *rules, "}"])


def save(made, path, title):
    """Writes a figure as SVG."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    made.savefig(out, format="svg", metadata={"Title": title, **nothing})
    svg = re.sub(r"[ \t]+\n", "\n", out.getvalue())
    svg = svg.replace("<svg ", "<!-- SPDX-License-Identifier: GPL-2.0 -->\n<svg ", 1)
    svg = svg.replace("</style>", f"\n{dark_style()}\n</style>", 1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg)
