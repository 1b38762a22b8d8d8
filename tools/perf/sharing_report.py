#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Does the part of tools/perf/sharing that runs inside the build root after the recording.

usage: sharing_report.py SYMBOLS ACCESSES PAGES TOP

Replays what sharing_plugin.c has recorded: a model of CPUs with caches of unlimited size counts the transfers of lines
between them. PAGES is the number of pages of a request.

The requests of the CPUs run at the same time. Each takes one unit of time, whatever it does, and that of CPU i of n
begins i/n later than that of CPU 0, so that the CPUs are not in step. The first half of the requests warms up the
caches, the second half is counted.
"""

import bisect
import collections
import json
import re
import struct
import sys

HEADER = struct.Struct("<8sIIQQ")
ENTRY = struct.Struct("<QQIIIHH")
STORE, PERCPU = 1, 2

# Where x86-64 has what, without KASLR and with four levels of page tables: an address from which on it is there, and
# its name.
REGIONS = (
    (0, "user"),
    (0xFFFF888000000000, "heap"),
    (0xFFFFC90000000000, "vmalloc"),
    (0xFFFFEA0000000000, "struct page"),
    (0xFFFFFE0000000000, "other"),
    (0xFFFFFFFF80000000, "static"),
)

# What copies and clears pages. A CPU that reuses memory gets its lines from the CPU that used it before, however long
# ago that was, as caches have no limit here.
DATA = ("memcpy", "memset", "memmove", "copy_page", "clear_page", "clear_highpages_kasan_tagged", "copy_mc_to_kernel")

Access = collections.namedtuple("Access", "code address line part request cpu flags")


class Model:
    """The caches of the CPUs, as far as it matters which of them have a line and which changed it last."""

    def __init__(self):
        self.holders, self.writers = {}, {}

    def access(self, cpu, line, is_store):
        """Has a CPU access a line, and returns whether it must get the line from another one."""
        mine = 1 << cpu
        holders = self.holders.get(line, 0)
        if is_store:
            self.holders[line], self.writers[line] = mine, cpu
            return holders & ~mine != 0
        self.holders[line] = holders | mine
        return not holders & mine and self.writers.get(line, cpu) != cpu


def readable(name):
    """Returns the name of a Rust function as its type, or its module, and its own name; other names as they are.

    That is enough of the mangling (v0 of rustc) to tell functions from each other.
    """
    function, bracket, module = name.partition("[")
    if not function.startswith("_R"):
        return name
    words, at = [], 2
    while at < len(function):
        number = re.compile(r"\d+").match(function, at)
        # A disambiguator, or a reference to what came before.
        skipped = re.compile(r"(Cs|B|s)[0-9a-zA-Z]*_").match(function, at)
        if number:
            begin = number.end() + (function[number.end() : number.end() + 1] == "_")
            at = begin + int(number[0])
            words.append(function[begin:at])
        elif skipped:
            at = skipped.end()
        elif function[at] == "I" and words:
            break
        else:
            at += 1
    return "::".join(words[-2:]) + bracket + module


class Symbols:
    """The functions and variables of the kernel."""

    def __init__(self, lines):
        found = []
        for line in lines:
            word = line.split()
            if len(word) == 3 and word[0] == "symbol":
                found.append((int(word[1], 16), readable(word[2])))
        found.sort()
        self.begins = [address for address, _ in found]
        self.names = [name for _, name in found]
        self.known = {}

    def name(self, address):
        """Returns the name of what begins at an address or before it."""
        if address not in self.known:
            place = bisect.bisect_right(self.begins, address) - 1
            self.known[address] = self.names[place] if place >= 0 else "unknown"
        return self.known[address]


def read(path):
    """Returns the header of a recording, and its accesses."""
    with open(path, "rb") as file:
        data = file.read()
    magic, cpus, requests, accesses, records = HEADER.unpack_from(data)
    if magic.rstrip(b"\0") != b"sharing":
        sys.exit(f"{path} is not a recording of sharing_plugin.c")
    header = {"cpus": cpus, "requests": requests, "accesses": accesses, "records": records}
    return header, [Access(*fields) for fields in ENTRY.iter_unpack(data[HEADER.size :])]


def in_order(accesses, cpus):
    """Returns the accesses of the first CPUs in the order of the time at which the model has them."""
    shift = [(cpu << 32) // cpus for cpu in range(cpus)]
    some = [access for access in accesses if access.cpu < cpus]
    some.sort(key=lambda access: (access.request << 32) + access.part + shift[access.cpu])
    return some


def replay(accesses, cpus, first):
    """Returns the accesses of the first CPUs, from a request on, that are transfers."""
    model = Model()
    found = []
    for access in in_order(accesses, cpus):
        if model.access(access.cpu, access.line, access.flags & STORE) and access.request >= first:
            found.append(access)
    return found


def split(transfers, symbols):
    """Returns the transfers that copying and clearing pages causes, and the others."""
    data, others = [], []
    for access in transfers:
        (data if symbols.name(access.code).startswith(DATA) else others).append(access)
    return data, others


def counts(cpus):
    """Returns the numbers of CPUs that are replayed: the powers of two, and all."""
    found = [1 << bit for bit in range(cpus.bit_length()) if 1 << bit < cpus]
    return found + [cpus]


def percpu_pages(accesses):
    """Returns the pages of memory, as numbers of 64 lines, that CPUs access as their own."""
    return {access.line >> 6 for access in accesses if access.flags & PERCPU}


def region(access, symbols, percpu):
    """Returns the name of the memory that is accessed."""
    if access.line >> 6 in percpu:
        return "per CPU"
    name = [name for begin, name in REGIONS if begin <= access.address][-1]
    return symbols.name(access.address) if name == "static" else name


def by_function(transfers, symbols):
    """Returns the numbers of loads and stores that are transfers, by function."""
    found = {}
    for access in transfers:
        both = found.setdefault(symbols.name(access.code), [0, 0])
        both[access.flags & STORE] += 1
    return found


def by_line(transfers, symbols, percpu):
    """Returns groups of lines: how many lines, how many transfers, and these by function and offset.

    Lines in the same region of memory that the same function transfers most often are a group.
    """
    lines = collections.defaultdict(collections.Counter)
    regions = {}
    for access in transfers:
        lines[access.line][symbols.name(access.code), access.address & 63] += 1
        regions[access.line] = region(access, symbols, percpu)
    groups = {}
    for line, places in lines.items():
        functions = collections.Counter()
        for (function, _), count in places.items():
            functions[function] += count
        key = regions[line], functions.most_common(1)[0][0]
        group = groups.setdefault(key, [0, 0, collections.Counter(), collections.defaultdict(set)])
        group[0] += 1
        group[1] += functions.total()
        group[2].update(functions)
        for function, offset in places:
            group[3][function].add(offset)
    return groups


def offsets_of(offsets):
    """Returns offsets in a line as text, as long as they are few."""
    return "+" + ",".join(str(offset) for offset in sorted(offsets)) if len(offsets) <= 3 else ""


def function_table(transfers, symbols, pages, top):
    """Returns the lines of the table of functions."""
    found = by_function(transfers, symbols)
    lines = [f"{'transfers':>10} {'loads':>8} {'stores':>8}  function"]
    for name, (loads, stores) in sorted(found.items(), key=lambda item: (-sum(item[1]), item[0]))[:top]:
        lines.append(f"{(loads + stores) / pages:10.2f} {loads / pages:8.2f} {stores / pages:8.2f}  {name}")
    return lines


def line_table(transfers, symbols, percpu, pages, top):
    """Returns the lines of the table of lines."""
    groups = by_line(transfers, symbols, percpu)
    lines = [f"{'transfers':>10} {'lines':>8}  memory, and the functions with the most transfers"]
    order = sorted(groups.items(), key=lambda item: (-item[1][1], item[0]))
    for (name, _), (count, total, functions, offsets) in order[:top]:
        some = ", ".join(
            f"{function}{offsets_of(offsets[function])} {number / pages:.2f}"
            for function, number in functions.most_common(4)
        )
        lines.append(f"{total / pages:10.2f} {count:8}  {name}: {some}")
    return lines


def report(symbols, header, accesses, step, top):
    """Returns the lines of the whole report."""
    cpus, requests = header["cpus"], header["requests"]
    first = requests // 2
    pages_of_cpu = (requests - first) * step
    curve, data_curve = {}, {}
    for count in counts(cpus):
        data, transfers = split(replay(accesses, count, first), symbols)
        curve[count] = round(len(transfers) / (pages_of_cpu * count), 2)
        data_curve[count] = round(len(data) / (pages_of_cpu * count), 2)
    pages = pages_of_cpu * cpus
    all_pages = requests * step * cpus
    found = {"transfers": curve, "data": data_curve, "functions": functions_as_numbers(transfers, symbols, pages)}
    lines = [
        f"accesses of the kernel: {header['accesses'] / all_pages:.0f} a page; recorded: "
        f"{header['records'] / all_pages:.0f}; to lines that CPUs share: {len(accesses) / all_pages:.0f}",
        "",
        f"transfers a page ({pages} pages of {cpus} CPUs):",
        "".join(f"{count:>9}" for count in curve) + "  CPUs",
        "".join(f"{value:9.2f}" for value in curve.values()),
        "".join(f"{value:9.2f}" for value in data_curve.values()) + "  of data, which are not counted above and below",
        "",
        *function_table(transfers, symbols, pages, top),
        "",
        *line_table(transfers, symbols, percpu_pages(accesses), pages, top),
        "json " + json.dumps(found),
    ]
    return lines


def functions_as_numbers(transfers, symbols, pages):
    """Returns the transfers of a page by function, those that are at least a hundredth."""
    found = by_function(transfers, symbols)
    each = {name: round(sum(both) / pages, 2) for name, both in found.items()}
    return {name: value for name, value in sorted(each.items(), key=lambda item: (-item[1], item[0])) if value}


def main(arguments):
    if len(arguments) != 4:
        sys.exit("usage: see the head of sharing_report.py")
    with open(arguments[0], encoding="utf-8", errors="replace") as lines:
        symbols = Symbols(lines)
    header, accesses = read(arguments[1])
    print("\n".join(report(symbols, header, accesses, int(arguments[2]), int(arguments[3]))))


if __name__ == "__main__":
    main(sys.argv[1:])
